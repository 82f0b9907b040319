/* SPDX-License-Identifier: Apache-2.0 */
/* How containers live, end and are kept in, with real processes. Begun with "escape" this program is the command of a container, and tries to leave it. */
#include "node/confine_kit.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <poll.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

/* ---- exec ---- */

static int exec_in(struct confined *box, const char *script, char *text, size_t capacity, struct error *err)
{
	struct span command[] = { SPAN("/bin/sh"), SPAN("-c"), span_of(script) };
	int pipes[2];
	pid_t pid;

	assert_int_equal(pipe2(pipes, O_CLOEXEC), 0);
	pid = confined_exec(box, command, 3, (int[]){ -1, pipes[1], pipes[1] }, NULL, err);
	close(pipes[1]);
	if (pid > 0)
		text_read(pipes[0], text, capacity, NULL);
	close(pipes[0]);
	return pid > 0 ? status_of(pid) : -1;
}

static void exec_runs_beside_the_command(void **state)
{
	struct container_config c = plain();
	struct pod p = { 0 };
	struct error err = { 0 };
	struct confined *box;
	char text[4096];
	int ready[2];

	(void)state;
	pod_start(&p, "a");
	for (int64_t user = -1; user < 2000; user += 1235) { /* none, 1234 */
		c.security.user = c.security.group = user;
		c.attempt++;
		assert_int_equal(pipe2(ready, O_CLOEXEC), 0);
		box = begin(&p, &c, "echo made > /tmp/file; echo ready; exec sleep 1000", ready[1], &err);
		if (!box)
			fail_msg("%s", err.message);
		text_read(ready[0], text, sizeof(text), "ready");
		assert_int_equal(exec_in(box,
					 "until grep -q ^sleep /proc/1/cmdline; do sleep 0.01; done; "
					 "cat /tmp/file; id -u; tr '\\0' ' ' < /proc/1/cmdline; grep Seccomp: "
					 "/proc/self/status; hostname; exit 7",
					 text, sizeof(text), &err),
				 7);
		if (user > 0)
			assert_string_equal(text, "made\n1234\nsleep 1000 Seccomp:\t2\npodhost\n");
		else
			assert_string_equal(text, "made\n0\nsleep 1000 Seccomp:\t2\npodhost\n");
		{
			struct span nope = SPAN("/nope");

			assert_int_equal(confined_exec(box, &nope, 1, (int[]){ -1, -1, -1 }, NULL, &err), -1);
			assert_string_equal(err.message, "exec: \"/nope\": stat /nope: no such file or directory");
		}
		assert_true(confined_signal(box, SIGKILL));
		assert_int_equal(status_of(confined_pid(box)), 128 + SIGKILL);
		assert_int_equal(exec_in(box, "true", text, sizeof(text), &err), -1);
		confined_free(box);
		close(ready[0]);
		close(ready[1]);
	}
	enclosure_free(p.enclosure);
}

/* By the name too, as whoever the container is: screen, tmux and sudo open it again. */
#define TERMINAL_SCRIPT                                                                                                \
	"test -t 0 && test -t 1 && test -t 2 && tty && readlink /proc/$$/fd/0 && echo by-name > $(tty) && "            \
	"echo by-tty > /dev/tty && [ $(stat -c %u $(tty)) = $(id -u) ] && echo own; "

