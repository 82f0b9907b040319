# SPDX-License-Identifier: Apache-2.0
"""The PyPI package `kubernetes`: typed and dynamic clients, watches, pages, patches, errors, leases, custom objects."""
import base64
import random
import string
import threading

import pytest
from fixtures import kubeconfig  # noqa: F401
from waiting import DEADLINE, until

kubernetes = pytest.importorskip("kubernetes", reason="the Python package kubernetes is not installed")
from kubernetes import client, config, dynamic, utils, watch  # noqa: E402
from kubernetes.client.rest import ApiException  # noqa: E402


@pytest.fixture(scope="module")
def api(kubeconfig):
    with config.new_client_from_config(kubeconfig) as made:
        yield made


@pytest.fixture
def namespace(api):
    name = "python-" + "".join(random.choices(string.ascii_lowercase, k=6))
    core = client.CoreV1Api(api)
    core.create_namespace(client.V1Namespace(metadata=client.V1ObjectMeta(name=name)))
    watched = watch.Watch()
    for event in watched.stream(core.list_namespaced_config_map, name, timeout_seconds=DEADLINE):  # what every namespace gets by itself
        if event["object"].metadata.name == "kube-root-ca.crt":
            watched.stop()
    yield name
    core.delete_collection_namespaced_pod(name, grace_period_seconds=0)
    core.delete_namespace(name)


def config_map(name, **data):
    return client.V1ConfigMap(metadata=client.V1ObjectMeta(name=name, labels={"made": "here"}), data=data or {"a": "1"})


def deployment(name):
    pod = client.V1PodTemplateSpec(metadata=client.V1ObjectMeta(labels={"app": name}), spec=client.V1PodSpec(containers=[client.V1Container(name="main", image="app")]))
    return client.V1Deployment(metadata=client.V1ObjectMeta(name=name), spec=client.V1DeploymentSpec(selector=client.V1LabelSelector(match_labels={"app": name}), template=pod))


def test_objects_live_and_go(api, namespace):
    core = client.CoreV1Api(api)
    made = core.create_namespaced_config_map(namespace, config_map("one"))
    assert made.metadata.uid and made.metadata.creation_timestamp
    made.data["b"] = "2"
    changed = core.replace_namespaced_config_map("one", namespace, made)
    assert changed.data == {"a": "1", "b": "2"}
    with pytest.raises(ApiException) as e:
        core.replace_namespaced_config_map("one", namespace, made)
    assert e.value.status == 409 and e.value.reason == "Conflict"
    assert core.patch_namespaced_config_map("one", namespace, {"data": {"b": None}}).data == {"a": "1"}
    assert core.patch_namespaced_config_map("one", namespace, [{"op": "add", "path": "/data/c", "value": "3"}]).data == {"a": "1", "c": "3"}
    status = core.delete_namespaced_config_map("one", namespace)
    assert (status["status"] if isinstance(status, dict) else status.status) == "Success"
    with pytest.raises(ApiException) as e:
        core.read_namespaced_config_map("one", namespace)
    assert e.value.status == 404 and 'configmaps \\"one\\" not found' in e.value.body


def test_pages_and_selectors(api, namespace):
    core = client.CoreV1Api(api)
    for i in range(12):
        core.create_namespaced_config_map(namespace, config_map(f"m{i:02d}"))
    names, token = [], None
    while True:
        page = core.list_namespaced_config_map(namespace, label_selector="made=here", limit=5, _continue=token)
        names += [m.metadata.name for m in page.items]
        token = page.metadata._continue
        if not token:
            break
    assert names == [f"m{i:02d}" for i in range(12)]
    assert [m.metadata.name for m in core.list_namespaced_config_map(namespace, field_selector="metadata.name=m03").items] == ["m03"]
    core.delete_collection_namespaced_config_map(namespace, label_selector="made=here")
    assert core.list_namespaced_config_map(namespace, label_selector="made=here").items == []


