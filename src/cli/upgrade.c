/* SPDX-License-Identifier: Apache-2.0 */
/* upgrade - the side of the one who takes over, and the packets of both. */
#include "cli/upgrade.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/number.h"
#include "cli/upgrade_private.h"

#define GREETING_NS (10 * NS_PER_S) /* how long the other one may take to say who it is */
#define ENDING_MS   2000            /* and one that has fallen silent, to be gone */

struct upgrade {
	int fd;
	pid_t pid;
	struct upgrade_sockets sockets;
};

/* ---- packets ---- */

bool upgrade_send(int fd, struct span text, const int *fds, size_t count)
{
	union {
		struct cmsghdr head;
		char bytes[CMSG_SPACE(UPGRADE_SOCKETS_AT_ONCE * sizeof(int))];
	} control = { 0 };
	struct iovec iov = { (void *)text.ptr, text.len };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1 };
	ssize_t n;

	ASSERT(count <= UPGRADE_SOCKETS_AT_ONCE);
	if (count) {
		m.msg_control = &control;
		m.msg_controllen = CMSG_SPACE(count * sizeof(int));
		control.head.cmsg_level = SOL_SOCKET;
		control.head.cmsg_type = SCM_RIGHTS;
		control.head.cmsg_len = CMSG_LEN(count * sizeof(int));
		memcpy(CMSG_DATA(&control.head), fds, count * sizeof(int));
	}
	do {
		n = sendmsg(fd, &m, MSG_NOSIGNAL);
	} while (n < 0 && errno == EINTR);
	return n == (ssize_t)text.len;
}

static void take_descriptors(struct msghdr *m, int *ret_fds, size_t *ret_count)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c; c = CMSG_NXTHDR(m, c)) {
		size_t bytes = c->cmsg_len - CMSG_LEN(0);

		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		memcpy(ret_fds, CMSG_DATA(c), bytes); /* as many as the control buffer holds, at most */
		*ret_count = bytes / sizeof(int);
	}
}

ssize_t upgrade_receive(int fd, char *text, size_t size, int *ret_fds, size_t *ret_count)
{
	union {
		struct cmsghdr head;
		char bytes[CMSG_SPACE(UPGRADE_SOCKETS_AT_ONCE * sizeof(int))];
	} control;
	struct iovec iov = { text, size };
	struct msghdr m = {
		.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control)
	};
	int fds[UPGRADE_SOCKETS_AT_ONCE];
	size_t count = 0;
	ssize_t n;

	do {
		n = recvmsg(fd, &m, MSG_CMSG_CLOEXEC);
	} while (n < 0 && errno == EINTR);
	if (n > 0)
		take_descriptors(&m, fds, &count);
	if (ret_fds) {
		memcpy(ret_fds, fds, count * sizeof(int));
		*ret_count = count;
	}
	while (!ret_fds && count)
		close(fds[--count]);
	return n;
}

bool upgrade_hears(int fd, const char *word)
{
	char text[64];
	ssize_t n = upgrade_receive(fd, text, sizeof(text), NULL, NULL);

	return n > 0 && span_equal((struct span){ text, (size_t)n }, span_of(word));
}

bool upgrade_is_ours(int fd)
{
	struct ucred who;
	socklen_t len = sizeof(who);

	return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &len) == 0 && (who.uid == geteuid() || who.uid == 0);
}

int upgrade_address(const char *folder, struct sockaddr_un *ret)
{
	int at = open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC);

	*ret = (struct sockaddr_un){ .sun_family = AF_UNIX };
	(void)snprintf(ret->sun_path, sizeof(ret->sun_path), "/proc/self/fd/%d/" UPGRADE_FILE, at);
	return at;
}

/* ---- sockets ---- */

void upgrade_add(struct upgrade_sockets *to, const char *group, struct span key, int fd)
{
	struct upgrade_socket *s;

	to->list = base_realloc(to->list, (to->count + 1) * sizeof(*to->list));
	s = &to->list[to->count++];
	s->fd = fd;
	ASSERT(asprintf(&s->key, "%s%s" SPAN_FMT, group ? group : "", group ? " " : "", SPAN_ARG(key)) >= 0);
}

