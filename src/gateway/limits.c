/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/gateway.h"

#include "base/clock.h"

struct gateway_limits gateway_limits_default(void)
{
	return (struct gateway_limits){
		.queue_most = 1024,
		.queue_ns = 10 * NS_PER_S,
		.endpoint_most = 1024,
		.idle_most = 64,
		.idle_ns = 60 * NS_PER_S,
		.connect_ns = 5 * NS_PER_S,
		.stall_ns = 60 * NS_PER_S,
		.body_kept = KIB(64),
		.tries_most = 3,
		.failures_to_eject = 5,
		.ejected_ns = 5 * NS_PER_S,
		.ejected_most_percent = 50,
		.slow_start_ns = 2 * NS_PER_S,
		.relays_most = 10000,
		.relay_idle_ns = 60 * NS_PER_S,
		.sniff_ns = 250 * NS_PER_MS,
	};
}
