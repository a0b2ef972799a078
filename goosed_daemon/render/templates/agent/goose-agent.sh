#!/bin/sh
# goose-agent: enrols this machine at its Goose, says that the machine is alive, and rotates the
# token with which it does so. A timer runs it every few minutes.
#
#   goose-agent          one round
#   goose-agent enrol    enrols anew, with a secret from `goosectl agent re-enrol` on standard input
#   goose-agent status   what is known here; no secret
#
# /etc/goose/agent.conf has lines NAME=VALUE: url, and optionally ca (a PEM file), cert and key (a
# client certificate, for mutual TLS). The state is one file that is only ever replaced whole, so
# that there is no moment at which it may not be stopped: the Idempotency-Key of a request is in it
# before the request is sent, and the new token after the answer came. A request whose answer was
# lost is sent again exactly as it was, and gets the same answer.
set -u
umask 077
LC_ALL=C
export LC_ALL

conf=${GOOSE_AGENT_CONF:-/etc/goose/agent.conf}
folder=${GOOSE_AGENT_FOLDER:-/var/lib/goose-agent}
state=$folder/state
answer=$folder/answer

say() { echo "goose-agent: $*" >&2; }

fail() {
    say "$*"
    back_off
    exit 1
}

# The next rounds that are left out, more and more of them by chance, so that a site that comes back
# is not asked by all its machines at once.
back_off() {
    count=0
    [ ! -f "$folder/backoff" ] || read -r count _ <"$folder/backoff"
    case $count in '' | *[!0-9]*) count=0 ;; esac
    [ "$count" -ge 3 ] || count=$((count + 1))
    echo "$count $(($(number) % (1 << count)))" >"$folder/backoff"
}

skipped() {
    [ -f "$folder/backoff" ] || return 1
    read -r count skip <"$folder/backoff"
    case $count$skip in '' | *[!0-9]*) return 1 ;; esac
    [ "$skip" -gt 0 ] || return 1
    echo "$count $((skip - 1))" >"$folder/backoff"
}

random() { od -An -N16 -tx1 /dev/urandom | tr -d ' \n'; }
number() { echo $((0x$(random | cut -c 1-6))); }

fresh_key() {
    fresh=$(random)
    [ "${#fresh}" = 32 ] || fail 'there is no randomness to be had'
}

load_conf() {
    url='' ca='' cert='' key=''
    [ -f "$conf" ] || fail "there is no $conf"
    while IFS='=' read -r name value; do
        case $value in *[\"\\]*) fail "$conf: $name holds a quote or a backslash" ;; esac
        case $name in
        url) url=${value%/} ;;
        ca) ca=$value ;;
        cert) cert=$value ;;
        key) key=$value ;;
        '' | \#*) ;;
        *) fail "$conf: there is no setting '$name'" ;;
        esac
    done <"$conf"
    [ -n "$url" ] || fail "$conf does not say url=, where the site's daemon is"
}

load() {
    enrolment='' enrol_key='' machine='' token='' pending='' refresh_below=0
    [ -f "$state" ] || return 0
    while IFS='=' read -r name value; do
        case $name in
        enrolment) enrolment=$value ;;
        enrol_key) enrol_key=$value ;;
        machine) machine=$value ;;
        token) token=$value ;;
        pending) pending=$value ;;
        refresh_below) refresh_below=$value ;;
        esac
    done <"$state"
}

# On disk before anything is done that counts on it.
flush() { sync "$1" 2>/dev/null || sync; }

save() {
    printf '%s=%s\n' enrolment "$enrolment" enrol_key "$enrol_key" machine "$machine" \
        token "$token" pending "$pending" refresh_below "$refresh_below" >"$state.new" ||
        fail "cannot write $state.new"
    flush "$state.new"
    mv -f "$state.new" "$state" || fail "cannot write $state"
    flush "$folder"
}

# ask ROUTE BODY HEADER: sets `status` to the HTTP status, 000 where there was no whole answer.
# Secrets go through a pipe, since arguments can be read by everyone.
ask() {
    status=$({
        printf 'url = "%s/v1/agents/%s"\n' "$url" "$1"
        printf 'header = "Content-Type: application/json"\n'
        printf 'header = "%s"\n' "$3"
        [ -z "$ca" ] || printf 'cacert = "%s"\n' "$ca"
        [ -z "$cert" ] || printf 'cert = "%s"\n' "$cert"
        [ -z "$key" ] || printf 'key = "%s"\n' "$key"
        printf 'data = "%s"\n' "$2"
    } | curl -q --silent --show-error --proto =http,https --connect-timeout 10 --max-time 30 \
        --retry 2 --retry-connrefused --output "$answer" --write-out '%{http_code}' --config -) ||
        status=000
}

