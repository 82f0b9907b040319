/* SPDX-License-Identifier: Apache-2.0 */
/* plan_find - the route for a request: a hash for each name that its host has, one for each prefix of its path. */
#include "gateway/plan_table.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <stdlib.h>

#include "base/ascii.h"
#include "net/request.h"

enum {
	HOST_MOST = 253,  /* RFC 1035 */
	TEXT_MOST = 8192, /* of a query parameter that a regex looks at */
};

/* Where a prefix of the path may end. */
struct boundary {
	uint32_t len;
	uint64_t hash;
};

struct asked {
	const struct request *req;
	const struct plan_table *table;
	struct span path; /* with the escapes undone that say nothing else */
	bool is_grpc, has_exact;
	uint64_t exact_hash;
	struct boundary boundaries[PLAN_SEGMENTS_MOST + 1];
	size_t boundary_count;
};

/* ---- regexes ---- */

struct regex {
	pcre2_code *code;
	pcre2_match_context *limits;
};

void *plan_regex_new(struct span text, struct error *err)
{
	struct regex *r;
	PCRE2_SIZE at;
	pcre2_code *code;
	int number;

	if (text.len > PLAN_PATH_MOST) {
		error_set(err, ERROR_INVALID, "a regex has %zu bytes: %d are allowed", text.len, PLAN_PATH_MOST);
		return NULL;
	}
	code =
	    pcre2_compile((PCRE2_SPTR)(text.ptr ? text.ptr : ""), text.len,
			  PCRE2_ANCHORED | PCRE2_ENDANCHORED | PCRE2_NEVER_UTF | PCRE2_NEVER_UCP | PCRE2_DOLLAR_ENDONLY,
			  &number, &at, NULL);
	if (!code) {
		char words[128] = "";

		(void)pcre2_get_error_message(number, (PCRE2_UCHAR *)words, sizeof(words));
		error_set(err, ERROR_INVALID, "the regex '" SPAN_FMT "' cannot be read: %s at its byte %zu",
			  SPAN_ARG(text), words, at);
		return NULL;
	}
	r = base_alloc(sizeof(*r));
	r->code = code;
	r->limits = pcre2_match_context_create(NULL);
	ASSERT(r->limits);
	pcre2_set_match_limit(r->limits, PLAN_REGEX_STEPS);
	pcre2_set_depth_limit(r->limits, PLAN_REGEX_STEPS);
	return r;
}

void plan_regex_free(void *regex)
{
	struct regex *r = regex;

	if (!r)
		return;
	pcre2_match_context_free(r->limits);
	pcre2_code_free(r->code);
	free(r);
}

bool regex_takes(const void *regex, struct span text)
{
	const struct regex *r = regex;
	pcre2_match_data *data = pcre2_match_data_create(1, NULL);
	int found;

	ASSERT(data);
	found = pcre2_match(r->code, (PCRE2_SPTR)(text.ptr ? text.ptr : ""), text.len, 0, 0, data, r->limits);
	pcre2_match_data_free(data);
	return found >= 0;
}

/* ---- the path ---- */

/* The byte that the escape at s[i] says; -1: none is there. */
static int escaped(struct span s, size_t i)
{
	int high = s.ptr[i] == '%' && i + 2 < s.len ? ascii_hex_value(s.ptr[i + 1]) : -1;
	int low = high >= 0 ? ascii_hex_value(s.ptr[i + 2]) : -1;

	return low >= 0 ? high << 4 | low : -1;
}

static bool is_unreserved(int c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '.' ||
	       c == '_' || c == '~';
}

/* How many bytes of the text stand for its next one. */
static size_t step(struct span s, size_t i)
{
	return s.ptr[i] == '%' && is_unreserved(escaped(s, i)) ? 3 : 1;
}

static struct span path_normal(const struct request *req)
{
	struct error ignored = { 0 };
	struct span path = req->path;
	size_t len = 0;
	char *to;

	if (LIKELY(span_index(path, '%') == path.len))
		return path;
	/* The arena is the request's own, and what is cut from it ends with it. */
	to = arena_alloc((struct arena *)&req->arena, path.len, &ignored);
	if (!to)
		return path;
	for (size_t i = 0; i < path.len; i += step(path, i))
		to[len++] = step(path, i) == 3 ? (char)escaped(path, i) : path.ptr[i];
	return span_from(to, len);
}

