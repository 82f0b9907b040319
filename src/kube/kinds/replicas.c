/* SPDX-License-Identifier: Apache-2.0 */
/* replicas - Deployment and ReplicaSet of apps/v1, ReplicationController and PodTemplate of core/v1. */
#include "kube/kinds/kinds.h"
#include "kube/kinds/pod.h"

/* ---- what all that make pods share ---- */

void pod_template_check_always(struct change *c, const struct at *at, const struct value *template, const char *kind)
{
	static const char *const always[] = { "Always", NULL };
	const struct value *spec = get(template, "spec");

	if (!is_text(get(spec, "restartPolicy"), "Always"))
		fault_not_supported(c, AT(AT(at, "spec"), "restartPolicy"), get(spec, "restartPolicy"), always);
	if (get(spec, "activeDeadlineSeconds"))
		fault_forbidden(c, AT(AT(at, "spec"), "activeDeadlineSeconds"),
				detail_print(c, "activeDeadlineSeconds in %s is not Supported", kind));
}

static void check_template_labels(struct change *c, const struct at *at, const struct value *labels)
{
	fault_labels(c, AT(AT(AT(at, "template"), "metadata"), "labels"), labels,
		     "`selector` does not match template `labels`");
}

void check_workload_selector(struct change *c, const struct at *at, const struct value *spec, const char *kind)
{
	const struct value *selector = get(spec, "selector"),
			   *labels = get(get(get(spec, "template"), "metadata"), "labels");
	size_t faults = c->cause_count;

	if (!selector) {
		fault_required(c, AT(at, "selector"), "");
		check_template_labels(c, at, labels);
		return;
	}
	check_selector(c, AT(at, "selector"), selector);
	if (c->cause_count != faults) {
		fault_printed(c, AT(at, "selector"), selector_print_go(c, selector),
			      strcmp(kind, "statefulset") == 0 ? "" : "invalid label selector");
		return;
	}
	if (!count_of(get(selector, "matchLabels")) && !count_of(get(selector, "matchExpressions")))
		fault_printed(c, AT(at, "selector"), selector_print_go(c, selector),
			      detail_print(c, "empty selector is invalid for %s", kind));
	else if (!selector_matches(selector, labels))
		check_template_labels(c, at, labels);
}

/* ---- Deployment ---- */

static void deployment_defaults(struct change *c)
{
	struct value *spec, *strategy;

	shape(c);
	spec = ensure(c, c->object, "spec");
	default_int(c, spec, "replicas", 1);
	default_int(c, spec, "revisionHistoryLimit", 10);
	default_int(c, spec, "progressDeadlineSeconds", 600);
	strategy = ensure(c, spec, "strategy");
	default_text(c, strategy, "type", "RollingUpdate");
	if (is_text(get(strategy, "type"), "RollingUpdate")) {
		struct value *rolling = ensure(c, strategy, "rollingUpdate");

		default_text(c, rolling, "maxUnavailable", "25%");
		default_text(c, rolling, "maxSurge", "25%");
	}
	pod_template_defaults(c, ensure(c, spec, "template"));
}

static bool is_zero(const struct value *v)
{
	int64_t percent;

	if (percent_of(v, &percent))
		return percent == 0;
	return !v || (value_is(v, VALUE_INT) && v->integer == 0) || v->type == VALUE_STRING;
}

static void check_strategy(struct change *c, const struct at *at, const struct value *strategy)
{
	const struct value *type = get(strategy, "type"), *rolling = get(strategy, "rollingUpdate");
	const struct value *unavailable = get(rolling, "maxUnavailable"), *surge = get(rolling, "maxSurge");
	const struct at *here = AT(at, "rollingUpdate");

	if (is_text(type, "Recreate")) {
		if (rolling)
			fault_forbidden(c, here, "may not be specified when strategy `type` is 'Recreate'");
	} else if (is_text(type, "RollingUpdate")) {
		check_percent_or_int(c, AT(here, "maxUnavailable"), unavailable);
		check_percent_or_int(c, AT(here, "maxSurge"), surge);
		if (is_zero(unavailable) && is_zero(surge))
			fault_int_or_string(c, AT(here, "maxUnavailable"), unavailable,
					    "may not be 0 when `maxSurge` is 0");
		check_not_over_100_percent(c, AT(here, "maxUnavailable"), unavailable);
	} else {
		static const char *const types[] = { "Recreate", "RollingUpdate", NULL };

		fault_not_supported_struct(c, at, "apps.DeploymentStrategy", strategy, "apps.RollingUpdateDeployment",
					   types);
	}
}

