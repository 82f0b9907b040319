/* SPDX-License-Identifier: Apache-2.0 */
#include "workers/exposition.h"

#include <stdlib.h>

#include "base/number.h"

#define FAMILY_LIMIT MIB(64)

struct exposition_family {
	struct span name;
	uint64_t hash;
	bool has_help, has_type, has_unit;
	struct buffer head, samples;
};

struct reading {
	struct exposition *into;
	struct exposition_family *current; /* of the head lines before */
	struct span worker;
	const struct span *without;
	size_t without_count;
};

void exposition_init(struct exposition *e, bool is_openmetrics)
{
	*e = (struct exposition){ .is_openmetrics = is_openmetrics };
}

void exposition_done(struct exposition *e)
{
	for (size_t i = 0; i < e->count; i++) {
		buffer_done(&e->families[i].head);
		buffer_done(&e->families[i].samples);
	}
	free(e->families);
	*e = (struct exposition){ 0 };
}

static struct exposition_family *family_get(struct exposition *e, struct span name)
{
	uint64_t hash = span_hash(name);
	struct exposition_family *f;

	for (size_t i = 0; i < e->count; i++)
		if (e->families[i].hash == hash && span_equal(e->families[i].name, name))
			return &e->families[i];
	if (e->count == EXPOSITION_FAMILIES_MAX)
		return NULL;
	if (e->count == e->cap) {
		e->cap = e->cap ? 2 * e->cap : 64;
		e->families = base_realloc(e->families, e->cap * sizeof(*e->families));
	}
	f = &e->families[e->count++];
	*f = (struct exposition_family){ .name = name, .hash = hash };
	buffer_init(&f->head, FAMILY_LIMIT);
	buffer_init(&f->samples, FAMILY_LIMIT);
	return f;
}

static bool is_left_out(const struct reading *r, struct span name)
{
	for (size_t i = 0; i < r->without_count; i++)
		if (span_equal(r->without[i], name))
			return true;
	return false;
}

static bool is_name(struct span name)
{
	for (size_t i = 0; i < name.len; i++) {
		char c = name.ptr[i];

		if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c == ':' ||
		      (i > 0 && c >= '0' && c <= '9')))
			return false;
	}
	return name.len > 0;
}

static bool is_text(struct span line)
{
	for (size_t i = 0; i < line.len; i++)
		if ((unsigned char)line.ptr[i] < ' ' && line.ptr[i] != '\t')
			return false;
	return span_is_utf8(line);
}

static void put_line(struct buffer *to, struct span line)
{
	buffer_append(to, line);
	buffer_byte(to, '\n');
}

/* "# TYPE name counter" and its like; other comments are nobody's. */
static void read_comment(struct reading *r, struct span line)
{
	struct span rest = span_skip(line, 2), word = span_cut(&rest, ' '), name = span_cut(&rest, ' ');
	bool is_help = span_equal(word, SPAN("HELP")), is_type = span_equal(word, SPAN("TYPE"));
	struct exposition_family *f = r->current;
	bool *has;

	if (!is_help && !is_type && !span_equal(word, SPAN("UNIT")))
		return;
	r->current = NULL;
	if (!is_name(name) || is_left_out(r, name))
		return;
	if (!f || !span_equal(f->name, name))
		f = family_get(r->into, name);
	r->current = f;
	if (!f)
		return;
	has = is_help ? &f->has_help : is_type ? &f->has_type : &f->has_unit;
	if (!*has)
		put_line(&f->head, line);
	*has = true;
}

/* `name` is that of a sample of the family: the same, or with one of the tails that types have. */
static bool is_of_family(const struct exposition_family *f, struct span name)
{
	static const struct span tails[] = { SPAN_INIT(""),      SPAN_INIT("_total"), SPAN_INIT("_bucket"),
					     SPAN_INIT("_sum"),  SPAN_INIT("_count"), SPAN_INIT("_created"),
					     SPAN_INIT("_info"), SPAN_INIT("_gsum"),  SPAN_INIT("_gcount") };

	if (!f || !span_starts(name, f->name))
		return false;
	for (size_t i = 0; i < ARRAY_LEN(tails); i++)
		if (span_equal(span_skip(name, f->name.len), tails[i]))
			return true;
	return false;
}

