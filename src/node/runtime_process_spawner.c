/* SPDX-License-Identifier: Apache-2.0 */
/* runtime_process_spawner - the spawner is begun, asked, and begun again when it has died. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "node/runtime_process_private.h"

/* Room for the names of pods in ps: the spawner writes over it (supervisor_title). */
#define TITLE_64   "................................................................"
#define TITLE_ROOM "HYTHE_TITLE=" TITLE_64 TITLE_64 TITLE_64 TITLE_64 TITLE_64 TITLE_64

enum { ARENA_BYTES_MOST = 1 << 20 };

static void lost(struct runtime_process *r)
{
	struct spawner_link *l = &r->spawner;

	if (l->channel.fd < 0)
		return;
	loop_unwatch(r->loop, &l->watch);
	channel_done(&l->channel);
	if (l->pid > 0) {
		(void)kill(l->pid, SIGKILL); /* it has ended, or is about to: no waiting below */
		while (waitpid(l->pid, NULL, 0) < 0 && errno == EINTR)
			;
	}
	l->pid = 0;
	/* Whoever it had not served sees its connection close, and asks again. */
	while (l->asked) {
		struct spawn_asked *a = l->asked;

		l->asked = a->next;
		free(a);
	}
}

static void answered(struct runtime_process *r, const struct supervisor_reply *reply)
{
	for (struct spawn_asked **at = &r->spawner.asked; *at; at = &(*at)->next) {
		struct spawn_asked *a = *at;
		struct error err = { 0 };

		if (a->id != reply->id)
			continue;
		*at = a->next;
		if (reply_error(reply, &err))
			sandbox_failed(a->sandbox, &err);
		else if (!a->sandbox->pid)
			a->sandbox->pid = (pid_t)reply->pid;
		free(a);
		return;
	}
}

static void link_ready(struct watch *w, unsigned events)
{
	struct runtime_process *r = CONTAINER_OF(w, struct runtime_process, spawner.watch);
	struct spawner_link *l = &r->spawner;
	struct error err = { 0 };
	bool is_open = channel_receive(&l->channel, &err);
	enum channel_state state;
	int fds[SUPERVISOR_FDS_MOST];
	struct span text;
	size_t count;

	(void)events;
	while ((state = channel_next(&l->channel, &text, fds, &count, &err)) == CHANNEL_MESSAGE) {
		struct supervisor_reply reply;
		struct arena arena;

		for (size_t i = 0; i < count; i++)
			close(fds[i]);
		arena_init(&arena, ARENA_BYTES_MOST);
		is_open = reply_read(text, &arena, &reply, &err) && is_open;
		if (is_open)
			answered(r, &reply);
		arena_done(&arena);
	}
	if (!is_open || state == CHANNEL_BROKEN) {
		lost(r);
		return;
	}
	(void)channel_flush(&l->channel, &err); /* its end would come as one to read */
	loop_watch_change(r->loop, &l->watch, channel_is_unsent(&l->channel) ? LOOP_READ | LOOP_WRITE : LOOP_READ);
}

/* A session of its own: what is typed at our terminal is not for pods. No signal blocked, none ignored, no descriptor but three. */
static int begin(const char *program, int socket_fd, pid_t *ret_pid)
{
	char *const argv[] = { (char *)(uintptr_t) "hythe", (char *)(uintptr_t)SUPERVISOR_COMMAND, NULL };
	char *const environment[] = { (char *)(uintptr_t)TITLE_ROOM, NULL };
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attributes;
	sigset_t none, all;
	int failed;

	sigemptyset(&none);
	sigfillset(&all);
	posix_spawn_file_actions_init(&actions);
	posix_spawnattr_init(&attributes);
	posix_spawn_file_actions_adddup2(&actions, socket_fd, STDIN_FILENO);
	posix_spawn_file_actions_addclosefrom_np(&actions, STDERR_FILENO + 1);
	posix_spawnattr_setsigmask(&attributes, &none);
	posix_spawnattr_setsigdefault(&attributes, &all);
	posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSID);
	failed = posix_spawn(ret_pid, program, &actions, &attributes, argv, environment);
	posix_spawnattr_destroy(&attributes);
	posix_spawn_file_actions_destroy(&actions);
	return failed;
}

/* Supervisors made ahead. It has no answer; where it can't be sent, that is seen at the first that is asked for. */
static void prepare(struct runtime_process *r)
{
	const struct supervisor_request request = { .id = ++r->last_id,
						    .op = SPAN("prepare"),
						    .folder = span_of(r->folder) };
	struct error ignored = { 0 };
	struct buffer text;

	buffer_init(&text, KIB(64));
	supervisor_request_write(&request, &text);
	if (channel_send(&r->spawner.channel, buffer_span(&text), NULL, 0, &ignored))
		(void)channel_flush(&r->spawner.channel, &ignored);
	buffer_done(&text);
}

bool spawner_link_start(struct runtime_process *r, struct error *err)
{
	int pair[2], failed;
	pid_t pid;

	if (r->spawner.channel.fd >= 0)
		return true;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return error_errno(err, errno, "cannot make a socket pair");
	failed = begin(r->program, pair[1], &pid);
	close(pair[1]);
	if (failed) {
		close(pair[0]);
		return error_errno(err, failed, "cannot begin '%s'", r->program);
	}
	r->spawner.pid = pid;
	channel_init(&r->spawner.channel, pair[0]);
	loop_watch(r->loop, &r->spawner.watch, pair[0], LOOP_READ, link_ready);
	prepare(r);
	return true;
}

bool spawner_link_ask(struct runtime_process *r, struct sandbox *s, int connection_fd, struct error *err)
{
	struct supervisor_request request = { .id = ++r->last_id, .op = SPAN("spawn"), .folder = span_of(s->folder) };
	struct spawn_asked *a;
	struct buffer text;
	bool ok;

	if (!spawner_link_start(r, err)) {
		close(connection_fd);
		return false;
	}
	buffer_init(&text, SUPERVISOR_MESSAGE_MOST);
	supervisor_request_write(&request, &text);
	ok = channel_send(&r->spawner.channel, buffer_span(&text), &connection_fd, 1, err);
	buffer_done(&text);
	if (!ok)
		return false;
	a = base_calloc(1, sizeof(*a));
	a->id = request.id;
	a->sandbox = s;
	a->next = r->spawner.asked;
	r->spawner.asked = a;
	if (channel_flush(&r->spawner.channel, err))
		loop_watch_change(r->loop, &r->spawner.watch,
				  channel_is_unsent(&r->spawner.channel) ? LOOP_READ | LOOP_WRITE : LOOP_READ);
	return true; /* one that has died is seen by its watch, and this request by its connection */
}

void spawner_link_forget(struct runtime_process *r, const struct sandbox *s)
{
	for (struct spawn_asked **at = &r->spawner.asked; *at;) {
		struct spawn_asked *a = *at;

		if (a->sandbox != s) {
			at = &a->next;
			continue;
		}
		*at = a->next;
		free(a);
	}
}

void spawner_link_stop(struct runtime_process *r)
{
	lost(r);
}
