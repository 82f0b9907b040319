# SPDX-License-Identifier: Apache-2.0
"""No request is lost: three replicas behind a load balancer and a cluster IP are replaced, scaled, deleted and killed while clients ask all the time."""
import os
import pathlib
import random
import shutil
import signal
import socket

import pytest
from gates import PORT, USER, address_of, machine_of, processes, raw, service, web, woken
from load import Load
from nodes import PYTHON, condition, folder_for_all
from waiting import SANITIZED, until

CLIENTS = 4 if SANITIZED else 8
RATE = 300  # requests a second: the machine has other work to do meanwhile, and pods share it


@pytest.fixture(scope="module")
def m():
    folder = folder_for_all()
    machine = machine_of(folder)
    yield machine
    machine.end()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def there(m, request):
    """A name of its own for each test: (name, addresses)."""
    name = request.node.name.replace("test_", "").replace("_", "-")[:40].strip("-")
    m.apply(web(name), service(f"{name}-lb", "LoadBalancer", app=name), service(f"{name}-ip", app=name))
    m.rolled_out(name)
    addresses = [address_of(m, f"{name}-lb"), address_of(m, f"{name}-ip")]
    for a in addresses:
        until(f"{a} answers", lambda: ask(a)[0] == 200)
    yield name, addresses
    m.run("delete", f"deployment/{name}", f"service/{name}-lb", f"service/{name}-ip", "--ignore-not-found")


def ask(address, path="/", seconds=60):
    """(status, body) of one request."""
    with socket.create_connection(address, timeout=seconds) as connection:
        connection.sendall(f"GET {path} HTTP/1.1\r\nHost: web\r\n\r\n".encode())
        status, body, _ = Load._answer(connection)
        return status, body.decode()


def busy(load, more=200):
    """So many requests more have been counted."""
    wanted = load.count + more
    until("requests are answered", lambda: load.count >= wanted)


def settled(m, name, replicas):
    m.rolled_out(name)
    until("old pods have gone, and the new ones are ready", lambda: readiness(m, name) == ["True"] * replicas)


def readiness(m, name):
    return [condition(p, "Ready") for p in m.items("pods", "-l", f"app={name}")]


def no_failure(load):
    load.stop()
    assert not load.failures, load.told()
    assert load.answered > 0
    return load


# ---- what is wanted changes ----

def test_rolling_updates_and_undo(m, there):
    name, addresses = there
    load = Load(addresses, CLIENTS, RATE)
    busy(load)
    for version in ("v2", "v3"):
        m.apply(web(name, version=version))
        settled(m, name, 3)
        busy(load)
    m.run("rollout", "undo", f"deployment/{name}")
    settled(m, name, 3)
    busy(load)
    no_failure(load)
    assert set(load.versions()) == {"v1", "v2", "v3"}
    assert {ask(a)[1].split()[0] for a in addresses} == {"v2"}


def test_long_requests_are_answered_by_pods_that_end(m, there):
    """A request that takes a second is under way in each pod when it is to end."""
    name, addresses = there
    load = Load(addresses, CLIENTS, path="/slow/1000")
    until("requests are under way", lambda: load.count >= CLIENTS)
    m.apply(web(name, version="v2"))
    settled(m, name, 3)
    no_failure(load)


def test_posts_are_answered_by_pods_that_end(m, there):
    """What may not be asked a second time: drained is the only way."""
    name, addresses = there
    load = Load(addresses, CLIENTS, RATE, method="POST", path="/slow/20", body=b"x" * 1000)
    busy(load)
    m.apply(web(name, version="v2"))
    settled(m, name, 3)
    m.run("scale", f"deployment/{name}", "--replicas=1")
    settled(m, name, 1)
    busy(load)
    no_failure(load)


def test_one_replica_is_replaced(m, there):
    name, addresses = there
    m.apply(web(name, replicas=1))
    settled(m, name, 1)
    load = Load(addresses, CLIENTS, RATE, method="POST")
    for version in ("v2", "v3"):
        m.apply(web(name, replicas=1, version=version))
        settled(m, name, 1)
    busy(load)
    no_failure(load)
    assert "v3" in load.versions()


def test_scale_down_and_up(m, there):
    name, addresses = there
    load = Load(addresses, CLIENTS, RATE)
    for replicas in (1, 4, 2, 5, 1, 3):
        m.run("scale", f"deployment/{name}", f"--replicas={replicas}")
        settled(m, name, replicas)
        busy(load, 100)
    no_failure(load)


