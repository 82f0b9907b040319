/* SPDX-License-Identifier: Apache-2.0 */
/* upgrade_offer - the side of the one who is taken over from. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "cli/upgrade_private.h"

#define ANSWER_NS (10 * NS_PER_S)  /* how long the other one may take to read what it is given */
#define CHECKS_NS (120 * NS_PER_S) /* how long it may look at its own flags and files before it says "give" */

enum { OFFER_OPEN, OFFER_ASKED, OFFER_ENDS };

struct upgrade_offer {
	char *folder;
	void (*sockets)(void *context, struct upgrade_sockets *to);
	void *context;
	pthread_t thread;
	int fd;   /* listens */
	int stop; /* an eventfd */
	int with; /* the one who takes over; -1: nobody */
	bool has_thread;
	_Atomic int state;           /* leaves OFFER_OPEN once: by the thread, or by who ends the process */
	bool is_given;               /* the other one serves: the file is its own */
	struct upgrade_sockets kept; /* for starting again */
};

/* ---- what is given ---- */

static bool send_sockets(int fd, const struct upgrade_sockets *s, pid_t pid)
{
	AUTO_FREE char *text = base_alloc(UPGRADE_PACKET);
	size_t at = 0;

	(void)snprintf(text, UPGRADE_PACKET, UPGRADE_GREETING " %d %zu", (int)pid, s->count);
	if (!upgrade_send(fd, span_of(text), NULL, 0))
		return false;
	while (at < s->count) {
		int fds[UPGRADE_SOCKETS_AT_ONCE];
		size_t count = 0, len = 0;

		while (at < s->count && count < UPGRADE_SOCKETS_AT_ONCE &&
		       len + strlen(s->list[at].key) + 2 <= UPGRADE_PACKET) {
			len += (size_t)snprintf(text + len, UPGRADE_PACKET - len, "%s\n", s->list[at].key);
			fds[count++] = s->list[at++].fd;
		}
		if (!count || !upgrade_send(fd, (struct span){ text, len }, fds, count))
			return false;
	}
	return true;
}

