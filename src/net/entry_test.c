/* SPDX-License-Identifier: Apache-2.0 */
/* entry_test - connections that somebody else has accepted, requests whose arrival is looked at, and certificates by name. */
#include "net/server_kit.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "loop/loop.h"
#include "net/certificates.h"

/* ---- who accepts ---- */

struct door {
	struct server_entry entry; /* first */
	const char *name;
	_Atomic int closed;
	sem_t all_closed;
};

struct taking {
	struct loop_message message;
	struct server *server;
	struct door *door;
	struct sockaddr_storage peer;
	int fd;
};

static void take(struct loop_message *m)
{
	struct taking *t = CONTAINER_OF(m, struct taking, message);

	server_take(server_worker(t->server, 0), t->fd, &t->peer, t->door ? &t->door->entry : NULL);
	free(t);
}

static void door_closed(struct server_entry *e)
{
	struct door *d = (struct door *)e;

	d->closed++;
	sem_post(&d->all_closed);
}

static void door_init(struct door *d, const char *name, struct certificates *certificates)
{
	*d = (struct door){ .entry = { .certificates = certificates, .closed = door_closed }, .name = name };
	sem_init(&d->all_closed, 0, 0);
}

/* The client's end of a connection that was given to the server; `first` was sent before. */
static int enter_saying(struct server *s, struct door *d, struct span first)
{
	struct sockaddr_in in = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct taking *t = calloc(1, sizeof(*t));
	socklen_t len = sizeof(in);
	int listener = socket(AF_INET, SOCK_STREAM, 0), fd = socket(AF_INET, SOCK_STREAM, 0);

	assert_int_equal(bind(listener, (struct sockaddr *)&in, len), 0);
	assert_int_equal(listen(listener, 1), 0);
	assert_int_equal(getsockname(listener, (struct sockaddr *)&in, &len), 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&in, len), 0);
	say(fd, first);
	len = sizeof(t->peer);
	t->fd = accept4(listener, (struct sockaddr *)&t->peer, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
	assert_true(t->fd >= 0);
	close(listener);
	t->server = s;
	t->door = d;
	t->message.run = take;
	loop_send(server_worker_loop(s, 0), &t->message);
	return fd;
}

static int enter(struct server *s, struct door *d)
{
	return enter_saying(s, d, SPAN(""));
}

/* ---- what is served ---- */

static void tell(struct request *req)
{
	struct server_entry *e = request_entry(req);

	buffer_print(&req->out, "%s " SPAN_FMT " " SPAN_FMT " %s %s", (const char *)req->context, SPAN_ARG(req->path),
		     SPAN_ARG(req->query), e ? ((struct door *)e)->name : "none",
		     request_peer(req).len ? "peer" : "nobody");
	request_send(req, 200, SPAN("text/plain"));
}

static void tell_param(struct request *req)
{
	struct span name = request_param(req, "name");

	buffer_print(&req->out, "model " SPAN_FMT, SPAN_ARG(name));
	request_send(req, 200, SPAN("text/plain"));
}

static void star(struct request *req)
{
	buffer_append(&req->out, SPAN("star "));
	tell(req);
}

static _Atomic int ended;
static sem_t call_ended;

static void note_end(struct request_end *end)
{
	(void)end;
	ended++;
	sem_post(&call_ended);
}

/* A streaming call's, too: it says how many times an end was told so far. */
static void chat(struct request *req)
{
	buffer_print(&req->out, "%d", ended);
	if (req->is_end)
		request_send(req, 200, (struct span){ 0 });
	else
		request_send_part(req);
}

static const struct route entry_table[] = {
	{ METHOD_GET, "/tell", tell, &surface_plain, ROUTE_HTTP },
	{ METHOD_GET, "/model/{name}", tell_param, &surface_plain, ROUTE_HTTP },
	{ METHOD_POST, "/t.T/Chat", chat, &surface_plain, ROUTE_GRPC_STREAM },
	{ ~0u, "*", star, &surface_plain, ROUTE_STREAM },
	{ 0 },
};
static const struct route *const entry_tables[] = { entry_table, NULL };

/* Paths under /in go on without it. */
static bool arrive(struct request *req)
{
	struct error ignored = { 0 };
	struct request_end *end = ARENA_NEW(&req->arena, struct request_end, &ignored);

	request_at_end(req, end, note_end);
	assert_true(req->path.len > 0 && !req->route);
	if (!span_starts(req->path, SPAN("/in/")))
		return req->is_grpc;
	req->path = span_skip(req->path, 3);
	if (!span_equal(req->query, SPAN("q")))
		req->query = SPAN("set");
	req->context = (void *)"changed";
	return true;
}