def test_pods_are_deleted(m, there):
    name, addresses = there
    load = Load(addresses, CLIENTS, RATE)
    for _ in range(4):
        victim = m.items("pods", "-l", f"app={name}")[0]["metadata"]["name"]
        m.run("delete", "pod", victim)
        settled(m, name, 3)
        busy(load, 100)
    no_failure(load)


def test_short_grace_is_enough(m, there):
    name, addresses = there
    m.apply(web(name, grace=2))
    settled(m, name, 3)
    load = Load(addresses, CLIENTS, RATE)
    m.apply(web(name, version="v2", grace=2))
    settled(m, name, 3)
    no_failure(load)


def test_readiness_flips(m, there):
    """A pod that says that it is not ready is asked no more, and answers what it has."""
    name, addresses = there
    load = Load(addresses, CLIENTS, RATE)
    for _ in range(3):
        victim = m.items("pods", "-l", f"app={name}")[0]["metadata"]["name"]
        for wanted in ("False", "True"):
            m.run("exec", victim, "--", PYTHON, "-c", f"import urllib.request as r; r.urlopen('http://127.0.0.1:{PORT}/flip')")
            until(f"{victim} Ready {wanted}", lambda: condition(m.pod(victim), "Ready") == wanted)
            if wanted == "False":
                until("it is asked no more", lambda: is_quiet(load, victim))
        busy(load, 100)
    no_failure(load)


def is_quiet(load, pod):
    def answers():
        with load.lock:
            return sum(n for body, n in load.bodies.items() if body.endswith(f" {pod}"))
    before = answers()
    busy(load, 50)
    return answers() == before


# ---- faults ----

def kill(pids):
    for pid in pids:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
    until("they have ended", lambda: all(map(has_ended, pids)))


def has_ended(pid):
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return True


def restarts(m, name):
    """{pod: restarts}"""
    return {p["metadata"]["name"]: p["status"]["containerStatuses"][0]["restartCount"] for p in m.items("pods", "-l", f"app={name}")}


def killed(m, name, victims):
    """Kills these pods' containers; returns a function that waits until each runs again, and all are ready."""
    running, before = processes(name), restarts(m, name)
    assert len(running) == 3
    kill([running[v] for v in victims])

    def is_back():
        pods = m.items("pods", "-l", f"app={name}")
        now = {p["metadata"]["name"]: p["status"]["containerStatuses"][0] for p in pods}
        return all(now[v]["restartCount"] > before[v] for v in victims) and [condition(p, "Ready") for p in pods] == ["True"] * 3

    return lambda: until("all run again, and are ready", is_back, 180)


@pytest.mark.skipif(USER != "root", reason="kills processes of another user: not root")
def test_what_may_be_asked_again_survives_kills(m, there):
    name, addresses = there
    r, load = random.Random(5), Load(addresses, CLIENTS, RATE)
    for _ in range(5):
        back = killed(m, name, [r.choice(sorted(processes(name)))])
        busy(load, 100)
        back()
    no_failure(load)


@pytest.mark.skipif(USER != "root", reason="kills processes of another user: not root")
def test_only_what_a_killed_replica_had_fails(m, there):
    """POST is not asked again once it was sent: each kill costs at most what was under way in that replica."""
    name, addresses = there
    load = Load(addresses, CLIENTS, RATE, method="POST", path="/slow/50")
    busy(load, 50)
    kills = 3
    for _ in range(kills):
        before = len(load.failures)
        back = killed(m, name, [min(processes(name))])
        busy(load, 100)
        back()
        assert len(load.failures) - before <= CLIENTS, load.told()
    load.stop()
    assert all(f.what.startswith("502: ") and len(f.what) > len("502: ") for f in load.failures), load.told()


@pytest.mark.skipif(USER != "root", reason="kills processes of another user: not root")
def test_all_replicas_die_and_it_recovers(m, there):
    name, addresses = there
    back = killed(m, name, processes(name))
    load = Load(addresses, CLIENTS, RATE)
    back()
    until("requests are answered", lambda: load.answered >= 200)
    load.stop()
    # Within the queue's time there may be none: then it is said why.
    assert all(f.what.startswith("503: ") and len(f.what) > len("503: ") for f in load.failures), load.told()


def test_without_replicas_it_is_said_why_and_comes_back(m, there):
    name, addresses = there
    m.run("scale", f"deployment/{name}", "--replicas=0")
    settled(m, name, 0)
    status, body = ask(addresses[0], seconds=60)
    assert status == 503 and "endpoint" in body, (status, body)
    m.run("scale", f"deployment/{name}", "--replicas=2")
    status, body = ask(addresses[1], seconds=60)  # waits until one is ready
    until("it answers", lambda: ask(addresses[0])[0] == 200)
    settled(m, name, 2)


# ---- autoscaling by requests ----

