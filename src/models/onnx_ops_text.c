/* SPDX-License-Identifier: Apache-2.0 */
/* Text: StringNormalizer, com.microsoft's Tokenizer, TfIdfVectorizer. */
#include "models/onnx.h"

/* ---- upper and lower case ---- */

/* Runs of capitals and the distance to their small letters (UnicodeData.txt): Latin, Greek, Cyrillic, Armenian. `every`
 * is 2 where capitals and small letters take turns. */
static const struct {
	uint32_t first, last, every, distance;
} cases[] = {
	{ 'A', 'Z', 1, 32 },     { 0xC0, 0xD6, 1, 32 },    { 0xD8, 0xDE, 1, 32 },    { 0x100, 0x12E, 2, 1 },
	{ 0x132, 0x136, 2, 1 },  { 0x139, 0x147, 2, 1 },   { 0x14A, 0x176, 2, 1 },   { 0x179, 0x17D, 2, 1 },
	{ 0x386, 0x386, 1, 38 }, { 0x388, 0x38A, 1, 37 },  { 0x38C, 0x38C, 1, 64 },  { 0x38E, 0x38F, 1, 63 },
	{ 0x391, 0x3A1, 1, 32 }, { 0x3A3, 0x3AB, 1, 32 },  { 0x400, 0x40F, 1, 80 },  { 0x410, 0x42F, 1, 32 },
	{ 0x460, 0x480, 2, 1 },  { 0x48A, 0x4BE, 2, 1 },   { 0x4C1, 0x4CD, 2, 1 },   { 0x4D0, 0x52E, 2, 1 },
	{ 0x531, 0x556, 1, 48 }, { 0x1E00, 0x1E94, 2, 1 }, { 0x1EA0, 0x1EFE, 2, 1 },
};

static uint32_t lower(uint32_t c)
{
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		if (c >= cases[i].first && c <= cases[i].last && (c - cases[i].first) % cases[i].every == 0)
			return c + cases[i].distance;
	return c == 0x178 ? 0xFF : c;
}

static uint32_t upper(uint32_t c)
{
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		uint32_t capital = c - cases[i].distance;

		if (c >= cases[i].distance && capital >= cases[i].first && capital <= cases[i].last &&
		    (capital - cases[i].first) % cases[i].every == 0)
			return capital;
	}
	return c == 0xFF ? 0x178 : c;
}

static char *put_character(char *to, uint32_t c)
{
	if (c < 0x80) {
		*to++ = (char)c;
	} else if (c < 0x800) {
		*to++ = (char)(0xC0 | c >> 6);
		*to++ = (char)(0x80 | (c & 0x3F));
	} else if (c < 0x10000) {
		*to++ = (char)(0xE0 | c >> 12);
		*to++ = (char)(0x80 | (c >> 6 & 0x3F));
		*to++ = (char)(0x80 | (c & 0x3F));
	} else {
		*to++ = (char)(0xF0 | c >> 18);
		*to++ = (char)(0x80 | (c >> 12 & 0x3F));
		*to++ = (char)(0x80 | (c >> 6 & 0x3F));
		*to++ = (char)(0x80 | (c & 0x3F));
	}
	return to;
}

/* Each pair in the table takes as many bytes in UTF-8, so the text keeps its length. */
static bool change_case(struct span s, bool to_upper, struct arena *arena, struct span *ret, struct error *err)
{
	char *start = arena_alloc(arena, s.len, err), *to = start;

	if (!start)
		return false;
	for (size_t at = 0, bytes; at < s.len; at += bytes) {
		unsigned char c = (unsigned char)s.ptr[at];

		bytes = 1;
		if (c < 0x80) {
			*to++ = (char)(to_upper ? (c >= 'a' && c <= 'z' ? c - 32 : c)
						: (c >= 'A' && c <= 'Z' ? c + 32 : c));
		} else {
			uint32_t found = onnx_character(s, at, &bytes);

			if (bytes == 1) /* not UTF-8: as it is */
				*to++ = (char)c;
			else
				to = put_character(to, to_upper ? upper(found) : lower(found));
		}
	}
	*ret = span_from(start, (size_t)(to - start));
	return true;
}

