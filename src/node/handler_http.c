/* SPDX-License-Identifier: Apache-2.0 */
/*
 * handler_http - httpGet. The answer's head decides; its body is not read. Certificates are not checked, as kubelet does not. Redirects are followed
 * on the same host.
 */
#include "node/handler_private.h"

#include <errno.h>
#include <openssl/err.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/number.h"
#include "kube/kinds/kinds.h"

static SSL_CTX *context(void)
{
	static SSL_CTX *shared; /* of the one loop; until the program ends */

	if (!shared) {
		shared = SSL_CTX_new(TLS_client_method());
		if (shared)
			SSL_CTX_set_verify(shared, SSL_VERIFY_NONE, NULL);
	}
	return shared;
}

static void http_fail(struct handler *h, const char *why)
{
	handler_disconnect(h);
	handler_finish(h, HANDLER_BAD, "Get \"%.*s\": %s", (int)h->url.len, h->url.ptr, why);
}

static void http_late(struct handler *h)
{
	http_fail(h, "context deadline exceeded (Client.Timeout exceeded while awaiting headers)");
}

static void http_unconnected(struct handler *h, const char *why)
{
	char text[640];

	snprintf(text, sizeof(text), "dial tcp %s: %s", h->peer, why);
	http_fail(h, text);
}

/* ---- the request ---- */

static bool is_plain(struct span s)
{
	for (size_t i = 0; i < s.len; i++)
		if ((unsigned char)s.ptr[i] < ' ' && s.ptr[i] != '\t')
			return false;
	return true;
}

static const struct value *header_find(const struct handler *h, const char *name)
{
	const struct value *list = value_find(&h->action, "httpGet.httpHeaders");

	for (uint32_t i = 0; i < count_of(list); i++)
		if (span_equal_ignore_case(get_text(value_item(list, i), "name"), span_of(name)))
			return value_item(list, i);
	return NULL;
}

static bool headers_put(struct handler *h)
{
	static const char *const ours[] = { "Host", "User-Agent", "Accept" };
	const struct value *list = value_find(&h->action, "httpGet.httpHeaders"), *own[3];
	struct buffer *b = &h->bytes;
	struct span accept;

	for (size_t i = 0; i < ARRAY_LEN(ours); i++)
		own[i] = header_find(h, ours[i]);
	if (own[0])
		buffer_print(b, "Host: %.*s\r\n", (int)get_text(own[0], "value").len, get_text(own[0], "value").ptr);
	else
		buffer_print(b, "Host: %s\r\n", h->peer);
	if (!own[1])
		buffer_print(b, "User-Agent: %s\r\n", h->agent);
	accept = own[2] ? get_text(own[2], "value") : SPAN("*/*");
	if (accept.len)
		buffer_print(b, "Accept: %.*s\r\n", (int)accept.len, accept.ptr);
	for (uint32_t i = 0; i < count_of(list); i++) {
		struct span name = get_text(value_item(list, i), "name"),
			    value = get_text(value_item(list, i), "value");

		if (!is_plain(name) || !is_plain(value))
			return false;
		if (span_equal_ignore_case(name, SPAN("Host")) || span_equal_ignore_case(name, SPAN("Accept")) ||
		    span_equal_ignore_case(name, SPAN("Connection")))
			continue;
		buffer_print(b, "%.*s: %.*s\r\n", (int)name.len, name.ptr, (int)value.len, value.ptr ? value.ptr : "");
	}
	buffer_print(b, "Connection: close\r\n\r\n");
	return true;
}

static bool request_make(struct handler *h)
{
	buffer_clear(&h->bytes);
	buffer_print(&h->bytes, "GET %.*s HTTP/1.1\r\n", (int)h->path.len, h->path.ptr);
	h->sent = 0;
	h->is_receiving = false;
	return headers_put(h) && !h->bytes.overflow;
}

/* ---- the answer ---- */

static void http_begin(struct handler *h);

