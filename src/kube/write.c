/* SPDX-License-Identifier: Apache-2.0 */
/* write - create, replace, and the four ways to patch: from the body to the object that is wanted; change.c stores it. */
#include "kube/kube_private.h"

#include "kube/crd/convert.h"

#include "base/random.h"
#include "kube/go_words.h"
#include "wire/yaml.h"

enum { GENERATED_LENGTH = 5, GENERATED_PREFIX_MOST = 58, GENERATE_TRIES = 8 };

/* ---- names ---- */

/* False: answered. */
static bool namespace_check(struct call *call, struct value *metadata)
{
	struct span given = get_string(metadata, "namespace");
	struct error err = { 0 };

	if (given.len && !span_equal(given, call->base.name_space)) {
		answer_message(call, 400, "BadRequest",
			       "the namespace of the provided object does not match the namespace sent on the request");
		return false;
	}
	if (!call->base.kind->is_namespaced)
		(void)value_remove(metadata, SPAN("namespace"));
	else if (!value_set(metadata, SPAN("namespace"), value_string(call->base.name_space), &call->arena, &err)) {
		answer_error(call, &err);
		return false;
	}
	return true;
}

static struct span name_generate(struct span prefix, struct arena *arena, struct error *err)
{
	static const char letters[] = "bcdfghjklmnpqrstvwxz2456789";
	char suffix[GENERATED_LENGTH];

	for (size_t i = 0; i < sizeof(suffix); i++)
		suffix[i] = letters[random_fast() % (sizeof(letters) - 1)];
	return arena_print(arena, err, "%.*s%.*s", (int)MIN(prefix.len, GENERATED_PREFIX_MOST), prefix.ptr,
			   GENERATED_LENGTH, suffix);
}

static struct record *latest(struct call *call)
{
	struct span key = kube_key(call->base.kind, call->base.name_space, call->base.name, &call->arena);

	return key.ptr ? store_latest(call->base.kube->config.store, key) : NULL;
}

static bool create_name(struct call *call, struct value *metadata)
{
	struct span prefix = get_string(metadata, "generateName");
	struct error err = { 0 };

	call->base.name = get_string(metadata, "name");
	for (int i = 0; !get_string(metadata, "name").len && prefix.len && i < GENERATE_TRIES; i++) {
		call->base.name = name_generate(prefix, &call->arena, &err);
		if (call->base.name.ptr && !latest(call))
			break;
	}
	if (!call->base.name.len) {
		struct cause *causes = NULL, **end = &causes;

		cause_add(call, &end, "FieldValueRequired", SPAN("metadata.name"),
			  "Required value: name or generateName is required");
		answer_causes(call, span_of(call->base.kind->kind), span_of(call->base.kind->group), (struct span){ 0 },
			      causes);
		return false;
	}
	if (value_set(metadata, SPAN("name"), value_string(call->base.name), &call->arena, &err))
		return true;
	answer_error(call, &err);
	return false;
}

/* ---- create ---- */

static void answer_exists(struct call *call, const struct record *r)
{
	struct error ignored = { 0 };
	const struct notes *n = notes_of(r);
	struct status s = { .code = 409,
			    .reason = "AlreadyExists",
			    .has_details = true,
			    .name = call->base.name,
			    .group = span_of(call->base.kind->group),
			    .kind = span_of(call->base.kind->plural) };

	s.message = arena_print(&call->arena, &ignored, "%s" SPAN_FMT " \"%.*s\" already exists",
				n && n->is_ending ? "object is being deleted: " : "", SPAN_ARG(resource_text(call)),
				(int)call->base.name.len, call->base.name.ptr);
	if (value_find_string(call->change.object, "metadata.generateName").len) {
		s.message = arena_print(&call->arena, &ignored,
					"%.*s, the server was not able to generate a unique name for the object",
					(int)s.message.len, s.message.ptr);
		s.retry_seconds = 1;
	}
	answer_status(call, &s);
}

/* The object of a write of the server's own is copied: it may be tried more than once. False: answered. */
static struct value *object_read(struct call *call)
{
	struct error err = { 0 };
	struct value *object = ARENA_NEW(&call->arena, struct value, &err);

	if (!object) {
		answer_error(call, &err);
		return NULL;
	}
	if (!call->is_internal)
		return decode_body(call, object) ? object : NULL;
	if (value_copy(call->initial, &call->arena, object, &err))
		return object;
	answer_error(call, &err);
	return NULL;
}

