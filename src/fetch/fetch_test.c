/* SPDX-License-Identifier: Apache-2.0 */
#include "fetch/fetch_private.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static char top[64], to[80];

static int setup(void **state)
{
	(void)state;
	(void)snprintf(top, sizeof(top), "/tmp/hythe-fetch-XXXXXX");
	assert_non_null(mkdtemp(top));
	(void)snprintf(to, sizeof(to), "%s/to", top);
	return 0;
}

static int teardown(void **state)
{
	char command[128];

	(void)state;
	(void)snprintf(command, sizeof(command), "rm -rf '%s'", top);
	return system(command) == 0 ? 0 : -1;
}

static void put(const char *name, const char *text)
{
	char path[256];
	FILE *file;

	(void)snprintf(path, sizeof(path), "%s/%s", top, name);
	file = fopen(path, "we");
	assert_non_null(file);
	assert_true(fputs(text, file) >= 0);
	assert_int_equal(fclose(file), 0);
}

static void make(const char *name)
{
	char path[256];

	(void)snprintf(path, sizeof(path), "%s/%s", top, name);
	assert_int_equal(mkdir(path, 0755), 0);
}

static void assert_content(const char *name, const char *expected)
{
	char path[256];
	struct error err = { 0 };
	struct buffer text;

	(void)snprintf(path, sizeof(path), "%s/%s", to, name);
	buffer_init(&text, KIB(4));
	if (!buffer_read_file(&text, path, &err))
		fail_msg("%s", err.message);
	assert_int_equal(text.len, strlen(expected));
	assert_memory_equal(text.ptr, expected, text.len);
	buffer_done(&text);
}

static bool fetch(const char *form, uint64_t bytes_most, size_t files_most, struct fetch_result *done,
		  struct error *err)
{
	char uri[256];
	struct fetch_config config = { .uri = uri, .folder = to, .bytes_most = bytes_most, .files_most = files_most };

	(void)snprintf(uri, sizeof(uri), "%s%s", strncmp(form, "file://", 7) == 0 ? "file://" : "", top);
	(void)snprintf(uri + strlen(uri), sizeof(uri) - strlen(uri), "%s",
		       strncmp(form, "file://", 7) == 0 ? form + 7 : form);
	*err = (struct error){ 0 };
	return fetch_run(&config, done, err);
}

static void a_folder_is_copied_with_what_is_in_it(void **state)
{
	struct fetch_result done;
	struct error err;
	char link[128];

	(void)state;
	make("from");
	make("from/sub");
	put("from/model.joblib", "model");
	put("from/sub/x", "");
	put("aside", "linked");
	(void)snprintf(link, sizeof(link), "%s/from/link", top);
	assert_int_equal(symlink("../aside", link), 0);
	if (!fetch("file:///from", 1000, 10, &done, &err))
		fail_msg("%s", err.message);
	assert_int_equal(done.files, 3);
	assert_int_equal(done.bytes, 11);
	assert_content("model.joblib", "model");
	assert_content("sub/x", "");
	assert_content("link", "linked");
	put("from/model.joblib", "another");
	assert_true(fetch("/from", 1000, 10, &done, &err));
	assert_content("model.joblib", "another");
}

static void a_file_is_copied_by_its_name(void **state)
{
	struct fetch_result done;
	struct error err;

	(void)state;
	put("model.bst", "b");
	assert_true(fetch("/model.bst", 1000, 10, &done, &err));
	assert_content("model.bst", "b");
}

static void limits_are_kept_and_nothing_half_is_left(void **state)
{
	struct fetch_result done;
	struct error err;

	(void)state;
	make("from");
	put("from/a", "12345");
	assert_false(fetch("/from", 4, 10, &done, &err));
	assert_int_equal(err.code, ERROR_TOO_LARGE);
	assert_non_null(strstr(err.message, "--max-bytes"));
	assert_false(local_is_filled(to));
	assert_false(fetch("/from", 100, 0, &done, &err));
	assert_non_null(strstr(err.message, "--max-files"));
}

static void circles_and_other_files_are_told(void **state)
{
	struct fetch_result done;
	struct error err;
	char path[128];

	(void)state;
	make("from");
	(void)snprintf(path, sizeof(path), "%s/from/circle", top);
	assert_int_equal(symlink(".", path), 0);
	assert_false(fetch("/from", 1000, 10, &done, &err));
	assert_non_null(strstr(err.message, "circle"));
	assert_int_equal(unlink(path), 0);
	assert_int_equal(mkfifo(path, 0600), 0);
	assert_false(fetch("/from", 1000, 10, &done, &err));
	assert_non_null(strstr(err.message, "neither"));
	assert_false(fetch("/nowhere", 1000, 10, &done, &err));
	assert_int_equal(err.code, ERROR_NOT_FOUND);
}

static void names_do_not_lead_out(void **state)
{
	static const char *const bad[] = { "", "..", "../x", "a/../../x", "/etc/x", "a//b", "./a", "a/", "a/b/." };
	struct fetch_config config = { .bytes_most = 10, .files_most = 10 };
	struct fetching f = { .config = &config, .folder = -1 };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct placing p;
		struct error err = { 0 };

		assert_false(place_begin(&f, span_of(bad[i]), &p, &err));
		assert_int_equal(err.code, ERROR_INVALID);
	}
}

static void a_claim_is_mounted_or_not(void **state)
{
	struct fetch_config config = { .uri = "pvc://claim/model", .folder = to, .bytes_most = 10, .files_most = 10 };
	struct fetch_result done = { 0 };
	struct error err = { 0 };

	(void)state;
	assert_false(fetch_run(&config, &done, &err));
	assert_int_equal(err.code, ERROR_NOT_FOUND);
	make("to");
	put("to/x", "x");
	assert_true(fetch_run(&config, &done, &err));
	assert_true(done.is_mounted);
}

static void uris_are_read(void **state)
{
	static const struct {
		const char *text;
		enum uri_scheme scheme;
		const char *host, *path;
	} rows[] = {
		{ "gs://bucket/a/b", URI_GS, "bucket", "a/b" },
		{ "s3://bucket", URI_S3, "bucket", "" },
		{ "https://h:1/x/y.onnx?sig=1#f", URI_HTTP, "h:1", "x/y.onnx" },
		{ "file:///a", URI_FILE, "", "/a" },
		{ "models/a", URI_FILE, "", "models/a" },
		{ "pvc://c/d", URI_PVC, "c", "d" },
	};
	static const char *const bad[] = { "", "hdfs://x/y", "gs://", "file://relative", "https:///x", "http://h/a b" };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct uri u;
		struct error err = { 0 };

		assert_true(uri_read(span_of(rows[i].text), &u, &err));
		assert_int_equal(u.scheme, rows[i].scheme);
		assert_true(span_equal(u.host, span_of(rows[i].host)));
		assert_true(span_equal(u.path, span_of(rows[i].path)));
	}
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct uri u;
		struct error err = { 0 };

		assert_false(uri_read(span_of(bad[i]), &u, &err));
		assert_true(err.code == ERROR_INVALID || err.code == ERROR_UNIMPLEMENTED);
	}
}

#define ROW(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		ROW(a_folder_is_copied_with_what_is_in_it),
		ROW(a_file_is_copied_by_its_name),
		ROW(limits_are_kept_and_nothing_half_is_left),
		ROW(circles_and_other_files_are_told),
		ROW(names_do_not_lead_out),
		ROW(a_claim_is_mounted_or_not),
		cmocka_unit_test(uris_are_read),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
