#!/bin/sh
# probe.sh redis-live | redis-ready | sentinel-live | sentinel-ready
set -eu
. "${0%/*}/lib.sh"

field() { printf '%s\n' "$info" | tr -d '\r' | sed -n "s/^$1://p"; }

case $1 in
redis-live)
    # While it loads, runs a long script or boots it is alive, too: to kill it would start that anew.
    [ ! -e "$RUN/booting" ] || exit 0
    case $(cli "$LOCAL" PING) in PONG | LOADING* | BUSY* | MASTERDOWN*) exit 0 ;; esac
    ;;
redis-ready)
    [ ! -e "$RUN/booting" ] || exit 1
    [ "$(cli "$LOCAL" PING)" = PONG ] || exit 1
    info=$(cli "$LOCAL" INFO replication)
    [ "$(field role)" = slave ] || exit 0
    # A replica is ready when it has what its master has. While there is no master it has all that
    # can be had; were it not ready then, a set that starts as a whole would never get further.
    [ "$(field master_link_status)" != up ] || exit 0
    [ "$(field master_sync_in_progress)" = 0 ] || exit 1
    case $(cli "$(field master_host)" PING) in PONG | LOADING*) exit 1 ;; esac
    exit 0
    ;;
sentinel-live)
    # In TILT it answers this, too, and must be left alone: killed, it would begin anew.
    [ "$(sentinel "$LOCAL" PING)" = PONG ] && exit 0
    ;;
sentinel-ready)
    sentinel "$LOCAL" SENTINEL GET-MASTER-ADDR-BY-NAME "$MASTER_NAME" | grep -qx "$REDIS_PORT" && exit 0
    ;;
esac
exit 1