static void create_begin(struct call *call, struct value *object)
{
	struct record *r;

	call->change.object = object;
	call->change.old = NULL;
	call->is_created = true;
	call->revision = 0;
	r = latest(call);
	if (r) {
		if (!change_waits(call, 1))
			answer_exists(call, r);
		return;
	}
	change_begin(call, KUBE_CREATE);
	change_run(call);
}

void write_create(struct call *call)
{
	struct error err = { 0 };
	struct value *object = object_read(call), *metadata;

	if (!object)
		return;
	metadata = object_metadata(object, &call->arena, &err);
	if (!metadata) {
		answer_error(call, &err);
		return;
	}
	if (get_string(metadata, "resourceVersion").len && !call->is_internal) {
		answer_message(call, 500, NULL, "resourceVersion should not be set on objects to be created");
		return;
	}
	if (namespace_check(call, metadata) && create_name(call, metadata))
		create_begin(call, object);
}

/* ---- patches ---- */

enum patch_form { PATCH_JSON, PATCH_MERGE, PATCH_STRATEGIC, PATCH_APPLY };

static bool patch_form_find(struct call *call, enum patch_form *ret)
{
	static const struct {
		struct span type;
		enum patch_form form;
	} rows[] = { { SPAN_INIT("application/json-patch+json"), PATCH_JSON },
		     { SPAN_INIT("application/merge-patch+json"), PATCH_MERGE },
		     { SPAN_INIT("application/strategic-merge-patch+json"), PATCH_STRATEGIC },
		     { SPAN_INIT("application/apply-patch+yaml"), PATCH_APPLY } };
	struct span type = span_trim(span_first(call->content_type, span_index(call->content_type, ';')));

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		if (!span_equal(type, rows[i].type))
			continue;
		*ret = rows[i].form;
		if (*ret != PATCH_STRATEGIC || !call->base.kind->is_custom)
			return true;
		answer_message(
		    call, 415, "UnsupportedMediaType",
		    "the body of the request was in an unknown format - accepted media types include: "
		    "application/json-patch+json, application/merge-patch+json, application/apply-patch+yaml");
		return false;
	}
	answer_generic(call, 415, "UnsupportedMediaType", "415: Unsupported Media Type");
	return false;
}

/* False: answered. */
static bool patch_read(struct call *call, enum patch_form form, struct value *ret)
{
	struct error err = { 0 };
	const char *prefix = form == PATCH_STRATEGIC ? "" : "error decoding patch: ";
	char fault[GO_WORDS_SIZE];

	if (!value_parse(call->body, NULL, &call->arena, ret, &err)) {
		if (err.code == ERROR_TOO_LARGE)
			answer_error(call, &err);
		else
			answer_message(call, 400, "BadRequest", "%s%s", prefix,
				       go_json_fault(call->body, fault) ? fault : err.message);
		return false;
	}
	if (form == PATCH_JSON ? ret->type != VALUE_ARRAY : ret->type != VALUE_OBJECT) {
		answer_message(call, 400, "BadRequest", "%sjson: cannot unmarshal %s into Go value of type %s", prefix,
			       go_json_type(ret),
			       form == PATCH_JSON ? "[]handlers.jsonPatchOp" : "map[string]interface {}");
		return false;
	}
	if (form == PATCH_JSON && ret->array.count > PATCH_OPERATIONS_MAX) {
		answer_message(call, 413, "RequestEntityTooLarge",
			       "Request entity too large: The allowed maximum operations in a JSON patch is %d, got %u",
			       PATCH_OPERATIONS_MAX, ret->array.count);
		return false;
	}
	return true;
}

static void patch_refuse(struct call *call, enum patch_form form, bool is_unprocessable, const struct error *err)
{
	struct status s = { .code = 422,
			    .reason = "Invalid",
			    .has_details = true,
			    .message = SPAN("the server rejected our request due to an error in our request") };
	struct cause *causes = NULL, **end = &causes;

	if (err->code != ERROR_INVALID) {
		answer_error(call, err);
	} else if (form == PATCH_JSON && is_unprocessable) {
		answer_status(call, &s);
	} else if (form == PATCH_STRATEGIC && is_unprocessable) {
		cause_add(call, &end, "FieldValueInvalid", SPAN("patch"), "%s", err->message);
		answer_causes(call, (struct span){ 0 }, (struct span){ 0 }, (struct span){ 0 }, causes);
	} else if (form == PATCH_STRATEGIC && strncmp(err->message, "invalid patch format", 20) != 0) {
		answer_message(call, 500, NULL, "%s", err->message);
	} else {
		answer_message(call, 400, "BadRequest", "%s", err->message);
	}
}

