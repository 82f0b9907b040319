/* SPDX-License-Identifier: Apache-2.0 */
/* logs_test - lines of logs as clients see them: streams, times, tails, parts of lines, rotations. The file under test is part of this one: its functions are its own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants the four above. */
#include <cmocka.h>
#include <stdio.h>
#include <unistd.h>

#include "node/streams_private.h"

static struct buffer sent;

static void sent_add(struct request *req, struct span bytes)
{
	(void)req;
	buffer_append(&sent, bytes);
}

/* The log's writer, which comes between a read that finds nothing and the look for a new file. */
static void (*comes_between)(void);

static ssize_t read_then(int fd, void *to, size_t len, off_t at)
{
	void (*writes)(void) = comes_between;
	ssize_t n = pread(fd, to, len, at);

	if (n == 0 && writes) {
		comes_between = NULL;
		writes();
	}
	return n;
}

static size_t unsent_none(const struct request *req)
{
	(void)req;
	return 0;
}

static void end_none(struct request *req, const struct header *trailers, size_t count)
{
	(void)req;
	(void)trailers;
	(void)count;
}

#define request_end    end_none
#define request_write  sent_add
#define request_unsent unsent_none
#define pread          read_then
#include "node/logs.c"
#undef pread
#undef request_unsent
#undef request_end
#undef request_write

#define T1 "2026-11-21T10:00:00.1Z "
#define T2 "2026-11-21T10:00:00.25Z "
#define T3 "2026-11-21T10:00:01Z "

static struct logs logs_of(const char *since)
{
	struct logs l = { .fd = -1, .folder = -1, .left = INT64_MAX, .has_out = true, .has_err = true };

	snprintf(l.since, sizeof(l.since), "%s", since);
	buffer_init(&l.line, LINE_MOST);
	buffer_done(&sent);
	buffer_init(&sent, MIB(1));
	return l;
}

/* What is shown of these bytes, come in pieces of `piece`. */
static const char *shown(struct logs *l, const char *text, size_t piece)
{
	struct span rest = span_of(text);

	while (rest.len) {
		lines_send(l, span_first(rest, piece));
		rest = span_skip(rest, MIN(piece, rest.len));
	}
	buffer_byte(&sent, 0);
	buffer_done(&l->line);
	return sent.ptr;
}

static void lines_are_the_same_however_they_come(void **state)
{
	static const char text[] = T1 "stdout F one\n" T2 "stderr P tw\n" T2 "stderr F o\n" T3 "stdout F \n";

	(void)state;
	for (size_t piece = 1; piece <= sizeof(text); piece++) {
		struct logs l = logs_of("");

		assert_string_equal(shown(&l, text, piece), "one\ntwo\n\n");
	}
}

static void a_stream_a_time_and_stamps_can_be_asked_for(void **state)
{
	static const char text[] = T1 "stdout F one\n" T2 "stderr F two\n" T3 "stdout F three\n";
	struct logs l = logs_of("");

	(void)state;
	l.has_err = false;
	assert_string_equal(shown(&l, text, 7), "one\nthree\n");
	l = logs_of("");
	l.has_out = false;
	l.has_times = true;
	assert_string_equal(shown(&l, text, 7), T2 "two\n");
	l = logs_of("2026-11-21T10:00:00.2");
	assert_string_equal(shown(&l, text, 7), "two\nthree\n");
	l = logs_of("2026-11-21T10:00:01");
	assert_string_equal(shown(&l, text, 7), "three\n");
}

static void what_is_no_line_is_passed_over(void **state)
{
	struct logs l = logs_of("");

	(void)state;
	assert_string_equal(shown(&l, "\nstdout F x\n" T1 "stdout X y\n" T1 "\n" T1 "stdout F good\n", 5), "good\n");
}

static void no_more_bytes_are_sent_than_were_asked_for(void **state)
{
	struct logs l = logs_of("");

	(void)state;
	l.left = 6;
	assert_string_equal(shown(&l, T1 "stdout F four\n" T1 "stdout F more\n", 1000), "four\nm");
	assert_int_equal(l.left, 0);
}