/* ---- StringNormalizer ---- */

enum text_case { CASE_NONE, CASE_LOWER, CASE_UPPER };

struct normalizer {
	int action;
	bool case_sensitive;
	const struct span *stopwords; /* in lower case unless case_sensitive */
	size_t stop_count;
};

static bool normalizer_prepare(struct onnx_prepare *p, struct error *err)
{
	static const char *const actions[] = { "NONE", "LOWER", "UPPER", NULL };
	struct normalizer *s = ARENA_NEW(p->arena, struct normalizer, err);
	struct span *folded;
	int64_t sensitive;

	onnx_ignore(p, "locale"); /* the table above is the same everywhere */
	if (!s || !onnx_choice(p, "case_change_action", actions, &s->action, err) ||
	    !onnx_int(p, "is_case_sensitive", 0, &sensitive, err) ||
	    !onnx_strings(p, "stopwords", &s->stopwords, &s->stop_count, err))
		return false;
	s->case_sensitive = sensitive != 0;
	p->step->state = s;
	if (s->case_sensitive)
		return true;
	folded = ARENA_ARRAY(p->arena, struct span, s->stop_count, err);
	if (!folded)
		return false;
	for (size_t i = 0; i < s->stop_count; i++)
		if (!change_case(s->stopwords[i], false, p->arena, &folded[i], err))
			return false;
	s->stopwords = folded;
	return true;
}

static bool is_stopword(const struct normalizer *s, struct span word, struct arena *arena, bool *ret, struct error *err)
{
	*ret = false;
	if (s->stop_count == 0)
		return true;
	if (!s->case_sensitive && !change_case(word, false, arena, &word, err))
		return false;
	for (size_t i = 0; i < s->stop_count && !*ret; i++)
		*ret = span_equal(word, s->stopwords[i]);
	return true;
}

static bool normalizer_run(struct onnx_run *r, const struct onnx_step *step, struct tensor *out, struct error *err)
{
	const struct tensor *x = onnx_in(r, step, 0);
	const struct normalizer *s = step->state;
	struct span *kept;
	size_t count = 0;
	int64_t shape[2] = { 1, 0 };

	if (x->dtype != DTYPE_BYTES)
		return onnx_type_refused(x, err);
	if (x->rank < 1 || x->rank > 2 || (x->rank == 2 && x->shape[0] != 1))
		return error_set(err, ERROR_INVALID, "a list of texts was expected: shape [C] or [1, C]");
	kept = ARENA_ARRAY(r->arena, struct span, x->count + 1, err);
	if (!kept)
		return false;
	for (size_t i = 0; i < x->count; i++) {
		struct span word = ((const struct span *)x->data)[i];
		bool stop;

		if (!is_stopword(s, word, r->arena, &stop, err))
			return false;
		if (stop)
			continue;
		if (s->action != CASE_NONE && !change_case(word, s->action == CASE_UPPER, r->arena, &word, err))
			return false;
		kept[count++] = word;
	}
	if (count == 0) /* the specification: one empty text when all were stop words */
		kept[count++] = SPAN("");
	shape[x->rank - 1] = (int64_t)count;
	if (!onnx_new(r, out, DTYPE_BYTES, x->rank, shape, err))
		return false;
	memcpy(out->data, kept, count * sizeof(*kept));
	return true;
}

/* ---- Tokenizer ---- */

struct tokenizer {
	bool mark;
	struct span pad;
	size_t least; /* characters of a token */
	bool by_character;
	struct onnx_regex **found; /* what tokens look like, or what stands between them */
	size_t found_count;
	bool separates;
};

