/* SPDX-License-Identifier: Apache-2.0 */
/*
 * xgboost - models that XGBoost saved as JSON or UBJ: gbtree, dart and gblinear.
 *
 * Numbers are float, as in the library: a row's sum starts at the base score's margin and takes the leaves in the order
 * of the trees. With early stopping the rounds after the best one are left out, as the scikit-learn wrapper does.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "models/doc.h"
#include "models/score.h"
#include "models/table.h"
#include "models/trees.h"

#define CATEGORY_LIMIT (INT64_C(32) * TREE_SET_WORDS_MAX)
#define DELETED_INDEX  0x7fffffff /* split index of a node that pruning took out */

/* Memory for reading a file: the tree of values takes at most this many times its bytes. */
#define READ_FACTOR 64

/* What only training needs. */
static const char *const ignored_keys[] = { "loss_changes", "sum_hessian", "parents", NULL };

enum margin { MARGIN_AS_IS, MARGIN_LOGIT, MARGIN_LOG };

struct objective {
	const char *name;
	enum margin margin; /* of the base score */
	enum score_transform transform;
	bool is_classifier;
};

static const struct objective objectives[] = {
	{ "binary:logistic", MARGIN_LOGIT, SCORE_SIGMOID, true },
	{ "reg:logistic", MARGIN_LOGIT, SCORE_SIGMOID, false },
	{ "binary:logitraw", MARGIN_AS_IS, SCORE_IDENTITY, false },
	{ "binary:hinge", MARGIN_AS_IS, SCORE_STEP, false },
	{ "multi:softprob", MARGIN_AS_IS, SCORE_SOFTMAX, true },
	{ "multi:softmax", MARGIN_AS_IS, SCORE_SOFTMAX, true },
	{ "count:poisson", MARGIN_LOG, SCORE_EXP, false },
	{ "reg:gamma", MARGIN_LOG, SCORE_EXP, false },
	{ "reg:tweedie", MARGIN_LOG, SCORE_EXP, false },
	{ "survival:cox", MARGIN_LOG, SCORE_EXP, false },
	{ "survival:aft", MARGIN_LOG, SCORE_EXP, false },
	{ "reg:squarederror", MARGIN_AS_IS, SCORE_IDENTITY, false },
	{ "reg:linear", MARGIN_AS_IS, SCORE_IDENTITY, false }, /* its name before 0.90 */
	{ "reg:absoluteerror", MARGIN_AS_IS, SCORE_IDENTITY, false },
	{ "reg:pseudohubererror", MARGIN_AS_IS, SCORE_IDENTITY, false },
	{ "reg:squaredlogerror", MARGIN_AS_IS, SCORE_IDENTITY, false },
	{ "reg:quantileerror", MARGIN_AS_IS, SCORE_IDENTITY, false },
	{ "reg:expectileerror", MARGIN_AS_IS, SCORE_IDENTITY, false },
	{ "rank:pairwise", MARGIN_AS_IS, SCORE_IDENTITY, false },
	{ "rank:ndcg", MARGIN_AS_IS, SCORE_IDENTITY, false },
	{ "rank:map", MARGIN_AS_IS, SCORE_IDENTITY, false },
};

struct xgboost {
	struct model model;
	struct score score;
	struct trees *trees; /* NULL: gblinear */
	float *weights;      /* gblinear: a row for each feature, one for the bias */
	float base;          /* gblinear */
};

/* What is known while reading. */
struct reader {
	struct xgboost *x;
	const struct model_options *options;
	const struct objective *objective;
	size_t features, targets;
	double *base;           /* targets, as margins */
	int64_t best_iteration; /* -1: none */
	uint32_t set[TREE_SET_WORDS_MAX];
	struct arena *arena;
};

/* ---- parameters ---- */

