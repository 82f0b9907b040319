/* SPDX-License-Identifier: Apache-2.0 */
#include "node/volume_keeper.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "node/place_kit.h"
#include "node/volumes_private.h"

struct fixture {
	struct place_kit *k;
	struct volume_keeper *keeper;
	char folder[80];
	const char *name;
};

static void keeper_begin(struct fixture *f)
{
	f->keeper = volume_keeper_new(f->k->api.cluster, f->k->api.loop, span_of(f->folder), &f->k->err);
	assert_non_null(f->keeper);
}

static int setup(void **state)
{
	struct fixture *f = base_calloc(1, sizeof(*f));

	f->k = place_kit_new();
	snprintf(f->folder, sizeof(f->folder), "%s/volumes", f->k->api.folder);
	assert_int_equal(mkdir(f->folder, 0755), 0);
	keeper_begin(f);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	volume_keeper_stop(f->keeper);
	place_kit_settle(f->k, NULL, NULL);
	volume_keeper_free(f->keeper);
	place_kit_done(f->k);
	free(f);
	return 0;
}

static const char *below(const struct fixture *f, const char *path)
{
	static char text[256];

	snprintf(text, sizeof(text), "%s/%s", f->folder, path);
	return text;
}

static bool is_there(const struct fixture *f, const char *path)
{
	struct stat s;

	return lstat(below(f, path), &s) == 0;
}

static void file_make(const char *path)
{
	FILE *file = fopen(path, "w");

	assert_non_null(file);
	fclose(file);
}

static void volume_make(struct fixture *f, const char *name, const char *path, const char *policy, const char *rest)
{
	(void)place_kit_apply(f->k, &resource_persistent_volumes,
			      "{'apiVersion':'v1','kind':'PersistentVolume','metadata':{'name':'%s','finalizers':"
			      "['" LOCAL_VOLUME_FINALIZER
			      "'],'annotations':{'pv.kubernetes.io/provisioned-by':'" LOCAL_PROVISIONER
			      "'}},'spec':{'capacity':{'storage':'1Gi'},'accessModes':['ReadWriteOnce'],"
			      "'persistentVolumeReclaimPolicy':'%s','hostPath':{'path':'%s'}}%s}",
			      name, policy, path, rest);
}

static bool is_gone(void *context)
{
	struct fixture *f = context;

	return !place_kit_get(f->k, &resource_persistent_volumes, "", f->name);
}

static void wait_gone(struct fixture *f, const char *name)
{
	f->name = name;
	place_kit_settle(f->k, is_gone, f);
}

static bool has_event(void *context, struct record *r)
{
	*(int *)context += record_mentions(r, SPAN("VolumeFailedDelete"));
	return true;
}

static int failures(struct fixture *f)
{
	int count = 0;

	cluster_each(f->k->api.cluster, &resource_events, (struct span){ 0 }, has_event, &count);
	return count;
}

static bool have_four_failed(void *context)
{
	return failures(context) >= 4;
}

static void events_seen(void *context, const struct sighting *s)
{
	(void)context;
	(void)s;
}

static void a_volume_that_is_deleted_takes_its_folder_along(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(mkdir(below(f, "pvc-1"), 0777), 0);
	assert_int_equal(mkdir(below(f, "pvc-1/deep"), 0700), 0);
	file_make(below(f, "pvc-1/deep/file"));
	assert_int_equal(mkdir(below(f, "pvc-2"), 0777), 0);
	volume_make(f, "pvc-1", below(f, "pvc-1"), "Delete", "");
	assert_true(is_there(f, "pvc-1/deep/file"));
	place_kit_delete(f->k, &resource_persistent_volumes, "pvc-1");
	wait_gone(f, "pvc-1");
	assert_false(is_there(f, "pvc-1"));
	assert_true(is_there(f, "pvc-2"));
}

static void one_whose_folder_was_never_made_goes_too(void **state)
{
	struct fixture *f = *state;

	volume_make(f, "pvc-1", below(f, "pvc-1"), "Delete", "");
	place_kit_delete(f->k, &resource_persistent_volumes, "pvc-1");
	wait_gone(f, "pvc-1");
	assert_int_equal(rmdir(f->folder), 0);
	volume_make(f, "pvc-2", below(f, "pvc-2"), "Delete", "");
	place_kit_delete(f->k, &resource_persistent_volumes, "pvc-2");
	wait_gone(f, "pvc-2");
}

