/* SPDX-License-Identifier: Apache-2.0 */
#include "kube/auth/jwt.h"

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/x509.h>

#include "base/clock.h"
#include "wire/base64.h"
#include "wire/value.h"

#define GRACE_S 60

/* ---- base64url ---- */

void jwt_base64(struct buffer *out, struct span bytes)
{
	size_t start = out->len;

	base64_write(out, bytes);
	if (out->overflow)
		return;
	while (out->len > start && out->ptr[out->len - 1] == '=')
		out->len--;
	for (size_t i = start; i < out->len; i++) {
		if (out->ptr[i] == '+')
			out->ptr[i] = '-';
		else if (out->ptr[i] == '/')
			out->ptr[i] = '_';
	}
}

/* base64_read() takes both alphabets and padding; a token has the one, without. */
static bool is_base64url(struct span s)
{
	for (size_t i = 0; i < s.len; i++) {
		char c = s.ptr[i];

		if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
		      c == '_'))
			return false;
	}
	return s.len > 0;
}

static bool refuse(struct error *err, const char *why)
{
	return error_set(err, ERROR_UNAUTHENTICATED, "token: %s", why);
}

static bool part_read(struct span part, struct arena *arena, struct span *ret, struct error *err)
{
	struct error inner = { 0 };

	if (!is_base64url(part) || !base64_read(part, arena, ret, &inner))
		return refuse(err, "a part is not base64url");
	return true;
}

/* ---- keys ---- */

static bool openssl_failed(struct error *err, const char *what)
{
	const char *reason = ERR_reason_error_string(ERR_peek_last_error());

	error_set(err, ERROR_INTERNAL, "%s: %s", what, reason ? reason : "unknown reason");
	ERR_clear_error();
	return false;
}

bool jwt_key_name(EVP_PKEY *key, char *ret, struct error *err)
{
	unsigned char *der = NULL, hash[EVP_MAX_MD_SIZE];
	unsigned int hash_len = 0;
	struct buffer text;
	int len = i2d_PUBKEY(key, &der);
	bool done;

	if (len <= 0)
		return openssl_failed(err, "public key");
	done = EVP_Digest(der, (size_t)len, hash, &hash_len, EVP_sha256(), NULL) == 1;
	OPENSSL_free(der);
	if (!done)
		return openssl_failed(err, "digest");
	buffer_init(&text, 256);
	jwt_base64(&text, span_from(hash, hash_len));
	ASSERT(text.len == JWT_KEY_NAME_SIZE - 1);
	memcpy(ret, text.ptr, text.len);
	ret[text.len] = '\0';
	buffer_done(&text);
	return true;
}

static bool put_number(EVP_PKEY *key, const char *name, struct buffer *out, struct error *err)
{
	unsigned char bytes[1024]; /* a key of 8192 bits */
	BIGNUM *n = NULL;
	bool fits = EVP_PKEY_get_bn_param(key, name, &n) == 1 && (size_t)BN_num_bytes(n) <= sizeof(bytes);

	if (fits)
		jwt_base64(out, span_from(bytes, (size_t)BN_bn2bin(n, bytes)));
	BN_free(n);
	return fits || openssl_failed(err, "RSA key");
}

bool jwt_key_set(EVP_PKEY *key, const char *key_name, struct buffer *out, struct error *err)
{
	buffer_print(out, "{\"keys\":[{\"use\":\"sig\",\"kty\":\"RSA\",\"kid\":\"%s\",\"alg\":\"RS256\",\"n\":\"",
		     key_name);
	if (!put_number(key, OSSL_PKEY_PARAM_RSA_N, out, err))
		return false;
	buffer_append(out, SPAN("\",\"e\":\""));
	if (!put_number(key, OSSL_PKEY_PARAM_RSA_E, out, err))
		return false;
	buffer_append(out, SPAN("\"}]}"));
	return buffer_ok(out, "key set", err);
}

/* ---- signing ---- */

static bool signature_make(EVP_PKEY *key, struct span text, struct buffer *out, struct error *err)
{
	EVP_MD_CTX *md = EVP_MD_CTX_new();
	unsigned char signature[1024];
	size_t len = sizeof(signature);
	bool done = EVP_DigestSignInit(md, NULL, EVP_sha256(), NULL, key) == 1 &&
		    EVP_DigestSign(md, signature, &len, (const unsigned char *)text.ptr, text.len) == 1;

	EVP_MD_CTX_free(md);
	if (!done)
		return openssl_failed(err, "signing a token");
	jwt_base64(out, span_from(signature, len));
	return true;
}

bool jwt_sign(EVP_PKEY *key, const char *key_name, struct span claims, struct arena *arena, struct span *ret,
	      struct error *err)
{
	struct span head = arena_print(arena, err, "{\"alg\":\"RS256\",\"kid\":\"%s\"}", key_name), token;
	struct buffer out, signature;
	bool done;

