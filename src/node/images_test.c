/* SPDX-License-Identifier: Apache-2.0 */
#include "node/images.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "node/place_kit.h"

static int setup(void **state)
{
	unsetenv("VIRTUAL_ENV");
	unsetenv("HYTHE_PYTHON");
	setenv("PATH", "/usr/bin:/bin", 1);
	*state = place_kit_new();
	return 0;
}

static int teardown(void **state)
{
	place_kit_done(*state);
	return 0;
}

static void the_most_specific_line_is_found(void **state)
{
	static const struct span lines =
	    SPAN_INIT("# comment\nmodel /m\nmodel:0.2 /m02\nreg.io/team/model:0.1 /r\nother:latest /o\n"
		      "bad\nrelative x\nteam/tool /t\nx@sha256:ab /d\n");
	static const struct {
		const char *reference, *folder;
	} rows[] = {
		{ "model", "/m" },
		{ "model:9", "/m" },
		{ "model:0.2", "/m02" },
		{ "model:0.2@sha256:12", "/m02" },
		{ "reg.io/team/model:0.1", "/r" },
		{ "reg.io/team/model:0.2", "" },
		{ "docker.io/library/model:0.2", "/m02" },
		{ "localhost/model", "/m" },
		{ "registry:5000/model:3", "/m" },
		{ "registry:5000/model", "/m" },
		{ "other", "/o" },
		{ "other:1", "" },
		{ "host.name/team/tool:1@sha256:00", "/t" },
		{ "tool", "" },
		{ "relative", "" },
		{ "x@sha256:ab", "/d" },
		{ "", "" },
	};
	struct place_kit *k = *state;

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct span found = images_match(lines, span_of(rows[i].reference), &k->api.arena);

		if (!span_equal(found, span_of(rows[i].folder)))
			fail_msg("%s finds '" SPAN_FMT "'", rows[i].reference, SPAN_ARG(found));
	}
}

static void put_file(struct place_kit *k, const char *name, const char *text)
{
	char path[256];
	FILE *file;

	(void)snprintf(path, sizeof(path), "%s/pod/%s", k->api.folder, name);
	file = fopen(path, "we");
	assert_non_null(file);
	assert_true(fputs(text, file) >= 0);
	assert_int_equal(fclose(file), 0);
}

static const struct value *container_of(struct place_kit *k, const char *text)
{
	return value_item(value_find(place_kit_parse(k, "{'spec':{'containers':[%s]}}", text), "spec.containers"), 0);
}

static const char *value_of(struct place_kit *k, const struct name_value *list, size_t count, const char *name)
{
	for (size_t i = 0; i < count; i++)
		if (span_equal(list[i].name, span_of(name)))
			return arena_copy(&k->api.arena, list[i].value, &k->err).ptr;
	return "";
}

static void written(void *context, const struct value *object, const struct error *err)
{
	(void)context;
	(void)object;
	if (err)
		fail_msg("%s", err->message);
}

static void lines_put(struct place_kit *k, const char *format)
{
	const struct cluster_write w = {
		.resource = &resource_config_maps,
		.verb = KUBE_CREATE,
		.name_space = SPAN(IMAGES_NAMESPACE),
		.name = SPAN(IMAGES_NAME),
		.manager = SPAN("test"),
		.object = place_kit_parse(k,
					  "{'apiVersion':'v1','kind':'ConfigMap','metadata':{'name':'hythe-images',"
					  "'namespace':'kube-system'},'data':{'images':'%s'}}",
					  arena_print(&k->api.arena, &k->err, format, k->api.folder).ptr),
		.grace = -1,
		.done = written,
	};

	cluster_write(k->api.cluster, &w);
	place_kit_settle(k, NULL, NULL);
}

static void a_folder_stands_in_for_an_image(void **state)
{
	struct place_kit *k = *state;
	const struct value *container;
	struct name_value *environment;
	struct image image;
	struct span *words;
	bool is_known = true;
	size_t count, n;

	assert_true(images_find(k->api.cluster, SPAN("my-model:0.1"), &k->api.arena, &image, &is_known, &k->err));
	assert_false(is_known);

	put_file(k, "Dockerfile",
		 "FROM python\nWORKDIR /srv/app\nENV A=image B=image PYTHONPATH=/srv/app\nENTRYPOINT "
		 "[\"python3\"]\nCMD [\"app.py\"]\n");
	lines_put(k, "my-model %s/pod\\n");
	if (!images_find(k->api.cluster, SPAN("reg.io/my-model:0.1"), &k->api.arena, &image, &is_known, &k->err))
		fail_msg("%s", k->err.message);
	assert_true(is_known);
	assert_true(span_equal(image.place, SPAN("/srv/app")));
	assert_true(span_ends(image.folder, SPAN("/pod")));

	/* What the pod says is over it. */
	container =
	    container_of(k, "{'name':'c','image':'my-model:0.1','env':[{'name':'B','value':'pod'}],'args':['x.py']}");
	assert_true(environment_make(&k->place,
				     place_kit_parse(k, "{'metadata':{'name':'p','namespace':'default'},'spec':{}}"),
				     container, &image, &k->api.arena, &environment, &count, &k->err));
	assert_string_equal(value_of(k, environment, count, "A"), "image");
	assert_string_equal(value_of(k, environment, count, "B"), "pod");
	assert_string_equal(value_of(k, environment, count, "PYTHONPATH"), "/run/hythe/lib/hythe/python:/srv/app");
	assert_true(span_starts(span_of(value_of(k, environment, count, "PATH")), SPAN("/run/hythe/bin:")));
	assert_true(command_make(container, environment, count, &image, &k->api.arena, &words, &n, &k->err));
	assert_int_equal(n, 2);
	assert_true(span_equal(words[0], SPAN("python3")));
	assert_true(span_equal(words[1], SPAN("x.py")));
	assert_true(command_make(container_of(k, "{'image':'my-model'}"), environment, count, &image, &k->api.arena,
				 &words, &n, &k->err));
	assert_true(span_equal(words[1], SPAN("app.py")));
	assert_true(command_make(container_of(k, "{'image':'my-model','command':['sh']}"), environment, count, &image,
				 &k->api.arena, &words, &n, &k->err));
	assert_int_equal(n, 1);
}

