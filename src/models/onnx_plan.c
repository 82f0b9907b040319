/* SPDX-License-Identifier: Apache-2.0 */
/* From a parsed graph to steps over slots: names resolved, operators prepared, constants folded, lives of buffers
 * known. */
#include "models/onnx.h"

/* A name's slot, in an open-addressing table. */
struct binding {
	struct span name;
	uint32_t slot;
};

struct onnx_planner {
	struct onnx_planner *outer; /* of the graph around, for bodies */
	const struct onnx_file *file;
	const struct onnx_graph *graph;
	struct onnx_facts *facts;
	struct arena *arena, *scratch;
	size_t *fold_left; /* elements that may still be folded */

	struct binding *table;
	size_t table_mask;
	const struct tensor **known; /* by slot: constants, else NULL */
	uint32_t slot_count, slot_max;
	uint32_t computed; /* first slot that steps fill */

	uint32_t *captures; /* outer slots, in order of capture slots */
	uint32_t capture_count, capture_max, capture_first;

	struct onnx_step *steps;
	size_t step_count;
};

static const struct onnx_operator *const tables[] = {
	onnx_ops_math, onnx_ops_cast,   onnx_ops_reduce, onnx_ops_matrix, onnx_ops_shape,  onnx_ops_pick,
	onnx_ops_scan, onnx_ops_linear, onnx_ops_trees,  onnx_ops_ml,     onnx_ops_encode, onnx_ops_text,
};

const struct onnx_operator *onnx_operator_find(struct span domain, struct span name)
{
	for (size_t i = 0; i < ARRAY_LEN(tables); i++)
		for (const struct onnx_operator *op = tables[i]; op->name; op++)
			if (span_equal(span_of(op->name), name) && span_equal(span_of(op->domain), domain))
				return op;
	return NULL;
}

/* ---- what is missing ---- */

enum { MISSING_NAMED = 24 }; /* more would only fill the message */

struct missing {
	const struct onnx_node *nodes[MISSING_NAMED];
	size_t count;
};

static void find_missing(const struct onnx_graph *g, struct missing *m)
{
	for (size_t i = 0; i < g->node_count; i++) {
		const struct onnx_node *n = &g->nodes[i];
		size_t at = 0;

		for (size_t j = 0; j < n->attribute_count; j++)
			if (n->attributes[j].graph)
				find_missing(n->attributes[j].graph, m);
		if (onnx_operator_find(n->domain, n->op))
			continue;
		while (at < m->count &&
		       !(span_equal(m->nodes[at]->op, n->op) && span_equal(m->nodes[at]->domain, n->domain)))
			at++;
		if (at == m->count && at < MISSING_NAMED)
			m->nodes[m->count++] = n;
	}
}

bool onnx_missing_operators(const struct onnx_file *file, struct buffer *ret)
{
	struct missing m = { .count = 0 };

	find_missing(&file->graph, &m);
	for (size_t i = 0; i < m.count; i++)
		buffer_print(ret, "%s" SPAN_FMT "%s" SPAN_FMT, i ? ", " : "", SPAN_ARG(m.nodes[i]->domain),
			     m.nodes[i]->domain.len ? ":" : "", SPAN_ARG(m.nodes[i]->op));
	return m.count > 0;
}

/* ---- names ---- */

static struct binding *lookup(const struct onnx_planner *pl, struct span name)
{
	size_t at = (size_t)span_hash(name) & pl->table_mask;

	while (pl->table[at].name.ptr && !span_equal(pl->table[at].name, name))
		at = (at + 1) & pl->table_mask;
	return &pl->table[at];
}

/* Binds a name to the next slot. */
static bool define(struct onnx_planner *pl, struct span name, uint32_t *ret, struct error *err)
{
	uint32_t slot = pl->slot_count;

	ASSERT(slot < pl->slot_max);
	if (name.len) {
		struct binding *b = lookup(pl, name);

		if (b->name.ptr)
			return error_set(err, ERROR_INVALID, "'" SPAN_FMT "' is defined twice", SPAN_ARG(name));
		*b = (struct binding){ name, slot };
	}
	pl->known[slot] = NULL;
	pl->slot_count++;
	*ret = slot;
	return true;
}