static bool tokenizer_prepare(struct onnx_prepare *p, struct error *err)
{
	struct tokenizer *s = ARENA_NEW(p->arena, struct tokenizer, err);
	const struct span *separators;
	struct span expression;
	size_t count;
	int64_t mark, least;

	if (!s || !onnx_int(p, "mark", 0, &mark, err) || !onnx_string(p, "pad_value", "", &s->pad, err) ||
	    !onnx_int(p, "mincharnum", 1, &least, err) || !onnx_strings(p, "separators", &separators, &count, err) ||
	    !onnx_string(p, "tokenexp", "", &expression, err))
		return false;
	if (least < 0 || (count == 0) == (expression.len == 0))
		return error_set(err, ERROR_INVALID,
				 "mincharnum is %lld, and one of separators and tokenexp must be there",
				 (long long)least);
	s->mark = mark != 0;
	s->least = (size_t)least;
	s->separates = count > 0;
	s->by_character = count == 1 && separators[0].len == 0;
	s->found_count = s->separates ? count : 1;
	s->found = ARENA_ARRAY(p->arena, struct onnx_regex *, s->found_count, err);
	if (!s->found || s->found_count > 64)
		return s->found == NULL ? false : error_set(err, ERROR_TOO_LARGE, "%zu separators", s->found_count);
	p->step->state = s;
	for (size_t i = 0; i < s->found_count && !s->by_character; i++) {
		s->found[i] = onnx_regex_new(s->separates ? separators[i] : expression, p->arena, err);
		if (!s->found[i])
			return false;
	}
	return true;
}

/* Tokens of all texts, one list behind the other. */
struct tokens {
	struct span *list;
	size_t count, most;
	struct arena *arena;
};

static size_t characters(struct span s)
{
	size_t count = 0;

	for (size_t i = 0; i < s.len; i++)
		count += ((unsigned char)s.ptr[i] & 0xC0) != 0x80;
	return count;
}

static bool add_token(struct tokens *t, struct span token, size_t least, struct error *err)
{
	if (token.len == 0 || characters(token) < least)
		return true;
	if (t->count == t->most) {
		size_t most = MAX(t->most * 2, (size_t)64);
		struct span *list = ARENA_ARRAY(t->arena, struct span, most, err);

		if (!list)
			return false;
		if (t->count)
			memcpy(list, t->list, t->count * sizeof(*list));
		t->list = list;
		t->most = most;
	}
	t->list[t->count++] = token;
	return true;
}

static bool tokens_matching(const struct onnx_regex *re, struct onnx_regex_room *room, struct span text, size_t least,
			    struct tokens *t, struct error *err)
{
	size_t at = 0, start, end, bytes;

	while (at <= text.len && onnx_regex_next(re, room, text, at, &start, &end)) {
		if (!add_token(t, span_from(text.ptr + start, end - start), least, err))
			return false;
		at = end;
		if (end == start) {
			if (at == text.len)
				break;
			(void)onnx_character(text, at, &bytes);
			at += bytes;
		}
	}
	return true;
}

/* Cuts what the separators before left, from separator `i` on. */
static bool tokens_between(const struct tokenizer *s, struct onnx_regex_room *rooms, size_t i, struct span text,
			   struct tokens *t, struct error *err)
{
	size_t at = 0, from = 0, start, end, bytes;

	if (i == s->found_count)
		return add_token(t, text, s->least, err);
	while (at <= text.len && onnx_regex_next(s->found[i], &rooms[i], text, at, &start, &end)) {
		at = end;
		if (end == start) {
			if (at == text.len)
				break;
			(void)onnx_character(text, at, &bytes);
			at += bytes;
			continue;
		}
		if (!tokens_between(s, rooms, i + 1, span_from(text.ptr + from, start - from), t, err))
			return false;
		from = end;
	}
	return tokens_between(s, rooms, i + 1, span_skip(text, from), t, err);
}

static bool tokens_of(const struct tokenizer *s, struct onnx_regex_room *rooms, struct span text, struct tokens *t,
		      struct error *err)
{
	size_t bytes;

