// SPDX-License-Identifier: Apache-2.0

// realkube: one program that is etcd, kube-apiserver, kube-controller-manager
// or kube-scheduler, chosen by its first argument.
package main

import (
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
	"go.etcd.io/etcd/server/v3/embed"
	"k8s.io/component-base/cli"
	_ "k8s.io/component-base/metrics/prometheus/clientgo"
	_ "k8s.io/component-base/metrics/prometheus/version"
	apiserver "k8s.io/kubernetes/cmd/kube-apiserver/app"
	kcm "k8s.io/kubernetes/cmd/kube-controller-manager/app"
	sched "k8s.io/kubernetes/cmd/kube-scheduler/app"
)

func main() {
	if len(os.Args) < 2 {
		fmt.Fprintln(os.Stderr, "usage: realkube etcd|kube-apiserver|kube-controller-manager|kube-scheduler [flags]")
		os.Exit(2)
	}
	name := os.Args[1]
	os.Args = append([]string{name}, os.Args[2:]...)
	var cmd *cobra.Command
	switch name {
	case "etcd":
		os.Exit(runEtcd(os.Args[1:]))
	case "kube-apiserver":
		cmd = apiserver.NewAPIServerCommand()
	case "kube-controller-manager":
		cmd = kcm.NewControllerManagerCommand()
	case "kube-scheduler":
		cmd = sched.NewSchedulerCommand()
	default:
		fmt.Fprintln(os.Stderr, "unknown part:", name)
		os.Exit(2)
	}
	os.Exit(cli.Run(cmd))
}

// runEtcd takes one argument: an etcd configuration file (YAML).
func runEtcd(args []string) int {
	if len(args) != 1 {
		fmt.Fprintln(os.Stderr, "usage: realkube etcd CONFIG.yaml")
		return 2
	}
	cfg, err := embed.ConfigFromFile(args[0])
	if err != nil {
		fmt.Fprintln(os.Stderr, "etcd:", err)
		return 1
	}
	e, err := embed.StartEtcd(cfg)
	if err != nil {
		fmt.Fprintln(os.Stderr, "etcd:", err)
		return 1
	}
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM, syscall.SIGINT)
	select {
	case <-e.Server.ReadyNotify():
		fmt.Fprintln(os.Stderr, "etcd: ready")
	case <-e.Server.StopNotify():
		return 1
	case <-stop:
		e.Close()
		return 0
	}
	select {
	case <-stop:
		e.Close()
		return 0
	case err := <-e.Err():
		fmt.Fprintln(os.Stderr, "etcd:", err)
		return 1
	}
}
