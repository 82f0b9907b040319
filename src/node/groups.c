/* SPDX-License-Identifier: Apache-2.0 */
#include "node/confine_private.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/number.h"

/*
 * Version 1 has a hierarchy for each controller (some share one), version 2 one for all. A machine may have both ("hybrid"): then the
 * controllers are where version 1 has them, and version 2 is left alone.
 */
enum controller { CPU, CPUACCT, MEMORY, PIDS, CONTROLLER_COUNT };

static const char *const controller_names[] = { "cpu", "cpuacct", "memory", "pids" };

static struct {
	bool is_read, is_unified;
	char *roots[CONTROLLER_COUNT]; /* mount points; NULL: there is none. Of version 2: all the same */
} machine;

/* Tries of what is refused while a killed process still goes: each waits a millisecond. */
#define ENDING_TRIES_MOST 2000

/* ---- what the machine has ---- */

static bool has_option(struct span options, const char *name)
{
	while (options.len > 0) {
		struct span one = span_cut(&options, ',');

		if (span_equal(one, span_of(name)))
			return true;
	}
	return false;
}

/* A line of mountinfo(5): id parent device root mount-point options [optional ...] - type source super-options. */
static void machine_read_line(struct span line)
{
	struct span fields[5], type, options;

	for (size_t i = 0; i < ARRAY_LEN(fields); i++)
		fields[i] = span_cut(&line, ' ');
	while (line.len > 0 && !span_equal(span_cut(&line, ' '), SPAN("-")))
		;
	type = span_cut(&line, ' ');
	span_cut(&line, ' ');
	options = span_trim(line);
	if (span_equal(type, SPAN("cgroup2")) && span_equal(fields[4], SPAN("/sys/fs/cgroup"))) {
		machine.is_unified = true;
		for (size_t i = 0; i < CONTROLLER_COUNT; i++)
			machine.roots[i] = span_to_text(fields[4]);
	}
	for (size_t i = 0; span_equal(type, SPAN("cgroup")) && i < CONTROLLER_COUNT; i++) {
		if (!machine.roots[i] && has_option(options, controller_names[i]))
			machine.roots[i] = span_to_text(fields[4]);
	}
}

static void machine_read(void)
{
	struct error ignored = { 0 };
	struct buffer text;
	struct span rest;

	if (machine.is_read)
		return;
	machine.is_read = true;
	buffer_init(&text, MIB(4));
	if (buffer_read_file(&text, "/proc/self/mountinfo", &ignored)) {
		rest = buffer_span(&text);
		while (rest.len > 0)
			machine_read_line(span_cut(&rest, '\n'));
	}
	buffer_done(&text);
}

/* The same hierarchy as one before it. */
static bool is_repeated(size_t i)
{
	for (size_t k = 0; k < i; k++) {
		if (machine.roots[k] && strcmp(machine.roots[k], machine.roots[i]) == 0)
			return true;
	}
	return false;
}

/* ---- files of a group ---- */

static bool group_write(const struct control_group *g, enum controller which, const char *file, const char *value,
			struct error *err)
{
	AUTO_FREE char *path =
	    machine.roots[which] ? text_format("%s%s/%s", machine.roots[which], g->path, file) : NULL;

	return path ? file_write(path, value, err)
		    : error_set(err, ERROR_UNIMPLEMENTED, "no control groups for %s", controller_names[which]);
}

static bool group_write_number(const struct control_group *g, enum controller which, const char *file, int64_t value,
			       struct error *err)
{
	char text[32];

	snprintf(text, sizeof(text), "%" PRId64, value);
	return group_write(g, which, file, text, err);
}

static ssize_t group_read(const struct control_group *g, enum controller which, const char *file, char *ret,
			  size_t capacity)
{
	AUTO_FREE char *path =
	    machine.roots[which] ? text_format("%s%s/%s", machine.roots[which], g->path, file) : NULL;

	return path ? file_read(path, ret, capacity) : -1;
}

/* The number at the start of a text, -1: there is none. "max" is none. */
static int64_t number_at(struct span text)
{
	int64_t number = -1;

	(void)number_parse_int64(span_trim(span_first(text, span_index(text, '\n'))), &number);
	return number;
}

