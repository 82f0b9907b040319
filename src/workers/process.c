/* SPDX-License-Identifier: Apache-2.0 */
/* process - one worker from its start to its end: signals, limits. */
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

static void process_finish(struct process *p);

/* ---- signals ---- */

static void process_signal(const struct process *p, int signal)
{
	if (p->pidfd >= 0 && !p->has_ended)
		(void)syscall(SYS_pidfd_send_signal, p->pidfd, signal, NULL, 0); /* ended already is as good */
}

/* With the processes it started, if it has a group of its own. */
static void group_kill(const struct process *p)
{
	if (p->pid > 0 && getpgid(p->pid) == p->pid)
		(void)kill(-p->pid, SIGKILL);
}

/* ---- leaving service ---- */

static bool is_ill(enum cause cause)
{
	return cause != CAUSE_REQUESTS && cause != CAUSE_RELOAD && cause != CAUSE_STOP;
}

/* The first thing on every way out of STARTING and READY. */
static void process_leave(struct process *p, enum process_state state, enum cause cause)
{
	struct workers *w = p->workers;
	int64_t now = loop_now(w->loop);

	loop_timer_clear(w->loop, &p->timer);
	if (!p->has_cause) {
		p->has_cause = true;
		p->cause = cause;
		if (is_ill(cause))
			backoff_died(&w->backoff, now, p->ready_ns ? now - p->ready_ns : 0);
	}
	p->state = MAX(p->state, state);
	pool_settle(w);
}

static void killed_late(struct timer *t)
{
	struct process *p = CONTAINER_OF(t, struct process, timer);

	process_kill(p, CAUSE_TIMEOUT);
}

static void ended_late(struct timer *t)
{
	struct process *p = CONTAINER_OF(t, struct process, timer);

	process_abort(p, CAUSE_TIMEOUT);
}

/* Its channel has ended, and it has not: what it had is told now. */
static void status_late(struct timer *t)
{
	struct process *p = CONTAINER_OF(t, struct process, timer);

	proxies_mourn(p);
	process_abort(p, CAUSE_EXIT);
}

/* The process has ended, and something else holds its channel open. */
static void channel_late(struct timer *t)
{
	struct process *p = CONTAINER_OF(t, struct process, timer);

	client_free(TAKE(p->client));
	proxies_mourn(p);
	process_finish(p);
}

/* It was killed, and its nursery does not say so, or not that it was born. */
static void untold(struct timer *t)
{
	struct process *p = CONTAINER_OF(t, struct process, timer);

	if (p->pid > 0)
		process_watch_end(p);
	else
		nursery_end(p->generation->nursery, true);
}

void process_kill(struct process *p, enum cause cause)
{
	process_leave(p, PROCESS_ENDING, cause);
	if (p->has_ended)
		return;
	group_kill(p);
	process_signal(p, SIGKILL);
	if (p->generation->nursery)
		loop_timer_set(p->workers->loop, &p->timer, after_ms(p->workers, TOLD_MS), untold);
}

void process_abort(struct process *p, enum cause cause)
{
	process_leave(p, PROCESS_ENDING, cause);
	if (p->has_ended)
		return;
	process_signal(p, SIGABRT);
	loop_timer_set(p->workers->loop, &p->timer, after_ms(p->workers, ABORT_MS), killed_late);
}

void process_end(struct process *p, enum cause cause)
{
	struct workers *w = p->workers;
	bool was_ready = p->state != PROCESS_STARTING;

	process_leave(p, PROCESS_ENDING, cause);
	giver_end(p->giver);
	client_free(TAKE(p->client));
	if (p->has_ended)
		process_finish(p);
	else if (was_ready)
		loop_timer_set(w->loop, &p->timer, after_ms(w, w->config.graceful_timeout_ms), ended_late);
	else
		process_kill(p, cause); /* it has nothing to bring to an end */
}

void process_retired(struct process *p)
{
	if (p->is_hung)
		process_abort(p, CAUSE_TIMEOUT);
	else
		process_end(p, p->cause);
}

static void retired_late(struct timer *t)
{
	struct process *p = CONTAINER_OF(t, struct process, timer);

	process_abort(p, CAUSE_TIMEOUT);
}

void process_retire(struct process *p, enum cause cause)
{
	struct workers *w = p->workers;

	if (p->state == PROCESS_STARTING) {
		process_kill(p, cause);
		return;
	}
	if (p->state != PROCESS_READY)
		return;
	process_leave(p, PROCESS_RETIRING, cause);
	giver_release(p->giver);
	if (p->in_flight == 0 && giver_is_done(p->giver))
		process_retired(p);
	else
		loop_timer_set(w->loop, &p->timer, after_ms(w, w->config.graceful_timeout_ms), retired_late);
}