static void times_are_ordered_without_their_zeros(void **state)
{
	static const struct {
		const char *time, *since;
		bool is_before;
	} rows[] = {
		{ "2026-11-21T10:00:00.1Z", "2026-11-21T10:00:00.1", false },
		{ "2026-11-21T10:00:00.1Z", "2026-11-21T10:00:00.11", true },
		{ "2026-11-21T10:00:00.123456789Z", "2026-11-21T10:00:00", false },
		{ "2026-11-21T09:59:59.999999999Z", "2026-11-21T10:00:00", true },
		{ "2026-11-21T10:00:00Z", "2026-11-21T10:00:00", false },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		assert_int_equal(is_before(span_of(rows[i].time), rows[i].since), rows[i].is_before);
}

static void put(int fd, const char *text)
{
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
}

static void a_tail_begins_so_many_lines_before_the_end(void **state)
{
	static const struct {
		const char *text;
		int64_t count, offset;
	} rows[] = {
		{ "", 3, 0 },
		{ "a\nbb\nccc\n", 0, 9 },
		{ "a\nbb\nccc\n", 1, 5 },
		{ "a\nbb\nccc\n", 2, 2 },
		{ "a\nbb\nccc\n", 3, 0 },
		{ "a\nbb\nccc\n", 9, 0 },
		{ "a\nbb\nccc", 1, 5 },
		{ "\n\n\n", 2, 1 },
	};
	char path[] = "/tmp/hythe-logs-XXXXXX";
	static char longs[3 * TAIL_BYTES];
	int fd = mkstemp(path);

	(void)state;
	assert_true(fd >= 0);
	unlink(path);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		assert_int_equal(ftruncate(fd, 0), 0);
		assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
		put(fd, rows[i].text);
		assert_int_equal(tail_offset(fd, rows[i].count), rows[i].offset);
	}
	/* Lines longer than what is read at once. */
	assert_int_equal(ftruncate(fd, 0), 0);
	assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
	memset(longs, 'x', sizeof(longs) - 2);
	longs[sizeof(longs) - 2] = '\n';
	put(fd, longs);
	put(fd, longs);
	assert_int_equal(tail_offset(fd, 1), sizeof(longs) - 1);
	assert_int_equal(tail_offset(fd, 2), 0);
	close(fd);
}

static void a_rotation_is_seen_when_the_new_file_is_there(void **state)
{
	char folder[] = "/tmp/hythe-logs-XXXXXX", old[PATH_MAX];
	struct logs l = logs_of("");
	int fd;

	(void)state;
	assert_non_null(mkdtemp(folder));
	snprintf(l.path, sizeof(l.path), "%s/0.log", folder);
	snprintf(old, sizeof(old), "%s/0.log.20261121-100000", folder);
	l.fd = open(l.path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	assert_true(l.fd >= 0);
	assert_false(file_is_new(&l));
	assert_int_equal(rename(l.path, old), 0);
	assert_false(file_is_new(&l)); /* what is still written to the old one is read first */
	fd = open(l.path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	assert_true(file_is_new(&l));
	close(fd);
	close(l.fd);
	unlink(l.path);
	unlink(old);
	rmdir(folder);
}

static struct {
	char folder[64], path[96], old[128];
	int fd;
} flood;

static void writes_and_rotates(void)
{
	put(flood.fd, T2 "stdout F two\n");
	assert_int_equal(rename(flood.path, flood.old), 0);
	close(flood.fd);
	flood.fd = open(flood.path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	put(flood.fd, T3 "stdout F three\n");
}

static void what_was_written_just_before_a_rotation_is_read(void **state)
{
	struct streams streams = { .loop = loop_new(), .inotify = -1 };
	struct logs l = logs_of("");

	(void)state;
	snprintf(flood.folder, sizeof(flood.folder), "/tmp/hythe-logs-XXXXXX");
	assert_non_null(mkdtemp(flood.folder));
	snprintf(flood.path, sizeof(flood.path), "%s/0.log", flood.folder);
	snprintf(flood.old, sizeof(flood.old), "%s.20261121-100000", flood.path);
	snprintf(l.path, sizeof(l.path), "%s", flood.path);
	flood.fd = open(flood.path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	l.fd = open(flood.path, O_RDONLY | O_CLOEXEC);
	l.req = (struct request *)&sent; /* asked for nothing */
	l.session.streams = &streams;
	l.session.owes = 1; /* it is not freed */
	l.follows = true;
	put(flood.fd, T1 "stdout F one\n");
	comes_between = writes_and_rotates;
	go_on(&l);
	assert_true(timer_is_set(&l.timer));
	l.follows = false;
	while (!l.session.is_over)
		loop_turn(streams.loop, true);
	buffer_byte(&sent, 0);
	assert_string_equal(sent.ptr, "one\ntwo\nthree\n");
	close(l.fd);
	close(flood.fd);
	unlink(flood.path);
	unlink(flood.old);
	rmdir(flood.folder);
	loop_free(streams.loop);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lines_are_the_same_however_they_come),
		cmocka_unit_test(a_stream_a_time_and_stamps_can_be_asked_for),
		cmocka_unit_test(what_is_no_line_is_passed_over),
		cmocka_unit_test(no_more_bytes_are_sent_than_were_asked_for),
		cmocka_unit_test(times_are_ordered_without_their_zeros),
		cmocka_unit_test(a_tail_begins_so_many_lines_before_the_end),
		cmocka_unit_test(a_rotation_is_seen_when_the_new_file_is_there),
		cmocka_unit_test(what_was_written_just_before_a_rotation_is_read),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
