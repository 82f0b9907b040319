/* SPDX-License-Identifier: Apache-2.0 */
#include "node/streams_private.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* ---- sessions ---- */

static void session_free(struct loop_task *t)
{
	struct session *s = CONTAINER_OF(t, struct session, task);

	*s->link = s->next;
	if (s->next)
		s->next->link = s->link;
	s->streams->count--;
	s->free(s);
	arena_done(&s->arena);
	free(s);
}

void session_end(struct session *s)
{
	if (s->is_over)
		return;
	s->is_over = true;
	if (!s->owes)
		loop_defer(s->streams->loop, &s->task);
}

void session_paid(struct session *s)
{
	s->owes--;
	if (s->is_over && !s->owes)
		loop_defer(s->streams->loop, &s->task);
}

void *session_new(struct streams *streams, struct kube_call *call, size_t size, void (*stop)(struct session *s),
		  void (*free_session)(struct session *s))
{
	struct session *s;

	if (streams->count >= STREAMS_MOST) {
		streams_refuse(call, 429, "TooManyRequests",
			       "there are %d logs, commands, forwarded ports and proxies open already", STREAMS_MOST);
		return NULL;
	}
	s = base_calloc(1, size);
	*s = (struct session){ .streams = streams, .stop = stop, .free = free_session, .next = streams->sessions };
	s->task.run = session_free;
	arena_init(&s->arena, SESSION_ARENA_MOST);
	s->link = &streams->sessions;
	if (s->next)
		s->next->link = &s->next;
	streams->sessions = s;
	streams->count++;
	return s;
}

bool session_find(struct session *s, struct kube_call *call, const struct node_question *q)
{
	struct error err = { 0 };
	const struct sandbox_status *sandbox;

	s->uid = arena_copy(&s->arena, value_find_string(q->object, "metadata.uid"), &err);
	s->container = arena_copy(&s->arena, q->container, &err);
	sandbox = node_sandbox(s->streams->node, s->uid);
	for (size_t i = sandbox ? sandbox->container_count : 0; i-- > 0;) {
		const struct container_status *c = &sandbox->containers[i];

		if (!span_equal(c->name, s->container) || c->state != CONTAINER_RUNNING)
			continue;
		s->attempt = c->attempt;
		return true;
	}
	streams_refuse(call, 500, NULL, "container not found (\"" SPAN_FMT "\")", SPAN_ARG(s->container));
	return false;
}

/* ---- what is asked ---- */

bool query_is(struct kube_call *call, const char *name)
{
	struct span value = { 0 };

	return request_query(call->req, span_of(name), &value) &&
	       (span_equal(value, SPAN("true")) || span_equal(value, SPAN("1")));
}

struct span protocol_choose(const struct request *req, struct span header, const char *const *ours)
{
	for (size_t i = 0; i < req->header_count; i++) {
		struct span rest = req->headers[i].value;

		if (!span_equal(req->headers[i].name, header))
			continue;
		while (rest.len) {
			struct span offered = span_trim(span_cut(&rest, ','));

			for (size_t j = 0; ours[j]; j++)
				if (span_equal(offered, span_of(ours[j])))
					return span_of(ours[j]);
		}
	}
	return (struct span){ 0 };
}

void streams_refuse(struct kube_call *call, int code, const char *reason, const char *format, ...)
{
	char text[1024];
	va_list args;
	int len;

	va_start(args, format);
	len = vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	kube_refuse(call,
		    &(struct kube_refusal){ .code = code,
					    .reason = reason,
					    .message = span_from(text, MIN((size_t)MAX(len, 0), sizeof(text) - 1)) });
}

static bool answer(void *context, struct kube_call *call, const struct node_question *q)
{
	struct streams *s = context;

	if (!span_equal(q->node, node_name(s->node)))
		return false;
	switch (q->service) {
	case NODE_LOG:
		logs_begin(s, call, q);
		return true;
	case NODE_EXEC:
	case NODE_ATTACH:
		remote_begin(s, call, q);
		return true;
	case NODE_FORWARD:
		forward_begin(s, call, q);
		return true;
	case NODE_POD_PROXY:
		proxy_begin(s, call, q);
		return true;
	case NODE_PROXY:
		break;
	}
	return false;
}

/* ---- life ---- */

struct streams *streams_new(struct node *n, struct kube *k, struct loop *loop)
{
	struct streams *s = base_calloc(1, sizeof(*s));

	*s = (struct streams){ .node = n, .kube = k, .runtime = node_runtime(n), .loop = loop, .inotify = -1 };
	kube_serve_nodes(k, answer, s);
	return s;
}

void streams_ended(struct streams *streams, struct span sandbox, struct span stream, int exit_code)
{
	struct session *next;

	for (struct session *s = streams->sessions; s; s = next) {
		next = s->next;
		if (!s->is_over && span_equal(s->uid, sandbox))
			remote_exited(s, stream, exit_code);
	}
}

void streams_changed(struct streams *streams, struct span sandbox)
{
	for (struct session *s = streams->sessions; s; s = s->next) {
		if (!s->is_over && span_equal(s->uid, sandbox))
			logs_look(s);
	}
}

void streams_free(struct streams *s)
{
	if (!s)
		return;
	kube_serve_nodes(s->kube, NULL, NULL);
	for (struct session *session = s->sessions, *next; session; session = next) {
		next = session->next;
		if (!session->is_over)
			session->stop(session);
		session->owes = 0; /* the runtime has been freed, and has said all it had to */
		loop_undefer(s->loop, &session->task);
		session_free(&session->task);
	}
	if (s->inotify >= 0) {
		loop_unwatch(s->loop, &s->folders);
		close(s->inotify);
	}
	free(s);
}
