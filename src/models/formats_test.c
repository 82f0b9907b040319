/* SPDX-License-Identifier: Apache-2.0 */
/* Small models by hand: what they answer, and what is said of damaged ones. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "models/doc.h"
#include "models/model.h"

static const char xgboost_text[] =
    "{\"learner\":{\"attributes\":{},\"feature_names\":[\"a\",\"b\"],\"feature_types\":[\"float\",\"c\"],"
    "\"gradient_booster\":{\"model\":{\"gbtree_model_param\":{\"num_parallel_tree\":\"1\",\"num_trees\":\"2\"},"
    "\"iteration_indptr\":[0,1,2],\"tree_info\":[0,0],\"trees\":["
    "{\"categories\":[],\"categories_nodes\":[],\"categories_segments\":[],\"categories_sizes\":[],"
    "\"default_left\":[1,0,0],\"left_children\":[1,-1,-1],\"right_children\":[2,-1,-1],"
    "\"split_conditions\":[0.5,-1.0,2.0],\"split_indices\":[0,0,0],\"split_type\":[0,0,0],"
    "\"tree_param\":{\"num_nodes\":\"3\",\"size_leaf_vector\":\"1\"}},"
    "{\"categories\":[1,3],\"categories_nodes\":[0],\"categories_segments\":[0],\"categories_sizes\":[2],"
    "\"default_left\":[0,0,0],\"left_children\":[1,-1,-1],\"right_children\":[2,-1,-1],"
    "\"split_conditions\":[1e-45,0.25,-0.75],\"split_indices\":[1,0,0],\"split_type\":[1,0,0],"
    "\"tree_param\":{\"num_nodes\":\"3\",\"size_leaf_vector\":\"1\"}}]},\"name\":\"gbtree\"},"
    "\"learner_model_param\":{\"base_score\":\"[5E-1]\",\"num_class\":\"0\",\"num_feature\":\"2\",\"num_target\":\"1\"}"
    ","
    "\"objective\":{\"name\":\"binary:logistic\"}},\"version\":[3,2,0]}";

static const char lightgbm_text[] = "tree\n"
				    "version=v4\n"
				    "num_class=1\n"
				    "num_tree_per_iteration=1\n"
				    "label_index=0\n"
				    "max_feature_idx=1\n"
				    "objective=regression\n"
				    "feature_names=a b\n"
				    "feature_infos=[0:1] 0:1:3\n"
				    "tree_sizes=100 100\n"
				    "\n"
				    "Tree=0\n"
				    "num_leaves=3\n"
				    "num_cat=1\n"
				    "split_feature=0 1\n"
				    "threshold=0.5 0\n"
				    "decision_type=10 1\n"
				    "left_child=-1 -2\n"
				    "right_child=1 -3\n"
				    "leaf_value=1 2 4\n"
				    "cat_boundaries=0 1\n"
				    "cat_threshold=10\n"
				    "is_linear=0\n"
				    "\n"
				    "\n"
				    "Tree=1\n"
				    "num_leaves=1\n"
				    "num_cat=0\n"
				    "leaf_value=0.125\n"
				    "\n"
				    "end of trees\n"
				    "\n"
				    "parameters:\n"
				    "end of parameters\n"
				    "\n"
				    "pandas_categorical:null\n";

static const char linear_text[] =
    "{\"format\":\"hythe-linear\",\"version\":1,\"task\":\"binary\",\"features\":[\"a\",\"b\"],"
    "\"classes\":[\"no\",\"yes\"],\"coef\":[[1.5,-2]],\"intercept\":[0.25],\"mean\":[0,1],\"scale\":[1,2]}";

static const char bare_text[] = "{\"coef\":[0.5,-1,2,0,0,0,0,0,0,1],\"intercept\":-0.5}";

/* `text` with the first `from` replaced; NULL `from`: cut to the length `to` says. The caller frees. */
static struct span edited(const char *text, const char *from, const char *to)
{
	struct buffer b;
	const char *at = from ? strstr(text, from) : NULL;

	buffer_init(&b, MIB(1));
	if (!from) {
		buffer_append(&b, span_first(span_of(text), strtoul(to, NULL, 10)));
		return buffer_span(&b);
	}
	assert_non_null(at);
	buffer_append(&b, span_from(text, (size_t)(at - text)));
	buffer_append(&b, span_of(to));
	buffer_append(&b, span_of(at + strlen(from)));
	return buffer_span(&b);
}

struct damage {
	const char *text, *from, *to, *message;
};

