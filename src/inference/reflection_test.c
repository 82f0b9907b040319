/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "inference/inference.h"
#include "inference/reflection.h"
#include "wire/protobuf.h"

static void symbols_of_every_sort_are_found(void **state)
{
	static const char *const found[] = {
		"seldon.protos.Seldon",
		"seldon.protos.Model.Predict",
		"seldon.protos.SeldonMessage",
		"seldon.protos.SeldonMessage.binData",
		"seldon.protos.SeldonMessage.data_oneof",
		"seldon.protos.Metric.MetricType",
		"seldon.protos.Metric.MetricType.GAUGE",
		"seldon.protos.Meta.TagsEntry",
		"seldon.protos.Meta.TagsEntry.key",
		"inference.GRPCInferenceService",
		"inference.ModelInferRequest.InferInputTensor",
		"tensorflow.TensorProto",
		"tensorflow.DataType.DT_HALF",
		"grpc.health.v1.Health.Check",
		"grpc.reflection.v1.ServerReflection",
		"grpc.reflection.v1alpha.ServerReflection",
		"google.protobuf.Value",
	};
	static const char *const absent[] = {
		"",
		"seldon",
		"seldon.protos",
		"seldon.protos.",
		".seldon.protos.Seldon",
		"seldon.protos.Sel",
		"seldon.protos.Seldonx",
		"seldon.protos.Seldon.",
		"seldon.protos.Seldon.Nope",
		"seldon.protos.SeldonMessage.data.x",
		"nope",
		"Seldon",
		"seldon.protos.Metric.MetricType.X",
	};
	struct span file;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(found); i++) {
		if (!reflection_symbol(protos_set, span_of(found[i]), &file))
			fail_msg("%s is not found", found[i]);
	}
	for (size_t i = 0; i < ARRAY_LEN(absent); i++) {
		if (reflection_symbol(protos_set, span_of(absent[i]), &file))
			fail_msg("%s is found", absent[i]);
	}
}

static void every_route_has_its_descriptor(void **state)
{
	(void)state;
	for (size_t t = 0; inference_routes[t]; t++) {
		for (const struct route *row = inference_routes[t]; row->pattern; row++) {
			char symbol[200];
			struct span file;
			size_t slash;

			if (row->kind == ROUTE_HTTP)
				continue;
			assert_true(strlen(row->pattern) < sizeof(symbol));
			memcpy(symbol, row->pattern + 1, strlen(row->pattern));
			slash = span_index(span_of(symbol), '/');
			symbol[slash] = '.';
			if (!reflection_symbol(protos_set, span_of(symbol), &file))
				fail_msg("%s is served and not described", row->pattern);
		}
	}
}

static void a_file_comes_with_its_imports(void **state)
{
	struct span file, files[REFLECTION_FILES_MAX];

	(void)state;
	assert_true(reflection_file(protos_set, SPAN("prediction.proto"), &file));
	assert_false(reflection_file(protos_set, SPAN("nope.proto"), &file));
	/* any, empty, struct, tensor, tensor_shape, types */
	assert_int_equal(reflection_with_imports(protos_set, file, files), 7);
}

/* The number of the answer's field, or 0 when the request is refused. */
static uint32_t answer_kind(struct span request)
{
	static const struct span services[] = { SPAN_INIT("a.B"), SPAN_INIT("c.D") };
	struct protobuf_field f;
	struct error err = { 0 };
	struct protobuf p;
	struct buffer out;
	uint32_t kind = 0;

	buffer_init(&out, MIB(1));
	if (reflection_answer(protos_set, services, ARRAY_LEN(services), request, &out, &err)) {
		p = protobuf(buffer_span(&out));
		while (protobuf_next(&p, &f, &err))
			kind = f.number;
		assert_false(p.failed);
	}
	buffer_done(&out);
	return kind;
}

static void each_question_has_its_answer(void **state)
{
	(void)state;
	assert_int_equal(answer_kind(SPAN("\x3a\x00")), 6);                     /* list services */
	assert_int_equal(answer_kind(SPAN("\x1a\x10prediction.proto")), 4);     /* a file */
	assert_int_equal(answer_kind(SPAN("\x1a\x01x")), 7);                    /* no such file */
	assert_int_equal(answer_kind(SPAN("\x22\x14seldon.protos.Seldon")), 4); /* a symbol */
	assert_int_equal(answer_kind(SPAN("\x22\x01x")), 7);                    /* no such symbol */
	assert_int_equal(answer_kind(SPAN("\x2a\x02\x10\x01")), 7);             /* an extension */
	assert_int_equal(answer_kind(SPAN("\x32\x01x")), 7);                    /* extension numbers */
	assert_int_equal(answer_kind(SPAN("")), 7);                             /* nothing */
	assert_int_equal(answer_kind(SPAN("\x3a")), 0);                         /* damaged */
	assert_int_equal(answer_kind(SPAN("\x3a\x01\xff")), 0);                 /* not UTF-8 */
	assert_int_equal(answer_kind(SPAN("\x38\x01")), 0);                     /* a number */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(symbols_of_every_sort_are_found),
		cmocka_unit_test(every_route_has_its_descriptor),
		cmocka_unit_test(a_file_comes_with_its_imports),
		cmocka_unit_test(each_question_has_its_answer),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
