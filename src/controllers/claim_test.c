/* SPDX-License-Identifier: Apache-2.0 */
/* claim_test - which volume a claim gets, what is made for it, and what becomes of it. */
#include "controllers/kit.h"

#include <stdio.h>

static const char *const only[] = { "persistentvolume-binder-controller", NULL };

static void volume(struct kit *k, const char *name, const char *size, const char *more)
{
	kit_apply(k, &resource_persistent_volumes,
		  "{'apiVersion':'v1','kind':'PersistentVolume','metadata':{'name':'%s','labels':{'is':'%s'}},'spec':{'"
		  "capacity':{"
		  "'storage':'%s'},'hostPath':{'path':'/data/%s'},%s}}",
		  name, name, size, name, more);
}

static void claim(struct kit *k, const char *name, const char *size, const char *more)
{
	kit_apply(
	    k, &resource_persistent_volume_claims,
	    "{'apiVersion':'v1','kind':'PersistentVolumeClaim','metadata':{'name':'%s','namespace':'default'},'spec':{"
	    "'resources':{'requests':{'storage':'%s'}},%s}}",
	    name, size, more);
}

#define ONCE     "'accessModes':['ReadWriteOnce']"
#define MANUAL   ONCE ",'storageClassName':'manual'"
#define NO_CLASS ONCE ",'storageClassName':''"

/* "Bound small 5Gi" */
static const char *told(struct kit *k, const char *name)
{
	static char text[256];
	const struct value *c = kit_get(k, &resource_persistent_volume_claims, name);

	snprintf(text, sizeof(text), SPAN_FMT " " SPAN_FMT " " SPAN_FMT, SPAN_ARG(value_find_string(c, "status.phase")),
		 SPAN_ARG(value_find_string(c, "spec.volumeName")),
		 SPAN_ARG(value_find_string(c, "status.capacity.storage")));
	return text;
}

static const char *phase(struct kit *k, const char *name)
{
	static char text[64];
	const struct value *v = kit_get(k, &resource_persistent_volumes, name);

	snprintf(text, sizeof(text), SPAN_FMT, SPAN_ARG(value_find_string(v, "status.phase")));
	return v ? text : "gone";
}

static bool has_event(struct kit *k, const char *reason)
{
	const struct value *events = kit_list(k, &resource_events);

	for (uint32_t i = 0; i < value_count(events); i++)
		if (span_equal(value_find_string(value_item(events, i), "reason"), span_of(reason)))
			return true;
	return false;
}

static void the_smallest_that_is_large_enough_is_bound(void **state)
{
	struct kit *k = kit_new(only);
	const struct value *v, *c;

	(void)state;
	volume(k, "large", "50Gi", MANUAL);
	volume(k, "medium", "10Gi", MANUAL);
	volume(k, "small", "1Gi", MANUAL);
	volume(k, "other", "5Gi", ONCE ",'storageClassName':'else'");
	assert_string_equal(phase(k, "small"), "Available");
	claim(k, "c", "5Gi", MANUAL);
	assert_string_equal(told(k, "c"), "Bound medium 10Gi");
	assert_string_equal(phase(k, "medium"), "Bound");
	assert_string_equal(phase(k, "large"), "Available");
	v = kit_get(k, &resource_persistent_volumes, "medium");
	c = kit_get(k, &resource_persistent_volume_claims, "c");
	assert_true(span_equal(value_find_string(v, "spec.claimRef.uid"), value_find_string(c, "metadata.uid")));
	assert_true(span_equal(object_annotation(v, "pv.kubernetes.io/bound-by-controller"), SPAN("yes")));
	assert_true(span_equal(object_annotation(c, "pv.kubernetes.io/bind-completed"), SPAN("yes")));
	assert_true(span_equal(object_annotation(c, "pv.kubernetes.io/bound-by-controller"), SPAN("yes")));
	assert_int_equal(value_count(value_find(c, "status.accessModes")), 1);
	kit_done(k);
}

