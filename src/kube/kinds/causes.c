/* SPDX-License-Identifier: Apache-2.0 */
/* causes - faults of an object, with values printed as Go prints them (k8s.io/apimachinery util/validation/field). */
#include "kube/kinds/kinds.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

/* ---- text that grows in an arena ---- */

void text_add(struct text *t, struct span s)
{
	if (t->failed)
		return;
	if (t->capacity - t->len < s.len) {
		struct error err = { 0 };
		size_t capacity = MAX(t->capacity * 2, t->len + s.len + 64);
		char *ptr = arena_alloc(t->arena, capacity, &err);

		if (!ptr) {
			t->failed = true;
			return;
		}
		if (t->len)
			memcpy(ptr, t->ptr, t->len);
		t->ptr = ptr;
		t->capacity = capacity;
	}
	if (s.len)
		memcpy(t->ptr + t->len, s.ptr, s.len);
	t->len += s.len;
}

static void __attribute__((format(printf, 2, 0))) text_addv(struct text *t, const char *format, va_list args)
{
	va_list again;
	char small[256];
	int len;

	va_copy(again, args);
	len = vsnprintf(small, sizeof(small), format, args);
	if (len >= 0 && (size_t)len < sizeof(small)) {
		text_add(t, span_from(small, (size_t)len));
	} else if (len > 0) {
		char *large = base_alloc((size_t)len + 1);

		(void)vsnprintf(large, (size_t)len + 1, format, again);
		text_add(t, span_from(large, (size_t)len));
		free(large);
	}
	va_end(again);
}

void text_addf(struct text *t, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	text_addv(t, format, args);
	va_end(args);
}

/* ---- values as Go prints them ---- */

/* strconv.Quote, for what is UTF-8. */
static void text_quote(struct text *t, struct span s)
{
	text_add(t, SPAN("\""));
	for (size_t i = 0; i < s.len; i++) {
		unsigned char ch = (unsigned char)s.ptr[i];

		if (ch == '"' || ch == '\\')
			text_addf(t, "\\%c", ch);
		else if (ch == '\n')
			text_add(t, SPAN("\\n"));
		else if (ch == '\t')
			text_add(t, SPAN("\\t"));
		else if (ch == '\r')
			text_add(t, SPAN("\\r"));
		else if (ch < 0x20 || ch == 0x7f)
			text_addf(t, "\\x%02x", ch);
		else
			text_add(t, span_skip(span_first(s, i + 1), i));
	}
	text_add(t, SPAN("\""));
}

/* map[string]string{"a":"b"}; keys sorted, as Go does. */
static void text_go_map(struct text *t, const struct value *map)
{
	struct error err = { 0 };
	uint32_t count = count_of(map);
	const struct value_member **sorted = ARENA_ARRAY(t->arena, const struct value_member *, count, &err);

	if (!sorted) {
		t->failed = true;
		return;
	}
	for (uint32_t i = 0; i < count; i++)
		sorted[i] = &map->object.members[i];
	qsort(sorted, count, sizeof(*sorted), value_member_order);
	text_add(t, SPAN("map[string]string{"));
	for (uint32_t i = 0; i < count; i++) {
		text_add(t, i ? SPAN(", ") : SPAN(""));
		text_quote(t, sorted[i]->key);
		text_add(t, SPAN(":"));
		text_quote(t, text_of(&sorted[i]->value));
	}
	text_add(t, SPAN("}"));
}

static void text_go_strings(struct text *t, const struct value *list)
{
	text_add(t, SPAN("[]string{"));
	for (uint32_t i = 0; i < count_of(list); i++) {
		text_add(t, i ? SPAN(", ") : SPAN(""));
		text_quote(t, text_of(value_item(list, i)));
	}
	text_add(t, SPAN("}"));
}

static bool all_are_strings(const struct value *v)
{
	for (uint32_t i = 0; i < count_of(v); i++) {
		const struct value *item = v->type == VALUE_ARRAY ? value_item(v, i) : &v->object.members[i].value;

		if (!value_is(item, VALUE_STRING))
			return false;
	}
	return true;
}

