/* SPDX-License-Identifier: Apache-2.0 */
#include "net/kernel_kit.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

enum kernel { KERNEL_AS_IT_IS, KERNEL_TAKES_SOME, KERNEL_REFUSES, KERNEL_TAKES_ALL };

static _Atomic enum kernel kernel;
static _Atomic bool is_hasty;
static _Atomic pthread_t spared;

void kernel_refuses(void)
{
	spared = pthread_self();
	atomic_store(&kernel, KERNEL_TAKES_SOME);
}

bool kernel_has_refused(void)
{
	return atomic_load(&kernel) == KERNEL_TAKES_ALL;
}

void kernel_hastens(void)
{
	spared = pthread_self();
	atomic_store(&is_hasty, true);
}

void kernel_hastens_no_more(void)
{
	atomic_store(&is_hasty, false);
}

static size_t length(const struct msghdr *m)
{
	size_t sum = 0;

	for (size_t i = 0; i < m->msg_iovlen; i++)
		sum += m->msg_iov[i].iov_len;
	return sum;
}

ssize_t sendmsg(int fd, const struct msghdr *m, int flags)
{
	enum kernel now = atomic_load(&kernel);
	ssize_t n;

	if (now == KERNEL_AS_IT_IS || pthread_equal(pthread_self(), spared))
		return syscall(SYS_sendmsg, fd, m, flags);
	if (now == KERNEL_REFUSES) {
		atomic_store(&kernel, KERNEL_TAKES_ALL);
		errno = EAGAIN;
		return -1;
	}
	if (now == KERNEL_TAKES_SOME && length(m) >= KERNEL_REFUSES_LEAST) {
		struct iovec first = { m->msg_iov[0].iov_base, 1 };
		struct msghdr some = { .msg_iov = &first, .msg_iovlen = 1 };

		atomic_store(&kernel, KERNEL_REFUSES);
		return syscall(SYS_sendmsg, fd, &some, flags);
	}
	while ((n = syscall(SYS_sendmsg, fd, m, flags)) < 0 && errno == EAGAIN) {
		struct pollfd room = { fd, POLLOUT, 0 };

		(void)poll(&room, 1, -1);
	}
	return n;
}

ssize_t send(int fd, const void *bytes, size_t len, int flags)
{
	struct iovec piece = { (void *)bytes, len };

	return sendmsg(fd, &(struct msghdr){ .msg_iov = &piece, .msg_iovlen = 1 }, flags);
}

ssize_t recv(int fd, void *to, size_t len, int flags)
{
	while (atomic_load(&is_hasty) && !pthread_equal(pthread_self(), spared) &&
	       syscall(SYS_recvfrom, fd, to, len, flags | MSG_PEEK, NULL, NULL) < (ssize_t)len)
		(void)poll(NULL, 0, 1);
	return syscall(SYS_recvfrom, fd, to, len, flags, NULL, NULL);
}
