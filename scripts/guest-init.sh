#!/bin/busybox sh
# /init of the guest that scripts/guest.py builds: it does with its rendered file what an
# installer does (kernel arguments, one NIC, one fetch, a report at its begin and end), and in
# between what an attacker would: it fetches again.
# shellcheck shell=dash
set -f
export PATH=/bin
/bin/busybox --install -s /bin
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
dmesg -n 1 # keep the kernel's remarks out of what is printed here

say() { echo "guest: $*"; }
stop() {
    say "$*"
    say "power off"
    poweroff -f
}

echo # the firmware's last line may lack its end
set +f
for module in /modules/*.ko; do
    [ ! -e "$module" ] || insmod "$module" || say "cannot load $module"
done
set -f

file='' bootif='' fault=''
read -r cmdline </proc/cmdline
for word in $cmdline; do
    case $word in
    inst.ks=*) file=${word#inst.ks=} ;;
    url=*) file=${word#url=} ;;
    BOOTIF=*) bootif=${word#BOOTIF=} ;;
    guest.fault=*) fault=${word#guest.fault=} ;; # the step in which it is to fail
    esac
done
say "kernel arguments: $cmdline"
[ -n "$file" ] || stop "failed: no inst.ks= and no url= on the kernel command line"

# BOOTIF is the hardware type (01: Ethernet) and the address, with hyphens.
mac=$(echo "${bootif#01-}" | tr 'A-F-' 'a-f:')
nic=''
set +f
for card in /sys/class/net/*; do
    [ "$(cat "$card/address")" != "$mac" ] || nic=${card##*/}
done
set -f
[ -n "$nic" ] || stop "failed: no network card has the address '$mac'"

cat >/tmp/lease <<'SCRIPT'
#!/bin/sh
[ "$1" = bound ] || exit 0
ifconfig "$interface" "$ip" netmask "$subnet"
[ -z "$router" ] || route add default gw "${router%% *}"
SCRIPT
chmod +x /tmp/lease
ip link set "$nic" up
udhcpc -q -n -i "$nic" -s /tmp/lease >/tmp/dhcp 2>&1 || stop "failed: no lease: $(cat /tmp/dhcp)"
say "network is up on $nic $mac"

# fetch ...: curl, which believes what RHEL's curl in an installer believes, and nothing else: there
# is no authority in this ramdisk, so that whatever HTTPS needs came in a second one.
fetch() {
    curl -sS -A goose-guest --max-time 60 --cacert /etc/pki/tls/certs/ca-bundle.crt "$@"
}

# report STEP: tells what the rendered file says is to be told of that step.
report() {
    address=$(grep -o "https\{0,1\}://[^' ]*step=$1" /tmp/file | head -n 1)
    [ -n "$address" ] || stop "failed: the file does not say where to report '$1'"
    fetch -f -o /dev/null -X POST "$address" || stop "failed: could not report '$1'"
    say "reported: $1"
}

fetch -f -o /tmp/file "$file"
code=$?
say "first fetch begins"
cat /tmp/file
echo
say "first fetch ends with curl exit code $code"
[ "$code" = 0 ] || stop "failed: nothing was fetched"
report started
if [ "$fault" = installing ]; then
    report failed
    stop "failed: as it was told to"
fi

say "second fetch begins"
fetch -i "$file" | tr -d '\r'
echo
say "second fetch ends"
report installed
[ -x /usr/lib/systemd/systemd ] || stop "done"

# From here on it is the installed system: what the file runs in it to install the agent was run, and
# systemd is its init.
awk '/^%post/ { text = ""; next } /^%end/ { if (text ~ /goose-agent/) printf "%s", text }
    { text = text $0 "\n" }' /tmp/file >/tmp/post
sh -e /tmp/post || stop "failed: the agent was not installed"
units=/etc/systemd/system
mkdir -p /run /var/lib /etc/systemd/journald.conf.d $units/goose-agent.service.d
echo 0123456789abcdef0123456789abcdef >/etc/machine-id
printf '[Journal]\nStorage=volatile\nForwardToConsole=yes\n' >/etc/systemd/journald.conf.d/guest.conf
wants='systemd-journald.socket systemd-journald.service timers.target'
printf '[Unit]\nWants=%s\nAllowIsolate=yes\n' "$wants" >$units/default.target
# A rotation is due at every round, so that nobody has to wait for days.
printf '[Service]\nExecStartPost=/bin/sed -i s/^refresh_below=.*/refresh_below=%s/ %s\n' \
    999999999 /var/lib/goose-agent/state >$units/goose-agent.service.d/guest.conf
# Its firmware would ask before it boots the disk.
fetch "${file%%/v1/*}/v1/boot/ipxe?mac=$mac" | sed -n 's/^echo /guest: its firmware is told: /p'
say "boots the system that it installed"
export PATH=/usr/sbin:/usr/bin:/sbin:/bin
exec /usr/lib/systemd/systemd --log-target=console
