/* SPDX-License-Identifier: Apache-2.0 */
#include "node/place_kit.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "kube/auth/pki.h"
#include "kube/kube.h"
#include "node/volumes_private.h"

struct fixture {
	struct place_kit *k;
	struct volumes *v;
	struct volumes_config config;
	char folder[96]; /* of the pod */
	bool is_done, is_good;
	struct error err;
	unsigned news;
};

static void news(void *context)
{
	((struct fixture *)context)->news++;
}

static int setup(void **state)
{
	struct fixture *f = base_calloc(1, sizeof(*f));

	f->k = place_kit_new();
	snprintf(f->folder, sizeof(f->folder), "%s/pod", f->k->api.folder);
	f->config = (struct volumes_config){ .place = &f->k->place,
					     .loop = f->k->api.loop,
					     .folder = span_of(f->folder),
					     .is_host_path_allowed = true,
					     .changed = news,
					     .context = f };
	f->v = volumes_new(&f->config, &f->err);
	assert_non_null(f->v);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	volumes_free(f->v, true);
	place_kit_done(f->k);
	free(f);
	return 0;
}

/* ---- what tests do ---- */

static void done(void *context, const struct error *err)
{
	struct fixture *f = context;

	assert_false(f->is_done);
	f->is_done = true;
	f->is_good = !err;
	f->err = err ? *err : (struct error){ 0 };
}

static bool is_done(void *context)
{
	return ((struct fixture *)context)->is_done;
}

static bool prepare(struct fixture *f, const struct value *pod)
{
	f->is_done = false;
	volumes_prepare(f->v, pod, done, f);
	assert_false(f->is_done); /* later, on the loop */
	place_kit_settle(f->k, is_done, f);
	return f->is_good;
}

static void assert_prepared(struct fixture *f, const struct value *pod)
{
	if (!prepare(f, pod))
		fail_msg("%s", f->err.message);
}

/* A pod with these volumes, and one container with these mounts. */
static struct value *pod_of(struct fixture *f, const char *volumes, const char *mounts, const char *more)
{
	return place_kit_parse(
	    f->k,
	    "{'apiVersion':'v1','kind':'Pod','metadata':{'name':'web','namespace':'default','uid':'u-1',"
	    "'labels':{'app':'web'}},'spec':{%s'volumes':[%s],'containers':[{'name':'c',"
	    "'volumeMounts':[%s]}]}}",
	    more, volumes, mounts);
}

static const char *path_in(struct fixture *f, const char *below)
{
	return arena_print(&f->k->api.arena, &f->k->err, "%s/%s", f->folder, below).ptr;
}

static const char *text_of(struct fixture *f, const char *below)
{
	struct error err = { 0 };
	struct buffer b;
	const char *ret;

	buffer_init(&b, MIB(4));
	ret = buffer_read_file(&b, path_in(f, below), &err) ? arena_copy(&f->k->api.arena, buffer_span(&b), &err).ptr
							    : NULL;
	buffer_done(&b);
	return ret;
}

static void assert_text(struct fixture *f, const char *below, const char *text)
{
	const char *found = text_of(f, below);

	if (!found)
		fail_msg("%s is not there", below);
	assert_string_equal(found, text);
}

static unsigned mode_at(struct fixture *f, const char *below)
{
	struct stat s;

	assert_int_equal(stat(path_in(f, below), &s), 0);
	return s.st_mode & 07777;
}

static bool is_there(struct fixture *f, const char *below)
{
	struct stat s;

	return lstat(path_in(f, below), &s) == 0;
}

static void put_file(struct fixture *f, const char *below, const char *text)
{
	FILE *file = fopen(path_in(f, below), "w");

	assert_non_null(file);
	fputs(text, file);
	fclose(file);
}

struct mounts {
	struct mount_wanted *items;
	size_t count;
};

static bool mounts_make(struct fixture *f, const struct value *pod, const struct name_value *environment, size_t count,
			struct mounts *ret)
{
	f->err = (struct error){ 0 };
	return volumes_mounts(f->v, pod, value_item(value_find(pod, "spec.containers"), 0), 0, environment, count,
			      &f->k->api.arena, &ret->items, &ret->count, &f->err);
}

static const struct mount_wanted *mount_at(const struct mounts *m, const char *path)
{
	for (size_t i = 0; i < m->count; i++)
		if (span_equal(m->items[i].container_path, span_of(path)))
			return &m->items[i];
	fail_msg("nothing is mounted at %s", path);
	return NULL;
}

static void config_map(struct fixture *f, const char *data)
{
	place_kit_apply(f->k, &resource_config_maps,
			"{'apiVersion':'v1','kind':'ConfigMap','metadata':{'name':'conf'},%s}", data);
}

/* ---- contents ---- */

