/* SPDX-License-Identifier: Apache-2.0 */
/* signature - AWS Signature Version 4 ("Signing AWS API requests", docs.aws.amazon.com), for GET of S3. */
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "fetch/fetch_private.h"

enum { DIGEST = 32, HEX = 2 * DIGEST + 1, DAY = 8 };

/* SHA-256 of nothing. */
#define EMPTY_DIGEST "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

static void hex(const unsigned char *bytes, char to[HEX])
{
	static const char digits[] = "0123456789abcdef";

	for (size_t i = 0; i < DIGEST; i++) {
		to[2 * i] = digits[bytes[i] >> 4];
		to[2 * i + 1] = digits[bytes[i] & 15];
	}
	to[HEX - 1] = '\0';
}

static bool sign(const void *key, size_t key_len, struct span text, unsigned char to[DIGEST])
{
	unsigned len = DIGEST;

	return HMAC(EVP_sha256(), key, (int)key_len, (const unsigned char *)text.ptr, text.len, to, &len) != NULL;
}

static bool key_make(const struct aws_keys *keys, struct span day, struct arena *arena, unsigned char to[DIGEST],
		     struct error *err)
{
	struct span first = arena_print(arena, err, "AWS4%.*s", SPAN_WHOLE(keys->secret));

	return first.ptr && sign(first.ptr, first.len, day, to) && sign(to, DIGEST, keys->region, to) &&
	       sign(to, DIGEST, SPAN("s3"), to) && sign(to, DIGEST, SPAN("aws4_request"), to);
}

bool signature_make(const struct aws_keys *keys, struct span host, struct span path, struct span query,
		    struct span date, struct arena *arena, struct span headers[SIGNATURE_HEADERS_MOST],
		    size_t *ret_count, struct error *err)
{
	static const char names[] = "host;x-amz-content-sha256;x-amz-date", with_token[] = ";x-amz-security-token";
	struct span day = span_first(date, DAY), canonical, scope, text, token = { 0 };
	unsigned char digest[DIGEST], key[DIGEST];
	char hexed[HEX];
	size_t n = 0;

	*ret_count = 0;
	if (!keys->id.len)
		return true;
	token = keys->token.len ? arena_print(arena, err, "x-amz-security-token:%.*s\n", SPAN_WHOLE(keys->token))
				: SPAN("");
	canonical = arena_print(arena, err,
				"GET\n%.*s\n%.*s\nhost:%.*s\nx-amz-content-sha256:" EMPTY_DIGEST
				"\nx-amz-date:%.*s\n%.*s\n%s%s\n" EMPTY_DIGEST,
				SPAN_WHOLE(path), SPAN_WHOLE(query), SPAN_WHOLE(host), SPAN_WHOLE(date),
				SPAN_WHOLE(token), names, keys->token.len ? with_token : "");
	scope = arena_print(arena, err, "%.*s/%.*s/s3/aws4_request", SPAN_WHOLE(day), SPAN_WHOLE(keys->region));
	if (!canonical.ptr || !scope.ptr || !EVP_Digest(canonical.ptr, canonical.len, digest, NULL, EVP_sha256(), NULL))
		return error_set(err, ERROR_INTERNAL, "a question could not be signed");
	hex(digest, hexed);
	text = arena_print(arena, err, "AWS4-HMAC-SHA256\n%.*s\n%.*s\n%s", SPAN_WHOLE(date), SPAN_WHOLE(scope), hexed);
	if (!text.ptr || !key_make(keys, day, arena, key, err) || !sign(key, DIGEST, text, digest))
		return error_set(err, ERROR_INTERNAL, "a question could not be signed");
	hex(digest, hexed);
	headers[n++] = arena_print(
	    arena, err, "Authorization: AWS4-HMAC-SHA256 Credential=%.*s/%.*s,SignedHeaders=%s%s,Signature=%s",
	    SPAN_WHOLE(keys->id), SPAN_WHOLE(scope), names, keys->token.len ? with_token : "", hexed);
	headers[n++] = SPAN("x-amz-content-sha256: " EMPTY_DIGEST);
	headers[n++] = arena_print(arena, err, "x-amz-date: %.*s", SPAN_WHOLE(date));
	if (keys->token.len)
		headers[n++] = arena_print(arena, err, "x-amz-security-token: %.*s", SPAN_WHOLE(keys->token));
	*ret_count = n;
	return err->code == ERROR_NONE;
}
