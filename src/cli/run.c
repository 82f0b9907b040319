/* SPDX-License-Identifier: Apache-2.0 */
/* run - a command as a pod: it is started, its output streams here, and its exit code is ours. */
#include <ctype.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/random.h"
#include "cli/cause.h"
#include "cli/options.h"
#include "cli/view.h"
#include "loop/loop.h"
#include "wire/json.h"

enum { NAME_MOST = 40, SUFFIX_LENGTH = 5 };
#define ASK_AGAIN_NS (200 * NS_PER_MS)
#define PATIENCE_NS  (60 * NS_PER_S) /* with a server that does not answer: it may be replaced, or started again */

struct run {
	const struct cli_call *call;
	const struct run_options *options;
	struct view view;
	const char *name, *name_space;
	struct span path; /* of the pod */
	bool has_begun, has_ended, was_interrupted;
	struct buffer lines; /* of a watch, so far */
	struct value pod;    /* as last seen */
	size_t said, unsaid; /* bytes of the log: shown, and of these to come once more */
	int64_t lost_ns;     /* since when the server has not answered; 0: it has */
};

/* ---- the pod ---- */

/* "train.py" becomes "train-x2b7s". */
static const char *name_make(const struct run *r, struct error *err)
{
	static const char letters[] = "bcdfghjklmnpqrstvwxz2456789"; /* as names that the API server makes */
	const char *command = r->call->arguments[0], *base = strrchr(command, '/');
	char name[NAME_MOST + 1 + SUFFIX_LENGTH + 1];
	size_t len = 0;

	if (r->options->name)
		return r->options->name;
	for (base = base ? base + 1 : command; *base && *base != '.' && len < NAME_MOST; base++)
		if (isalnum((unsigned char)*base) || (len && (*base == '-' || *base == '_')))
			name[len++] = isalnum((unsigned char)*base) ? (char)tolower((unsigned char)*base) : '-';
	while (len && name[len - 1] == '-')
		len--;
	if (!len)
		len = (size_t)snprintf(name, sizeof(name), "run");
	name[len++] = '-';
	for (int i = 0; i < SUFFIX_LENGTH; i++)
		name[len++] = letters[random_fast() % (sizeof(letters) - 1)];
	return arena_copy(r->call->arena, span_from(name, len), err).ptr;
}

static void member(struct json_writer *w, const char *name, struct span value)
{
	json_key(w, span_of(name));
	json_string(w, value);
}

static bool environment_print(const struct run *r, struct json_writer *w, struct error *err)
{
	json_key(w, SPAN("env"));
	json_open_array(w);
	for (size_t i = 0; i < r->options->env.count; i++) {
		struct span rest = span_of(r->options->env.items[i]), name = span_cut(&rest, '=');
		const char *own = NULL;

		if (!strchr(r->options->env.items[i], '=')) {
			own = getenv(r->options->env.items[i]);
			if (!own)
				return error_set(err, ERROR_INVALID, "--env %s: it has no value here: give NAME=VALUE",
						 r->options->env.items[i]);
			rest = span_of(own);
		}
		json_open_object(w);
		member(w, "name", name);
		member(w, "value", rest);
		json_close_object(w);
	}
	json_close_array(w);
	return true;
}

static void resources_print(const struct run *r, struct json_writer *w)
{
	json_key(w, SPAN("resources"));
	json_open_object(w);
	if (r->options->cpu || r->options->memory) {
		json_key(w, SPAN("limits"));
		json_open_object(w);
		if (r->options->cpu)
			member(w, "cpu", span_of(r->options->cpu));
		if (r->options->memory)
			member(w, "memory", span_of(r->options->memory));
		json_close_object(w);
	}
	json_close_object(w);
}

/* The current folder is there, to be read and written, wherever the pod's own /tmp and hidden places would be. */
static void folder_print(struct json_writer *w, const char *here, bool is_mount)
{
	json_key(w, is_mount ? SPAN("volumeMounts") : SPAN("volumes"));
	json_open_array(w);
	json_open_object(w);
	member(w, "name", SPAN("here"));
	if (is_mount) {
		member(w, "mountPath", span_of(here));
	} else {
		json_key(w, SPAN("hostPath"));
		json_open_object(w);
		member(w, "path", span_of(here));
		json_close_object(w);
	}
	json_close_object(w);
	json_close_array(w);
}

