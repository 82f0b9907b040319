/* SPDX-License-Identifier: Apache-2.0 */
/*
 * logs - a container's log as text: the file that the runtime writes (see runtime.h; lines "TIME stream F|P text", as CRI has them), from its
 * beginning, from a time, or its last lines; followed while the container lives, through rotations.
 */
#include "node/streams_private.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/number.h"
#include "kube/kinds/kinds.h"
#include "kube/kube.h"

enum { READ_BYTES = 128 * 1024, LINE_MOST = 64 * 1024, TAIL_BYTES = 16 * 1024, UNSENT_HIGH = 512 * 1024 };
#define LOOK_AGAIN_NS INT64_C(50000000) /* between a log's last write and the word that the container has ended */

struct logs {
	struct session session;
	struct request *req;
	char path[PATH_MAX];
	int fd;
	int64_t offset, left; /* left: bytes that may still be sent; INT64_MAX: all */
	bool follows, has_times, has_out, has_err;
	char since[CLOCK_TEXT_SIZE + 1]; /* without its zeros at the end and 'Z'; empty: from the beginning */
	struct buffer line;              /* the part of a line that has come */
	int folder;                      /* its watch, shared with others that follow logs there; -1: none */
	struct timer timer;
};

static void go_on(struct logs *l);

/* ---- lines ---- */

/* Times of UTC, without zeros at the end, are ordered as texts. */
static bool is_before(struct span time, const char *since)
{
	if (time.len && time.ptr[time.len - 1] == 'Z')
		time.len--;
	return span_order(time, span_of(since)) < 0;
}

/* What of a line is shown, without its end. False: nothing. */
static bool line_read(const struct logs *l, struct span line, struct span *ret_time, struct span *ret_text,
		      bool *ret_is_whole)
{
	struct span rest = line, stream, tag;

	*ret_time = span_cut(&rest, ' ');
	stream = span_cut(&rest, ' ');
	tag = span_cut(&rest, ' ');
	if (!span_equal(tag, SPAN("F")) && !span_equal(tag, SPAN("P")))
		return false; /* not of the form: damaged by a loss of power, or somebody else's */
	if (!(span_equal(stream, SPAN("stderr")) ? l->has_err : l->has_out))
		return false;
	*ret_text = rest;
	*ret_is_whole = tag.ptr[0] == 'F';
	return !l->since[0] || !is_before(*ret_time, l->since);
}

static void send(struct logs *l, struct span bytes)
{
	bytes = span_first(bytes, (size_t)MIN(l->left, INT64_MAX / 2));
	request_write(l->req, bytes);
	if (l->left != INT64_MAX)
		l->left -= (int64_t)bytes.len;
}

static void line_send(struct logs *l, struct span line, struct buffer *out)
{
	struct span time, text;
	bool is_whole;

	if (!line_read(l, line, &time, &text, &is_whole))
		return;
	if (l->has_times) {
		buffer_append(out, time);
		buffer_byte(out, ' ');
	}
	buffer_append(out, text);
	if (is_whole)
		buffer_byte(out, '\n');
}

static void lines_send(struct logs *l, struct span bytes)
{
	struct buffer out;

	buffer_init(&out, SIZE_MAX / 2);
	while (bytes.len) {
		const char *end = memchr(bytes.ptr, '\n', bytes.len);
		struct span piece = span_first(bytes, end ? (size_t)(end - bytes.ptr) : bytes.len);

		bytes = span_skip(bytes, piece.len + (end != NULL));
		if (!end) {
			buffer_append(&l->line, piece); /* over the limit it is damaged, and passed over */
		} else if (l->line.len) {
			buffer_append(&l->line, piece);
			line_send(l, buffer_span(&l->line), &out);
			buffer_clear(&l->line);
		} else {
			line_send(l, piece, &out);
		}
	}
	if (out.len)
		send(l, buffer_span(&out));
	buffer_done(&out);
}

/* ---- the file ---- */

