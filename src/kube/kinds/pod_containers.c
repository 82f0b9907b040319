/* SPDX-License-Identifier: Apache-2.0 */
/* pod_containers - what one container says: resources, ports, environment, mounts. */
#include "kube/kinds/kinds.h"
#include "kube/kinds/pod.h"

static const char *const protocols[] = { "SCTP", "TCP", "UDP", NULL };

/* ---- resources ---- */

static bool is_native(struct span name)
{
	return span_index(name, '/') == name.len || (name.len && memmem(name.ptr, name.len, "kubernetes.io/", 14));
}

static bool is_huge_page(struct span name)
{
	return span_starts(name, SPAN("hugepages-"));
}

void check_resource_name(struct change *c, const struct at *at, struct span name)
{
	static const char *const standard[] = { "cpu", "memory", "ephemeral-storage", NULL };
	const char *wrong = name_check_qualified(name);

	if (wrong) {
		fault_printed(c, at, name, wrong);
		fault_printed(c, at, name,
			      span_index(name, '/') < name.len ? "doesn't follow extended resource name standard"
							       : "must be a standard resource for containers");
		return;
	}
	if (span_index(name, '/') == name.len) {
		if (text_is_one_of(name, standard) || is_huge_page(name))
			return;
		fault_printed(c, at, name, "must be a standard resource type or fully qualified");
		fault_printed(c, at, name, "must be a standard resource for containers");
	} else if (!is_native(name) && span_starts(name, SPAN("requests."))) {
		fault_printed(c, at, name, "doesn't follow extended resource name standard");
	}
}

void check_quantity(struct change *c, const struct at *at, const struct value *v)
{
	int64_t milli;

	if (quantity_parse(text_of(v), &milli) && milli < 0)
		fault_invalid_text(c, at, text_of(v), "must be greater than or equal to 0");
}

static void check_amount(struct change *c, const struct at *at, struct span name, const struct value *v)
{
	int64_t milli;

	check_resource_name(c, at, name);
	check_quantity(c, at, v);
	if (!is_native(name) && quantity_parse(text_of(v), &milli) && milli % 1000)
		fault_quantity(c, at, text_of(v), "must be an integer");
}

static void check_request(struct change *c, const struct at *at, const struct value_member *m,
			  const struct value *limit, bool may_overcommit)
{
	struct span amount = text_of(&m->value), most = text_of(limit);
	int order = 0;

	if (!limit) {
		if (!may_overcommit)
			fault_required(c, AT(at->up, "limits"), "Limit must be set for non overcommitable resources");
		return;
	}
	if (!quantity_compare(amount, most, &order))
		return;
	if (order != 0 && !may_overcommit)
		fault_invalid_text(c, at, amount,
				   detail_print(c, "must be equal to " SPAN_FMT " limit of " SPAN_FMT, SPAN_ARG(m->key),
						SPAN_ARG(most)));
	else if (order > 0)
		fault_invalid_text(c, at, amount,
				   detail_print(c, "must be less than or equal to " SPAN_FMT " limit of " SPAN_FMT,
						SPAN_ARG(m->key), SPAN_ARG(most)));
}

void check_resources(struct change *c, const struct at *at, const struct value *resources)
{
	const struct value *limits = get(resources, "limits"), *requests = get(resources, "requests");
	bool has_huge = false, has_other = false;

	for (uint32_t i = 0; i < count_of(limits); i++) {
		const struct value_member *m = &limits->object.members[i];

		check_amount(c, AT_KEY(AT(at, "limits"), m->key), m->key, &m->value);
		has_huge = has_huge || is_huge_page(m->key);
		has_other = has_other || span_equal(m->key, SPAN("cpu")) || span_equal(m->key, SPAN("memory"));
	}
	for (uint32_t i = 0; i < count_of(requests); i++) {
		const struct value_member *m = &requests->object.members[i];
		const struct at *here = AT(at, "requests");

		check_amount(c, AT_KEY(here, m->key), m->key, &m->value);
		check_request(c, here, m, value_get(limits, m->key), is_native(m->key) && !is_huge_page(m->key));
		has_huge = has_huge || is_huge_page(m->key);
		has_other = has_other || span_equal(m->key, SPAN("cpu")) || span_equal(m->key, SPAN("memory"));
	}
	if (has_huge && !has_other)
		fault_forbidden(c, at, "HugePages require cpu or memory");
}

/* ---- ports and environment ---- */

bool pod_has_before(const struct value *list, uint32_t index, const char *member)
{
	for (uint32_t i = 0; i < index; i++) {
		if (is_same(get(value_item(list, i), member), get(value_item(list, index), member)))
			return true;
	}
	return false;
}