static const struct damage damages[] = {
	{ xgboost_text, NULL, "700", "XGBoost: line 1, column" },
	{ xgboost_text, "\"version\":[3,2,0]}", "\"version\":[3,2,0]}}", "XGBoost: line 1, column" },
	{ xgboost_text, "\"objective\"", "\"objectives\"", "XGBoost: learner: 'objective' is missing" },
	{ xgboost_text, "\"objective\":{\"name\":\"binary:logistic\"}", "\"objective\":3",
	  "XGBoost: learner: 'objective' is a number, expected an object" },
	{ xgboost_text, "binary:logistic", "binary:magic",
	  "XGBoost: learner: objective 'binary:magic' is not supported" },
	{ xgboost_text, "\"num_feature\":\"2\"", "\"num_feature\":\"two\"",
	  "XGBoost: learner: learner_model_param: 'num_feature' is 'two', expected a whole number" },
	{ xgboost_text, "\"num_feature\":\"2\"", "\"num_feature\":\"0\"",
	  "XGBoost: learner: learner_model_param: 'num_feature' is 0" },
	{ xgboost_text, "\"num_feature\":\"2\"", "\"num_feature\":\"-2\"",
	  "XGBoost: learner: learner_model_param: 'num_feature' is -2" },
	{ xgboost_text, "\"num_feature\":\"2\"", "\"num_feature\":\"99999999\"",
	  "XGBoost: learner: learner_model_param: 'num_feature' is 99999999, over the limit of 1048576" },
	{ xgboost_text, "\"num_feature\":\"2\"", "\"num_feature\":\"3\"",
	  "XGBoost: learner: feature_names: expected 3 names, found 2 values" },
	{ xgboost_text, "[5E-1]", "[1E0]",
	  "XGBoost: learner: learner_model_param: 'base_score' is 1, expected a number between 0 and 1" },
	{ xgboost_text, "[5E-1]", "[half]",
	  "XGBoost: learner: learner_model_param: 'base_score' holds 'half', expected a number" },
	{ xgboost_text, "[5E-1]", "[5E-1,5E-1]",
	  "XGBoost: learner: learner_model_param: 'base_score' holds more than 1 numbers" },
	{ xgboost_text, "[5E-1]", "[]",
	  "XGBoost: learner: learner_model_param: 'base_score' holds 0 numbers, expected 1" },
	{ xgboost_text, "\"name\":\"gbtree\"", "\"name\":\"gbforest\"",
	  "XGBoost: learner: booster 'gbforest' is not supported" },
	{ xgboost_text, "\"num_trees\":\"2\"", "\"num_trees\":\"3\"",
	  "XGBoost: learner: gradient_booster: 'trees' has 2 trees, but 'num_trees' is 3" },
	{ xgboost_text, "\"tree_info\":[0,0]", "\"tree_info\":[0]",
	  "XGBoost: learner: gradient_booster: 'tree_info' has 1 numbers, expected 2" },
	{ xgboost_text, "\"tree_info\":[0,0]", "\"tree_info\":[0,1]",
	  "XGBoost: learner: gradient_booster: trees[1]: node 1: target 1 is outside 0..0" },
	{ xgboost_text, "\"tree_info\":[0,0]", "\"tree_info\":[0,0.5]",
	  "XGBoost: learner: gradient_booster: tree_info[1] is 0.5, expected a whole number" },
	{ xgboost_text, "\"left_children\":[1,-1,-1]", "\"left_children\":[900,-1,-1]",
	  "XGBoost: learner: gradient_booster: trees[0]: node 0: left child 900 is outside 0..2" },
	{ xgboost_text, "\"left_children\":[1,-1,-1]", "\"left_children\":[2,-1,-1]",
	  "XGBoost: learner: gradient_booster: trees[0]: node 0: child 2 is reached twice (a cycle, or two parents)" },
	{ xgboost_text, "\"left_children\":[1,-1,-1]", "\"left_children\":[0,-1,-1]",
	  "XGBoost: learner: gradient_booster: trees[0]: node 0: child 0 is reached twice (a cycle, or two parents)" },
	{ xgboost_text, "\"left_children\":[1,-1,-1]", "\"left_children\":[1,-1]",
	  "XGBoost: learner: gradient_booster: trees[0]: 'left_children' has 2 numbers, but 'num_nodes' is 3" },
	{ xgboost_text, "\"right_children\":[2,-1,-1]", "\"right_children\":[2,-1]",
	  "XGBoost: learner: gradient_booster: trees[0]: 'right_children' has 2 numbers, expected 3" },
	{ xgboost_text, "\"split_indices\":[0,0,0]", "\"split_indices\":[2,0,0]",
	  "XGBoost: learner: gradient_booster: trees[0]: node 0: feature 2 is outside 0..1" },
	{ xgboost_text, "\"split_indices\":[0,0,0]", "\"split_indices\":\"0\"",
	  "XGBoost: learner: gradient_booster: trees[0]: 'split_indices' is a string, expected an array of numbers" },
	{ xgboost_text, "\"split_conditions\":[0.5,", "\"split_conditions\":[NaN,",
	  "XGBoost: learner: gradient_booster: trees[0]: node 0: the threshold is not a number" },
	{ xgboost_text, "\"split_type\":[1,0,0]", "\"split_type\":[0,0,0]",
	  "XGBoost: learner: gradient_booster: trees[1]: categories_nodes[0]: node 0 has split_type 0" },
	{ xgboost_text, "\"split_type\":[0,0,0]", "\"split_type\":[1,0,0]",
	  "XGBoost: learner: gradient_booster: trees[0]: node 0 is used but not given" },
	{ xgboost_text, "\"categories_nodes\":[0]", "\"categories_nodes\":[3]",
	  "XGBoost: learner: gradient_booster: trees[1]: categories_nodes[0]: 3 is outside 0..2" },
	{ xgboost_text, "\"categories_sizes\":[2]", "\"categories_sizes\":[3]",
	  "XGBoost: learner: gradient_booster: trees[1]: categories_segments[0]: 0 and 3 more is outside 0..2" },
	{ xgboost_text, "\"categories\":[1,3]", "\"categories\":[1,-3]",
	  "XGBoost: learner: gradient_booster: trees[1]: categories[1] is -3" },
	{ xgboost_text, "\"categories\":[1,3]", "\"categories\":[1,16000000]",
	  "XGBoost: learner: gradient_booster: trees[1]: categories[1] is 16000000, over the limit of 65535" },
	{ xgboost_text, "\"size_leaf_vector\":\"1\"", "\"size_leaf_vector\":\"2\"",
	  "XGBoost: learner: gradient_booster: trees[0]: 'size_leaf_vector' is 2, expected 1" },
	{ xgboost_text, "\"attributes\":{}", "\"attributes\":{\"best_iteration\":\"soon\"}",
	  "XGBoost: learner: attributes: 'best_iteration' is 'soon', expected a whole number" },

	{ lightgbm_text, "num_tree_per_iteration=1\n", "", "LightGBM: 'num_tree_per_iteration' is missing" },
	{ lightgbm_text, "max_feature_idx=1\n", "max_feature_idx=-1\n",
	  "LightGBM: 'max_feature_idx' is '-1', expected a whole number from 0 to 1048575" },
	{ lightgbm_text, "objective=regression", "objective=divination",
	  "LightGBM: objective 'divination' is not supported" },
	{ lightgbm_text, "objective=regression", "objective=multiclass num_class:1",
	  "LightGBM: objective is multiclass, but there is one tree a round" },
	{ lightgbm_text, "objective=regression", "objective=binary sigmoid:-1",
	  "LightGBM: objective: sigmoid is '-1', expected a number over 0" },
	{ lightgbm_text, "feature_names=a b", "feature_names=a", "LightGBM: 'feature_names' has 1 names, expected 2" },
	{ lightgbm_text, "tree_sizes=100 100", "tree_sizes=100 100 100",
	  "LightGBM: the file has 2 trees, but 'tree_sizes' has 3 numbers" },
	{ lightgbm_text, "version=v4\n", "version=v4\nnum_class=1\n", "LightGBM: line 4: 'num_class' is given twice" },
	{ lightgbm_text, "num_leaves=3\n", "", "LightGBM: Tree=0 (before line 24): 'num_leaves' is missing" },
	{ lightgbm_text, "num_leaves=3\n", "num_leaves=99999999\n",
	  "LightGBM: Tree=0 (before line 25): 'num_leaves' is" },
	{ lightgbm_text, "num_leaves=3\n", "num_leaves=4\n",
	  "LightGBM: Tree=0 (before line 25): 'leaf_value' is too short for 4 numbers" },
	{ lightgbm_text, "leaf_value=1 2 4", "leaf_value=1 two 4",
	  "LightGBM: Tree=0 (before line 25): 'leaf_value': value 1 is 'two', expected a number" },
	{ lightgbm_text, "split_feature=0 1", "split_feature=0 2",
	  "LightGBM: Tree=0 (before line 25): node 1: feature 2 is outside 0..1" },
	{ lightgbm_text, "split_feature=0 1", "split_feature=0 0.5",
	  "LightGBM: Tree=0 (before line 25): 'split_feature': value 1 is 0.5, expected a whole number" },
	{ lightgbm_text, "left_child=-1 -2", "left_child=-1 -4",
	  "LightGBM: Tree=0 (before line 25): left_child[1]: -4 is outside -3..1" },
	{ lightgbm_text, "left_child=-1 -2", "left_child=1 -2",
	  "LightGBM: Tree=0 (before line 25): node 0: child 1 is reached twice (a cycle, or two parents)" },
	{ lightgbm_text, "right_child=1 -3", "right_child=-2 -3",
	  "LightGBM: Tree=0 (before line 25): node 1 is not reached from the root" },
	{ lightgbm_text, "threshold=0.5 0", "threshold=nan 0",
	  "LightGBM: Tree=0 (before line 25): node 0: the threshold is not a number" },
	{ lightgbm_text, "threshold=0.5 0", "threshold=0.5 1",
	  "LightGBM: Tree=0 (before line 25): threshold[1]: category set 1 is outside 0..0" },
	{ lightgbm_text, "decision_type=10 1", "decision_type=10 13",
	  "LightGBM: Tree=0 (before line 25): decision_type[1] is 13" },
	{ lightgbm_text, "cat_boundaries=0 1", "cat_boundaries=1 0",
	  "LightGBM: Tree=0 (before line 25): 'cat_boundaries': value 1 is 0, less than the one before" },
	{ lightgbm_text, "cat_boundaries=0 1", "cat_boundaries=0 9000000000000",
	  "LightGBM: Tree=0 (before line 25): 'cat_threshold' is too short for 9000000000000 numbers" },
	{ lightgbm_text, "cat_threshold=10", "cat_threshold=-10",
	  "LightGBM: Tree=0 (before line 25): 'cat_threshold': value 0 is -10, expected 32 bits" },
	{ lightgbm_text, "is_linear=0", "is_linear=1", "LightGBM: Tree=0 (before line 25): 'leaf_const' is missing" },
	{ lightgbm_text, "Tree=1", "Trees=1",
	  "LightGBM: line 26: expected 'Tree=1' or 'end of trees', found 'Trees=1'" },
	{ lightgbm_text, NULL, "330", "LightGBM: Tree=0 (before line" },

	{ linear_text, "\"coef\":[[1.5,-2]]", "\"coef\":[]", "linear model: 'coef' is empty" },
	{ linear_text, "\"coef\":[[1.5,-2]],", "", "linear model: 'coef' is missing" },
	{ linear_text, "[[1.5,-2]]", "[[1.5,-2],[3]]", "linear model: coef[1]: expected a row of 2 numbers" },
	{ linear_text, "[[1.5,-2]]", "[[1.5,-2],[3,4]]",
	  "linear model: 'coef' has 2 rows, expected 1 for task binary" },
	{ linear_text, "[[1.5,-2]]", "[[1.5,NaN]]",
	  "linear model: 'coef' holds nan at index 1, expected a finite number" },
	{ linear_text, "\"intercept\":[0.25]", "\"intercept\":[0.25,1]",
	  "linear model: 'intercept' has 2 numbers, expected 1" },
	{ linear_text, "\"intercept\":[0.25]", "\"intercept\":\"none\"",
	  "linear model: 'intercept' is 'none', expected a number" },
	{ linear_text, "\"scale\":[1,2]", "\"scale\":[1,0]", "linear model: 'scale' holds 0 at index 1" },
	{ linear_text, "\"mean\":[0,1]", "\"mean\":[0]", "linear model: 'mean' has 1 numbers, expected 2" },
	{ linear_text, "\"task\":\"binary\"", "\"task\":\"ranking\"",
	  "linear model: task is 'ranking', expected binary, multiclass or regression" },
	{ linear_text, "\"task\":\"binary\",", "", "linear model: 'task' is missing" },
	{ linear_text, "\"task\":\"binary\"", "\"task\":\"multiclass\"",
	  "linear model: 'coef' has 1 row, expected one for each class" },
	{ linear_text, "\"version\":1", "\"version\":2",
	  "linear model: version 2 of hythe-linear is not supported; this program reads 1" },
	{ linear_text, "[\"a\",\"b\"]", "[\"a\"]", "linear model: 'features' has 1 values, expected 2" },
	{ linear_text, "[\"a\",\"b\"]", "[\"a\",null]", "linear model: features[1] is not a string" },
	{ linear_text, "[\"no\",\"yes\"]", "[0,1,2]", "linear model: 'classes' has 3 values, expected 2" },
	{ linear_text, "[\"no\",\"yes\"]", "[0,0.5]",
	  "linear model: classes[1] is 0.5, expected a whole number or a string" },
	{ linear_text, NULL, "100", "linear model: line 1, column" },
	{ bare_text, "\"coef\"", "\"coeff\"", "the file is none of the known model formats" },

	{ "x", "x", "", "the model file is empty" },
	{ "x", "x", "hello\n", "the file is none of the known model formats" },
	{ "x", "x", "\x80\x04\x95",
	  "the file is a scikit-learn/Python pickle: convert it with examples/convert_sklearn.py" },
	{ "x", "x", "\x78\x9c\x01", "the file is a compressed scikit-learn/Python pickle (zlib)" },
	{ "x", "x", "\"\"\"A model.\"\"\"\nimport numpy\n", "the file is Python code" },
	{ "x", "x", "# a model\n\nclass Model:\n", "the file is Python code" },
	{ "x", "x", "PK\3\4...", "the file is a zip archive, as PyTorch and Keras write them" },
	{ "x", "x", "binf....", "the file is in XGBoost's old binary form" },
};

