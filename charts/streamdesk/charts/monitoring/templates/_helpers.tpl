{{/*
Shared by all templates. A part of the small stack takes one map:
  root  the chart's root
  name  prometheus, alertmanager or grafana: also the section of its values
  port  what it listens on
*/}}

{{/* Selects a part of the small stack. The name is the program's, not `streamdesk`: selectors for a Prometheus use it. */}}
{{- define "monitoring.selector" -}}
app.kubernetes.io/name: {{ .name }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .name }}
{{- end }}

{{- define "monitoring.labels" -}}
{{ include "monitoring.selector" . }}
{{ include "monitoring.commonLabels" .root }}
{{- end }}

{{- define "monitoring.commonLabels" -}}
app.kubernetes.io/part-of: streamdesk
app.kubernetes.io/managed-by: {{ .Release.Service }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* Labels of objects without a pod: dashboards, PodMonitor, PrometheusRule. */}}
{{- define "monitoring.ownLabels" -}}
app.kubernetes.io/name: streamdesk
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: monitoring
{{ include "monitoring.commonLabels" . }}
{{- end }}

{{- define "monitoring.metadata" -}}
name: {{ .root.Release.Name }}-{{ .name }}
namespace: {{ .root.Release.Namespace }}
labels:
  {{- include "monitoring.labels" . | nindent 2 }}
{{- end }}

{{- define "monitoring.image" -}}
{{- with .registry }}{{ . }}/{{ end -}}
{{- .repository -}}
{{- if .digest }}@{{ .digest }}{{ else }}:{{ .tag }}{{ end -}}
{{- end }}

{{/* Whether to create an object of the Prometheus operator: root, kind, create. */}}
{{- define "monitoring.makes" -}}
{{- if or (eq .create "always") (and (eq .create "auto") (.root.Capabilities.APIVersions.Has (printf "monitoring.coreos.com/v1/%s" .kind))) -}}
yes
{{- end }}
{{- end }}

{{- define "monitoring.grafanaSecret" -}}
{{ .Values.grafana.existingSecret | default (printf "%s-grafana" .Release.Name) }}
{{- end }}

{{- define "monitoring.to" -}}
{{- with . -}}
to:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* Fails with a message when the values are inconsistent. */}}
{{- define "monitoring.check" -}}
{{- if and .Values.grafana.enabled (not .Values.prometheus.enabled) (not .Values.grafana.prometheusUrl) }}
{{- fail "grafana.enabled is true and prometheus.enabled is not: set grafana.prometheusUrl to the Prometheus that it shall ask" }}
{{- end }}
{{- $known := list }}
{{- range (include "monitoring.allGroups" . | fromYamlArray) }}
{{- range .rules }}{{ with .alert }}{{ $known = append $known . }}{{ end }}{{ end }}
{{- end }}
{{- range .Values.rules.exclude }}
{{- if not (has . $known) }}
{{- fail (printf "rules.exclude: there is no alert %q; there are %s" . (sortAlpha $known | join ", ")) }}
{{- end }}
{{- end }}
{{- end }}
