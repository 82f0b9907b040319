/* SPDX-License-Identifier: Apache-2.0 */
/* quantity - amounts of resources as Kubernetes writes them: "100m", "1Gi", "1e3". Facts: k8s.io/apimachinery api/resource. */
#include "kube/kinds/quantity.h"

#include "kube/kinds/kinds.h"

#include <stdio.h>

typedef quantity_amount amount;
#define NANO      QUANTITY_NANO
#define WHOLE_MAX ((amount)INT64_MAX * NANO)

/* The exponent of 10 or the power of 1024 that a suffix stands for. */
static bool suffix_parse(struct span s, enum quantity_form *ret_form, int *ret_power)
{
	static const char binary[] = "KMGTPE";
	static const struct {
		const char *text;
		int power;
	} decimal[] = { { "n", -9 }, { "u", -6 }, { "m", -3 }, { "", 0 },   { "k", 3 },
			{ "M", 6 },  { "G", 9 },  { "T", 12 }, { "P", 15 }, { "E", 18 } };

	if (s.len == 2 && s.ptr[1] == 'i') {
		const char *at = memchr(binary, s.ptr[0], sizeof(binary) - 1);

		*ret_form = FORM_BINARY;
		*ret_power = at ? (int)(at - binary) + 1 : 0;
		return at != NULL;
	}
	for (size_t i = 0; i < ARRAY_LEN(decimal); i++) {
		if (span_equal(s, span_of(decimal[i].text))) {
			*ret_form = FORM_DECIMAL;
			*ret_power = decimal[i].power;
			return true;
		}
	}
	if (s.len >= 2 && (s.ptr[0] == 'e' || s.ptr[0] == 'E')) {
		bool is_negative = s.ptr[1] == '-';
		size_t i = s.ptr[1] == '-' || s.ptr[1] == '+' ? 2 : 1;
		int power = 0;

		if (i == s.len || s.len - i > 4)
			return false;
		for (; i < s.len; i++) {
			if (s.ptr[i] < '0' || s.ptr[i] > '9')
				return false;
			power = power * 10 + (s.ptr[i] - '0');
		}
		*ret_form = FORM_EXPONENT;
		*ret_power = is_negative ? -power : power;
		return true;
	}
	return false;
}

/* n * 10^power in billionths, rounded up (away from 0), capped. `digits` of n are behind the point. */
static amount scale_decimal(amount n, int power)
{
	for (; power > 0; power--) {
		if (n > WHOLE_MAX)
			return WHOLE_MAX;
		n *= 10;
	}
	for (; power < 0 && n != 0; power++)
		n = n == 1 ? 1 : (n + 9) / 10;
	return n > WHOLE_MAX ? WHOLE_MAX : n;
}

bool quantity_read(struct span s, struct quantity *ret)
{
	bool is_negative = s.len && s.ptr[0] == '-', has_digit = false, has_point = false;
	size_t i = s.len && (s.ptr[0] == '-' || s.ptr[0] == '+') ? 1 : 0;
	amount n = 0;
	int digits = 0, power;

	for (; i < s.len; i++) {
		char ch = s.ptr[i];

		if (ch == '.' && !has_point) {
			has_point = true;
			continue;
		}
		if (ch < '0' || ch > '9')
			break;
		has_digit = true;
		if (n > WHOLE_MAX) { /* digits that no longer count; those before the point still weigh */
			digits -= has_point ? 0 : 1;
			continue;
		}
		n = n * 10 + (ch - '0');
		digits += has_point ? 1 : 0;
	}
	if (!has_digit || !suffix_parse(span_skip(s, i), &ret->form, &power))
		return false;
	if (ret->form == FORM_BINARY) {
		for (int k = 0; k < power; k++)
			n = n > WHOLE_MAX ? n : n * 1024;
		power = 0;
	}
	n = scale_decimal(n, power - digits + 9);
	ret->nano = is_negative ? -n : n;
	return true;
}

bool quantity_parse(struct span s, int64_t *ret_milli)
{
	struct quantity q;
	amount milli;

	if (!quantity_read(s, &q))
		return false;
	milli = q.nano / 1000000;
	if (q.nano > 0 && q.nano % 1000000) /* parts of a thousandth count as one, as in MilliValue() */
		milli++;
	*ret_milli = milli > INT64_MAX ? INT64_MAX : milli < INT64_MIN ? INT64_MIN : (int64_t)milli;
	return true;
}

