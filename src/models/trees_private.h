/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * trees_private - what the parts of the tree engine share: builder (trees_builder.c), compiler (trees_compile.c),
 * running (trees_run.c, with the vector kernels of trees_scan.inc).
 */
#include "models/trees.h"

/* ---- as built ---- */

#define TREE_NONE UINT32_MAX /* no index */

enum tree_node_kind { TREE_NODE_NEW, TREE_NODE_SPLIT, TREE_NODE_LEAF };

/* Indices are into the builder's arrays; children are nodes of all trees. */
struct tree_node {
	double threshold;
	uint32_t feature;
	uint32_t yes, no;
	uint32_t set_first, set_words;  /* TREE_SET: in `sets` */
	uint32_t pair_first, pair_last; /* leaf: a list in `pairs`, or TREE_NONE */
	uint32_t linear;                /* leaf: in `linears`, or TREE_NONE */
	uint8_t kind, mode, missing;
	bool missing_yes, set_truncates;
};

struct tree_pair {
	double value;
	uint32_t target, next;
};

struct tree_linear {
	double constant;
	uint32_t first, count; /* in `coefs` */
};

struct tree_coef {
	double value;
	uint32_t feature;
};

struct tree_root {
	uint32_t root, first, count; /* nodes of this tree: [first, first + count) */
	uint32_t depth, leaves;      /* of those reached */
};

#define TREE_VECTOR(type)                                                                                              \
	struct {                                                                                                       \
		type *at;                                                                                              \
		size_t count, cap;                                                                                     \
	}

struct tree_source {
	struct tree_config config;
	double *base; /* config.targets numbers, or NULL */
	TREE_VECTOR(struct tree_node) nodes;
	TREE_VECTOR(struct tree_pair) pairs;
	TREE_VECTOR(struct tree_linear) linears;
	TREE_VECTOR(struct tree_coef) coefs;
	TREE_VECTOR(uint32_t) sets;
	TREE_VECTOR(struct tree_root) roots;
};

void tree_source_done(struct tree_source *s);

/* ---- as compiled ---- */

#define TREE_BLOCK       128 /* rows that go through the trees together */
#define TREE_GROUP       8   /* trees walked, or summed, at a time */
#define TREE_SEGMENT     254 /* cuts a column of ranks can tell apart */
#define TREE_RANK_ABSENT 255 /* rank of the missing that go right; those that go left have 0 */
#define TREE_SCAN_LEAVES 256 /* most leaves of a tree whose leaf number fits a byte */
#define TREE_SEARCH      8   /* cuts compared at a time */
#define TREE_LEVELS_MAX  10

/*
 * A feature that nodes ask about. Its cuts are sorted; the rank of x is the number of cuts that are <= x. A node goes
 * left when the rank is at most k. The search is a tree of 8: level 0 is all cuts; each higher level has every 8th of
 * the level below, from the 8th on. Levels are padded with NaN to whole 8s, and 8 more. All slots have as many levels
 * as the largest needs.
 */
struct tree_slot {
	uint32_t feature;
	uint32_t cut_count;
	uint32_t level_first[TREE_LEVELS_MAX]; /* in `cuts` */
};

/*
 * A column holds one byte for each row: the rank of a slot's feature, less 254 for each segment before, between 0 and
 * 254; for the missing `absent` instead. Columns of segment 0 stand in planes, one column for each slot, so that a
 * row's bytes are made by vectors; column p * slots + s is of slot s. Further segments, of features with more cuts, are
 * extra columns behind.
 */
struct tree_extra {
	uint32_t slot;
	uint16_t segment;
	uint8_t absent;
	bool zero_is_missing;
};

/* One byte for each row: bit `rank` of `right`, of the rank in another column. */
struct tree_set_column {
	uint64_t right[4];
	uint32_t column;
};

/* Children are adjacent: a row goes to child + (rank > k). A leaf is its own child, with k 255. */
struct tree_walk_node {
	uint32_t child;
	uint16_t column;
	uint8_t k, unused;
};

