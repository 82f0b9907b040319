/* SPDX-License-Identifier: Apache-2.0 */
/* supervisor_channel - messages with descriptors over a stream socket: framing, limits, what waits to be sent. */
#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "node/supervisor.h"

enum { RECEIVE_FIRST = 4 << 10, RECEIVE_BYTES = 64 << 10, RECEIVES_PER_CALL = 16 };

void channel_init(struct channel *c, int fd)
{
	*c = (struct channel){ .fd = fd };
	buffer_init(&c->in, SUPERVISOR_MESSAGE_MOST + SUPERVISOR_HEADER + RECEIVE_BYTES);
	buffer_init(&c->out, SUPERVISOR_UNSENT_MOST);
	c->unsent_tail = &c->unsent;
}

static void close_all(const int *fds, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (fds[i] >= 0)
			close(fds[i]);
	}
}

static void unsent_drop(struct channel *c)
{
	struct unsent_fds *u = c->unsent;

	c->unsent = u->next;
	if (!c->unsent)
		c->unsent_tail = &c->unsent;
	close_all(u->fds, u->count);
	free(u);
}

void channel_done(struct channel *c)
{
	if (c->fd >= 0)
		close(c->fd);
	c->fd = -1;
	close_all(c->fds, c->fd_count);
	c->fd_count = 0;
	while (c->unsent)
		unsent_drop(c);
	buffer_done(&c->in);
	buffer_done(&c->out);
}

/* ---- in ---- */

static bool keep_fds(struct channel *c, const int *fds, size_t count, struct error *err)
{
	if (count > SUPERVISOR_FDS_WAITING - c->fd_count) {
		close_all(fds, count);
		return error_set(err, ERROR_INVALID, "more than %d descriptors came that no message takes",
				 SUPERVISOR_FDS_WAITING);
	}
	if (count)
		memcpy(c->fds + c->fd_count, fds, count * sizeof(*fds));
	c->fd_count += count;
	return true;
}

/* What was read is dropped in one piece, before more comes. There are as many channels as pods: those that are silent hold nothing. */
static void forget_read(struct channel *c)
{
	buffer_drop(&c->in, c->in_at);
	c->in_at = 0;
	if (c->in.len == 0)
		buffer_shrink(&c->in, 0);
}

bool channel_put(struct channel *c, struct span bytes, const int *fds, size_t count, struct error *err)
{
	forget_read(c);
	if (!keep_fds(c, fds, count, err))
		return false;
	buffer_append(&c->in, bytes);
	return buffer_ok(&c->in, "what the other side sent", err);
}

/* Descriptors of one recvmsg(); those over what fits were closed by the kernel (MSG_CTRUNC), which is an error. */
static bool take_rights(struct channel *c, struct msghdr *m, struct error *err)
{
	for (struct cmsghdr *h = CMSG_FIRSTHDR(m); h; h = CMSG_NXTHDR(m, h)) {
		int fds[SUPERVISOR_FDS_WAITING];
		size_t bytes = h->cmsg_len - CMSG_LEN(0);

		if (h->cmsg_level != SOL_SOCKET || h->cmsg_type != SCM_RIGHTS || bytes > sizeof(fds))
			continue;
		memcpy(fds, CMSG_DATA(h), bytes);
		if (!keep_fds(c, fds, bytes / sizeof(int), err))
			return false;
	}
	if (m->msg_flags & MSG_CTRUNC)
		return error_set(err, ERROR_INVALID, "more descriptors came than fit into a message");
	return true;
}

bool channel_receive(struct channel *c, struct error *err)
{
	size_t most = RECEIVE_FIRST; /* as a rule that is all */

	forget_read(c);
	for (int i = 0; i < RECEIVES_PER_CALL && c->in.len < SUPERVISOR_MESSAGE_MOST + SUPERVISOR_HEADER; i++) {
		if (i && c->fd_count + SUPERVISOR_FDS_MOST > SUPERVISOR_FDS_WAITING)
			break; /* those that are here are taken first: no read brings more than a message's */
		union {
			struct cmsghdr align;
			char bytes[CMSG_SPACE(SUPERVISOR_FDS_WAITING * sizeof(int))];
		} control;
		struct iovec part = { .iov_len = most };
		struct msghdr m = {
			.msg_iov = &part, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control)
		};
		ssize_t got;

		part.iov_base = buffer_reserve(&c->in, part.iov_len);
		if (!part.iov_base)
			return buffer_ok(&c->in, "what the other side sent", err);
		got = recvmsg(c->fd, &m, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0 && errno == EAGAIN)
			break;
		if (got < 0 && errno != ECONNRESET)
			return error_errno(err, errno, "cannot read a message");
		if (got <= 0)
			return false;
		buffer_commit(&c->in, (size_t)got);
		most = (size_t)got < most ? RECEIVE_FIRST : RECEIVE_BYTES;
		if (!take_rights(c, &m, err))
			return false;
	}
	if (c->in.len == 0)
		buffer_shrink(&c->in, 0);
	return true;
}

