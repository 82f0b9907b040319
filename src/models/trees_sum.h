/* SPDX-License-Identifier: Apache-2.0 */
/*
 * trees_sum - adds leaves up, in float or in double. Included by trees_run.c once for each, with SUM_NAME, SUM_TYPE and
 * SUM_BASE (the ensemble's base numbers in that type) and SUM_LEAF (a scalar leaf's value from the word at the end of a
 * walk). No include guard: it is a template.
 *
 * A target's leaves are added in the order of the trees, one by one, whatever the path: results are equal to the last
 * bit.
 */
#define SUM_PASTE_(a, b) a##_##b
#define SUM_PASTE(a, b)  SUM_PASTE_(a, b)
#define SUM_(name)       SUM_PASTE(name, SUM_NAME)

static void SUM_(start)(const struct trees *t, size_t rows, SUM_TYPE *out)
{
	size_t targets = t->source.config.targets;
	bool first = t->source.config.base_first && SUM_BASE;

	for (size_t i = 0; i < rows; i++)
		for (size_t k = 0; k < targets; k++)
			out[i * targets + k] = first ? SUM_BASE[k] : 0;
}

static void SUM_(finish)(const struct trees *t, size_t rows, SUM_TYPE *out)
{
	size_t targets = t->source.config.targets;

	if (t->source.config.aggregate == TREE_AVERAGE && t->tree_count)
		for (size_t i = 0; i < rows * targets; i++)
			out[i] /= (SUM_TYPE)t->tree_count;
	if (t->source.config.base_first || !SUM_BASE)
		return;
	for (size_t i = 0; i < rows; i++)
		for (size_t k = 0; k < targets; k++)
			out[i * targets + k] += SUM_BASE[k];
}

/* Adds a leaf that is not one number. */
static inline void SUM_(add_leaf)(const struct trees *t, uint32_t leaf, const void *x, SUM_TYPE *out)
{
	size_t targets = t->source.config.targets;

	if (t->form == TREE_LEAF_DENSE) {
		const SUM_TYPE *value = (const SUM_TYPE *)t->leaf_values + leaf * targets;

		for (size_t k = 0; k < targets; k++)
			out[k] += value[k];
		return;
	}
	if (t->leaf_linear && t->leaf_linear[leaf] != TREE_NONE) {
		const struct tree_pair *p = &t->pairs[t->pair_first[leaf]];

		out[p->target] += (SUM_TYPE)linear_value(t, t->leaf_linear[leaf], p->value, x);
		return;
	}
	for (uint32_t i = t->pair_first[leaf]; i < t->pair_first[leaf + 1]; i++)
		out[t->pairs[i].target] += (SUM_TYPE)t->pairs[i].value;
}

static void SUM_(row)(const struct trees *t, const struct kernels *kernels, const void *x,
		      struct tree_row_ranks *row_ranks, uint8_t *ranks, uint32_t *leaf, SUM_TYPE *out)
{
	const SUM_TYPE *value __attribute__((unused)) = t->leaf_values; /* SUM_LEAF may use it */
	size_t i = 0;

	kernels->row(t, x, row_ranks, ranks);
	kernels->walk(t, ranks, leaf);
	SUM_(start)(t, 1, out);
	for (size_t k = 0; k < t->source.config.targets && t->form == TREE_LEAF_SCALAR; k++) {
		SUM_TYPE sum = out[k];

		for (size_t end = t->target_end[k]; i < end; i++)
			sum += SUM_LEAF(leaf[i]);
		out[k] = sum;
	}
	for (; i < t->tree_count; i++)
		SUM_(add_leaf)(t, leaf[i], x, out);
	SUM_(finish)(t, 1, out);
}

/* Adds a group of small trees of one target; with all eight there, a row's sum stays in a register. */
static void SUM_(add_group)(const struct trees *t, size_t tree, size_t count, uint8_t leaf[][TREE_BLOCK], size_t rows,
			    SUM_TYPE *out)
{
	size_t targets = t->source.config.targets;
	const SUM_TYPE *value[TREE_GROUP];

	for (size_t k = 0; k < count; k++)
		value[k] = (const SUM_TYPE *)t->leaf_values + t->leaf_first[tree + k];
	if (count == TREE_GROUP) {
		for (size_t i = 0; i < rows; i++) {
			SUM_TYPE sum = out[i * targets];

			for (size_t k = 0; k < TREE_GROUP; k++)
				sum += value[k][leaf[k][i]];
			out[i * targets] = sum;
		}
		return;
	}
	for (size_t k = 0; k < count; k++)
		for (size_t i = 0; i < rows; i++)
			out[i * targets] += value[k][leaf[k][i]];
}

/* Any tree and form of leaf. */
static void SUM_(add_tree)(const struct trees *t, const struct kernels *kernels, size_t tree, size_t target,
			   const void *x, size_t x_size, const uint8_t *ranks, size_t rows, SUM_TYPE *out)
{
	size_t targets = t->source.config.targets, nodes = t->scan_first[tree + 1] - t->scan_first[tree];
	_Alignas(64) uint8_t small[TREE_BLOCK];
	uint32_t leaf[TREE_BLOCK];

	if (nodes || t->tree_depth[tree] == 0) {
		kernels->scan(t->scan + t->scan_first[tree], nodes, ranks, rows, small);
		for (size_t i = 0; i < rows; i++)
			leaf[i] = t->leaf_first[tree] + small[i];
	} else {
		walk_block(t, tree, ranks, rows, leaf);
	}
	for (size_t i = 0; i < rows; i++) {
		if (t->form == TREE_LEAF_SCALAR)
			out[i * targets + target] += ((const SUM_TYPE *)t->leaf_values)[leaf[i]];
		else
			SUM_(add_leaf)(t, leaf[i], (const char *)x + i * x_size, out + i * targets);
	}
}

static void SUM_(block)(const struct trees *t, const struct kernels *kernels, const void *x, size_t x_size, size_t rows,
			uint8_t *ranks, SUM_TYPE *out)
{
	_Alignas(64) uint8_t leaf[TREE_GROUP][TREE_BLOCK];
	size_t tree = 0;

	kernels->block(t, x, rows, ranks);
	SUM_(start)(t, rows, out);
	for (size_t target = 0; target < t->source.config.targets && t->form == TREE_LEAF_SCALAR; target++) {
		size_t end = t->target_end[target];

		for (; tree < end && t->has_large; tree++)
			SUM_(add_tree)(t, kernels, tree, target, x, x_size, ranks, rows, out);
		while (tree < end) {
			size_t count = MIN(end - tree, (size_t)TREE_GROUP);

			for (size_t k = 0; k < count; k++) {
				uint32_t first = t->scan_first[tree + k];

				kernels->scan(t->scan + first, t->scan_first[tree + k + 1] - first, ranks, rows,
					      leaf[k]);
			}
			SUM_(add_group)(t, tree, count, leaf, rows, out + target);
			tree += count;
		}
	}
	for (; tree < t->tree_count; tree++)
		SUM_(add_tree)(t, kernels, tree, 0, x, x_size, ranks, rows, out);
	SUM_(finish)(t, rows, out);
}

#undef SUM_
#undef SUM_PASTE
#undef SUM_PASTE_
