{{/*
Who talks to whom. Each row is written once and makes both rules, the egress of one side and the
ingress of the other, so that they agree.
*/}}

{{/* Traffic between components, as a JSON list of {from, to, port}; both ends may be missing. */}}
{{- define "fleet.flows.all" -}}
{{- $flows := list -}}
{{- $workers := list "worker-standard" "worker-fifo" -}}
{{- range $from := concat (list "order-api" "dlq-monitor" "test") $workers -}}
{{- $flows = append $flows (dict "from" $from "to" "local-sqs" "port" 9324) -}}
{{- end -}}
{{- range $worker := $workers -}}
{{- $flows = append $flows (dict "from" $worker "to" "postgres" "port" 5432) -}}
{{- $flows = append $flows (dict "from" "order-api" "to" $worker "port" 8081) -}}
{{- end -}}
{{- $flows = append $flows (dict "from" "dlq-monitor" "to" "postgres" "port" 5432) -}}
{{- if .Values.orderApi.idempotencyStore -}}
{{- $flows = append $flows (dict "from" "order-api" "to" "postgres" "port" 5432) -}}
{{- end -}}
{{- $flows = append $flows (dict "from" "test" "to" "order-api" "port" 8080) -}}
{{- $flows = append $flows (dict "from" "test" "to" "dlq-monitor" "port" 9082) -}}
{{- range $to, $port := include "fleet.scraped" . | fromJson -}}
{{- $flows = append $flows (dict "from" "prometheus" "to" $to "port" $port) -}}
{{- end -}}
{{- $flows = append $flows (dict "from" "prometheus" "to" "alertmanager" "port" 9093) -}}
{{- $flows = append $flows (dict "from" "grafana" "to" "prometheus" "port" 9090) -}}
{{- $flows = append $flows (dict "from" "grafana" "to" "alertmanager" "port" 9093) -}}
{{- toJson $flows -}}
{{- end -}}

{{/* The same, of the components that there are. */}}
{{- define "fleet.flows" -}}
{{- $components := include "fleet.components" . | fromJsonArray -}}
{{- $flows := list -}}
{{- range include "fleet.flows.all" . | fromJsonArray -}}
{{- if and (has .from $components) (has .to $components) }}{{ $flows = append $flows . }}{{ end -}}
{{- end -}}
{{- toJson $flows -}}
{{- end -}}

{{/* Where metrics are, as JSON: component to port. */}}
{{- define "fleet.scraped" -}}
{{- toJson (dict "order-api" 9080 "worker-standard" 9081 "worker-fifo" 9081 "dlq-monitor" 9082 "local-sqs" 9324) -}}
{{- end -}}

{{/* A peer: the pods of a namespace. Arguments: namespace. */}}
{{- define "fleet.peer.namespace" -}}
{{- dict "namespaceSelector" (dict "matchLabels" (dict "kubernetes.io/metadata.name" .)) | toJson -}}
{{- end -}}

{{/*
Traffic with others than the release's own pods, as a JSON list of {peers, ports}; `any` as peers
is everybody, and no ports are all of them. Arguments: root, component.
*/}}
{{- define "fleet.outside.ingress" -}}
{{- $root := .root -}}
{{- $policy := $root.Values.networkPolicy -}}
{{- $rules := list -}}
{{- if eq .component "order-api" -}}
{{- $rules = append $rules (dict "peers" $policy.apiFrom "ports" (list 8080)) -}}
{{- else if eq .component "dlq-monitor" -}}
{{- $rules = append $rules (dict "peers" $policy.monitorFrom "ports" (list 8082)) -}}
{{- end -}}
{{- $port := get (include "fleet.scraped" $root | fromJson) .component -}}
{{- if $port -}}
{{- $monitoring := include "fleet.peer.namespace" $root.Values.monitoring.namespace | fromJson -}}
{{- $rules = append $rules (dict "peers" (list $monitoring) "ports" (list $port)) -}}
{{- end -}}
{{- /* KEDA counts the bundled SQS's messages and the FIFO workers' busy lanes. */ -}}
{{- if and (include "fleet.keda" $root) (has .component (list "worker-fifo" "local-sqs")) -}}
{{- $keda := include "fleet.peer.namespace" $root.Values.keda.namespace | fromJson -}}
{{- $rules = append $rules (dict "peers" (list $keda) "ports" (list $port)) -}}
{{- end -}}
{{- toJson $rules -}}
{{- end -}}

{{/*
The namespace that a URL's host may be in, empty where it is no name of a cluster's Service. NAME is
one of the release's namespace, NAME.NAMESPACE may be one or a host of the world: a rule for the pods
of a namespace that is not there opens nothing. Arguments: root, url.
*/}}
{{- define "fleet.urlNamespace" -}}
{{- $host := get (urlParse .url) "hostname" | lower | trimSuffix "." -}}
{{- $name := $host | trimSuffix (printf ".%s" .root.Values.clusterDomain) | trimSuffix ".svc" -}}
{{- $labels := splitList "." $name -}}
{{- if regexMatch "^[0-9.]+$|:" $host -}}
{{- else if eq (len $labels) 1 -}}
{{- .root.Release.Namespace -}}
{{- else if or (eq (len $labels) 2) (ne $name $host) -}}
{{- last $labels -}}
{{- end -}}
{{- end -}}

