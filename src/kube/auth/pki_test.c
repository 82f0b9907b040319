/* SPDX-License-Identifier: Apache-2.0 */
/* pki_test - keys and certificates of a cluster; openssl(1) is asked what it thinks of them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "kube/auth/pki.h"
#include "wire/base64.h"

static char folder[64], pki_folder[80];
static struct arena arena;

static int folder_make(void **state)
{
	(void)state;
	snprintf(folder, sizeof(folder), "/tmp/hythe-pki-XXXXXX");
	arena_init(&arena, MIB(4));
	if (!mkdtemp(folder))
		return -1;
	snprintf(pki_folder, sizeof(pki_folder), "%s/pki", folder);
	return 0;
}

static int folder_remove(void **state)
{
	char command[128];

	(void)state;
	arena_done(&arena);
	snprintf(command, sizeof(command), "rm -rf %s", folder);
	return system(command);
}

static struct pki *open_pki(const char *const *names)
{
	struct error err = { 0 };
	struct pki *p = pki_open(pki_folder, names, &err);

	if (!p)
		fail_msg("%s", err.message);
	return p;
}

static void read_file(const char *name, struct buffer *ret)
{
	char path[160];
	struct error err = { 0 };

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	buffer_init(ret, MIB(1));
	assert_true(buffer_read_file(ret, path, &err));
}

static void write_file(const char *name, const char *text)
{
	char path[160];
	FILE *file;

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	file = fopen(path, "w");
	assert_non_null(file);
	fputs(text, file);
	fclose(file);
}

/* Runs a shell command in the folder; its output must hold `words`. */
static void shell_says(const char *command, const char *words)
{
	char line[512], text[8192];
	size_t len;
	FILE *pipe;

	snprintf(line, sizeof(line), "cd %s && { %s; } 2>&1", folder, command);
	pipe = popen(line, "r");
	len = fread(text, 1, sizeof(text) - 1, pipe);
	text[len] = '\0';
	pclose(pipe);
	if (!strstr(text, words))
		fail_msg("'%s' said: %s", command, text);
}

static void openssl_takes_the_certificates(void **state)
{
	static const char *const names[] = { "10.1.2.3", "box.example", NULL };
	struct error err = { 0 };
	struct pki *p = open_pki(names);
	char path[96];

	(void)state;
	snprintf(path, sizeof(path), "%s/kubeconfig", folder);
	assert_true(pki_write_kubeconfig(p, path, "https://127.0.0.1:6443", &err));
	shell_says("openssl verify -x509_strict -purpose sslserver -CAfile pki/ca.crt pki/server.crt",
		   "server.crt: OK");
	shell_says("openssl verify -x509_strict -purpose sslclient -CAfile pki/ca.crt pki/admin.crt", "admin.crt: OK");
	shell_says("openssl verify -CAfile pki/ca.crt -verify_ip 10.1.2.3 pki/server.crt", "OK");
	shell_says("openssl verify -CAfile pki/ca.crt -verify_ip ::1 pki/server.crt", "OK");
	shell_says("openssl verify -CAfile pki/ca.crt -verify_hostname box.example pki/server.crt", "OK");
	shell_says("openssl verify -CAfile pki/ca.crt -verify_hostname kubernetes.default.svc pki/server.crt", "OK");
	shell_says("openssl verify -CAfile pki/ca.crt -verify_hostname other.example pki/server.crt",
		   "hostname mismatch");
	shell_says("openssl verify -purpose sslserver -CAfile pki/ca.crt pki/admin.crt",
		   "unsuitable certificate purpose");
	shell_says("openssl x509 -in pki/admin.crt -noout -subject", "O = system:masters, CN = kubernetes-admin");
	pki_free(p);
}

static void keys_are_for_their_owner_alone(void **state)
{
	static const char *const files[] = { "pki/ca.key", "pki/server.key", "pki/admin.key", "pki/tokens.key",
					     "kubeconfig" };
	struct error err = { 0 };
	struct pki *p = open_pki(NULL);
	struct stat st;
	char path[160];

	(void)state;
	snprintf(path, sizeof(path), "%s/kubeconfig", folder);
	assert_true(pki_write_kubeconfig(p, path, "https://127.0.0.1:6443", &err));
	pki_free(p);
	for (size_t i = 0; i < ARRAY_LEN(files); i++) {
		snprintf(path, sizeof(path), "%s/%s", folder, files[i]);
		assert_int_equal(stat(path, &st), 0);
		assert_int_equal(st.st_mode & 0777, 0600);
	}
	snprintf(path, sizeof(path), "%s/pki", folder);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0700);
}

static void what_was_made_is_kept(void **state)
{
	static const char *const files[] = { "pki/ca.crt", "pki/server.crt", "pki/server.key" };
	struct buffer before, after;
	bool is_renewed = true;
	struct error err = { 0 };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(files); i++) {
		struct pki *p = open_pki(NULL);

		pki_free(p);
		read_file(files[i], &before);
		p = open_pki(NULL);
		assert_true(pki_renew(p, &is_renewed, &err));
		assert_false(is_renewed);
		pki_free(p);
		read_file(files[i], &after);
		assert_true(span_equal(buffer_span(&before), buffer_span(&after)));
		buffer_done(&before);
		buffer_done(&after);
	}
}

