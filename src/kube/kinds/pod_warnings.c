/* SPDX-License-Identifier: Apache-2.0 */
/* pod_warnings - what is allowed in a pod and most likely not meant: told in Warning headers when it is written. */
#include "kube/kinds/pod.h"

#include "kube/kinds/kinds.h"

static void tell(struct change *c, const struct at *at, const char *words)
{
	struct span path = at_print(c, at);

	change_warn(c, SPAN_FMT ": %s", SPAN_ARG(path), words);
}

/* ---- names of labels that were others once ---- */

static const struct {
	const char *old, *now, *since;
} renamed[] = {
	{ "beta.kubernetes.io/arch", "kubernetes.io/arch", "v1.14" },
	{ "beta.kubernetes.io/os", "kubernetes.io/os", "v1.14" },
	{ "failure-domain.beta.kubernetes.io/region", "topology.kubernetes.io/region", "v1.17" },
	{ "failure-domain.beta.kubernetes.io/zone", "topology.kubernetes.io/zone", "v1.17" },
	{ "beta.kubernetes.io/instance-type", "node.kubernetes.io/instance-type", "v1.17" },
};

static const char *renaming(struct change *c, struct span label)
{
	for (size_t i = 0; i < ARRAY_LEN(renamed); i++) {
		if (span_equal(label, span_of(renamed[i].old)))
			return detail_print(c, "deprecated since %s; use \"%s\" instead", renamed[i].since,
					    renamed[i].now);
	}
	return NULL;
}

/* ---- placement ---- */

static void warn_of_selector(struct change *c, const struct at *at, const struct value *spec)
{
	const struct value *selector = get(spec, "nodeSelector"), *spread = get(spec, "topologySpreadConstraints");

	for (uint32_t i = 0; i < count_of(selector); i++) {
		struct span key = selector->object.members[i].key;
		const char *words = renaming(c, key);

		if (words)
			tell(c, AT_KEY(AT(at, "nodeSelector"), key), words);
	}
	for (uint32_t i = 0; i < count_of(spread); i++) {
		const struct value *one = value_item(spread, i);
		const struct at *here = AT_INDEX(AT(at, "topologySpreadConstraints"), i);
		struct span key = get_text(one, "topologyKey");
		const char *words = renaming(c, key);

		if (words)
			tell(c, AT(here, "topologyKey"), detail_print(c, SPAN_FMT " is %s", SPAN_ARG(key), words));
		if (!get(one, "labelSelector"))
			tell(c, AT(here, "labelSelector"), "a null labelSelector results in matching no pod");
	}
}

static void warn_of_terms(struct change *c, const struct at *at, const struct value *affinity)
{
	const struct value *must = get(affinity, "requiredDuringSchedulingIgnoredDuringExecution"),
			   *may = get(affinity, "preferredDuringSchedulingIgnoredDuringExecution");

	for (uint32_t i = 0; i < count_of(must); i++) {
		if (!get(value_item(must, i), "labelSelector"))
			tell(c,
			     AT(AT_INDEX(AT(at, "requiredDuringSchedulingIgnoredDuringExecution"), i), "labelSelector"),
			     "a null labelSelector results in matching no pod");
	}
	for (uint32_t i = 0; i < count_of(may); i++) {
		if (!get(get(value_item(may, i), "podAffinityTerm"), "labelSelector"))
			tell(c,
			     AT(AT(AT_INDEX(AT(at, "preferredDuringSchedulingIgnoredDuringExecution"), i),
				   "podAffinityTerm"),
				"labelSelector"),
			     "a null labelSelector results in matching no pod");
	}
}

/* ---- volumes ---- */

static void warn_of_volumes(struct change *c, const struct at *at, const struct value *list)
{
	static const struct {
		const char *member, *words;
	} old[] = {
		{ "photonPersistentDisk", "deprecated in v1.11, non-functional in v1.16+" },
		{ "gitRepo", "deprecated in v1.11, and disabled by default in v1.33+" },
		{ "scaleIO", "deprecated in v1.16, non-functional in v1.22+" },
		{ "flocker", "deprecated in v1.22, non-functional in v1.25+" },
		{ "storageos", "deprecated in v1.22, non-functional in v1.25+" },
		{ "quobyte", "deprecated in v1.22, non-functional in v1.25+" },
		{ "glusterfs", "deprecated in v1.25, non-functional in v1.26+" },
		{ "cephfs", "deprecated in v1.28, non-functional in v1.31+" },
		{ "rbd", "deprecated in v1.28, non-functional in v1.31+" },
	};

	for (uint32_t i = 0; i < count_of(list); i++) {
		for (size_t k = 0; k < ARRAY_LEN(old); k++) {
			if (get(value_item(list, i), old[k].member))
				tell(c, AT(AT_INDEX(at, i), old[k].member), old[k].words);
		}
	}
}

