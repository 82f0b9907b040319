/* SPDX-License-Identifier: Apache-2.0 */
#include "node/egress.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/seccomp.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/number.h"
#include "kube/ranges.h"
#include "loop/loop.h"
#include "node/dns.h"
#include "node/service_table.h"

enum { EPOLLS_MOST = 16, FDINFO_BYTES = 64 * 1024 };

struct egress {
	struct loop *loop;
	bool has_host, has_own; /* has_own: its network has a way out itself */
	char *node;
	uint64_t client; /* of this pod, for services that keep their clients */
	uint64_t cookie; /* of its network namespace; 0: the kernel has none */
	struct service_table table;
	struct connecting *connecting; /* blocking connects under way */
	size_t connecting_count;
	int door;
	struct watch door_watch;
	struct dns *dns;
	int (*socket)(void *context, int family, int type, struct error *err);
	void *context;
};

/* A question whose answer waits for a connection. */
struct connecting {
	struct egress *egress;
	struct connecting *next;
	struct watch watch;
	int notify, fd; /* fd: ours, non-blocking */
	uint64_t id;
	int target_fd;
	bool closes;
};

/* What was asked, and of whom. */
struct question {
	struct egress *egress;
	int notify;
	struct seccomp_notif asked;
	int fd;     /* the number there */
	int theirs; /* the same socket, here; -1 */
	int type, domain, flags;
	bool closes; /* at exec */
	struct sockaddr_storage address;
	socklen_t length;
};

/* ---- answers ---- */

static void answer(int notify, uint64_t id, int error, bool goes_on)
{
	struct seccomp_notif_resp r = { .id = id,
					.error = -error,
					.flags = goes_on ? SECCOMP_USER_NOTIF_FLAG_CONTINUE : 0 };

	(void)ioctl(notify, SECCOMP_IOCTL_NOTIF_SEND, &r); /* ENOENT: who asked has gone */
}

static void refuse(const struct question *q, int error)
{
	answer(q->notify, q->asked.id, error, false);
}

static void go_on(const struct question *q)
{
	answer(q->notify, q->asked.id, 0, true);
}

/* Puts `fd` in the place of the descriptor there. */
static bool replace(int notify, uint64_t id, int fd, int target_fd, bool closes)
{
	struct seccomp_notif_addfd add = { .id = id,
					   .flags = SECCOMP_ADDFD_FLAG_SETFD,
					   .srcfd = (uint32_t)fd,
					   .newfd = (uint32_t)target_fd,
					   .newfd_flags = closes ? O_CLOEXEC : 0 };

	return ioctl(notify, SECCOMP_IOCTL_NOTIF_ADDFD, &add) >= 0;
}

/* ---- who asks ---- */

/* A small file of /proc, as far as there is room, with a NUL. False: it cannot be read. */
static bool proc_read(pid_t pid, const char *name, int number, char *to, size_t size)
{
	char path[64];
	ssize_t n;
	int fd;

	if (number < 0)
		(void)snprintf(path, sizeof(path), "/proc/%d/%s", pid, name);
	else
		(void)snprintf(path, sizeof(path), "/proc/%d/%s/%d", pid, name, number);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	n = fd < 0 ? -1 : read(fd, to, size - 1);
	if (fd >= 0)
		close(fd);
	to[MAX(n, 0)] = '\0';
	return n > 0;
}

/* The number behind a word, as the kernel writes it there in this base; 0: the word is not there. */
static uint64_t number_behind(const char *text, const char *word, unsigned base)
{
	const char *at = strstr(text, word);
	uint64_t n = 0;

	if (!at)
		return 0;
	for (at += strlen(word); *at == ' ' || *at == '\t'; at++)
		;
	for (;; at++) {
		unsigned digit = *at >= '0' && *at <= '9'   ? (unsigned)(*at - '0')
				 : *at >= 'a' && *at <= 'f' ? (unsigned)(*at - 'a') + 10
							    : base;

		if (digit >= base)
			return n;
		n = n * base + digit;
	}
}

