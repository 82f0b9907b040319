/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * onnx - private to the ONNX format: what its files share.
 *
 * A file goes through three stages. onnx_parse() turns ModelProto (onnx.proto, IR versions 3 to 13) into the structs
 * below, checking names, types and sizes. onnx_plan_new() resolves names to slots, prepares each node by its operator's
 * row, folds what is constant, and finds when each buffer can be used again. onnx_execute() walks the steps of the plan
 * over the caller's arena.
 *
 * An operator is one row in the table of its file (onnx_ops_*.c): prepare() reads attributes once at load, run()
 * computes. Shapes and types of values are known only when running, so run() checks those; indices inside attributes
 * and constants are checked by prepare().
 *
 * Ownership: parsed structs live in a scratch arena and point into the file; tensors and all that a plan holds live in
 * the model's arena. Threads: a plan is immutable; a struct onnx_run belongs to one call.
 */
#include "models/model.h"

#define ONNX_NODES_MAX      ((size_t)1 << 16) /* nodes of all graphs */
#define ONNX_VALUES_MAX     ((size_t)1 << 17) /* names of one graph */
#define ONNX_ATTRIBUTES_MAX 256               /* of one node */
#define ONNX_DEPTH_MAX      8                 /* graphs inside graphs */
#define ONNX_FOLD_ELEMENTS  ((size_t)1 << 22) /* in constants computed at load */
#define ONNX_NONE           UINT32_MAX        /* no slot: an input or output left out */

/* ---- the file ---- */

/* AttributeProto.AttributeType */
enum onnx_attribute_type {
	ONNX_FLOAT = 1,
	ONNX_INT = 2,
	ONNX_STRING = 3,
	ONNX_TENSOR = 4,
	ONNX_GRAPH = 5,
	ONNX_FLOATS = 6,
	ONNX_INTS = 7,
	ONNX_STRINGS = 8,
};

struct onnx_attribute {
	struct span name;
	int type;
	bool used; /* an operator asked for it; one that nobody asks for is not understood */
	float f;
	int64_t i;
	struct span s;
	struct tensor tensor;
	struct onnx_graph *graph;
	size_t count; /* of floats, ints or strings */
	float *floats;
	int64_t *ints;
	struct span *strings;
};

struct onnx_node {
	struct span name, op, domain; /* domain "" is ai.onnx */
	struct span *inputs, *outputs;
	size_t input_count, output_count;
	struct onnx_attribute *attributes;
	size_t attribute_count;
};

enum onnx_value_kind { ONNX_VALUE_UNKNOWN, ONNX_VALUE_TENSOR, ONNX_VALUE_MAPS, ONNX_VALUE_OTHER };

struct onnx_value {
	enum onnx_value_kind kind;
	bool has_shape;
	struct tensor_spec spec;
};

struct onnx_graph {
	struct onnx_node *nodes;
	size_t node_count;
	struct tensor *initializers;
	size_t initializer_count;
	struct onnx_value *inputs, *outputs;
	size_t input_count, output_count;
};

struct onnx_pair {
	struct span key, value;
	int64_t version; /* opset imports */
};

struct onnx_file {
	int64_t ir_version;
	struct span producer;
	struct onnx_pair *opsets, *metadata;
	size_t opset_count, metadata_count;
	size_t function_count;
	struct onnx_graph graph;
};

/* Structs are cut from `scratch` and point into `bytes`; data of tensors is cut from `arena`. */
bool onnx_parse(struct span bytes, struct onnx_file *ret, struct arena *scratch, struct arena *arena,
		struct error *err);

/* ---- the plan ---- */

struct onnx_operator;
struct onnx_planner;

struct onnx_step {
	const struct onnx_operator *op;
	const void *state;  /* what prepare() made */
	const uint32_t *in; /* slots, or ONNX_NONE */
	uint32_t in_count;
	uint32_t out, out_count; /* slots out .. out + out_count - 1 */
	uint64_t feeds;          /* a bit for each output of the graph that needs this step */
	const uint32_t *dead;    /* slots whose buffers nobody needs after this step */
	uint32_t dead_count;
	struct span name;
};

