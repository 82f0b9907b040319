/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * journal - the store's rows on disk: one for each revision, in one SQLite file, and the floor below which history
 * was dropped.
 *
 * Each row carries a checksum of its own, so that a damaged one is named. A file is made beside its place and renamed
 * into it: one that is there and empty was damaged, and no file is ever made anew over another.
 *
 * Threads: one at a time; a journal may move between threads.
 * Errors:  INVALID for what is no journal or damaged, FORBIDDEN for a read-only place, INTERNAL for the disk. Of a disk
 *          without room journal_is_full() tells: then, and only then, later writes may go well.
 */
#include "base/base.h"
#include "store/store.h"

struct journal;

enum {
	JOURNAL_DELETION = 1,
	JOURNAL_SEALED = 2, /* the text is encrypted */
};

struct journal_row {
	int64_t revision, created, version, expires_ns;
	unsigned flags;
	struct span key, text;
};

/* Makes an empty journal in a new file; durable when it returns. */
bool journal_create(const char *path, struct error *err);

/* Opens and checks the structure of the whole file. */
struct journal *journal_open(const char *path, enum store_durability durability, struct error *err);
/* A file that is only read: a backup, or the file of a running store. */
struct journal *journal_open_reader(const char *path, bool is_checked, struct error *err);
void journal_close(struct journal *j);

/* Every row in order of revision, checked against its sum. Spans live during the call. */
bool journal_read(struct journal *j, bool (*each)(void *context, const struct journal_row *row, struct error *err),
		  void *context, struct error *err);
/* The oldest revision that the history reaches back to; the first floor is 1. */
int64_t journal_floor(const struct journal *j);

bool journal_begin(struct journal *j, struct error *err);
bool journal_add(struct journal *j, const struct journal_row *row, struct error *err);
bool journal_drop(struct journal *j, int64_t revision, struct error *err);
bool journal_set_floor(struct journal *j, int64_t floor, struct error *err);
bool journal_commit(struct journal *j, struct error *err);
void journal_rollback(struct journal *j);

/* The last transaction failed for want of room: a full disk, a quota, a limit to the size of files. */
bool journal_is_full(const struct journal *j);
/* Behind the end of the log may stand the whole of a transaction whose commit failed late, and who reads the log anew
 * would take it up. Overwrites its beginning with a transaction that changes nothing, and gives the room behind it back. */
void journal_bury(struct journal *j);
/* Whether writes go well again: takes room for those that come, and makes a transaction that changes nothing. `newest`
 * is the newest revision that was committed; INVALID when the file has another one. */
bool journal_try(struct journal *j, int64_t newest, struct error *err);

/* Moves what was committed from the write-ahead log to its place when that log has grown; more eagerly with
 * `is_idle`. */
bool journal_tidy(struct journal *j, bool is_idle, struct error *err);
/* The same now, all of it: the write-ahead log is empty after it. */
bool journal_settle(struct journal *j, struct error *err);

/* A copy as of now into a new file, which is durable when it returns. */
bool journal_copy(struct journal *j, const char *path, struct error *err);
