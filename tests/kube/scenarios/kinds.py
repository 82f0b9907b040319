# SPDX-License-Identifier: Apache-2.0
"""Every built-in kind: defaults, columns, what is refused, what may not change, its status; the protobuf form."""
import base64
import copy

from examples import EXAMPLES, SMALL, path_of
from scenarios import scenario
from session import MERGE, PROTOBUF, TABLE, GaveUp


def cells(body):
    return {k: v for k, v in body.items() if k != "rows"} | {"rows": [row["cells"] for row in body["rows"]]} if "rows" in body else body


def life(name):
    """One example's life: made, shown as a table, patched, its status, replaced by itself, deleted."""

    def run(s):
        path, body = path_of(name, s.ns, s.u)
        own = body["metadata"]["name"]
        made = s.post("create", path, body)
        if name == "resourcequota":
            made = s.until(f"{path}/{own}", lambda a: a.json.get("status", {}).get("used"))
        if EXAMPLES[name][2] is False:
            s.later("DELETE", f"{path}/{own}")
        s.get("a table", f"{path}/{own}", accept=TABLE, shape=cells)
        s.put("replace by what was made", f"{path}/{own}", made.json)
        s.patch("labels", f"{path}/{own}", {"metadata": {"labels": {"patched": "yes"}}}, shape=lambda b: b.get("metadata", b))
        s.get("status", f"{path}/{own}/status", shape=lambda b: b.get("status", b["kind"]) if b["kind"] != "Status" else b)
        s.get("list", path + f"?fieldSelector=metadata.name%3D{own}", shape=lambda b: [b["kind"], b["apiVersion"], sorted(b["metadata"]), len(b["items"])] if "items" in b else b)
        s.delete("delete", f"{path}/{own}")

    run.__name__ = "life_of_" + name.replace("-", "_")
    run.__module__ = __name__
    return run


for _name in EXAMPLES:
    if _name != "namespace":
        scenario()(life(_name))


