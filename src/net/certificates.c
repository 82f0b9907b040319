/* SPDX-License-Identifier: Apache-2.0 */
/* certificates - contexts of OpenSSL made of PEM texts, and the choice among them by name. */
#include "net/certificates.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "net/tls_private.h"

#define NAME_MOST 253 /* bytes of a host name (RFC 1035 2.3.4) */

/* A name, in lower case, and whose it is. */
struct shown {
	char *name;
	size_t context;
};

struct certificates {
	_Atomic unsigned references; /* relaxed up, acquire and release down: the last one frees */
	SSL_CTX **contexts;
	size_t count;
	struct shown *shown; /* sorted by name, then by place in the list */
	size_t shown_count, shown_room;
};

const char *tls_reason(void)
{
	const char *text = ERR_reason_error_string(ERR_peek_last_error());

	return text ? text : "unknown reason";
}

/* ---- names ---- */

static void show_add(struct certificates *c, size_t context, struct span name)
{
	char *text;

	if (name.len && name.ptr[name.len - 1] == '.')
		name.len--;
	if (name.len == 0 || name.len > NAME_MOST || memchr(name.ptr, 0, name.len))
		return; /* nobody can ask for it */
	if (c->shown_count == c->shown_room) {
		c->shown_room = c->shown_room ? 2 * c->shown_room : 8;
		c->shown = base_realloc(c->shown, c->shown_room * sizeof(*c->shown));
	}
	text = base_alloc(name.len + 1);
	for (size_t i = 0; i < name.len; i++)
		text[i] = name.ptr[i] >= 'A' && name.ptr[i] <= 'Z' ? (char)(name.ptr[i] | 0x20) : name.ptr[i];
	text[name.len] = 0;
	c->shown[c->shown_count++] = (struct shown){ text, context };
}

static struct span asn1_span(const ASN1_STRING *s)
{
	return span_from(ASN1_STRING_get0_data(s), (size_t)ASN1_STRING_length(s));
}

/* RFC 6125 6.4.4: the common name only where no DNS name is given. */
static void show_own(struct certificates *c, size_t context, const X509 *x)
{
	GENERAL_NAMES *names = X509_get_ext_d2i(x, NID_subject_alt_name, NULL, NULL);
	const X509_NAME *subject = X509_get_subject_name(x);
	bool has_dns = false;

	for (int i = 0; names && i < sk_GENERAL_NAME_num(names); i++) {
		const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);

		if (name->type != GEN_DNS)
			continue;
		has_dns = true;
		show_add(c, context, asn1_span(name->d.dNSName));
	}
	GENERAL_NAMES_free(names);
	for (int at = -1; !has_dns && (at = X509_NAME_get_index_by_NID(subject, NID_commonName, at)) >= 0;)
		show_add(c, context, asn1_span(X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at))));
}

static int compare_shown(const void *a, const void *b)
{
	const struct shown *left = a, *right = b;
	int order = strcmp(left->name, right->name);

	return order ? order : (left->context > right->context) - (left->context < right->context);
}