struct onnx_plan {
	uint32_t slot_count;
	uint32_t computed;      /* first slot that a step fills */
	const uint32_t *inputs; /* slots of the graph's inputs, less those that are constants */
	uint32_t input_count;
	const struct tensor *const *constants; /* by slot; NULL for what is not */
	const uint32_t *captures; /* of a body: slots of what it takes from around it, the last inputs of the step */
	uint32_t capture_count;
	const struct onnx_step *steps;
	size_t step_count;
	const uint32_t *outputs; /* slots */
	size_t output_count;
};

/* What prepare() is given. */
struct onnx_prepare {
	struct arena *arena;   /* lives as long as the model */
	struct arena *scratch; /* only while loading */
	struct onnx_node *node;
	struct onnx_step *step;                /* prepare() sets its state */
	const struct tensor *const *constants; /* for each input: its value if that is known, else NULL */
	int64_t opset;                         /* version of the node's domain */
	struct onnx_planner *planner;
};

/* What run() is given. Blocks of dead values wait in `free` to be used again. */
#define ONNX_FREE_BLOCKS 16
struct onnx_run {
	const struct onnx_plan *plan;
	struct arena *arena;
	const struct tensor **values; /* by slot */
	struct tensor *computed;      /* by slot - plan->computed */
	int64_t deadline_ns;          /* 0: none; only while loading */
	unsigned free_count;
	struct {
		void *data;
		size_t size;
	} free[ONNX_FREE_BLOCKS];
};

enum onnx_flags {
	ONNX_ALIAS = 1,   /* the output may be the first input's data */
	ONNX_NO_FOLD = 2, /* never computed at load */
};

struct onnx_operator {
	const char *name;
	const char *domain;                       /* "", "ai.onnx.ml", "com.microsoft" */
	uint8_t in_min, in_max, out_min, out_max; /* 255: any number */
	uint8_t flags;
	bool (*prepare)(struct onnx_prepare *p, struct error *err); /* NULL: no attributes */
	bool (*run)(struct onnx_run *r, const struct onnx_step *step, struct tensor *out, struct error *err);
	const void *more; /* for rows that share functions */
};

/* The tables; each ends with a row without a name. */
extern const struct onnx_operator onnx_ops_math[], onnx_ops_cast[], onnx_ops_reduce[], onnx_ops_matrix[],
    onnx_ops_shape[], onnx_ops_pick[], onnx_ops_scan[], onnx_ops_linear[], onnx_ops_trees[], onnx_ops_ml[],
    onnx_ops_encode[], onnx_ops_text[];

const struct onnx_operator *onnx_operator_find(struct span domain, struct span name);

/* Names of operators in the graph that have no row: "Conv, com.microsoft:Gelu (2)". Empty when there are none. */
bool onnx_missing_operators(const struct onnx_file *file, struct buffer *ret);

/* An object of an operator that is not in the arena. */
struct onnx_owned {
	struct onnx_owned *next;
	struct trees *trees;
};

/* What operators told about the model while they were prepared. */
struct onnx_facts {
	struct onnx_owned *owned;   /* the model's to free, also when loading fails */
	const struct span *classes; /* of the last operator that names classes */
	size_t class_count;
	bool regressor;     /* a regression operator is in it */
	bool trees_missing; /* a tree in it sends missing values its own way */
	size_t features;    /* columns of the only input, when the file says; given, not found */
};

/* `bytes` of the plan live in `arena`. */
struct onnx_plan *onnx_plan_new(const struct onnx_file *file, struct onnx_facts *facts, struct arena *arena,
				struct arena *scratch, struct error *err);

/* For operators with a body: the plan of the graph in an attribute. Captured names become p's step inputs behind its
 * own. */
struct onnx_plan *onnx_plan_body(struct onnx_prepare *p, struct onnx_graph *graph, struct error *err);

struct onnx_facts *onnx_facts(struct onnx_prepare *p);

/* ---- attributes, for prepare() ---- */

bool onnx_has(struct onnx_prepare *p, const char *name);
void onnx_ignore(struct onnx_prepare *p, const char *name);
bool onnx_int(struct onnx_prepare *p, const char *name, int64_t otherwise, int64_t *ret, struct error *err);
bool onnx_float(struct onnx_prepare *p, const char *name, float otherwise, float *ret, struct error *err);
bool onnx_string(struct onnx_prepare *p, const char *name, const char *otherwise, struct span *ret, struct error *err);
/* Lists, empty when absent; copied into p->arena. */
bool onnx_ints(struct onnx_prepare *p, const char *name, const int64_t **ret, size_t *ret_count, struct error *err);
bool onnx_floats(struct onnx_prepare *p, const char *name, const float **ret, size_t *ret_count, struct error *err);
bool onnx_strings(struct onnx_prepare *p, const char *name, const struct span **ret, size_t *ret_count,
		  struct error *err);
