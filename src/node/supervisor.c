/* SPDX-License-Identifier: Apache-2.0 */
/* supervisor - one pod's process: its connection, what it is asked for, and the end of it. */
#include "node/supervisor.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "node/cni.h"
#include "node/egress.h"
#include "node/supervisor_private.h"

enum { ARENA_BYTES_MOST = 64 << 20, REPLY_BYTES_MOST = SUPERVISOR_MESSAGE_MOST, LAST_WORDS_MS = 1000 };
#define NOBODY_NS      INT64_C(30000000000) /* to be told what to run */
#define FOLDER_LOOK_NS INT64_C(2000000000)  /* between two looks whether it is still there, while nobody is connected */

/* ---- answers ---- */

static void connection_ready(struct watch *w, unsigned events);
static void folder_look(struct timer *t);

static void connection_close(struct supervisor *s)
{
	if (s->channel.fd < 0)
		return;
	loop_unwatch(s->loop, &s->connection);
	channel_done(&s->channel);
	loop_timer_set(s->loop, &s->folder, loop_now(s->loop) + FOLDER_LOOK_NS, folder_look);
	s->is_greeted = false;
	if (!s->enclosure)
		loop_stop(s->loop); /* nobody has told what to run: nobody will */
}

static void connection_failed(struct supervisor *s, const struct error *err)
{
	dprintf(STDERR_FILENO, "the connection is closed: %s\n", err->message);
	connection_close(s);
}

static void flush(struct supervisor *s)
{
	struct error err = { 0 };

	if (!channel_flush(&s->channel, &err))
		connection_close(s);
	else
		loop_watch_change(s->loop, &s->connection,
				  channel_is_unsent(&s->channel) ? LOOP_READ | LOOP_WRITE : LOOP_READ);
}

static void send_reply(struct supervisor *s, const struct supervisor_reply *r, const int *fds, size_t count)
{
	struct error err = { 0 };
	struct buffer text;

	buffer_init(&text, REPLY_BYTES_MOST);
	reply_write(r, &text);
	if (s->channel.fd < 0 || !buffer_ok(&text, "an answer", &err)) {
		for (size_t i = 0; i < count; i++)
			close(fds[i]);
		if (s->channel.fd >= 0)
			connection_failed(s, &err);
	} else if (!channel_send(&s->channel, buffer_span(&text), fds, count, &err)) {
		connection_failed(s, &err);
	} else {
		flush(s);
	}
	buffer_done(&text);
}

static void container_told(const struct container *c, struct container_status *to)
{
	*to = c->status;
}

static void fill_status(const struct supervisor *s, struct sandbox_status *status, struct container_status **ret_list)
{
	const struct sandbox_config *config = &s->record.config;
	size_t count = 0;

	for (const struct container *c = s->containers; c; c = c->next)
		count++;
	*ret_list = base_calloc(count + 1, sizeof(**ret_list));
	count = 0;
	for (const struct container *c = s->containers; c; c = c->next)
		container_told(c, &(*ret_list)[count++]);
	*status = (struct sandbox_status){ .uid = config->uid,
					   .name_space = config->name_space,
					   .name = config->name,
					   .address = config->address,
					   .folder = config->folder,
					   .is_ready = s->enclosure && !s->is_ending,
					   .created_ns = s->record.created_ns,
					   .containers = *ret_list,
					   .container_count = count,
					   .shortcomings = s->enclosure ? enclosure_shortcomings(s->enclosure)
									: s->record.shortcomings };
}

static void tell_status(struct supervisor *s, struct supervisor_reply *r)
{
	AUTO_FREE struct container_status *list = NULL;

	if (!s->is_greeted)
		return; /* it is told to who is greeted next */
	s->is_changed = false;
	fill_status(s, &r->status, &list);
	send_reply(s, r, NULL, 0);
}

static void publish(struct loop_task *t)
{
	struct supervisor *s = CONTAINER_OF(t, struct supervisor, publish);

	if (s->is_changed)
		tell_status(s, &(struct supervisor_reply){ .event = SPAN("status") });
}

void supervisor_changed(struct supervisor *s)
{
	s->is_changed = true;
	if (!s->publish.is_queued)
		loop_defer(s->loop, &s->publish);
}

void supervisor_answer(struct supervisor *s, const struct supervisor_reply *r, const int *fds, size_t count)
{
	publish(&s->publish); /* an answer never overtakes what led to it */
	send_reply(s, r, fds, count);
}

