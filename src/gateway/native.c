/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/native.h"

#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/random.h"
#include "inference/inference.h"
#include "loop/loop.h"
#include "loop/pool.h"
#include "net/request.h"

enum {
	JOBS_MOST = 4096,
	LOOK_MS = 20,    /* while something is being loaded */
	POLL_MS = 1000,  /* for files that have changed */
	SETTLE_MS = 100, /* a file that changed so lately may still be being written */
	PUID_MOST = 128,
	UNUSED_MOST = 30, /* polls in which no plan has a model, until it goes */
};

enum protocol { PROTOCOL_SELDON, PROTOCOL_V2, PROTOCOL_TENSORFLOW, PROTOCOL_KSERVE };

/* What tells whether a file changed. */
struct mark {
	dev_t device;
	ino_t inode;
	off_t size;
	int64_t modified_ns;
};

/* A model as it was loaded: never changed. Plans hold references, and the entry it is the newest of. */
struct native_model {
	struct native *native; /* a reference */
	_Atomic unsigned references;
	struct inference *inference;
	struct inference_edge edge;
	enum protocol protocol;
	char *node, *image;
	struct pool_job job; /* its end */
};

/* What services ask for: path, name and meta. The loop's, but for what `lock` guards. */
struct native_entry {
	struct native_entry *next;
	struct native *native;
	char *path, *name, *meta;
	struct native_model *current; /* NULL: none yet, or it could not be loaded */
	struct error failure;         /* of the last try; told once */
	bool is_told, is_loading;
	unsigned unused;
	struct pool_job job;
	/* Under the lock. */
	bool is_done, has_changed;
	struct native_model *fresh;
	struct error err;
	struct mark mark; /* of the file last tried */
};

struct native {
	struct cluster *cluster;
	struct loop *loop;
	struct metrics *metrics, *own_metrics;
	void (*changed)(void *context);
	void *context;
	struct pool *pool;
	struct native_entry *entries;
	struct timer timer;
	int64_t poll_ns;
	struct pool_job poll;
	_Atomic unsigned references; /* its maker's, and each model's */
	pthread_mutex_t lock;        /* guards what follows, and the entries' part */
	pthread_cond_t idle;
	size_t jobs; /* with the pool */
	bool is_closed, is_polling;
};

static void native_unref(struct native *n)
{
	if (atomic_fetch_sub_explicit(&n->references, 1, memory_order_acq_rel) != 1)
		return;
	pthread_cond_destroy(&n->idle);
	pthread_mutex_destroy(&n->lock);
	metrics_free(n->own_metrics);
	free(n);
}

/* ---- jobs ---- */

/* `run` and then `done` on the pool's thread. False: there is no place, or no pool any more. */
static bool job_begin(struct native *n, struct pool_job *job, void (*run)(struct pool_job *job),
		      void (*done)(struct pool_job *job))
{
	struct error ignored = { 0 };
	bool is_good;

	pthread_mutex_lock(&n->lock);
	*job = (struct pool_job){ .run = run, .done = done };
	is_good = !n->is_closed && pool_submit(n->pool, job, &ignored);
	n->jobs += is_good;
	pthread_mutex_unlock(&n->lock);
	return is_good;
}

/* The last that `done` does, locked. */
static void job_end(struct native *n)
{
	if (--n->jobs == 0)
		pthread_cond_broadcast(&n->idle);
}

/* ---- models ---- */

static void own_free(struct native_model *m)
{
	struct native *n = m->native;

	inference_free(m->inference);
	free(m->node);
	free(m->image);
	free(m);
	native_unref(n);
}

static void free_run(struct pool_job *job)
{
	struct native_model *m = CONTAINER_OF(job, struct native_model, job);

	inference_free(m->inference);
	m->inference = NULL;
}

