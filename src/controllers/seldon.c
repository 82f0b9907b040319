/* SPDX-License-Identifier: Apache-2.0 */
/*
 * seldon - SeldonDeployments: one call.
 *
 * What is wanted is made at once. What is no longer wanted (Deployments and Services of predictors that are gone, or have other names)
 * goes when all that is wanted is available and gets its requests.
 */
#include "controllers/seldon.h"

const struct resource resource_seldon_deployments = { SELDON_GROUP, "v1", "seldondeployments", SELDON_KIND };

/* With the operator's setting CONTROLLER_ID only those that have it as this label are its own; here it has none. */
#define LABEL_CONTROLLER "seldon.io/controller-id"

static void predictors_judge(struct seldon *s)
{
	size_t at = 0;

	for (uint32_t i = 0; i < s->count; i++) {
		struct seldon_predictor *p = &s->predictors[i];
		size_t left = p->deployment_count;

		p->is_ready = left > 0;
		for (; left && at < s->wanted.count; at++) {
			if (s->wanted.items[at].resource != &resource_deployments)
				continue;
			p->is_ready &= serving_is_ready(s->wanted.items[at].there);
			left--;
		}
	}
}

static bool are_all_ready(const struct seldon *s)
{
	for (uint32_t i = 0; i < s->count; i++)
		if (!s->predictors[i].is_ready)
			return false;
	return true;
}

/* True: all is there as it is wanted. */
static bool bring_all(struct seldon *s)
{
	bool is_same = true;

	for (size_t i = 0; i < s->wanted.count; i++)
		is_same &= wanted_bring(&s->wanted, &s->wanted.items[i]);
	return is_same;
}

static void run(struct seldon *s)
{
	bool is_same;

	for (uint32_t i = 0; i < s->count; i++) {
		seldon_deployments(s, &s->predictors[i]);
		seldon_services(s, &s->predictors[i]);
	}
	if (s->r->err->code)
		return;
	predictors_judge(s);
	is_same = bring_all(s);
	is_same &= seldon_make_routes(s);
	/* These only follow Deployments. */
	(void)wanted_sweep(&s->wanted, &resource_autoscalers);
	(void)wanted_sweep(&s->wanted, &resource_disruption_budgets);
	if (is_same && are_all_ready(s)) {
		(void)wanted_sweep(&s->wanted, &resource_deployments);
		(void)wanted_sweep(&s->wanted, &resource_services);
	}
}

static void reconcile(struct reconcile *r)
{
	struct seldon s = { .r = r, .object = r->object, .wanted = { .r = r } };

	if (!r->object || object_is_ending(r->object) || object_label(r->object, LABEL_CONTROLLER).len)
		return;
	s.spec = get(r->object, "spec");
	s.fault = r->refused;
	if (!seldon_defaults(&s))
		return;
	run(&s);
	if (!r->err->code)
		seldon_status(&s);
}

static bool takes(const struct value *object, const struct value *other)
{
	struct span id = object_label(other, SELDON_LABEL_ID), name = object_name(object);

	return id.len && (span_equal(id, name) || name.len > 63);
}

static const struct resource *const owned[] = { &resource_deployments,
						&resource_services,
						&resource_autoscalers,
						&resource_disruption_budgets,
						&resource_http_routes,
						&resource_grpc_routes,
						NULL };
static const struct resource *const read[] = { &resource_pods, NULL };
static const struct resource *const quiet[] = { &resource_events, NULL };

const struct controller controller_seldon = {
	.name = "seldon-controller",
	.component = "seldon-controller-manager",
	.resource = &resource_seldon_deployments,
	.owned = owned,
	.read = read,
	.quiet = quiet,
	.wakes = serving_wakes,
	.takes = takes,
	.reconcile = reconcile,
};
