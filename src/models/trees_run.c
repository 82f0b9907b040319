/* SPDX-License-Identifier: Apache-2.0 */
/* trees_run - rows through compiled trees: ranks, then leaves, then sums. */
#include <math.h>
#include <stdlib.h>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include "base/clock.h"
#include "models/trees_private.h"

/* From so many rows on they go through a tree together (measured: 32 rows scan a tree in the time 3 to 8 walk it). */
#define SCAN_ROWS 8

/* Cache lines fetched ahead of a walk: four levels in the first, most of the fifth in the second (measured: 2 of 0 to
 * 4). */
#define PREFETCH_LINES 2

/* Scratch of a one-row call that fits the stack; larger ensembles take it from the arena. */
#define STACK_RANKS 4096
#define STACK_TREES 2048
#define STACK_SLOTS 512

/* ---- leaf numbers of many rows ---- */

#define SCAN_NAME  base
#define SCAN_WIDTH 16
#define SCAN_TARGET
#include "models/trees_scan.inc"
#undef SCAN_NAME
#undef SCAN_WIDTH
#undef SCAN_TARGET

#if defined(__x86_64__)
#define AVX2        __attribute__((target("avx2,popcnt,bmi,bmi2")))
#define SCAN_NAME   avx2
#define SCAN_WIDTH  32
#define SCAN_TARGET AVX2
#include "models/trees_scan.inc"
#undef SCAN_NAME
#undef SCAN_WIDTH
#undef SCAN_TARGET
#endif

typedef void scan_function(const struct tree_scan_node *nodes, size_t count, const uint8_t *ranks, size_t rows,
			   uint8_t *leaf);

/* ---- ranks ---- */

/* LightGBM's bound for "zero": its constant is a float that is compared as a double. */
#define ZERO_BOUND ((double)1e-35f)

/* Rows ranked together: their values and bytes stay in the first cache while features are gone through. */
#define RANK_ROWS 32

/* One row's slots between the two steps of ranking. */
struct tree_row_ranks {
	uint32_t *rank;  /* only filled when there are extra columns */
	uint8_t *low;    /* rank, at most 254 */
	uint8_t *absent; /* 255 for NaN */
	uint8_t *zero;   /* 255 for zeros; only filled when they matter */
};

static inline double number_at(const struct trees *t, const void *x, size_t i)
{
	return t->source.config.double_input ? ((const double *)x)[i] : (double)((const float *)x)[i];
}

static inline uint8_t set_byte(const struct tree_set_column *set, uint8_t rank)
{
	return set->right[rank / 64] >> (rank % 64) & 1;
}

static inline uint8_t extra_byte(const struct tree_extra *e, uint32_t rank, bool missing)
{
	uint32_t before = (uint32_t)e->segment * TREE_SEGMENT;
	uint32_t here = rank < before ? 0 : MIN(rank - before, (uint32_t)TREE_SEGMENT);

	return (uint8_t)(missing ? e->absent : here);
}

#if defined(__x86_64__)
/* How many of 8 cuts are <= x. */
AVX2 static inline uint32_t count8_avx2_float(const float *cuts, float x)
{
	__m256 all = _mm256_cmp_ps(_mm256_set1_ps(x), _mm256_loadu_ps(cuts), _CMP_GE_OQ);

	return (uint32_t)_mm_popcnt_u32((uint32_t)_mm256_movemask_ps(all));
}

AVX2 static inline uint32_t count8_avx2_double(const double *cuts, double x)
{
	__m256d v = _mm256_set1_pd(x);
	__m256i low = _mm256_castpd_si256(_mm256_cmp_pd(v, _mm256_loadu_pd(cuts), _CMP_GE_OQ));
	__m256i high = _mm256_castpd_si256(_mm256_cmp_pd(v, _mm256_loadu_pd(cuts + 4), _CMP_GE_OQ));
	__m256 all = _mm256_castsi256_ps(_mm256_packs_epi32(low, high));

	return (uint32_t)_mm_popcnt_u32((uint32_t)_mm256_movemask_ps(all));
}

/* 255 for NaN. */
AVX2 static inline uint8_t nan_avx2_float(float x)
{
	__m256 v = _mm256_set1_ps(x);

	return (uint8_t)_mm256_movemask_ps(_mm256_cmp_ps(v, v, _CMP_UNORD_Q));
}

