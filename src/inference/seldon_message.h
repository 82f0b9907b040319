/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * seldon_message - a SeldonMessage, from JSON or protobuf to a tensor and back.
 *
 * One struct holds a question and an answer in either encoding. What it does not need to understand (tags, metrics,
 * jsonData) stays in the encoding it came in: JSON text, or protobuf bytes.
 *
 * Ownership: everything points into the text read, or into the arena given.
 * Errors:    INVALID, with the member ("data.tensor.shape [2,3] needs 6 values, not 5").
 * Threads:   one.
 */
#include "models/tensor.h"
#include "wire/json.h"

enum seldon_kind {
	SELDON_NOTHING, /* no payload */
	SELDON_TENSOR,  /* data.tensor */
	SELDON_NDARRAY, /* data.ndarray, and data with names only */
	SELDON_TFTENSOR,
	SELDON_BINARY, /* binData; .bytes decoded */
	SELDON_TEXT,   /* strData; in .bytes */
	SELDON_JSON,   /* jsonData; .bytes is JSON text, or an encoded google.protobuf.Value */
	SELDON_CUSTOM, /* customData; .bytes is an encoded google.protobuf.Any; protobuf only */
};

struct seldon_message {
	enum seldon_kind kind;
	bool is_protobuf;
	bool is_whole;        /* read for a component: `nested` and, of JSON, `meta` are filled */
	struct tensor tensor; /* of the three kinds of data; may be unaligned */
	const struct json_scalar
	    *scalars;   /* a mixed ndarray (text and numbers), row-major; the tensor is then its text */
	bool has_null;  /* a null in the numbers; it reads as NaN */
	bool is_packed; /* tftensor with tensorContent; the answer then has it as well */
	struct span
	    nested; /* data.ndarray as JSON text, for components: what is no full box of numbers; ptr NULL else. In an
			     * answer it is written in place of the tensor */
	struct span *names;
	size_t name_count;
	struct span bytes;

	/* Meta. JSON: the text of each; protobuf: all of it in `meta`. ptr NULL when absent. In an answer as JSON a `meta`
	 * is the whole of it, and the others do not count. */
	struct span puid;
	struct span tags, metrics, request_path;
	struct span meta;
};

/* What a component adds to requestPath in its answers, as the orchestrator tells it by PREDICTIVE_UNIT_ID and
 * PREDICTIVE_UNIT_IMAGE. An empty name adds nothing and leaves requestPath out. */
struct seldon_unit {
	struct span name, image;
	bool is_edge;     /* the orchestrator itself, of a graph of this one node: says its routing too */
	struct span said; /* inference_edge's */
};

#define SELDON_TEXT_MAX    (1u << 24) /* names and text elements of one message */
#define SELDON_REPEAT_MAX  (1u << 20) /* elements a tftensor may make by repeating its last value */
#define SELDON_PUID_LENGTH 128

/* A whole message. Several payloads: data wins, then jsonData, strData, binData. None is no error here. */
bool seldon_read_json(struct seldon_message *ret, struct span text, struct arena *arena, struct error *err) MUST_CHECK;

/*
 * The same for components, which are given more than models: meta as one text, and data.ndarray in `nested` where it is
 * not a full box of numbers or booleans. The second one makes a message of JSON's form (is_protobuf false) out of
 * protobuf: meta and jsonData as JSON text.
 */
bool seldon_read_json_whole(struct seldon_message *ret, struct span text, struct arena *arena,
			    struct error *err) MUST_CHECK;
bool seldon_read_protobuf_whole(struct seldon_message *ret, struct span bytes, struct arena *arena,
				struct error *err) MUST_CHECK;

/* One member of a message: its value is read (or skipped, when the key says nothing). For multipart forms. */
bool seldon_read_member(struct seldon_message *m, struct span key, struct json *j, struct error *err) MUST_CHECK;

bool seldon_read_protobuf(struct seldon_message *ret, struct span bytes, struct arena *arena,
			  struct error *err) MUST_CHECK;

/* Feedback: the messages in it are checked for their type only. Reward 0 when absent. */
struct seldon_feedback {
	double reward;
	struct span puid; /* of the response, or of the request */
};
bool seldon_read_feedback_json(struct seldon_feedback *ret, struct span text, struct arena *arena,
			       struct error *err) MUST_CHECK;
bool seldon_read_feedback_protobuf(struct seldon_feedback *ret, struct span bytes, struct error *err) MUST_CHECK;

