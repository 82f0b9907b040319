/* SPDX-License-Identifier: Apache-2.0 */
/* https - libcurl's multi interface on our loop: it says which descriptors it waits for and until when, we tell it what happened. */
#include "net/https.h"

#include "base/clock.h"
#include "loop/loop.h"
#include "net/https_curl.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/x509_vfy.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define CALLS_MOST   64
#define ANSWER_MOST  MIB(8)
#define CONNECT_MS   30000
#define IDLE_SECONDS 60
#define PROBE_SECONDS                                                                                                  \
	30 /* a peer of a quiet answer that does not acknowledge so long is asked by the kernel, until it counts as gone */

struct https {
	struct https_config config;
	CURLM *multi; /* NULL until the first call */
	struct timer timer;
	struct https_call *calls;
	struct https_socket *sockets;
	struct loop_task task; /* looks for calls that have ended */
};

struct https_call {
	struct https_call *next, **at;
	struct https *owner;
	struct timer timer; /* its time is over: libcurl forgets that of a call which waits for a connection */
	CURL *easy;
	struct curl_slist *headers, *connect_to;
	struct buffer answer;
	char *url, *body;
	char words[CURL_ERROR_SIZE];
	bool (*part)(void *context, struct span bytes);
	void (*done)(void *context, const struct https_answer *answer, const struct error *err);
	void *context;
	bool is_plain, is_ended;
};

/* A descriptor that libcurl waits for. It is watched by a number of our own: libcurl closes some before it says so, and gives the same number to
 * the next one. */
struct https_socket {
	struct watch watch;
	curl_socket_t fd;
	ino_t inode;
	struct https *owner;
	struct https_socket *next, **at;
};

/* ---- joining the loop ---- */

static void ended_look(struct https *h);

static void ended_run(struct loop_task *t)
{
	ended_look(CONTAINER_OF(t, struct https, task));
}

static void act(struct https *h, curl_socket_t fd, int events)
{
	int running;

	(void)curl.multi_socket_action(h->multi, fd, events, &running);
	loop_defer(h->config.loop, &h->task);
}

static void socket_ready(struct watch *w, unsigned events)
{
	struct https_socket *s = CONTAINER_OF(w, struct https_socket, watch);
	int flags = 0;

	if (events & (LOOP_READ | LOOP_HANGUP | LOOP_END))
		flags |= CURL_CSELECT_IN;
	if (events & LOOP_WRITE)
		flags |= CURL_CSELECT_OUT;
	if (events & LOOP_HANGUP)
		flags |= CURL_CSELECT_ERR;
	act(s->owner, s->fd, flags);
}

static void timer_fire(struct timer *t)
{
	act(CONTAINER_OF(t, struct https, timer), CURL_SOCKET_TIMEOUT, 0);
}

static void socket_drop(struct https_socket *s)
{
	loop_unwatch(s->owner->config.loop, &s->watch);
	close(s->watch.fd);
	*s->at = s->next;
	if (s->next)
		s->next->at = s->at;
	free(s);
}

static void call_ends(CURL *easy);

static int on_socket(CURL *easy, curl_socket_t fd, int what, void *context, void *assigned)
{
	struct https *h = context;
	struct https_socket *s = assigned;
	unsigned events = 0;
	struct stat st;
	int own;

	if (what == CURL_POLL_REMOVE) {
		if (s)
			socket_drop(s);
		(void)curl.multi_assign(h->multi, fd, NULL);
		return 0;
	}
	if (what & CURL_POLL_IN)
		events |= LOOP_READ;
	if (what & CURL_POLL_OUT)
		events |= LOOP_WRITE;
	if (fstat(fd, &st) != 0)
		return 0;
	if (s && s->inode == st.st_ino) {
		loop_watch_change(h->config.loop, &s->watch, events);
		return 0;
	}
	if (s)
		socket_drop(s);
	own = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	if (own < 0) {
		call_ends(easy); /* nobody would hear its server */
		return 0;
	}
	s = base_calloc(1, sizeof(*s));
	s->owner = h;
	s->fd = fd;
	s->inode = st.st_ino;
	s->next = h->sockets;
	s->at = &h->sockets;
	if (s->next)
		s->next->at = &s->next;
	h->sockets = s;
	loop_watch(h->config.loop, &s->watch, own, events, socket_ready);
	(void)curl.multi_assign(h->multi, fd, s);
	return 0;
}

