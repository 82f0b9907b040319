/* SPDX-License-Identifier: Apache-2.0 */
/*
 * trees_scan - the scan of one tree by many rows, in vectors of SCAN_WIDTH bytes. Included by trees_run.c once for each
 * instruction set, with SCAN_NAME and SCAN_TARGET. No include guard: it is a template.
 *
 * All nodes of the tree are visited in preorder by all rows, without a branch: a node costs a row 5 byte operations, of
 * which a vector does SCAN_WIDTH at once, where walking costs a row a chain of dependent loads for each level.
 */
#define SCAN_PASTE_(a, b) a##_##b
#define SCAN_PASTE(a, b)  SCAN_PASTE_(a, b)
#define SCAN_(name)       SCAN_PASTE(name, SCAN_NAME)

typedef int8_t SCAN_(signed_bytes) __attribute__((vector_size(SCAN_WIDTH), may_alias));
typedef uint8_t SCAN_(bytes) __attribute__((vector_size(SCAN_WIDTH), may_alias));
typedef uint32_t SCAN_(words) __attribute__((vector_size(SCAN_WIDTH), may_alias));

#define SCAN_SPREAD(word) ((SCAN_(words)){ 0 } + (word))

/* `count` nodes by `vectors` vectors of rows; the constant count makes the compiler keep the leaf numbers in registers.
 */
SCAN_TARGET static inline __attribute__((always_inline)) void
SCAN_(stretch)(const struct tree_scan_node *nodes, size_t count, const uint8_t *ranks, uint8_t *leaf, int vectors)
{
	SCAN_(bytes) at[4] = { { 0 } };

	for (const struct tree_scan_node *n = nodes, *end = nodes + count; n < end; n++) {
		const SCAN_(signed_bytes) *rank = (const SCAN_(signed_bytes) *)(ranks + n->at);
		SCAN_(signed_bytes) k = (SCAN_(signed_bytes))SCAN_SPREAD(n->k);
		SCAN_(bytes) first = (SCAN_(bytes))SCAN_SPREAD(n->first);
		SCAN_(bytes) step = (SCAN_(bytes))SCAN_SPREAD(n->step);

		for (int v = 0; v < vectors; v++)
			at[v] += (SCAN_(bytes))(rank[v] > k) & (SCAN_(bytes))(at[v] == first) & step;
	}
	for (int v = 0; v < vectors; v++)
		((SCAN_(bytes) *)leaf)[v] = at[v];
}

SCAN_TARGET static void SCAN_(scan)(const struct tree_scan_node *nodes, size_t count, const uint8_t *ranks, size_t rows,
				    uint8_t *leaf)
{
	size_t row = 0;

	for (; row + 2 * SCAN_WIDTH < rows; row += 4 * SCAN_WIDTH)
		SCAN_(stretch)(nodes, count, ranks + row, leaf + row, 4);
	if (row + SCAN_WIDTH < rows)
		SCAN_(stretch)(nodes, count, ranks + row, leaf + row, 2);
	else if (row < rows)
		SCAN_(stretch)(nodes, count, ranks + row, leaf + row, 1);
}

#undef SCAN_SPREAD
#undef SCAN_
#undef SCAN_PASTE
#undef SCAN_PASTE_