/* Of the path as it was sent, what stands for the first `len` bytes of the normal one. */
static size_t sent_length(const struct asked *a, size_t len)
{
	struct span sent = a->req->path;
	size_t at = 0;

	if (sent.ptr == a->path.ptr)
		return len;
	for (; len; len--)
		at += step(sent, at);
	return at;
}

static void path_walk(struct asked *a)
{
	const struct plan_table *t = a->table;
	size_t end = MIN(a->path.len, (size_t)t->path_most);
	uint64_t hash = TEXT_HASH_BEGIN;

	a->boundaries[a->boundary_count++] = (struct boundary){ 0, hash };
	for (size_t i = 0; i < end; i++) {
		if (i && a->path.ptr[i] == '/' && i <= t->prefix_most && a->boundary_count <= PLAN_SEGMENTS_MOST)
			a->boundaries[a->boundary_count++] = (struct boundary){ (uint32_t)i, hash };
		hash = text_hash_byte(hash, a->path.ptr[i]);
	}
	if (end && end <= t->prefix_most && (end == a->path.len || a->path.ptr[end] == '/') &&
	    a->boundary_count <= PLAN_SEGMENTS_MOST)
		a->boundaries[a->boundary_count++] = (struct boundary){ (uint32_t)end, hash };
	a->has_exact = end == a->path.len;
	a->exact_hash = hash;
}

/* ---- what else a row wants ---- */

static bool text_takes(const struct plan_text_match *m, struct span value)
{
	return m->how == TEXT_PRESENT ||
	       (m->how == TEXT_EXACT ? span_equal(m->value, value) : regex_takes(m->regex, value));
}

static bool headers_take(const struct row *row, const struct request *req)
{
	for (size_t i = 0; i < row->match.header_count; i++) {
		struct span value = request_header(req, row->match.headers[i].name);

		if (!value.ptr || !text_takes(&row->match.headers[i], value))
			return false;
	}
	return true;
}

/* The next byte of a form's text, which may not be at its end. */
static char form_byte(struct span s, size_t *at)
{
	int c = escaped(s, *at);
	char plain = s.ptr[*at] == '+' ? ' ' : s.ptr[*at];

	*at += c >= 0 ? 3 : 1;
	return c >= 0 ? (char)c : plain;
}

static bool form_equal(struct span coded, struct span plain)
{
	size_t at = 0, i = 0;

	while (at < coded.len && i < plain.len && form_byte(coded, &at) == plain.ptr[i])
		i++;
	return at == coded.len && i == plain.len;
}

static bool query_value_takes(const struct plan_text_match *m, struct span coded)
{
	char text[TEXT_MOST];
	size_t len = 0;

	if (m->how != TEXT_REGEX)
		return m->how == TEXT_PRESENT || form_equal(coded, m->value);
	for (size_t at = 0; at < coded.len; text[len++] = form_byte(coded, &at))
		if (len == sizeof(text))
			return false;
	return regex_takes(m->regex, span_from(text, len));
}

/* The first parameter of that name counts. */
static bool query_takes(const struct plan_text_match *m, struct span rest)
{
	while (rest.len) {
		struct span value = span_cut(&rest, '&'), name = span_cut(&value, '=');

		if (form_equal(name, m->name))
			return query_value_takes(m, value);
	}
	return false;
}

static bool row_takes(const struct row *row, const struct asked *a)
{
	const struct plan_match *m = &row->match;

	if ((m->is_grpc && !a->is_grpc) || (m->method.len && !span_equal(m->method, a->req->method_text)))
		return false;
	if (!headers_take(row, a->req))
		return false;
	for (size_t i = 0; i < m->query_count; i++)
		if (!query_takes(&m->queries[i], a->req->query))
			return false;
	return true;
}

/* ---- cells ---- */

static const struct row *rows_find(struct row *const *rows, uint32_t count, const struct asked *a)
{
	for (uint32_t i = 0; i < count; i++)
		if (row_takes(rows[i], a))
			return rows[i];
	return NULL;
}

static const struct row *cell_row(const struct cell *c, const struct asked *a)
{
	const struct row *row = rows_find(c->rows, c->count, a), *by_value = NULL;
	const struct cell *values;
	struct span value;

	if (LIKELY(!c->index_name.len))
		return row;
	value = request_header(a->req, c->index_name);
	values = value.ptr ? cell_find(a->table, text_hash(value), c->id, CELL_VALUE, value) : NULL;
	if (values)
		by_value = rows_find(values->rows, values->count, a);
	return by_value && (!row || by_value->rank < row->rank) ? by_value : row;
}

