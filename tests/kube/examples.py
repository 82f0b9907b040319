# SPDX-License-Identifier: Apache-2.0
"""A good object of every built-in kind, small and full: what the suites create, in JSON and in the protobuf form.

{u} in a name stands for letters of the run: cluster-wide names must not meet.
"""
POD = {
    "containers": [{
        "name": "main", "image": "registry.example.com/app:1.0", "command": ["run"], "args": ["--fast"], "workingDir": "/srv",
        "ports": [{"name": "http", "containerPort": 8080}, {"containerPort": 53, "protocol": "UDP"}],
        "env": [{"name": "A", "value": "1"}, {"name": "B", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
                {"name": "C", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k", "optional": True}}},
                {"name": "D", "valueFrom": {"resourceFieldRef": {"resource": "limits.cpu"}}}],
        "envFrom": [{"configMapRef": {"name": "m"}, "prefix": "P_"}],
        "resources": {"requests": {"cpu": "0.1", "memory": "64Mi"}, "limits": {"cpu": "1000m", "memory": "1024Mi"}},
        "volumeMounts": [{"name": "data", "mountPath": "/data", "subPath": "x"}, {"name": "config", "mountPath": "/config", "readOnly": True}],
        "livenessProbe": {"httpGet": {"path": "/live", "port": "http"}, "periodSeconds": 5},
        "readinessProbe": {"tcpSocket": {"port": 8080}}, "startupProbe": {"exec": {"command": ["true"]}, "failureThreshold": 30},
        "lifecycle": {"preStop": {"exec": {"command": ["sleep", "1"]}}, "postStart": {"httpGet": {"port": 80}}},
        "securityContext": {"runAsUser": 1000, "capabilities": {"drop": ["ALL"]}, "allowPrivilegeEscalation": False}}],
    "initContainers": [{"name": "init", "image": "busybox", "resources": {"requests": {"cpu": "50m"}}}],
    "volumes": [{"name": "data", "emptyDir": {"sizeLimit": "1Gi"}}, {"name": "config", "configMap": {"name": "m", "items": [{"key": "a", "path": "a.txt"}]}},
                {"name": "secret", "secret": {"secretName": "s"}}, {"name": "host", "hostPath": {"path": "/var"}}, {"name": "claim", "persistentVolumeClaim": {"claimName": "c"}},
                {"name": "all", "projected": {"sources": [{"downwardAPI": {"items": [{"path": "labels", "fieldRef": {"fieldPath": "metadata.labels"}}]}}, {"serviceAccountToken": {"path": "token"}}]}}],
    "nodeSelector": {"disk": "ssd"}, "serviceAccountName": "default", "terminationGracePeriodSeconds": 10,
    "tolerations": [{"key": "k", "operator": "Exists", "effect": "NoSchedule"}],
    "affinity": {"podAntiAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [{"weight": 1, "podAffinityTerm": {"topologyKey": "zone", "labelSelector": {"matchLabels": {"a": "b"}}}}]}},
    "topologySpreadConstraints": [{"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "ScheduleAnyway", "labelSelector": {"matchLabels": {"a": "b"}}}],
    "hostAliases": [{"ip": "10.0.0.1", "hostnames": ["h"]}], "imagePullSecrets": [{"name": "pull"}], "securityContext": {"fsGroup": 2000, "sysctls": [{"name": "net.core.somaxconn", "value": "1"}]},
    "dnsConfig": {"nameservers": ["10.0.0.2"], "options": [{"name": "ndots", "value": "2"}]},
}
SMALL = {"containers": [{"name": "main", "image": "app"}]}
LABELS = {"app": "web"}
SELECTOR = {"matchLabels": LABELS}


def template(spec, **more):
    return {"metadata": {"labels": LABELS}, "spec": {**spec, **more}}


# name: (path: group/version/plural, namespaced, body)
EXAMPLES = {}


def example(name, api, kind, plural, namespaced=True, metadata=None, **body):
    group_version = api if "/" in api else "core/" + api
    EXAMPLES[name] = (group_version, plural, namespaced, {"apiVersion": api, "kind": kind, "metadata": {"name": "x-{u}" if not namespaced else name.replace(" ", "-"), **(metadata or {})}, **body})


example("configmap", "v1", "ConfigMap", "configmaps", data={"a": "1"}, binaryData={"b": "AAEC"}, immutable=False)
example("secret", "v1", "Secret", "secrets", type="Opaque", data={"a": "MQ=="}, stringData={"b": "2"})
example("tls-secret", "v1", "Secret", "secrets", type="kubernetes.io/basic-auth", stringData={"username": "u", "password": "p"})
example("serviceaccount", "v1", "ServiceAccount", "serviceaccounts", secrets=[{"name": "s"}], imagePullSecrets=[{"name": "p"}], automountServiceAccountToken=False)
example("pod", "v1", "Pod", "pods", metadata={"labels": LABELS, "annotations": {"a": "b"}}, spec=POD)
example("small-pod", "v1", "Pod", "pods", spec=SMALL)
example("podtemplate", "v1", "PodTemplate", "podtemplates", template=template(SMALL))
example("replicationcontroller", "v1", "ReplicationController", "replicationcontrollers", spec={"selector": LABELS, "template": template(SMALL), "replicas": 2})
example("service", "v1", "Service", "services", spec={"selector": LABELS, "ports": [{"name": "http", "port": 80, "targetPort": "http"}, {"name": "dns", "port": 53, "protocol": "UDP"}]})
example("headless", "v1", "Service", "services", spec={"clusterIP": "None", "selector": LABELS, "ports": [{"port": 80}]})
example("external", "v1", "Service", "services", spec={"type": "ExternalName", "externalName": "example.com"})
example("nodeport", "v1", "Service", "services", spec={"type": "NodePort", "selector": LABELS, "ports": [{"port": 80, "targetPort": 8080}]})
example("loadbalancer", "v1", "Service", "services", spec={"type": "LoadBalancer", "selector": LABELS, "ports": [{"port": 80}], "sessionAffinity": "ClientIP"})
example("endpoints", "v1", "Endpoints", "endpoints", subsets=[{"addresses": [{"ip": "10.1.2.3", "nodeName": "n"}], "ports": [{"name": "http", "port": 8080}]}])
example("pvc", "v1", "PersistentVolumeClaim", "persistentvolumeclaims", spec={"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}, "storageClassName": "fast"})
example("event", "v1", "Event", "events", involvedObject={"kind": "Pod", "namespace": "{ns}", "name": "p", "apiVersion": "v1"}, reason="Started", message="it started", type="Normal",
        source={"component": "test"}, firstTimestamp="2024-01-01T00:00:00Z", lastTimestamp="2024-01-01T00:00:00Z", count=1)
example("limitrange", "v1", "LimitRange", "limitranges", spec={"limits": [{"type": "Container", "default": {"cpu": "1"}, "defaultRequest": {"memory": "10Mi"}, "max": {"cpu": "2"}, "min": {"cpu": "10m"}}]})
example("resourcequota", "v1", "ResourceQuota", "resourcequotas", spec={"hard": {"pods": "100", "requests.cpu": "10", "count/configmaps": "50"}})
example("namespace", "v1", "Namespace", "namespaces", namespaced=False)
example("node", "v1", "Node", "nodes", namespaced=False, spec={"podCIDR": "10.9.0.0/24", "taints": [{"key": "t", "effect": "NoSchedule"}]}, status={"capacity": {"cpu": "4", "memory": "8Gi", "pods": "110"}})
example("pv", "v1", "PersistentVolume", "persistentvolumes", namespaced=False, spec={"capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce"], "hostPath": {"path": "/tmp/x"}, "storageClassName": "fast"})
example("deployment", "apps/v1", "Deployment", "deployments", spec={"selector": SELECTOR, "template": template(POD), "replicas": 3, "strategy": {"rollingUpdate": {"maxSurge": 1, "maxUnavailable": "10%"}}})
example("small-deployment", "apps/v1", "Deployment", "deployments", spec={"selector": SELECTOR, "template": template(SMALL)})
example("replicaset", "apps/v1", "ReplicaSet", "replicasets", spec={"selector": SELECTOR, "template": template(SMALL), "replicas": 2})
example("statefulset", "apps/v1", "StatefulSet", "statefulsets", spec={"selector": SELECTOR, "template": template(SMALL), "serviceName": "web", "volumeClaimTemplates": [
    {"metadata": {"name": "data"}, "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}}]})
example("daemonset", "apps/v1", "DaemonSet", "daemonsets", spec={"selector": SELECTOR, "template": template(SMALL)})
example("controllerrevision", "apps/v1", "ControllerRevision", "controllerrevisions", data={"spec": {"any": "thing"}}, revision=1)
example("job", "batch/v1", "Job", "jobs", spec={"template": {"spec": {**SMALL, "restartPolicy": "Never"}}, "backoffLimit": 2})
example("indexed-job", "batch/v1", "Job", "jobs", spec={"template": {"spec": {**SMALL, "restartPolicy": "OnFailure"}}, "completions": 3, "parallelism": 2, "completionMode": "Indexed", "ttlSecondsAfterFinished": 60})
example("cronjob", "batch/v1", "CronJob", "cronjobs", spec={"schedule": "*/5 * * * *", "timeZone": "Etc/UTC", "jobTemplate": {"spec": {"template": {"spec": {**SMALL, "restartPolicy": "Never"}}}}})
example("hpa", "autoscaling/v2", "HorizontalPodAutoscaler", "horizontalpodautoscalers", spec={"scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "d"}, "minReplicas": 2, "maxReplicas": 5, "metrics": [
    {"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 80}}},
    {"type": "Pods", "pods": {"metric": {"name": "rps"}, "target": {"type": "AverageValue", "averageValue": "100"}}}], "behavior": {"scaleDown": {"stabilizationWindowSeconds": 60}}})
example("hpa-v1", "autoscaling/v1", "HorizontalPodAutoscaler", "horizontalpodautoscalers", spec={"scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "d"}, "maxReplicas": 5, "targetCPUUtilizationPercentage": 70})
example("ingress", "networking.k8s.io/v1", "Ingress", "ingresses", spec={"ingressClassName": "web", "tls": [{"hosts": ["a.example.com"], "secretName": "t"}], "rules": [{"host": "a.example.com", "http": {"paths": [
    {"path": "/", "pathType": "Prefix", "backend": {"service": {"name": "web", "port": {"number": 80}}}}]}}], "defaultBackend": {"service": {"name": "web", "port": {"name": "http"}}}})
example("ingressclass", "networking.k8s.io/v1", "IngressClass", "ingressclasses", namespaced=False, spec={"controller": "example.com/controller"})
example("networkpolicy", "networking.k8s.io/v1", "NetworkPolicy", "networkpolicies", spec={"podSelector": SELECTOR, "ingress": [{"from": [{"namespaceSelector": {}}, {"ipBlock": {"cidr": "10.0.0.0/8", "except": ["10.1.0.0/16"]}}],
        "ports": [{"port": 80}, {"port": 1000, "endPort": 2000, "protocol": "UDP"}]}], "egress": [{}]})
example("endpointslice", "discovery.k8s.io/v1", "EndpointSlice", "endpointslices", metadata={"labels": {"kubernetes.io/service-name": "web"}}, addressType="IPv4", endpoints=[
    {"addresses": ["10.1.2.3"], "conditions": {"ready": True}, "nodeName": "n", "targetRef": {"kind": "Pod", "name": "p"}}], ports=[{"name": "http", "port": 8080}])
example("pdb", "policy/v1", "PodDisruptionBudget", "poddisruptionbudgets", spec={"minAvailable": "50%", "selector": SELECTOR})
example("role", "rbac.authorization.k8s.io/v1", "Role", "roles", rules=[{"apiGroups": [""], "resources": ["pods", "pods/log"], "verbs": ["get", "list"]}, {"apiGroups": ["apps"], "resources": ["deployments"], "resourceNames": ["d"], "verbs": ["*"]}])
example("rolebinding", "rbac.authorization.k8s.io/v1", "RoleBinding", "rolebindings", roleRef={"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "r"}, subjects=[
    {"kind": "ServiceAccount", "name": "default", "namespace": "default"}, {"kind": "User", "name": "u"}, {"kind": "Group", "name": "g"}])
example("clusterrole", "rbac.authorization.k8s.io/v1", "ClusterRole", "clusterroles", namespaced=False, rules=[{"nonResourceURLs": ["/metrics"], "verbs": ["get"]}])
example("clusterrolebinding", "rbac.authorization.k8s.io/v1", "ClusterRoleBinding", "clusterrolebindings", namespaced=False, roleRef={"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "view"},
        subjects=[{"kind": "Group", "name": "g"}])
example("lease", "coordination.k8s.io/v1", "Lease", "leases", spec={"holderIdentity": "me", "leaseDurationSeconds": 15, "renewTime": "2024-01-01T00:00:00.000000Z", "leaseTransitions": 1})
example("storageclass", "storage.k8s.io/v1", "StorageClass", "storageclasses", namespaced=False, provisioner="example.com/disk", parameters={"a": "b"}, volumeBindingMode="WaitForFirstConsumer")
example("new-event", "events.k8s.io/v1", "Event", "events", eventTime="2024-01-01T00:00:00.000000Z", reportingController="example.com/c", reportingInstance="c-1", action="Do", reason="Done", type="Normal",
        regarding={"kind": "Pod", "namespace": "{ns}", "name": "p"}, note="it is done")
example("priorityclass", "scheduling.k8s.io/v1", "PriorityClass", "priorityclasses", namespaced=False, value=1000, description="high")


def path_of(name, ns, u):
    """The collection's path and the body of an example."""
    import json

    group_version, plural, namespaced, body = EXAMPLES[name]
    base = "/api/v1" if group_version == "core/v1" else "/apis/" + group_version
    body = json.loads(json.dumps(body).replace("{u}", u).replace("{ns}", ns))
    return f"{base}/namespaces/{ns}/{plural}" if namespaced else f"{base}/{plural}", body
