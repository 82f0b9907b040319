/* SPDX-License-Identifier: Apache-2.0 */
/* What a container sees and who it is, with real processes. */
#include "node/confine_kit.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

/* ---- files ---- */

static void the_machines_files_are_read_only(void **state)
{
	struct pod p = { 0 };
	const struct outcome *o;

	(void)state;
	pod_start(&p, "a");
	o = run(&p, "test -s /etc/passwd && echo has passwd; touch /etc/new /new /usr/new; echo x >> /etc/passwd; pwd");
	says(o, "has passwd");
	says(o, "touch: cannot touch '/etc/new': Read-only file system");
	says(o, "touch: cannot touch '/new': Read-only file system");
	says(o, "touch: cannot touch '/usr/new': Read-only file system");
	says(o, geteuid() == 0 ? "create /etc/passwd: Read-only file system" : "create /etc/passwd: Permission denied");
	says(o, "\n/\n");
	enclosure_free(p.enclosure);
}

static void tmp_and_run_are_the_containers_own(void **state)
{
	struct pod p = { 0 };

	(void)state;
	pod_start(&p, "a");
	says(run(&p, "touch /tmp/mine /run/mine /dev/shm/mine && ls -A /tmp; stat -c %a /tmp"), "mine\n1777");
	assert_string_equal(run(&p, "ls -A /tmp; ls /run")->text, "hythe\nlock\nshm\n");
	says(run(&p, "ls /dev/shm"), "mine"); /* which the pod's containers share */
	enclosure_free(p.enclosure);
}

static void devices_are_those_every_program_needs(void **state)
{
	struct pod p = { 0 };

	(void)state;
	pod_start(&p, "a");
	assert_string_equal(run(&p, "cd /dev; echo *")->text,
			    "core fd full mqueue null ptmx pts random shm stderr stdin stdout tty urandom zero\n");
	says(run(&p, "echo gone > /dev/null; head -c 3 /dev/zero | od -An -c; head -c 8 /dev/urandom | wc -c; chmod "
		     "600 /dev/null"),
	     "\\0  \\0  \\0\n8\nchmod: changing permissions of '/dev/null'");
	enclosure_free(p.enclosure);
}

static void the_data_folder_and_keys_are_hidden(void **state)
{
	struct container_config c = plain();
	struct mount_wanted all = { SPAN("/"), SPAN("/machine"), true };
	const struct outcome *o;
	char script[1024], secret[128];
	struct pod p = { 0 };

	(void)state;
	pod_start(&p, "a");
	snprintf(secret, sizeof(secret), "%s/data/secret", top);
	file_put(secret, "secret words");
	snprintf(script, sizeof(script),
		 "cat %s; ls -A %s; wc -c < /etc/shadow; ls -A /etc/ssl/private; cat /etc/ssh/*key; cat /machine%s; ls "
		 "-A /machine%s/data",
		 secret, p.data, secret, top);
	o = run(&p, script);
	says_not(o, "secret words");
	says(o, "\n0\n");
	says(o, "'/etc/ssh/*key': No such file");
	/* The machine's root as a volume does not bring it back. */
	c.mounts = &all;
	c.mount_count = 1;
	o = run_in(&p, &c, script);
	says_not(o, "secret words");
	says(o, ": No such file or directory");
	enclosure_free(p.enclosure);
}

static void volumes_are_mounted_where_no_folder_was(void **state)
{
	struct container_config c = plain();
	char folder[160], file[192], script[300];
	const struct outcome *o;
	struct pod p = { 0 };
	struct stat st;

	(void)state;
	pod_start(&p, "a");
	snprintf(folder, sizeof(folder), "%s/volume", p.folder);
	assert_true(mkdir(folder, 0755) == 0 || errno == EEXIST);
	snprintf(file, sizeof(file), "%s/file", folder);
	file_put(file, "in the file\n");
	{
		struct mount_wanted mounts[] = {
			{ span_of(folder), SPAN("/data/deep/inside"), false },
			{ span_of(file), SPAN("/usr/share/hythe-test/file"), true },
			{ span_of(folder), SPAN("/data"), false },
			{ span_of(folder), SPAN("/var/run/secrets/a"), true },
			{ span_of(file), SPAN("/etc/hosts"), false },
			{ span_of(folder), SPAN("/models"), true },
		};

		c.mounts = mounts;
		c.mount_count = ARRAY_LEN(mounts);
		o = run_in(
		    &p, &c,
		    "cat /data/file /usr/share/hythe-test/file /run/secrets/a/file /etc/hosts; touch /data/written;"
		    "touch /models/x; touch /usr/share/hythe-test/y; ls -d /usr/share/doc; ls /data/deep/inside");
	}
	says(o, "in the file\nin the file\nin the file\nin the file\n");
	says(o, "'/models/x': Read-only");
	says(o, "'/usr/share/hythe-test/y': Read-only");
	says(o, "/usr/share/doc\n");
	says(o, "written");
	snprintf(script, sizeof(script), "%s/written", folder);
	assert_int_equal(stat(script, &st), 0);
	assert_int_equal(stat("/usr/share/hythe-test", &st), -1);
	assert_int_equal(stat("/models", &st), -1);
	enclosure_free(p.enclosure);
}

