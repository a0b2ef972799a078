#!/usr/bin/env bash
# The first process of the node, in namespaces of its own: all others are below it, and end with it.
# scripts/cluster.sh starts it.
#
#     scripts/cluster/node.sh FOLDER    of the cluster, with what scripts/cluster.sh put there
#
# What it runs sees the machine's files, but for what it would write to: those folders are its own.
# Its network leads nowhere: containers reach one another and nothing else.
set -euo pipefail
folder=$1
at=/run/cluster
pki=$at/pki
export PATH=$at/programs:/usr/sbin:/usr/bin:/sbin:/bin

main() {
    hostname node
    mount --make-rprivate /
    folders
    cgroups
    network
    settings
    start socat UNIX-LISTEN:$at/api.sock,fork,mode=600 TCP:127.0.0.1:6443
    # A cluster of a day does not survive a power cut, and need not wait for the disk.
    start etcd --data-dir $at/etcd --unsafe-no-fsync \
        --listen-client-urls http://127.0.0.1:2379 --advertise-client-urls http://127.0.0.1:2379
    apiserver
    # The roles of what comes next are there once the API is ready.
    until kubectl --kubeconfig=$pki/kube-scheduler.conf get --raw /readyz >/dev/null 2>&1; do
        sleep 0.1
    done
    controllers
    start containerd --config $at/conf/containerd.toml
    until ctr version >/dev/null 2>&1; do sleep 0.1; done
    local image
    for image in "$at"/images/*; do
        tar -C "$image" -cf - . | ctr --namespace k8s.io images import - >>$at/log/images.log 2>&1
    done
    start kubelet --config=$at/conf/kubelet.yaml --kubeconfig=$pki/kubelet.conf --root-dir=$at/kubelet \
        --hostname-override=node --node-ip=10.201.0.1
    start kube-proxy --config=$at/conf/kube-proxy.yaml
    touch $at/started
    while :; do wait || true; sleep 1; done # whose parent is gone is this one's child
}

# start NAME WORD...: in the background, with its words in log/NAME.log.
start() {
    "$@" >"$at/log/$1.log" 2>&1 </dev/null &
}

# folders: this cluster's folder at one path, so that configurations can name it, and places of its own
# for whatever Kubernetes would write into the machine's.
folders() {
    mount -t tmpfs -o mode=755 run /run
    mkdir -p $at /run/lock
    mount --bind "$folder" $at
    mkdir -p $at/{log,pods,tmp,registries}
    mount --bind $at/tmp /tmp
    chmod 1777 /tmp
    mount -t tmpfs -o mode=755 lib /var/lib
    mount -t tmpfs -o mode=755 log /var/log
    mount --make-rshared /
}

# cgroups: version 1, of which this namespace's root is the group that cluster.sh made.
cgroups() {
    umount -R /sys/fs/cgroup
    mount -t sysfs sysfs /sys
    mount -t tmpfs -o mode=755 cgroup /sys/fs/cgroup
    local name hierarchy rest
    while read -r name hierarchy rest; do
        case $name:$hierarchy in '#'* | *:0) continue ;; esac
        mkdir "/sys/fs/cgroup/$name"
        mount -t cgroup -o "$name" cgroup "/sys/fs/cgroup/$name"
    done </proc/cgroups
    mkdir /sys/fs/cgroup/systemd # containerd wants one for each line of /proc/PID/cgroup
    mount -t cgroup -o none,name=systemd cgroup /sys/fs/cgroup/systemd
}

# network: the node's address is on a pair of which both ends are here.
network() {
    ip link set lo up
    ip link add node type veth peer name node-end
    ip address add 10.201.0.1/30 dev node
    ip link set node-end up
    ip link set node up
    ip route add 10.96.0.0/16 dev node src 10.201.0.1 # services: kube-proxy turns what is sent there
    echo 1 >/proc/sys/net/ipv4/ip_forward
    echo 1 >/proc/sys/net/bridge/bridge-nf-call-iptables
}

# settings: the kernel's, which kubelet would set for the whole machine. It finds what it wants in files
# that lie over them.
settings() {
    mkdir -p $at/sysctl
    local setting file
    for setting in vm/overcommit_memory=1 vm/panic_on_oom=0 kernel/panic=10 kernel/panic_on_oops=1 \
        kernel/keys/root_maxkeys=1000000 kernel/keys/root_maxbytes=25000000; do
        file=$at/sysctl/$(basename "${setting%=*}")
        echo "${setting#*=}" >"$file"
        mount --bind "$file" "/proc/sys/${setting%=*}"
    done
}

apiserver() {
    start kube-apiserver --etcd-servers=http://127.0.0.1:2379 --advertise-address=10.201.0.1 \
        --service-cluster-ip-range=10.96.0.0/16 --authorization-mode=Node,RBAC --allow-privileged \
        --enable-admission-plugins=NodeRestriction --profiling=false \
        --client-ca-file=$pki/ca.crt \
        --tls-cert-file=$pki/apiserver.crt --tls-private-key-file=$pki/apiserver.key \
        --kubelet-certificate-authority=$pki/ca.crt \
        --kubelet-client-certificate=$pki/apiserver-client.crt \
        --kubelet-client-key=$pki/apiserver-client.key \
        --kubelet-preferred-address-types=InternalIP \
        --service-account-issuer=https://kubernetes.default.svc.cluster.local \
        --service-account-key-file=$pki/accounts.pub \
        --service-account-signing-key-file=$pki/accounts.key \
        --requestheader-client-ca-file=$pki/ca.crt --requestheader-allowed-names=front-proxy \
        --requestheader-username-headers=X-Remote-User \
        --requestheader-group-headers=X-Remote-Group \
        --requestheader-extra-headers-prefix=X-Remote-Extra- \
        --proxy-client-cert-file=$pki/front-proxy.crt --proxy-client-key-file=$pki/front-proxy.key
}

controllers() {
    local name words
    for name in kube-controller-manager kube-scheduler; do
        words=("--kubeconfig=$pki/$name.conf" "--authentication-kubeconfig=$pki/$name.conf"
            "--authorization-kubeconfig=$pki/$name.conf" --leader-elect=false --bind-address=127.0.0.1)
        [ "$name" = kube-scheduler ] || words+=(--use-service-account-credentials
            "--service-account-private-key-file=$pki/accounts.key" "--root-ca-file=$pki/ca.crt"
            "--cluster-signing-cert-file=$pki/ca.crt" "--cluster-signing-key-file=$pki/ca.key"
            "--flex-volume-plugin-dir=$at/plugins" # else it makes a folder of the machine's
            --allocate-node-cidrs --cluster-cidr=10.244.0.0/16
            --service-cluster-ip-range=10.96.0.0/16)
        start "$name" "${words[@]}"
    done
}

main
