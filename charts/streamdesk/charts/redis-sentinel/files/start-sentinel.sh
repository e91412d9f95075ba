#!/bin/sh
# Starts the Sentinel. Its file is saved on the disk of the pod, because it must remember past failovers
# and its votes. Everything else in it is written again at each start.
#
# It uses a copy in memory, which is saved to the disk within a second. A Sentinel syncs its file at each
# vote and waits for that. If a busy disk takes two seconds, it distrusts its clock and does nothing for
# half a minute (TILT).
set -eu
. "${0%/*}/lib.sh"

saved="$DATA/sentinel/sentinel.conf"
working="$RUN/sentinel/sentinel.conf"

# remembered NAME: the epoch at the end of this line of the saved file; 0 without one.
remembered() {
    line=$(grep "^sentinel $1 " "$saved" 2>/dev/null | tail -n 1)
    case ${line##* } in *[!0-9]* | '') echo 0 ;; *) echo "${line##* }" ;; esac
}

greatest() { printf '%s\n' "$@" | sort -n | tail -n 1; }

hash_of() { sha256sum <"$AUTH/$1-password" | cut -d ' ' -f 1; }

write_config() {
    cat "$CONF/sentinel.conf"
    echo "dir $RUN/sentinel"
    echo "sentinel myid $(id_of "$ordinal")"
    echo "sentinel announce-ip $me"
    echo "sentinel announce-port $SENTINEL_PORT"
    echo "user admin on #$(hash_of admin) &* +@all"
    # The exporter authenticates to servers and Sentinels alike; it needs no more than `default` may.
    echo "user exporter on #$(hash_of exporter) resetchannels -@all +ping +info +client|setname +sentinel|masters +sentinel|ckquorum +sentinel|sentinels +sentinel|slaves +sentinel|replicas"
    echo "sentinel monitor $MASTER_NAME $master $REDIS_PORT $QUORUM"
    echo "sentinel down-after-milliseconds $MASTER_NAME $((DOWN_AFTER_MS - (2 - ordinal) * STAGGER_MS))"
    echo "sentinel failover-timeout $MASTER_NAME $FAILOVER_TIMEOUT_MS"
    echo "sentinel parallel-syncs $MASTER_NAME $PARALLEL_SYNCS"
    echo "sentinel auth-user $MASTER_NAME sentinel"
    echo "sentinel auth-pass $MASTER_NAME $(cat "$AUTH/sentinel-password")"
    echo "sentinel config-epoch $MASTER_NAME $epoch"
    echo "sentinel leader-epoch $MASTER_NAME $leader_epoch"
    echo "sentinel current-epoch $(greatest "$epoch" "$leader_epoch" "$current_epoch")"
    at=0
    for address in $addresses; do
        [ "$address" = "$master" ] || echo "sentinel known-replica $MASTER_NAME $address $REDIS_PORT"
        [ "$address" = "$me" ] ||
            echo "sentinel known-sentinel $MASTER_NAME $address $SENTINEL_PORT $(id_of "$at")"
        at=$((at + 1))
    done
}

# keep: saves the working file to the disk whenever it has changed. The Sentinel replaces it as a whole.
keep() {
    while sleep 1; do
        cmp -s "$working" "$saved" || {
            cp "$working" "$saved.new" && mv "$saved.new" "$saved" && sync -f "$saved"
        } || true
    done
}

# tune: settings that the file cannot have. When the master dies, two Sentinels must not become candidates
# at once: each votes for itself, neither wins, and the next attempt comes after twice the failover
# time-out. STAGGER_MS lets them detect the failure one after the other, which needs a PING-PERIOD much
# shorter than the default second. The first one asks the others whether they agree; when the second one
# does, it becomes a candidate too. ASK-PERIOD keeps the first from asking again at that moment. And a
# Sentinel that was delayed trusts its clock again after ten seconds (TILT-PERIOD).
tune() {
    tries=0
    until [ "$tries" -ge 300 ] || [ "$(sentinel "$LOCAL" SENTINEL DEBUG PING-PERIOD 200 ASK-PERIOD 3000 TILT-PERIOD 10000)" = OK ]; do
        sleep 0.2
        tries=$((tries + 1))
    done
}

mkdir -p "$DATA/sentinel" "$RUN/sentinel"
# As for the data server: the previous pod may still run.
exec 9>"$DATA/sentinel.lock"
flock 9
find_addresses
# If only this container was restarted, the copy in memory still exists, and is newer.
[ ! -s "$working" ] || cp "$working" "$saved"
# At each start of the pod, the data server decides which server is the master.
until [ -s "$RUN/opinion" ]; do sleep 0.2; done
opinion=$(better_of "$(opinion_of_peers)" "$(better_of "$(saved_opinion)" "$(cat "$RUN/opinion")")")
epoch=${opinion%% *} master=${opinion##* }
leader_epoch=$(remembered leader-epoch) current_epoch=$(remembered current-epoch)
umask 077
write_config >"$working"
cp "$working" "$saved.new"
mv "$saved.new" "$saved"
echo "$addresses" >"$DATA/sentinel/addresses"
say "epoch $epoch, master $master, this is $me"
keep &
tune &
# shellcheck disable=SC2086 # several words
exec $SENTINEL_COMMAND "$working" --sentinel
