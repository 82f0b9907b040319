/* SPDX-License-Identifier: Apache-2.0 */
/* What a supervisor is made of: messages with descriptors, records, logs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants the four above. */
#include <cmocka.h>
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "node/supervisor.h"
#include "node/supervisor_log.h"

static char folder[64];

static int folder_new(void **state)
{
	(void)state;
	snprintf(folder, sizeof(folder), "/tmp/hythe-supervisor-XXXXXX");
	return mkdtemp(folder) ? 0 : -1;
}

static int folder_remove(void **state)
{
	char path[512];
	struct error err = { 0 };
	struct dirent *entry;
	DIR *dir;

	(void)state;
	if (!sandbox_erase(span_of(folder), &err))
		return -1;
	dir = opendir(folder);
	while (dir && (entry = readdir(dir))) {
		snprintf(path, sizeof(path), "%s/%s", folder, entry->d_name);
		(void)unlink(path);
	}
	if (dir)
		closedir(dir);
	return rmdir(folder);
}

/* ---- logs ---- */

static struct container_log *log_new(const char *name, int64_t bytes, int files)
{
	const struct container_log_limits limits = { bytes, files };
	struct error err = { 0 };
	struct container_log *l;
	char path[128];

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	l = container_log_open(path, &limits, &err);
	if (!l)
		fail_msg("%s", err.message);
	return l;
}

static const char *text_of(const char *name)
{
	static char text[1 << 17];
	char path[128];
	ssize_t got;
	int fd;

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	got = read(fd, text, sizeof(text) - 1);
	close(fd);
	assert_true(got >= 0);
	text[got] = 0;
	return text;
}

#define AT_NS INT64_C(1763693299425682460)
#define AT    "2025-11-21T02:48:19.425682460Z "

static void lines_are_written_as_the_runtime_interface_has_them(void **state)
{
	struct container_log *l = log_new("a", 1 << 20, 2);

	(void)state;
	container_log_put(l, LOG_STDOUT, SPAN("one\ntwo\n\nthr"), AT_NS);
	assert_string_equal(text_of("a"), AT "stdout F one\n" AT "stdout F two\n" AT "stdout F \n");
	container_log_put(l, LOG_STDERR, SPAN("bad\n"), AT_NS);
	container_log_put(l, LOG_STDOUT, SPAN("ee\nfo"), AT_NS);
	container_log_close(l, AT_NS);
	assert_string_equal(text_of("a"), AT "stdout F one\n" AT "stdout F two\n" AT "stdout F \n" AT
					     "stderr F bad\n" AT "stdout F three\n" AT "stdout F fo\n");
}

static void a_line_that_is_too_long_is_cut(void **state)
{
	static char line[30001];
	const size_t head = strlen(AT "stdout P ");
	struct container_log *whole = log_new("whole", 1 << 20, 2), *parts = log_new("parts", 1 << 20, 2);
	const char *text;

	(void)state;
	memset(line, 'x', sizeof(line));
	line[30000] = '\n';
	container_log_put(whole, LOG_STDOUT, span_from(line, sizeof(line)), AT_NS);
	for (size_t at = 0; at < sizeof(line); at += 700)
		container_log_put(parts, LOG_STDOUT, span_from(line + at, MIN(700, sizeof(line) - at)), AT_NS);
	container_log_close(whole, AT_NS);
	container_log_close(parts, AT_NS);
	for (int i = 0; i < 2; i++) {
		text = text_of(i ? "whole" : "parts");
		assert_int_equal(strlen(text), 30000 + 2 * (head + 1));
		assert_memory_equal(text, AT "stdout P xxx", head + 3);
		assert_memory_equal(text + head + 16384, "\n" AT "stdout F xxx", head + 4);
	}
}