def autoscaler(name, least, metric, **target):
    return {"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": {"name": name},
            "spec": {"scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": name}, "minReplicas": least, "maxReplicas": 4,
                     "behavior": {"scaleDown": {"stabilizationWindowSeconds": 0}},
                     "metrics": [{"type": "Object", "object": {"metric": {"name": metric}, "describedObject": {"apiVersion": "v1", "kind": "Service", "name": f"{name}-ip"}, "target": target}}]}}


def replicas_of(m, name):
    return m.get("deployment", name)["spec"]["replicas"]


def test_metrics_of_requests_are_told(m, there):
    name, addresses = there
    load = Load([addresses[1]], CLIENTS, rate=100)
    busy(load, 200)
    groups = {g["name"]: g for g in raw(m, "/apis")["groups"]}
    assert [v["version"] for v in groups["custom.metrics.k8s.io"]["versions"]] == ["v1beta2", "v1beta1"]
    assert "external.metrics.k8s.io" in groups
    told = raw(m, "/apis/custom.metrics.k8s.io/v1beta2")["resources"]
    assert {"name": "services/requests_per_second", "singularName": "", "namespaced": True, "kind": "MetricValueList", "verbs": ["get"]} in told
    assert all("/" in t["name"] for t in told)
    base = "namespaces/default"
    one = raw(m, f"/apis/custom.metrics.k8s.io/v1beta2/{base}/services/{name}-ip/requests_per_second")
    assert one["kind"] == "MetricValueList" and one["apiVersion"] == "custom.metrics.k8s.io/v1beta2"
    item, = one["items"]
    assert item["describedObject"] == {"kind": "Service", "namespace": "default", "name": f"{name}-ip", "apiVersion": "v1"}
    assert item["metric"] == {"name": "requests_per_second", "selector": None} and item["windowSeconds"] == 30 and milli(item["value"]) > 0
    old, = raw(m, f"/apis/custom.metrics.k8s.io/v1beta1/{base}/services/{name}-ip/requests_per_second")["items"]
    assert old["metricName"] == "requests_per_second" and old["window"] == 30
    pods = raw(m, f"/apis/custom.metrics.k8s.io/v1beta2/{base}/pods/*/requests_per_second?labelSelector=app%3D{name}")["items"]
    assert {p["describedObject"]["name"] for p in pods} == {p["metadata"]["name"] for p in m.items("pods", "-l", f"app={name}")}
    assert sum(milli(p["value"]) for p in pods) > 0
    outside, = raw(m, f"/apis/external.metrics.k8s.io/v1beta1/{base}/requests_per_second?labelSelector=service%3D{name}-ip")["items"]
    assert outside["metricName"] == "requests_per_second" and outside["metricLabels"] == {"namespace": "default", "service": f"{name}-ip"}
    code, text = m.run("get", "--raw", f"/apis/custom.metrics.k8s.io/v1beta2/{base}/services/{name}-ip/hits", ok=False)
    assert code == 1 and f"the server could not find the metric hits for services {name}-ip" in text, text
    assert m.run("get", "pods", "-l", f"app={name}", "-o", "name").count("pod/") == 3  # "pods" are still those of core
    no_failure(load)


def milli(quantity):
    return int(quantity[:-1]) if quantity.endswith("m") else int(quantity) * 1000


@pytest.mark.skipif(SANITIZED, reason="counts requests a second")
def test_replicas_follow_requests(m, there):
    name, addresses = there
    load = Load([addresses[1]], CLIENTS, rate=120)
    m.apply(web(name, replicas=1), autoscaler(name, 1, "requests_per_second", type="AverageValue", averageValue="40"))
    until("it grows", lambda: replicas_of(m, name) >= 3, 120)
    until("events tell", lambda: any("requests_per_second" in e for e in m.events(name, "SuccessfulRescale")))
    m.rolled_out(name)
    busy(load, 200)
    slow = Load([addresses[1]], 1, rate=5)
    no_failure(load)
    until("it shrinks", lambda: replicas_of(m, name) == 1, 180)
    settled(m, name, 1)
    no_failure(slow)
    m.run("delete", "hpa", name)


def test_idle_goes_to_zero_and_a_request_brings_it_back(m, there):
    name, addresses = there
    m.apply(autoscaler(name, 0, "requests_in_flight", type="Value", value="5"))
    until("nothing is wanted", lambda: replicas_of(m, name) == 0, 120)
    until("nothing runs", lambda: not m.items("pods", "-l", f"app={name}"))
    for _ in range(2):
        status, body = woken(lambda: ask(addresses[1]))
        assert status == 200 and body.startswith("v1 "), (status, body)
    m.run("delete", "hpa", name)
