/* SPDX-License-Identifier: Apache-2.0 */
/* supervisor_stream - commands beside a container's (exec), those who read along (attach), terminals. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/random.h"
#include "node/supervisor_private.h"

enum { LISTENER_BYTES = 1 << 20, SIZE_MOST = 65535 };

/* ---- descriptors ---- */

bool pipe_make(int ret[2], struct error *err)
{
	if (pipe2(ret, O_CLOEXEC) < 0)
		return error_errno(err, errno, "cannot make a pipe");
	(void)fchmod(ret[0], 0666); /* it has no name but /proc/PID/fd, which has a guard of its own */
	return true;
}

int terminal_peer(int master)
{
	return ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
}

static void nonblocking(int fd)
{
	int flags = fcntl(fd, F_GETFL);

	(void)fcntl(fd, F_SETFL, flags | O_NONBLOCK);
}

static void close_if(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

int exit_code_of(int status, int *ret_signal)
{
	*ret_signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
	return *ret_signal ? 128 + *ret_signal : WEXITSTATUS(status);
}

/* ---- exec ---- */

static void command_free(struct command *c)
{
	loop_timer_clear(c->supervisor->loop, &c->timeout);
	close_if(&c->slave_fd);
	free(c);
}

static void timed_out(struct timer *t)
{
	struct command *c = CONTAINER_OF(t, struct command, timeout);

	(void)kill(-c->pid, SIGKILL); /* its group; it may have none of its own */
	(void)kill(c->pid, SIGKILL);
}

/* The six ends of a command's input and outputs: the child's, and those that the asker gets. */
struct ends {
	int child[3], asker[3];
};

static void ends_close(int fds[3])
{
	for (int i = 0; i < 3; i++) {
		int fd = fds[i];

		for (int k = i + 1; fd >= 0 && k < 3; k++) {
			if (fds[k] == fd)
				fds[k] = -1;
		}
		close_if(&fds[i]);
	}
}

static bool ends_of_pipes(const struct stream_wanted *w, struct ends *e, struct error *err)
{
	const bool asked[3] = { w->has_stdin, w->has_stdout, w->has_stderr };

	for (int i = 0; i < 3; i++) {
		int p[2];

		if (!asked[i]) {
			e->child[i] = open("/dev/null", (i == 0 ? O_RDONLY : O_WRONLY) | O_CLOEXEC);
			if (e->child[i] < 0)
				return error_errno(err, errno, "/dev/null");
			continue;
		}
		if (!pipe_make(p, err))
			return false;
		e->child[i] = i == 0 ? p[0] : p[1];
		e->asker[i] = i == 0 ? p[1] : p[0];
		nonblocking(e->asker[i]);
	}
	return true;
}

/* Two of the master, for they are closed one by one. */
static bool ends_of_terminal(int master, struct ends *e, int *ret_slave, struct error *err)
{
	e->asker[0] = master;
	e->asker[1] = fcntl(master, F_DUPFD_CLOEXEC, 0);
	*ret_slave = terminal_peer(master);
	return (e->asker[1] >= 0 && *ret_slave >= 0) || error_errno(err, errno, "cannot open a terminal");
}

static void answer_stream(struct supervisor *s, int64_t id, struct span stream, int fds[3])
{
	struct supervisor_reply reply = {
		.id = id, .stream = stream, .has_in = fds[0] >= 0, .has_out = fds[1] >= 0, .has_err = fds[2] >= 0
	};
	int sent[3];
	size_t count = 0;

	for (int i = 0; i < 3; i++) {
		if (fds[i] >= 0)
			sent[count++] = fds[i];
		fds[i] = -1;
	}
	supervisor_answer(s, &reply, sent, count);
}

static bool exec_begin(struct supervisor *s, struct container *c, const struct supervisor_request *r, struct ends *e,
		       struct error *err)
{
	const struct stream_wanted *w = &r->stream;
	int terminal = -1, slave = -1;
	struct command *command;
	pid_t pid;

	if (!w->has_terminal && !ends_of_pipes(w, e, err))
		return false;
	supervisor_guests_leave(s);
	pid =
	    confined_exec(c->confined, w->command, w->command_count, e->child, w->has_terminal ? &terminal : NULL, err);
	supervisor_guests_come(s);
	if (pid < 0)
		return false;
	if (w->has_terminal && !ends_of_terminal(terminal, e, &slave, err)) {
		close_if(&slave);
		(void)kill(pid, SIGKILL);
		(void)waitpid(pid, NULL, 0);
		return false;
	}
	command = base_calloc(1, sizeof(*command));
	command->supervisor = s;
	command->pid = pid;
	command->slave_fd = slave;
	random_hex(command->stream, 8);
	command->next = s->commands;
	s->commands = command;
	if (w->timeout_ns > 0) {
		loop_now_update(s->loop);
		loop_timer_set(s->loop, &command->timeout, loop_now(s->loop) + w->timeout_ns, timed_out);
	}
	answer_stream(s, r->id, span_of(command->stream), e->asker);
	return true;
}

bool exec_asked(struct supervisor *s, const struct supervisor_request *r, struct error *err)
{
	struct container *c = container_running(s, r->name, r->attempt, err);
	struct ends e = { { -1, -1, -1 }, { -1, -1, -1 } };
	bool ok;

	if (!c)
		return false;
	if (r->stream.command_count == 0)
		return error_set(err, ERROR_INVALID, "a command is needed");
	ok = exec_begin(s, c, r, &e, err);
	ends_close(e.child);
	ends_close(e.asker);
	return ok;
}

void commands_reap(struct supervisor *s)
{
	for (struct command **at = &s->commands; *at;) {
		struct command *c = *at;
		struct supervisor_reply reply = { .event = SPAN("ended"), .stream = span_of(c->stream) };
		int status = SIGKILL, signal;
		pid_t got = waitpid(c->pid, &status, WNOHANG);

		if (got == 0 || (got < 0 && errno == EINTR)) {
			at = &c->next;
			continue;
		}
		*at = c->next;
		reply.exit_code = exit_code_of(status, &signal);
		supervisor_answer(s, &reply, NULL, 0);
		command_free(c);
	}
}

void commands_free(struct supervisor *s)
{
	while (s->commands) {
		struct command *c = s->commands;

		s->commands = c->next;
		command_free(c);
	}
}

/* ---- attach ---- */

static void listener_free(struct listener *l)
{
	for (int i = 0; i < LOG_STREAMS; i++) {
		if (l->watches[i].fd < 0)
			continue;
		loop_unwatch(l->container->supervisor->loop, &l->watches[i]);
		close(l->watches[i].fd);
	}
	free(l);
}

/* Its asker has gone: a container that writes nothing does not show it. */
static void listener_hung_up(struct listener *l)
{
	struct listener **at = &l->container->listeners;

	while (*at != l)
		at = &(*at)->next;
	*at = l->next;
	listener_free(l);
}

static void out_ready(struct watch *w, unsigned events)
{
	(void)events;
	listener_hung_up(CONTAINER_OF(w, struct listener, watches[LOG_STDOUT]));
}

static void err_ready(struct watch *w, unsigned events)
{
	(void)events;
	listener_hung_up(CONTAINER_OF(w, struct listener, watches[LOG_STDERR]));
}

void listeners_tell(struct container *c, enum log_stream stream, struct span bytes)
{
	for (struct listener **at = &c->listeners; *at;) {
		struct listener *l = *at;
		ssize_t sent = (ssize_t)bytes.len;

		if (l->watches[stream].fd >= 0)
			sent = send(l->watches[stream].fd, bytes.ptr, bytes.len, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (sent == (ssize_t)bytes.len) {
			at = &l->next;
			continue;
		}
		*at = l->next; /* gone, or too slow: what it has is cut off here, rather than the container held up */
		listener_free(l);
	}
}

void listeners_close(struct container *c)
{
	while (c->listeners) {
		struct listener *l = c->listeners;

		c->listeners = l->next;
		listener_free(l);
	}
}

static bool listen_along(struct listener *l, enum log_stream stream, int *ret_asker, struct error *err)
{
	int pair[2], bytes = LISTENER_BYTES;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) < 0)
		return error_errno(err, errno, "cannot make a socket pair");
	(void)setsockopt(pair[0], SOL_SOCKET, SO_SNDBUF, &bytes, sizeof(bytes)); /* as much as the system allows */
	loop_watch(l->container->supervisor->loop, &l->watches[stream], pair[0], 0,
		   stream == LOG_STDOUT ? out_ready : err_ready);
	*ret_asker = pair[1];
	return true;
}

