#!/usr/bin/env bash
# Whether all of Goose answers: every service's /healthz and /readyz, and a trace, a log line and a
# metric that go in at the collector and are read back from Tempo, Loki and Prometheus.
#
#     scripts/smoke.sh --namespace goose
#     scripts/smoke.sh --host https://goose.example:8443 --ca /var/lib/goose/pki/ca.crt \
#         --collector http://127.0.0.1:4318 --prometheus http://127.0.0.1:9090 \
#         --loki http://127.0.0.1:3100 --tempo http://127.0.0.1:3200
#
# In a namespace every service is reached by `kubectl port-forward`. On a plain host --host may stand
# several times, and what is not named is left out. Exit code 1, and what failed by name, where one
# thing does not answer as it should.
set -euo pipefail
here=$(cd "$(dirname "$0")/.." && pwd)
# shellcheck source=scripts/lib.sh
. "$here/scripts/lib.sh"

patience=${SMOKE_PATIENCE:-60} # seconds for what was pushed to be found
timeout=${SMOKE_TIMEOUT:-10}   # seconds for one answer
work=$(mktemp -d)
forwards=()
failed=()
namespace="" ca="" collector="" prometheus="" loki="" tempo=""
hosts=()

main() {
    trap finish EXIT
    local words="use --namespace NAME, or --host URL"
    while [ $# -gt 0 ]; do
        [ $# -ge 2 ] || die "$1 wants a value" "$words"
        case "$1" in
        --namespace) namespace=$2 ;;
        --host) hosts+=("${2%/}") ;;
        --ca) ca=$2 ;;
        --collector) collector=${2%/} ;;
        --prometheus) prometheus=${2%/} ;;
        --loki) loki=${2%/} ;;
        --tempo) tempo=${2%/} ;;
        *) die "there is no option $1" "$words" ;;
        esac
        shift 2
    done
    [ -n "$namespace" ] || [ "${#hosts[@]}" -gt 0 ] || die "nothing to look at" "$words"
    [ -z "$namespace" ] || in_namespace
    local url
    for url in "${hosts[@]}"; do answers "$url" "$url"; done
    [ -z "$collector" ] || round_trip
    if [ "${#failed[@]}" -gt 0 ]; then
        printf 'failed: %s\n' "${failed[@]}" >&2
        exit 1
    fi
    echo "all of it answers"
}

finish() {
    local one
    for one in "${forwards[@]}"; do kill "$one" 2>/dev/null || true; done
    rm -rf "$work"
}

# in_namespace: forwards every service that there is, and looks at goosed's.
in_namespace() {
    local name scheme=https port
    command -v kubectl >/dev/null || die "kubectl is not on PATH" "install it, or use --host"
    if kubectl -n "$namespace" get secret goosed-tls -o 'jsonpath={.data.ca\.crt}' \
        >"$work/ca.b64" 2>/dev/null && [ -s "$work/ca.b64" ]; then
        base64 -d <"$work/ca.b64" >"$work/ca.crt"
        ca=${ca:-$work/ca.crt}
    fi
    for name in goosed-api goosed-bootd goosed-orchestrator; do
        port=$(kubectl -n "$namespace" get service "$name" \
            -o 'jsonpath={.spec.ports[?(@.name=="web")].port}' 2>/dev/null) || port=""
        if [ -z "$port" ]; then
            fail "$name: there is no such service"
            continue
        fi
        [ "$port" != 80 ] || scheme=http
        if forward "$name" "$port"; then answers "$name" "$scheme://127.0.0.1:$forwarded"; fi
    done
    kubectl -n "$namespace" get service collector >/dev/null 2>&1 || return 0
    for name in collector:4318 prometheus:9090 loki:3100 tempo:3200; do
        kubectl -n "$namespace" get service "${name%:*}" >/dev/null 2>&1 || continue
        if forward "${name%:*}" "${name#*:}"; then
            printf -v "${name%:*}" 'http://127.0.0.1:%s' "$forwarded"
        fi
    done
}

