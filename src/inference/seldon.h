/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * seldon - private to inference: what REST and gRPC of the Seldon protocol share once a message is decoded.
 *
 * seldon_message.h  the message and its two encodings
 * seldon_call.c     message → call of a model → answer
 * seldon.c          REST; seldon_grpc.c gRPC
 * seldon_component.c the same for somebody's code
 */
#include "inference/inference.h"
#include "inference/seldon_message.h"

/* A prediction under way. The call comes first, so that the struct call of this surface is one of these. */
struct seldon_work {
	struct call call;
	struct seldon_message message;
	void (*send)(struct request *req); /* the answer is in req->out */
};

extern const struct surface surface_seldon;

/* The component's own name from the environment, read once. */
const struct seldon_unit *seldon_unit(void);

/* Puts the Seldon-Puid header on the answer: the request's own, else the message's, else a new UUID. */
void seldon_set_puid(struct request *req, struct span message_puid);

/* Asks the model `served`, on this thread or, when that takes long, on a compute thread; answers or fails the request.
 */
void seldon_predict(struct request *req, const struct served *served, struct seldon_work *work);

/* What a component without the method asked for does: gives the payload back, with the columns named anew. */
void seldon_identity(struct request *req, struct seldon_work *work);

/* Handlers of the methods that a model does not have, with the words of the Python wrapper. */
void seldon_route_undefined(struct request *req);
void seldon_aggregate_undefined(struct request *req);

/* Counts a reward. INVALID for one that is no finite number. */
bool seldon_reward(const struct served *served, const struct seldon_feedback *feedback, struct error *err) MUST_CHECK;

/* Fills call->inputs from the message: named columns are put in the model's order. For tests, too. */
bool seldon_bind(const struct served *served, struct seldon_work *work, struct arena *arena,
		 struct error *err) MUST_CHECK;

/* The interior of POST /predict once it is known to be a Seldon message; `text` has it, or ptr NULL: look in the
 * request. */
void seldon_predict_request(struct request *req);

/* True when a JSON text is a Seldon message: an object with a member data, jsonData, strData or binData that is not one
 * of `columns`. Looks at no more than REQUEST_INLINE_BYTES. */
bool seldon_is_message(struct span text, const struct span *columns, size_t column_count, struct arena *arena);

/* An error of REST: HTTP's status, and the parts of Seldon's status object. */
void seldon_send_failure(struct request *req, int status, int code, struct span reason, struct span info);
struct span seldon_reason(int status); /* the wrapper's word: bad data, or an error inside */

/* Where the message of a REST request is: form field, query parameter or body. */
bool seldon_find_text(struct request *req, struct span *ret, struct error *err) MUST_CHECK;
/* A multipart form as a message; ret->is_whole is kept. */
bool seldon_read_multipart(struct request *req, struct seldon_message *ret, struct error *err) MUST_CHECK;

/* The model a gRPC call is for. */
const struct served *seldon_grpc_model(struct request *req, struct error *err);

/* True when a body starts as an object or list: what `curl -d` sends is JSON under a form's content type. */
bool seldon_is_json(struct span body);

/* The field `json` of a form in the body, or else of the query; false when neither has it. */
bool seldon_form_json(struct request *req, struct span *ret);
bool request_is_form(const struct request *req);
bool request_is_multipart(const struct request *req);