static void damaged_files_are_refused_with_the_place(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(damages); i++) {
		const struct damage *d = &damages[i];
		struct span bytes = edited(d->text, d->from, d->to);
		struct error err = { 0 };
		struct model *m = model_load_bytes(bytes, NULL, &err);

		if (m || !span_starts(error_span(&err), span_of(d->message)))
			fail_msg("row %zu: '%s', expected '%s'", i, m ? "loaded" : err.message, d->message);
		assert_in_range(err.code, ERROR_NONE + 1, ERROR_COUNT - 1);
		free((char *)bytes.ptr);
	}
}

/* ---- what sound ones answer ---- */

static double answer(const struct model *m, double a, double b, size_t output, size_t index)
{
	const struct model_info *info = model_info(m);
	double row[] = { a, b };
	struct tensor from = { .dtype = DTYPE_FP64, .rank = 2, .shape = { 1, 2 }, .count = 2, .data = row }, input,
		      out[3];
	struct error err = { 0 };
	struct arena arena;
	double value;

	arena_init(&arena, MIB(1));
	assert_true(tensor_convert(&from, info->inputs[0].dtype, &arena, &input, &err));
	assert_true(model_run(m, &input, (uint64_t)1 << output, out, &arena, &err));
	assert_true(span_equal(out[output].name, info->outputs[output].name));
	assert_int_equal(out[output].dtype, info->outputs[output].dtype);
	value = tensor_get(&out[output], index);
	arena_done(&arena);
	return value;
}

