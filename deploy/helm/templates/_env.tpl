{{/*
The environment of the fleet's programs. Names are those of the programs' own tables of settings; a
test holds that. What `env` values say wins over the chart's defaults, but not over what the chart
decides itself: values.schema.json lists which names `env` may have.
*/}}

{{/* A number as people write it: 16777216, not 1.6777216e+07. */}}
{{- define "fleet.text" -}}
{{- if and (kindIs "float64" .) (eq (floor .) .) }}{{ int64 . }}{{ else }}{{ toString . }}{{ end -}}
{{- end -}}

{{/*
The list of variables. Arguments: root; queues, keys of `queues` whose URLs are given; set, a
dictionary of what the chart decides; env, a list of dictionaries, the last one wins; database,
whether the program keeps something there; secrets, a list of dictionaries (name, secret, key,
optional).
*/}}
{{- define "fleet.env" -}}
{{- $root := .root -}}
{{- $settings := dict "LOG_FORMAT" $root.Values.telemetry.logFormat "RUST_LOG" $root.Values.telemetry.log -}}
{{- with $root.Values.telemetry.otlpEndpoint }}{{ $_ := set $settings "OTEL_EXPORTER_OTLP_ENDPOINT" . }}{{ end -}}
{{- range .env }}{{ $settings = mergeOverwrite $settings . }}{{ end -}}
{{- $settings = mergeOverwrite $settings (.set | default dict) -}}
{{- if .queues -}}
{{- $_ := set $settings "AWS_REGION" (include "fleet.region" $root) -}}
{{- with include "fleet.endpoint" $root }}{{ $_ := set $settings "AWS_SQS_ENDPOINT" . }}{{ end -}}
{{- end -}}
{{- $names := dict "standard" "STANDARD" "standardDlq" "STANDARD_DLQ" "fifo" "FIFO" "fifoDlq" "FIFO_DLQ" -}}
{{- range $queue := .queues -}}
{{- with include "fleet.queueUrl" (dict "root" $root "queue" $queue) -}}
{{- $_ := set $settings (printf "SQS_QUEUE_URL_%s" (get $names $queue)) . -}}
{{- end -}}
{{- end -}}
{{- $secrets := .secrets | default list -}}
{{- if and .queues $root.Values.aws.credentialsSecret (not $root.Values.localSqs.enabled) -}}
{{- range $name := list "AWS_ACCESS_KEY_ID" "AWS_SECRET_ACCESS_KEY" -}}
{{- $secrets = append $secrets (dict "name" $name "secret" $root.Values.aws.credentialsSecret "key" $name) -}}
{{- end -}}
{{- /* Only temporary keys have a third part. */ -}}
{{- $secrets = append $secrets (dict "name" "AWS_SESSION_TOKEN" "secret" $root.Values.aws.credentialsSecret "key" "AWS_SESSION_TOKEN" "optional" true) -}}
{{- end -}}
{{- if .database -}}
{{- $secret := include "fleet.databaseSecret" $root | splitList "/" -}}
{{- if gt (len $secret) 1 -}}
{{- $secrets = append $secrets (dict "name" "DATABASE_URL" "secret" (first $secret) "key" (last $secret)) -}}
{{- else -}}
{{- $_ := set $settings "DATABASE_URL" "sqlite:///data/deliveries.db" -}}
{{- end -}}
{{- end -}}
{{- range $name := keys $settings | sortAlpha }}
- name: {{ $name }}
  value: {{ include "fleet.text" (get $settings $name) | quote }}
{{- end }}
{{- range $secrets }}
- name: {{ .name }}
  valueFrom:
    secretKeyRef:
      name: {{ .secret | quote }}
      key: {{ .key | quote }}
      {{- if .optional }}
      optional: true
      {{- end }}
{{- end }}
{{- end -}}

{{/* Attempts that an order of a queue gets: the program's own 3, unless `env` says another number. Arguments: root, queue. */}}
{{- define "fleet.attempts" -}}
{{- $workers := .root.Values.workers -}}
{{- $given := get (get $workers .queue).env "MAX_ATTEMPTS" | default (get $workers.env "MAX_ATTEMPTS") | default 3 -}}
{{- include "fleet.text" $given | int64 -}}
{{- end -}}

{{/* Volumes of a program that uses the database. Arguments: root. */}}
{{- define "fleet.database.volumes" -}}
{{- if not (include "fleet.databaseSecret" .root) }}
- name: data
  emptyDir: {}
{{- end }}
{{- with .root.Values.database.ca.configMap }}
- name: database-ca
  configMap:
    name: {{ . | quote }}
    items:
      - key: {{ $.root.Values.database.ca.key | quote }}
        path: ca.pem
{{- end }}
{{- end -}}

{{/* Where they are mounted. Arguments: root. */}}
{{- define "fleet.database.mounts" -}}
{{- if not (include "fleet.databaseSecret" .root) }}
- name: data
  mountPath: /data
{{- end }}
{{- with .root.Values.database.ca.configMap }}
- name: database-ca
  mountPath: /etc/database-ca
  readOnly: true
{{- end }}
{{- end -}}
