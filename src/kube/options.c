/* SPDX-License-Identifier: Apache-2.0 */
/* options - what the query asks for, checked as the real server checks ListOptions, CreateOptions and their like. */
#include "kube/kube_private.h"

#include "kube/go_words.h"
#include "wire/yaml.h"

struct option {
	const char *name;
	size_t offset;
};

#define AT(member)   offsetof(struct options, member)
#define GRACE_UNSAID INT64_MIN

static const struct option texts[] = {
	{ "labelSelector", AT(label_selector) },     { "fieldSelector", AT(field_selector) },
	{ "resourceVersion", AT(resource_version) }, { "continue", AT(continue_token) },
	{ "fieldManager", AT(field_manager) },       { "includeObject", AT(include_object) },
};

static const struct option numbers[] = {
	{ "limit", AT(limit) },
	{ "timeoutSeconds", AT(timeout_seconds) },
	{ "gracePeriodSeconds", AT(grace_seconds) },
};

/* Everything that is there once, as texts; checked when all is known. */
struct raw {
	struct span dry_run, match, validation, propagation, initial_events, force;
	bool has_dry_run, has_match, has_initial_events, has_force, has_propagation, has_orphan;
	bool orphan;
	struct value dry_run_list;
};

static bool is_true(struct span s)
{
	return !(span_equal(s, SPAN("false")) || span_equal(s, SPAN("0")) || s.len == 0);
}

/* strconv.ParseBool's true for query values: an empty one is true as well, as in "?pretty". */
static bool is_switch_on(struct span s)
{
	return !(span_equal(s, SPAN("false")) || span_equal(s, SPAN("0")));
}

static bool number_read(struct call *call, struct span value, int64_t *ret)
{
	if (!value.len)
		return true;
	if (number_parse_int64(value, ret))
		return true;
	answer_message(call, 400, "BadRequest", "strconv.ParseInt: parsing \"" SPAN_FMT "\": invalid syntax",
		       SPAN_ARG(value));
	return false;
}

static bool known_read(struct call *call, struct span name, struct span value, bool *ret_known)
{
	*ret_known = true;
	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		if (span_equal(name, span_of(texts[i].name))) {
			*(struct span *)((char *)&call->options + texts[i].offset) = value;
			return true;
		}
	}
	for (size_t i = 0; i < ARRAY_LEN(numbers); i++)
		if (span_equal(name, span_of(numbers[i].name)))
			return number_read(call, value, (int64_t *)((char *)&call->options + numbers[i].offset));
	*ret_known = false;
	return true;
}

static void other_read(struct call *call, struct raw *raw, struct span name, struct span value)
{
	struct error ignored = { 0 };

	if (span_equal(name, SPAN("watch"))) {
		call->options.is_watch = is_true(value);
	} else if (span_equal(name, SPAN("allowWatchBookmarks"))) {
		call->options.has_bookmarks = is_true(value);
	} else if (span_equal(name, SPAN("dryRun"))) {
		raw->has_dry_run = true;
		if (raw->dry_run_list.type != VALUE_ARRAY)
			raw->dry_run_list = value_array();
		(void)value_append(&raw->dry_run_list, value_string(value), &call->arena, &ignored);
	} else if (span_equal(name, SPAN("resourceVersionMatch"))) {
		raw->has_match = value.len > 0;
		raw->match = value;
	} else if (span_equal(name, SPAN("fieldValidation"))) {
		raw->validation = value;
	} else if (span_equal(name, SPAN("propagationPolicy"))) {
		raw->has_propagation = true;
		raw->propagation = value;
	} else if (span_equal(name, SPAN("orphanDependents"))) {
		raw->has_orphan = true;
		raw->orphan = is_true(value);
	} else if (span_equal(name, SPAN("sendInitialEvents"))) {
		raw->has_initial_events = true;
		raw->initial_events = value;
	} else if (span_equal(name, SPAN("force"))) {
		raw->has_force = true;
		raw->force = value;
	} else if (span_equal(name, SPAN("pretty"))) {
		call->options.is_pretty = is_switch_on(value);
	}
}

