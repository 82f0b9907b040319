/* SPDX-License-Identifier: Apache-2.0 */
/* supervisor_container - the life of a container: begun once, its outputs logged, its end seen and written down. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/random.h"
#include "node/supervisor_private.h"

enum {
	PIPE_BYTES =
	    256 << 10, /* what a container can write while nobody reads; and what is read of it after its end, twice */
	READS_AFTER_END = 64,
	EXIT_NOT_STARTED = 128,
	ARENA_BYTES_MOST = 64 << 20,
};
#define LOGS_REST_NS INT64_C(1000000000)

/* ---- finding ---- */

struct container *container_find(struct supervisor *s, struct span name, uint32_t attempt)
{
	for (struct container *c = s->containers; c; c = c->next) {
		if (c->status.attempt == attempt && span_equal(c->status.name, name))
			return c;
	}
	return NULL;
}

struct container *container_running(struct supervisor *s, struct span name, uint32_t attempt, struct error *err)
{
	struct container *c = container_find(s, name, attempt);

	if (!c)
		error_set(err, ERROR_NOT_FOUND, "container '" SPAN_FMT "' (attempt %u) is not there", SPAN_ARG(name),
			  attempt);
	else if (c->status.state != CONTAINER_RUNNING)
		error_set(err, ERROR_CONFLICT, "container '" SPAN_FMT "' does not run", SPAN_ARG(name));
	else
		return c;
	return NULL;
}

static struct container *container_new(struct supervisor *s)
{
	struct container *c = base_calloc(1, sizeof(*c));

	c->supervisor = s;
	c->stdin_fd = c->slave_fd = -1;
	for (int i = 0; i < LOG_STREAMS; i++) {
		c->outputs[i].container = c;
		c->outputs[i].stream = (enum log_stream)i;
		c->outputs[i].watch.fd = -1;
	}
	*s->containers_tail = c;
	s->containers_tail = &c->next;
	return c;
}

static void waiting_free(struct waiting **list)
{
	while (*list) {
		struct waiting *w = *list;

		*list = w->next;
		free(w);
	}
}

static void container_free(struct container *c)
{
	waiting_free(&c->stops);
	arena_done(&c->arena);
	free(c);
}

void containers_free(struct supervisor *s)
{
	while (s->containers) {
		struct container *c = s->containers;

		s->containers = c->next;
		container_free(c);
	}
	s->containers_tail = &s->containers;
}

/* ---- records ---- */

static void save(struct container *c)
{
	struct error err = { 0 };

	/* A full disk costs what is known after a kill of this process, not the container. */
	if (!container_save(c->supervisor->sandbox_fd, &c->status, &err))
		dprintf(STDERR_FILENO, "%s\n", err.message);
}

void containers_load(struct supervisor *s)
{
	struct sandbox_status status = { 0 };
	struct error none = { 0 };

	if (!sandbox_load(s->sandbox_fd, true, clock_wall_ns(), &s->arena, &status, &none))
		return;
	for (size_t i = 0; i < status.container_count; i++) {
		struct container *c = container_new(s);

		arena_init(&c->arena, ARENA_BYTES_MOST);
		c->status = status.containers[i];
		if (span_equal(c->status.reason, SPAN("StartError")))
			error_set(&c->failure, ERROR_INTERNAL, SPAN_FMT, SPAN_ARG(c->status.message));
	}
}

/* ---- outputs ---- */

static void logs_rest(struct timer *t)
{
	struct supervisor *s = CONTAINER_OF(t, struct supervisor, rest);

	if (container_log_rest())
		loop_timer_set(s->loop, t, loop_now(s->loop) + LOGS_REST_NS, logs_rest);
}

static void output_close(struct output *o)
{
	if (o->watch.fd < 0)
		return;
	loop_unwatch(o->container->supervisor->loop, &o->watch);
	close(o->watch.fd);
	o->watch.fd = -1;
}

