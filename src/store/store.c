/* SPDX-License-Identifier: Apache-2.0 */
#include "store/store.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "store/store_private.h"

struct store_config store_config_default(void)
{
	return (struct store_config){
		.durability = STORE_DURABLE,
		.history_bytes = MIB(64),
		.history_ns = 300 * NS_PER_S,
		.queue_most = 10000,
		.queue_bytes = MIB(256),
		.text_most = MIB(2),
	};
}

/* ---- what became durable ---- */

static void settle(struct store *s, struct write *w)
{
	struct record *r = w->record;
	struct entry *e = index_find(&s->index, r->key);

	ASSERT(e && r->revision == s->durable + 1);
	e->durable = r;
	s->durable = r->revision;
	history_account(s, r);
	expiry_note(s, e);
	watches_count(s, r);
	if (w->done)
		w->done(w->context, r, NULL);
	watches_tell(s, r);
}

/* Takes back what was proposed for a key and will not become durable. */
static void take_back(struct store *s, struct span key)
{
	struct entry *e = index_find(&s->index, key);

	if (!e)
		return; /* with an earlier write of the same key */
	while (e->latest != e->durable) {
		struct record *r = e->latest;

		e->latest = r->older;
		r->older = NULL;
		record_unref(r);
	}
	if (e->latest)
		history_taken_back(s, e);
	else
		index_remove(&s->index, key);
}

/* ---- a disk without room ---- */

static const int64_t room_asked_ns = NS_PER_S;

static void ask_for_room(struct timer *t)
{
	struct store *s = CONTAINER_OF(t, struct store, room);

	if (s->pending) /* proposed before it was known: they come back as failed, and only then is memory what the disk is */
		loop_timer_set(s->config.loop, t, clock_monotonic_ns() + room_asked_ns, ask_for_room);
	else
		writer_try(s->writer, s->durable);
}

static void refuse_writes(struct store *s, const struct batch *b)
{
	if (!s->is_failed)
		log_error("store", "writes are refused", LOG_SPAN("why", error_span(&b->error)));
	if (!s->is_failed || b->is_trial) {
		s->failure = b->error;
		s->may_pass = b->may_pass;
	}
	s->is_failed = true;
	if (s->may_pass && !s->is_closing)
		loop_timer_set(s->config.loop, &s->room, clock_monotonic_ns() + room_asked_ns, ask_for_room);
}

static void allow_writes(struct store *s)
{
	if (!s->is_failed || s->is_closing)
		return;
	s->is_failed = s->may_pass = false;
	log_info("store", "writes go on: the disk has room again", LOG_TEXT("folder", s->folder));
	expiry_resume(s);
}

static void batch_settle(struct store *s, struct batch *b)
{
	if (b->is_failed)
		refuse_writes(s, b);
	else if (b->is_trial)
		allow_writes(s);
	while (b->first) {
		struct write *w = b->first;

		b->first = w->next;
		s->pending--;
		s->pending_bytes -= record_bytes(w->record);
		if (b->is_failed) {
			take_back(s, w->record->key);
			s->next = s->durable + 1;
			if (w->done)
				w->done(w->context, NULL, &b->error);
		} else {
			settle(s, w);
		}
		record_unref(w->record);
		free(w);
	}
}

/* After a failure nothing is proposed before all of it has come back. */
static void afters_run(struct store *s)
{
	while (s->first_after && (s->first_after->revision <= s->durable || !s->pending)) {
		struct store_after *a = s->first_after;

		s->first_after = a->next;
		a->run(a);
	}
}

static void take_finished(struct store *s)
{
	struct batch *b = writer_finished(s->writer);

	while (b) {
		struct batch *next = b->next;

		batch_settle(s, b);
		if (!b->is_failed && !b->is_trial)
			watches_progress(s);
		free(b);
		afters_run(s);
		b = next;
	}
	history_compact(s);
	jobs_finished(s);
}

static void woken(struct watch *w, unsigned events)
{
	struct store *s = CONTAINER_OF(w, struct store, finished);
	uint64_t count;

	(void)events;
	if (read(s->event_fd, &count, sizeof(count)) == sizeof(count))
		take_finished(s);
}

/* ---- opening and closing ---- */

static bool open_journal(const char *folder, enum store_durability durability, struct journal **ret, struct error *err)
{
	AUTO_FREE char *path = folder_path(folder, "store.db");
	AUTO_FREE char *wal = folder_path(folder, "store.db-wal");

	if (!folder_has(path)) {
		if (folder_has(wal))
			return error_set(err, ERROR_INVALID, "'%s' is there without '%s': the store is damaged", wal,
					 path);
		if (!journal_create(path, err))
			return false;
	}
	*ret = journal_open(path, durability, err);
	return *ret != NULL;
}

