/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * review - AdmissionReview of admission.k8s.io/v1 and v1beta1: the question about a change, and the answer.
 *
 * Errors: of answers INVALID, in the real server's words.
 */
#include "kube/kind.h"

/* What a webhook is asked about: perhaps in another version than the client's. */
struct review_subject {
	const struct change *change;
	const struct kind *kind;          /* that the webhook asked for */
	const struct value *object, *old; /* in its version; NULL: none */
	const struct value *options;      /* CreateOptions, ... */
};

struct review_answer {
	bool is_allowed;
	const struct value *patch;                  /* operations, or NULL */
	const struct value *status;                 /* or NULL */
	const struct value *warnings, *annotations; /* or NULL */
};

/* The version of reviews to use: the first that both know; NULL: none. */
const char *review_version(const struct value *versions);
struct span review_operation(const struct change *c); /* "CREATE" */
/* {"uid": ..., "kind": ...}: also what match conditions call `request`. */
bool review_request(const struct review_subject *s, struct span uid, struct arena *arena, struct value *ret,
		    struct error *err);
struct span review_print(const struct review_subject *s, const char *version, struct span uid, struct arena *arena,
			 struct error *err);
bool review_read(struct span text, const char *version, struct span uid, bool may_patch, struct arena *arena,
		 struct review_answer *ret, struct error *err);
