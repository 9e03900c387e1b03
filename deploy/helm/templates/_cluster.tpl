{{/*
What only the cluster knows: whether it has what the values name. Where no cluster is asked, nothing
is found lacking.
*/}}

{{/*
Whether a cluster is asked, "true" or empty. A list is an answer even where there is nothing to
list, and who installs the chart may read the Services of its namespace. API versions tell nothing:
`helm template --api-versions` claims any.
*/}}
{{- define "fleet.live" -}}
{{- if hasKey (lookup "v1" "Service" .Release.Namespace "") "items" }}true{{ end -}}
{{- end -}}

{{- define "fleet.problems.cluster" -}}
{{- $problems := list -}}
{{- if include "fleet.live" . -}}
{{- range list "fleet.problems.apis" "fleet.problems.references" "fleet.problems.keda.findNamespace" -}}
{{- $problems = concat $problems (include . $ | fromJsonArray) -}}
{{- end -}}
{{- end -}}
{{- toJson $problems -}}
{{- end -}}

{{/* APIs whose objects are asked for. */}}
{{- define "fleet.problems.apis" -}}
{{- $problems := list -}}
{{- if and (eq (toString .Values.keda.enabled) "true") (not (.Capabilities.APIVersions.Has "keda.sh/v1alpha1")) -}}
{{- $problems = append $problems "keda.enabled is true, and this cluster does not serve keda.sh/v1alpha1. Install KEDA 2.20 or later before, or set keda.enabled to auto, which runs a fixed number of workers until KEDA is there" -}}
{{- end -}}
{{- if and (eq (toString .Values.monitoring.enabled) "true") (not (.Capabilities.APIVersions.Has "monitoring.coreos.com/v1")) -}}
{{- $problems = append $problems "monitoring.enabled is true, and this cluster does not serve monitoring.coreos.com/v1. Install the Prometheus operator before, or set monitoring.enabled to auto, which makes annotations and ConfigMaps until it is there" -}}
{{- end -}}
{{- toJson $problems -}}
{{- end -}}

{{/*
Objects of the namespace that the values name, as a JSON list of {value, kind, name, keys}.
*/}}
{{- define "fleet.references" -}}
{{- $values := .Values -}}
{{- $found := list -}}
{{- if and $values.database.existingSecret (not $values.postgres.enabled) -}}
{{- $found = append $found (dict "value" "database.existingSecret" "kind" "Secret" "name" $values.database.existingSecret "keys" (list $values.database.key)) -}}
{{- end -}}
{{- if and $values.aws.credentialsSecret (not $values.localSqs.enabled) -}}
{{- $found = append $found (dict "value" "aws.credentialsSecret" "kind" "Secret" "name" $values.aws.credentialsSecret "keys" (list "AWS_ACCESS_KEY_ID" "AWS_SECRET_ACCESS_KEY")) -}}
{{- end -}}
{{- if $values.dlqMonitor.tokenSecret -}}
{{- $found = append $found (dict "value" "dlqMonitor.tokenSecret" "kind" "Secret" "name" $values.dlqMonitor.tokenSecret "keys" (list $values.dlqMonitor.tokenKey)) -}}
{{- end -}}
{{- with $values.database.ca.configMap -}}
{{- $found = append $found (dict "value" "database.ca.configMap" "kind" "ConfigMap" "name" . "keys" (list $values.database.ca.key)) -}}
{{- end -}}
{{- range $values.image.pullSecrets -}}
{{- $found = append $found (dict "value" "image.pullSecrets" "kind" "Secret" "name" . "keys" list) -}}
{{- end -}}
{{- if not $values.serviceAccounts.create -}}
{{- $names := list -}}
{{- range $component := include "fleet.components" . | fromJsonArray -}}
{{- $name := include "fleet.serviceAccount" (dict "root" $ "component" $component) -}}
{{- if not (has $name $names) -}}
{{- $names = append $names $name -}}
{{- $found = append $found (dict "value" (printf "the ServiceAccount of %s (serviceAccounts.create is false)" $component) "kind" "ServiceAccount" "name" $name "keys" list) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- toJson $found -}}
{{- end -}}

{{/* How such an object is made. Arguments: root, reference. */}}
{{- define "fleet.create" -}}
{{- $reference := .reference -}}
{{- $create := printf "kubectl -n %s create" .root.Release.Namespace -}}
{{- if eq $reference.value "image.pullSecrets" -}}
{{ $create }} secret docker-registry {{ $reference.name }} --docker-server=... --docker-username=... --docker-password=...
{{- else -}}
{{- $what := get (dict "Secret" "secret generic" "ConfigMap" "configmap" "ServiceAccount" "serviceaccount") $reference.kind -}}
{{- $from := eq $reference.kind "ConfigMap" | ternary " --from-file=%s=FILE" " --from-literal=%s=..." -}}
{{ $create }} {{ $what }} {{ $reference.name }}{{ range $reference.keys }}{{ printf $from . }}{{ end -}}
{{- end -}}
{{- end -}}

{{/* Each of them is there, with its keys. */}}
{{- define "fleet.problems.references" -}}
{{- $problems := list -}}
{{- range $reference := include "fleet.references" . | fromJsonArray -}}
{{- $object := lookup "v1" .kind $.Release.Namespace .name -}}
{{- $keys := concat (keys ($object.data | default dict)) (keys ($object.binaryData | default dict)) | sortAlpha -}}
{{- if not $object -}}
{{- $problems = append $problems (printf "%s is %s, and namespace %s has no such %s. Make it before: %s" .value .name $.Release.Namespace .kind (include "fleet.create" (dict "root" $ "reference" .))) -}}
{{- else -}}
{{- range $key := .keys -}}
{{- if not (has $key $keys) -}}
{{- $problems = append $problems (printf "%s is %s, and that %s has no key %s; it has: %s" $reference.value $reference.name $reference.kind $key (join ", " $keys | default "none")) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- toJson $problems -}}
{{- end -}}

{{/*
KEDA is where NetworkPolicies let it in from. The API by which it gives metrics to autoscalers, one of
a cluster, tells where it runs.
*/}}
{{- define "fleet.problems.keda.findNamespace" -}}
{{- $problems := list -}}
{{- if and (include "fleet.keda" .) .Values.networkPolicy.enabled .Values.keda.findNamespace -}}
{{- $api := lookup "apiregistration.k8s.io/v1" "APIService" "" "v1beta1.external.metrics.k8s.io" -}}
{{- $namespace := dig "spec" "service" "namespace" "" $api -}}
{{- if and $namespace (ne $namespace .Values.keda.namespace) -}}
{{- $problems = append $problems (printf "keda.namespace is %s, and this cluster's KEDA is in namespace %s (its APIService v1beta1.external.metrics.k8s.io says so): the NetworkPolicies would not let it ask how much waits, and no worker would be added. Set keda.namespace to %s" .Values.keda.namespace $namespace $namespace) -}}
{{- end -}}
{{- end -}}
{{- toJson $problems -}}
{{- end -}}
