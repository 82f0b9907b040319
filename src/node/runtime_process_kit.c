/* SPDX-License-Identifier: Apache-2.0 */
#include "node/runtime_process_kit.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"

#define WAIT_NS INT64_C(60000000000)
#define LOOK_NS INT64_C(5000000)

static struct {
	struct timer timer, look;
	struct world *world;
} late;

static void too_late(struct timer *t)
{
	(void)t;
	late.world->is_late = true;
}

void world_wait_begin(struct world *w)
{
	late.world = w;
	loop_now_update(w->loop);
	loop_timer_set(w->loop, &late.timer, loop_now(w->loop) + WAIT_NS, too_late);
}

static void look_again(struct timer *t)
{
	(void)t; /* who waits looks at more than the loop brings: files, processes */
}

void world_turn(struct world *w)
{
	loop_timer_set(w->loop, &late.look, loop_now(w->loop) + LOOK_NS, look_again);
	loop_turn(w->loop, true);
}

static void text_set(char *to, size_t size, struct span s)
{
	snprintf(to, size, "%.*s", (int)s.len, s.ptr ? s.ptr : "");
}

static struct told_sandbox *slot(struct world *w, struct span uid)
{
	for (size_t i = 0; i < w->count; i++) {
		if (span_equal(span_of(w->sandboxes[i].uid), uid))
			return &w->sandboxes[i];
	}
	assert_true(w->count < WORLD_SANDBOXES);
	text_set(w->sandboxes[w->count].uid, sizeof(w->sandboxes[0].uid), uid);
	return &w->sandboxes[w->count++];
}

static void changed(void *context, const struct sandbox_status *s)
{
	struct told_sandbox *t = slot(context, s->uid);

	assert_true(s->container_count <= ARRAY_LEN(t->containers));
	t->is_ready = s->is_ready;
	text_set(t->shortcomings, sizeof(t->shortcomings), s->shortcomings);
	t->count = s->container_count;
	for (size_t i = 0; i < s->container_count; i++) {
		const struct container_status *from = &s->containers[i];
		struct told_container *to = &t->containers[i];

		text_set(to->name, sizeof(to->name), from->name);
		text_set(to->reason, sizeof(to->reason), from->reason);
		text_set(to->message, sizeof(to->message), from->message);
		text_set(to->id, sizeof(to->id), from->id);
		to->attempt = from->attempt;
		to->state = from->state;
		to->pid = from->pid;
		to->exit_code = from->exit_code;
		to->signal = from->signal;
		to->created_ns = from->created_ns;
		to->started_ns = from->started_ns;
		to->finished_ns = from->finished_ns;
	}
}

static void began(void *context)
{
	struct world *w = context;

	assert_false(w->has_begun); /* once */
	w->has_begun = true;
}

static void ended(void *context, struct span sandbox, struct span stream, int exit_code)
{
	struct world *w = context;

	(void)sandbox;
	assert_true(w->ended_count < WORLD_ENDED);
	text_set(w->ended[w->ended_count].stream, sizeof(w->ended[0].stream), stream);
	w->ended[w->ended_count++].exit_code = exit_code;
}

struct world *world_new(void)
{
	struct world *w = base_calloc(1, sizeof(*w));
	char path[96];

	memset(&late, 0, sizeof(late)); /* a test that failed has left its timers in its loop */
	w->loop = loop_new();
	snprintf(w->folder, sizeof(w->folder), "/tmp/hythe-runtime-XXXXXX");
	assert_non_null(mkdtemp(w->folder));
	assert_int_equal(chmod(w->folder, 0755), 0);
	snprintf(w->group_root, sizeof(w->group_root), "/hythe-test-%d", (int)getpid());
	snprintf(path, sizeof(path), "%s/pods", w->folder);
	assert_int_equal(mkdir(path, 0755), 0);
	return w;
}

void world_begin(struct world *w)
{
	struct runtime_process_config config = { .loop = w->loop,
						 .events = { changed, began, ended, w },
						 .egress = SPAN("none"),
						 .is_group_root_given = true,
						 .group_root = span_of(w->group_root) };
	struct error err = { 0 };
	char pods[96], hidden[96];

	snprintf(pods, sizeof(pods), "%s/pods", w->folder);
	snprintf(hidden, sizeof(hidden), "%s/hidden", w->folder);
	(void)mkdir(hidden, 0700);
	config.folder = span_of(pods);
	config.hidden = span_of(hidden);
	w->has_begun = false;
	w->count = 0;
	w->runtime = runtime_process_new(&config, &err);
	if (!w->runtime)
		fail_msg("%s", err.message);
	assert_false(w->has_begun); /* nothing is told before the function has returned */
	UNTIL(w, w->has_begun);
}

