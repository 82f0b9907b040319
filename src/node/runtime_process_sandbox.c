/* SPDX-License-Identifier: Apache-2.0 */
/* runtime_process_sandbox - a supervisor as seen from here: called, listened to, found dead. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "node/cni.h"
#include "node/runtime_process_private.h"
#include "node/sandbox_status.h"

enum { ARENA_BYTES_MOST = 64 << 20, BEGINS_MOST = 3, CALLS_MOST = 500 };
#define HELLO_NS   INT64_C(10000000000) /* a supervisor says hello, or is taken for hung */
#define CALL_NS    INT64_C(20000000)    /* between calls of one that has the lock and does not listen yet */
#define CLOSING_NS INT64_C(200000000)   /* one that has closed its connection ends, or is called again */

static void connection_ready(struct watch *w, unsigned events);
static void dead(struct sandbox *s);

/* ---- commands of exec ---- */

static void stream_forget(struct stream_begun **at)
{
	struct stream_begun *b = *at;

	*at = b->next;
	free(b);
}

static void stream_remember(struct sandbox *s, struct span id)
{
	struct stream_begun *b = base_calloc(1, sizeof(*b));

	snprintf(b->id, sizeof(b->id), "%.*s", (int)MIN(id.len, sizeof(b->id) - 1), id.ptr);
	b->next = s->streams;
	s->streams = b;
}

static void tell_ended(struct sandbox *s, struct span id, int exit_code)
{
	const struct runtime_events *e = &s->runtime->events;

	for (struct stream_begun **at = &s->streams; *at; at = &(*at)->next) {
		if (span_equal(span_of((*at)->id), id)) {
			stream_forget(at);
			break;
		}
	}
	if (e->ended && s->uid)
		e->ended(e->context, span_of(s->uid), id, exit_code);
}

/* Who could tell how they end is gone: as if they had been killed, which they were if it has died. */
static void streams_lost(struct sandbox *s)
{
	while (s->streams) {
		struct stream_begun b = *s->streams;

		tell_ended(s, span_of(b.id), 128 + SIGKILL);
	}
}

/* ---- life ---- */

struct sandbox *sandbox_new(struct runtime_process *r, struct span folder, struct span uid)
{
	struct sandbox *s = base_calloc(1, sizeof(*s));

	s->runtime = r;
	s->folder = span_to_text(folder);
	s->uid = uid.len ? span_to_text(uid) : NULL;
	s->channel.fd = s->pidfd = s->ended.fd = -1;
	s->calls_tail = &s->calls;
	s->next = r->sandboxes;
	r->sandboxes = s;
	return s;
}

static void connection_drop(struct sandbox *s)
{
	if (s->channel.fd < 0)
		return;
	loop_unwatch(s->runtime->loop, &s->watch);
	channel_done(&s->channel);
}

static void process_forget(struct sandbox *s)
{
	if (s->ended.fd >= 0)
		loop_unwatch(s->runtime->loop, &s->ended);
	if (s->pidfd >= 0)
		close(s->pidfd);
	s->pidfd = s->ended.fd = -1;
	s->pid = 0;
}

void sandbox_free(struct sandbox *s)
{
	spawner_link_forget(s->runtime, s);
	loop_timer_clear(s->runtime->loop, &s->timer);
	connection_drop(s);
	process_forget(s);
	ASSERT(!s->calls);
	while (s->streams)
		stream_forget(&s->streams);
	free(s->kept);
	free(s->folder);
	free(s->uid);
	free(s);
}

struct sandbox *sandbox_find(struct runtime_process *r, struct span uid)
{
	for (struct sandbox *s = r->sandboxes; s; s = s->next) {
		if (s->life != SANDBOX_GONE && s->uid && span_equal(span_of(s->uid), uid))
			return s;
	}
	return NULL;
}

/* ---- what it is told ---- */

static void send_text(struct sandbox *s, struct span text)
{
	struct error ignored = { 0 };

	/* One that can't be sent to has ended, and its watch says so: the calls that are sent are failed then. */
	if (channel_send(&s->channel, text, NULL, 0, &ignored) && channel_flush(&s->channel, &ignored))
		loop_watch_change(s->runtime->loop, &s->watch,
				  channel_is_unsent(&s->channel) ? LOOP_READ | LOOP_WRITE : LOOP_READ);
	else
		shutdown(s->channel.fd, SHUT_RDWR);
}

