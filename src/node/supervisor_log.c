/* SPDX-License-Identifier: Apache-2.0 */
#include "node/supervisor_log.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"

enum {
	READ_BYTES = 128 << 10,
	WRITE_BYTES = 256 << 10,
	RECORD_HEAD_MOST = 64, /* time, stream and tag */
	FLOOD = 32 << 10,      /* bytes of a read after which the buffers are worth giving back */
	NAMES_MOST = 4096,     /* old files looked at in one rotation */
	SAME_SECOND_MOST = 1000,
};

static const struct span stream_names[LOG_STREAMS] = { SPAN_INIT(" stdout "), SPAN_INIT(" stderr ") };

/* One set for the process: logs are written one after the other. Untouched until something is logged. */
static char read_bytes[READ_BYTES] __attribute__((aligned(4096)));
static char write_bytes[WRITE_BYTES] __attribute__((aligned(4096)));
static bool has_flooded;

struct unfinished {
	struct buffer text; /* of a line whose end has not come */
};

struct container_log {
	char *path;
	struct container_log_limits limits;
	int fd; /* -1: could not be opened; tried again */
	int64_t bytes;
	uint64_t dropped;
	int dropped_errno;
	struct unfinished lines[LOG_STREAMS];
	size_t filled; /* of write_bytes */
	char head[RECORD_HEAD_MOST];
	size_t head_len; /* of the time */
};

/* ---- files ---- */

static bool folders_make(char *path, struct error *err)
{
	for (char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
		int made;

		*slash = 0;
		made = mkdir(path, 0750);
		if (made < 0 && errno != EEXIST) {
			error_errno(err, errno, "cannot make the log folder '%s'", path);
			*slash = '/';
			return false;
		}
		*slash = '/';
	}
	return true;
}

static bool file_open(struct container_log *l)
{
	struct stat st;

	l->fd = open(l->path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0640);
	if (l->fd < 0 || fstat(l->fd, &st) < 0)
		return false;
	(void)fchmod(l->fd, 0640); /* whatever the umask was; best effort */
	l->bytes = st.st_size;
	return true;
}

struct container_log *container_log_open(const char *path, const struct container_log_limits *limits, struct error *err)
{
	struct container_log *l = base_calloc(1, sizeof(*l));

	l->path = span_to_text(span_of(path));
	l->limits = *limits;
	for (int i = 0; i < LOG_STREAMS; i++)
		buffer_init(&l->lines[i].text, LOG_LINE_MOST);
	if (!folders_make(l->path, err)) {
		free(l->path);
		free(l);
		return NULL;
	}
	if (!file_open(l)) {
		error_errno(err, errno, "cannot open the log '%s'", path);
		free(l->path);
		free(l);
		return NULL;
	}
	return l;
}

/* ---- rotation ---- */

static int by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Old files of this log, by name and so by age; all but the newest `keep` are removed. */
static void old_ones_remove(const struct container_log *l, size_t keep)
{
	const char *base = strrchr(l->path, '/') + 1;
	size_t base_len = strlen(base), count = 0;
	char **names = NULL;
	AUTO_FREE char *folder = span_to_text(span_from(l->path, (size_t)(base - l->path)));
	DIR *dir = opendir(folder);
	struct dirent *entry;

	if (!dir)
		return;
	while (count < NAMES_MOST && (entry = readdir(dir))) {
		if (strncmp(entry->d_name, base, base_len) != 0 || entry->d_name[base_len] != '.')
			continue;
		names = base_realloc(names, (count + 1) * sizeof(*names));
		names[count++] = span_to_text(span_of(entry->d_name));
	}
	if (count)
		qsort(names, count, sizeof(*names), by_name);
	for (size_t i = 0; i < count; i++) {
		if (i + keep < count)
			(void)unlinkat(dirfd(dir), names[i], 0); /* next time */
		free(names[i]);
	}
	free(names);
	closedir(dir);
}

static void rotate(struct container_log *l)
{
	time_t now = (time_t)(clock_wall_ns() / NS_PER_S);
	char stamp[32], to[PATH_MAX];
	struct tm tm;

	gmtime_r(&now, &tm);
	strftime(stamp, sizeof(stamp), "%Y%m%d-%H%M%S", &tm);
	snprintf(to, sizeof(to), "%s.%s", l->path, stamp);
	for (int i = 1; i < SAME_SECOND_MOST && access(to, F_OK) == 0; i++)
		snprintf(to, sizeof(to), "%s.%s-%03d", l->path, stamp, i);
	if (rename(l->path, to) < 0 && errno != ENOENT) {
		/* It can't be moved: it is begun anew, for it must not grow. */
		if (ftruncate(l->fd, 0) == 0)
			l->bytes = 0;
		return;
	}
	close(l->fd);
	l->fd = -1;
	old_ones_remove(l, (size_t)MAX(l->limits.files_most - 1, 0));
	(void)file_open(l); /* else it is tried before the next write */
}

/* ---- writing ---- */

/* Bytes of `text` that are whole records, of the first `n`. */
static size_t whole_records(struct span text, size_t n)
{
	const char *end = n ? memrchr(text.ptr, '\n', n) : NULL;

	return end ? (size_t)(end - text.ptr) + 1 : 0;
}

static void drop(struct container_log *l, size_t bytes, int errnum)
{
	l->dropped += bytes;
	l->dropped_errno = errnum;
}