static bool read_objective(struct reader *r, const struct doc *learner, struct error *err)
{
	const struct doc *objective = doc_need(learner, "objective", DOC_OBJECT, err);
	const struct doc *name = objective ? doc_need(objective, "name", DOC_STRING, err) : NULL;

	if (!name)
		return false;
	for (size_t i = 0; i < ARRAY_LEN(objectives); i++) {
		if (span_equal(name->text, span_of(objectives[i].name))) {
			r->objective = &objectives[i];
			return true;
		}
	}
	return error_set(err, ERROR_UNIMPLEMENTED, "objective '" SPAN_FMT "' is not supported", SPAN_ARG(name->text));
}

static bool read_count(const struct doc *params, const char *key, size_t most, size_t *ret, struct error *err)
{
	int64_t value;

	if (!doc_int64(params, key, &value, err))
		return false;
	if (value < 0)
		return error_set(err, ERROR_INVALID, "'%s' is %lld", key, (long long)value);
	if ((uint64_t)value > most)
		return error_set(err, ERROR_TOO_LARGE, "'%s' is %lld, over the limit of %zu", key, (long long)value,
				 most);
	*ret = (size_t)value;
	return true;
}

static bool base_margin(const struct reader *r, double base, double *ret, struct error *err)
{
	float b = (float)base;

	switch (r->objective->margin) {
	case MARGIN_AS_IS:
		*ret = (double)b;
		break;
	case MARGIN_LOGIT:
		if (!(b > 0 && b < 1))
			return error_set(err, ERROR_INVALID, "'base_score' is %g, expected a number between 0 and 1",
					 base);
		*ret = (double)-logf(1 / b - 1);
		break;
	case MARGIN_LOG:
		if (!(b > 0))
			return error_set(err, ERROR_INVALID, "'base_score' is %g, expected a number over 0", base);
		*ret = (double)logf(b);
		break;
	}
	return true;
}

/* "[4.8E-1,1E0]" since 3.0, "5E-1" before: one number for each output, or one for all. */
static bool read_base(struct reader *r, const struct doc *params, struct error *err)
{
	const struct doc *member = doc_need(params, "base_score", DOC_STRING, err);
	struct span rest = member ? span_trim(member->text) : SPAN("");
	size_t count = 0;

	if (!member)
		return false;
	if (rest.len >= 2 && rest.ptr[0] == '[' && rest.ptr[rest.len - 1] == ']')
		rest = (struct span){ rest.ptr + 1, rest.len - 2 };
	r->base = ARENA_ARRAY(r->arena, double, r->targets, err);
	if (!r->base)
		return false;
	while (rest.len) {
		struct span text = span_trim(span_cut(&rest, ','));
		double value;

		if (!number_parse_double(text, &value))
			return error_set(err, ERROR_INVALID, "'base_score' holds '" SPAN_FMT "', expected a number",
					 SPAN_ARG(text));
		if (count == r->targets)
			return error_set(err, ERROR_INVALID, "'base_score' holds more than %zu numbers", r->targets);
		if (!base_margin(r, value, &r->base[count++], err))
			return false;
	}
	if (count == 1) {
		for (; count < r->targets; count++)
			r->base[count] = r->base[0];
	}
	if (count != r->targets)
		return error_set(err, ERROR_INVALID, "'base_score' holds %zu numbers, expected %zu", count, r->targets);
	return true;
}

static bool read_params(struct reader *r, const struct doc *learner, struct error *err)
{
	const struct doc *params = doc_need(learner, "learner_model_param", DOC_OBJECT, err);
	size_t classes = 0, targets = 1;

	if (!params)
		return false;
	if (!read_count(params, "num_feature", MODEL_FEATURES_MAX, &r->features, err) ||
	    (doc_get(params, "num_class") && !read_count(params, "num_class", TREE_TARGETS_MAX, &classes, err)) ||
	    (doc_get(params, "num_target") && !read_count(params, "num_target", TREE_TARGETS_MAX, &targets, err)))
		return error_wrap(err, "learner_model_param");
	if (r->features == 0)
		return error_set(err, ERROR_INVALID, "learner_model_param: 'num_feature' is 0");
	r->targets = classes ? classes : targets ? targets : 1;
	if (r->objective->transform == SCORE_SOFTMAX && r->targets < 2)
		return error_set(err, ERROR_INVALID, "learner_model_param: '%s' with %zu classes", r->objective->name,
				 r->targets);
	return read_base(r, params, err) || error_wrap(err, "learner_model_param");
}