void world_end_runtime(struct world *w)
{
	runtime_free(w->runtime);
	w->runtime = NULL;
}

static void remove_all(const char *folder)
{
	DIR *dir = opendir(folder);
	struct dirent *entry;

	while (dir && (entry = readdir(dir))) {
		char path[512];

		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
			continue;
		snprintf(path, sizeof(path), "%s/%s", folder, entry->d_name);
		if (unlink(path) < 0)
			remove_all(path);
	}
	if (dir)
		closedir(dir);
	assert_int_equal(rmdir(folder), 0);
}

static void no_control_groups_are_left(const struct world *w)
{
	static const char *const roots[] = { "/sys/fs/cgroup",         "/sys/fs/cgroup/memory",
					     "/sys/fs/cgroup/cpu",     "/sys/fs/cgroup/pids",
					     "/sys/fs/cgroup/unified", "/sys/fs/cgroup/freezer",
					     "/sys/fs/cgroup/cpuacct" };

	for (size_t i = 0; i < ARRAY_LEN(roots); i++) {
		char path[256];
		DIR *dir;
		struct dirent *entry;

		snprintf(path, sizeof(path), "%s%s", roots[i], w->group_root);
		dir = opendir(path);
		while (dir && (entry = readdir(dir))) {
			if (entry->d_type == DT_DIR && entry->d_name[0] != '.') {
				char quality[512];
				struct dirent *inner;
				DIR *in;

				snprintf(quality, sizeof(quality), "%s/%s", path, entry->d_name);
				in = opendir(quality);
				while (in && (inner = readdir(in))) {
					if (inner->d_type == DT_DIR && inner->d_name[0] != '.')
						fail_msg("%s/%s is left", quality, inner->d_name);
				}
				if (in)
					closedir(in);
				(void)rmdir(quality);
			}
		}
		if (dir)
			closedir(dir);
		(void)rmdir(path);
	}
}

/* Spawners, supervisors and what lives in their namespaces: all are this program. */
static size_t others_of_this_program(void)
{
	char own[512], path[64], exe[512];
	ssize_t own_len = readlink("/proc/self/exe", own, sizeof(own));
	DIR *dir = opendir("/proc");
	struct dirent *entry;
	size_t count = 0;

	while ((entry = readdir(dir))) {
		ssize_t len;

		if (entry->d_name[0] < '0' || entry->d_name[0] > '9' ||
		    span_equal(span_of(entry->d_name),
			       span_from(path, (size_t)snprintf(path, sizeof(path), "%d", (int)getpid()))))
			continue;
		snprintf(path, sizeof(path), "/proc/%.20s/exe", entry->d_name);
		len = readlink(path, exe, sizeof(exe));
		count += len == own_len && len > 0 && memcmp(own, exe, (size_t)len) == 0;
	}
	closedir(dir);
	return count;
}

void world_free(struct world *w)
{
	char mounts[1 << 16];
	int fd;
	ssize_t got;

	world_end_runtime(w);
	world_wait_begin(w);
	while (others_of_this_program() > 0 && !w->is_late)
		world_turn(w); /* supervisors that were not told what to run end by themselves */
	assert_int_equal(others_of_this_program(), 0);
	loop_timer_clear(w->loop, &late.timer);
	loop_timer_clear(w->loop, &late.look);
	no_control_groups_are_left(w);
	fd = open("/proc/self/mounts", O_RDONLY | O_CLOEXEC);
	got = read(fd, mounts, sizeof(mounts) - 1);
	close(fd);
	mounts[got > 0 ? got : 0] = 0;
	assert_null(strstr(mounts, w->folder));
	remove_all(w->folder);
	loop_free(w->loop);
	free(w);
}

/* ---- outcomes ---- */

void outcome_plain(void *context, const struct error *err)
{
	struct outcome *o = context;

	assert_false(o->is_done); /* once */
	o->is_done = true;
	if (err)
		o->error = *err;
}

void outcome_stream(void *context, const struct stream *s, const struct error *err)
{
	struct outcome *o = context;

	outcome_plain(context, err);
	if (s) {
		o->stream = *s;
		o->stream.id = (struct span){ span_to_text(s->id), s->id.len };
	}
}

