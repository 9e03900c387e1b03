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