static bool read_names(struct reader *r, const struct doc *learner, struct error *err)
{
	const struct doc *names = doc_get(learner, "feature_names");
	struct arena *arena = &r->x->model.arena;
	struct span *to;
	size_t i = 0;

	if (!names || names->count == 0)
		return true;
	if (names->type != DOC_ARRAY || names->count != r->features)
		return error_set(err, ERROR_INVALID, "feature_names: expected %zu names, found %zu values", r->features,
				 names->count);
	to = ARENA_ARRAY(arena, struct span, r->features, err);
	if (!to)
		return false;
	for (const struct doc *d = names->first; d; d = d->next, i++) {
		if (d->type != DOC_STRING)
			return error_set(err, ERROR_INVALID, "feature_names[%zu]: expected a string", i);
		to[i] = arena_copy(arena, d->text, err);
		if (!to[i].ptr)
			return false;
	}
	r->x->model.info.feature_names = to;
	return true;
}

static bool read_best(struct reader *r, const struct doc *learner, struct error *err)
{
	const struct doc *attributes = doc_get(learner, "attributes");

	r->best_iteration = -1;
	if (r->options->all_rounds || !doc_get(attributes, "best_iteration"))
		return true;
	return doc_int64(attributes, "best_iteration", &r->best_iteration, err) || error_wrap(err, "attributes");
}

/* ---- trees ---- */

/* The arrays of one tree; all of them have `nodes` numbers. */
struct arrays {
	const struct doc *left, *right, *feature, *condition, *default_left;
	const struct doc *split_type; /* or NULL: all numeric */
	const struct doc *vectors;    /* leaf vectors, or NULL */
	const struct doc *set_nodes, *set_starts, *set_sizes, *sets;
	bool vectors_by_leaf; /* indexed by leaf, else by node */
	size_t nodes;
	size_t vector; /* numbers of a leaf */
};

static bool need_numbers(const struct doc *tree, const char *key, size_t count, const struct doc **ret,
			 struct error *err)
{
	*ret = doc_need(tree, key, DOC_NUMBERS, err);
	if (*ret && (*ret)->count != count)
		return error_set(err, ERROR_INVALID, "'%s' has %zu numbers, expected %zu", key, (*ret)->count, count);
	return *ret;
}

static bool read_set_arrays(struct arrays *a, const struct doc *tree, struct error *err)
{
	if (!doc_get(tree, "categories_nodes"))
		return true;
	a->set_nodes = doc_need(tree, "categories_nodes", DOC_NUMBERS, err);
	if (!a->set_nodes || !need_numbers(tree, "categories_segments", a->set_nodes->count, &a->set_starts, err) ||
	    !need_numbers(tree, "categories_sizes", a->set_nodes->count, &a->set_sizes, err))
		return false;
	a->sets = doc_need(tree, "categories", DOC_NUMBERS, err);
	return a->sets;
}

static bool read_vector_arrays(const struct reader *r, struct arrays *a, const struct doc *tree, struct error *err)
{
	a->vector = 1;
	if (doc_get(doc_get(tree, "tree_param"), "size_leaf_vector") &&
	    !read_count(doc_get(tree, "tree_param"), "size_leaf_vector", TREE_TARGETS_MAX, &a->vector, err))
		return false;
	if (a->vector <= 1) {
		a->vector = 1;
		return true;
	}
	if (a->vector != r->targets)
		return error_set(err, ERROR_INVALID, "'size_leaf_vector' is %zu, expected %zu", a->vector, r->targets);
	a->vectors_by_leaf = doc_get(tree, "leaf_weights");
	if (a->vectors_by_leaf) {
		a->vectors = doc_need(tree, "leaf_weights", DOC_NUMBERS, err);
		return a->vectors;
	}
	/* Releases before 3.1 kept a vector for every node, leaf or not. */
	return need_numbers(tree, "base_weights", a->nodes * a->vector, &a->vectors, err);
}