void pod_check_ports(struct change *c, const struct at *at, const struct value *ports)
{
	for (uint32_t i = 0; i < count_of(ports); i++) {
		const struct value *port = value_item(ports, i), *name = get(port, "name");
		const struct at *here = AT_INDEX(at, i);

		if (text_of(name).len && name_check_port(text_of(name)))
			check_name(c, AT(here, "name"), name, name_check_port);
		else if (text_of(name).len && pod_has_before(ports, i, "name"))
			fault_duplicate(c, AT(here, "name"), name);
		if (get_int(port, "containerPort", 0) == 0)
			fault_required(c, AT(here, "containerPort"), "");
		else
			check_port(c, AT(here, "containerPort"), get(port, "containerPort"));
		if (get_int(port, "hostPort", 0))
			check_port(c, AT(here, "hostPort"), get(port, "hostPort"));
		check_one_of(c, AT(here, "protocol"), get(port, "protocol"), protocols);
	}
}

static void check_field_ref(struct change *c, const struct at *at, const struct value *ref)
{
	static const char *const paths[] = {
		"metadata.name", "metadata.namespace", "metadata.uid", "spec.nodeName", "spec.serviceAccountName",
		"status.hostIP", "status.hostIPs",     "status.podIP", "status.podIPs", NULL
	};
	const struct value *path = get(ref, "fieldPath");
	struct span s = text_of(path);

	if (s.len == 0) {
		fault_required(c, AT(at, "fieldPath"), "");
	} else if (!is_text(get(ref, "apiVersion"), "v1")) {
		struct span version = get_text(ref, "apiVersion");

		fault_invalid(c, AT(at, "fieldPath"), path,
			      detail_print(c, "error converting fieldPath: unsupported pod version: " SPAN_FMT,
					   SPAN_ARG(version)));
	} else if ((span_starts(s, SPAN("metadata.labels['")) || span_starts(s, SPAN("metadata.annotations['"))) &&
		   span_ends(s, SPAN("']"))) {
		struct span key = span_skip(s, span_index(s, '\'') + 1);
		struct value name = value_string(span_first(key, key.len - 2));

		check_name(c, at, &name, name_check_qualified);
	} else if (span_equal(s, SPAN("metadata.labels")) || span_equal(s, SPAN("metadata.annotations"))) {
		fault_not_supported(c, AT(at, "fieldPath"), path, paths);
	} else if (!text_is_one_of(s, paths)) {
		fault_invalid(
		    c, AT(at, "fieldPath"), path,
		    detail_print(c, "error converting fieldPath: field label not supported: " SPAN_FMT, SPAN_ARG(s)));
	}
}

static void check_key_ref(struct change *c, const struct at *at, const struct value *ref)
{
	check_name(c, AT(at, "name"), get(ref, "name"), name_check_subdomain);
	if (get_text(ref, "key").len == 0)
		fault_required(c, AT(at, "key"), "");
	else
		check_name(c, AT(at, "key"), get(ref, "key"), name_check_config_key);
}

static void check_resource_ref(struct change *c, const struct at *at, const struct value *ref)
{
	static const char *const names[] = { "limits.cpu",
					     "limits.ephemeral-storage",
					     "limits.memory",
					     "requests.cpu",
					     "requests.ephemeral-storage",
					     "requests.memory",
					     NULL };
	struct span name = get_text(ref, "resource");

	if (name.len == 0)
		fault_required(c, AT(at, "resource"), "");
	else if (!text_is_one_of(name, names) && !span_starts(name, SPAN("limits.hugepages-")) &&
		 !span_starts(name, SPAN("requests.hugepages-")))
		fault_not_supported(c, AT(at, "resource"), get(ref, "resource"), names);
}

static void check_value_from(struct change *c, const struct at *at, const struct value *env, const struct value *from)
{
	static const char *const sources[] = { "fieldRef", "resourceFieldRef", "configMapKeyRef", "secretKeyRef" };
	unsigned count = 0;

	for (size_t i = 0; i < ARRAY_LEN(sources); i++) {
		const struct value *ref = get(from, sources[i]);
		const struct at *here = AT(at, sources[i]);

		if (!ref)
			continue;
		count++;
		if (i == 0)
			check_field_ref(c, here, ref);
		else if (i == 1)
			check_resource_ref(c, here, ref);
		else
			check_key_ref(c, here, ref);
	}
	if (count == 0)
		fault_invalid_text(
		    c, at, SPAN(""),
		    "must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef` or `secretKeyRef`");
	else if (get_text(env, "value").len)
		fault_invalid_text(c, at, SPAN(""), "may not be specified when `value` is not empty");
	else if (count > 1)
		fault_invalid_text(c, at, SPAN(""), "may not have more than one field specified at a time");
}

