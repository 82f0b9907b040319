/* SPDX-License-Identifier: Apache-2.0 */
#include "node/confine_kit.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define ORDINARY_USER 12345

char top[64], group_root[40];
bool is_possible;

/* ---- tools ---- */

void file_put(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	close(fd);
}

bool pod_try(struct pod *p, const char *name)
{
	snprintf(p->folder, sizeof(p->folder), "%s/data/%s", top, name);
	snprintf(p->data, sizeof(p->data), "%s/data", top);
	snprintf(group_root, sizeof(group_root), "/hythe-test-%d", (int)getpid());
	(void)mkdir(p->folder, 0755);
	p->host = (struct confine_host){ .hidden = span_of(p->data),
					 .group_root = span_of(group_root),
					 .egress = SPAN("none") };
	p->config.uid = span_of(strrchr(p->folder, '/') + 1);
	p->config.folder = span_of(p->folder);
	p->config.quality = SPAN("Burstable");
	if (p->config.hostname.len == 0)
		p->config.hostname = SPAN("podhost");
	p->config.address = SPAN("127.97.0.5");
	p->enclosure = enclosure_new(&p->host, &p->config, &p->err);
	return p->enclosure != NULL;
}

void pod_start(struct pod *p, const char *name)
{
	if (!is_possible)
		skip();
	if (!pod_try(p, name))
		fail_msg("%s", p->err.message);
}

bool has_groups(const struct pod *p)
{
	struct span words = enclosure_shortcomings(p->enclosure);

	return !words.len || !memmem(words.ptr, words.len, "not enforced", 12);
}

struct container_config plain(void)
{
	return (struct container_config){ .name = SPAN("main"), .security = { .user = -1, .group = -1 } };
}

struct confined *begin(struct pod *p, struct container_config *c, const char *script, int out, struct error *err)
{
	static struct span command[3];
	int stdio[3] = { -1, out, out };
	struct confined *box;

	if (script) {
		command[0] = SPAN("/bin/sh");
		command[1] = SPAN("-c");
		command[2] = span_of(script);
		c->command = command;
		c->command_count = 3;
	}
	box = confined_new(p->enclosure, c, stdio, err);
	if (box && !confined_start(box, err)) {
		confined_free(box);
		return NULL;
	}
	return box;
}

/* Reads until all writers have ended, or (marks) until the text has a mark. */
void text_read(int fd, char *text, size_t capacity, const char *mark)
{
	size_t len = 0;

	text[0] = 0;
	for (;;) {
		struct pollfd ready = { .fd = fd, .events = POLLIN };
		ssize_t n;

		if (poll(&ready, 1, WAIT_MOST_MS) != 1)
			fail_msg("nothing was said in %d ms; before: %s", WAIT_MOST_MS, text);
		n = read(fd, text + len, capacity - 1 - len);
		assert_true(n >= 0);
		if (n == 0)
			return;
		len += (size_t)n;
		text[len] = 0;
		if (mark && strstr(text, mark))
			return;
		assert_true(len < capacity - 1);
	}
}

int status_of(pid_t pid)
{
	int status = 0;

	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

const struct outcome *run_in(struct pod *p, struct container_config *c, const char *script)
{
	static struct outcome o;
	struct confined *box;
	int pipes[2];

	memset(&o, 0, sizeof(o));
	assert_int_equal(pipe2(pipes, O_CLOEXEC), 0);
	box = begin(p, c, script, pipes[1], &o.err);
	close(pipes[1]);
	if (box) {
		text_read(pipes[0], o.text, sizeof(o.text), NULL);
		o.status = status_of(confined_pid(box));
		o.was_out_of_memory = confined_was_out_of_memory(box);
		confined_free(box);
	} else {
		o.status = -1;
	}
	close(pipes[0]);
	return &o;
}

const struct outcome *run(struct pod *p, const char *script)
{
	struct container_config c = plain();

	return run_in(p, &c, script);
}

void says(const struct outcome *o, const char *text)
{
	if (!strstr(o->text, text))
		fail_msg("'%s' is not in: %s%s", text, o->text, o->err.message);
}

void says_not(const struct outcome *o, const char *text)
{
	if (strstr(o->text, text))
		fail_msg("'%s' is in: %s", text, o->text);
}

void refuses(const struct outcome *o, enum error_code code, const char *words)
{
	if (o->status != -1 || o->err.code != code || !strstr(o->err.message, words))
		fail_msg("wanted %s '%s', got status %d, %s '%s'", error_name(code), words, o->status,
			 error_name(o->err.code), o->err.message);
}

/* ---- all ---- */

int set_up(void **state)
{
	static const char *const folders[] = { "data" };
	struct pod p = { 0 };

	(void)state;
	snprintf(top, sizeof(top), "/tmp/hythe-confine-XXXXXX");
	assert_non_null(mkdtemp(top));
	assert_int_equal(chmod(top, 0755), 0);
	for (size_t i = 0; i < ARRAY_LEN(folders); i++) {
		char path[128];

		snprintf(path, sizeof(path), "%s/%s", top, folders[i]);
		assert_int_equal(mkdir(path, 0755), 0);
	}
	is_possible = pod_try(&p, "a");
	if (!is_possible)
		print_message("skipped, as this machine lets %s have no namespaces: %s\n",
			      geteuid() == 0 ? "root" : "ordinary users", p.err.message);
	enclosure_free(p.enclosure);
	return 0;
}

int tear_down(void **state)
{
	char command[1024];

	(void)state;
	snprintf(command, sizeof(command),
		 "rm -rf %s; rmdir /sys/fs/cgroup/*%s/burstable /sys/fs/cgroup/*%s /sys/fs/cgroup%s/burstable "
		 "/sys/fs/cgroup%s 2>/dev/null",
		 top, group_root, group_root, group_root, group_root);
	return system(command) == -1;
}

/* This program anew as somebody who owns nothing: its folder need not be open to them, the link is followed anyway. */
static int run_as_ordinary_user(char **argv)
{
	pid_t pid = fork();
	int status = 0;

	if (pid == 0) {
		if (setgroups(0, NULL) < 0 || setresgid(ORDINARY_USER, ORDINARY_USER, ORDINARY_USER) < 0 ||
		    setresuid(ORDINARY_USER, ORDINARY_USER, ORDINARY_USER) < 0)
			_exit(1);
		setenv("HOME", "/nonexistent", 1);
		execv("/proc/self/exe", argv);
		_exit(1);
	}
	return pid < 0 || waitpid(pid, &status, 0) != pid || !WIFEXITED(status) ? 1 : WEXITSTATUS(status);
}

int tests_run(char **argv, int (*here)(void))
{
	int failed = here();

	return geteuid() == 0 ? failed + run_as_ordinary_user(argv) : failed;
}