static const struct tensor *known_outside(const struct onnx_planner *pl, struct span name)
{
	for (; pl; pl = pl->outer) {
		const struct binding *b = lookup(pl, name);

		if (b->name.ptr)
			return pl->known[b->slot];
	}
	return NULL;
}

static bool is_known_name(const struct onnx_planner *pl, struct span name)
{
	for (; pl; pl = pl->outer)
		if (lookup(pl, name)->name.ptr)
			return true;
	return false;
}

/* ---- building ---- */

/* Names that nodes of this graph (and of graphs inside it) use and that only the graphs around define. */
static bool collect_captures(struct onnx_planner *pl, const struct onnx_graph *g, struct error *err)
{
	for (size_t i = 0; i < g->node_count; i++) {
		const struct onnx_node *n = &g->nodes[i];

		for (size_t j = 0; j < n->attribute_count; j++)
			if (n->attributes[j].graph && !collect_captures(pl, n->attributes[j].graph, err))
				return false;
		for (size_t j = 0; j < n->input_count; j++) {
			uint32_t slot = 0;

			if (n->inputs[j].len == 0 || lookup(pl, n->inputs[j])->name.ptr ||
			    !is_known_name(pl->outer, n->inputs[j]))
				continue;
			if (pl->capture_count == pl->capture_max)
				return error_set(err, ERROR_TOO_LARGE, "a body uses more than %u names from around it",
						 pl->capture_max);
			if (!define(pl, n->inputs[j], &slot, err))
				return false;
			/* A constant around is a constant inside; other captures are bound when the plan is done. */
			pl->known[slot] = known_outside(pl->outer, n->inputs[j]);
			pl->captures[pl->capture_count++] = slot;
		}
	}
	return true;
}

static bool define_inputs(struct onnx_planner *pl, struct error *err)
{
	const struct onnx_graph *g = pl->graph;
	uint32_t slot;

	for (size_t i = 0; i < g->input_count; i++)
		if (!define(pl, g->inputs[i].spec.name, &slot, err))
			return error_wrap(err, "input %zu", i);
	return true;
}

static bool define_initializers(struct onnx_planner *pl, struct error *err)
{
	const struct onnx_graph *g = pl->graph;

	for (size_t i = 0; i < g->initializer_count; i++) {
		struct tensor *t = ARENA_NEW(pl->arena, struct tensor, err);
		const struct binding *b;
		uint32_t slot = 0;

		if (!t)
			return false;
		*t = g->initializers[i];
		if (t->name.len == 0)
			return error_set(err, ERROR_INVALID, "initializer %zu has no name", i);
		b = lookup(pl, t->name);
		/* IR version 3 lists initializers among the inputs, as defaults: constants here. */
		if (b->name.ptr && b->slot < g->input_count && !pl->known[b->slot])
			slot = b->slot;
		else if (!define(pl, t->name, &slot, err))
			return error_wrap(err, "initializer %zu", i);
		t->name = SPAN("");
		pl->known[slot] = t;
	}
	return true;
}

/* The inputs that a caller gives: those that are not constants. */
static bool finish_inputs(struct onnx_planner *pl, struct onnx_plan *plan, struct error *err)
{
	uint32_t *inputs = ARENA_ARRAY(pl->arena, uint32_t, pl->graph->input_count, err);

	if (!inputs)
		return false;
	for (uint32_t i = 0; i < pl->graph->input_count; i++)
		if (!pl->known[i])
			inputs[plan->input_count++] = i;
	plan->inputs = inputs;
	return true;
}

static int64_t opset_of(const struct onnx_file *file, struct span domain)
{
	for (size_t i = 0; i < file->opset_count; i++)
		if (span_equal(file->opsets[i].key, domain))
			return file->opsets[i].version;
	/* Writers forget to import ml and com.microsoft; version 1 of each is what they mean. */
	return domain.len ? 1 : 0;
}

