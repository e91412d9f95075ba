{{- define "postgres.name" -}}
{{ .Release.Name }}-postgres
{{- end }}

{{- define "postgres.selector" -}}
app.kubernetes.io/name: streamdesk
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: postgres
{{- end }}

{{- define "postgres.labels" -}}
{{ include "postgres.selector" . }}
app.kubernetes.io/part-of: streamdesk
app.kubernetes.io/managed-by: {{ .Release.Service }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "postgres.image" -}}
{{- $name := ternary (printf "%s/%s" .registry .repository) .repository (ne .registry "") -}}
{{ ternary (printf "%s@%s" $name .digest) (printf "%s:%s" $name (toString .tag)) (ne .digest "") }}
{{- end }}

{{- define "postgres.secret" -}}
{{ .Values.auth.existingSecret | default (printf "%s-auth" (include "postgres.name" .)) }}
{{- end }}
