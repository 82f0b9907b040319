/* SPDX-License-Identifier: Apache-2.0 */
/* volumes_claims - folders of this machine: hostPath, and claims that are bound to one. */
#include "node/volumes_private.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define PROVISIONED_BY "pv.kubernetes.io/provisioned-by"
#define PROVISIONER    "hythe.dev/local"

/* ---- hostPath ---- */

/* What the type asks of the mode of what is there; "" asks for nothing. */
static const struct {
	const char *type, *words;
	mode_t format;
	bool is_made;
} host_types[] = {
	{ "Directory", "a directory", S_IFDIR, false },
	{ "DirectoryOrCreate", "a directory", S_IFDIR, true },
	{ "File", "a file", S_IFREG, false },
	{ "FileOrCreate", "a file", S_IFREG, true },
	{ "Socket", "a socket file", S_IFSOCK, false },
	{ "CharDevice", "a character device", S_IFCHR, false },
	{ "BlockDevice", "a block device", S_IFBLK, false },
};

static bool host_make(const char *path, mode_t format, struct error *err)
{
	AUTO_CLOSE int fd = -1;

	if (format == S_IFDIR)
		return folder_ensure(path, 0755, err);
	fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
	return fd >= 0 || error_errno(err, errno, "cannot make '%s'", path);
}

static bool host_check(const char *path, struct span type, struct error *err)
{
	struct stat s;

	for (size_t i = 0; i < ARRAY_LEN(host_types); i++) {
		if (!span_equal(type, span_of(host_types[i].type)))
			continue;
		if (host_types[i].is_made && stat(path, &s) != 0 && errno == ENOENT &&
		    !host_make(path, host_types[i].format, err))
			return false;
		return (stat(path, &s) == 0 && (s.st_mode & S_IFMT) == host_types[i].format) ||
		       error_set(err, ERROR_INVALID, "hostPath type check failed: %s is not %s", path,
				 host_types[i].words);
	}
	return !type.len || error_set(err, ERROR_INVALID, SPAN_FMT " is an invalid volume type", SPAN_ARG(type));
}

/* Without links; NULL with the error. The caller frees. */
static char *path_resolve(const char *path, struct error *err)
{
	char *real = realpath(path, NULL);

	if (!real)
		error_errno(err, errno, "cannot open '%s'", path);
	return real;
}

static bool is_inside(struct span path, struct span folder)
{
	while (folder.len && folder.ptr[folder.len - 1] == '/')
		folder.len--;
	return folder.len && span_starts(path, folder) && (path.len == folder.len || path.ptr[folder.len] == '/');
}

static bool is_hidden(const struct volumes *v, const char *real)
{
	AUTO_FREE char *hidden = v->hidden ? realpath(v->hidden, NULL) : NULL;

	return hidden && is_inside(span_of(real), span_of(hidden));
}

bool host_path(struct volumes *v, const struct value *source, struct arena *arena, struct span *ret, struct error *err)
{
	AUTO_FREE char *path = span_to_text(value_find_string(source, "path"));
	AUTO_FREE char *real = NULL;

	if (!v->config.is_host_path_allowed)
		return error_set(err, ERROR_FORBIDDEN,
				 "hostPath volumes are not allowed on this node (--allow-host-path)");
	if (path[0] != '/')
		return error_set(err, ERROR_INVALID, "hostPath '%s' is no absolute path", path);
	if (!host_check(path, value_find_string(source, "type"), err))
		return false;
	real = path_resolve(path, err);
	if (!real)
		return false;
	if (is_hidden(v, real))
		return error_set(err, ERROR_FORBIDDEN, "hostPath '%s' is in the data folder, which no pod sees", path);
	*ret = arena_copy(arena, span_of(real), err);
	return ret->ptr != NULL;
}

/* ---- claims ---- */

static const struct value *object_get(struct volumes *v, const struct resource *r, struct span name_space,
				      struct span name, struct arena *arena, struct error *err)
{
	struct cluster *c = v->config.place->cluster;
	struct record *record = cluster_get(c, r, name_space, name);

	return record ? cluster_object(c, r, record, arena, err) : NULL;
}

static bool put(struct value *object, const char *name, struct value v, struct arena *arena, struct error *err)
{
	return value_set(object, span_of(name), v, arena, err) != NULL;
}

static bool claim_build(const struct value *pod, const struct value *template, struct span name, struct arena *arena,
			struct value *ret, struct error *err)
{
	const struct value *labels = value_find(template, "metadata.labels");
	const struct value *annotations = value_find(template, "metadata.annotations");
	const struct value *spec = value_find(template, "spec");
	struct value metadata = value_object(), owner = value_object(), owners = value_array();