static bool read_arrays(const struct reader *r, struct arrays *a, const struct doc *tree, struct error *err)
{
	int64_t nodes;

	*a = (struct arrays){ 0 };
	a->left = doc_need(tree, "left_children", DOC_NUMBERS, err);
	if (!a->left)
		return false;
	a->nodes = a->left->count;
	if (doc_get(doc_get(tree, "tree_param"), "num_nodes")) {
		if (!doc_int64(doc_get(tree, "tree_param"), "num_nodes", &nodes, err))
			return false;
		if (nodes < 0 || (uint64_t)nodes != a->nodes)
			return error_set(err, ERROR_INVALID, "'left_children' has %zu numbers, but 'num_nodes' is %lld",
					 a->nodes, (long long)nodes);
	}
	return need_numbers(tree, "right_children", a->nodes, &a->right, err) &&
	       need_numbers(tree, "split_indices", a->nodes, &a->feature, err) &&
	       need_numbers(tree, "split_conditions", a->nodes, &a->condition, err) &&
	       need_numbers(tree, "default_left", a->nodes, &a->default_left, err) &&
	       (!doc_get(tree, "split_type") || need_numbers(tree, "split_type", a->nodes, &a->split_type, err)) &&
	       read_set_arrays(a, tree, err) && read_vector_arrays(r, a, tree, err);
}

static bool integer_at(const struct doc *numbers, const char *key, size_t i, int64_t *ret, struct error *err)
{
	if (doc_int64_at(numbers, i, ret))
		return true;
	return error_set(err, ERROR_INVALID, "%s[%zu] is %g, expected a whole number", key, i,
			 doc_number_at(numbers, i));
}

static bool add_leaf(const struct reader *r, const struct arrays *a, struct tree_builder *b, size_t node, size_t target,
		     float weight, struct error *err)
{
	int64_t at = (int64_t)node;

	if (a->vector == 1)
		return tree_builder_leaf(b, node, target, (double)((float)doc_number_at(a->condition, node) * weight),
					 err);
	if (a->vectors_by_leaf && !integer_at(a->right, "right_children", node, &at, err))
		return false;
	if (at < 0 || (uint64_t)at >= a->vectors->count / a->vector)
		return error_set(err, ERROR_INVALID, "right_children[%zu]: leaf %lld is outside 0..%lld", node,
				 (long long)at, (long long)(a->vectors->count / a->vector) - 1);
	for (size_t k = 0; k < r->targets; k++) {
		float value = (float)doc_number_at(a->vectors, (size_t)at * a->vector + k);

		if (!tree_builder_leaf(b, node, k, (double)(value * weight), err))
			return false;
	}
	return true;
}

static bool add_children(const struct arrays *a, size_t node, struct tree_split *split, struct error *err)
{
	int64_t left, right, feature;

	if (!integer_at(a->left, "left_children", node, &left, err) ||
	    !integer_at(a->right, "right_children", node, &right, err) ||
	    !integer_at(a->feature, "split_indices", node, &feature, err))
		return false;
	split->yes = (uint64_t)left;
	split->no = (uint64_t)right;
	split->feature = (uint64_t)feature;
	split->missing = TREE_MISSING_NAN;
	split->missing_yes = doc_number_at(a->default_left, node) != 0;
	return true;
}

static bool is_categorical(const struct arrays *a, size_t node)
{
	return a->split_type && doc_number_at(a->split_type, node) != 0;
}