/* `CreateOptions.meta.k8s.io "" is invalid: ...` */
static bool options_refuse(struct call *call, struct cause *causes, const char *kind)
{
	if (!causes)
		return true;
	answer_causes(call, span_of(kind), SPAN("meta.k8s.io"), (struct span){ 0 }, causes);
	return false;
}

static const char *options_kind(const struct call *call)
{
	switch (call->base.verb) {
	case KUBE_CREATE:
		return "CreateOptions";
	case KUBE_UPDATE:
		return "UpdateOptions";
	case KUBE_PATCH:
		return "PatchOptions";
	case KUBE_DELETE:
	case KUBE_DELETE_COLLECTION:
		return "DeleteOptions";
	default:
		return "ListOptions";
	}
}

/* ---- lists and watches ---- */

static void check_watch(struct call *call, const struct raw *raw, struct cause ***end)
{
	if (raw->has_match && !raw->has_initial_events)
		cause_add(
		    call, end, "FieldValueForbidden", SPAN("resourceVersionMatch"),
		    "Forbidden: resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided");
	if (raw->has_match && !raw->has_initial_events && !span_equal(raw->match, SPAN("NotOlderThan")))
		cause_add(call, end, "FieldValueNotSupported", SPAN("resourceVersionMatch"),
			  "Unsupported value: \"" SPAN_FMT "\": supported values: \"NotOlderThan\"",
			  SPAN_ARG(raw->match));
	if (raw->has_initial_events && !raw->has_match)
		cause_add(call, end, "FieldValueForbidden", SPAN("resourceVersionMatch"),
			  "Forbidden: sendInitialEvents requires setting resourceVersionMatch to NotOlderThan");
	if (raw->has_initial_events)
		cause_add(
		    call, end, "FieldValueForbidden", SPAN("sendInitialEvents"),
		    "Forbidden: sendInitialEvents is forbidden for watch unless the WatchList feature gate is enabled");
}

static void check_match(struct call *call, const struct raw *raw, struct cause ***end)
{
	struct span version = call->options.resource_version;

	if (!raw->has_match)
		return;
	if (!version.len)
		cause_add(call, end, "FieldValueForbidden", SPAN("resourceVersionMatch"),
			  "Forbidden: resourceVersionMatch is forbidden unless resourceVersion is provided");
	if (call->options.continue_token.len)
		cause_add(call, end, "FieldValueForbidden", SPAN("resourceVersionMatch"),
			  "Forbidden: resourceVersionMatch is forbidden when continue is provided");
	if (span_equal(raw->match, SPAN("Exact"))) {
		call->options.match = MATCH_EXACT;
		if (span_equal(version, SPAN("0")))
			cause_add(call, end, "FieldValueForbidden", SPAN("resourceVersionMatch"),
				  "Forbidden: resourceVersionMatch \"exact\" is forbidden for resourceVersion \"0\"");
	} else if (span_equal(raw->match, SPAN("NotOlderThan"))) {
		call->options.match = MATCH_NOT_OLDER;
	} else {
		cause_add(call, end, "FieldValueNotSupported", SPAN("resourceVersionMatch"),
			  "Unsupported value: \"" SPAN_FMT "\": supported values: \"Exact\", \"NotOlderThan\", \"\"",
			  SPAN_ARG(raw->match));
	}
}

static bool check_version(struct call *call)
{
	struct options *o = &call->options;
	uint64_t version;

	o->version = -1;
	if (!o->resource_version.len)
		return true;
	if (!number_parse_uint64(o->resource_version, &version) || version > INT64_MAX) {
		if (o->is_watch)
			answer_message(call, 500, NULL,
				       "resourceVersion: Invalid value: \"" SPAN_FMT
				       "\": strconv.ParseUint: parsing \"" SPAN_FMT "\": invalid syntax",
				       SPAN_ARG(o->resource_version), SPAN_ARG(o->resource_version));
		else
			answer_message(call, 400, "BadRequest",
				       "invalid resource version: resourceVersion: Invalid value: \"" SPAN_FMT
				       "\": strconv.ParseUint: parsing \"" SPAN_FMT "\": invalid syntax",
				       SPAN_ARG(o->resource_version), SPAN_ARG(o->resource_version));
		return false;
	}
	o->version = (int64_t)version;
	return true;
}

