/* SPDX-License-Identifier: Apache-2.0 */
/* cluster_remote_events - events about objects, told to the server: the first time they are made, after that their count is raised. */
#include <stdio.h>

#include "base/clock.h"
#include "kube/cluster_remote_private.h"
#include "kube/kube_private.h"

enum {
	EVENTS_KEPT = 1024,        /* to be counted when they come again */
	EVENTS_WAITING_MOST = 512, /* more are lost: they are told as well as can be */
};

struct told {
	struct remote *remote;
	uint64_t hash; /* of what it says about whom; 0: a free place */
	int64_t count, told_count;
	bool is_busy;
	char name[256], name_space[64];
};

static uint64_t hash_of(const struct value *object, const char *type, const char *reason, struct span text)
{
	struct span parts[] = { value_find_string(object, "metadata.uid"), value_find_string(object, "kind"),
				span_of(type), span_of(reason), text };
	uint64_t hash = 1;

	for (size_t i = 0; i < ARRAY_LEN(parts); i++)
		hash = hash * 31 + span_hash(parts[i]);
	return hash ? hash : 1;
}

static struct told *told_find(struct remote *r, uint64_t hash)
{
	for (size_t i = 0; i < EVENTS_KEPT; i++)
		if (r->told[i].hash == hash)
			return &r->told[i];
	return NULL;
}

/* The place of the one that was made first, of those that are not being written. */
static struct told *told_new(struct remote *r, uint64_t hash, const struct value *object)
{
	struct span name = value_find_string(object, "metadata.name");
	struct span name_space = value_find_string(object, "metadata.namespace");

	for (size_t i = 0; i < EVENTS_KEPT; i++) {
		struct told *t = &r->told[r->told_next++ % EVENTS_KEPT];

		if (t->is_busy)
			continue;
		*t = (struct told){ .remote = r, .hash = hash };
		r->told_ns = MAX(clock_wall_ns(), r->told_ns + 1); /* each has a time of its own for its name */
		name_space = name_space.len ? name_space : SPAN("default");
		snprintf(t->name_space, sizeof(t->name_space), "%.*s", (int)name_space.len, name_space.ptr);
		snprintf(t->name, sizeof(t->name), "%.*s.%016llx", (int)MIN(name.len, 230), name.len ? name.ptr : "",
			 (unsigned long long)r->told_ns);
		return t;
	}
	return NULL;
}

static void told_done(void *context, const struct ask_answer *answer);

static void told_send(struct told *t, const char *method, const struct value *body, struct arena *arena)
{
	bool is_new = method[1] == 'O';
	struct error err = { 0 };
	struct buffer path;
	struct ask_request request = { .method = method,
				       .content_type = is_new ? "application/json" : "application/merge-patch+json",
				       .body = value_print(body, arena, &err),
				       .done = told_done,
				       .context = t };

	if (!request.body.ptr)
		return;
	buffer_init(&path, KIB(4));
	remote_path(&path, &resource_events, span_of(t->name_space), is_new ? (struct span){ 0 } : span_of(t->name),
		    (struct span){ 0 });
	request.path = buffer_span(&path);
	t->is_busy = true;
	t->told_count = t->count;
	t->remote->events_waiting++;
	remote_ask(t->remote, &request);
	buffer_done(&path);
}

static void count_send(struct told *t)
{
	struct value body = value_object();
	struct error err = { 0 };
	struct arena arena;

	arena_init(&arena, KIB(64));
	if (value_set(&body, SPAN("count"), value_int(t->count), &arena, &err) &&
	    value_set(&body, SPAN("lastTimestamp"), value_string(kube_now_text(clock_wall_ns(), &arena)), &arena, &err))
		told_send(t, "PATCH", &body, &arena);
	arena_done(&arena);
}

static void told_done(void *context, const struct ask_answer *answer)
{
	struct told *t = context;

	t->is_busy = false;
	t->remote->events_waiting--;
	if (answer->err)
		t->hash = 0; /* it could not be told, or is gone by now: the next one is made anew */
	else if (t->count != t->told_count)
		count_send(t);
}

static bool put(struct value *v, const char *member, struct span text, struct arena *arena, struct error *err)
{
	return !text.len || value_set(v, span_of(member), value_string(text), arena, err);
}

static bool event_fill(struct value *event, const struct told *t, const struct value *object, struct arena *arena,
		       struct error *err)
{
	struct value *metadata = value_ensure_object(event, SPAN("metadata"), arena, err);
	struct value *about;

	if (!metadata || !put(metadata, "name", span_of(t->name), arena, err) ||
	    !put(metadata, "namespace", span_of(t->name_space), arena, err))
		return false;
	about = value_ensure_object(event, SPAN("involvedObject"), arena, err);
	return about && put(about, "kind", value_find_string(object, "kind"), arena, err) &&
	       put(about, "namespace", value_find_string(object, "metadata.namespace"), arena, err) &&
	       put(about, "name", value_find_string(object, "metadata.name"), arena, err) &&
	       put(about, "uid", value_find_string(object, "metadata.uid"), arena, err) &&
	       put(about, "apiVersion", value_find_string(object, "apiVersion"), arena, err) &&
	       put(about, "resourceVersion", value_find_string(object, "metadata.resourceVersion"), arena, err);
}

static bool event_make(struct value *event, const char *type, const char *reason, const char *component,
		       struct span text, struct arena *arena, struct error *err)
{
	struct span now = kube_now_text(clock_wall_ns(), arena);
	struct value *source = value_ensure_object(event, SPAN("source"), arena, err);

	return source && put(source, "component", span_of(component), arena, err) &&
	       put(event, "apiVersion", SPAN("v1"), arena, err) && put(event, "kind", SPAN("Event"), arena, err) &&
	       put(event, "type", span_of(type), arena, err) && put(event, "reason", span_of(reason), arena, err) &&
	       put(event, "message", text, arena, err) && put(event, "firstTimestamp", now, arena, err) &&
	       put(event, "lastTimestamp", now, arena, err) &&
	       put(event, "reportingComponent", span_of(component), arena, err) &&
	       value_set(event, SPAN("count"), value_int(1), arena, err);
}

void remote_event(struct remote *r, const struct value *object, const char *type, const char *reason,
		  const char *component, const char *text)
{
	struct span message = span_first(span_of(text), 1024);
	uint64_t hash = hash_of(object, type, reason, message);
	struct value event = value_object();
	struct error err = { 0 };
	struct arena arena;
	struct told *t;

	if (!r->told)
		r->told = base_calloc(EVENTS_KEPT, sizeof(*r->told));
	t = told_find(r, hash);
	if (t) {
		t->count++;
		if (!t->is_busy)
			count_send(t);
		return;
	}
	if (r->events_waiting >= EVENTS_WAITING_MOST || !(t = told_new(r, hash, object)))
		return;
	t->count = 1;
	arena_init(&arena, KIB(256));
	if (event_make(&event, type, reason, component, message, &arena, &err) &&
	    event_fill(&event, t, object, &arena, &err))
		told_send(t, "POST", &event, &arena);
	else
		t->hash = 0;
	arena_done(&arena);
}