static int on_timer(CURLM *multi, long ms, void *context)
{
	struct https *h = context;

	(void)multi;
	if (timer_is_set(&h->timer))
		loop_timer_clear(h->config.loop, &h->timer);
	/* Also at once it goes by the loop: libcurl must not be called from inside its own call. */
	if (ms >= 0)
		loop_timer_set(h->config.loop, &h->timer, clock_monotonic_ns() + ms * NS_PER_MS, timer_fire);
	return 0;
}

/* ---- life ---- */

struct https *https_new(const struct https_config *config)
{
	struct https *h = base_calloc(1, sizeof(*h));

	h->config = *config;
	if (!h->config.calls_most)
		h->config.calls_most = CALLS_MOST;
	if (!h->config.answer_most)
		h->config.answer_most = ANSWER_MOST;
	h->task.run = ended_run;
	return h;
}

static bool multi_begin(struct https *h, struct error *err)
{
	if (h->multi)
		return true;
	if (!curl_open(err))
		return false;
	h->multi = curl.multi_init();
	if (!h->multi)
		return error_set(err, ERROR_INTERNAL, "libcurl could not be set up");
	(void)curl.multi_setopt(h->multi, CURLMOPT_SOCKETFUNCTION, on_socket);
	(void)curl.multi_setopt(h->multi, CURLMOPT_SOCKETDATA, h);
	(void)curl.multi_setopt(h->multi, CURLMOPT_TIMERFUNCTION, on_timer);
	(void)curl.multi_setopt(h->multi, CURLMOPT_TIMERDATA, h);
	(void)curl.multi_setopt(h->multi, CURLMOPT_MAX_TOTAL_CONNECTIONS, (long)h->config.calls_most);
	return true;
}

static void timer_clear(struct https_call *c)
{
	if (timer_is_set(&c->timer))
		loop_timer_clear(c->owner->config.loop, &c->timer);
}

static void call_free(struct https_call *c)
{
	timer_clear(c);
	*c->at = c->next;
	if (c->next)
		c->next->at = c->at;
	(void)curl.multi_remove_handle(c->owner->multi, c->easy);
	curl.easy_cleanup(c->easy);
	curl.slist_free_all(c->headers);
	curl.slist_free_all(c->connect_to);
	buffer_done(&c->answer);
	free(c->url);
	free(c->body);
	free(c);
}

void https_cancel(struct https_call *c)
{
	call_free(c);
}

void https_free(struct https *h)
{
	if (!h)
		return;
	while (h->calls)
		call_free(h->calls);
	if (h->multi)
		(void)curl.multi_cleanup(h->multi);
	while (h->sockets)
		socket_drop(h->sockets);
	loop_undefer(h->config.loop, &h->task);
	if (timer_is_set(&h->timer))
		loop_timer_clear(h->config.loop, &h->timer);
	free(h);
}

/* ---- a call ---- */

static size_t on_body(char *bytes, size_t size, size_t count, void *context)
{
	struct https_call *c = context;
	long status = 0;

	if (c->part) {
		(void)curl.easy_getinfo(c->easy, CURLINFO_RESPONSE_CODE, &status);
		if (status < 300) {
			c->is_ended = !c->part(c->context, span_from(bytes, size * count));
			return c->is_ended ? 0 : size * count;
		}
	}
	buffer_append(&c->answer, span_from(bytes, size * count));
	return c->answer.overflow ? 0 : size * count;
}

static void header_add(struct https_call *c, const char *name, struct span value)
{
	struct buffer text;

	buffer_init(&text, KIB(64));
	buffer_append(&text, span_of(name));
	buffer_append(&text, value);
	buffer_byte(&text, '\0');
	if (!text.overflow)
		c->headers = curl.slist_append(c->headers, text.ptr);
	buffer_done(&text);
}

static void blob_set(CURL *easy, CURLoption option, struct span pem)
{
	struct curl_blob blob = { .data = (void *)(uintptr_t)pem.ptr, .len = pem.len, .flags = CURL_BLOB_COPY };

	(void)curl.easy_setopt(easy, option, &blob);
}

