/* SPDX-License-Identifier: Apache-2.0 */
/* app_events - the queue of events, and answers that never block. */
#include <stdlib.h>
#include <unistd.h>

#include "hosts/app_private.h"

/* ---- on the loop ---- */

void event_push(struct app_host *a, hythe_exchange *x, int kind, struct span bytes, bool is_last, int code)
{
	struct event_node *n = base_alloc(sizeof(*n) + bytes.len);
	uint64_t one = 1;
	bool was_empty;

	*n = (struct event_node){ .exchange = x, .kind = kind, .code = code, .is_last = is_last, .size = bytes.len };
	if (bytes.len)
		memcpy(n->bytes, bytes.ptr, bytes.len);
	if (x)
		atomic_fetch_add(&x->holders, 1);
	pthread_mutex_lock(&a->lock);
	was_empty = !a->events;
	*a->events_last = n;
	a->events_last = &n->next;
	pthread_mutex_unlock(&a->lock);
	if (!was_empty)
		return;
	if (!a->host->is_driven)
		(void)!write(a->events_fd, &one, sizeof(one)); /* full: it is readable anyway */
	else if (!loop_current())
		loop_nudge(a->loop); /* between turns: the next one comes at once */
}

/* ---- the user's thread ---- */

int hythe_events_fd(hythe_host *h)
{
	if (h->is_driven)
		return hythe_host_fd(h);
	return h->app_host ? h->app_host->events_fd : -1;
}

static void taken_drop(struct app_host *a)
{
	struct event_node *n = a->taken;

	a->taken = NULL;
	if (n && n->exchange)
		exchange_drop(n->exchange);
	free(n);
}

static struct event_node *event_take(struct app_host *a)
{
	struct event_node *n;
	uint64_t count;

	pthread_mutex_lock(&a->lock);
	n = a->events;
	if (n) {
		a->events = n->next;
		if (!a->events)
			a->events_last = &a->events;
	}
	/* Emptied under the lock: whoever pushes next finds the queue empty, and writes. */
	if (!a->events && a->events_fd >= 0)
		(void)!read(a->events_fd, &count, sizeof(count));
	pthread_mutex_unlock(&a->lock);
	return n;
}

int hythe_events_next(hythe_host *h, struct hythe_event *ret)
{
	struct app_host *a = h->app_host;
	struct event_node *n;
	struct hythe_event event = { 0 };

	do {
		taken_drop(a);
		n = a->taken = event_take(a);
		if (!n)
			return 0;
	} while (n->exchange && n->exchange->is_released);
	event.size = ret->size;
	event.kind = n->kind;
	event.exchange = n->exchange;
	event.owner = n->exchange ? n->exchange->owner : NULL;
	event.bytes = (struct hythe_bytes){ n->bytes, n->size };
	event.is_last = n->is_last;
	event.code = n->code;
	memcpy(ret, &event, MIN(ret->size, sizeof(event)));
	return 1;
}

void hythe_exchange_own(hythe_exchange *x, void *owner)
{
	x->owner = owner;
}

void hythe_exchange_want(hythe_exchange *x, size_t bytes)
{
	pthread_mutex_lock(&x->lock);
	if (x->is_websocket)
		x->messages_wanted++;
	else
		x->want += bytes;
	exchange_post(x);
}

void hythe_exchange_start(hythe_exchange *x, int status, const struct hythe_header *headers, size_t count)
{
	(void)exchange_head(x, status, NULL, headers, count); /* goes with the first bytes, or the end */
}

/*
 * What the user has ended is not waited for: no HYTHE_EVENT_WRITABLE would come. Where the client has, a full window is told,
 * so that one who writes without end takes the event that says so.
 */
static size_t unsent_tell(hythe_exchange *x)
{
	size_t unsent = x->out.len + x->unsent;

	if (x->is_ended || x->is_closed)
		unsent = 0;
	else if (x->is_over)
		unsent = APP_WINDOW;
	x->owes_writable |= unsent >= APP_WINDOW;
	return unsent;
}

/* With its lock held, which it gives back. */
static size_t post_and_tell(hythe_exchange *x)
{
	size_t unsent;

	if (!app_is_here(x->app)) {
		unsent = unsent_tell(x);
		exchange_post(x);
		return unsent;
	}
	exchange_post(x);
	pthread_mutex_lock(&x->lock);
	unsent = unsent_tell(x);
	pthread_mutex_unlock(&x->lock);
	return unsent;
}

size_t hythe_exchange_put(hythe_exchange *x, const void *bytes, size_t size)
{
	pthread_mutex_lock(&x->lock);
	exchange_add(x, bytes, size);
	return post_and_tell(x);
}

void hythe_exchange_finish(hythe_exchange *x)
{
	pthread_mutex_lock(&x->lock);
	if (!x->has_head || x->is_ended) {
		pthread_mutex_unlock(&x->lock);
		return;
	}
	x->is_ended = true;
	exchange_post(x);
}

void hythe_exchange_accept(hythe_exchange *x, const char *subprotocol, const struct hythe_header *headers, size_t count)
{
	struct hythe_header *all = base_calloc(count + 1, sizeof(*all));

	if (count)
		memcpy(all, headers, count * sizeof(*all));
	if (subprotocol)
		all[count++] =
		    (struct hythe_header){ { "sec-websocket-protocol", 22 }, { subprotocol, strlen(subprotocol) } };
	if (x->is_websocket)
		exchange_accept(x, all, count);
	free(all);
}

size_t hythe_exchange_message(hythe_exchange *x, int is_text, const void *bytes, size_t size)
{
	pthread_mutex_lock(&x->lock);
	if (x->is_accepted && !x->is_closed && !x->is_over && !x->is_ended)
		websocket_write(&x->out, is_text ? WEBSOCKET_OP_TEXT : WEBSOCKET_OP_BINARY, span_from(bytes, size));
	return post_and_tell(x);
}

/* RFC 6455 7.4: 1005 is a frame without a code; others of those below, and numbers outside, may not be sent. */
static int close_code(int code)
{
	return code < 1000 || code > 4999 || code == 1004 || code == 1006 || code == 1015 ? 1000 : code;
}

/* As much as a frame holds, in whole characters. */
static void close_reason(hythe_exchange *x, const char *reason)
{
	size_t len = strlen(reason), most = MIN(len, APP_REASON_MOST);

	while (most < len && most > 0 && ((unsigned char)reason[most] & 0xc0) == 0x80)
		most--;
	memcpy(x->close_reason, reason, most);
	x->close_reason[most] = '\0';
}

void hythe_exchange_close(hythe_exchange *x, int code, const char *reason)
{
	static const struct hythe_header none = { { "content-length", 14 }, { "0", 1 } };

	if (exchange_head(x, 403, NULL, &none, 1)) {
		hythe_exchange_finish(x);
		return;
	}
	pthread_mutex_lock(&x->lock);
	if (!x->is_accepted || x->is_closed) {
		pthread_mutex_unlock(&x->lock);
		return;
	}
	x->is_closed = true;
	x->close_code = close_code(code);
	close_reason(x, reason ? reason : "");
	exchange_post(x);
}

void hythe_exchange_release(hythe_exchange *x)
{
	x->is_released = true;
	pthread_mutex_lock(&x->lock);
	if (!x->is_ended && !x->is_over && !x->is_closed) {
		x->is_cut = true;
		exchange_post(x);
	} else {
		pthread_mutex_unlock(&x->lock);
	}
	exchange_drop(x);
}
