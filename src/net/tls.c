/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net/tls_private.h"
#include "net/transport.h"

struct tls {
	const char *certificate, *key, *client_ca;
	bool is_client_optional;
	BIO_METHOD *socket_method;
	pthread_mutex_t lock; /* guards `context`: swapped by tls_reload(), taken for each new connection */
	SSL_CTX *context;
};

struct tls_session {
	SSL *ssl;
	int fd;
	bool is_drained; /* the last read took all the socket had: another would only say so */
	bool is_broken;
	bool is_client_bad; /* its certificate does not hold, and it was let in all the same */
	struct client_certificate *client;
};

/* ---- the socket under a session: send without SIGPIPE, and no read that is known to find nothing ---- */

static int socket_read(BIO *bio, char *to, size_t len, size_t *ret_len)
{
	struct tls_session *s = BIO_get_data(bio);
	ssize_t n;

	BIO_clear_retry_flags(bio);
	if (s->is_drained) {
		BIO_set_retry_read(bio);
		return 0;
	}
	do {
		n = recv(s->fd, to, len, 0);
	} while (n < 0 && errno == EINTR);
	if (n > 0) {
		s->is_drained = (size_t)n < len;
		*ret_len = (size_t)n;
		return 1;
	}
	if (n == 0) {
		BIO_set_flags(bio, BIO_FLAGS_IN_EOF);
		return 0;
	}
	if (errno == EAGAIN) {
		s->is_drained = true;
		BIO_set_retry_read(bio);
	}
	return 0;
}

static int socket_write(BIO *bio, const char *bytes, size_t len, size_t *ret_len)
{
	struct tls_session *s = BIO_get_data(bio);
	ssize_t n;

	BIO_clear_retry_flags(bio);
	do {
		n = send(s->fd, bytes, len, MSG_NOSIGNAL);
	} while (n < 0 && errno == EINTR);
	if (n >= 0) {
		*ret_len = (size_t)n;
		return 1;
	}
	if (errno == EAGAIN)
		BIO_set_retry_write(bio);
	return 0;
}

static long socket_control(BIO *bio, int command, long number, void *pointer)
{
	(void)number;
	(void)pointer;
	if (command == BIO_CTRL_EOF)
		return BIO_test_flags(bio, BIO_FLAGS_IN_EOF) != 0;
	return command == BIO_CTRL_FLUSH || command == BIO_CTRL_DUP;
}

static int socket_create(BIO *bio)
{
	BIO_set_init(bio, 1);
	return 1;
}

static BIO_METHOD *socket_method_new(void)
{
	BIO_METHOD *method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "hythe socket");

	ASSERT(method && BIO_meth_set_read_ex(method, socket_read) && BIO_meth_set_write_ex(method, socket_write) &&
	       BIO_meth_set_ctrl(method, socket_control) && BIO_meth_set_create(method, socket_create));
	return method;
}

/* ---- contexts ---- */

static const char *reason(void)
{
	const char *text = ERR_reason_error_string(ERR_peek_last_error());

	return text ? text : "unknown reason";
}

/* OpenSSL's own errors for a missing file are poor. */
static bool is_readable(const char *what, const char *path, struct error *err)
{
	AUTO_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC);

	return fd >= 0 || error_errno(err, errno, "TLS %s %s", what, path);
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

static bool load_key(const struct tls *t, SSL_CTX *context, struct error *err)
{
	bool is_locked = false;
	int done;

	SSL_CTX_set_default_passwd_cb(context, no_passphrase);
	SSL_CTX_set_default_passwd_cb_userdata(context, &is_locked);
	done = SSL_CTX_use_PrivateKey_file(context, t->key, SSL_FILETYPE_PEM);
	SSL_CTX_set_default_passwd_cb_userdata(context, NULL);
	SSL_CTX_set_default_passwd_cb(context, NULL);
	if (is_locked)
		return error_set(err, ERROR_INVALID, "TLS key %s is encrypted: give one without a passphrase", t->key);
	if (done == 1)
		return true;
	if (ERR_GET_REASON(ERR_peek_last_error()) == X509_R_KEY_VALUES_MISMATCH)
		return error_set(err, ERROR_INVALID, "TLS key %s does not belong to the certificate %s", t->key,
				 t->certificate);
	return error_set(err, ERROR_INVALID, "TLS key %s: not a private key in PEM form (%s)", t->key, reason());
}

/* The handshake goes on; the certificate is marked. */
static int forgive_client(int is_good, X509_STORE_CTX *store)
{
	SSL *ssl = X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx());
	struct tls_session *s = SSL_get_app_data(ssl);

	if (!is_good)
		s->is_client_bad = true;
	ERR_clear_error(); /* what the check left there would be taken for a failure of the handshake */
	return 1;
}