static void connect_set(struct https_call *c, const struct https_request *r)
{
	struct buffer text;
	bool is_v6 = span_index(r->connect_address, ':') < r->connect_address.len;

	buffer_init(&text, KIB(4));
	buffer_print(&text, "::%s%.*s%s:%u", is_v6 ? "[" : "", (int)r->connect_address.len, r->connect_address.ptr,
		     is_v6 ? "]" : "", r->connect_port);
	buffer_byte(&text, '\0');
	if (!text.overflow)
		c->connect_to = curl.slist_append(NULL, text.ptr);
	buffer_done(&text);
	(void)curl.easy_setopt(c->easy, CURLOPT_CONNECT_TO, c->connect_to);
}

static void options_set(struct https_call *c, const struct https_request *r)
{
	CURL *easy = c->easy;
	char *method;

	(void)curl.easy_setopt(easy, CURLOPT_PRIVATE, c);
	(void)curl.easy_setopt(easy, CURLOPT_URL, c->url);
	(void)curl.easy_setopt(easy, CURLOPT_PROTOCOLS_STR, r->may_be_plain ? "https,http" : "https");
	(void)curl.easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
	(void)curl.easy_setopt(easy, CURLOPT_PROXY, "");
	(void)curl.easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	(void)curl.easy_setopt(easy, CURLOPT_ERRORBUFFER, c->words);
	(void)curl.easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
	(void)curl.easy_setopt(easy, CURLOPT_WRITEDATA, c);
	/* Else the loop waits for the thread that looks a name up, also when the call's time is over. */
	(void)curl.easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L);
	if (r->part) {
		(void)curl.easy_setopt(easy, CURLOPT_TCP_KEEPALIVE, 1L);
		(void)curl.easy_setopt(easy, CURLOPT_TCP_KEEPIDLE, (long)PROBE_SECONDS);
		(void)curl.easy_setopt(easy, CURLOPT_TCP_KEEPINTVL, (long)PROBE_SECONDS / 3);
	}
	(void)curl.easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, (long)CONNECT_MS);
	(void)curl.easy_setopt(easy, CURLOPT_MAXAGE_CONN, (long)IDLE_SECONDS);
	if (c->owner->config.user_agent)
		(void)curl.easy_setopt(easy, CURLOPT_USERAGENT, c->owner->config.user_agent);
	if (c->body) {
		(void)curl.easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)r->body.len);
		(void)curl.easy_setopt(easy, CURLOPT_POSTFIELDS, c->body);
	}
	if (r->method.len) {
		method = span_to_text(r->method);
		(void)curl.easy_setopt(easy, CURLOPT_CUSTOMREQUEST, method);
		free(method);
	}
	if (r->is_insecure) {
		(void)curl.easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, 0L);
		(void)curl.easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, 0L);
	}
	if (r->ca_pem.len)
		blob_set(easy, CURLOPT_CAINFO_BLOB, r->ca_pem);
	if (r->certificate_pem.len) {
		blob_set(easy, CURLOPT_SSLCERT_BLOB, r->certificate_pem);
		blob_set(easy, CURLOPT_SSLKEY_BLOB, r->key_pem);
	}
	if (r->connect_address.len)
		connect_set(c, r);
	if (r->content_type.len)
		header_add(c, "Content-Type: ", r->content_type);
	if (r->bearer.len)
		header_add(c, "Authorization: Bearer ", r->bearer);
	header_add(c, "Accept: ", SPAN("application/json, */*"));
	header_add(c, "Expect:", SPAN("")); /* a large body is not asked for first */
	(void)curl.easy_setopt(easy, CURLOPT_HTTPHEADER, c->headers);
}

static bool url_check(const struct https_request *r, struct error *err)
{
	bool is_fine =
	    span_starts(r->url, SPAN("https://")) || (r->may_be_plain && span_starts(r->url, SPAN("http://")));

	for (size_t i = 0; i < r->url.len; i++)
		is_fine = is_fine && (unsigned char)r->url.ptr[i] > ' ' && r->url.ptr[i] != 0x7f;
	return is_fine ||
	       error_set(err, ERROR_INVALID, "\"" SPAN_FMT "\" is no URL that begins with https://", SPAN_ARG(r->url));
}

