/* SPDX-License-Identifier: Apache-2.0 */
/* echo - the builtin model that gives its input back, whatever its type and shape, without a copy. */
#include "models/table.h"

static struct model *echo_load(struct span bytes, const struct model_options *options, struct error *err)
{
	struct model *m = model_new(&format_echo, sizeof(*m));
	struct tensor_spec *specs = arena_calloc(&m->arena, 2, sizeof(*specs), err);

	(void)bytes;
	(void)options;
	if (!specs) {
		model_unref(m);
		return NULL;
	}
	specs[0] = (struct tensor_spec){ .name = SPAN("input"), .dtype = DTYPE_FP64, .rank = 1, .shape = { -1 } };
	specs[1] = (struct tensor_spec){ .name = SPAN("output"), .dtype = DTYPE_FP64, .rank = 1, .shape = { -1 } };
	m->info = (struct model_info){
		.kind = SPAN("echo: gives its input back"),
		.platform = SPAN("echo"),
		.inputs = &specs[0],
		.outputs = &specs[1],
		.input_count = 1,
		.output_count = 1,
		.any_input = true,
		.takes_missing = true,
		.label_output = -1,
		.bytes = sizeof(*m),
		.cost_ns_call = 10,
	};
	return m;
}

static bool echo_run(const struct model *m, const struct tensor *inputs, uint64_t wanted, struct tensor *results,
		     struct arena *arena, struct error *err)
{
	(void)arena;
	(void)err;
	if (wanted & 1) {
		results[0] = inputs[0];
		results[0].name = m->info.outputs[0].name;
	}
	return true;
}

const struct model_format format_echo = { .name = "echo", .load = echo_load, .run = echo_run };
