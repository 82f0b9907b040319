/* SPDX-License-Identifier: Apache-2.0 */
/* control - the pipe on which a worker says how it is. */
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "base/log.h"
#include "base/random.h"
#include "workers/workers_private.h"

void process_failed(struct process *p, const struct error *why)
{
	if (p->state == PROCESS_STARTING && !p->failure.code)
		p->failure = *why;
}

void process_is_ready(struct process *p)
{
	struct workers *w = p->workers;
	size_t jitter = w->config.max_requests_jitter;

	if (p->state != PROCESS_STARTING || !p->slots)
		return;
	loop_timer_clear(w->loop, &p->timer);
	p->state = PROCESS_READY;
	p->ready_ns = loop_now(w->loop);
	if (w->config.max_requests)
		p->served_most = w->config.max_requests + (jitter ? random_fast() % (jitter + 1) : 0);
	log_info("workers", "worker is ready", LOG_INT("pid", p->pid), LOG_TEXT("kind", p->kind),
		 LOG_TEXT("text", p->text), LOG_INT("slots", p->slots));
	generation_ready(p->generation, p);
	giver_ready(p->giver);
	pool_settle(w);
	pool_dispatch(w);
}

static void hello_late(struct timer *t)
{
	process_is_ready(CONTAINER_OF(t, struct process, timer));
}

static void ready_take(struct process *p, const struct worker_report *report)
{
	struct workers *w = p->workers;

	if (p->state != PROCESS_STARTING)
		return;
	p->slots = (unsigned)MIN(MAX(report->slots, 1), 1000000);
	memcpy(p->kind, report->kind, sizeof(p->kind));
	memcpy(p->text, report->text, sizeof(p->text));
	/* It says so on another socket that it takes connections. */
	if (giver_is_expected(p->giver))
		loop_timer_set(w->loop, &p->timer, after_ms(w, HELLO_MS), hello_late);
	else
		process_is_ready(p);
}

static void failed_late(struct timer *t)
{
	process_kill(CONTAINER_OF(t, struct process, timer), CAUSE_START);
}

static void control_line(struct process *p, struct span line)
{
	struct worker_report report;
	struct error err = { 0 };
	struct arena arena;

	arena_init(&arena, MIB(1));
	if (!worker_report_read(line, &report, &arena, &err)) {
		log_warn("workers", "a worker wrote a line that is none of a worker", LOG_INT("pid", p->pid),
			 LOG_TEXT("why", err.message));
	} else if (strcmp(report.state, "ready") == 0) {
		ready_take(p, &report);
	} else if (strcmp(report.state, "failed") == 0) {
		worker_report_failure(&report, p->workers->config.expose_errors, &err);
		process_failed(p, &err);
		if (p->state == PROCESS_STARTING)
			loop_timer_set(p->workers->loop, &p->timer, after_ms(p->workers, FAILED_MS), failed_late);
	}
	arena_done(&arena);
}

void control_close(struct process *p)
{
	if (p->control_fd < 0)
		return;
	loop_unwatch(p->workers->loop, &p->control_watch);
	close(p->control_fd);
	p->control_fd = -1;
}

/* All that is there. A line too long is passed over in pieces, which are no lines of a worker. */
void control_read(struct process *p)
{
	struct buffer *text = &p->control_text;
	char piece[4096];
	ssize_t n;

	while (p->control_fd >= 0 && (n = read(p->control_fd, piece, sizeof(piece))) != -1) {
		char *end;

		if (n == 0) {
			control_close(p);
			break;
		}
		buffer_append(text, span_from(piece, (size_t)n));
		while ((end = text->len ? memchr(text->ptr, '\n', text->len) : NULL)) {
			size_t len = (size_t)(end - text->ptr);

			if (len)
				control_line(p, span_from(text->ptr, len));
			buffer_drop(text, len + 1);
		}
		if (text->overflow || text->len >= CONTROL_LINE)
			buffer_clear(text);
	}
}

static void control_ready(struct watch *watch, unsigned events)
{
	(void)events;
	control_read(CONTAINER_OF(watch, struct process, control_watch));
}

bool control_open(struct process *p, struct error *err)
{
	int ends[2];

	if (pipe2(ends, O_CLOEXEC))
		return error_errno(err, errno, "a pipe for a worker");
	(void)fcntl(ends[0], F_SETFL, O_NONBLOCK);
	p->control_fd = ends[0];
	p->child_fds[1] = ends[1];
	loop_watch(p->workers->loop, &p->control_watch, p->control_fd, LOOP_READ, control_ready);
	return true;
}
