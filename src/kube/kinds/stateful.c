/* SPDX-License-Identifier: Apache-2.0 */
/* stateful - StatefulSet, DaemonSet and ControllerRevision of apps/v1. */
#include "kube/kinds/kinds.h"
#include "kube/kinds/pod.h"

#include "base/number.h"

/* ---- StatefulSet ---- */

static void stateful_set_defaults(struct change *c)
{
	struct value *spec, *strategy, *policy, *claims;

	shape(c);
	spec = ensure(c, c->object, "spec");
	default_text(c, spec, "podManagementPolicy", "OrderedReady");
	default_int(c, spec, "replicas", 1);
	default_int(c, spec, "revisionHistoryLimit", 10);
	strategy = ensure(c, spec, "updateStrategy");
	if (value_is_empty(get(strategy, "type"))) {
		set_text(c, strategy, "type", SPAN("RollingUpdate"));
		(void)ensure(c, strategy, "rollingUpdate");
	}
	if (is_text(get(strategy, "type"), "RollingUpdate"))
		default_int(c, get(strategy, "rollingUpdate"), "partition", 0);
	policy = ensure(c, spec, "persistentVolumeClaimRetentionPolicy");
	default_text(c, policy, "whenDeleted", "Retain");
	default_text(c, policy, "whenScaled", "Retain");
	pod_template_defaults(c, ensure(c, spec, "template"));
	claims = get(spec, "volumeClaimTemplates");
	for (uint32_t i = 0; i < count_of(claims); i++) {
		struct value *claim = value_item(claims, i);

		/* The real server tells the kind of these, and a status. */
		default_text(c, claim, "apiVersion", "v1");
		default_text(c, claim, "kind", "PersistentVolumeClaim");
		claim_spec_defaults(c, ensure(c, claim, "spec"));
		default_text(c, ensure(c, claim, "status"), "phase", "Pending");
	}
}

#define SPEC_WORDS                                                                                                     \
	"updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', 'updateStrategy', "     \
	"'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are forbidden"

static void check_stateful_update(struct change *c, const struct at *at, const struct value *spec)
{
	static const char *const free_members[] = { "replicas",
						    "template",
						    "updateStrategy",
						    "minReadySeconds",
						    "ordinals",
						    "revisionHistoryLimit",
						    "persistentVolumeClaimRetentionPolicy" };
	const struct value *old = get(c->old, "spec");
	struct value rest = copy_of(c, spec);

	for (size_t i = 0; i < ARRAY_LEN(free_members); i++)
		carry(c, &rest, old, free_members[i]);
	if (!is_same(&rest, old))
		fault_forbidden(c, at, SPEC_WORDS);
}

static void check_stateful_strategy(struct change *c, const struct at *at, const struct value *strategy)
{
	const struct value *type = get(strategy, "type"), *rolling = get(strategy, "rollingUpdate");
	const struct value *unavailable = get(rolling, "maxUnavailable");
	const struct at *here = AT(at, "rollingUpdate");

	if (is_text(type, "OnDelete")) {
		if (rolling)
			fault_invalid(c, here, rolling, "only allowed for updateStrategy 'RollingUpdate'");
	} else if (is_text(type, "RollingUpdate")) {
		check_not_negative(c, AT(here, "partition"), get(rolling, "partition"));
		check_percent_or_int(c, AT(here, "maxUnavailable"), unavailable);
		if (value_is(unavailable, VALUE_INT) && unavailable->integer == 0)
			fault_int_or_string(c, AT(here, "maxUnavailable"), unavailable, "cannot be 0");
		check_not_over_100_percent(c, AT(here, "maxUnavailable"), unavailable);
	} else {
		fault_printed(c, at,
			      strategy_print(c, "apps.StatefulSetUpdateStrategy", strategy,
					     "apps.RollingUpdateStatefulSetStrategy"),
			      "must be 'RollingUpdate' or 'OnDelete'");
	}
}

