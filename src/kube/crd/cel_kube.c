/* SPDX-License-Identifier: Apache-2.0 */
/* Kubernetes' libraries of quantities, versions (semver.org, 2.0.0) and named formats. */
#include "base/number.h"
#include "kube/crd/cel_private.h"
#include "kube/kind.h"
#include "kube/kinds/quantity.h"

struct cel_quantity {
	struct quantity amount;
};

struct cel_semver {
	uint64_t numbers[3];
	struct span before; /* "rc.1"; empty: a release */
};

/* ---- quantities ---- */

static struct cel_value quantity_value(struct cel_call *c, struct quantity amount)
{
	struct cel_quantity *q = ARENA_NEW(c->arena, struct cel_quantity, c->err);

	if (!q)
		return cel_fail(SPAN("memory ended"));
	q->amount = amount;
	return (struct cel_value){ .kind = CEL_QUANTITY, .quantity = q };
}

static struct cel_value quantity(struct cel_call *c, const struct cel_value *a)
{
	struct quantity q;

	if (!quantity_read(a->text, &q))
		return cel_fail(SPAN(
		    "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"));
	return quantity_value(c, q);
}

static struct cel_value is_quantity(struct cel_call *c, const struct cel_value *a)
{
	struct quantity q;

	(void)c;
	return cel_of_bool(quantity_read(a->text, &q));
}

static int sign_of(quantity_amount n)
{
	return (n > 0) - (n < 0);
}

static struct cel_value quantity_sign(struct cel_call *c, const struct cel_value *a)
{
	(void)c;
	return cel_of_int(sign_of(a->quantity->amount.nano));
}

static int order(const struct cel_value *a)
{
	quantity_amount x = a[0].quantity->amount.nano, y = a[1].quantity->amount.nano;

	return (x > y) - (x < y);
}

static struct cel_value quantity_greater(struct cel_call *c, const struct cel_value *a)
{
	(void)c;
	return cel_of_bool(order(a) > 0);
}

static struct cel_value quantity_less(struct cel_call *c, const struct cel_value *a)
{
	(void)c;
	return cel_of_bool(order(a) < 0);
}

static struct cel_value quantity_order(struct cel_call *c, const struct cel_value *a)
{
	(void)c;
	return cel_of_int(order(a));
}

static struct cel_value quantity_float(struct cel_call *c, const struct cel_value *a)
{
	(void)c;
	return cel_of_double((double)a->quantity->amount.nano / 1e9);
}

static bool is_whole(const struct cel_value *v, int64_t *ret)
{
	quantity_amount n = v->quantity->amount.nano;

	if (n % QUANTITY_NANO != 0 || n / QUANTITY_NANO > INT64_MAX || n / QUANTITY_NANO < INT64_MIN)
		return false;
	*ret = (int64_t)(n / QUANTITY_NANO);
	return true;
}

static struct cel_value quantity_is_integer(struct cel_call *c, const struct cel_value *a)
{
	int64_t i;

	(void)c;
	return cel_of_bool(is_whole(a, &i));
}

static struct cel_value quantity_integer(struct cel_call *c, const struct cel_value *a)
{
	int64_t i;

	(void)c;
	return is_whole(a, &i) ? cel_of_int(i) : cel_fail(SPAN("cannot convert value to integer"));
}

static struct cel_value quantity_plus(struct cel_call *c, const struct cel_value *a)
{
	struct quantity q = a[0].quantity->amount;
	struct quantity other = a[1].kind == CEL_INT ? quantity_of(a[1].integer) : a[1].quantity->amount;

	quantity_add(&q, &other);
	return quantity_value(c, q);
}

static struct cel_value quantity_minus(struct cel_call *c, const struct cel_value *a)
{
	struct quantity q = a[0].quantity->amount;
	struct quantity other = a[1].kind == CEL_INT ? quantity_of(a[1].integer) : a[1].quantity->amount;

	quantity_subtract(&q, &other);
	return quantity_value(c, q);
}

bool cel_quantity_equal(const struct cel_quantity *a, const struct cel_quantity *b)
{
	return a->amount.nano == b->amount.nano;
}

/* ---- versions ---- */

static bool is_identifier(struct span s)
{
	for (size_t i = 0; i < s.len; i++)
		if (s.ptr[i] != '-' && !(s.ptr[i] >= '0' && s.ptr[i] <= '9') &&
		    !((s.ptr[i] | 0x20) >= 'a' && (s.ptr[i] | 0x20) <= 'z'))
			return false;
	return s.len > 0;
}

