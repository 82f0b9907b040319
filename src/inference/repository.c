/* SPDX-License-Identifier: Apache-2.0 */
#include "inference/component.h"
#include "inference/inference.h"

#include <malloc.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>

#include "base/clock.h"
#include "base/log.h"
#include "inference/seldon_message.h"
#include "loop/loop.h"

/* What is served, as of one moment: never changed once published. Whoever drops the last reference frees it. */
struct snapshot {
	_Atomic unsigned refs;
	size_t count;
	const struct served **items; /* in the order added */
	uint32_t *slots;             /* open addressing by name: index + 1, 0 is free */
	size_t mask;
};

/*
 * A thread that looks at snapshots. A loop's viewer has its snapshot moved on by a message to the loop. Any other
 * thread (compute threads, tests) takes the newest at each look, or, inside inference_offload(), once.
 */
struct viewer {
	struct loop_message message;
	struct viewer *next;
	struct inference *inf;
	struct loop *loop; /* NULL: no loop */
	pthread_t thread;
	struct snapshot *snapshot; /* the viewing thread's own; changed under the lock for publish() to see */
	struct snapshot *pending;  /* newest published, on its way; under the lock */
	bool is_queued;            /* the message is on its way; under the lock */
	unsigned held;             /* depth of inference_offload() on this thread */
};

/* What tells whether a file changed. */
struct file_mark {
	dev_t device;
	ino_t inode;
	off_t size;
	int64_t modified_ns;
};

/* A name, for the life of the inference. Its strings are what struct served points at. */
struct entry {
	char *name, *path, *head;
	const struct served *served;
	struct component *component; /* NULL: a file */
	struct file_mark mark;       /* of the file last tried */
	struct metric_series *inferences, *failures, *rows, *seconds, *feedback, *reward;
};

struct inference {
	struct inference_config config;
	struct span *features;
	uint64_t number; /* never used twice in a process: threads remember their viewer by it */
	bool is_sealed;  /* `current` is for good */
	struct inference_edge edge;
	struct buffer said; /* edge.said */

	pthread_mutex_t changes; /* held while the repository is changed, loading included; taken before `lock` */
	struct entry **entries;
	size_t entry_count;

	pthread_mutex_t lock; /* guards the rest; held for moments */
	pthread_cond_t viewed;
	struct snapshot *current;
	struct viewer *viewers;
};

enum {
	NAME_MAX_BYTES = 128,
	EDGE_SAID_MOST = KIB(16), /* over it, it is written for each answer */
	SETTLE_MS = 100,
	VIEW_WAIT_S = 2, /* a loop that takes longer to look up gets the snapshot when it does */
};

static _Atomic uint64_t numbers = 1;
static _Thread_local struct {
	uint64_t number;
	struct viewer *viewer;
} seen;

/* ---- served and snapshots ---- */

static void served_unref(const struct served *constant)
{
	struct served *s = (struct served *)(uintptr_t)constant;

	if (!s || atomic_fetch_sub_explicit(&s->refs, 1, memory_order_acq_rel) != 1)
		return;
	model_unref(s->model);
	free((char *)(uintptr_t)s->reason.ptr);
	free(s->load);
	free(s);
}

static void snapshot_ref(struct snapshot *s)
{
	atomic_fetch_add_explicit(&s->refs, 1, memory_order_relaxed);
}

static void snapshot_unref(struct snapshot *s)
{
	if (!s || atomic_fetch_sub_explicit(&s->refs, 1, memory_order_acq_rel) != 1)
		return;
	for (size_t i = 0; i < s->count; i++)
		served_unref(s->items[i]);
	free(s->items);
	free(s->slots);
	free(s);
	(void)malloc_trim(0); /* what loading took and an old model held: else the heap keeps it for good */
}

static struct snapshot *snapshot_build(const struct inference *inf)
{
	struct snapshot *s = base_calloc(1, sizeof(*s));
	size_t size = 4;

