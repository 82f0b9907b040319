/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * jwt - JSON Web Tokens signed with RSA (RFC 7515 compact form, RFC 7518 RS256, RFC 7519 claims), and the key set that lets others
 * check them (RFC 7517).
 *
 * Threads: any; keys are only read.
 * Errors:  UNAUTHENTICATED for a token that does not hold, in words that never quote it.
 * Limits:  a token JWT_BYTES_MAX.
 */
#include <openssl/evp.h>

#include "base/base.h"

#define JWT_BYTES_MAX KIB(16)

/* The key's name: base64url of the SHA-256 of its SubjectPublicKeyInfo, as Kubernetes names them. 43 characters and a NUL. */
#define JWT_KEY_NAME_SIZE 44
bool jwt_key_name(EVP_PKEY *key, char *ret, struct error *err);

/* `claims` is a JSON object, taken as it is. */
bool jwt_sign(EVP_PKEY *key, const char *key_name, struct span claims, struct arena *arena, struct span *ret,
	      struct error *err);

/* The claims (checked to be a JSON object) of a token that this key has signed. Another algorithm than RS256, "crit" headers and a key
 * name that is not this one are refused. */
bool jwt_check(EVP_PKEY *key, const char *key_name, struct span token, struct arena *arena, struct span *ret_claims,
	       struct error *err);

/* exp and nbf against the wall clock, with a minute of grace as Kubernetes has; a token without exp is refused. `issuer` must be iss. */
bool jwt_check_claims(struct span claims, const char *issuer, int64_t wall_ns, struct arena *arena, struct error *err);

/* {"keys":[{"use":"sig","kty":"RSA","kid":...,"alg":"RS256","n":...,"e":...}]} */
bool jwt_key_set(EVP_PKEY *key, const char *key_name, struct buffer *out, struct error *err);

/* base64url without padding (RFC 7515 2). */
void jwt_base64(struct buffer *out, struct span bytes);
