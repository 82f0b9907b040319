/* SPDX-License-Identifier: Apache-2.0 */
/* volumes - PersistentVolume and PersistentVolumeClaim of core/v1, StorageClass of storage.k8s.io/v1: as far as claims need. */
#include "kube/kinds/kinds.h"

#include "base/clock.h"
#include "kube/kinds/protection.h"
#include "kube/kube.h"

static const char *const access_modes[] = { "ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod",
					    NULL };
static const char *const volume_modes[] = { "Block", "Filesystem", NULL };

/* "RWO,ROX" in a fixed order. */
static struct value cell_modes(const struct value *modes, struct arena *arena)
{
	static const struct {
		const char *mode, *text;
	} rows[] = { { "ReadWriteOnce", "RWO" },
		     { "ReadOnlyMany", "ROX" },
		     { "ReadWriteMany", "RWX" },
		     { "ReadWriteOncePod", "RWOP" } };
	struct text t = { .arena = arena };

	for (size_t k = 0; k < ARRAY_LEN(rows); k++) {
		for (uint32_t i = 0; i < count_of(modes); i++) {
			if (!is_text(value_item(modes, i), rows[k].mode))
				continue;
			text_add(&t, t.len ? SPAN(",") : SPAN(""));
			text_add(&t, span_of(rows[k].text));
			break;
		}
	}
	return cell_text(text_span(&t));
}

static void check_modes(struct change *c, const struct at *at, const struct value *modes)
{
	bool has_pod = false, has_other = false;

	for (uint32_t i = 0; i < count_of(modes); i++) {
		const struct value *mode = value_item(modes, i);

		check_one_of(c, at, mode, access_modes);
		has_pod = has_pod || is_text(mode, "ReadWriteOncePod");
		has_other = has_other || !is_text(mode, "ReadWriteOncePod");
	}
	if (has_pod && has_other)
		fault_forbidden(c, at, "may not use ReadWriteOncePod with other access modes");
}

/* ---- PersistentVolumeClaim ---- */

void check_claim_spec(struct change *c, const struct at *at, const struct value *spec)
{
	const struct value *storage = get(get(get(spec, "resources"), "requests"), "storage"),
			   *class = get(spec, "storageClassName");
	const struct at *here = AT_KEY(AT(at, "resources"), SPAN("storage"));
	int64_t milli;

	if (!count_of(get(spec, "accessModes")))
		fault_required(c, AT(at, "accessModes"), "at least 1 access mode is required");
	check_selector(c, AT(at, "selector"), get(spec, "selector"));
	check_modes(c, AT(at, "accessModes"), get(spec, "accessModes"));
	if (!storage)
		fault_required(c, here, "");
	else if (quantity_parse(text_of(storage), &milli) && milli <= 0)
		fault_invalid_text(c, here, text_of(storage), "must be greater than zero");
	if (text_of(class).len)
		check_name(c, AT(at, "storageClassName"), class, name_check_subdomain);
	check_one_of_or_absent(c, AT(at, "volumeMode"), get(spec, "volumeMode"), volume_modes);
}

static void claim_defaults(struct change *c)
{
	shape(c);
	claim_spec_defaults(c, ensure(c, c->object, "spec"));
}

static void claim_prepare(struct change *c)
{
	prepare_status(c);
	default_text(c, get(c->object, "status"), "phase", "Pending");
}

