#!/usr/bin/env bash
# A real Kubernetes of one node on this machine, in namespaces of its own: for the tests, and to try the
# charts. As root, with what `sudo make stack-parts` installs and builds.
#
#     scripts/cluster.sh up               brings it up; nothing to do where it is up
#     eval "$(scripts/cluster.sh env)"    kubectl and KUBECONFIG for this shell
#     scripts/cluster.sh load LAYOUT...   gives it images, folders that are OCI layouts
#     scripts/cluster.sh status           whether it is up, and what runs
#     scripts/cluster.sh down             ends and removes all of it, volumes too
#
# It listens on one port of loopback, CLUSTER_PORT (16443), for its API. Its state is in CLUSTER_FOLDER
# (the cache's folder `cluster`); with both set, there are two. docs/development.md says more.
set -euo pipefail
here=$(cd "$(dirname "$0")/.." && pwd)
# shellcheck source=scripts/lib.sh
. "$here/scripts/lib.sh"
folder=${CLUSTER_FOLDER:-$(cache_dir)/cluster}
port=${CLUSTER_PORT:-16443}
patience=180 # seconds, of which it needs a dozen

main() {
    case "${1:-}" in
    up | down | status | env) [ $# = 1 ] || usage ;;
    load) [ $# -gt 1 ] || usage ;;
    *) usage ;;
    esac
    "cluster_$1" "${@:2}"
}

usage() { die "this takes one of up, down, env, status, or load LAYOUT..." "see the top of $0"; }

cluster_up() {
    local began=$SECONDS pid
    if alive node; then
        say "the cluster is up: process $pid"
        return
    fi
    cluster_down 2>/dev/null # what an end without `down` left
    needs
    mkdir -p "$folder/conf"
    cp -r "$here"/scripts/cluster/{cni,containerd.toml,kubelet.yaml,kube-proxy.yaml} "$folder/conf"
    echo "nameserver 127.0.0.1" >"$folder/conf/resolv.conf" # who is not asked by pods
    local words
    words=$("$here/scripts/cluster/pki.sh" "$folder/pki" "$port" 2>&1) ||
        die "the certificates could not be made: $words" "openssl 3 makes them"
    programs
    "${PYTHON:-python3}" "$here/scripts/cluster/images.py" --out "$folder/images" \
        goose.invalid/pause:1 goose.invalid/coredns:1 >/dev/null
    launch
    socat "TCP-LISTEN:$port,bind=127.0.0.1,reuseaddr,fork" "UNIX-CONNECT:$folder/api.sock" \
        >"$folder/door.log" 2>&1 </dev/null &
    remember door $!
    until_ready
    say "the cluster is up after $((SECONDS - began)) s"
}

