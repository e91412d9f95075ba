{{/* Names, labels and what several objects share. */}}

{{- define "redis-sentinel.name" -}}
{{ .Release.Name }}-redis
{{- end }}

{{- define "redis-sentinel.selector" -}}
app.kubernetes.io/name: streamdesk
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: redis
{{- end }}

{{- define "redis-sentinel.labels" -}}
{{ include "redis-sentinel.selector" . }}
app.kubernetes.io/part-of: streamdesk
app.kubernetes.io/managed-by: {{ .Release.Service }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "redis-sentinel.image" -}}
{{- $name := ternary (printf "%s/%s" .registry .repository) .repository (ne .registry "") -}}
{{ ternary (printf "%s@%s" $name .digest) (printf "%s:%s" $name (toString .tag)) (ne .digest "") }}
{{- end }}

{{- define "redis-sentinel.secret" -}}
{{ .Values.auth.existingSecret | default (printf "%s-auth" (include "redis-sentinel.name" .)) }}
{{- end }}

{{/* All users, by name. */}}
{{- define "redis-sentinel.users" -}}
{{ concat (keys .Values.users) (list "admin" "replication" "sentinel" "exporter") | uniq | sortAlpha | join " " }}
{{- end }}

{{- define "redis-sentinel.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
runAsNonRoot: true
runAsUser: {{ .Values.podSecurityContext.runAsUser }}
runAsGroup: {{ .Values.podSecurityContext.runAsGroup }}
capabilities: {drop: [ALL]}
seccompProfile: {type: RuntimeDefault}
{{- end }}

{{/* Fails with a message when a value would break the pods later. */}}
{{- define "redis-sentinel.check" -}}
{{- if and .Values.tls.enabled (not .Values.tls.existingSecret) }}
{{- fail "tls.enabled needs tls.existingSecret: the name of a secret with ca.crt, tls.crt and tls.key" }}
{{- end }}
{{- if lt (sub .Values.sentinel.downAfterMilliseconds (mul 2 .Values.sentinel.staggerMilliseconds) | int) 500 }}
{{- fail (printf "sentinel.downAfterMilliseconds is %v with staggerMilliseconds %v: ordinal 0 would wait %d ms; expected at least 500" .Values.sentinel.downAfterMilliseconds .Values.sentinel.staggerMilliseconds (sub .Values.sentinel.downAfterMilliseconds (mul 2 .Values.sentinel.staggerMilliseconds))) }}
{{- end }}
{{- $limit := .Values.redis.resources.limits.memory | default "" | toString }}
{{- $megabytes := 0 }}
{{- if hasSuffix "Mi" $limit }}{{ $megabytes = trimSuffix "Mi" $limit | int }}{{ end }}
{{- if hasSuffix "Gi" $limit }}{{ $megabytes = trimSuffix "Gi" $limit | int | mul 1024 }}{{ end }}
{{- if and $megabytes (gt (mul .Values.redis.maxmemoryMegabytes 4 | int) (mul $megabytes 3 | int)) }}
{{- fail (printf "redis.maxmemoryMegabytes is %v and the memory limit %s; expected at most %d, three quarters of it" .Values.redis.maxmemoryMegabytes $limit (div (mul $megabytes 3) 4)) }}
{{- end }}
{{- if and .Values.redis.resources.limits.memory (not $megabytes) }}
{{- fail (printf "redis.resources.limits.memory is %s; expected a whole number with Mi or Gi" $limit) }}
{{- end }}
{{- end }}