/* "http://host:port/path" of this host, or "/path": where to ask next. */
static bool redirect_to(struct handler *h, struct span location)
{
	struct span rest = location, host = { 0 }, port;
	struct error err = { 0 };
	char peer[300];
	bool is_https = h->is_https;
	int64_t number;

	if (span_starts(rest, SPAN("http://")) || span_starts(rest, SPAN("https://"))) {
		is_https = rest.ptr[4] == 's';
		rest = span_skip(rest, is_https ? 8 : 7);
		host = span_first(rest, span_index(rest, '/'));
		rest = span_skip(rest, host.len);
		port = host;
		host = span_cut(&port, ':');
		if (!span_equal(host, span_of(h->host)))
			return false;
		number = is_https ? 443 : 80;
		if (port.len && (!number_parse_int64(port, &number) || number < 1 || number > 65535))
			return false;
		h->port = (int)number;
		snprintf(peer, sizeof(peer), strchr(h->host, ':') ? "[%s]:%d" : "%s:%d", h->host, h->port);
		memcpy(h->peer, peer, sizeof(peer));
	}
	h->is_https = is_https;
	h->path = rest.len ? arena_copy(&h->arena, rest, &err) : SPAN("/");
	return h->path.ptr && h->path.ptr[0] == '/' && is_plain(h->path);
}

