/* SPDX-License-Identifier: Apache-2.0 */
/*
 * trees_rank - turns rows into bytes of ranks. Included by trees_run.c once for each type of input and instruction set,
 * with RANK_NAME, RANK_TYPE, RANK_TARGET, and for vectors RANK_COUNT8 and RANK_NAN. It undefines them. No include
 * guard: it is a template.
 *
 * Pointers and flags are held in locals: bytes written may alias anything, for all a compiler knows.
 */
#define RANK_PASTE_(a, b) a##_##b
#define RANK_PASTE(a, b)  RANK_PASTE_(a, b)
#define RANK_(name)       RANK_PASTE(name, RANK_NAME)
#define RANK_INLINE       RANK_TARGET static inline __attribute__((always_inline))

/* The number of cuts <= x; NaN has 0. A constant number of levels unrolls. */
#ifdef RANK_COUNT8
RANK_INLINE uint32_t RANK_(rank)(const struct tree_slot *s, const RANK_TYPE *cuts, uint32_t levels, RANK_TYPE x)
{
	uint32_t at = 0;

	for (uint32_t level = levels; level-- > 0;)
		at = at * TREE_SEARCH + RANK_COUNT8(cuts + s->level_first[level] + at * TREE_SEARCH, x);
	return at;
}

RANK_INLINE uint8_t RANK_(absent)(RANK_TYPE x)
{
	return RANK_NAN(x);
}
#else
/* Branch-free bisection. */
RANK_INLINE uint32_t RANK_(rank)(const struct tree_slot *s, const RANK_TYPE *cuts, uint32_t levels, RANK_TYPE x)
{
	const RANK_TYPE *first = cuts + s->level_first[0], *low = first;
	size_t n = s->cut_count;

	(void)levels;
	while (n > 1) {
		size_t half = n / 2;

		low += x >= low[half - 1] ? half : 0;
		n -= half;
	}
	return (uint32_t)(low - first) + (n == 1 && x >= *low);
}

RANK_INLINE uint8_t RANK_(absent)(RANK_TYPE x)
{
	return (uint8_t) - (x != x);
}
#endif

RANK_INLINE uint8_t RANK_(zero)(RANK_TYPE x)
{
	return (uint8_t) - ((double)x >= -ZERO_BOUND && (double)x <= ZERO_BOUND);
}

/* Two levels are 72 cuts at most, so that a rank fits its byte. */
RANK_INLINE uint8_t RANK_(low)(uint32_t rank, uint32_t levels)
{
	return (uint8_t)(levels == 2 ? rank : MIN(rank, (uint32_t)TREE_SEGMENT));
}

/* First step of one row: ranks by slot. */
RANK_INLINE void RANK_(row_slots)(const struct trees *t, const RANK_TYPE *x, struct tree_row_ranks *r, uint32_t levels)
{
	const struct tree_slot *slot = t->slots;
	const RANK_TYPE *cuts = t->cuts;
	size_t slots = t->slot_count;
	uint8_t *low = r->low, *absent = r->absent, *zero = t->has_zero ? r->zero : NULL;
	uint32_t *wide = t->extra_count ? r->rank : NULL;

	for (size_t i = 0; i < slots; i++, slot++) {
		RANK_TYPE value = x[slot->feature];
		uint32_t rank = RANK_(rank)(slot, cuts, levels, value);

		low[i] = RANK_(low)(rank, levels);
		absent[i] = RANK_(absent)(value);
		if (wide)
			wide[i] = rank;
		if (zero)
			zero[i] = RANK_(zero)(value);
	}
}

/* Second step: planes, by vectors. */
RANK_INLINE void RANK_(row_plane)(const uint8_t *restrict low, const uint8_t *restrict absent,
				  const uint8_t *restrict zero, const uint8_t *restrict plane_absent,
				  const uint8_t *restrict plane_zero, size_t slots, uint8_t *restrict to)
{
	if (!zero) {
		for (size_t i = 0; i < slots; i++)
			to[i] = (uint8_t)((absent[i] & plane_absent[i]) | (~absent[i] & low[i]));
		return;
	}
	for (size_t i = 0; i < slots; i++) {
		uint8_t missing = absent[i] | (zero[i] & plane_zero[i]);

		to[i] = (uint8_t)((missing & plane_absent[i]) | (~missing & low[i]));
	}
}

