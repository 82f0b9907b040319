/* SPDX-License-Identifier: Apache-2.0 */
/* read - get and list: the stored texts as they are, wherever that is what was asked for. */
#include "kube/kube_private.h"

#include "kube/crd/convert.h"
#include "kube/crd/crd.h"
#include "kube/go_words.h"
#include "wire/base64.h"

#include <stdio.h>
#include <stdlib.h>

enum { TOKEN_BYTES_MOST = 4096 };

/* ---- one record ---- */

static struct span version_of_kind(const struct kind *kind, struct arena *arena, struct error *err)
{
	return kind->group[0] ? arena_print(arena, err, "%s/%s", kind->group, kind->version) : span_of(kind->version);
}

bool reads_as_stored(const struct kind *kind, const struct record *r)
{
	return !kind->stored_as && custom_is_current(kind, r);
}

/* Was the text written by this version of the kind? change.c puts kind and apiVersion first. */
static bool is_of_version(const struct kind *kind, struct span text)
{
	static const struct span head = SPAN_INIT("{\"kind\":\""), middle = SPAN_INIT("\",\"apiVersion\":\"");
	struct span name = span_of(kind->kind), group = span_of(kind->group), version = span_of(kind->version);
	struct span parts[] = { head, name, middle, group, group.len ? SPAN("/") : SPAN(""), version, SPAN("\"") };

	for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
		if (!span_starts(text, parts[i]))
			return false;
		text = span_skip(text, parts[i].len);
	}
	return true;
}

bool record_is_of_version(const struct kind *kind, const struct record *r)
{
	return is_of_version(kind, r->text);
}

struct value *record_object(const struct kind *kind, const struct record *r, struct arena *arena, struct error *err)
{
	struct value *v = ARENA_NEW(arena, struct value, err);
	struct span version, text = r->text;

	if (convert_is_needed(kind, r)) {
		text = convert_find(kind, r);
		if (!text.ptr) {
			error_set(err, ERROR_INTERNAL, "the object has not been converted by the webhook of its kind");
			return NULL;
		}
	}
	if (!v || !value_parse(text, NULL, arena, v, err))
		return NULL;
	if (kind->stored_as && kind->from_stored && !kind->from_stored(v, arena, err))
		return NULL;
	if (kind->is_custom)
		return (custom_is_current(kind, r) && is_of_version(kind, r->text)) ||
			       custom_from_stored(kind, v, arena, err)
			   ? v
			   : NULL;
	if (!kind->stored_as && !is_of_version(kind, r->text)) {
		version = version_of_kind(kind, arena, err);
		if (!version.ptr || !value_set(v, SPAN("kind"), value_string(span_of(kind->kind)), arena, err) ||
		    !value_set(v, SPAN("apiVersion"), value_string(version), arena, err))
			return NULL;
	}
	return v;
}

struct span record_text(struct call *call, const struct record *r, struct error *err)
{
	const struct kind *kind = call->base.kind;
	struct value *v;

	if (reads_as_stored(kind, r) && is_of_version(kind, r->text))
		return r->text;
	v = record_object(kind, r, &call->arena, err);
	return v ? value_print(v, &call->arena, err) : (struct span){ 0 };
}

/* False: answered. */
static bool is_not_of_the_future(struct call *call, int64_t version)
{
	int64_t current = store_revision(call->base.kube->config.store);
	struct error ignored = { 0 };
	struct cause *cause;
	struct status s = { .code = 504, .reason = "Timeout", .has_details = true, .retry_seconds = 1 };

	if (version <= current)
		return true;
	cause = ARENA_NEW(&call->arena, struct cause, &ignored);
	if (cause)
		*cause = (struct cause){ .reason = "ResourceVersionTooLarge",
					 .message = SPAN("Too large resource version") };
	s.causes = cause;
	s.message = arena_print(&call->arena, &ignored, "Timeout: Too large resource version: %lld, current: %lld",
				(long long)version, (long long)current);
	answer_status(call, &s);
	return false;
}