	while (size < inf->entry_count * 2)
		size *= 2;
	s->refs = 1;
	s->items = base_calloc(inf->entry_count ? inf->entry_count : 1, sizeof(const struct served *));
	s->slots = base_calloc(size, sizeof(s->slots[0]));
	s->mask = size - 1;
	for (size_t i = 0; i < inf->entry_count; i++) {
		const struct served *served = inf->entries[i]->served;
		size_t at;

		if (!served)
			continue;
		atomic_fetch_add_explicit(&((struct served *)(uintptr_t)served)->refs, 1, memory_order_relaxed);
		s->items[s->count] = served;
		at = span_hash(served->name) & s->mask;
		while (s->slots[at])
			at = (at + 1) & s->mask;
		s->slots[at] = (uint32_t)++s->count;
	}
	return s;
}

static const struct served *snapshot_find(const struct snapshot *s, struct span name)
{
	if (s->count == 1)
		return span_equal(s->items[0]->name, name) ? s->items[0] : NULL;
	for (size_t at = span_hash(name) & s->mask; s->slots[at]; at = (at + 1) & s->mask) {
		const struct served *served = s->items[s->slots[at] - 1];

		if (span_equal(served->name, name))
			return served;
	}
	return NULL;
}

/* ---- viewers ---- */

/* On the viewer's own thread. The old snapshot goes before the publisher is told: it is the publisher who frees models.
 */
static void viewer_move_on(struct viewer *v, bool by_message)
{
	struct inference *inf = v->inf;

	pthread_mutex_lock(&inf->lock);
	if (v->pending) {
		snapshot_unref(v->snapshot);
		v->snapshot = v->pending;
		v->pending = NULL;
	}
	if (by_message)
		v->is_queued = false;
	pthread_cond_broadcast(&inf->viewed);
	pthread_mutex_unlock(&inf->lock);
}

static void viewer_message(struct loop_message *m)
{
	viewer_move_on(CONTAINER_OF(m, struct viewer, message), true);
}

static struct viewer *viewer_new(struct inference *inf, struct loop *loop)
{
	struct viewer *v = base_calloc(1, sizeof(*v));

	v->inf = inf;
	v->loop = loop;
	v->thread = pthread_self();
	v->message.run = viewer_message;
	pthread_mutex_lock(&inf->lock);
	v->snapshot = inf->current;
	snapshot_ref(v->snapshot);
	v->next = inf->viewers;
	inf->viewers = v;
	pthread_mutex_unlock(&inf->lock);
	return v;
}

/* This thread's viewer, made if need be. */
static struct viewer *viewer_here(struct inference *inf)
{
	struct viewer *v;

	if (LIKELY(seen.number == inf->number))
		return seen.viewer;
	pthread_mutex_lock(&inf->lock);
	for (v = inf->viewers; v; v = v->next)
		if (pthread_equal(v->thread, pthread_self()))
			break;
	pthread_mutex_unlock(&inf->lock);
	if (!v)
		v = viewer_new(inf, NULL);
	seen.number = inf->number;
	seen.viewer = v;
	return v;
}

/* Of a thread without a loop: the newest, or none. */
static void viewer_refresh(struct viewer *v, bool drop)
{
	struct inference *inf = v->inf;
	struct snapshot *old;

	pthread_mutex_lock(&inf->lock);
	old = v->snapshot;
	v->snapshot = drop ? NULL : inf->current;
	if (v->snapshot)
		snapshot_ref(v->snapshot);
	pthread_mutex_unlock(&inf->lock);
	snapshot_unref(old);
}

static const struct snapshot *snapshot_here(const struct request *req)
{
	struct inference *inf = req->context;
	struct viewer *v;

	if (inf->is_sealed)
		return inf->current;
	v = viewer_here(inf);
	if (UNLIKELY(!v->loop && !v->held))
		viewer_refresh(v, false);
	return v->snapshot;
}

void inference_worker_started(void *inference, unsigned index, struct loop *loop)
{
	struct inference *inf = inference;

	(void)index;
	seen.viewer = viewer_new(inf, loop);
	seen.number = inf->number;
}