/* A regex before the prefixes that are no longer than it; *next goes on. */
static const struct row *regex_row(const struct cell *host, uint32_t *next, size_t least, const struct asked *a)
{
	while (*next < host->count && host->rows[*next]->match.path.len >= least) {
		const struct row *row = host->rows[(*next)++];

		if (row_takes(row, a) && regex_takes(row->match.regex, a->path))
			return row;
	}
	return NULL;
}

static const struct row *host_row(const struct cell *host, const struct asked *a, size_t *ret_prefix)
{
	const struct row *row = NULL;
	const struct cell *c;
	uint32_t next = 0;

	*ret_prefix = a->path.len;
	c = a->has_exact ? cell_find(a->table, a->exact_hash, host->id, CELL_EXACT, a->path) : NULL;
	if (c)
		row = cell_row(c, a);
	for (size_t i = a->boundary_count; !row && i > 0; i--) {
		const struct boundary *b = &a->boundaries[i - 1];

		if (b->len > host->prefix_most)
			continue;
		row = regex_row(host, &next, MAX(b->len, 1), a); /* "/" has a byte */
		c = row ? NULL : cell_find(a->table, b->hash, host->id, CELL_PREFIX, span_first(a->path, b->len));
		if (c)
			row = cell_row(c, a);
		if (c && row)
			*ret_prefix = b->len;
	}
	return row ? row : regex_row(host, &next, 0, a);
}

/* ---- hosts ---- */

/* In lower case, without port and last dot; empty: none that has a row. */
static struct span host_of(const struct request *req, char text[static HOST_MOST])
{
	struct span s = req->authority;
	size_t len = 0, at = 0;

	if (s.len && s.ptr[0] == '[')
		at = span_index(s, ']');
	while (at < s.len && s.ptr[at] != ':')
		at++;
	s = span_first(s, at);
	if (span_ends(s, SPAN(".")))
		s.len--;
	for (; len < s.len && len < HOST_MOST; len++)
		text[len] = s.ptr[len] >= 'A' && s.ptr[len] <= 'Z' ? (char)(s.ptr[len] + 'a' - 'A') : s.ptr[len];
	return len == s.len ? span_from(text, len) : (struct span){ 0 };
}

struct found {
	const struct row *row;
	size_t prefix;
	bool is_end;
};

static void host_try(const struct asked *a, enum cell_kind kind, struct span name, struct found *f)
{
	const struct cell *host = cell_find(a->table, text_hash(name), 0, kind, name);

	if (!host)
		return;
	f->row = host_row(host, a, &f->prefix);
	f->is_end = host->is_end;
}

static struct found hosts_find(const struct asked *a)
{
	struct found f = { 0 };
	char text[HOST_MOST];
	struct span host = host_of(a->req, text);
	bool is_first = true;

	if (host.len)
		host_try(a, CELL_HOST, host, &f);
	while (a->table->has_wildcards && host.len && !f.row && !f.is_end) {
		(void)span_cut(&host, '.');
		if (host.len && host.len <= a->table->host_most) {
			if (is_first)
				host_try(a, CELL_HOST_LABEL, host, &f);
			if (!f.row && !f.is_end)
				host_try(a, CELL_HOST_TAIL, host, &f);
		}
		is_first = false;
	}
	if (!f.row && !f.is_end)
		host_try(a, CELL_HOST_ANY, (struct span){ 0 }, &f);
	return f;
}

const struct plan_route *plan_find(const struct plan_table *t, const struct request *req, size_t *ret_prefix)
{
	struct asked a;
	struct found f;

	a.req = req;
	a.table = t;
	a.path = path_normal(req);
	a.is_grpc = span_starts(req->content_type, SPAN("application/grpc"));
	a.boundary_count = 0;
	path_walk(&a);
	f = hosts_find(&a);
	if (!f.row)
		return NULL;
	*ret_prefix = sent_length(&a, f.prefix);
	return f.row->route;
}

const struct plan_target *plan_choose(const struct plan_route *r, uint64_t random)
{
	uint64_t at;

	if (!r->weight_sum)
		return NULL;
	at = (uint64_t)(((unsigned __int128)random * r->weight_sum) >> 64);
	for (size_t i = 0; i < r->target_count; i++) {
		if (at < r->targets[i].weight)
			return &r->targets[i];
		at -= r->targets[i].weight;
	}
	return NULL;
}