static void a_flood_stays_within_its_files(void **state)
{
	enum { BYTES = 20000, FILES = 3 };
	struct container_log *l = log_new("flood.log", BYTES, FILES);
	struct dirent *entry;
	size_t files = 0;
	DIR *dir;

	(void)state;
	for (int i = 0; i < 5000; i++) {
		char line[200];
		int len = snprintf(line, sizeof(line), "%0*d\n", 1 + i % 150, i);

		container_log_put(l, LOG_STDOUT, span_from(line, (size_t)len), AT_NS);
	}
	container_log_close(l, AT_NS);
	dir = opendir(folder);
	while ((entry = readdir(dir))) {
		struct stat st;
		char path[512];

		if (strncmp(entry->d_name, "flood.log", 9) != 0)
			continue;
		snprintf(path, sizeof(path), "%s/%s", folder, entry->d_name);
		assert_int_equal(stat(path, &st), 0);
		assert_true(st.st_size <= BYTES);
		assert_int_equal(st.st_mode & 0777, 0640);
		if (entry->d_name[9]) /* flood.log.20060102-150405, -001 behind it in the same second */
			assert_true(strlen(entry->d_name) >= 25 && entry->d_name[18] == '-');
		files++;
	}
	closedir(dir);
	assert_int_equal(files, FILES);
	assert_non_null(strstr(text_of("flood.log"), "4999\n")); /* the newest is there */
}

static void a_full_disk_loses_lines_and_says_how_much(void **state)
{
	struct container_log *l = log_new("full", 1 << 20, 2);
	struct rlimit before, small;
	char lines[3001];

	(void)state;
	for (size_t i = 0; i < sizeof(lines); i++)
		lines[i] = i % 100 == 99 ? '\n' : 'x';
	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
	small = before;
	small.rlim_cur = 1000; /* the kernel's word for "no more" is another one, but it comes at the same place */
	container_log_put(l, LOG_STDOUT, SPAN("first\n"), AT_NS);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
	container_log_put(l, LOG_STDOUT, span_from(lines, 3000), AT_NS);
	container_log_put(l, LOG_STDOUT, span_from(lines, 3000), AT_NS);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
	assert_true(strlen(text_of("full")) <= 1000);
	assert_int_equal(text_of("full")[strlen(text_of("full")) - 1], '\n'); /* no record is torn */
	container_log_put(l, LOG_STDOUT, SPAN("last\n"), AT_NS);
	container_log_close(l, AT_NS);
	assert_non_null(
	    strstr(text_of("full"), "bytes of the log are lost here: File too large]\n" AT "stdout F last\n"));
}

static void a_pipe_is_read_and_its_end_is_seen(void **state)
{
	struct container_log *l = log_new("pipe", 1 << 20, 2);
	bool is_ended = true;
	struct span got;
	int p[2];

	(void)state;
	assert_int_equal(pipe2(p, O_CLOEXEC | O_NONBLOCK), 0);
	got = container_log_pump(l, LOG_STDOUT, p[0], AT_NS, &is_ended);
	assert_true(got.len == 0 && !is_ended);
	assert_int_equal(write(p[1], "hello\n", 6), 6);
	got = container_log_pump(l, LOG_STDOUT, p[0], AT_NS, &is_ended);
	assert_true(span_equal(got, SPAN("hello\n")) && !is_ended);
	close(p[1]);
	got = container_log_pump(l, LOG_STDOUT, p[0], AT_NS, &is_ended);
	assert_true(got.len == 0 && is_ended);
	close(p[0]);
	container_log_close(l, AT_NS);
	assert_string_equal(text_of("pipe"), AT "stdout F hello\n");
}

/* ---- messages ---- */

static void a_request_is_read_as_it_was_written(void **state)
{
	static const struct span command[] = { SPAN_INIT("sh"), SPAN_INIT("-c"), SPAN_INIT("echo \"\xC3\xA4\"\n") };
	static const struct name_value environment[] = { { SPAN_INIT("A"), SPAN_INIT("1") },
							 { SPAN_INIT("B"), SPAN_INIT("") } };
	static const struct mount_wanted mounts[] = { { SPAN_INIT("/a"), SPAN_INIT("/b"), true } };
	static const int64_t groups[] = { 0, 5, -1 };
	struct supervisor_request r = {
		.id = 7,
		.op = SPAN("start"),
		.container = { .name = SPAN("main"),
			       .attempt = 4294967295u,
			       .command = command,
			       .command_count = 3,
			       .environment = environment,
			       .environment_count = 2,
			       .mounts = mounts,
			       .mount_count = 1,
			       .oom_score = -997,
			       .has_stdin = true,
			       .resources = { .memory_limit = INT64_MAX },
			       .security = { .user = -1, .groups = groups, .group_count = 3, .seccomp = SECCOMP_FILE } }
	};
	struct supervisor_request got;
	struct error err = { 0 };
	struct buffer text;
	struct arena arena;

	(void)state;
	buffer_init(&text, MIB(1));
	arena_init(&arena, MIB(1));
	supervisor_request_write(&r, &text);
	if (!request_read(buffer_span(&text), &arena, &got, &err))
		fail_msg("%s", err.message);
	assert_true(got.id == 7 && span_equal(got.op, r.op) && span_equal(got.container.name, SPAN("main")));
	assert_true(got.container.attempt == 4294967295u && got.container.command_count == 3);
	for (size_t i = 0; i < 3; i++)
		assert_true(span_equal(got.container.command[i], command[i]));
	assert_true(got.container.environment_count == 2 && got.container.environment[1].value.len == 0);
	assert_true(got.container.mount_count == 1 && got.container.mounts[0].is_read_only);
	assert_true(got.container.oom_score == -997 && got.container.has_stdin && !got.container.has_terminal);
	assert_true(got.container.resources.memory_limit == INT64_MAX && got.container.security.user == -1);
	assert_true(got.container.security.group_count == 3 && got.container.security.groups[2] == -1);
	assert_int_equal(got.container.security.seccomp, SECCOMP_FILE);
	buffer_done(&text);
	arena_done(&arena);
}

