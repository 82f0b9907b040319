/* SPDX-License-Identifier: Apache-2.0 */
/*
 * openapi_parts - what the documents have that no kind stands for: the paths that tell of groups and of resources, the version, and the
 * little that single types of the real server's documents have of their own.
 */
#include "kube/schema/openapi_private.h"

#define META "io.k8s.apimachinery.pkg.apis.meta.v1."

/* ---- group versions that every scheme of the real server knows options and events of ---- */

static const char *const versions_everywhere[] = {
	"/v1",
	"admission.k8s.io/v1",
	"admission.k8s.io/v1beta1",
	"admissionregistration.k8s.io/v1",
	"admissionregistration.k8s.io/v1alpha1",
	"admissionregistration.k8s.io/v1beta1",
	"apiextensions.k8s.io/v1",
	"apiextensions.k8s.io/v1beta1",
	"apiregistration.k8s.io/v1",
	"apiregistration.k8s.io/v1beta1",
	"apps/v1",
	"apps/v1beta1",
	"apps/v1beta2",
	"authentication.k8s.io/v1",
	"authentication.k8s.io/v1alpha1",
	"authentication.k8s.io/v1beta1",
	"authorization.k8s.io/v1",
	"authorization.k8s.io/v1beta1",
	"autoscaling/v1",
	"autoscaling/v2",
	"autoscaling/v2beta1",
	"autoscaling/v2beta2",
	"batch/v1",
	"batch/v1beta1",
	"certificates.k8s.io/v1",
	"certificates.k8s.io/v1alpha1",
	"certificates.k8s.io/v1beta1",
	"coordination.k8s.io/v1",
	"coordination.k8s.io/v1alpha2",
	"coordination.k8s.io/v1beta1",
	"discovery.k8s.io/v1",
	"discovery.k8s.io/v1beta1",
	"events.k8s.io/v1",
	"events.k8s.io/v1beta1",
	"extensions/v1beta1",
	"flowcontrol.apiserver.k8s.io/v1",
	"flowcontrol.apiserver.k8s.io/v1beta1",
	"flowcontrol.apiserver.k8s.io/v1beta2",
	"flowcontrol.apiserver.k8s.io/v1beta3",
	"imagepolicy.k8s.io/v1alpha1",
	"internal.apiserver.k8s.io/v1alpha1",
	"networking.k8s.io/v1",
	"networking.k8s.io/v1alpha1",
	"networking.k8s.io/v1beta1",
	"node.k8s.io/v1",
	"node.k8s.io/v1alpha1",
	"node.k8s.io/v1beta1",
	"policy/v1",
	"policy/v1beta1",
	"rbac.authorization.k8s.io/v1",
	"rbac.authorization.k8s.io/v1alpha1",
	"rbac.authorization.k8s.io/v1beta1",
	"resource.k8s.io/v1alpha3",
	"resource.k8s.io/v1beta1",
	"resource.k8s.io/v1beta2",
	"scheduling.k8s.io/v1",
	"scheduling.k8s.io/v1alpha1",
	"scheduling.k8s.io/v1beta1",
	"storage.k8s.io/v1",
	"storage.k8s.io/v1alpha1",
	"storage.k8s.io/v1beta1",
	"storagemigration.k8s.io/v1alpha1",
};

static void write_gvk(struct json_writer *w, struct span group, struct span version, struct span kind)
{
	json_open_object(w);
	member_string(w, SPAN("group"), group);
	member_string(w, SPAN("version"), version);
	member_string(w, SPAN("kind"), kind);
	json_close_object(w);
}

void openapi_everywhere(struct openapi *o, struct span kind)
{
	member_array(&o->w, SPAN("x-kubernetes-group-version-kind"));
	for (size_t i = 0; i < ARRAY_LEN(versions_everywhere); i++) {
		struct span version = span_of(versions_everywhere[i]), group = span_cut(&version, '/');

		write_gvk(&o->w, group, version, kind);
	}
	json_close_array(&o->w);
}

/* ---- members of single types ---- */

static const struct own {
	const char *type, *field; /* field NULL: of the type itself */
	const char *members;      /* "": a reference without allOf around it */
} owns[] = {
	{ META "APIResourceList", NULL,
	  "\"x-kubernetes-group-version-kind\":[{\"group\":\"\",\"version\":\"v1\",\"kind\":\"APIResourceList\"}]" },
	{ META "APIGroupList", NULL,
	  "\"x-kubernetes-group-version-kind\":[{\"group\":\"\",\"version\":\"v1\",\"kind\":\"APIGroupList\"}]" },
	{ META "APIGroup", NULL,
	  "\"x-kubernetes-group-version-kind\":[{\"group\":\"\",\"version\":\"v1\",\"kind\":\"APIGroup\"}]" },
	{ META "APIVersions", NULL,
	  "\"x-kubernetes-group-version-kind\":[{\"group\":\"\",\"version\":\"v1\",\"kind\":\"APIVersions\"}]" },
	{ META "Status", "details", "\"x-kubernetes-list-type\":\"atomic\"" },
	{ "io.k8s.api.core.v1.SeccompProfile", NULL,
	  "\"x-kubernetes-unions\":[{\"discriminator\":\"type\",\"fields-to-discriminateBy\":{\"localhostProfile\":"
	  "\"LocalhostProfile\"}}]" },
	{ "io.k8s.api.core.v1.AppArmorProfile", NULL,
	  "\"x-kubernetes-unions\":[{\"discriminator\":\"type\",\"fields-to-discriminateBy\":{\"localhostProfile\":"
	  "\"LocalhostProfile\"}}]" },
	{ "io.k8s.api.core.v1.PersistentVolumeClaimStatus", "allocatedResourceStatuses",
	  "\"x-kubernetes-map-type\":\"granular\"" },
	{ "io.k8s.api.core.v1.PersistentVolumeSpec", "claimRef", "\"x-kubernetes-map-type\":\"granular\"" },
	{ "io.k8s.api.policy.v1.PodDisruptionBudgetSpec", "selector", "\"x-kubernetes-patch-strategy\":\"replace\"" },
	{ "io.k8s.api.networking.v1.IngressRule", "http", "" },
};