static void send_waiting(struct sandbox *s)
{
	for (struct call *c = s->calls; c && s->life == SANDBOX_LIVE && !s->is_ending; c = c->next) {
		if (c->is_sent)
			continue;
		c->is_sent = true;
		s->is_ending = c->kind == CALL_END || c->kind == CALL_REMOVE;
		send_text(s, buffer_span(&c->text));
	}
}

void sandbox_ask(struct sandbox *s, struct call *c)
{
	*s->calls_tail = c;
	s->calls_tail = &c->next;
	send_waiting(s);
}

static void greet(struct sandbox *s)
{
	const struct supervisor_request hello = { .id = ++s->runtime->last_id,
						  .op = SPAN("hello"),
						  .version = SUPERVISOR_VERSION };
	struct buffer text;

	buffer_init(&text, KIB(4));
	supervisor_request_write(&hello, &text);
	send_text(s, buffer_span(&text));
	buffer_done(&text);
}

/* ---- calls that end with it ---- */

static struct call *take_first(struct sandbox *s)
{
	struct call *c = s->calls;

	s->calls = c->next;
	if (!s->calls)
		s->calls_tail = &s->calls;
	return c;
}

static struct call *take_call(struct sandbox *s, int64_t id)
{
	for (struct call **at = &s->calls; *at; at = &(*at)->next) {
		struct call *c = *at;

		if (c->id != id || !c->is_sent)
			continue;
		*at = c->next;
		if (s->calls_tail == &c->next)
			s->calls_tail = at;
		return c;
	}
	return NULL;
}

/* Those that were sent get no answer any more; but the end of a sandbox is what has come. */
static void sent_calls_fail(struct sandbox *s)
{
	const struct error died = { ERROR_UNAVAILABLE, "the sandbox has died" };
	struct call *kept = NULL, **tail = &kept;

	while (s->calls) {
		struct call *c = take_first(s);

		c->next = NULL;
		if (c->is_sent && c->kind != CALL_END && c->kind != CALL_REMOVE) {
			call_finish_later(s->runtime, c, &died);
		} else {
			*tail = c;
			tail = &c->next;
		}
	}
	s->calls = kept;
	s->calls_tail = kept ? tail : &s->calls;
}

/* What was asked on a connection that is gone gets no answer from one that goes on. Asked for twice it is done once, but a command of exec. */
static void sent_calls_again(struct sandbox *s)
{
	const struct error lost = { ERROR_UNAVAILABLE, "the connection to the pod's supervisor was lost" };
	struct call **at = &s->calls;

	while (*at) {
		struct call *c = *at;

		if (c->is_sent && c->kind == CALL_STREAM) {
			*at = c->next;
			call_finish_later(s->runtime, c, &lost);
		} else {
			c->is_sent = false;
			at = &c->next;
		}
	}
	s->calls_tail = at;
}

static void answered_beginning(struct sandbox *s)
{
	if (!s->is_found)
		return;
	s->is_found = false;
	s->runtime->unanswered--;
	loop_defer(s->runtime->loop, &s->runtime->task);
}

static void gone(struct sandbox *s)
{
	connection_drop(s);
	process_forget(s);
	loop_timer_clear(s->runtime->loop, &s->timer);
	s->life = SANDBOX_GONE;
	loop_defer(s->runtime->loop, &s->runtime->task); /* freed there: somebody may be in its middle */
	answered_beginning(s);
}

bool sandbox_clear(struct sandbox *s, struct error *err)
{
	const struct confine_host host = { .group_root = span_of(s->runtime->group_root) };
	const struct cni_place networks = cni_place_default();
	struct sandbox_record record;
	struct error none = { 0 };
	struct arena arena;
	int fd = sandbox_open(span_of(s->folder), false, &none);

	arena_init(&arena, ARENA_BYTES_MOST);
	if (fd >= 0 && sandbox_recorded(fd, &arena, &record, &none))
		enclosure_sweep(&host, &record.config);
	arena_done(&arena);
	if (fd >= 0) {
		cni_sweep(&networks, fd, s->runtime->owed_networks);
		close(fd);
	}
	return sandbox_erase(span_of(s->folder), err);
}

