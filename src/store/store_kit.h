/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* store_kit - what the tests of this room share: a folder of their own, a store in it, writes that are waited for. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "loop/loop.h"
#include "store/store.h"

struct kit {
	char folder[64], path[128];
	struct loop *loop;
	struct store *store;
	struct store_config config;
	unsigned waiting;
	int64_t revision;   /* of the last write that was waited for */
	struct error error; /* of it */
};

static int kit_remove(const char *path, const struct stat *st, int type, struct FTW *at)
{
	(void)st;
	(void)type;
	(void)at;
	return remove(path);
}

static __attribute__((unused)) void kit_open(struct kit *k)
{
	struct error err = { 0 };

	k->store = store_open(&k->config, &err);
	if (!k->store)
		fail_msg("%s", err.message);
}

static __attribute__((unused)) void kit_close(struct kit *k)
{
	store_close(k->store);
	k->store = NULL;
}

static __attribute__((unused)) void kit_init(struct kit *k)
{
	*k = (struct kit){ .folder = "/tmp/hythe-store-XXXXXX" };
	assert_non_null(mkdtemp(k->folder));
	k->loop = loop_new();
	k->config = store_config_default();
	k->config.folder = k->folder;
	k->config.loop = k->loop;
	k->config.durability = STORE_BUFFERED; /* tests of what a loss of power leaves are not of this kind */
}

static __attribute__((unused)) void kit_done(struct kit *k)
{
	kit_close(k);
	loop_free(k->loop);
	nftw(k->folder, kit_remove, 8, FTW_DEPTH | FTW_PHYS);
}

static __attribute__((unused)) const char *kit_path(struct kit *k, const char *name)
{
	snprintf(k->path, sizeof(k->path), "%s/%s", k->folder, name);
	return k->path;
}

static __attribute__((unused)) void kit_answered(struct kit *k, const struct error *err)
{
	if (err)
		k->error = *err;
	if (--k->waiting == 0)
		loop_stop(k->loop);
}

static __attribute__((unused)) void kit_written(void *context, struct record *r, const struct error *err)
{
	struct kit *k = context;

	if (r)
		k->revision = r->revision;
	kit_answered(k, err);
}

static __attribute__((unused)) void kit_wait(struct kit *k)
{
	k->error = (struct error){ 0 };
	if (k->waiting)
		loop_run(k->loop);
}

/* Proposes; kit_wait() waits for all of them. */
static __attribute__((unused)) bool kit_propose(struct kit *k, const char *key, const char *text, int64_t expected,
						struct error *err)
{
	struct store_write w = { .key = span_of(key),
				 .text = span_of(text),
				 .is_deletion = !text,
				 .expected = expected,
				 .done = kit_written,
				 .context = k };

	if (!store_write(k->store, &w, err))
		return false;
	k->waiting++;
	return true;
}

/* A NULL text deletes. Returns the revision. */
static __attribute__((unused)) int64_t kit_write(struct kit *k, const char *key, const char *text)
{
	struct error err = { 0 };

	if (!kit_propose(k, key, text, -1, &err))
		fail_msg("%s", err.message);
	kit_wait(k);
	if (k->error.code)
		fail_msg("%s", k->error.message);
	return k->revision;
}

/* The text of a key, or "-" when there is none. Valid until the next call. */
static __attribute__((unused)) const char *kit_text(struct kit *k, const char *key)
{
	static char text[8192];
	struct record *r = store_get(k->store, span_of(key));

	snprintf(text, sizeof(text), "%.*s", r ? (int)r->text.len : 1, r ? r->text.ptr : "-");
	return text;
}
