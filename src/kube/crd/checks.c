/* SPDX-License-Identifier: Apache-2.0 */
/*
 * checks - what is refused in a definition, in the order and words of kube-apiserver (apiextensions-apiserver
 * pkg/apis/apiextensions/validation). That server holds what all versions share once, beside them: faults there have such paths
 * (spec.validation, spec.subresources, ...).
 */
#include "kube/crd/crd.h"
#include "kube/crd/structural.h"
#include "kube/kinds/kinds.h"

#define APPROVED "api-approved.kubernetes.io"

/* ---- groups of the Kubernetes community ---- */

static bool is_group_below(struct span group, struct span domain)
{
	return span_equal(group, domain) ||
	       (group.len > domain.len && span_ends(group, domain) && group.ptr[group.len - domain.len - 1] == '.');
}

bool crd_group_is_protected(struct span group)
{
	return is_group_below(group, SPAN("k8s.io")) || is_group_below(group, SPAN("kubernetes.io"));
}

static bool is_url(struct span s)
{
	size_t colon = span_index(s, ':');

	return colon > 0 && colon + 3 < s.len && span_starts(span_skip(s, colon), SPAN("://")) &&
	       s.ptr[colon + 3] != '/';
}

enum crd_approval crd_approval_of(const struct value *definition, struct arena *arena, struct span *ret_reason)
{
	static const char see[] = "see https://github.com/kubernetes/enhancements/pull/1111";
	struct span text = get_text(get(get(definition, "metadata"), "annotations"), APPROVED);
	struct error ignored = { 0 };

	if (!text.len) {
		*ret_reason = arena_print(arena, &ignored,
					  "protected groups must have approval annotation \"" APPROVED "\", %s", see);
		return APPROVAL_MISSING;
	}
	if (span_starts(text, SPAN("unapproved"))) {
		*ret_reason = arena_print(arena, &ignored, "not approved: \"" SPAN_FMT "\"", SPAN_ARG(text));
		return APPROVAL_BYPASSED;
	}
	if (is_url(text)) {
		*ret_reason = arena_print(arena, &ignored, "approved in " SPAN_FMT, SPAN_ARG(text));
		return APPROVAL_GIVEN;
	}
	*ret_reason = arena_print(arena, &ignored,
				  "protected groups must have approval annotation \"" APPROVED
				  "\" with either a URL or a reason starting with \"unapproved\", %s",
				  see);
	return APPROVAL_INVALID;
}

static void check_approval(struct change *c)
{
	const struct at *at = AT_KEY(AT(AT(NULL, "metadata"), "annotations"), SPAN(APPROVED));
	struct span reason, ignored;
	enum crd_approval state;

	if (!crd_group_is_protected(get_text(get(c->object, "spec"), "group")))
		return;
	state = crd_approval_of(c->object, c->arena, &reason);
	if (c->old && crd_approval_of(c->old, c->arena, &ignored) == state)
		return;
	reason = arena_copy(c->arena, reason, c->err);
	if (state == APPROVAL_MISSING)
		fault_required(c, at, reason.ptr);
	else if (state == APPROVAL_INVALID)
		fault_invalid(c, at, get(get(get(c->object, "metadata"), "annotations"), APPROVED), reason.ptr);
}

/* ---- names ---- */

static void check_1035(struct change *c, const struct at *at, const struct value *v)
{
	const char *wrong = name_check_1035(text_of(v));

	if (wrong)
		fault_invalid_text(c, at, text_of(v), wrong);
}

static struct span in_small(struct change *c, struct span s)
{
	struct span text = arena_copy(c->arena, s, c->err);

	for (size_t i = 0; i < text.len; i++)
		if (text.ptr[i] >= 'A' && text.ptr[i] <= 'Z')
			((char *)(uintptr_t)text.ptr)[i] = (char)(text.ptr[i] + 32);
	return text;
}

static void check_mixed(struct change *c, const struct at *at, const struct value *v)
{
	const char *wrong = text_of(v).len ? name_check_1035(in_small(c, text_of(v))) : NULL;

	if (wrong)
		fault_invalid(c, at, v, detail_print(c, "may have mixed case, but should otherwise match: %s", wrong));
}

static void check_texts(struct change *c, const struct at *at, const struct value *list)
{
	for (uint32_t i = 0; i < count_of(list); i++)
		check_1035(c, AT_INDEX(at, i), value_item(list, i));
}