static void free_done(struct pool_job *job)
{
	struct native_model *m = CONTAINER_OF(job, struct native_model, job);
	struct native *n = m->native;

	atomic_fetch_add_explicit(&n->references, 1, memory_order_relaxed); /* until the job has ended */
	own_free(m);
	pthread_mutex_lock(&n->lock);
	job_end(n);
	pthread_mutex_unlock(&n->lock);
	native_unref(n);
}

/* A large model takes long to free: not on a worker's loop. */
static void own_unref(struct native_model *m)
{
	if (!m || atomic_fetch_sub_explicit(&m->references, 1, memory_order_acq_rel) != 1)
		return;
	if (!job_begin(m->native, &m->job, free_run, free_done))
		own_free(m);
}

void native_release(void *inference)
{
	own_unref(inference_owner(inference));
}

static enum protocol protocol_of(struct span text)
{
	return span_equal(text, SPAN("v2"))           ? PROTOCOL_V2
	       : span_equal(text, SPAN("tensorflow")) ? PROTOCOL_TENSORFLOW
	       : span_equal(text, SPAN("kserve"))     ? PROTOCOL_KSERVE
						      : PROTOCOL_SELDON;
}

static struct native_model *own_new(const struct native_entry *e)
{
	struct native_model *m = base_calloc(1, sizeof(*m));
	struct value_reading reading = { 0 };
	struct error ignored = { 0 };
	struct arena arena;
	struct value meta = value_object();

	arena_init(&arena, MIB(1));
	if (!value_parse(span_of(e->meta), &reading, &arena, &meta, &ignored))
		meta = value_object();
	m->native = e->native;
	m->references = 1;
	m->node = span_to_text(span_of(e->name));
	m->image = span_to_text(value_find_string(&meta, "image"));
	m->protocol = protocol_of(value_find_string(&meta, "protocol"));
	m->edge = (struct inference_edge){ .node = span_of(m->node), .image = span_of(m->image) };
	arena_done(&arena);
	atomic_fetch_add_explicit(&e->native->references, 1, memory_order_relaxed);
	return m;
}

/* ---- files ---- */

static bool is_regular(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 && S_ISREG(st.st_mode);
}

/* The file in a folder: by the names that servers look for, or else the only one there is. The caller frees; NULL: none. */
static char *file_in(const char *folder)
{
	static const char *const names[] = { "model.onnx", "model.bst", "model.ubj", "model.json", "model.txt" };
	char *found = NULL;
	struct dirent *d;
	DIR *dir;
	size_t count = 0;

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		char *path = NULL;

		ASSERT(asprintf(&path, "%s/%s", folder, names[i]) > 0);
		if (is_regular(path))
			return path;
		free(path);
	}
	dir = opendir(folder);
	while (dir && (d = readdir(dir))) {
		AUTO_FREE char *path = NULL;

		ASSERT(asprintf(&path, "%s/%s", folder, d->d_name) > 0);
		if (d->d_name[0] == '.' || !is_regular(path) || ++count > 1)
			continue;
		found = TAKE(path);
	}
	if (dir)
		closedir(dir);
	if (count == 1)
		return found;
	free(found);
	return NULL;
}

/* The file that a path stands for, with its mark. The caller frees; NULL with err. */
static char *file_find(const char *path, struct mark *ret, struct error *err)
{
	struct stat st;
	char *file;

	if (stat(path, &st) != 0) {
		error_errno(err, errno, "%s", path);
		return NULL;
	}
	file = S_ISDIR(st.st_mode) ? file_in(path) : span_to_text(span_of(path));
	if (!file) {
		error_set(err, ERROR_NOT_FOUND, "%s: there is no model file in this folder, or more than one", path);
		return NULL;
	}
	if (stat(file, &st) != 0) {
		error_errno(err, errno, "%s", file);
		free(file);
		return NULL;
	}
	*ret = (struct mark){ st.st_dev, st.st_ino, st.st_size, st.st_mtim.tv_sec * NS_PER_S + st.st_mtim.tv_nsec };
	return file;
}

/* ---- loading, on the pool's thread ---- */

