{{- define "streamdesk.podTemplate" -}}
metadata:
  labels:
    {{- include "streamdesk.labels" (dict "root" .root "name" .name "labels" .own.labels) | nindent 4 }}
  annotations:
    checksum/settings: {{ include "streamdesk.settings" . | sha256sum }}
    {{- if and (has "eodhd" .facts.speaks) .own.eodhd.apiKey }}
    checksum/eodhd: {{ .own.eodhd.apiKey | sha256sum }}
    {{- end }}
    {{- with .own.podAnnotations }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
spec:
  serviceAccountName: {{ include "streamdesk.serviceAccountName" . }}
  automountServiceAccountToken: {{ has "apiServer" .facts.speaks }}
  enableServiceLinks: false
  terminationGracePeriodSeconds: {{ add .own.graceSeconds .own.preStopSeconds 5 }}
  {{- with .root.Values.image.pullSecrets }}
  imagePullSecrets:
    {{- range . }}
    - name: {{ . | quote }}
    {{- end }}
  {{- end }}
  securityContext:
    {{- toYaml .own.podSecurityContext | nindent 4 }}
  containers:
    - {{- include "streamdesk.container" . | nindent 6 }}
  volumes:
    - name: tmp
      emptyDir:
        sizeLimit: 32Mi
    {{- include "streamdesk.redisVolume" .root | nindent 4 }}
    {{- with .facts.bars }}
    {{- include "streamdesk.barVolume" $ | nindent 4 }}
    {{- end }}
    {{- if .facts.news }}
    {{- include "streamdesk.newsVolumes" . | nindent 4 }}
    {{- end }}
    {{- with .own.volumes }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  {{- include "streamdesk.placement" . | nindent 2 }}
{{- end }}

{{- define "streamdesk.container" -}}
name: {{ .name }}
image: {{ include "streamdesk.image" . }}
imagePullPolicy: {{ .own.image.pullPolicy | default .root.Values.image.pullPolicy }}
{{- with .own.command }}
command:
  {{- toYaml . | nindent 2 }}
{{- end }}
securityContext:
  {{- toYaml .own.securityContext | nindent 2 }}
envFrom:
  - configMapRef:
      name: {{ .root.Release.Name }}-{{ .name }}
  {{- with .own.envFrom }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
env:
  {{- include "streamdesk.env" . | nindent 2 }}
ports:
  - name: metrics
    containerPort: 9464
  {{- with .facts.http }}
  - name: http
    containerPort: {{ . }}
  {{- end }}
{{- include "streamdesk.probes" . }}
{{- with .own.preStopSeconds }}
lifecycle:
  preStop:
    sleep:
      seconds: {{ . }}
{{- end }}
resources:
  {{- toYaml .own.resources | nindent 2 }}
volumeMounts:
  - name: tmp
    mountPath: /tmp
  {{- include "streamdesk.redisMount" .root | nindent 2 }}
  {{- with .facts.bars }}
  - {name: bars, mountPath: {{ . }}}
  {{- end }}
  {{- if .facts.news }}
  {{- include "streamdesk.newsMounts" . | nindent 2 }}
  {{- end }}
  {{- with .own.volumeMounts }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end }}

{{- define "streamdesk.probes" -}}
{{- range $kind, $path := dict "startup" "/livez" "liveness" "/livez" "readiness" "/readyz" }}
{{ $kind }}Probe:
  httpGet:
    path: {{ $path }}
    port: metrics
  {{- toYaml (index $.own.probes $kind) | nindent 2 }}
{{- end }}
{{- end }}

{{- define "streamdesk.barVolume" -}}
{{- $claim := include "streamdesk.barClaim" . -}}
- name: bars
  {{- if $claim }}
  persistentVolumeClaim:
    claimName: {{ $claim }}
  {{- else }}
  emptyDir:
    sizeLimit: {{ .own.barStore.size }}
  {{- end }}
{{- end }}

{{/* Which node a pod goes to. */}}
{{- define "streamdesk.placement" -}}
{{- $selector := dict "matchLabels" (include "streamdesk.selector" . | fromYaml) -}}
affinity:
  {{- if .own.affinity }}
  {{- toYaml .own.affinity | nindent 2 }}
  {{- else }}
  podAntiAffinity:
    preferredDuringSchedulingIgnoredDuringExecution:
      - weight: 100
        podAffinityTerm:
          topologyKey: kubernetes.io/hostname
          labelSelector:
            {{- toYaml $selector | nindent 12 }}
  {{- end }}
{{- with .own.topologySpreadConstraints }}
topologySpreadConstraints:
  {{- range . }}
  - {{- toYaml (merge (dict) . (dict "labelSelector" $selector)) | nindent 4 }}
  {{- end }}
{{- end }}
{{- with .own.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .own.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .own.priorityClassName }}
priorityClassName: {{ . | quote }}
{{- end }}
{{- end }}