/* Where the last `count` lines begin. */
static int64_t tail_offset(int fd, int64_t count)
{
	char bytes[TAIL_BYTES];
	struct stat st;
	int64_t at = fstat(fd, &st) == 0 ? st.st_size : 0, end = at;

	if (count <= 0)
		return end;
	while (at > 0) {
		int64_t from = MAX(at - TAIL_BYTES, 0);
		ssize_t n = pread(fd, bytes, (size_t)(at - from), from);

		if (n <= 0)
			return 0;
		for (ssize_t i = n - 1; i >= 0; i--)
			if (bytes[i] == '\n' && from + i + 1 != end && --count == 0)
				return from + i + 1;
		at = from;
	}
	return 0;
}

static void session_free_logs(struct session *s);

/* The last one that follows a log there takes the watch off. */
static void folder_leave(struct logs *l)
{
	struct streams *streams = l->session.streams;
	int folder = l->folder;

	l->folder = -1;
	if (folder < 0)
		return;
	for (struct session *s = streams->sessions; s; s = s->next)
		if (s->free == session_free_logs && ((struct logs *)s)->folder == folder)
			return;
	(void)inotify_rm_watch(streams->inotify, folder);
}

static void finish(struct logs *l)
{
	struct request *req = l->req;

	l->req = NULL;
	if (req)
		request_end(req, NULL, 0);
	loop_timer_clear(l->session.streams->loop, &l->timer);
	folder_leave(l);
	session_end(&l->session);
}

/* Renamed by a rotation: what is written now is in a new file. False: there is none (yet). */
static bool file_is_new(const struct logs *l)
{
	struct stat here, there;

	return fstat(l->fd, &here) == 0 && stat(l->path, &there) == 0 &&
	       (here.st_ino != there.st_ino || here.st_dev != there.st_dev);
}

static bool container_lives(const struct logs *l)
{
	const struct sandbox_status *s = node_sandbox(l->session.streams->node, l->session.uid);

	for (size_t i = 0; s && i < s->container_count; i++)
		if (span_equal(s->containers[i].name, l->session.container) &&
		    s->containers[i].attempt == l->session.attempt)
			return s->containers[i].state != CONTAINER_EXITED && s->is_ready;
	return false;
}

static void look_again(struct timer *t)
{
	go_on(CONTAINER_OF(t, struct logs, timer));
}

/* Each session whose folder has changed goes on. */
static void folders_changed(struct watch *w, unsigned events)
{
	struct streams *streams = CONTAINER_OF(w, struct streams, folders);
	char bytes[4096] __attribute__((aligned(__alignof__(struct inotify_event))));
	ssize_t n;

	(void)events;
	n = read(streams->inotify, bytes, sizeof(bytes)); /* once: while logs are written there is always more */
	for (ssize_t at = 0; at < n;) {
		const struct inotify_event *e = (const struct inotify_event *)(bytes + at);

		at += (ssize_t)(sizeof(*e) + e->len);
		for (struct session *s = streams->sessions, *next; s; s = next) {
			next = s->next;
			if (s->free == session_free_logs && !s->is_over &&
			    (e->wd == ((struct logs *)s)->folder || e->mask & IN_Q_OVERFLOW))
				go_on((struct logs *)s);
		}
	}
}

/* The folder is watched, not the file: a rotation makes a new file there. */
static bool follow_begin(struct logs *l, struct error *err)
{
	struct streams *s = l->session.streams;
	char folder[PATH_MAX];

	if (s->inotify < 0) {
		s->inotify = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
		if (s->inotify < 0)
			return error_errno(err, errno, "following a log (see fs.inotify.max_user_instances)");
		loop_watch(s->loop, &s->folders, s->inotify, LOOP_READ, folders_changed);
	}
	memcpy(folder, l->path, sizeof(folder));
	*strrchr(folder, '/') = '\0';
	l->folder = inotify_add_watch(s->inotify, folder,
				      IN_MODIFY | IN_CREATE | IN_MOVED_TO | IN_CLOSE_WRITE | IN_DELETE_SELF);
	return l->folder >= 0 || error_errno(err, errno, "following a log (see fs.inotify.max_user_watches)");
}