/* One read; false: nothing is there, or nothing will come. */
static bool output_read(struct output *o)
{
	struct container *c = o->container;
	struct supervisor *s = c->supervisor;
	bool is_ended = false;
	struct span got = container_log_pump(c->log, o->stream, o->watch.fd, clock_wall_ns(), &is_ended);

	if (got.len && c->listeners)
		listeners_tell(c, o->stream, got);
	if (got.len && !timer_is_set(&s->rest))
		loop_timer_set(s->loop, &s->rest, loop_now(s->loop) + LOGS_REST_NS, logs_rest);
	if (is_ended)
		output_close(o);
	return got.len > 0;
}

static void output_ready(struct watch *w, unsigned events)
{
	(void)events;
	(void)output_read(CONTAINER_OF(w, struct output, watch));
}

static void output_begin(struct container *c, enum log_stream stream, int fd)
{
	loop_watch(c->supervisor->loop, &c->outputs[stream].watch, fd, LOOP_READ, output_ready);
}

/* Nothing of the container runs: what it left in its pipes is read. Whoever else holds their other ends does not hold us up. */
static void outputs_finish(struct container *c)
{
	for (int i = 0; i < LOG_STREAMS; i++) {
		struct output *o = &c->outputs[i];

		for (int k = 0; k < READS_AFTER_END && o->watch.fd >= 0 && output_read(o); k++)
			;
		output_close(o);
	}
}

/* ---- beginning ---- */

struct stdio {
	int child[3], ours[3];
};

static void stdio_close(int fds[3])
{
	for (int i = 0; i < 3; i++) {
		if (fds[i] >= 0)
			close(fds[i]);
		fds[i] = -1;
	}
}

static bool stdio_pipe(struct stdio *io, int which, struct error *err)
{
	int p[2], ours;

	if (!pipe_make(p, err))
		return false;
	io->child[which] = which == 0 ? p[0] : p[1];
	ours = io->ours[which] = which == 0 ? p[1] : p[0];
	(void)fcntl(ours, F_SETPIPE_SZ, PIPE_BYTES); /* an ordinary user may have used up what it may have */
	if (fcntl(ours, F_SETFL, O_NONBLOCK | (which == 0 ? O_WRONLY : O_RDONLY)) < 0)
		return error_errno(err, errno, "cannot make a pipe");
	return true;
}

static bool stdio_make(const struct container_config *c, struct stdio *io, struct error *err)
{
	if (c->has_terminal)
		return true; /* it makes one itself */
	if (c->has_stdin) {
		if (!stdio_pipe(io, 0, err))
			return false;
	} else {
		io->child[0] = open("/dev/null", O_RDONLY | O_CLOEXEC);
		if (io->child[0] < 0)
			return error_errno(err, errno, "/dev/null");
	}
	return stdio_pipe(io, 1, err) && stdio_pipe(io, 2, err);
}

static bool has_part(struct span path, struct span part)
{
	while (path.len) {
		if (span_equal(span_cut(&path, '/'), part))
			return true;
	}
	return false;
}

static bool log_make(struct container *c, struct error *err)
{
	const struct container_log_limits limits = { LOG_BYTES_MOST, LOG_FILES_MOST };
	struct span folder = c->supervisor->record.config.log_directory;
	char path[PATH_MAX];
	int len;

	if (c->config.log_path.len == 0 || has_part(c->config.log_path, SPAN("..")) || folder.len == 0)
		return error_set(err, ERROR_INVALID, "the log path '" SPAN_FMT "' can't be one",
				 SPAN_ARG(c->config.log_path));
	len = snprintf(path, sizeof(path), "%.*s/%.*s", (int)folder.len, folder.ptr, (int)c->config.log_path.len,
		       c->config.log_path.ptr);
	if (len >= (int)sizeof(path))
		return error_set(err, ERROR_INVALID, "the log path is longer than %d bytes", PATH_MAX);
	c->log = container_log_open(path, &limits, err);
	return c->log != NULL;
}

static bool terminal_hold(struct container *c, struct stdio *io, struct error *err)
{
	io->ours[1] = confined_terminal(c->confined);
	c->slave_fd = terminal_peer(io->ours[1]);
	return c->slave_fd >= 0 || error_errno(err, errno, "cannot open a terminal");
}