static void a_volume_that_can_not_be_had_is_named(void **state)
{
	struct mount_wanted gone = { SPAN("/no/such/folder"), SPAN("/data"), false };
	struct mount_wanted file = { SPAN("/etc/passwd"), SPAN("/usr"), false };
	struct container_config c = plain();
	struct pod p = { 0 };

	(void)state;
	pod_start(&p, "a");
	c.mounts = &gone;
	c.mount_count = 1;
	refuses(run_in(&p, &c, "true"), ERROR_NOT_FOUND,
		"cannot mount the volume '/data': cannot open '/no/such/folder'");
	c.mounts = &file;
	refuses(run_in(&p, &c, "true"), ERROR_INVALID, "a file cannot be mounted over a folder");
	enclosure_free(p.enclosure);
}

static void memory_volumes_are_the_pods(void **state)
{
	struct container_config c = plain();
	char folder[160], inside[200];
	struct sandbox_tmpfs tmpfs = { .bytes = 1 << 20, .mode = 0777 };
	struct mount_wanted mount = { .container_path = SPAN("/cache") };
	struct pod p = { .config = { .tmpfs = &tmpfs, .tmpfs_count = 1 } };
	struct stat st;

	(void)state;
	if (!is_possible)
		skip();
	snprintf(folder, sizeof(folder), "%s/data/a/memory", top);
	assert_true(mkdir(folder, 0755) == 0 || errno == EEXIST);
	tmpfs.host_path = mount.host_path = span_of(folder);
	pod_start(&p, "a");
	c.mounts = &mount;
	c.mount_count = 1;
	says(
	    run_in(&p, &c,
		   "echo words > /cache/w; head -c 2m /dev/zero > /cache/large; rm /cache/large; stat -f -c %T /cache"),
	    "No space left on device\ntmpfs");
	says(run_in(&p, &c, "cat /cache/w"), "words");
	snprintf(inside, sizeof(inside), "%s/w", folder);
	assert_int_equal(stat(inside, &st), -1);
	enclosure_free(p.enclosure);
}

static void a_writable_root_takes_what_is_written_away_again(void **state)
{
	struct container_config c = plain();
	struct pod p = { 0 };
	struct stat st;

	(void)state;
	pod_start(&p, "a");
	c.security.is_root_writable = true;
	says(run_in(&p, &c, "echo hi > /hythe-test-new && cat /hythe-test-new"), "hi");
	if (geteuid() == 0)
		says(run_in(&p, &c,
			    "echo hi > /usr/hythe-test-new && cat /usr/hythe-test-new; rm /etc/passwd && echo removed"),
		     "hi\nremoved");
	else
		assert_non_null(memmem(enclosure_shortcomings(p.enclosure).ptr, enclosure_shortcomings(p.enclosure).len,
				       "writable root", 13));
	assert_int_equal(stat("/hythe-test-new", &st), -1);
	assert_int_equal(stat("/usr/hythe-test-new", &st), -1);
	assert_int_equal(stat("/etc/passwd", &st), 0);
	enclosure_free(p.enclosure);
}

static void this_program_is_on_the_path(void **state)
{
	struct pod p = { 0 };

	(void)state;
	pod_start(&p, "a");
	says(run(&p, "command -v hythe; echo $PATH; echo $HOSTNAME"),
	     "/run/hythe/bin/hythe\n" CONFINE_PATH "\npodhost\n");
	enclosure_free(p.enclosure);
}

/* ---- users and rights ---- */

