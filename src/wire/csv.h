/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * csv - RFC 4180 texts, and what people call CSV: LF, CRLF or bare CR line ends, a byte order mark, quoted fields with
 * doubled quotes and line ends inside, a missing last line end. No trimming; the separator is the caller's.
 *
 * The reader takes whole blocks; a record cut off by the block's end is left for the next one, so files of any length
 * stream through a fixed buffer.
 */
#include "base/base.h"

#define CSV_FIELDS_MAX 65536   /* fields of one record */
#define CSV_RECORD_MAX MIB(16) /* bytes of one record */

struct csv {
	const char *at, *end;
	bool is_last; /* no bytes follow `end` */
	char separator;
	uint64_t line; /* of the record last read, from 1; for messages */
	uint64_t next_line;
	bool is_begun; /* private: past the place of a byte order mark */
};

void csv_init(struct csv *c, char separator);

/* Gives the next block; a byte order mark at the very start of the first is passed over. What the last block left over
 * (c->at .. c->end) must stand at the head of this one. */
void csv_block(struct csv *c, struct span block, bool is_last);

enum csv_result { CSV_RECORD, CSV_MORE, CSV_END, CSV_FAILED };

/*
 * Reads one record into `fields` (at most `max`). Quoted fields with doubled quotes are unquoted into `scratch`; others
 * are spans into the block. CSV_MORE: the block holds no whole record any more; feed the next. Empty lines are passed
 * over.
 */
enum csv_result csv_next(struct csv *c, struct span *fields, size_t max, size_t *ret_count, struct arena *scratch,
			 struct error *err);

/* Reads up to `max_rows` records of exactly `columns` numbers (empty, NA, nan, null: NaN) straight into `values`,
 * row-major; *ret_rows says how many, whatever the result. CSV_RECORD: `max_rows` were read, more may stand in the
 * block; CSV_MORE: the block holds no further whole record; CSV_END: the text is over; CSV_FAILED: the error names line
 * and column, the rows before it are in `values`. Space around a number is passed over. The hot path of scoring a file.
 */
enum csv_result csv_numbers(struct csv *c, size_t columns, float *values, size_t max_rows, size_t *ret_rows,
			    struct error *err);

/* Writes one field, quoted when it must be; the caller writes separators and line ends. */
void csv_write_field(struct buffer *out, struct span field, char separator);
