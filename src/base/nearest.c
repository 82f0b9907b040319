/* SPDX-License-Identifier: Apache-2.0 */
#include "base/nearest.h"

#include <ctype.h>
#include <string.h>

#include "base/base.h"

size_t nearest_distance(struct span a, struct span b)
{
	size_t rows[3][NEAREST_WORD_MAX + 1];
	size_t *before = rows[0], *last = rows[1], *now = rows[2], *spare;

	if (a.len > NEAREST_WORD_MAX || b.len > NEAREST_WORD_MAX)
		return SIZE_MAX;
	for (size_t k = 0; k <= b.len; k++)
		last[k] = k;
	memset(before, 0, sizeof(rows[0]));
	for (size_t i = 1; i <= a.len; i++) {
		now[0] = i;
		for (size_t k = 1; k <= b.len; k++) {
			bool is_same = tolower((unsigned char)a.ptr[i - 1]) == tolower((unsigned char)b.ptr[k - 1]);

			now[k] = MIN(MIN(last[k], now[k - 1]) + 1, last[k - 1] + !is_same);
			if (i > 1 && k > 1 && a.ptr[i - 1] == b.ptr[k - 2] && a.ptr[i - 2] == b.ptr[k - 1])
				now[k] = MIN(now[k], before[k - 2] + 1);
		}
		spare = before;
		before = last;
		last = now;
		now = spare;
	}
	return last[b.len];
}

struct nearest nearest_to(struct span given)
{
	return (struct nearest){ .given = given, .least = MAX((size_t)1, given.len / 3) + 1 };
}

void nearest_try(struct nearest *n, struct span name)
{
	size_t d = nearest_distance(n->given, name);

	if (n->given.len >= 3 && span_starts(name, n->given)) /* "--max-body" for "--max-body-bytes" */
		d = MIN(d, 1);
	if (d < n->least) {
		n->least = d;
		n->found = name;
	}
}
