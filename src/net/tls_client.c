/* SPDX-License-Identifier: Apache-2.0 */
/* tls_client - the subject of a client's certificate. */
#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include "net/tls_private.h"

#define SUBJECT_BYTES_MAX KIB(16) /* of names taken from one certificate */

/* The struct, its list and the texts are one block, so that one free() ends it. */
struct client_block {
	struct client_certificate shown;
	struct span organizations[CLIENT_ORGANIZATIONS_MAX];
	size_t used;
	char text[SUBJECT_BYTES_MAX];
};

/* False: too long, or with a NUL inside, which other readers may take for the end. */
static bool keep_name(struct client_block *b, const X509_NAME_ENTRY *entry, struct span *ret)
{
	unsigned char *text = NULL;
	int len = ASN1_STRING_to_UTF8(&text, X509_NAME_ENTRY_get_data(entry));
	bool fits = len >= 0 && (size_t)len <= sizeof(b->text) - b->used && (len == 0 || !memchr(text, 0, (size_t)len));

	if (fits) {
		if (len > 0)
			memcpy(b->text + b->used, text, (size_t)len);
		*ret = span_from(b->text + b->used, (size_t)len);
		b->used += (size_t)len;
	}
	OPENSSL_free(text);
	return fits;
}

/* Of several common names the last one counts, as in Go's crypto/x509. */
static bool keep_subject(struct client_block *b, X509_NAME *name)
{
	for (int i = 0; i < X509_NAME_entry_count(name); i++) {
		const X509_NAME_ENTRY *entry = X509_NAME_get_entry(name, i);
		int id = OBJ_obj2nid(X509_NAME_ENTRY_get_object(entry));

		if (id == NID_commonName && !keep_name(b, entry, &b->shown.common_name))
			return false;
		if (id != NID_organizationName)
			continue;
		if (b->shown.organization_count == CLIENT_ORGANIZATIONS_MAX ||
		    !keep_name(b, entry, &b->organizations[b->shown.organization_count]))
			return false;
		b->shown.organization_count++;
	}
	return true;
}

static void print_fingerprint(const X509 *x, char *out)
{
	static const char digits[] = "0123456789abcdef";
	unsigned char hash[EVP_MAX_MD_SIZE];
	unsigned int len = 0;

	if (X509_digest(x, EVP_sha256(), hash, &len) != 1)
		len = 0;
	for (unsigned int i = 0; i < len && i < 32; i++) {
		*out++ = digits[hash[i] >> 4];
		*out++ = digits[hash[i] & 15];
	}
	*out = '\0';
}

struct client_certificate *tls_client_read(SSL *ssl, bool is_good)
{
	X509 *x = SSL_get1_peer_certificate(ssl);
	struct client_block *b;

	if (!x)
		return NULL;
	b = base_calloc(1, sizeof(*b));
	b->shown.organizations = b->organizations;
	print_fingerprint(x, b->shown.fingerprint);
	/* A session that goes on from a ticket has the result of the handshake that made it. */
	b->shown.is_good =
	    keep_subject(b, X509_get_subject_name(x)) && is_good && SSL_get_verify_result(ssl) == X509_V_OK;
	X509_free(x);
	return &b->shown;
}
