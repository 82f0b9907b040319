/* SPDX-License-Identifier: Apache-2.0 */
/* quota - LimitRange and ResourceQuota of core/v1. What they do to other objects is admission's. */
#include "kube/kinds/kinds.h"

#include <stdlib.h>

/* ---- LimitRange ---- */

static void take_missing(struct change *c, struct value *limit, const char *to, const char *from)
{
	for (uint32_t i = 0; i < count_of(get(limit, from)); i++) {
		const struct value_member m = get(limit, from)->object.members[i];
		struct value *target = ensure(c, limit, to);

		if (target && !value_get(target, m.key))
			(void)value_set(target, m.key, m.value, c->arena, c->err);
	}
}

static void limit_range_defaults(struct change *c)
{
	struct value *limits;

	shape(c);
	limits = get(ensure(c, c->object, "spec"), "limits");
	for (uint32_t i = 0; i < count_of(limits); i++) {
		struct value *limit = value_item(limits, i);

		if (!is_text(get(limit, "type"), "Container"))
			continue;
		take_missing(c, limit, "default", "max");
		take_missing(c, limit, "defaultRequest", "default");
		take_missing(c, limit, "defaultRequest", "min");
	}
}

/* `low` of a resource must not be over `high`. */
static void check_order(struct change *c, const struct at *at, const struct value *limit, const char *low,
			const char *high, const char *named_low, const char *named_high, bool tells_low)
{
	const struct value *list = get(limit, low);

	for (uint32_t i = 0; i < count_of(list); i++) {
		const struct value_member *m = &list->object.members[i];
		struct span less = text_of(&m->value), more = text_of(value_get(get(limit, high), m->key));
		int order;

		if (!quantity_compare(less, more, &order) || order <= 0)
			continue;
		fault_quantity(c, AT_KEY(AT(at, tells_low ? low : high), m->key), tells_low ? less : more,
			       detail_print(c, "%s value " SPAN_FMT " is greater than %s value " SPAN_FMT, named_low,
					    SPAN_ARG(less), named_high, SPAN_ARG(more)));
	}
}

/* Limits are no smaller than requests, and no ratio is larger than that of max and min. */
static void check_ratios(struct change *c, const struct at *at, const struct value *limit)
{
	const struct value *ratios = get(limit, "maxLimitRequestRatio");

	for (uint32_t i = 0; i < count_of(ratios); i++) {
		const struct value_member *m = &ratios->object.members[i];
		struct span text = text_of(&m->value);
		int64_t ratio, most, least;

		if (!quantity_parse(text, &ratio))
			continue;
		if (ratio < 1000)
			fault_quantity(c, AT_KEY(at, m->key), text,
				       detail_print(c, "ratio " SPAN_FMT " is less than 1", SPAN_ARG(text)));
		if (quantity_parse(text_of(value_get(get(limit, "max"), m->key)), &most) &&
		    quantity_parse(text_of(value_get(get(limit, "min"), m->key)), &least) && least > 0 &&
		    (double)ratio / 1000 > (double)most / (double)least)
			fault_quantity(c, AT_KEY(at, m->key), text,
				       detail_print(c, "ratio " SPAN_FMT " is greater than max/min = %f",
						    SPAN_ARG(text), (double)most / (double)least));
	}
}

static void check_limit(struct change *c, const struct at *at, const struct value *limit)
{
	static const char *const members[] = { "max", "min", "default", "defaultRequest", "maxLimitRequestRatio" };
	bool is_pod = is_text(get(limit, "type"), "Pod"),
	     is_claim = is_text(get(limit, "type"), "PersistentVolumeClaim");

	for (size_t i = 0; i < ARRAY_LEN(members); i++) {
		const struct value *list = get(limit, members[i]);

		if (is_pod && (i == 2 || i == 3)) {
			if (count_of(list))
				fault_forbidden(c, AT(at, members[i]), "may not be specified when `type` is 'Pod'");
			continue;
		}
		for (uint32_t k = 0; !is_claim && k < count_of(list); k++) {
			struct span name = list->object.members[k].key;

			check_resource_name(c, AT_KEY(AT(at, members[i]), name), name);
		}
	}
	if (is_claim && !get(get(limit, "min"), "storage") && !get(get(limit, "max"), "storage"))
		fault_required(c, AT(at, "limits"),
			       "either minimum or maximum storage value is required, but neither was provided");
	check_order(c, at, limit, "min", "max", "min", "max", true);
	check_order(c, at, limit, "min", "defaultRequest", "min", "default request", false);
	check_order(c, at, limit, "defaultRequest", "max", "default request", "max", true);
	check_order(c, at, limit, "defaultRequest", "default", "default request", "default limit", true);
	check_order(c, at, limit, "min", "default", "min", "default", false);
	check_order(c, at, limit, "default", "max", "default", "max", true);
	check_ratios(c, AT(at, "maxLimitRequestRatio"), limit);
}