AVX2 static inline uint8_t nan_avx2_double(double x)
{
	__m256d v = _mm256_set1_pd(x);

	return (uint8_t)_mm256_movemask_ps(_mm256_castpd_ps(_mm256_cmp_pd(v, v, _CMP_UNORD_Q)));
}
#endif

#define RANK_NAME base_float
#define RANK_TYPE float
#define RANK_TARGET
#include "models/trees_rank.inc"

#define RANK_NAME base_double
#define RANK_TYPE double
#define RANK_TARGET
#include "models/trees_rank.inc"

#if defined(__x86_64__)
#define RANK_NAME   avx2_float
#define RANK_TYPE   float
#define RANK_TARGET AVX2
#define RANK_COUNT8 count8_avx2_float
#define RANK_NAN    nan_avx2_float
#include "models/trees_rank.inc"

#define RANK_NAME   avx2_double
#define RANK_TYPE   double
#define RANK_TARGET AVX2
#define RANK_COUNT8 count8_avx2_double
#define RANK_NAN    nan_avx2_double
#include "models/trees_rank.inc"
#endif

/* ---- walking ---- */

#define WALK_NAME base
#define WALK_TARGET
#include "models/trees_walk.inc"
#if defined(__x86_64__)
#define WALK_NAME   avx2
#define WALK_TARGET AVX2
#define WALK_BEXTR  __builtin_ia32_bextr_u32
#include "models/trees_walk.inc"
#endif

/* Leaf numbers of one large tree for a block of rows. */
static void walk_block(const struct trees *t, size_t tree, const uint8_t *ranks, size_t rows, uint32_t *leaf)
{
	const struct tree_walk_node *nodes = t->walk;
	uint32_t at[TREE_GROUP];

	for (size_t row = 0; row < rows; row += TREE_GROUP) {
		size_t lanes = MIN(rows - row, (size_t)TREE_GROUP);
		uint32_t moved = 1;

		for (size_t i = 0; i < TREE_GROUP; i++)
			at[i] = t->tree_root[tree];
		for (uint32_t depth = t->tree_depth[tree]; depth > 0 && moved; depth--) {
			moved = 0;
			for (size_t i = 0; i < TREE_GROUP; i++) {
				const struct tree_walk_node *n = &nodes[at[i]];
				uint8_t rank = ranks[(size_t)n->column * TREE_BLOCK + row + i] ^ 0x80;
				uint32_t next = n->child + (n->k < rank);

				moved |= next ^ at[i];
				at[i] = next;
			}
		}
		for (size_t i = 0; i < lanes; i++)
			leaf[row + i] = t->walk_leaf[at[i]];
	}
}

/* What a run needs to know of the machine and the input's type. */
struct kernels {
	scan_function *scan;
	void (*row)(const struct trees *t, const void *x, struct tree_row_ranks *r, uint8_t *ranks);
	void (*block)(const struct trees *t, const void *x, size_t rows, uint8_t *ranks);
	void (*walk)(const struct trees *t, const uint8_t *ranks, uint32_t *leaf);
};

static struct kernels kernels_base(const struct trees *t)
{
	if (t->source.config.double_input)
		return (struct kernels){ scan_base, rank_row_base_double, rank_block_base_double, walk_base };
	return (struct kernels){ scan_base, rank_row_base_float, rank_block_base_float, walk_base };
}

static struct kernels kernels_best(const struct trees *t)
{
#if defined(__x86_64__)
	if (t->has_avx2 && t->source.config.double_input)
		return (struct kernels){ scan_avx2, rank_row_avx2_double, rank_block_avx2_double, walk_avx2 };
	if (t->has_avx2)
		return (struct kernels){ scan_avx2, rank_row_avx2_float, rank_block_avx2_float, walk_avx2 };
#endif
	return kernels_base(t);
}

/* ---- sums ---- */

/* Value of a leaf with a linear function, or its constant when a feature of it is missing (LightGBM's linear trees). */
static double linear_value(const struct trees *t, uint32_t linear, double otherwise, const void *x)
{
	const struct tree_linear *l = &t->source.linears.at[linear];
	double sum = l->constant;

	for (uint32_t i = 0; i < l->count; i++) {
		const struct tree_coef *c = &t->source.coefs.at[l->first + i];
		double value = number_at(t, x, c->feature);

		if (isnan(value))
			return otherwise;
		sum += c->value * value;
	}
	return sum;
}

