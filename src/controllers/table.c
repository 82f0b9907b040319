/* SPDX-License-Identifier: Apache-2.0 */
/* table - the controllers there are. */
#include "controllers/controller.h"

extern const struct controller controller_autoscaler, controller_claim, controller_claim_volume, controller_cronjob,
    controller_daemonset, controller_deployment, controller_disruption, controller_disruption_pods,
    controller_ended_pods, controller_endpoints, controller_endpoints_mirror, controller_endpointslice,
    controller_inference_service, controller_job, controller_job_ttl, controller_node_lifecycle,
    controller_pod_collector, controller_replicaset, controller_scheduler, controller_seldon, controller_statefulset,
    controller_storage_class, controller_taint_eviction;

const struct controller *const controllers_table[] = {
	&controller_autoscaler,        &controller_claim,
	&controller_claim_volume,      &controller_cronjob,
	&controller_daemonset,         &controller_deployment,
	&controller_disruption,        &controller_disruption_pods,
	&controller_ended_pods,        &controller_endpoints,
	&controller_endpoints_mirror,  &controller_endpointslice,
	&controller_inference_service, &controller_job,
	&controller_job_ttl,           &controller_node_lifecycle,
	&controller_pod_collector,     &controller_replicaset,
	&controller_scheduler,         &controller_seldon,
	&controller_statefulset,       &controller_storage_class,
	&controller_taint_eviction,    NULL,
};