/* The process of a thread; on older kernels a pidfd can be had of processes alone. */
static pid_t process_of(pid_t thread)
{
	char text[1024];

	return proc_read(thread, "status", -1, text, sizeof(text)) ? (pid_t)number_behind(text, "\nTgid:", 10) : thread;
}

static int fd_get(pid_t thread, int fd)
{
	int pidfd = (int)syscall(SYS_pidfd_open, thread, 0), got;

	if (pidfd < 0)
		pidfd = (int)syscall(SYS_pidfd_open, process_of(thread), 0);
	if (pidfd < 0)
		return -1;
	got = (int)syscall(SYS_pidfd_getfd, pidfd, fd, 0);
	close(pidfd);
	return got;
}

/* False: answered, or nobody waits any more. */
static bool question_read(struct question *q)
{
	bool is_connect = q->asked.data.nr == SYS_connect;
	uint64_t address = q->asked.data.args[is_connect ? 1 : 4], length = q->asked.data.args[is_connect ? 2 : 5];
	struct iovec here = { &q->address, MIN(length, sizeof(q->address)) },
		     there = { (void *)(uintptr_t)address, here.iov_len };
	uint64_t id = q->asked.id;

	q->fd = (int)q->asked.data.args[0];
	if (length < sizeof(sa_family_t) || length > sizeof(q->address)) {
		go_on(q); /* the kernel says what is wrong with it */
		return false;
	}
	q->length = (socklen_t)length;
	if (process_vm_readv((pid_t)q->asked.pid, &here, 1, &there, 1, 0) != (ssize_t)here.iov_len) {
		refuse(q, EFAULT);
		return false;
	}
	return ioctl(q->notify, SECCOMP_IOCTL_NOTIF_ID_VALID, &id) == 0;
}

/* Whether the descriptor closes at exec, which only its table knows. */
static bool closes_at_exec(pid_t thread, int fd)
{
	char text[256];

	return proc_read(thread, "fdinfo", fd, text, sizeof(text)) && number_behind(text, "flags:", 8) & O_CLOEXEC;
}

static bool option_int(int fd, int level, int name, int *ret)
{
	socklen_t len = sizeof(*ret);

	return getsockopt(fd, level, name, ret, &len) == 0;
}

/* False: answered. */
static bool socket_look(struct question *q)
{
	q->theirs = fd_get((pid_t)q->asked.pid, q->fd);
	if (q->theirs < 0 || !option_int(q->theirs, SOL_SOCKET, SO_TYPE, &q->type) ||
	    !option_int(q->theirs, SOL_SOCKET, SO_DOMAIN, &q->domain)) {
		go_on(q); /* no socket: the kernel says so */
		return false;
	}
	q->flags = fcntl(q->theirs, F_GETFL);
	q->closes = closes_at_exec((pid_t)q->asked.pid, q->fd);
	return true;
}

static uint64_t cookie_of(int fd)
{
	uint64_t cookie = 0;
	socklen_t len = sizeof(cookie);

#ifndef SO_NETNS_COOKIE
#define SO_NETNS_COOKIE 71
#endif
	return getsockopt(fd, SOL_SOCKET, SO_NETNS_COOKIE, &cookie, &len) == 0 ? cookie : 0;
}

/* ---- where to ---- */

/* An IPv4 address, also as IPv6 has it (::ffff:127.96.0.1). False: it is none. */
static bool four_of(const struct question *q, struct in_addr *ret, uint16_t *ret_port)
{
	const struct sockaddr_in *four = (const struct sockaddr_in *)&q->address;
	const struct sockaddr_in6 *six = (const struct sockaddr_in6 *)&q->address;

	if (q->address.ss_family == AF_INET && q->length >= sizeof(*four)) {
		*ret = four->sin_addr;
		*ret_port = ntohs(four->sin_port);
		return true;
	}
	if (q->address.ss_family != AF_INET6 || q->length < sizeof(*six) || !IN6_IS_ADDR_V4MAPPED(&six->sin6_addr))
		return false;
	memcpy(ret, &six->sin6_addr.s6_addr[12], sizeof(*ret));
	*ret_port = ntohs(six->sin6_port);
	return true;
}

