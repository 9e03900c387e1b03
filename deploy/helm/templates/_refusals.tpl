{{/*
What values.schema.json cannot say: values that contradict each other, or that the cluster cannot
take. All problems are found and told together, each with what to change.
*/}}

{{- define "fleet.problems" -}}
{{- $problems := list -}}
{{- range list "fleet.problems.release" "fleet.problems.queues" "fleet.problems.urls" "fleet.problems.visibility" "fleet.problems.durations" "fleet.problems.workers" "fleet.problems.stopping" "fleet.problems.memory" "fleet.problems.resources" "fleet.problems.scaling" "fleet.problems.database" "fleet.problems.labels" "fleet.problems.cluster" -}}
{{- $problems = concat $problems (include . $ | fromJsonArray) -}}
{{- end -}}
{{- toJson $problems -}}
{{- end -}}

{{/* The release's name, which all names begin with: helm takes some that a Service may not have. */}}
{{- define "fleet.problems.release" -}}
{{- $problems := list -}}
{{- if not (regexMatch "^[a-z][a-z0-9-]*$" .Release.Name) -}}
{{- $problems = append $problems (printf "the release is called %s: its name is the beginning of Services' names, which must begin with a letter and have nothing but lower-case letters, digits and hyphens. Choose another one" .Release.Name) -}}
{{- end -}}
{{- toJson $problems -}}
{{- end -}}

{{/* The queues' URLs: of the bundled SQS or of others, for KEDA's eyes. */}}
{{- define "fleet.problems.queues" -}}
{{- $problems := list -}}
{{- $local := .Values.localSqs.enabled -}}
{{- range $queue := list "standard" "standardDlq" "fifo" "fifoDlq" -}}
{{- $url := (get $.Values.queues $queue).url -}}
{{- $isFifo := hasPrefix "fifo" $queue -}}
{{- $example := printf "https://sqs.eu-central-1.amazonaws.com/123456789012/%s" (hasPrefix "fifo" $queue | ternary "order-queue.fifo" "order-queue-standard") -}}
{{- if and $local $url -}}
{{- $problems = append $problems (printf "queues.%s.url is set, and localSqs.enabled is true: the bundled SQS has its own queues. Set localSqs.enabled to false, or leave the URL out" $queue) -}}
{{- else if $url -}}
{{- if not (regexMatch "^https?://[^/?#]+/[^/?#]+/[^/?#]+$" $url) -}}
{{- $problems = append $problems (printf "queues.%s.url is %s: its path must be exactly /ACCOUNT/NAME, from which KEDA reads the queue's name. For example %s" $queue $url $example) -}}
{{- else if ne (hasSuffix ".fifo" $url) $isFifo -}}
{{- $problems = append $problems (printf "queues.%s.url is %s: the name of a FIFO queue ends in .fifo and that of another does not. For example %s" $queue $url $example) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- if and $local .Values.aws.endpoint -}}
{{- $problems = append $problems "aws.endpoint is set, and localSqs.enabled is true. Set localSqs.enabled to false, or leave the endpoint out" -}}
{{- end -}}
{{- if not $local -}}
{{- range $queue := list "standard" "fifo" -}}
{{- if and (get $.Values.workers $queue).enabled (not (get $.Values.queues $queue).url) -}}
{{- $problems = append $problems (printf "queues.%s.url is empty: there is no bundled SQS (localSqs.enabled is false), so give the queue's URL, or set workers.%s.enabled to false" $queue $queue) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- toJson $problems -}}
{{- end -}}

{{/* URLs by their name, as JSON: of queues, SQS, the carrier and the collector, where they are set. */}}
{{- define "fleet.urls" -}}
{{- $urls := dict "aws.endpoint" .Values.aws.endpoint "telemetry.otlpEndpoint" .Values.telemetry.otlpEndpoint "workers.carrier.url" .Values.workers.carrier.url -}}
{{- range $queue, $of := .Values.queues }}{{ $_ := set $urls (printf "queues.%s.url" $queue) $of.url }}{{ end -}}
{{- range $name, $url := $urls }}{{ if not $url }}{{ $_ := unset $urls $name }}{{ end }}{{ end -}}
{{- toJson $urls -}}
{{- end -}}