static bool is_number(struct span s)
{
	for (size_t i = 0; i < s.len; i++)
		if (s.ptr[i] < '0' || s.ptr[i] > '9')
			return false;
	return s.len > 0;
}

static bool identifiers_check(struct span s, bool no_zeros)
{
	for (;;) {
		size_t dot = span_index(s, '.');
		struct span one = span_first(s, dot);

		if (!is_identifier(one) || (no_zeros && one.len > 1 && one.ptr[0] == '0' && is_number(one)))
			return false;
		if (dot == s.len)
			return true;
		s = span_skip(s, dot + 1);
	}
}

/* `lenient`: "v1.2" and "01.2.3" too. */
static bool semver_read(struct span s, bool lenient, struct cel_semver *ret)
{
	size_t plus, minus;
	struct span numbers;
	int n = 0;

	*ret = (struct cel_semver){ 0 };
	if (lenient && span_starts(s, SPAN("v")))
		s = span_skip(s, 1);
	plus = span_index(s, '+');
	if (plus < s.len && !identifiers_check(span_skip(s, plus + 1), false))
		return false;
	s = span_first(s, plus);
	minus = span_index(s, '-');
	if (minus < s.len) {
		ret->before = span_skip(s, minus + 1);
		if (!identifiers_check(ret->before, true))
			return false;
	}
	numbers = span_first(s, minus);
	while (n < 3) {
		size_t dot = span_index(numbers, '.');
		struct span one = span_first(numbers, dot);

		while (lenient && one.len > 1 && one.ptr[0] == '0')
			one = span_skip(one, 1);
		if (!is_number(one) || (one.len > 1 && one.ptr[0] == '0') ||
		    !number_parse_uint64(one, &ret->numbers[n]))
			return false;
		n++;
		if (dot == numbers.len)
			return n == 3 || lenient;
		numbers = span_skip(numbers, dot + 1);
	}
	return false;
}

static int identifier_order(struct span a, struct span b)
{
	bool x = is_number(a), y = is_number(b);

	if (x != y)
		return x ? -1 : 1;
	if (x && a.len != b.len)
		return a.len < b.len ? -1 : 1;
	return span_order(a, b);
}

int cel_semver_compare(const struct cel_semver *a, const struct cel_semver *b)
{
	struct span x = a->before, y = b->before;

	for (int i = 0; i < 3; i++)
		if (a->numbers[i] != b->numbers[i])
			return a->numbers[i] < b->numbers[i] ? -1 : 1;
	if (!x.len || !y.len)
		return x.len ? -1 : y.len ? 1 : 0;
	while (x.len && y.len) {
		int o = identifier_order(span_cut(&x, '.'), span_cut(&y, '.'));

		if (o)
			return o;
	}
	return x.len ? 1 : y.len ? -1 : 0;
}

static struct cel_value semver_value(struct cel_call *c, struct span s, bool lenient)
{
	struct cel_semver *v = ARENA_NEW(c->arena, struct cel_semver, c->err);

	if (v && semver_read(s, lenient, v))
		return (struct cel_value){ .kind = CEL_SEMVER, .semver = v };
	return cel_fail_print(c, "No Major.Minor.Patch elements found");
}

static struct cel_value semver(struct cel_call *c, const struct cel_value *a)
{
	return semver_value(c, a->text, false);
}

static struct cel_value semver_lenient(struct cel_call *c, const struct cel_value *a)
{
	return semver_value(c, a[0].text, a[1].boolean);
}

static struct cel_value is_semver(struct cel_call *c, const struct cel_value *a)
{
	struct cel_semver v;

	(void)c;
	return cel_of_bool(semver_read(a->text, false, &v));
}

static struct cel_value is_semver_lenient(struct cel_call *c, const struct cel_value *a)
{
	struct cel_semver v;

	(void)c;
	return cel_of_bool(semver_read(a[0].text, a[1].boolean, &v));
}

static struct cel_value semver_greater(struct cel_call *c, const struct cel_value *a)
{
	(void)c;
	return cel_of_bool(cel_semver_compare(a[0].semver, a[1].semver) > 0);
}

static struct cel_value semver_less(struct cel_call *c, const struct cel_value *a)
{
	(void)c;
	return cel_of_bool(cel_semver_compare(a[0].semver, a[1].semver) < 0);
}

static struct cel_value semver_order(struct cel_call *c, const struct cel_value *a)
{
	(void)c;
	return cel_of_int(cel_semver_compare(a[0].semver, a[1].semver));
}

