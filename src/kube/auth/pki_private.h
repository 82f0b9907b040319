/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* pki_private - certificates and their files, under pki.c. */
#include <openssl/evp.h>
#include <openssl/x509.h>

#include "base/base.h"

enum certificate_use { CERTIFICATE_AUTHORITY, CERTIFICATE_SERVER, CERTIFICATE_CLIENT };

struct certificate_wish {
	enum certificate_use use;
	const char *common_name, *organization; /* organization NULL: none */
	const char *const *names;               /* SERVER: host names and addresses, ending with NULL */
	int64_t days;
};

/* INTERNAL with OpenSSL's reason. */
bool openssl_fail(struct error *err, const char *what);

/* Signed by `issuer_key`; `issuer` NULL: by itself. NULL on failure. */
X509 *certificate_make(const struct certificate_wish *wish, EVP_PKEY *key, X509 *issuer, EVP_PKEY *issuer_key,
		       struct error *err);
/* Its time has begun, and more than a third of its life is left. */
bool certificate_is_fresh(const X509 *x);
bool certificate_has_names(X509 *x, const char *const *names);

/* Files in PEM form. Reading: an absent one is NULL without an error. Writing: whole or not at all, durable. */
bool key_read(const char *path, EVP_PKEY **ret, struct error *err);
bool certificate_read(const char *path, X509 **ret, struct error *err);
bool key_write(const char *path, EVP_PKEY *key, struct error *err);   /* 0600 */
bool certificate_write(const char *path, X509 *x, struct error *err); /* 0644 */
bool private_file_write(const char *path, struct span text, unsigned mode, struct error *err);
bool certificate_pem(X509 *x, struct buffer *out, struct error *err);
bool key_pem(EVP_PKEY *key, struct buffer *out, struct error *err);