static void stateful_set_validate(struct change *c)
{
	static const char *const policies[] = { "OrderedReady", "Parallel", NULL }, *const kept[] = { "Retain",
												      "Delete", NULL };
	const struct value *spec = get(c->object, "spec"), *policy = get(spec, "persistentVolumeClaimRetentionPolicy");
	const struct value *metadata = get(get(spec, "template"), "metadata");
	const struct at *at = AT(NULL, "spec"), *here = AT(at, "persistentVolumeClaimRetentionPolicy");

	check_metadata(c, name_check_label);
	if (change_is_status(c))
		return;
	if (!text_is_one_of(get_text(spec, "podManagementPolicy"), policies))
		fault_invalid(c, AT(at, "podManagementPolicy"), get(spec, "podManagementPolicy"),
			      "must be 'OrderedReady' or 'Parallel'");
	check_stateful_strategy(c, AT(at, "updateStrategy"), get(spec, "updateStrategy"));
	check_one_of(c, AT(here, "whenDeleted"), get(policy, "whenDeleted"), kept);
	check_one_of(c, AT(here, "whenScaled"), get(policy, "whenScaled"), kept);
	check_not_negative(c, AT(at, "replicas"), get(spec, "replicas"));
	check_not_negative(c, AT(at, "minReadySeconds"), get(spec, "minReadySeconds"));
	check_not_negative(c, AT(at, "ordinals.start"), get(get(spec, "ordinals"), "start"));
	if (!c->old && get_text(spec, "serviceName").len)
		check_name(c, AT(at, "serviceName"), get(spec, "serviceName"), name_check_label);
	check_workload_selector(c, at, spec, "statefulset");
	/* The pods themselves are not looked into: their volumes come from claims that are not made yet. */
	check_labels(c, AT(AT(at, "template"), "labels"), get(metadata, "labels"));
	check_annotations(c, AT(AT(at, "template"), "annotations"), get(metadata, "annotations"));
	pod_template_check_always(c, AT(at, "template"), get(spec, "template"), "StatefulSet");
	if (c->old)
		check_stateful_update(c, at, spec);
	pod_template_warn(c, NULL);
}

static void stateful_set_row(const struct value *o, int64_t now_ns, struct value *cells, struct arena *arena)
{
	const struct value *spec = get(o, "spec"), *pod = get(get(spec, "template"), "spec");

	cells[0] = cell_name(o);
	cells[1] = cell_format(arena, "%lld/%lld", (long long)get_int(get(o, "status"), "readyReplicas", 0),
			       (long long)get_int(spec, "replicas", 0));
	cells[2] = cell_age(o, now_ns, arena);
	cells[3] = cell_containers(pod, arena);
	cells[4] = cell_images(pod, arena);
}

static const struct column stateful_set_columns[] = {
	COLUMN_NAME, COLUMN("Ready", "string", "Pods that are ready, of those wanted."), COLUMN_AGE, COLUMNS_OF_PODS,
	{ 0 },
};
static const char *const stateful_set_short[] = { "sts", NULL }, *const daemon_set_short[] = { "ds", NULL },
			 *const all[] = { "all", NULL };

const struct kind kind_stateful_set = {
	.group = "apps",
	.version = "v1",
	.plural = "statefulsets",
	.singular = "statefulset",
	.kind = "StatefulSet",
	.short_names = stateful_set_short,
	.categories = all,
	.is_namespaced = true,
	.has_generation = true,
	.verbs = KUBE_ALL_VERBS,
	.subresources = SUB_STATUS | SUB_SCALE,
	.scale = { "spec.replicas", "status.replicas", "spec.selector" },
	.type_name = "io.k8s.api.apps.v1.StatefulSet",
	.columns = stateful_set_columns,
	.defaults = stateful_set_defaults,
	.prepare = prepare_status,
	.validate = stateful_set_validate,
	.row = stateful_set_row,
};

/* ---- DaemonSet ---- */

#define GENERATION_KEY "deprecated.daemonset.template.generation"

/* An annotation counts the changes of the template, from 1. */
static void count_templates(struct change *c)
{
	const struct value *old = get(c->old, "spec");
	struct value *annotations, *metadata;
	int64_t generation = 0;

	(void)number_parse_int64(get_text(get(get(c->old, "metadata"), "annotations"), GENERATION_KEY), &generation);
	if (!c->old || !is_same(get(old, "template"), get(get(c->object, "spec"), "template")))
		generation++;
	metadata = ensure(c, c->object, "metadata");
	annotations = ensure(c, metadata, "annotations");
	set_text(c, annotations, GENERATION_KEY, path_print(c, "%lld", (long long)generation));
}