static void keys_become_files_behind_one_link(void **state)
{
	struct fixture *f = *state;
	char link[256];
	ssize_t n;

	config_map(f, "'data':{'a':'one','b':'two'},'binaryData':{'c':'AAE='}");
	place_kit_apply(f->k, &resource_secrets,
			"{'apiVersion':'v1','kind':'Secret','metadata':{'name':'s'},'data':{'key':'aGlkZGVu'}}");
	assert_prepared(f,
			pod_of(f,
			       "{'name':'all','configMap':{'name':'conf'}},"
			       "{'name':'some','configMap':{'name':'conf','defaultMode':384,'items':[{'key':'a','path':"
			       "'x/y/a.txt','mode':256},{'key':'b','path':'b'}]}},"
			       "{'name':'sec','secret':{'secretName':'s','defaultMode':256}}",
			       "", ""));
	assert_text(f, "volumes/all/a", "one");
	assert_text(f, "volumes/all/b", "two");
	assert_memory_equal(text_of(f, "volumes/all/c"), "\0\1", 2);
	assert_int_equal(mode_at(f, "volumes/all/a"), 0644);
	assert_text(f, "volumes/some/x/y/a.txt", "one");
	assert_int_equal(mode_at(f, "volumes/some/x/y/a.txt"), 0400);
	assert_int_equal(mode_at(f, "volumes/some/b"), 0600);
	assert_text(f, "volumes/sec/key", "hidden");
	assert_int_equal(mode_at(f, "volumes/sec/key"), 0400);
	n = readlink(path_in(f, "volumes/all/a"), link, sizeof(link));
	assert_int_equal(n, strlen("..data/a"));
	assert_memory_equal(link, "..data/a", (size_t)n);
	n = readlink(path_in(f, "volumes/all/..data"), link, sizeof(link));
	assert_true(n > 20 && memcmp(link, "..20", 4) == 0);
	n = readlink(path_in(f, "volumes/some/x"), link, sizeof(link));
	assert_memory_equal(link, "..data/x", (size_t)n);
}

static void a_change_replaces_all_files_at_once_and_removes_old_ones(void **state)
{
	struct fixture *f = *state;
	struct value *pod = pod_of(f, "{'name':'v','configMap':{'name':'conf'}}", "", "");
	char before[256] = "", now[256] = "";
	int held;

	config_map(f, "'data':{'a':'one','gone':'x'}");
	assert_prepared(f, pod);
	held = open(path_in(f, "volumes/v/..data"), O_RDONLY | O_DIRECTORY);
	assert_true(held >= 0);
	assert_true(readlink(path_in(f, "volumes/v/..data"), before, sizeof(before) - 1) > 0);

	f->k->changes = 0;
	config_map(f, "'data':{'a':'three','new':'y'}");
	assert_true(f->k->changes > 0);
	volumes_refresh(f->v, pod, f->k->now_ns);
	assert_text(f, "volumes/v/a", "three");
	assert_text(f, "volumes/v/new", "y");
	assert_false(is_there(f, "volumes/v/gone"));
	assert_false(is_there(f, arena_print(&f->k->api.arena, &f->err, "volumes/v/%s", before).ptr));
	assert_int_equal(faccessat(held, "a", F_OK, 0), -1); /* the old folder has gone */
	close(held);

	/* Without a change nothing is touched: programs watch the link. */
	memset(before, 0, sizeof(before));
	assert_true(readlink(path_in(f, "volumes/v/..data"), before, sizeof(before) - 1) > 0);
	volumes_refresh(f->v, pod, f->k->now_ns);
	assert_prepared(f, pod);
	assert_true(readlink(path_in(f, "volumes/v/..data"), now, sizeof(now) - 1) > 0);
	assert_string_equal(before, now);

	/* What has gone leaves what was there. */
	place_kit_delete(f->k, &resource_config_maps, "conf");
	volumes_refresh(f->v, pod, f->k->now_ns);
	assert_text(f, "volumes/v/a", "three");
}

static void leftovers_of_a_write_that_was_cut_off_are_taken_away(void **state)
{
	struct fixture *f = *state;
	struct value *pod = pod_of(f, "{'name':'v','configMap':{'name':'conf'}}", "", "");

	config_map(f, "'data':{'a':'one'}");
	assert_prepared(f, pod);
	assert_int_equal(mkdir(path_in(f, "volumes/v/..2020_01_01_00_00_00.1"), 0755), 0);
	put_file(f, "volumes/v/..2020_01_01_00_00_00.1/a", "half");
	assert_int_equal(symlink("..2020_01_01_00_00_00.1", path_in(f, "volumes/v/..data_tmp")), 0);
	assert_prepared(f, pod);
	assert_false(is_there(f, "volumes/v/..2020_01_01_00_00_00.1"));
	assert_false(is_there(f, "volumes/v/..data_tmp"));
	assert_text(f, "volumes/v/a", "one");
}

