{{/*
A Deployment's number of pods: `replicas: N`, or nothing. Arguments: root, component, fixed (the number
where no autoscaler has it, else none).
*/}}
{{- define "fleet.replicas" -}}
{{- if not .fixed -}}
{{- include "fleet.keptReplicas" . -}}
{{- else if not (include "fleet.othersReplicas" .) -}}
replicas: {{ int64 .fixed }}
{{- end -}}
{{- end -}}

{{/*
The present number of a Deployment that has a fixed one, where it is another one and somebody else's:
`kubectl scale`'s, or an autoscaler's that is gone. To apply the fixed one would be a conflict with its
owner, which ends an upgrade half done; the field is left out, so that the present number stays. What
helm has never set is nobody's even when it was scaled: Kubernetes notes no owner then. Without
server-side apply there are no conflicts, and helm would take away what is not rendered. Arguments: root,
component, fixed.
*/}}
{{- define "fleet.othersReplicas" -}}
{{- $name := printf "%s-%s" (include "fleet.fullname" .root) .component -}}
{{- $deployment := lookup "apps/v1" "Deployment" .root.Release.Namespace $name -}}
{{- $applied := false -}}
{{- $others := false -}}
{{- range dig "metadata" "managedFields" list $deployment -}}
{{- if and (eq .manager "helm") (eq .operation "Apply") }}{{ $applied = true }}{{ end -}}
{{- if and (ne .manager "helm") (hasKey (dig "fieldsV1" "f:spec" dict .) "f:replicas") }}{{ $others = true }}{{ end -}}
{{- end -}}
{{- if and $applied $others (ne (int64 $deployment.spec.replicas) (int64 .fixed)) -}}
{{- $deployment.spec.replicas | int64 -}}
{{- end -}}
{{- end -}}

{{/* The Deployments that have a fixed number of pods, and it: as JSON, component to number. */}}
{{- define "fleet.fixedReplicas" -}}
{{- $fixed := dict -}}
{{- if not .Values.orderApi.autoscaling.enabled }}{{ $_ := set $fixed "order-api" .Values.orderApi.replicas }}{{ end -}}
{{- if not (include "fleet.keda" .) -}}
{{- range $queue := include "fleet.worker.queues" . | fromJsonArray -}}
{{- $_ := set $fixed (printf "worker-%s" $queue) (get $.Values.workers $queue).replicas -}}
{{- end -}}
{{- end -}}
{{- toJson $fixed -}}
{{- end -}}

{{/*
How many pods an autoscaled Deployment says that it wants: nothing, since the autoscaler says it. But
helm takes a field out of the object when it is no longer rendered, and without the number there is
one pod until the autoscaler looks again. So a number that is helm's to take away is kept as it is:

  server-side apply   where helm is still the field's owner: nobody has changed the number since. Once
                      an autoscaler has, the field is its own; to apply it, too, would be a conflict as
                      soon as it moves
  otherwise           always: helm compares with what it rendered the last time, which may have had it

Arguments: root, component.
*/}}
{{- define "fleet.keptReplicas" -}}
{{- $name := printf "%s-%s" (include "fleet.fullname" .root) .component -}}
{{- $deployment := lookup "apps/v1" "Deployment" .root.Release.Namespace $name -}}
{{- $applied := false -}}
{{- $owner := false -}}
{{- range dig "metadata" "managedFields" list $deployment -}}
{{- if eq .manager "helm" -}}
{{- if eq .operation "Apply" }}{{ $applied = true }}{{ end -}}
{{- if hasKey (dig "fieldsV1" "f:spec" dict .) "f:replicas" }}{{ $owner = true }}{{ end -}}
{{- end -}}
{{- end -}}
{{- if and $deployment (or $owner (not $applied)) -}}
replicas: {{ $deployment.spec.replicas | int64 }}
{{- end -}}
{{- end -}}
