/* SPDX-License-Identifier: Apache-2.0 */
/* direct - the taker's side: connections that come by a socket, and what their giver may know of them. */
#include "net/direct.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "net/direct_private.h"
#include "net/transport.h"

#define FLAGS (DIRECT_WAITS | DIRECT_TUNNEL | DIRECT_RESETS | DIRECT_BEGUN)
enum { MESSAGES_AT_ONCE = 64 }; /* of the front, so that what else this loop has gets its turn */

struct direct {
	struct worker *worker;
	struct watch watch;
	struct direct_table *table; /* NULL until it has come */
	struct connection *turn_first, **turn_last;
	size_t waiting;
	unsigned busy; /* requests that handlers have */
	bool is_releasing, is_ending;
	bool is_open;    /* the giver is there */
	bool is_stuffed; /* it did not take a message: to be tried again */
	struct loop_task turn;
};

static struct direct_slot *slot_of_connection(const struct connection *c)
{
	return &c->direct->table->slot[c->direct_slot];
}

/* ---- words ---- */

static void word_set(struct connection *c, enum direct_state state, uint64_t flags)
{
	uint64_t us = (uint64_t)(loop_now(c->worker->loop) / NS_PER_US);

	c->direct_state = (uint8_t)state;
	/* Release: the line and the id stand before it. */
	atomic_store_explicit(&slot_of_connection(c)->word, us << 8 | flags | (uint64_t)state, memory_order_release);
}

static uint64_t word_flags(const struct connection *c)
{
	return atomic_load_explicit(&slot_of_connection(c)->word, memory_order_relaxed) & FLAGS;
}

static void counter_add(_Atomic uint64_t *counter, uint64_t n)
{
	/* One thread writes it: no locked instruction is needed. */
	atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + n, memory_order_relaxed);
}

static uint64_t number_of(_Atomic uint64_t *number)
{
	return atomic_load_explicit(number, memory_order_relaxed);
}

/* ---- to the giver ---- */

/* False: it takes nothing now. */
static bool tell(struct direct *d, enum direct_kind kind, unsigned slot, struct span bytes)
{
	struct direct_message m = { .kind = (uint32_t)kind, .slot = slot };
	struct iovec pieces[2] = { { &m, sizeof(m) }, { (void *)(uintptr_t)bytes.ptr, bytes.len } };
	struct msghdr message = { .msg_iov = pieces, .msg_iovlen = bytes.len ? 2 : 1 };

	return d->is_open && sendmsg(d->watch.fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT) >= 0;
}

/* ---- turns ---- */

static bool may_begin(const struct direct *d)
{
	return d->busy < number_of(&d->table->slots) || d->is_ending;
}

static void turn_forget(struct connection *c)
{
	struct direct *d = c->direct;
	struct connection **link = &d->turn_first;

	if (!c->waits_turn)
		return;
	while (*link != c)
		link = &(*link)->next_turn;
	*link = c->next_turn;
	if (d->turn_last == &c->next_turn)
		d->turn_last = link;
	c->waits_turn = false;
	d->waiting--;
	atomic_store_explicit(&d->table->waiting, d->waiting, memory_order_relaxed);
}

static void turn_wait(struct connection *c)
{
	struct direct *d = c->direct;

	c->waits_turn = true;
	c->next_turn = NULL;
	*d->turn_last = c;
	d->turn_last = &c->next_turn;
	d->waiting++;
	atomic_store_explicit(&d->table->waiting, d->waiting, memory_order_relaxed);
}

static void turn_take(struct connection *c)
{
	turn_forget(c);
	loop_watch_change(c->worker->loop, &c->watch, LOOP_READ);
	if (c->in.len > c->in_at && c->codec)
		c->codec->receive(c); /* what came with the request before */
	else
		connection_look(c);
	loop_defer(c->worker->loop, &c->flush);
}

static void turns_run(struct loop_task *t)
{
	struct direct *d = CONTAINER_OF(t, struct direct, turn);

	while (d->turn_first && may_begin(d))
		turn_take(d->turn_first);
}

/* ---- giving back ---- */