static void a_terminal_has_a_name_in_the_container(void **state)
{
	struct span command[] = { SPAN("/bin/sh"), SPAN("-c"), SPAN(TERMINAL_SCRIPT "stty size; exit 7") };
	const struct winsize size = { .ws_col = 132, .ws_row = 43 };
	struct container_config c = plain();
	struct pod p = { 0 };
	struct error err = { 0 };

	(void)state;
	pod_start(&p, "a");
	c.has_terminal = true;
	for (int64_t user = -1; user < 2000; user += 1235) { /* none, 1234 */
		struct confined *box;
		int first, second = -1;
		char text[4096];
		pid_t pid;

		c.security.user = c.security.group = user;
		c.attempt++;
		box = begin(&p, &c, "trap 'stty size; exit 6' WINCH; " TERMINAL_SCRIPT "while :; do sleep 0.01; done",
			    -1, &err);
		assert_string_equal(err.message, "");
		first = confined_terminal(box);
		assert_true(first >= 0);
		assert_int_equal(confined_terminal(box), -1); /* it was given away */
		text_read(first, text, sizeof(text), "own\r\n");
		assert_string_equal(text, "/dev/pts/0\r\n/dev/pts/0\r\nby-name\r\nby-tty\r\nown\r\n");

		pid = confined_exec(box, command, 3, (int[]){ -1, -1, -1 }, &second, &err);
		assert_true(pid > 0 && second >= 0);
		text_read(second, text, sizeof(text), "0 0\r\n");
		assert_string_equal(text, "/dev/pts/1\r\n/dev/pts/1\r\nby-name\r\nby-tty\r\nown\r\n0 0\r\n");
		assert_int_equal(status_of(pid), 7);

		assert_int_equal(ioctl(first, TIOCSWINSZ, &size), 0);
		text_read(first, text, sizeof(text), "43 132\r\n");
		assert_int_equal(status_of(confined_pid(box)), 6);
		close(first);
		close(second);
		confined_free(box);
	}
	enclosure_free(p.enclosure);
}

static void a_terminal_that_can_not_be_had_is_told(void **state)
{
	char folder[200];
	struct mount_wanted mount = { .container_path = SPAN("/dev") };
	struct container_config c = plain();
	struct pod p = { 0 };
	struct error err = { 0 };

	(void)state;
	pod_start(&p, "a");
	snprintf(folder, sizeof(folder), "%s/nodev", p.folder);
	assert_true(mkdir(folder, 0755) == 0 || errno == EEXIST);
	mount.host_path = span_of(folder);
	c.mounts = &mount;
	c.mount_count = 1;
	c.has_terminal = true;
	assert_null(begin(&p, &c, "exec sleep 1000", -1, &err));
	assert_string_equal(err.message, "cannot open a terminal: /dev/pts/ptmx: No such file or directory");
	/* What looks like one is none. */
	snprintf(folder, sizeof(folder), "%s/nodev/pts", p.folder);
	assert_true(mkdir(folder, 0755) == 0 || errno == EEXIST);
	snprintf(folder, sizeof(folder), "%s/nodev/pts/ptmx", p.folder);
	file_put(folder, "");
	folder[strlen(folder) - strlen("/pts/ptmx")] = 0;
	err = (struct error){ 0 };
	c.attempt++;
	assert_null(begin(&p, &c, "exec sleep 1000", -1, &err));
	assert_string_equal(err.message, "cannot open a terminal: /dev/pts/ptmx: No such device");
	enclosure_free(p.enclosure);
}

static void signals_reach_the_first_process(void **state)
{
	struct container_config c = plain();
	struct pod p = { 0 };
	struct error err = { 0 };
	struct confined *box;
	char text[256];
	int ready[2];

	(void)state;
	pod_start(&p, "a");
	assert_int_equal(pipe2(ready, O_CLOEXEC), 0);
	box = begin(&p, &c, "trap 'echo ended; exit 5' TERM; echo ready; while :; do sleep 0.01; done", ready[1], &err);
	if (!box)
		fail_msg("%s", err.message);
	text_read(ready[0], text, sizeof(text), "ready");
	assert_true(confined_signal(box, SIGTERM));
	assert_int_equal(status_of(confined_pid(box)), 5);
	confined_free(box);
	close(ready[0]);
	close(ready[1]);
	enclosure_free(p.enclosure);
}

/* ---- limits ---- */

static void memory_that_runs_out_is_named(void **state)
{
	struct container_config c = plain();
	struct pod p = { 0 };
	const struct outcome *o;

	(void)state;
	pod_start(&p, "a");
	if (!has_groups(&p)) {
		enclosure_free(p.enclosure);
		skip();
	}
	c.resources.memory_limit = 32 << 20;
	o = run_in(&p, &c, "head -c 200m /dev/zero | tail > /dev/null");
	assert_int_equal(o->status, 137);
	assert_true(o->was_out_of_memory);
	o = run_in(&p, &c, "exit 137");
	assert_int_equal(o->status, 137);
	assert_false(o->was_out_of_memory);
	enclosure_free(p.enclosure);
}

