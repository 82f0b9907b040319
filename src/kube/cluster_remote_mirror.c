/* SPDX-License-Identifier: Apache-2.0 */
/* cluster_remote_mirror - the objects of one kind as they were last seen: a list, then a watch, and again when that was lost. */
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/random.h"
#include "kube/cluster_remote_private.h"

#define LIST_TIMEOUT_NS  (60 * NS_PER_S)
#define BACKOFF_LEAST_NS (100 * NS_PER_MS)
#define BACKOFF_MOST_NS  (30 * NS_PER_S)
#define ABSENT_NS        (30 * NS_PER_S) /* a kind that nobody serves is asked for again */
#define POLL_NS          (15 * NS_PER_S) /* one that is served, but not watched */
#define LATE_NS          (30 * NS_PER_S) /* a watch may end as much later than it was asked to */
#define SETTLED_NS       NS_PER_S        /* a watch that ended sooner has failed */
#define PAGE_MEMORY      MIB(512)
#define LINE_MEMORY      MIB(64)

enum { WATCH_SECONDS_LEAST = 300, WATCH_SECONDS_SPREAD = 300 };

struct follower {
	struct follower *next;
	const struct resource *resource; /* as the follower calls it */
	void (*seen)(void *context, const struct sighting *s);
	void *context;
};

struct records {
	struct record **items; /* by key */
	size_t count, cap;
};

struct mirror {
	struct mirror *next;
	struct remote *remote;
	const struct resource *resource;
	struct records now, fresh; /* shown; of a list that is under way */
	char *next_page;
	int64_t revision; /* seen up to here */
	struct https_call *call;
	struct timer timer;
	struct loop_task task; /* reads the lines that have come */
	struct buffer lines;
	struct follower *followers;
	struct wait *waits;
	unsigned failures;
	int64_t began_ns;
	bool is_known, is_absent, is_unwatched; /* seen whole or absent; nobody serves it; it cannot be watched */
	bool is_lost;                           /* the watch has lost its place */
	bool has_complained;
};

/* ---- records by key ---- */