void upgrade_add_server(struct upgrade_sockets *to, const struct upgrade_addresses *a, const struct server *s)
{
	size_t count;
	struct server_socket *list = server_sockets(s, &count);

	for (size_t i = 0; i < count; i++)
		upgrade_add(to, NULL, span_of(a->keys[list[i].address]), list[i].fd);
	free(list);
}

void upgrade_sockets_done(struct upgrade_sockets *s)
{
	while (s->count) {
		struct upgrade_socket *last = &s->list[--s->count];

		if (last->fd >= 0)
			close(last->fd);
		free(last->key);
	}
	free(s->list);
	s->list = NULL;
}

/* ---- joining ---- */

static int reach(const char *folder)
{
	struct sockaddr_un to;
	AUTO_CLOSE int at = upgrade_address(folder, &to);
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	if (fd >= 0 && (at < 0 || connect(fd, (const struct sockaddr *)&to, sizeof(to)) != 0)) {
		close(fd);
		fd = -1;
	}
	return fd;
}

/* From the one that this process was before it started again. */
static int left_by_ourselves(void)
{
	const char *text = getenv(UPGRADE_VARIABLE);
	uint64_t fd = 0;
	bool is_good = text && number_parse_uint64(span_of(text), &fd) && fd < 1 << 20;

	(void)unsetenv(UPGRADE_VARIABLE);
	if (!is_good || fcntl((int)fd, F_SETFD, FD_CLOEXEC) != 0)
		return -1;
	return (int)fd;
}

static bool unsuitable(struct error *err)
{
	return error_set(err, ERROR_UNAVAILABLE,
			 "the hythe that runs there does not hand over as this one takes: end it first");
}

/* "hythe-upgrade 1 PID COUNT" */
static bool greet(struct upgrade *u, size_t *ret_count, struct error *err)
{
	struct timeval limit = { .tv_sec = GREETING_NS / NS_PER_S };
	char text[128];
	struct span rest, number;
	uint64_t pid, count;
	ssize_t n;

	(void)setsockopt(u->fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	if (!upgrade_send(u->fd, SPAN(UPGRADE_GREETING), NULL, 0))
		return unsuitable(err);
	n = upgrade_receive(u->fd, text, sizeof(text), NULL, NULL);
	rest = (struct span){ text, n > 0 ? (size_t)n : 0 };
	if (!span_starts(rest, SPAN(UPGRADE_GREETING " ")))
		return unsuitable(err);
	rest = span_skip(rest, strlen(UPGRADE_GREETING " "));
	number = span_cut(&rest, ' ');
	if (!number_parse_uint64(number, &pid) || !number_parse_uint64(rest, &count) || pid > INT32_MAX)
		return unsuitable(err);
	u->pid = (pid_t)pid;
	*ret_count = count;
	return true;
}

static bool receive_sockets(struct upgrade *u, size_t count, struct error *err)
{
	AUTO_FREE char *text = base_alloc(UPGRADE_PACKET);
	struct timeval no_limit = { 0 };

	while (u->sockets.count < count) {
		int fds[UPGRADE_SOCKETS_AT_ONCE];
		size_t fd_count = 0;
		ssize_t n = upgrade_receive(u->fd, text, UPGRADE_PACKET, fds, &fd_count);
		struct span rest = { text, n > 0 ? (size_t)n : 0 };

		for (size_t i = 0; i < fd_count; i++)
			upgrade_add(&u->sockets, NULL, span_cut(&rest, '\n'), fds[i]);
		if (!fd_count)
			return unsuitable(err);
	}
	(void)setsockopt(u->fd, SOL_SOCKET, SO_RCVTIMEO, &no_limit, sizeof(no_limit));
	return true;
}

/* Whoever ends says as little as one who does not know the greeting. */
static bool has_ended(int fd)
{
	struct ucred who;
	socklen_t len = sizeof(who);
	struct pollfd end = { -1, POLLIN, 0 };
	bool is_gone;

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &len) != 0 || who.pid == getpid())
		return false;
	end.fd = (int)syscall(SYS_pidfd_open, who.pid, 0);
	if (end.fd < 0)
		return errno == ESRCH;
	is_gone = poll(&end, 1, ENDING_MS) == 1;
	close(end.fd);
	if (is_gone)
		log_warn("up", "the process to take over from has ended by itself", LOG_INT("process", who.pid));
	return is_gone;
}

