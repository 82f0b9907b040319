/* SPDX-License-Identifier: Apache-2.0 */
#include "net/coding.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>
#include <libdeflate.h>
#include <zlib.h>
#include <zstd.h>

static struct span sample(struct buffer *b, size_t len)
{
	buffer_init(b, SIZE_MAX / 2);
	while (b->len < len)
		buffer_print(b, "%zu,", b->len * 7919);
	b->len = len;
	return buffer_span(b);
}

/* Streams as other programs make them: zlib's, with window bits that choose the format. */
static void zlib_pack(struct span in, int window_bits, struct buffer *out)
{
	z_stream z = { 0 };

	buffer_init(out, SIZE_MAX / 2);
	assert_int_equal(deflateInit2(&z, 6, Z_DEFLATED, window_bits, 8, Z_DEFAULT_STRATEGY), Z_OK);
	z.next_in = (Bytef *)in.ptr;
	z.avail_in = (uInt)in.len;
	z.next_out = (Bytef *)buffer_reserve(out, in.len + 1000);
	z.avail_out = (uInt)(in.len + 1000);
	assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
	buffer_commit(out, z.total_out);
	deflateEnd(&z);
}

static void what_others_compress_is_read(void **state)
{
	static const struct {
		enum coding coding;
		int window_bits;
	} rows[] = { { CODING_GZIP, 15 + 16 }, { CODING_DEFLATE, 15 }, { CODING_DEFLATE, -15 } };
	static const size_t sizes[] = { 0, 1, 100, 4096, 300000 };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		for (size_t j = 0; j < ARRAY_LEN(sizes); j++) {
			struct buffer plain, packed, out;
			struct span text = sample(&plain, sizes[j]);
			struct error err = { 0 };

			zlib_pack(text, rows[i].window_bits, &packed);
			buffer_init(&out, sizes[j]); /* the limit is just enough */
			assert_true(coding_decode(rows[i].coding, buffer_span(&packed), &out, "--limit", &err));
			assert_true(span_equal(buffer_span(&out), text));
			buffer_done(&plain);
			buffer_done(&packed);
			buffer_done(&out);
		}
	}
}

static void several_gzip_members_are_one_body(void **state)
{
	struct buffer one, two, out;
	struct error err = { 0 };

	(void)state;
	zlib_pack(SPAN("hello "), 31, &one);
	zlib_pack(SPAN("world"), 31, &two);
	buffer_append(&one, buffer_span(&two));
	buffer_init(&out, 100);
	assert_true(coding_decode(CODING_GZIP, buffer_span(&one), &out, "--limit", &err));
	assert_true(span_equal(buffer_span(&out), SPAN("hello world")));
	buffer_done(&one);
	buffer_done(&two);
	buffer_done(&out);
}

static void what_we_compress_is_read_back(void **state)
{
	static const enum coding codings[] = { CODING_GZIP, CODING_ZSTD };
	static const size_t sizes[] = { 1000, 4096, 300000 };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(codings); i++) {
		for (size_t j = 0; j < ARRAY_LEN(sizes); j++) {
			struct buffer plain, packed, out;
			struct span text = sample(&plain, sizes[j]);
			struct error err = { 0 };

			buffer_init(&packed, SIZE_MAX / 2);
			buffer_init(&out, sizes[j]);
			assert_true(coding_encode(codings[i], text, &packed));
			assert_true(packed.len < text.len);
			assert_true(coding_decode(codings[i], buffer_span(&packed), &out, "--limit", &err));
			assert_true(span_equal(buffer_span(&out), text));
			buffer_done(&plain);
			buffer_done(&packed);
			buffer_done(&out);
		}
	}
}

static void a_body_that_does_not_shrink_is_left_alone(void **state)
{
	struct buffer out;

	(void)state;
	buffer_init(&out, 1000);
	assert_false(coding_encode(CODING_GZIP, SPAN("abc"), &out));
	assert_false(coding_encode(CODING_ZSTD, SPAN("abc"), &out));
	assert_false(coding_encode(CODING_ZSTD, SPAN(""), &out));
	assert_int_equal(out.len, 0);
	buffer_done(&out);
}