void supervisor_done(struct supervisor *s, int64_t id)
{
	supervisor_answer(s, &(struct supervisor_reply){ .id = id }, NULL, 0);
}

void supervisor_failed(struct supervisor *s, int64_t id, const struct error *err)
{
	const struct supervisor_reply r = { .id = id,
					    .error_code = span_of(error_name(err->code)),
					    .error_message = error_span(err) };

	supervisor_answer(s, &r, NULL, 0);
}

void supervisor_wait(struct waiting **list, int64_t id)
{
	struct waiting *w = base_calloc(1, sizeof(*w));

	w->id = id;
	w->next = *list;
	*list = w;
}

void supervisor_answer_all(struct supervisor *s, struct waiting **list)
{
	while (*list) {
		struct waiting *w = *list;

		*list = w->next;
		supervisor_done(s, w->id);
		free(w);
	}
}

static void forget_all(struct waiting **list)
{
	while (*list) {
		struct waiting *w = *list;

		*list = w->next;
		free(w);
	}
}

/* ---- the enclosure's descriptors ---- */

static void guest_ready(struct watch *w, unsigned events)
{
	struct guest *g = CONTAINER_OF(w, struct guest, watch);
	struct supervisor *s = g->supervisor;
	int fd = w->fd;

	(void)events; /* one that has hung up is closed there: there is room for so many */
	supervisor_guests_leave(s);
	enclosure_serve(s->enclosure, fd);
	supervisor_guests_come(s);
}

/* Descriptors that are closed while they are watched would be others' when they come again: none is watched during a call. */
void supervisor_guests_leave(struct supervisor *s)
{
	while (s->guests) {
		struct guest *g = s->guests;

		s->guests = g->next;
		loop_unwatch(s->loop, &g->watch);
		free(g);
	}
}

void supervisor_guests_come(struct supervisor *s)
{
	int fds[ENCLOSURE_FDS_MOST];
	size_t count = s->enclosure ? enclosure_fds(s->enclosure, fds, ARRAY_LEN(fds)) : 0;

	for (size_t i = 0; i < count; i++) {
		struct guest *g = base_calloc(1, sizeof(*g));

		g->supervisor = s;
		g->next = s->guests;
		s->guests = g;
		loop_watch(s->loop, &g->watch, fds[i], LOOP_READ, guest_ready);
	}
}

/* ---- the sandbox ---- */

static bool hello_asked(struct supervisor *s, const struct supervisor_request *r, struct error *err)
{
	if (r->version != SUPERVISOR_VERSION)
		return error_set(err, ERROR_INVALID, "version %lld of this protocol is not spoken here, but %d",
				 (long long)r->version, SUPERVISOR_VERSION);
	supervisor_done(s, r->id);
	return true;
}

static bool run_check(const struct supervisor *s, const struct sandbox_config *c, struct error *err)
{
	if (c->uid.len == 0 || c->folder.len == 0 || c->folder.ptr[0] != '/')
		return error_set(err, ERROR_INVALID, "a sandbox needs a uid and a folder");
	if (s->is_ending)
		return error_set(err, ERROR_UNAVAILABLE, "the sandbox is being ended");
	if (s->enclosure && !span_equal(c->uid, s->record.config.uid))
		return error_set(err, ERROR_CONFLICT, "this is the sandbox of another pod, " SPAN_FMT,
				 SPAN_ARG(s->record.config.uid));
	return true;
}

/* ---- connections that leave ---- */

static int pod_socket(void *context, int family, int type, struct error *err)
{
	struct supervisor *s = context;

	return enclosure_socket(s->enclosure, family, type, err);
}

static bool egress_question(void *context, int fd)
{
	struct supervisor *s = context;

	return egress_answer(s->egress, fd);
}

static struct span parent_folder(struct span path)
{
	while (path.len && path.ptr[path.len - 1] != '/')
		path.len--;
	while (path.len && path.ptr[path.len - 1] == '/')
		path.len--;
	return path;
}

