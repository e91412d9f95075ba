{{/* A pod of `helm test`: root, script (a file in files/ without .py), name (whose image), env. */}}
{{- define "streamdesk.testPod" -}}
{{- $context := include "streamdesk.context" (dict "root" .root "name" .name) | fromJson -}}
{{- $context = set $context "root" .root -}}
{{- $values := .root.Values.tests -}}
apiVersion: v1
kind: Pod
metadata:
  name: {{ .root.Release.Name }}-test-{{ .script | replace "_" "-" }}
  namespace: {{ .root.Release.Namespace }}
  labels:
    {{- include "streamdesk.labels" (dict "root" .root "name" "test") | nindent 4 }}
    streamdesk.io/redis-client: "true"
  annotations:
    helm.sh/hook: test
    helm.sh/hook-delete-policy: before-hook-creation,hook-succeeded
    kube-score/ignore: container-image-pull-policy # as for the services
    helm.sh/hook-output-log-policy: hook-succeeded,hook-failed
spec:
  restartPolicy: Never
  activeDeadlineSeconds: {{ $values.timeoutSeconds }}
  automountServiceAccountToken: false
  enableServiceLinks: false
  {{- with .root.Values.image.pullSecrets }}
  imagePullSecrets:
    {{- range . }}
    - name: {{ . | quote }}
    {{- end }}
  {{- end }}
  securityContext:
    {{- toYaml $context.own.podSecurityContext | nindent 4 }}
  containers:
    - name: test
      image: {{ include "streamdesk.image" $context }}
      imagePullPolicy: {{ $context.own.image.pullPolicy | default .root.Values.image.pullPolicy }}
      command: [/app/bin/python, /tests/{{ .script }}.py]
      securityContext:
        {{- toYaml $context.own.securityContext | nindent 8 }}
      # The keys of the topics, where they are not the defaults.
      envFrom:
        - configMapRef:
            name: {{ .root.Release.Name }}-{{ .name }}
      env:
        {{- .env | nindent 8 }}
      resources:
        {{- toYaml $values.resources | nindent 8 }}
      volumeMounts:
        - {name: tests, mountPath: /tests, readOnly: true}
        {{- include "streamdesk.redisMount" .root | nindent 8 }}
        {{- with $context.own.volumeMounts }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
  volumes:
    - name: tests
      configMap:
        name: {{ .root.Release.Name }}-test
    {{- include "streamdesk.redisVolume" .root | nindent 4 }}
    {{- with $context.own.volumes }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  {{- include "streamdesk.placement" $context | nindent 2 }}
{{- end }}
