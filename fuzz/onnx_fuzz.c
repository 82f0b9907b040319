/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes either fail to load with a reason, or give a model that runs on two rows without a sanitizer's word. */
#include <stdlib.h>

#include "models/model.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static bool make_inputs(const struct model_info *info, struct tensor *inputs, struct arena *arena, struct error *err)
{
	for (size_t i = 0; i < info->input_count; i++) {
		const struct tensor_spec *s = &info->inputs[i];
		int64_t shape[TENSOR_RANK_MAX];
		size_t count;

		for (int d = 0; d < s->rank; d++)
			shape[d] = s->shape[d] >= 0 ? s->shape[d] : d == 0 ? 2 : 3;
		if (!tensor_count(s->rank, shape, &count, err) || count > 4096 ||
		    !tensor_new(&inputs[i], s->name, s->dtype, s->rank, shape, arena, err))
			return false;
		for (size_t k = 0; k < count * dtype_size(s->dtype); k++)
			((uint8_t *)inputs[i].data)[k] = s->dtype == DTYPE_BOOL ? k & 1 : (uint8_t)(k * 37);
		for (size_t k = 0; s->dtype == DTYPE_BYTES && k < count; k++)
			((struct span *)inputs[i].data)[k] = k & 1 ? SPAN("a good \xC3\xBC") : SPAN("");
	}
	return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static const struct model_options options = { .onnxruntime = "/nonexistent" };
	struct tensor inputs[16], results[64];
	struct error err = { 0 };
	const struct model_info *info;
	struct arena arena;
	struct model *m;

	m = model_load_bytes(span_from(data, len), &options, &err);
	if (!m) {
		if (err.code == ERROR_NONE || err.message[0] == 0)
			__builtin_trap(); /* a refusal has a reason */
		return 0;
	}
	info = model_info(m);
	arena_init(&arena, MIB(8));
	if (info->input_count <= 16 && make_inputs(info, inputs, &arena, &err)) {
		err = (struct error){ 0 };
		if (!model_run(m, inputs, UINT64_MAX, results, &arena, &err) && err.code == ERROR_NONE)
			__builtin_trap();
	}
	arena_done(&arena);
	model_unref(m);
	return 0;
}