static void limits_are_seen_and_changed(void **state)
{
	struct container_config c = plain();
	struct resources more = { .cpu_request = 500, .cpu_limit = 1500, .memory_limit = 128 << 20 };
	int64_t cpu = -1, memory = -1, processes = -1;
	struct pod p = { 0 };
	struct error err = { 0 };
	struct confined *box;
	char text[4096];

	(void)state;
	pod_start(&p, "a");
	if (!has_groups(&p)) {
		enclosure_free(p.enclosure);
		skip();
	}
	c.resources = (struct resources){ .cpu_request = 250, .cpu_limit = 500, .memory_limit = 64 << 20 };
	box = begin(&p, &c, "sleep 1000", -1, &err);
	if (!box)
		fail_msg("%s", err.message);
	exec_in(box,
		"cd /sys/fs/cgroup; cat cpu.max cpu/cpu.cfs_quota_us; cat memory.max memory/memory.limit_in_bytes; cat "
		"cpu/cpu.shares",
		text, sizeof(text), &err);
	assert_non_null(strstr(text, "50000"));
	assert_non_null(strstr(text, "67108864"));
	assert_true(confined_update(box, &more, &err));
	exec_in(box, "cd /sys/fs/cgroup; cat cpu.max cpu/cpu.cfs_quota_us; cat memory.max memory/memory.limit_in_bytes",
		text, sizeof(text), &err);
	assert_non_null(strstr(text, "150000"));
	assert_non_null(strstr(text, "134217728"));
	assert_true(confined_usage(box, &cpu, &memory, &processes));
	assert_true(cpu > 0 && memory > 0 && processes == 2); /* the shell and sleep */
	confined_free(box);
	enclosure_free(p.enclosure);
}

static void use_is_counted_with_or_without_control_groups(void **state)
{
	struct container_config c = plain();
	struct pod p = { 0 };
	int64_t cpu, memory, processes, all;
	struct error err = { 0 };
	struct confined *box;
	char text[256];
	int out[2];

	(void)state;
	pod_start(&p, "a");
	assert_int_equal(pipe2(out, O_CLOEXEC), 0);
	box =
	    begin(&p, &c, "(i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done; echo counted; sleep 1000) & sleep 1000",
		  out[1], &err);
	if (!box)
		fail_msg("%s", err.message);
	text_read(out[0], text, sizeof(text), "counted");
	for (int ms = 0; ms < WAIT_MOST_MS; ms++) { /* what they run begins soon after */
		assert_true(confined_usage(box, &cpu, &memory, &processes));
		if (processes >= 3)
			break;
		usleep(1000);
	}
	assert_true(cpu > 0 && memory > 0);
	assert_in_range(processes, 3, 4); /* two shells (one may have become its sleep), and what they run */
	assert_true(enclosure_usage(p.enclosure, &all, &memory, &processes));
	assert_true(all >= cpu);
	confined_free(box);
	close(out[0]);
	close(out[1]);
	enclosure_free(p.enclosure);
}

static void processes_are_bounded(void **state)
{
	struct container_config c = plain();
	struct pod p = { .config = { .resources = { .processes_limit = 30 } } };
	int64_t cpu, memory, processes = 0;
	struct error err = { 0 };
	struct confined *box;
	char text[16384];
	int out[2];

	(void)state;
	pod_start(&p, "a");
	assert_int_equal(pipe2(out, O_CLOEXEC), 0);
	box = begin(&p, &c, "(for i in $(seq 200); do sleep 1000 & done); echo bounded; exec sleep 1000", out[1], &err);
	if (!box)
		fail_msg("%s", err.message);
	text_read(out[0], text, sizeof(text), "bounded");
	assert_non_null(strstr(text, "fork"));
	if (has_groups(&p)) {
		assert_true(enclosure_usage(p.enclosure, &cpu, &memory, &processes));
		assert_true(processes > 10 && processes <= 30);
	}
	confined_free(box);
	close(out[0]);
	close(out[1]);
	enclosure_free(p.enclosure);
}

/* ---- the end ---- */

