/* SPDX-License-Identifier: Apache-2.0 */
/*
 * watch - changes as they come: one line of JSON for each.
 *
 * What there is comes first when no version is named, in pieces as the client takes it; then the store's log from that revision on.
 * A client that does not read is cut off with 410 when watch_backlog_bytes wait for it; what a replay brought does not count.
 */
#include "kube/kube_private.h"

#include "kube/crd/convert.h"

#include "base/clock.h"
#include "base/random.h"

#include <stdlib.h>

#define BOOKMARK_NS      (60 * NS_PER_S)
#define BOOKMARK_LAST_NS (2 * NS_PER_S) /* before the end of a watch with a time limit */
#define LIFE_LEAST_S     1800           /* of a watch without a time limit; twice that at most */
#define PIECE_BYTES      KIB(256)
#define REPLAY_BYTES     MIB(96) /* what the store keeps of history, and frames */
enum { PENDING_MOST = 100000 };
#define FUTURE_WAIT_NS (3 * NS_PER_S)

/* A change that waits until a webhook has made its object. */
struct pending {
	struct pending *next;
	struct record *record;
	const char *type;      /* NULL: it has stopped matching */
	int64_t left_revision; /* then */
};

struct watching {
	struct store_watcher watcher;
	struct store_watch *watch; /* NULL while what there is comes first */
	struct watch_set *set;
	struct watching *next, **at;
	struct request *req;
	const struct kind *kind;
	struct call *call; /* form, selectors, arena */
	struct span prefix, cursor;
	int64_t revision; /* of what comes first */
	int64_t told;     /* all up to it */
	struct timer end, bookmark;
	struct pending *pending, **pending_end; /* in order; all later changes come behind */
	size_t pending_count;
	struct conversion *conversion;
	bool is_catching_up, has_columns_told, is_in_store, is_over;
};

struct watch_set {
	struct kube *kube;
	struct watching *first;
	size_t count;
	struct buffer line;   /* of the event being told */
	struct arena scratch; /* for making it */
	/* The same change goes to many: its line is made once. By its revision: a record may be freed, and its address taken by another. */
	int64_t shared;
	const struct kind *shared_kind;
	const char *shared_type;
};

struct watch_set *watch_set_new(struct kube *k)
{
	struct watch_set *s = base_calloc(1, sizeof(*s));

	s->kube = k;
	buffer_init(&s->line, MIB(16));
	arena_init(&s->scratch, MIB(256));
	return s;
}

static void pending_drop(struct watching *w)
{
	struct pending *p = w->pending;

	w->pending = p->next;
	if (!w->pending)
		w->pending_end = &w->pending;
	w->pending_count--;
	record_unref(p->record);
	free(p);
}

static void watching_close(struct watching *w)
{
	struct kube *k = w->set->kube;

	if (w->is_over)
		return;
	w->is_over = true;
	if (w->watch)
		store_unwatch(w->watch);
	w->watch = NULL;
	if (timer_is_set(&w->end))
		loop_timer_clear(k->config.loop, &w->end);
	if (timer_is_set(&w->bookmark))
		loop_timer_clear(k->config.loop, &w->bookmark);
	convert_cancel(w->conversion);
	w->conversion = NULL;
	while (w->pending)
		pending_drop(w);
	*w->at = w->next;
	if (w->next)
		w->next->at = w->at;
	w->set->count--;
}

/* Not inside a callback of the store for it: is_in_store. */
static void watching_free(struct watching *w)
{
	watching_close(w);
	if (w->is_in_store)
		return;
	call_free(w->call);
	free(w);
}

void watch_set_free(struct watch_set *s)
{
	if (!s)
		return;
	while (s->first) {
		struct watching *w = s->first;

		watching_close(w);
		call_free(w->call);
		free(w);
	}
	buffer_done(&s->line);
	arena_done(&s->scratch);
	free(s);
}

/* A watch lives long: what one line needs is cut from the scratch memory in place of the call's own. */
static void arenas_swap(struct watching *w)
{
	struct arena own = w->call->arena;

	w->call->arena = w->set->scratch;
	w->set->scratch = own;
}