static bool check_counts(const struct onnx_node *n, const struct onnx_operator *op, struct error *err)
{
	if (n->input_count < op->in_min || (op->in_max != 255 && n->input_count > op->in_max))
		return error_set(err, ERROR_INVALID, "%zu inputs, %u to %u were expected", n->input_count, op->in_min,
				 op->in_max);
	if (n->output_count < op->out_min || (op->out_max != 255 && n->output_count > op->out_max))
		return error_set(err, ERROR_INVALID, "%zu outputs, %u to %u were expected", n->output_count,
				 op->out_min, op->out_max);
	for (size_t i = 0; i < op->in_min; i++)
		if (n->inputs[i].len == 0)
			return error_set(err, ERROR_INVALID, "input %zu is left out", i);
	return true;
}

static bool resolve_inputs(struct onnx_planner *pl, const struct onnx_node *n, struct onnx_step *step,
			   const struct tensor ***ret_constants, struct error *err)
{
	uint32_t *in = ARENA_ARRAY(pl->arena, uint32_t, n->input_count, err);
	const struct tensor **constants = ARENA_ARRAY(pl->scratch, const struct tensor *, n->input_count, err);

	if (!in || !constants)
		return false;
	for (size_t i = 0; i < n->input_count; i++) {
		const struct binding *b;

		in[i] = ONNX_NONE;
		constants[i] = NULL;
		if (n->inputs[i].len == 0)
			continue;
		b = lookup(pl, n->inputs[i]);
		if (!b->name.ptr)
			return error_set(err, ERROR_INVALID,
					 "input '" SPAN_FMT
					 "' is not defined before it (nodes must be in topological order)",
					 SPAN_ARG(n->inputs[i]));
		in[i] = b->slot;
		constants[i] = pl->known[b->slot];
	}
	step->in = in;
	step->in_count = (uint32_t)n->input_count;
	*ret_constants = constants;
	return true;
}

/* Computes a step whose inputs are all known. What it takes counts against a budget, so that a small hostile file can't
 * make loading long; what does not fit is left to run. */
static bool fold(struct onnx_planner *pl, const struct onnx_step *step, struct error *err)
{
	struct onnx_run run = { .arena = pl->scratch };
	struct tensor *out = arena_calloc(pl->arena, step->out_count, sizeof(*out), err);
	struct arena arena;
	bool ok;

	if (!out)
		return false;
	arena_init(&arena, ONNX_FOLD_ELEMENTS * sizeof(struct span));
	run.arena = &arena;
	run.values = pl->known;
	ok = step->op->run(&run, step, out, err);
	for (uint32_t i = 0; ok && i < step->out_count; i++) {
		struct tensor *t = &out[i];
		size_t size = t->count * dtype_size(t->dtype);
		void *data = arena_alloc(pl->arena, size, err);

		if (!data) {
			ok = false;
			break;
		}
		memcpy(data, t->data, size);
		t->data = data;
		for (size_t j = 0; t->dtype == DTYPE_BYTES && j < t->count; j++) {
			struct span *s = (struct span *)data + j;

			*s = arena_copy(pl->arena, *s, err);
			ok &= s->ptr != NULL;
		}
		pl->known[step->out + i] = t;
		*pl->fold_left -= MIN(*pl->fold_left, t->count + 1);
	}
	arena_done(&arena);
	if (!ok && err->code == ERROR_TOO_LARGE) {
		*err = (struct error){ 0 }; /* then it is computed when running, under the caller's limit */
		for (uint32_t i = 0; i < step->out_count; i++)
			pl->known[step->out + i] = NULL;
		return true;
	}
	return ok;
}

static bool can_fold(const struct onnx_planner *pl, const struct onnx_step *step)
{
	size_t total = 1;

	if (step->op->flags & ONNX_NO_FOLD)
		return false;
	for (uint32_t i = 0; i < step->in_count; i++) {
		if (step->in[i] == ONNX_NONE)
			continue;
		if (!pl->known[step->in[i]])
			return false;
		total += pl->known[step->in[i]]->count;
	}
	return total <= ONNX_FOLD_ELEMENTS / 16 && total <= *pl->fold_left;
}

