/* SPDX-License-Identifier: Apache-2.0 */
/* tls_test - a server over TLS: versions, ALPN, long bodies, client certificates, reloads. */
#include "net/kernel_kit.h"
#include "net/server_kit.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

static char tls_folder[64], cert_path[96], key_path[96], other_key_path[96], locked_key_path[96], broken_path[96];

static void write_key(const char *path, EVP_PKEY *key, const EVP_CIPHER *cipher)
{
	FILE *file = fopen(path, "w");

	assert_int_equal(
	    PEM_write_PrivateKey(file, key, cipher, (const unsigned char *)"secret", cipher ? 6 : 0, NULL, NULL), 1);
	fclose(file);
}

static void write_authority(const char *path, EVP_PKEY *key, long serial, bool is_authority)
{
	X509_EXTENSION *constraint = X509V3_EXT_conf_nid(NULL, NULL, NID_basic_constraints, "critical,CA:TRUE");
	X509 *x = X509_new();
	X509_NAME *name = X509_get_subject_name(x);
	FILE *file = fopen(path, "w");

	X509_set_version(x, 2);
	ASN1_INTEGER_set(X509_get_serialNumber(x), serial);
	X509_gmtime_adj(X509_getm_notBefore(x), -60);
	X509_gmtime_adj(X509_getm_notAfter(x), 3600);
	X509_set_pubkey(x, key);
	X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)"localhost", -1, -1, 0);
	X509_set_issuer_name(x, name);
	if (is_authority)
		X509_add_ext(x, constraint, -1);
	assert_true(X509_sign(x, key, EVP_sha256()) > 0);
	assert_int_equal(PEM_write_X509(file, x), 1);
	fclose(file);
	X509_EXTENSION_free(constraint);
	X509_free(x);
}

static void write_certificate(const char *path, EVP_PKEY *key, long serial)
{
	write_authority(path, key, serial, false);
}

static void tls_files(long serial)
{
	EVP_PKEY *key = EVP_EC_gen("P-256"), *other = EVP_EC_gen("P-256");
	FILE *file;

	if (!tls_folder[0]) {
		snprintf(tls_folder, sizeof(tls_folder), "/tmp/hythe-tls-XXXXXX");
		assert_non_null(mkdtemp(tls_folder));
		snprintf(cert_path, sizeof(cert_path), "%s/cert.pem", tls_folder);
		snprintf(key_path, sizeof(key_path), "%s/key.pem", tls_folder);
		snprintf(other_key_path, sizeof(other_key_path), "%s/other.pem", tls_folder);
		snprintf(locked_key_path, sizeof(locked_key_path), "%s/locked.pem", tls_folder);
		snprintf(broken_path, sizeof(broken_path), "%s/broken.pem", tls_folder);
	}
	write_key(key_path, key, NULL);
	write_key(other_key_path, other, NULL);
	write_key(locked_key_path, key, EVP_aes_256_cbc());
	write_certificate(cert_path, key, serial);
	file = fopen(broken_path, "w");
	fputs("not PEM at all\n", file);
	fclose(file);
	EVP_PKEY_free(key);
	EVP_PKEY_free(other);
}

static int tls_files_remove(void **state)
{
	(void)state;
	unlink(cert_path);
	unlink(key_path);
	unlink(other_key_path);
	unlink(locked_key_path);
	unlink(broken_path);
	rmdir(tls_folder);
	return 0;
}

static struct server_config config_tls(void)
{
	struct server_config config = config_default();

	config.tls_certificate = cert_path;
	config.tls_key = key_path;
	return config;
}

struct tls_client {
	SSL_CTX *context;
	SSL *ssl;
	int fd;
};

/* False when the handshake fails. */
static bool tls_connect(const struct server *s, struct tls_client *c, const char *alpn, int most_version, bool has_cert)
{
	c->context = SSL_CTX_new(TLS_client_method());
	if (most_version) {
		SSL_CTX_set_min_proto_version(c->context, TLS1_VERSION);
		SSL_CTX_set_max_proto_version(c->context, most_version);
		SSL_CTX_set_security_level(c->context, 0);
	}
	if (has_cert) {
		SSL_CTX_use_certificate_chain_file(c->context, cert_path);
		SSL_CTX_use_PrivateKey_file(c->context, key_path, SSL_FILETYPE_PEM);
	}
	c->ssl = SSL_new(c->context);
	c->fd = client(s);
	SSL_set_fd(c->ssl, c->fd);
	if (alpn)
		SSL_set_alpn_protos(c->ssl, (const unsigned char *)alpn, (unsigned)strlen(alpn));
	return SSL_connect(c->ssl) == 1;
}

