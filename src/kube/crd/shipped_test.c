/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/clock.h"
#include "kube/crd/crd.h"
#include "kube/crd/shipped.h"
#include "kube/kinds/kinds.h"
#include "kube/kube.h"
#include "loop/loop.h"

#include <stdio.h>
#include <stdlib.h>

#define NAME SPAN("seldondeployments.machinelearning.seldon.io")

/* A server over a folder that outlives it. */
struct server {
	char folder[64];
	struct loop *loop;
	struct store *store;
	struct kube *kube;
	struct timer timer;
	unsigned quiet;
	struct arena arena;
};

static void begin(struct server *s)
{
	struct store_config store = store_config_default();
	struct kube_config config = kube_config_default();
	struct error err = { 0 };

	s->loop = loop_new();
	store.folder = s->folder;
	store.loop = s->loop;
	store.durability = STORE_BUFFERED;
	kube_prepare_store(&store);
	s->store = store_open(&store, &err);
	if (!s->store)
		fail_msg("%s", err.message);
	config.loop = s->loop;
	config.store = s->store;
	config.folder = s->folder;
	config.server_address = "127.0.0.1:6443";
	config.ships_definitions = true;
	s->kube = kube_new(&config, &err);
	if (!s->kube)
		fail_msg("%s", err.message);
	arena_init(&s->arena, MIB(64));
}

static void look(struct timer *t)
{
	struct server *s = CONTAINER_OF(t, struct server, timer);

	s->quiet = store_next_revision(s->store) == store_revision(s->store) + 1 ? s->quiet + 1 : 0;
	if (s->quiet == 10)
		loop_stop(s->loop);
	else
		loop_timer_set(s->loop, t, clock_monotonic_ns() + NS_PER_MS, look);
}

static void settle(struct server *s)
{
	s->quiet = 0;
	loop_timer_set(s->loop, &s->timer, clock_monotonic_ns(), look);
	loop_run(s->loop);
}

static void end(struct server *s)
{
	kube_stop(s->kube);
	store_close(s->store);
	kube_free(s->kube);
	loop_free(s->loop);
	arena_done(&s->arena);
}

static struct value *definition(struct server *s)
{
	struct error err = { 0 };

	return kube_object(s->kube, &kind_custom_resource_definition, (struct span){ 0 }, NAME, false, &s->arena, &err);
}

static void done(void *context, const struct value *object, const struct error *err)
{
	(void)context;
	(void)object;
	if (err && err->code)
		fail_msg("%s", err->message);
}

static void write(struct server *s, enum kube_verb verb, struct value *object)
{
	struct kube_write w = {
		.kind = &kind_custom_resource_definition, .verb = verb, .name = NAME, .object = object, .done = done
	};

	kube_write(s->kube, &w, &s->arena);
	settle(s);
}

static int start(void **state)
{
	struct server *s = base_calloc(1, sizeof(*s));

	snprintf(s->folder, sizeof(s->folder), "/tmp/hythe-shipped-XXXXXX");
	assert_non_null(mkdtemp(s->folder));
	begin(s);
	*state = s;
	return 0;
}

static int stop(void **state)
{
	struct server *s = *state;
	char command[96];

	end(s);
	snprintf(command, sizeof(command), "rm -r %s", s->folder);
	assert_int_equal(system(command), 0);
	free(s);
	return 0;
}

static const struct kind *kind_of(struct server *s, const char *version)
{
	return kube_kind(s->kube, SPAN("machinelearning.seldon.io"), span_of(version), SPAN("seldondeployments"));
}

static void shipped_kinds_are_served_before_the_first_turn_of_the_loop(void **state)
{
	static const char *const versions[] = { "v1", "v1alpha2", "v1alpha3" };
	struct server *s = *state;

	for (size_t i = 0; i < ARRAY_LEN(versions); i++) {
		const struct kind *kind = kind_of(s, versions[i]);

		assert_non_null(kind);
		assert_string_equal(kind->kind, "SeldonDeployment");
		assert_string_equal(kind->short_names[0], "sdep");
		assert_int_equal(kind->subresources, SUB_STATUS | SUB_SCALE);
	}
	settle(s);
	assert_true(crd_condition_is_true(definition(s), "Established"));
	assert_true(crd_condition_is_true(definition(s), "NamesAccepted"));
}

