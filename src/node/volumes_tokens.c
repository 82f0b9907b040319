/* SPDX-License-Identifier: Apache-2.0 */
/*
 * volumes_tokens - tokens of service accounts for projected volumes, asked for at the API server, bound to the pod, and asked for anew after four
 * fifths of their life, a day at the latest.
 */
#include "node/volumes_private.h"

#include <stdlib.h>

#include "base/clock.h"
#include "kube/kinds/kinds.h"

#define TOKEN_SECONDS_USUAL 3600
#define TOKEN_AGAIN_NS      (30 * NS_PER_S) /* after one that was refused, while an old one is there */
#define TOKEN_AGE_MOST_NS   (INT64_C(24) * 3600 * NS_PER_S)

/* One question; it may come back after the volumes have gone. */
struct asking {
	struct volumes *v; /* NULL: they have gone */
	struct token *token;
};

const struct token *token_find(const struct volumes *v, struct span volume, uint32_t source)
{
	const struct token *t = v->tokens;

	while (t && !(t->source == source && span_equal(t->volume, volume)))
		t = t->next;
	return t;
}

static struct token *token_ensure(struct volumes *v, struct span volume, uint32_t source)
{
	struct token *t = (struct token *)token_find(v, volume, source);

	if (t)
		return t;
	t = base_calloc(1, sizeof(*t));
	t->volume = span_from(span_to_text(volume), volume.len);
	t->source = source;
	t->next = v->tokens;
	v->tokens = t;
	return t;
}

static void answered(void *context, const struct value *object, const struct error *err)
{
	struct asking *a = context;
	struct volumes *v = a->v;
	struct token *t = a->token;
	int64_t expires = 0, seconds = value_find_int(object, "spec.expirationSeconds", TOKEN_SECONDS_USUAL), begin,
		life;
	struct span text = value_find_string(object, "status.token");

	free(a);
	if (!v)
		return;
	t->asking = NULL;
	t->renew_ns = t->asked_ns + TOKEN_AGAIN_NS;
	if (err) {
		t->err = *err;
	} else if (!text.len ||
		   !clock_parse_rfc3339(value_find_string(object, "status.expirationTimestamp"), &expires)) {
		error_set(&t->err, ERROR_INTERNAL, "the API server's answer holds no token");
	} else {
		t->err = (struct error){ 0 };
		free((char *)t->text.ptr);
		t->text = span_from(span_to_text(text), text.len);
		begin = (expires - seconds) * NS_PER_S;
		life = seconds * NS_PER_S / 5 * 4;
		t->renew_ns = begin + MIN(life, TOKEN_AGE_MOST_NS);
	}
	volumes_go_on(v);
}

static bool put(struct value *object, const char *name, struct value v, struct arena *arena, struct error *err)
{
	return value_set(object, span_of(name), v, arena, err) != NULL;
}

static bool request_make(const struct value *pod, const struct value *source, struct arena *arena, struct value *ret,
			 struct error *err)
{
	struct value spec = value_object(), bound = value_object(), audiences = value_array();
	struct span audience = value_find_string(source, "audience");

	*ret = value_object();
	return (!audience.len || value_append(&audiences, value_string(audience), arena, err)) &&
	       put(&bound, "kind", value_string(SPAN("Pod")), arena, err) &&
	       put(&bound, "apiVersion", value_string(SPAN("v1")), arena, err) &&
	       put(&bound, "name", value_string(value_find_string(pod, "metadata.name")), arena, err) &&
	       put(&bound, "uid", value_string(value_find_string(pod, "metadata.uid")), arena, err) &&
	       put(&spec, "audiences", audiences, arena, err) &&
	       put(&spec, "expirationSeconds",
		   value_int(value_find_int(source, "expirationSeconds", TOKEN_SECONDS_USUAL)), arena, err) &&
	       put(&spec, "boundObjectRef", bound, arena, err) &&
	       put(ret, "apiVersion", value_string(SPAN("authentication.k8s.io/v1")), arena, err) &&
	       put(ret, "kind", value_string(SPAN("TokenRequest")), arena, err) && put(ret, "spec", spec, arena, err);
}

static void ask(struct volumes *v, struct token *t, const struct value *pod, const struct value *source)
{
	struct span account = value_find_string(pod, "spec.serviceAccountName");
	struct asking *a = base_calloc(1, sizeof(*a));
	struct error err = { 0 };
	struct cluster_write w = { .resource = &resource_service_accounts,
				   .verb = KUBE_CREATE,
				   .subresource = SPAN("token"),
				   .name_space = value_find_string(pod, "metadata.namespace"),
				   .name = account.len ? account : SPAN("default"),
				   .manager = SPAN("kubelet"),
				   .done = answered,
				   .context = a };
	struct value request;
	struct arena arena;

	*a = (struct asking){ v, t };
	t->asking = a;
	arena_init(&arena, KIB(256));
	w.object = &request;
	if (request_make(pod, source, &arena, &request, &err))
		cluster_write(v->config.place->cluster, &w);
	else
		answered(a, NULL, &err);
	arena_done(&arena);
}

/* *ret_waits: one that is needed now is on its way. */
static bool token_ready(struct volumes *v, const struct value *pod, struct span volume, uint32_t index,
			const struct value *source, int64_t now_ns, bool *ret_waits, struct error *err)
{
	struct token *t = token_ensure(v, volume, index);

	/* One that was refused is asked for again by the next call, which comes when something has changed, or later. */
	if (!t->asking && (t->text.len ? t->renew_ns <= now_ns : t->err.code == ERROR_NONE)) {
		t->asked_ns = now_ns;
		ask(v, t, pod, source);
	}
	if (t->text.len)
		return true; /* an old one until the new one comes */
	if (t->asking) {
		*ret_waits = true;
		return true;
	}
	*err = t->err;
	t->err = (struct error){ 0 };
	return false;
}

bool tokens_ready(struct volumes *v, const struct value *pod, int64_t now_ns, struct error *err)
{
	const struct value *list = value_find(pod, "spec.volumes");
	bool waits = false;

	for (uint32_t i = 0; i < value_count(list); i++) {
		const struct value *volume = value_item(list, i), *sources = value_find(volume, "projected.sources");

		for (uint32_t k = 0; k < value_count(sources); k++) {
			const struct value *one = value_get(value_item(sources, k), SPAN("serviceAccountToken"));

			if (one && !token_ready(v, pod, value_find_string(volume, "name"), k, one, now_ns, &waits, err))
				return error_wrap(err, "MountVolume.SetUp failed for volume \"" SPAN_FMT "\" ",
						  SPAN_ARG(value_find_string(volume, "name")));
		}
	}
	return !waits;
}

int64_t tokens_next_ns(const struct volumes *v)
{
	int64_t next = INT64_MAX;

	for (const struct token *t = v->tokens; t; t = t->next)
		if (t->text.len && !t->asking)
			next = MIN(next, t->renew_ns);
	return next;
}

void tokens_free(struct volumes *v)
{
	while (v->tokens) {
		struct token *t = v->tokens;

		v->tokens = t->next;
		if (t->asking)
			t->asking->v = NULL;
		free((char *)t->volume.ptr);
		free((char *)t->text.ptr);
		free(t);
	}
}
