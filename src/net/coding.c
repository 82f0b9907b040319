/* SPDX-License-Identifier: Apache-2.0 */
#include "net/coding.h"

#include <libdeflate.h>
#include <pthread.h>
#include <stdlib.h>
#include <zstd.h>

enum {
	DEFLATE_LEVEL = 1,
	ZSTD_LEVEL = 1,
	ZSTD_WINDOW_LOG_MOST = 23, /* 8 MiB: RFC 9659 asks senders for no more */
	DEFLATE_RATIO_MOST = 1032, /* the format can not do better: a declared size over it is a lie */
	FIRST_ROOM = 4096,
};

/* ---- contexts, one set a thread ---- */

struct contexts {
	struct libdeflate_compressor *deflate;
	struct libdeflate_decompressor *inflate;
	ZSTD_CCtx *zstd_out;
	ZSTD_DCtx *zstd_in;
};

static pthread_key_t contexts_key;
static pthread_once_t contexts_once = PTHREAD_ONCE_INIT;

static void contexts_free(void *arg)
{
	struct contexts *x = arg;

	libdeflate_free_compressor(x->deflate);
	libdeflate_free_decompressor(x->inflate);
	ZSTD_freeCCtx(x->zstd_out);
	ZSTD_freeDCtx(x->zstd_in);
	free(x);
}

static void contexts_key_make(void)
{
	ASSERT(pthread_key_create(&contexts_key, contexts_free) == 0);
}

static struct contexts *contexts_get(void)
{
	struct contexts *x;

	pthread_once(&contexts_once, contexts_key_make);
	x = pthread_getspecific(contexts_key);
	if (!x) {
		x = base_calloc(1, sizeof(*x));
		ASSERT(pthread_setspecific(contexts_key, x) == 0);
	}
	return x;
}

static struct libdeflate_decompressor *inflater(void)
{
	struct contexts *x = contexts_get();

	if (!x->inflate)
		x->inflate = libdeflate_alloc_decompressor();
	ASSERT(x->inflate);
	return x->inflate;
}

/* ---- names ---- */

static const struct {
	struct span name;
	enum coding coding;
} names[] = {
	{ SPAN_INIT("gzip"), CODING_GZIP },       { SPAN_INIT("zstd"), CODING_ZSTD },
	{ SPAN_INIT("deflate"), CODING_DEFLATE }, { SPAN_INIT("identity"), CODING_IDENTITY },
	{ SPAN_INIT("x-gzip"), CODING_GZIP },
};

bool coding_parse(struct span name, enum coding *ret)
{
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		if (span_equal_ignore_case(name, names[i].name)) {
			*ret = names[i].coding;
			return true;
		}
	}
	return false;
}

const char *coding_name(enum coding c)
{
	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		if (names[i].coding == c)
			return names[i].name.ptr;
	return "identity";
}

bool coding_list_parse(struct span value, enum coding ret[CODING_LIST_MAX], size_t *ret_count, struct error *err)
{
	enum coding list[CODING_LIST_MAX];
	size_t count = 0;

	while (value.len) {
		struct span name = span_trim(span_cut(&value, ','));
		enum coding c;

		if (name.len == 0) /* RFC 9110 5.6.1: empty elements are passed over */
			continue;
		if (!coding_parse(name, &c))
			return error_set(err, ERROR_UNSUPPORTED_MEDIA,
					 "content coding '" SPAN_FMT "' is not supported: send " CODING_ACCEPTED
					 " or none",
					 SPAN_ARG(name));
		if (c == CODING_IDENTITY)
			continue;
		if (count == CODING_LIST_MAX)
			return error_set(err, ERROR_UNSUPPORTED_MEDIA, "more than %d content codings", CODING_LIST_MAX);
		list[count++] = c;
	}
	for (size_t i = 0; i < count; i++)
		ret[i] = list[i];
	*ret_count = count;
	return true;
}

/* RFC 9110 12.4.2: 0 to 1 with at most three decimals, here in thousandths; -1 when malformed. */
static int weight_parse(struct span s)
{
	static const int scale[] = { 100, 10, 1 };
	int weight;

	s = span_trim(s);
	if (s.len == 0 || s.len > 5 || (s.ptr[0] != '0' && s.ptr[0] != '1') || (s.len > 1 && s.ptr[1] != '.'))
		return -1;
	weight = s.ptr[0] == '1' ? 1000 : 0;
	for (size_t i = 2; i < s.len; i++) {
		if (s.ptr[i] < '0' || s.ptr[i] > '9')
			return -1;
		weight += (s.ptr[i] - '0') * scale[i - 2];
	}
	return weight > 1000 ? -1 : weight;
}

enum coding coding_choose(struct span accept)
{
	int gzip = -1, zstd = -1, identity = -1, star = -1;

