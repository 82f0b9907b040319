/* SPDX-License-Identifier: Apache-2.0 */
/* Scan: a graph run once for each slice of some inputs, with states handed from one time to the next. */
#include "models/onnx.h"

struct scan {
	const struct onnx_plan *body;
	uint32_t states, scans, results; /* loop states; scanned inputs; scanned outputs */
	const int64_t *in_axes, *in_backwards, *out_axes, *out_backwards; /* or all zeros */
};

/* A list with a number for each of `count`; zeros when absent. */
static bool numbers(struct onnx_prepare *p, const char *name, size_t count, bool flags, const int64_t **ret,
		    struct error *err)
{
	size_t given;

	if (!onnx_ints(p, name, ret, &given, err))
		return false;
	if (given == 0) {
		*ret = arena_calloc(p->arena, count, sizeof(int64_t), err);
		return *ret != NULL;
	}
	if (given != count)
		return error_set(err, ERROR_INVALID, "attribute '%s' has %zu values, not %zu", name, given, count);
	for (size_t i = 0; i < count; i++)
		if (flags ? (*ret)[i] != 0 && (*ret)[i] != 1 : (*ret)[i] != 0)
			return error_set(err, ERROR_UNIMPLEMENTED,
					 "attribute '%s': axes other than 0 are not supported", name);
	return true;
}

static bool scan_prepare(struct onnx_prepare *p, struct error *err)
{
	struct scan *s = ARENA_NEW(p->arena, struct scan, err);
	size_t inputs = p->node->input_count, outputs = p->node->output_count;
	struct onnx_graph *graph;
	int64_t scans;

	if (p->opset && p->opset < 9)
		return error_set(err, ERROR_UNIMPLEMENTED, "Scan of opset %lld is not supported", (long long)p->opset);
	if (!s || !onnx_int(p, "num_scan_inputs", 0, &scans, err) || !onnx_body(p, "body", &graph, err))
		return false;
	if (scans < 1 || scans > (int64_t)inputs || inputs - (size_t)scans > outputs)
		return error_set(err, ERROR_INVALID, "num_scan_inputs is %lld with %zu inputs and %zu outputs",
				 (long long)scans, inputs, outputs);
	s->scans = (uint32_t)scans;
	s->states = (uint32_t)(inputs - (size_t)scans);
	s->results = (uint32_t)outputs - s->states;
	for (size_t i = 0; i < inputs; i++)
		if (p->node->inputs[i].len == 0)
			return error_set(err, ERROR_INVALID, "input %zu is left out", i);
	if (!numbers(p, "scan_input_axes", s->scans, false, &s->in_axes, err) ||
	    !numbers(p, "scan_output_axes", s->results, false, &s->out_axes, err) ||
	    !numbers(p, "scan_input_directions", s->scans, true, &s->in_backwards, err) ||
	    !numbers(p, "scan_output_directions", s->results, true, &s->out_backwards, err))
		return false;
	s->body = onnx_plan_body(p, graph, err);
	if (!s->body)
		return error_wrap(err, "body");
	if (s->body->input_count != inputs || s->body->output_count != outputs)
		return error_set(err, ERROR_INVALID, "the body has %u inputs and %zu outputs, the node %zu and %zu",
				 s->body->input_count, s->body->output_count, inputs, outputs);
	p->step->state = s;
	return true;
}

static size_t bytes_of(const struct tensor *t)
{
	return t->count * dtype_size(t->dtype);
}

static bool keep_texts(struct onnx_run *r, struct span *texts, size_t count, struct error *err)
{
	for (size_t i = 0; i < count; i++) {
		texts[i] = arena_copy(r->arena, texts[i], err);
		if (!texts[i].ptr)
			return false;
	}
	return true;
}

/* A tensor of its own: what the body gave may lie in memory that its next turn uses again. */
static bool keep(struct onnx_run *r, const struct tensor *from, struct tensor *to, struct error *err)
{
	bool fits = to->data && to->dtype == from->dtype && to->count == from->count;
	void *data = fits ? to->data : arena_alloc(r->arena, bytes_of(from), err);

	if (!data)
		return false;
	if (data != from->data)
		memmove(data, from->data, bytes_of(from));
	*to = *from;
	to->data = data;
	return keep_texts(r, to->data, to->dtype == DTYPE_BYTES ? to->count : 0, err);
}

/* Element `turn` of the first dimension. */
static void slice_of(const struct tensor *t, size_t turn, struct tensor *ret)
{
	*ret = *t;
	ret->rank--;
	memmove(ret->shape, t->shape + 1, (size_t)ret->rank * sizeof(t->shape[0]));
	ret->count = t->count / (size_t)t->shape[0];
	ret->data = (char *)t->data + turn * bytes_of(ret);
}