static void tls_close(struct tls_client *c)
{
	SSL_free(c->ssl);
	SSL_CTX_free(c->context);
	close(c->fd);
	ERR_clear_error();
}

static void tls_say(struct tls_client *c, struct span bytes)
{
	assert_int_equal(SSL_write(c->ssl, bytes.ptr, (int)bytes.len), (int)bytes.len);
}

static void tls_hear(struct tls_client *c, struct span answer_end, struct buffer *in)
{
	while (!span_ends(buffer_span(in), answer_end)) {
		int n = SSL_read(c->ssl, buffer_reserve(in, KIB(16)), (int)KIB(16));

		assert_true(n > 0);
		buffer_commit(in, (size_t)n);
	}
}

static void tls_ask(struct tls_client *c, struct span request, struct span answer_end, struct buffer *in)
{
	tls_say(c, request);
	tls_hear(c, answer_end, in);
}

static void tls_serves_http_1_1_with_and_without_alpn(void **state)
{
	static const char *const offers[] = { NULL, "\x08http/1.1", "\x06spdy/1" };
	struct server_config config;
	struct server *s;
	struct buffer big_request;

	(void)state;
	tls_files(1);
	config = config_tls();
	s = serve(&config);
	buffer_init(&big_request, MIB(1));
	buffer_print(&big_request, "POST /echo HTTP/1.1\r\n" H "Content-Length: %zu\r\n\r\n", KIB(300));
	for (size_t i = 0; i < KIB(300); i++)
		buffer_byte(&big_request, i + 1 == KIB(300) ? '!' : 'x');
	for (size_t i = 0; i < ARRAY_LEN(offers); i++) {
		struct tls_client c;
		struct buffer in;

		buffer_init(&in, MIB(1));
		assert_true(tls_connect(s, &c, offers[i], 0, false));
		for (int k = 0; k < 3; k++) {
			buffer_clear(&in);
			tls_ask(&c, SPAN("POST /echo HTTP/1.1\r\n" H "Content-Length: 5\r\n\r\nhello"), SPAN("hello"),
				&in);
		}
		buffer_clear(&in);
		tls_ask(&c, buffer_span(&big_request), SPAN("!"), &in);
		assert_true(in.len > KIB(300));
		/* Close is told in TLS too. */
		buffer_clear(&in);
		tls_ask(&c, SPAN("POST /echo HTTP/1.1\r\n" H "Connection: close\r\nContent-Length: 3\r\n\r\nend"),
			SPAN("end"), &in);
		assert_true(SSL_read(c.ssl, in.ptr, 10) <= 0);
		assert_int_equal(SSL_get_shutdown(c.ssl), SSL_RECEIVED_SHUTDOWN);
		tls_close(&c);
		buffer_done(&in);
	}
	buffer_done(&big_request);
	server_free(s);
}

/* What a session has read ahead makes no event: a body that comes as fast as it is read may end there. */
static void a_long_body_is_read_to_its_end(void **state)
{
	enum { LEN = (1 << 20) + 60, STEP = 31, STEPS = 40 };
	struct buffer head, body, in;
	struct server_config config;
	struct tls_client c;
	struct server *s;

	(void)state;
	tls_files(1);
	config = config_tls();
	s = serve(&config);
	buffer_init(&head, KIB(4));
	buffer_init(&body, MIB(2));
	buffer_init(&in, MIB(2));
	memset(buffer_reserve(&body, LEN), 'x', LEN - 1);
	buffer_commit(&body, LEN - 1);
	buffer_append(&body, SPAN("!"));
	assert_true(tls_connect(s, &c, NULL, 0, false));
	for (size_t i = 0; i < STEPS; i++) {
		buffer_clear(&in);
		buffer_clear(&head);
		buffer_print(&head, "POST /echo HTTP/1.1\r\n" H "Content-Length: %zu\r\nPlace: %0*d\r\n\r\n", body.len,
			     (int)i * STEP, 0);
		kernel_hastens();
		tls_say(&c, buffer_span(&head)); /* a record of its own */
		tls_say(&c, buffer_span(&body));
		kernel_hastens_no_more();
		tls_hear(&c, SPAN("!"), &in);
		assert_true(in.len > body.len && span_starts(buffer_span(&in), SPAN("HTTP/1.1 200")));
	}
	buffer_done(&head);
	buffer_done(&body);
	buffer_done(&in);
	tls_close(&c);
	server_free(s);
}

