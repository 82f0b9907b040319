/* SPDX-License-Identifier: Apache-2.0 */
/* pod_volumes - volumes of pod specs. Of the many storage systems only what hythe's users run is looked into; the others are taken as
 * they come. */
#include "kube/kinds/kinds.h"

static const char *const MODE_WORDS = "must be a number between 0 and 0777 (octal), both inclusive";

static void check_mode(struct change *c, const struct at *at, const struct value *v)
{
	if (value_is(v, VALUE_INT) && (v->integer < 0 || v->integer > 0777))
		fault_invalid(c, at, v, MODE_WORDS);
}

static void check_file_path(struct change *c, const struct at *at, struct span path)
{
	check_descending_path(c, at, path);
	if (span_starts(path, SPAN("..")) && !span_starts(path, SPAN("../")) && path.len > 2)
		fault_invalid_text(c, at, path, "must not start with '..'");
}

static void check_items(struct change *c, const struct at *at, const struct value *items)
{
	for (uint32_t i = 0; i < count_of(items); i++) {
		const struct value *item = value_item(items, i);
		const struct at *here = AT_INDEX(at, i);

		if (get_text(item, "key").len == 0)
			fault_required(c, AT(here, "key"), "");
		if (get_text(item, "path").len == 0)
			fault_required(c, AT(here, "path"), "");
		check_file_path(c, AT(here, "path"), get_text(item, "path"));
		check_mode(c, AT(here, "mode"), get(item, "mode"));
	}
}

static void check_needed(struct change *c, const struct at *at, const struct value *v, const char *member)
{
	if (get_text(v, member).len == 0)
		fault_required(c, AT(at, member), "");
}

static void check_secret(struct change *c, const struct at *at, const struct value *v)
{
	check_needed(c, at, v, "secretName");
	check_mode(c, AT(at, "defaultMode"), get(v, "defaultMode"));
	check_items(c, AT(at, "items"), get(v, "items"));
}

static void check_config_map(struct change *c, const struct at *at, const struct value *v)
{
	check_needed(c, at, v, "name");
	check_mode(c, AT(at, "defaultMode"), get(v, "defaultMode"));
	check_items(c, AT(at, "items"), get(v, "items"));
}

static void check_host_path(struct change *c, const struct at *at, const struct value *v)
{
	static const char *const types[] = { "",     "BlockDevice",  "CharDevice", "Directory", "DirectoryOrCreate",
					     "File", "FileOrCreate", "Socket",     NULL };
	struct span path = get_text(v, "path"), rest = path;

	if (path.len == 0) {
		fault_required(c, AT(at, "path"), "");
		return;
	}
	while (rest.len) {
		if (span_equal(span_cut(&rest, '/'), SPAN(".."))) {
			fault_invalid_text(c, AT(at, "path"), path, "must not contain '..'");
			break;
		}
	}
	check_one_of_or_absent(c, AT(at, "type"), get(v, "type"), types);
}

static void check_nfs(struct change *c, const struct at *at, const struct value *v)
{
	struct span path = get_text(v, "path");

	check_needed(c, at, v, "server");
	check_needed(c, at, v, "path");
	if (!span_starts(path, SPAN("/")))
		fault_invalid_text(c, AT(at, "path"), path, "must be an absolute path");
}

static void check_claim(struct change *c, const struct at *at, const struct value *v)
{
	check_needed(c, at, v, "claimName");
}

static void check_volume_field(struct change *c, const struct at *at, const struct value *ref)
{
	static const char *const paths[] = { "metadata.annotations", "metadata.labels", "metadata.name",
					     "metadata.namespace",   "metadata.uid",    NULL };
	struct span s = get_text(ref, "fieldPath");

	if (s.len == 0)
		fault_required(c, AT(at, "fieldPath"), "");
	else if (!text_is_one_of(s, paths) && !span_starts(s, SPAN("metadata.labels['")) &&
		 !span_starts(s, SPAN("metadata.annotations['")))
		fault_invalid(
		    c, AT(at, "fieldPath"), get(ref, "fieldPath"),
		    detail_print(c, "error converting fieldPath: field label not supported: " SPAN_FMT, SPAN_ARG(s)));
}

static void check_downward_files(struct change *c, const struct at *at, const struct value *items)
{
	for (uint32_t i = 0; i < count_of(items); i++) {
		const struct value *item = value_item(items, i);

		check_needed(c, at, item, "path");
		check_file_path(c, AT(at, "path"), get_text(item, "path"));
		if (get(item, "fieldRef") && get(item, "resourceFieldRef"))
			fault_invalid_text(c, at, SPAN("resource"),
					   "fieldRef and resourceFieldRef can not be specified simultaneously");
		else if (!get(item, "fieldRef") && !get(item, "resourceFieldRef"))
			fault_required(c, at, "one of fieldRef and resourceFieldRef is required");
		else if (get(item, "fieldRef"))
			check_volume_field(c, AT(at, "fieldRef"), get(item, "fieldRef"));
		check_mode(c, AT(at, "mode"), get(item, "mode"));
	}
}

static void check_downward(struct change *c, const struct at *at, const struct value *v)
{
	check_mode(c, AT(at, "defaultMode"), get(v, "defaultMode"));
	check_downward_files(c, at, get(v, "items"));
}