static struct server *serve_entries(bool arrives)
{
	struct server_config config = config_default();

	config.address_count = 0;
	config.routes = entry_tables;
	config.context = (void *)"own";
	config.arrive = arrives ? arrive : NULL;
	return serve(&config);
}

/* ---- taking ---- */

static void a_connection_that_others_accepted_is_served_and_its_end_told(void **state)
{
	struct server *s = serve_entries(false);
	struct door d;
	int fd, silent;

	(void)state;
	door_init(&d, "front", NULL);
	fd = enter_saying(s, &d, SPAN("GET /tell HTTP/1.1\r\n" H "\r\n"));
	expect(fd, 200, "own /tell  front peer");
	SAY(fd, "GET /tell?a=b HTTP/1.1\r\n" H "\r\n");
	expect(fd, 200, "own /tell a=b front peer");
	silent = enter(s, &d);
	assert_int_equal(d.closed, 0);
	close(fd);
	sem_wait(&d.all_closed);
	close(silent);
	sem_wait(&d.all_closed);
	assert_int_equal(d.closed, 2);
	fd = enter(s, NULL);
	SAY(fd, "GET /tell HTTP/1.1\r\n" H "\r\n");
	expect(fd, 200, "own /tell  none peer");
	close(fd);
	server_free(s);
}

static void taken_connections_over_the_limit_are_told_so(void **state)
{
	struct server_config config = config_default();
	struct server *s;
	struct door d;
	int first, second;

	(void)state;
	config.address_count = 0;
	config.routes = entry_tables;
	config.context = (void *)"own";
	config.limits.connections = 1;
	s = serve(&config);
	door_init(&d, "front", NULL);
	first = enter_saying(s, &d, SPAN("GET /tell HTTP/1.1\r\n" H "\r\n"));
	expect(first, 200, "own /tell  front peer");
	second = enter(s, &d);
	expect(second, 503, NULL);
	expect_closed(second);
	sem_wait(&d.all_closed);
	close(second);
	SAY(first, "GET /tell HTTP/1.1\r\n" H "\r\n");
	expect(first, 200, "own /tell  front peer");
	close(first);
	server_free(s);
	assert_int_equal(d.closed, 2);
}

static void a_drain_answers_what_was_taken(void **state)
{
	struct server *s = serve_entries(false);
	struct door d;
	int fd;

	(void)state;
	door_init(&d, "front", NULL);
	fd = enter_saying(s, &d, SPAN("GET /tell HTTP/1.1\r\n" H "\r\n"));
	expect(fd, 200, "own /tell  front peer");
	SAY(fd, "GET /tell HTTP/1.1\r\n" H "\r\n");
	server_drain(s);
	expect(fd, 200, "own /tell  front peer");
	expect_closed(fd);
	close(fd);
	server_wait(s);
	assert_int_equal(d.closed, 1);
	server_free(s);
}

/* ---- arriving ---- */

static void an_arrival_chooses_what_answers(void **state)
{
	static const struct {
		const char *target, *answer;
	} rows[] = {
		{ "/in/tell", "changed /tell set front peer" },
		{ "/in/tell?q", "changed /tell q front peer" },
		{ "/in/model/a%2Fb%20c", "model a/b c" },
		{ "/tell", "star own /tell  front peer" },
		{ "/a%20b?x", "star own /a%20b x front peer" },
		{ "/in/none%20here", "star changed /none%20here set front peer" },
	};
	struct server *s = serve_entries(true);
	struct door d;

	(void)state;
	door_init(&d, "front", NULL);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		int fd = enter(s, &d);
		struct buffer ask;

		buffer_init(&ask, KIB(4));
		buffer_print(&ask, "GET %s HTTP/1.1\r\n" H "\r\n", rows[i].target);
		say(fd, buffer_span(&ask));
		expect(fd, 200, rows[i].answer);
		close(fd);
		buffer_done(&ask);
		sem_wait(&d.all_closed);
	}
	server_free(s);
	assert_int_equal(ended, ARRAY_LEN(rows));
	ended = 0;
}

