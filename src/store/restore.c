/* SPDX-License-Identifier: Apache-2.0 */
/* A backup put into a folder whose store does not run. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "store/jobs.h"

/* How far revisions jump: more than were ever made between the backup and its use (etcd's guide for restores advises
 * the same). */
static const int64_t revision_jump = 1000000000;

struct restore {
	char *made, *made_key;   /* in the folder, not yet in their places */
	char *place, *place_key; /* store.db, secret.key */
	char *wal, *shm;         /* of the store that is there */
	char *old, *old_key, *old_wal;
	bool has_key;
};

static char *named(const char *folder, const char *name, int64_t time)
{
	char text[96];

	snprintf(text, sizeof(text), "%s.old-%lld", name, (long long)time);
	return folder_path(folder, text);
}

static void restore_init(struct restore *r, const char *folder)
{
	int64_t time = clock_wall_ns() / NS_PER_MS;

	*r = (struct restore){
		.made = folder_path(folder, "store.db.restored"),
		.made_key = folder_path(folder, "secret.key.restored"),
		.place = folder_path(folder, "store.db"),
		.place_key = folder_path(folder, "secret.key"),
		.wal = folder_path(folder, "store.db-wal"),
		.shm = folder_path(folder, "store.db-shm"),
		.old = named(folder, "store.db", time),
		.old_key = named(folder, "secret.key", time),
	};
	r->old_wal = base_alloc(strlen(r->old) + 5);
	snprintf(r->old_wal, strlen(r->old) + 5, "%s-wal", r->old);
}

static void restore_done(struct restore *r)
{
	free(r->made);
	free(r->made_key);
	free(r->place);
	free(r->place_key);
	free(r->wal);
	free(r->shm);
	free(r->old);
	free(r->old_key);
	free(r->old_wal);
}

/* The copy's history is not the clients' any more: its floor is far above all they saw. */
static bool raise_revision(const char *path, int64_t revision, struct error *err)
{
	struct journal *j = journal_open(path, STORE_DURABLE, err);
	bool ok = j && journal_begin(j, err) && journal_set_floor(j, revision + revision_jump, err) &&
		  journal_commit(j, err) && journal_settle(j, err);

	journal_close(j);
	return ok;
}

static bool prepare(struct restore *r, const char *backup, int64_t revision, struct error *err)
{
	AUTO_FREE char *key = backup_key_path(backup);
	struct journal *j = journal_open_reader(backup, false, err);
	bool ok;

	(void)unlink(r->made); /* of a restore that was cut off */
	(void)unlink(r->made_key);
	r->has_key = folder_has(key);
	ok = j && journal_copy(j, r->made, err) && (!r->has_key || folder_copy(key, r->made_key, err));
	journal_close(j);
	return ok && raise_revision(r->made, revision, err);
}

/* What is in the write-ahead log of the store that goes belongs to it: into it, or, when it is too damaged for that,
 * beside it. */
static bool set_wal_aside(struct restore *r, struct error *err)
{
	struct error ignored = { 0 };
	struct journal *j;
	bool is_empty;

	if (!folder_has(r->wal))
		return true;
	j = journal_open(r->place, STORE_DURABLE, &ignored);
	is_empty = j && journal_settle(j, &ignored);
	journal_close(j);
	if (!is_empty && folder_has(r->wal) && rename(r->wal, r->old_wal) != 0)
		return error_errno(err, errno, "cannot move '%s'", r->wal);
	(void)unlink(r->wal); /* neither is there as a rule: the last one who closes removes them */
	(void)unlink(r->shm);
	return true;
}

/* `made` comes to `place`, what is there to `old`: there is no moment without the one or the other. */
static bool exchange(const char *made, const char *place, const char *old, struct error *err)
{
	if (folder_has(place) && link(place, old) != 0)
		return error_errno(err, errno, "cannot keep '%s' as '%s'", place, old);
	if (rename(made, place) != 0)
		return error_errno(err, errno, "cannot make '%s'", place);
	return true;
}

/* Cut off between the two, a store that was encrypted with another key does not open: to restore again completes it. */
static bool put_in_place(struct restore *r, const char *folder, struct error *err)
{
	return set_wal_aside(r, err) && (!r->has_key || exchange(r->made_key, r->place_key, r->old_key, err)) &&
	       exchange(r->made, r->place, r->old, err) && folder_sync(folder, err);
}

bool store_restore(const char *backup, const char *folder, struct error *err)
{
	struct image image;
	struct restore r;
	AUTO_CLOSE int lock = -1;
	bool ok;

	/* Read as a whole, so that what cannot be read is known before anything changes. */
	if (!image_read(backup, &image, err))
		return false;
	image_done(&image);
	if (!folder_make(folder, err))
		return false;
	lock = folder_lock(folder, err);
	if (lock < 0)
		return false;
	restore_init(&r, folder);
	ok = prepare(&r, backup, image.revision, err) && put_in_place(&r, folder, err);
	(void)unlink(r.made); /* there only when it failed */
	(void)unlink(r.made_key);
	restore_done(&r);
	return ok;
}
