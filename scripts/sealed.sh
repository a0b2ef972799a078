#!/usr/bin/env bash
# Runs a command where there is no network: in a namespace of its own with a loopback interface and
# no route. Tells how many packets left it or would have, had there been a way, and fails unless that
# is none. As root or as any user who may make user namespaces.
#
#     scripts/sealed.sh COMMAND [ARGUMENT]...
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=scripts/lib.sh
. "$here/lib.sh"

# left: packets that an interface other than lo sent.
left() {
    awk -F '[: ]+' 'NR > 2 { sub(/^ +/, ""); if ($1 != "lo") sum += $11 } END { print sum + 0 }' \
        /proc/net/dev
}

# tried: packets and connections for which the kernel found no route (RFC 4293, ipSystemStats).
tried() {
    awk '
        /^Ip:/ && !at { for (i = 1; i <= NF; i++) if ($i == "OutNoRoutes") at = i; next }
        /^Ip:/ { sum += $at }
        $1 == "Ip6OutNoRoutes" { sum += $2 }
        END { print sum + 0 }' /proc/net/snmp /proc/net/snmp6
}

inside() {
    ip link set lo up
    [ -z "$(ip route show default)$(ip -6 route show default 2>/dev/null)" ] ||
        die "there is a default route in here" "run this as: scripts/sealed.sh COMMAND"
    local code=0
    "$@" || code=$?
    say "sealed: $(left) packets left, $(tried) had no route"
    [ "$code" = 0 ] || exit "$code"
    [ "$(left) $(tried)" = "0 0" ] || die "it looked for a network" "strace -f -e connect,sendto"
}

[ $# -gt 0 ] || die "no command is given" "scripts/sealed.sh COMMAND"
if [ "${GOOSE_SEALED:-}" = "$PPID" ]; then
    unset GOOSE_SEALED
    inside "$@"
else
    command -v unshare >/dev/null || die "unshare is not on PATH" "apt install util-linux"
    command -v ip >/dev/null || die "ip is not on PATH" "apt install iproute2"
    mapped=(--map-root-user)
    [ "$(id -u)" != 0 ] || mapped=()
    exec env GOOSE_SEALED=$$ unshare --net --fork "${mapped[@]}" "$0" "$@"
fi
