# SPDX-License-Identifier: Apache-2.0
"""Evictions, decided by budgets that the disruption controller counts; claims that get a folder of the data folder."""
import signal

import pytest
import waiting
from cluster import Up

CORE = "/api/v1/namespaces/default/"
PODS = CORE + "pods"
BUDGETS = "/apis/policy/v1/namespaces/default/poddisruptionbudgets"
LABELS = {"app": "web"}


@pytest.fixture(scope="module")
def up(tmp_path_factory):
    up = Up(tmp_path_factory.mktemp("up"), controllers="disruption-controller,persistentvolume-binder-controller")
    yield up
    code = up.stop()
    assert code in (0, -signal.SIGTERM), up.said()[-2000:]


def make(up, path, body):
    answer = up.cluster.ask("POST", path, body)
    assert answer.status == 201, answer.text
    return answer.json


def until(up, path, is_done):
    def once():
        found = up.cluster.ask("GET", path).json
        assert is_done(found), found
        return found
    return waiting.until(path, once)


def pod(up, name, is_ready):
    make(up, PODS, {"metadata": {"name": name, "labels": LABELS}, "spec": {"nodeName": "n", "containers": [{"name": "c", "image": "x"}]}})
    ready = {"type": "Ready", "status": "True" if is_ready else "False"}
    answer = up.cluster.ask("PATCH", f"{PODS}/{name}/status", {"status": {"phase": "Running", "conditions": [ready]}}, {"Content-Type": "application/merge-patch+json"})
    assert answer.status == 200, answer.text


def evict(up, name):
    return up.cluster.ask("POST", f"{PODS}/{name}/eviction", {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": name}})


def test_a_budget_lets_go_as_many_as_it_can_spare(up):
    for name, is_ready in (("a", True), ("b", True), ("sick", False)):
        pod(up, name, is_ready)
    make(up, BUDGETS, {"metadata": {"name": "b"}, "spec": {"minAvailable": 1, "selector": {"matchLabels": LABELS}}})
    until(up, BUDGETS + "/b", lambda b: b.get("status", {}).get("disruptionsAllowed") == 1)

    assert evict(up, "sick").status == 201  # it counts for nothing, and others are healthy
    assert up.cluster.ask("GET", BUDGETS + "/b").json["status"].get("disruptedPods") is None

    assert evict(up, "a").status == 201
    conditions = up.cluster.ask("GET", PODS + "/a").json["status"]["conditions"]
    told = next(c for c in conditions if c["type"] == "DisruptionTarget")
    assert (told["status"], told["reason"], told["message"]) == ("True", "EvictionByEvictionAPI", "Eviction API: evicting")

    status = until(up, BUDGETS + "/b", lambda b: b["status"]["currentHealthy"] == 1)["status"]
    assert (status["expectedPods"], status["disruptionsAllowed"]) == (3, 0)
    refused = evict(up, "b")
    assert refused.status == 429
    assert refused.json["details"]["causes"][0]["message"] == "The disruption budget b needs 1 healthy pods and has 1 currently"


def test_a_claim_gets_a_folder_of_the_data_folder(up):
    classes = "/apis/storage.k8s.io/v1/storageclasses"
    until(up, classes, lambda found: [c["metadata"]["name"] for c in found["items"]] == ["standard"])
    make(up, CORE + "persistentvolumeclaims", {"metadata": {"name": "c"}, "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}})
    claim = until(up, CORE + "persistentvolumeclaims/c", lambda c: c["status"]["phase"] == "Bound")
    name = "pvc-" + claim["metadata"]["uid"]
    assert claim["spec"]["volumeName"] == name
    volume = up.cluster.ask("GET", "/api/v1/persistentvolumes/" + name).json
    assert volume["spec"]["hostPath"] == {"path": str(up.data.resolve() / "volumes" / name), "type": "DirectoryOrCreate"}
