/* SPDX-License-Identifier: Apache-2.0 */
/* cluster - the kinds that controllers name, and what a record tells of its object. */
#include "kube/cluster.h"

#include "kube/kube_private.h"

const struct resource resource_namespaces = { "", "v1", "namespaces", "Namespace" };
const struct resource resource_nodes = { "", "v1", "nodes", "Node" };
const struct resource resource_pods = { "", "v1", "pods", "Pod" };
const struct resource resource_services = { "", "v1", "services", "Service" };
const struct resource resource_endpoints = { "", "v1", "endpoints", "Endpoints" };
const struct resource resource_persistent_volume_claims = { "", "v1", "persistentvolumeclaims",
							    "PersistentVolumeClaim" };
const struct resource resource_persistent_volumes = { "", "v1", "persistentvolumes", "PersistentVolume" };
const struct resource resource_events = { "", "v1", "events", "Event" };
const struct resource resource_deployments = { "apps", "v1", "deployments", "Deployment" };
const struct resource resource_replica_sets = { "apps", "v1", "replicasets", "ReplicaSet" };
const struct resource resource_stateful_sets = { "apps", "v1", "statefulsets", "StatefulSet" };
const struct resource resource_daemon_sets = { "apps", "v1", "daemonsets", "DaemonSet" };
const struct resource resource_controller_revisions = { "apps", "v1", "controllerrevisions", "ControllerRevision" };
const struct resource resource_jobs = { "batch", "v1", "jobs", "Job" };
const struct resource resource_cron_jobs = { "batch", "v1", "cronjobs", "CronJob" };
const struct resource resource_endpoint_slices = { "discovery.k8s.io", "v1", "endpointslices", "EndpointSlice" };
const struct resource resource_ingresses = { "networking.k8s.io", "v1", "ingresses", "Ingress" };
const struct resource resource_ingress_classes = { "networking.k8s.io", "v1", "ingressclasses", "IngressClass" };
const struct resource resource_gateway_classes = { "gateway.networking.k8s.io", "v1", "gatewayclasses",
						   "GatewayClass" };
const struct resource resource_gateways = { "gateway.networking.k8s.io", "v1", "gateways", "Gateway" };
const struct resource resource_http_routes = { "gateway.networking.k8s.io", "v1", "httproutes", "HTTPRoute" };
const struct resource resource_grpc_routes = { "gateway.networking.k8s.io", "v1", "grpcroutes", "GRPCRoute" };
const struct resource resource_reference_grants = { "gateway.networking.k8s.io", "v1beta1", "referencegrants",
						    "ReferenceGrant" };
const struct resource resource_disruption_budgets = { "policy", "v1", "poddisruptionbudgets", "PodDisruptionBudget" };
const struct resource resource_autoscalers = { "autoscaling", "v2", "horizontalpodautoscalers",
					       "HorizontalPodAutoscaler" };

const struct resource resource_replication_controllers = { "", "v1", "replicationcontrollers",
							   "ReplicationController" };
const struct resource resource_pod_usage = { "metrics.k8s.io", "v1beta1", "pods", "PodMetrics" };
const struct resource resource_storage_classes = { "storage.k8s.io", "v1", "storageclasses", "StorageClass" };
const struct resource resource_config_maps = { "", "v1", "configmaps", "ConfigMap" };
const struct resource resource_secrets = { "", "v1", "secrets", "Secret" };
const struct resource resource_service_accounts = { "", "v1", "serviceaccounts", "ServiceAccount" };
const struct resource resource_leases = { "coordination.k8s.io", "v1", "leases", "Lease" };

struct span resource_api_version(const struct resource *r, struct arena *arena, struct error *err)
{
	return *r->group ? arena_print(arena, err, "%s/%s", r->group, r->version) : span_of(r->version);
}

bool record_is_owned(const struct record *r, struct span uid)
{
	const struct notes *n = notes_of(r);

	for (uint32_t i = 0; n && i < n->owner_count; i++)
		if (span_equal(n->owners[i].uid, uid))
			return true;
	return false;
}

bool record_has_owner(const struct record *r)
{
	const struct notes *n = notes_of(r);

	return n && n->owner_count;
}

bool record_is_ending(const struct record *r)
{
	const struct notes *n = notes_of(r);

	return n && n->is_ending;
}

struct span record_uid(const struct record *r)
{
	const struct notes *n = notes_of(r);

	return n ? n->uid : (struct span){ 0 };
}

bool record_mentions(const struct record *r, struct span text)
{
	return r->text.len && memmem(r->text.ptr, r->text.len, text.ptr, text.len);
}