static void check_claim_update(struct change *c, const struct at *at, const struct value *spec)
{
	const struct value *old = get(c->old, "spec"), *size = get(get(get(spec, "resources"), "requests"), "storage");
	const struct value *had = get(get(get(old, "resources"), "requests"), "storage");
	struct value rest = copy_of(c, spec);
	int64_t milli = 0;
	int order;

	if (get_text(old, "volumeName").len == 0)
		carry(c, &rest, old, "volumeName");
	if (!get(old, "storageClassName"))
		carry(c, &rest, old, "storageClassName"); /* a default that came later */
	if (is_text(get(get(c->object, "status"), "phase"), "Bound"))
		carry(c, get(get(&rest, "resources"), "requests"), get(get(old, "resources"), "requests"), "storage");
	if (!is_same(&rest, old))
		fault_forbidden(
		    c, at,
		    "spec is immutable after creation except resources.requests and volumeAttributesClassName for "
		    "bound claims");
	/* A claim may shrink again while nothing has that size yet. */
	if (quantity_compare(text_of(size), text_of(had), &order) && order < 0 &&
	    quantity_parse(value_find_string(c->old, "status.capacity.storage"), &milli) && milli > 0 &&
	    quantity_compare(text_of(size), value_find_string(c->old, "status.capacity.storage"), &order) && order <= 0)
		fault_forbidden(c, AT(AT(AT(at, "resources"), "requests"), "storage"),
				"field can not be less than status.capacity");
	check_same(c, AT(NULL, "volumeMode"), get(old, "volumeMode"), get(spec, "volumeMode"));
}

static void claim_validate(struct change *c)
{
	const struct at *at = AT(NULL, "spec");

	check_metadata(c, name_check_subdomain);
	if (change_is_status(c))
		return;
	check_claim_spec(c, at, get(c->object, "spec"));
	if (c->old)
		check_claim_update(c, at, get(c->object, "spec"));
}

#define CLASS_ANNOTATION "volume.beta.kubernetes.io/storage-class"

static struct value cell_class(const struct value *o)
{
	const struct value *annotations = get(get(o, "metadata"), "annotations");

	if (get(annotations, CLASS_ANNOTATION))
		return cell_text(get_text(annotations, CLASS_ANNOTATION));
	return cell_text(get_text(get(o, "spec"), "storageClassName"));
}

static void claim_row(const struct value *o, int64_t now_ns, struct value *cells, struct arena *arena)
{
	const struct value *spec = get(o, "spec"), *status = get(o, "status");
	bool is_bound = get_text(spec, "volumeName").len > 0;

	cells[0] = cell_name(o);
	cells[1] =
	    cell_text(value_find(o, "metadata.deletionTimestamp") ? SPAN("Terminating") : get_text(status, "phase"));
	cells[2] = cell_text(get_text(spec, "volumeName"));
	cells[3] = is_bound ? cell_or(get_text(get(status, "capacity"), "storage"), "0") : cell_text(SPAN(""));
	cells[4] = is_bound ? cell_modes(get(status, "accessModes"), arena) : cell_text(SPAN(""));
	cells[5] = cell_class(o);
	cells[6] = cell_or(get_text(spec, "volumeAttributesClassName"), "<unset>");
	cells[7] = cell_age(o, now_ns, arena);
	cells[8] = cell_or(get_text(spec, "volumeMode"), "<unset>");
}

static const struct column claim_columns[] = {
	COLUMN_NAME,
	COLUMN("Status", "string", "Pending, Bound, Lost or Terminating."),
	COLUMN("Volume", "string", "The volume it has."),
	COLUMN("Capacity", "string", "How large that is."),
	COLUMN("Access Modes", "string", "How that may be mounted."),
	COLUMN("StorageClass", "string", "What kind of storage it wants."),
	COLUMN("VolumeAttributesClass", "string", "Settings of the storage."),
	COLUMN_AGE,
	WIDE("VolumeMode", "string", "A file system, or a bare device."),
	{ 0 },
};
static const char *const claim_short[] = { "pvc", NULL }, *const volume_short[] = { "pv", NULL },
			 *const class_short[] = { "sc", NULL };

const struct kind kind_persistent_volume_claim = {
	.group = "",
	.version = "v1",
	.plural = "persistentvolumeclaims",
	.singular = "persistentvolumeclaim",
	.kind = "PersistentVolumeClaim",
	.short_names = claim_short,
	.is_namespaced = true,
	.verbs = KUBE_ALL_VERBS,
	.subresources = SUB_STATUS,
	.type_name = "io.k8s.api.core.v1.PersistentVolumeClaim",
	.columns = claim_columns,
	.defaults = claim_defaults,
	.prepare = claim_prepare,
	.validate = claim_validate,
	.changed = claim_changed,
	.row = claim_row,
};