/* Folders are <node>/pods/<uid>. */
static bool egress_begin(struct supervisor *s, struct error *err)
{
	const struct sandbox_config *c = &s->record.config;
	AUTO_FREE char *sandbox = base_alloc(c->folder.len + sizeof("/sandbox"));
	struct egress_config config = { .loop = s->loop,
					.mode = s->host.egress,
					.node = parent_folder(parent_folder(c->folder)),
					.address = c->address,
					.socket = pod_socket,
					.context = s };

	if (c->is_network_host)
		return true;
	memcpy(sandbox, c->folder.ptr, c->folder.len);
	memcpy(sandbox + c->folder.len, "/sandbox", sizeof("/sandbox"));
	config.sandbox = span_of(sandbox);
	s->egress = egress_new(&config, err);
	if (s->egress)
		enclosure_answer_by(s->enclosure, egress_question, s);
	return s->egress != NULL;
}

/* ---- a network by plugins ---- */

/* By this process's descriptor: plugins open it as root, whatever they have become. */
static void network_path(const struct supervisor *s, char ret[64])
{
	snprintf(ret, 64, "/proc/%d/fd/%d", (int)getpid(), enclosure_network(s->enclosure));
}

/* Blocks: nothing of the pod runs before it has a network. */
static bool network_begin(struct supervisor *s, struct error *err)
{
	struct sandbox_config *c = &s->record.config;
	const struct cni_pod pod = { c->uid, c->name_space, c->name };
	const struct cni_place place = cni_place_default();
	char path[64], address[CNI_ADDRESS_MAX];

	if (c->is_network_host || !span_equal(s->host.egress, SPAN("cni")))
		return true;
	network_path(s, path);
	/* What a supervisor that was killed has left goes first. */
	if (!cni_delete(&place, "", s->sandbox_fd, err) || !cni_add(&place, &pod, path, s->sandbox_fd, address, err))
		return false;
	c->address = arena_copy(&s->arena, span_of(address), err);
	return c->address.ptr != NULL;
}

/* What fails stays on record: it is tried again when the sandbox is removed. */
static void network_end(struct supervisor *s)
{
	const struct cni_place place = cni_place_default();
	struct error err = { 0 };
	char path[64];

	if (!s->enclosure || s->record.config.is_network_host || !span_equal(s->host.egress, SPAN("cni")))
		return;
	network_path(s, path);
	if (!cni_delete(&place, path, s->sandbox_fd, &err))
		dprintf(STDERR_FILENO, "the network is not given back: %s\n", err.message);
}

/* The order matters: what connects holds sockets of the enclosure's, and plugins are shown its network. */
static void enclosure_end(struct supervisor *s)
{
	if (s->first.fd >= 0) {
		loop_unwatch(s->loop, &s->first);
		close(s->first.fd);
		s->first.fd = -1;
	}
	supervisor_guests_leave(s);
	egress_free(TAKE(s->egress));
	network_end(s);
	enclosure_free(TAKE(s->enclosure));
}

/* What falls short grows with containers, and is told by the enclosure while there is one. */
static bool record_save(struct supervisor *s, struct error *err)
{
	struct span found = enclosure_shortcomings(s->enclosure);

	s->record.shortcomings = arena_copy(&s->arena, found, err);
	return s->record.shortcomings.ptr && sandbox_save(s->sandbox_fd, &s->record, err);
}

static void sandbox_end(struct supervisor *s);

/* What runs in its namespaces has been killed with it, and nothing can be begun there: another sandbox can. */
static void first_ended(struct watch *w, unsigned events)
{
	struct supervisor *s = CONTAINER_OF(w, struct supervisor, first);

	(void)events;
	loop_unwatch(s->loop, w);
	close(w->fd);
	w->fd = -1;
	dprintf(STDERR_FILENO, "the pod's first process has ended, and so the pod ends\n");
	sandbox_end(s);
}

static void first_watch(struct supervisor *s)
{
	int fd = enclosure_end_watch(s->enclosure);

	if (fd >= 0)
		loop_watch(s->loop, &s->first, fd, LOOP_READ, first_ended);
}