static bool pod_print(const struct run *r, struct buffer *out, struct error *err)
{
	static const char *const policies[] = { "Never", "OnFailure", "Always" };
	struct json_writer w = json_writer(out);
	AUTO_FREE char *here = getcwd(NULL, 0);

	if (!here)
		return error_errno(err, errno, "the current folder");
	json_open_object(&w);
	member(&w, "apiVersion", SPAN("v1"));
	member(&w, "kind", SPAN("Pod"));
	json_key(&w, SPAN("metadata"));
	json_open_object(&w);
	member(&w, "name", span_of(r->name));
	json_key(&w, SPAN("labels"));
	json_open_object(&w);
	member(&w, "run", span_of(r->name));
	json_close_object(&w);
	json_close_object(&w);
	json_key(&w, SPAN("spec"));
	json_open_object(&w);
	member(&w, "restartPolicy", span_of(policies[r->options->restart]));
	member(&w, "runtimeClassName", SPAN("process"));
	json_key(&w, SPAN("containers"));
	json_open_array(&w);
	json_open_object(&w);
	member(&w, "name", SPAN("main"));
	member(&w, "image", SPAN("process")); /* of no use to a process, but the API asks for one */
	member(&w, "workingDir", span_of(here));
	json_key(&w, SPAN("command"));
	json_open_array(&w);
	for (size_t i = 0; i < r->call->argument_count; i++)
		json_string(&w, span_of(r->call->arguments[i]));
	json_close_array(&w);
	if (!environment_print(r, &w, err))
		return false;
	resources_print(r, &w);
	if (here[1])
		folder_print(&w, here, true);
	json_close_object(&w);
	json_close_array(&w);
	if (here[1])
		folder_print(&w, here, false);
	json_close_object(&w);
	json_close_object(&w);
	return buffer_ok(out, "the pod", err);
}

static bool pod_create(struct run *r, struct error *err)
{
	struct arena *arena = r->call->arena;
	struct buffer body;
	struct span path;
	bool is_good;

	r->name = name_make(r, err);
	path = arena_print(arena, err, "/api/v1/namespaces/%s/pods", r->name_space);
	r->path = arena_print(arena, err, SPAN_FMT "/%s", SPAN_WHOLE(path), r->name ? r->name : "");
	if (!r->name || !path.ptr || !r->path.ptr)
		return false;
	buffer_init(&body, MIB(3));
	is_good = pod_print(r, &body, err) &&
		  api_call(r->view.api, "POST", path.ptr, NULL, buffer_span(&body), arena, &r->pod, err);
	buffer_done(&body);
	return is_good;
}

/* ---- how it is ---- */

static const struct value *container_state(const struct run *r)
{
	const struct value *list = value_find(&r->pod, "status.containerStatuses");

	return value_is(list, VALUE_ARRAY) && list->array.count ? value_get(value_item(list, 0), SPAN("state")) : NULL;
}

/* Something that will not pass by itself. */
static bool is_stuck(const struct run *r)
{
	struct span reason = value_find_string(container_state(r), "waiting.reason");

	return reason.len && !span_equal(reason, SPAN("ContainerCreating")) &&
	       !span_equal(reason, SPAN("PodInitializing"));
}

static void pod_look(struct run *r)
{
	const struct value *state = container_state(r);
	struct span phase = value_find_string(&r->pod, "status.phase");

	r->has_ended = span_equal(phase, SPAN("Succeeded")) || span_equal(phase, SPAN("Failed"));
	r->has_begun =
	    r->has_ended || value_get(state, SPAN("running")) || value_get(state, SPAN("terminated")) || is_stuck(r);
}

