/* SPDX-License-Identifier: Apache-2.0 */
#include "loop/pool.h"

#include <pthread.h>
#include <stdlib.h>

#define STACK_SIZE MIB(8) /* address space: pages are taken when they are touched */

struct pool {
	pthread_mutex_t lock; /* guards everything below */
	pthread_cond_t work;
	struct pool_job *first, **last;
	size_t waiting, queue_limit;
	unsigned limit, started, running;
	bool is_ending;
	struct loop_task turn; /* with no threads: runs the next job */
	pthread_t threads[];
};

static void report(struct loop_message *m)
{
	struct pool_job *job = CONTAINER_OF(m, struct pool_job, message);

	job->done(job);
}

static struct pool_job *take(struct pool *p)
{
	struct pool_job *job = p->first;

	p->first = job->next;
	if (!p->first)
		p->last = &p->first;
	p->waiting--;
	p->running++;
	return job;
}

static void *work(void *argument)
{
	struct pool *p = argument;

	pthread_mutex_lock(&p->lock);
	for (;;) {
		struct pool_job *job;

		while (!p->first && !p->is_ending)
			pthread_cond_wait(&p->work, &p->lock);
		if (!p->first)
			break;
		job = take(p);
		pthread_mutex_unlock(&p->lock);

		job->run(job);

		/* Before the report: once it is out, the job may be gone, and its owner counts on the free place. */
		pthread_mutex_lock(&p->lock);
		p->running--;
		pthread_mutex_unlock(&p->lock);
		if (job->loop) {
			job->message.run = report;
			loop_send(job->loop, &job->message);
		} else {
			job->done(job);
		}
		pthread_mutex_lock(&p->lock);
	}
	pthread_mutex_unlock(&p->lock);
	return NULL;
}

/* One job, on the loop. */
static void turn_run(struct loop_task *t)
{
	struct pool *p = CONTAINER_OF(t, struct pool, turn);
	struct pool_job *job;

	pthread_mutex_lock(&p->lock);
	job = take(p);
	pthread_mutex_unlock(&p->lock);

	job->run(job);

	loop_now_update(loop_current());
	pthread_mutex_lock(&p->lock);
	p->running--;
	pthread_mutex_unlock(&p->lock);
	job->done(job);
	if (p->waiting && !t->is_queued)
		loop_job(loop_current(), t);
}

struct pool *pool_new(unsigned threads, size_t queue_limit)
{
	struct pool *p;

	p = base_calloc(1, sizeof(*p) + threads * sizeof(p->threads[0]));
	pthread_mutex_init(&p->lock, NULL);
	pthread_cond_init(&p->work, NULL);
	p->last = &p->first;
	p->limit = threads;
	p->queue_limit = queue_limit;
	p->turn.run = turn_run;
	return p;
}

void pool_free(struct pool *p)
{
	if (!p)
		return;
	pthread_mutex_lock(&p->lock);
	p->is_ending = true;
	pthread_cond_broadcast(&p->work);
	pthread_mutex_unlock(&p->lock);
	for (unsigned i = 0; i < p->started; i++)
		pthread_join(p->threads[i], NULL);
	ASSERT(p->waiting == 0);
	pthread_cond_destroy(&p->work);
	pthread_mutex_destroy(&p->lock);
	free(p);
}

/* False when not one thread could be started. */
static bool start_thread(struct pool *p)
{
	pthread_attr_t attributes;
	int failure;

	pthread_attr_init(&attributes);
	pthread_attr_setstacksize(&attributes, STACK_SIZE);
	failure = pthread_create(&p->threads[p->started], &attributes, work, p);
	pthread_attr_destroy(&attributes);
	if (!failure)
		p->started++;
	return p->started > 0;
}

bool pool_submit(struct pool *p, struct pool_job *job, struct error *err)
{
	size_t busy;
	bool accepted;

	pthread_mutex_lock(&p->lock);
	busy = p->waiting + p->running;
	accepted = busy < MAX(p->limit, 1U) + p->queue_limit;
	if (accepted && busy >= p->started && p->started < p->limit)
		accepted = start_thread(p);
	if (accepted) {
		job->next = NULL;
		*p->last = job;
		p->last = &job->next;
		p->waiting++;
		if (p->limit)
			pthread_cond_signal(&p->work);
		else if (!p->turn.is_queued)
			loop_job(job->loop, &p->turn);
	}
	pthread_mutex_unlock(&p->lock);
	return accepted ||
	       error_set(err, ERROR_EXHAUSTED, "%zu requests wait for a compute thread already, the most that may",
			 p->queue_limit);
}

size_t pool_waiting(const struct pool *p)
{
	struct pool *writable = (struct pool *)(uintptr_t)p; /* the lock is not part of what the caller sees */
	size_t busy;

	pthread_mutex_lock(&writable->lock);
	busy = p->waiting + p->running;
	pthread_mutex_unlock(&writable->lock);
	return busy > MAX(p->limit, 1U) ? busy - MAX(p->limit, 1U) : 0;
}