/* The container's own end, again: what is written needs no copying, and with stdinOnce its last end closes with the asker's. */
static bool share_stdin(struct container *c, int *ret_asker, struct error *err)
{
	int from = c->config.has_terminal ? c->outputs[LOG_STDOUT].watch.fd : c->stdin_fd;

	if (!c->config.has_stdin || from < 0)
		return true; /* it has none, or no more */
	*ret_asker = fcntl(from, F_DUPFD_CLOEXEC, 0);
	if (*ret_asker < 0)
		return error_errno(err, errno, "cannot share the standard input");
	if (c->config.has_stdin_once && !c->config.has_terminal)
		close_if(&c->stdin_fd);
	return true;
}

bool attach_asked(struct supervisor *s, const struct supervisor_request *r, struct error *err)
{
	struct container *c = container_running(s, r->name, r->attempt, err);
	struct listener *l;
	int asker[3] = { -1, -1, -1 };
	bool ok = true;

	if (!c)
		return false;
	l = base_calloc(1, sizeof(*l));
	l->container = c;
	l->watches[LOG_STDOUT].fd = l->watches[LOG_STDERR].fd = -1;
	if (r->stream.has_stdout)
		ok = listen_along(l, LOG_STDOUT, &asker[1], err);
	if (ok && r->stream.has_stderr && !c->config.has_terminal)
		ok = listen_along(l, LOG_STDERR, &asker[2], err);
	if (ok && r->stream.has_stdin)
		ok = share_stdin(c, &asker[0], err);
	if (!ok) {
		listener_free(l);
		ends_close(asker);
		return false;
	}
	l->next = c->listeners;
	c->listeners = l;
	answer_stream(s, r->id, SPAN(""), asker);
	return true;
}

/* ---- size of terminals ---- */

bool resize_asked(struct supervisor *s, const struct supervisor_request *r, struct error *err)
{
	struct winsize size = { .ws_col = (unsigned short)r->columns, .ws_row = (unsigned short)r->rows };
	int fd = -1;

	if (r->columns < 0 || r->columns > SIZE_MOST || r->rows < 0 || r->rows > SIZE_MOST)
		return error_set(err, ERROR_INVALID, "a terminal of %d x %d", r->columns, r->rows);
	if (r->stream_id.len) {
		for (struct command *c = s->commands; c; c = c->next) {
			if (span_equal(span_of(c->stream), r->stream_id))
				fd = c->slave_fd;
		}
	} else {
		struct container *c = container_find(s, r->name, r->attempt);

		fd = c ? c->slave_fd : -1;
	}
	if (fd < 0)
		return error_set(err, ERROR_NOT_FOUND, "there is no such terminal");
	(void)ioctl(fd, TIOCSWINSZ, &size); /* who has it in the foreground is told by SIGWINCH */
	supervisor_done(s, r->id);
	return true;
}