/* The answer ends here, in good order. */
static void watching_end(struct watching *w)
{
	struct request *req = w->req;

	w->req = NULL;
	watching_close(w);
	if (req)
		request_end(req, NULL, 0);
}

size_t watch_set_count(const struct watch_set *s)
{
	return s->count;
}

void watch_set_end(struct watch_set *s)
{
	while (s->first) {
		struct watching *w = s->first;

		watching_end(w);
		watching_free(w);
	}
}

void watch_set_end_stale(struct watch_set *s)
{
	for (struct watching *w = s->first, *next; w; w = next) {
		const struct kind *kind = w->kind;

		next = w->next;
		if (!kind->is_custom ||
		    kube_kind(s->kube, span_of(kind->group), span_of(kind->version), span_of(kind->plural)) == kind)
			continue;
		watching_end(w);
		watching_free(w);
	}
}

/* ---- lines ---- */

static void send_status(struct watching *w, const struct status *s)
{
	struct json_writer json;

	buffer_clear(&w->set->line);
	w->set->shared = 0;
	buffer_append(&w->set->line, SPAN("{\"type\":\"ERROR\",\"object\":"));
	json = json_writer(&w->set->line);
	status_write(s, &json);
	buffer_append(&w->set->line, SPAN("}\n"));
	request_write(w->req, buffer_span(&w->set->line));
}

static void send_expired(struct watching *w, struct span message)
{
	struct status s = { .code = 410, .reason = "Expired", .message = message };

	send_status(w, &s);
}

static bool line_write(struct watching *w, const char *type, const struct record *r)
{
	struct watch_set *s = w->set;
	struct call *call = w->call;
	struct error err = { 0 };
	struct span text;

	buffer_append(&s->line, SPAN("{\"type\":\""));
	buffer_append(&s->line, span_of(type));
	buffer_append(&s->line, SPAN("\",\"object\":"));
	text = record_text(call, r, &err);
	if (!text.ptr)
		return false;
	if (call->form == FORM_OBJECT)
		buffer_append(&s->line, text);
	else if (!form_write_columns(call, w->kind, text, &s->line, !w->has_columns_told, &err))
		return false;
	w->has_columns_told = true;
	buffer_append(&s->line, SPAN("}\n"));
	return !s->line.overflow;
}

/* The line of a change in w->set->line. False: it could not be made. */
static bool line_make(struct watching *w, const char *type, const struct record *r)
{
	struct watch_set *s = w->set;
	bool is_plain = w->call->form == FORM_OBJECT && reads_as_stored(w->kind, r), is_made;

	if (is_plain && s->shared == r->revision && s->shared_type == type && s->shared_kind == w->kind)
		return true;
	buffer_clear(&s->line);
	s->shared = is_plain ? r->revision : 0;
	s->shared_type = type;
	s->shared_kind = w->kind;
	arenas_swap(w);
	is_made = line_write(w, type, r);
	arena_clear(&w->call->arena);
	arenas_swap(w);
	return is_made;
}

static const char TYPE_ADDED[] = "ADDED", TYPE_MODIFIED[] = "MODIFIED", TYPE_DELETED[] = "DELETED";

static void send_now(struct watching *w, const char *type, const struct record *r)
{
	size_t most = w->set->kube->config.watch_backlog_bytes;

	if (!w->req || w->is_over)
		return;
	if (!line_make(w, type, r)) {
		send_expired(w, SPAN("the object could not be shown"));
		watching_end(w);
		return;
	}
	request_write(w->req, buffer_span(&w->set->line));
	if (request_unsent(w->req) <= (w->is_catching_up ? most + REPLAY_BYTES : most))
		return;
	send_expired(w, SPAN("the watch is too slow: more waits for it than the server keeps"));
	watching_end(w);
}

/* What stops matching is told as it was, with the revision of the change. */
static void send_left_now(struct watching *w, const struct record *before, int64_t revision)
{
	struct error err = { 0 };
	struct value *v;
	struct record left;

	arenas_swap(w);
	left = *before;
	if (convert_is_needed(w->kind, before))
		left.text = convert_find(w->kind, before);
	v = ARENA_NEW(&w->call->arena, struct value, &err);
	if (v && value_parse(left.text, NULL, &w->call->arena, v, &err) &&
	    object_set_version(v, revision, &w->call->arena, &err))
		left.text = value_print(v, &w->call->arena, &err);
	w->set->shared = 0;
	buffer_clear(&w->set->line);
	if (left.text.ptr && line_write(w, TYPE_DELETED, &left) && w->req)
		request_write(w->req, buffer_span(&w->set->line));
	arena_clear(&w->call->arena);
	arenas_swap(w);
}

