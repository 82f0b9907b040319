/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * blocks - a CSV text of any length as blocks of whole records.
 *
 * A block ends behind the last line end that is not inside a quoted field; what follows is carried to the next one. A
 * record longer than CSV_RECORD_MAX is an error.
 *
 * Threads: one at a time.
 */
#include "base/base.h"

struct block_reader {
	int fd;
	char separator;
	size_t block_bytes;
	struct buffer carry; /* the beginning of a record */
	bool is_end;
	uint64_t bytes; /* read so far */
};

void block_reader_init(struct block_reader *r, int fd, char separator, size_t block_bytes);
void block_reader_done(struct block_reader *r);

/* Fills `block` (its content before is dropped). *ret_any is false at the end of the text. */
bool block_read(struct block_reader *r, struct buffer *block, bool *ret_any, struct error *err);

/* Puts bytes of a block back in front of what is read next. */
void block_put_back(struct block_reader *r, struct span bytes);

/* The length of the part of `text` that is whole records, 0 when none is; `text` begins with a record. */
size_t block_cut(struct span text, char separator);
