/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/model_folder.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

static char folder[64];
static struct arena arena;

static int setup(void **state)
{
	(void)state;
	(void)snprintf(folder, sizeof(folder), "/tmp/hythe-model-XXXXXX");
	assert_non_null(mkdtemp(folder));
	arena_init(&arena, MIB(1));
	return 0;
}

static int teardown(void **state)
{
	char command[128];

	(void)state;
	arena_done(&arena);
	(void)snprintf(command, sizeof(command), "rm -rf '%s'", folder);
	return system(command) == 0 ? 0 : -1;
}

static void put(const char *name, const char *text)
{
	char path[128];
	FILE *file;

	(void)snprintf(path, sizeof(path), "%s/%s", folder, name);
	file = fopen(path, "we");
	assert_non_null(file);
	assert_true(fputs(text, file) >= 0);
	assert_int_equal(fclose(file), 0);
}

/* "/name" for a file of the folder. */
static void assert_found(const char *expected, bool wants_uri)
{
	struct model_folder found;
	struct error err = { 0 };
	const char *target;

	if (!model_folder_read(folder, &arena, &found, &err))
		fail_msg("%s", err.message);
	target = strncmp(found.target, folder, strlen(folder)) == 0 ? found.target + strlen(folder) : found.target;
	assert_string_equal(target, expected);
	assert_int_equal(found.wants_uri, wants_uri);
}

static void assert_refused(enum error_code code)
{
	struct model_folder found;
	struct error err = { 0 };

	assert_false(model_folder_read(folder, &arena, &found, &err));
	assert_int_equal(err.code, code);
}

static void the_names_of_servers_are_looked_for(void **state)
{
	(void)state;
	assert_refused(ERROR_NOT_FOUND);
	put("notes.md", "x");
	assert_refused(ERROR_NOT_FOUND);
	put("Code.py", "x");
	assert_found("", false); /* the folder itself */
	put("iris.joblib", "x");
	assert_found("/iris.joblib", false);
	put("iris.onnx", "x");
	assert_refused(ERROR_INVALID);
	put("model.joblib", "x");
	assert_found("/model.joblib", false);
	put("model.bst", "binf");
	assert_found("hythe.servers.xgboost:Model", true);
	put("model.bst", "{L");
	assert_found("/model.bst", false);
	put("model.onnx", "x");
	assert_found("/model.onnx", false);
	put("MLmodel", "x");
	assert_found("hythe.servers.mlflow:Model", true);
}

static void the_folder_is_told_once(void **state)
{
	struct error err = { 0 };

	(void)state;
	assert_string_equal(model_folder_parameters(NULL, "/m", &arena, &err),
			    "[{\"name\":\"model_uri\",\"type\":\"STRING\",\"value\":\"/m\"}]");
	assert_string_equal(model_folder_parameters("[{\"name\":\"a\"}]", "/m", &arena, &err),
			    "[{\"name\":\"model_uri\",\"type\":\"STRING\",\"value\":\"/m\"},{\"name\":\"a\"}]");
	assert_string_equal(model_folder_parameters(" {\"a\":1}", "/m", &arena, &err),
			    "{\"model_uri\":\"/m\",\"a\":1}");
	assert_string_equal(model_folder_parameters("[{\"name\":\"model_uri\"}]", "/m", &arena, &err),
			    "[{\"name\":\"model_uri\"}]");
	assert_null(model_folder_parameters("[", "/m", &arena, &err));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(the_names_of_servers_are_looked_for, setup, teardown),
		cmocka_unit_test_setup_teardown(the_folder_is_told_once, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
