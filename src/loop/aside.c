/* SPDX-License-Identifier: Apache-2.0 */
#include "loop/aside.h"

static void end(struct aside *a, bool is_wanted)
{
	pthread_mutex_destroy(&a->lock);
	if (is_wanted)
		a->done(a);
	else
		a->drop(a);
}

static void told(struct loop_message *m)
{
	struct aside *a = CONTAINER_OF(m, struct aside, message);
	bool is_wanted;

	pthread_mutex_lock(&a->lock); /* the thread has let go of it */
	is_wanted = a->loop != NULL;
	pthread_mutex_unlock(&a->lock);
	end(a, is_wanted);
}

static void *run(void *argument)
{
	struct aside *a = argument;
	bool is_wanted;

	a->work(a);
	pthread_mutex_lock(&a->lock);
	is_wanted = a->loop != NULL;
	if (is_wanted)
		loop_send(a->loop, &a->message); /* before it is unlocked: after aside_leave() there may be none */
	pthread_mutex_unlock(&a->lock);
	if (!is_wanted)
		end(a, false);
	return NULL;
}

bool aside_begin(struct aside *a, struct loop *l)
{
	pthread_t thread;

	a->message = (struct loop_message){ .run = told };
	a->loop = l;
	pthread_mutex_init(&a->lock, NULL);
	if (pthread_create(&thread, NULL, run, a) != 0) {
		pthread_mutex_destroy(&a->lock);
		return false;
	}
	(void)pthread_detach(thread);
	return true;
}

void aside_leave(struct aside *a)
{
	if (!a)
		return;
	pthread_mutex_lock(&a->lock);
	a->loop = NULL;
	pthread_mutex_unlock(&a->lock);
}
