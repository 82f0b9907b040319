/* SPDX-License-Identifier: Apache-2.0 */
/* jwt_fuzz - a token from a client: it is refused, as nobody but us has the key, and its claims are never read past their end. */
#include <openssl/rsa.h>
#include <stdint.h>

#include "kube/auth/jwt.h"

static EVP_PKEY *key;
static char name[JWT_KEY_NAME_SIZE];

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct span token = { (const char *)data, len }, claims = { 0 };
	struct error err = { 0 };
	struct arena arena;

	if (!key) {
		key = EVP_RSA_gen(1024);
		ASSERT(key && jwt_key_name(key, name, &err));
	}
	arena_init(&arena, MIB(1));
	if (jwt_check(key, name, token, &arena, &claims, &err) || err.code == ERROR_NONE)
		__builtin_trap(); /* a forged token */
	err = (struct error){ 0 };
	(void)jwt_check_claims(token, "issuer", INT64_C(1000000000000000000), &arena, &err);
	arena_done(&arena);
	return 0;
}
