{{/* What the alert relay has beyond the others. */}}

{{/* Stops with a sentence when the values cannot tell anybody of an alert. */}}
{{- define "streamdesk.alertsCheck" -}}
{{- if and .Values.alertRelay.enabled (not .Values.alertRelay.existingSecret) }}
{{- fail "alertRelay.enabled is true: set alertRelay.existingSecret to a secret with the robot's address, its signing secret, and a token for Alertmanager" }}
{{- end }}
{{- end }}

{{/* The three variables that are secrets; a robot that asks for no signature has no second one. */}}
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
