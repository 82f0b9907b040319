/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * store - versioned texts under keys, and the log of their changes, as etcd behaves: every write is a new revision of
 * one counter; a watch replays from any revision that is not yet compacted; a list can be read as of such a revision.
 *
 * All of it is in memory, and every change in a log on disk (SQLite, WAL): reads touch no file. A writer thread
 * commits what has gathered as one transaction, then tells; nothing is acknowledged, shown to readers or to watchers
 * before it is durable. Between the proposal and that moment store_latest() shows it to the one who decides the next
 * write.
 *
 * Threads:   the loop given at birth, all functions but where noted; the writer thread is private.
 * Ownership: records are immutable and reference-counted.
 * Errors:    from store_open(): INVALID (no store of ours, damaged: the message says which page or row),
 *            FORBIDDEN (read-only), UNAVAILABLE (in use by another process). From writes: CONFLICT, EXHAUSTED (queue
 *            full), INTERNAL (the disk). For want of room (a full disk, a quota) every write fails like that until there
 *            is some, which is looked for once a second; for anything else from then on every write fails with
 *            UNAVAILABLE and its first cause. Reads go on. A write that failed has left nothing.
 * Limits:    see struct store_config.
 */
#include "base/base.h"

struct loop;
struct store;

/* One version of one key. */
struct record {
	struct span key;
	struct span text;   /* of a deletion: the final object when the write had one, else empty */
	int64_t revision;   /* of this version */
	int64_t created;    /* revision of the first version since the key was last absent */
	int64_t version;    /* 1, 2, ... since then */
	int64_t expires_ns; /* wall clock (CLOCK_REALTIME); 0: never */
	bool is_deletion;
	const void *notes; /* what store_config.note made of it, or NULL */
	/* private: */
	struct record *older;
	uint32_t references, notes_bytes;
};

struct record *record_ref(struct record *r);
void record_unref(struct record *r); /* NULL is allowed */

enum store_durability {
	STORE_DURABLE,  /* fdatasync before a write is acknowledged */
	STORE_BUFFERED, /* written to the kernel: survives kill -9, not the loss of power */
};

struct store_config {
	const char *folder; /* made when it is absent, mode 0700 */
	struct loop *loop;
	enum store_durability durability;
	/* Old versions kept for watches and paged lists: up to history_bytes (default 64 MiB) whatever their age;
	 * over it those older than history_ns (default 5 minutes) go; over four times as much the oldest go, however
	 * young they are. */
	size_t history_bytes;
	int64_t history_ns;
	size_t queue_most;  /* writes proposed and not yet durable (default 10,000) */
	size_t queue_bytes; /* and their bytes (default 256 MiB) */
	size_t text_most;   /* bytes of one text (default 2 MiB) */
	/* Keys whose texts are encrypted on disk (AES-256-GCM, key in folder/secret.key, mode 0600, made at first).
	 * May be NULL. */
	bool (*is_secret)(struct span key);
	/* Makes something of a text that look-ups use (parsed labels); freed with free(). Called on the loop, at
	 * start for every record as well. May be NULL. */
	void *(*note)(void *context, const struct record *r, size_t *ret_size);
	/* Texts hold their revision: makes a text again for a new one, for the deletion of a key that expired. May be
	 * NULL: that deletion has the last text as it was. */
	bool (*renew)(void *context, struct span key, struct span text, int64_t revision, struct buffer *out,
		      struct error *err);
	void *context;
};
struct store_config store_config_default(void);

struct store *store_open(const struct store_config *config, struct error *err);
/* Commits what was proposed, ends the thread. Callbacks still waiting run; what they propose fails. Before
 * loop_free(), and not from a callback of the store's. Watches that are still there end without a word. NULL is
 * allowed. */
void store_close(struct store *s);

/* ---- reading ---- */

int64_t store_revision(const struct store *s);  /* newest durable */
int64_t store_compacted(const struct store *s); /* revisions up to this one cannot be listed or watched from any more */

/* The durable version, not a deletion; NULL when there is none. Not referenced for the caller: valid until the loop
 * turns. */
struct record *store_get(const struct store *s, struct span key);
/* The same with what is proposed and not yet durable: the base of the next write to this key. */
struct record *store_latest(const struct store *s, struct span key);