static void check_deployment_status(struct change *c)
{
	static const char *const members[] = {
		"replicas",           "updatedReplicas",     "readyReplicas",       "availableReplicas",
		"observedGeneration", "unavailableReplicas", "terminatingReplicas", "collisionCount"
	};
	const struct value *status = get(c->object, "status");
	const struct at *at = AT(NULL, "status");
	int64_t all_of_them = get_int(status, "replicas", 0);
	struct value available = value_int(get_int(status, "availableReplicas", 0));

	for (size_t i = 0; i < ARRAY_LEN(members); i++)
		check_not_negative(c, AT(at, members[i]), get(status, members[i]));
	for (size_t i = 1; i < 4; i++) {
		if (get_int(status, members[i], 0) > all_of_them)
			fault_invalid(c, AT(at, members[i]), get(status, members[i]),
				      "cannot be greater than status.replicas");
	}
	if (available.integer > get_int(status, "readyReplicas", 0))
		fault_invalid(c, AT(at, "availableReplicas"), &available, "cannot be greater than readyReplicas");
	if (get_int(status, "collisionCount", 0) < get_int(get(c->old, "status"), "collisionCount", 0))
		fault_invalid(c, AT(at, "collisionCount"), get(status, "collisionCount"), "cannot be decremented");
}

static void deployment_validate(struct change *c)
{
	const struct value *spec = get(c->object, "spec"), *deadline = get(spec, "progressDeadlineSeconds");
	const struct at *at = AT(NULL, "spec");

	check_metadata(c, name_check_subdomain);
	if (change_is_status(c)) {
		check_deployment_status(c);
		return;
	}
	check_not_negative(c, AT(at, "replicas"), get(spec, "replicas"));
	check_workload_selector(c, at, spec, "deployment");
	pod_template_check(c, AT(at, "template"), get(spec, "template"));
	pod_template_check_always(c, AT(at, "template"), get(spec, "template"), "ReplicaSet");
	check_strategy(c, AT(at, "strategy"), get(spec, "strategy"));
	check_not_negative(c, AT(at, "minReadySeconds"), get(spec, "minReadySeconds"));
	check_not_negative(c, AT(at, "revisionHistoryLimit"), get(spec, "revisionHistoryLimit"));
	check_not_negative(c, AT(at, "progressDeadlineSeconds"), deadline);
	if (get_int(spec, "progressDeadlineSeconds", 600) <= get_int(spec, "minReadySeconds", 0))
		fault_invalid(c, AT(at, "progressDeadlineSeconds"), deadline, "must be greater than minReadySeconds");
	if (c->old)
		check_selector_same(c, AT(at, "selector"), get(get(c->old, "spec"), "selector"), get(spec, "selector"));
	pod_template_warn(c, "Pod names and hostnames");
}

/* Its annotations count too: rollout history hangs on them. */
static bool deployment_raises(const struct value *old, const struct value *object)
{
	return !is_same(get(old, "spec"), get(object, "spec")) ||
	       !is_same(get(get(old, "metadata"), "annotations"), get(get(object, "metadata"), "annotations"));
}

/* Its status is written without its labels. */
static void deployment_prepare(struct change *c)
{
	prepare_status(c);
	if (change_is_status(c))
		carry(c, get(c->object, "metadata"), get(c->old, "metadata"), "labels");
}

static void deployment_row(const struct value *o, int64_t now_ns, struct value *cells, struct arena *arena)
{
	const struct value *spec = get(o, "spec"), *status = get(o, "status"),
			   *pod = get(get(spec, "template"), "spec");

	cells[0] = cell_name(o);
	cells[1] = cell_format(arena, "%lld/%lld", (long long)get_int(status, "readyReplicas", 0),
			       (long long)get_int(spec, "replicas", 0));
	cells[2] = value_int(get_int(status, "updatedReplicas", 0));
	cells[3] = value_int(get_int(status, "availableReplicas", 0));
	cells[4] = cell_age(o, now_ns, arena);
	cells[5] = cell_containers(pod, arena);
	cells[6] = cell_images(pod, arena);
	cells[7] = cell_selector(get(spec, "selector"), arena);
}

static const struct column deployment_columns[] = {
	COLUMN_NAME,
	COLUMN("Ready", "string", "Pods that are ready, of those wanted."),
	COLUMN("Up-to-date", "string", "Pods of the newest template."),
	COLUMN("Available", "string", "Pods that have been ready for minReadySeconds."),
	COLUMN_AGE,
	COLUMNS_OF_PODS,
	COLUMN_SELECTOR,
	{ 0 },
};
static const char *const deployment_short[] = { "deploy", NULL }, *const all[] = { "all", NULL };

#define SCALE_PATHS                                                                                                    \
	{                                                                                                              \
		"spec.replicas", "status.replicas", "spec.selector"                                                    \
	}

static const char *const deployment_status_keeps[] = { "spec", "metadata.labels", NULL };

