/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/meta.h"

#include "wire/json.h"
#include "wire/protobuf.h"

/* prediction.proto */
enum { MESSAGE_META = 2, META_PUID = 1, META_ROUTING = 3, META_REQUEST_PATH = 4, ENTRY_KEY = 1, ENTRY_VALUE = 2 };

/* ---- where things stand ---- */

/* A value in the text; `text.ptr` NULL: it is not there. */
struct place {
	struct span text;
	bool is_object, has_members, has_node;
};

struct places {
	bool is_message, has_members;
	struct span text; /* from the opening brace on */
	struct place meta, puid, routing, path;
	struct span puid_text;
};

static bool place_walk(struct json *j, struct span node, struct place *ret, struct error *err)
{
	struct span key;
	const char *start;

	(void)json_peek(j); /* passes over space */
	start = j->at;
	ret->is_object = json_peek(j) == JSON_OBJECT;
	ret->has_members = ret->has_node = false;
	if (!ret->is_object)
		return json_read_raw(j, &ret->text, err);
	if (!json_enter_object(j, err))
		return false;
	while (json_next_key(j, &key, err)) {
		ret->has_members = true;
		ret->has_node |= span_equal(key, node);
		if (!json_skip(j, err))
			return false;
	}
	ret->text = span_from(start, (size_t)(j->at - start));
	return !j->failed;
}

static bool meta_walk(struct json *j, struct span node, struct places *p, struct error *err)
{
	struct span key;
	const char *start;

	(void)json_peek(j);
	start = j->at;
	p->meta = p->puid = p->routing = p->path = (struct place){ 0 };
	p->puid_text = (struct span){ 0 };
	p->meta.is_object = json_peek(j) == JSON_OBJECT;
	if (!p->meta.is_object)
		return json_read_raw(j, &p->meta.text, err);
	if (!json_enter_object(j, err))
		return false;
	while (json_next_key(j, &key, err)) {
		bool ok;

		p->meta.has_members = true;
		if (span_equal(key, SPAN("puid"))) {
			struct json at = *j;

			ok = json_read_raw(j, &p->puid.text, err);
			if (ok && json_peek(&at) == JSON_STRING)
				ok = json_read_string(&at, &p->puid_text, err);
		} else if (span_equal(key, SPAN("routing"))) {
			ok = place_walk(j, node, &p->routing, err);
		} else if (span_equal(key, SPAN("requestPath"))) {
			ok = place_walk(j, node, &p->path, err);
		} else {
			ok = json_skip(j, err);
		}
		if (!ok)
			return false;
	}
	p->meta.text = span_from(start, (size_t)(j->at - start));
	return !j->failed;
}

static void message_walk(struct span text, struct span node, struct arena *arena, struct places *ret)
{
	struct error err = { 0 };
	struct places p = { 0 };
	struct span key;
	struct json j;

	*ret = p;
	json_init(&j, text, arena);
	j.allow_nonfinite = true;
	if (json_peek(&j) != JSON_OBJECT)
		return;
	p.text = span_skip(text, (size_t)(j.at - text.ptr));
	if (!json_enter_object(&j, &err))
		return;
	while (json_next_key(&j, &key, &err)) {
		p.has_members = true;
		if (!(span_equal(key, SPAN("meta")) ? meta_walk(&j, node, &p, &err) : json_skip(&j, &err)))
			return;
	}
	p.is_message = json_finish(&j, &err);
	if (p.is_message)
		*ret = p;
}

struct span meta_puid(struct span json, struct arena *arena)
{
	struct places p;

	message_walk(json, (struct span){ 0 }, arena, &p);
	return p.puid_text;
}

/* ---- edits ---- */

enum { EDITS_MOST = 4 };

/* `text` takes the place of `removed` bytes at `at`. */
struct edit {
	const char *at;
	size_t removed, from, to; /* from..to: the text, in `texts` */
};

struct edits {
	struct edit list[EDITS_MOST];
	size_t count;
	struct buffer *texts;
};

