/* SPDX-License-Identifier: Apache-2.0 */
#include "models/trees.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#define FEATURES 9
#define ROWS     300

static uint64_t seed;

static uint32_t random_below(uint32_t n)
{
	seed = seed * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)((seed >> 32) * n >> 32);
}

/* Few values, so that thresholds are hit; zeros of both signs, infinities and missing ones among them. */
static double random_value(void)
{
	static const double odd[] = {
		0.0, -0.0, NAN, INFINITY, -INFINITY, 1e-36, -1e-35, 1e300, -1e300, 0.1, -0.5, 3e9
	};

	if (random_below(4) == 0)
		return odd[random_below(ARRAY_LEN(odd))];
	return (int)random_below(40) / 4.0 - 4;
}

/* What a test's ensemble may hold. */
struct recipe {
	const char *name;
	uint32_t trees, leaves;
	size_t targets;
	uint32_t modes; /* bits of enum tree_mode */
	bool double_input, double_sum, base_first, many_pairs, dense, linear, fine;
	enum tree_aggregate aggregate;
};

static void random_split(const struct recipe *r, struct tree_split *split, uint32_t *set)
{
	uint32_t mode;

	do {
		mode = random_below(TREE_SET + 1);
	} while (!(r->modes >> mode & 1));
	split->mode = (enum tree_mode)mode;
	split->feature = random_below(r->fine ? 2 : FEATURES);
	split->missing = (enum tree_missing)random_below(3);
	split->missing_yes = random_below(2);
	split->set_truncates = random_below(2);
	do {
		split->threshold = r->fine ? random_below(100000) / 12345.0 - 4 : random_value();
	} while (isnan(split->threshold));
	split->set_words = random_below(3);
	split->set = set;
	for (size_t i = 0; i < split->set_words; i++)
		set[i] = random_below(1 << 16) * 65536u + random_below(1 << 16);
}

static void random_leaf(const struct recipe *r, struct tree_builder *b, uint64_t node, uint32_t tree, struct error *err)
{
	uint32_t pairs = r->dense ? (uint32_t)r->targets : r->many_pairs ? random_below(4) : 1;

	if (pairs == 0)
		assert_true(tree_builder_empty_leaf(b, node, err));
	for (uint32_t i = 0; i < pairs; i++) {
		uint64_t target = r->dense ? i : r->many_pairs ? random_below((uint32_t)r->targets) : tree % r->targets;

		assert_true(tree_builder_leaf(b, node, target, random_below(2000) / 777.0 - 1, err));
	}
	if (r->linear && pairs == 1 && random_below(2)) {
		const uint64_t feature[] = { random_below(FEATURES), random_below(FEATURES) };
		const double coef[] = { 0.3, -1.7 };

		assert_true(tree_builder_linear(b, node, 0.77, random_below(3), feature, coef, err));
	}
}

/* Splits random leaves until there are enough; the same seed gives the same trees. */
static void random_tree(const struct recipe *r, struct tree_builder *b, uint32_t tree, struct error *err)
{
	uint32_t leaves = 1 + random_below(r->leaves), nodes = 2 * leaves - 1, open[4096], count = 1, next = 1;
	struct tree_split split = { 0 };
	uint32_t set[4];

	assert_true(tree_builder_begin(b, nodes, 0, err));
	open[0] = 0;
	for (uint32_t i = 1; i < leaves; i++) {
		uint32_t pick = random_below(count), node = open[pick];

		random_split(r, &split, set);
		split.yes = next++;
		split.no = next++;
		open[pick] = (uint32_t)split.yes;
		open[count++] = (uint32_t)split.no;
		assert_true(tree_builder_split(b, node, &split, err));
	}
	for (uint32_t i = 0; i < count; i++)
		random_leaf(r, b, open[i], tree, err);
	assert_true(tree_builder_end(b, err));
}

static struct trees *random_trees(const struct recipe *r, bool plain)
{
	static const double base[] = { 0.25, -1.5, 3 };
	struct tree_config config = { .features = FEATURES,
				      .targets = r->targets,
				      .double_input = r->double_input,
				      .double_sum = r->double_sum,
				      .aggregate = r->aggregate,
				      .base = base,
				      .base_first = r->base_first,
				      .plain = plain };
	struct tree_builder *b = tree_builder_new(&config);
	struct error err = { 0 };
	struct trees *t;

	seed = 42;
	for (uint32_t i = 0; i < r->trees; i++)
		random_tree(r, b, i, &err);
	t = tree_builder_finish(b, &err);
	assert_non_null(t);
	tree_builder_free(b);
	return t;
}

