/* SPDX-License-Identifier: Apache-2.0 */
/* app_blocking - exchanges served by functions that read and write as long as they like: on threads, or on the one that drives. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "hosts/app_private.h"

/* ---- on the loop ---- */

static void queue_add(hythe_exchange *x)
{
	struct app_host *a = x->app;

	pthread_mutex_lock(&a->lock);
	x->next_waiting = NULL;
	*a->last = x;
	a->last = &x->next_waiting;
	if (!a->host->is_driven)
		pthread_cond_signal(&a->filled);
	pthread_mutex_unlock(&a->lock);
	if (a->host->is_driven && !a->turn.is_queued)
		loop_job(a->loop, &a->turn);
}

/* A small body is gathered first: a slow client holds no thread with it. */
static bool is_gathered(const hythe_exchange *x)
{
	return x->length > 0 && x->length <= (int64_t)APP_WINDOW;
}

void blocking_open(hythe_exchange *x)
{
	if (!is_gathered(x))
		queue_add(x);
	if (x->length)
		request_want(x->req, APP_WINDOW);
}

void blocking_receive(hythe_exchange *x, struct span bytes, bool is_last)
{
	pthread_mutex_lock(&x->lock);
	buffer_append(&x->in, bytes);
	x->has_all = is_last;
	pthread_cond_broadcast(&x->changed);
	pthread_mutex_unlock(&x->lock);
	if (is_last && is_gathered(x))
		queue_add(x);
}

/* Nobody will serve what was still being gathered. */
void blocking_gone(hythe_exchange *x)
{
	if (is_gathered(x) && !x->has_all)
		exchange_drop(x);
}

/* ---- threads ---- */

static hythe_exchange *queue_take(struct app_host *a)
{
	hythe_exchange *x;

	pthread_mutex_lock(&a->lock);
	while (!a->first && !a->is_over)
		pthread_cond_wait(&a->filled, &a->lock);
	x = a->first;
	if (x) {
		a->first = x->next_waiting;
		if (!a->first)
			a->last = &a->first;
	}
	pthread_mutex_unlock(&a->lock);
	return x;
}

static bool is_gone(hythe_exchange *x)
{
	bool gone;

	pthread_mutex_lock(&x->lock);
	gone = x->is_gone;
	pthread_mutex_unlock(&x->lock);
	return gone;
}

/* `serve` has returned without an end: 500, or the answer is cut off. */
static void close_open_end(hythe_exchange *x)
{
	static const char sorry[] = "{\"error\":\"the application gave no answer\"}";
	static const struct hythe_header type = { { "content-type", 12 }, { "application/json", 16 } };

	pthread_mutex_lock(&x->lock);
	if (x->is_ended || x->is_over) {
		pthread_mutex_unlock(&x->lock);
		return;
	}
	if (x->has_head) {
		x->is_cut = true;
		exchange_post(x);
		return;
	}
	pthread_mutex_unlock(&x->lock);
	hythe_exchange_answer(x, 500, NULL, &type, 1, sorry, sizeof(sorry) - 1);
}

static void exchange_serve(hythe_exchange *x)
{
	const struct hythe_app *app = &x->app->host->app;

	if (!is_gone(x)) {
		app->serve(app->context, x);
		close_open_end(x);
	}
	exchange_drop(x);
}

static void *thread_main(void *argument)
{
	hythe_exchange *x;

	while ((x = queue_take(argument)))
		exchange_serve(x);
	return NULL;
}

void blocking_turn(struct loop_task *t)
{
	struct app_host *a = CONTAINER_OF(t, struct app_host, turn);
	hythe_exchange *x = queue_take(a);

	if (a->first)
		loop_job(a->loop, t);
	exchange_serve(x);
}

bool blocking_start(struct app_host *a, struct error *err)
{
	unsigned count = a->host->threads;

	a->threads = base_calloc(count, sizeof(*a->threads));
	for (; a->thread_count < count; a->thread_count++) {
		int failure = pthread_create(&a->threads[a->thread_count], NULL, thread_main, a);

		if (failure)
			return error_errno(err, failure, "cannot start a thread");
	}
	return true;
}

void blocking_join(struct app_host *a)
{
	pthread_mutex_lock(&a->lock);
	a->is_over = true;
	pthread_cond_broadcast(&a->filled);
	pthread_mutex_unlock(&a->lock);
	for (unsigned i = 0; i < a->thread_count; i++)
		pthread_join(a->threads[i], NULL);
	a->thread_count = 0;
}

/* ---- B ---- */