/* With `changes` held. Returns when every loop sees it, so that who asked for a change finds it on any connection. */
static void publish(struct inference *inf)
{
	struct snapshot *s = snapshot_build(inf), *old;
	struct timespec until;
	struct viewer *here = NULL;

	ASSERT(!inf->is_sealed);
	pthread_mutex_lock(&inf->lock);
	old = inf->current;
	inf->current = s;
	for (struct viewer *v = inf->viewers; v; v = v->next) {
		if (!v->loop)
			continue;
		snapshot_unref(v->pending);
		snapshot_ref(s);
		v->pending = s;
		if (v->loop == loop_current()) {
			here = v;
		} else if (!v->is_queued) {
			v->is_queued = true;
			loop_send(v->loop, &v->message);
		}
	}
	pthread_mutex_unlock(&inf->lock);
	if (here)
		viewer_move_on(here, false);

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += VIEW_WAIT_S;
	pthread_mutex_lock(&inf->lock);
	for (struct viewer *v = inf->viewers; v;) {
		if (!v->loop || v->snapshot == s) {
			v = v->next;
			continue;
		}
		if (pthread_cond_timedwait(&inf->viewed, &inf->lock, &until) != 0)
			break;
	}
	pthread_mutex_unlock(&inf->lock);
	snapshot_unref(old); /* here and not on a loop: freeing a large model takes long */
}

/* ---- life ---- */

struct inference *inference_new(const struct inference_config *config)
{
	struct inference *inf = base_calloc(1, sizeof(*inf));

	inf->config = *config;
	inf->number = atomic_fetch_add(&numbers, 1);
	inf->features = base_calloc(config->feature_count + 1, sizeof(struct span));
	for (size_t i = 0; i < config->feature_count; i++)
		inf->features[i] = span_of(config->features[i]);
	buffer_init(&inf->said, EDGE_SAID_MOST);
	if (config->edge) {
		inf->edge = *config->edge;
		seldon_write_said(&inf->said, inf->edge.node, inf->edge.image);
		inf->edge.said = inf->said.overflow ? (struct span){ 0 } : buffer_span(&inf->said);
	}
	pthread_mutex_init(&inf->changes, NULL);
	pthread_mutex_init(&inf->lock, NULL);
	pthread_cond_init(&inf->viewed, NULL);
	inf->current = snapshot_build(inf);
	return inf;
}

static void entry_free(struct entry *e)
{
	served_unref(e->served);
	free(e->name);
	free(e->path);
	free(e->head);
	free(e);
}

void inference_free(struct inference *inf)
{
	if (!inf)
		return;
	for (struct viewer *v = inf->viewers; v;) {
		struct viewer *next = v->next;

		snapshot_unref(v->pending);
		snapshot_unref(v->snapshot);
		free(v);
		v = next;
	}
	snapshot_unref(inf->current);
	for (size_t i = 0; i < inf->entry_count; i++)
		entry_free(inf->entries[i]);
	free(inf->entries);
	free(inf->features);
	buffer_done(&inf->said);
	pthread_cond_destroy(&inf->viewed);
	pthread_mutex_destroy(&inf->lock);
	pthread_mutex_destroy(&inf->changes);
	free(inf);
}

void inference_seal(struct inference *inf)
{
	inf->is_sealed = true;
}

struct metrics *inference_metrics(const struct inference *inf)
{
	return inf->config.metrics;
}

const struct inference_edge *inference_edge(const struct inference *inf)
{
	return inf->config.edge ? &inf->edge : NULL;
}

void *inference_owner(const struct inference *inf)
{
	return inf->config.owner;
}

size_t inference_count(struct inference *inf)
{
	size_t count;

	pthread_mutex_lock(&inf->lock);
	count = inf->current->count;
	pthread_mutex_unlock(&inf->lock);
	return count;
}

void inference_each(struct inference *inf, void (*visit)(const struct served *s, void *context), void *context)
{
	struct snapshot *s;

	pthread_mutex_lock(&inf->lock);
	s = inf->current;
	snapshot_ref(s);
	pthread_mutex_unlock(&inf->lock);
	for (size_t i = 0; i < s->count; i++)
		visit(s->items[i], context);
	snapshot_unref(s);
}