const struct kind kind_deployment = {
	.status_keeps = deployment_status_keeps,
	.group = "apps",
	.version = "v1",
	.plural = "deployments",
	.singular = "deployment",
	.kind = "Deployment",
	.short_names = deployment_short,
	.categories = all,
	.is_namespaced = true,
	.has_generation = true,
	.verbs = KUBE_ALL_VERBS,
	.subresources = SUB_STATUS | SUB_SCALE,
	.scale = SCALE_PATHS,
	.type_name = "io.k8s.api.apps.v1.Deployment",
	.columns = deployment_columns,
	.defaults = deployment_defaults,
	.prepare = deployment_prepare,
	.validate = deployment_validate,
	.raises_generation = deployment_raises,
	.row = deployment_row,
};

/* ---- ReplicaSet ---- */

static void replica_set_defaults(struct change *c)
{
	struct value *spec;

	shape(c);
	spec = ensure(c, c->object, "spec");
	default_int(c, spec, "replicas", 1);
	pod_template_defaults(c, ensure(c, spec, "template"));
}

static void check_replica_status(struct change *c)
{
	static const char *const members[] = { "replicas", "fullyLabeledReplicas", "readyReplicas", "availableReplicas",
					       "observedGeneration" };
	const struct value *status = get(c->object, "status");
	const struct at *at = AT(NULL, "status");
	int64_t all_of_them = get_int(status, "replicas", 0);

	for (size_t i = 0; i < ARRAY_LEN(members); i++)
		check_not_negative(c, AT(at, members[i]), get(status, members[i]));
	for (size_t i = 1; i < 4; i++) {
		if (get_int(status, members[i], 0) > all_of_them)
			fault_invalid(c, AT(at, members[i]), get(status, members[i]),
				      "cannot be greater than status.replicas");
	}
	if (get_int(status, "availableReplicas", 0) > get_int(status, "readyReplicas", 0))
		fault_invalid(c, AT(at, "availableReplicas"), get(status, "availableReplicas"),
			      "cannot be greater than readyReplicas");
}

static void replica_set_validate(struct change *c)
{
	const struct value *spec = get(c->object, "spec");
	const struct at *at = AT(NULL, "spec");

	check_metadata(c, name_check_subdomain);
	if (change_is_status(c)) {
		check_replica_status(c);
		return;
	}
	/* The real server looks twice at what is changed, and tells faults twice. */
	for (int i = 0; i < (c->old ? 2 : 1); i++) {
		check_not_negative(c, AT(at, "replicas"), get(spec, "replicas"));
		check_not_negative(c, AT(at, "minReadySeconds"), get(spec, "minReadySeconds"));
		check_workload_selector(c, at, spec, "deployment");
		pod_template_check(c, AT(at, "template"), get(spec, "template"));
		pod_template_check_always(c, AT(at, "template"), get(spec, "template"), "ReplicaSet");
	}
	if (c->old)
		check_selector_same(c, AT(at, "selector"), get(get(c->old, "spec"), "selector"), get(spec, "selector"));
	pod_template_warn(c, "Pod names and hostnames");
}

static void replicas_row(const struct value *o, int64_t now_ns, struct value *cells, struct arena *arena)
{
	const struct value *spec = get(o, "spec"), *status = get(o, "status"),
			   *pod = get(get(spec, "template"), "spec");

	cells[0] = cell_name(o);
	cells[1] = value_int(get_int(spec, "replicas", 0));
	cells[2] = value_int(get_int(status, "replicas", 0));
	cells[3] = value_int(get_int(status, "readyReplicas", 0));
	cells[4] = cell_age(o, now_ns, arena);
	cells[5] = cell_containers(pod, arena);
	cells[6] = cell_images(pod, arena);
	cells[7] = cell_selector(get(spec, "selector"), arena);
}

static const struct column replicas_columns[] = {
	COLUMN_NAME,
	COLUMN("Desired", "integer", "How many pods are wanted."),
	COLUMN("Current", "integer", "How many pods there are."),
	COLUMN("Ready", "integer", "How many of them are ready."),
	COLUMN_AGE,
	COLUMNS_OF_PODS,
	COLUMN_SELECTOR,
	{ 0 },
};
static const char *const replica_set_short[] = { "rs", NULL };

const struct kind kind_replica_set = {
	.group = "apps",
	.version = "v1",
	.plural = "replicasets",
	.singular = "replicaset",
	.kind = "ReplicaSet",
	.short_names = replica_set_short,
	.categories = all,
	.is_namespaced = true,
	.has_generation = true,
	.verbs = KUBE_ALL_VERBS,
	.subresources = SUB_STATUS | SUB_SCALE,
	.scale = SCALE_PATHS,
	.type_name = "io.k8s.api.apps.v1.ReplicaSet",
	.columns = replicas_columns,
	.defaults = replica_set_defaults,
	.prepare = prepare_status,
	.validate = replica_set_validate,
	.row = replicas_row,
};