/* RFC 9113 and gRPC by hand: HEADERS, two messages, the end. */
static void what_an_arrival_holds_lasts_as_long_as_a_streaming_call(void **state)
{
	static const char preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
				      "\0\0\0\4\0\0\0\0\0"  /* SETTINGS */
				      "\0\0\60\1\4\0\0\0\1" /* HEADERS, literal fields without index */
				      "\x83\x86\x01\x01"
				      "a\x04\x09/t.T/Chat" /* POST http /t.T/Chat */
				      "\x0f\x10\x10"
				      "application/grpc" /* content-type */
				      "\x00\x02te\x08"
				      "trailers"                      /* te */
				      "\0\0\6\0\0\0\0\0\1\0\0\0\0\1x" /* DATA: a message */
				      "\0\0\6\0\0\0\0\0\1\0\0\0\0\1y"
				      "\0\0\0\0\1\0\0\0\1"; /* DATA, END_STREAM */
	struct server *s = serve_entries(true);
	struct door d;
	struct buffer in;
	int fd, messages = 0;

	(void)state;
	ended = 0;
	while (sem_trywait(&call_ended) == 0)
		; /* those of other tests */
	door_init(&d, "front", NULL);
	buffer_init(&in, MIB(1));
	fd = enter_saying(s, &d, span_from(preface, sizeof(preface) - 1));
	while (messages < 3 && hear(fd, &in)) {
		messages = 0;
		for (size_t i = 0; i + 6 <= in.len; i++)
			messages += memcmp(in.ptr + i,
					   "\0\0\0\0\1"
					   "0",
					   6) == 0;
	}
	assert_int_equal(messages, 3);
	sem_wait(&call_ended);
	assert_int_equal(ended, 1);
	buffer_done(&in);
	close(fd);
	server_free(s);
}

/* ---- certificates ---- */

struct pem {
	char *chain, *key;
};

static char *bio_text(BIO *bio)
{
	char *bytes, *text;
	long len = BIO_get_mem_data(bio, &bytes);

	text = calloc(1, (size_t)len + 1);
	memcpy(text, bytes, (size_t)len);
	BIO_free(bio);
	return text;
}

/* names: subjectAltName, "DNS:a.example,DNS:*.b.example"; NULL: none. */
static struct pem pem_new(const char *common_name, const char *names)
{
	EVP_PKEY *key = EVP_EC_gen("P-256");
	X509 *x = X509_new();
	X509_NAME *name = X509_get_subject_name(x);
	BIO *chain = BIO_new(BIO_s_mem()), *key_out = BIO_new(BIO_s_mem());

	X509_set_version(x, 2);
	X509_gmtime_adj(X509_getm_notBefore(x), -60);
	X509_gmtime_adj(X509_getm_notAfter(x), 3600);
	X509_set_pubkey(x, key);
	X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)common_name, -1, -1, 0);
	X509_set_issuer_name(x, name);
	if (names) {
		X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name, names);

		X509_add_ext(x, e, -1);
		X509_EXTENSION_free(e);
	}
	assert_true(X509_sign(x, key, EVP_sha256()) > 0);
	assert_int_equal(PEM_write_bio_X509(chain, x), 1);
	assert_int_equal(PEM_write_bio_PrivateKey(key_out, key, NULL, NULL, 0, NULL, NULL), 1);
	X509_free(x);
	EVP_PKEY_free(key);
	return (struct pem){ bio_text(chain), bio_text(key_out) };
}

static void pem_done(struct pem *p)
{
	free(p->chain);
	free(p->key);
}

/* The common name of what is shown to who asks for `name`. */
static void expect_shown(struct server *s, struct door *d, const char *name, int most_version, const char *common_name)
{
	SSL_CTX *context = SSL_CTX_new(TLS_client_method());
	SSL *ssl;
	X509 *x;
	static const char question[] = "GET /tell HTTP/1.1\r\n" H "\r\n";
	char shown[64] = "", answer[512];
	int fd = enter(s, d), n;

	if (most_version)
		SSL_CTX_set_max_proto_version(context, most_version);
	ssl = SSL_new(context);
	SSL_set_fd(ssl, fd);
	assert_int_equal(SSL_set_alpn_protos(ssl, (const unsigned char *)"\x08http/1.1", 9), 0);
	if (name)
		assert_int_equal(SSL_set_tlsext_host_name(ssl, name), 1);
	assert_int_equal(SSL_connect(ssl), 1);
	x = SSL_get1_peer_certificate(ssl);
	X509_NAME_get_text_by_NID(X509_get_subject_name(x), NID_commonName, shown, sizeof(shown));
	if (strcmp(shown, common_name) != 0)
		fail_msg("%s was shown '%s', not '%s'", name, shown, common_name);
	X509_free(x);
	{
		const unsigned char *chosen;
		unsigned len;

		SSL_get0_alpn_selected(ssl, &chosen, &len);
		assert_int_equal(len, 8);
	}
	assert_true(SSL_write(ssl, question, sizeof(question) - 1) > 0);
	n = SSL_read(ssl, answer, sizeof(answer) - 1);
	assert_true(n > 0);
	answer[n] = 0;
	assert_non_null(strstr(answer, "own /tell  front peer"));
	SSL_shutdown(ssl);
	SSL_free(ssl);
	SSL_CTX_free(context);
	close(fd);
	sem_wait(&d->all_closed);
}

