/* SPDX-License-Identifier: Apache-2.0 */
/* model - finds the format of a file, loads it, counts references. */
#include "models/model.h"

#include <stdatomic.h>
#include <stdlib.h>

#define PROBE_BYTES KIB(8)

static const struct model_options no_options = { 0 };

struct model *model_new(const struct model_format *format, size_t size)
{
	struct model *m = base_calloc(1, size);

	m->format = format;
	m->info.label_output = -1;
	arena_init(&m->arena, MODEL_SIZE_MAX);
	atomic_init(&m->refs, 1);
	return m;
}

struct model *model_ref(struct model *m)
{
	/* Whoever hands a reference on holds one, so nothing needs to be ordered. */
	atomic_fetch_add_explicit(&m->refs, 1, memory_order_relaxed);
	return m;
}

void model_unref(struct model *m)
{
	/* Release: our use of the model comes before; acquire: all others' uses came before the free. */
	if (!m || atomic_fetch_sub_explicit(&m->refs, 1, memory_order_acq_rel) != 1)
		return;
	if (m->format->free)
		m->format->free(m);
	arena_done(&m->arena);
	free(m);
}

const struct model_info *model_info(const struct model *m)
{
	return &m->info;
}

bool model_run(const struct model *m, const struct tensor *inputs, uint64_t wanted, struct tensor *results,
	       struct arena *arena, struct error *err)
{
	return m->format->run(m, inputs, wanted, results, arena, err);
}

static bool unknown_format(struct error *err)
{
	return error_set(
	    err, ERROR_INVALID,
	    "the file is none of the known model formats: ONNX, XGBoost JSON or UBJ (save_model('model.json')), "
	    "LightGBM text (save_model('model.txt')), linear model JSON or safetensors");
}

struct model *model_load_bytes(struct span bytes, const struct model_options *options, struct error *err)
{
	const struct model_format *best = NULL;
	size_t limit;
	int best_score = 0;

	if (!options)
		options = &no_options;
	limit = options->size_limit ? options->size_limit : MODEL_SIZE_MAX;
	if (bytes.len > limit) {
		error_set(err, ERROR_TOO_LARGE, "the model is %zu bytes long, over the limit of %zu", bytes.len, limit);
		return NULL;
	}
	if (bytes.len == 0) {
		error_set(err, ERROR_INVALID, "the model file is empty");
		return NULL;
	}
	for (size_t i = 0; model_formats[i]; i++) {
		int score = model_formats[i]->probe ? model_formats[i]->probe(span_first(bytes, PROBE_BYTES)) : 0;

		if (score > best_score) {
			best = model_formats[i];
			best_score = score;
		}
	}
	if (!best) {
		unknown_format(err);
		return NULL;
	}
	return best->load(bytes, options, err);
}

struct model *model_load(const char *path, const struct model_options *options, struct error *err)
{
	static const struct span builtin = SPAN_INIT("builtin:");
	struct span name = span_of(path);
	struct model *m = NULL;
	struct buffer bytes;

	if (span_starts(name, builtin)) {
		name = span_skip(name, builtin.len);
		for (size_t i = 0; model_formats[i]; i++) {
			if (!model_formats[i]->probe && span_equal(name, span_of(model_formats[i]->name)))
				return model_formats[i]->load(SPAN(""), options ? options : &no_options, err);
		}
		error_set(err, ERROR_NOT_FOUND, "there is no builtin model '" SPAN_FMT "'; there is 'builtin:echo'",
			  SPAN_ARG(name));
		return NULL;
	}
	buffer_init(&bytes, options && options->size_limit ? options->size_limit : MODEL_SIZE_MAX);
	if (buffer_read_file(&bytes, path, err))
		m = model_load_bytes(buffer_span(&bytes), options, err);
	buffer_done(&bytes);
	return m;
}
