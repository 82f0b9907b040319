/* SPDX-License-Identifier: Apache-2.0 */
/* pod_checks - what a pod spec may say, for pods and templates; volumes and placement are in files of their own. */
#include "kube/kinds/kinds.h"

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

static bool has_before(const struct value *list, uint32_t index, const char *member)
{
	for (uint32_t i = 0; i < index; i++) {
		if (is_same(get(value_item(list, i), member), get(value_item(list, index), member)))
			return true;
	}
	return false;
}

static void check_ports(struct change *c, const struct at *at, const struct value *ports)
{
	for (uint32_t i = 0; i < count_of(ports); i++) {
		const struct value *port = value_item(ports, i), *name = get(port, "name");
		const struct at *here = AT_INDEX(at, i);

		if (text_of(name).len && name_check_port(text_of(name)))
			check_name(c, AT(here, "name"), name, name_check_port);
		else if (text_of(name).len && has_before(ports, i, "name"))
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
	} else if (span_starts(s, SPAN("metadata.labels['")) || span_starts(s, SPAN("metadata.annotations['"))) {
		return;
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
	if (get_text(ref, "name").len == 0)
		fault_required(c, AT(at, "name"), "");
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

static void check_env(struct change *c, const struct at *at, const struct value *list)
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

static void check_env_from(struct change *c, const struct at *at, const struct value *list)
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

struct pod_volumes {
	const struct value *list;
	const bool *fine;
};

static bool volume_is_there(const struct pod_volumes *volumes, struct span name)
{
	for (uint32_t i = 0; i < count_of(volumes->list); i++) {
		if (volumes->fine[i] && span_equal(get_text(value_item(volumes->list, i), "name"), name))
			return true;
	}
	return false;
}

static void check_mounts(struct change *c, const struct at *at, const struct value *list,
			 const struct pod_volumes *volumes)
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
		if (has_before(list, i, "mountPath"))
			fault_invalid_text(c, AT(here, "mountPath"), text_of(path), "must be unique");
		if (get_text(mount, "subPath").len)
			check_descending_path(c, AT(at, "subPath"), get_text(mount, "subPath"));
		if (get_text(mount, "subPathExpr").len && get_text(mount, "subPath").len)
			fault_invalid(c, AT(here, "subPathExpr"), get(mount, "subPathExpr"),
				      "subPathExpr and subPath are mutually exclusive");
		if (get_text(mount, "subPathExpr").len)
			check_descending_path(c, AT(at, "subPathExpr"), get_text(mount, "subPathExpr"));
		check_one_of_or_absent(c, AT(at, "mountPropagation"), get(mount, "mountPropagation"), propagation);
	}
}

static void check_devices(struct change *c, const struct at *at, const struct value *list,
			  const struct pod_volumes *volumes)
{
	for (uint32_t i = 0; i < count_of(list); i++) {
		const struct value *device = value_item(list, i), *name = get(device, "name");
		const struct at *here = AT_INDEX(at, i);

		if (text_of(name).len == 0)
			fault_required(c, AT(here, "name"), "");
		if (has_before(list, i, "name"))
			fault_invalid(c, AT(here, "name"), name, "must be unique");
		if (get_text(device, "devicePath").len == 0)
			fault_required(c, AT(here, "devicePath"), "");
		if (text_of(name).len && !volume_is_there(volumes, text_of(name)))
			fault_not_found(c, AT(here, "name"), name);
	}
}

/* ---- probes and hooks ---- */

