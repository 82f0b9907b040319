/* SPDX-License-Identifier: Apache-2.0 */
/* openapi_paths - the requests that each kind answers, as paths of OpenAPI. kubectl finds a resource's kind here (explain), and
 * whether it may ask for a dry run and for strict fields. */
#include <ctype.h>

#include "kube/schema/openapi_private.h"
#include "kube/subresource.h"

/* For names of any length: SPAN_ARG() cuts. */
#define WHOLE(s) (int)(s).len, (s).ptr

enum { IN_LIST = 1, IN_CREATE = 2, IN_UPDATE = 4, IN_PATCH = 8, IN_DELETE = 16, IN_DELETE_ALL = 32 };
#define IN_WRITES  (IN_CREATE | IN_UPDATE | IN_PATCH)
#define IN_DELETES (IN_DELETE | IN_DELETE_ALL)
#define IN_LISTS   (IN_LIST | IN_DELETE_ALL)

static const struct parameter {
	const char *name, *type;
	unsigned where;
	const char *description;
} parameters[] = {
	{ "allowWatchBookmarks", "boolean", IN_LIST,
	  "A watch may get events of type BOOKMARK, which carry a version and nothing else." },
	{ "continue", "string", IN_LISTS, "Go on where an earlier page ended: its metadata.continue." },
	{ "dryRun", "string", IN_WRITES | IN_DELETES, "All: check and answer as if it were done, and store nothing." },
	{ "fieldManager", "string", IN_WRITES,
	  "Who makes the change, for metadata.managedFields; at most 128 characters." },
	{ "fieldSelector", "string", IN_LISTS, "Only objects whose fields match, as in metadata.name=a." },
	{ "fieldValidation", "string", IN_WRITES,
	  "What to do about unknown and repeated fields: Ignore, Warn or Strict." },
	{ "force", "boolean", IN_PATCH, "With an apply patch: take over fields that other managers own." },
	{ "gracePeriodSeconds", "integer", IN_DELETES, "Seconds that the object has to end by itself; 0 is at once." },
	{ "labelSelector", "string", IN_LISTS, "Only objects whose labels match, as in app=a,tier!=b." },
	{ "limit", "integer", IN_LISTS,
	  "At most so many objects in one answer; metadata.continue then leads to the rest." },
	{ "orphanDependents", "boolean", IN_DELETES, "Old form of propagationPolicy." },
	{ "propagationPolicy", "string", IN_DELETES, "What becomes of dependents: Orphan, Background or Foreground." },
	{ "resourceVersion", "string", IN_LISTS, "The version that the answer is of, or that a watch begins behind." },
	{ "resourceVersionMatch", "string", IN_LISTS, "How resourceVersion is meant: Exact or NotOlderThan." },
	{ "sendInitialEvents", "boolean", IN_LISTS, "A watch begins with the objects that are there." },
	{ "timeoutSeconds", "integer", IN_LISTS, "End the list or watch after so many seconds." },
	{ "watch", "boolean", IN_LIST, "Answer with changes as they come, not with a list." },
};

/* One operation: what it does with which kind's objects. */
struct operation {
	const struct kind *kind;
	const char *method;               /* "get" */
	const char *action;               /* x-kubernetes-action: "list" */
	const char *verb;                 /* of the operation's id: "list" */
	const char *title;                /* of the description: "list or watch objects of kind" */
	const char *part;                 /* "Status", "Scale", ... of the id; or "" */
	unsigned where;                   /* IN_x, or 0 */
	struct span group, version, name; /* of the body's kind */
	struct span body, answer;         /* schemas, or empty */
	bool is_namespaced, is_collection, is_connect;
};

static void write_parameter(struct openapi *o, const char *name, const char *in, const char *type,
			    struct span description)
{
	struct json_writer *w = &o->w;

