/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nursery - a process that has loaded the code, and forks workers that share its memory.
 *
 * Its socket is SEQPACKET: one message, one line of JSON. Workers are asked for one after the other, and its answers
 * come in that order.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/log.h"
#include "workers/workers_private.h"

struct nursery {
	struct generation *generation;
	struct workers *workers;
	int fd, child_fd; /* -1: closed */
	pid_t pid;
	int pidfd;
	bool is_spawning, is_loaded, has_ended, is_ending;
	struct watch watch, pidfd_watch;
	struct timer timer;
	struct spawn spawn;
	struct process *births, **births_tail; /* asked for or to be, in order; linked by next_birth */
	bool is_asked;                         /* for the first of them */
	struct error failure;
};

static void nursery_ask(struct nursery *n);

static void socket_close(struct nursery *n)
{
	if (n->fd >= 0) {
		loop_unwatch(n->workers->loop, &n->watch);
		close(n->fd);
	}
	n->fd = -1;
}

static void nursery_signal(const struct nursery *n, int signal)
{
	if (n->pidfd >= 0 && !n->has_ended)
		(void)syscall(SYS_pidfd_send_signal, n->pidfd, signal, NULL, 0);
}

static void nursery_late(struct timer *t)
{
	struct nursery *n = CONTAINER_OF(t, struct nursery, timer);

	nursery_signal(n, SIGKILL);
}

static void load_late(struct timer *t)
{
	struct nursery *n = CONTAINER_OF(t, struct nursery, timer);
	struct workers *w = n->workers;

	error_set(&n->failure, ERROR_UNAVAILABLE, "the code was not loaded within %lld ms",
		  (long long)w->config.start_timeout_ms);
	nursery_signal(n, SIGABRT);
	loop_timer_set(w->loop, t, after_ms(w, ABORT_MS), nursery_late);
}

bool nursery_is_loaded(const struct nursery *n)
{
	return n->is_loaded && !n->is_ending && n->fd >= 0;
}

/* ---- births ---- */

static struct process *birth_take(struct nursery *n)
{
	struct process *p = n->births;

	if (!p)
		return NULL;
	n->births = p->next_birth;
	if (!n->births)
		n->births_tail = &n->births;
	p->next_birth = NULL;
	n->is_asked = false;
	return p;
}

static void births_fail(struct nursery *n)
{
	struct error why = n->failure;

	if (!why.code)
		error_set(&why, ERROR_UNAVAILABLE, "the process that had loaded the code has ended");
	for (struct process *p; (p = birth_take(n));)
		process_unborn(p, &why);
}

/* A byte, with a worker's descriptors (unix(7), SCM_RIGHTS). */
static bool fds_send(int fd, const int fds[WORKER_FDS])
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(WORKER_FDS * sizeof(int))];
	} control = { .bytes = { 0 } };
	size_t size = (fds[2] < 0 ? 2 : 3) * sizeof(int);
	char byte = 'w';
	struct iovec piece = { &byte, 1 };
	struct msghdr message = {
		.msg_iov = &piece, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = CMSG_SPACE(size)
	};
	struct cmsghdr *c = CMSG_FIRSTHDR(&message);

	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(size);
	memcpy(CMSG_DATA(c), fds, size);
	return sendmsg(fd, &message, MSG_NOSIGNAL) == 1;
}

/* One at a time: the socket holds it in any case. */
static void nursery_ask(struct nursery *n)
{
	if (!n->is_loaded || n->is_asked || !n->births || n->fd < 0)
		return;
	n->is_asked = true;
	if (!fds_send(n->fd, n->births->child_fds))
		nursery_signal(n, SIGKILL); /* its end tells those who wait */
}

void nursery_fork(struct nursery *n, struct process *p)
{
	p->next_birth = NULL;
	*n->births_tail = p;
	n->births_tail = &p->next_birth;
	nursery_ask(n);
}

void nursery_forget(struct nursery *n, struct process *p)
{
	for (struct process **link = &n->births; *link; link = &(*link)->next_birth)
		ASSERT(*link != p); /* it has been answered, or the nursery's end has */
}

static struct process *process_by_pid(const struct nursery *n, pid_t pid)
{
	struct process *p = n->workers->processes;

	while (p && !(p->pid == pid && p->generation == n->generation))
		p = p->next;
	return p;
}

/* ---- what it says ---- */

static void report_take(struct nursery *n, const struct worker_report *r)
{
	struct workers *w = n->workers;
	struct process *p;

	if (strcmp(r->state, "loaded") == 0 && !n->is_loaded) {
		n->is_loaded = true;
		loop_timer_clear(w->loop, &n->timer);
		log_info("workers", "the code is loaded", LOG_INT("pid", n->pid));
		nursery_ask(n);
		pool_settle(w);
	} else if (strcmp(r->state, "failed") == 0) {
		worker_report_failure(r, w->config.expose_errors, &n->failure);
		loop_timer_set(w->loop, &n->timer, after_ms(w, FAILED_MS), nursery_late);
	} else if (r->pid > 0 && n->is_asked) {
		p = birth_take(n);
		process_born(p, (pid_t)r->pid);
		nursery_ask(n);
	} else if (r->ended > 0) {
		p = process_by_pid(n, (pid_t)r->ended);
		if (p)
			process_ended(p, (int)r->status);
	}
}