static struct cel_value semver_major(struct cel_call *c, const struct cel_value *a)
{
	(void)c;
	return cel_of_int((int64_t)a->semver->numbers[0]);
}

static struct cel_value semver_minor(struct cel_call *c, const struct cel_value *a)
{
	(void)c;
	return cel_of_int((int64_t)a->semver->numbers[1]);
}

static struct cel_value semver_patch(struct cel_call *c, const struct cel_value *a)
{
	(void)c;
	return cel_of_int((int64_t)a->semver->numbers[2]);
}

/* ---- formats ---- */

static const char *check_uuid(struct span s)
{
	size_t dashes = 0;

	for (size_t i = 0; i < s.len; i++) {
		char ch = s.ptr[i];

		if (ch == '-' && (i == 8 || i == 13 || i == 18 || i == 23))
			dashes++;
		else if (!(ch >= '0' && ch <= '9') && !((ch | 0x20) >= 'a' && (ch | 0x20) <= 'f'))
			return "does not match the UUID format";
	}
	return (s.len == 36 && dashes == 4) || (s.len == 32 && !dashes) ? NULL : "does not match the UUID format";
}

static const char *check_byte(struct span s)
{
	size_t pad = span_ends(s, SPAN("==")) ? 2 : span_ends(s, SPAN("=")) ? 1 : 0;

	if (!s.len || s.len % 4)
		return "invalid base64";
	for (size_t i = 0; i + pad < s.len; i++)
		if (!(s.ptr[i] >= '0' && s.ptr[i] <= '9') && !((s.ptr[i] | 0x20) >= 'a' && (s.ptr[i] | 0x20) <= 'z') &&
		    s.ptr[i] != '+' && s.ptr[i] != '/')
			return "invalid base64";
	return NULL;
}

static const char *check_date(struct span s)
{
	int64_t seconds;

	return cel_date_parse(s, &seconds) ? NULL : "invalid date";
}

static const char *check_datetime(struct span s)
{
	int64_t seconds;
	int32_t nanoseconds;

	return cel_timestamp_parse(s, &seconds, &nanoseconds) ? NULL : "invalid datetime";
}

static const char *check_uri(struct span s)
{
	(void)s;
	return NULL; /* told by url_fault() below, which knows more */
}

/* Of a name that may be the start of one: a dash or dot at its end is left out. */
static struct span without_end(struct span s)
{
	return s.len > 1 && s.ptr[s.len - 1] == '-' ? span_first(s, s.len - 1) : s;
}

static const char *check_label_prefix(struct span s)
{
	return name_check_label(without_end(s));
}

static const char *check_subdomain_prefix(struct span s)
{
	return name_check_subdomain(without_end(s));
}

static const char *check_1035_prefix(struct span s)
{
	return name_check_1035(without_end(s));
}

static const struct {
	const char *name;
	const char *(*check)(struct span s);
} formats[] = {
	{ "dns1123Label", name_check_label },
	{ "dns1123Subdomain", name_check_subdomain },
	{ "dns1035Label", name_check_1035 },
	{ "qualifiedName", name_check_qualified },
	{ "dns1123LabelPrefix", check_label_prefix },
	{ "dns1123SubdomainPrefix", check_subdomain_prefix },
	{ "dns1035LabelPrefix", check_1035_prefix },
	{ "labelValue", name_check_label_value },
	{ "uri", check_uri },
	{ "uuid", check_uuid },
	{ "byte", check_byte },
	{ "date", check_date },
	{ "datetime", check_datetime },
};

static struct cel_value some(struct cel_call *c, struct cel_value v)
{
	struct cel_value *kept = ARENA_NEW(c->arena, struct cel_value, c->err);

	if (kept)
		*kept = v;
	return cel_optional(kept);
}

static struct cel_value format_of(const char *name)
{
	return (struct cel_value){ .kind = CEL_FORMAT, .text = span_of(name) };
}

static struct cel_value format_named(struct cel_call *c, const struct cel_value *a)
{
	for (size_t i = 0; i < ARRAY_LEN(formats); i++)
		if (span_equal(a->text, span_of(formats[i].name)))
			return some(c, format_of(formats[i].name));
	return cel_optional(NULL);
}

/* format.uuid(): the name behind the dot. */
static struct cel_value format_constant(struct cel_call *c, const struct cel_value *a)
{
	struct span name = span_skip(c->node->name, sizeof("format.") - 1);

	(void)a;
	for (size_t i = 0; i < ARRAY_LEN(formats); i++)
		if (span_equal(name, span_of(formats[i].name)))
			return format_of(formats[i].name);
	return CEL_NO_OVERLOAD;
}