static void daemon_set_defaults(struct change *c)
{
	struct value *spec, *strategy;

	shape(c);
	spec = ensure(c, c->object, "spec");
	default_int(c, spec, "revisionHistoryLimit", 10);
	strategy = ensure(c, spec, "updateStrategy");
	default_text(c, strategy, "type", "RollingUpdate");
	if (is_text(get(strategy, "type"), "RollingUpdate")) {
		struct value *rolling = ensure(c, strategy, "rollingUpdate");

		default_int(c, rolling, "maxUnavailable", 1);
		default_int(c, rolling, "maxSurge", 0);
	}
	pod_template_defaults(c, ensure(c, spec, "template"));
	count_templates(c);
}

static bool is_some(const struct value *v)
{
	int64_t percent;

	if (percent_of(v, &percent))
		return percent != 0;
	return value_is(v, VALUE_INT) && v->integer != 0;
}

static void check_daemon_strategy(struct change *c, const struct at *at, const struct value *strategy)
{
	static const char *const types[] = { "RollingUpdate", "OnDelete", NULL };
	const struct value *rolling = get(strategy, "rollingUpdate"), *surge = get(rolling, "maxSurge");
	const struct value *unavailable = get(rolling, "maxUnavailable");
	const struct at *here = AT(at, "rollingUpdate");

	if (!text_is_one_of(get_text(strategy, "type"), types))
		fault_not_supported_struct(c, at, "apps.DaemonSetUpdateStrategy", strategy,
					   "apps.RollingUpdateDaemonSet", types);
	if (!is_text(get(strategy, "type"), "RollingUpdate"))
		return;
	check_percent_or_int(c, AT(here, "maxUnavailable"), unavailable);
	check_percent_or_int(c, AT(here, "maxSurge"), surge);
	check_not_over_100_percent(c, AT(here, "maxUnavailable"), unavailable);
	check_not_over_100_percent(c, AT(here, "maxSurge"), surge);
	if (is_some(unavailable) && is_some(surge))
		fault_int_or_string(c, AT(here, "maxSurge"), surge, "may not be set when maxUnavailable is non-zero");
	else if (!is_some(unavailable) && !is_some(surge))
		fault_required(c, AT(here, "maxUnavailable"), "cannot be 0 when maxSurge is 0");
}

static void check_daemon_spec(struct change *c, const struct at *at, const struct value *spec)
{
	if (get(spec, "selector"))
		check_workload_selector(c, at, spec, "daemonset");
	else
		fault_labels(c, AT(AT(AT(at, "template"), "metadata"), "labels"),
			     value_find(spec, "template.metadata.labels"),
			     "`selector` does not match template `labels`");
	pod_template_check(c, AT(at, "template"), get(spec, "template"));
	pod_template_check_always(c, AT(at, "template"), get(spec, "template"), "DaemonSet");
	check_not_negative(c, AT(at, "minReadySeconds"), get(spec, "minReadySeconds"));
	check_daemon_strategy(c, AT(at, "updateStrategy"), get(spec, "updateStrategy"));
	check_not_negative(c, AT(at, "revisionHistoryLimit"), get(spec, "revisionHistoryLimit"));
}

static void daemon_set_validate(struct change *c)
{
	const struct value *spec = get(c->object, "spec");
	const struct at *at = AT(NULL, "spec");

	check_metadata(c, name_check_subdomain);
	if (change_is_status(c))
		return;
	/* The real server looks twice at what is changed, and tells faults twice. */
	for (int i = 0; i < (c->old ? 2 : 1); i++)
		check_daemon_spec(c, at, spec);
	if (c->old)
		check_selector_same(c, AT(at, "selector"), get(get(c->old, "spec"), "selector"), get(spec, "selector"));
	pod_template_warn(c, NULL);
}

static void daemon_set_prepare(struct change *c)
{
	prepare_status(c);
	count_templates(c);
}

static void daemon_set_row(const struct value *o, int64_t now_ns, struct value *cells, struct arena *arena)
{
	static const char *const counts[] = { "desiredNumberScheduled", "currentNumberScheduled", "numberReady",
					      "updatedNumberScheduled", "numberAvailable" };
	const struct value *spec = get(o, "spec"), *pod = get(get(spec, "template"), "spec");

	cells[0] = cell_name(o);
	for (size_t i = 0; i < ARRAY_LEN(counts); i++)
		cells[1 + i] = value_int(get_int(get(o, "status"), counts[i], 0));
	cells[6] = cell_labels(get(pod, "nodeSelector"), arena);
	cells[7] = cell_age(o, now_ns, arena);
	cells[8] = cell_containers(pod, arena);
	cells[9] = cell_images(pod, arena);
	cells[10] = cell_selector(get(spec, "selector"), arena);
}