static void limit_range_validate(struct change *c)
{
	const struct value *limits = get(get(c->object, "spec"), "limits");
	const struct at *at = AT(AT(NULL, "spec"), "limits");

	check_metadata(c, name_check_subdomain);
	for (uint32_t i = 0; i < count_of(limits); i++) {
		const struct value *type = get(value_item(limits, i), "type");
		const struct at *here = AT_INDEX(at, i);

		check_name(c, AT(here, "type"), type, name_check_qualified);
		for (uint32_t k = 0; k < i; k++) {
			if (is_same(get(value_item(limits, k), "type"), type)) {
				fault_duplicate(c, AT(here, "type"), type);
				break;
			}
		}
		check_limit(c, here, value_item(limits, i));
	}
}

static const char *const limit_range_short[] = { "limits", NULL }, *const quota_short[] = { "quota", NULL };

const struct kind kind_limit_range = {
	.group = "",
	.version = "v1",
	.plural = "limitranges",
	.singular = "limitrange",
	.kind = "LimitRange",
	.short_names = limit_range_short,
	.is_namespaced = true,
	.verbs = KUBE_ALL_VERBS,
	.type_name = "io.k8s.api.core.v1.LimitRange",
	.columns = plain_columns,
	.defaults = limit_range_defaults,
	.prepare = shape,
	.validate = limit_range_validate,
	.row = plain_row,
};

/* ---- ResourceQuota ---- */

static const char *const quota_names[] = { "cpu",
					   "memory",
					   "ephemeral-storage",
					   "pods",
					   "services",
					   "replicationcontrollers",
					   "resourcequotas",
					   "secrets",
					   "configmaps",
					   "persistentvolumeclaims",
					   "requests.cpu",
					   "requests.memory",
					   "requests.storage",
					   "requests.ephemeral-storage",
					   "limits.cpu",
					   "limits.memory",
					   "limits.ephemeral-storage",
					   "services.nodeports",
					   "services.loadbalancers",
					   NULL };
/* Those of which there are whole ones only. */
static const char *const counted_names[] = { "pods",
					     "services",
					     "replicationcontrollers",
					     "resourcequotas",
					     "secrets",
					     "configmaps",
					     "persistentvolumeclaims",
					     "services.nodeports",
					     "services.loadbalancers",
					     NULL };

static void check_hard(struct change *c, const struct at *at, const struct value_member *m)
{
	const char *wrong = name_check_qualified(m->key);
	int64_t milli = 0;

	if (wrong)
		fault_printed(c, at, m->key, wrong);
	if (span_index(m->key, '/') == m->key.len && !text_is_one_of(m->key, quota_names) &&
	    !span_starts(m->key, SPAN("requests.hugepages-")) && !span_starts(m->key, SPAN("hugepages-"))) {
		if (!wrong)
			fault_printed(c, at, m->key, "must be a standard resource type or fully qualified");
		fault_printed(c, at, m->key, "must be a standard resource for quota");
	}
	check_quantity(c, at, &m->value);
	if (quantity_parse(text_of(&m->value), &milli) && milli % 1000 && text_is_one_of(m->key, counted_names))
		fault_quantity(c, at, text_of(&m->value), "must be an integer");
}

#define SCOPES_TYPE "[]core.ResourceQuotaScope"

/* Scopes are of pods; those of the best effort ask for nothing. */
static bool scope_takes(struct span scope, struct span resource)
{
	static const char *const computed[] = { "cpu",          "memory",          "limits.cpu", "limits.memory",
						"requests.cpu", "requests.memory", NULL };

	if (!text_is_one_of(resource, quota_names) || span_equal(resource, SPAN("pods")))
		return true;
	return !span_equal(scope, SPAN("BestEffort")) && text_is_one_of(resource, computed);
}

static bool has_scope(const struct value *list, const char *scope)
{
	for (uint32_t i = 0; i < count_of(list); i++)
		if (is_text(value_item(list, i), scope))
			return true;
	return false;
}