static void a_container_is_root_inside_and_no_more(void **state)
{
	struct pod p = { 0 };
	const struct outcome *o;

	(void)state;
	pod_start(&p, "a");
	o = run(&p, "id -u; grep -E '^(Cap|NoNew|Seccomp:)' /proc/self/status");
	assert_string_equal(o->text,
			    "0\nCapInh:\t0000000000000000\nCapPrm:\t00000000a80425fb\nCapEff:\t00000000a80425fb\n"
			    "CapBnd:\t00000000a80425fb\nCapAmb:\t0000000000000000\nNoNewPrivs:\t1\nSeccomp:\t2\n");
	enclosure_free(p.enclosure);
}

static void a_user_that_was_asked_for_has_no_capabilities(void **state)
{
	static const int64_t groups[] = { 3000, 4000 };
	struct container_config c = plain();
	struct pod p = { 0 };

	(void)state;
	pod_start(&p, "a");
	c.security.user = 1234;
	c.security.group = 2345;
	c.security.groups = groups;
	c.security.group_count = 2;
	says(run_in(&p, &c, "id -u; id -g; grep -E 'Cap(Eff|Prm|Amb)' /proc/self/status"),
	     "1234\n2345\nCapPrm:\t0000000000000000\nCapEff:\t0000000000000000\nCapAmb:\t0000000000000000\n");
	if (geteuid() == 0)
		says(run_in(&p, &c, "grep Groups /proc/self/status"), "Groups:\t3000 4000");
	else
		assert_non_null(memmem(enclosure_shortcomings(p.enclosure).ptr, enclosure_shortcomings(p.enclosure).len,
				       "supplemental groups", 19));
	/* Another container of the pod has another user. */
	c.security.user = 77;
	says(run_in(&p, &c, "id -u"), "77\n");
	c.security.user = INT64_C(1) << 40;
	refuses(run_in(&p, &c, "true"), ERROR_INVALID, "out of range");
	enclosure_free(p.enclosure);
}

static void capabilities_are_added_and_dropped(void **state)
{
	struct span all = SPAN("ALL"), two[] = { SPAN("NET_BIND_SERVICE"), SPAN("CAP_SYS_TIME") }, wrong = SPAN("FLY");
	struct container_config c = plain();
	struct pod p = { 0 };

	(void)state;
	pod_start(&p, "a");
	c.security.capabilities_dropped = &all;
	c.security.dropped_count = 1;
	says(run_in(&p, &c, "grep -E 'Cap(Eff|Bnd)' /proc/self/status"),
	     "CapEff:\t0000000000000000\nCapBnd:\t0000000000000000\n");
	c.security.capabilities_added = two;
	c.security.added_count = 2;
	says(run_in(&p, &c, "grep -E 'Cap(Eff|Bnd)' /proc/self/status"),
	     "CapEff:\t0000000002000400\nCapBnd:\t0000000002000400\n");
	c.security.capabilities_added = &wrong;
	c.security.added_count = 1;
	refuses(run_in(&p, &c, "true"), ERROR_INVALID, "unknown capability \"FLY\"");
	enclosure_free(p.enclosure);
}

static void privileges_may_be_gained_where_allowed(void **state)
{
	struct container_config c = plain();
	struct pod p = { 0 };

	(void)state;
	pod_start(&p, "a");
	c.security.may_gain_privileges = true;
	says(run_in(&p, &c, "grep -E '^(NoNew|Seccomp:)' /proc/self/status"), "NoNewPrivs:\t0\nSeccomp:\t2\n");
	c.security.user = 1234;
	says(run_in(&p, &c, "grep -E '^(NoNew|Seccomp:)' /proc/self/status"), "NoNewPrivs:\t0\nSeccomp:\t2\n");
	enclosure_free(p.enclosure);
}

static void a_privileged_container_may_mount(void **state)
{
	struct container_config c = plain();
	struct pod p = { 0 };

	(void)state;
	pod_start(&p, "a");
	c.security.is_privileged = true;
	says(run_in(&p, &c, "mount -t tmpfs none /mnt && echo mounted; grep Seccomp: /proc/self/status"),
	     "mounted\nSeccomp:\t0");
	enclosure_free(p.enclosure);
}

