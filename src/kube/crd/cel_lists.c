/* SPDX-License-Identifier: Apache-2.0 */
/* Kubernetes' lists library, cel-go's sets, and the optional types' functions over lists. */
#include "kube/crd/cel_private.h"

static struct cel_value is_sorted(struct cel_call *c, const struct cel_value *a)
{
	struct cel_value before = { 0 };

	for (uint64_t i = 0, n = cel_list_count(a); i < n; i++) {
		struct cel_value item = cel_list_item(c, a, i), order;

		if (i) {
			order = cel_compare(&before, &item);
			if (order.kind == CEL_INT && order.integer > 0)
				return cel_of_bool(false);
		}
		before = item;
	}
	return cel_of_bool(true);
}

/* By the rows of "_+_", so that overflow is told alike. */
static struct cel_value add(struct cel_call *c, const struct cel_value *a, const struct cel_value *b)
{
	struct cel_value both[2] = { *a, *b };
	size_t count = 0;
	const struct cel_overload *const *rows = cel_overloads_of(SPAN("_+_"), &count);
	const char *letter = a->kind == CEL_INT      ? "ii"
			     : a->kind == CEL_UINT   ? "uu"
			     : a->kind == CEL_DOUBLE ? "dd"
						     : "rr";

	if (b->kind == CEL_ERROR)
		return *b;
	for (size_t i = 0; i < count && a->kind == b->kind; i++)
		if (!strcmp(rows[i]->takes, letter))
			return rows[i]->call(c, both);
	return CEL_NO_OVERLOAD;
}

static struct cel_value sum_from(struct cel_call *c, const struct cel_value *a, enum cel_kind kind)
{
	struct cel_value sum = { .kind = kind };

	for (uint64_t i = 0, n = cel_list_count(a); i < n && sum.kind != CEL_ERROR; i++) {
		struct cel_value item = cel_list_item(c, a, i);

		sum = add(c, &sum, &item);
	}
	return sum;
}

static struct cel_value sum_int(struct cel_call *c, const struct cel_value *a)
{
	return sum_from(c, a, CEL_INT);
}

static struct cel_value sum_uint(struct cel_call *c, const struct cel_value *a)
{
	return sum_from(c, a, CEL_UINT);
}

static struct cel_value sum_double(struct cel_call *c, const struct cel_value *a)
{
	return sum_from(c, a, CEL_DOUBLE);
}

static struct cel_value sum_duration(struct cel_call *c, const struct cel_value *a)
{
	return sum_from(c, a, CEL_DURATION);
}

static struct cel_value extreme(struct cel_call *c, const struct cel_value *a, int64_t wanted, const char *name)
{
	struct cel_value best = { 0 };
	uint64_t n = cel_list_count(a);

	if (!n)
		return cel_fail_print(c, "%s called on empty list", name);
	for (uint64_t i = 0; i < n; i++) {
		struct cel_value item = cel_list_item(c, a, i), order;

		if (item.kind == CEL_ERROR)
			return item;
		order = i ? cel_compare(&item, &best) : cel_of_int(wanted);
		if (order.kind == CEL_INT && order.integer == wanted)
			best = item;
	}
	return best;
}

static struct cel_value least(struct cel_call *c, const struct cel_value *a)
{
	return extreme(c, a, -1, "min");
}

static struct cel_value most(struct cel_call *c, const struct cel_value *a)
{
	return extreme(c, a, 1, "max");
}

static struct cel_value index_of(struct cel_call *c, const struct cel_value *a)
{
	for (uint64_t i = 0, n = cel_list_count(a); i < n; i++) {
		struct cel_value item = cel_list_item(c, a, i);

		if (cel_is_equal(c, &item, &a[1]))
			return cel_of_int((int64_t)i);
	}
	return cel_of_int(-1);
}

static struct cel_value last_index_of(struct cel_call *c, const struct cel_value *a)
{
	for (uint64_t i = cel_list_count(a); i > 0; i--) {
		struct cel_value item = cel_list_item(c, a, i - 1);

		if (cel_is_equal(c, &item, &a[1]))
			return cel_of_int((int64_t)i - 1);
	}
	return cel_of_int(-1);
}

/* ---- sets ---- */

/* Each item of one list is looked for in the other: paid for before it is done. */
static bool may_search(struct cel_call *c, const struct cel_value *a, uint64_t times)
{
	uint64_t cost;

	if (__builtin_mul_overflow(cel_list_count(&a[0]), cel_list_count(&a[1]), &cost) ||
	    __builtin_mul_overflow(cost, times, &cost))
		cost = UINT64_MAX - 1;
	c->cost = cost + 1;
	return c->cost <= c->left;
}

static struct cel_value contains_all(struct cel_call *c, const struct cel_value *list, const struct cel_value *of)
{
	for (uint64_t i = 0, n = cel_list_count(of); i < n; i++) {
		struct cel_value item = cel_list_item(c, of, i), found = cel_list_contains(c, list, &item);

		if (found.kind != CEL_BOOL || !found.boolean)
			return found;
	}
	return cel_of_bool(true);
}

static struct cel_value sets_contains(struct cel_call *c, const struct cel_value *a)
{
	return may_search(c, a, 1) ? contains_all(c, &a[0], &a[1]) : cel_of_bool(false);
}

static struct cel_value sets_equivalent(struct cel_call *c, const struct cel_value *a)
{
	struct cel_value v;

	if (!may_search(c, a, 2))
		return cel_of_bool(false);
	v = contains_all(c, &a[0], &a[1]);
	return v.kind == CEL_BOOL && v.boolean ? contains_all(c, &a[1], &a[0]) : v;
}

