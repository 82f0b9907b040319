/* SPDX-License-Identifier: Apache-2.0 */
/* Pods of real processes: begun, ended, written down, adopted, killed. */
#include "node/runtime_process_kit.h"

#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/random.h"
#include "node/supervisor.h"

#define SECOND INT64_C(1000000000)

/* Until its parent has reaped it, too. */
static void wait_gone(pid_t pid)
{
	for (int i = 0; i < 60000 && kill(pid, 0) == 0; i++)
		usleep(1000);
	assert_int_equal(kill(pid, 0), -1);
}

/* ---- ends ---- */

static void a_command_runs_and_its_end_is_told(void **state)
{
	struct world *w = world_new();
	struct container_config c = shell("main", 0, "echo to out; echo to err >&2; exit 3");
	const struct told_container *t;
	struct outcome o;
	struct stat st;
	char path[256];

	(void)state;
	world_begin(w);
	pod_run(w, "a");
	container_start(w, "a", &c, &o);
	assert_string_equal(o.error.message, "");
	UNTIL(w, container_is(w, "a", "main", 0, CONTAINER_EXITED));
	t = container(w, "a", "main", 0);
	assert_int_equal(t->exit_code, 3);
	assert_int_equal(t->signal, 0);
	assert_string_equal(t->reason, "Error");
	assert_int_equal(strlen(t->id), 64);
	assert_true(t->created_ns > 0 && t->created_ns <= t->started_ns && t->started_ns <= t->finished_ns);
	assert_non_null(strstr(log_text(w, "a", "main", 0), "stdout F to out\n"));
	assert_non_null(strstr(log_text(w, "a", "main", 0), "stderr F to err\n"));
	snprintf(path, sizeof(path), "%s/logs/a/main/0.log", w->folder);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0640);
	c = shell("main", 1, "true");
	container_start(w, "a", &c, &o);
	UNTIL(w, container_is(w, "a", "main", 1, CONTAINER_EXITED));
	assert_string_equal(container(w, "a", "main", 1)->reason, "Completed");
	assert_int_equal(container(w, "a", "main", 0)->exit_code, 3); /* until it is removed */
	pod_remove(w, "a");
	world_free(w);
}

static void a_signal_is_told_as_128_and_more(void **state)
{
	struct world *w = world_new();
	struct container_config c = shell("main", 0, "sh -c 'kill -SEGV $$'; kill -KILL $PPID; sleep 100");
	struct outcome o;

	(void)state;
	world_begin(w);
	pod_run(w, "a");
	container_start(w, "a", &c, &o);
	UNTIL(w, container_is(w, "a", "main", 0, CONTAINER_RUNNING));
	assert_int_equal(kill(container(w, "a", "main", 0)->pid, SIGKILL), 0);
	UNTIL(w, container_is(w, "a", "main", 0, CONTAINER_EXITED));
	assert_int_equal(container(w, "a", "main", 0)->exit_code, 137);
	assert_int_equal(container(w, "a", "main", 0)->signal, SIGKILL);
	assert_string_equal(container(w, "a", "main", 0)->reason, "Error");
	pod_remove(w, "a");
	world_free(w);
}

static void a_command_that_is_not_there_is_a_start_error(void **state)
{
	static const struct span command[] = { SPAN_INIT("/nowhere/nothing") };
	struct world *w = world_new();
	struct container_config c = shell("main", 0, "");
	struct outcome o;

	(void)state;
	c.command = command;
	c.command_count = 1;
	world_begin(w);
	pod_run(w, "a");
	container_start(w, "a", &c, &o);
	assert_int_not_equal(o.error.code, ERROR_NONE);
	assert_non_null(strstr(o.error.message, "/nowhere/nothing"));
	assert_true(container_is(w, "a", "main", 0, CONTAINER_EXITED));
	assert_string_equal(container(w, "a", "main", 0)->reason, "StartError");
	assert_string_equal(container(w, "a", "main", 0)->message, o.error.message);
	assert_int_equal(container(w, "a", "main", 0)->exit_code, 128);
	container_start(w, "a", &c, &o); /* again: the same answer, and it was begun once */
	assert_non_null(strstr(o.error.message, "/nowhere/nothing"));
	assert_int_equal(pod(w, "a")->count, 1);
	pod_remove(w, "a");
	world_free(w);
}

static void what_is_asked_for_twice_is_done_once(void **state)
{
	struct world *w = world_new();
	struct container_config c = shell("main", 0, "echo once; exec sleep 100");
	struct outcome o, second;
	pid_t supervisor, first;

	(void)state;
	world_begin(w);
	pod_run(w, "a");
	supervisor = supervisor_pid(w, "a");
	assert_true(supervisor > 0);
	pod_run(w, "a");
	assert_int_equal(supervisor_pid(w, "a"), supervisor);
	container_start(w, "a", &c, &o);
	first = container(w, "a", "main", 0)->pid;
	container_start(w, "a", &c, &second);
	assert_string_equal(second.error.message, "");
	assert_int_equal(container(w, "a", "main", 0)->pid, first);
	c.attempt = 1; /* two of one name never run together */
	container_start(w, "a", &c, &o);
	assert_int_equal(o.error.code, ERROR_ALREADY_EXISTS);
	UNTIL(w, log_text(w, "a", "main", 0)[0]);
	assert_string_equal(log_text(w, "a", "main", 0), "stdout F once\n");
	pod_remove(w, "a");
	pod_remove(w, "a"); /* removed already */
	world_free(w);
}

static void one_that_takes_too_much_memory_is_told_so(void **state)
{
	struct world *w = world_new();
	struct container_config c = shell("main", 0, "head -c 100000000 /dev/zero | tail -n 1 > /dev/null");
	struct outcome o;

	(void)state;
	c.resources.memory_limit = 16 << 20;
	world_begin(w);
	pod_run(w, "a");
	container_start(w, "a", &c, &o);
	assert_string_equal(o.error.message, "");
	UNTIL(w, container_is(w, "a", "main", 0, CONTAINER_EXITED));
	if (!pod(w, "a")->shortcomings[0]) { /* else there are no control groups to see it, and that is told */
		assert_string_equal(container(w, "a", "main", 0)->reason, "OOMKilled");
		assert_int_equal(container(w, "a", "main", 0)->exit_code, 137);
	}
	pod_remove(w, "a");
	world_free(w);
}

/* ---- stopping ---- */

