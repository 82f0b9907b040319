/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * records - private to inference: rows of named columns, read straight into a model's input.
 *
 * A model takes a table when it has one matrix [rows, columns], or one input [rows] or [rows, 1] a column. Cells are
 * written where the model will read them, in its own type.
 *
 * Columns: unknown, repeated and missing ones are INVALID and named, unless the model takes missing values (then a
 * missing column, null and an empty CSV field are NaN). Rows without names (JSON lists, CSV without a header) go by
 * their order. Values:  numbers; booleans as 1 and 0; in CSV and queries also numbers as text. Text where the model's
 * column is text. Ownership: everything is cut from the arena, or points into the text.
 */
#include "inference/inference.h"

struct records {
	const struct served *served;
	const struct span *names; /* of the columns; NULL: not known */
	size_t columns;           /* 0: not known before the first row */
	struct arena *arena;
	size_t rows, room;
	struct tensor *inputs; /* one matrix, or one a column; complete when a reader returned true */
	size_t input_count;
	bool is_matrix;
	uint32_t *seen;  /* by column: the row, from 1, that had it last */
	uint32_t *slots; /* open addressing by name, made when keys come in another order than the columns */
	uint32_t slot_mask;
};

#define RECORDS_ROWS_MAX    (1u << 30)
#define RECORDS_COLUMNS_MAX (1u << 20)

/* INVALID when the model does not take a table. */
bool records_init(struct records *r, const struct served *served, struct arena *arena, struct error *err) MUST_CHECK;

/* One object (or a list of objects or of lists: *ret_is_list). */
bool records_read_json(struct records *r, struct span text, bool *ret_is_list, struct error *err) MUST_CHECK;

/* One row from a query or form; `output` in it is not a column unless the model has one of that name. */
bool records_read_form(struct records *r, struct span text, struct error *err) MUST_CHECK;

/* A header line with the columns in any order, or none when the first line is numbers. */
bool records_read_csv(struct records *r, struct span text, struct error *err) MUST_CHECK;

/* The answer for `result`: X, or a list of them. For a binary classifier's score X is the probability of the second
 * class. */
bool records_write_json(struct buffer *out, const struct served *served, const struct tensor *result, bool is_score,
			bool is_list, struct arena *arena, struct error *err) MUST_CHECK;
bool records_write_csv(struct buffer *out, const struct served *served, const struct tensor *result, bool is_score,
		       struct arena *arena, struct error *err) MUST_CHECK;