void read_get(struct call *call)
{
	struct kube *k = call->base.kube;
	struct span key = kube_key(call->base.kind, call->base.name_space, call->base.name, &call->arena), text;
	struct record *r = key.ptr ? store_get(k->config.store, key) : NULL;
	struct error err = { 0 };

	if (!is_not_of_the_future(call, call->options.version))
		return;
	if (!r) {
		answer_not_found(call);
		return;
	}
	if (!convert_ready(call, &r, 1))
		return;
	text = record_text(call, r, &err);
	if (text.ptr)
		answer_text(call, 200, text);
	else
		answer_error(call, &err);
}

/* ---- continue tokens ---- */

/* {"v":"meta.k8s.io/v1","rv":N,"start":"name\u0000"}, in base64 for URLs without padding. */
static struct span token_make(struct call *call, int64_t revision, struct span start)
{
	struct error ignored = { 0 };
	struct buffer json;
	struct json_writer w;
	struct span token = { 0 };

	buffer_init(&json, TOKEN_BYTES_MOST);
	w = json_writer(&json);
	json_open_object(&w);
	json_key(&w, SPAN("v"));
	json_string(&w, SPAN("meta.k8s.io/v1"));
	json_key(&w, SPAN("rv"));
	json_int64(&w, revision);
	json_key(&w, SPAN("start"));
	json_string(&w, start);
	json_close_object(&w);
	if (!json.overflow) {
		struct buffer text;

		buffer_init(&text, (size_t)2 * TOKEN_BYTES_MOST);
		base64_write(&text, buffer_span(&json));
		while (text.len && text.ptr[text.len - 1] == '=')
			text.len--;
		for (size_t i = 0; i < text.len; i++)
			text.ptr[i] = text.ptr[i] == '+' ? '-' : text.ptr[i] == '/' ? '_' : text.ptr[i];
		token = arena_copy(&call->arena, buffer_span(&text), &ignored);
		buffer_done(&text);
	}
	buffer_done(&json);
	return token;
}

/* Bits behind the last whole byte count for nothing where the real server reads a token. */
static struct span token_round(struct call *call, struct span token)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
	struct error ignored = { 0 };
	struct span made = arena_copy(&call->arena, token, &ignored);
	const char *at = made.len % 4 >= 2 ? memchr(digits, made.ptr[made.len - 1], 64) : NULL;

	if (at)
		((char *)made.ptr)[made.len - 1] = digits[(at - digits) & (made.len % 4 == 2 ? 0x30 : 0x3c)];
	return made;
}

static bool token_refuse(struct error *err, const char *why)
{
	*err = (struct error){ 0 };
	return error_set(err, ERROR_INVALID, "invalid continue token: %s", why);
}

static bool token_read(struct call *call, int64_t *ret_revision, struct span *ret_start, struct error *err)
{
	struct span token = call->options.continue_token, text = { 0 };
	char fault[GO_WORDS_SIZE] = "it is too long", why[GO_WORDS_SIZE + 32];
	struct value v;
	bool is_text =
	    token.len <= TOKEN_BYTES_MOST && (base64_read(token, &call->arena, &text, err) ||
					      base64_read(token_round(call, token), &call->arena, &text, err));

	if (!is_text || !value_parse(text, NULL, &call->arena, &v, err)) {
		if (token.len <= TOKEN_BYTES_MOST && !go_json_fault(text, fault))
			(void)snprintf(fault, sizeof(fault), "%.100s", err->message);
		(void)snprintf(why, sizeof(why), "continue key is not valid: %s", fault);
		return token_refuse(err, why);
	}
	if (!span_equal(get_string(&v, "v"), SPAN("meta.k8s.io/v1"))) {
		(void)snprintf(why, sizeof(why), "server does not recognize this encoded version \"%.*s\"",
			       (int)MIN(get_string(&v, "v").len, 32), get_string(&v, "v").ptr);
		return token_refuse(err, why);
	}
	if (value_find_int(&v, "rv", 0) <= 0)
		return token_refuse(err, "continue key is not valid: incorrect encoded start resourceVersion (version "
					 "meta.k8s.io/v1)");
	if (!get_string(&v, "start").len)
		return token_refuse(err, "continue key is not valid: encoded start key empty (version meta.k8s.io/v1)");
	*ret_revision = value_find_int(&v, "rv", 0);
	*ret_start = get_string(&v, "start");
	return true;
}