static void a_profile_of_a_file_is_followed(void **state)
{
	char path[128], script[256];
	struct container_config c = plain();
	struct pod p = { 0 };

	(void)state;
	pod_start(&p, "a");
	snprintf(path, sizeof(path), "%s/profile.json", top);
	file_put(
	    path,
	    "{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"syscalls\":[{\"names\":[\"mkdir\",\"mkdirat\",\"no_such_call\"],"
	    "\"action\":\"SCMP_ACT_ERRNO\",\"errnoRet\":28}]}");
	c.security.seccomp = SECCOMP_FILE;
	c.security.seccomp_file = span_of(path);
	snprintf(script, sizeof(script), "mkdir /tmp/a; grep Seccomp: /proc/self/status");
	says(run_in(&p, &c, script), "mkdir: cannot create directory '/tmp/a': No space left on device\nSeccomp:\t2");
	file_put(path,
		 "{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"syscalls\":[{\"names\":[\"mkdir\"],\"action\":\"FORBID\"}]}");
	refuses(run_in(&p, &c, "true"), ERROR_INVALID, "profile.json: syscalls[0]: action 'FORBID' is not known");
	c.security.seccomp = SECCOMP_NONE;
	says(run_in(&p, &c, script), "Seccomp:\t0");
	enclosure_free(p.enclosure);
}

/* ---- namespaces ---- */

static void a_container_sees_its_own_processes_only(void **state)
{
	struct pod p = { 0 };

	(void)state;
	pod_start(&p, "a");
	says(run(&p, "echo $$; hostname; ls -d /proc/[0-9]* | wc -l"), "1\npodhost\n");
	says(run(&p, "cat /proc/net/dev | grep -c :"), "1\n");
	enclosure_free(p.enclosure);
}

static void processes_are_shared_where_asked_for(void **state)
{
	struct pod p = { .config = { .shares_processes = true } };
	struct container_config c = plain(), other = plain();
	struct error err = { 0 };
	struct confined *box;
	const struct outcome *o;

	(void)state;
	pod_start(&p, "a");
	box = begin(&p, &c, "SECRET=1 exec sleep 1000", -1, &err);
	assert_non_null(box);
	other.name = SPAN("other");
	o = run_in(&p, &other, "cat /proc/[0-9]*/cmdline | tr '\\0' ' '; cat /proc/1/environ; ls /proc/1/root/");
	says(o, "sleep 1000");
	says(o, "/proc/1/environ: Permission denied");
	says(o, "'/proc/1/root/': Permission denied");
	confined_free(box);
	enclosure_free(p.enclosure);
}

static void namespaces_of_the_machine_may_be_asked_for(void **state)
{
	struct pod p = { .config = { .is_network_host = true, .is_pid_host = true, .is_ipc_host = true } };
	char script[200], wanted[200], net[64] = "", ipc[64] = "";
	struct container_config c = plain();
	struct error err = { 0 };
	struct confined *box;
	int out[2];

	(void)state;
	pod_start(&p, "a");
	assert_true(readlink("/proc/self/ns/net", net, sizeof(net) - 1) > 0);
	assert_true(readlink("/proc/self/ns/ipc", ipc, sizeof(ipc) - 1) > 0);
	snprintf(script, sizeof(script),
		 "readlink /proc/self/ns/net /proc/self/ns/ipc; tr '\\0' ' ' < /proc/%d/cmdline", (int)getpid());
	snprintf(wanted, sizeof(wanted), "%s\n%s\n", net, ipc);
	says(run(&p, script), wanted);
	says(run(&p, script), program_invocation_short_name);
	/* Nothing of it is left, though no process namespace ends it. */
	assert_int_equal(pipe2(out, O_CLOEXEC), 0);
	box = begin(&p, &c, "(setsid sleep 87654 &); echo ready; exec sleep 87654", out[1], &err);
	assert_non_null(box);
	text_read(out[0], script, sizeof(script), "ready");
	close(out[0]);
	close(out[1]);
	confined_free(box);
	says_not(run(&p, "cat /proc/[0-9]*/cmdline | tr '\\0' ' ' | grep -o 'sleep 8765[4]'"), "sleep 87654");
	enclosure_free(p.enclosure);
}

