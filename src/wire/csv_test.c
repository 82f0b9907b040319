/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "wire/csv.h"

/*
 * Reads `text` through blocks of at most `size` bytes, as a file would be. Records come out as "a|b;c|d;", then "." at
 * the end or "!" and the message.
 */
static void read_in_blocks(struct span text, size_t size, char *out, size_t out_size)
{
	struct error err = { 0 };
	struct arena scratch;
	struct span fields[8];
	size_t len = 0, given = 0, count, head = 0;
	struct csv c;

	arena_init(&scratch, KIB(64));
	csv_init(&c, ',');
	for (;;) {
		/* Memory of the block's exact size, so that a sanitizer sees a read beyond it. */
		size_t end = MIN(given + size, text.len);
		char *block = base_alloc(end - head);
		enum csv_result result;

		if (end > head)
			memcpy(block, text.ptr + head, end - head);
		given = end;
		csv_block(&c, span_from(block, end - head), end == text.len);
		while ((result = csv_next(&c, fields, ARRAY_LEN(fields), &count, &scratch, &err)) == CSV_RECORD) {
			for (size_t i = 0; i < count; i++)
				len += (size_t)snprintf(out + len, out_size - len, i ? "|" SPAN_FMT : SPAN_FMT,
							SPAN_ARG(fields[i]));
			len += (size_t)snprintf(out + len, out_size - len, ";");
		}
		head = end - (size_t)(c.end - c.at);
		free(block);
		if (result == CSV_END || result == CSV_FAILED) {
			snprintf(out + len, out_size - len, result == CSV_END ? "." : "!%s", err.message);
			break;
		}
		assert_true(end < text.len);
	}
	arena_done(&scratch);
}

static void records_come_out_the_same_from_blocks_of_any_size(void **state)
{
	static const struct {
		struct span text;
		const char *records;
	} rows[] = {
#define ROW(text, records) { SPAN_INIT(text), records }
		ROW("", "."),
		ROW("\n", "."),
		ROW("a,b\nc,d\n", "a|b;c|d;."),
		ROW("a,b\nc,d", "a|b;c|d;."),
		ROW("a,b\r\nc,d\r\n", "a|b;c|d;."),
		ROW("a,b\rc,d\r", "a|b;c|d;."),
		ROW("a,b\r\n\r\n\n\rc,d", "a|b;c|d;."),
		ROW("\xef\xbb\xbf"
		    "a,b\n",
		    "a|b;."),
		ROW("a,,\n", "a||;."),
		ROW(",\n", "|;."),
		ROW(" a , b \n", " a | b ;."),
		ROW("\"a\",\"b\"\n", "a|b;."),
		ROW("\"\",\"\"", "|;."),
		ROW("\"a,b\",\"c\nd\",\"e\"\"f\"\n", "a,b|c\nd|e\"f;."),
		ROW("\"\"\"\"\n", "\";."),
		ROW("\"\"\"\"\"\"", "\"\";."),
		ROW("a\"b,c\n", "a\"b|c;."),
		ROW("a field that is longer than one block,of the search\nx\n",
		    "a field that is longer than one block|of the search;x;."),
		ROW("\"open\n", "!CSV line 1: a quoted field has no closing quote"),
		ROW("a\n\"b\"c\n", "a;!CSV line 2: 'c' behind a closing quote, expected ',' or the line's end"),
		ROW("\"a\nb\"\nc\n\"d\"e",
		    "a\nb;c;!CSV line 4: 'e' behind a closing quote, expected ',' or the line's end"),
		ROW("1,2,3,4,5,6,7,8,9\n", "!CSV line 1: more than 8 fields"),
#undef ROW
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		for (size_t size = 1; size <= rows[i].text.len + 1; size++) {
			char got[512];

			read_in_blocks(rows[i].text, size, got, sizeof(got));
			if (strcmp(got, rows[i].records) != 0)
				fail_msg("row %zu in blocks of %zu: '%s', expected '%s'", i, size, got,
					 rows[i].records);
		}
	}
}

static void lines_are_counted_through_quotes_and_empty_lines(void **state)
{
	struct error err = { 0 };
	struct arena scratch;
	struct span fields[4];
	struct csv c;
	size_t count;

	(void)state;
	arena_init(&scratch, KIB(4));
	csv_init(&c, ';');
	csv_block(&c, SPAN("\n\na;b\n\"x\r\ny\";1\nlast"), true);
	assert_int_equal(csv_next(&c, fields, 4, &count, &scratch, &err), CSV_RECORD);
	assert_int_equal(c.line, 3);
	assert_int_equal(csv_next(&c, fields, 4, &count, &scratch, &err), CSV_RECORD);
	assert_int_equal(c.line, 4);
	assert_int_equal(csv_next(&c, fields, 4, &count, &scratch, &err), CSV_RECORD);
	assert_int_equal(c.line, 6);
	assert_int_equal(csv_next(&c, fields, 4, &count, &scratch, &err), CSV_END);
	arena_done(&scratch);
}

