/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * plugins - what the plugins of admission share. A plugin is one file with one or two functions here, and a row of the table in
 * admission.c.
 *
 * A plugin that refuses calls refuse_x() and returns false: the error has the code, c->refusal the whole text and what else the answer
 * holds.
 */
#include "kube/admission.h"
#include "kube/kube.h"

typedef void (*admission_next)(void *context, const struct error *err);

struct admission_plugin {
	const char *name;
	/* Those that change the object, and those that only look. NULL: nothing to do then. */
	bool (*admit)(struct change *c, struct error *err);
	bool (*validate)(struct change *c, struct error *err);
	/* The same for those that need time. */
	void (*admit_later)(struct change *c, admission_next next, void *context);
	void (*validate_later)(struct change *c, admission_next next, void *context);
};

/* `pods "x" is forbidden: ...` */
bool refuse(struct change *c, struct error *err, const char *format, ...) PRINTF_LIKE(3, 4);
/* Text of any length. */
bool refuse_text(struct change *c, struct error *err, struct span text);
/* Any answer: the text is told as it is. */
bool refuse_with(struct change *c, struct error *err, enum error_code code, int status, struct span reason,
		 struct span message, const struct value *details);

struct span change_resource(const struct change *c); /* "configmaps", "deployments.apps" */
static inline bool change_is_of(const struct change *c, const char *group, const char *plural)
{
	return strcmp(c->kind->group, group) == 0 && strcmp(c->kind->plural, plural) == 0;
}
/* Creates of the object itself. */
static inline bool is_new(const struct change *c, const char *group, const char *plural)
{
	return c->verb == KUBE_CREATE && !c->subresource.len && change_is_of(c, group, plural);
}
/* An object as it is, or is about to be; NULL: absent, or err is set. */
struct value *admission_object(struct change *c, const char *group, const char *plural, struct span name_space,
			       struct span name, struct error *err);
/* Calls `each` with every object of a kind in a namespace (or of all, when it is empty), as trees in the change's arena. */
bool admission_list(struct change *c, const char *group, const char *plural, struct span name_space,
		    bool (*each)(void *context, struct value *object), void *context, struct error *err);
struct value *admission_spec(struct change *c, struct error *err); /* c->object's spec, made when it is absent */

bool namespace_admit(struct change *c, struct error *err);
bool limit_range_admit(struct change *c, struct error *err);
bool limit_range_validate(struct change *c, struct error *err);
bool service_account_admit(struct change *c, struct error *err);
bool service_account_validate(struct change *c, struct error *err);
bool node_taint_admit(struct change *c, struct error *err);
bool priority_admit(struct change *c, struct error *err);
bool priority_validate(struct change *c, struct error *err);
bool tolerations_admit(struct change *c, struct error *err);
bool storage_class_admit(struct change *c, struct error *err);
bool storage_protection_admit(struct change *c, struct error *err);
bool claim_resize_validate(struct change *c, struct error *err);
bool runtime_class_admit(struct change *c, struct error *err);
bool ingress_class_admit(struct change *c, struct error *err);
void mutating_webhooks_run(struct change *c, admission_next next, void *context);
void validating_webhooks_run(struct change *c, admission_next next, void *context);
bool quota_validate_change(struct change *c, struct error *err);
