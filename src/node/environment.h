/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * environment - the environment and the command of a container: env and envFrom of every source, $(NAME) references, variables of services, and the
 * fields of the downward API, which volumes.h takes from here too.
 *
 * Errors: the words kubectl shows with CreateContainerConfigError: NOT_FOUND `configmap "a" not found`, INVALID ...
 * Threads: the loop. Spans given back are cut from the arena.
 */
#include "kube/cluster.h"
#include "node/runtime.h"

struct image; /* images.h */

struct pod_place {
	struct cluster *cluster;
	struct span node_name, host_address, pod_address, cluster_domain;
	struct span dns_address; /* empty: the machine's own */
	int64_t capacity_cpu,
	    capacity_memory; /* of the node: limits of containers that have none, for resourceFieldRef */
};

/* Follows the kinds that are read here and by volumes.h (ConfigMaps, Secrets, Services ...); `changed` for each change of one. */
bool pod_place_follow(struct pod_place *p, void (*changed)(void *context, const struct sighting *s), void *context,
		      struct error *err);

/* `image`: of a folder that stands in for the container's image; what it sets is under what the pod sets. NULL: there is none. */
bool environment_make(const struct pod_place *p, const struct value *pod, const struct value *container,
		      const struct image *image, struct arena *arena, struct name_value **ret, size_t *ret_count,
		      struct error *err) MUST_CHECK;
/* command and args with references replaced, the image's where there are none, as container engines put them together. INVALID without any command:
 * names the image. */
bool command_make(const struct value *container, const struct name_value *environment, size_t count,
		  const struct image *image, struct arena *arena, struct span **ret, size_t *ret_count,
		  struct error *err) MUST_CHECK;
/* Every $(NAME) replaced; NOT_FOUND `missing value for "NAME"` where there is none. For subPathExpr. */
bool references_replace(struct span text, const struct name_value *environment, size_t count, struct arena *arena,
			struct span *ret, struct error *err) MUST_CHECK;
/* A field as fieldRef has it ("metadata.labels['app']", "status.podIP"), a resource as resourceFieldRef has it. */
bool field_value(const struct pod_place *p, const struct value *pod, struct span path, struct arena *arena,
		 struct span *ret, struct error *err) MUST_CHECK;
bool resource_value(const struct pod_place *p, const struct value *pod, struct span container, struct span resource,
		    struct span divisor, struct arena *arena, struct span *ret, struct error *err) MUST_CHECK;
struct span pod_hostname(const struct pod_place *p,
			 const struct value *pod); /* "web-0"; of a pod on the host's network the node's */
/* Users, capabilities, limits: securityContext of pod and container, resources, as the runtime takes them. The `mounts`, command,
 * environment and paths are left alone. */
bool container_security(const struct value *pod, const struct value *container, struct arena *arena,
			struct container_config *ret, struct error *err) MUST_CHECK;
struct resources
pod_resources_sum(const struct value *pod); /* sums of the containers, by the rules of init containers and sidecars */
struct span pod_quality_class(const struct value *pod); /* "Guaranteed", "Burstable", "BestEffort" */
/* The same sums of requests: thousandths of "cpu", whole ones of anything else. */
int64_t pod_request(const struct value *pod, const char *resource);
/* Of limits; containers without one count nothing. 0: none has one. */
int64_t pod_limit(const struct value *pod, const char *resource);
