/* SPDX-License-Identifier: Apache-2.0 */
/* compile_filters - filters of HTTPRoutes and GRPCRoutes as the plan has them. */
#include "base/clock.h"
#include "gateway/compile_private.h"

struct span lowered(struct span text, struct arena *arena, struct error *err)
{
	struct span copy = arena_copy(arena, text, err);
	char *to = (char *)(uintptr_t)copy.ptr;

	for (size_t i = 0; to && i < copy.len; i++)
		if (to[i] >= 'A' && to[i] <= 'Z')
			to[i] = (char)(to[i] + 'a' - 'A');
	return copy;
}

int64_t duration_of(struct span text)
{
	static const struct {
		struct span name;
		int64_t ns;
	} units[] = { { SPAN_INIT("ms"), NS_PER_MS },
		      { SPAN_INIT("s"), NS_PER_S },
		      { SPAN_INIT("m"), 60 * NS_PER_S },
		      { SPAN_INIT("h"), 3600 * NS_PER_S } };
	int64_t total = 0;

	while (text.len) {
		int64_t n = 0;
		size_t at = 0, unit = 0;

		for (; at < text.len && at < 6 && text.ptr[at] >= '0' && text.ptr[at] <= '9'; at++)
			n = n * 10 + text.ptr[at] - '0';
		text = span_skip(text, at);
		while (unit < ARRAY_LEN(units) && !span_starts(text, units[unit].name))
			unit++;
		if (!at || unit == ARRAY_LEN(units))
			return 0;
		total += n * units[unit].ns;
		text = span_skip(text, units[unit].name.len);
	}
	return total;
}

/* ---- headers ---- */

static bool headers_list(struct item *i, const struct value *list, const struct header **ret, size_t *ret_count,
			 struct error *err)
{
	struct header *to = arena_calloc(&i->arena, value_count(list), sizeof(*to), err);

	for (uint32_t n = 0; to && n < value_count(list); n++) {
		to[n].name = lowered(value_find_string(value_item(list, n), "name"), &i->arena, err);
		to[n].value = value_find_string(value_item(list, n), "value");
	}
	*ret = to;
	*ret_count = to ? value_count(list) : 0;
	return to != NULL;
}

static bool headers_read(struct item *i, const struct value *from, struct plan_headers *to, struct error *err)
{
	const struct value *remove = value_find(from, "remove");
	struct span *names = arena_calloc(&i->arena, value_count(remove), sizeof(*names), err);

	for (uint32_t n = 0; names && n < value_count(remove); n++)
		if (value_is(value_item(remove, n), VALUE_STRING))
			names[to->remove_count++] = lowered(value_item(remove, n)->string, &i->arena, err);
	to->remove = names;
	return headers_list(i, value_find(from, "set"), &to->set, &to->set_count, err) &&
	       headers_list(i, value_find(from, "add"), &to->add, &to->add_count, err) && !err->code;
}

/* ---- paths, redirects, mirrors ---- */

static void path_read(const struct value *from, struct plan_rewrite *to)
{
	if (!from)
		return;
	to->is_prefix = span_equal(value_find_string(from, "type"), SPAN("ReplacePrefixMatch"));
	to->path = value_find_string(from, to->is_prefix ? "replacePrefixMatch" : "replaceFullPath");
	to->has_path = true;
}

static void redirect_read(const struct value *from, struct plan_redirect *to)
{
	to->status = (int)value_find_int(from, "statusCode", 302);
	to->scheme = value_find_string(from, "scheme");
	to->host = value_find_string(from, "hostname");
	to->port = (int)value_find_int(from, "port", 0);
	/* Another scheme without a port: that scheme's own. */
	if (!to->port && to->scheme.len)
		to->port = span_equal(to->scheme, SPAN("https")) ? 443 : 80;
	path_read(value_find(from, "path"), &to->rewrite);
}

static bool mirror_read(struct item *i, const struct value *from, struct rule *rule, struct error *err)
{
	struct mirror_ref *m = &rule->mirrors[rule->mirror_count];
	int64_t percent = value_find_int(from, "percent", -1);

	if (rule->mirror_count == PLAN_MIRRORS_MOST)
		return error_set(err, ERROR_INVALID, "a rule has more than %d mirrors", PLAN_MIRRORS_MOST);
	m->denominator = (uint32_t)value_find_int(from, "fraction.denominator", 100);
	m->numerator = (uint32_t)value_find_int(from, "fraction.numerator", 100);
	if (!value_find(from, "fraction"))
		m->numerator = percent >= 0 ? (uint32_t)percent : 100;
	rule->mirror_count++;
	return ref_read(i, value_find(from, "backendRef"), &m->ref, err);
}

/* ---- all ---- */

static bool filter_read(struct item *i, const struct value *f, bool is_of_ref, struct rule *rule,
			struct plan_filters *to, struct error *err)
{
	struct span type = value_find_string(f, "type");

	if (span_equal(type, SPAN("RequestHeaderModifier")))
		return headers_read(i, value_find(f, "requestHeaderModifier"), &to->request, err);
	if (span_equal(type, SPAN("ResponseHeaderModifier")))
		return headers_read(i, value_find(f, "responseHeaderModifier"), &to->answer, err);
	if (span_equal(type, SPAN("URLRewrite"))) {
		to->rewrite.host = value_find_string(f, "urlRewrite.hostname");
		path_read(value_find(f, "urlRewrite.path"), &to->rewrite);
		return true;
	}
	if (span_equal(type, SPAN("RequestRedirect")) && !is_of_ref) {
		redirect_read(value_find(f, "requestRedirect"), &to->redirect);
		return true;
	}
	if (span_equal(type, SPAN("RequestMirror")) && !is_of_ref)
		return mirror_read(i, value_find(f, "requestMirror"), rule, err);
	rule->unresolved = arena_print(&i->arena, err, "the filter " SPAN_FMT " is not known %s", SPAN_ARG(type),
				       is_of_ref ? "for a backendRef" : "here");
	return !err->code;
}

bool filters_read(struct item *i, const struct value *list, bool is_of_ref, struct rule *rule, struct plan_filters *to,
		  struct error *err)
{
	if (!is_of_ref) {
		rule->mirrors = arena_calloc(&i->arena, PLAN_MIRRORS_MOST + 1, sizeof(*rule->mirrors), err);
		if (!rule->mirrors)
			return false;
	}
	for (uint32_t n = 0; n < value_count(list); n++)
		if (!filter_read(i, value_item(list, n), is_of_ref, rule, to, err))
			return false;
	return true;
}
