/* SPDX-License-Identifier: Apache-2.0 */
/* rbac - Role, ClusterRole and their bindings, of rbac.authorization.k8s.io/v1. */
#include "kube/kinds/kinds.h"

#include "kube/auth/auth.h"

#define GROUP "rbac.authorization.k8s.io"

/* ---- roles ---- */

static void check_rule(struct change *c, const struct at *at, const struct value *rule)
{
	const struct value *urls = get(rule, "nonResourceURLs");

	if (!count_of(get(rule, "verbs")))
		fault_required(c, AT(at, "verbs"), "verbs must contain at least one value");
	if (count_of(urls)) {
		if (c->kind->is_namespaced)
			fault_invalid(c, AT(at, "nonResourceURLs"), urls,
				      "namespaced rules cannot apply to non-resource URLs");
		if (count_of(get(rule, "apiGroups")) || count_of(get(rule, "resources")) ||
		    count_of(get(rule, "resourceNames")))
			fault_invalid(c, AT(at, "nonResourceURLs"), urls,
				      "rules cannot apply to both regular resources and non-resource URLs");
		return;
	}
	if (!count_of(get(rule, "apiGroups")))
		fault_required(c, AT(at, "apiGroups"), "resource rules must supply at least one api group");
	if (!count_of(get(rule, "resources")))
		fault_required(c, AT(at, "resources"), "resource rules must supply at least one resource");
}

static void role_validate(struct change *c)
{
	const struct value *rules = get(c->object, "rules"), *aggregation = get(c->object, "aggregationRule");
	const struct value *selectors = get(aggregation, "clusterRoleSelectors");
	const struct at *at = AT(AT(NULL, "aggregationRule"), "clusterRoleSelectors");

	check_metadata(c, name_check_path_segment);
	/* The real server looks twice at what is changed, and tells faults twice. */
	for (uint32_t i = 0; i < count_of(rules) * (c->old ? 2 : 1); i++)
		check_rule(c, AT_INDEX(AT(NULL, "rules"), i % count_of(rules)), value_item(rules, i % count_of(rules)));
	if (aggregation && !count_of(selectors))
		fault_required(c, at, "at least one clusterRoleSelector required if aggregationRule is non-nil");
	for (uint32_t i = 0; i < count_of(selectors); i++)
		check_selector(c, AT_INDEX(at, i), value_item(selectors, i));
	grant_check(c);
}

const struct kind kind_role = {
	.group = GROUP,
	.version = "v1",
	.plural = "roles",
	.singular = "role",
	.kind = "Role",
	.is_namespaced = true,
	.verbs = KUBE_ALL_VERBS,
	.type_name = "io.k8s.api.rbac.v1.Role",
	.columns = plain_columns,
	.defaults = shape,
	.prepare = shape,
	.validate = role_validate,
	.row = plain_row,
};

const struct kind kind_cluster_role = {
	.group = GROUP,
	.version = "v1",
	.plural = "clusterroles",
	.singular = "clusterrole",
	.kind = "ClusterRole",
	.verbs = KUBE_ALL_VERBS,
	.type_name = "io.k8s.api.rbac.v1.ClusterRole",
	.columns = plain_columns,
	.defaults = shape,
	.prepare = shape,
	.validate = role_validate,
	.row = plain_row,
};

/* ---- bindings ---- */

static void binding_defaults(struct change *c)
{
	struct value *subjects;

	shape(c);
	default_text(c, get(c->object, "roleRef"), "apiGroup", GROUP);
	subjects = get(c->object, "subjects");
	for (uint32_t i = 0; i < count_of(subjects); i++) {
		struct value *subject = value_item(subjects, i);

		if (is_text(get(subject, "kind"), "User") || is_text(get(subject, "kind"), "Group"))
			default_text(c, subject, "apiGroup", GROUP);
	}
}

static void check_subject(struct change *c, const struct at *at, const struct value *subject)
{
	static const char *const kinds[] = { "ServiceAccount", "User", "Group", NULL },
				 *const groups[] = { GROUP, NULL }, *const none[] = { "", NULL };
	const struct value *kind = get(subject, "kind"), *name = get(subject, "name"),
			   *group = get(subject, "apiGroup");

	if (text_of(name).len == 0)
		fault_required(c, AT(at, "name"), "");
	if (is_text(kind, "ServiceAccount")) {
		if (text_of(name).len)
			check_name(c, AT(at, "name"), name, name_check_subdomain);
		if (text_of(group).len)
			fault_not_supported(c, AT(at, "apiGroup"), group, none);
		if (!c->kind->is_namespaced && get_text(subject, "namespace").len == 0)
			fault_required(c, AT(at, "namespace"), "");
	} else if (is_text(kind, "User") || is_text(kind, "Group")) {
		if (!is_text(group, GROUP))
			fault_not_supported(c, AT(at, "apiGroup"), group, groups);
	} else {
		fault_not_supported(c, AT(at, "kind"), kind, kinds);
	}
}