static size_t served_by(const struct process *p)
{
	return p->served + giver_served(p->giver);
}

void process_note_served(struct process *p)
{
	if (p->state != PROCESS_READY || !p->served_most || p->is_due || served_by(p) < p->served_most)
		return;
	p->is_due = true;
	pool_settle(p->workers);
}

void process_released(struct process *p)
{
	struct workers *w = p->workers;

	ASSERT(p->in_flight > 0);
	p->in_flight--;
	p->served++;
	process_note_served(p);
	if (p->state == PROCESS_RETIRING && p->in_flight == 0) {
		pool_settle(w); /* which ends it: not here, for this may be its channel's own callback */
	}
	if (w->queue_first)
		pool_dispatch(w);
}

/* ---- limits ---- */

static void requests_late(struct timer *t)
{
	struct process *p = CONTAINER_OF(t, struct process, request_timer);
	bool is_hung = false;
	int64_t next = proxies_check(p, loop_now(p->workers->loop), &is_hung);

	if (next != INT64_MAX)
		loop_timer_set(p->workers->loop, &p->request_timer, next, requests_late);
	if (is_hung && !p->is_hung) {
		p->is_hung = true;
		proxies_take_back(p);
		process_retire(p, CAUSE_TIMEOUT);
	}
}

void process_time_requests(struct process *p)
{
	struct workers *w = p->workers;

	if (w->config.timeout_ms > 0 && !timer_is_set(&p->request_timer))
		loop_timer_set(w->loop, &p->request_timer, after_ms(w, w->config.timeout_ms), requests_late);
}

