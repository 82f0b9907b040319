/* SPDX-License-Identifier: Apache-2.0 */
/* The ONNX format: finding it, loading it into a plan or into ONNX Runtime, telling about it, running it. */
#include "models/onnx.h"

#include <stdlib.h>

#include "base/clock.h"
#include "models/ort.h"
#include "models/table.h"
#include "models/trees.h"
#include "wire/json.h"
#include "wire/protobuf.h"

struct onnx_model {
	struct model base;
	struct onnx_plan *plan;  /* or NULL: */
	struct ort_session *ort; /* it runs there */
	struct onnx_facts facts;
};

/* ---- finding ---- */

/* The wire types of ModelProto's fields: 0 number, 2 bytes. */
static bool is_model_field(uint64_t tag)
{
	uint64_t number = tag >> 3, type = tag & 7;

	if (number == 1 || number == 5)
		return type == 0;
	return type == 2 && (number == 2 || number == 3 || number == 4 || number == 6 || number == 7 || number == 8 ||
			     number == 14 || number == 20 || number == 25 || number == 26);
}

/* A message whose fields are all ModelProto's, as far as can be seen, with an ir_version or a graph among them. */
static int probe(struct span head)
{
	const uint8_t *at = (const uint8_t *)head.ptr, *end = at + head.len;
	bool version = false, graph = false;
	uint64_t tag, value;

	while (at < end) {
		if (!protobuf_varint(&at, end, &tag) || !is_model_field(tag) || !protobuf_varint(&at, end, &value))
			return 0;
		if (tag == (1 << 3))
			version = value >= 1 && value < 100;
		if (tag == (7 << 3 | 2)) {
			/* The graph's first field, if it is in sight: one of GraphProto's. */
			graph = at == end || *at == 0x0A || *at == 0x12 || *at == 0x2A || *at == 0x52 || *at == 0x5A ||
				*at == 0x62;
			if (!graph)
				return 0;
		}
		if ((tag & 7) == 2) {
			if (value > (uint64_t)(end - at))
				break;
			at += value;
		}
	}
	return version && graph ? 95 : version || graph ? 60 : 0;
}

/* ---- telling ---- */

static bool copy_spec(struct tensor_spec *to, const struct onnx_value *from, struct arena *arena, struct error *err)
{
	*to = from->spec;
	to->name = arena_copy(arena, from->spec.name, err);
	if (from->kind == ONNX_VALUE_MAPS) {
		to->dtype = DTYPE_FP32;
		to->rank = 2;
		to->shape[0] = to->shape[1] = -1;
	} else if (!from->has_shape) {
		to->rank = 2;
		to->shape[0] = to->shape[1] = -1;
	}
	return to->name.ptr != NULL;
}

static bool describe_values(struct onnx_model *m, const struct onnx_file *file, struct error *err)
{
	const struct onnx_graph *g = &file->graph;
	struct model_info *info = &m->base.info;

	info->inputs = ARENA_ARRAY(&m->base.arena, struct tensor_spec, m->plan->input_count, err);
	info->outputs = ARENA_ARRAY(&m->base.arena, struct tensor_spec, g->output_count, err);
	if (!info->inputs || !info->outputs)
		return false;
	for (uint32_t i = 0; i < m->plan->input_count; i++) {
		const struct onnx_value *v = &g->inputs[m->plan->inputs[i]]; /* inputs have the first slots, in order */

		if (v->kind != ONNX_VALUE_TENSOR)
			return error_set(err, ERROR_UNIMPLEMENTED, "input '" SPAN_FMT "' is not a tensor with a type",
					 SPAN_ARG(v->spec.name));
		if (!copy_spec(&info->inputs[info->input_count++], v, &m->base.arena, err))
			return false;
	}
	for (size_t i = 0; i < g->output_count; i++) {
		if (g->outputs[i].kind == ONNX_VALUE_OTHER)
			return error_set(err, ERROR_UNIMPLEMENTED,
					 "output '" SPAN_FMT "' is neither a tensor nor maps of scores",
					 SPAN_ARG(g->outputs[i].spec.name));
		if (!copy_spec(&info->outputs[info->output_count++], &g->outputs[i], &m->base.arena, err))
			return false;
	}
	return true;
}

