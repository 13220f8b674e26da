// Validates JSON from standard input as Istio's meshConfig ("mesh") or as a proxy's configuration ("proxy").
// Unknown fields are errors.
package main

import (
	"fmt"
	"io"
	"os"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	mesh "istio.io/api/mesh/v1alpha1"
)

func main() {
	given, err := io.ReadAll(os.Stdin)
	if err == nil {
		err = validate(os.Args[1], given)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func validate(kind string, given []byte) error {
	messages := map[string]proto.Message{"mesh": &mesh.MeshConfig{}, "proxy": &mesh.ProxyConfig{}}
	return protojson.UnmarshalOptions{DiscardUnknown: false}.Unmarshal(given, messages[kind])
}
