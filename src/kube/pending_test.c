/* SPDX-License-Identifier: Apache-2.0 */
/* Writes that come while another one of the same object waits for the disk: nobody is told of what cannot be read yet. */
#include "kube/kube_kit.h"

#include <stdio.h>

#include "kube/kube_private.h"

#define KEY "/core/configmaps/default/m"

struct answer {
	struct store *store;
	unsigned count;
	struct error err;
	int64_t revision; /* of the object in the answer; 0: none */
	int64_t readable; /* what could be read then; 0: no such object */
};

static void answered(void *context, const struct value *object, const struct error *err)
{
	struct answer *a = context;
	const struct record *r = store_get(a->store, SPAN(KEY));
	struct span revision = value_find_string(object, "metadata.resourceVersion");

	a->count++;
	if (err)
		a->err = *err;
	if (revision.len)
		assert_true(number_parse_int64(revision, &a->revision));
	a->readable = r ? r->revision : 0;
}

/* `revision` 0: any; `data` NULL: none is sent. */
static void ask(struct kube_kit *k, struct answer *a, enum kube_verb verb, int64_t revision, const char *data)
{
	struct cluster_write w = { .resource = &resource_config_maps,
				   .verb = verb,
				   .name_space = SPAN("default"),
				   .name = SPAN("m"),
				   .grace = -1,
				   .done = answered,
				   .context = a };
	struct error err = { 0 };
	char text[256], version[64] = "";
	struct value v;

	*a = (struct answer){ .store = k->store };
	if (revision)
		snprintf(version, sizeof(version), ",\"resourceVersion\":\"%lld\"", (long long)revision);
	snprintf(text, sizeof(text),
		 "{\"apiVersion\":\"v1\",\"kind\":\"ConfigMap\",\"metadata\":{\"name\":\"m\",\"namespace\":\"default\"%"
		 "s},\"data\":{\"a\":\"%s\"}}",
		 version, data ? data : "");
	assert_true(value_parse(span_of(text), NULL, &k->arena, &v, &err));
	w.object = data ? &v : NULL;
	cluster_write(k->cluster, &w);
}

static void begin(struct kube_kit *k)
{
	kube_kit_begin(k, false, 0);
	kube_kit_settle(k, NULL, NULL);
}

static int64_t make(struct kube_kit *k, const char *data)
{
	struct answer a;

	ask(k, &a, KUBE_CREATE, 0, data);
	kube_kit_settle(k, NULL, NULL);
	assert_int_equal(a.err.code, ERROR_NONE);
	return a.revision;
}

static void end(struct kube_kit *k)
{
	kube_kit_stop(k);
	kube_kit_done(k);
}

static void what_changes_nothing_is_done_when_it_can_be_read(void **state)
{
	struct answer first, second;
	struct kube_kit k;
	int64_t made;

	(void)state;
	begin(&k);
	made = make(&k, "1");
	ask(&k, &first, KUBE_UPDATE, 0, "2");
	ask(&k, &second, KUBE_UPDATE, 0, "2");
	kube_kit_settle(&k, NULL, NULL);
	assert_int_equal(first.count, 1);
	assert_int_equal(second.count, 1);
	assert_int_equal(second.err.code, ERROR_NONE);
	assert_true(first.revision > made);
	assert_int_equal(second.revision, first.revision);
	assert_int_equal(second.readable, second.revision);
	end(&k);
}

static void a_conflict_is_told_as_one(void **state)
{
	struct answer a;
	struct kube_kit k;
	int64_t made;

	(void)state;
	begin(&k);
	made = make(&k, "1");
	ask(&k, &a, KUBE_UPDATE, made, "2");
	kube_kit_settle(&k, NULL, NULL);
	assert_int_equal(a.err.code, ERROR_NONE);
	ask(&k, &a, KUBE_UPDATE, made, "3");
	kube_kit_settle(&k, NULL, NULL);
	assert_int_equal(a.err.code, ERROR_CONFLICT);
	end(&k);
}

static void a_conflict_is_told_when_the_newer_version_can_be_read(void **state)
{
	struct answer first, second;
	struct kube_kit k;
	int64_t made;

	(void)state;
	begin(&k);
	made = make(&k, "1");
	ask(&k, &first, KUBE_UPDATE, made, "2");
	ask(&k, &second, KUBE_UPDATE, made, "3");
	kube_kit_settle(&k, NULL, NULL);
	assert_int_equal(first.err.code, ERROR_NONE);
	assert_int_equal(second.count, 1);
	assert_int_equal(second.err.code, ERROR_CONFLICT);
	assert_int_equal(second.readable, first.revision);
	end(&k);
}

static void what_exists_can_be_read(void **state)
{
	struct answer first, second;
	struct kube_kit k;

	(void)state;
	begin(&k);
	ask(&k, &first, KUBE_CREATE, 0, "1");
	ask(&k, &second, KUBE_CREATE, 0, "2");
	kube_kit_settle(&k, NULL, NULL);
	assert_int_equal(first.err.code, ERROR_NONE);
	assert_int_equal(second.count, 1);
	assert_int_equal(second.err.code, ERROR_ALREADY_EXISTS);
	assert_int_equal(second.readable, first.revision);
	end(&k);
}

static void what_is_not_found_cannot_be_read(void **state)
{
	struct answer first, deleted, updated;
	struct kube_kit k;

	(void)state;
	begin(&k);
	(void)make(&k, "1");
	ask(&k, &first, KUBE_DELETE, 0, NULL);
	ask(&k, &deleted, KUBE_DELETE, 0, NULL);
	ask(&k, &updated, KUBE_UPDATE, 0, "2");
	kube_kit_settle(&k, NULL, NULL);
	assert_int_equal(first.err.code, ERROR_NONE);
	assert_int_equal(deleted.err.code, ERROR_NOT_FOUND);
	assert_int_equal(deleted.readable, 0);
	assert_int_equal(updated.err.code, ERROR_NOT_FOUND);
	assert_int_equal(updated.readable, 0);
	end(&k);
}

/* What waited begins anew: the object is there again by then. */
static void one_that_waited_finds_what_has_come_since(void **state)
{
	struct answer gone, made, updated;
	struct kube_kit k;

	(void)state;
	begin(&k);
	(void)make(&k, "1");
	ask(&k, &gone, KUBE_DELETE, 0, NULL);
	ask(&k, &updated, KUBE_UPDATE, 0, "3");
	ask(&k, &made, KUBE_CREATE, 0, "2");
	kube_kit_settle(&k, NULL, NULL);
	assert_int_equal(gone.err.code, ERROR_NONE);
	assert_int_equal(made.err.code, ERROR_NONE);
	assert_int_equal(updated.err.code, ERROR_NONE);
	assert_true(updated.revision > made.revision);
	end(&k);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_changes_nothing_is_done_when_it_can_be_read),
		cmocka_unit_test(a_conflict_is_told_as_one),
		cmocka_unit_test(a_conflict_is_told_when_the_newer_version_can_be_read),
		cmocka_unit_test(what_exists_can_be_read),
		cmocka_unit_test(what_is_not_found_cannot_be_read),
		cmocka_unit_test(one_that_waited_finds_what_has_come_since),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
