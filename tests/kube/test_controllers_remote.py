# SPDX-License-Identifier: Apache-2.0
"""`hythe up --kubeconfig`: the controllers alone, on an API server that comes and goes."""
import signal
import subprocess
import time

import pytest
from cluster import PROGRAM, Up
from elsewhere import Controllers
from ports import Ports
from waiting import DEADLINE, until

DEPLOYMENTS = "/apis/apps/v1/namespaces/default/deployments"
PODS = "/api/v1/namespaces/default/pods"


def deployment(name, replicas):
    labels = {"app": name}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name},
            "spec": {"replicas": replicas, "selector": {"matchLabels": labels}, "template": {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "c", "image": "i"}]}}}}


def pods(up, name=None):
    items = up.cluster.ask("GET", PODS + (f"?labelSelector=app={name}" if name else "")).json["items"]
    return [p["metadata"]["name"] for p in items if "deletionTimestamp" not in p["metadata"]]


@pytest.fixture
def server(tmp_path):
    up = Up(tmp_path / "up")
    yield up
    up.stop()


@pytest.fixture
def port():
    with Ports(1) as ports:
        yield next(iter(ports))


def test_they_work_on_an_api_server_elsewhere(server, tmp_path):
    controllers = Controllers(tmp_path, server.kubeconfig)
    assert "no API server" in controllers.said() and server.cluster.server in controllers.said()
    server.cluster.ask("POST", DEPLOYMENTS, deployment("web", 3))
    until("three pods", lambda: len(pods(server)) == 3)
    server.cluster.ask("PATCH", DEPLOYMENTS + "/web", {"spec": {"replicas": 1}}, {"Content-Type": "application/merge-patch+json"})
    until("one pod", lambda: len(pods(server)) == 1)
    events = []

    def told():
        events[:] = server.cluster.ask("GET", "/api/v1/namespaces/default/events").json["items"]
        return {e["reason"] for e in events} >= {"ScalingReplicaSet", "SuccessfulCreate", "SuccessfulDelete"}

    until("the events of a Deployment and its ReplicaSet", told)
    assert all(e["count"] >= 1 and e["source"]["component"] for e in events)
    assert controllers.stop() == 0


def test_only_those_that_are_asked_for_run(server, tmp_path):
    controllers = Controllers(tmp_path, server.kubeconfig, "--controllers=replicaset")
    server.cluster.ask("POST", DEPLOYMENTS, deployment("web", 3))
    time.sleep(0.5)
    assert pods(server) == []
    assert controllers.stop() == 0


def test_a_thousand_objects_are_listed_in_pages(server, tmp_path):
    for i in range(600):
        server.cluster.ask("POST", PODS, {"metadata": {"name": f"p{i}", "labels": {"app": "p"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}})
    server.cluster.ask("POST", "/apis/apps/v1/namespaces/default/replicasets", {"metadata": {"name": "p"}, "spec": {"replicas": 600, "selector": {"matchLabels": {"app": "p"}}, "template": deployment("p", 1)["spec"]["template"]}})
    controllers = Controllers(tmp_path, server.kubeconfig)

    def adopted():
        items = server.cluster.ask("GET", PODS).json["items"]
        return len(items) == 600 and all(p["metadata"].get("ownerReferences") for p in items)

    until("all pods are adopted, and no more are made", adopted)
    assert controllers.stop() == 0


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_server_that_comes_back_is_taken_up_where_it_was(tmp_path, port, number):
    first = Up(tmp_path / "up", port=port)
    controllers = Controllers(tmp_path, first.kubeconfig)
    first.cluster.ask("POST", DEPLOYMENTS, deployment("a", 2))
    until("two pods", lambda: len(pods(first, "a")) == 2)
    first.stop(number)
    controllers.wait("the API server does not answer")
    # Changed by somebody while nobody looked.
    alone = Up(tmp_path / "up")
    alone.cluster.ask("DELETE", f"{PODS}/{pods(alone, 'a')[0]}?gracePeriodSeconds=0")
    alone.cluster.ask("POST", DEPLOYMENTS, deployment("b", 1))
    alone.stop()
    second = Up(tmp_path / "up", port=port)
    until("what was changed meanwhile is seen", lambda: len(pods(second, "a")) == 2 and len(pods(second, "b")) == 1)
    controllers.wait("the API server answers again")
    time.sleep(0.5)
    assert len(pods(second)) == 3, "nothing is made twice"
    assert controllers.stop() == 0
    assert second.stop() == 0


def test_controllers_that_were_stopped_see_all_that_was_changed(server, tmp_path):
    controllers = Controllers(tmp_path, server.kubeconfig)
    server.cluster.ask("POST", DEPLOYMENTS, deployment("a", 1))
    until("a pod", lambda: len(pods(server, "a")) == 1)
    controllers.process.send_signal(signal.SIGSTOP)
    for i in range(50):
        server.cluster.ask("POST", DEPLOYMENTS, deployment(f"b{i}", 1))
    server.cluster.ask("DELETE", DEPLOYMENTS + "/a")
    controllers.process.send_signal(signal.SIGCONT)
    until("a pod of each", lambda: len(pods(server)) == 50 and not pods(server, "a"))
    assert controllers.stop() == 0


def test_a_server_that_is_not_there_is_waited_for(tmp_path, port):
    up = Up(tmp_path / "up", port=port)
    up.stop()
    log = (tmp_path / "early.log").open("wb")
    process = subprocess.Popen([str(PROGRAM), "up", "--kubeconfig", str(up.kubeconfig)], stdout=log, stderr=log)
    until("it says that the server is not there", lambda: b"does not answer" in (tmp_path / "early.log").read_bytes())
    again = Up(tmp_path / "up", port=port)
    until("it is up", lambda: b"controllers only" in (tmp_path / "early.log").read_bytes())
    process.terminate()
    assert process.wait(DEADLINE) == 0
    assert again.stop() == 0


@pytest.mark.parametrize("text, words", [("{}", "current-context"), ("current-context: a", "contexts has no 'a'"), (":", "kubeconfig"), (None, "No such file")])
def test_a_kubeconfig_that_is_no_good_is_refused(tmp_path, text, words):
    path = tmp_path / "config"
    if text is not None:
        path.write_text(text)
    run = subprocess.run([PROGRAM, "up", "--kubeconfig", path], capture_output=True, text=True, timeout=60)
    assert run.returncode != 0 and words in run.stderr
