/* SPDX-License-Identifier: Apache-2.0 */
#include "metrics/process.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "base/base.h"
#include "base/number.h"

/* The text of a small file of /proc, in `out`. */
static struct span proc_read(const char *path, char *out, size_t size)
{
	AUTO_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? 0 : read(fd, out, size);

	return span_from(out, n > 0 ? (size_t)n : 0);
}

/* The number in field `index` (from 0) of a line of words. */
static uint64_t word_number(struct span line, unsigned index)
{
	struct span word = { 0 };
	uint64_t value = 0;

	for (unsigned i = 0; i <= index; i++)
		word = span_cut(&line, ' ');
	return number_parse_uint64(span_trim(word), &value) ? value : 0;
}

static uint64_t count_fds(void)
{
	DIR *dir = opendir("/proc/self/fd");
	uint64_t count = 0;

	if (!dir)
		return 0;
	for (struct dirent *entry; (entry = readdir(dir));)
		count += entry->d_name[0] != '.';
	closedir(dir);
	return count - 1; /* the folder's own */
}

static double seconds_of(struct timespec t)
{
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* proc(5): field 22 of stat is the start in clock ticks since boot; the words are counted behind the name's ")",
 * field 2. */
static double start_seconds(void)
{
	struct timespec wall = { 0 }, boot = { 0 };
	char text[1024];
	struct span stat = proc_read("/proc/self/stat", text, sizeof(text));
	const char *name_end = stat.len ? memrchr(stat.ptr, ')', stat.len) : NULL;
	double since_boot;

	if (!name_end || name_end + 2 > stat.ptr + stat.len)
		return 0;
	stat = span_skip(stat, (size_t)(name_end + 2 - stat.ptr));
	since_boot = (double)word_number(stat, 22 - 3) / (double)sysconf(_SC_CLK_TCK);
	clock_gettime(CLOCK_REALTIME, &wall);
	clock_gettime(CLOCK_BOOTTIME, &boot);
	return seconds_of(wall) - seconds_of(boot) + since_boot;
}

struct process_facts process_facts_read(void)
{
	struct process_facts facts = { .open_fds = count_fds(), .start_seconds = start_seconds() };
	struct rlimit files = { 0 };
	struct rusage usage = { 0 };
	char text[256];
	struct span statm = proc_read("/proc/self/statm", text, sizeof(text));
	uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);

	facts.virtual_bytes = word_number(statm, 0) * page;
	facts.resident_bytes = word_number(statm, 1) * page;
	if (getrusage(RUSAGE_SELF, &usage) == 0)
		facts.cpu_seconds = (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
				    (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
	if (getrlimit(RLIMIT_NOFILE, &files) == 0)
		facts.max_fds = files.rlim_cur;
	return facts;
}
