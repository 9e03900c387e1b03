{{/*
Names, labels, images and addresses.
*/}}

{{/* The beginning of every object's name: the release's, with the chart's where it is not in it. */}}
{{- define "fleet.fullname" -}}
{{- $name := .Release.Name -}}
{{- if not (contains "fleet" $name) }}{{ $name = printf "%s-fleet" $name }}{{ end -}}
{{- regexReplaceAll "-+$" (trunc 36 $name) "" -}}
{{- end -}}

{{/* The components that these values ask for, as a JSON list. */}}
{{- define "fleet.components" -}}
{{- $components := list "order-api" "dlq-monitor" -}}
{{- if .Values.workers.standard.enabled }}{{ $components = append $components "worker-standard" }}{{ end -}}
{{- if .Values.workers.fifo.enabled }}{{ $components = append $components "worker-fifo" }}{{ end -}}
{{- if .Values.localSqs.enabled }}{{ $components = append $components "local-sqs" }}{{ end -}}
{{- if .Values.postgres.enabled }}{{ $components = append $components "postgres" }}{{ end -}}
{{- if .Values.tests.enabled }}{{ $components = append $components "test" }}{{ end -}}
{{- if .Values.observability.demo -}}
{{- $components = concat $components (list "prometheus" "alertmanager") -}}
{{- if .Values.observability.grafana.enabled }}{{ $components = append $components "grafana" }}{{ end -}}
{{- end -}}
{{- toJson $components -}}
{{- end -}}

{{/* The queues that workers run for, "standard" and "fifo", as a JSON list. */}}
{{- define "fleet.worker.queues" -}}
{{- $queues := list -}}
{{- if .Values.workers.standard.enabled }}{{ $queues = append $queues "standard" }}{{ end -}}
{{- if .Values.workers.fifo.enabled }}{{ $queues = append $queues "fifo" }}{{ end -}}
{{- toJson $queues -}}
{{- end -}}

{{/* What selects a component's pods. Arguments: root, component. */}}
{{- define "fleet.selector" -}}
app.kubernetes.io/name: fleet
app.kubernetes.io/instance: {{ .root.Release.Name | quote }}
app.kubernetes.io/component: {{ .component }}
{{- end -}}

{{/*
A pod's labels. Nothing in them changes with the chart's version, so that an upgrade does not
restart the bundled SQS and PostgreSQL, which would forget everything. Arguments: root, component.
*/}}
{{- define "fleet.podLabels" -}}
{{ include "fleet.selector" . }}
app.kubernetes.io/part-of: fleet
{{- if hasPrefix "worker-" .component }}
role: worker
{{- end }}
{{- end -}}

{{/* An object's labels. Arguments: root, component. */}}
{{- define "fleet.labels" -}}
{{ include "fleet.selector" . }}
app.kubernetes.io/part-of: fleet
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" }}
{{- end -}}

{{/* The head of an object's metadata. Arguments: root, component, name (default: the component). */}}
{{- define "fleet.metadata" -}}
name: {{ include "fleet.fullname" .root }}-{{ .name | default .component }}
namespace: {{ .root.Release.Namespace | quote }}
labels:
  {{- include "fleet.labels" . | nindent 2 }}
{{- end -}}

{{/* One of the fleet's own images. Arguments: root, name. */}}
{{- define "fleet.image" -}}
{{- $image := .root.Values.image -}}
{{- with $image.registry }}{{ . | trimSuffix "/" }}/{{ end -}}
{{ .name }}:{{ $image.tag | default .root.Chart.AppVersion }}
{{- end -}}

{{/* A Service's full host name. Arguments: root, name. */}}
{{- define "fleet.host" -}}
{{ include "fleet.fullname" .root }}-{{ .name }}.{{ .root.Release.Namespace }}.svc.{{ .root.Values.clusterDomain }}
{{- end -}}

