#!/bin/sh
# Starts the Sentinel. Its file goes to the disk of the pod, for what it must remember: which failovers
# there were and whom it voted for. Everything else in it is written anew.
#
# It works on a copy in memory, which goes to the disk within a second. A Sentinel syncs its file at
# each vote and waits for that; two seconds of a busy disk, and it distrusts its clock and does nothing
# for half a minute (TILT).
set -eu
. "${0%/*}/lib.sh"

saved="$DATA/sentinel/sentinel.conf"
working="$RUN/sentinel/sentinel.conf"

# remembered NAME: the epoch that a line of the old file ends in.
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
    # It says who it is to servers and Sentinels alike; it needs no more than `default` may.
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

# keep: bring the working file to the disk whenever it has changed. The Sentinel replaces it whole.
keep() {
    while sleep 1; do
        cmp -s "$working" "$saved" || {
            cp "$working" "$saved.new" && mv "$saved.new" "$saved" && sync -f "$saved"
        } || true
    done
}

# tune: what no file can say. When the master goes, two Sentinels must not stand for election at once:
# each votes for itself, none wins, and the next attempt comes after twice the failover time-out. They
# give the master up one after the other (STAGGER_MS), which means nothing while they ping once a second:
# hence PING-PERIOD. The first asks the others whether they agree, the second finds that the first does
# and stands; hence ASK-PERIOD, so that the first does not ask again in just that moment. And ten seconds
# after it was held up a Sentinel has seen enough to trust its clock again.
tune() {
    tries=0
    until [ "$tries" -ge 300 ] || [ "$(sentinel "$LOCAL" SENTINEL DEBUG PING-PERIOD 200 ASK-PERIOD 3000 TILT-PERIOD 10000)" = OK ]; do
        sleep 0.2
        tries=$((tries + 1))
    done
}

mkdir -p "$DATA/sentinel" "$RUN/sentinel"
# As for the data server: the pod before this one may still run.
exec 9>"$DATA/sentinel.lock"
flock 9
find_addresses
# After a restart of this container alone the copy in memory is there still, and newer.
[ ! -s "$working" ] || cp "$working" "$saved"
# The data server decides at each start of the pod who the master is.
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