struct patching {
	enum patch_form form;
	struct value patch;
};

static bool patch_make(struct call *call, const struct patching *p, bool *ret_is_unprocessable, struct value *ret,
		       struct error *err)
{
	if (p->form == PATCH_JSON)
		return patch_json(call->change.old, &p->patch, &call->arena, ret, ret_is_unprocessable, err);
	if (p->form == PATCH_MERGE)
		return patch_merge(call->change.old, &p->patch, &call->arena, ret, err);
	return patch_strategic(call->change.old, &p->patch, kind_place(call->base.kind), &call->arena, ret, err);
}

static bool patch_again(struct call *call, void *context, struct value *ret)
{
	struct error err = { 0 };
	bool is_unprocessable;

	return patch_make(call, context, &is_unprocessable, ret, &err) && value_is(ret, VALUE_OBJECT);
}

/* The stored object with the patch. False: answered. */
static bool patch_run(struct call *call, enum patch_form form, struct value *ret)
{
	struct patching p = { .form = form };
	struct patched from = { .again = patch_again, .context = &p };
	bool is_unprocessable = false;
	struct error err = { 0 };

	if (!patch_read(call, form, &p.patch))
		return false;
	if (!patch_make(call, &p, &is_unprocessable, ret, &err)) {
		patch_refuse(call, form, is_unprocessable, &err);
		return false;
	}
	if (!value_is(ret, VALUE_OBJECT)) {
		answer_message(call, 422, "Invalid", "the patched object is no object");
		return false;
	}
	/* Parts may be shared with the stored object, which validation compares with. */
	if (!value_copy(ret, &call->arena, ret, &err)) {
		answer_error(call, &err);
		return false;
	}
	if (form == PATCH_STRATEGIC)
		from.strategic = &p.patch;
	return decode_patched(call, ret, &from);
}

/* ---- server-side apply ---- */

static void answer_conflicts(struct call *call, const struct apply_conflict *conflicts)
{
	struct cause *causes = NULL, **end = &causes;
	struct status s = { .code = 409, .reason = "Conflict", .has_details = true };
	struct error err = { 0 };

	for (const struct apply_conflict *c = conflicts; c; c = c->next)
		cause_add(call, &end, "FieldManagerConflict", c->field, "conflict with " SPAN_FMT,
			  SPAN_ARG(c->manager));
	s.message = apply_conflicts_print(conflicts, &call->arena, &err);
	s.causes = causes;
	if (s.message.ptr)
		answer_status(call, &s);
	else
		answer_error(call, &err);
}

/* False: answered. */
static bool apply_check(struct call *call, struct value *config)
{
	const struct kind *kind = call->base.kind;
	struct span api = get_string(config, "apiVersion"), name = get_string(config, "kind");
	struct span version = api, group = { 0 };
	const struct value *metadata = value_get(config, SPAN("metadata"));

	if (span_index(api, '/') < api.len)
		group = span_cut(&version, '/');
	if (!api.len || !name.len) {
		answer_message(call, 400, "BadRequest",
			       "invalid object type: " SPAN_FMT "/" SPAN_FMT ", Kind=" SPAN_FMT, SPAN_ARG(group),
			       SPAN_ARG(version), SPAN_ARG(name));
		return false;
	}
	if (!span_equal(group, span_of(kind->group)) || !span_equal(version, span_of(kind->version)) ||
	    (!span_equal(name, span_of(kind->kind)) && !call->base.subresource.len)) {
		answer_message(call, 400, "BadRequest",
			       "%s in version \"%s\" cannot be handled as a %s: invalid object type: " SPAN_FMT
			       ", Kind=" SPAN_FMT,
			       kind->kind, kind->version, kind->kind, SPAN_ARG(api), SPAN_ARG(name));
		return false;
	}
	if (!value_is_empty(value_get(metadata, SPAN("managedFields")))) {
		answer_message(call, 400, "BadRequest", "metadata.managedFields must be nil");
		return false;
	}
	return true;
}

/* `failed to create typed patch object (...)` is a 500 without a reason; what a client could have known is a 400. */
static void apply_refuse(struct call *call, const struct error *err)
{
	if (err->code == ERROR_INVALID)
		answer_message(call, 500, NULL, "%s", err->message);
	else
		answer_error(call, err);
}

