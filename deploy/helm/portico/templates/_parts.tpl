{{- define "portico.image" -}}
{{ .Values.image.repository }}:{{ .Values.image.tag }}
{{- end }}

{{- /* As other charts name things: of the release, with the chart in it. */ -}}
{{- define "portico.name" -}}
{{- $release := ternary .Release.Name (printf "%s-portico" .Release.Name) (contains "portico" .Release.Name) }}
{{- .Values.name | default $release | trunc 63 | trimSuffix "-" }}
{{- end }}

{{- define "portico.namespace" -}}
{{ .Values.namespace.name | default .Release.Namespace }}
{{- end }}

{{- /* What Pods are selected by: never another release's, and nothing that an upgrade changes. */ -}}
{{- define "portico.selector" -}}
app.kubernetes.io/name: portico
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "portico.labels" -}}
{{ include "portico.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/component: controller
app.kubernetes.io/part-of: portico
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end }}

{{- define "portico.serviceAccount" -}}
{{ .Values.serviceAccount.name | default (include "portico.name" .) }}
{{- end }}

{{- /* The class, as JSON; what is written as for the chart of ingress-nginx wins. */ -}}
{{- define "portico.class" -}}
{{- $class := deepCopy .Values.ingressClass }}
{{- with .Values.controller.ingressClassResource }}
{{- range $theirs, $ours := dict "name" "name" "controllerValue" "controller" "default" "default" "enabled" "create" }}
{{- $given := get $.Values.controller.ingressClassResource $theirs }}
{{- if not (kindIs "invalid" $given) }}{{- if ne (toString $given) "" }}
{{- $_ := set $class $ours $given }}
{{- end }}{{- end }}
{{- end }}
{{- end }}
{{- toJson $class }}
{{- end }}

{{- /* Measured: 120 MiB, and 30 MiB for each data-plane thread; of four where there are as many as cores. */ -}}
{{- define "portico.resources" -}}
{{- $workers := int .Values.workers | default 4 }}
{{- $memory := printf "%dMi" (ternary 256 (add 120 (mul 30 $workers) | int) (eq $workers 4)) }}
{{- $computed := dict "requests" (dict "cpu" "100m" "memory" $memory) }}
{{- if .Values.limitMemory }}
{{- if eq (int .Values.workers) 0 }}
{{- fail "limitMemory: needs a number of workers: with one thread per core no limit fits every node" }}
{{- end }}
{{- $_ := set $computed "limits" (dict "memory" (printf "%dMi" (add 120 (mul 1331 $workers)))) }}
{{- end }}
{{- mergeOverwrite $computed (deepCopy .Values.resources) | toYaml }}
{{- end }}

{{- /* The arguments of the container. Flags that other values set are refused among `args`. */ -}}
{{- define "portico.args" -}}
- run
{{- range .Values.args }}
{{- $flag := regexFind "^--[a-z0-9-]+" . }}
{{- with get (dict "--workers" "workers" "--ingress-class" "ingressClass.name" "--controller-name" "ingressClass.controller" "--http-port" "ports.http" "--https-port" "ports.https" "--status-port" "ports.status" "--admin-address" "admin.port") $flag }}
{{- fail (printf "args: %s: set the value %s instead, on which more depends" $flag .) }}
{{- end }}
{{- end }}
{{- $named := join " " .Values.args | regexMatch "--publish-(address|service)" }}
{{- if eq .Values.kind "DaemonSet" }}
- --status-socket=/run/portico/status.sock
- --admin-socket=/run/portico/admin.sock
{{- else }}
- --admin-socket=/run/portico/admin.sock
{{- if not $named }}
- --publish-service={{ include "portico.namespace" . }}/{{ include "portico.name" . }}
{{- end }}
{{- end }}
{{- with int .Values.admin.port }}
- --admin-address=127.0.0.1:{{ . }}
{{- end }}
{{- range include "portico.watched" . | fromJsonArray }}
- --watch-namespace={{ . }}
{{- end }}
{{- with include "portico.class" . | fromJson }}
{{- if ne .name "portico" }}
- --ingress-class={{ .name }}
{{- end }}
{{- if ne .controller "portico.dev/ingress-controller" }}
- --controller-name={{ .controller }}
{{- end }}
{{- end }}
{{- with .Values.ports }}
{{- if or (ne (int .http) 80) (ne (int .https) 443) }}
- --http-port={{ .http }}
- --https-port={{ .https }}
{{- end }}
{{- if ne (int .status) 10254 }}
- --status-port={{ .status }}
{{- end }}
{{- end }}
{{- with .Values.workers }}
- --workers={{ . }}
{{- end }}
{{- if .Values.gatewayServices }}
- --gateway-addresses=service
{{- end }}
{{- range .Values.args }}
- {{ . | quote }}
{{- end }}
{{- end }}

{{- /* The namespaces that rights are limited to, as JSON; none for all. */ -}}
{{- define "portico.watched" -}}
{{- $own := ternary (list (include "portico.namespace" .)) list (eq .Values.kind "Deployment") }}
{{- ternary (concat .Values.watchNamespaces $own | uniq) list (not (empty .Values.watchNamespaces)) | toJson }}
{{- end }}

{{- define "portico.env" -}}
- name: POD_NAME
  valueFrom:
    fieldRef:
      fieldPath: metadata.name
- name: POD_NAMESPACE
  valueFrom:
    fieldRef:
      fieldPath: metadata.namespace
- name: PORTICO_NODE_NAME
  valueFrom:
    fieldRef:
      fieldPath: spec.nodeName
{{- with .Values.extraEnv }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- /* What is between the metadata of a Pod and its containers, the same for every kind. */ -}}
{{- define "portico.pod" -}}
serviceAccountName: {{ include "portico.serviceAccount" . }}
automountServiceAccountToken: true
enableServiceLinks: false
{{- with .Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
securityContext:
  runAsNonRoot: true
  runAsUser: 65532
  runAsGroup: 65532
  seccompProfile:
    type: RuntimeDefault
{{- end }}

{{- define "portico.security" -}}
capabilities:
  drop: [ALL]
  add: [NET_BIND_SERVICE]
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
{{- end }}

{{- define "portico.subject" -}}
- kind: ServiceAccount
  name: {{ include "portico.serviceAccount" . }}
  namespace: {{ include "portico.namespace" . }}
{{- end }}