static bool run_asked(struct supervisor *s, const struct supervisor_request *r, struct error *err)
{
	int64_t id = r->id;

	if (!run_check(s, &r->sandbox, err))
		return false;
	if (s->enclosure) { /* asked for twice */
		supervisor_done(s, id);
		return true;
	}
	s->record = (struct sandbox_record){ .config = r->sandbox, .created_ns = clock_wall_ns() };
	s->host =
	    (struct confine_host){ r->host.hidden, r->host.group_root, r->host.egress, span_to_text(r->host.program) };
	arena_done(&s->arena);
	s->arena = s->request;
	arena_init(&s->request, ARENA_BYTES_MOST);
	s->enclosure = enclosure_new_of(TAKE(s->made), &s->host, &s->record.config, err);
	if (!s->enclosure)
		return false;
	loop_timer_clear(s->loop, &s->nobody);
	supervisor_title("hythe: pod %.*s/%.*s", (int)s->record.config.name_space.len, s->record.config.name_space.ptr,
			 (int)s->record.config.name.len, s->record.config.name.ptr);
	containers_load(s);
	if (!network_begin(s, err) || !egress_begin(s, err) || !record_save(s, err)) {
		/* Without a record it could not be found again: better not begun. */
		enclosure_end(s);
		containers_free(s);
		return false;
	}
	supervisor_guests_come(s);
	first_watch(s);
	supervisor_changed(s);
	supervisor_done(s, id);
	return true;
}

void supervisor_end_continue(struct supervisor *s)
{
	struct error err = { 0 };

	if (!s->is_ending)
		return;
	for (struct container *c = s->containers; c; c = c->next) {
		if (c->confined)
			return;
	}
	s->record.is_ended = true;
	if (s->enclosure && !record_save(s, &err)) /* with the shortcomings, which the enclosure holds */
		dprintf(STDERR_FILENO, "%s\n", err.message);
	enclosure_end(s);
	(void)unlinkat(s->sandbox_fd, "control", 0);
	s->is_changed = true;
	supervisor_answer_all(s, &s->ends);
	loop_stop(s->loop);
}

static void sandbox_end(struct supervisor *s)
{
	s->is_ending = true;
	for (struct container *c = s->containers; c; c = c->next) {
		if (c->confined)
			container_kill(c);
	}
	supervisor_end_continue(s);
}

static bool end_asked(struct supervisor *s, const struct supervisor_request *r, struct error *err)
{
	(void)err;
	supervisor_wait(&s->ends, r->id);
	sandbox_end(s);
	return true;
}

static bool socket_asked(struct supervisor *s, const struct supervisor_request *r, struct error *err)
{
	int fd;

	if (!s->enclosure)
		return error_set(err, ERROR_UNAVAILABLE, "the sandbox was not begun");
	if ((r->family != AF_INET && r->family != AF_INET6) || (r->type != SOCK_STREAM && r->type != SOCK_DGRAM))
		return error_set(err, ERROR_INVALID, "no such kind of socket");
	fd = enclosure_socket(s->enclosure, r->family, r->type, err);
	if (fd < 0)
		return false;
	supervisor_answer(s, &(struct supervisor_reply){ .id = r->id, .has_in = true }, &fd, 1);
	return true;
}

static bool usage_asked(struct supervisor *s, const struct supervisor_request *r, struct error *err)
{
	struct supervisor_reply reply = { .id = r->id };
	struct container_usage *list;
	size_t count = 0;

	if (!s->enclosure)
		return error_set(err, ERROR_UNAVAILABLE, "the sandbox was not begun");
	if (!enclosure_usage(s->enclosure, &reply.usage.cpu_ns, &reply.usage.memory_bytes, &reply.usage.processes))
		return error_set(err, ERROR_UNAVAILABLE, "use is not counted on this machine: no control groups");
	for (struct container *c = s->containers; c; c = c->next)
		count += c->confined != NULL;
	list = base_calloc(count + 1, sizeof(*list));
	for (struct container *c = s->containers; c; c = c->next) {
		struct container_usage *u = &list[reply.usage.container_count];

		*u = (struct container_usage){ .name = c->status.name, .attempt = c->status.attempt };
		if (c->confined && confined_usage(c->confined, &u->cpu_ns, &u->memory_bytes, &u->processes))
			reply.usage.container_count++;
	}
	reply.usage.containers = list;
	supervisor_answer(s, &reply, NULL, 0);
	free(list);
	return true;
}

/* ---- requests ---- */

static const struct {
	struct span op;
	supervisor_handler *handle;
} operations[] = {
	{ SPAN_INIT("hello"), hello_asked },
	{ SPAN_INIT("run"), run_asked },
	{ SPAN_INIT("end"), end_asked },
	{ SPAN_INIT("start"), container_start_asked },
	{ SPAN_INIT("stop"), container_stop_asked },
	{ SPAN_INIT("remove"), container_remove_asked },
	{ SPAN_INIT("update"), container_update_asked },
	{ SPAN_INIT("exec"), exec_asked },
	{ SPAN_INIT("attach"), attach_asked },
	{ SPAN_INIT("resize"), resize_asked },
	{ SPAN_INIT("socket"), socket_asked },
	{ SPAN_INIT("usage"), usage_asked },
};

