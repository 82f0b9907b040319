/* SPDX-License-Identifier: Apache-2.0 */
/* trees_compile - turns checked trees into ranks, and nodes into what the kernels walk. */
#include <math.h>
#include <stdlib.h>

#include "models/trees_private.h"

#define COLUMNS_MAX  65535 /* a column number fits the walk's node */
#define PLANES_MAX   5     /* ways to treat the missing: left, right, as zero; zeros too and left, right */
#define SEGMENTS_MAX 1024  /* more cuts than these hold are better bisected node by node */

/* A split, whatever its mode, as the compiled form has it: rows below the cut go left. */
struct shape {
	uint32_t left, right;
	bool missing_left;
	bool is_set;
	bool always_left; /* of those not missing */
	double cut;
};

struct compiler {
	struct trees *t;
	const struct tree_source *s;
	uint32_t *slot_of;  /* feature -> slot, or TREE_NONE */
	double **slot_cuts; /* sorted, without repeats */
	size_t *cut_cap;
	uint32_t *extra_of, *extra_next; /* lists of extra columns, by slot */
	uint32_t *order;                 /* trees in the order of summing */
	/* What one tree needs, by position in preorder. */
	uint32_t *pre, *left_at, *right_at, *leaves, *first, *stack;
};

/* ---- cuts ---- */

/* Least value of the input's type that is >= t, so that x < t just when x < it. */
static double cut_below(const struct tree_source *s, double t)
{
	float f = (float)t;

	if (s->config.double_input)
		return t;
	return (double)((double)f < t ? nextafterf(f, INFINITY) : f);
}

/* Least value that is > t, so that x <= t just when x < it. For t = infinity there is none: it gives NaN. */
static double cut_above(const struct tree_source *s, double t)
{
	float f = (float)t;

	if (t == INFINITY)
		return NAN;
	if (s->config.double_input)
		return nextafter(t, INFINITY);
	if ((double)f > t)
		f = nextafterf(f, -INFINITY);
	return (double)nextafterf(f, INFINITY);
}

static struct shape shape_of(const struct tree_source *s, const struct tree_node *n)
{
	struct shape p = { .left = n->yes, .right = n->no, .missing_left = n->missing_yes };

	switch ((enum tree_mode)n->mode) {
	case TREE_LT:
	case TREE_GTE:
		p.cut = cut_below(s, n->threshold);
		break;
	case TREE_LEQ:
	case TREE_GT:
		p.cut = cut_above(s, n->threshold);
		p.always_left = isnan(p.cut);
		break;
	case TREE_EQ:
	case TREE_NEQ:
	case TREE_SET:
		p.is_set = true;
		break;
	}
	if (n->mode == TREE_GT || n->mode == TREE_GTE) {
		p.left = n->no;
		p.right = n->yes;
		p.missing_left = !n->missing_yes;
	}
	return p;
}

static void slot_add_cut(struct compiler *c, uint32_t slot, double cut)
{
	struct tree_slot *s = &c->t->slots[slot];

	if (isnan(cut))
		return;
	if (s->cut_count == c->cut_cap[slot]) {
		c->cut_cap[slot] = c->cut_cap[slot] * 2 + 16;
		c->slot_cuts[slot] = base_realloc(c->slot_cuts[slot], c->cut_cap[slot] * sizeof(double));
	}
	c->slot_cuts[slot][s->cut_count++] = cut;
}

static bool set_has(const struct tree_source *s, const struct tree_node *n, uint64_t category)
{
	return category / 32 < n->set_words && (s->sets.at[n->set_first + category / 32] >> (category % 32) & 1);
}

/* Cuts where going up through the numbers changes what the set says. */
static void add_set_cuts(struct compiler *c, uint32_t slot, const struct tree_node *n)
{
	bool before = false;

	for (uint64_t category = 0; category <= (uint64_t)n->set_words * 32; category++) {
		bool now = set_has(c->s, n, category);

		if (now != before || (category == 0 && now))
			slot_add_cut(c, slot, category || !n->set_truncates ? (double)category : cut_above(c->s, -1));
		before = now;
	}
}

static void add_cuts(struct compiler *c, const struct tree_node *n)
{
	struct shape p = shape_of(c->s, n);
	uint32_t *slot = &c->slot_of[n->feature];

	if (*slot == TREE_NONE) {
		*slot = (uint32_t)c->t->slot_count++;
		c->t->slots[*slot].feature = n->feature;
	}
	if (n->mode == TREE_SET) {
		add_set_cuts(c, *slot, n);
	} else if (p.is_set) {
		slot_add_cut(c, *slot, cut_below(c->s, n->threshold));
		slot_add_cut(c, *slot, cut_above(c->s, n->threshold));
	} else {
		slot_add_cut(c, *slot, p.cut);
	}
}

