/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/up_scale.h"

#include <arpa/inet.h>

#include "controllers/controller.h"
#include "gateway/gateway.h"
#include "kube/gauges.h"
#include "node/node.h"

static bool use_of(void *context, struct span name_space, struct span service, struct span pod, struct gauge_use *ret)
{
	struct gateway_use use;

	if (!gateway_use_of(context, name_space, service, pod, &use))
		return false;
	*ret = (struct gauge_use){ .rate = use.rate, .in_flight = use.in_flight + use.waiting };
	return true;
}

void up_scale_tell(struct gateway *g, struct kube *k)
{
	kube_serve_gauges(k, &(struct gauge_provider){ .use_of = use_of, .context = g });
}

static void wanted(void *context, struct span name_space, struct span service)
{
	(void)service;
	controllers_wanted(context, name_space);
}

void up_scale_wake(struct gateway *g, struct manager *m)
{
	gateway_on_wanted(g, wanted, m);
}

static void drain(void *context, const char *pod_address, int64_t most_ns, void (*done)(void *context),
		  void *done_context)
{
	struct in_addr pod;

	if (inet_pton(AF_INET, pod_address, &pod) == 1)
		gateway_drain(context, pod, most_ns, done, done_context);
	else /* it has none that the gateway would ask */
		done(done_context);
}

static void forget(void *context, const char *pod_address)
{
	struct in_addr pod;

	if (inet_pton(AF_INET, pod_address, &pod) == 1)
		gateway_drained_forget(context, pod);
}

void up_scale_drain(struct gateway *g, struct node_config *config)
{
	config->drain = drain;
	config->drained_forget = forget;
	config->drain_context = g;
}
