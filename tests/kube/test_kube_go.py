# SPDX-License-Identifier: Apache-2.0
"""Go programs: client-go's typed, dynamic and metadata clients, informers, leader election, a controller of controller-runtime; Helm."""
import os
import pathlib
import random
import string
import subprocess

import gomodules
import pytest
from fixtures import kube, kubeconfig  # noqa: F401

CHECKS = ["typed clients", "typed clients in protobuf", "dynamic client", "discovery and mapper", "pages", "informer", "informer over a cut watch", "metadata informer", "leader election", "server-side apply",
          "retry on conflict", "events", "controller"]
CHART = pathlib.Path(__file__).with_name("helm") / "chart"


def letters():
    return "".join(random.choices(string.ascii_lowercase, k=6))


@pytest.fixture(scope="module")
def said(kubeconfig):
    done = subprocess.run([gomodules.program("client", "./clients"), kubeconfig, "go-" + letters()], capture_output=True, text=True, timeout=500)
    return done.stdout


@pytest.mark.parametrize("check", CHECKS)
def test_go_program_works(said, check):
    assert f"ok {check}\n" in said, "\n".join(line for line in said.splitlines() if line.startswith(f"FAIL {check}:")) or said


def test_every_check_of_the_go_program_is_told(said):
    assert sorted(line.split(" ", 1)[1].split(":")[0] for line in said.splitlines()) == sorted(CHECKS)


@pytest.fixture
def helm(kubeconfig, kube, tmp_path):
    program = gomodules.program("helm")
    namespace = "helm-" + letters()

    def run(*arguments, ok=True):
        done = subprocess.run([program, namespace, *map(str, arguments)], capture_output=True, text=True, timeout=180, env={**os.environ, "KUBECONFIG": kubeconfig, "HOME": str(tmp_path)})
        if ok:
            assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout if ok else (done.returncode, done.stderr)

    run.namespace = namespace
    yield run
    kube.ask("DELETE", "/api/v1/namespaces/" + namespace)
    kube.ask("DELETE", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/notes.chart.example.com")


def test_helm_installs_upgrades_rolls_back_and_uninstalls(helm, kube):
    path = f"/apis/apps/v1/namespaces/{helm.namespace}/deployments/web"

    def state():
        deployment = kube.ask("GET", path).json
        return deployment["spec"]["replicas"], deployment["spec"]["template"]["spec"]["containers"][0]["image"]

    assert helm("install", "web", CHART) == "web 1 deployed\n"
    assert state() == (2, "app:1")
    note = f"/apis/chart.example.com/v1/namespaces/{helm.namespace}/notes/web"
    assert kube.ask("GET", note).json["spec"] == {"text": "app:1"}
    assert kube.ask("GET", f"/api/v1/namespaces/{helm.namespace}/configmaps/web-before").json["data"] == {"revision": "1"}
    code, text = helm("install", "web", CHART, ok=False)
    assert code == 1 and "cannot re-use a name that is still in use" in text

    assert helm("upgrade", "web", CHART, "image=app:2", "replicas=3", "extra=hello") == "web 2 deployed\n"
    assert state() == (3, "app:2")
    assert kube.ask("GET", note).json["spec"] == {"text": "app:2"}
    extra = f"/api/v1/namespaces/{helm.namespace}/configmaps/web-extra"
    assert kube.ask("GET", extra).json["data"] == {"text": "hello"}

    helm("rollback", "web", 1)
    assert state() == (2, "app:1")
    assert kube.ask("GET", extra).status == 404
    assert helm("history", "web") == "web 1 superseded\nweb 2 superseded\nweb 3 deployed\n"
    assert helm("list") == "web 3 deployed\n"

    code, text = helm("upgrade", "web", CHART, "image=Bad Image", "replicas=-5", ok=False)
    assert code == 1 and "spec.replicas" in text
    helm("uninstall", "web")
    assert kube.ask("GET", path).status == 404
    assert kube.ask("GET", f"/api/v1/namespaces/{helm.namespace}/secrets?labelSelector=owner%3Dhelm").json["items"] == []