static double sigmoid(double x)
{
	return 1 / (1 + exp(-x));
}

static void assert_close(double a, double b)
{
	if (!(fabs(a - b) <= 1e-7))
		fail_msg("%.17g, expected %.17g", a, b);
}

static void assert_xgboost_answers(const struct model *m)
{
	static const struct {
		double a, b, margin;
	} rows[] = {
		{ 0.4, 0, -1 + 0.25 }, { 0.5, 0, 2 + 0.25 },  { 0.6, 1, 2 - 0.75 },   { 0.6, 3.7, 2 - 0.75 },
		{ NAN, 2, -1 + 0.25 }, { 0, NAN, -1 - 0.75 }, { 0, -0.5, -1 + 0.25 }, { 0, 1e9, -1 + 0.25 },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		assert_close(answer(m, rows[i].a, rows[i].b, 0, 1), sigmoid(rows[i].margin));
		assert_close(answer(m, rows[i].a, rows[i].b, 0, 0), 1 - sigmoid(rows[i].margin));
		assert_close(answer(m, rows[i].a, rows[i].b, 1, 0), rows[i].margin > 0);
		assert_close(answer(m, rows[i].a, rows[i].b, 2, 0), sigmoid(rows[i].margin));
	}
}

static void xgboost_json_answers(void **state)
{
	struct error err = { 0 };
	struct model *m = model_load_bytes(span_of(xgboost_text), NULL, &err);
	const struct model_info *info;

	(void)state;
	assert_non_null(m);
	info = model_info(m);
	assert_int_equal(info->task, MODEL_TASK_BINARY);
	assert_true(span_equal(info->platform, SPAN("xgboost")));
	assert_true(span_equal(info->kind, SPAN("XGBoost gbtree, 2 trees, binary:logistic")));
	assert_int_equal(info->feature_count, 2);
	assert_true(span_equal(info->feature_names[1], SPAN("b")));
	assert_int_equal(info->class_count, 2);
	assert_true(span_equal(info->class_names[1], SPAN("1")));
	assert_true(info->takes_missing);
	assert_true(info->cost_ns_call > 0);
	assert_xgboost_answers(m);
	model_unref(m);
}