static bool load_files(const struct tls *t, SSL_CTX *context, struct error *err)
{
	if (!is_readable("certificate", t->certificate, err) || !is_readable("key", t->key, err))
		return false;
	if (SSL_CTX_use_certificate_chain_file(context, t->certificate) != 1)
		return error_set(err, ERROR_INVALID, "TLS certificate %s: not a certificate in PEM form (%s)",
				 t->certificate, reason());
	if (!load_key(t, context, err))
		return false;
	if (SSL_CTX_check_private_key(context) != 1)
		return error_set(err, ERROR_INVALID, "TLS key %s does not belong to the certificate %s", t->key,
				 t->certificate);
	if (!t->client_ca)
		return true;
	if (!is_readable("client CA", t->client_ca, err))
		return false;
	if (SSL_CTX_load_verify_file(context, t->client_ca) != 1)
		return error_set(err, ERROR_INVALID, "TLS client CA %s: no certificate in PEM form (%s)", t->client_ca,
				 reason());
	SSL_CTX_set_client_CA_list(context, SSL_load_client_CA_file(t->client_ca));
	if (t->is_client_optional)
		SSL_CTX_set_verify(context, SSL_VERIFY_PEER, forgive_client);
	else
		SSL_CTX_set_verify(context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
	return true;
}

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

static SSL_CTX *context_new(const struct tls *t, struct error *err)
{
	static const unsigned char session_scope[] = "hythe";
	SSL_CTX *context = SSL_CTX_new(TLS_server_method());

	ERR_clear_error();
	ASSERT(context && SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION) == 1);
	SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_IGNORE_UNEXPECTED_EOF);
	SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
				      SSL_MODE_RELEASE_BUFFERS);
	SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF); /* tickets need no memory here */
	ASSERT(SSL_CTX_set_session_id_context(context, session_scope, sizeof(session_scope) - 1) == 1);
	SSL_CTX_set_read_ahead(context, 1); /* one recv for a record's head and body, and for several records */
	SSL_CTX_set_alpn_select_cb(context, choose_protocol, NULL);
	if (load_files(t, context, err))
		return context;
	ERR_clear_error();
	SSL_CTX_free(context);
	return NULL;
}

struct tls *tls_new(const struct server_config *config, struct error *err)
{
	struct tls *t = base_calloc(1, sizeof(*t));

	t->certificate = config->tls_certificate;
	t->key = config->tls_key;
	t->client_ca = config->tls_client_ca;
	t->is_client_optional = config->tls_client_optional;
	pthread_mutex_init(&t->lock, NULL);
	t->context = context_new(t, err);
	if (!t->context) {
		tls_free(t);
		return NULL;
	}
	t->socket_method = socket_method_new();
	return t;
}

void tls_free(struct tls *t)
{
	if (!t)
		return;
	SSL_CTX_free(t->context);
	BIO_meth_free(t->socket_method);
	pthread_mutex_destroy(&t->lock);
	free(t);
}

bool tls_reload(struct tls *t, struct error *err)
{
	SSL_CTX *fresh = context_new(t, err), *old;

	if (!fresh)
		return false;
	pthread_mutex_lock(&t->lock);
	old = t->context;
	t->context = fresh;
	pthread_mutex_unlock(&t->lock);
	SSL_CTX_free(old); /* sessions that use it hold a reference */
	return true;
}

/* ---- sessions ---- */

struct tls_session *tls_session_new(struct tls *t, int fd)
{
	struct tls_session *s = base_calloc(1, sizeof(*s));
	BIO *bio = BIO_new(t->socket_method);

	s->fd = fd;
	pthread_mutex_lock(&t->lock);
	s->ssl = SSL_new(t->context);
	pthread_mutex_unlock(&t->lock);
	ASSERT(s->ssl && bio);
	SSL_set_app_data(s->ssl, s);
	BIO_set_data(bio, s);
	SSL_set_bio(s->ssl, bio, bio);
	SSL_set_accept_state(s->ssl);
	return s;
}

void tls_session_free(struct tls_session *s)
{
	if (!s)
		return;
	tls_session_close_notify(s);
	SSL_free(s->ssl);
	free(s->client);
	free(s);
}

void tls_session_close_notify(struct tls_session *s)
{
	if (s->is_broken || !SSL_is_init_finished(s->ssl) || (SSL_get_shutdown(s->ssl) & SSL_SENT_SHUTDOWN))
		return;
	ERR_clear_error();
	(void)SSL_shutdown(s->ssl); /* a courtesy: a full socket buffer loses it */
	ERR_clear_error();
}

static enum tls_result outcome(struct tls_session *s, int done)
{
	int code = SSL_get_error(s->ssl, done);

	switch (code) {
	case SSL_ERROR_WANT_READ:
		return TLS_WANT_READ;
	case SSL_ERROR_WANT_WRITE:
		return TLS_WANT_WRITE;
	case SSL_ERROR_ZERO_RETURN:
		return TLS_EOF;
	default:
		s->is_broken = true; /* after a fatal error SSL_shutdown() must not be called */
		ERR_clear_error();
		return TLS_FAILED;
	}
}

enum tls_result tls_read(struct tls_session *s, char *to, size_t len, size_t *ret_len)
{
	int done;

	if (s->is_broken)
		return TLS_FAILED;
	ERR_clear_error();
	done = SSL_read_ex(s->ssl, to, len, ret_len);
	return done == 1 ? TLS_OK : outcome(s, done);
}

enum tls_result tls_write(struct tls_session *s, struct span bytes, size_t *ret_len)
{
	int done;

	if (s->is_broken)
		return TLS_FAILED;
	ERR_clear_error();
	done = SSL_write_ex(s->ssl, bytes.ptr, bytes.len, ret_len);
	return done == 1 ? TLS_OK : outcome(s, done);
}

void tls_session_readable(struct tls_session *s)
{
	s->is_drained = false;
}

bool tls_session_has_pending(const struct tls_session *s)
{
	return SSL_has_pending(s->ssl) == 1;
}

bool tls_session_is_open(const struct tls_session *s)
{
	return SSL_is_init_finished(s->ssl);
}

bool tls_session_is_h2(const struct tls_session *s)
{
	const unsigned char *chosen;
	unsigned int len;

	if (!SSL_is_init_finished(s->ssl))
		return false;
	SSL_get0_alpn_selected(s->ssl, &chosen, &len);
	return len == 2 && memcmp(chosen, "h2", 2) == 0;
}

const struct client_certificate *tls_session_client(struct tls_session *s)
{
	if (!s->client && SSL_is_init_finished(s->ssl))
		s->client = tls_client_read(s->ssl, !s->is_client_bad);
	return s->client;
}
