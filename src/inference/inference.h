/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * inference - models under names, and the protocols that ask them.
 *
 * A name in the repository has at most one model at a time, in one of the states of the V2 repository extension. Each
 * protocol surface is one file with its routes, and one row in table.c; all of them decode to tensors, go through
 * inference_run(), and encode once.
 *
 * Threads: the repository is changed by one thread at a time (a lock inside); handlers see an immutable snapshot: on a loop it
 *          cannot change while a handler runs; offloaded work holds a reference.
 * Ownership: struct served is reference-counted by its snapshot; spans of it live while the request does.
 */
#include "metrics/metrics.h"
#include "models/model.h"
#include "net/request.h"

struct inference;

struct inference_config {
	struct metrics *metrics;
	struct model_options model_options;
	const char *const *features; /* --features: names of the columns for models that know none */
	size_t feature_count;
	int64_t watch_ns;            /* how often files are looked at for changes; 0 never */
};

struct inference *inference_new(const struct inference_config *config);
void inference_free(struct inference *inf);

/* Loads a file under a name and publishes it; the first one added is the default. An empty name takes the file's. */
bool inference_add(struct inference *inf, const char *name, const char *path, struct error *err);

/* Loads again from the file (READY when it was), or takes out of service. The old model answers until the new one is up. */
bool inference_load(struct inference *inf, struct span name, struct error *err);
bool inference_unload(struct inference *inf, struct span name, struct error *err);

/* Reloads those whose file changed since; true when anything was. Called on a timer by whoever runs the program. */
bool inference_poll_files(struct inference *inf);

/* Route tables of all surfaces, for server_config.routes; ends with NULL. */
extern const struct route *const inference_routes[];

/* ---- for surfaces (private to the room) ----------------------------------------------------------------------------- */

enum served_state { SERVED_READY, SERVED_UNAVAILABLE, SERVED_LOADING, SERVED_UNLOADING };

/* A name with its model, immutable once published. */
struct served {
	struct span name, version; /* version "1" */
	struct span path;
	struct model *model; /* NULL when not READY */
	const struct model_info *info;
	enum served_state state;
	struct span reason;  /* why not READY */
	struct span *columns; /* feature names from the model or --features; NULL when not known */
	size_t column_count;
	int64_t loaded_ns;   /* wall clock */
	struct metric_series *inferences, *failures, *rows, *seconds, *feedback, *reward;
	_Atomic unsigned refs; /* any thread; the last one frees */
};

/*
 * The model the request's path names ({model} and {version}; none: the default). NOT_FOUND: "model 'x' is not known (served
 * here: a, b)"; UNAVAILABLE when it is known but not READY. The reference is held for the request's life.
 */
const struct served *served_find(struct request *req, struct error *err);
const struct served *served_find_named(struct request *req, struct span name, struct span version, struct error *err);

/* All of them, in the order added, for index and listings; held for the request's life. */
const struct served *const *served_all(struct request *req, size_t *ret_count);

/* One call of a model: what a surface decodes to, and encodes from. Cut from the request's arena. */
struct call {
	const struct served *served;
	struct span id;             /* the caller's, or empty */
	struct tensor *inputs;      /* as the caller sent them: any order, any numeric type */
	size_t input_count;
	struct span *wanted;        /* names of outputs asked for; 0: all (or the score, by the surface) */
	size_t wanted_count;
	struct tensor *results;     /* filled by call_run(): `result_count` of them, in the order wanted */
	size_t result_count;
	int64_t model_ns;           /* time spent in the model */
};

/*
 * Binds inputs to the model's by name (a single one matches whatever its name is, as MLServer does), splits one matrix into
 * columns where the model has one input a column, and the other way round; converts types; checks shapes (errors say what
 * was expected and what came); runs; picks the wanted outputs ("predict" and "predict_proba" stand for label and score).
 */
bool call_run(struct request *req, struct call *call, struct error *err);

/* How long call_run() will take, about, by the model's own measured cost. */
int64_t call_estimate_ns(const struct call *call);

/* The number of rows: dimension 0 of the first input. */
size_t call_rows(const struct call *call);