/* NULL when absent. */
bool onnx_tensor(struct onnx_prepare *p, const char *name, const struct tensor **ret, struct error *err);
bool onnx_body(struct onnx_prepare *p, const char *name, struct onnx_graph **ret, struct error *err);
/* The index in `names` (ends with NULL) of a string attribute's value; the first when absent. */
bool onnx_choice(struct onnx_prepare *p, const char *name, const char *const *names, int *ret, struct error *err);

/* ---- running ---- */

/* An array of outputs, one for each of the plan's; those not in `wanted` are left NULL. */
bool onnx_execute(struct onnx_run *r, uint64_t wanted, struct error *err);

/* Ready to execute: constants are set, inputs are the caller's to set in r->values[plan->inputs[i]]. */
bool onnx_run_init(struct onnx_run *r, const struct onnx_plan *plan, struct arena *arena, struct error *err);

static inline const struct tensor *onnx_in(const struct onnx_run *r, const struct onnx_step *step, uint32_t i)
{
	return i < step->in_count && step->in[i] != ONNX_NONE ? r->values[step->in[i]] : NULL;
}

/* A result's shape and fresh memory for it. */
bool onnx_new(struct onnx_run *r, struct tensor *ret, enum dtype type, int rank, const int64_t *shape,
	      struct error *err);

/* The same data under another shape; the caller has checked the count. */
void onnx_alias(struct tensor *ret, const struct tensor *from, int rank, const int64_t *shape);

/* "FP32 is not supported here": UNIMPLEMENTED. */
bool onnx_type_refused(const struct tensor *t, struct error *err);

/* A negative axis counts from the end; INVALID outside -rank .. rank - 1. */
bool onnx_axis(int64_t axis, int rank, int *ret, struct error *err);

/* Values of a small integer tensor (axes, shapes, pads ...) as int64; at most `max`. */
bool onnx_small_ints(const struct tensor *t, size_t max, int64_t *ret, size_t *ret_count, struct error *err);

/* Numbers as float, whatever the number type; without a copy when they are. */
bool onnx_floats_of(struct onnx_run *r, const struct tensor *t, const float **ret, struct error *err);

/* A matrix view of [N, F] or [F] (one row), for ai.onnx.ml. */
bool onnx_rows(const struct tensor *t, size_t *ret_rows, size_t *ret_columns, struct error *err);

/* Two or three shapes broadcast together (ONNX "multidirectional", as numpy does), dimensions merged where possible. */
struct onnx_broadcast {
	int rank, full_rank;
	int64_t full[TENSOR_RANK_MAX];     /* the result's shape */
	size_t shape[TENSOR_RANK_MAX];     /* merged */
	size_t stride[3][TENSOR_RANK_MAX]; /* of each input, in elements; innermost 0 or 1 */
	size_t count;
};
bool onnx_broadcast(const struct tensor *const *in, int count, struct onnx_broadcast *ret, struct error *err);

/* c[m,n] = a[m,k] * b[k,n] + bias (n values, or NULL), all row-major without gaps. */
void onnx_gemm_float(size_t m, size_t n, size_t k, const float *a, const float *b, const float *bias, float *c);
void onnx_gemm_double(size_t m, size_t n, size_t k, const double *a, const double *b, const double *bias, double *c);

/* LOGISTIC, SOFTMAX ... of ai.onnx.ml's post_transform attributes. */
enum onnx_transform { ONNX_NONE_TRANSFORM, ONNX_SOFTMAX, ONNX_LOGISTIC, ONNX_SOFTMAX_ZERO, ONNX_PROBIT };
bool onnx_transform_get(struct onnx_prepare *p, enum onnx_transform *ret, struct error *err);
/* In place, `columns` values in each of `rows` rows. */
void onnx_transform_rows(enum onnx_transform t, float *values, size_t rows, size_t columns);

/* e^x / sum of e^x over each row, in place. */
void onnx_softmax_rows(float *values, size_t rows, size_t columns);

