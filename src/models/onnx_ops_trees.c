/* SPDX-License-Identifier: Apache-2.0 */
/* TreeEnsembleClassifier, TreeEnsembleRegressor and TreeEnsemble (ai.onnx.ml 5), on the engine of trees.h. */
#include "models/onnx.h"

#include <stdio.h>
#include <stdlib.h>

#include "models/trees.h"

struct forest {
	const struct trees *trees;
	size_t features, targets;
	bool double_input;
	enum onnx_transform transform;
	bool shows_double; /* TreeEnsemble of doubles answers in double */

	struct onnx_labels labels; /* classifier */
	bool binary;               /* one sum for two classes */
	bool all_positive;         /* no weight is negative: the sum is a probability */
	bool only_second;          /* of binary: the sum's class is 1 */
	const uint8_t *scored;     /* by class: some leaf has a weight for it */
};

/* ---- reading the attributes ---- */

struct node_key {
	int64_t tree, node;
	size_t at; /* in the attribute lists */
};

/* A list of floats, or of doubles in the tensor attribute `<name>_as_tensor` (ai.onnx.ml 3). */
struct weights {
	const float *floats;
	const double *doubles;
	size_t count;
};

struct forest_lists {
	const int64_t *trees, *nodes, *features, *yes, *no, *missing;
	const struct span *modes;
	struct weights values;
	size_t count, missing_count;

	const int64_t *leaf_trees, *leaf_nodes, *leaf_targets;
	struct weights leaf_weights;
	size_t leaf_count;

	struct weights base;
	struct node_key *keys;      /* by tree and node */
	struct node_key *leaf_keys; /* the same for weights */
};

static double weight_at(const struct weights *w, size_t i)
{
	return w->doubles ? w->doubles[i] : (double)w->floats[i];
}

static bool weights_get(struct onnx_prepare *p, const char *name, struct weights *ret, struct error *err)
{
	const struct tensor *t;
	char tensor_name[64];

	snprintf(tensor_name, sizeof(tensor_name), "%s_as_tensor", name);
	ret->doubles = NULL;
	if (!onnx_floats(p, name, &ret->floats, &ret->count, err) || !onnx_tensor(p, tensor_name, &t, err))
		return false;
	if (!t)
		return true;
	ret->count = t->count;
	if (t->dtype == DTYPE_FP32)
		ret->floats = t->data;
	else if (t->dtype == DTYPE_FP64)
		ret->doubles = t->data;
	else
		return onnx_type_refused(t, err);
	return true;
}

static int key_compare(const void *pa, const void *pb)
{
	const struct node_key *a = pa, *b = pb;

	if (a->tree != b->tree)
		return a->tree < b->tree ? -1 : 1;
	if (a->node != b->node)
		return a->node < b->node ? -1 : 1;
	return a->at < b->at ? -1 : a->at > b->at; /* weights of one leaf stay in order */
}

static struct node_key *keys_new(struct onnx_prepare *p, const int64_t *trees, const int64_t *nodes, size_t count,
				 struct error *err)
{
	struct node_key *keys = ARENA_ARRAY(p->scratch, struct node_key, count, err);
	bool sorted = true;

	for (size_t i = 0; keys && i < count; i++) {
		keys[i] = (struct node_key){ trees[i], nodes[i], i };
		sorted &= i == 0 || key_compare(&keys[i - 1], &keys[i]) < 0;
	}
	if (keys && !sorted)
		qsort(keys, count, sizeof(*keys), key_compare);
	return keys;
}

static bool same_counts(struct forest_lists *l, const size_t *counts, struct error *err)
{
	for (int i = 0; i < 6; i++)
		if (counts[i] != l->count)
			return error_set(err, ERROR_INVALID, "lists of nodes have different lengths: %zu and %zu",
					 l->count, counts[i]);
	if (l->missing_count && l->missing_count != l->count)
		return error_set(err, ERROR_INVALID, "nodes_missing_value_tracks_true has %zu values for %zu nodes",
				 l->missing_count, l->count);
	return l->count > 0 || error_set(err, ERROR_INVALID, "there are no nodes");
}