{{/*
The rules for whoever is at some URLs, as a JSON list of {peers, ports}. A policy sees the port of
the pod that a Service leads to, which need not be the URL's: peers that are pods are let through on
`podPorts`, on all ports where these are empty, and addresses on the ports of the URLs. Of `any`, the
pods are those of the namespaces that the URLs' hosts are in. Arguments: root, urls, ports (beside the
URLs'), peers, podPorts.
*/}}
{{- define "fleet.urlRules" -}}
{{- $root := .root -}}
{{- $ports := .ports | default list -}}
{{- $namespaces := list -}}
{{- range .urls -}}
{{- $ports = append $ports (include "fleet.urlPort" . | int) -}}
{{- with include "fleet.urlNamespace" (dict "root" $root "url" .) }}{{ $namespaces = append $namespaces . }}{{ end -}}
{{- end -}}
{{- $addresses := .peers -}}
{{- $pods := list -}}
{{- if kindIs "slice" .peers -}}
{{- $addresses = list -}}
{{- range .peers -}}
{{- if hasKey . "ipBlock" }}{{ $addresses = append $addresses . }}{{ else }}{{ $pods = append $pods . }}{{ end -}}
{{- end -}}
{{- else -}}
{{- range uniq $namespaces }}{{ $pods = append $pods (include "fleet.peer.namespace" . | fromJson) }}{{ end -}}
{{- end -}}
{{- $rules := list (dict "peers" $addresses "ports" (uniq $ports)) (dict "peers" $pods "ports" .podPorts) -}}
{{- toJson $rules -}}
{{- end -}}

{{/* The same as for the outside's ingress, the other way. Arguments: root, component. */}}
{{- define "fleet.outside.egress" -}}
{{- $root := .root -}}
{{- $egress := $root.Values.networkPolicy.egress -}}
{{- $podPorts := $root.Values.networkPolicy.podPorts -}}
{{- $values := $root.Values -}}
{{- $rules := list -}}
{{- $services := list "order-api" "worker-standard" "worker-fifo" "dlq-monitor" -}}
{{- if and (has .component (append $services "test")) (not $values.localSqs.enabled) -}}
{{- $urls := list -}}
{{- with $values.aws.endpoint }}{{ $urls = append $urls . }}{{ end -}}
{{- range $queue := list "standard" "standardDlq" "fifo" "fifoDlq" -}}
{{- with (get $values.queues $queue).url }}{{ $urls = append $urls . }}{{ end -}}
{{- end -}}
{{- /* 443 as well: roles are assumed at STS. */ -}}
{{- $at := dict "root" $root "urls" $urls "ports" (list 443) "peers" $egress.sqs "podPorts" $podPorts.sqs -}}
{{- $rules = concat $rules (include "fleet.urlRules" $at | fromJsonArray) -}}
{{- if $egress.podIdentityAgent -}}
{{- $agent := list (dict "ipBlock" (dict "cidr" "169.254.170.23/32")) (dict "ipBlock" (dict "cidr" "fd00:ec2::23/128")) -}}
{{- $rules = append $rules (dict "peers" $agent "ports" (list 80)) -}}
{{- end -}}
{{- end -}}
{{- $usesDatabase := has .component (list "worker-standard" "worker-fifo" "dlq-monitor") -}}
{{- if eq .component "order-api" }}{{ $usesDatabase = $values.orderApi.idempotencyStore }}{{ end -}}
{{- if and $usesDatabase (not $values.postgres.enabled) $values.database.existingSecret -}}
{{- $rules = append $rules (dict "peers" $egress.database "ports" (list $values.database.port)) -}}
{{- end -}}
{{- if and (has .component $services) $values.telemetry.otlpEndpoint -}}
{{- $at := dict "root" $root "urls" (list $values.telemetry.otlpEndpoint) "peers" $egress.otlp "podPorts" $podPorts.otlp -}}
{{- $rules = concat $rules (include "fleet.urlRules" $at | fromJsonArray) -}}
{{- end -}}
{{- if and (hasPrefix "worker-" .component) $values.workers.carrier.url -}}
{{- $at := dict "root" $root "urls" (list $values.workers.carrier.url) "peers" $egress.carrier "podPorts" $podPorts.carrier -}}
{{- $rules = concat $rules (include "fleet.urlRules" $at | fromJsonArray) -}}
{{- end -}}
{{- if and (eq .component "prometheus") (include "fleet.keda" $root) -}}
{{- $keda := include "fleet.peer.namespace" $values.keda.namespace | fromJson -}}
{{- $rules = append $rules (dict "peers" (list $keda) "ports" (list 8080)) -}}
{{- end -}}
{{- toJson $rules -}}
{{- end -}}

{{/* Whether a component looks names up. */}}
{{- define "fleet.usesDns" -}}
{{- if not (has . (list "local-sqs" "postgres" "alertmanager")) }}true{{ end -}}
{{- end -}}

{{/* One rule; it has ports, peers or both. Arguments: rule ({peers, ports}), side ("from" or "to"). */}}
{{- define "fleet.rule" -}}
{{- $rule := dict -}}
{{- range .rule.ports -}}
{{- $_ := set $rule "ports" (append (get $rule "ports" | default list) (dict "protocol" "TCP" "port" .)) -}}
{{- end -}}
{{- if kindIs "slice" .rule.peers }}{{ $_ := set $rule .side .rule.peers }}{{ end -}}
{{- list $rule | toYaml -}}
{{- end -}}