static void check_names(struct change *c, const struct at *at, const struct value *names)
{
	struct span kind = get_text(names, "kind");

	if (get_text(names, "plural").len)
		check_1035(c, AT(at, "plural"), get(names, "plural"));
	if (get_text(names, "singular").len)
		check_1035(c, AT(at, "singular"), get(names, "singular"));
	check_mixed(c, AT(at, "kind"), get(names, "kind"));
	check_mixed(c, AT(at, "listKind"), get(names, "listKind"));
	check_texts(c, AT(at, "shortNames"), get(names, "shortNames"));
	if (kind.len && span_equal(kind, get_text(names, "listKind")))
		fault_invalid(c, AT(at, "listKind"), get(names, "listKind"), "kind and listKind may not be the same");
	check_texts(c, AT(at, "categories"), get(names, "categories"));
}

static void check_names_given(struct change *c, const struct at *at, const struct value *names)
{
	static const char *const members[] = { "plural", "singular", "kind", "listKind" };

	for (size_t i = 0; i < ARRAY_LEN(members); i++)
		if (!get_text(names, members[i]).len)
			fault_required(c, AT(at, members[i]), "");
}

static void check_group(struct change *c, const struct at *at, const struct value *v)
{
	struct span group = text_of(v);
	const char *wrong = group.len ? name_check_subdomain(group) : NULL;

	if (!group.len)
		fault_required(c, at, "");
	else if (wrong)
		fault_invalid(c, at, v, wrong);
	else if (span_index(group, '.') == group.len)
		fault_invalid(c, at, v, "should be a domain with at least one dot");
}

/* ---- paths ---- */

static bool check_simple_path(struct change *c, const struct at *at, const struct value *v)
{
	if (span_starts(text_of(v), SPAN(".")))
		return true;
	fault_invalid(c, at, v, "must be a simple json path starting with .");
	return false;
}

static void check_scale_path(struct change *c, const struct at *at, const struct value *v, struct span prefix,
			     const char *detail)
{
	if (!text_of(v).len)
		fault_required(c, at, "");
	else if (check_simple_path(c, at, v) && !span_starts(text_of(v), prefix))
		fault_invalid(c, at, v, detail);
}

static void check_subresources(struct change *c, const struct at *at, const struct value *subresources)
{
	const struct value *scale = get(subresources, "scale"), *selector = get(scale, "labelSelectorPath");
	const struct at *here = AT(at, "scale");

	if (!scale)
		return;
	check_scale_path(c, AT(here, "specReplicasPath"), get(scale, "specReplicasPath"), SPAN(".spec."),
			 "should be a json path under .spec");
	check_scale_path(c, AT(here, "statusReplicasPath"), get(scale, "statusReplicasPath"), SPAN(".status."),
			 "should be a json path under .status");
	if (text_of(selector).len && check_simple_path(c, AT(here, "labelSelectorPath"), selector) &&
	    !span_starts(text_of(selector), SPAN(".spec.")) && !span_starts(text_of(selector), SPAN(".status.")))
		fault_invalid(c, AT(here, "labelSelectorPath"), selector,
			      "should be a json path under either .spec or .status");
}

static void check_column(struct change *c, const struct at *at, const struct value *column)
{
	static const char *const types[] = { "boolean", "date", "integer", "number", "string", NULL };
	static const char *const formats[] = { "byte",  "date",  "date-time", "double", "float",
					       "int32", "int64", "password",  NULL };
	const struct value *type = get(column, "type"), *format = get(column, "format"),
			   *path = get(column, "jsonPath");

	if (!get_text(column, "name").len)
		fault_required(c, AT(at, "name"), "");
	if (!text_of(type).len)
		fault_required(c, AT(at, "type"), "must be one of boolean,date,integer,number,string");
	else if (!text_is_one_of(text_of(type), types))
		fault_invalid(c, AT(at, "type"), type, "must be one of boolean,date,integer,number,string");
	if (text_of(format).len && !text_is_one_of(text_of(format), formats))
		fault_invalid(c, AT(at, "format"), format,
			      "must be one of byte,date,date-time,double,float,int32,int64,password");
	if (!text_of(path).len)
		fault_required(c, AT(at, "JSONPath"), "");
	else
		(void)check_simple_path(c, AT(at, "JSONPath"), path);
}

