/* SPDX-License-Identifier: Apache-2.0 */
#include "store/store.h"

#include <sys/stat.h>

#include "store/store_kit.h"

struct listing {
	char text[4096];
	size_t most;
};

static bool add_to_listing(void *context, struct record *r)
{
	struct listing *l = context;
	size_t len = strlen(l->text);

	snprintf(l->text + len, sizeof(l->text) - len, "%.*s=%.*s ", (int)r->key.len, r->key.ptr, (int)r->text.len,
		 r->text.ptr);
	return !l->most || --l->most;
}

static const char *list(struct kit *k, const char *prefix, const char *start, int64_t revision, size_t most)
{
	static struct listing l;
	struct error err = { 0 };

	l = (struct listing){ .most = most };
	if (!store_list(k->store, span_of(prefix), span_of(start), revision, add_to_listing, &l, &err))
		snprintf(l.text, sizeof(l.text), "%s", error_name(err.code));
	return l.text;
}

static void each_write_is_a_revision(void **state)
{
	struct kit k;
	struct record *r;

	(void)state;
	kit_init(&k);
	kit_open(&k);
	assert_int_equal(store_revision(k.store), 1); /* 0 means any to clients */
	assert_int_equal(store_compacted(k.store), 0);
	assert_int_equal(kit_write(&k, "/a/x", "1"), 2);
	assert_int_equal(kit_write(&k, "/a/y", "2"), 3);
	assert_int_equal(kit_write(&k, "/a/x", "3"), 4);
	r = store_get(k.store, SPAN("/a/x"));
	assert_non_null(r);
	assert_int_equal(r->revision, 4);
	assert_int_equal(r->created, 2);
	assert_int_equal(r->version, 2);
	assert_int_equal(kit_write(&k, "/a/x", NULL), 5);
	assert_null(store_get(k.store, SPAN("/a/x")));
	assert_int_equal(kit_write(&k, "/a/x", "4"), 6);
	r = store_get(k.store, SPAN("/a/x"));
	assert_int_equal(r->created, 6);
	assert_int_equal(r->version, 1);
	assert_int_equal(store_revision(k.store), 6);
	kit_done(&k);
}

static void what_is_proposed_is_seen_by_the_next_writer_only(void **state)
{
	struct kit k;
	struct error err = { 0 };

	(void)state;
	kit_init(&k);
	kit_open(&k);
	assert_int_equal(store_next_revision(k.store), 2);
	assert_true(kit_propose(&k, "/a", "1", 0, &err));
	assert_null(store_get(k.store, SPAN("/a")));
	assert_non_null(store_latest(k.store, SPAN("/a")));
	assert_string_equal(list(&k, "", "", 0, 0), "");
	assert_int_equal(store_count(k.store, SPAN("/")), 0);
	assert_int_equal(store_next_revision(k.store), 3);
	assert_true(kit_propose(&k, "/a", "2", 2, &err));
	assert_true(kit_propose(&k, "/a", NULL, 3, &err));
	assert_null(store_latest(k.store, SPAN("/a")));
	assert_int_equal(store_revision(k.store), 1);
	kit_wait(&k);
	assert_int_equal(store_revision(k.store), 4);
	assert_null(store_get(k.store, SPAN("/a")));
	kit_done(&k);
}

static void a_write_of_another_version_is_a_conflict(void **state)
{
	static const struct {
		const char *key, *text;
		int64_t expected;
		enum error_code code;
	} rows[] = {
		{ "/a", "2", 0, ERROR_CONFLICT },   { "/a", "2", 7, ERROR_CONFLICT },
		{ "/b", "2", 2, ERROR_CONFLICT },   { "/a", NULL, 7, ERROR_CONFLICT },
		{ "/b", NULL, 2, ERROR_CONFLICT },  { "/b", NULL, -1, ERROR_NOT_FOUND },
		{ "/b", NULL, 0, ERROR_NOT_FOUND }, { "", "2", -1, ERROR_INVALID },
	};
	struct kit k;

	(void)state;
	kit_init(&k);
	kit_open(&k);
	kit_write(&k, "/a", "1");
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct error err = { 0 };

		assert_false(kit_propose(&k, rows[i].key, rows[i].text, rows[i].expected, &err));
		assert_int_equal(err.code, rows[i].code);
	}
	assert_int_equal(store_next_revision(k.store), 3);
	assert_string_equal(kit_text(&k, "/a"), "1");
	kit_done(&k);
}