# forward SERVICE PORT: sets `forwarded` to a local port that leads there.
forward() {
    local log=$work/$1.log end=$((SECONDS + 20))
    : >"$log" # before it is read
    kubectl -n "$namespace" port-forward --pod-running-timeout=10s --address 127.0.0.1 \
        "service/$1" ":$2" >"$log" 2>&1 &
    forwards+=($!)
    while [ "$SECONDS" -lt "$end" ]; do
        forwarded=$(sed -n 's/^Forwarding from 127.0.0.1:\([0-9]*\) .*/\1/p' "$log" | head -n 1)
        [ -z "$forwarded" ] || return 0
        kill -0 $! 2>/dev/null || break
        sleep 0.1
    done
    fail "$1: no way to it: $(tail -n 1 "$log")"
    return 1
}

# answers NAME URL: whether both of its probes are 200.
answers() {
    local path
    for path in /healthz /readyz; do
        expect "$1 $path" "$2$path" || true # the next is looked at all the same
    done
}

# expect NAME URL [CURL OPTION...]: whether it answers 200; the answer is in $work/answer.
expect() {
    local name=$1 url=$2 status options=(--silent --show-error --max-time "$timeout")
    shift 2
    [ -z "$ca" ] || options+=(--cacert "$ca")
    status=$(curl "${options[@]}" -o "$work/answer" -w '%{http_code}' "$@" "$url" \
        2>"$work/words") || true
    if [ "$status" = 200 ]; then
        echo "ok      $name"
        return 0
    fi
    fail "$name: ${status/000/no answer} $(head -c 300 "$work/words")"
    return 1
}

fail() {
    failed+=("$1")
    echo "FAILED  $1"
}

# round_trip: pushes one trace, one line and one metric, and reads each back.
round_trip() {
    local trace span now mark
    trace=$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')
    span=${trace:0:16}
    mark=smoke_${trace:0:12}
    now=$(date +%s)000000000
    local about='"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"goose-smoke"}}]}'
    push traces '{"resourceSpans":[{'"$about"',"scopeSpans":[{"spans":[{"traceId":"'"$trace"'",
        "spanId":"'"$span"'","name":"smoke","kind":1,"startTimeUnixNano":"'"$now"'",
        "endTimeUnixNano":"'"$now"'"}]}]}]}'
    push logs '{"resourceLogs":[{'"$about"',"scopeLogs":[{"logRecords":[{"timeUnixNano":"'"$now"'",
        "body":{"stringValue":"'"$mark"'"}}]}]}]}'
    push metrics '{"resourceMetrics":[{'"$about"',"scopeMetrics":[{"metrics":[{
        "name":"goose_smoke","gauge":{"dataPoints":[{"timeUnixNano":"'"$now"'","asInt":"1",
        "attributes":[{"key":"mark","value":{"stringValue":"'"$mark"'"}}]}]}}]}]}]}'
    [ -z "$tempo" ] || until_found "the trace in Tempo" smoke "$tempo/api/traces/$trace"
    [ -z "$loki" ] || until_found "the line in Loki" "$mark" "$loki/loki/api/v1/query_range" \
        --get --data-urlencode "query={service_name=\"goose-smoke\"} |= \"$mark\""
    [ -z "$prometheus" ] || until_found "the metric in Prometheus" "$mark" \
        "$prometheus/api/v1/query" --get --data-urlencode "query=goose_smoke{mark=\"$mark\"}"
}

# push SIGNAL JSON: by OTLP over HTTP.
push() {
    expect "the collector takes $1" "$collector/v1/$1" \
        --header 'Content-Type: application/json' --data "$2" || true
}

# until_found NAME WORD URL [CURL OPTION...]: asks until the answer is 200 and has WORD.
until_found() {
    local name=$1 word=$2 url=$3 end=$((SECONDS + patience)) status=""
    shift 3
    while [ "$SECONDS" -lt "$end" ]; do
        status=$(curl --silent --max-time "$timeout" -o "$work/answer" -w '%{http_code}' "$@" "$url") || true
        if [ "$status" = 200 ] && grep -q "$word" "$work/answer"; then
            echo "ok      $name"
            return
        fi
        sleep 1
    done
    fail "$name: not found in $patience seconds (last answer: ${status:-none})"
}

main "$@"
