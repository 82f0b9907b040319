/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/json.h"

#include <math.h>
#include <stdio.h>

#include "wire/json_private.h"

enum {
	SAMPLE = 8192,      /* bytes of a long text that tell how many elements to expect */
	BLOCK_NUMBERS = 32, /* most numbers in a block: a digit and a comma each */
};

struct array_reader {
	struct json *j;
	size_t count, capacity, bound; /* of elements; bound: no text of this length holds more */
	enum json_array_kind kind;
	bool as_scalars, has_null;
	int level, rank;                /* lists open now; where the scalars are, -1 until known */
	int64_t lengths[JSON_RANK_MAX]; /* elements of the open lists so far */
	int64_t shape[JSON_RANK_MAX];   /* -1 until the first list of a level has ended */
	union {
		void *data;
		int64_t *integers;
		uint64_t *naturals;
		double *doubles;
		uint8_t *booleans;
		struct span *strings;
		struct json_scalar *scalars;
	};
};

static size_t element_size(enum json_array_kind kind)
{
	switch (kind) {
	case JSON_ARRAY_BOOL:
		return sizeof(uint8_t);
	case JSON_ARRAY_STRING:
		return sizeof(struct span);
	case JSON_ARRAY_SCALARS:
		return sizeof(struct json_scalar);
	default:
		return sizeof(double);
	}
}

static bool is_numeric(enum json_array_kind kind)
{
	return kind == JSON_ARRAY_INT64 || kind == JSON_ARRAY_UINT64 || kind == JSON_ARRAY_DOUBLE;
}

/*
 * How many elements a text of `left` bytes at `p` may hold: as many as its first bytes have commas, and an eighth more.
 * Too few cost a copy, too many only addresses, as memory that is never touched is never there.
 */
static size_t expected_count(const char *p, size_t left)
{
	size_t commas = 0;

	for (size_t i = 0; i < SAMPLE; i++)
		commas += p[i] == ',';
	return (size_t)((double)left * ((double)commas * 1.125 / SAMPLE)) + 1024;
}

/* Makes room for the first elements of a kind. */
static bool start_kind(struct array_reader *r, enum json_array_kind kind, size_t hint, struct error *err)
{
	size_t size = element_size(kind);
	size_t left = (size_t)(r->j->end - r->j->at);
	size_t capacity = MIN(r->bound, (size_t)64);

	if (is_numeric(kind)) {
		if (hint > 0)
			capacity = MIN(hint, r->bound);
		else if (left >= SAMPLE)
			capacity = MIN(expected_count(r->j->at, left), r->bound);
		else
			capacity = r->bound;
	}
	r->data = arena_array_(r->j->arena, capacity, size, err);
	if (!r->data)
		return json_fail_as_set(r->j);
	r->capacity = capacity;
	r->kind = kind;
	return true;
}

static __attribute__((noinline)) bool grow(struct array_reader *r, struct error *err)
{
	size_t size = element_size(r->kind);
	size_t capacity = MIN(MAX(r->capacity * 2, (size_t)64), r->bound);
	void *data;

	ASSERT(capacity > r->count);
	data = arena_array_(r->j->arena, capacity, size, err);
	if (!data)
		return json_fail_as_set(r->j);
	memcpy(data, r->data, r->count * size);
	r->data = data;
	r->capacity = capacity;
	return true;
}

/* Integers read so far become doubles, in the same place: both have eight bytes. */
static void turn_to_doubles(struct array_reader *r)
{
	for (size_t i = 0; i < r->count; i++) {
		double value = r->kind == JSON_ARRAY_INT64 ? (double)r->integers[i] : (double)r->naturals[i];

		r->doubles[i] = value;
	}
	r->kind = JSON_ARRAY_DOUBLE;
}

static bool any_negative(const struct array_reader *r)
{
	for (size_t i = 0; i < r->count; i++)
		if (r->integers[i] < 0)
			return true;
	return false;
}

