# SPDX-License-Identifier: Apache-2.0
"""What controllers are held to: plays on a Stage, each a list of steps. The same ones run with Kubernetes' own controllers, to be recorded
(record_plays.py), and with hythe's, to be compared (test_controllers_real.py)."""

PLAYS = {}


def play(name, quiet=None, is_long=False):
    """One that is long is not played with a sanitized hythe."""

    def add(function):
        function.quiet, function.is_long = quiet, is_long
        PLAYS[name] = function
        return function

    return add


def template(image="i:1", labels=None, **spec):
    return {"metadata": {"labels": labels or {"app": "web"}}, "spec": {"containers": [{"name": "c", "image": image, "ports": [{"name": "http", "containerPort": 8000}]}], **spec}}


def workload(kind, name="web", labels=None, pod=None, **spec):
    labels = labels or {"app": name}
    version = "batch/v1" if kind in ("Job", "CronJob") else "apps/v1"
    return {"apiVersion": version, "kind": kind, "metadata": {"name": name}, "spec": {"selector": {"matchLabels": labels}, "template": pod or template(labels=labels), **spec}}


def image(s, plural, image, name="web"):
    s.patch(plural, name, {"spec": {"template": {"spec": {"containers": [{"name": "c", "image": image, "ports": [{"name": "http", "containerPort": 8000}]}]}}}})


def has(object, condition, status="True"):
    return any(c["type"] == condition and c["status"] == status for c in object.get("status", {}).get("conditions") or [])


def one_by_one(s, title, most=40):
    """A pod becomes ready, what is deleted goes, and again: the steps of a rollout."""
    for i in range(most):
        s.bury()
        if not s.ready(1):
            s.settle()
            if not s.ready(1):
                break
        s.note(f"{title}, ready {i + 1}")
    s.bury()
    s.note(f"{title}, done")


# ---- Deployments ----


@play("deployment/made")
def deployment_made(s):
    s.create(workload("Deployment", replicas=3))
    s.note("created")
    one_by_one(s, "first")
    s.patch("deployments", "web", {"spec": {"replicas": 5}})
    s.note("scaled up")
    s.patch("deployments", "web", {"spec": {"replicas": 1}})
    s.note("scaled down")
    s.bury()
    s.note("and gone")


@play("deployment/rolling, 10 replicas", is_long=True)
def deployment_rolling(s):
    s.create(workload("Deployment", replicas=10))
    s.settle()
    s.ready()
    s.note("there")
    image(s, "deployments", "i:2")
    s.note("changed")
    one_by_one(s, "second")


@play("deployment/rolling, 4 replicas, surge 0, unavailable 50 %")
def deployment_no_surge(s):
    s.create(workload("Deployment", replicas=4, strategy={"rollingUpdate": {"maxSurge": 0, "maxUnavailable": "50%"}}))
    s.settle()
    s.ready()
    s.note("there")
    image(s, "deployments", "i:2")
    s.note("changed")
    one_by_one(s, "second")


@play("deployment/rolling, 3 replicas as defaults have it")
def deployment_three(s):
    s.create(workload("Deployment", replicas=3))
    s.settle()
    s.ready()
    image(s, "deployments", "i:2")
    s.note("changed")
    one_by_one(s, "second")


@play("deployment/recreate")
def deployment_recreate(s):
    s.create(workload("Deployment", replicas=3, strategy={"type": "Recreate"}))
    s.settle()
    s.ready()
    s.note("there")
    image(s, "deployments", "i:2")
    s.note("old ones end")
    s.bury()
    s.note("new ones begin")
    s.ready()
    s.note("ready")


@play("deployment/changed again in the middle", is_long=True)
def deployment_again(s):
    s.create(workload("Deployment", replicas=4))
    s.settle()
    s.ready()
    s.settle()
    image(s, "deployments", "i:2")
    s.settle()
    s.ready(1)
    s.note("half way")
    image(s, "deployments", "i:3")
    s.note("changed again")
    s.play()
    s.note("done")


