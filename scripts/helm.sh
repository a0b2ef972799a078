#!/usr/bin/env bash
# Runs helm: the one that the tests pin where it was built (make stack-parts), else that on PATH.
#
#     scripts/helm.sh dependency build charts/goose
set -euo pipefail
here=$(cd "$(dirname "$0")/.." && pwd)
# shellcheck source=scripts/lib.sh
. "$here/scripts/lib.sh"

sum=$(sha256sum "$here/tests/stack/tools/helm/go.sum" | cut -c1-12)
for found in "$(cache_dir)"/tools/helm-*-"$sum"/helm; do
    [ ! -x "$found" ] || exec "$found" "$@"
done
command -v helm >/dev/null || die "helm is neither on PATH nor built" "make stack-parts builds it"
exec helm "$@"