static void the_best_round_is_the_last_one_unless_all_are_asked_for(void **state)
{
	struct span bytes = edited(xgboost_text, "\"attributes\":{}", "\"attributes\":{\"best_iteration\":\"0\"}");
	struct model_options options = { .all_rounds = true };
	struct error err = { 0 };
	struct model *best = model_load_bytes(bytes, NULL, &err), *all = model_load_bytes(bytes, &options, &err);

	(void)state;
	assert_non_null(best);
	assert_non_null(all);
	assert_close(answer(best, 0.4, 0, 2, 0), sigmoid(-1));
	assert_close(answer(all, 0.4, 0, 2, 0), sigmoid(-0.75));
	model_unref(best);
	model_unref(all);
	free((char *)bytes.ptr);
}

static void base_scores_of_old_files_are_bare_numbers(void **state)
{
	struct span bytes = edited(xgboost_text, "[5E-1]", "2.5E-1");
	struct error err = { 0 };
	struct model *m = model_load_bytes(bytes, NULL, &err);

	(void)state;
	assert_non_null(m);
	assert_close(answer(m, 0.4, 0, 2, 0), sigmoid(-0.75 + log(0.25 / 0.75)));
	model_unref(m);
	free((char *)bytes.ptr);
}

static void lightgbm_text_answers(void **state)
{
	static const struct {
		double a, b, value;
	} rows[] = {
		/* categories 1 and 3 go left; NaN in a goes left */
		{ 0.5, 0, 1.125 }, { 0.6, 1, 2.125 },  { 0.6, 3, 2.125 },   { 0.6, 0, 4.125 },  { 0.6, NAN, 4.125 },
		{ NAN, 1, 1.125 }, { 0.6, -1, 4.125 }, { 0.6, 1.9, 2.125 }, { 0.6, 99, 4.125 },
	};
	struct error err = { 0 };
	struct model *m = model_load_bytes(span_of(lightgbm_text), NULL, &err);

	(void)state;
	assert_non_null(m);
	assert_int_equal(model_info(m)->task, MODEL_TASK_REGRESSION);
	assert_int_equal(model_info(m)->inputs[0].dtype, DTYPE_FP64);
	assert_int_equal(model_info(m)->label_output, -1);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		assert_true(answer(m, rows[i].a, rows[i].b, 0, 0) == rows[i].value);
	model_unref(m);
}

