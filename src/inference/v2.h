/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * v2 - private to inference: what REST and gRPC of the Open Inference Protocol (V2) share.
 *
 * v2_data.c  tensor bytes in their raw form, the classification extension
 * v2_json.c  the infer request and its answer as JSON, with the binary tensor extension
 * v2.c       REST; v2_grpc.c gRPC
 *
 * Ownership: everything is cut from the arena given, or points into the request's body.
 */
#include "base/random.h"
#include "inference/inference.h"
#include "wire/json.h"

enum v2_form { V2_FORM_DEFAULT, V2_FORM_JSON, V2_FORM_BINARY };

/* One of the request's `outputs`; its name is call.wanted[i]. */
struct v2_output {
	enum v2_form form;
	uint32_t classes; /* classification: the best so many as text; 0: the tensor itself */
};

/* An infer request, decoded. The call comes first, so that a struct call of this room is one of these. */
struct v2_infer {
	struct call call;
	struct v2_output *outputs; /* call.wanted_count of them, or NULL */
	bool is_binary;            /* outputs are binary unless they say otherwise */
};

#define V2_INPUTS_MAX  65536 /* inputs, or outputs asked for, of one request */
#define V2_SERVER_NAME "hythe"

/* The extensions this server has, by their names in the protocol. */
extern const struct span v2_extensions[];
extern const size_t v2_extension_count;

/* ---- v2_data.c ---- */

/*
 * Tensor bytes as they travel: little-endian, row-major, BOOL one byte, BYTES each with a 32-bit length in front. `t`
 * has name, type, shape and count; its data becomes the bytes themselves (for BYTES spans into them), perhaps not
 * aligned.
 */
bool v2_from_raw(struct tensor *t, struct span bytes, struct arena *arena, struct error *err);
size_t v2_raw_size(const struct tensor *t);
void v2_write_raw(struct buffer *out, const struct tensor *t);

/*
 * A growing array cut from an arena: room for one more item of `size` behind `count`. The first growth gives room
 * for 4. INVALID past V2_INPUTS_MAX.
 */
bool v2_grow(void *array_pointer, size_t count, size_t *cap, size_t size, struct arena *arena, struct error *err);

/*
 * The classification extension: for each row the `top` best as "value:index" or "value:index:label" in a BYTES tensor
 * [rows, top], best first.
 */
bool v2_classify(const struct served *s, const struct tensor *scores, uint32_t top, struct arena *arena,
		 struct tensor *ret, struct error *err);

/* Does so for the results whose outputs ask for it. */
bool v2_classify_results(struct v2_infer *infer, struct arena *arena, struct error *err);

/* dtype_find(), with the two that nearly every request names first. */
static inline bool v2_dtype_find(struct span name, enum dtype *ret)
{
	if (name.len == 4 && memcmp(name.ptr, "FP64", 4) == 0)
		*ret = DTYPE_FP64;
	else if (name.len == 4 && memcmp(name.ptr, "FP32", 4) == 0)
		*ret = DTYPE_FP32;
	else
		return dtype_find(name, ret);
	return true;
}

/* The id of an answer: the caller's, or a new one printed to `text`. */
struct span v2_id(const struct call *call, char text[RANDOM_UUID_SIZE]);

/* ---- v2_json.c ---- */

/* `json` is the request's JSON part, `binary` the tensors' bytes behind it. */
bool v2_json_read(struct span json, struct span binary, struct arena *arena, struct v2_infer *ret, struct error *err);

/* A raw request: the body is the one input's bytes. */
bool v2_raw_read(struct span body, const struct served *s, struct arena *arena, struct v2_infer *ret,
		 struct error *err);

/* The answer; *ret_json_len is the length of its JSON part when binary tensors follow, else 0. */
bool v2_json_write(struct buffer *out, const struct v2_infer *infer, size_t *ret_json_len, struct error *err);

/* ---- v2.c: shared with gRPC ---- */

struct span v2_state_name(enum served_state state); /* "READY" */

/* Parameters of a load: `config` must be sound; `file:...` is refused. */
bool v2_check_config(struct span config, struct arena *arena, struct error *err);
bool v2_refuse_file(struct span key, struct error *err);

/* ---- v2_protobuf.c ---- */

/* A ModelInferRequest as it came: which model, and then its tensors. */
struct v2_message {
	struct span model_name, model_version;
	bool is_raw; /* tensors came as raw_input_contents: the answer goes out so too */
	struct v2_infer infer;
};

bool v2_message_read(struct span body, struct arena *arena, struct v2_message *ret, struct error *err);

/* Appends a ModelInferResponse. */
bool v2_message_write(struct buffer *out, const struct v2_message *m, struct error *err);
