/* SPDX-License-Identifier: Apache-2.0 */
/*
 * admission - the plugins: namespaces (a new object needs one that is there and stays; some may not be deleted), and the service
 * account of a pod.
 */
#include "kube/admission.h"

#include "kube/kube.h"

/* ---- NamespaceLifecycle ---- */

static bool is_namespace(const struct kind *kind)
{
	return !*kind->group && strcmp(kind->kind, "Namespace") == 0;
}

/* As the real server has them: `kube-public` and `kube-system` hold what a cluster cannot do without. */
static bool is_kept(struct span name)
{
	return span_equal(name, SPAN("default")) || span_equal(name, SPAN("kube-system")) ||
	       span_equal(name, SPAN("kube-public"));
}

/* "configmaps", "deployments.apps": the resource as errors name it. */
static struct span resource_of(const struct change *c, struct error *err)
{
	return *c->kind->group ? arena_print(c->arena, err, "%s.%s", c->kind->plural, c->kind->group)
			       : span_of(c->kind->plural);
}

static bool namespace_check(struct change *c, struct error *err)
{
	const struct kind *namespaces;
	const struct value *found;
	struct span resource;

	if (c->verb == KUBE_DELETE)
		return !is_namespace(c->kind) || !is_kept(c->name) ||
		       error_set(err, ERROR_FORBIDDEN,
				 "namespaces \"" SPAN_FMT "\" is forbidden: this namespace may not be deleted",
				 SPAN_ARG(c->name));
	if (c->verb != KUBE_CREATE || !c->kind->is_namespaced)
		return true;
	namespaces = kube_kind(c->kube, SPAN(""), SPAN("v1"), SPAN("namespaces"));
	ASSERT(namespaces);
	found = kube_object(c->kube, namespaces, (struct span){ 0 }, c->name_space, true, c->arena, err);
	if (!found)
		return err->code ? false
				 : error_set(err, ERROR_NOT_FOUND, "namespaces \"" SPAN_FMT "\" not found",
					     SPAN_ARG(c->name_space));
	if (!value_find(found, "metadata.deletionTimestamp"))
		return true;
	resource = resource_of(c, err);
	return resource.ptr &&
	       error_set(err, ERROR_FORBIDDEN,
			 SPAN_FMT " \"" SPAN_FMT "\" is forbidden: unable to create new content in namespace " SPAN_FMT
				  " because it is being terminated",
			 SPAN_ARG(resource), SPAN_ARG(c->name), SPAN_ARG(c->name_space));
}

/* ---- ServiceAccount ---- */

/* A pod that names none has the namespace's own. */
static bool service_account_set(struct change *c, struct error *err)
{
	struct value *spec = value_get(c->object, SPAN("spec"));

	if (!value_is(spec, VALUE_OBJECT) || value_find_string(spec, "serviceAccountName").len)
		return true;
	return value_set(spec, SPAN("serviceAccountName"), value_string(SPAN("default")), c->arena, err) &&
	       value_set(spec, SPAN("serviceAccount"), value_string(SPAN("default")), c->arena, err);
}

static bool service_account_check(struct change *c, struct error *err)
{
	struct span name = value_find_string(c->object, "spec.serviceAccountName");
	const struct kind *accounts = kube_kind(c->kube, SPAN(""), SPAN("v1"), SPAN("serviceaccounts"));

	ASSERT(accounts);
	if (kube_object(c->kube, accounts, c->name_space, name, true, c->arena, err))
		return true;
	return !err->code && error_set(err, ERROR_FORBIDDEN,
				       "pods \"" SPAN_FMT "\" is forbidden: error looking up service account " SPAN_FMT
				       "/" SPAN_FMT ": serviceaccount \"" SPAN_FMT "\" not found",
				       SPAN_ARG(c->name), SPAN_ARG(c->name_space), SPAN_ARG(name), SPAN_ARG(name));
}

static bool is_new_pod(const struct change *c)
{
	return c->verb == KUBE_CREATE && !c->subresource.len && !*c->kind->group && strcmp(c->kind->kind, "Pod") == 0;
}

/* ---- all of them ---- */

void admission_run(struct change *c, bool is_validating, void (*next)(void *context, const struct error *err),
		   void *context)
{
	struct error err = { 0 };
	bool ok = is_validating || namespace_check(c, &err);

	if (ok && is_new_pod(c))
		ok = is_validating ? service_account_check(c, &err) : service_account_set(c, &err);
	next(context, ok ? NULL : &err);
}