static void call_late(struct timer *t);

struct https_call *https_call(struct https *h, const struct https_request *r, struct error *err)
{
	struct https_call *c;

	if (!url_check(r, err) || !multi_begin(h, err))
		return NULL;
	c = base_calloc(1, sizeof(*c));
	c->owner = h;
	c->part = r->part;
	c->done = r->done;
	c->context = r->context;
	c->url = span_to_text(r->url);
	c->is_plain = span_starts(r->url, SPAN("http://"));
	if (r->body.ptr) {
		c->body = base_alloc(r->body.len + 1);
		memcpy(c->body, r->body.ptr, r->body.len);
	}
	buffer_init(&c->answer, h->config.answer_most);
	c->next = h->calls;
	c->at = &h->calls;
	if (c->next)
		c->next->at = &c->next;
	h->calls = c;
	c->easy = curl.easy_init();
	ASSERT(c->easy);
	options_set(c, r);
	ASSERT(curl.multi_add_handle(h->multi, c->easy) == CURLM_OK);
	if (r->timeout_ns || !r->part)
		loop_timer_set(h->config.loop, &c->timer, clock_monotonic_ns() + MAX(r->timeout_ns, NS_PER_MS),
			       call_late);
	return c;
}

/* ---- the end of a call ---- */

static bool verify_error(struct https_call *c, struct error *err)
{
	static const struct {
		long code;
		const char *words;
	} rows[] = {
		{ X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT, "x509: certificate signed by unknown authority" },
		{ X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY, "x509: certificate signed by unknown authority" },
		{ X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE, "x509: certificate signed by unknown authority" },
		{ X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT, "x509: certificate signed by unknown authority" },
		{ X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN, "x509: certificate signed by unknown authority" },
		{ X509_V_ERR_CERT_SIGNATURE_FAILURE, "x509: certificate signed by unknown authority" },
		{ X509_V_ERR_CERT_HAS_EXPIRED, "x509: certificate has expired or is not yet valid" },
		{ X509_V_ERR_CERT_NOT_YET_VALID, "x509: certificate has expired or is not yet valid" },
	};
	long result = 0;

	(void)curl.easy_getinfo(c->easy, CURLINFO_SSL_VERIFYRESULT, &result);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		if (result == rows[i].code)
			return error_set(err, ERROR_UNAVAILABLE, "tls: failed to verify certificate: %s",
					 rows[i].words);
	if (result != X509_V_OK)
		return error_set(err, ERROR_UNAVAILABLE, "tls: failed to verify certificate: x509: %s",
				 X509_verify_cert_error_string(result));
	return error_set(err, ERROR_UNAVAILABLE,
			 "tls: failed to verify certificate: x509: certificate is not valid for the server's name: %s",
			 c->words);
}

/* Where the call went: where it was told to, or the URL's host and port. */
static void dialled(const struct https_call *c, struct span *ret_host, long *ret_port)
{
	struct span rest = span_of(c->connect_to ? c->connect_to->data + 2 : c->url), port;
	size_t end;

	*ret_port = c->is_plain ? 80 : 443;
	if (!c->connect_to)
		rest = span_skip(rest, c->is_plain ? sizeof("http://") - 1 : sizeof("https://") - 1);
	rest = span_first(rest, MIN(span_index(rest, '/'), span_index(rest, '?')));
	end = rest.len && rest.ptr[0] == '[' ? MIN(span_index(rest, ']') + 1, rest.len) : span_index(rest, ':');
	*ret_host = span_first(rest, end);
	port = span_skip(rest, MIN(end + 1, rest.len));
	for (size_t i = 0, number = 0; i < port.len && port.ptr[i] >= '0' && port.ptr[i] <= '9' && number < 65536;
	     i++) {
		number = number * 10 + (size_t)(port.ptr[i] - '0');
		*ret_port = (long)number;
	}
	if (span_equal(*ret_host, SPAN("localhost")))
		*ret_host = SPAN("127.0.0.1");
}