static void a_class_needs_no_dockerfile(void **state)
{
	struct place_kit *k = *state;
	struct image image;
	char path[256];

	assert_true(
	    images_read(arena_print(&k->api.arena, &k->err, "%s/pod", k->api.folder), &k->api.arena, &image, &k->err));
	assert_int_equal(image.command.count, 0); /* nothing says what to run */
	(void)snprintf(path, sizeof(path), "%s/pod/.s2i", k->api.folder);
	assert_int_equal(mkdir(path, 0700), 0);
	put_file(k, ".s2i/environment", "MODEL_NAME=MyModel\nSERVICE_TYPE=MODEL\n");
	assert_true(
	    images_read(arena_print(&k->api.arena, &k->err, "%s/pod", k->api.folder), &k->api.arena, &image, &k->err));
	assert_true(span_equal(image.place, SPAN("/app")));
	assert_true(span_equal(image.working_directory, SPAN("/app")));
	assert_int_equal(image.command.count, 3);
	assert_true(span_starts(image.command.items[2], SPAN("exec seldon-core-microservice $MODEL_NAME")));
	assert_string_equal(value_of(k, image.environment, image.environment_count, "MODEL_NAME"), "MyModel");
}

static void an_interpreter_of_its_own_is_told(void **state)
{
	struct place_kit *k = *state;
	struct image image;
	char path[256];

	assert_int_equal(images_python(&k->api.arena, &k->err).len, 0); /* the machine's will do */
	(void)snprintf(path, sizeof(path), "%s/pod/.venv", k->api.folder);
	assert_int_equal(mkdir(path, 0755), 0);
	(void)snprintf(path, sizeof(path), "%s/pod/.venv/bin", k->api.folder);
	assert_int_equal(mkdir(path, 0755), 0);
	put_file(k, ".venv/bin/python3", "#!/bin/sh\n");
	(void)snprintf(path, sizeof(path), "%s/pod/.venv/bin/python3", k->api.folder);
	assert_int_equal(chmod(path, 0755), 0);
	assert_true(
	    images_read(arena_print(&k->api.arena, &k->err, "%s/pod", k->api.folder), &k->api.arena, &image, &k->err));
	assert_string_equal(value_of(k, image.environment, image.environment_count, "HYTHE_PYTHON"), path);
	assert_non_null(strstr(value_of(k, image.environment, image.environment_count, "PATH"), "/pod/.venv/bin:"));

	(void)snprintf(path, sizeof(path), "%s/pod/.venv", k->api.folder);
	setenv("VIRTUAL_ENV", path, 1);
	assert_true(span_ends(images_python(&k->api.arena, &k->err), SPAN("/pod/.venv/bin/python3")));
	setenv("HYTHE_PYTHON", "/opt/python", 1);
	assert_true(span_equal(images_python(&k->api.arena, &k->err), SPAN("/opt/python")));
}

static void faults_name_the_image_and_the_line(void **state)
{
	struct place_kit *k = *state;
	struct image image;
	bool is_known;

	put_file(k, "Dockerfile", "FROM a\nWHAT now\n");
	lines_put(k, "a %s/pod\\nb /nowhere/at/all\\n");
	assert_false(images_find(k->api.cluster, SPAN("a"), &k->api.arena, &image, &is_known, &k->err));
	assert_non_null(strstr(k->err.message, "image \"a\""));
	assert_non_null(strstr(k->err.message, "line 2"));
	k->err = (struct error){ 0 };
	assert_false(images_find(k->api.cluster, SPAN("b"), &k->api.arena, &image, &is_known, &k->err));
	assert_int_equal(k->err.code, ERROR_NOT_FOUND);
	assert_non_null(strstr(k->err.message, "/nowhere/at/all"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(the_most_specific_line_is_found, setup, teardown),
		cmocka_unit_test_setup_teardown(a_folder_stands_in_for_an_image, setup, teardown),
		cmocka_unit_test_setup_teardown(a_class_needs_no_dockerfile, setup, teardown),
		cmocka_unit_test_setup_teardown(an_interpreter_of_its_own_is_told, setup, teardown),
		cmocka_unit_test_setup_teardown(faults_name_the_image_and_the_line, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
