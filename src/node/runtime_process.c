/* SPDX-License-Identifier: Apache-2.0 */
/* runtime_process - the runtime's operations as messages to supervisors; what is found when it begins. */
#include "node/runtime_process.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "node/cni.h"
#include "node/runtime_process_private.h"

enum { ARENA_BYTES_MOST = 64 << 20 };

/* ---- calls ---- */

static struct call *call_new(struct runtime_process *r, enum call_kind kind, void *context)
{
	struct call *c = base_calloc(1, sizeof(*c));

	c->kind = kind;
	c->id = ++r->last_id;
	c->context = context;
	buffer_init(&c->text, SUPERVISOR_MESSAGE_MOST);
	return c;
}

static void call_free(struct call *c)
{
	buffer_done(&c->text);
	free(c);
}

void call_finish(struct call *c, const struct error *err)
{
	switch (c->kind) {
	case CALL_STREAM:
		c->done.stream(c->context, NULL, err);
		break;
	case CALL_SOCKET:
		c->done.socket(c->context, -1, err);
		break;
	case CALL_USAGE:
		c->done.usage(c->context, NULL, err);
		break;
	case CALL_PLAIN:
	case CALL_RUN:
	case CALL_END:
	case CALL_REMOVE:
		if (c->done.plain)
			c->done.plain(c->context, err);
		break;
	}
	call_free(c);
}

static int take_fd(bool is_there, int fds[SUPERVISOR_FDS_MOST], size_t count, size_t *at)
{
	int fd = -1;

	if (is_there && *at < count) {
		fd = fds[*at];
		fds[(*at)++] = -1;
	}
	return fd;
}

void call_finish_reply(struct call *c, const struct supervisor_reply *r, int fds[SUPERVISOR_FDS_MOST], size_t count)
{
	struct error err = { 0 };
	struct stream stream = { r->stream, -1, -1, -1 };
	size_t at = 0;

	if (reply_error(r, &err)) {
		call_finish(c, &err);
		return;
	}
	switch (c->kind) {
	case CALL_STREAM:
		stream.in = take_fd(r->has_in, fds, count, &at);
		stream.out = take_fd(r->has_out, fds, count, &at);
		stream.err = take_fd(r->has_err, fds, count, &at);
		c->done.stream(c->context, &stream, NULL);
		break;
	case CALL_SOCKET:
		if (count == 0) {
			error_set(&err, ERROR_INTERNAL, "the supervisor sent no socket");
			call_finish(c, &err);
			return;
		}
		c->done.socket(c->context, take_fd(true, fds, count, &at), NULL);
		break;
	case CALL_USAGE:
		c->done.usage(c->context, &r->usage, NULL);
		break;
	case CALL_PLAIN:
	case CALL_RUN:
	case CALL_END:
	case CALL_REMOVE:
		call_finish(c, NULL);
		return;
	}
	call_free(c);
}

void call_finish_later(struct runtime_process *r, struct call *c, const struct error *err)
{
	c->has_error = err != NULL;
	if (err)
		c->error = *err;
	c->next = NULL;
	*r->finished_tail = c;
	r->finished_tail = &c->next;
	loop_defer(r->loop, &r->task);
}

static void finish_all(struct runtime_process *r)
{
	while (r->finished) {
		struct call *c = r->finished;

		r->finished = c->next;
		if (!r->finished)
			r->finished_tail = &r->finished;
		call_finish(c, c->has_error ? &c->error : NULL);
	}
}

static void free_gone(struct runtime_process *r)
{
	for (struct sandbox **at = &r->sandboxes; *at;) {
		struct sandbox *s = *at;

		if (s->life != SANDBOX_GONE) {
			at = &s->next;
			continue;
		}
		*at = s->next;
		sandbox_free(s);
	}
}

static void tidy(struct loop_task *t)
{
	struct runtime_process *r = CONTAINER_OF(t, struct runtime_process, task);

	free_gone(r);
	finish_all(r);
	if (!r->has_begun && r->unanswered == 0) {
		r->has_begun = true;
		if (r->events.began)
			r->events.began(r->events.context);
	}
}

/* ---- operations ---- */

static struct runtime_process *runtime_of(struct runtime *r)
{
	return CONTAINER_OF(r, struct runtime_process, runtime);
}

static void refuse(struct runtime_process *r, struct call *c, enum error_code code, const char *why)
{
	struct error err = { 0 };

	error_set(&err, code, "%s", why);
	call_finish_later(r, c, &err);
}