static void a_container_is_asked_to_end_before_it_is_killed(void **state)
{
	struct world *w = world_new();
	struct container_config c =
	    shell("main", 0, "trap 'echo asked; exit 7' TERM; echo ready; while :; do sleep 0.01; done");
	struct outcome o;

	(void)state;
	world_begin(w);
	pod_run(w, "a");
	container_start(w, "a", &c, &o);
	UNTIL(w, strstr(log_text(w, "a", "main", 0), "ready"));
	container_stop(w, "a", "main", 0, 20 * SECOND);
	assert_int_equal(container(w, "a", "main", 0)->exit_code, 7);
	assert_non_null(strstr(log_text(w, "a", "main", 0), "asked"));
	pod_remove(w, "a");
	world_free(w);
}

static void a_shorter_grace_counts_and_so_does_its_end(void **state)
{
	struct world *w = world_new();
	struct container_config c =
	    shell("main", 0, "trap '' TERM; echo ready; sleep 100 & while :; do sleep 0.01; done");
	struct outcome o, longer = { 0 };

	(void)state;
	world_begin(w);
	pod_run(w, "a");
	container_start(w, "a", &c, &o);
	UNTIL(w, strstr(log_text(w, "a", "main", 0), "ready"));
	runtime_container_stop(w->runtime, SPAN("a"), SPAN("main"), 0, 1000 * SECOND, outcome_plain, &longer);
	container_stop(w, "a", "main", 0, SECOND / 20);
	UNTIL(w, longer.is_done);
	assert_int_equal(container(w, "a", "main", 0)->exit_code, 137);
	pod_remove(w, "a");
	world_free(w);
}

static void the_grace_goes_on_without_us(void **state)
{
	struct world *w = world_new();
	struct container_config c = shell("main", 0, "trap '' TERM; echo ready; while :; do sleep 0.01; done");
	struct outcome o, stopped = { 0 };

	(void)state;
	world_begin(w);
	pod_run(w, "a");
	container_start(w, "a", &c, &o);
	UNTIL(w, strstr(log_text(w, "a", "main", 0), "ready"));
	runtime_container_stop(w->runtime, SPAN("a"), SPAN("main"), 0, SECOND / 10, outcome_plain, &stopped);
	world_end_runtime(w);
	assert_int_equal(stopped.error.code, ERROR_CANCELLED);
	world_begin(w);
	UNTIL(w, container_is(w, "a", "main", 0, CONTAINER_EXITED));
	assert_int_equal(container(w, "a", "main", 0)->exit_code, 137);
	pod_remove(w, "a");
	world_free(w);
}

static void the_end_of_a_sandbox_ends_all_in_it(void **state)
{
	struct world *w = world_new();
	struct container_config c = shell("main", 0, "sleep 1000 & exec sleep 1000"),
				d = shell("other", 0, "sleep 1000");
	struct outcome o;
	pid_t supervisor;

	(void)state;
	world_begin(w);
	pod_run(w, "a");
	container_start(w, "a", &c, &o);
	container_start(w, "a", &d, &o);
	supervisor = supervisor_pid(w, "a");
	pod_stop(w, "a");
	wait_gone(supervisor);
	assert_false(pod(w, "a")->is_ready);
	assert_int_equal(container(w, "a", "main", 0)->exit_code, 137);
	assert_int_equal(container(w, "a", "other", 0)->exit_code, 137);
	pod_stop(w, "a"); /* it has ended */
	container_start(w, "a", &c, &o);
	assert_int_equal(o.error.code, ERROR_UNAVAILABLE);
	world_end_runtime(w);
	world_begin(w); /* what ended is known to one that begins */
	assert_false(pod(w, "a")->is_ready);
	assert_int_equal(container(w, "a", "main", 0)->exit_code, 137);
	pod_run(w, "a"); /* anew; and what was is still told */
	assert_int_equal(container(w, "a", "main", 0)->exit_code, 137);
	c = shell("main", 1, "exec sleep 1000");
	container_start(w, "a", &c, &o);
	assert_string_equal(o.error.message, "");
	pod_remove(w, "a");
	world_free(w);
}

/* ---- deaths ---- */

static void containers_outlive_us_and_are_adopted(void **state)
{
	struct world *w = world_new();
	struct container_config c = shell("main", 0, "echo begun; read line; echo got $line; exit 5");
	struct outcome o, attached = { 0 };
	const struct stream_wanted stdin_only = { .has_stdin = true };
	pid_t pid;

	(void)state;
	c.has_stdin = true;
	world_begin(w);
	pod_run(w, "a");
	pod_run(w, "b");
	container_start(w, "a", &c, &o);
	pid = container(w, "a", "main", 0)->pid;
	world_end_runtime(w);
	assert_int_equal(kill(pid, 0), 0);
	world_begin(w);
	assert_true(pod(w, "b")->is_ready);
	assert_true(container_is(w, "a", "main", 0, CONTAINER_RUNNING));
	assert_int_equal(container(w, "a", "main", 0)->pid, pid);
	runtime_attach(w->runtime, SPAN("a"), SPAN("main"), 0, &stdin_only, outcome_stream, &attached);
	UNTIL(w, attached.is_done);
	assert_int_equal(write(attached.stream.in, "a line\n", 7), 7);
	close(attached.stream.in);
	free((void *)(uintptr_t)attached.stream.id.ptr);
	UNTIL(w, container_is(w, "a", "main", 0, CONTAINER_EXITED));
	assert_int_equal(container(w, "a", "main", 0)->exit_code, 5);
	assert_string_equal(log_text(w, "a", "main", 0), "stdout F begun\nstdout F got a line\n");
	pod_remove(w, "a");
	pod_remove(w, "b");
	world_free(w);
}

static void a_killed_supervisor_takes_its_containers_with_it(void **state)
{
	struct world *w = world_new();
	struct container_config c = shell("main", 0, "sleep 1000 & exec sleep 1000"), d = shell("done", 0, "exit 4");
	struct outcome o;
	pid_t pid;

	(void)state;
	world_begin(w);
	pod_run(w, "a");
	container_start(w, "a", &d, &o);
	UNTIL(w, container_is(w, "a", "done", 0, CONTAINER_EXITED));
	container_start(w, "a", &c, &o);
	pid = container(w, "a", "main", 0)->pid;
	assert_int_equal(kill(supervisor_pid(w, "a"), SIGKILL), 0);
	UNTIL(w, !pod(w, "a")->is_ready);
	assert_int_equal(container(w, "a", "main", 0)->exit_code, 137);
	assert_string_equal(container(w, "a", "main", 0)->reason, "Error");
	assert_true(container(w, "a", "main", 0)->finished_ns >= container(w, "a", "main", 0)->started_ns);
	assert_int_equal(container(w, "a", "done", 0)->exit_code, 4);
	wait_gone(pid);
	pod_run(w, "a");
	c = shell("main", 1, "exec sleep 1000");
	container_start(w, "a", &c, &o);
	assert_string_equal(o.error.message, "");
	pod_remove(w, "a");
	world_free(w);
}