/* An empty line too many, and the client's end, in one read: no event comes behind it. */
static void an_end_behind_an_empty_line_is_heard(void **state)
{
	struct server_config config;
	struct tls_client c;
	struct server *s;
	struct buffer in;
	int on = 1, off = 0;

	(void)state;
	tls_files(1);
	config = config_tls();
	s = serve(&config);
	buffer_init(&in, MIB(1));
	assert_true(tls_connect(s, &c, NULL, 0, false));
	tls_ask(&c, SPAN("POST /echo HTTP/1.1\r\n" H "Content-Length: 1\r\n\r\n!"), SPAN("!"), &in);
	setsockopt(c.fd, IPPROTO_TCP, TCP_CORK, &on, sizeof(on));
	tls_say(&c, SPAN("\r\n"));
	assert_int_equal(SSL_shutdown(c.ssl), 0);
	setsockopt(c.fd, IPPROTO_TCP, TCP_CORK, &off, sizeof(off));
	while (hear(c.fd, &in))
		;
	buffer_done(&in);
	tls_close(&c);
	server_free(s);
}

static void tls_chooses_http_2_by_alpn(void **state)
{
	static const char client_start[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0";
	struct server_config config;
	const unsigned char *chosen;
	struct tls_client c;
	unsigned chosen_len;
	struct server *s;
	char frame[9];

	(void)state;
	tls_files(1);
	config = config_tls();
	s = serve(&config);
	assert_true(tls_connect(s, &c, "\x02h2\x08http/1.1", 0, false));
	SSL_get0_alpn_selected(c.ssl, &chosen, &chosen_len);
	assert_int_equal(chosen_len, 2);
	assert_int_equal(SSL_write(c.ssl, client_start, sizeof(client_start) - 1), sizeof(client_start) - 1);
	assert_int_equal(SSL_read(c.ssl, frame, 9), 9);
	assert_int_equal(frame[3], 4); /* SETTINGS */
	tls_close(&c);
	server_free(s);
}

static void old_tls_and_clear_text_are_refused(void **state)
{
	struct server_config config;
	struct tls_client c;
	struct server *s;
	int fd;

	(void)state;
	tls_files(1);
	config = config_tls();
	s = serve(&config);
	assert_false(tls_connect(s, &c, NULL, TLS1_1_VERSION, false));
	tls_close(&c);
	assert_true(tls_connect(s, &c, NULL, TLS1_2_VERSION, false));
	tls_close(&c);
	fd = client(s);
	SAY(fd, "GET /echo HTTP/1.1\r\n" H "\r\n");
	shutdown(fd, SHUT_WR);
	{
		struct buffer in;

		buffer_init(&in, MIB(1));
		while (hear(fd, &in))
			;
		assert_true(!in.len || !memmem(in.ptr, in.len, "HTTP", 4));
		buffer_done(&in);
	}
	close(fd);
	server_free(s);
}

static void a_handshake_that_stalls_is_cut(void **state)
{
	struct server_config config;
	struct server *s;

	(void)state;
	tls_files(1);
	config = config_tls();
	config.limits.read_timeout_ms = 30;
	s = serve(&config);
	expect_closed(client(s));
	server_free(s);
}

static void client_certificates_are_asked_for(void **state)
{
	struct server_config config;
	struct tls_client c;
	struct server *s;
	struct buffer in;
	char byte;

	(void)state;
	tls_files(1);
	config = config_tls();
	config.tls_client_ca = cert_path; /* self-signed: its own authority */
	s = serve(&config);
	/* TLS 1.3: the refusal comes after the client thinks it is done. */
	if (tls_connect(s, &c, NULL, 0, false))
		assert_true(SSL_read(c.ssl, &byte, 1) <= 0);
	tls_close(&c);
	assert_true(tls_connect(s, &c, NULL, 0, true));
	buffer_init(&in, MIB(1));
	tls_ask(&c, SPAN("POST /echo HTTP/1.1\r\n" H "Content-Length: 5\r\n\r\nhello"), SPAN("hello"), &in);
	buffer_done(&in);
	tls_close(&c);
	server_free(s);
}

/* Signs `subject_cn` with organizations a and b by `issuer_key`, for clients. */
static void write_client(const char *path, EVP_PKEY *key, EVP_PKEY *issuer_key, const char *common_name)
{
	X509 *x = X509_new();
	X509_NAME *name = X509_get_subject_name(x), *issuer = X509_NAME_new();
	FILE *file = fopen(path, "w");

	X509_set_version(x, 2);
	ASN1_INTEGER_set(X509_get_serialNumber(x), 7);
	X509_gmtime_adj(X509_getm_notBefore(x), -60);
	X509_gmtime_adj(X509_getm_notAfter(x), 3600);
	X509_set_pubkey(x, key);
	X509_NAME_add_entry_by_txt(name, "O", MBSTRING_ASC, (const unsigned char *)"a", -1, -1, 0);
	X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)common_name, -1, -1, 0);
	X509_NAME_add_entry_by_txt(name, "O", MBSTRING_ASC, (const unsigned char *)"b", -1, -1, 0);
	X509_NAME_add_entry_by_txt(issuer, "CN", MBSTRING_ASC, (const unsigned char *)"localhost", -1, -1, 0);
	X509_set_issuer_name(x, issuer);
	assert_true(X509_sign(x, issuer_key, EVP_sha256()) > 0);
	assert_int_equal(PEM_write_X509(file, x), 1);
	fclose(file);
	X509_NAME_free(issuer);
	X509_free(x);
}