static inline float float_of(uint32_t bits)
{
	float value;

	memcpy(&value, &bits, sizeof(value));
	return value;
}

#define SUM_NAME       float
#define SUM_TYPE       float
#define SUM_BASE       t->base_float
#define SUM_LEAF(word) float_of(word)
#include "models/trees_sum.inc"
#undef SUM_NAME
#undef SUM_TYPE
#undef SUM_BASE
#undef SUM_LEAF

#define SUM_NAME       double
#define SUM_TYPE       double
#define SUM_BASE       t->source.base
#define SUM_LEAF(word) value[word]
#include "models/trees_sum.inc"
#undef SUM_NAME
#undef SUM_TYPE
#undef SUM_BASE
#undef SUM_LEAF

/* ---- the reference form ---- */

static bool takes_yes(const struct tree_source *s, const struct tree_node *n, double x)
{
	if (n->missing == TREE_MISSING_AS_ZERO && isnan(x))
		x = 0;
	if (isnan(x) || (n->missing == TREE_MISSING_ZERO && fabs(x) <= ZERO_BOUND))
		return n->missing_yes;
	switch ((enum tree_mode)n->mode) {
	case TREE_LT:
		return x < n->threshold;
	case TREE_LEQ:
		return x <= n->threshold;
	case TREE_GT:
		return x > n->threshold;
	case TREE_GTE:
		return x >= n->threshold;
	default:
		return tree_in_set(s, n, x);
	}
}

static const struct tree_node *plain_leaf(const struct trees *t, size_t tree, const void *x)
{
	const struct tree_source *s = &t->source;
	const struct tree_node *n = &s->nodes.at[s->roots.at[tree].root];

	while (n->kind == TREE_NODE_SPLIT)
		n = &s->nodes.at[takes_yes(s, n, number_at(t, x, n->feature)) ? n->yes : n->no];
	return n;
}

/* Sums are kept in double; a float ensemble rounds after each addition, as the compiled form does. */
static void plain_add(const struct trees *t, double *sum, bool *seen, double value)
{
	if (!t->source.config.double_sum)
		value = (double)(float)value;
	if (t->source.config.aggregate == TREE_MIN)
		*sum = *seen ? MIN(*sum, value) : value;
	else if (t->source.config.aggregate == TREE_MAX)
		*sum = *seen ? MAX(*sum, value) : value;
	else
		*sum += value;
	if (!t->source.config.double_sum)
		*sum = (double)(float)*sum;
	*seen = true;
}

static double base_of(const struct trees *t, size_t target)
{
	if (!t->source.base)
		return 0;
	return t->source.config.double_sum ? t->source.base[target] : (double)t->base_float[target];
}

static double plain_finish(const struct trees *t, double sum, size_t target)
{
	const struct tree_config *c = &t->source.config;

	if (c->aggregate == TREE_AVERAGE && t->tree_count) {
		sum /= (double)t->tree_count;
		if (!c->double_sum)
			sum = (double)(float)sum;
	}
	return c->base_first ? sum : sum + base_of(t, target);
}

static void plain_row(const struct trees *t, const void *x, double *sums, bool *seen)
{
	const struct tree_config *c = &t->source.config;

	for (size_t k = 0; k < c->targets; k++) {
		sums[k] = c->base_first ? base_of(t, k) : 0;
		seen[k] = c->base_first;
	}
	for (size_t i = 0; i < t->tree_count; i++) {
		const struct tree_node *n = plain_leaf(t, i, x);

		for (uint32_t p = n->pair_first; p != TREE_NONE; p = t->source.pairs.at[p].next) {
			const struct tree_pair *pair = &t->source.pairs.at[p];
			double value = pair->value;

			if (n->linear != TREE_NONE)
				value = linear_value(t, n->linear, value, x);
			plain_add(t, &sums[pair->target], &seen[pair->target], value);
		}
	}
}

static bool run_plain(const struct trees *t, const void *x, size_t x_size, size_t rows, void *out,
		      struct arena *scratch, struct error *err)
{
	size_t targets = t->source.config.targets;
	double *sums = ARENA_ARRAY(scratch, double, targets, err);
	bool *seen = sums ? ARENA_ARRAY(scratch, bool, targets, err) : NULL;