/* The kind that holds what was read and `n` as well. */
static void widen(struct array_reader *r, const struct number *n)
{
	if (r->kind == JSON_ARRAY_DOUBLE || (r->kind == JSON_ARRAY_INT64 && n->kind == NUMBER_INT) ||
	    (r->kind == JSON_ARRAY_UINT64 && (n->kind == NUMBER_UINT || (n->kind == NUMBER_INT && n->i >= 0))))
		return;
	if (r->kind == JSON_ARRAY_INT64 && n->kind == NUMBER_UINT && !any_negative(r))
		r->kind = JSON_ARRAY_UINT64; /* the bits of what is there stay */
	else
		turn_to_doubles(r);
}

static bool append_number(struct array_reader *r, const struct number *n, size_t hint, struct error *err)
{
	static const enum json_array_kind kinds[] = {
		[NUMBER_INT] = JSON_ARRAY_INT64,
		[NUMBER_UINT] = JSON_ARRAY_UINT64,
		[NUMBER_DOUBLE] = JSON_ARRAY_DOUBLE,
	};

	if (r->kind == JSON_ARRAY_EMPTY && !start_kind(r, kinds[n->kind], hint, err))
		return false;
	if (r->count == r->capacity && !grow(r, err))
		return false;
	widen(r, n);
	if (r->kind == JSON_ARRAY_DOUBLE)
		r->doubles[r->count++] = json_as_double(n);
	else
		r->naturals[r->count++] = n->u;
	return true;
}

/* "[3][0]": the list that is being read, by the indices of those around it. */
static void print_path(const struct array_reader *r, char *out, size_t size)
{
	size_t len = 0;

	out[0] = 0;
	for (int i = 0; i + 1 < r->level && len < size; i++)
		len += (size_t)snprintf(out + len, size - len, "[%lld]", (long long)r->lengths[i]);
}

static __attribute__((cold)) bool fail_ragged(struct array_reader *r, const char *what, struct error *err)
{
	char path[128], message[256];

	print_path(r, path, sizeof(path));
	snprintf(message, sizeof(message), "the lists are ragged: %s in list %s", what, path[0] ? path : "at the top");
	return json_fail_with(r->j, message, err);
}

static bool open_list(struct array_reader *r, struct error *err)
{
	char message[64];

	if (r->rank >= 0 && r->level == r->rank)
		return fail_ragged(r, "a list stands where others have a scalar", err);
	if (r->level == JSON_RANK_MAX) {
		snprintf(message, sizeof(message), "lists are nested deeper than %d levels", JSON_RANK_MAX);
		return json_fail_with(r->j, message, err);
	}
	r->j->at++;
	r->lengths[r->level++] = 0;
	return true;
}

static bool close_list(struct array_reader *r, struct error *err)
{
	int64_t length = r->lengths[r->level - 1];
	int64_t *expected = &r->shape[r->level - 1];
	char message[96];

	if (length == 0 && r->rank < 0)
		r->rank = r->level;
	if (*expected < 0) {
		*expected = length;
	} else if (*expected != length) {
		snprintf(message, sizeof(message), "%lld elements, where others have %lld,", (long long)length,
			 (long long)*expected);
		return fail_ragged(r, message, err);
	}
	r->j->at++;
	r->level--;
	return true;
}

/* The value of 1 to 8 digits at `p`, of which 8 bytes can be read. */
ALWAYS_INLINE int64_t short_value(const char *p, size_t length)
{
	if (LIKELY(length <= 4)) {
		uint32_t word;

		memcpy(&word, p, 4);
		word = (word & 0x0F0F0F0F) << (32 - 8 * length);
		word = word * 10 + (word >> 8);
		return ((word & 0x00FF00FF) * (100 << 16 | 1)) >> 16;
	} else {
		uint64_t word;

		memcpy(&word, p, 8);
		word = (word & UINT64_C(0x0F0F0F0F0F0F0F0F)) << (64 - 8 * length);
		word = word * 10 + (word >> 8);
		return (int64_t)(((word & UINT64_C(0x000000FF000000FF)) * UINT64_C(0x000F424000000064) +
				  ((word >> 16) & UINT64_C(0x000000FF000000FF)) * UINT64_C(0x0000271000000001)) >>
				 32);
	}
}

