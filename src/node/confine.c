/* SPDX-License-Identifier: Apache-2.0 */
#include "node/confine_private.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <poll.h>
#include <pwd.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "node/agent.h"
#include "node/confined.h"

/* Where the Python package is, seen from the folder of the program: in a build folder, and once installed. */
static const char *const python_folders[] = { "hosts/python", "../lib/hythe/python" };

/* ---- small tools ---- */

char *text_format(const char *format, ...)
{
	char *text = NULL;
	va_list args;

	va_start(args, format);
	ASSERT(vasprintf(&text, format, args) >= 0);
	va_end(args);
	return text;
}

bool file_write(const char *path, const char *text, struct error *err)
{
	AUTO_CLOSE int fd = open(path, O_WRONLY | O_CLOEXEC);
	size_t len = strlen(text);
	ssize_t n = fd < 0 ? -1 : write(fd, text, len);

	if (n < 0 || (size_t)n != len)
		return error_errno(err, errno, "cannot write '%.40s' to %s", text, path);
	return true;
}

ssize_t file_read(const char *path, char *ret, size_t capacity)
{
	AUTO_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, ret, capacity - 1);

	if (n >= 0)
		ret[n] = 0;
	return n;
}

pid_t process_clone(uint64_t flags, int signal, int group)
{
	struct clone_args args = { .flags = flags | (group >= 0 ? CLONE_INTO_CGROUP : 0),
				   .exit_signal = (uint64_t)signal,
				   .cgroup = group >= 0 ? (uint64_t)group : 0 };

	return (pid_t)syscall(SYS_clone3, &args, sizeof(args));
}

int process_open(pid_t pid)
{
	return (int)syscall(SYS_pidfd_open, pid, 0);
}

bool process_reap(int pidfd, bool may_wait)
{
	siginfo_t info = { 0 };
	int n;

	do
		n = waitid(P_PIDFD, (id_t)pidfd, &info, WEXITED | __WALL | (may_wait ? 0 : WNOHANG));
	while (n < 0 && errno == EINTR);
	return n == 0 && info.si_pid != 0;
}

void enclosure_add_shortcoming(struct enclosure *e, const char *text)
{
	if (e->shortcomings.len > 0 && memmem(e->shortcomings.ptr, e->shortcomings.len, text, strlen(text)))
		return;
	buffer_print(&e->shortcomings, "%s%s", e->shortcomings.len > 0 ? "; " : "", text);
}

struct span enclosure_shortcomings(const struct enclosure *e)
{
	return buffer_span(&e->shortcomings);
}

/* ---- questions of filters ---- */

void enclosure_add_questions(struct enclosure *e, int fd)
{
	if (e->question_count == ARRAY_LEN(e->questions)) {
		close(fd); /* then the kernel refuses what would be asked: ENOSYS */
		return;
	}
	e->questions[e->question_count++] = fd;
}

size_t enclosure_fds(struct enclosure *e, int *ret, size_t capacity)
{
	size_t count = MIN(e->question_count, capacity);

	memcpy(ret, e->questions, count * sizeof(*ret));
	return count;
}

void enclosure_answer_by(struct enclosure *e, bool (*answer)(void *context, int fd), void *context)
{
	e->answer = answer;
	e->answer_context = context;
	e->asks = answer && !e->is_network_host;
}

static void questions_end(struct enclosure *e, size_t i)
{
	close(e->questions[i]);
	e->questions[i] = e->questions[--e->question_count];
}

void enclosure_serve(struct enclosure *e, int fd)
{
	struct pollfd now = { .fd = fd, .events = POLLIN };
	size_t i = 0;

	while (i < e->question_count && e->questions[i] != fd)
		i++;
	if (i == e->question_count || poll(&now, 1, 0) <= 0)
		return;
	if (now.revents & (POLLHUP | POLLERR | POLLNVAL) || !e->answer || !e->answer(e->answer_context, fd))
		questions_end(e, i); /* all processes with that filter have ended */
}

/* ---- the enclosure ---- */

