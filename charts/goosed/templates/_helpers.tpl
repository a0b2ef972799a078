{{/* Objects are named without the release's name: a namespace holds one site, and other charts, the
scrape configuration and certificates know these names. */}}

{{- define "goosed.labels" -}}
app.kubernetes.io/name: goosed
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
app.kubernetes.io/part-of: goose
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end }}

{{/* The roles that deployments are made of, by the deployment's short name. */}}
{{- define "goosed.parts" -}}
{{- if .Values.split -}}
bootd: bootd
api: api
orchestrator: orchestrator
{{- else -}}
all: bootd,api,orchestrator
{{- end -}}
{{- end }}

{{- define "goosed.image" -}}
{{- $registry := .Values.global.imageRegistry -}}
{{- $at := ternary (printf "@%s" .Values.image.digest) "" (ne .Values.image.digest "") -}}
{{- $name := printf "%s:%s%s" .Values.image.repository (.Values.image.tag | default .Chart.AppVersion) $at -}}
{{- if $registry }}{{ trimSuffix "/" $registry }}/{{ end }}{{ $name }}
{{- end }}

{{- define "goosed.tlsSecret" -}}
{{- .Values.tls.existingSecret | default "goosed-tls" -}}
{{- end }}

{{- define "goosed.keysSecret" -}}
{{- .Values.keys.existingSecret | default "goosed-keys" -}}
{{- end }}

{{- define "goosed.scheme" -}}
{{- ternary "HTTP" "HTTPS" .Values.lab -}}
{{- end }}

{{- define "goosed.webPort" -}}
{{- ternary 8080 8443 .Values.lab -}}
{{- end }}

{{/* The names that the certificate is for. */}}
{{- define "goosed.dnsNames" -}}
{{- $names := list -}}
{{- range $name := list "goosed" "goosed-api" "goosed-bootd" "goosed-orchestrator" -}}
{{- $names = concat $names (list $name (printf "%s.%s" $name $.Release.Namespace) (printf "%s.%s.svc" $name $.Release.Namespace)) -}}
{{- end -}}
{{- $names = concat $names (without (include "goosed.hosts" . | fromYamlArray) (include "goosed.addresses" . | fromYamlArray)) -}}
{{- if .Values.ingress.enabled }}{{ $names = append $names .Values.ingress.host }}{{ end -}}
{{- $names | uniq | toYaml -}}
{{- end }}

{{/* The hosts that machines are told, and those of them that are IP addresses. */}}
{{- define "goosed.hosts" -}}
{{- $hosts := list -}}
{{- range $url := list .Values.publicUrl .Values.apiUrl -}}
{{- if $url }}{{ $hosts = append $hosts (urlParse $url).hostname }}{{ end -}}
{{- end -}}
{{- $hosts | uniq | toYaml -}}
{{- end }}
{{- define "goosed.addresses" -}}
{{- $addresses := list -}}
{{- range $host := include "goosed.hosts" . | fromYamlArray -}}
{{- if regexMatch "^[0-9.]+$|:" $host }}{{ $addresses = append $addresses $host }}{{ end -}}
{{- end -}}
{{- $addresses | toYaml -}}
{{- end }}

