{{/*
What all pods have in common. Each of them passes the restricted Pod Security Standard.
*/}}

{{/* The beginning of a pod's spec. Arguments: root, component, user, own (its values), spread (optional). */}}
{{- define "fleet.pod" -}}
serviceAccountName: {{ include "fleet.serviceAccount" . | quote }}
automountServiceAccountToken: false
enableServiceLinks: false
{{- with .root.Values.image.pullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . | quote }}
  {{- end }}
{{- end }}
securityContext:
  runAsNonRoot: true
  runAsUser: {{ .user }}
  runAsGroup: {{ .user }}
  fsGroup: {{ .user }}
  seccompProfile:
    type: RuntimeDefault
{{- with .own.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .own.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .own.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .own.topologySpread }}
topologySpreadConstraints:
  {{- range . }}
  - topologyKey: {{ .topologyKey | quote }}
    maxSkew: {{ .maxSkew }}
    whenUnsatisfiable: {{ .whenUnsatisfiable }}
    labelSelector:
      matchLabels:
        {{- include "fleet.selector" $ | nindent 8 }}
    matchLabelKeys: [pod-template-hash]
  {{- end }}
{{- end }}
{{- end -}}

{{/*
The beginning of a container. What a program says of wrong settings (exit code 64) is its
termination message, which `kubectl describe pod` shows. Arguments: root, name, own, image (default:
the fleet's own image of that name).
*/}}
{{- define "fleet.container" -}}
name: {{ .name }}
image: {{ .image | default (include "fleet.image" .) }}
imagePullPolicy: {{ .root.Values.image.pullPolicy }}
terminationMessagePolicy: FallbackToLogsOnError
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities:
    drop: [ALL]
{{- with .own.resources }}
resources:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{/*
Probes on the admin port. A service that waits while another one migrates the database listens only
afterwards, which may take ten minutes; liveness asks no other party, readiness asks all.
*/}}
{{- define "fleet.probes" -}}
startupProbe:
  httpGet: {path: /livez, port: admin}
  periodSeconds: 2
  timeoutSeconds: 2
  failureThreshold: 330
livenessProbe:
  httpGet: {path: /livez, port: admin}
  periodSeconds: 10
  timeoutSeconds: 5
  failureThreshold: 6
readinessProbe:
  httpGet: {path: /readyz, port: admin}
  periodSeconds: 2
  timeoutSeconds: 2
  failureThreshold: 2
{{- end -}}

{{/* The wait before SIGTERM, in which endpoints are removed. Arguments: seconds. */}}
{{- define "fleet.preStop" -}}
{{- if int64 . -}}
lifecycle:
  preStop:
    sleep:
      seconds: {{ int64 . }}
{{- end -}}
{{- end -}}

{{/*
A pod's annotations: what a change of which restarts it, where no Prometheus operator looks for pods
those that a Prometheus may go by, and its own, which win. Arguments: root, own, checksums (name to text),
scrape (port, or 0).
*/}}
{{- define "fleet.podAnnotations" -}}
{{- $annotations := dict -}}
{{- range $name, $text := .checksums -}}
{{- $_ := set $annotations (printf "checksum/%s" $name) (sha256sum $text) -}}
{{- end -}}
{{- if and .scrape (not (include "fleet.operator" .root)) -}}
{{- $_ := set $annotations "prometheus.io/scrape" "true" -}}
{{- $_ := set $annotations "prometheus.io/port" (toString .scrape) -}}
{{- $_ := set $annotations "prometheus.io/path" "/metrics" -}}
{{- end -}}
{{- $annotations = mergeOverwrite $annotations (.own.podAnnotations | default dict) -}}
{{- with $annotations -}}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end -}}
{{- end -}}

{{/* What a service is restarted for, beside its own settings: as JSON, for `checksums`. */}}
{{- define "fleet.checksums" -}}
{{- $texts := dict -}}
{{- if .Values.postgres.enabled }}{{ $_ := set $texts "database" .Values.postgres.password }}{{ end -}}
{{- toJson $texts -}}
{{- end -}}