/* What the supervisor could not read would end the connection, and with it what else was asked. */
static bool write_checked(const struct supervisor_request *request, struct buffer *text, struct error *err)
{
	struct supervisor_request read;
	struct arena arena;
	bool ok;

	supervisor_request_write(request, text);
	if (!buffer_ok(text, "what is asked for", err))
		return false;
	arena_init(&arena, ARENA_BYTES_MOST);
	ok = request_read(buffer_span(text), &arena, &read, err);
	arena_done(&arena);
	return ok;
}

/* Writes the request and sends it, or tells at once why not. */
static void ask(struct runtime_process *r, struct span uid, struct call *c, struct supervisor_request *request)
{
	struct sandbox *s = sandbox_find(r, uid);
	struct error err = { 0 };

	if (!s) {
		refuse(r, c, ERROR_NOT_FOUND, "there is no such sandbox");
		return;
	}
	if (s->life == SANDBOX_DEAD) {
		refuse(r, c, ERROR_UNAVAILABLE, "the sandbox has died");
		return;
	}
	request->id = c->id;
	if (!write_checked(request, &c->text, &err))
		call_finish_later(r, c, &err);
	else
		sandbox_ask(s, c);
}

static void sandbox_run_op(struct runtime *runtime, const struct sandbox_config *config, runtime_done done,
			   void *context)
{
	struct runtime_process *r = runtime_of(runtime);
	struct call *c = call_new(r, CALL_RUN, context);
	struct sandbox *s = sandbox_find(r, config->uid);
	struct supervisor_request request = { .id = c->id, .op = SPAN("run"), .sandbox = *config };
	struct error err = { 0 };

	c->done.plain = done;
	request.host.hidden = span_of(r->hidden);
	request.host.group_root = span_of(r->group_root);
	request.host.egress = span_of(r->egress);
	request.host.program = span_of(r->program);
	if (config->uid.len == 0 || config->folder.len == 0 || config->folder.ptr[0] != '/') {
		refuse(r, c, ERROR_INVALID, "a sandbox needs a uid and a folder");
		return;
	}
	if (!write_checked(&request, &c->text, &err)) {
		call_finish_later(r, c, &err);
		return;
	}
	if (!s) {
		s = sandbox_new(r, config->folder, config->uid);
		s->life = SANDBOX_DEAD;
	}
	sandbox_ask(s, c);
	if (s->life == SANDBOX_DEAD)
		sandbox_begin(s);
}

static void sandbox_stop_op(struct runtime *runtime, struct span uid, runtime_done done, void *context)
{
	struct runtime_process *r = runtime_of(runtime);
	struct call *c = call_new(r, CALL_END, context);
	struct sandbox *s = sandbox_find(r, uid);

	c->done.plain = done;
	if (s && s->life == SANDBOX_DEAD)
		call_finish_later(r, c, NULL);
	else
		ask(r, uid, c, &(struct supervisor_request){ .op = SPAN("end") });
}

static void sandbox_remove_op(struct runtime *runtime, struct span uid, runtime_done done, void *context)
{
	struct runtime_process *r = runtime_of(runtime);
	struct call *c = call_new(r, CALL_REMOVE, context);
	struct sandbox *s = sandbox_find(r, uid);
	struct error err = { 0 };

	c->done.plain = done;
	if (!s) {
		call_finish_later(r, c, NULL);
	} else if (s->life == SANDBOX_DEAD) {
		if (sandbox_clear(s, &err)) {
			s->life = SANDBOX_GONE;
			call_finish_later(r, c, NULL);
		} else {
			call_finish_later(r, c, &err);
		}
	} else {
		ask(r, uid, c, &(struct supervisor_request){ .op = SPAN("end") });
	}
}

static void container_start_op(struct runtime *runtime, struct span uid, const struct container_config *config,
			       runtime_done done, void *context)
{
	struct runtime_process *r = runtime_of(runtime);
	struct call *c = call_new(r, CALL_PLAIN, context);
	struct supervisor_request request = { .op = SPAN("start"), .container = *config };

	c->done.plain = done;
	ask(r, uid, c, &request);
}

/* Of a container in a sandbox that has died: it has ended. */
static bool is_dead_container(struct runtime_process *r, struct span uid, struct span name, uint32_t attempt,
			      struct sandbox **ret)
{
	struct sandbox *s = sandbox_find(r, uid);

	*ret = s;
	if (!s || s->life != SANDBOX_DEAD)
		return false;
	for (size_t i = 0; i < s->status.container_count; i++) {
		const struct container_status *c = &s->status.containers[i];

		if (c->attempt == attempt && span_equal(c->name, name))
			return true;
	}
	return false;
}