	while (accept.len) {
		struct span item = span_cut(&accept, ',');
		struct span name = span_trim(span_cut(&item, ';'));
		enum coding c = CODING_DEFLATE;
		int weight = 1000;

		while (item.len) {
			struct span value = span_cut(&item, ';');
			struct span key = span_trim(span_cut(&value, '='));

			if (span_equal_ignore_case(key, SPAN("q")))
				weight = weight_parse(value);
		}
		if (weight < 0)
			continue;
		if (span_equal(name, SPAN("*")))
			star = weight;
		else if (!coding_parse(name, &c))
			continue;
		else if (c == CODING_GZIP)
			gzip = weight;
		else if (c == CODING_ZSTD)
			zstd = weight;
		else if (c == CODING_IDENTITY)
			identity = weight;
	}
	if (gzip < 0)
		gzip = star;
	/* A bare star is answered in gzip, which everyone reads. */
	if (zstd > 0 && zstd >= gzip && zstd >= identity)
		return CODING_ZSTD;
	if (gzip > 0 && gzip >= identity)
		return CODING_GZIP;
	return CODING_IDENTITY;
}

bool coding_list_has(struct span list, enum coding c)
{
	while (list.len) {
		enum coding found;

		if (coding_parse(span_trim(span_cut(&list, ',')), &found) && found == c)
			return true;
	}
	return false;
}

/* ---- decoding ---- */

static bool over_limit(struct buffer *out, size_t start, const char *limit_flag, struct error *err)
{
	buffer_clear(out);
	out->len = start;
	return error_set(err, ERROR_TOO_LARGE, "the body, decompressed, is over the limit of %zu bytes (%s)",
			 out->limit, limit_flag);
}

/* Makes room for `want` bytes, or what is left under the limit; 0 at the limit. */
static size_t room_make(struct buffer *out, size_t want)
{
	size_t room = MIN(MAX(want, 1), out->limit - out->len);

	if (room == 0 || !buffer_reserve(out, room))
		return 0;
	return out->cap - out->len;
}

/* RFC 1952 2.3.1: a member ends with its size modulo 2^32. Right for the usual single member; else only a first guess.
 */
static size_t gzip_size_guess(struct span in)
{
	uint32_t size = 0;
	size_t most;

	if (in.len >= 18)
		for (size_t i = 0; i < 4; i++)
			size |= (uint32_t)(unsigned char)in.ptr[in.len - 4 + i] << (8 * i);
	if (!checked_mul(in.len, DEFLATE_RATIO_MOST, &most))
		most = SIZE_MAX;
	return MIN((size_t)size, most);
}

typedef enum libdeflate_result inflate_fn(struct libdeflate_decompressor *, const void *, size_t, void *, size_t,
					  size_t *, size_t *);

/* One member or stream, growing the room until it fits. False without an error set: the input is damaged. */
static bool inflate_one(inflate_fn *inflate, struct span *in, struct buffer *out, size_t guess, bool *ret_is_large)
{
	size_t room = room_make(out, guess);

	*ret_is_large = false;
	for (;;) {
		size_t used, made;
		enum libdeflate_result result = LIBDEFLATE_INSUFFICIENT_SPACE;

		if (room || out->limit == out->len)
			result = inflate(inflater(), in->ptr, in->len, out->ptr ? out->ptr + out->len : (char *)&used,
					 room, &used, &made);
		if (result == LIBDEFLATE_SUCCESS) {
			*in = span_skip(*in, used);
			buffer_commit(out, made);
			return true;
		}
		if (result != LIBDEFLATE_INSUFFICIENT_SPACE)
			return false;
		if (room >= out->limit - out->len) {
			*ret_is_large = true;
			return false;
		}
		room = room_make(out, MAX(2 * room, FIRST_ROOM));
	}
}

static bool decode_gzip(struct span in, struct buffer *out, const char *limit_flag, struct error *err)
{
	size_t start = out->len;
	size_t guess = gzip_size_guess(in);

	do {
		bool is_large;

		if (inflate_one(libdeflate_gzip_decompress_ex, &in, out, guess, &is_large)) {
			guess = FIRST_ROOM;
			continue;
		}
		if (is_large)
			return over_limit(out, start, limit_flag, err);
		out->len = start;
		return error_set(err, ERROR_INVALID, "the body is not valid gzip");
	} while (in.len); /* RFC 1952 2.2: members follow one another */
	return true;
}