static bool check_list(struct call *call, const struct raw *raw)
{
	struct cause *causes = NULL, **end = &causes;
	struct error err = { 0 };

	if (!selector_parse_labels(call->options.label_selector, &call->arena, &call->selectors.labels, &err) ||
	    !selector_parse_fields(call->options.field_selector, call->base.kind, &call->arena, &call->selectors.fields,
				   &err)) {
		answer_error(call, &err);
		return false;
	}
	if (call->options.is_watch) {
		check_watch(call, raw, &end);
	} else {
		check_match(call, raw, &end);
		if (raw->has_initial_events)
			cause_add(call, &end, "FieldValueForbidden", SPAN("sendInitialEvents"),
				  "Forbidden: sendInitialEvents is forbidden for list");
	}
	return options_refuse(call, causes, "ListOptions") && check_version(call);
}

/* ---- writes ---- */

static void check_dry_run(struct call *call, const struct raw *raw, struct cause ***end)
{
	struct error ignored = { 0 };
	struct buffer text;

	if (raw->dry_run_list.type != VALUE_ARRAY)
		return;
	call->options.is_dry_run = true;
	for (uint32_t i = 0; i < raw->dry_run_list.array.count; i++) {
		const struct value *v = value_item(&raw->dry_run_list, i);

		if (value_is(v, VALUE_STRING) && span_equal(v->string, SPAN("All")))
			continue;
		buffer_init(&text, KIB(4));
		buffer_append(&text, SPAN("[]string{"));
		for (uint32_t j = 0; j < raw->dry_run_list.array.count; j++)
			buffer_print(&text, "%s\"" SPAN_FMT "\"", j ? ", " : "",
				     SPAN_ARG(value_item(&raw->dry_run_list, j)->string));
		buffer_byte(&text, '}');
		cause_add(call, end, "FieldValueNotSupported", SPAN("dryRun"),
			  "Unsupported value: %.*s: supported values: \"All\"", (int)text.len, text.ptr);
		buffer_done(&text);
		break;
	}
	(void)ignored;
}

static void check_validation(struct call *call, const struct raw *raw, struct cause ***end)
{
	if (span_equal(raw->validation, SPAN("Strict")))
		call->options.validation = VALIDATE_STRICT;
	else if (span_equal(raw->validation, SPAN("Ignore")))
		call->options.validation = VALIDATE_IGNORE;
	else if (raw->validation.len && !span_equal(raw->validation, SPAN("Warn")))
		cause_add(call, end, "FieldValueNotSupported", SPAN("fieldValidation"),
			  "Unsupported value: \"" SPAN_FMT
			  "\": supported values: \"\", \"Ignore\", \"Strict\", \"Warn\"",
			  SPAN_ARG(raw->validation));
}

#define MANAGER_BYTES_MOST 128

static void check_manager(struct call *call, struct cause ***end)
{
	struct span manager = call->options.field_manager;

	if (manager.len > MANAGER_BYTES_MOST)
		cause_add(call, end, "FieldValueTooLong", SPAN("fieldManager"),
			  "Too long: may not be more than %d bytes", MANAGER_BYTES_MOST);
	for (size_t i = 0; i < manager.len; i++) {
		unsigned char c = (unsigned char)manager.ptr[i];

		if (c >= 0x20 && c != 0x7f)
			continue;
		cause_add(call, end, "FieldValueInvalid", SPAN("fieldManager"),
			  "Invalid value: \"%.*s\\%s%.*s\": invalid character U+%04X (at position %zu)", (int)i,
			  manager.ptr,
			  c == 7      ? "a"
			  : c == '\n' ? "n"
			  : c == '\t' ? "t"
			  : c == '\r' ? "r"
				      : "x",
			  (int)MIN(manager.len - i - 1, 128), manager.ptr + i + 1, c, i);
		break;
	}
}