static void nursery_read(struct nursery *n)
{
	AUTO_FREE char *line = base_alloc(CONTROL_LINE);
	ssize_t len;

	while (n->fd >= 0 && (len = recv(n->fd, line, CONTROL_LINE, 0)) != -1) {
		struct worker_report report;
		struct error err = { 0 };
		struct arena arena;

		if (len == 0) {
			socket_close(n);
			break;
		}
		arena_init(&arena, MIB(1));
		if (worker_report_read(span_from(line, (size_t)len), &report, &arena, &err))
			report_take(n, &report);
		else
			log_warn("workers", "the nursery wrote a line that is none of a nursery",
				 LOG_TEXT("why", err.message));
		arena_done(&arena);
	}
	if (n->fd >= 0 && errno == ECONNRESET)
		socket_close(n);
}

static void socket_ready(struct watch *watch, unsigned events)
{
	(void)events;
	nursery_read(CONTAINER_OF(watch, struct nursery, watch));
}

/* ---- its end ---- */

static void nursery_free(struct nursery *n)
{
	struct loop *l = n->workers->loop;

	socket_close(n);
	loop_timer_clear(l, &n->timer);
	if (n->pidfd >= 0) {
		if (!n->has_ended)
			loop_unwatch(l, &n->pidfd_watch);
		close(n->pidfd);
	}
	free(n);
}

/* Its workers go on without it: what they end with is not told any more. */
static void nursery_gone(struct nursery *n)
{
	struct generation *g = n->generation;
	struct workers *w = n->workers;
	struct error failure = n->failure;
	bool was_loaded = n->is_loaded;

	for (struct process *p = w->processes, *next; p; p = next) {
		next = p->next;
		if (p->generation == g && p->pid > 0)
			process_watch_end(p);
	}
	births_fail(n);
	if (!n->is_ending && was_loaded)
		log_error("workers", "the process that had loaded the code has ended", LOG_INT("pid", n->pid));
	if (!failure.code)
		error_set(&failure, ERROR_UNAVAILABLE, "the process that loads the code has ended");
	g->nursery = NULL;
	nursery_free(n);
	generation_nursery_gone(g, &failure, was_loaded);
}

static void pidfd_ready(struct watch *watch, unsigned events)
{
	struct nursery *n = CONTAINER_OF(watch, struct nursery, pidfd_watch);
	int status = 0;

	(void)events;
	nursery_read(n);
	if (waitpid(n->pid, &status, WNOHANG) != n->pid)
		status = 0;
	n->has_ended = true;
	loop_unwatch(n->workers->loop, &n->pidfd_watch);
	if (!n->failure.code && !n->is_loaded && WIFSIGNALED(status))
		error_set(&n->failure, ERROR_UNAVAILABLE, "the code was being loaded when signal %d (%s) came",
			  WTERMSIG(status), strsignal(WTERMSIG(status)));
	else if (!n->failure.code && !n->is_loaded)
		error_set(&n->failure, ERROR_UNAVAILABLE, "loading the code ended the process with status %d",
			  WEXITSTATUS(status));
	nursery_gone(n);
}

void nursery_end(struct nursery *n, bool is_hasty)
{
	struct workers *w = n->workers;

	if (n->is_ending && !is_hasty)
		return;
	n->is_ending = true;
	socket_close(n);
	if (is_hasty || !n->is_loaded)
		nursery_signal(n, SIGKILL);
	else
		loop_timer_set(w->loop, &n->timer, after_ms(w, w->config.graceful_timeout_ms), nursery_late);
}

/* ---- its start ---- */

static void spawned(struct spawn *job)
{
	struct nursery *n = CONTAINER_OF(job, struct nursery, spawn);

	n->is_spawning = false;
	if (n->child_fd >= 0)
		close(n->child_fd);
	n->child_fd = -1;
	if (job->pid < 0) {
		n->failure = job->error;
		nursery_gone(n);
		return;
	}
	n->pid = job->pid;
	n->pidfd = job->pidfd;
	loop_watch(n->workers->loop, &n->pidfd_watch, n->pidfd, LOOP_READ, pidfd_ready);
	if (n->is_ending)
		nursery_signal(n, SIGKILL);
}

struct nursery *nursery_start(struct generation *g)
{
	struct workers *w = g->workers;
	struct nursery *n = base_calloc(1, sizeof(*n));
	char text[40];
	const char *last[] = { text };
	int pair[2];

	n->generation = g;
	n->workers = w;
	n->fd = n->child_fd = n->pidfd = -1;
	n->births_tail = &n->births;
	n->is_spawning = true;
	n->spawn.done = spawned;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair)) {
		error_errno(&n->spawn.error, errno, "a socket pair for a nursery");
		spawn_refuse(w->spawner, &n->spawn);
		return n;
	}
	n->fd = pair[0];
	n->child_fd = pair[1];
	(void)fcntl(n->fd, F_SETFL, O_NONBLOCK);
	(void)snprintf(text, sizeof(text), "HYTHE_NURSERY_FD=%d", pair[1]);
	loop_watch(w->loop, &n->watch, n->fd, LOOP_READ, socket_ready);
	loop_timer_set(w->loop, &n->timer, after_ms(w, w->config.start_timeout_ms), load_late);
	n->spawn.argv = w->config.argv;
	n->spawn.environment = spawn_environment(w->config.environment, last, 1);
	n->spawn.fds[0] = n->spawn.failure_fd = pair[1];
	n->spawn.fds[1] = n->spawn.fds[2] = -1;
	spawn_start(w->spawner, &n->spawn);
	return n;
}
