/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * score - from raw sums to a model's outputs: the objective's transform, probabilities, labels. Shared by the formats
 * that end in one; private to the room.
 *
 * Classifiers have "probabilities" [-1, K] and "label" [-1], the class; with two classes also "predict"
 * [-1], the probability of the second, as the training libraries give it. All others have "predict", [-1] or [-1, T].
 *
 * Transforms are computed in double, whatever the sums are, and rounded once.
 */
#include "models/model.h"

enum score_transform {
	SCORE_IDENTITY,
	SCORE_SIGMOID, /* 1 / (1 + exp(-scale * x)) */
	SCORE_SOFTMAX, /* over a row's sums */
	SCORE_EXP,
	SCORE_LOG1P_EXP,     /* log(1 + exp(x)) */
	SCORE_SIGNED_SQUARE, /* x * |x| */
	SCORE_STEP,          /* 1 when x > 0, else 0 */
};

struct score {
	enum score_transform transform;
	double scale;
	bool is_double;     /* sums and outputs are FP64, else FP32 */
	bool is_classifier; /* with one sum a row: two classes */
	size_t targets;     /* sums of a row */
	/* Classifiers: what "label" holds for each class. Both NULL: the class's number. Texts make it BYTES. */
	const int64_t *labels;
	const struct span *label_texts;
};

/* Fills inputs ("input" [-1, features]), outputs, task and classes of the model's info. `input` is its dtype. Class
 * names are those given, or their numbers when NULL. */
bool score_describe(const struct score *s, struct model *m, enum dtype input, size_t features,
		    const struct span *class_names, struct error *err) MUST_CHECK;

/* Room for the sums of the input's rows. */
void *score_sums(const struct score *s, const struct tensor *input, struct arena *arena, struct error *err);

/* From sums to the outputs wanted. */
bool score_finish(const struct score *s, const struct model *m, const void *sums, size_t rows, uint64_t wanted,
		  struct tensor *results, struct arena *arena, struct error *err) MUST_CHECK;