static void handle(struct supervisor *s, const struct supervisor_request *r)
{
	struct error err = { 0 };
	int64_t id = r->id; /* what r points to may go with its arena */

	for (size_t i = 0; i < ARRAY_LEN(operations); i++) {
		if (!span_equal(operations[i].op, r->op))
			continue;
		if (!operations[i].handle(s, r, &err))
			supervisor_failed(s, id, &err);
		return;
	}
	error_set(&err, ERROR_UNIMPLEMENTED, "'" SPAN_FMT "' is not known here", SPAN_ARG(r->op));
	supervisor_failed(s, id, &err);
}

static bool take(struct supervisor *s, struct span text, struct error *err)
{
	struct supervisor_request r;
	struct span copy = arena_copy(&s->request, text, err); /* handlers may end the connection, or keep the arena */
	bool ok = copy.ptr && request_read(copy, &s->request, &r, err);

	if (ok && !s->is_greeted && (!span_equal(r.op, SPAN("hello")) || r.version != SUPERVISOR_VERSION))
		ok = error_set(err, ERROR_INVALID, "a hello with version %d was expected", SUPERVISOR_VERSION);
	if (ok) {
		s->is_greeted = true;
		publish(&s->publish); /* what has changed since our greeting */
		handle(s, &r);
	}
	arena_done(&s->request); /* nothing is kept between messages: it is private memory */
	arena_init(&s->request, ARENA_BYTES_MOST);
	return ok;
}

static void connection_ready(struct watch *w, unsigned events)
{
	struct supervisor *s = CONTAINER_OF(w, struct supervisor, connection);
	enum channel_state state = CHANNEL_WAITS;
	int fds[SUPERVISOR_FDS_MOST];
	struct error err = { 0 };
	struct span text;
	size_t count;
	bool is_open = true;

	(void)events;
	is_open = channel_receive(&s->channel, &err);
	/* What was sent before the other side went is done: it may have been killed, and does not ask again. */
	while (s->channel.fd >= 0 && (state = channel_next(&s->channel, &text, fds, &count, &err)) == CHANNEL_MESSAGE) {
		for (size_t i = 0; i < count; i++)
			close(fds[i]); /* no request brings any */
		if (!take(s, text, &err)) {
			state = CHANNEL_BROKEN;
			break;
		}
	}
	if (s->channel.fd < 0)
		return;
	if (state == CHANNEL_BROKEN)
		connection_failed(s, &err);
	else if (!is_open)
		connection_close(s);
	else
		flush(s);
}

/* ---- connections ---- */

static void greet(struct supervisor *s)
{
	struct supervisor_reply r = { .event = SPAN("hello"), .version = SUPERVISOR_VERSION, .pid = getpid() };

	s->is_greeted = true; /* for this one message */
	tell_status(s, &r);
	s->is_greeted = false;
}

static void connection_begin(struct supervisor *s, int fd)
{
	/* The answers of the one before are nobody's: whoever it was asks again. */
	forget_all(&s->ends);
	for (struct container *c = s->containers; c; c = c->next)
		forget_all(&c->stops);
	channel_init(&s->channel, fd);
	loop_watch(s->loop, &s->connection, fd, LOOP_READ, connection_ready);
	greet(s);
}

static bool is_welcome(int fd)
{
	struct ucred peer;
	socklen_t size = sizeof(peer);

	return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 && (peer.uid == geteuid() || peer.uid == 0);
}