/* One event of a watch is one line. False: seen enough. */
static bool event_take(struct run *r, struct span line, bool until_end)
{
	struct error ignored = { 0 };
	struct value event;
	struct span text = arena_copy(r->call->arena, line, &ignored);

	if (!text.ptr || !value_parse(text, NULL, r->call->arena, &event, &ignored))
		return true;
	if (span_equal(value_find_string(&event, "type"), SPAN("DELETED"))) {
		r->has_begun = r->has_ended = true;
		return false;
	}
	if (span_equal(value_find_string(&event, "type"), SPAN("ERROR")))
		return false; /* as a watch that ends */
	if (!value_get(&event, SPAN("object")))
		return true;
	r->pod = *value_get(&event, SPAN("object"));
	pod_look(r);
	return until_end ? !r->has_ended : !r->has_begun;
}

static bool watch_take(struct run *r, struct span bytes, bool until_end)
{
	buffer_append(&r->lines, bytes);
	for (;;) {
		struct span all = buffer_span(&r->lines);
		size_t end = span_index(all, '\n');

		if (end == all.len)
			return true;
		if (!event_take(r, span_first(all, end), until_end))
			return false;
		buffer_drop(&r->lines, end + 1);
	}
}

static bool begun_take(void *context, struct span bytes)
{
	return watch_take(context, bytes, false);
}

static bool end_take(void *context, struct span bytes)
{
	return watch_take(context, bytes, true);
}

/* The server ends watches after a while, and may be replaced: pods go on. */
static bool may_ask_again(struct run *r, struct error *err)
{
	const struct timespec a_little = { .tv_nsec = ASK_AGAIN_NS };
	int64_t now = clock_monotonic_ns();

	if (err->code != ERROR_UNAVAILABLE && err->code != ERROR_GONE)
		return false;
	if (!r->lost_ns)
		r->lost_ns = now;
	if (now - r->lost_ns >= PATIENCE_NS)
		return false;
	*err = (struct error){ 0 };
	(void)nanosleep(&a_little, NULL);
	return true;
}

static bool pod_get(struct run *r, struct error *err)
{
	struct value pod;

	if (api_get(r->view.api, r->path.ptr, r->call->arena, &pod, err)) {
		r->pod = pod;
		pod_look(r);
	} else if (err->code == ERROR_NOT_FOUND) {
		*err = (struct error){ 0 };
		r->has_begun = r->has_ended = true;
	} else {
		return false;
	}
	r->lost_ns = 0;
	return true;
}

static bool pod_watch(struct run *r, bool until_end, struct error *err)
{
	struct span path = arena_print(
	    r->call->arena, err,
	    "/api/v1/namespaces/%s/pods?watch=true&fieldSelector=metadata.name%%3D%s&resourceVersion=" SPAN_FMT,
	    r->name_space, r->name, SPAN_WHOLE(value_find_string(&r->pod, "metadata.resourceVersion")));
	bool is_good;

	if (!path.ptr)
		return false;
	buffer_init(&r->lines, MIB(4));
	is_good = api_stream(r->view.api, path.ptr, until_end ? end_take : begun_take, r, err);
	buffer_done(&r->lines);
	return is_good;
}

static bool pod_wait(struct run *r, bool until_end, struct error *err)
{
	for (;;) {
		bool is_good = pod_get(r, err);

		if (is_good && (until_end ? r->has_ended : r->has_begun))
			return true;
		if (!(is_good && pod_watch(r, until_end, err)) && !may_ask_again(r, err))
			return false;
	}
}

static bool log_take(void *context, struct span bytes)
{
	struct run *r = context;
	size_t known = MIN(bytes.len, r->unsaid);

	r->lost_ns = 0;
	r->unsaid -= known;
	bytes = span_skip(bytes, known);
	r->said += bytes.len;
	return fwrite(bytes.ptr, 1, bytes.len, stdout) == bytes.len && fflush(stdout) == 0;
}

static bool log_follow(struct run *r, bool from_now, struct error *err)
{
	struct span path = arena_print(r->call->arena, err, SPAN_FMT "/log?container=main&follow=true%s",
				       SPAN_WHOLE(r->path), from_now ? "&tailLines=0" : "");

	if (!path.ptr)
		return false;
	do {
		r->unsaid = from_now ? 0 : r->said;
		if (api_stream(r->view.api, path.ptr, log_take, r, err))
			return true;
	} while (!from_now && may_ask_again(r, err));
	return false;
}

