/* SPDX-License-Identifier: Apache-2.0 */
/* scheduler_book - what the pods of each node have asked for. */
#include "controllers/scheduler.h"

#include <stdlib.h>

#include "kube/kinds/kinds.h"

/* ---- amounts ---- */

int64_t amount_of(const struct amounts *a, const char *name)
{
	for (size_t i = 0; i < a->count; i++)
		if (strcmp(a->items[i].name, name) == 0)
			return a->items[i].milli;
	return 0;
}

static void amount_add(struct amounts *a, struct span name, int64_t milli)
{
	size_t i = 0;

	while (i < a->count && !span_equal(span_of(a->items[i].name), name))
		i++;
	if (i == AMOUNTS_MOST || name.len >= sizeof(a->items[0].name))
		return; /* more kinds of resources than that no pod of ours has; the node's own check is the last word */
	if (i == a->count) {
		memcpy(a->items[i].name, name.ptr, name.len);
		a->items[i].name[name.len] = '\0';
		a->items[i].milli = 0;
		a->count++;
	}
	if (__builtin_add_overflow(a->items[i].milli, milli, &a->items[i].milli))
		a->items[i].milli = INT64_MAX;
}

void amounts_read(struct amounts *a, const struct value *list)
{
	for (uint32_t i = 0; value_is(list, VALUE_OBJECT) && i < list->object.count; i++) {
		const struct value *v = &list->object.members[i].value;
		int64_t milli = 0;

		if (value_is(v, VALUE_INT))
			milli = v->integer > INT64_MAX / 1000 ? INT64_MAX : v->integer * 1000;
		else if (!quantity_parse(text_of(v), &milli))
			continue;
		amount_add(a, list->object.members[i].key, milli);
	}
}

static void amounts_add(struct amounts *to, const struct amounts *from)
{
	for (size_t i = 0; i < from->count; i++)
		amount_add(to, span_of(from->items[i].name), from->items[i].milli);
}

static void amounts_raise(struct amounts *to, const struct amounts *least)
{
	for (size_t i = 0; i < least->count; i++) {
		int64_t has = amount_of(to, least->items[i].name);

		if (least->items[i].milli > has)
			amount_add(to, span_of(least->items[i].name), least->items[i].milli - has);
	}
}

void pod_amounts(const struct value *pod, struct amounts *ret)
{
	const struct value *list = value_find(pod, "spec.containers"), *init = value_find(pod, "spec.initContainers");
	struct amounts sidecars = { .count = 0 }, most = { .count = 0 };

	memset(ret, 0, sizeof(*ret));
	for (uint32_t i = 0; i < value_count(list); i++)
		amounts_read(ret, value_find(value_item(list, i), "resources.requests"));
	for (uint32_t i = 0; i < value_count(init); i++) {
		const struct value *c = value_item(init, i);
		struct amounts own = { .count = 0 };

		if (is_text(member(c, "restartPolicy"), "Always")) {
			amounts_read(&sidecars, value_find(c, "resources.requests"));
			amounts_raise(&most, &sidecars);
			continue;
		}
		amounts_read(&own, value_find(c, "resources.requests"));
		amounts_add(&own, &sidecars);
		amounts_raise(&most, &own);
	}
	amounts_add(ret, &sidecars);
	amounts_raise(ret, &most);
	amounts_read(ret, value_find(pod, "spec.overhead"));
}

/* ---- the book ---- */

static struct booking **place_of(struct book *b, struct span uid)
{
	struct booking **at = &b->buckets[span_hash(uid) % ARRAY_LEN(b->buckets)];

	while (*at && !span_equal(span_of((*at)->uid), uid))
		at = &(*at)->next;
	return at;
}

struct booking *book_find(struct book *b, struct span uid)
{
	return *place_of(b, uid);
}

static void booking_free(struct booking *e)
{
	free(e->name_space);
	free(e->name);
	free(e->uid);
	free(e->node);
	free(e->ports);
	free(e);
}

void book_drop(struct book *b, struct span uid)
{
	struct booking **at = place_of(b, uid), *e = *at;

	if (!e)
		return;
	*at = e->next;
	b->count--;
	b->anti_affinities -= e->has_anti_affinity;
	booking_free(e);
}

static struct booking *booking_new(struct book *b, const struct value *pod, struct span uid)
{
	struct booking **at = place_of(b, uid), *e = base_calloc(1, sizeof(*e));

	*at = e;
	b->count++;
	e->uid = span_to_text(uid);
	e->name_space = span_to_text(value_find_string(pod, "metadata.namespace"));
	e->name = span_to_text(object_name(pod));
	e->node = span_to_text(SPAN(""));
	e->created_ns = object_time(pod, "metadata.creationTimestamp");
	e->has_anti_affinity =
	    value_count(
		value_find(pod, "spec.affinity.podAntiAffinity.requiredDuringSchedulingIgnoredDuringExecution")) > 0;
	b->anti_affinities += e->has_anti_affinity;
	return e;
}

static bool has_ended(const struct value *pod)
{
	struct span phase = value_find_string(pod, "status.phase");

	return span_equal(phase, SPAN("Succeeded")) || span_equal(phase, SPAN("Failed"));
}

void book_seen(struct book *b, const struct value *pod)
{
	struct span uid = value_find_string(pod, "metadata.uid"), node = value_find_string(pod, "spec.nodeName");
	struct booking *e = book_find(b, uid);

	if (has_ended(pod)) {
		book_drop(b, uid);
		return;
	}
	if (!e)
		e = booking_new(b, pod, uid);
	if (node.len || !e->is_assumed) {
		free(e->node);
		e->node = span_to_text(node);
		e->is_assumed = false;
	}
	e->priority = value_find_int(pod, "spec.priority", 0);
	e->is_waiting = !node.len && scheduler_takes(pod) && !value_count(value_find(pod, "spec.schedulingGates"));
	pod_amounts(pod, &e->amounts);
	free(e->ports);
	e->ports = pod_ports(pod);
}

void book_each(struct book *b, void (*take)(void *context, struct booking *e), void *context)
{
	for (size_t i = 0; i < ARRAY_LEN(b->buckets); i++)
		for (struct booking *e = b->buckets[i]; e; e = e->next)
			take(context, e);
}

void book_clear(struct book *b)
{
	for (size_t i = 0; i < ARRAY_LEN(b->buckets); i++) {
		while (b->buckets[i]) {
			struct booking *e = b->buckets[i];

			b->buckets[i] = e->next;
			booking_free(e);
		}
	}
}