static EVP_PKEY *read_key(const char *path)
{
	FILE *file = fopen(path, "r");
	EVP_PKEY *key = PEM_read_PrivateKey(file, NULL, NULL, NULL);

	fclose(file);
	assert_non_null(key);
	return key;
}

/* What /whoami says to a client with the files, or without. */
static void expect_client(const struct server *s, const char *certificate, const char *key, int most_version,
			  const char *words)
{
	struct tls_client c = { .context = SSL_CTX_new(TLS_client_method()) };
	struct buffer in;

	if (most_version)
		SSL_CTX_set_max_proto_version(c.context, most_version);
	if (certificate) {
		assert_int_equal(SSL_CTX_use_certificate_chain_file(c.context, certificate), 1);
		assert_int_equal(SSL_CTX_use_PrivateKey_file(c.context, key, SSL_FILETYPE_PEM), 1);
	}
	c.ssl = SSL_new(c.context);
	c.fd = client(s);
	SSL_set_fd(c.ssl, c.fd);
	assert_int_equal(SSL_connect(c.ssl), 1);
	buffer_init(&in, MIB(1));
	tls_ask(&c, SPAN("GET /whoami HTTP/1.1\r\n" H "\r\n"), SPAN("."), &in);
	buffer_byte(&in, '\0');
	if (!strstr(in.ptr, words))
		fail_msg("'%s' has no '%s'", in.ptr, words);
	buffer_done(&in);
	tls_close(&c);
}

static void an_optional_client_certificate_reaches_the_handler(void **state)
{
	char client_path[128], stranger_path[128], ca_path[128];
	EVP_PKEY *own, *other;
	struct server_config config;
	struct server *s;

	(void)state;
	tls_files(1);
	snprintf(client_path, sizeof(client_path), "%s/client.pem", tls_folder);
	snprintf(stranger_path, sizeof(stranger_path), "%s/stranger.pem", tls_folder);
	snprintf(ca_path, sizeof(ca_path), "%s/ca.pem", tls_folder);
	own = read_key(key_path);
	other = read_key(other_key_path);
	write_authority(ca_path, own, 5, true);
	write_client(client_path, other, own, "jane");
	write_client(stranger_path, other, other, "eve");
	config = config_tls();
	config.tls_client_ca = ca_path;
	config.tls_client_optional = true;
	s = serve(&config);
	expect_client(s, NULL, NULL, 0, "\r\nnone.");
	expect_client(s, client_path, other_key_path, 0, "\r\ngood jane a,b 64.");
	expect_client(s, client_path, other_key_path, TLS1_2_VERSION, "\r\ngood jane a,b 64.");
	expect_client(s, stranger_path, other_key_path, 0, "\r\nbad eve a,b 64.");
	expect_client(s, stranger_path, other_key_path, TLS1_2_VERSION, "\r\nbad eve a,b 64.");
	server_free(s);
	unlink(client_path);
	unlink(stranger_path);
	unlink(ca_path);
	EVP_PKEY_free(own);
	EVP_PKEY_free(other);
}

