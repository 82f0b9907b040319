# SPDX-License-Identifier: Apache-2.0
"""hythe's controllers on a real Kubernetes API server, and Kubernetes' controllers on hythe's: both are held to what Kubernetes' controllers
did on Kubernetes' API server (recorded_plays.json, by record_plays.py), step by step. real.py builds Kubernetes, once for each machine; a
sanitized hythe plays the short ones only."""
import json
import os
import pathlib
import re
import shutil
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import real
from cluster import Up
from elsewhere import Controllers
from plays import PLAYS, image, job, workload
from record_plays import load
from stage import QUIET, Stage
from waiting import until

RECORDED = load()
CHOSEN = [name for name in RECORDED if not ("HYTHE_SANITIZED" in os.environ and PLAYS[name].is_long)]
UNLIKE = pathlib.Path(__file__).with_name("unlike_plays.txt")
# Those that were recorded, as far as hythe has them: others would bind pods, or take nodes that nobody answers for out of use.
OURS = [name for name in real.WORKLOADS if name not in ("replicationcontroller-controller", "persistentvolumeclaim-protection-controller")]
THREADS = 6
DEADLINE = 120  # seconds that kubectl may take


def known_differences():
    """{(who, play): [a pattern of what is not compared]}: lines "who | play | pattern | why"."""
    found = {}
    for line in UNLIKE.read_text().splitlines():
        if line and not line.startswith("#"):
            who, play, pattern, _ = (part.strip() for part in line.split(" | ", 3))
            found.setdefault((who, play), []).append(re.compile(pattern))
    return found


def lines(state, known):
    """An object or event each, without what is known to differ; one that is known as a whole is left out."""
    found = []
    for line in (f"{plural} {json.dumps(o, sort_keys=True)}" for plural, objects in state.items() for o in objects):
        for pattern in known:
            line = pattern.sub("", line)
        found += [line] if line else []
    return found


def differences(wanted, got, known=()):
    """Lines "step: - recorded" and "step: + seen" of what differs."""
    found = [f"steps: - {title}" for title, _ in wanted[len(got):]] + [f"steps: + {title}" for title, _ in got[len(wanted):]]
    for (title, a), (other, b) in zip(wanted, got):
        a, b = lines(a, known), lines(b, known)
        found += [f"{title}: - {line}" for line in a if line not in b] + [f"{title}: + {line}" for line in b if line not in a]
    return found


@pytest.fixture(scope="module", autouse=True)
def built():
    try:
        real.build()
    except RuntimeError as e:
        pytest.skip(f"Kubernetes cannot be built: {e}")


def warm_up(cluster):
    """Until the controllers work: those that begin while a play goes on take more steps for the same."""
    stage = Stage(cluster)
    for kind in ("Deployment", "StatefulSet"):
        stage.create(workload(kind, replicas=1, **({"serviceName": "web"} if kind == "StatefulSet" else {})))
    stage.create(job())
    stage.until("deployments", "web", lambda o: o.get("status", {}).get("updatedReplicas"))
    stage.until("statefulsets", "web", lambda o: o.get("status", {}).get("replicas"))
    stage.until("jobs", "work", lambda o: o.get("status", {}).get("active"))
    stage.close()


class Plays:
    """All plays on one server, some at a time; each test waits for its own."""

    def __init__(self, who, cluster, names):
        self.who, self.cluster, self.pool = who, cluster, ThreadPoolExecutor(THREADS)
        self.known = known_differences()
        warm_up(cluster)
        longest_first = sorted(names, key=lambda name: -len(RECORDED[name]))
        self.runs = {name: self.pool.submit(self._run, name) for name in longest_first}

    def _unlike(self, name, wanted, got):
        return differences(wanted, json.loads(json.dumps(got)), [p for who in (self.who, "both") for play in (name, "*") for p in self.known.get((who, play), [])])

    def _run(self, name):
        stage = Stage(self.cluster, PLAYS[name].quiet or QUIET)
        stage.is_awaited = lambda step, state: not self._unlike(name, RECORDED[name][step:step + 1], [("", state)])
        started = time.monotonic()
        try:
            PLAYS[name](stage)
        finally:
            stage.close()
            print(f"{self.who}: {name}: {time.monotonic() - started:.1f} s")
        return stage.steps

    def check(self, name):
        """Which of two of Kubernetes' own controllers sees a change first differs from run to run: what they do unlike the recording they play once more."""
        unlike = self._unlike(name, RECORDED[name], self.runs[name].result())
        if unlike and self.who == "theirs":
            print(f"{self.who}: {name}: once more: " + "\n".join(unlike))
            unlike = self._unlike(name, RECORDED[name], self.pool.submit(self._run, name).result())
        assert not unlike, f"{name}: not as Kubernetes does it:\n" + "\n".join(unlike)

    def close(self):
        for run in self.runs.values():
            run.cancel()
        self.pool.shutdown()