static void links_in_a_folder_and_in_its_place_are_not_followed(void **state)
{
	struct fixture *f = *state;
	char outside[128], kept[160];

	snprintf(outside, sizeof(outside), "%s/outside", f->k->api.folder);
	snprintf(kept, sizeof(kept), "%s/kept", outside);
	assert_int_equal(mkdir(outside, 0755), 0);
	file_make(kept);
	assert_int_equal(mkdir(below(f, "pvc-1"), 0777), 0);
	assert_int_equal(symlink(outside, below(f, "pvc-1/link")), 0);
	assert_int_equal(symlink(outside, below(f, "pvc-2")), 0);
	volume_make(f, "pvc-1", below(f, "pvc-1"), "Delete", "");
	volume_make(f, "pvc-2", below(f, "pvc-2"), "Delete", "");
	place_kit_delete(f->k, &resource_persistent_volumes, "pvc-1");
	place_kit_delete(f->k, &resource_persistent_volumes, "pvc-2");
	wait_gone(f, "pvc-1");
	wait_gone(f, "pvc-2");
	assert_false(is_there(f, "pvc-1"));
	assert_false(is_there(f, "pvc-2"));
	assert_int_equal(access(kept, F_OK), 0);
}

static void folders_of_others_are_left_alone_and_that_is_told(void **state)
{
	struct fixture *f = *state;
	struct error err = { 0 };
	char outside[128];

	assert_true(cluster_follow(f->k->api.cluster, &resource_events, events_seen, f, &err));
	snprintf(outside, sizeof(outside), "%s/pod", f->k->api.folder);
	assert_int_equal(mkdir(below(f, "pvc-1"), 0777), 0);
	volume_make(f, "pv-outside", outside, "Delete", "");
	volume_make(f, "pv-other", below(f, "pvc-1"), "Delete", "");
	volume_make(f, "pv-all", f->folder, "Delete", "");
	volume_make(f, "pv-deep", below(f, "pv-deep/pvc-1"), "Delete", "");
	place_kit_delete(f->k, &resource_persistent_volumes, "pv-outside");
	place_kit_delete(f->k, &resource_persistent_volumes, "pv-other");
	place_kit_delete(f->k, &resource_persistent_volumes, "pv-all");
	place_kit_delete(f->k, &resource_persistent_volumes, "pv-deep");
	place_kit_settle(f->k, have_four_failed, f);
	assert_int_equal(failures(f), 4);
	assert_true(is_there(f, "pvc-1"));
	assert_int_equal(access(outside, F_OK), 0);
	assert_non_null(place_kit_get(f->k, &resource_persistent_volumes, "", "pv-other"));
}

static void a_folder_that_is_to_be_retained_stays(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(mkdir(below(f, "pvc-1"), 0777), 0);
	volume_make(f, "pvc-1", below(f, "pvc-1"), "Retain", "");
	place_kit_delete(f->k, &resource_persistent_volumes, "pvc-1");
	wait_gone(f, "pvc-1");
	assert_true(is_there(f, "pvc-1"));
}

static void a_folder_stays_as_long_as_a_claim_has_it(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(mkdir(below(f, "pvc-1"), 0777), 0);
	volume_make(f, "pvc-1", below(f, "pvc-1"), "Delete", ",'status':{'phase':'Bound'}");
	place_kit_delete(f->k, &resource_persistent_volumes, "pvc-1");
	place_kit_settle(f->k, NULL, NULL);
	assert_true(is_there(f, "pvc-1"));
	place_kit_status(f->k, &resource_persistent_volumes, "pvc-1", "{'phase':'Released'}");
	wait_gone(f, "pvc-1");
	assert_false(is_there(f, "pvc-1"));
}

static void what_was_deleted_before_is_found_again(void **state)
{
	struct fixture *f = *state;

	volume_keeper_stop(f->keeper);
	assert_int_equal(mkdir(below(f, "pvc-1"), 0777), 0);
	volume_make(f, "pvc-1", below(f, "pvc-1"), "Delete", "");
	place_kit_delete(f->k, &resource_persistent_volumes, "pvc-1");
	assert_true(is_there(f, "pvc-1"));
	/* The old one is still told of changes, as that of a node that is being ended. */
	struct volume_keeper *old = f->keeper;

	keeper_begin(f);
	wait_gone(f, "pvc-1");
	assert_false(is_there(f, "pvc-1"));
	volume_keeper_free(old);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_volume_that_is_deleted_takes_its_folder_along, setup, teardown),
		cmocka_unit_test_setup_teardown(one_whose_folder_was_never_made_goes_too, setup, teardown),
		cmocka_unit_test_setup_teardown(links_in_a_folder_and_in_its_place_are_not_followed, setup, teardown),
		cmocka_unit_test_setup_teardown(folders_of_others_are_left_alone_and_that_is_told, setup, teardown),
		cmocka_unit_test_setup_teardown(a_folder_that_is_to_be_retained_stays, setup, teardown),
		cmocka_unit_test_setup_teardown(a_folder_stays_as_long_as_a_claim_has_it, setup, teardown),
		cmocka_unit_test_setup_teardown(what_was_deleted_before_is_found_again, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