static bool lists_get(struct onnx_prepare *p, const char *leaf, struct forest_lists *l, struct error *err)
{
	size_t counts[6], leaf_counts[2];
	char name[4][32];

	for (int i = 0; i < 4; i++) {
		static const char *const parts[] = { "treeids", "nodeids", "ids", "weights" };

		snprintf(name[i], sizeof(name[i]), "%s_%s", leaf, parts[i]);
	}
	onnx_ignore(p, "nodes_hitrates");
	onnx_ignore(p, "nodes_hitrates_as_tensor");
	if (!onnx_ints(p, "nodes_treeids", &l->trees, &l->count, err) ||
	    !onnx_ints(p, "nodes_nodeids", &l->nodes, &counts[0], err) ||
	    !onnx_ints(p, "nodes_featureids", &l->features, &counts[1], err) ||
	    !onnx_ints(p, "nodes_truenodeids", &l->yes, &counts[2], err) ||
	    !onnx_ints(p, "nodes_falsenodeids", &l->no, &counts[3], err) ||
	    !onnx_strings(p, "nodes_modes", &l->modes, &counts[4], err) ||
	    !weights_get(p, "nodes_values", &l->values, err) ||
	    !onnx_ints(p, "nodes_missing_value_tracks_true", &l->missing, &l->missing_count, err))
		return false;
	counts[5] = l->values.count;
	if (!same_counts(l, counts, err) || !onnx_ints(p, name[0], &l->leaf_trees, &l->leaf_count, err) ||
	    !onnx_ints(p, name[1], &l->leaf_nodes, &leaf_counts[0], err) ||
	    !onnx_ints(p, name[2], &l->leaf_targets, &leaf_counts[1], err) ||
	    !weights_get(p, name[3], &l->leaf_weights, err) || !weights_get(p, "base_values", &l->base, err))
		return false;
	if (leaf_counts[0] != l->leaf_count || leaf_counts[1] != l->leaf_count ||
	    l->leaf_weights.count != l->leaf_count)
		return error_set(err, ERROR_INVALID, "lists of weights have different lengths");
	l->keys = keys_new(p, l->trees, l->nodes, l->count, err);
	l->leaf_keys = keys_new(p, l->leaf_trees, l->leaf_nodes, l->leaf_count, err);
	return l->keys && l->leaf_keys;
}

static bool mode_of(struct span text, enum tree_mode *ret, bool *ret_leaf, struct error *err)
{
	static const struct {
		struct span name;
		enum tree_mode mode;
	} rows[] = {
		{ SPAN_INIT("BRANCH_LEQ"), TREE_LEQ }, { SPAN_INIT("BRANCH_LT"), TREE_LT },
		{ SPAN_INIT("BRANCH_GTE"), TREE_GTE }, { SPAN_INIT("BRANCH_GT"), TREE_GT },
		{ SPAN_INIT("BRANCH_EQ"), TREE_EQ },   { SPAN_INIT("BRANCH_NEQ"), TREE_NEQ },
	};

	*ret_leaf = span_equal(text, SPAN("LEAF"));
	if (*ret_leaf)
		return true;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		if (span_equal(text, rows[i].name)) {
			*ret = rows[i].mode;
			return true;
		}
	return error_set(err, ERROR_INVALID, "mode '" SPAN_FMT "' is unknown", SPAN_ARG(text));
}

/* ---- building ---- */

/* The position of a node among `count` sorted keys of one tree. */
static bool node_find(const struct node_key *keys, size_t count, int64_t node, uint64_t *ret, struct error *err)
{
	size_t low = 0, high = count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (keys[middle].node < node)
			low = middle + 1;
		else
			high = middle;
	}
	if (low == count || keys[low].node != node)
		return error_set(err, ERROR_INVALID, "child %lld is no node of the tree", (long long)node);
	*ret = low;
	return true;
}