static bool may_leave(const struct connection *c)
{
	return c->direct && c->direct_state == DIRECT_IDLE && connection_is_idle(c);
}

static void leave(struct connection *c)
{
	c->direct_is_over = true;
	turn_forget(c);
	connection_leave(c);
}

static void stuffed(struct direct *d)
{
	if (!d->is_open)
		return;
	d->is_stuffed = true;
	loop_watch_change(d->worker->loop, &d->watch, LOOP_READ | LOOP_WRITE);
}

/* As many as a message holds; false when there are no more, or the giver takes no more now. */
static bool release_some(struct direct *d)
{
	uint32_t slots[DIRECT_BATCH];
	struct connection *leaving[DIRECT_BATCH];
	size_t count = 0;

	for (struct connection *c = d->worker->connections; c && count < DIRECT_BATCH; c = c->next) {
		if (!may_leave(c))
			continue;
		slots[count] = c->direct_slot;
		leaving[count++] = c;
	}
	if (count == 0)
		return false;
	if (!tell(d, DIRECT_IDLES, 0, span_from((const char *)slots, count * sizeof(slots[0])))) {
		stuffed(d);
		return false;
	}
	for (size_t i = 0; i < count; i++)
		leave(leaving[i]);
	return true;
}

static bool path_is_givers(struct direct_table *t, struct span path)
{
	struct span rest = { t->paths, MIN(number_of(&t->paths_len), sizeof(t->paths)) };

	while (rest.len)
		if (span_equal(span_cut(&rest, 0), path))
			return true;
	return false;
}

bool direct_hands_back(struct connection *c, struct span method, struct span target)
{
	struct direct *d = c->direct;
	struct span unread = connection_unread(c);

	/* An interim answer to the last request, or a part of it, may be on its way no more: nothing is unsent here. */
	if (!(span_equal(method, SPAN("GET")) || span_equal(method, SPAN("HEAD"))) || unread.len > DIRECT_BYTES_MAX ||
	    !path_is_givers(d->table, span_first(target, span_index(target, '?'))) || c->is_eof || d->is_ending ||
	    !tell(d, DIRECT_BACK, c->direct_slot, unread))
		return false;
	leave(c);
	return true;
}

/* ---- what net tells ---- */

/* More wait for their turn than may: this one is the giver's, who will say so. */
static bool refuse(struct connection *c)
{
	struct direct *d = c->direct;

	if (d->waiting < number_of(&d->table->most) || !tell(d, DIRECT_BACK, c->direct_slot, SPAN("")))
		return false;
	leave(c);
	return true;
}

static uint32_t kept_len(struct direct_slot *s)
{
	return atomic_load_explicit(&s->kept_len, memory_order_relaxed) & ~DIRECT_READING;
}

static void kept_len_set(struct direct_slot *s, uint32_t len)
{
	atomic_store_explicit(&s->kept_len, len, memory_order_relaxed);
}

/* A new request is begun in its slot. */
static void ask(struct connection *c)
{
	struct direct_slot *s = slot_of_connection(c);

	s->line_len = s->id_len = 0;
	kept_len_set(s, 0);
	c->direct_is_begun = false;
	word_set(c, DIRECT_ASKED, DIRECT_WAITS);
}

bool direct_reads(struct connection *c)
{
	if (c->direct_is_over)
		return true;
	if (c->direct_state == DIRECT_ANSWERING || c->direct_is_begun) {
		word_set(c, (enum direct_state)c->direct_state, word_flags(c) & ~DIRECT_WAITS);
		return true;
	}
	if (!may_begin(c->direct)) {
		if (c->direct_state != DIRECT_IDLE || !refuse(c))
			turn_wait(c);
		return false;
	}
	/* Before a byte is taken from the kernel: should we be killed now, nobody may think that it is still there, or kept. */
	if (c->direct_state == DIRECT_IDLE)
		ask(c);
	else
		kept_len_set(slot_of_connection(c), kept_len(slot_of_connection(c)) | DIRECT_READING);
	return true;
}