def test_a_watch_tells_what_comes(api, namespace):
    core = client.CoreV1Api(api)
    start = core.list_namespaced_config_map(namespace).metadata.resource_version
    seen, ready = [], threading.Event()

    def follow():
        w = watch.Watch()
        ready.set()
        for event in w.stream(core.list_namespaced_config_map, namespace, resource_version=start, timeout_seconds=DEADLINE):
            seen.append((event["type"], event["object"].metadata.name))
            if len(seen) == 3:
                w.stop()

    thread = threading.Thread(target=follow)
    thread.start()
    ready.wait()
    core.create_namespaced_config_map(namespace, config_map("w"))
    core.patch_namespaced_config_map("w", namespace, {"data": {"x": "y"}})
    core.delete_namespaced_config_map("w", namespace)
    thread.join(DEADLINE)
    assert seen == [("ADDED", "w"), ("MODIFIED", "w"), ("DELETED", "w")]


def test_deployments_scale_and_status(api, namespace):
    apps = client.AppsV1Api(api)
    made = apps.create_namespaced_deployment(namespace, deployment("web"))
    assert made.spec.replicas == 1 and made.spec.strategy.type == "RollingUpdate"
    assert apps.patch_namespaced_deployment_scale("web", namespace, {"spec": {"replicas": 4}}).spec.replicas == 4
    assert apps.read_namespaced_deployment_scale("web", namespace).spec.replicas == 4
    apps.patch_namespaced_deployment_status("web", namespace, {"status": {"replicas": 2}})
    assert apps.read_namespaced_deployment("web", namespace).status.replicas == 2
    bad = deployment("bad")
    bad.spec.template.metadata.labels = {"other": "x"}
    with pytest.raises(ApiException) as e:
        apps.create_namespaced_deployment(namespace, bad)
    assert e.value.status == 422 and "`selector` does not match template `labels`" in e.value.body


def test_secrets_services_and_claims(api, namespace):
    core = client.CoreV1Api(api)
    secret = core.create_namespaced_secret(namespace, client.V1Secret(metadata=client.V1ObjectMeta(name="s"), string_data={"k": "v"}))
    assert base64.b64decode(secret.data["k"]) == b"v" and secret.type == "Opaque"
    service = core.create_namespaced_service(namespace, client.V1Service(metadata=client.V1ObjectMeta(name="svc"), spec=client.V1ServiceSpec(selector={"a": "b"}, ports=[client.V1ServicePort(port=80)])))
    assert service.spec.cluster_ip and service.spec.ports[0].target_port == 80
    claim = client.V1PersistentVolumeClaim(metadata=client.V1ObjectMeta(name="c"), spec=client.V1PersistentVolumeClaimSpec(access_modes=["ReadWriteOnce"], resources=client.V1VolumeResourceRequirements(requests={"storage": "1Gi"})))
    assert core.create_namespaced_persistent_volume_claim(namespace, claim).status.phase == "Pending"


def test_pods_are_bound_and_evicted(api, namespace):
    core = client.CoreV1Api(api)
    pod = client.V1Pod(metadata=client.V1ObjectMeta(name="p"), spec=client.V1PodSpec(containers=[client.V1Container(name="c", image="i")]))
    assert core.create_namespaced_pod(namespace, pod).status.phase == "Pending"
    binding = client.V1Binding(metadata=client.V1ObjectMeta(name="p"), target=client.V1ObjectReference(kind="Node", name="n"))
    core.create_namespaced_pod_binding("p", namespace, binding, _preload_content=False)
    assert core.read_namespaced_pod("p", namespace).spec.node_name == "n"
    core.create_namespaced_pod_eviction("p", namespace, client.V1Eviction(metadata=client.V1ObjectMeta(name="p")))
    assert core.read_namespaced_pod("p", namespace).metadata.deletion_timestamp


def test_reviews_and_tokens(api, namespace):
    review = client.V1SelfSubjectAccessReview(spec=client.V1SelfSubjectAccessReviewSpec(resource_attributes=client.V1ResourceAttributes(verb="create", resource="pods", namespace=namespace)))
    assert client.AuthorizationV1Api(api).create_self_subject_access_review(review).status.allowed
    core = client.CoreV1Api(api)
    request = client.AuthenticationV1TokenRequest(spec=client.V1TokenRequestSpec(audiences=[], expiration_seconds=600))
    core.create_namespaced_service_account(namespace, client.V1ServiceAccount(metadata=client.V1ObjectMeta(name="robot")))
    token = core.create_namespaced_service_account_token("robot", namespace, request).status.token
    configuration = client.Configuration()
    configuration.host, configuration.ssl_ca_cert = api.configuration.host, api.configuration.ssl_ca_cert
    configuration.api_key, configuration.api_key_prefix = {"authorization": token}, {"authorization": "Bearer"}
    with client.ApiClient(configuration) as robot, pytest.raises(ApiException) as e:
        client.CoreV1Api(robot).list_namespaced_config_map(namespace)
    assert e.value.status == 403 and f"system:serviceaccount:{namespace}:robot" in e.value.body