/* The first of that name, or NULL. */
static const struct shown *shown_find(const struct certificates *c, const char *name)
{
	size_t low = 0, high = c->shown_count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (strcmp(c->shown[middle].name, name) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low < c->shown_count && strcmp(c->shown[low].name, name) == 0 ? &c->shown[low] : NULL;
}

/* Exact before wildcard, and the longer wildcard before the shorter. */
static const struct shown *choose(const struct certificates *c, const char *asked)
{
	char name[NAME_MOST + 2];
	size_t len = strlen(asked);
	const struct shown *found;

	if (len && asked[len - 1] == '.')
		len--;
	if (len == 0 || len > NAME_MOST)
		return NULL;
	for (size_t i = 0; i < len; i++)
		name[i] = asked[i] >= 'A' && asked[i] <= 'Z' ? (char)(asked[i] | 0x20) : asked[i];
	name[len] = 0;
	found = shown_find(c, name);
	for (size_t i = 1; !found && i < len; i++) {
		if (name[i] != '.')
			continue;
		name[i - 1] = '*';
		found = shown_find(c, name + i - 1);
	}
	return found;
}

/* RFC 6066 3. What a session may do besides stays as it was begun. */
static int choose_certificate(SSL *ssl, int *ret_alert, void *argument)
{
	const struct certificates *c = argument;
	const char *asked = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
	const struct shown *found = asked ? choose(c, asked) : NULL;

	(void)ret_alert;
	if (!found)
		return SSL_TLSEXT_ERR_NOACK;
	(void)SSL_set_SSL_CTX(ssl, c->contexts[found->context]);
	return SSL_TLSEXT_ERR_OK;
}

/* ---- contexts ---- */

/* RFC 7301: ours in order of preference. A client that offers neither goes on without. */
static int choose_protocol(SSL *ssl, const unsigned char **ret, unsigned char *ret_len, const unsigned char *offered,
			   unsigned int len, void *context)
{
	static const unsigned char ours[] = "\x02h2\x08http/1.1";
	unsigned char *chosen;

	(void)ssl;
	(void)context;
	if (SSL_select_next_proto(&chosen, ret_len, ours, sizeof(ours) - 1, offered, len) != OPENSSL_NPN_NEGOTIATED)
		return SSL_TLSEXT_ERR_NOACK;
	*ret = chosen;
	return SSL_TLSEXT_ERR_OK;
}

static SSL_CTX *context_new(struct certificates *c)
{
	static const unsigned char session_scope[] = "hythe";
	SSL_CTX *context = SSL_CTX_new(TLS_server_method());

	ASSERT(context && SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION) == 1);
	SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_IGNORE_UNEXPECTED_EOF);
	SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
				      SSL_MODE_RELEASE_BUFFERS);
	SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF); /* tickets need no memory here */
	ASSERT(SSL_CTX_set_session_id_context(context, session_scope, sizeof(session_scope) - 1) == 1);
	SSL_CTX_set_read_ahead(context, 1); /* one recv for a record's head and body, and for several records */
	SSL_CTX_set_alpn_select_cb(context, choose_protocol, NULL);
	SSL_CTX_set_tlsext_servername_callback(context, choose_certificate);
	SSL_CTX_set_tlsext_servername_arg(context, c); /* sessions keep a reference to it */
	return context;
}

static BIO *text_bio(struct span text)
{
	BIO *bio = BIO_new_mem_buf(text.ptr ? text.ptr : "", (int)MIN(text.len, INT32_MAX));

	ASSERT(bio);
	return bio;
}

/* Without this OpenSSL would ask at the terminal. */
static int no_passphrase(char *to, int size, int is_writing, void *context)
{
	(void)to;
	(void)size;
	(void)is_writing;
	*(bool *)context = true;
	return -1;
}

/* The certificate, and behind it those that lead to its authority. The first is the caller's to free. */
static X509 *load_chain(SSL_CTX *context, struct span pem)
{
	BIO *bio = text_bio(pem);
	bool is_locked = false;
	X509 *first = PEM_read_bio_X509_AUX(bio, NULL, no_passphrase, &is_locked), *more;
	bool is_good = first && SSL_CTX_use_certificate(context, first) == 1;

	while (is_good && (more = PEM_read_bio_X509(bio, NULL, no_passphrase, &is_locked))) {
		is_good = SSL_CTX_add0_chain_cert(context, more) == 1;
		if (!is_good)
			X509_free(more);
	}
	if (is_good && ERR_GET_REASON(ERR_peek_last_error()) != PEM_R_NO_START_LINE)
		is_good = false;
	BIO_free(bio);
	if (is_good) {
		ERR_clear_error();
		return first;
	}
	X509_free(first);
	return NULL;
}