/* The weights of a leaf; *at moves over the sorted weights. */
static bool build_leaf(struct tree_builder *b, const struct forest_lists *l, const struct node_key *key, uint64_t node,
		       size_t targets, bool binary, size_t *at, struct error *err)
{
	bool any = false;

	while (*at < l->leaf_count && (l->leaf_keys[*at].tree < key->tree ||
				       (l->leaf_keys[*at].tree == key->tree && l->leaf_keys[*at].node < key->node)))
		++*at; /* weights of nodes that are no leaves, or not there, count for nothing */
	for (; *at < l->leaf_count && l->leaf_keys[*at].tree == key->tree && l->leaf_keys[*at].node == key->node;
	     ++*at) {
		size_t i = l->leaf_keys[*at].at;
		int64_t target = binary ? 0 : l->leaf_targets[i];

		if (target < 0 || (uint64_t)target >= targets)
			return error_set(err, ERROR_INVALID, "weight %zu is for target %lld of %zu", i,
					 (long long)target, targets);
		if (!tree_builder_leaf(b, node, (uint64_t)target, weight_at(&l->leaf_weights, i), err))
			return false;
		any = true;
	}
	return any || tree_builder_empty_leaf(b, node, err);
}

static bool build_node(struct tree_builder *b, const struct forest_lists *l, const struct node_key *keys, size_t count,
		       size_t i, enum tree_mode mode, struct error *err)
{
	size_t at = keys[i].at;
	struct tree_split split = { .mode = mode, .threshold = weight_at(&l->values, at) };
	bool missing = l->missing_count && l->missing[at] != 0;

	if (l->features[at] < 0 || (uint64_t)l->features[at] >= MODEL_FEATURES_MAX)
		return error_set(err, ERROR_INVALID, "feature %lld", (long long)l->features[at]);
	split.feature = (uint64_t)l->features[at];
	/* NaN compares false with everything, and so is not equal to anything. */
	split.missing_yes = missing || mode == TREE_NEQ;
	if (!node_find(keys, count, l->yes[at], &split.yes, err) || !node_find(keys, count, l->no[at], &split.no, err))
		return false;
	return tree_builder_split(b, i, &split, err);
}

/* The tree of keys[0 .. count - 1], which all have its number. */
static bool build_tree(struct onnx_prepare *p, struct tree_builder *b, const struct forest_lists *l,
		       const struct node_key *keys, size_t count, size_t targets, bool binary, size_t *leaf_at,
		       struct error *err)
{
	uint8_t *is_child = arena_calloc(p->scratch, count, 1, err);
	uint64_t root = 0;

	if (!is_child)
		return false;
	for (size_t i = 1; i < count; i++)
		if (keys[i].node == keys[i - 1].node)
			return error_set(err, ERROR_INVALID, "node %lld is there twice", (long long)keys[i].node);
	/* The root is what is nobody's child: so children are looked up twice, the first time for that alone. */
	for (size_t i = 0; i < count; i++) {
		enum tree_mode mode;
		uint64_t child = 0;
		bool leaf = false;

		if (!mode_of(l->modes[keys[i].at], &mode, &leaf, err))
			return false;
		if (leaf)
			continue;
		if (!node_find(keys, count, l->yes[keys[i].at], &child, err))
			return error_wrap(err, "node %lld", (long long)keys[i].node);
		is_child[child] = 1;
		if (!node_find(keys, count, l->no[keys[i].at], &child, err))
			return error_wrap(err, "node %lld", (long long)keys[i].node);
		is_child[child] = 1;
	}
	while (root < count && is_child[root])
		root++;
	if (root == count)
		return error_set(err, ERROR_INVALID, "it has no root: each node is another's child");
	if (!tree_builder_begin(b, count, root, err))
		return false;
	for (size_t i = 0; i < count; i++) {
		enum tree_mode mode = TREE_LEQ;
		bool leaf = false;

		if (!mode_of(l->modes[keys[i].at], &mode, &leaf, err) ||
		    !(leaf ? build_leaf(b, l, &keys[i], i, targets, binary, leaf_at, err)
			   : build_node(b, l, keys, count, i, mode, err)))
			return error_wrap(err, "node %lld", (long long)keys[i].node);
	}
	return tree_builder_end(b, err);
}

static bool build_trees(struct onnx_prepare *p, struct tree_builder *b, const struct forest_lists *l, size_t targets,
			bool binary, struct error *err)
{
	size_t leaf_at = 0;

	for (size_t first = 0, next; first < l->count; first = next) {
		next = first + 1;
		while (next < l->count && l->keys[next].tree == l->keys[first].tree)
			next++;
		if (!build_tree(p, b, l, l->keys + first, next - first, targets, binary, &leaf_at, err))
			return error_wrap(err, "tree %lld", (long long)l->keys[first].tree);
	}
	return true;
}

