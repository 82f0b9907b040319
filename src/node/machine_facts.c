/* SPDX-License-Identifier: Apache-2.0 */
#include "node/machine_facts.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/number.h"

#define FILE_MOST     KIB(256)
#define NS_PER_TICK   INT64_C(10000000) /* of /proc/stat: USER_HZ is 100 on all that we run on */
#define NO_LIMIT      INT64_MAX
#define LIMIT_IS_NONE (INT64_C(1) << 60) /* version 1 writes a number near 2^63 for "none" */

/* ---- small files ---- */

static bool file_read(const char *root, const char *path, struct buffer *out)
{
	AUTO_FREE char *whole = NULL;
	struct error ignored = { 0 };

	buffer_clear(out);
	return asprintf(&whole, "%s%s", root, path) >= 0 && buffer_read_file(out, whole, &ignored);
}

static void line_read(const char *root, const char *path, char ret[FACT_SIZE])
{
	struct buffer text;
	struct span s;

	*ret = '\0';
	buffer_init(&text, FILE_MOST);
	if (file_read(root, path, &text)) {
		s = span_first(span_trim(buffer_span(&text)), FACT_SIZE - 1);
		s = span_first(s, span_index(s, '\n'));
		memcpy(ret, s.ptr, s.len);
		ret[s.len] = '\0';
	}
	buffer_done(&text);
}

/* The number behind "key" at the start of a line ("MemTotal:  16 kB", "total_inactive_file 16"). */
static bool number_after(struct span text, struct span key, int64_t *ret)
{
	while (text.len) {
		struct span line = span_cut(&text, '\n');

		if (!span_starts(line, key) || line.len == key.len ||
		    (line.ptr[key.len] != ' ' && line.ptr[key.len] != '\t'))
			continue;
		line = span_trim(span_skip(line, key.len));
		return number_parse_int64(span_first(line, span_index(line, ' ')), ret);
	}
	return false;
}

static bool number_read(const char *root, const char *path, int64_t *ret)
{
	struct buffer text;
	struct span s;
	bool good;

	buffer_init(&text, FILE_MOST);
	good = file_read(root, path, &text);
	s = span_trim(buffer_span(&text));
	good = good && number_parse_int64(span_first(s, span_index(s, ' ')), ret);
	buffer_done(&text);
	return good;
}

/* ---- control groups ---- */

struct group_place {
	char folder[512]; /* "/sys/fs/cgroup/memory/a/b" */
	size_t top;       /* length of the part that is the mount point */
};

static bool is_unified(const char *root)
{
	AUTO_FREE char *path = NULL;

	return asprintf(&path, "%s/sys/fs/cgroup/cgroup.controllers", root) >= 0 && access(path, F_OK) == 0;
}

/* A line of /proc/self/cgroup: "4:memory:/a/b", "0::/a/b". */
static bool line_is_of(struct span line, const char *controller, bool unified, struct span *ret_path)
{
	struct span names, one;

	(void)span_cut(&line, ':');
	names = span_cut(&line, ':');
	*ret_path = line;
	if (unified)
		return names.len == 0;
	while (names.len) {
		one = span_cut(&names, ',');
		if (span_equal(one, span_of(controller)))
			return true;
	}
	return false;
}

/* Where this program stands. False: nobody limits it. */
static bool group_find(const char *root, const char *controller, struct group_place *ret)
{
	bool unified = is_unified(root), found = false;
	struct buffer text;
	struct span rest, path;

	buffer_init(&text, FILE_MOST);
	rest = file_read(root, "/proc/self/cgroup", &text) ? buffer_span(&text) : (struct span){ 0 };
	while (rest.len && !found)
		found = line_is_of(span_cut(&rest, '\n'), controller, unified, &path);
	if (found) {
		int n = snprintf(ret->folder, sizeof(ret->folder), "/sys/fs/cgroup%s%s", unified ? "" : "/",
				 unified ? "" : controller);

		ret->top = (size_t)n;
		if (path.len > 1 && path.len < sizeof(ret->folder) - ret->top)
			snprintf(ret->folder + ret->top, sizeof(ret->folder) - ret->top, "%.*s", (int)path.len,
				 path.ptr);
	}
	buffer_done(&text);
	return found;
}

/* The one above; false: there is none. */
static bool group_up(struct group_place *g)
{
	char *slash = strrchr(g->folder, '/');

	if (strlen(g->folder) <= g->top)
		return false;
	*MAX(slash, g->folder + g->top) = '\0';
	return true;
}

static bool group_number(const char *root, const struct group_place *g, const char *name, int64_t *ret)
{
	char path[640];

	snprintf(path, sizeof(path), "%s/%s", g->folder, name);
	return number_read(root, path, ret);
}