/* The process that holds the namespaces: nothing can be begun in them any more. */
static void one_whose_first_process_is_killed_is_told_as_dead(void **state)
{
	struct world *w = world_new();
	struct container_config c = shell("main", 0, "exec sleep 1000");
	char path[64], text[256] = "", one[16] = "", name[32] = "";
	struct outcome o;
	struct span rest;
	FILE *f;

	(void)state;
	world_begin(w);
	pod_run(w, "a");
	container_start(w, "a", &c, &o);
	snprintf(path, sizeof(path), "/proc/%d/task/%d/children", supervisor_pid(w, "a"), supervisor_pid(w, "a"));
	f = fopen(path, "re");
	assert_non_null(f);
	assert_non_null(fgets(text, sizeof(text), f));
	fclose(f);
	rest = span_trim(span_of(text));
	while (rest.len && strcmp(name, "pause\n") != 0) {
		struct span pid = span_cut(&rest, ' ');

		snprintf(one, sizeof(one), "%.*s", (int)pid.len, pid.ptr);
		snprintf(path, sizeof(path), "/proc/%s/comm", one);
		f = fopen(path, "re");
		assert_non_null(f);
		assert_non_null(fgets(name, sizeof(name), f));
		fclose(f);
	}
	assert_string_equal(name, "pause\n");
	assert_int_equal(kill((pid_t)strtol(one, NULL, 10), SIGKILL), 0);
	UNTIL(w, !pod(w, "a")->is_ready);
	UNTIL(w, container_is(w, "a", "main", 0, CONTAINER_EXITED));
	assert_int_equal(container(w, "a", "main", 0)->exit_code, 137);
	pod_remove(w, "a");
	pod_run(w, "a");
	container_start(w, "a", &c, &o);
	assert_string_equal(o.error.message, "");
	pod_remove(w, "a");
	world_free(w);
}

static void a_supervisor_that_died_without_us_is_told_as_dead(void **state)
{
	struct world *w = world_new();
	struct container_config c = shell("main", 0, "exec sleep 1000");
	struct outcome o;
	pid_t pid;
	int64_t finished;

	(void)state;
	world_begin(w);
	pod_run(w, "a");
	container_start(w, "a", &c, &o);
	pid = supervisor_pid(w, "a");
	world_end_runtime(w);
	assert_int_equal(kill(pid, SIGKILL), 0);
	wait_gone(pid);
	world_begin(w);
	assert_false(pod(w, "a")->is_ready);
	assert_int_equal(container(w, "a", "main", 0)->exit_code, 137);
	finished = container(w, "a", "main", 0)->finished_ns;
	world_end_runtime(w);
	world_begin(w);
	assert_true(container(w, "a", "main", 0)->finished_ns == finished); /* it is told the same each time */
	pod_remove(w, "a");
	world_free(w);
}

static void one_whose_folder_is_deleted_ends(void **state)
{
	struct world *w = world_new();
	struct container_config c = shell("main", 0, "exec sleep 1000");
	struct outcome o;
	char path[128];
	pid_t pid, supervisor;

	(void)state;
	world_begin(w);
	pod_run(w, "a");
	container_start(w, "a", &c, &o);
	pid = container(w, "a", "main", 0)->pid;
	supervisor = supervisor_pid(w, "a");
	world_end_runtime(w);
	assert_int_equal(kill(pid, 0), 0);
	snprintf(path, sizeof(path), "%s/pods/a/sandbox/control", w->folder);
	assert_int_equal(unlink(path), 0); /* as the first thing that is deleted */
	wait_gone(pid);
	wait_gone(supervisor);
	world_begin(w);
	pod_remove(w, "a");
	world_free(w);
}

static void a_killed_spawner_is_begun_again(void **state)
{
	struct world *w = world_new();
	struct outcome o, p = { 0 };
	struct container_config c = shell("main", 0, "exec sleep 1000");
	char spawner[32] = "hythe: pods";
	pid_t self = getpid();

	(void)state;
	world_begin(w);
	pod_run(w, "a");
	container_start(w, "a", &c, &o);
	for (int i = 0; i < 3; i++) {
		char uid[] = { (char)('b' + i), 0 }, path[64], text[64] = "";
		FILE *children;

		snprintf(path, sizeof(path), "/proc/%d/task/%d/children", self, self);
		children = fopen(path, "re");
		assert_non_null(children);
		assert_non_null(fgets(text, sizeof(text), children));
		fclose(children);
		assert_int_equal(kill((pid_t)strtol(text, NULL, 10), SIGKILL), 0);
		pod_run(w, uid);
	}
	assert_true(processes_named(spawner) >= 1);
	assert_true(container_is(w, "a", "main", 0, CONTAINER_RUNNING));
	runtime_usage(w->runtime, SPAN("nothing"), outcome_usage, &p);
	UNTIL(w, p.is_done);
	assert_int_equal(p.error.code, ERROR_NOT_FOUND);
	pod_remove(w, "a");
	pod_remove(w, "b");
	pod_remove(w, "c");
	pod_remove(w, "d");
	world_free(w);
}

/* The oldest or the youngest child of a process; 0: it has none. */
static pid_t child_of(pid_t parent, bool is_youngest)
{
	char path[64], text[256] = "";
	FILE *children;
	struct span rest, found = { 0 };

	snprintf(path, sizeof(path), "/proc/%d/task/%d/children", parent, parent);
	children = fopen(path, "re");
	if (!children)
		return 0;
	(void)!fgets(text, sizeof(text), children);
	fclose(children);
	rest = span_trim(span_of(text));
	do
		found = span_cut(&rest, ' ');
	while (is_youngest && rest.len);
	return (pid_t)strtol(found.ptr ? found.ptr : "", NULL, 10);
}

static void a_pod_takes_a_supervisor_made_ahead(void **state)
{
	struct world *w = world_new();
	struct outcome o;
	struct container_config c = shell("main", 0, "hostname; exec sleep 1000");
	pid_t spawner, first, second;

	(void)state;
	world_begin(w);
	spawner = child_of(getpid(), false);
	UNTIL(w, (first = child_of(spawner, false)) > 0);
	pod_run(w, "a");
	assert_int_equal(supervisor_pid(w, "a"), first);
	container_start(w, "a", &c, &o);
	assert_int_equal(o.error.code, ERROR_NONE);
	UNTIL(w, strstr(log_text(w, "a", "main", 0), "stdout F a\n")); /* its host name is its own */
	UNTIL(w, (second = child_of(spawner, true)) > 0 && second != first);
	world_end_runtime(w);
	wait_gone(second); /* one that has no pod does not outlive us */
	assert_int_equal(kill(first, 0), 0);
	world_begin(w);
	pod_remove(w, "a");
	world_free(w);
}