static void a_bomb_costs_no_more_than_the_limit(void **state)
{
	static char zeros[10 * 1024 * 1024];
	struct buffer packed[4], out;

	(void)state;
	zlib_pack(span_from(zeros, sizeof(zeros)), 31, &packed[0]);
	zlib_pack(span_from(zeros, sizeof(zeros)), 15, &packed[1]);
	buffer_init(&packed[2], SIZE_MAX / 2);
	assert_true(coding_encode(CODING_ZSTD, span_from(zeros, sizeof(zeros)), &packed[2]));
	/* The last four bytes of gzip tell the size: here they lie. */
	buffer_init(&packed[3], SIZE_MAX / 2);
	buffer_append(&packed[3], buffer_span(&packed[0]));
	memset(packed[3].ptr + packed[3].len - 4, 0, 4);
	for (size_t i = 0; i < 4; i++) {
		static const enum coding codings[] = { CODING_GZIP, CODING_DEFLATE, CODING_ZSTD, CODING_GZIP };
		struct error err = { 0 };

		buffer_init(&out, 100000);
		assert_false(coding_decode(codings[i], buffer_span(&packed[i]), &out, "--max-body-bytes", &err));
		assert_int_equal(err.code, ERROR_TOO_LARGE);
		assert_non_null(strstr(err.message, "100000 bytes (--max-body-bytes)"));
		assert_true(out.cap <= 100000);
		assert_int_equal(out.len, 0);
		buffer_done(&out);
		buffer_done(&packed[i]);
	}
}

static void damaged_bodies_are_invalid(void **state)
{
	static const enum coding codings[] = { CODING_GZIP, CODING_ZSTD };
	struct buffer plain, packed, out;
	struct span text = sample(&plain, 5000);

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(codings); i++) {
		struct error err = { 0 };

		buffer_init(&packed, SIZE_MAX / 2);
		assert_true(coding_encode(codings[i], text, &packed));
		for (size_t len = 1; len < packed.len; len += 7) { /* cut anywhere */
			buffer_init(&out, 10000);
			err.code = ERROR_NONE;
			assert_false(
			    coding_decode(codings[i], span_first(buffer_span(&packed), len), &out, "--limit", &err));
			assert_int_equal(err.code, ERROR_INVALID);
			assert_int_equal(out.len, 0);
			buffer_done(&out);
		}
		buffer_append(&packed, SPAN("behind")); /* and something behind it */
		buffer_init(&out, 10000);
		assert_false(coding_decode(codings[i], buffer_span(&packed), &out, "--limit", &err));
		buffer_done(&out);
		buffer_done(&packed);
	}
	buffer_done(&plain);
}

/* A frame that does not tell its size, as streaming encoders write it. */
static void zstd_without_a_size_is_read(void **state)
{
	struct buffer plain, packed, out;
	struct span text = sample(&plain, 200000);
	ZSTD_inBuffer source = { text.ptr, text.len, 0 };
	ZSTD_CStream *z = ZSTD_createCStream();
	struct error err = { 0 };
	ZSTD_outBuffer sink;

	(void)state;
	buffer_init(&packed, SIZE_MAX / 2);
	sink = (ZSTD_outBuffer){ buffer_reserve(&packed, 200000), 200000, 0 };
	assert_int_equal(ZSTD_compressStream2(z, &sink, &source, ZSTD_e_flush), 0);
	assert_int_equal(ZSTD_compressStream2(z, &sink, &source, ZSTD_e_end), 0);
	packed.len = sink.pos;
	ZSTD_freeCStream(z);
	buffer_init(&out, 200000);
	assert_true(coding_decode(CODING_ZSTD, buffer_span(&packed), &out, "--limit", &err));
	assert_true(span_equal(buffer_span(&out), text));
	buffer_done(&out);
	buffer_init(&out, 199999);
	assert_false(coding_decode(CODING_ZSTD, buffer_span(&packed), &out, "--limit", &err));
	assert_int_equal(err.code, ERROR_TOO_LARGE);
	buffer_done(&out);
	buffer_done(&packed);
	buffer_done(&plain);
}