/* As many columns as the only input of the model has, if that is known and enough; else as many as the trees look at.
 */
static bool feature_count(struct onnx_prepare *p, int64_t largest, size_t *ret, struct error *err)
{
	size_t least = (size_t)(largest < 0 ? 0 : largest) + 1, given = onnx_facts(p)->features;

	if (least > MODEL_FEATURES_MAX)
		return error_set(err, ERROR_TOO_LARGE, "feature %lld is over the %zu allowed", (long long)largest,
				 MODEL_FEATURES_MAX);
	*ret = given > least && given <= MODEL_FEATURES_MAX ? given : least;
	return true;
}

/* Compiles and hands the trees to the model to own. */
static bool finish(struct onnx_prepare *p, struct tree_builder *b, struct forest *f, struct error *err)
{
	struct onnx_facts *facts = onnx_facts(p);
	struct onnx_owned *owned = ARENA_NEW(p->arena, struct onnx_owned, err);

	if (!owned)
		return false;
	owned->trees = tree_builder_finish(b, err);
	if (!owned->trees)
		return false;
	owned->next = facts->owned;
	facts->owned = owned;
	f->trees = owned->trees;
	return true;
}

static bool base_list(struct onnx_prepare *p, const struct weights *w, size_t targets, const double **ret,
		      struct error *err)
{
	double *base = arena_calloc(p->scratch, targets, sizeof(double), err);

	for (size_t i = 0; base && i < MIN(targets, w->count); i++)
		base[i] = weight_at(w, i);
	*ret = base;
	return base != NULL;
}

static bool forest_build(struct onnx_prepare *p, const struct forest_lists *l, struct tree_config *config, bool binary,
			 struct forest *f, struct error *err)
{
	struct tree_builder *b;
	int64_t largest = 0;
	bool ok;

	for (size_t i = 0; i < l->count; i++)
		largest = MAX(largest, l->features[i]);
	if (!feature_count(p, largest, &config->features, err))
		return false;
	for (size_t i = 0; i < l->missing_count; i++)
		onnx_facts(p)->trees_missing |= l->missing[i] != 0;
	config->double_input = l->values.doubles != NULL;
	f->features = config->features;
	f->targets = config->targets;
	f->double_input = config->double_input;
	b = tree_builder_new(config);
	ok = build_trees(p, b, l, config->targets, binary, err) && finish(p, b, f, err);
	tree_builder_free(b);
	return ok;
}

/* ---- running ---- */

/* Sums of all rows, [rows, targets], as float. */
static bool forest_sums(struct onnx_run *r, const struct onnx_step *step, const struct forest *f, float *out,
			size_t rows, size_t columns, struct error *err)
{
	const struct tensor *x = onnx_in(r, step, 0);
	struct tensor same = *x;
	size_t size = f->double_input ? sizeof(double) : sizeof(float);
	const char *from;
	char *packed;

	if (f->double_input) {
		double *to;

		if (x->dtype != DTYPE_FP64) {
			if (x->dtype == DTYPE_BYTES)
				return onnx_type_refused(x, err);
			to = ARENA_ARRAY(r->arena, double, x->count, err);
			if (!to)
				return false;
			for (size_t i = 0; i < x->count; i++)
				to[i] = tensor_get(x, i);
			same.data = to;
		}
		from = same.data;
	} else {
		const float *floats;

		if (!onnx_floats_of(r, x, &floats, err))
			return false;
		from = (const char *)floats;
	}
	if (columns != f->features) { /* more columns than the trees look at */
		packed = arena_array_(r->arena, rows, f->features * size, err);
		if (!packed)
			return false;
		for (size_t i = 0; i < rows; i++)
			memcpy(packed + i * f->features * size, from + i * columns * size, f->features * size);
		from = packed;
	}
	return trees_run(f->trees, from, rows, out, r->arena, err);
}

static bool forest_rows(struct onnx_run *r, const struct onnx_step *step, const struct forest *f, size_t *ret_rows,
			size_t *ret_columns, struct error *err)
{
	if (!onnx_rows(onnx_in(r, step, 0), ret_rows, ret_columns, err))
		return false;
	if (*ret_columns < f->features)
		return error_set(err, ERROR_INVALID, "%zu columns were given, %zu were expected", *ret_columns,
				 f->features);
	return true;
}

