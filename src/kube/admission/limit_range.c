/* SPDX-License-Identifier: Apache-2.0 */
/* limit_range - LimitRanger: what containers ask for when they say nothing, and the bounds of containers, pods and claims. */
#include "kube/admission/plugins.h"

#include "kube/admission/resources.h"
#include "kube/kinds/kinds.h"

#include <stdlib.h>

#define ANNOTATION   "kubernetes.io/limit-ranger"
#define WHOLE_MILLI  INT64_C(1000000) /* a thousandth in billionths */
#define MESSAGES_MAX 64

/* ---- defaults ---- */

static int text_order(const void *a, const void *b)
{
	const struct span *x = a, *y = b;

	return span_order(*x, *y);
}

/* Sets what is missing of `list` below container.resources, and notes it. */
static bool fill(struct change *c, struct value *container, const char *member, const struct value *list,
		 const char *what, struct text *note, struct error *err)
{
	struct value *resources, *to;
	struct span *added = ARENA_ARRAY(c->arena, struct span, count_of(list), err);
	size_t count = 0;

	if (!added)
		return false;
	for (uint32_t i = 0; i < count_of(list); i++) {
		const struct value_member *m = &list->object.members[i];

		if (value_get(get(get(container, "resources"), member), m->key))
			continue;
		resources = value_ensure_object(container, SPAN("resources"), c->arena, err);
		to = resources ? value_ensure_object(resources, span_of(member), c->arena, err) : NULL;
		if (!to || !value_set(to, m->key, m->value, c->arena, err))
			return false;
		added[count++] = m->key;
	}
	qsort(added, count, sizeof(*added), text_order);
	for (size_t i = 0; i < count; i++) {
		text_add(note, i ? SPAN(", ") : note->len ? SPAN("; ") : SPAN(""));
		text_add(note, added[i]);
	}
	if (count)
		text_addf(note, " %.*s for %s " SPAN_FMT, (int)strlen(member) - 1, member, what,
			  SPAN_ARG(get_text(container, "name")));
	return true;
}

struct filling {
	struct change *c;
	struct error *err;
};

static bool fill_pod(void *context, struct value *range)
{
	struct filling *f = context;
	struct change *c = f->c;
	const struct value *limits = value_find(range, "spec.limits");
	struct value requests = value_object(), most = value_object();
	static const char *const lists[] = { "containers", "initContainers" }, *const what[] = { "container",
												 "init container" };
	struct text note = { .arena = c->arena };
	struct value *metadata, *annotations;

	for (uint32_t i = 0; i < count_of(limits); i++) {
		const struct value *l = value_item(limits, i);

		for (uint32_t k = 0; is_text(get(l, "type"), "Container") && k < count_of(get(l, "defaultRequest"));
		     k++) {
			const struct value_member *m = &get(l, "defaultRequest")->object.members[k];

			if (!value_set(&requests, m->key, m->value, c->arena, f->err))
				return false;
		}
		for (uint32_t k = 0; is_text(get(l, "type"), "Container") && k < count_of(get(l, "default")); k++) {
			const struct value_member *m = &get(l, "default")->object.members[k];

			if (!value_set(&most, m->key, m->value, c->arena, f->err))
				return false;
		}
	}
	for (size_t part = 0; part < ARRAY_LEN(lists); part++) {
		struct value *containers = get(get(c->object, "spec"), lists[part]);

		for (uint32_t i = 0; i < count_of(containers); i++) {
			struct value *container = value_item(containers, i);

			if (!value_is(container, VALUE_OBJECT))
				continue;
			if (!fill(c, container, "requests", &requests, what[part], &note, f->err) ||
			    !fill(c, container, "limits", &most, what[part], &note, f->err))
				return false;
		}
	}
	if (!note.len)
		return true;
	metadata = value_ensure_object(c->object, SPAN("metadata"), c->arena, f->err);
	annotations = metadata ? value_ensure_object(metadata, SPAN("annotations"), c->arena, f->err) : NULL;
	return annotations && value_set(annotations, SPAN(ANNOTATION),
					value_string(arena_print(c->arena, f->err, "LimitRanger plugin set: %.*s",
								 (int)note.len, note.ptr)),
					c->arena, f->err);
}

/* ---- bounds ---- */

