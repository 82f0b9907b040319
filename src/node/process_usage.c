/* SPDX-License-Identifier: Apache-2.0 */
/* process_usage - what a process and its descendants use, for those whom no control group counts. */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/number.h"
#include "node/confine_private.h"

struct tree {
	pid_t pids[POD_PROCESSES_MOST];
	size_t count;
};

/* The numbers of a line, parted by spaces. False: there are fewer. */
static bool numbers_read(struct span text, size_t first, int64_t *ret, size_t count)
{
	for (size_t i = 0; i < first + count; i++) {
		struct span word = span_trim(span_cut(&text, ' '));

		if (i >= first && !number_parse_int64(word, &ret[i - first]))
			return false;
	}
	return true;
}

static bool children_add(struct tree *t, pid_t pid, const char *thread)
{
	char path[96], text[16 * 1024];
	struct span rest;
	ssize_t n;

	(void)snprintf(path, sizeof(path), "/proc/%d/task/%s/children", pid, thread);
	n = file_read(path, text, sizeof(text));
	if (n < 0)
		return false;
	rest = span_from(text, (size_t)n);
	while (rest.len && t->count < ARRAY_LEN(t->pids)) {
		int64_t child;

		if (number_parse_int64(span_trim(span_cut(&rest, ' ')), &child))
			t->pids[t->count++] = (pid_t)child;
	}
	return true;
}

/* Children belong to the thread that made them. */
static void descend(struct tree *t, pid_t pid)
{
	char path[64];
	struct dirent *d;
	DIR *folder;

	(void)snprintf(path, sizeof(path), "/proc/%d/task", pid);
	folder = opendir(path);
	while (folder && (d = readdir(folder)))
		if (d->d_name[0] != '.')
			(void)children_add(t, pid, d->d_name);
	if (folder)
		(void)closedir(folder);
}

/* CPU time with that of children it has waited for; memory that is its own alone (proc(5): stat, statm). */
static void process_add(pid_t pid, int64_t *cpu_ns, int64_t *memory)
{
	char path[64], text[1024];
	const char *name_end;
	int64_t times[4], pages[2];

	(void)snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	if (file_read(path, text, sizeof(text)) > 0 && (name_end = strrchr(text, ')')) &&
	    numbers_read(span_of(name_end + 2), 11, times, 4))
		*cpu_ns += (times[0] + times[1] + times[2] + times[3]) * (NS_PER_S / sysconf(_SC_CLK_TCK));
	(void)snprintf(path, sizeof(path), "/proc/%d/statm", pid);
	if (file_read(path, text, sizeof(text)) > 0 && numbers_read(span_of(text), 1, pages, 2))
		*memory += (pages[0] - pages[1]) * sysconf(_SC_PAGESIZE);
}

bool process_usage(pid_t first, int64_t *ret_cpu_ns, int64_t *ret_memory, int64_t *ret_processes)
{
	struct tree *t;
	int64_t cpu_ns = 0, memory = 0;

	if (first <= 0)
		return false;
	t = base_alloc(sizeof(*t));
	t->pids[0] = first;
	t->count = 1;
	for (size_t i = 0; i < t->count; i++) {
		process_add(t->pids[i], &cpu_ns, &memory);
		descend(t, t->pids[i]);
	}
	*ret_cpu_ns = cpu_ns;
	*ret_memory = memory;
	*ret_processes = (int64_t)t->count;
	free(t);
	return true;
}