static void what_a_volume_lacks_is_told_and_tried_again(void **state)
{
	static const struct {
		const char *volume, *message;
		enum error_code code;
	} rows[] = {
		{ "'configMap':{'name':'conf'}", "configmap \"conf\" not found", ERROR_NOT_FOUND },
		{ "'secret':{'secretName':'conf'}", "secret \"conf\" not found", ERROR_NOT_FOUND },
		{ "'projected':{'sources':[{'secret':{'name':'q'}}]}", "secret \"q\" not found", ERROR_NOT_FOUND },
		{ "'projected':{'sources':[{'clusterTrustBundle':{'name':'q','path':'p'}}]}",
		  "clusterTrustBundle can't be projected: this node does not read bundles", ERROR_INVALID },
		{ "'persistentVolumeClaim':{'claimName':'q'}", "persistentvolumeclaim \"q\" not found",
		  ERROR_NOT_FOUND },
		{ "'nfs':{'server':'x','path':'/'}", "volumes of type nfs can't be had on this node", ERROR_INVALID },
		{ "'image':{'reference':'x'}", "volumes of type image can't be had on this node", ERROR_INVALID },
		{ "'hostPath':{'path':'/etc/passwd','type':'Directory'}",
		  "hostPath type check failed: /etc/passwd is not a directory", ERROR_INVALID },
		{ "'emptyDir':{'medium':'HugePages'}", "emptyDir of medium HugePages can't be had on this node",
		  ERROR_INVALID },
	};
	struct fixture *f = *state;

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const char *volume = arena_print(&f->k->api.arena, &f->err, "{'name':'v',%s}", rows[i].volume).ptr;
		char message[256];

		assert_false(prepare(f, pod_of(f, volume, "", "")));
		snprintf(message, sizeof(message), "MountVolume.SetUp failed for volume \"v\" : %s", rows[i].message);
		assert_string_equal(f->err.message, message);
		assert_int_equal(f->err.code, rows[i].code);
	}
	config_map(f, "'data':{'a':'one'}");
	assert_prepared(f, pod_of(f, "{'name':'v','configMap':{'name':'conf'}}", "", ""));
	assert_false(
	    prepare(f, pod_of(f, "{'name':'v','configMap':{'name':'conf','items':[{'key':'z','path':'z'}]}}", "", "")));
	assert_non_null(strstr(f->err.message, "configmap references non-existent config key: z"));
}

static void what_is_optional_may_be_absent(void **state)
{
	struct fixture *f = *state;
	struct value *pod = pod_of(f,
				   "{'name':'v','configMap':{'name':'conf','optional':true}},{'name':'w','projected':"
				   "{'sources':[{'secret':{'name':'q','optional':true}}]}}",
				   "", "");

	assert_prepared(f, pod);
	assert_true(is_there(f, "volumes/v"));
	config_map(f, "'data':{'a':'one'}");
	volumes_refresh(f->v, pod, f->k->now_ns);
	assert_text(f, "volumes/v/a", "one");
}

static void names_of_files_stay_inside(void **state)
{
	static const char *const bad[] = { "../x", "a/../../x", "/x", "..x", "a/../b", "" };
	struct content c = { .group = -1 };
	struct fixture *f = *state;

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		const struct content_file file = { .path = span_of(bad[i]), .mode = 0644, .user = -1 };
		struct error err = { 0 };

		assert_false(content_add(&c, &file, &f->k->api.arena, &err));
		assert_int_equal(err.code, ERROR_INVALID);
		assert_int_equal(c.count, 0);
	}
	for (int i = 0; i < 2; i++) {
		const struct content_file file = { .path = i ? SPAN("a//b/./c") : SPAN("a/b/c"),
						   .mode = 0644,
						   .user = -1 };

		assert_true(content_add(&c, &file, &f->k->api.arena, &f->err));
		assert_int_equal(c.count, 1);
	}
}

static void a_volume_has_so_many_files_at_most(void **state)
{
	struct fixture *f = *state;
	struct content c = { .group = -1 };
	struct error err = { 0 };
	char name[32];

	for (int i = 0; i <= VOLUME_FILES_MOST; i++) {
		struct content_file file = { .mode = 0644, .user = -1 };

		snprintf(name, sizeof(name), "f%d", i);
		file.path = span_of(name);
		assert_int_equal(content_add(&c, &file, &f->k->api.arena, &err), i < VOLUME_FILES_MOST);
	}
	assert_string_equal(err.message, "a volume may have at most 10000 files");
}

static void the_pod_is_told_of_itself(void **state)
{
	struct fixture *f = *state;
	struct value *pod =
	    pod_of(f,
		   "{'name':'v','downwardAPI':{'items':[{'path':'labels','fieldRef':{'fieldPath':"
		   "'metadata.labels'}},{'path':'cpu','mode':256,'resourceFieldRef':{'containerName':'c',"
		   "'resource':'limits.cpu','divisor':'1m'}}]}}",
		   "", "");

	assert_prepared(f, pod);
	assert_text(f, "volumes/v/labels", "app=\"web\"");
	assert_text(f, "volumes/v/cpu", "4000");
	assert_non_null(value_set(value_find(pod, "metadata.labels"), SPAN("tier"), value_string(SPAN("x")),
				  &f->k->api.arena, &f->err));
	volumes_refresh(f->v, pod, f->k->now_ns);
	assert_text(f, "volumes/v/labels", "app=\"web\"\ntier=\"x\"");
}

/* ---- tokens ---- */

static struct value *stored_pod(struct fixture *f, const char *account)
{
	place_kit_apply(f->k, &resource_service_accounts,
			"{'apiVersion':'v1','kind':'ServiceAccount','metadata':{'name':'%s'}}", account);
	return place_kit_apply(
	    f->k, &resource_pods,
	    "{'apiVersion':'v1','kind':'Pod','metadata':{'name':'web'},'spec':{'serviceAccountName':'%s',"
	    "'containers':[{'name':'c','image':'i','command':['x']}]}}",
	    account);
}