static void windows_line_ends_are_read(void **state)
{
	struct error err = { 0 };
	struct model *m;
	struct buffer b;

	(void)state;
	buffer_init(&b, MIB(1));
	for (const char *p = lightgbm_text; *p; p++) {
		if (*p == '\n')
			buffer_byte(&b, '\r');
		buffer_byte(&b, *p);
	}
	m = model_load_bytes(buffer_span(&b), NULL, &err);
	assert_non_null(m);
	assert_true(answer(m, 0.6, 3, 0, 0) == 2.125);
	model_unref(m);
	buffer_done(&b);
}

static void linear_models_answer(void **state)
{
	struct error err = { 0 };
	struct model *m = model_load_bytes(span_of(linear_text), NULL, &err);
	double want = sigmoid(1.5 * 0.3 + -2 * (5 - 1) / 2.0 + 0.25);

	(void)state;
	assert_non_null(m);
	assert_int_equal(model_info(m)->outputs[1].dtype, DTYPE_BYTES);
	assert_true(span_equal(model_info(m)->class_names[1], SPAN("yes")));
	assert_true(fabs(answer(m, 0.3, 5, 0, 1) - want) < 1e-15);
	model_unref(m);
	m = model_load_bytes(span_of(bare_text), NULL, &err);
	assert_non_null(m);
	assert_int_equal(model_info(m)->feature_count, 10);
	assert_null(model_info(m)->feature_names);
	model_unref(m);
}

