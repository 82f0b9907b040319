/* SPDX-License-Identifier: Apache-2.0 */
/* common - reading and changing objects, and the life of metadata and status, for all kinds. */
#include "kube/kinds/kinds.h"
#include "kube/ranges.h"

#include "base/number.h"

#include <arpa/inet.h>

/* ---- reading ---- */

bool text_is_one_of(struct span s, const char *const *values)
{
	for (; *values; values++) {
		if (span_equal(s, span_of(*values)))
			return true;
	}
	return false;
}

bool is_same(const struct value *a, const struct value *b)
{
	if (value_is_empty(a) || value_is_empty(b))
		return value_is_empty(a) && value_is_empty(b);
	return value_equal(a, b);
}

/* ---- changing ---- */

void set_value(struct change *c, struct value *object, const char *member, struct value v)
{
	if (value_is(object, VALUE_OBJECT))
		(void)value_set(object, span_of(member), v, c->arena, c->err);
}

void set_text(struct change *c, struct value *object, const char *member, struct span text)
{
	set_value(c, object, member, value_string(text));
}

void default_text(struct change *c, struct value *object, const char *member, const char *text)
{
	if (value_is_empty(get(object, member)))
		set_text(c, object, member, span_of(text));
}

static bool is_absent(const struct value *object, const char *member)
{
	const struct value *v = get(object, member);

	return !v || v->type == VALUE_NULL;
}

void default_int(struct change *c, struct value *object, const char *member, int64_t i)
{
	if (is_absent(object, member))
		set_value(c, object, member, value_int(i));
}

void default_nonzero(struct change *c, struct value *object, const char *member, int64_t i)
{
	const struct value *v = get(object, member);

	if (is_absent(object, member) || (value_is(v, VALUE_INT) && v->integer == 0))
		set_value(c, object, member, value_int(i));
}

void default_bool(struct change *c, struct value *object, const char *member, bool b)
{
	if (is_absent(object, member))
		set_value(c, object, member, value_bool(b));
}

struct value *ensure(struct change *c, struct value *object, const char *member)
{
	struct error err = { 0 }; /* what has another type was refused when it was decoded */

	if (!value_is(object, VALUE_OBJECT))
		return NULL;
	return value_ensure_object(object, span_of(member), c->arena, &err);
}

void drop(struct value *object, const char *member)
{
	if (value_is(object, VALUE_OBJECT))
		(void)value_remove(object, span_of(member));
}

struct value copy_of(struct change *c, const struct value *v)
{
	struct value copy = value_null();

	if (v && !value_copy(v, c->arena, &copy, c->err))
		return value_null();
	return copy;
}

void carry(struct change *c, struct value *object, const struct value *from, const char *member)
{
	const struct value *v = get(from, member);

	if (v)
		set_value(c, object, member, copy_of(c, v));
	else
		drop(object, member);
}

/* ---- status ---- */

bool change_is_status(const struct change *c)
{
	return span_equal(c->subresource, SPAN("status"));
}

/* A write to status keeps all but metadata and status. */
static void keep_all_but_status(struct change *c)
{
	for (uint32_t i = 0; i < c->old->object.count; i++) {
		const struct value_member *m = &c->old->object.members[i];

		if (span_equal(m->key, SPAN("metadata")) || span_equal(m->key, SPAN("status")))
			continue;
		(void)value_set(c->object, m->key, copy_of(c, &m->value), c->arena, c->err);
	}
	for (uint32_t i = c->object->object.count; i-- > 0;) {
		struct span key = c->object->object.members[i].key;

		if (!span_equal(key, SPAN("metadata")) && !span_equal(key, SPAN("status")) && !value_get(c->old, key))
			(void)value_remove(c->object, key);
	}
}

void prepare_status(struct change *c)
{
	if (!c->old)
		set_value(c, c->object, "status", value_object());
	else if (change_is_status(c))
		keep_all_but_status(c);
	else
		carry(c, c->object, c->old, "status");
	shape(c);
}

