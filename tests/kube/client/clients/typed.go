// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	coreapply "k8s.io/client-go/applyconfigurations/core/v1"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/discovery/cached/memory"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/restmapper"
	"k8s.io/client-go/tools/pager"
	"k8s.io/client-go/tools/record"
	"k8s.io/client-go/util/retry"
)

// Makes the namespace, runs the check with a deadline, and lets the namespace go.
func inNamespace(config *rest.Config, namespace string, c check) error {
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	made := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}}
	if _, err := client.CoreV1().Namespaces().Create(ctx, made, metav1.CreateOptions{}); err != nil {
		return err
	}
	defer client.CoreV1().Namespaces().Delete(context.Background(), namespace, metav1.DeleteOptions{})
	return c.run(ctx, config, namespace)
}

func configMap(name string) *corev1.ConfigMap {
	return &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"made": "here"}}, Data: map[string]string{"a": "1"}}
}

func deployment(name string) *appsv1.Deployment {
	labels := map[string]string{"app": name}
	return &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: appsv1.DeploymentSpec{
			Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: labels},
				Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "main", Image: "app"}}},
			},
		},
	}
}

func typedClients(ctx context.Context, config *rest.Config, namespace string) error {
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	deployments := client.AppsV1().Deployments(namespace)
	made, err := deployments.Create(ctx, deployment("web"), metav1.CreateOptions{})
	if err != nil {
		return err
	}
	if *made.Spec.Replicas != 1 || made.Spec.Strategy.RollingUpdate == nil || made.UID == "" {
		return fmt.Errorf("no defaults: %+v", made.Spec)
	}
	if _, err = deployments.Create(ctx, deployment("web"), metav1.CreateOptions{}); !apierrors.IsAlreadyExists(err) {
		return fmt.Errorf("a second create: %v", err)
	}
	scale, err := deployments.GetScale(ctx, "web", metav1.GetOptions{})
	if err != nil {
		return err
	}
	scale.Spec.Replicas = 3
	if _, err = deployments.UpdateScale(ctx, "web", scale, metav1.UpdateOptions{}); err != nil {
		return err
	}
	now, err := deployments.Get(ctx, "web", metav1.GetOptions{})
	if err != nil || *now.Spec.Replicas != 3 {
		return fmt.Errorf("scaled: %v", err)
	}
	if _, err = deployments.Update(ctx, made, metav1.UpdateOptions{}); !apierrors.IsConflict(err) {
		return fmt.Errorf("an update of an old revision: %v", err)
	}
	now.Status.Replicas = 2
	if now, err = deployments.UpdateStatus(ctx, now, metav1.UpdateOptions{}); err != nil || now.Status.Replicas != 2 {
		return fmt.Errorf("status: %v", err)
	}
	patch := []byte(`{"spec":{"template":{"spec":{"containers":[{"name":"main","image":"app:2"}]}}}}`)
	if now, err = deployments.Patch(ctx, "web", types.StrategicMergePatchType, patch, metav1.PatchOptions{}); err != nil || now.Spec.Template.Spec.Containers[0].Image != "app:2" {
		return fmt.Errorf("patch: %v", err)
	}
	bad := deployment("bad")
	bad.Spec.Selector.MatchLabels = map[string]string{"other": "x"}
	if _, err = deployments.Create(ctx, bad, metav1.CreateOptions{}); !apierrors.IsInvalid(err) {
		return fmt.Errorf("an invalid one: %v", err)
	}
	if err = deployments.Delete(ctx, "web", metav1.DeleteOptions{}); err != nil {
		return err
	}
	if _, err = deployments.Get(ctx, "web", metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		return fmt.Errorf("after a delete: %v", err)
	}
	return nil
}

func typedClientsInProtobuf(ctx context.Context, config *rest.Config, namespace string) error {
	config = rest.CopyConfig(config)
	config.ContentType = runtime.ContentTypeProtobuf
	config.AcceptContentTypes = runtime.ContentTypeProtobuf + "," + runtime.ContentTypeJSON
	return typedClients(ctx, config, namespace)
}

func dynamicClient(ctx context.Context, config *rest.Config, namespace string) error {
	client, err := dynamic.NewForConfig(config)
	if err != nil {
		return err
	}
	maps := client.Resource(schema.GroupVersionResource{Version: "v1", Resource: "configmaps"}).Namespace(namespace)
	object := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "v1", "kind": "ConfigMap", "metadata": map[string]any{"name": "dyn"}, "data": map[string]any{"a": "1"}}}
	if _, err = maps.Create(ctx, object, metav1.CreateOptions{}); err != nil {
		return err
	}
	list, err := maps.List(ctx, metav1.ListOptions{FieldSelector: "metadata.name=dyn"})
	if err != nil || len(list.Items) != 1 || list.Items[0].GetKind() != "ConfigMap" {
		return fmt.Errorf("list: %v", err)
	}
	return maps.DeleteCollection(ctx, metav1.DeleteOptions{}, metav1.ListOptions{FieldSelector: "metadata.name=dyn"})
}