static void safetensors_hold_linear_models(void **state)
{
	static const char header[] =
	    "{\"__metadata__\":{\"task\":\"regression\",\"features\":\"[\\\"u\\\",\\\"v\\\"]\"},"
	    "\"coef\":{\"dtype\":\"F64\",\"shape\":[1,2],\"data_offsets\":[0,16]},"
	    "\"intercept\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[16,20]}}";
	const double coef[] = { 2, -0.5 };
	const float intercept = 10;
	uint64_t length = sizeof(header) - 1;
	struct error err = { 0 };
	struct model *m;
	struct buffer b;

	(void)state;
	buffer_init(&b, KIB(4));
	buffer_append(&b, span_from(&length, 8)); /* tests run on little-endian machines */
	buffer_append(&b, SPAN(header));
	buffer_append(&b, span_from(coef, sizeof(coef)));
	buffer_append(&b, span_from(&intercept, sizeof(intercept)));
	m = model_load_bytes(buffer_span(&b), NULL, &err);
	assert_non_null(m);
	assert_true(span_equal(model_info(m)->feature_names[1], SPAN("v")));
	assert_true(answer(m, 3, 4, 0, 0) == 14);
	model_unref(m);
	for (size_t cut = 9; cut < b.len; cut++) {
		err = (struct error){ 0 };
		assert_null(model_load_bytes((struct span){ b.ptr, cut }, NULL, &err));
		assert_int_equal(err.code, ERROR_INVALID);
	}
	buffer_done(&b);
}

static void echo_gives_its_input_back_without_a_copy(void **state)
{
	uint8_t bytes[] = { 1, 2, 3 };
	struct tensor in = { .dtype = DTYPE_UINT8, .rank = 1, .shape = { 3 }, .count = 3, .data = bytes }, out;
	struct error err = { 0 };
	struct model *m = model_load("builtin:echo", NULL, &err);

	(void)state;
	assert_non_null(m);
	assert_true(model_info(m)->any_input);
	assert_true(model_run(m, &in, 1, &out, NULL, &err));
	assert_ptr_equal(out.data, bytes);
	assert_int_equal(out.dtype, DTYPE_UINT8);
	assert_true(span_equal(out.name, SPAN("output")));
	model_unref(model_ref(m));
	model_unref(m);
	assert_null(model_load("builtin:parrot", NULL, &err));
	assert_int_equal(err.code, ERROR_NOT_FOUND);
	assert_null(model_load("/no/such/model", NULL, &err));
	assert_int_equal(err.code, ERROR_NOT_FOUND);
}

static void the_size_limit_holds(void **state)
{
	struct model_options options = { .size_limit = 100 };
	struct error err = { 0 };

	(void)state;
	assert_null(model_load_bytes(span_of(xgboost_text), &options, &err));
	assert_int_equal(err.code, ERROR_TOO_LARGE);
}

/* ---- UBJ ---- */

static void ubj_length(struct buffer *b, size_t n)
{
	buffer_byte(b, 'L');
	for (int shift = 56; shift >= 0; shift -= 8)
		buffer_byte(b, (char)((uint64_t)n >> shift));
}

/* As XGBoost writes: 64-bit lengths, typed arrays. */
static void ubj_write(struct buffer *b, const struct doc *d)
{
	switch (d->type) {
	case DOC_STRING:
		buffer_byte(b, 'S');
		ubj_length(b, d->text.len);
		buffer_append(b, d->text);
		break;
	case DOC_NUMBERS:
		buffer_append(b, d->count ? d->is_integer ? SPAN("[$l#") : SPAN("[$d#") : SPAN("[#"));
		ubj_length(b, d->count);
		for (size_t i = 0; i < d->count; i++) {
			float real = (float)doc_number_at(d, i);
			uint32_t bits;

			memcpy(&bits, &real, sizeof(bits));
			if (d->is_integer)
				bits = (uint32_t)(int32_t)doc_number_at(d, i);
			for (int shift = 24; shift >= 0; shift -= 8)
				buffer_byte(b, (char)(bits >> shift));
		}
		break;
	case DOC_ARRAY:
		buffer_append(b, SPAN("[#"));
		ubj_length(b, d->count);
		for (const struct doc *child = d->first; child; child = child->next)
			ubj_write(b, child);
		break;
	case DOC_OBJECT:
		buffer_byte(b, '{');
		for (const struct doc *child = d->first; child; child = child->next) {
			ubj_length(b, child->key.len);
			buffer_append(b, child->key);
			ubj_write(b, child);
		}
		buffer_byte(b, '}');
		break;
	default:
		fail();
	}
}