static int compare_doubles(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static void sort_cuts(struct compiler *c)
{
	for (size_t i = 0; i < c->t->slot_count; i++) {
		struct tree_slot *slot = &c->t->slots[i];
		double *cuts = c->slot_cuts[i];
		uint32_t kept = 0;

		if (slot->cut_count)
			qsort(cuts, slot->cut_count, sizeof(*cuts), compare_doubles);
		for (uint32_t k = 0; k < slot->cut_count; k++) {
			if (kept == 0 || cuts[kept - 1] != cuts[k])
				cuts[kept++] = cuts[k];
		}
		slot->cut_count = kept;
	}
}

/* Number of cuts <= x. */
static uint32_t rank_of(const struct compiler *c, uint32_t slot, double x)
{
	const double *cuts = c->slot_cuts[slot];
	uint32_t low = 0, high = c->t->slots[slot].cut_count;

	while (low < high) {
		uint32_t middle = low + (high - low) / 2;

		if (cuts[middle] <= x)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static void put_cut(struct trees *t, size_t at, double value)
{
	if (t->source.config.double_input)
		((double *)t->cuts)[at] = value;
	else
		((float *)t->cuts)[at] = (float)value;
}

static size_t round_up(size_t n)
{
	return (n + TREE_SEARCH - 1) / TREE_SEARCH * TREE_SEARCH;
}

/* Numbers on a level: all cuts on level 0, cuts 8^level, 2 * 8^level, ... on a higher one. */
static size_t level_size(size_t cuts, size_t step)
{
	return step == 1 ? cuts : cuts ? (cuts - 1) / step : 0;
}

/* Lays out the search levels. Pads are never <= anything; a search may look at 8 of them behind a level's end. */
static void layout_cuts(struct compiler *c)
{
	struct trees *t = c->t;
	size_t total = 0, most = 0;

	for (size_t i = 0; i < t->slot_count; i++)
		most = MAX(most, (size_t)t->slots[i].cut_count);
	t->levels = 1;
	for (size_t step = 1; t->levels < 2 || level_size(most, step) > TREE_SEARCH; step *= TREE_SEARCH)
		t->levels++;
	for (size_t i = 0; i < t->slot_count; i++) {
		struct tree_slot *s = &t->slots[i];
		size_t step = 1;

		for (uint32_t level = 0; level < t->levels; level++, step *= TREE_SEARCH) {
			s->level_first[level] = (uint32_t)total;
			total += round_up(level_size(s->cut_count, step)) + TREE_SEARCH;
		}
	}
	t->cuts = base_alloc(MAX(total, (size_t)1) * (t->source.config.double_input ? sizeof(double) : sizeof(float)));
	for (size_t at = 0; at < total; at++)
		put_cut(t, at, NAN);
	for (size_t i = 0; i < t->slot_count; i++) {
		const struct tree_slot *s = &t->slots[i];
		size_t step = 1;

		for (uint32_t level = 0; level < t->levels; level++, step *= TREE_SEARCH) {
			size_t at = s->level_first[level];

			for (size_t k = level ? step : 0; k < s->cut_count; k += step)
				put_cut(t, at++, c->slot_cuts[i][k]);
		}
	}
	t->facts.bytes += total * 8 + t->slot_count * sizeof(*t->slots);
}

/* ---- columns ---- */

/* What makes a column, but for its slot. */
static struct tree_extra want_column(const struct compiler *c, uint32_t slot, uint32_t segment,
				     const struct tree_node *n, bool missing_left)
{
	struct tree_extra want = { .slot = slot,
				   .segment = (uint16_t)segment,
				   .absent = missing_left ? 0 : TREE_RANK_ABSENT,
				   .zero_is_missing = n->missing == TREE_MISSING_ZERO };

	if (n->missing == TREE_MISSING_AS_ZERO) {
		uint32_t zero = rank_of(c, slot, 0), before = segment * TREE_SEGMENT;

		want.absent = (uint8_t)(zero < before ? 0 : MIN(zero - before, (uint32_t)TREE_SEGMENT));
	}
	return want;
}

/* The plane with this treatment of the missing in the slot; one is taken when there is none yet. */
static uint32_t plane_column(struct compiler *c, const struct tree_extra *want)
{
	struct trees *t = c->t;
	uint8_t zero = want->zero_is_missing ? 255 : 0;

	for (size_t p = 0;; p++) {
		size_t at = p * t->slot_count + want->slot;

		ASSERT(p < PLANES_MAX);
		if (!t->plane_used[at]) {
			t->plane_used[at] = 1;
			t->plane_absent[at] = want->absent;
			t->plane_zero[at] = zero;
			t->plane_count = MAX(t->plane_count, p + 1);
			t->has_zero |= zero != 0;
			return (uint32_t)at;
		}
		if (t->plane_absent[at] == want->absent && t->plane_zero[at] == zero)
			return (uint32_t)at;
	}
}

/* Extra columns are numbered from 0 here; those of one slot are linked, the newest first. */
static bool extra_column(struct compiler *c, const struct tree_extra *want, uint32_t *ret)
{
	struct trees *t = c->t;

	for (uint32_t i = c->extra_of[want->slot]; i != TREE_NONE; i = c->extra_next[i]) {
		const struct tree_extra *have = &t->extras[i];

		if (have->segment == want->segment && have->absent == want->absent &&
		    have->zero_is_missing == want->zero_is_missing) {
			*ret = i;
			return true;
		}
	}
	if (t->extra_count == COLUMNS_MAX)
		return false;
	*ret = (uint32_t)t->extra_count++;
	t->extras[*ret] = *want;
	t->has_zero |= want->zero_is_missing;
	c->extra_next[*ret] = c->extra_of[want->slot];
	c->extra_of[want->slot] = *ret;
	return true;
}

/* The number of a node's column; only once the first pass has made all planes are the numbers of extra ones final. */
static bool column_of(struct compiler *c, uint32_t slot, uint32_t segment, const struct tree_node *n, bool missing_left,
		      uint32_t *ret)
{
	struct tree_extra want = want_column(c, slot, segment, n, missing_left);
	uint32_t extra;

	if (segment == 0) {
		*ret = plane_column(c, &want);
		return true;
	}
	if (segment > SEGMENTS_MAX || !extra_column(c, &want, &extra))
		return false;
	*ret = (uint32_t)(c->t->plane_count * c->t->slot_count) + extra;
	return true;
}

/* Where a split's row looks: column and k. For sets, the column its ranks come from. */
static bool place_of(struct compiler *c, const struct tree_node *n, const struct shape *p, uint32_t *ret_column,
		     uint8_t *ret_k)
{
	uint32_t slot = c->slot_of[n->feature], cut;

	if (p->is_set) {
		*ret_k = 0;
		return c->t->slots[slot].cut_count <= TREE_SEGMENT && column_of(c, slot, 0, n, false, ret_column);
	}
	if (p->always_left) {
		*ret_k = TREE_SEGMENT;
		return column_of(c, slot, 0, n, p->missing_left, ret_column);
	}
	cut = rank_of(c, slot, p->cut) - 1;
	*ret_k = (uint8_t)(cut % TREE_SEGMENT);
	return column_of(c, slot, cut / TREE_SEGMENT, n, p->missing_left, ret_column);
}

/* ---- sets ---- */

bool tree_in_set(const struct tree_source *s, const struct tree_node *n, double x)
{
	switch ((enum tree_mode)n->mode) {
	case TREE_EQ:
		return x == n->threshold;
	case TREE_NEQ:
		return x != n->threshold;
	default:
		if (!(n->set_truncates ? x > -1 : x >= 0) || x >= 4294967296.0)
			return false;
		return set_has(s, n, (uint64_t)MAX(x, 0));
	}
}

/* All x of one rank are in the set or none is; the least of them, a cut, stands for them. Below all cuts nothing is in
 * a set of categories or equal to a threshold. */
static struct tree_set_column set_column(const struct compiler *c, const struct tree_node *n, uint32_t column)
{
	uint32_t slot = c->slot_of[n->feature];
	struct tree_set_column set = { .column = column };

	for (uint32_t rank = 0; rank <= c->t->slots[slot].cut_count; rank++) {
		bool yes = rank ? tree_in_set(c->s, n, c->slot_cuts[slot][rank - 1]) : n->mode == TREE_NEQ;

		if (!yes)
			set.right[rank / 64] |= (uint64_t)1 << (rank % 64);
	}
	if (n->missing != TREE_MISSING_AS_ZERO && !n->missing_yes)
		set.right[TREE_RANK_ABSENT / 64] |= (uint64_t)1 << (TREE_RANK_ABSENT % 64);
	return set;
}

/* ---- trees ---- */

static bool is_split(const struct compiler *c, uint32_t node)
{
	return c->s->nodes.at[node].kind == TREE_NODE_SPLIT;
}

/* Preorder of one tree, left before right; positions of children; leaves under each and the number of the first. */
static size_t order_tree(struct compiler *c, const struct tree_root *root)
{
	size_t count = 0, stacked = 0;

	c->stack[stacked++] = root->root;
	c->stack[stacked++] = TREE_NONE; /* whose right child this is */
	while (stacked) {
		uint32_t parent = c->stack[--stacked], node = c->stack[--stacked];
		uint32_t at = (uint32_t)count++;

		c->pre[at] = node;
		if (parent != TREE_NONE)
			c->right_at[parent] = at;
		if (is_split(c, node)) {
			struct shape p = shape_of(c->s, &c->s->nodes.at[node]);

			c->left_at[at] = at + 1;
			c->stack[stacked++] = p.right;
			c->stack[stacked++] = at;
			c->stack[stacked++] = p.left;
			c->stack[stacked++] = TREE_NONE;
		}
	}
	for (size_t at = count; at-- > 0;)
		c->leaves[at] = is_split(c, c->pre[at]) ? c->leaves[c->left_at[at]] + c->leaves[c->right_at[at]] : 1;
	c->first[0] = 0;
	for (size_t at = 0; at < count; at++) {
		if (is_split(c, c->pre[at])) {
			c->first[c->left_at[at]] = c->first[at];
			c->first[c->right_at[at]] = c->first[at] + c->leaves[c->left_at[at]];
		}
	}
	return count;
}

static void leaf_put(struct trees *t, size_t at, double value)
{
	if (t->source.config.double_sum)
		((double *)t->leaf_values)[at] = value;
	else
		((float *)t->leaf_values)[at] = (float)value;
}

static void compile_leaf(struct compiler *c, const struct tree_node *n, size_t leaf, size_t *pair_count)
{
	struct trees *t = c->t;
	size_t targets = t->source.config.targets, k = 0;

	if (t->form == TREE_LEAF_GENERAL) {
		t->pair_first[leaf] = (uint32_t)*pair_count;
		if (t->leaf_linear)
			t->leaf_linear[leaf] = n->linear;
	}
	for (uint32_t i = n->pair_first; i != TREE_NONE; i = c->s->pairs.at[i].next) {
		if (t->form == TREE_LEAF_SCALAR)
			leaf_put(t, leaf, c->s->pairs.at[i].value);
		else if (t->form == TREE_LEAF_DENSE)
			leaf_put(t, leaf * targets + k++, c->s->pairs.at[i].value);
		else
			t->pairs[(*pair_count)++] = c->s->pairs.at[i];
	}
}

/* The scan's nodes of an ordered tree, and its leaves. Columns are known from here on. */
struct progress {
	size_t set, scan, walk, tiny, pair;
	uint32_t *set_at; /* by node: its set's column */
};

static bool node_place(struct compiler *c, struct progress *g, uint32_t node, const struct shape *p,
		       uint32_t *ret_column, uint8_t *ret_k)
{
	const struct tree_node *n = &c->s->nodes.at[node];

	if (!place_of(c, n, p, ret_column, ret_k))
		return false;
	if (p->is_set) {
		ASSERT(g->set_at); /* a tree with sets is not tiny */
		/* the walk and the scan come by here, each once */
		if (g->set_at[node] == TREE_NONE) {
			g->set_at[node] = (uint32_t)(c->t->column_count + g->set);
			c->t->sets[g->set++] = set_column(c, n, *ret_column);
		}
		*ret_column = g->set_at[node];
	}
	return true;
}

static void compile_scan(struct compiler *c, struct progress *g, size_t count)
{
	for (size_t at = 0; at < count; at++) {
		struct tree_scan_node *to = &c->t->scan[g->scan];
		struct shape p;
		uint32_t column;
		uint8_t k;

		if (!is_split(c, c->pre[at]))
			continue;
		p = shape_of(c->s, &c->s->nodes.at[c->pre[at]]);
		ASSERT(node_place(c, g, c->pre[at], &p, &column, &k));
		to->at = column * TREE_BLOCK;
		to->k = (uint32_t)(k ^ 0x80) * 0x01010101u; /* compared as signed bytes */
		to->first = c->first[at] * 0x01010101u;
		to->step = c->leaves[c->left_at[at]] * 0x01010101u;
		g->scan++;
	}
}

/* Breadth first, so that the levels every row passes lie together; children side by side. */
static void compile_walk(struct compiler *c, struct progress *g, size_t tree, size_t count)
{
	struct trees *t = c->t;
	uint32_t base = (uint32_t)g->walk, next = base + 1;
	uint32_t *queue = c->stack; /* positions in preorder */

	queue[0] = 0;
	t->tree_root[tree] = base;
	for (uint32_t i = 0; i < count; i++) {
		uint32_t at = queue[i], node = c->pre[at], here = base + i;
		struct tree_walk_node *to = &t->walk[here];

		if (is_split(c, node)) {
			struct shape p = shape_of(c->s, &c->s->nodes.at[node]);
			uint32_t column;

			ASSERT(node_place(c, g, node, &p, &column, &to->k));
			to->column = (uint16_t)column;
			to->child = next;
			queue[next - base] = c->left_at[at];
			queue[next + 1 - base] = c->right_at[at];
			next += 2;
			continue;
		}
		*to = (struct tree_walk_node){ .child = here, .k = 255 };
		t->walk_leaf[here] = t->leaf_first[tree] + c->first[at];
	}
	g->walk += count;
}

/*
 * The same in four bytes a node. `list` (of TREE_TINY_STEP_MAX) gets the positions in preorder, breadth first, level by
 * level; a leaf above the last level comes again on the next one, as its own only child. False when there are too many
 * for a step.
 */
static size_t list_tiny(const struct compiler *c, uint32_t depth, uint32_t *list)
{
	size_t first = 0, count = 1;

	list[0] = 0;
	for (uint32_t level = 0; level < depth; level++) {
		size_t end = count;

		for (size_t i = first; i < end; i++) {
			uint32_t at = list[i];

			if (count + 2 > TREE_TINY_STEP_MAX)
				return 0;
			if (is_split(c, c->pre[at])) {
				list[count++] = c->left_at[at];
				list[count++] = c->right_at[at];
			} else {
				list[count++] = at;
			}
		}
		first = end;
	}
	return count;
}

static void compile_tiny(struct compiler *c, struct progress *g, size_t tree, const uint32_t *list, size_t count)
{
	struct trees *t = c->t;
	uint32_t *to = t->tiny + g->tiny;
	size_t next = 1;

	t->tree_root[tree] = (uint32_t)g->tiny;
	for (size_t i = 0; i < count; i++) {
		uint32_t node = c->pre[list[i]], column = 0;
		uint8_t k = 255; /* goes left, whatever the rank */

		if (next == count) { /* the last level: leaves only */
			to[i] = tree_leaf_word(t, t->leaf_first[tree] + c->first[list[i]]);
			continue;
		}
		if (is_split(c, node)) {
			struct shape p = shape_of(c->s, &c->s->nodes.at[node]);

			ASSERT(node_place(c, g, node, &p, &column, &k));
		}
		to[i] = k | column << 8 | (uint32_t)(next - i) << 21;
		next += is_split(c, node) ? 2 : 1;
	}
	g->tiny += count;
}

static uint32_t tree_target(const struct compiler *c, const struct tree_root *root)
{
	uint32_t node = root->root;

	while (is_split(c, node))
		node = c->s->nodes.at[node].yes;
	return c->s->pairs.at[c->s->nodes.at[node].pair_first].target;
}

/* The plainest form all reached leaves fit. */
static enum tree_leaf_form leaf_form(struct compiler *c)
{
	const struct tree_source *s = c->s;
	bool scalar = true, dense = true;

	for (size_t i = 0; i < s->roots.count; i++) {
		size_t count = order_tree(c, &s->roots.at[i]);
		uint32_t target = TREE_NONE;

		for (size_t at = 0; at < count; at++) {
			const struct tree_node *n = &s->nodes.at[c->pre[at]];
			size_t pairs = 0;

			if (n->kind == TREE_NODE_SPLIT)
				continue;
			if (n->linear != TREE_NONE)
				return TREE_LEAF_GENERAL;
			for (uint32_t p = n->pair_first; p != TREE_NONE; p = s->pairs.at[p].next)
				dense &= s->pairs.at[p].target == pairs++;
			dense &= pairs == s->config.targets;
			scalar &= pairs == 1;
			if (pairs && target == TREE_NONE)
				target = s->pairs.at[n->pair_first].target;
			scalar &= pairs && s->pairs.at[n->pair_first].target == target;
		}
	}
	return scalar ? TREE_LEAF_SCALAR : dense ? TREE_LEAF_DENSE : TREE_LEAF_GENERAL;
}

static void order_trees(struct compiler *c)
{
	struct trees *t = c->t;
	size_t targets = t->source.config.targets, at = 0;
	uint32_t *next;

	if (t->form != TREE_LEAF_SCALAR) {
		for (size_t i = 0; i < t->tree_count; i++)
			c->order[i] = (uint32_t)i;
		return;
	}
	t->target_end = base_calloc(targets + 1, sizeof(*t->target_end));
	next = t->target_end;
	for (size_t i = 0; i < t->tree_count; i++)
		next[tree_target(c, &c->s->roots.at[i])]++;
	for (size_t k = 0; k < targets; k++) {
		uint32_t run = next[k];

		next[k] = (uint32_t)at;
		at += run;
	}
	for (size_t i = 0; i < t->tree_count; i++)
		c->order[next[tree_target(c, &c->s->roots.at[i])]++] = (uint32_t)i;
}

struct depth_place {
	uint32_t depth, place;
	bool is_tiny;
};

static int compare_depths(const void *a, const void *b)
{
	const struct depth_place *x = a, *y = b;

	if (x->is_tiny != y->is_tiny)
		return x->is_tiny ? -1 : 1;
	if (x->depth != y->depth)
		return x->depth < y->depth ? -1 : 1;
	return (x->place > y->place) - (x->place < y->place);
}

/* Whether a tree may stand in the group whose first one is given: steps past a leaf would read it as a node. */
static bool groups_with(const struct depth_place *first, const struct depth_place *tree)
{
	return first->is_tiny == tree->is_tiny && (!tree->is_tiny || first->depth == tree->depth);
}

/* Groups for the walk. What is left of a group is filled up with its first tree again; its place is one behind the
 * last. */
static void group_trees(struct trees *t)
{
	struct depth_place *sorted = base_alloc(MAX(t->tree_count, (size_t)1) * sizeof(*sorted));
	size_t most = t->tree_count, lane = TREE_GROUP;
	const struct depth_place *first = NULL;

	for (size_t i = 0; i < t->tree_count; i++)
		sorted[i] = (struct depth_place){ t->tree_depth[i], (uint32_t)i, t->tree_is_tiny[i] };
	qsort(sorted, t->tree_count, sizeof(*sorted), compare_depths);
	t->walk_root = base_calloc(most * TREE_GROUP, sizeof(*t->walk_root));
	t->walk_place = base_calloc(most * TREE_GROUP, sizeof(*t->walk_place));
	t->walk_depth = base_calloc(most, sizeof(*t->walk_depth));
	for (size_t i = 0; i < t->tree_count; i++) {
		size_t at;

		if (lane == TREE_GROUP || !groups_with(first, &sorted[i])) {
			first = &sorted[i];
			lane = 0;
			at = t->walk_groups++ * TREE_GROUP;
			t->tiny_groups += first->is_tiny;
			for (size_t k = 0; k < TREE_GROUP; k++) {
				t->walk_root[at + k] = t->tree_root[first->place];
				t->walk_place[at + k] = (uint32_t)t->tree_count;
			}
		}
		at = (t->walk_groups - 1) * TREE_GROUP + lane++;
		t->walk_root[at] = t->tree_root[sorted[i].place];
		t->walk_place[at] = sorted[i].place;
		t->walk_depth[t->walk_groups - 1] = sorted[i].depth;
	}
	t->walk_root = base_realloc(t->walk_root, t->walk_groups * TREE_GROUP * sizeof(*t->walk_root));
	t->walk_place = base_realloc(t->walk_place, t->walk_groups * TREE_GROUP * sizeof(*t->walk_place));
	t->walk_depth = base_realloc(t->walk_depth, t->walk_groups * sizeof(*t->walk_depth));
	t->facts.bytes += t->walk_groups * TREE_GROUP * 8;
	free(sorted);
}

/* First pass over all nodes: cuts, sets, counts. */
static void collect(struct compiler *c, size_t *ret_sets)
{
	size_t sets = 0;

	for (size_t i = 0; i < c->s->roots.count; i++) {
		size_t count = order_tree(c, &c->s->roots.at[i]);

		for (size_t at = 0; at < count; at++) {
			const struct tree_node *n = &c->s->nodes.at[c->pre[at]];

			if (n->kind != TREE_NODE_SPLIT)
				continue;
			add_cuts(c, n);
			sets += n->mode == TREE_SET || n->mode == TREE_EQ || n->mode == TREE_NEQ;
		}
	}
	*ret_sets = sets;
}

static int compare_extras(const void *a, const void *b)
{
	const struct tree_extra *x = a, *y = b;

	if (x->slot != y->slot)
		return x->slot < y->slot ? -1 : 1;
	if (x->segment != y->segment)
		return x->segment < y->segment ? -1 : 1;
	return x->absent != y->absent ? x->absent - y->absent : x->zero_is_missing - y->zero_is_missing;
}

/* By slot, as blocks are ranked. */
static void sort_extras(struct compiler *c)
{
	struct trees *t = c->t;

	qsort(t->extras, t->extra_count, sizeof(*t->extras), compare_extras);
	memset(c->extra_of, 0xff, t->slot_count * sizeof(*c->extra_of));
	for (uint32_t i = 0; i < t->extra_count; i++) {
		c->extra_next[i] = c->extra_of[t->extras[i].slot];
		c->extra_of[t->extras[i].slot] = i;
	}
}

/* Second pass: makes all columns, so that their numbers stand. */
static bool make_columns(struct compiler *c)
{
	struct trees *t = c->t;
	size_t planes = MAX(t->slot_count, (size_t)1) * PLANES_MAX;

	if (t->slot_count * PLANES_MAX > COLUMNS_MAX)
		return false;
	t->plane_absent = base_calloc(planes, 1);
	t->plane_zero = base_calloc(planes, 1);
	t->plane_used = base_calloc(planes, 1);
	t->extras = base_alloc(COLUMNS_MAX * sizeof(*t->extras));
	c->extra_next = base_alloc(COLUMNS_MAX * sizeof(*c->extra_next));
	c->extra_of = base_alloc(planes * sizeof(*c->extra_of));
	memset(c->extra_of, 0xff, planes * sizeof(*c->extra_of));
	for (size_t i = 0; i < c->s->roots.count; i++) {
		size_t count = order_tree(c, &c->s->roots.at[i]);

		for (size_t at = 0; at < count; at++) {
			const struct tree_node *n = &c->s->nodes.at[c->pre[at]];
			struct shape p;
			uint32_t column;
			uint8_t k;

			if (n->kind != TREE_NODE_SPLIT)
				continue;
			p = shape_of(c->s, n);
			if (!place_of(c, n, &p, &column, &k))
				return false;
		}
	}
	sort_extras(c);
	t->extras = base_realloc(t->extras, MAX(t->extra_count, (size_t)1) * sizeof(*t->extras));
	t->column_count = t->plane_count * t->slot_count + t->extra_count;
	return true;
}

static void array(struct trees *t, void *pointer_to_pointer, size_t count, size_t size)
{
	void **to = pointer_to_pointer;

	*to = base_calloc(MAX(count, (size_t)1), size);
	t->facts.bytes += count * size;
}

static void allocate(struct compiler *c)
{
	struct trees *t = c->t;
	size_t number = t->source.config.double_sum ? sizeof(double) : sizeof(float);
	size_t leaves = t->facts.leaves, scan = 0;

	array(t, &t->leaf_first, t->tree_count + 1, sizeof(*t->leaf_first));
	array(t, &t->scan_first, t->tree_count + 1, sizeof(*t->scan_first));
	array(t, &t->tree_root, t->tree_count + 1, sizeof(*t->tree_root));
	array(t, &t->tree_depth, t->tree_count + 1, sizeof(*t->tree_depth));
	for (size_t i = 0; i < t->tree_count; i++) {
		const struct tree_root *r = &c->s->roots.at[c->order[i]];
		bool is_large = r->leaves > TREE_SCAN_LEAVES;

		t->has_large |= is_large;
		t->scan_first[i] = (uint32_t)scan;
		scan += is_large ? 0 : r->leaves - 1;
		t->leaf_first[i + 1] = t->leaf_first[i] + r->leaves;
		t->tree_depth[i] = r->depth;
	}
	t->scan_first[t->tree_count] = (uint32_t)scan;
	array(t, &t->scan, scan, sizeof(*t->scan));
	if (t->form == TREE_LEAF_GENERAL) {
		array(t, &t->pair_first, leaves + 1, sizeof(*t->pair_first));
		array(t, &t->pairs, c->s->pairs.count, sizeof(*t->pairs));
		if (c->s->linears.count)
			array(t, &t->leaf_linear, leaves, sizeof(*t->leaf_linear));
	} else {
		size_t each = t->form == TREE_LEAF_DENSE ? t->source.config.targets : 1;

		array(t, &t->leaf_values, leaves * each, number);
	}
}

/* Which trees are small enough for four bytes a node, without many nodes to fill short paths up; room for all. */
static void allocate_walk(struct compiler *c, size_t sets)
{
	struct trees *t = c->t;
	uint32_t list[TREE_TINY_STEP_MAX];
	size_t tiny = 0, walk = 0;

	array(t, &t->tree_is_tiny, t->tree_count, sizeof(*t->tree_is_tiny));
	for (size_t i = 0; i < t->tree_count; i++) {
		const struct tree_root *r = &c->s->roots.at[c->order[i]];
		size_t nodes = 2 * (size_t)r->leaves - 1, listed = 0;

		if (r->leaves <= TREE_TINY_LEAVES && t->column_count + sets <= TREE_TINY_COLUMNS) {
			order_tree(c, r);
			listed = list_tiny(c, r->depth, list);
		}
		t->tree_is_tiny[i] = listed && listed <= 2 * nodes + TREE_GROUP;
		tiny += t->tree_is_tiny[i] ? listed : 0;
		walk += t->tree_is_tiny[i] ? 0 : nodes;
	}
	array(t, &t->tiny, tiny, sizeof(*t->tiny));
	array(t, &t->walk, walk, sizeof(*t->walk));
	array(t, &t->walk_leaf, walk, sizeof(*t->walk_leaf));
}

static void compile_trees(struct compiler *c, size_t sets)
{
	struct trees *t = c->t;
	struct progress g = { 0 };
	uint32_t list[TREE_TINY_STEP_MAX];

	if (sets) {
		array(t, &t->sets, sets, sizeof(*t->sets));
		g.set_at = base_alloc(c->s->nodes.count * sizeof(*g.set_at));
		memset(g.set_at, 0xff, c->s->nodes.count * sizeof(*g.set_at));
	}
	for (size_t i = 0; i < t->tree_count; i++) {
		const struct tree_root *r = &c->s->roots.at[c->order[i]];
		size_t count = order_tree(c, r);

		for (size_t at = 0; at < count; at++) {
			if (!is_split(c, c->pre[at]))
				compile_leaf(c, &c->s->nodes.at[c->pre[at]], t->leaf_first[i] + c->first[at], &g.pair);
		}
		if (r->leaves <= TREE_SCAN_LEAVES)
			compile_scan(c, &g, count);
		if (t->tree_is_tiny[i])
			compile_tiny(c, &g, i, list, list_tiny(c, r->depth, list));
		else
			compile_walk(c, &g, i, count);
	}
	if (t->pair_first)
		t->pair_first[t->facts.leaves] = (uint32_t)g.pair;
	t->set_count = g.set;
	free(g.set_at);
}

static void compiler_init(struct compiler *c, struct trees *t)
{
	size_t features = t->source.config.features, largest = 1;

	c->t = t;
	c->s = &t->source;
	for (size_t i = 0; i < t->tree_count; i++)
		largest = MAX(largest, c->s->roots.at[i].count);
	c->slot_of = base_alloc(features * sizeof(*c->slot_of));
	memset(c->slot_of, 0xff, features * sizeof(*c->slot_of));
	t->slots = base_calloc(MIN(features, c->s->nodes.count) + 1, sizeof(*t->slots));
	c->slot_cuts = base_calloc(MIN(features, c->s->nodes.count) + 1, sizeof(*c->slot_cuts));
	c->cut_cap = base_calloc(MIN(features, c->s->nodes.count) + 1, sizeof(*c->cut_cap));
	c->order = base_alloc((t->tree_count + 1) * sizeof(*c->order));
	c->pre = base_alloc(largest * sizeof(*c->pre));
	c->left_at = base_alloc(largest * sizeof(*c->left_at));
	c->right_at = base_alloc(largest * sizeof(*c->right_at));
	c->leaves = base_alloc(largest * sizeof(*c->leaves));
	c->first = base_alloc(largest * sizeof(*c->first));
	c->stack = base_alloc((2 * largest + 4) * sizeof(*c->stack));
}

static void compiler_done(struct compiler *c)
{
	for (size_t i = 0; i < c->t->slot_count; i++)
		free(c->slot_cuts[i]);
	free(c->slot_of);
	free(c->slot_cuts);
	free(c->cut_cap);
	free(c->order);
	free(c->extra_of);
	free(c->extra_next);
	free(c->pre);
	free(c->left_at);
	free(c->right_at);
	free(c->leaves);
	free(c->first);
	free(c->stack);
}

/* What the compiled form needs no more. */
static void drop_source(struct tree_source *s)
{
	free(s->nodes.at);
	free(s->pairs.at);
	free(s->sets.at);
	free(s->roots.at);
	s->nodes.at = NULL;
	s->pairs.at = NULL;
	s->sets.at = NULL;
	s->roots.at = NULL;
	s->nodes.count = s->pairs.count = s->sets.count = s->roots.count = 0;
}

bool tree_compile(struct trees *t)
{
	struct compiler c = { 0 };
	size_t sets = 0;
	bool fits;

	if (t->source.config.aggregate == TREE_MIN || t->source.config.aggregate == TREE_MAX)
		return false;
	compiler_init(&c, t);
	collect(&c, &sets);
	sort_cuts(&c);
	fits = make_columns(&c) && t->column_count + sets <= COLUMNS_MAX;
	if (fits) {
		layout_cuts(&c);
		t->form = leaf_form(&c);
		order_trees(&c);
		allocate(&c);
		allocate_walk(&c, sets);
		compile_trees(&c, sets);
		if (t->tree_count)
			group_trees(t);
		t->facts.bytes += t->column_count * 3 + t->set_count * sizeof(*t->sets);
		t->has_avx2 = false;
#if defined(__x86_64__)
		t->has_avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("popcnt") &&
			      __builtin_cpu_supports("bmi") && __builtin_cpu_supports("bmi2");
#endif
	}
	compiler_done(&c);
	if (fits)
		drop_source(&t->source);
	return fits;
}
