/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * convert - conversion webhooks of CustomResourceDefinitions: objects in another version than the one they are stored in.
 *
 * A webhook takes time, and reads of records do not wait. So who is about to read records of such a kind asks convert_ready() first: what
 * the webhook made of a record is kept (by key, revision and version), and record_object() finds it there.
 *
 * The webhook gets ConversionReviews of apiextensions.k8s.io/v1 or v1beta1, many objects in one. What it may change of metadata is
 * labels and annotations.
 *
 * Threads: the API server's loop.
 * Errors:  INTERNAL, in the real server's words: "conversion webhook for example.com/v1, Kind=Thing failed: ...".
 * Limits:  a review holds CONVERT_OBJECTS_MAX objects or CONVERT_BYTES_MAX; CONVERT_KEPT_BYTES are kept.
 */
#include "kube/kind.h"
#include "store/store.h"

enum { CONVERT_OBJECTS_MAX = 500 };
#define CONVERT_BYTES_MAX  MIB(2)
#define CONVERT_KEPT_BYTES MIB(128)

struct call;
struct conversion;
struct conversions;

struct conversions *conversions_new(struct kube *k);
void conversions_free(struct conversions *c); /* NULL is allowed */

/* Is this kind's other version made by a webhook? */
bool convert_is_by_webhook(const struct kind *kind);
/* Must a webhook turn this record into the kind's version? */
bool convert_is_needed(const struct kind *kind, const struct record *r);
/* What it was turned into; ptr NULL: not yet. Valid until the loop turns. */
struct span convert_find(const struct kind *kind, const struct record *r);

/* Turns those that need it and are not there yet. `done` once, from the loop, unless cancelled; never from inside. NULL: nothing is to
 * be done, and `done` is not called. */
struct conversion *convert_records(struct kube *k, const struct kind *kind, struct record *const *records, size_t count,
				   void (*done)(void *context, const struct error *err), void *context);
/* One object that is about to be stored, of `kind`, in the version that its kind is stored in. */
struct conversion *convert_object(struct kube *k, const struct kind *kind, const struct value *object,
				  void (*done)(void *context, struct span text, const struct error *err),
				  void *context);
void convert_cancel(struct conversion *c); /* NULL is allowed */

/* True: these can be read. False: they are being turned, then call->run(call) is called once more; or it was answered. */
bool convert_ready(struct call *call, struct record *const *records, size_t count);

/* ---- the webhook's answer (in a header for tests) ---- */

/* The object made of `original`, checked, with what a webhook may not change of its metadata. NULL with err: what is wrong. */
struct value *convert_take(const struct value *original, const struct value *made, struct span api_version,
			   struct arena *arena, struct error *err);
/* The list of objects in a ConversionReview. */
const struct value *convert_review_read(struct span text, const char *version, struct span uid, struct arena *arena,
					struct error *err);
