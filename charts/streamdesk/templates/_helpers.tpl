{{/*
Shared by all templates. A service's templates take one map, made by streamdesk.context:
  root  the chart's root (.Values, .Release, .Chart …)
  name  the service, as in signal-generator
  own   its values, merged over `defaults`
  facts what the chart knows about it: streamdesk.services
*/}}

{{/*
The services: their section in values.yaml, what they connect to, their port besides 9464 (`http`), their
folder for bars, whether _news.tpl has more of them.
*/}}
{{- define "streamdesk.services" -}}
# services.toml: facts
signal-generator: {section: signalGenerator, speaks: [redis]}
order-executor: {section: orderExecutor, speaks: [redis, postgres]}
news-fetcher: {section: newsFetcher, speaks: [redis], news: true}
news-filter: {section: newsFilter, speaks: [redis], news: true}
analysis: {section: analysis, speaks: [redis], http: 5000, bars: /bars}
websocket-gateway: {section: websocketGateway, speaks: [redis], http: 8080}
alert-relay: {section: alertRelay, speaks: [redis, dingtalk], http: 8060}
operator: {section: operator, speaks: [redis, apiServer]}
# services.toml: end
{{- end }}

{{- define "streamdesk.context" -}}
{{- $facts := index (include "streamdesk.services" .root | fromYaml) .name -}}
{{- $own := mustMergeOverwrite (deepCopy .root.Values.defaults) (deepCopy (index .root.Values $facts.section)) -}}
{{- if $facts.bars -}}
{{- $bars := $own.barStore -}}
{{- if and (or $bars.persistent $bars.existingClaim) (not (has "ReadWriteMany" $bars.accessModes)) -}}
{{- /* A second pod, on another node, would wait for the volume indefinitely. */ -}}
{{- $own = set $own "strategy" ($own.strategy | default (dict "type" "Recreate")) -}}
{{- end -}}
{{- end -}}
{{- if and (eq .name "news-fetcher") (eq $own.source "eodhd") -}}
{{- $facts = set $facts "speaks" (append $facts.speaks "eodhd") -}}
{{- end -}}
{{- if and (eq .name "news-filter") $own.finbert.enabled -}}
{{- $variant := $own.finbert.image | default (printf "%s/news-filter-finbert" .root.Values.image.repository) -}}
{{- $own = set $own "image" (set $own.image "repository" $variant) -}}
{{- $own = set $own "resources" $own.finbert.resources -}}
{{- end -}}
{{- dict "name" .name "own" $own "facts" $facts | toJson -}}
{{- end }}

{{- define "streamdesk.selector" -}}
app.kubernetes.io/name: streamdesk
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .name }}
{{- end }}

{{/* root, name, and optionally labels of the user's. */}}
{{- define "streamdesk.labels" -}}
{{ include "streamdesk.selector" . }}
app.kubernetes.io/part-of: streamdesk
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
{{- with .labels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* metadata of an object of a service; exemptions from checks are annotations of it. */}}
{{- define "streamdesk.metadata" -}}
name: {{ .root.Release.Name }}-{{ .name }}
namespace: {{ .root.Release.Namespace }}
labels:
  {{- include "streamdesk.labels" (dict "root" .root "name" .name "labels" .own.labels) | nindent 2 }}
{{- with merge (dict) (.exemptions | default dict) (.own.annotations | default dict) }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{- define "streamdesk.image" -}}
{{- $all := .root.Values.image -}}
{{- $name := .own.image.repository | default (printf "%s/%s" $all.repository .name) -}}
{{- with $all.registry }}{{ . }}/{{ end -}}
{{- $name -}}
{{- if .own.image.digest }}@{{ .own.image.digest }}
{{- else }}:{{ .own.image.tag | default $all.tag | default .root.Chart.AppVersion }}{{ end -}}
{{- end }}

{{- define "streamdesk.serviceAccountName" -}}
{{- .own.serviceAccount.name | default (printf "%s-%s" .root.Release.Name .name) -}}
{{- end }}

{{/* A setting's value as the services read it: lists with commas, maps as JSON. */}}
{{- define "streamdesk.setting" -}}
{{- if kindIs "slice" . }}{{ join "," . }}
{{- else if kindIs "string" . }}{{ . }}
{{- else }}{{ toJson . }}{{ end -}}
{{- end }}

{{/* The claim for the bar store; empty: each pod has a folder of its own. */}}
{{- define "streamdesk.barClaim" -}}
{{- if .own.barStore.existingClaim }}{{ .own.barStore.existingClaim }}
{{- else if .own.barStore.persistent }}{{ .root.Release.Name }}-{{ .name }}-bars{{ end -}}
{{- end }}

{{/* Fails with a message when the values are inconsistent. */}}
{{- define "streamdesk.check" -}}
{{- include "streamdesk.alertsCheck" . }}
{{- if gt (len .Release.Name) 40 }}
{{- fail (printf "release name %q has %d characters; 40 fit into the names of all objects" .Release.Name (len .Release.Name)) }}
{{- end }}
{{- if not (or .Values.redis.enabled .Values.externalRedis.existingSecret) }}
{{- fail "redis.enabled is false: set externalRedis.existingSecret to a secret that holds the URL of a Redis" }}
{{- end }}
{{- if not (or .Values.postgres.enabled .Values.externalPostgres.existingSecret (not .Values.orderExecutor.enabled)) }}
{{- fail "postgres.enabled is false: set externalPostgres.existingSecret to a secret that holds the URL of a database, or orderExecutor.enabled to false" }}
{{- end }}
{{- include "streamdesk.newsCheck" . }}
{{- end }}
