{{/*
How the pods of the desk are scraped, for the PodMonitor and the small Prometheus, in Prometheus' own
format. Rules and dashboards expect the job `streamdesk-<component>`. The instance is the pod's name,
which people recognise, rather than its address.
*/}}
{{- define "monitoring.relabel" -}}
- source_labels: [__meta_kubernetes_namespace]
  target_label: namespace
- source_labels: [__meta_kubernetes_pod_name]
  target_label: pod
- source_labels: [__meta_kubernetes_pod_name]
  target_label: instance
- source_labels: [__meta_kubernetes_pod_label_app_kubernetes_io_component]
  regex: (.+)
  target_label: job
  replacement: streamdesk-$1
# The exporter listens in the pod of its Redis.
- source_labels: [__meta_kubernetes_pod_label_app_kubernetes_io_component]
  regex: redis
  target_label: job
  replacement: streamdesk-redis-exporter
{{- end }}

{{/* The exporter also scrapes the Sentinel in its pod, at the address in the pod's annotation. */}}
{{- define "monitoring.relabelSentinel" -}}
- source_labels: [__meta_kubernetes_pod_annotation_streamdesk_io_sentinel]
  regex: (.+)
  action: keep
- source_labels: [__meta_kubernetes_pod_annotation_streamdesk_io_sentinel]
  target_label: __param_target
{{ include "monitoring.relabel" . }}
- source_labels: [__meta_kubernetes_pod_name]
  regex: (.+)
  target_label: instance
  replacement: $1-sentinel
{{- end }}

{{/* The same in the PodMonitor's format. */}}
{{- define "monitoring.relabelings" -}}
{{ . | replace "source_labels:" "sourceLabels:" | replace "target_label:" "targetLabel:" }}
{{- end }}

{{/* prometheus.yml of the small Prometheus. */}}
{{- define "monitoring.prometheusConfig" -}}
{{- $prometheus := .Values.prometheus -}}
global:
  scrape_interval: {{ $prometheus.interval }}
  evaluation_interval: {{ $prometheus.interval }}
rule_files: [/etc/prometheus/rules.yml]
{{- $alertmanagers := $prometheus.alertmanagers }}
{{- if .Values.alertmanager.enabled }}
{{- $alertmanagers = prepend $alertmanagers (printf "%s-alertmanager:9093" .Release.Name) }}
{{- end }}
{{- with $alertmanagers }}
alerting:
  alertmanagers:
    - static_configs:
        - targets: {{ toJson . }}
{{- end }}
scrape_configs:
  # A pod's own labels take precedence: `namespace` and `service` among them.
  - job_name: streamdesk
    honor_labels: true
    {{- include "monitoring.discovery" . | nindent 4 }}
      # The desk's pods, and those of this stack.
      - source_labels:
          - __meta_kubernetes_pod_label_app_kubernetes_io_name
          - __meta_kubernetes_pod_container_port_name
        regex: streamdesk;metrics|(prometheus|alertmanager|grafana);http
        action: keep
      {{- include "monitoring.relabel" . | nindent 6 }}
  - job_name: redis-sentinel
    honor_labels: true
    metrics_path: /scrape
    {{- include "monitoring.discovery" . | nindent 4 }}
      - source_labels: [__meta_kubernetes_pod_container_port_name]
        regex: metrics
        action: keep
      {{- include "monitoring.relabelSentinel" . | nindent 6 }}
  {{- with $prometheus.extraScrapeConfigs }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end }}

{{- define "monitoring.discovery" -}}
kubernetes_sd_configs:
  - role: pod
    namespaces: {own_namespace: true}
    selectors:
      - {role: pod, label: "app.kubernetes.io/instance={{ .Release.Name }}"}
relabel_configs:
  - source_labels: [__meta_kubernetes_pod_phase]
    regex: Failed|Succeeded
    action: drop
{{- end }}

{{/* alertmanager.yml. The relay limits the rate, sorts and groups, so it gets all alerts without delay. */}}
{{- define "monitoring.alertmanagerConfig" -}}
{{- $relay := .Values.alertmanager.relay -}}
route:
  receiver: {{ ternary "relay" "nobody" (ne $relay.existingSecret "") }}
  group_by: [namespace, alertname]
  group_wait: 10s
  group_interval: 1m
  repeat_interval: {{ .Values.alertmanager.repeatInterval }}
receivers:
  {{- if $relay.existingSecret }}
  - name: relay
    webhook_configs:
      - url: {{ $relay.url | default (printf "http://%s-alert-relay:8060/webhook" .Release.Name) | quote }}
        send_resolved: true
        http_config:
          authorization:
            credentials_file: /etc/relay/token
  {{- else }}
  - name: nobody
  {{- end }}
{{- end }}