static void assert_same(const struct recipe *r, const void *a, const void *b, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		double x = r->double_sum ? ((const double *)a)[i] : (double)((const float *)a)[i];
		double y = r->double_sum ? ((const double *)b)[i] : (double)((const float *)b)[i];

		if (!(x == y || (isnan(x) && isnan(y))))
			fail_msg("%s: row %zu: %.17g, by the reference %.17g", r->name, i / r->targets, x, y);
	}
}

#define COMPARES (1 << TREE_LT | 1 << TREE_LEQ | 1 << TREE_GT | 1 << TREE_GTE)
#define ALL      (COMPARES | 1 << TREE_EQ | 1 << TREE_NEQ | 1 << TREE_SET)

static const struct recipe recipes[] = {
	{ .name = "float", .trees = 33, .leaves = 40, .targets = 1, .modes = 1 << TREE_LT },
	{ .name = "float, base first",
	  .trees = 16,
	  .leaves = 256,
	  .targets = 1,
	  .modes = COMPARES,
	  .base_first = true },
	{ .name = "small trees", .trees = 101, .leaves = 8, .targets = 1, .modes = COMPARES, .base_first = true },
	{ .name = "small trees, double", .trees = 75, .leaves = 6, .targets = 2, .modes = ALL, .double_sum = true },
	{ .name = "small trees, pairs", .trees = 75, .leaves = 6, .targets = 2, .modes = ALL, .many_pairs = true },
	{ .name = "three targets", .trees = 50, .leaves = 30, .targets = 3, .modes = COMPARES },
	{ .name = "double",
	  .trees = 20,
	  .leaves = 31,
	  .targets = 1,
	  .modes = COMPARES,
	  .double_input = true,
	  .double_sum = true },
	{ .name = "sets", .trees = 20, .leaves = 60, .targets = 2, .modes = ALL },
	{ .name = "sets, double", .trees = 20, .leaves = 60, .targets = 1, .modes = ALL, .double_input = true },
	{ .name = "large trees", .trees = 5, .leaves = 2000, .targets = 2, .modes = COMPARES },
	{ .name = "large and small", .trees = 12, .leaves = 500, .targets = 1, .modes = COMPARES, .double_sum = true },
	{ .name = "many cuts", .trees = 9, .leaves = 1500, .targets = 1, .modes = COMPARES, .fine = true },
	{ .name = "many cuts, double",
	  .trees = 20,
	  .leaves = 200,
	  .targets = 1,
	  .modes = COMPARES,
	  .fine = true,
	  .double_input = true },
	{ .name = "pairs", .trees = 20, .leaves = 50, .targets = 3, .modes = ALL, .many_pairs = true },
	{ .name = "dense",
	  .trees = 20,
	  .leaves = 50,
	  .targets = 3,
	  .modes = COMPARES,
	  .dense = true,
	  .aggregate = TREE_AVERAGE },
	{ .name = "linear",
	  .trees = 20,
	  .leaves = 50,
	  .targets = 2,
	  .modes = ALL,
	  .linear = true,
	  .double_sum = true,
	  .double_input = true },
	{ .name = "average", .trees = 7, .leaves = 50, .targets = 1, .modes = COMPARES, .aggregate = TREE_AVERAGE },
	{ .name = "least", .trees = 7, .leaves = 50, .targets = 3, .modes = ALL, .aggregate = TREE_MIN },
	{ .name = "most", .trees = 7, .leaves = 50, .targets = 3, .modes = ALL, .aggregate = TREE_MAX },
	{ .name = "leaves only", .trees = 9, .leaves = 1, .targets = 2, .modes = COMPARES },
	{ .name = "no tree", .trees = 0, .leaves = 1, .targets = 2, .modes = COMPARES, .base_first = true },
};