static void check_columns(struct change *c, const struct at *at, const struct value *columns)
{
	for (uint32_t i = 0; i < count_of(columns); i++)
		check_column(c, AT_INDEX(at, i), value_item(columns, i));
}

/* ---- fields to select by ---- */

#define SELECTABLE_MAX 8

/* The schema that a path of plain names leads to; NULL with what is wrong with the path. */
static const struct value *path_schema(struct change *c, const struct value *schema, struct span path, const char **ret)
{
	struct span rest = path;

	if (!path.len || path.ptr[0] != '.') {
		*ret = "is an invalid path: expected [ or . but got: ";
		*ret = detail_print(c, "%s" SPAN_FMT, *ret, SPAN_ARG(path));
		return NULL;
	}
	rest = span_skip(rest, 1);
	while (rest.len) {
		struct span name = span_cut(&rest, '.');
		const struct value *next = value_get(get(schema, "properties"), name);

		if (!next && value_is(get(schema, "additionalProperties"), VALUE_OBJECT))
			next = get(schema, "additionalProperties");
		if (!next) {
			*ret = detail_print(c, "is an invalid path: does not refer to a valid field");
			return NULL;
		}
		schema = next;
	}
	return schema;
}

static void check_selectable(struct change *c, const struct at *at, const struct value *fields,
			     const struct value *schema)
{
	static const char *const types[] = { "string", "boolean", "integer", NULL };
	size_t unique = 0;

	if (!count_of(fields))
		return;
	if (!schema) {
		fault_invalid_text(c, at, SPAN(""),
				   "selectableFields may only be set when validations.schema is included");
		return;
	}
	for (uint32_t i = 0; i < count_of(fields); i++) {
		const struct value *path = get(value_item(fields, i), "jsonPath"), *found;
		const struct at *here = AT(AT_INDEX(at, i), "jsonPath");
		const char *wrong = NULL;
		bool is_twice = false;

		if (!text_of(path).len) {
			fault_required(c, here, "");
			continue;
		}
		found = path_schema(c, schema, text_of(path), &wrong);
		if (!found) {
			fault_invalid(c, here, path, wrong);
			continue;
		}
		if (span_equal(text_of(path), SPAN(".metadata")) || span_starts(text_of(path), SPAN(".metadata.")))
			fault_invalid(c, here, path, "must not point to fields in metadata");
		if (!text_is_one_of(get_text(found, "type"), types))
			fault_invalid(
			    c, here, path,
			    "must point to a field of type string, boolean or integer. Enum string fields and "
			    "strings with formats are allowed.");
		for (uint32_t k = 0; k < i; k++)
			is_twice |= value_equal(value_item(fields, k), value_item(fields, i));
		if (is_twice)
			fault_duplicate(c, here, path);
		else
			unique++;
	}
	if (unique > SELECTABLE_MAX)
		fault_too_many(c, at, unique, SELECTABLE_MAX);
}

/* ---- conversion ---- */

static void check_review_versions(struct change *c, const struct at *at, const struct value *versions, bool is_strict)
{
	bool has_known = false;

	if (!count_of(versions)) {
		fault_required(c, at, "");
		return;
	}
	for (uint32_t i = 0; i < count_of(versions); i++) {
		const struct value *one = value_item(versions, i);
		bool is_twice = false;

		for (uint32_t k = 0; k < i; k++)
			is_twice |= value_equal(value_item(versions, k), one);
		if (is_twice) {
			fault_invalid(c, AT_INDEX(at, i), one, "duplicate version");
			continue;
		}
		check_name(c, AT_INDEX(at, i), one, name_check_1035);
		has_known |= is_text(one, "v1") || is_text(one, "v1beta1");
	}
	if (!has_known && is_strict)
		fault_invalid(c, at, versions, "must include at least one of v1, v1beta1");
}

static void check_client(struct change *c, const struct at *at, const struct value *client)
{
	const struct value *url = get(client, "url"), *service = get(client, "service");

	if (!client) {
		fault_required(c, at, "required when strategy is set to Webhook");
		return;
	}
	if (!url == !service) {
		fault_required(c, at, "exactly one of url or service is required");
		return;
	}
	if (url)
		check_hook_url(c, AT(at, "url"), text_of(url));
	else
		check_hook_service(c, AT(at, "service"), service);
}

static bool has_known_review(const struct value *definition)
{
	const struct value *versions =
	    get(get(get(get(definition, "spec"), "conversion"), "webhook"), "conversionReviewVersions");

	for (uint32_t i = 0; i < count_of(versions); i++)
		if (is_text(value_item(versions, i), "v1") || is_text(value_item(versions, i), "v1beta1"))
			return true;
	return !count_of(versions);
}