static bool prepare(struct onnx_planner *pl, struct onnx_node *n, struct onnx_step *step,
		    const struct tensor *const *constants, struct error *err)
{
	struct onnx_prepare p = { .arena = pl->arena,
				  .scratch = pl->scratch,
				  .node = n,
				  .step = step,
				  .constants = constants,
				  .opset = opset_of(pl->file, n->domain),
				  .planner = pl };

	if (step->op->prepare && !step->op->prepare(&p, err))
		return false;
	for (size_t i = 0; i < n->attribute_count; i++)
		if (!n->attributes[i].used)
			return error_set(err, ERROR_UNIMPLEMENTED, "attribute '" SPAN_FMT "' is not supported",
					 SPAN_ARG(n->attributes[i].name));
	return true;
}

static bool plan_node(struct onnx_planner *pl, struct onnx_node *n, struct error *err)
{
	struct onnx_step *step = &pl->steps[pl->step_count];
	const struct tensor **constants = NULL;
	uint32_t slot;

	*step = (struct onnx_step){ .op = onnx_operator_find(n->domain, n->op), .out = pl->slot_count };
	if (!step->op)
		return error_set(err, ERROR_UNIMPLEMENTED, "the operator is not supported");
	step->name = arena_copy(pl->arena, n->name.len ? n->name : n->op, err);
	if (!step->name.ptr || !check_counts(n, step->op, err) || !resolve_inputs(pl, n, step, &constants, err))
		return false;
	for (size_t i = 0; i < n->output_count; i++)
		if (!define(pl, n->outputs[i], &slot, err))
			return false;
	step->out_count = (uint32_t)n->output_count;
	if (!prepare(pl, n, step, constants, err))
		return false;
	if (can_fold(pl, step)) {
		uint32_t known = 0;

		if (!fold(pl, step, err))
			return false;
		while (known < step->out_count && pl->known[step->out + known])
			known++;
		if (known == step->out_count)
			return true;
	}
	pl->step_count++;
	return true;
}

/* ---- after the nodes ---- */

static bool finish_outputs(struct onnx_planner *pl, struct onnx_plan *plan, struct error *err)
{
	const struct onnx_graph *g = pl->graph;
	uint32_t *outputs = ARENA_ARRAY(pl->arena, uint32_t, g->output_count, err);

	if (!outputs)
		return false;
	for (size_t i = 0; i < g->output_count; i++) {
		const struct binding *b = lookup(pl, g->outputs[i].spec.name);

		if (!b->name.ptr)
			return error_set(err, ERROR_INVALID, "output '" SPAN_FMT "' is not computed by any node",
					 SPAN_ARG(g->outputs[i].spec.name));
		outputs[i] = b->slot;
	}
	plan->outputs = outputs;
	plan->output_count = g->output_count;
	return true;
}

static uint64_t *needs_new(const struct onnx_planner *pl, const struct onnx_plan *plan, struct error *err)
{
	uint64_t *needs = arena_calloc(pl->scratch, pl->slot_count, sizeof(*needs), err);

	for (size_t i = 0; needs && i < plan->output_count; i++)
		needs[plan->outputs[i]] |= UINT64_C(1) << i;
	return needs;
}

/* Which outputs each step serves, backwards; steps that serve none are dropped. */
static bool drop_unneeded(struct onnx_planner *pl, struct onnx_plan *plan, struct error *err)
{
	uint64_t *needs = needs_new(pl, plan, err);
	size_t kept = 0;

	if (!needs)
		return false;
	for (size_t i = pl->step_count; i-- > 0;) {
		struct onnx_step *s = &pl->steps[i];

		for (uint32_t j = 0; j < s->out_count; j++)
			s->feeds |= needs[s->out + j];
		for (uint32_t j = 0; j < s->in_count; j++)
			if (s->in[j] != ONNX_NONE)
				needs[s->in[j]] |= s->feeds;
	}
	for (size_t i = 0; i < pl->step_count; i++)
		if (pl->steps[i].feeds)
			pl->steps[kept++] = pl->steps[i];
	pl->step_count = kept;
	return true;
}