static void address_set(struct question *q, const struct sockaddr_in *to)
{
	struct sockaddr_in6 *six = (struct sockaddr_in6 *)&q->address;

	if (q->domain == AF_INET) {
		memcpy(&q->address, to, sizeof(*to));
		q->length = sizeof(*to);
		return;
	}
	six->sin6_port = to->sin_port;
	memcpy(&six->sin6_addr.s6_addr[12], &to->sin_addr, sizeof(to->sin_addr));
}

static bool is_in(struct in_addr a, uint32_t network)
{
	return (ntohl(a.s_addr) & RANGE_MASK) == network;
}

static bool is_loopback(struct in_addr a)
{
	return ntohl(a.s_addr) >> 24 == 127;
}

enum place { PLACE_HERE, PLACE_OWN, PLACE_HOST, PLACE_POD, PLACE_NOWHERE, PLACE_NOBODY };

static enum place place_outside(const struct egress *e)
{
	return e->has_own ? PLACE_OWN : e->has_host ? PLACE_HOST : PLACE_NOWHERE;
}

/* Also takes a cluster IP's place in q->address by what is behind it. */
static enum place place_of(struct question *q, struct in_addr *ret_pod)
{
	struct egress *e = q->egress;
	struct sockaddr_in behind;
	struct in_addr to;
	uint16_t port;
	bool is_known;

	if (!four_of(q, &to, &port)) {
		const struct sockaddr_in6 *six = (const struct sockaddr_in6 *)&q->address;

		if (q->address.ss_family != AF_INET6 || q->length < sizeof(*six) ||
		    IN6_IS_ADDR_LOOPBACK(&six->sin6_addr) || IN6_IS_ADDR_UNSPECIFIED(&six->sin6_addr))
			return PLACE_HERE;
		return place_outside(e);
	}
	if (is_in(to, CLUSTER_IPS) && !(dns_is_at(to) && port == DNS_PORT)) {
		if (!service_table_choose(&e->table, to, port, q->type == SOCK_DGRAM, e->client, &behind, &is_known))
			return PLACE_NOBODY;
		address_set(q, &behind);
		to = behind.sin_addr;
		if (!is_in(to, POD_IPS))
			return PLACE_HOST; /* what the cluster itself serves, and pods that the machine reaches */
		*ret_pod = to;
		return PLACE_POD;
	}
	if (is_in(to, POD_IPS) && !e->has_own) {
		*ret_pod = to;
		return PLACE_POD;
	}
	if (is_loopback(to) || to.s_addr == INADDR_ANY)
		return PLACE_HERE;
	return place_outside(e);
}

/* ---- a socket from elsewhere ---- */

static void door_open(struct watch *w, unsigned events);

/* For the answer at another's door; who knocks at ours meanwhile may wait for us there. False: none came in a second. */
static bool door_wait(struct egress *e, int fd)
{
	struct pollfd fds[2] = { { .fd = fd, .events = POLLIN }, { .fd = e->door, .events = POLLIN } };
	int64_t until = clock_monotonic_ns() + NS_PER_S;

	for (;;) {
		int64_t left = until - clock_monotonic_ns();

		if (left <= 0 || (poll(fds, 2, (int)(left / NS_PER_MS) + 1) < 0 && errno != EINTR))
			return false;
		if (fds[0].revents)
			return true;
		if (fds[1].revents)
			door_open(&e->door_watch, LOOP_READ);
	}
}

