/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/csv.h"

#include <math.h>

#include "base/number.h"

#ifdef __SSE2__
#include <emmintrin.h>
#endif

#define BYTE_ORDER_MARK "\xEF\xBB\xBF"

void csv_init(struct csv *c, char separator)
{
	*c = (struct csv){ .at = "", .end = "", .separator = separator, .next_line = 1 };
	c->end = c->at;
}

void csv_block(struct csv *c, struct span block, bool is_last)
{
	c->at = block.len ? block.ptr : "";
	c->end = c->at + block.len;
	c->is_last = is_last;
	if (c->is_begun)
		return;
	if (span_starts(block, SPAN(BYTE_ORDER_MARK)))
		c->at += 3;
	/* A mark that is cut off comes again at the head of the next block. */
	c->is_begun = is_last || block.len >= 3 || !span_starts(SPAN(BYTE_ORDER_MARK), block);
}

static bool is_line_end(char c)
{
	return c == '\n' || c == '\r';
}

/* The first separator or line end at or behind `p`. */
static const char *find_field_end(const char *p, const char *end, char separator)
{
#ifdef __SSE2__
	const __m128i comma = _mm_set1_epi8(separator), lf = _mm_set1_epi8('\n'), cr = _mm_set1_epi8('\r');

	for (; end - p >= 16; p += 16) {
		__m128i bytes = _mm_loadu_si128((const __m128i *)(const void *)p);
		__m128i found = _mm_or_si128(_mm_cmpeq_epi8(bytes, comma),
					     _mm_or_si128(_mm_cmpeq_epi8(bytes, lf), _mm_cmpeq_epi8(bytes, cr)));
		unsigned mask = (unsigned)_mm_movemask_epi8(found);

		if (mask)
			return p + __builtin_ctz(mask);
	}
#endif
	while (p < end && *p != separator && !is_line_end(*p))
		p++;
	return p;
}

/* Behind the line end at `p`, if one stands there. */
static const char *skip_line_end(const char *p, const char *end)
{
	if (p < end && *p == '\r') {
		p++;
		return p < end && *p == '\n' ? p + 1 : p;
	}
	return p < end && *p == '\n' ? p + 1 : p;
}

static uint64_t count_lines(struct span text)
{
	uint64_t count = 0;

	for (size_t i = 0; i < text.len; i++)
		count += text.ptr[i] == '\n' || (text.ptr[i] == '\r' && !(i + 1 < text.len && text.ptr[i + 1] == '\n'));
	return count;
}

static void skip_empty_lines(struct csv *c)
{
	while (c->at < c->end && is_line_end(*c->at)) {
		/* The other half of a CRLF may be in the next block. */
		if (*c->at == '\r' && c->at + 1 == c->end && !c->is_last)
			return;
		c->at = skip_line_end(c->at, c->end);
		c->next_line++;
	}
}

/* What to answer when the block ends inside a record. */
static enum csv_result cut_off(const struct csv *c, struct error *err)
{
	if (c->end - c->at <= (ptrdiff_t)CSV_RECORD_MAX)
		return CSV_MORE;
	error_set(err, ERROR_TOO_LARGE, "CSV line %llu: the record is longer than %zu bytes",
		  (unsigned long long)c->next_line, CSV_RECORD_MAX);
	return CSV_FAILED;
}

/* ---- fields as text ---- */

/* One record under way. */
struct record {
	const char *p;  /* behind what was read */
	uint64_t lines; /* line ends inside quotes */
	struct arena *scratch;
};

static bool undouble(struct span text, struct arena *scratch, struct span *ret, struct error *err)
{
	char *out = arena_alloc(scratch, text.len, err);
	char *to = out;

	if (!out)
		return false;
	for (size_t i = 0; i < text.len; i++) {
		*to++ = text.ptr[i];
		i += text.ptr[i] == '"'; /* the second of two */
	}
	*ret = span_from(out, (size_t)(to - out));
	return true;
}

/* A quoted field at r->p. CSV_MORE when the block ends before what tells its end. */
static enum csv_result read_quoted(const struct csv *c, struct record *r, struct span *ret, struct error *err)
{
	const char *start = r->p + 1;
	const char *p = start;
	bool has_doubled = false;
	struct span text;