static void a_new_name_and_an_ending_life_renew_the_server_and_not_the_authority(void **state)
{
	static const char *const names[] = { "new.example", NULL };
	struct buffer before, after;
	struct pki *p;

	(void)state;
	pki_free(open_pki(NULL));
	read_file("pki/ca.crt", &before);
	pki_free(open_pki(names));
	shell_says("openssl verify -CAfile pki/ca.crt -verify_hostname new.example pki/server.crt", "OK");
	/* Signed by the authority for so short a time that less than a third is left, as it begins an hour ago. */
	shell_says("openssl req -new -key pki/server.key -subj /CN=old -out r.csr && printf "
		   "'subjectAltName=DNS:localhost,DNS:kubernetes,DNS:kubernetes.default,DNS:kubernetes.default.svc,"
		   "DNS:kubernetes.default.svc.cluster.local,IP:127.0.0.1,IP:::1,IP:127.96.0.1,DNS:new.example' > e && "
		   "openssl x509 -req -in r.csr -CA pki/ca.crt -CAkey pki/ca.key -CAcreateserial -days -1 -extfile e "
		   "-out pki/server.crt && echo fine",
		   "fine");
	p = open_pki(names);
	shell_says("openssl verify -CAfile pki/ca.crt -verify_hostname new.example pki/server.crt", "OK");
	pki_free(p);
	read_file("pki/ca.crt", &after);
	assert_true(span_equal(buffer_span(&before), buffer_span(&after)));
	buffer_done(&before);
	buffer_done(&after);
}

static void damaged_files_are_refused_and_left_as_they_are(void **state)
{
	static const char *const files[] = { "pki/ca.crt", "pki/ca.key", "pki/server.crt", "pki/tokens.key" };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(files); i++) {
		struct error err = { 0 };
		struct buffer good, now;

		pki_free(open_pki(NULL));
		read_file(files[i], &good);
		write_file(files[i], "-----BEGIN NOTHING-----\n");
		assert_null(pki_open(pki_folder, NULL, &err));
		assert_int_equal(err.code, ERROR_INVALID);
		assert_non_null(strstr(err.message, files[i]));
		read_file(files[i], &now);
		assert_true(span_equal(buffer_span(&now), SPAN("-----BEGIN NOTHING-----\n")));
		buffer_byte(&good, '\0');
		write_file(files[i], good.ptr);
		buffer_done(&good);
		buffer_done(&now);
	}
}

static void a_certificate_without_its_key_is_refused(void **state)
{
	struct error err = { 0 };
	char path[160];

	(void)state;
	pki_free(open_pki(NULL));
	snprintf(path, sizeof(path), "%s/pki/ca.key", folder);
	assert_int_equal(unlink(path), 0);
	assert_null(pki_open(pki_folder, NULL, &err));
	assert_int_equal(err.code, ERROR_INVALID);
	assert_non_null(strstr(err.message, "ca.key"));
}

static void a_key_without_a_certificate_gets_one(void **state)
{
	char path[160];

	(void)state;
	pki_free(open_pki(NULL));
	snprintf(path, sizeof(path), "%s/pki/server.crt", folder);
	assert_int_equal(unlink(path), 0);
	pki_free(open_pki(NULL));
	shell_says("openssl verify -CAfile pki/ca.crt pki/server.crt", "OK");
}

static void the_kubeconfig_holds_all_that_a_client_needs(void **state)
{
	struct error err = { 0 };
	struct pki *p = open_pki(NULL);
	struct buffer text;
	struct span line, data;
	char path[96];

	(void)state;
	snprintf(path, sizeof(path), "%s/kubeconfig", folder);
	assert_true(pki_write_kubeconfig(p, path, "https://127.0.0.1:6443", &err));
	read_file("kubeconfig", &text);
	buffer_byte(&text, '\0');
	assert_non_null(strstr(text.ptr, "server: \"https://127.0.0.1:6443\""));
	assert_non_null(strstr(text.ptr, "current-context: hythe"));
	line = span_of(strstr(text.ptr, "certificate-authority-data: ") + sizeof("certificate-authority-data: ") - 1);
	line = span_cut(&line, '\n');
	assert_true(base64_read(line, &arena, &data, &err));
	assert_true(span_equal(data, pki_ca_pem(p)));
	buffer_done(&text);
	pki_free(p);
}

static void a_token_is_signed_and_checked_and_outlives_a_restart(void **state)
{
	static const char claims[] = "{\"iss\":\"https://kubernetes.default.svc\",\"exp\":2000000000,\"sub\":\"x\"}";
	int64_t now = INT64_C(1900000000) * NS_PER_S;
	struct error err = { 0 };
	struct pki *p = open_pki(NULL);
	struct span token, read;

	(void)state;
	assert_true(pki_sign_token(p, SPAN(claims), &arena, &token, &err));
	assert_true(pki_check_token(p, token, now, &arena, &read, &err));
	assert_true(span_equal(read, SPAN(claims)));
	pki_free(p);
	p = open_pki(NULL);
	assert_true(pki_check_token(p, token, now, &arena, &read, &err));
	assert_false(pki_check_token(p, token, now + INT64_C(200000000) * NS_PER_S, &arena, &read, &err));
	assert_int_equal(err.code, ERROR_UNAUTHENTICATED);
	pki_free(p);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, folder_make, folder_remove)
	const struct CMUnitTest tests[] = {
		TEST(openssl_takes_the_certificates),
		TEST(keys_are_for_their_owner_alone),
		TEST(what_was_made_is_kept),
		TEST(a_new_name_and_an_ending_life_renew_the_server_and_not_the_authority),
		TEST(damaged_files_are_refused_and_left_as_they_are),
		TEST(a_certificate_without_its_key_is_refused),
		TEST(a_key_without_a_certificate_gets_one),
		TEST(the_kubeconfig_holds_all_that_a_client_needs),
		TEST(a_token_is_signed_and_checked_and_outlives_a_restart),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