/* Asks the door of the pod with this address. Waits no longer than its supervisor needs for a system call or two. */
static int door_knock(struct egress *e, struct in_addr pod, int domain, int type)
{
	union {
		struct cmsghdr head;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control = { 0 };
	struct sockaddr_un to = { .sun_family = AF_UNIX };
	char text[INET_ADDRSTRLEN], link[PATH_MAX], folder[PATH_MAX], status;
	int wanted[2] = { domain, type }, fd, got = -1;
	struct timeval patience = { .tv_sec = 1 };
	struct iovec iov = { &status, 1 };
	struct msghdr m = {
		.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control)
	};
	ssize_t n = -1;

	(void)inet_ntop(AF_INET, &pod, text, sizeof(text));
	(void)snprintf(link, sizeof(link), "%s/addresses/%s", e->node, text);
	n = readlink(link, folder, sizeof(folder) - 1);
	if (n <= 0)
		return errno = EHOSTUNREACH, -1;
	folder[n] = '\0';
	if (strrchr(folder, '/'))
		*strrchr(folder, '/') = '\0';
	/* Paths of Unix sockets are short: by a descriptor of the folder. */
	fd = open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return errno = EHOSTUNREACH, -1;
	(void)snprintf(to.sun_path, sizeof(to.sun_path), "/proc/self/fd/%d/door", fd);
	got = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	(void)setsockopt(got, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
	if (connect(got, (struct sockaddr *)&to, sizeof(to)) == 0 &&
	    send(got, wanted, sizeof(wanted), MSG_NOSIGNAL) > 0 && door_wait(e, got))
		n = recvmsg(got, &m, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
	close(fd);
	close(got);
	if (n != 1 || !CMSG_FIRSTHDR(&m) || CMSG_FIRSTHDR(&m)->cmsg_type != SCM_RIGHTS)
		return errno = EHOSTUNREACH, -1;
	memcpy(&got, CMSG_DATA(CMSG_FIRSTHDR(&m)), sizeof(got));
	return got;
}

/* What the program had set before it connected. */
static void options_copy(int from, int to, int type)
{
	static const struct {
		int level, name, size;
		bool of_streams;
	} options[] = {
		{ SOL_SOCKET, SO_KEEPALIVE, sizeof(int), true },
		{ SOL_SOCKET, SO_LINGER, sizeof(struct linger), true },
		{ SOL_SOCKET, SO_RCVTIMEO, sizeof(struct timeval), false },
		{ SOL_SOCKET, SO_SNDTIMEO, sizeof(struct timeval), false },
		{ SOL_SOCKET, SO_BROADCAST, sizeof(int), false },
		{ IPPROTO_TCP, TCP_NODELAY, sizeof(int), true },
		{ IPPROTO_TCP, TCP_KEEPIDLE, sizeof(int), true },
		{ IPPROTO_TCP, TCP_KEEPINTVL, sizeof(int), true },
		{ IPPROTO_TCP, TCP_KEEPCNT, sizeof(int), true },
		{ IPPROTO_TCP, TCP_USER_TIMEOUT, sizeof(int), true },
	};
	char value[sizeof(struct timeval)];

	for (size_t i = 0; i < ARRAY_LEN(options); i++) {
		socklen_t len = (socklen_t)options[i].size;

		if ((!options[i].of_streams || type == SOCK_STREAM) &&
		    getsockopt(from, options[i].level, options[i].name, value, &len) == 0)
			(void)setsockopt(to, options[i].level, options[i].name, value, len);
	}
}

static int socket_make(const struct question *q, enum place place, struct in_addr pod)
{
	struct error ignored = { 0 };
	int fd;

	if (place == PLACE_POD)
		fd = door_knock(q->egress, pod, q->domain, q->type);
	else if (place == PLACE_OWN)
		fd = q->egress->socket(q->egress->context, q->domain, q->type, &ignored);
	else
		fd = socket(q->domain, q->type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -1;
	(void)fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
	options_copy(q->theirs, fd, q->type);
	return fd;
}

/* ---- epoll sets that knew the socket ---- */

struct epoll_entry {
	int fd; /* the set, here */
	struct epoll_event event;
};

/* "tfd: 7 events: 8000001d data: 7f..." of the set's fdinfo. */
static bool entry_find(pid_t pid, int set, int target, struct epoll_event *ret)
{
	static char text[FDINFO_BYTES];

	if (!proc_read(pid, "fdinfo", set, text, sizeof(text)))
		return false;
	for (const char *at = strstr(text, "tfd:"); at; at = strstr(at + 1, "tfd:")) {
		if (number_behind(at, "tfd:", 10) != (uint64_t)target)
			continue;
		ret->events = (uint32_t)number_behind(at, "events:", 16);
		ret->data.u64 = number_behind(at, "data:", 16);
		return true;
	}
	return false;
}

static size_t entries_find(pid_t thread, int target, struct epoll_entry ret[EPOLLS_MOST])
{
	pid_t pid = process_of(thread);
	char path[64], link[64];
	struct dirent *d;
	size_t count = 0;
	DIR *folder;

	(void)snprintf(path, sizeof(path), "/proc/%d/fd", pid);
	folder = opendir(path);
	while (folder && count < EPOLLS_MOST && (d = readdir(folder))) {
		ssize_t n = readlinkat(dirfd(folder), d->d_name, link, sizeof(link));
		int64_t number;
		int set;

		if (!number_parse_int64(span_of(d->d_name), &number)) /* "." and ".." */
			continue;
		set = (int)number;
		if (!span_equal(span_from(link, (size_t)MAX(n, 0)), SPAN("anon_inode:[eventpoll]")) ||
		    !entry_find(pid, set, target, &ret[count].event))
			continue;
		ret[count].fd = fd_get(pid, set);
		count += ret[count].fd >= 0;
	}
	if (folder)
		(void)closedir(folder);
	return count;
}

/* A set knows its sockets by their numbers too: one with the same number is made, in a child, whose numbers are free. */
static void entries_add(const struct epoll_entry *entries, size_t count, int fd, int target)
{
	pid_t child = count ? fork() : -1;

	if (child == 0) {
		for (size_t i = 0; i < count; i++) {
			int set = fcntl(entries[i].fd, F_DUPFD, target + 1), socket = fcntl(fd, F_DUPFD, target + 1);
			struct epoll_event event = entries[i].event;

			(void)dup2(socket, target);
			(void)epoll_ctl(set, EPOLL_CTL_ADD, target, &event);
		}
		_exit(0);
	}
	if (child > 0)
		(void)waitpid(child, NULL, 0);
}

/* ---- connecting ---- */

static void connecting_end(struct connecting *c, int error)
{
	struct connecting **at = &c->egress->connecting;

	if (error || !replace(c->notify, c->id, c->fd, c->target_fd, c->closes))
		answer(c->notify, c->id, error ? error : EBADF, false);
	else
		answer(c->notify, c->id, 0, false);
	while (*at != c)
		at = &(*at)->next;
	*at = c->next;
	c->egress->connecting_count--;
	loop_unwatch(c->egress->loop, &c->watch);
	close(c->fd);
	free(c);
}

static void connected(struct watch *w, unsigned events)
{
	struct connecting *c = CONTAINER_OF(w, struct connecting, watch);
	int error = 0;

	(void)events;
	if (!option_int(c->fd, SOL_SOCKET, SO_ERROR, &error))
		error = errno;
	if (!error)
		(void)fcntl(c->fd, F_SETFL, fcntl(c->fd, F_GETFL) & ~O_NONBLOCK);
	connecting_end(c, error);
}

static void connecting_begin(const struct question *q, int fd)
{
	struct connecting *c;

	if (q->egress->connecting_count >= EGRESS_CONNECTING_MOST) {
		refuse(q, EAGAIN);
		close(fd);
		return;
	}
	c = base_calloc(1, sizeof(*c));
	*c = (struct connecting){ .egress = q->egress,
				  .next = q->egress->connecting,
				  .notify = q->notify,
				  .fd = fd,
				  .id = q->asked.id,
				  .target_fd = q->fd,
				  .closes = q->closes };
	q->egress->connecting = c;
	q->egress->connecting_count++;
	loop_watch(q->egress->loop, &c->watch, fd, LOOP_WRITE, connected);
}

/* The new socket takes the place, connected or about to be. */
static void install(const struct question *q, int fd, int error)
{
	struct epoll_entry entries[EPOLLS_MOST];
	size_t count = q->flags & O_NONBLOCK ? entries_find((pid_t)q->asked.pid, q->fd, entries) : 0;

	if (!(q->flags & O_NONBLOCK))
		(void)fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) & ~O_NONBLOCK);
	if (!replace(q->notify, q->asked.id, fd, q->fd, q->closes)) {
		refuse(q, EBADF);
	} else {
		entries_add(entries, count, fd, q->fd);
		refuse(q, error);
	}
	for (size_t i = 0; i < count; i++)
		close(entries[i].fd);
	close(fd);
}

static void connect_elsewhere(const struct question *q, enum place place, struct in_addr pod)
{
	int fd = socket_make(q, place, pod), error;

	if (fd < 0) {
		refuse(q, errno ? errno : EHOSTUNREACH);
		return;
	}
	error = connect(fd, (const struct sockaddr *)&q->address, q->length) == 0 ? 0 : errno;
	if (error == EINPROGRESS && !(q->flags & O_NONBLOCK)) {
		connecting_begin(q, fd);
	} else if (error && error != EINPROGRESS) {
		refuse(q, error);
		close(fd);
	} else {
		install(q, fd, error);
	}
}

/* sendto() without connect: the socket is replaced by one that may go there, and sends what it was asked to. */
static void send_elsewhere(const struct question *q, enum place place, struct in_addr pod)
{
	int fd;

	if (q->type != SOCK_DGRAM) {
		go_on(q); /* streams do not look at the address */
		return;
	}
	fd = socket_make(q, place, pod);
	if (fd < 0) {
		refuse(q, errno ? errno : EHOSTUNREACH);
		return;
	}
	if (!(q->flags & O_NONBLOCK))
		(void)fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) & ~O_NONBLOCK);
	if (replace(q->notify, q->asked.id, fd, q->fd, q->closes))
		go_on(q);
	else
		refuse(q, EBADF);
	close(fd);
}