static void limits_of_texts_and_of_the_queue_hold(void **state)
{
	struct kit k;
	struct error err = { 0 };

	(void)state;
	kit_init(&k);
	k.config.text_most = 4;
	k.config.queue_most = 2;
	kit_open(&k);
	assert_false(kit_propose(&k, "/a", "12345", -1, &err));
	assert_int_equal(err.code, ERROR_TOO_LARGE);
	assert_true(kit_propose(&k, "/a", "1234", -1, &err));
	assert_true(kit_propose(&k, "/b", "1234", -1, &err));
	assert_false(kit_propose(&k, "/c", "1", -1, &err));
	assert_int_equal(err.code, ERROR_EXHAUSTED);
	kit_wait(&k);
	kit_write(&k, "/c", "1");
	kit_close(&k);
	k.config.queue_most = 100;
	k.config.queue_bytes = 250;
	kit_open(&k);
	assert_true(kit_propose(&k, "/d", "1", -1, &err));
	assert_true(kit_propose(&k, "/e", "1", -1, &err));
	assert_false(kit_propose(&k, "/f", "1", -1, &err));
	assert_int_equal(err.code, ERROR_EXHAUSTED);
	kit_wait(&k);
	kit_done(&k);
}

static void lists_are_in_byte_order_from_any_key(void **state)
{
	struct kit k;

	(void)state;
	kit_init(&k);
	kit_open(&k);
	kit_write(&k, "/b/2", "b2");
	kit_write(&k, "/a/1", "a1");
	kit_write(&k, "/b/10", "b10");
	kit_write(&k, "/b", "b");
	kit_write(&k, "/c/1", "c1");
	kit_write(&k, "/b/1", "b1");
	assert_string_equal(list(&k, "/b/", "", 0, 0), "/b/1=b1 /b/10=b10 /b/2=b2 ");
	assert_string_equal(list(&k, "/b/", "/b/10", 0, 0), "/b/10=b10 /b/2=b2 ");
	assert_string_equal(list(&k, "/b/", "/b/11", 0, 0), "/b/2=b2 ");
	assert_string_equal(list(&k, "/b/", "/a", 0, 2), "/b/1=b1 /b/10=b10 ");
	assert_string_equal(list(&k, "/b/", "/b/3", 0, 0), "");
	assert_string_equal(list(&k, "", "", 0, 0), "/a/1=a1 /b=b /b/1=b1 /b/10=b10 /b/2=b2 /c/1=c1 ");
	assert_string_equal(list(&k, "/d", "", 0, 0), "");
	kit_done(&k);
}

static void a_list_as_of_a_revision_shows_that_moment(void **state)
{
	struct kit k;

	(void)state;
	kit_init(&k);
	kit_open(&k);
	kit_write(&k, "/a", "1"); /* 2 */
	kit_write(&k, "/b", "2");
	kit_write(&k, "/a", "3"); /* 4 */
	kit_write(&k, "/b", NULL);
	kit_write(&k, "/b", "6"); /* 6 */
	for (int round = 0; round < 2; round++) {
		assert_string_equal(list(&k, "/", "", 1, 0), "");
		assert_string_equal(list(&k, "/", "", 2, 0), "/a=1 ");
		assert_string_equal(list(&k, "/", "", 3, 0), "/a=1 /b=2 ");
		assert_string_equal(list(&k, "/", "", 4, 0), "/a=3 /b=2 ");
		assert_string_equal(list(&k, "/", "", 5, 0), "/a=3 ");
		assert_string_equal(list(&k, "/", "", 6, 0), "/a=3 /b=6 ");
		assert_string_equal(list(&k, "/", "", 7, 0), "TIMEOUT");
		kit_close(&k); /* and after a new start as well */
		kit_open(&k);
	}
	kit_done(&k);
}

static void compaction_keeps_what_is_alive(void **state)
{
	struct kit k;
	char text[16];

	(void)state;
	kit_init(&k);
	k.config.history_bytes = 0;
	k.config.history_ns = 0;
	kit_open(&k);
	kit_write(&k, "/gone", "1");
	kit_write(&k, "/kept", "1");
	kit_write(&k, "/gone", NULL);
	assert_int_equal(store_compacted(k.store), 3);
	assert_string_equal(list(&k, "", "", 3, 0), "GONE");
	assert_string_equal(list(&k, "", "", 4, 0), "/kept=1 ");
	for (int i = 0; i < 1500; i++) {
		struct error err = { 0 };

		snprintf(text, sizeof(text), "%d", i);
		assert_true(kit_propose(&k, "/kept", text, -1, &err));
		assert_true(kit_propose(&k, "/other", i % 2 ? NULL : "x", -1, &err));
	}
	kit_wait(&k);
	for (int round = 0; round < 2; round++) {
		assert_int_equal(store_revision(k.store), 3004);
		assert_true(store_compacted(k.store) >= 3000);
		assert_string_equal(list(&k, "", "", 0, 0), "/kept=1499 ");
		assert_string_equal(list(&k, "", "", store_compacted(k.store), 0), "GONE");
		assert_string_equal(list(&k, "", "", store_compacted(k.store) + 1, 0), "/kept=1499 ");
		kit_close(&k);
		kit_open(&k);
	}
	kit_done(&k);
}