struct upgrade *upgrade_join(const char *folder, struct error *err)
{
	struct upgrade *u;
	int fd = left_by_ourselves();
	size_t count = 0;

	if (fd < 0)
		fd = reach(folder);
	if (fd < 0)
		return NULL;
	u = base_calloc(1, sizeof(*u));
	u->fd = fd;
	if (upgrade_is_ours(fd) && greet(u, &count, err) && receive_sockets(u, count, err))
		return u;
	if (!err->code)
		error_set(err, ERROR_FORBIDDEN, "the hythe that runs there is another user's");
	else if (has_ended(fd))
		*err = (struct error){ 0 };
	upgrade_free(u);
	return NULL;
}

pid_t upgrade_pid(const struct upgrade *u)
{
	return u->pid;
}

/* ---- what becomes of the sockets ---- */

static void address_add(struct upgrade_addresses *a, const char *text, int fd, const char *key)
{
	char *item;

	if (fd >= 0)
		ASSERT(asprintf(&item, "fd:%d", fd) > 0);
	else
		item = span_to_text(span_of(text));
	a->items = base_realloc((void *)a->items, (a->count + 1) * sizeof(*a->items));
	a->keys = base_realloc((void *)a->keys, (a->count + 1) * sizeof(*a->keys));
	a->items[a->count] = item;
	a->keys[a->count++] = span_to_text(span_of(key));
}

/* Takes one of that key; -1: there is none. */
static int take_one(struct upgrade *u, const char *key)
{
	for (size_t i = 0; u && i < u->sockets.count; i++) {
		struct upgrade_socket *s = &u->sockets.list[i];
		int fd = s->fd;

		if (fd < 0 || strcmp(s->key, key) != 0)
			continue;
		s->fd = -1;
		return fd;
	}
	return -1;
}

void upgrade_addresses_init(struct upgrade_addresses *a, struct upgrade *u, const char *group,
			    const struct text_list *wanted)
{
	*a = (struct upgrade_addresses){ .count = 0 };
	for (size_t i = 0; i < wanted->count; i++) {
		AUTO_FREE char *key = NULL;

		ASSERT(asprintf(&key, "%s %s", group, wanted->items[i]) > 0);
		address_add(a, wanted->items[i], take_one(u, key), key);
	}
	/* Each worker had one: the others' queues have clients too. */
	for (size_t i = 0; i < wanted->count; i++) {
		int fd;

		while ((fd = take_one(u, a->keys[i])) >= 0)
			address_add(a, NULL, fd, a->keys[i]);
	}
}

void upgrade_addresses_done(struct upgrade_addresses *a)
{
	for (size_t i = 0; i < a->count; i++) {
		free((char *)a->items[i]);
		free(a->keys[i]);
	}
	free((void *)a->items);
	free((void *)a->keys);
	*a = (struct upgrade_addresses){ .count = 0 };
}

struct gateway_inherited *upgrade_take(struct upgrade *u, const char *group, size_t *ret_count)
{
	struct gateway_inherited *list = base_calloc((u ? u->sockets.count : 0) + 1, sizeof(*list));
	size_t count = 0;

	for (size_t i = 0; u && i < u->sockets.count; i++) {
		struct upgrade_socket *s = &u->sockets.list[i];
		struct span rest = span_of(s->key);

		if (s->fd < 0 || !span_equal(span_cut(&rest, ' '), span_of(group)))
			continue;
		list[count++] = (struct gateway_inherited){ .key = rest, .fd = s->fd };
		s->fd = -1;
	}
	*ret_count = count;
	return list;
}

/* ---- taking over ---- */

void upgrade_ask(struct upgrade *u)
{
	if (u->pid == getpid())
		return;
	log_info("up", "takes over", LOG_INT("from", u->pid));
	if (!upgrade_send(u->fd, SPAN(UPGRADE_GIVE), NULL, 0) || !upgrade_hears(u->fd, UPGRADE_FREE))
		log_warn("up", "the process that is taken over from has ended by itself", LOG_INT("process", u->pid));
}

void upgrade_serves(struct upgrade *u)
{
	(void)upgrade_send(u->fd, SPAN(UPGRADE_SERVES), NULL, 0); /* if it has ended, it need not know */
}

void upgrade_free(struct upgrade *u)
{
	if (!u)
		return;
	upgrade_sockets_done(&u->sockets);
	close(u->fd);
	free(u);
}