static void a_certificate_is_shown_by_the_name_asked_for(void **state)
{
	static const struct {
		const char *asked, *shown;
	} rows[] = {
		{ NULL, "first" },
		{ "nobody.example.org", "first" },
		{ "a.example.com", "exact" },
		{ "A.Example.COM", "exact" },
		{ "b.example.com", "wild" },
		{ "x.y.example.com", "wild" },
		{ "x.deep.example.com", "deep" },
		{ "example.com", "first" },
		{ "cn.example.net", "cn.example.net" },
		{ "given.example", "given" },
		{ "not-given.example", "first" },
	};
	struct span given[] = { SPAN("given.example") };
	struct pem pems[] = {
		pem_new("first", "DNS:one.example"),       pem_new("wild", "DNS:*.example.com,DNS:a.example.com"),
		pem_new("deep", "DNS:*.deep.example.com"), pem_new("exact", "DNS:a.example.com"),
		pem_new("cn.example.net", NULL),           pem_new("given", "DNS:not-given.example"),
	};
	struct certificate_pem list[ARRAY_LEN(pems)];
	struct server *s = serve_entries(false);
	struct certificates *c;
	struct error err = { 0 };
	struct door d;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(pems); i++)
		list[i] = (struct certificate_pem){ .chain = span_of(pems[i].chain), .key = span_of(pems[i].key) };
	list[1].names = (struct span[]){ SPAN("*.example.com") };
	list[1].name_count = 1;
	list[5].names = given;
	list[5].name_count = 1;
	c = certificates_new(list, ARRAY_LEN(list), &err);
	if (!c)
		fail_msg("%s", err.message);
	door_init(&d, "front", c);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		expect_shown(s, &d, rows[i].asked, 0, rows[i].shown);
		expect_shown(s, &d, rows[i].asked, TLS1_2_VERSION, rows[i].shown);
	}
	certificates_unref(c);
	server_free(s);
	for (size_t i = 0; i < ARRAY_LEN(pems); i++)
		pem_done(&pems[i]);
}

static void certificates_that_cannot_be_shown_are_refused(void **state)
{
	struct pem one = pem_new("one", NULL), two = pem_new("two", NULL);
	struct error err = { 0 };
	const struct {
		struct certificate_pem pem;
		const char *words;
	} rows[] = {
		{ { .chain = span_of(one.chain), .key = span_of(two.key) }, "key of certificate 2 does not belong" },
		{ { .chain = SPAN("no PEM"), .key = span_of(two.key) }, "certificate 2: not a certificate" },
		{ { .chain = span_of(one.chain), .key = SPAN("") }, "key of certificate 2: not a private key" },
		{ { .chain = SPAN(""), .key = SPAN("") }, "certificate 2: not a certificate" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct certificate_pem list[] = { { .chain = span_of(one.chain), .key = span_of(one.key) },
						  rows[i].pem };

		err = (struct error){ 0 };
		assert_null(certificates_new(list, 2, &err));
		assert_int_equal(err.code, ERROR_INVALID);
		if (!strstr(err.message, rows[i].words))
			fail_msg("%s", err.message);
	}
	err = (struct error){ 0 };
	assert_null(certificates_new(NULL, 0, &err));
	assert_int_equal(err.code, ERROR_INVALID);
	certificates_unref(NULL);
	pem_done(&one);
	pem_done(&two);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_connection_that_others_accepted_is_served_and_its_end_told),
		cmocka_unit_test(taken_connections_over_the_limit_are_told_so),
		cmocka_unit_test(a_drain_answers_what_was_taken),
		cmocka_unit_test(an_arrival_chooses_what_answers),
		cmocka_unit_test(what_an_arrival_holds_lasts_as_long_as_a_streaming_call),
		cmocka_unit_test(a_certificate_is_shown_by_the_name_asked_for),
		cmocka_unit_test(certificates_that_cannot_be_shown_are_refused),
	};

	sem_init(&call_ended, 0, 0);
	return cmocka_run_group_tests(tests, gates_init, NULL);
}