static bool apply_run(struct call *call, struct value *ret)
{
	struct apply_manager manager = manager_make(call);
	struct apply_conflict *conflicts = NULL;
	struct value config;
	struct error err = { 0 };

	if (!yaml_parse(call->body, NULL, &call->arena, &config, &err)) {
		if (err.code == ERROR_TOO_LARGE)
			answer_error(call, &err);
		else
			answer_message(call, 400, "BadRequest",
				       "error decoding YAML: error converting YAML to JSON: yaml: %s", err.message);
		return false;
	}
	if (config.type == VALUE_NULL)
		config = value_object(); /* an empty text */
	if (!value_is(&config, VALUE_OBJECT)) {
		answer_message(call, 400, "BadRequest", "error decoding YAML: the configuration is no object");
		return false;
	}
	if (!apply_check(call, &config))
		return false;
	if (!apply_merge(call->change.old, &config, kind_place(call->base.kind), &manager, call->options.is_forced,
			 &call->arena, ret, &conflicts, &err)) {
		apply_refuse(call, &err);
		return false;
	}
	if (conflicts) {
		answer_conflicts(call, conflicts);
		return false;
	}
	if (!value_copy(ret, &call->arena, ret, &err)) {
		answer_error(call, &err);
		return false;
	}
	return true;
}

/* ---- replace and patch ---- */

/* The stored version that the client named is not the one there is. */
bool status_of_conflict(struct call *call, struct status *ret)
{
	struct error ignored = { 0 };
	struct span given = call->options.resource_version;

	if (call->base.verb == KUBE_PATCH && !given.len)
		return false;
	if (!given.len)
		return false;
	*ret = (struct status){ .code = 409,
				.reason = "Conflict",
				.has_details = true,
				.name = call->base.name,
				.group = span_of(call->base.kind->group),
				.kind = span_of(call->base.kind->plural) };
	ret->message = arena_print(&call->arena, &ignored,
				   "Operation cannot be fulfilled on " SPAN_FMT
				   " \"%.*s\": the object has been modified; please apply your changes to the latest "
				   "version and try again",
				   SPAN_ARG(resource_text(call)), (int)call->base.name.len, call->base.name.ptr);
	return true;
}

/* False: answered. */
static bool name_check(struct call *call, struct value *metadata)
{
	struct span name = get_string(metadata, "name");

	if (!name.len) {
		answer_message(call, 400, "BadRequest",
			       "the name of the object (" SPAN_FMT
			       " based on URL) was undeterminable: name must be provided",
			       SPAN_ARG(call->base.name));
		return false;
	}
	if (!span_equal(name, call->base.name)) {
		answer_message(call, 400, "BadRequest",
			       "the name of the object (" SPAN_FMT ") does not match the name on the URL (" SPAN_FMT
			       ")",
			       SPAN_ARG(name), SPAN_ARG(call->base.name));
		return false;
	}
	return namespace_check(call, metadata);
}

static void answer_other_uid(struct call *call, struct span given, struct span is)
{
	struct error ignored = { 0 };
	struct status s = { .code = 409,
			    .reason = "Conflict",
			    .has_details = true,
			    .name = call->base.name,
			    .group = span_of(call->base.kind->group),
			    .kind = span_of(call->base.kind->plural) };
	struct span resource = resource_text(call);

	if (call->is_apply)
		s.message = arena_print(&call->arena, &ignored,
					"Operation cannot be fulfilled on " SPAN_FMT " \"" SPAN_FMT
					"\": uid mismatch: the provided object specified uid " SPAN_FMT
					", and no existing object was found",
					SPAN_ARG(resource), SPAN_ARG(call->base.name), SPAN_ARG(given));
	else
		s.message =
		    arena_print(&call->arena, &ignored,
				"Operation cannot be fulfilled on " SPAN_FMT " \"" SPAN_FMT
				"\": StorageError: invalid object, Code: 4, Key: /registry/%s%s" SPAN_FMT "/" SPAN_FMT
				", ResourceVersion: 0, AdditionalErrorMsg: Precondition failed: UID in "
				"precondition: " SPAN_FMT ", UID in object meta: " SPAN_FMT,
				SPAN_ARG(resource), SPAN_ARG(call->base.name), call->base.kind->plural,
				call->base.name_space.len ? "/" : "", SPAN_ARG(call->base.name_space),
				SPAN_ARG(call->base.name), SPAN_ARG(given), SPAN_ARG(is));
	answer_status(call, &s);
}