/*
 * For each buffer the step after which nobody reads it. Operators that may give their first input back under another
 * shape share their input's buffer, so the lives of both are one (the root's).
 */
static bool find_dead(struct onnx_planner *pl, const struct onnx_plan *plan, struct error *err)
{
	uint32_t *root = ARENA_ARRAY(pl->scratch, uint32_t, pl->slot_count, err);
	uint32_t *last = arena_calloc(pl->scratch, pl->slot_count, sizeof(*last), err); /* step + 1, 0: never read */
	uint32_t *count = arena_calloc(pl->scratch, pl->step_count + 1, sizeof(*count), err);

	if (!root || !last || !count)
		return false;
	for (uint32_t i = 0; i < pl->slot_count; i++)
		root[i] = i;
	for (size_t i = 0; i < pl->step_count; i++) {
		const struct onnx_step *s = &pl->steps[i];

		if ((s->op->flags & ONNX_ALIAS) && s->in_count && s->in[0] != ONNX_NONE)
			for (uint32_t j = 0; j < s->out_count; j++)
				root[s->out + j] = root[s->in[0]];
		for (uint32_t j = 0; j < s->in_count; j++)
			if (s->in[j] != ONNX_NONE)
				last[root[s->in[j]]] = (uint32_t)i + 1;
	}
	for (size_t i = 0; i < plan->output_count; i++)
		last[root[plan->outputs[i]]] = 0;
	for (uint32_t i = pl->computed; i < pl->slot_count; i++)
		if (last[i] && root[i] == i && !pl->known[i])
			count[last[i] - 1]++;
	for (size_t i = 0; i < pl->step_count; i++) {
		uint32_t *dead = ARENA_ARRAY(pl->arena, uint32_t, count[i], err);

		if (!dead)
			return false;
		pl->steps[i].dead = dead;
	}
	for (uint32_t i = pl->computed; i < pl->slot_count; i++)
		if (last[i] && root[i] == i && !pl->known[i]) {
			struct onnx_step *s = &pl->steps[last[i] - 1];

			((uint32_t *)(uintptr_t)s->dead)[s->dead_count++] = i;
		}
	return true;
}

/* What is known when a run starts. */
static bool finish_constants(struct onnx_planner *pl, struct onnx_plan *plan, struct error *err)
{
	const struct tensor **constants = ARENA_ARRAY(pl->arena, const struct tensor *, pl->slot_count, err);

	if (!constants)
		return false;
	memcpy(constants, pl->known, pl->slot_count * sizeof(const struct tensor *));
	plan->constants = constants;
	return true;
}

static bool planner_init(struct onnx_planner *pl, struct error *err)
{
	const struct onnx_graph *g = pl->graph;
	size_t slots = g->input_count + g->initializer_count + pl->capture_max, size = 64;

	for (size_t i = 0; i < g->node_count; i++)
		slots += g->nodes[i].output_count;
	if (slots > ONNX_VALUES_MAX * 2)
		return error_set(err, ERROR_TOO_LARGE, "the graph has more than %zu values", ONNX_VALUES_MAX * 2);
	while (size < slots * 2)
		size *= 2;
	pl->table = arena_calloc(pl->scratch, size, sizeof(*pl->table), err);
	pl->table_mask = size - 1;
	pl->slot_max = (uint32_t)slots;
	pl->known = ARENA_ARRAY(pl->scratch, const struct tensor *, slots, err);
	pl->captures = ARENA_ARRAY(pl->scratch, uint32_t, pl->capture_max, err);
	pl->steps = ARENA_ARRAY(pl->arena, struct onnx_step, g->node_count, err);
	return pl->table && pl->known && pl->captures && pl->steps;
}

static struct onnx_plan *build(struct onnx_planner *pl, struct error *err)
{
	struct onnx_plan *plan = ARENA_NEW(pl->arena, struct onnx_plan, err);

