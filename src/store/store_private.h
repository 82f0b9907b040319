/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * store_private - what the files of this room share: the store itself and the parts it is made of.
 *
 *   index.c    keys in byte order, each with its chain of versions
 *   history.c  versions by revision, how long they are kept, compaction
 *   watch.c    watchers and counts by prefix
 *   expiry.c   keys that end by themselves
 *   journal.c  the rows on disk (SQLite)
 *   writer.c   the thread that commits
 *   secret.c   texts encrypted at rest
 *   folder.c   the data folder: its lock, copies, renames
 *
 * Threads: the loop, but for journal.c (one thread at a time), writer.c (says which) and secret.c (any).
 */
#include "loop/loop.h"
#include "store/journal.h"
#include "store/store.h"

enum {
	STORE_KEY_MOST = 4096, /* bytes of one key */
};

/* ---- records ---- */

struct record *record_new(const struct store_config *config, const struct record *fields);
/* What it costs to keep it. */
size_t record_bytes(const struct record *r);

/* ---- index.c ---- */

enum {
	INDEX_LEVELS = 12, /* a quarter of the entries goes one level up: enough for 4^12 */
};

/* One key. `latest` is the head of its chain of versions, `durable` the newest of them that is on disk. */
struct entry {
	struct record *latest, *durable;
	size_t expiry_slot; /* place in the heap of expiry.c, 0 when in none */
	uint32_t key_len;
	uint32_t levels;
	struct entry *next[]; /* and the key behind */
};

struct index {
	struct entry *first[INDEX_LEVELS];
	size_t count;
};

static inline struct span entry_key(const struct entry *e)
{
	return (struct span){ (const char *)(e->next + e->levels), e->key_len };
}

void index_done(struct index *x);
struct entry *index_find(const struct index *x, struct span key);
struct entry *index_at_or_behind(const struct index *x, struct span key);
struct entry *index_add(struct index *x, struct span key); /* the one there is, or a new one without versions */
void index_remove(struct index *x, struct span key);       /* frees the entry, not its records */

/* ---- history.c ---- */

struct mark {
	int64_t revision, at_ns;
};

/*
 * Versions above `floor` by revision, each one in its key's chain. The floor is the oldest revision that can be
 * listed and watched from: of each key the newest version at or below it is kept.
 */
struct history {
	struct record **ring;
	size_t capacity; /* a power of two */
	int64_t floor;
	size_t bytes;       /* of versions that are kept for the past only */
	struct mark *marks; /* which revision was the newest at what time, a second or more apart */
	size_t marks_count, marks_capacity;
	int64_t aged; /* revisions up to this one are older than history_ns */
	int64_t *trimmed;
	size_t trimmed_count, trimmed_capacity;
};

void history_done(struct history *h);
void history_put(struct store *s, struct record *r); /* proposed or loaded */
struct record *history_get(const struct store *s, int64_t revision);
/* The record became durable: what it supersedes is the past now. */
void history_account(struct store *s, const struct record *r);
/* What was to follow the entry's durable version was taken back: if that is a deletion of the past it goes now. */
void history_taken_back(struct store *s, struct entry *e);
/* Drops what is over the limits. */
void history_compact(struct store *s);
/* The row of this revision is not needed any more: it is deleted from disk some time later. */
void history_forget(struct store *s, int64_t revision);
void history_flush(struct store *s); /* of such rows, all there are */

/* ---- watch.c ---- */

struct prefix;

/* The prefixes that somebody watches or had counted, in a hash table. A key's are found by trying the lengths there
 * are. */
struct watches {
	struct prefix **table;
	size_t capacity, count; /* capacity: a power of two, or 0 */
	struct length *lengths;
	size_t lengths_count, lengths_capacity;
	struct store_watch *progress; /* those that asked for it */
	struct store_watch *dead;     /* freed when no callback runs */
	size_t counted;
	unsigned depth; /* of callbacks that run */
};

void watches_done(struct store *s);
/* A record became durable: counts it. */
void watches_count(struct store *s, const struct record *r);
/* And tells of it. */
void watches_tell(struct store *s, struct record *r);
void watches_progress(struct store *s);

/* ---- expiry.c ---- */

struct expiry {
	struct entry **heap; /* soonest first, from 1 */
	size_t count, capacity;
	struct timer timer;
};

void expiry_done(struct store *s);
/* The entry's durable version changed. */
void expiry_note(struct store *s, struct entry *e);
/* Writes go well again: those that were due meanwhile, or whose deletion failed, are due now. */
void expiry_resume(struct store *s);

