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