static void time_limit(int fd, int64_t ns)
{
	struct timeval limit = { .tv_sec = ns / NS_PER_S };

	(void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	(void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
}

/* Waits for "give", or for the end of either. */
static bool waits_for_give(struct upgrade_offer *o, int with)
{
	struct pollfd fds[] = { { o->stop, POLLIN, 0 }, { with, POLLIN, 0 } };
	int n;

	do {
		n = poll(fds, 2, (int)(CHECKS_NS / NS_PER_MS));
	} while (n < 0 && errno == EINTR);
	return n > 0 && !fds[0].revents && upgrade_hears(with, UPGRADE_GIVE);
}

/* True: this process gives up its store for the other one. */
static bool talk(struct upgrade_offer *o, int with)
{
	struct upgrade_sockets sockets = { 0 };
	bool is_asked;

	time_limit(with, ANSWER_NS);
	if (!upgrade_is_ours(with) || !upgrade_hears(with, UPGRADE_GREETING))
		return false;
	o->sockets(o->context, &sockets);
	is_asked = send_sockets(with, &sockets, getpid()) && waits_for_give(o, with);
	if (is_asked)
		o->kept = sockets;
	else
		upgrade_sockets_done(&sockets);
	return is_asked;
}

static void *offer_main(void *argument)
{
	struct upgrade_offer *o = argument;

	for (;;) {
		struct pollfd fds[] = { { o->stop, POLLIN, 0 }, { o->fd, POLLIN, 0 } };
		int with;

		if (poll(fds, 2, -1) < 0 && errno != EINTR)
			return NULL;
		if (fds[0].revents)
			return NULL;
		with = fds[1].revents ? accept4(o->fd, NULL, NULL, SOCK_CLOEXEC) : -1;
		if (with < 0)
			continue;
		if (talk(o, with)) {
			int open = OFFER_OPEN;

			time_limit(with, 0);
			o->with = with;
			if (atomic_compare_exchange_strong(&o->state, &open, OFFER_ASKED))
				(void)kill(getpid(), SIGTERM);
			return NULL;
		}
		close(with);
	}
}

/* ---- life ---- */

static bool listen_at(struct upgrade_offer *o, struct error *err)
{
	struct sockaddr_un at;
	AUTO_CLOSE int folder = upgrade_address(o->folder, &at);

	o->fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (folder >= 0)
		(void)unlinkat(folder, UPGRADE_FILE, 0); /* of one that was killed: the store's lock is ours */
	if (o->fd < 0 || folder < 0 || fchmod(o->fd, 0600) != 0 ||
	    bind(o->fd, (const struct sockaddr *)&at, sizeof(at)) != 0 || listen(o->fd, 8) != 0)
		return error_errno(err, errno, "cannot listen at '%s/" UPGRADE_FILE "'", o->folder);
	return true;
}

struct upgrade_offer *upgrade_listen(const char *folder, void (*sockets)(void *context, struct upgrade_sockets *to),
				     void *context, struct error *err)
{
	struct upgrade_offer *o = base_calloc(1, sizeof(*o));
	int failure;

	*o = (struct upgrade_offer){ .folder = span_to_text(span_of(folder)),
				     .sockets = sockets,
				     .context = context,
				     .fd = -1,
				     .stop = eventfd(0, EFD_CLOEXEC),
				     .with = -1 };
	if (!listen_at(o, err)) {
		if (o->fd >= 0)
			close(o->fd);
		o->fd = -1;
	} else if ((failure = pthread_create(&o->thread, NULL, offer_main, o)) != 0) {
		error_errno(err, failure, "cannot start a thread");
		close(o->fd);
		o->fd = -1;
	}
	o->has_thread = o->fd >= 0;
	if (o->has_thread)
		return o;
	close(o->stop);
	free(o->folder);
	free(o);
	return NULL;
}

static void thread_join(struct upgrade_offer *o)
{
	if (o->has_thread)
		pthread_join(o->thread, NULL);
	o->has_thread = false;
}

/* The signal comes to a process that may have got another one before it. */
static void signal_forget(void)
{
	const struct timespec now = { 0 };
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	(void)sigtimedwait(&set, NULL, &now); /* none is as good */
}

bool upgrade_ends(struct upgrade_offer *o)
{
	int open = OFFER_OPEN;

	if (!o || atomic_compare_exchange_strong(&o->state, &open, OFFER_ENDS))
		return false;
	thread_join(o); /* it has said all */
	signal_forget();
	return true;
}

static void file_remove(const struct upgrade_offer *o)
{
	AUTO_CLOSE int folder = open(o->folder, O_PATH | O_DIRECTORY | O_CLOEXEC);

	if (folder >= 0)
		(void)unlinkat(folder, UPGRADE_FILE, 0); /* gone already if someone cleaned up */
}

/* Nobody is answered any more: the next one who comes waits for the store's lock as if this one were not there. */
static void stop_listening(struct upgrade_offer *o)
{
	uint64_t one = 1;

	if (o->fd < 0)
		return;
	(void)!write(o->stop, &one, sizeof(one));
	thread_join(o);
	file_remove(o);
	close(o->fd);
	o->fd = -1;
}

bool upgrade_give(struct upgrade_offer *o)
{
	stop_listening(o);
	o->is_given = upgrade_send(o->with, SPAN(UPGRADE_FREE), NULL, 0) && upgrade_hears(o->with, UPGRADE_SERVES);
	return o->is_given;
}

/* As this process was started. */
static char **arguments(void)
{
	AUTO_CLOSE int fd = open("/proc/self/cmdline", O_RDONLY | O_CLOEXEC);
	struct buffer text;
	char **list = NULL;
	size_t count = 0;
	char piece[4096];
	ssize_t n;

	buffer_init(&text, MIB(16));
	while (fd >= 0 && (n = read(fd, piece, sizeof(piece))) > 0)
		buffer_append(&text, (struct span){ piece, (size_t)n });
	for (size_t at = 0; at < text.len; at += strlen(text.ptr + at) + 1) {
		list = base_realloc((void *)list, (count + 2) * sizeof(*list));
		list[count++] = text.ptr + at;
		list[count] = NULL;
	}
	return list; /* the text is left: the program ends here */
}

void upgrade_start_again(struct upgrade_offer *o, struct error *err)
{
	char **list = arguments(), number[16];
	int pair[2];
	pid_t child, self = getpid();

	if (!list || socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair) != 0) {
		error_errno(err, errno, "cannot start again");
		return;
	}
	/* What is sent to ourselves may be more than the socket holds: a child of the old program gives it to the new one. */
	child = fork();
	if (child == 0) {
		if (fork() != 0)
			_exit(0); /* nobody is left to wait for */
		close(pair[0]);
		time_limit(pair[1], ANSWER_NS);
		if (upgrade_hears(pair[1], UPGRADE_GREETING))
			(void)send_sockets(pair[1], &o->kept, self);
		_exit(0);
	}
	close(pair[1]);
	while (child > 0 && waitpid(child, NULL, 0) < 0 && errno == EINTR)
		;
	(void)snprintf(number, sizeof(number), "%d", pair[0]);
	(void)setenv(UPGRADE_VARIABLE, number, 1);
	log_warn("up", "the process that took over has ended: starts again");
	if (child > 0)
		(void)execv("/proc/self/exe", list);
	error_errno(err, errno, "cannot start again");
}

void upgrade_close(struct upgrade_offer *o)
{
	if (!o)
		return;
	stop_listening(o);
	if (o->with >= 0)
		close(o->with);
	upgrade_sockets_done(&o->kept);
	close(o->stop);
	free(o->folder);
	free(o);
}