/* ---- loading ---- */

static bool mark_read(const char *path, struct file_mark *ret)
{
	struct stat st;

	if (stat(path, &st) != 0)
		return false;
	ret->device = st.st_dev;
	ret->inode = st.st_ino;
	ret->size = st.st_size;
	ret->modified_ns = st.st_mtim.tv_sec * NS_PER_S + st.st_mtim.tv_nsec;
	return true;
}

static bool mark_equal(const struct file_mark *a, const struct file_mark *b)
{
	return a->device == b->device && a->inode == b->inode && a->size == b->size && a->modified_ns == b->modified_ns;
}

/* The model's own names of its columns, or those of --features. */
static bool find_columns(const struct inference *inf, const struct model_info *info, struct served *s,
			 struct error *err)
{
	if (info->feature_count == 0)
		return true;
	if (info->feature_names) {
		s->columns = info->feature_names;
		s->column_count = info->feature_count;
	} else if (inf->config.feature_count == info->feature_count) {
		s->columns = inf->features;
		s->column_count = info->feature_count;
	} else if (inf->config.feature_count) {
		return error_set(err, ERROR_INVALID, "--features names %zu columns, but the model takes %zu",
				 inf->config.feature_count, info->feature_count);
	}
	return true;
}

static struct served *served_new(struct entry *e, enum served_state state)
{
	struct served *s = base_calloc(1, sizeof(*s));

	s->refs = 1;
	s->name = span_of(e->name);
	s->path = span_of(e->path);
	s->version = SPAN("1");
	s->v2_head = span_of(e->head);
	s->state = state;
	s->load = served_load_new();
	s->inferences = e->inferences;
	s->failures = e->failures;
	s->rows = e->rows;
	s->seconds = e->seconds;
	s->feedback = e->feedback;
	s->reward = e->reward;
	return s;
}

/* Takes the place of what the entry served before. */
static void entry_put(struct inference *inf, struct entry *e, struct served *s)
{
	const struct served *old = e->served;

	e->served = s;
	publish(inf);
	served_unref(old);
}

static void entry_put_state(struct inference *inf, struct entry *e, enum served_state state, const char *reason)
{
	struct served *s = served_new(e, state);

	if (reason)
		s->reason = span_of(span_to_text(span_of(reason)));
	entry_put(inf, e, s);
}

static void count_load(struct inference *inf, const struct entry *e, bool ok)
{
	struct span labels[2] = { span_of(e->name), ok ? SPAN("ok") : SPAN("failed") };

	metric_add(metrics_series(inf->config.metrics, METRIC_MODEL_LOADS_TOTAL, labels, 2), 1);
}

static bool entry_load(struct inference *inf, struct entry *e, struct error *err)
{
	struct served *s;
	struct model *model;

	/* The mark is taken first: a change during the load shows as one afterwards. */
	if (e->component || !mark_read(e->path, &e->mark))
		e->mark = (struct file_mark){ 0 };
	model = e->component ? component_model_new(e->component, err)
			     : model_load(e->path, &inf->config.model_options, err);
	if (!model) {
		count_load(inf, e, false);
		return false;
	}
	s = served_new(e, SERVED_READY);
	s->component = e->component;
	s->model = model;
	s->info = model_info(model);
	s->loaded_ns = clock_wall_ns();
	if (!find_columns(inf, s->info, s, err)) {
		served_unref(s);
		count_load(inf, e, false);
		return false;
	}
	count_load(inf, e, true);
	entry_put(inf, e, s);
	return true;
}

static bool name_is_good(struct span name)
{
	if (name.len == 0 || name.len > NAME_MAX_BYTES || name.ptr[0] == '.')
		return false;
	for (size_t i = 0; i < name.len; i++) {
		char c = name.ptr[i];

		if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
		      c == '_' || c == '-'))
			return false;
	}
	return true;
}