/* ---- PersistentVolume ---- */

static void volume_defaults(struct change *c)
{
	struct value *spec, *path;

	shape(c);
	spec = ensure(c, c->object, "spec");
	default_text(c, spec, "persistentVolumeReclaimPolicy", "Retain");
	default_text(c, spec, "volumeMode", "Filesystem");
	path = get(spec, "hostPath");
	if (path && !get(path, "type"))
		set_text(c, path, "type", SPAN(""));
}

static void volume_prepare(struct change *c)
{
	struct span now = kube_now_text(c->kube ? kube_wall_ns(c->kube) : clock_wall_ns(), c->arena);
	struct value *status;

	prepare_status(c);
	status = get(c->object, "status");
	default_text(c, status, "phase", "Pending");
	if (!c->old || !is_same(get(status, "phase"), get(get(c->old, "status"), "phase")))
		set_text(c, status, "lastPhaseTransitionTime", now);
}

/* In the order in which they are looked at: the first one counts. */
static const char *const sources[] = { "hostPath",
				       "gcePersistentDisk",
				       "awsElasticBlockStore",
				       "glusterfs",
				       "flocker",
				       "nfs",
				       "rbd",
				       "quobyte",
				       "cephfs",
				       "iscsi",
				       "cinder",
				       "fc",
				       "flexVolume",
				       "azureFile",
				       "vsphereVolume",
				       "photonPersistentDisk",
				       "portworxVolume",
				       "azureDisk",
				       "scaleIO",
				       "local",
				       "storageos",
				       "csi" };

static void check_back_steps(struct change *c, const struct at *at, struct span path)
{
	struct span rest = path;

	while (rest.len) {
		if (span_equal(span_cut(&rest, '/'), SPAN(".."))) {
			fault_invalid_text(c, at, path, "must not contain '..'");
			return;
		}
	}
}

static void check_path_on_host(struct change *c, const struct at *at, const struct value *source)
{
	static const char *const types[] = { "BlockDevice", "CharDevice",   "Directory", "DirectoryOrCreate",
					     "File",        "FileOrCreate", "Socket",    NULL };

	if (get_text(source, "path").len == 0) {
		fault_required(c, AT(at, "path"), "");
		return;
	}
	check_back_steps(c, AT(at, "path"), get_text(source, "path"));
	if (get_text(source, "type").len)
		check_one_of(c, AT(at, "type"), get(source, "type"), types);
}

static void check_nfs(struct change *c, const struct at *at, const struct value *source)
{
	struct span path = get_text(source, "path");

	if (get_text(source, "server").len == 0)
		fault_required(c, AT(at, "server"), "");
	if (path.len == 0)
		fault_required(c, AT(at, "path"), "");
	else if (path.ptr[0] != '/')
		fault_invalid_text(c, AT(at, "path"), path, "must be an absolute path");
}

static void check_local(struct change *c, const struct at *at, const struct value *source)
{
	if (get_text(source, "path").len == 0)
		fault_required(c, AT(at, "path"), "");
	else
		check_back_steps(c, AT(at, "path"), get_text(source, "path"));
}

static struct span in_small(struct change *c, struct span s)
{
	struct span copy = arena_copy(c->arena, s, c->err);

	for (size_t i = 0; i < copy.len; i++) {
		if (copy.ptr[i] >= 'A' && copy.ptr[i] <= 'Z')
			((char *)(uintptr_t)copy.ptr)[i] = (char)(copy.ptr[i] + 32);
	}
	return copy;
}

static void check_csi(struct change *c, const struct at *at, const struct value *source)
{
	struct value driver = value_string(in_small(c, get_text(source, "driver")));

	if (driver.string.len == 0)
		fault_required(c, AT(at, "driver"), "");
	check_name(c, AT(at, "driver"), &driver, name_check_subdomain);
	if (get_text(source, "volumeHandle").len == 0)
		fault_required(c, AT(at, "volumeHandle"), "");
}