static void load_run(struct pool_job *job)
{
	struct native_entry *e = CONTAINER_OF(job, struct native_entry, job);
	struct native *n = e->native;
	struct native_model *m = own_new(e);
	/* Pods of InferenceServices have no orchestrator. */
	struct inference_config config = { .metrics = n->metrics,
					   .edge = m->protocol == PROTOCOL_KSERVE ? NULL : &m->edge,
					   .owner = m };
	struct mark mark = { 0 };
	struct error err = { 0 };
	AUTO_FREE char *file = file_find(e->path, &mark, &err);
	bool is_good;

	m->inference = inference_new(&config);
	is_good = file && inference_add(m->inference, e->name, file, &err);
	if (is_good) {
		inference_seal(m->inference); /* another file is another inference */
	} else {
		own_free(m);
		m = NULL;
	}
	pthread_mutex_lock(&n->lock);
	e->fresh = m;
	e->err = err;
	e->mark = mark;
	e->has_changed = false;
	pthread_mutex_unlock(&n->lock);
}

static void load_done(struct pool_job *job)
{
	struct native_entry *e = CONTAINER_OF(job, struct native_entry, job);
	struct native *n = e->native;

	pthread_mutex_lock(&n->lock);
	e->is_done = true; /* the job may be begun again */
	job_end(n);
	pthread_mutex_unlock(&n->lock);
}

/* Entries are neither added in front of what it looks at nor taken away while it runs. */
static void poll_run(struct pool_job *job)
{
	struct native *n = CONTAINER_OF(job, struct native, poll);
	struct native_entry *first;
	int64_t settled_ns = clock_wall_ns() - SETTLE_MS * NS_PER_MS;

	pthread_mutex_lock(&n->lock);
	first = n->entries;
	pthread_mutex_unlock(&n->lock);
	for (struct native_entry *e = first; e; e = e->next) {
		struct mark mark = { 0 };
		struct error ignored = { 0 };
		AUTO_FREE char *file = file_find(e->path, &mark, &ignored);

		pthread_mutex_lock(&n->lock);
		/* A file that went keeps the model that was made of it. */
		if (file && mark.modified_ns <= settled_ns && memcmp(&mark, &e->mark, sizeof(mark)) != 0)
			e->has_changed = true;
		pthread_mutex_unlock(&n->lock);
	}
}

static void poll_done(struct pool_job *job)
{
	struct native *n = CONTAINER_OF(job, struct native, poll);

	pthread_mutex_lock(&n->lock);
	n->is_polling = false;
	job_end(n);
	pthread_mutex_unlock(&n->lock);
}

/* ---- entries, on the loop ---- */

static void entry_free(struct native_entry *e)
{
	own_unref(e->current);
	own_unref(e->fresh);
	free(e->path);
	free(e->name);
	free(e->meta);
	free(e);
}

static void entry_load(struct native_entry *e)
{
	if (!e->is_loading)
		e->is_loading = job_begin(e->native, &e->job, load_run, load_done);
}

/* True when what services get is another now. */
static bool entry_settle(struct native_entry *e)
{
	struct native *n = e->native;
	struct native_model *fresh;
	bool is_done, is_changed;

	pthread_mutex_lock(&n->lock);
	is_done = e->is_done;
	is_changed = e->has_changed && !is_done;
	fresh = is_done ? TAKE(e->fresh) : NULL;
	if (is_done)
		e->failure = e->err;
	e->is_done = false;
	pthread_mutex_unlock(&n->lock);
	if (is_changed)
		entry_load(e);
	if (!is_done)
		return false;
	e->is_loading = false;
	e->is_told = false;
	if (!fresh) {
		log_warn("gateway",
			 e->current ? "a model's file cannot be loaded again: the old one goes on"
				    : "a model is not answered here, but by its pods",
			 LOG_TEXT("model", e->name), LOG_TEXT("path", e->path), LOG_TEXT("reason", e->failure.message));
		return true; /* so that its service is told */
	}
	e->failure.code = ERROR_NONE;
	log_info("gateway", "a model is answered here", LOG_TEXT("model", e->name), LOG_TEXT("path", e->path));
	own_unref(e->current);
	e->current = fresh;
	e->unused = 0;
	return true;
}