static bool add_node(const struct reader *r, const struct arrays *a, struct tree_builder *b, size_t node, size_t target,
		     float weight, struct error *err)
{
	struct tree_split split = { .mode = TREE_LT };

	if (doc_number_at(a->feature, node) == DELETED_INDEX)
		return true;
	if (doc_number_at(a->left, node) == -1)
		return add_leaf(r, a, b, node, target, weight, err);
	if (is_categorical(a, node))
		return true; /* add_sets() */
	split.threshold = (double)(float)doc_number_at(a->condition, node);
	return add_children(a, node, &split, err) && tree_builder_split(b, node, &split, err);
}

static bool fill_set(struct reader *r, const struct arrays *a, size_t i, size_t *ret_words, struct error *err)
{
	int64_t start, size, category;

	if (!integer_at(a->set_starts, "categories_segments", i, &start, err) ||
	    !integer_at(a->set_sizes, "categories_sizes", i, &size, err))
		return false;
	if (start < 0 || size < 0 || (uint64_t)start > a->sets->count ||
	    (uint64_t)size > a->sets->count - (uint64_t)start)
		return error_set(err, ERROR_INVALID, "categories_segments[%zu]: %lld and %lld more is outside 0..%zu",
				 i, (long long)start, (long long)size, a->sets->count);
	for (int64_t k = start; k < start + size; k++) {
		if (!integer_at(a->sets, "categories", (size_t)k, &category, err))
			return false;
		if (category < 0)
			return error_set(err, ERROR_INVALID, "categories[%lld] is %lld", (long long)k,
					 (long long)category);
		if (category >= CATEGORY_LIMIT)
			return error_set(err, ERROR_TOO_LARGE, "categories[%lld] is %lld, over the limit of %lld",
					 (long long)k, (long long)category, (long long)CATEGORY_LIMIT - 1);
		r->set[category / 32] |= (uint32_t)1 << (category % 32);
		*ret_words = MAX(*ret_words, (size_t)category / 32 + 1);
	}
	return true;
}

/* A row whose category is in the node's set goes right; others, and those that are no category at all, go left. */
static bool add_sets(struct reader *r, const struct arrays *a, struct tree_builder *b, struct error *err)
{
	for (size_t i = 0; a->set_nodes && i < a->set_nodes->count; i++) {
		struct tree_split split = { .mode = TREE_SET, .set = r->set };
		int64_t node;
		uint64_t left;
		bool ok;

		if (!integer_at(a->set_nodes, "categories_nodes", i, &node, err))
			return false;
		if (node < 0 || (uint64_t)node >= a->nodes)
			return error_set(err, ERROR_INVALID, "categories_nodes[%zu]: %lld is outside 0..%zu", i,
					 (long long)node, a->nodes - 1);
		if (!is_categorical(a, (size_t)node))
			return error_set(err, ERROR_INVALID, "categories_nodes[%zu]: node %lld has split_type 0", i,
					 (long long)node);
		if (!add_children(a, (size_t)node, &split, err))
			return false;
		left = split.yes;
		split.yes = split.no;
		split.no = left;
		split.missing_yes = !split.missing_yes;
		ok = fill_set(r, a, i, &split.set_words, err) && tree_builder_split(b, (uint64_t)node, &split, err);
		memset(r->set, 0, split.set_words * sizeof(*r->set));
		if (!ok)
			return false;
	}
	return true;
}

static bool add_tree(struct reader *r, const struct doc *tree, struct tree_builder *b, size_t target, float weight,
		     struct error *err)
{
	struct arrays a;

	if (!read_arrays(r, &a, tree, err) || !tree_builder_begin(b, a.nodes, 0, err))
		return false;
	for (size_t i = 0; i < a.nodes; i++) {
		if (!add_node(r, &a, b, i, target, weight, err))
			return false;
	}
	return add_sets(r, &a, b, err) && tree_builder_end(b, err);
}

/* Trees up to the best round, or all. */
static bool count_trees(const struct reader *r, const struct doc *model, const struct doc *trees, size_t *ret,
			struct error *err)
{
	const struct doc *starts = doc_get(model, "iteration_indptr");
	int64_t count, parallel = 1;