static bool is_gone(const char *mark)
{
	DIR *proc = opendir("/proc");
	bool found = false;

	for (struct dirent *d = readdir(proc); d; d = readdir(proc)) {
		char path[300], line[4096];
		int fd;
		ssize_t n;

		snprintf(path, sizeof(path), "/proc/%s/cmdline", d->d_name);
		fd = d->d_name[0] >= '1' && d->d_name[0] <= '9' ? open(path, O_RDONLY | O_CLOEXEC) : -1;
		n = fd >= 0 ? read(fd, line, sizeof(line) - 1) : 0;
		if (fd >= 0)
			close(fd);
		if (n > 0 && memmem(line, (size_t)n, mark, strlen(mark)))
			found = true;
	}
	closedir(proc);
	return !found;
}

static size_t mount_count(void)
{
	FILE *f = fopen("/proc/self/mountinfo", "re");
	size_t count = 0;
	int c;

	while ((c = fgetc(f)) != EOF)
		count += c == '\n';
	fclose(f);
	return count;
}

static void nothing_is_left(void **state)
{
	struct container_config c = plain();
	size_t before = mount_count();
	struct error err = { 0 };
	struct confined *box;
	char text[256], script[160], mark[32], path[128];
	struct stat st;
	int out[2];

	(void)state;
	snprintf(mark, sizeof(mark), "%d98765", (int)getpid()); /* this test may run twice at a time */
	snprintf(script, sizeof(script), "for i in 1 2 3; do (setsid sleep %s &); done; echo ready; exec sleep %s",
		 mark, mark);
	for (int shares = 0; shares < 2; shares++) {
		struct pod p = { .config = { .shares_processes = shares } };

		pod_start(&p, "a");
		for (uint32_t i = 0; i < 2; i++) {
			c.attempt = i;
			assert_int_equal(pipe2(out, O_CLOEXEC), 0);
			/* They leave their session and their parent. */
			box = begin(&p, &c, script, out[1], &err);
			if (!box)
				fail_msg("%s", err.message);
			text_read(out[0], text, sizeof(text), "ready");
			assert_false(is_gone(mark));
			if (i == 0) {
				confined_free(box);
				assert_true(is_gone(mark));
			} /* the second one goes with the pod */
			close(out[0]);
			close(out[1]);
		}
		enclosure_free(p.enclosure);
		assert_true(is_gone(mark));
	}
	assert_int_equal(mount_count(), before);
	snprintf(path, sizeof(path), "/sys/fs/cgroup/memory%s/burstable/poda", group_root);
	assert_int_equal(stat(path, &st), -1);
	snprintf(path, sizeof(path), "/sys/fs/cgroup%s/burstable/poda", group_root);
	assert_int_equal(stat(path, &st), -1);
	assert_int_equal(waitpid(-1, NULL, WNOHANG | __WALL), -1);
	assert_int_equal(errno, ECHILD);
}

/* The kernel gives the number of a namespace that is gone to the next one. */
static void one_that_has_ended_takes_no_other_with_it(void **state)
{
	struct container_config c = plain();
	struct pod p = { .config = { .shares_processes = true } };
	struct error err = { 0 };

	(void)state;
	pod_start(&p, "a");
	for (int i = 0; i < 10; i++) {
		struct confined *first = begin(&p, &c, "exit 3", -1, &err), *second;

		if (!first)
			fail_msg("%s", err.message);
		assert_int_equal(status_of(confined_pid(first)), 3);
		c.attempt++;
		second = begin(&p, &c, "exec sleep 1000", -1, &err);
		if (!second)
			fail_msg("%s", err.message);
		confined_free(first);
		assert_int_equal(waitpid(confined_pid(second), NULL, WNOHANG | __WALL), 0); /* it runs */
		confined_free(second);
		c.attempt++;
	}
	enclosure_free(p.enclosure);
}

