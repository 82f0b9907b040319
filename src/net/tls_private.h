/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * tls_private - what the files of TLS share.
 *
 *	certificates.c  what is shown, and to whom
 *	tls.c           the server's own files, and sessions
 *	tls_client.c    the certificate that a client gave
 */
#include <openssl/ssl.h>

#include "net/certificates.h"
#include "net/request.h"

/* ---- certificates.c ---- */

/* How errors call a certificate and its key: "TLS certificate /a.pem". */
struct certificate_words {
	const char *chain, *key;
};
/* The same as certificates_new(), of one. */
struct certificates *certificates_one(const struct certificate_pem *pem, const struct certificate_words *words,
				      struct error *err);
/* Where sessions begin: what it says of client certificates holds whatever name is asked for. */
SSL_CTX *certificates_context(const struct certificates *c);
const char *tls_reason(void); /* of OpenSSL's last error, in its words */

/* ---- tls_client.c ---- */

/* The client's certificate, to be freed with free(); NULL when it gave none. */
struct client_certificate *tls_client_read(SSL *ssl, bool is_good);