static void a_start_where_nothing_is_new_writes_no_definition(void **state)
{
	struct server *s = *state;
	char version[32];

	settle(s);
	snprintf(version, sizeof(version), SPAN_FMT,
		 SPAN_ARG(value_find_string(definition(s), "metadata.resourceVersion")));
	end(s);
	begin(s);
	assert_non_null(kind_of(s, "v1"));
	settle(s);
	assert_true(span_equal(value_find_string(definition(s), "metadata.resourceVersion"), span_of(version)));
}

static struct value *names_of(struct value *object)
{
	return value_find(object, "spec.names");
}

static void a_definition_that_a_user_changed_stays_his(void **state)
{
	struct server *s = *state;
	struct error err = { 0 };
	struct value *object, *names;

	settle(s);
	object = definition(s);
	names = value_ensure_array(names_of(object), SPAN("shortNames"), &s->arena, &err);
	value_append(names, value_string(SPAN("mine")), &s->arena, &err);
	write(s, KUBE_UPDATE, object);
	end(s);
	begin(s);
	settle(s);
	assert_int_equal(count_of(get(names_of(definition(s)), "shortNames")), 2);
	assert_string_equal(kind_of(s, "v1")->short_names[1], "mine");
}

static void a_definition_of_a_user_is_left_alone(void **state)
{
	struct server *s = *state;
	struct value *object;

	settle(s);
	object = definition(s);
	drop(value_find(object, "metadata"), "annotations");
	drop(names_of(object), "shortNames");
	write(s, KUBE_UPDATE, object);
	end(s);
	begin(s);
	settle(s);
	assert_null(get(names_of(definition(s)), "shortNames"));
}

/* As another version of hythe would have left it: the number is that of what it wrote. */
static void an_older_form_of_hythes_own_is_brought_up_to_date(void **state)
{
	struct server *s = *state;
	struct error err = { 0 };
	struct value *object;
	struct span text;
	char number[32];

	settle(s);
	object = definition(s);
	drop(names_of(object), "shortNames");
	text = value_print(get(object, "spec"), &s->arena, &err);
	snprintf(number, sizeof(number), "%016llx", (unsigned long long)span_hash(text));
	value_set(value_find(object, "metadata.annotations"), SPAN("hythe.dev/shipped"), value_string(span_of(number)),
		  &s->arena, &err);
	write(s, KUBE_UPDATE, object);
	assert_null(kind_of(s, "v1")->short_names);
	end(s);
	begin(s);
	assert_non_null(kind_of(s, "v1")->short_names);
	settle(s);
	assert_int_equal(count_of(get(names_of(definition(s)), "shortNames")), 1);
}

static void a_definition_that_was_deleted_comes_back_with_the_next_start(void **state)
{
	struct server *s = *state;

	settle(s);
	write(s, KUBE_DELETE, NULL);
	for (int i = 0; i < 1000 && definition(s); i++)
		settle(s);
	assert_null(definition(s));
	assert_null(kind_of(s, "v1"));
	end(s);
	begin(s);
	assert_non_null(kind_of(s, "v1"));
	settle(s);
	assert_true(crd_condition_is_true(definition(s), "Established"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(shipped_kinds_are_served_before_the_first_turn_of_the_loop, start,
						stop),
		cmocka_unit_test_setup_teardown(a_start_where_nothing_is_new_writes_no_definition, start, stop),
		cmocka_unit_test_setup_teardown(a_definition_that_a_user_changed_stays_his, start, stop),
		cmocka_unit_test_setup_teardown(a_definition_of_a_user_is_left_alone, start, stop),
		cmocka_unit_test_setup_teardown(an_older_form_of_hythes_own_is_brought_up_to_date, start, stop),
		cmocka_unit_test_setup_teardown(a_definition_that_was_deleted_comes_back_with_the_next_start, start,
						stop),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