void outcome_socket(void *context, int fd, const struct error *err)
{
	outcome_plain(context, err);
	((struct outcome *)context)->fd = fd;
}

void outcome_usage(void *context, const struct sandbox_usage *u, const struct error *err)
{
	outcome_plain(context, err);
	if (u)
		((struct outcome *)context)->usage = *u;
}

/* ---- pods ---- */

/* Tests of others run on this machine at the same time. */
static void pod_name(const char *uid, char *to, size_t size)
{
	snprintf(to, size, "%s-%d", uid, (int)getpid());
}

void pod_run_asked(struct world *w, const char *uid, struct outcome *o)
{
	char folder[160], logs[160], name[96];
	struct sandbox_config config = { .uid = span_of(uid),
					 .name_space = SPAN("default"),
					 .hostname = span_of(uid),
					 .address = SPAN("127.97.0.5"),
					 .quality = SPAN("BestEffort") };

	snprintf(folder, sizeof(folder), "%s/pods/%s", w->folder, uid);
	snprintf(logs, sizeof(logs), "%s/logs/%s", w->folder, uid);
	(void)mkdir(folder, 0755);
	pod_name(uid, name, sizeof(name));
	config.name = span_of(name);
	config.folder = span_of(folder);
	config.log_directory = span_of(logs);
	*o = (struct outcome){ 0 };
	runtime_sandbox_run(w->runtime, &config, outcome_plain, o);
	assert_false(o->is_done);
}

void pod_run_error(struct world *w, const char *uid, struct outcome *o)
{
	pod_run_asked(w, uid, o);
	UNTIL(w, o->is_done);
}

void pod_run(struct world *w, const char *uid)
{
	struct outcome o;

	pod_run_error(w, uid, &o);
	assert_string_equal(o.error.message, "");
	assert_non_null(pod(w, uid));
	assert_true(pod(w, uid)->is_ready);
}

void pod_stop(struct world *w, const char *uid)
{
	struct outcome o = { 0 };

	runtime_sandbox_stop(w->runtime, span_of(uid), outcome_plain, &o);
	assert_false(o.is_done);
	UNTIL(w, o.is_done);
	assert_string_equal(o.error.message, "");
}

void pod_remove(struct world *w, const char *uid)
{
	struct outcome o = { 0 };

	runtime_sandbox_remove(w->runtime, span_of(uid), outcome_plain, &o);
	assert_false(o.is_done);
	UNTIL(w, o.is_done);
	assert_string_equal(o.error.message, "");
}

const struct told_sandbox *pod(struct world *w, const char *uid)
{
	for (size_t i = 0; i < w->count; i++) {
		if (strcmp(w->sandboxes[i].uid, uid) == 0)
			return &w->sandboxes[i];
	}
	return NULL;
}

/* ---- containers ---- */

struct container_config shell(const char *name, uint32_t attempt, const char *script)
{
	static struct span commands[4][3];
	static char paths[4][96];
	static const struct name_value environment[] = { { SPAN_INIT("PATH"), SPAN_INIT("/usr/bin:/bin") },
							 { SPAN_INIT("KNOWN"), SPAN_INIT("yes") } };
	static unsigned turn;
	struct span *command = commands[turn % 4];
	char *path = paths[turn++ % 4];

	command[0] = SPAN("/bin/sh");
	command[1] = SPAN("-c");
	command[2] = span_of(script);
	snprintf(path, sizeof(paths[0]), "%s/%u.log", name, attempt);
	return (struct container_config){ .name = span_of(name),
					  .attempt = attempt,
					  .command = command,
					  .command_count = 3,
					  .environment = environment,
					  .environment_count = ARRAY_LEN(environment),
					  .log_path = span_of(path),
					  .security = { .user = -1, .group = -1 } };
}

void container_start(struct world *w, const char *uid, const struct container_config *c, struct outcome *o)
{
	*o = (struct outcome){ 0 };
	runtime_container_start(w->runtime, span_of(uid), c, outcome_plain, o);
	assert_false(o->is_done);
	UNTIL(w, o->is_done);
}

const struct told_container *container(struct world *w, const char *uid, const char *name, uint32_t attempt)
{
	const struct told_sandbox *t = pod(w, uid);

	for (size_t i = 0; t && i < t->count; i++) {
		if (strcmp(t->containers[i].name, name) == 0 && t->containers[i].attempt == attempt)
			return &t->containers[i];
	}
	return NULL;
}

bool container_is(struct world *w, const char *uid, const char *name, uint32_t attempt, enum container_state state)
{
	const struct told_container *c = container(w, uid, name, attempt);

	return c && c->state == state;
}