static void odd_requests_are_errors(void **state)
{
	static const char *const rows[] = {
		"",
		"[]",
		"7",
		"{}",
		"{\"id\":0}",
		"{\"id\":1.5}",
		"{\"id\":1,\"op\":7}",
		"{\"id\":1,\"op\":\"a\\u0000b\"}",
		"{\"id\":1,\"attempt\":-1}",
		"{\"id\":1,\"attempt\":4294967296}",
		"{\"id\":1,\"columns\":2147483648}",
		"{\"id\":1,\"name\":\"../x\"}",
		"{\"id\":1,\"name\":\".hidden\"}",
		"{\"id\":1,\"container\":{\"name\":\"a/b\"}}",
		"{\"id\":1,\"container\":{\"command\":{}}}",
		"{\"id\":1,\"container\":{\"command\":[7]}}",
		"{\"id\":1,\"container\":{\"mounts\":[7]}}",
		"{\"id\":1,\"container\":{\"has_stdin\":1}}",
		"{\"id\":1,\"container\":{\"security\":{\"seccomp\":3}}}",
		"{\"id\":1,\"sandbox\":[]}",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct supervisor_request r = { .id = 42 };
		struct error err = { 0 };
		struct arena arena;

		arena_init(&arena, MIB(1));
		if (request_read(span_of(rows[i]), &arena, &r, &err))
			fail_msg("was read: %s", rows[i]);
		assert_int_not_equal(err.code, ERROR_NONE);
		assert_int_equal(r.id, 42);
		arena_done(&arena);
	}
}

static void messages_come_whole_however_they_are_cut(void **state)
{
	static const char bytes[] = "\x02\0\0\0\0\0\0\0{}\0\0\0\0\0\0\0\0\x03\0\0\0\0\0\0\0{ }";
	static const char *const expected[] = { "{}", "", "{ }" };

	(void)state;
	for (size_t step = 1; step < sizeof(bytes); step++) {
		struct error err = { 0 };
		struct channel c;
		size_t found = 0;

		channel_init(&c, -1);
		for (size_t at = 0; at < sizeof(bytes) - 1; at += step) {
			int fds[SUPERVISOR_FDS_MOST];
			struct span text;
			size_t count;

			assert_true(
			    channel_put(&c, span_from(bytes + at, MIN(step, sizeof(bytes) - 1 - at)), NULL, 0, &err));
			while (channel_next(&c, &text, fds, &count, &err) == CHANNEL_MESSAGE) {
				assert_true(found < 3 && span_equal(text, span_of(expected[found])) && count == 0);
				found++;
			}
		}
		assert_int_equal(found, 3);
		channel_done(&c);
	}
}

