{{/*
The permissions of a user, as ACL rules of Redis. A topic's keys are the topic itself, its dead letters
and all keys with its hash tag: classes, shards and helper keys. Each role has a selector of its own, so
that the right to read one topic and the right to write another do not combine. Lua scripts have the
permissions of their user. A publisher moves a group past what a full queue gives up.
*/}}

{{- define "redis-sentinel.patterns" -}}
{{- range . }} ~{{ . }} ~{{ . }}:dead ~{{ printf "{%s}" . }}:* ~{{ printf "{%s:" . }}*{{ end }}
{{- end }}

{{- define "redis-sentinel.anyCommands" -}}
+ping +select +role +time +wait +info +command|info +client|setname +client|getname +client|id +client|unblock +script|load
{{- end }}

{{- define "redis-sentinel.readCommands" -}}
+evalsha +exists +type +get +hget +hgetall +hexists +zcard +zscore +xlen +xrange +xrevrange +xread +xpending +xinfo|stream +xinfo|groups +xinfo|consumers
{{- end }}

{{- define "redis-sentinel.publishCommands" -}}
{{ include "redis-sentinel.readCommands" . }} +xadd +xtrim +set +hset +zadd +hdel +xgroup|create +xgroup|setid
{{- end }}

{{- define "redis-sentinel.consumeCommands" -}}
{{ include "redis-sentinel.publishCommands" . }} +xreadgroup +xack +xclaim +xautoclaim +xgroup|delconsumer +hincrby +zrem +zrange +zremrangebyscore +del +incr
{{- end }}

{{- define "redis-sentinel.rules" -}}
resetchannels {{ range .channels }}&{{ . }} {{ end -}}
-@all {{ include "redis-sentinel.anyCommands" . }} +set ~streamdesk:durable
{{- range .commands }} +{{ . }}{{ end }}
{{- range .keys }} ~{{ . }}{{ end }}
{{- with .reads }} ({{ include "redis-sentinel.readCommands" $ }}{{ include "redis-sentinel.patterns" (concat . ($.deadLetters | default list)) }}){{ end }}
{{- with .publishes }} ({{ include "redis-sentinel.publishCommands" $ }}{{ include "redis-sentinel.patterns" . }}){{ end }}
{{- with .consumes }} ({{ include "redis-sentinel.consumeCommands" $ }}{{ include "redis-sentinel.patterns" (concat . ($.deadLetters | default list)) }}){{ end }}
{{- end }}
