/* SPDX-License-Identifier: Apache-2.0 */
#include "store/journal.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#include "store/store_private.h"

enum {
	APPLICATION_ID = 0x68797468, /* "hyth" */
	FORMAT = 1,
	WAL_PAGES_IDLE = 1000,   /* of 4 KiB: moved to their place when nobody waits */
	WAL_PAGES_MOST = 4000,   /* or when they are as many as this */
	COPY_PAGES = 4096,       /* a step of a copy */
	FRAME_BYTES = 24 + 4096, /* of the write-ahead log, behind a head of 32 (sqlite.org/fileformat2.html, 4.1) */
	FILL_BYTES = KIB(64),    /* SQLite's own file layer writes less than 128 KiB at once */
	FILL_AHEAD = KIB(32),    /* is filled again when nobody waits and less than this is left */
};

enum { ADD, DROP, SET_FLOOR, PUT_NAME, TAKE_NAME, BEGIN, COMMIT, ROLLBACK, STATEMENTS };

static const char *const texts[STATEMENTS] = {
	[ADD] = "INSERT INTO log(revision, created, version, expires, flags, key, text, sum) VALUES(?,?,?,?,?,?,?,?)",
	[DROP] = "DELETE FROM log WHERE revision = ?",
	[SET_FLOOR] = "UPDATE meta SET value = ? WHERE name = 'floor'",
	/* Both of them in one transaction: the page is written, with nothing else in it than before. */
	[PUT_NAME] = "INSERT INTO meta VALUES('room', 0)",
	[TAKE_NAME] = "DELETE FROM meta WHERE name = 'room'",
	[BEGIN] = "BEGIN IMMEDIATE",
	[COMMIT] = "COMMIT",
	[ROLLBACK] = "ROLLBACK",
};

struct journal {
	sqlite3 *db;
	sqlite3_stmt *statements[STATEMENTS];
	int64_t floor;
	int wal_pages, wal_next; /* in the write-ahead log; from how many on it is tried to empty it */
	bool is_durable, is_full;
	int64_t wal_bytes; /* size of its file, at least */
	char path[];
};

/* The log's file and its size; NULL when it has none. */
static sqlite3_file *log_file(struct journal *j, int64_t *ret_size)
{
	sqlite3_file *file = NULL;
	sqlite3_int64 size = 0;

	if (sqlite3_file_control(j->db, "main", SQLITE_FCNTL_JOURNAL_POINTER, (void *)&file) != SQLITE_OK || !file ||
	    !file->pMethods || file->pMethods->xFileSize(file, &size) != SQLITE_OK)
		return NULL;
	*ret_size = size;
	return file;
}

static bool is_want_of_room(int number)
{
	return number == ENOSPC || number == EDQUOT || number == EFBIG;
}

static bool fail_full(struct journal *j, int number, struct error *err)
{
	AUTO_FREE char *folder = folder_of(j->path);
	AUTO_FREE char *disk = folder_disk(folder);

	j->is_full = true;
	return error_set(err, ERROR_INTERNAL, "the disk at '%s' has no room for '%s': %s", disk, j->path,
			 number == ENOSPC ? "it is full" : strerror(number));
}

/* What the kernel said of the last failure; 0: nothing that is known. SQLite keeps that with the file, not always with the connection. */
static int cause_of(struct journal *j, int extended)
{
	int number = 0;
	int64_t size;
	sqlite3_file *file =
	    extended == SQLITE_IOERR_WRITE || extended == SQLITE_IOERR_FSYNC ? log_file(j, &size) : NULL;

	if (extended == SQLITE_IOERR_SHMSIZE) /* the log's index could not be made longer */
		return ENOSPC;
	if (file && file->pMethods->xFileControl(file, SQLITE_FCNTL_LAST_ERRNO, &number) == SQLITE_OK && number)
		return number;
	return j->db ? sqlite3_system_errno(j->db) : 0;
}