static void a_token_is_there_beside_the_certificate_and_the_namespace(void **state)
{
	struct fixture *f = *state;
	struct value *pod = stored_pod(f, "robot"), *volume;
	struct error err = { 0 };
	struct span claims;
	const char *name, *token;

	/* The API server gave the pod its volume: kube-api-access-xxxxx. */
	volume = value_item(value_find(pod, "spec.volumes"), 0);
	name = arena_print(&f->k->api.arena, &err, "volumes/%.*s", (int)value_find_string(volume, "name").len,
			   value_find_string(volume, "name").ptr)
		   .ptr;
	assert_prepared(f, pod);
	token = text_of(f, arena_print(&f->k->api.arena, &err, "%s/token", name).ptr);
	assert_non_null(token);
	assert_true(
	    pki_check_token(kube_pki(f->k->api.kube), span_of(token), f->k->now_ns, &f->k->api.arena, &claims, &err));
	assert_non_null(memmem(claims.ptr, claims.len, "system:serviceaccount:default:robot", 35));
	assert_non_null(memmem(claims.ptr, claims.len, "\"pod\":{\"name\":\"web\"", 19));
	assert_text(f, arena_print(&f->k->api.arena, &err, "%s/namespace", name).ptr, "default");
	assert_memory_equal(text_of(f, arena_print(&f->k->api.arena, &err, "%s/ca.crt", name).ptr),
			    "-----BEGIN CERTIFICATE-----", 27);
	assert_int_equal(mode_at(f, arena_print(&f->k->api.arena, &err, "%s/token", name).ptr), 0644);
}

static bool has_news(void *context)
{
	return ((struct fixture *)context)->news > 0;
}

static void a_token_is_renewed_after_four_fifths_of_its_life(void **state)
{
	struct fixture *f = *state;
	struct value *pod = stored_pod(f, "robot");
	const char *first, *path;
	struct error err = { 0 };
	int64_t next;

	(void)value_set(value_find(pod, "spec"), SPAN("volumes"),
			*place_kit_parse(f->k,
					 "[{'name':'v','projected':{'defaultMode':420,'sources':[{'serviceAccountToken'"
					 ":{'path':'token','expirationSeconds':600,'audience':'x'}}]}}]"),
			&f->k->api.arena, &err);
	path = "volumes/v/token";
	assert_prepared(f, pod);
	first = text_of(f, path);
	next = volumes_refresh(f->v, pod, f->k->now_ns);
	assert_int_equal(next, f->k->now_ns + 480 * NS_PER_S);
	f->news = 0;
	f->k->now_ns += 481 * NS_PER_S;
	kube_kit_wall(&f->k->api, f->k->now_ns);
	volumes_refresh(f->v, pod, f->k->now_ns);
	place_kit_settle(f->k, has_news, f);
	next = volumes_refresh(f->v, pod, f->k->now_ns);
	assert_string_not_equal(text_of(f, path), first);
	assert_int_equal(next, f->k->now_ns + 480 * NS_PER_S);
}

static void a_token_that_is_refused_is_told(void **state)
{
	struct fixture *f = *state;
	struct value *pod = pod_of(f, "{'name':'v','projected':{'sources':[{'serviceAccountToken':{'path':'token'}}]}}",
				   "", "'serviceAccountName':'nobody',");

	for (int i = 0; i < 2; i++) {
		assert_false(prepare(f, pod));
		assert_non_null(strstr(f->err.message, "serviceaccounts \"nobody\" not found"));
	}
}

/* ---- folders ---- */

static void an_empty_folder_is_everybodys(void **state)
{
	struct fixture *f = *state;
	struct value *pod = pod_of(f, "{'name':'v','emptyDir':{}}", "{'name':'v','mountPath':'/v'}", "");
	struct mounts m;

	assert_prepared(f, pod);
	assert_int_equal(mode_at(f, "volumes/v"), 0777);
	put_file(f, "volumes/v/kept", "x");
	assert_prepared(f, pod);
	assert_text(f, "volumes/v/kept", "x");
	assert_true(mounts_make(f, pod, NULL, 0, &m));
	assert_false(mount_at(&m, "/v")->is_read_only);
	assert_true(span_equal(mount_at(&m, "/v")->host_path, span_of(path_in(f, "volumes/v"))));
}

static void a_folder_in_memory_is_the_runtimes(void **state)
{
	struct fixture *f = *state;
	struct value *pod =
	    pod_of(f,
		   "{'name':'v','emptyDir':{'medium':'Memory','sizeLimit':'1Mi'}},{'name':'w','emptyDir':"
		   "{'medium':'Memory'}},{'name':'x','emptyDir':{}}",
		   "", "");
	struct sandbox_tmpfs *list;
	size_t count;

	assert_prepared(f, pod);
	assert_true(volumes_tmpfs(f->v, pod, &f->k->api.arena, &list, &count, &f->err));
	assert_int_equal(count, 2);
	assert_int_equal(list[0].bytes, 1 << 20);
	assert_true(list[1].bytes == f->k->place.capacity_memory);
	assert_true(span_equal(list[0].host_path, span_of(path_in(f, "volumes/v"))));
}