static int64_t memory_limit_of(const char *root, const struct group_place *g)
{
	int64_t limit;

	if (group_number(root, g, "memory.max", &limit) || group_number(root, g, "memory.limit_in_bytes", &limit))
		return limit > 0 && limit < LIMIT_IS_NONE ? limit : NO_LIMIT;
	return NO_LIMIT;
}

/* What cannot be dropped at once. */
static bool memory_used_in(const char *root, const struct group_place *g, int64_t *ret)
{
	int64_t used, inactive = 0;
	struct buffer text;
	char path[640];

	if (!group_number(root, g, "memory.current", &used) && !group_number(root, g, "memory.usage_in_bytes", &used))
		return false;
	snprintf(path, sizeof(path), "%s/memory.stat", g->folder);
	buffer_init(&text, FILE_MOST);
	if (file_read(root, path, &text) && !number_after(buffer_span(&text), SPAN("total_inactive_file"), &inactive))
		(void)!number_after(buffer_span(&text), SPAN("inactive_file"), &inactive);
	buffer_done(&text);
	*ret = MAX(used - inactive, 0);
	return true;
}

/* The least of the groups' limits, and of what is left below them. */
static void memory_by_groups(const char *root, int64_t *limit, int64_t *available)
{
	struct group_place g;
	bool more = group_find(root, "memory", &g);

	while (more) {
		int64_t own = memory_limit_of(root, &g), used = 0;

		if (own != NO_LIMIT) {
			*limit = MIN(*limit, own);
			if (memory_used_in(root, &g, &used))
				*available = MIN(*available, MAX(own - used, 0));
		}
		more = group_up(&g);
	}
}

/* "50000 100000" of version 2, two files of version 1; thousandths. */
static int64_t cpu_limit_of(const char *root, const struct group_place *g)
{
	int64_t quota = -1, period = 0;
	struct buffer text;
	char path[640];
	struct span s;

	snprintf(path, sizeof(path), "%s/cpu.max", g->folder);
	buffer_init(&text, FILE_MOST);
	if (file_read(root, path, &text)) {
		s = span_trim(buffer_span(&text));
		if (!number_parse_int64(span_cut(&s, ' '), &quota) || !number_parse_int64(s, &period))
			quota = -1;
	} else if (!group_number(root, g, "cpu.cfs_quota_us", &quota) ||
		   !group_number(root, g, "cpu.cfs_period_us", &period)) {
		quota = -1;
	}
	buffer_done(&text);
	return quota > 0 && period > 0 && quota < NO_LIMIT / 1000 ? quota * 1000 / period : NO_LIMIT;
}

static int64_t cpu_by_groups(const char *root)
{
	int64_t least = NO_LIMIT;
	struct group_place g;
	bool more = group_find(root, "cpu", &g);

	while (more) {
		least = MIN(least, cpu_limit_of(root, &g));
		more = group_up(&g);
	}
	return least;
}

/* ---- the machine ---- */

/* "0-3,8": how many. */
static int64_t list_count(struct span s)
{
	int64_t count = 0;

	while (s.len) {
		struct span range = span_cut(&s, ','), first = span_cut(&range, '-');
		int64_t from, to;

		if (!number_parse_int64(first, &from))
			return 0;
		if (!range.len)
			count++;
		else if (number_parse_int64(range, &to) && to >= from)
			count += to - from + 1;
	}
	return count;
}

/* Those that this program may run on. */
static int64_t cpus(const char *root)
{
	int64_t count = 0;
	struct buffer text;
	struct span rest;

	buffer_init(&text, FILE_MOST);
	rest = file_read(root, "/proc/self/status", &text) ? buffer_span(&text) : (struct span){ 0 };
	while (rest.len) {
		struct span line = span_cut(&rest, '\n');

		if (span_starts(line, SPAN("Cpus_allowed_list:")))
			count = list_count(span_trim(span_skip(line, strlen("Cpus_allowed_list:"))));
	}
	buffer_done(&text);
	return count;
}

static void os_name(const char *root, char ret[FACT_SIZE])
{
	struct buffer text;
	struct span rest;

	snprintf(ret, FACT_SIZE, "Linux");
	buffer_init(&text, FILE_MOST);
	rest = file_read(root, "/etc/os-release", &text) ? buffer_span(&text) : (struct span){ 0 };
	while (rest.len) {
		struct span line = span_trim(span_cut(&rest, '\n'));

		if (!span_starts(line, SPAN("PRETTY_NAME=")))
			continue;
		line = span_skip(line, strlen("PRETTY_NAME="));
		if (line.len >= 2 && (*line.ptr == '"' || *line.ptr == '\''))
			line = span_from(line.ptr + 1, line.len - 2);
		snprintf(ret, FACT_SIZE, SPAN_FMT, SPAN_ARG(line));
	}
	buffer_done(&text);
}