/* metadata_props "feature_names": a JSON list of the columns' names. Ignored when it does not fit. */
static bool names_from_metadata(struct onnx_model *m, const struct onnx_file *file, struct arena *scratch,
				struct error *err)
{
	struct model_info *info = &m->base.info;
	struct span text = { NULL, 0 }, name, *names;
	struct error ignored = { 0 };
	struct json j;
	size_t count = 0;

	for (size_t i = 0; i < file->metadata_count; i++)
		if (span_equal(file->metadata[i].key, SPAN("feature_names")))
			text = file->metadata[i].value;
	if (!text.ptr || info->feature_count == 0 || info->feature_names)
		return true;
	names = ARENA_ARRAY(&m->base.arena, struct span, info->feature_count, err);
	if (!names)
		return false;
	json_init(&j, text, scratch);
	if (!json_enter_array(&j, &ignored))
		return true;
	while (json_next_element(&j, &ignored)) {
		if (!json_read_string(&j, &name, &ignored) || count == info->feature_count)
			return true;
		names[count] = arena_copy(&m->base.arena, name, err);
		if (!names[count++].ptr)
			return false;
	}
	if (json_finish(&j, &ignored) && count == info->feature_count)
		info->feature_names = names;
	return true;
}

/* One matrix [N, F], or one column an input. */
static bool describe_features(struct onnx_model *m, struct error *err)
{
	struct model_info *info = &m->base.info;
	const struct tensor_spec *first = info->inputs;

	if (info->input_count == 1 && first->rank == 2 && first->shape[1] > 0 &&
	    first->shape[1] <= (int64_t)MODEL_FEATURES_MAX) {
		info->feature_count = (size_t)first->shape[1];
		if (info->feature_count == 1) { /* a single column has a name: the input's */
			info->feature_names = ARENA_ARRAY(&m->base.arena, struct span, 1, err);
			if (!info->feature_names)
				return false;
			info->feature_names[0] = first->name;
		}
		return true;
	}
	if (info->input_count < 2)
		return true;
	for (size_t i = 0; i < info->input_count; i++) {
		const struct tensor_spec *s = &info->inputs[i];

		if (s->rank < 1 || s->rank > 2 || s->shape[0] != -1 || (s->rank == 2 && s->shape[1] != 1))
			return true;
	}
	info->feature_names = ARENA_ARRAY(&m->base.arena, struct span, info->input_count, err);
	if (!info->feature_names)
		return false;
	for (size_t i = 0; i < info->input_count; i++)
		info->feature_names[i] = info->inputs[i].name;
	info->feature_count = info->input_count;
	return true;
}