def test_dynamic_client_and_apply(api, namespace):
    resources = dynamic.DynamicClient(api)
    maps = resources.resources.get(api_version="v1", kind="ConfigMap")
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "applied"}, "data": {"a": "1"}}
    assert maps.server_side_apply(body=body, namespace=namespace, field_manager="one").data.a == "1"
    body["data"]["a"] = "2"
    with pytest.raises(dynamic.exceptions.ConflictError):
        maps.server_side_apply(body=body, namespace=namespace, field_manager="two")
    assert maps.server_side_apply(body=body, namespace=namespace, field_manager="two", force_conflicts=True).data.a == "2"
    assert [m.metadata.name for m in maps.get(namespace=namespace).items] == ["applied", "kube-root-ca.crt"]


def test_definitions_and_their_objects(api, namespace):
    group = f"{namespace}.example.com"
    schema = {"type": "object", "properties": {"spec": {"type": "object", "properties": {"size": {"type": "integer", "minimum": 1}}}}}
    definition = {"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": {"name": f"toys.{group}"}, "spec": {
        "group": group, "scope": "Namespaced", "names": {"plural": "toys", "singular": "toy", "kind": "Toy"}, "versions": [{"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}]}}
    extensions, objects = client.ApiextensionsV1Api(api), client.CustomObjectsApi(api)
    extensions.create_custom_resource_definition(definition)
    try:
        for event in watch.Watch().stream(extensions.list_custom_resource_definition, field_selector=f"metadata.name=toys.{group}", timeout_seconds=DEADLINE):
            status = event["object"].status
            if any(c.type == "Established" and c.status == "True" for c in status and status.conditions or []):
                break
        toy = {"apiVersion": f"{group}/v1", "kind": "Toy", "metadata": {"name": "car"}, "spec": {"size": 2, "junk": 1}}

        def made():
            try:
                return objects.create_namespaced_custom_object(group, "v1", namespace, "toys", toy)
            except ApiException as e:
                assert e.status == 404

        assert until("it is served", made)["spec"] == {"size": 2}
        assert objects.patch_namespaced_custom_object(group, "v1", namespace, "toys", "car", {"spec": {"size": 3}})["spec"] == {"size": 3}
        with pytest.raises(ApiException) as e:
            objects.patch_namespaced_custom_object(group, "v1", namespace, "toys", "car", {"spec": {"size": 0}})
        assert e.value.status == 422
        assert len(objects.list_namespaced_custom_object(group, "v1", namespace, "toys")["items"]) == 1
    finally:
        extensions.delete_custom_resource_definition(f"toys.{group}")


def test_objects_from_yaml(api, namespace, tmp_path):
    path = tmp_path / "objects.yaml"
    path.write_text("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: y1}\ndata: {a: x}\n---\napiVersion: batch/v1\nkind: Job\nmetadata: {name: j}\nspec: {template: {spec: {restartPolicy: Never, containers: [{name: c, image: i}]}}}\n")
    utils.create_from_yaml(api, str(path), namespace=namespace)
    job = client.BatchV1Api(api).read_namespaced_job("j", namespace)
    assert job.spec.backoff_limit == 6 and job.spec.completion_mode == "NonIndexed"


def test_what_there_is(api):
    assert client.VersionApi(api).get_code().git_version.startswith("v1.")
    groups = {g.name for g in client.ApisApi(api).get_api_versions().groups}
    assert {"apps", "batch", "rbac.authorization.k8s.io", "coordination.k8s.io"} <= groups
    assert "deployments" in {r.name for r in client.AppsV1Api(api).get_api_resources().resources}