@play("deployment/scaled in the middle", is_long=True)
def deployment_proportional(s):
    s.create(workload("Deployment", replicas=10))
    s.settle()
    s.ready()
    s.settle()
    image(s, "deployments", "i:2")
    s.note("changed")
    s.patch("deployments", "web", {"spec": {"replicas": 20}})
    s.note("scaled up")
    s.patch("deployments", "web", {"spec": {"replicas": 7}})
    s.note("scaled down")
    s.play()
    s.note("done")


@play("deployment/paused", is_long=True)
def deployment_paused(s):
    s.create(workload("Deployment", replicas=2))
    s.settle()
    s.ready()
    s.settle()
    s.patch("deployments", "web", {"spec": {"paused": True}})
    s.note("paused")
    image(s, "deployments", "i:2")
    s.note("changed while paused")
    s.patch("deployments", "web", {"spec": {"replicas": 4}})
    s.note("scaled while paused")
    s.ready()
    s.patch("deployments", "web", {"spec": {"paused": False}})
    s.note("resumed")
    s.play()
    s.note("done")


@play("deployment/history", is_long=True)
def deployment_history(s):
    s.create(workload("Deployment", replicas=1, revisionHistoryLimit=2))
    for i in range(2, 6):
        s.play()
        image(s, "deployments", f"i:{i}")
    s.play()
    s.note("five revisions, two kept")
    image(s, "deployments", "i:4")
    s.play()
    s.note("back to the fourth")


@play("deployment/no progress", is_long=True)
def deployment_stuck(s):
    s.create(workload("Deployment", replicas=2, progressDeadlineSeconds=3))
    s.settle()
    s.ready()
    s.note("there")
    image(s, "deployments", "bad")
    s.until("deployments", "web", lambda d: has(d, "Progressing", "False"))
    s.note("given up")
    image(s, "deployments", "i:1")
    s.play()
    s.note("back")


@play("deployment/minReadySeconds", is_long=True)
def deployment_min_ready(s):
    s.create(workload("Deployment", replicas=2, minReadySeconds=15))
    s.settle()
    s.ready()
    s.note("ready")
    s.until("deployments", "web", lambda d: d["status"].get("availableReplicas") == 2)
    s.note("available")


@play("deployment/pods that come and go")
def deployment_pods(s):
    s.create(workload("Deployment", replicas=3))
    s.settle()
    s.ready()
    s.settle()
    s.delete("pods", s.pods()[0]["metadata"]["name"])
    s.note("one deleted")
    s.bury()
    s.ready()
    s.note("another came")
    s.unready(s.pods()[0])
    s.note("one not ready")
    s.patch("pods", s.pods()[0]["metadata"]["name"], {"metadata": {"labels": {"app": "other"}}})
    s.note("released")
    s.finish(1, "Failed", 1)
    s.note("one failed")


# ---- ReplicaSets ----