	*ret = value_object();
	return put(&owner, "apiVersion", value_string(SPAN("v1")), arena, err) &&
	       put(&owner, "kind", value_string(SPAN("Pod")), arena, err) &&
	       put(&owner, "name", value_string(value_find_string(pod, "metadata.name")), arena, err) &&
	       put(&owner, "uid", value_string(value_find_string(pod, "metadata.uid")), arena, err) &&
	       put(&owner, "controller", value_bool(true), arena, err) &&
	       put(&owner, "blockOwnerDeletion", value_bool(true), arena, err) &&
	       value_append(&owners, owner, arena, err) && put(&metadata, "name", value_string(name), arena, err) &&
	       put(&metadata, "namespace", value_string(value_find_string(pod, "metadata.namespace")), arena, err) &&
	       (!labels || put(&metadata, "labels", *labels, arena, err)) &&
	       (!annotations || put(&metadata, "annotations", *annotations, arena, err)) &&
	       put(&metadata, "ownerReferences", owners, arena, err) &&
	       put(ret, "apiVersion", value_string(SPAN("v1")), arena, err) &&
	       put(ret, "kind", value_string(SPAN("PersistentVolumeClaim")), arena, err) &&
	       put(ret, "metadata", metadata, arena, err) &&
	       put(ret, "spec", spec ? *spec : value_object(), arena, err);
}

static void claim_made(void *context, const struct value *object, const struct error *err)
{
	(void)context; /* it is seen when it is there; and asked for again when it is not */
	(void)object;
	(void)err;
}

/* A controller makes it, too; who comes second finds it. */
static void claim_create(struct volumes *v, const struct value *pod, const struct value *template, struct span name,
			 struct arena *arena, struct error *err)
{
	struct value claim;
	const struct cluster_write w = { .resource = &resource_persistent_volume_claims,
					 .verb = KUBE_CREATE,
					 .name_space = value_find_string(pod, "metadata.namespace"),
					 .name = name,
					 .manager = SPAN("kubelet"),
					 .object = &claim,
					 .grace = -1,
					 .done = claim_made };

	if (claim_build(pod, template, name, arena, &claim, err))
		cluster_write(v->config.place->cluster, &w);
}

static bool is_of_pod(const struct value *claim, const struct value *pod)
{
	const struct value *owners = value_find(claim, "metadata.ownerReferences");

	for (uint32_t i = 0; i < value_count(owners); i++)
		if (value_find_bool(value_item(owners, i), "controller") &&
		    span_equal(value_find_string(value_item(owners, i), "uid"), value_find_string(pod, "metadata.uid")))
			return true;
	return false;
}

static const struct value *claim_find(struct volumes *v, const struct value *pod, const struct value *volume,
				      struct arena *arena, struct error *err)
{
	struct span space = value_find_string(pod, "metadata.namespace"),
		    pod_name = value_find_string(pod, "metadata.name");
	const struct value *ephemeral = value_get(volume, SPAN("ephemeral")), *claim;
	struct span name = value_find_string(volume, "persistentVolumeClaim.claimName");
	struct span own = value_find_string(volume, "name");

	if (ephemeral)
		name = arena_print(arena, err, "%.*s-%.*s", (int)pod_name.len, pod_name.ptr, (int)own.len, own.ptr);
	if (err->code != ERROR_NONE)
		return NULL;
	claim = object_get(v, &resource_persistent_volume_claims, space, name, arena, err);
	if (!claim && err->code == ERROR_NONE) {
		if (ephemeral)
			claim_create(v, pod, value_get(ephemeral, SPAN("volumeClaimTemplate")), name, arena, err);
		error_set(err, ERROR_NOT_FOUND, "persistentvolumeclaim \"" SPAN_FMT "\" not found", SPAN_ARG(name));
	} else if (claim && ephemeral && !is_of_pod(claim, pod)) {
		error_set(err, ERROR_INVALID,
			  "PVC \"" SPAN_FMT "\" was not created for pod \"" SPAN_FMT "/" SPAN_FMT
			  "\" (pod is not owner)",
			  SPAN_ARG(name), SPAN_ARG(space), SPAN_ARG(pod_name));
	}
	return err->code == ERROR_NONE ? claim : NULL;
}

/* ---- what a claim is bound to ---- */