static void edit_end(struct edits *e, const char *at, size_t removed, size_t from)
{
	size_t i = e->count++;

	ASSERT(e->count <= EDITS_MOST);
	for (; i > 0 && e->list[i - 1].at > at; i--)
		e->list[i] = e->list[i - 1];
	e->list[i] = (struct edit){ at, removed, from, e->texts->len };
}

static void put_entry(struct json_writer *w, const struct meta_note *note, bool is_routing)
{
	json_key(w, note->node);
	if (is_routing)
		json_int64(w, note->branch);
	else
		json_string(w, note->image);
}

static void put_map(struct json_writer *w, const struct meta_note *note, bool is_routing)
{
	json_key(w, is_routing ? SPAN("routing") : SPAN("requestPath"));
	json_open_object(w);
	put_entry(w, note, is_routing);
	json_close_object(w);
}

/* A map that is there and lacks the node. What is there and is no map is left alone. */
static void map_complete(struct edits *e, const struct place *map, const struct meta_note *note, bool is_routing)
{
	struct json_writer w = json_writer(e->texts);
	size_t from = e->texts->len;

	if (!map->text.ptr || !map->is_object || map->has_node)
		return;
	put_entry(&w, note, is_routing);
	if (map->has_members)
		buffer_byte(e->texts, ',');
	edit_end(e, map->text.ptr + 1, 0, from);
}

static void members_put(struct json_writer *w, const struct places *p, struct span puid, const struct meta_note *note)
{
	if (!p->puid.text.ptr && puid.len) {
		json_key(w, SPAN("puid"));
		json_string(w, puid);
	}
	if (!p->path.text.ptr)
		put_map(w, note, false);
	if (!p->routing.text.ptr)
		put_map(w, note, true);
}

static void meta_make(struct edits *e, const struct places *p, struct span puid, const struct meta_note *note)
{
	struct json_writer w = json_writer(e->texts);
	size_t from = e->texts->len;

	if (!p->meta.text.ptr) {
		json_key(&w, SPAN("meta"));
		json_open_object(&w);
		members_put(&w, p, puid, note);
		json_close_object(&w);
		if (p->has_members)
			buffer_byte(e->texts, ',');
		edit_end(e, p->text.ptr + 1, 0, from);
		return;
	}
	json_open_object(&w);
	members_put(&w, p, puid, note);
	json_close_object(&w);
	edit_end(e, p->meta.text.ptr, p->meta.text.len, from);
}

static void meta_edit(struct edits *e, const struct places *p, struct span puid, const struct meta_note *note)
{
	struct json_writer w = json_writer(e->texts);
	size_t from = e->texts->len;

	members_put(&w, p, puid, note);
	if (e->texts->len > from) {
		if (p->meta.has_members)
			buffer_byte(e->texts, ',');
		edit_end(e, p->meta.text.ptr + 1, 0, from);
	}
	if (p->puid.text.ptr && !p->puid_text.len && puid.len) {
		from = e->texts->len;
		w = json_writer(e->texts);
		json_string(&w, puid);
		edit_end(e, p->puid.text.ptr, p->puid.text.len, from);
	}
	map_complete(e, &p->path, note, false);
	map_complete(e, &p->routing, note, true);
}

#define TEXTS_MOST KIB(64)

void meta_complete(struct span json, struct span puid, const struct meta_note *note, struct arena *arena,
		   struct buffer *out)
{
	struct edits e = { 0 };
	struct buffer texts;
	struct places p;
	struct span rest = json;

	message_walk(json, note->node, arena, &p);
	if (!p.is_message) {
		buffer_append(out, json);
		return;
	}
	buffer_init(&texts, TEXTS_MOST);
	e.texts = &texts;
	if (!p.meta.text.ptr || !p.meta.is_object)
		meta_make(&e, &p, puid, note);
	else
		meta_edit(&e, &p, puid, note);
	for (size_t i = 0; i < e.count && !texts.overflow; i++) {
		size_t before = (size_t)(e.list[i].at - rest.ptr);

		meta_escape(span_first(rest, before), out);
		meta_escape(span_from(texts.ptr + e.list[i].from, e.list[i].to - e.list[i].from), out);
		rest = span_skip(rest, before + e.list[i].removed);
	}
	meta_escape(rest, out);
	buffer_done(&texts);
}