static bool check_write(struct call *call, const struct raw *raw)
{
	struct cause *causes = NULL, **end = &causes;

	if (call->base.verb == KUBE_PATCH) {
		if (call->is_apply && !call->options.field_manager.len)
			cause_add(call, &end, "FieldValueRequired", SPAN("fieldManager"),
				  "Required value: is required for apply patch");
		if (!call->is_apply && raw->has_force)
			cause_add(call, &end, "FieldValueForbidden", SPAN("force"),
				  "Forbidden: may not be specified for non-apply patch");
	}
	call->options.is_forced = raw->has_force && is_true(raw->force);
	check_dry_run(call, raw, &end);
	check_manager(call, &end);
	check_validation(call, raw, &end);
	return options_refuse(call, causes, options_kind(call));
}

/* ---- deletes ---- */

static bool check_delete(struct call *call, const struct raw *raw)
{
	static const struct {
		const char *name;
		enum propagation propagation;
	} rows[] = { { "Foreground", PROPAGATE_FOREGROUND },
		     { "Background", PROPAGATE_BACKGROUND },
		     { "Orphan", PROPAGATE_ORPHAN } };
	struct cause *causes = NULL, **end = &causes;

	if (raw->has_propagation && raw->has_orphan)
		cause_add(call, &end, "FieldValueInvalid", SPAN("propagationPolicy"),
			  "Invalid value: \"" SPAN_FMT
			  "\": orphanDependents and deletionPropagation cannot be both set",
			  SPAN_ARG(raw->propagation));
	if (raw->has_propagation) {
		for (size_t i = 0; i < ARRAY_LEN(rows); i++)
			if (span_equal(raw->propagation, span_of(rows[i].name)))
				call->options.propagation = rows[i].propagation;
		if (call->options.propagation == PROPAGATE_UNSAID)
			cause_add(call, &end, "FieldValueNotSupported", SPAN("propagationPolicy"),
				  "Unsupported value: \"" SPAN_FMT
				  "\": supported values: \"Foreground\", \"Background\", \"Orphan\", \"nil\"",
				  SPAN_ARG(raw->propagation));
	} else if (raw->has_orphan) {
		call->options.propagation = raw->orphan ? PROPAGATE_ORPHAN : PROPAGATE_BACKGROUND;
	}
	check_dry_run(call, raw, &end);
	return options_refuse(call, causes, "DeleteOptions");
}

static bool body_parse(struct call *call, struct value *v)
{
	char fault[GO_WORDS_SIZE];
	struct span type = span_trim(span_first(call->content_type, span_index(call->content_type, ';')));
	struct error err = { 0 };

	if (span_equal(type, SPAN("application/vnd.kubernetes.protobuf"))) {
		struct span version, kind, raw;
		const struct type *t = type_find(SPAN("io.k8s.apimachinery.pkg.apis.meta.v1.DeleteOptions"));

		if (kube_protobuf_open(call->body, &version, &kind, &raw, &err) && t &&
		    schema_from_protobuf(t, raw, &call->arena, v, &err))
			return true;
		answer_error(call, &err);
		return false;
	}
	if (!(span_equal(type, SPAN("application/yaml")) ? yaml_parse(call->body, NULL, &call->arena, v, &err)
							 : value_parse(call->body, NULL, &call->arena, v, &err))) {
		answer_message(call, 500, NULL, "couldn't get version/kind; json parse error: %s",
			       go_json_fault(call->body, fault) ? fault : err.message);
		return false;
	}
	if (v->type == VALUE_OBJECT || v->type == VALUE_NULL)
		return true;
	answer_message(call, 500, NULL,
		       "couldn't get version/kind; json parse error: json: cannot unmarshal %s into Go value of type "
		       "struct { APIVersion string \"json:\\\"apiVersion,omitempty\\\"\"; Kind string "
		       "\"json:\\\"kind,omitempty\\\"\" }",
		       v->type == VALUE_INT || v->type == VALUE_DOUBLE ? "number"
		       : v->type == VALUE_BOOL                         ? "bool"
								       : value_type_name(v->type));
	return false;
}

