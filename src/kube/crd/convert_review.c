/* SPDX-License-Identifier: Apache-2.0 */
/* convert_review - what a conversion webhook answers. Facts: k8s.io/apiextensions-apiserver pkg/apiserver/conversion. */
#include "kube/crd/convert.h"

#include "kube/kinds/kinds.h"

#define GROUP "apiextensions.k8s.io"

const struct value *convert_review_read(struct span text, const char *version, struct span uid, struct arena *arena,
					struct error *err)
{
	struct value *review = ARENA_NEW(arena, struct value, err);
	bool is_v1 = strcmp(version, "v1") == 0;
	const struct value *response, *result, *objects;
	struct span api, kind;

	if (!review)
		return NULL;
	if (!value_parse(text, NULL, arena, review, err)) {
		error_wrap(err, "couldn't get version/kind; json parse error");
		return NULL;
	}
	api = get_text(review, "apiVersion");
	kind = get_text(review, "kind");
	response = get(review, "response");
	if (is_v1 && (!span_equal(api, SPAN(GROUP "/v1")) || !span_equal(kind, SPAN("ConversionReview")))) {
		error_set(err, ERROR_INVALID,
			  "expected webhook response of " GROUP "/v1, Kind=ConversionReview, got %s" SPAN_FMT
			  ", Kind=" SPAN_FMT,
			  api.len ? "" : "/", SPAN_ARG(api), SPAN_ARG(kind));
		return NULL;
	}
	if (!value_is(response, VALUE_OBJECT)) {
		error_set(err, ERROR_INVALID, "no response provided");
		return NULL;
	}
	if (is_v1 && !span_equal(get_text(response, "uid"), uid)) {
		error_set(err, ERROR_INVALID, "expected response.uid=\"" SPAN_FMT "\", got \"" SPAN_FMT "\"",
			  SPAN_ARG(uid), SPAN_ARG(get_text(response, "uid")));
		return NULL;
	}
	result = get(response, "result");
	if (!is_text(get(result, "status"), "Success")) {
		struct span why = get_text(result, "message");

		if (why.len)
			error_set(err, ERROR_INVALID, "%.*s", (int)MIN(why.len, 400), why.ptr);
		else
			error_set(err, ERROR_INVALID, "response.result.status was '" SPAN_FMT "', not 'Success'",
				  SPAN_ARG(get_text(result, "status")));
		return NULL;
	}
	objects = get(response, "convertedObjects");
	if (objects && objects->type != VALUE_ARRAY) {
		error_set(err, ERROR_INVALID, "response.convertedObjects is no list");
		return NULL;
	}
	if (objects)
		return objects;
	*review = value_array();
	return review;
}

/* ---- one object ---- */

static const char *const unchangeable[] = { "name", "namespace", "uid" };
static const char *const named[] = { "name", "namespace", "UID" };

/* "example.com/v1" as Go prints a GroupVersion. */
static bool version_check(const struct value *made, struct span api_version, struct error *err)
{
	struct span is = get_text(made, "apiVersion");

	return span_equal(is, api_version) ||
	       error_set(err, ERROR_INVALID, "invalid groupVersion (expected " SPAN_FMT ", received " SPAN_FMT ")",
			 SPAN_ARG(api_version), SPAN_ARG(is));
}

static bool texts_check(const char *member, const struct value *list, struct error *err)
{
	for (uint32_t i = 0; i < count_of(list); i++) {
		const struct value_member *m = &list->object.members[i];
		bool is_label = strcmp(member, "labels") == 0;
		const char *wrong = name_check_qualified(m->key);

		if (!value_is(&m->value, VALUE_STRING))
			return error_set(err, ERROR_INVALID,
					 "metadata.%s[" SPAN_FMT "] must be a string, but is %s in converted object",
					 member, SPAN_ARG(m->key), value_type_name(m->value.type));
		if (is_label && !wrong)
			wrong = name_check_label_value(m->value.string);
		if (wrong)
			return error_set(err, ERROR_INVALID, "metadata.%s: Invalid value: \"" SPAN_FMT "\": %s", member,
					 SPAN_ARG(m->key), wrong);
	}
	return true;
}

static bool metadata_take(const struct value *original, struct value *made, struct arena *arena, struct error *err)
{
	static const char *const free_members[] = { "labels", "annotations" };
	const struct value *given = value_get(made, SPAN("metadata"));
	struct value kept;

	if (!given)
		return error_set(err, ERROR_INVALID, "missing metadata in converted object");
	if (given->type != VALUE_OBJECT)
		return error_set(err, ERROR_INVALID, "invalid metadata of type %s in converted object",
				 value_type_name(given->type));
	if (!value_copy(value_get(original, SPAN("metadata")), arena, &kept, err))
		return false;
	for (size_t i = 0; i < ARRAY_LEN(free_members); i++) {
		const struct value *now = get(given, free_members[i]);

		if (now && now->type != VALUE_OBJECT)
			return error_set(err, ERROR_INVALID, "invalid metadata.%s of type %s in converted object",
					 free_members[i], value_type_name(now->type));
		if (!texts_check(free_members[i], now, err))
			return false;
		(void)value_remove(&kept, span_of(free_members[i]));
		if (now && !value_set(&kept, span_of(free_members[i]), *now, arena, err))
			return false;
	}
	return value_set(made, SPAN("metadata"), kept, arena, err) != NULL;
}

struct value *convert_take(const struct value *original, const struct value *made, struct span api_version,
			   struct arena *arena, struct error *err)
{
	struct value *object = ARENA_NEW(arena, struct value, err);
	struct span kind = get_text(original, "kind");

	if (!object || !value_copy(made, arena, object, err))
		return NULL;
	if (object->type != VALUE_OBJECT) {
		error_set(err, ERROR_INVALID, "it is no object");
		return NULL;
	}
	if (!version_check(object, api_version, err))
		return NULL;
	if (!span_equal(get_text(object, "kind"), kind)) {
		error_set(err, ERROR_INVALID, "invalid kind (expected " SPAN_FMT ", received " SPAN_FMT ")",
			  SPAN_ARG(kind), SPAN_ARG(get_text(object, "kind")));
		return NULL;
	}
	for (size_t i = 0; i < ARRAY_LEN(unchangeable); i++) {
		struct span was = get_text(get(original, "metadata"), unchangeable[i]),
			    is = get_text(get(object, "metadata"), unchangeable[i]);

		if (span_equal(was, is))
			continue;
		error_set(err, ERROR_INVALID, "must have the same %s: " SPAN_FMT " != " SPAN_FMT, named[i],
			  SPAN_ARG(was), SPAN_ARG(is));
		return NULL;
	}
	return metadata_take(original, object, arena, err) ? object : NULL;
}