static bool open_secret(struct store *s, struct error *err)
{
	AUTO_FREE char *path = folder_path(s->folder, "secret.key");

	if (!folder_has(path))
		return true;
	s->has_secret = secret_load(path, &s->secret, err);
	return s->has_secret;
}

static bool make_secret(struct store *s, struct error *err)
{
	AUTO_FREE char *path = folder_path(s->folder, "secret.key");

	if (s->has_secret || !s->config.is_secret)
		return true;
	s->has_secret = secret_create(path, &s->secret, err);
	return s->has_secret;
}

static void submit(struct loop_task *t)
{
	struct store *s = CONTAINER_OF(t, struct store, submit);

	if (!s->gathered)
		return;
	writer_submit(s->writer, s->gathered, s->gathered_last);
	s->gathered = s->gathered_last = NULL;
}

static void store_free(struct store *s)
{
	expiry_done(s);
	watches_done(s);
	index_done(&s->index);
	history_done(&s->history);
	writer_free(s->writer);
	if (s->event_fd >= 0)
		close(s->event_fd);
	if (s->lock_fd >= 0)
		close(s->lock_fd);
	explicit_bzero(&s->secret, sizeof(s->secret));
	free(s->folder);
	free(s);
}

struct store *store_open(const struct store_config *config, struct error *err)
{
	struct store *s = base_calloc(1, sizeof(*s));
	struct journal *journal = NULL;

	s->config = *config;
	s->folder = span_to_text(span_of(config->folder));
	s->config.folder = s->folder;
	s->event_fd = s->lock_fd = -1;
	if (!folder_make(s->folder, err) || (s->lock_fd = folder_lock(s->folder, err)) < 0 ||
	    !open_journal(s->folder, config->durability, &journal, err) || !open_secret(s, err) ||
	    !store_load(s, journal, err) || !make_secret(s, err)) {
		journal_close(journal);
		store_free(s);
		return NULL;
	}
	s->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	ASSERT(s->event_fd >= 0);
	s->writer = writer_new(journal, &s->secret, s->event_fd);
	s->submit.run = submit;
	loop_watch(s->config.loop, &s->finished, s->event_fd, LOOP_READ, woken);
	history_compact(s);
	return s;
}

void store_close(struct store *s)
{
	if (!s)
		return;
	LOOP_ASSERT(s->config.loop);
	jobs_wait(s);
	loop_undefer(s->config.loop, &s->submit);
	submit(&s->submit);
	history_flush(s);
	s->is_closing = true;
	loop_timer_clear(s->config.loop, &s->room);
	writer_end(s->writer);
	if (!s->is_failed) {
		s->is_failed = true;
		error_set(&s->failure, ERROR_UNAVAILABLE, "it is being closed");
	}
	take_finished(s);
	loop_unwatch(s->config.loop, &s->finished);
	store_free(s);
}

/* ---- reading ---- */

int64_t store_revision(const struct store *s)
{
	return s->durable;
}

int64_t store_compacted(const struct store *s)
{
	return s->history.floor - 1;
}

static struct record *alive(struct record *r)
{
	return r && !r->is_deletion ? r : NULL;
}

struct record *store_get(const struct store *s, struct span key)
{
	struct entry *e = index_find(&s->index, key);

	LOOP_ASSERT(s->config.loop);
	return e ? alive(e->durable) : NULL;
}

struct record *store_latest(const struct store *s, struct span key)
{
	struct entry *e = index_find(&s->index, key);

	LOOP_ASSERT(s->config.loop);
	return e ? alive(e->latest) : NULL;
}

static struct record *as_of(const struct entry *e, int64_t revision)
{
	struct record *r = e->durable;

	while (r && r->revision > revision)
		r = r->older;
	return alive(r);
}