/* Nothing of it runs. In order: what was asked for before the end has failed, then comes the end, then a new beginning. */
static void after_death(struct sandbox *s, const struct error *why)
{
	bool is_removed = false;

	while (s->calls && s->calls->kind != CALL_RUN) {
		struct call *c = take_first(s);
		struct error err = { 0 };

		if (c->kind == CALL_END) {
			call_finish_later(s->runtime, c, NULL);
		} else if (c->kind == CALL_REMOVE) {
			is_removed = sandbox_clear(s, &err);
			s->has_status = s->has_status && !is_removed;
			call_finish_later(s->runtime, c, is_removed ? NULL : &err);
		} else {
			call_finish_later(s->runtime, c, why);
		}
	}
	if (s->calls) {
		sandbox_begin(s);
	} else if (is_removed || !s->has_status) {
		struct error ignored = { 0 };

		if (!is_removed) /* nobody knows of it, so nobody removes it */
			(void)sandbox_clear(s, &ignored);
		gone(s);
	}
}

static void tell(struct sandbox *s)
{
	const struct runtime_events *e = &s->runtime->events;

	if (e->changed && s->has_status)
		e->changed(e->context, &s->status);
}

static void status_keep(struct sandbox *s, const struct sandbox_status *status)
{
	free(s->kept);
	s->kept = sandbox_status_copy(status);
	s->status = *s->kept;
	s->has_status = true;
	if (!s->uid)
		s->uid = span_to_text(status->uid);
}

static void load_status(struct sandbox *s)
{
	struct error err = { 0 };
	struct sandbox_status status;
	struct arena arena;
	int fd = sandbox_open(span_of(s->folder), false, &err);

	arena_init(&arena, ARENA_BYTES_MOST);
	if (fd >= 0 && sandbox_load(fd, true, clock_wall_ns(), &arena, &status, &err))
		status_keep(s, &status);
	arena_done(&arena);
	s->status.is_ready = false;
	if (fd >= 0)
		close(fd);
}

static void dead(struct sandbox *s)
{
	const struct error died = { ERROR_UNAVAILABLE, "the sandbox has died" };

	connection_drop(s);
	process_forget(s);
	spawner_link_forget(s->runtime, s);
	loop_timer_clear(s->runtime->loop, &s->timer);
	s->life = SANDBOX_DEAD;
	s->is_ending = s->is_locked = false;
	s->tries = 0;
	load_status(s);
	tell(s);
	answered_beginning(s);
	sent_calls_fail(s);
	after_death(s, &died);
}

void sandbox_failed(struct sandbox *s, const struct error *err)
{
	connection_drop(s);
	process_forget(s);
	spawner_link_forget(s->runtime, s);
	loop_timer_clear(s->runtime->loop, &s->timer);
	s->life = SANDBOX_DEAD;
	s->tries = 0;
	answered_beginning(s);
	while (s->calls && s->calls->kind == CALL_RUN)
		call_finish_later(s->runtime, take_first(s), err);
	after_death(s, err);
}

/* ---- its connection ends ---- */

static void process_ended(struct watch *w, unsigned events)
{
	(void)events;
	dead(CONTAINER_OF(w, struct sandbox, ended));
}

static void still_there(struct timer *t)
{
	struct sandbox *s = CONTAINER_OF(t, struct sandbox, timer);

	s->tries = 0;
	sandbox_call(s);
}

/* A hello never came: of one that could not be made, or found another one's lock, or was found dead. */
static void not_greeted(struct sandbox *s)
{
	struct error err = { ERROR_UNAVAILABLE, "the pod's supervisor ended before it began" };

	spawner_link_forget(s->runtime, s);
	if (s->is_locked || s->is_found)
		sandbox_call(s);
	else if (++s->tries < BEGINS_MOST)
		sandbox_begin(s);
	else
		sandbox_failed(s, &err);
}

