/* SPDX-License-Identifier: Apache-2.0 */
/*
 * audit - one line of JSON for each request, when it is over: an audit.k8s.io/v1 Event of level Metadata. Lines are gathered and written
 * at the end of the loop's turn; what the disk does not take is lost, and told once.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/random.h"
#include "kube/auth/auth.h"
#include "kube/kube_private.h"
#include "wire/json.h"

#define WAITING_BYTES_MAX MIB(4)

struct audit {
	int fd;
	struct buffer waiting;
	struct loop_task task;
	struct loop *loop; /* of the queued task; NULL: none */
	bool was_failure_told;
};

/* One request under way. Cut from its arena. */
struct audited {
	struct request_end end;
	struct request *req;
	struct kube *kube;
	struct user user;
	struct access access;
	bool has_user, has_access;
	int64_t received_ns; /* wall clock */
	char id[RANDOM_UUID_SIZE];
};

/* ---- the file ---- */

struct audit *audit_open(const char *path, struct error *err)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	struct audit *a;

	if (fd < 0) {
		error_errno(err, errno, "audit log %s", path);
		return NULL;
	}
	a = base_calloc(1, sizeof(*a));
	a->fd = fd;
	buffer_init(&a->waiting, WAITING_BYTES_MAX);
	return a;
}

static void audit_write(struct audit *a)
{
	struct span rest = buffer_span(&a->waiting);

	while (rest.len > 0) {
		ssize_t n = write(a->fd, rest.ptr, rest.len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			if (!a->was_failure_told)
				log_error("kube", "the audit log cannot be written",
					  LOG_TEXT("error", strerror(errno)));
			a->was_failure_told = true;
			break;
		}
		rest = span_skip(rest, (size_t)n);
	}
	buffer_clear(&a->waiting);
}

static void audit_turn(struct loop_task *t)
{
	struct audit *a = CONTAINER_OF(t, struct audit, task);

	a->loop = NULL;
	audit_write(a);
}

void audit_close(struct audit *a)
{
	if (!a)
		return;
	if (a->loop)
		loop_undefer(a->loop, &a->task);
	audit_write(a);
	close(a->fd);
	buffer_done(&a->waiting);
	free(a);
}

/* ---- a line ---- */

static void put(struct json_writer *w, const char *key, struct span value)
{
	if (!value.len)
		return;
	json_key(w, span_of(key));
	json_string(w, value);
}

static void put_time(struct json_writer *w, const char *key, int64_t wall_ns)
{
	char text[CLOCK_TEXT_SIZE];
	size_t len = clock_print_rfc3339(wall_ns, text);

	put(w, key, span_from(text, len));
}

static void put_user(struct json_writer *w, const struct user *u)
{
	json_key(w, SPAN("user"));
	json_open_object(w);
	put(w, "username", u->name);
	put(w, "uid", u->uid);
	json_key(w, SPAN("groups"));
	json_open_array(w);
	for (size_t i = 0; i < u->group_count; i++)
		json_string(w, u->groups[i]);
	json_close_array(w);
	json_close_object(w);
}

static void put_object(struct json_writer *w, const struct access *a)
{
	json_key(w, SPAN("objectRef"));
	json_open_object(w);
	put(w, "resource", a->resource);
	put(w, "namespace", a->name_space);
	put(w, "name", a->name);
	put(w, "apiGroup", a->group);
	put(w, "apiVersion", a->version);
	put(w, "subresource", a->subresource);
	json_close_object(w);
}

/* The peer without its port. */
static struct span peer_address(const struct request *req)
{
	struct span peer = request_peer(req);

	for (size_t i = peer.len; i > 0; i--) {
		if (peer.ptr[i - 1] == ':')
			return span_trim(span_first(peer, i - 1));
	}
	return peer;
}

static void put_request(struct json_writer *w, const struct audited *e)
{
	const struct request *req = e->req;
	struct span peer = peer_address(req);

	put(w, "requestURI", req->target);
	put(w, "verb", e->has_access ? e->access.verb : req->method_text);
	if (e->has_user)
		put_user(w, &e->user);
	if (peer.len) {
		json_key(w, SPAN("sourceIPs"));
		json_open_array(w);
		json_string(w, peer);
		json_close_array(w);
	}
	put(w, "userAgent", request_header(req, SPAN("user-agent")));
	if (e->has_access && e->access.is_resource)
		put_object(w, &e->access);
}

static void line_write(struct audit *a, const struct audited *e)
{
	struct json_writer w = json_writer(&a->waiting);
	size_t start = a->waiting.len;

	json_open_object(&w);
	put(&w, "kind", SPAN("Event"));
	put(&w, "apiVersion", SPAN("audit.k8s.io/v1"));
	put(&w, "level", SPAN("Metadata"));
	put(&w, "auditID", span_of(e->id));
	put(&w, "stage", SPAN("ResponseComplete"));
	put_request(&w, e);
	json_key(&w, SPAN("responseStatus"));
	json_open_object(&w);
	json_key(&w, SPAN("code"));
	json_int64(&w, request_status(e->req));
	json_close_object(&w);
	put_time(&w, "requestReceivedTimestamp", e->received_ns);
	put_time(&w, "stageTimestamp", kube_wall_ns(e->kube));
	json_close_object(&w);
	buffer_byte(&a->waiting, '\n');
	if (a->waiting.overflow) { /* a turn with more than fits: this line goes first in the next */
		a->waiting.len = start;
		a->waiting.overflow = false;
		audit_write(a);
	}
}

static void audited_end(struct request_end *end)
{
	struct audited *e = CONTAINER_OF(end, struct audited, end);
	struct audit *a = auth_audit(kube_auth(e->kube));

	if (!a)
		return;
	line_write(a, e);
	if (!a->loop) {
		a->loop = kube_loop(e->kube);
		a->task.run = audit_turn;
		loop_defer(a->loop, &a->task);
	}
}

static bool access_copy(const struct access *from, struct arena *arena, struct access *ret)
{
	struct span *texts[] = { &ret->verb, &ret->group,       &ret->version,    &ret->resource,
				 &ret->name, &ret->subresource, &ret->name_space, &ret->path };
	struct error ignored = { 0 };

	*ret = *from;
	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		if (texts[i]->len > 0)
			*texts[i] = arena_copy(arena, *texts[i], &ignored);
	}
	return ignored.code == ERROR_NONE;
}

void audit_request(struct kube *k, struct request *req, const struct user *user, const struct access *access)
{
	struct error ignored = { 0 };
	struct audited *e;

	if (!auth_audit(kube_auth(k)) || !(e = ARENA_NEW(&req->arena, struct audited, &ignored)))
		return;
	/* What is asked may be kept by a call that ends before its request. */
	if ((user && !user_copy(user, &req->arena, &e->user, &ignored)) ||
	    (access && !access_copy(access, &req->arena, &e->access)))
		return;
	e->req = req;
	e->kube = k;
	e->received_ns = kube_wall_ns(k);
	random_uuid(e->id);
	e->has_user = user != NULL;
	e->has_access = access != NULL;
	request_at_end(req, &e->end, audited_end);
}
