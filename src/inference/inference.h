/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * inference - models under names, and the protocols that ask them.
 *
 * A name in the repository has at most one model at a time, in one of the states of the V2 repository extension. Each
 * protocol surface is one file with its routes, and one row in table.c; all of them decode to tensors, go through
 * inference_run(), and encode once.
 *
 * Threads: the repository is changed by one thread at a time (a lock inside), never on a loop, since loading takes
 * long. Handlers see an immutable snapshot: each loop has its own pointer, moved on by a message, so that it cannot
 * change while a handler runs and costs neither lock nor atomic. Work offloaded by inference_offload() holds a
 * reference. Ownership: a snapshot counts its users and holds its struct served; spans of those live until the handler
 * returns.
 */
#include "metrics/metrics.h"
#include "models/model.h"
#include "net/request.h"

struct inference;
struct loop;

/*
 * For a model that answers in the place of a whole Seldon deployment of one node: its predictions' meta is what an orchestrator in front
 * would have made of it: puid always, requestPath and routing of that node.
 */
struct inference_edge {
	struct span node, image;
	struct span said; /* made by inference_new(): requestPath and routing, as members of a JSON object */
};

struct inference_config {
	struct metrics *metrics;
	struct model_options model_options;
	const char *const *features; /* --features: names of the columns for models that know none */
	size_t feature_count;
	int64_t watch_ns;                  /* how often files are looked at for changes; 0 never */
	const struct inference_edge *edge; /* NULL: an orchestrator, or nobody, is in front */
	void *owner;                       /* inference_owner() */
}; /* what it points at is the caller's, and must live as long as the inference */

struct inference *inference_new(const struct inference_config *config);
void inference_free(struct inference *inf);

/* For server_config.worker_started, when server_config.context is the inference (the loops must live until it is no
 * longer changed). The handlers of this loop then see each snapshot from the next turn on. */
void inference_worker_started(void *inference, unsigned index, struct loop *loop);

/* Loads a file under a name and publishes it; the first one added is the default. An empty name takes the file's,
 * without its ending. Names are letters, digits, '.', '_' and '-'. */
bool inference_add(struct inference *inf, const char *name, const char *path, struct error *err);

/* Loads again from the file (READY when it was), or takes out of service. The old model answers until the new one is
 * up. */
bool inference_load(struct inference *inf, struct span name, struct error *err);
bool inference_unload(struct inference *inf, struct span name, struct error *err);

/* What there is stays as it is: nothing is added, loaded, unloaded or polled from now on. Before anybody else sees it. Requests then look it up without
 * a lock on any thread, inference_worker_started() or not. */
void inference_seal(struct inference *inf);

const struct inference_edge *inference_edge(const struct inference *inf);
void *inference_owner(const struct inference *inf);

/* How many names there are. */
size_t inference_count(struct inference *inf);

/* Calls `visit` for each, in the order added; what it is given lives until it returns. It changes nothing and is not on
 * a loop. */
struct served;
void inference_each(struct inference *inf, void (*visit)(const struct served *s, void *context), void *context);

/* Reloads those whose file changed since; true when anything was. Called on a timer by whoever runs the program, never
 * on a loop. A file that changed in the last 100 ms may still be being written and is left for the next time. A file
 * that cannot be loaded leaves the old model serving, and one line in the log for each change. */
bool inference_poll_files(struct inference *inf);

/* Route tables of all surfaces, for server_config.routes; ends with NULL. */
extern const struct route *const inference_routes[];

/* ---- for surfaces (private to the room) ---- */

enum served_state { SERVED_READY, SERVED_UNAVAILABLE, SERVED_LOADING, SERVED_UNLOADING };