static void folders_of_the_machine_are_checked_by_type(void **state)
{
	struct fixture *f = *state;
	const char *made = path_in(f, "made/deep"), *file = path_in(f, "file");
	const char *volumes = arena_print(&f->k->api.arena, &f->err,
					  "{'name':'v','hostPath':{'path':'%s','type':'DirectoryOrCreate'}},"
					  "{'name':'w','hostPath':{'path':'%s','type':'FileOrCreate'}}",
					  made, file)
				  .ptr;
	struct mounts m;

	assert_prepared(f, pod_of(f, volumes, "", ""));
	assert_int_equal(mode_at(f, "made/deep"), 0755);
	assert_true(is_there(f, "file"));
	/* What is mounted is where a link leads to. */
	assert_int_equal(symlink("made", path_in(f, "link")), 0);
	volumes =
	    arena_print(&f->k->api.arena, &f->err, "{'name':'v','hostPath':{'path':'%s/deep'}}", path_in(f, "link"))
		.ptr;
	assert_true(mounts_make(f, pod_of(f, volumes, "{'name':'v','mountPath':'/v'}", ""), NULL, 0, &m));
	assert_true(span_equal(mount_at(&m, "/v")->host_path, span_of(made)));
}

static void the_data_folder_and_forbidden_paths_are_refused(void **state)
{
	struct fixture *f = *state;
	struct volumes_config config = f->config;
	struct value *pod = pod_of(
	    f, arena_print(&f->k->api.arena, &f->err, "{'name':'v','hostPath':{'path':'%s'}}", f->folder).ptr, "", "");

	volumes_free(f->v, true);
	config.hidden = span_of(f->k->api.folder);
	f->v = volumes_new(&config, &f->err);
	assert_false(prepare(f, pod));
	assert_int_equal(f->err.code, ERROR_FORBIDDEN);
	assert_non_null(strstr(f->err.message, "data folder"));
	volumes_free(f->v, true);
	config.hidden = (struct span){ 0 };
	config.is_host_path_allowed = false;
	f->v = volumes_new(&config, &f->err);
	assert_false(prepare(f, pod));
	assert_non_null(strstr(f->err.message, "--allow-host-path"));
}

static void volumes_belong_to_the_group_of_the_pod(void **state)
{
	struct fixture *f = *state;
	struct stat s;

	if (geteuid() != 0)
		skip();
	config_map(f, "'data':{'a':'one'}");
	assert_prepared(
	    f, pod_of(f, "{'name':'e','emptyDir':{}},{'name':'v','configMap':{'name':'conf','defaultMode':256}}", "",
		      "'securityContext':{'fsGroup':4321},"));
	assert_int_equal(stat(path_in(f, "volumes/e"), &s), 0);
	assert_int_equal(s.st_gid, 4321);
	assert_int_equal(s.st_mode & 07777, 02777);
	assert_int_equal(stat(path_in(f, "volumes/v/a"), &s), 0);
	assert_int_equal(s.st_gid, 4321);
	assert_int_equal(s.st_mode & 07777, 0440);
}

/* ---- claims ---- */

static void claim_bind(struct fixture *f, const char *source)
{
	struct value *claim;

	claim = place_kit_apply(
	    f->k, &resource_persistent_volume_claims,
	    "{'apiVersion':'v1','kind':'PersistentVolumeClaim','metadata':{'name':'data'},'spec':{"
	    "'accessModes':['ReadWriteOnce'],'volumeName':'pv','storageClassName':'','resources':{'requests':"
	    "{'storage':'1Gi'}}},'status':{'phase':'Bound'}}");
	place_kit_apply(
	    f->k, &resource_persistent_volumes,
	    "{'apiVersion':'v1','kind':'PersistentVolume','metadata':{'name':'pv','annotations':{"
	    "'pv.kubernetes.io/provisioned-by':'hythe.dev/local'}},'spec':{'capacity':{'storage':'1Gi'},"
	    "'accessModes':['ReadWriteOnce'],'claimRef':{'apiVersion':'v1','kind':'PersistentVolumeClaim','namespace':"
	    "'default','name':'data','uid':'%.*s'},%s}}",
	    (int)value_find_string(claim, "metadata.uid").len, value_find_string(claim, "metadata.uid").ptr, source);
}

static void claims_lead_to_folders_that_are_made_when_missing(void **state)
{
	struct fixture *f = *state;
	struct value *pod = pod_of(f, "{'name':'v','persistentVolumeClaim':{'claimName':'data'}}",
				   "{'name':'v','mountPath':'/v'}", "'securityContext':{'fsGroup':4321},");
	struct mounts m;
	struct stat s;

	claim_bind(f, arena_print(&f->k->api.arena, &f->err, "'hostPath':{'path':'%s'}", path_in(f, "claims/one")).ptr);
	assert_prepared(f, pod);
	assert_int_equal(stat(path_in(f, "claims/one"), &s), 0);
	if (geteuid() == 0) /* given to the group on a thread, before it was done */
		assert_int_equal(s.st_gid, 4321);
	assert_true(mounts_make(f, pod, NULL, 0, &m));
	assert_true(span_equal(mount_at(&m, "/v")->host_path, span_of(path_in(f, "claims/one"))));
	assert_false(mount_at(&m, "/v")->is_read_only);
}

