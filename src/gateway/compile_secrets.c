/* SPDX-License-Identifier: Apache-2.0 */
/* compile_secrets - certificates of entries, from secrets of type kubernetes.io/tls. Reading keys is dear: what did not change is had again. */
#include <stdlib.h>

#include "base/log.h"
#include "gateway/compile_private.h"
#include "wire/base64.h"

/* What an entry shows. */
struct tls_set {
	struct tls_set *next;
	struct span entry; /* its key */
	uint64_t hash;     /* of the secrets' versions, and the names */
	struct certificates *certificates;
};

static bool pem_of(const struct item *secret, struct certificate_pem *ret, struct arena *arena, struct error *err)
{
	const struct value *data = value_find(secret->object, "data");
	const struct value *chain = value_get(data, SPAN("tls.crt")), *key = value_get(data, SPAN("tls.key"));

	if (!value_is(chain, VALUE_STRING) || !value_is(key, VALUE_STRING))
		return error_set(err, ERROR_INVALID, "it has no tls.crt and tls.key");
	return base64_read(chain->string, arena, &ret->chain, err) && base64_read(key->string, arena, &ret->key, err);
}

/* The good ones of several: one that is bad must not take the others with it. */
static struct certificates *certificates_make(struct pass *p, const struct secret_use *uses, size_t count)
{
	struct certificate_pem *list = arena_calloc(&p->scratch, count, sizeof(*list), p->err);
	struct certificates *made = NULL;
	size_t good = 0;

	for (size_t n = 0; list && n < count; n++) {
		const struct item *secret = item_find(p->compile, SECRETS, uses[n].key);
		struct error err = { 0 };
		struct certificates *one;

		if (!secret || !pem_of(secret, &list[good], &p->scratch, &err))
			continue;
		list[good].names = uses[n].name.len ? &uses[n].name : NULL;
		list[good].name_count = uses[n].name.len ? 1 : 0;
		one = certificates_new(&list[good], 1, &err);
		certificates_unref(one);
		if (one)
			good++;
		else
			log_warn("gateway", "a certificate cannot be used", LOG_SPAN("secret", uses[n].key),
				 LOG_TEXT("error", err.message));
	}
	if (good) {
		struct error err = { 0 };

		made = certificates_new(list, good, &err);
		if (!made)
			log_warn("gateway", "certificates cannot be used", LOG_TEXT("error", err.message));
	}
	return made;
}

static struct tls_set *set_of(struct compile *c, struct span entry)
{
	struct tls_set *s = c->tls;

	while (s && !span_equal(s->entry, entry))
		s = s->next;
	if (s)
		return s;
	s = base_calloc(1, sizeof(*s));
	s->entry = span_from(span_to_text(entry), entry.len);
	s->next = c->tls;
	c->tls = s;
	return s;
}

static void release(void *certificates)
{
	certificates_unref(certificates);
}

struct certificates *secrets_certificates(struct pass *p, struct span entry, const struct secret_use *uses,
					  size_t count)
{
	struct tls_set *s = set_of(p->compile, entry);
	struct buffer text;
	uint64_t hash;

	buffer_init(&text, MIB(16));
	for (size_t n = 0; n < count; n++) {
		const struct item *secret = item_find(p->compile, SECRETS, uses[n].key);

		buffer_print(&text, SPAN_FMT " " SPAN_FMT " " SPAN_FMT " " SPAN_FMT "\n", SPAN_WHOLE(uses[n].key),
			     SPAN_WHOLE(secret ? secret->uid : (struct span){ 0 }),
			     SPAN_WHOLE(secret ? secret->version : (struct span){ 0 }), SPAN_WHOLE(uses[n].name));
	}
	hash = span_hash(buffer_span(&text));
	buffer_done(&text);
	if (hash != s->hash) {
		certificates_unref(s->certificates);
		s->certificates = certificates_make(p, uses, count);
		s->hash = hash;
	}
	if (s->certificates) {
		certificates_ref(s->certificates);
		plan_keep(p->builder, s->certificates, release);
	}
	return s->certificates;
}

const char *secret_fault(struct compile *c, struct span key)
{
	static const char bad[] = "has no certificate with its key";
	struct item *secret = item_find(c, SECRETS, key);
	struct certificate_pem pem = { 0 };
	struct certificates *made = NULL;
	struct error err = { 0 };
	struct arena arena;

	if (!secret)
		return "is not there, or not of type kubernetes.io/tls";
	if (secret->told) /* looked at before */
		return secret->told == 1 ? NULL : bad;
	arena_init(&arena, MIB(16));
	if (pem_of(secret, &pem, &arena, &err))
		made = certificates_new(&pem, 1, &err);
	arena_done(&arena);
	certificates_unref(made);
	secret->told = made ? 1 : 2;
	return made ? NULL : bad;
}

void secrets_free(struct compile *c)
{
	while (c->tls) {
		struct tls_set *s = c->tls;

		c->tls = s->next;
		certificates_unref(s->certificates);
		free((char *)(uintptr_t)s->entry.ptr);
		free(s);
	}
}