/* RFC 9110 8.4.1.2 means zlib's format (RFC 1950); some clients send the bare deflate stream. */
static bool decode_deflate(struct span in, struct buffer *out, const char *limit_flag, struct error *err)
{
	size_t start = out->len, guess = 4 * MIN(in.len, SIZE_MAX / 8);
	struct span rest = in;
	bool is_large;

	if (inflate_one(libdeflate_zlib_decompress_ex, &rest, out, guess, &is_large) && rest.len == 0)
		return true;
	if (is_large)
		return over_limit(out, start, limit_flag, err);
	rest = in;
	out->len = start;
	if (inflate_one(libdeflate_deflate_decompress_ex, &rest, out, guess, &is_large) && rest.len == 0)
		return true;
	if (is_large)
		return over_limit(out, start, limit_flag, err);
	out->len = start;
	return error_set(err, ERROR_INVALID, "the body is not valid deflate (zlib)");
}

static ZSTD_DCtx *zstd_reader(void)
{
	struct contexts *x = contexts_get();

	if (!x->zstd_in) {
		x->zstd_in = ZSTD_createDCtx();
		ASSERT(x->zstd_in);
		ASSERT(!ZSTD_isError(ZSTD_DCtx_setParameter(x->zstd_in, ZSTD_d_windowLogMax, ZSTD_WINDOW_LOG_MOST)));
	}
	(void)ZSTD_DCtx_reset(x->zstd_in, ZSTD_reset_session_only);
	return x->zstd_in;
}

static bool decode_zstd(struct span in, struct buffer *out, const char *limit_flag, struct error *err)
{
	unsigned long long declared = ZSTD_getFrameContentSize(in.ptr, in.len);
	ZSTD_inBuffer source = { in.ptr, in.len, 0 };
	size_t start = out->len, left = 1;
	ZSTD_DCtx *x = zstd_reader();
	size_t want = FIRST_ROOM;

	if (declared != ZSTD_CONTENTSIZE_UNKNOWN && declared != ZSTD_CONTENTSIZE_ERROR) {
		if (declared > out->limit - out->len)
			return over_limit(out, start, limit_flag, err);
		want = (size_t)declared;
	}
	for (;;) {
		size_t room = room_make(out, want);
		char nothing;
		ZSTD_outBuffer sink = { room ? out->ptr + out->len : &nothing, room, 0 };
		size_t before = source.pos;

		left = ZSTD_decompressStream(x, &sink, &source);
		if (ZSTD_isError(left))
			break;
		buffer_commit(out, sink.pos);
		if (left == 0 && source.pos == source.size)
			return true;
		if (sink.pos == room && room == 0 && source.pos == before)
			return over_limit(out, start, limit_flag, err);
		if (source.pos == source.size && sink.pos < sink.size)
			break; /* the input ends inside a frame */
		want = MAX(out->len - start, FIRST_ROOM);
	}
	out->len = start;
	return error_set(err, ERROR_INVALID, "the body is not valid zstd%s%s", ZSTD_isError(left) ? ": " : "",
			 ZSTD_isError(left) ? ZSTD_getErrorName(left) : "");
}

bool coding_decode(enum coding c, struct span in, struct buffer *out, const char *limit_flag, struct error *err)
{
	switch (c) {
	case CODING_GZIP:
		return decode_gzip(in, out, limit_flag, err);
	case CODING_DEFLATE:
		return decode_deflate(in, out, limit_flag, err);
	case CODING_ZSTD:
		return decode_zstd(in, out, limit_flag, err);
	case CODING_IDENTITY:
		break;
	}
	if (in.len > out->limit - out->len)
		return over_limit(out, out->len, limit_flag, err);
	buffer_append(out, in);
	return true;
}

/* ---- encoding ---- */

static size_t encode_gzip(struct span in, char *to, size_t room)
{
	struct contexts *x = contexts_get();

	if (!x->deflate)
		x->deflate = libdeflate_alloc_compressor(DEFLATE_LEVEL);
	ASSERT(x->deflate);
	return libdeflate_gzip_compress(x->deflate, in.ptr, in.len, to, room);
}

static size_t encode_zstd(struct span in, char *to, size_t room)
{
	struct contexts *x = contexts_get();
	size_t made;

	if (!x->zstd_out)
		x->zstd_out = ZSTD_createCCtx();
	ASSERT(x->zstd_out);
	made = ZSTD_compressCCtx(x->zstd_out, to, room, in.ptr, in.len, ZSTD_LEVEL);
	return ZSTD_isError(made) ? 0 : made;
}

bool coding_encode(enum coding c, struct span in, struct buffer *out)
{
	size_t made;
	char *to;

	if (in.len < 2 || in.len - 1 > out->limit - out->len || (c != CODING_GZIP && c != CODING_ZSTD))
		return false;
	to = buffer_reserve(out, in.len - 1);
	if (!to)
		return false;
	made = c == CODING_GZIP ? encode_gzip(in, to, in.len - 1) : encode_zstd(in, to, in.len - 1);
	buffer_commit(out, made);
	return made > 0;
}
