#!/usr/bin/env bash
# From nothing to a machine that boots from a signed bundle, in one folder.
#
#     make quickstart
#     scripts/quickstart.sh [DIR]     with goosectl on PATH; DIR must not exist yet
#
# Needs ssh-keygen; boots a machine where it finds QEMU and a kernel. No root, no terminal, no
# question. Everything is made in ./quickstart (made anew each time) or DIR; all that was started
# is stopped at the end, also when a step fails.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
# shellcheck source=scripts/lib.sh
. "$root/scripts/lib.sh"

# One machine of examples/infra, as its firmware describes it.
machine=web-1
mac=52:54:00:12:34:57
uuid=4c4c4544-0046-3510-8052-b4c04f4e3232
serial=F5RN22
packages="qemu-system-x86 ipxe-qemu busybox-static linux-image-cloud-amd64 curl"
boot_seconds=120

running=() # processes to stop
current="look for what is needed"
number=0

main() {
    trap 'finish $?' EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM
    check_tools
    make_folder "${1:-}"
    make_key
    build_bundle
    pin_signer
    verify_with_stock_tools
    import_bundle
    check_profiles
    make_authority
    start_daemon
    ask_for_script
    render_twice
    boot_machine
    goodbye
}

# --- steps ---------------------------------------------------------------------------------------

check_tools() {
    command -v goosectl >/dev/null || die "goosectl is not on PATH" "run: make quickstart"
    command -v ssh-keygen >/dev/null ||
        die "ssh-keygen is not on PATH: the media are checked with it" "apt install openssh-client"
}

make_folder() {
    if [ -n "$1" ]; then
        [ ! -e "$1" ] || die "$1 exists already" "name a folder that does not"
        mkdir -p "$1"
    else
        set -- "$root/quickstart"
        rm -rf "$1"
        mkdir "$1"
    fi
    here=$(cd "$1" && pwd)
    cd "$here"
    export GOOSE_HOME=$here/home
    unset SOURCE_DATE_EPOCH
    printf 'Everything is made in %s\n' "$here"
}

make_key() {
    step "Make a signing key, as the release engineer on the connected side"
    run goosectl key new release --out keys
}

build_bundle() {
    step "Build a bundle from examples/bundles/base.yaml and sign it"
    cp -R "$root/examples/bundles" recipe
    if why=$(python "$root/scripts/guest.py" guest 2>&1); then
        cp guest/vmlinuz guest/initrd.img recipe/rhel9/images/pxeboot/
        tell "The stand-ins for RHEL's kernel and ramdisk are replaced by a kernel of this machine"
        tell "($why) and a small guest that does what an installer does."
    else
        rm -rf guest
        tell "The bundle keeps its stand-ins, so no machine can boot it: $why"
    fi
    run goosectl bundle build recipe/base.yaml --key keys/release --out media
}

pin_signer() {
    step "Make a site that trusts this signer, by a fingerprint told over another way than the key"
    local told
    told=$(goosectl trust init --signer keys/release.pub --dry-run --json | field fingerprint)
    run goosectl trust init --signer keys/release.pub --fingerprint "$told"
}