static void history_stays_while_it_is_young_or_small(void **state)
{
	struct kit k;

	(void)state;
	kit_init(&k);
	k.config.history_bytes = 4096;
	kit_open(&k); /* five minutes */
	for (int i = 0; i < 10; i++)
		kit_write(&k, "/a",
			  "a text that is a hundred bytes long with its key and what belongs to each version of it");
	assert_int_equal(store_compacted(k.store), 0); /* under 4096 bytes */
	for (int i = 0; i < 40; i++)
		kit_write(&k, "/a",
			  "a text that is a hundred bytes long with its key and what belongs to each version of it");
	assert_int_equal(store_compacted(k.store), 0); /* over it and young */
	for (int i = 0; i < 100; i++)
		kit_write(&k, "/a",
			  "a text that is a hundred bytes long with its key and what belongs to each version of it");
	assert_true(store_compacted(k.store) > 20); /* over four times as much */
	assert_true(store_compacted(k.store) < 100);
	kit_done(&k);
}

static void counts_are_kept(void **state)
{
	struct kit k;

	(void)state;
	kit_init(&k);
	kit_open(&k);
	kit_write(&k, "/a/1", "1");
	assert_int_equal(store_count(k.store, SPAN("/a/")), 1);
	assert_int_equal(store_count(k.store, SPAN("/")), 1);
	assert_int_equal(store_count(k.store, SPAN("/b/")), 0);
	kit_write(&k, "/a/2", "1");
	kit_write(&k, "/b/1", "1");
	kit_write(&k, "/a/1", "2");
	assert_int_equal(store_count(k.store, SPAN("/a/")), 2);
	assert_int_equal(store_count(k.store, SPAN("/")), 3);
	kit_write(&k, "/a/1", NULL);
	kit_write(&k, "/b/1", NULL);
	kit_write(&k, "/b/1", "again");
	assert_int_equal(store_count(k.store, SPAN("/a/")), 1);
	assert_int_equal(store_count(k.store, SPAN("/b/")), 1);
	assert_int_equal(store_count(k.store, SPAN("/")), 2);
	assert_int_equal(store_count(k.store, SPAN("/a/1")), 0);
	kit_done(&k);
}

/* As a key of labels: how many bytes the text has. */
static void *note(void *context, const struct record *r, size_t *ret_size)
{
	size_t *len = base_alloc(sizeof(*len));

	(void)context;
	*len = r->text.len;
	*ret_size = sizeof(*len);
	return len;
}

static void notes_are_made_of_each_text(void **state)
{
	struct kit k;
	struct record *r;

	(void)state;
	kit_init(&k);
	k.config.note = note;
	kit_open(&k);
	kit_write(&k, "/a", "12345");
	for (int round = 0; round < 2; round++) {
		r = store_get(k.store, SPAN("/a"));
		assert_int_equal(*(const size_t *)r->notes, 5);
		kit_close(&k);
		kit_open(&k);
	}
	kit_done(&k);
}

static void a_referenced_record_outlives_compaction_and_the_store(void **state)
{
	struct kit k;
	struct record *r;

	(void)state;
	kit_init(&k);
	k.config.history_bytes = 0;
	k.config.history_ns = 0;
	kit_open(&k);
	kit_write(&k, "/a", "old");
	r = record_ref(store_get(k.store, SPAN("/a")));
	kit_write(&k, "/a", "new");
	kit_write(&k, "/a", NULL);
	assert_memory_equal(r->text.ptr, "old", 3);
	kit_done(&k);
	assert_memory_equal(r->text.ptr, "old", 3);
	record_unref(r);
}

static void closing_commits_what_is_proposed(void **state)
{
	struct kit k;
	struct error err = { 0 };

	(void)state;
	kit_init(&k);
	kit_open(&k);
	assert_true(kit_propose(&k, "/a", "1", -1, &err));
	assert_true(kit_propose(&k, "/b", "2", -1, &err));
	kit_close(&k);
	assert_int_equal(k.waiting, 0);
	assert_int_equal(k.revision, 3);
	loop_run(k.loop); /* to its end: the callback above has stopped it */
	kit_open(&k);
	assert_string_equal(list(&k, "", "", 0, 0), "/a=1 /b=2 ");
	kit_done(&k);
}