/* ---- what a webhook has to make first ---- */

static bool is_waiting(const struct watching *w, const struct record *r)
{
	return w->pending || (convert_is_needed(w->kind, r) && !convert_find(w->kind, r).ptr);
}

static void pending_go(struct watching *w);

static void pending_made(void *context, const struct error *err)
{
	struct watching *w = context;
	struct status s;

	w->conversion = NULL;
	if (err) {
		s = status_of_error(w->call, err);
		if (w->req)
			send_status(w, &s);
		watching_end(w);
	}
	while (!w->is_over && w->pending) {
		struct pending *p = w->pending;

		if (convert_is_needed(w->kind, p->record) && !convert_find(w->kind, p->record).ptr)
			break;
		if (p->type)
			send_now(w, p->type, p->record);
		else
			send_left_now(w, p->record, p->left_revision);
		if (!w->is_over)
			pending_drop(w);
	}
	if (w->is_over)
		watching_free(w);
	else if (w->pending)
		pending_go(w);
}

static void pending_go(struct watching *w)
{
	struct record *records[CONVERT_OBJECTS_MAX];
	size_t count = 0;

	for (struct pending *p = w->pending; p && count < ARRAY_LEN(records); p = p->next)
		records[count++] = p->record;
	w->conversion = convert_records(w->set->kube, w->kind, records, count, pending_made, w);
	ASSERT(w->conversion); /* the first one is why it is called */
}

static void pending_add(struct watching *w, const char *type, const struct record *r, int64_t left_revision)
{
	struct pending *p;

	if (!w->req || w->is_over)
		return;
	if (w->pending_count >= PENDING_MOST) {
		send_expired(w, SPAN("the watch is too slow: more waits for conversion than the server keeps"));
		watching_end(w);
		return;
	}
	p = base_calloc(1, sizeof(*p));
	p->record = record_ref((struct record *)(uintptr_t)r);
	p->type = type;
	p->left_revision = left_revision;
	if (!w->pending)
		w->pending_end = &w->pending;
	*w->pending_end = p;
	w->pending_end = &p->next;
	w->pending_count++;
	if (!w->conversion)
		pending_go(w);
}

static void send(struct watching *w, const char *type, const struct record *r)
{
	if (w->kind->is_custom && is_waiting(w, r))
		pending_add(w, type, r, 0);
	else
		send_now(w, type, r);
}

static void send_left(struct watching *w, const struct record *before, int64_t revision)
{
	if (w->kind->is_custom && is_waiting(w, before))
		pending_add(w, NULL, before, revision);
	else
		send_left_now(w, before, revision);
}

static void bookmark_write(struct watching *w)
{
	struct error ignored = { 0 };
	struct call *call = w->call;
	const struct kind *kind = w->kind;
	struct span text =
	    arena_print(&call->arena, &ignored,
			"{\"kind\":\"%s\",\"apiVersion\":\"%s%s%s\",\"metadata\":{\"resourceVersion\":\"%lld\","
			"\"creationTimestamp\":null}}",
			kind->kind, kind->group, kind->group[0] ? "/" : "", kind->version, (long long)w->told);

	buffer_clear(&w->set->line);
	w->set->shared = 0;
	buffer_append(&w->set->line, SPAN("{\"type\":\"BOOKMARK\",\"object\":"));
	if (call->form == FORM_OBJECT)
		buffer_append(&w->set->line, text);
	else
		(void)form_write_columns(call, kind, text, &w->set->line, !w->has_columns_told, &ignored);
	buffer_append(&w->set->line, SPAN("}\n"));
}

static void send_bookmark(struct watching *w)
{
	arenas_swap(w);
	bookmark_write(w);
	arena_clear(&w->call->arena);
	arenas_swap(w);
	request_write(w->req, buffer_span(&w->set->line));
}

