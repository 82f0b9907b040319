/* SPDX-License-Identifier: Apache-2.0 */
/* trees_builder - takes trees node by node and checks all that running relies on. */
#include <math.h>
#include <stdlib.h>

#include "models/trees_private.h"

struct tree_builder {
	struct tree_source source;
	size_t first, count; /* nodes of the tree being built */
	uint64_t root;
	bool is_open;
	uint32_t *stack; /* for the walk of tree_builder_end() */
	uint32_t *depth;
	size_t stack_cap;
};

/* Room for one more, or `n` more; counts stay below 2^32 because of the limits. */
#define VECTOR_GROW(v, n)                                                                                              \
	do {                                                                                                           \
		size_t need_ = (v).count + (n);                                                                        \
		if (need_ > (v).cap) {                                                                                 \
			(v).cap = MAX(need_, (v).cap + (v).cap / 2 + 16);                                              \
			(v).at = base_realloc((v).at, (v).cap * sizeof(*(v).at));                                      \
		}                                                                                                      \
	} while (0)

struct tree_builder *tree_builder_new(const struct tree_config *config)
{
	struct tree_builder *b = base_calloc(1, sizeof(*b));

	b->source.config = *config;
	if (config->base && config->targets <= TREE_TARGETS_MAX) {
		b->source.base = base_alloc(MAX(config->targets, (size_t)1) * sizeof(double));
		memcpy(b->source.base, config->base, config->targets * sizeof(double));
	}
	b->source.config.base = NULL;
	return b;
}

void tree_source_done(struct tree_source *s)
{
	free(s->base);
	free(s->nodes.at);
	free(s->pairs.at);
	free(s->linears.at);
	free(s->coefs.at);
	free(s->sets.at);
	free(s->roots.at);
	*s = (struct tree_source){ 0 };
}

void tree_builder_free(struct tree_builder *b)
{
	if (!b)
		return;
	tree_source_done(&b->source);
	free(b->stack);
	free(b->depth);
	free(b);
}

bool tree_builder_begin(struct tree_builder *b, size_t nodes, uint64_t root, struct error *err)
{
	struct tree_source *s = &b->source;

	ASSERT(!b->is_open);
	if (nodes == 0)
		return error_set(err, ERROR_INVALID, "a tree needs at least one node");
	if (root >= nodes)
		return error_set(err, ERROR_INVALID, "the root %llu is outside 0..%zu", (unsigned long long)root,
				 nodes - 1);
	if (nodes > MODEL_NODES_MAX - s->nodes.count)
		return error_set(err, ERROR_TOO_LARGE, "the trees have more than %zu nodes", MODEL_NODES_MAX);
	if (s->roots.count == TREE_COUNT_MAX)
		return error_set(err, ERROR_TOO_LARGE, "there are more than %zu trees", TREE_COUNT_MAX);
	VECTOR_GROW(s->nodes, nodes);
	memset(s->nodes.at + s->nodes.count, 0, nodes * sizeof(*s->nodes.at));
	b->first = s->nodes.count;
	b->count = nodes;
	b->root = root;
	b->is_open = true;
	s->nodes.count += nodes;
	return true;
}

static struct tree_node *node_at(struct tree_builder *b, uint64_t node, struct error *err)
{
	ASSERT(b->is_open);
	if (node >= b->count) {
		error_set(err, ERROR_INVALID, "node %llu is outside 0..%zu", (unsigned long long)node, b->count - 1);
		return NULL;
	}
	return b->source.nodes.at + b->first + node;
}

static struct tree_node *new_node(struct tree_builder *b, uint64_t node, struct error *err)
{
	struct tree_node *n = node_at(b, node, err);

	if (n && n->kind != TREE_NODE_NEW) {
		error_set(err, ERROR_INVALID, "node %llu is given twice", (unsigned long long)node);
		return NULL;
	}
	return n;
}

static bool copy_set(struct tree_builder *b, uint64_t node, struct tree_node *n, const struct tree_split *split,
		     struct error *err)
{
	struct tree_source *s = &b->source;
	size_t words = split->set_words;

	while (words && split->set[words - 1] == 0)
		words--;
	if (words > TREE_SET_WORDS_MAX)
		return error_set(err, ERROR_TOO_LARGE, "node %llu: a category is over the limit of %d",
				 (unsigned long long)node, TREE_SET_WORDS_MAX * 32 - 1);
	if (words > TREE_SET_WORDS_SUM - s->sets.count)
		return error_set(err, ERROR_TOO_LARGE, "node %llu: the sets of categories are over %zu bytes together",
				 (unsigned long long)node, TREE_SET_WORDS_SUM * 4);
	VECTOR_GROW(s->sets, words);
	n->set_first = (uint32_t)s->sets.count;
	n->set_words = (uint32_t)words;
	n->set_truncates = split->set_truncates;
	if (words)
		memcpy(s->sets.at + s->sets.count, split->set, words * sizeof(*split->set));
	s->sets.count += words;
	return true;
}