/* A supervisor holds its own connection alone, also when the spawner had those of others at hand while it made it. */
static void the_end_of_one_of_many_begun_at_once_is_told(void **state)
{
	enum { PODS = 12 };
	struct world *w = world_new();
	struct outcome outcomes[PODS];
	char uid[PODS][8];
	pid_t spawner;

	(void)state;
	world_begin(w);
	spawner = child_of(getpid(), false);
	assert_int_equal(kill(spawner, SIGSTOP), 0);
	for (int i = 0; i < PODS; i++) {
		snprintf(uid[i], sizeof(uid[i]), "pod%d", i);
		pod_run_asked(w, uid[i], &outcomes[i]);
	}
	assert_int_equal(kill(spawner, SIGCONT), 0);
	for (int i = 0; i < PODS; i++) {
		UNTIL(w, outcomes[i].is_done);
		assert_string_equal(outcomes[i].error.message, "");
	}
	assert_int_equal(kill(supervisor_pid(w, uid[PODS - 1]), SIGKILL), 0);
	UNTIL(w, !pod(w, uid[PODS - 1])->is_ready);
	for (int i = PODS - 1; i >= 0; i--)
		pod_remove(w, uid[i]);
	world_free(w);
}

static void one_that_is_begun_while_we_die_is_begun_once(void **state)
{
	struct world *w = world_new();

	(void)state;
	for (int i = 0; i < 20; i++) {
		const char *uid = "pod";
		struct outcome o;

		world_begin(w);
		pod_run_asked(w, uid, &o);
		for (int turn = 0; turn < i; turn++)
			loop_turn(w->loop, false);
		world_end_runtime(w); /* in the middle of it */
		world_begin(w);
		pod_run(w, uid);
		assert_int_equal(supervisors(w, uid), 1);
		pod_remove(w, uid);
		world_end_runtime(w);
	}
	world_begin(w);
	world_free(w);
}

static bool has_sandbox_folder(struct world *w, const char *uid)
{
	char path[160];

	snprintf(path, sizeof(path), "%s/pods/%s/sandbox", w->folder, uid);
	return access(path, F_OK) == 0;
}

/* What was begun while we die, and was never told what to run, whether it has ended by itself or still waits to be told. */
static void one_that_was_never_told_what_to_run_leaves_no_files(void **state)
{
	struct world *w = world_new();
	char control[160];

	(void)state;
	for (int i = 0; i < 2; i++) {
		struct outcome o;
		pid_t holder = 0;

		world_begin(w);
		pod_run_asked(w, "a", &o);
		snprintf(control, sizeof(control), "%s/pods/a/sandbox/control", w->folder);
		for (int k = 0; k < 60000 && access(control, F_OK) != 0; k++)
			usleep(1000);
		if (i == 1) { /* our end of its connection stays open */
			holder = fork();
			if (holder == 0) {
				pause();
				_exit(0);
			}
		}
		world_end_runtime(w);
		assert_true(has_sandbox_folder(w, "a"));
		world_begin(w);
		assert_false(has_sandbox_folder(w, "a"));
		if (holder) {
			assert_int_equal(kill(holder, SIGKILL), 0);
			assert_int_equal(waitpid(holder, NULL, 0), holder);
		}
		assert_null(pod(w, "a"));
		world_end_runtime(w);
	}
	world_begin(w);
	world_free(w);
}

static void one_that_could_not_be_run_leaves_no_files(void **state)
{
	struct world *w = world_new();
	struct outcome o = { 0 };
	char folder[160];
	struct sandbox_config config = { .uid = SPAN("a"), .name = SPAN("a"), .address = SPAN("nowhere") };

	(void)state;
	world_begin(w);
	snprintf(folder, sizeof(folder), "%s/pods/a", w->folder);
	assert_int_equal(mkdir(folder, 0755), 0);
	config.folder = config.log_directory = span_of(folder);
	runtime_sandbox_run(w->runtime, &config, outcome_plain, &o);
	UNTIL(w, o.is_done);
	assert_int_equal(o.error.code, ERROR_INVALID);
	pod_remove(w, "a");
	UNTIL(w, !has_sandbox_folder(w, "a"));
	world_free(w);
}

/* Whoever comes with odd bytes takes the connection, and loses it; ours is made again, and nothing in the pod notices. */
static void odd_words_end_a_connection_and_nothing_else(void **state)
{
	static const char *const words[] = { "GET / HTTP/1.1\r\n\r\n", "\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF",
					     "\2\0\0\0\0\0\0\0{}" };
	struct world *w = world_new();
	struct container_config c = shell("main", 0, "exec sleep 1000");
	struct outcome o;
	pid_t pid;

	(void)state;
	world_begin(w);
	pod_run(w, "a");
	container_start(w, "a", &c, &o);
	pid = container(w, "a", "main", 0)->pid;
	for (size_t i = 0; i < ARRAY_LEN(words); i++) {
		size_t len = i == 2 ? 10 : strlen(words[i]);
		struct error err = { 0 };
		struct outcome u = { 0 };
		char folder[160], bytes[4096];
		int sandbox_fd, fd;

		snprintf(folder, sizeof(folder), "%s/pods/a", w->folder);
		sandbox_fd = sandbox_open(span_of(folder), false, &err);
		fd = control_connect(sandbox_fd);
		assert_true(fd >= 0);
		assert_int_equal(write(fd, words[i], len), (ssize_t)len);
		UNTIL(w, recv(fd, bytes, sizeof(bytes), 0) == 0); /* its hello, then the end */
		close(fd);
		close(sandbox_fd);
		do { /* until ours has seen its end, it may still be asked */
			u = (struct outcome){ 0 };
			runtime_usage(w->runtime, SPAN("a"), outcome_usage, &u);
			UNTIL(w, u.is_done);
		} while (strstr(u.error.message, "died"));
	}
	assert_true(container_is(w, "a", "main", 0, CONTAINER_RUNNING));
	assert_int_equal(container(w, "a", "main", 0)->pid, pid);
	assert_int_equal(kill(pid, 0), 0);
	pod_remove(w, "a");
	world_free(w);
}

/* Stops a process that has nothing to do: it sleeps until something comes. */
static void stop_idle(pid_t pid)
{
	char path[64], state = 0;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	for (int i = 0; i < 60000 && state != 'S'; i++) {
		char text[256] = "";
		FILE *f = fopen(path, "re");

		usleep(1000);
		assert_non_null(f);
		assert_non_null(fgets(text, sizeof(text), f));
		fclose(f);
		assert_non_null(strrchr(text, ')'));
		state = strrchr(text, ')')[2];
	}
	assert_int_equal(state, 'S');
	assert_int_equal(kill(pid, SIGSTOP), 0);
}