void direct_asks(struct connection *c)
{
	if (!c->direct_is_over && (c->direct_state != DIRECT_ASKED || c->direct_is_begun))
		ask(c);
}

bool direct_holds(struct connection *c)
{
	if (c->waits_turn)
		return true;
	if (c->direct_is_over || may_begin(c->direct) || !c->codec->is_idle(c) || c->in_at == c->in.len)
		return false;
	direct_asks(c);
	turn_wait(c);
	return true;
}

void direct_names(struct connection *c, const struct request *req)
{
	struct direct_slot *s = slot_of_connection(c);
	size_t method = MIN(req->method_text.len, 16), target = MIN(req->target.len, sizeof(s->line) - 17);

	memcpy(s->line, req->method_text.ptr, method);
	s->line[method] = ' ';
	memcpy(s->line + method + 1, req->target.ptr, target);
	memcpy(s->id, req->id, req->id_len);
	s->line_len = (uint16_t)(method + 1 + target);
	s->id_len = (uint16_t)req->id_len;
	kept_len_set(s, 0);
}

void direct_begins(struct connection *c)
{
	c->direct->busy++;
	c->direct_is_begun = true;
	if (!c->direct_is_over)
		word_set(c, (enum direct_state)c->direct_state, DIRECT_BEGUN);
}

void direct_over(struct worker *w)
{
	struct direct *d = w->direct;
	uint64_t served_at = number_of(&d->table->served_at);

	ASSERT(d->busy > 0);
	d->busy--;
	counter_add(&d->table->served, 1);
	if (served_at && number_of(&d->table->served) == served_at)
		(void)tell(d, DIRECT_DUE, 0, SPAN("")); /* the giver counts as well */
	if (d->turn_first)
		loop_defer(w->loop, &d->turn);
}

void direct_answers(struct connection *c, uint64_t flags)
{
	if (!c->direct_is_over)
		word_set(c, DIRECT_ANSWERING, flags | DIRECT_BEGUN);
}

void direct_moved(struct connection *c, size_t received, size_t sent)
{
	counter_add(&c->direct->table->received, received);
	counter_add(&c->direct->table->sent, sent);
}

/* A request of which nothing is consumed. */
static bool is_partial(const struct connection *c)
{
	return c->direct_state == DIRECT_ASKED && !c->direct_is_begun && c->codec && c->codec->is_idle(c) &&
	       !c->is_eof && !c->is_closing && c->in.len - c->in_at <= DIRECT_BYTES_MAX;
}

static void keep(struct connection *c)
{
	struct direct_slot *s = slot_of_connection(c);
	struct span unread = connection_unread(c);
	char *to = c->direct->table->kept[c->direct_slot];
	uint32_t kept = kept_len(s);

	if (unread.len < kept || unread.len > DIRECT_BYTES_MAX)
		return;
	if (unread.len > kept)
		memcpy(to + kept, unread.ptr + kept, unread.len - kept);
	kept_len_set(s, (uint32_t)unread.len);
}

static void release_partial(struct connection *c)
{
	if (tell(c->direct, DIRECT_BACK, c->direct_slot, connection_unread(c)))
		leave(c);
	else
		stuffed(c->direct);
}

static void release_all(struct direct *d)
{
	d->is_releasing = true;
	while (release_some(d))
		;
	for (struct connection *c = d->worker->connections; c; c = c->next)
		if (c->direct && !c->direct_is_over && !c->is_closed && is_partial(c))
			release_partial(c);
}

void direct_settle(struct connection *c)
{
	uint64_t flags;

	if (c->is_closed || c->direct_is_over)
		return;
	if (c->waits_turn) {
		keep(c);
		return;
	}
	if (connection_is_idle(c)) {
		if (c->direct_state != DIRECT_IDLE)
			word_set(c, DIRECT_IDLE, 0);
		c->direct_is_begun = false;
		if (c->direct->is_releasing)
			(void)release_some(c->direct);
		return;
	}
	if (c->direct_state == DIRECT_IDLE)
		return;
	if (is_partial(c)) {
		keep(c);
		if (c->direct->is_releasing)
			release_partial(c);
		return;
	}
	flags = word_flags(c) & ~DIRECT_WAITS;
	if (c->out_waiting || (c->codec && c->codec->waits && c->codec->waits(c)))
		flags |= DIRECT_WAITS;
	word_set(c, (enum direct_state)c->direct_state, flags);
}