RANK_TARGET static void RANK_(rank_row)(const struct trees *t, const void *x, struct tree_row_ranks *r, uint8_t *ranks)
{
	size_t slots = t->slot_count;

	if (t->levels == 2)
		RANK_(row_slots)(t, x, r, 2);
	else if (t->levels == 3)
		RANK_(row_slots)(t, x, r, 3);
	else
		RANK_(row_slots)(t, x, r, t->levels);
	for (size_t p = 0; p < t->plane_count; p++)
		RANK_(row_plane)
	(r->low, r->absent, t->has_zero ? r->zero : NULL, t->plane_absent + p * slots, t->plane_zero + p * slots, slots,
	 ranks + p * slots);
	for (size_t i = 0; i < t->extra_count; i++) {
		const struct tree_extra *e = &t->extras[i];
		bool missing = r->absent[e->slot] || (e->zero_is_missing && r->zero[e->slot]);

		ranks[t->plane_count * slots + i] = extra_byte(e, r->rank[e->slot], missing);
	}
	for (size_t i = 0; i < t->set_count; i++)
		ranks[t->column_count + i] = set_byte(&t->sets[i], ranks[t->sets[i].column]);
}

/* One slot in some rows. */
struct RANK_(slot_rows) {
	uint32_t wide[RANK_ROWS];
	uint8_t low[RANK_ROWS], absent[RANK_ROWS], zero[RANK_ROWS];
};

RANK_INLINE void RANK_(block_slot)(const struct trees *t, const struct tree_slot *slot, const RANK_TYPE *x, size_t rows,
				   struct RANK_(slot_rows) *restrict to, uint32_t levels)
{
	const struct tree_slot s = *slot;
	const RANK_TYPE *cuts = t->cuts;
	size_t features = t->source.config.features;
	bool has_zero = t->has_zero;

	x += s.feature;
	for (size_t i = 0; i < rows; i++, x += features) {
		uint32_t rank = RANK_(rank)(&s, cuts, levels, *x);

		if (levels != 2)
			to->wide[i] = rank;
		to->low[i] = RANK_(low)(rank, levels);
		to->absent[i] = RANK_(absent)(*x);
		if (has_zero)
			to->zero[i] = RANK_(zero)(*x);
	}
}

/* All RANK_ROWS of one column, so that it is one vector; rows behind the last hold anything. */
RANK_INLINE void RANK_(block_column)(const struct RANK_(slot_rows) *restrict from, uint8_t plane_absent,
				     uint8_t plane_zero, uint8_t *restrict to)
{
	for (size_t i = 0; i < RANK_ROWS; i++) {
		uint8_t missing = from->absent[i] | (from->zero[i] & plane_zero);

		to[i] = (uint8_t)((missing & plane_absent) | (~missing & from->low[i])) ^ 0x80;
	}
}

RANK_TARGET static void RANK_(block_rows)(const struct trees *t, const RANK_TYPE *x, size_t rows, uint8_t *ranks)
{
	struct RANK_(slot_rows) slot = { 0 };
	size_t slots = t->slot_count, extra = 0;

	for (size_t i = 0; i < slots; i++) {
		if (t->levels == 2)
			RANK_(block_slot)(t, &t->slots[i], x, rows, &slot, 2);
		else if (t->levels == 3)
			RANK_(block_slot)(t, &t->slots[i], x, rows, &slot, 3);
		else
			RANK_(block_slot)(t, &t->slots[i], x, rows, &slot, t->levels);
		for (size_t at = i; at < t->plane_count * slots; at += slots) {
			if (t->plane_used[at])
				RANK_(block_column)
			(&slot, t->plane_absent[at], t->plane_zero[at], ranks + at * TREE_BLOCK);
		}
		for (; extra < t->extra_count && t->extras[extra].slot == i; extra++) {
			const struct tree_extra *e = &t->extras[extra];
			uint8_t *to = ranks + (t->plane_count * slots + extra) * TREE_BLOCK;

			for (size_t k = 0; k < rows; k++) {
				bool missing = slot.absent[k] || (e->zero_is_missing && slot.zero[k]);

				to[k] = extra_byte(e, slot.wide[k], missing) ^ 0x80;
			}
		}
	}
}

/* A block of rows: TREE_BLOCK bytes a column, with the top bit turned, since vectors compare signed bytes. */
RANK_TARGET static void RANK_(rank_block)(const struct trees *t, const void *rows_at, size_t rows, uint8_t *ranks)
{
	const RANK_TYPE *x = rows_at;

	for (size_t row = 0; row < rows; row += RANK_ROWS)
		RANK_(block_rows)
	(t, x + row * t->source.config.features, MIN(rows - row, (size_t)RANK_ROWS), ranks + row);
	for (size_t k = 0; k < t->set_count; k++) {
		const uint8_t *from = ranks + t->sets[k].column * (size_t)TREE_BLOCK;
		uint8_t *to = ranks + (t->column_count + k) * (size_t)TREE_BLOCK;

		for (size_t i = 0; i < rows; i++)
			to[i] = set_byte(&t->sets[k], from[i] ^ 0x80) ^ 0x80;
	}
}

#undef RANK_INLINE
#undef RANK_
#undef RANK_PASTE
#undef RANK_PASTE_
#undef RANK_NAME
#undef RANK_TYPE
#undef RANK_TARGET
#undef RANK_COUNT8
#undef RANK_NAN