/* At the end of what is written: is there more to come? */
static void end_reached(struct logs *l, bool is_new)
{
	int fd;

	if (!l->follows) {
		finish(l);
		return;
	}
	if (is_new) {
		fd = open(l->path, O_RDONLY | O_CLOEXEC);
		if (fd >= 0) {
			close(l->fd);
			l->fd = fd;
			l->offset = 0;
			loop_timer_set(l->session.streams->loop, &l->timer, loop_now(l->session.streams->loop),
				       look_again);
			return;
		}
	}
	if (!container_lives(l)) {
		l->follows = false; /* what was written before its end was known is read first */
		loop_timer_set(l->session.streams->loop, &l->timer, loop_now(l->session.streams->loop) + LOOK_AGAIN_NS,
			       look_again);
	}
}

static void go_on(struct logs *l)
{
	static char bytes[READ_BYTES];
	bool is_new = false;
	ssize_t n = 1;

	while (l->req && l->left > 0 && request_unsent(l->req) < UNSENT_HIGH) {
		n = pread(l->fd, bytes, sizeof(bytes), l->offset);
		if (n > 0) {
			l->offset += n;
			lines_send(l, span_from(bytes, (size_t)n));
			continue;
		}
		if (is_new || !l->follows || !file_is_new(l))
			break;
		is_new = true; /* what was written before it was renamed is read, too */
	}
	if (!l->req)
		return;
	if (l->left <= 0)
		finish(l);
	else if (n <= 0)
		end_reached(l, is_new);
}

/* ---- the beginning ---- */

static void writable(struct request *req)
{
	go_on(request_owner(req));
}

static void gone(struct request *req, const struct error *why)
{
	struct logs *l = request_owner(req);

	(void)why;
	l->req = NULL;
	finish(l);
}

static void stop(struct session *s)
{
	finish((struct logs *)s);
}

static void session_free_logs(struct session *s)
{
	struct logs *l = (struct logs *)s;

	if (l->fd >= 0)
		close(l->fd);
	buffer_done(&l->line);
}

/* The end of a container writes nothing: whoever follows its log has to be told. */
void logs_look(struct session *s)
{
	struct logs *l = (struct logs *)s;

	if (s->free == session_free_logs && l->req && l->follows && !timer_is_set(&l->timer))
		loop_timer_set(s->streams->loop, &l->timer, loop_now(s->streams->loop), look_again);
}

static int64_t query_number(struct kube_call *call, const char *name, int64_t otherwise)
{
	struct span text = { 0 };
	int64_t n;

	return request_query(call->req, span_of(name), &text) && number_parse_int64(text, &n) ? n : otherwise;
}

static void since_set(struct logs *l, int64_t wall_ns)
{
	size_t len = clock_print_rfc3339(wall_ns, l->since);

	while (len && (l->since[len - 1] == 'Z' || l->since[len - 1] == '0'))
		len--;
	if (len && l->since[len - 1] == '.')
		len--;
	l->since[len] = '\0';
}

static bool since_read(struct logs *l, struct kube_call *call)
{
	int64_t seconds = query_number(call, "sinceSeconds", -1);
	struct span text = { 0 };

	if (seconds >= 0)
		since_set(l, kube_wall_ns(call->kube) - MIN(seconds, INT64_C(1) << 32) * NS_PER_S);
	if (!request_query(call->req, SPAN("sinceTime"), &text) || !text.len)
		return true;
	if (!clock_parse_rfc3339(text, &seconds)) {
		streams_refuse(call, 400, "BadRequest", "sinceTime '" SPAN_FMT "' is no time as in RFC 3339",
			       SPAN_ARG(span_first(text, 60)));
		return false;
	}
	since_set(l, seconds * NS_PER_S);
	return true;
}