	json_open_object(w);
	member_string(w, SPAN("name"), span_of(name));
	member_string(w, SPAN("in"), span_of(in));
	member_string(w, SPAN("description"), description);
	if (strcmp(in, "path") == 0)
		member_bool(w, SPAN("required"), true);
	if (!o->is_v2)
		member_object(w, SPAN("schema"));
	member_string(w, SPAN("type"), span_of(type));
	member_bool(w, SPAN("uniqueItems"), true);
	if (!o->is_v2)
		json_close_object(w);
	json_close_object(w);
}

/* "/apis/rbac.authorization.k8s.io/v1" has the names "RbacAuthorization" and, for tags, "rbacAuthorization". */
static struct span group_title(struct openapi *o, struct span group, bool is_tag)
{
	struct span rest = group.len ? group : SPAN("core");
	char text[256];
	size_t len = 0;
	bool upper = !is_tag;

	if (span_ends(rest, SPAN(".k8s.io")))
		rest.len -= strlen(".k8s.io");
	for (size_t i = 0; i < rest.len && len < sizeof(text); i++) {
		if (rest.ptr[i] == '.' || rest.ptr[i] == '-') {
			upper = true;
			continue;
		}
		text[len++] = (char)(upper ? toupper((unsigned char)rest.ptr[i]) : rest.ptr[i]);
		upper = false;
	}
	return arena_copy(o->arena, span_from(text, len), o->err);
}

static struct span version_title(struct openapi *o, struct span version)
{
	struct span copy = arena_copy(o->arena, version, o->err);

	return copy.ptr && copy.len ? arena_print(o->arena, o->err, "%c%.*s", toupper((unsigned char)copy.ptr[0]),
						  WHOLE(span_skip(copy, 1)))
				    : SPAN("");
}

static const char *const json_types[] = { "application/json", "application/yaml",
					  "application/vnd.kubernetes.protobuf" };
static const char *const patch_types[] = { "application/json-patch+json", "application/merge-patch+json",
					   "application/strategic-merge-patch+json", "application/apply-patch+yaml" };

static void write_types(struct json_writer *w, const char *const *types, size_t count)
{
	json_open_array(w);
	for (size_t i = 0; i < count; i++)
		json_string(w, span_of(types[i]));
	json_close_array(w);
}

static void write_content(struct openapi *o, const char *const *types, size_t count, struct span schema)
{
	struct json_writer *w = &o->w;

	member_object(w, SPAN("content"));
	for (size_t i = 0; i < count; i++) {
		member_object(w, span_of(types[i]));
		member_object(w, SPAN("schema"));
		openapi_ref(o, schema);
		json_close_object(w);
		json_close_object(w);
	}
	json_close_object(w);
}

static bool is_patch(const struct operation *op)
{
	return op->where & IN_PATCH;
}

static void write_body_v3(struct openapi *o, const struct operation *op)
{
	static const char *const any[] = { "*/*" };

	if (!op->body.len)
		return;
	member_object(&o->w, SPAN("requestBody"));
	/* A custom kind takes no strategic merge. */
	if (is_patch(op))
		write_content(o, patch_types, op->kind->is_custom ? 2 : ARRAY_LEN(patch_types), op->body);
	else
		write_content(o, any, 1, op->body);
	if (!(op->where & IN_DELETES))
		member_bool(&o->w, SPAN("required"), true);
	json_close_object(&o->w);
}

static void write_body_v2(struct openapi *o, const struct operation *op)
{
	struct json_writer *w = &o->w;

	if (!op->body.len)
		return;
	json_open_object(w);
	member_string(w, SPAN("name"), SPAN("body"));
	member_string(w, SPAN("in"), SPAN("body"));
	if (!(op->where & IN_DELETES))
		member_bool(w, SPAN("required"), true);
	member_object(w, SPAN("schema"));
	openapi_ref(o, op->body);
	json_close_object(w);
	json_close_object(w);
}