/* ---- lists ---- */

struct listing {
	struct call *call;
	struct span prefix, start;
	int64_t revision;
	const struct record **records;
	size_t count, capacity, bytes, rest;
	bool has_more;
};

static bool listing_add(void *context, struct record *r)
{
	struct listing *l = context;
	int64_t limit = l->call->options.limit;

	if (limit > 0 && l->count >= (size_t)limit) {
		l->has_more = true;
		l->rest++;
		/* Only lists without selectors tell how many are left. */
		return selectors_are_empty(&l->call->selectors);
	}
	if (!selectors_match(&l->call->selectors, l->call->base.kind, r))
		return true;
	if (l->count == l->capacity) {
		l->capacity = l->capacity ? 2 * l->capacity : 64;
		l->records = base_realloc(l->records, l->capacity * sizeof(*l->records));
	}
	l->records[l->count++] = r;
	l->bytes += r->text.len + 1;
	return true;
}

static void put_metadata(struct listing *l, struct buffer *out)
{
	struct error ignored = { 0 };

	buffer_print(out, "\"metadata\":{\"resourceVersion\":\"%lld\"", (long long)l->revision);
	if (!(l->has_more && l->count) && l->call->base.kind->is_custom && l->call->form == FORM_OBJECT)
		buffer_append(out, SPAN(",\"continue\":\"\""));
	if (l->has_more && l->count) {
		struct span key = l->records[l->count - 1]->key, last = span_skip(key, l->prefix.len), start, token;
		char *text = arena_alloc(&l->call->arena, last.len + 1, &ignored);

		if (text) {
			memcpy(text, last.ptr, last.len);
			text[last.len] = '\0';
			start = span_from(text, last.len + 1);
			token = token_make(l->call, l->revision, start);
			buffer_append(out, SPAN(",\"continue\":\""));
			buffer_append(out, token);
			buffer_byte(out, '"');
		}
		if (selectors_are_empty(&l->call->selectors))
			buffer_print(out, ",\"remainingItemCount\":%zu", l->rest);
	}
	buffer_byte(out, '}');
}

static void put_item(struct listing *l, const struct record *r, struct buffer *out, struct error *err)
{
	const struct kind *kind = l->call->base.kind;
	const struct notes *n = notes_of(r);
	struct span text;

	/* Items of built-in kinds have no kind and apiVersion of their own. */
	if (!kind->is_custom && !kind->stored_as && n && n->list_text.ptr && is_of_version(kind, r->text)) {
		buffer_byte(out, '{');
		buffer_append(out, n->list_text);
		return;
	}
	text = record_text(l->call, r, err);
	buffer_append(out, text);
}

static bool put_objects(struct listing *l, struct buffer *out, struct error *err)
{
	const struct kind *kind = l->call->base.kind;

	(void)buffer_reserve(out, l->bytes + KIB(1));
	buffer_print(out, "{\"kind\":\"%s%s\",\"apiVersion\":\"%s%s%s\",",
		     kind->list_kind ? kind->list_kind : kind->kind, kind->list_kind ? "" : "List", kind->group,
		     kind->group[0] ? "/" : "", kind->version);
	put_metadata(l, out);
	buffer_append(out, SPAN(",\"items\":["));
	for (size_t i = 0; i < l->count; i++) {
		if (i)
			buffer_byte(out, ',');
		put_item(l, l->records[i], out, err);
		if (err->code)
			return false;
	}
	buffer_append(out, SPAN("]}\n"));
	return buffer_ok(out, "the list", err);
}

