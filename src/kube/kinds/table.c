/* SPDX-License-Identifier: Apache-2.0 */
/* table - all built-in kinds, one row each, in the order of discovery. */
#include "kube/kind.h"

#define KINDS(X)                                                                                                       \
	X(binding)                                                                                                     \
	X(config_map)                                                                                                  \
	X(endpoints)                                                                                                   \
	X(event)                                                                                                       \
	X(limit_range)                                                                                                 \
	X(namespace)                                                                                                   \
	X(node)                                                                                                        \
	X(persistent_volume_claim)                                                                                     \
	X(persistent_volume)                                                                                           \
	X(pod)                                                                                                         \
	X(pod_template)                                                                                                \
	X(replication_controller)                                                                                      \
	X(resource_quota)                                                                                              \
	X(secret)                                                                                                      \
	X(service_account)                                                                                             \
	X(service)                                                                                                     \
	X(mutating_webhooks)                                                                                           \
	X(validating_webhooks)                                                                                         \
	X(custom_resource_definition)                                                                                  \
	X(controller_revision)                                                                                         \
	X(daemon_set)                                                                                                  \
	X(deployment)                                                                                                  \
	X(replica_set)                                                                                                 \
	X(stateful_set)                                                                                                \
	X(self_subject_review)                                                                                         \
	X(token_review)                                                                                                \
	X(local_subject_access_review)                                                                                 \
	X(self_subject_access_review)                                                                                  \
	X(self_subject_rules_review)                                                                                   \
	X(subject_access_review)                                                                                       \
	X(autoscaler)                                                                                                  \
	X(old_autoscaler)                                                                                              \
	X(cron_job)                                                                                                    \
	X(job)                                                                                                         \
	X(lease)                                                                                                       \
	X(endpoint_slice)                                                                                              \
	X(new_event)                                                                                                   \
	X(node_usage)                                                                                                  \
	X(pod_usage)                                                                                                   \
	X(ingress_class)                                                                                               \
	X(ingress)                                                                                                     \
	X(network_policy)                                                                                              \
	X(runtime_class)                                                                                               \
	X(disruption_budget)                                                                                           \
	X(cluster_role_binding)                                                                                        \
	X(cluster_role)                                                                                                \
	X(role_binding)                                                                                                \
	X(role)                                                                                                        \
	X(priority_class)                                                                                              \
	X(storage_class)

#define X(name) extern const struct kind kind_##name;
KINDS(X)
#undef X

#define X(name) &kind_##name,
const struct kind *const kinds_table[] = { KINDS(X) NULL };
