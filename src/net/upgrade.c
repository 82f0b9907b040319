/* SPDX-License-Identifier: Apache-2.0 */
/* upgrade - the handshake of WebSocket (RFC 6455 4.2), and of what single routes speak besides (RFC 9110 7.8). */
#include <openssl/evp.h>

#include "net/http1_private.h"
#include "wire/base64.h"
#include "wire/json.h"

#define SPDY SPAN("SPDY/3.1")

/* Is `token` in a list of tokens, in any case? All headers of that name are one list (RFC 9110 5.3). */
static bool list_has(const struct request *req, struct span name, struct span token)
{
	for (size_t i = 0; i < req->header_count; i++) {
		struct span rest = req->headers[i].value;

		if (!span_equal(req->headers[i].name, name))
			continue;
		while (rest.len)
			if (span_equal_ignore_case(span_trim(span_cut(&rest, ',')), token))
				return true;
	}
	return false;
}

static size_t count_of(const struct request *req, struct span name)
{
	size_t count = 0;

	for (size_t i = 0; i < req->header_count; i++)
		count += span_equal(req->headers[i].name, name);
	return count;
}

/* 16 bytes in base64. */
static bool key_is_good(struct request *req)
{
	struct error ignored = { 0 };
	struct span key = request_header(req, SPAN("sec-websocket-key"));
	struct span bytes;

	return key.len == 24 && count_of(req, SPAN("sec-websocket-key")) == 1 &&
	       base64_read(key, &req->arena, &bytes, &ignored) && bytes.len == 16;
}

static void refuse(struct request *req, const char *why)
{
	struct error err = { 0 };

	error_set(&err, ERROR_INVALID, "the request to upgrade to a WebSocket %s", why);
	request_refuse(req, &err);
}

bool upgrade_version_check(struct request *req)
{
	struct span version = request_header(req, SPAN("sec-websocket-version"));
	struct error err = { 0 };

	if (span_equal(version, SPAN("13")))
		return true;
	/* RFC 6455 4.4: what is spoken here, so that the client may try again. */
	request_set_header(req, SPAN("sec-websocket-version"), SPAN("13"));
	if (req->http_major == 1)
		request_set_header(req, SPAN("upgrade"), SPAN("websocket"));
	error_set(&err, ERROR_UPGRADE_REQUIRED, "version '" SPAN_FMT "' of WebSocket is not spoken here: use 13",
		  SPAN_ARG(version));
	request_refuse(req, &err);
	return false;
}

static bool asks_for_spdy(const struct request *req)
{
	return req->route->kind == ROUTE_SPDY && list_has(req, SPAN("upgrade"), SPDY);
}

bool upgrade_check(struct request *req, int minor, bool has_body)
{
	bool is_spdy = asks_for_spdy(req);

	if (minor == 0 || !list_has(req, SPAN("connection"), SPAN("upgrade")) ||
	    (!is_spdy && !list_has(req, SPAN("upgrade"), SPAN("websocket"))))
		return true;
	if (req->method != METHOD_GET && !(is_spdy && req->method == METHOD_POST)) {
		refuse(req, "is not a GET");
		return false;
	}
	if (has_body) {
		refuse(req, "has a body");
		return false;
	}
	if (is_spdy) {
		req->upgrade = SPDY;
		return true;
	}
	if (!upgrade_version_check(req))
		return false;
	if (!key_is_good(req)) {
		refuse(req, "has no Sec-WebSocket-Key of 16 bytes in base64");
		return false;
	}
	req->upgrade = SPAN("websocket");
	return true;
}

void upgrade_accept(const struct request *req, char *to)
{
	upgrade_accept_key(request_header(req, SPAN("sec-websocket-key")), to);
}

void upgrade_accept_key(struct span key, char *to)
{
	static const struct span guid = SPAN_INIT("258EAFA5-E914-47DA-95CA-C5AB0DC85B11"); /* RFC 6455 1.3 */
	unsigned char text[24 + 36], digest[EVP_MAX_MD_SIZE];
	unsigned digest_len = 0;
	struct buffer out;

	ASSERT(key.len + guid.len == sizeof(text));
	memcpy(text, key.ptr, key.len);
	memcpy(text + key.len, guid.ptr, guid.len);
	ASSERT(EVP_Digest(text, sizeof(text), digest, &digest_len, EVP_sha1(), NULL) == 1);
	buffer_init(&out, KIB(1));
	base64_write(&out, span_from(digest, digest_len));
	ASSERT(out.len == UPGRADE_ACCEPT_LEN);
	memcpy(to, out.ptr, out.len);
	buffer_done(&out);
}