static void write_response(struct openapi *o, const char *status, const char *title, struct span schema)
{
	struct json_writer *w = &o->w;

	member_object(w, span_of(status));
	member_string(w, SPAN("description"), span_of(title));
	if (schema.len && o->is_v2) {
		member_object(w, SPAN("schema"));
		openapi_ref(o, schema);
		json_close_object(w);
	} else if (schema.len) {
		write_content(o, json_types, ARRAY_LEN(json_types), schema);
	}
	json_close_object(w);
}

static void write_responses(struct openapi *o, const struct operation *op)
{
	member_object(&o->w, SPAN("responses"));
	write_response(o, "200", "OK", op->answer);
	if (op->where & IN_WRITES)
		write_response(o, "201", "Created", op->answer);
	if (op->where & (IN_CREATE | IN_DELETE))
		write_response(o, "202", "Accepted", op->answer);
	write_response(o, "401", "Unauthorized", SPAN(""));
	json_close_object(&o->w);
}

static void write_operation(struct openapi *o, const struct operation *op)
{
	struct json_writer *w = &o->w;
	struct span group = span_of(op->kind->group), version = span_of(op->kind->version);
	struct span tag = group_title(o, group, true), title = group_title(o, group, false);

	member_object(w, span_of(op->method));
	member_array(w, SPAN("tags"));
	json_string(w, arena_print(o->arena, o->err, "%.*s_%.*s", WHOLE(tag), WHOLE(version)));
	json_close_array(w);
	member_string(w, SPAN("description"), arena_print(o->arena, o->err, "%s %s", op->title, op->kind->kind));
	member_string(w, SPAN("operationId"),
		      arena_print(o->arena, o->err, "%s%.*s%.*s%s%s%s%s", op->verb, WHOLE(title),
				  WHOLE(version_title(o, version)), op->is_collection ? "Collection" : "",
				  op->is_namespaced ? "Namespaced" : "", op->kind->kind, op->part));
	if (o->is_v2) {
		json_key(w, SPAN("consumes"));
		if (is_patch(op))
			write_types(w, patch_types, op->kind->is_custom ? 2 : ARRAY_LEN(patch_types));
		else
			json_raw(w, SPAN("[\"*/*\"]"));
		json_key(w, SPAN("produces"));
		write_types(w, json_types, ARRAY_LEN(json_types));
	}
	if (op->where || (o->is_v2 && op->body.len)) {
		member_array(w, SPAN("parameters"));
		if (o->is_v2)
			write_body_v2(o, op);
		for (size_t i = 0; i < ARRAY_LEN(parameters); i++) {
			if (parameters[i].where & op->where)
				write_parameter(o, parameters[i].name, "query", parameters[i].type,
						span_of(parameters[i].description));
		}
		json_close_array(w);
	}
	if (!o->is_v2)
		write_body_v3(o, op);
	write_responses(o, op);
	member_string(w, SPAN("x-kubernetes-action"), span_of(op->is_connect ? "connect" : op->action));
	member_object(w, SPAN("x-kubernetes-group-version-kind"));
	member_string(w, SPAN("group"), op->group);
	member_string(w, SPAN("version"), op->version);
	member_string(w, SPAN("kind"), op->name);
	json_close_object(w);
	json_close_object(w);
}

/* ---- paths ---- */

struct span openapi_kind_name(struct openapi *o, const struct kind *k, bool is_list)
{
	struct span rest = span_of(k->group), out = SPAN("");
	struct span list = k->list_kind ? span_of(k->list_kind) : arena_print(o->arena, o->err, "%sList", k->kind);

	if (k->type_name) {
		struct span name = span_of(k->type_name);

		name.len -= strlen(k->kind);
		return is_list ? arena_print(o->arena, o->err, "%.*s%.*s", WHOLE(name), WHOLE(list))
			       : span_of(k->type_name);
	}
	/* "stable.example.com" is "com.example.stable". */
	while (rest.len) {
		struct span part = span_cut(&rest, '.');

		out = arena_print(o->arena, o->err, "%.*s%s%.*s", WHOLE(part), out.len ? "." : "", WHOLE(out));
	}
	return arena_print(o->arena, o->err, "%.*s.%s.%.*s", WHOLE(out), k->version,
			   WHOLE(is_list ? list : span_of(k->kind)));
}