	if (!head.ptr)
		return false;
	buffer_init(&out, JWT_BYTES_MAX);
	buffer_init(&signature, JWT_BYTES_MAX);
	jwt_base64(&out, head);
	buffer_byte(&out, '.');
	jwt_base64(&out, claims);
	done = buffer_ok(&out, "token", err) && signature_make(key, buffer_span(&out), &signature, err);
	buffer_byte(&out, '.');
	buffer_append(&out, buffer_span(&signature));
	done = done && buffer_ok(&out, "token", err);
	token = done ? arena_copy(arena, buffer_span(&out), err) : (struct span){ 0 };
	buffer_done(&signature);
	buffer_done(&out);
	if (!token.ptr)
		return false;
	*ret = token;
	return true;
}

/* ---- checking ---- */

static bool object_read(struct span text, struct arena *arena, struct value *ret, struct error *err)
{
	struct error inner = { 0 };

	if (!value_parse(text, NULL, arena, ret, &inner) || ret->type != VALUE_OBJECT)
		return refuse(err, "a part is no JSON object");
	return true;
}

static bool head_check(struct span text, const char *key_name, struct arena *arena, struct error *err)
{
	struct value head;
	const struct value *kid;

	if (!object_read(text, arena, &head, err))
		return false;
	if (!span_equal(value_find_string(&head, "alg"), SPAN("RS256")))
		return refuse(err, "the algorithm is not RS256");
	if (value_get(&head, SPAN("crit")))
		return refuse(err, "it has critical headers that nobody here knows"); /* RFC 7515 4.1.11 */
	kid = value_get(&head, SPAN("kid"));
	if (kid && (!value_is(kid, VALUE_STRING) || !span_equal(kid->string, span_of(key_name))))
		return refuse(err, "it is signed with another key");
	return true;
}

static bool signature_check(EVP_PKEY *key, struct span text, struct span signature, struct error *err)
{
	EVP_MD_CTX *md = EVP_MD_CTX_new();
	bool is_good = EVP_DigestVerifyInit(md, NULL, EVP_sha256(), NULL, key) == 1 &&
		       EVP_DigestVerify(md, (const unsigned char *)signature.ptr, signature.len,
					(const unsigned char *)text.ptr, text.len) == 1;

	EVP_MD_CTX_free(md);
	ERR_clear_error();
	return is_good || refuse(err, "the signature does not hold");
}

bool jwt_check(EVP_PKEY *key, const char *key_name, struct span token, struct arena *arena, struct span *ret_claims,
	       struct error *err)
{
	struct span rest = token, head, claims, signature, head_text, claims_text, signature_bytes;
	struct value tree;

	if (token.len > JWT_BYTES_MAX)
		return refuse(err, "too long");
	head = span_cut(&rest, '.');
	claims = span_cut(&rest, '.');
	signature = rest;
	if (!part_read(head, arena, &head_text, err) || !part_read(claims, arena, &claims_text, err) ||
	    !part_read(signature, arena, &signature_bytes, err))
		return false;
	if (!head_check(head_text, key_name, arena, err) ||
	    !signature_check(key, span_first(token, head.len + 1 + claims.len), signature_bytes, err) ||
	    !object_read(claims_text, arena, &tree, err))
		return false;
	*ret_claims = claims_text;
	return true;
}

/* A NumericDate (RFC 7519 2) as whole seconds; false when it is absent or no number. */
static bool date_read(const struct value *claims, struct span name, int64_t *ret)
{
	const struct value *v = value_get(claims, name);

	if (value_is(v, VALUE_INT))
		*ret = v->integer;
	else if (value_is(v, VALUE_DOUBLE) && v->number >= 0 && v->number < 1e15)
		*ret = (int64_t)v->number;
	else
		return false;
	return true;
}

bool jwt_check_claims(struct span claims, const char *issuer, int64_t wall_ns, struct arena *arena, struct error *err)
{
	int64_t now = wall_ns / NS_PER_S, expires, starts;
	struct value tree;

	if (!object_read(claims, arena, &tree, err))
		return false;
	if (!span_equal(value_find_string(&tree, "iss"), span_of(issuer)))
		return refuse(err, "it was made by somebody else");
	if (!date_read(&tree, SPAN("exp"), &expires))
		return refuse(err, "it has no time of its end");
	if (expires < now - GRACE_S)
		return refuse(err, "it has expired");
	if (value_get(&tree, SPAN("nbf")) && (!date_read(&tree, SPAN("nbf"), &starts) || starts > now + GRACE_S))
		return refuse(err, "it is not valid yet");
	return true;
}