static bool child_ok(const struct tree_builder *b, uint64_t node, const char *which, uint64_t child, struct error *err)
{
	if (child < b->count)
		return true;
	return error_set(err, ERROR_INVALID, "node %llu: %s child %lld is outside 0..%zu", (unsigned long long)node,
			 which, (long long)child, b->count - 1);
}

bool tree_builder_split(struct tree_builder *b, uint64_t node, const struct tree_split *split, struct error *err)
{
	struct tree_node *n = new_node(b, node, err);

	if (!n)
		return false;
	if (!child_ok(b, node, "left", split->yes, err) || !child_ok(b, node, "right", split->no, err))
		return false;
	if (split->feature >= b->source.config.features)
		return error_set(err, ERROR_INVALID, "node %llu: feature %lld is outside 0..%zu",
				 (unsigned long long)node, (long long)split->feature, b->source.config.features - 1);
	if (split->mode == TREE_SET) {
		if (!copy_set(b, node, n, split, err))
			return false;
	} else if (isnan(split->threshold)) {
		return error_set(err, ERROR_INVALID, "node %llu: the threshold is not a number",
				 (unsigned long long)node);
	}
	n->kind = TREE_NODE_SPLIT;
	n->feature = (uint32_t)split->feature;
	n->yes = (uint32_t)(b->first + split->yes);
	n->no = (uint32_t)(b->first + split->no);
	n->threshold = split->threshold;
	n->mode = (uint8_t)split->mode;
	n->missing = (uint8_t)split->missing;
	n->missing_yes = split->missing_yes;
	return true;
}

bool tree_builder_empty_leaf(struct tree_builder *b, uint64_t node, struct error *err)
{
	struct tree_node *n = new_node(b, node, err);

	if (!n)
		return false;
	n->kind = TREE_NODE_LEAF;
	n->pair_first = n->pair_last = n->linear = TREE_NONE;
	return true;
}

bool tree_builder_leaf(struct tree_builder *b, uint64_t node, uint64_t target, double value, struct error *err)
{
	struct tree_source *s = &b->source;
	struct tree_node *n = node_at(b, node, err);

	if (!n)
		return false;
	if (n->kind == TREE_NODE_SPLIT)
		return error_set(err, ERROR_INVALID, "node %llu is given twice", (unsigned long long)node);
	if (target >= s->config.targets)
		return error_set(err, ERROR_INVALID, "node %llu: target %lld is outside 0..%zu",
				 (unsigned long long)node, (long long)target, s->config.targets - 1);
	if (s->pairs.count >= MODEL_NODES_MAX * 8)
		return error_set(err, ERROR_TOO_LARGE, "the leaves have more than %zu values", MODEL_NODES_MAX * 8);
	if (n->kind == TREE_NODE_NEW && !tree_builder_empty_leaf(b, node, err))
		return false;
	VECTOR_GROW(s->pairs, 1);
	s->pairs.at[s->pairs.count] = (struct tree_pair){ value, (uint32_t)target, TREE_NONE };
	if (n->pair_first == TREE_NONE)
		n->pair_first = (uint32_t)s->pairs.count;
	else
		s->pairs.at[n->pair_last].next = (uint32_t)s->pairs.count;
	n->pair_last = (uint32_t)s->pairs.count++;
	return true;
}

bool tree_builder_linear(struct tree_builder *b, uint64_t node, double constant, size_t count, const uint64_t *feature,
			 const double *coef, struct error *err)
{
	struct tree_source *s = &b->source;
	struct tree_node *n = node_at(b, node, err);

	if (!n)
		return false;
	ASSERT(s->config.double_sum);
	if (n->kind != TREE_NODE_LEAF || n->linear != TREE_NONE || n->pair_first == TREE_NONE ||
	    n->pair_first != n->pair_last)
		return error_set(err, ERROR_INVALID, "node %llu: a linear function needs a leaf with one value",
				 (unsigned long long)node);
	if (count > MODEL_NODES_MAX * 8 - s->coefs.count)
		return error_set(err, ERROR_TOO_LARGE, "the leaves have more than %zu coefficients",
				 MODEL_NODES_MAX * 8);
	VECTOR_GROW(s->linears, 1);
	VECTOR_GROW(s->coefs, count);
	n->linear = (uint32_t)s->linears.count;
	s->linears.at[s->linears.count++] = (struct tree_linear){ constant, (uint32_t)s->coefs.count, (uint32_t)count };
	for (size_t i = 0; i < count; i++) {
		if (feature[i] >= s->config.features)
			return error_set(err, ERROR_INVALID, "node %llu: feature %lld is outside 0..%zu",
					 (unsigned long long)node, (long long)feature[i], s->config.features - 1);
		s->coefs.at[s->coefs.count++] = (struct tree_coef){ coef[i], (uint32_t)feature[i] };
	}
	return true;
}

