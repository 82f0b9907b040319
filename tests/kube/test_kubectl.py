# SPDX-License-Identifier: Apache-2.0
"""kubectl 1.27 to 1.33, the commands that need no nodes: what they print and how they end is what they do with a real cluster."""
import json
import os
import pathlib
import random
import re
import string
import subprocess
import textwrap

import kubectls
import pytest
from fixtures import kube, kubeconfig  # noqa: F401
from waiting import until

ASKED = os.environ.get("KUBECTL_BUILD", str(kubectls.BUILT))  # minors to build from their Go modules: "33", "28,30", "all", ""
MACHINE = kubectls.on_this_machine()
TO_BUILD = list(kubectls.MINORS) if ASKED == "all" else [int(m) for m in ASKED.split(",") if m]
# A sanitized server is slow: there the oldest and the newest speak for the others, which differ in nothing that they have not.
MINORS = [kubectls.MINORS[0], kubectls.MINORS[-1]] if os.environ.get("HYTHE_SANITIZED") else kubectls.MINORS
PROGRAMS = [f"1.{m}" for m in MINORS] + ([f"1.{m} built" for m in TO_BUILD] if MINORS is kubectls.MINORS else [])


@pytest.fixture(scope="session", params=PROGRAMS)
def program(request):
    minor = int(re.match(r"1\.(\d+)", request.param).group(1))
    if not request.param.endswith("built"):
        if minor not in MACHINE:
            pytest.skip(f"kubectl 1.{minor} is not on this machine; KUBECTL_BUILD={minor} builds it from its Go module")
        return MACHINE[minor]
    try:
        return kubectls.build(minor)
    except RuntimeError as e:
        pytest.skip(f"kubectl 1.{minor} cannot be built here: {e}")


class Kubectl:
    def __init__(self, program, kubeconfig, home, namespace):
        self.program, self.namespace, self.home = program, namespace, pathlib.Path(home)
        self.minor = kubectls.minor_of(program)
        self.env = {**os.environ, "KUBECONFIG": str(kubeconfig), "HOME": str(home), "KUBECTL_EXTERNAL_DIFF": "diff -u -N", "EDITOR": "false"}

    def run(self, *arguments, stdin=None, ok=True, namespace=True, env=None):
        """What it prints on stdout (stderr too when it may fail)."""
        command = [self.program, *(["-n", self.namespace] if namespace else []), *map(str, arguments)]
        done = subprocess.run(command, input=stdin, capture_output=True, text=True, env={**self.env, **(env or {})}, timeout=120)
        if ok:
            assert done.returncode == 0, f"{' '.join(map(str, arguments))}: exit {done.returncode}\n{done.stdout}\n{done.stderr}"
            return done.stdout
        return done.returncode, done.stdout + done.stderr

    def json(self, *arguments):
        return json.loads(self.run("get", *arguments, "-o", "json"))


@pytest.fixture
def kubectl(program, kubeconfig, kube, tmp_path):
    namespace = "kubectl-" + "".join(random.choices(string.ascii_lowercase, k=6))
    k = Kubectl(program, kubeconfig, tmp_path, namespace)
    k.run("create", "namespace", namespace, namespace=False)
    for given in ("serviceaccounts/default", "configmaps/kube-root-ca.crt"):  # pods need the one, lists hold the other
        until(given, lambda given=given: kube.ask("GET", f"/api/v1/namespaces/{namespace}/{given}").status == 200)
    yield k
    k.run("delete", "pods", "--all", "--force", "--grace-period=0", "--wait=false", ok=False)
    k.run("delete", "namespace", namespace, "--wait=false", namespace=False, ok=False)


DEPLOYMENT = textwrap.dedent("""\
    apiVersion: apps/v1
    kind: Deployment
    metadata:
      name: web
      labels: {app: web}
    spec:
      replicas: 2
      selector: {matchLabels: {app: web}}
      template:
        metadata: {labels: {app: web}}
        spec:
          containers:
          - name: main
            image: app:1
            ports: [{containerPort: 80}]
    ---
    apiVersion: v1
    kind: Service
    metadata: {name: web, labels: {app: web}}
    spec:
      selector: {app: web}
      ports: [{port: 80}]
    """)