/* Walks the keys with a prefix in byte order, from the first at or behind `start` (empty: all), as of `revision` (0:
 * now). `each` returns false to stop. GONE when the revision is compacted, TIMEOUT when it is of the future. No write
 * may be proposed inside. */
bool store_list(const struct store *s, struct span prefix, struct span start, int64_t revision,
		bool (*each)(void *context, struct record *r), void *context, struct error *err);
/* Durable keys with this prefix, now; kept, not counted. For prefixes that end with '/' and were counted before it is
 * cheap. */
size_t store_count(struct store *s, struct span prefix);

/* ---- writing ---- */

/* The revision that the next store_write() gets: for texts that contain it. */
int64_t store_next_revision(const struct store *s);

struct store_write {
	struct span key;
	struct span
	    text; /* copied; of a deletion: the final object with its new revision in it, for watchers; may be empty */
	bool is_deletion;
	int64_t expected;   /* revision that store_latest() must have; 0: must be absent; -1: any */
	int64_t expires_ns; /* the key is deleted then; 0: never */
	/* Called on the loop once it is durable, or failed later (disk). Not called when store_write() returned
	 * false. */
	void (*done)(void *context, struct record *r, const struct error *err);
	void *context;
};
/* Proposes a write; `expected` not met is CONFLICT, a deletion of what is not there NOT_FOUND. A deletion's record
 * carries `text` too (the final object), and once it is durable store_get() no longer finds the key. */
bool store_write(struct store *s, const struct store_write *w, struct error *err);

struct store_after {
	struct store_after *next;
	int64_t revision;
	void (*run)(struct store_after *a);
};
/* Calls `run` once all that is proposed by now (there must be something) is durable and told, or was taken back. The struct is the caller's until
 * then. */
void store_after(struct store *s, struct store_after *a, void (*run)(struct store_after *a));

/* ---- watching ---- */

struct store_watch;

struct store_event {
	struct record *record;   /* the new version, or the deletion */
	struct record *previous; /* what was before, or NULL */
};

struct store_watcher {
	/* Every durable change of a key with the prefix after `from`, in order, once. */
	void (*event)(struct store_watcher *w, const struct store_event *event);
	/* All revisions up to this one have been told (after each commit, also without events of the prefix). May be
	 * NULL. */
	void (*progress)(struct store_watcher *w, int64_t revision);
	struct store_watch *watch; /* set by store_watch() before the first event */
};
/* Watches from revision `from` (exclusive). Past events are told before it returns. GONE when compacted, TIMEOUT when
 * `from` is of the future. `prefix` is copied; `w` stays the caller's until store_unwatch(), which a callback may
 * call; in a past event too: store_watch() gives NULL and CANCELLED then. Watchers are found by prefix: one that is
 * not concerned costs a write nothing but its progress call. */
struct store_watch *store_watch(struct store *s, struct span prefix, int64_t from, struct store_watcher *w,
				struct error *err);
void store_unwatch(struct store_watch *w);

/* ---- keeping ---- */

/* Writes a consistent copy to `path` while others go on (SQLite's backup API), with the key file beside it
 * (`path`.key) when secrets are in it. An older backup at `path` is replaced; another file there is ALREADY_EXISTS.
 * `done` on the loop. */
void store_backup(struct store *s, const char *path, void (*done)(void *context, const struct error *err),
		  void *context);

/* Makes the content that of a backup, while running: what differs is written or deleted as new revisions in one
 * transaction, so that watchers see it as changes. Texts hold their revision: `renew` makes the text again for its
 * new one (into `out`). */
void store_replace(struct store *s, const char *backup,
		   bool (*renew)(void *context, struct span key, struct span text, int64_t revision, struct buffer *out,
				 struct error *err),
		   void (*done)(void *context, const struct error *err), void *context);

/* Puts a backup into a folder that holds no store in use; refuses what is no backup. A store that is there, damaged
 * or not, stays beside it under another name (store.db.old-<time>). Revisions go on well above those of the backup,
 * so that clients who saw later ones start anew. Without a loop. */
bool store_restore(const char *backup, const char *folder, struct error *err);
