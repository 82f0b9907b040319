/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/cause.h"

#include <string.h>

/* ---- what logs tell ---- */

/* Words of a log, and what they mean. The last line that has one counts. */
static const struct {
	const char *words, *meaning;
} log_rules[] = {
	{ "Address already in use",
	  "its port is taken: two processes of the pod listen on the same one, or the pod has hostNetwork" },
	{ "EADDRINUSE",
	  "its port is taken: two processes of the pod listen on the same one, or the pod has hostNetwork" },
	{ "ModuleNotFoundError",
	  "a Python package is missing: install it for the interpreter that the command starts" },
	{ "ImportError", "a Python package cannot be imported: it is missing, or of another version" },
	{ "SyntaxError", "the program has an error in its text" },
	{ "Read-only file system", "it writes outside of its volumes and /tmp: mount a volume there, or set "
				   "securityContext.readOnlyRootFilesystem: false" },
	{ "Permission denied",
	  "it may not do that as the user it runs as: see securityContext, and the owner of the file" },
	{ "Operation not permitted", "it may not do that: see securityContext.capabilities" },
	{ "No space left on device", "a volume or the disk is full" },
	{ "Disk quota exceeded", "a volume or the disk is full" },
	{ "MemoryError", "memory ran out: raise resources.limits.memory" },
	{ "Cannot allocate memory", "memory ran out: raise resources.limits.memory" },
	{ "Resource temporarily unavailable", "it has as many processes as it may have" },
	{ "Connection refused", "something it depends on does not listen" },
	{ "Name or service not known", "a name it asks for is not known: is the service there, in this namespace?" },
	{ "Temporary failure in name resolution", "names cannot be looked up: see --pod-egress" },
	{ "Network is unreachable", "it may not reach that address: see --pod-egress" },
	{ "No such file or directory", "a file it needs is not there: a path is wrong, or a volume is missing" },
	{ "FileNotFoundError", "a file it needs is not there: a path is wrong, or a volume is missing" },
	{ "KeyError", "a key is missing: an environment variable, perhaps" },
	{ "Killed", "a process of it was killed: for memory, perhaps" },
};

/* Out of memory is no reason to say nothing: then it is empty. */
#define say(arena, ...) arena_print((arena), &(struct error){ 0 }, __VA_ARGS__)

struct span cause_in_log(struct span log, struct arena *arena)
{
	struct span best = { 0 };
	const char *meaning = NULL;

	while (log.len) {
		struct span line = span_cut(&log, '\n');

		for (size_t i = 0; i < ARRAY_LEN(log_rules); i++) {
			if (!memmem(line.ptr, line.len, log_rules[i].words, strlen(log_rules[i].words)))
				continue;
			best = span_trim(line);
			meaning = log_rules[i].meaning;
			break;
		}
	}
	if (!meaning)
		return best;
	return say(arena, "its log says \"" SPAN_FMT "\": %s", SPAN_WHOLE(span_first(best, 200)), meaning);
}

/* ---- exit codes ---- */

static const struct {
	int code;
	const char *meaning;
} exit_rules[] = {
	{ 126, "the command is there, but cannot be executed: is it marked executable, and for this machine?" },
	{ 127, "a command was not found: see PATH and the spelling" },
	{ 132, "it ran an instruction that this processor lacks (SIGILL): a library built for another one" },
	{ 134, "it gave up by itself (SIGABRT): see its last lines" },
	{ 135, "a bus error (SIGBUS): a memory-mapped file became shorter, or /dev/shm is full" },
	{ 136, "a division by zero, or another fault of arithmetic (SIGFPE)" },
	{ 137,
	  "it was killed (SIGKILL): by its liveness probe, by somebody, or it did not end within its grace period" },
	{ 139, "it touched memory that is not its own (SIGSEGV): a native library of it is broken, perhaps" },
	{ 143, "it was told to end (SIGTERM), and did" },
};

static struct span meaning_of_exit(int64_t code)
{
	for (size_t i = 0; i < ARRAY_LEN(exit_rules); i++)
		if (exit_rules[i].code == code)
			return span_of(exit_rules[i].meaning);
	return (struct span){ 0 };
}

/* ---- events ---- */

static struct span time_of_event(const struct value *event)
{
	static const char *const places[] = { "series.lastObservedTime", "lastTimestamp", "eventTime",
					      "metadata.creationTimestamp" };
	struct span time = { 0 };

	for (size_t i = 0; i < ARRAY_LEN(places) && !time.len; i++)
		time = value_find_string(event, places[i]);
	return time;
}

/* The message of the newest event with this reason. */
static struct span event_message(const struct value *events, const char *reason)
{
	struct span message = { 0 }, newest = { 0 };

	for (uint32_t i = 0; i < value_count(events); i++) {
		const struct value *e = value_item(events, i);
		struct span time = time_of_event(e);

		if (!span_equal(value_find_string(e, "reason"), span_of(reason)) || span_order(time, newest) < 0)
			continue;
		newest = time;
		message = value_find_string(e, "message");
	}
	return message;
}

/* ---- containers ---- */