/* ---- the store's callbacks ---- */

/* A change of what the selector takes is an ADDED or DELETED for this watcher. */
static void event(struct store_watcher *watcher, const struct store_event *e)
{
	struct watching *w = CONTAINER_OF(watcher, struct watching, watcher);
	const struct selectors *s = &w->call->selectors;
	const struct record *before = e->previous && !e->previous->is_deletion ? e->previous : NULL;
	bool was, is;

	if (w->is_over)
		return;
	w->told = e->record->revision;
	was = before && selectors_match(s, w->kind, before); /* an empty one takes all */
	is = !e->record->is_deletion && selectors_match(s, w->kind, e->record);
	if (selectors_are_empty(s))
		send(w, e->record->is_deletion ? TYPE_DELETED : before ? TYPE_MODIFIED : TYPE_ADDED, e->record);
	else if (is)
		send(w, was ? TYPE_MODIFIED : TYPE_ADDED, e->record);
	else if (was)
		send_left(w, before, e->record->revision);
	if (w->is_over) /* it was too slow */
		watching_free(w);
}

static void progress(struct store_watcher *watcher, int64_t revision)
{
	struct watching *w = CONTAINER_OF(watcher, struct watching, watcher);

	w->told = MAX(w->told, revision);
}

/* ---- life ---- */

static void end_fired(struct timer *t)
{
	struct watching *w = CONTAINER_OF(t, struct watching, end);

	watching_end(w);
	watching_free(w);
}

static void bookmark_fired(struct timer *t);

/* Once a minute, and shortly before the end, as the real server does: who comes again knows from where. */
static void bookmark_set(struct watching *w)
{
	struct loop *loop = w->set->kube->config.loop;
	int64_t now = loop_now(loop), next = now + BOOKMARK_NS, last = w->end.at_ns - BOOKMARK_LAST_NS;

	loop_timer_set(loop, &w->bookmark, last > now ? MIN(next, last) : next, bookmark_fired);
}

static void bookmark_fired(struct timer *t)
{
	struct watching *w = CONTAINER_OF(t, struct watching, bookmark);

	if (w->watch && w->req && request_unsent(w->req) == 0 && !w->pending)
		send_bookmark(w);
	bookmark_set(w);
}

static void gone(struct request *req, const struct error *why)
{
	struct watching *w = request_owner(req);

	(void)why;
	w->req = NULL;
	watching_free(w);
}

static bool follow(struct watching *w, int64_t from)
{
	struct error err = { 0 };
	struct status s;

	w->told = from;
	w->is_catching_up = true;
	w->is_in_store = true;
	w->watch = store_watch(w->set->kube->config.store, w->prefix, from, &w->watcher, &err);
	w->is_in_store = false;
	if (w->is_over) { /* cut off while it was told of the past */
		if (w->watch)
			store_unwatch(w->watch);
		w->watch = NULL;
		return false;
	}
	if (w->req && request_unsent(w->req) < REQUEST_UNSENT_LOW)
		w->is_catching_up = false;
	if (w->watch)
		return true;
	s = status_of_error(w->call, &err);
	if (err.code == ERROR_GONE)
		s = (struct status){ .code = 410, .reason = "Expired" };
	s.message = err.code == ERROR_GONE
			? arena_print(&w->call->arena, &err, "too old resource version: %lld (%lld)", (long long)from,
				      (long long)store_compacted(w->set->kube->config.store))
			: s.message;
	send_status(w, &s);
	watching_end(w);
	return false;
}

/* ---- what there is ---- */

static bool first_each(void *context, struct record *r)
{
	struct watching *w = context;
	struct error err = { 0 };

	if (request_unsent(w->req) > PIECE_BYTES) {
		w->cursor = arena_copy(&w->call->arena, r->key, &err);
		return false;
	}
	if (selectors_match(&w->call->selectors, w->kind, r))
		send(w, TYPE_ADDED, r);
	return !w->is_over;
}

