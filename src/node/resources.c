/* SPDX-License-Identifier: Apache-2.0 */
/* resources - who a container runs as, what it may do, how much it may use; what a pod has in sum. */
#include <unistd.h>

#include "kube/kinds/quantity.h"
#include "node/environment.h"

#define SECCOMP_FOLDER  "/var/lib/kubelet/seccomp/" /* where kubelet looks for localhostProfile */
#define CRITICAL_LEAST  INT64_C(2000000000)         /* priority of system-cluster-critical */
#define OOM_GUARANTEED  (-997)
#define OOM_BEST_EFFORT 1000
#define OOM_BURSTABLE   3 /* least of a burstable one: 1000 + OOM_GUARANTEED */

/* A member of the container's securityContext, or else of the pod's; NULL: unsaid. */
static const struct value *security_member(const struct value *pod, const struct value *container, const char *name)
{
	const struct value *v = value_get(value_get(container, SPAN("securityContext")), span_of(name));

	if (v && v->type != VALUE_NULL)
		return v;
	v = value_get(value_find(pod, "spec.securityContext"), span_of(name));
	return v && v->type != VALUE_NULL ? v : NULL;
}

static bool is_true(const struct value *v)
{
	return value_is(v, VALUE_BOOL) && v->boolean;
}

static int64_t id_of(const struct value *v)
{
	return value_is(v, VALUE_INT) ? v->integer : -1;
}

/* ---- amounts ---- */

static quantity_amount amount_of(const struct value *resources, const char *list, const char *name)
{
	struct quantity q = quantity_of(0);
	const struct value *v = value_get(value_get(resources, span_of(list)), span_of(name));

	if (value_is(v, VALUE_STRING))
		(void)quantity_read(v->string, &q);
	return MAX(q.nano, 0);
}

static int64_t thousandths(quantity_amount nano)
{
	quantity_amount milli = (nano + 999999) / 1000000;

	return milli > INT64_MAX ? INT64_MAX : (int64_t)milli;
}

static int64_t whole(quantity_amount nano)
{
	quantity_amount units = (nano + QUANTITY_NANO - 1) / QUANTITY_NANO;

	return units > INT64_MAX ? INT64_MAX : (int64_t)units;
}

static struct resources container_resources(const struct value *container)
{
	const struct value *resources = value_get(container, SPAN("resources"));

	return (struct resources){ .cpu_request = thousandths(amount_of(resources, "requests", "cpu")),
				   .cpu_limit = thousandths(amount_of(resources, "limits", "cpu")),
				   .memory_limit = whole(amount_of(resources, "limits", "memory")) };
}

static bool is_sidecar(const struct value *container)
{
	return span_equal(value_find_string(container, "restartPolicy"), SPAN("Always"));
}

/*
 * Containers and sidecars run together; an init container beside the sidecars before it. `unlimited` (may be NULL): set when one has none of it.
 */
static quantity_amount pod_amount(const struct value *pod, const char *list, const char *name, bool *unlimited)
{
	const struct value *containers = value_find(pod, "spec.containers"),
			   *first = value_find(pod, "spec.initContainers");
	quantity_amount sum = 0, sidecars = 0, most = 0, one;
	const struct value *overhead = value_get(value_find(pod, "spec.overhead"), span_of(name));
	struct quantity extra = quantity_of(0);

	for (uint32_t i = 0; i < value_count(containers); i++) {
		one = amount_of(value_get(value_item(containers, i), SPAN("resources")), list, name);
		if (!one && unlimited)
			*unlimited = true;
		sum += one;
	}
	for (uint32_t i = 0; i < value_count(first); i++) {
		one = amount_of(value_get(value_item(first, i), SPAN("resources")), list, name);
		if (!one && unlimited)
			*unlimited = true;
		if (is_sidecar(value_item(first, i)))
			sidecars += one;
		most = MAX(most, is_sidecar(value_item(first, i)) ? sidecars : sidecars + one);
	}
	sum = MAX(sum + sidecars, most);
	if (value_is(overhead, VALUE_STRING) && quantity_read(overhead->string, &extra) && (sum || !unlimited))
		sum += extra.nano;
	return sum;
}

struct resources pod_resources_sum(const struct value *pod)
{
	bool has_no_cpu = false, has_no_memory = false;
	quantity_amount cpu = pod_amount(pod, "limits", "cpu", &has_no_cpu);
	quantity_amount memory = pod_amount(pod, "limits", "memory", &has_no_memory);

