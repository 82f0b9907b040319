/* SPDX-License-Identifier: Apache-2.0 */
/* convert - asks conversion webhooks, and keeps what they made. */
#include "kube/crd/convert.h"

#include "base/clock.h"
#include "base/random.h"
#include "kube/crd/crd.h"
#include "kube/kinds/kinds.h"
#include "kube/kube_private.h"
#include "kube/webhook.h"

#include <stdlib.h>

enum { TIMEOUT_SECONDS = 30, BUCKETS = 1024, TRIES_MOST = 8 };
#define ARENA_MOST MIB(128)

/* What a webhook made of one record. */
struct kept {
	struct kept *next;          /* of the bucket */
	struct kept *older, *newer; /* in the order they came */
	uint64_t hash;
	int64_t revision;
	size_t key_len, version_len, text_len;
	char bytes[]; /* key, version, text */
};

struct conversions {
	struct kube *kube;
	struct kept *buckets[BUCKETS];
	struct kept *oldest, *newest;
	size_t bytes;
};

struct conversion {
	struct conversions *set;
	const struct kind *kind;
	struct span target; /* "example.com/v2" */
	struct span version;
	struct record **records;
	struct span own_text;      /* in place of records */
	size_t count, index, sent; /* index: the first of the review under way, sent: how many it has */
	struct arena arena;        /* of one review */
	struct arena life;
	struct span uid;
	const char *review_version;
	void (*done)(void *context, const struct error *err);
	void (*done_text)(void *context, struct span text, const struct error *err);
	void *context;
	bool is_cancelled;
};

/* ---- what is kept ---- */

static uint64_t hash_of(struct span key, int64_t revision)
{
	return span_hash(key) ^ ((uint64_t)revision * UINT64_C(0x9e3779b97f4a7c15));
}

static struct kept **kept_place(struct conversions *c, struct span key, int64_t revision, struct span version)
{
	uint64_t hash = hash_of(key, revision);
	struct kept **at = &c->buckets[hash % BUCKETS];

	for (; *at; at = &(*at)->next) {
		const struct kept *k = *at;

		if (k->hash == hash && k->revision == revision && span_equal(key, span_from(k->bytes, k->key_len)) &&
		    span_equal(version, span_from(k->bytes + k->key_len, k->version_len)))
			return at;
	}
	return at;
}

static void kept_drop(struct conversions *c, struct kept *k)
{
	struct kept **at = &c->buckets[k->hash % BUCKETS];

	while (*at != k)
		at = &(*at)->next;
	*at = k->next;
	*(k->older ? &k->older->newer : &c->oldest) = k->newer;
	*(k->newer ? &k->newer->older : &c->newest) = k->older;
	c->bytes -= sizeof(*k) + k->key_len + k->version_len + k->text_len;
	free(k);
}

static void keep(struct conversions *c, const struct record *r, struct span version, struct span text)
{
	size_t size = sizeof(struct kept) + r->key.len + version.len + text.len;
	struct kept **at = kept_place(c, r->key, r->revision, version), *k;

	if (*at)
		return;
	k = base_alloc(size);
	*k = (struct kept){ .hash = hash_of(r->key, r->revision),
			    .revision = r->revision,
			    .key_len = r->key.len,
			    .version_len = version.len,
			    .text_len = text.len,
			    .older = c->newest };
	memcpy(k->bytes, r->key.ptr, r->key.len);
	memcpy(k->bytes + r->key.len, version.ptr, version.len);
	memcpy(k->bytes + r->key.len + version.len, text.ptr, text.len);
	*at = k;
	*(c->newest ? &c->newest->newer : &c->oldest) = k;
	c->newest = k;
	c->bytes += size;
	while (c->bytes > CONVERT_KEPT_BYTES && c->oldest != k)
		kept_drop(c, c->oldest);
}

struct span convert_find(const struct kind *kind, const struct record *r)
{
	struct conversions *c = custom_of(kind)->form->conversions;
	const struct kept *found = c ? *kept_place(c, r->key, r->revision, span_of(kind->version)) : NULL;

	return found ? span_from(found->bytes + found->key_len + found->version_len, found->text_len)
		     : (struct span){ 0 };
}

struct conversions *conversions_new(struct kube *k)
{
	struct conversions *c = base_calloc(1, sizeof(*c));

	c->kube = k;
	return c;
}

void conversions_free(struct conversions *c)
{
	if (!c)
		return;
	while (c->oldest)
		kept_drop(c, c->oldest);
	free(c);
}

/* ---- what is needed ---- */

static const struct value *webhook_of(const struct kind *kind)
{
	const struct custom_version *v = custom_of(kind);
	const struct value *conversion = v ? value_find(v->form->definition, "spec.conversion") : NULL;

	return is_text(get(conversion, "strategy"), "Webhook") ? get(conversion, "webhook") : NULL;
}