{{/* Ports that there are, one region for all, and a queue that is not another one too. */}}
{{- define "fleet.problems.urls" -}}
{{- $problems := list -}}
{{- $region := include "fleet.region" . -}}
{{- $seen := dict -}}
{{- range $name, $url := include "fleet.urls" . | fromJson -}}
{{- $port := include "fleet.urlPort" $url | int64 -}}
{{- if or (lt $port 1) (gt $port 65535) -}}
{{- $problems = append $problems (printf "%s is %s: a port is a number from 1 to 65535" $name $url) -}}
{{- end -}}
{{- if or (hasPrefix "queues." $name) (eq $name "aws.endpoint") -}}
{{- $its := include "fleet.urlRegion" $url -}}
{{- if and $its (ne $its $region) -}}
{{- $problems = append $problems (printf "%s is %s, in the region %s, and the fleet's region is %s (%s): requests are signed for one region and sent there. Let all queues be in one region, and leave aws.region empty or set it to that one" $name $url $its $region (empty $.Values.aws.region | ternary "that of the first order queue" "aws.region")) -}}
{{- end -}}
{{- end -}}
{{- if hasPrefix "queues." $name -}}
{{- with get $seen $url -}}
{{- $problems = append $problems (printf "%s and %s are both %s: each of the four queues is one of its own" . $name $url) -}}
{{- end -}}
{{- $_ := set $seen $url $name -}}
{{- end -}}
{{- end -}}
{{- toJson $problems -}}
{{- end -}}

{{/* What the program refuses to consume (a lease could not be extended in time), and what is rarely meant. */}}
{{- define "fleet.problems.visibility" -}}
{{- $problems := list -}}
{{- $handler := include "fleet.ms" .Values.workers.handlerTimeout | int64 -}}
{{- range $queue := include "fleet.worker.queues" . | fromJsonArray -}}
{{- $visibility := (get $.Values.queues $queue).visibilityTimeout | int64 -}}
{{- $extends := or (eq $queue "fifo") (gt (mul 3 $handler) (mul 2000 $visibility)) -}}
{{- if and $extends (lt $visibility 6) -}}
{{- $problems = append $problems (printf "queues.%s.visibilityTimeout is %d s: a worker does not consume the queue with less than 6 s, since it could not extend a lease in time. Set the queue's VisibilityTimeout and this value to 6 or more" $queue $visibility) -}}
{{- else if lt (mul 1000 $visibility) $handler -}}
{{- $problems = append $problems (printf "queues.%s.visibilityTimeout is %d s, shorter than workers.handlerTimeout (%s): an attempt would outlive the lease that it began with, and a worker that is stopped for a moment would have its order attempted by another one at the same time. Lengthen the queue's VisibilityTimeout and this value, or shorten workers.handlerTimeout" $queue $visibility $.Values.workers.handlerTimeout) -}}
{{- end -}}
{{- end -}}
{{- toJson $problems -}}
{{- end -}}

{{/* Durations within the programs' own bounds. */}}
{{- define "fleet.problems.durations" -}}
{{- $problems := list -}}
{{- $values := .Values -}}
{{- range $row := list
  (list "workers.handlerTimeout" $values.workers.handlerTimeout "1ms" "11h")
  (list "workers.drainTimeout" $values.workers.drainTimeout "0s" "12h")
  (list "workers.carrier.timeout" $values.workers.carrier.timeout "1ms" "8h")
  (list "orderApi.publishTimeout" $values.orderApi.publishTimeout "100ms" "10s")
  (list "orderApi.shutdownDelay" $values.orderApi.shutdownDelay "0s" "60s")
  (list "dlqMonitor.interval" $values.dlqMonitor.interval "100ms" "5m")
  (list "tests.timeout" $values.tests.timeout "1s" "1h") -}}
{{- $ms := include "fleet.ms" (index $row 1) | int64 -}}
{{- $least := include "fleet.ms" (index $row 2) | int64 -}}
{{- $most := include "fleet.ms" (index $row 3) | int64 -}}
{{- if or (lt $ms $least) (gt $ms $most) -}}
{{- $problems = append $problems (printf "%s is %s; allowed is %s to %s" (index $row 0) (index $row 1) (index $row 2) (index $row 3)) -}}
{{- end -}}
{{- end -}}
{{- toJson $problems -}}
{{- end -}}