/* Of a file of one number, or (key) of lines "key number". -1: it is not there. */
static int64_t group_number(const struct control_group *g, enum controller which, const char *file, const char *key)
{
	char text[8192];
	struct span rest;

	if (group_read(g, which, file, text, sizeof(text)) < 0)
		return -1;
	if (!key)
		return number_at(span_of(text));
	rest = span_of(text);
	while (rest.len > 0) {
		struct span line = span_cut(&rest, '\n');
		struct span name = span_cut(&line, ' ');

		if (span_equal(name, span_of(key)))
			return number_at(line);
	}
	return -1;
}

/* ---- making ---- */

/* Version 2: a group gives its controllers to those below it only when told. */
static void controllers_enable(const char *folder)
{
	static const char *const names[] = { "+cpu", "+memory", "+pids" };
	AUTO_FREE char *path = text_format("%s/cgroup.subtree_control", folder);
	struct error ignored = { 0 };

	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		(void)file_write(path, names[i], &ignored); /* one that is not there shows when its limit is set */
}

/* The folder and those above it, below the hierarchy's root. */
static bool folder_make(const char *root, const char *path, bool *ret_was_there, struct error *err)
{
	AUTO_FREE char *full = text_format("%s%s", root, path);
	size_t start = strlen(root);

	if (machine.is_unified && strrchr(path, '/') > path) {
		AUTO_FREE char *parent = text_format("%s%.*s", root, (int)(strrchr(path, '/') - path), path);

		controllers_enable(parent); /* when it is not there yet, it is done below */
	}
	if (mkdir(full, 0755) == 0)
		return true;
	if (errno == EEXIST) {
		*ret_was_there = true;
		return true;
	}
	if (errno != ENOENT)
		return error_errno(err, errno, "cannot make the control group %s", full);
	for (char *at = full + start + 1;; at++) {
		char c = *at;

		if (c && c != '/')
			continue;
		*at = 0;
		if (mkdir(full, 0755) < 0 && errno != EEXIST)
			return error_errno(err, errno, "cannot make the control group %s", full);
		if (!c)
			return true;
		if (machine.is_unified)
			controllers_enable(full);
		*at = c;
	}
}

/* Version 2: those that get nothing of it. 0: all is had. */
static size_t controllers_missing(const char *folder, struct span ret[CONTROLLER_COUNT])
{
	static const struct span names[] = { SPAN_INIT("cpu"), SPAN_INIT("memory"), SPAN_INIT("pids") };
	AUTO_FREE char *path = text_format("%s/cgroup.subtree_control", folder);
	char text[1024];
	ssize_t len = file_read(path, text, sizeof(text));
	size_t count = 0;

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		struct span rest = span_trim(span_from(text, (size_t)MAX(len, 0)));
		bool is_there = false;

		while (rest.len > 0)
			is_there |= span_equal(span_cut(&rest, ' '), names[i]);
		if (!is_there)
			ret[count++] = names[i];
	}
	return count;
}

static bool controllers_check(const char *folder, struct error *err)
{
	struct span missing[CONTROLLER_COUNT];

	if (controllers_missing(folder, missing) == 0)
		return true;
	controllers_enable(folder);
	if (controllers_missing(folder, missing) == 0)
		return true;
	return error_set(err, ERROR_FORBIDDEN, "the control group %s does not pass on the controller " SPAN_FMT, folder,
			 SPAN_ARG(missing[0]));
}

bool groups_are_usable(const char *root, struct error *err)
{
	AUTO_FREE char *full = NULL, *parent = NULL;

	machine_read();
	for (size_t i = 0; i < CONTROLLER_COUNT; i++) {
		if (!machine.roots[i])
			return error_set(err, ERROR_UNIMPLEMENTED, "this machine has no control groups for %s",
					 controller_names[i]);
	}
	full = text_format("%s%s", machine.roots[MEMORY], root);
	parent = text_format("%.*s", (int)(strrchr(full, '/') - full), full);
	if (access(full, W_OK) < 0 && (errno != ENOENT || access(parent, W_OK) < 0))
		return error_set(err, ERROR_FORBIDDEN, "the control group %s may not be written", full);
	return !machine.is_unified || controllers_check(parent, err);
}

/* Processes are moved by who may write the list of the group above both places (cgroups(7), delegation). */
static bool is_ours(const char *path, size_t len)
{
	AUTO_FREE char *folder = text_format("%s%.*s", machine.roots[MEMORY], (int)len, path);
	AUTO_FREE char *list = text_format("%s/cgroup.procs", folder);

	return access(folder, W_OK) == 0 && access(list, W_OK) == 0;
}

