/* SPDX-License-Identifier: Apache-2.0 */
/* events - events of core/v1 that the server itself writes about objects; one that comes again is counted. */
#include "kube/kube_private.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum { MESSAGE_MOST = 1024, BUCKETS = 1024, WAYS = 4 };

/* Those told last: when one was first told, which is its name, so that it is found again, and a list of events is in the order of time. */
struct events {
	struct told {
		uint64_t hash; /* of what it says of whom */
		int64_t first_ns;
	} told[BUCKETS][WAYS];
	int64_t last_ns;
};

struct events *events_new(void)
{
	return base_calloc(1, sizeof(struct events));
}

void events_free(struct events *e)
{
	free(e);
}

static bool set(struct value *v, const char *member, struct span text, struct arena *arena, struct error *err)
{
	return !text.len || value_set(v, span_of(member), value_string(text), arena, err);
}

static bool involved_fill(struct value *to, const struct value *object, struct arena *arena, struct error *err)
{
	return set(to, "kind", get_string(object, "kind"), arena, err) &&
	       set(to, "namespace", value_find_string(object, "metadata.namespace"), arena, err) &&
	       set(to, "name", value_find_string(object, "metadata.name"), arena, err) &&
	       set(to, "uid", value_find_string(object, "metadata.uid"), arena, err) &&
	       set(to, "apiVersion", get_string(object, "apiVersion"), arena, err) &&
	       set(to, "resourceVersion", value_find_string(object, "metadata.resourceVersion"), arena, err) &&
	       set(to, "fieldPath", get_string(object, "fieldPath"), arena, err);
}

static uint64_t hash_of(const struct value *object, const char *type, const char *reason, struct span message)
{
	struct span part = get_string(object, "fieldPath");
	uint64_t hash = span_hash(message) ^ (span_hash(span_of(reason)) * 3) ^ (span_hash(span_of(type)) * 5) ^
			(span_hash(value_find_string(object, "metadata.uid")) * 7);

	return part.len ? hash ^ (span_hash(part) * 11) : hash;
}

/* Of those that it may stand among, itself, or else the one that was told first. */
static struct told *told_place(struct events *e, uint64_t hash)
{
	struct told *bucket = e->told[hash % BUCKETS], *place = bucket;

	for (size_t i = 0; i < WAYS; i++) {
		if (bucket[i].hash == hash)
			return &bucket[i];
		if (bucket[i].first_ns < place->first_ns)
			place = &bucket[i];
	}
	return place;
}

/* Each has a time of its own. */
static void told_anew(struct events *e, struct told *t, uint64_t hash, int64_t now_ns)
{
	e->last_ns = MAX(now_ns, e->last_ns + 1);
	*t = (struct told){ hash, e->last_ns };
}

/* "web-7d4b.18a1f0c3d2e4b596", as Kubernetes' own clients name them. */
static struct span name_make(const struct value *object, const struct told *t, struct arena *arena, struct error *err)
{
	struct span name = value_find_string(object, "metadata.name");

	return arena_print(arena, err, "%.*s.%016llx", (int)MIN(name.len, 230), name.ptr ? name.ptr : "",
			   (unsigned long long)t->first_ns);
}

static bool event_fill(struct value *event, const struct value *object, const char *type, const char *reason,
		       const char *component, struct span message, struct span now, struct arena *arena,
		       struct error *err)
{
	struct value *part = value_ensure_object(event, SPAN("involvedObject"), arena, err);

	if (!part || !involved_fill(part, object, arena, err))
		return false;
	part = value_ensure_object(event, SPAN("source"), arena, err);
	return part && set(part, "component", span_of(component), arena, err) &&
	       set(part, "host", get_string(object, "host"), arena, err) &&
	       set(event, "type", span_of(type), arena, err) && set(event, "reason", span_of(reason), arena, err) &&
	       set(event, "message", message, arena, err) && set(event, "firstTimestamp", now, arena, err) &&
	       set(event, "lastTimestamp", now, arena, err) &&
	       set(event, "reportingComponent", span_of(component), arena, err) &&
	       set(event, "reportingInstance", get_string(object, "host"), arena, err) &&
	       value_set(event, SPAN("count"), value_int(1), arena, err);
}

static void event_write(struct kube *k, const struct value *object, const char *type, const char *reason,
			const char *component, struct span message, struct arena *arena)
{
	const struct kind *kind = kube_kind(k, SPAN(""), SPAN("v1"), SPAN("events"));
	struct span name_space = value_find_string(object, "metadata.namespace");
	uint64_t hash = hash_of(object, type, reason, message);
	struct told *told = told_place(k->events, hash);
	int64_t now_ns = kube_wall_ns(k);
	struct span now = kube_now_text(now_ns, arena);
	struct kube_write w = { .kind = kind, .verb = KUBE_CREATE, .manager = span_of(component) };
	struct error err = { 0 };
	struct value fresh = value_object(), *metadata;

	if (!kind)
		return;
	w.name_space = name_space.len ? name_space : SPAN("default");
	if (told->hash == hash) {
		w.name = name_make(object, told, arena, &err);
		w.object = kube_object(k, kind, w.name_space, w.name, true, arena, &err);
	}
	if (w.object) {
		w.verb = KUBE_UPDATE;
		(void)value_set(w.object, SPAN("lastTimestamp"), value_string(now), arena, &err);
		(void)value_set(w.object, SPAN("count"), value_int(value_find_int(w.object, "count", 1) + 1), arena,
				&err);
	} else {
		told_anew(k->events, told, hash, now_ns);
		w.name = name_make(object, told, arena, &err);
		w.object = &fresh;
		metadata = value_ensure_object(&fresh, SPAN("metadata"), arena, &err);
		if (!metadata || !set(metadata, "name", w.name, arena, &err) ||
		    !event_fill(&fresh, object, type, reason, component, message, now, arena, &err))
			return;
	}
	kube_write(k, &w, arena);
}

void kube_event(struct kube *k, const struct value *object, const char *type, const char *reason, const char *component,
		const char *format, ...)
{
	char text[MESSAGE_MOST];
	struct arena arena;
	va_list args;
	int len;

	va_start(args, format);
	len = vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	arena_init(&arena, MIB(4));
	event_write(k, object, type, reason, component, span_from(text, MIN((size_t)MAX(len, 0), sizeof(text) - 1)),
		    &arena);
	arena_done(&arena);
}