def test_version_and_what_there_is(kubectl):
    assert "Server Version" in kubectl.run("version", namespace=False)
    assert json.loads(kubectl.run("version", "-o", "json", namespace=False))["serverVersion"]["gitVersion"].startswith("v1.")
    resources = kubectl.run("api-resources", namespace=False)
    for line in ("pods", "deployments", "customresourcedefinitions", "leases", "roles", "endpointslices", "horizontalpodautoscalers"):
        assert re.search(rf"^{line}\s", resources, re.M), line
    assert {"v1", "apps/v1", "batch/v1", "rbac.authorization.k8s.io/v1"} <= set(kubectl.run("api-versions", namespace=False).split())
    assert "running at" in kubectl.run("cluster-info", namespace=False)
    assert kubectl.run("get", "--raw", "/readyz", namespace=False) == "ok"


def test_get_in_every_form(kubectl):
    kubectl.run("create", "configmap", "one", "--from-literal=a=1")
    kubectl.run("create", "configmap", "two", "--from-literal=a=1", "--from-literal=b=2")
    lines = kubectl.run("get", "cm").splitlines()
    assert lines[0].split() == ["NAME", "DATA", "AGE"]
    assert [line.split()[:2] for line in lines[1:]] == [["kube-root-ca.crt", "1"], ["one", "1"], ["two", "2"]]
    assert kubectl.run("get", "cm", "one", "-o", "name") == "configmap/one\n"
    assert kubectl.run("get", "cm/two", "-o", "jsonpath={.data.b}") == "2"
    assert "a: \"1\"" in kubectl.run("get", "configmaps", "one", "-o", "yaml")
    assert kubectl.run("get", "cm", "one", "-o", "custom-columns=N:.metadata.name", "--no-headers") == "one\n"
    assert kubectl.run("get", "cm", "--sort-by=.metadata.name", "-o", "name").split()[-1] == "configmap/two"
    names = [line.split()[0] for line in kubectl.run("get", "cm", "--sort-by={.metadata.name}").splitlines()]
    assert names == ["NAME", "kube-root-ca.crt", "one", "two"]
    assert kubectl.run("get", "cm", "--chunk-size=1", "-o", "name").count("\n") == 3
    assert "one" in kubectl.run("get", "cm", "-A", "--field-selector", f"metadata.namespace={kubectl.namespace}")
    assert kubectl.run("get", "cm", "-l", "none=such", "-o", "name") == ""
    assert kubectl.run("get", "cm", "--show-labels", "-o", "wide").splitlines()[0].split() == ["NAME", "DATA", "AGE", "LABELS"]
    code, text = kubectl.run("get", "cm", "three", ok=False)
    assert code == 1 and text == 'Error from server (NotFound): configmaps "three" not found\n'
    code, text = kubectl.run("get", "poems", ok=False)
    assert code == 1 and "the server doesn't have a resource type \"poems\"" in text
    assert "No resources found" in kubectl.run("get", "pods", ok=False)[1]
    assert "service" not in kubectl.run("get", "all")


def test_apply_diff_and_delete(kubectl):
    path = kubectl.home / "web.yaml"
    path.write_text(DEPLOYMENT)
    assert kubectl.run("apply", "-f", path) == "deployment.apps/web created\nservice/web created\n"
    assert kubectl.run("apply", "-f", path) == "deployment.apps/web unchanged\nservice/web unchanged\n"
    path.write_text(DEPLOYMENT.replace("app:1", "app:2"))
    code, text = kubectl.run("diff", "-f", path, ok=False)
    assert code == 1 and "-      - image: app:1" in text and "+      - image: app:2" in text
    assert "deployment.apps/web configured (server dry run)" in kubectl.run("apply", "-f", path, "--dry-run=server")
    assert "deployment.apps/web configured (dry run)" in kubectl.run("apply", "-f", path, "--dry-run=client")
    assert "deployment.apps/web configured" in kubectl.run("apply", "-f", path)
    assert kubectl.json("deploy", "web")["spec"]["template"]["spec"]["containers"][0]["image"] == "app:2"
    assert kubectl.run("diff", "-f", path) == ""
    assert "last-applied" not in kubectl.run("apply", "view-last-applied", "deploy/web")
    assert kubectl.run("get", "all", "-o", "name").split() == ["service/web", "deployment.apps/web"]
    bad = path.with_name("bad.yaml")
    bad.write_text(DEPLOYMENT.replace("replicas", "replica"))
    code, text = kubectl.run("apply", "-f", bad, ok=False)
    assert code == 1 and 'unknown field "spec.replica"' in text
    assert kubectl.run("delete", "-f", path) == 'deployment.apps "web" deleted\nservice "web" deleted\n'
    assert kubectl.run("get", "deploy,svc", "-o", "name") == ""