static struct span noted(struct openapi *o, struct span name)
{
	struct span text = arena_copy(o->arena, name, o->err);

	if (text.ptr)
		openapi_reach_named(o, text.ptr);
	return name;
}

static struct operation operation_of(struct openapi *o, const struct kind *k)
{
	struct span name = noted(o, openapi_kind_name(o, k, false));

	return (struct operation){ .kind = k,
				   .part = "",
				   .group = span_of(k->group),
				   .version = span_of(k->version),
				   .name = span_of(k->kind),
				   .body = name,
				   .answer = name,
				   .is_namespaced = k->is_namespaced };
}

#define STATUS      SPAN("io.k8s.apimachinery.pkg.apis.meta.v1.Status")
#define PATCH       SPAN("io.k8s.apimachinery.pkg.apis.meta.v1.Patch")
#define DELETE      SPAN("io.k8s.apimachinery.pkg.apis.meta.v1.DeleteOptions")
#define WATCH_EVENT SPAN("io.k8s.apimachinery.pkg.apis.meta.v1.WatchEvent")

static void write_path_parameters(struct openapi *o, const struct kind *k, bool is_namespaced, bool has_name)
{
	member_array(&o->w, SPAN("parameters"));
	if (has_name)
		write_parameter(o, "name", "path", "string", arena_print(o->arena, o->err, "name of the %s", k->kind));
	if (is_namespaced)
		write_parameter(o, "namespace", "path", "string", SPAN("the namespace that the object is in"));
	write_parameter(o, "pretty", "query", "string", SPAN("true: the answer is JSON with line ends."));
	json_close_array(&o->w);
}

static struct span path_of(struct openapi *o, const struct kind *k, bool is_namespaced, const char *rest)
{
	return arena_print(o->arena, o->err, "%s%s/%s/%s%s%s", k->group[0] ? "/apis/" : "/api", k->group, k->version,
			   is_namespaced ? "namespaces/{namespace}/" : "", k->plural, rest);
}

static struct span watch_path_of(struct openapi *o, const struct kind *k, bool is_namespaced, const char *rest)
{
	return arena_print(o->arena, o->err, "%s%s/%s/watch/%s%s%s", k->group[0] ? "/apis/" : "/api", k->group,
			   k->version, is_namespaced ? "namespaces/{namespace}/" : "", k->plural, rest);
}

/* The old way to watch, which the real server still answers. */
static void write_watch(struct openapi *o, const struct kind *k, bool is_namespaced, bool has_name)
{
	struct operation op = operation_of(o, k);

	op.method = "get";
	op.action = has_name ? "watch" : "watchlist";
	op.verb = "watch";
	op.title = has_name ? "watch changes to an object of kind" : "watch changes to a list of";
	op.part = has_name ? "" : k->is_namespaced && !is_namespaced ? "ListForAllNamespaces" : "List";
	op.body = SPAN("");
	op.answer = noted(o, WATCH_EVENT);
	op.is_namespaced = is_namespaced;
	member_object(&o->w, watch_path_of(o, k, is_namespaced, has_name ? "/{name}" : ""));
	write_operation(o, &op);
	write_path_parameters(o, k, is_namespaced, has_name);
	json_close_object(&o->w);
}

static void write_watches(struct openapi *o, const struct kind *k)
{
	if (!(k->verbs & KUBE_WATCH) || k->is_custom)
		return;
	if (k->is_namespaced)
		write_watch(o, k, false, false);
	write_watch(o, k, k->is_namespaced, false);
	write_watch(o, k, k->is_namespaced, true);
}