static void check_conversion(struct change *c, const struct at *at, const struct value *spec)
{
	static const char *const strategies[] = { "None", "Webhook", NULL };
	const struct value *conversion = get(spec, "conversion"), *hook = get(conversion, "webhook");
	const struct value *strategy = get(conversion, "strategy");

	if (!conversion)
		return;
	if (!is_text(strategy, "None") && get_bool(spec, "preserveUnknownFields"))
		fault_invalid(c, AT(at, "strategy"), strategy, "must be None if spec.preserveUnknownFields is true");
	check_one_of(c, AT(at, "strategy"), strategy, strategies);
	if (is_text(strategy, "Webhook")) {
		check_client(c, AT(at, "webhookClientConfig"), get(hook, "clientConfig"));
		check_review_versions(c, AT(at, "conversionReviewVersions"), get(hook, "conversionReviewVersions"),
				      !c->old || has_known_review(c->old));
		return;
	}
	if (get(hook, "clientConfig"))
		fault_forbidden(c, AT(at, "webhookClientConfig"),
				"should not be set when strategy is not set to Webhook");
	if (count_of(get(hook, "conversionReviewVersions")))
		fault_forbidden(c, AT(at, "conversionReviewVersions"),
				"should not be set when strategy is not set to Webhook");
}

/* ---- versions ---- */

/* What a version has of `member`, when all have the same: then it is told beside the versions. */
static bool is_shared(const struct value *versions, const char *member)
{
	const struct value *first = count_of(versions) ? get(value_item(versions, 0), member) : NULL;

	for (uint32_t i = 1; i < count_of(versions); i++) {
		const struct value *one = get(value_item(versions, i), member);

		if (value_is_empty(first) && value_is_empty(one) && !first == !one)
			continue;
		if (!first || !one || !value_equal(first, one))
			return false;
	}
	return true;
}

static void check_deprecation(struct change *c, const struct at *at, const struct value *version)
{
	const struct value *warning = get(version, "deprecationWarning");
	struct span text = text_of(warning);

	if (!warning)
		return;
	if (!get_bool(version, "deprecated")) {
		fault_invalid(c, at, warning, "can only be set for deprecated versions");
		return;
	}
	if (text.len > 256)
		fault_invalid(c, at, warning, "must be <= 256 characters long");
	if (!text.len)
		fault_invalid(c, at, warning, "must not be an empty string");
	for (size_t i = 0; i < text.len; i++) {
		if ((unsigned char)text.ptr[i] < 0x20 || text.ptr[i] == 0x7f) {
			fault_invalid(
			    c, at, warning,
			    detail_print(c,
					 "must only contain printable UTF-8 characters; non-printable character "
					 "found at index %zu",
					 i));
			return;
		}
	}
}

static bool has_status(const struct value *version)
{
	return get(get(version, "subresources"), "status") != NULL;
}

static void check_version_parts(struct change *c, const struct at *at, const struct value *versions, uint32_t i)
{
	const struct value *one = value_item(versions, i), *schema = get(get(one, "schema"), "openAPIV3Schema");

	check_deprecation(c, AT(at, "deprecationWarning"), one);
	if (schema && !is_shared(versions, "schema"))
		crd_check_schema(c, schema, has_status(one), at_print(c, AT(AT(at, "schema"), "openAPIV3Schema")));
	if (!is_shared(versions, "subresources"))
		check_subresources(c, AT(at, "subresources"), get(one, "subresources"));
	if (!is_shared(versions, "additionalPrinterColumns"))
		check_columns(c, AT(at, "additionalPrinterColumns"), get(one, "additionalPrinterColumns"));
	if (!is_shared(versions, "selectableFields"))
		check_selectable(c, AT(at, "selectableFields"), get(one, "selectableFields"), schema);
}

/* The real server prints the Go structs, schemas and all; the names will do. */
static struct span versions_print(struct change *c, const struct value *versions)
{
	struct text t = { .arena = c->arena };