static bool run(struct container *c, struct stdio *io, struct error *err)
{
	struct supervisor *s = c->supervisor;

	if (!log_make(c, err) || !stdio_make(&c->config, io, err))
		return false;
	c->confined = confined_new(s->enclosure, &c->config, io->child, err);
	if (!c->confined)
		return false;
	c->status.pid = confined_pid(c->confined);
	save(c); /* before anything of it runs: it is never begun a second time */
	return confined_start(c->confined, err) && (!c->config.has_terminal || terminal_hold(c, io, err));
}

static void began(struct container *c, struct stdio *io)
{
	c->status.state = CONTAINER_RUNNING;
	c->status.started_ns = clock_wall_ns();
	c->stdin_fd = io->ours[0];
	output_begin(c, LOG_STDOUT, io->ours[1]);
	if (io->ours[2] >= 0)
		output_begin(c, LOG_STDERR, io->ours[2]);
	io->ours[0] = io->ours[1] = io->ours[2] = -1;
	save(c);
}

static void not_begun(struct container *c, const struct error *why)
{
	c->failure = *why;
	c->status.state = CONTAINER_EXITED;
	c->status.pid = 0;
	c->status.started_ns = c->status.finished_ns = clock_wall_ns();
	c->status.exit_code = EXIT_NOT_STARTED;
	c->status.reason = SPAN("StartError");
	c->status.message = error_span(&c->failure);
	container_log_close(c->log, c->status.finished_ns);
	c->log = NULL;
	save(c);
}

/* Takes the arena of the request, in which the configuration stands. */
static struct container *container_create(struct supervisor *s, const struct container_config *config)
{
	struct container *c = container_new(s);

	c->arena = s->request;
	arena_init(&s->request, ARENA_BYTES_MOST);
	c->config = *config;
	random_hex(c->id, 32);
	c->status.name = c->config.name;
	c->status.attempt = c->config.attempt;
	c->status.id = span_of(c->id);
	c->status.created_ns = clock_wall_ns();
	return c;
}

static bool start_check(struct supervisor *s, const struct container_config *config, struct error *err)
{
	if (!s->enclosure || s->is_ending)
		return error_set(err, ERROR_UNAVAILABLE, "the sandbox %s",
				 s->is_ending ? "is being ended" : "was not begun");
	if (config->name.len == 0 || config->command_count == 0)
		return error_set(err, ERROR_INVALID, "a container needs a name and a command");
	for (struct container *c = s->containers; c; c = c->next) {
		if (span_equal(c->status.name, config->name) && c->status.state != CONTAINER_EXITED)
			return error_set(err, ERROR_ALREADY_EXISTS, "container '" SPAN_FMT "' still runs (attempt %u)",
					 SPAN_ARG(config->name), c->status.attempt);
	}
	return true;
}

bool container_start_asked(struct supervisor *s, const struct supervisor_request *r, struct error *err)
{
	struct container *c = container_find(s, r->container.name, r->container.attempt);
	struct stdio io = { { -1, -1, -1 }, { -1, -1, -1 } };
	int64_t id = r->id;
	bool ok;

	if (c) { /* asked for twice, as by one that was killed before it had our answer */
		if (c->failure.code)
			supervisor_failed(s, id, &c->failure);
		else
			supervisor_done(s, id);
		return true;
	}
	if (!start_check(s, &r->container, err))
		return false;
	c = container_create(s, &r->container);
	supervisor_guests_leave(s);
	ok = run(c, &io, err);
	if (!ok && c->confined) {
		pid_t pid = c->status.pid;

		confined_free(c->confined);
		c->confined = NULL;
		if (pid > 0)
			(void)waitpid(pid, NULL, WNOHANG); /* if it was not reaped there */
	}
	supervisor_guests_come(s);
	if (ok)
		began(c, &io);
	else
		not_begun(c, err);
	stdio_close(io.child);
	stdio_close(io.ours);
	supervisor_changed(s);
	if (ok)
		supervisor_done(s, id);
	else
		supervisor_failed(s, id, err);
	return true;
}

