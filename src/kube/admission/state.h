/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* state - what admission keeps of one change while it is under way: struct change.admission points to it. */
#include "kube/admission/plugins.h"

struct charge;
struct held;

/* In place of the error, when that cannot hold it. */
struct refusal {
	int status;
	struct span reason, message;
	const struct value *details; /* or NULL */
	bool is_whole;               /* message, reason and details are the answer's; else they make a Forbidden */
};

struct admission {
	struct charge *charges;
	struct refusal *refusal;
	struct held *held; /* kinds/cluster_ip.h */
	/* Webhooks that change objects. */
	bool is_again;    /* the second round of the plugins */
	bool wants_again; /* a webhook has changed the object: there is to be a second round */
	struct called_hook *called;
};

/* Made at first; NULL: memory ended, err is set. */
struct admission *admission_of(struct change *c, struct error *err);
