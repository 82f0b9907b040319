/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/csv.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

enum { COLUMNS = 3, FIELDS = 16 };

/* One pass over `text` in blocks of `size` bytes: a hash of all records and how it ended. */
static uint64_t read_records(struct span text, size_t size, struct arena *arena)
{
	struct span fields[FIELDS];
	struct error err = { 0 };
	size_t given = 0, head = 0, count;
	uint64_t hash = 0;
	struct csv c;

	csv_init(&c, ',');
	for (;;) {
		enum csv_result result;

		given = MIN(given + size, text.len);
		csv_block(&c, span_from(text.ptr + head, given - head), given == text.len);
		while ((result = csv_next(&c, fields, FIELDS, &count, arena, &err)) == CSV_RECORD)
			for (size_t i = 0; i < count; i++)
				hash = hash * 31 + span_hash(fields[i]) + c.line;
		if (result != CSV_MORE)
			return hash * 4 + result;
		if (given == text.len)
			__builtin_trap();
		head = given - (size_t)(c.end - c.at);
	}
}

static uint64_t read_rows(struct span text, size_t size)
{
	float values[COLUMNS * 2];
	struct error err = { 0 };
	size_t given = 0, head = 0, rows;
	uint64_t hash = 0;
	struct csv c;

	csv_init(&c, ',');
	for (;;) {
		enum csv_result result;

		given = MIN(given + size, text.len);
		csv_block(&c, span_from(text.ptr + head, given - head), given == text.len);
		do {
			result = csv_numbers(&c, COLUMNS, values, 2, &rows, &err);
			if (rows > 2)
				__builtin_trap();
			for (size_t i = 0; i < rows; i++)
				hash = hash * 31 + span_hash(span_from(values + i * COLUMNS, sizeof(float) * COLUMNS));
		} while (result == CSV_RECORD);
		if (result != CSV_MORE)
			return hash * 4 + result;
		if (given == text.len)
			__builtin_trap();
		head = given - (size_t)(c.end - c.at);
	}
}

/* The first byte is the size of the blocks; whole or in blocks, the same comes out. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct span text;
	struct arena arena;

	if (len == 0)
		return 0;
	arena_init(&arena, MIB(64));
	text = span_from(data + 1, len - 1);
	if (read_records(text, len, &arena) != read_records(text, (size_t)data[0] + 1, &arena))
		__builtin_trap();
	if (read_rows(text, len) != read_rows(text, (size_t)data[0] + 1))
		__builtin_trap();
	arena_done(&arena);
	return 0;
}