	if (!seen)
		return false;
	for (size_t i = 0; i < rows; i++) {
		plain_row(t, (const char *)x + i * x_size, sums, seen);
		for (size_t k = 0; k < targets; k++) {
			double sum = plain_finish(t, sums[k], k);

			if (t->source.config.double_sum)
				((double *)out)[i * targets + k] = sum;
			else
				((float *)out)[i * targets + k] = (float)sum;
		}
	}
	return true;
}

/* ---- entry ---- */

static size_t row_size(const struct trees *t)
{
	return t->source.config.features * (t->source.config.double_input ? sizeof(double) : sizeof(float));
}

static size_t sum_size(const struct trees *t)
{
	return t->source.config.targets * (t->source.config.double_sum ? sizeof(double) : sizeof(float));
}

static bool new_row_ranks(const struct trees *t, struct tree_row_ranks *r, struct arena *scratch, struct error *err)
{
	uint8_t *bytes = arena_alloc(scratch, 3 * t->slot_count, err);

	r->rank = bytes ? ARENA_ARRAY(scratch, uint32_t, t->slot_count, err) : NULL;
	r->low = bytes;
	r->absent = bytes + t->slot_count;
	r->zero = bytes + 2 * t->slot_count;
	return r->rank;
}

static bool run_walk(const struct trees *t, const struct kernels *kernels, const void *x, size_t rows, void *out,
		     struct arena *scratch, struct error *err)
{
	size_t columns = t->column_count + t->set_count, trees = t->tree_count + 1;
	uint8_t ranks_here[STACK_RANKS], bytes_here[3 * STACK_SLOTS], *ranks = ranks_here;
	uint32_t leaf_here[STACK_TREES], wide_here[STACK_SLOTS], *leaf = leaf_here;
	struct tree_row_ranks row_ranks = { wide_here, bytes_here, bytes_here + STACK_SLOTS,
					    bytes_here + (size_t)2 * STACK_SLOTS };

	if (columns >= STACK_RANKS && !(ranks = arena_alloc(scratch, columns + 1, err)))
		return false;
	if (t->slot_count > STACK_SLOTS && !new_row_ranks(t, &row_ranks, scratch, err))
		return false;
	if (trees > STACK_TREES && !(leaf = ARENA_ARRAY(scratch, uint32_t, trees, err)))
		return false;
	ranks[0] = 0; /* leaf nodes look at column 0, which an ensemble of leaves does not have */
	for (size_t i = 0; i < rows; i++) {
		const void *row = (const char *)x + i * row_size(t);
		void *sums = (char *)out + i * sum_size(t);

		if (t->source.config.double_sum)
			row_double(t, kernels, row, &row_ranks, ranks, leaf, sums);
		else
			row_float(t, kernels, row, &row_ranks, ranks, leaf, sums);
	}
	return true;
}

static bool run_scan(const struct trees *t, const struct kernels *kernels, const void *x, size_t rows, void *out,
		     struct arena *scratch, struct error *err)
{
	size_t columns = t->column_count + t->set_count;
	uint8_t *ranks = arena_alloc(scratch, (columns + 1) * TREE_BLOCK + 64, err);

	if (!ranks)
		return false;
	ranks += -(uintptr_t)ranks & 63; /* vectors are loaded aligned */
	for (size_t i = 0; i < rows; i += TREE_BLOCK) {
		size_t count = MIN(rows - i, (size_t)TREE_BLOCK);
		const void *block = (const char *)x + i * row_size(t);
		void *sums = (char *)out + i * sum_size(t);

		if (t->source.config.double_sum)
			block_double(t, kernels, block, row_size(t), count, ranks, sums);
		else
			block_float(t, kernels, block, row_size(t), count, ranks, sums);
	}
	return true;
}

bool trees_run(const struct trees *t, const void *x, size_t rows, void *out, struct arena *scratch, struct error *err)
{
	struct kernels kernels;

	if (t->is_plain)
		return run_plain(t, x, row_size(t), rows, out, scratch, err);
	kernels = kernels_best(t);
	if (rows < SCAN_ROWS)
		return run_walk(t, &kernels, x, rows, out, scratch, err);
	return run_scan(t, &kernels, x, rows, out, scratch, err);
}

