/* SPDX-License-Identifier: Apache-2.0 */
/* What a start does: from the rows on disk to keys with their versions. */
#include <stdlib.h>

#include "base/clock.h"
#include "store/store_private.h"

struct load {
	struct store *store;
	struct buffer clear; /* of the row at hand, when it is sealed */
};

static bool text_of(struct load *l, const struct journal_row *row, struct span *ret_text, struct error *err)
{
	struct store *s = l->store;

	if (!(row->flags & JOURNAL_SEALED)) {
		*ret_text = row->text;
		return true;
	}
	if (!s->has_secret)
		return error_set(err, ERROR_INVALID,
				 "row %lld (key '" SPAN_FMT "') is encrypted, and '%s/secret.key' is missing",
				 (long long)row->revision, SPAN_ARG(row->key), s->folder);
	buffer_clear(&l->clear);
	if (!secret_open(&s->secret, row, &l->clear, err))
		return error_wrap(err, "'%s'", s->folder);
	*ret_text = buffer_span(&l->clear);
	return true;
}

/* At or below the floor one version of a key is enough, and a deletion is none; a compaction that was cut off leaves
 * more. */
static void forget_superseded(struct store *s, struct entry *e)
{
	struct record *r = e->latest;

	e->latest = e->durable = NULL;
	history_forget(s, r->revision);
	record_unref(r);
}

static bool is_after(const struct record *older, const struct journal_row *row)
{
	if (older && !older->is_deletion)
		return row->created == older->created && row->version == older->version + 1;
	return row->created == row->revision && row->version == 1 && !(row->flags & JOURNAL_DELETION);
}

static bool take(void *context, const struct journal_row *row, struct error *err)
{
	struct load *l = context;
	struct store *s = l->store;
	bool is_past = row->revision <= s->history.floor;
	struct record fields = { .key = row->key,
				 .revision = row->revision,
				 .created = row->created,
				 .version = row->version,
				 .expires_ns = row->expires_ns,
				 .is_deletion = (row->flags & JOURNAL_DELETION) != 0 };
	struct record *r;
	struct entry *e;

	if (!is_past && row->revision != s->next)
		return error_set(err, ERROR_INVALID, "'%s' is damaged: the rows from %lld to %lld are missing",
				 s->folder, (long long)s->next, (long long)row->revision - 1);
	if (!row->key.len || row->key.len > STORE_KEY_MOST)
		return error_set(err, ERROR_INVALID, "'%s' is damaged: row %lld has a key of %zu bytes", s->folder,
				 (long long)row->revision, row->key.len);
	if (!text_of(l, row, &fields.text, err))
		return false;
	e = index_add(&s->index, row->key);
	if (!is_past && !is_after(e->latest, row))
		return error_set(err, ERROR_INVALID,
				 "'%s' is damaged: row %lld does not follow the one before it of '" SPAN_FMT "'",
				 s->folder, (long long)row->revision, SPAN_ARG(row->key));
	r = record_new(&s->config, &fields);
	if (is_past && e->latest)
		forget_superseded(s, e);
	r->older = e->latest;
	e->latest = e->durable = r;
	if (is_past) {
		if (r->is_deletion) {
			forget_superseded(s, e);
			index_remove(&s->index, row->key);
		}
		return true;
	}
	s->durable = row->revision;
	s->next = row->revision + 1;
	history_put(s, r);
	history_account(s, r);
	return true;
}

bool store_load(struct store *s, struct journal *journal, struct error *err)
{
	struct load l = { .store = s };
	bool ok;

	s->history.floor = s->durable = journal_floor(journal);
	if (s->durable < 1)
		return error_set(err, ERROR_INVALID, "'%s' is damaged: its history begins at %lld", s->folder,
				 (long long)s->durable);
	s->next = s->durable + 1;
	buffer_init(&l.clear, SIZE_MAX / 2);
	ok = journal_read(journal, take, &l, err);
	buffer_done(&l.clear);
	if (!ok)
		return false;
	for (struct entry *e = s->index.first[0]; e; e = e->next[0])
		expiry_note(s, e);
	return true;
}
