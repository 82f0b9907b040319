/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * hooks - the webhooks that are configured, as they are used: parsed once for each change of the configurations, and held by who walks
 * over them.
 *
 * Threads: the API server's loop.
 */
#include "kube/kind.h"

struct cel_program;
struct hooks;

struct hook_condition {
	struct span name;
	const struct cel_program *program; /* NULL: it did not compile */
	struct span fault;
};

struct hook {
	struct span name;          /* "a.b.c" */
	struct span configuration; /* metadata.name */
	const struct value *spec;  /* the webhook */
	struct span id;            /* its place: "configuration/name/index" */
	struct hook_condition *conditions;
	size_t condition_count;
};

/* All of one kind of configuration, by its name. */
struct hook_set {
	unsigned references;
	struct arena arena;
	struct hook *hooks;
	size_t count, capacity;
};

struct hooks *hooks_new(struct kube *k, struct error *err);
void hooks_stop(struct hooks *h);
void hooks_free(struct hooks *h); /* NULL is allowed */

/* NULL without err: there are none. */
struct hook_set *hook_set_take(struct hooks *h, bool is_validating, struct error *err);
void hook_set_give(struct hook_set *set); /* NULL is allowed */

/* ---- which of them a change concerns: hook_match.c ---- */

enum hook_match { HOOK_PASSES, HOOK_CALLS, HOOK_REFUSES };

/* By rules, selectors and conditions; HOOK_CALLS: `ret_kind` is the version that it asked for; HOOK_REFUSES: err says why. */
enum hook_match hook_matches(const struct hook *hook, struct change *c, const struct value *options,
			     const struct kind **ret_kind, struct error *err);
bool hook_rule_matches(const struct value *rule, const struct kind *kind, struct span subresource,
		       struct span operation, bool has_namespace);
bool label_selector_matches(const struct value *selector, const struct value *labels);
/* The object in another version of its kind; the same one when that is the same. NULL: err says why. */
const struct value *hook_convert(const struct value *object, const struct kind *from, const struct kind *to,
				 struct arena *arena, struct error *err);

/* ---- match conditions: hook_conditions.c ---- */

bool hook_conditions_compile(struct hook *hook, struct arena *arena, struct error *err);
enum hook_match hook_conditions_hold(const struct hook *hook, struct change *c, const struct value *object,
				     const struct value *old, const struct value *request, struct error *err);