/* ---- the regressor ---- */

static bool regressor_prepare(struct onnx_prepare *p, struct error *err)
{
	static const char *const names[] = { "SUM", "AVERAGE", "MIN", "MAX", NULL };
	static const enum tree_aggregate aggregates[] = { TREE_SUM, TREE_AVERAGE, TREE_MIN, TREE_MAX };
	struct forest *f = ARENA_NEW(p->arena, struct forest, err);
	struct tree_config config = { 0 };
	struct forest_lists l = { 0 };
	int64_t targets;
	int aggregate;

	if (!f || !onnx_int(p, "n_targets", 1, &targets, err) || !onnx_transform_get(p, &f->transform, err) ||
	    !onnx_choice(p, "aggregate_function", names, &aggregate, err) || !lists_get(p, "target", &l, err))
		return false;
	if (targets < 1 || targets > (int64_t)TREE_TARGETS_MAX)
		return error_set(err, ERROR_INVALID, "n_targets is %lld", (long long)targets);
	if (l.base.count && l.base.count != (size_t)targets)
		return error_set(err, ERROR_INVALID, "%zu base_values for %lld targets", l.base.count,
				 (long long)targets);
	config.targets = (size_t)targets;
	config.aggregate = aggregates[aggregate];
	if (!base_list(p, &l.base, config.targets, &config.base, err) || !forest_build(p, &l, &config, false, f, err))
		return false;
	onnx_facts(p)->regressor = true;
	p->step->state = f;
	return true;
}

static bool regressor_run(struct onnx_run *r, const struct onnx_step *step, struct tensor *out, struct error *err)
{
	const struct forest *f = step->state;
	size_t rows, columns;

	if (!forest_rows(r, step, f, &rows, &columns, err) ||
	    !onnx_new(r, out, DTYPE_FP32, 2, (int64_t[]){ (int64_t)rows, (int64_t)f->targets }, err) ||
	    !forest_sums(r, step, f, out->data, rows, columns, err))
		return false;
	if (f->targets > 1 || f->transform == ONNX_PROBIT) /* as for LinearRegressor */
		onnx_transform_rows(f->transform, out->data, rows, f->targets);
	return true;
}

/* ---- the classifier ---- */

/* One class id in all weights and two labels: the sum is of one of them, and the other's follows. */
static bool is_binary(const struct forest_lists *l, const struct onnx_labels *labels)
{
	for (size_t i = 1; i < l->leaf_count; i++)
		if (l->leaf_targets[i] != l->leaf_targets[0])
			return false;
	return labels->count == 2 && l->leaf_count > 0;
}

static bool classifier_prepare(struct onnx_prepare *p, struct error *err)
{
	struct forest *f = ARENA_NEW(p->arena, struct forest, err);
	struct tree_config config = { 0 };
	struct forest_lists l = { 0 };
	struct weights base;
	uint8_t *scored;

	if (!f || !onnx_labels_get(p, "classlabels_int64s", "classlabels_strings", &f->labels, err) ||
	    !onnx_transform_get(p, &f->transform, err) || !lists_get(p, "class", &l, err))
		return false;
	if (f->labels.count > TREE_TARGETS_MAX)
		return error_set(err, ERROR_TOO_LARGE, "%zu classes", f->labels.count);
	if (l.base.count > f->labels.count)
		return error_set(err, ERROR_INVALID, "%zu base_values for %zu classes", l.base.count, f->labels.count);
	f->binary = is_binary(&l, &f->labels);
	f->only_second = f->binary && l.leaf_targets[0] == 1;
	if (f->binary && (l.base.count == 2 || f->transform == ONNX_PROBIT))
		return error_set(err, ERROR_UNIMPLEMENTED, "one sum for two classes, with two base_values or PROBIT");
	f->all_positive = true;
	scored = arena_calloc(p->arena, f->labels.count, 1, err);
	if (!scored)
		return false;
	for (size_t i = 0; i < l.leaf_count; i++) {
		f->all_positive &= weight_at(&l.leaf_weights, i) >= 0;
		if (l.leaf_targets[i] >= 0 && (uint64_t)l.leaf_targets[i] < f->labels.count)
			scored[l.leaf_targets[i]] = 1;
	}
	if (l.base.count == f->labels.count)
		memset(scored, 1, f->labels.count);
	f->scored = scored;
	base = l.base;
	if (f->only_second)
		base.count = 0; /* it is class 0's */
	config.targets = f->binary ? 1 : f->labels.count;
	if (!base_list(p, &base, config.targets, &config.base, err) || !forest_build(p, &l, &config, f->binary, f, err))
		return false;
	p->step->state = f;
	return onnx_note_classes(p, &f->labels, err);
}