/* What SQLite says, as ours. `what` says what was tried. */
static bool fail(struct journal *j, int rc, const char *what, struct error *err)
{
	int extended = j->db ? sqlite3_extended_errcode(j->db) : rc;
	const char *why = j->db ? sqlite3_errmsg(j->db) : sqlite3_errstr(rc);

	switch (rc & 0xFF) {
	case SQLITE_CORRUPT:
	case SQLITE_NOTADB:
	case SQLITE_ERROR: /* a statement does not fit the tables that are there */
		return error_set(err, ERROR_INVALID, "'%s' is damaged or no store: %s: %s", j->path, what, why);
	case SQLITE_READONLY:
	case SQLITE_PERM:
	case SQLITE_CANTOPEN:
		return error_set(err, ERROR_FORBIDDEN, "'%s' cannot be written: %s: %s", j->path, what, why);
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
		return error_set(err, ERROR_UNAVAILABLE, "'%s' is in use by another process", j->path);
	case SQLITE_FULL:
		return fail_full(j, ENOSPC, err);
	case SQLITE_IOERR:
		if (is_want_of_room(cause_of(j, extended)))
			return fail_full(j, cause_of(j, extended), err);
		return error_set(err, ERROR_INTERNAL, "'%s': %s: %s (%d): %s", j->path, what, why, extended,
				 strerror(cause_of(j, extended)));
	default:
		return error_set(err, ERROR_INTERNAL, "'%s': %s: %s", j->path, what, why);
	}
}

static bool run(struct journal *j, const char *sql, const char *what, struct error *err)
{
	int rc = sqlite3_exec(j->db, sql, NULL, NULL, NULL);

	return rc == SQLITE_OK || fail(j, rc, what, err);
}

/* The first column of the first row, as a number. */
static bool number_of(struct journal *j, const char *sql, int64_t *ret, struct error *err)
{
	sqlite3_stmt *st = NULL;
	int rc = sqlite3_prepare_v2(j->db, sql, -1, &st, NULL);

	if (rc == SQLITE_OK)
		rc = sqlite3_step(st);
	if (rc == SQLITE_ROW)
		*ret = sqlite3_column_int64(st, 0);
	if (rc != SQLITE_ROW)
		(void)(rc == SQLITE_DONE
			   ? error_set(err, ERROR_INVALID, "'%s' is damaged: %s gives nothing", j->path, sql)
			   : fail(j, rc, sql, err));
	sqlite3_finalize(st);
	return rc == SQLITE_ROW;
}

static struct journal *handle_new(const char *path, int flags, struct error *err)
{
	size_t len = strlen(path) + 1;
	struct journal *j = base_calloc(1, sizeof(*j) + len);
	int rc;

	memcpy(j->path, path, len);
	j->wal_next = WAL_PAGES_IDLE;
	rc = sqlite3_open_v2(path, &j->db, flags | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE, NULL);
	if (rc == SQLITE_OK)
		return j;
	fail(j, rc, "open", err);
	journal_close(j);
	return NULL;
}

void journal_close(struct journal *j)
{
	if (!j)
		return;
	for (size_t i = 0; i < STATEMENTS; i++)
		sqlite3_finalize(j->statements[i]);
	sqlite3_close(j->db);
	free(j);
}

/* ---- making ---- */

/* An empty file that only its owner may read: SQLite makes what stands beside it with the same mode. */
static bool make_file(const char *path, struct error *err)
{
	AUTO_CLOSE int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

	if (fd < 0 && (errno == EROFS || errno == EACCES || errno == EPERM))
		return error_set(err, ERROR_FORBIDDEN, "cannot make '%s': %s", path, strerror(errno));
	return fd >= 0 || error_errno(err, errno, "cannot make '%s'", path);
}

static const char schema[] =
    "PRAGMA page_size = 4096;"
    "PRAGMA synchronous = FULL;"
    "PRAGMA journal_mode = MEMORY;" /* what is cut off here is made anew */
    "BEGIN;"
    "PRAGMA application_id = 1752790120;" /* APPLICATION_ID */
    "PRAGMA user_version = 1;"
    "CREATE TABLE log(revision INTEGER PRIMARY KEY, created INTEGER NOT NULL, version INTEGER NOT NULL,"
    " expires INTEGER NOT NULL, flags INTEGER NOT NULL, key TEXT NOT NULL, text BLOB NOT NULL, sum INTEGER NOT NULL);"
    "CREATE TABLE meta(name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;"
    "INSERT INTO meta VALUES('floor', 1);"
    "COMMIT;"
    "PRAGMA journal_mode = WAL;";

static_assert(APPLICATION_ID == 1752790120, "the schema says it in decimal");

