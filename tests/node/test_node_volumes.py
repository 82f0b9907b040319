# SPDX-License-Identifier: Apache-2.0
"""Volumes of pods that run: what outlives them, what changes under them, and what they may not fill. And load that makes a Deployment grow."""
import json
import os
import pathlib
import shutil
import subprocess

import pytest
from nodes import PYTHON, Machine, condition, container, deployment, folder_for_all, need, pod, shell
from waiting import DEADLINE, until


@pytest.fixture(scope="module", params=["root", "user"])
def m(request):
    need(request.param)
    folder = folder_for_all()
    machine = Machine(folder, request.param)
    yield machine
    machine.end()
    shutil.rmtree(folder, ignore_errors=True)


def claim(name, size="64Mi"):
    return {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": name},
            "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": size}}}}


def keeps(name, script, **more):
    """A pod with the claim "kept" at /v."""
    return pod(name, container(command=shell(script), volumeMounts=[{"name": "v", "mountPath": "/v"}]), volumes=[{"name": "v", "persistentVolumeClaim": {"claimName": "kept"}}], **more)


def test_a_claim_keeps_what_pods_write_and_goes_when_it_is_deleted(m):
    m.apply(claim("kept"), keeps("writes", "echo $HOSTNAME was here > /v/note", restartPolicy="Never"))
    m.wait_phase("writes", "Succeeded")
    assert m.get("pvc", "kept")["status"]["phase"] == "Bound"
    m.remove("writes")
    m.wait_gone("writes")
    m.restart()
    m.apply(keeps("reads", "cat /v/note; sleep 1000000"))
    m.wait_running("reads")
    until("what the other wrote", lambda: m.run("logs", "reads") == "writes was here\n")
    m.run("delete", "pvc", "kept", "--wait=false")
    assert m.get("pvc", "kept")["metadata"]["deletionTimestamp"], "a claim that is used stays until its pod has gone"
    assert m.run("exec", "reads", "--", "cat", "/v/note") == "writes was here\n"
    m.remove("reads")
    until("the claim gone", lambda: m.run("get", "pvc", "kept", "--ignore-not-found") == "")
    until("what was in it gone", lambda: not list(pathlib.Path(m.up.data).rglob("note")))


def test_a_claim_that_is_not_there_until_it_is(m):
    m.apply(keeps("waits", "sleep 1000000"))
    until("the scheduler's words", lambda: any('persistentvolumeclaim "kept" not found' in e for e in m.events("waits", "FailedScheduling")))
    m.apply(claim("kept"))
    m.wait_running("waits")
    m.remove("waits")
    m.run("delete", "pvc", "kept")


def test_a_changed_config_map_is_seen_by_pods_that_run(m):
    m.run("create", "configmap", "settings", "--from-literal=colour=red")
    m.apply(pod("sees", container(volumeMounts=[{"name": "c", "mountPath": "/c"}, {"name": "c", "mountPath": "/one", "subPath": "colour"}]), volumes=[{"name": "c", "configMap": {"name": "settings"}}]))
    m.wait_running("sees")
    read = ("exec", "sees", "--", "cat", "/c/colour")
    assert m.run(*read) == "red"
    m.run("patch", "configmap", "settings", "-p", json.dumps({"data": {"colour": "blue", "shape": "round"}}))
    until("the new colour", lambda: m.run(*read) == "blue")
    assert m.run("exec", "sees", "--", "cat", "/c/shape") == "round"
    assert m.run("exec", "sees", "--", "cat", "/one") == "red", "one file of it (subPath) stays as it was when the container began"
    assert m.pod("sees")["status"]["containerStatuses"][0]["restartCount"] == 0
    m.remove("sees")
    m.run("delete", "configmap", "settings")


def test_a_volume_over_its_size_limit_costs_its_pod(m):
    m.apply(pod("small", container(command=shell("dd if=/dev/zero of=/v/a bs=1M count=8 2>/dev/null; sleep 1000000"), volumeMounts=[{"name": "v", "mountPath": "/v"}]),
                volumes=[{"name": "v", "emptyDir": {"sizeLimit": "1Mi"}}]), pod("other"))
    p = m.wait_phase("small", "Failed")
    assert p["status"]["reason"] == "Evicted" and p["status"]["message"] == 'Usage of EmptyDir volume "v" exceeds the limit "1Mi". '
    assert until("its event", lambda: m.events("small", "Evicted")) == [p["status"]["message"]]
    assert "sizeLimit" in m.hythe("why", "small") or "exceeds the limit" in m.hythe("why", "small")
    m.wait_running("other")
    m.remove("small", "other")


def test_load_makes_a_deployment_grow(m):
    """Real processes that take a CPU; the autoscaler reads what the node counts."""
    busy = container(command=[PYTHON, "-c", "while True: pass"], resources={"requests": {"cpu": "20m"}})
    m.apply(deployment("busy", 1, busy),
            {"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": {"name": "busy"},
             "spec": {"scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "busy"}, "minReplicas": 1, "maxReplicas": 2,
                      "metrics": [{"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 50}}}]}})
    until("two replicas that run", lambda: len([p for p in m.items("pods", "-l", "app=busy") if condition(p, "Ready") == "True"]) == 2, seconds=4 * DEADLINE)

    def is_told():
        h = m.get("hpa", "busy")
        return h["status"]["desiredReplicas"] == 2 and condition(h, "AbleToScale") == "True" and h["status"]["currentMetrics"][0]["resource"]["current"]["averageUtilization"] > 50
    until("what it did, and why", is_told)
    until("its event", lambda: any("New size: 2" in e for e in m.events("busy", "SuccessfulRescale")))
    m.run("delete", "hpa/busy", "deployment/busy")


# ---- a disk that is full ----

@pytest.fixture
def small_disk():
    """A hythe whose data folder is on a disk of 256 MB."""
    if os.geteuid() != 0:
        pytest.skip("makes a file system: not root")
    folder = folder_for_all()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256m", "tmpfs", folder], check=True)
    machine = Machine(pathlib.Path(folder) / "in", "root")
    try:
        yield machine
        machine.end()
    finally:
        subprocess.run(["umount", "-l", folder], check=True)
        shutil.rmtree(folder, ignore_errors=True)


def test_a_pod_that_fills_the_disk_goes_and_others_stay(small_disk):
    m = small_disk
    m.apply(pod("stays"))
    m.wait_running("stays")
    m.apply(pod("fills", container(command=shell("cat /dev/zero > /v/a; echo full; sleep 1000000"), volumeMounts=[{"name": "v", "mountPath": "/v"}]), volumes=[{"name": "v", "emptyDir": {}}]))
    until("it goes", lambda: (p := m.pod("fills"))["status"].get("reason") == "Evicted" and p)
    assert "The node was low on resource: ephemeral-storage." in m.pod("fills")["status"]["message"]
    until("the disk is free again, though the object stays", lambda: shutil.disk_usage(m.folder).free > 100 << 20)
    m.restart()  # a store that the disk has let down once writes no more until it is opened anew
    m.run("create", "configmap", "after", "--from-literal=a=b")
    p = m.pod("stays")
    assert condition(p, "Ready") == "True" and p["status"]["containerStatuses"][0]["restartCount"] == 0
    m.remove("fills", "stays")
