{{- define "squall.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{- define "squall.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 52 | trimSuffix "-" -}}
{{- else if contains (include "squall.name" .) .Release.Name -}}
{{- .Release.Name | trunc 52 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name (include "squall.name" .) | trunc 52 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "squall.selectorLabels" -}}
app.kubernetes.io/name: {{ include "squall.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "squall.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{ include "squall.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/part-of: squall
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "squall.serviceAccount" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "squall.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{/* An image by digest, else by tag, else of this version: (list $ .Values.image) */}}
{{- define "squall.image" -}}
{{- $root := index . 0 -}}
{{- $image := index . 1 -}}
{{- if $image.digest -}}
{{- printf "%s@%s" $image.repository $image.digest -}}
{{- else -}}
{{- printf "%s:%s" $image.repository (default $root.Chart.AppVersion $image.tag) -}}
{{- end -}}
{{- end -}}

{{- define "squall.secret" -}}
{{- if eq .Values.certificates.mode "given" -}}
{{- required "certificates.given.secret: name the Secret that has tls.crt, tls.key and ca.crt" .Values.certificates.given.secret -}}
{{- else -}}
{{- default (printf "%s-tls" (include "squall.fullname" .)) .Values.certificates.secret -}}
{{- end -}}
{{- end -}}

{{/* Whether anything is asked of the API server. */}}
{{- define "squall.callsApi" -}}
{{- if or .Values.controller.enabled (eq .Values.certificates.mode "self-made") -}}true{{- end -}}
{{- end -}}

{{/* What both webhook configurations have for cert-manager. */}}
{{- define "squall.webhookAnnotations" -}}
{{- if eq .Values.certificates.mode "cert-manager" -}}
annotations:
  cert-manager.io/inject-ca-from: {{ .Release.Namespace }}/{{ include "squall.fullname" . }}
{{- end -}}
{{- end -}}

{{/* How the API server reaches a path: (list $ "/inject") */}}
{{- define "squall.clientConfig" -}}
{{- $root := index . 0 -}}
service:
  name: {{ include "squall.fullname" $root }}
  namespace: {{ $root.Release.Namespace }}
  path: {{ index . 1 }}
  port: 443
{{- if eq $root.Values.certificates.mode "given" }}
caBundle: {{ required "certificates.given.caBundle: the API server needs the authority, in PEM" $root.Values.certificates.given.caBundle | b64enc }}
{{- end }}
{{- end -}}