bool trees_run_path(const struct trees *t, enum trees_path path, const void *x, size_t rows, void *out,
		    struct arena *scratch, struct error *err)
{
	struct kernels kernels = path == TREES_SCAN_AVX2 ? kernels_best(t) : kernels_base(t);

	if (t->is_plain)
		return error_set(err, ERROR_UNIMPLEMENTED, "the ensemble has the reference form only");
	switch (path) {
	case TREES_WALK:
		return run_walk(t, &kernels, x, rows, out, scratch, err);
	case TREES_SCAN:
		return run_scan(t, &kernels, x, rows, out, scratch, err);
	case TREES_SCAN_AVX2:
		break;
	}
	if (!t->has_avx2)
		return error_set(err, ERROR_UNIMPLEMENTED, "this machine has no AVX2");
	return run_scan(t, &kernels, x, rows, out, scratch, err);
}

void trees_free(struct trees *t)
{
	if (!t)
		return;
	tree_source_done(&t->source);
	free(t->base_float);
	free(t->slots);
	free(t->plane_absent);
	free(t->plane_zero);
	free(t->plane_used);
	free(t->extras);
	free(t->sets);
	free(t->cuts);
	free(t->target_end);
	free(t->leaf_first);
	free(t->leaf_values);
	free(t->pair_first);
	free(t->pairs);
	free(t->leaf_linear);
	free(t->walk);
	free(t->walk_leaf);
	free(t->tiny);
	free(t->tree_is_tiny);
	free(t->walk_root);
	free(t->walk_place);
	free(t->walk_depth);
	free(t->tree_root);
	free(t->tree_depth);
	free(t->scan);
	free(t->scan_first);
	free(t);
}

void trees_describe(const struct trees *t, struct trees_facts *ret)
{
	*ret = t->facts;
}

/* ---- cost ---- */

#define MEASURE_ROWS  64
#define MEASURE_NS    (400 * NS_PER_US) /* for each of the two figures */
#define MEASURE_BYTES MIB(64)           /* rows of more are not made up: the figures stay 0 */

/* Time of the fastest of several calls: what disturbs a measurement only ever adds to it. */
static double fastest_call(const struct trees *t, const void *x, size_t rows, size_t size, void *out,
			   struct arena *scratch)
{
	int64_t start = clock_monotonic_ns(), now = start, best = INT64_MAX;
	struct error err;

	for (size_t i = 0; i < 20 && now - start < MEASURE_NS; i++) {
		const char *row = (const char *)x + (rows == 1 ? i % MEASURE_ROWS : 0) * size;
		int64_t before = now;

		if (!trees_run(t, row, rows, out, scratch, &err))
			return 0;
		arena_clear(scratch);
		now = clock_monotonic_ns();
		best = MIN(best, now - before);
	}
	return (double)best;
}

void trees_measure(const struct trees *t, double *ret_ns_call, double *ret_ns_row)
{
	size_t count = MEASURE_ROWS * t->source.config.features, size = row_size(t);
	uint64_t random = 0x9e3779b97f4a7c15;
	struct arena scratch;
	void *x, *out;

	*ret_ns_call = *ret_ns_row = 0;
	if (count > MEASURE_BYTES / sizeof(double) || sum_size(t) > MEASURE_BYTES / MEASURE_ROWS)
		return;
	arena_init(&scratch, 2 * MEASURE_BYTES);
	x = base_alloc(count * sizeof(double));
	out = base_alloc(MEASURE_ROWS * sum_size(t));
	for (size_t i = 0; i < count; i++) {
		double value;

		random = random * 6364136223846793005u + 1442695040888963407u; /* Knuth's MMIX generator */
		value = (double)(random >> 40) * 0x1p-22 - 2;
		if (t->source.config.double_input)
			((double *)x)[i] = value;
		else
			((float *)x)[i] = (float)value;
	}
	*ret_ns_call = fastest_call(t, x, 1, size, out, &scratch);
	*ret_ns_row = fastest_call(t, x, MEASURE_ROWS, size, out, &scratch) / MEASURE_ROWS;
	free(x);
	free(out);
	arena_done(&scratch);
}
