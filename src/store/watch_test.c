/* SPDX-License-Identifier: Apache-2.0 */
#include "store/store.h"

#include "store/store_kit.h"

/* A watcher that writes down what it is told. */
struct listener {
	struct store_watcher watcher;
	struct kit *kit;
	char heard[4096];
	int64_t progress;
	unsigned events, leave_after; /* 0: stays */
};

static void hear(struct store_watcher *w, const struct store_event *event)
{
	struct listener *l = CONTAINER_OF(w, struct listener, watcher);
	size_t len = strlen(l->heard);
	const struct record *r = event->record, *was = event->previous;

	assert_true(r->revision <= store_revision(l->kit->store));
	snprintf(l->heard + len, sizeof(l->heard) - len, "%lld%c%.*s=%.*s<%.*s ", (long long)r->revision,
		 r->is_deletion ? '-' : '+', (int)r->key.len, r->key.ptr, (int)r->text.len, r->text.ptr,
		 was ? (int)was->text.len : 1, was ? was->text.ptr : ".");
	if (++l->events == l->leave_after)
		store_unwatch(w->watch);
}

static void progress(struct store_watcher *w, int64_t revision)
{
	struct listener *l = CONTAINER_OF(w, struct listener, watcher);

	assert_true(revision > l->progress);
	l->progress = revision;
}

static struct store_watch *listen_from(struct kit *k, struct listener *l, const char *prefix, int64_t from)
{
	struct error err = { 0 };
	struct store_watch *watch;

	*l = (struct listener){ .watcher = { .event = hear, .progress = progress },
				.kit = k,
				.leave_after = l->leave_after };
	watch = store_watch(k->store, span_of(prefix), from, &l->watcher, &err);
	if (!watch)
		snprintf(l->heard, sizeof(l->heard), "%s", error_name(err.code));
	return watch;
}

static void a_watch_hears_each_durable_change_of_its_prefix_once(void **state)
{
	struct listener a = { 0 }, all = { 0 }, one = { 0 };
	struct store_watch *watches[3];
	struct error err = { 0 };
	struct kit k;

	(void)state;
	kit_init(&k);
	kit_open(&k);
	watches[0] = listen_from(&k, &a, "/a/", 1);
	watches[1] = listen_from(&k, &all, "", 1);
	watches[2] = listen_from(&k, &one, "/b/1", 1);
	assert_true(kit_propose(&k, "/a/1", "x", -1, &err));
	assert_string_equal(all.heard, ""); /* not durable yet */
	assert_true(kit_propose(&k, "/b/1", "y", -1, &err));
	assert_true(kit_propose(&k, "/a/1", "z", -1, &err));
	assert_true(kit_propose(&k, "/a/1", NULL, -1, &err));
	kit_wait(&k);
	assert_true(kit_propose(&k, "/a/1", "new", 0, &err));
	kit_wait(&k);
	assert_string_equal(a.heard, "2+/a/1=x<. 4+/a/1=z<x 5-/a/1=<z 6+/a/1=new<. ");
	assert_string_equal(all.heard, "2+/a/1=x<. 3+/b/1=y<. 4+/a/1=z<x 5-/a/1=<z 6+/a/1=new<. ");
	assert_string_equal(one.heard, "3+/b/1=y<. ");
	assert_int_equal(a.progress, 6);
	assert_int_equal(one.progress, 6);
	for (size_t i = 0; i < 3; i++)
		store_unwatch(watches[i]);
	kit_write(&k, "/a/1", "unheard");
	assert_int_equal(all.progress, 6);
	kit_done(&k);
}

static void a_watch_replays_from_any_revision_also_after_a_new_start(void **state)
{
	static const char *const want[] = {
		"TIMEOUT",
		"",
		"5+/a/2=4<. ",
		"4-/a/1=<2 5+/a/2=4<. ",
		"3+/a/1=2<1 4-/a/1=<2 5+/a/2=4<. ",
		"2+/a/1=1<. 3+/a/1=2<1 4-/a/1=<2 5+/a/2=4<. ",
	};
	struct kit k;

	(void)state;
	kit_init(&k);
	kit_open(&k);
	kit_write(&k, "/a/1", "1");
	kit_write(&k, "/a/1", "2");
	kit_write(&k, "/a/1", NULL);
	kit_write(&k, "/a/2", "4");
	for (int round = 0; round < 2; round++) {
		for (int64_t from = 1; from <= 6; from++) {
			struct listener l = { 0 };
			struct store_watch *watch = listen_from(&k, &l, "/a/", from);

			assert_string_equal(l.heard, want[6 - from]);
			store_unwatch(watch);
		}
		kit_close(&k);
		kit_open(&k);
	}
	kit_done(&k);
}

static void a_watch_from_a_compacted_revision_is_gone(void **state)
{
	struct listener l = { 0 };
	struct store_watch *watch;
	struct kit k;

	(void)state;
	kit_init(&k);
	k.config.history_bytes = 0;
	k.config.history_ns = 0;
	kit_open(&k);
	kit_write(&k, "/a", "1");
	kit_write(&k, "/a", "2");
	kit_write(&k, "/a", "3");
	assert_null(listen_from(&k, &l, "/", store_compacted(k.store)));
	assert_string_equal(l.heard, "GONE");
	watch = listen_from(&k, &l, "/", store_compacted(k.store) + 1);
	assert_non_null(watch);
	kit_write(&k, "/a", "4");
	assert_string_equal(l.heard, "5+/a=4<3 ");
	store_unwatch(watch);
	kit_done(&k);
}