{{/* The workers' settings against each other: the program would end with 64. */}}
{{- define "fleet.problems.workers" -}}
{{- $problems := list -}}
{{- $workers := .Values.workers -}}
{{- if not (or $workers.standard.enabled $workers.fifo.enabled) -}}
{{- $problems = append $problems "workers.standard.enabled and workers.fifo.enabled are both false: nobody would deliver anything" -}}
{{- end -}}
{{- if gt (mul 4 (include "fleet.ms" $workers.carrier.timeout | int64)) (mul 3 (include "fleet.ms" $workers.handlerTimeout | int64)) -}}
{{- $problems = append $problems (printf "workers.carrier.timeout is %s; it may be at most three quarters of workers.handlerTimeout (%s): the rest is the store's" $workers.carrier.timeout $workers.handlerTimeout) -}}
{{- end -}}
{{- $median := regexFind "(0|[1-9][0-9]{0,6})(ms|s|m|h)" (regexFind "^(lognormal[(] *)?[0-9]+(ms|s|m|h) *(,|$)" $workers.carrier.simulatedTime) -}}
{{- if and $median (not $workers.carrier.url) (ge (include "fleet.ms" $median | int64) (include "fleet.ms" $workers.carrier.timeout | int64)) -}}
{{- $problems = append $problems (printf "workers.carrier.simulatedTime is %s, and the worker waits no longer than workers.carrier.timeout (%s): no order would be delivered, or not even every other one. Set a shorter simulatedTime, or a longer timeout" $workers.carrier.simulatedTime $workers.carrier.timeout) -}}
{{- end -}}
{{- $concurrency := include "fleet.concurrency" (dict "root" . "queue" "standard") | int64 -}}
{{- if gt (int64 $workers.standard.groupConcurrency) $concurrency -}}
{{- $problems = append $problems (printf "workers.standard.groupConcurrency is %d; it may be at most the concurrency (%d)" (int64 $workers.standard.groupConcurrency) $concurrency) -}}
{{- end -}}
{{- toJson $problems -}}
{{- end -}}

{{/* A grace period is computed; one that is given must cover the work. */}}
{{- define "fleet.problems.stopping" -}}
{{- $problems := list -}}
{{- $given := int64 .Values.workers.terminationGracePeriodSeconds -}}
{{- $needed := include "fleet.worker.grace" . | int64 -}}
{{- if and $given (lt $given $needed) -}}
{{- $problems = append $problems (printf "workers.terminationGracePeriodSeconds is %d, shorter than the work: %d s are needed for preStopSeconds, a long poll, drainTimeout, giving the rest back and a last scrape. A worker that is killed before keeps its messages and groups locked. Set it to 0, which computes it, or shorten workers.drainTimeout" $given $needed) -}}
{{- end -}}
{{- $given := int64 .Values.orderApi.terminationGracePeriodSeconds -}}
{{- $needed := include "fleet.orderApi.grace" . | int64 -}}
{{- if and $given (lt $given $needed) -}}
{{- $problems = append $problems (printf "orderApi.terminationGracePeriodSeconds is %d, shorter than the work: %d s are needed for preStopSeconds, shutdownDelay and the requests under way. Set it to 0, which computes it" $given $needed) -}}
{{- end -}}
{{- toJson $problems -}}
{{- end -}}

{{/* Connections that memory does not bear: the order API's, which clients could have killed, and PostgreSQL's. */}}
{{- define "fleet.problems.memory" -}}
{{- $problems := list -}}
{{- $room := include "fleet.orderApi.room" . -}}
{{- $connections := include "fleet.orderApi.connections" . | int64 -}}
{{- if and $room (lt (int64 $room) $connections) -}}
{{- $problems = append $problems (printf "orderApi.resources.limits.memory is %s, room for %s connections beside the orders in hand, and MAX_CONNECTIONS is %d: clients that keep them all open could have a pod killed. Raise the limit, or lower MAX_CONNECTIONS or PUBLISH_BUFFER_BYTES in orderApi.env" (include "fleet.text" .Values.orderApi.resources.limits.memory) $room $connections) -}}
{{- end -}}
{{- $room := include "fleet.postgres.room" . -}}
{{- $connections := get (include "fleet.database.connections" . | fromJson) "most" | int64 -}}
{{- if and .Values.postgres.enabled $room (lt (int64 $room) $connections) -}}
{{- $problems = append $problems (printf "postgres.resources.limits.memory is %s, room for %s connections, and the fleet opens up to %d: 8 of each of %s workers and one of each of %s order APIs, twice as many in a rolling update, 7 of the monitor. Raise the limit, lower keda.*.maxReplicas or workers.*.replicas, or use a database of yours (postgres.enabled=false)" (include "fleet.text" .Values.postgres.resources.limits.memory) $room $connections (include "fleet.workers.most" .) (include "fleet.orderApi.most" .)) -}}
{{- end -}}
{{- toJson $problems -}}
{{- end -}}

