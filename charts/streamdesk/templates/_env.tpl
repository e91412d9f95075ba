{{/* REDIS_URL with the user of a service: root, user; prefix of the variables, none for a service. */}}
{{- define "streamdesk.redisEnv" -}}
{{- $prefix := .prefix | default "" -}}
{{- $external := .root.Values.externalRedis -}}
{{- if .root.Values.redis.enabled -}}
- name: {{ $prefix }}REDIS_USER_PASSWORD
  valueFrom:
    secretKeyRef:
      name: {{ .root.Values.redis.auth.existingSecret | default (printf "%s-redis-auth" .root.Release.Name) | quote }}
      key: {{ .user }}-password
- name: {{ $prefix }}REDIS_URL
  value: {{ include "streamdesk.redisUrl" . | quote }}
{{- else -}}
- name: {{ $prefix }}REDIS_URL
  valueFrom:
    secretKeyRef:
      name: {{ $external.existingSecret | quote }}
      key: {{ index $external.urlKeys .user | default $external.urlKey | quote }}
{{- end }}
{{- end }}

{{/* The three Sentinels by the Service of each pod; the kubelet expands $(…). */}}
{{- define "streamdesk.redisUrl" -}}
{{- $redis := .root.Values.redis -}}
{{- $hosts := list -}}
{{- range until 3 -}}
{{- $hosts = append $hosts (printf "%s-redis-%d.%s.svc:26379" $.root.Release.Name . $.root.Release.Namespace) -}}
{{- end -}}
redis{{ if $redis.tls.enabled }}s{{ end }}+sentinel://{{ .user }}:$({{ .prefix | default "" }}REDIS_USER_PASSWORD)@
{{- join "," $hosts }}/{{ $redis.masterName }}/0
{{- /* Clients reach the master by its address, which certificates rarely name. */ -}}
{{- if $redis.tls.enabled }}?ssl_ca_certs=/redis-tls/ca.crt&ssl_check_hostname=false{{ end -}}
{{- end }}

{{/* The certificate authority of Redis, for pods that connect to it over TLS. */}}
{{- define "streamdesk.redisVolume" -}}
{{- if and .Values.redis.enabled .Values.redis.tls.enabled }}
- name: redis-tls
  secret:
    secretName: {{ .Values.redis.tls.existingSecret | quote }}
    items: [{key: ca.crt, path: ca.crt}]
{{- end }}
{{- end }}

{{- define "streamdesk.redisMount" -}}
{{- if and .Values.redis.enabled .Values.redis.tls.enabled }}
- {name: redis-tls, mountPath: /redis-tls, readOnly: true}
{{- end }}
{{- end }}

{{/* LEDGER_URL, and PAPER_BROKER_URL for the same database. */}}
{{- define "streamdesk.ledgerEnv" -}}
{{- $postgres := .root.Values.postgres -}}
{{- if $postgres.enabled -}}
- name: POSTGRES_PASSWORD
  valueFrom:
    secretKeyRef:
      name: {{ $postgres.auth.existingSecret | default (printf "%s-postgres-auth" .root.Release.Name) | quote }}
      key: password
- name: LEDGER_URL
  value: postgresql+asyncpg://{{ $postgres.user }}:$(POSTGRES_PASSWORD)@{{ .root.Release.Name }}-postgres:5432/{{ $postgres.database }}
{{- else -}}
- name: LEDGER_URL
  valueFrom:
    secretKeyRef:
      name: {{ .root.Values.externalPostgres.existingSecret | quote }}
      key: {{ .root.Values.externalPostgres.urlKey | quote }}
{{- end }}
- name: PAPER_BROKER_URL
  value: $(LEDGER_URL)
{{- end }}

{{- define "streamdesk.jwtEnv" -}}
- name: GATEWAY_JWT_SECRET
  valueFrom:
    secretKeyRef:
      name: {{ .Values.websocketGateway.auth.existingSecret | default (printf "%s-websocket-gateway-jwt" .Release.Name) | quote }}
      key: {{ .Values.websocketGateway.auth.secretKey | quote }}
{{- end }}

{{- define "streamdesk.operatorEnv" -}}
- name: POD_NAME
  valueFrom:
    fieldRef:
      fieldPath: metadata.name
- name: WATCH_NAMESPACE
  valueFrom:
    fieldRef:
      fieldPath: metadata.namespace
- name: LEASE_NAME
  value: {{ .Release.Name }}-operator
{{- end }}

{{/* All variables of a service that are not in its ConfigMap. */}}
{{- define "streamdesk.env" -}}
{{ include "streamdesk.redisEnv" (dict "root" .root "user" .name) }}
{{- if has "postgres" .facts.speaks }}
{{ include "streamdesk.ledgerEnv" . }}
{{- end }}
{{- if eq .name "alert-relay" }}
{{- include "streamdesk.alertsEnv" .root }}
{{- end }}
{{- if and (eq .name "websocket-gateway") .own.auth.enabled }}
{{ include "streamdesk.jwtEnv" .root }}
{{- end }}
{{- if eq .name "operator" }}
{{ include "streamdesk.operatorEnv" .root }}
{{- end }}
{{- if has "eodhd" .facts.speaks }}
{{ include "streamdesk.eodhdEnv" .root }}
{{- end }}
{{- with .own.env }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* The data of a service's ConfigMap. */}}
{{- define "streamdesk.settings" -}}
{{- $wait := .root.Values.externalRedis.waitReplicas -}}
{{- if .root.Values.redis.enabled }}{{ $wait = 1 }}{{ end -}}
{{- $given := dict "GRACE_SECONDS" .own.graceSeconds "BUS_WAIT_REPLICAS" $wait -}}
{{- with .facts.bars }}{{ $given = set $given "BAR_STORE_FOLDER" . }}{{ end -}}
{{- /* The simulated market never closes, so exchanges' hours do not apply to it. */ -}}
{{- $feed := dig "FEED" "simulated" (.root.Values.signalGenerator.settings | default dict) -}}
{{- if and (eq .name "order-executor") (ne $feed "recorded") }}{{ $given = set $given "SESSIONS" false }}{{ end -}}
{{- if .facts.news }}{{ $given = merge $given (include "streamdesk.newsSettings" . | fromJson) }}{{ end -}}
{{- range $name, $value := mustMergeOverwrite $given (deepCopy .own.settings) }}
{{ $name }}: {{ include "streamdesk.setting" $value | quote }}
{{- end }}
{{- end }}