bool store_list(const struct store *s, struct span prefix, struct span start, int64_t revision,
		bool (*each)(void *context, struct record *r), void *context, struct error *err)
{
	int64_t next = s->next;

	LOOP_ASSERT(s->config.loop);
	if (revision == 0)
		revision = s->durable;
	if (revision < s->history.floor)
		return error_set(err, ERROR_GONE, "The resourceVersion for the provided list is too old.");
	if (revision > s->durable)
		return error_set(err, ERROR_TIMEOUT, "Too large resource version: %lld, current: %lld",
				 (long long)revision, (long long)s->durable);
	for (struct entry *e = index_at_or_behind(&s->index, span_order(prefix, start) < 0 ? start : prefix);
	     e && span_starts(entry_key(e), prefix); e = e->next[0]) {
		struct record *r = as_of(e, revision);

		if (r && !each(context, r))
			break;
	}
	ASSERT(s->next == next); /* no write was proposed inside */
	return true;
}

/* ---- writing ---- */

int64_t store_next_revision(const struct store *s)
{
	return s->next;
}

bool store_may_write(const struct store *s, struct error *err)
{
	if (!s->is_failed)
		return true;
	if (s->may_pass) {
		*err = s->failure;
		return false;
	}
	return error_set(err, ERROR_UNAVAILABLE, "the store does not write any more: %s", s->failure.message);
}

static bool check_expected(const struct store_write *w, const struct record *current, struct error *err)
{
	int64_t revision = current ? current->revision : 0;

	if (w->expected >= 0 && w->expected != revision && !revision)
		return error_set(err, ERROR_CONFLICT, "'" SPAN_FMT "' is not there, revision %lld was expected",
				 SPAN_ARG(w->key), (long long)w->expected);
	if (w->expected >= 0 && w->expected != revision)
		return error_set(err, ERROR_CONFLICT, "'" SPAN_FMT "' has revision %lld, %lld was expected",
				 SPAN_ARG(w->key), (long long)revision, (long long)w->expected);
	if (w->is_deletion && !current)
		return error_set(err, ERROR_NOT_FOUND, "'" SPAN_FMT "' is not there", SPAN_ARG(w->key));
	return true;
}

static void gather(struct store *s, struct write *w)
{
	if (s->gathered)
		s->gathered_last->next = w;
	else
		s->gathered = w;
	s->gathered_last = w;
	s->pending++;
	s->pending_bytes += record_bytes(w->record);
	loop_defer(s->config.loop, &s->submit);
}

bool store_propose(struct store *s, const struct store_write *w, struct error *err)
{
	struct entry *e = index_find(&s->index, w->key);
	struct record *current = e ? alive(e->latest) : NULL;
	struct record *r;
	struct write *write;

	if (!store_may_write(s, err) || !check_expected(w, current, err))
		return false;
	if (!e)
		e = index_add(&s->index, w->key);
	r = record_new(&s->config, &(struct record){ .key = w->key,
						     .text = w->text,
						     .revision = s->next,
						     .created = current ? current->created : s->next,
						     .version = current ? current->version + 1 : 1,
						     .expires_ns = w->is_deletion ? 0 : w->expires_ns,
						     .is_deletion = w->is_deletion,
						     .older = e->latest });
	e->latest = r;
	history_put(s, r);
	s->next++;
	write = base_calloc(1, sizeof(*write));
	*write = (struct write){ .record = record_ref(r), .done = w->done, .context = w->context };
	write->is_secret = s->config.is_secret && s->config.is_secret(r->key);
	gather(s, write);
	return true;
}

void store_after(struct store *s, struct store_after *a, void (*run)(struct store_after *a))
{
	LOOP_ASSERT(s->config.loop);
	ASSERT(s->pending);
	*a = (struct store_after){ .revision = s->next - 1, .run = run };
	*(s->first_after ? &s->last_after->next : &s->first_after) = a;
	s->last_after = a;
}

bool store_write(struct store *s, const struct store_write *w, struct error *err)
{
	size_t bytes = sizeof(struct record) + w->key.len + w->text.len;

	LOOP_ASSERT(s->config.loop);
	if (!w->key.len || w->key.len > STORE_KEY_MOST)
		return error_set(err, ERROR_INVALID, "a key has 1 to %d bytes, this one has %zu", STORE_KEY_MOST,
				 w->key.len);
	if (w->text.len > s->config.text_most)
		return error_set(err, ERROR_TOO_LARGE, "'" SPAN_FMT "' has %zu bytes, the most is %zu",
				 SPAN_ARG(w->key), w->text.len, s->config.text_most);
	if (s->pending >= s->config.queue_most || bytes > s->config.queue_bytes ||
	    s->pending_bytes > s->config.queue_bytes - bytes)
		return error_set(err, ERROR_EXHAUSTED, "%zu writes (%zu bytes) wait for the disk: try again later",
				 s->pending, s->pending_bytes);
	return store_propose(s, w, err);
}