static void turned(struct timer *t)
{
	(void)t;
}

/* As long as there are no descriptors nothing can be found out: a sandbox that has lost its connection meanwhile is not dead for that. */
static void one_that_cannot_be_called_for_want_of_descriptors_lives(void **state)
{
	struct world *w = world_new();
	struct container_config c = shell("main", 0, "exec sleep 1000");
	struct rlimit before, none;
	struct timer timer = { 0 };
	struct error err = { 0 };
	struct outcome o;
	char folder[160];
	int sandbox_fd, fd;
	pid_t pid;

	(void)state;
	world_begin(w);
	pod_run(w, "a");
	container_start(w, "a", &c, &o);
	pid = container(w, "a", "main", 0)->pid;
	snprintf(folder, sizeof(folder), "%s/pods/a", w->folder);
	sandbox_fd = sandbox_open(span_of(folder), false, &err);
	stop_idle(supervisor_pid(w, "a"));
	fd = control_connect(sandbox_fd);
	assert_true(fd >= 0);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	none = before;
	none.rlim_cur = 0;
	assert_int_equal(kill(supervisor_pid(w, "a"), SIGCONT), 0);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	loop_timer_set(w->loop, &timer, clock_monotonic_ns() + SECOND, turned);
	while (timer_is_set(&timer))
		loop_turn(w->loop, true);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
	close(fd);
	close(sandbox_fd);
	container_start(w, "a", &c, &o); /* it has begun already */
	assert_string_equal(o.error.message, "");
	assert_true(pod(w, "a")->is_ready);
	assert_int_equal(container(w, "a", "main", 0)->pid, pid);
	pod_remove(w, "a");
	world_free(w);
}

/* What can't be asked is refused here: it would cost the connection, and all that others asked on it. */
static void what_cannot_be_asked_disturbs_nobody(void **state)
{
	static const struct span command[] = { SPAN_INIT("true"), SPAN_INIT("a\0b") };
	const struct stream_wanted odd = { .command = command, .command_count = 2, .has_stdout = true };
	struct world *w = world_new();
	struct container_config c = shell("main", 0, "exec sleep 1000"), d = shell("odd", 0, "");
	struct outcome o, begun = { 0 };

	(void)state;
	d.command = command;
	d.command_count = 2;
	world_begin(w);
	pod_run(w, "a");
	container_start(w, "a", &c, &o);
	runtime_container_start(w->runtime, SPAN("a"), &d, outcome_plain, &begun);
	o = (struct outcome){ 0 };
	runtime_exec(w->runtime, SPAN("a"), SPAN("main"), 0, &odd, outcome_stream, &o);
	UNTIL(w, begun.is_done && o.is_done);
	assert_int_equal(begun.error.code, ERROR_INVALID);
	assert_int_equal(o.error.code, ERROR_INVALID);
	pod_remove(w, "a");
	world_free(w);
}

/* What was asked on a connection that somebody else's has replaced before it was read is asked again; a command would perhaps run twice. */
static void what_was_asked_on_a_lost_connection_is_answered(void **state)
{
	static const struct span command[] = { SPAN_INIT("true") };
	const struct stream_wanted wanted = { .command = command, .command_count = 1, .has_stdout = true };
	struct world *w = world_new();
	struct container_config c = shell("main", 0, "exec sleep 1000"), d = shell("more", 0, "exec sleep 1000");
	struct outcome o, started = { 0 }, stopped = { 0 }, run = { 0 }, ended = { 0 };
	struct error err = { 0 };
	char folder[160];
	int sandbox_fd, fd;
	pid_t supervisor;

	(void)state;
	world_begin(w);
	pod_run(w, "a");
	container_start(w, "a", &c, &o);
	supervisor = supervisor_pid(w, "a");
	snprintf(folder, sizeof(folder), "%s/pods/a", w->folder);
	sandbox_fd = sandbox_open(span_of(folder), false, &err);
	for (int i = 0; i < 2; i++) {
		stop_idle(supervisor);
		fd = control_connect(sandbox_fd); /* it is seen first */
		assert_true(fd >= 0);
		if (i == 0) {
			runtime_container_start(w->runtime, SPAN("a"), &d, outcome_plain, &started);
			runtime_container_stop(w->runtime, SPAN("a"), SPAN("main"), 0, SECOND, outcome_plain, &stopped);
			runtime_exec(w->runtime, SPAN("a"), SPAN("main"), 0, &wanted, outcome_stream, &run);
		} else {
			runtime_sandbox_remove(w->runtime, SPAN("a"), outcome_plain, &ended);
		}
		assert_int_equal(kill(supervisor, SIGCONT), 0);
		UNTIL(w, i ? ended.is_done : started.is_done && stopped.is_done && run.is_done);
		close(fd);
	}
	assert_string_equal(started.error.message, "");
	assert_string_equal(stopped.error.message, "");
	assert_int_equal(run.error.code, ERROR_UNAVAILABLE);
	assert_string_equal(ended.error.message, "");
	close(sandbox_fd);
	world_free(w);
}

/* Messages of a supervisor that nobody but the test hears, until one has these words. */
static void heard_until(struct channel *ch, const char *words)
{
	int fds[SUPERVISOR_FDS_MOST];
	struct error err = { 0 };
	struct span text = { 0 };
	size_t count;

	do {
		enum channel_state state = channel_next(ch, &text, fds, &count, &err);

		assert_int_not_equal(state, CHANNEL_BROKEN);
		if (state == CHANNEL_WAITS) {
			struct pollfd p = { .fd = ch->fd, .events = POLLIN };

			assert_int_equal(poll(&p, 1, 60000), 1);
			assert_true(channel_receive(ch, &err));
			text.len = 0;
		}
	} while (!text.len || !memmem(text.ptr, text.len, words, strlen(words)));
}