static bool is_loading(const struct native *n)
{
	for (const struct native_entry *e = n->entries; e; e = e->next)
		if (e->is_loading)
			return true;
	return false;
}

/* Models of services that are gone. */
static void sweep(struct native *n)
{
	for (struct native_entry **at = &n->entries; *at;) {
		struct native_entry *e = *at;
		bool is_used = e->is_loading || (e->current && e->current->references > 1);

		e->unused = is_used ? 0 : e->unused + 1;
		if (e->unused <= UNUSED_MOST) {
			at = &e->next;
			continue;
		}
		*at = e->next;
		entry_free(e);
	}
}

static void poll_begin(struct native *n, int64_t now_ns)
{
	bool is_polling;

	pthread_mutex_lock(&n->lock);
	is_polling = n->is_polling;
	pthread_mutex_unlock(&n->lock);
	if (is_polling || now_ns < n->poll_ns)
		return;
	n->poll_ns = now_ns + POLL_MS * NS_PER_MS;
	sweep(n);
	if (!n->entries)
		return;
	pthread_mutex_lock(&n->lock);
	n->is_polling = true;
	pthread_mutex_unlock(&n->lock);
	if (!job_begin(n, &n->poll, poll_run, poll_done)) {
		pthread_mutex_lock(&n->lock);
		n->is_polling = false;
		pthread_mutex_unlock(&n->lock);
	}
}

static void look(struct timer *t)
{
	struct native *n = CONTAINER_OF(t, struct native, timer);
	int64_t now = loop_now(n->loop);
	bool is_changed = false;

	for (struct native_entry *e = n->entries; e; e = e->next)
		is_changed |= entry_settle(e);
	poll_begin(n, now);
	if (n->entries)
		loop_timer_set(n->loop, &n->timer, now + (is_loading(n) ? LOOK_MS : POLL_MS) * NS_PER_MS, look);
	if (is_changed)
		n->changed(n->context);
}

static struct native_entry *entry_ensure(struct native *n, struct span path, struct span name, struct span meta)
{
	struct native_entry *e;

	for (e = n->entries; e; e = e->next)
		if (span_equal(span_of(e->path), path) && span_equal(span_of(e->name), name) &&
		    span_equal(span_of(e->meta), meta))
			return e;
	e = base_calloc(1, sizeof(*e));
	e->native = n;
	e->path = span_to_text(path);
	e->name = span_to_text(name);
	e->meta = span_to_text(meta);
	pthread_mutex_lock(&n->lock);
	e->next = n->entries;
	n->entries = e;
	pthread_mutex_unlock(&n->lock);
	entry_load(e);
	loop_timer_set(n->loop, &n->timer, loop_now(n->loop) + LOOK_MS * NS_PER_MS, look);
	return e;
}

static struct span annotation(const struct value *service, const char *name)
{
	const struct value *v = value_get(value_find(service, "metadata.annotations"), span_of(name));

	return value_is(v, VALUE_STRING) ? v->string : (struct span){ 0 };
}

struct inference *native_of(struct native *n, const struct value *service)
{
	struct span path = annotation(service, "hythe.dev/native-model");
	struct span name = annotation(service, "hythe.dev/native-name");
	struct native_entry *e;

	if (!path.len || !name.len)
		return NULL;
	e = entry_ensure(n, path, name, annotation(service, "hythe.dev/native-meta"));
	if (e->failure.code && !e->is_told) {
		e->is_told = true;
		cluster_event(n->cluster, service, "Warning", "ModelNotNative", "hythe-gateway", e->failure.message);
	}
	if (!e->current)
		return NULL;
	atomic_fetch_add_explicit(&e->current->references, 1, memory_order_relaxed);
	return e->current->inference;
}