/*
 * Inside a rare case's branch: keeps the compiler from replacing the branch by arithmetic. Whether spaces follow commas
 * repeats through a text, so the branch costs nothing, while arithmetic would make each number wait for a byte to load.
 */
#define KEEP_BRANCH(a, b) __asm__("" : "+r"(a), "+r"(b))

/*
 * The separator at `p` between two scalars: "," or the "],[" of two innermost lists, each with a space at most behind
 * the comma. Returns where the next scalar stands, or NULL to leave it to the careful path. Reads four bytes.
 */
ALWAYS_INLINE const char *step(struct array_reader *r, const char *p, int64_t *length)
{
	if (LIKELY(*p == ',')) {
		++*length;
	} else {
		if (*p != ']' || p[1] != ',' || r->level < 2 || *length + 1 != r->shape[r->level - 1])
			return NULL;
		p += 2 + (p[2] == ' ');
		if (*p != '[')
			return NULL;
		*length = 0;
		r->lengths[r->level - 2]++;
		return p + 1;
	}
	p++;
	if (UNLIKELY(*p == ' ')) {
		p++;
		KEEP_BRANCH(p, p);
	}
	return p;
}

/*
 * Reads integers of up to eight digits while it is plain: j->at moves from the start of one scalar to that of a later
 * one. One mask tells where the numbers of 64 bytes end. Finding the next number only takes bits off the mask; it waits
 * for no byte to be loaded and no value to be computed, so several numbers are under way at once.
 */
ALWAYS_INLINE void read_integers_inline(struct array_reader *r)
{
	const char *p = r->j->at;
	int64_t length = r->lengths[r->level - 1];
	const int64_t full = r->level >= 2 ? r->shape[r->level - 1] : -1;
	int64_t rows = 0;
	int64_t *to = r->integers + r->count;
	bool is_plain = true;

	while (is_plain && r->j->end - p >= JSON_BLOCK + JSON_BLOCK_SLACK &&
	       r->integers + r->capacity - to >= BLOCK_NUMBERS) {
		struct json_masks masks = json_find_others(p);
		uint64_t others = masks.others;
		size_t at = 0;

		/* Rarely there, and then an error: the careful way finds it. */
		if (UNLIKELY(json_leading_zeros(masks) != 0))
			break;
		while (others) {
			size_t end = (size_t)__builtin_ctzll(others);
			size_t digits = end - at;
			const char *q = p + end;

			/* No digit or too many: not for here. */
			is_plain = digits - 1 < 8;
			if (UNLIKELY(!is_plain))
				break;
			others &= others - 1;
			if (LIKELY(*q == ',')) {
				length++;
			} else {
				const uint32_t compact = ']' | ',' << 8 | '[' << 16;
				const uint32_t spaced = ']' | ',' << 8 | ' ' << 16 | (uint32_t)'[' << 24;
				uint32_t between;

				memcpy(&between, q, 4);
				is_plain = length + 1 == full && ((between & 0xFFFFFF) == compact || between == spaced);
				if (UNLIKELY(!is_plain))
					break;
				others &= others - 1;
				others &= others - 1;
				q += 2;
				if (UNLIKELY(between == spaced)) {
					others &= others - 1;
					q++;
					KEEP_BRANCH(others, q);
				}
				length = 0;
				rows++;
			}
			*to++ = short_value(p + at, digits);
			at = (size_t)(q - p) + 1;
			if (UNLIKELY(q[1] == ' ')) {
				others &= others - 1;
				at++;
				KEEP_BRANCH(others, at);
			}
		}
		is_plain = is_plain && at > 0; /* else 64 digits */
		p += at;
	}
	r->j->at = p;
	r->count = (size_t)(to - r->integers);
	r->lengths[r->level - 1] = length;
	if (rows)
		r->lengths[r->level - 2] += rows;
}

#ifdef __x86_64__
/* The same with the bit instructions of newer machines: a sixth faster. */
__attribute__((target("bmi,bmi2"))) static void read_integers_bmi(struct array_reader *r)
{
	read_integers_inline(r);
}
#endif

