/* SPDX-License-Identifier: Apache-2.0 */
/* quota - ResourceQuota, the plugin: does what a write uses fit, and the charge. Facts: k8s.io/apiserver admission/plugin/resourcequota. */
#include "kube/admission/quota.h"

#include "kube/admission/plugins.h"
#include "kube/admission/state.h"
#include "kube/kinds/kinds.h"

struct checking {
	struct change *c;
	struct error *err;
	struct resources usage, delta; /* delta: to the object as it was */
	bool has_usage;
};

/* ---- what is charged at all ---- */

static bool ends(const struct value *pod)
{
	const struct value *deadline = value_find(pod, "spec.activeDeadlineSeconds");

	return value_is(deadline, VALUE_INT) && deadline->integer >= 0;
}

static bool is_charged(const struct change *c)
{
	if (c->verb == KUBE_DELETE || !c->kind->is_namespaced || change_is_of(c, "", "events"))
		return false;
	if (change_is_of(c, "", "pods")) {
		if (c->subresource.len)
			return c->verb == KUBE_UPDATE && span_equal(c->subresource, SPAN("resize"));
		return c->verb == KUBE_CREATE || ends(c->old) != ends(c->object);
	}
	if (change_is_of(c, "", "persistentvolumeclaims") && span_equal(c->subresource, SPAN("status")))
		return !is_same(value_find(c->old, "status.allocatedResources"),
				value_find(c->object, "status.allocatedResources"));
	return !c->subresource.len && (c->verb == KUBE_CREATE || usage_is_of_content(c->kind));
}

static void usage_take(struct checking *k)
{
	struct change *c = k->c;
	int64_t now = kube_wall_ns(c->kube);
	struct resources old = resources_new(c->arena);

	if (k->has_usage)
		return;
	k->has_usage = true;
	k->usage = usage_of(c->kind, c->object, now, c->arena);
	k->delta = resources_new(c->arena);
	if (c->old)
		old = usage_of(c->kind, c->old, now, c->arena);
	for (size_t i = 0; i < k->usage.count; i++) {
		struct resource r = k->usage.items[i];
		const struct quantity *was = resources_find(&old, r.name);

		if (was)
			quantity_subtract(&r.amount, was);
		if (r.amount.nano > 0)
			resources_set(&k->delta, r.name, r.amount);
	}
}

/* ---- what a quota asks of a pod's containers ---- */

static bool is_asked(struct span name)
{
	static const char *const names[] = { "cpu",           "memory", "requests.cpu", "requests.memory", "limits.cpu",
					     "limits.memory", NULL };

	return text_is_one_of(name, names);
}

static bool says(const struct value *container, struct span name)
{
	const struct value *r = get(container, "resources");
	bool is_limit = span_starts(name, SPAN("limits."));
	size_t dot = span_index(name, '.');
	struct span base = dot < name.len ? span_skip(name, dot + 1) : name;

	return value_get(get(r, is_limit ? "limits" : "requests"), base) != NULL;
}

static void silent_add(struct text *t, const struct value *containers, struct span name, size_t *count)
{
	for (uint32_t i = 0; i < count_of(containers); i++) {
		if (says(value_item(containers, i), name))
			continue;
		text_add(t, *count ? SPAN(",") : SPAN(""));
		text_add(t, get_text(value_item(containers, i), "name"));
		(*count)++;
	}
}

static bool has_own_resources(const struct value *spec)
{
	return count_of(get(get(spec, "resources"), "requests")) || count_of(get(get(spec, "resources"), "limits"));
}

/* `must specify limits.memory for: main; requests.cpu for: main`, or nothing. */
static struct span constraint(struct checking *k, const struct resources *hard)
{
	static const char *const names[] = { "cpu",    "limits.cpu",   "limits.memory",
					     "memory", "requests.cpu", "requests.memory" };
	const struct value *spec = get(k->c->object, "spec");
	struct text all = { .arena = k->c->arena };

	if (!change_is_of(k->c, "", "pods") || has_own_resources(spec))
		return SPAN("");
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		struct text t = { .arena = k->c->arena };
		size_t count = 0;

		if (!is_asked(span_of(names[i])) || !resources_find(hard, span_of(names[i])))
			continue;
		silent_add(&t, get(spec, "containers"), span_of(names[i]), &count);
		silent_add(&t, get(spec, "initContainers"), span_of(names[i]), &count);
		if (!count)
			continue;
		text_add(&all, all.len ? SPAN("; ") : SPAN("must specify "));
		text_addf(&all, "%s for: ", names[i]);
		text_add(&all, text_span(&t));
	}
	return text_span(&all);
}