static struct cel_value sets_intersects(struct cel_call *c, const struct cel_value *a)
{
	if (!may_search(c, a, 1))
		return cel_of_bool(false);
	for (uint64_t i = 0, n = cel_list_count(&a[0]); i < n; i++) {
		struct cel_value item = cel_list_item(c, &a[0], i), found = cel_list_contains(c, &a[1], &item);

		if (found.kind == CEL_BOOL && found.boolean)
			return found;
	}
	return cel_of_bool(false);
}

/* ---- optional types ---- */

static struct cel_value kept(struct cel_call *c, struct cel_value v)
{
	struct cel_value *copy = ARENA_NEW(c->arena, struct cel_value, c->err);

	if (v.kind == CEL_ERROR)
		return v;
	if (!copy)
		return cel_optional(NULL);
	*copy = v;
	return cel_optional(copy);
}

static struct cel_value optional_of(struct cel_call *c, const struct cel_value *a)
{
	return kept(c, *a);
}

static struct cel_value optional_of_non_zero(struct cel_call *c, const struct cel_value *a)
{
	return cel_is_zero(a) ? cel_optional(NULL) : kept(c, *a);
}

static struct cel_value optional_none(struct cel_call *c, const struct cel_value *a)
{
	(void)c;
	(void)a;
	return cel_optional(NULL);
}

static struct cel_value optional_value(struct cel_call *c, const struct cel_value *a)
{
	(void)c;
	return a->optional ? *a->optional : cel_fail(SPAN("optional.none() dereference"));
}

static struct cel_value optional_has_value(struct cel_call *c, const struct cel_value *a)
{
	(void)c;
	return cel_of_bool(a->optional != NULL);
}

static struct cel_value list_first(struct cel_call *c, const struct cel_value *a)
{
	return cel_list_count(a) ? kept(c, cel_list_item(c, a, 0)) : cel_optional(NULL);
}

static struct cel_value list_last(struct cel_call *c, const struct cel_value *a)
{
	uint64_t n = cel_list_count(a);

	return n ? kept(c, cel_list_item(c, a, n - 1)) : cel_optional(NULL);
}

static struct cel_value unwrap(struct cel_call *c, const struct cel_value *a)
{
	struct cel_list *list;
	struct cel_value v = cel_list_new(c, 0, &list);

	for (uint64_t i = 0, n = cel_list_count(a); list && i < n; i++) {
		struct cel_value item = cel_list_item(c, a, i);

		if (item.kind != CEL_OPTIONAL)
			return cel_fail(SPAN("value is not optional"));
		if (item.optional)
			(void)cel_list_append(c, list, *item.optional);
	}
	return v;
}

#define COMPARABLE(name, id, f, gives)                                                                                 \
	CEL_MEMBER(name, id "_int", "[i", gives("i"), f), CEL_MEMBER(name, id "_uint", "[u", gives("u"), f),           \
	    CEL_MEMBER(name, id "_double", "[d", gives("d"), f), CEL_MEMBER(name, id "_bool", "[b", gives("b"), f),    \
	    CEL_MEMBER(name, id "_duration", "[r", gives("r"), f),                                                     \
	    CEL_MEMBER(name, id "_timestamp", "[t", gives("t"), f),                                                    \
	    CEL_MEMBER(name, id "_string", "[s", gives("s"), f), CEL_MEMBER(name, id "_bytes", "[y", gives("y"), f)
#define ITEM(letter) letter
#define BOOL(letter) "b"

const struct cel_overload cel_list_overloads[] = {
	COMPARABLE("isSorted", "list_is_sorted", is_sorted, BOOL),
	CEL_MEMBER("sum", "list_int_sum_int", "[i", "i", sum_int),
	CEL_MEMBER("sum", "list_uint_sum_uint", "[u", "u", sum_uint),
	CEL_MEMBER("sum", "list_double_sum_double", "[d", "d", sum_double),
	CEL_MEMBER("sum", "list_duration_sum_duration", "[r", "r", sum_duration),
	COMPARABLE("min", "list_min", least, ITEM),
	COMPARABLE("max", "list_max", most, ITEM),
	CEL_MEMBER("indexOf", "list_a_index_of_int", "[AA", "i", index_of),
	CEL_MEMBER("lastIndexOf", "list_a_last_index_of_int", "[AA", "i", last_index_of),
	CEL_ROW("sets.contains", "list_sets_contains_list", "[A[A", "b", sets_contains),
	CEL_ROW("sets.equivalent", "list_sets_equivalent_list", "[A[A", "b", sets_equivalent),
	CEL_ROW("sets.intersects", "list_sets_intersects_list", "[A[A", "b", sets_intersects),
	CEL_ROW("optional.of", "optional_of", "A", "?A", optional_of),
	CEL_ROW("optional.ofNonZeroValue", "optional_ofNonZeroValue", "A", "?A", optional_of_non_zero),
	CEL_ROW("optional.none", "optional_none", "", "?A", optional_none),
	CEL_MEMBER("value", "optional_value", "?A", "A", optional_value),
	CEL_MEMBER("hasValue", "optional_hasValue", "?A", "b", optional_has_value),
	{ .name = "or", .id = "optional_or_optional", .takes = "?A?A", .gives = "?A", .is_member = true },
	{ .name = "orValue", .id = "optional_orValue_value", .takes = "?AA", .gives = "A", .is_member = true },
	CEL_MEMBER("first", "list_first", "[A", "?A", list_first),
	CEL_MEMBER("last", "list_last", "[A", "?A", list_last),
	CEL_ROW("optional.unwrap", "optional_unwrap", "[?A", "[A", unwrap),
	CEL_MEMBER("unwrapOpt", "optional_unwrapOpt", "[?A", "[A", unwrap),
	{ 0 },
};