static bool memory_read(const char *root, int64_t *ret_total, int64_t *ret_available, struct error *err)
{
	struct buffer text;
	bool good;

	buffer_init(&text, FILE_MOST);
	good = file_read(root, "/proc/meminfo", &text) &&
	       number_after(buffer_span(&text), SPAN("MemTotal:"), ret_total) &&
	       number_after(buffer_span(&text), SPAN("MemAvailable:"), ret_available);
	buffer_done(&text);
	if (!good)
		return error_set(err, ERROR_UNAVAILABLE, "cannot read how much memory there is in %s/proc/meminfo",
				 root);
	*ret_total *= 1024;
	*ret_available *= 1024;
	memory_by_groups(root, ret_total, ret_available);
	return true;
}

static bool disk_read(const char *folder, struct statvfs *ret, struct error *err)
{
	return statvfs(folder, ret) == 0 ||
	       error_set(err, ERROR_UNAVAILABLE, "cannot measure the disk of '%s'", folder);
}

bool machine_facts_read(const char *root, const char *folder, struct machine_facts *ret, struct error *err)
{
	struct machine_facts f = {
#if defined(__x86_64__)
		.architecture = "amd64",
#elif defined(__aarch64__)
		.architecture = "arm64",
#else
#error "an architecture that Kubernetes has a name for"
#endif
	};
	int64_t available;
	struct statvfs disk;

	if (!memory_read(root, &f.memory, &available, err) || !disk_read(folder, &disk, err))
		return false;
	f.cpu = MIN(cpus(root) * 1000, cpu_by_groups(root));
	if (f.cpu <= 0)
		return error_set(err, ERROR_UNAVAILABLE,
				 "cannot read how many processors there are in "
				 "%s/proc/self/status",
				 root);
	f.disk = (int64_t)(disk.f_blocks * disk.f_frsize);
	f.inodes = (int64_t)disk.f_files;
	line_read(root, "/proc/sys/kernel/osrelease", f.kernel);
	line_read(root, "/etc/machine-id", f.machine_id);
	line_read(root, "/proc/sys/kernel/random/boot_id", f.boot_id);
	line_read(root, "/sys/class/dmi/id/product_uuid", f.system_id);
	os_name(root, f.os);
	*ret = f;
	return true;
}

/* The fourth word of /proc/loadavg: "3/512". */
static int64_t processes(const char *root)
{
	struct buffer text;
	struct span s, word = { 0 };
	int64_t count = 0;

	buffer_init(&text, FILE_MOST);
	s = file_read(root, "/proc/loadavg", &text) ? buffer_span(&text) : (struct span){ 0 };
	for (int i = 0; i < 4; i++)
		word = span_cut(&s, ' ');
	(void)span_cut(&word, '/');
	if (!number_parse_int64(word, &count))
		count = 0;
	buffer_done(&text);
	return count;
}

/* All but idle and iowait. */
static int64_t cpu_used(const char *root)
{
	enum { IDLE = 3, IOWAIT = 4, FIELDS = 8 };
	struct buffer text;
	struct span line;
	int64_t sum = 0, one;

	buffer_init(&text, FILE_MOST);
	line = file_read(root, "/proc/stat", &text) ? buffer_span(&text) : (struct span){ 0 };
	line = span_trim(span_skip(line, MIN(line.len, strlen("cpu"))));
	line = span_first(line, span_index(line, '\n'));
	for (int i = 0; i < FIELDS; i++)
		if (number_parse_int64(span_cut(&line, ' '), &one) && i != IDLE && i != IOWAIT)
			sum += one;
	buffer_done(&text);
	return sum * NS_PER_TICK;
}

bool machine_use_read(const char *root, const char *folder, struct machine_use *ret, struct error *err)
{
	struct machine_use u = { 0 };
	int64_t total, threads;
	struct statvfs disk;

	if (!memory_read(root, &total, &u.memory_available, err) || !disk_read(folder, &disk, err))
		return false;
	u.disk_available = (int64_t)(disk.f_bavail * disk.f_frsize);
	u.inodes_available = (int64_t)disk.f_favail;
	u.processes = processes(root);
	if (!number_read(root, "/proc/sys/kernel/pid_max", &u.processes_most))
		u.processes_most = NO_LIMIT;
	if (number_read(root, "/proc/sys/kernel/threads-max", &threads))
		u.processes_most = MIN(u.processes_most, threads);
	u.cpu_ns = cpu_used(root);
	*ret = u;
	return true;
}
