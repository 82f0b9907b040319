/* SPDX-License-Identifier: Apache-2.0 */
/* notes - what look-ups need of each stored object, read once from its text: uid, labels, owners, and where its list form begins. */
#include "kube/kube_private.h"

#include <stdlib.h>

enum {
	LABELS_MOST = 4096,
	OWNERS_MOST = 1024,
	ITEMS_FIRST = 16, /* room for these needs no memory */
};

/* What is found, before it is known how much there is. */
struct reading {
	struct json json;
	struct span text;
	struct arena arena;
	struct notes notes;
	struct label *labels;
	struct owner_note *owners;
	uint32_t label_room, owner_room;
	struct label first_labels[ITEMS_FIRST];
	struct owner_note first_owners[ITEMS_FIRST];
};

static bool is_inside(struct span s, struct span text)
{
	return s.ptr >= text.ptr && s.ptr + s.len <= text.ptr + text.len;
}

/* `items`, or a larger copy of them when there is no room for one more. NULL: that would be too many. */
static void *room_make(struct arena *arena, void *items, size_t size, uint32_t count, uint32_t most, uint32_t *room)
{
	struct error ignored = { 0 };
	void *larger;

	if (count < *room)
		return items;
	larger = count < most ? arena_array_(arena, 2 * (size_t)count, size, &ignored) : NULL;
	if (!larger)
		return NULL;
	*room = 2 * count;
	return memcpy(larger, items, count * size);
}

static void label_add(struct reading *r, struct label label)
{
	struct label *labels =
	    room_make(&r->arena, r->labels, sizeof(*labels), r->notes.label_count, LABELS_MOST, &r->label_room);

	if (!labels)
		return;
	r->labels = labels;
	labels[r->notes.label_count++] = label;
}

static void owner_add(struct reading *r, struct owner_note owner)
{
	struct owner_note *owners =
	    room_make(&r->arena, r->owners, sizeof(*owners), r->notes.owner_count, OWNERS_MOST, &r->owner_room);

	if (!owners)
		return;
	r->owners = owners;
	owners[r->notes.owner_count++] = owner;
}

static bool labels_read(struct reading *r, struct error *err)
{
	struct span key, value;

	if (json_peek(&r->json) != JSON_OBJECT)
		return json_skip(&r->json, err);
	if (!json_enter_object(&r->json, err))
		return false;
	while (json_next_key(&r->json, &key, err)) {
		if (json_peek(&r->json) != JSON_STRING) {
			if (!json_skip(&r->json, err))
				return false;
			continue;
		}
		if (!json_read_string(&r->json, &value, err))
			return false;
		label_add(r, (struct label){ key, value });
	}
	return !r->json.failed;
}

static bool finalizers_read(struct reading *r, struct error *err)
{
	struct span text;

	if (json_peek(&r->json) != JSON_ARRAY)
		return json_skip(&r->json, err);
	if (!json_enter_array(&r->json, err))
		return false;
	while (json_next_element(&r->json, err)) {
		if (json_peek(&r->json) != JSON_STRING)
			return json_skip(&r->json, err);
		if (!json_read_string(&r->json, &text, err))
			return false;
		r->notes.is_foreground |= span_equal(text, SPAN("foregroundDeletion"));
		r->notes.is_orphan |= span_equal(text, SPAN("orphan"));
	}
	return !r->json.failed;
}

static bool owner_read(struct reading *r, struct error *err)
{
	struct owner_note owner = { 0 };
	struct span key;

	if (json_peek(&r->json) != JSON_OBJECT)
		return json_skip(&r->json, err);
	if (!json_enter_object(&r->json, err))
		return false;
	while (json_next_key(&r->json, &key, err)) {
		bool good;

		if (span_equal(key, SPAN("uid")) && json_peek(&r->json) == JSON_STRING)
			good = json_read_string(&r->json, &owner.uid, err);
		else if (span_equal(key, SPAN("blockOwnerDeletion")) && json_peek(&r->json) == JSON_BOOL)
			good = json_read_bool(&r->json, &owner.blocks, err);
		else
			good = json_skip(&r->json, err);
		if (!good)
			return false;
	}
	if (owner.uid.len)
		owner_add(r, owner);
	return !r->json.failed;
}