static void claims_of_other_kinds_or_not_bound_are_told(void **state)
{
	struct fixture *f = *state;
	struct value *pod = pod_of(f, "{'name':'v','persistentVolumeClaim':{'claimName':'data'}}", "", "");

	place_kit_apply(
	    f->k, &resource_persistent_volume_claims,
	    "{'apiVersion':'v1','kind':'PersistentVolumeClaim','metadata':{'name':'data'},'spec':{'accessModes':"
	    "['ReadWriteOnce'],'storageClassName':'','resources':{'requests':{'storage':'1Gi'}}}}");
	assert_false(prepare(f, pod));
	assert_non_null(strstr(f->err.message, "persistentvolumeclaim \"data\" is not bound"));
	assert_int_equal(f->err.code, ERROR_UNAVAILABLE);
	place_kit_delete(f->k, &resource_persistent_volume_claims, "data");
	claim_bind(f, "'nfs':{'server':'s','path':'/'}");
	assert_false(prepare(f, pod));
	assert_non_null(strstr(f->err.message, "persistentvolume \"pv\" is of type nfs, which this node can't mount"));
}

static void an_ephemeral_volume_makes_its_claim(void **state)
{
	struct fixture *f = *state;
	struct value *pod = stored_pod(f, "robot"), *claim;

	(void)value_set(
	    value_find(pod, "spec"), SPAN("volumes"),
	    *place_kit_parse(f->k,
			     "[{'name':'v','ephemeral':{'volumeClaimTemplate':{'metadata':{'labels':{'a':'b'}},"
			     "'spec':{'accessModes':['ReadWriteOnce'],'resources':{'requests':{'storage':'1Gi'}}}}}"
			     "}]"),
	    &f->k->api.arena, &f->err);
	assert_false(prepare(f, pod));
	assert_non_null(strstr(f->err.message, "persistentvolumeclaim \"web-v\" not found"));
	claim = place_kit_get(f->k, &resource_persistent_volume_claims, "default", "web-v");
	assert_non_null(claim);
	assert_true(span_equal(value_find_string(claim, "metadata.labels.a"), SPAN("b")));
	assert_false(prepare(f, pod));
	assert_non_null(strstr(f->err.message, "persistentvolumeclaim \"web-v\" is not bound"));
	/* One of the same name that is somebody else's is not taken. */
	(void)value_set(value_find(pod, "metadata"), SPAN("uid"), value_string(SPAN("other")), &f->k->api.arena,
			&f->err);
	assert_false(prepare(f, pod));
	assert_non_null(
	    strstr(f->err.message, "PVC \"web-v\" was not created for pod \"default/web\" (pod is not owner)"));
}

/* ---- mounts ---- */

static void a_sub_path_is_made_and_stays_inside(void **state)
{
	static const struct name_value environment[] = { { SPAN_INIT("POD"), SPAN_INIT("web-1") } };
	static const struct {
		const char *mount, *path, *message;
	} rows[] = {
		{ "'subPath':'logs/web'", "volumes/v/logs/web", NULL },
		{ "'subPathExpr':'logs/$(POD)'", "volumes/v/logs/web-1", NULL },
		{ "'subPath':'in'", "volumes/v/logs", NULL },
		{ "'subPath':'file'", "volumes/v/file", NULL },
		{ "'subPathExpr':'$(NONE)'", NULL, "missing value for \"NONE\"" },
		{ "'subPath':'a/../b'", NULL, "must not contain '..'" },
		{ "'subPathExpr':'/etc'", NULL, "must not be an absolute path" },
		{ "'subPath':'out'", NULL, "subPath \"out\" leads out of its volume" },
		{ "'subPath':'out/passwd'", NULL, "subPath \"out/passwd\" leads out of its volume" },
		{ "'subPath':'up/deep'", NULL, "subPath \"up/deep\" leads out of its volume" },
		{ "'mountPropagation':'HostToContainer'", NULL, "mountPropagation HostToContainer" },
		{ "'recursiveReadOnly':'Enabled'", NULL, "recursiveReadOnly" },
	};
	struct fixture *f = *state;

	assert_prepared(f, pod_of(f, "{'name':'v','emptyDir':{}}", "", ""));
	assert_int_equal(mkdir(path_in(f, "volumes/v/logs"), 0700), 0);
	assert_int_equal(symlink("logs", path_in(f, "volumes/v/in")), 0);
	assert_int_equal(symlink("/etc", path_in(f, "volumes/v/out")), 0);
	assert_int_equal(symlink("../..", path_in(f, "volumes/v/up")), 0);
	put_file(f, "volumes/v/file", "x");
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct value *pod = pod_of(
		    f, "{'name':'v','emptyDir':{}}",
		    arena_print(&f->k->api.arena, &f->err, "{'name':'v','mountPath':'/v',%s}", rows[i].mount).ptr, "");
		struct mounts m;

		if (mounts_make(f, pod, environment, 1, &m) != (rows[i].message == NULL))
			fail_msg("%s: %s", rows[i].mount, f->err.message);
		if (rows[i].message)
			assert_non_null(strstr(f->err.message, rows[i].message));
		else
			assert_true(span_equal(mount_at(&m, "/v")->host_path, span_of(path_in(f, rows[i].path))));
		if (rows[i].path)
			assert_true(is_there(f, rows[i].path));
	}
	assert_int_equal(mode_at(f, "volumes/v/logs/web"), 0777); /* as the volume */
	assert_false(is_there(f, "deep"));                        /* nothing was made outside */
}