static void two_claims_never_get_one_volume(void **state)
{
	struct kit *k = kit_new(only);

	(void)state;
	claim(k, "a", "1Gi", NO_CLASS);
	claim(k, "b", "1Gi", NO_CLASS);
	assert_string_equal(told(k, "a"), "Pending  ");
	assert_true(has_event(k, "FailedBinding"));
	volume(k, "one", "1Gi", ONCE);
	kit_advance(k, 10);
	assert_int_equal(strncmp(told(k, "a"), "Bound", 5) == 0 ? 1 : 0,
			 strncmp(told(k, "b"), "Bound", 5) == 0 ? 0 : 1);
	volume(k, "two", "1Gi", ONCE);
	kit_advance(k, 10);
	assert_int_equal(strncmp(told(k, "a"), "Bound", 5), 0);
	assert_int_equal(strncmp(told(k, "b"), "Bound", 5), 0);
	kit_done(k);
}

static void selectors_modes_and_names_are_heeded(void **state)
{
	struct kit *k = kit_new(only);

	(void)state;
	volume(k, "one", "1Gi", ONCE);
	volume(k, "two", "9Gi", ONCE);
	volume(k, "three", "9Gi", "'accessModes':['ReadWriteMany','ReadWriteOnce']");
	claim(k, "by-label", "1Gi", NO_CLASS ",'selector':{'matchLabels':{'is':'two'}}");
	assert_string_equal(told(k, "by-label"), "Bound two 9Gi");
	claim(k, "many", "1Gi", "'storageClassName':'','accessModes':['ReadWriteMany']");
	assert_string_equal(told(k, "many"), "Bound three 9Gi");
	claim(k, "too-much", "2Gi", NO_CLASS ",'volumeName':'one'");
	assert_string_equal(told(k, "too-much"), "Pending one ");
	assert_true(has_event(k, "VolumeMismatch"));
	claim(k, "by-name", "1Gi", NO_CLASS ",'volumeName':'one'");
	assert_string_equal(told(k, "by-name"), "Bound one 1Gi");
	kit_done(k);
}

static void a_volume_that_is_kept_for_a_claim_waits_for_it(void **state)
{
	struct kit *k = kit_new(only);

	(void)state;
	volume(k, "kept", "1Gi", ONCE ",'claimRef':{'namespace':'default','name':'mine'}");
	assert_string_equal(phase(k, "kept"), "Available");
	claim(k, "other", "1Gi", NO_CLASS);
	assert_string_equal(told(k, "other"), "Pending  ");
	claim(k, "mine", "1Gi", NO_CLASS);
	assert_string_equal(told(k, "mine"), "Bound kept 1Gi");
	kit_done(k);
}

static void a_folder_is_made_for_a_claim_of_the_default_class(void **state)
{
	struct kit *k = kit_new(only);
	const struct value *class = kit_get(k, &resource_storage_classes, "standard"), *c, *v;
	char name[128], path[256];

	(void)state;
	assert_non_null(class);
	assert_true(span_equal(value_find_string(class, "provisioner"), SPAN("hythe.dev/local")));
	claim(k, "c", "5Gi", ONCE);
	c = kit_get(k, &resource_persistent_volume_claims, "c");
	snprintf(name, sizeof(name), "pvc-" SPAN_FMT, SPAN_ARG(value_find_string(c, "metadata.uid")));
	assert_true(span_equal(value_find_string(c, "spec.storageClassName"), SPAN("standard")));
	assert_true(span_equal(value_find_string(c, "spec.volumeName"), span_of(name)));
	assert_true(span_equal(value_find_string(c, "status.phase"), SPAN("Bound")));
	assert_true(has_event(k, "ProvisioningSucceeded"));
	v = kit_get(k, &resource_persistent_volumes, name);
	snprintf(path, sizeof(path), "%s/volumes/%s", k->api.folder, name);
	assert_true(span_equal(value_find_string(v, "spec.hostPath.path"), span_of(path)));
	assert_true(span_equal(object_annotation(v, "pv.kubernetes.io/provisioned-by"), SPAN("hythe.dev/local")));
	assert_string_equal(phase(k, name), "Bound");
	kit_delete(k, &resource_persistent_volume_claims, "c");
	v = kit_get(k, &resource_persistent_volumes, name);
	assert_string_equal(phase(k, name), "Released");
	assert_true(object_is_ending(v)); /* until the node has removed the folder */
	assert_int_equal(value_count(value_find(v, "metadata.finalizers")), 1);
	assert_true(
	    span_equal(value_item(value_find(v, "metadata.finalizers"), 0)->string, SPAN("hythe.dev/local-volume")));
	kit_done(k);
}