/* proc(5): the second number of statm is the resident set, in pages. */
static uint64_t resident_bytes(pid_t pid)
{
	char path[32], text[128];
	unsigned long long pages = 0;
	AUTO_CLOSE int fd = -1;
	struct span rest;
	ssize_t n;

	(void)snprintf(path, sizeof(path), "/proc/%d/statm", (int)pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	n = fd < 0 ? -1 : read(fd, text, sizeof(text));
	if (n <= 0)
		return 0;
	rest = span_from(text, (size_t)n);
	(void)span_cut(&rest, ' ');
	rest = span_cut(&rest, ' ');
	for (size_t i = 0; i < rest.len; i++)
		pages = pages * 10 + (unsigned)(rest.ptr[i] - '0');
	return pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

void process_check_memory(struct process *p)
{
	uint64_t bytes;

	if (p->state != PROCESS_READY || p->pid <= 0)
		return;
	bytes = resident_bytes(p->pid);
	if (bytes <= p->workers->config.rss_limit)
		return;
	log_warn("workers", "worker is over its memory limit: it is replaced when its requests are answered",
		 LOG_INT("pid", p->pid), LOG_INT("rss", bytes), LOG_INT("limit", p->workers->config.rss_limit));
	process_retire(p, CAUSE_MEMORY);
}

/* ---- its end ---- */

static void end_words(const struct process *p, struct error *ret)
{
	int status = p->wait_status;

	if (!p->has_ended || status == -1)
		error_set(ret, ERROR_BAD_GATEWAY, "worker %d closed its channel", (int)p->pid);
	else if (WIFSIGNALED(status))
		error_set(ret, ERROR_BAD_GATEWAY, "worker %d was killed by signal %d (%s)", (int)p->pid,
			  WTERMSIG(status), strsignal(WTERMSIG(status)));
	else
		error_set(ret, ERROR_BAD_GATEWAY, "worker %d exited with status %d", (int)p->pid, WEXITSTATUS(status));
}

void process_obituary(const struct process *p, struct error *ret)
{
	end_words(p, ret);
	if (!p->has_cause)
		return;
	if (p->is_hung)
		error_wrap(ret, "another request passed the time limit of %lld ms",
			   (long long)p->workers->config.timeout_ms);
	else if (p->cause == CAUSE_MEMORY || p->cause == CAUSE_REQUESTS || p->cause == CAUSE_RELOAD)
		error_wrap(ret, "the request took longer than the %lld ms a retiring worker has",
			   (long long)p->workers->config.graceful_timeout_ms);
}

static void process_log_end(const struct process *p)
{
	static const char *const causes[CAUSE_COUNT] = {
		[CAUSE_EXIT] = "exit",       [CAUSE_SIGNAL] = "signal", [CAUSE_START] = "start",
		[CAUSE_TIMEOUT] = "timeout", [CAUSE_MEMORY] = "memory", [CAUSE_REQUESTS] = "max-requests",
		[CAUSE_RELOAD] = "reload",   [CAUSE_STOP] = "stop",
	};
	struct error words = { 0 };

	end_words(p, &words);
	if (is_ill(p->cause))
		log_error("workers", words.message, LOG_TEXT("cause", causes[p->cause]),
			  LOG_INT("requests", served_by(p)));
	else
		log_info("workers", words.message, LOG_TEXT("cause", causes[p->cause]),
			 LOG_INT("requests", served_by(p)));
}

static void process_unlink(struct process *p)
{
	struct process **link = &p->workers->processes;

	while (*link != p)
		link = &(*link)->next;
	*link = p->next;
}

static void process_free(struct process *p)
{
	struct workers *w = p->workers;
	struct generation *g = p->generation;

	ASSERT(!p->client && !p->proxies && !p->mourners && p->in_flight == 0);
	process_unlink(p);
	loop_timer_clear(w->loop, &p->timer);
	loop_timer_clear(w->loop, &p->request_timer);
	control_close(p);
	giver_free(p->giver);
	if (p->watches_pidfd)
		loop_unwatch(w->loop, &p->pidfd_watch);
	for (size_t i = 0; i < ARRAY_LEN(p->child_fds); i++)
		if (p->child_fds[i] >= 0)
			close(p->child_fds[i]);
	if (p->pidfd >= 0)
		close(p->pidfd);
	if (g->nursery)
		nursery_forget(g->nursery, p);
	buffer_done(&p->control_text);
	free(p);
	g->process_count--;
	generation_drop(g);
	pool_settle(w);
}

/* Process and channel have ended. */
static void process_finish(struct process *p)
{
	struct workers *w = p->workers;
	struct generation *g = p->generation;
	bool never_ready = p->ready_ns == 0 && p->cause != CAUSE_STOP && p->cause != CAUSE_RELOAD;
	struct error failure = p->failure;

	ASSERT(p->has_ended && !p->client);
	if (p->cause == CAUSE_EXIT && p->wait_status != -1 && WIFSIGNALED(p->wait_status))
		p->cause = CAUSE_SIGNAL;
	if (p->pid > 0)
		process_log_end(p);
	metric_add(w->restarts[p->cause], 1);
	if (never_ready && !failure.code) {
		process_obituary(p, &failure);
		error_wrap(&failure, "the worker did not start");
		failure.code = ERROR_UNAVAILABLE;
	}
	if (never_ready)
		w->start_failure = failure;
	process_free(p);
	if (never_ready && g == w->coming)
		generation_failed(g, &failure);
}

void process_ended(struct process *p, int wait_status)
{
	struct workers *w = p->workers;

	if (p->has_ended)
		return;
	control_read(p); /* why, perhaps */
	process_leave(p, PROCESS_ENDING, p->ready_ns ? CAUSE_EXIT : CAUSE_START);
	p->has_ended = true;
	p->wait_status = wait_status;
	if (p->watches_pidfd) {
		loop_unwatch(w->loop, &p->pidfd_watch);
		p->watches_pidfd = false;
	}
	giver_mourn(p->giver);
	if (p->client) {
		/* What it has answered may still be on its way. */
		loop_timer_set(w->loop, &p->timer, after_ms(w, STATUS_MS), channel_late);
		return;
	}
	proxies_mourn(p);
	process_finish(p);
}

static void lost(struct client *c, const struct error *why)
{
	struct process *p = client_owner(c);
	struct workers *w = p->workers;

	(void)why;
	client_free(TAKE(p->client));
	if (p->has_ended) {
		proxies_mourn(p);
		process_finish(p);
		return;
	}
	if (p->state == PROCESS_ENDING)
		return; /* a timer is set */
	process_leave(p, PROCESS_ENDING, p->ready_ns ? CAUSE_EXIT : CAUSE_START);
	loop_timer_set(w->loop, &p->timer, after_ms(w, STATUS_MS), status_late);
}

static void pidfd_ready(struct watch *watch, unsigned events)
{
	struct process *p = CONTAINER_OF(watch, struct process, pidfd_watch);
	siginfo_t info = { 0 };
	int status = -1;

	(void)events;
	/* Not reaped yet, so that its number still stands for it and its group. */
	if (waitid(P_PIDFD, (id_t)p->pidfd, &info, WEXITED | WNOWAIT | WNOHANG) == 0 && info.si_pid) {
		if (info.si_code != CLD_EXITED)
			group_kill(p);
		if (waitpid(p->pid, &status, WNOHANG) != p->pid)
			status = -1;
	}
	process_ended(p, status);
}

void process_watch_end(struct process *p)
{
	if (p->watches_pidfd || p->has_ended)
		return;
	if (p->pidfd < 0) {
		process_ended(p, -1); /* it had gone when it was told of */
		return;
	}
	p->watches_pidfd = true;
	loop_watch(p->workers->loop, &p->pidfd_watch, p->pidfd, LOOP_READ, pidfd_ready);
}

/* ---- its start ---- */

static void start_late(struct timer *t)
{
	struct process *p = CONTAINER_OF(t, struct process, timer);
	struct error err = { 0 };

	error_set(&err, ERROR_UNAVAILABLE, "worker %d was not ready within %lld ms", (int)p->pid,
		  (long long)p->workers->config.start_timeout_ms);
	process_failed(p, &err);
	process_abort(p, CAUSE_START);
	if (p->pid == 0 && p->generation->nursery)
		nursery_end(p->generation->nursery, true); /* which should have forked it */
}

static void child_fds_close(struct process *p)
{
	for (size_t i = 0; i < ARRAY_LEN(p->child_fds); i++) {
		if (p->child_fds[i] >= 0)
			close(p->child_fds[i]);
		p->child_fds[i] = -1;
	}
}

void process_born(struct process *p, pid_t pid)
{
	p->pid = pid;
	if (p->pidfd < 0)
		p->pidfd = process_descriptor(pid);
	child_fds_close(p);
	log_debug("workers", "worker is starting", LOG_INT("pid", pid));
	if (p->state == PROCESS_ENDING)
		process_kill(p, p->cause);
}

void process_unborn(struct process *p, const struct error *why)
{
	process_failed(p, why);
	child_fds_close(p);
	client_free(TAKE(p->client));
	process_ended(p, -1);
}

static void spawned(struct spawn *job)
{
	struct process *p = CONTAINER_OF(job, struct process, spawn);

	p->is_spawning = false;
	if (job->pid < 0) {
		process_unborn(p, &job->error);
		return;
	}
	p->pidfd = job->pidfd;
	process_born(p, job->pid);
	process_watch_end(p);
}

static void process_spawn(struct process *p)
{
	const struct workers_config *config = &p->workers->config;
	char channel[40], control[40], direct[40];
	const char *last[] = { channel, control, direct };

	(void)snprintf(channel, sizeof(channel), "HYTHE_CHANNEL_FD=%d", p->child_fds[0]);
	(void)snprintf(control, sizeof(control), "HYTHE_CONTROL_FD=%d", p->child_fds[1]);
	(void)snprintf(direct, sizeof(direct), "HYTHE_DIRECT_FD=%d", p->child_fds[2]);
	p->spawn = (struct spawn){
		.argv = config->argv,
		.environment = spawn_environment(config->environment, last, p->giver ? 3 : 2),
		.fds = { p->child_fds[0], p->child_fds[1], p->child_fds[2] },
		.failure_fd = p->child_fds[1],
		.done = spawned,
	};
	p->is_spawning = true;
	spawn_start(p->workers->spawner, &p->spawn);
}

/* The channel and the control pipe; false when there are no descriptors left. */
static bool process_connect(struct process *p, struct error *err)
{
	static const struct client_ops ops = { .lost = lost };
	int channel[2];

	if (!control_open(p, err) || !giver_new(p, err))
		return false;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, channel))
		return error_errno(err, errno, "a socket pair for a worker");
	p->child_fds[0] = channel[1];
	p->client = client_new(p->workers->loop, channel[0], &ops, p);
	return true;
}

struct process *process_start(struct workers *w, struct generation *g, unsigned index)
{
	struct process *p = base_calloc(1, sizeof(*p));

	p->workers = w;
	p->generation = g;
	p->index = index;
	p->pidfd = p->control_fd = p->child_fds[0] = p->child_fds[1] = p->child_fds[2] = p->wait_status = -1;
	p->next = w->processes;
	w->processes = p;
	g->process_count++;
	buffer_init(&p->control_text, (size_t)2 * CONTROL_LINE);
	if (!process_connect(p, &p->spawn.error)) {
		p->spawn.done = spawned;
		p->is_spawning = true;
		spawn_refuse(w->spawner, &p->spawn);
		return p;
	}
	loop_timer_set(w->loop, &p->timer, after_ms(w, w->config.start_timeout_ms), start_late);
	if (g->nursery)
		nursery_fork(g->nursery, p);
	else
		process_spawn(p);
	return p;
}