static long peer_serial(const struct server *s)
{
	struct tls_client c;
	X509 *x;
	long serial;

	assert_true(tls_connect(s, &c, NULL, 0, false));
	x = SSL_get1_peer_certificate(c.ssl);
	serial = ASN1_INTEGER_get(X509_get_serialNumber(x));
	X509_free(x);
	tls_close(&c);
	return serial;
}

static void a_reload_serves_the_new_certificate_and_keeps_the_old_on_errors(void **state)
{
	struct server_config config;
	struct error err = { 0 };
	struct tls_client old;
	struct server *s;
	struct buffer in;

	(void)state;
	tls_files(1);
	config = config_tls();
	s = serve(&config);
	assert_true(tls_connect(s, &old, NULL, 0, false));
	assert_int_equal(peer_serial(s), 1);
	tls_files(2);
	assert_true(server_reload_tls(s, &err));
	assert_int_equal(peer_serial(s), 2);
	unlink(key_path);
	assert_false(server_reload_tls(s, &err));
	assert_non_null(strstr(err.message, key_path));
	assert_int_equal(peer_serial(s), 2);
	buffer_init(&in, MIB(1));
	tls_ask(&old, SPAN("POST /echo HTTP/1.1\r\n" H "Content-Length: 5\r\n\r\nhello"), SPAN("hello"), &in);
	buffer_done(&in);
	tls_close(&old);
	server_free(s);
}

static void bad_certificates_are_refused_with_the_file_and_the_reason(void **state)
{
	struct error err = { 0 };

	(void)state;
	tls_files(1);
	{
		const struct {
			const char *certificate, *key, *ca, *path, *words;
		} rows[] = {
			{ "/nowhere/cert.pem", key_path, NULL, "/nowhere/cert.pem", "No such file" },
			{ cert_path, "/nowhere/key.pem", NULL, "/nowhere/key.pem", "No such file" },
			{ broken_path, key_path, NULL, broken_path, "PEM" },
			{ cert_path, broken_path, NULL, broken_path, "PEM" },
			{ cert_path, other_key_path, NULL, other_key_path, "does not belong" },
			{ cert_path, locked_key_path, NULL, locked_key_path, "passphrase" },
			{ cert_path, key_path, broken_path, broken_path, "PEM" },
			{ cert_path, key_path, "/nowhere/ca.pem", "/nowhere/ca.pem", "No such file" },
			{ cert_path, NULL, NULL, "key", "both" },
			{ NULL, key_path, NULL, "certificate", "both" },
			{ NULL, NULL, cert_path, "client CA", "TLS is off" },
		};

		for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
			struct server_config config = config_default();

			config.tls_certificate = rows[i].certificate;
			config.tls_key = rows[i].key;
			config.tls_client_ca = rows[i].ca;
			assert_null(server_new(&config, &err));
			if (!strstr(err.message, rows[i].path) || !strstr(err.message, rows[i].words))
				fail_msg("row %zu: %s", i, err.message);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(tls_serves_http_1_1_with_and_without_alpn),
		cmocka_unit_test(a_long_body_is_read_to_its_end),
		cmocka_unit_test(an_end_behind_an_empty_line_is_heard),
		cmocka_unit_test(tls_chooses_http_2_by_alpn),
		cmocka_unit_test(old_tls_and_clear_text_are_refused),
		cmocka_unit_test(a_handshake_that_stalls_is_cut),
		cmocka_unit_test(client_certificates_are_asked_for),
		cmocka_unit_test(an_optional_client_certificate_reaches_the_handler),
		cmocka_unit_test(a_reload_serves_the_new_certificate_and_keeps_the_old_on_errors),
		cmocka_unit_test(bad_certificates_are_refused_with_the_file_and_the_reason),
	};

	return cmocka_run_group_tests(tests, gates_init, tls_files_remove);
}