static void a_container_ends_with_its_supervisor(void **state)
{
	struct container_config c = plain();
	struct pollfd end = { .events = POLLIN };
	pid_t supervisor, first = 0;
	struct pod p = { 0 };
	int told[2];

	(void)state;
	if (!is_possible)
		skip();
	assert_int_equal(pipe2(told, O_CLOEXEC), 0);
	supervisor = fork();
	if (supervisor == 0) {
		struct confined *box;

		/* The command has no word in it: whatever it does about its parent's death, its namespace dies. */
		if (!pod_try(&p, "b") ||
		    !(box = begin(&p, &c, "trap '' TERM HUP INT; while :; do sleep 0.1; done", -1, &p.err)))
			_exit(1);
		first = confined_pid(box);
		if (write(told[1], &first, sizeof(first)) != sizeof(first))
			_exit(1);
		pause();
	}
	close(told[1]);
	assert_int_equal(read(told[0], &first, sizeof(first)), sizeof(first));
	end.fd = (int)syscall(SYS_pidfd_open, first, 0);
	assert_true(end.fd >= 0);
	kill(supervisor, SIGKILL);
	assert_int_equal(status_of(supervisor), 128 + SIGKILL);
	assert_int_equal(poll(&end, 1, WAIT_MOST_MS), 1);
	close(end.fd);
	close(told[0]);
	pod_start(&p, "b"); /* the same pod begins again, over what the dead one left */
	enclosure_free(p.enclosure);
}

/* ---- escapes ---- */

/* In the container: each line is one try that succeeded. */
static void tried(const char *what, long result)
{
	if (result >= 0)
		printf("%s succeeded\n", what);
}

static int escape_main(const char *secret)
{
	char zero[512] = { 0 };
	int fd;

	tried("mount", mount("none", "/mnt", "tmpfs", 0, NULL));
	tried("remount", mount(NULL, "/", NULL, MS_REMOUNT | MS_BIND, NULL));
	tried("umount", umount2("/proc/sys", MNT_DETACH));
	tried("umount of the data folder", umount2(secret, MNT_DETACH));
	tried("unshare users", unshare(CLONE_NEWUSER));
	tried("unshare mounts", unshare(CLONE_NEWNS));
	tried("unshare network", unshare(CLONE_NEWNET));
	fd = open("/proc/1/ns/mnt", O_RDONLY);
	tried("setns", setns(fd, 0));
	tried("pivot_root", syscall(SYS_pivot_root, ".", "."));
	tried("kexec_load", syscall(SYS_kexec_load, 0, 0, NULL, 0));
	tried("init_module", syscall(SYS_init_module, zero, sizeof(zero), ""));
	tried("bpf", syscall(SYS_bpf, BPF_MAP_CREATE, zero, sizeof(union bpf_attr)));
	tried("perf_event_open", syscall(SYS_perf_event_open, zero, 0, -1, -1, 0));
	tried("keyctl", syscall(SYS_keyctl, 0, -3, 1));
	tried("add_key", syscall(SYS_add_key, "user", "x", "y", 1, -3));
	tried("open_by_handle_at", syscall(SYS_open_by_handle_at, AT_FDCWD, zero, O_RDONLY));
	tried("io_uring", syscall(SYS_io_uring_setup, 1, zero));
	tried("userfaultfd", syscall(SYS_userfaultfd, 0));
	tried("swapon", syscall(SYS_swapon, "/etc/passwd", 0));
	tried("reboot", syscall(SYS_reboot, 0, 0, 0, 0));
	tried("clone3", syscall(SYS_clone3, zero, 0));
	tried("ptrace of the first guide", ptrace(PTRACE_ATTACH, 1000000, NULL, NULL));
	if (mknod("/tmp/disk", S_IFBLK | 0600, makedev(8, 0)) == 0 ||
	    mknod("/tmp/disk", S_IFBLK | 0600, makedev(254, 0)) == 0)
		tried("open of a disk", open("/tmp/disk", O_RDONLY));
	tried("write to sysrq-trigger", open("/proc/sysrq-trigger", O_WRONLY));
	tried("write to core_pattern", open("/proc/sys/kernel/core_pattern", O_WRONLY));
	tried("write to uevent_helper", open("/sys/kernel/uevent_helper", O_WRONLY));
	tried("write to a group", open("/sys/fs/cgroup/pids/pids.max", O_WRONLY));
	tried("write to the program", open("/proc/self/exe", O_WRONLY));
	tried("read of kcore", read(open("/proc/kcore", O_RDONLY), zero, 1) == 1 ? 0 : -1);
	tried("read of /dev/mem", open("/dev/mem", O_RDONLY));
	tried("read of the data folder", open(secret, O_RDONLY));
	/* The way out that chroot(2) is known for: a folder kept open above the new root. */
	fd = open("/", O_RDONLY | O_DIRECTORY);
	if (mkdir("/tmp/jail", 0700) == 0 && chroot("/tmp/jail") == 0 && fchdir(fd) == 0) {
		for (int i = 0; i < 64; i++) {
			if (chdir("..") < 0)
				break;
		}
		tried("read of the data folder by chroot", chroot(".") < 0 ? -1 : open(secret, O_RDONLY));
	}
	printf("tried all\n");
	return 0;
}

