/* SPDX-License-Identifier: Apache-2.0 */
#include "node/spares.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "node/confine.h"
#include "node/supervisor.h"

/* Not while many pods come one after the other: they would wait for what is made for others. */
#define FILL_AFTER_MS   20
#define CHANGE_AFTER_MS 1000 /* on a machine whose mounts change all the time */

union rights {
	char room[CMSG_SPACE(sizeof(int))];
	struct cmsghdr align;
};

void spares_begin(struct spares *s, struct span folder)
{
	AUTO_FREE char *path = base_alloc(folder.len + sizeof("/.scratch"));

	if (s->scratch)
		return;
	memcpy(path, folder.ptr, folder.len);
	memcpy(path + folder.len, "/.scratch", sizeof("/.scratch"));
	if (mkdir(path, 0700) < 0 && errno != EEXIST)
		return;
	s->mounts = open("/proc/self/mounts", O_RDONLY | O_CLOEXEC);
	if (s->mounts < 0)
		return;
	s->wait_ms = FILL_AFTER_MS;
	s->scratch = TAKE(path);
}

int spares_wait_ms(const struct spares *s)
{
	return s->scratch && s->count < SPARES_MOST ? s->wait_ms : -1;
}

static void items_close(struct spares *s)
{
	while (s->count > 0)
		close(s->items[--s->count].fd);
}

void spares_leave(struct spares *s)
{
	items_close(s);
	if (s->scratch)
		close(s->mounts);
}

void spares_drop(struct spares *s)
{
	items_close(s);
	s->wait_ms = CHANGE_AFTER_MS;
}

/* ---- a spare's side ---- */

/* Waits for a pod; the length of its folder's path, or -1. */
static ssize_t pod_await(int fd, char *folder, size_t capacity, int *ret_connection)
{
	struct iovec bytes = { .iov_base = folder, .iov_len = capacity };
	union rights control;
	struct msghdr m = {
		.msg_iov = &bytes, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control)
	};
	struct cmsghdr *h;
	ssize_t n;

	do
		n = recvmsg(fd, &m, MSG_CMSG_CLOEXEC);
	while (n < 0 && errno == EINTR);
	h = n > 0 ? CMSG_FIRSTHDR(&m) : NULL;
	if (!h || h->cmsg_level != SOL_SOCKET || h->cmsg_type != SCM_RIGHTS)
		return -1;
	memcpy(ret_connection, CMSG_DATA(h), sizeof(int));
	return n;
}

_Noreturn static void spare_main(int fd, const char *scratch)
{
	struct enclosure *made;
	char folder[PATH_MAX];
	int connection_fd;
	ssize_t len;

	if (setsid() < 0)
		_exit(1);
	signal(SIGCHLD, SIG_DFL);
	supervisor_title("hythe: pod"); /* as the process that holds the namespaces will be called for good */
	made = enclosure_prepare(span_of(scratch));
	supervisor_title("hythe: pod to come");
	len = pod_await(fd, folder, sizeof(folder), &connection_fd);
	close(fd);
	if (len < 0) {
		enclosure_free(made);
		_exit(0);
	}
	supervisor_title("hythe: pod");
	exit(supervisor_run(connection_fd, span_from(folder, (size_t)len), made));
}

/* ---- the spawner's side ---- */

void spares_fill(struct spares *s, int others)
{
	int pair[2];
	pid_t pid;

	s->wait_ms = FILL_AFTER_MS;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return;
	pid = fork();
	if (pid == 0) {
		close(others);
		close(pair[0]);
		spares_leave(s);
		spare_main(pair[1], s->scratch);
	}
	close(pair[1]);
	if (pid < 0) {
		close(pair[0]);
		s->wait_ms = CHANGE_AFTER_MS;
		return;
	}
	s->items[s->count].fd = pair[0];
	s->items[s->count++].pid = pid;
}

static bool pod_give(int fd, struct span folder, int connection_fd)
{
	struct iovec bytes = { .iov_base = (void *)(uintptr_t)folder.ptr, .iov_len = folder.len };
	union rights control = { { 0 } };
	struct msghdr m = {
		.msg_iov = &bytes, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control)
	};

	control.align.cmsg_level = SOL_SOCKET;
	control.align.cmsg_type = SCM_RIGHTS;
	control.align.cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(&control.align), &connection_fd, sizeof(int));
	return sendmsg(fd, &m, MSG_NOSIGNAL | MSG_DONTWAIT) == (ssize_t)folder.len;
}

bool spares_take(struct spares *s, struct span folder, int connection_fd, pid_t *ret_pid)
{
	struct pollfd changed = { .fd = s->scratch ? s->mounts : -1, .events = POLLPRI };

	if (s->scratch && poll(&changed, 1, 0) > 0)
		spares_drop(s);
	if (folder.len > PATH_MAX)
		return false;
	for (size_t i = 0; i < s->count;) { /* the oldest first: it is ready */
		int fd = s->items[i].fd;
		bool is_given = pod_give(fd, folder, connection_fd);

		*ret_pid = s->items[i].pid;
		close(fd);
		memmove(s->items, s->items + 1, --s->count * sizeof(s->items[0]));
		if (is_given)
			return true; /* one that could not be given a pod has ended */
	}
	return false;
}