/* ---- secret.c ---- */

enum {
	SECRET_KEY_BYTES = 32,
	SECRET_OVERHEAD = 1 + 12 + 16, /* version, nonce, tag */
};

struct secret {
	unsigned char key[SECRET_KEY_BYTES];
};

/* Reads a key file; NOT_FOUND when there is none. */
bool secret_load(const char *path, struct secret *ret_secret, struct error *err);
/* Makes a new key file, durable when it returns. */
bool secret_create(const char *path, struct secret *ret_secret, struct error *err);
/* `row` is authenticated, not encrypted: a sealed text opens in its own row only. */
bool secret_seal(const struct secret *secret, const struct journal_row *row, struct buffer *out, struct error *err);
bool secret_open(const struct secret *secret, const struct journal_row *row, struct buffer *out, struct error *err);

/* ---- writer.c ---- */

struct write {
	struct write *next;
	struct record *record; /* a reference */
	bool is_secret;
	void (*done)(void *context, struct record *r, const struct error *err);
	void *context;
};

/* Writes that were committed, or failed, together; none when a trim failed, or of a trial. */
struct batch {
	struct batch *next;
	struct write *first;
	bool is_failed, is_trial;
	bool may_pass; /* failed for want of room: writer_try() finds out when there is some */
	struct error error;
};

struct writer;

/* Takes the journal over. `event_fd` is written to when a batch is finished. */
struct writer *writer_new(struct journal *journal, const struct secret *secret, int event_fd);
/* One transaction may hold several calls' writes; one call's writes are never in two. */
void writer_submit(struct writer *w, struct write *first, struct write *last);
/* After a failure every write fails, so that none is committed that was proposed on top of another one. Here the caller
 * says that it has taken all of them back, down to revision `newest`. The batch that comes of it says whether writes go
 * well again. */
void writer_try(struct writer *w, int64_t newest);
/* Deletes these rows, which the caller allocated, some time later, and raises the floor. */
void writer_trim(struct writer *w, int64_t *revisions, size_t count, int64_t floor);
struct batch *writer_finished(struct writer *w); /* all so far, in order; the caller frees */
/* Commits what is queued and ends the thread; writer_finished() gives the last batches. */
void writer_end(struct writer *w);
void writer_free(struct writer *w);

/* ---- folder.c ---- */

/* Makes the folder when it is absent, its parents too. */
bool folder_make(const char *folder, struct error *err);
/* Holds the folder for this process; -1 and UNAVAILABLE when another one has it. Closing the descriptor lets go. */
int folder_lock(const char *folder, struct error *err);
char *folder_path(const char *folder, const char *name); /* the caller frees */
bool folder_sync(const char *folder, struct error *err);
/* The folder a path is in; the caller frees. */
char *folder_of(const char *path);
/* A whole copy, durable when it returns; mode 0600; `to` must not exist. */
bool folder_copy(const char *from, const char *to, struct error *err);
bool folder_has(const char *path);
/* Where the disk that a folder is on is mounted; the folder itself when that cannot be found out. The caller frees. */
char *folder_disk(const char *folder);

/* ---- store.c ---- */

struct side_job;

struct store {
	struct store_config config;
	char *folder;
	int lock_fd;
	int event_fd;
	struct watch finished;
	struct loop_task submit;
	struct index index;
	struct history history;
	struct watches watches;
	struct expiry expiry;
	struct writer *writer;
	struct secret secret;
	bool has_secret;
	int64_t durable, next;
	struct write *gathered, *gathered_last; /* proposed in this turn of the loop */
	size_t pending, pending_bytes;
	struct store_after *first_after, *last_after; /* by revision */
	struct side_job *jobs;                        /* backups and replacements under way */
	bool is_failed, is_closing;                   /* is_failed: writes are refused */
	bool may_pass;                                /* for want of room: `room` asks whether there is some again */
	struct timer room;
	struct error failure;
};

/* As store_write(), past the limits of the queue, for the store itself. */
bool store_propose(struct store *s, const struct store_write *w, struct error *err);
bool store_may_write(const struct store *s, struct error *err);

/* ---- load.c ---- */

bool store_load(struct store *s, struct journal *journal, struct error *err);

/* ---- jobs.c ---- */

void jobs_wait(struct store *s);     /* until none runs any more */
void jobs_finished(struct store *s); /* ends those that have finished */