{{/* Requests above limits, which Kubernetes refuses once everything else is there. */}}
{{- define "fleet.problems.resources" -}}
{{- $problems := list -}}
{{- $values := .Values -}}
{{- range $row := list
  (list "localSqs" $values.localSqs)
  (list "postgres" $values.postgres)
  (list "orderApi" $values.orderApi)
  (list "workers.standard" $values.workers.standard)
  (list "workers.fifo" $values.workers.fifo)
  (list "dlqMonitor" $values.dlqMonitor)
  (list "observability.prometheus" $values.observability.prometheus)
  (list "observability.alertmanager" $values.observability.alertmanager)
  (list "observability.grafana" $values.observability.grafana)
  (list "tests" $values.tests) -}}
{{- $resources := (index $row 1).resources -}}
{{- range $what, $request := $resources.requests -}}
{{- $limit := dig "limits" $what "" $resources -}}
{{- if and $limit (gt (include "fleet.thousandths" $request | int64) (include "fleet.thousandths" $limit | int64)) -}}
{{- $problems = append $problems (printf "%s.resources.requests.%s is %s, more than its limit (%s). Raise the limit, or lower the request" (index $row 0) $what (include "fleet.text" $request) (include "fleet.text" $limit)) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- toJson $problems -}}
{{- end -}}

{{/* Labels that objects have anyway: two of one name are none. */}}
{{- define "fleet.problems.labels" -}}
{{- $problems := list -}}
{{- $own := include "fleet.labels" (dict "root" . "component" "monitoring") | fromYaml -}}
{{- range $name := keys .Values.monitoring.labels | sortAlpha -}}
{{- if hasKey $own $name -}}
{{- $problems = append $problems (printf "monitoring.labels has %s, which the chart sets itself. Leave it out" $name) -}}
{{- end -}}
{{- end -}}
{{- toJson $problems -}}
{{- end -}}

{{/* Bounds of autoscaling against each other. */}}
{{- define "fleet.problems.scaling" -}}
{{- $problems := list -}}
{{- range $row := list
  (list "orderApi.autoscaling" .Values.orderApi.autoscaling)
  (list "keda.standard" .Values.keda.standard)
  (list "keda.fifo" .Values.keda.fifo) -}}
{{- $of := index $row 1 -}}
{{- if gt (int64 $of.minReplicas) (int64 $of.maxReplicas) -}}
{{- $problems = append $problems (printf "%s.minReplicas is %d, more than maxReplicas (%d)" (index $row 0) (int64 $of.minReplicas) (int64 $of.maxReplicas)) -}}
{{- end -}}
{{- end -}}
{{- /* Without a request Kubernetes takes the limit for it. */ -}}
{{- $cpu := dig "requests" "cpu" (dig "limits" "cpu" "" .Values.orderApi.resources) .Values.orderApi.resources -}}
{{- if and .Values.orderApi.autoscaling.enabled (not (regexMatch "[1-9]" (include "fleet.text" $cpu))) -}}
{{- $problems = append $problems "orderApi.autoscaling.enabled is true, and the order API's pods request no CPU: they are scaled on a share of what they request, so that none would ever be added. Set orderApi.resources.requests.cpu, or orderApi.autoscaling.enabled to false" -}}
{{- end -}}
{{- range $queue := list "standard" "fifo" -}}
{{- $of := dict "root" $ "queue" $queue -}}
{{- $concurrency := include "fleet.concurrency" $of | int64 -}}
{{- if le (include "fleet.target" $of | int64) $concurrency -}}
{{- $scaling := get $.Values.keda $queue -}}
{{- $problems = append $problems (printf "keda.%s.acceptableWait is %s: with meanProcessingTime %s a pod would be there for no more orders than it delivers at once (%d), and new pods would come for orders that are being delivered. Set a longer acceptableWait" $queue $scaling.acceptableWait $scaling.meanProcessingTime $concurrency) -}}
{{- end -}}
{{- end -}}
{{- toJson $problems -}}
{{- end -}}

{{/* Where deliveries are kept. */}}
{{- define "fleet.problems.database" -}}
{{- $problems := list -}}
{{- if and .Values.postgres.enabled .Values.database.existingSecret -}}
{{- $problems = append $problems "database.existingSecret is set, and postgres.enabled is true: there can be one database. Set postgres.enabled to false for yours" -}}
{{- end -}}
{{- if not (include "fleet.databaseSecret" .) -}}
{{- $pods := 0 -}}
{{- range $queue := include "fleet.worker.queues" . | fromJsonArray -}}
{{- $most := eq "true" (include "fleet.keda" $) | ternary (get $.Values.keda $queue).maxReplicas (get $.Values.workers $queue).replicas -}}
{{- $pods = add $pods (int64 $most) -}}
{{- end -}}
{{- if gt $pods 1 -}}
{{- $problems = append $problems (printf "there is no PostgreSQL (postgres.enabled is false, database.existingSecret is empty), and up to %d worker pods: SQLite is for one, since each would have a file of its own. Name a Secret with the database's URL in database.existingSecret, or have one worker pod: workers.fifo.enabled=false, workers.standard.replicas=1, keda.enabled=false" $pods) -}}
{{- end -}}
{{- end -}}
{{- toJson $problems -}}
{{- end -}}