/* What happens after the greeting and before its answer is told with the answer: nobody would ask for it again. */
static void an_end_between_two_greetings_is_told(void **state)
{
	struct supervisor_request hello = { .id = 1, .op = SPAN("hello"), .version = SUPERVISOR_VERSION };
	struct world *w = world_new();
	struct container_config c = shell("main", 0, "exec sleep 1000");
	struct channel ch;
	struct buffer request;
	struct error err = { 0 };
	struct outcome o;
	char folder[160], record[300], text[4096] = "";
	int sandbox_fd, fd;
	pid_t pid;

	(void)state;
	world_begin(w);
	pod_run(w, "a");
	container_start(w, "a", &c, &o);
	pid = container(w, "a", "main", 0)->pid;
	snprintf(folder, sizeof(folder), "%s/pods/a", w->folder);
	snprintf(record, sizeof(record), "%s/sandbox/containers/main.0.json", folder);
	world_end_runtime(w);
	sandbox_fd = sandbox_open(span_of(folder), false, &err);
	fd = control_connect(sandbox_fd);
	assert_true(fd >= 0);
	channel_init(&ch, fd);
	buffer_init(&request, SUPERVISOR_MESSAGE_MOST);
	heard_until(&ch, "\"hello\"");
	assert_int_equal(kill(pid, SIGKILL), 0);
	for (int i = 0; i < 60000 && !strstr(text, "finished"); i++) {
		FILE *f = fopen(record, "r");

		usleep(1000);
		if (!f)
			continue;
		text[fread(text, 1, sizeof(text) - 1, f)] = 0;
		fclose(f);
	}
	assert_non_null(strstr(text, "finished"));
	supervisor_request_write(&hello, &request);
	assert_true(channel_send(&ch, buffer_span(&request), NULL, 0, &err) && channel_flush(&ch, &err));
	heard_until(&ch, "137");
	buffer_done(&request);
	channel_done(&ch);
	close(sandbox_fd);
	world_begin(w);
	assert_true(container_is(w, "a", "main", 0, CONTAINER_EXITED));
	pod_remove(w, "a");
	world_free(w);
}

/* ---- streams ---- */

static void stream_close(struct outcome *o)
{
	if (o->stream.in >= 0)
		close(o->stream.in);
	if (o->stream.out >= 0)
		close(o->stream.out);
	if (o->stream.err >= 0)
		close(o->stream.err);
	free((void *)(uintptr_t)o->stream.id.ptr);
	*o = (struct outcome){ 0 };
}

static void exec_begin(struct world *w, const char *script, struct stream_wanted wanted, struct outcome *o)
{
	const struct span command[] = { SPAN("/bin/sh"), SPAN("-c"), span_of(script) };

	wanted.command = command;
	wanted.command_count = 3;
	*o = (struct outcome){ 0 };
	runtime_exec(w->runtime, SPAN("a"), SPAN("main"), 0, &wanted, outcome_stream, o);
	UNTIL(w, o->is_done);
}

static int exit_code(struct world *w, const struct outcome *o)
{
	for (size_t i = 0; i < w->ended_count; i++) {
		if (span_equal(span_of(w->ended[i].stream), o->stream.id))
			return w->ended[i].exit_code;
	}
	return -1;
}

static void exec_runs_beside_the_command(void **state)
{
	struct world *w = world_new();
	struct container_config c = shell("main", 0, "exec sleep 1000");
	const struct stream_wanted pipes = { .has_stdin = true, .has_stdout = true, .has_stderr = true };
	struct outcome o;

	(void)state;
	world_begin(w);
	pod_run(w, "a");
	container_start(w, "a", &c, &o);
	exec_begin(w, "read x; echo $x $KNOWN; echo bad >&2; exit 9", pipes, &o);
	assert_string_equal(o.error.message, "");
	assert_int_equal(write(o.stream.in, "hello\n", 6), 6);
	assert_string_equal(read_until(w, o.stream.out, NULL), "hello yes\n");
	assert_string_equal(read_until(w, o.stream.err, NULL), "bad\n");
	UNTIL(w, exit_code(w, &o) >= 0);
	assert_int_equal(exit_code(w, &o), 9);
	stream_close(&o);
	exec_begin(w, "sleep 1000", (struct stream_wanted){ .has_stdout = true, .timeout_ns = SECOND / 20 }, &o);
	UNTIL(w, exit_code(w, &o) >= 0);
	assert_int_equal(exit_code(w, &o), 137);
	stream_close(&o);
	assert_string_equal(log_text(w, "a", "main", 0), "");
	container_stop(w, "a", "main", 0, 0);
	exec_begin(w, "true", pipes, &o);
	assert_int_equal(o.error.code, ERROR_CONFLICT);
	pod_remove(w, "a");
	world_free(w);
}

static size_t descriptors_of(pid_t pid)
{
	char path[64];
	size_t count = 0;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%d/fd", pid);
	dir = opendir(path);
	assert_non_null(dir);
	while (readdir(dir))
		count++;
	closedir(dir);
	return count;
}

/* Each has a filter of its own, whose questions end with it. */
static void commands_that_have_ended_leave_no_descriptors(void **state)
{
	const struct stream_wanted wanted = { .has_stdout = true };
	struct world *w = world_new();
	struct container_config c = shell("main", 0, "exec sleep 1000");
	struct outcome o;
	size_t before;

	(void)state;
	world_begin(w);
	pod_run(w, "a");
	container_start(w, "a", &c, &o);
	before = descriptors_of(supervisor_pid(w, "a"));
	for (int i = 0; i < 20; i++) {
		exec_begin(w, "true", wanted, &o);
		assert_string_equal(o.error.message, "");
		UNTIL(w, exit_code(w, &o) >= 0);
		stream_close(&o);
	}
	/* What the last ones had goes with the next. */
	UNTIL(w, descriptors_of(supervisor_pid(w, "a")) <= before + 2);
	pod_remove(w, "a");
	world_free(w);
}

static void a_command_of_exec_that_is_not_there_is_told(void **state)
{
	struct world *w = world_new();
	struct container_config c = shell("main", 0, "exec sleep 1000");
	const struct span command[] = { SPAN("/nowhere/nothing") };
	const struct stream_wanted wanted = { .command = command, .command_count = 1, .has_stdout = true };
	struct outcome o, x = { 0 };

	(void)state;
	world_begin(w);
	pod_run(w, "a");
	container_start(w, "a", &c, &o);
	runtime_exec(w->runtime, SPAN("a"), SPAN("main"), 0, &wanted, outcome_stream, &x);
	UNTIL(w, x.is_done);
	assert_non_null(strstr(x.error.message, "/nowhere/nothing"));
	pod_remove(w, "a");
	world_free(w);
}