static void every_path_equals_the_reference_to_the_last_bit(void **state)
{
	static const size_t row_counts[] = { 1, 2, 7, 8, 31, 33, 65, 127, 128, 129, ROWS };
	static double x[ROWS * FEATURES], want[ROWS * 3], got[ROWS * 3];
	static float x_float[ROWS * FEATURES];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(recipes); i++) {
		const struct recipe *r = &recipes[i];
		struct trees *reference = random_trees(r, true), *t = random_trees(r, false);
		const void *rows = r->double_input ? (const void *)x : x_float;
		struct error err = { 0 };
		struct arena arena;

		arena_init(&arena, MIB(64));
		for (size_t k = 0; k < ARRAY_LEN(x); k++) {
			x[k] = r->fine ? random_below(100000) / 12345.0 - 4 : random_value();
			x_float[k] = (float)x[k];
		}
		assert_true(trees_run(reference, rows, ROWS, want, &arena, &err));
		for (size_t k = 0; k < ARRAY_LEN(row_counts); k++) {
			memset(got, 0xff, sizeof(got));
			assert_true(trees_run(t, rows, row_counts[k], got, &arena, &err));
			assert_same(r, got, want, row_counts[k] * r->targets);
			for (int path = TREES_WALK; path <= TREES_SCAN_AVX2; path++) {
				memset(got, 0xff, sizeof(got));
				if (trees_run_path(t, (enum trees_path)path, rows, row_counts[k], got, &arena, &err))
					assert_same(r, got, want, row_counts[k] * r->targets);
				else
					assert_int_equal(err.code, ERROR_UNIMPLEMENTED);
			}
			arena_clear(&arena);
		}
		arena_done(&arena);
		trees_free(reference);
		trees_free(t);
	}
}

static void ordinary_ensembles_are_compiled(void **state)
{
	struct error err = { 0 };
	struct arena arena;
	float x[FEATURES] = { 0 };
	double out[3];

	(void)state;
	arena_init(&arena, MIB(1));
	for (size_t i = 0; i < ARRAY_LEN(recipes); i++) {
		bool ranked = recipes[i].aggregate == TREE_SUM || recipes[i].aggregate == TREE_AVERAGE;
		struct trees *t = random_trees(&recipes[i], false);

		if (!recipes[i].double_input)
			assert_int_equal(trees_run_path(t, TREES_SCAN, x, 1, out, &arena, &err), ranked);
		trees_free(t);
	}
	arena_done(&arena);
}

static void cost_is_measured(void **state)
{
	struct trees *t = random_trees(&recipes[1], false);
	struct trees_facts facts;
	double call = 0, row = 0;

	(void)state;
	trees_measure(t, &call, &row);
	assert_true(call > 0 && row > 0);
	trees_describe(t, &facts);
	assert_int_equal(facts.trees, 16);
	assert_true(facts.leaves > 16 && facts.nodes == 2 * facts.leaves - 16 && facts.depth > 4 && facts.bytes > 1000);
	trees_free(t);
}

/* Steps of a builder: 's' split, 'l' leaf, 'e' empty leaf, 'n' linear. */
struct step {
	char what;
	uint64_t node, yes, no, feature, target;
	double threshold;
};

static const struct {
	size_t nodes;
	uint64_t root;
	struct step steps[4];
	const char *message;
} damaged[] = {
	{ 0, 0, { { 0 } }, "a tree needs at least one node" },
	{ 3, 3, { { 0 } }, "the root 3 is outside 0..2" },
	{ 3, 0, { { 's', .node = 0, .yes = 3, .no = 2 } }, "node 0: left child 3 is outside 0..2" },
	{ 3, 0, { { 's', .node = 0, .yes = 1, .no = UINT64_MAX } }, "node 0: right child -1 is outside 0..2" },
	{ 3, 0, { { 's', .node = 5, .yes = 1, .no = 2 } }, "node 5 is outside 0..2" },
	{ 3, 0, { { 's', .node = 0, .yes = 1, .no = 2, .feature = 9 } }, "node 0: feature 9 is outside 0..8" },
	{ 3, 0, { { 's', .node = 0, .yes = 1, .no = 2, .threshold = NAN } }, "node 0: the threshold is not a number" },
	{ 3,
	  0,
	  { { 's', .node = 0, .yes = 1, .no = 2 }, { 's', .node = 0, .yes = 1, .no = 2 } },
	  "node 0 is given twice" },
	{ 3, 0, { { 's', .node = 0, .yes = 1, .no = 2 }, { 'l', .node = 0 } }, "node 0 is given twice" },
	{ 3, 0, { { 'l', .node = 0 }, { 'e', .node = 0 } }, "node 0 is given twice" },
	{ 3, 0, { { 'l', .node = 1, .target = 1 } }, "node 1: target 1 is outside 0..0" },
	{ 3, 0, { { 's', .node = 0, .yes = 1, .no = 2 }, { 'l', .node = 1 } }, "node 2 is used but not given" },
	{ 3,
	  0,
	  { { 's', .node = 0, .yes = 1, .no = 1 }, { 'l', .node = 1 } },
	  "node 0: child 1 is reached twice (a cycle, or two parents)" },
	{ 3,
	  0,
	  { { 's', .node = 0, .yes = 1, .no = 2 }, { 's', .node = 1, .yes = 2, .no = 0 }, { 'l', .node = 2 } },
	  "node 1: child 2 is reached twice (a cycle, or two parents)" },
	{ 1,
	  0,
	  { { 's', .node = 0, .yes = 0, .no = 0 } },
	  "node 0: child 0 is reached twice (a cycle, or two parents)" },
	{ 4,
	  0,
	  { { 's', .node = 0, .yes = 1, .no = 2 }, { 'l', .node = 1 }, { 'l', .node = 2 } },
	  "node 3 is not reached from the root" },
	{ 1, 0, { { 'n', .node = 0 } }, "node 0: a linear function needs a leaf with one value" },
	{ 1, 0, { { 'l', .node = 0 }, { 'n', .node = 0, .feature = 77 } }, "node 0: feature 77 is outside 0..8" },
};