static void stop_when_it_is_gone(struct store_watcher *w, const struct store_event *event)
{
	struct {
		struct store_watcher watcher;
		struct kit *kit;
		struct record *record;
	} *p = (void *)w;

	if (!event->record->is_deletion)
		return;
	p->record = record_ref(event->record);
	loop_stop(p->kit->loop);
}

static bool renew(void *context, struct span key, struct span text, int64_t revision, struct buffer *out,
		  struct error *err)
{
	(void)context;
	(void)key;
	(void)err;
	buffer_print(out, "%c@%lld", text.ptr[0], (long long)revision);
	return true;
}

static void keys_expire(void **state)
{
	struct {
		struct store_watcher watcher;
		struct kit *kit;
		struct record *record;
	} p = { .watcher.event = stop_when_it_is_gone };
	struct kit k;
	struct error err = { 0 };
	struct store_watch *watch;
	int64_t now = clock_wall_ns();

	(void)state;
	kit_init(&k);
	k.config.renew = renew;
	kit_open(&k);
	p.kit = &k;
	watch = store_watch(k.store, SPAN("/"), 1, &p.watcher, &err);
	assert_non_null(watch);
	assert_true(store_write(
	    k.store,
	    &(struct store_write){ .key = SPAN("/soon"), .text = SPAN("s@2"), .expires_ns = now + 20 * NS_PER_MS },
	    &err));
	assert_true(store_write(
	    k.store,
	    &(struct store_write){ .key = SPAN("/late"), .text = SPAN("l@3"), .expires_ns = now + 3600 * NS_PER_S },
	    &err));
	/* Given a longer life in time: stays. */
	assert_true(store_write(
	    k.store,
	    &(struct store_write){ .key = SPAN("/kept"), .text = SPAN("k@4"), .expires_ns = now + 10 * NS_PER_MS },
	    &err));
	assert_true(store_write(
	    k.store, &(struct store_write){ .key = SPAN("/kept"), .text = SPAN("k@5"), .expected = -1 }, &err));
	loop_run(k.loop);
	assert_true(clock_wall_ns() >= now + 20 * NS_PER_MS);
	assert_memory_equal(p.record->key.ptr, "/soon", 5);
	assert_memory_equal(p.record->text.ptr, "s@6", 3);
	assert_string_equal(list(&k, "", "", 0, 0), "/kept=k@5 /late=l@3 ");
	record_unref(p.record);

	/* What expired while nobody ran goes at the next start. */
	assert_true(store_write(
	    k.store,
	    &(struct store_write){ .key = SPAN("/late"), .text = SPAN("l@7"), .expected = -1, .expires_ns = 1 }, &err));
	store_unwatch(watch);
	kit_close(&k);
	kit_open(&k);
	watch = store_watch(k.store, SPAN("/"), store_revision(k.store), &p.watcher, &err);
	loop_run(k.loop);
	assert_memory_equal(p.record->key.ptr, "/late", 5);
	record_unref(p.record);
	store_unwatch(watch);
	kit_done(&k);
}

struct ends {
	struct store_watcher watcher;
	struct kit *kit;
	int64_t last_ns;
	unsigned left;
};

static void in_order(struct store_watcher *w, const struct store_event *event)
{
	struct ends *e = CONTAINER_OF(w, struct ends, watcher);

	if (!event->record->is_deletion)
		return;
	assert_true(event->previous->expires_ns >= e->last_ns);
	e->last_ns = event->previous->expires_ns;
	if (--e->left == 0)
		loop_stop(e->kit->loop);
}

static void thousands_of_keys_expire_in_the_order_of_their_times(void **state)
{
	enum { COUNT = 2500 };
	struct ends e = { .watcher.event = in_order, .left = COUNT };
	struct error err = { 0 };
	struct store_watch *watch;
	char key[16];
	struct kit k;

	(void)state;
	kit_init(&k);
	kit_open(&k);
	e.kit = &k;
	for (unsigned i = 0; i < COUNT; i++) {
		struct store_write w = { .text = SPAN_INIT("x"), .expires_ns = clock_wall_ns() + 3600 * NS_PER_S };

		w.key = span_from(key, (size_t)snprintf(key, sizeof(key), "/%u", i));
		assert_true(store_write(k.store, &w, &err));
	}
	kit_write(&k, "/stays", "x");
	watch = store_watch(k.store, SPAN("/"), store_revision(k.store), &e.watcher, &err);
	assert_non_null(watch);
	for (unsigned i = 0; i < COUNT;
	     i++) { /* their time is long past now, and they have as many places in the heap to change */
		struct store_write w = { .text = SPAN_INIT("x"), .expected = -1, .expires_ns = 1 + i * 7919 % COUNT };

		w.key = span_from(key, (size_t)snprintf(key, sizeof(key), "/%u", i));
		assert_true(store_write(k.store, &w, &err));
	}
	loop_run(k.loop);
	assert_string_equal(list(&k, "", "", 0, 0), "/stays=x ");
	store_unwatch(watch);
	kit_done(&k);
}