static void text_go(struct text *t, const struct value *v)
{
	struct error err = { 0 };

	if (!v || v->type == VALUE_NULL) {
		text_add(t, SPAN("\"null\"")); /* a nil is printed as that string */
	} else if (v->type == VALUE_STRING) {
		text_quote(t, v->string);
	} else if (v->type == VALUE_ARRAY && all_are_strings(v)) {
		text_go_strings(t, v);
	} else if (v->type == VALUE_OBJECT && all_are_strings(v)) {
		text_go_map(t, v);
	} else {
		struct span json = value_print(v, t->arena, &err);

		t->failed = t->failed || !json.ptr;
		text_add(t, json);
	}
}

static void text_requirements_go(struct text *t, const struct value *list)
{
	if (!count_of(list)) {
		text_add(t, SPAN("[]v1.LabelSelectorRequirement(nil)"));
		return;
	}
	text_add(t, SPAN("[]v1.LabelSelectorRequirement{"));
	for (uint32_t i = 0; i < count_of(list); i++) {
		const struct value *r = value_item(list, i);

		text_add(t, i ? SPAN(", v1.LabelSelectorRequirement{Key:") : SPAN("v1.LabelSelectorRequirement{Key:"));
		text_quote(t, get_text(r, "key"));
		text_add(t, SPAN(", Operator:"));
		text_quote(t, get_text(r, "operator"));
		text_add(t, SPAN(", Values:"));
		if (count_of(get(r, "values")))
			text_go_strings(t, get(r, "values"));
		else
			text_add(t, SPAN("[]string(nil)"));
		text_add(t, SPAN("}"));
	}
	text_add(t, SPAN("}"));
}

struct span selector_print_go(struct change *c, const struct value *selector)
{
	struct text t = { .arena = c->arena };
	const struct value *labels = get(selector, "matchLabels");

	text_add(&t, SPAN("v1.LabelSelector{MatchLabels:"));
	if (labels)
		text_go_map(&t, labels);
	else
		text_add(&t, SPAN("map[string]string(nil)"));
	text_add(&t, SPAN(", MatchExpressions:"));
	text_requirements_go(&t, get(selector, "matchExpressions"));
	text_add(&t, SPAN("}"));
	return text_span(&t);
}

/* ---- places ---- */

static void text_at(struct text *t, const struct at *at)
{
	if (!at)
		return;
	text_at(t, at->up);
	if (at->name) {
		text_add(t, at->up ? SPAN(".") : SPAN(""));
		text_add(t, span_of(at->name));
	} else if (at->key.ptr) {
		text_add(t, SPAN("["));
		text_add(t, at->key);
		text_add(t, SPAN("]"));
	} else {
		text_addf(t, "[%u]", at->index);
	}
}

static struct span text_take(struct change *c, struct text *t)
{
	if (t->failed && c->err && c->err->code == ERROR_NONE)
		error_set(c->err, ERROR_TOO_LARGE, "the memory of one request is used up");
	return text_span(t);
}

struct span at_print(struct change *c, const struct at *at)
{
	struct text t = { .arena = c->arena };

	text_at(&t, at);
	return text_take(c, &t);
}

struct span path_print(struct change *c, const char *format, ...)
{
	struct text t = { .arena = c->arena };
	va_list args;

	va_start(args, format);
	text_addv(&t, format, args);
	va_end(args);
	return text_take(c, &t);
}

const char *detail_print(struct change *c, const char *format, ...)
{
	struct text t = { .arena = c->arena };
	va_list args;
	struct span s;

	va_start(args, format);
	text_addv(&t, format, args);
	va_end(args);
	text_add(&t, span_from("", 1));
	s = text_take(c, &t);
	return s.len ? s.ptr : "";
}

/* ---- causes ---- */

static void add(struct change *c, const char *reason, struct span path, struct text *message, const char *detail)
{
	struct cause *cause;

	if (detail && *detail)
		text_addf(message, ": %s", detail);
	c->cause_count++;
	if (c->cause_count > CAUSES_MAX)
		return;
	cause = ARENA_NEW(c->arena, struct cause, c->err);
	if (!cause)
		return;
	cause->reason = reason;
	cause->field = path;
	cause->message = text_take(c, message);
	if (!c->causes_end)
		c->causes_end = &c->causes;
	*c->causes_end = cause;
	c->causes_end = &cause->next;
}