/*
 * Two classes and one sum. Where no weight is negative it is the probability of the second class, decided at 0.5; else
 * a margin, decided at 0. Weights may also be all of class 1; then class 0 simply has no score (what ONNX Runtime
 * answers).
 */
static void binary_scores(const struct forest *f, size_t rows, float *scores, struct tensor *labels)
{
	for (size_t i = rows; i-- > 0;) { /* from the back: sums lie close together in front */
		float v = scores[i];

		onnx_label_put(&f->labels, labels, i, f->all_positive ? v > 0.5f : v > 0);
		scores[2 * i] = f->only_second ? 0 : f->transform == ONNX_LOGISTIC || !f->all_positive ? -v : 1 - v;
		scores[2 * i + 1] = v;
	}
	if (f->transform == ONNX_LOGISTIC || f->only_second)
		onnx_transform_rows(f->transform, scores, rows, 2);
}

/* The largest of the classes that any leaf scores, the first of equals. */
static void multi_labels(const struct forest *f, size_t rows, const float *scores, struct tensor *labels)
{
	size_t k = f->labels.count;

	for (size_t i = 0; i < rows; i++) {
		const float *s = scores + i * k;
		size_t best = 0;

		while (best + 1 < k && !f->scored[best])
			best++;
		for (size_t j = best + 1; j < k; j++)
			if (f->scored[j] && s[j] > s[best])
				best = j;
		onnx_label_put(&f->labels, labels, i, best);
	}
}

static bool classifier_run(struct onnx_run *r, const struct onnx_step *step, struct tensor *out, struct error *err)
{
	const struct forest *f = step->state;
	struct tensor spare, *scores = step->out_count > 1 ? &out[1] : &spare;
	size_t rows, columns, k = f->labels.count;

	if (!forest_rows(r, step, f, &rows, &columns, err) || !onnx_labels_new(r, &f->labels, rows, out, err) ||
	    !onnx_new(r, scores, DTYPE_FP32, 2, (int64_t[]){ (int64_t)rows, (int64_t)k }, err) ||
	    !forest_sums(r, step, f, scores->data, rows, columns, err))
		return false;
	if (f->binary) {
		binary_scores(f, rows, scores->data, out);
		return true;
	}
	multi_labels(f, rows, scores->data, out);
	onnx_transform_rows(f->transform, scores->data, rows, k);
	return true;
}

/* ---- TreeEnsemble of ai.onnx.ml 5 ---- */

struct v5_lists {
	const int64_t *roots, *features, *yes, *yes_leaf, *no, *no_leaf, *missing, *leaf_targets;
	const struct tensor *modes, *splits, *weights;
	size_t roots_count, count, missing_count, leaf_count;
};