@play("replicaset/claims")
def replicaset_claims(s):
    for name in ("x", "y"):
        s.ask("POST", s.path("pods"), {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": {"app": "web"}}, "spec": template()["spec"]})
    s.create(workload("ReplicaSet", replicas=3))
    s.note("adopted")
    s.ready()
    s.note("ready")
    s.delete("replicasets", "web", propagationPolicy="Orphan")
    s.note("orphans left")


@play("replicaset/which pods go first")
def replicaset_ranking(s):
    s.create(workload("ReplicaSet", replicas=4))
    s.settle()
    s.ready(2)
    s.settle()
    names = [p["metadata"]["name"] for p in s.pods(lambda p: p["status"].get("phase") == "Running")]
    s.patch("pods", names[0], {"metadata": {"annotations": {"controller.kubernetes.io/pod-deletion-cost": "-5"}}})
    s.patch("replicasets", "web", {"spec": {"replicas": 2}})
    s.settle()
    s.bury()
    s.note("those that do not run")
    s.patch("replicasets", "web", {"spec": {"replicas": 1}})
    s.settle()
    s.bury()
    left = [p["metadata"]["name"] for p in s.pods()]
    assert left == [names[1]], "the one with the lower cost goes first"
    s.note("the cheapest")


# ---- StatefulSets ----


def stateful(**spec):
    return workload("StatefulSet", serviceName="web", **spec)


@play("statefulset/ordered")
def statefulset_ordered(s):
    s.create(stateful(replicas=3))
    one_by_one(s, "made")
    image(s, "statefulsets", "i:2")
    for i in range(3):
        s.note(f"update {i}")
        s.bury()
        s.note(f"update {i}, gone")
        s.ready()
    s.note("updated")
    s.patch("statefulsets", "web", {"spec": {"replicas": 1}})
    for i in range(2):
        s.note(f"down {i}")
        s.bury()
    s.note("one left")


@play("statefulset/parallel, partition", is_long=True)
def statefulset_parallel(s):
    s.create(stateful(replicas=4, podManagementPolicy="Parallel", updateStrategy={"type": "RollingUpdate", "rollingUpdate": {"partition": 2}}))
    s.note("made")
    s.ready()
    s.note("ready")
    image(s, "statefulsets", "i:2")
    s.play()
    s.note("updated down to the partition")
    s.patch("statefulsets", "web", {"spec": {"updateStrategy": {"rollingUpdate": {"partition": 0}}}})
    s.play()
    s.note("all updated")


@play("statefulset/volumes")
def statefulset_volumes(s):
    claim = {"metadata": {"name": "data"}, "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}}
    s.create(stateful(replicas=2, volumeClaimTemplates=[claim], persistentVolumeClaimRetentionPolicy={"whenScaled": "Delete", "whenDeleted": "Retain"}))
    s.play()
    s.note("made")
    s.patch("statefulsets", "web", {"spec": {"replicas": 1}})
    s.note("down")
    s.bury()
    s.note("one left")


@play("statefulset/on delete", is_long=True)
def statefulset_on_delete(s):
    s.create(stateful(replicas=2, updateStrategy={"type": "OnDelete"}))
    s.play()
    image(s, "statefulsets", "i:2")
    s.note("changed")
    s.delete("pods", "web-0")
    s.play()
    s.note("one replaced")


# ---- DaemonSets ----


@play("daemonset/rolling")
def daemonset_rolling(s):
    s.nodes()
    s.create(workload("DaemonSet"))
    s.note("made")
    s.ready()
    s.note("ready")
    image(s, "daemonsets", "i:2")
    s.note("changed")
    s.bury()
    s.note("gone")
    s.play()
    s.note("updated")


@play("daemonset/node selector", is_long=True)
def daemonset_selector(s):
    s.nodes()
    s.create(workload("DaemonSet", pod=template(nodeSelector={"kubernetes.io/hostname": "stage-a"})))
    s.play()
    s.note("on one node")
    s.patch("daemonsets", "web", {"spec": {"template": {"spec": {"nodeSelector": {"kubernetes.io/hostname": "stage-b"}}}}})
    s.play()
    s.note("on the other")


@play("daemonset/on delete", is_long=True)
def daemonset_on_delete(s):
    s.nodes()
    s.create(workload("DaemonSet", updateStrategy={"type": "OnDelete"}))
    s.play()
    image(s, "daemonsets", "i:2")
    s.note("changed")
    s.delete("pods", s.pods()[0]["metadata"]["name"])
    s.play()
    s.note("one replaced")


# ---- Jobs ----


def job(name="work", restart="Never", **spec):
    pod = {"spec": {"restartPolicy": restart, "containers": [{"name": "c", "image": "i"}]}}
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name}, "spec": {"template": pod, **spec}}


@play("job/completions", quiet=2.2)
def job_completions(s):
    s.create(job(completions=3, parallelism=2))
    s.note("begun")
    s.finish(1)
    s.note("one done")
    s.finish(2)
    s.note("the rest")


@play("job/indexed", quiet=2.2)
def job_indexed(s):
    s.create(job(completions=3, parallelism=3, completionMode="Indexed"))
    s.note("begun")
    s.finish(2)
    s.note("two done")
    s.finish()
    s.note("all done")


@play("job/fails", quiet=2.2)
def job_fails(s):
    s.create(job(backoffLimit=0))
    s.settle()
    s.finish(1, "Failed", 1)
    s.note("failed")


@play("job/suspended", quiet=2.2)
def job_suspended(s):
    s.create(job(suspend=True))
    s.note("suspended")
    s.patch("jobs", "work", {"spec": {"suspend": False}})
    s.note("resumed")
    s.patch("jobs", "work", {"spec": {"suspend": True}})
    s.settle()
    s.bury()
    s.note("suspended again")


@play("job/deadline", quiet=2.2)
def job_deadline(s):
    s.create(job(activeDeadlineSeconds=10))
    s.until("jobs", "work", lambda j: has(j, "FailureTarget") or has(j, "Failed"))
    s.settle()
    s.bury()
    s.note("too late")


@play("job/ready, and gone after its time", quiet=2.2, is_long=True)
def job_ttl(s):
    s.create(job(ttlSecondsAfterFinished=15))
    s.settle()
    s.ready()
    s.note("runs")
    s.finish()
    s.note("done")
    s.gone("jobs", "work")
    s.note("gone")


@play("cronjob/every minute", quiet=2.2, is_long=True)
def cronjob(s):
    s.away_from_the_minute(20)
    s.create({"apiVersion": "batch/v1", "kind": "CronJob", "metadata": {"name": "tick"}, "spec": {"schedule": "* * * * *", "jobTemplate": {"spec": job()["spec"]}}})
    s.note("made")
    for _ in range(70):
        if s.list("jobs"):
            break
        s.settle(1)
    s.patch("cronjobs", "tick", {"spec": {"suspend": True}})
    s.note("its time has come")
    s.finish()
    s.note("done")


# ---- Services ----


@play("endpointslice/pods of a Service", quiet=1.5)
def endpointslice(s):
    s.nodes()
    s.create({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web"}, "spec": {"selector": {"app": "web"}, "ports": [{"name": "http", "port": 80, "targetPort": "http"}]}})
    s.note("nobody there")
    s.create(workload("ReplicaSet", replicas=2))
    s.settle()
    s.ready()
    s.note("two")
    s.unready(s.pods()[0])
    s.note("one not ready")
    s.delete("pods", s.pods()[1]["metadata"]["name"])
    s.note("one ends")
    s.patch("services", "web", {"spec": {"ports": [{"name": "http", "port": 80, "targetPort": 9000}]}})
    s.note("another port")
    s.delete("services", "web")
    s.note("gone")


# ---- budgets, autoscaling ----


@play("disruption/budget")
def budget(s):
    s.create({"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": {"name": "web"}, "spec": {"minAvailable": 2, "selector": {"matchLabels": {"app": "web"}}}})
    s.settle()
    s.create(workload("Deployment", replicas=3))
    s.note("none ready")
    s.ready(2)
    s.note("two ready")
    s.ready()
    s.note("three ready")
    s.patch("poddisruptionbudgets", "web", {"spec": {"minAvailable": "100%"}})
    s.note("all are needed")


@play("autoscaler/bounds", quiet=2.2, is_long=True)
def autoscaler_bounds(s):
    s.create(workload("Deployment", replicas=1))
    s.settle()
    s.ready()
    s.settle()
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}
    s.create({"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": {"name": "web"}, "spec": {"scaleTargetRef": target, "minReplicas": 2, "maxReplicas": 4}})
    s.until("deployments", "web", lambda d: d["spec"]["replicas"] == 2)
    s.note("at least two", is_quiet=False)
    s.patch("deployments", "web", {"spec": {"replicas": 9}})
    s.until("deployments", "web", lambda d: d["spec"]["replicas"] == 4)
    s.note("at most four", is_quiet=False)