struct bounds {
	struct change *c;
	struct error *err;
	struct span messages[MESSAGES_MAX]; /* each once */
	size_t count;
	const char *type;
	const struct resources *requests, *limits;
};

static void tell(struct bounds *b, struct span message)
{
	for (size_t i = 0; i < b->count; i++)
		if (span_equal(b->messages[i], message))
			return;
	if (b->count < MESSAGES_MAX && message.ptr)
		b->messages[b->count++] = message;
}

/* In thousandths, parts of one counted whole. */
static quantity_amount milli(const struct quantity *q)
{
	quantity_amount n = q ? q->nano : 0;

	return n / WHOLE_MILLI + (n > 0 && n % WHOLE_MILLI ? 1 : 0);
}

#define TELL(b, ...) tell(b, arena_print((b)->c->arena, (b)->err, __VA_ARGS__))
#define Q(q)         SPAN_ARG(resources_text(q, b->c->arena))

static void check_least(struct bounds *b, struct span name, const struct quantity *bound)
{
	const struct quantity *request = resources_find(b->requests, name), *limit = resources_find(b->limits, name);

	if (!request)
		TELL(b, "minimum " SPAN_FMT " usage per %s is " SPAN_FMT ".  No request is specified", SPAN_ARG(name),
		     b->type, Q(bound));
	else if (milli(request) < milli(bound))
		TELL(b, "minimum " SPAN_FMT " usage per %s is " SPAN_FMT ", but request is " SPAN_FMT, SPAN_ARG(name),
		     b->type, Q(bound), Q(request));
	else if (limit && milli(limit) < milli(bound))
		TELL(b, "minimum " SPAN_FMT " usage per %s is " SPAN_FMT ", but limit is " SPAN_FMT, SPAN_ARG(name),
		     b->type, Q(bound), Q(limit));
}

static void check_most(struct bounds *b, struct span name, const struct quantity *bound)
{
	const struct quantity *request = resources_find(b->requests, name), *limit = resources_find(b->limits, name);

	if (!limit)
		TELL(b, "maximum " SPAN_FMT " usage per %s is " SPAN_FMT ".  No limit is specified", SPAN_ARG(name),
		     b->type, Q(bound));
	else if (milli(limit) > milli(bound))
		TELL(b, "maximum " SPAN_FMT " usage per %s is " SPAN_FMT ", but limit is " SPAN_FMT, SPAN_ARG(name),
		     b->type, Q(bound), Q(limit));
	else if (request && milli(request) > milli(bound))
		TELL(b, "maximum " SPAN_FMT " usage per %s is " SPAN_FMT ", but request is " SPAN_FMT, SPAN_ARG(name),
		     b->type, Q(bound), Q(request));
}

/* Claims have no limits. */
static void check_most_request(struct bounds *b, struct span name, const struct quantity *bound)
{
	const struct quantity *request = resources_find(b->requests, name);

	if (!request)
		TELL(b, "maximum " SPAN_FMT " usage per %s is " SPAN_FMT ".  No request is specified", SPAN_ARG(name),
		     b->type, Q(bound));
	else if (milli(request) > milli(bound))
		TELL(b, "maximum " SPAN_FMT " usage per %s is " SPAN_FMT ", but request is " SPAN_FMT, SPAN_ARG(name),
		     b->type, Q(bound), Q(request));
}

static void check_ratio(struct bounds *b, struct span name, const struct quantity *bound)
{
	const struct quantity *request = resources_find(b->requests, name), *limit = resources_find(b->limits, name);
	double ratio;

	if (!milli(request)) {
		TELL(b,
		     SPAN_FMT " max limit to request ratio per %s is " SPAN_FMT
			      ", but no request is specified or request is 0",
		     SPAN_ARG(name), b->type, Q(bound));
	} else if (!milli(limit)) {
		TELL(b,
		     SPAN_FMT " max limit to request ratio per %s is " SPAN_FMT
			      ", but no limit is specified or limit is 0",
		     SPAN_ARG(name), b->type, Q(bound));
	} else {
		ratio = (double)milli(limit) / (double)milli(request);
		if (ratio * 1000 > (double)milli(bound))
			TELL(b, SPAN_FMT " max limit to request ratio per %s is " SPAN_FMT ", but provided ratio is %f",
			     SPAN_ARG(name), b->type, Q(bound), ratio);
	}
}