void cause_required(struct change *c, struct span path, const char *detail)
{
	struct text t = { .arena = c->arena };

	text_add(&t, SPAN("Required value"));
	add(c, "FieldValueRequired", path, &t, detail);
}

void cause_invalid(struct change *c, struct span path, const struct value *v, const char *detail)
{
	struct text t = { .arena = c->arena };

	text_add(&t, SPAN("Invalid value: "));
	text_go(&t, v);
	add(c, "FieldValueInvalid", path, &t, detail);
}

static int text_order(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

#define VALUES_MAX 64 /* of one enumeration that we write */

static void not_supported(struct change *c, struct span path, const struct value *v, const char *const *values)
{
	struct text t = { .arena = c->arena };

	text_add(&t, SPAN("Unsupported value: "));
	if (v)
		text_go(&t, v);
	else
		text_add(&t, SPAN("\"\""));
	for (size_t i = 0; values[i]; i++) {
		text_add(&t, i ? SPAN(", ") : SPAN(": supported values: "));
		text_quote(&t, span_of(values[i]));
	}
	add(c, "FieldValueNotSupported", path, &t, NULL);
}

void cause_not_supported(struct change *c, struct span path, const struct value *v, const char *const *values)
{
	const char *sorted[VALUES_MAX + 1];
	size_t count = 0;

	while (values[count] && count < VALUES_MAX) {
		sorted[count] = values[count];
		count++;
	}
	qsort(sorted, count, sizeof(*sorted), text_order);
	sorted[count] = NULL;
	not_supported(c, path, v, sorted);
}

void cause_duplicate(struct change *c, struct span path, const struct value *v)
{
	struct text t = { .arena = c->arena };

	text_add(&t, SPAN("Duplicate value: "));
	text_go(&t, v);
	add(c, "FieldValueDuplicate", path, &t, NULL);
}

void cause_forbidden(struct change *c, struct span path, const char *detail)
{
	struct text t = { .arena = c->arena };

	text_add(&t, SPAN("Forbidden"));
	add(c, "FieldValueForbidden", path, &t, detail);
}

void cause_too_long(struct change *c, struct span path, size_t most)
{
	struct text t = { .arena = c->arena };

	text_addf(&t, "Too long: may not be more than %zu bytes", most);
	add(c, "FieldValueTooLong", path, &t, NULL);
}

void cause_too_many(struct change *c, struct span path, size_t given, size_t most)
{
	struct text t = { .arena = c->arena };

	text_addf(&t, "Too many: %zu: must have at most %zu items", given, most);
	add(c, "FieldValueTooMany", path, &t, NULL);
}

void change_warn(struct change *c, const char *format, ...)
{
	struct text t = { .arena = c->arena };
	va_list args;
	struct span s;

	va_start(args, format);
	text_addv(&t, format, args);
	va_end(args);
	s = text_take(c, &t);
	if (!c->warnings) {
		c->warnings = ARENA_NEW(c->arena, struct value, c->err);
		if (!c->warnings)
			return;
		*c->warnings = value_array();
	}
	(void)value_append(c->warnings, value_string(s), c->arena, c->err);
}

/* ---- causes at a place ---- */

void fault_required(struct change *c, const struct at *at, const char *detail)
{
	cause_required(c, at_print(c, at), detail);
}

void fault_invalid(struct change *c, const struct at *at, const struct value *v, const char *detail)
{
	cause_invalid(c, at_print(c, at), v, detail);
}

void fault_invalid_text(struct change *c, const struct at *at, struct span text, const char *detail)
{
	struct value v = value_string(text);

	cause_invalid(c, at_print(c, at), &v, detail);
}

void fault_invalid_go(struct change *c, const struct at *at, struct span printed, const char *detail)
{
	struct text t = { .arena = c->arena };

	text_add(&t, SPAN("Invalid value: "));
	text_add(&t, printed);
	add(c, "FieldValueInvalid", at_print(c, at), &t, detail);
}

void fault_not_supported(struct change *c, const struct at *at, const struct value *v, const char *const *values)
{
	not_supported(c, at_print(c, at), v, values);
}

void fault_duplicate(struct change *c, const struct at *at, const struct value *v)
{
	cause_duplicate(c, at_print(c, at), v);
}

void fault_forbidden(struct change *c, const struct at *at, const char *detail)
{
	cause_forbidden(c, at_print(c, at), detail);
}

void fault_too_long(struct change *c, const struct at *at, size_t most)
{
	cause_too_long(c, at_print(c, at), most);
}

void fault_printed(struct change *c, const struct at *at, struct span printed, const char *detail)
{
	struct text t = { .arena = c->arena };

	text_add(&t, SPAN("Invalid value: "));
	text_add(&t, printed);
	add(c, "FieldValueInvalid", at_print(c, at), &t, detail);
}

void fault_omitted(struct change *c, const struct at *at, const char *detail)
{
	struct text t = { .arena = c->arena };

	text_addf(&t, "Invalid value: %s", detail);
	add(c, "FieldValueInvalid", at_print(c, at), &t, NULL);
}

void fault_not_found(struct change *c, const struct at *at, const struct value *v)
{
	struct text t = { .arena = c->arena };

	text_add(&t, SPAN("Not found: "));
	text_go(&t, v);
	add(c, "FieldValueNotFound", at_print(c, at), &t, NULL);
}

void fault_too_many(struct change *c, const struct at *at, size_t given, size_t most)
{
	cause_too_many(c, at_print(c, at), given, most);
}

void fault_int_or_string(struct change *c, const struct at *at, const struct value *v, const char *detail)
{
	struct text t = { .arena = c->arena };

	if (value_is(v, VALUE_STRING)) {
		text_add(&t, SPAN("intstr.IntOrString{Type:1, IntVal:0, StrVal:"));
		text_quote(&t, v->string);
		text_add(&t, SPAN("}"));
	} else {
		text_addf(&t, "intstr.IntOrString{Type:0, IntVal:%lld, StrVal:\"\"}",
			  value_is(v, VALUE_INT) ? (long long)v->integer : 0);
	}
	fault_printed(c, at, text_span(&t), detail);
}

void fault_labels(struct change *c, const struct at *at, const struct value *labels, const char *detail)
{
	struct text t = { .arena = c->arena };

	if (value_is_empty(labels))
		text_add(&t, SPAN("map[string]string(nil)"));
	else
		text_go_map(&t, labels);
	fault_printed(c, at, text_span(&t), detail);
}

void fault_duplicate_printed(struct change *c, const struct at *at, struct span printed)
{
	struct text t = { .arena = c->arena };

	text_add(&t, SPAN("Duplicate value: "));
	text_add(&t, printed);
	add(c, "FieldValueDuplicate", at_print(c, at), &t, NULL);
}

/* apps.DeploymentStrategy{Type:"X", RollingUpdate:(*apps.RollingUpdateDeployment)(nil)}; one that is there is told by its address, which
 * says nothing: here by its name. */
struct span strategy_print(struct change *c, const char *name, const struct value *strategy, const char *rolling)
{
	struct text t = { .arena = c->arena };

	text_addf(&t, "%s{Type:", name);
	text_quote(&t, get_text(strategy, "type"));
	text_addf(&t, ", RollingUpdate:(*%s)(%s)}", rolling, get(strategy, "rollingUpdate") ? "..." : "nil");
	return text_span(&t);
}

void fault_not_supported_struct(struct change *c, const struct at *at, const char *name, const struct value *strategy,
				const char *rolling, const char *const *values)
{
	fault_not_supported_printed(c, at, strategy_print(c, name, strategy, rolling), values);
}

void fault_not_supported_printed(struct change *c, const struct at *at, struct span printed, const char *const *values)
{
	struct text t = { .arena = c->arena };

	text_add(&t, SPAN("Unsupported value: "));
	text_add(&t, printed);
	for (size_t i = 0; values[i]; i++) {
		text_add(&t, i ? SPAN(", ") : SPAN(": supported values: "));
		text_quote(&t, span_of(values[i]));
	}
	add(c, "FieldValueNotSupported", at_print(c, at), &t, NULL);
}

void fault_typed_strings(struct change *c, const struct at *at, const char *type, const struct value *list,
			 const char *detail)
{
	struct text t = { .arena = c->arena }, whole = { .arena = c->arena };
	struct span s;

	text_go_strings(&t, list);
	s = text_span(&t);
	text_add(&whole, span_of(type));
	text_add(&whole, span_skip(s, MIN(s.len, strlen("[]string"))));
	fault_printed(c, at, text_span(&whole), detail);
}
