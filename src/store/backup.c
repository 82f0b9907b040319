/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Copies of a running store, each made by a thread of its own with a connection of its own: commits go on meanwhile.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "store/jobs.h"

struct backup {
	struct side_job job;
	char *file, *key; /* of the store */
	char *path;       /* of the backup */
	bool has_secret;
	void (*done)(void *context, const struct error *err);
	void *context;
};

static char *with_end(const char *path, const char *end)
{
	size_t size = strlen(path) + strlen(end) + 1;
	char *text = base_alloc(size);

	snprintf(text, size, "%s%s", path, end);
	return text;
}

char *backup_key_path(const char *backup)
{
	return with_end(backup, ".key");
}

/* What is at `path` may be replaced when it is a backup as well. */
static bool may_replace(const char *path, struct error *err)
{
	struct error why = { 0 };
	struct journal *j;

	if (!folder_has(path))
		return true;
	j = journal_open_reader(path, false, &why);
	journal_close(j);
	return j || error_set(err, ERROR_ALREADY_EXISTS, "'%s' is there and is no backup: choose another name", path);
}

static bool put_in_place(const char *made, const char *path, struct error *err)
{
	if (rename(made, path) == 0)
		return true;
	return error_errno(err, errno, "cannot make '%s'", path);
}

static bool copy(const struct backup *b, const char *made, const char *made_key, struct error *err)
{
	struct journal *j = journal_open_reader(b->file, false, err);
	bool ok = j && journal_copy(j, made, err);

	journal_close(j);
	return ok && (!b->has_secret || folder_copy(b->key, made_key, err));
}

/* The key comes first: a backup that is in its place can be read. */
static bool make(const struct backup *b, struct error *err)
{
	AUTO_FREE char *made = with_end(b->path, ".partial");
	AUTO_FREE char *made_key = with_end(b->path, ".key.partial");
	AUTO_FREE char *key = backup_key_path(b->path);
	AUTO_FREE char *folder = folder_of(b->path);
	bool ok;

	(void)unlink(made); /* of a backup that was cut off */
	(void)unlink(made_key);
	ok = may_replace(b->path, err) && copy(b, made, made_key, err) &&
	     (!b->has_secret || put_in_place(made_key, key, err)) && put_in_place(made, b->path, err) &&
	     folder_sync(folder, err);
	(void)unlink(made);
	(void)unlink(made_key);
	return ok;
}

static void run(struct side_job *job)
{
	struct backup *b = CONTAINER_OF(job, struct backup, job);

	job->is_failed = !make(b, &job->error);
}

static void end(struct side_job *job)
{
	struct backup *b = CONTAINER_OF(job, struct backup, job);

	b->done(b->context, job->is_failed ? &job->error : NULL);
	free(b->file);
	free(b->key);
	free(b->path);
	free(b);
}

void store_backup(struct store *s, const char *path, void (*done)(void *context, const struct error *err),
		  void *context)
{
	struct backup *b = base_calloc(1, sizeof(*b));

	LOOP_ASSERT(s->config.loop);
	b->job = (struct side_job){ .run = run, .end = end };
	b->file = folder_path(s->folder, "store.db");
	b->key = folder_path(s->folder, "secret.key");
	b->path = span_to_text(span_of(path));
	b->has_secret = s->has_secret;
	b->done = done;
	b->context = context;
	job_start(s, &b->job);
}