static bool connect_error(struct https_call *c, struct error *err)
{
	struct span host;
	long port, number = 0;

	dialled(c, &host, &port);
	(void)curl.easy_getinfo(c->easy, CURLINFO_OS_ERRNO, &number);
	return error_set(err, ERROR_UNAVAILABLE, "dial tcp " SPAN_FMT ":%ld: connect: %s", SPAN_ARG(host), port,
			 number == ECONNREFUSED || !number ? "connection refused"
			 : number == EHOSTUNREACH          ? "no route to host"
			 : number == ENETUNREACH           ? "network is unreachable"
							   : c->words);
}

/* False, with Go's words for what curl says. */
static bool call_error(struct https_call *c, CURLcode code, struct error *err)
{
	switch (code) {
	case CURLE_OPERATION_TIMEDOUT:
		return error_set(err, ERROR_TIMEOUT, "context deadline exceeded");
	case CURLE_COULDNT_CONNECT:
		return connect_error(c, err);
	case CURLE_COULDNT_RESOLVE_HOST: {
		struct span host;
		long port;

		dialled(c, &host, &port);
		return error_set(err, ERROR_UNAVAILABLE, "dial tcp: lookup " SPAN_FMT ": no such host", SPAN_ARG(host));
	}
	case CURLE_PEER_FAILED_VERIFICATION:
		return verify_error(c, err);
	case CURLE_SSL_CACERT_BADFILE:
		return error_set(err, ERROR_INVALID,
				 "unable to load root certificates: unable to parse bytes as PEM block");
	case CURLE_GOT_NOTHING:
	case CURLE_RECV_ERROR:
		return error_set(err, ERROR_UNAVAILABLE, "EOF");
	case CURLE_PARTIAL_FILE:
		return error_set(err, ERROR_UNAVAILABLE, "unexpected EOF");
	case CURLE_WRITE_ERROR:
		if (c->is_ended)
			return error_set(err, ERROR_CANCELLED, "the answer was not read to its end");
		return error_set(err, ERROR_TOO_LARGE, "the answer is larger than %zu bytes",
				 c->owner->config.answer_most);
	default:
		return error_set(err, ERROR_UNAVAILABLE, "%s", c->words[0] ? c->words : curl.easy_strerror(code));
	}
}

static void call_done(struct https_call *c, CURLcode code)
{
	void (*done)(void *context, const struct https_answer *answer, const struct error *err) = c->done;
	void *context = c->context;
	struct https_answer answer = { .body = buffer_span(&c->answer) };
	struct error err = { 0 };
	char *type = NULL;
	long status = 0;

	/* The call is taken out first: `done` may free the whole client. */
	timer_clear(c);
	*c->at = c->next;
	if (c->next)
		c->next->at = c->at;
	c->next = NULL;
	c->at = &c->next;
	(void)curl.multi_remove_handle(c->owner->multi, c->easy);
	if (code == CURLE_OK) {
		(void)curl.easy_getinfo(c->easy, CURLINFO_RESPONSE_CODE, &status);
		(void)curl.easy_getinfo(c->easy, CURLINFO_CONTENT_TYPE, &type);
		answer.status = (int)status;
		answer.content_type = span_of(type);
		done(context, &answer, NULL);
	} else {
		(void)call_error(c, code, &err);
		done(context, NULL, &err);
	}
	curl.easy_cleanup(c->easy);
	curl.slist_free_all(c->headers);
	curl.slist_free_all(c->connect_to);
	buffer_done(&c->answer);
	free(c->url);
	free(c->body);
	free(c);
}

static void call_late(struct timer *t)
{
	call_done(CONTAINER_OF(t, struct https_call, timer), CURLE_OPERATION_TIMEDOUT);
}

/* In the loop's next turn: libcurl must not be called from inside its own call. */
static void call_ends(CURL *easy)
{
	struct https_call *c = NULL;

	(void)curl.easy_getinfo(easy, CURLINFO_PRIVATE, (char **)&c);
	if (c)
		loop_timer_set(c->owner->config.loop, &c->timer, clock_monotonic_ns(), call_late);
}

static void ended_look(struct https *h)
{
	struct CURLMsg *m;
	int left;

	m = curl.multi_info_read(h->multi, &left);
	if (!m)
		return;
	if (m->msg == CURLMSG_DONE) {
		struct https_call *c = NULL;

		(void)curl.easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, (char **)&c);
		/* One in a turn: what `done` does may free h. */
		loop_defer(h->config.loop, &h->task);
		call_done(c, m->data.result);
	}
}
