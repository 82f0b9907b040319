/* SPDX-License-Identifier: Apache-2.0 */
/* statefulset_pods - the pods of a StatefulSet: numbered names that stay, with labels and volumes of their own. */
#include "controllers/statefulset.h"

#include "base/number.h"

#define LABEL_NAME  "statefulset.kubernetes.io/pod-name"
#define LABEL_INDEX "apps.kubernetes.io/pod-index"

int64_t stateful_ordinal(struct span set, struct span pod)
{
	int64_t ordinal;
	struct span digits;

	if (!span_starts(pod, set) || pod.len < set.len + 2 || pod.ptr[set.len] != '-')
		return -1;
	digits = span_skip(pod, set.len + 1);
	if (digits.ptr[0] < '0' || digits.ptr[0] > '9' || (digits.ptr[0] == '0' && digits.len > 1))
		return -1;
	return number_parse_int64(digits, &ordinal) && ordinal <= INT32_MAX ? ordinal : -1;
}

struct span stateful_pod_name(struct stateful *s, int64_t ordinal)
{
	return arena_print(s->r->arena, s->r->err, "%.*s-%lld", (int)s->r->name.len, s->r->name.ptr,
			   (long long)ordinal);
}

/* ---- state ---- */

static bool is_in_phase(const struct value *pod, const char *phase)
{
	return span_equal(value_find_string(pod, "status.phase"), span_of(phase));
}

bool stateful_pod_is_running_and_ready(const struct value *pod)
{
	return is_in_phase(pod, "Running") && pod_is_ready(pod);
}

bool stateful_pod_is_healthy(const struct value *pod)
{
	return stateful_pod_is_running_and_ready(pod) && !object_is_ending(pod);
}

bool stateful_pod_has_ended(const struct value *pod)
{
	return is_in_phase(pod, "Succeeded") || is_in_phase(pod, "Failed");
}

bool stateful_pod_is_pending(const struct value *pod)
{
	return is_in_phase(pod, "Pending");
}

struct span stateful_pod_revision(const struct value *pod)
{
	return object_label(pod, LABEL_REVISION);
}

/* ---- what a place gives its pod ---- */

static void identity_put(struct stateful *s, struct value *pod, int64_t ordinal)
{
	struct value *labels = put_object(s->r, put_object(s->r, pod, "metadata"), "labels");

	put(s->r, labels, LABEL_NAME, value_string(stateful_pod_name(s, ordinal)));
	put(s->r, labels, LABEL_INDEX, text_print(s->r, "%lld", (long long)ordinal));
}

static bool has_identity(const struct value *pod)
{
	return span_equal(object_label(pod, LABEL_NAME), object_name(pod));
}

static const struct value *claim_template(const struct stateful *s, struct span name)
{
	for (uint32_t i = 0; i < value_count(s->claims); i++)
		if (span_equal(object_name(value_item(s->claims, i)), name))
			return value_item(s->claims, i);
	return NULL;
}

/* Volumes of the template that have a claim's name give way to it. */
static void volumes_put(struct stateful *s, struct value *pod, int64_t ordinal)
{
	struct value *spec = put_object(s->r, pod, "spec"), volumes = value_array();
	const struct value *others = member(spec, "volumes");

	if (!value_count(s->claims))
		return;
	for (uint32_t i = 0; i < value_count(s->claims); i++) {
		const struct value *template = value_item(s->claims, i);
		struct value volume = value_object();

		put(s->r, &volume, "name", value_string(object_name(template)));
		put(s->r, put_object(s->r, &volume, "persistentVolumeClaim"), "claimName",
		    value_string(stateful_claim_name(s, template, ordinal)));
		put_item(s->r, &volumes, volume);
	}
	for (uint32_t i = 0; i < value_count(others); i++)
		if (!claim_template(s, value_find_string(value_item(others, i), "name")))
			put_item(s->r, &volumes, *value_item(others, i));
	put(s->r, spec, "volumes", volumes);
}

static bool has_volumes(struct stateful *s, const struct value *pod, int64_t ordinal)
{
	const struct value *volumes = value_find(pod, "spec.volumes");
	uint32_t found = 0;

	for (uint32_t i = 0; i < value_count(volumes); i++) {
		const struct value *volume = value_item(volumes, i);
		const struct value *template = claim_template(s, value_find_string(volume, "name"));

		found += template && span_equal(value_find_string(volume, "persistentVolumeClaim.claimName"),
						stateful_claim_name(s, template, ordinal));
	}
	return found == value_count(s->claims);
}

/* ---- writes ---- */

static void report(struct stateful *s, const char *verb, const char *lower, struct span name)
{
	reconcile_report(s->r, verb, "%s Pod " SPAN_FMT " in StatefulSet " SPAN_FMT " successful", lower,
			 SPAN_ARG(name), SPAN_ARG(s->r->name));
	reconcile_report_failure(s->r, "%s Pod " SPAN_FMT " in StatefulSet " SPAN_FMT " failed error", lower,
				 SPAN_ARG(name), SPAN_ARG(s->r->name));
}

const struct value *stateful_revision(const struct stateful *s, int64_t ordinal)
{
	return s->is_rolling && ordinal - s->start < s->partition ? s->current : s->update;
}

void stateful_pod_make(struct stateful *s, int64_t ordinal)
{
	struct reconcile *r = s->r;
	const struct value *revision = stateful_revision(s, ordinal), *template = revision_template(r, revision);
	struct span name = stateful_pod_name(s, ordinal), service = value_find_string(s->spec, "serviceName");
	struct value *pod = pod_from_template(r, template ? template : member(s->spec, "template"), r->name);
	struct value *labels, *spec;

	if (!pod)
		return;
	put(r, put_object(r, pod, "metadata"), "name", value_string(name));
	identity_put(s, pod, ordinal);
	labels = put_object(r, put_object(r, pod, "metadata"), "labels");
	put(r, labels, LABEL_REVISION, value_string(object_name(revision)));
	spec = put_object(r, pod, "spec");
	put(r, spec, "hostname", value_string(name));
	if (service.len)
		put(r, spec, "subdomain", value_string(service));
	else
		(void)value_remove(spec, SPAN("subdomain"));
	volumes_put(s, pod, ordinal);
	reconcile_create(r, &resource_pods, pod);
	report(s, "Create", "create", name);
}

void stateful_pod_drop(struct stateful *s, const struct value *pod)
{
	reconcile_delete(s->r, &resource_pods, pod);
	report(s, "Delete", "delete", object_name(pod));
}

/* Then it is written already, and may be written again when that is seen. */
static bool is_just_adopted(struct stateful *s, const struct value *pod)
{
	return !object_controller(reconcile_get(s->r, &resource_pods, s->r->name_space, object_name(pod))).len;
}

void stateful_pod_settle(struct stateful *s, const struct numbered *n)
{
	struct value *copy;

	if ((has_identity(n->pod) && has_volumes(s, n->pod, n->ordinal)) || is_just_adopted(s, n->pod))
		return;
	copy = object_copy(s->r, n->pod);
	identity_put(s, copy, n->ordinal);
	if (!has_volumes(s, n->pod, n->ordinal))
		volumes_put(s, copy, n->ordinal);
	reconcile_update(s->r, &resource_pods, copy);
	report(s, "Update", "update", object_name(n->pod));
}
