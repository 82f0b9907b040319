/* SPDX-License-Identifier: Apache-2.0 */
/* volumes_content - the files of configMap, secret, downwardAPI and projected volumes, made of what the cluster holds now. */
#include "node/volumes_private.h"

#include "wire/base64.h"

struct filling {
	struct volumes *v;
	const struct value *pod;
	struct span volume;
	struct arena *arena;
	struct content *content;
	struct error *err;
	int64_t mode; /* defaultMode */
};

static bool add(struct filling *f, struct span path, struct span data, const struct value *mode)
{
	const struct content_file file = { .path = path,
					   .data = data,
					   .mode = (int)(mode && mode->type == VALUE_INT ? mode->integer : f->mode),
					   .user = -1 };

	return content_add(f->content, &file, f->arena, f->err);
}

/* ---- ConfigMaps and Secrets ---- */

struct map {
	const struct value *texts, *bytes; /* bytes: base64 */
	const char *word;                  /* in the message about a key that is not there */
};

/* False with err NONE: it has no such key. */
static bool map_value(struct filling *f, const struct map *m, struct span key, struct span *ret)
{
	const struct value *v = value_get(m->texts, key);

	if (value_is(v, VALUE_STRING)) {
		*ret = v->string;
		return true;
	}
	v = value_get(m->bytes, key);
	return value_is(v, VALUE_STRING) && base64_read(v->string, f->arena, ret, f->err);
}

static bool add_all(struct filling *f, const struct map *m, const struct value *members)
{
	struct span data;

	for (uint32_t i = 0; value_is(members, VALUE_OBJECT) && i < members->object.count; i++) {
		struct span key = members->object.members[i].key;

		if (!map_value(f, m, key, &data) || !add(f, key, data, NULL))
			return false;
	}
	return true;
}

static bool add_items(struct filling *f, const struct map *m, const struct value *items, bool is_optional)
{
	for (uint32_t i = 0; i < items->array.count; i++) {
		const struct value *item = value_item(items, i);
		struct span key = value_find_string(item, "key"), data;

		if (map_value(f, m, key, &data)) {
			if (!add(f, value_find_string(item, "path"), data, value_get(item, SPAN("mode"))))
				return false;
			continue;
		}
		if (f->err->code != ERROR_NONE)
			return false;
		if (!is_optional)
			return error_set(f->err, ERROR_NOT_FOUND, "%s: " SPAN_FMT, m->word, SPAN_ARG(key));
	}
	return true;
}

static bool add_map(struct filling *f, const struct value *source, const char *name_member, const struct resource *r)
{
	bool is_secret = r == &resource_secrets, is_optional = value_find_bool(source, "optional");
	struct span name = value_find_string(source, name_member);
	struct cluster *cluster = f->v->config.place->cluster;
	struct record *record = cluster_get(cluster, r, value_find_string(f->pod, "metadata.namespace"), name);
	const struct value *object = record ? cluster_object(cluster, r, record, f->arena, f->err) : NULL;
	const struct value *items = value_get(source, SPAN("items"));
	const struct map m = { .texts = is_secret ? NULL : value_get(object, SPAN("data")),
			       .bytes = value_get(object, is_secret ? SPAN("data") : SPAN("binaryData")),
			       .word = is_secret ? "references non-existent secret key"
						 : "configmap references non-existent config key" };

	if (f->err->code != ERROR_NONE)
		return false;
	if (!object && !is_optional)
		return error_set(f->err, ERROR_NOT_FOUND, "%s \"" SPAN_FMT "\" not found",
				 is_secret ? "secret" : "configmap", SPAN_ARG(name));
	if (value_is(items, VALUE_ARRAY) && items->array.count)
		return add_items(f, &m, items, is_optional);
	return add_all(f, &m, m.texts) && add_all(f, &m, m.bytes);
}

/* ---- the pod itself ---- */

