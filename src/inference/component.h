/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * component - a model that is somebody's code: more than tensors in and out, it has the methods of a Seldon component on
 * whole messages (predict, transform-input, transform-output, route, aggregate, send-feedback, health, metadata).
 *
 * A component is served under a name like a model file. The Seldon surfaces hand it messages; V2, V1 and records reach its
 * predict through a struct model made for it (component_model.c), with the first input as the message's array.
 *
 * Threads:   `call` runs on a compute thread (inference_offload()), several at once; never on a loop.
 * Ownership: the component is the caller's and outlives the inference. What `call` leaves in the answer is cut from the
 *            arena, or lives until `release`.
 * Errors:    code and message, and with them the HTTP status and the Seldon reason that the user's code chose.
 */
#include "inference/inference.h"
#include "inference/seldon_message.h"

enum component_method {
	COMPONENT_PREDICT,
	COMPONENT_TRANSFORM_INPUT,
	COMPONENT_TRANSFORM_OUTPUT,
	COMPONENT_ROUTE,
	COMPONENT_AGGREGATE,
	COMPONENT_FEEDBACK,
	COMPONENT_HEALTH,
	COMPONENT_METADATA, /* the answer is JSON: a SeldonModelMetadata */
	COMPONENT_METRICS,  /* the answer is text: Prometheus' exposition format, to go with the server's own */
};

struct component_call {
	enum component_method method;
	bool is_grpc;
	struct span request_id;
	/* The request as sent: JSON text, or encoded protobuf. Of V2, V1 and records: empty. */
	struct span raw;
	/* Decoded: one message; AGGREGATE all of the list; FEEDBACK request, response, truth (kind NOTHING when absent, and
	 * has_xxx false); HEALTH, METADATA and METRICS none. All are of JSON's form (is_protobuf false): for messages of
	 * protobuf, meta and jsonData have been turned to JSON text. `meta` is the text of the whole, ptr NULL when absent;
	 * puid, tags, metrics and request_path are its parts. data.ndarray is a tensor when it is a full box of numbers or
	 * of booleans (whole numbers of JSON: INT64), and else the text `nested`. */
	struct seldon_message *messages;
	size_t message_count;
	bool has_request, has_response, has_truth; /* FEEDBACK */
	double reward;
	const int32_t *routing; /* FEEDBACK: response.meta.routing of this unit, or NULL */

	/*
	 * The answer: a message (of JSON's form whatever came: the caller turns meta and jsonData to protobuf for gRPC), or
	 * `raw_answer`, sent as it is, in the encoding of the request (of V2, V1 and records: JSON text). `status` is 200
	 * unless the code says otherwise.
	 *
	 * Meta: answer.meta is the whole of it, as text, and nothing is added: who gives one has merged tags, metrics, puid
	 * and requestPath. Without it the parts count (of PREDICT and TRANSFORM_x: those of the request, where the answer
	 * has none), and requestPath tells this unit of PREDICTIVE_UNIT_ID but for ROUTE, FEEDBACK and HEALTH.
	 */
	struct seldon_message answer;
	bool answer_is_raw;
	struct span raw_answer;
	int status;
	/* After a failure: what the error answer says besides the message; 0 and empty: as the error code has it. */
	int error_status;
	struct span error_reason;
	int error_code; /* "code" of the Seldon status; -1 by default */

	/* Called once the answer is encoded, on the thread that encoded it; may be NULL. */
	void (*release)(void *held);
	void *held;
};

struct component {
	/* Fills the answer. False: err. */
	bool (*call)(struct component *c, struct component_call *call, struct arena *arena, struct error *err);
	struct span kind;                           /* for people: "Python class MyModel" */
	struct span platform;                       /* V2 metadata: "python" */
	const struct tensor_spec *inputs, *outputs; /* V2 metadata, as far as known; none: one of any type and shape */
	size_t input_count, output_count;
	struct span *feature_names;
	size_t feature_count;
	struct span *class_names;
	size_t class_count;
};

/* Puts a component into service under a name. It has no file: it is not watched, and load and unload are UNIMPLEMENTED. */
bool inference_add_component(struct inference *inf, const char *name, struct component *component,
			     struct error *err) MUST_CHECK;

/* ---- for surfaces (private to the room) ---- */

/* The component behind a served name; NULL for a model file. */
struct component *served_component(const struct served *s);

/* The struct model that stands for a component: it takes any tensors. One reference is the caller's. */
struct model *component_model_new(struct component *component, struct error *err);

/*
 * PREDICT for V2, V1 and records, on this thread: the first input as a message (several inputs: their columns side by
 * side, which must have the same rows), the answer as one tensor in `ret`, cut from the arena.
 */
bool component_predict(struct component *component, const struct tensor *inputs, size_t input_count,
		       struct span request_id, struct tensor *ret, struct arena *arena, struct error *err) MUST_CHECK;

/* Asks a method of the component `s` for a Seldon message on a compute thread, and answers the request; false, and
 * nothing is done, when `s` is no component. */
bool seldon_component(struct request *req, const struct served *s, enum component_method method);

/* The components' own metrics: COMPONENT_METRICS of all that are served, appended to `out`. On a compute thread. */
void component_metrics(struct request *req, struct buffer *out);
bool component_is_served(struct request *req); /* any of them */