static void the_write_ahead_log_stays_small(void **state)
{
	struct error err = { 0 };
	struct stat st;
	off_t most = 0;
	struct kit k;

	(void)state;
	kit_init(&k);
	kit_open(&k);
	for (int i = 0; i < 8000; i++) {
		kit_write(&k, "/a", "x");
		if (i % 100 == 0 && stat(kit_path(&k, "store.db-wal"), &st) == 0)
			most = MAX(most, st.st_size);
	}
	assert_true(most > 0);
	assert_true(most < (off_t)MIB(18)); /* WAL_PAGES_MOST of 4 KiB, and their heads; 8,000 are 31 MiB */
	assert_int_equal(store_revision(k.store), 8001);
	kit_close(&k);
	kit_open(&k);
	assert_true(store_list(k.store, SPAN(""), SPAN(""), 3000, add_to_listing, &(struct listing){ 0 }, &err));
	assert_int_equal(store_revision(k.store), 8001);
	kit_done(&k);
}

static void random_histories_agree_with_a_plain_list(void **state)
{
	enum { KEYS = 8, WRITES = 60 };
	unsigned seed = 1;

	(void)state;
	for (int round = 0; round < 20; round++) {
		static char now[WRITES + 1][KEYS]; /* version of each key after each write, 0: absent */
		struct kit k;
		int writes = 0;

		kit_init(&k);
		kit_open(&k);
		memset(now[0], 0, KEYS);
		for (int i = 1; i <= WRITES; i++) {
			char key[8], text[2] = { 0 };
			struct error err = { 0 };
			int which;

			seed = seed * 1103515245 + 12345;
			which = (int)(seed >> 16) % KEYS;
			memcpy(now[i], now[i - 1], KEYS);
			now[i][which] = (char)((seed >> 20) % 4 == 0 && now[i][which] ? 0 : 'a' + i % 26);
			text[0] = now[i][which];
			snprintf(key, sizeof(key), "/%d", which);
			assert_true(kit_propose(&k, key, text[0] ? text : NULL, -1, &err));
			writes++;
			if ((seed >> 24) % 8 == 0)
				kit_wait(&k);
			if ((seed >> 24) % 32 == 1) {
				kit_close(&k);
				loop_stop(k.loop);
				loop_run(k.loop);
				kit_open(&k);
			}
		}
		kit_wait(&k);
		for (int i = 0; i <= writes; i++) {
			char want[256] = "";

			for (int j = 0; j < KEYS; j++) {
				size_t len = strlen(want);

				if (now[i][j])
					snprintf(want + len, sizeof(want) - len, "/%d=%c ", j, now[i][j]);
			}
			assert_string_equal(list(&k, "/", "", i + 1, 0), want);
		}
		kit_done(&k);
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_write_is_a_revision),
		cmocka_unit_test(what_is_proposed_is_seen_by_the_next_writer_only),
		cmocka_unit_test(a_write_of_another_version_is_a_conflict),
		cmocka_unit_test(limits_of_texts_and_of_the_queue_hold),
		cmocka_unit_test(lists_are_in_byte_order_from_any_key),
		cmocka_unit_test(a_list_as_of_a_revision_shows_that_moment),
		cmocka_unit_test(compaction_keeps_what_is_alive),
		cmocka_unit_test(history_stays_while_it_is_young_or_small),
		cmocka_unit_test(counts_are_kept),
		cmocka_unit_test(notes_are_made_of_each_text),
		cmocka_unit_test(a_referenced_record_outlives_compaction_and_the_store),
		cmocka_unit_test(closing_commits_what_is_proposed),
		cmocka_unit_test(keys_expire),
		cmocka_unit_test(thousands_of_keys_expire_in_the_order_of_their_times),
		cmocka_unit_test(the_write_ahead_log_stays_small),
		cmocka_unit_test(random_histories_agree_with_a_plain_list),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