static void read_integers(struct array_reader *r)
{
#ifdef __x86_64__
	if (__builtin_cpu_supports("bmi2")) {
		read_integers_bmi(r);
		return;
	}
#endif
	read_integers_inline(r);
}

/* The same for any numbers, into doubles. True when j->at ends behind a number instead. */
static bool read_doubles(struct array_reader *r)
{
	const char *p = r->j->at, *end = r->j->end;
	int64_t length = r->lengths[r->level - 1];

	bool is_behind = false;

	while (r->count < r->capacity) {
		const char *after = number_scan_double(p, end, &r->doubles[r->count]);
		const char *next;

		if (!after)
			break;
		r->count++;
		next = end - after >= 4 ? step(r, after, &length) : NULL;
		p = next ? next : after;
		is_behind = !next;
		if (is_behind)
			break;
	}
	r->j->at = p;
	r->lengths[r->level - 1] = length;
	return is_behind;
}

/* Into json_scalar: what no narrower kind holds. */
static bool append_scalar(struct array_reader *r, enum json_type type, struct error *err)
{
	struct json_scalar scalar = { .type = type };
	bool ok;

	if (r->kind == JSON_ARRAY_EMPTY && !start_kind(r, JSON_ARRAY_SCALARS, 0, err))
		return false;
	if (r->count == r->capacity && !grow(r, err))
		return false;
	switch (type) {
	case JSON_NULL:
		r->has_null = true;
		ok = json_read_null(r->j, err);
		break;
	case JSON_BOOL:
		ok = json_read_bool(r->j, &scalar.boolean, err);
		break;
	case JSON_NUMBER:
		ok = json_read_number(r->j, &scalar.number, err);
		break;
	case JSON_STRING:
		ok = json_read_string(r->j, &scalar.text, err);
		break;
	case JSON_OBJECT:
		ok = json_read_raw(r->j, &scalar.text, err);
		break;
	default:
		return json_fail_expected(r->j, "a value", err);
	}
	if (ok)
		r->scalars[r->count++] = scalar;
	return ok;
}

static bool append_null(struct array_reader *r, struct error *err)
{
	const struct number missing = { .kind = NUMBER_DOUBLE, .d = NAN };

	r->has_null = true;
	return json_read_null(r->j, err) && append_number(r, &missing, 0, err);
}

static bool append_bool(struct array_reader *r, struct error *err)
{
	bool value;

	if (r->kind == JSON_ARRAY_EMPTY && !start_kind(r, JSON_ARRAY_BOOL, 0, err))
		return false;
	if ((r->count == r->capacity && !grow(r, err)) || !json_read_bool(r->j, &value, err))
		return false;
	r->booleans[r->count++] = value;
	return true;
}

static bool append_string(struct array_reader *r, struct error *err)
{
	if (r->kind == JSON_ARRAY_EMPTY && !start_kind(r, JSON_ARRAY_STRING, 0, err))
		return false;
	if ((r->count == r->capacity && !grow(r, err)) || !json_read_string(r->j, &r->strings[r->count], err))
		return false;
	r->count++;
	return true;
}

enum outcome { OUTCOME_DONE, OUTCOME_FAILED, OUTCOME_MIXED };

/* One scalar at j->at. OUTCOME_MIXED: it does not go with those before, and nothing was read. */
static enum outcome read_one(struct array_reader *r, size_t hint, struct error *err)
{
	enum json_type type = json_peek(r->j);
	bool is_empty = r->kind == JSON_ARRAY_EMPTY;
	struct number n;
	bool ok;

	if (r->as_scalars)
		ok = append_scalar(r, type, err);
	else if (type == JSON_NUMBER && (is_empty || is_numeric(r->kind)))
		ok = json_read_number_here(r->j, &n, err) && append_number(r, &n, hint, err);
	else if (type == JSON_NULL && (is_empty || is_numeric(r->kind)))
		ok = append_null(r, err);
	else if (type == JSON_BOOL && (is_empty || r->kind == JSON_ARRAY_BOOL))
		ok = append_bool(r, err);
	else if (type == JSON_STRING && (is_empty || r->kind == JSON_ARRAY_STRING))
		ok = append_string(r, err);
	else if (type == JSON_INVALID)
		ok = json_fail_expected(r->j, "a value", err);
	else
		return OUTCOME_MIXED;
	return ok ? OUTCOME_DONE : OUTCOME_FAILED;
}