static void check_sources(struct change *c, const struct at *at, const struct value *spec)
{
	static const struct {
		const char *member;
		void (*check)(struct change *c, const struct at *at, const struct value *source);
	} checks[] = {
		{ "hostPath", check_path_on_host }, { "nfs", check_nfs }, { "local", check_local }, { "csi", check_csi }
	};
	unsigned count = 0;

	for (size_t i = 0; i < ARRAY_LEN(sources); i++) {
		if (!get(spec, sources[i]))
			continue;
		if (count++) {
			fault_forbidden(c, AT(at, sources[i]), "may not specify more than 1 volume type");
			continue;
		}
		for (size_t k = 0; k < ARRAY_LEN(checks); k++) {
			if (strcmp(checks[k].member, sources[i]) == 0)
				checks[k].check(c, AT(at, sources[i]), get(spec, sources[i]));
		}
	}
	if (get(spec, "local") && !get(get(spec, "nodeAffinity"), "required"))
		fault_required(c, AT(at, "nodeAffinity"), "Local volume requires node affinity");
	if (!count)
		fault_required(c, at, "must specify a volume type");
	if (is_text(get(get(spec, "hostPath"), "path"), "/") &&
	    is_text(get(spec, "persistentVolumeReclaimPolicy"), "Recycle"))
		fault_forbidden(c, AT(at, "persistentVolumeReclaimPolicy"),
				"may not be 'recycle' for a hostPath mount of '/'");
}

static bool has_source_changed(const struct value *old, const struct value *now)
{
	for (size_t i = 0; i < ARRAY_LEN(sources); i++) {
		if (!is_same(get(old, sources[i]), get(now, sources[i])))
			return true;
	}
	return false;
}

static void check_capacity(struct change *c, const struct at *at, const struct value *capacity)
{
	static const char *const names[] = { "storage", NULL };

	if (!count_of(capacity))
		fault_required(c, at, "");
	if (!get(capacity, "storage") || count_of(capacity) > 1)
		fault_not_supported_printed(c, at,
					    !capacity             ? SPAN("core.ResourceList(nil)")
					    : !count_of(capacity) ? SPAN("core.ResourceList{}")
								  : path_print(c, "core.ResourceList{...}"),
					    names);
	for (uint32_t i = 0; i < count_of(capacity); i++) {
		const struct value_member *m = &capacity->object.members[i];
		int64_t milli;

		if (!quantity_parse(text_of(&m->value), &milli))
			continue;
		if (milli < 0)
			fault_invalid_text(c, AT_KEY(at, m->key), text_of(&m->value),
					   "must be a valid resource quantity");
		if (milli <= 0)
			fault_invalid_text(c, AT_KEY(at, m->key), text_of(&m->value), "must be greater than zero");
	}
}

static void volume_validate(struct change *c)
{
	static const char *const policies[] = { "Delete", "Recycle", "Retain", NULL };
	const struct value *spec = get(c->object, "spec"), *capacity = get(spec, "capacity"), *required;
	const struct at *at = AT(NULL, "spec");

	check_metadata(c, name_check_subdomain);
	if (change_is_status(c))
		return;
	if (!count_of(get(spec, "accessModes")))
		fault_required(c, AT(at, "accessModes"), "");
	check_modes(c, AT(at, "accessModes"), get(spec, "accessModes"));
	check_capacity(c, AT(at, "capacity"), capacity);
	check_one_of_or_absent(c, AT(at, "persistentVolumeReclaimPolicy"), get(spec, "persistentVolumeReclaimPolicy"),
			       policies);
	required = get(get(spec, "nodeAffinity"), "required");
	if (required)
		check_node_selector(c, AT(AT(at, "nodeAffinity"), "required"), required);
	check_sources(c, at, spec);
	if (get_text(spec, "storageClassName").len)
		check_name(c, AT(at, "storageClassName"), get(spec, "storageClassName"), name_check_subdomain);
	check_one_of_or_absent(c, AT(at, "volumeMode"), get(spec, "volumeMode"), volume_modes);
	if (!c->old)
		return;
	if (has_source_changed(get(c->old, "spec"), spec))
		fault_forbidden(c, AT(at, "persistentvolumesource"),
				"spec.persistentvolumesource is immutable after creation");
	check_same(c, AT(NULL, "volumeMode"), get(get(c->old, "spec"), "volumeMode"), get(spec, "volumeMode"));
}

