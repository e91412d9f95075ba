#!/bin/sh
# Starts the data server, as the master or as the replica of the one that the Sentinels name.
#
# A server without data must never become the master of servers with data: they would discard theirs.
# And a master that comes back after a crash may lack what its replicas confirmed: it waits until the
# Sentinels name one of them.
set -eu
. "${0%/*}/lib.sh"

# has_data: whether the disk has data. The files of an empty server are smaller than this limit.
has_data() {
    [ -n "$(find "$DATA/redis" -type f \( -name '*.rdb' -o -name '*.aof' \) -size +256c 2>/dev/null)" ]
}

# decide: sets `master`, `epoch` and `is_alone`. Asks the Sentinels of the other pods, not our own, which
# knows no more than they do. If none answers, the set is new, or all of its pods are starting.
decide() {
    is_alone=no since=$(date +%s)
    while :; do
        opinion=$(opinion_of_peers)
        if [ -n "$opinion" ]; then
            opinion=$(better_of "$opinion" "$(saved_opinion)")
        elif [ "$(($(date +%s) - since))" -ge "$ALONE_SECONDS" ]; then
            is_alone=yes
            opinion=$(saved_opinion)
            [ -n "$opinion" ] || [ "$ordinal" != 0 ] || opinion="0 $me"
        fi
        if [ -n "$opinion" ]; then
            epoch=${opinion%% *} master=${opinion##* }
            return
        fi
        sleep 0.5
    done
}

# peers_are_empty: whether at least one peer answers and none has data. A loading peer counts as no answer.
peers_are_empty() {
    answered=no
    for peer in $peers; do
        case $(cli "$peer" DBSIZE) in
        0) answered=yes ;;
        *[!0-9]* | '') ;;
        *) return 1 ;;
        esac
    done
    [ "$answered" = yes ]
}

# is_failover_under_way: whether a Sentinel has begun one: it completes it although this server is back.
is_failover_under_way() {
    for peer in $peers; do
        if sentinel "$peer" SENTINEL MASTER "$MASTER_NAME" | grep -q failover_in_progress; then return 0; fi
    done
    return 1
}

# may_be_master: whether this server, named as the master, should serve.
may_be_master() {
    if has_data; then
        [ "$is_alone" = yes ] ||
            { [ "$(($(date +%s) - began))" -ge "$YIELD_SECONDS" ] && ! is_failover_under_way; }
    else
        [ "$is_alone" = yes ] || peers_are_empty
    fi
}

# is_newborn HOST: whether it is a master that started empty and has had no replica yet.
is_newborn() {
    [ "$(cli "$1" DBSIZE)" = 0 ] && cli "$1" CONFIG GET replica-priority | grep -qx 0
}

# Lets Sentinels promote a server that started empty, once it has synced with the others.
watch_first_sync() {
    while sleep 1; do
        info=$(cli "$me" INFO replication | tr -d '\r')
        case $info in
        *role:slave*master_link_status:up* | *role:master*connected_slaves:[1-9]*)
            [ "$(cli "$me" CONFIG SET replica-priority 100)" != OK ] || return 0
            ;;
        esac
    done
}

write_users() {
    (
        umask 077
        {
            # A file that omits this user would leave it with all permissions and no password.
            echo 'user default off resetpass resetkeys resetchannels -@all'
            for file in "$CONF"/user.*; do
                user=${file##*/user.}
                hash=$(sha256sum <"$AUTH/$user-password" | cut -d ' ' -f 1)
                printf 'user %s on #%s %s\n' "$user" "$hash" "$(cat "$file")"
            done
        } >"$RUN/users.acl"
    )
}

write_config() {
    umask 077
    {
        echo "include $CONF/redis.conf"
        echo "dir $DATA/redis"
        echo "aclfile $RUN/users.acl"
        echo "masterauth $(cat "$AUTH/replication-password")"
        echo "replica-announce-ip $me"
        echo "replica-announce-port $REDIS_PORT"
        [ "$master" = "$me" ] || echo "replicaof $master $REDIS_PORT"
        has_data || echo 'replica-priority 0'
    } >"$RUN/redis.conf"
}

mkdir -p "$DATA/redis" "$RUN"
: >"$RUN/booting"
# A pod deleted by force may still run when its successor starts: two servers must never share a disk.
exec 9>"$DATA/redis.lock"
flock 9
find_addresses
decide
began=$(date +%s)
if [ "$master" = "$me" ] && ! may_be_master; then
    # Let the Sentinel of this pod start: its vote is needed for the election.
    echo "$epoch $master" >"$RUN/opinion"
    say 'the Sentinels name this server, which just came back: waiting for them to name another'
fi
while [ "$master" = "$me" ] && ! may_be_master; do
    sleep 0.5
    decide
done
if [ "$master" != "$me" ] && has_data && is_newborn "$master"; then
    # The whole set is starting, and the first pod has lost its disk. The other Sentinels accept the
    # later epoch of ours.
    say "$master is the master and has no data, this server has some: taking its place"
    master=$me epoch=$((epoch + 1))
fi
say "epoch $epoch, master $master, this is $me"
echo "$epoch $master" >"$RUN/opinion"
write_users
write_config
has_data || watch_first_sync &
rm -f "$RUN/booting"
# shellcheck disable=SC2086 # several words
exec $REDIS_COMMAND "$RUN/redis.conf"