bool convert_is_by_webhook(const struct kind *kind)
{
	return webhook_of(kind) != NULL;
}

bool convert_is_needed(const struct kind *kind, const struct record *r)
{
	return kind->is_custom && !record_is_of_version(kind, r) && convert_is_by_webhook(kind);
}

/* ---- asking ---- */

static void conversion_free(struct conversion *c)
{
	for (size_t i = 0; i < c->count; i++)
		record_unref(c->records[i]);
	kind_release(c->set->kube, c->kind);
	arena_done(&c->arena);
	arena_done(&c->life);
	free(c->records);
	free(c);
}

static void conversion_end(struct conversion *c, struct span text, const struct error *err)
{
	struct error named = { 0 };

	if (err) {
		named = *err;
		named.code = ERROR_INTERNAL;
	}
	if (!c->is_cancelled && c->done_text)
		c->done_text(c->context, text, err ? &named : NULL);
	else if (!c->is_cancelled && c->done)
		c->done(c->context, err ? &named : NULL);
	conversion_free(c);
}

void convert_cancel(struct conversion *c)
{
	if (c)
		c->is_cancelled = true;
}

static struct span item_text(const struct conversion *c, size_t i)
{
	return c->own_text.ptr ? c->own_text : c->records[i]->text;
}

static size_t item_count(const struct conversion *c)
{
	return c->own_text.ptr ? 1 : c->count;
}

/* As many as one review takes. False: err is set. */
static bool review_make(struct conversion *c, struct span *ret, struct error *err)
{
	struct buffer out;
	size_t bytes = 0;

	c->sent = 0;
	buffer_init(&out, CONVERT_BYTES_MAX + MIB(4));
	buffer_print(&out,
		     "{\"kind\":\"ConversionReview\",\"apiVersion\":\"apiextensions.k8s.io/%s\",\"request\":{\"uid\":\""
		     "%.*s\",\"desiredAPIVersion\":\"%.*s\",\"objects\":[",
		     c->review_version, (int)c->uid.len, c->uid.ptr, (int)c->target.len, c->target.ptr);
	for (size_t i = c->index; i < item_count(c) && c->sent < CONVERT_OBJECTS_MAX; i++) {
		struct span text = item_text(c, i);

		if (c->sent && bytes + text.len > CONVERT_BYTES_MAX)
			break;
		if (c->sent)
			buffer_byte(&out, ',');
		buffer_append(&out, text);
		bytes += text.len;
		c->sent++;
	}
	buffer_append(&out, SPAN("]}}"));
	*ret = out.overflow ? (struct span){ 0 } : arena_copy(&c->arena, buffer_span(&out), err);
	buffer_done(&out);
	return ret->ptr || err->code || error_set(err, ERROR_TOO_LARGE, "the object is too large to be converted");
}

static void answered(void *context, struct span answer, const struct error *err);

/* "conversion webhook for example.com/v1, Kind=Thing": by the version that is stored, of lists the List. */
static struct span about(struct conversion *c, struct error *err)
{
	struct value head;
	struct span api = { 0 };

	if (value_parse(item_text(c, c->index), NULL, &c->arena, &head, err))
		api = get_text(&head, "apiVersion");
	return arena_print(&c->arena, err, "conversion webhook for " SPAN_FMT ", Kind=%s%s", SPAN_ARG(api),
			   c->kind->kind, item_count(c) > 1 ? "List" : "");
}

static void fail(struct conversion *c, const char *words, const struct error *why)
{
	struct error ignored = { 0 }, err = { 0 };
	struct span what = about(c, &ignored);

	(void)error_set(&err, ERROR_INTERNAL, "%.*s %s: %s", (int)what.len, what.ptr ? what.ptr : "", words,
			why->message);
	conversion_end(c, (struct span){ 0 }, &err);
}

static void ask(struct conversion *c)
{
	const struct value *webhook = webhook_of(c->kind), *versions = get(webhook, "conversionReviewVersions");
	struct webhook_request request = { .client_config = get(webhook, "clientConfig"),
					   .timeout_ns = TIMEOUT_SECONDS * NS_PER_S,
					   .done = answered,
					   .context = c };
	char uid[RANDOM_UUID_SIZE];
	struct error err = { 0 };

	arena_clear(&c->arena);
	random_uuid(uid);
	c->uid = arena_copy(&c->arena, span_of(uid), &err);
	c->review_version = NULL;
	for (uint32_t i = 0; !c->review_version && i < count_of(versions); i++)
		c->review_version = is_text(value_item(versions, i), "v1")        ? "v1"
				    : is_text(value_item(versions, i), "v1beta1") ? "v1beta1"
										  : NULL;
	/* What is wrong with the definition is told by the call, in its turn. */
	if (!c->review_version)
		c->review_version = "v1";
	(void)review_make(c, &request.body, &err);
	webhook_call(c->set->kube, &request);
}

