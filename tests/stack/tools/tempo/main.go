// Command tempo is Tempo's own application in one process.
//
// Its own main cannot be built from the module alone. One thing more is needed of this one: gRPC
// registers a codec named "proto" for the messages of google.golang.org/protobuf, and Tempo's are
// of gogo/protobuf, which that codec cannot write. So messages of the packages below are handed to
// gogo, and all others to the codec that was there.
package main

import (
	"flag"
	"log"
	"os"
	"reflect"
	"strings"

	"github.com/gogo/protobuf/proto"
	"github.com/grafana/tempo/cmd/tempo/app"
	tempolog "github.com/grafana/tempo/pkg/util/log"
	"google.golang.org/grpc/encoding"
	_ "google.golang.org/grpc/encoding/proto"
	"gopkg.in/yaml.v2"
)

var gogoPackages = []string{
	"github.com/grafana/tempo/",
	"github.com/jaegertracing/jaeger/",
	"go.etcd.io/etcd/api/v3",
	"go.opentelemetry.io/collector",
}

type codec struct{ encoding.Codec }

func gogoMessage(value any) (proto.Message, bool) {
	message, ok := value.(proto.Message)
	if !ok {
		return nil, false
	}
	from := reflect.TypeOf(value).Elem().PkgPath()
	for _, name := range gogoPackages {
		if strings.HasPrefix(from, name) {
			return message, true
		}
	}
	return nil, false
}

func (c codec) Marshal(value any) ([]byte, error) {
	if message, ok := gogoMessage(value); ok {
		return proto.Marshal(message)
	}
	return c.Codec.Marshal(value)
}

func (c codec) Unmarshal(data []byte, value any) error {
	if message, ok := gogoMessage(value); ok {
		return proto.Unmarshal(data, message)
	}
	return c.Codec.Unmarshal(data, value)
}

func (c codec) Name() string { return "proto" }

func main() {
	log.SetFlags(0)
	encoding.RegisterCodec(codec{encoding.GetCodec("proto")})

	config := &app.Config{}
	config.RegisterFlagsAndApplyDefaults("", flag.CommandLine)
	file := flag.String("config.file", "", "the configuration")
	verify := flag.Bool("config.verify", false, "read the configuration, and end")
	flag.Parse()

	text, err := os.ReadFile(*file)
	if err != nil {
		log.Fatal(err)
	}
	if err := yaml.UnmarshalStrict(text, config); err != nil {
		log.Fatal(err)
	}
	if *verify {
		return
	}
	// One process needs nobody to find it.
	ring := &config.Ingester.LifecyclerConfig
	ring.RingConfig.KVStore.Store = "inmemory"
	ring.RingConfig.ReplicationFactor = 1
	ring.Addr = "127.0.0.1"
	config.Generator.Ring.KVStore.Store = "inmemory"
	config.Generator.Ring.InstanceAddr = "127.0.0.1"

	tempolog.InitLogger(&config.Server)
	tempo, err := app.New(*config)
	if err != nil {
		log.Fatal(err)
	}
	if err := tempo.Run(); err != nil {
		log.Fatal(err)
	}
}