static void preconditions_read(struct call *call, const struct value *v)
{
	const struct value *uid = value_get(v, SPAN("uid")), *version = value_get(v, SPAN("resourceVersion"));

	call->options.has_precondition_uid = value_is(uid, VALUE_STRING);
	call->options.has_precondition_version = value_is(version, VALUE_STRING);
	if (call->options.has_precondition_uid)
		call->options.precondition_uid = uid->string;
	if (call->options.has_precondition_version)
		call->options.precondition_version = version->string;
}

/* A body takes the query's place: the real server looks at one of them. */
static bool body_read(struct call *call, struct raw *raw)
{
	const struct type *type = type_find(SPAN("io.k8s.apimachinery.pkg.apis.meta.v1.DeleteOptions"));
	struct value v, *member;
	struct error err = { 0 };
	struct span kind;

	if (!body_parse(call, &v))
		return false;
	kind = get_string(&v, "kind");
	if (kind.len && !span_equal(kind, SPAN("DeleteOptions"))) {
		answer_message(call, 500, NULL,
			       "no kind \"" SPAN_FMT "\" is registered for version \"" SPAN_FMT
			       "\" in scheme \"pkg/runtime/scheme.go:110\"",
			       SPAN_ARG(kind), SPAN_ARG(get_string(&v, "apiVersion")));
		return false;
	}
	if (v.type == VALUE_OBJECT && type && !schema_decode(type, &v, NULL, &call->arena, &err)) {
		answer_message(call, 500, NULL, "%s", err.message);
		return false;
	}
	*raw = (struct raw){ 0 };
	call->options.grace_seconds = GRACE_UNSAID;
	member = value_get(&v, SPAN("propagationPolicy"));
	raw->has_propagation = value_is(member, VALUE_STRING);
	raw->propagation = raw->has_propagation ? member->string : (struct span){ 0 };
	member = value_get(&v, SPAN("orphanDependents"));
	raw->has_orphan = value_is(member, VALUE_BOOL);
	raw->orphan = raw->has_orphan && member->boolean;
	member = value_get(&v, SPAN("gracePeriodSeconds"));
	if (value_is(member, VALUE_INT))
		call->options.grace_seconds = member->integer;
	member = value_get(&v, SPAN("dryRun"));
	if (value_is(member, VALUE_ARRAY) && member->array.count)
		raw->dry_run_list = *member;
	preconditions_read(call, value_get(&v, SPAN("preconditions")));
	return true;
}

/* ---- all ---- */

/* A negative grace is the shortest there is. */
static void grace_settle(struct call *call)
{
	int64_t *grace = &call->options.grace_seconds;

	*grace = *grace == GRACE_UNSAID ? -1 : *grace < 0 ? 1 : *grace;
}

static bool query_read(struct call *call, struct raw *raw)
{
	struct span rest = call->query, name, value;

	call->options.grace_seconds = GRACE_UNSAID;
	while (form_next(&rest, &call->arena, &name, &value)) {
		bool is_known;

		if (!known_read(call, name, value, &is_known))
			return false;
		if (!is_known)
			other_read(call, raw, name, value);
	}
	return true;
}

bool options_read(struct call *call)
{
	struct raw raw = { 0 };
	bool is_watch = call->options.is_watch;

	if (!query_read(call, &raw))
		return false;
	call->options.is_watch = is_watch; /* path.c has read it with the path */
	switch (call->base.verb) {
	case KUBE_CREATE:
	case KUBE_UPDATE:
	case KUBE_PATCH:
		return check_write(call, &raw);
	case KUBE_DELETE_COLLECTION:
		if (!check_list(call, &raw))
			return false;
		__attribute__((fallthrough));
	case KUBE_DELETE:
		if (call->body.len && !body_read(call, &raw))
			return false;
		grace_settle(call);
		return check_delete(call, &raw);
	case KUBE_GET:
		return check_version(call);
	default:
		return check_list(call, &raw);
	}
}