def test_apply_on_the_server(kubectl):
    assert kubectl.run("apply", "--server-side", "-f", "-", stdin=DEPLOYMENT) == "deployment.apps/web serverside-applied\nservice/web serverside-applied\n"
    code, text = kubectl.run("apply", "--server-side", "--field-manager=other", "-f", "-", stdin=DEPLOYMENT.replace("app:1", "app:2"), ok=False)
    assert code == 1 and "conflict" in text and ".spec.template.spec.containers[name=\"main\"].image" in text
    kubectl.run("apply", "--server-side", "--field-manager=other", "--force-conflicts", "-f", "-", stdin=DEPLOYMENT.replace("app:1", "app:2"))
    managers = {m["manager"] for m in json.loads(kubectl.run("get", "deploy", "web", "-o", "json", "--show-managed-fields"))["metadata"]["managedFields"]}
    assert managers >= {"kubectl", "other"}
    code, text = kubectl.run("diff", "--server-side", "--field-manager=other", "-f", "-", stdin=DEPLOYMENT.replace("app:1", "app:3"), ok=False)
    assert code == 1 and "app:3" in text


def test_prune(kubectl):
    first = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: %s, labels: {set: x}}\n"
    kubectl.run("apply", "-f", "-", stdin=first % "a" + "---\n" + first % "b")
    out = kubectl.run("apply", "--prune", "-l", "set=x", "-f", "-", stdin=first % "a")
    assert "configmap/b pruned" in out
    assert kubectl.run("get", "cm", "-l", "set=x", "-o", "name") == "configmap/a\n"


CREATE = {
    "configmap": ["configmap", "x", "--from-literal=a=b"], "secret": ["secret", "generic", "x", "--from-literal=a=b"], "deployment": ["deployment", "x", "--image=app", "--replicas=3", "--port=80"],
    "docker-registry": ["secret", "docker-registry", "x", "--docker-server=s", "--docker-username=u", "--docker-password=p"],
    "serviceaccount": ["serviceaccount", "x"], "job": ["job", "x", "--image=app", "--", "run"], "cronjob": ["cronjob", "x", "--image=app", "--schedule=*/5 * * * *"], "role": ["role", "x", "--verb=get,list", "--resource=pods"],
    "rolebinding": ["rolebinding", "x", "--clusterrole=view", "--user=u"], "quota": ["quota", "x", "--hard=pods=5"], "ingress": ["ingress", "x", "--rule=a.example.com/*=web:80"], "service": ["service", "clusterip", "x", "--tcp=80:8080"],
    "nodeport": ["service", "nodeport", "x", "--tcp=80"], "externalname": ["service", "externalname", "x", "--external-name=example.com"], "poddisruptionbudget": ["poddisruptionbudget", "x", "--selector=a=b", "--min-available=1"],
}


def test_create_of_every_noun(kubectl):
    for noun, arguments in CREATE.items():
        assert "/x created" in kubectl.run("create", *arguments), noun
        kind = {"docker-registry": "secret", "quota": "resourcequota", "nodeport": "service", "externalname": "service"}.get(noun, noun)
        assert kubectl.json(kind, "x")["metadata"]["name"] == "x"
        code, text = kubectl.run("create", *arguments, ok=False)
        assert code == 1 and "already exists" in text, (noun, text)
        kubectl.run("delete", kind, "x", "--cascade=background", "--wait=false")
    assert kubectl.run("create", "-f", "-", stdin=DEPLOYMENT) == "deployment.apps/web created\nservice/web created\n"
    code, text = kubectl.run("create", "-f", "-", stdin=DEPLOYMENT, ok=False)
    assert code == 1 and text.count("(AlreadyExists)") == 2
    assert kubectl.run("replace", "-f", "-", stdin=DEPLOYMENT.replace("app:1", "app:3")).startswith("deployment.apps/web replaced")
    assert "replaced" in kubectl.run("replace", "--force", "-f", "-", stdin="apiVersion: v1\nkind: ConfigMap\nmetadata: {name: forced}\n", ok=False)[1]
    name = "x-" + kubectl.namespace
    kubectl.run("create", "clusterrole", name, "--verb=get", "--resource=nodes", namespace=False)
    kubectl.run("create", "clusterrolebinding", name, "--clusterrole=" + name, "--user=u", namespace=False)
    kubectl.run("create", "priorityclass", name, "--value=5", namespace=False)
    for kind in ("clusterrole", "clusterrolebinding", "priorityclass"):
        assert "deleted" in kubectl.run("delete", kind, name, namespace=False)


