/* SPDX-License-Identifier: Apache-2.0 */
/* downward - what a pod may be told of itself: its fields, and the resources of its containers. */
#include <stdlib.h>

#include "kube/kinds/quantity.h"
#include "node/environment.h"

#define UTF8_BYTES_MOST 4

/* ---- maps, as lines of name="value" ---- */

/* The length of the UTF-8 sequence at the start of `s`, which has at least one byte; 0: it is none. */
static size_t sequence_length(struct span s)
{
	for (size_t n = 1; n <= MIN(s.len, (size_t)UTF8_BYTES_MOST); n++)
		if (span_is_utf8(span_first(s, n)))
			return n;
	return 0;
}

static void quote_control(struct buffer *out, unsigned char c)
{
	static const struct {
		char byte;
		const char *text;
	} rows[] = { { '\a', "\\a" }, { '\b', "\\b" }, { '\f', "\\f" }, { '\n', "\\n" },
		     { '\r', "\\r" }, { '\t', "\\t" }, { '\v', "\\v" } };

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		if (rows[i].byte == (char)c) {
			buffer_append(out, span_of(rows[i].text));
			return;
		}
	}
	buffer_print(out, "\\x%02x", c);
}

/* As strconv.Quote writes it. */
static void quote(struct buffer *out, struct span s)
{
	buffer_byte(out, '"');
	while (s.len) {
		unsigned char c = (unsigned char)*s.ptr;
		size_t n = sequence_length(s);

		if (c == '"' || c == '\\') {
			buffer_byte(out, '\\');
			buffer_byte(out, (char)c);
		} else if (c < ' ' || c == 0x7f || n == 0) {
			quote_control(out, c);
		} else {
			buffer_append(out, span_first(s, n));
		}
		s = span_skip(s, n ? n : 1);
	}
	buffer_byte(out, '"');
}

/* Lines by name, the last one without an end, as the real kubelet writes labels and annotations. */
static bool map_print(const struct value *map, struct arena *arena, struct span *ret, struct error *err)
{
	uint32_t count = value_is(map, VALUE_OBJECT) ? map->object.count : 0;
	const struct value_member **sorted = ARENA_ARRAY(arena, const struct value_member *, count, err);
	struct buffer out;

	if (!sorted)
		return false;
	for (uint32_t i = 0; i < count; i++)
		sorted[i] = &map->object.members[i];
	qsort(sorted, count, sizeof(*sorted), value_member_order);
	buffer_init(&out, MIB(2));
	for (uint32_t i = 0; i < count; i++) {
		if (i)
			buffer_byte(&out, '\n');
		buffer_append(&out, sorted[i]->key);
		buffer_byte(&out, '=');
		if (sorted[i]->value.type == VALUE_STRING)
			quote(&out, sorted[i]->value.string);
	}
	if (buffer_ok(&out, "labels or annotations", err))
		*ret = arena_copy(arena, buffer_span(&out), err);
	buffer_done(&out);
	return err->code == ERROR_NONE;
}

/* ---- fields ---- */

/* "metadata.labels['app']": what stands in between, and what is asked for. */
static bool subscript_split(struct span path, struct span *ret_map, struct span *ret_key)
{
	const char *at = memmem(path.ptr, path.len, "['", 2);

	if (!at || at == path.ptr || !span_ends(path, SPAN("']")) || at + 4 > path.ptr + path.len)
		return false;
	*ret_map = span_from(path.ptr, (size_t)(at - path.ptr));
	*ret_key = span_from(at + 2, (size_t)(path.ptr + path.len - 2 - (at + 2)));
	return true;
}

static bool subscript_value(const struct value *pod, struct span path, struct span map, struct span key,
			    struct span *ret, struct error *err)
{
	const struct value *v = NULL;

	if (span_equal(map, SPAN("metadata.labels")))
		v = value_get(value_find(pod, "metadata.labels"), key);
	else if (span_equal(map, SPAN("metadata.annotations")))
		v = value_get(value_find(pod, "metadata.annotations"), key);
	else
		return error_set(err, ERROR_INVALID, "fieldPath \"" SPAN_FMT "\" does not support subscript",
				 SPAN_ARG(path));
	*ret = value_is(v, VALUE_STRING) ? v->string : SPAN("");
	return true;
}