	for (;;) {
		p = memchr(p, '"', (size_t)(c->end - p));
		if (!p) {
			if (!c->is_last)
				return cut_off(c, err);
			error_set(err, ERROR_INVALID, "CSV line %llu: a quoted field has no closing quote",
				  (unsigned long long)c->next_line);
			return CSV_FAILED;
		}
		if (p + 1 == c->end || p[1] != '"')
			break;
		has_doubled = true;
		p += 2;
	}
	if (p + 1 == c->end && !c->is_last)
		return cut_off(c, err); /* a second quote may follow */
	if (p + 1 < c->end && p[1] != c->separator && !is_line_end(p[1])) {
		unsigned long long line = c->next_line;

		line += count_lines(span_from(start, (size_t)(p - start)));
		error_set(err, ERROR_INVALID,
			  "CSV line %llu: '%c' behind a closing quote, expected '%c' or the line's end", line,
			  p[1] >= ' ' && p[1] < 0x7F ? p[1] : '?', c->separator);
		return CSV_FAILED;
	}
	text = span_from(start, (size_t)(p - start));
	r->lines += count_lines(text);
	r->p = p + 1;
	if (!has_doubled)
		*ret = text;
	else if (!undouble(text, r->scratch, ret, err))
		return CSV_FAILED;
	return CSV_RECORD;
}

static enum csv_result read_field(const struct csv *c, struct record *r, struct span *ret, struct error *err)
{
	const char *end;

	if (r->p < c->end && *r->p == '"')
		return read_quoted(c, r, ret, err);
	end = find_field_end(r->p, c->end, c->separator);
	if (!c->is_last && (end == c->end || (*end == '\r' && end + 1 == c->end)))
		return cut_off(c, err);
	*ret = span_from(r->p, (size_t)(end - r->p));
	r->p = end;
	return CSV_RECORD;
}

enum csv_result csv_next(struct csv *c, struct span *fields, size_t max, size_t *ret_count, struct arena *scratch,
			 struct error *err)
{
	struct record r = { .scratch = scratch };
	size_t count = 0;

	skip_empty_lines(c);
	if (c->at == c->end)
		return c->is_last ? CSV_END : CSV_MORE;
	max = MIN(max, (size_t)CSV_FIELDS_MAX);
	r.p = c->at;
	for (;;) {
		enum csv_result result;

		if (count == max) {
			error_set(err, ERROR_INVALID, "CSV line %llu: more than %zu fields",
				  (unsigned long long)c->next_line, max);
			return CSV_FAILED;
		}
		result = read_field(c, &r, &fields[count], err);
		if (result != CSV_RECORD)
			return result;
		count++;
		if (r.p == c->end || *r.p != c->separator)
			break;
		r.p++;
	}
	/* A quoted field may end with the block's last CR. */
	if (!c->is_last && (r.p == c->end || (*r.p == '\r' && r.p + 1 == c->end)))
		return cut_off(c, err);
	c->at = skip_line_end(r.p, c->end);
	c->line = c->next_line;
	c->next_line += r.lines + 1;
	*ret_count = count;
	return CSV_RECORD;
}

/* ---- fields as numbers ---- */

/* Where the last whole line of the block ends; c->at when there is none. */
static const char *whole_lines_end(const struct csv *c)
{
	const char *lf, *p;

	if (c->is_last)
		return c->end;
	lf = c->at < c->end ? memrchr(c->at, '\n', (size_t)(c->end - c->at)) : NULL;
	if (lf)
		return lf + 1;
	/* Bare CRs; one at the very end may be half of a CRLF. */
	for (p = c->end - 1; p > c->at; p--)
		if (p[-1] == '\r')
			return p;
	return c->at;
}

static bool is_missing(struct span text)
{
	return text.len == 0 || span_equal_ignore_case(text, SPAN("na")) || span_equal_ignore_case(text, SPAN("nan")) ||
	       span_equal_ignore_case(text, SPAN("null"));
}

