/* SPDX-License-Identifier: Apache-2.0 */
#include "workers/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "wire/json.h"

#define STACK_SIZE KIB(256)

struct spawner {
	struct loop *loop;
	pthread_t thread;
	pthread_mutex_t lock; /* of the fields below */
	pthread_cond_t changed;
	struct spawn *first, **tail;
	bool is_ending;
};

int process_descriptor(pid_t pid)
{
	return (int)syscall(SYS_pidfd_open, pid, 0);
}

/* ---- environment ---- */

static bool same_name(const char *a, const char *b)
{
	size_t n = strcspn(a, "=");

	return strncmp(a, b, n) == 0 && b[n] == '=';
}

/* Adds `text`, in place of what has its name. */
static void environment_put(char **environment, size_t *count, const char *text)
{
	size_t i = 0;

	while (i < *count && !same_name(text, environment[i]))
		i++;
	if (i == *count)
		(*count)++;
	else
		free(environment[i]);
	environment[i] = span_to_text(span_of(text));
}

char **spawn_environment(const char *const *extra, const char *last[], size_t last_count)
{
	size_t own = 0, more = 0, count = 0;
	char **environment;

	while (environ[own])
		own++;
	while (extra && extra[more])
		more++;
	environment = base_calloc(own + more + last_count + 1, sizeof(*environment));
	for (; count < own; count++)
		environment[count] = span_to_text(span_of(environ[count]));
	for (size_t i = 0; i < more; i++)
		environment_put(environment, &count, extra[i]);
	for (size_t i = 0; i < last_count; i++)
		environment_put(environment, &count, last[i]);
	return environment;
}

void spawn_environment_free(char **environment)
{
	for (size_t i = 0; environment && environment[i]; i++)
		free(environment[i]);
	free(environment);
}

/* ---- the child ---- */

#define FAILURE_TAIL 256

/* In one write, for the descriptor may be one of messages. */
static void failure_write(const struct spawn *job, int failure)
{
	const char *reason = strerrordesc_np(failure);
	char *at = job->failure + strlen(job->failure);
	size_t len = reason ? strnlen(reason, FAILURE_TAIL - 4) : 0;

	if (len)
		memcpy(at, reason, len);
	memcpy(at + len, "\"}\n", 3);
	(void)!write(job->failure_fd, job->failure, (size_t)(at + len + 3 - job->failure)); /* nobody may be reading */
}

/* Between fork and exec: only what is safe in a signal handler, for other threads' locks may be held. */
_Noreturn static void child_run(const struct spawn *job, pid_t parent)
{
	int null = open("/dev/null", O_RDONLY | O_CLOEXEC), failure;
	sigset_t none;

	for (int i = 1; i < NSIG; i++)
		(void)signal(i, SIG_DFL);
	sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
	(void)setpgid(0, 0); /* Ctrl-C is for the one in front, which ends its workers when they have answered */
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(1); /* it ended before the line above */
	if (null >= 0)
		(void)dup2(null, STDIN_FILENO);
	for (size_t i = 0; i < ARRAY_LEN(job->fds); i++)
		if (job->fds[i] >= 0)
			(void)fcntl(job->fds[i], F_SETFD, 0);
	execvpe(job->argv[0], (char *const *)job->argv, job->environment);
	failure = errno;
	failure_write(job, failure);
	_exit(127);
}

/* The start of the line that a child writes when exec fails; the reason and the end follow. */
static char *failure_text(const struct spawn *job)
{
	struct error err = { 0 };
	struct buffer text;
	struct json_writer w;
	char *copy;
	size_t len;

	error_set(&err, ERROR_NOT_FOUND, "cannot run '%s': ", job->argv[0]);
	buffer_init(&text, KIB(4));
	w = json_writer(&text);
	buffer_append(&text, SPAN("{\"state\":\"failed\",\"error\":"));
	json_string(&w, error_span(&err));
	len = text.len - 1; /* without the closing quote */
	copy = base_calloc(1, len + FAILURE_TAIL);
	memcpy(copy, text.ptr, len);
	buffer_done(&text);
	return copy;
}

static void job_run(struct spawn *job)
{
	pid_t parent = getpid();

	job->failure = failure_text(job);
	job->pidfd = -1;
	job->pid = fork();
	if (job->pid == 0)
		child_run(job, parent);
	if (job->pid < 0)
		error_errno(&job->error, errno, "cannot start a process");
	else
		job->pidfd = process_descriptor(job->pid);
	if (job->pid > 0 && job->pidfd < 0) {
		error_errno(&job->error, errno, "cannot watch process %d", (int)job->pid);
		(void)kill(job->pid, SIGKILL);
		job->pid = -1;
	}
	free(job->failure);
	job->failure = NULL;
	spawn_environment_free(TAKE(job->environment));
}

/* ---- the thread ---- */

static void job_done(struct loop_message *m)
{
	struct spawn *job = CONTAINER_OF(m, struct spawn, message);

	job->done(job);
}

static struct spawn *job_next(struct spawner *s)
{
	struct spawn *job;

	pthread_mutex_lock(&s->lock);
	while (!s->first && !s->is_ending)
		pthread_cond_wait(&s->changed, &s->lock);
	job = s->first;
	if (job) {
		s->first = job->next;
		if (!s->first)
			s->tail = &s->first;
	}
	pthread_mutex_unlock(&s->lock);
	return job;
}

static void *spawner_main(void *argument)
{
	struct spawner *s = argument;

	for (struct spawn *job; (job = job_next(s));) {
		job_run(job);
		job->message.run = job_done;
		loop_send(s->loop, &job->message);
	}
	return NULL;
}

void spawn_start(struct spawner *s, struct spawn *job)
{
	job->next = NULL;
	job->error.code = ERROR_NONE;
	pthread_mutex_lock(&s->lock);
	*s->tail = job;
	s->tail = &job->next;
	pthread_cond_signal(&s->changed);
	pthread_mutex_unlock(&s->lock);
}

void spawn_refuse(struct spawner *s, struct spawn *job)
{
	job->pid = job->pidfd = -1;
	job->message.run = job_done;
	loop_send(s->loop, &job->message);
}

struct spawner *spawner_new(struct loop *l)
{
	struct spawner *s = base_calloc(1, sizeof(*s));
	pthread_attr_t attributes;

	s->loop = l;
	s->tail = &s->first;
	pthread_mutex_init(&s->lock, NULL);
	pthread_cond_init(&s->changed, NULL);
	pthread_attr_init(&attributes);
	pthread_attr_setstacksize(&attributes, STACK_SIZE);
	ASSERT(pthread_create(&s->thread, &attributes, spawner_main, s) == 0);
	pthread_attr_destroy(&attributes);
	return s;
}

void spawner_free(struct spawner *s)
{
	if (!s)
		return;
	pthread_mutex_lock(&s->lock);
	s->is_ending = true;
	pthread_cond_signal(&s->changed);
	pthread_mutex_unlock(&s->lock);
	pthread_join(s->thread, NULL);
	pthread_mutex_destroy(&s->lock);
	pthread_cond_destroy(&s->changed);
	free(s);
}