static void check_http_get(struct change *c, const struct at *at, const struct value *http)
{
	static const char *const schemes[] = { "HTTP", "HTTPS", NULL };
	const struct value *headers = get(http, "httpHeaders");

	check_port_or_name(c, AT(at, "port"), get(http, "port"));
	if (!text_is_one_of(get_text(http, "scheme"), schemes))
		fault_not_supported(c, AT(at, "scheme"), get(http, "scheme"), schemes);
	for (uint32_t i = 0; i < count_of(headers); i++) {
		struct span name = get_text(value_item(headers, i), "name");
		bool is_fine = name.len > 0;

		for (size_t k = 0; k < name.len; k++)
			is_fine = is_fine && ((name.ptr[k] >= '0' && name.ptr[k] <= '9') || name.ptr[k] == '-' ||
					      ((name.ptr[k] | 32) >= 'a' && (name.ptr[k] | 32) <= 'z'));
		if (!is_fine)
			fault_invalid_text(c, AT(at, "httpHeaders"), name,
					   "a valid HTTP header must consist of alphanumeric characters or '-' (e.g. "
					   "'X-Header-Name', regex used for validation is '[-A-Za-z0-9]+')");
	}
}

static void check_handler(struct change *c, const struct at *at, const struct value *handler, int64_t grace)
{
	static const char *const types[] = { "exec", "httpGet", "tcpSocket", "grpc", "sleep" };
	unsigned count = 0;

	for (size_t i = 0; i < ARRAY_LEN(types); i++) {
		const struct value *v = get(handler, types[i]);
		const struct at *here = AT(at, types[i]);

		if (!v)
			continue;
		if (count++) {
			fault_forbidden(c, here, "may not specify more than 1 handler type");
			continue;
		}
		if (i == 0 && !count_of(get(v, "command")))
			fault_required(c, AT(here, "command"), "");
		else if (i == 1)
			check_http_get(c, here, v);
		else if (i == 2)
			check_port_or_name(c, AT(here, "port"), get(v, "port"));
		else if (i == 3)
			check_port(c, AT(here, "port"), get(v, "port"));
		else if (i == 4 && (get_int(v, "seconds", 0) < 0 || get_int(v, "seconds", 0) > grace))
			fault_invalid(
			    c, here, get(v, "seconds"),
			    detail_print(c, "must be non-negative and less than terminationGracePeriodSeconds (%lld)",
					 (long long)grace));
	}
	if (count == 0)
		fault_required(c, at, "must specify a handler type");
}

static void check_probe(struct change *c, const struct at *at, const struct value *probe, int64_t grace, bool needs_one)
{
	static const char *const counts[] = { "initialDelaySeconds", "timeoutSeconds", "periodSeconds",
					      "successThreshold", "failureThreshold" };

	if (!probe)
		return;
	check_handler(c, at, probe, grace);
	for (size_t i = 0; i < ARRAY_LEN(counts); i++)
		check_not_negative(c, AT(at, counts[i]), get(probe, counts[i]));
	check_positive(c, AT(at, "terminationGracePeriodSeconds"), get(probe, "terminationGracePeriodSeconds"));
	if (needs_one && get_int(probe, "successThreshold", 1) != 1)
		fault_invalid(c, AT(at, "successThreshold"), get(probe, "successThreshold"), "must be 1");
}

static void check_probes(struct change *c, const struct at *at, const struct value *container, int64_t grace)
{
	const struct value *lifecycle = get(container, "lifecycle"), *readiness = get(container, "readinessProbe");

	if (get(lifecycle, "postStart"))
		check_handler(c, AT(AT(at, "lifecycle"), "postStart"), get(lifecycle, "postStart"), grace);
	if (get(lifecycle, "preStop"))
		check_handler(c, AT(AT(at, "lifecycle"), "preStop"), get(lifecycle, "preStop"), grace);
	check_probe(c, AT(at, "livenessProbe"), get(container, "livenessProbe"), grace, true);
	check_probe(c, AT(at, "readinessProbe"), readiness, grace, false);
	if (get(readiness, "terminationGracePeriodSeconds"))
		fault_invalid(c, AT(AT(at, "readinessProbe"), "terminationGracePeriodSeconds"),
			      get(readiness, "terminationGracePeriodSeconds"), "must not be set for readinessProbes");
	check_probe(c, AT(at, "startupProbe"), get(container, "startupProbe"), grace, true);
}

