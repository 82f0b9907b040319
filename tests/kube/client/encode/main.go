// SPDX-License-Identifier: Apache-2.0

// encode turns JSON objects into the protobuf form that clients send: {"name": object} in, {"name": base64} out.
package main

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"

	"k8s.io/apimachinery/pkg/runtime/serializer/protobuf"
	"k8s.io/client-go/kubernetes/scheme"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "encode:", err)
		os.Exit(1)
	}
}

func run() error {
	bodies := map[string]json.RawMessage{}
	if err := json.NewDecoder(os.Stdin).Decode(&bodies); err != nil {
		return err
	}
	encoder := protobuf.NewSerializer(scheme.Scheme, scheme.Scheme)
	encoded := map[string]string{}
	for name, body := range bodies {
		object, _, err := scheme.Codecs.UniversalDeserializer().Decode(body, nil, nil)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		var out bytes.Buffer
		if err := encoder.Encode(object, &out); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		encoded[name] = base64.StdEncoding.EncodeToString(out.Bytes())
	}
	return json.NewEncoder(os.Stdout).Encode(encoded)
}