/* Goes on with what there is until the client has enough to read; then with the changes. False: it is over. */
static bool first_go(struct watching *w)
{
	struct span start = w->cursor;
	struct error err = { 0 };

	w->cursor = (struct span){ 0 };
	w->is_catching_up = true;
	if (!store_list(w->set->kube->config.store, w->prefix, start, w->revision, first_each, w, &err)) {
		send_expired(w, SPAN("the list to begin with is too old"));
		watching_end(w);
		return false;
	}
	if (w->is_over)
		return false;
	return w->cursor.ptr ? true : follow(w, w->revision);
}

static void writable(struct request *req)
{
	struct watching *w = request_owner(req);

	w->is_catching_up = false;
	if (w->cursor.ptr && !first_go(w))
		watching_free(w);
}

static const struct request_flow watch_flow = { .writable = writable, .gone = gone };

static bool head_send(struct watching *w)
{
	struct header headers[] = { { SPAN("content-type"),
				      w->call->is_yaml ? SPAN("application/yaml") : SPAN("application/json") },
				    { SPAN("cache-control"), SPAN("no-cache, private") } };

	request_open(w->req, &watch_flow, w);
	request_head(w->req, 200, (struct span){ 0 }, headers, ARRAY_LEN(headers));
	return true;
}

static void timers_set(struct watching *w)
{
	struct loop *loop = w->set->kube->config.loop;
	int64_t life = w->call->options.timeout_seconds;

	if (life <= 0)
		life = LIFE_LEAST_S + (int64_t)(random_unit() * LIFE_LEAST_S);
	life = MIN(life, INT64_C(86400) * 365);
	loop_timer_set(loop, &w->end, loop_now(loop) + life * NS_PER_S, end_fired);
	if (w->call->options.has_bookmarks)
		bookmark_set(w);
}

/* A version of the future: the real server waits for it, then ends the watch. */
static void future_fired(struct timer *t)
{
	end_fired(t);
}

static void name_select(struct call *call)
{
	struct selector *s = &call->selectors.fields;
	struct error ignored = { 0 };
	struct requirement *items;

	if (!call->base.name.len)
		return;
	items = ARENA_ARRAY(&call->arena, struct requirement, s->count + 1, &ignored);
	if (!items)
		return;
	if (s->count)
		memcpy(items, s->items, s->count * sizeof(*items));
	items[s->count] = (struct requirement){ .key = SPAN("metadata.name"), .kind = REQUIRE_IN, .count = 1 };
	items[s->count].values = ARENA_NEW(&call->arena, struct span, &ignored);
	if (!items[s->count].values)
		return;
	items[s->count].values[0] = call->base.name;
	s->items = items;
	s->count++;
}

/* What the call holds lies in the request's memory or its own; both live as long as the request. */
static struct watching *watching_new(struct call *call)
{
	struct kube *k = call->base.kube;
	struct watch_set *set = k->watches;
	struct watching *w = base_calloc(1, sizeof(*w));

	w->watcher = (struct store_watcher){ .event = event, .progress = progress };
	w->set = set;
	w->req = call->base.req;
	w->kind = call->base.kind;
	w->call = call;
	w->prefix = kube_key(call->base.kind, call->base.name_space, (struct span){ 0 }, &call->arena);
	w->next = set->first;
	w->at = &set->first;
	if (w->next)
		w->next->at = &w->next;
	set->first = w;
	set->count++;
	return w;
}

void watch_start(struct call *call)
{
	struct kube *k = call->base.kube;
	struct watching *w;
	int64_t version = call->options.version;

	if (k->is_draining) {
		answer_message(call, 503, "ServiceUnavailable", "the server is shutting down");
		return;
	}
	if (k->watches->count >= k->config.watches_most) {
		answer_message(call, 429, "TooManyRequests", "there are %zu watches already, the limit",
			       k->config.watches_most);
		return;
	}
	name_select(call);
	w = watching_new(call);
	(void)head_send(w);
	timers_set(w);
	if (version > store_revision(k->config.store)) {
		loop_timer_set(k->config.loop, &w->end, loop_now(k->config.loop) + FUTURE_WAIT_NS, future_fired);
		return;
	}
	if (version <= 0) {
		w->revision = store_revision(k->config.store);
		if (!first_go(w))
			watching_free(w);
	} else if (!follow(w, version)) {
		watching_free(w);
	}
}