static void closed(struct sandbox *s)
{
	connection_drop(s);
	loop_timer_clear(s->runtime->loop, &s->timer);
	if (s->life == SANDBOX_CONNECTING) {
		not_greeted(s);
		return;
	}
	s->life = SANDBOX_CLOSING;
	streams_lost(s);
	/* Its process ends in a moment, and its containers with it; before that nothing of it is told to have ended. */
	if (s->pidfd >= 0)
		loop_watch(s->runtime->loop, &s->ended, s->pidfd, LOOP_READ, process_ended);
	loop_timer_set(s->runtime->loop, &s->timer, loop_now(s->runtime->loop) + CLOSING_NS, still_there);
}

static void hung(struct timer *t)
{
	struct sandbox *s = CONTAINER_OF(t, struct sandbox, timer);
	struct ucred peer;
	socklen_t size = sizeof(peer);

	log_warn("node", "a pod's supervisor does not answer: it is killed", LOG_TEXT("folder", s->folder));
	if (s->pid > 0)
		(void)kill(s->pid, SIGKILL);
	else if (getsockopt(s->channel.fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 && peer.pid > 0 &&
		 peer.pid != getpid())
		(void)kill(peer.pid, SIGKILL);
	closed(s);
}

/* ---- what it tells ---- */

static bool hello(struct sandbox *s, const struct supervisor_reply *r, struct error *err)
{
	if (r->version != SUPERVISOR_VERSION || r->pid <= 0 || r->pid > INT32_MAX)
		return error_set(err, ERROR_INVALID, "a supervisor speaks version %lld, not %d", (long long)r->version,
				 SUPERVISOR_VERSION);
	if (!s->uid && r->status.uid.len == 0) {
		dead(s); /* it was never told what to run, and ends when nobody is there */
		return true;
	}
	loop_timer_clear(s->runtime->loop, &s->timer);
	process_forget(s);
	s->pid = (pid_t)r->pid;
	s->pidfd = (int)syscall(SYS_pidfd_open, s->pid, 0); /* closed on exec, as all of its kind */
	s->life = SANDBOX_LIVE;
	s->is_locked = s->is_ending = false;
	s->tries = 0;
	sent_calls_again(s);
	greet(s);
	return true;
}

static bool event(struct sandbox *s, const struct supervisor_reply *r, struct error *err)
{
	if (span_equal(r->event, SPAN("hello"))) {
		if (!hello(s, r, err))
			return false;
	} else if (span_equal(r->event, SPAN("locked"))) {
		s->is_locked = true;
	} else if (span_equal(r->event, SPAN("ended"))) {
		tell_ended(s, r->stream, r->exit_code);
	}
	if (s->life == SANDBOX_LIVE && r->status.uid.len) {
		status_keep(s, &r->status);
		tell(s);
	}
	if (s->life == SANDBOX_LIVE && span_equal(r->event, SPAN("hello"))) {
		answered_beginning(s);
		send_waiting(s);
	}
	return true;
}

/* The end of a sandbox is done when its process has ended, too. */
static void answer(struct sandbox *s, const struct supervisor_reply *r, int fds[SUPERVISOR_FDS_MOST], size_t count)
{
	struct call *c = take_call(s, r->id);
	struct error err = { 0 };

	if (c && (c->kind == CALL_END || c->kind == CALL_REMOVE) && !reply_error(r, &err)) {
		c->next = s->calls; /* the others before it have been answered */
		if (!s->calls)
			s->calls_tail = &c->next;
		s->calls = c;
		return;
	}
	if (c && c->kind == CALL_RUN && r->error_code.len && !s->status.is_ready) {
		s->is_ending = true; /* it has nothing to hold: it ends when its connection does */
		shutdown(s->channel.fd, SHUT_RDWR);
	}
	if (c && c->kind == CALL_STREAM && r->stream.len)
		stream_remember(s, r->stream);
	if (c)
		call_finish_reply(c, r, fds, count);
}

static bool take_message(struct sandbox *s, struct span text, int fds[SUPERVISOR_FDS_MOST], size_t count,
			 struct error *err)
{
	struct supervisor_reply r;
	struct arena arena;
	struct span copy;
	bool ok;

	arena_init(&arena, ARENA_BYTES_MOST);
	copy = arena_copy(&arena, text, err);
	ok = copy.ptr && reply_read(copy, &arena, &r, err);
	if (ok && r.id)
		answer(s, &r, fds, count);
	else if (ok)
		ok = event(s, &r, err);
	for (size_t i = 0; i < count; i++) {
		if (fds[i] >= 0)
			close(fds[i]); /* nobody took it */
	}
	arena_done(&arena);
	return ok;
}

static void connection_ready(struct watch *w, unsigned events)
{
	struct sandbox *s = CONTAINER_OF(w, struct sandbox, watch);
	enum channel_state state = CHANNEL_WAITS;
	int fds[SUPERVISOR_FDS_MOST];
	struct error err = { 0 };
	struct span text;
	size_t count;
	bool is_open;

	(void)events;
	is_open = channel_receive(&s->channel, &err);
	while (s->channel.fd >= 0 && (state = channel_next(&s->channel, &text, fds, &count, &err)) == CHANNEL_MESSAGE) {
		if (!take_message(s, text, fds, count, &err)) {
			state = CHANNEL_BROKEN;
			break;
		}
	}
	if (s->channel.fd < 0)
		return;
	if (state == CHANNEL_BROKEN || (!is_open && err.code))
		log_warn("node", "the connection to a pod's supervisor is closed", LOG_TEXT("folder", s->folder),
			 LOG_TEXT("error", err.message));
	if (state == CHANNEL_BROKEN || !is_open || !channel_flush(&s->channel, &err))
		closed(s);
	else
		loop_watch_change(s->runtime->loop, &s->watch,
				  channel_is_unsent(&s->channel) ? LOOP_READ | LOOP_WRITE : LOOP_READ);
}

/* ---- connecting ---- */

static void connected(struct sandbox *s, int fd)
{
	struct runtime_process *r = s->runtime;

	s->life = SANDBOX_CONNECTING;
	channel_init(&s->channel, fd);
	loop_watch(r->loop, &s->watch, fd, LOOP_READ, connection_ready);
	loop_timer_set(r->loop, &s->timer, loop_now(r->loop) + HELLO_NS, hung);
}

void sandbox_begin(struct sandbox *s)
{
	struct error err = { 0 };
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) < 0) {
		error_errno(&err, errno, "cannot make a socket pair");
		sandbox_failed(s, &err);
		return;
	}
	s->is_locked = false;
	process_forget(s);
	connected(s, pair[0]);
	if (!spawner_link_ask(s->runtime, s, pair[1], &err))
		sandbox_failed(s, &err);
}