static bool take_all(struct conversion *c, struct span answer, struct span *ret_text, struct error *err)
{
	const struct value *list = convert_review_read(answer, c->review_version, c->uid, &c->arena, err);

	if (!list)
		return error_wrap(err, "failed");
	if (list->array.count != c->sent)
		return error_set(err, ERROR_INVALID, "returned %u objects, expected %zu", list->array.count, c->sent);
	for (uint32_t i = 0; i < list->array.count; i++) {
		struct value original, *made;
		struct span text;

		if (!value_parse(item_text(c, c->index + i), NULL, &c->arena, &original, err))
			return false;
		made = convert_take(&original, value_item(list, i), c->target, &c->arena, err);
		if (!made)
			return item_count(c) > 1 ? error_wrap(err, "returned invalid converted object at index %u", i)
						 : error_wrap(err, "returned invalid object");
		text = value_print(made, &c->arena, err);
		if (!text.ptr)
			return false;
		*ret_text = text;
		if (!c->own_text.ptr)
			keep(c->set, c->records[c->index + i], c->version, text);
	}
	return true;
}

static void answered(void *context, struct span answer, const struct error *failure)
{
	struct conversion *c = context;
	struct span text = { 0 };
	struct error err = { 0 }, named = { 0 }, ignored = { 0 };

	if (failure) {
		fail(c, "failed", failure);
		return;
	}
	if (!take_all(c, answer, &text, &err)) {
		struct span what = about(c, &ignored);

		(void)error_set(&named, ERROR_INTERNAL, "%.*s %s", (int)what.len, what.ptr ? what.ptr : "",
				err.message);
		conversion_end(c, (struct span){ 0 }, &named);
		return;
	}
	c->index += c->sent;
	if (c->index < item_count(c) && !c->is_cancelled)
		ask(c);
	else
		conversion_end(c, text, NULL);
}

static struct conversion *conversion_new(struct kube *k, const struct kind *kind, const char *version, void *context)
{
	struct conversion *c = base_calloc(1, sizeof(*c));
	struct error ignored = { 0 };

	c->set = k->conversions;
	c->kind = kind;
	kind_hold(k, kind);
	arena_init(&c->arena, ARENA_MOST);
	arena_init(&c->life, MIB(8));
	c->target = arena_print(&c->life, &ignored, "%s/%s", kind->group, version);
	c->version = arena_copy(&c->life, span_of(version), &ignored);
	c->context = context;
	return c;
}

struct conversion *convert_records(struct kube *k, const struct kind *kind, struct record *const *records, size_t count,
				   void (*done)(void *context, const struct error *err), void *context)
{
	struct conversion *c = NULL;

	for (size_t i = 0; i < count; i++) {
		if (!convert_is_needed(kind, records[i]) || convert_find(kind, records[i]).ptr)
			continue;
		if (!c) {
			c = conversion_new(k, kind, kind->version, context);
			c->done = done;
			c->records = base_calloc(count, sizeof(struct record *));
		}
		c->records[c->count++] = record_ref(records[i]);
	}
	if (c)
		ask(c);
	return c;
}

struct conversion *convert_object(struct kube *k, const struct kind *kind, const struct value *object,
				  void (*done)(void *context, struct span text, const struct error *err), void *context)
{
	struct conversion *c = conversion_new(k, kind, custom_of(kind)->form->storage, context);
	struct error err = { 0 };

	c->done_text = done;
	c->own_text = value_print(object, &c->life, &err);
	if (!c->own_text.ptr)
		c->own_text = SPAN("{}"); /* the webhook's answer cannot fit it */
	ask(c);
	return c;
}

/* ---- reads ---- */

static void ready(void *context, const struct error *err)
{
	struct call *call = context;

	if (err)
		answer_error(call, err);
	else
		call->run(call);
}

bool convert_ready(struct call *call, struct record *const *records, size_t count)
{
	struct error err = { 0 };

	if (!call->base.kind->is_custom)
		return true;
	if (call->conversions > TRIES_MOST) {
		(void)error_set(&err, ERROR_TOO_LARGE, "there is too much to be converted at once: use a limit");
		answer_error(call, &err);
		return false;
	}
	if (!convert_records(call->base.kube, call->base.kind, records, count, ready, call))
		return true;
	call->conversions++;
	if (call->base.req)
		call_open(call);
	return false;
}
