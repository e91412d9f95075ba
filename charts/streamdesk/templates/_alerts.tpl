{{/* What only the alert relay has. */}}

{{/* Fails with a message when the relay lacks its secret. */}}
{{- define "streamdesk.alertsCheck" -}}
{{- if and .Values.alertRelay.enabled (not .Values.alertRelay.existingSecret) }}
{{- fail "alertRelay.enabled is true: set alertRelay.existingSecret to a secret with the robot's address, its signing secret, and a token for Alertmanager" }}
{{- end }}
{{- end }}

{{/* The three variables that are secrets; the second is optional, for robots that require a signature. */}}
{{- define "streamdesk.alertsEnv" -}}
{{- $relay := .Values.alertRelay -}}
{{- range $name, $key := dict "DINGTALK_URL" $relay.urlKey "DINGTALK_SECRET" $relay.signingKey "ALERT_RELAY_TOKEN" $relay.tokenKey }}
- name: {{ $name }}
  valueFrom:
    secretKeyRef:
      name: {{ $relay.existingSecret | quote }}
      key: {{ $key | quote }}
      {{- if eq $name "DINGTALK_SECRET" }}
      optional: true
      {{- end }}
{{- end }}
{{- end }}