/* A scalar, after as many plain numbers as can be read at once. */
static enum outcome read_scalars(struct array_reader *r, size_t hint, struct error *err)
{
	if (r->rank < 0)
		r->rank = r->level;
	if (r->level != r->rank) {
		if (json_peek(r->j) == JSON_INVALID)
			json_fail_expected(r->j, "a value", err);
		else
			fail_ragged(r, "a scalar stands where others have a list", err);
		return OUTCOME_FAILED;
	}
	if (r->level > 0) {
		if (r->kind == JSON_ARRAY_INT64)
			read_integers(r);
		if (r->kind == JSON_ARRAY_DOUBLE && read_doubles(r))
			return OUTCOME_DONE;
	}
	return read_one(r, hint, err);
}

/* Behind a value: ends lists, until a comma leads to the next value (true) or the array ends (level 0) or breaks. */
static bool to_next_value(struct array_reader *r, struct error *err)
{
	struct json *j = r->j;

	while (r->level > 0) {
		r->lengths[r->level - 1]++;
		j->at = skip_space(j->at, j->end);
		if (j->at < j->end && *j->at == ',') {
			j->at++;
			return true;
		}
		if (j->at == j->end || *j->at != ']')
			return json_fail_expected(j, "',' or ']'", err);
		if (!close_list(r, err))
			return false;
	}
	return false;
}

/* `[` at j->at: enters it. True when a value follows; false when the lists that ended with it were left, or it broke.
 */
static bool enter_list(struct array_reader *r, struct error *err)
{
	if (!open_list(r, err))
		return false;
	r->j->at = skip_space(r->j->at, r->j->end);
	if (r->j->at == r->j->end || *r->j->at != ']')
		return true;
	return close_list(r, err) && to_next_value(r, err);
}

static enum outcome read_lists(struct array_reader *r, size_t hint, struct error *err)
{
	struct json *j = r->j;
	bool more = true;

	while (more) {
		enum outcome outcome;

		j->at = skip_space(j->at, j->end);
		if (j->at < j->end && *j->at == '[') {
			more = enter_list(r, err);
			continue;
		}
		outcome = read_scalars(r, hint, err);
		if (outcome != OUTCOME_DONE)
			return outcome;
		more = to_next_value(r, err);
	}
	return j->failed ? OUTCOME_FAILED : OUTCOME_DONE;
}

static void reader_init(struct array_reader *r, struct json *j, bool as_scalars)
{
	r->j = j;
	r->count = r->capacity = 0;
	r->bound = (size_t)(j->end - j->at) / 2 + 1;
	r->kind = JSON_ARRAY_EMPTY;
	r->as_scalars = as_scalars;
	r->has_null = false;
	r->level = 0;
	r->rank = -1;
	for (int i = 0; i < JSON_RANK_MAX; i++)
		r->shape[i] = -1;
	r->data = NULL;
}

bool json_read_array(struct json *j, size_t count_hint, struct json_array *ret, struct error *err)
{
	struct array_reader r;
	enum outcome outcome;
	const char *start;

	if (j->failed)
		return false;
	start = j->at = skip_space(j->at, j->end);
	reader_init(&r, j, false);
	outcome = read_lists(&r, count_hint, err);
	if (outcome == OUTCOME_MIXED) {
		/* Rare; reading again keeps each scalar as it was written. */
		j->at = start;
		reader_init(&r, j, true);
		outcome = read_lists(&r, 0, err);
	}
	if (outcome != OUTCOME_DONE)
		return false;
	ret->kind = r.kind;
	ret->has_null = r.has_null;
	ret->rank = r.rank;
	for (int i = 0; i < JSON_RANK_MAX; i++)
		ret->shape[i] = i < r.rank ? r.shape[i] : 0;
	ret->count = r.count;
	ret->data = r.data;
	return true;
}
