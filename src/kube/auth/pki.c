/* SPDX-License-Identifier: Apache-2.0 */
#include "kube/auth/pki.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/rsa.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kube/auth/jwt.h"
#include "kube/auth/pki_private.h"
#include "wire/base64.h"

enum {
	AUTHORITY_DAYS = 3650,
	SERVER_DAYS = 365,
	TOKEN_KEY_BITS = 2048,
	KEY_NICENESS = 10, /* of the thread that looks for it */
	PEM_BYTES_MAX = 64 * 1024,
};

/* A key, its certificate, and their files. */
struct pair {
	char *key_file, *certificate_file;
	EVP_PKEY *key;
	X509 *certificate;
};

struct pki {
	struct pair authority, server, admin;
	struct buffer authority_pem;
	const char **names; /* those of the server, ending with NULL; the texts are ours */

	/* An RSA key takes long to find: a thread looks for it while the rest starts. The first who needs it waits. */
	char *token_key_file;
	EVP_PKEY *token_key;
	char token_key_name[JWT_KEY_NAME_SIZE];
	pthread_t token_thread;
	bool has_token_thread;
	struct error token_error;
};

/* ---- life ---- */

static void pair_done(struct pair *pair)
{
	EVP_PKEY_free(pair->key);
	X509_free(pair->certificate);
	free(pair->key_file);
	free(pair->certificate_file);
}

static void token_thread_join(struct pki *p)
{
	if (p->has_token_thread)
		pthread_join(p->token_thread, NULL);
	p->has_token_thread = false;
}

void pki_free(struct pki *p)
{
	if (!p)
		return;
	token_thread_join(p);
	pair_done(&p->authority);
	pair_done(&p->server);
	pair_done(&p->admin);
	buffer_done(&p->authority_pem);
	EVP_PKEY_free(p->token_key);
	free(p->token_key_file);
	for (size_t i = 0; p->names && p->names[i]; i++)
		free((char *)p->names[i]);
	free(p->names);
	free(p);
}

static const char *const own_names[] = {
	"localhost",
	"127.0.0.1",
	"::1",
	"127.96.0.1", /* the cluster IP of the kubernetes service */
	"kubernetes",
	"kubernetes.default",
	"kubernetes.default.svc",
	"kubernetes.default.svc.cluster.local",
};

static void keep_names(struct pki *p, const char *const *names)
{
	size_t count = 0, at = 0;

	while (names && names[count])
		count++;
	p->names = base_calloc(ARRAY_LEN(own_names) + count + 1, sizeof(*p->names));
	for (; at < ARRAY_LEN(own_names); at++)
		p->names[at] = span_to_text(span_of(own_names[at]));
	for (size_t i = 0; i < count; i++)
		p->names[at++] = span_to_text(span_of(names[i]));
}

static char *file_of(const char *folder, const char *name)
{
	size_t size = strlen(folder) + strlen(name) + sizeof("/");
	char *path = base_alloc(size);

	snprintf(path, size, "%s/%s", folder, name);
	return path;
}

static bool folder_make(const char *path, struct error *err)
{
	if (mkdir(path, 0700) == 0 || errno == EEXIST)
		return true;
	return error_errno(err, errno, "%s", path);
}

/* ---- pairs ---- */

static bool pair_read(struct pair *pair, struct error *err)
{
	if (!key_read(pair->key_file, &pair->key, err) ||
	    !certificate_read(pair->certificate_file, &pair->certificate, err))
		return false;
	if (pair->certificate && !pair->key)
		return error_set(err, ERROR_INVALID, "%s is there and its key %s is not", pair->certificate_file,
				 pair->key_file);
	if (pair->certificate && X509_check_private_key(pair->certificate, pair->key) != 1) {
		ERR_clear_error();
		return error_set(err, ERROR_INVALID, "%s does not belong to the key %s", pair->certificate_file,
				 pair->key_file);
	}
	return true;
}

/* The key is written before its certificate: a crash between the two leaves a key that gets one at the next start. */
static bool pair_make(struct pair *pair, const struct certificate_wish *wish, const struct pair *issuer,
		      struct error *err)
{
	X509 *fresh;