def test_token_and_rights(kubectl):
    kubectl.run("create", "serviceaccount", "robot")
    token = kubectl.run("create", "token", "robot").strip()
    assert token.count(".") == 2
    assert kubectl.run("auth", "can-i", "create", "pods").strip() == "yes"
    robot = f"--as=system:serviceaccount:{kubectl.namespace}:robot"
    code, text = kubectl.run("auth", "can-i", "create", "pods", robot, ok=False)
    assert code == 1 and text.strip().startswith("no")
    kubectl.run("create", "rolebinding", "edit", "--clusterrole=edit", f"--serviceaccount={kubectl.namespace}:robot")
    assert until("the right", lambda: kubectl.run("auth", "can-i", "create", "pods", robot)).strip() == "yes"
    assert "pods" in kubectl.run("auth", "can-i", "--list", robot)
    if kubectl.minor >= 28:
        assert "Username" in kubectl.run("auth", "whoami")
    code, text = kubectl.run("get", "nodes", robot, ok=False)
    assert code == 1 and "(Forbidden)" in text and 'cannot list resource "nodes" in API group "" at the cluster scope' in text
    roles = f"apiVersion: rbac.authorization.k8s.io/v1\nkind: Role\nmetadata: {{name: r, namespace: {kubectl.namespace}}}\nrules: [{{apiGroups: [''], resources: [pods], verbs: [get]}}]\n"
    assert "reconciled" in kubectl.run("auth", "reconcile", "-f", "-", stdin=roles)


def test_change_in_every_way(kubectl):
    kubectl.run("create", "-f", "-", stdin=DEPLOYMENT)
    assert kubectl.run("patch", "deploy", "web", "-p", '{"spec":{"minReadySeconds":5}}') == "deployment.apps/web patched\n"
    assert kubectl.run("patch", "deploy", "web", "-p", '{"spec":{"minReadySeconds":5}}') == "deployment.apps/web patched (no change)\n"
    assert kubectl.run("patch", "deploy", "web", "--type=json", "-p", '[{"op":"replace","path":"/spec/minReadySeconds","value":6}]') == "deployment.apps/web patched\n"
    assert kubectl.run("patch", "deploy", "web", "--type=merge", "-p", '{"spec":{"minReadySeconds":7}}') == "deployment.apps/web patched\n"
    kubectl.run("patch", "deploy", "web", "--subresource=status", "--type=merge", "-p", '{"status":{"observedGeneration":1}}')
    assert kubectl.json("deploy", "web")["status"]["observedGeneration"] == 1
    assert kubectl.run("label", "deploy", "web", "x=y") == "deployment.apps/web labeled\n"
    code, text = kubectl.run("label", "deploy", "web", "x=z", ok=False)
    assert code == 1 and "already has a value (y)" in text
    kubectl.run("label", "deploy", "web", "x=z", "--overwrite")
    assert kubectl.run("label", "deploy", "web", "x-").strip() in ("deployment.apps/web unlabeled", "deployment.apps/web labeled")
    assert kubectl.run("annotate", "deploy", "web", "note=hello") == f"deployment.apps/web annotate{'d' if kubectl.minor > 27 else ''}\n"
    assert kubectl.run("scale", "deploy", "web", "--replicas=4") == "deployment.apps/web scaled\n"
    assert kubectl.run("scale", "deploy", "web", "--replicas=5", "--current-replicas=4") == "deployment.apps/web scaled\n"
    code, text = kubectl.run("scale", "deploy", "web", "--replicas=6", "--current-replicas=4", ok=False)
    assert code == 1 and "Expected replicas to be 4, was 5" in text
    assert "autoscaled" in kubectl.run("autoscale", "deploy", "web", "--min=2", "--max=5", "--cpu-percent=80")
    assert kubectl.run("get", "hpa", "--no-headers").split()[:2] == ["web", "Deployment/web"]
    assert kubectl.run("set", "image", "deploy/web", "main=app:9") == "deployment.apps/web image updated\n"
    assert kubectl.run("set", "env", "deploy/web", "A=1") == "deployment.apps/web env updated\n"
    assert kubectl.run("set", "resources", "deploy/web", "--limits=cpu=1,memory=64Mi") == "deployment.apps/web resource requirements updated\n"
    assert kubectl.run("set", "serviceaccount", "deploy/web", "default") == "deployment.apps/web serviceaccount updated\n"
    kubectl.run("set", "selector", "svc/web", "app=other")
    spec = kubectl.json("deploy", "web")["spec"]
    container = spec["template"]["spec"]["containers"][0]
    assert (spec["replicas"], container["image"], container["env"], container["resources"]["limits"]["memory"]) == (5, "app:9", [{"name": "A", "value": "1"}], "64Mi")
    editor = kubectl.home / "editor"
    editor.write_text("#!/bin/sh\nsed -i 's/app:9/app:10/' \"$1\"\n")
    editor.chmod(0o755)
    assert "edited" in kubectl.run("edit", "deploy", "web", env={"EDITOR": str(editor), "KUBE_EDITOR": str(editor)})
    assert kubectl.json("deploy", "web")["spec"]["template"]["spec"]["containers"][0]["image"] == "app:10"