static void container_stop_op(struct runtime *runtime, struct span uid, struct span name, uint32_t attempt,
			      int64_t grace_ns, runtime_done done, void *context)
{
	struct runtime_process *r = runtime_of(runtime);
	struct call *c = call_new(r, CALL_PLAIN, context);
	struct supervisor_request request = {
		.op = SPAN("stop"), .name = name, .attempt = attempt, .grace_ns = MAX(grace_ns, 0)
	};
	struct sandbox *s;

	c->done.plain = done;
	if (is_dead_container(r, uid, name, attempt, &s))
		call_finish_later(r, c, NULL);
	else
		ask(r, uid, c, &request);
}

/* The status is the records': they are read when it has died, and kept in step here. */
static void forget_dead(struct sandbox *s, struct span name, uint32_t attempt)
{
	struct container_status *list = (struct container_status *)(uintptr_t)s->status.containers;
	struct error ignored = { 0 };
	size_t kept = 0;
	int fd = sandbox_open(span_of(s->folder), false, &ignored);

	if (fd >= 0) {
		container_forget(fd, name, attempt);
		close(fd);
	}
	for (size_t i = 0; i < s->status.container_count; i++) {
		if (list[i].attempt != attempt || !span_equal(list[i].name, name))
			list[kept++] = list[i];
	}
	s->status.container_count = kept;
}

static void container_remove_op(struct runtime *runtime, struct span uid, struct span name, uint32_t attempt,
				runtime_done done, void *context)
{
	struct runtime_process *r = runtime_of(runtime);
	struct call *c = call_new(r, CALL_PLAIN, context);
	struct supervisor_request request = { .op = SPAN("remove"), .name = name, .attempt = attempt };
	struct sandbox *s;

	c->done.plain = done;
	if (is_dead_container(r, uid, name, attempt, &s))
		forget_dead(s, name, attempt);
	if (!s || s->life == SANDBOX_DEAD)
		call_finish_later(r, c, NULL);
	else
		ask(r, uid, c, &request);
}

static void container_update_op(struct runtime *runtime, struct span uid, struct span name, uint32_t attempt,
				const struct resources *to, runtime_done done, void *context)
{
	struct runtime_process *r = runtime_of(runtime);
	struct call *c = call_new(r, CALL_PLAIN, context);
	struct supervisor_request request = {
		.op = SPAN("update"), .name = name, .attempt = attempt, .resources = *to
	};

	c->done.plain = done;
	ask(r, uid, c, &request);
}

static void stream_op(struct runtime *runtime, struct span op, struct span uid, struct span name, uint32_t attempt,
		      const struct stream_wanted *w,
		      void (*done)(void *context, const struct stream *s, const struct error *err), void *context)
{
	struct runtime_process *r = runtime_of(runtime);
	struct call *c = call_new(r, CALL_STREAM, context);
	struct supervisor_request request = { .op = op, .name = name, .attempt = attempt, .stream = *w };

	c->done.stream = done;
	ask(r, uid, c, &request);
}

static void exec_op(struct runtime *runtime, struct span uid, struct span name, uint32_t attempt,
		    const struct stream_wanted *w,
		    void (*done)(void *context, const struct stream *s, const struct error *err), void *context)
{
	stream_op(runtime, SPAN("exec"), uid, name, attempt, w, done, context);
}

static void attach_op(struct runtime *runtime, struct span uid, struct span name, uint32_t attempt,
		      const struct stream_wanted *w,
		      void (*done)(void *context, const struct stream *s, const struct error *err), void *context)
{
	stream_op(runtime, SPAN("attach"), uid, name, attempt, w, done, context);
}

static void resize_op(struct runtime *runtime, struct span uid, struct span name, uint32_t attempt, struct span stream,
		      int columns, int rows)
{
	struct runtime_process *r = runtime_of(runtime);
	struct supervisor_request request = { .op = SPAN("resize"),
					      .name = name,
					      .attempt = attempt,
					      .stream_id = stream,
					      .columns = columns,
					      .rows = rows };

	ask(r, uid, call_new(r, CALL_PLAIN, NULL), &request); /* nobody waits */
}

static void socket_op(struct runtime *runtime, struct span uid, int family, int type,
		      void (*done)(void *context, int fd, const struct error *err), void *context)
{
	struct runtime_process *r = runtime_of(runtime);
	struct call *c = call_new(r, CALL_SOCKET, context);
	struct supervisor_request request = { .op = SPAN("socket"), .family = family, .type = type };

	c->done.socket = done;
	ask(r, uid, c, &request);
}