static bool add_downward(struct filling *f, const struct value *items)
{
	for (uint32_t i = 0; i < value_count(items); i++) {
		const struct value *item = value_item(items, i), *field = value_get(item, SPAN("fieldRef"));
		const struct value *resource = value_get(item, SPAN("resourceFieldRef"));
		struct span data = SPAN("");
		bool good = true;

		if (field)
			good = field_value(f->v->config.place, f->pod, value_find_string(field, "fieldPath"), f->arena,
					   &data, f->err);
		else if (resource)
			good = resource_value(f->v->config.place, f->pod, value_find_string(resource, "containerName"),
					      value_find_string(resource, "resource"),
					      value_find_string(resource, "divisor"), f->arena, &data, f->err);
		if (!good || !add(f, value_find_string(item, "path"), data, value_get(item, SPAN("mode"))))
			return false;
	}
	return true;
}

/* ---- tokens ---- */

/* The user that all containers run as; -1: they are several, or none was asked for. */
static int64_t common_user(const struct value *pod)
{
	static const char *const lists[] = { "spec.initContainers", "spec.containers" };
	int64_t of_pod = value_find_int(pod, "spec.securityContext.runAsUser", -1), common = -1;
	bool is_first = true;

	for (size_t k = 0; k < ARRAY_LEN(lists); k++) {
		const struct value *list = value_find(pod, lists[k]);

		for (uint32_t i = 0; i < value_count(list); i++) {
			int64_t user = value_find_int(value_item(list, i), "securityContext.runAsUser", of_pod);

			if (user < 0 || (!is_first && user != common))
				return -1;
			common = user;
			is_first = false;
		}
	}
	return common;
}

static bool add_token(struct filling *f, const struct value *source, uint32_t index)
{
	const struct token *t = token_find(f->v, f->volume, index);
	int64_t user = common_user(f->pod);
	struct content_file file = { .path = value_find_string(source, "path"), .user = user };

	if (!t || !t->text.len)
		return error_set(f->err, ERROR_UNAVAILABLE, "the service account's token has not come yet");
	file.data = t->text;
	/* Others need not read it where it has an owner; the group is given its right with fsGroup. */
	file.mode = user >= 0 || f->content->group >= 0 ? 0600 : (int)f->mode;
	return content_add(f->content, &file, f->arena, f->err);
}

static bool add_projected(struct filling *f, const struct value *sources)
{
	for (uint32_t i = 0; i < value_count(sources); i++) {
		const struct value *one = value_item(sources, i), *part;
		bool good = true;

		if ((part = value_get(one, SPAN("secret"))))
			good = add_map(f, part, "name", &resource_secrets);
		else if ((part = value_get(one, SPAN("configMap"))))
			good = add_map(f, part, "name", &resource_config_maps);
		else if ((part = value_get(one, SPAN("downwardAPI"))))
			good = add_downward(f, value_get(part, SPAN("items")));
		else if ((part = value_get(one, SPAN("serviceAccountToken"))))
			good = add_token(f, part, i);
		else if (value_get(one, SPAN("clusterTrustBundle")))
			good = error_set(f->err, ERROR_INVALID,
					 "clusterTrustBundle can't be projected: this node does not read bundles");
		if (!good)
			return false;
	}
	return true;
}

bool content_make(struct volumes *v, const struct value *pod, const struct value *volume, struct arena *arena,
		  struct content *ret, struct error *err)
{
	struct error problem = { 0 };
	struct content content = { .group = -1 };
	struct filling f = { .v = v,
			     .pod = pod,
			     .volume = value_find_string(volume, "name"),
			     .arena = arena,
			     .content = &content,
			     .err = &problem };
	const struct value *source;
	const char *member = NULL;
	enum volume_kind kind;
	bool good;

	(void)pod_fs_group(pod, &content.group);
	if (!volume_kind_of(volume, &kind, &member, &source, err))
		return false;
	ASSERT(kind == VOLUME_CONTENT);
	f.mode = value_find_int(source, "defaultMode", 0644);
	if (strcmp(member, "configMap") == 0)
		good = add_map(&f, source, "name", &resource_config_maps);
	else if (strcmp(member, "secret") == 0)
		good = add_map(&f, source, "secretName", &resource_secrets);
	else if (strcmp(member, "downwardAPI") == 0)
		good = add_downward(&f, value_get(source, SPAN("items")));
	else
		good = add_projected(&f, value_get(source, SPAN("sources")));
	if (!good)
		*err = problem;
	else
		*ret = content;
	return good;
}