def test_rollouts_as_far_as_no_controller_is_needed(kubectl):
    kubectl.run("create", "-f", "-", stdin=DEPLOYMENT)
    assert "restarted" in kubectl.run("rollout", "restart", "deploy/web")
    assert "paused" in kubectl.run("rollout", "pause", "deploy/web")
    assert kubectl.json("deploy", "web")["spec"]["paused"] is True
    assert "resumed" in kubectl.run("rollout", "resume", "deploy/web")
    generation = kubectl.json("deploy", "web")["metadata"]["generation"]
    status = {"observedGeneration": generation, "replicas": 2, "updatedReplicas": 2, "readyReplicas": 2, "availableReplicas": 2}
    kubectl.run("patch", "deploy", "web", "--subresource=status", "--type=merge", "-p", json.dumps({"status": status}))
    assert "successfully rolled out" in kubectl.run("rollout", "status", "deploy/web", "--timeout=60s")
    assert kubectl.run("get", "deploy", "web", "--no-headers").split()[:4] == ["web", "2/2", "2", "2"]
    assert "deployment.apps/web" in kubectl.run("rollout", "history", "deploy/web")


def test_explain(kubectl):
    text = kubectl.run("explain", "deployment.spec.replicas", namespace=False)
    assert "replicas" in text and "integer" in text
    assert "containers" in kubectl.run("explain", "pod.spec", namespace=False)
    assert "imagePullPolicy" in kubectl.run("explain", "pods", "--recursive", namespace=False)
    code, _ = kubectl.run("explain", "pod.spec.nothing", namespace=False, ok=False)
    assert code == 1


def test_describe_and_events(kubectl):
    kubectl.run("create", "-f", "-", stdin=DEPLOYMENT)
    kubectl.run("run", "lone", "--image=app", "--labels=a=b", "--env=A=1")
    uid = kubectl.json("pod", "lone")["metadata"]["uid"]
    event = {"apiVersion": "v1", "kind": "Event", "metadata": {"name": "lone.1"}, "involvedObject": {"kind": "Pod", "namespace": kubectl.namespace, "name": "lone", "uid": uid, "apiVersion": "v1"}, "reason": "Hatched",
             "message": "it came out", "type": "Normal", "firstTimestamp": "2024-01-01T00:00:00Z", "lastTimestamp": "2024-01-01T00:00:00Z", "count": 2, "source": {"component": "test"}}
    kubectl.run("create", "-f", "-", stdin=json.dumps(event))
    text = kubectl.run("describe", "pod", "lone")
    assert "Hatched" in text and "it came out" in text and re.search(r"^Status:\s+Pending", text, re.M)
    assert re.search(r"^Replicas:\s+2 desired", kubectl.run("describe", "deploy", "web"), re.M)
    assert re.search(r"^Selector:\s+app=web", kubectl.run("describe", "svc", "web"), re.M)
    assert "Hatched" in kubectl.run("get", "events")
    assert "Hatched" in kubectl.run("events")
    assert "Hatched" in kubectl.run("events", "--for", "pod/lone")
    kubectl.run("describe", "namespace", kubectl.namespace, namespace=False)
    kubectl.run("describe", "cm", "kube-root-ca.crt")