	if (!pair->key) {
		pair->key = EVP_EC_gen("P-256");
		if (!pair->key)
			return openssl_fail(err, "making a key");
		if (!key_write(pair->key_file, pair->key, err))
			return false;
	}
	fresh = certificate_make(wish, pair->key, issuer ? issuer->certificate : NULL, issuer ? issuer->key : pair->key,
				 err);
	if (!fresh)
		return false;
	if (!certificate_write(pair->certificate_file, fresh, err)) {
		X509_free(fresh);
		return false;
	}
	X509_free(pair->certificate);
	pair->certificate = fresh;
	return true;
}

static bool is_signed_by(const struct pair *pair, const struct pair *issuer)
{
	bool is = X509_verify(pair->certificate, issuer->key) == 1;

	ERR_clear_error();
	return is;
}

/* The same key and name: what the old one signed holds under the new one. */
static bool authority_ensure(struct pki *p, struct error *err)
{
	static const struct certificate_wish wish = { .use = CERTIFICATE_AUTHORITY,
						      .common_name = "hythe",
						      .days = AUTHORITY_DAYS };

	if (!p->authority.certificate || !certificate_is_fresh(p->authority.certificate)) {
		if (!pair_make(&p->authority, &wish, NULL, err))
			return false;
	}
	buffer_clear(&p->authority_pem);
	return certificate_pem(p->authority.certificate, &p->authority_pem, err);
}

static bool server_ensure(struct pki *p, bool *ret_made, struct error *err)
{
	const struct certificate_wish wish = {
		.use = CERTIFICATE_SERVER, .common_name = "kube-apiserver", .names = p->names, .days = SERVER_DAYS
	};
	const X509 *x = p->server.certificate;

	*ret_made = !x || !certificate_is_fresh(x) || !certificate_has_names(p->server.certificate, p->names) ||
		    !is_signed_by(&p->server, &p->authority);
	return !*ret_made || pair_make(&p->server, &wish, &p->authority, err);
}

static bool admin_ensure(struct pki *p, struct error *err)
{
	static const struct certificate_wish wish = { .use = CERTIFICATE_CLIENT,
						      .common_name = "kubernetes-admin",
						      .organization = "system:masters",
						      .days = SERVER_DAYS };

	if (p->admin.certificate && certificate_is_fresh(p->admin.certificate) &&
	    is_signed_by(&p->admin, &p->authority))
		return true;
	return pair_make(&p->admin, &wish, &p->authority, err);
}

bool pki_admin_is_fresh(const struct pki *p)
{
	return p->admin.certificate && certificate_is_fresh(p->admin.certificate);
}

/* ---- the key of tokens ---- */

static void *token_key_make(void *context)
{
	struct pki *p = context;

	/* The server's start is not to wait for it on a machine with one core. */
	(void)setpriority(PRIO_PROCESS, (id_t)gettid(), KEY_NICENESS);
	p->token_key = EVP_RSA_gen(TOKEN_KEY_BITS);
	if (!p->token_key)
		(void)openssl_fail(&p->token_error, "making a key");
	else
		(void)key_write(p->token_key_file, p->token_key, &p->token_error);
	return NULL;
}

static bool token_key_open(struct pki *p, struct error *err)
{
	if (!key_read(p->token_key_file, &p->token_key, err))
		return false;
	if (p->token_key && !EVP_PKEY_is_a(p->token_key, "RSA"))
		return error_set(err, ERROR_INVALID, "%s: not an RSA key", p->token_key_file);
	if (!p->token_key) {
		int failed = pthread_create(&p->token_thread, NULL, token_key_make, p);

		if (failed)
			return error_errno(err, failed, "a thread to make a key");
		p->has_token_thread = true;
	}
	return true;
}

static bool token_key(struct pki *p, struct error *err)
{
	token_thread_join(p);
	if (p->token_error.code != ERROR_NONE) {
		*err = p->token_error;
		return false;
	}
	return p->token_key_name[0] || jwt_key_name(p->token_key, p->token_key_name, err);
}

/* ---- the whole ---- */

static void pair_init(struct pair *pair, const char *folder, const char *name)
{
	char file[32];

	snprintf(file, sizeof(file), "%s.key", name);
	pair->key_file = file_of(folder, file);
	snprintf(file, sizeof(file), "%s.crt", name);
	pair->certificate_file = file_of(folder, file);
}