/*
 * A small tree's walk has nodes of four bytes: k in the low 8 bits, 13 bits of column, 11 bits of how far behind the
 * left child stands; a row goes to at + step + (rank > k), in one addition with carry. After exactly the tree's depth
 * of steps it stands on a leaf, which is its number in the tables, or when sums are float and leaves one number, that
 * float's bits. Shorter paths are filled up with nodes that all go left.
 */
#define TREE_TINY_COLUMNS  8192
#define TREE_TINY_STEP_MAX 2047
#define TREE_TINY_LEAVES   256

/*
 * In preorder. A row's leaf number j starts at 0 and, at a node on its path, is the first leaf under it; going right
 * adds the number of leaves to the left. A node is on the path just when j is its first leaf: after every earlier node,
 * j is the first leaf of the subtree where the row's path leaves what was visited. Bytes are repeated four times for
 * cheap broadcasts.
 */
struct tree_scan_node {
	uint32_t at; /* first byte of the column in a block */
	uint32_t k, first, step;
};

enum tree_leaf_form {
	TREE_LEAF_SCALAR,  /* one number for the tree's target */
	TREE_LEAF_DENSE,   /* a number for each target */
	TREE_LEAF_GENERAL, /* a list of targets and numbers, perhaps a linear function */
};

struct trees {
	struct tree_source source; /* kept by plain ensembles; else only config, base, linears and coefs */
	struct trees_facts facts;
	float *base_float;

	bool is_plain;
	bool has_avx2;
	bool has_large; /* some tree has more leaves than a scan can tell apart */

	struct tree_slot *slots;
	size_t slot_count;
	uint32_t levels; /* of the search, at least 2 */
	/* By plane and slot. A plane's column that no node asks for is made by one row, left out by blocks. */
	size_t plane_count;
	uint8_t *plane_absent, *plane_zero, *plane_used; /* zero: 255 when zeros are missing */
	struct tree_extra *extras;
	size_t extra_count;
	size_t column_count; /* planes * slots + extras; those of sets follow */
	bool has_zero;       /* zeros are missing somewhere */
	struct tree_set_column *sets;
	size_t set_count;
	void *cuts; /* float or double, as the input */

	/* Trees in the order of summing: by target when leaves are scalar (within a target as given), else as given. */
	size_t tree_count;
	uint32_t *target_end; /* scalar: end of each target's run */
	uint32_t *leaf_first; /* tree_count + 1: leaves of each tree in the tables below, left to right */

	enum tree_leaf_form form;
	void *leaf_values;    /* scalar: a number a leaf; dense: targets numbers a leaf; float or double as the sum */
	uint32_t *pair_first; /* general: leaves + 1, in pairs */
	struct tree_pair *pairs;
	uint32_t *leaf_linear; /* general: leaf's linear function, or NULL when there are none */

	uint32_t *tiny;                   /* nodes of small trees */
	struct tree_walk_node *walk;      /* nodes of the others */
	uint32_t *walk_leaf;              /* leaf number (in the tables) of each leaf node of `walk` */
	uint32_t *tree_root, *tree_depth; /* by order of summing; the root is in `tiny` or `walk` */
	uint8_t *tree_is_tiny;
	/* The walk goes by groups: first those of small trees of one depth, then those of others. */
	uint32_t *walk_root; /* groups * TREE_GROUP */
	uint32_t
	    *walk_place; /* where the tree stands in the order of summing; tree_count for lanes that are left over */
	uint32_t *walk_depth;            /* of the group */
	size_t tiny_groups, walk_groups; /* walk_groups: all */

	struct tree_scan_node *scan;
	uint32_t *scan_first; /* tree_count + 1; empty for large trees */
};

/* What stands at the end of a walk: the leaf's number in the tables, or the bits of its float. */
static inline uint32_t tree_leaf_word(const struct trees *t, uint32_t leaf)
{
	uint32_t word = leaf;

	if (t->form == TREE_LEAF_SCALAR && !t->source.config.double_sum)
		memcpy(&word, (const float *)t->leaf_values + leaf, sizeof(word));
	return word;
}

/* Fills all but facts and is_plain from the source; false when the ensemble does not fit the compiled form. */
bool tree_compile(struct trees *t);

/* Whether x, not missing, takes the `yes` side of an EQ, NEQ or SET node. */
bool tree_in_set(const struct tree_source *s, const struct tree_node *n, double x);
