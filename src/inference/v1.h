/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * v1 - private to inference: what the parts of the V1 surface share. v1.c has handlers and routes, v1_read.c requests,
 * v1_write.c answers, v1_about.c what tells of models.
 */
#include "inference/inference.h"
#include "wire/json.h"

#define V1_COLUMNS_MAX 65536 /* names in the rows of one request */

enum v1_verb { V1_PREDICT, V1_CLASSIFY, V1_REGRESS };

struct v1_call {
	struct call call; /* first: a struct call of this surface is one of these */
	enum v1_verb verb;
	bool is_rows; /* asked as `instances`, not `inputs` */
	struct span signature;
};

/* Reads a body into call.inputs, is_rows and signature. call.served and verb are set. INVALID tells the place. */
bool v1_read(struct v1_call *c, struct span body, struct arena *arena, struct error *err) MUST_CHECK;

/* Writes the results of the call, in the form of its verb. */
bool v1_write(struct request *req, struct v1_call *c, struct error *err) MUST_CHECK;

/* GET /v1/models, /v1/models/{model}, /v1/models/{model}/metadata */
void v1_models(struct request *req);
void v1_status(struct request *req);
void v1_metadata(struct request *req);