/* "1 2;3 nan;." */
static void read_numbers(struct span text, size_t size, size_t max_rows, char *out, size_t out_size)
{
	struct error err = { 0 };
	size_t len = 0, given = 0, head = 0, rows;
	float values[8];
	struct csv c;

	csv_init(&c, ',');
	for (;;) {
		size_t end = MIN(given + size, text.len);
		char *block = base_alloc(end - head);
		enum csv_result result;

		if (end > head)
			memcpy(block, text.ptr + head, end - head);
		given = end;
		csv_block(&c, span_from(block, end - head), end == text.len);
		do {
			result = csv_numbers(&c, 2, values, max_rows, &rows, &err);
			for (size_t i = 0; i < rows; i++)
				len += (size_t)snprintf(out + len, out_size - len, "%g %g;", (double)values[2 * i],
							(double)values[2 * i + 1]);
		} while (result == CSV_RECORD);
		head = end - (size_t)(c.end - c.at);
		free(block);
		if (result == CSV_END || result == CSV_FAILED) {
			snprintf(out + len, out_size - len, result == CSV_END ? "." : "!%s", err.message);
			break;
		}
		assert_true(end < text.len);
	}
}

static void rows_of_numbers_come_out_the_same_from_blocks_of_any_size(void **state)
{
	static const struct {
		struct span text;
		const char *rows;
	} rows[] = {
#define ROW(text, rows) { SPAN_INIT(text), rows }
		ROW("", "."),
		ROW("1,2\n3,4\n", "1 2;3 4;."),
		ROW("1,2\n3,4", "1 2;3 4;."),
		ROW("1.5,-2e3\r\n.5,+4.\r\n", "1.5 -2000;0.5 4;."),
		ROW("1,2\r3,4\r5,6", "1 2;3 4;5 6;."),
		ROW("\n\n1,2\n\n\n3,4\n\n", "1 2;3 4;."),
		ROW("\xef\xbb\xbf"
		    "1,2",
		    "1 2;."),
		ROW(",\nNA,nan\nnull,NaN\n", "nan nan;nan nan;nan nan;."),
		ROW("1,\n", "1 nan;."),
		ROW(" 1 ,\t2 \n", "1 2;."),
		ROW("\"1\",\"2.5\"\n\"\",3", "1 2.5;nan 3;."),
		ROW("inf,-inf\n", "inf -inf;."),
		ROW("1,2\n3,x\n5,6\n", "1 2;!CSV line 2, column 2: expected a number, found 'x'"),
		ROW("1,2\n3\n", "1 2;!CSV line 2: 1 fields, expected 2"),
		ROW("1,2\n3,4,5\n", "1 2;!CSV line 2: 3 fields, expected 2"),
		ROW("1,2\n\n3,4,\n", "1 2;!CSV line 3: 3 fields, expected 2"),
		ROW("1;2\n", "!CSV line 1, column 1: expected a number, found '1;2'"),
		ROW("0.1234567890123456789,1e-50\n", "0.123457 0;."),
#undef ROW
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		for (size_t size = 1; size <= rows[i].text.len + 1; size++) {
			char got[512];

			read_numbers(rows[i].text, size, 1 + size % 4, got, sizeof(got));
			if (strcmp(got, rows[i].rows) != 0)
				fail_msg("row %zu in blocks of %zu: '%s', expected '%s'", i, size, got, rows[i].rows);
		}
	}
}

static void a_record_without_end_passes_a_limit(void **state)
{
	size_t size = CSV_RECORD_MAX + 2;
	char *text = base_alloc(size);
	struct error err = { 0 };
	struct span fields[1];
	struct csv c;
	size_t count;
	float value;

	(void)state;
	memset(text, '1', size);
	csv_init(&c, ',');
	csv_block(&c, span_from(text, size), false);
	assert_int_equal(csv_next(&c, fields, 1, &count, NULL, &err), CSV_FAILED);
	assert_int_equal(err.code, ERROR_TOO_LARGE);
	err = (struct error){ 0 };
	assert_int_equal(csv_numbers(&c, 1, &value, 1, &count, &err), CSV_FAILED);
	assert_int_equal(err.code, ERROR_TOO_LARGE);
	free(text);
}

static void fields_are_quoted_when_they_must_be(void **state)
{
	static const char *const rows[][2] = { { "", "" },
					       { "a", "a" },
					       { "a b", "a b" },
					       { "a,b", "\"a,b\"" },
					       { "a\nb", "\"a\nb\"" },
					       { "\r", "\"\r\"" },
					       { "\"", "\"\"\"\"" },
					       { "a\"b\"", "\"a\"\"b\"\"\"" },
					       { "a;b", "a;b" } };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct buffer out;

		buffer_init(&out, 100);
		csv_write_field(&out, span_of(rows[i][0]), ',');
		assert_true(span_equal(buffer_span(&out), span_of(rows[i][1])));
		buffer_done(&out);
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(records_come_out_the_same_from_blocks_of_any_size),
		cmocka_unit_test(lines_are_counted_through_quotes_and_empty_lines),
		cmocka_unit_test(rows_of_numbers_come_out_the_same_from_blocks_of_any_size),
		cmocka_unit_test(a_record_without_end_passes_a_limit),
		cmocka_unit_test(fields_are_quoted_when_they_must_be),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
