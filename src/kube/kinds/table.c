/* SPDX-License-Identifier: Apache-2.0 */
/* table - all built-in kinds, one row each, in the order of discovery. */
#include "kube/kind.h"

#define KINDS(X)                                                                                                       \
	X(config_map)                                                                                                  \
	X(deployment)                                                                                                  \
	X(namespace)                                                                                                   \
	X(pod)                                                                                                         \
	X(pod_template)                                                                                                \
	X(replica_set)                                                                                                 \
	X(replication_controller)                                                                                      \
	X(secret)                                                                                                      \
	X(service)                                                                                                     \
	X(service_account)

#define X(name) extern const struct kind kind_##name;
KINDS(X)
#undef X

#define X(name) &kind_##name,
const struct kind *const kinds_table[] = { KINDS(X) NULL };
