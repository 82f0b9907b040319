/* SPDX-License-Identifier: Apache-2.0 */
/* Rows for a model, as JSON, CSV and queries: the first byte picks the source and the model. */
#include "inference/multipart.h"
#include "inference/records.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static struct tensor_spec matrix[] = { { SPAN_INIT("x"), DTYPE_FP32, 2, { -1, 3 } } };
static struct tensor_spec typed[] = {
	{ SPAN_INIT("age"), DTYPE_FP16, 2, { -1, 1 } },
	{ SPAN_INIT("town"), DTYPE_BYTES, 2, { -1, 1 } },
	{ SPAN_INIT("count"), DTYPE_INT8, 1, { -1 } },
};
static struct tensor_spec anything[] = { { SPAN_INIT("input"), DTYPE_FP64, 1, { -1 } } };
static struct span abc[] = { SPAN_INIT("a"), SPAN_INIT("b"), SPAN_INIT("c") };
static struct span typed_names[] = { SPAN_INIT("age"), SPAN_INIT("town"), SPAN_INIT("count") };

static const struct model_info matrix_info = { .inputs = matrix, .input_count = 1, .feature_count = 3 };
static const struct model_info missing_info = {
	.inputs = matrix, .input_count = 1, .feature_count = 3, .takes_missing = true
};
static const struct model_info typed_info = { .inputs = typed, .input_count = 3, .feature_count = 3 };
static const struct model_info echo_info = { .inputs = anything, .input_count = 1, .any_input = true };

static const struct served models[] = {
	{ .name = SPAN_INIT("m"), .info = &matrix_info, .columns = abc, .column_count = 3 },
	{ .name = SPAN_INIT("m"), .info = &missing_info, .columns = abc, .column_count = 3 },
	{ .name = SPAN_INIT("m"), .info = &typed_info, .columns = typed_names, .column_count = 3 },
	{ .name = SPAN_INIT("m"), .info = &echo_info },
};

/* Every cell is read, so that a sanitizer sees one that was never written. */
static void cells_touch(const struct records *r)
{
	static volatile double sink;

	for (size_t i = 0; i < r->input_count; i++) {
		for (size_t k = 0; k < r->inputs[i].count; k++)
			sink = tensor_get(&r->inputs[i], k);
	}
	(void)sink;
}

static void form_split(struct span body)
{
	struct multipart_part part;
	struct multipart m;
	struct error err = { 0 };

	if (!multipart_init(&m, SPAN("multipart/form-data; boundary=B"), body, &err))
		return;
	while (multipart_next(&m, &part, &err))
		;
	if (m.failed != (err.code != ERROR_NONE))
		__builtin_trap();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	const struct served *served;
	struct error err = { 0 };
	struct arena arena;
	struct records r;
	struct span text;
	bool is_list, ok;

	if (len == 0)
		return 0;
	served = &models[data[0] % ARRAY_LEN(models)];
	text = span_from(data + 1, len - 1);
	arena_init(&arena, MIB(64));
	ok = records_init(&r, served, &arena, &err);
	switch (data[0] / ARRAY_LEN(models) % 4) {
	case 0:
		ok = ok && records_read_json(&r, text, &is_list, &err);
		break;
	case 1:
		ok = ok && records_read_csv(&r, text, &err);
		break;
	case 2:
		ok = ok && records_read_form(&r, text, &err);
		break;
	default:
		form_split(text);
	}
	if (ok)
		cells_touch(&r);
	else if (err.code == ERROR_NONE)
		__builtin_trap(); /* refused without a reason */
	arena_done(&arena);
	return 0;
}
