/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/api.h"

#include <stdlib.h>
#include <sys/stat.h>

#include "cli/folder.h"
#include "kube/cluster_remote.h"
#include "loop/loop.h"
#include "net/https.h"

struct api {
	struct kubeconfig config;
	struct arena *arena;
	struct loop *loop;
	struct https *https;
	bool is_interrupted;
	const char *folder; /* whose hythe it is; NULL: a kubeconfig of somebody's */
};

/* ---- where ---- */

static const char *file_choose(const struct api_flags *where, const char **ret_folder, struct arena *arena,
			       struct error *err)
{
	const char *folder, *own;

	*ret_folder = NULL;
	if (where->kubeconfig)
		return where->kubeconfig;
	own = where->data_dir ? NULL : getenv("KUBECONFIG");
	if (own && *own)
		return own;
	folder = data_folder(where->data_dir, arena, err);
	*ret_folder = folder;
	return folder ? data_path(folder, "kubeconfig", arena, err) : NULL;
}

struct api *api_open(const struct api_flags *where, struct arena *arena, struct error *err)
{
	const char *folder, *file = file_choose(where, &folder, arena, err);
	struct kubeconfig config;
	struct stat st;
	struct api *a;

	if (!file)
		return NULL;
	if (folder && stat(file, &st) != 0) {
		error_set(err, ERROR_UNAVAILABLE, "no hythe has run with the data in %s: start `hythe up%s%s`", folder,
			  where->data_dir ? " --data-dir " : "", where->data_dir ? where->data_dir : "");
		return NULL;
	}
	if (!kubeconfig_read(file, arena, &config, err))
		return NULL;
	a = base_calloc(1, sizeof(*a));
	*a = (struct api){ .config = config, .arena = arena, .loop = loop_new(), .folder = folder };
	a->https = https_new(&(struct https_config){
	    .loop = a->loop, .calls_most = 4, .answer_most = API_ANSWER_MOST, .user_agent = "hythe/" HYTHE_VERSION });
	return a;
}

void api_close(struct api *a)
{
	if (!a)
		return;
	https_free(a->https);
	loop_free(a->loop);
	free(a);
}

struct span api_server(const struct api *a)
{
	return a->config.server;
}

struct loop *api_loop(struct api *a)
{
	return a->loop;
}

/* ---- calls ---- */

struct asking {
	struct api *api;
	struct arena *arena;
	struct value *ret;
	struct error *err;
	bool is_done, is_good, was_stopped;
	bool (*take)(void *context, struct span bytes);
	void *context;
};

static bool answer_read(struct asking *q, const struct https_answer *answer)
{
	struct span text;

	if (answer->status >= 300) {
		remote_status(answer->status, answer->body, q->err);
		return false;
	}
	if (!q->ret)
		return true;
	text = arena_copy(q->arena, answer->body, q->err);
	return text.ptr && value_parse(text, NULL, q->arena, q->ret, q->err);
}

static bool nobody(struct asking *q, const struct error *why)
{
	const struct api *a = q->api;

	if (a->folder)
		return error_set(q->err, ERROR_UNAVAILABLE,
				 "nobody answers at " SPAN_FMT ": is `hythe up` running? (%s)",
				 SPAN_ARG(a->config.server), why->message);
	return error_set(q->err, why->code, SPAN_FMT ": %s", SPAN_ARG(a->config.server), why->message);
}

static void answered(void *context, const struct https_answer *answer, const struct error *why)
{
	struct asking *q = context;

	q->is_done = true;
	if (q->was_stopped)
		q->is_good = true;
	else
		q->is_good = why ? nobody(q, why) : answer_read(q, answer);
}

static bool part_take(void *context, struct span bytes)
{
	struct asking *q = context;

	q->was_stopped = !q->take(q->context, bytes);
	return !q->was_stopped;
}

static bool ask(struct asking *q, const char *method, const char *path, const char *type, struct span body)
{
	const struct kubeconfig *c = &q->api->config;
	struct https_request r = { .method = span_of(method),
				   .url = arena_print(q->arena, q->err, SPAN_FMT "%s", SPAN_WHOLE(c->server), path),
				   .may_be_plain = true,
				   .content_type = span_of(type ? type : "application/json"),
				   .body = body,
				   .bearer = c->token,
				   .ca_pem = c->ca_pem,
				   .certificate_pem = c->certificate_pem,
				   .key_pem = c->key_pem,
				   .is_insecure = c->is_insecure,
				   .timeout_ns = q->take ? 0 : API_TIMEOUT_NS,
				   .part = q->take ? part_take : NULL,
				   .done = answered,
				   .context = q };
	struct https_call *call;

	if (c->token_file)
		r.bearer = kubeconfig_token(c->token_file, q->arena, q->err);
	if (!r.url.ptr || q->err->code || !(call = https_call(q->api->https, &r, q->err)))
		return false;
	while (!q->is_done && !q->api->is_interrupted)
		loop_turn(q->api->loop, true);
	q->api->is_interrupted = false;
	if (q->is_done)
		return q->is_good;
	https_cancel(call);
	return error_set(q->err, ERROR_CANCELLED, "interrupted");
}

void api_interrupt(struct api *a)
{
	a->is_interrupted = true;
}

bool api_call(struct api *a, const char *method, const char *path, const char *type, struct span body,
	      struct arena *arena, struct value *ret, struct error *err)
{
	struct asking q = { .api = a, .arena = arena, .ret = ret, .err = err };

	return ask(&q, method, path, type, body);
}

bool api_stream(struct api *a, const char *path, bool (*take)(void *context, struct span bytes), void *context,
		struct error *err)
{
	struct asking q = { .api = a, .arena = a->arena, .err = err, .take = take, .context = context };

	return ask(&q, "GET", path, NULL, (struct span){ 0 });
}
