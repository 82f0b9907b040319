/* SPDX-License-Identifier: Apache-2.0 */
#include "node/confined.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/capability.h>
#include <linux/sched.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/number.h"

/*
 * How a process comes into its place. The supervisor forks a guide, which joins the group and the agent's namespaces; the first process of
 * the container is forked from there as the supervisor's own child (CLONE_PARENT). A pid namespace of the container's own stands below
 * the agent's, so that it dies with the agent, whatever the container does to its own parent-death signal; for that a second guide is
 * needed, born in the agent's pid namespace. All of them talk over one channel: errors, and that the process is there. It is
 * close-on-exec: its end without a word is success.
 */

/* ---- copies ---- */

static char **texts_copy(const struct span *list, size_t count)
{
	char **texts = base_calloc(count + 1, sizeof(*texts));

	for (size_t i = 0; i < count; i++)
		texts[i] = span_to_text(list[i]);
	return texts;
}

static void texts_free(char **texts)
{
	for (size_t i = 0; texts && texts[i]; i++)
		free(texts[i]);
	free(texts);
}

static bool has_variable(const struct container_config *c, struct span name)
{
	for (size_t i = 0; i < c->environment_count; i++) {
		if (span_equal(c->environment[i].name, name))
			return true;
	}
	return false;
}

static char **environment_copy(const struct enclosure *e, const struct container_config *c)
{
	char **texts = base_calloc(c->environment_count + 6, sizeof(*texts));
	size_t n = 0;

	if (!has_variable(c, SPAN("PATH")))
		texts[n++] = strdup("PATH=" CONFINE_PATH);
	if (!has_variable(c, SPAN("HOSTNAME")) && e->hostname[0])
		texts[n++] = text_format("HOSTNAME=%s", e->hostname);
	if (!has_variable(c, SPAN("HOME")))
		texts[n++] = strdup(c->security.user > 0 ? "HOME=/" : "HOME=/root");
	if (!has_variable(c, SPAN("TERM")) && c->has_terminal)
		texts[n++] = strdup("TERM=xterm");
	if (!has_variable(c, SPAN("PYTHONPATH")) && e->python)
		texts[n++] = strdup("PYTHONPATH=/run/hythe/lib/hythe/python");
	for (size_t i = 0; i < c->environment_count; i++) {
		const struct name_value *v = &c->environment[i];

		texts[n++] = text_format("%.*s=%.*s", (int)v->name.len, v->name.ptr, (int)v->value.len, v->value.ptr);
	}
	return texts;
}

static struct security security_copy(const struct security *s)
{
	struct security copy = *s;
	int64_t *groups = base_calloc(s->group_count + 1, sizeof(*groups));

	if (s->group_count > 0)
		memcpy(groups, s->groups, s->group_count * sizeof(*groups));
	copy.groups = groups;
	/* Read by rights_check() and filter_new() already. */
	copy.capabilities_added = copy.capabilities_dropped = NULL;
	copy.added_count = copy.dropped_count = 0;
	copy.seccomp_file = (struct span){ NULL, 0 };
	return copy;
}

/* ---- inside: the first process ---- */

/* Neither a group lists its processes, nor does a pid namespace end with them. */
static bool is_known_by_mounts(const struct confined *c)
{
	return !c->group.path && (c->enclosure->shares_processes || c->enclosure->is_pid_host);
}