/* ---- lists with the same twice ---- */

static bool is_repeated(const struct value *list, uint32_t index, const char *member)
{
	for (uint32_t i = 0; i < index; i++) {
		if (is_same(get(value_item(list, i), member), get(value_item(list, index), member)))
			return true;
	}
	return false;
}

static void warn_of_repeats(struct change *c, const struct at *at, const struct value *spec)
{
	const struct value *aliases = get(spec, "hostAliases"), *secrets = get(spec, "imagePullSecrets");

	for (uint32_t i = 0; i < count_of(aliases); i++) {
		struct span ip = get_text(value_item(aliases, i), "ip");

		if (is_repeated(aliases, i, "ip"))
			tell(c, AT(AT_INDEX(AT(at, "hostAliases"), i), "ip"),
			     detail_print(c, "duplicate ip \"" SPAN_FMT "\"", SPAN_ARG(ip)));
	}
	for (uint32_t i = 0; i < count_of(secrets); i++) {
		struct span name = get_text(value_item(secrets, i), "name");

		if (is_repeated(secrets, i, "name"))
			tell(c, AT(AT_INDEX(AT(at, "imagePullSecrets"), i), "name"),
			     detail_print(c, "duplicate name \"" SPAN_FMT "\"", SPAN_ARG(name)));
	}
	for (uint32_t i = 0; i < count_of(secrets); i++) {
		if (get_text(value_item(secrets, i), "name").len == 0)
			tell(c, AT(AT_INDEX(AT(at, "imagePullSecrets"), i), "name"), "invalid empty name \"\"");
	}
}

/* ---- containers ---- */

static void warn_of_fractions(struct change *c, const struct at *at, const struct value *resources)
{
	static const char *const names[] = { "memory", "ephemeral-storage" }, *const lists[] = { "limits", "requests" };

	for (size_t n = 0; n < ARRAY_LEN(names); n++) {
		for (size_t i = 0; i < ARRAY_LEN(lists); i++) {
			struct span amount = get_text(get(resources, lists[i]), names[n]);
			int64_t milli;

			if (quantity_parse(amount, &milli) && milli % 1000)
				tell(c, AT_KEY(AT(at, lists[i]), span_of(names[n])),
				     detail_print(
					 c, "fractional byte value \"" SPAN_FMT "\" is invalid, must be an integer",
					 SPAN_ARG(amount)));
		}
	}
}

/* A variable that is set again hides the first, unless it is made of it. */
static void warn_of_env(struct change *c, const struct at *at, const struct value *list)
{
	for (uint32_t i = 0; i < count_of(list); i++) {
		const struct value *env = value_item(list, i);
		struct span name = get_text(env, "name"), value = get_text(env, "value");
		const char *ref;

		if (!is_repeated(list, i, "name"))
			continue;
		ref = detail_print(c, "$(" SPAN_FMT ")", SPAN_ARG(name));
		if (get(env, "valueFrom") || span_equal(value, span_of(ref)) || !value.len ||
		    !memmem(value.ptr, value.len, ref, strlen(ref)))
			tell(c, AT_INDEX(at, i),
			     detail_print(c,
					  "hides previous definition of \"" SPAN_FMT
					  "\", which may be dropped when using apply",
					  SPAN_ARG(name)));
	}
}

/* The port before this one, of any container, of which `is_like` holds; its place in words. */
static bool port_before(struct change *c, const struct at *at, const struct value *containers, uint32_t container,
			uint32_t port, bool (*is_like)(const struct value *a, const struct value *b), struct span *ret,
			const struct value **ret_port)
{
	const struct value *mine = value_item(get(value_item(containers, container), "ports"), port);

	for (uint32_t i = 0; i <= container; i++) {
		const struct value *ports = get(value_item(containers, i), "ports");

		for (uint32_t k = 0; k < count_of(ports) && !(i == container && k == port); k++) {
			if (!is_like(value_item(ports, k), mine))
				continue;
			*ret = at_print(c, AT_INDEX(AT(AT_INDEX(at, i), "ports"), k));
			*ret_port = value_item(ports, k);
			return true;
		}
	}
	return false;
}