enum channel_state channel_next(struct channel *c, struct span *ret_text, int ret_fds[SUPERVISOR_FDS_MOST],
				size_t *ret_count, struct error *err)
{
	size_t left = c->in.len - c->in_at, len, count;
	const unsigned char *head;

	if (left == 0)
		forget_read(c);
	if (left < SUPERVISOR_HEADER)
		return CHANNEL_WAITS;
	head = (const unsigned char *)c->in.ptr + c->in_at;
	len = (size_t)head[0] | (size_t)head[1] << 8 | (size_t)head[2] << 16 | (size_t)head[3] << 24;
	count = head[4];
	if (head[5] || head[6] || head[7] || count > SUPERVISOR_FDS_MOST) {
		error_set(err, ERROR_INVALID, "no header of a message");
		return CHANNEL_BROKEN;
	}
	if (len > SUPERVISOR_MESSAGE_MOST) {
		error_set(err, ERROR_TOO_LARGE, "a message of %zu bytes is over the limit of %d", len,
			  SUPERVISOR_MESSAGE_MOST);
		return CHANNEL_BROKEN;
	}
	if (left - SUPERVISOR_HEADER < len)
		return CHANNEL_WAITS;
	if (count > c->fd_count) {
		error_set(err, ERROR_INVALID, "a message came without its descriptors");
		return CHANNEL_BROKEN;
	}
	memcpy(ret_fds, c->fds, count * sizeof(int));
	memmove(c->fds, c->fds + count, (c->fd_count - count) * sizeof(int));
	c->fd_count -= count;
	*ret_count = count;
	*ret_text = span_from(head + SUPERVISOR_HEADER, len);
	c->in_at += SUPERVISOR_HEADER + len;
	return CHANNEL_MESSAGE;
}

/* ---- out ---- */

bool channel_send(struct channel *c, struct span text, const int *fds, size_t count, struct error *err)
{
	char head[SUPERVISOR_HEADER] = { (char)(text.len & 255), (char)(text.len >> 8 & 255),
					 (char)(text.len >> 16 & 255), (char)(text.len >> 24 & 255), (char)count };

	ASSERT(count <= SUPERVISOR_FDS_MOST);
	if (text.len > SUPERVISOR_MESSAGE_MOST) {
		close_all(fds, count);
		return error_set(err, ERROR_TOO_LARGE, "a message of %zu bytes is over the limit of %d", text.len,
				 SUPERVISOR_MESSAGE_MOST);
	}
	if (c->out.len + sizeof(head) + text.len > SUPERVISOR_UNSENT_MOST) {
		close_all(fds, count);
		return error_set(err, ERROR_EXHAUSTED, "more than %d bytes wait to be read", SUPERVISOR_UNSENT_MOST);
	}
	if (count) {
		struct unsent_fds *u = base_calloc(1, sizeof(*u));

		u->at = c->sent + c->out.len;
		u->count = count;
		memcpy(u->fds, fds, count * sizeof(int));
		*c->unsent_tail = u;
		c->unsent_tail = &u->next;
	}
	buffer_append(&c->out, span_from(head, sizeof(head)));
	buffer_append(&c->out, text);
	return buffer_ok(&c->out, "what waits to be sent", err);
}

/* Bytes up to the next descriptors; those go with the first byte of a sendmsg(). */
static ssize_t send_some(struct channel *c, bool *ret_with_fds)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(SUPERVISOR_FDS_MOST * sizeof(int))];
	} control = { .bytes = { 0 } };
	struct iovec part = { .iov_base = c->out.ptr, .iov_len = c->out.len };
	struct msghdr m = { .msg_iov = &part, .msg_iovlen = 1 };
	const struct unsent_fds *u = c->unsent;

	*ret_with_fds = u && u->at == c->sent;
	if (*ret_with_fds) {
		struct cmsghdr *h;

		m.msg_control = &control;
		m.msg_controllen = CMSG_SPACE(u->count * sizeof(int));
		h = CMSG_FIRSTHDR(&m);
		h->cmsg_level = SOL_SOCKET;
		h->cmsg_type = SCM_RIGHTS;
		h->cmsg_len = CMSG_LEN(u->count * sizeof(int));
		memcpy(CMSG_DATA(h), u->fds, u->count * sizeof(int));
		u = u->next;
	}
	if (u && u->at - c->sent < part.iov_len)
		part.iov_len = (size_t)(u->at - c->sent);
	return sendmsg(c->fd, &m, MSG_NOSIGNAL | MSG_DONTWAIT);
}

bool channel_flush(struct channel *c, struct error *err)
{
	while (c->out.len) {
		bool with_fds;
		ssize_t sent = send_some(c, &with_fds);

		if (sent < 0 && errno == EINTR)
			continue;
		if (sent < 0 && errno == EAGAIN)
			return true;
		if (sent < 0)
			return error_errno(err, errno, "cannot send a message");
		if (with_fds)
			unsent_drop(c);
		c->sent += (uint64_t)sent;
		buffer_drop(&c->out, (size_t)sent);
	}
	buffer_shrink(&c->out, 0);
	return true;
}