static void question_answer(struct question *q)
{
	struct in_addr pod = { 0 };
	enum place place;
	uint64_t cookie;
	bool is_own;

	if ((q->domain != AF_INET && q->domain != AF_INET6) || (q->type != SOCK_STREAM && q->type != SOCK_DGRAM)) {
		go_on(q);
		return;
	}
	cookie = cookie_of(q->theirs);
	is_own = !cookie || cookie == q->egress->cookie;
	place = place_of(q, &pod);
	switch (place) {
	case PLACE_NOWHERE:
		refuse(q, ENETUNREACH);
		return;
	case PLACE_NOBODY:
		refuse(q, ECONNREFUSED);
		return;
	case PLACE_HERE:
		if (is_own || q->address.ss_family == AF_UNSPEC)
			go_on(q);
		else
			refuse(q, EINVAL); /* one from elsewhere may not come to what is only there */
		return;
	case PLACE_OWN:
		if (is_own) {
			go_on(q);
			return;
		}
		break;
	case PLACE_HOST:
	case PLACE_POD:
		break;
	}
	if (q->asked.data.nr != SYS_connect) {
		if (is_own)
			send_elsewhere(q, place, pod);
		else
			go_on(q);
	} else {
		connect_elsewhere(q, place, pod);
	}
}

