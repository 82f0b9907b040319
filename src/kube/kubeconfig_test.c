/* SPDX-License-Identifier: Apache-2.0 */
#include "kube/kubeconfig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define CONTEXT "contexts: [{name: x, context: {cluster: c, user: u}}]\ncurrent-context: x\n"

static struct arena arena;

static int set_up(void **state)
{
	(void)state;
	arena_init(&arena, MIB(8));
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	arena_done(&arena);
	return 0;
}

static struct kubeconfig read_text(const char *cluster, const char *user)
{
	struct error err = { 0 };
	struct kubeconfig c;
	struct span text =
	    arena_print(&arena, &err, "clusters: [{name: c, cluster: {%s}}]\nusers: [{name: u, user: {%s}}]\n" CONTEXT,
			cluster, user);

	if (!kubeconfig_parse(text, "/etc/k", &arena, &c, &err))
		fail_msg("%s", err.message);
	return c;
}

static void fails(const char *cluster, const char *user, enum error_code code, const char *words)
{
	struct error err = { 0 };
	struct kubeconfig c;
	struct span text =
	    arena_print(&arena, &err, "clusters: [{name: c, cluster: {%s}}]\nusers: [{name: u, user: {%s}}]\n" CONTEXT,
			cluster, user);

	assert_false(kubeconfig_parse(text, "/etc/k", &arena, &c, &err));
	assert_int_equal(err.code, code);
	assert_non_null(strstr(err.message, words));
}

static void the_current_context_names_server_and_user(void **state)
{
	struct kubeconfig c = read_text("server: \"https://h:1/\", certificate-authority-data: YWJj", "token: \" t \"");

	(void)state;
	assert_true(span_equal(c.server, SPAN("https://h:1")));
	assert_true(span_equal(c.ca_pem, SPAN("abc")));
	assert_true(span_equal(c.context, SPAN("x")) && span_equal(c.cluster, SPAN("c")) &&
		    span_equal(c.user, SPAN("u")));
	assert_true(span_equal(c.token, SPAN(" t ")));
	assert_false(c.is_insecure);
}

static void paths_begin_at_the_files_folder(void **state)
{
	struct kubeconfig c = read_text("server: \"https://h\", certificate-authority: ca.crt",
					"client-certificate: a/b.crt, client-key: /k.key, tokenFile: t");

	(void)state;
	assert_string_equal(c.ca_file, "/etc/k/ca.crt");
	assert_string_equal(c.certificate_file, "/etc/k/a/b.crt");
	assert_string_equal(c.key_file, "/k.key");
	assert_string_equal(c.token_file, "/etc/k/t");
}

static void data_comes_before_a_path(void **state)
{
	struct kubeconfig c =
	    read_text("server: \"https://h\", certificate-authority: ca.crt, certificate-authority-data: YWJj", "");

	(void)state;
	assert_null(c.ca_file);
	assert_true(span_equal(c.ca_pem, SPAN("abc")));
}

static void what_is_wrong_is_named(void **state)
{
	(void)state;
	fails("server: \"ftp://h\"", "", ERROR_INVALID, "server is 'ftp://h'");
	fails("server: \"https://h\", certificate-authority-data: \"*\"", "", ERROR_INVALID,
	      "certificate-authority-data");
	fails("server: \"https://h\"", "client-certificate: a", ERROR_INVALID, "client-key");
	fails("server: \"https://h\"", "exec: {command: aws}", ERROR_UNIMPLEMENTED, "exec is not supported");
	fails("server: \"https://h\", proxy-url: \"http://p\"", "", ERROR_UNIMPLEMENTED, "proxy-url");
}

static void a_context_that_is_not_there_is_named(void **state)
{
	static const char *const texts[] = { "{}", "current-context: z", "contexts: 3\ncurrent-context: z" };
	struct kubeconfig c;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		struct error err = { 0 };

		assert_false(kubeconfig_parse(span_of(texts[i]), ".", &arena, &c, &err));
		assert_int_equal(err.code, ERROR_INVALID);
		assert_non_null(strstr(err.message, i ? "'z'" : "current-context"));
	}
}

static void file_write(const char *folder, const char *name, const char *text)
{
	char path[128];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	f = fopen(path, "w");
	assert_non_null(f);
	assert_true(fputs(text, f) >= 0);
	assert_int_equal(fclose(f), 0);
}

static void files_that_are_named_are_read(void **state)
{
	char folder[] = "/tmp/hythe-kubeconfig-XXXXXX", path[128], command[128];
	struct error err = { 0 };
	struct kubeconfig c;

	(void)state;
	assert_non_null(mkdtemp(folder));
	file_write(folder, "token", "\n secret \n");
	file_write(folder, "ca", "certificate");
	file_write(folder, "config",
		   "clusters: [{name: c, cluster: {server: \"https://h\", certificate-authority: ca}}]\n"
		   "users: [{name: u, user: {tokenFile: token}}]\n" CONTEXT);
	snprintf(path, sizeof(path), "%s/config", folder);
	if (!kubeconfig_read(path, &arena, &c, &err))
		fail_msg("%s", err.message);
	assert_true(span_equal(c.token, SPAN("secret")));
	assert_true(span_equal(c.ca_pem, SPAN("certificate")));
	file_write(folder, "token", "  \n");
	assert_false(kubeconfig_read(path, &arena, &c, &err));
	assert_non_null(strstr(err.message, "token' is empty"));
	snprintf(command, sizeof(command), "rm -r %s", folder);
	assert_int_equal(system(command), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_current_context_names_server_and_user),
		cmocka_unit_test(paths_begin_at_the_files_folder),
		cmocka_unit_test(data_comes_before_a_path),
		cmocka_unit_test(what_is_wrong_is_named),
		cmocka_unit_test(a_context_that_is_not_there_is_named),
		cmocka_unit_test(files_that_are_named_are_read),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