char *confine_group_root(void)
{
	char text[4096];
	const char *own, *end;

	machine_read();
	if (geteuid() == 0 || !machine.is_unified || file_read("/proc/self/cgroup", text, sizeof(text)) < 0)
		return strdup(CONFINE_GROUP_ROOT);
	own = strstr(text, "0::/");
	if (!own)
		return strdup(CONFINE_GROUP_ROOT);
	own += strlen("0::");
	end = own + strcspn(own, "\n");
	/* From the highest on, but our own: what has processes passes nothing on. */
	for (const char *at = own + 1; at < end; at++) {
		if (*at == '/' && is_ours(own, (size_t)(at - own)))
			return text_format("%.*s" CONFINE_GROUP_ROOT, (int)(at - own), own);
	}
	return strdup(CONFINE_GROUP_ROOT);
}

/* Kubernetes' sums: MilliCPUToShares, MilliCPUToQuota of the kubelet; and of version 2 the weight runc makes of shares. */
static int64_t cpu_shares(int64_t thousandths)
{
	return MIN(MAX(thousandths * 1024 / 1000, 2), 262144);
}

static bool limit_cpu(const struct control_group *g, const struct resources *l, bool is_update, struct error *err)
{
	int64_t shares = cpu_shares(l->cpu_request), quota = l->cpu_limit > 0 ? MAX(l->cpu_limit * 100, 1000) : -1;
	char text[64];

	if (machine.is_unified) {
		snprintf(text, sizeof(text), "%" PRId64 " 100000", quota);
		return group_write_number(g, CPU, "cpu.weight", 1 + (shares - 2) * 9999 / 262142, err) &&
		       ((quota < 0 && !is_update) ||
			group_write(g, CPU, "cpu.max", quota < 0 ? "max 100000" : text, err));
	}
	return group_write_number(g, CPU, "cpu.shares", shares, err) &&
	       ((quota < 0 && !is_update) || group_write_number(g, CPU, "cpu.cfs_quota_us", quota, err));
}

static bool limit_memory(const struct control_group *g, const struct resources *l, bool is_update, struct error *err)
{
	struct error ignored = { 0 };
	int64_t most = l->memory_limit > 0 ? l->memory_limit : -1;

	if (most < 0 && !is_update)
		return true;
	if (machine.is_unified) {
		(void)group_write(g, MEMORY, "memory.swap.max", most < 0 ? "max" : "0", &ignored);
		return most < 0 ? group_write(g, MEMORY, "memory.max", "max", err)
				: group_write_number(g, MEMORY, "memory.max", most, err);
	}
	/* Memory with swap is never less than memory: when it grows, that goes first. */
	(void)group_write_number(g, MEMORY, "memory.memsw.limit_in_bytes", most, &ignored);
	if (!group_write_number(g, MEMORY, "memory.limit_in_bytes", most, err))
		return false;
	(void)group_write_number(g, MEMORY, "memory.memsw.limit_in_bytes", most, &ignored);
	return true;
}

static bool limit_processes(const struct control_group *g, const struct resources *l, bool is_update, struct error *err)
{
	if (l->processes_limit > 0)
		return group_write_number(g, PIDS, "pids.max", l->processes_limit, err);
	return !is_update || group_write(g, PIDS, "pids.max", "max", err);
}

bool group_update(struct enclosure *e, const struct control_group *g, const struct resources *limits, struct error *err)
{
	(void)e;
	if (!g->path)
		return true; /* told by the shortcomings */
	return limit_cpu(g, limits, true, err) && limit_memory(g, limits, true, err) &&
	       (limits->processes_limit <= 0 || limit_processes(g, limits, true, err));
}

bool group_new(struct enclosure *e, struct control_group *ret, const char *path, const struct resources *limits,
	       struct error *err)
{
	struct control_group g = { .path = strdup(path) };
	bool was_there = false;

	(void)e;
	for (size_t i = 0; i < CONTROLLER_COUNT; i++) {
		if (!is_repeated(i) && !folder_make(machine.roots[i], path, &was_there, err)) {
			group_remove(&g);
			return false;
		}
	}
	/* What a supervisor that was killed has left may have other limits. */
	if (limit_cpu(&g, limits, was_there, err) && limit_memory(&g, limits, was_there, err) &&
	    limit_processes(&g, limits, was_there, err)) {
		*ret = g;
		return true;
	}
	group_remove(&g);
	return error_wrap(err, "limits");
}

/*
 * By "tasks", and "0" for the caller: then the kernel need not wait for all processors, which moving a whole process does and which takes
 * milliseconds. Version 2 has no such file for groups of processes.
 */