/* Where the key is, or would be. */
static size_t place_of(const struct records *r, struct span key)
{
	size_t low = 0, high = r->count;

	if (r->count && span_order(r->items[r->count - 1]->key, key) < 0) /* lists come in order */
		return r->count;
	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (span_order(r->items[middle]->key, key) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static bool is_at(const struct records *r, size_t at, struct span key)
{
	return at < r->count && span_equal(r->items[at]->key, key);
}

static void insert(struct records *r, size_t at, struct record *record)
{
	if (r->count == r->cap) {
		r->cap = MAX(2 * r->cap, (size_t)64);
		r->items = base_realloc(r->items, r->cap * sizeof(*r->items));
	}
	memmove(r->items + at + 1, r->items + at, (r->count - at) * sizeof(*r->items));
	r->items[at] = record;
	r->count++;
}

static void records_done(struct records *r)
{
	for (size_t i = 0; i < r->count; i++)
		record_unref(r->items[i]);
	free(r->items);
	*r = (struct records){ 0 };
}

struct record *mirror_get(const struct mirror *m, struct span key)
{
	size_t at = place_of(&m->now, key);

	return is_at(&m->now, at, key) ? m->now.items[at] : NULL;
}

void mirror_each(const struct mirror *m, struct span prefix, bool (*take)(void *context, struct record *record),
		 void *context)
{
	for (size_t i = place_of(&m->now, prefix); i < m->now.count && span_starts(m->now.items[i]->key, prefix); i++)
		if (!take(context, m->now.items[i]))
			return;
}

/* ---- telling ---- */

static void tell_one(const struct follower *f, struct record *before, struct record *now)
{
	struct sighting s = { .resource = f->resource, .before = before, .now = now };
	struct span key;

	ASSERT(before || now);
	key = span_skip((now ? now : before)->key, 1);
	(void)span_cut(&key, '/');
	(void)span_cut(&key, '/');
	s.name_space = span_cut(&key, '/');
	if (span_equal(s.name_space, SPAN("-")))
		s.name_space = (struct span){ 0 };
	s.name = key;
	f->seen(f->context, &s);
}

static void tell(struct mirror *m, struct record *before, struct record *now)
{
	for (const struct follower *f = m->followers; f; f = f->next)
		tell_one(f, before, now);
}

static bool is_over(const struct mirror *m, const struct wait *w)
{
	const struct record *r;

	if (!w->uid.len)
		return m->revision >= w->revision;
	r = mirror_get(m, w->key);
	return !r || !span_equal(record_uid(r), w->uid);
}

static void waits_look(struct mirror *m)
{
	struct wait **at = &m->waits;

	while (*at) {
		struct wait *w = *at;

		if (!is_over(m, w)) {
			at = &w->next;
			continue;
		}
		*at = w->next;
		w->done(w, NULL);
		at = &m->waits; /* more may have come */
	}
}

void mirror_wait(struct mirror *m, struct wait *w)
{
	if (is_over(m, w)) {
		w->done(w, NULL);
		return;
	}
	w->next = m->waits;
	m->waits = w;
}

/* ---- changes ---- */

static void put(struct mirror *m, struct record *record)
{
	size_t at = place_of(&m->now, record->key);
	struct record *before = NULL;

	if (is_at(&m->now, at, record->key)) {
		before = m->now.items[at];
		m->now.items[at] = record;
	} else {
		insert(&m->now, at, record);
	}
	tell(m, before, record);
	record_unref(before);
}

static void drop(struct mirror *m, struct span key)
{
	size_t at = place_of(&m->now, key);
	struct record *before;

	if (!is_at(&m->now, at, key))
		return;
	before = m->now.items[at];
	m->now.count--;
	memmove(m->now.items + at, m->now.items + at + 1, (m->now.count - at) * sizeof(*m->now.items));
	tell(m, before, NULL);
	record_unref(before);
}

/* What a list has found takes the place of what was shown; what differs is told when all of it is there. */
static void replace(struct mirror *m)
{
	struct records before = m->now;
	size_t i = 0, j = 0;

	m->now = m->fresh;
	m->fresh = (struct records){ 0 };
	while (i < before.count || j < m->now.count) {
		struct record *old = i < before.count ? before.items[i] : NULL;
		struct record *now = j < m->now.count ? m->now.items[j] : NULL;
		int order = !old ? 1 : !now ? -1 : span_order(old->key, now->key);

		i += order <= 0;
		j += order >= 0;
		if (order < 0)
			tell(m, old, NULL);
		else if (order > 0)
			tell(m, NULL, now);
		else if (old->revision != now->revision || !now->revision)
			tell(m, old, now);
	}
	records_done(&before);
}

/* ---- what to do next ---- */

static void list_begin(struct mirror *m);
static void watch_begin(struct mirror *m);

static void timer_fired(struct timer *t)
{
	struct mirror *m = CONTAINER_OF(t, struct mirror, timer);

	if (m->is_known && !m->is_absent && !m->is_unwatched && !m->is_lost)
		watch_begin(m);
	else
		list_begin(m);
}

static void again_in(struct mirror *m, int64_t wait_ns)
{
	loop_timer_set(m->remote->config.loop, &m->timer, clock_monotonic_ns() + wait_ns, timer_fired);
}

/* Later each time, and not all kinds at once. */
static void again_later(struct mirror *m)
{
	int64_t wait = MIN(BACKOFF_LEAST_NS << MIN(m->failures, 10U), BACKOFF_MOST_NS);

	m->failures++;
	again_in(m, (int64_t)((double)wait * (0.5 + random_unit() / 2)));
}

static void complain(struct mirror *m, const char *what, const struct error *err)
{
	if (!m->has_complained)
		log_warn("cluster", what, LOG_TEXT("kind", m->resource->plural), LOG_TEXT("group", m->resource->group),
			 LOG_TEXT("error", err->message));
	m->has_complained = true;
}

static void content(struct mirror *m)
{
	if (m->has_complained)
		log_info("cluster", "seen again", LOG_TEXT("kind", m->resource->plural),
			 LOG_TEXT("group", m->resource->group));
	m->has_complained = false;
	m->failures = 0;
}

/* ---- listing ---- */

static void list_forget(struct mirror *m)
{
	records_done(&m->fresh);
	free(m->next_page);
	m->next_page = NULL;
}

static void absent(struct mirror *m)
{
	struct error err = { 0 };

	list_forget(m);
	error_set(&err, ERROR_NOT_FOUND, "the API server does not serve it; it counts as empty until it does");
	complain(m, "there is no such kind", &err);
	m->is_absent = true;
	replace(m);
	waits_look(m);
	again_in(m, ABSENT_NS);
	if (m->is_known)
		return;
	m->is_known = true;
	remote_mirror_known(m->remote);
}

static void list_finish(struct mirror *m, int64_t revision)
{
	bool is_first = !m->is_known;

	m->is_known = true;
	m->is_absent = m->is_lost = false;
	m->revision = revision;
	content(m);
	replace(m);
	waits_look(m);
	if (m->is_unwatched)
		again_in(m, POLL_NS);
	else
		watch_begin(m);
	if (is_first)
		remote_mirror_known(m->remote);
}

static bool page_keep(struct mirror *m, const struct remote_page *page, struct arena *arena, struct error *err)
{
	for (uint32_t i = 0; i < page->items->array.count; i++) {
		struct record *r = remote_record(m->resource, value_item(page->items, i), arena, err);
		size_t at;

		if (!r)
			return false;
		at = place_of(&m->fresh, r->key);
		if (is_at(&m->fresh, at, r->key) || m->fresh.count == m->remote->config.objects_most) {
			bool is_twice = m->fresh.count != m->remote->config.objects_most;

			record_unref(r);
			if (!is_twice)
				return error_set(err, ERROR_TOO_LARGE, "there are more than %zu",
						 m->remote->config.objects_most);
			continue;
		}
		insert(&m->fresh, at, r);
	}
	return true;
}

static bool page_take(struct mirror *m, struct span body, struct error *err)
{
	struct remote_page page;
	struct arena arena;
	bool good;

	arena_init(&arena, PAGE_MEMORY);
	good = remote_page_read(body, &arena, &page, err) && page_keep(m, &page, &arena, err);
	free(m->next_page);
	m->next_page = NULL;
	if (good && page.next.len) {
		m->next_page = span_to_text(page.next);
		list_begin(m);
	} else if (good) {
		list_finish(m, page.revision);
	}
	arena_done(&arena);
	return good;
}

static void list_done(void *context, const struct https_answer *answer, const struct error *failure)
{
	struct mirror *m = context;
	struct error err = { 0 };

	m->call = NULL;
	remote_heard(m->remote, failure);
	if (failure) {
		list_forget(m);
		again_later(m);
		return;
	}
	if (answer->status < 300 && page_take(m, answer->body, &err))
		return;
	if (answer->status >= 300)
		remote_status(answer->status, answer->body, &err);
	if (answer->status == 404) {
		absent(m);
		return;
	}
	/* A list that took too long to be told in pages begins again: that is no fault. */
	if (!(err.code == ERROR_GONE && m->next_page))
		complain(m, "cannot be listed", &err);
	list_forget(m);
	again_later(m);
}

static void list_begin(struct mirror *m)
{
	struct https_request request;
	struct error err = { 0 };
	struct buffer path, url;

	m->is_lost = true;
	buffer_init(&path, KIB(64));
	buffer_init(&url, KIB(64));
	remote_path(&path, m->resource, (struct span){ 0 }, (struct span){ 0 }, (struct span){ 0 });
	buffer_print(&path, "?limit=%zu", m->remote->config.page);
	if (m->next_page)
		remote_query(&path, "continue", span_of(m->next_page));
	if (buffer_ok(&path, "the page's token", &err) &&
	    remote_request(m->remote, buffer_span(&path), &request, &url, &err)) {
		request.timeout_ns = LIST_TIMEOUT_NS;
		request.done = list_done;
		request.context = m;
		m->call = https_call(m->remote->calls, &request, &err);
	}
	buffer_done(&path);
	buffer_done(&url);
	if (m->call)
		return;
	remote_heard(m->remote, &err);
	list_forget(m);
	again_later(m);
}

/* ---- watching ---- */

static void line_take(struct mirror *m, const struct remote_line *line, struct arena *arena, struct error *err)
{
	struct record *r;
	struct span key;

	switch (line->change) {
	case REMOTE_ERROR:
		*err = line->error;
		return;
	case REMOTE_BOOKMARK:
		break;
	case REMOTE_DROP:
		key = remote_key(m->resource, value_find_string(line->object, "metadata.namespace"),
				 value_find_string(line->object, "metadata.name"), arena, err);
		if (!key.ptr)
			return;
		drop(m, key);
		break;
	case REMOTE_PUT:
		r = remote_record(m->resource, line->object, arena, err);
		if (!r)
			return;
		put(m, r);
		break;
	}
	m->revision = MAX(m->revision, line->revision);
	content(m);
	waits_look(m);
}

/* All whole lines. False: the watch is of no more use. */
static bool lines_take(struct mirror *m, struct error *err)
{
	struct span rest = buffer_span(&m->lines);
	struct arena arena;

	arena_init(&arena, LINE_MEMORY);
	while (!err->code) {
		size_t len = span_index(rest, '\n');
		struct span text = span_trim(span_first(rest, len));
		struct remote_line line;

		if (len == rest.len) {
			if (len > m->remote->config.line_most)
				error_set(err, ERROR_TOO_LARGE, "a change is longer than %zu bytes",
					  m->remote->config.line_most);
			break;
		}
		rest = span_skip(rest, len + 1);
		if (text.len && remote_line_read(text, &arena, &line, err))
			line_take(m, &line, &arena, err);
		arena_clear(&arena);
	}
	arena_done(&arena);
	buffer_drop(&m->lines, m->lines.len - rest.len);
	if (!m->lines.len)
		buffer_shrink(&m->lines, KIB(64));
	return !err->code;
}

/* What cannot be told as changes any more is listed. */
static void watch_end(struct mirror *m, const struct error *err)
{
	if (m->call)
		https_cancel(m->call);
	m->call = NULL;
	loop_undefer(m->remote->config.loop, &m->task);
	buffer_clear(&m->lines);
	if (err->code == ERROR_GONE || err->code == ERROR_NOT_FOUND || err->code == ERROR_INVALID ||
	    err->code == ERROR_TOO_LARGE)
		m->is_lost = true;
	if (err->code == ERROR_METHOD_NOT_ALLOWED) {
		m->is_unwatched = true;
		again_in(m, POLL_NS);
		return;
	}
	if (err->code && err->code != ERROR_GONE)
		complain(m, "cannot be watched", err);
	again_later(m);
}

static void lines_run(struct loop_task *t)
{
	struct mirror *m = CONTAINER_OF(t, struct mirror, task);
	struct error err = { 0 };

	if (!lines_take(m, &err))
		watch_end(m, &err);
}

static bool part_came(void *context, struct span bytes)
{
	struct mirror *m = context;

	buffer_append(&m->lines, bytes);
	loop_defer(m->remote->config.loop, &m->task);
	return !m->lines.overflow;
}

static void watch_done(void *context, const struct https_answer *answer, const struct error *failure)
{
	struct mirror *m = context;
	struct error err = { 0 };

	m->call = NULL;
	if (failure && failure->code == ERROR_CANCELLED) {
		error_set(&err, ERROR_TOO_LARGE, "more than %zu bytes of changes came at once", m->lines.limit);
	} else {
		remote_heard(m->remote, failure);
		if (answer && answer->status >= 300)
			remote_status(answer->status, answer->body, &err);
		else
			(void)lines_take(m, &err);
	}
	if (!err.code && clock_monotonic_ns() - m->began_ns > SETTLED_NS)
		m->failures = 0;
	watch_end(m, &err);
}

static void watch_begin(struct mirror *m)
{
	struct https_request request;
	struct error err = { 0 };
	struct buffer path, url;
	int seconds = WATCH_SECONDS_LEAST + (int)(random_unit() * WATCH_SECONDS_SPREAD);

	buffer_init(&path, KIB(4));
	buffer_init(&url, KIB(64));
	remote_path(&path, m->resource, (struct span){ 0 }, (struct span){ 0 }, (struct span){ 0 });
	buffer_print(&path, "?watch=1&allowWatchBookmarks=true&resourceVersion=%lld&timeoutSeconds=%d",
		     (long long)m->revision, seconds);
	m->began_ns = clock_monotonic_ns();
	if (remote_request(m->remote, buffer_span(&path), &request, &url, &err)) {
		request.part = part_came;
		/* One that goes on for longer has nobody behind it who would tell of changes. */
		request.timeout_ns = seconds * NS_PER_S + LATE_NS;
		request.done = watch_done;
		request.context = m;
		m->call = https_call(m->remote->watches, &request, &err);
	}
	buffer_done(&path);
	buffer_done(&url);
	if (m->call)
		return;
	remote_heard(m->remote, &err);
	again_later(m);
}

/* ---- life ---- */

struct mirror *mirror_new(struct remote *r, const struct resource *resource, struct mirror *next)
{
	struct mirror *m = base_calloc(1, sizeof(*m));

	m->remote = r;
	m->resource = resource;
	m->next = next;
	m->task.run = lines_run;
	buffer_init(&m->lines, 2 * r->config.line_most);
	again_in(m, 0);
	return m;
}

void mirror_free(struct mirror *m)
{
	while (m) {
		struct mirror *next = m->next;
		struct error err = { 0 };

		error_set(&err, ERROR_CANCELLED, "the cluster is no longer looked at");
		if (m->call)
			https_cancel(m->call);
		loop_undefer(m->remote->config.loop, &m->task);
		loop_timer_clear(m->remote->config.loop, &m->timer);
		while (m->waits) {
			struct wait *w = m->waits;

			m->waits = w->next;
			w->done(w, &err);
		}
		while (m->followers) {
			struct follower *f = m->followers;

			m->followers = f->next;
			free(f);
		}
		records_done(&m->now);
		list_forget(m);
		buffer_done(&m->lines);
		free(m);
		m = next;
	}
}

struct mirror *mirror_find(struct remote *r, const struct resource *resource)
{
	struct mirror *m = r->mirrors;

	while (m && !(strcmp(m->resource->plural, resource->plural) == 0 &&
		      strcmp(m->resource->group, resource->group) == 0))
		m = m->next;
	return m;
}

bool mirrors_are_known(const struct remote *r)
{
	for (const struct mirror *m = r->mirrors; m; m = m->next)
		if (!m->is_known)
			return false;
	return true;
}

bool mirror_follow(struct mirror *m, const struct resource *resource,
		   void (*seen)(void *context, const struct sighting *s), void *context, struct error *err)
{
	struct follower *f;

	if (!m->is_known)
		return error_set(err, ERROR_UNAVAILABLE, "%s have not been seen yet", m->resource->plural);
	f = base_calloc(1, sizeof(*f));
	*f = (struct follower){ .next = m->followers, .resource = resource, .seen = seen, .context = context };
	m->followers = f;
	for (size_t i = 0; i < m->now.count; i++)
		tell_one(f, NULL, m->now.items[i]);
	return true;
}