static void volume_row(const struct value *o, int64_t now_ns, struct value *cells, struct arena *arena)
{
	const struct value *spec = get(o, "spec"), *claim = get(spec, "claimRef");
	struct text t = { .arena = arena };

	if (claim) {
		text_add(&t, get_text(claim, "namespace"));
		text_add(&t, SPAN("/"));
		text_add(&t, get_text(claim, "name"));
	}
	cells[0] = cell_name(o);
	cells[1] = cell_or(get_text(get(spec, "capacity"), "storage"), "0");
	cells[2] = cell_modes(get(spec, "accessModes"), arena);
	cells[3] = cell_text(get_text(spec, "persistentVolumeReclaimPolicy"));
	cells[4] = cell_text(value_find(o, "metadata.deletionTimestamp") ? SPAN("Terminating")
									 : value_find_string(o, "status.phase"));
	cells[5] = cell_text(text_span(&t));
	cells[6] = cell_class(o);
	cells[7] = cell_or(get_text(spec, "volumeAttributesClassName"), "<unset>");
	cells[8] = cell_text(value_find_string(o, "status.reason"));
	cells[9] = cell_age(o, now_ns, arena);
	cells[10] = cell_or(get_text(spec, "volumeMode"), "<unset>");
}

static const struct column volume_columns[] = {
	COLUMN_NAME,
	COLUMN("Capacity", "string", "How large it is."),
	COLUMN("Access Modes", "string", "How it may be mounted."),
	COLUMN("Reclaim Policy", "string", "What happens to it when its claim goes."),
	COLUMN("Status", "string", "Available, Bound, Released, Failed or Terminating."),
	COLUMN("Claim", "string", "The claim that has it."),
	COLUMN("StorageClass", "string", "What kind of storage it is."),
	COLUMN("VolumeAttributesClass", "string", "Settings of the storage."),
	COLUMN("Reason", "string", "Why it failed."),
	COLUMN_AGE,
	WIDE("VolumeMode", "string", "A file system, or a bare device."),
	{ 0 },
};

const struct kind kind_persistent_volume = {
	.group = "",
	.version = "v1",
	.plural = "persistentvolumes",
	.singular = "persistentvolume",
	.kind = "PersistentVolume",
	.short_names = volume_short,
	.verbs = KUBE_ALL_VERBS,
	.subresources = SUB_STATUS,
	.type_name = "io.k8s.api.core.v1.PersistentVolume",
	.columns = volume_columns,
	.defaults = volume_defaults,
	.prepare = volume_prepare,
	.validate = volume_validate,
	.changed = volume_changed,
	.row = volume_row,
};

/* ---- StorageClass ---- */

static void class_defaults(struct change *c)
{
	shape(c);
	default_text(c, c->object, "reclaimPolicy", "Delete");
	default_text(c, c->object, "volumeBindingMode", "Immediate");
}

#define PARAMETERS_MOST      512
#define PARAMETER_BYTES_MOST KIB(256)

static void check_parameters(struct change *c, const struct value *parameters)
{
	const struct at *at = AT(NULL, "parameters");
	size_t bytes = 0;

	if (count_of(parameters) > PARAMETERS_MOST) {
		fault_too_long(c, at, PARAMETERS_MOST);
		return;
	}
	for (uint32_t i = 0; i < count_of(parameters); i++) {
		const struct value_member *m = &parameters->object.members[i];

		if (m->key.len == 0)
			fault_invalid_text(c, at, SPAN(""), "field can not be empty.");
		bytes += m->key.len + text_of(&m->value).len;
	}
	if (bytes > PARAMETER_BYTES_MOST)
		fault_too_long(c, at, PARAMETER_BYTES_MOST);
}