	*ret = trees->count;
	if (r->best_iteration < 0)
		return true;
	if (starts && starts->type == DOC_NUMBERS && starts->count) {
		if ((uint64_t)r->best_iteration + 1 >= starts->count)
			return true;
		if (!integer_at(starts, "iteration_indptr", (size_t)r->best_iteration + 1, &count, err))
			return false;
	} else {
		/* Files of 1.x have no starts of rounds. */
		const struct doc *params = doc_get(model, "gbtree_model_param");

		if (doc_get(params, "num_parallel_tree") && !doc_int64(params, "num_parallel_tree", &parallel, err))
			return false;
		if (__builtin_mul_overflow(MAX(parallel, 1), (int64_t)r->targets, &count) ||
		    __builtin_mul_overflow(count, r->best_iteration + 1, &count))
			return true;
	}
	if (count < 0)
		return error_set(err, ERROR_INVALID, "iteration_indptr[%lld] is %lld", (long long)r->best_iteration + 1,
				 (long long)count);
	*ret = MIN(trees->count, (size_t)count);
	return true;
}

static bool add_trees(struct reader *r, const struct doc *model, const struct doc *drops, struct tree_builder *b,
		      struct error *err)
{
	const struct doc *trees = doc_need(model, "trees", DOC_ARRAY, err);
	const struct doc *targets = trees ? doc_need(model, "tree_info", DOC_NUMBERS, err) : NULL;
	const struct doc *params = doc_get(model, "gbtree_model_param");
	size_t count, i = 0;
	int64_t said;

	if (!targets || !count_trees(r, model, trees, &count, err))
		return false;
	if (doc_get(params, "num_trees")) {
		if (!doc_int64(params, "num_trees", &said, err))
			return false;
		if (said < 0 || (uint64_t)said != trees->count)
			return error_set(err, ERROR_INVALID, "'trees' has %zu trees, but 'num_trees' is %lld",
					 trees->count, (long long)said);
	}
	if (targets->count != trees->count)
		return error_set(err, ERROR_INVALID, "'tree_info' has %zu numbers, expected %zu", targets->count,
				 trees->count);
	if (drops && (drops->type != DOC_NUMBERS || drops->count != trees->count))
		return error_set(err, ERROR_INVALID, "'weight_drop' has %zu numbers, expected %zu", drops->count,
				 trees->count);
	for (const struct doc *tree = trees->first; tree && i < count; tree = tree->next, i++) {
		int64_t target;

		if (!integer_at(targets, "tree_info", i, &target, err))
			return false;
		if (!add_tree(r, tree, b, (size_t)target, drops ? (float)doc_number_at(drops, i) : 1.0f, err))
			return error_wrap(err, "trees[%zu]", i);
	}
	return true;
}

static bool read_trees(struct reader *r, const struct doc *model, const struct doc *drops, struct error *err)
{
	struct tree_config config = { .features = r->features,
				      .targets = r->targets,
				      .base = r->base,
				      .base_first = true,
				      .allow_unreached = true };
	struct tree_builder *b = tree_builder_new(&config);

	if (add_trees(r, model, drops, b, err))
		r->x->trees = tree_builder_finish(b, err);
	tree_builder_free(b);
	return r->x->trees;
}

/* ---- boosters ---- */

static bool read_linear(struct reader *r, const struct doc *model, struct error *err)
{
	const struct doc *weights;
	size_t count = (r->features + 1) * r->targets;

	if (!need_numbers(model, "weights", count, &weights, err))
		return false;
	r->x->weights = base_alloc(count * sizeof(float));
	for (size_t i = 0; i < count; i++)
		r->x->weights[i] = (float)doc_number_at(weights, i);
	r->x->base = (float)r->base[0]; /* of every output: seen in 3.2 with three classes */
	r->x->model.info.bytes = count * sizeof(float);
	r->x->model.info.cost_ns_row = r->x->model.info.cost_ns_call = 20 + (double)count;
	return true;
}