/* Where Go's structs have another order than their numbers. */
static const struct {
	const char *type, *fields;
} orders[] = {
	{ META "OwnerReference", "apiVersion,kind,name,uid" },
	{ META "APIResource", "name,singularName,namespaced,kind,verbs" },
	{ "io.k8s.api.networking.v1.HTTPIngressPath", "pathType,backend" },
	{ "io.k8s.api.discovery.v1.EndpointSlice", "addressType,endpoints" },
};

const char *openapi_required_order(const struct type *t)
{
	for (size_t i = 0; i < ARRAY_LEN(orders); i++)
		if (strcmp(orders[i].type, t->name) == 0)
			return orders[i].fields;
	return NULL;
}

static bool is_named(const struct own *own, const struct type *t, const struct field *f)
{
	return strcmp(own->type, t->name) == 0 &&
	       (f ? own->field && span_equal(f->name, span_of(own->field)) : !own->field);
}

/* Schemas of schemas refer to each other without more. */
bool openapi_is_bare(const struct type *t, const struct field *f)
{
	if (strcmp(t->name, "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaProps") == 0)
		return f->shape == FIELD_ONE && !span_equal(f->name, SPAN("default"));
	for (size_t i = 0; i < ARRAY_LEN(owns); i++) {
		if (!owns[i].members[0] && is_named(&owns[i], t, f))
			return true;
	}
	return false;
}

void openapi_own_members(struct openapi *o, const struct type *t, const struct field *f)
{
	for (size_t i = 0; i < ARRAY_LEN(owns); i++) {
		struct span rest = span_of(owns[i].members);

		if (!rest.len || !is_named(&owns[i], t, f))
			continue;
		span_cut(&rest, '"');
		json_key(&o->w, span_cut(&rest, '"'));
		json_raw(&o->w, span_skip(rest, 1));
	}
}

/* ---- paths that tell what there is ---- */

static const char *const answer_types[] = { "application/json", "application/yaml",
					    "application/vnd.kubernetes.protobuf" };

void openapi_telling_path(struct openapi *o, struct span path, const char *tag, const char *id, const char *description,
			  const char *answer)
{
	struct json_writer *w = &o->w;

	openapi_reach_named(o, answer);
	member_object(w, path);
	member_object(w, SPAN("get"));
	member_array(w, SPAN("tags"));
	json_string(w, span_of(tag));
	json_close_array(w);
	member_string(w, SPAN("description"), span_of(description));
	member_string(w, SPAN("operationId"), span_of(id));
	if (o->is_v2) {
		member_array(w, SPAN("produces"));
		for (size_t i = 0; i < ARRAY_LEN(answer_types); i++)
			json_string(w, span_of(answer_types[i]));
		json_close_array(w);
	}
	member_object(w, SPAN("responses"));
	member_object(w, SPAN("200"));
	member_string(w, SPAN("description"), SPAN("OK"));
	if (o->is_v2) {
		member_object(w, SPAN("schema"));
		openapi_ref(o, span_of(answer));
		json_close_object(w);
	} else {
		member_object(w, SPAN("content"));
		for (size_t i = 0; i < ARRAY_LEN(answer_types); i++) {
			member_object(w, span_of(answer_types[i]));
			member_object(w, SPAN("schema"));
			openapi_ref(o, span_of(answer));
			json_close_object(w);
			json_close_object(w);
		}
		json_close_object(w);
	}
	json_close_object(w);
	member_object(w, SPAN("401"));
	member_string(w, SPAN("description"), SPAN("Unauthorized"));
	json_close_object(w);
	json_close_object(w);
	json_close_object(w);
	json_close_object(w);
}

bool openapi_part_path(struct openapi *o, struct span part)
{
	struct span rest = part;

	if (span_equal(part, SPAN("version")))
		openapi_telling_path(o, SPAN("/version/"), "version", "getCodeVersion", "get the version of the server",
				     "io.k8s.apimachinery.pkg.version.Info");
	else if (span_equal(part, SPAN("api")))
		openapi_telling_path(o, SPAN("/api/"), "core", "getCoreAPIVersions",
				     "get the versions of the core group", META "APIVersions");
	else if (span_equal(part, SPAN("apis")))
		openapi_telling_path(o, SPAN("/apis/"), "apis", "getAPIVersions", "get the groups and their versions",
				     META "APIGroupList");
	else if (span_starts(rest, SPAN("apis/")))
		openapi_telling_path(o, arena_print(o->arena, o->err, "/%.*s/", (int)part.len, part.ptr), "apis",
				     "getAPIGroup", "get the versions of a group", META "APIGroup");
	else
		return false;
	return true;
}