/* ---- one quota ---- */

static struct resources of_kind(const struct change *c, const struct resources *list)
{
	struct resources some = resources_new(c->arena);

	for (size_t i = 0; i < list->count; i++)
		if (usage_counts(c->kind, list->items[i].name))
			resources_set(&some, list->items[i].name, list->items[i].amount);
	return some;
}

static bool refuse_unknown(struct checking *k, struct span name, const struct resources *hard)
{
	struct text t = { .arena = k->c->arena };

	text_addf(&t, "status unknown for quota: " SPAN_FMT ", resources: ", SPAN_ARG(name));
	for (size_t i = 0; i < hard->count; i++) {
		text_add(&t, i ? SPAN(",") : SPAN(""));
		text_add(&t, hard->items[i].name);
	}
	return refuse_text(k->c, k->err, text_span(&t));
}

static bool refuse_exceeded(struct checking *k, struct span name, const struct resources *over,
			    const struct resources *used, const struct resources *hard)
{
	struct text t = { .arena = k->c->arena };

	text_addf(&t, "exceeded quota: " SPAN_FMT ", requested: ", SPAN_ARG(name));
	text_add(&t, resources_print(over, NULL, k->c->arena));
	text_add(&t, SPAN(", used: "));
	text_add(&t, resources_print(used, over, k->c->arena));
	text_add(&t, SPAN(", limited: "));
	text_add(&t, resources_print(hard, over, k->c->arena));
	return refuse_text(k->c, k->err, text_span(&t));
}

/* What it would add to a quota; false: refused. */
static bool fits(struct checking *k, struct span name, const struct resources *hard, const struct resources *used,
		 const struct resources *delta, struct resources *ret_wanted)
{
	struct resources over = resources_new(k->c->arena), wanted = resources_new(k->c->arena);

	for (size_t i = 0; i < delta->count; i++) {
		const struct resource *r = &delta->items[i];
		const struct quantity *most = resources_find(hard, r->name), *is = resources_find(used, r->name);

		if (!most || r->amount.nano == 0)
			continue;
		resources_set(&wanted, r->name, r->amount);
		if ((is ? is->nano : 0) + r->amount.nano > most->nano)
			resources_set(&over, r->name, r->amount);
	}
	*ret_wanted = wanted;
	return !over.count || span_equal(k->c->subresource, SPAN("status")) ||
	       refuse_exceeded(k, name, &over, used, hard);
}

static bool look(struct checking *k, struct value *quota, bool charges)
{
	struct change *c = k->c;
	struct span name = value_find_string(quota, "metadata.name"), missing;
	struct resources hard = resources_of(value_find(quota, "status.hard"), c->arena),
			 used = resources_of(value_find(quota, "status.used"), c->arena), mine = of_kind(c, &hard),
			 wanted;
	const struct resources *delta;

	if (!mine.count || !usage_is_in_scope(c->kind, quota, c->object))
		return true;
	missing = constraint(k, &mine);
	if (missing.len)
		return refuse_text(c, k->err,
				   arena_print(c->arena, k->err, "failed quota: " SPAN_FMT ": %.*s", SPAN_ARG(name),
					       (int)missing.len, missing.ptr));
	for (size_t i = 0; i < mine.count; i++)
		if (!resources_find(&used, mine.items[i].name))
			return refuse_unknown(k, name, &mine);
	usage_take(k);
	/* An object that comes into a quota's scope by a change counts as a new one. */
	delta = c->old && usage_is_in_scope(c->kind, quota, c->old) ? &k->delta : &k->usage;
	if (!fits(k, name, &hard, &used, delta, &wanted))
		return false;
	if (!charges || !wanted.count)
		return true;
	resources_add_all(&used, &wanted);
	return quota_charge(c, quota, &used, &wanted, k->err);
}

static bool look_each(void *context, struct value *quota)
{
	return look(context, quota, false);
}

static bool charge_each(void *context, struct value *quota)
{
	return look(context, quota, true);
}

bool quota_validate_change(struct change *c, struct error *err)
{
	struct checking k = { .c = c, .err = err };

	if (!is_charged(c))
		return true;
	/* First all of them must have room; then all are charged. */
	if (!admission_list(c, "", "resourcequotas", c->name_space, look_each, &k, err) || err->code)
		return false;
	return c->is_dry_run ||
	       (admission_list(c, "", "resourcequotas", c->name_space, charge_each, &k, err) && !err->code);
}