static void check_topologies(struct change *c, const struct value *terms)
{
	for (uint32_t i = 0; i < count_of(terms); i++) {
		const struct value *list = get(value_item(terms, i), "matchLabelExpressions");
		const struct at *at = AT(AT_INDEX(AT(NULL, "allowedTopologies"), i), "matchLabelExpressions");

		for (uint32_t k = 0; k < count_of(list); k++) {
			const struct value *one = value_item(list, k);
			const struct at *here = AT_INDEX(at, k);

			check_name(c, AT(here, "key"), get(one, "key"), name_check_qualified);
			if (!count_of(get(one, "values")))
				fault_required(c, AT(here, "values"), "");
		}
	}
}

static void class_validate(struct change *c)
{
	static const char *const policies[] = { "Delete", "Retain", NULL }, *const modes[] = { "Immediate",
											       "WaitForFirstConsumer",
											       NULL };
	static const char *const fixed[] = { "parameters", "provisioner", "reclaimPolicy" };
	const struct value *provisioner = get(c->object, "provisioner");

	check_metadata(c, name_check_subdomain);
	for (size_t i = 0; c->old && i < ARRAY_LEN(fixed); i++) {
		if (!is_same(get(c->old, fixed[i]), get(c->object, fixed[i])))
			fault_forbidden(c, AT(NULL, fixed[i]),
					detail_print(c, "updates to %s are forbidden.", fixed[i]));
	}
	if (c->old)
		check_same(c, AT(NULL, "volumeBindingMode"), get(c->old, "volumeBindingMode"),
			   get(c->object, "volumeBindingMode"));
	if (text_of(provisioner).len == 0) {
		fault_required(c, AT(NULL, "provisioner"), "");
	} else {
		struct value small = value_string(in_small(c, text_of(provisioner)));

		check_name(c, AT(NULL, "provisioner"), &small, name_check_qualified);
	}
	check_parameters(c, get(c->object, "parameters"));
	check_topologies(c, get(c->object, "allowedTopologies"));
	check_one_of_or_absent(c, AT(NULL, "reclaimPolicy"), get(c->object, "reclaimPolicy"), policies);
	check_one_of(c, AT(NULL, "volumeBindingMode"), get(c->object, "volumeBindingMode"), modes);
}

static void class_row(const struct value *o, int64_t now_ns, struct value *cells, struct arena *arena)
{
	const struct value *annotations = get(get(o, "metadata"), "annotations");
	struct span name = value_find_string(o, "metadata.name");
	bool is_default = is_text(get(annotations, "storageclass.kubernetes.io/is-default-class"), "true");

	cells[0] = cell_format(arena, SPAN_FMT "%s", SPAN_ARG(name), is_default ? " (default)" : "");
	cells[1] = cell_text(get_text(o, "provisioner"));
	cells[2] = cell_or(get_text(o, "reclaimPolicy"), "Delete");
	cells[3] = cell_or(get_text(o, "volumeBindingMode"), "Immediate");
	cells[4] = value_bool(get_bool(o, "allowVolumeExpansion"));
	cells[5] = cell_age(o, now_ns, arena);
}

static const struct column class_columns[] = {
	COLUMN_NAME,
	COLUMN("Provisioner", "string", "Who makes its volumes."),
	COLUMN("ReclaimPolicy", "string", "What happens to a volume when its claim goes."),
	COLUMN("VolumeBindingMode", "string", "When volumes are made: at once, or for the first pod."),
	COLUMN("AllowVolumeExpansion", "string", "Whether claims may grow."),
	COLUMN_AGE,
	{ 0 },
};

const struct kind kind_storage_class = {
	.group = "storage.k8s.io",
	.version = "v1",
	.plural = "storageclasses",
	.singular = "storageclass",
	.kind = "StorageClass",
	.short_names = class_short,
	.verbs = KUBE_ALL_VERBS,
	.type_name = "io.k8s.api.storage.v1.StorageClass",
	.columns = class_columns,
	.defaults = class_defaults,
	.prepare = shape,
	.validate = class_validate,
	.row = class_row,
};