static void odd_bytes_break_a_channel(void **state)
{
	static const struct {
		const char *bytes;
		enum error_code code;
	} rows[] = {
		{ "\xFF\xFF\xFF\x7F\0\0\0\0", ERROR_TOO_LARGE }, { "\x01\0\x80\0\0\0\0\0", ERROR_TOO_LARGE },
		{ "\x02\0\0\0\x04\0\0\0{}", ERROR_INVALID },     { "\x02\0\0\0\0\x01\0\0{}", ERROR_INVALID },
		{ "\x02\0\0\0\x01\0\0\0{}", ERROR_INVALID }, /* without its descriptor */
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		int fds[SUPERVISOR_FDS_MOST];
		struct error err = { 0 };
		struct channel c;
		struct span text;
		size_t count;

		channel_init(&c, -1);
		assert_true(channel_put(&c, span_from(rows[i].bytes, i < 2 ? 8 : 10), NULL, 0, &err));
		assert_int_equal(channel_next(&c, &text, fds, &count, &err), CHANNEL_BROKEN);
		assert_int_equal(err.code, rows[i].code);
		channel_done(&c);
	}
}

static void descriptors_come_with_their_message(void **state)
{
	static char big[1 << 20];
	struct channel a, b;
	struct error err = { 0 };
	int pair[2], p[2], received = 0;

	(void)state;
	memset(big, ' ', sizeof(big));
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair), 0);
	channel_init(&a, pair[0]);
	channel_init(&b, pair[1]);
	for (int i = 0; i < 6; i++) { /* longer than the socket takes, so that each goes in pieces */
		assert_int_equal(pipe2(p, O_CLOEXEC), 0);
		assert_int_equal(write(p[1], &(char){ (char)('a' + i) }, 1), 1);
		close(p[1]);
		assert_true(channel_send(&a, span_from(big, i % 2 ? sizeof(big) : 1), p, i % 3 ? 1 : 0, &err));
		if (i % 3 == 0)
			close(p[0]);
	}
	while (received < 6) {
		int fds[SUPERVISOR_FDS_MOST];
		struct span text;
		size_t count;

		assert_true(channel_flush(&a, &err));
		assert_true(channel_receive(&b, &err));
		while (channel_next(&b, &text, fds, &count, &err) == CHANNEL_MESSAGE) {
			char c = 0;

			assert_int_equal(text.len, received % 2 ? sizeof(big) : 1);
			assert_int_equal(count, received % 3 ? 1 : 0);
			if (count) {
				assert_int_equal(read(fds[0], &c, 1), 1);
				assert_int_equal(c, 'a' + received);
				close(fds[0]);
			}
			received++;
		}
		assert_int_equal(err.code, ERROR_NONE);
	}
	assert_int_equal(b.in.cap, 0); /* all were taken: a silent one holds nothing */
	channel_done(&a);
	assert_false(channel_receive(&b, &err)); /* its end, which is no error */
	assert_int_equal(err.code, ERROR_NONE);
	channel_done(&b);
}

/* What a busy receiver has not read yet may be many messages, each with as many descriptors as one may have. */
static void as_many_descriptors_come_as_wait(void **state)
{
	enum { MESSAGES = 20 };
	struct channel a, b;
	struct error err = { 0 };
	int pair[2], received = 0;

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair), 0);
	channel_init(&a, pair[0]);
	channel_init(&b, pair[1]);
	for (int i = 0; i < MESSAGES; i++) {
		int fds[SUPERVISOR_FDS_MOST];

		for (int k = 0; k < SUPERVISOR_FDS_MOST; k++)
			fds[k] = dup(STDERR_FILENO);
		assert_true(channel_send(&a, SPAN("{}"), fds, SUPERVISOR_FDS_MOST, &err));
	}
	assert_true(channel_flush(&a, &err));
	assert_false(channel_is_unsent(&a));
	while (received < MESSAGES) {
		int fds[SUPERVISOR_FDS_MOST];
		struct span text;
		size_t count;

		if (!channel_receive(&b, &err))
			fail_msg("%s", err.message);
		while (channel_next(&b, &text, fds, &count, &err) == CHANNEL_MESSAGE) {
			assert_int_equal(count, SUPERVISOR_FDS_MOST);
			for (size_t k = 0; k < count; k++)
				close(fds[k]);
			received++;
		}
	}
	channel_done(&a);
	channel_done(&b);
}

/* ---- records ---- */