static void contents_are_read_only_and_may_be_mounted_by_file(void **state)
{
	struct fixture *f = *state;
	struct value *pod =
	    pod_of(f, "{'name':'v','configMap':{'name':'conf'}},{'name':'e','emptyDir':{}}",
		   "{'name':'v','mountPath':'/etc/app'},{'name':'v','mountPath':'/etc/one','subPath':'a'},"
		   "{'name':'e','mountPath':'/etc/app/data','readOnly':true}",
		   "");
	struct mounts m;
	char real[PATH_MAX];

	config_map(f, "'data':{'a':'one'}");
	assert_prepared(f, pod);
	assert_true(is_there(f, "volumes/v/data")); /* where the other is mounted */
	assert_true(mounts_make(f, pod, NULL, 0, &m));
	assert_true(mount_at(&m, "/etc/app")->is_read_only);
	assert_true(mount_at(&m, "/etc/one")->is_read_only);
	assert_true(mount_at(&m, "/etc/app/data")->is_read_only);
	assert_non_null(realpath(path_in(f, "volumes/v/a"), real));
	assert_true(span_equal(mount_at(&m, "/etc/one")->host_path, span_of(real)));
	volumes_refresh(f->v, pod, f->k->now_ns);
	assert_true(is_there(f, "volumes/v/data"));
}

static void every_container_has_its_files_of_etc(void **state)
{
	struct fixture *f = *state;
	struct value *pod =
	    pod_of(f, "", "",
		   "'hostname':'web-0','subdomain':'web','dnsPolicy':'ClusterFirst','hostAliases':[{'ip':"
		   "'10.1.1.1','hostnames':['a','b']}],'dnsConfig':{'nameservers':['9.9.9.9'],'searches':"
		   "['x.org'],'options':[{'name':'ndots','value':'2'},{'name':'edns0'}]},");
	const char *resolv;
	struct mounts m;

	assert_prepared(f, pod);
	assert_text(f, "etc/hostname", "web-0\n");
	assert_text(
	    f, "etc/hosts",
	    "# Kubernetes-managed hosts file.\n127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n"
	    "fe00::0\tip6-localnet\nfe00::0\tip6-mcastprefix\nfe00::1\tip6-allnodes\nfe00::2\tip6-allrouters\n"
	    "127.97.0.5\tweb-0.web.default.svc.cluster.local\tweb-0\n\n# Entries added by HostAliases.\n"
	    "10.1.1.1\ta\tb\n");
	resolv = text_of(f, "etc/resolv.conf");
	assert_memory_equal(resolv, "search default.svc.cluster.local svc.cluster.local cluster.local", 64);
	assert_non_null(strstr(resolv, " x.org\n"));
	assert_non_null(strstr(resolv, "\nnameserver 127.96.0.10\nnameserver 9.9.9.9\noptions ndots:2 edns0\n"));
	assert_true(mounts_make(f, pod, NULL, 0, &m));
	assert_true(span_equal(mount_at(&m, "/etc/hosts")->host_path, span_of(path_in(f, "etc/hosts"))));
	mount_at(&m, "/etc/resolv.conf");
	mount_at(&m, "/etc/hostname");
	mount_at(&m, "/dev/termination-log");
	/* None: only what the pod says. */
	pod = pod_of(f, "", "", "'dnsPolicy':'None','dnsConfig':{'nameservers':['9.9.9.9']},");
	assert_prepared(f, pod);
	assert_text(f, "etc/resolv.conf", "nameserver 9.9.9.9\n");
}

static void a_container_says_why_it_ended(void **state)
{
	struct fixture *f = *state;
	struct value *pod = pod_of(f, "", "", "");
	char *large = base_alloc(6000);
	struct mounts m;
	FILE *file;

	assert_prepared(f, pod);
	assert_true(mounts_make(f, pod, NULL, 0, &m));
	assert_int_equal(mode_at(f, "etc/termination/c.0"), 0666);
	assert_int_equal(volumes_termination_message(f->v, SPAN("c"), 0, &f->k->api.arena).len, 0);
	put_file(f, "etc/termination/c.0", "out of luck\xff!");
	assert_true(span_equal(volumes_termination_message(f->v, SPAN("c"), 0, &f->k->api.arena),
			       SPAN("out of luck\xef\xbf\xbd!")));
	memset(large, 'a', 6000);
	large[5999] = 'z';
	file = fopen(path_in(f, "etc/termination/c.0"), "w");
	assert_int_equal(fwrite(large, 1, 6000, file), 6000);
	fclose(file);
	assert_int_equal(volumes_termination_message(f->v, SPAN("c"), 0, &f->k->api.arena).len, 4096);
	assert_int_equal(volumes_termination_message(f->v, SPAN("c"), 0, &f->k->api.arena).ptr[4095], 'z');
	assert_int_equal(volumes_termination_message(f->v, SPAN("none"), 0, &f->k->api.arena).len, 0);
	free(large);
}

/* ---- trees ---- */

static void use_is_counted_and_what_is_over_its_limit_is_named(void **state)
{
	struct fixture *f = *state;
	struct value *pod = pod_of(f, "{'name':'a','emptyDir':{}},{'name':'b','emptyDir':{'sizeLimit':'1Mi'}}", "", "");
	char *block = base_calloc(1, MIB(2));
	struct span over;
	int64_t bytes;
	FILE *file;

	assert_prepared(f, pod);
	assert_true(volumes_usage(span_of(f->folder), pod, &bytes, &over, &f->k->api.arena, &f->err));
	assert_int_equal(over.len, 0);
	assert_int_equal(mkdir(path_in(f, "volumes/b/x"), 0700), 0);
	memset(block, 'x', MIB(2));
	file = fopen(path_in(f, "volumes/b/x/large"), "w");
	assert_int_equal(fwrite(block, 1, MIB(2), file), MIB(2));
	fclose(file);
	free(block);
	assert_true(volumes_usage(span_of(f->folder), pod, &bytes, &over, &f->k->api.arena, &f->err));
	assert_true(bytes >= (int64_t)MIB(2));
	assert_true(span_equal(over, SPAN("b")));
}