static void binding_validate(struct change *c)
{
	static const char *const groups[] = { GROUP, NULL }, *const both[] = { "Role", "ClusterRole", NULL },
				 *const one[] = { "ClusterRole", NULL };
	const char *const *kinds = c->kind->is_namespaced ? both : one;
	const struct value *ref = get(c->object, "roleRef"), *subjects = get(c->object, "subjects");
	const struct at *at = AT(NULL, "roleRef");

	check_metadata(c, name_check_path_segment);
	if (!is_text(get(ref, "apiGroup"), GROUP))
		fault_not_supported(c, AT(at, "apiGroup"), get(ref, "apiGroup"), groups);
	if (!text_is_one_of(get_text(ref, "kind"), kinds))
		fault_not_supported(c, AT(at, "kind"), get(ref, "kind"), kinds);
	if (get_text(ref, "name").len == 0)
		fault_required(c, AT(at, "name"), "");
	else
		check_name(c, AT(at, "name"), get(ref, "name"), name_check_path_segment);
	for (uint32_t i = 0; i < count_of(subjects); i++)
		check_subject(c, AT_INDEX(AT(NULL, "subjects"), i), value_item(subjects, i));
	if (c->old && !is_same(get(c->old, "roleRef"), ref)) {
		struct span group = get_text(ref, "apiGroup"), kind = get_text(ref, "kind"),
			    name = get_text(ref, "name");

		fault_printed(c, at,
			      path_print(c,
					 "rbac.RoleRef{APIGroup:\"" SPAN_FMT "\", Kind:\"" SPAN_FMT
					 "\", Name:\"" SPAN_FMT "\"}",
					 SPAN_ARG(group), SPAN_ARG(kind), SPAN_ARG(name)),
			      "cannot change roleRef");
	}
	grant_check(c);
}

/* Names of the subjects of a kind; service accounts as NAMESPACE/NAME. */
static struct value cell_subjects(const struct value *o, const char *kind, struct arena *arena)
{
	const struct value *subjects = get(o, "subjects");
	struct text t = { .arena = arena };

	for (uint32_t i = 0; i < count_of(subjects); i++) {
		const struct value *subject = value_item(subjects, i);

		if (!is_text(get(subject, "kind"), kind))
			continue;
		text_add(&t, t.len ? SPAN(", ") : SPAN(""));
		if (strcmp(kind, "ServiceAccount") == 0 && get_text(subject, "namespace").len) {
			text_add(&t, get_text(subject, "namespace"));
			text_add(&t, SPAN("/"));
		}
		text_add(&t, get_text(subject, "name"));
	}
	return cell_text(text_span(&t));
}

static void binding_row(const struct value *o, int64_t now_ns, struct value *cells, struct arena *arena)
{
	struct span kind = value_find_string(o, "roleRef.kind"), name = value_find_string(o, "roleRef.name");

	cells[0] = cell_name(o);
	cells[1] = cell_format(arena, SPAN_FMT "/" SPAN_FMT, SPAN_ARG(kind), SPAN_ARG(name));
	cells[2] = cell_age(o, now_ns, arena);
	cells[3] = cell_subjects(o, "User", arena);
	cells[4] = cell_subjects(o, "Group", arena);
	cells[5] = cell_subjects(o, "ServiceAccount", arena);
}

static const struct column binding_columns[] = {
	COLUMN_NAME,
	COLUMN("Role", "string", "Which role it gives."),
	COLUMN_AGE,
	WIDE("Users", "string", "Users who have it."),
	WIDE("Groups", "string", "Groups that have it."),
	WIDE("ServiceAccounts", "string", "Service accounts that have it."),
	{ 0 },
};

const struct kind kind_role_binding = {
	.group = GROUP,
	.version = "v1",
	.plural = "rolebindings",
	.singular = "rolebinding",
	.kind = "RoleBinding",
	.is_namespaced = true,
	.verbs = KUBE_ALL_VERBS,
	.type_name = "io.k8s.api.rbac.v1.RoleBinding",
	.columns = binding_columns,
	.defaults = binding_defaults,
	.prepare = shape,
	.validate = binding_validate,
	.row = binding_row,
};

const struct kind kind_cluster_role_binding = {
	.group = GROUP,
	.version = "v1",
	.plural = "clusterrolebindings",
	.singular = "clusterrolebinding",
	.kind = "ClusterRoleBinding",
	.verbs = KUBE_ALL_VERBS,
	.type_name = "io.k8s.api.rbac.v1.ClusterRoleBinding",
	.columns = binding_columns,
	.defaults = binding_defaults,
	.prepare = shape,
	.validate = binding_validate,
	.row = binding_row,
};