void container_stop(struct world *w, const char *uid, const char *name, uint32_t attempt, int64_t grace_ns)
{
	struct outcome o = { 0 };

	runtime_container_stop(w->runtime, span_of(uid), span_of(name), attempt, grace_ns, outcome_plain, &o);
	assert_false(o.is_done);
	UNTIL(w, o.is_done);
	assert_string_equal(o.error.message, "");
	assert_true(container_is(w, uid, name, attempt, CONTAINER_EXITED)); /* told before it is done */
}

/* ---- what is written ---- */

const char *log_text(struct world *w, const char *uid, const char *name, uint32_t attempt)
{
	static char text[1 << 16];
	char path[256], *to = text;
	FILE *file;
	char *line = NULL;
	size_t size = 0;

	snprintf(path, sizeof(path), "%s/logs/%s/%s/%u.log", w->folder, uid, name, attempt);
	file = fopen(path, "re");
	text[0] = 0;
	while (file && getline(&line, &size, file) > 0) {
		char *space = strchr(line, ' ');
		size_t len = space ? strlen(space + 1) : 0;

		assert_non_null(space);
		assert_int_equal(space - line, 30); /* 2026-11-21T02:48:19.425682460Z */
		if (len >= (size_t)(text + sizeof(text) - to))
			break;
		memcpy(to, space + 1, len + 1);
		to += len;
	}
	free(line);
	if (file)
		fclose(file);
	return text;
}

const char *read_until(struct world *w, int fd, const char *wanted)
{
	static char text[1 << 16];
	size_t len = 0;
	int64_t end = clock_monotonic_ns() + WAIT_NS;

	text[0] = 0;
	while (clock_monotonic_ns() < end && (!wanted || !strstr(text, wanted))) {
		struct pollfd p[] = { { .fd = fd, .events = POLLIN }, { .fd = loop_fd(w->loop), .events = POLLIN } };
		ssize_t got;

		(void)poll(p, 2, 1000);
		loop_turn(w->loop, false);
		if (!p[0].revents)
			continue;
		got = read(fd, text + len, sizeof(text) - 1 - len);
		if (got < 0 && (errno == EAGAIN || errno == EINTR))
			continue;
		if (got <= 0)
			return text; /* EIO: of a terminal */
		len += (size_t)got;
		text[len] = 0;
	}
	if (clock_monotonic_ns() >= end)
		fail_msg("never read: %s; but: %s", wanted ? wanted : "the end", text);
	return text;
}

/* ---- processes ---- */

static bool cmdline(const char *pid, char *ret, size_t size)
{
	char path[64];
	ssize_t got;
	int fd;

	snprintf(path, sizeof(path), "/proc/%.20s/cmdline", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	got = read(fd, ret, size - 1);
	close(fd);
	if (got <= 0)
		return false;
	ret[got] = 0;
	for (ssize_t i = 0; i < got; i++) {
		if (ret[i] == 0)
			ret[i] = ' ';
	}
	return true;
}

static size_t find_processes(const char *part, bool is_whole, pid_t *ret_one)
{
	DIR *dir = opendir("/proc");
	struct dirent *entry;
	size_t count = 0;

	while ((entry = readdir(dir))) {
		char text[4096];

		if (entry->d_name[0] < '0' || entry->d_name[0] > '9' || !cmdline(entry->d_name, text, sizeof(text)))
			continue;
		while (is_whole && text[0] && text[strlen(text) - 1] == ' ')
			text[strlen(text) - 1] = 0;
		if (is_whole ? strcmp(text, part) != 0 : !strstr(text, part))
			continue;
		count++;
		if (ret_one)
			*ret_one = atoi(entry->d_name); /* lint: allowed */
	}
	closedir(dir);
	return count;
}

size_t processes_named(const char *part)
{
	return find_processes(part, false, NULL);
}

static size_t find_supervisors(const char *uid, pid_t *ret_one)
{
	char name[96], title[128];

	pod_name(uid, name, sizeof(name));
	snprintf(title, sizeof(title), "hythe: pod default/%s", name);
	return find_processes(title, true, ret_one);
}

pid_t supervisor_pid(struct world *w, const char *uid)
{
	pid_t pid = 0;

	(void)w;
	(void)find_supervisors(uid, &pid);
	return pid;
}

size_t supervisors(struct world *w, const char *uid)
{
	(void)w;
	return find_supervisors(uid, NULL);
}
