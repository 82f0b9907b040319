/* SPDX-License-Identifier: Apache-2.0 */
/* certificate - X.509 version 3 certificates (RFC 5280), made and looked at. */
#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>
#include <time.h>

#include "kube/auth/pki_private.h"

enum {
	EARLY_S = 3600, /* clocks differ */
	DAY_S = 86400,
	SERIAL_BYTES = 16,
};

bool openssl_fail(struct error *err, const char *what)
{
	const char *reason = ERR_reason_error_string(ERR_peek_last_error());

	error_set(err, ERROR_INTERNAL, "%s: %s", what, reason ? reason : "unknown reason");
	ERR_clear_error();
	return false;
}

static bool set_serial(X509 *x)
{
	unsigned char bytes[SERIAL_BYTES];
	BIGNUM *n;
	bool done;

	if (RAND_bytes(bytes, sizeof(bytes)) != 1)
		return false;
	bytes[0] = (unsigned char)((bytes[0] & 0x7f) | 0x40); /* positive, of full length: RFC 5280 4.1.2.2 */
	n = BN_bin2bn(bytes, sizeof(bytes), NULL);
	done = n && BN_to_ASN1_INTEGER(n, X509_get_serialNumber(x));
	BN_free(n);
	return done;
}

static bool add_extension(X509 *x, X509 *issuer, int id, const char *value)
{
	X509V3_CTX context;
	X509_EXTENSION *extension;
	bool done;

	X509V3_set_ctx_nodb(&context);
	X509V3_set_ctx(&context, issuer, x, NULL, NULL, 0);
	extension = X509V3_EXT_conf_nid(NULL, &context, id, value);
	done = extension && X509_add_ext(x, extension, -1) == 1;
	X509_EXTENSION_free(extension);
	return done;
}

/* Made by hand, not as a configuration text, so that no name can be taken for another option. */
static bool add_name(GENERAL_NAMES *list, const char *name)
{
	GENERAL_NAME *general = GENERAL_NAME_new();
	ASN1_OCTET_STRING *address = a2i_IPADDRESS(name);
	ASN1_IA5STRING *host;

	if (address) {
		GENERAL_NAME_set0_value(general, GEN_IPADD, address);
	} else {
		ERR_clear_error();
		host = ASN1_IA5STRING_new();
		ASN1_STRING_set(host, name, -1);
		GENERAL_NAME_set0_value(general, GEN_DNS, host);
	}
	if (sk_GENERAL_NAME_push(list, general) > 0)
		return true;
	GENERAL_NAME_free(general);
	return false;
}

static bool add_names(X509 *x, const char *const *names)
{
	GENERAL_NAMES *list = sk_GENERAL_NAME_new_null();
	bool done = list != NULL;

	for (; done && *names; names++)
		done = add_name(list, *names);
	done = done && X509_add1_ext_i2d(x, NID_subject_alt_name, list, 0, X509V3_ADD_DEFAULT) == 1;
	sk_GENERAL_NAME_pop_free(list, GENERAL_NAME_free);
	return done;
}

static bool add_extensions(X509 *x, X509 *issuer, const struct certificate_wish *wish)
{
	bool is_authority = wish->use == CERTIFICATE_AUTHORITY;

	if (!add_extension(x, issuer, NID_basic_constraints, is_authority ? "critical,CA:TRUE" : "critical,CA:FALSE") ||
	    !add_extension(x, issuer, NID_key_usage,
			   is_authority ? "critical,digitalSignature,keyCertSign,cRLSign"
					: "critical,digitalSignature") ||
	    !add_extension(x, issuer, NID_subject_key_identifier, "hash") ||
	    !add_extension(x, issuer, NID_authority_key_identifier, "keyid"))
		return false;
	if (is_authority)
		return true;
	if (!add_extension(x, issuer, NID_ext_key_usage, wish->use == CERTIFICATE_SERVER ? "serverAuth" : "clientAuth"))
		return false;
	return !wish->names || add_names(x, wish->names);
}

static bool add_subject(X509 *x, const struct certificate_wish *wish)
{
	X509_NAME *name = X509_get_subject_name(x);

	return (!wish->organization ||
		X509_NAME_add_entry_by_txt(name, "O", MBSTRING_UTF8, (const unsigned char *)wish->organization, -1, -1,
					   0) == 1) &&
	       X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8, (const unsigned char *)wish->common_name, -1, -1,
					  0) == 1;
}

static bool fill(X509 *x, const struct certificate_wish *wish, EVP_PKEY *key, X509 *issuer, EVP_PKEY *issuer_key)
{
	X509 *signer = issuer ? issuer : x;

	return X509_set_version(x, X509_VERSION_3) == 1 && set_serial(x) &&
	       X509_gmtime_adj(X509_getm_notBefore(x), -EARLY_S) &&
	       X509_gmtime_adj(X509_getm_notAfter(x), (long)(wish->days * DAY_S)) && X509_set_pubkey(x, key) == 1 &&
	       add_subject(x, wish) && X509_set_issuer_name(x, X509_get_subject_name(signer)) == 1 &&
	       add_extensions(x, signer, wish) && X509_sign(x, issuer_key, EVP_sha256()) > 0;
}

X509 *certificate_make(const struct certificate_wish *wish, EVP_PKEY *key, X509 *issuer, EVP_PKEY *issuer_key,
		       struct error *err)
{
	X509 *x = X509_new();

	if (x && fill(x, wish, key, issuer, issuer_key))
		return x;
	X509_free(x);
	(void)openssl_fail(err, "making a certificate");
	return NULL;
}

bool certificate_is_fresh(const X509 *x)
{
	int days = 0, seconds = 0, left_days = 0, left_seconds = 0;
	int64_t life, left;

	if (X509_cmp_current_time(X509_get0_notBefore(x)) > 0 ||
	    ASN1_TIME_diff(&days, &seconds, X509_get0_notBefore(x), X509_get0_notAfter(x)) != 1 ||
	    ASN1_TIME_diff(&left_days, &left_seconds, NULL, X509_get0_notAfter(x)) != 1)
		return false;
	life = (int64_t)days * DAY_S + seconds;
	left = (int64_t)left_days * DAY_S + left_seconds;
	return left > life / 3;
}

bool certificate_has_names(X509 *x, const char *const *names)
{
	struct in6_addr address;

	for (; *names; names++) {
		bool is_address =
		    inet_pton(AF_INET, *names, &address) == 1 || inet_pton(AF_INET6, *names, &address) == 1;
		int found = is_address ? X509_check_ip_asc(x, *names, 0) : X509_check_host(x, *names, 0, 0, NULL);

		if (found != 1)
			return false;
	}
	return true;
}