bool journal_create(const char *path, struct error *err)
{
	AUTO_FREE char *folder = folder_of(path);
	char made[4096];
	struct journal *j;
	bool ok;

	if ((size_t)snprintf(made, sizeof(made), "%s.new", path) >= sizeof(made))
		return error_set(err, ERROR_INVALID, "the path '%s' is too long", path);
	(void)unlink(made); /* of a start that was killed: never in use */
	j = make_file(made, err) ? handle_new(made, SQLITE_OPEN_READWRITE, err) : NULL;
	if (!j)
		return false;
	ok = run(j, schema, "make", err);
	journal_close(j); /* empties and removes the write-ahead log */
	/* RENAME_NOREPLACE, so that nothing that is there is ever lost. */
	if (ok && renameat2(AT_FDCWD, made, AT_FDCWD, path, RENAME_NOREPLACE) != 0)
		ok = error_errno(err, errno, "cannot make '%s'", path);
	if (!ok)
		(void)unlink(made);
	return ok && folder_sync(folder, err);
}

/* ---- opening ---- */

/* Called by SQLite after each commit. */
static int count_pages(void *context, sqlite3 *db, const char *name, int pages)
{
	struct journal *j = context;

	(void)db;
	(void)name;
	j->wal_pages = pages;
	return SQLITE_OK;
}

static bool is_ours(struct journal *j, struct error *err)
{
	int64_t id = 0, format = 0;

	if (!number_of(j, "PRAGMA application_id", &id, err) || !number_of(j, "PRAGMA user_version", &format, err))
		return false;
	if (id != APPLICATION_ID)
		return error_set(err, ERROR_INVALID, "'%s' is an SQLite database, but no store of hythe", j->path);
	if (format != FORMAT)
		return error_set(err, ERROR_INVALID, "'%s' has format %lld, this version of hythe reads %d", j->path,
				 (long long)format, FORMAT);
	return true;
}

static bool check(struct journal *j, struct error *err)
{
	sqlite3_stmt *st = NULL;
	int rc = sqlite3_prepare_v2(j->db, "PRAGMA quick_check(1)", -1, &st, NULL);
	bool ok;

	if (rc == SQLITE_OK)
		rc = sqlite3_step(st);
	if (rc == SQLITE_ROW) {
		const char *said = (const char *)sqlite3_column_text(st, 0);

		ok = said && strcmp(said, "ok") == 0;
		if (!ok)
			error_set(err, ERROR_INVALID, "'%s' is damaged: %s", j->path, said ? said : "no result");
	} else {
		ok = fail(j, rc, "check", err);
	}
	sqlite3_finalize(st);
	return ok;
}

static bool is_sqlite_file(const char *path, struct error *err)
{
	struct stat st;

	if (stat(path, &st) != 0)
		return error_errno(err, errno, "cannot open '%s'", path);
	if (!S_ISREG(st.st_mode))
		return error_set(err, ERROR_INVALID, "'%s' is no file", path);
	if (st.st_size == 0)
		return error_set(err, ERROR_INVALID, "'%s' is damaged: it is empty", path);
	return true;
}

struct journal *journal_open(const char *path, enum store_durability durability, struct error *err)
{
	struct journal *j;

	if (!is_sqlite_file(path, err))
		return NULL;
	if (access(path, W_OK) != 0) { /* SQLite would open it for reading only */
		error_set(err, ERROR_FORBIDDEN, "'%s' cannot be written: %s", path, strerror(errno));
		return NULL;
	}
	j = handle_new(path, SQLITE_OPEN_READWRITE, err);
	if (!j)
		return NULL;
	/* Checkpoints are journal_tidy()'s: in the middle of a commit they would keep writers waiting. */
	if (!run(j, "PRAGMA wal_autocheckpoint = 0; PRAGMA cache_size = -1024; PRAGMA temp_store = MEMORY;", "open",
		 err) ||
	    !run(j, durability == STORE_DURABLE ? "PRAGMA synchronous = FULL" : "PRAGMA synchronous = NORMAL", "open",
		 err) ||
	    !is_ours(j, err) || !check(j, err) ||
	    !number_of(j, "SELECT value FROM meta WHERE name = 'floor'", &j->floor, err) ||
	    /* A copy is in no such mode: one that is a store now would let nothing be written while it is read. */
	    !run(j, "PRAGMA journal_mode = WAL", "open", err))
		goto failed;
	j->is_durable = durability == STORE_DURABLE;
	sqlite3_wal_hook(j->db, count_pages, j);
	for (size_t i = 0; i < STATEMENTS; i++) {
		int rc = sqlite3_prepare_v3(j->db, texts[i], -1, SQLITE_PREPARE_PERSISTENT, &j->statements[i], NULL);

		if (rc != SQLITE_OK) {
			fail(j, rc, "prepare", err);
			goto failed;
		}
	}
	return j;

failed:
	journal_close(j);
	return NULL;
}