static bool stream_read(struct logs *l, struct kube_call *call)
{
	struct span stream = { 0 };

	l->has_out = l->has_err = true;
	if (!request_query(call->req, SPAN("stream"), &stream) || span_equal(stream, SPAN("All")))
		return true;
	l->has_out = span_equal(stream, SPAN("Stdout"));
	l->has_err = span_equal(stream, SPAN("Stderr"));
	if (!l->has_out && !l->has_err)
		streams_refuse(call, 400, "BadRequest", "stream '" SPAN_FMT "' is none of All, Stdout, Stderr",
			       SPAN_ARG(span_first(stream, 60)));
	return l->has_out || l->has_err;
}

/* Why the container has no log yet, in the words that clients know. */
static void refuse_absent(struct kube_call *call, const struct node_question *q, bool is_previous)
{
	static const char *const lists[] = { "status.containerStatuses", "status.initContainerStatuses",
					     "status.ephemeralContainerStatuses" };
	struct span name = value_find_string(q->object, "metadata.name"), reason = SPAN("ContainerCreating");

	if (is_previous) {
		streams_refuse(call, 400, "BadRequest",
			       "previous terminated container \"" SPAN_FMT "\" in pod \"" SPAN_FMT "\" not found",
			       SPAN_ARG(q->container), SPAN_ARG(name));
		return;
	}
	for (size_t i = 0; i < ARRAY_LEN(lists); i++) {
		const struct value *list = value_find(q->object, lists[i]);

		for (uint32_t j = 0; j < value_count(list); j++) {
			const struct value *c = value_item(list, j);
			struct span why = value_find_string(c, "state.waiting.reason");

			if (span_equal(value_find_string(c, "name"), q->container) && why.len)
				reason = why;
		}
	}
	streams_refuse(call, 400, "BadRequest",
		       "container \"" SPAN_FMT "\" in pod \"" SPAN_FMT "\" is waiting to start: " SPAN_FMT,
		       SPAN_ARG(q->container), SPAN_ARG(name), SPAN_ARG(reason));
}

static bool file_open(struct logs *l, struct kube_call *call, const struct node_question *q)
{
	bool is_previous = query_is(call, "previous");
	struct error err = { 0 };
	int64_t attempt = 0;
	struct span number;

	l->session.uid = arena_copy(&l->session.arena, value_find_string(q->object, "metadata.uid"), &err);
	l->session.container = arena_copy(&l->session.arena, q->container, &err);
	if (node_log_path(l->session.streams->node, q->object, q->container, is_previous ? -2 : -1, l->path,
			  sizeof(l->path), &err))
		l->fd = open(l->path, O_RDONLY | O_CLOEXEC);
	if (l->fd < 0) {
		refuse_absent(call, q, is_previous);
		return false;
	}
	/* The attempt is the file's name: ".../main/2.log". */
	number = span_of(strrchr(l->path, '/') + 1);
	number.len -= MIN(number.len, strlen(".log"));
	(void)number_parse_int64(number, &attempt);
	l->session.attempt = (uint32_t)attempt;
	return true;
}

void logs_begin(struct streams *s, struct kube_call *call, const struct node_question *q)
{
	static const struct request_flow flow = { .writable = writable, .gone = gone };
	static const struct header type = { SPAN_INIT("content-type"), SPAN_INIT("text/plain") };
	struct logs *l = session_new(s, call, sizeof(*l), stop, session_free_logs);
	struct request *req = call->req;
	struct error err = { 0 };
	int64_t tail;

	if (!l)
		return;
	l->fd = l->folder = -1;
	buffer_init(&l->line, LINE_MOST);
	l->has_times = query_is(call, "timestamps");
	l->follows = query_is(call, "follow");
	l->left = query_number(call, "limitBytes", INT64_MAX);
	tail = query_number(call, "tailLines", -1);
	if (!since_read(l, call) || !stream_read(l, call) || !file_open(l, call, q)) {
		session_end(&l->session);
		return;
	}
	if (tail >= 0)
		l->offset = tail_offset(l->fd, tail);
	if (l->follows && !follow_begin(l, &err)) {
		kube_fail(call, &err);
		l->req = NULL;
		finish(l);
		return;
	}
	l->req = req;
	request_open(req, &flow, l);
	kube_leave(call);
	request_head(req, 200, (struct span){ 0 }, &type, 1);
	go_on(l);
}