	if (!s->by_character)
		return s->separates ? tokens_between(s, rooms, 0, text, t, err)
				    : tokens_matching(s->found[0], &rooms[0], text, s->least, t, err);
	for (size_t at = 0; at < text.len; at += bytes) {
		(void)onnx_character(text, at, &bytes);
		if (!add_token(t, span_from(text.ptr + at, bytes), 1, err))
			return false;
	}
	return true;
}

static bool tokenizer_run(struct onnx_run *r, const struct onnx_step *step, struct tensor *out, struct error *err)
{
	const struct tensor *x = onnx_in(r, step, 0);
	const struct tokenizer *s = step->state;
	struct onnx_regex_room *rooms = ARENA_ARRAY(r->arena, struct onnx_regex_room, s->found_count, err);
	size_t *ends = ARENA_ARRAY(r->arena, size_t, x->count, err);
	struct tokens t = { .arena = r->arena };
	size_t longest = 0, width, at = 0;
	int64_t shape[TENSOR_RANK_MAX];
	struct span *to;

	if (!rooms || !ends)
		return false;
	if (x->dtype != DTYPE_BYTES)
		return onnx_type_refused(x, err);
	if (x->rank < 1 || x->rank > 2)
		return error_set(err, ERROR_INVALID, "texts of shape [C] or [N, C] were expected");
	for (size_t i = 0; i < s->found_count && !s->by_character; i++)
		if (!onnx_regex_room_new(s->found[i], &rooms[i], r->arena, err))
			return false;
	for (size_t i = 0; i < x->count; i++) {
		size_t before = t.count;

		if (!tokens_of(s, rooms, ((const struct span *)x->data)[i], &t, err))
			return false;
		ends[i] = t.count;
		longest = MAX(longest, t.count - before);
	}
	width = longest ? longest + 2 * (size_t)s->mark : 0;
	memcpy(shape, x->shape, sizeof(shape));
	shape[x->rank] = (int64_t)width;
	if (!onnx_new(r, out, DTYPE_BYTES, x->rank + 1, shape, err))
		return false;
	to = out->data;
	for (size_t i = 0; i < x->count && width; i++) {
		struct span *end = to + width;

		if (s->mark)
			*to++ = SPAN("\x02"); /* start and end of text, in ASCII */
		while (at < ends[i])
			*to++ = t.list[at++];
		while (to < end - s->mark)
			*to++ = s->pad;
		if (s->mark)
			*to++ = SPAN("\x03");
	}
	return true;
}

/* ---- TfIdfVectorizer ---- */

/* N-grams in a table by a hash that grows item by item, so that a window is hashed once for all its lengths. */
struct ngram {
	size_t first, length; /* in the pool */
	size_t column;
};

struct tfidf {
	enum { MODE_TF, MODE_IDF, MODE_TFIDF } mode;
	size_t least, most, skips, columns;
	const struct span *strings; /* pool, or NULL */
	const int64_t *ints;
	struct ngram *grams;
	size_t gram_count;
	uint32_t *slots; /* index + 1, or 0 */
	size_t mask;
	const float *weights; /* by n-gram in the file; here by column; or NULL */
};

static uint64_t item_hash(uint64_t so_far, const struct span *string, int64_t number)
{
	uint64_t h = string ? span_hash(*string) : (uint64_t)number * UINT64_C(0x9E3779B97F4A7C15);

	so_far = (so_far ^ h) * UINT64_C(0xFF51AFD7ED558CCD); /* a finaliser of MurmurHash3 */
	return so_far ^ (so_far >> 33);
}

static bool same_gram(const struct tfidf *s, const struct ngram *g, const struct tensor *x, size_t at, size_t by,
		      size_t length)
{
	if (g->length != length)
		return false;
	for (size_t i = 0; i < length; i++, at += by) {
		if (s->strings ? !span_equal(s->strings[g->first + i], ((const struct span *)x->data)[at])
			       : s->ints[g->first + i] != (x->dtype == DTYPE_INT64 ? ((const int64_t *)x->data)[at]
										   : ((const int32_t *)x->data)[at]))
			return false;
	}
	return true;
}

