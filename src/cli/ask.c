/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/ask.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdio.h>

#include "cli/folder.h"
#include "wire/value.h"

#define ANSWER_BYTES_MAX MIB(4)

/* ---- where ---- */

/* The line that pki_write_kubeconfig() writes: server: "https://HOST:PORT". NULL: none. */
static const char *address_find(struct span text, struct arena *arena, struct error *err)
{
	while (text.len > 0) {
		struct span line = span_trim(span_cut(&text, '\n')), prefix = SPAN("server: \"https://");

		if (span_starts(line, prefix) && span_ends(line, SPAN("\"")) && line.len > prefix.len)
			return arena_copy(arena, span_first(span_skip(line, prefix.len), line.len - prefix.len - 1),
					  err)
			    .ptr;
	}
	return NULL;
}

static const char *address_read(const char *folder, struct arena *arena, struct error *err)
{
	const char *path = data_path(folder, "kubeconfig", arena, err), *address = NULL;
	struct error inner = { 0 };
	struct buffer text;

	buffer_init(&text, MIB(1));
	if (path && buffer_read_file(&text, path, &inner))
		address = address_find(buffer_span(&text), arena, err);
	buffer_done(&text);
	if (!address)
		error_set(err, ERROR_UNAVAILABLE, "no hythe has run with the data in %s", folder);
	return address;
}

/* ---- a connection ---- */

static SSL_CTX *context_open(const char *folder, struct arena *arena, struct error *err)
{
	const char *authority = data_path(folder, "pki/ca.crt", arena, err);
	const char *certificate = data_path(folder, "pki/admin.crt", arena, err);
	const char *key = data_path(folder, "pki/admin.key", arena, err);
	SSL_CTX *context = SSL_CTX_new(TLS_client_method());

	if (authority && certificate && key && SSL_CTX_load_verify_file(context, authority) == 1 &&
	    SSL_CTX_use_certificate_chain_file(context, certificate) == 1 &&
	    SSL_CTX_use_PrivateKey_file(context, key, SSL_FILETYPE_PEM) == 1) {
		SSL_CTX_set_verify(context, SSL_VERIFY_PEER, NULL);
		SSL_CTX_set_options(context, SSL_OP_IGNORE_UNEXPECTED_EOF);
		return context;
	}
	ERR_clear_error();
	SSL_CTX_free(context);
	error_set(err, ERROR_INVALID, "the certificates in %s/pki cannot be read", folder);
	return NULL;
}

static bool host_check(SSL *ssl, const char *address)
{
	struct span host = span_of(address);
	AUTO_FREE char *text = NULL;
	size_t at = host.len;

	while (at > 0 && host.ptr[at - 1] != ':')
		at--;
	host = span_first(host, at ? at - 1 : host.len);
	if (host.len > 2 && host.ptr[0] == '[')
		host = span_first(span_skip(host, 1), host.len - 2);
	text = span_to_text(host);
	if (X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), text) == 1)
		return true;
	ERR_clear_error();
	return SSL_set1_host(ssl, text) == 1;
}

static bool connection_use(BIO *bio, const char *address, struct span request, struct buffer *answer, struct error *err)
{
	SSL *ssl = NULL;
	int n;

	BIO_get_ssl(bio, &ssl);
	BIO_set_conn_hostname(bio, address);
	if (!ssl || !host_check(ssl, address))
		return error_set(err, ERROR_INTERNAL, "no connection to %s can be made", address);
	if (BIO_do_connect(bio) != 1) {
		ERR_clear_error();
		return error_set(err, ERROR_UNAVAILABLE, "nobody answers at %s", address);
	}
	if (BIO_do_handshake(bio) != 1) {
		ERR_clear_error();
		return error_set(err, ERROR_UNAVAILABLE, "who answers at %s is not the hythe of this folder", address);
	}
	if (BIO_write(bio, request.ptr, (int)request.len) != (int)request.len)
		return error_set(err, ERROR_INTERNAL, "the connection to %s broke", address);
	do {
		char *to = buffer_reserve(answer, KIB(16));

		if (!to)
			return error_set(err, ERROR_TOO_LARGE, "the answer is over %zu bytes", answer->limit);
		n = BIO_read(bio, to, (int)KIB(16));
		buffer_commit(answer, n > 0 ? (size_t)n : 0);
	} while (n > 0);
	return true;
}

/* ---- the answer ---- */

static enum error_code code_of(struct span status)
{
	for (int code = 1; code < ERROR_COUNT; code++) {
		char text[8];

		snprintf(text, sizeof(text), "%d", error_http((enum error_code)code));
		if (span_equal(status, span_of(text)))
			return (enum error_code)code;
	}
	return ERROR_INTERNAL;
}

/* "HTTP/1.1 200 OK\r\n...\r\n\r\n{...}" */
static bool answer_check(struct span answer, struct arena *arena, struct error *err)
{
	struct span rest = answer, line = span_cut(&rest, '\n'), status;
	const char *body = memmem(answer.ptr, answer.len, "\r\n\r\n", 4);
	struct error ignored = { 0 };
	struct value object;

	(void)span_cut(&line, ' ');
	status = span_cut(&line, ' ');
	if (span_equal(status, SPAN("200")))
		return true;
	if (body && value_parse(span_skip(answer, (size_t)(body + 4 - answer.ptr)), NULL, arena, &object, &ignored) &&
	    value_find_string(&object, "message").len > 0)
		return error_set(err, code_of(status), SPAN_FMT, SPAN_ARG(value_find_string(&object, "message")));
	return error_set(err, ERROR_INTERNAL, "the server answered with '" SPAN_FMT "'",
			 SPAN_ARG(span_trim(span_first(answer, span_index(answer, '\n')))));
}

bool ask_post(const char *folder, const char *path, struct span body, struct arena *arena, struct error *err)
{
	const char *address = address_read(folder, arena, err);
	SSL_CTX *context = address ? context_open(folder, arena, err) : NULL;
	struct buffer request, answer;
	bool done = false;
	BIO *bio;

	if (!context)
		return false;
	buffer_init(&request, MIB(4));
	buffer_init(&answer, ANSWER_BYTES_MAX);
	buffer_print(&request,
		     "POST %s HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n"
		     "Connection: close\r\n\r\n",
		     path, address, body.len);
	buffer_append(&request, body);
	bio = BIO_new_ssl_connect(context);
	if (buffer_ok(&request, "request", err))
		done = connection_use(bio, address, buffer_span(&request), &answer, err) &&
		       answer_check(buffer_span(&answer), arena, err);
	BIO_free_all(bio);
	SSL_CTX_free(context);
	buffer_done(&request);
	buffer_done(&answer);
	return done;
}
