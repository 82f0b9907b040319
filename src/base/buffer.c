/* SPDX-License-Identifier: Apache-2.0 */
#include "base/base.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

void buffer_init(struct buffer *b, size_t limit)
{
	*b = (struct buffer){ .limit = limit };
}

void buffer_done(struct buffer *b)
{
	free(b->ptr);
	b->ptr = NULL;
	b->len = b->cap = 0;
	b->overflow = false;
}

bool buffer_grow(struct buffer *b, size_t n)
{
	size_t need, cap;

	if (b->overflow || !checked_add(b->len, n, &need) || need > b->limit) {
		b->overflow = true;
		b->cap = b->len; /* so that every later reserve comes here and fails as well */
		return false;
	}
	cap = MAX(b->cap + b->cap / 2, need);
	cap = MIN(MAX(cap, 256), b->limit);
	b->ptr = base_realloc(b->ptr, cap);
	b->cap = cap;
	return true;
}

void buffer_print(struct buffer *b, const char *format, ...)
{
	va_list args;
	char *to;
	int len;

	va_start(args, format);
	len = vsnprintf(NULL, 0, format, args);
	va_end(args);
	ASSERT(len >= 0);
	to = buffer_reserve(b, (size_t)len + 1);
	if (!to)
		return;
	va_start(args, format);
	vsnprintf(to, (size_t)len + 1, format, args);
	va_end(args);
	b->len += (size_t)len;
}

void buffer_drop(struct buffer *b, size_t n)
{
	ASSERT(n <= b->len);
	if (n == 0)
		return;
	memmove(b->ptr, b->ptr + n, b->len - n);
	b->len -= n;
}

void buffer_shrink(struct buffer *b, size_t keep)
{
	ASSERT(b->len == 0);
	if (b->cap <= keep)
		return;
	free(b->ptr);
	b->ptr = NULL;
	b->cap = 0;
}

bool buffer_ok(const struct buffer *b, const char *what, struct error *err)
{
	if (!b->overflow)
		return true;
	return error_set(err, ERROR_TOO_LARGE, "%s is over the limit of %zu bytes", what, b->limit);
}

bool buffer_read_file(struct buffer *b, const char *path, struct error *err)
{
	AUTO_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return error_errno(err, errno, "%s", path);
	if (S_ISDIR(st.st_mode))
		return error_set(err, ERROR_INVALID, "%s is a folder, not a file", path);
	for (;;) {
		size_t want =
		    S_ISREG(st.st_mode) && (size_t)st.st_size > b->len ? (size_t)st.st_size - b->len + 1 : KIB(64);
		char *to;
		ssize_t got;

		if (want > b->limit - b->len)
			want = b->limit - b->len;
		to = want ? buffer_reserve(b, want) : NULL;
		if (!to)
			return error_set(err, ERROR_TOO_LARGE, "%s is over the limit of %zu bytes", path, b->limit);
		got = read(fd, to, want);
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return error_errno(err, errno, "%s", path);
		if (got == 0)
			return true;
		buffer_commit(b, (size_t)got);
	}
}