/* ---- ending ---- */

static void ended(struct container *c, int status)
{
	struct supervisor *s = c->supervisor;
	bool was_out_of_memory;

	loop_timer_clear(s->loop, &c->grace);
	c->status.exit_code = exit_code_of(status, &c->status.signal);
	supervisor_guests_leave(s);
	was_out_of_memory = confined_was_out_of_memory(c->confined);
	confined_free(c->confined);
	c->confined = NULL;
	supervisor_guests_come(s);
	if (c->slave_fd >= 0)
		close(c->slave_fd);
	if (c->stdin_fd >= 0)
		close(c->stdin_fd);
	c->slave_fd = c->stdin_fd = -1;
	outputs_finish(c);
	listeners_close(c);
	c->status.finished_ns = clock_wall_ns();
	container_log_close(c->log, c->status.finished_ns);
	c->log = NULL;
	c->status.state = CONTAINER_EXITED;
	c->status.pid = 0;
	c->status.reason = c->status.exit_code == 0 ? SPAN("Completed")
			   : was_out_of_memory      ? SPAN("OOMKilled")
						    : SPAN("Error");
	save(c);
	supervisor_changed(s);
	supervisor_answer_all(s, &c->stops);
}

void containers_reap(struct supervisor *s)
{
	for (struct container *c = s->containers; c; c = c->next) {
		int status = SIGKILL;
		pid_t got;

		if (!c->confined)
			continue;
		got = waitpid(c->status.pid, &status, WNOHANG);
		if (got > 0 || (got < 0 && errno == ECHILD))
			ended(c, status);
	}
}

void container_kill(struct container *c)
{
	loop_timer_clear(c->supervisor->loop, &c->grace);
	(void)confined_signal(c->confined, SIGKILL); /* one that ends by itself now is reaped as well */
}

static void grace_is_over(struct timer *t)
{
	container_kill(CONTAINER_OF(t, struct container, grace));
}

bool container_stop_asked(struct supervisor *s, const struct supervisor_request *r, struct error *err)
{
	struct container *c = container_find(s, r->name, r->attempt);
	int64_t at;

	if (!c)
		return error_set(err, ERROR_NOT_FOUND, "container '" SPAN_FMT "' (attempt %u) is not there",
				 SPAN_ARG(r->name), r->attempt);
	if (!c->confined) {
		supervisor_done(s, r->id);
		return true;
	}
	supervisor_wait(&c->stops, r->id);
	if (r->grace_ns <= 0) {
		container_kill(c);
		return true;
	}
	if (!c->is_asked_to_end)
		(void)confined_signal(c->confined, SIGTERM);
	c->is_asked_to_end = true;
	loop_now_update(s->loop);
	at = r->grace_ns > INT64_MAX / 2 ? INT64_MAX / 2 : loop_now(s->loop) + r->grace_ns;
	if (!timer_is_set(&c->grace) || at < c->grace.at_ns)
		loop_timer_set(s->loop, &c->grace, at, grace_is_over);
	return true;
}

bool container_remove_asked(struct supervisor *s, const struct supervisor_request *r, struct error *err)
{
	for (struct container **at = &s->containers; *at; at = &(*at)->next) {
		struct container *c = *at;

		if (c->status.attempt != r->attempt || !span_equal(c->status.name, r->name))
			continue;
		if (c->confined)
			return error_set(err, ERROR_CONFLICT, "container '" SPAN_FMT "' still runs", SPAN_ARG(r->name));
		*at = c->next;
		if (s->containers_tail == &c->next)
			s->containers_tail = at;
		container_forget(s->sandbox_fd, c->status.name, c->status.attempt);
		container_free(c);
		supervisor_changed(s);
		break;
	}
	supervisor_done(s, r->id);
	return true;
}

bool container_update_asked(struct supervisor *s, const struct supervisor_request *r, struct error *err)
{
	struct container *c = container_running(s, r->name, r->attempt, err);

	if (!c || !confined_update(c->confined, &r->resources, err))
		return false;
	c->config.resources = r->resources;
	supervisor_done(s, r->id);
	return true;
}