struct looking {
	const struct value *pod, *events;
	struct span log;
	struct arena *arena;
	struct cause_found *ret;
};

static const struct value *container_spec(const struct value *pod, struct span name)
{
	static const char *const lists[] = { "spec.containers", "spec.initContainers" };

	for (size_t i = 0; i < ARRAY_LEN(lists); i++) {
		const struct value *list = value_find(pod, lists[i]);

		for (uint32_t j = 0; j < value_count(list); j++)
			if (span_equal(value_find_string(value_item(list, j), "name"), name))
				return value_item(list, j);
	}
	return NULL;
}

static struct span how_it_ended(struct looking *l, const struct value *ended)
{
	struct span reason = value_find_string(ended, "reason"), message = value_find_string(ended, "message");
	long long code = (long long)value_find_int(ended, "exitCode", 0);

	if (span_equal(reason, SPAN("OOMKilled")))
		return SPAN("killed for memory (OOMKilled)");
	if (span_equal(reason, SPAN("StartError")) || span_equal(reason, SPAN("ContainerCannotRun")))
		return say(l->arena, "could not be started: " SPAN_FMT, SPAN_WHOLE(message));
	if (code == 0)
		return SPAN("ended with exit code 0");
	return say(l->arena, "ended with exit code %lld", code);
}

static struct span why_it_ended(struct looking *l, const struct value *status, const struct value *ended)
{
	struct span name = value_find_string(status, "name"), reason = value_find_string(ended, "reason");
	const struct value *spec = container_spec(l->pod, name);
	struct span limit = value_find_string(spec, "resources.limits.memory"), in_log, meaning;
	struct span unhealthy = event_message(l->events, "Unhealthy");
	int64_t code = value_find_int(ended, "exitCode", 0);

	if (span_equal(reason, SPAN("OOMKilled")))
		return say(l->arena,
			   "it needs more memory than its limit of " SPAN_FMT ": raise resources.limits.memory",
			   SPAN_WHOLE(limit.len ? limit : SPAN("the pod")));
	if (span_equal(reason, SPAN("StartError")) || span_equal(reason, SPAN("ContainerCannotRun")))
		return SPAN("the command, its folder or its user is wrong: see the message");
	if (code == 0)
		return SPAN("the program ends though it is meant to run on: make it a Job, or let it serve until it is "
			    "told to end");
	in_log = cause_in_log(l->log, l->arena);
	if (in_log.len)
		return in_log;
	if ((code == 137 || code == 143) && memmem(unhealthy.ptr ? unhealthy.ptr : "", unhealthy.len, "iveness", 7))
		return say(l->arena, "its liveness probe killed it: " SPAN_FMT, SPAN_WHOLE(unhealthy));
	meaning = meaning_of_exit(code);
	return meaning.len ? meaning : SPAN("the program ended by itself: its last lines should say why");
}

static void found(struct looking *l, const struct value *status, struct span what, struct span likely)
{
	l->ret->what = say(l->arena, "container " SPAN_FMT ": " SPAN_FMT, SPAN_WHOLE(value_find_string(status, "name")),
			   SPAN_WHOLE(what));
	l->ret->likely = likely;
}

static bool waiting_tells(struct looking *l, const struct value *status)
{
	struct span reason = value_find_string(status, "state.waiting.reason");
	struct span message = value_find_string(status, "state.waiting.message"), mount;
	const struct value *last = value_find(status, "lastState.terminated");
	long long restarts = (long long)value_find_int(status, "restartCount", 0);

	if (span_equal(reason, SPAN("CrashLoopBackOff")) && last) {
		found(l, status,
		      say(l->arena, SPAN_FMT ", %lld restarts; waits before the next (CrashLoopBackOff)",
			  SPAN_WHOLE(how_it_ended(l, last)), restarts),
		      why_it_ended(l, status, last));
		l->ret->container = value_find_string(status, "name");
		l->ret->is_previous = true;
		l->ret->since = value_find_string(last, "finishedAt");
		return true;
	}
	if (span_equal(reason, SPAN("ContainerCreating")) || span_equal(reason, SPAN("PodInitializing"))) {
		mount = event_message(l->events, "FailedMount");
		if (!mount.len)
			mount = event_message(l->events, "FailedCreatePodSandBox");
		if (!mount.len)
			return false;
		found(l, status, mount,
		      SPAN("what the pod refers to is not there, or cannot be used: it begins once it is"));
		return true;
	}
	if (!reason.len)
		return false;
	found(l, status, say(l->arena, SPAN_FMT ": " SPAN_FMT, SPAN_WHOLE(reason), SPAN_WHOLE(message)),
	      span_equal(reason, SPAN("CreateContainerConfigError"))
		  ? SPAN("what its environment refers to is not there: make the ConfigMap or Secret, or mark the "
			 "reference optional")
		  : (struct span){ 0 });
	return true;
}

static bool ended_tells(struct looking *l, const struct value *status, bool is_init)
{
	const struct value *ended = value_find(status, "state.terminated");
	struct span policy = value_find_string(l->pod, "spec.restartPolicy");

	if (!ended || (value_find_int(ended, "exitCode", 0) == 0 && (is_init || !span_equal(policy, SPAN("Always")))))
		return false;
	found(l, status, how_it_ended(l, ended), why_it_ended(l, status, ended));
	l->ret->container = value_find_string(status, "name");
	l->ret->since = value_find_string(ended, "finishedAt");
	return true;
}