bool egress_answer(struct egress *e, int notify)
{
	struct question q = { .egress = e, .notify = notify, .theirs = -1 };
	struct pollfd ready = { .fd = notify, .events = POLLIN };

	if (poll(&ready, 1, 0) > 0 && !(ready.revents & POLLIN))
		return false;
	if (ioctl(notify, SECCOMP_IOCTL_NOTIF_RECV, &q.asked) != 0)
		return errno == ENOENT || errno == EINTR;
	if (question_read(&q)) {
		if (q.address.ss_family != AF_INET && q.address.ss_family != AF_INET6)
			go_on(&q);
		else if (socket_look(&q))
			question_answer(&q);
	}
	if (q.theirs >= 0)
		close(q.theirs);
	return true;
}

/* ---- the door ---- */

static void door_open(struct watch *w, unsigned events)
{
	struct egress *e = CONTAINER_OF(w, struct egress, door_watch);
	union {
		struct cmsghdr head;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control = { 0 };
	int client = accept4(e->door, NULL, NULL, SOCK_CLOEXEC), wanted[2], fd = -1;
	struct timeval patience = { .tv_usec = 100000 };
	struct ucred who = { 0 };
	socklen_t len = sizeof(who);
	char status = 0;
	struct iovec iov = { &status, 1 };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1 };
	struct error ignored = { 0 };

	(void)events;
	if (client < 0)
		return;
	(void)setsockopt(client, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	if (getsockopt(client, SOL_SOCKET, SO_PEERCRED, &who, &len) == 0 && who.uid == geteuid() &&
	    recv(client, wanted, sizeof(wanted), 0) == (ssize_t)sizeof(wanted) &&
	    (wanted[0] == AF_INET || wanted[0] == AF_INET6) && (wanted[1] == SOCK_STREAM || wanted[1] == SOCK_DGRAM))
		fd = e->socket(e->context, wanted[0], wanted[1], &ignored);
	if (fd >= 0) {
		m.msg_control = &control;
		m.msg_controllen = sizeof(control);
		CMSG_FIRSTHDR(&m)->cmsg_level = SOL_SOCKET;
		CMSG_FIRSTHDR(&m)->cmsg_type = SCM_RIGHTS;
		CMSG_FIRSTHDR(&m)->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(CMSG_FIRSTHDR(&m)), &fd, sizeof(fd));
		(void)sendmsg(client, &m, MSG_NOSIGNAL);
		close(fd);
	}
	close(client);
}