verify_with_stock_tools() {
    step "Check the media with tar and ssh-keygen, as a courier does who has nothing of ours"
    goosectl trust export --out allowed_signers --quiet
    mkdir courier
    run tar -xf media/*.goose.tar -C courier goose
    command_line "ssh-keygen -Y verify -f allowed_signers -I release -n goose-bundle@v1" \
        "-s courier/goose/statement.sig.1 <courier/goose/statement.json"
    ssh-keygen -Y verify -f allowed_signers -I release -n goose-bundle@v1 \
        -s courier/goose/statement.sig.1 <courier/goose/statement.json | indent
    tell "The statement names every byte of the rest; goosectl checks those:"
    run goosectl bundle verify media
}

import_bundle() {
    step "Import it into the site: verified again, byte by byte, while it is stored"
    run goosectl bundle import media
    run goosectl store ls
}

check_profiles() {
    step "Give the site the profiles of examples/infra and check them"
    mkdir -p home
    cp -R "$root/examples/infra" home/infra
    tell "Its Windows machine needs the one secret that a profile only names: a file for the site alone"
    (umask 077 && mkdir -p home/secrets/windows &&
        python -c 'import secrets; print(secrets.token_urlsafe(18))' >home/secrets/windows/administrator)
    run goosectl infra validate
    tell "Only armed machines install themselves, each for a number of tries:"
    run goosectl machine arm "$machine"
}

make_authority() {
    step "Make the site's own certification authority, and a certificate for the daemon"
    # 10.0.2.2 is what the machine of the last step sees this one as.
    run goosectl pki init --permit 127.0.0.0/8 --permit 10.0.2.0/24
    run goosectl pki issue goosed --ip 127.0.0.1 --ip 10.0.2.2
}

start_daemon() {
    step "Start goosed on free ports of this machine"
    GOOSED_READY_FILE=$here/ready.json GOOSED_LISTEN=127.0.0.1:0 GOOSED_BOOT_LISTEN=127.0.0.1:0 \
        goosectl serve --quiet >goosed.log 2>&1 </dev/null &
    daemon=$!
    running+=("$daemon")
    local waited=0
    until [ -e ready.json ]; do
        kill -0 "$daemon" 2>/dev/null || die "goosed ended: $(tail -n 3 goosed.log)"
        [ $((waited += 1)) -le 200 ] || die "goosed was not ready after 20 seconds" "see goosed.log"
        sleep 0.1
    done
    boot_url=$(field boot_url <ready.json)
    tell "It answers on $(field url <ready.json); its log is goosed.log"
    tell "Firmware speaks no TLS: scripts, kernels and ramdisks are on $boot_url, and nothing else"
}

ask_for_script() {
    step "Ask for the boot script of $mac, as its network card would"
    [ "$(fetch script.ipxe "$boot_url/v1/boot/ipxe?mac=$mac&uuid=$uuid&serial=$serial")" = 200 ] ||
        die "there is no boot script: $(cat script.ipxe)"
    sed -n '/^:again/q; /^echo/p; /^kernel/p; /^initrd/p; /^boot/p' script.ipxe | cut -c1-150 | indent
    kickstart_url=$(grep -o 'inst.ks=[^ ]*' script.ipxe | cut -d= -f2-) ||
        die "the boot script installs nothing: $(cat script.ipxe)"
}

render_twice() {
    step "Fetch the kickstart that it names over HTTPS, as the installer would, and once more"
    local status
    status=$(fetch kickstart.ks "$kickstart_url")
    [ "$status" = 200 ] || die "the kickstart was refused with $status: $(cat kickstart.ks)"
    tell "First:  $status, $(wc -l <kickstart.ks) lines, which begin:"
    head -n 2 kickstart.ks | indent
    status=$(fetch second.json "$kickstart_url")
    [ "$status" = 410 ] || die "the second render was answered with $status, not with 410"
    tell "Second: $status, because"
    printf '%s (%s)\n' "$(field error.message <second.json)" "$(field error.code <second.json)" |
        indent
}

boot_machine() {
    if [ ! -d guest ] || ! command -v qemu-system-x86_64 >/dev/null; then
        step "Boot a machine: left out, since this machine lacks a part of it"
        tell "apt install $packages"
        tell "and then make quickstart once more boots a machine to the end."
        return
    fi
    step "Boot a machine with that network card: BIOS, iPXE, kernel and ramdisk out of the bundle"
    tell "It is emulated without any help of the processor, so it takes about ten seconds."
    # QEMU's user network shows 127.0.0.1 of this machine to its guests as 10.0.2.2.
    timeout "$boot_seconds" qemu-system-x86_64 -machine q35,accel=tcg -cpu qemu64 -m 256 \
        -nographic -nodefaults -no-reboot -serial stdio \
        -uuid "$uuid" -smbios "type=1,serial=$serial" \
        -netdev "user,id=n0,bootfile=http://10.0.2.2:${boot_url##*:}/boot.ipxe" \
        -device "virtio-net-pci,netdev=n0,mac=$mac,bootindex=1" \
        >screen.log 2>&1 </dev/null &
    local vm=$!
    running+=("$vm")
    wait "$vm" || die "the machine did not get to its end: $(tail -n 5 screen.log)" "see screen.log"
    tr -d '\r' <screen.log | grep -E '^(goose: |guest: |HTTP/)' | indent
    grep -q '^guest: done' screen.log || die "the guest did not do its work" "see screen.log"
    tell "Its whole screen is in screen.log. It reported its install as done, so that from now on"
    tell "it boots its disk. What goosed recorded:"
    run goosectl machine show "$machine"
}

goodbye() {
    stop_all
    cat <<END

All done, and goosed is stopped again. Everything is in $here
What to try next:

  cd $here
  export GOOSE_HOME=$here/home PATH=$(dirname "$(command -v goosectl)"):\$PATH
  goosectl bundle inspect media --files      what the bundle holds, and who signed it
  goosectl token list                        what became of the tokens
  goosectl serve                             the daemon again, on ports 8443 and 8080
  goosectl pki show                          its certificate
  less kickstart.ks                          what the installer was told

Or change recipe/base.yaml, raise its version, and build and import it as above.

docs/README.md of the checkout has a page per subject. The next make quickstart makes
this folder anew.
END
}

# --- words ---------------------------------------------------------------------------------------

step() {
    number=$((number + 1))
    current=$1
    printf '\n%d. %s\n' "$number" "$1"
}

tell() { printf '   %s\n' "$*"; }

indent() { sed 's/^/     /'; }

command_line() { printf '   $ %s\n' "$*"; }

# run COMMAND...: shows it and runs it, its words indented.
run() {
    command_line "$*"
    "$@" 2>&1 </dev/null | indent
}

# finish CODE: the last thing that happens, however it ends.
finish() {
    stop_all
    case $1 in 0 | 130 | 143) return ;; esac
    printf '\nerror: step %d failed: %s\n' "$number" "$current" >&2
    printf 'hint: its words are above; what was made so far is in %s\n' "${here:-no folder}" >&2
}

# --- parts ---------------------------------------------------------------------------------------

# field NAME[.NAME]: a value of the JSON object on stdin.
field() {
    python -c 'import functools, json, sys
print(functools.reduce(lambda value, key: value[key], sys.argv[1].split("."), json.load(sys.stdin)))
' "$1"
}

# fetch FILE URL: writes the body to FILE and prints the status, also of a refusal. Of HTTPS it
# believes the site's authority, and no other.
fetch() {
    if command -v curl >/dev/null; then
        curl --silent --show-error --noproxy '*' --max-time 20 --output "$1" \
            --cacert "$GOOSE_HOME/pki/ca.crt" \
            --write-out '%{http_code}' "$2"
    else
        python - "$1" "$2" "$GOOSE_HOME/pki/ca.crt" <<'END'
import ssl, sys, urllib.error, urllib.request
trusted = urllib.request.HTTPSHandler(context=ssl.create_default_context(cafile=sys.argv[3]))
opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), trusted)
try:
    answer = opener.open(sys.argv[2], timeout=20)
except urllib.error.HTTPError as refusal:
    answer = refusal
with open(sys.argv[1], "wb") as file:
    file.write(answer.read())
print(answer.status, end="")
END
    fi
}

# stop_all: ends what was started here, by process id, and waits for it.
stop_all() {
    local pid
    for pid in ${running[@]+"${running[@]}"}; do
        kill "$pid" 2>/dev/null || true
    done
    for pid in ${running[@]+"${running[@]}"}; do
        wait "$pid" 2>/dev/null || true
    done
    running=()
}

main "$@"
