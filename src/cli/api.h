/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * api - questions to an API server, for commands: that of this machine's `hythe up`, or the one a kubeconfig names.
 *
 * Threads: one; calls block.
 * Errors:  UNAVAILABLE when nobody answers, saying how to start; what the server says by its code, in its words.
 * Limits:  API_ANSWER_MOST of one answer, API_TIMEOUT_NS for it; streams have neither.
 */
#include "wire/value.h"

#define API_ANSWER_MOST MIB(64)
#define API_TIMEOUT_NS  INT64_C(30000000000)

struct api;

/* Where: `kubeconfig`, else the data folder's, when that is given, else $KUBECONFIG, else that of the usual data folder. */
struct api_flags {
	const char *data_dir, *kubeconfig;
};

struct api *api_open(const struct api_flags *where, struct arena *arena, struct error *err);
void api_close(struct api *a);               /* NULL is allowed */
struct span api_server(const struct api *a); /* "https://127.0.0.1:6443" */
struct loop *api_loop(struct api *a);

/* `body` empty: GET or DELETE; else JSON, or what `type` says. `ret` may be NULL. */
bool api_call(struct api *a, const char *method, const char *path, const char *type, struct span body,
	      struct arena *arena, struct value *ret, struct error *err);
static inline bool api_get(struct api *a, const char *path, struct arena *arena, struct value *ret, struct error *err)
{
	return api_call(a, "GET", path, NULL, (struct span){ 0 }, arena, ret, err);
}

/* From a callback of the loop: the call under way ends with CANCELLED. */
void api_interrupt(struct api *a);

/* A GET whose answer comes in parts, until it ends or `take` returns false. */
bool api_stream(struct api *a, const char *path, bool (*take)(void *context, struct span bytes), void *context,
		struct error *err);
