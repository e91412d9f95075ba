{{/* The part of NOTES.txt about the chart in charts/monitoring. */}}
{{- define "streamdesk.watchingNotes" -}}
{{- with .Values.monitoring }}
{{- if .enabled }}

{{ if .grafana.enabled -}}
Dashboards are at http://localhost:3000 while this runs (admin; the password is in the secret {{ .grafana.existingSecret | default (printf "%s-grafana" $.Release.Name) }}):

   kubectl -n {{ $.Release.Namespace }} port-forward service/{{ $.Release.Name }}-grafana 3000
{{- else if $.Capabilities.APIVersions.Has "monitoring.coreos.com/v1/PodMonitor" -}}
This cluster has a Prometheus operator; a PodMonitor and alert rules of the desk were installed.
{{- if not .podMonitor.additionalLabels }} A Prometheus that selects by
labels, as kube-prometheus-stack's does, ignores them until monitoring.podMonitor.additionalLabels
and monitoring.rules.additionalLabels have its labels.
{{- end }}
{{- else -}}
Dashboards are ConfigMaps for Grafana's sidecar. This cluster has no Prometheus operator; to install a small stack
with the desk, set monitoring.prometheus.enabled, monitoring.alertmanager.enabled, monitoring.grafana.enabled.
{{- end }}
{{- end }}
{{- end }}
{{- end }}
