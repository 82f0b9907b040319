/* SPDX-License-Identifier: Apache-2.0 */
/* cluster_remote_read - lists, lines of watches and Statuses of an API server, which are read as a stranger's. */
#include "base/number.h"
#include "kube/cluster_remote_private.h"
#include "kube/kube_private.h"

int64_t remote_revision(const struct value *object)
{
	int64_t revision = 0;

	(void)number_parse_int64(value_find_string(object, "metadata.resourceVersion"), &revision);
	return MAX(revision, (int64_t)0);
}

/* ---- lists and watches ---- */

bool remote_page_read(struct span body, struct arena *arena, struct remote_page *ret, struct error *err)
{
	struct value *list = ARENA_NEW(arena, struct value, err);
	struct value *items;

	if (!list || !value_parse(body, NULL, arena, list, err))
		return false;
	items = value_get(list, SPAN("items"));
	if (items && items->type == VALUE_NULL)
		*items = value_array();
	if (!value_is(items, VALUE_ARRAY))
		return error_set(err, ERROR_INVALID, "the list has no items");
	*ret = (struct remote_page){ .items = items,
				     .revision = remote_revision(list),
				     .next = value_find_string(list, "metadata.continue") };
	return true;
}

bool remote_line_read(struct span line, struct arena *arena, struct remote_line *ret, struct error *err)
{
	static const struct {
		struct span type;
		enum remote_change change;
	} rows[] = {
		{ SPAN_INIT("ADDED"), REMOTE_PUT },    { SPAN_INIT("MODIFIED"), REMOTE_PUT },
		{ SPAN_INIT("DELETED"), REMOTE_DROP }, { SPAN_INIT("BOOKMARK"), REMOTE_BOOKMARK },
		{ SPAN_INIT("ERROR"), REMOTE_ERROR },
	};
	struct value *event = ARENA_NEW(arena, struct value, err);
	struct span type, text;
	size_t i = 0;

	if (!event || !value_parse(line, NULL, arena, event, err))
		return false;
	type = value_find_string(event, "type");
	while (i < ARRAY_LEN(rows) && !span_equal(rows[i].type, type))
		i++;
	ret->object = value_get(event, SPAN("object"));
	if (i == ARRAY_LEN(rows) || !value_is(ret->object, VALUE_OBJECT))
		return error_set(err, ERROR_INVALID, "the watch tells of a change '" SPAN_FMT "'", SPAN_ARG(type));
	ret->change = rows[i].change;
	ret->revision = remote_revision(ret->object);
	ret->error = (struct error){ 0 };
	if (ret->change == REMOTE_ERROR) {
		text = value_print(ret->object, arena, err);
		if (!text.ptr)
			return false;
		remote_status((int)value_find_int(ret->object, "code", 500), text, &ret->error);
	} else if (!ret->revision) {
		return error_set(err, ERROR_INVALID, "the watch tells of an object without resourceVersion");
	}
	return true;
}

/* ---- records ---- */

struct span remote_key(const struct resource *resource, struct span name_space, struct span name, struct arena *arena,
		       struct error *err)
{
	struct buffer text;
	struct span key;

	buffer_init(&text, KIB(8));
	buffer_print(&text, "/%s/%s/", *resource->group ? resource->group : "core", resource->plural);
	if (name_space.len || name.len) {
		buffer_append(&text, name_space.len ? name_space : SPAN("-"));
		buffer_byte(&text, '/');
		buffer_append(&text, name);
	}
	key = buffer_ok(&text, "the name", err) ? arena_copy(arena, buffer_span(&text), err) : (struct span){ 0 };
	buffer_done(&text);
	return key;
}

static bool is_name(struct span s)
{
	for (size_t i = 0; i < s.len; i++)
		if (s.ptr[i] == '/' || (unsigned char)s.ptr[i] <= ' ')
			return false;
	return true;
}

static struct span text_make(const struct resource *resource, const struct value *object, struct arena *arena,
			     struct error *err)
{
	struct value whole = value_object();
	struct span version = resource_api_version(resource, arena, err);

