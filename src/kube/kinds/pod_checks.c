/* SPDX-License-Identifier: Apache-2.0 */
/* pod_checks - what a pod spec may say, for pods and templates; containers, security, volumes and placement are in files of their own. */
#include "kube/kinds/kinds.h"
#include "kube/kinds/pod.h"

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

/* ---- containers ---- */

struct pod_check {
	struct pod_volumes volumes;
	const struct value *spec;
	int64_t grace;
};

static void check_resize_policies(struct change *c, const struct at *at, const struct value *list)
{
	static const char *const names[] = { "cpu", "memory", NULL }, *const policies[] = { "NotRequired",
											    "RestartContainer", NULL };

	for (uint32_t i = 0; i < count_of(list); i++) {
		const struct value *one = value_item(list, i);

		if (pod_has_before(list, i, "resourceName"))
			fault_duplicate(c, AT_INDEX(at, i), get(one, "resourceName"));
		if (!text_is_one_of(get_text(one, "resourceName"), names))
			fault_not_supported_printed(c, at, get_text(one, "resourceName"), names);
		check_one_of(c, at, get(one, "restartPolicy"), policies);
	}
}

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
	else if (span_trim(get_text(container, "image")).len != get_text(container, "image").len)
		fault_invalid(c, AT(at, "image"), get(container, "image"),
			      "must not have leading or trailing whitespace");
	check_resize_policies(c, AT(at, "resizePolicy"), get(container, "resizePolicy"));
	check_one_of(c, AT(at, "terminationMessagePolicy"), get(container, "terminationMessagePolicy"), messages);
	pod_check_ports(c, AT(at, "ports"), get(container, "ports"));
	pod_check_env(c, AT(at, "env"), get(container, "env"));
	pod_check_env_from(c, AT(at, "envFrom"), get(container, "envFrom"));
	pod_check_mounts(c, AT(at, "volumeMounts"), get(container, "volumeMounts"), &p->volumes,
			 get_bool(get(container, "securityContext"), "privileged"));
	pod_check_devices(c, AT(at, "volumeDevices"), get(container, "volumeDevices"), &p->volumes);
	check_one_of(c, AT(at, "imagePullPolicy"), get(container, "imagePullPolicy"), pulls);
	check_resources(c, AT(at, "resources"), get(container, "resources"));
	pod_check_security(c, AT(at, "securityContext"), get(container, "securityContext"));
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
		if (pod_has_before(list, i, "name"))
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
		    (get_text(container, "name").len && pod_has_before(list, i, "name")))
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
		    pod_has_before(list, i, "name"))
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

/* A domain in which underscores may be; "." and a dot at the end are fine. */
static void check_search(struct change *c, const struct at *at, struct span s)
{
	struct span plain = arena_copy(c->arena, span_ends(s, SPAN(".")) ? span_first(s, s.len - 1) : s, c->err);

	if (span_equal(s, SPAN(".")))
		return;
	for (size_t i = 0; i + 1 < plain.len; i++) {
		if (plain.ptr[i] == '_')
			((char *)(uintptr_t)plain.ptr)[i] = 'a';
	}
	if (name_check_subdomain(plain))
		fault_invalid_text(
		    c, at, s,
		    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '_', "
		    "'-' or '.', and must start and end with an alphanumeric character (e.g. "
		    "'example.com', regex used for validation is "
		    "'[a-z0-9_]([-_a-z0-9]*[a-z0-9_])?(\\.[a-z0-9_]([-_a-z0-9]*[a-z0-9_])?)*')");
}

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
	for (uint32_t i = 0; i < count_of(get(config, "options")); i++) {
		if (get_text(value_item(get(config, "options"), i), "name").len == 0)
			fault_required(c, AT_INDEX(AT(AT(at, "dnsConfig"), "options"), i), "must not be empty");
	}
	for (uint32_t i = 0; i < count_of(get(config, "searches")); i++)
		check_search(c, AT_INDEX(AT(AT(at, "dnsConfig"), "searches"), i),
			     text_of(value_item(get(config, "searches"), i)));
}

static void check_host_network(struct change *c, const struct at *at, const struct value *spec)
{
	const struct value *containers = get(spec, "containers");

	if (get_bool(spec, "shareProcessNamespace") && get_bool(spec, "hostPID"))
		fault_invalid(c, AT(AT(at, "securityContext"), "shareProcessNamespace"),
			      get(spec, "shareProcessNamespace"),
			      "ShareProcessNamespace and HostPID cannot both be enabled");
	if (get(spec, "hostUsers") && !get_bool(spec, "hostUsers") && get_bool(spec, "hostNetwork"))
		fault_forbidden(c, AT(at, "hostNetwork"), "when `pod.Spec.HostUsers` is false");
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
		if (pod_has_before(list, i, "name"))
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
	pod_check_pod_security(c, AT(at, "securityContext"), get(spec, "securityContext"));
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