static void write_get(struct openapi *o, struct operation op, bool is_list)
{
	op.method = "get";
	op.action = is_list ? "list" : "get";
	op.verb = is_list ? "list" : "read";
	op.title = is_list ? "list or watch objects of kind" : "read the specified";
	op.where = is_list ? IN_LIST : 0;
	op.body = SPAN("");
	if (is_list)
		op.answer = noted(o, openapi_kind_name(o, op.kind, true));
	write_operation(o, &op);
}

static void write_post(struct openapi *o, struct operation op)
{
	op.method = op.action = "post";
	op.verb = op.title = "create";
	op.where = IN_CREATE;
	write_operation(o, &op);
}

static void write_put(struct openapi *o, struct operation op)
{
	op.method = op.action = "put";
	op.verb = "replace";
	op.title = "replace the specified";
	op.where = IN_UPDATE;
	write_operation(o, &op);
}

static void write_patch(struct openapi *o, struct operation op)
{
	op.method = op.action = op.verb = "patch";
	op.title = "partially update the specified";
	op.where = IN_PATCH;
	op.body = noted(o, PATCH);
	write_operation(o, &op);
}

static void write_delete(struct openapi *o, struct operation op, bool is_collection)
{
	op.method = "delete";
	op.action = is_collection ? "deletecollection" : "delete";
	op.verb = "delete";
	op.is_collection = is_collection;
	op.title = is_collection ? "delete collection of" : "delete a";
	op.where = is_collection ? IN_DELETE_ALL : IN_DELETE;
	op.body = noted(o, DELETE);
	op.answer = noted(o, STATUS);
	write_operation(o, &op);
}

static void write_collection(struct openapi *o, const struct kind *k, bool is_namespaced)
{
	struct operation op = operation_of(o, k);

	op.is_namespaced = is_namespaced;
	if (k->is_namespaced && !is_namespaced)
		op.part = "ForAllNamespaces";
	member_object(&o->w, path_of(o, k, is_namespaced, ""));
	if (k->verbs & KUBE_LIST)
		write_get(o, op, true);
	if ((k->verbs & KUBE_CREATE) && is_namespaced == k->is_namespaced)
		write_post(o, op);
	if ((k->verbs & KUBE_DELETE_COLLECTION) && is_namespaced == k->is_namespaced)
		write_delete(o, op, true);
	write_path_parameters(o, k, is_namespaced, false);
	json_close_object(&o->w);
}

static void write_item(struct openapi *o, const struct kind *k)
{
	struct operation op = operation_of(o, k);

	member_object(&o->w, path_of(o, k, k->is_namespaced, "/{name}"));
	if (k->verbs & KUBE_GET)
		write_get(o, op, false);
	if (k->verbs & KUBE_UPDATE)
		write_put(o, op);
	if (k->verbs & KUBE_DELETE)
		write_delete(o, op, false);
	if (k->verbs & KUBE_PATCH)
		write_patch(o, op);
	write_path_parameters(o, k, k->is_namespaced, true);
	json_close_object(&o->w);
}

/* status and scale: read, replaced and patched. */
static void write_part(struct openapi *o, const struct kind *k, bool is_scale)
{
	struct operation op = operation_of(o, k);

	op.part = is_scale ? "Scale" : "Status";
	if (is_scale) {
		op.group = SPAN("autoscaling");
		op.version = SPAN("v1");
		op.name = SPAN("Scale");
		op.body = op.answer = noted(o, SPAN("io.k8s.api.autoscaling.v1.Scale"));
	}
	member_object(&o->w, path_of(o, k, k->is_namespaced, is_scale ? "/{name}/scale" : "/{name}/status"));
	write_get(o, op, false);
	write_put(o, op);
	write_patch(o, op);
	write_path_parameters(o, k, k->is_namespaced, true);
	json_close_object(&o->w);
}