struct journal *journal_open_reader(const char *path, bool is_checked, struct error *err)
{
	struct journal *j = is_sqlite_file(path, err) ? handle_new(path, SQLITE_OPEN_READONLY, err) : NULL;

	if (!j)
		return NULL;
	if (is_ours(j, err) && (!is_checked || check(j, err)) &&
	    number_of(j, "SELECT value FROM meta WHERE name = 'floor'", &j->floor, err))
		return j;
	journal_close(j);
	return NULL;
}

/* ---- rows ---- */

static int64_t sum_of(const struct journal_row *row)
{
	uint64_t head[] = { (uint64_t)row->revision,
			    (uint64_t)row->created,
			    (uint64_t)row->version,
			    (uint64_t)row->expires_ns,
			    row->flags,
			    row->key.len };
	uint64_t sum = XXH3_64bits(head, sizeof(head));

	sum = XXH3_64bits_withSeed(row->key.ptr, row->key.len, sum);
	return (int64_t)XXH3_64bits_withSeed(row->text.ptr, row->text.len, sum);
}

static struct span column_span(sqlite3_stmt *st, int column)
{
	const void *bytes = sqlite3_column_blob(st, column);

	return bytes ? span_from(bytes, (size_t)sqlite3_column_bytes(st, column)) : SPAN("");
}

static bool row_take(struct journal *j, sqlite3_stmt *st, struct journal_row *row, struct error *err)
{
	*row = (struct journal_row){
		.revision = sqlite3_column_int64(st, 0),
		.created = sqlite3_column_int64(st, 1),
		.version = sqlite3_column_int64(st, 2),
		.expires_ns = sqlite3_column_int64(st, 3),
		.flags = (unsigned)sqlite3_column_int(st, 4),
		.key = column_span(st, 5),
		.text = column_span(st, 6),
	};
	if (sum_of(row) != sqlite3_column_int64(st, 7))
		return error_set(err, ERROR_INVALID,
				 "'%s' is damaged: row %lld (key '" SPAN_FMT "') does not match its sum", j->path,
				 (long long)row->revision, SPAN_ARG(row->key));
	return true;
}

bool journal_read(struct journal *j, bool (*each)(void *context, const struct journal_row *row, struct error *err),
		  void *context, struct error *err)
{
	sqlite3_stmt *st = NULL;
	struct journal_row row;
	bool ok = true;
	int rc = sqlite3_prepare_v2(j->db,
				    "SELECT revision, created, version, expires, flags, key, text, sum FROM log "
				    "ORDER BY revision",
				    -1, &st, NULL);

	if (rc != SQLITE_OK)
		return fail(j, rc, "read", err);
	while (ok && (rc = sqlite3_step(st)) == SQLITE_ROW)
		ok = row_take(j, st, &row, err) && each(context, &row, err);
	if (ok && rc != SQLITE_DONE)
		ok = fail(j, rc, "read", err);
	sqlite3_finalize(st);
	return ok;
}

int64_t journal_floor(const struct journal *j)
{
	return j->floor;
}

/* ---- writing ---- */

static bool step(struct journal *j, int which, const char *what, struct error *err)
{
	int rc = sqlite3_step(j->statements[which]);

	sqlite3_reset(j->statements[which]);
	return rc == SQLITE_DONE || fail(j, rc, what, err);
}

bool journal_begin(struct journal *j, struct error *err)
{
	j->is_full = false;
	return step(j, BEGIN, "begin", err);
}