static const struct column daemon_set_columns[] = {
	COLUMN_NAME,
	COLUMN("Desired", "integer", "Nodes that should run a pod of it."),
	COLUMN("Current", "integer", "Nodes that run one and should."),
	COLUMN("Ready", "integer", "Nodes on which it is ready."),
	COLUMN("Up-to-date", "integer", "Nodes on which it has the newest template."),
	COLUMN("Available", "integer", "Nodes on which it has been ready for minReadySeconds."),
	COLUMN("Node Selector", "string", "Which nodes it is for."),
	COLUMN_AGE,
	COLUMNS_OF_PODS,
	COLUMN_SELECTOR,
	{ 0 },
};

const struct kind kind_daemon_set = {
	.group = "apps",
	.version = "v1",
	.plural = "daemonsets",
	.singular = "daemonset",
	.kind = "DaemonSet",
	.short_names = daemon_set_short,
	.categories = all,
	.is_namespaced = true,
	.has_generation = true,
	.verbs = KUBE_ALL_VERBS,
	.subresources = SUB_STATUS,
	.type_name = "io.k8s.api.apps.v1.DaemonSet",
	.columns = daemon_set_columns,
	.defaults = daemon_set_defaults,
	.prepare = daemon_set_prepare,
	.validate = daemon_set_validate,
	.row = daemon_set_row,
};

/* ---- ControllerRevision ---- */

static void revision_validate(struct change *c)
{
	check_metadata(c, name_check_subdomain);
	check_not_negative(c, AT(NULL, "revision"), get(c->object, "revision"));
	if (!c->old && !get(c->object, "data"))
		fault_required(c, AT(NULL, "data"), "data is mandatory");
	if (c->old)
		check_same(c, AT(NULL, "data"), get(c->old, "data"), get(c->object, "data"));
}

/* "statefulset.apps/web": who has made it. */
static struct value cell_controller(const struct value *o, struct arena *arena)
{
	const struct value *owners = get(get(o, "metadata"), "ownerReferences");

	for (uint32_t i = 0; i < count_of(owners); i++) {
		const struct value *owner = value_item(owners, i);
		struct span group = get_text(owner, "apiVersion"), kind = get_text(owner, "kind");
		struct text t = { .arena = arena };

		if (!get_bool(owner, "controller"))
			continue;
		for (size_t k = 0; k < kind.len; k++)
			text_addf(&t, "%c", kind.ptr[k] >= 'A' && kind.ptr[k] <= 'Z' ? kind.ptr[k] + 32 : kind.ptr[k]);
		if (span_index(group, '/') < group.len) {
			text_add(&t, SPAN("."));
			text_add(&t, span_first(group, span_index(group, '/')));
		}
		text_add(&t, SPAN("/"));
		text_add(&t, get_text(owner, "name"));
		return cell_text(text_span(&t));
	}
	return cell_text(SPAN("<none>"));
}

static void revision_row(const struct value *o, int64_t now_ns, struct value *cells, struct arena *arena)
{
	cells[0] = cell_name(o);
	cells[1] = cell_controller(o, arena);
	cells[2] = value_int(get_int(o, "revision", 0));
	cells[3] = cell_age(o, now_ns, arena);
}

static const struct column revision_columns[] = {
	COLUMN_NAME,
	COLUMN("Controller", "string", "Whose history it belongs to."),
	COLUMN("Revision", "string", "Its number in that history."),
	COLUMN_AGE,
	{ 0 },
};

const struct kind kind_controller_revision = {
	.group = "apps",
	.version = "v1",
	.plural = "controllerrevisions",
	.singular = "controllerrevision",
	.kind = "ControllerRevision",
	.is_namespaced = true,
	.verbs = KUBE_ALL_VERBS,
	.type_name = "io.k8s.api.apps.v1.ControllerRevision",
	.columns = revision_columns,
	.defaults = shape,
	.prepare = shape,
	.validate = revision_validate,
	.row = revision_row,
};
