/* SPDX-License-Identifier: Apache-2.0 */
/* cni_test - plugins that are shell scripts, which write down what they are given; and Debian's own in network namespaces, where they are. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "node/cni.h"
#include "wire/value.h"

#define DEBIAN_PLUGINS "/usr/lib/cni"

/* Notes each call below the test's folder, and says what the file `say` next to it does. */
#define RECORDER                                                                                                       \
	"#!/bin/sh\n"                                                                                                  \
	"here=$(dirname \"$0\")\n"                                                                                     \
	"name=$(basename \"$0\")\n"                                                                                    \
	"echo \"$CNI_COMMAND $name $CNI_IFNAME $CNI_NETNS\" >> $here/calls\n"                                          \
	"echo \"$CNI_CONTAINERID\" >> $here/ids\n"                                                                     \
	"echo \"$CNI_ARGS $CNI_PATH\" > $here/arguments\n"                                                             \
	"cat > $here/$name.$CNI_COMMAND.in\n"                                                                          \
	"[ -e $here/$name.sh ] && . $here/$name.sh\n"                                                                  \
	"[ $CNI_COMMAND = ADD ] && echo '{\"cniVersion\":\"1.0.0\",\"ips\":[{\"address\":\"fd00::2/64\"},"             \
	"{\"address\":\"10.9.8.7/24\"}],\"by\":\"'$name'\"}'\n"                                                        \
	"exit 0\n"

struct fixture {
	char folder[64], networks[80], programs[80];
	struct cni_place place;
	struct cni_pod pod;
	int sandbox;
	struct error err;
	char address[CNI_ADDRESS_MAX];
};

static void file_make(const char *folder, const char *name, const char *text, mode_t mode)
{
	char path[200];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	f = fopen(path, "w");
	assert_non_null(f);
	fputs(text, f);
	fclose(f);
	assert_int_equal(chmod(path, mode), 0);
}

static const char *file_text(const char *folder, const char *name)
{
	static char text[4][8192];
	static unsigned next;
	char path[200], *to = text[next++ % 4];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	f = fopen(path, "r");
	to[f ? fread(to, 1, sizeof(text[0]) - 1, f) : 0] = '\0';
	if (f)
		fclose(f);
	return to;
}