static void somebody_calls(struct watch *w, unsigned events)
{
	struct supervisor *s = CONTAINER_OF(w, struct supervisor, listening);
	int fd = accept4(w->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	(void)events;
	if (fd < 0)
		return;
	if (!is_welcome(fd)) {
		close(fd);
		return;
	}
	if (s->channel.fd >= 0) {
		loop_unwatch(s->loop, &s->connection);
		channel_done(&s->channel);
		s->is_greeted = false;
	}
	connection_begin(s, fd);
}

static void children_ended(int signal, void *context)
{
	struct supervisor *s = context;

	(void)signal;
	containers_reap(s);
	commands_reap(s);
	supervisor_end_continue(s);
}

static void nobody_came(struct timer *t)
{
	loop_stop(CONTAINER_OF(t, struct supervisor, nobody)->loop);
}

/* Nobody could find this sandbox again when its folder was deleted under it. While somebody is connected it was not. */
static void folder_look(struct timer *t)
{
	struct supervisor *s = CONTAINER_OF(t, struct supervisor, folder);

	if (s->channel.fd < 0 && !s->is_ending && faccessat(s->sandbox_fd, "control", F_OK, 0) != 0) {
		dprintf(STDERR_FILENO, "the folder is gone, and so the pod ends\n");
		sandbox_end(s);
		return;
	}
	if (s->channel.fd < 0)
		loop_timer_set(s->loop, t, loop_now(s->loop) + FOLDER_LOOK_NS, folder_look);
}

/* ---- the process ---- */

static void locked_out(int connection_fd)
{
	struct supervisor_reply r = { .event = SPAN("locked"), .version = SUPERVISOR_VERSION, .pid = getpid() };
	struct error ignored = { 0 };
	struct channel c;
	struct buffer text;

	channel_init(&c, connection_fd);
	buffer_init(&text, REPLY_BYTES_MOST);
	reply_write(&r, &text);
	if (channel_send(&c, buffer_span(&text), NULL, 0, &ignored))
		(void)channel_flush(&c, &ignored); /* the asker sees the end in any case */
	buffer_done(&text);
	channel_done(&c);
}

/* Last answers are sent before the process goes; a peer that does not read is not waited for long. */
static void last_words(struct supervisor *s)
{
	struct error ignored = { 0 };

	while (s->channel.fd >= 0 && channel_is_unsent(&s->channel)) {
		struct pollfd p = { .fd = s->channel.fd, .events = POLLOUT };

		if (poll(&p, 1, LAST_WORDS_MS) <= 0 || !channel_flush(&s->channel, &ignored))
			return;
	}
}

static void serve(struct supervisor *s, int connection_fd, int listen_fd)
{
	const int signals[] = { SIGCHLD };

	loop_signals_block(signals, ARRAY_LEN(signals));
	s->loop = loop_new();
	s->channel.fd = s->first.fd = -1;
	s->containers_tail = &s->containers;
	s->publish.run = publish;
	arena_init(&s->request, ARENA_BYTES_MOST);
	arena_init(&s->arena, ARENA_BYTES_MOST);
	loop_on_signal(s->loop, signals, ARRAY_LEN(signals), children_ended, s);
	loop_watch(s->loop, &s->listening, listen_fd, LOOP_READ, somebody_calls);
	loop_timer_set(s->loop, &s->nobody, loop_now(s->loop) + NOBODY_NS, nobody_came);
	connection_begin(s, connection_fd);
	loop_run(s->loop);
	last_words(s);
}

static void all_freed(struct supervisor *s)
{
	enclosure_end(s);
	enclosure_free(TAKE(s->made));
	commands_free(s);
	containers_free(s);
	channel_done(&s->channel);
	free((void *)(uintptr_t)s->host.program);
	arena_done(&s->request);
	arena_done(&s->arena);
	loop_free(s->loop);
}

int supervisor_run(int connection_fd, struct span folder, struct enclosure *made)
{
	struct supervisor s = { .made = made };
	struct error err = { 0 };
	bool is_taken = false;
	int listen_fd, log_fd;

	prctl(PR_SET_NAME, "hythe-pod");
	s.sandbox_fd = sandbox_open(folder, true, &err);
	if (s.sandbox_fd < 0) {
		dprintf(STDERR_FILENO, "hythe: %s\n", err.message);
		return 1;
	}
	s.lock_fd = sandbox_lock(s.sandbox_fd, &is_taken);
	if (s.lock_fd < 0) {
		if (is_taken)
			locked_out(connection_fd);
		return 1;
	}
	log_fd = openat(s.sandbox_fd, "supervisor.log", O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0600);
	if (log_fd >= 0) {
		dup2(log_fd, STDERR_FILENO); /* nothing of ours holds a pipe of somebody's open */
		close(log_fd);
	}
	listen_fd = control_listen(s.sandbox_fd);
	if (listen_fd < 0) {
		dprintf(STDERR_FILENO, "cannot listen for connections: %m\n");
		return 1;
	}
	serve(&s, connection_fd, listen_fd);
	all_freed(&s);
	close(listen_fd);
	close(s.sandbox_fd);
	close(s.lock_fd);
	return 0;
}
