/* SPDX-License-Identifier: Apache-2.0 */
/* worker_tell - what a worker tells the cluster: events, the status, and that the object may go. */
#include "node/worker_private.h"

#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "kube/kinds/kinds.h"

#define WRITE_AGAIN_NS  (20 * NS_PER_MS)
#define WRITE_FAILED_NS (2 * NS_PER_S)
#define LOG_TAIL_BYTES  2048 /* of a termination message by FallbackToLogsOnError, and of lines: kubelet's numbers */
#define LOG_TAIL_LINES  80
#define LOG_READ_MOST   (16 << 10)

/* ---- events ---- */

static const char *list_of(struct pod_worker *w, struct span container, struct arena *arena)
{
	struct error ignored = { 0 };
	const struct value *pod = w->record && container.len
				      ? cluster_object(w->host.cluster, &resource_pods, w->record, arena, &ignored)
				      : NULL;
	const char *list = "containers";

	(void)pod_container(pod, container, &list);
	return list;
}

void worker_event(struct pod_worker *w, struct span container, const char *type, const char *reason, const char *format,
		  ...)
{
	struct value object = value_object(), metadata = value_object();
	struct error err = { 0 };
	struct arena arena;
	char text[1024];
	va_list args;

	if (w->is_stopped)
		return;
	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	arena_init(&arena, LOOK_MEMORY);
	(void)value_set(&metadata, SPAN("name"), value_string(span_of(w->name)), &arena, &err);
	(void)value_set(&metadata, SPAN("namespace"), value_string(span_of(w->name_space)), &arena, &err);
	(void)value_set(&metadata, SPAN("uid"), value_string(span_of(w->uid)), &arena, &err);
	(void)value_set(&object, SPAN("apiVersion"), value_string(SPAN("v1")), &arena, &err);
	(void)value_set(&object, SPAN("kind"), value_string(SPAN("Pod")), &arena, &err);
	(void)value_set(&object, SPAN("host"), value_string(w->host.place.node_name), &arena, &err);
	if (container.len)
		(void)value_set(&object, SPAN("fieldPath"),
				value_string(arena_print(&arena, &err, "spec.%s{%.*s}", list_of(w, container, &arena),
							 WHOLE(container))),
				&arena, &err);
	(void)value_set(&object, SPAN("metadata"), metadata, &arena, &err);
	if (!err.code)
		cluster_event(w->host.cluster, &object, type, reason, COMPONENT, text);
	arena_done(&arena);
}

/* ---- termination messages ---- */

/* "2026-11-21T03:04:05.678901Z stdout F text": the text. */
static struct span log_text(struct span line)
{
	for (int i = 0; i < 3; i++)
		(void)span_cut(&line, ' ');
	return line;
}

static struct span tail_of(struct span text, struct arena *arena, struct error *err)
{
	char *out = arena_alloc(arena, text.len + 1, err);
	struct span rest = text, result;
	size_t lines = 0, len = 0;

	for (size_t i = 0; i < text.len; i++)
		lines += text.ptr[i] == '\n';
	while (out && rest.len) {
		struct span line = span_cut(&rest, '\n'), told = log_text(line);

		if (lines-- > LOG_TAIL_LINES)
			continue;
		memcpy(out + len, told.ptr ? told.ptr : "", told.len);
		len += told.len;
		out[len++] = '\n';
	}
	result = span_from(out, out ? len : 0);
	return result.len > LOG_TAIL_BYTES ? span_skip(result, result.len - LOG_TAIL_BYTES) : result;
}

static struct span log_tail(struct pod_worker *w, const struct container_status *c, struct arena *arena)
{
	struct error err = { 0 };
	struct span path = arena_print(arena, &err, "%s/%.*s/%u.log", w->log_directory, WHOLE(c->name), c->attempt);
	char *text = arena_alloc(arena, LOG_READ_MOST, &err);
	AUTO_CLOSE int fd = path.ptr ? open(path.ptr, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK) : -1;
	struct span all;
	struct stat st;
	ssize_t len;

	if (fd < 0 || !text || fstat(fd, &st) != 0 || !S_ISREG(st.st_mode))
		return (struct span){ 0 };
	len = pread(fd, text, LOG_READ_MOST, MAX(st.st_size - LOG_READ_MOST, 0));
	all = span_from(text, len > 0 ? (size_t)len : 0);
	if (st.st_size > LOG_READ_MOST) /* what is cut at the front is no line */
		(void)span_cut(&all, '\n');
	return tail_of(all, arena, &err);
}

static struct span termination_message(void *context, const struct container_status *c)
{
	struct look *l = context;
	const struct value *spec = pod_container(l->pod, c->name, NULL);
	struct span text = { 0 };

	if (l->w->volumes)
		text = volumes_termination_message(l->w->volumes, c->name, c->attempt, l->arena);
	if (text.len || c->exit_code == 0 ||
	    !span_equal(get_text(spec, "terminationMessagePolicy"), SPAN("FallbackToLogsOnError")))
		return text;
	return log_tail(l->w, c, l->arena);
}

