{{/*
The chart's arithmetic, all of it. Durations are in milliseconds unless a name says seconds.

AUTOSCALING

  C   orders that a pod delivers at once                  workers.*.concurrency
  p   how long one order takes on average                 keda.*.meanProcessingTime
  L   how long an order may wait behind others            keda.*.acceptableWait
  T   orders that one pod is there for                    T = C x (1 + L / p), and T > C
  u   share of the pods' lanes that should be busy        keda.fifo.utilizationPercent

  q   messages that can be received                       SQS's own count
  t   the same and those in flight                        SQS's own counts
  pods, busy   pods of the Deployment; lanes with a running handler, summed over them

A message that waits for its backoff is in flight to SQS, and so is one whose handler waits for a
slow carrier: were all of them counted, an outage would be answered with more pods. So what is in
flight counts only as far as the pods can really hold it, C each:

  standard   q + min(t - q, C x pods)                     per T: so many pods

A FIFO queue runs as many orders at once as it has groups with messages, which SQS does not tell. A
pod's own number of groups ends at what the pod can hold, so that a bound made of it would never
grow. What works is utilization: while more than u of all lanes are busy, there may be more pods,
1 / u as many at a step; with fewer groups than lanes it settles where u of them are busy.

  FIFO       min(q + min(t - q, C x pods), busy x T / (C x u))     per T: so many pods

u is 85 % at most. The HorizontalPodAutoscaler changes nothing while what it sees is within a tenth of
what there is, and pods whose lanes are all busy ask for 1 / u as many: above 1 / 1.1, 90.9 %, no pod
would ever be added. The rest is for lanes that are just between two orders: with 85 % pods are added
while 93.5 % of the lanes are busy.

TIME TO STOP, terminationGracePeriodSeconds

  worker     preStop + long poll + drain timeout + last scrape + flush
  order API  preStop + SHUTDOWN_DELAY + twice the time for open requests + flush
  monitor    a scan's end + flush

MEMORY OF THE ORDER API

  M   its memory limit                                    orderApi.resources.limits.memory
  b   bytes of the orders in hand                         PUBLISH_BUFFER_BYTES of orderApi.env
  s   the program itself, and what its allocator keeps    32Mi
  k   a connection whose client never ends its request    48Ki

An order in hand is there twice, as it came and as it is sent. What is left of the limit is for the
connections, and no more of them are served than have room in it, the program's own default at most.
Half as many orders are in hand, so that the others can be told that there is no room.

  MAX_CONNECTIONS         min(4096, (M - s - 2 x b) / k)
  PUBLISH_BUFFER_ORDERS   MAX_CONNECTIONS / 2

CONNECTIONS TO POSTGRESQL

  W   worker pods at most                 the larger of keda.*.maxReplicas and workers.*.replicas; the
                                          latter alone without KEDA. Both queues together
  A   order API pods at most              orderApi.autoscaling.maxReplicas, or orderApi.replicas; none
                                          where idempotencyStore is off
  8   connections of a worker             one writes, 4 read for handlers, 2 answer questions, one counts
  1   of an order API                     one writes
  7   of the monitor                      as a worker, without counting

  steady    8 x W + A + 7
  most      2 x (8 x W + A) + 7

In a rolling update all old pods may still be draining when all new ones are there, hence twice; the
old monitor ends before the new one begins. The bundled PostgreSQL allows 13 more, 3 that it keeps for
superusers and 10 for people. A change of that number restarts it, and it forgets everything: so the
number is a multiple of 100 and 400 at least, and does not depend on whether the cluster has KEDA.

  max_connections         max(400, the next hundred from most + 13)

A connection's process takes 2Mi (measured: 1.6 MB, with 300 of them that read and write the fleet's
tables), PostgreSQL itself 256Mi, half of that its buffers. A memory limit without room for `most` is
refused.
*/}}

{{/* The milliseconds of a duration: one number and one unit. */}}
{{- define "fleet.ms" -}}
{{- $factor := get (dict "ms" 1 "s" 1000 "m" 60000 "h" 3600000) (regexFind "[a-z]+$" .) -}}
{{- mul (regexFind "^[0-9]+" . | int64) $factor -}}
{{- end -}}

{{/* The same in whole seconds, rounded up. */}}
{{- define "fleet.seconds" -}}
{{- div (add (include "fleet.ms" . | int64) 999) 1000 -}}
{{- end -}}

{{/* C. Arguments: root, queue ("standard" or "fifo"). */}}
{{- define "fleet.concurrency" -}}
{{- $workers := .root.Values.workers -}}
{{- (get $workers .queue).concurrency | default $workers.concurrency | int64 -}}
{{- end -}}

{{/* T. Arguments: root, queue. */}}
{{- define "fleet.target" -}}
{{- $scaling := get .root.Values.keda .queue -}}
{{- $c := include "fleet.concurrency" . | int64 -}}
{{- $p := include "fleet.ms" $scaling.meanProcessingTime | int64 -}}
{{- $l := include "fleet.ms" $scaling.acceptableWait | int64 -}}
{{- div (mul $c (add $p $l)) $p -}}
{{- end -}}

{{/* What the HorizontalPodAutoscaler divides by T. Arguments: root, queue. */}}
{{- define "fleet.formula" -}}
{{- $c := include "fleet.concurrency" . -}}
{{- $held := printf "q + min(t - q, %s * pods)" $c -}}
{{- if eq .queue "fifo" -}}
min({{ $held }}, busy * {{ include "fleet.target" . }} / ({{ $c }} * {{ divf .root.Values.keda.fifo.utilizationPercent 100 }}))
{{- else -}}
{{ $held }}
{{- end -}}
{{- end -}}