static void write_other(struct openapi *o, const struct kind *k, const struct subresource *s)
{
	struct operation op = operation_of(o, k);
	char part[64];
	size_t len = 0;

	for (const char *p = s->name; *p && len + 1 < sizeof(part); p++)
		part[len++] = (char)(p == s->name ? toupper((unsigned char)*p) : *p);
	part[len] = '\0';
	op.part = part;
	if (s->kind && s->kind[0]) {
		op.group = span_of(s->group ? s->group : "");
		op.version = span_of(s->version && s->version[0] ? s->version : k->version);
		op.name = span_of(s->kind);
	}
	if (s->type_name)
		op.body = op.answer = noted(o, span_of(s->type_name));
	/* Options and no object: the client is connected with what answers. */
	op.is_connect = s->handle && s->kind && strstr(s->kind, "Options");
	member_object(&o->w, path_of(o, k, k->is_namespaced, arena_print(o->arena, o->err, "/{name}/%s", s->name).ptr));
	if (s->verbs & KUBE_GET)
		write_get(o, op, false);
	if (s->verbs & KUBE_UPDATE)
		write_put(o, op);
	if (s->verbs & KUBE_CREATE)
		write_post(o, op);
	if (s->verbs & KUBE_DELETE)
		write_delete(o, op, false);
	if (s->verbs & KUBE_PATCH)
		write_patch(o, op);
	write_path_parameters(o, k, k->is_namespaced, true);
	json_close_object(&o->w);
}

static void write_kind(struct openapi *o, const struct kind *k)
{
	if (k->is_namespaced && (k->verbs & KUBE_LIST))
		write_collection(o, k, false);
	write_collection(o, k, k->is_namespaced);
	if (k->verbs & (KUBE_GET | KUBE_UPDATE | KUBE_DELETE | KUBE_PATCH))
		write_item(o, k);
	if (k->subresources & SUB_STATUS)
		write_part(o, k, false);
	if (k->subresources & SUB_SCALE)
		write_part(o, k, true);
	for (const struct subresource *s = k->others; s && s->name; s++)
		if (s->name[0])
			write_other(o, k, s);
	write_watches(o, k);
}

/* "/apis/apps/v1/": what there is in a group version. Not of custom ones, as the real server has it. */
static void write_resources(struct openapi *o, const struct kind *k)
{
	struct span group = span_of(k->group), version = span_of(k->version);
	struct span tag = group_title(o, group, true), title = group_title(o, group, false);
	struct span path =
	    arena_print(o->arena, o->err, "%s%s/%s/", k->group[0] ? "/apis/" : "/api", k->group, k->version);
	const char *tags = arena_print(o->arena, o->err, "%.*s_%.*s", WHOLE(tag), WHOLE(version)).ptr;
	const char *id =
	    arena_print(o->arena, o->err, "get%.*s%.*sAPIResources", WHOLE(title), WHOLE(version_title(o, version)))
		.ptr;

	if (path.ptr && tags && id)
		openapi_telling_path(o, path, tags, id, "get the resources of a group version",
				     "io.k8s.apimachinery.pkg.apis.meta.v1.APIResourceList");
}

static bool is_first_of_version(const struct openapi *o, size_t index)
{
	for (size_t i = 0; i < index; i++)
		if (strcmp(o->kinds[i]->group, o->kinds[index]->group) == 0 &&
		    strcmp(o->kinds[i]->version, o->kinds[index]->version) == 0)
			return false;
	return true;
}

void openapi_paths(struct openapi *o)
{
	member_object(&o->w, SPAN("paths"));
	for (size_t i = 0; o->kinds[i]; i++) {
		if (!openapi_has(o, o->kinds[i]))
			continue;
		if (!o->kinds[i]->is_custom && is_first_of_version(o, i))
			write_resources(o, o->kinds[i]);
		write_kind(o, o->kinds[i]);
	}
	if (o->part.len)
		(void)openapi_part_path(o, o->part);
	json_close_object(&o->w);
}