/* With its lock held: until something about it changes, or sooner. The thread that drives runs the loop meanwhile. */
static void exchange_await(hythe_exchange *x)
{
	if (!app_is_here(x->app)) {
		pthread_cond_wait(&x->changed, &x->lock);
		return;
	}
	pthread_mutex_unlock(&x->lock);
	loop_turn(x->app->loop, true);
	pthread_mutex_lock(&x->lock);
}

int64_t hythe_exchange_read(hythe_exchange *x, void *to, size_t size)
{
	size_t n;

	pthread_mutex_lock(&x->lock);
	while (x->in_at == x->in.len && !x->has_all && !x->is_over)
		exchange_await(x);
	n = MIN(size, x->in.len - x->in_at);
	if (n == 0) {
		int64_t end = x->is_gone && !x->has_all && size ? -1 : 0;

		pthread_mutex_unlock(&x->lock);
		return end;
	}
	memcpy(to, x->in.ptr + x->in_at, n);
	x->in_at += n;
	if (x->in_at < x->in.len || x->has_all) {
		pthread_mutex_unlock(&x->lock);
		return (int64_t)n;
	}
	x->want += x->in_at; /* as much may come again */
	x->in_at = 0;
	buffer_clear(&x->in);
	exchange_post(x);
	return (int64_t)n;
}

int hythe_exchange_head(hythe_exchange *x, int status, const char *reason, const struct hythe_header *headers,
			size_t count)
{
	return exchange_head(x, status, reason, headers, count);
}

int hythe_exchange_has_head(const hythe_exchange *x)
{
	return x->has_head; /* set by the thread that asks */
}

int hythe_exchange_write(hythe_exchange *x, const void *bytes, size_t size)
{
	bool gone;

	pthread_mutex_lock(&x->lock);
	exchange_add(x, bytes, size);
	exchange_post(x);
	if (app_is_here(x->app))
		loop_turn(x->app->loop, false); /* the others, and this client's going away */
	pthread_mutex_lock(&x->lock);
	while (x->out.len + x->unsent >= APP_WINDOW && !x->is_over && !x->is_ended) {
		exchange_await(x);
		if (app_is_here(x->app) && x->req) /* the loop's own */
			x->unsent = request_unsent(x->req);
	}
	gone = x->is_gone;
	pthread_mutex_unlock(&x->lock);
	return !gone;
}

int hythe_exchange_send_file(hythe_exchange *x, int fd, int64_t offset, int64_t size)
{
	AUTO_FREE char *piece = base_alloc(APP_WINDOW / 2);

	while (size) {
		size_t most = size < 0 || size > (int64_t)(APP_WINDOW / 2) ? APP_WINDOW / 2 : (size_t)size;
		ssize_t n = pread(fd, piece, most, offset);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n == 0;
		if (!hythe_exchange_write(x, piece, (size_t)n))
			return 0;
		offset += n;
		size -= size > 0 ? n : 0;
	}
	return 1;
}

void hythe_exchange_end(hythe_exchange *x)
{
	pthread_mutex_lock(&x->lock);
	if (!x->has_head || x->is_ended) {
		pthread_mutex_unlock(&x->lock);
		return;
	}
	x->is_ended = true;
	exchange_post(x);
}

/* RFC 9110 8.6: the length is what the bytes are, where they are the body and nobody has said so. */
static bool has_known_length(const hythe_exchange *x, int status, const struct hythe_header *headers, size_t count)
{
	if (status < 200 || status == 204 || status == 304 ||
	    span_equal(span_from(x->method.data, x->method.size), SPAN("HEAD")))
		return false;
	for (size_t i = 0; i < count; i++)
		if (span_equal_ignore_case(span_from(headers[i].name.data, headers[i].name.size),
					   SPAN("content-length")))
			return false;
	return true;
}

void hythe_exchange_answer(hythe_exchange *x, int status, const char *reason, const struct hythe_header *headers,
			   size_t count, const void *bytes, size_t size)
{
	struct hythe_header *all = base_calloc(count + 1, sizeof(*all));
	char text[24];
	bool ok;

	if (x->has_head) {
		free(all);
		return;
	}
	if (count)
		memcpy(all, headers, count * sizeof(*all));
	if (has_known_length(x, status, headers, count))
		all[count++] = (struct hythe_header){ { "content-length", 14 },
						      { text, (size_t)snprintf(text, sizeof(text), "%zu", size) } };
	if (app_is_here(x->app)) {
		exchange_answer_here(x, status, reason, all, count, bytes, size);
		free(all);
		return;
	}
	ok = exchange_head(x, status, reason, all, count);
	free(all);
	if (!ok)
		return;
	pthread_mutex_lock(&x->lock);
	exchange_add(x, bytes, size);
	x->is_ended = true;
	exchange_post(x);
}