/* Class labels of a classifier: from `ints` or `strings`, exactly one of the attributes given. */
struct onnx_labels {
	const int64_t *ints;
	const struct span *strings; /* or NULL */
	size_t count;
};
bool onnx_labels_get(struct onnx_prepare *p, const char *ints, const char *strings, struct onnx_labels *ret,
		     struct error *err);
/* The label output: [rows] of INT64 or BYTES. */
bool onnx_labels_new(struct onnx_run *r, const struct onnx_labels *labels, size_t rows, struct tensor *ret,
		     struct error *err);
static inline void onnx_label_put(const struct onnx_labels *labels, struct tensor *out, size_t row, size_t class)
{
	if (labels->strings)
		((struct span *)out->data)[row] = labels->strings[class];
	else
		((int64_t *)out->data)[row] = labels->ints[class];
}

/* Remembers class names for model_info. */
bool onnx_note_classes(struct onnx_prepare *p, const struct onnx_labels *labels, struct error *err);

/* ---- onnx_regex.c: the regular expressions of tokenizers ---- */

struct onnx_regex;

/* RE2's syntax, less what tokenizers have no use for: literals, classes, \w \d \s \b, groups, |, * + ? {n,m}, ^ and $.
 * UNIMPLEMENTED for the rest. Leftmost match, earlier alternatives and longer repeats first; time is linear in the
 * text. */
struct onnx_regex *onnx_regex_new(struct span pattern, struct arena *arena, struct error *err);

/* The next match at or behind `from`; false when there is none. Scratch memory comes from `room`, once per call site.
 */
struct onnx_regex_room {
	void *threads;
};
bool onnx_regex_room_new(const struct onnx_regex *re, struct onnx_regex_room *room, struct arena *arena,
			 struct error *err);
bool onnx_regex_next(const struct onnx_regex *re, struct onnx_regex_room *room, struct span text, size_t from,
		     size_t *ret_start, size_t *ret_end);

/* One character of UTF-8 at text[at]: its code point and bytes. A byte that starts none counts as itself. */
uint32_t onnx_character(struct span text, size_t at, size_t *ret_bytes);

/* Functions compiled also for AVX2 and FMA, chosen when the program starts. Not under sanitizers, whose run time is not
 * up when the choice is made. */
#if defined(__x86_64__) && !defined(__clang__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define ONNX_CLONES __attribute__((target_clones("avx2", "default")))
#else
#define ONNX_CLONES
#endif

/*
 * e^x in float, branch-free so that loops over it vectorise: x = n ln 2 + r, a degree-6 polynomial in r (the classic
 * single-precision coefficients of Moshier's Cephes library), n into the exponent. Within 1 ulp or so; inf, 0 and NaN
 * as exp.
 */
static inline float onnx_exp(float x)
{
	const float shift = 12582912.0f; /* 1.5 * 2^23: adding it rounds to an integer, in the low bits of the sum */
	float clamped = x < -104.0f ? -104.0f : x;
	float n, r, p = 1.9875691500e-4f;
	int32_t i, half;
	union {
		uint32_t u;
		float f;
	} sum, low, high;

	clamped = clamped > 89.0f ? 89.0f : clamped;
	sum.f = clamped * 1.44269504088896341f + shift;
	n = sum.f - shift;
	r = (clamped - n * 0.693359375f) - n * -2.12194440e-4f;
	p = p * r + 1.3981999507e-3f;
	p = p * r + 8.3334519073e-3f;
	p = p * r + 4.1665795894e-2f;
	p = p * r + 1.6666665459e-1f;
	p = p * r + 5.0000001201e-1f;
	p = p * r * r + r + 1.0f;
	i = (int32_t)(sum.u - 0x4B400000u);
	half = i >> 1; /* in two steps: 2^-149 and 2^128 are outside one exponent field */
	low.u = (uint32_t)(half + 127) << 23;
	high.u = (uint32_t)(i - half + 127) << 23;
	return p * low.f * high.f;
}

/* 1 / (1 + e^-x), without overflow, the same sum for x and -x. */
static inline float onnx_sigmoid(float x)
{
	float v = 1.0f / (1.0f + onnx_exp(-__builtin_fabsf(x)));

	return 0.5f + __builtin_copysignf(v - 0.5f, x); /* v - 0.5 is exact */
}