static bool passes_through(struct span op)
{
	static const struct span rows[] = {
		SPAN_INIT("Cast"),    SPAN_INIT("Identity"),  SPAN_INIT("Reshape"),
		SPAN_INIT("Concat"),  SPAN_INIT("Flatten"),   SPAN_INIT("Gather"),
		SPAN_INIT("Squeeze"), SPAN_INIT("Unsqueeze"), SPAN_INIT("ArrayFeatureExtractor"),
		SPAN_INIT("Scaler")
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		if (span_equal(op, rows[i]))
			return true;
	return false;
}

/*
 * NaN is an ordinary value when it meets, behind operators that only move or scale it, nothing but operators made for
 * it: an Imputer, IsNaN, or trees that say where the missing go.
 */
static bool takes_missing(const struct onnx_file *file, const struct onnx_facts *facts, struct span name, int depth)
{
	bool any = false;

	for (size_t i = 0; i < file->graph.node_count && depth < 16; i++) {
		const struct onnx_node *n = &file->graph.nodes[i];
		bool uses = false, made_for_it;

		for (size_t j = 0; j < n->input_count; j++)
			uses |= span_equal(n->inputs[j], name);
		if (!uses)
			continue;
		made_for_it = span_equal(n->op, SPAN("Imputer")) || span_equal(n->op, SPAN("IsNaN")) ||
			      (facts->trees_missing && span_starts(n->op, SPAN("TreeEnsemble")));
		if (!made_for_it &&
		    !(passes_through(n->op) && n->output_count && takes_missing(file, facts, n->outputs[0], depth + 1)))
			return false;
		any = true;
	}
	return any;
}

static bool is_label_type(enum dtype type)
{
	return type == DTYPE_INT64 || type == DTYPE_INT32 || type == DTYPE_BYTES;
}

static const struct onnx_node *node_of(const struct onnx_graph *g, struct span output)
{
	for (size_t i = 0; i < g->node_count; i++)
		for (size_t j = 0; j < g->nodes[i].output_count; j++)
			if (span_equal(g->nodes[i].outputs[j], output))
				return &g->nodes[i];
	return NULL;
}

/* Class names where no operator has them as attributes: labels picked from a constant list by ArrayFeatureExtractor. */
static bool classes_from_picker(struct onnx_model *m, const struct onnx_file *file, struct span output,
				struct error *err)
{
	const struct onnx_node *n = node_of(&file->graph, output);
	const struct tensor *list = NULL;
	struct span *names;

	for (int depth = 0; n && depth < 16 && !span_equal(n->op, SPAN("ArrayFeatureExtractor")); depth++)
		n = passes_through(n->op) && n->input_count ? node_of(&file->graph, n->inputs[0]) : NULL;
	if (!n || n->input_count < 1 || !span_equal(n->op, SPAN("ArrayFeatureExtractor")))
		return true;
	for (size_t i = 0; i < file->graph.initializer_count; i++)
		if (span_equal(file->graph.initializers[i].name, n->inputs[0]))
			list = &file->graph.initializers[i];
	if (!list || list->count < 2 || list->count > 4096 || !is_label_type(list->dtype))
		return true;
	names = ARENA_ARRAY(&m->base.arena, struct span, list->count, err);
	for (size_t i = 0; names && i < list->count; i++) {
		names[i] = list->dtype == DTYPE_BYTES
			       ? ((const struct span *)list->data)[i]
			       : arena_print(&m->base.arena, err, "%lld", (long long)tensor_get(list, i));
		if (!names[i].ptr)
			return false;
	}
	m->facts.classes = names;
	m->facts.class_count = list->count;
	return names != NULL;
}

/* Which output is the class, which the scores, and so what kind of model it is. */
static bool describe_task(struct onnx_model *m, const struct onnx_file *file, struct error *err)
{
	struct model_info *info = &m->base.info;
	int label = -1, score = -1;

	for (size_t i = 0; i < info->output_count; i++) {
		if (is_label_type(info->outputs[i].dtype) && label < 0)
			label = (int)i;
		if (dtype_is_float(info->outputs[i].dtype) && score < 0)
			score = (int)i;
	}
	info->score_output = score < 0 ? 0 : score;
	if (label >= 0 && !m->facts.class_count &&
	    !classes_from_picker(m, file, file->graph.outputs[label].spec.name, err))
		return false;
	if (label >= 0 && m->facts.class_count >= 2) {
		info->label_output = label;
		info->class_names = (struct span *)(uintptr_t)m->facts.classes; /* in the model's arena, ours to give */
		info->class_count = m->facts.class_count;
		if (score < 0)
			info->score_output = label;
		else
			info->task = info->class_count == 2 ? MODEL_TASK_BINARY : MODEL_TASK_MULTICLASS;
		/* Scores of pairs of classes (a machine without probabilities) are no scores of classes. */
		if (score >= 0 && info->outputs[score].rank == 2 && info->outputs[score].shape[1] == -1)
			info->outputs[score].shape[1] = (int64_t)info->class_count;
		if (score >= 0 && info->outputs[score].rank == 2 && info->outputs[score].shape[1] > 2 &&
		    info->outputs[score].shape[1] != (int64_t)info->class_count)
			info->task = MODEL_TASK_OTHER;
		return true;
	}
	if (label >= 0 && score >= 0)
		info->label_output = label;
	if (info->output_count == 1 && score == 0 &&
	    (m->facts.regressor || info->outputs[0].rank == 1 || info->outputs[0].shape[1] == 1))
		info->task = MODEL_TASK_REGRESSION;
	return true;
}

/* ---- a trial ---- */

enum { TRIAL_NS = 20 * 1000 * 1000, MEASURE_NS = 400 * 1000, TRIAL_ROWS = 64 };

/* Zeros (or empty texts) for each input, `rows` of them. False when a shape is not known well enough. */
static bool trial_inputs(const struct model_info *info, int64_t rows, struct tensor *inputs, struct arena *arena,
			 struct error *err)
{
	for (size_t i = 0; i < info->input_count; i++) {
		const struct tensor_spec *s = &info->inputs[i];
		int64_t shape[TENSOR_RANK_MAX];

		for (int d = 0; d < s->rank; d++) {
			shape[d] = s->shape[d] >= 0 ? s->shape[d] : d == 0 ? rows : -1;
			if (shape[d] < 0)
				return error_set(err, ERROR_INVALID, "the shape of '" SPAN_FMT "' is open",
						 SPAN_ARG(s->name));
		}
		if (!tensor_new(&inputs[i], s->name, s->dtype, s->rank, shape, arena, err))
			return false;
		memset(inputs[i].data, 0, inputs[i].count * dtype_size(s->dtype));
		for (size_t k = 0; s->dtype == DTYPE_BYTES && k < inputs[i].count; k++)
			((struct span *)inputs[i].data)[k] = SPAN("");
	}
	return true;
}

static bool run_plan(const struct onnx_model *m, const struct tensor *inputs, uint64_t wanted, struct tensor *results,
		     int64_t deadline_ns, struct arena *arena, struct error *err)
{
	const struct onnx_plan *plan = m->plan;
	struct onnx_run r;

	if (!onnx_run_init(&r, plan, arena, err))
		return false;
	r.deadline_ns = deadline_ns;
	for (uint32_t i = 0; i < plan->input_count; i++)
		r.values[plan->inputs[i]] = &inputs[i];
	if (!onnx_execute(&r, wanted, err))
		return false;
	for (size_t i = 0; i < plan->output_count; i++) {
		if (!(wanted >> i & 1))
			continue;
		results[i] = *r.values[plan->outputs[i]];
		results[i].name = m->base.info.outputs[i].name;
	}
	return true;
}

/* The quickest of several runs, in ns; -1 when it fails. */
static double trial_time(const struct onnx_model *m, int64_t rows, int64_t budget_ns, struct tensor *results,
			 struct arena *arena, struct error *err)
{
	const struct model_info *info = &m->base.info;
	struct tensor *inputs = ARENA_ARRAY(arena, struct tensor, info->input_count, err);
	int64_t start = clock_monotonic_ns(), before, now;
	double best = -1;
	struct arena room;

	if (!inputs || !trial_inputs(info, rows, inputs, arena, err))
		return -1;
	arena_init(&room, MIB(64));
	room.keep = MIB(1);
	do {
		arena_clear(&room);
		before = clock_monotonic_ns();
		if (m->ort ? !ort_run(m->ort, info, inputs, UINT64_MAX, results, &room, err)
			   : !run_plan(m, inputs, UINT64_MAX, results, start + TRIAL_NS, &room, err)) {
			best = -1;
			break;
		}
		now = clock_monotonic_ns();
		if (best < 0 || (double)(now - before) < best)
			best = (double)(now - before);
	} while (now - start < budget_ns);
	arena_done(&room);
	return best;
}

/*
 * Runs the model once on zeros: an operator that does not know a type says so at load and not to the first caller,
 * ranks that the file left open are seen, and the cost of calls is measured. Failures of other kinds are the zeros'
 * fault.
 */
static bool trial(struct onnx_model *m, struct arena *scratch, struct error *err)
{
	struct model_info *info = &m->base.info;
	struct tensor *results = arena_calloc(scratch, info->output_count, sizeof(*results), err);
	struct error failed = { 0 };
	double one, many;
	bool batched = info->input_count > 0;

	if (!results)
		return false;
	one = trial_time(m, 1, MEASURE_NS, results, scratch, &failed);
	if (one < 0) {
		if (failed.code == ERROR_UNIMPLEMENTED) {
			*err = failed;
			return false;
		}
		if (failed.code == ERROR_TIMEOUT)
			info->cost_ns_call = info->cost_ns_row = TRIAL_NS;
		return true;
	}
	for (size_t i = 0; i < info->output_count; i++) {
		struct tensor_spec *s = &info->outputs[i];

		s->dtype = results[i].dtype;
		if (s->rank == results[i].rank)
			continue;
		s->rank =
		    results[i].rank; /* the file says nothing or something else: a first dimension of 1 is the batch */
		for (int d = 0; d < s->rank; d++)
			s->shape[d] = d == 0 && results[i].shape[0] == 1 ? -1 : results[i].shape[d];
	}
	for (size_t i = 0; i < info->input_count; i++)
		batched &= info->inputs[i].rank > 0 && info->inputs[i].shape[0] == -1;
	info->cost_ns_call = one;
	info->cost_ns_row = one;
	if (!batched || one * TRIAL_ROWS > 4 * MEASURE_NS)
		return true;
	many = trial_time(m, TRIAL_ROWS, MEASURE_NS, results, scratch, &failed);
	if (many > one)
		info->cost_ns_row = (many - one) / (TRIAL_ROWS - 1);
	else if (many >= 0)
		info->cost_ns_row = many / TRIAL_ROWS;
	return true;
}

/* ---- loading ---- */

static bool describe_kind(struct onnx_model *m, const struct onnx_file *file, struct error *err)
{
	struct model_info *info = &m->base.info;
	size_t nodes = file->graph.node_count;

	info->platform = SPAN("onnx_onnxv1");
	if (m->ort)
		info->kind = SPAN("ONNX, in ONNX Runtime");
	else if (nodes <= 3 && nodes > 0)
		info->kind =
		    arena_print(&m->base.arena, err, "ONNX, " SPAN_FMT "%s" SPAN_FMT "%s" SPAN_FMT,
				SPAN_ARG(file->graph.nodes[0].op), nodes > 1 ? ", " : "",
				SPAN_ARG(nodes > 1 ? file->graph.nodes[1].op : SPAN("")), nodes > 2 ? ", " : "",
				SPAN_ARG(nodes > 2 ? file->graph.nodes[2].op : SPAN("")));
	else
		info->kind = arena_print(&m->base.arena, err, "ONNX, %zu operators", nodes);
	return info->kind.ptr != NULL;
}

static void count_bytes(struct onnx_model *m)
{
	struct trees_facts facts;

	m->base.info.bytes = m->base.arena.used + sizeof(*m);
	for (struct onnx_owned *o = m->facts.owned; o; o = o->next) {
		trees_describe(o->trees, &facts);
		m->base.info.bytes += facts.bytes;
	}
}

static bool describe(struct onnx_model *m, const struct onnx_file *file, struct arena *scratch, struct error *err)
{
	struct model_info *info = &m->base.info;

	if (!describe_kind(m, file, err) || !describe_features(m, err) || !names_from_metadata(m, file, scratch, err) ||
	    !trial(m, scratch, err) || !describe_task(m, file, err))
		return false;
	info->takes_missing = !m->ort && info->input_count > 0;
	for (size_t i = 0; i < info->input_count; i++)
		if (dtype_is_float(info->inputs[i].dtype))
			info->takes_missing =
			    info->takes_missing && takes_missing(file, &m->facts, info->inputs[i].name, 0);
	count_bytes(m);
	return true;
}

/* Everything by itself. UNIMPLEMENTED says that another engine may know more. */
static bool load_native(struct onnx_model *m, struct span bytes, struct onnx_file *file, struct arena *scratch,
			struct error *err)
{
	struct buffer missing;
	bool ok = true;

	if (!onnx_parse(bytes, file, scratch, &m->base.arena, err))
		return false;
	buffer_init(&missing, KIB(2));
	if (onnx_missing_operators(file, &missing))
		ok = error_set(err, ERROR_UNIMPLEMENTED, "operators that are not native: " SPAN_FMT,
			       SPAN_ARG(buffer_span(&missing)));
	buffer_done(&missing);
	if (!ok)
		return false;
	if (file->graph.input_count == 1 && file->graph.inputs[0].spec.rank == 2 &&
	    file->graph.inputs[0].spec.shape[1] > 0)
		m->facts.features = (size_t)file->graph.inputs[0].spec.shape[1];
	m->plan = onnx_plan_new(file, &m->facts, &m->base.arena, scratch, err);
	return m->plan && describe_values(m, file, err) && describe(m, file, scratch, err);
}

static void free_trees(struct onnx_model *m)
{
	for (struct onnx_owned *o = m->facts.owned; o; o = o->next)
		trees_free(o->trees);
	m->facts.owned = NULL;
}

/* Through ONNX Runtime, for the reason in `err`, to which advice is added when that is not there either. */
static bool load_elsewhere(struct onnx_model *m, struct span bytes, const struct onnx_file *file, const char *path,
			   struct arena *scratch, struct error *err)
{
	struct error why = { 0 };

	free_trees(m);
	m->plan = NULL;
	m->facts = (struct onnx_facts){ 0 };
	m->base.info = (struct model_info){ .label_output = -1 };
	m->ort = ort_open(bytes, path, &why);
	if (m->ort)
		return ort_describe(m->ort, &m->base.info, &m->base.arena, err) && describe(m, file, scratch, err);
	if (why.code == ERROR_NOT_FOUND) {
		struct error first = *err;

		return error_set(
		    err, ERROR_UNIMPLEMENTED,
		    "%s. ONNX Runtime could run it: pip install onnxruntime, then --onnxruntime PATH of its "
		    "libonnxruntime.so (or HYTHE_ONNXRUNTIME). Tried: %s",
		    first.message, why.message);
	}
	*err = why;
	return false;
}

static void model_done(struct model *base)
{
	struct onnx_model *m = (struct onnx_model *)base;

	free_trees(m);
	ort_close(m->ort);
}

static struct model *load(struct span bytes, const struct model_options *options, struct error *err)
{
	struct onnx_model *m = (struct onnx_model *)model_new(&format_onnx, sizeof(*m));
	struct onnx_file file = { 0 };
	struct arena scratch;
	bool ok;

	/* Fields of two bytes become structs of a hundred; real files are mostly numbers, which become themselves. */
	arena_init(&scratch, bytes.len < MODEL_SIZE_MAX / 32 ? bytes.len * 32 + MIB(16) : MODEL_SIZE_MAX);
	ok = load_native(m, bytes, &file, &scratch, err) ||
	     (err->code == ERROR_UNIMPLEMENTED && load_elsewhere(m, bytes, &file, options->onnxruntime, &scratch, err));
	arena_done(&scratch);
	if (ok)
		return &m->base;
	model_unref(&m->base);
	return NULL;
}

static bool run(const struct model *base, const struct tensor *inputs, uint64_t wanted, struct tensor *results,
		struct arena *arena, struct error *err)
{
	const struct onnx_model *m = (const struct onnx_model *)base;

	if (UNLIKELY(m->ort != NULL))
		return ort_run(m->ort, &base->info, inputs, wanted, results, arena, err);
	return run_plan(m, inputs, wanted, results, 0, arena, err);
}

const struct model_format format_onnx = { "onnx", probe, load, run, model_done };