# The value of a member of the answer, which is one flat JSON object on one line.
field() {
    sed -n 's/.*"'"$1"'": *"\{0,1\}\([A-Za-z0-9_:.+-]*\).*/\1/p' "$answer"
}

refused() {
    [ "$status" != 000 ] || fail "$1: no answer from $url"
    code=$(field code)
    fail "$1: refused with $status ${code:-and no reason}"
}

# takes the token in the answer; it is refreshed when between a quarter and a half of its time is
# left, by chance, so that machines that were installed together do not come together.
accept() {
    new=$(field token) life=$(field expires_in)
    case $life in '' | *[!0-9]*) new='' ;; esac
    [ -n "$new" ] || fail "the answer of $url was not understood"
    machine=$(field machine_id) token=$new enrolment='' enrol_key='' pending=''
    refresh_below=$((life * (25 + $(number) % 26) / 100))
    save
    rm -f "$answer"
}

enrol() {
    if [ -z "$enrol_key" ]; then
        fresh_key
        enrol_key=$fresh
        save
    fi
    ask register "{\\\"enrolment\\\": \\\"$enrolment\\\"}" "Idempotency-Key: $enrol_key"
    case $status in
    200) ;;
    404 | 410)
        if [ -n "$token" ]; then # a secret that is none does not cost the enrolment there is
            enrolment='' enrol_key=''
            save
        fi
        refused 'enrolment'
        ;;
    *) refused 'enrolment' ;;
    esac
    accept
    say "enrolled as $machine"
}

rotate() {
    if [ -z "$pending" ]; then
        fresh_key
        pending=$fresh
        save
    fi
    ask token/refresh "{\\\"machine_id\\\": \\\"$machine\\\", \\\"old_token\\\": \\\"$token\\\"}" \
        "Idempotency-Key: $pending"
    [ "$status" = 200 ] || refused 'rotation'
    accept
    say 'the token was rotated'
}

heartbeat() {
    ask heartbeat "{\\\"machine_id\\\": \\\"$machine\\\", \\\"agent\\\": \\\"goose-agent/1\\\"}" \
        "Authorization: Bearer $token"
    [ "$status" = 200 ] || refused 'heartbeat'
    left=$(field expires_in)
    case $left in '' | *[!0-9]*) fail "the answer of $url was not understood" ;; esac
}

round() {
    load
    if [ -n "$enrolment" ]; then
        enrol
    elif [ -z "$token" ]; then
        fail "not enrolled: run 'goosectl agent re-enrol' at the site"
    elif [ -n "$pending" ]; then
        rotate # what was begun is finished before the token is used for anything else
    fi
    heartbeat
    if [ "$left" -le "$refresh_below" ]; then
        rotate
        heartbeat # the first use of the new token, which ends the old one for good
    fi
    rm -f "$answer" "$folder/backoff"
}

mkdir -p "$folder" || exit 1
case ${1-round} in
round | enrol) ;;
status)
    load
    echo "machine: ${machine:-not enrolled}"
    [ -z "$enrolment" ] || echo 'an enrolment waits'
    [ -z "$pending" ] || echo 'a rotation waits for its answer'
    exit 0
    ;;
*)
    echo 'usage: goose-agent [enrol | status]' >&2
    exit 2
    ;;
esac

# One at a time, where there is flock, as on every system with systemd. The lock ends with its holder,
# however that ends.
exec 9>"$folder/lock"
! command -v flock >/dev/null || flock -n 9 || exit 0

if [ "${1-round}" = enrol ]; then
    [ ! -t 0 ] || printf 'secret, as goosectl agent re-enrol shows it: ' >&2
    read -r given || [ -n "$given" ] || fail 'no secret was given'
    case $given in '' | *[!A-Za-z0-9_-]*) fail 'this is no enrolment secret' ;; esac
    load_conf
    load
    enrolment=$given enrol_key=''
    save
    rm -f "$folder/backoff"
elif skipped; then
    exit 0
fi
load_conf
round