/* ---- security ---- */

static void check_id(struct change *c, const struct at *at, const struct value *v)
{
	if (value_is(v, VALUE_INT) && (v->integer < 0 || v->integer > INT32_MAX))
		fault_invalid(c, at, v, "must be between 0 and 2147483647, inclusive");
}

static void check_seccomp(struct change *c, const struct at *at, const struct value *profile)
{
	static const char *const types[] = { "Localhost", "RuntimeDefault", "Unconfined", NULL };

	if (!profile)
		return;
	if (is_text(get(profile, "type"), "Localhost")) {
		if (!get(profile, "localhostProfile"))
			fault_required(c, AT(at, "localhostProfile"), "must be set when seccomp type is Localhost");
		else
			check_descending_path(c, AT(at, "localhostProfile"), get_text(profile, "localhostProfile"));
	} else if (get(profile, "localhostProfile")) {
		fault_invalid(c, AT(at, "localhostProfile"), get(profile, "localhostProfile"),
			      "can only be set when seccomp type is Localhost");
	}
	if (get_text(profile, "type").len == 0)
		fault_required(c, AT(at, "type"), "type is required when seccompProfile is set");
	else
		check_one_of(c, AT(at, "type"), get(profile, "type"), types);
}

static void check_security(struct change *c, const struct at *at, const struct value *security)
{
	static const char *const mounts[] = { "Default", "Unmasked", NULL };
	const struct value *escalation = get(security, "allowPrivilegeEscalation");
	const struct value *added = get(get(security, "capabilities"), "add");

	if (!security)
		return;
	check_id(c, AT(at, "runAsUser"), get(security, "runAsUser"));
	check_id(c, AT(at, "runAsGroup"), get(security, "runAsGroup"));
	check_one_of_or_absent(c, AT(at, "procMount"), get(security, "procMount"), mounts);
	check_seccomp(c, AT(at, "seccompProfile"), get(security, "seccompProfile"));
	if (!escalation || get_bool(security, "allowPrivilegeEscalation"))
		return;
	if (get_bool(security, "privileged"))
		fault_invalid(c, at, security,
			      "cannot set `allowPrivilegeEscalation` to false and `privileged` to true");
	for (uint32_t i = 0; i < count_of(added); i++) {
		if (is_text(value_item(added, i), "CAP_SYS_ADMIN"))
			fault_invalid(
			    c, at, security,
			    "cannot set `allowPrivilegeEscalation` to false and `capabilities.Add` CAP_SYS_ADMIN");
	}
}

#define SYSCTL_BYTES_MOST 253

/* "kernel.shm_rmid_forced", "net/ipv4/tcp_syncookies" */
static bool is_sysctl(struct span s)
{
	bool is_after_part = false;

	for (size_t i = 0; i < s.len; i++) {
		char ch = s.ptr[i];
		bool is_word = (ch >= 'a' && ch <= 'z') || (ch >= '0' && ch <= '9');

		if (ch == '.' || ch == '/') {
			if (!is_after_part)
				return false;
			is_after_part = false;
		} else if (ch == '-' || ch == '_') {
			if (!is_after_part || i + 1 == s.len)
				return false;
		} else if (is_word) {
			is_after_part = true;
		} else {
			return false;
		}
	}
	return s.len > 0 && s.len <= SYSCTL_BYTES_MOST && is_after_part;
}

static void check_sysctls(struct change *c, const struct at *at, const struct value *list)
{
	for (uint32_t i = 0; i < count_of(list); i++) {
		const struct value *name = get(value_item(list, i), "name");
		const struct at *here = AT(AT_INDEX(at, i), "name");

		if (text_of(name).len == 0)
			fault_required(c, here, "");
		else if (!is_sysctl(text_of(name)))
			fault_invalid(c, here, name,
				      "must have at most 253 characters and match regex "
				      "^([a-z0-9]([-_a-z0-9]*[a-z0-9])?[\\./])*[a-z0-9]([-_a-z0-9]*[a-z0-9])?$");
		else if (has_before(list, i, "name"))
			fault_duplicate(c, here, name);
	}
}

