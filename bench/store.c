/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Durable writes a second with 1 and 16 outstanding and how long one takes, the start with 10,000 objects, a list of
 * them, and the memory of 100,000. Texts of 620 bytes. Prints one line of CSV each: what, value, unit.
 *
 *   bench_store [FOLDER]   made, and removed at the end; on the disk to be measured (default: bench_store.data)
 */
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/number.h"
#include "loop/loop.h"
#include "store/store.h"

enum { WRITES = 10000, MANY = 100000, TEXT = 620 };

struct bench {
	struct loop *loop;
	struct store *store;
	struct store_config config;
	struct loop_task more;
	unsigned outstanding, most, proposed, done, total, keys;
	int64_t began[WRITES], took[WRITES];
};

static struct bench bench;

static void open_store(struct bench *b)
{
	struct error err = { 0 };

	b->store = store_open(&b->config, &err);
	if (!b->store) {
		fprintf(stderr, "%s\n", err.message);
		exit(1);
	}
}

static void durable(void *context, struct record *r, const struct error *err)
{
	struct bench *b = context;

	(void)r;
	if (err) {
		fprintf(stderr, "%s\n", err->message);
		exit(1);
	}
	b->took[b->done % WRITES] = clock_monotonic_ns() - b->began[b->done % WRITES];
	b->outstanding--;
	if (++b->done == b->total)
		loop_stop(b->loop);
	loop_defer(b->loop, &b->more);
}

static void write_more(struct loop_task *t)
{
	struct bench *b = CONTAINER_OF(t, struct bench, more);
	char key[64], text[TEXT];
	struct error err = { 0 };

	memset(text, 'x', sizeof(text));
	while (b->outstanding < b->most && b->proposed < b->total) {
		struct store_write w = {
			.text = { text, sizeof(text) }, .expected = -1, .done = durable, .context = b
		};

		w.key = span_from(
		    key, (size_t)snprintf(key, sizeof(key), "/core/configmaps/default/object-%06u", b->keys++));
		b->began[b->proposed++ % WRITES] = clock_monotonic_ns();
		if (!store_write(b->store, &w, &err)) {
			fprintf(stderr, "%s\n", err.message);
			exit(1);
		}
		b->outstanding++;
	}
}

static double write_all(struct bench *b, unsigned total, unsigned most)
{
	int64_t start = clock_monotonic_ns();

	b->most = most;
	b->total = total;
	b->proposed = b->done = 0;
	loop_defer(b->loop, &b->more);
	loop_run(b->loop);
	return (double)(clock_monotonic_ns() - start) / 1e9;
}

static int compare(const void *a, const void *b)
{
	return (*(const int64_t *)a > *(const int64_t *)b) - (*(const int64_t *)a < *(const int64_t *)b);
}

static void measure_writes(struct bench *b, unsigned most)
{
	double seconds = write_all(b, WRITES, most);

	qsort(b->took, WRITES, sizeof(b->took[0]), compare);
	printf("durable writes with %u outstanding,%.0f,1/s\n", most, WRITES / seconds);
	printf("one of them p50,%.0f,us\n", (double)b->took[WRITES / 2] / 1e3);
	printf("one of them p99,%.0f,us\n", (double)b->took[WRITES / 100 * 99] / 1e3);
}

static bool count(void *context, struct record *r)
{
	*(size_t *)context += r->text.len;
	return true;
}

static void measure_reads(struct bench *b)
{
	int64_t start = clock_monotonic_ns();
	struct error err = { 0 };
	size_t bytes = 0, found = 0;
	char key[64];

	if (!store_list(b->store, SPAN("/core/"), SPAN(""), 0, count, &bytes, &err))
		exit(1);
	printf("list of %zu objects,%.2f,ms\n", bytes / TEXT, (double)(clock_monotonic_ns() - start) / 1e6);
	start = clock_monotonic_ns();
	for (unsigned i = 0; i < b->keys; i++)
		found += store_get(b->store, span_from(key, (size_t)snprintf(key, sizeof(key),
									     "/core/configmaps/default/object-%06u",
									     i * 7919 % b->keys))) != NULL;
	printf("gets (%zu found),%.2f,us\n", found, (double)(clock_monotonic_ns() - start) / 1e3 / b->keys);
}

static double memory_mb(void)
{
	FILE *f = fopen("/proc/self/status", "re");
	char line[256];
	int64_t kb = 0;

	while (f && fgets(line, sizeof(line), f)) {
		struct span rest = span_of(line);

		if (span_starts(rest, SPAN("VmRSS:"))) {
			rest = span_trim(span_skip(rest, 6));
			(void)number_parse_int64(span_cut(&rest, ' '), &kb);
		}
	}
	if (f)
		fclose(f);
	return (double)kb / 1024;
}

static void measure_start(struct bench *b)
{
	int64_t start;

	store_close(b->store);
	start = clock_monotonic_ns();
	open_store(b);
	printf("start with %u objects,%.1f,ms\n", b->keys, (double)(clock_monotonic_ns() - start) / 1e6);
	printf("memory with %u objects,%.1f,MB\n", b->keys, memory_mb());
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *at)
{
	(void)st;
	(void)type;
	(void)at;
	return remove(path);
}

int main(int argc, char **argv)
{
	struct bench *b = &bench;
	const char *folder = argc > 1 ? argv[1] : "bench_store.data";
	int64_t start;

	b->loop = loop_new();
	b->config = store_config_default();
	b->config.folder = folder;
	b->config.loop = b->loop;
	b->more.run = write_more;
	start = clock_monotonic_ns();
	open_store(b);
	printf("start of a new store,%.1f,ms\n", (double)(clock_monotonic_ns() - start) / 1e6);
	printf("memory when empty,%.1f,MB\n", memory_mb());
	measure_writes(b, 1);
	measure_start(b);
	measure_reads(b);
	measure_writes(b, 16);
	measure_writes(b, 256);
	write_all(b, MANY - b->keys, 1000);
	measure_reads(b);
	printf("memory after writing them,%.1f,MB\n", memory_mb());
	measure_start(b);
	store_close(b->store);
	loop_free(b->loop);
	nftw(folder, remove_one, 8, FTW_DEPTH | FTW_PHYS);
	return 0;
}
