{{- /* Labels of every object; the argument is (list $ COMPONENT), where "" is for what belongs to all of them. */ -}}
{{- define "meshlite.labels" -}}
{{- $root := index . 0 -}}
{{- $component := index . 1 -}}
app.kubernetes.io/name: meshlite
{{- with $component }}
app.kubernetes.io/component: {{ . }}
{{- end }}
app.kubernetes.io/version: {{ $root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ $root.Release.Service }}
helm.sh/chart: {{ $root.Chart.Name }}-{{ $root.Chart.Version }}
{{- end }}

{{- /* What chooses the Pods of a plane; the argument is its name. */ -}}
{{- define "meshlite.selector" -}}
app.kubernetes.io/name: meshlite
app.kubernetes.io/component: {{ . }}
{{- end }}

{{- define "meshlite.image" -}}
{{- with .Values.image -}}
image: {{ .repository }}{{ if .digest }}@{{ .digest }}{{ else }}:{{ .tag | default $.Chart.AppVersion }}{{ end }}
imagePullPolicy: {{ .pullPolicy }}
{{- end }}
{{- end }}

{{- /* What a container may do that needs no rights; one that needs some adds them. */ -}}
{{- define "meshlite.unprivileged" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end }}

{{- define "meshlite.logArgs" -}}
- "--log-format={{ .Values.log.format }}"
{{- with .Values.log.level }}
- "--log-level={{ . }}"
{{- end }}
{{- end }}

{{- /* How a data plane finds the control plane: by addresses, so that it needs no Service VIP and no DNS. */ -}}
{{- define "meshlite.connectArgs" -}}
{{- if not .Values.controlPlane.addresses }}
{{- fail "set controlPlane.addresses to the IP addresses of the nodes that the control plane may run on" }}
{{- end -}}
{{- $urls := list -}}
{{- range .Values.controlPlane.addresses }}
{{- $urls = append $urls (printf "https://%s:%v" . $.Values.controlPlane.port) -}}
{{- end -}}
- "--control-plane={{ join "," $urls }}"
- --ca-file=/etc/meshlite/ca/ca.crt
{{- end }}

{{- /* Who a plane is to the control plane, and a replica of that to the others. */ -}}
{{- define "meshlite.tokenMount" -}}
- {name: token, mountPath: /var/run/secrets/meshlite.io, readOnly: true}
{{- end }}

{{- define "meshlite.tokenVolume" -}}
- name: token
  projected:
    sources:
      - serviceAccountToken: {audience: meshlite, path: token, expirationSeconds: 3600}
{{- end }}

{{- /* Who a data plane is to the control plane, and by which CA it knows that. */ -}}
{{- define "meshlite.connectMounts" -}}
{{ include "meshlite.tokenMount" . }}
- {name: ca, mountPath: /etc/meshlite/ca, readOnly: true}
{{- end }}

{{- define "meshlite.connectVolumes" -}}
{{ include "meshlite.tokenVolume" . }}
# The control plane makes it; until then these Pods wait.
- name: ca
  configMap: {name: meshlite-ca}
{{- end }}

{{- define "meshlite.nodeNameEnv" -}}
- name: MESHLITE_NODE_NAME
  valueFrom: {fieldRef: {fieldPath: spec.nodeName}}
{{- end }}