/* Walks from the root; a node seen twice is a cycle or a shared subtree. `depth` is UINT32_MAX for nodes not seen. */
static bool check_tree(struct tree_builder *b, struct tree_root *root, size_t *ret_seen, struct error *err)
{
	const struct tree_node *nodes = b->source.nodes.at + b->first;
	size_t stacked = 0, seen = 0;

	memset(b->depth, 0xff, b->count * sizeof(*b->depth));
	b->stack[stacked++] = (uint32_t)b->root;
	b->depth[b->root] = 0;
	while (stacked) {
		uint32_t i = b->stack[--stacked];
		const struct tree_node *n = &nodes[i];
		uint32_t children[2];

		seen++;
		root->depth = MAX(root->depth, b->depth[i]);
		if (n->kind == TREE_NODE_NEW)
			return error_set(err, ERROR_INVALID, "node %u is used but not given", i);
		if (n->kind == TREE_NODE_LEAF) {
			root->leaves++;
			continue;
		}
		if (b->depth[i] == MODEL_DEPTH_MAX)
			return error_set(err, ERROR_TOO_LARGE, "node %u: the tree is deeper than %d", i,
					 MODEL_DEPTH_MAX);
		children[0] = n->yes - (uint32_t)b->first;
		children[1] = n->no - (uint32_t)b->first;
		for (int c = 0; c < 2; c++) {
			if (b->depth[children[c]] != UINT32_MAX)
				return error_set(err, ERROR_INVALID,
						 "node %u: child %u is reached twice (a cycle, or two parents)", i,
						 children[c]);
			b->depth[children[c]] = b->depth[i] + 1;
			b->stack[stacked++] = children[c];
		}
	}
	*ret_seen = seen;
	return true;
}

bool tree_builder_end(struct tree_builder *b, struct error *err)
{
	struct tree_source *s = &b->source;
	struct tree_root root = { .root = (uint32_t)(b->first + b->root),
				  .first = (uint32_t)b->first,
				  .count = (uint32_t)b->count };
	size_t seen = 0;

	ASSERT(b->is_open);
	if (b->count > b->stack_cap) {
		b->stack_cap = b->count + b->count / 2 + 16;
		b->stack = base_realloc(b->stack, (b->stack_cap + 1) * sizeof(*b->stack));
		b->depth = base_realloc(b->depth, b->stack_cap * sizeof(*b->depth));
	}
	if (!check_tree(b, &root, &seen, err))
		return false;
	if (seen != b->count && !s->config.allow_unreached) {
		for (size_t i = 0; i < b->count; i++) {
			if (b->depth[i] == UINT32_MAX)
				return error_set(err, ERROR_INVALID, "node %zu is not reached from the root", i);
		}
	}
	VECTOR_GROW(s->roots, 1);
	s->roots.at[s->roots.count++] = root;
	b->is_open = false;
	return true;
}

struct trees *tree_builder_finish(struct tree_builder *b, struct error *err)
{
	const struct tree_config *c = &b->source.config;
	struct trees *t;

	ASSERT(!b->is_open);
	if (c->features == 0 || c->features > MODEL_FEATURES_MAX) {
		error_set(err, c->features ? ERROR_TOO_LARGE : ERROR_INVALID,
			  "the model has %zu features, expected 1 to %zu", c->features, MODEL_FEATURES_MAX);
		return NULL;
	}
	if (c->targets == 0 || c->targets > TREE_TARGETS_MAX) {
		error_set(err, c->targets ? ERROR_TOO_LARGE : ERROR_INVALID,
			  "the model has %zu outputs, expected 1 to %zu", c->targets, TREE_TARGETS_MAX);
		return NULL;
	}
	t = base_calloc(1, sizeof(*t));
	t->source = b->source;
	b->source = (struct tree_source){ .config = t->source.config };
	t->tree_count = t->source.roots.count;
	t->facts.trees = t->tree_count;
	for (size_t i = 0; i < t->tree_count; i++) {
		const struct tree_root *r = &t->source.roots.at[i];

		t->facts.nodes += 2 * (size_t)r->leaves - 1;
		t->facts.leaves += r->leaves;
		t->facts.depth = MAX(t->facts.depth, r->depth);
	}
	if (t->source.base) {
		t->base_float = base_alloc(c->targets * sizeof(float));
		for (size_t i = 0; i < c->targets; i++)
			t->base_float[i] = (float)t->source.base[i];
	}
	t->is_plain = t->source.config.plain || !tree_compile(t);
	if (t->is_plain)
		t->facts.bytes = t->source.nodes.count * sizeof(struct tree_node) +
				 t->source.pairs.count * sizeof(struct tree_pair) + t->source.sets.count * 4;
	t->facts.bytes += sizeof(*t);
	return t;
}