static bool is_redirect(int status)
{
	return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

static void head_done(struct handler *h, const struct http_head *head)
{
	struct span body = span_skip(buffer_span(&h->bytes), head->len);

	if (is_redirect(head->status) && head->location.len) {
		if (h->redirects++ == HANDLER_REDIRECTS_MOST) {
			http_fail(h, "stopped after 10 redirects");
			return;
		}
		if (redirect_to(h, head->location)) {
			handler_disconnect(h);
			http_begin(h);
			return;
		}
	}
	handler_disconnect(h);
	if (h->is_status_ignored || (head->status >= 200 && head->status < 300))
		handler_finish(h, HANDLER_GOOD, "%s", "");
	else if (head->status < 400)
		handler_finish(h, HANDLER_WARNING, "Probe terminated redirects, Response body: %.*s",
			       (int)MIN(body.len, (size_t)1024), body.ptr);
	else
		handler_finish(h, HANDLER_BAD, "HTTP probe failed with statuscode: %d", head->status);
}

static void head_look(struct handler *h, bool is_end)
{
	struct http_head head;

	switch (http_head_read(buffer_span(&h->bytes), &head)) {
	case HTTP_HEAD_GOOD:
		head_done(h, &head);
		return;
	case HTTP_HEAD_BAD:
		http_fail(h, "net/http: HTTP/1.x transport connection broken: malformed HTTP response");
		return;
	case HTTP_HEAD_PART:
		break;
	}
	if (is_end)
		http_fail(h, h->bytes.len ? "unexpected EOF" : "EOF");
	else if (h->bytes.len >= HANDLER_HEAD_MOST / 2)
		http_fail(h, "net/http: server response headers exceeded 32768 bytes; aborted");
}

/* ---- bytes ---- */

static void ready(struct watch *w, unsigned events);

/* What OpenSSL waits for; false: it has failed. */
static bool tls_waits(struct handler *h, int result)
{
	switch (SSL_get_error(h->ssl, result)) {
	case SSL_ERROR_WANT_READ:
		handler_watch(h, LOOP_READ, ready);
		return true;
	case SSL_ERROR_WANT_WRITE:
		handler_watch(h, LOOP_WRITE, ready);
		return true;
	default:
		return false;
	}
}

static void tls_fail(struct handler *h)
{
	unsigned long code = ERR_peek_error();
	int reason = ERR_GET_REASON(code);
	const char *text = ERR_reason_error_string(code);
	char why[256];

	if (reason == SSL_R_WRONG_VERSION_NUMBER || reason == SSL_R_HTTP_REQUEST ||
	    reason == SSL_R_PACKET_LENGTH_TOO_LONG)
		snprintf(why, sizeof(why), "http: server gave HTTP response to HTTPS client");
	else if (text)
		snprintf(why, sizeof(why), "remote error: tls: %s", text);
	else
		snprintf(why, sizeof(why), "EOF");
	ERR_clear_error();
	http_fail(h, why);
}

/* 1: some; 0: later; -1: it has failed, and is told. */
static int bytes_send(struct handler *h)
{
	struct span left = span_skip(buffer_span(&h->bytes), h->sent);
	ssize_t len;

	if (h->ssl) {
		ERR_clear_error();
		len = SSL_write(h->ssl, left.ptr, (int)left.len);
		if (len <= 0 && tls_waits(h, (int)len))
			return 0;
	} else {
		len = write(h->fd, left.ptr, left.len);
		if (len < 0 && errno == EAGAIN) {
			handler_watch(h, LOOP_WRITE, ready);
			return 0;
		}
	}
	if (len > 0) {
		h->sent += (size_t)len;
		return 1;
	}
	if (h->ssl)
		tls_fail(h);
	else
		http_fail(h, handler_errno(errno));
	return -1;
}

static int bytes_receive(struct handler *h)
{
	char *to = buffer_reserve(&h->bytes, 4096);
	ssize_t len;

	if (!to) {
		http_fail(h, "net/http: server response headers exceeded 65536 bytes; aborted");
		return -1;
	}
	if (h->ssl) {
		ERR_clear_error();
		len = SSL_read(h->ssl, to, 4096);
		if (len <= 0 && tls_waits(h, (int)len))
			return 0;
	} else {
		len = read(h->fd, to, 4096);
		if (len < 0 && errno == EAGAIN) {
			handler_watch(h, LOOP_READ, ready);
			return 0;
		}
	}
	if (len < 0 && !h->ssl) {
		char why[700];

		snprintf(why, sizeof(why), "read tcp %s: read: %s", h->peer, handler_errno(errno));
		http_fail(h, why);
		return -1;
	}
	if (len > 0)
		buffer_commit(&h->bytes, (size_t)len);
	head_look(h, len <= 0);
	return h->is_finished || h->fd < 0 || !h->is_receiving ? -1 : 1;
}

static void go_on(struct handler *h)
{
	int result = 1;

	while (result > 0 && !h->is_receiving) {
		if (h->sent < h->bytes.len) {
			result = bytes_send(h);
		} else {
			h->is_receiving = true;
			buffer_clear(&h->bytes);
		}
	}
	while (result > 0)
		result = bytes_receive(h);
}

static void ready(struct watch *w, unsigned events)
{
	(void)events;
	go_on(CONTAINER_OF(w, struct handler, watch));
}

static void http_connected(struct handler *h)
{
	if (h->is_https) {
		h->ssl = context() ? SSL_new(context()) : NULL;
		if (!h->ssl || SSL_set_fd(h->ssl, h->fd) != 1) {
			http_fail(h, "TLS cannot be had");
			return;
		}
		SSL_set_connect_state(h->ssl);
	}
	if (request_make(h))
		go_on(h);
	else
		http_fail(h, "net/http: invalid header field");
}

static void http_begin(struct handler *h)
{
	struct error err = { 0 };

	h->url = arena_print(&h->arena, &err, "%s://%s%.*s", h->is_https ? "https" : "http", h->peer, (int)h->path.len,
			     h->path.ptr);
	if (!h->url.ptr)
		handler_finish(h, HANDLER_ERROR, "%s", err.message);
	else
		handler_connect(h);
}

/* What may not stand in a request line is written as %XX. */
static struct span path_make(struct handler *h, struct span path, struct error *err)
{
	char *out = arena_alloc(&h->arena, path.len * 3 + 2, err), *at = out;

	if (!out)
		return (struct span){ 0 };
	if (!path.len || path.ptr[0] != '/')
		*at++ = '/';
	for (size_t i = 0; i < path.len; i++) {
		unsigned char c = (unsigned char)path.ptr[i];

		if (c <= ' ' || c >= 0x7f)
			at += snprintf(at, 4, "%%%02X", c);
		else
			*at++ = (char)c;
	}
	return span_from(out, (size_t)(at - out));
}

void handler_http(struct handler *h, const struct value *http, struct span address)
{
	int port = handler_port(get(http, "port"), &h->spec);
	struct error err = { 0 };

	if (!port) {
		handler_finish(h, HANDLER_ERROR, "couldn't find port: " SPAN_FMT, SPAN_ARG(get_text(http, "port")));
		return;
	}
	handler_host(h, get_text(http, "host"), address, port);
	h->is_https = span_equal_ignore_case(get_text(http, "scheme"), SPAN("HTTPS"));
	h->path = path_make(h, get_text(http, "path"), &err);
	h->connected = http_connected;
	h->unconnected = http_unconnected;
	h->late = http_late;
	if (h->path.ptr)
		http_begin(h);
	else
		handler_finish(h, HANDLER_ERROR, "%s", err.message);
}
