{{/* The groups of prometheus/rules, which files/rules links to. */}}

{{/* Unchanged from the files. */}}
{{- define "monitoring.allGroups" -}}
{{- $groups := list }}
{{- range $path, $_ := .Files.Glob "files/rules/*.yaml" }}
{{- $groups = concat $groups ($.Files.Get $path | fromYaml).groups }}
{{- end }}
{{- toYaml $groups }}
{{- end }}

{{/* Without the excluded alerts, and with full addresses of runbooks. */}}
{{- define "monitoring.groups" -}}
{{- $base := trimSuffix "/" .Values.runbooks.baseUrl }}
{{- $groups := list }}
{{- range (include "monitoring.allGroups" . | fromYamlArray) }}
{{- $rules := list }}
{{- range .rules }}
{{- if and $base .annotations }}
{{- $_ := set .annotations "runbook_url" (printf "%s/%s" $base .annotations.runbook_url) }}
{{- end }}
{{- if not (and .alert (has .alert $.Values.rules.exclude)) }}{{ $rules = append $rules . }}{{ end }}
{{- end }}
{{- if $rules }}{{ $groups = append $groups (merge (dict "rules" $rules) (omit . "rules")) }}{{ end }}
{{- end }}
{{- toYaml $groups }}
{{- end }}
