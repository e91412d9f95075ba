#!/bin/sh
# Runs before the data server gets SIGTERM: moves the master's role to another server without losing a write.
#
# Writes are paused first: what an old master confirms after the promotion would be lost. Then a Sentinel
# moves the role. As soon as it names another master, this script ends, the server stops, and clients whose
# writes were paused connect to the new master. If the old master kept running, it would be demoted only
# after ten seconds.
set -eu
. "${0%/*}/lib.sh"

HOLD_MS=20000 # longer than this script runs: the pause ends with the server
STEPS=150
ROUNDS=3

find_addresses
case $(cli "$LOCAL" ROLE | head -n 1) in master) ;; *) exit 0 ;; esac
cli "$LOCAL" CLIENT PAUSE "$HOLD_MS" WRITE >/dev/null
asked='' round=0
while [ -z "$asked" ] && [ "$round" -lt "$ROUNDS" ]; do
    for peer in $peers; do
        case $(sentinel "$peer" SENTINEL FAILOVER "$MASTER_NAME") in
        OK* | INPROG*)
            asked=$peer
            break
            ;;
        esac
    done
    round=$((round + 1))
done
if [ -z "$asked" ]; then
    # No Sentinel answers, or no replica can take over: keep serving until SIGTERM.
    cli "$LOCAL" CLIENT UNPAUSE >/dev/null
    exit 0
fi
step=0
while [ "$step" -lt "$STEPS" ]; do
    named=$(named_by "$asked")
    [ -z "$named" ] || [ "$named" = "$me" ] || exit 0
    sleep 0.1
    step=$((step + 1))
done
