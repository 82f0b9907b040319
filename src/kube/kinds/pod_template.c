/* SPDX-License-Identifier: Apache-2.0 */
/* pod_template - defaults of pod specs, for pods and for all that make them. */
#include "kube/kinds/kinds.h"

#define MODE_0644 420

static void http_get_defaults(struct change *c, struct value *http)
{
	default_text(c, http, "path", "/");
	default_text(c, http, "scheme", "HTTP");
}

static void probe_defaults(struct change *c, struct value *probe)
{
	if (!value_is(probe, VALUE_OBJECT))
		return;
	default_nonzero(c, probe, "timeoutSeconds", 1);
	default_nonzero(c, probe, "periodSeconds", 10);
	default_nonzero(c, probe, "successThreshold", 1);
	default_nonzero(c, probe, "failureThreshold", 3);
	http_get_defaults(c, get(probe, "httpGet"));
	if (value_is(get(probe, "grpc"), VALUE_OBJECT) && !get(get(probe, "grpc"), "service"))
		set_text(c, get(probe, "grpc"), "service", SPAN(""));
}

/* Of "registry:5000/a/b:tag@digest"; empty when there is a digest and no tag, or when it is no image name at all. */
static struct span image_tag(struct span image)
{
	size_t digest = span_index(image, '@'), slash = 0, colon;
	struct span name = span_first(image, digest), last;

	for (size_t i = 0; i < name.len; i++) {
		if (name.ptr[i] == '/')
			slash = i + 1;
	}
	last = span_skip(name, slash);
	colon = span_index(last, ':');
	if (colon == 0 || !last.ptr)
		return SPAN("");
	for (size_t i = 0; i < colon; i++) {
		char ch = last.ptr[i];

		if (!((ch >= 'a' && ch <= 'z') || (ch >= '0' && ch <= '9') || ch == '.' || ch == '_' || ch == '-'))
			return SPAN("");
	}
	if (colon < last.len)
		return span_skip(last, colon + 1);
	return digest < image.len ? SPAN("") : SPAN("latest");
}

static void ports_defaults(struct change *c, struct value *ports)
{
	for (uint32_t i = 0; i < count_of(ports); i++)
		default_text(c, value_item(ports, i), "protocol", "TCP");
}

static void env_defaults(struct change *c, struct value *env)
{
	for (uint32_t i = 0; i < count_of(env); i++) {
		struct value *from = get(value_item(env, i), "valueFrom");

		if (get(from, "fieldRef"))
			default_text(c, get(from, "fieldRef"), "apiVersion", "v1");
	}
}

static void container_defaults(struct change *c, struct value *container)
{
	struct value *lifecycle = get(container, "lifecycle");

	round_resources(c, get(get(container, "resources"), "limits"));
	round_resources(c, get(get(container, "resources"), "requests"));
	ports_defaults(c, get(container, "ports"));
	env_defaults(c, get(container, "env"));
	probe_defaults(c, get(container, "livenessProbe"));
	probe_defaults(c, get(container, "readinessProbe"));
	probe_defaults(c, get(container, "startupProbe"));
	http_get_defaults(c, get(get(lifecycle, "postStart"), "httpGet"));
	http_get_defaults(c, get(get(lifecycle, "preStop"), "httpGet"));
	default_text(c, container, "terminationMessagePath", "/dev/termination-log");
	default_text(c, container, "terminationMessagePolicy", "File");
	if (value_is_empty(get(container, "imagePullPolicy"))) {
		bool is_latest = span_equal(image_tag(get_text(container, "image")), SPAN("latest"));

		set_text(c, container, "imagePullPolicy", is_latest ? SPAN("Always") : SPAN("IfNotPresent"));
	}
}

static void containers_defaults(struct change *c, struct value *list)
{
	for (uint32_t i = 0; i < count_of(list); i++)
		container_defaults(c, value_item(list, i));
}

/* ---- volumes ---- */

static void downward_defaults(struct change *c, struct value *items)
{
	for (uint32_t i = 0; i < count_of(items); i++) {
		struct value *item = value_item(items, i);

		if (get(item, "fieldRef"))
			default_text(c, get(item, "fieldRef"), "apiVersion", "v1");
	}
}

