{{/* All objects of a service: root, name, own, facts. */}}
{{- define "streamdesk.component" -}}
---
apiVersion: v1
kind: ConfigMap
metadata:
  {{- include "streamdesk.metadata" . | nindent 2 }}
data:
  {{- include "streamdesk.settings" . | nindent 2 }}
---
apiVersion: apps/v1
kind: Deployment
metadata:
  {{- include "streamdesk.metadata" (merge (dict "exemptions" (include "streamdesk.exemptions" . | fromYaml)) .) | nindent 2 }}
spec:
  # No replicas: the operator and `kubectl scale` set the number, and upgrades do not change it.
  revisionHistoryLimit: 3
  selector:
    matchLabels:
      {{- include "streamdesk.selector" . | nindent 6 }}
  strategy:
    {{- if .own.strategy }}
    {{- toYaml .own.strategy | nindent 4 }}
    {{- else }}
    type: RollingUpdate
    rollingUpdate: {maxUnavailable: 0, maxSurge: 1}
    {{- end }}
  template:
    {{- include "streamdesk.podTemplate" . | nindent 4 }}
---
{{ include "streamdesk.service" . }}
{{- if .own.serviceAccount.create }}
---
apiVersion: v1
kind: ServiceAccount
metadata:
  {{- include "streamdesk.accountMetadata" . | nindent 2 }}
automountServiceAccountToken: false
{{- end }}
{{- if eq .name "news-filter" }}
---
{{ include "streamdesk.newsRules" . }}
{{- end }}
{{- with .own.barStore }}
{{- if and .persistent (not .existingClaim) }}
---
{{ include "streamdesk.claim" $ }}
{{- end }}
{{- end }}
{{- if .root.Values.networkPolicy.enabled }}
---
{{ include "streamdesk.networkPolicy" . }}
{{- end }}
{{- if .own.pdb.enabled }}
---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata:
  {{- include "streamdesk.metadata" . | nindent 2 }}
spec:
  maxUnavailable: {{ .own.pdb.maxUnavailable }}
  # A pod that is not ready processes nothing: it must not block the drain of a node.
  unhealthyPodEvictionPolicy: AlwaysAllow
  selector:
    matchLabels:
      {{- include "streamdesk.selector" . | nindent 6 }}
{{- end }}
{{- end }}

{{/* The claim for the bars; like those of Redis and PostgreSQL it is kept after an uninstall. */}}
{{- define "streamdesk.claim" -}}
apiVersion: v1
kind: PersistentVolumeClaim
metadata:
  name: {{ include "streamdesk.barClaim" . }}
  namespace: {{ .root.Release.Namespace }}
  labels:
    {{- include "streamdesk.labels" (dict "root" .root "name" .name "labels" .own.labels) | nindent 4 }}
  annotations:
    {{- toYaml (merge (dict "helm.sh/resource-policy" "keep") .own.annotations) | nindent 4 }}
spec:
  accessModes:
    {{- toYaml .own.barStore.accessModes | nindent 4 }}
  {{- with .own.barStore.storageClassName }}
  storageClassName: {{ . | quote }}
  {{- end }}
  resources:
    requests:
      storage: {{ .own.barStore.size }}
{{- end }}

{{/*
Checks of kube-score that do not apply here:
  container-image-pull-policy  a tag or digest never changes its meaning here; pulling it again at each
                               start would make every start depend on the registry
  deployment-replicas          the operator and `kubectl scale` set the number
  deployment-strategy          what must never run twice is replaced by Recreate
*/}}
{{- define "streamdesk.exemptions" -}}
kube-score/ignore: container-image-pull-policy,deployment-replicas{{ if eq .own.strategy.type "Recreate" }},deployment-strategy{{ end }}
{{- end }}

{{- define "streamdesk.accountMetadata" -}}
{{- $annotations := merge (dict) .own.serviceAccount.annotations .own.annotations -}}
name: {{ include "streamdesk.serviceAccountName" . }}
namespace: {{ .root.Release.Namespace }}
labels:
  {{- include "streamdesk.labels" (dict "root" .root "name" .name "labels" .own.labels) | nindent 2 }}
{{- with $annotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* The Service for scrapes and for the service's own port. */}}
{{- define "streamdesk.service" -}}
{{- $service := .own.service | default (dict "type" "ClusterIP") -}}
apiVersion: v1
kind: Service
metadata:
  name: {{ .root.Release.Name }}-{{ .name }}
  namespace: {{ .root.Release.Namespace }}
  labels:
    {{- include "streamdesk.labels" (dict "root" .root "name" .name "labels" .own.labels) | nindent 4 }}
  {{- with merge (dict) ($service.annotations | default dict) .own.annotations }}
  annotations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
spec:
  type: {{ $service.type }}
  selector:
    {{- include "streamdesk.selector" . | nindent 4 }}
  ports:
    {{- with .facts.http }}
    - name: http
      port: {{ . }}
      targetPort: http
      {{- with $service.nodePort }}
      nodePort: {{ . }}
      {{- end }}
    {{- end }}
    - name: metrics
      port: 9464
      targetPort: metrics
{{- end }}