# needs: ends the script where this machine cannot run it.
needs() {
    [ "$(id -u)" = 0 ] || die "a cluster needs root" "sudo -E $0 up"
    local name
    for name in containerd ctr runc socat ip iptables openssl unshare; do
        PATH=$PATH:/usr/sbin:/sbin command -v "$name" >/dev/null ||
            die "$name is not on PATH" "sudo make stack-parts installs it"
    done
    [ -x /usr/lib/cni/bridge ] ||
        die "/usr/lib/cni/bridge is missing" "apt-get install containernetworking-plugins"
    [ "$(stat -fc %T /sys/fs/cgroup)" != cgroup2fs ] || die \
        "this machine has control groups of version 2, and the node is made for version 1" \
        "any other Kubernetes takes the charts (docs/kubernetes.md); or boot with systemd.unified_cgroup_hierarchy=0"
    if (: <"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then
        die "port $port of loopback is taken" "CLUSTER_PORT=17443 $0 up, or another that is free"
    fi
}

# tool NAME: prints the path of what tests/stack/tools/NAME pins.
tool() {
    local sum
    sum=$(find "$here/tests/stack/tools/$1" -type f ! -name go.mod | LC_ALL=C sort | xargs cat |
        sha256sum | cut -c1-12)
    local found
    for found in "$(cache_dir)/tools/$1"-*-"$sum/$1"; do
        [ ! -x "$found" ] || { printf '%s\n' "$found" && return; }
    done
    die "$1 is not built" "make stack-parts builds it"
}

# programs: Kubernetes under each of its names.
programs() {
    local built name
    built=$(tool kubernetes)
    mkdir -p "$folder/programs"
    ln "$built" "$folder/programs/kubernetes" 2>/dev/null || cp "$built" "$folder/programs/kubernetes"
    for name in etcd kube-apiserver kube-controller-manager kube-proxy kube-scheduler kubectl kubelet; do
        ln -s kubernetes "$folder/programs/$name"
    done
}

# launch: starts the node in a control group and namespaces of its own.
launch() {
    local group
    control_groups make >"$folder/groups"
    (
        while read -r group; do echo "$BASHPID" >"$group/cgroup.procs"; done <"$folder/groups"
        exec unshare --mount --cgroup --uts --ipc --net --pid --fork --kill-child=KILL --mount-proc \
            "$here/scripts/cluster/node.sh" "$folder" >"$folder/node.log" 2>&1 </dev/null
    ) &
    remember node $!
}

# control_groups: makes one below this process's own in each hierarchy, and prints their paths.
control_groups() {
    local controllers path group
    while IFS=: read -r _ controllers path; do
        group=/sys/fs/cgroup/${controllers#name=}
        if [ -z "$controllers" ] || [ ! -d "$group" ]; then continue; fi
        group=$group${path%/}/goose-cluster-$port
        mkdir -p "$group"
        if [ "$controllers" = cpuset ]; then # a new one has no processor, and passes that on
            cat "$(dirname "$group")/cpuset.cpus" >"$group/cpuset.cpus"
            cat "$(dirname "$group")/cpuset.mems" >"$group/cpuset.mems"
            echo 1 >"$group/cgroup.clone_children"
        fi
        echo "$group"
    done </proc/self/cgroup
}

# until_ready: the node takes pods, and names are found.
until_ready() {
    local end=$((SECONDS + patience)) pid
    until [ -e "$folder/started" ] && kube get node node 2>/dev/null | grep -q ' Ready '; do
        alive node || die "the node ended: $(tail -n 3 "$folder/node.log")" "its logs are in $folder/log"
        [ "$SECONDS" -lt "$end" ] ||
            die "the node is not ready after $patience seconds" "its logs are in $folder/log"
        sleep 0.2
    done
    { cat "$here/scripts/cluster/system.yaml" && volumes; } | kube apply -f - >/dev/null
    kube -n kube-system rollout status deployment/dns --timeout="${patience}s" >/dev/null ||
        die "CoreDNS does not run" "kubectl -n kube-system describe pod"
}

# volumes: makes folders of the node, and prints them as volumes. A folder takes no fsGroup, so whoever
# a pod runs as must be able to write.
volumes() {
    local number
    for number in {1..16}; do
        mkdir -p "$folder/volumes/$number"
        chmod 1777 "$folder/volumes/$number"
        cat <<END
---
apiVersion: v1
kind: PersistentVolume
metadata: {name: folder-$number}
spec:
  storageClassName: folder
  capacity: {storage: 100Gi}
  accessModes: [ReadWriteOnce]
  hostPath: {path: /run/cluster/volumes/$number}
END
    done
}

kube() { "$folder/programs/kubectl" --kubeconfig="$folder/pki/admin.conf" "$@"; }

# remember NAME PID: in NAME.pid, with when it was started: an id is given again to another.
remember() { echo "$2 $(since "$2")" >"$folder/$1.pid"; }

# since PID: prints the 22nd field of /proc/PID/stat, counted behind the name, which may have spaces.
since() { sed 's/.*) //' "/proc/$1/stat" 2>/dev/null | cut -d' ' -f20; }

# alive NAME: sets `pid` to what was remembered, if that still runs.
alive() {
    local began
    read -r pid began 2>/dev/null <"$folder/$1.pid" || return 1
    [ -n "$began" ] && [ "$(since "$pid")" = "$began" ] &&
        ! grep -q '^State:.Z' "/proc/$pid/status" 2>/dev/null
}

cluster_down() {
    local began=$SECONDS name pid group
    for name in door node; do
        ! alive "$name" || kill -KILL "$pid" # the node's first process ends with it, and all others
        while alive "$name"; do sleep 0.05; done
    done
    if [ -e "$folder/groups" ]; then
        while read -r group; do remove_group "$group"; done <"$folder/groups"
    fi
    rm -rf "$folder"
    say "the cluster is down after $((SECONDS - began)) s"
}

# remove_group PATH: with the groups below, once the last process of theirs is gone.
remove_group() {
    local end=$((SECONDS + 20))
    until [ ! -d "$1" ] || find "$1" -depth -type d -exec rmdir {} + 2>/dev/null; do
        [ "$SECONDS" -lt "$end" ] || die "$1 still has processes" "see $1/cgroup.procs"
        sleep 0.1
    done
}

cluster_load() {
    local layout pid
    alive node || die "the cluster is not up" "$0 up"
    for layout in "$@"; do
        [ -e "$layout/oci-layout" ] || die "$layout is not an OCI layout" "make image makes one"
        tar -C "$layout" -cf - . | inside ctr --namespace k8s.io images import - >/dev/null
    done
}

# inside WORD...: runs a command in the node.
inside() {
    local first
    read -r first _ <"/proc/$pid/task/$pid/children" || true # it ends without a newline
    nsenter --target "$first" --mount --cgroup --uts --ipc --net --pid -- "$@"
}

cluster_env() {
    local pid
    alive node || die "the cluster is not up" "$0 up"
    printf 'export KUBECONFIG=%q\n' "$folder/pki/admin.conf"
    printf 'export PATH=%q:%s\n' "$folder/programs" "\$PATH"
}

cluster_status() {
    local pid
    alive node || die "the cluster is not up" "$0 up"
    kube get nodes
    kube get pods --all-namespaces
}

main "$@"