/* The one member of a PersistentVolume's spec that says where it is, for the message. */
static struct span source_name(const struct value *spec)
{
	static const char *const known[] = { "nfs",
					     "csi",
					     "iscsi",
					     "rbd",
					     "cephfs",
					     "glusterfs",
					     "fc",
					     "flexVolume",
					     "azureDisk",
					     "azureFile",
					     "awsElasticBlockStore",
					     "gcePersistentDisk",
					     "cinder",
					     "vsphereVolume",
					     "portworxVolume" };

	for (size_t i = 0; i < ARRAY_LEN(known); i++)
		if (value_get(spec, span_of(known[i])))
			return span_of(known[i]);
	return SPAN("unknown");
}

static bool volume_path(struct volumes *v, const struct value *pv, struct span name, struct arena *arena,
			struct span *ret, bool *ret_takes_group, struct error *err)
{
	const struct value *spec = value_get(pv, SPAN("spec"));
	const struct value *annotations = value_find(pv, "metadata.annotations");
	const struct value *by = value_get(annotations, SPAN(PROVISIONED_BY));
	bool is_ours = value_is(by, VALUE_STRING) && span_equal(by->string, SPAN(PROVISIONER));
	struct span local = value_find_string(spec, "local.path"), host = value_find_string(spec, "hostPath.path");
	AUTO_FREE char *path = span_to_text(local.len ? local : host);
	AUTO_FREE char *real = NULL;

	(void)v;
	if (!path[0])
		return error_set(err, ERROR_INVALID,
				 "persistentvolume \"" SPAN_FMT "\" is of type " SPAN_FMT
				 ", which this node can't mount: it has hostPath and local",
				 SPAN_ARG(name), SPAN_ARG(source_name(spec)));
	if (path[0] != '/')
		return error_set(err, ERROR_INVALID,
				 "persistentvolume \"" SPAN_FMT "\" has the path '%s', which is "
				 "not absolute",
				 SPAN_ARG(name), path);
	if (is_ours && !folder_ensure(path, 0777, err))
		return false;
	if (!is_ours && host.len && !host_check(path, value_find_string(spec, "hostPath.type"), err))
		return false;
	real = path_resolve(path, err);
	if (!real)
		return false;
	*ret_takes_group = is_ours || local.len > 0;
	*ret = arena_copy(arena, span_of(real), err);
	return ret->ptr != NULL;
}

/* Both must name each other. */
static bool is_bound_to(const struct value *pv, const struct value *claim)
{
	struct span uid = value_find_string(pv, "spec.claimRef.uid");

	return span_equal(uid, value_find_string(claim, "metadata.uid"));
}

bool claim_path(struct volumes *v, const struct value *pod, const struct value *volume, struct arena *arena,
		struct span *ret, bool *ret_is_read_only, bool *ret_takes_group, struct error *err)
{
	const struct value *claim = claim_find(v, pod, volume, arena, err), *pv;
	struct span name = value_find_string(claim, "metadata.name"),
		    pv_name = value_find_string(claim, "spec.volumeName");

	if (!claim)
		return false;
	if (!pv_name.len || !span_equal(value_find_string(claim, "status.phase"), SPAN("Bound")))
		return error_set(err, ERROR_UNAVAILABLE, "persistentvolumeclaim \"" SPAN_FMT "\" is not bound",
				 SPAN_ARG(name));
	if (span_equal(value_find_string(claim, "spec.volumeMode"), SPAN("Block")))
		return error_set(err, ERROR_INVALID,
				 "persistentvolumeclaim \"" SPAN_FMT
				 "\" has volumeMode Block, which this node can't give",
				 SPAN_ARG(name));
	pv = object_get(v, &resource_persistent_volumes, (struct span){ 0 }, pv_name, arena, err);
	if (!pv)
		return err->code == ERROR_NONE &&
		       error_set(err, ERROR_NOT_FOUND, "persistentvolume \"" SPAN_FMT "\" not found",
				 SPAN_ARG(pv_name));
	if (!is_bound_to(pv, claim))
		return error_set(err, ERROR_UNAVAILABLE,
				 "persistentvolume \"" SPAN_FMT "\" is bound to another claim than \"" SPAN_FMT "\"",
				 SPAN_ARG(pv_name), SPAN_ARG(name));
	*ret_is_read_only =
	    value_find_bool(volume, "persistentVolumeClaim.readOnly") || value_find_bool(pv, "spec.hostPath.readOnly");
	return volume_path(v, pv, pv_name, arena, ret, ret_takes_group, err);
}