{{/* What every container of goosed is given. */}}
{{- define "goosed.env" -}}
- {name: GOOSE_HOME, value: /var/lib/goose}
- {name: GOOSED_LISTEN, value: "0.0.0.0:{{ include "goosed.webPort" . }}"}
{{- if .Values.lab }}
- {name: GOOSED_LAB, value: "true"}
{{- else }}
- {name: GOOSED_BOOT_LISTEN, value: "0.0.0.0:8080"}
- {name: GOOSED_TLS_CERTIFICATE, value: /etc/goose/tls/tls.crt}
- {name: GOOSED_TLS_KEY, value: /etc/goose/tls/tls.key}
- {name: GOOSED_TLS_CA, value: /etc/goose/tls/ca.crt}
- {name: GOOSED_TLS_CLIENT_CA, value: /etc/goose/tls/ca.crt}
{{- end }}
{{- with .Values.publicUrl }}
- {name: GOOSED_PUBLIC_URL, value: {{ . | quote }}}
{{- end }}
{{- with .Values.apiUrl }}
- {name: GOOSED_API_URL, value: {{ . | quote }}}
{{- end }}
{{- with .Values.bootUrl }}
- {name: GOOSED_BOOT_URL, value: {{ . | quote }}}
{{- end }}
{{- if or .Values.database.existingSecret .Values.database.dsn }}
- name: DB_DSN
  valueFrom:
    secretKeyRef: {name: {{ .Values.database.existingSecret | default "goosed-connections" }}, key: DB_DSN}
{{- end }}
{{- if .Values.s3.endpoint }}
- {name: S3_ENDPOINT, value: {{ .Values.s3.endpoint | quote }}}
- {name: S3_BUCKET, value: {{ .Values.s3.bucket | quote }}}
- {name: S3_SECURE, value: {{ .Values.s3.secure | quote }}}
{{- with .Values.s3.region }}
- {name: S3_REGION, value: {{ . | quote }}}
{{- end }}
{{- range $key := list "S3_ACCESS_KEY" "S3_SECRET_KEY" }}
- name: {{ $key }}
  valueFrom:
    secretKeyRef: {name: {{ $.Values.s3.existingSecret | default "goosed-connections" }}, key: {{ $key }}}
{{- end }}
{{- if .Values.s3.caSecret }}
- {name: SSL_CERT_FILE, value: /etc/goose/s3/ca.crt}
{{- end }}
{{- end }}
{{- if .Values.nats.existingSecret }}
- name: NATS_URL
  valueFrom:
    secretKeyRef: {name: {{ .Values.nats.existingSecret }}, key: NATS_URL}
{{- else if .Values.nats.url }}
- {name: NATS_URL, value: {{ .Values.nats.url | quote }}}
{{- end }}
{{- if .Values.nats.caSecret }}
- {name: GOOSED_NATS_CA, value: /etc/goose/nats/ca.crt}
{{- end }}
{{- if .Values.nats.credentialsSecret }}
- {name: GOOSED_NATS_CREDENTIALS, value: /etc/goose/nats-credentials/goosed.creds}
{{- end }}
{{- with .Values.otlp.endpoint }}
- {name: OTEL_EXPORTER_OTLP_ENDPOINT, value: {{ . | quote }}}
{{- end }}
{{- range $name, $value := .Values.env }}
- {name: {{ $name }}, value: {{ $value | quote }}}
{{- end }}
{{- end }}

{{- define "goosed.mounts" -}}
- {name: home, mountPath: /var/lib/goose}
- {name: keys, mountPath: /var/lib/goose/keys, readOnly: true}
- {name: infra, mountPath: /var/lib/goose/infra, readOnly: true}
- {name: tmp, mountPath: /tmp}
{{- if not .Values.lab }}
- {name: tls, mountPath: /etc/goose/tls, readOnly: true}
{{- end }}
{{- range $name, $secret := include "goosed.secrets" . | fromYaml }}
- {name: {{ $name }}, mountPath: /etc/goose/{{ $name }}, readOnly: true}
{{- end }}
{{- end }}

{{/* Secrets that are mounted where one is named, by volume. */}}
{{- define "goosed.secrets" -}}
{{- with .Values.database.caSecret }}
db: {{ . }}
{{- end }}
{{- with .Values.s3.caSecret }}
s3: {{ . }}
{{- end }}
{{- with .Values.nats.caSecret }}
nats: {{ . }}
{{- end }}
{{- with .Values.nats.credentialsSecret }}
nats-credentials: {{ . }}
{{- end }}
{{- end }}

{{- define "goosed.volumes" -}}
- name: home
{{- if and .Values.persistence.enabled (not .Values.split) }}
  persistentVolumeClaim: {claimName: {{ .Values.persistence.existingClaim | default "goosed" }}}
{{- else }}
  emptyDir: {}
{{- end }}
- name: keys
  secret: {secretName: {{ include "goosed.keysSecret" . }}, defaultMode: 0440}
- name: infra
  configMap: {name: {{ .Values.infraConfigMap | default "goosed-infra" }}}
- name: tmp
  emptyDir: {}
{{- if not .Values.lab }}
- name: tls
  secret: {secretName: {{ include "goosed.tlsSecret" . }}, defaultMode: 0440}
{{- end }}
{{- range $name, $secret := include "goosed.secrets" . | fromYaml }}
- name: {{ $name }}
  secret: {secretName: {{ $secret }}, defaultMode: 0440}
{{- end }}
{{- end }}

{{/* Pod Security Standards, "restricted". */}}
{{- define "goosed.podSecurity" -}}
runAsNonRoot: true
runAsUser: 10001
runAsGroup: 10001
fsGroup: 10001
fsGroupChangePolicy: OnRootMismatch
seccompProfile: {type: RuntimeDefault}
{{- end }}

{{- define "goosed.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end }}
