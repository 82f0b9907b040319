/* SPDX-License-Identifier: Apache-2.0 */
/* The content of a backup instead of the store's own, as ordinary changes in one transaction. */
#include <stdlib.h>

#include "base/clock.h"
#include "store/jobs.h"

struct replace {
	struct side_job job;
	char *backup;
	struct image image;
	bool (*renew)(void *context, struct span key, struct span text, int64_t revision, struct buffer *out,
		      struct error *err);
	void (*done)(void *context, const struct error *err);
	void *context;
	struct buffer text;
	/* What is to be written; texts are copies. */
	struct store_write *writes;
	size_t count, capacity;
};

static void run(struct side_job *job)
{
	struct replace *p = CONTAINER_OF(job, struct replace, job);

	job->is_failed = !image_read(p->backup, &p->image, &job->error);
}

static bool renewed(struct replace *p, const struct record *r, int64_t revision, struct error *err)
{
	buffer_clear(&p->text);
	if (!p->renew) {
		buffer_append(&p->text, r->text);
		return true;
	}
	return p->renew(p->context, r->key, r->text, revision, &p->text, err) &&
	       buffer_ok(&p->text, "a text of the backup", err);
}

/* The write after those there are; its text is in p->text. */
static void plan(struct replace *p, const struct record *r, bool is_deletion, int64_t expires_ns)
{
	char *text = base_alloc(p->text.len + 1);

	if (p->count == p->capacity) {
		p->capacity = MAX(p->capacity * 2, (size_t)64);
		p->writes = base_realloc(p->writes, p->capacity * sizeof(*p->writes));
	}
	if (p->text.len)
		memcpy(text, p->text.ptr, p->text.len);
	p->writes[p->count++] = (struct store_write){ .key = r->key,
						      .text = span_from(text, p->text.len),
						      .is_deletion = is_deletion,
						      .expected = -1,
						      .expires_ns = expires_ns };
}

static bool plan_changes(struct replace *p, struct error *err)
{
	struct store *s = p->job.store;
	int64_t now = clock_wall_ns();

	for (struct entry *e = p->image.index.first[0]; e; e = e->next[0]) {
		const struct record *want = e->latest;
		const struct record *is = store_latest(s, want->key);

		if (want->expires_ns && want->expires_ns <= now)
			continue;
		if (is && is->expires_ns == want->expires_ns) {
			/* With the same revision in it, is it the same? */
			if (!renewed(p, want, is->revision, err))
				return false;
			if (span_equal(buffer_span(&p->text), is->text))
				continue;
		}
		if (!renewed(p, want, s->next + (int64_t)p->count, err))
			return false;
		plan(p, want, false, want->expires_ns);
	}
	return true;
}

static bool plan_deletions(struct replace *p, struct error *err)
{
	struct store *s = p->job.store;
	int64_t now = clock_wall_ns();

	for (struct entry *e = s->index.first[0]; e; e = e->next[0]) {
		const struct record *is = e->latest;
		const struct entry *want = index_find(&p->image.index, entry_key(e));

		if (is->is_deletion || (want && !(want->latest->expires_ns && want->latest->expires_ns <= now)))
			continue;
		if (!renewed(p, is, s->next + (int64_t)p->count, err))
			return false;
		plan(p, is, true, 0);
	}
	return true;
}

static void replace_free(struct replace *p)
{
	for (size_t i = 0; i < p->count; i++)
		free((char *)(uintptr_t)p->writes[i].text.ptr);
	free(p->writes);
	image_done(&p->image);
	buffer_done(&p->text);
	free(p->backup);
	free(p);
}

static void durable(void *context, struct record *r, const struct error *err)
{
	struct replace *p = context;

	(void)r;
	p->done(p->context, err);
	replace_free(p);
}

/* All is planned before anything is proposed: it happens as a whole or not at all. */
static void end(struct side_job *job)
{
	struct replace *p = CONTAINER_OF(job, struct replace, job);
	struct error err = job->error;
	bool ok =
	    !job->is_failed && store_may_write(job->store, &err) && plan_changes(p, &err) && plan_deletions(p, &err);

	if (!ok || !p->count) {
		p->done(p->context, ok ? NULL : &err);
		replace_free(p);
		return;
	}
	p->writes[p->count - 1].done = durable; /* the last of one transaction */
	p->writes[p->count - 1].context = p;
	for (size_t i = 0; ok && i < p->count; i++)
		ok = store_propose(job->store, &p->writes[i], &err);
	ASSERT(ok);
}

void store_replace(struct store *s, const char *backup,
		   bool (*renew)(void *context, struct span key, struct span text, int64_t revision, struct buffer *out,
				 struct error *err),
		   void (*done)(void *context, const struct error *err), void *context)
{
	struct replace *p = base_calloc(1, sizeof(*p));

	LOOP_ASSERT(s->config.loop);
	p->job = (struct side_job){ .run = run, .end = end };
	p->backup = span_to_text(span_of(backup));
	p->renew = renew;
	p->done = done;
	p->context = context;
	buffer_init(&p->text, s->config.text_most);
	job_start(s, &p->job);
}