static bool describe(struct reader *r, const char *booster, struct error *err)
{
	struct model_info *info = &r->x->model.info;
	struct trees_facts facts = { 0 };
	char outputs[64] = "";

	if (r->targets > 1)
		snprintf(outputs, sizeof(outputs), ", %zu %s", r->targets,
			 r->x->score.is_classifier ? "classes" : "outputs");
	info->platform = SPAN("xgboost");
	info->takes_missing = true;
	if (!r->x->trees) {
		info->kind = arena_print(&r->x->model.arena, err, "XGBoost %s, %zu features%s, %s", booster,
					 r->features, outputs, r->objective->name);
		return info->kind.ptr;
	}
	trees_describe(r->x->trees, &facts);
	trees_measure(r->x->trees, &info->cost_ns_call, &info->cost_ns_row);
	info->bytes = facts.bytes;
	info->kind = arena_print(&r->x->model.arena, err, "XGBoost %s, %zu trees%s, %s", booster, facts.trees, outputs,
				 r->objective->name);
	return info->kind.ptr;
}

static bool read_booster(struct reader *r, const struct doc *learner, struct error *err)
{
	const struct doc *booster = doc_need(learner, "gradient_booster", DOC_OBJECT, err);
	const struct doc *name = booster ? doc_need(booster, "name", DOC_STRING, err) : NULL;
	const struct doc *model, *inner;

	if (!name)
		return false;
	if (span_equal(name->text, SPAN("gbtree"))) {
		model = doc_need(booster, "model", DOC_OBJECT, err);
		return ((model && read_trees(r, model, NULL, err)) || error_wrap(err, "gradient_booster")) &&
		       describe(r, "gbtree", err);
	}
	if (span_equal(name->text, SPAN("gblinear"))) {
		model = doc_need(booster, "model", DOC_OBJECT, err);
		return ((model && read_linear(r, model, err)) || error_wrap(err, "gradient_booster")) &&
		       describe(r, "gblinear", err);
	}
	if (!span_equal(name->text, SPAN("dart")))
		return error_set(err, ERROR_UNIMPLEMENTED, "booster '" SPAN_FMT "' is not supported",
				 SPAN_ARG(name->text));
	inner = doc_need(booster, "gbtree", DOC_OBJECT, err);
	model = inner ? doc_need(inner, "model", DOC_OBJECT, err) : NULL;
	inner = model ? doc_need(booster, "weight_drop", DOC_NUMBERS, err) : NULL;
	return ((inner && read_trees(r, model, inner, err)) || error_wrap(err, "gradient_booster")) &&
	       describe(r, "dart", err);
}

static bool read_learner(struct reader *r, const struct doc *learner, struct error *err)
{
	struct xgboost *x = r->x;

	if (!read_objective(r, learner, err) || !read_params(r, learner, err) || !read_best(r, learner, err))
		return false;
	x->score = (struct score){ .transform = r->objective->transform,
				   .scale = 1,
				   .is_classifier = r->objective->is_classifier,
				   .targets = r->targets };
	/* Several labels that each are yes or no are not classes of one another. */
	if (x->score.is_classifier && x->score.transform == SCORE_SIGMOID && r->targets > 1)
		x->score.is_classifier = false;
	return score_describe(&x->score, &x->model, DTYPE_FP32, r->features, NULL, err) &&
	       read_names(r, learner, err) && read_booster(r, learner, err);
}

static struct model *load_doc(const struct model_format *format, const struct doc *root, struct arena *arena,
			      const struct model_options *options, struct error *err)
{
	struct reader *r = base_calloc(1, sizeof(*r));
	struct model *m = model_new(format, sizeof(struct xgboost));
	const struct doc *learner = doc_need(root, "learner", DOC_OBJECT, err);
	bool ok;

	r->x = (struct xgboost *)m;
	r->options = options;
	r->arena = arena;
	ok = learner && (read_learner(r, learner, err) || error_wrap(err, "learner"));
	free(r);
	if (ok)
		return m;
	model_unref(m);
	return NULL;
}