static void call_again(struct timer *t)
{
	sandbox_call(CONTAINER_OF(t, struct sandbox, timer));
}

static bool is_out_of_descriptors(int errnum)
{
	return errnum == EMFILE || errnum == ENFILE || errnum == ENOMEM;
}

/*
 * Nobody listens: it is dead when nobody has the lock; else it is beginning, or ending, and is called again. So it is, as often as it takes, while
 * there are no descriptors to find out with; `errnum`: why its folder could not be opened.
 */
static void not_there(struct sandbox *s, int sandbox_fd, int errnum)
{
	bool is_taken = false, is_unknown;
	int lock = sandbox_fd < 0 ? -1 : sandbox_lock(sandbox_fd, &is_taken);

	is_unknown = lock < 0 && !is_taken && is_out_of_descriptors(sandbox_fd < 0 ? errnum : errno);
	if (lock >= 0)
		close(lock);
	if (is_unknown || (is_taken && ++s->tries < CALLS_MOST)) {
		s->life = SANDBOX_CONNECTING;
		loop_timer_set(s->runtime->loop, &s->timer, loop_now(s->runtime->loop) + CALL_NS, call_again);
	} else {
		dead(s);
	}
}

void sandbox_call(struct sandbox *s)
{
	struct error ignored = { 0 };
	int sandbox_fd = sandbox_open(span_of(s->folder), false, &ignored);
	int errnum = errno, fd = sandbox_fd < 0 ? -1 : control_connect(sandbox_fd);

	process_forget(s);
	if (fd >= 0)
		connected(s, fd);
	else
		not_there(s, sandbox_fd, errnum);
	if (sandbox_fd >= 0)
		close(sandbox_fd);
}