static bool take(struct tree_builder *b, const struct step *s, struct error *err)
{
	struct tree_split split = { .yes = s->yes, .no = s->no, .feature = s->feature, .threshold = s->threshold };
	double coef = 1;

	switch (s->what) {
	case 's':
		return tree_builder_split(b, s->node, &split, err);
	case 'l':
		return tree_builder_leaf(b, s->node, s->target, 1, err);
	case 'e':
		return tree_builder_empty_leaf(b, s->node, err);
	case 'n':
		return tree_builder_linear(b, s->node, 0, 1, &s->feature, &coef, err);
	default:
		return true;
	}
}

static void damaged_trees_are_refused_with_the_node(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(damaged); i++) {
		struct tree_builder *b =
		    tree_builder_new(&(struct tree_config){ .features = FEATURES, .targets = 1, .double_sum = true });
		struct error err = { 0 };
		bool ok = tree_builder_begin(b, damaged[i].nodes, damaged[i].root, &err);

		for (size_t k = 0; ok && k < ARRAY_LEN(damaged[i].steps); k++)
			ok = take(b, &damaged[i].steps[k], &err);
		assert_false(ok && tree_builder_end(b, &err));
		assert_int_equal(err.code, ERROR_INVALID);
		assert_string_equal(err.message, damaged[i].message);
		tree_builder_free(b);
	}
}

static struct trees *chain(size_t depth, struct error *err)
{
	struct tree_builder *b = tree_builder_new(&(struct tree_config){ .features = 1, .targets = 1 });
	struct trees *t = NULL;
	bool ok = tree_builder_begin(b, 2 * depth + 1, 0, err);

	for (size_t i = 0; ok && i < depth; i++) {
		struct tree_split split = { .yes = 2 * i + 1, .no = 2 * i + 2, .threshold = -(double)i };

		ok = tree_builder_split(b, i ? 2 * i : 0, &split, err) && tree_builder_leaf(b, 2 * i + 1, 0, 1, err);
	}
	ok = ok && tree_builder_leaf(b, 2 * depth, 0, 2, err) && tree_builder_end(b, err);
	if (ok)
		t = tree_builder_finish(b, err);
	tree_builder_free(b);
	return t;
}

static void a_tree_may_be_deep_but_not_too_deep(void **state)
{
	struct error err = { 0 };
	struct trees *t = chain(MODEL_DEPTH_MAX, &err);

	(void)state;
	assert_non_null(t);
	trees_free(t);
	assert_null(chain(MODEL_DEPTH_MAX + 1, &err));
	assert_int_equal(err.code, ERROR_TOO_LARGE);
}

static void categories_past_the_limit_are_refused(void **state)
{
	struct tree_builder *b = tree_builder_new(&(struct tree_config){ .features = 1, .targets = 1 });
	uint32_t *set = calloc(TREE_SET_WORDS_MAX + 1, sizeof(*set));
	struct tree_split split = {
		.yes = 1, .no = 2, .mode = TREE_SET, .set = set, .set_words = TREE_SET_WORDS_MAX + 1
	};
	struct error err = { 0 };

	(void)state;
	set[TREE_SET_WORDS_MAX] = 1;
	assert_true(tree_builder_begin(b, 3, 0, &err));
	assert_false(tree_builder_split(b, 0, &split, &err));
	assert_int_equal(err.code, ERROR_TOO_LARGE);
	assert_string_equal(err.message, "node 0: a category is over the limit of 65535");
	tree_builder_free(b);
	free(set);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_path_equals_the_reference_to_the_last_bit),
		cmocka_unit_test(ordinary_ensembles_are_compiled),
		cmocka_unit_test(cost_is_measured),
		cmocka_unit_test(damaged_trees_are_refused_with_the_node),
		cmocka_unit_test(a_tree_may_be_deep_but_not_too_deep),
		cmocka_unit_test(categories_past_the_limit_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