static void check_pod_security(struct change *c, const struct at *at, const struct value *security)
{
	static const char *const changes[] = { "Always", "OnRootMismatch", NULL };
	const struct value *groups = get(security, "supplementalGroups");

	check_id(c, AT(at, "fsGroup"), get(security, "fsGroup"));
	check_id(c, AT(at, "runAsUser"), get(security, "runAsUser"));
	check_id(c, AT(at, "runAsGroup"), get(security, "runAsGroup"));
	for (uint32_t i = 0; i < count_of(groups); i++)
		check_id(c, AT_INDEX(AT(at, "supplementalGroups"), i), value_item(groups, i));
	check_one_of_or_absent(c, AT(at, "fsGroupChangePolicy"), get(security, "fsGroupChangePolicy"), changes);
	check_seccomp(c, AT(at, "seccompProfile"), get(security, "seccompProfile"));
	check_sysctls(c, AT(at, "sysctls"), get(security, "sysctls"));
}

/* ---- containers ---- */

struct pod_check {
	struct pod_volumes volumes;
	const struct value *spec;
	int64_t grace;
};

static void check_container(struct change *c, const struct at *at, const struct value *container,
			    const struct pod_check *p)
{
	static const char *const pulls[] = { "Always", "IfNotPresent", "Never", NULL };
	static const char *const messages[] = { "File", "FallbackToLogsOnError", NULL };

	if (get_text(container, "name").len == 0)
		fault_required(c, AT(at, "name"), "");
	else
		check_name(c, AT(at, "name"), get(container, "name"), name_check_label);
	if (get_text(container, "image").len == 0)
		fault_required(c, AT(at, "image"), "");
	check_one_of(c, AT(at, "terminationMessagePolicy"), get(container, "terminationMessagePolicy"), messages);
	check_ports(c, AT(at, "ports"), get(container, "ports"));
	check_env(c, AT(at, "env"), get(container, "env"));
	check_env_from(c, AT(at, "envFrom"), get(container, "envFrom"));
	check_mounts(c, AT(at, "volumeMounts"), get(container, "volumeMounts"), &p->volumes);
	check_devices(c, AT(at, "volumeDevices"), get(container, "volumeDevices"), &p->volumes);
	check_one_of(c, AT(at, "imagePullPolicy"), get(container, "imagePullPolicy"), pulls);
	check_resources(c, AT(at, "resources"), get(container, "resources"));
	check_security(c, AT(at, "securityContext"), get(container, "securityContext"));
}

static bool same_host_port(const struct value *a, const struct value *b)
{
	return get_int(a, "hostPort", 0) == get_int(b, "hostPort", 0) &&
	       is_same(get(a, "protocol"), get(b, "protocol")) && is_same(get(a, "hostIP"), get(b, "hostIP"));
}

/* Is the host port of this one taken by one before it? */
static bool host_port_is_taken(const struct value *containers, uint32_t container, uint32_t port)
{
	const struct value *mine = value_item(get(value_item(containers, container), "ports"), port);

	for (uint32_t i = 0; i <= container; i++) {
		const struct value *ports = get(value_item(containers, i), "ports");

		for (uint32_t k = 0; k < count_of(ports) && !(i == container && k == port); k++) {
			if (same_host_port(value_item(ports, k), mine))
				return true;
		}
	}
	return false;
}