/* ---- ReplicationController ---- */

static void controller_defaults(struct change *c)
{
	const struct value *labels;
	struct value *metadata, *spec;

	shape(c);
	(void)ensure(c, c->object, "metadata");
	spec = ensure(c, c->object, "spec");
	metadata = get(c->object, "metadata");
	labels = get(get(get(spec, "template"), "metadata"), "labels");
	if (count_of(labels) && !count_of(get(metadata, "labels")))
		set_value(c, metadata, "labels", copy_of(c, labels));
	if (count_of(labels) && !count_of(get(spec, "selector")))
		set_value(c, spec, "selector", copy_of(c, labels));
	default_int(c, spec, "replicas", 1);
	if (get(spec, "template"))
		pod_template_defaults(c, get(spec, "template"));
}

static void check_controller(struct change *c)
{
	const struct value *spec = get(c->object, "spec"), *selector = get(spec, "selector"),
			   *template = get(spec, "template");
	const struct value *labels = get(get(template, "metadata"), "labels");
	const struct at *at = AT(NULL, "spec");

	check_not_negative(c, AT(at, "minReadySeconds"), get(spec, "minReadySeconds"));
	if (!count_of(selector))
		fault_required(c, AT(at, "selector"), "");
	check_not_negative(c, AT(at, "replicas"), get(spec, "replicas"));
	if (!template) {
		fault_required(c, AT(at, "template"), "");
		return;
	}
	for (uint32_t i = 0; i < count_of(selector); i++) {
		const struct value_member *m = &selector->object.members[i];

		if (!is_same(value_get(labels, m->key), &m->value)) {
			check_template_labels(c, at, labels);
			break;
		}
	}
	pod_template_check(c, AT(at, "template"), template);
	pod_template_check_always(c, AT(at, "template"), template, "ReplicationController");
}

static void controller_validate(struct change *c)
{
	check_metadata(c, name_check_subdomain);
	if (change_is_status(c)) {
		check_replica_status(c);
		return;
	}
	for (int i = 0; i < (c->old ? 2 : 1); i++)
		check_controller(c);
}

static const char *const controller_short[] = { "rc", NULL };

static const struct selectable replication_fields[] = { { "status.replicas", NULL, "0" }, { 0 } };

const struct kind kind_replication_controller = {
	.group = "",
	.version = "v1",
	.plural = "replicationcontrollers",
	.singular = "replicationcontroller",
	.kind = "ReplicationController",
	.orphans = true,
	.short_names = controller_short,
	.categories = all,
	.is_namespaced = true,
	.has_generation = true,
	.verbs = KUBE_ALL_VERBS,
	.subresources = SUB_STATUS | SUB_SCALE,
	.scale = SCALE_PATHS,
	.type_name = "io.k8s.api.core.v1.ReplicationController",
	.selectable = replication_fields,
	.columns = replicas_columns,
	.defaults = controller_defaults,
	.prepare = prepare_status,
	.validate = controller_validate,
	.row = replicas_row,
};

/* ---- PodTemplate ---- */

static void pod_template_kind_defaults(struct change *c)
{
	shape(c);
	pod_template_defaults(c, ensure(c, c->object, "template"));
}

static void pod_template_validate(struct change *c)
{
	check_metadata(c, name_check_subdomain);
	pod_template_check(c, AT(NULL, "template"), get(c->object, "template"));
}

static bool pod_template_raises(const struct value *old, const struct value *object)
{
	return !is_same(get(old, "template"), get(object, "template"));
}

static void pod_template_row(const struct value *o, int64_t now_ns, struct value *cells, struct arena *arena)
{
	const struct value *template = get(o, "template");

	(void)now_ns;
	cells[0] = cell_name(o);
	cells[1] = cell_containers(get(template, "spec"), arena);
	cells[2] = cell_images(get(template, "spec"), arena);
	cells[3] = cell_labels(get(get(template, "metadata"), "labels"), arena);
}

static const struct column pod_template_columns[] = {
	COLUMN_NAME,
	COLUMN("Containers", "string", "Names of the containers of a pod."),
	COLUMN("Images", "string", "Images of these containers."),
	COLUMN("Pod Labels", "string", "Labels of the pods made from it."),
	{ 0 },
};

const struct kind kind_pod_template = {
	.group = "",
	.version = "v1",
	.plural = "podtemplates",
	.singular = "podtemplate",
	.kind = "PodTemplate",
	.is_namespaced = true,
	.has_generation = true,
	.verbs = KUBE_ALL_VERBS,
	.type_name = "io.k8s.api.core.v1.PodTemplate",
	.columns = pod_template_columns,
	.defaults = pod_template_kind_defaults,
	.prepare = shape,
	.validate = pod_template_validate,
	.raises_generation = pod_template_raises,
	.row = pod_template_row,
};
