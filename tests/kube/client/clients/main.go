// SPDX-License-Identifier: Apache-2.0

// clients runs what Go programs do with a cluster, and prints one line for each thing that worked: an informer, a work with leases, a
// controller, typed and dynamic clients in JSON and protobuf. It ends with 1 at the first thing that did not.
package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

const patience = 120 * time.Second

// One thing that is shown; `namespace` is its own.
type check struct {
	name string
	run  func(ctx context.Context, config *rest.Config, namespace string) error
}

var checks = []check{
	{"typed clients", typedClients},
	{"typed clients in protobuf", typedClientsInProtobuf},
	{"dynamic client", dynamicClient},
	{"discovery and mapper", discoveryAndMapper},
	{"pages", pages},
	{"informer", informer},
	{"informer over a cut watch", informerOverACut},
	{"metadata informer", metadataInformer},
	{"leader election", leaderElection},
	{"server-side apply", serverSideApply},
	{"retry on conflict", retryOnConflict},
	{"events", events},
	{"controller", controller},
}

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: clients KUBECONFIG NAMESPACE-PREFIX")
		os.Exit(2)
	}
	failed := false
	for i, c := range checks {
		config, err := clientcmd.BuildConfigFromFlags("", os.Args[1])
		if err == nil {
			config.QPS, config.Burst = 1000, 1000
			err = inNamespace(config, fmt.Sprintf("%s-%d", os.Args[2], i), c)
		}
		if err != nil {
			fmt.Printf("FAIL %s: %v\n", c.name, err)
			failed = true
			continue
		}
		fmt.Printf("ok %s\n", c.name)
	}
	if failed {
		os.Exit(1)
	}
}