void direct_ends(struct connection *c)
{
	if (c->direct_is_over || !c->codec || !c->codec->is_idle || !c->codec->is_idle(c))
		return; /* a handler may have the request yet */
	word_set(c, DIRECT_CLOSED, 0);
	c->direct_is_over = true;
}

void direct_forget(struct connection *c)
{
	turn_forget(c);
	if (c->direct_is_over || c->direct_keeps_slot)
		return;
	word_set(c, DIRECT_CLOSED, 0);
	c->direct_is_over = true;
}

void direct_orphan_over(struct worker *w, unsigned slot)
{
	atomic_store_explicit(&w->direct->table->slot[slot].word, (uint64_t)DIRECT_CLOSED, memory_order_release);
}

void direct_shut(int fd, bool is_cut)
{
	struct sockaddr nowhere = { .sa_family = AF_UNSPEC };

	/* connect(2): dissolves the association, for TCP by a reset. Closing would do nothing, since the giver holds it open. */
	if (!is_cut || connect(fd, &nowhere, sizeof(nowhere)) < 0)
		(void)shutdown(fd, SHUT_RDWR); /* ended already is as good */
}

bool direct_keeps(struct connection *c)
{
	if (!c->direct->is_releasing || !c->direct->is_open || !may_leave(c))
		return false;
	(void)release_some(c->direct);
	return true;
}

void direct_count(struct direct *d, int status, int64_t ns)
{
	if (!d->table)
		return;
	counter_add(&d->table->codes[MIN(MAX(status, 100), 100 + DIRECT_CODES - 1) - 100], 1);
	counter_add(&d->table->seconds[metric_bucket(ns)], 1);
	counter_add(&d->table->seconds_sum_ns, (uint64_t)MAX(ns, 0));
}

/* ---- from the giver ---- */

static void end_all(struct direct *d)
{
	d->is_ending = true;
	d->is_releasing = false;
	while (d->turn_first)
		turn_take(d->turn_first);
	for (struct connection *c = d->worker->connections; c; c = c->next)
		if (c->direct)
			connection_drain(c);
}

/* A request is over the giver's time limit: its connection goes back, for the giver to say so, or is cut. */
static void late(struct direct *d, unsigned slot)
{
	struct connection *c = d->worker->connections;

	while (c && !(c->direct && c->direct_slot == slot && !c->direct_is_over))
		c = c->next;
	if (!c || c->is_closed || c->direct_state == DIRECT_IDLE)
		return;
	if (c->direct_state == DIRECT_ASKED && !c->out_waiting && tell(d, DIRECT_BACK, slot, SPAN(""))) {
		leave(c);
		return;
	}
	c->is_cut = word_flags(c) & DIRECT_RESETS;
	connection_abort(c);
}

static void giver_gone(struct direct *d)
{
	if (!d->is_open)
		return;
	d->is_open = false;
	loop_unwatch(d->worker->loop, &d->watch);
	close(d->watch.fd);
	if (d->table)
		end_all(d);
}