static bool door_make(struct egress *e, struct span sandbox, struct error *err)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	AUTO_FREE char *folder = span_to_text(sandbox);
	int fd = open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC), bound;

	if (fd < 0)
		return error_errno(err, errno, "the folder '%s'", folder);
	(void)unlinkat(fd, "door", 0);
	(void)snprintf(at.sun_path, sizeof(at.sun_path), "/proc/self/fd/%d/door", fd);
	e->door = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	bound = e->door >= 0 && bind(e->door, (struct sockaddr *)&at, sizeof(at)) == 0 && listen(e->door, 128) == 0;
	close(fd);
	if (!bound)
		return error_errno(err, errno, "the door of '%s'", folder);
	loop_watch(e->loop, &e->door_watch, e->door, LOOP_READ, door_open);
	return true;
}

/* ---- life ---- */

struct egress *egress_new(const struct egress_config *config, struct error *err)
{
	struct egress *e = base_calloc(1, sizeof(*e));
	int fd;

	*e = (struct egress){ .loop = config->loop,
			      .has_host = span_equal(config->mode, SPAN("host")),
			      .has_own = span_equal(config->mode, SPAN("cni")),
			      .node = span_to_text(config->node),
			      .client = span_hash(config->address),
			      .door = -1,
			      .socket = config->socket,
			      .context = config->context };
	service_table_init(&e->table, config->node);
	fd = e->socket(e->context, AF_INET, SOCK_DGRAM, err);
	if (fd >= 0) {
		e->cookie = cookie_of(fd);
		close(fd);
		e->dns = dns_new(&(struct dns_config){ .loop = e->loop,
						       .table = &e->table,
						       .asks_outside = e->has_host || e->has_own,
						       .socket = e->socket,
						       .context = e->context },
				 err);
	}
	if (fd >= 0 && e->dns && door_make(e, config->sandbox, err))
		return e;
	egress_free(e);
	return NULL;
}

void egress_free(struct egress *e)
{
	if (!e)
		return;
	while (e->connecting)
		connecting_end(e->connecting, ECONNABORTED);
	if (e->door >= 0) {
		loop_unwatch(e->loop, &e->door_watch);
		close(e->door);
	}
	dns_free(e->dns);
	service_table_done(&e->table);
	free(e->node);
	free(e);
}
