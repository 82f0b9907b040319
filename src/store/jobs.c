/* SPDX-License-Identifier: Apache-2.0 */
#include "store/jobs.h"

#include <unistd.h>

static void *work(void *context)
{
	struct side_job *job = context;
	int event_fd = job->store->event_fd;
	uint64_t one = 1;

	job->run(job);
	atomic_store_explicit(&job->is_finished, true, memory_order_release);
	(void)!write(event_fd, &one, sizeof(one)); /* closed only after this thread was joined */
	return NULL;
}

void job_start(struct store *s, struct side_job *job)
{
	job->store = s;
	job->next = s->jobs;
	s->jobs = job;
	ASSERT(pthread_create(&job->thread, NULL, work, job) == 0);
	(void)pthread_setname_np(job->thread, "hythe-backup");
}

void jobs_finished(struct store *s)
{
	struct side_job **at = &s->jobs;

	while (*at) {
		struct side_job *job = *at;

		if (!atomic_load_explicit(&job->is_finished, memory_order_acquire)) {
			at = &job->next;
			continue;
		}
		*at = job->next;
		ASSERT(pthread_join(job->thread, NULL) == 0);
		job->end(job);
		at = &s->jobs; /* the callback may have begun another one */
	}
}

void jobs_wait(struct store *s)
{
	while (s->jobs) {
		struct side_job *job = s->jobs;

		s->jobs = job->next;
		ASSERT(pthread_join(job->thread, NULL) == 0);
		job->end(job);
	}
}
