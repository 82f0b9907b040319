/* SPDX-License-Identifier: Apache-2.0 */
/* Writes of one object that come together, or one behind the other. */
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_conflict_is_told_as_one),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
