/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * score - rows of CSV text through a model and back to CSV text.
 *
 * A plan says which column of the file goes where and what is written; it is made once from the model and the file's
 * first record, and is immutable then. A scorer is one thread's working memory.
 *
 * Threads: a plan may be shared; a scorer belongs to one thread.
 * Errors:  INVALID with line and column of the file.
 */
#include "models/model.h"

struct score_options {
	const char *const *features; /* names of the columns when the model knows none */
	size_t feature_count;
	const char *output_name;  /* NULL: the scores */
	const char *label_column; /* NULL, or one that is in the file and not the model's */
	char separator;
	bool keep_columns, strict, skip_bad;
};

struct score_plan {
	const struct model *model;
	const struct model_info *info;
	struct score_options options;
	const struct span *names; /* of the model's columns, or NULL */
	size_t *from;             /* for each of the model's columns, the field of the record */
	size_t column_count, field_count;
	bool has_header, is_matrix;
	bool is_direct;      /* all fields are the model's columns in order, as floats: the fast path */
	size_t batch;        /* rows of a call */
	size_t output;       /* index of the model's output that is written */
	size_t width;        /* elements of it in a row */
	size_t first, count; /* which of them are written */
	struct buffer head;  /* the output's first line */
};

/*
 * Reads the first record of `block` (the file's beginning). *ret_used says how many bytes of it are the header, 0
 * without one, and *ret_line on which line the data begin.
 */
bool score_plan_make(struct score_plan *plan, const struct model *model, const struct score_options *options,
		     struct span block, size_t *ret_used, uint64_t *ret_line, struct arena *arena, struct error *err);
void score_plan_done(struct score_plan *plan);

/* A record's own text, without the line ends around it. */
static inline struct span score_line(const char *start, const char *end)
{
	while (start < end && (*start == '\n' || *start == '\r'))
		start++;
	while (end > start && (end[-1] == '\n' || end[-1] == '\r'))
		end--;
	return (struct span){ start, (size_t)(end - start) };
}

struct scorer;

struct score_counts {
	uint64_t rows, bad, lines;
};

struct scorer *scorer_new(const struct score_plan *plan);
void scorer_free(struct scorer *s);

/* Scores a block of whole records, the first of which stands on line `first_line`, and appends to `out`. */
bool scorer_run(struct scorer *s, struct span block, uint64_t first_line, struct buffer *out, struct score_counts *ret,
		struct error *err);
