#!/bin/sh
# Puts recorded bars into the cluster, for skaffold's profile `recorded`.
#   BARS_FILE  CSV with symbol, timestamp, open, high, low, close, volume; at most 1 MB
set -eu
file=${BARS_FILE:-k8s/recorded-bars.csv}
namespace=${NAMESPACE:-streamdesk}
kubectl() { command kubectl ${SKAFFOLD_KUBE_CONTEXT:+--context "$SKAFFOLD_KUBE_CONTEXT"} "$@"; }

[ -f "$file" ] || { echo "BARS_FILE=$file: no such file; name a CSV file with bars" >&2; exit 1; }
kubectl create namespace "$namespace" --dry-run=client -o yaml | kubectl apply -f - >/dev/null
# Server-side: a client-side apply keeps a copy of the file in an annotation, for which it is too long.
kubectl create configmap desk-recording --namespace "$namespace" --from-file=bars.csv="$file" \
    --dry-run=client -o yaml | kubectl apply --server-side --force-conflicts -f -