static void add_gram(struct tfidf *s, size_t first, size_t length, size_t column)
{
	uint64_t h = 0;
	size_t at;

	for (size_t i = first; i < first + length; i++)
		h = item_hash(h, s->strings ? &s->strings[i] : NULL, s->strings ? 0 : s->ints[i]);
	s->grams[s->gram_count] = (struct ngram){ first, length, column };
	for (at = (size_t)h & s->mask; s->slots[at]; at = (at + 1) & s->mask)
		;
	s->slots[at] = (uint32_t)++s->gram_count;
}

/* The pool holds all 1-grams, then all 2-grams ..., starting where ngram_counts says. */
static bool load_pool(struct onnx_prepare *p, struct tfidf *s, size_t pool, struct error *err)
{
	const int64_t *starts, *columns;
	size_t start_count, column_count, id = 0, size = 8;

	if (!onnx_ints(p, "ngram_counts", &starts, &start_count, err) ||
	    !onnx_ints(p, "ngram_indexes", &columns, &column_count, err))
		return false;
	if (start_count == 0 || s->most > start_count || column_count == 0 || column_count > ((size_t)1 << 28))
		return error_set(err, ERROR_INVALID, "%zu ngram_counts and %zu ngram_indexes", start_count,
				 column_count);
	while (size < column_count * 2)
		size *= 2;
	s->slots = arena_calloc(p->arena, size, sizeof(uint32_t), err);
	s->grams = ARENA_ARRAY(p->arena, struct ngram, column_count, err);
	if (!s->slots || !s->grams)
		return false;
	s->mask = size - 1;
	for (size_t i = 0; i < column_count; i++) {
		if (columns[i] < 0 || columns[i] >= (int64_t)1 << 28)
			return error_set(err, ERROR_INVALID, "ngram_indexes[%zu] is %lld", i, (long long)columns[i]);
		s->columns = MAX(s->columns, (size_t)columns[i] + 1);
	}
	for (size_t n = 1; n <= start_count; n++) {
		int64_t from = starts[n - 1], to = n < start_count ? starts[n] : (int64_t)pool;

		if (from < 0 || to < from || (uint64_t)to > pool || (size_t)(to - from) % n)
			return error_set(err, ERROR_INVALID, "ngram_counts[%zu] is %lld", n - 1, (long long)from);
		for (size_t at = (size_t)from; at < (size_t)to; at += n, id++) {
			if (id >= column_count)
				return error_set(err, ERROR_INVALID, "the pool has more n-grams than ngram_indexes");
			if (n >= s->least && n <= s->most)
				add_gram(s, at, n, (size_t)columns[id]);
		}
	}
	return true;
}

static bool tfidf_prepare(struct onnx_prepare *p, struct error *err)
{
	static const char *const modes[] = { "TF", "IDF", "TFIDF", NULL };
	struct tfidf *s = ARENA_NEW(p->arena, struct tfidf, err);
	size_t strings, ints, weights;
	int64_t least, most, skips;
	int mode;

	if (!s || !onnx_choice(p, "mode", modes, &mode, err) || !onnx_int(p, "min_gram_length", 1, &least, err) ||
	    !onnx_int(p, "max_gram_length", 1, &most, err) || !onnx_int(p, "max_skip_count", 0, &skips, err) ||
	    !onnx_strings(p, "pool_strings", &s->strings, &strings, err) ||
	    !onnx_ints(p, "pool_int64s", &s->ints, &ints, err) ||
	    !onnx_floats(p, "weights", &s->weights, &weights, err))
		return false;
	if (least < 1 || most < least || most > 64 || skips < 0 || skips > 1024)
		return error_set(err, ERROR_INVALID, "n-grams of %lld to %lld items with %lld skipped",
				 (long long)least, (long long)most, (long long)skips);
	if ((strings == 0) == (ints == 0))
		return error_set(err, ERROR_INVALID, "one of pool_strings and pool_int64s must be there");
	if (strings == 0)
		s->strings = NULL;
	s->mode = mode;
	s->least = (size_t)least;
	s->most = (size_t)most;
	s->skips = (size_t)skips;
	if (!load_pool(p, s, strings + ints, err))
		return false;
	if (weights == 0)
		s->weights = NULL;
	else if (weights < s->columns)
		return error_set(err, ERROR_INVALID, "%zu weights for %zu columns", weights, s->columns);
	p->step->state = s;
	return true;
}