static void xgboost_ubj_answers_as_json_and_every_cut_is_refused(void **state)
{
	static const char *const none[] = { NULL };
	struct error err = { 0 };
	struct arena arena;
	struct model *m;
	struct buffer b;

	(void)state;
	arena_init(&arena, MIB(1));
	buffer_init(&b, MIB(1));
	ubj_write(&b, doc_read_json(span_of(xgboost_text), none, &arena, &err));
	m = model_load_bytes(buffer_span(&b), NULL, &err);
	assert_non_null(m);
	assert_xgboost_answers(m);
	model_unref(m);
	for (size_t cut = 20; cut < b.len; cut++) {
		struct span copy = arena_copy(&arena, (struct span){ b.ptr, cut }, &err);

		if (!copy.ptr) {
			arena_clear(&arena);
			continue;
		}
		err = (struct error){ 0 };
		assert_null(model_load_bytes(copy, NULL, &err));
		assert_int_equal(err.code, ERROR_INVALID);
		assert_true(span_starts(error_span(&err), SPAN("XGBoost: byte ")));
	}
	arena_done(&arena);
	buffer_done(&b);
}

static const struct {
	struct span bytes;
	const char *message;
} bad_ubj[] = {
	{ SPAN_INIT("{"), "byte 1: the data ends in the middle of a container" },
	{ SPAN_INIT("{U\3ab"), "byte 3: the data ends in the middle of a value" },
	{ SPAN_INIT("{S\1a"), "byte 1: expected the integer type of a length" },
	{ SPAN_INIT("{i\377a"), "byte 3: a length is negative" },
	{ SPAN_INIT("{U\1aQ}"), "byte 4: unknown type of value" },
	{ SPAN_INIT("{U\1a}"), "byte 4: unknown type of value" },
	{ SPAN_INIT("[$d]"), "byte 3: a typed container needs a count (#)" },
	{ SPAN_INIT("[$d#U\2\0\0\0\0"), "byte 6: the data ends in the middle of a value" },
	{ SPAN_INIT("[#L\177\377\377\377\377\377\377\377Z"),
	  "byte 11: a count is larger than what is left of the data" },
	{ SPAN_INIT("[$L#L\177\377\377\377\377\377\377\377Z"),
	  "byte 13: a count is larger than what is left of the data" },
	{ SPAN_INIT("[$Z#L\177\377\377\377\377\377\377\377"), "byte 13: a container of constants is not supported" },
	{ SPAN_INIT("ZZ"), "byte 1: there is more behind the end of the value" },
	{ SPAN_INIT("[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[["),
	  "byte 66: the data is nested too deep" },
};

static void bad_ubjson_is_refused_with_the_byte(void **state)
{
	static const char *const none[] = { NULL };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad_ubj); i++) {
		struct error err = { 0 };
		struct arena arena;

		arena_init(&arena, KIB(64));
		assert_null(doc_read_ubj(bad_ubj[i].bytes, none, &arena, &err));
		assert_string_equal(err.message, bad_ubj[i].message);
		arena_done(&arena);
	}
}

static void loading_and_unloading_is_even(void **state)
{
	struct error err = { 0 };

	(void)state;
	for (int i = 0; i < 20; i++) { /* leaks show under sanitizers and valgrind */
		struct model *m = model_load_bytes(span_of(i % 2 ? xgboost_text : lightgbm_text), NULL, &err);

		assert_non_null(m);
		model_unref(m);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(damaged_files_are_refused_with_the_place),
		cmocka_unit_test(xgboost_json_answers),
		cmocka_unit_test(the_best_round_is_the_last_one_unless_all_are_asked_for),
		cmocka_unit_test(base_scores_of_old_files_are_bare_numbers),
		cmocka_unit_test(lightgbm_text_answers),
		cmocka_unit_test(windows_line_ends_are_read),
		cmocka_unit_test(linear_models_answer),
		cmocka_unit_test(safetensors_hold_linear_models),
		cmocka_unit_test(echo_gives_its_input_back_without_a_copy),
		cmocka_unit_test(the_size_limit_holds),
		cmocka_unit_test(xgboost_ubj_answers_as_json_and_every_cut_is_refused),
		cmocka_unit_test(bad_ubjson_is_refused_with_the_byte),
		cmocka_unit_test(loading_and_unloading_is_even),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
