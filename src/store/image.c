/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdlib.h>

#include "store/jobs.h"

struct reading {
	struct image *image;
	struct secret secret;
	bool has_secret;
	const char *backup;
	struct buffer clear;
};

static void forget(struct image *image, struct entry *e)
{
	record_unref(e->latest);
	e->latest = NULL;
	index_remove(&image->index, entry_key(e));
}

static bool text_of(struct reading *r, const struct journal_row *row, struct span *ret_text, struct error *err)
{
	if (!(row->flags & JOURNAL_SEALED)) {
		*ret_text = row->text;
		return true;
	}
	if (!r->has_secret)
		return error_set(err, ERROR_INVALID, "'%s' holds secrets, and its key '%s.key' is missing", r->backup,
				 r->backup);
	buffer_clear(&r->clear);
	if (!secret_open(&r->secret, row, &r->clear, err))
		return error_wrap(err, "'%s'", r->backup);
	*ret_text = buffer_span(&r->clear);
	return true;
}

static bool take(void *context, const struct journal_row *row, struct error *err)
{
	struct reading *r = context;
	struct record fields = { .key = row->key,
				 .revision = row->revision,
				 .created = row->created,
				 .version = row->version,
				 .expires_ns = row->expires_ns };
	struct entry *e;

	if (!row->key.len || row->key.len > STORE_KEY_MOST)
		return error_set(err, ERROR_INVALID, "'%s' is damaged: row %lld has a key of %zu bytes", r->backup,
				 (long long)row->revision, row->key.len);
	if (!text_of(r, row, &fields.text, err))
		return false;
	r->image->revision = row->revision;
	e = index_add(&r->image->index, row->key);
	if (row->flags & JOURNAL_DELETION) {
		forget(r->image, e);
		return true;
	}
	record_unref(e->latest);
	e->latest = record_new(NULL, &fields);
	return true;
}

static bool load_key(struct reading *r, struct error *err)
{
	AUTO_FREE char *path = backup_key_path(r->backup);

	r->has_secret = folder_has(path);
	return !r->has_secret || secret_load(path, &r->secret, err);
}

bool image_read(const char *backup, struct image *image, struct error *err)
{
	struct reading r = { .image = image, .backup = backup };
	struct journal *j = journal_open_reader(backup, true, err);
	bool ok;

	*image = (struct image){ 0 };
	if (!j)
		return error_wrap(err, "backup");
	image->revision = journal_floor(j);
	buffer_init(&r.clear, SIZE_MAX / 2);
	ok = load_key(&r, err) && journal_read(j, take, &r, err);
	image->revision = MAX(image->revision, journal_floor(j));
	buffer_done(&r.clear);
	explicit_bzero(&r.secret, sizeof(r.secret));
	journal_close(j);
	if (!ok)
		image_done(image);
	return ok;
}

void image_done(struct image *image)
{
	index_done(&image->index);
}