	if (!plan || !planner_init(pl, err) || !define_inputs(pl, err))
		return NULL;
	if (!define_initializers(pl, err) || !finish_inputs(pl, plan, err))
		return NULL;
	if (pl->outer && !collect_captures(pl, pl->graph, err))
		return NULL;
	plan->captures = pl->captures;
	plan->capture_count = pl->capture_count;
	pl->computed = plan->computed = pl->slot_count;
	for (size_t i = 0; i < pl->graph->node_count; i++) {
		struct onnx_node *n = &pl->graph->nodes[i];

		if (!plan_node(pl, n, err)) {
			error_wrap(err, "node %zu ('" SPAN_FMT "', " SPAN_FMT ")", i, SPAN_ARG(n->name),
				   SPAN_ARG(n->op));
			return NULL;
		}
	}
	plan->slot_count = pl->slot_count;
	if (!finish_outputs(pl, plan, err) || !drop_unneeded(pl, plan, err) || !find_dead(pl, plan, err) ||
	    !finish_constants(pl, plan, err))
		return NULL;
	plan->steps = pl->steps;
	plan->step_count = pl->step_count;
	return plan;
}

struct onnx_plan *onnx_plan_new(const struct onnx_file *file, struct onnx_facts *facts, struct arena *arena,
				struct arena *scratch, struct error *err)
{
	size_t fold_left = ONNX_FOLD_ELEMENTS;
	struct onnx_planner pl = { .file = file,
				   .graph = &file->graph,
				   .facts = facts,
				   .arena = arena,
				   .scratch = scratch,
				   .fold_left = &fold_left };

	for (size_t i = 0; i < file->opset_count; i++) {
		const struct onnx_pair *o = &file->opsets[i];
		int64_t most = o->key.len == 0 ? 28 : span_equal(o->key, SPAN("ai.onnx.ml")) ? 6 : INT64_MAX;

		if (o->version < 1 || o->version > most) {
			error_set(err, ERROR_UNIMPLEMENTED,
				  "opset %lld of '" SPAN_FMT "' is not supported (1 to %lld are)",
				  (long long)o->version, SPAN_ARG(o->key), (long long)most);
			return NULL;
		}
	}
	return build(&pl, err);
}

enum { CAPTURES_MAX = 1024 };

struct onnx_plan *onnx_plan_body(struct onnx_prepare *p, struct onnx_graph *graph, struct error *err)
{
	struct onnx_planner *around = p->planner;
	struct onnx_planner pl = { .outer = around,
				   .file = around->file,
				   .graph = graph,
				   .facts = around->facts,
				   .arena = around->arena,
				   .scratch = around->scratch,
				   .fold_left = around->fold_left,
				   .capture_max = CAPTURES_MAX };
	struct onnx_plan *plan = build(&pl, err);
	uint32_t *in, *inner;

	if (!plan)
		return NULL;
	/* What it takes from around becomes more inputs of the step, so that lives and needs are counted right. */
	in = ARENA_ARRAY(p->arena, uint32_t, p->step->in_count + pl.capture_count, err);
	inner = ARENA_ARRAY(p->arena, uint32_t, pl.capture_count, err);
	if (!in || !inner)
		return NULL;
	memcpy(in, p->step->in, p->step->in_count * sizeof(*in));
	plan->capture_count = 0;
	for (uint32_t i = 0; i < pl.capture_count; i++) {
		struct span name = { NULL, 0 };
		struct binding *b;

		if (plan->constants[pl.captures[i]])
			continue;
		for (size_t j = 0; j <= pl.table_mask; j++)
			if (pl.table[j].name.ptr && pl.table[j].slot == pl.captures[i])
				name = pl.table[j].name;
		b = lookup(around, name);
		if (!b->name.ptr) {
			error_set(err, ERROR_UNIMPLEMENTED,
				  "a body inside a body uses '" SPAN_FMT "' from outside both", SPAN_ARG(name));
			return NULL;
		}
		in[p->step->in_count + plan->capture_count] = b->slot;
		inner[plan->capture_count++] = pl.captures[i];
	}
	p->step->in = in;
	p->step->in_count += plan->capture_count;
	plan->captures = inner;
	return plan;
}

struct onnx_facts *onnx_facts(struct onnx_prepare *p)
{
	return p->planner->facts;
}