/* ---- labels, annotations, names ---- */

void check_labels(struct change *c, const struct at *at, const struct value *labels)
{
	for (uint32_t i = 0; i < count_of(labels); i++) {
		const struct value_member *m = &labels->object.members[i];
		const char *wrong = name_check_qualified(m->key);

		if (wrong)
			fault_invalid_text(c, at, m->key, wrong);
		wrong = name_check_label_value(text_of(&m->value));
		if (wrong)
			fault_invalid_text(c, at, text_of(&m->value), wrong);
	}
}

#define ANNOTATION_BYTES_MAX KIB(256)
#define NAME_BYTES_MAX       512 /* over it a name is wrong in any case */

/* Annotations may have capitals where labels may not. */
static const char *annotation_check(struct span key)
{
	char lower[NAME_BYTES_MAX];

	if (key.len > sizeof(lower))
		return name_check_qualified(key);
	for (size_t i = 0; i < key.len; i++)
		lower[i] = (char)(key.ptr[i] >= 'A' && key.ptr[i] <= 'Z' ? key.ptr[i] + 32 : key.ptr[i]);
	return name_check_qualified(span_from(lower, key.len));
}

void check_annotations(struct change *c, const struct at *at, const struct value *annotations)
{
	size_t bytes = 0;

	for (uint32_t i = 0; i < count_of(annotations); i++) {
		const struct value_member *m = &annotations->object.members[i];
		const char *wrong = annotation_check(m->key);

		if (wrong)
			fault_invalid_text(c, at, m->key, wrong);
		bytes += m->key.len + text_of(&m->value).len;
	}
	if (bytes > ANNOTATION_BYTES_MAX)
		fault_too_long(c, at, ANNOTATION_BYTES_MAX);
}

void check_name(struct change *c, const struct at *at, const struct value *v, name_check check)
{
	const char *words[NAME_FAULTS_MOST];
	size_t count = name_faults(text_of(v), check, words);

	for (size_t i = 0; i < count; i++)
		fault_invalid_text(c, at, text_of(v), words[i]);
}

/* ---- metadata ---- */

static void check_owner(struct change *c, const struct at *at, const struct value *owner)
{
	static const char *const members[] = { "apiVersion", "kind", "name", "uid" };
	static const char *const words[] = { "version must not be empty", "kind must not be empty",
					     "name must not be empty", "uid must not be empty" };

	for (size_t i = 0; i < ARRAY_LEN(members); i++) {
		if (get_text(owner, members[i]).len == 0)
			fault_invalid_text(c, AT(at, members[i]), SPAN(""), words[i]);
	}
	if (is_text(get(owner, "apiVersion"), "v1") && is_text(get(owner, "kind"), "Event"))
		fault_invalid(c, at, owner, "/v1, Kind=Event is disallowed from being an owner");
}

/* The list as Go prints it. */
static struct span owners_print(struct change *c, const struct value *owners)
{
	static const char *const members[][2] = {
		{ "APIVersion", "apiVersion" }, { "Kind", "kind" }, { "Name", "name" }, { "UID", "uid" }
	};
	struct buffer text;
	struct span kept;

	buffer_init(&text, KIB(64));
	buffer_append(&text, SPAN("[]v1.OwnerReference{"));
	for (uint32_t i = 0; i < count_of(owners); i++) {
		const struct value *owner = value_item(owners, i);

		buffer_append(&text, i ? SPAN(", v1.OwnerReference{") : SPAN("v1.OwnerReference{"));
		for (size_t j = 0; j < ARRAY_LEN(members); j++)
			buffer_print(&text, "%s:\"" SPAN_FMT "\", ", members[j][0],
				     SPAN_ARG(get_text(owner, members[j][1])));
		buffer_print(&text, "Controller:(*bool)(%s), BlockOwnerDeletion:(*bool)(%s)}",
			     get(owner, "controller") ? "0xc000000001" : "nil",
			     get(owner, "blockOwnerDeletion") ? "0xc000000002" : "nil");
	}
	buffer_byte(&text, '}');
	kept = arena_copy(c->arena, buffer_span(&text), c->err);
	buffer_done(&text);
	return kept;
}