def test_pods_services_and_waiting(kubectl):
    assert kubectl.run("run", "p", "--image=app") == "pod/p created\n"
    assert kubectl.run("expose", "pod", "p", "--port=80") == "service/p exposed\n"
    assert kubectl.run("get", "pod", "p", "--no-headers").split()[:4] == ["p", "0/1", "Pending", "0"]
    lines = kubectl.run("get", "pods", "-o", "wide").splitlines()
    assert lines[0].split()[:7] == ["NAME", "READY", "STATUS", "RESTARTS", "AGE", "IP", "NODE"]
    code, text = kubectl.run("wait", "--for=condition=Ready", "pod/p", "--timeout=1s", ok=False)
    assert code == 1 and re.search("timed out|deadline exceeded", text)
    status = {"status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}], "containerStatuses": [
        {"name": "p", "ready": True, "restartCount": 1, "image": "app", "imageID": "", "state": {"running": {"startedAt": "2024-01-01T00:00:00Z"}}}]}}
    kubectl.run("patch", "pod", "p", "--subresource=status", "--type=merge", "-p", json.dumps(status))
    assert "condition met" in kubectl.run("wait", "--for=condition=Ready", "pod/p", "--timeout=60s")
    assert "condition met" in kubectl.run("wait", "--for=jsonpath={.status.phase}=Running", "pod/p", "--timeout=60s")
    assert kubectl.run("get", "pod", "p", "--no-headers").split()[1:3] == ["1/1", "Running"]
    assert "deleted" in kubectl.run("delete", "pod", "p", "--now")
    kubectl.run("wait", "--for=delete", "pod/p", "--timeout=60s")


def test_watch_prints_what_comes(kubectl):
    process = subprocess.Popen([kubectl.program, "-n", kubectl.namespace, "get", "cm", "-w", "--output-watch-events", "--no-headers"], stdout=subprocess.PIPE, text=True, env=kubectl.env)
    try:
        assert process.stdout.readline().split()[:2] == ["ADDED", "kube-root-ca.crt"]
        kubectl.run("create", "configmap", "w", "--from-literal=a=1")
        assert process.stdout.readline().split()[:3] == ["ADDED", "w", "1"]
        kubectl.run("patch", "cm", "w", "--type=merge", "-p", '{"data":{"b":"2"}}')
        assert process.stdout.readline().split()[:3] == ["MODIFIED", "w", "2"]
        kubectl.run("delete", "cm", "w")
        assert process.stdout.readline().split()[:2] == ["DELETED", "w"]
    finally:
        process.kill()
        process.wait()


def test_delete_in_every_way(kubectl):
    for name in "abcdef":
        kubectl.run("create", "configmap", name)
    assert kubectl.run("delete", "cm", "a", "b").count("deleted") == 2
    assert "deleted" in kubectl.run("delete", "cm", "c", "--cascade=orphan")
    assert "deleted" in kubectl.run("delete", "cm", "d", "--cascade=foreground")
    assert kubectl.run("delete", "cm", "gone", "--ignore-not-found") == ""
    code, text = kubectl.run("delete", "cm", "gone", ok=False)
    assert code == 1 and "(NotFound)" in text
    kubectl.run("label", "cm", "e", "l=x")
    assert kubectl.run("delete", "cm", "-l", "l=x").count("deleted") == 1
    assert "deleted" in kubectl.run("delete", "cm", "f", "--dry-run=server", "--force", ok=False)[1]
    assert "deleted" in kubectl.run("delete", "cm", "f", "--force", "--grace-period=0", ok=False)[1]
    kubectl.run("run", "p", "--image=app", "--overrides", '{"spec":{"nodeName":"n1"}}')
    assert "force deleted" in kubectl.run("delete", "pod", "p", "--force", "--grace-period=0", ok=False)[1]
    assert kubectl.run("get", "pods", "-o", "name") == ""


def test_namespaces_end(kubectl):
    name = kubectl.namespace + "-end"
    kubectl.run("create", "namespace", name, namespace=False)
    kubectl.run("create", "configmap", "x", "-n", name, namespace=False)
    assert f'namespace "{name}" deleted' in kubectl.run("delete", "namespace", name, namespace=False)
    assert kubectl.run("get", "ns", name, namespace=False, ok=False)[0] == 1


