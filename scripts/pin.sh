#!/usr/bin/env bash
# Renews the pins: constraints.txt from setup.cfg, and those of the go that test tools are built
# with and of the pip that a release brings. Everything at its newest; `scripts/pin.sh --keep` keeps
# what the ranges still allow.
set -euo pipefail
cd "$(dirname "$0")/.."
export PATH=$PWD/.venv/bin:$PATH

[ "${1:-}" = --keep ] || set -- --upgrade
[ "$1" != --keep ] || shift
pin() {
    uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
        --no-emit-index-url --no-emit-find-links --custom-compile-command "make constraints" "$@"
}
pin "$@" --extra dev setup.cfg -o constraints.txt
pin "$@" tests/tools/go/requirements.in -o tests/tools/go/requirements.txt
pin "$@" scripts/release/requirements.in -o scripts/release/requirements.txt
