// Command coredns is CoreDNS with the plugins that scripts/cluster/dns.yaml names and no others.
package main

import (
	"github.com/coredns/coredns/core/dnsserver"
	"github.com/coredns/coredns/coremain"

	_ "github.com/coredns/coredns/plugin/cache"
	_ "github.com/coredns/coredns/plugin/errors"
	_ "github.com/coredns/coredns/plugin/kubernetes"
	_ "github.com/coredns/coredns/plugin/ready"
	_ "github.com/coredns/coredns/plugin/template"
)

func main() {
	// A request goes through them in this order.
	dnsserver.Directives = []string{"ready", "errors", "cache", "kubernetes", "template"}
	coremain.Run()
}
