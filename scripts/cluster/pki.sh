#!/usr/bin/env bash
# The certificates and kubeconfigs of a cluster that lives for a day, in a new folder.
#
#     scripts/cluster/pki.sh FOLDER PORT    PORT: where the API answers on loopback
set -euo pipefail
mkdir -p "$1"
cd "$1"
port=$2
umask 077

main() {
    key ca
    openssl req -x509 -new -key ca.key -subj /CN=goose-cluster -days 30 -out ca.crt
    local dns=DNS:kubernetes,DNS:kubernetes.default,DNS:kubernetes.default.svc
    certificate apiserver /CN=kube-apiserver "$dns,IP:127.0.0.1,IP:10.96.0.1,IP:10.201.0.1"
    certificate kubelet-server /O=system:nodes/CN=system:node:node DNS:node,IP:10.201.0.1
    # Who they are is what Kubernetes' own roles are bound to.
    certificate apiserver-client /O=system:masters/CN=apiserver
    certificate front-proxy /CN=front-proxy
    user admin /O=system:masters/CN=admin "$port"
    user kubelet /O=system:nodes/CN=system:node:node
    local name
    for name in kube-controller-manager kube-scheduler kube-proxy; do
        user "$name" "/CN=system:$name"
    done
    key accounts
    openssl pkey -in accounts.key -pubout -out accounts.pub
}

key() { openssl genpkey -quiet -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$1.key"; }

# certificate NAME SUBJECT [ALTERNATIVE NAMES]
certificate() {
    local extensions=(-addext "extendedKeyUsage=serverAuth,clientAuth")
    [ $# -lt 3 ] || extensions+=(-addext "subjectAltName=$3")
    key "$1"
    openssl req -new -key "$1.key" -subj "$2" "${extensions[@]}" -out "$1.csr"
    openssl x509 -req -in "$1.csr" -CA ca.crt -CAkey ca.key -days 30 -copy_extensions copy \
        -out "$1.crt" 2>/dev/null
    rm "$1.csr"
}

# user NAME SUBJECT [PORT]: a certificate in a kubeconfig.
user() {
    certificate "$1" "$2"
    cat >"$1.conf" <<END
apiVersion: v1
kind: Config
current-context: goose
contexts: [{name: goose, context: {cluster: goose, user: $1}}]
clusters:
  - name: goose
    cluster:
      server: https://127.0.0.1:${3:-6443}
      certificate-authority-data: $(base64 -w0 ca.crt)
users:
  - name: $1
    user:
      client-certificate-data: $(base64 -w0 "$1.crt")
      client-key-data: $(base64 -w0 "$1.key")
END
}

main
