/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * deploy - what `hythe deploy`, `hythe promote` and `hythe rollback` share.
 *
 * A model or a class is a SeldonDeployment of one predictor, "default", and with a canary of a second one, "canary". What was "default" before
 * stands in an annotation, so that it can be had again. An application is a Deployment and a Service of type LoadBalancer; Deployments know their
 * past themselves.
 *
 * Threads: one; calls block. Everything is in the call's arena.
 */
#include "cli/options.h"
#include "cli/view.h"
#include "models/model.h"

#define DEPLOY_MANAGER  "hythe-deploy"
#define DEPLOY_PREVIOUS "hythe.dev/previous-predictor" /* JSON */

enum { DEPLOY_TRIES_MOST = 16 };

struct deploy {
	const struct cli_call *call;
	struct arena *arena;
	struct view view;
	const char *name, *name_space;
	int64_t timeout_ns; /* 0: nobody waits */
	bool is_quiet;
};

enum kind_of_target { TARGET_MODEL, TARGET_CLASS, TARGET_APP };

/* One use of `hythe deploy`. */
struct deployment {
	struct deploy d;
	const struct deploy_options *options;
	enum kind_of_target kind;
	const char *folder;     /* where the target is: absolute */
	const char *target;     /* a model: absolute path; code: "module:attribute" as its folder has it */
	const char *python;     /* the interpreter of code, as it is here; NULL: the one that the pod finds */
	struct model *model;    /* of TARGET_MODEL, where hythe reads it */
	int64_t canary_percent; /* 0: none */
};

/* deploy_objects.c: new objects, and a predictor, as it would have them. */
bool deployment_seldon(struct deployment *x, struct value *ret, struct error *err);
bool deployment_predictor(struct deployment *x, const char *name, struct value *ret, struct error *err);
bool deployment_workload(struct deployment *x, struct value *ret, struct error *err);
bool deployment_service(struct deployment *x, struct value *ret, struct error *err);

struct span deploy_path_seldon(const struct deploy *d, bool with_name, struct error *err);
struct span deploy_path_workload(const struct deploy *d, bool with_name, struct error *err);

/* "default" or "canary" of a SeldonDeployment; NULL: it has none. */
struct value *deploy_predictor(const struct value *seldon, const char *name);

/* POST, or PUT when `exists`; *object is as it is stored then. ERROR_CONFLICT: somebody wrote after it was read. */
bool deploy_write(struct deploy *d, struct span collection, bool exists, struct value *object, struct error *err);

/*
 * Whether what failed with *err is worth another reading, changing and writing: a controller wrote its status, say, in between. Then *err is empty
 * again, after a pause that grows. *tries counts, from 0, up to DEPLOY_TRIES_MOST.
 */
bool deploy_again(unsigned *tries, struct error *err);

/* Until everything of it is as it was written; a line on a terminal tells how far it is. */
bool deploy_wait_seldon(struct deploy *d, const struct value *written, struct value *ret, struct error *err);
bool deploy_wait_workload(struct deploy *d, const struct value *written, struct value *ret, struct error *err);

/* The gateway's address, "http://127.0.0.1:8080"; empty: there is none. */
struct span deploy_gateway(struct deploy *d);