static void check_owners(struct change *c, const struct at *at, const struct value *owners)
{
	const struct value *first = NULL;

	for (uint32_t i = 0; i < count_of(owners); i++) {
		const struct value *owner = value_item(owners, i);

		check_owner(c, at, owner);
		if (!get_bool(owner, "controller"))
			continue;
		if (first) {
			struct span a = get_text(first, "kind"), b = get_text(first, "name"),
				    x = get_text(owner, "kind"), y = get_text(owner, "name");

			fault_invalid_go(
			    c, at, owners_print(c, owners),
			    detail_print(c,
					 "Only one reference can have Controller set to true. Found \"true\" in "
					 "references for " SPAN_FMT "/" SPAN_FMT " and " SPAN_FMT "/" SPAN_FMT,
					 SPAN_ARG(a), SPAN_ARG(b), SPAN_ARG(x), SPAN_ARG(y)));
		} else {
			first = owner;
		}
	}
}

static void check_finalizers(struct change *c, const struct at *at, const struct value *finalizers)
{
	static const char *const standard[] = { "kubernetes", "orphan", "foregroundDeletion", NULL };
	bool has_orphan = false, has_foreground = false;

	for (uint32_t i = 0; i < count_of(finalizers); i++) {
		const struct value *v = value_item(finalizers, i);

		check_name(c, at, v, name_check_qualified);
		has_orphan = has_orphan || is_text(v, "orphan");
		has_foreground = has_foreground || is_text(v, "foregroundDeletion");
	}
	if (has_orphan && has_foreground)
		fault_invalid(c, at, finalizers, "finalizer orphan and foregroundDeletion cannot be both set");
	/* Kinds of the extensions server, and those that it brings, take any name. */
	for (uint32_t i = 0;
	     !c->kind->is_custom && strcmp(c->kind->group, "apiextensions.k8s.io") != 0 && i < count_of(finalizers);
	     i++) {
		struct span s = text_of(value_item(finalizers, i));

		if (span_index(s, '/') == s.len && !text_is_one_of(s, standard))
			fault_invalid_text(c, AT_INDEX(at, i), s,
					   "name is neither a standard finalizer name nor is it fully qualified");
	}
}

static void check_object_name(struct change *c, const struct at *at, const struct value *metadata, name_check check)
{
	struct span name = get_text(metadata, "name"), prefix = get_text(metadata, "generateName");

	if (prefix.len) {
		struct error err = { 0 };
		/* The rest comes later: a prefix may end where a name may not. */
		struct span tried = arena_print(c->arena, &err, "%.*s%s", (int)prefix.len, prefix.ptr, "");
		const char *wrong;

		if (tried.len && tried.ptr && tried.ptr[tried.len - 1] == '-')
			((char *)(uintptr_t)tried.ptr)[tried.len - 1] = 'a';
		wrong = tried.ptr ? check(tried) : NULL;
		if (wrong)
			fault_invalid_text(c, AT(at, "generateName"), prefix, wrong);
	}
	if (name.len == 0) {
		fault_required(c, AT(at, "name"), "name or generateName is required");
	} else {
		const char *wrong = check(name);

		if (wrong)
			fault_invalid_text(c, AT(at, "name"), name, wrong);
	}
}

static void check_metadata_same(struct change *c, const struct at *at, const struct value *old, const struct value *now)
{
	static const char *const members[] = {
		"name", "namespace", "uid", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds"
	};

	for (size_t i = 0; i < ARRAY_LEN(members); i++)
		check_same(c, AT(at, members[i]), get(old, members[i]), get(now, members[i]));
}

