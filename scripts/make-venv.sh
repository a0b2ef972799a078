#!/usr/bin/env bash
# Makes the virtual environment DIR with everything that constraints.txt pins, by hash, and this
# checkout in it, editable. Needs python3 (3.11 or newer; PYTHON names another).
#
#     scripts/make-venv.sh DIR
set -euo pipefail
here=$(cd "$(dirname "$0")/.." && pwd)
# shellcheck source=scripts/lib.sh
. "$here/scripts/lib.sh"

venv=$1
python=${PYTHON:-python3}

need_python "$python"

say "installing what constraints.txt pins into $venv"
"$python" -m venv --clear "$venv"
pip=("$venv/bin/python" -m pip --disable-pip-version-check --quiet --no-input)
# What comes as source (pykickstart) is built by the pinned setuptools, not by the newest one that
# isolated builds would fetch; so setuptools goes first.
awk '/^[^ #]/ { on = /^setuptools==/ } on' "$here/constraints.txt" >"$venv/setuptools.txt"
"${pip[@]}" install --only-binary :all: --require-hashes -r "$venv/setuptools.txt"
"${pip[@]}" install --no-build-isolation --require-hashes -r "$here/constraints.txt"
"${pip[@]}" install --no-build-isolation --no-deps --no-index -e "$here"
