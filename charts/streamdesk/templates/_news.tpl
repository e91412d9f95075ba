{{/*
What only the two news services have: the source and its key, the recording, the rules file, the FinBERT
model. All take a service's map (root, name, own, facts).
*/}}

{{/* Fails with a message when the values of the news services are inconsistent. */}}
{{- define "streamdesk.newsCheck" -}}
{{- $fetcher := .Values.newsFetcher -}}
{{- $eodhd := $fetcher.eodhd -}}
{{- if and $fetcher.enabled (eq $fetcher.source "eodhd") }}
{{- if not (or $eodhd.existingSecret $eodhd.apiKey) }}
{{- fail "newsFetcher.source is eodhd and there is no key: set newsFetcher.eodhd.existingSecret to a secret that holds it, or newsFetcher.eodhd.apiKey to the key itself" }}
{{- end }}
{{- if and $eodhd.existingSecret $eodhd.apiKey }}
{{- fail "newsFetcher.eodhd.existingSecret and newsFetcher.eodhd.apiKey are both set: which one counts? Set one of them" }}
{{- end }}
{{- if and $fetcher.intervalSeconds (lt (float64 $fetcher.intervalSeconds) 60.0) }}
{{- fail (printf "newsFetcher.intervalSeconds is %v and newsFetcher.source eodhd: set 60 or more; 300 to 900 is sensible" $fetcher.intervalSeconds) }}
{{- end }}
{{- end }}
{{- if and .Values.newsFilter.enabled .Values.newsFilter.finbert.enabled (not .Values.newsFilter.finbert.existingClaim) }}
{{- fail "newsFilter.finbert.enabled is true: set newsFilter.finbert.existingClaim to the volume claim that has the model's files" }}
{{- end }}
{{- end }}

{{/* Settings that follow from values of their own, as JSON. */}}
{{- define "streamdesk.newsSettings" -}}
{{- $given := dict -}}
{{- $fetcher := .root.Values.newsFetcher -}}
{{- with $fetcher.tickers }}{{ $given = set $given "NEWS_TICKERS" . }}{{ end -}}
{{- if eq .name "news-fetcher" -}}
{{- $given = set $given "NEWS_SOURCE" $fetcher.source -}}
{{- with $fetcher.intervalSeconds }}{{ $given = set $given "NEWS_INTERVAL_SECONDS" . }}{{ end -}}
{{- if eq $fetcher.source "eodhd" }}{{ $given = set $given "EODHD_URL" $fetcher.eodhd.url }}{{ end -}}
{{- if eq $fetcher.source "recorded" -}}
{{- $given = set $given "NEWS_RECORDING" (ternary "/recording" $fetcher.recording.path (ne $fetcher.recording.configMap "")) -}}
{{- end -}}
{{- else -}}
{{- $given = set $given "NEWS_RULES_FILE" "/rules/rules.yaml" -}}
{{- if .own.finbert.enabled }}{{ $given = merge $given (dict "SENTIMENT_SCORER" "finbert" "FINBERT_FOLDER" "/finbert") }}{{ end -}}
{{- end -}}
{{- toJson $given -}}
{{- end }}

{{- define "streamdesk.eodhdSecret" -}}
{{- .Values.newsFetcher.eodhd.existingSecret | default (printf "%s-news-fetcher-eodhd" .Release.Name) -}}
{{- end }}

{{- define "streamdesk.eodhdEnv" -}}
- name: EODHD_API_KEY
  valueFrom:
    secretKeyRef:
      name: {{ include "streamdesk.eodhdSecret" . | quote }}
      key: {{ .Values.newsFetcher.eodhd.secretKey | quote }}
{{- end }}

{{/* The port of an address: the one that it names, else 443 for https and 80 for http. */}}
{{- define "streamdesk.eodhdPort" -}}
{{- $url := urlParse .Values.newsFetcher.eodhd.url -}}
{{- regexFind ":[0-9]+$" $url.host | trimPrefix ":" | default (ternary "443" "80" (eq $url.scheme "https")) -}}
{{- end }}

{{- define "streamdesk.newsVolumes" -}}
{{- if eq .name "news-filter" }}
# Mounted as a folder, so that the kubelet updates the file in the running pod and the filter reads it.
- name: rules
  configMap:
    name: {{ .root.Release.Name }}-news-filter-rules
{{- if .own.finbert.enabled }}
- name: finbert
  persistentVolumeClaim:
    claimName: {{ .own.finbert.existingClaim | quote }}
    readOnly: true
{{- end }}
{{- else if and (eq .own.source "recorded") .own.recording.configMap }}
- name: recording
  configMap:
    name: {{ .own.recording.configMap | quote }}
{{- end }}
{{- end }}

{{- define "streamdesk.newsMounts" -}}
{{- if eq .name "news-filter" }}
- {name: rules, mountPath: /rules, readOnly: true}
{{- if .own.finbert.enabled }}
- name: finbert
  mountPath: /finbert
  {{- with .own.finbert.subPath }}
  subPath: {{ . | quote }}
  {{- end }}
  readOnly: true
{{- end }}
{{- else if and (eq .own.source "recorded") .own.recording.configMap }}
- {name: recording, mountPath: /recording, readOnly: true}
{{- end }}
{{- end }}

{{/* The rules file. Pods have no checksum of it: a change needs no new pod. */}}
{{- define "streamdesk.newsRules" -}}
apiVersion: v1
kind: ConfigMap
metadata:
  name: {{ .root.Release.Name }}-news-filter-rules
  namespace: {{ .root.Release.Namespace }}
  labels:
    {{- include "streamdesk.labels" (dict "root" .root "name" .name "labels" .own.labels) | nindent 4 }}
  {{- with .own.annotations }}
  annotations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
data:
  rules.yaml: |
    {{- toYaml .own.rules | nindent 4 }}
{{- end }}
