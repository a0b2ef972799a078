{{- define "observability.labels" -}}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
app.kubernetes.io/part-of: goose
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end }}

{{/* An image by its value, for (list $ $image). */}}
{{- define "observability.image" -}}
{{- $root := index . 0 -}}
{{- $image := index . 1 -}}
{{- $registry := $root.Values.global.imageRegistry | default $image.registry | trimSuffix "/" -}}
{{- $at := ternary (printf "@%s" $image.digest) "" (ne $image.digest "") -}}
{{- printf "%s/%s:%s%s" $registry $image.repository $image.tag $at -}}
{{- end }}

{{/* What the parts differ in: the user of the image, its port and probe, its files. */}}
{{- define "observability.parts" -}}
collector:
  user: 10001
  args: [--config=/etc/collector/collector.yaml]
  ports: {otlp: 4318, metrics: 9464, own: 8888, health: 13133}
  probe: {path: /, port: health}
  config: {collector: /etc/collector}
prometheus:
  user: 65534
  data: /prometheus
  args:
    - --config.file=/etc/prometheus/prometheus.yaml
    - --storage.tsdb.path=/prometheus
    - --storage.tsdb.retention.time={{ .Values.prometheus.retention }}
    - --enable-feature=exemplar-storage
    - --web.enable-remote-write-receiver
  ports: {http: 9090}
  probe: {path: /-/ready, port: http}
  config: {prometheus: /etc/prometheus, prometheus-rules: /etc/prometheus/rules, prometheus-scrape: /etc/prometheus/scrape.d}
  {{- if not .Values.lab }}
  secrets: {goosed-ca: [{{ .Values.goosedTlsSecret }}, /etc/goose]}
  {{- end }}
loki:
  user: 10001
  data: /loki
  args: [-config.file=/etc/loki/loki.yaml, -config.expand-env=true]
  ports: {http: 3100}
  probe: {path: /ready, port: http}
  config: {loki: /etc/loki}
tempo:
  user: 10001
  data: /var/tempo
  args: [-config.file=/etc/tempo/tempo.yaml]
  ports: {http: 3200, otlp: 4317}
  probe: {path: /ready, port: http}
  config: {tempo: /etc/tempo}
grafana:
  user: 472
  data: /var/lib/grafana
  ports: {http: 3000}
  probe: {path: /api/health, port: http}
  config:
    grafana-datasources: /etc/grafana/provisioning/datasources
    grafana-provider: /etc/grafana/provisioning/dashboards
    grafana-dashboards: /var/lib/grafana/dashboards
  # Nothing leaves the building, and nothing is to be had from outside of it.
  env:
    GF_ANALYTICS_REPORTING_ENABLED: "false"
    GF_ANALYTICS_CHECK_FOR_UPDATES: "false"
    GF_ANALYTICS_CHECK_FOR_PLUGIN_UPDATES: "false"
    GF_NEWS_NEWS_FEED_ENABLED: "false"
    GF_PLUGINS_PREINSTALL_DISABLED: "true"
    GF_SECURITY_DISABLE_GRAVATAR: "true"
{{- end }}