	return (struct resources){ .cpu_request = thousandths(pod_amount(pod, "requests", "cpu", NULL)),
				   .cpu_limit = has_no_cpu ? 0 : thousandths(cpu),
				   .memory_limit = has_no_memory ? 0 : whole(memory) };
}

int64_t pod_request(const struct value *pod, const char *resource)
{
	quantity_amount nano = pod_amount(pod, "requests", resource, NULL);

	return strcmp(resource, "cpu") == 0 ? thousandths(nano) : whole(nano);
}

int64_t pod_limit(const struct value *pod, const char *resource)
{
	quantity_amount nano = pod_amount(pod, "limits", resource, NULL);

	return strcmp(resource, "cpu") == 0 ? thousandths(nano) : whole(nano);
}

/* ---- quality of service ---- */

static void look_at(const struct value *containers, bool *has_any, bool *is_guaranteed)
{
	static const char *const names[] = { "cpu", "memory" };

	for (uint32_t i = 0; i < value_count(containers); i++) {
		const struct value *resources = value_get(value_item(containers, i), SPAN("resources"));

		for (size_t k = 0; k < ARRAY_LEN(names); k++) {
			quantity_amount limit = amount_of(resources, "limits", names[k]);
			quantity_amount request = amount_of(resources, "requests", names[k]);

			*has_any = *has_any || limit || request;
			*is_guaranteed = *is_guaranteed && limit && (!request || request == limit);
		}
	}
}

struct span pod_quality_class(const struct value *pod)
{
	struct span told = value_find_string(pod, "status.qosClass");
	bool has_any = false, is_guaranteed = true;

	if (told.len)
		return told;
	look_at(value_find(pod, "spec.containers"), &has_any, &is_guaranteed);
	look_at(value_find(pod, "spec.initContainers"), &has_any, &is_guaranteed);
	return !has_any ? SPAN("BestEffort") : is_guaranteed ? SPAN("Guaranteed") : SPAN("Burstable");
}

/* Whom the kernel kills first when memory ends. Burstable ones by their share of the machine's memory: facts of kubelet's qos/policy. */
static int oom_score(const struct value *pod, const struct value *container)
{
	struct span quality = pod_quality_class(pod);
	int64_t memory = (int64_t)sysconf(_SC_PHYS_PAGES) * sysconf(_SC_PAGESIZE);
	int64_t request = whole(amount_of(value_get(container, SPAN("resources")), "requests", "memory"));
	int64_t score;

	if (value_find_int(pod, "spec.priority", 0) >= CRITICAL_LEAST || span_equal(quality, SPAN("Guaranteed")))
		return OOM_GUARANTEED;
	if (span_equal(quality, SPAN("BestEffort")) || memory <= 0)
		return OOM_BEST_EFFORT;
	score = 1000 - (int64_t)((quantity_amount)1000 * request / memory);
	return (int)MIN(MAX(score, OOM_BURSTABLE), OOM_BEST_EFFORT - 1);
}

/* ---- users ---- */

static bool user_check(const struct value *pod, const struct value *container, const struct security *s,
		       struct error *err)
{
	struct span name = value_find_string(pod, "metadata.name"),
		    space = value_find_string(pod, "metadata.namespace");
	struct span uid = value_find_string(pod, "metadata.uid"), own = value_find_string(container, "name");

	if (!is_true(security_member(pod, container, "runAsNonRoot")) || s->user > 0)
		return true;
	if (s->user == 0)
		return error_set(err, ERROR_INVALID,
				 "container's runAsUser breaks non-root policy (pod: \"" SPAN_FMT "_" SPAN_FMT
				 "(" SPAN_FMT ")\", container: " SPAN_FMT ")",
				 SPAN_ARG(name), SPAN_ARG(space), SPAN_ARG(uid), SPAN_ARG(own));
	return error_set(err, ERROR_INVALID,
			 "container has runAsNonRoot and image will run as root (pod: \"" SPAN_FMT "_" SPAN_FMT
			 "(" SPAN_FMT ")\", container: " SPAN_FMT "): a process has no image that names a user; set "
			 "runAsUser",
			 SPAN_ARG(name), SPAN_ARG(space), SPAN_ARG(uid), SPAN_ARG(own));
}