static void check_token(struct change *c, const struct at *at, const struct at *here, const struct value *token)
{
	int64_t seconds = get_int(token, "expirationSeconds", 3600);

	if (seconds < 600)
		fault_invalid(c, AT(here, "expirationSeconds"), get(token, "expirationSeconds"),
			      "may not specify a duration less than 10 minutes");
	if (seconds > INT64_C(1) << 32)
		fault_invalid(c, AT(here, "expirationSeconds"), get(token, "expirationSeconds"),
			      "may not specify a duration larger than 2^32 seconds");
	check_needed(c, at, token, "path");
	check_file_path(c, AT(at, "path"), get_text(token, "path"));
}

static void check_projected(struct change *c, const struct at *at, const struct value *v)
{
	static const char *const types[] = { "secret", "configMap", "downwardAPI", "serviceAccountToken" };
	const struct value *sources = get(v, "sources");

	check_mode(c, AT(at, "defaultMode"), get(v, "defaultMode"));
	for (uint32_t i = 0; i < count_of(sources); i++) {
		const struct value *source = value_item(sources, i);
		const struct at *here = AT_INDEX(AT(at, "sources"), i);
		unsigned count = get(source, "clusterTrustBundle") ? 1 : 0;

		for (size_t k = 0; k < ARRAY_LEN(types); k++) {
			const struct value *one = get(source, types[k]);

			if (!one)
				continue;
			count++;
			if (k < 2) {
				check_needed(c, AT(here, types[k]), one, "name");
				check_items(c, AT(AT(here, types[k]), "items"), get(one, "items"));
			} else if (k == 2) {
				check_downward_files(c, AT(here, types[k]), get(one, "items"));
			} else {
				check_token(c, at, AT(here, types[k]), one);
			}
		}
		if (count > 1)
			fault_forbidden(c, here, "may not specify more than 1 volume type per source");
	}
}

static void check_empty_dir(struct change *c, const struct at *at, const struct value *v)
{
	int64_t milli;

	if (quantity_parse(get_text(v, "sizeLimit"), &milli) && milli < 0)
		fault_forbidden(c, AT(at, "sizeLimit"), "SizeLimit field must be a valid resource quantity");
}

static void check_csi(struct change *c, const struct at *at, const struct value *v)
{
	if (get_text(v, "driver").len == 0)
		fault_required(c, AT(at, "driver"), "");
}

static void check_ephemeral(struct change *c, const struct at *at, const struct value *v)
{
	const struct value *template = get(v, "volumeClaimTemplate");

	if (!template)
		fault_required(c, AT(at, "volumeClaimTemplate"), "");
	else
		check_claim_spec(c, AT(AT(at, "volumeClaimTemplate"), "spec"), get(template, "spec"));
}

/* In the order in which the real server looks. */
static const struct {
	const char *name;
	void (*check)(struct change *c, const struct at *at, const struct value *v);
} sources[] = {
	{ "emptyDir", check_empty_dir },
	{ "hostPath", check_host_path },
	{ "gitRepo", NULL },
	{ "gcePersistentDisk", NULL },
	{ "awsElasticBlockStore", NULL },
	{ "secret", check_secret },
	{ "nfs", check_nfs },
	{ "iscsi", NULL },
	{ "glusterfs", NULL },
	{ "flocker", NULL },
	{ "persistentVolumeClaim", check_claim },
	{ "rbd", NULL },
	{ "cinder", NULL },
	{ "cephfs", NULL },
	{ "quobyte", NULL },
	{ "downwardAPI", check_downward },
	{ "fc", NULL },
	{ "flexVolume", NULL },
	{ "configMap", check_config_map },
	{ "azureFile", NULL },
	{ "vsphereVolume", NULL },
	{ "photonPersistentDisk", NULL },
	{ "portworxVolume", NULL },
	{ "azureDisk", NULL },
	{ "storageos", NULL },
	{ "projected", check_projected },
	{ "scaleIO", NULL },
	{ "csi", check_csi },
	{ "ephemeral", check_ephemeral },
	{ "image", NULL },
};

static void check_source(struct change *c, const struct at *at, const struct value *volume)
{
	unsigned count = 0;

	for (size_t i = 0; i < ARRAY_LEN(sources); i++) {
		const struct value *v = get(volume, sources[i].name);
		const struct at *here = AT(at, sources[i].name);

		if (!v)
			continue;
		if (count++)
			fault_forbidden(c, here, "may not specify more than 1 volume type");
		else if (sources[i].check)
			sources[i].check(c, here, v);
	}
	if (!count)
		fault_required(c, at, "must specify a volume type");
}

void pod_volumes_check(struct change *c, const struct at *at, const struct value *volumes, bool *ret_fine)
{
	for (uint32_t i = 0; i < count_of(volumes); i++) {
		const struct value *volume = value_item(volumes, i), *name = get(volume, "name");
		const struct at *here = AT_INDEX(at, i);
		size_t faults = c->cause_count;

		check_source(c, here, volume);
		if (text_of(name).len == 0)
			fault_required(c, AT(here, "name"), "");
		else
			check_name(c, AT(here, "name"), name, name_check_label);
		for (uint32_t k = 0; k < i; k++) {
			if (ret_fine[k] && is_same(get(value_item(volumes, k), "name"), name)) {
				fault_duplicate(c, AT(here, "name"), name);
				break;
			}
		}
		ret_fine[i] = c->cause_count == faults;
	}
}