/* ---- Go's escapes ---- */

static size_t escape_at(struct span s, size_t i, const char **ret)
{
	switch (s.ptr[i]) {
	case '<':
		*ret = "\\u003c";
		return 1;
	case '>':
		*ret = "\\u003e";
		return 1;
	case '&':
		*ret = "\\u0026";
		return 1;
	case '\xe2':
		if (s.len - i < 3 || s.ptr[i + 1] != '\x80' || (s.ptr[i + 2] != '\xa8' && s.ptr[i + 2] != '\xa9'))
			return 0;
		*ret = s.ptr[i + 2] == '\xa8' ? "\\u2028" : "\\u2029";
		return 3;
	default:
		return 0;
	}
}

void meta_escape(struct span json, struct buffer *out)
{
	size_t from = 0;

	/* Four quick looks: most answers have none of them. */
	if (!json.len || (!memchr(json.ptr, '<', json.len) && !memchr(json.ptr, '>', json.len) &&
			  !memchr(json.ptr, '&', json.len) && !memchr(json.ptr, 0xe2, json.len))) {
		buffer_append(out, json);
		return;
	}
	for (size_t i = 0; i < json.len;) {
		const char *text = NULL;
		size_t n = escape_at(json, i, &text);

		if (!n) {
			i++;
			continue;
		}
		buffer_append(out, span_from(json.ptr + from, i - from));
		buffer_append(out, span_of(text));
		i += n;
		from = i;
	}
	buffer_append(out, span_skip(json, from));
}

/* ---- protobuf ---- */

/* True when a map of the meta has an entry for the node. */
static bool entry_is_of(struct span entry, struct span node)
{
	struct protobuf p = protobuf(entry);
	struct protobuf_field f;
	struct error err = { 0 };
	bool is = false;

	while (protobuf_next(&p, &f, &err))
		if (f.number == ENTRY_KEY && f.type == PROTOBUF_BYTES)
			is = span_equal(f.bytes, node);
	return is && !p.failed;
}

struct meta_has {
	bool puid, routing, path;
};

static bool meta_look(struct span meta, struct span node, struct meta_has *has)
{
	struct protobuf p = protobuf(meta);
	struct protobuf_field f;
	struct error err = { 0 };

	while (protobuf_next(&p, &f, &err)) {
		if (f.type != PROTOBUF_BYTES)
			continue;
		has->puid |= f.number == META_PUID && f.bytes.len > 0;
		has->routing |= f.number == META_ROUTING && entry_is_of(f.bytes, node);
		has->path |= f.number == META_REQUEST_PATH && entry_is_of(f.bytes, node);
	}
	return !p.failed;
}

static void put_protobuf_entry(struct buffer *out, const struct meta_note *note, bool is_routing)
{
	size_t mark = protobuf_open(out, is_routing ? META_ROUTING : META_REQUEST_PATH);

	protobuf_write_bytes(out, ENTRY_KEY, note->node);
	if (is_routing)
		protobuf_write_uint64(out, ENTRY_VALUE, (uint64_t)(int64_t)note->branch);
	else
		protobuf_write_bytes(out, ENTRY_VALUE, note->image);
	protobuf_close(out, mark);
}

void meta_complete_protobuf(struct span message, struct span puid, const struct meta_note *note, struct buffer *out)
{
	struct protobuf p = protobuf(message);
	struct protobuf_field f;
	struct meta_has has = { 0 };
	struct error err = { 0 };
	size_t mark;

	buffer_append(out, message);
	while (protobuf_next(&p, &f, &err))
		if (f.number == MESSAGE_META && f.type == PROTOBUF_BYTES && !meta_look(f.bytes, note->node, &has))
			return;
	if (p.failed || (has.puid && has.routing && has.path))
		return;
	mark = protobuf_open(out, MESSAGE_META);
	if (!has.puid && puid.len)
		protobuf_write_bytes(out, META_PUID, puid);
	if (!has.routing)
		put_protobuf_entry(out, note, true);
	if (!has.path)
		put_protobuf_entry(out, note, false);
	protobuf_close(out, mark);
}