/* Go's url.ParseRequestURI by way of the URL library. */
static struct span url_fault(struct cel_call *c, const struct cel_value *text)
{
	size_t count = 0;
	const struct cel_overload *const *rows = cel_overloads_of(SPAN("url"), &count);
	struct cel_value v = rows ? rows[0]->call(c, text) : CEL_NO_OVERLOAD;
	struct span head = SPAN("URL parse error during conversion from string: ");

	if (v.kind != CEL_ERROR)
		return (struct span){ 0 };
	return span_starts(v.text, head) ? span_skip(v.text, head.len) : v.text;
}

static struct cel_value validate(struct cel_call *c, const struct cel_value *a)
{
	struct span words = { 0 };
	struct cel_list *list;
	struct cel_value v;

	if (span_equal(a[0].text, SPAN("uri")))
		words = url_fault(c, &a[1]);
	for (size_t i = 0; i < ARRAY_LEN(formats); i++)
		if (span_equal(a[0].text, span_of(formats[i].name)) && formats[i].check(a[1].text))
			words = span_of(formats[i].check(a[1].text));
	if (!words.ptr)
		return cel_optional(NULL);
	v = cel_list_new(c, 1, &list);
	if (!list || !cel_list_append(c, list, cel_text(words)))
		return cel_optional(NULL);
	return some(c, v);
}

#define FORMAT(name) CEL_ROW("format." name, "format." name, "", "F", format_constant)

const struct cel_overload cel_kube_overloads[] = {
	CEL_ROW("quantity", "string_to_quantity", "s", "q", quantity),
	CEL_ROW("isQuantity", "is_quantity_string", "s", "b", is_quantity),
	CEL_ROW("sign", "quantity_sign", "q", "i", quantity_sign),
	CEL_MEMBER("isGreaterThan", "quantity_is_greater_than", "qq", "b", quantity_greater),
	CEL_MEMBER("isLessThan", "quantity_is_less_than", "qq", "b", quantity_less),
	CEL_MEMBER("compareTo", "quantity_compare_to", "qq", "i", quantity_order),
	CEL_MEMBER("asApproximateFloat", "quantity_get_float", "q", "d", quantity_float),
	CEL_MEMBER("asInteger", "quantity_get_int", "q", "i", quantity_integer),
	CEL_MEMBER("isInteger", "quantity_is_integer", "q", "b", quantity_is_integer),
	CEL_MEMBER("add", "quantity_add", "qq", "q", quantity_plus),
	CEL_MEMBER("add", "quantity_add_int", "qi", "q", quantity_plus),
	CEL_MEMBER("sub", "quantity_sub", "qq", "q", quantity_minus),
	CEL_MEMBER("sub", "quantity_sub_int", "qi", "q", quantity_minus),
	CEL_NEWEST("semver", "string_to_semver", "s", "v", semver),
	CEL_NEWEST("semver", "string_bool_to_semver", "sb", "v", semver_lenient),
	CEL_NEWEST("isSemver", "is_semver_string", "s", "b", is_semver),
	CEL_NEWEST("isSemver", "is_semver_string_bool", "sb", "b", is_semver_lenient),
	CEL_NEWEST_MEMBER("isGreaterThan", "semver_is_greater_than", "vv", "b", semver_greater),
	CEL_NEWEST_MEMBER("isLessThan", "semver_is_less_than", "vv", "b", semver_less),
	CEL_NEWEST_MEMBER("compareTo", "semver_compare_to", "vv", "i", semver_order),
	CEL_NEWEST_MEMBER("major", "semver_major", "v", "i", semver_major),
	CEL_NEWEST_MEMBER("minor", "semver_minor", "v", "i", semver_minor),
	CEL_NEWEST_MEMBER("patch", "semver_patch", "v", "i", semver_patch),
	CEL_ROW("format.named", "format-named", "s", "?F", format_named),
	CEL_MEMBER("validate", "format-validate", "Fs", "?[s", validate),
	FORMAT("dns1123Label"),
	FORMAT("dns1123Subdomain"),
	FORMAT("dns1035Label"),
	FORMAT("qualifiedName"),
	FORMAT("dns1123LabelPrefix"),
	FORMAT("dns1123SubdomainPrefix"),
	FORMAT("dns1035LabelPrefix"),
	FORMAT("labelValue"),
	FORMAT("uri"),
	FORMAT("uuid"),
	FORMAT("byte"),
	FORMAT("date"),
	FORMAT("datetime"),
	{ 0 },
};