bool journal_add(struct journal *j, const struct journal_row *row, struct error *err)
{
	sqlite3_stmt *st = j->statements[ADD];
	bool is_sealed = (row->flags & JOURNAL_SEALED) != 0;

	sqlite3_bind_int64(st, 1, row->revision);
	sqlite3_bind_int64(st, 2, row->created);
	sqlite3_bind_int64(st, 3, row->version);
	sqlite3_bind_int64(st, 4, row->expires_ns);
	sqlite3_bind_int(st, 5, (int)row->flags);
	sqlite3_bind_text64(st, 6, row->key.ptr, row->key.len, SQLITE_STATIC, SQLITE_UTF8);
	/* Readable with the sqlite3 program, unless it is sealed. */
	if (is_sealed)
		sqlite3_bind_blob64(st, 7, row->text.ptr, row->text.len, SQLITE_STATIC);
	else
		sqlite3_bind_text64(st, 7, row->text.len ? row->text.ptr : "", row->text.len, SQLITE_STATIC,
				    SQLITE_UTF8);
	sqlite3_bind_int64(st, 8, sum_of(row));
	return step(j, ADD, "write", err);
}

bool journal_drop(struct journal *j, int64_t revision, struct error *err)
{
	sqlite3_bind_int64(j->statements[DROP], 1, revision);
	return step(j, DROP, "delete", err);
}

bool journal_set_floor(struct journal *j, int64_t floor, struct error *err)
{
	sqlite3_bind_int64(j->statements[SET_FLOOR], 1, floor);
	if (!step(j, SET_FLOOR, "compact", err))
		return false;
	j->floor = floor;
	return true;
}

bool journal_commit(struct journal *j, struct error *err)
{
	return step(j, COMMIT, "commit", err);
}

void journal_rollback(struct journal *j)
{
	struct error ignored = { 0 };
	bool is_full = j->is_full;

	if (!sqlite3_get_autocommit(j->db))
		(void)step(j, ROLLBACK, "rollback", &ignored); /* the first failure is the one that is told */
	j->is_full = is_full;
}

/* ---- the write-ahead log ---- */

static char zeros[FILL_BYTES]; /* never written to */

static int64_t log_used(const struct journal *j)
{
	return 32 + (int64_t)j->wal_pages * FRAME_BYTES;
}

/*
 * Writes zeros behind the end of the log's file. A commit that makes the file longer has to write its inode as well; one into bytes that
 * are there only itself, which takes half the time. SQLite takes zeros for the end of the log: each frame has a sum.
 */
static void fill(struct journal *j, bool is_idle)
{
	int64_t used = log_used(j), size = 0;
	sqlite3_file *file;

	if (!j->is_durable || used + (is_idle ? FILL_AHEAD : 0) < j->wal_bytes)
		return;
	file = log_file(j, &size);
	if (!file)
		return;
	/* What cannot be written (a full disk) the next commit finds out, if it matters. */
	if (used + FILL_AHEAD >= size && size > 0 &&
	    file->pMethods->xWrite(file, zeros, sizeof(zeros), size) == SQLITE_OK)
		size += (int64_t)sizeof(zeros);
	j->wal_bytes = size;
}

bool journal_tidy(struct journal *j, bool is_idle, struct error *err)
{
	int in_log = 0, moved = 0, rc;

	if (j->wal_pages < j->wal_next || (!is_idle && j->wal_pages < WAL_PAGES_MOST)) {
		fill(j, is_idle);
		return true;
	}
	rc = sqlite3_wal_checkpoint_v2(j->db, NULL, SQLITE_CHECKPOINT_PASSIVE, &in_log, &moved);
	/* Not all of it when a reader holds it (a backup), or for want of room: what is committed is safe where it
	 * is. */
	j->wal_next = rc == SQLITE_OK && in_log == moved ? WAL_PAGES_IDLE : j->wal_pages + WAL_PAGES_IDLE;
	if (rc == SQLITE_OK && in_log == moved)
		j->wal_pages = 0;
	return (rc & 0xFF) != SQLITE_CORRUPT || fail(j, rc, "checkpoint", err);
}

bool journal_settle(struct journal *j, struct error *err)
{
	int rc = sqlite3_wal_checkpoint_v2(j->db, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL);

	j->wal_bytes = 0;
	return rc == SQLITE_OK || fail(j, rc, "checkpoint", err);
}

/* ---- a disk without room ---- */

bool journal_is_full(const struct journal *j)
{
	return j->is_full;
}

