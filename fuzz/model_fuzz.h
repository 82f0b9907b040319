/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* model_fuzz - what all fuzz targets of model formats do with the bytes: load them, and run what loads on some rows. */
#include <math.h>

#include "models/model.h"

#define FUZZ_ROWS     11 /* over and under the number from which rows go together */
#define FUZZ_FEATURES 4096
#define FUZZ_OUTPUTS  4096

static inline void fuzz_run(const struct model *m, int64_t rows)
{
	static const double values[] = { 0, -0.0, 1, -1, 0.5, 3.5, NAN, INFINITY, -INFINITY, 1e-36, 1e300, 17, 70000 };
	const struct model_info *info = model_info(m);
	const struct tensor_spec *spec = &info->inputs[0];
	int64_t shape[] = { rows, spec->shape[1] };
	struct error err = { 0 };
	struct tensor from, input, results[4];
	struct arena arena;

	if (info->input_count != 1 || spec->rank != 2 || spec->shape[1] > FUZZ_FEATURES || info->output_count > 4 ||
	    info->outputs[0].shape[1] > FUZZ_OUTPUTS)
		return;
	arena_init(&arena, MIB(64));
	if (tensor_new(&from, SPAN("x"), DTYPE_FP64, 2, shape, &arena, &err)) {
		for (size_t i = 0; i < from.count; i++)
			((double *)from.data)[i] = values[i * 7 % ARRAY_LEN(values)];
		if (tensor_convert(&from, spec->dtype, &arena, &input, &err))
			(void)model_run(m, &input, ((uint64_t)1 << info->output_count) - 1, results, &arena, &err);
	}
	arena_done(&arena);
}

static inline void fuzz_model(const struct model_format *format, const uint8_t *data, size_t len)
{
	static const struct model_options options = { 0 };
	struct error err = { 0 };
	struct model *m = format->load(span_from(data, len), &options, &err);

	if (!m && (err.code == ERROR_NONE || err.message[0] == '\0'))
		__builtin_trap(); /* a refusal says why */
	if (!m)
		return;
	fuzz_run(m, 1);
	fuzz_run(m, FUZZ_ROWS);
	model_unref(m);
}