static void exec_has_a_terminal_with_a_size(void **state)
{
	struct world *w = world_new();
	struct container_config c = shell("main", 0, "exec sleep 1000");
	struct outcome o;

	(void)state;
	world_begin(w);
	pod_run(w, "a");
	container_start(w, "a", &c, &o);
	exec_begin(w, "trap 'stty size; exit 6' WINCH; tty; test -t 0 && echo terminal; while :; do sleep 0.01; done",
		   (struct stream_wanted){ .has_terminal = true, .has_stdin = true, .has_stdout = true }, &o);
	assert_string_equal(o.error.message, "");
	assert_int_equal(o.stream.err, -1);
	assert_string_equal(read_until(w, o.stream.out, "terminal\r\n"), "/dev/pts/0\r\nterminal\r\n");
	runtime_resize(w->runtime, SPAN("a"), SPAN("main"), 0, o.stream.id, 132, 43);
	assert_non_null(strstr(read_until(w, o.stream.out, NULL), "43 132\r\n"));
	UNTIL(w, exit_code(w, &o) >= 0);
	assert_int_equal(exit_code(w, &o), 6);
	stream_close(&o);
	exec_begin(w, "echo ready; exec sleep 1000",
		   (struct stream_wanted){ .has_terminal = true, .has_stdin = true, .has_stdout = true }, &o);
	(void)read_until(w, o.stream.out, "ready");
	close(o.stream.in);
	close(o.stream.out);
	o.stream.in = o.stream.out = -1;
	UNTIL(w, exit_code(w, &o) >= 0); /* who hangs up ends it */
	assert_int_equal(exit_code(w, &o), 128 + SIGHUP);
	stream_close(&o);
	pod_remove(w, "a");
	world_free(w);
}

static void the_end_of_exec_is_told_when_its_supervisor_dies(void **state)
{
	struct world *w = world_new();
	struct container_config c = shell("main", 0, "exec sleep 1000");
	struct outcome o;

	(void)state;
	world_begin(w);
	pod_run(w, "a");
	container_start(w, "a", &c, &o);
	exec_begin(w, "exec sleep 1000", (struct stream_wanted){ .has_stdout = true }, &o);
	assert_string_equal(o.error.message, "");
	assert_int_equal(kill(supervisor_pid(w, "a"), SIGKILL), 0);
	UNTIL(w, exit_code(w, &o) >= 0);
	assert_int_equal(exit_code(w, &o), 137);
	assert_int_equal(w->ended_count, 1);
	assert_string_equal(read_until(w, o.stream.out, NULL), ""); /* it was killed, too */
	stream_close(&o);
	UNTIL(w, !pod(w, "a")->is_ready);
	pod_remove(w, "a");
	world_free(w);
}

static void attach_begin(struct world *w, struct stream_wanted wanted, struct outcome *o)
{
	*o = (struct outcome){ 0 };
	runtime_attach(w->runtime, SPAN("a"), SPAN("main"), 0, &wanted, outcome_stream, o);
	UNTIL(w, o->is_done);
	assert_string_equal(o->error.message, "");
}

static void several_read_along_and_one_writes(void **state)
{
	struct world *w = world_new();
	struct container_config c = shell("main", 0, "while read x; do echo got $x; echo err >&2; done; echo end");
	struct outcome o, first, second;

	(void)state;
	c.has_stdin = c.has_stdin_once = true;
	world_begin(w);
	pod_run(w, "a");
	container_start(w, "a", &c, &o);
	attach_begin(w, (struct stream_wanted){ .has_stdout = true, .has_stderr = true }, &first);
	assert_int_equal(first.stream.in, -1);
	attach_begin(w, (struct stream_wanted){ .has_stdin = true, .has_stdout = true }, &second);
	assert_int_equal(write(second.stream.in, "1\n", 2), 2);
	assert_string_equal(read_until(w, first.stream.out, "\n"), "got 1\n");
	assert_string_equal(read_until(w, first.stream.err, "\n"), "err\n");
	assert_string_equal(read_until(w, second.stream.out, "\n"), "got 1\n");
	close(second.stream.in); /* stdinOnce: that was all */
	second.stream.in = -1;
	assert_string_equal(read_until(w, first.stream.out, NULL), "end\n");
	assert_string_equal(read_until(w, second.stream.out, NULL), "end\n");
	UNTIL(w, container_is(w, "a", "main", 0, CONTAINER_EXITED));
	stream_close(&first);
	stream_close(&second);
	pod_remove(w, "a");
	world_free(w);
}

static void who_has_gone_is_forgotten_though_nothing_is_written(void **state)
{
	struct world *w = world_new();
	struct container_config c = shell("main", 0, "read x; echo $x; exec sleep 1000");
	struct outcome o, stays;
	size_t before;

	(void)state;
	c.has_stdin = true;
	world_begin(w);
	pod_run(w, "a");
	container_start(w, "a", &c, &o);
	attach_begin(w, (struct stream_wanted){ .has_stdout = true, .has_stdin = true }, &stays);
	before = descriptors_of(supervisor_pid(w, "a"));
	for (int i = 0; i < 10; i++) {
		attach_begin(w, (struct stream_wanted){ .has_stdout = true, .has_stderr = i % 2 }, &o);
		stream_close(&o);
	}
	UNTIL(w, descriptors_of(supervisor_pid(w, "a")) <= before);
	assert_int_equal(write(stays.stream.in, "hello\n", 6), 6);
	assert_string_equal(read_until(w, stays.stream.out, "hello\n"), "hello\n");
	stream_close(&stays);
	pod_remove(w, "a");
	world_free(w);
}

static void who_reads_too_slowly_is_cut_off_and_holds_up_nobody(void **state)
{
	struct world *w = world_new();
	struct container_config c =
	    shell("main", 0, "read x; head -c 20000000 /dev/zero | tr '\\0' '\\n'; echo done >&2; exec sleep 1000");
	struct outcome o, slow, fast;

	(void)state;
	c.has_stdin = true;
	world_begin(w);
	pod_run(w, "a");
	container_start(w, "a", &c, &o);
	attach_begin(w, (struct stream_wanted){ .has_stdout = true }, &slow);
	attach_begin(w, (struct stream_wanted){ .has_stdin = true, .has_stderr = true }, &fast);
	assert_int_equal(write(fast.stream.in, "go\n", 3), 3);
	assert_string_equal(read_until(w, fast.stream.err, "\n"), "done\n");
	stream_close(&slow);
	stream_close(&fast);
	pod_remove(w, "a");
	world_free(w);
}

static void a_container_may_have_a_terminal(void **state)
{
	struct world *w = world_new();
	struct container_config c =
	    shell("main", 0,
		  "trap 'stty size' WINCH; tty; test -t 1 && echo terminal; while :; do read x && echo got $x; done");
	struct outcome o, attached;

	(void)state;
	c.has_stdin = c.has_terminal = true;
	world_begin(w);
	pod_run(w, "a");
	container_start(w, "a", &c, &o);
	assert_string_equal(o.error.message, "");
	attach_begin(
	    w,
	    (struct stream_wanted){ .has_stdin = true, .has_stdout = true, .has_stderr = true, .has_terminal = true },
	    &attached);
	assert_int_equal(attached.stream.err, -1);
	assert_int_equal(write(attached.stream.in, "hello\n", 6), 6);
	(void)read_until(w, attached.stream.out, "got hello\r\n");
	runtime_resize(w->runtime, SPAN("a"), SPAN("main"), 0, SPAN(""), 100, 30);
	(void)read_until(w, attached.stream.out, "30 100\r\n");
	stream_close(&attached);
	assert_non_null(strstr(log_text(w, "a", "main", 0), "stdout F /dev/pts/0\r\n"));
	assert_non_null(strstr(log_text(w, "a", "main", 0), "stdout F terminal\r\n"));
	container_stop(w, "a", "main", 0, 0);
	pod_remove(w, "a");
	world_free(w);
}