static bool pki_load(struct pki *p, const char *folder, struct error *err)
{
	bool is_made;

	return folder_make(folder, err) && pair_read(&p->authority, err) && pair_read(&p->server, err) &&
	       pair_read(&p->admin, err) && token_key_open(p, err) && authority_ensure(p, err) &&
	       server_ensure(p, &is_made, err);
}

struct pki *pki_open(const char *folder, const char *const *names, struct error *err)
{
	struct pki *p = base_calloc(1, sizeof(*p));

	buffer_init(&p->authority_pem, PEM_BYTES_MAX);
	pair_init(&p->authority, folder, "ca");
	pair_init(&p->server, folder, "server");
	pair_init(&p->admin, folder, "admin");
	p->token_key_file = file_of(folder, "tokens.key");
	keep_names(p, names);
	if (pki_load(p, folder, err))
		return p;
	pki_free(p);
	return NULL;
}

const char *pki_ca_file(const struct pki *p)
{
	return p->authority.certificate_file;
}

const char *pki_server_certificate_file(const struct pki *p)
{
	return p->server.certificate_file;
}

const char *pki_server_key_file(const struct pki *p)
{
	return p->server.key_file;
}

struct span pki_ca_pem(const struct pki *p)
{
	return buffer_span(&p->authority_pem);
}

bool pki_renew(struct pki *p, bool *ret_renewed, struct error *err)
{
	return server_ensure(p, ret_renewed, err);
}

/* ---- kubeconfig ---- */

static void put_base64(struct buffer *out, const char *indent, const char *name, const struct buffer *pem)
{
	buffer_print(out, "%s%s: ", indent, name);
	base64_write(out, buffer_span(pem));
	buffer_byte(out, '\n');
}

static void put_kubeconfig(struct pki *p, const char *server_url, const struct buffer *certificate,
			   const struct buffer *key, struct buffer *out)
{
	buffer_append(out, SPAN("apiVersion: v1\nkind: Config\nclusters:\n- name: hythe\n  cluster:\n"));
	put_base64(out, "    ", "certificate-authority-data", &p->authority_pem);
	buffer_print(out, "    server: \"%s\"\n", server_url);
	buffer_append(out, SPAN("users:\n- name: kubernetes-admin\n  user:\n"));
	put_base64(out, "    ", "client-certificate-data", certificate);
	put_base64(out, "    ", "client-key-data", key);
	buffer_append(out, SPAN("contexts:\n- name: hythe\n  context:\n    cluster: hythe\n    user: kubernetes-admin\n"
				"current-context: hythe\n"));
}

bool pki_write_kubeconfig(struct pki *p, const char *path, const char *server_url, struct error *err)
{
	struct buffer certificate, key, out;
	bool done;

	buffer_init(&certificate, PEM_BYTES_MAX);
	buffer_init(&key, PEM_BYTES_MAX);
	buffer_init(&out, (size_t)PEM_BYTES_MAX * 4);
	done = admin_ensure(p, err) && certificate_pem(p->admin.certificate, &certificate, err) &&
	       key_pem(p->admin.key, &key, err);
	if (done)
		put_kubeconfig(p, server_url, &certificate, &key, &out);
	done = done && buffer_ok(&out, "kubeconfig", err) && private_file_write(path, buffer_span(&out), 0600, err);
	buffer_done(&certificate);
	buffer_done(&key);
	buffer_done(&out);
	return done;
}

/* ---- tokens ---- */

bool pki_sign_token(struct pki *p, struct span claims, struct arena *arena, struct span *ret, struct error *err)
{
	return token_key(p, err) && jwt_sign(p->token_key, p->token_key_name, claims, arena, ret, err);
}

bool pki_check_token(struct pki *p, struct span token, int64_t wall_ns, struct arena *arena, struct span *ret_claims,
		     struct error *err)
{
	return token_key(p, err) && jwt_check(p->token_key, p->token_key_name, token, arena, ret_claims, err) &&
	       jwt_check_claims(*ret_claims, PKI_ISSUER, wall_ns, arena, err);
}

bool pki_jwks(struct pki *p, struct buffer *out, struct error *err)
{
	return token_key(p, err) && jwt_key_set(p->token_key, p->token_key_name, out, err);
}
