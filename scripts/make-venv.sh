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

command -v "$python" >/dev/null || die "$python is not on PATH" "install Python 3.11 or newer"
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || die \
    "$python is $("$python" --version 2>&1); Goose needs Python 3.11 or newer" \
    "make PYTHON=python3.12, or another that you have"

# Debian and Ubuntu ship the module venv without ensurepip, in a package of its own.
if ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
    package=python$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')-venv
    { [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; } ||
        die "$python cannot make virtual environments" "sudo apt-get install $package"
    say "installing $package"
    apt_update
    apt_install "$package" || die "$package could not be installed" "apt-get install $package"
fi

say "installing what constraints.txt pins into $venv"
"$python" -m venv --clear "$venv"
pip=("$venv/bin/python" -m pip --disable-pip-version-check --quiet --no-input)
# What comes as source (pykickstart) is built by the pinned setuptools, not by the newest one that
# isolated builds would fetch; so setuptools goes first.
awk '/^[^ #]/ { on = /^setuptools==/ } on' "$here/constraints.txt" >"$venv/setuptools.txt"
"${pip[@]}" install --only-binary :all: --require-hashes -r "$venv/setuptools.txt"
"${pip[@]}" install --no-build-isolation --require-hashes -r "$here/constraints.txt"
"${pip[@]}" install --no-build-isolation --no-deps --no-index -e "$here"
