#!/bin/sh
# probe.sh redis-live | redis-ready | sentinel-live | sentinel-ready
set -eu
. "${0%/*}/lib.sh"

field() { printf '%s\n' "$info" | tr -d '\r' | sed -n "s/^$1://p"; }

case $1 in
redis-live)
    # A server that is loading, running a long script or booting is alive: a restart would only begin
    # that again.
    [ ! -e "$RUN/booting" ] || exit 0
    case $(cli "$LOCAL" PING) in PONG | LOADING* | BUSY* | MASTERDOWN*) exit 0 ;; esac
    ;;
redis-ready)
    [ ! -e "$RUN/booting" ] || exit 1
    [ "$(cli "$LOCAL" PING)" = PONG ] || exit 1
    info=$(cli "$LOCAL" INFO replication)
    [ "$(field role)" = slave ] || exit 0
    # A replica is ready when it is in sync with its master. Without a reachable master it counts as
    # ready too; otherwise a set in which all pods start at once would never become ready.
    [ "$(field master_link_status)" != up ] || exit 0
    [ "$(field master_sync_in_progress)" = 0 ] || exit 1
    case $(cli "$(field master_host)" PING) in PONG | LOADING*) exit 1 ;; esac
    exit 0
    ;;
sentinel-live)
    # It answers this in TILT too, and must not be restarted then: TILT would begin again.
    [ "$(sentinel "$LOCAL" PING)" = PONG ] && exit 0
    ;;
sentinel-ready)
    sentinel "$LOCAL" SENTINEL GET-MASTER-ADDR-BY-NAME "$MASTER_NAME" | grep -qx "$REDIS_PORT" && exit 0
    ;;
esac
exit 1
