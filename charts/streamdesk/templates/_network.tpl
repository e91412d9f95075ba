{{/* What a pod may connect to, and which clients may connect to it: root, name, own, facts. */}}
{{- define "streamdesk.networkPolicy" -}}
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  {{- include "streamdesk.metadata" . | nindent 2 }}
spec:
  podSelector:
    matchLabels:
      {{- include "streamdesk.selector" . | nindent 6 }}
  policyTypes: [Ingress, Egress]
  {{- with include "streamdesk.ingress" . | trim }}
  ingress:
    {{- . | nindent 4 }}
  {{- end }}
  egress:
    {{- include "streamdesk.egress" . | trim | nindent 4 }}
{{- end }}

{{- define "streamdesk.ingress" -}}
{{- with .root.Values.networkPolicy.metricsFrom }}
- from:
    {{- toYaml . | nindent 4 }}
  ports:
    - {port: 9464, protocol: TCP}
{{- end }}
{{- with .facts.http }}
- ports:
    - {port: {{ . }}, protocol: TCP}
  {{- with $.own.allowFrom }}
  from:
    {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end }}
{{- with .own.networkPolicy.extraIngress }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "streamdesk.egress" -}}
{{- $values := .root.Values }}
- ports:
    - {port: 53, protocol: UDP}
    - {port: 53, protocol: TCP}
  {{- include "streamdesk.to" $values.networkPolicy.dnsTo | nindent 2 }}
{{- range .facts.speaks }}
{{- if eq . "apiServer" }}
{{ include "streamdesk.outwards" (dict "ports" $values.networkPolicy.apiServerPorts "to" $values.networkPolicy.apiServerTo) }}
{{- else if eq . "dingtalk" }}
{{ include "streamdesk.outwards" (dict "ports" $values.alertRelay.robotPorts "to" $values.alertRelay.robotTo) }}
{{- else if and (eq . "redis") $values.redis.enabled }}
{{ include "streamdesk.inwards" (dict "root" $.root "name" "redis" "ports" (list 6379 26379)) }}
{{- else if eq . "redis" }}
{{ include "streamdesk.outwards" $values.externalRedis }}
{{- else if and (eq . "postgres") $values.postgres.enabled }}
{{ include "streamdesk.inwards" (dict "root" $.root "name" "postgres" "ports" (list 5432)) }}
{{- else if eq . "postgres" }}
{{ include "streamdesk.outwards" $values.externalPostgres }}
{{- else if eq . "eodhd" }}
{{ include "streamdesk.outwards" (dict "ports" (list (include "streamdesk.eodhdPort" $.root)) "to" $values.newsFetcher.eodhd.to) }}
{{- else }}
{{- $port := (index (include "streamdesk.services" $.root | fromYaml) .).http }}
{{ include "streamdesk.inwards" (dict "root" $.root "name" . "ports" (list $port)) }}
{{- end }}
{{- end }}
{{- with .own.networkPolicy.extraEgress }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* A rule to pods of this release. */}}
{{- define "streamdesk.inwards" -}}
- to:
    - podSelector:
        matchLabels:
          {{- include "streamdesk.selector" . | nindent 10 }}
  {{- include "streamdesk.ports" .ports | nindent 2 }}
{{- end }}

{{/* A rule to something else: ports, to. */}}
{{- define "streamdesk.outwards" -}}
- {{ include "streamdesk.ports" .ports | nindent 2 | trim }}
  {{- include "streamdesk.to" .to | nindent 2 }}
{{- end }}

{{- define "streamdesk.ports" -}}
ports:
  {{- range . }}
  - {port: {{ . }}, protocol: TCP}
  {{- end }}
{{- end }}

{{- define "streamdesk.to" -}}
{{- with . -}}
to:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}