static bool put_result(struct onnx_run *r, const struct tensor *part, size_t turn, size_t turns, struct tensor *out,
		       bool first, struct error *err)
{
	if (first) {
		int64_t shape[TENSOR_RANK_MAX];

		if (part->rank == TENSOR_RANK_MAX)
			return error_set(err, ERROR_TOO_LARGE, "more than %d dimensions", TENSOR_RANK_MAX);
		shape[0] = (int64_t)turns;
		memcpy(shape + 1, part->shape, (size_t)part->rank * sizeof(shape[0]));
		if (!onnx_new(r, out, part->dtype, part->rank + 1, shape, err))
			return false;
	}
	if (part->dtype != out->dtype || part->count * turns != out->count)
		return error_set(err, ERROR_INVALID, "a result changed its shape in turn %zu", turn);
	memcpy((char *)out->data + turn * bytes_of(part), part->data, bytes_of(part));
	return keep_texts(r, (struct span *)((char *)out->data + turn * bytes_of(part)),
			  part->dtype == DTYPE_BYTES ? part->count : 0, err);
}

struct turn {
	struct onnx_run inner;
	struct tensor *states; /* two for each: what goes in, what comes out */
	struct tensor *slices;
};

static bool run_turn(struct onnx_run *r, const struct onnx_step *step, const struct scan *s, struct turn *t, size_t k,
		     size_t turns, struct tensor *out, struct error *err)
{
	const struct onnx_plan *body = s->body;

	for (uint32_t i = 0; i < s->states; i++)
		t->inner.values[body->inputs[i]] = &t->states[i];
	for (uint32_t i = 0; i < s->scans; i++) {
		slice_of(onnx_in(r, step, s->states + i), s->in_backwards[i] ? turns - 1 - k : k, &t->slices[i]);
		t->inner.values[body->inputs[s->states + i]] = &t->slices[i];
	}
	if (!onnx_execute(&t->inner, UINT64_MAX, err))
		return false;
	for (uint32_t i = 0; i < s->results; i++)
		if (!put_result(r, t->inner.values[body->outputs[s->states + i]],
				s->out_backwards[i] ? turns - 1 - k : k, turns, &out[s->states + i], k == 0, err))
			return false;
	/* All are read before any is written: a state may come out as another's input. */
	for (uint32_t i = 0; i < s->states; i++)
		if (!keep(r, t->inner.values[body->outputs[i]], &t->states[s->states + i], err))
			return false;
	for (uint32_t i = 0; i < s->states; i++) {
		struct tensor swap = t->states[i];

		t->states[i] = t->states[s->states + i];
		t->states[s->states + i] = swap;
	}
	return true;
}

static bool scan_run(struct onnx_run *r, const struct onnx_step *step, struct tensor *out, struct error *err)
{
	const struct scan *s = step->state;
	struct turn t = { .states = arena_calloc(r->arena, 2 * (size_t)s->states, sizeof(*t.states), err),
			  .slices = arena_calloc(r->arena, s->scans, sizeof(*t.slices), err) };
	struct arena arena;
	size_t turns = 0;
	bool ok;

	if (!t.states || !t.slices)
		return false;
	for (uint32_t i = 0; i < s->scans; i++) {
		const struct tensor *x = onnx_in(r, step, s->states + i);

		if (x->rank < 1)
			return error_set(err, ERROR_INVALID, "input %u has no dimension to scan", s->states + i);
		if (i > 0 && (size_t)x->shape[0] != turns)
			return error_set(err, ERROR_INVALID, "scanned inputs have %zu and %lld elements", turns,
					 (long long)x->shape[0]);
		turns = (size_t)x->shape[0];
	}
	if (turns == 0)
		return error_set(err, ERROR_INVALID, "there is nothing to scan");
	for (uint32_t i = 0; i < s->states; i++)
		if (!keep(r, onnx_in(r, step, i), &t.states[i], err))
			return false;
	/* Each turn's memory is given back at its end: an arena of the body's own, under the caller's limit. */
	arena_init(&arena, r->arena->limit > r->arena->used ? r->arena->limit - r->arena->used : 0);
	arena.keep = MIB(4);
	ok = true;
	for (size_t k = 0; ok && k < turns; k++) {
		arena_clear(&arena);
		ok = onnx_run_init(&t.inner, s->body, &arena, err);
		if (!ok)
			break;
		t.inner.deadline_ns = r->deadline_ns;
		for (uint32_t i = 0; i < s->body->capture_count; i++)
			t.inner.values[s->body->captures[i]] = onnx_in(r, step, s->states + s->scans + i);
		ok = run_turn(r, step, s, &t, k, turns, out, err);
	}
	arena_done(&arena);
	for (uint32_t i = 0; ok && i < s->states; i++)
		out[i] = t.states[i];
	return ok;
}

const struct onnx_operator onnx_ops_scan[] = {
	{ "Scan", "", 1, 255, 1, 255, ONNX_NO_FOLD, scan_prepare, scan_run, NULL },
	{ 0 },
};
