/* SPDX-License-Identifier: Apache-2.0 */
/* volumes - PersistentVolume and PersistentVolumeClaim of core/v1, StorageClass of storage.k8s.io/v1: as far as claims need. */
#include "kube/kinds/kinds.h"

#include "base/clock.h"
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
	if (quantity_compare(text_of(size), text_of(had), &order) && order < 0)
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

static bool has_source(const struct value *spec)
{
	static const char *const sources[] = { "awsElasticBlockStore",
					       "azureDisk",
					       "azureFile",
					       "cephfs",
					       "cinder",
					       "csi",
					       "fc",
					       "flexVolume",
					       "flocker",
					       "gcePersistentDisk",
					       "glusterfs",
					       "hostPath",
					       "iscsi",
					       "local",
					       "nfs",
					       "photonPersistentDisk",
					       "portworxVolume",
					       "quobyte",
					       "rbd",
					       "scaleIO",
					       "storageos",
					       "vsphereVolume" };

	for (size_t i = 0; i < ARRAY_LEN(sources); i++) {
		if (get(spec, sources[i]))
			return true;
	}
	return false;
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
	if (!count_of(capacity))
		fault_required(c, AT(at, "capacity"), "");
	if (!count_of(capacity))
		fault_not_supported_printed(c, AT(at, "capacity"), SPAN("core.ResourceList(nil)"),
					    (const char *const[]){ "storage", NULL });
	else if (!get(capacity, "storage") || count_of(capacity) > 1)
		fault_not_supported(c, AT(at, "capacity"), capacity, (const char *const[]){ "storage", NULL });
	check_one_of_or_absent(c, AT(at, "persistentVolumeReclaimPolicy"), get(spec, "persistentVolumeReclaimPolicy"),
			       policies);
	required = get(get(spec, "nodeAffinity"), "required");
	if (required)
		check_node_selector(c, AT(AT(at, "nodeAffinity"), "required"), required);
	if (!has_source(spec))
		fault_required(c, at, "must specify a volume type");
	if (get_text(spec, "storageClassName").len)
		check_name(c, AT(at, "storageClassName"), get(spec, "storageClassName"), name_check_subdomain);
	check_one_of_or_absent(c, AT(at, "volumeMode"), get(spec, "volumeMode"), volume_modes);
	if (c->old)
		check_same(c, AT(at, "volumeMode"), get(get(c->old, "spec"), "volumeMode"), get(spec, "volumeMode"));
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
	.row = volume_row,
};

/* ---- StorageClass ---- */

static void class_defaults(struct change *c)
{
	shape(c);
	default_text(c, c->object, "reclaimPolicy", "Delete");
	default_text(c, c->object, "volumeBindingMode", "Immediate");
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
	if (text_of(provisioner).len == 0)
		fault_required(c, AT(NULL, "provisioner"), "");
	else
		check_name(c, AT(NULL, "provisioner"), provisioner, name_check_qualified);
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
