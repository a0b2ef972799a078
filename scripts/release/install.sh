#!/bin/sh
# Installs goosectl and goosed on a host without a package index; all that they need is beside this
# script, and nothing is fetched.
#
#     ./install.sh [DIR]               /opt/goose unless named; again is an upgrade
#     PYTHON=python3.12 ./install.sh   by another Python than python3
#
# Needs Python with its module venv. ensurepip, which Debian has in a package of its own, it can do
# without.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
dir=${1:-/opt/goose}
python=${PYTHON:-python3}

die() {
    printf 'error: %s\nhint: %s\n' "$1" "$2" >&2
    exit 1
}

[ "$(uname -sm)" = "Linux x86_64" ] ||
    die "these wheels are for Linux x86_64, this is $(uname -sm)" "install the wheel by pip there"
command -v "$python" >/dev/null || die "$python is not on PATH" "PYTHON=python3.12 $0"
version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
[ -e "$here/requirements-$version.txt" ] ||
    die "there are no wheels for Python $version here" \
        "name one of these: $(cd "$here" && echo requirements-*.txt | sed 's/requirements-\([^ ]*\)\.txt/\1/g')"
[ ! -e "$dir" ] || [ -e "$dir/pyvenv.cfg" ] || [ -z "$(ls -A "$dir")" ] ||
    die "$dir is there and was not made by this script" "name another folder: $0 DIR"
(cd "$here" && sha256sum --quiet -c SHA256SUMS) ||
    die "a file here is not what was released" "copy this folder again"

"$python" -m venv --without-pip "$dir"
for pip in "$here"/wheels/pip-*.whl; do
    PYTHONDONTWRITEBYTECODE=1 "$dir/bin/python" "$pip/pip" --isolated --quiet --no-input \
        --disable-pip-version-check install --no-cache-dir --no-index --no-deps --require-hashes \
        --find-links "$here/wheels" -r "$here/requirements-$version.txt"
done
"$dir/bin/goosectl" --version
printf '%s\n' "$dir/bin/goosectl and $dir/bin/goosed are there: PATH=$dir/bin:\$PATH"