func discoveryAndMapper(ctx context.Context, config *rest.Config, namespace string) error {
	client, err := discovery.NewDiscoveryClientForConfig(config)
	if err != nil {
		return err
	}
	groups, resources, err := client.ServerGroupsAndResources()
	if err != nil || len(groups) < 10 || len(resources) < 10 {
		return fmt.Errorf("%d groups, %d lists of resources: %v", len(groups), len(resources), err)
	}
	mapper := restmapper.NewDeferredDiscoveryRESTMapper(memory.NewMemCacheClient(client))
	mapping, err := mapper.RESTMapping(schema.GroupKind{Group: "apps", Kind: "Deployment"})
	if err != nil || mapping.Resource.Resource != "deployments" {
		return fmt.Errorf("mapping: %v", err)
	}
	if _, err = client.OpenAPISchema(); err != nil {
		return fmt.Errorf("OpenAPI v2: %w", err)
	}
	paths, err := client.OpenAPIV3().Paths()
	if err != nil || paths["apis/apps/v1"] == nil {
		return fmt.Errorf("OpenAPI v3: %v", err)
	}
	_, err = paths["apis/apps/v1"].Schema(runtime.ContentTypeJSON)
	return err
}

func pages(ctx context.Context, config *rest.Config, namespace string) error {
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	for i := range 25 {
		if _, err := client.CoreV1().ConfigMaps(namespace).Create(ctx, configMap(fmt.Sprintf("m%02d", i)), metav1.CreateOptions{}); err != nil {
			return err
		}
	}
	all := pager.New(pager.SimplePageFunc(func(options metav1.ListOptions) (runtime.Object, error) {
		return client.CoreV1().ConfigMaps(namespace).List(ctx, options)
	}))
	all.PageSize = 7
	count := 0
	err = all.EachListItem(ctx, metav1.ListOptions{LabelSelector: "made=here"}, func(runtime.Object) error {
		count++
		return nil
	})
	if err != nil || count != 25 {
		return fmt.Errorf("%d of 25: %v", count, err)
	}
	return nil
}

func serverSideApply(ctx context.Context, config *rest.Config, namespace string) error {
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	maps := client.CoreV1().ConfigMaps(namespace)
	one := coreapply.ConfigMap("applied", namespace).WithData(map[string]string{"a": "1"})
	if _, err = maps.Apply(ctx, one, metav1.ApplyOptions{FieldManager: "one"}); err != nil {
		return err
	}
	two := coreapply.ConfigMap("applied", namespace).WithData(map[string]string{"a": "2"})
	if _, err = maps.Apply(ctx, two, metav1.ApplyOptions{FieldManager: "two"}); !apierrors.IsConflict(err) {
		return fmt.Errorf("no conflict: %v", err)
	}
	now, err := maps.Apply(ctx, two, metav1.ApplyOptions{FieldManager: "two", Force: true})
	if err != nil || now.Data["a"] != "2" {
		return fmt.Errorf("by force: %v", err)
	}
	extracted, err := coreapply.ExtractConfigMap(now, "two")
	if err != nil || extracted.Data["a"] != "2" {
		return fmt.Errorf("managed fields: %v", err)
	}
	return nil
}

func retryOnConflict(ctx context.Context, config *rest.Config, namespace string) error {
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	maps := client.CoreV1().ConfigMaps(namespace)
	if _, err = maps.Create(ctx, configMap("shared"), metav1.CreateOptions{}); err != nil {
		return err
	}
	const writers, writes = 4, 5
	done := make(chan error, writers)
	for w := range writers {
		go func() {
			for i := range writes {
				err := retry.OnError(retry.DefaultBackoff, apierrors.IsConflict, func() error {
					for {
						now, err := maps.Get(ctx, "shared", metav1.GetOptions{})
						if err != nil {
							return err
						}
						now.Data[fmt.Sprintf("w%d-%d", w, i)] = "x"
						if _, err = maps.Update(ctx, now, metav1.UpdateOptions{}); !apierrors.IsConflict(err) {
							return err
						}
					}
				})
				if err != nil {
					done <- err
					return
				}
			}
			done <- nil
		}()
	}
	for range writers {
		if err := <-done; err != nil {
			return err
		}
	}
	now, err := maps.Get(ctx, "shared", metav1.GetOptions{})
	if err != nil || len(now.Data) != 1+writers*writes {
		return fmt.Errorf("%d keys, a write was lost: %v", len(now.Data), err)
	}
	return nil
}

func events(ctx context.Context, config *rest.Config, namespace string) error {
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	made, err := client.CoreV1().ConfigMaps(namespace).Create(ctx, configMap("subject"), metav1.CreateOptions{})
	if err != nil {
		return err
	}
	broadcaster := record.NewBroadcaster()
	defer broadcaster.Shutdown()
	sink := broadcaster.StartRecordingToSink(&eventSink{client.CoreV1().Events(namespace)})
	defer sink.Stop()
	recorder := broadcaster.NewRecorder(scheme.Scheme, corev1.EventSource{Component: "clients"})
	for range 3 {
		recorder.Event(made, corev1.EventTypeNormal, "Seen", "it was seen")
	}
	return eventually(ctx, func() (bool, error) {
		list, err := client.CoreV1().Events(namespace).List(ctx, metav1.ListOptions{FieldSelector: "involvedObject.name=subject,reason=Seen"})
		return err == nil && len(list.Items) == 1 && list.Items[0].Count == 3, err
	})
}

// Asks until it is true; the context's end is an error.
func eventually(ctx context.Context, isTrue func() (bool, error)) error {
	var last error
	for {
		done, err := isTrue()
		if done {
			return nil
		}
		last = err
		select {
		case <-ctx.Done():
			return fmt.Errorf("not within %v (%v)", patience, last)
		case <-time.After(20 * time.Millisecond):
		}
	}
}
