/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * trees - the engine under every tree ensemble: XGBoost, LightGBM, ONNX TreeEnsemble. Private to the room.
 *
 * A format describes its trees node by node to a builder, in the semantics of its own library; the builder checks all
 * of it (indices, cycles, depth, counts, each node reached once) and compiles it into an immutable object whose running
 * needs no checks. Running gives raw sums (margins), one for each target; what becomes of them is the format's affair.
 *
 *	struct tree_builder *b = tree_builder_new(&(struct tree_config){ .features = 10, .targets = 1 });
 *	for each tree:
 *		tree_builder_begin(b, node_count, 0, err)
 *		for each node: tree_builder_split(b, node, &split, err) or tree_builder_leaf(b, node, target, value, err)
 *		tree_builder_end(b, err)
 *	struct trees *t = tree_builder_finish(b, err);
 *	tree_builder_free(b);
 *
 * How it runs: a feature's thresholds, sorted, turn its value into a small rank, once for each row; nodes compare
 * ranks, bytes, where the missing value's side is already part of the rank. One row walks several trees at a time; many
 * rows go through a tree together, 32 to a vector. Both add leaves in the order of the trees, so results do not depend
 * on the path.
 *
 * Ownership: the creator frees. Threads: a compiled ensemble may run on any number of threads at once.
 * Errors:    INVALID with the node ("node 7: left child 900 is outside 0..62"), for the caller to put the tree in
 *            front; TOO_LARGE past MODEL_NODES_MAX, MODEL_DEPTH_MAX and the limits below.
 */
#include "models/model.h"

struct trees;
struct tree_builder;

#define TREE_TARGETS_MAX   ((size_t)1 << 16)
#define TREE_COUNT_MAX     ((size_t)1 << 24)
#define TREE_SET_WORDS_MAX 2048 /* of one set: categories up to 65,535 */
#define TREE_SET_WORDS_SUM ((size_t)1 << 26)

/* When a row takes the `yes` side of a node. */
enum tree_mode {
	TREE_LT,  /* x <  threshold */
	TREE_LEQ, /* x <= threshold */
	TREE_GT,  /* x >  threshold */
	TREE_GTE, /* x >= threshold */
	TREE_EQ,  /* x == threshold */
	TREE_NEQ, /* x != threshold */
	TREE_SET, /* the category x is in the set */
};

/* What counts as missing, and so goes to the node's `missing_yes` side without being compared. */
enum tree_missing {
	TREE_MISSING_NAN,     /* NaN */
	TREE_MISSING_ZERO,    /* NaN, and all from -1e-35f to 1e-35f (LightGBM's zero_as_missing) */
	TREE_MISSING_AS_ZERO, /* nothing: NaN is compared as 0 (LightGBM's missing type none) */
};

struct tree_split {
	uint64_t feature;
	uint64_t yes, no; /* children, as node numbers of this tree */
	double threshold; /* not for TREE_SET */
	enum tree_mode mode;
	enum tree_missing missing;
	bool missing_yes; /* where the missing go */
	/* TREE_SET: category c is in the set when bit c % 32 of set[c / 32] is; copied. Fractions are cut off: 2.7 is
	 * category 2. Negative numbers are in no set, but when `set_truncates` -0.5 is category 0, as LightGBM has it.
	 */
	const uint32_t *set;
	size_t set_words;
	bool set_truncates;
};

enum tree_aggregate { TREE_SUM, TREE_AVERAGE, TREE_MIN, TREE_MAX };

struct tree_config {
	size_t features;   /* columns of a row; 1 .. MODEL_FEATURES_MAX */
	size_t targets;    /* sums of a row; 1 .. TREE_TARGETS_MAX */
	bool double_input; /* rows are double, else float; thresholds compare exactly either way */
	bool double_sum;   /* sums and results are double, else float */
	enum tree_aggregate aggregate;
	const double *base;   /* a number for each target, or NULL for zeros; copied */
	bool base_first;      /* sums start from base; else base is added when all trees are (and the average taken) */
	bool plain;           /* for tests: keep to the reference form, node by node with thresholds as given */
	bool allow_unreached; /* nodes that no path reaches are skipped, not an error (XGBoost leaves pruned ones in
				 files) */
};

/* The config is not checked here but in finish (so that this cannot fail); do check what indexes your own arrays. */
struct tree_builder *tree_builder_new(const struct tree_config *config);
void tree_builder_free(struct tree_builder *b); /* NULL is allowed */

/* Starts a tree of `nodes` nodes, numbered from 0, with the root given. */
bool tree_builder_begin(struct tree_builder *b, size_t nodes, uint64_t root, struct error *err) MUST_CHECK;

/* Makes `node` an inner node. Each node is given once. A threshold that is NaN is an error. */
bool tree_builder_split(struct tree_builder *b, uint64_t node, const struct tree_split *split,
			struct error *err) MUST_CHECK;

/* Makes `node` a leaf that adds `value` to `target`; called again for the same leaf it adds another pair. */
bool tree_builder_leaf(struct tree_builder *b, uint64_t node, uint64_t target, double value,
		       struct error *err) MUST_CHECK;

/* Makes `node` a leaf that adds nothing. (A leaf of ONNX need not have weights.) */
bool tree_builder_empty_leaf(struct tree_builder *b, uint64_t node, struct error *err) MUST_CHECK;

/* Gives the leaf, already made with one pair, a linear function: constant + sum of coef[i] * x[feature[i]], which
 * replaces its value in rows where none of these features is NaN. In double, in the order given. Needs double_sum. */
bool tree_builder_linear(struct tree_builder *b, uint64_t node, double constant, size_t count, const uint64_t *feature,
			 const double *coef, struct error *err) MUST_CHECK;

/* Ends the tree: all nodes given, each reached once from the root, no deeper than MODEL_DEPTH_MAX. */
bool tree_builder_end(struct tree_builder *b, struct error *err) MUST_CHECK;

/* Compiles. The builder is spent, whatever comes back; it still has to be freed. NULL on failure. */
struct trees *tree_builder_finish(struct tree_builder *b, struct error *err) MUST_CHECK;

void trees_free(struct trees *t); /* NULL is allowed */

struct trees_facts {
	size_t trees, nodes, leaves, depth; /* of all; depth: edges of the longest path */
	size_t bytes;                       /* memory held */
};
void trees_describe(const struct trees *t, struct trees_facts *ret);

/*
 * Sums of `rows` rows. `x` is rows x features, row-major, float or double as configured; `out` is rows x targets, float
 * or double as configured. Scratch memory comes from the arena: 4 bytes a tree or some 128 bytes a feature, whatever
 * the number of rows. Fails only when the arena's limit is passed.
 */
bool trees_run(const struct trees *t, const void *x, size_t rows, void *out, struct arena *scratch,
	       struct error *err) MUST_CHECK;

/* For tests and comparisons: the same, by one way. False when this machine or ensemble cannot go it. */
enum trees_path {
	TREES_WALK,      /* several trees of a row at a time */
	TREES_SCAN,      /* many rows a tree, in vectors of the baseline */
	TREES_SCAN_AVX2, /* the same with AVX2 */
};
bool trees_run_path(const struct trees *t, enum trees_path path, const void *x, size_t rows, void *out,
		    struct arena *scratch, struct error *err) MUST_CHECK;

/* Measures one-row and many-row calls on synthetic rows (a millisecond or so): ns of a call with one row, ns of one
 * more row. */
void trees_measure(const struct trees *t, double *ret_ns_call, double *ret_ns_row);