bool group_join(const struct control_group *g, struct error *err)
{
	if (!g->path)
		return true;
	for (size_t i = 0; i < CONTROLLER_COUNT; i++) {
		if (!is_repeated(i) &&
		    !group_write(g, (enum controller)i, machine.is_unified ? "cgroup.procs" : "tasks", "0", err))
			return false;
	}
	return true;
}

bool group_folder(const struct control_group *g, size_t i, char **ret_path, const char **ret_name)
{
	if (!g->path || i >= CONTROLLER_COUNT || (machine.is_unified && i > 0))
		return false;
	*ret_path = text_format("%s%s", machine.roots[i], g->path);
	*ret_name = machine.is_unified ? "" : controller_names[i];
	return true;
}

/* ---- what became of it ---- */

bool group_is_out_of_memory(const struct control_group *g)
{
	if (!g->path)
		return false;
	return group_number(g, MEMORY, machine.is_unified ? "memory.events" : "memory.oom_control", "oom_kill") > 0;
}

bool group_usage(const struct control_group *g, int64_t *ret_cpu_ns, int64_t *ret_memory, int64_t *ret_processes)
{
	int64_t cpu, memory, idle, processes;

	if (!g->path)
		return false;
	if (machine.is_unified) {
		cpu = group_number(g, CPUACCT, "cpu.stat", "usage_usec") * 1000;
		memory = group_number(g, MEMORY, "memory.current", NULL);
		idle = group_number(g, MEMORY, "memory.stat", "inactive_file");
	} else {
		cpu = group_number(g, CPUACCT, "cpuacct.usage", NULL);
		memory = group_number(g, MEMORY, "memory.usage_in_bytes", NULL);
		idle = group_number(g, MEMORY, "memory.stat", "total_inactive_file");
	}
	processes = group_number(g, PIDS, "pids.current", NULL);
	if (cpu < 0 || memory < 0 || processes < 0)
		return false;
	*ret_cpu_ns = cpu;
	*ret_memory = MAX(memory - MAX(idle, 0), 0); /* the working set, as cadvisor has it */
	*ret_processes = processes;
	return true;
}

/* ---- the end ---- */

static bool kill_listed(const struct control_group *g)
{
	char text[65536];
	ssize_t n = group_read(g, PIDS, "cgroup.procs", text, sizeof(text));
	struct span rest = span_of(n > 0 ? text : "");

	for (struct span line = span_cut(&rest, '\n'); line.len > 0; line = span_cut(&rest, '\n')) {
		pid_t pid = (pid_t)number_at(line);

		if (pid > 0)
			kill(pid, SIGKILL);
	}
	return n > 0;
}

/* No process may be made any more, so that what is listed is all there is: the work of a freezer, without one. */
void group_kill(const struct control_group *g)
{
	struct error ignored = { 0 };

	if (!g->path || !machine.roots[PIDS])
		return;
	if (machine.is_unified && group_write(g, PIDS, "cgroup.kill", "1", &ignored))
		return;
	(void)group_write(g, PIDS, "pids.max", "0", &ignored);
	for (int i = 0; i < ENDING_TRIES_MOST && kill_listed(g); i++)
		poll(NULL, 0, 1);
}

/* Those of containers that a supervisor left which was killed: nothing runs in them. */
static void folders_inside_remove(const char *path)
{
	DIR *folder = opendir(path);

	for (struct dirent *d = folder ? readdir(folder) : NULL; d; d = readdir(folder)) {
		if (d->d_type == DT_DIR && d->d_name[0] != '.')
			(void)unlinkat(dirfd(folder), d->d_name,
				       AT_REMOVEDIR); /* it shows when the outer one is removed */
	}
	if (folder)
		closedir(folder);
}

static void folder_remove(const char *path)
{
	for (int i = 0; i < ENDING_TRIES_MOST && rmdir(path) < 0 && errno == EBUSY; i++) {
		folders_inside_remove(path);
		if (i > 0)
			poll(NULL, 0, 1);
	}
}

void group_remove(struct control_group *g)
{
	for (size_t i = 0; g->path && i < CONTROLLER_COUNT; i++) {
		AUTO_FREE char *path = NULL;

		if (!machine.roots[i] || is_repeated(i))
			continue;
		path = text_format("%s%s", machine.roots[i], g->path);
		folder_remove(path);
	}
	free(g->path);
	g->path = NULL;
}