static void file_write(struct container_log *l, struct span text)
{
	size_t at = 0;

	if (l->fd >= 0 && l->bytes > 0 && l->bytes + (int64_t)text.len > l->limits.bytes_most)
		rotate(l);
	if (l->fd < 0 && !file_open(l)) {
		drop(l, text.len, errno);
		return;
	}
	while (at < text.len) {
		ssize_t n = write(l->fd, text.ptr + at, text.len - at);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			int errnum = n < 0 ? errno : ENOSPC;
			size_t whole = whole_records(text, at);

			if (ftruncate(l->fd, l->bytes + (int64_t)whole) == 0)
				at = whole;
			drop(l, text.len - at, errnum);
			break;
		}
		at += (size_t)n;
	}
	l->bytes += (int64_t)at;
}

static void flush(struct container_log *l)
{
	if (l->filled)
		file_write(l, span_from(write_bytes, l->filled));
	l->filled = 0;
}

static char *put(char *to, struct span s)
{
	memcpy(to, s.ptr, s.len);
	return to + s.len;
}

static void record(struct container_log *l, enum log_stream stream, char tag, struct span a, struct span b)
{
	size_t need = l->head_len + 12 + a.len + b.len;
	char *to;

	if (UNLIKELY(need > sizeof(write_bytes) - l->filled))
		flush(l);
	to = write_bytes + l->filled;
	to = put(to, span_from(l->head, l->head_len));
	to = put(to, stream_names[stream]);
	*to++ = tag;
	*to++ = ' ';
	if (a.len)
		to = put(to, a);
	if (b.len)
		to = put(to, b);
	*to++ = '\n';
	l->filled = (size_t)(to - write_bytes);
}

/* Said where the gap is: the lines before it were written, those behind it follow. */
static void tell_dropped(struct container_log *l)
{
	char text[200], reason[100];
	uint64_t lost = l->dropped;
	int len;

	len = snprintf(text, sizeof(text), "[hythe: %llu bytes of the log are lost here: %s]", (unsigned long long)lost,
		       strerror_r(l->dropped_errno, reason, sizeof(reason)));
	l->dropped = 0;
	record(l, LOG_STDERR, 'F', span_from(text, (size_t)len), SPAN(""));
	flush(l);
	if (l->dropped)
		l->dropped = lost; /* not yet */
}

static void stamp(struct container_log *l, int64_t wall_ns)
{
	time_t seconds = (time_t)(wall_ns / NS_PER_S);
	struct tm tm;

	gmtime_r(&seconds, &tm);
	l->head_len = (size_t)snprintf(l->head, sizeof(l->head), "%04d-%02d-%02dT%02d:%02d:%02d.%09lldZ",
				       tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec,
				       (long long)(wall_ns % NS_PER_S));
}

/* The rest of a line that began in an earlier read: what was kept goes in front, cut where it becomes too long. */
static void put_line(struct container_log *l, enum log_stream stream, struct span line, bool is_ended)
{
	struct buffer *kept = &l->lines[stream].text;

	while (kept->len + line.len > LOG_LINE_MOST) {
		size_t n = LOG_LINE_MOST - kept->len;

		record(l, stream, 'P', buffer_span(kept), span_first(line, n));
		line = span_skip(line, n);
		buffer_clear(kept);
	}
	if (is_ended) {
		record(l, stream, 'F', buffer_span(kept), line);
		buffer_clear(kept);
		buffer_shrink(kept, 0);
	} else {
		buffer_append(kept, line);
	}
}

void container_log_put(struct container_log *l, enum log_stream stream, struct span bytes, int64_t wall_ns)
{
	const char *at = bytes.ptr, *end = bytes.ptr + bytes.len;

	stamp(l, wall_ns);
	if (UNLIKELY(l->dropped))
		tell_dropped(l);
	while (at < end) {
		const char *newline = memchr(at, '\n', (size_t)(end - at));

		if (newline && l->lines[stream].text.len == 0 && newline - at <= LOG_LINE_MOST)
			record(l, stream, 'F', span_from(at, (size_t)(newline - at)), SPAN(""));
		else
			put_line(l, stream, span_from(at, (size_t)((newline ? newline : end) - at)), newline != NULL);
		at = newline ? newline + 1 : end;
	}
	flush(l);
}

struct span container_log_pump(struct container_log *l, enum log_stream stream, int fd, int64_t wall_ns,
			       bool *ret_ended)
{
	ssize_t got;

	do
		got = read(fd, read_bytes, sizeof(read_bytes));
	while (got < 0 && errno == EINTR);
	*ret_ended = got == 0 || (got < 0 && errno != EAGAIN); /* EIO: of a terminal that nobody has open any more */
	if (got <= 0)
		return (struct span){ 0 };
	has_flooded |= got > FLOOD;
	container_log_put(l, stream, span_from(read_bytes, (size_t)got), wall_ns);
	return span_from(read_bytes, (size_t)got);
}

void container_log_close(struct container_log *l, int64_t wall_ns)
{
	if (!l)
		return;
	stamp(l, wall_ns);
	if (l->dropped)
		tell_dropped(l);
	for (int i = 0; i < LOG_STREAMS; i++) {
		if (l->lines[i].text.len)
			put_line(l, (enum log_stream)i, SPAN(""), true);
		buffer_done(&l->lines[i].text);
	}
	flush(l);
	if (l->fd >= 0)
		close(l->fd);
	free(l->path);
	free(l);
}

bool container_log_rest(void)
{
	bool had = has_flooded;

	if (had) {
		(void)madvise(read_bytes, sizeof(read_bytes), MADV_DONTNEED);
		(void)madvise(write_bytes, sizeof(write_bytes), MADV_DONTNEED);
	}
	has_flooded = false;
	return had;
}