static void check_host_ports(struct change *c, const struct at *at, const struct value *containers)
{
	for (uint32_t i = 0; i < count_of(containers); i++) {
		const struct value *ports = get(value_item(containers, i), "ports");

		for (uint32_t k = 0; k < count_of(ports); k++) {
			const struct value *port = value_item(ports, k);
			struct span address = get_text(port, "hostIP"), protocol = get_text(port, "protocol");
			struct span text;

			if (!get_int(port, "hostPort", 0) || !host_port_is_taken(containers, i, k))
				continue;
			text = path_print(c, SPAN_FMT "/" SPAN_FMT "/%lld", SPAN_ARG(protocol), SPAN_ARG(address),
					  (long long)get_int(port, "hostPort", 0));
			fault_duplicate(c, AT(AT_INDEX(AT(AT_INDEX(at, i), "ports"), k), "hostPort"),
					&(struct value){ .type = VALUE_STRING, .string = text });
		}
	}
}

static void check_containers(struct change *c, const struct at *at, const struct value *list, const struct pod_check *p)
{
	if (!count_of(list)) {
		fault_required(c, at, "");
		return;
	}
	for (uint32_t i = 0; i < count_of(list); i++) {
		const struct value *container = value_item(list, i);
		const struct at *here = AT_INDEX(at, i);

		check_container(c, here, container, p);
		if (has_before(list, i, "name"))
			fault_duplicate(c, AT(here, "name"), get(container, "name"));
		check_probes(c, here, container, p->grace);
		if (get(container, "restartPolicy"))
			fault_forbidden(c, AT(here, "restartPolicy"), "may not be set for non-init containers");
	}
	check_host_ports(c, at, list);
}

static bool has_name(const struct value *list, struct span name)
{
	for (uint32_t i = 0; i < count_of(list); i++) {
		if (span_equal(get_text(value_item(list, i), "name"), name))
			return true;
	}
	return false;
}

static void check_init_containers(struct change *c, const struct at *at, const struct value *list,
				  const struct pod_check *p)
{
	static const char *const always[] = { "Always", NULL };
	static const char *const members[] = { "lifecycle", "livenessProbe", "readinessProbe", "startupProbe" };

	for (uint32_t i = 0; i < count_of(list); i++) {
		const struct value *container = value_item(list, i);
		const struct at *here = AT_INDEX(at, i);

		check_container(c, here, container, p);
		check_one_of_or_absent(c, AT(here, "restartPolicy"), get(container, "restartPolicy"), always);
		if (has_name(get(p->spec, "containers"), get_text(container, "name")) ||
		    (get_text(container, "name").len && has_before(list, i, "name")))
			fault_duplicate(c, AT(here, "name"), get(container, "name"));
		if (is_text(get(container, "restartPolicy"), "Always")) {
			check_probes(c, here, container, p->grace);
			continue;
		}
		for (size_t k = 0; k < ARRAY_LEN(members); k++) {
			if (get(container, members[k]))
				fault_forbidden(c, AT(here, members[k]),
						"may not be set for init containers without restartPolicy=Always");
		}
	}
}

/* Ephemeral containers have no ports, probes, hooks or resources. */
static void check_ephemeral_containers(struct change *c, const struct at *at, const struct value *list,
				       const struct pod_check *p)
{
	static const char *const members[] = { "ports",          "lifecycle",    "livenessProbe",
					       "readinessProbe", "startupProbe", "restartPolicy" };

	for (uint32_t i = 0; i < count_of(list); i++) {
		const struct value *container = value_item(list, i);
		const struct at *here = AT_INDEX(at, i);
		struct span target = get_text(container, "targetContainerName");

		check_container(c, here, container, p);
		if (has_name(get(p->spec, "containers"), get_text(container, "name")) ||
		    has_name(get(p->spec, "initContainers"), get_text(container, "name")) ||
		    has_before(list, i, "name"))
			fault_duplicate(c, AT(here, "name"), get(container, "name"));
		if (target.len && !has_name(get(p->spec, "containers"), target) &&
		    !has_name(get(p->spec, "initContainers"), target))
			fault_not_found(c, AT(here, "targetContainerName"), get(container, "targetContainerName"));
		for (size_t k = 0; k < ARRAY_LEN(members); k++) {
			if (get(container, members[k]))
				fault_forbidden(c, AT(here, members[k]), "cannot be set for an Ephemeral Container");
		}
	}
}