static void two_pods_listen_on_one_port(void **state)
{
	struct sockaddr_in any = { .sin_family = AF_INET, .sin_port = htons(80) };
	struct pod a = { 0 }, b = { 0 };
	struct error err = { 0 };
	int fd[3];

	(void)state;
	pod_start(&a, "a");
	pod_start(&b, "b");
	fd[0] = enclosure_socket(a.enclosure, AF_INET, SOCK_STREAM, &err);
	fd[1] = enclosure_socket(b.enclosure, AF_INET, SOCK_STREAM, &err);
	fd[2] = enclosure_socket(a.enclosure, AF_INET, SOCK_STREAM, &err);
	assert_true(fd[0] >= 0 && fd[1] >= 0 && fd[2] >= 0);
	assert_int_equal(bind(fd[0], (struct sockaddr *)&any, sizeof(any)), 0);
	assert_int_equal(bind(fd[1], (struct sockaddr *)&any, sizeof(any)), 0);
	assert_int_equal(listen(fd[0], 8), 0);
	inet_pton(AF_INET, "127.97.0.5", &any.sin_addr);
	if (connect(fd[2], (struct sockaddr *)&any, sizeof(any)) < 0) {
		struct pollfd there = { .fd = fd[2], .events = POLLOUT };
		int why = 0;
		socklen_t size = sizeof(why);

		assert_int_equal(errno, EINPROGRESS);
		assert_int_equal(poll(&there, 1, WAIT_MOST_MS), 1);
		assert_int_equal(getsockopt(fd[2], SOL_SOCKET, SO_ERROR, &why, &size), 0);
		assert_int_equal(why, 0);
	}
	for (size_t i = 0; i < ARRAY_LEN(fd); i++)
		close(fd[i]);
	assert_int_equal(enclosure_socket(a.enclosure, 9999, SOCK_STREAM, &err), -1);
	enclosure_free(a.enclosure);
	enclosure_free(b.enclosure);
}

static void sysctls_are_set_when_they_are_safe(void **state)
{
	struct name_value safe = { SPAN("net.ipv4.tcp_fin_timeout"), SPAN("17") };
	struct name_value unsafe = { SPAN("kernel.msgmax"), SPAN("65536") };
	struct pod p = { .config = { .sysctls = &safe, .sysctl_count = 1 } };

	(void)state;
	pod_start(&p, "a");
	assert_string_equal(
	    run(&p, "cat /proc/sys/net/ipv4/tcp_fin_timeout /proc/sys/net/ipv4/ip_unprivileged_port_start")->text,
	    "17\n0\n");
	enclosure_free(p.enclosure);
	p.config.sysctls = &unsafe;
	assert_false(pod_try(&p, "a"));
	assert_int_equal(p.err.code, ERROR_INVALID);
	assert_string_equal(p.err.message, "forbidden sysctl: \"kernel.msgmax\" not allowlisted");
}

/* ---- landlock ---- */

static bool kernel_has_landlock(void)
{
	return syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION) >= 2;
}

/* What a container says whose standard input is the machine's "/": a way round its own. */
static const char *said_with_a_way_out(struct pod *p, struct container_config *c, const char *script)
{
	static char text[4096];
	struct span words[] = { SPAN("/bin/sh"), SPAN("-c"), span_of(script) };
	int out[2], outside = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct error err = { 0 };
	struct confined *box;

	assert_int_equal(pipe(out), 0);
	c->command = words;
	c->command_count = ARRAY_LEN(words);
	box = confined_new(p->enclosure, c, (int[3]){ outside, out[1], out[1] }, &err);
	close(out[1]);
	assert_true(box && confined_start(box, &err));
	text_read(out[0], text, sizeof(text), NULL);
	close(out[0]);
	close(outside);
	confined_free(box);
	return text;
}

static void a_folder_outside_is_refused_whichever_way_it_is_reached(void **state)
{
	static const char script[] =
	    "ls /proc/self/fd/0/proc | head -n 1; cat /proc/self/fd/0/etc/passwd | head -n 1; cd /tmp && mkdir a b && "
	    "touch a/x && mv a/x b/y && ls b; kill -0 $$ && echo alive > /dev/null && cat /proc/1/comm";
	struct container_config c = plain();
	struct pod p = { 0 };
	const char *said;

	(void)state;
	if (!kernel_has_landlock())
		skip();
	pod_start(&p, "a");
	for (int may_gain = 0; may_gain < 2; may_gain++) {
		c.security.may_gain_privileges = may_gain;
		said = said_with_a_way_out(&p, &c, script);
		assert_non_null(strstr(said, "ls: cannot open directory '/proc/self/fd/0/proc': Permission denied\n"));
		assert_non_null(strstr(said, "cat: /proc/self/fd/0/etc/passwd: Permission denied\ny\nsh\n"));
	}
	c.security.seccomp = SECCOMP_NONE; /* who asks for no filter gets no wall either */
	said = said_with_a_way_out(&p, &c, script);
	assert_null(strstr(said, "Permission denied"));
	assert_non_null(strstr(said, "root:"));
	enclosure_free(p.enclosure);
}