static void table_take(struct direct *d, int fd)
{
	struct stat st;
	void *at;

	if (d->table || fstat(fd, &st) || (uint64_t)st.st_size < sizeof(*d->table))
		return;
	at = mmap(NULL, sizeof(*d->table), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (at == MAP_FAILED)
		return;
	d->table = at;
	(void)tell(d, DIRECT_HELLO, 0, SPAN(""));
}

static void connection_come(struct direct *d, const struct direct_message *m, int fd)
{
	struct connection *c;
	size_t count;

	if (!d->table || m->slot >= DIRECT_SLOTS) {
		if (fd >= 0)
			close(fd);
		return;
	}
	counter_add(&d->table->taken, 1);
	if (fd < 0) {
		(void)tell(d, DIRECT_FULL, m->slot, SPAN(""));
		return;
	}
	(void)worker_connection_add(d->worker, &count); /* the giver counts them for the limit */
	c = connection_take(d->worker, fd, m->peer);
	c->direct = d;
	c->direct_slot = m->slot;
	word_set(c, DIRECT_IDLE, 0);
	if (d->is_releasing)
		(void)release_some(d);
	else
		connection_look(c);
}

/* The descriptor that came with a message, or -1. */
static int descriptor_of(struct msghdr *message)
{
	struct cmsghdr *c = CMSG_FIRSTHDR(message);
	int fd = -1;

	if (c && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS && c->cmsg_len == CMSG_LEN(sizeof(fd)))
		memcpy(&fd, CMSG_DATA(c), sizeof(fd));
	return fd;
}

/* False: there is nothing more. */
static bool message_take(struct direct *d)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control;
	struct direct_message m;
	struct iovec piece = { &m, sizeof(m) };
	struct msghdr message = { .msg_iov = &piece,
				  .msg_iovlen = 1,
				  .msg_control = control.bytes,
				  .msg_controllen = sizeof(control.bytes) };
	ssize_t n = recvmsg(d->watch.fd, &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
	int fd;

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return false;
	if (n <= 0) {
		giver_gone(d);
		return false;
	}
	fd = descriptor_of(&message);
	m.peer[sizeof(m.peer) - 1] = 0;
	if (n == sizeof(m) && m.kind == DIRECT_TAKE) {
		connection_come(d, &m, fd);
		return true;
	}
	if (n == sizeof(m) && m.kind == DIRECT_TABLE && fd >= 0)
		table_take(d, fd);
	else if (n == sizeof(m) && m.kind == DIRECT_RELEASE && d->table)
		release_all(d);
	else if (n == sizeof(m) && m.kind == DIRECT_LATE && d->table)
		late(d, m.slot);
	else if (n == sizeof(m) && m.kind == DIRECT_END && d->table)
		end_all(d);
	if (fd >= 0)
		close(fd);
	return true;
}

static void socket_ready(struct watch *w, unsigned events)
{
	struct direct *d = CONTAINER_OF(w, struct direct, watch);

	if (events & LOOP_WRITE && d->is_stuffed) {
		d->is_stuffed = false;
		loop_watch_change(d->worker->loop, w, LOOP_READ);
		release_all(d);
	}
	for (int i = 0; i < MESSAGES_AT_ONCE && d->is_open && message_take(d); i++)
		;
}

void direct_release(struct server *s)
{
	struct direct *d = server_first_worker(s)->direct;

	if (!d || !d->table)
		return;
	while (d->is_open && message_take(d)) /* ended by the giver, or not? */
		;
	if (d->is_open && !d->is_ending)
		release_all(d);
}

/* ---- life ---- */

struct beginning {
	struct loop_message message;
	struct worker *worker;
	int fd;
};

static void begin(struct loop_message *m)
{
	struct beginning *b = CONTAINER_OF(m, struct beginning, message);
	struct worker *w = b->worker;
	struct direct *d = base_calloc(1, sizeof(*d));

	ASSERT(!w->direct);
	d->worker = w;
	d->turn_last = &d->turn_first;
	d->turn.run = turns_run;
	d->is_open = true;
	w->direct = d;
	loop_watch(w->loop, &d->watch, b->fd, LOOP_READ, socket_ready);
	free(b);
}

void direct_take_from(struct server *s, int fd)
{
	struct beginning *b = base_calloc(1, sizeof(*b));

	ASSERT(fcntl(fd, F_SETFD, FD_CLOEXEC) == 0);
	b->message.run = begin;
	b->worker = server_first_worker(s);
	b->fd = fd;
	loop_send(b->worker->loop, &b->message);
}

void direct_done(struct worker *w)
{
	struct direct *d = w->direct;

	if (!d)
		return;
	loop_undefer(w->loop, &d->turn);
	if (d->is_open) {
		loop_unwatch(w->loop, &d->watch);
		close(d->watch.fd);
	}
	if (d->table)
		(void)munmap(d->table, sizeof(*d->table));
	free(d);
	w->direct = NULL;
}