static bool change_nothing(struct journal *j, struct error *err)
{
	if (journal_begin(j, err) && step(j, PUT_NAME, "try", err) && step(j, TAKE_NAME, "try", err) &&
	    journal_commit(j, err))
		return true;
	journal_rollback(j);
	return false;
}

/* What failed has made the log's file as long as the disk let it: others need that room. After a commit the count of pages is what there is. */
static void give_back(struct journal *j)
{
	int64_t keep = log_used(j) + FILL_BYTES, size = 0;
	sqlite3_file *file = log_file(j, &size);

	if (file && size > keep && file->pMethods->xTruncate(file, keep) == SQLITE_OK)
		j->wal_bytes = keep;
}

void journal_bury(struct journal *j)
{
	struct error ignored = { 0 };
	bool is_full = j->is_full;

	/* In the log's order the first page of what failed comes first: even one that is cut off here lies over it. */
	if (change_nothing(j, &ignored))
		give_back(j);
	j->is_full = is_full;
}

/* Room for more than one small write, so that one that finds some is not followed by one that finds none. */
static bool reserve(struct journal *j, struct error *err)
{
	int64_t want = log_used(j) + FILL_BYTES, size = 0;
	sqlite3_file *file = log_file(j, &size);
	int rc, number = 0;

	if (!file || size >= want)
		return true; /* the transaction behind this tells */
	rc = file->pMethods->xWrite(file, zeros, (int)MIN(want - size, (int64_t)sizeof(zeros)), size);
	if (rc == SQLITE_OK)
		return true;
	(void)file->pMethods->xFileControl(file, SQLITE_FCNTL_LAST_ERRNO, &number);
	if (rc == SQLITE_FULL || is_want_of_room(number))
		return fail_full(j, rc == SQLITE_FULL ? ENOSPC : number, err);
	return error_set(err, ERROR_INTERNAL, "'%s': make the log longer: %s", j->path, strerror(number));
}

/* SQLite and the one who was told of each commit must agree on what is there. */
static bool is_newest(struct journal *j, int64_t newest, struct error *err)
{
	int64_t on_disk = 0, floor = 0;

	if (!number_of(j, "SELECT coalesce(max(revision), 0) FROM log", &on_disk, err) ||
	    !number_of(j, "SELECT value FROM meta WHERE name = 'floor'", &floor, err))
		return false;
	if (on_disk == newest || (on_disk < newest && floor >= newest)) /* at the floor rows of deletions are dropped */
		return true;
	return error_set(err, ERROR_INVALID, "'%s' ends with revision %lld, %lld was committed", j->path,
			 (long long)on_disk, (long long)newest);
}

bool journal_try(struct journal *j, int64_t newest, struct error *err)
{
	j->is_full = false;
	return reserve(j, err) && is_newest(j, newest, err) && change_nothing(j, err);
}

/* ---- copies ---- */

static bool copy_pages(struct journal *j, struct journal *to, struct error *err)
{
	sqlite3_backup *b = sqlite3_backup_init(to->db, "main", j->db, "main");
	int rc = b ? SQLITE_OK : sqlite3_errcode(to->db);

	while (rc == SQLITE_OK)
		rc = sqlite3_backup_step(b, COPY_PAGES);
	if (b && rc == SQLITE_DONE)
		rc = sqlite3_backup_finish(b);
	else if (b)
		(void)sqlite3_backup_finish(b);
	return rc == SQLITE_OK || fail(to, rc, "copy", err);
}

bool journal_copy(struct journal *j, const char *path, struct error *err)
{
	struct journal *to = make_file(path, err) ? handle_new(path, SQLITE_OPEN_READWRITE, err) : NULL;
	int64_t ignored;
	bool ok;

	if (!to)
		return false;
	/* A transaction held from the first to the last step makes it one snapshot, whatever is written meanwhile.
	 * The copy is a single file: not in WAL mode. */
	ok = run(to, "PRAGMA synchronous = FULL", "open", err) && run(j, "BEGIN", "read", err) &&
	     number_of(j, "SELECT count(*) FROM meta", &ignored, err) && copy_pages(j, to, err) &&
	     run(to, "PRAGMA journal_mode = DELETE", "write", err);
	(void)sqlite3_exec(j->db, "ROLLBACK", NULL, NULL, NULL); /* fails when it was not begun */
	journal_close(to);
	return ok;
}