/* Counts what the row's windows hold; `by` is the distance between items of a window. */
static void count_grams(const struct tfidf *s, const struct tensor *x, size_t first, size_t count, size_t by,
			size_t least, float *row)
{
	for (size_t start = 0; start < count; start++) {
		uint64_t h = 0;

		for (size_t n = 1, at = start; n <= s->most && at < count; n++, at += by) {
			const struct span *string = s->strings ? (const struct span *)x->data + first + at : NULL;
			int64_t number = s->strings                ? 0
					 : x->dtype == DTYPE_INT64 ? ((const int64_t *)x->data)[first + at]
								   : ((const int32_t *)x->data)[first + at];

			h = item_hash(h, string, number);
			if (n < least)
				continue;
			for (size_t slot = (size_t)h & s->mask; s->slots[slot]; slot = (slot + 1) & s->mask) {
				const struct ngram *g = &s->grams[s->slots[slot] - 1];

				if (same_gram(s, g, x, first + start, by, n)) {
					row[g->column] += 1;
					break;
				}
			}
		}
	}
}

static bool tfidf_run(struct onnx_run *r, const struct onnx_step *step, struct tensor *out, struct error *err)
{
	const struct tensor *x = onnx_in(r, step, 0);
	const struct tfidf *s = step->state;
	size_t rows = x->rank == 2 ? (size_t)x->shape[0] : 1, items = rows ? x->count / rows : 0;
	int64_t shape[2] = { (int64_t)rows, (int64_t)s->columns };

	if (s->strings ? x->dtype != DTYPE_BYTES : x->dtype != DTYPE_INT64 && x->dtype != DTYPE_INT32)
		return onnx_type_refused(x, err);
	if (x->rank > 2)
		return error_set(err, ERROR_INVALID, "items of shape [C] or [N, C] were expected");
	if (!onnx_new(r, out, DTYPE_FP32, x->rank == 2 ? 2 : 1, x->rank == 2 ? shape : shape + 1, err))
		return false;
	memset(out->data, 0, out->count * sizeof(float));
	for (size_t i = 0; i < rows; i++) {
		float *row = (float *)out->data + i * s->columns;

		/* Single items have no distance: they are counted once, whatever may be skipped. */
		for (size_t by = 1; by <= s->skips + 1; by++)
			count_grams(s, x, i * items, items, by, by == 1 ? s->least : MAX(s->least, (size_t)2), row);
		if (s->mode == MODE_TF)
			continue;
		for (size_t j = 0; j < s->columns; j++) {
			float weight = s->weights ? s->weights[j] : 1;

			row[j] = s->mode == MODE_IDF ? (row[j] > 0 ? weight : 0) : row[j] * weight;
		}
	}
	return true;
}

const struct onnx_operator onnx_ops_text[] = {
	{ "StringNormalizer", "", 1, 1, 1, 1, 0, normalizer_prepare, normalizer_run, NULL },
	{ "Tokenizer", "com.microsoft", 1, 1, 1, 1, 0, tokenizer_prepare, tokenizer_run, NULL },
	{ "TfIdfVectorizer", "", 1, 1, 1, 1, 0, tfidf_prepare, tfidf_run, NULL },
	{ 0 },
};