static bool load_key(SSL_CTX *context, struct span pem, const struct certificate_words *words, struct error *err)
{
	BIO *bio = text_bio(pem);
	bool is_locked = false;
	EVP_PKEY *key = PEM_read_bio_PrivateKey(bio, NULL, no_passphrase, &is_locked);
	bool is_good = key && SSL_CTX_use_PrivateKey(context, key) == 1 && SSL_CTX_check_private_key(context) == 1;

	BIO_free(bio);
	if (is_good)
		;
	else if (is_locked)
		error_set(err, ERROR_INVALID, "%s is encrypted: give one without a passphrase", words->key);
	else if (key)
		error_set(err, ERROR_INVALID, "%s does not belong to %s", words->key, words->chain);
	else
		error_set(err, ERROR_INVALID, "%s: not a private key in PEM form (%s)", words->key, tls_reason());
	EVP_PKEY_free(key);
	return is_good;
}

static bool add(struct certificates *c, const struct certificate_pem *pem, const struct certificate_words *words,
		struct error *err)
{
	SSL_CTX *context = context_new(c);
	X509 *x;
	bool is_good;

	c->contexts[c->count++] = context;
	ERR_clear_error();
	x = load_chain(context, pem->chain);
	if (!x)
		return error_set(err, ERROR_INVALID, "%s: not a certificate in PEM form (%s)", words->chain,
				 tls_reason());
	is_good = load_key(context, pem->key, words, err);
	for (size_t i = 0; is_good && i < pem->name_count; i++)
		show_add(c, c->count - 1, pem->names[i]);
	if (is_good && pem->name_count == 0)
		show_own(c, c->count - 1, x);
	X509_free(x);
	ERR_clear_error();
	return is_good;
}

/* ---- life ---- */

static struct certificates *begin(size_t count)
{
	struct certificates *c = base_calloc(1, sizeof(*c));

	c->references = 1;
	c->contexts = base_calloc(count + 1, sizeof(*c->contexts));
	return c;
}

/* Ready to be shown; or NULL, when it could not be made. */
static struct certificates *finish(struct certificates *c, bool is_good)
{
	if (!is_good) {
		ERR_clear_error();
		certificates_unref(c);
		return NULL;
	}
	if (c->shown_count)
		qsort(c->shown, c->shown_count, sizeof(*c->shown), compare_shown);
	return c;
}

struct certificates *certificates_one(const struct certificate_pem *pem, const struct certificate_words *words,
				      struct error *err)
{
	struct certificates *c = begin(1);

	return finish(c, add(c, pem, words, err));
}

struct certificates *certificates_new(const struct certificate_pem *list, size_t count, struct error *err)
{
	struct certificates *c = begin(count);
	bool is_good = count > 0 || error_set(err, ERROR_INVALID, "no certificate is given");

	for (size_t i = 0; is_good && i < count; i++) {
		char chain[40], key[48];
		struct certificate_words words = { chain, key };

		(void)snprintf(chain, sizeof(chain), "certificate %zu", i + 1);
		(void)snprintf(key, sizeof(key), "key of certificate %zu", i + 1);
		is_good = add(c, &list[i], &words, err);
	}
	return finish(c, is_good);
}

SSL_CTX *certificates_context(const struct certificates *c)
{
	return c->contexts[0];
}

void certificates_ref(struct certificates *c)
{
	atomic_fetch_add_explicit(&c->references, 1, memory_order_relaxed);
}

void certificates_unref(struct certificates *c)
{
	if (!c || atomic_fetch_sub_explicit(&c->references, 1, memory_order_acq_rel) != 1)
		return;
	for (size_t i = 0; i < c->count; i++)
		SSL_CTX_free(c->contexts[i]);
	for (size_t i = 0; i < c->shown_count; i++)
		free(c->shown[i].name);
	free(c->shown);
	free(c->contexts);
	free(c);
}
