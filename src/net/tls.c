/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net/tls_private.h"
#include "net/transport.h"

#define PEM_BYTES_MOST MIB(4) /* of a file of certificates, or of a key */

struct tls {
	const char *certificate, *key, *client_ca;
	bool is_client_optional;
	pthread_mutex_t lock; /* guards `shown`: swapped by tls_reload(), taken for each new connection */
	struct certificates *shown;
};

struct tls_session {
	SSL *ssl;
	struct certificates *shown; /* a reference */
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

/* One for the process: OpenSSL has numbers for a hundred kinds. */
static BIO_METHOD *socket_method;
static pthread_once_t socket_method_once = PTHREAD_ONCE_INIT;

static void socket_method_make(void)
{
	BIO_METHOD *method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "hythe socket");

	ASSERT(method && BIO_meth_set_read_ex(method, socket_read) && BIO_meth_set_write_ex(method, socket_write) &&
	       BIO_meth_set_ctrl(method, socket_control) && BIO_meth_set_create(method, socket_create));
	socket_method = method;
}

/* ---- the server's own files ---- */

/* OpenSSL's own errors for a missing file are poor. */
static bool is_readable(const char *what, const char *path, struct error *err)
{
	AUTO_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC);

	return fd >= 0 || error_errno(err, errno, "TLS %s %s", what, path);
}

static bool read_files(const struct tls *t, struct buffer *chain, struct buffer *key, struct error *err)
{
	return (buffer_read_file(chain, t->certificate, err) || error_wrap(err, "TLS certificate")) &&
	       (buffer_read_file(key, t->key, err) || error_wrap(err, "TLS key"));
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

static bool load_client_ca(const struct tls *t, SSL_CTX *context, struct error *err)
{
	if (!t->client_ca)
		return true;
	if (!is_readable("client CA", t->client_ca, err))
		return false;
	ERR_clear_error();
	if (SSL_CTX_load_verify_file(context, t->client_ca) != 1) {
		error_set(err, ERROR_INVALID, "TLS client CA %s: no certificate in PEM form (%s)", t->client_ca,
			  tls_reason());
		ERR_clear_error();
		return false;
	}
	SSL_CTX_set_client_CA_list(context, SSL_load_client_CA_file(t->client_ca));
	if (t->is_client_optional)
		SSL_CTX_set_verify(context, SSL_VERIFY_PEER, forgive_client);
	else
		SSL_CTX_set_verify(context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
	ERR_clear_error();
	return true;
}

static struct certificates *load(const struct tls *t, struct error *err)
{
	struct certificates *c = NULL;
	char chain_words[PATH_MAX + 32], key_words[PATH_MAX + 32];
	struct certificate_words words = { chain_words, key_words };
	struct buffer chain, key;

	(void)snprintf(chain_words, sizeof(chain_words), "TLS certificate %s", t->certificate);
	(void)snprintf(key_words, sizeof(key_words), "TLS key %s", t->key);
	buffer_init(&chain, PEM_BYTES_MOST);
	buffer_init(&key, PEM_BYTES_MOST);
	if (read_files(t, &chain, &key, err)) {
		struct certificate_pem pem = { .chain = buffer_span(&chain), .key = buffer_span(&key) };

		c = certificates_one(&pem, &words, err);
	}
	if (key.ptr)
		OPENSSL_cleanse(key.ptr, key.len);
	buffer_done(&key);
	buffer_done(&chain);
	if (c && !load_client_ca(t, certificates_context(c), err)) {
		certificates_unref(c);
		return NULL;
	}
	return c;
}

struct tls *tls_new(const struct server_config *config, struct error *err)
{
	struct tls *t = base_calloc(1, sizeof(*t));

	t->certificate = config->tls_certificate;
	t->key = config->tls_key;
	t->client_ca = config->tls_client_ca;
	t->is_client_optional = config->tls_client_optional;
	pthread_mutex_init(&t->lock, NULL);
	t->shown = load(t, err);
	if (!t->shown) {
		tls_free(t);
		return NULL;
	}
	return t;
}

void tls_free(struct tls *t)
{
	if (!t)
		return;
	certificates_unref(t->shown);
	pthread_mutex_destroy(&t->lock);
	free(t);
}

bool tls_reload(struct tls *t, struct error *err)
{
	struct certificates *fresh = load(t, err), *old;

	if (!fresh)
		return false;
	pthread_mutex_lock(&t->lock);
	old = t->shown;
	t->shown = fresh;
	pthread_mutex_unlock(&t->lock);
	certificates_unref(old); /* sessions that use it hold a reference */
	return true;
}

/* ---- sessions ---- */

struct tls_session *tls_accept(struct tls *t, int fd)
{
	struct tls_session *s;
	struct certificates *shown;

	pthread_mutex_lock(&t->lock);
	shown = t->shown;
	certificates_ref(shown);
	pthread_mutex_unlock(&t->lock);
	s = tls_session_new(shown, fd);
	certificates_unref(shown);
	return s;
}

struct tls_session *tls_session_new(struct certificates *shown, int fd)
{
	struct tls_session *s = base_calloc(1, sizeof(*s));
	BIO *bio;

	pthread_once(&socket_method_once, socket_method_make);
	bio = BIO_new(socket_method);
	s->fd = fd;
	s->shown = shown;
	certificates_ref(shown);
	s->ssl = SSL_new(certificates_context(shown));
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
	certificates_unref(s->shown);
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