static char *python_folder(const char *program)
{
	const char *slash = strrchr(program, '/');

	for (size_t i = 0; slash && i < ARRAY_LEN(python_folders); i++) {
		char *folder = text_format("%.*s/%s", (int)(slash - program), program, python_folders[i]);
		AUTO_FREE char *module = text_format("%s/hythe/__init__.py", folder);

		if (access(module, R_OK) == 0)
			return folder;
		free(folder);
	}
	return NULL;
}

static char *program_path(const char *given)
{
	char path[4096];
	ssize_t n = given && *given ? -1 : readlink("/proc/self/exe", path, sizeof(path) - 1);

	if (n <= 0)
		return strdup(given ? given : "");
	path[n] = 0;
	return strdup(path);
}

/* By the file alone: name services would load libraries, and supervisors have no environment. */
static char *own_home(void)
{
	FILE *f = fopen("/etc/passwd", "re");
	char *home = NULL;

	for (struct passwd *p = f ? fgetpwent(f) : NULL; p && !home; p = fgetpwent(f)) {
		if (p->pw_uid == geteuid())
			home = strdup(p->pw_dir);
	}
	if (f)
		fclose(f);
	return home;
}

static bool folders_make(struct enclosure *e, struct error *err)
{
	AUTO_FREE char *sandbox = text_format("%s/sandbox", e->folder);

	if (!e->scratch)
		e->scratch = text_format("%s/root", sandbox);
	if (e->folder[0] != '/')
		return error_set(err, ERROR_INVALID, "the pod's folder '%s' is not an absolute path", e->folder);
	if ((mkdir(sandbox, 0700) < 0 && errno != EEXIST) ||
	    (!e->is_prepared && mkdir(e->scratch, 0700) < 0 && errno != EEXIST))
		return error_errno(err, errno, "cannot make %s", e->scratch);
	return true;
}

static char *group_path(const char *root, const struct sandbox_config *c)
{
	char quality[16] = "";

	for (size_t i = 0; i < c->quality.len && i < sizeof(quality) - 1; i++)
		quality[i] = (char)(c->quality.ptr[i] | 0x20);
	return text_format("%s/%s%spod%.*s", root, quality, *quality ? "/" : "", (int)c->uid.len, c->uid.ptr);
}

void enclosure_sweep(const struct confine_host *host, const struct sandbox_config *c)
{
	AUTO_FREE char *root = span_to_text(host->group_root);
	struct control_group left = { 0 };
	struct error none = { 0 };

	if (host->group_root.len == 0 || !groups_are_usable(root, &none))
		return;
	left.path = group_path(root, c);
	group_kill(&left);
	group_remove(&left);
}

static bool group_make(struct enclosure *e, const struct confine_host *host, const struct sandbox_config *c,
		       struct error *err)
{
	AUTO_FREE char *root = span_to_text(host->group_root);
	struct resources limits = c->resources;
	AUTO_FREE char *path = NULL;
	struct error why = { 0 };

	if (limits.processes_limit <= 0)
		limits.processes_limit = POD_PROCESSES_MOST;
	e->processes_most = limits.processes_limit;
	if (host->group_root.len == 0) {
		enclosure_add_shortcoming(e, "limits are not enforced: control groups are switched off");
		return true;
	}
	if (!groups_are_usable(root, &why)) {
		AUTO_FREE char *text = text_format("limits of CPU and memory are not enforced: %s", why.message);

		enclosure_add_shortcoming(e, text);
		return true;
	}
	path = group_path(root, c);
	return group_new(e, &e->group, path, &limits, err);
}

static bool enclosure_fill(struct enclosure *e, const struct confine_host *host, const struct sandbox_config *c,
			   struct error *err)
{
	e->hidden = span_to_text(host->hidden);
	e->program = program_path(host->program);
	e->python = python_folder(e->program);
	e->folder = span_to_text(c->folder);
	e->hostname = span_to_text(c->hostname);
	e->home = own_home();
	e->shares_processes = c->shares_processes;
	e->is_pid_host = c->is_pid_host;
	e->is_network_host = c->is_network_host;
	e->is_ipc_host = c->is_ipc_host;
	return sysctls_check(c, err) && folders_make(e, err) && (e->is_prepared || agent_start(e, c, err)) &&
	       group_make(e, host, c, err) && (e->is_prepared || agent_hold(e, err)) && agent_finish(e, c, err);
}

