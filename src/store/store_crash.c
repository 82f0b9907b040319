/* SPDX-License-Identifier: Apache-2.0 */
/*
 * store_crash - a program to be killed: tests/test_store.py ends it at random moments and looks at what is left.
 *
 *   store_crash write FOLDER SEED OUTSTANDING [BACKUP]
 *       writes until it is killed, and makes backups meanwhile; prints "R op key" for each acknowledged revision R
 *   store_crash power FOLDER SEED OUTSTANDING
 *       the same, and what is not synced when it is killed is lost
 *   store_crash unsynced FOLDER SEED OUTSTANDING
 *       the same without syncs: shows that `power` would see them missing
 *   store_crash check FOLDER
 *       prints what is there: "floor F", "R op key" of the history, "is key R"
 *   store_crash restore BACKUP FOLDER
 *
 * A text is made of its key and revision alone, so that any part of another one, or a missing end, is seen by `check`.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/number.h"
#include "loop/loop.h"
#include "store/store.h"
#include "store/store_power.h"

enum { KEYS = 300 };

struct crash {
	struct loop *loop;
	struct store *store;
	uint64_t seed;
	const char *backup;
	struct loop_task more;
	unsigned outstanding, most;
};

static uint64_t next_random(uint64_t *seed)
{
	*seed = *seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return *seed >> 33;
}

_Noreturn static void stop(const char *what, const char *why)
{
	fprintf(stderr, "store_crash: %s: %s\n", what, why);
	exit(1);
}

/* Most are as small as a ConfigMap, some go over many pages. */
static void text_of(struct buffer *out, struct span key, int64_t revision)
{
	uint64_t seed = (uint64_t)revision * 2654435761U;
	uint64_t kind = next_random(&seed) % 100;
	size_t size = kind < 80 ? 600 : kind < 98 ? 5000 : 200000;

	buffer_clear(out);
	buffer_print(out, "%lld ", (long long)revision);
	buffer_append(out, key);
	while (out->len < size)
		buffer_print(out, " %llx", (unsigned long long)next_random(&seed));
	buffer_print(out, " end");
}

static bool is_secret(struct span key)
{
	return span_starts(key, SPAN("/secret/"));
}

static void say(const char *line, int len)
{
	if (write(STDOUT_FILENO, line, (size_t)len) != len)
		exit(1); /* nobody reads any more */
}

static void acknowledged(void *context, struct record *r, const struct error *err)
{
	struct crash *c = context;
	char line[128];

	if (err)
		stop("write", err->message);
	say(line, snprintf(line, sizeof(line), "%lld %s %.*s\n", (long long)r->revision,
			   r->is_deletion ? "delete" : "put", (int)r->key.len, r->key.ptr));
	c->outstanding--;
	loop_defer(c->loop, &c->more);
}

static void backed_up(void *context, const struct error *err)
{
	struct crash *c = context;

	if (err)
		stop("backup", err->message);
	store_backup(c->store, c->backup, backed_up, c);
}

static void write_one(struct crash *c, struct buffer *text)
{
	uint64_t which = next_random(&c->seed);
	struct error err = { 0 };
	char name[64];
	struct span key = { name, (size_t)snprintf(name, sizeof(name), "/%s/%llu", which % 5 ? "plain" : "secret",
						   (unsigned long long)(which / 5 % KEYS)) };
	struct record *is = store_latest(c->store, key);
	bool is_deletion = is && next_random(&c->seed) % 4 == 0;

	text_of(text, key, store_next_revision(c->store));
	if (!store_write(c->store,
			 &(struct store_write){ .key = key,
						.text = buffer_span(text),
						.is_deletion = is_deletion,
						.expected = is ? is->revision : 0,
						.done = acknowledged,
						.context = c },
			 &err))
		stop("write", err.message);
	c->outstanding++;
}

static void write_more(struct loop_task *t)
{
	struct crash *c = CONTAINER_OF(t, struct crash, more);
	struct buffer text;

	buffer_init(&text, MIB(1));
	while (c->outstanding < c->most)
		write_one(c, &text);
	buffer_done(&text);
}

static void open_store(struct crash *c, const char *folder, size_t history_bytes, enum store_durability durability)
{
	struct store_config config = store_config_default();
	struct error err = { 0 };

	c->loop = loop_new();
	config.folder = folder;
	config.loop = c->loop;
	config.is_secret = is_secret;
	config.history_bytes = history_bytes;
	config.history_ns = 0;
	config.durability = durability;
	c->store = store_open(&config, &err);
	if (!c->store)
		stop("open", err.message);
}

static void check_text(const struct record *r)
{
	struct buffer want;

	buffer_init(&want, MIB(1));
	text_of(&want, r->key, r->revision);
	if (!span_equal(buffer_span(&want), r->text))
		stop("not whole", r->key.ptr);
	buffer_done(&want);
}

static void show_event(struct store_watcher *w, const struct store_event *event)
{
	const struct record *r = event->record;

	(void)w;
	check_text(r);
	printf("%lld %s %.*s\n", (long long)r->revision, r->is_deletion ? "delete" : "put", (int)r->key.len,
	       r->key.ptr);
}

static bool show(void *context, struct record *r)
{
	(void)context;
	check_text(r);
	printf("is %.*s %lld\n", (int)r->key.len, r->key.ptr, (long long)r->revision);
	return true;
}

static void check(struct crash *c)
{
	struct store_watcher watcher = { .event = show_event };
	struct error err = { 0 };
	struct store_watch *watch;

	printf("floor %lld\n", (long long)store_compacted(c->store) + 1);
	watch = store_watch(c->store, SPAN(""), store_compacted(c->store) + 1, &watcher, &err);
	if (!watch || !store_list(c->store, SPAN(""), SPAN(""), 0, show, NULL, &err))
		stop("read", err.message);
	store_unwatch(watch);
	store_close(c->store);
	loop_free(c->loop);
	printf("whole\n");
}

static int write_until_killed(struct crash *c, char **argv)
{
	bool is_unsynced = strcmp(argv[1], "unsynced") == 0;
	uint64_t most = 0;

	if (!number_parse_uint64(span_of(argv[3]), &c->seed) || !number_parse_uint64(span_of(argv[4]), &most))
		stop("arguments", "no numbers");
	if (strcmp(argv[1], "write") != 0)
		store_power_hold();
	c->most = (unsigned)most;
	c->backup = argv[5];
	open_store(c, argv[2], MIB(1), is_unsynced ? STORE_BUFFERED : STORE_DURABLE);
	say("ready\n", 6);
	if (c->backup)
		store_backup(c->store, c->backup, backed_up, c);
	loop_defer(c->loop, &c->more);
	loop_run(c->loop);
	return 1;
}

int main(int argc, char **argv)
{
	struct crash c = { .more.run = write_more };
	struct error err = { 0 };

	if ((argc == 5 && (strcmp(argv[1], "power") == 0 || strcmp(argv[1], "unsynced") == 0)) ||
	    (argc >= 5 && strcmp(argv[1], "write") == 0))
		return write_until_killed(&c, argv);
	if (argc == 3 && strcmp(argv[1], "check") == 0) {
		open_store(&c, argv[2], MIB(1000), STORE_DURABLE); /* nothing is compacted meanwhile */
		check(&c);
	} else if (argc == 4 && strcmp(argv[1], "restore") == 0) {
		if (!store_restore(argv[2], argv[3], &err))
			stop("restore", err.message);
	} else {
		stop("usage", "write FOLDER SEED OUTSTANDING [BACKUP] | check FOLDER | restore BACKUP FOLDER");
	}
	return 0;
}