/* ---- what is taken ---- */

static bool grpc_takes(enum protocol protocol, struct span path)
{
	switch (protocol) {
	case PROTOCOL_SELDON:
		return span_equal(path, SPAN("/seldon.protos.Seldon/Predict"));
	case PROTOCOL_V2:
	case PROTOCOL_KSERVE:
		return span_equal(path, SPAN("/inference.GRPCInferenceService/ModelInfer"));
	case PROTOCOL_TENSORFLOW:
		break;
	}
	return false;
}

static bool is_v1_predict(struct span path)
{
	return span_starts(path, SPAN("/v1/models/")) && span_ends(path, SPAN(":predict"));
}

static bool is_v2_infer(struct span path)
{
	return span_starts(path, SPAN("/v2/models/")) && span_ends(path, SPAN("/infer")) &&
	       !span_equal(path, SPAN("/v2/models/infer"));
}

bool native_takes(const struct inference *i, const struct request *req, struct span path)
{
	const struct native_model *m = inference_owner(i);

	if (req->is_grpc)
		return grpc_takes(m->protocol, path);
	if (req->method != METHOD_POST || request_header(req, SPAN("ce-specversion")).ptr)
		return false;
	switch (m->protocol) {
	case PROTOCOL_SELDON:
		return span_equal(path, SPAN("/api/v1.0/predictions")) ||
		       span_equal(path, SPAN("/api/v0.1/predictions"));
	case PROTOCOL_V2:
		return is_v2_infer(path);
	case PROTOCOL_TENSORFLOW:
		return is_v1_predict(path);
	case PROTOCOL_KSERVE:
		return is_v1_predict(path) || is_v2_infer(path);
	}
	return false;
}

static struct span puid_of(struct request *req)
{
	struct span given = request_header(req, SPAN("seldon-puid"));
	struct error ignored = { 0 };
	char made[RANDOM_UUID_SIZE];

	if (given.len && given.len <= PUID_MOST)
		return given;
	random_uuid(made);
	return arena_copy(&req->arena, span_from(made, RANDOM_UUID_SIZE - 1), &ignored);
}

void native_begin(const struct inference *i, struct request *req)
{
	const struct native_model *m = inference_owner(i);

	if (req->is_grpc || m->protocol == PROTOCOL_KSERVE)
		return;
	request_set_header(req, SPAN("x-content-type-options"), SPAN("nosniff"));
	request_set_header(req, SPAN("access-control-allow-origin"), SPAN("*"));
	/* Seldon's own surface says it by itself, since it is in the message too. */
	if (m->protocol != PROTOCOL_SELDON)
		request_set_header(req, SPAN("seldon-puid"), puid_of(req));
}

/* ---- life ---- */

struct native *native_new(struct cluster *cluster, struct loop *loop, struct metrics *metrics,
			  void (*changed)(void *context), void *context)
{
	struct native *n = base_calloc(1, sizeof(*n));

	n->cluster = cluster;
	n->loop = loop;
	if (!metrics)
		metrics = n->own_metrics = metrics_new();
	n->metrics = metrics;
	n->changed = changed;
	n->context = context;
	n->references = 1;
	n->pool = pool_new(1, JOBS_MOST); /* a thread when there is something to do */
	pthread_mutex_init(&n->lock, NULL);
	pthread_cond_init(&n->idle, NULL);
	return n;
}

void native_free(struct native *n)
{
	if (!n)
		return;
	if (timer_is_set(&n->timer))
		loop_timer_clear(n->loop, &n->timer);
	pthread_mutex_lock(&n->lock);
	n->is_closed = true;
	while (n->jobs)
		pthread_cond_wait(&n->idle, &n->lock);
	pthread_mutex_unlock(&n->lock);
	pool_free(n->pool);
	while (n->entries) {
		struct native_entry *e = n->entries;

		n->entries = e->next;
		entry_free(e);
	}
	native_unref(n);
}