typedef struct doc *doc_reader(struct span text, const char *const *ignored, struct arena *arena, struct error *err);

static struct model *load(const struct model_format *format, doc_reader *read, struct span bytes,
			  const struct model_options *options, struct error *err)
{
	struct model *m = NULL;
	struct arena arena;
	const struct doc *root;

	arena_init(&arena, bytes.len > (SIZE_MAX - MIB(1)) / READ_FACTOR ? SIZE_MAX : bytes.len * READ_FACTOR + MIB(1));
	root = read(bytes, ignored_keys, &arena, err);
	if (root)
		m = load_doc(format, root, &arena, options, err);
	arena_done(&arena);
	if (!m)
		error_wrap(err, "XGBoost");
	return m;
}

static struct model *load_json(struct span bytes, const struct model_options *options, struct error *err)
{
	return load(&format_xgboost_json, doc_read_json, bytes, options, err);
}

static struct model *load_ubj(struct span bytes, const struct model_options *options, struct error *err)
{
	return load(&format_xgboost_ubj, doc_read_ubj, bytes, options, err);
}

/* ---- running ---- */

/* The library skips missing features, so they count as 0. */
static void run_linear(const struct xgboost *x, const float *rows, size_t count, float *sums)
{
	size_t features = x->model.info.feature_count, targets = x->score.targets;
	const float *bias = x->weights + features * targets;

	for (size_t i = 0; i < count; i++, rows += features, sums += targets) {
		for (size_t k = 0; k < targets; k++) {
			float sum = bias[k] + x->base;

			for (size_t f = 0; f < features; f++)
				sum += isnan(rows[f]) ? 0 : rows[f] * x->weights[f * targets + k];
			sums[k] = sum;
		}
	}
}

static bool run(const struct model *m, const struct tensor *inputs, uint64_t wanted, struct tensor *results,
		struct arena *arena, struct error *err)
{
	const struct xgboost *x = (const struct xgboost *)m;
	size_t rows = (size_t)inputs[0].shape[0];
	void *sums = score_sums(&x->score, &inputs[0], arena, err);

	if (!sums)
		return false;
	if (x->weights)
		run_linear(x, inputs[0].data, rows, sums);
	else if (!trees_run(x->trees, inputs[0].data, rows, sums, arena, err))
		return false;
	return score_finish(&x->score, m, sums, rows, wanted, results, arena, err);
}

static void free_model(struct model *m)
{
	struct xgboost *x = (struct xgboost *)m;

	trees_free(x->trees);
	free(x->weights);
}

/* The root object has "learner" and "version"; the writer sorts its keys, people's tools may not. */
static int probe_json(struct span head)
{
	struct span text = span_trim(head);

	if (text.len == 0 || text.ptr[0] != '{')
		return 0;
	if (memmem(text.ptr, text.len, "\"learner\"", 9))
		return 90;
	return 0;
}

static int probe_ubj(struct span head)
{
	static const char key[] = "L\0\0\0\0\0\0\0\7learner";

	if (head.len < 2 || head.ptr[0] != '{')
		return 0;
	if (memmem(head.ptr, head.len, key, sizeof(key) - 1))
		return 95;
	/* Another writer's integers, or keys in another order: '{' and the type of a length is UBJSON, and JSON it is
	 * not. */
	return strchr("iUIlL#$", head.ptr[1]) && head.ptr[1] ? 60 : 0;
}

const struct model_format format_xgboost_json = {
	.name = "xgboost-json", .probe = probe_json, .load = load_json, .run = run, .free = free_model
};

const struct model_format format_xgboost_ubj = {
	.name = "xgboost-ubj", .probe = probe_ubj, .load = load_ubj, .run = run, .free = free_model
};