{{/* The ServiceAccount of a component. Arguments: root, component. */}}
{{- define "fleet.serviceAccount" -}}
{{- $keys := dict "order-api" "orderApi" "worker-standard" "worker" "worker-fifo" "worker" "dlq-monitor" "dlqMonitor" "test" "test" -}}
{{- $key := get $keys .component -}}
{{- $own := dict -}}
{{- if $key }}{{ $own = get .root.Values.serviceAccounts $key }}{{ end -}}
{{- $name := hasPrefix "worker-" .component | ternary "worker" .component -}}
{{- get $own "name" | default (printf "%s-%s" (include "fleet.fullname" .root) $name) -}}
{{- end -}}

{{/* The URL of a queue, empty if there is none. Arguments: root, queue (a key of `queues`). */}}
{{- define "fleet.queueUrl" -}}
{{- if .root.Values.localSqs.enabled -}}
{{- $names := dict "standard" "order-queue-standard" "standardDlq" "order-queue-standard-dlq" "fifo" "order-queue.fifo" "fifoDlq" "order-queue-dlq.fifo" -}}
{{ include "fleet.endpoint" .root }}/000000000000/{{ get $names .queue }}
{{- else -}}
{{- (get .root.Values.queues .queue).url -}}
{{- end -}}
{{- end -}}

{{/* Where SQS is, empty for AWS itself. */}}
{{- define "fleet.endpoint" -}}
{{- if .Values.localSqs.enabled -}}
http://{{ include "fleet.host" (dict "root" . "name" "local-sqs") }}:9324
{{- else -}}
{{- .Values.aws.endpoint -}}
{{- end -}}
{{- end -}}

{{/* The region that a host of AWS's is in, empty of any other host. */}}
{{- define "fleet.urlRegion" -}}
{{- regexFind "^https?://[^/:]*amazonaws[.]com" . | regexFind "[./][a-z]{2}(-[a-z]+)+-[0-9]+[.]" | trimAll "./" -}}
{{- end -}}

{{/* The region: as set, else of the first queue URL that names one, else us-east-1. */}}
{{- define "fleet.region" -}}
{{- $region := .Values.aws.region -}}
{{- if and (not $region) (not .Values.localSqs.enabled) -}}
{{- range $queue := list "standard" "fifo" -}}
{{- if not $region }}{{ $region = include "fleet.urlRegion" (get $.Values.queues $queue).url }}{{ end -}}
{{- end -}}
{{- end -}}
{{- $region | default "us-east-1" -}}
{{- end -}}

{{/* The Secret and key of the database's URL, "NAME/KEY"; empty for SQLite. */}}
{{- define "fleet.databaseSecret" -}}
{{- if .Values.postgres.enabled -}}
{{ include "fleet.fullname" . }}-postgres/DATABASE_URL
{{- else if .Values.database.existingSecret -}}
{{ .Values.database.existingSecret }}/{{ .Values.database.key }}
{{- end -}}
{{- end -}}

{{/* The port of an http or https URL. */}}
{{- define "fleet.urlPort" -}}
{{- $url := urlParse . -}}
{{- regexFind "[0-9]+$" (regexFind ":[0-9]+$" $url.host) | default (eq $url.scheme "https" | ternary "443" "80") -}}
{{- end -}}

{{/* Whether the workers are scaled by KEDA, "true" or empty. */}}
{{- define "fleet.keda" -}}
{{- $wanted := toString .Values.keda.enabled -}}
{{- if eq $wanted "true" }}true
{{- else if and (eq $wanted "auto") (.Capabilities.APIVersions.Has "keda.sh/v1alpha1") }}true
{{- end -}}
{{- end -}}

{{/* Whether there are objects of the Prometheus operator, "true" or empty. */}}
{{- define "fleet.operator" -}}
{{- $wanted := toString .Values.monitoring.enabled -}}
{{- if eq $wanted "true" }}true
{{- else if and (eq $wanted "auto") (.Capabilities.APIVersions.Has "monitoring.coreos.com/v1") }}true
{{- end -}}
{{- end -}}

{{/* Whether there are orders that always fail, and where they end, "true" or empty. */}}
{{- define "fleet.failsOnPurpose" -}}
{{- $ends := include "fleet.queueUrl" (dict "root" . "queue" "standardDlq") -}}
{{- if and .Values.workers.failTestProducts .Values.workers.standard.enabled (not .Values.workers.carrier.url) $ends }}true{{ end -}}
{{- end -}}