static void escapes_are_refused(void **state)
{
	struct container_config c = plain();
	struct pod p = { 0 };
	struct span words[] = { SPAN("/run/hythe/bin/hythe"), SPAN("escape"), SPAN("") };
	char secret[128];
	const struct outcome *o;

	(void)state;
	pod_start(&p, "a");
	snprintf(secret, sizeof(secret), "%s/data/secret", top);
	file_put(secret, "secret words");
	words[2] = span_of(secret);
	c.command = words;
	c.command_count = 3;
	for (int64_t user = -1; user < 2000; user += 1235) {
		c.security.user = c.security.group = user;
		o = run_in(&p, &c, NULL);
		assert_string_equal(o->err.message, "");
		says(o, "tried all");
		says_not(o, "succeeded");
	}
	enclosure_free(p.enclosure);
}

static void pods_do_not_see_each_other(void **state)
{
	struct name_value token = { SPAN("TOKEN"), SPAN("secret-of-a") };
	struct container_config c = plain();
	struct pod a = { 0 }, b = { 0 };
	struct error err = { 0 };
	struct confined *box;
	const struct outcome *o;
	char text[256], script[400];
	int out[2];

	(void)state;
	pod_start(&a, "a");
	pod_start(&b, "b");
	c.environment = &token;
	c.environment_count = 1;
	assert_int_equal(pipe2(out, O_CLOEXEC), 0);
	box = begin(&a, &c, "echo secret-of-a > /tmp/a; echo secret-of-a > /dev/shm/a; echo ready; exec sleep 1000",
		    out[1], &err);
	if (!box)
		fail_msg("%s", err.message);
	text_read(out[0], text, sizeof(text), "ready");
	snprintf(script, sizeof(script),
		 "cat /proc/%d/environ /proc/*/environ | tr '\\0' ' '; cat /tmp/a /dev/shm/a; ls -A %s; kill -9 %d; ls "
		 "/proc",
		 (int)confined_pid(box), a.folder, (int)confined_pid(box));
	o = run(&b, script);
	says_not(o, "secret-of-a");
	assert_int_equal(waitpid(confined_pid(box), NULL, WNOHANG), 0); /* it runs */
	confined_free(box);
	close(out[0]);
	close(out[1]);
	enclosure_free(a.enclosure);
	enclosure_free(b.enclosure);
}

/* ---- all ---- */

static int run_here(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(exec_runs_beside_the_command),
		cmocka_unit_test(a_terminal_has_a_name_in_the_container),
		cmocka_unit_test(a_terminal_that_can_not_be_had_is_told),
		cmocka_unit_test(signals_reach_the_first_process),
		cmocka_unit_test(memory_that_runs_out_is_named),
		cmocka_unit_test(limits_are_seen_and_changed),
		cmocka_unit_test(processes_are_bounded),
		cmocka_unit_test(use_is_counted_with_or_without_control_groups),
		cmocka_unit_test(nothing_is_left),
		cmocka_unit_test(one_that_has_ended_takes_no_other_with_it),
		cmocka_unit_test(a_container_ends_with_its_supervisor),
		cmocka_unit_test(escapes_are_refused),
		cmocka_unit_test(pods_do_not_see_each_other),
	};

	return cmocka_run_group_tests_name(geteuid() == 0 ? "confined, as root" : "confined, as an ordinary user",
					   tests, set_up, tear_down);
}

int main(int argc, char **argv)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	if (argc == 3 && strcmp(argv[1], "escape") == 0)
		return escape_main(argv[2]);
	return tests_run(argv, run_here);
}