/* "models/lr.onnx" is lr; "builtin:echo" is echo; what a name cannot hold becomes '-'. The caller frees. */
static char *name_from_path(const char *path)
{
	struct span s = span_of(path);
	char *name;

	while (s.len > 1 && s.ptr[s.len - 1] == '/')
		s.len--;
	for (size_t i = s.len; i-- > 0;) {
		if (s.ptr[i] == '/' || s.ptr[i] == ':') {
			s = span_skip(s, i + 1);
			break;
		}
	}
	for (size_t i = s.len; i-- > 1;) {
		if (s.ptr[i] == '.') {
			s.len = i;
			break;
		}
	}
	name = span_to_text(span_first(s, NAME_MAX_BYTES));
	for (char *c = name; *c; c++)
		if (!name_is_good(span_from(c, 1)) && (*c != '.' || c == name))
			*c = '-';
	return name;
}

static struct entry *entry_find(struct inference *inf, struct span name)
{
	for (size_t i = 0; i < inf->entry_count; i++)
		if (span_equal(span_of(inf->entries[i]->name), name))
			return inf->entries[i];
	return NULL;
}

/* Takes over `name`. */
static struct entry *entry_new(struct inference *inf, char *name, const char *path)
{
	struct entry *e = base_calloc(1, sizeof(*e));
	struct span labels[2] = { span_of(name), SPAN("1") };
	struct metrics *m = inf->config.metrics;
	size_t size = strlen(name) + 64;

	e->name = name;
	e->path = span_to_text(span_of(path));
	e->head = base_alloc(size);
	(void)snprintf(e->head, size, "{\"model_name\":\"%s\",\"model_version\":\"1\"", name);
	e->inferences = metrics_series(m, METRIC_MODEL_INFERENCES_TOTAL, labels, 2);
	e->failures = metrics_series(m, METRIC_MODEL_FAILURES_TOTAL, labels, 2);
	e->rows = metrics_series(m, METRIC_MODEL_ROWS_TOTAL, labels, 2);
	e->seconds = metrics_series(m, METRIC_MODEL_SECONDS, labels, 2);
	e->feedback = metrics_series(m, METRIC_FEEDBACK_TOTAL, labels, 1);
	e->reward = metrics_series(m, METRIC_FEEDBACK_REWARD, labels, 1);
	return e;
}

static bool add_locked(struct inference *inf, const char *given, const char *path, struct component *component,
		       struct error *err)
{
	AUTO_FREE char *name = given && *given ? span_to_text(span_of(given)) : name_from_path(path);
	struct entry *e;

	if (!name_is_good(span_of(name)))
		return error_set(
		    err, ERROR_INVALID,
		    "'%.128s' cannot be a model's name: letters, digits, '.', '_' and '-' can, at most %d of them",
		    name, NAME_MAX_BYTES);
	if (entry_find(inf, span_of(name)))
		return error_set(err, ERROR_ALREADY_EXISTS,
				 "there is a model '%s' already: give this one (%.200s) another name", name, path);
	e = entry_new(inf, TAKE(name), path);
	e->component = component;
	inf->entries = base_realloc(inf->entries, (inf->entry_count + 1) * sizeof(struct entry *));
	inf->entries[inf->entry_count++] = e;
	if (entry_load(inf, e, err))
		return true;
	inf->entry_count--;
	entry_free(e);
	return false;
}

bool inference_add(struct inference *inf, const char *name, const char *path, struct error *err)
{
	bool ok;

	pthread_mutex_lock(&inf->changes);
	ok = add_locked(inf, name, path, NULL, err);
	pthread_mutex_unlock(&inf->changes);
	return ok;
}

bool inference_add_component(struct inference *inf, const char *name, struct component *component, struct error *err)
{
	bool ok;

	pthread_mutex_lock(&inf->changes);
	ok = add_locked(inf, name, "", component, err);
	pthread_mutex_unlock(&inf->changes);
	return ok;
}

struct component *served_component(const struct served *s)
{
	return s->component;
}

