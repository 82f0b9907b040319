/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * model - a trained model, loaded, checked and ready to run.
 *
 * model_load() finds the format from the content (never from the file's name), checks every index, depth and size in
 * it, and builds an immutable object: running needs no checks and any number of threads may run it at once. One format
 * is one file and one row in table.c.
 *
 * Ownership: reference-counted; the loader holds the first reference. Tensors given to model_run() stay the caller's;
 * results are cut from the caller's arena (or point into the inputs or the model). Errors:    INVALID for a damaged
 * file, with the place ("trees[3].left_children[7]: 900 is outside 0..62"); UNIMPLEMENTED for what is sound but not
 * supported (names what would help); TOO_LARGE for a limit.
 */
#include "models/tensor.h"

struct model;
struct model_format;

/* What one input or output looks like; -1 stands for any length. Dimension 0 of a batched model is the batch. */
struct tensor_spec {
	struct span name;
	enum dtype dtype;
	int rank;
	int64_t shape[TENSOR_RANK_MAX];
};

enum model_task {
	MODEL_TASK_OTHER,      /* tensors in, tensors out */
	MODEL_TASK_REGRESSION, /* score_output holds one number (or several) a row */
	MODEL_TASK_BINARY, /* two classes; score_output is [n, 2] probabilities (or [n], [n, 1]: of the second class) */
	MODEL_TASK_MULTICLASS, /* score_output is [n, K] */
};

/* What every model tells about itself; filled by its format at load, then read-only. */
struct model_info {
	struct span kind;     /* for people: "XGBoost gbtree, 100 trees, 3 classes" */
	struct span platform; /* V2 metadata: "onnx_onnxv1", "xgboost", "lightgbm", "linear", "echo" */
	enum model_task task;

	struct tensor_spec *inputs, *outputs;
	size_t input_count, output_count;

	/* Columns, for records and CSV. With one matrix input [-1, F]: F names, or none known (names NULL). With one
	 * input per column: the inputs' names. */
	struct span *feature_names;
	size_t feature_count; /* F; 0 when the input is not a table */
	bool takes_missing;   /* NaN is an ordinary value */
	bool any_input;       /* takes tensors of any type and shape: pass them as they came, unconverted (echo) */

	int score_output;         /* index of the output a caller wants by default, or 0 */
	int label_output;         /* index of the predicted class's output, or -1 */
	struct span *class_names; /* text of each class, or NULL */
	size_t class_count;

	size_t bytes;        /* memory the model holds, about */
	double cost_ns_row;  /* estimate for one more row, on one core; 0 unknown */
	double cost_ns_call; /* estimate for a call with one row */
};

struct model_options {
	const char *onnxruntime; /* path of libonnxruntime.so, or NULL: look in the usual places */
	bool all_rounds;         /* XGBoost, LightGBM: ignore best_iteration */
	size_t size_limit;       /* bytes of the file; 0: MODEL_SIZE_MAX */
};

#define MODEL_SIZE_MAX     ((size_t)4 << 30)
#define MODEL_NODES_MAX    ((size_t)1 << 27) /* tree nodes in all */
#define MODEL_DEPTH_MAX    4096              /* of one tree, and of nesting in a file beyond JSON's own */
#define MODEL_FEATURES_MAX ((size_t)1 << 20)

/* Loads from a file (or folder, for formats that are one), or from bytes that the caller keeps only during the call.
 * "builtin:echo" names the echo model (gives its input back). */
struct model *model_load(const char *path, const struct model_options *options, struct error *err);
struct model *model_load_bytes(struct span bytes, const struct model_options *options, struct error *err);

struct model *model_ref(struct model *m);
void model_unref(struct model *m); /* NULL is allowed; any thread */

const struct model_info *model_info(const struct model *m);

/*
 * Runs the model. `inputs` has one tensor for each of info->inputs, in order, with exactly its dtype, aligned, a shape
 * that fits the spec, and the same dimension 0 where that is the batch (the caller has converted and checked). `wanted`
 * is a bit for each output (bit 0: outputs[0]); results[i] is filled for these and left alone for others. results have
 * names. Fails with INVALID for values the model cannot take, INTERNAL for a failure of its own.
 */
bool model_run(const struct model *m, const struct tensor *inputs, uint64_t wanted, struct tensor *results,
	       struct arena *arena, struct error *err);

/* ---- for formats (private to the room, here because they are its extension point) ---- */

struct model_format {
	const char *name;
	/* How sure: 0 no, 100 certain. Sees the first KIBs of the content, NUL-safe. NULL: builtin, found by name only.
	 */
	int (*probe)(struct span head);
	/* Builds the model; `bytes` lives only during the call. */
	struct model *(*load)(struct span bytes, const struct model_options *options, struct error *err);
	bool (*run)(const struct model *m, const struct tensor *inputs, uint64_t wanted, struct tensor *results,
		    struct arena *arena, struct error *err);
	void (*free)(struct model *m); /* frees what the format allocated; the arena goes by itself */
};

/* Embedded first in each format's own struct. */
struct model {
	const struct model_format *format;
	struct model_info info;
	struct arena arena;    /* everything of the model's life that is not large arrays */
	_Atomic unsigned refs; /* any thread; the last one frees */
};

/* A zeroed struct of `size` bytes (the format's, with struct model first) with its arena ready and one reference. */
struct model *model_new(const struct model_format *format, size_t size);

extern const struct model_format *const model_formats[]; /* ends with NULL; table.c */