static void accept_encoding_chooses_by_weight(void **state)
{
	static const struct {
		const char *accept;
		enum coding coding;
	} rows[] = {
		{ "gzip", CODING_GZIP },
		{ "GZIP", CODING_GZIP },
		{ "x-gzip", CODING_GZIP },
		{ "gzip, deflate, br", CODING_GZIP },
		{ "gzip, deflate, br, zstd", CODING_ZSTD },
		{ "zstd;q=0.5, gzip", CODING_GZIP },
		{ "zstd ; q=0.5 , gzip ; q=0.4", CODING_ZSTD },
		{ "zstd;q=0, gzip;q=0.001", CODING_GZIP },
		{ "zstd;q=0, gzip;q=0", CODING_IDENTITY },
		{ "identity", CODING_IDENTITY },
		{ "identity, gzip;q=0.5", CODING_IDENTITY },
		{ "identity;q=0.5, gzip;q=0.5", CODING_GZIP },
		{ "*", CODING_GZIP },
		{ "*;q=0", CODING_IDENTITY },
		{ "gzip;q=0, *", CODING_IDENTITY },
		{ "br", CODING_IDENTITY },
		{ "", CODING_IDENTITY },
		{ ",,", CODING_IDENTITY },
		{ "gzip;q=2", CODING_IDENTITY },
		{ "gzip;q=x", CODING_IDENTITY },
		{ "gzip;q=", CODING_IDENTITY },
		{ "gzip;q=0.1234", CODING_IDENTITY },
		{ "gzip;level=9;q=1.0", CODING_GZIP },
		{ "gzip;q=1.001", CODING_IDENTITY },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		assert_int_equal(coding_choose(span_of(rows[i].accept)), rows[i].coding);
}

static void content_encoding_is_a_list(void **state)
{
	enum coding codings[CODING_LIST_MAX];
	struct error err = { 0 };
	size_t count = 9;

	(void)state;
	assert_true(coding_list_parse(SPAN("gzip"), codings, &count, &err));
	assert_int_equal(count, 1);
	assert_true(coding_list_parse(SPAN(" identity , zstd,, x-GZIP"), codings, &count, &err));
	assert_int_equal(count, 2);
	assert_int_equal(codings[0], CODING_ZSTD);
	assert_int_equal(codings[1], CODING_GZIP);
	assert_true(coding_list_parse(SPAN(""), codings, &count, &err));
	assert_int_equal(count, 0);
	assert_false(coding_list_parse(SPAN("br"), codings, &count, &err));
	assert_int_equal(err.code, ERROR_UNSUPPORTED_MEDIA);
	assert_false(coding_list_parse(SPAN("gzip,gzip,gzip,gzip"), codings, &count, &err));
	assert_true(coding_list_has(SPAN("identity, deflate,gzip"), CODING_GZIP));
	assert_false(coding_list_has(SPAN("identity"), CODING_GZIP));
	assert_string_equal(coding_name(CODING_GZIP), "gzip");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_others_compress_is_read),
		cmocka_unit_test(several_gzip_members_are_one_body),
		cmocka_unit_test(what_we_compress_is_read_back),
		cmocka_unit_test(a_body_that_does_not_shrink_is_left_alone),
		cmocka_unit_test(a_bomb_costs_no_more_than_the_limit),
		cmocka_unit_test(damaged_bodies_are_invalid),
		cmocka_unit_test(zstd_without_a_size_is_read),
		cmocka_unit_test(accept_encoding_chooses_by_weight),
		cmocka_unit_test(content_encoding_is_a_list),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
