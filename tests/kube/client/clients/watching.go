// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	typedcore "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/metadata/metadatainformer"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/leaderelection"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
	ctrl "sigs.k8s.io/controller-runtime"
	runtimecache "sigs.k8s.io/controller-runtime/pkg/cache"
	runtimeclient "sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/metrics/server"
)

type eventSink struct {
	typedcore.EventInterface
}

func (s *eventSink) Create(e *corev1.Event) (*corev1.Event, error) {
	return s.CreateWithEventNamespace(e)
}
func (s *eventSink) Update(e *corev1.Event) (*corev1.Event, error) {
	return s.UpdateWithEventNamespace(e)
}
func (s *eventSink) Patch(e *corev1.Event, data []byte) (*corev1.Event, error) {
	return s.PatchWithEventNamespace(e, data)
}

// Counts what an informer tells, by name of the event.
type counter struct {
	added, changed, deleted atomic.Int64
}

func (c *counter) handler() cache.ResourceEventHandlerFuncs {
	return cache.ResourceEventHandlerFuncs{
		AddFunc:    func(any) { c.added.Add(1) },
		UpdateFunc: func(_, _ any) { c.changed.Add(1) },
		DeleteFunc: func(any) { c.deleted.Add(1) },
	}
}

func informer(ctx context.Context, config *rest.Config, namespace string) error {
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	return watchAndChange(ctx, client, client, namespace, func() error { return nil })
}

// An informer on one client sees what another client does; `between` runs in the middle.
func watchAndChange(ctx context.Context, watcher, writer kubernetes.Interface, namespace string, between func() error) error {
	factory := informers.NewSharedInformerFactoryWithOptions(watcher, 0, informers.WithNamespace(namespace),
		informers.WithTweakListOptions(func(o *metav1.ListOptions) { o.LabelSelector = "made=here" }))
	var seen counter
	maps := factory.Core().V1().ConfigMaps()
	if _, err := maps.Informer().AddEventHandler(seen.handler()); err != nil {
		return err
	}
	if _, err := writer.CoreV1().ConfigMaps(namespace).Create(ctx, configMap("before"), metav1.CreateOptions{}); err != nil {
		return err
	}
	factory.Start(ctx.Done())
	if !cache.WaitForCacheSync(ctx.Done(), maps.Informer().HasSynced) {
		return errors.New("the cache has not synced")
	}
	for i := range 20 {
		if i == 10 {
			if err := between(); err != nil {
				return err
			}
		}
		name := fmt.Sprintf("i%d", i)
		made, err := writer.CoreV1().ConfigMaps(namespace).Create(ctx, configMap(name), metav1.CreateOptions{})
		if err != nil {
			return err
		}
		made.Data["b"] = "2"
		if _, err = writer.CoreV1().ConfigMaps(namespace).Update(ctx, made, metav1.UpdateOptions{}); err != nil {
			return err
		}
		if i%2 == 0 {
			if err = writer.CoreV1().ConfigMaps(namespace).Delete(ctx, name, metav1.DeleteOptions{}); err != nil {
				return err
			}
		}
	}
	err := eventually(ctx, func() (bool, error) {
		known, err := maps.Lister().ConfigMaps(namespace).List(labels.Everything())
		if err != nil || len(known) != 11 {
			return false, fmt.Errorf("%d objects known, %v", len(known), err)
		}
		for _, m := range known {
			if m.Name != "before" && m.Data["b"] != "2" {
				return false, fmt.Errorf("%s is an old one", m.Name)
			}
		}
		return true, nil
	})
	if err != nil {
		return fmt.Errorf("%w; %d added, %d changed, %d deleted", err, seen.added.Load(), seen.changed.Load(), seen.deleted.Load())
	}
	return nil
}

// Connections that can be cut.
type cutter struct {
	mutex sync.Mutex
	open  []net.Conn
}

func (c *cutter) dial(ctx context.Context, network, address string) (net.Conn, error) {
	connection, err := (&net.Dialer{}).DialContext(ctx, network, address)
	if err == nil {
		c.mutex.Lock()
		c.open = append(c.open, connection)
		c.mutex.Unlock()
	}
	return connection, err
}

func (c *cutter) cut() error {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	for _, connection := range c.open {
		connection.Close()
	}
	c.open = nil
	return nil
}

func informerOverACut(ctx context.Context, config *rest.Config, namespace string) error {
	writer, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	connections := &cutter{}
	cut := rest.CopyConfig(config)
	cut.Dial = connections.dial
	watcher, err := kubernetes.NewForConfig(cut)
	if err != nil {
		return err
	}
	return watchAndChange(ctx, watcher, writer, namespace, connections.cut)
}

func metadataInformer(ctx context.Context, config *rest.Config, namespace string) error {
	typed, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	client, err := metadata.NewForConfig(config)
	if err != nil {
		return err
	}
	factory := metadatainformer.NewFilteredSharedInformerFactory(client, 0, namespace, nil)
	resource := schema.GroupVersionResource{Version: "v1", Resource: "secrets"}
	secrets := factory.ForResource(resource)
	secrets.Informer()
	factory.Start(ctx.Done())
	factory.WaitForCacheSync(ctx.Done())
	if _, err := typed.CoreV1().Secrets(namespace).Create(ctx, &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "s"}}, metav1.CreateOptions{}); err != nil {
		return err
	}
	return eventually(ctx, func() (bool, error) {
		_, err := secrets.Lister().ByNamespace(namespace).Get("s")
		return err == nil, err
	})
}