def test_nodes_are_cordoned_drained_and_tainted(kubectl):
    name = "node-" + kubectl.namespace
    kubectl.run("create", "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "Node", "metadata": {"name": name}}), namespace=False)
    try:
        assert "cordoned" in kubectl.run("cordon", name, namespace=False)
        assert "SchedulingDisabled" in kubectl.run("get", "node", name, namespace=False)
        assert "uncordoned" in kubectl.run("uncordon", name, namespace=False)
        assert "tainted" in kubectl.run("taint", "node", name, "a=b:NoSchedule", namespace=False)
        assert "a=b:NoSchedule" in kubectl.run("describe", "node", name, namespace=False)
        assert "drained" in kubectl.run("drain", name, "--ignore-daemonsets", "--force", "--timeout=60s", namespace=False)
    finally:
        kubectl.run("delete", "node", name, namespace=False)


DEFINITION = textwrap.dedent("""\
    apiVersion: apiextensions.k8s.io/v1
    kind: CustomResourceDefinition
    metadata: {name: poems.NS.example.com}
    spec:
      group: NS.example.com
      scope: Namespaced
      names: {plural: poems, singular: poem, kind: Poem, shortNames: [po1]}
      versions:
      - name: v1
        served: true
        storage: true
        subresources: {status: {}, scale: {specReplicasPath: .spec.replicas, statusReplicasPath: .status.replicas}}
        additionalPrinterColumns: [{name: Lines, type: integer, jsonPath: .spec.lines}]
        schema:
          openAPIV3Schema:
            type: object
            properties:
              spec: {type: object, description: what it says, properties: {lines: {type: integer, minimum: 1, description: how many}, replicas: {type: integer}}}
              status: {type: object, properties: {replicas: {type: integer}}}
    """)


def test_custom_resources(kubectl):
    definition = DEFINITION.replace("NS", kubectl.namespace)
    kubectl.run("apply", "-f", "-", stdin=definition, namespace=False)
    try:
        kubectl.run("wait", "--for=condition=Established", f"crd/poems.{kubectl.namespace}.example.com", "--timeout=60s", namespace=False)
        poem = f"apiVersion: {kubectl.namespace}.example.com/v1\nkind: Poem\nmetadata: {{name: ode}}\nspec: {{lines: 4}}\n"
        plural = f"poems.{kubectl.namespace}.example.com"
        until("its objects are served", lambda: kubectl.run("get", plural, ok=False)[0] == 0)
        assert f"poem.{kubectl.namespace}.example.com/ode created" in kubectl.run("apply", "-f", "-", stdin=poem)
        assert "unchanged" in kubectl.run("apply", "-f", "-", stdin=poem)
        assert "configured" in kubectl.run("apply", "-f", "-", stdin=poem.replace("4", "5"))
        assert [line.split() for line in kubectl.run("get", plural).splitlines()] == [["NAME", "LINES"], ["ode", "5"]]
        assert "scaled" in kubectl.run("scale", plural, "ode", "--replicas=3")
        code, text = kubectl.run("apply", "-f", "-", stdin=poem.replace("4", "0"), ok=False)
        assert code == 1 and "should be greater than or equal to 1" in text
        assert "how many" in kubectl.run("explain", f"{plural}.spec.lines", namespace=False)
        assert "deleted" in kubectl.run("delete", plural, "ode")
    finally:
        kubectl.run("delete", "crd", f"poems.{kubectl.namespace}.example.com", namespace=False)


def test_kustomize_and_client_side(kubectl):
    (kubectl.home / "kustomization.yaml").write_text("resources: [web.yaml]\nnamePrefix: my-\n")
    (kubectl.home / "web.yaml").write_text(DEPLOYMENT)
    assert kubectl.run("apply", "-k", str(kubectl.home)) in ("service/my-web created\ndeployment.apps/my-web created\n", "deployment.apps/my-web created\nservice/my-web created\n")
    assert "kind: Pod" in kubectl.run("run", "x", "--image=app", "--dry-run=client", "-o", "yaml")
    assert kubectl.run("create", "configmap", "srv", "--dry-run=server", "-o", "name") == "configmap/srv\n"
    assert kubectl.run("get", "cm", "srv", ok=False)[0] == 1