/* A field that is not a plain number followed by what ends it: quoted, missing, with space around, or wrong. */
static __attribute__((noinline)) const char *read_odd_number(const struct csv *c, const char *p, const char *end,
							     size_t column, float *ret, struct error *err)
{
	const char *after = find_field_end(p, end, c->separator);
	struct span text = span_trim(span_from(p, (size_t)(after - p)));
	const char *text_end;

	if (text.len >= 2 && text.ptr[0] == '"' && text.ptr[text.len - 1] == '"')
		text = span_trim(span_from(text.ptr + 1, text.len - 2));
	text_end = text.ptr + text.len;
	if (is_missing(text)) {
		*ret = NAN;
		return after;
	}
	if (number_scan_float(text.ptr, text_end, ret) == text_end)
		return after;
	error_set(err, ERROR_INVALID, "CSV line %llu, column %zu: expected a number, found '" SPAN_FMT "'",
		  (unsigned long long)c->next_line, column + 1, SPAN_ARG(text));
	return NULL;
}

static __attribute__((cold)) bool wrong_width(const struct csv *c, const char *p, const char *end, size_t column,
					      size_t columns, struct error *err)
{
	size_t count = column + 1;

	for (; p < end && !is_line_end(*p); p++)
		count += *p == c->separator;
	return error_set(err, ERROR_INVALID, "CSV line %llu: %zu fields, expected %zu",
			 (unsigned long long)c->next_line, count, columns);
}

/* One record at c->at, which is whole: the block's rest ends with it or goes on behind. */
static inline __attribute__((always_inline)) bool read_row(struct csv *c, const char *end, size_t columns,
							   float *values, struct error *err)
{
	const char separator = c->separator;
	const char *p = c->at;

	for (size_t column = 0; column < columns; column++) {
		bool is_last = column + 1 == columns;
		const char *after;

		/* Flags and small counts: one digit, and what ends it. */
		if (end - p >= 2 && (p[1] == separator || is_line_end(p[1])) && (unsigned char)(p[0] - '0') <= 9) {
			values[column] = (float)(p[0] - '0');
			after = p + 1;
		} else {
			after = number_scan_float(p, end, &values[column]);
		}
		if (LIKELY(after != NULL && after < end)) {
			if (!is_last && *after == separator) {
				p = after + 1;
				continue;
			}
			if (is_last && is_line_end(*after)) {
				p = after;
				break;
			}
		}
		p = read_odd_number(c, p, end, column, &values[column], err);
		if (!p)
			return false;
		if (is_last ? p < end && *p == separator : p == end || *p != separator)
			return wrong_width(c, p, end, column, columns, err);
		p += !is_last;
	}
	c->at = skip_line_end(p, end);
	c->line = c->next_line++;
	return true;
}

enum csv_result csv_numbers(struct csv *c, size_t columns, float *values, size_t max_rows, size_t *ret_rows,
			    struct error *err)
{
	const char *end = whole_lines_end(c);
	size_t rows = 0;

	ASSERT(columns > 0);
	*ret_rows = 0;
	for (;;) {
		skip_empty_lines(c);
		if (c->at >= end)
			break;
		if (rows == max_rows)
			return CSV_RECORD;
		if (UNLIKELY(!read_row(c, end, columns, values + rows * columns, err)))
			return CSV_FAILED;
		*ret_rows = ++rows;
	}
	if (c->is_last)
		return CSV_END;
	return cut_off(c, err);
}

/* ---- writing ---- */

void csv_write_field(struct buffer *out, struct span field, char separator)
{
	const char *end = field.ptr + field.len;
	bool must_quote = field.len > 0 && (find_field_end(field.ptr, end, separator) != end ||
					    memchr(field.ptr, '"', field.len) != NULL);

	if (!must_quote) {
		buffer_append(out, field);
		return;
	}
	buffer_byte(out, '"');
	while (field.len) {
		size_t i = span_index(field, '"');

		buffer_append(out, span_first(field, i));
		if (i < field.len) {
			buffer_append(out, SPAN("\"\""));
			i++;
		}
		field = span_skip(field, i);
	}
	buffer_byte(out, '"');
}
