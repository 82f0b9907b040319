/* SPDX-License-Identifier: Apache-2.0 */
/* spawner - a small process that does nothing but fork: a supervisor for each pod that it is told of. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "node/confine.h"
#include "node/runtime_process.h"
#include "node/spares.h"
#include "node/supervisor.h"

enum { ARENA_BYTES_MOST = 1 << 20, FAULT = 2 };

static struct spares spares;

/* ---- what ps shows ---- */

static struct {
	char *at;
	size_t size;
} title;

/* The kernel shows what stands where the arguments stood, and on into the environment when no NUL ends it there. */
static void title_prepare(int argc, char **argv)
{
	static char *no_environment[1];
	char *end = argv[0];

	for (int i = 0; i < argc; i++) {
		if (argv[i] == end)
			end += strlen(argv[i]) + 1;
	}
	for (char **e = environ; *e; e++) {
		if (*e == end)
			end += strlen(*e) + 1;
	}
	title.at = argv[0];
	title.size = (size_t)(end - argv[0]);
	environ = no_environment; /* nothing of it is needed here, and it is written over */
}

void supervisor_title(const char *format, ...)
{
	va_list args;

	if (title.size < 2)
		return;
	memset(title.at, 0, title.size);
	va_start(args, format);
	vsnprintf(title.at, title.size, format, args);
	va_end(args);
}

/* ---- forking ---- */

static void answer(struct channel *c, int64_t id, pid_t pid, int errnum)
{
	struct supervisor_reply r = { .id = id, .pid = pid };
	struct error err = { 0 };
	struct buffer text;

	if (pid < 0) {
		error_errno(&err, errnum, "cannot make a process for the pod");
		r.pid = 0;
		r.error_code = span_of(error_name(ERROR_UNAVAILABLE));
		r.error_message = error_span(&err);
	}
	buffer_init(&text, KIB(4));
	reply_write(&r, &text);
	if (channel_send(c, buffer_span(&text), NULL, 0, &err))
		(void)channel_flush(c, &err); /* its end is seen where it is read */
	buffer_done(&text);
}

_Noreturn static void become_supervisor(struct channel *c, int connection_fd, const char *folder)
{
	int code;

	channel_done(
	    c); /* the spawner's, without shutting it down; and connections of pods that come next: their ends are seen when nobody has them */
	spares_leave(&spares);
	if (setsid() < 0)
		_exit(1);
	signal(SIGCHLD, SIG_DFL);
	prctl(PR_SET_PDEATHSIG, 0);
	supervisor_title("hythe: pod");
	code = supervisor_run(connection_fd, span_of(folder), NULL);
	exit(code);
}

static void spawn(struct channel *c, const struct supervisor_request *r, int connection_fd)
{
	AUTO_FREE char *folder = span_to_text(r->folder);
	pid_t pid;

	if (!spares_take(&spares, r->folder, connection_fd, &pid)) {
		pid = fork();
		if (pid == 0)
			become_supervisor(c, connection_fd, folder);
	}
	answer(c, r->id, pid, errno);
	close(connection_fd);
}

static bool take(struct channel *c, struct span text, const int *fds, size_t count, struct error *err)
{
	struct supervisor_request r;
	struct arena arena;
	bool ok, prepares = false;

	arena_init(&arena, ARENA_BYTES_MOST);
	ok = request_read(text, &arena, &r, err);
	prepares = ok && span_equal(r.op, SPAN("prepare"));
	ok = ok && ((r.folder.len && r.folder.ptr[0] == '/' &&
		     (prepares ? count == 0 : span_equal(r.op, SPAN("spawn")) && count == 1)) ||
		    error_set(err, ERROR_INVALID, "a spawn with a folder and one descriptor was expected"));
	if (ok && prepares)
		spares_begin(&spares, r.folder);
	else if (ok)
		spawn(c, &r, fds[0]);
	else
		for (size_t i = 0; i < count; i++)
			close(fds[i]);
	arena_done(&arena);
	return ok;
}

static int serve(struct channel *c)
{
	struct pollfd p[] = { { .fd = c->fd, .events = POLLIN }, { .fd = -1, .events = POLLPRI } };
	struct error err = { 0 };
	bool is_open = true;

	while (is_open) {
		enum channel_state state;
		int fds[SUPERVISOR_FDS_MOST];
		struct span text;
		size_t count;
		int n;

		p[1].fd = spares.scratch ? spares.mounts : -1;
		n = poll(p, ARRAY_LEN(p), spares_wait_ms(&spares));
		if (n < 0 && errno != EINTR)
			return FAULT;
		if (n > 0 && p[1].revents)
			spares_drop(&spares);
		if (n == 0)
			spares_fill(&spares, c->fd);
		if (n == 0 || !p[0].revents)
			continue;
		is_open = channel_receive(c, &err);
		while ((state = channel_next(c, &text, fds, &count, &err)) == CHANNEL_MESSAGE) {
			if (!take(c, text, fds, count, &err)) {
				state = CHANNEL_BROKEN;
				break;
			}
		}
		if (state == CHANNEL_BROKEN || (!is_open && err.code)) {
			fprintf(stderr, "hythe: %s\n", err.message);
			return FAULT;
		}
	}
	return 0;
}

/* Descriptors of whoever began us are not for containers: 0 is the socket; 1 and 2 stay, as the place for a fault's words. */
static bool descriptors_prepare(struct channel *c)
{
	int type = 0, null_fd, fd;
	socklen_t size = sizeof(type);

	if (getsockopt(STDIN_FILENO, SOL_SOCKET, SO_TYPE, &type, &size) < 0 || type != SOCK_STREAM)
		return false;
	fd = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3);
	null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (fd < 0 || null_fd < 0 || dup2(null_fd, STDIN_FILENO) < 0 || dup2(null_fd, STDOUT_FILENO) < 0)
		return false;
	close(null_fd);
	channel_init(c, fd);
	return true;
}

int supervisor_main(int argc, char **argv)
{
	struct channel c;
	int code;

	if (!descriptors_prepare(&c)) {
		fprintf(stderr, "hythe: this command is begun by `hythe up`, for the pods that it runs\n");
		return FAULT;
	}
	title_prepare(argc, argv);
	supervisor_title("hythe: pods");
	umask(0022);
	signal(SIGCHLD, SIG_IGN); /* supervisors that end are reaped by the kernel */
	confine_warm();
	code = serve(&c);
	channel_done(&c);
	return code;
}