/* The length of "{...}" at the start, past quoted values; 0 when it does not end. *ret_has: a label "worker" is there. */
static size_t labels_len(struct span s, bool *ret_has)
{
	bool is_quoted = false, is_start = true; /* of a label */

	for (size_t i = 1; i < s.len; i++) {
		char c = s.ptr[i];

		if (is_quoted && c == '\\')
			i++;
		else if (c == '"')
			is_quoted = !is_quoted;
		else if (!is_quoted && c == '}')
			return i + 1;
		if (is_start && span_starts(span_skip(s, i), SPAN("worker")) && i + 6 < s.len &&
		    strchr("= \t", s.ptr[i + 6]))
			*ret_has = true;
		is_start = !is_quoted && (c == ',' || (is_start && (c == ' ' || c == '\t')));
	}
	return 0;
}

static void put_sample(const struct reading *r, struct buffer *to, struct span name, struct span labels, bool is_told,
		       struct span rest)
{
	bool is_empty = labels.len <= 2;

	buffer_append(to, name);
	if (r->worker.len == 0 || is_told) {
		buffer_append(to, labels);
	} else {
		buffer_append(to, is_empty ? SPAN("{") : span_first(labels, labels.len - 1));
		buffer_append(to, is_empty ? SPAN("worker=\"") : SPAN(",worker=\""));
		buffer_append(to, r->worker);
		buffer_append(to, SPAN("\"}"));
	}
	put_line(to, rest);
}

/* One that is no number would make the reader refuse all of them. */
static bool has_value(struct span rest)
{
	double value;
	struct span word;

	if (rest.len == 0 || (rest.ptr[0] != ' ' && rest.ptr[0] != '\t'))
		return false;
	while (rest.len && (rest.ptr[0] == ' ' || rest.ptr[0] == '\t'))
		rest = span_skip(rest, 1);
	word = span_first(rest, MIN(span_index(rest, ' '), span_index(rest, '\t')));
	return number_parse_double(word, &value);
}

static void read_sample(struct reading *r, struct span line)
{
	struct span name = { line.ptr, 0 }, labels = { 0 }, rest;
	struct exposition_family *f = r->current;
	bool is_told = false;

	while (name.len < line.len && !strchr("{ \t", line.ptr[name.len]))
		name.len++;
	rest = span_skip(line, name.len);
	if (!is_name(name) || rest.len == 0)
		return;
	if (rest.ptr[0] == '{') {
		labels = span_first(rest, labels_len(rest, &is_told));
		rest = span_skip(rest, labels.len);
	}
	if (!has_value(rest))
		return;
	if (is_left_out(r, name))
		return;
	if (!is_of_family(f, name))
		f = r->current = family_get(r->into, name); /* the one before may have moved */
	if (f)
		put_sample(r, &f->samples, name, labels, is_told, rest);
}

void exposition_add(struct exposition *e, struct span text, struct span worker, const struct span *without,
		    size_t without_count)
{
	struct reading r = { e, NULL, worker, without, without_count };

	while (text.len) {
		struct span line = span_cut(&text, '\n');

		while (line.len && line.ptr[line.len - 1] == '\r')
			line.len--;
		if (!is_text(line))
			continue;
		if (span_equal(line, SPAN("# EOF")))
			break;
		if (span_starts(line, SPAN("# ")))
			read_comment(&r, line);
		else if (line.len && line.ptr[0] != '#')
			read_sample(&r, line);
	}
}

void exposition_write(const struct exposition *e, struct buffer *out)
{
	for (size_t i = 0; i < e->count; i++) {
		if (e->families[i].samples.len == 0)
			continue;
		buffer_append(out, buffer_span(&e->families[i].head));
		buffer_append(out, buffer_span(&e->families[i].samples));
	}
	if (e->is_openmetrics)
		buffer_append(out, SPAN("# EOF\n"));
}