static bool v5_get(struct onnx_prepare *p, struct v5_lists *l, struct error *err)
{
	size_t counts[4];

	onnx_ignore(p, "nodes_hitrates");
	if (!onnx_ints(p, "tree_roots", &l->roots, &l->roots_count, err) ||
	    !onnx_ints(p, "nodes_featureids", &l->features, &l->count, err) ||
	    !onnx_ints(p, "nodes_truenodeids", &l->yes, &counts[0], err) ||
	    !onnx_ints(p, "nodes_trueleafs", &l->yes_leaf, &counts[1], err) ||
	    !onnx_ints(p, "nodes_falsenodeids", &l->no, &counts[2], err) ||
	    !onnx_ints(p, "nodes_falseleafs", &l->no_leaf, &counts[3], err) ||
	    !onnx_ints(p, "nodes_missing_value_tracks_true", &l->missing, &l->missing_count, err) ||
	    !onnx_ints(p, "leaf_targetids", &l->leaf_targets, &l->leaf_count, err) ||
	    !onnx_tensor(p, "nodes_modes", &l->modes, err) || !onnx_tensor(p, "nodes_splits", &l->splits, err) ||
	    !onnx_tensor(p, "leaf_weights", &l->weights, err))
		return false;
	for (int i = 0; i < 4; i++)
		if (counts[i] != l->count)
			return error_set(err, ERROR_INVALID, "lists of nodes have different lengths");
	if (!l->modes || !l->splits || !l->weights || l->modes->dtype != DTYPE_UINT8 || l->modes->count != l->count ||
	    l->splits->count != l->count || l->weights->count != l->leaf_count ||
	    l->weights->dtype != l->splits->dtype || (l->missing_count && l->missing_count != l->count))
		return error_set(err, ERROR_INVALID,
				 "nodes_modes, nodes_splits or leaf_weights do not fit the other lists");
	if (l->splits->dtype != DTYPE_FP32 && l->splits->dtype != DTYPE_FP64)
		return onnx_type_refused(l->splits, err);
	return l->roots_count > 0 || error_set(err, ERROR_INVALID, "there are no trees");
}

/* Inner nodes and leaves that one root reaches, numbered as they are met. */
struct v5_walk {
	struct v5_entry {
		int64_t at;
		bool leaf;
	} * entries;
	size_t count, most;
};

static bool v5_push(struct v5_walk *w, int64_t at, bool leaf, const struct v5_lists *l, uint64_t *ret,
		    struct error *err)
{
	if (at < 0 || (uint64_t)at >= (leaf ? l->leaf_count : l->count))
		return error_set(err, ERROR_INVALID, "%s %lld is outside 0..%zu", leaf ? "leaf" : "node", (long long)at,
				 leaf ? l->leaf_count : l->count);
	if (w->count == w->most)
		return error_set(err, ERROR_INVALID, "node %lld is reached more than once", (long long)at);
	*ret = w->count;
	w->entries[w->count++] = (struct v5_entry){ at, leaf };
	return true;
}

static bool v5_tree(struct tree_builder *b, const struct v5_lists *l, int64_t root, struct v5_walk *w,
		    struct tree_split *splits, size_t targets, struct error *err)
{
	static const enum tree_mode modes[] = { TREE_LEQ, TREE_LT, TREE_GTE, TREE_GT, TREE_EQ, TREE_NEQ };
	uint64_t ignored;

	w->count = 0;
	if (!v5_push(w, root, false, l, &ignored, err))
		return false;
	for (size_t i = 0; i < w->count; i++) {
		size_t at = (size_t)w->entries[i].at;
		struct tree_split *s = &splits[i];
		uint8_t mode;

		if (w->entries[i].leaf)
			continue;
		mode = ((const uint8_t *)l->modes->data)[at];
		if (mode >= ARRAY_LEN(modes))
			return error_set(err, mode == 6 ? ERROR_UNIMPLEMENTED : ERROR_INVALID,
					 "mode %u of node %zu is not supported", mode, at);
		if (l->features[at] < 0)
			return error_set(err, ERROR_INVALID, "feature %lld of node %zu", (long long)l->features[at],
					 at);
		*s = (struct tree_split){ .feature = (uint64_t)l->features[at],
					  .mode = modes[mode],
					  .threshold = tensor_get(l->splits, at),
					  .missing_yes =
					      (l->missing_count && l->missing[at] != 0) || modes[mode] == TREE_NEQ };
		if (!v5_push(w, l->yes[at], l->yes_leaf[at] != 0, l, &s->yes, err) ||
		    !v5_push(w, l->no[at], l->no_leaf[at] != 0, l, &s->no, err))
			return false;
	}
	if (!tree_builder_begin(b, w->count, 0, err))
		return false;
	for (size_t i = 0; i < w->count; i++) {
		size_t at = (size_t)w->entries[i].at;

		if (!w->entries[i].leaf) {
			if (!tree_builder_split(b, i, &splits[i], err))
				return false;
			continue;
		}
		if (l->leaf_targets[at] < 0 || (uint64_t)l->leaf_targets[at] >= targets)
			return error_set(err, ERROR_INVALID, "leaf %zu is for target %lld of %zu", at,
					 (long long)l->leaf_targets[at], targets);
		if (!tree_builder_leaf(b, i, (uint64_t)l->leaf_targets[at], tensor_get(l->weights, at), err))
			return false;
	}
	return tree_builder_end(b, err);
}