/* Deeper than a path may be long, and than a process may have descriptors. */
static void deep_make(const char *top, int depth)
{
	int fd = open(top, O_RDONLY | O_DIRECTORY), next;

	assert_true(fd >= 0);
	for (int i = 0; i < depth; i++) {
		assert_int_equal(mkdirat(fd, "d", 0700), 0);
		next = openat(fd, "d", O_RDONLY | O_DIRECTORY);
		assert_true(next >= 0);
		close(fd);
		fd = next;
	}
	close(fd);
}

static void the_deepest_tree_is_removed_and_links_are_not_followed(void **state)
{
	struct fixture *f = *state;
	struct value *pod = pod_of(f, "{'name':'v','emptyDir':{'sizeLimit':'1Gi'}}", "", "");
	struct span over;
	int64_t bytes;

	assert_prepared(f, pod);
	assert_int_equal(mkdir(path_in(f, "kept"), 0700), 0);
	put_file(f, "kept/file", "x");
	assert_int_equal(symlink("../../kept", path_in(f, "volumes/v/link")), 0);
	deep_make(path_in(f, "volumes/v"), 3000);
	/* It cannot be measured: that counts as too much. */
	assert_true(volumes_usage(span_of(f->folder), pod, &bytes, &over, &f->k->api.arena, &f->err));
	assert_true(span_equal(over, SPAN("v")));
	assert_true(tree_remove_now(AT_FDCWD, path_in(f, "volumes/v")));
	assert_false(is_there(f, "volumes/v"));
	assert_text(f, "kept/file", "x");
}

static void what_is_freed_is_out_of_the_way_at_once(void **state)
{
	struct fixture *f = *state;

	assert_prepared(f, pod_of(f, "{'name':'v','emptyDir':{}}", "", ""));
	volumes_free(f->v, true);
	assert_true(is_there(f, "volumes/v"));
	f->v = volumes_new(&f->config, &f->err);
	volumes_free(f->v, false);
	f->v = NULL;
	assert_false(is_there(f, "volumes"));
	assert_false(is_there(f, "etc"));
}

static bool is_swept(void *context)
{
	return !is_there(context, ".removed-1");
}

static void what_was_being_removed_goes_at_the_next_start(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(mkdir(path_in(f, ".removed-1"), 0700), 0);
	assert_int_equal(mkdir(path_in(f, ".removed-1/below"), 0700), 0);
	put_file(f, ".removed-1/below/file", "x");
	volumes_sweep(span_of(f->folder));
	place_kit_settle(f->k, is_swept, f);
	assert_true(is_there(f, "volumes"));
}

static void volumes_may_be_freed_while_they_are_prepared(void **state)
{
	struct fixture *f = *state;
	struct value *pod = stored_pod(f, "robot");

	volumes_prepare(f->v, pod, done, f);
	volumes_free(f->v, true);
	f->v = NULL;
	place_kit_settle(f->k, NULL, NULL);
	assert_false(f->is_done);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(keys_become_files_behind_one_link),
		TEST(a_change_replaces_all_files_at_once_and_removes_old_ones),
		TEST(leftovers_of_a_write_that_was_cut_off_are_taken_away),
		TEST(what_a_volume_lacks_is_told_and_tried_again),
		TEST(what_is_optional_may_be_absent),
		TEST(names_of_files_stay_inside),
		TEST(a_volume_has_so_many_files_at_most),
		TEST(the_pod_is_told_of_itself),
		TEST(a_token_is_there_beside_the_certificate_and_the_namespace),
		TEST(a_token_is_renewed_after_four_fifths_of_its_life),
		TEST(a_token_that_is_refused_is_told),
		TEST(an_empty_folder_is_everybodys),
		TEST(a_folder_in_memory_is_the_runtimes),
		TEST(folders_of_the_machine_are_checked_by_type),
		TEST(the_data_folder_and_forbidden_paths_are_refused),
		TEST(volumes_belong_to_the_group_of_the_pod),
		TEST(claims_lead_to_folders_that_are_made_when_missing),
		TEST(claims_of_other_kinds_or_not_bound_are_told),
		TEST(an_ephemeral_volume_makes_its_claim),
		TEST(a_sub_path_is_made_and_stays_inside),
		TEST(contents_are_read_only_and_may_be_mounted_by_file),
		TEST(every_container_has_its_files_of_etc),
		TEST(a_container_says_why_it_ended),
		TEST(use_is_counted_and_what_is_over_its_limit_is_named),
		TEST(the_deepest_tree_is_removed_and_links_are_not_followed),
		TEST(what_is_freed_is_out_of_the_way_at_once),
		TEST(what_was_being_removed_goes_at_the_next_start),
		TEST(volumes_may_be_freed_while_they_are_prepared),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