static bool pod_delete(struct run *r, struct error *err)
{
	return api_call(r->view.api, "DELETE", r->path.ptr, NULL, (struct span){ 0 }, r->call->arena, NULL, err) ||
	       err->code == ERROR_NOT_FOUND;
}

/* ---- the end ---- */

static void why_tell(struct run *r)
{
	struct cause_found found;
	const struct value *events = view_events(&r->view, &r->pod);

	if (!cause_find(&r->pod, events, (struct span){ 0 }, r->call->arena, &found))
		return;
	fprintf(stderr, "hythe run: pod/%s: " SPAN_FMT "\n", r->name, SPAN_WHOLE(found.what));
	if (found.likely.len)
		fprintf(stderr, "hythe run: likely cause: " SPAN_FMT "\n", SPAN_WHOLE(found.likely));
}

static int exit_code(struct run *r)
{
	const struct value *ended = value_get(container_state(r), SPAN("terminated"));
	int64_t code = ended ? value_find_int(ended, "exitCode", EXIT_FAILED) : EXIT_FAILED;

	if (span_equal(value_find_string(&r->pod, "status.phase"), SPAN("Succeeded")))
		return EXIT_OK;
	return code > 0 && code < 256 ? (int)code : EXIT_FAILED;
}

static void interrupted(int signal, void *context)
{
	struct run *r = context;

	(void)signal;
	if (r->was_interrupted)
		_exit(130);
	r->was_interrupted = true;
	api_interrupt(r->view.api);
}

/* Ctrl-C deletes the pod; what it still says while it ends is shown. */
static bool interrupt_heed(struct run *r, struct error *err)
{
	if (!r->was_interrupted || err->code != ERROR_CANCELLED)
		return false;
	*err = (struct error){ 0 };
	fprintf(stderr, "hythe run: ending pod/%s (again Ctrl-C: not waiting for it)\n", r->name);
	return pod_delete(r, err) && log_follow(r, true, err);
}

/* False: err, or it never began (`why_tell`). */
static bool pod_run(struct run *r, struct error *err)
{
	if (!pod_create(r, err))
		return false;
	if (r->options->detach) {
		printf("pod/%s\n", r->name);
		return true;
	}
	if (!pod_wait(r, false, err))
		return interrupt_heed(r, err);
	if (!is_stuck(r) && !log_follow(r, false, err))
		return interrupt_heed(r, err);
	return is_stuck(r) || r->has_ended || pod_wait(r, true, err) || interrupt_heed(r, err);
}

int run_run(const struct cli_call *call)
{
	static const int signals[] = { SIGINT, SIGTERM };
	const struct run_options *o = call->options;
	struct run r = { .call = call,
			 .options = o,
			 .view = { .arena = call->arena },
			 .name_space = o->name_space ? o->name_space : "default" };
	struct error err = { 0 };
	int code = EXIT_FAILED;
	bool is_good;

	loop_signals_block(signals, ARRAY_LEN(signals));
	r.view.api = api_open(&o->where, call->arena, &err);
	if (r.view.api)
		loop_on_signal(api_loop(r.view.api), signals, ARRAY_LEN(signals), interrupted, &r);
	is_good = r.view.api && pod_run(&r, &err);
	if (is_good && o->detach) {
		code = EXIT_OK;
	} else if (is_good && r.was_interrupted) {
		code = 130;
	} else if (is_good) {
		code = exit_code(&r);
		if (code != EXIT_OK)
			why_tell(&r);
		if (!o->keep && (code == EXIT_OK || is_stuck(&r)))
			(void)pod_delete(&r, &err);
		else if (code != EXIT_OK)
			fprintf(stderr, "hythe run: it is kept: `hythe why pod/%s`, `kubectl delete pod %s`\n", r.name,
				r.name);
	} else {
		cli_complain(call->command, &err);
	}
	api_close(r.view.api);
	return code;
}
