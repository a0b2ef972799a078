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
    local words code=0
    words=$(DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=300 \
        install --no-install-recommends -y "$@" 2>&1 </dev/null) || code=$?
    [ -z "$made" ] || rm -f "$policy"
    [ "$code" = 0 ] || say "$words"
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

# need_python PYTHON: ends the script where that cannot make virtual environments for Goose.
need_python() {
    command -v "$1" >/dev/null || die "$1 is not on PATH" "install Python 3.11 or newer"
    "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || die \
        "$1 is $("$1" --version 2>&1); Goose needs Python 3.11 or newer" \
        "make PYTHON=python3.12, or another that you have"
    ! "$1" -c 'import ensurepip, venv' 2>/dev/null || return 0
    # Debian and Ubuntu ship the module venv without ensurepip, which is in a package of its own.
    local package
    package=python$("$1" -c 'import sys; print("%d.%d" % sys.version_info[:2])')-venv
    { [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; } ||
        die "$1 cannot make virtual environments" "sudo apt-get install $package"
    say "installing $package"
    apt_update
    apt_install "$package" || die "$package could not be installed" "apt-get install $package"
}