static void names_of_the_machines_sockets_are_refused(void **state)
{
	struct pod p = { .config = { .is_network_host = true } };
	struct sockaddr_un name = { .sun_family = AF_UNIX };
	int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	char script[512];
	int len;

	(void)state;
	if (syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION) < 6)
		skip();
	len = snprintf(name.sun_path + 1, sizeof(name.sun_path) - 1, "hythe-test-%d", (int)getpid());
	assert_int_equal(bind(listener, (struct sockaddr *)&name,
			      (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)len)),
			 0);
	assert_int_equal(listen(listener, 1), 0);
	pod_start(&p, "a");
	snprintf(script, sizeof(script), "python3 -c 'import socket; socket.socket(socket.AF_UNIX).connect(\"\\0%s\")'",
		 name.sun_path + 1);
	says(run(&p, script), "PermissionError: [Errno 1] Operation not permitted");
	enclosure_free(p.enclosure);
	close(listener);
}

/* ---- errors of commands ---- */

static void a_command_that_can_not_be_run_is_named(void **state)
{
	struct span words[] = { SPAN("/nope") };
	struct container_config c = plain();
	struct pod p = { 0 };

	(void)state;
	pod_start(&p, "a");
	c.command = words;
	c.command_count = 1;
	refuses(run_in(&p, &c, NULL), ERROR_NOT_FOUND, "exec: \"/nope\": stat /nope: no such file or directory");
	words[0] = SPAN("nope");
	refuses(run_in(&p, &c, NULL), ERROR_NOT_FOUND, "exec: \"nope\": executable file not found in $PATH");
	words[0] = SPAN("/etc/passwd");
	refuses(run_in(&p, &c, NULL), ERROR_FORBIDDEN, "exec: \"/etc/passwd\": permission denied");
	words[0] = SPAN("/usr");
	refuses(run_in(&p, &c, NULL), ERROR_FORBIDDEN, "exec: \"/usr\": is a directory");
	words[0] = SPAN("true");
	assert_int_equal(run_in(&p, &c, NULL)->status, 0);
	c.working_directory = SPAN("/not/there");
	refuses(run_in(&p, &c, NULL), ERROR_NOT_FOUND, "cannot go to the working directory '/not/there'");
	c.working_directory = SPAN("/usr");
	assert_string_equal(run_in(&p, &c, "pwd; exit 3")->text, "/usr\n");
	assert_int_equal(run_in(&p, &c, "kill -9 $$; exit 3")->status,
			 3); /* the first process is its namespace's init */
	enclosure_free(p.enclosure);
}

/* ---- all ---- */

static int run_here(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_machines_files_are_read_only),
		cmocka_unit_test(tmp_and_run_are_the_containers_own),
		cmocka_unit_test(devices_are_those_every_program_needs),
		cmocka_unit_test(the_data_folder_and_keys_are_hidden),
		cmocka_unit_test(volumes_are_mounted_where_no_folder_was),
		cmocka_unit_test(a_volume_that_can_not_be_had_is_named),
		cmocka_unit_test(memory_volumes_are_the_pods),
		cmocka_unit_test(a_writable_root_takes_what_is_written_away_again),
		cmocka_unit_test(this_program_is_on_the_path),
		cmocka_unit_test(a_container_is_root_inside_and_no_more),
		cmocka_unit_test(a_user_that_was_asked_for_has_no_capabilities),
		cmocka_unit_test(capabilities_are_added_and_dropped),
		cmocka_unit_test(privileges_may_be_gained_where_allowed),
		cmocka_unit_test(a_privileged_container_may_mount),
		cmocka_unit_test(a_profile_of_a_file_is_followed),
		cmocka_unit_test(a_container_sees_its_own_processes_only),
		cmocka_unit_test(processes_are_shared_where_asked_for),
		cmocka_unit_test(namespaces_of_the_machine_may_be_asked_for),
		cmocka_unit_test(two_pods_listen_on_one_port),
		cmocka_unit_test(sysctls_are_set_when_they_are_safe),
		cmocka_unit_test(a_folder_outside_is_refused_whichever_way_it_is_reached),
		cmocka_unit_test(names_of_the_machines_sockets_are_refused),
		cmocka_unit_test(a_command_that_can_not_be_run_is_named),
	};

	return cmocka_run_group_tests_name(geteuid() == 0 ? "confine, as root" : "confine, as an ordinary user", tests,
					   set_up, tear_down);
}

int main(int argc, char **argv)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	(void)argc;
	return tests_run(argv, run_here);
}