static bool readiness_tells(struct looking *l, const struct value *status)
{
	const struct value *ready = value_get(status, SPAN("ready"));
	struct span unhealthy = event_message(l->events, "Unhealthy"), in_log;

	if (!value_find(status, "state.running") || !ready || ready->boolean)
		return false;
	in_log = cause_in_log(l->log, l->arena);
	found(l, status, unhealthy.len ? unhealthy : SPAN("runs, but is not ready"),
	      in_log.len      ? in_log
	      : unhealthy.len ? SPAN("the probe asks for a port or path that the program does not serve (yet), or it "
				     "answers too slowly")
			      : SPAN("its readiness probe has not succeeded yet"));
	l->ret->container = value_find_string(status, "name");
	l->ret->since = value_find_string(status, "state.running.startedAt");
	return true;
}

static bool containers_tell(struct looking *l, const char *path, bool is_init)
{
	const struct value *list = value_find(l->pod, path);

	for (uint32_t i = 0; i < value_count(list); i++) {
		const struct value *status = value_item(list, i);

		if (waiting_tells(l, status) || ended_tells(l, status, is_init) ||
		    (!is_init && readiness_tells(l, status)))
			return true;
	}
	return false;
}

/* ---- pods ---- */

static const struct value *condition(const struct value *pod, const char *type)
{
	const struct value *list = value_find(pod, "status.conditions");

	for (uint32_t i = 0; i < value_count(list); i++)
		if (span_equal(value_find_string(value_item(list, i), "type"), span_of(type)))
			return value_item(list, i);
	return NULL;
}

/* By the scheduler's words. */
static const struct {
	const char *words, *likely;
} no_places[] = {
	{ "Insufficient",
	  "it requests more than is left: lower resources.requests, or end something else (hythe top nodes)" },
	{ "taint", "the node is not ready, or kept for others (kubectl describe node)" },
	{ "free ports", "another pod has this port of the machine (hostPort): end it, or use a Service" },
	{ "node affinity/selector",
	  "no node has the labels that it asks for (nodeSelector, affinity; kubectl get nodes --show-labels)" },
	{ "unbound immediate PersistentVolumeClaims", "nothing makes a volume for its claim, or none that is there "
						      "fits: is its storageClassName one of `kubectl get "
						      "storageclasses`? (kubectl describe pvc)" },
	{ "Too many pods", "the node has as many pods as it takes: end some" },
};

static bool scheduling_tells(struct looking *l)
{
	const struct value *scheduled = condition(l->pod, "PodScheduled");
	struct span message = value_find_string(scheduled, "message");

	if (!scheduled || !span_equal(value_find_string(scheduled, "status"), SPAN("False")))
		return false;
	l->ret->what = say(l->arena, "has no place to run: " SPAN_FMT, SPAN_WHOLE(message));
	l->ret->since = value_find_string(scheduled, "lastTransitionTime");
	for (size_t i = 0; i < ARRAY_LEN(no_places) && !l->ret->likely.len; i++)
		if (message.len && memmem(message.ptr, message.len, no_places[i].words, strlen(no_places[i].words)))
			l->ret->likely = span_of(no_places[i].likely);
	return true;
}

bool cause_find(const struct value *pod, const struct value *events, struct span log, struct arena *arena,
		struct cause_found *ret)
{
	struct looking l = { .pod = pod, .events = events, .log = log, .arena = arena, .ret = ret };
	struct span phase = value_find_string(pod, "status.phase"), reason = value_find_string(pod, "status.reason");
	const struct value *ready = condition(pod, "Ready");

	*ret = (struct cause_found){ .since = value_find_string(ready, "lastTransitionTime") };
	if (span_equal(phase, SPAN("Succeeded")))
		return false;
	if (reason.len) {
		ret->what = say(arena, SPAN_FMT ": " SPAN_FMT, SPAN_WHOLE(reason),
				SPAN_WHOLE(value_find_string(pod, "status.message")));
		if (span_equal(reason, SPAN("Evicted")))
			ret->likely =
			    SPAN("the node ran out of memory or disk: set requests and limits to what it needs");
		return true;
	}
	if (scheduling_tells(&l) || containers_tell(&l, "status.initContainerStatuses", true) ||
	    containers_tell(&l, "status.containerStatuses", false))
		return true;
	if (value_find_string(pod, "metadata.deletionTimestamp").len) {
		ret->what = SPAN("is ending");
		ret->since = value_find_string(pod, "metadata.deletionTimestamp");
		return true;
	}
	if (span_equal(phase, SPAN("Pending"))) {
		ret->what =
		    value_find_string(pod, "spec.nodeName").len ? SPAN("is being started") : SPAN("waits for a node");
		return true;
	}
	if (span_equal(phase, SPAN("Failed"))) {
		ret->what = SPAN("has failed");
		return true;
	}
	return false;
}
