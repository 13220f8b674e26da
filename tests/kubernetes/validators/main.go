// Validates JSON from standard input: "mesh" and "proxy" against Istio's configuration, "compose" against the schema of
// Compose files. Unknown fields are errors.
package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"

	"github.com/compose-spec/compose-go/v2/schema"
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
	switch kind {
	case "mesh":
		return strict(given, &mesh.MeshConfig{})
	case "proxy":
		return strict(given, &mesh.ProxyConfig{})
	case "compose":
		var file map[string]any
		if err := json.Unmarshal(given, &file); err != nil {
			return err
		}
		return schema.Validate(file)
	}
	return fmt.Errorf("unknown kind %q", kind)
}

func strict(given []byte, message proto.Message) error {
	return protojson.UnmarshalOptions{DiscardUnknown: false}.Unmarshal(given, message)
}
