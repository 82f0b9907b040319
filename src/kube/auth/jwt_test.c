/* SPDX-License-Identifier: Apache-2.0 */
/* jwt_test - tokens and key sets; openssl(1) looks at the signature too. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <openssl/pem.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "kube/auth/jwt.h"
#include "wire/base64.h"
#include "wire/value.h"

#define CLAIMS "{\"iss\":\"me\",\"exp\":2000,\"nbf\":1000}"

static struct arena arena;
static EVP_PKEY *key, *other;
static char name[JWT_KEY_NAME_SIZE], other_name[JWT_KEY_NAME_SIZE];

static int keys_make(void **state)
{
	struct error err = { 0 };

	(void)state;
	arena_init(&arena, MIB(16));
	key = EVP_RSA_gen(2048);
	other = EVP_RSA_gen(2048);
	return jwt_key_name(key, name, &err) && jwt_key_name(other, other_name, &err) ? 0 : -1;
}

static int keys_free(void **state)
{
	(void)state;
	EVP_PKEY_free(key);
	EVP_PKEY_free(other);
	arena_done(&arena);
	return 0;
}

static struct span sign(const char *claims)
{
	struct error err = { 0 };
	struct span token;

	if (!jwt_sign(key, name, span_of(claims), &arena, &token, &err))
		fail_msg("%s", err.message);
	return token;
}

static bool check(struct span token)
{
	struct error err = { 0 };
	struct span claims;
	bool is_good = jwt_check(key, name, token, &arena, &claims, &err);

	if (!is_good)
		assert_int_equal(err.code, ERROR_UNAUTHENTICATED);
	return is_good;
}

/* A token with any head, signed as it should be. */
static struct span token_with_head(const char *head)
{
	struct buffer out;
	EVP_MD_CTX *md = EVP_MD_CTX_new();
	unsigned char signature[256];
	size_t len = sizeof(signature);
	struct error err = { 0 };
	struct span token;

	buffer_init(&out, JWT_BYTES_MAX);
	jwt_base64(&out, span_of(head));
	buffer_byte(&out, '.');
	jwt_base64(&out, SPAN(CLAIMS));
	assert_int_equal(EVP_DigestSignInit(md, NULL, EVP_sha256(), NULL, key), 1);
	assert_int_equal(EVP_DigestSign(md, signature, &len, (const unsigned char *)out.ptr, out.len), 1);
	EVP_MD_CTX_free(md);
	buffer_byte(&out, '.');
	jwt_base64(&out, span_from(signature, len));
	token = arena_copy(&arena, buffer_span(&out), &err);
	buffer_done(&out);
	return token;
}

static void a_token_gives_its_claims_back(void **state)
{
	struct error err = { 0 };
	struct span claims;

	(void)state;
	assert_true(jwt_check(key, name, sign(CLAIMS), &arena, &claims, &err));
	assert_true(span_equal(claims, SPAN(CLAIMS)));
}

static void any_changed_character_breaks_a_token(void **state)
{
	struct span token = sign(CLAIMS);
	struct error err = { 0 };
	struct span copy = arena_copy(&arena, token, &err);
	char *text = (char *)copy.ptr;

	(void)state;
	for (size_t i = 0; i < token.len; i++) {
		/* The last character holds bits that no byte uses: they must be zero. */
		text[i] = token.ptr[i] == 'A' ? 'B' : 'A';
		if (check(copy))
			fail_msg("character %zu of %zu does not matter", i, token.len);
		text[i] = token.ptr[i];
	}
	assert_true(check(copy));
}

static void malformed_tokens_are_refused(void **state)
{
	static const char *const rows[] = { "",
					    ".",
					    "..",
					    "a.b",
					    "a.b.c",
					    "e30.e30.",
					    "e30.e30.e30",
					    "e30.e30.e30.e30",
					    "e30=.e30.e30",
					    "eyJhbGciOiJub25lIn0.e30.",
					    "\xff.\xff.\xff" };
	struct error err = { 0 };
	char *big = base_alloc(JWT_BYTES_MAX + 2);

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		assert_false(check(span_of(rows[i])));
	memset(big, 'A', JWT_BYTES_MAX + 1);
	assert_false(check(span_from(big, JWT_BYTES_MAX + 1)));
	free(big);
	(void)err;
}

static void only_rs256_by_our_key_is_taken(void **state)
{
	char head[160];
	struct error err = { 0 };
	struct span token, claims;

	(void)state;
	snprintf(head, sizeof(head), "{\"alg\":\"RS256\",\"kid\":\"%s\"}", name);
	assert_true(check(token_with_head(head)));
	assert_true(check(token_with_head("{\"alg\":\"RS256\"}")));
	assert_false(check(token_with_head("{\"alg\":\"none\"}")));
	assert_false(check(token_with_head("{\"alg\":\"HS256\"}")));
	assert_false(check(token_with_head("{\"alg\":\"RS512\"}")));
	assert_false(check(token_with_head("{}")));
	assert_false(check(token_with_head("[]")));
	assert_false(check(token_with_head("{\"alg\":\"RS256\",\"kid\":\"other\"}")));
	assert_false(check(token_with_head("{\"alg\":\"RS256\",\"crit\":[\"exp\"]}")));
	assert_true(jwt_sign(other, name, SPAN(CLAIMS), &arena, &token, &err));
	assert_false(jwt_check(key, name, token, &arena, &claims, &err));
}

