/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lightgbm - models that LightGBM saved as text.
 *
 * The text is lines of key=value: a header, then a section for each tree, then "end of trees" and what prediction does
 * not need (importances, training parameters, pandas' category names). All is double and added in the order of the
 * file, so results equal the library's to the last bit before the objective's transform.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/number.h"
#include "models/score.h"
#include "models/table.h"
#include "models/trees.h"

#define LEAVES_MAX ((int64_t)1 << 26)

struct objective {
	const char *name;
	enum score_transform transform;
	bool is_classifier;
};

static const struct objective objectives[] = {
	{ "binary", SCORE_SIGMOID, true },
	{ "multiclass", SCORE_SOFTMAX, true },
	{ "softmax", SCORE_SOFTMAX, true },
	{ "multiclassova", SCORE_SIGMOID, true }, /* not made to sum to 1 */
	{ "multiclass_ova", SCORE_SIGMOID, true },
	{ "ova", SCORE_SIGMOID, true },
	{ "ovr", SCORE_SIGMOID, true },
	{ "cross_entropy", SCORE_SIGMOID, false },
	{ "xentropy", SCORE_SIGMOID, false },
	{ "cross_entropy_lambda", SCORE_LOG1P_EXP, false },
	{ "xentlambda", SCORE_LOG1P_EXP, false },
	{ "poisson", SCORE_EXP, false },
	{ "gamma", SCORE_EXP, false },
	{ "tweedie", SCORE_EXP, false },
	{ "regression", SCORE_IDENTITY, false },
	{ "regression_l2", SCORE_IDENTITY, false },
	{ "regression_l1", SCORE_IDENTITY, false },
	{ "huber", SCORE_IDENTITY, false },
	{ "fair", SCORE_IDENTITY, false },
	{ "quantile", SCORE_IDENTITY, false },
	{ "mape", SCORE_IDENTITY, false },
	{ "lambdarank", SCORE_IDENTITY, false },
	{ "rank_xendcg", SCORE_IDENTITY, false },
	{ "custom", SCORE_IDENTITY, false },
	{ "none", SCORE_IDENTITY, false },
};

/* Bits of decision_type. */
#define DECISION_CATEGORICAL  1
#define DECISION_DEFAULT_LEFT 2
#define DECISION_MISSING(d)   ((d) >> 2 & 3) /* 0 none, 1 zero, 2 NaN */

struct lightgbm {
	struct model model;
	struct score score;
	struct trees *trees;
	double rounds; /* average_output: sums are divided by it; else 0 */
};

/* The keys of a section, found once. Order is that of `keys`. */
enum key {
	KEY_NUM_LEAVES,
	KEY_NUM_CAT,
	KEY_SPLIT_FEATURE,
	KEY_THRESHOLD,
	KEY_DECISION_TYPE,
	KEY_LEFT_CHILD,
	KEY_RIGHT_CHILD,
	KEY_LEAF_VALUE,
	KEY_CAT_BOUNDARIES,
	KEY_CAT_THRESHOLD,
	KEY_IS_LINEAR,
	KEY_LEAF_CONST,
	KEY_NUM_FEATURES,
	KEY_LEAF_FEATURES,
	KEY_LEAF_COEFF,
	KEY_NUM_CLASS,
	KEY_TREES_A_ROUND,
	KEY_MAX_FEATURE,
	KEY_OBJECTIVE,
	KEY_FEATURE_NAMES,
	KEY_TREE_SIZES,
	KEY_COUNT
};

static const char *const keys[KEY_COUNT] = {
	"num_leaves",
	"num_cat",
	"split_feature",
	"threshold",
	"decision_type",
	"left_child",
	"right_child",
	"leaf_value",
	"cat_boundaries",
	"cat_threshold",
	"is_linear",
	"leaf_const",
	"num_features",
	"leaf_features",
	"leaf_coeff",
	"num_class",
	"num_tree_per_iteration",
	"max_feature_idx",
	"objective",
	"feature_names",
	"tree_sizes",
};

struct section {
	struct span values[KEY_COUNT]; /* ptr NULL: not there */
	bool average_output;
};

struct reader {
	struct lightgbm *l;
	struct span rest; /* of the text */
	size_t line;
	int64_t features, targets;
	const struct objective *objective;
	struct arena arena; /* of one tree at a time */
};

/* ---- lines ---- */

static bool next_line(struct reader *r, struct span *ret)
{
	if (r->rest.len == 0)
		return false;
	*ret = span_cut(&r->rest, '\n');
	if (ret->len && ret->ptr[ret->len - 1] == '\r')
		ret->len--;
	r->line++;
	return true;
}

/* Lines up to an empty one (true), or one that starts a new part, which stays unread. */
static bool read_section(struct reader *r, struct section *s, struct error *err)
{
	struct span line;

	*s = (struct section){ 0 };
	for (;;) {
		struct reader before = *r;
		struct span key;

		if (!next_line(r, &line) || line.len == 0)
			return true;
		if (span_starts(line, SPAN("Tree=")) || span_starts(line, SPAN("end of trees"))) {
			r->rest = before.rest;
			r->line = before.line;
			return true;
		}
		key = span_cut(&line, '=');
		if (span_equal(key, SPAN("average_output")))
			s->average_output = true;
		for (size_t i = 0; i < KEY_COUNT; i++) {
			if (!span_equal(key, span_of(keys[i])))
				continue;
			if (s->values[i].ptr)
				return error_set(err, ERROR_INVALID, "line %zu: '%s' is given twice", r->line, keys[i]);
			s->values[i] = line.ptr ? line : SPAN("");
		}
	}
}

static bool need(const struct section *s, enum key key, struct error *err)
{
	return s->values[key].ptr || error_set(err, ERROR_INVALID, "'%s' is missing", keys[key]);
}

static bool read_int(const struct section *s, enum key key, int64_t least, int64_t most, int64_t *ret,
		     struct error *err)
{
	int64_t value;

	if (!need(s, key, err))
		return false;
	if (!number_parse_int64(span_trim(s->values[key]), &value) || value < least || value > most)
		return error_set(err, ERROR_INVALID,
				 "'%s' is '" SPAN_FMT "', expected a whole number from %lld to %lld", keys[key],
				 SPAN_ARG(s->values[key]), (long long)least, (long long)most);
	*ret = value;
	return true;
}

/* `count` numbers with spaces between. */
static double *read_doubles(struct reader *r, const struct section *s, enum key key, size_t count, struct error *err)
{
	const char *p = s->values[key].ptr, *end;
	double *to;

	if (!need(s, key, err))
		return NULL;
	end = p + s->values[key].len;
	/* A number takes two bytes of the text, so a count that lies costs no memory. */
	if (count > s->values[key].len / 2 + 1) {
		error_set(err, ERROR_INVALID, "'%s' is too short for %zu numbers", keys[key], count);
		return NULL;
	}
	to = ARENA_ARRAY(&r->arena, double, count, err);
	for (size_t i = 0; to && i <= count; i++) {
		while (p < end && *p == ' ')
			p++;
		if (i == count && p == end)
			return to;
		if (i == count || p == end) {
			error_set(err, ERROR_INVALID, "'%s' has %s than %zu numbers", keys[key],
				  i == count ? "more" : "fewer", count);
			return NULL;
		}
		const char *after = number_scan_lenient(p, end, &to[i]);

		if (!after || (after < end && *after != ' ')) {
			error_set(err, ERROR_INVALID, "'%s': value %zu is '" SPAN_FMT "', expected a number", keys[key],
				  i,
				  SPAN_ARG(span_first(span_from(p, (size_t)(end - p)),
						      span_index(span_from(p, (size_t)(end - p)), ' '))));
			return NULL;
		}
		p = after;
	}
	return NULL;
}

static int64_t *read_ints(struct reader *r, const struct section *s, enum key key, size_t count, struct error *err)
{
	double *from = read_doubles(r, s, key, count, err);
	int64_t *to = from ? ARENA_ARRAY(&r->arena, int64_t, count, err) : NULL;

	for (size_t i = 0; to && i < count; i++) {
		if (!(from[i] >= -0x1p53 && from[i] <= 0x1p53) || from[i] != (double)(int64_t)from[i]) {
			error_set(err, ERROR_INVALID, "'%s': value %zu is %g, expected a whole number", keys[key], i,
				  from[i]);
			return NULL;
		}
		to[i] = (int64_t)from[i];
	}
	return to;
}

/* ---- one tree ---- */

struct arrays {
	size_t leaves;
	int64_t *feature, *decision, *left, *right;
	double *threshold, *value;
	size_t cats;
	int64_t *cat_starts;
	uint32_t *cat_words;
};

static bool read_cats(struct reader *r, const struct section *s, struct arrays *a, struct error *err)
{
	int64_t cats = 0, *words;
	size_t count;

	if (s->values[KEY_NUM_CAT].ptr && !read_int(s, KEY_NUM_CAT, 0, LEAVES_MAX, &cats, err))
		return false;
	a->cats = (size_t)cats;
	if (cats == 0)
		return true;
	a->cat_starts = read_ints(r, s, KEY_CAT_BOUNDARIES, a->cats + 1, err);
	if (!a->cat_starts)
		return false;
	for (size_t i = 0; i <= a->cats; i++) {
		if (a->cat_starts[i] < (i ? a->cat_starts[i - 1] : 0))
			return error_set(err, ERROR_INVALID,
					 "'cat_boundaries': value %zu is %lld, less than the one before", i,
					 (long long)a->cat_starts[i]);
	}
	count = (size_t)a->cat_starts[a->cats];
	words = read_ints(r, s, KEY_CAT_THRESHOLD, count, err);
	a->cat_words = words ? ARENA_ARRAY(&r->arena, uint32_t, count, err) : NULL;
	if (!a->cat_words)
		return false;
	for (size_t i = 0; i < count; i++) {
		if (words[i] < 0 || words[i] > UINT32_MAX)
			return error_set(err, ERROR_INVALID, "'cat_threshold': value %zu is %lld, expected 32 bits", i,
					 (long long)words[i]);
		a->cat_words[i] = (uint32_t)words[i];
	}
	return true;
}

static bool read_arrays(struct reader *r, const struct section *s, struct arrays *a, struct error *err)
{
	int64_t leaves;
	size_t splits;

	*a = (struct arrays){ 0 };
	if (!read_int(s, KEY_NUM_LEAVES, 1, LEAVES_MAX, &leaves, err))
		return false;
	a->leaves = (size_t)leaves;
	splits = a->leaves - 1;
	a->value = read_doubles(r, s, KEY_LEAF_VALUE, a->leaves, err);
	if (!a->value)
		return false;
	if (splits == 0)
		return true;
	return (a->feature = read_ints(r, s, KEY_SPLIT_FEATURE, splits, err)) &&
	       (a->threshold = read_doubles(r, s, KEY_THRESHOLD, splits, err)) &&
	       (a->decision = read_ints(r, s, KEY_DECISION_TYPE, splits, err)) &&
	       (a->left = read_ints(r, s, KEY_LEFT_CHILD, splits, err)) &&
	       (a->right = read_ints(r, s, KEY_RIGHT_CHILD, splits, err)) && read_cats(r, s, a, err);
}

/* Inner nodes keep their numbers, leaves follow; in the file leaf v is ~v. */
static bool child_node(const struct arrays *a, const char *key, size_t node, int64_t child, uint64_t *ret,
		       struct error *err)
{
	int64_t splits = (int64_t)a->leaves - 1;

	if (child >= splits || child < -(int64_t)a->leaves)
		return error_set(err, ERROR_INVALID, "%s[%zu]: %lld is outside %lld..%lld", key, node, (long long)child,
				 -(long long)a->leaves, (long long)splits - 1);
	*ret = (uint64_t)(child >= 0 ? child : splits + ~child);
	return true;
}

static bool fill_set(const struct arrays *a, size_t node, struct tree_split *split, struct error *err)
{
	double n = a->threshold[node];

	if (!(n >= 0 && n < (double)a->cats))
		return error_set(err, ERROR_INVALID, "threshold[%zu]: category set %g is outside 0..%lld", node, n,
				 (long long)a->cats - 1);
	split->mode = TREE_SET;
	split->set = a->cat_words + a->cat_starts[(size_t)n];
	split->set_words = (size_t)(a->cat_starts[(size_t)n + 1] - a->cat_starts[(size_t)n]);
	split->set_truncates = true;
	split->missing = TREE_MISSING_NAN;
	split->missing_yes = false;
	return true;
}

static bool add_split(const struct arrays *a, struct tree_builder *b, size_t node, struct error *err)
{
	static const enum tree_missing missing[] = { TREE_MISSING_AS_ZERO, TREE_MISSING_ZERO, TREE_MISSING_NAN };
	int64_t decision = a->decision[node];
	struct tree_split split = { .mode = TREE_LEQ,
				    .feature = (uint64_t)a->feature[node],
				    .threshold = a->threshold[node] };

	if (decision < 0 || decision > 15 || DECISION_MISSING(decision) > 2)
		return error_set(err, ERROR_INVALID, "decision_type[%zu] is %lld", node, (long long)decision);
	if (!child_node(a, "left_child", node, a->left[node], &split.yes, err) ||
	    !child_node(a, "right_child", node, a->right[node], &split.no, err))
		return false;
	split.missing = missing[DECISION_MISSING(decision)];
	split.missing_yes = decision & DECISION_DEFAULT_LEFT;
	if ((decision & DECISION_CATEGORICAL) && !fill_set(a, node, &split, err))
		return false;
	return tree_builder_split(b, node, &split, err);
}

/* Linear trees: per leaf a constant and some features with coefficients, flat, leaf by leaf. */
static bool add_linear(struct reader *r, const struct section *s, const struct arrays *a, struct tree_builder *b,
		       struct error *err)
{
	double *constant = read_doubles(r, s, KEY_LEAF_CONST, a->leaves, err), *coef;
	int64_t *counts = constant ? read_ints(r, s, KEY_NUM_FEATURES, a->leaves, err) : NULL, *features;
	size_t total = 0, at = 0;

	if (!counts)
		return false;
	for (size_t i = 0; i < a->leaves; i++) {
		if (counts[i] < 0 || counts[i] > r->features)
			return error_set(err, ERROR_INVALID, "num_features[%zu] is %lld, expected 0 to %lld", i,
					 (long long)counts[i], (long long)r->features);
		total += (size_t)counts[i];
	}
	features = read_ints(r, s, KEY_LEAF_FEATURES, total, err);
	coef = features ? read_doubles(r, s, KEY_LEAF_COEFF, total, err) : NULL;
	if (!coef)
		return false;
	for (size_t i = 0; i < a->leaves; i++) {
		size_t count = (size_t)counts[i];

		if (!tree_builder_linear(b, a->leaves - 1 + i, constant[i], count, (const uint64_t *)features + at,
					 coef + at, err))
			return false;
		at += count;
	}
	return true;
}

static bool add_tree(struct reader *r, const struct section *s, struct tree_builder *b, size_t target,
		     struct error *err)
{
	int64_t is_linear = 0;
	struct arrays a;

	if (!read_arrays(r, s, &a, err) || !tree_builder_begin(b, 2 * a.leaves - 1, 0, err))
		return false;
	for (size_t i = 0; i + 1 < a.leaves; i++) {
		if (!add_split(&a, b, i, err))
			return false;
	}
	for (size_t i = 0; i < a.leaves; i++) {
		if (!tree_builder_leaf(b, a.leaves - 1 + i, target, a.value[i], err))
			return false;
	}
	if (s->values[KEY_IS_LINEAR].ptr && !read_int(s, KEY_IS_LINEAR, 0, 1, &is_linear, err))
		return false;
	if (is_linear && !add_linear(r, s, &a, b, err))
		return false;
	return tree_builder_end(b, err);
}

/* ---- the file ---- */

static size_t count_words(struct span text)
{
	size_t count = 0;

	for (text = span_trim(text); text.len; text = span_trim(text)) {
		(void)span_cut(&text, ' ');
		count++;
	}
	return count;
}

/* "binary sigmoid:1", "multiclass num_class:3", "regression sqrt". A model of a custom objective has none: raw sums. */
static bool read_objective(struct reader *r, const struct section *s, struct error *err)
{
	struct score *score = &r->l->score;
	struct span rest = span_trim(s->values[KEY_OBJECTIVE].ptr ? s->values[KEY_OBJECTIVE] : SPAN("custom"));
	struct span name = span_cut(&rest, ' ');

	for (size_t i = 0; i < ARRAY_LEN(objectives); i++) {
		if (span_equal(name, span_of(objectives[i].name)))
			r->objective = &objectives[i];
	}
	if (!r->objective)
		return error_set(err, ERROR_UNIMPLEMENTED, "objective '" SPAN_FMT "' is not supported", SPAN_ARG(name));
	*score = (struct score){ .transform = r->objective->transform,
				 .scale = 1,
				 .is_double = true,
				 .is_classifier = r->objective->is_classifier,
				 .targets = (size_t)r->targets };
	while (rest.len) {
		struct span word = span_cut(&rest, ' '), key = span_cut(&word, ':');

		if (span_equal(key, SPAN("sqrt")))
			score->transform = SCORE_SIGNED_SQUARE;
		if (span_equal(key, SPAN("sigmoid")) &&
		    (!number_parse_double(word, &score->scale) || !(score->scale > 0 && score->scale < 1e300)))
			return error_set(err, ERROR_INVALID,
					 "objective: sigmoid is '" SPAN_FMT "', expected a number over 0",
					 SPAN_ARG(word));
	}
	if (score->transform == SCORE_SOFTMAX && r->targets < 2)
		return error_set(err, ERROR_INVALID, "objective is %s, but there is one tree a round",
				 r->objective->name);
	if (score->is_classifier && score->transform == SCORE_SIGMOID && r->targets > 1 &&
	    span_equal(name, SPAN("binary")))
		return error_set(err, ERROR_INVALID, "objective is binary, but there are %lld trees a round",
				 (long long)r->targets);
	return true;
}

/* Names that LightGBM made up for an array without any count as none. */
static bool is_made_up(struct span name, size_t i)
{
	uint64_t number;

	return span_starts(name, SPAN("Column_")) && number_parse_uint64(span_skip(name, 7), &number) && number == i;
}

static bool read_names(struct reader *r, const struct section *s, struct error *err)
{
	struct span rest = span_trim(s->values[KEY_FEATURE_NAMES].ptr ? s->values[KEY_FEATURE_NAMES] : SPAN(""));
	struct arena *arena = &r->l->model.arena;
	size_t count = count_words(rest);
	bool real = false;
	struct span *to;

	if (count == 0)
		return true;
	if (count != (size_t)r->features)
		return error_set(err, ERROR_INVALID, "'feature_names' has %zu names, expected %lld", count,
				 (long long)r->features);
	to = ARENA_ARRAY(arena, struct span, count, err);
	for (size_t i = 0; to && i < count; i++) {
		to[i] = arena_copy(arena, span_cut(&rest, ' '), err);
		if (!to[i].ptr)
			return false;
		rest = span_trim(rest);
		real |= !is_made_up(to[i], i);
	}
	r->l->model.info.feature_names = real ? to : NULL;
	return to;
}

static bool read_header(struct reader *r, struct section *s, struct error *err)
{
	int64_t classes = 1, most = 0;
	struct span line;

	if (!next_line(r, &line) || !span_equal(line, SPAN("tree")))
		return error_set(err, ERROR_INVALID, "line 1: expected 'tree'");
	if (!read_section(r, s, err) || !read_int(s, KEY_MAX_FEATURE, 0, (int64_t)MODEL_FEATURES_MAX - 1, &most, err) ||
	    !read_int(s, KEY_TREES_A_ROUND, 1, (int64_t)TREE_TARGETS_MAX, &r->targets, err) ||
	    (s->values[KEY_NUM_CLASS].ptr && !read_int(s, KEY_NUM_CLASS, 1, (int64_t)TREE_TARGETS_MAX, &classes, err)))
		return false;
	r->features = most + 1;
	return read_objective(r, s, err) && read_names(r, s, err);
}

static bool read_tree(struct reader *r, size_t index, struct tree_builder *b, struct error *err)
{
	struct section s;
	bool ok;

	ok = read_section(r, &s, err) && add_tree(r, &s, b, index % (size_t)r->targets, err);
	arena_clear(&r->arena);
	return ok;
}

static bool read_trees(struct reader *r, struct tree_builder *b, size_t *ret_count, struct error *err)
{
	struct span line;

	while (next_line(r, &line)) {
		if (span_equal(line, SPAN("end of trees")))
			break;
		if (line.len == 0)
			continue;
		if (!span_starts(line, SPAN("Tree=")))
			return error_set(err, ERROR_INVALID,
					 "line %zu: expected 'Tree=%zu' or 'end of trees', found '" SPAN_FMT "'",
					 r->line, *ret_count, SPAN_ARG(line));
		if (!read_tree(r, *ret_count, b, err))
			return error_wrap(err, "Tree=%zu (before line %zu)", *ret_count, r->line + 1);
		++*ret_count;
	}
	return true;
}

static bool check_count(const struct reader *r, const struct section *s, size_t trees, struct error *err)
{
	size_t said = count_words(s->values[KEY_TREE_SIZES]);

	if (s->values[KEY_TREE_SIZES].ptr && said != trees)
		return error_set(err, ERROR_INVALID, "the file has %zu trees, but 'tree_sizes' has %zu numbers", trees,
				 said);
	if (trees % (size_t)r->targets != 0)
		return error_set(err, ERROR_INVALID, "the file has %zu trees, no multiple of %lld a round", trees,
				 (long long)r->targets);
	return true;
}

static bool read_file(struct reader *r, struct error *err)
{
	struct tree_config config = { .double_input = true, .double_sum = true };
	struct lightgbm *l = r->l;
	struct tree_builder *b;
	struct section header;
	size_t count = 0, rounds;

	if (!read_header(r, &header, err))
		return false;
	config.features = (size_t)r->features;
	config.targets = (size_t)r->targets;
	b = tree_builder_new(&config);
	if (read_trees(r, b, &count, err) && check_count(r, &header, count, err))
		l->trees = tree_builder_finish(b, err);
	tree_builder_free(b);
	if (!l->trees)
		return false;
	rounds = count / (size_t)r->targets; /* of one tree for each target */
	if (header.average_output && rounds)
		l->rounds = (double)rounds;
	return score_describe(&l->score, &l->model, DTYPE_FP64, (size_t)r->features, NULL, err);
}

static bool describe(struct reader *r, struct error *err)
{
	struct model_info *info = &r->l->model.info;
	struct trees_facts facts;
	char outputs[64] = "";

	trees_describe(r->l->trees, &facts);
	trees_measure(r->l->trees, &info->cost_ns_call, &info->cost_ns_row);
	if (r->targets > 1)
		snprintf(outputs, sizeof(outputs), ", %lld %s", (long long)r->targets,
			 r->l->score.is_classifier ? "classes" : "outputs");
	info->platform = SPAN("lightgbm");
	info->takes_missing = true;
	info->bytes = facts.bytes;
	info->kind =
	    arena_print(&r->l->model.arena, err, "LightGBM, %zu trees%s, %s", facts.trees, outputs, r->objective->name);
	return info->kind.ptr;
}

static struct model *load(struct span bytes, const struct model_options *options, struct error *err)
{
	struct model *m = model_new(&format_lightgbm, sizeof(struct lightgbm));
	struct reader r = { .l = (struct lightgbm *)m, .rest = bytes };
	bool ok;

	(void)options; /* the library saves the rounds up to the best one already */
	arena_init(&r.arena, bytes.len > (SIZE_MAX - MIB(1)) / 32 ? SIZE_MAX : bytes.len * 32 + MIB(1));
	ok = read_file(&r, err) && describe(&r, err);
	arena_done(&r.arena);
	if (ok)
		return m;
	error_wrap(err, "LightGBM");
	model_unref(m);
	return NULL;
}

static bool run(const struct model *m, const struct tensor *inputs, uint64_t wanted, struct tensor *results,
		struct arena *arena, struct error *err)
{
	const struct lightgbm *l = (const struct lightgbm *)m;
	size_t rows = (size_t)inputs[0].shape[0];
	double *sums = score_sums(&l->score, &inputs[0], arena, err);

	if (!sums || !trees_run(l->trees, inputs[0].data, rows, sums, arena, err))
		return false;
	if (l->rounds > 0) {
		for (size_t i = 0; i < rows * l->score.targets; i++)
			sums[i] /= l->rounds;
	}
	return score_finish(&l->score, m, sums, rows, wanted, results, arena, err);
}

static void free_model(struct model *m)
{
	trees_free(((struct lightgbm *)m)->trees);
}

static int probe(struct span head)
{
	struct span first = span_cut(&head, '\n');

	if (first.len && first.ptr[first.len - 1] == '\r')
		first.len--;
	return span_equal(first, SPAN("tree")) ? 90 : 0;
}

const struct model_format format_lightgbm = {
	.name = "lightgbm", .probe = probe, .load = load, .run = run, .free = free_model
};