bool quantity_compare(struct span a, struct span b, int *ret)
{
	struct quantity qa, qb;

	if (!quantity_read(a, &qa) || !quantity_read(b, &qb))
		return false;
	*ret = qa.nano < qb.nano ? -1 : qa.nano > qb.nano;
	return true;
}

/* Decimal digits of n (not negative) behind a sign, and a suffix. */
static bool print(amount n, bool is_negative, const char *suffix, struct arena *arena, struct span *ret)
{
	struct error err = { 0 };
	char digits[48];
	size_t at = sizeof(digits);

	do {
		digits[--at] = (char)('0' + (int)(n % 10));
		n /= 10;
	} while (n);
	if (is_negative)
		digits[--at] = '-';
	*ret = arena_print(arena, &err, "%.*s%s", (int)(sizeof(digits) - at), digits + at, suffix);
	return ret->ptr != NULL;
}

static bool print_binary(amount n, bool is_negative, struct arena *arena, struct span *ret)
{
	static const char *const suffixes[] = { "", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei" };
	size_t power = 0;

	while (n && n % 1024 == 0 && power + 1 < ARRAY_LEN(suffixes)) {
		n /= 1024;
		power++;
	}
	return print(n, is_negative, suffixes[power], arena, ret);
}

bool quantity_print(const struct quantity *q, struct arena *arena, struct span *ret)
{
	static const char *const suffixes[] = { "n", "u", "m", "", "k", "M", "G", "T", "P", "E" };
	bool is_negative = q->nano < 0;
	amount n = is_negative ? -q->nano : q->nano;
	int power = -9;
	char exponent[8] = "";

	if (n == 0)
		return print(0, false, "", arena, ret);
	/* Less than 1Ki is written in decimal; parts of a whole are rounded up. */
	if (q->form == FORM_BINARY && n >= (amount)1024 * NANO)
		return print_binary((n + NANO - 1) / NANO, is_negative, arena, ret);
	while (n % 1000 == 0 && power < 18) {
		n /= 1000;
		power += 3;
	}
	if (q->form != FORM_EXPONENT)
		return print(n, is_negative, suffixes[(power + 9) / 3], arena, ret);
	if (power)
		(void)snprintf(exponent, sizeof(exponent), "e%d", power);
	return print(n, is_negative, exponent, arena, ret);
}

bool quantity_canonical(struct span s, struct arena *arena, struct span *ret)
{
	struct quantity q;

	return quantity_read(s, &q) && quantity_print(&q, arena, ret);
}

static amount cap(amount n)
{
	return n > WHOLE_MAX ? WHOLE_MAX : n < -WHOLE_MAX ? -WHOLE_MAX : n;
}

void quantity_add(struct quantity *to, const struct quantity *q)
{
	if (to->nano == 0)
		to->form = q->form;
	to->nano = cap(to->nano + q->nano);
}

void quantity_subtract(struct quantity *from, const struct quantity *q)
{
	if (from->nano == 0)
		from->form = q->form;
	from->nano = cap(from->nano - q->nano);
}

void round_resources(struct change *c, struct value *list)
{
	for (uint32_t i = 0; value_is(list, VALUE_OBJECT) && i < list->object.count; i++) {
		struct value *v = &list->object.members[i].value;
		struct quantity q;
		struct span text;
		int64_t milli;

		if (!quantity_read(text_of(v), &q) || q.nano % 1000000 == 0 || !quantity_parse(text_of(v), &milli))
			continue;
		text = path_print(c, "%lldm", (long long)milli);
		if (quantity_canonical(text, c->arena, &text))
			*v = value_string(text);
	}
}

void fault_quantity(struct change *c, const struct at *at, struct span s, const char *detail)
{
	static const char *const formats[] = { "DecimalSI", "BinarySI", "DecimalExponent" };
	struct quantity q;
	long long value;
	int scale = -9;

	if (!quantity_read(s, &q)) {
		fault_invalid_text(c, at, s, detail);
		return;
	}
	while (scale < 0 && q.nano % 1000 == 0) {
		q.nano /= 1000;
		scale += 3;
	}
	value = (long long)q.nano;
	fault_printed(c, at,
		      path_print(c,
				 "resource.Quantity{i:resource.int64Amount{value:%lld, scale:%d}, "
				 "d:resource.infDecAmount{Dec:(*inf.Dec)(nil)}, s:\"" SPAN_FMT "\", Format:\"%s\"}",
				 value, scale, SPAN_ARG(s), formats[q.form]),
		      detail);
}
