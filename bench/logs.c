/* SPDX-License-Identifier: Apache-2.0 */
/*
 * logs - how fast a container's output becomes its log: a process writes lines into a pipe as fast as it can, this one reads, stamps, writes and
 * rotates them as a supervisor does. Says megabytes of output for a second of this process's CPU time, and of the clock.
 *
 *	bench_logs [MEGABYTES [FOLDER]]
 */
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/number.h"
#include "node/runtime.h"
#include "node/supervisor_log.h"

static int64_t cpu_ns(void)
{
	struct rusage u;

	getrusage(RUSAGE_SELF, &u);
	return ((int64_t)u.ru_utime.tv_sec + u.ru_stime.tv_sec) * NS_PER_S +
	       ((int64_t)u.ru_utime.tv_usec + u.ru_stime.tv_usec) * NS_PER_US;
}

_Noreturn static void produce(int fd, size_t line, int64_t bytes)
{
	static char block[1 << 16];
	size_t whole = sizeof(block) / line * line;

	memset(block, 'x', sizeof(block));
	for (size_t at = line - 1; at < whole; at += line)
		block[at] = '\n';
	while (bytes > 0) {
		ssize_t n = write(fd, block, whole); /* pipes take it whole: it blocks */

		if (n <= 0)
			_exit(1);
		bytes -= n;
	}
	_exit(0);
}

static bool measure(const char *path, size_t line, int64_t bytes)
{
	const struct container_log_limits limits = { LOG_BYTES_MOST, LOG_FILES_MOST };
	struct error err = { 0 };
	struct container_log *l = container_log_open(path, &limits, &err);
	int64_t began = clock_monotonic_ns(), cpu = cpu_ns(), total = 0;
	bool is_ended = false;
	int p[2], status = 1;
	pid_t pid;

	if (!l || pipe2(p, O_CLOEXEC) < 0) {
		fprintf(stderr, "logs: %s\n", err.message);
		return false;
	}
	(void)fcntl(p[0], F_SETPIPE_SZ, 256 << 10);
	pid = fork();
	if (pid == 0)
		produce(p[1], line, bytes);
	close(p[1]);
	(void)fcntl(p[0], F_SETFL, O_NONBLOCK);
	while (!is_ended) {
		struct pollfd wait = { .fd = p[0], .events = POLLIN };

		(void)poll(&wait, 1, -1);
		total += (int64_t)container_log_pump(l, LOG_STDOUT, p[0], clock_wall_ns(), &is_ended).len;
	}
	cpu = cpu_ns() - cpu;
	began = clock_monotonic_ns() - began;
	container_log_close(l, clock_wall_ns());
	close(p[0]);
	(void)waitpid(pid, &status, 0);
	printf("lines of %5zu bytes: %6.0f MB/s of one core, %6.0f MB/s by the clock\n", line,
	       (double)total * 1e3 / (double)cpu, (double)total * 1e3 / (double)began);
	return total >= bytes && status == 0;
}

int main(int argc, char **argv)
{
	static const size_t lines[] = { 20, 100, 1000, 16000 };
	const char *parent = argc > 2 ? argv[2] : getenv("TMPDIR");
	uint64_t megabytes = 200;
	char folder[256], path[300], command[300];
	bool ok = true;

	if (argc > 1 && (!number_parse_uint64(span_of(argv[1]), &megabytes) || megabytes == 0 || megabytes > 100000)) {
		fprintf(stderr, "usage: bench_logs [MEGABYTES [FOLDER]]\n");
		return 2;
	}
	snprintf(folder, sizeof(folder), "%s/hythe-bench-logs-XXXXXX", parent ? parent : "/tmp");
	if (!mkdtemp(folder)) {
		perror(folder);
		return 1;
	}
	for (size_t i = 0; i < ARRAY_LEN(lines); i++) {
		snprintf(path, sizeof(path), "%s/%zu/0.log", folder, lines[i]);
		ok = measure(path, lines[i], (int64_t)megabytes * 1000000) && ok;
	}
	snprintf(command, sizeof(command), "rm -r '%s'", folder);
	return system(command) == 0 && ok ? 0 : 1;
}