static bool v5_build(struct onnx_prepare *p, const struct v5_lists *l, const struct tree_config *config,
		     struct forest *f, struct error *err)
{
	/* A root that is a leaf is written as a node whose sides are one leaf: nodes + leaves + 1 entries at most. */
	struct v5_walk w = { .most = l->count + l->leaf_count + 1 };
	struct tree_split *splits = ARENA_ARRAY(p->scratch, struct tree_split, w.most, err);
	struct tree_builder *b = tree_builder_new(config);
	bool ok = splits != NULL;

	w.entries = ARENA_ARRAY(p->scratch, struct v5_entry, w.most, err);
	ok = ok && w.entries;
	for (size_t i = 0; ok && i < l->roots_count; i++)
		if (!v5_tree(b, l, l->roots[i], &w, splits, config->targets, err))
			ok = error_wrap(err, "tree %zu", i);
	ok = ok && finish(p, b, f, err);
	tree_builder_free(b);
	return ok;
}

static bool v5_prepare(struct onnx_prepare *p, struct error *err)
{
	static const enum tree_aggregate aggregates[] = { TREE_AVERAGE, TREE_SUM, TREE_MIN, TREE_MAX };
	static const enum onnx_transform transforms[] = { ONNX_NONE_TRANSFORM, ONNX_SOFTMAX, ONNX_LOGISTIC,
							  ONNX_SOFTMAX_ZERO, ONNX_PROBIT };
	struct forest *f = ARENA_NEW(p->arena, struct forest, err);
	int64_t targets, aggregate, transform, largest = 0;
	struct tree_config config = { 0 };
	struct v5_lists l = { 0 };

	if (!f || !onnx_int(p, "n_targets", 1, &targets, err) ||
	    !onnx_int(p, "aggregate_function", 1, &aggregate, err) ||
	    !onnx_int(p, "post_transform", 0, &transform, err) || !v5_get(p, &l, err))
		return false;
	if (targets < 1 || targets > (int64_t)TREE_TARGETS_MAX || aggregate < 0 || aggregate > 3 || transform < 0 ||
	    transform > 4)
		return error_set(err, ERROR_INVALID, "n_targets %lld, aggregate_function %lld, post_transform %lld",
				 (long long)targets, (long long)aggregate, (long long)transform);
	for (size_t i = 0; i < l.count; i++)
		largest = MAX(largest, l.features[i]);
	if (!feature_count(p, largest, &config.features, err))
		return false;
	for (size_t i = 0; i < l.missing_count; i++)
		onnx_facts(p)->trees_missing |= l.missing[i] != 0;
	config.targets = f->targets = (size_t)targets;
	config.double_input = f->double_input = f->shows_double = l.splits->dtype == DTYPE_FP64;
	config.aggregate = aggregates[aggregate];
	f->features = config.features;
	f->transform = transforms[transform];
	if (!v5_build(p, &l, &config, f, err))
		return false;
	onnx_facts(p)->regressor = true;
	p->step->state = f;
	return true;
}

static bool v5_run(struct onnx_run *r, const struct onnx_step *step, struct tensor *out, struct error *err)
{
	const struct forest *f = step->state;
	struct tensor floats;

	if (!regressor_run(r, step, f->shows_double ? &floats : out, err))
		return false;
	if (!f->shows_double)
		return true;
	if (!onnx_new(r, out, DTYPE_FP64, 2, floats.shape, err))
		return false;
	for (size_t i = 0; i < out->count; i++)
		((double *)out->data)[i] = (double)((float *)floats.data)[i];
	return true;
}

const struct onnx_operator onnx_ops_trees[] = {
	{ "TreeEnsembleClassifier", "ai.onnx.ml", 1, 1, 1, 2, 0, classifier_prepare, classifier_run, NULL },
	{ "TreeEnsembleRegressor", "ai.onnx.ml", 1, 1, 1, 1, 0, regressor_prepare, regressor_run, NULL },
	{ "TreeEnsemble", "ai.onnx.ml", 1, 1, 1, 1, 0, v5_prepare, v5_run, NULL },
	{ 0 },
};