@scenario()
def protobuf_bodies(s):
    """The same objects in the protobuf form, dry: answers are those of JSON bodies."""
    for name in EXAMPLES:
        path, body = path_of(name, s.ns, s.u)
        encoded = s.protobuf.get(name)
        if encoded is None:
            raise GaveUp("recorded/protobuf.json.gz has no " + name + ": run tests/kube/client/encode")
        # The same letters in the place of the run's own: the file's bodies have names of equal length.
        raw = base64.b64decode(encoded).replace(b"uuuuuu", s.u.encode()).replace(b"nnnnnnnnnn", s.ns.encode())
        s.post(name, path + "?dryRun=All", raw, type=PROTOBUF, shape=lambda b: {k: v for k, v in b.items() if k != "metadata"} | {"metadata": {k: v for k, v in b["metadata"].items() if k != "managedFields"}})
    path = s.core("configmaps")
    s.post("broken", path, b"k8s\x00\xff\xff\xff", type=PROTOBUF)
    s.post("no envelope", path, b"\x0a\x00", type=PROTOBUF)
    s.post("empty", path, b"", type=PROTOBUF)
    raw = base64.b64decode(s.protobuf["configmap"])
    s.post("another kind", s.core("secrets"), raw, type=PROTOBUF)
    s.post("cut", path, raw[:-7], type=PROTOBUF, shape=lambda b: [b["code"], b["reason"]] if "code" in b else b["kind"])
    s.get("an answer in JSON, for who takes both", s.core("configmaps", "kube-root-ca.crt"), accept=PROTOBUF + ",application/json", shape=lambda b: [])
    s.post("an eviction of what is not there", s.core("pods", "none", "eviction"), {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": "none"}})


def change(body, *steps):
    """A copy with changes: each step is (path with dots, value); a value of ... takes away."""
    body = copy.deepcopy(body)
    for path, value in steps:
        at = body
        keys = [int(k) if k.isdigit() else k for k in path.split(".")]
        for key in keys[:-1]:
            at = at.setdefault(key, {}) if isinstance(at, dict) else at[key]
        if value is ...:
            del at[keys[-1]]
        else:
            at[keys[-1]] = value
    return body


C0 = "spec.containers.0."
REFUSED = {
    "small-pod": [
        [("spec.containers", [])], [(C0 + "name", "Bad_Name")], [(C0 + "name", ...)], [(C0 + "image", ...)], [("spec.restartPolicy", "Sometimes")], [("spec.dnsPolicy", "Mine")],
        [(C0 + "imagePullPolicy", "Maybe")], [(C0 + "ports", [{"containerPort": 0}, {"containerPort": 70000, "protocol": "ABC", "name": "toolongtoolongtoolong"}])],
        [(C0 + "ports", [{"containerPort": 80, "name": "a"}, {"containerPort": 81, "name": "a"}])], [(C0 + "env", [{"name": ""}, {"name": "a=b"}, {"name": "x", "value": "1", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}])],
        [(C0 + "env", [{"name": "x", "valueFrom": {"fieldRef": {"fieldPath": "spec.nothing"}}}, {"name": "y", "valueFrom": {}}])], [(C0 + "volumeMounts", [{"name": "none", "mountPath": ""}])],
        [(C0 + "volumeMounts", [{"name": "v", "mountPath": "/a"}, {"name": "v", "mountPath": "/a"}]), ("spec.volumes", [{"name": "v", "emptyDir": {}}])],
        [("spec.volumes", [{"name": "v", "emptyDir": {}}, {"name": "v", "emptyDir": {}}, {"name": "two", "emptyDir": {}, "hostPath": {"path": "x"}}, {"name": "none", "hostPath": {"path": ""}}])],
        [(C0 + "resources", {"requests": {"cpu": "2"}, "limits": {"cpu": "1", "memory": "-1"}})], [(C0 + "resources", {"requests": {"bad resource": "1"}})], [(C0 + "resources", {"limits": {"cpu": "abc"}})],
        [(C0 + "livenessProbe", {})], [(C0 + "livenessProbe", {"httpGet": {"port": 0}, "periodSeconds": -1})], [(C0 + "livenessProbe", {"httpGet": {"port": 80}, "tcpSocket": {"port": 80}, "successThreshold": 2})],
        [(C0 + "lifecycle", {"preStop": {}})], [(C0 + "securityContext", {"privileged": True, "allowPrivilegeEscalation": False, "runAsUser": -1})], [(C0 + "terminationMessagePolicy", "X")],
        [("spec.nodeSelector", {"bad key": "bad value!"})], [("spec.tolerations", [{"operator": "Equal"}, {"key": "k", "operator": "Exists", "value": "x"}, {"key": "k", "effect": "X", "tolerationSeconds": 1}])],
        [("spec.activeDeadlineSeconds", 0)], [("spec.terminationGracePeriodSeconds", -1)], [("spec.hostname", "Bad_"), ("spec.subdomain", "-x")], [("spec.serviceAccountName", "Bad_")], [("spec.serviceAccountName", "not-there")],
        [("spec.priorityClassName", "not-there")], [("spec.containers", [{"name": "a", "image": "x"}, {"name": "a", "image": "x"}])], [("spec.initContainers", [{"name": "main", "image": "x"}])],
        [("spec.initContainers", [{"name": "i", "image": "x", "livenessProbe": {"exec": {"command": ["x"]}}}])], [("spec.affinity", {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": []}}})],
        [("spec.affinity", {"podAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [{"topologyKey": ""}]}})], [("spec.topologySpreadConstraints", [{"maxSkew": 0, "topologyKey": "", "whenUnsatisfiable": "X"}])],
        [("spec.nodeName", "Bad_Node")], [("spec.hostAliases", [{"ip": "x", "hostnames": ["Bad_"]}])], [("spec.dnsPolicy", "None")], [("spec.dnsConfig", {"nameservers": ["a", "b", "c", "d"]})],
        [("spec.readinessGates", [{"conditionType": "bad type"}])], [("spec.imagePullSecrets", [{"name": ""}])], [("spec.preemptionPolicy", "X")], [("spec.os", {"name": "plan9"})], [("spec.schedulingGates", [{"name": "bad name"}])],
        [("spec.ephemeralContainers", [{"name": "e", "image": "x"}])], [("metadata.name", "a" * 64 + ".b")], [("spec", ...)], [("metadata.labels", {"x" * 64: "y" * 64})], [("spec.overhead", {"cpu": "1"})],
        [("spec.securityContext", {"fsGroup": -1, "runAsUser": -5, "sysctls": [{"name": "", "value": "1"}]})], [("spec.enableServiceLinks", "yes")],
    ],
    "small-deployment": [
        [("spec.selector", ...)], [("spec.template", ...)], [("spec.selector.matchLabels", {"other": "x"})], [("spec.selector", {})], [("spec.replicas", -1)], [("spec.minReadySeconds", -1)],
        [("spec.strategy", {"type": "X"})], [("spec.strategy", {"type": "Recreate", "rollingUpdate": {"maxSurge": 1}})], [("spec.strategy", {"rollingUpdate": {"maxSurge": 0, "maxUnavailable": 0}})],
        [("spec.strategy", {"rollingUpdate": {"maxSurge": "x%", "maxUnavailable": "200%"}})], [("spec.revisionHistoryLimit", -1)], [("spec.progressDeadlineSeconds", 0)], [("spec.template.spec.restartPolicy", "Never")],
        [("spec.template.spec.containers", [])], [("spec.template.metadata.labels", {"bad key": "x"})], [("spec.selector.matchExpressions", [{"key": "", "operator": "In"}, {"key": "k", "operator": "X"}, {"key": "k", "operator": "Exists", "values": ["x"]}])],
        [("spec.minReadySeconds", 700)], [("metadata.name", "x" * 254)], [("spec.template.spec.activeDeadlineSeconds", 5)],
    ],
    "replicaset": [[("spec.replicas", -1)], [("spec.selector.matchLabels", {"other": "x"})], [("spec.selector", ...)], [("spec.template.spec.restartPolicy", "OnFailure")]],
    "statefulset": [[("spec.serviceName", ...)], [("spec.podManagementPolicy", "X")], [("spec.updateStrategy", {"type": "X"})], [("spec.selector.matchLabels", {"o": "x"})], [("spec.replicas", -2)],
                    [("spec.updateStrategy", {"type": "RollingUpdate", "rollingUpdate": {"partition": -1}})], [("spec.persistentVolumeClaimRetentionPolicy", {"whenDeleted": "X"})]],
    "daemonset": [[("spec.selector.matchLabels", {"o": "x"})], [("spec.updateStrategy", {"type": "X"})], [("spec.updateStrategy", {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0}})], [("spec.template.spec.restartPolicy", "Never")]],
    "job": [[("spec.template.spec.restartPolicy", "Always")], [("spec.template.spec.restartPolicy", ...)], [("spec.parallelism", -1)], [("spec.completions", -1)], [("spec.backoffLimit", -1)], [("spec.completionMode", "X")], [("spec.completionMode", "Indexed")],
            [("spec.selector", {"matchLabels": {"a": "b"}})], [("spec.ttlSecondsAfterFinished", -1)], [("spec.activeDeadlineSeconds", -1)], [("metadata.name", "x" * 64)], [("spec.podFailurePolicy", {"rules": [{"action": "X"}]})], [("spec.manualSelector", True)]],
    "cronjob": [[("spec.schedule", "bad")], [("spec.schedule", "61 * * * *")], [("spec.schedule", "")], [("spec.schedule", "@hourly")], [("spec.timeZone", "Nowhere/X")], [("spec.timeZone", "Local")], [("spec.concurrencyPolicy", "X")], [("spec.startingDeadlineSeconds", -1)],
                [("spec.successfulJobsHistoryLimit", -1)], [("metadata.name", "x" * 53)], [("spec.schedule", "TZ=UTC 0 * * * *")], [("spec.jobTemplate.spec.template.spec.restartPolicy", "Always")]],
    "service": [[("spec.ports", [])], [("spec.ports.0.port", 0)], [("spec.ports.0.protocol", "X")], [("spec.ports.0.name", "Bad_")], [("spec.ports.1.name", "http")], [("spec.ports.0.name", ...)], [("spec.ports.0.targetPort", 0)], [("spec.ports.0.targetPort", "toolongtoolongtoolong")],
                [("spec.type", "X")], [("spec.clusterIP", "1.2.3.4")], [("spec.clusterIP", "abc")], [("metadata.name", "1bad")], [("metadata.name", "bad.name")], [("spec.sessionAffinity", "X")], [("spec.type", "ExternalName")], [("spec.externalName", "x y")],
                [("spec.ports.0.nodePort", 30000)], [("spec.type", "NodePort"), ("spec.ports.0.nodePort", 80)], [("spec.selector", {"bad key": "x"})], [("spec.externalIPs", ["x"])], [("spec.externalTrafficPolicy", "Local")], [("spec.internalTrafficPolicy", "X")],
                [("spec.ipFamilies", ["IPv6"])], [("spec.ipFamilyPolicy", "RequireDualStack")], [("spec.loadBalancerSourceRanges", ["x"])], [("spec.sessionAffinity", "ClientIP"), ("spec.sessionAffinityConfig", {"clientIP": {"timeoutSeconds": 0}})],
                [("spec.ports.1.port", 80), ("spec.ports.1.protocol", "TCP")], [("spec.type", "LoadBalancer"), ("spec.clusterIP", "None")]],
    "secret": [[("type", "kubernetes.io/tls")], [("type", "kubernetes.io/dockerconfigjson"), ("data", {".dockerconfigjson": "eA=="})], [("data", {"a": "not base64!"})], [("data", {"bad key": "MQ=="})], [("type", "kubernetes.io/service-account-token")],
               [("type", "kubernetes.io/basic-auth"), ("data", {})], [("type", "kubernetes.io/ssh-auth"), ("data", {})]],
    "hpa": [[("spec.maxReplicas", 0)], [("spec.minReplicas", 10)], [("spec.minReplicas", 0)], [("spec.scaleTargetRef", {})], [("spec.metrics.0", {"type": "X"})], [("spec.metrics.0", {"type": "Resource"})], [("spec.metrics.0.resource.target", {"type": "Utilization"})],
            [("spec.metrics.0.resource.target", {"type": "Value", "averageUtilization": -1})], [("spec.behavior", {"scaleDown": {"stabilizationWindowSeconds": 5000, "selectPolicy": "X"}})], [("spec.behavior", {"scaleUp": {"policies": [{"type": "X", "value": 0, "periodSeconds": 0}]}})]],
    "ingress": [[("spec", {})], [("spec.rules.0.host", "bad host")], [("spec.rules.0.host", "*.*.x")], [("spec.rules.0.http.paths.0.path", "x")], [("spec.rules.0.http.paths.0.pathType", ...)], [("spec.rules.0.http.paths.0.pathType", "X")],
                [("spec.rules.0.http.paths.0.backend", {})], [("spec.rules.0.http.paths.0.backend.service", {"name": "Bad_", "port": {}})], [("spec.rules.0.http.paths.0.backend.service.port", {"number": 80, "name": "x"})], [("spec.tls.0.hosts", ["Bad_"])], [("spec.ingressClassName", "Bad_")],
                [("spec.rules.0.http.paths.0.path", "/a//b/../c")], [("metadata.annotations", {"kubernetes.io/ingress.class": "x"})]],
    "networkpolicy": [[("spec.policyTypes", ["X"])], [("spec.ingress.0.ports.0.port", 0)], [("spec.ingress.0.ports.1.endPort", 5)], [("spec.ingress.0.from.0", {})], [("spec.ingress.0.from.1.ipBlock.cidr", "x")], [("spec.ingress.0.from.1.ipBlock.except", ["192.168.0.0/16"])]],
    "pdb": [[("spec.maxUnavailable", 1)], [("spec.minAvailable", -1)], [("spec.minAvailable", "x")], [("spec.unhealthyPodEvictionPolicy", "X")], [("spec.selector", {"matchExpressions": [{"key": "k", "operator": "In"}]})]],
    "pvc": [[("spec.accessModes", [])], [("spec.accessModes", ["X"])], [("spec.resources", {})], [("spec.resources.requests.storage", "0")], [("spec.storageClassName", "Bad_")], [("spec.volumeMode", "X")]],
    "pv": [[("spec.capacity", {})], [("spec.accessModes", [])], [("spec.hostPath", ...)], [("spec.nfs", {"server": "s", "path": "/p"})], [("spec.persistentVolumeReclaimPolicy", "X")], [("spec.hostPath.path", "../x")]],
    "node": [[("spec.taints", [{"key": "", "effect": "X"}])], [("spec.podCIDR", "x")], [("metadata.name", "Bad_")], [("spec.taints", [{"key": "a", "effect": "NoSchedule"}, {"key": "a", "effect": "NoSchedule"}])]],
    "endpointslice": [[("addressType", ...)], [("addressType", "X")], [("endpoints.0.addresses", [])], [("endpoints.0.addresses", ["x"])], [("ports.0.port", 70000)], [("ports.0.name", "Bad_")], [("endpoints.0.nodeName", "Bad_")], [("endpoints.0.hostname", "Bad_")]],
    "endpoints": [[("subsets.0.addresses.0.ip", "x")], [("subsets.0.addresses.0.ip", "127.0.0.1")], [("subsets.0.ports.0.port", 0)], [("subsets.0.addresses", [])]],
    "role": [[("rules.0.verbs", [])], [("rules.0.resources", [])], [("rules.0.nonResourceURLs", ["/x"])], [("rules.0.apiGroups", [])]],
    "clusterrole": [[("rules.0.verbs", [])], [("rules.0.nonResourceURLs", [])], [("aggregationRule", {"clusterRoleSelectors": []})]],
    "rolebinding": [[("roleRef.kind", "X")], [("roleRef.apiGroup", "x")], [("roleRef.name", "")], [("subjects.0.namespace", ...)], [("subjects.1.kind", "X")], [("subjects.1.name", "")], [("subjects.1.namespace", "x")]],
    "lease": [[("spec.leaseDurationSeconds", 0)], [("spec.leaseTransitions", -1)], [("spec.holderIdentity", "")], [("spec.renewTime", "yesterday")]],
    "storageclass": [[("provisioner", "")], [("provisioner", "Bad_!")], [("reclaimPolicy", "X")], [("volumeBindingMode", "X")], [("parameters", {"": "x"})]],
    "limitrange": [[("spec.limits.0.min.cpu", "5")], [("spec.limits.0.default.cpu", "5")], [("spec.limits.0.type", "Bad_")], [("spec.limits.0.maxLimitRequestRatio", {"cpu": "0.5"})], [("spec.limits", [{"type": "Pod", "default": {"cpu": "1"}}, {"type": "Pod"}])]],
    "resourcequota": [[("spec.hard", {"bad resource": "1"})], [("spec.hard.pods", "-1")], [("spec.hard.pods", "0.5")], [("spec.scopes", ["X"])], [("spec.scopes", ["BestEffort"])], [("spec.scopes", ["Terminating", "NotTerminating"])]],
    "event": [[("involvedObject.namespace", "other")], [("type", "")], [("reason", "")]],
    "new-event": [[("eventTime", ...)], [("reportingController", "")], [("action", "")], [("type", "X")], [("reason", ""), ("reportingInstance", "")]],
    "priorityclass": [[("value", 2000000000)], [("preemptionPolicy", "X")], [("metadata.name", "system-x")], [("value", ...)]],
    "replicationcontroller": [[("spec.selector", {})], [("spec.template", ...)], [("spec.replicas", -1)], [("spec.selector", {"o": "x"})]],
    "ingressclass": [[("spec.controller", "")], [("spec.controller", "no-domain")], [("spec.parameters", {"kind": "", "name": ""})]],
    "configmap": [[("data", {"..": "x"})], [("data", {"b": "x"})], [("binaryData", {"c": "not base64!"})]],
    "serviceaccount": [[("metadata.name", "Bad_")]],
    "controllerrevision": [[("revision", -1)], [("data", ...)]],
    "hpa-v1": [[("spec.maxReplicas", ...)], [("spec.targetCPUUtilizationPercentage", 0)]],
}


def refused(name, cases):
    def run(s):
        path, body = path_of(name, s.ns, s.u)
        for steps in cases:
            title = ", ".join(f"{p}={'away' if v is ... else v}" for p, v in steps).replace(s.u, "U")[:150]
            changed = change(body, *steps)
            s.post(title, path + "?dryRun=All", changed)

    run.__name__ = "refused_" + name.replace("-", "_")
    run.__module__ = __name__
    return run


for _name, _cases in REFUSED.items():
    scenario()(refused(_name, _cases))


IMMUTABLE = {
    "small-pod": [{"spec": {"nodeName": "n"}}, {"spec": {"restartPolicy": "Never"}}, {"spec": {"activeDeadlineSeconds": 5}}, {"spec": {"terminationGracePeriodSeconds": 1}}, {"spec": {"tolerations": [{"key": "new", "operator": "Exists"}]}}],
    "small-deployment": [{"spec": {"selector": {"matchLabels": {"app": "web", "x": "y"}}}}, {"spec": {"paused": True}}],
    "replicaset": [{"spec": {"selector": {"matchLabels": {"app": "web", "x": "y"}}}}],
    "statefulset": [{"spec": {"serviceName": "other"}}, {"spec": {"podManagementPolicy": "Parallel"}}, {"spec": {"replicas": 5}}],
    "daemonset": [{"spec": {"selector": {"matchLabels": {"app": "web", "x": "y"}}}}],
    "job": [{"spec": {"completions": 5}}, {"spec": {"parallelism": 5}}, {"spec": {"template": {"metadata": {"labels": {"x": "y"}}}}}, {"spec": {"suspend": True}}, {"spec": {"backoffLimit": 9}}],
    "service": [{"spec": {"clusterIP": "1.2.3.4"}}, {"spec": {"type": "NodePort"}}, {"spec": {"type": "ExternalName", "externalName": "x.example.com"}}, {"spec": {"type": "ClusterIP", "clusterIP": "None"}}, {"spec": {"ports": [{"name": "http", "port": 81}]}}],
    "secret": [{"type": "other"}, {"immutable": True}, {"data": {"x": "MQ=="}}, {"immutable": False}],
    "pvc": [{"spec": {"storageClassName": "slow"}}, {"spec": {"resources": {"requests": {"storage": "2Gi"}}}}, {"spec": {"accessModes": ["ReadWriteMany"]}}],
    "pv": [{"spec": {"hostPath": {"path": "/other"}}}, {"spec": {"capacity": {"storage": "2Gi"}}}],
    "node": [{"spec": {"podCIDR": "10.8.0.0/24"}}, {"spec": {"unschedulable": True}}, {"spec": {"providerID": "a://b"}}],
    "rolebinding": [{"roleRef": {"name": "other"}}, {"subjects": None}],
    "storageclass": [{"provisioner": "example.com/other"}, {"parameters": {"a": "c"}}, {"allowVolumeExpansion": True}],
    "endpointslice": [{"addressType": "IPv6"}],
    "pdb": [{"spec": {"minAvailable": 2}}],
    "hpa": [{"spec": {"maxReplicas": 9}}, {"spec": {"minReplicas": 20}}],
    "resourcequota": [{"spec": {"scopes": ["BestEffort"], "hard": None}}, {"spec": {"hard": {"pods": "5"}}}],
    "priorityclass": [{"value": 5}, {"description": "other"}],
    "lease": [{"spec": {"holderIdentity": "you"}}],
    "controllerrevision": [{"data": {"x": 1}}, {"revision": 2}],
    "ingressclass": [{"spec": {"controller": "example.com/other"}}],
    "cronjob": [{"spec": {"suspend": True}}, {"spec": {"schedule": "bad"}}],
}


def changes(name, patches):
    def run(s):
        path, body = path_of(name, s.ns, s.u)
        own = body["metadata"]["name"]
        s.prepare("POST", path, body)
        if EXAMPLES[name][2] is False:
            s.later("DELETE", f"{path}/{own}")
        if name == "resourcequota":
            s.until(f"{path}/{own}", lambda a: a.json.get("status", {}).get("used"))
        for i, patch in enumerate(patches):
            s.patch(f"{i + 1} {patch}"[:120], f"{path}/{own}", patch, type=MERGE)

    run.__name__ = "changes_of_" + name.replace("-", "_")
    run.__module__ = __name__
    return run


for _name, _patches in IMMUTABLE.items():
    scenario()(changes(_name, _patches))


@scenario()
def bindings_and_evictions(s):
    pods = s.core("pods")
    s.prepare("POST", pods, {"metadata": {"name": "p"}, "spec": SMALL})
    binding = {"apiVersion": "v1", "kind": "Binding", "metadata": {"name": "p"}, "target": {"apiVersion": "v1", "kind": "Node", "name": "n-" + s.u}}
    s.post("bind to another kind", pods + "/p/binding", {**binding, "target": {"kind": "Pod", "name": "x"}})
    s.post("bind to nothing", pods + "/p/binding", {**binding, "target": {"name": ""}})
    s.post("bind", pods + "/p/binding", binding)
    s.post("bind again", pods + "/p/binding", binding)
    s.get("the pod", pods + "/p")
    s.post("bind what is not there", pods + "/none/binding", {**binding, "metadata": {"name": "none"}})
    s.prepare("POST", pods, {"metadata": {"name": "q"}, "spec": SMALL})
    s.post("bind by the old path", s.core("bindings"), {**binding, "metadata": {"name": "q"}})
    eviction = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": "p"}}
    s.post("evict, dry", pods + "/p/eviction?dryRun=All", eviction)
    s.post("evict under another name", pods + "/p/eviction", {**eviction, "metadata": {"name": "z"}})
    s.post("evict", pods + "/p/eviction", eviction)
    s.get("it ends", pods + "/p", shape=lambda b: sorted(k for k in b["metadata"] if k.startswith("deletion")) if "metadata" in b else b)
    s.prepare("POST", pods, {"metadata": {"name": "r", "labels": {"b": "1"}}, "spec": {**SMALL, "nodeName": "n"}})
    s.prepare("PATCH", pods + "/r/status", {"status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}}, type=MERGE)
    s.prepare("POST", s.at("policy/v1", "poddisruptionbudgets"), {"metadata": {"name": "b"}, "spec": {"minAvailable": 1, "selector": {"matchLabels": {"b": "1"}}}})
    s.post("evict what a budget protects", pods + "/r/eviction", {**eviction, "metadata": {"name": "r"}})
    s.get("a pod's log without a node", pods + "/q/log")
    s.get("the log of what is not there", pods + "/none/log")
    s.get("the log of which container", pods + "/r/log?container=none")
    for name in "pqr":
        s.prepare("DELETE", f"{pods}/{name}?gracePeriodSeconds=0", may_fail=True)


@scenario()
def quotas_and_limits(s):
    quotas = s.core("resourcequotas")
    s.prepare("POST", quotas, {"metadata": {"name": "q"}, "spec": {"hard": {"count/secrets": "1", "pods": "1", "requests.cpu": "500m", "limits.memory": "1Gi"}}})
    s.until(quotas + "/q", lambda a: a.json.get("status", {}).get("used", {}).get("pods") == "0")
    s.get("counted", quotas + "/q")
    s.post("one secret", s.core("secrets"), {"metadata": {"name": "a"}})
    s.post("one too many", s.core("secrets"), {"metadata": {"name": "b"}})
    s.post("a pod that says nothing of what it needs", s.core("pods"), {"metadata": {"name": "p"}, "spec": SMALL})
    resources = {"requests": {"cpu": "300m"}, "limits": {"memory": "512Mi"}}
    sized = {"containers": [{"name": "c", "image": "i", "resources": resources}]}
    s.post("a pod that fits", s.core("pods"), {"metadata": {"name": "p"}, "spec": sized}, shape=lambda b: b["kind"] if b["kind"] == "Pod" else b)
    s.post("a pod too many", s.core("pods"), {"metadata": {"name": "p2"}, "spec": sized})
    s.get("used", quotas + "/q", accept=TABLE, shape=lambda b: [row["cells"] for row in b["rows"]])
    s.prepare("DELETE", quotas + "/q")
    s.gone(quotas + "/q")
    limits = s.core("limitranges")
    container = {"type": "Container", "default": {"cpu": "1", "memory": "100Mi"}, "defaultRequest": {"cpu": "100m"}, "max": {"cpu": "2"}, "min": {"memory": "10Mi"}}
    s.prepare("POST", limits, {"metadata": {"name": "l"}, "spec": {"limits": [container, {"type": "Pod", "max": {"cpu": "3"}}, {"type": "PersistentVolumeClaim", "max": {"storage": "1Gi"}}]}})
    # The limits reach the server's own cache a moment later.
    s.until(s.core("limitranges", "l"), lambda a: a.status == 200)
    for _ in range(100):
        probe = s.prepare("POST", s.core("pods") + "?dryRun=All", {"metadata": {"name": "probe"}, "spec": SMALL}, may_fail=True)
        if probe.json.get("spec", {}).get("containers", [{}])[0].get("resources"):
            break
    s.post("defaults", s.core("pods") + "?dryRun=All", {"metadata": {"name": "d"}, "spec": SMALL}, shape=lambda b: [b["spec"]["containers"][0]["resources"], b["metadata"].get("annotations")] if "spec" in b else b)
    s.post("over the limit", s.core("pods") + "?dryRun=All", {"metadata": {"name": "d"}, "spec": {"containers": [{"name": "c", "image": "i", "resources": {"limits": {"cpu": "5", "memory": "1Mi"}}}]}})
    s.post("together over the limit", s.core("pods") + "?dryRun=All", {"metadata": {"name": "d"}, "spec": {"containers": [
        {"name": n, "image": "i", "resources": {"limits": {"cpu": "2", "memory": "20Mi"}}} for n in "ab"]}})
    s.post("a claim over the limit", s.core("persistentvolumeclaims"), {"metadata": {"name": "c"}, "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "5Gi"}}}})
    s.prepare("DELETE", s.core("pods", "p") + "?gracePeriodSeconds=0", may_fail=True)




# ---- what people get wrong most, several faults in one object where they meet ----

MORE = {
    "small-pod": [
        [(C0 + "ports", [{"containerPort": 80, "hostPort": 80}, {"containerPort": 81, "hostPort": 80}])], [(C0 + "ports", [{"containerPort": 80, "name": "80"}, {"containerPort": -1}])],
        [(C0 + "resources", {"limits": {"cpu": "1"}, "requests": {"cpu": "500m", "memory": "1Gi", "example.com/gpu": "1"}})], [(C0 + "resources", {"limits": {"example.com/gpu": "0.5"}})],
        [(C0 + "resources", {"limits": {"hugepages-2Mi": "4Mi"}})], [(C0 + "resources", {"requests": {"memory": "1500m"}})], [(C0 + "resources", {"claims": [{"name": "c"}]})],
        [(C0 + "livenessProbe", {"exec": {"command": []}})], [(C0 + "livenessProbe", {"tcpSocket": {"port": "no such port!"}})], [(C0 + "livenessProbe", {"httpGet": {"port": 80, "scheme": "FTP", "httpHeaders": [{"name": "bad header", "value": "x"}]}})],
        [(C0 + "readinessProbe", {"grpc": {"port": 0}, "timeoutSeconds": -1, "failureThreshold": -1, "initialDelaySeconds": -1})], [(C0 + "readinessProbe", {"httpGet": {"port": 80}, "terminationGracePeriodSeconds": 5})],
        [(C0 + "startupProbe", {"httpGet": {"port": 80}, "successThreshold": 5})], [(C0 + "livenessProbe", {"httpGet": {"port": 80}, "terminationGracePeriodSeconds": 0})],
        [(C0 + "lifecycle", {"postStart": {"exec": {"command": []}}, "preStop": {"httpGet": {"port": 0}, "tcpSocket": {"port": 1}}})], [(C0 + "lifecycle", {"preStop": {"sleep": {"seconds": 100}}})],
        [(C0 + "env", [{"name": "X", "valueFrom": {"configMapKeyRef": {"name": "", "key": ""}}}, {"name": "Y", "valueFrom": {"resourceFieldRef": {"resource": "limits.disk"}}}])],
        [(C0 + "env", [{"name": "X", "valueFrom": {"fieldRef": {"fieldPath": "metadata.labels['a b']"}}}])], [(C0 + "env", [{"name": "X", "valueFrom": {"fieldRef": {"apiVersion": "v2", "fieldPath": "metadata.name"}}}])],
        [(C0 + "envFrom", [{}, {"configMapRef": {"name": "a"}, "secretRef": {"name": "b"}}, {"prefix": "a=b", "secretRef": {"name": "Bad_"}}])],
        [(C0 + "volumeMounts", [{"name": "v", "mountPath": "/a", "subPath": "../x"}, {"name": "v", "mountPath": "/b", "subPath": "a", "subPathExpr": "b"}, {"name": "v", "mountPath": "/c:d"}]), ("spec.volumes", [{"name": "v", "emptyDir": {}}])],
        [(C0 + "volumeMounts", [{"name": "v", "mountPath": "/a", "mountPropagation": "Bidirectional"}]), ("spec.volumes", [{"name": "v", "emptyDir": {}}])],
        [("spec.volumes", [{"name": "Bad_", "emptyDir": {}}, {"name": "m", "configMap": {}}, {"name": "s", "secret": {}}, {"name": "c", "persistentVolumeClaim": {}}, {"name": "n", "nfs": {}}])],
        [("spec.volumes", [{"name": "m", "configMap": {"name": "m", "defaultMode": 1000, "items": [{"key": "", "path": ""}, {"key": "a", "path": "../x", "mode": -1}, {"key": "b", "path": "/x"}]}}])],
        [("spec.volumes", [{"name": "h", "hostPath": {"path": "/a/../b", "type": "Bogus"}}, {"name": "e", "emptyDir": {"sizeLimit": "-1"}}, {"name": "p", "projected": {"sources": [{"serviceAccountToken": {"path": "", "expirationSeconds": 5}}]}}])],
        [("spec.volumes", [{"name": "p", "projected": {"sources": [{"configMap": {"name": "a", "items": [{"key": "k", "path": "x"}]}}, {"secret": {"name": "b", "items": [{"key": "k", "path": "x"}]}}]}}])],
        [("spec.volumes", [{"name": "d", "downwardAPI": {"items": [{"path": "a"}, {"path": "b", "fieldRef": {"fieldPath": "spec.x"}}, {"path": "..", "fieldRef": {"fieldPath": "metadata.name"}}]}}])],
        [("spec.volumes", [{"name": "c", "csi": {"driver": "Bad Driver!"}}])], [("spec.volumes", [{"name": "e", "ephemeral": {}}])],
        [("spec.tolerations", [{"key": "bad key", "operator": "Exists"}, {"key": "k", "operator": "X"}, {"key": "k", "value": "a b"}, {"operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 5}])],
        [("spec.affinity", {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [{"matchExpressions": [{"key": "bad key", "operator": "In"}, {"key": "k", "operator": "Gt", "values": ["a", "b"]}, {"key": "k", "operator": "X"}]}]}}})],
        [("spec.affinity", {"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [{"weight": 0, "preference": {"matchFields": [{"key": "metadata.label", "operator": "In", "values": ["x"]}]}}]}})],
        [("spec.affinity", {"podAntiAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [{"weight": 101, "podAffinityTerm": {"topologyKey": "", "namespaces": ["Bad_"], "labelSelector": {"matchLabels": {"bad key": "x"}}}}]}})],
        [("spec.affinity", {"podAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [{"topologyKey": "zone"}]}})],
        [("spec.topologySpreadConstraints", [{"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "ScheduleAnyway", "minDomains": 2}, {"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "ScheduleAnyway"}])],
        [("spec.topologySpreadConstraints", [{"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule", "minDomains": 0, "nodeAffinityPolicy": "X", "nodeTaintsPolicy": "X", "matchLabelKeys": ["a b"]}])],
        [("spec.securityContext", {"runAsNonRoot": True, "seccompProfile": {"type": "Localhost"}, "fsGroupChangePolicy": "X", "supplementalGroups": [-1]})], [("spec.securityContext", {"seccompProfile": {"type": "X"}})],
        [(C0 + "securityContext", {"seccompProfile": {"type": "RuntimeDefault", "localhostProfile": "x"}, "procMount": "X", "runAsGroup": -1})], [(C0 + "securityContext", {"capabilities": {"add": ["CAP_SYS_ADMIN"]}, "allowPrivilegeEscalation": False})],
        [("spec.hostNetwork", True), (C0 + "ports", [{"containerPort": 80, "hostPort": 81}])], [("spec.hostPID", True), ("spec.shareProcessNamespace", True)], [("spec.dnsPolicy", "None"), ("spec.dnsConfig", {})],
        [("spec.dnsConfig", {"searches": ["a b"], "options": [{"name": ""}], "nameservers": ["x"]})], [("spec.restartPolicy", "")], [("spec.runtimeClassName", "Bad_")], [("spec.schedulerName", "")],
        [("spec.initContainers", [{"name": "i", "image": "x", "restartPolicy": "Never"}])], [("spec.initContainers", [{"name": "i", "image": "x", "restartPolicy": "Always", "readinessProbe": {"httpGet": {"port": 0}}}])], [(C0 + "restartPolicy", "Always")],
        [(C0 + "image", " x ")], [(C0 + "image", "")], [(C0 + "name", "a" * 64)], [("spec.containers", [{"name": "a", "image": "x", "ports": [{"containerPort": 80}]}, {"name": "b", "image": "x", "ports": [{"containerPort": 80, "name": "p"}, {"containerPort": 81, "name": "p"}]}])],
        [(C0 + "resizePolicy", [{"resourceName": "cpu", "restartPolicy": "X"}, {"resourceName": "disk", "restartPolicy": "NotRequired"}])], [("spec.setHostnameAsFQDN", True), ("spec.hostname", "a" * 64)], [("spec.nodeSelector", {"beta.kubernetes.io/os": "linux"})],
        [("spec.resources", {"limits": {"cpu": "1"}})], [("spec.hostUsers", False), ("spec.hostNetwork", True)],
        [("metadata.annotations", {"bad key!": "x"})], [("metadata.finalizers", ["nodomain"])], [("metadata.ownerReferences", [{"apiVersion": "v1", "kind": "Pod", "name": "x", "uid": ""}])], [("metadata.generateName", "Bad_")], [("metadata.name", "-bad")],
    ],
    "small-deployment": [
        [("spec.template.spec.containers", [{"name": "a"}]), ("spec.replicas", -1), ("spec.selector.matchLabels", {"app": "other"})], [("spec.template.metadata.labels", {})], [("spec.strategy", {"rollingUpdate": {"maxSurge": -1}})],
        [("spec.selector.matchLabels", {"app": "a b"})], [("spec.template.spec.volumes", [{"name": "v", "emptyDir": {}}, {"name": "v", "emptyDir": {}}])], [("spec.template.spec.containers.0.imagePullPolicy", "x")], [("metadata.name", "a.b")],
        [("spec.template.spec.terminationGracePeriodSeconds", -1)], [("spec.template.spec.nodeName", "Bad_")],
    ],
    "statefulset": [[("spec.template.spec.restartPolicy", "Never")], [("spec.volumeClaimTemplates.0.spec.accessModes", [])], [("spec.serviceName", "Bad_")], [("spec.ordinals", {"start": -1})], [("spec.minReadySeconds", -1)], [("spec.template.spec.containers", [])], [("metadata.name", "a.b")],
                    [("spec.updateStrategy", {"type": "OnDelete", "rollingUpdate": {"partition": 1}})], [("spec.selector", ...)]],
    "daemonset": [[("spec.selector", ...)], [("spec.updateStrategy", {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 1, "maxSurge": 1}})], [("spec.updateStrategy", {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": "101%"}})], [("spec.minReadySeconds", -1)], [("spec.revisionHistoryLimit", -1)]],
    "job": [
        [("spec.completionMode", "Indexed"), ("spec.completions", 5), ("spec.parallelism", 200000)], [("spec.backoffLimitPerIndex", 1)], [("spec.maxFailedIndexes", 1)], [("spec.podReplacementPolicy", "X")], [("spec.managedBy", "nodomain")],
        [("spec.podFailurePolicy", {"rules": [{"action": "FailJob", "onExitCodes": {"operator": "In", "values": [0]}}, {"action": "", "onExitCodes": {"operator": "X", "values": []}}]})],
        [("spec.podFailurePolicy", {"rules": [{"action": "Ignore", "onPodConditions": [{"type": "bad type", "status": "X"}]}, {"action": "FailIndex", "onExitCodes": {"containerName": "none", "operator": "NotIn", "values": [2, 1, 1]}}]})],
        [("spec.successPolicy", {"rules": [{"succeededCount": 1}]})], [("spec.completionMode", "Indexed"), ("spec.completions", 3), ("spec.successPolicy", {"rules": [{"succeededIndexes": "5", "succeededCount": 4}, {}]})], [("spec.successPolicy", {"rules": []}), ("spec.completionMode", "Indexed"), ("spec.completions", 3)],
        [("spec.template.spec.containers", [])], [("spec.template.spec.restartPolicy", "OnFailure"), ("spec.podFailurePolicy", {"rules": []})], [("metadata.name", "Bad_")], [("spec.template", ...)],
    ],
    "cronjob": [[("spec.schedule", "* * *")], [("spec.schedule", "*/0 * * * *")], [("spec.schedule", "5-1 * * * *")], [("spec.schedule", "a * * * *")], [("spec.schedule", "@never")], [("spec.schedule", "@every 1h")], [("spec.timeZone", "")], [("spec.timeZone", "../etc/passwd")],
                [("spec.failedJobsHistoryLimit", -1), ("spec.concurrencyPolicy", "")], [("spec.jobTemplate.spec.template.spec.containers", [])], [("spec.jobTemplate.spec.selector", {"matchLabels": {"a": "b"}})], [("spec.jobTemplate.spec.backoffLimit", -1)], [("spec.jobTemplate.spec.manualSelector", True)]],
    "service": [
        [("spec.ports.0.port", 70000), ("spec.ports.0.name", ""), ("spec.ports.1.protocol", "tcp")], [("spec.ports.0.appProtocol", "bad value!")], [("spec.type", "NodePort"), ("spec.ports.0.nodePort", 30000), ("spec.ports.1.nodePort", 30000), ("spec.ports.1.protocol", "TCP")], [("spec.clusterIPs", ["None", "None"])],
        [("spec.clusterIP", "None"), ("spec.clusterIPs", ["1.2.3.4"])], [("spec.ipFamilies", ["IPv4", "IPv4"])], [("spec.ipFamilies", ["X"])], [("spec.ipFamilyPolicy", "X")], [("spec.loadBalancerClass", "x")], [("spec.type", "LoadBalancer"), ("spec.loadBalancerClass", "bad class!")],
        [("spec.healthCheckNodePort", 30000)], [("spec.externalIPs", ["127.0.0.1", "0.0.0.0", "169.254.1.1"])], [("spec.trafficDistribution", "X")], [("spec.allocateLoadBalancerNodePorts", True)], [("spec.sessionAffinity", "ClientIP"), ("spec.sessionAffinityConfig", {"clientIP": {"timeoutSeconds": 100000}})],
        [("spec.type", "ExternalName"), ("spec.externalName", "Bad_Name"), ("spec.clusterIP", "None")], [("metadata.name", "a" * 64)], [("spec.type", "")],
    ],
    "hpa": [[("spec.scaleTargetRef", {"kind": "a/b", "name": ".."})], [("spec.metrics", [{"type": "Pods", "pods": {"metric": {"name": ""}, "target": {"type": "Value", "value": "1"}}}])], [("spec.metrics", [{"type": "External", "external": {"metric": {"name": "x"}, "target": {"type": "Value", "value": "-1"}}}])],
            [("spec.metrics", [{"type": "Object", "object": {"metric": {"name": "x"}, "describedObject": {"kind": "", "name": ""}, "target": {"type": ""}}}])], [("spec.metrics", [{"type": "ContainerResource", "containerResource": {"name": "cpu", "container": "", "target": {"type": "Utilization"}}}])],
            [("spec.metrics", [{"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 5, "averageValue": "1"}}}])], [("spec.behavior", {"scaleUp": {"policies": [], "stabilizationWindowSeconds": -1}, "scaleDown": {"policies": [{"type": "Pods", "value": 1, "periodSeconds": 1801}]}})]],
    "ingress": [[("spec.rules.0.http.paths.0.backend", {"resource": {"kind": "", "name": ""}})], [("spec.rules.0.http.paths.0.backend", {"service": {"name": "web", "port": {"number": 80}}, "resource": {"kind": "K", "name": "n"}})], [("spec.rules.0.host", "1.2.3.4")], [("spec.rules.0.http.paths", [])],
                [("spec.defaultBackend", {"service": {"name": "", "port": {"number": 70000}}})], [("spec.rules.0.http.paths.0.path", "/a/./b"), ("spec.rules.0.http.paths.0.pathType", "Exact")], [("spec.tls.0.secretName", "Bad_")], [("spec.rules.0.http.paths.0.path", "relative"), ("spec.rules.0.http.paths.0.pathType", "ImplementationSpecific")]],
    "networkpolicy": [[("spec.ingress.0.from.0", {"ipBlock": {"cidr": "10.0.0.0/8"}, "podSelector": {}})], [("spec.ingress.0.from.0", {"ipBlock": {"cidr": "10.0.0.0/8", "except": ["x", "10.0.0.0/8"]}})], [("spec.ingress.0.ports.0.protocol", "X")], [("spec.ingress.0.ports.1", {"port": "name", "endPort": 5})],
                      [("spec.ingress.0.ports.1", {"endPort": 5})], [("spec.podSelector", {"matchExpressions": [{"key": "k", "operator": "X"}]})], [("spec.egress", [{"ports": [{"port": "toolongtoolongtoolong"}]}])], [("spec.policyTypes", ["Ingress", "Egress", "Ingress"])]],
    "pdb": [[("spec.minAvailable", ...), ("spec.maxUnavailable", "101%")], [("spec.minAvailable", "-1%")], [("spec.selector.matchLabels", {"bad key": "x"})]],
    "pvc": [[("spec.resources.requests.storage", "-1Gi")], [("spec.dataSource", {"kind": "X", "name": ""})], [("spec.accessModes", ["ReadWriteOncePod", "ReadWriteOnce"])], [("spec.selector", {"matchExpressions": [{"key": "k", "operator": "X"}]})], [("metadata.name", "Bad_")]],
    "pv": [[("spec.capacity.storage", "0")], [("spec.hostPath", {"path": "", "type": "X"})], [("spec.hostPath", ...), ("spec.local", {"path": "/x"})], [("spec.hostPath", ...), ("spec.csi", {})], [("spec.accessModes", ["X"])], [("spec.nodeAffinity", {"required": {"nodeSelectorTerms": []}})], [("spec.volumeMode", "X")], [("spec.storageClassName", "Bad_")]],
    "storageclass": [[("mountOptions", [""])], [("allowedTopologies", [{"matchLabelExpressions": [{"key": "", "values": []}]}])], [("metadata.name", "Bad_")]],
    "role": [[("rules.0.resourceNames", ["x"]), ("rules.0.resources", [])], [("rules.0", {"verbs": ["get"]})]],
    "clusterrole": [[("rules.0", {"verbs": ["get"], "nonResourceURLs": ["/x"], "resources": ["pods"], "apiGroups": [""]})], [("rules.0", {"apiGroups": [""], "resources": ["pods"]})]],
    "clusterrolebinding": [[("subjects.0.apiGroup", "x")], [("subjects.0.kind", "ServiceAccount")], [("roleRef.kind", "Role")], [("roleRef.name", "a/b")]],
    "node": [[("spec.podCIDRs", ["10.9.0.0/24", "10.8.0.0/24"])], [("spec.taints", [{"key": "bad key", "value": "bad value!", "effect": ""}])], [("status.capacity", {"cpu": "-1"})]],
    "configmap": [[("metadata.name", "Bad_")], [("data", {"": "x", "a" * 254: "x", "b/c": "y"})]],
    "endpointslice": [[("endpoints.0.addresses", ["::1"])], [("endpoints.0.addresses", ["127.0.0.1"])], [("ports", [{"name": "a", "port": 1}, {"name": "a", "port": 2}])], [("ports.0.protocol", "X")], [("ports.0.appProtocol", "a b")]],
    "lease": [[("spec.strategy", "X")], [("spec.preferredHolder", "x")], [("spec.acquireTime", "now")]],
    "priorityclass": [[("value", 1000000001), ("preemptionPolicy", "X")], [("metadata.name", "Bad_")]],
    "serviceaccount": [[("metadata.labels", {"a b": "c"})]],
    "secret": [[("type", "kubernetes.io/dockercfg"), ("data", {})], [("metadata.name", "x/y")]],
}


def more_refused(name, cases):
    run = refused(name, cases)
    run.__name__ = "more_refused_" + name.replace("-", "_")
    return run


for _name, _cases in MORE.items():
    scenario()(more_refused(_name, _cases))


MORE_CHANGES = {
    "small-pod": [{"spec": {"containers": [{"name": "main", "image": "app:2"}]}}, {"spec": {"containers": [{"name": "other", "image": "app"}]}}, {"spec": {"tolerations": []}}, {"metadata": {"name": "other"}}, {"metadata": {"labels": {"bad key": "x"}}}, {"spec": {"hostname": "h"}}],
    "small-deployment": [{"spec": {"replicas": -1}}, {"spec": {"template": {"spec": {"containers": []}}}}, {"spec": {"selector": None}}, {"spec": {"replicas": 3}}],
    "replicaset": [{"spec": {"replicas": -1}}, {"spec": {"template": {"metadata": {"labels": {"app": "other"}}}}}],
    "statefulset": [{"spec": {"volumeClaimTemplates": []}}, {"spec": {"replicas": -1}}, {"spec": {"template": {"spec": {"terminationGracePeriodSeconds": 3}}}}, {"spec": {"selector": {"matchLabels": {"x": "y"}}}}],
    "daemonset": [{"spec": {"template": {"spec": {"terminationGracePeriodSeconds": 3}}}}, {"spec": {"minReadySeconds": -1}}],
    "indexed-job": [{"spec": {"completions": 5, "parallelism": 5}}, {"spec": {"completions": 6}}, {"spec": {"completionMode": "NonIndexed"}}, {"spec": {"ttlSecondsAfterFinished": -1}}, {"spec": {"selector": {"matchLabels": {"a": "b"}}}}],
    "cronjob": [{"spec": {"timeZone": "Nowhere/X"}}, {"spec": {"jobTemplate": {"spec": {"backoffLimit": 2}}}}, {"metadata": {"name": "other"}}],
    "service": [{"spec": {"clusterIPs": ["1.2.3.4"]}}, {"spec": {"ipFamilies": ["IPv6"]}}, {"spec": {"selector": {"a": "b"}}}, {"spec": {"type": "LoadBalancer"}}, {"spec": {"type": "ClusterIP"}}, {"spec": {"sessionAffinity": "ClientIP"}}],
    "headless": [{"spec": {"clusterIP": ""}}, {"spec": {"ports": [{"port": 81}]}}],
    "configmap": [{"immutable": True}, {"data": {"a": "2"}}, {"immutable": None}],
    "pvc": [{"spec": {"volumeMode": "Block"}}, {"spec": {"volumeName": "v"}}, {"spec": {"resources": {"requests": {"storage": "500Mi"}}}}],
    "pv": [{"spec": {"volumeMode": "Block"}}, {"spec": {"persistentVolumeReclaimPolicy": "Delete"}}, {"spec": {"storageClassName": "other"}}],
    "storageclass": [{"reclaimPolicy": "Retain"}, {"volumeBindingMode": "Immediate"}],
    "ingress": [{"spec": {"rules": []}}, {"spec": {"rules": [], "defaultBackend": None}}],
    "hpa-v1": [{"spec": {"targetCPUUtilizationPercentage": 50}}, {"spec": {"maxReplicas": 0}}, {"spec": {"targetCPUUtilizationPercentage": None}}],
    "endpoints": [{"subsets": [{"addresses": [{"ip": "x"}]}]}, {"subsets": []}],
    "event": [{"message": "other"}, {"count": 2}],
    "new-event": [{"note": "other"}, {"series": {"count": 1}}, {"series": {"count": 2, "lastObservedTime": "2024-01-01T00:00:00.000000Z"}}],
    "priorityclass": [{"preemptionPolicy": "Never"}, {"globalDefault": False}],
    "networkpolicy": [{"spec": {"policyTypes": ["Egress"]}}, {"spec": {"podSelector": {"matchLabels": {"a": "a b"}}}}],
    "namespace": [{"spec": {"finalizers": []}}, {"metadata": {"labels": {"kubernetes.io/metadata.name": "other"}}}],
    "node": [{"spec": {"taints": [{"key": "a", "effect": "X"}]}}, {"spec": {"podCIDRs": ["10.8.0.0/24"]}}, {"metadata": {"labels": {"a": "b"}}}],
    "role": [{"rules": [{"verbs": []}]}, {"rules": None}],
    "clusterrolebinding": [{"roleRef": {"name": "edit"}}, {"subjects": []}],
}


def more_changes(name, patches):
    run = changes(name, patches)
    run.__name__ = "more_changes_of_" + name.replace("-", "_")
    return run


for _name, _patches in MORE_CHANGES.items():
    scenario()(more_changes(_name, _patches))


@scenario()
def autoscalers_in_two_versions(s):
    """One object, read and written as autoscaling/v1 and v2: what the older one lacks is in annotations."""
    old, new = s.at("autoscaling/v1", "horizontalpodautoscalers"), s.at("autoscaling/v2", "horizontalpodautoscalers")
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "d"}
    body = EXAMPLES["hpa"][3]
    s.post("made in v2", new, {**body, "metadata": {"name": "a"}})
    s.get("read in v1", old + "/a")
    s.post("made in v1, with nothing", old, {"apiVersion": "autoscaling/v1", "kind": "HorizontalPodAutoscaler", "metadata": {"name": "b"}, "spec": {"scaleTargetRef": target, "maxReplicas": 3}})
    s.get("read in v2", new + "/b")
    s.patch("changed in v1", old + "/a", {"spec": {"targetCPUUtilizationPercentage": 20}}, type=MERGE)
    s.get("and read in v2", new + "/a")
    s.get("a list of both in v1", old, shape=lambda b: [sorted(i["spec"]) for i in b["items"]])


@scenario()
def paths_of_nodes(s):
    """What only a node answers, where there is none."""
    pods = s.core("pods")
    s.prepare("POST", pods, {"metadata": {"name": "p"}, "spec": {"containers": [{"name": "a", "image": "x"}, {"name": "b", "image": "x"}], "initContainers": [{"name": "i", "image": "x"}]}})
    s.prepare("POST", s.core("services"), {"metadata": {"name": "s"}, "spec": {"ports": [{"port": 80}]}})
    for path in ("log", "exec", "attach", "portforward", "proxy/", "log?container=b", "log?container=none", "exec?container=a&command=ls&stdout=true", "attach?container=a", "log?container=a&tailLines=-1&limitBytes=0&sinceSeconds=0", "ephemeralcontainers", "resize"):
        s.get(path, f"{pods}/p/{path}", shape=lambda b: b if not isinstance(b, dict) or b.get("kind") == "Status" else b["kind"])
    s.post("exec by POST", f"{pods}/p/exec?container=a&command=ls", {})
    s.post("a POST to log", f"{pods}/p/log", {})
    for path in ("log", "exec", "portforward", "proxy/", "resize", "ephemeralcontainers"):
        s.get(path + " of what is not there", f"{pods}/none/{path}")
    s.get("a service without endpoints", s.core("services", "s", "proxy") + "/")
    s.get("a port that a service has not", s.core("services", "s:99", "proxy") + "/")
    s.get("a service that is not there", s.core("services", "none", "proxy") + "/")
    s.get("a node that is not there", "/api/v1/nodes/none/proxy/metrics")
    merge = {"type": MERGE}
    s.patch("an ephemeral container", f"{pods}/p/ephemeralcontainers", {"spec": {"ephemeralContainers": [{"name": "e", "image": "x"}]}}, shape=lambda b: b["spec"]["ephemeralContainers"] if "spec" in b else b)
    s.patch("it may not go", f"{pods}/p/ephemeralcontainers", {"spec": {"ephemeralContainers": []}}, **merge)
    s.patch("resources of another quality", f"{pods}/p/resize", {"spec": {"containers": [{"name": "a", "resources": {"requests": {"cpu": "1"}}}]}})
    s.patch("an image by resize", f"{pods}/p/resize", {"spec": {"containers": [{"name": "a", "image": "other"}]}}, shape=lambda b: [c["image"] for c in b["spec"]["containers"]] if "spec" in b else b)
    s.prepare("POST", pods, {"metadata": {"name": "q"}, "spec": {"containers": [{"name": "a", "image": "x", "resources": {"requests": {"cpu": "1", "memory": "1Gi"}, "limits": {"memory": "2Gi"}}}]}})
    s.patch("more cpu", f"{pods}/q/resize", {"spec": {"containers": [{"name": "a", "resources": {"requests": {"cpu": "2"}}}]}}, shape=lambda b: b["spec"]["containers"][0]["resources"] if "spec" in b else b)
    s.patch("less memory", f"{pods}/q/resize", {"spec": {"containers": [{"name": "a", "resources": {"limits": {"memory": "1500Mi"}}}]}})
    s.patch("no request", f"{pods}/q/resize", {"spec": {"containers": [{"name": "a", "resources": {"requests": {"cpu": None}}}]}})
    s.patch("another resource", f"{pods}/q/resize", {"spec": {"containers": [{"name": "a", "resources": {"requests": {"ephemeral-storage": "1Gi"}}}]}})


@scenario()
def field_selectors_of_kinds(s):
    s.prepare("POST", s.core("pods"), {"metadata": {"name": "p"}, "spec": {**SMALL, "schedulerName": "mine"}})
    for field in ("spec.nodeName=", "status.phase=Pending", "status.phase=Running", "spec.restartPolicy=Always", "spec.schedulerName=mine", "spec.serviceAccountName=default", "spec.hostNetwork=false", "spec.hostNetwork=true", "status.podIP=", "status.nominatedNodeName=", "status.podIPs=1.2.3.4", "spec.containers=x"):
        s.get("pods: " + field, s.core("pods") + "?fieldSelector=" + field.replace("=", "%3D"), shape=lambda b: [i["metadata"]["name"] for i in b["items"]] if "items" in b else b)
    for what, field in (("secrets", "type=Opaque"), ("secrets", "data=x"), ("events", "reason=x"), ("events", "source=x"), ("events", "reportingComponent=x"), ("events", "involvedObject.fieldPath=x"), ("events", "message=x"), ("services", "spec.type=ClusterIP"), ("services", "spec.clusterIP=None"), ("configmaps", "data=x"),
                        ("endpoints", "x=y"), ("replicationcontrollers", "status.replicas=0")):
        s.get(f"{what}: {field}", s.core(what) + "?fieldSelector=" + field.replace("=", "%3D"), shape=lambda b: len(b["items"]) if "items" in b else b)
    for api, what, field in (("apps/v1", "replicasets", "status.replicas=0"), ("batch/v1", "jobs", "status.successful=0"), ("apps/v1", "deployments", "status.replicas=0"), ("events.k8s.io/v1", "events", "regarding.name=x"), ("events.k8s.io/v1", "events", "involvedObject.name=x")):
        s.get(f"{what} of {api}: {field}", s.at(api, what) + "?fieldSelector=" + field.replace("=", "%3D"), shape=lambda b: len(b["items"]) if "items" in b else b)
    s.get("nodes: spec.unschedulable=true", "/api/v1/nodes?fieldSelector=spec.unschedulable%3Dtrue", shape=lambda b: b["kind"])
    s.get("nodes: status.x=y", "/api/v1/nodes?fieldSelector=status.x%3Dy")
    s.get("namespaces: status.phase=Terminating", "/api/v1/namespaces?fieldSelector=status.phase%3DTerminating", shape=lambda b: b["kind"])