/* jsonData that is a list of numbers, as the tensor a model takes; INVALID for any other. The kind stays SELDON_JSON.
 */
bool seldon_json_tensor(struct seldon_message *m, struct arena *arena, struct error *err) MUST_CHECK;
bool seldon_protobuf_tensor(struct seldon_message *m, struct arena *arena, struct error *err) MUST_CHECK;

/* Writes a message in its own encoding, keys in alphabetical order, meta always there. */
bool seldon_write(struct buffer *out, const struct seldon_message *m, const struct seldon_unit *unit,
		  struct arena *arena, struct error *err) MUST_CHECK;

/*
 * The answer to `request` that carries `result`: of the request's kind (tensor when it was no data; ndarray when the
 * result is not numbers), with its meta. `classes` name the columns, when there are as many; else they are t:0, t:1 ...
 */
bool seldon_answer(struct seldon_message *ret, const struct seldon_message *request, const struct tensor *result,
		   const struct span *classes, size_t class_count, struct arena *arena, struct error *err) MUST_CHECK;

/* True when the bytes may stand in a header as a puid. */
bool seldon_puid_is_sane(struct span puid);

/* ---- between the files of this codec ---- */

/* The tensor of numbers, text and so on that a nested array is. `what` names it in errors ("data.ndarray"). */
bool seldon_tensor_from_array(struct seldon_message *m, const struct json_array *array, const char *what,
			      struct arena *arena, struct error *err) MUST_CHECK;

/* Numbers JSON and protobuf can print: FP16 and BF16 become FP32, everything else stays. */
bool seldon_plain(struct tensor *t, struct arena *arena, struct error *err) MUST_CHECK;

/* A shape as sent, checked against the count of values; one -1 stands for what is left. */
bool seldon_shape(struct tensor *t, const int64_t *shape, size_t rank, const char *what, struct error *err) MUST_CHECK;

/* tensorflow.TensorProto (seldon_tftensor.c). */
bool tftensor_read_json(struct seldon_message *m, struct json *j, struct error *err) MUST_CHECK;
bool tftensor_read_protobuf(struct seldon_message *m, struct span bytes, struct arena *arena,
			    struct error *err) MUST_CHECK;
bool tftensor_write_json(struct json_writer *w, const struct tensor *t, bool is_packed, struct arena *arena,
			 struct error *err) MUST_CHECK;
bool tftensor_write_protobuf(struct buffer *out, uint32_t number, const struct tensor *t, struct error *err) MUST_CHECK;

bool seldon_write_json(struct buffer *out, const struct seldon_message *m, const struct seldon_unit *unit,
		       struct arena *arena, struct error *err) MUST_CHECK;
bool seldon_write_protobuf(struct buffer *out, const struct seldon_message *m, const struct seldon_unit *unit,
			   struct error *err) MUST_CHECK;

/* A message of JSON's form as protobuf. */
bool seldon_write_protobuf_whole(struct buffer *out, const struct seldon_message *m, const struct seldon_unit *unit,
				 struct arena *arena, struct error *err) MUST_CHECK;
bool seldon_write_data_protobuf(struct buffer *out, const struct seldon_message *m, struct error *err) MUST_CHECK;

/* The parts of meta out of an object's text: puid, tags, metrics, requestPath. */
bool seldon_read_meta(struct seldon_message *m, struct json *j, struct error *err) MUST_CHECK;
/* inference_edge's `said`. */
void seldon_write_said(struct buffer *out, struct span node, struct span image);
/* All of meta as one object. */
bool seldon_write_meta(struct json_writer *w, const struct seldon_message *m, const struct seldon_unit *unit,
		       struct arena *arena, struct error *err) MUST_CHECK;

/* What json_numbers() calls a type; false for FP16, BF16, BOOL and BYTES. */
bool seldon_number_type(enum dtype type, enum json_number_type *ret);
void json_write_base64(struct json_writer *w, struct span bytes);

/* A tensor's elements as nested lists from dimension `level` on; returns the index behind the last one written. */
size_t json_write_nested(struct json_writer *w, const struct tensor *t, int level, size_t at);
void json_write_element(struct json_writer *w, const struct tensor *t, size_t i); /* not FP16, BF16 */

/* JSON text with the members of every object in alphabetical order (a repeated key: the last counts), as Seldon's
 * servers print what passes through them (seldon_sorted.c). */
bool json_write_sorted(struct json_writer *w, struct span text, struct arena *arena, struct error *err) MUST_CHECK;