	if (!version.ptr || !value_set(&whole, SPAN("apiVersion"), value_string(version), arena, err) ||
	    !value_set(&whole, SPAN("kind"), value_string(span_of(resource->kind)), arena, err))
		return (struct span){ 0 };
	for (uint32_t i = 0; i < object->object.count; i++) {
		const struct value_member *m = &object->object.members[i];

		if (span_equal(m->key, SPAN("apiVersion")) || span_equal(m->key, SPAN("kind")))
			continue;
		if (!value_set(&whole, m->key, m->value, arena, err))
			return (struct span){ 0 };
	}
	return value_print(&whole, arena, err);
}

struct record *remote_record(const struct resource *resource, const struct value *object, struct arena *arena,
			     struct error *err)
{
	struct span name_space = value_find_string(object, "metadata.namespace"), key, text;
	struct span name = value_find_string(object, "metadata.name");
	size_t notes_bytes = 0;
	struct record *r;
	char *bytes;

	if (!value_is(object, VALUE_OBJECT) || !name.len || !is_name(name) || !is_name(name_space)) {
		error_set(err, ERROR_INVALID, "an object of %s has no name", resource->plural);
		return NULL;
	}
	key = remote_key(resource, name_space, name, arena, err);
	text = key.ptr ? text_make(resource, object, arena, err) : (struct span){ 0 };
	if (!text.ptr)
		return NULL;
	r = base_alloc(sizeof(*r) + key.len + text.len);
	bytes = (char *)(r + 1);
	memcpy(bytes, key.ptr, key.len);
	memcpy(bytes + key.len, text.ptr, text.len);
	*r = (struct record){ .key = span_from(bytes, key.len),
			      .text = span_from(bytes + key.len, text.len),
			      .revision = remote_revision(object),
			      .references = 1 };
	r->notes = notes_make(NULL, r, &notes_bytes);
	r->notes_bytes = (uint32_t)MIN(notes_bytes, UINT32_MAX);
	return r;
}

/* ---- errors ---- */

static enum error_code code_of(struct span reason, int status)
{
	/* What our table calls otherwise, or has under one number with another. */
	static const struct {
		struct span reason;
		enum error_code code;
	} rows[] = {
		{ SPAN_INIT("AlreadyExists"), ERROR_ALREADY_EXISTS },
		{ SPAN_INIT("Conflict"), ERROR_CONFLICT },
		{ SPAN_INIT("Expired"), ERROR_GONE },
		{ SPAN_INIT("Gone"), ERROR_GONE },
		{ SPAN_INIT("Invalid"), ERROR_INVALID },
		{ SPAN_INIT("NotFound"), ERROR_NOT_FOUND },
		{ SPAN_INIT("ServerTimeout"), ERROR_UNAVAILABLE },
		{ SPAN_INIT("Timeout"), ERROR_TIMEOUT },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		if (span_equal(rows[i].reason, reason))
			return rows[i].code;
	if (status == 422)
		return ERROR_INVALID;
	if (status == 409)
		return ERROR_CONFLICT;
	for (int code = ERROR_NONE + 1; code < ERROR_COUNT; code++)
		if (error_http((enum error_code)code) == status)
			return (enum error_code)code;
	return status < 500 ? ERROR_INVALID : ERROR_UNAVAILABLE;
}

void remote_status(int status, struct span body, struct error *err)
{
	struct error ignored = { 0 };
	struct span message, reason = { 0 };
	struct arena arena;
	struct value v;

	arena_init(&arena, MIB(1));
	if (value_parse(body, NULL, &arena, &v, &ignored) &&
	    span_equal(value_find_string(&v, "kind"), SPAN("Status"))) {
		reason = value_find_string(&v, "reason");
		message = value_find_string(&v, "message");
	} else {
		message = span_first(span_trim(body), 200); /* a proxy in between has words of its own */
	}
	error_set(err, code_of(reason, status), "%.*s", (int)MIN(message.len, sizeof(err->message) - 1),
		  message.len ? message.ptr : "");
	if (!message.len)
		error_set(err, err->code, "the API server answered %d", status);
	arena_done(&arena);
}
