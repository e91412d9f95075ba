# Shared by the scripts of this chart. POSIX sh; needs redis-cli, getent, timeout and sha*sum.
# shellcheck shell=sh
#
# NODES are the names of the Services, one for each pod, in the order of the ordinals. Servers and
# Sentinels announce the addresses of the Services, which do not change when pods are replaced.
# Sentinels would remember a pod's own address after the pod is gone.
: "${DATA:=/data}" "${RUN:=/run/redis}" "${CONF:=/etc/redis}" "${AUTH:=/etc/redis-auth}"
: "${REDIS_PORT:=6379}" "${SENTINEL_PORT:=26379}" "${LOCAL:=127.0.0.1}" "${TLS_ARGUMENTS:=}"
ordinal=${POD_NAME##*-}
# A shell that is a container's first process would otherwise ignore SIGTERM.
trap 'exit 143' TERM INT

say() { printf '%s %s\n' "${0##*/}:" "$*" >&2; }

# cli HOST WORDS…: ask a data server as `admin`. sentinel HOST WORDS…: ask a Sentinel. A missing pod may
# refuse the connection or not answer at all, so the time-out is short.
cli() {
    host=$1
    shift
    # shellcheck disable=SC2086 # no or several words
    REDISCLI_AUTH=$(cat "$AUTH/admin-password") timeout 2 \
        redis-cli $TLS_ARGUMENTS --no-auth-warning --user admin -h "$host" -p "$REDIS_PORT" "$@" 2>&1
}

sentinel() {
    host=$1
    shift
    # shellcheck disable=SC2086 # no or several words
    REDISCLI_AUTH=$(cat "$AUTH/admin-password") timeout 1 \
        redis-cli $TLS_ARGUMENTS --no-auth-warning --user admin -h "$host" -p "$SENTINEL_PORT" "$@" 2>&1
}

# Sets `addresses`, `me` and `peers`. A name that does not resolve is retried: it belongs to a Service,
# which exists as long as the set does, whether or not its pod runs.
find_addresses() {
    while :; do
        addresses='' me='' peers='' at=0
        for node in $NODES; do
            # shellcheck disable=SC2046 # the first word is the address
            set -- $(getent hosts "$node")
            [ $# -gt 0 ] || break
            # Only the name of the pod itself, not of its Service, resolves to the pod's address.
            [ "$1" != "${POD_IP:-}" ] || { say "$node is this pod's own address: expected its Service's"; exit 1; }
            addresses="$addresses $1"
            if [ "$at" = "$ordinal" ]; then me=$1; else peers="$peers $1"; fi
            at=$((at + 1))
        done
        addresses=${addresses# }
        [ $# -gt 0 ] && return
        say "$node does not resolve yet"
        sleep 1
    done
}

# named_by HOST: the master's address according to this Sentinel; empty when it does not answer. While
# it leads a failover, this is the new master from the promotion on.
named_by() {
    sentinel "$1" SENTINEL GET-MASTER-ADDR-BY-NAME "$MASTER_NAME" | {
        read -r named && is_ours "$named" && echo "$named"
    } || true
}

is_ours() { case " $addresses " in *" $1 "*) ;; *) return 1 ;; esac; }

# opinion_of HOST: "<epoch> <address>": the master according to this Sentinel, and the number of the
# failover that promoted it.
opinion_of() {
    printf 'SENTINEL %s %s\n' GET-MASTER-ADDR-BY-NAME "$MASTER_NAME" MASTER "$MASTER_NAME" | sentinel "$1" | {
        read -r named && is_ours "$named" && read -r _ || return 0
        while read -r field && read -r value; do
            [ "$field" != config-epoch ] || echo "$value $named"
        done
    }
}

# saved_opinion: "<epoch> <address>" from the file of this pod's own Sentinel, if there is one. If the set
# has been reinstalled since, the Services have other addresses in the same order.
saved_opinion() {
    [ -s "$DATA/sentinel/sentinel.conf" ] && [ -s "$DATA/sentinel/addresses" ] || return 0
    epoch=0 named=''
    while read -r first second third fourth _; do
        case "$first $second" in
        'sentinel monitor') named=$fourth ;;
        'sentinel config-epoch') epoch=$fourth ;;
        esac
    done <"$DATA/sentinel/sentinel.conf"
    # shellcheck disable=SC2086 # one word for each address
    set -- $addresses
    for old in $(cat "$DATA/sentinel/addresses"); do
        [ "$old" != "$named" ] || echo "$epoch $1"
        shift
    done
}

# better_of OPINION OPINION: the one that knows the later failover; the first if both know the same.
better_of() {
    if [ -z "$1" ] || { [ -n "$2" ] && [ "${2%% *}" -gt "${1%% *}" ]; }; then echo "$2"; else echo "$1"; fi
}

# opinion_of_peers: the opinion of the peer Sentinel that knows the latest failover.
opinion_of_peers() {
    best=''
    for peer in $peers; do best=$(better_of "$best" "$(opinion_of "$peer")"); done
    echo "$best"
}

# id_of ORDINAL: a Sentinel's id. It does not depend on the disk, so that the other Sentinels recognise
# it after the disk is lost.
id_of() { printf '%s' "$SET_NAME/$1" | sha1sum | cut -d ' ' -f 1; }
