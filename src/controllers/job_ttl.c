/* SPDX-License-Identifier: Apache-2.0 */
/* job_ttl - jobs that have ended are deleted when their ttlSecondsAfterFinished has passed. */
#include "controllers/objects.h"

#include "base/clock.h"

static void reconcile(struct reconcile *r)
{
	static const char *const types[] = { "Complete", "Failed" };
	int64_t ttl = value_find_int(r->object, "spec.ttlSecondsAfterFinished", -1), at = 0;
	const struct value *status = member(r->object, "status");

	if (!r->object || ttl < 0 || object_is_ending(r->object))
		return;
	for (size_t i = 0; i < ARRAY_LEN(types) && !at; i++)
		if (condition_is(status, types[i], "True"))
			at = object_time(condition_find(status, types[i]), "lastTransitionTime");
	if (!at)
		return;
	at += ttl * NS_PER_S;
	if (at > r->now_ns)
		reconcile_again(r, at);
	else
		reconcile_delete(r, &resource_jobs, r->object);
}

const struct controller controller_job_ttl = {
	.name = "ttl-after-finished-controller",
	.component = "ttl-after-finished-controller",
	.resource = &resource_jobs,
	.reconcile = reconcile,
};
