{{/* All objects of a part of the small stack: root, name, port, own, checksum, pod (its parts as YAML). */}}
{{- define "monitoring.workload" -}}
apiVersion: v1
kind: ServiceAccount
metadata:
  {{- include "monitoring.metadata" . | nindent 2 }}
automountServiceAccountToken: false
---
apiVersion: v1
kind: Service
metadata:
  {{- include "monitoring.metadata" . | nindent 2 }}
spec:
  type: ClusterIP
  selector:
    {{- include "monitoring.selector" . | nindent 4 }}
  ports:
    - {name: http, port: {{ .port }}, targetPort: http}
---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata:
  {{- include "monitoring.metadata" . | nindent 2 }}
spec:
  # There is only one pod, and a drain may evict it.
  maxUnavailable: 1
  unhealthyPodEvictionPolicy: AlwaysAllow
  selector:
    matchLabels:
      {{- include "monitoring.selector" . | nindent 6 }}
{{- if .root.Values.networkPolicy.enabled }}
---
{{ include "monitoring.networkPolicy" . }}
{{- end }}
{{- if and .own.persistence (dig "persistence" "enabled" false .own) (not (dig "persistence" "existingClaim" "" .own)) }}
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata:
  {{- include "monitoring.metadata" . | nindent 2 }}
spec:
  accessModes: [ReadWriteOnce]
  {{- with .own.persistence.storageClassName }}
  storageClassName: {{ . | quote }}
  {{- end }}
  resources:
    requests: {storage: {{ .own.persistence.size }}}
{{- end }}
---
apiVersion: apps/v1
kind: Deployment
metadata:
  {{- include "monitoring.metadata" . | nindent 2 }}
  annotations:
    # An image by tag does not change. Recreate: two pods must never share the disk.
    kube-score/ignore: container-image-pull-policy,deployment-replicas,deployment-strategy
spec:
  replicas: 1
  revisionHistoryLimit: 3
  strategy: {type: Recreate}
  selector:
    matchLabels:
      {{- include "monitoring.selector" . | nindent 6 }}
  template:
    {{- include "monitoring.podTemplate" . | nindent 4 }}
{{- end }}

{{- define "monitoring.podTemplate" -}}
{{- $values := .root.Values -}}
metadata:
  labels:
    {{- include "monitoring.labels" . | nindent 4 }}
  annotations:
    checksum/config: {{ .config | sha256sum }}
spec:
  serviceAccountName: {{ .root.Release.Name }}-{{ .name }}
  automountServiceAccountToken: {{ eq .name "prometheus" }}
  enableServiceLinks: false
  {{- with $values.pullSecrets }}
  imagePullSecrets:
    {{- range . }}
    - name: {{ . | quote }}
    {{- end }}
  {{- end }}
  securityContext:
    {{- toYaml $values.podSecurityContext | nindent 4 }}
  containers:
    - name: {{ .name }}
      image: {{ include "monitoring.image" .own.image }}
      imagePullPolicy: {{ .own.image.pullPolicy }}
      {{- with .own.command }}
      command:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      {{- .container | nindent 6 }}
      ports:
        - {name: http, containerPort: {{ .port }}}
      resources:
        {{- toYaml .own.resources | nindent 8 }}
      securityContext:
        allowPrivilegeEscalation: false
        readOnlyRootFilesystem: true
        runAsNonRoot: true
        runAsUser: {{ $values.podSecurityContext.runAsUser }}
        runAsGroup: {{ $values.podSecurityContext.runAsGroup }}
        capabilities: {drop: [ALL]}
        seccompProfile: {type: RuntimeDefault}
  volumes:
    {{- .volumes | nindent 4 }}
  {{- with $values.affinity }}
  affinity:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with $values.nodeSelector }}
  nodeSelector:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with $values.tolerations }}
  tolerations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with $values.priorityClassName }}
  priorityClassName: {{ . | quote }}
  {{- end }}
{{- end }}

{{/* The volume that a part writes to. */}}
{{- define "monitoring.dataVolume" -}}
- name: data
  {{- if .own.persistence.existingClaim }}
  persistentVolumeClaim: {claimName: {{ .own.persistence.existingClaim | quote }}}
  {{- else if .own.persistence.enabled }}
  persistentVolumeClaim: {claimName: {{ .root.Release.Name }}-{{ .name }}}
  {{- else }}
  emptyDir: {sizeLimit: {{ .own.persistence.size }}}
  {{- end }}
{{- end }}

{{/* The probes, the same for all parts; replaying a log at the start can take long. */}}
{{- define "monitoring.probes" -}}
startupProbe:
  httpGet: {path: {{ .healthy }}, port: http}
  periodSeconds: 2
  timeoutSeconds: 5
  failureThreshold: 300
livenessProbe:
  httpGet: {path: {{ .healthy }}, port: http}
  periodSeconds: 15
  timeoutSeconds: 5
  failureThreshold: 6
readinessProbe:
  {{- if .ready }}
  httpGet: {path: {{ .ready }}, port: http}
  {{- else }}
  tcpSocket: {port: http}
  {{- end }}
  periodSeconds: 5
  timeoutSeconds: 5
{{- end }}

{{- define "monitoring.networkPolicy" -}}
{{- $policy := .root.Values.networkPolicy -}}
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  {{- include "monitoring.metadata" . | nindent 2 }}
spec:
  podSelector:
    matchLabels:
      {{- include "monitoring.selector" . | nindent 6 }}
  policyTypes: [Ingress, Egress]
  ingress:
    - ports:
        - {port: {{ .port }}, protocol: TCP}
      {{- with .own.allowFrom }}
      from:
        {{- toYaml . | nindent 8 }}
        # The small Prometheus and Grafana always may, whatever the values allow.
        - podSelector:
            matchLabels:
              app.kubernetes.io/instance: {{ $.root.Release.Name }}
            matchExpressions:
              - {key: app.kubernetes.io/name, operator: In, values: [prometheus, grafana]}
      {{- end }}
  egress:
    - ports:
        - {port: 53, protocol: UDP}
        - {port: 53, protocol: TCP}
      {{- include "monitoring.to" $policy.dnsTo | nindent 6 }}
    {{- .egress | nindent 4 }}
    {{- with .own.extraEgress }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
{{- end }}

{{/* A rule for a part of this release: root, ports, and labels that select it. */}}
{{- define "monitoring.inwards" -}}
- to:
    - podSelector:
        matchLabels:
          app.kubernetes.io/instance: {{ .root.Release.Name }}
          {{- with .labels }}
          {{- toYaml . | nindent 10 }}
          {{- end }}
  ports:
    {{- range .ports }}
    - {port: {{ . }}, protocol: TCP}
    {{- end }}
{{- end }}
