/* SPDX-License-Identifier: Apache-2.0 */
/*
 * unlucky - a kernel with bad luck, for tests: what the real one does once in a million calls, it does all the time. LD_PRELOAD of a program.
 *
 *	cc -shared -fPIC -o unlucky.so unlucky.c
 *	LD_PRELOAD=./unlucky.so hythe up
 *
 * Sockets of streams give and take a part of what was asked for, say "not now" though there is something, or have the next bytes just in time for who
 * would have found none. Of the events that are there one is told. Any of these calls may take some milliseconds, on whatever thread. Loops that ask
 * for levels, as ours do, lose nothing by that; one that counts on luck waits for ever, or answers late.
 *
 * Programs that this one begins have the kernel as it is.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#define DELAY_NS_MOST 15000000
#define HASTE_NS      50000 /* how long bytes that are just in time take */
enum {
	ONE_DELAY_IN = 300,
	ONE_REFUSAL_IN = 8,
	ONE_PART_IN = 4,
	ONE_HASTE_IN = 2,
	HASTE_TRIES = 40,
	SMALL = 64,
	PIECES_MOST = 64
};

__attribute__((constructor)) static void begin(void)
{
	unsetenv("LD_PRELOAD");
}

/* ---- luck ---- */

/* xorshift (G. Marsaglia 2003), of each thread its own; threads take turns as they like anyway. */
static uint64_t draw(void)
{
	static __thread uint64_t state;

	if (!state) {
		struct timespec now;

		clock_gettime(CLOCK_MONOTONIC, &now);
		state = ((uint64_t)now.tv_nsec << 24) ^ (uint64_t)syscall(SYS_gettid) ^ 1;
	}
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return state;
}

static bool one_in(unsigned n)
{
	return draw() % n == 0;
}

static void rest(long ns)
{
	struct timespec t = { .tv_nsec = ns };
	int kept = errno;

	(void)syscall(SYS_clock_nanosleep, CLOCK_MONOTONIC, 0, &t, NULL);
	errno = kept;
}

static void delay(void)
{
	if (one_in(ONE_DELAY_IN))
		rest((long)(draw() % DELAY_NS_MOST));
}

/* ---- of which calls ---- */

static bool is_stream(int fd)
{
	socklen_t len = sizeof(int);
	int type = 0, kept = errno;
	bool is = syscall(SYS_getsockopt, fd, SOL_SOCKET, SO_TYPE, &type, &len) == 0 && type == SOCK_STREAM;

	errno = kept;
	return is;
}

/* Who asks again when he is told to. */
static bool asks_again(int fd, int flags)
{
	long set = flags & MSG_DONTWAIT ? O_NONBLOCK : syscall(SYS_fcntl, fd, F_GETFL, 0);

	return set >= 0 && set & O_NONBLOCK && is_stream(fd);
}

static bool is_refused(int fd, int flags)
{
	delay();
	if (!asks_again(fd, flags) || !one_in(ONE_REFUSAL_IN))
		return false;
	errno = EAGAIN;
	return true;
}

static size_t part_of(size_t len)
{
	if (len < 2 || !one_in(ONE_PART_IN))
		return len;
	return 1 + draw() % (one_in(3) && len > SMALL ? SMALL : len);
}

/* ---- reading ---- */

static size_t just_in_time(int fd, char *to, size_t len)
{
	size_t sum = 0;

	for (int i = 0; i < HASTE_TRIES && sum < len; i++) {
		long n = syscall(SYS_recvfrom, fd, to + sum, len - sum, MSG_DONTWAIT, NULL, NULL);

		if (n == 0)
			break; /* the end is there the next time, too */
		if (n < 0)
			rest(HASTE_NS);
		else
			sum += (size_t)n;
	}
	return sum;
}

ssize_t recv(int fd, void *to, size_t len, int flags)
{
	bool is_plain = !(flags & (MSG_PEEK | MSG_WAITALL)) && is_stream(fd);
	ssize_t n;

	if (is_plain && is_refused(fd, flags))
		return -1;
	if (is_plain)
		len = part_of(len);
	n = syscall(SYS_recvfrom, fd, to, len, flags, NULL, NULL);
	if (is_plain && n > 0 && (size_t)n < len && one_in(ONE_HASTE_IN))
		n += (ssize_t)just_in_time(fd, (char *)to + n, len - (size_t)n);
	return n;
}

ssize_t read(int fd, void *to, size_t len)
{
	if (is_refused(fd, 0))
		return -1;
	return syscall(SYS_read, fd, to, asks_again(fd, 0) ? part_of(len) : len);
}

ssize_t recvmsg(int fd, struct msghdr *m, int flags)
{
	return is_refused(fd, flags) ? -1 : syscall(SYS_recvmsg, fd, m, flags);
}

/* ---- writing ---- */

ssize_t send(int fd, const void *bytes, size_t len, int flags)
{
	if (is_refused(fd, flags))
		return -1;
	return syscall(SYS_sendto, fd, bytes, asks_again(fd, flags) ? part_of(len) : len, flags, NULL, 0);
}

ssize_t write(int fd, const void *bytes, size_t len)
{
	if (is_refused(fd, 0))
		return -1;
	return syscall(SYS_write, fd, bytes, asks_again(fd, 0) ? part_of(len) : len);
}

ssize_t sendmsg(int fd, const struct msghdr *m, int flags)
{
	struct iovec pieces[PIECES_MOST];
	struct msghdr part = *m;
	size_t len = 0, left;

	if (is_refused(fd, flags))
		return -1;
	for (size_t i = 0; i < m->msg_iovlen; i++)
		len += m->msg_iov[i].iov_len;
	left = asks_again(fd, flags) && !m->msg_controllen ? part_of(len) : len;
	if (left == len)
		return syscall(SYS_sendmsg, fd, m, flags);
	part.msg_iov = pieces;
	part.msg_iovlen = 0;
	for (size_t i = 0; i < m->msg_iovlen && i < PIECES_MOST && left; i++) {
		pieces[i] = m->msg_iov[i];
		if (pieces[i].iov_len > left)
			pieces[i].iov_len = left;
		left -= pieces[i].iov_len;
		part.msg_iovlen++;
	}
	return syscall(SYS_sendmsg, fd, &part, flags);
}

/* ---- events, connections ---- */

int epoll_wait(int fd, struct epoll_event *events, int most, int timeout_ms)
{
	delay();
	return (int)syscall(SYS_epoll_pwait, fd, events, one_in(3) ? 1 : most, timeout_ms, NULL, 8);
}

int accept4(int fd, struct sockaddr *address, socklen_t *len, int flags)
{
	return is_refused(fd, 0) ? -1 : (int)syscall(SYS_accept4, fd, address, len, flags);
}