static int setup(void **state)
{
	struct fixture *f = base_calloc(1, sizeof(*f));

	snprintf(f->folder, sizeof(f->folder), "/tmp/hythe-cni-XXXXXX");
	assert_non_null(mkdtemp(f->folder));
	snprintf(f->networks, sizeof(f->networks), "%s/net.d", f->folder);
	snprintf(f->programs, sizeof(f->programs), "%s/bin", f->folder);
	assert_int_equal(mkdir(f->networks, 0755), 0);
	assert_int_equal(mkdir(f->programs, 0755), 0);
	file_make(f->programs, "one", RECORDER, 0755);
	file_make(f->programs, "two", RECORDER, 0755);
	file_make(f->networks, "10-net.conflist",
		  "{\"cniVersion\":\"1.0.0\",\"name\":\"pods\",\"plugins\":[{\"type\":\"one\",\"mtu\":1400},"
		  "{\"type\":\"two\"}]}",
		  0644);
	f->place = (struct cni_place){ f->networks, f->programs, 20 * NS_PER_S };
	f->pod = (struct cni_pod){ SPAN("uid-1"), SPAN("default"), SPAN("web") };
	f->sandbox = open(f->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	char command[100];

	close(f->sandbox);
	snprintf(command, sizeof(command), "rm -rf %s", f->folder);
	assert_int_equal(system(command), 0);
	free(f);
	return 0;
}

static void needs_root(void)
{
	if (geteuid() != 0)
		skip();
}

static bool add(struct fixture *f)
{
	f->err = (struct error){ 0 };
	return cni_add(&f->place, &f->pod, "/proc/1/fd/9", f->sandbox, f->address, &f->err);
}

static void plugins_run_in_order_and_end_in_reverse_order(void **state)
{
	struct fixture *f = *state;
	const char *ids;

	needs_root();
	if (!add(f))
		fail_msg("%s", f->err.message);
	assert_string_equal(f->address, "10.9.8.7");
	assert_non_null(strstr(file_text(f->folder, CNI_RECORD), "\"by\":\"two\""));
	assert_true(cni_delete(&f->place, "", f->sandbox, &f->err));
	assert_string_equal(file_text(f->programs, "calls"),
			    "ADD one eth0 /proc/1/fd/9\nADD two eth0 /proc/1/fd/9\nDEL two eth0 \nDEL one eth0 \n");
	assert_int_equal(faccessat(f->sandbox, CNI_RECORD, F_OK, 0), -1);
	ids = file_text(f->programs, "ids");
	assert_int_equal(strncmp(ids, "uid-1-", 6), 0);
	assert_int_equal(strlen(ids), 4 * strlen("uid-1-0123456789abcdef\n"));
	assert_memory_equal(ids, ids + strlen("uid-1-0123456789abcdef\n"), strlen("uid-1-0123456789abcdef\n"));
	assert_non_null(
	    strstr(file_text(f->programs, "arguments"), "IgnoreUnknown=1;K8S_POD_NAMESPACE=default;K8S_POD_NAME=web;"));
	assert_non_null(strstr(file_text(f->programs, "arguments"), ";K8S_POD_UID=uid-1 "));
}

static void each_plugin_is_given_its_part_and_the_result_before(void **state)
{
	struct fixture *f = *state;

	needs_root();
	assert_true(add(f));
	assert_string_equal(file_text(f->programs, "one.ADD.in"),
			    "{\"type\":\"one\",\"mtu\":1400,\"cniVersion\":\"1.0.0\",\"name\":\"pods\"}");
	assert_non_null(strstr(file_text(f->programs, "two.ADD.in"), "\"prevResult\":{"));
	assert_non_null(strstr(file_text(f->programs, "two.ADD.in"), "\"by\":\"one\""));
	/* What was asked for is undone, and not what the file says now. */
	file_make(f->networks, "10-net.conflist", "{}", 0644);
	assert_true(cni_delete(&f->place, "", f->sandbox, &f->err));
	assert_non_null(strstr(file_text(f->programs, "one.DEL.in"), "\"mtu\":1400"));
	assert_non_null(strstr(file_text(f->programs, "one.DEL.in"), "\"by\":\"two\""));
}

static void the_first_file_by_name_counts(void **state)
{
	struct fixture *f = *state;

	needs_root();
	file_make(f->networks, "00-ignored.json", "{}", 0644);
	file_make(f->networks, "05-one.conf", "{\"cniVersion\":\"0.4.0\",\"name\":\"single\",\"type\":\"two\"}", 0644);
	assert_true(add(f));
	assert_string_equal(file_text(f->programs, "calls"), "ADD two eth0 /proc/1/fd/9\n");
	assert_non_null(strstr(file_text(f->programs, "two.ADD.in"), "\"name\":\"single\""));
}

static void a_plugin_that_fails_is_told_in_its_words_and_undone(void **state)
{
	struct fixture *f = *state;

	needs_root();
	file_make(f->programs, "two.sh",
		  "[ $CNI_COMMAND = ADD ] && { echo '{\"code\":11,\"msg\":\"no address is left\",\"details\":\"of "
		  "10.9.8.0/24\"}'; exit 1; }\n",
		  0644);
	assert_false(add(f));
	assert_int_equal(f->err.code, ERROR_UNAVAILABLE);
	assert_string_equal(f->err.message,
			    "plugin type=\"two\" failed (add): no address is left; of 10.9.8.0/24 (code 11)");
	assert_string_equal(file_text(f->programs, "calls"),
			    "ADD one eth0 /proc/1/fd/9\nADD two eth0 /proc/1/fd/9\nDEL two eth0 /proc/1/fd/9\nDEL one "
			    "eth0 /proc/1/fd/9\n");
	assert_int_equal(faccessat(f->sandbox, CNI_RECORD, F_OK, 0), -1);
}

static void what_could_not_be_undone_stays_on_record(void **state)
{
	struct fixture *f = *state;

	needs_root();
	assert_true(add(f));
	file_make(f->programs, "two.sh", "[ $CNI_COMMAND = DEL ] && exit 3\n", 0644);
	assert_false(cni_delete(&f->place, "", f->sandbox, &f->err));
	assert_string_equal(f->err.message,
			    "plugin type=\"two\" failed (delete): it ended with code 3 and said nothing of an error");
	assert_non_null(strstr(file_text(f->programs, "calls"), "DEL one"));
	assert_int_equal(faccessat(f->sandbox, CNI_RECORD, F_OK, 0), 0);
	file_make(f->programs, "two.sh", "", 0644);
	assert_true(cni_delete(&f->place, "", f->sandbox, &f->err));
	assert_int_equal(faccessat(f->sandbox, CNI_RECORD, F_OK, 0), -1);
}

static bool is_empty(const char *folder)
{
	return rmdir(folder) == 0 && mkdir(folder, 0700) == 0;
}

static void what_a_sandbox_has_left_is_owed_until_it_is_given_back(void **state)
{
	struct fixture *f = *state;
	char owed[100];

	needs_root();
	assert_true(snprintf(owed, sizeof(owed), "%s/owed", f->folder) > 0);
	cni_sweep(&f->place, f->sandbox, owed); /* it has none */
	cni_sweep_owed(&f->place, owed);
	assert_int_equal(access(owed, F_OK), -1);
	assert_true(add(f));
	/* The plugin says when it has been asked, and fails. */
	file_make(f->programs, "two.sh", "[ $CNI_COMMAND = DEL ] && { echo > $here/asked; exit 3; }\n", 0644);
	cni_sweep(&f->place, f->sandbox, owed);
	assert_int_equal(faccessat(f->sandbox, CNI_RECORD, F_OK, 0), -1); /* the sandbox's folder may go */
	for (int tries = 0; !file_text(f->programs, "asked")[0] || !strstr(file_text(f->programs, "calls"), "DEL one");
	     tries++)
		assert_true(tries < 60000 && usleep(1000) == 0);
	assert_false(is_empty(owed));
	file_make(f->programs, "two.sh", "", 0644);
	cni_sweep_owed(&f->place, owed);
	for (int tries = 0; !is_empty(owed); tries++)
		assert_true(tries < 60000 && usleep(1000) == 0);
	assert_non_null(strstr(strstr(file_text(f->programs, "calls"), "DEL one"), "DEL two"));
}

static bool is_ended(const char *stat)
{
	FILE *file = fopen(stat, "r");
	char text[200] = "";

	if (!file)
		return true;
	(void)!fread(text, 1, sizeof(text) - 1, file);
	fclose(file);
	return !text[0] || strstr(text, ") Z");
}

static void a_plugin_that_hangs_is_killed_with_its_children(void **state)
{
	struct fixture *f = *state;
	int64_t patience = 200 * NS_PER_MS;
	char path[64];

	needs_root();
	file_make(f->programs, "one.sh", "[ $CNI_COMMAND = ADD ] && { sleep 1000 & echo $! > $here/child; wait; }\n",
		  0644);
	do { /* a machine that is busy may kill it before it has a child */
		f->place.timeout_ns = patience;
		patience *= 2;
		assert_false(add(f));
		assert_int_equal(f->err.code, ERROR_TIMEOUT);
	} while (!strchr(file_text(f->programs, "child"), '\n'));
	assert_string_equal(f->err.message, "plugin type=\"one\" failed (add): it took too long and was killed");
	/* Who reaps it is another; it runs no more. */
	snprintf(path, sizeof(path), "/proc/%.*s/stat", (int)strcspn(file_text(f->programs, "child"), "\n"),
		 file_text(f->programs, "child"));
	for (int tries = 0; !is_ended(path); tries++)
		assert_true(tries < 60000 && usleep(1000) == 0);
}

static void a_plugin_that_writes_without_end_is_stopped(void **state)
{
	struct fixture *f = *state;

	needs_root();
	file_make(f->programs, "one.sh", "[ $CNI_COMMAND = ADD ] && exec yes\n", 0644);
	assert_false(add(f));
	assert_int_equal(f->err.code, ERROR_TOO_LARGE);
}

static void what_a_file_may_not_say_is_refused(void **state)
{
	static const struct {
		const char *text, *message;
	} rows[] = {
		{ "[]", "it is not a JSON object" },
		{ "{\"name\":\"a\",\"plugins\":[{\"type\":\"b\"}]}",
		  "cniVersion '' is not spoken here: it is 0.3.0 to 1.1.0" },
		{ "{\"cniVersion\":\"9.0.0\",\"name\":\"a\",\"plugins\":[{\"type\":\"b\"}]}",
		  "cniVersion '9.0.0' is not spoken here: it is 0.3.0 to 1.1.0" },
		{ "{\"cniVersion\":\"1.0.0\",\"name\":\"../a\",\"plugins\":[{\"type\":\"b\"}]}",
		  "name '../a' is not a network's name" },
		{ "{\"cniVersion\":\"1.0.0\",\"name\":\"a\",\"plugins\":[]}", "plugins: there is none" },
		{ "{\"cniVersion\":\"1.0.0\",\"name\":\"a\",\"plugins\":[{\"type\":\"b\"},{\"type\":\"../../bin/"
		  "sh\"}]}",
		  "plugins[1].type is not a plugin's name" },
		{ "{\"cniVersion\":\"1.0.0\",\"name\":\"a\",\"plugins\":[7]}",
		  "plugins[0].type is not a plugin's name" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct error err = { 0 };
		struct cni_list list = { 0 };
		struct arena arena;

		arena_init(&arena, MIB(1));
		assert_false(cni_list_read(span_of(rows[i].text), true, &arena, &list, &err));
		assert_string_equal(err.message, rows[i].message);
		assert_null(list.plugins);
		arena_done(&arena);
	}
}

static void without_a_file_or_a_plugin_the_error_says_where(void **state)
{
	struct fixture *f = *state;
	char path[200], message[300];

	needs_root();
	snprintf(path, sizeof(path), "%s/two", f->programs);
	assert_int_equal(unlink(path), 0);
	assert_false(add(f));
	snprintf(message, sizeof(message), "the plugin 'two' is not in %s", f->programs);
	assert_string_equal(f->err.message, message);
	snprintf(path, sizeof(path), "%s/10-net.conflist", f->networks);
	assert_int_equal(unlink(path), 0);
	assert_false(add(f));
	assert_int_equal(f->err.code, ERROR_NOT_FOUND);
}

static void a_result_without_an_ipv4_address_is_an_error(void **state)
{
	struct error err = { 0 };
	char address[CNI_ADDRESS_MAX];
	struct arena arena;
	struct value v;

	(void)state;
	arena_init(&arena, MIB(1));
	assert_true(value_parse(SPAN("{\"ips\":[{\"address\":\"fd00::2/64\"},{},{\"address\":7},{\"address\":\"\"},"
				     "{\"address\":\"10.0.0.300/24\"}]}"),
				NULL, &arena, &v, &err));
	assert_false(cni_result_read(&v, address, &err));
	assert_string_equal(err.message, "the plugins' result has no IPv4 address");
	assert_false(cni_result_read(NULL, address, &err));
	arena_done(&arena);
}

static void an_ordinary_user_is_told_that_it_takes_root(void **state)
{
	struct fixture *f = *state;
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		if (geteuid() == 0 && setuid(65534) != 0)
			_exit(2);
		_exit(add(f) || f->err.code != ERROR_FORBIDDEN);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

/* ---- Debian's plugins ---- */

/* In namespaces of the test's own: what plugins do to "the machine" ends with them. 0: good, 77: can't be had here. */
static int with_real_plugins(struct fixture *f)
{
	char path[64], command[400];
	int machine, pod;

	if (geteuid() != 0 || access(DEBIAN_PLUGINS "/ptp", X_OK) != 0 || access("/usr/sbin/ip", X_OK) != 0 ||
	    unshare(CLONE_NEWNET) != 0)
		return 77;
	machine = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	if (unshare(CLONE_NEWNET) != 0)
		return 77;
	pod = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	if (setns(machine, CLONE_NEWNET) != 0)
		return 77;
	snprintf(command, sizeof(command),
		 "{\"cniVersion\":\"1.0.0\",\"name\":\"pods\",\"plugins\":[{\"type\":\"ptp\",\"ipam\":{\"type\":\"host-"
		 "local\","
		 "\"dataDir\":\"%s\",\"ranges\":[[{\"subnet\":\"10.99.3.0/24\"}]]}},{\"type\":\"loopback\"}]}",
		 f->folder);
	file_make(f->networks, "10-net.conflist", command, 0644);
	f->place.programs = DEBIAN_PLUGINS;
	snprintf(path, sizeof(path), "/proc/%d/fd/%d", (int)getpid(), pod);
	if (!cni_add(&f->place, &f->pod, path, f->sandbox, f->address, &f->err)) {
		fprintf(stderr, "%s\n", f->err.message);
		return 1;
	}
	snprintf(command, sizeof(command), "%s/pods/%s", f->folder, f->address);
	if (strncmp(f->address, "10.99.3.", 8) != 0 || access(command, F_OK) != 0)
		return 2;
	if (setns(pod, CLONE_NEWNET) != 0 || system("ip -4 addr show dev eth0 | grep -q 'inet 10.99.3.'") != 0)
		return 3;
	if (setns(machine, CLONE_NEWNET) != 0 || !cni_delete(&f->place, path, f->sandbox, &f->err)) {
		fprintf(stderr, "%s\n", f->err.message);
		return 4;
	}
	return access(command, F_OK) == 0 ? 5 : 0;
}

static void plugins_of_the_distribution_give_a_network_and_take_it_back(void **state)
{
	struct fixture *f = *state;
	int status;
	pid_t pid = fork();

	if (pid == 0)
		_exit(with_real_plugins(f));
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (WIFEXITED(status) && WEXITSTATUS(status) == 77)
		skip();
	assert_int_equal(status, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(plugins_run_in_order_and_end_in_reverse_order, setup, teardown),
		cmocka_unit_test_setup_teardown(each_plugin_is_given_its_part_and_the_result_before, setup, teardown),
		cmocka_unit_test_setup_teardown(the_first_file_by_name_counts, setup, teardown),
		cmocka_unit_test_setup_teardown(a_plugin_that_fails_is_told_in_its_words_and_undone, setup, teardown),
		cmocka_unit_test_setup_teardown(what_could_not_be_undone_stays_on_record, setup, teardown),
		cmocka_unit_test_setup_teardown(what_a_sandbox_has_left_is_owed_until_it_is_given_back, setup,
						teardown),
		cmocka_unit_test_setup_teardown(a_plugin_that_hangs_is_killed_with_its_children, setup, teardown),
		cmocka_unit_test_setup_teardown(a_plugin_that_writes_without_end_is_stopped, setup, teardown),
		cmocka_unit_test_setup_teardown(what_a_file_may_not_say_is_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(without_a_file_or_a_plugin_the_error_says_where, setup, teardown),
		cmocka_unit_test_setup_teardown(a_result_without_an_ipv4_address_is_an_error, setup, teardown),
		cmocka_unit_test_setup_teardown(an_ordinary_user_is_told_that_it_takes_root, setup, teardown),
		cmocka_unit_test_setup_teardown(plugins_of_the_distribution_give_a_network_and_take_it_back, setup,
						teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