static void check_each(struct bounds *b, const struct value *list,
		       void (*check)(struct bounds *b, struct span name, const struct quantity *bound))
{
	for (uint32_t i = 0; i < count_of(list); i++) {
		struct quantity bound;

		if (quantity_read(text_of(&list->object.members[i].value), &bound))
			check(b, list->object.members[i].key, &bound);
	}
}

static void check_all(struct bounds *b, const struct value *limit, const struct resources *requests,
		      const struct resources *limits)
{
	b->requests = requests;
	b->limits = limits;
	check_each(b, get(limit, "min"), check_least);
	check_each(b, get(limit, "max"), check_most);
	check_each(b, get(limit, "maxLimitRequestRatio"), check_ratio);
}

static void check_containers(struct bounds *b, const struct value *limit, const struct value *containers)
{
	for (uint32_t i = 0; i < count_of(containers); i++) {
		const struct value *r = get(value_item(containers, i), "resources");
		struct resources requests = resources_of(get(r, "requests"), b->c->arena),
				 limits = resources_of(get(r, "limits"), b->c->arena);

		check_all(b, limit, &requests, &limits);
	}
}

static void check_pod(struct bounds *b, const struct value *limit)
{
	const struct value *spec = get(b->c->object, "spec");

	if (is_text(get(limit, "type"), "Container")) {
		b->type = "Container";
		check_containers(b, limit, get(spec, "containers"));
		check_containers(b, limit, get(spec, "initContainers"));
	} else if (is_text(get(limit, "type"), "Pod")) {
		struct resources requests = pod_resources(spec, POD_REQUESTS, false, b->c->arena),
				 limits = pod_resources(spec, POD_LIMITS, false, b->c->arena);

		b->type = "Pod";
		check_all(b, limit, &requests, &limits);
	}
}

static void check_claim(struct bounds *b, const struct value *limit)
{
	struct resources requests = resources_of(value_find(b->c->object, "spec.resources.requests"), b->c->arena),
			 none = resources_new(b->c->arena);

	if (!is_text(get(limit, "type"), "PersistentVolumeClaim"))
		return;
	b->type = "PersistentVolumeClaim";
	b->requests = &requests;
	b->limits = &none;
	check_each(b, get(limit, "min"), check_least);
	check_each(b, get(limit, "max"), check_most_request);
}

static bool refuse_all(struct bounds *b)
{
	struct text t = { .arena = b->c->arena };

	for (size_t i = 0; i < b->count; i++) {
		text_add(&t, i ? SPAN(", ") : b->count > 1 ? SPAN("[") : SPAN(""));
		text_add(&t, b->messages[i]);
	}
	text_add(&t, b->count > 1 ? SPAN("]") : SPAN(""));
	return refuse_text(b->c, b->err, text_span(&t));
}

static bool check_range(void *context, struct value *range)
{
	struct bounds *b = context;
	const struct value *limits = value_find(range, "spec.limits");

	b->count = 0;
	for (uint32_t i = 0; i < count_of(limits); i++) {
		if (change_is_of(b->c, "", "pods"))
			check_pod(b, value_item(limits, i));
		else
			check_claim(b, value_item(limits, i));
	}
	return !b->err->code && (!b->count || refuse_all(b));
}

/* ---- the plugin ---- */

static bool is_limited(const struct change *c)
{
	bool is_pod = change_is_of(c, "", "pods");

	if (c->verb == KUBE_DELETE || value_find(c->old, "metadata.deletionTimestamp"))
		return false;
	if (is_pod && c->verb == KUBE_UPDATE)
		return span_equal(c->subresource, SPAN("resize"));
	return !c->subresource.len && (is_pod || change_is_of(c, "", "persistentvolumeclaims"));
}

bool limit_range_admit(struct change *c, struct error *err)
{
	struct filling f = { .c = c, .err = err };

	if (!is_limited(c) || !change_is_of(c, "", "pods"))
		return true;
	return admission_list(c, "", "limitranges", c->name_space, fill_pod, &f, err) && !err->code;
}

bool limit_range_validate(struct change *c, struct error *err)
{
	struct bounds b = { .c = c, .err = err };

	return !is_limited(c) ||
	       (admission_list(c, "", "limitranges", c->name_space, check_range, &b, err) && !err->code);
}