_Noreturn static void first_main(const struct confined *c, const struct container_config *config, char **argv,
				 const int stdio[3], int channel)
{
	struct message here = { .word = WORD_HERE };
	int mounts = is_known_by_mounts(c) ? open("/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC) : -1;
	struct error err = { 0 };

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	prctl(PR_SET_DUMPABLE, 0); /* nobody looks into the supervisor's memory by us */
	talk_send(channel, &here, mounts);
	if (mounts >= 0)
		close(mounts);
	command_oom_score_set(c->oom_score);
	if ((!config->has_terminal && !command_stdio_set(stdio, false, &err)) ||
	    !root_enter(c->enclosure, config, &c->group, &err) ||
	    (config->has_terminal && !command_terminal_take(c->security.user, channel, &err)))
		talk_fail(channel, &err);
	if (!command_await_go(channel))
		_exit(EXIT_START_ERROR);
	command_run(c, argv, false, channel);
}

/* ---- inside: the guides ---- */

/* Forks the process that stays, as a child of the supervisor's; returns in it. The guide ends here. */
static void stay(int group, int channel)
{
	struct error err = { 0 };
	pid_t pid = process_clone(CLONE_PARENT, 0, group);

	if (pid == 0)
		return;
	if (pid < 0) {
		error_errno(&err, errno, "cannot make the container's process");
		talk_fail(channel, &err);
	}
	_exit(0);
}

/* Forks the next guide, which is born in the pid namespace that was joined; returns in it. It says itself who it is, before the process
 * that stays can say anything. */
static void pass_on(int channel)
{
	struct message m = { .word = WORD_GUIDE };
	struct error err = { 0 };
	pid_t pid = process_clone(CLONE_PARENT, 0, -1);

	if (pid == 0) {
		talk_tell(channel, &m);
		return;
	}
	if (pid < 0) {
		error_errno(&err, errno, "cannot make the container's process");
		talk_fail(channel, &err);
	}
	_exit(0);
}

static void guide_first(const struct confined *c, int channel)
{
	const struct enclosure *e = c->enclosure;
	struct error err = { 0 };

	if (!group_join(&c->group, &err) || !enclosure_join(e, true, true, &err))
		talk_fail(channel, &err);
	if (!e->shares_processes && !e->is_pid_host) {
		pass_on(channel);
		if (unshare(CLONE_NEWPID) < 0) {
			error_errno(&err, errno, "cannot make a process namespace");
			talk_fail(channel, &err);
		}
	}
	if (unshare(CLONE_NEWNS | (c->group.path ? CLONE_NEWCGROUP : 0)) < 0) {
		error_errno(&err, errno, "cannot make a mount namespace");
		talk_fail(channel, &err);
	}
	stay(-1, channel);
}

/* The enclosure's first: what stands in its user namespace is not for the nested one's to enter. */
static void guide_exec(const struct confined *c, int channel)
{
	int flags =
	    CLONE_NEWNS | (c->enclosure->is_pid_host ? 0 : CLONE_NEWPID) | (c->group.path ? CLONE_NEWCGROUP : 0);
	struct error err = { 0 };

	if (!group_join(&c->group, &err) || !enclosure_join(c->enclosure, false, false, &err))
		talk_fail(channel, &err);
	if (setns(c->pidfd, flags) < 0 || (c->rights.is_nested && setns(c->pidfd, CLONE_NEWUSER) < 0)) {
		if (errno == ESRCH)
			error_set(&err, ERROR_UNAVAILABLE, "container '%s' does not run", c->name);
		else
			error_errno(&err, errno, "cannot join the container's namespaces");
		talk_fail(channel, &err);
	}
	stay(-1, channel);
}

/* ---- the supervisor's side ---- */

/* Reaps the guides and hears what became of the process. `ret_mounts`: what came with its word, the caller's to close; -1. */
static bool first_words(pid_t guide, int channel, pid_t *ret_pid, int *ret_mounts, struct error *err)
{
	struct heard h = { 0 };
	const struct message *m = &h.message;
	bool is_here = false;
	pid_t second = 0;

	while (talk_hear(channel, &h)) {
		if (m->word == WORD_GUIDE) {
			second = h.sender;
			continue;
		}
		is_here = m->word == WORD_HERE;
		break;
	}
	waitpid(guide, NULL, 0);
	if (second > 0)
		waitpid(second, NULL, 0);
	if (is_here) {
		*ret_pid = h.sender;
		*ret_mounts = h.passed;
		return true;
	}
	if (m->word == WORD_ERROR && m->err.code != ERROR_NONE) {
		*err = m->err;
		return false;
	}
	return error_set(err, ERROR_UNAVAILABLE, "the process ended before it was made: the sandbox has died");
}

/* Lowering one's score needs a right that even root may lack; then the score stays as it is. */
static void score_check(struct enclosure *e, int wanted)
{
	char text[32];
	int64_t own = 0;
	ssize_t n;

	if (wanted >= 0 || (!e->has_users && prctl(PR_CAPBSET_READ, CAP_SYS_RESOURCE) == 1))
		return;
	n = file_read("/proc/self/oom_score_adj", text, sizeof(text));
	if (n > 0 && number_parse_int64(span_trim(span_from(text, (size_t)n)), &own) && own > wanted)
		enclosure_add_shortcoming(
		    e, "pods are not kept from being chosen when memory runs out: CAP_SYS_RESOURCE is missing");
}

static bool confined_prepare(struct confined *c, const struct container_config *config, struct error *err)
{
	struct enclosure *e = c->enclosure;
	AUTO_FREE char *path = NULL;

	if (config->command_count == 0)
		return error_set(err, ERROR_INVALID, "no command");
	c->name = span_to_text(config->name);
	c->working_directory = config->working_directory.len ? span_to_text(config->working_directory) : strdup("/");
	c->environment = environment_copy(e, config);
	c->oom_score = config->oom_score;
	if (!rights_check(e, &config->security, &c->rights, err))
		return false;
	if (!filter_new(&config->security, c->rights.capabilities, e->asks, &c->filter, err))
		return false;
	c->security = security_copy(&config->security);
	score_check(e, c->oom_score);
	if (e->has_users && config->security.is_root_writable)
		enclosure_add_shortcoming(e, "of a writable root (readOnlyRootFilesystem: false) only \"/\" and /tmp "
					     "are: hythe runs as an ordinary user");
	if (!e->group.path)
		return true;
	path = text_format("%s/%s.%u", e->group.path, c->name, config->attempt);
	return group_new(e, &c->group, path, &config->resources, err);
}

struct confined *confined_new(struct enclosure *e, const struct container_config *config, const int stdio[3],
			      struct error *err)
{
	struct confined *c = base_calloc(1, sizeof(*c));
	char **argv = texts_copy(config->command, config->command_count);
	int pair[2] = { -1, -1 };
	bool is_good;
	pid_t guide;

	c->enclosure = e;
	c->pidfd = c->channel = c->terminal = c->mounts = -1;
	c->next = e->containers;
	e->containers = c;
	is_good = confined_prepare(c, config, err) && talk_make(pair, err);
	if (is_good) {
		guide = process_clone(0, SIGCHLD, -1);
		if (guide == 0) {
			close(pair[END_SUPERVISOR]);
			guide_first(c, pair[END_CONTAINER]);
			first_main(c, config, argv, stdio, pair[END_CONTAINER]);
		}
		close(pair[END_CONTAINER]);
		c->channel = pair[END_SUPERVISOR];
		is_good = guide > 0 ? first_words(guide, c->channel, &c->pid, &c->mounts, err)
				    : error_errno(err, errno, "cannot fork");
	}
	texts_free(argv);
	if (is_good) {
		c->pidfd = process_open(c->pid);
		return c;
	}
	confined_free(c);
	return NULL;
}

/* A descriptor that came with a word. */
static void passed_take(struct enclosure *e, const struct heard *h, int *ret_terminal)
{
	if (h->message.word == WORD_QUESTIONS)
		enclosure_add_questions(e, h->passed);
	else if (h->message.word == WORD_TERMINAL && *ret_terminal < 0)
		*ret_terminal = h->passed;
	else
		close(h->passed);
}

/* Says go and waits for the end of the channel, which exec closes. */
static bool channel_finish(struct enclosure *e, int *channel, bool says_go, int *ret_terminal, struct error *err)
{
	struct message go = { .word = WORD_GO };
	bool is_good = true;
	struct heard h;

	if (says_go)
		talk_tell(*channel, &go);
	while (talk_hear(*channel, &h)) {
		if (h.message.word == WORD_ERROR) {
			*err = h.message.err;
			is_good = false;
		}
		if (h.passed >= 0)
			passed_take(e, &h, ret_terminal);
	}
	close(*channel);
	*channel = -1;
	return is_good;
}

bool confined_start(struct confined *c, struct error *err)
{
	siginfo_t info;

	if (c->channel < 0)
		return error_set(err, ERROR_ALREADY_EXISTS, "container '%s' has begun", c->name);
	if (enclosure_settle(c->enclosure, err) && channel_finish(c->enclosure, &c->channel, true, &c->terminal, err))
		return true;
	if (c->channel >= 0)
		confined_signal(c, SIGKILL);
	/* Its end stays to be reaped by who waits for children. */
	(void)waitid(P_PIDFD, (id_t)c->pidfd, &info, WEXITED | WNOWAIT | __WALL);
	return false;
}

pid_t confined_pid(const struct confined *c)
{
	return c->pid;
}

int confined_terminal(struct confined *c)
{
	int terminal = c->terminal;

	c->terminal = -1;
	return terminal;
}

/* ---- exec ---- */

/* Those that have ended and were reaped are forgotten. */
static void execs_sweep(struct enclosure *e)
{
	for (struct exec_process **at = &e->execs; *at;) {
		struct exec_process *x = *at;
		siginfo_t info = { 0 };

		if (waitid(P_PIDFD, (id_t)x->pidfd, &info, WEXITED | WNOHANG | WNOWAIT | __WALL) < 0 &&
		    errno == ECHILD) {
			*at = x->next;
			close(x->pidfd);
			free(x);
		} else {
			at = &x->next;
		}
	}
}

static void execs_note(struct enclosure *e, pid_t pid)
{
	struct exec_process *x = base_calloc(1, sizeof(*x));

	execs_sweep(e);
	x->pidfd = process_open(pid);
	x->next = e->execs;
	e->execs = x;
}

void execs_end(struct enclosure *e)
{
	while (e->execs) {
		struct exec_process *x = e->execs;

		if (x->pidfd >= 0) {
			syscall(SYS_pidfd_send_signal, x->pidfd, SIGKILL, NULL, 0);
			process_reap(x->pidfd, true);
			close(x->pidfd);
		}
		e->execs = x->next;
		free(x);
	}
}

_Noreturn static void exec_main(const struct confined *c, char **argv, const int stdio[3], bool has_terminal,
				int channel)
{
	struct message here = { .word = WORD_HERE };
	struct error err = { 0 };

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	prctl(PR_SET_DUMPABLE, 0);
	talk_tell(channel, &here);
	command_oom_score_set(c->oom_score);
	if (has_terminal ? !command_terminal_take(c->security.user, channel, &err)
			 : !command_stdio_set(stdio, false, &err))
		talk_fail(channel, &err);
	command_run(c, argv, true, channel);
}

pid_t confined_exec(struct confined *c, const struct span *command, size_t count, const int stdio[3], int *ret_terminal,
		    struct error *err)
{
	char **argv;
	int pair[2], terminal = -1;
	pid_t guide, pid = -1;
	bool is_good;
	int none;

	if (count == 0) {
		error_set(err, ERROR_INVALID, "no command");
		return -1;
	}
	if (!talk_make(pair, err))
		return -1;
	argv = texts_copy(command, count);
	guide = process_clone(0, SIGCHLD, -1);
	if (guide == 0) {
		close(pair[END_SUPERVISOR]);
		guide_exec(c, pair[END_CONTAINER]);
		exec_main(c, argv, stdio, ret_terminal != NULL, pair[END_CONTAINER]);
	}
	texts_free(argv);
	close(pair[END_CONTAINER]);
	is_good = guide > 0 ? first_words(guide, pair[END_SUPERVISOR], &pid, &none, err)
			    : error_errno(err, errno, "cannot fork");
	if (is_good) {
		is_good = channel_finish(c->enclosure, &pair[END_SUPERVISOR], false, &terminal, err);
		if (!is_good)
			waitpid(pid, NULL, __WALL);
	} else {
		close(pair[END_SUPERVISOR]);
	}
	if (is_good)
		execs_note(c->enclosure, pid);
	if (is_good && ret_terminal)
		*ret_terminal = terminal;
	else if (terminal >= 0)
		close(terminal);
	return is_good ? pid : -1;
}

/* ---- signals, limits ---- */

/* Processes whose mount namespace is the container's. True: some were there. */
static bool kill_by_mounts(const struct confined *c)
{
	struct stat own, other;
	DIR *folder = fstat(c->mounts, &own) == 0 ? opendir("/proc") : NULL;
	bool found = false;

	for (struct dirent *d = folder ? readdir(folder) : NULL; d; d = readdir(folder)) {
		char path[64];
		int64_t pid = 0;

		if (!number_parse_int64(span_of(d->d_name), &pid))
			continue;
		(void)snprintf(path, sizeof(path), "/proc/%lld/ns/mnt", (long long)pid);
		if (stat(path, &other) == 0 && other.st_ino == own.st_ino) {
			found = true;
			kill((pid_t)pid, SIGKILL);
		}
	}
	if (folder)
		closedir(folder);
	return found;
}

/* With a pid namespace of its own the first one's end is everyone's. */
static void kill_all(const struct confined *c)
{
	if (c->pidfd >= 0)
		syscall(SYS_pidfd_send_signal, c->pidfd, SIGKILL, NULL, 0);
	if (c->group.path && (c->enclosure->shares_processes || c->enclosure->is_pid_host))
		group_kill(&c->group);
	for (int i = 0; c->mounts >= 0 && i < 1000 && kill_by_mounts(c); i++)
		poll(NULL, 0, 1);
}

bool confined_signal(struct confined *c, int signal)
{
	if (signal == SIGKILL) {
		kill_all(c);
		return true;
	}
	return c->pidfd >= 0 && syscall(SYS_pidfd_send_signal, c->pidfd, signal, NULL, 0) == 0;
}

bool confined_was_out_of_memory(struct confined *c)
{
	return group_is_out_of_memory(&c->group);
}

bool confined_update(struct confined *c, const struct resources *to, struct error *err)
{
	return group_update(c->enclosure, &c->group, to, err);
}

bool confined_usage(struct confined *c, int64_t *ret_cpu_ns, int64_t *ret_memory, int64_t *ret_processes)
{
	return group_usage(&c->group, ret_cpu_ns, ret_memory, ret_processes) ||
	       process_usage(c->pid, ret_cpu_ns, ret_memory, ret_processes);
}

void confined_free(struct confined *c)
{
	struct confined **at;

	if (!c)
		return;
	if (c->channel >= 0)
		close(c->channel);
	if (c->terminal >= 0)
		close(c->terminal);
	kill_all(c);
	if (c->pidfd >= 0) {
		struct pollfd end = { .fd = c->pidfd, .events = POLLIN };

		execs_sweep(c->enclosure);
		poll(&end, 1, 5000); /* it has ended, and all of its namespace with it */
		process_reap(c->pidfd, false);
		close(c->pidfd);
	}
	if (c->mounts >= 0)
		close(c->mounts);
	group_remove(&c->group);
	for (at = &c->enclosure->containers; *at && *at != c; at = &(*at)->next)
		;
	if (*at)
		*at = c->next;
	filter_free(c->filter);
	texts_free(c->environment);
	free((void *)c->security.groups);
	free(c->working_directory);
	free(c->name);
	free(c);
}
