// SPDX-License-Identifier: Apache-2.0

// helm is the command of the Helm module, for tests where there is no helm on the machine.
package main

import (
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	"helm.sh/helm/v3/pkg/action"
	"helm.sh/helm/v3/pkg/chart/loader"
	"helm.sh/helm/v3/pkg/cli"
	"helm.sh/helm/v3/pkg/release"
)

const usage = "usage: helm NAMESPACE install|upgrade NAME CHART [KEY=VALUE...] | rollback NAME REVISION | uninstall NAME | list | history NAME | status NAME"

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "Error:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) < 2 {
		return fmt.Errorf("%s", usage)
	}
	settings := cli.New() // takes $KUBECONFIG
	settings.SetNamespace(args[0])
	config := new(action.Configuration)
	debug := func(format string, v ...any) {
		if os.Getenv("HELM_DEBUG") != "" {
			fmt.Fprintf(os.Stderr, format+"\n", v...)
		}
	}
	if err := config.Init(settings.RESTClientGetter(), args[0], "secret", debug); err != nil {
		return err
	}
	verb, rest := args[1], args[2:]
	switch {
	case verb == "install" && len(rest) >= 2:
		return install(config, args[0], rest)
	case verb == "upgrade" && len(rest) >= 2:
		return upgrade(config, args[0], rest)
	case verb == "rollback" && len(rest) == 2:
		rollback := action.NewRollback(config)
		if _, err := fmt.Sscan(rest[1], &rollback.Version); err != nil {
			return err
		}
		return rollback.Run(rest[0])
	case verb == "uninstall" && len(rest) == 1:
		uninstall := action.NewUninstall(config)
		uninstall.Timeout, uninstall.Wait = time.Minute, true
		_, err := uninstall.Run(rest[0])
		return err
	case verb == "history" && len(rest) == 1:
		found, err := action.NewHistory(config).Run(rest[0])
		return show(found, err)
	case verb == "status" && len(rest) == 1:
		found, err := action.NewStatus(config).Run(rest[0])
		return show([]*release.Release{found}, err)
	case verb == "list":
		found, err := action.NewList(config).Run()
		return show(found, err)
	}
	return fmt.Errorf("%s", usage)
}

func values(pairs []string) map[string]any {
	found := map[string]any{}
	for _, pair := range pairs {
		key, value, _ := strings.Cut(pair, "=")
		found[key] = value
	}
	return found
}

func install(config *action.Configuration, namespace string, args []string) error {
	chart, err := loader.Load(args[1])
	if err != nil {
		return err
	}
	install := action.NewInstall(config)
	install.ReleaseName, install.Namespace, install.CreateNamespace = args[0], namespace, true
	install.Timeout = time.Minute
	made, err := install.RunWithContext(context.Background(), chart, values(args[2:]))
	return show([]*release.Release{made}, err)
}

func upgrade(config *action.Configuration, namespace string, args []string) error {
	chart, err := loader.Load(args[1])
	if err != nil {
		return err
	}
	upgrade := action.NewUpgrade(config)
	upgrade.Namespace, upgrade.Timeout = namespace, time.Minute
	made, err := upgrade.RunWithContext(context.Background(), args[0], chart, values(args[2:]))
	return show([]*release.Release{made}, err)
}

func show(releases []*release.Release, err error) error {
	if err != nil {
		return err
	}
	for _, r := range releases {
		fmt.Printf("%s %d %s\n", r.Name, r.Version, r.Info.Status)
	}
	return nil
}