static void a_socket_is_made_inside(void **state)
{
	struct world *w = world_new();
	struct outcome o = { 0 }, u = { 0 };

	(void)state;
	world_begin(w);
	pod_run(w, "a");
	runtime_socket(w->runtime, SPAN("a"), AF_INET, SOCK_STREAM, outcome_socket, &o);
	UNTIL(w, o.is_done);
	assert_string_equal(o.error.message, "");
	assert_true(o.fd >= 0);
	close(o.fd);
	o = (struct outcome){ 0 };
	runtime_socket(w->runtime, SPAN("a"), AF_UNIX, SOCK_STREAM, outcome_socket, &o);
	UNTIL(w, o.is_done);
	assert_int_equal(o.error.code, ERROR_INVALID);
	runtime_usage(w->runtime, SPAN("a"), outcome_usage, &u);
	UNTIL(w, u.is_done); /* counted, or said why not */
	assert_true(u.error.code == ERROR_NONE || u.error.code == ERROR_UNAVAILABLE);
	pod_remove(w, "a");
	world_free(w);
}

/* ---- at random ---- */

static void hundreds_of_beginnings_and_ends_leave_nothing(void **state)
{
	enum { PODS = 4, STEPS = 200 };
	struct world *w = world_new();
	uint32_t attempts[PODS] = { 0 };
	bool is_there[PODS] = { false };
	struct outcome o;

	(void)state;
	world_begin(w);
	for (int step = 0; step < STEPS; step++) {
		unsigned at = (unsigned)(random_fast() % PODS);
		char uid[] = { (char)('a' + at), 0 };
		struct container_config c;
		uint64_t choice = random_fast() % 10;

		if (!is_there[at] || !pod(w, uid) || !pod(w, uid)->is_ready) {
			pod_run(w, uid);
			is_there[at] = true;
		}
		if (choice < 6) {
			c = shell("main", attempts[at]++, choice < 3 ? "exit 1" : "sleep 1000 & exec sleep 1000");
			container_start(w, uid, &c, &o);
			assert_string_equal(o.error.message, "");
			container_stop(w, uid, "main", c.attempt, 0);
			o = (struct outcome){ 0 };
			runtime_container_remove(w->runtime, span_of(uid), SPAN("main"), c.attempt, outcome_plain, &o);
			UNTIL(w, o.is_done);
		} else if (choice < 7) {
			assert_int_equal(kill(supervisor_pid(w, uid), SIGKILL), 0);
			UNTIL(w, !pod(w, uid)->is_ready);
		} else if (choice < 8) {
			world_end_runtime(w);
			world_begin(w);
		} else {
			c = shell("left", attempts[at]++, "exec sleep 1000");
			container_start(w, uid, &c, &o);
			pod_remove(w, uid);
			is_there[at] = false;
		}
	}
	for (unsigned i = 0; i < PODS; i++) {
		char uid[] = { (char)('a' + i), 0 };

		pod_remove(w, uid);
		assert_int_equal(supervisor_pid(w, uid), 0);
	}
	world_free(w);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_command_runs_and_its_end_is_told),
		cmocka_unit_test(a_signal_is_told_as_128_and_more),
		cmocka_unit_test(a_command_that_is_not_there_is_a_start_error),
		cmocka_unit_test(one_that_takes_too_much_memory_is_told_so),
		cmocka_unit_test(what_is_asked_for_twice_is_done_once),
		cmocka_unit_test(a_container_is_asked_to_end_before_it_is_killed),
		cmocka_unit_test(a_shorter_grace_counts_and_so_does_its_end),
		cmocka_unit_test(the_grace_goes_on_without_us),
		cmocka_unit_test(the_end_of_a_sandbox_ends_all_in_it),
		cmocka_unit_test(containers_outlive_us_and_are_adopted),
		cmocka_unit_test(a_killed_supervisor_takes_its_containers_with_it),
		cmocka_unit_test(one_whose_first_process_is_killed_is_told_as_dead),
		cmocka_unit_test(a_supervisor_that_died_without_us_is_told_as_dead),
		cmocka_unit_test(one_whose_folder_is_deleted_ends),
		cmocka_unit_test(a_killed_spawner_is_begun_again),
		cmocka_unit_test(a_pod_takes_a_supervisor_made_ahead),
		cmocka_unit_test(the_end_of_one_of_many_begun_at_once_is_told),
		cmocka_unit_test(one_that_is_begun_while_we_die_is_begun_once),
		cmocka_unit_test(one_that_was_never_told_what_to_run_leaves_no_files),
		cmocka_unit_test(one_that_could_not_be_run_leaves_no_files),
		cmocka_unit_test(odd_words_end_a_connection_and_nothing_else),
		cmocka_unit_test(what_was_asked_on_a_lost_connection_is_answered),
		cmocka_unit_test(what_cannot_be_asked_disturbs_nobody),
		cmocka_unit_test(one_that_cannot_be_called_for_want_of_descriptors_lives),
		cmocka_unit_test(an_end_between_two_greetings_is_told),
		cmocka_unit_test(exec_runs_beside_the_command),
		cmocka_unit_test(commands_that_have_ended_leave_no_descriptors),
		cmocka_unit_test(a_command_of_exec_that_is_not_there_is_told),
		cmocka_unit_test(the_end_of_exec_is_told_when_its_supervisor_dies),
		cmocka_unit_test(exec_has_a_terminal_with_a_size),
		cmocka_unit_test(several_read_along_and_one_writes),
		cmocka_unit_test(who_has_gone_is_forgotten_though_nothing_is_written),
		cmocka_unit_test(who_reads_too_slowly_is_cut_off_and_holds_up_nobody),
		cmocka_unit_test(a_container_may_have_a_terminal),
		cmocka_unit_test(a_socket_is_made_inside),
		cmocka_unit_test(hundreds_of_beginnings_and_ends_leave_nothing),
	};

	if (argc > 1 && strcmp(argv[1], SUPERVISOR_COMMAND) == 0)
		return supervisor_main(argc, argv);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
