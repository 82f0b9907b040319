/* SPDX-License-Identifier: Apache-2.0 */
/*
 * trees_walk - one row down all trees. Included by trees_run.c once for each instruction set, with WALK_NAME and
 * WALK_TARGET, which it undefines. No include guard: it is a template.
 *
 * Each step of a walk waits for two loads, one after the other; eight trees side by side keep the machine busy
 * meanwhile.
 */
#define WALK_PASTE_(a, b) a##_##b
#define WALK_PASTE(a, b)  WALK_PASTE_(a, b)
#define WALK_(name)       WALK_PASTE(name, WALK_NAME)
#define WALK_INLINE       WALK_TARGET static inline __attribute__((always_inline))

WALK_INLINE uint64_t WALK_(tiny_step)(const uint32_t *nodes, uint64_t at, const uint8_t *ranks)
{
	uint32_t n = nodes[at];
#ifdef WALK_BEXTR
	const uint8_t *rank = ranks + WALK_BEXTR(n, 8 | 13 << 8);

	/* compilers make three instructions of the one addition with carry */
	__asm__("cmpb %[rank], %b[k]\n\tadcq %[step], %[at]"
		: [at] "+r"(at)
		: [k] "q"(n), [rank] "m"(*rank), [step] "r"((uint64_t)(n >> 21))
		: "cc");
	return at;
#else
	return at + (n >> 21) + ((uint8_t)n < ranks[n >> 8 & (TREE_TINY_COLUMNS - 1)]);
#endif
}

WALK_INLINE uint32_t WALK_(step)(const struct tree_walk_node *nodes, uint32_t at, const uint8_t *ranks)
{
	const struct tree_walk_node *n = &nodes[at];

	return n->child + (n->k < ranks[n->column]);
}

/* What stands at the end of each tree's walk (see TREE_TINY_COLUMNS), by the order of summing. */
WALK_TARGET static void WALK_(walk)(const struct trees *t, const uint8_t *ranks, uint32_t *leaf)
{
	const uint32_t *root = t->walk_root, *place = t->walk_place;
	size_t g = 0;

	for (; g < t->tiny_groups; g++, root += TREE_GROUP, place += TREE_GROUP) {
		const uint32_t *nodes = t->tiny;
		uint64_t a = root[0], b = root[1], c = root[2], d = root[3];
		uint64_t e = root[4], f = root[5], h = root[6], i = root[7];

		/* The first levels of the next eight, which every row passes. */
		for (size_t k = 0; k < TREE_GROUP && g + 1 < t->tiny_groups; k++) {
			for (size_t line = 0; line < PREFETCH_LINES; line++)
				__builtin_prefetch(nodes + root[TREE_GROUP + k] + line * 16);
		}

		for (uint32_t depth = t->walk_depth[g]; depth > 0; depth--) {
			a = WALK_(tiny_step)(nodes, a, ranks);
			b = WALK_(tiny_step)(nodes, b, ranks);
			c = WALK_(tiny_step)(nodes, c, ranks);
			d = WALK_(tiny_step)(nodes, d, ranks);
			e = WALK_(tiny_step)(nodes, e, ranks);
			f = WALK_(tiny_step)(nodes, f, ranks);
			h = WALK_(tiny_step)(nodes, h, ranks);
			i = WALK_(tiny_step)(nodes, i, ranks);
		}
		leaf[place[0]] = nodes[a];
		leaf[place[1]] = nodes[b];
		leaf[place[2]] = nodes[c];
		leaf[place[3]] = nodes[d];
		leaf[place[4]] = nodes[e];
		leaf[place[5]] = nodes[f];
		leaf[place[6]] = nodes[h];
		leaf[place[7]] = nodes[i];
	}
	for (; g < t->walk_groups; g++, root += TREE_GROUP, place += TREE_GROUP) {
		const struct tree_walk_node *nodes = t->walk;
		uint32_t at[TREE_GROUP], moved = 1;

		memcpy(at, root, sizeof(at));
		for (uint32_t depth = t->walk_depth[g]; depth > 0 && moved; depth--) {
			moved = 0;
			for (size_t i = 0; i < TREE_GROUP; i++) {
				uint32_t next = WALK_(step)(nodes, at[i], ranks);

				moved |= next ^ at[i];
				at[i] = next;
			}
		}
		for (size_t i = 0; i < TREE_GROUP; i++)
			leaf[place[i]] = tree_leaf_word(t, t->walk_leaf[at[i]]);
	}
}

#undef WALK_INLINE
#undef WALK_
#undef WALK_PASTE
#undef WALK_PASTE_
#undef WALK_NAME
#undef WALK_TARGET
#undef WALK_BEXTR
