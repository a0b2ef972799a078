#!/usr/bin/env bash
# All of Goose on the cluster of scripts/cluster.sh, as the charts' development values have it, and the
# smoke test of it. Says how long each part took; what is there already is brought up to date.
#
#     scripts/cluster/install.sh [HELM OPTION...]     --set goosed.api.replicas=2, say
#
# scripts/cluster.sh down ends all of it.
set -euo pipefail
here=$(cd "$(dirname "$0")/../.." && pwd)
# shellcheck source=scripts/lib.sh
. "$here/scripts/lib.sh"
export PYTHON=${PYTHON:-python3}
values=(-f "$here/charts/goose/values-dev.yaml" -f "$here/scripts/cluster/values.yaml" "$@")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

main() {
    timed "the cluster" "$here/scripts/cluster.sh" up
    eval "$("$here/scripts/cluster.sh" env)"
    timed "the chart's dependencies" helm dependency build "$here/charts/goose"
    timed "the image of goosed" "$PYTHON" "$here/scripts/image/make.py" --out "$work/goosed"
    timed "the images of the servers" servers
    timed "their way into the cluster" "$here/scripts/cluster.sh" load "$work/goosed" "$work"/servers/*
    timed "helm upgrade --install" helm upgrade --install goose "$here/charts/goose" "${values[@]}" \
        --namespace goose --create-namespace --wait --timeout 5m
    timed "the smoke test" "$here/scripts/smoke.sh" --namespace goose
    say "a working stack after $SECONDS s"
}

helm() { "$here/scripts/helm.sh" "$@"; }

# servers: the images that the charts name, goosed's own aside.
servers() {
    local images
    images=$(helm template goose "$here/charts/goose" "${values[@]}" |
        sed -n 's/^ *-\{0,1\} *image: //p' | grep -v '^goosed:' | sort -u)
    # shellcheck disable=SC2086 # a word each
    "$PYTHON" "$here/scripts/cluster/images.py" --out "$work/servers" $images
}

# timed WORDS COMMAND...: with its output kept back unless it fails.
timed() {
    local what=$1 began=$SECONDS
    shift
    "$@" >"$work/log" 2>&1 || {
        cat "$work/log" >&2
        die "this failed after $((SECONDS - began)) s: $what" \
            "scripts/cluster.sh status, and kubectl describe what does not run"
    }
    say "$(printf '%4d s  %s' $((SECONDS - began)) "$what")"
}

main "$@"