static struct enclosure *enclosure_empty(void)
{
	struct enclosure *e = base_calloc(1, sizeof(*e));

	e->channel = -1;
	for (size_t i = 0; i < ENCLOSURE_NAMESPACES; i++)
		e->namespaces[i] = -1;
	e->has_users = geteuid() != 0;
	buffer_init(&e->shortcomings, KIB(4));
	return e;
}

struct enclosure *enclosure_prepare(struct span scratch)
{
	const struct sandbox_config unknown = { 0 };
	struct enclosure *e = enclosure_empty();
	struct error ignored = { 0 };

	e->is_prepared = true;
	e->scratch = span_to_text(scratch);
	if (agent_start(e, &unknown, &ignored) && agent_hold(e, &ignored))
		return e;
	enclosure_free(e);
	return NULL;
}

/* What is the machine's, or asked for in ways of its own, is made with the namespaces. */
static bool fits(const struct enclosure *prepared, const struct sandbox_config *c)
{
	return prepared && !c->is_network_host && !c->is_pid_host && !c->is_ipc_host && c->sysctl_count == 0 &&
	       c->tmpfs_count == 0;
}

struct enclosure *enclosure_new_of(struct enclosure *prepared, const struct confine_host *host,
				   const struct sandbox_config *c, struct error *err)
{
	bool is_fit = fits(prepared, c);
	struct enclosure *e = is_fit ? prepared : enclosure_empty();

	if (!is_fit)
		enclosure_free(prepared);
	if (enclosure_fill(e, host, c, err))
		return e;
	enclosure_free(e);
	return NULL;
}

struct enclosure *enclosure_new(const struct confine_host *host, const struct sandbox_config *c, struct error *err)
{
	return enclosure_new_of(NULL, host, c, err);
}

void enclosure_free(struct enclosure *e)
{
	if (!e)
		return;
	if (e->agent > 0)
		kill(e->agent,
		     SIGKILL); /* with the namespace's first process all of it goes; it is ours and not yet reaped */
	while (e->containers)
		confined_free(e->containers);
	while (e->question_count > 0)
		questions_end(e, e->question_count - 1);
	execs_end(e);
	if (e->agent > 0)
		waitpid(e->agent, NULL, __WALL);
	group_kill(&e->group);
	group_remove(&e->group);
	for (size_t i = 0; i < ENCLOSURE_NAMESPACES; i++) {
		if (e->namespaces[i] >= 0)
			close(e->namespaces[i]);
	}
	if (e->channel >= 0)
		close(e->channel);
	if (e->scratch && !e->is_prepared)
		(void)rmdir(e->scratch); /* a mount point; left behind when the folder goes first */
	buffer_done(&e->shortcomings);
	free(e->hidden);
	free(e->program);
	free(e->python);
	free(e->folder);
	free(e->scratch);
	free(e->hostname);
	free(e->home);
	free(e);
}

int enclosure_network(const struct enclosure *e)
{
	return e->namespaces[NAMESPACE_NETWORK];
}

int enclosure_end_watch(const struct enclosure *e)
{
	return process_open(e->agent);
}

bool enclosure_usage(struct enclosure *e, int64_t *ret_cpu_ns, int64_t *ret_memory, int64_t *ret_processes)
{
	int64_t cpu_ns, memory, processes;

	if (group_usage(&e->group, ret_cpu_ns, ret_memory, ret_processes))
		return true;
	*ret_cpu_ns = *ret_memory = *ret_processes = 0;
	for (struct confined *c = e->containers; c; c = c->next) {
		if (!confined_usage(c, &cpu_ns, &memory, &processes))
			continue;
		*ret_cpu_ns += cpu_ns;
		*ret_memory += memory;
		*ret_processes += processes;
	}
	return true;
}