	if (!versions)
		return SPAN("[]apiextensions.CustomResourceDefinitionVersion(nil)");
	text_add(&t, SPAN("[]apiextensions.CustomResourceDefinitionVersion{"));
	for (uint32_t i = 0; i < count_of(versions); i++)
		text_addf(
		    &t, "%sapiextensions.CustomResourceDefinitionVersion{Name:\"" SPAN_FMT "\", Served:%s, Storage:%s}",
		    i ? ", " : "", SPAN_ARG(get_text(value_item(versions, i), "name")),
		    get_bool(value_item(versions, i), "served") ? "true" : "false",
		    get_bool(value_item(versions, i), "storage") ? "true" : "false");
	text_add(&t, SPAN("}"));
	return text_span(&t);
}

static void check_versions(struct change *c, const struct at *at, const struct value *versions)
{
	size_t storages = 0;
	bool is_unique = true;

	for (uint32_t i = 0; i < count_of(versions); i++) {
		const struct value *one = value_item(versions, i);

		storages += get_bool(one, "storage");
		for (uint32_t k = 0; k < i; k++)
			is_unique &= !span_equal(get_text(one, "name"), get_text(value_item(versions, k), "name"));
		check_1035(c, AT(AT_INDEX(at, i), "name"), get(one, "name"));
		check_version_parts(c, AT_INDEX(at, i), versions, i);
	}
	if (!is_unique)
		fault_printed(c, at, versions_print(c, versions), "must contain unique version names");
	if (storages != 1)
		fault_printed(c, at, versions_print(c, versions),
			      "must have exactly one version marked as storage version");
	if (count_of(versions) && name_check_1035(get_text(value_item(versions, 0), "name")))
		check_1035(c, AT(at->up, "version"), get(value_item(versions, 0), "name"));
}

static void check_schemas_given(struct change *c, const struct at *at, const struct value *versions)
{
	for (uint32_t i = 0; i < count_of(versions); i++)
		if (!get(get(value_item(versions, i), "schema"), "openAPIV3Schema"))
			fault_required(c, AT(AT(AT_INDEX(at, i), "schema"), "openAPIV3Schema"), "schemas are required");
}

static bool any_has_status(const struct value *versions)
{
	for (uint32_t i = 0; i < count_of(versions); i++)
		if (has_status(value_item(versions, i)))
			return true;
	return false;
}

static void check_shared(struct change *c, const struct at *at, const struct value *versions)
{
	const struct value *first = count_of(versions) ? value_item(versions, 0) : NULL;
	const struct value *schema = get(get(first, "schema"), "openAPIV3Schema");

	if (schema && is_shared(versions, "schema"))
		crd_check_schema(c, schema, any_has_status(versions),
				 at_print(c, AT(AT(at, "validation"), "openAPIV3Schema")));
	if (is_shared(versions, "subresources"))
		check_subresources(c, AT(at, "subresources"), get(first, "subresources"));
	if (is_shared(versions, "additionalPrinterColumns"))
		check_columns(c, AT(at, "additionalPrinterColumns"), get(first, "additionalPrinterColumns"));
	if (is_shared(versions, "selectableFields"))
		check_selectable(c, AT(at, "selectableFields"), get(first, "selectableFields"), schema);
}

/* ---- all of it ---- */

static bool has_default(const struct value *schema)
{
	static const char *const inner[] = { "items", "additionalProperties", "not" };
	const struct value *all = get(schema, "properties");

	if (get(schema, "default"))
		return true;
	for (size_t i = 0; i < ARRAY_LEN(inner); i++)
		if (value_is(get(schema, inner[i]), VALUE_OBJECT) && has_default(get(schema, inner[i])))
			return true;
	for (uint32_t i = 0; value_is(all, VALUE_OBJECT) && i < count_of(all); i++)
		if (has_default(&all->object.members[i].value))
			return true;
	return false;
}

static bool has_defaults(const struct value *versions)
{
	for (uint32_t i = 0; i < count_of(versions); i++)
		if (has_default(get(get(value_item(versions, i), "schema"), "openAPIV3Schema")))
			return true;
	return false;
}

static void check_spec(struct change *c, const struct at *at, const struct value *spec)
{
	static const char *const scopes[] = { "Cluster", "Namespaced", NULL };
	const struct value *versions = get(spec, "versions");

	check_group(c, AT(at, "group"), get(spec, "group"));
	check_one_of(c, AT(at, "scope"), get(spec, "scope"), scopes);
	check_schemas_given(c, AT(at, "versions"), versions);
	if (get_bool(spec, "preserveUnknownFields") && has_defaults(versions))
		fault_invalid(c, AT(at, "preserveUnknownFields"), get(spec, "preserveUnknownFields"),
			      "must be false in order to use defaults in the schema");
	check_versions(c, AT(at, "versions"), versions);
	check_names_given(c, AT(at, "names"), get(spec, "names"));
	check_names(c, AT(at, "names"), get(spec, "names"));
	check_shared(c, at, versions);
	check_conversion(c, AT(at, "conversion"), spec);
}

