#!/bin/sh
# Starts the data server, as the master or as the replica of the one that the Sentinels name.
#
# What must never happen is that a server without data becomes the master of those that have some:
# they would throw theirs away. And a master that comes back after a crash may lack what its replicas
# confirmed: it lets the Sentinels name one of them.
set -eu
. "${0%/*}/lib.sh"

# has_data: whether there is anything on disk. An empty server's files are smaller than that.
has_data() {
    [ -n "$(find "$DATA/redis" -type f \( -name '*.rdb' -o -name '*.aof' \) -size +256c 2>/dev/null)" ]
}

# decide: sets `master`, `epoch` and `is_alone`. Asks the Sentinels of the other pods, not our own: it
# knows no more than they do. Nobody there means a new set, or one that starts as a whole.
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

# peers_are_empty: whether a peer answers, and none that does has data. One that loads does not say.
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

# is_failover_under_way: whether a Sentinel has begun one: it goes on with it although we are back.
is_failover_under_way() {
    for peer in $peers; do
        if sentinel "$peer" SENTINEL MASTER "$MASTER_NAME" | grep -q failover_in_progress; then return 0; fi
    done
    return 1
}

# may_be_master: whether this server, which is named, should serve.
may_be_master() {
    if has_data; then
        [ "$is_alone" = yes ] ||
            { [ "$(($(date +%s) - began))" -ge "$YIELD_SECONDS" ] && ! is_failover_under_way; }
    else
        [ "$is_alone" = yes ] || peers_are_empty
    fi
}

# is_newborn HOST: whether it is a master that began with nothing and that nobody has followed yet.
is_newborn() {
    [ "$(cli "$1" DBSIZE)" = 0 ] && cli "$1" CONFIG GET replica-priority | grep -qx 0
}

# Sentinel may promote a server that began with nothing once it has what the others have.
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
            # Where the file says nothing of it, this one may do everything without a password.
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
# A pod deleted by force may have a successor while it still runs: never two servers on one disk.
exec 9>"$DATA/redis.lock"
flock 9
find_addresses
decide
began=$(date +%s)
if [ "$master" = "$me" ] && ! may_be_master; then
    # The Sentinel beside us may start: it helps to elect.
    echo "$epoch $master" >"$RUN/opinion"
    say 'the Sentinels name this server, which just came back: waiting for them to name another'
fi
while [ "$master" = "$me" ] && ! may_be_master; do
    sleep 0.5
    decide
done
if [ "$master" != "$me" ] && has_data && is_newborn "$master"; then
    # The whole set starts, and the first pod has lost its disk. Our Sentinel convinces the others by
    # a failover that is later than theirs.
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