/* ---- the whole ---- */

static void check_dns(struct change *c, const struct at *at, const struct value *spec)
{
	static const char *const policies[] = { "ClusterFirstWithHostNet", "ClusterFirst", "Default", "None", NULL };
	const struct value *config = get(spec, "dnsConfig"), *servers = get(config, "nameservers");

	check_one_of(c, AT(at, "dnsPolicy"), get(spec, "dnsPolicy"), policies);
	if (is_text(get(spec, "dnsPolicy"), "None") && !config)
		fault_required(c, AT(at, "dnsConfig"), "must provide `dnsConfig` when `dnsPolicy` is None");
	else if (is_text(get(spec, "dnsPolicy"), "None") && !count_of(servers))
		fault_required(c, AT(AT(at, "dnsConfig"), "nameservers"),
			       "must provide at least one DNS nameserver when `dnsPolicy` is None");
	if (count_of(servers) > 3)
		fault_invalid(c, AT(AT(at, "dnsConfig"), "nameservers"), servers,
			      "must not have more than 3 nameservers");
	for (uint32_t i = 0; i < count_of(servers); i++)
		check_ip(c, AT_INDEX(AT(AT(at, "dnsConfig"), "nameservers"), i), value_item(servers, i));
}

static void check_host_network(struct change *c, const struct at *at, const struct value *spec)
{
	const struct value *containers = get(spec, "containers");

	for (uint32_t i = 0; get_bool(spec, "hostNetwork") && i < count_of(containers); i++) {
		const struct value *ports = get(value_item(containers, i), "ports");

		for (uint32_t k = 0; k < count_of(ports); k++) {
			const struct value *port = value_item(ports, k);

			if (get_int(port, "hostPort", 0) &&
			    get_int(port, "hostPort", 0) != get_int(port, "containerPort", 0))
				fault_invalid(
				    c, AT(AT_INDEX(AT(AT_INDEX(AT(at, "containers"), i), "ports"), k), "hostPort"),
				    get(port, "hostPort"), "must match `containerPort` when `hostNetwork` is true");
		}
	}
}

static void check_gates(struct change *c, const struct at *at, const struct value *list)
{
	for (uint32_t i = 0; i < count_of(list); i++)
		check_name(c, AT(AT_INDEX(at, i), "conditionType"), get(value_item(list, i), "conditionType"),
			   name_check_qualified);
}

static void check_scheduling_gates(struct change *c, const struct at *at, const struct value *list)
{
	for (uint32_t i = 0; i < count_of(list); i++) {
		check_name(c, AT_INDEX(at, i), get(value_item(list, i), "name"), name_check_qualified);
		if (has_before(list, i, "name"))
			fault_duplicate(c, AT_INDEX(at, i), get(value_item(list, i), "name"));
	}
}

static void check_os(struct change *c, const struct at *at, const struct value *os)
{
	static const char *const names[] = { "linux", "windows", NULL };

	if (get_text(os, "name").len == 0)
		fault_required(c, AT(at, "name"), "cannot be empty");
	else if (!text_is_one_of(get_text(os, "name"), names))
		fault_not_supported(c, at, get(os, "name"), names);
}