/* Code is loaded again by starting its process anew. */
static bool is_file(const struct entry *e, struct error *err)
{
	return !e->component ||
	       error_set(err, ERROR_UNIMPLEMENTED,
			 "model '%s' is code and not a file: it cannot be loaded and unloaded", e->name);
}

static bool unknown_name(const struct snapshot *s, struct span name, struct error *err)
{
	char names[NAMES_TEXT_SIZE];
	size_t len = 0;

	names[0] = '\0';
	for (size_t i = 0; i < s->count && len < sizeof(names) - 8; i++) {
		int n = snprintf(names + len, sizeof(names) - len, "%s" SPAN_FMT, i ? ", " : "",
				 SPAN_ARG(s->items[i]->name));

		len = MIN(len + (size_t)MAX(n, 0), sizeof(names) - 1);
	}
	if (s->count == 0)
		return error_set(err, ERROR_NOT_FOUND, "Model " SPAN_FMT " not found: no model is served here",
				 SPAN_ARG(name));
	return error_set(err, ERROR_NOT_FOUND, "Model " SPAN_FMT " not found (served here: %s)", SPAN_ARG(name), names);
}

static bool load_locked(struct inference *inf, struct span name, struct error *err)
{
	struct entry *e = entry_find(inf, name);
	bool was_ready;

	if (!e)
		return unknown_name(inf->current, name, err);
	if (!is_file(e, err))
		return false;
	was_ready = e->served->state == SERVED_READY;
	if (!was_ready)
		entry_put_state(inf, e, SERVED_LOADING, "loading");
	if (entry_load(inf, e, err)) {
		log_info("inference", was_ready ? "model reloaded" : "model loaded", LOG_TEXT("model", e->name),
			 LOG_TEXT("path", e->path));
		return true;
	}
	if (!was_ready)
		entry_put_state(inf, e, SERVED_UNAVAILABLE, err->message);
	return error_wrap(err, "model '%s' could not be loaded%s", e->name,
			  was_ready ? " again; the old one goes on" : "");
}

bool inference_load(struct inference *inf, struct span name, struct error *err)
{
	bool ok;

	pthread_mutex_lock(&inf->changes);
	ok = load_locked(inf, name, err);
	pthread_mutex_unlock(&inf->changes);
	return ok;
}

static bool unload_locked(struct inference *inf, struct span name, struct error *err)
{
	struct entry *e = entry_find(inf, name);

	if (!e)
		return unknown_name(inf->current, name, err);
	if (!is_file(e, err))
		return false;
	if (e->served->state != SERVED_UNAVAILABLE) {
		entry_put_state(inf, e, SERVED_UNAVAILABLE, "unloaded");
		log_info("inference", "model unloaded", LOG_TEXT("model", e->name));
	}
	return true;
}

bool inference_unload(struct inference *inf, struct span name, struct error *err)
{
	bool ok;

	pthread_mutex_lock(&inf->changes);
	ok = unload_locked(inf, name, err);
	pthread_mutex_unlock(&inf->changes);
	return ok;
}

static bool poll_entry(struct inference *inf, struct entry *e, int64_t now_ns)
{
	struct error err = { 0 };
	struct file_mark mark;
	int64_t age_ns;

	/* A file that is gone is not a change: replacing one by rename never shows it, and the model goes on. */
	if (e->component || e->served->state != SERVED_READY || !mark_read(e->path, &mark) ||
	    mark_equal(&mark, &e->mark))
		return false;
	age_ns = now_ns - mark.modified_ns;
	if (age_ns >= 0 && age_ns < SETTLE_MS * NS_PER_MS)
		return false;
	if (entry_load(inf, e, &err)) {
		log_info("inference", "model file changed: reloaded", LOG_TEXT("model", e->name),
			 LOG_TEXT("path", e->path));
		return true;
	}
	log_warn("inference", "model file changed but cannot be loaded; the old model goes on",
		 LOG_TEXT("model", e->name), LOG_TEXT("path", e->path), LOG_TEXT("reason", err.message));
	return false;
}