static void a_watcher_may_leave_in_any_callback(void **state)
{
	struct kit k;

	(void)state;
	kit_init(&k);
	kit_open(&k);
	kit_write(&k, "/a", "1");
	kit_write(&k, "/a", "2");
	for (unsigned after = 1; after <= 4; after++) {
		struct listener before = { 0 }, l = { .leave_after = after }, behind = { 0 };
		struct store_watch *first = listen_from(&k, &before, "/a", store_revision(k.store));
		int64_t from = store_revision(k.store) - 1; /* one past event */
		struct store_watch *watch = listen_from(&k, &l, "/a", from);
		struct store_watch *last = listen_from(&k, &behind, "/a", store_revision(k.store));

		assert_int_equal(watch == NULL, after == 1);
		assert_true(after != 1 || strstr(l.heard, "CANCELLED"));
		for (int i = 0; i < 4; i++)
			kit_write(&k, "/a", "more");
		assert_int_equal(l.events, after);
		assert_int_equal(before.events, 4);
		assert_int_equal(behind.events, 4);
		store_unwatch(first);
		store_unwatch(last);
	}
	kit_done(&k);
}

/* Watches and writes from inside an event. */
static void hear_and_act(struct store_watcher *w, const struct store_event *event)
{
	struct listener *l = CONTAINER_OF(w, struct listener, watcher);
	struct listener *second = (struct listener *)(uintptr_t)l->progress;
	struct error err = { 0 };

	if (++l->events > 1)
		return;
	assert_non_null(listen_from(l->kit, second, "/", event->record->revision - 1));
	assert_true(kit_propose(l->kit, "/b", "from inside", 0, &err));
	assert_int_equal(store_count(l->kit->store, SPAN("/")), 1);
}

static void a_callback_may_watch_and_write(void **state)
{
	struct listener first = { .watcher.event = hear_and_act }, second = { 0 };
	struct error err = { 0 };
	struct store_watch *watch;
	struct kit k;

	(void)state;
	kit_init(&k);
	kit_open(&k);
	first.kit = &k;
	first.progress = (int64_t)(uintptr_t)&second;
	watch = store_watch(k.store, SPAN("/a"), 1, &first.watcher, &err);
	assert_non_null(watch);
	assert_true(kit_propose(&k, "/a", "1", 0, &err));
	kit_wait(&k);
	kit_wait(&k);
	assert_string_equal(second.heard, "2+/a=1<. 3+/b=from inside<. ");
	assert_int_equal(first.events, 1);
	assert_int_equal(store_count(k.store, SPAN("/")), 2);
	store_unwatch(second.watcher.watch);
	store_unwatch(watch);
	kit_done(&k);
}

static void many_watchers_of_many_prefixes_come_and_go(void **state)
{
	enum { COUNT = 500 };
	static struct listener listeners[COUNT];
	struct store_watch *watches[COUNT];
	char key[32];
	struct kit k;

	(void)state;
	kit_init(&k);
	kit_open(&k);
	for (int round = 0; round < 2; round++) {
		for (int i = 0; i < COUNT; i++) {
			snprintf(key, sizeof(key), "/p%d/", i / 2);
			listeners[i].leave_after = 0;
			watches[i] = listen_from(&k, &listeners[i], key, store_revision(k.store));
		}
		for (int i = 0; i < COUNT; i += 3) {
			store_unwatch(watches[i]);
			watches[i] = NULL;
		}
		for (int i = 0; i < COUNT / 2; i += 7) {
			struct error err = { 0 };

			snprintf(key, sizeof(key), "/p%d/x", i);
			assert_true(kit_propose(&k, key, "1", -1, &err));
		}
		kit_wait(&k);
		for (int i = 0; i < COUNT; i++) {
			assert_int_equal(listeners[i].events, watches[i] && i / 2 % 7 == 0);
			store_unwatch(watches[i]);
		}
	}
	kit_done(&k);
}

static void deletions_carry_their_last_text(void **state)
{
	struct listener l = { 0 };
	struct store_watch *watch;
	struct error err = { 0 };
	struct kit k;

	(void)state;
	kit_init(&k);
	kit_open(&k);
	kit_write(&k, "/a", "object at 2");
	assert_true(store_write(
	    k.store,
	    &(struct store_write){ .key = SPAN("/a"), .text = SPAN("object at 3"), .is_deletion = true, .expected = 2 },
	    &err));
	kit_close(&k);
	kit_open(&k);
	watch = listen_from(&k, &l, "/", 2);
	assert_string_equal(l.heard, "3-/a=object at 3<object at 2 ");
	assert_null(store_get(k.store, SPAN("/a")));
	store_unwatch(watch);
	kit_done(&k);
}

static void watches_end_with_the_store(void **state)
{
	struct listener l = { 0 }, other = { 0 };
	struct error err = { 0 };
	struct kit k;

	(void)state;
	kit_init(&k);
	kit_open(&k);
	assert_non_null(listen_from(&k, &l, "/", 1));
	assert_non_null(listen_from(&k, &other, "/", 1));
	assert_true(kit_propose(&k, "/a", "last", -1, &err));
	kit_close(&k);
	assert_string_equal(l.heard, "2+/a=last<. "); /* what became durable is told */
	loop_run(k.loop);                             /* to its end: the callback has stopped it */
	kit_done(&k);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_watch_hears_each_durable_change_of_its_prefix_once),
		cmocka_unit_test(a_watch_replays_from_any_revision_also_after_a_new_start),
		cmocka_unit_test(a_watch_from_a_compacted_revision_is_gone),
		cmocka_unit_test(a_watcher_may_leave_in_any_callback),
		cmocka_unit_test(a_callback_may_watch_and_write),
		cmocka_unit_test(many_watchers_of_many_prefixes_come_and_go),
		cmocka_unit_test(watches_end_with_the_store),
		cmocka_unit_test(deletions_carry_their_last_text),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