static void what_is_to_be_retained_is(void **state)
{
	struct kit *k = kit_new(only);

	(void)state;
	volume(k, "one", "1Gi", ONCE);
	claim(k, "c", "1Gi", NO_CLASS);
	kit_delete(k, &resource_persistent_volume_claims, "c");
	assert_string_equal(phase(k, "one"), "Released");
	assert_false(object_is_ending(kit_get(k, &resource_persistent_volumes, "one")));
	claim(k, "d", "1Gi", NO_CLASS);
	assert_string_equal(told(k, "d"), "Pending  ");
	kit_done(k);
}

static void a_claim_whose_volume_is_gone_is_lost(void **state)
{
	struct kit *k = kit_new(only);

	(void)state;
	claim(k, "c", "1Gi", NO_CLASS ",'volumeName':'none'");
	assert_string_equal(told(k, "c"), "Pending none ");
	volume(k, "none", "1Gi", ONCE);
	assert_string_equal(told(k, "c"), "Bound none 1Gi");
	volume(k, "none", "1Gi", ONCE ",'claimRef':{'namespace':'default','name':'x','uid':'y'}");
	assert_string_equal(told(k, "c"), "Lost none ");
	assert_true(has_event(k, "ClaimMisbound"));
	kit_done(k);
}

static void a_class_may_wait_for_a_pod(void **state)
{
	struct kit *k = kit_new(only);

	(void)state;
	kit_apply(k, &resource_storage_classes,
		  "{'apiVersion':'storage.k8s.io/v1','kind':'StorageClass','metadata':{'name':'lazy'},'provisioner':"
		  "'hythe.dev/local','volumeBindingMode':'WaitForFirstConsumer'}");
	claim(k, "c", "1Gi", ONCE ",'storageClassName':'lazy'");
	assert_string_equal(told(k, "c"), "Pending  ");
	assert_true(has_event(k, "WaitForFirstConsumer"));
	kit_apply(k, &resource_pods,
		  "{'apiVersion':'v1','kind':'Pod','metadata':{'name':'p','namespace':'default'},'spec':{'containers':["
		  "{'name':"
		  "'main','image':'x'}],'volumes':[{'name':'v','persistentVolumeClaim':{'claimName':'c'}}]}}");
	assert_int_equal(strncmp(told(k, "c"), "Bound pvc-", 10), 0);
	kit_done(k);
}

static void other_provisioners_are_asked(void **state)
{
	struct kit *k = kit_new(only);

	(void)state;
	claim(k, "c", "1Gi", ONCE ",'storageClassName':'far'");
	assert_true(has_event(k, "ProvisioningFailed"));
	kit_apply(k, &resource_storage_classes,
		  "{'apiVersion':'storage.k8s.io/"
		  "v1','kind':'StorageClass','metadata':{'name':'far'},'provisioner':'x.io/y'}");
	assert_true(span_equal(object_annotation(kit_get(k, &resource_persistent_volume_claims, "c"),
						 "volume.kubernetes.io/storage-provisioner"),
			       SPAN("x.io/y")));
	assert_true(has_event(k, "ExternalProvisioning"));
	kit_done(k);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_smallest_that_is_large_enough_is_bound),
		cmocka_unit_test(two_claims_never_get_one_volume),
		cmocka_unit_test(selectors_modes_and_names_are_heeded),
		cmocka_unit_test(a_volume_that_is_kept_for_a_claim_waits_for_it),
		cmocka_unit_test(a_folder_is_made_for_a_claim_of_the_default_class),
		cmocka_unit_test(what_is_to_be_retained_is),
		cmocka_unit_test(a_claim_whose_volume_is_gone_is_lost),
		cmocka_unit_test(a_class_may_wait_for_a_pod),
		cmocka_unit_test(other_provisioners_are_asked),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