static bool groups_read(const struct value *pod, struct arena *arena, struct security *s, struct error *err)
{
	const struct value *list = value_find(pod, "spec.securityContext.supplementalGroups");
	const struct value *fs = value_find(pod, "spec.securityContext.fsGroup");
	uint32_t count = value_count(list);
	int64_t *groups = ARENA_ARRAY(arena, int64_t, (size_t)count + 1, err);
	size_t n = 0;

	if (!groups)
		return false;
	for (uint32_t i = 0; i < count; i++)
		if (value_is(value_item(list, i), VALUE_INT))
			groups[n++] = value_item(list, i)->integer;
	if (value_is(fs, VALUE_INT))
		groups[n++] = fs->integer;
	s->groups = groups;
	s->group_count = n;
	return true;
}

static bool names_read(const struct value *list, struct arena *arena, const struct span **ret, size_t *ret_count,
		       struct error *err)
{
	uint32_t count = value_count(list);
	struct span *names = ARENA_ARRAY(arena, struct span, count, err);

	if (!names)
		return false;
	for (uint32_t i = 0; i < count; i++) {
		struct span s = value_is(value_item(list, i), VALUE_STRING) ? value_item(list, i)->string : SPAN("");

		names[i] = span_starts(s, SPAN("CAP_")) ? span_skip(s, strlen("CAP_")) : s;
	}
	*ret = names;
	*ret_count = count;
	return true;
}

static bool seccomp_read(const struct value *pod, const struct value *container, struct arena *arena,
			 struct security *s, struct error *err)
{
	const struct value *profile = security_member(pod, container, "seccompProfile");
	struct span type = value_find_string(profile, "type"), file = value_find_string(profile, "localhostProfile");

	s->seccomp = s->is_privileged || span_equal(type, SPAN("Unconfined")) ? SECCOMP_NONE : SECCOMP_DEFAULT;
	if (s->is_privileged || !span_equal(type, SPAN("Localhost")))
		return true;
	s->seccomp = SECCOMP_FILE;
	s->seccomp_file = arena_print(arena, err, "%s%.*s", SECCOMP_FOLDER, (int)file.len, file.ptr);
	return s->seccomp_file.ptr != NULL;
}

static bool others_check(const struct value *pod, const struct value *container, struct error *err)
{
	struct span armor = value_find_string(security_member(pod, container, "appArmorProfile"), "type");
	struct span proc = value_find_string(container, "securityContext.procMount");

	if (span_equal(armor, SPAN("Localhost")))
		return error_set(err, ERROR_INVALID,
				 "Cannot enforce AppArmor: AppArmor profiles of this machine are "
				 "not applied to processes");
	if (span_equal(proc, SPAN("Unmasked")))
		return error_set(err, ERROR_INVALID, "procMount Unmasked can't be had: /proc is masked in processes");
	return true;
}

bool container_security(const struct value *pod, const struct value *container, struct arena *arena,
			struct container_config *ret, struct error *err)
{
	const struct value *own = value_get(container, SPAN("securityContext"));
	const struct value *read_only = value_get(own, SPAN("readOnlyRootFilesystem"));
	struct security s = { 0 };

	s.user = id_of(security_member(pod, container, "runAsUser"));
	s.group = id_of(security_member(pod, container, "runAsGroup"));
	s.is_privileged = is_true(value_get(own, SPAN("privileged")));
	/* Unsaid is no here: set-user-id programs of this machine are not the container's. */
	s.may_gain_privileges = s.is_privileged || is_true(value_get(own, SPAN("allowPrivilegeEscalation")));
	s.is_root_writable = value_is(read_only, VALUE_BOOL) && !read_only->boolean;
	if (!user_check(pod, container, &s, err) || !others_check(pod, container, err) ||
	    !groups_read(pod, arena, &s, err) || !seccomp_read(pod, container, arena, &s, err) ||
	    !names_read(value_find(own, "capabilities.add"), arena, &s.capabilities_added, &s.added_count, err) ||
	    !names_read(value_find(own, "capabilities.drop"), arena, &s.capabilities_dropped, &s.dropped_count, err))
		return false;
	ret->security = s;
	ret->resources = container_resources(container);
	ret->oom_score = oom_score(pod, container);
	return true;
}
