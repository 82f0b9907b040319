/* SPDX-License-Identifier: Apache-2.0 */
#include "kube/auth/auth.h"

#include <stdlib.h>

#include "kube/auth/auth_private.h"

struct auth {
	struct kube *kube;
	struct token_file *tokens;
	struct rbac *rbac;
	struct audit *audit;
	bool is_rbac_off;
	bool is_changed; /* roles have changed, and the task that looks at them is queued */
	struct loop_task task;
	struct bootstrap *bootstrap;
};

static void roles_look(struct loop_task *t)
{
	struct auth *a = CONTAINER_OF(t, struct auth, task);

	a->is_changed = false;
	aggregate_run(a->kube);
}

/* Many changes at once are looked at once. */
static void roles_changed(void *context)
{
	struct auth *a = context;

	if (a->is_changed)
		return;
	a->is_changed = true;
	loop_defer(kube_loop(a->kube), &a->task);
}

struct auth *auth_new(struct kube *k, const struct kube_config *config, struct error *err)
{
	struct auth *a = base_calloc(1, sizeof(*a));

	a->kube = k;
	a->is_rbac_off = config->is_rbac_off;
	a->task.run = roles_look;
	if ((!config->token_file || (a->tokens = token_file_read(config->token_file, err))) &&
	    (!config->audit_log || (a->audit = audit_open(config->audit_log, err))) &&
	    (a->rbac = rbac_new(k, roles_changed, a, err)))
		return a;
	auth_free(a);
	return NULL;
}

void auth_free(struct auth *a)
{
	if (!a)
		return;
	if (a->is_changed)
		loop_undefer(kube_loop(a->kube), &a->task);
	bootstrap_free(a->bootstrap);
	rbac_free(a->rbac);
	audit_close(a->audit);
	token_file_free(a->tokens);
	free(a);
}

void auth_bootstrap(struct auth *a)
{
	if (!a->bootstrap)
		a->bootstrap = bootstrap_start(a->kube);
}

const struct token_file *auth_token_file(const struct auth *a)
{
	return a ? a->tokens : NULL;
}

struct rbac *auth_rbac(struct auth *a)
{
	return a->rbac;
}

bool auth_is_rbac_off(const struct auth *a)
{
	return a->is_rbac_off;
}

struct audit *auth_audit(struct auth *a)
{
	return a ? a->audit : NULL;
}