static void check_immutable(struct change *c, const struct at *at, const struct value *old, const struct value *spec)
{
	const struct at *names = AT(at, "names");

	if (crd_condition_is_true(c->old, "Established")) {
		check_same(c, AT(at, "scope"), get(old, "scope"), get(spec, "scope"));
		check_same(c, AT(names, "kind"), get(get(old, "names"), "kind"), get(get(spec, "names"), "kind"));
	}
	check_same(c, AT(at, "group"), get(old, "group"), get(spec, "group"));
	check_same(c, AT(names, "plural"), get(get(old, "names"), "plural"), get(get(spec, "names"), "plural"));
}

static void check_stored_versions(struct change *c, const struct at *at)
{
	const struct value *stored = get(get(c->object, "status"), "storedVersions");
	const struct value *versions = get(get(c->object, "spec"), "versions");

	if (!count_of(stored)) {
		fault_printed(c, at, SPAN("[]string(nil)"), "must have at least one stored version");
		return;
	}
	for (uint32_t i = 0; i < count_of(versions); i++) {
		const struct value *name = get(value_item(versions, i), "name");
		bool is_there = false;

		for (uint32_t k = 0; k < count_of(stored); k++)
			is_there |= name && value_equal(value_item(stored, k), name);
		if (get_bool(value_item(versions, i), "storage") && !is_there)
			fault_invalid(
			    c, at, stored,
			    detail_print(c, "must have the storage version " SPAN_FMT, SPAN_ARG(text_of(name))));
	}
	for (uint32_t k = 0; k < count_of(stored); k++) {
		struct span name = text_of(value_item(stored, k));
		bool is_there = false;

		for (uint32_t i = 0; i < count_of(versions); i++)
			is_there |= span_equal(get_text(value_item(versions, i), "name"), name);
		if (!is_there)
			fault_invalid(
			    c, AT_INDEX(at, k), value_item(stored, k),
			    detail_print(c,
					 "missing from spec.versions; " SPAN_FMT
					 " was previously a storage version, and must remain in spec.versions "
					 "until a storage migration ensures no data remains persisted in " SPAN_FMT
					 " and removes " SPAN_FMT " from status.storedVersions",
					 SPAN_ARG(name), SPAN_ARG(name), SPAN_ARG(name)));
	}
}

static void check_own_name(struct change *c)
{
	struct span name = get_text(get(c->object, "metadata"), "name");
	const struct value *spec = get(c->object, "spec");
	struct span wanted = path_print(c, SPAN_FMT "." SPAN_FMT, SPAN_ARG(get_text(get(spec, "names"), "plural")),
					SPAN_ARG(get_text(spec, "group")));

	if (!c->old && !span_equal(name, wanted))
		fault_invalid_text(c, AT(AT(NULL, "metadata"), "name"), name,
				   "must be spec.names.plural+\".\"+spec.group");
}

void crd_check(struct change *c)
{
	const struct value *spec = get(c->object, "spec");
	const struct at *status = AT(NULL, "status");

	check_metadata(c, name_check_subdomain);
	if (change_is_status(c)) {
		check_names(c, AT(status, "acceptedNames"), get(get(c->object, "status"), "acceptedNames"));
		return;
	}
	check_own_name(c);
	check_spec(c, AT(NULL, "spec"), spec);
	if (c->old)
		check_immutable(c, AT(NULL, "spec"), get(c->old, "spec"), spec);
	check_names(c, AT(status, "acceptedNames"), get(get(c->object, "status"), "acceptedNames"));
	check_stored_versions(c, AT(status, "storedVersions"));
	check_approval(c);
	if (get_bool(spec, "preserveUnknownFields") && !get_bool(get(c->old, "spec"), "preserveUnknownFields"))
		fault_invalid(c, AT(AT(NULL, "spec"), "preserveUnknownFields"), get(spec, "preserveUnknownFields"),
			      "cannot set to true, set x-kubernetes-preserve-unknown-fields to true in "
			      "spec.versions[*].schema instead");
}
