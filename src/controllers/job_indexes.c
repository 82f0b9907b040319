/* SPDX-License-Identifier: Apache-2.0 */
/* job_indexes - sets of indexes as a job's status has them: "1,3-5,7". */
#include "controllers/job.h"

#include <stdlib.h>

#include "base/number.h"

#define TEXT_MOST MIB(2)

/* ---- reading and printing ---- */

static struct indexes indexes_new(struct reconcile *r, size_t room)
{
	return (struct indexes){ ARENA_ARRAY(r->arena, struct interval, room, r->err), 0 };
}

/* What comes may overlap the last one, or follow it at once. */
static void add(struct indexes *set, struct interval i)
{
	struct interval *last = set->count ? &set->items[set->count - 1] : NULL;

	if (!set->items)
		return;
	if (!last || i.first > last->last + 1)
		set->items[set->count++] = i;
	else
		last->last = MAX(last->last, i.last);
}

static bool interval_read(struct span text, struct interval *ret)
{
	struct span high = text, low = span_cut(&high, '-');

	if (!number_parse_int64(low, &ret->first) || ret->first < 0)
		return false;
	ret->last = ret->first;
	return low.len == text.len || (number_parse_int64(high, &ret->last) && ret->last >= ret->first);
}

struct indexes indexes_read(struct reconcile *r, struct span text, int64_t most)
{
	struct indexes set = { NULL, 0 };
	size_t room = 1;

	if (!text.len)
		return set;
	for (size_t i = 0; i < text.len; i++)
		room += text.ptr[i] == ',';
	set = indexes_new(r, room);
	while (text.len) {
		struct interval i;

		if (!interval_read(span_cut(&text, ','), &i))
			continue;
		if (i.first >= most)
			break;
		i.last = MIN(i.last, most - 1);
		if (!set.count || i.first > set.items[set.count - 1].first)
			add(&set, i);
	}
	return set;
}

struct value indexes_text(struct reconcile *r, struct indexes set)
{
	struct buffer b;
	struct span text;

	buffer_init(&b, TEXT_MOST);
	for (uint32_t i = 0; i < set.count; i++) {
		const struct interval *v = &set.items[i];

		buffer_print(&b, "%s%lld", i ? "," : "", (long long)v->first);
		if (v->last > v->first)
			buffer_print(&b, "%c%lld", v->last == v->first + 1 ? ',' : '-', (long long)v->last);
	}
	text = buffer_ok(&b, "a set of indexes", r->err) ? arena_copy(r->arena, buffer_span(&b), r->err) : SPAN("");
	buffer_done(&b);
	return value_string(text);
}

/* ---- asking and joining ---- */

bool indexes_have(struct indexes set, int64_t index)
{
	uint32_t low = 0, high = set.count;

	while (low < high) {
		uint32_t middle = (low + high) / 2;

		if (set.items[middle].last >= index)
			high = middle;
		else
			low = middle + 1;
	}
	return high < set.count && set.items[high].first <= index;
}

int64_t indexes_total(struct indexes set)
{
	int64_t total = 0;

	for (uint32_t i = 0; i < set.count; i++)
		total += set.items[i].last - set.items[i].first + 1;
	return total;
}

struct indexes indexes_join(struct reconcile *r, struct indexes a, struct indexes b)
{
	struct indexes set = indexes_new(r, (size_t)a.count + b.count);
	uint32_t i = 0, k = 0;

	while (i < a.count || k < b.count) {
		if (k == b.count || (i < a.count && a.items[i].first < b.items[k].first))
			add(&set, a.items[i++]);
		else
			add(&set, b.items[k++]);
	}
	return set;
}

static int compare(const void *a, const void *b)
{
	int64_t first = *(const int64_t *)a, second = *(const int64_t *)b;

	return (first > second) - (first < second);
}

struct indexes indexes_of(struct reconcile *r, int64_t *list, uint32_t count)
{
	struct indexes set = indexes_new(r, count);

	if (count)
		qsort(list, count, sizeof(*list), compare);
	for (uint32_t i = 0; i < count; i++)
		add(&set, (struct interval){ list[i], list[i] });
	return set;
}

int64_t indexes_shared(struct indexes a, struct indexes b)
{
	uint32_t i = 0, k = 0;
	int64_t shared = 0;

	while (i < a.count && k < b.count) {
		int64_t first = MAX(a.items[i].first, b.items[k].first);
		int64_t last = MIN(a.items[i].last, b.items[k].last);

		shared += MAX(last - first + 1, (int64_t)0);
		if (a.items[i].last < b.items[k].last)
			i++;
		else
			k++;
	}
	return shared;
}

/* ---- of a job ---- */

static bool is_index_failed(const struct job *j, const struct job_pod *p)
{
	if (!p->is_failed || p->action == ACTION_IGNORE)
		return false;
	return p->action == ACTION_FAIL_INDEX || p->failures >= value_find_int(j->spec, "backoffLimitPerIndex", 0);
}

void job_indexes_read(struct job *j)
{
	struct span done = value_find_string(j->before, "completedIndexes");
	struct span failed = value_find_string(j->before, "failedIndexes");
	int64_t *list = ARENA_ARRAY(j->r->arena, int64_t, j->pod_count, j->r->err);
	uint32_t count = 0;

	if (!list)
		return;
	for (uint32_t i = 0; i < j->pod_count; i++)
		if (j->pods[i].is_succeeded && job_pod_counts(j, &j->pods[i]))
			list[count++] = j->pods[i].index;
	j->done_before = indexes_read(j->r, done, j->completions);
	j->done = indexes_join(j->r, j->done_before, indexes_of(j->r, list, count));
	j->succeeded = indexes_total(j->done);
	if (!j->has_limit_per_index)
		return;
	count = 0;
	for (uint32_t i = 0; i < j->pod_count; i++)
		if (!j->pods[i].is_noted && job_pod_counts(j, &j->pods[i]) && is_index_failed(j, &j->pods[i]))
			list[count++] = j->pods[i].index;
	j->failed_indexes =
	    indexes_join(j->r, indexes_read(j->r, failed, j->completions), indexes_of(j->r, list, count));
}

static bool is_kept(const struct job_pod *p, const struct job_pod *other)
{
	return !other ||
	       (other->failures + other->ignored <= p->failures + p->ignored && p->finished_ns >= other->finished_ns);
}

const struct job_pod *job_kept_pod(const struct job *j, int64_t index)
{
	const struct job_pod *kept = NULL;

	if (!j->has_limit_per_index || indexes_have(j->done, index) || indexes_have(j->failed_indexes, index))
		return NULL;
	for (uint32_t i = 0; i < j->pod_count; i++) {
		const struct job_pod *p = &j->pods[i];

		if (p->index != index)
			continue;
		if (p->is_active)
			return NULL; /* it carries the count */
		if (p->is_failed && job_pod_counts(j, p) && is_kept(p, kept))
			kept = p;
	}
	return kept;
}