static bool version_check(struct call *call, struct value *metadata)
{
	struct span given = get_string(metadata, "resourceVersion"), old;
	struct status s;
	struct error err = { 0 };

	old = value_find_string(call->change.old, "metadata.resourceVersion");
	if (!call->is_patch)
		call->options.resource_version = given;
	else
		call->options.resource_version =
		    span_equal(given, old) && call->tries == 0 ? (struct span){ 0 } : given;
	if (call->is_patch && span_equal(given, old))
		call->options.resource_version = (struct span){ 0 };
	if (!call->is_patch && !given.len && call->base.kind->is_custom && !call->is_internal) {
		struct cause *causes = NULL, **end = &causes;

		cause_add(call, &end, "FieldValueInvalid", SPAN("metadata.resourceVersion"),
			  "Invalid value: 0x0: must be specified for an update");
		answer_causes(call, span_of(call->base.kind->plural), span_of(call->base.kind->group), call->base.name,
			      causes);
		return false;
	}
	if (given.len && !span_equal(given, old)) {
		if (change_waits(call, 1))
			return false;
		call->options.resource_version = given;
		(void)status_of_conflict(call, &s);
		answer_status(call, &s);
		return false;
	}
	if (value_set(metadata, SPAN("resourceVersion"), value_string(old), &call->arena, &err))
		return true;
	answer_error(call, &err);
	return false;
}

static bool uid_check(struct call *call, struct value *metadata)
{
	struct span given = get_string(metadata, "uid");
	struct span is = value_find_string(call->change.old, "metadata.uid");

	if (call->is_patch || !given.len || span_equal(given, is))
		return true; /* a patch that changes it is refused by validation */
	answer_other_uid(call, given, is);
	return false;
}

static void apply_create(struct call *call)
{
	struct error err = { 0 };
	struct value *object = ARENA_NEW(&call->arena, struct value, &err), *metadata;

	if (!object) {
		answer_error(call, &err);
		return;
	}
	call->change.old = NULL;
	if (!apply_run(call, object))
		return;
	metadata = object_metadata(object, &call->arena, &err);
	if (!metadata || (!get_string(metadata, "name").len &&
			  !value_set(metadata, SPAN("name"), value_string(call->base.name), &call->arena, &err))) {
		answer_error(call, &err);
		return;
	}
	if (!name_check(call, metadata))
		return;
	if (get_string(metadata, "uid").len) {
		answer_other_uid(call, get_string(metadata, "uid"), (struct span){ 0 });
		return;
	}
	if (decode_patched(call, object, NULL))
		create_begin(call, object);
}

static void update_absent(struct call *call, enum patch_form form)
{
	struct value *object;

	if (call->is_patch && form == PATCH_APPLY && !call->base.subresource.len) {
		apply_create(call);
		return;
	}
	if (!call->is_patch && !call->is_internal) {
		struct span uid;

		object = object_read(call);
		if (!object)
			return;
		uid = value_find_string(object, "metadata.uid");
		if (uid.len) {
			if (change_waits(call, 1))
				return;
			answer_other_uid(call, uid, (struct span){ 0 });
			return;
		}
	}
	if (!change_waits(call, 1))
		answer_not_found(call);
}

/* Everything that a try needs of the stored object. False: answered. */
static bool base_read(struct call *call, struct record *r)
{
	struct error err = { 0 };

	if (!convert_ready(call, &r, 1))
		return false;
	call->base_record = record_ref(r);
	call->revision = r->revision;
	call->change.old = record_object(call->base.kind, r, &call->arena, &err);
	call->old_text = record_text(call, r, &err);
	if (call->change.old && call->old_text.ptr)
		return true;
	answer_error(call, &err);
	return false;
}

void write_update(struct call *call)
{
	enum patch_form form = PATCH_MERGE;
	struct value *object, *metadata;
	struct error err = { 0 };
	struct record *r;

	call->is_patch = call->base.verb == KUBE_PATCH;
	if (call->is_patch && !patch_form_find(call, &form))
		return;
	r = latest(call);
	if (!r) {
		update_absent(call, form);
		return;
	}
	if (!base_read(call, r))
		return;
	object = call->is_patch ? ARENA_NEW(&call->arena, struct value, &err) : object_read(call);
	if (!object) {
		if (call->is_patch)
			answer_error(call, &err);
		return;
	}
	if (call->is_patch && !(form == PATCH_APPLY ? apply_run(call, object) && decode_patched(call, object, NULL)
						    : patch_run(call, form, object)))
		return;
	metadata = object_metadata(object, &call->arena, &err);
	if (!metadata) {
		answer_error(call, &err);
		return;
	}
	if (!name_check(call, metadata) || !version_check(call, metadata) || !uid_check(call, metadata))
		return;
	call->change.object = object;
	change_begin(call, KUBE_UPDATE);
	change_run(call);
}