static bool put_rows(struct listing *l, struct buffer *out, struct error *err)
{
	const struct kind *kind = l->call->base.kind;
	bool is_table = l->call->form == FORM_TABLE;
	struct json_writer w;
	struct arena arena;

	if (is_table)
		buffer_print(out, "{\"kind\":\"Table\",\"apiVersion\":\"%s\",", form_api_version(l->call));
	else
		buffer_print(out, "{\"kind\":\"PartialObjectMetadataList\",\"apiVersion\":\"%s\",",
			     form_api_version(l->call));
	put_metadata(l, out);
	buffer_byte(out, ',');
	w = json_writer(out);
	if (is_table) {
		table_columns(kind, &w);
		buffer_append(out, SPAN(",\"rows\":["));
	} else {
		buffer_append(out, SPAN("\"items\":["));
	}
	w.comma = false;
	arena_init(&arena, MIB(64));
	for (size_t i = 0; i < l->count && !err->code; i++) {
		struct value *v = record_object(kind, l->records[i], &arena, err);

		if (v && is_table)
			(void)table_row(l->call, kind, v, &w, &arena, err);
		else if (v)
			(void)partial_write(v, &w);
		arena_clear(&arena);
	}
	arena_done(&arena);
	buffer_append(out, SPAN("]}\n"));
	return !err->code && buffer_ok(out, "the list", err);
}

/* Where and when the list is read. False: answered. */
static bool listing_place(struct listing *l)
{
	struct call *call = l->call;
	struct options *o = &call->options;
	struct span suffix;
	struct error err = { 0 };
	char *start;

	l->revision = 0;
	if (o->continue_token.len) {
		if (o->resource_version.len && !span_equal(o->resource_version, SPAN("0"))) {
			answer_message(call, 400, "BadRequest",
				       "specifying resource version is not allowed when using continue");
			return false;
		}
		if (!token_read(call, &l->revision, &suffix, &err)) {
			answer_error(call, &err);
			return false;
		}
		start = arena_alloc(&call->arena, l->prefix.len + suffix.len, &err);
		if (!start) {
			answer_error(call, &err);
			return false;
		}
		memcpy(start, l->prefix.ptr, l->prefix.len);
		memcpy(start + l->prefix.len, suffix.ptr, suffix.len);
		l->start = span_from(start, l->prefix.len + suffix.len);
		return true;
	}
	if (!is_not_of_the_future(call, o->version))
		return false;
	/* A limit with a version and no match reads exactly that version, as the real server does. */
	if (o->match == MATCH_EXACT || (o->match == MATCH_UNSAID && o->limit > 0 && o->version > 0))
		l->revision = o->version;
	return true;
}

static void answer_compacted(struct call *call)
{
	if (call->options.continue_token.len)
		answer_message(
		    call, 410, "Expired",
		    "The provided continue parameter is too old to display a consistent list result. You can start "
		    "a new list without the continue parameter.");
	else
		answer_message(call, 410, "Expired", "The resourceVersion for the provided list is too old.");
}

void read_list(struct call *call)
{
	struct kube *k = call->base.kube;
	struct listing l = { .call = call };
	struct error err = { 0 };
	bool good;

	l.prefix = kube_key(call->base.kind, call->base.name_space, (struct span){ 0 }, &call->arena);
	if (call->form == FORM_PARTIAL) {
		answer_message(call, 406, "NotAcceptable",
			       "you requested PartialObjectMetadata, but the requested object is a list (*%s.%sList)",
			       call->base.kind->group[0] ? call->base.kind->group : "core", call->base.kind->kind);
		return;
	}
	if (!listing_place(&l))
		return;
	if (!store_list(k->config.store, l.prefix, l.start, l.revision, listing_add, &l, &err)) {
		free(l.records);
		if (err.code == ERROR_GONE)
			answer_compacted(call);
		else
			answer_error(call, &err);
		return;
	}
	if (!l.revision)
		l.revision = store_revision(k->config.store);
	if (!call->base.req) {
		free(l.records);
		answer_out(call, 200);
		return;
	}
	if (call->base.kind->is_custom && !convert_ready(call, (struct record *const *)(uintptr_t)l.records, l.count)) {
		free(l.records);
		return;
	}
	good = call->form == FORM_OBJECT ? put_objects(&l, &call->base.req->out, &err)
					 : put_rows(&l, &call->base.req->out, &err);
	free(l.records);
	if (good) {
		answer_out(call, 200);
		return;
	}
	buffer_clear(&call->base.req->out);
	answer_error(call, &err);
}