/* ---- the status ---- */

static size_t waits_of(struct look *l, struct status_wait **ret)
{
	size_t count = 0, most = 0;

	for (struct keeper *k = l->w->keepers; k; k = k->next)
		most++;
	*ret = ARENA_ARRAY(l->arena, struct status_wait, most + 1, &l->err);
	for (struct keeper *k = l->w->keepers; k && *ret; k = k->next)
		if (k->wait_reason)
			(*ret)[count++] =
			    (struct status_wait){ span_of(k->name), span_of(k->wait_reason), span_of(k->wait_message) };
	return count;
}

static void status_written(void *context, const struct value *object, const struct error *err)
{
	struct pod_worker *w = context;
	struct span version = value_find_string(object, "metadata.resourceVersion");

	w->is_writing = false;
	if (!err)
		snprintf(w->written_version, sizeof(w->written_version), "%.*s", WHOLE(version));
	else if (err->code == ERROR_CONFLICT)
		w->write_again_ns = worker_now(w) + WRITE_AGAIN_NS;
	else if (err->code != ERROR_NOT_FOUND) {
		w->write_again_ns = worker_now(w) + WRITE_FAILED_NS;
		if (!w->is_stopped)
			log_warn("node", "a pod's status could not be written", LOG_TEXT("namespace", w->name_space),
				 LOG_TEXT("pod", w->name), LOG_TEXT("error", err->message));
	}
	if (worker_call_end(w))
		pod_worker_wake(w);
}

static void status_write(struct look *l, struct value *status)
{
	struct pod_worker *w = l->w;
	struct cluster_write write = { .resource = &resource_pods,
				       .verb = KUBE_UPDATE,
				       .subresource = SPAN("status"),
				       .name_space = span_of(w->name_space),
				       .name = span_of(w->name),
				       .manager = SPAN(COMPONENT),
				       .object = l->pod,
				       .grace = -1,
				       .done = status_written,
				       .context = w };

	if (!value_set(l->pod, SPAN("status"), *status, l->arena, &l->err))
		return;
	w->is_writing = true;
	w->write_again_ns = 0;
	text_set(&w->written, span_of(w->told));
	worker_call_begin(w);
	cluster_write(w->host.cluster, &write);
}

/* What we wrote is not written again because the API server has it in another form. */
static bool is_settled(struct look *l, const struct value *status)
{
	if (value_equal(status, l->api_status))
		return true;
	return l->w->written && strcmp(l->w->written, l->w->told) == 0 &&
	       span_equal(l->version, span_of(l->w->written_version));
}

void status_look(struct look *l)
{
	struct pod_worker *w = l->w;
	struct status_extra extra = { .node_name = w->place.node_name,
				      .host_address = w->place.host_address,
				      .reason = span_of(w->reason),
				      .message = span_of(w->message),
				      .termination_message = termination_message,
				      .context = l };
	struct status_wait *waits;
	struct value *status;
	struct span text;

	if (w->is_gone || w->is_ending)
		return;
	extra.wait_count = waits_of(l, &waits);
	extra.waits = waits;
	status = waits ? pod_status(&l->view, &extra, l->arena, &l->err) : NULL;
	text = status ? value_print(status, l->arena, &l->err) : (struct span){ 0 };
	if (!text.ptr)
		return;
	text_set(&w->told, text);
	if (is_settled(l, status) || w->is_writing)
		return;
	if (w->write_again_ns > l->now_ns)
		look_again(l, w->write_again_ns);
	else
		status_write(l, status);
}

/* ---- the end of the object ---- */

static void object_deleted(void *context, const struct value *object, const struct error *err)
{
	struct pod_worker *w = context;

	(void)object;
	w->is_deleting = false;
	/* A finalizer may still hold it: then it goes when that does. */
	w->is_deleted = !err || err->code == ERROR_NOT_FOUND || err->code == ERROR_CONFLICT;
	if (!w->is_deleted)
		w->write_again_ns = worker_now(w) + WRITE_FAILED_NS;
	if (worker_call_end(w))
		pod_worker_wake(w);
}

void object_end(struct look *l)
{
	struct pod_worker *w = l->w;
	struct cluster_write write = { .resource = &resource_pods,
				       .verb = KUBE_DELETE,
				       .name_space = span_of(w->name_space),
				       .name = span_of(w->name),
				       .manager = SPAN(COMPONENT),
				       .uid = span_of(w->uid),
				       .grace = 0,
				       .done = object_deleted,
				       .context = w };

	if (w->is_gone || w->is_writing || w->is_deleting || w->is_deleted)
		return;
	if (w->write_again_ns > l->now_ns) {
		look_again(l, w->write_again_ns);
		return;
	}
	w->is_deleting = true;
	worker_call_begin(w);
	cluster_write(w->host.cluster, &write);
}