static void check_scopes(struct change *c, const struct at *at, const struct value *list, const struct value *hard)
{
	bool is_wrong = false;

	for (uint32_t i = 0; i < count_of(list); i++)
		for (uint32_t k = 0; k < count_of(hard); k++)
			is_wrong |= !scope_takes(text_of(value_item(list, i)), hard->object.members[k].key);
	if (is_wrong)
		fault_typed_strings(c, at, SCOPES_TYPE, list, "unsupported scope applied to resource");
	if ((has_scope(list, "BestEffort") && has_scope(list, "NotBestEffort")) ||
	    (has_scope(list, "Terminating") && has_scope(list, "NotTerminating")))
		fault_typed_strings(c, at, SCOPES_TYPE, list, "conflicting scopes");
}

static void quota_validate(struct change *c)
{
	static const char *const scopes[] = { "BestEffort",
					      "CrossNamespacePodAffinity",
					      "NotBestEffort",
					      "NotTerminating",
					      "PriorityClass",
					      "Terminating",
					      NULL };
	const struct value *spec = get(c->object, "spec"), *hard = get(spec, "hard"), *list = get(spec, "scopes");
	const struct at *at = AT(NULL, "spec");

	check_metadata(c, name_check_subdomain);
	if (change_is_status(c))
		return;
	for (uint32_t i = 0; i < count_of(hard); i++) {
		const struct value_member *m = &hard->object.members[i];

		check_hard(c, AT_KEY(AT(at, "hard"), m->key), m);
	}
	for (uint32_t i = 0; i < count_of(list); i++) {
		if (!text_is_one_of(text_of(value_item(list, i)), scopes))
			fault_typed_strings(c, AT(at, "scopes"), "[]core.ResourceQuotaScope", list,
					    "unsupported scope");
	}
	check_scopes(c, AT(at, "scopes"), list, hard);
	if (c->old && (!is_same(get(get(c->old, "spec"), "scopes"), list) ||
		       !is_same(get(get(c->old, "spec"), "scopeSelector"), get(spec, "scopeSelector"))))
		fault_typed_strings(c, AT(at, "scopes"), SCOPES_TYPE, list, "field is immutable");
}

/* "pods: 1/10, requests.cpu: 1/4": used of what there is, in two columns. */
static void quota_row(const struct value *o, int64_t now_ns, struct value *cells, struct arena *arena)
{
	const struct value *hard = get(get(o, "status"), "hard"), *used = get(get(o, "status"), "used");
	struct text requests = { .arena = arena }, limits = { .arena = arena };
	struct error err = { 0 };
	uint32_t count = count_of(hard);
	const struct value_member **sorted = ARENA_ARRAY(arena, const struct value_member *, count, &err);

	for (uint32_t i = 0; sorted && i < count; i++)
		sorted[i] = &hard->object.members[i];
	if (sorted)
		qsort(sorted, count, sizeof(*sorted), value_member_order);
	for (uint32_t i = 0; sorted && i < count; i++) {
		struct text *t = span_starts(sorted[i]->key, SPAN("limits.")) ? &limits : &requests;
		struct span is = text_of(value_get(used, sorted[i]->key));

		text_add(t, t->len ? SPAN(", ") : SPAN(""));
		text_add(t, sorted[i]->key);
		text_add(t, SPAN(": "));
		text_add(t, is.len ? is : SPAN("0"));
		text_add(t, SPAN("/"));
		text_add(t, text_of(&sorted[i]->value));
	}
	cells[0] = cell_name(o);
	cells[1] = cell_text(text_span(&requests));
	cells[2] = cell_text(text_span(&limits));
	cells[3] = cell_age(o, now_ns, arena);
}

static const struct column quota_columns[] = {
	COLUMN_NAME,
	COLUMN("Request", "string", "Used of what may be asked for."),
	COLUMN("Limit", "string", "Used of what limits may add up to."),
	COLUMN_AGE,
	{ 0 },
};

const struct kind kind_resource_quota = {
	.group = "",
	.version = "v1",
	.plural = "resourcequotas",
	.singular = "resourcequota",
	.kind = "ResourceQuota",
	.short_names = quota_short,
	.is_namespaced = true,
	.verbs = KUBE_ALL_VERBS,
	.subresources = SUB_STATUS,
	.type_name = "io.k8s.api.core.v1.ResourceQuota",
	.columns = quota_columns,
	.defaults = shape,
	.prepare = prepare_status,
	.validate = quota_validate,
	.row = quota_row,
};
