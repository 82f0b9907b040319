/* SPDX-License-Identifier: Apache-2.0 */
/* scale - the scale subresource: an autoscaling/v1 Scale that stands for a few fields of an object. */
#include "kube/kube_private.h"

#include "kube/crd/convert.h"

#include <stdio.h>

#define PATH_MOST 256

static bool put(struct value *object, const char *member, struct value v, struct arena *arena, struct error *err)
{
	return value_set(object, span_of(member), v, arena, err) != NULL;
}

/* A label selector as the text that clients parse; custom kinds keep it as a text already. */
struct span scale_selector(const struct value *object, const char *path, struct arena *arena)
{
	const struct value *v = path ? value_find(object, path) : NULL;

	if (!v)
		return (struct span){ 0 };
	if (v->type == VALUE_STRING)
		return v->string;
	return value_is_empty(v) ? (struct span){ 0 } : selector_print(v, arena);
}

static bool scale_make(const struct kind *kind, const struct value *object, struct arena *arena, struct value *ret,
		       struct error *err)
{
	static const char *const members[] = { "name", "namespace", "uid", "resourceVersion", "creationTimestamp" };
	struct value metadata = value_object(), spec = value_object(), status = value_object();
	const struct value *from = value_get(object, SPAN("metadata"));
	int64_t replicas = value_find_int(object, kind->scale.spec_replicas, 0);
	struct span selector = scale_selector(object, kind->scale.selector, arena);

	for (size_t i = 0; i < ARRAY_LEN(members); i++) {
		const struct value *v = value_get(from, span_of(members[i]));

		if (v && !put(&metadata, members[i], *v, arena, err))
			return false;
	}
	if (replicas && !put(&spec, "replicas", value_int(replicas), arena, err))
		return false;
	if (!put(&status, "replicas", value_int(value_find_int(object, kind->scale.status_replicas, 0)), arena, err))
		return false;
	if (selector.len && !put(&status, "selector", value_string(selector), arena, err))
		return false;
	*ret = value_object();
	return put(ret, "kind", value_string(SPAN("Scale")), arena, err) &&
	       put(ret, "apiVersion", value_string(SPAN("autoscaling/v1")), arena, err) &&
	       put(ret, "metadata", metadata, arena, err) && put(ret, "spec", spec, arena, err) &&
	       put(ret, "status", status, arena, err);
}

/* ---- as a table ---- */

static const struct column scale_columns[] = {
	{ "Name", "string", "", "The name of the object.", 0 },
	{ "Desired", "integer", "", "How many replicas are wanted.", 0 },
	{ "Available", "integer", "", "How many there are.", 0 },
	{ "Age", "string", "", "How long ago the object was created.", 0 },
	{ 0 },
};

static void scale_row(const struct value *scale, int64_t now_ns, struct value *cells, struct arena *arena)
{
	cells[0] = value_string(value_find_string(scale, "metadata.name"));
	cells[1] = value_int(value_find_int(scale, "spec.replicas", 0));
	cells[2] = value_int(value_find_int(scale, "status.replicas", 0));
	cells[3] = value_string(kube_age(value_find_string(scale, "metadata.creationTimestamp"), now_ns, arena));
}

static const struct kind kind_of_scales = {
	.group = "autoscaling",
	.version = "v1",
	.kind = "Scale",
	.type_name = "io.k8s.api.autoscaling.v1.Scale",
	.columns = scale_columns,
	.row = scale_row,
};

static void answer_form(struct call *call, int status, const struct value *scale)
{
	struct error err = { 0 };
	struct span text = value_print(scale, &call->arena, &err);

	if (call->base.req && text.ptr && form_write(call, &kind_of_scales, text, &call->base.req->out, &err)) {
		answer_out(call, status);
		return;
	}
	if (call->base.req)
		buffer_clear(&call->base.req->out);
	answer_error(call, &err);
}

static void answer_scale(struct call *call, int status, const struct value *object)
{
	struct value scale;
	struct error err = { 0 };

	if (!scale_make(call->base.kind, object, &call->arena, &scale, &err))
		answer_error(call, &err);
	else if (call->form == FORM_OBJECT || !call->base.req)
		answer_value(call, status, &scale);
	else
		answer_form(call, status, &scale);
}

void scale_get(struct call *call)
{
	struct span key = kube_key(call->base.kind, call->base.name_space, call->base.name, &call->arena);
	struct record *r = key.ptr ? store_get(call->base.kube->config.store, key) : NULL;
	struct error err = { 0 };
	struct value *object;

	if (r && !convert_ready(call, &r, 1))
		return;
	object = r ? record_object(call->base.kind, r, &call->arena, &err) : NULL;
	if (object)
		answer_scale(call, 200, object);
	else if (err.code)
		answer_error(call, &err);
	else
		answer_not_found(call);
}

/* ---- writing ---- */