@pytest.fixture(scope="module")
def names(request):
    """The plays that are asked for."""
    own = [item for item in request.session.items if item.fspath == request.fspath and hasattr(item, "callspec") and not item.get_closest_marker("skip")]
    return list(dict.fromkeys(item.callspec.params["name"] for item in own if "name" in item.callspec.params))


@pytest.fixture(scope="module")
def kubernetes(tmp_path_factory):
    """Kubernetes' API server without the controllers that hythe has."""
    server = real.Real(tmp_path_factory.mktemp("real"), controllers=real.CONTROLLERS + ["persistentvolumeclaim-protection-controller"])
    yield server
    server.stop()


@pytest.fixture(scope="module")
def ours(kubernetes, tmp_path_factory):
    hythe = Controllers(tmp_path_factory.mktemp("ours"), kubernetes.kubeconfig, "--controllers=" + ",".join(OURS))
    yield hythe
    assert hythe.stop() == 0, hythe.said()[-4000:]


@pytest.fixture(scope="module")
def our_plays(kubernetes, ours, names):
    plays = Plays("ours", kubernetes.cluster, names)
    yield plays
    plays.close()


@pytest.mark.parametrize("name", CHOSEN)
def test_hythes_controllers_do_on_kubernetes_what_its_own_do(our_plays, name):
    our_plays.check(name)


# ---- the other way around ----


@pytest.fixture(scope="module")
def their_plays(names, tmp_path_factory):
    up = Up(tmp_path_factory.mktemp("up"), "--authorization", "off")
    manager = real.Manager(tmp_path_factory.mktemp("manager"), up.kubeconfig, real.WORKLOADS)
    plays = Plays("theirs", up.cluster, names)
    yield plays
    plays.close()
    manager.stop()
    assert up.stop() == 0, up.said()[-4000:]


@pytest.mark.parametrize("name", CHOSEN)
def test_kubernetes_controllers_do_on_hythe_what_they_do_on_kubernetes(their_plays, name):
    their_plays.check(name)


# ---- what only the real server shows ----


def kubectl(kubeconfig, *arguments):
    return subprocess.run(["kubectl", *arguments], env={**os.environ, "KUBECONFIG": str(kubeconfig)}, capture_output=True, text=True, timeout=DEADLINE)


@pytest.mark.skipif(not shutil.which("kubectl"), reason="kubectl is not on this machine")
def test_kubectl_undoes_a_rollout_that_hythe_makes(kubernetes, ours):
    stage = Stage(kubernetes.cluster, quiet=0.3)
    stage.create(workload("Deployment", replicas=1))
    stage.play()
    image(stage, "deployments", "i:2")
    stage.play()
    history = kubectl(kubernetes.kubeconfig, "-n", stage.ns, "rollout", "history", "deployment/web")
    assert re.findall(r"^(\d+)", history.stdout, re.M) == ["1", "2"], history
    undone = kubectl(kubernetes.kubeconfig, "-n", stage.ns, "rollout", "undo", "deployment/web")
    assert "rolled back" in undone.stdout, undone
    stage.play()
    history = kubectl(kubernetes.kubeconfig, "-n", stage.ns, "rollout", "history", "deployment/web")
    assert re.findall(r"^(\d+)", history.stdout, re.M) == ["2", "3"], history
    status = kubectl(kubernetes.kubeconfig, "-n", stage.ns, "rollout", "status", "deployment/web", "--timeout=60s")
    assert "successfully rolled out" in status.stdout, status
    assert stage.get("deployments", "web")["spec"]["template"]["spec"]["containers"][0]["image"] == "i:1"
    stage.close()


def test_what_a_deleted_deployment_had_is_gone(kubernetes, ours):
    stage = Stage(kubernetes.cluster, quiet=0.3)
    stage.create(workload("Deployment", replicas=3))
    stage.play()
    stage.delete("deployments", "web")
    until("pods and replica sets gone", lambda: stage.bury() or not stage.pods() and not stage.list("replicasets"))
    stage.close()
