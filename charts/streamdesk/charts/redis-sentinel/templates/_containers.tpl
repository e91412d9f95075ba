{{/* Parts of the containers. */}}

{{- define "redis-sentinel.env" -}}
{{- $name := include "redis-sentinel.name" . -}}
{{- $nodes := list -}}
{{- range $ordinal := list 0 1 2 }}{{ $nodes = append $nodes (printf "%s-%d.%s.svc" $name $ordinal $.Release.Namespace) }}{{ end -}}
- {name: POD_NAME, valueFrom: {fieldRef: {fieldPath: metadata.name}}}
- {name: POD_IP, valueFrom: {fieldRef: {fieldPath: status.podIP}}}
- {name: SET_NAME, value: {{ printf "%s/%s" .Release.Namespace $name | quote }}}
- {name: NODES, value: {{ join " " $nodes | quote }}}
- {name: MASTER_NAME, value: {{ .Values.masterName | quote }}}
- {name: REDIS_COMMAND, value: {{ join " " .Values.redis.command | quote }}}
- {name: SENTINEL_COMMAND, value: {{ join " " .Values.sentinel.command | quote }}}
- {name: QUORUM, value: {{ .Values.sentinel.quorum | quote }}}
- {name: DOWN_AFTER_MS, value: {{ .Values.sentinel.downAfterMilliseconds | int | quote }}}
- {name: STAGGER_MS, value: {{ .Values.sentinel.staggerMilliseconds | int | quote }}}
- {name: FAILOVER_TIMEOUT_MS, value: {{ .Values.sentinel.failoverTimeoutMilliseconds | int | quote }}}
- {name: PARALLEL_SYNCS, value: {{ .Values.sentinel.parallelSyncs | quote }}}
- {name: ALONE_SECONDS, value: {{ .Values.boot.aloneSeconds | quote }}}
- {name: YIELD_SECONDS, value: {{ .Values.boot.yieldSeconds | quote }}}
{{- if .Values.tls.enabled }}
- {name: TLS_ARGUMENTS, value: "--tls --cacert /etc/redis-tls/ca.crt"}
{{- end }}
{{- end }}

{{- define "redis-sentinel.mounts" -}}
- {name: data, mountPath: /data}
- {name: run, mountPath: /run/redis}
- {name: tmp, mountPath: /tmp}
- {name: config, mountPath: /etc/redis, readOnly: true}
- {name: scripts, mountPath: /scripts, readOnly: true}
- {name: auth, mountPath: /etc/redis-auth, readOnly: true}
{{- if .Values.tls.enabled }}
- {name: tls, mountPath: /etc/redis-tls, readOnly: true}
{{- end }}
{{- end }}

{{- define "redis-sentinel.exporter" -}}
{{- $exporter := .Values.exporter -}}
- name: exporter
  image: {{ include "redis-sentinel.image" $exporter.image }}
  imagePullPolicy: {{ $exporter.image.pullPolicy }}
  command: {{- toYaml $exporter.command | nindent 4 }}
  args:
    - --redis.addr={{ ternary "rediss" "redis" .Values.tls.enabled }}://127.0.0.1:6379
    - --redis.user=exporter
    # It may not read the configuration, which contains passwords.
    - --config-command=-
    - --check-single-streams={{ join "," $exporter.streams }}
    {{- if .Values.tls.enabled }}
    - --skip-tls-verification
    {{- end }}
    {{- range $exporter.extraArgs }}
    - {{ . | quote }}
    {{- end }}
  env:
    - name: REDIS_PASSWORD
      valueFrom:
        secretKeyRef: {name: {{ include "redis-sentinel.secret" . }}, key: exporter-password}
  ports:
    - {name: metrics, containerPort: 9121}
  startupProbe:
    httpGet: {path: /health, port: metrics}
    periodSeconds: 2
    failureThreshold: 60
  livenessProbe:
    httpGet: {path: /health, port: metrics}
    periodSeconds: 20
    timeoutSeconds: 5
    failureThreshold: 6
  readinessProbe:
    tcpSocket: {port: metrics}
    periodSeconds: 10
    timeoutSeconds: 5
  resources: {{- toYaml $exporter.resources | nindent 4 }}
  securityContext: {{- include "redis-sentinel.containerSecurity" . | nindent 4 }}
{{- end }}