bool inference_poll_files(struct inference *inf)
{
	int64_t now_ns = clock_wall_ns();
	bool any = false;

	if (inf->config.watch_ns <= 0)
		return false;
	pthread_mutex_lock(&inf->changes);
	for (size_t i = 0; i < inf->entry_count; i++)
		any |= poll_entry(inf, inf->entries[i], now_ns);
	pthread_mutex_unlock(&inf->changes);
	return any;
}

/* ---- for surfaces ---- */

const struct served *served_look(struct request *req, struct span name, struct span version, struct error *err)
{
	const struct snapshot *s = snapshot_here(req);
	const struct served *served;

	if (name.len == 0 && s->count > 0) {
		served = s->items[0];
	} else if (UNLIKELY(!(served = snapshot_find(s, name)))) {
		unknown_name(s, name, err);
		return NULL;
	}
	if (UNLIKELY(version.len && !span_equal(version, served->version))) {
		error_set(err, ERROR_NOT_FOUND,
			  "Model " SPAN_FMT " with version " SPAN_FMT " not found (served here: version " SPAN_FMT ")",
			  SPAN_ARG(served->name), SPAN_ARG(version), SPAN_ARG(served->version));
		return NULL;
	}
	return served;
}

const struct served *served_find_named(struct request *req, struct span name, struct span version, struct error *err)
{
	static const char *const words[] = { "ready", "not available", "being loaded", "being unloaded" };
	const struct served *served = served_look(req, name, version, err);

	if (UNLIKELY(served && served->state != SERVED_READY)) {
		error_set(err, ERROR_UNAVAILABLE, "model '" SPAN_FMT "' is %s (" SPAN_FMT ")", SPAN_ARG(served->name),
			  words[served->state], SPAN_ARG(served->reason));
		return NULL;
	}
	return served;
}

const struct served *served_find(struct request *req, struct error *err)
{
	return served_find_named(req, request_param(req, "model"), request_param(req, "version"), err);
}

const struct served *const *served_all(struct request *req, size_t *ret_count)
{
	const struct snapshot *s = snapshot_here(req);

	*ret_count = s->count;
	return s->items;
}

/* ---- offloading ---- */

struct offload {
	void (*run)(struct request *req, void *arg);
	void *arg;
	void *state; /* the handler's own req->state */
};

static void offload_run(struct request *req)
{
	struct offload *o = req->state;
	struct inference *inf = req->context;
	struct viewer *v;

	req->state = o->state;
	if (inf->is_sealed) {
		o->run(req, o->arg);
		return;
	}
	v = viewer_here(inf);
	if (!v->loop && v->held++ == 0)
		viewer_refresh(v, false);
	o->run(req, o->arg);
	if (!v->loop && --v->held == 0)
		viewer_refresh(v, true);
}

void inference_offload(struct request *req, void (*run)(struct request *req, void *arg), void *arg)
{
	struct error err = { 0 };
	struct offload *o = ARENA_NEW(&req->arena, struct offload, &err);

	if (!o) {
		request_fail(req, &err);
		return;
	}
	*o = (struct offload){ run, arg, req->state };
	req->state = o;
	request_offload(req, offload_run);
}

struct call_offload {
	struct call *call;
	struct span name;
	void (*run)(struct request *req, struct call *call);
};

static void call_offload_run(struct request *req, void *arg)
{
	struct call_offload *o = arg;
	struct error err = { 0 };

	o->call->served = served_find_named(req, o->name, (struct span){ 0 }, &err);
	if (o->call->served)
		o->run(req, o->call);
	else
		request_fail(req, &err);
}

void call_offload(struct request *req, struct call *call, void (*run)(struct request *req, struct call *call))
{
	struct error err = { 0 };
	struct call_offload *o = ARENA_NEW(&req->arena, struct call_offload, &err);

	if (!o) {
		request_fail(req, &err);
		return;
	}
	*o = (struct call_offload){ call, call->served->name, run }; /* names live as long as the inference */
	inference_offload(req, call_offload_run, o);
}
