/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <unistd.h>

#include "cli/blocks.h"

static void blocks_end_behind_the_last_whole_record(void **state)
{
	static const struct {
		const char *text;
		size_t cut;
	} rows[] = {
		{ "", 0 },
		{ "1,2", 0 },
		{ "1,2\n", 4 },
		{ "1,2\n3", 4 },
		{ "1,2\r\n3,4\r\n5", 10 },
		{ "\"a\nb\",2\n3", 8 },
		{ "1\n\"a\nb", 2 },             /* the line end inside is of an open field */
		{ "1\n\"a\"\"\nb\",2\n3", 12 }, /* a doubled quote does not close */
		{ "1\nit's 5\" long\n3", 15 },  /* a quote inside an unquoted field opens nothing */
		{ "1,\"x\ny\"\n2,\"", 8 },
		{ "1\r2\r3", 4 }, /* bare CRs */
		{ "1\r2\r", 2 },  /* the last one may be half of a CRLF */
		{ "\"", 0 },
		{ "\"\"", 0 },
		{ "\"\"\n", 3 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		size_t cut = block_cut(span_of(rows[i].text), ',');

		if (cut != rows[i].cut)
			fail_msg("'%s': %zu, expected %zu", rows[i].text, cut, rows[i].cut);
	}
}

static int file_with(struct span text)
{
	char path[] = "/tmp/hythe-blocks-XXXXXX";
	int fd = mkstemp(path);

	assert_true(fd >= 0);
	unlink(path);
	assert_int_equal(write(fd, text.ptr, text.len), (ssize_t)text.len);
	assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
	return fd;
}

static void blocks_together_are_the_text_whatever_their_size(void **state)
{
	static const char text[] = "a,b\n1,\"x\ny\"\n2,\"\"\"\"\r\n\n3,\"long long long long\nfield\"\n4,5\n6,7";

	(void)state;
	for (size_t size = 1; size < sizeof(text) + 2; size++) {
		int fd = file_with(SPAN(text));
		struct block_reader reader;
		struct buffer block, whole;
		struct error err = { 0 };
		bool is_any = true;

		buffer_init(&block, KIB(64));
		buffer_init(&whole, KIB(64));
		block_reader_init(&reader, fd, ',', size);
		for (;;) {
			assert_true(block_read(&reader, &block, &is_any, &err));
			if (!is_any)
				break;
			/* Every block but the last one ends a line, and is cut nowhere else. */
			assert_true(reader.is_end || block.ptr[block.len - 1] == '\n');
			buffer_append(&whole, buffer_span(&block));
		}
		assert_int_equal(whole.len, sizeof(text) - 1);
		assert_memory_equal(whole.ptr, text, sizeof(text) - 1);
		assert_int_equal(reader.bytes, sizeof(text) - 1);
		block_reader_done(&reader);
		buffer_done(&block);
		buffer_done(&whole);
		close(fd);
	}
}

static void what_is_put_back_comes_first(void **state)
{
	int fd = file_with(SPAN("a\n1\n2\n3\n"));
	struct block_reader reader;
	struct buffer block;
	struct error err = { 0 };
	bool is_any;

	(void)state;
	buffer_init(&block, KIB(64));
	block_reader_init(&reader, fd, ',', 5);
	assert_true(block_read(&reader, &block, &is_any, &err) && is_any);
	assert_true(span_equal(buffer_span(&block), SPAN("a\n1\n")));
	block_put_back(&reader, SPAN("1\n"));
	assert_true(block_read(&reader, &block, &is_any, &err) && is_any);
	assert_true(span_starts(buffer_span(&block), SPAN("1\n2\n")));
	block_reader_done(&reader);
	buffer_done(&block);
	close(fd);
}

static void a_record_without_an_end_is_an_error(void **state)
{
	size_t size = MIB(18);
	char *text = malloc(size);
	struct block_reader reader;
	struct buffer block;
	struct error err = { 0 };
	bool is_any;
	int fd;

	(void)state;
	assert_non_null(text);
	memset(text, 'x', size);
	text[0] = '"';
	fd = file_with(span_from(text, size));
	buffer_init(&block, SIZE_MAX / 4);
	block_reader_init(&reader, fd, ',', KIB(64));
	assert_false(block_read(&reader, &block, &is_any, &err));
	assert_int_equal(err.code, ERROR_TOO_LARGE);
	block_reader_done(&reader);
	buffer_done(&block);
	close(fd);
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(blocks_end_behind_the_last_whole_record),
		cmocka_unit_test(blocks_together_are_the_text_whatever_their_size),
		cmocka_unit_test(what_is_put_back_comes_first),
		cmocka_unit_test(a_record_without_an_end_is_an_error),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