static bool owners_read(struct reading *r, struct error *err)
{
	if (json_peek(&r->json) != JSON_ARRAY)
		return json_skip(&r->json, err);
	if (!json_enter_array(&r->json, err))
		return false;
	while (json_next_element(&r->json, err))
		if (!owner_read(r, err))
			return false;
	return !r->json.failed;
}

static bool metadata_read(struct reading *r, struct error *err)
{
	struct span key;

	if (json_peek(&r->json) != JSON_OBJECT)
		return json_skip(&r->json, err);
	if (!json_enter_object(&r->json, err))
		return false;
	while (json_next_key(&r->json, &key, err)) {
		bool good;

		if (span_equal(key, SPAN("labels"))) {
			good = labels_read(r, err);
		} else if (span_equal(key, SPAN("ownerReferences"))) {
			good = owners_read(r, err);
		} else if (span_equal(key, SPAN("finalizers"))) {
			good = finalizers_read(r, err);
		} else if (span_equal(key, SPAN("uid")) && json_peek(&r->json) == JSON_STRING) {
			good = json_read_string(&r->json, &r->notes.uid, err);
		} else {
			r->notes.is_ending |= span_equal(key, SPAN("deletionTimestamp"));
			good = json_skip(&r->json, err);
		}
		if (!good)
			return false;
	}
	return !r->json.failed;
}

/* Stops behind metadata, which the server writes third: the rest of a large object is not walked. */
static bool object_read(struct reading *r, struct error *err)
{
	struct span key;
	int count = 0;

	json_init(&r->json, r->text, &r->arena);
	if (!json_enter_object(&r->json, err))
		return false;
	while (json_next_key(&r->json, &key, err)) {
		if (span_equal(key, SPAN("metadata"))) {
			if (count == 2)
				r->notes.list_text = span_skip(r->text, (size_t)(key.ptr - 1 - r->text.ptr));
			return metadata_read(r, err);
		}
		if (span_equal(key, SPAN("kind")) || span_equal(key, SPAN("apiVersion")))
			count++;
		if (!json_skip(&r->json, err))
			return false;
	}
	return !r->json.failed;
}

static void keep(struct span *s, struct span text, char **to)
{
	if (!s->len || is_inside(*s, text))
		return;
	memcpy(*to, s->ptr, s->len);
	s->ptr = *to;
	*to += s->len;
}

static size_t kept_size(struct span s, struct span text)
{
	return is_inside(s, text) ? 0 : s.len;
}

static struct notes *notes_pack(struct reading *r, size_t *ret_size)
{
	struct notes *n;
	size_t size = sizeof(*n) + r->notes.label_count * sizeof(struct label) +
		      r->notes.owner_count * sizeof(struct owner_note) + kept_size(r->notes.uid, r->text);
	char *to;

	for (uint32_t i = 0; i < r->notes.label_count; i++)
		size += kept_size(r->labels[i].key, r->text) + kept_size(r->labels[i].value, r->text);
	for (uint32_t i = 0; i < r->notes.owner_count; i++)
		size += kept_size(r->owners[i].uid, r->text);
	n = base_alloc(size);
	*n = r->notes;
	n->labels = (struct label *)(n + 1);
	n->owners = (struct owner_note *)(n->labels + n->label_count);
	to = (char *)(n->owners + n->owner_count);
	keep(&n->uid, r->text, &to);
	for (uint32_t i = 0; i < n->label_count; i++) {
		n->labels[i] = r->labels[i];
		keep(&n->labels[i].key, r->text, &to);
		keep(&n->labels[i].value, r->text, &to);
	}
	for (uint32_t i = 0; i < n->owner_count; i++) {
		n->owners[i] = r->owners[i];
		keep(&n->owners[i].uid, r->text, &to);
	}
	*ret_size = size;
	return n;
}

void *notes_make(void *context, const struct record *r, size_t *ret_size)
{
	struct reading reading;
	struct error ignored = {
		0
	}; /* a text that cannot be read has no labels; whoever reads it whole says what is wrong */
	struct notes *n;

	(void)context;
	reading.text = r->text;
	reading.notes = (struct notes){ 0 };
	reading.labels = reading.first_labels;
	reading.owners = reading.first_owners;
	reading.label_room = reading.owner_room = ITEMS_FIRST;
	arena_init(&reading.arena, MIB(16));
	(void)object_read(&reading, &ignored);
	n = notes_pack(&reading, ret_size);
	arena_done(&reading.arena);
	return n;
}