void pod_check_env(struct change *c, const struct at *at, const struct value *list)
{
	for (uint32_t i = 0; i < count_of(list); i++) {
		const struct value *env = value_item(list, i);
		const struct at *here = AT_INDEX(at, i);

		if (get_text(env, "name").len == 0)
			fault_required(c, AT(here, "name"), "");
		else
			check_name(c, AT(here, "name"), get(env, "name"), name_check_env);
		if (get(env, "valueFrom"))
			check_value_from(c, AT(here, "valueFrom"), env, get(env, "valueFrom"));
	}
}

void pod_check_env_from(struct change *c, const struct at *at, const struct value *list)
{
	static const char *const sources[] = { "configMapRef", "secretRef" };

	for (uint32_t i = 0; i < count_of(list); i++) {
		const struct value *from = value_item(list, i);
		const struct at *here = AT_INDEX(at, i);
		unsigned count = 0;

		if (get_text(from, "prefix").len)
			check_name(c, AT(here, "prefix"), get(from, "prefix"), name_check_env);
		for (size_t k = 0; k < ARRAY_LEN(sources); k++) {
			const struct value *ref = get(from, sources[k]);

			count += ref ? 1 : 0;
			if (ref && get_text(ref, "name").len == 0)
				fault_required(c, AT(AT(here, sources[k]), "name"), "");
			else if (ref)
				check_name(c, AT(AT(here, sources[k]), "name"), get(ref, "name"), name_check_subdomain);
		}
		if (count == 0)
			fault_invalid_text(c, at, SPAN(""), "must specify one of: `configMapRef` or `secretRef`");
		else if (count > 1)
			fault_invalid_text(c, at, SPAN(""), "may not have more than one field specified at a time");
	}
}

/* ---- mounts ---- */

void check_descending_path(struct change *c, const struct at *at, struct span path)
{
	struct span rest = path;

	if (path.len && path.ptr[0] == '/')
		fault_invalid_text(c, at, path, "must be a relative path");
	while (rest.len) {
		if (span_equal(span_cut(&rest, '/'), SPAN(".."))) {
			fault_invalid_text(c, at, path, "must not contain '..'");
			return;
		}
	}
}

static bool volume_is_there(const struct pod_volumes *volumes, struct span name)
{
	for (uint32_t i = 0; i < count_of(volumes->list); i++) {
		if (volumes->fine[i] && span_equal(get_text(value_item(volumes->list, i), "name"), name))
			return true;
	}
	return false;
}

void pod_check_mounts(struct change *c, const struct at *at, const struct value *list,
		      const struct pod_volumes *volumes, bool is_privileged)
{
	static const char *const propagation[] = { "Bidirectional", "HostToContainer", "None", NULL };

	for (uint32_t i = 0; i < count_of(list); i++) {
		const struct value *mount = value_item(list, i), *name = get(mount, "name"),
				   *path = get(mount, "mountPath");
		const struct at *here = AT_INDEX(at, i);
		struct value empty = value_string(SPAN(""));

		if (text_of(name).len == 0)
			fault_required(c, AT(here, "name"), "");
		if (!volume_is_there(volumes, text_of(name)))
			fault_not_found(c, AT(here, "name"), name ? name : &empty);
		if (text_of(path).len == 0)
			fault_required(c, AT(here, "mountPath"), "");
		if (pod_has_before(list, i, "mountPath"))
			fault_invalid_text(c, AT(here, "mountPath"), text_of(path), "must be unique");
		if (get_text(mount, "subPath").len)
			check_descending_path(c, AT(at, "subPath"), get_text(mount, "subPath"));
		if (get_text(mount, "subPathExpr").len && get_text(mount, "subPath").len)
			fault_invalid(c, AT(here, "subPathExpr"), get(mount, "subPathExpr"),
				      "subPathExpr and subPath are mutually exclusive");
		if (get_text(mount, "subPathExpr").len)
			check_descending_path(c, AT(at, "subPathExpr"), get_text(mount, "subPathExpr"));
		check_one_of_or_absent(c, AT(at, "mountPropagation"), get(mount, "mountPropagation"), propagation);
		if (is_text(get(mount, "mountPropagation"), "Bidirectional") && !is_privileged)
			fault_forbidden(c, AT(at, "mountPropagation"),
					"Bidirectional mount propagation is available only to privileged containers");
	}
}

void pod_check_devices(struct change *c, const struct at *at, const struct value *list,
		       const struct pod_volumes *volumes)
{
	for (uint32_t i = 0; i < count_of(list); i++) {
		const struct value *device = value_item(list, i), *name = get(device, "name");
		const struct at *here = AT_INDEX(at, i);

		if (text_of(name).len == 0)
			fault_required(c, AT(here, "name"), "");
		if (pod_has_before(list, i, "name"))
			fault_invalid(c, AT(here, "name"), name, "must be unique");
		if (get_text(device, "devicePath").len == 0)
			fault_required(c, AT(here, "devicePath"), "");
		if (text_of(name).len && !volume_is_there(volumes, text_of(name)))
			fault_not_found(c, AT(here, "name"), name);
	}
}