/* Names of other objects, and other simple members. */
static void check_rest(struct change *c, const struct at *at, const struct value *spec)
{
	static const struct {
		const char *member;
		name_check check;
	} names[] = { { "serviceAccountName", name_check_subdomain },
		      { "nodeName", name_check_subdomain },
		      { "hostname", name_check_label },
		      { "subdomain", name_check_label } },
	  later[] = { { "priorityClassName", name_check_subdomain }, { "runtimeClassName", name_check_subdomain } };
	static const char *const preemption[] = { "PreemptLowerPriority", "Never", NULL };
	const struct value *deadline = get(spec, "activeDeadlineSeconds"), *aliases = get(spec, "hostAliases");

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		if (get_text(spec, names[i].member).len)
			check_name(c, AT(at, names[i].member), get(spec, names[i].member), names[i].check);
		if (i == 1 && value_is(deadline, VALUE_INT) && (deadline->integer < 1 || deadline->integer > INT32_MAX))
			fault_invalid(c, AT(at, "activeDeadlineSeconds"), deadline,
				      "must be between 1 and 2147483647, inclusive");
	}
	check_tolerations(c, AT(at, "tolerations"), get(spec, "tolerations"));
	for (uint32_t i = 0; i < count_of(aliases); i++) {
		const struct value *names_of_it = get(value_item(aliases, i), "hostnames");
		const struct at *here = AT_INDEX(AT(at, "hostAliases"), i);

		check_ip(c, AT(here, "ip"), get(value_item(aliases, i), "ip"));
		for (uint32_t k = 0; k < count_of(names_of_it); k++)
			check_name(c, AT_INDEX(AT(here, "hostnames"), k), value_item(names_of_it, k),
				   name_check_subdomain);
	}
	check_gates(c, AT(at, "readinessGates"), get(spec, "readinessGates"));
	check_scheduling_gates(c, AT(at, "schedulingGates"), get(spec, "schedulingGates"));
	if (get(spec, "os"))
		check_os(c, AT(at, "os"), get(spec, "os"));
	for (size_t i = 0; i < ARRAY_LEN(later); i++) {
		if (get_text(spec, later[i].member).len)
			check_name(c, AT(at, later[i].member), get(spec, later[i].member), later[i].check);
	}
	check_one_of_or_absent(c, AT(at, "preemptionPolicy"), get(spec, "preemptionPolicy"), preemption);
}

void pod_spec_check(struct change *c, const struct at *at, const struct value *spec)
{
	static const char *const policies[] = { "Always", "OnFailure", "Never", NULL };
	const struct value *volumes = get(spec, "volumes");
	bool *fine = ARENA_NEW(c->arena, bool, c->err);
	struct pod_check p = { .spec = spec, .grace = get_int(spec, "terminationGracePeriodSeconds", 30) };

	if (count_of(volumes))
		fine = arena_calloc(c->arena, count_of(volumes), sizeof(*fine), c->err);
	if (!fine)
		return;
	p.volumes = (struct pod_volumes){ .list = volumes, .fine = fine };
	pod_volumes_check(c, AT(at, "volumes"), volumes, fine);
	check_containers(c, AT(at, "containers"), get(spec, "containers"), &p);
	check_init_containers(c, AT(at, "initContainers"), get(spec, "initContainers"), &p);
	check_ephemeral_containers(c, AT(at, "ephemeralContainers"), get(spec, "ephemeralContainers"), &p);
	check_host_network(c, at, spec);
	check_one_of(c, AT(at, "restartPolicy"), get(spec, "restartPolicy"), policies);
	check_dns(c, at, spec);
	check_labels(c, AT(at, "nodeSelector"), get(spec, "nodeSelector"));
	check_pod_security(c, AT(at, "securityContext"), get(spec, "securityContext"));
	pod_affinity_check(c, AT(at, "affinity"), get(spec, "affinity"));
	pod_spread_check(c, AT(at, "topologySpreadConstraints"), get(spec, "topologySpreadConstraints"));
	check_rest(c, at, spec);
}

void pod_template_check(struct change *c, const struct at *at, const struct value *template)
{
	const struct value *metadata = get(template, "metadata"), *spec = get(template, "spec");

	check_labels(c, AT(at, "labels"), get(metadata, "labels"));
	check_annotations(c, AT(at, "annotations"), get(metadata, "annotations"));
	pod_spec_check(c, AT(at, "spec"), spec);
	if (count_of(get(spec, "ephemeralContainers")))
		fault_forbidden(c, AT(AT(at, "spec"), "ephemeralContainers"),
				"ephemeral containers not allowed in pod template");
}