/* Kinds that the real server checks at a change as at their creation too. */
static bool is_checked_whole(const struct kind *kind)
{
	static const char *const plurals[] = { "configmaps", "secrets", "services", "pods", "ingresses", NULL };

	return text_is_one_of(span_of(kind->plural), plurals);
}

/* The real server looks at the metadata of a changed object two times for all kinds, and once or twice for the kind, and tells each fault
 * as often: clients count causes. */
static void check_metadata_changed(struct change *c, const struct at *at, const struct value *metadata)
{
	int times = is_checked_whole(c->kind) ? 4 : 3;

	for (int i = 0; i < times; i++) {
		if (i < 2)
			check_metadata_same(c, at, get(c->old, "metadata"), metadata);
		check_labels(c, AT(at, "labels"), get(metadata, "labels"));
		check_annotations(c, AT(at, "annotations"), get(metadata, "annotations"));
		check_owners(c, AT(at, "ownerReferences"), get(metadata, "ownerReferences"));
		if (i >= 2)
			check_finalizers(c, AT(at, "finalizers"), get(metadata, "finalizers"));
	}
}

void check_metadata(struct change *c, name_check check)
{
	const struct at *at = AT(NULL, "metadata");
	const struct value *metadata = get(c->object, "metadata");

	if (c->old) {
		check_metadata_changed(c, at, metadata);
		return;
	} else {
		check_object_name(c, at, metadata, check);
		if (c->kind->is_namespaced && get_text(metadata, "namespace").len == 0)
			fault_required(c, AT(at, "namespace"), "");
		else if (c->kind->is_namespaced)
			check_name(c, AT(at, "namespace"), get(metadata, "namespace"), name_check_label);
		else if (get_text(metadata, "namespace").len)
			fault_forbidden(c, AT(at, "namespace"), "not allowed on this type");
	}
	check_labels(c, AT(at, "labels"), get(metadata, "labels"));
	check_annotations(c, AT(at, "annotations"), get(metadata, "annotations"));
	check_owners(c, AT(at, "ownerReferences"), get(metadata, "ownerReferences"));
	check_finalizers(c, AT(at, "finalizers"), get(metadata, "finalizers"));
}

/* ---- shared checks ---- */

void check_one_of_or_absent(struct change *c, const struct at *at, const struct value *v, const char *const *values)
{
	if (v && v->type != VALUE_NULL && !text_is_one_of(text_of(v), values))
		fault_not_supported(c, at, v, values);
}

void check_one_of(struct change *c, const struct at *at, const struct value *v, const char *const *values)
{
	if (text_of(v).len == 0)
		fault_required(c, at, "");
	else
		check_one_of_or_absent(c, at, v, values);
}

void check_not_negative(struct change *c, const struct at *at, const struct value *v)
{
	if (value_is(v, VALUE_INT) && v->integer < 0)
		fault_invalid(c, at, v, "must be greater than or equal to 0");
}

void check_positive(struct change *c, const struct at *at, const struct value *v)
{
	if (value_is(v, VALUE_INT) && v->integer <= 0)
		fault_invalid(c, at, v, "must be greater than 0");
}

void check_same(struct change *c, const struct at *at, const struct value *old, const struct value *now)
{
	struct value nothing = value_string(SPAN(""));

	if (is_same(old, now))
		return;
	fault_invalid(c, at, now || !value_is(old, VALUE_STRING) ? now : &nothing, "field is immutable");
}

void check_port(struct change *c, const struct at *at, const struct value *v)
{
	struct value zero = value_int(0);

	if (!v)
		v = &zero;
	if (!value_is(v, VALUE_INT) || v->integer < 1 || v->integer > 65535)
		fault_invalid(c, at, v, "must be between 1 and 65535, inclusive");
}

void check_port_or_name(struct change *c, const struct at *at, const struct value *v)
{
	if (value_is(v, VALUE_STRING))
		check_name(c, at, v, name_check_port);
	else
		check_port(c, at, v);
}