func leaderElection(ctx context.Context, config *rest.Config, namespace string) error {
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	leads := make(chan string, 4)
	run := func(ctx context.Context, name string) {
		leaderelection.RunOrDie(ctx, leaderelection.LeaderElectionConfig{
			Lock:            &resourcelock.LeaseLock{LeaseMeta: metav1.ObjectMeta{Name: "lock", Namespace: namespace}, Client: client.CoordinationV1(), LockConfig: resourcelock.ResourceLockConfig{Identity: name}},
			ReleaseOnCancel: true, LeaseDuration: 30 * time.Second, RenewDeadline: 20 * time.Second, RetryPeriod: 200 * time.Millisecond,
			Callbacks: leaderelection.LeaderCallbacks{OnStartedLeading: func(context.Context) { leads <- name }, OnStoppedLeading: func() {}},
		})
	}
	next := func() (string, error) {
		select {
		case name := <-leads:
			return name, nil
		case <-ctx.Done():
			return "", errors.New("nobody leads")
		}
	}
	first, stopFirst := context.WithCancel(ctx)
	second, stopSecond := context.WithCancel(ctx)
	defer stopSecond()
	go run(first, "first")
	if name, err := next(); err != nil || name != "first" {
		stopFirst()
		return fmt.Errorf("%q leads: %v", name, err)
	}
	go run(second, "second")
	select {
	case name := <-leads:
		stopFirst()
		return fmt.Errorf("%q leads too", name)
	case <-time.After(time.Second):
	}
	stopFirst()
	if name, err := next(); err != nil || name != "second" {
		return fmt.Errorf("%q leads after the first: %v", name, err)
	}
	return nil
}

// For each Deployment a ConfigMap that it owns, and the status that says so.
type reconciler struct {
	runtimeclient.Client
}

func (r *reconciler) Reconcile(ctx context.Context, request ctrl.Request) (ctrl.Result, error) {
	var owner appsv1.Deployment
	if err := r.Get(ctx, request.NamespacedName, &owner); err != nil {
		return ctrl.Result{}, runtimeclient.IgnoreNotFound(err)
	}
	owned := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: owner.Namespace, Name: owner.Name + "-owned"}}
	_, err := controllerutil.CreateOrUpdate(ctx, r.Client, owned, func() error {
		owned.Data = map[string]string{"image": owner.Spec.Template.Spec.Containers[0].Image}
		return controllerutil.SetControllerReference(&owner, owned, r.Scheme())
	})
	if err != nil {
		return ctrl.Result{}, err
	}
	if owner.Status.ObservedGeneration != owner.Generation {
		owner.Status.ObservedGeneration = owner.Generation
		err = r.Status().Update(ctx, &owner)
	}
	return ctrl.Result{}, err
}

func controller(ctx context.Context, config *rest.Config, namespace string) error {
	log.SetLogger(logr.Discard())
	manager, err := ctrl.NewManager(config, ctrl.Options{
		Metrics: server.Options{BindAddress: "0"},
		Cache:   runtimecache.Options{DefaultNamespaces: map[string]runtimecache.Config{namespace: {}}},
	})
	if err != nil {
		return err
	}
	if err = ctrl.NewControllerManagedBy(manager).For(&appsv1.Deployment{}).Owns(&corev1.ConfigMap{}).Complete(&reconciler{manager.GetClient()}); err != nil {
		return err
	}
	running, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- manager.Start(running) }()
	client, err := kubernetes.NewForConfig(config)
	if err == nil {
		err = useController(ctx, client, namespace)
	}
	stop()
	if stopped := <-ended; err == nil {
		err = stopped
	}
	return err
}

func useController(ctx context.Context, client kubernetes.Interface, namespace string) error {
	if _, err := client.AppsV1().Deployments(namespace).Create(ctx, deployment("owner"), metav1.CreateOptions{}); err != nil {
		return err
	}
	isThere := func() (bool, error) {
		owned, err := client.CoreV1().ConfigMaps(namespace).Get(ctx, "owner-owned", metav1.GetOptions{})
		if err != nil {
			return false, err
		}
		owner, err := client.AppsV1().Deployments(namespace).Get(ctx, "owner", metav1.GetOptions{})
		return err == nil && owned.Data["image"] == "app" && owner.Status.ObservedGeneration == owner.Generation, err
	}
	if err := eventually(ctx, isThere); err != nil {
		return fmt.Errorf("made: %w", err)
	}
	if err := client.CoreV1().ConfigMaps(namespace).Delete(ctx, "owner-owned", metav1.DeleteOptions{}); err != nil {
		return err
	}
	if err := eventually(ctx, isThere); err != nil {
		return fmt.Errorf("made again: %w", err)
	}
	if err := client.AppsV1().Deployments(namespace).Delete(ctx, "owner", metav1.DeleteOptions{}); err != nil {
		return err
	}
	return eventually(ctx, func() (bool, error) {
		list, err := client.CoreV1().ConfigMaps(namespace).List(ctx, metav1.ListOptions{FieldSelector: "metadata.name=owner-owned"})
		return err == nil && len(list.Items) == 0, err
	})
}