static void times_and_the_issuer_are_checked(void **state)
{
	static const struct {
		const char *claims;
		int64_t now;
		bool is_good;
	} rows[] = {
		{ CLAIMS, 1500, true },
		{ CLAIMS, 2060, true },
		{ CLAIMS, 2061, false },
		{ CLAIMS, 940, true },
		{ CLAIMS, 939, false },
		{ "{\"iss\":\"me\"}", 1500, false },
		{ "{\"iss\":\"me\",\"exp\":\"2000\"}", 1500, false },
		{ "{\"iss\":\"me\",\"exp\":2000.5}", 1500, true },
		{ "{\"iss\":\"me\",\"exp\":1e400}", 1500, false },
		{ "{\"iss\":\"you\",\"exp\":2000}", 1500, false },
		{ "{\"exp\":2000}", 1500, false },
		{ "{\"iss\":\"me\",\"exp\":2000,\"nbf\":\"x\"}", 1500, false },
		{ "7", 1500, false },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct error err = { 0 };

		if (jwt_check_claims(span_of(rows[i].claims), "me", rows[i].now * NS_PER_S, &arena, &err) !=
		    rows[i].is_good)
			fail_msg("%s at %lld", rows[i].claims, (long long)rows[i].now);
	}
}

static void write_text(const char *path, struct span text)
{
	FILE *file = fopen(path, "w");

	fwrite(text.ptr, 1, text.len, file);
	fclose(file);
}

static void openssl_finds_the_signature_good(void **state)
{
	char folder[] = "/tmp/hythe-jwt-XXXXXX", path[64], command[512];
	struct span token = sign(CLAIMS), rest = token, head = span_cut(&rest, '.'), claims = span_cut(&rest, '.'),
		    bytes;
	struct error err = { 0 };
	FILE *file;

	(void)state;
	assert_non_null(mkdtemp(folder));
	snprintf(path, sizeof(path), "%s/text", folder);
	write_text(path, span_first(token, head.len + 1 + claims.len));
	assert_true(base64_read(rest, &arena, &bytes, &err));
	snprintf(path, sizeof(path), "%s/signature", folder);
	write_text(path, bytes);
	snprintf(path, sizeof(path), "%s/key", folder);
	file = fopen(path, "w");
	assert_int_equal(PEM_write_PUBKEY(file, key), 1);
	fclose(file);
	snprintf(command, sizeof(command),
		 "openssl dgst -sha256 -verify %s/key -signature %s/signature %s/text > /dev/null", folder, folder,
		 folder);
	assert_int_equal(system(command), 0);
	snprintf(command, sizeof(command), "rm -r %s", folder);
	assert_int_equal(system(command), 0);
}

static void the_key_set_holds_the_public_key_alone(void **state)
{
	struct error err = { 0 };
	const struct value *item;
	struct buffer out;
	struct value set;
	struct span n;

	(void)state;
	buffer_init(&out, KIB(64));
	assert_true(jwt_key_set(key, name, &out, &err));
	assert_true(value_parse(buffer_span(&out), NULL, &arena, &set, &err));
	item = value_item(value_get(&set, SPAN("keys")), 0);
	assert_true(span_equal(value_find_string(item, "kty"), SPAN("RSA")));
	assert_true(span_equal(value_find_string(item, "alg"), SPAN("RS256")));
	assert_true(span_equal(value_find_string(item, "kid"), span_of(name)));
	assert_true(span_equal(value_find_string(item, "e"), SPAN("AQAB")));
	assert_true(base64_read(value_find_string(item, "n"), &arena, &n, &err));
	assert_int_equal(n.len, 256);
	assert_null(value_get(item, SPAN("d")));
	buffer_done(&out);
}

static void keys_have_different_names(void **state)
{
	(void)state;
	assert_string_not_equal(name, other_name);
	assert_int_equal(strlen(name), JWT_KEY_NAME_SIZE - 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_token_gives_its_claims_back),
		cmocka_unit_test(any_changed_character_breaks_a_token),
		cmocka_unit_test(malformed_tokens_are_refused),
		cmocka_unit_test(only_rs256_by_our_key_is_taken),
		cmocka_unit_test(times_and_the_issuer_are_checked),
		cmocka_unit_test(openssl_finds_the_signature_good),
		cmocka_unit_test(the_key_set_holds_the_public_key_alone),
		cmocka_unit_test(keys_have_different_names),
	};

	return cmocka_run_group_tests(tests, keys_make, keys_free);
}
