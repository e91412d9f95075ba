#!/bin/sh
# Runs before the data server gets SIGTERM: moves the master's role to another server without losing a write.
#
# Writes are paused first: what an old master confirms after the promotion would be lost. Then a Sentinel
# moves the role. As soon as it names another master, this script ends, the server stops, and clients whose
# writes were paused connect to the new master. If the old master kept running, it would be demoted only
# after ten seconds.
set -eu
. "${0%/*}/lib.sh"

HOLD_MS=20000 # longer than the rest of this script runs: the pause ends with the server
STEPS=150
ROUNDS=3
YOUNG_ROUNDS=24 # of half a second: a Sentinel looks at a new replica within ten seconds, and promotes none before

# Ask the Sentinels on the other pods to move the role, while writes are held. Sets `asked` to the pod of
# the one that does, or `young` when one only lacks a replica that it knows well enough.
ask_for_failover() {
    cli "$LOCAL" CLIENT PAUSE "$HOLD_MS" WRITE >/dev/null
    for peer in $peers; do
        case $(sentinel "$peer" SENTINEL FAILOVER "$MASTER_NAME") in
        OK* | INPROG*)
            asked=$peer
            return
            ;;
        NOGOODSLAVE*) young=yes ;;
        esac
    done
    cli "$LOCAL" CLIENT UNPAUSE >/dev/null
}

find_addresses
case $(cli "$LOCAL" ROLE | head -n 1) in master) ;; *) exit 0 ;; esac
asked='' young='' round=0
while [ "$round" -lt "$ROUNDS" ] || { [ -n "$young" ] && [ "$round" -lt "$YOUNG_ROUNDS" ]; }; do
    young=''
    ask_for_failover
    [ -z "$asked" ] || break
    [ -z "$young" ] || sleep 0.4
    round=$((round + 1))
done
# No Sentinel answers, or no replica can take over: keep serving until SIGTERM.
[ -n "$asked" ] || exit 0
step=0
while [ "$step" -lt "$STEPS" ]; do
    named=$(named_by "$asked")
    [ -z "$named" ] || [ "$named" = "$me" ] || exit 0
    sleep 0.1
    step=$((step + 1))
done