static void records_tell_what_was_there(void **state)
{
	struct sandbox_record record = { .config = { .uid = SPAN("u"), .name = SPAN("web") }, .created_ns = 5 };
	struct container_status running = { .name = SPAN("main"),
					    .attempt = 2,
					    .state = CONTAINER_RUNNING,
					    .pid = 77,
					    .created_ns = 20,
					    .started_ns = 30 },
				done = { .name = SPAN("init"),
					 .state = CONTAINER_EXITED,
					 .created_ns = 10,
					 .exit_code = 3,
					 .reason = SPAN("Error") };
	struct sandbox_status status;
	struct error err = { 0 };
	struct arena arena;
	int fd = sandbox_open(span_of(folder), true, &err);

	(void)state;
	arena_init(&arena, MIB(1));
	assert_false(sandbox_load(fd, true, 99, &arena, &status, &err));
	assert_int_equal(err.code, ERROR_NOT_FOUND);
	assert_true(sandbox_save(fd, &record, &err) && container_save(fd, &running, &err) &&
		    container_save(fd, &done, &err));
	assert_true(sandbox_load(fd, false, 99, &arena, &status, &err));
	assert_true(status.is_ready && status.container_count == 2 && span_equal(status.name, SPAN("web")));
	assert_true(span_equal(status.containers[0].name, SPAN("init")) && status.containers[0].exit_code == 3);
	assert_int_equal(status.containers[1].state, CONTAINER_RUNNING);
	assert_true(sandbox_load(fd, true, 99, &arena, &status, &err)); /* it has died, unseen */
	assert_false(status.is_ready);
	assert_int_equal(status.containers[1].state, CONTAINER_EXITED);
	assert_int_equal(status.containers[1].exit_code, 137);
	assert_true(status.containers[1].finished_ns == 99 && status.containers[0].finished_ns == 0);
	assert_true(sandbox_load(fd, true, 200, &arena, &status, &err));
	assert_true(status.containers[1].finished_ns == 99); /* once and for all */
	container_forget(fd, SPAN("main"), 2);
	assert_true(sandbox_load(fd, true, 200, &arena, &status, &err));
	assert_int_equal(status.container_count, 1);
	arena_done(&arena);
	close(fd);
}

static void torn_records_are_as_if_never_written(void **state)
{
	struct sandbox_record record = { .config = { .uid = SPAN("u") } };
	struct sandbox_status status;
	struct error err = { 0 };
	struct arena arena;
	int fd = sandbox_open(span_of(folder), true, &err), file;

	(void)state;
	arena_init(&arena, MIB(1));
	assert_true(sandbox_save(fd, &record, &err));
	(void)mkdirat(fd, "containers", 0700);
	file = openat(fd, "containers/torn.0.json", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	assert_int_equal(write(file, "{\"name\":\"to", 11), 11);
	close(file);
	assert_true(sandbox_load(fd, true, 99, &arena, &status, &err));
	assert_int_equal(status.container_count, 0);
	arena_done(&arena);
	close(fd);
}

static void one_supervisor_holds_the_lock(void **state)
{
	struct error err = { 0 };
	int fd = sandbox_open(span_of(folder), true, &err), first, second;
	bool is_taken = true;

	(void)state;
	first = sandbox_lock(fd, &is_taken);
	assert_true(first >= 0 && !is_taken);
	second = sandbox_lock(fd, &is_taken);
	assert_true(second < 0 && is_taken);
	close(first);
	second = sandbox_lock(fd, &is_taken);
	assert_true(second >= 0 && !is_taken);
	close(second);
	close(fd);
}

#define ON_A_FOLDER(test) cmocka_unit_test_setup_teardown(test, folder_new, folder_remove)

int main(void)
{
	const struct CMUnitTest tests[] = {
		ON_A_FOLDER(lines_are_written_as_the_runtime_interface_has_them),
		ON_A_FOLDER(a_line_that_is_too_long_is_cut),
		ON_A_FOLDER(a_flood_stays_within_its_files),
		ON_A_FOLDER(a_full_disk_loses_lines_and_says_how_much),
		ON_A_FOLDER(a_pipe_is_read_and_its_end_is_seen),
		cmocka_unit_test(a_request_is_read_as_it_was_written),
		cmocka_unit_test(odd_requests_are_errors),
		cmocka_unit_test(messages_come_whole_however_they_are_cut),
		cmocka_unit_test(odd_bytes_break_a_channel),
		cmocka_unit_test(descriptors_come_with_their_message),
		cmocka_unit_test(as_many_descriptors_come_as_wait),
		ON_A_FOLDER(records_tell_what_was_there),
		ON_A_FOLDER(torn_records_are_as_if_never_written),
		ON_A_FOLDER(one_supervisor_holds_the_lock),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