{{/*
Time for a worker to stop, seconds.

long poll: 20 s, the longest wait that a receive asks for, and the 6 s that its answer may take
beyond. It is awaited beside the drain and not before it, so that the sum has something to spare.
last scrape: 35 s, which only a worker takes that has left messages leased, to be scraped once more.
flush: 5 s to give messages back, 10 s and 1 s for the connections of the two listeners, 5 s for
the last spans.
*/}}
{{- define "fleet.worker.grace" -}}
{{- $workers := .Values.workers -}}
{{- $longPoll := add 20 6 -}}
{{- $lastScrape := 35 -}}
{{- $flush := add 5 10 1 5 -}}
{{- add (int64 $workers.preStopSeconds) $longPoll (include "fleet.seconds" $workers.drainTimeout) $lastScrape $flush -}}
{{- end -}}

{{/*
Time for the order API to stop, seconds.

An open request may take the publish timeout, or the 3 s of a question to a worker, and 2 s beside
it; what is being sent for clients that have gone may take as long once more. flush: 1 s for the
admin listener's connections, 5 s for the last spans, 2 s for the store of keys.
*/}}
{{- define "fleet.orderApi.grace" -}}
{{- $api := .Values.orderApi -}}
{{- $request := add (max (include "fleet.seconds" $api.publishTimeout | int64) 3) 2 -}}
{{- $flush := add 1 5 2 -}}
{{- add (int64 $api.preStopSeconds) (include "fleet.seconds" $api.shutdownDelay) $request $request $flush -}}
{{- end -}}

{{/* A quantity in thousandths, as Kubernetes has it. */}}
{{- define "fleet.thousandths" -}}
{{- $text := include "fleet.text" . -}}
{{- $factors := dict "" 1 "k" 1000 "Ki" 1024 "M" 1000000 "Mi" 1048576 "G" 1000000000 "Gi" 1073741824 "T" 1000000000000 "Ti" 1099511627776 -}}
{{- $unit := regexFind "[a-zA-Z]*$" $text -}}
{{- $factor := eq $unit "m" | ternary 1 (mul 1000 (get $factors $unit | default 1)) -}}
{{- mulf (regexFind "^[0-9.]+" $text | float64) $factor | int64 -}}
{{- end -}}

{{/* The bytes of a quantity of memory. */}}
{{- define "fleet.bytes" -}}
{{- div (include "fleet.thousandths" . | int64) 1000 -}}
{{- end -}}

{{/* As many connections as the order API's memory bears; empty without a limit. */}}
{{- define "fleet.orderApi.room" -}}
{{- $api := .Values.orderApi -}}
{{- with dig "limits" "memory" "" $api.resources -}}
{{- $own := mul 32 1024 1024 -}}
{{- $connection := mul 48 1024 -}}
{{- $orders := include "fleet.text" (get $api.env "PUBLISH_BUFFER_BYTES" | default 16777216) | int64 -}}
{{- max 0 (div (sub (include "fleet.bytes" . | int64) (add $own (mul 2 $orders))) $connection) -}}
{{- end -}}
{{- end -}}

{{/* MAX_CONNECTIONS: 16 at least, as the program has it. */}}
{{- define "fleet.orderApi.connections" -}}
{{- $given := get .Values.orderApi.env "MAX_CONNECTIONS" -}}
{{- if $given -}}
{{- include "fleet.text" $given -}}
{{- else -}}
{{- max 16 (min 4096 (include "fleet.orderApi.room" . | default 4096 | int64)) -}}
{{- end -}}
{{- end -}}

{{/* W. */}}
{{- define "fleet.workers.most" -}}
{{- $pods := 0 -}}
{{- range $queue := include "fleet.worker.queues" . | fromJsonArray -}}
{{- $most := (get $.Values.workers $queue).replicas | int64 -}}
{{- if ne (toString $.Values.keda.enabled) "false" -}}
{{- $most = max $most ((get $.Values.keda $queue).maxReplicas | int64) -}}
{{- end -}}
{{- $pods = add $pods $most -}}
{{- end -}}
{{- $pods -}}
{{- end -}}

{{/* A. */}}
{{- define "fleet.orderApi.most" -}}
{{- $api := .Values.orderApi -}}
{{- $most := $api.autoscaling.enabled | ternary $api.autoscaling.maxReplicas $api.replicas -}}
{{- $api.idempotencyStore | ternary $most 0 | int64 -}}
{{- end -}}

{{/* Connections to PostgreSQL, as JSON: {steady, most}. */}}
{{- define "fleet.database.connections" -}}
{{- $pods := add (mul 8 (include "fleet.workers.most" . | int64)) (include "fleet.orderApi.most" . | int64) -}}
{{- dict "steady" (add $pods 7) "most" (add (mul 2 $pods) 7) | toJson -}}
{{- end -}}

{{/* max_connections of the bundled PostgreSQL. */}}
{{- define "fleet.postgres.connections" -}}
{{- $most := get (include "fleet.database.connections" . | fromJson) "most" | int64 -}}
{{- max 400 (mul 100 (div (add $most 13 99) 100)) -}}
{{- end -}}

{{/* As many connections as the bundled PostgreSQL's memory bears; empty without a limit. */}}
{{- define "fleet.postgres.room" -}}
{{- with dig "limits" "memory" "" .Values.postgres.resources -}}
{{- max 0 (div (sub (include "fleet.bytes" . | int64) (mul 256 1024 1024)) (mul 2 1024 1024)) -}}
{{- end -}}
{{- end -}}

{{/*
Time for the monitor to stop, seconds: a receive that waits 1 s and may take 4 s, what it has
received given back, its listeners' connections (10 s and 1 s), the last spans (5 s).
*/}}
{{- define "fleet.monitor.grace" -}}
{{- add 4 10 10 1 5 -}}
{{- end -}}