static void usage_op(struct runtime *runtime, struct span uid,
		     void (*done)(void *context, const struct sandbox_usage *u, const struct error *err), void *context)
{
	struct runtime_process *r = runtime_of(runtime);
	struct call *c = call_new(r, CALL_USAGE, context);

	c->done.usage = done;
	ask(r, uid, c, &(struct supervisor_request){ .op = SPAN("usage") });
}

/* ---- life ---- */

static void runtime_process_free(struct runtime *runtime)
{
	struct runtime_process *r = runtime_of(runtime);
	const struct error cancelled = { ERROR_CANCELLED, "the runtime is freed" };
	struct sandbox *s;

	loop_undefer(r->loop, &r->task);
	spawner_link_stop(r);
	finish_all(r);
	while ((s = r->sandboxes)) {
		r->sandboxes = s->next;
		while (s->calls) {
			struct call *c = s->calls;

			s->calls = c->next;
			call_finish(c, &cancelled);
		}
		sandbox_free(s);
	}
	free(r->folder);
	free(r->program);
	free(r->hidden);
	free(r->egress);
	free(r->group_root);
	free(r->owed_networks);
	free(r);
}

static const struct runtime_ops process_ops = {
	.name = "process",
	.sandbox_run = sandbox_run_op,
	.sandbox_stop = sandbox_stop_op,
	.sandbox_remove = sandbox_remove_op,
	.container_start = container_start_op,
	.container_stop = container_stop_op,
	.container_remove = container_remove_op,
	.container_update = container_update_op,
	.exec = exec_op,
	.attach = attach_op,
	.resize = resize_op,
	.socket = socket_op,
	.usage = usage_op,
	.free = runtime_process_free,
};

/* Each folder with a folder "sandbox" in it had one; whether it lives is told when it is called. */
static void find_sandboxes(struct runtime_process *r)
{
	DIR *dir = opendir(r->folder);
	struct dirent *entry;

	while (dir && (entry = readdir(dir))) {
		struct error ignored = { 0 };
		struct buffer folder;
		int fd;

		if (entry->d_name[0] == '.')
			continue;
		buffer_init(&folder, PATH_MAX);
		buffer_print(&folder, "%s/%s", r->folder, entry->d_name);
		fd = folder.overflow ? -1 : sandbox_open(buffer_span(&folder), false, &ignored);
		if (fd >= 0) {
			struct sandbox *s = sandbox_new(r, buffer_span(&folder), SPAN(""));

			close(fd);
			s->life = SANDBOX_CONNECTING;
			s->is_found = true;
			r->unanswered++;
		}
		buffer_done(&folder);
	}
	if (dir)
		closedir(dir);
}

/* /proc/self/exe is another file in another process. */
static char *program_path(const char *given)
{
	char path[PATH_MAX];
	ssize_t len = given ? -1 : readlink("/proc/self/exe", path, sizeof(path));

	return span_to_text(given ? span_of(given) : span_from(path, len < 0 ? 0 : (size_t)len));
}

static void call_found(struct loop_task *t)
{
	struct runtime_process *r = CONTAINER_OF(t, struct runtime_process, task);

	t->run = tidy;
	for (struct sandbox *s = r->sandboxes; s; s = s->next) {
		if (s->is_found)
			sandbox_call(s);
	}
	tidy(t);
}

struct runtime *runtime_process_new(const struct runtime_process_config *config, struct error *err)
{
	const struct cni_place networks = cni_place_default();
	struct runtime_process *r;

	if (span_equal(config->egress, SPAN("cni")) && !cni_is_possible(err))
		return NULL;
	r = base_calloc(1, sizeof(*r));
	r->runtime.ops = &process_ops;
	r->loop = config->loop;
	r->events = config->events;
	r->folder = span_to_text(config->folder);
	ASSERT(asprintf(&r->owed_networks, "%s/.networks", r->folder) > 0);
	r->program = program_path(config->program);
	r->hidden = span_to_text(config->hidden);
	r->egress = span_to_text(config->egress.len ? config->egress : SPAN("host"));
	r->group_root = config->is_group_root_given ? span_to_text(config->group_root) : confine_group_root();
	r->finished_tail = &r->finished;
	r->task.run = call_found; /* nothing is told before this function has returned */
	r->spawner.channel.fd = -1;
	if (!spawner_link_start(r, err)) {
		runtime_process_free(&r->runtime);
		return NULL;
	}
	cni_sweep_owed(&networks, r->owed_networks);
	find_sandboxes(r);
	loop_defer(r->loop, &r->task);
	return &r->runtime;
}
