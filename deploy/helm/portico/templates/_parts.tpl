{{- define "portico.image" -}}
{{ .Values.image.repository }}:{{ .Values.image.tag }}
{{- end }}

{{- /* The arguments of the container. Flags that other values set are refused among `args`. */ -}}
{{- define "portico.args" -}}
- run
{{- range .Values.args }}
{{- $flag := regexFind "^--[a-z0-9-]+" . }}
{{- with get (dict "--ingress-class" "ingressClass.name" "--controller-name" "ingressClass.controller" "--http-port" "ports.http" "--https-port" "ports.https" "--status-port" "ports.status") $flag }}
{{- fail (printf "args: %s: set the value %s instead, on which more depends" $flag .) }}
{{- end }}
{{- end }}
{{- $named := join " " .Values.args | regexMatch "--publish-(address|service)" }}
{{- if eq .Values.kind "DaemonSet" }}
- --status-socket=/run/portico/status.sock
{{- else if not $named }}
- --publish-service={{ .Values.namespace.name }}/{{ .Values.name }}
{{- end }}
{{- range include "portico.watched" . | fromJsonArray }}
- --watch-namespace={{ . }}
{{- end }}
{{- with .Values.ingressClass }}
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
{{- range .Values.args }}
- {{ . | quote }}
{{- end }}
{{- end }}

{{- /* The namespaces that rights are limited to, as JSON; none for all. */ -}}
{{- define "portico.watched" -}}
{{- $own := ternary (list .Values.namespace.name) list (eq .Values.kind "Deployment") }}
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
{{- end }}

{{- /* What is between the metadata of a Pod and its containers, the same for every kind. */ -}}
{{- define "portico.pod" -}}
serviceAccountName: {{ .Values.name }}
automountServiceAccountToken: true
enableServiceLinks: false
{{- with .Values.image.pullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . }}
  {{- end }}
{{- end }}
{{- with .Values.nodeSelector }}
nodeSelector:
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
  name: {{ .Values.name }}
  namespace: {{ .Values.namespace.name }}
{{- end }}