static bool is_same_port(const struct value *a, const struct value *b)
{
	return get_int(a, "containerPort", 0) == get_int(b, "containerPort", 0) &&
	       is_same(get(a, "protocol"), get(b, "protocol"));
}

static bool is_same_name(const struct value *a, const struct value *b)
{
	return get_text(a, "name").len && is_same(get(a, "name"), get(b, "name"));
}

static void warn_of_ports(struct change *c, const struct at *at, const struct value *containers, uint32_t container)
{
	const struct value *ports = get(value_item(containers, container), "ports"), *other;

	for (uint32_t i = 0; i < count_of(ports); i++) {
		const struct value *port = value_item(ports, i);
		const struct at *here = AT_INDEX(AT(AT_INDEX(at, container), "ports"), i);
		int64_t mine = get_int(port, "hostPort", 0), its;
		struct span name = get_text(port, "name"), where;

		if (port_before(c, at, containers, container, i, is_same_port, &where, &other)) {
			its = get_int(other, "hostPort", 0);
			if (mine == its && is_same(get(port, "hostIP"), get(other, "hostIP")))
				tell(c, here,
				     detail_print(c, "duplicate port definition with " SPAN_FMT, SPAN_ARG(where)));
			else if (!mine || !its)
				tell(c, here,
				     detail_print(c, "overlapping port definition with " SPAN_FMT, SPAN_ARG(where)));
			else if (mine == its && (!get(port, "hostIP") || !get(other, "hostIP")))
				tell(c, here,
				     detail_print(c, "dangerously ambiguous port definition with " SPAN_FMT,
						  SPAN_ARG(where)));
		}
		if (port_before(c, at, containers, container, i, is_same_name, &where, &other))
			tell(c, here,
			     detail_print(c,
					  "duplicate port name \"" SPAN_FMT "\" with " SPAN_FMT
					  ", services and probes that select ports by name will use " SPAN_FMT,
					  SPAN_ARG(name), SPAN_ARG(where), SPAN_ARG(where)));
	}
}

static void warn_of_containers(struct change *c, const struct at *at, const struct value *list)
{
	for (uint32_t i = 0; i < count_of(list); i++) {
		const struct value *container = value_item(list, i);

		warn_of_fractions(c, AT(AT_INDEX(at, i), "resources"), get(container, "resources"));
		warn_of_env(c, AT(AT_INDEX(at, i), "env"), get(container, "env"));
	}
	for (uint32_t i = 0; i < count_of(list); i++)
		warn_of_ports(c, at, list, i);
}

/* ---- the whole ---- */

void pod_spec_warn(struct change *c, const struct at *at, const struct value *spec)
{
	const struct value *affinity = get(spec, "affinity");

	warn_of_selector(c, at, spec);
	warn_of_volumes(c, AT(at, "volumes"), get(spec, "volumes"));
	warn_of_repeats(c, at, spec);
	warn_of_containers(c, AT(at, "initContainers"), get(spec, "initContainers"));
	warn_of_containers(c, AT(at, "containers"), get(spec, "containers"));
	if (get_int(spec, "terminationGracePeriodSeconds", 0) < 0)
		tell(c, AT(at, "terminationGracePeriodSeconds"),
		     "must be >= 0; negative values are invalid and will be treated as 1");
	warn_of_terms(c, AT(AT(at, "affinity"), "podAffinity"), get(affinity, "podAffinity"));
	warn_of_terms(c, AT(AT(at, "affinity"), "podAntiAffinity"), get(affinity, "podAntiAffinity"));
}

void pod_template_warn(struct change *c, const char *pod_names)
{
	const struct value *spec = get(c->object, "spec"), *old = get(c->old, "spec");
	const struct at *at = AT(AT(AT(NULL, "spec"), "template"), "spec");

	if (c->cause_count || (old && is_same(old, spec)))
		return;
	if (!c->old && pod_names)
		pod_name_warn(c, pod_names);
	pod_spec_warn(c, at, get(get(spec, "template"), "spec"));
}

#define LABEL_BYTES_MOST 63

void pod_name_warn(struct change *c, const char *words)
{
	struct span name = get_text(get(c->object, "metadata"), "name");
	bool is_long = name.len > LABEL_BYTES_MOST, has_dots = span_index(name, '.') < name.len;

	if (is_long || has_dots)
		change_warn(
		    c,
		    "metadata.name: this is used in %s, which can result in surprising behavior; a DNS label is "
		    "recommended: [%s%s%s]",
		    words, is_long ? "must be no more than 63 characters" : "", is_long && has_dots ? " " : "",
		    has_dots ? "must not contain dots" : "");
}