static bool is_one_of(struct span path, const char *const *list)
{
	for (; *list; list++)
		if (span_equal(path, span_of(*list)))
			return true;
	return false;
}

bool field_value(const struct pod_place *p, const struct value *pod, struct span path, struct arena *arena,
		 struct span *ret, struct error *err)
{
	static const char *const texts[] = { "metadata.name", "metadata.namespace",      "metadata.uid",
					     "spec.nodeName", "spec.serviceAccountName", NULL };
	static const char *const host[] = { "status.hostIP", "status.hostIPs", NULL };
	static const char *const own[] = { "status.podIP", "status.podIPs", NULL };
	struct span map, key, name;
	const struct value *v;

	if (subscript_split(path, &map, &key))
		return subscript_value(pod, path, map, key, ret, err);
	if (span_equal(path, SPAN("metadata.labels")) || span_equal(path, SPAN("metadata.annotations")))
		return map_print(value_get(value_get(pod, SPAN("metadata")), span_skip(path, strlen("metadata."))),
				 arena, ret, err);
	if (is_one_of(path, texts)) {
		name = path;
		map = span_cut(&name, '.');
		v = value_get(value_get(pod, map), name);
		*ret = value_is(v, VALUE_STRING) ? v->string : SPAN("");
	} else if (is_one_of(path, host)) {
		*ret = p->host_address;
	} else if (is_one_of(path, own)) {
		*ret = p->pod_address;
	} else {
		return error_set(err, ERROR_INVALID, "unsupported fieldPath: " SPAN_FMT, SPAN_ARG(path));
	}
	return true;
}

/* ---- resources ---- */

static const struct value *container_find(const struct value *pod, struct span name)
{
	static const char *const lists[] = { "spec.containers", "spec.initContainers" };

	for (size_t k = 0; k < ARRAY_LEN(lists); k++) {
		const struct value *list = value_find(pod, lists[k]);

		for (uint32_t i = 0; i < value_count(list); i++)
			if (span_equal(value_find_string(value_item(list, i), "name"), name))
				return value_item(list, i);
	}
	return NULL;
}

/* Limits of what has none are what the node has for pods. */
static quantity_amount default_limit(const struct pod_place *p, struct span resource)
{
	if (span_equal(resource, SPAN("limits.cpu")))
		return (quantity_amount)p->capacity_cpu * (QUANTITY_NANO / 1000);
	if (span_equal(resource, SPAN("limits.memory")))
		return (quantity_amount)p->capacity_memory * QUANTITY_NANO;
	return 0;
}

static quantity_amount ceiling(quantity_amount a, quantity_amount b)
{
	return (a + b - 1) / b;
}

bool resource_value(const struct pod_place *p, const struct value *pod, struct span container, struct span resource,
		    struct span divisor, struct arena *arena, struct span *ret, struct error *err)
{
	static const char *const known[] = { "cpu", "memory", "ephemeral-storage", NULL };
	const struct value *one = container_find(pod, container), *v;
	struct quantity amount = quantity_of(0), by = quantity_of(0);
	struct span rest = resource, list = span_cut(&rest, '.');
	/* Whole ones count, but of cpu thousandths. */
	quantity_amount unit = span_equal(rest, SPAN("cpu")) ? QUANTITY_NANO / 1000 : QUANTITY_NANO;

	if (!one)
		return error_set(err, ERROR_INVALID, "container " SPAN_FMT " not found", SPAN_ARG(container));
	if ((!span_equal(list, SPAN("limits")) && !span_equal(list, SPAN("requests"))) ||
	    (!is_one_of(rest, known) && !span_starts(rest, SPAN("hugepages-"))))
		return error_set(err, ERROR_INVALID, "unsupported container resource : " SPAN_FMT, SPAN_ARG(resource));
	v = value_get(value_get(value_get(one, SPAN("resources")), list), rest);
	if (value_is(v, VALUE_STRING))
		(void)quantity_read(v->string, &amount);
	if (amount.nano == 0)
		amount.nano = default_limit(p, resource);
	(void)quantity_read(divisor, &by);
	if (by.nano <= 0)
		by = quantity_of(1);
	*ret = arena_print(arena, err, "%lld", (long long)ceiling(ceiling(amount.nano, unit), ceiling(by.nano, unit)));
	return ret->ptr != NULL;
}