/* A name with its model, immutable once published. */
struct served {
	struct span name, version; /* version "1" */
	struct span path;
	struct model *model; /* NULL when not READY */
	const struct model_info *info;
	struct component *component; /* NULL: a model file */
	enum served_state state;
	struct span reason;   /* why not READY */
	struct span *columns; /* feature names from the model or --features; NULL when not known */
	size_t column_count;
	int64_t loaded_ns;        /* wall clock */
	struct span v2_head;      /* {"model_name":"lr","model_version":"1" */
	struct served_load *load; /* what calls cost, measured: private to call.c */
	struct metric_series *inferences, *failures, *rows, *seconds, *feedback, *reward;
	_Atomic unsigned refs; /* counts snapshots, under any thread; the last one frees */
};

/*
 * The model the request's path names ({model} and {version}; none: the default). NOT_FOUND: "model 'x' is not known
 * (served here: a, b)"; UNAVAILABLE when it is known but not READY. It lives until the handler (or what was offloaded
 * by the functions below) returns.
 */
const struct served *served_find(struct request *req, struct error *err);
const struct served *served_find_named(struct request *req, struct span name, struct span version, struct error *err);

/* The same whatever its state: for readiness, metadata and listings. */
const struct served *served_look(struct request *req, struct span name, struct span version, struct error *err);

/* All of them, in the order added, for index and listings; held while the handler runs. */
const struct served *const *served_all(struct request *req, size_t *ret_count);

/*
 * Goes on in `run` on a compute thread, with a snapshot of its own: what served_find() gave before must be found again.
 * Use this and not request_offload().
 */
void inference_offload(struct request *req, void (*run)(struct request *req, void *arg), void *arg);

/* One call of a model: what a surface decodes to, and encodes from. Cut from the request's arena. */
struct call {
	const struct served *served;
	struct span id;        /* the caller's, or empty */
	struct tensor *inputs; /* as the caller sent them: any order, any numeric type */
	size_t input_count;
	struct span *wanted; /* names of outputs asked for; 0: all (or the score, by the surface) */
	size_t wanted_count;
	struct tensor *results; /* filled by call_run(): `result_count` of them, in the order wanted */
	size_t result_count;
	int64_t model_ns; /* time spent in the model */
};

/*
 * Binds inputs to the model's by name (a single one matches whatever its name is, as MLServer does), splits one matrix
 * into columns where the model has one input a column, and the other way round; converts types; checks shapes (errors
 * say what was expected and what came); runs; picks the wanted outputs ("predict" and "predict_proba" stand for label
 * and score).
 */
bool call_run(struct request *req, struct call *call, struct error *err);

/*
 * True when the call should not run on the loop: it is on one, and its estimate passes REQUEST_INLINE_NS.
 * call_offload() then goes on in `run` on a compute thread, with call->served found again by its name; when it is gone
 * meanwhile the request fails and `run` is not called.
 */
bool call_is_long(const struct request *req, const struct call *call);
void call_offload(struct request *req, struct call *call, void (*run)(struct request *req, struct call *call));

/* How long call_run() will take, about, by the model's own measured cost. */
int64_t call_estimate_ns(const struct call *call);

/* The number of rows: dimension 0 of the first input; 1 for a single row without a batch dimension. */
size_t call_rows(const struct call *call);

/* The registry given at birth. */
struct metrics *inference_metrics(const struct inference *inf);

/*
 * Which output a caller means by a name: its own, or "predict" (the label; without one the score) and "predict_proba"
 * (the score of a classifier), which scikit-learn's users ask MLServer for. INVALID lists the names.
 */
bool output_find(const struct served *s, struct span name, size_t *ret, struct error *err);

/* "a, b, c", cut after a dozen: for messages. The text is the caller's `out`. */
#define NAMES_TEXT_SIZE 240
const char *names_text(const struct tensor_spec *specs, size_t count, char *out);

/* What calls of a model came to, for the V2 statistics. */
struct served_totals {
	uint64_t successes, failures, rows, model_ns;
	int64_t last_ns; /* wall clock of the last call, to about a millisecond; 0: none */
};
struct served_totals served_totals(const struct served *s);

/* Private to the room: the life of struct served_load. */
struct served_load *served_load_new(void);