static void projected_defaults(struct change *c, struct value *projected)
{
	struct value *sources = get(projected, "sources");

	default_int(c, projected, "defaultMode", MODE_0644);
	for (uint32_t i = 0; i < count_of(sources); i++) {
		struct value *source = value_item(sources, i);

		downward_defaults(c, get(get(source, "downwardAPI"), "items"));
		if (get(source, "serviceAccountToken"))
			default_int(c, get(source, "serviceAccountToken"), "expirationSeconds", 3600);
	}
}

/* Volumes of storage systems: members with a default text. */
static const struct {
	const char *source, *member, *text;
} volume_texts[] = {
	{ "iscsi", "iscsiInterface", "default" },
	{ "rbd", "pool", "rbd" },
	{ "rbd", "user", "admin" },
	{ "rbd", "keyring", "/etc/ceph/keyring" },
	{ "azureDisk", "cachingMode", "ReadWrite" },
	{ "azureDisk", "kind", "Shared" },
	{ "azureDisk", "fsType", "ext4" },
	{ "scaleIO", "storageMode", "ThinProvisioned" },
	{ "scaleIO", "fsType", "xfs" },
};

static void volume_defaults(struct change *c, struct value *volume)
{
	struct value *claim = get(get(volume, "ephemeral"), "volumeClaimTemplate");

	if (count_of(volume) - (get(volume, "name") ? 1 : 0) == 0)
		set_value(c, volume, "emptyDir", value_object());
	if (value_is(get(volume, "hostPath"), VALUE_OBJECT) && !get(get(volume, "hostPath"), "type"))
		set_text(c, get(volume, "hostPath"), "type", SPAN(""));
	default_int(c, get(volume, "secret"), "defaultMode", MODE_0644);
	default_int(c, get(volume, "configMap"), "defaultMode", MODE_0644);
	default_int(c, get(volume, "downwardAPI"), "defaultMode", MODE_0644);
	downward_defaults(c, get(get(volume, "downwardAPI"), "items"));
	if (get(volume, "projected"))
		projected_defaults(c, get(volume, "projected"));
	for (size_t i = 0; i < ARRAY_LEN(volume_texts); i++)
		default_text(c, get(volume, volume_texts[i].source), volume_texts[i].member, volume_texts[i].text);
	default_bool(c, get(volume, "azureDisk"), "readOnly", false);
	if (claim)
		claim_spec_defaults(c, ensure(c, claim, "spec"));
	if (get(volume, "image") && value_is_empty(get(get(volume, "image"), "pullPolicy"))) {
		bool is_latest = span_equal(image_tag(get_text(get(volume, "image"), "reference")), SPAN("latest"));

		set_text(c, get(volume, "image"), "pullPolicy", is_latest ? SPAN("Always") : SPAN("IfNotPresent"));
	}
}

void pod_volumes_defaults(struct change *c, struct value *volumes)
{
	for (uint32_t i = 0; i < count_of(volumes); i++) {
		volume_defaults(c, value_item(volumes, i));
	}
}

void claim_spec_defaults(struct change *c, struct value *spec)
{
	default_text(c, spec, "volumeMode", "Filesystem");
}

/* ---- the whole ---- */

/* serviceAccount is an old name of serviceAccountName: both are told. */
static void account_defaults(struct change *c, struct value *spec)
{
	struct span name = get_text(spec, "serviceAccountName"), old = get_text(spec, "serviceAccount");

	if (name.len)
		set_text(c, spec, "serviceAccount", name);
	else if (old.len)
		set_text(c, spec, "serviceAccountName", old);
}

void pod_spec_defaults(struct change *c, struct value *spec)
{
	if (!value_is(spec, VALUE_OBJECT))
		return;
	pod_volumes_defaults(c, get(spec, "volumes"));
	containers_defaults(c, get(spec, "initContainers"));
	containers_defaults(c, get(spec, "containers"));
	containers_defaults(c, get(spec, "ephemeralContainers"));
	default_text(c, spec, "restartPolicy", "Always");
	default_int(c, spec, "terminationGracePeriodSeconds", 30);
	default_text(c, spec, "dnsPolicy", "ClusterFirst");
	(void)ensure(c, spec, "securityContext");
	default_text(c, spec, "schedulerName", "default-scheduler");
	account_defaults(c, spec);
}

void pod_template_defaults(struct change *c, struct value *template)
{
	pod_spec_defaults(c, ensure(c, template, "spec"));
}