/* Sets a member by a path with dots, making the objects on the way. */
static bool set_path(struct value *object, const char *path, struct value v, struct arena *arena, struct error *err)
{
	struct span rest = span_of(path);

	for (;;) {
		struct span name = span_cut(&rest, '.');

		if (!rest.len)
			return value_set(object, name, v, arena, err) != NULL;
		object = value_ensure_object(object, name, arena, err);
		if (!object)
			return false;
	}
}

/* The Scale that is wanted. False: answered. */
static bool scale_read(struct call *call, const struct value *scale, struct value *ret)
{
	struct span type = span_trim(span_first(call->content_type, span_index(call->content_type, ';')));
	bool is_unprocessable = false, good;
	struct error err = { 0 };
	struct value patch;

	if (call->is_internal) {
		*ret = *call->initial;
		return true;
	}
	if (call->base.verb == KUBE_UPDATE)
		return decode_body(call, ret);
	if (!value_parse(call->body, NULL, &call->arena, &patch, &err)) {
		answer_message(call, 400, "BadRequest", "error decoding patch: %s", err.message);
		return false;
	}
	if (span_equal(type, SPAN("application/json-patch+json"))) {
		good = patch_json(scale, &patch, &call->arena, ret, &is_unprocessable, &err);
	} else if (span_equal(type, SPAN("application/merge-patch+json")) ||
		   span_equal(type, SPAN("application/strategic-merge-patch+json"))) {
		good = patch_merge(scale, &patch, &call->arena, ret, &err);
	} else {
		answer_generic(call, 415, "UnsupportedMediaType", "415: Unsupported Media Type");
		return false;
	}
	if (good)
		return decode_patched(call, ret, NULL);
	if (is_unprocessable)
		answer_message(call, 422, "Invalid", "the server rejected our request due to an error in our request");
	else
		answer_error(call, &err);
	return false;
}

static bool scale_check(struct call *call, const struct value *scale, int64_t replicas)
{
	struct span version = value_find_string(scale, "metadata.resourceVersion");
	struct cause *causes = NULL, **end = &causes;
	struct status s;

	if (version.len && !span_equal(version, value_find_string(call->change.old, "metadata.resourceVersion"))) {
		if (change_waits(call, 1))
			return false;
		call->options.resource_version = version;
		(void)status_of_conflict(call, &s);
		answer_status(call, &s);
		return false;
	}
	if (replicas >= 0 || call->base.kind->is_custom) /* that kind says by itself what is wrong */
		return true;
	cause_add(call, &end, "FieldValueInvalid", SPAN("spec.replicas"),
		  "Invalid value: %lld: must be greater than or equal to 0", (long long)replicas);
	answer_causes(call, SPAN("Scale"), SPAN("autoscaling"), call->base.name, causes);
	return false;
}

/* Does a writer own the replicas? Where nobody does, the real server follows no owners of what is written by this way. */
static bool replicas_are_owned(const struct value *object, const char *path)
{
	const struct value *entries = value_find(object, "metadata.managedFields");

	for (uint32_t i = 0; i < value_count(entries); i++) {
		const struct value *at = value_get(value_item(entries, i), SPAN("fieldsV1"));
		struct span rest = span_of(path);

		while (at && rest.len) {
			char name[PATH_MOST];
			struct span part = span_cut(&rest, '.');

			(void)snprintf(name, sizeof(name), "f:%.*s", (int)MIN(part.len, sizeof(name) - 3), part.ptr);
			at = value_get(at, span_of(name));
		}
		if (at)
			return true;
	}
	return false;
}

void scale_write(struct call *call)
{
	struct span key = kube_key(call->base.kind, call->base.name_space, call->base.name, &call->arena);
	struct record *r = key.ptr ? store_latest(call->base.kube->config.store, key) : NULL;
	struct value before, scale, *object = ARENA_NEW(&call->arena, struct value, &call->change_error);
	struct error err = { 0 };
	int64_t replicas;

	if (!r) {
		if (!change_waits(call, 1))
			answer_not_found(call);
		return;
	}
	if (!convert_ready(call, &r, 1))
		return;
	call->base_record = record_ref(r);
	call->revision = r->revision;
	call->answer = answer_scale;
	call->change.old = record_object(call->base.kind, r, &call->arena, &err);
	if (!call->change.old || !object || !value_copy(call->change.old, &call->arena, object, &err) ||
	    !scale_make(call->base.kind, call->change.old, &call->arena, &before, &err)) {
		answer_error(call, &err);
		return;
	}
	if (!scale_read(call, &before, &scale))
		return;
	replicas = value_find_int(&scale, "spec.replicas", 0);
	if (!scale_check(call, &scale, replicas))
		return;
	if (!set_path(object, call->base.kind->scale.spec_replicas, value_int(replicas), &call->arena, &err)) {
		answer_error(call, &err);
		return;
	}
	call->change.object = object;
	call->skips_owners = !replicas_are_owned(call->change.old, call->base.kind->scale.spec_replicas);
	change_begin(call, KUBE_UPDATE);
	change_run(call);
}
