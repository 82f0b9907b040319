/* SPDX-License-Identifier: Apache-2.0 */
#include "node/confined.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/major.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "node/landlock.h"

/* ---- the channel ---- */

/* `passed` -1: no descriptor goes along. */
void talk_send(int fd, const struct message *m, int passed)
{
	struct iovec bytes = { .iov_base = (void *)m, .iov_len = sizeof(*m) };
	union {
		char room[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control = { { 0 } };
	struct msghdr h = { .msg_iov = &bytes, .msg_iovlen = 1 };

	if (passed >= 0) {
		h.msg_control = &control;
		h.msg_controllen = sizeof(control);
		control.align.cmsg_level = SOL_SOCKET;
		control.align.cmsg_type = SCM_RIGHTS;
		control.align.cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(&control.align), &passed, sizeof(int));
	}
	(void)sendmsg(fd, &h, MSG_NOSIGNAL); /* the supervisor has gone: so will we */
}

void talk_tell(int fd, const struct message *m)
{
	talk_send(fd, m, -1);
}

_Noreturn void talk_fail(int fd, const struct error *err)
{
	struct message m = { .word = WORD_ERROR, .err = *err };

	talk_tell(fd, &m);
	_exit(err->code == ERROR_NOT_FOUND   ? EXIT_NOT_FOUND
	      : err->code == ERROR_FORBIDDEN ? EXIT_NOT_EXECUTABLE
					     : EXIT_START_ERROR);
}

/* The next message; false: the channel has ended. */
bool talk_hear(int fd, struct heard *ret)
{
	struct iovec bytes = { .iov_base = &ret->message, .iov_len = sizeof(ret->message) };
	union {
		char room[CMSG_SPACE(sizeof(struct ucred)) + CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control;
	struct msghdr m = {
		.msg_iov = &bytes, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control)
	};
	ssize_t n;

	ret->sender = 0;
	ret->passed = -1;
	/* ECONNRESET: the other end closed with what we said unread; what it said comes next. */
	do
		n = recvmsg(fd, &m, MSG_CMSG_CLOEXEC);
	while (n < 0 && (errno == EINTR || errno == ECONNRESET));
	for (struct cmsghdr *h = n > 0 ? CMSG_FIRSTHDR(&m) : NULL; h; h = CMSG_NXTHDR(&m, h)) {
		if (h->cmsg_level == SOL_SOCKET && h->cmsg_type == SCM_CREDENTIALS) {
			struct ucred from;

			memcpy(&from, CMSG_DATA(h), sizeof(from));
			ret->sender = from.pid;
		} else if (h->cmsg_level == SOL_SOCKET && h->cmsg_type == SCM_RIGHTS) {
			memcpy(&ret->passed, CMSG_DATA(h), sizeof(ret->passed));
		}
	}
	return n == sizeof(ret->message);
}

bool talk_make(int pair[2], struct error *err)
{
	int on = 1;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return error_errno(err, errno, "cannot make a socket pair");
	/* Before anything is sent: the kernel then tells the sender's pid as the receiver counts. */
	setsockopt(pair[END_SUPERVISOR], SOL_SOCKET, SO_PASSCRED, &on, sizeof(on));
	return true;
}

/* ---- inside: the command ---- */

static void signals_reset(void)
{
	sigset_t none;

	for (int i = 1; i < NSIG; i++) {
		struct sigaction plain = { .sa_handler = SIG_DFL };

		(void)sigaction(i, &plain, NULL); /* some can't be changed, and are as they should be */
	}
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

bool command_stdio_set(const int stdio[3], bool has_terminal, struct error *err)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC), moved[3];

	/* Out of the way first: one of them may be another's number. */
	for (int i = 0; i < 3; i++) {
		moved[i] = fcntl(stdio[i] >= 0 ? stdio[i] : null, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
		if (moved[i] < 0)
			return error_errno(err, errno, "cannot set the standard streams");
	}
	for (int i = 0; i < 3; i++) {
		if (dup2(moved[i], i) < 0)
			return error_errno(err, errno, "cannot set the standard streams");
	}
	close_range(3, ~0U, CLOSE_RANGE_CLOEXEC);
	setsid();
	if (has_terminal && ioctl(0, TIOCSCTTY, 0) < 0)
		return error_errno(err, errno, "cannot take the terminal");
	return true;
}

/* Whatever the container has put there: it is a master only when the device says so. */
static bool is_master(int fd)
{
	struct stat st;

	return fstat(fd, &st) == 0 && S_ISCHR(st.st_mode) && st.st_rdev == makedev(TTYAUX_MAJOR, 2);
}

static int master_open(struct error *err)
{
	static const char *const paths[] = { "/dev/pts/ptmx", "/dev/ptmx" }; /* the second of a machine's own /dev */
	int why = ENOENT;

	for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
		int fd = open(paths[i], O_RDWR | O_NOCTTY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);

		if (fd >= 0 && is_master(fd))
			return fd;
		if (i == 0)
			why = fd >= 0 ? ENODEV : errno;
		if (fd >= 0)
			close(fd);
	}
	error_errno(err, why, "cannot open a terminal: %s", paths[0]);
	return -1;
}

bool command_terminal_take(int64_t user, int channel, struct error *err)
{
	struct message terminal = { .word = WORD_TERMINAL };
	int master = master_open(err), slave = -1, locked = 0;

	if (master < 0)
		return false;
	if (ioctl(master, TIOCSPTLCK, &locked) == 0)
		slave = ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (slave < 0)
		return error_errno(err, errno, "cannot open a terminal");
	if (user > 0 && fchown(slave, (uid_t)user, (gid_t)-1) < 0)
		errno = 0; /* an ordinary user can't give it away: it is ours, and so is the container's user outside */
	talk_send(channel, &terminal, master);
	close(master);
	return command_stdio_set((int[]){ slave, slave, slave }, true, err);
}

/* The value of a variable, or NULL. */
static const char *variable(char *const *environment, const char *name)
{
	size_t len = strlen(name);
	const char *found = NULL;

	for (; *environment; environment++) {
		if (strncmp(*environment, name, len) == 0 && (*environment)[len] == '=')
			found = *environment + len + 1;
	}
	return found;
}

static bool program_check(const char *name, const char *path, struct error *err)
{
	char reason[128];
	struct stat st;

	if (stat(path, &st) < 0) {
		/* As Go says it, which people search for. */
		int why = errno;

		error_set(err, why == EACCES ? ERROR_FORBIDDEN : ERROR_NOT_FOUND, "exec: \"%.200s\": stat %.200s: %s",
			  name, path,
			  why == ENOENT   ? "no such file or directory"
			  : why == EACCES ? "permission denied"
					  : strerror_r(why, reason, sizeof(reason)));
		return false;
	}
	if (S_ISDIR(st.st_mode))
		return error_set(err, ERROR_FORBIDDEN, "exec: \"%.200s\": is a directory", name);
	if (access(path, X_OK) < 0)
		return error_set(err, ERROR_FORBIDDEN, "exec: \"%.200s\": permission denied", name);
	return true;
}

static char *program_find(const char *name, char *const *environment, struct error *err)
{
	struct span rest = span_of(variable(environment, "PATH"));
	char *path = NULL;

	if (strchr(name, '/'))
		return program_check(name, name, err) ? strdup(name) : NULL;
	while (rest.len > 0 && !path) {
		struct span folder = span_cut(&rest, ':');
		struct stat st;

		path = text_format("%.*s/%s", (int)folder.len, folder.ptr, name);
		if (folder.len == 0 || stat(path, &st) < 0 || !S_ISREG(st.st_mode) || access(path, X_OK) < 0) {
			free(path);
			path = NULL;
		}
	}
	if (!path)
		error_set(err, ERROR_NOT_FOUND, "exec: \"%.200s\": executable file not found in $PATH", name);
	return path;
}

void command_oom_score_set(int score)
{
	struct error ignored = { 0 };
	char text[16];

	snprintf(text, sizeof(text), "%d", score);
	/* Told by the shortcomings: see score_check(). */
	(void)file_write("/proc/self/oom_score_adj", text, &ignored);
}

bool command_await_go(int channel)
{
	struct heard h;

	return talk_hear(channel, &h) && h.message.word == WORD_GO;
}

/* Not for those that were given rights over others: to mount, to look into other processes. */
static bool has_landlock(const struct confined *c)
{
	const struct enclosure *e = c->enclosure;

	return !c->security.is_privileged && c->security.seccomp != SECCOMP_NONE &&
	       !rights_have(&c->rights, CAP_SYS_ADMIN) && !e->shares_processes && !e->is_pid_host;
}

static void walls_begin(const struct confined *c, bool joins, int channel)
{
	struct message questions = { .word = WORD_QUESTIONS };
	struct error err = { 0 };
	int fd = -1;

	if (!joins && has_landlock(c) && !landlock_enter(c->enclosure->is_network_host, &err))
		talk_fail(channel, &err);
	if (!filter_load(c->filter, &fd, &err))
		talk_fail(channel, &err);
	if (fd < 0)
		return;
	talk_send(channel, &questions, fd);
	close(fd);
}

/* The rest of the way, of a first process and of exec: the user, landlock and the filter, the command. */
_Noreturn void command_run(const struct confined *c, char **argv, bool joins, int channel)
{
	struct error err = { 0 };
	char *path;

	signals_reset();
	umask(022);
	if (!rights_limit(c->enclosure, &err) ||
	    !rights_become(&c->rights, &c->security, c->enclosure->has_users, joins, &err))
		talk_fail(channel, &err);
	if (chdir(c->working_directory) < 0) {
		error_errno(&err, errno, "cannot go to the working directory '%s'", c->working_directory);
		talk_fail(channel, &err);
	}
	path = program_find(argv[0], c->environment, &err);
	if (!path)
		talk_fail(channel, &err);
	/* With new privileges forbidden they may come last; else only as long as the rights are whole. */
	if (c->security.may_gain_privileges)
		walls_begin(c, joins, channel);
	if (!rights_drop(&c->rights, &c->security, &err))
		talk_fail(channel, &err);
	if (!c->security.may_gain_privileges)
		walls_begin(c, joins, channel);
	execve(path, argv, c->environment);
	error_set(&err,
		  errno == EACCES   ? ERROR_FORBIDDEN
		  : errno == ENOENT ? ERROR_NOT_FOUND
				    : ERROR_INVALID,
		  "exec: \"%.200s\": %s", path,
		  errno == ENOENT    ? "no such file or directory (its interpreter is missing)"
		  : errno == ENOEXEC ? "exec format error"
		  : errno == EACCES  ? "permission denied"
				     : strerror(errno));
	talk_fail(channel, &err);
}
