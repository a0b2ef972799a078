# shellcheck shell=bash
# What several scripts share. Sourced, not run.

say() { printf '%s\n' "$*" >&2; }

die() {
    printf 'error: %s\n' "$1" >&2
    [ $# -lt 2 ] || printf 'hint: %s\n' "$2" >&2
    exit 1
}

# apt_install PACKAGE...: as root, without questions, without starting a service.
apt_install() {
    local policy=/usr/sbin/policy-rc.d made=""
    if [ ! -e "$policy" ]; then # invoke-rc.d(8): 101 forbids every action
        printf '#!/bin/sh\nexit 101\n' >"$policy"
        chmod 755 "$policy"
        made=yes
    fi
    local code=0
    DEBIAN_FRONTEND=noninteractive apt-get -qq -o Dpkg::Use-Pty=0 -o DPkg::Lock::Timeout=300 \
        install --no-install-recommends -y "$@" >/dev/null </dev/null || code=$?
    [ -z "$made" ] || rm -f "$policy"
    return "$code"
}

# apt_update: the lists of packages, at most once in a run.
apt_update() {
    [ -n "${apt_updated:-}" ] || apt-get -qq -o DPkg::Lock::Timeout=300 update >/dev/null </dev/null
    apt_updated=yes
}

# cache_dir: where built tools stay between runs.
cache_dir() {
    printf '%s\n' "${GOOSE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/goose}"
}