bool percent_of(const struct value *v, int64_t *ret)
{
	struct span s = text_of(v);

	if (s.len < 2 || s.ptr[s.len - 1] != '%' || s.ptr[0] < '0' || s.ptr[0] > '9')
		return false;
	return number_parse_int64(span_first(s, s.len - 1), ret);
}

void check_percent_or_int(struct change *c, const struct at *at, const struct value *v)
{
	int64_t percent;

	if (value_is(v, VALUE_STRING) && !percent_of(v, &percent))
		fault_int_or_string(
		    c, at, v,
		    "a valid percent string must be a numeric string followed by an ending '%' (e.g. '1%',  or "
		    "'93%', regex used for validation is '[0-9]+%')");
	else
		check_not_negative(c, at, v);
}

void check_not_over_100_percent(struct change *c, const struct at *at, const struct value *v)
{
	int64_t percent;

	if (percent_of(v, &percent) && percent > 100)
		fault_int_or_string(c, at, v, "must not be greater than 100%");
}

/* ---- addresses ---- */

static bool is_address(int family, struct span s)
{
	char text[INET6_ADDRSTRLEN];
	struct in6_addr address;

	if (s.len == 0 || s.len >= sizeof(text) || memchr(s.ptr, 0, s.len))
		return false;
	memcpy(text, s.ptr, s.len);
	text[s.len] = 0;
	return inet_pton(family, text, &address) == 1;
}

bool is_ipv4(struct span s)
{
	return is_address(AF_INET, s);
}

bool is_ipv6(struct span s)
{
	return is_address(AF_INET6, s);
}

void check_ip(struct change *c, const struct at *at, const struct value *v)
{
	if (!is_ipv4(text_of(v)) && !is_ipv6(text_of(v)))
		fault_invalid_text(c, at, text_of(v), "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)");
}

/* 127.x, ::1, 169.254.x, fe80::, 224.0.0.x, 0.0.0.0. */
static const char *near_words(struct span s)
{
	char text[INET6_ADDRSTRLEN] = "";
	struct in6_addr six;
	struct in_addr four;

	if (s.len >= sizeof(text))
		return "must be a valid IP address";
	memcpy(text, s.ptr ? s.ptr : "", s.len);
	if (inet_pton(AF_INET, text, &four) == 1) {
		uint32_t n = ntohl(four.s_addr);

		if (n == 0)
			return "may not be unspecified";
		if (n >> 24 == 127 && (n & RANGE_MASK) != POD_IPS) /* a pod's is no loopback to the others */
			return "may not be in the loopback range (127.0.0.0/8, ::1/128)";
		if (n >> 16 == 0xa9fe)
			return "may not be in the link-local range (169.254.0.0/16, fe80::/10)";
		return n >> 8 == 0xe00000 ? "may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)"
					  : NULL;
	}
	if (inet_pton(AF_INET6, text, &six) != 1)
		return "must be a valid IP address";
	if (IN6_IS_ADDR_UNSPECIFIED(&six))
		return "may not be unspecified";
	if (IN6_IS_ADDR_LOOPBACK(&six))
		return "may not be in the loopback range (127.0.0.0/8, ::1/128)";
	if (IN6_IS_ADDR_LINKLOCAL(&six))
		return "may not be in the link-local range (169.254.0.0/16, fe80::/10)";
	return IN6_IS_ADDR_MC_LINKLOCAL(&six) ? "may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)"
					      : NULL;
}

void check_far_ip(struct change *c, const struct at *at, const struct value *v)
{
	const char *words = near_words(text_of(v));
	struct span s = text_of(v);

	if (words && strcmp(words, "may not be unspecified") == 0)
		words = detail_print(c, "%s (" SPAN_FMT ")", words, SPAN_ARG(s));
	if (words)
		fault_invalid_text(c, at, s, words);
}
