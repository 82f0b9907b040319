/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/up_gateway.h"

#include <errno.h>
#include <semaphore.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "cli/serving.h"
#include "cli/up_scale.h"
#include "cli/upgrade.h"
#include "gateway/compile.h"
#include "gateway/gateway.h"
#include "inference/inference.h"
#include "loop/loop.h"

enum { IDLE_GRACE_MS = 1000 };       /* for the last request of a connection that is kept */
#define PLAN_MOST_NS (30 * NS_PER_S) /* of a start: it is made in the loop's first turns */

struct up_gateway {
	const struct up_options *options;
	struct loop *loop;
	struct metrics *metrics;
	struct gateway *gateway;
	struct server *server;
	struct compile *compile;
	const char *api_address;
	char *pods;                  /* the node's folder of pods */
	const struct route **routes; /* of the gateway and of models, ending with NULL */
	struct upgrade *upgrade;
	struct upgrade_addresses addresses;
	struct gateway_inherited *inherited;
	bool is_started, is_draining;
	struct loop_message message;
	sem_t stopped;
};

/* ---- callbacks ---- */

static void bound(void *context, const struct gateway_bound *b)
{
	struct up_gateway *u = context;

	if (u->compile)
		compile_bound(u->compile, b);
}

static struct span sandbox_of(void *context, struct span pod_uid, struct arena *arena)
{
	struct up_gateway *u = context;
	struct error ignored = { 0 };

	if (u->options->node == 1)
		return (struct span){ 0 };
	return arena_print(arena, &ignored, "%s/" SPAN_FMT "/sandbox", u->pods, SPAN_WHOLE(pod_uid));
}

/* ---- life ---- */

static bool routes_join(struct up_gateway *u)
{
	size_t count = 0;

	while (inference_routes[count])
		count++;
	u->routes = base_calloc(count + 2, sizeof(*u->routes));
	u->routes[0] = gateway_routes;
	for (size_t i = 0; i < count; i++)
		u->routes[1 + i] = inference_routes[i];
	return true;
}

static bool gateway_open(struct up_gateway *u, struct error *err)
{
	struct gateway_config config = {
		.metrics = u->metrics,
		.limits = gateway_limits_default(),
		.loop = u->loop,
		.bound = bound,
		.context = u,
		.load_balancer_address = span_of(u->options->listen_services),
		.load_balancer_first = (int)u->options->load_balancer_first,
		.load_balancer_last = (int)u->options->load_balancer_last,
	};

	if (config.load_balancer_first > config.load_balancer_last)
		return error_set(err, ERROR_INVALID, "--load-balancer-first %d is over --load-balancer-last %d",
				 config.load_balancer_first, config.load_balancer_last);
	config.inherited = u->inherited = upgrade_take(u->upgrade, "entry", &config.inherited_count);
	u->gateway = gateway_new(&config, err);
	return u->gateway != NULL;
}

static bool server_open(struct up_gateway *u, struct error *err)
{
	const struct up_options *o = u->options;
	struct server_config config = {
		.addresses = u->addresses.items,
		.address_count = u->addresses.count,
		.idle_grace_ms = IDLE_GRACE_MS,
		.routes = u->routes,
		.context = u->gateway,
		.workers = (unsigned)o->gateway_workers,
		.limits = server_limits_default(),
		.metrics = u->metrics,
		.access_log = (enum access_log)o->gateway_access_log,
		.worker_started = gateway_worker_started,
		.arrive = gateway_arrive,
	};

	config.limits.connections = o->connections_most;
	u->server = server_new(&config, err);
	if (!u->server)
		return serving_name_flag(err, "-gateway");
	gateway_server_set(u->gateway, u->server); /* takes what is inherited */
	return true;
}

struct up_gateway *up_gateway_new(const struct up_gateway_config *c, struct error *err)
{
	struct up_gateway *u = base_calloc(1, sizeof(*u));
	AUTO_FREE char *folder = realpath(c->folder, NULL);
	char path[4200];

	sem_init(&u->stopped, 0, 0);
	u->options = c->options;
	u->loop = c->loop;
	u->metrics = c->metrics;
	u->api_address = c->api_address;
	u->upgrade = c->upgrade;
	upgrade_addresses_init(&u->addresses, c->upgrade, "gateway", &c->options->listen_gateway);
	if (!folder) {
		error_errno(err, errno, "cannot find the folder '%s'", c->folder);
		up_gateway_free(u);
		return NULL;
	}
	(void)snprintf(path, sizeof(path), "%s/node/pods", folder);
	u->pods = span_to_text(span_of(path));
	if (!routes_join(u) || !gateway_open(u, err) || !server_open(u, err)) {
		up_gateway_free(u);
		return NULL;
	}
	return u;
}

bool up_gateway_start(struct up_gateway *u, const struct up_gateway_cluster *c, struct error *err)
{
	const struct up_options *o = u->options;
	struct compile_config config = {
		.cluster = c->cluster,
		.gateway = u->gateway,
		.loop = u->loop,
		.metrics = u->metrics,
		.address = up_gateway_address(u),
		.tls_address = o->listen_gateway_tls,
		.services_address = o->listen_services,
		.api_address = u->api_address,
		.sandbox = sandbox_of,
		.context = u,
	};

	if (!server_start(u->server, err))
		return false;
	u->is_started = true;
	up_scale_tell(u->gateway, c->kube);
	up_scale_wake(u->gateway, c->manager);
	u->compile = compile_new(&config, err);
	return u->compile != NULL;
}

const char *up_gateway_address(const struct up_gateway *u)
{
	return u->options->listen_gateway.count ? server_address(u->server, 0) : NULL;
}

struct gateway *up_gateway_gateway(struct up_gateway *u)
{
	return u->gateway;
}

static void stop(struct loop_message *m)
{
	struct up_gateway *u = CONTAINER_OF(m, struct up_gateway, message);

	gateway_stop(u->gateway);
	sem_post(&u->stopped);
}

void up_gateway_drain(struct up_gateway *u)
{
	if (!u)
		return;
	u->message.run = stop;
	loop_send(u->loop, &u->message);
	while (sem_wait(&u->stopped) != 0 && errno == EINTR)
		;
	server_drain(u->server);
	u->is_draining = true;
}

void up_gateway_wait(struct up_gateway *u)
{
	if (u)
		server_wait(u->server);
}

void up_gateway_sockets(const struct up_gateway *u, struct upgrade_sockets *to)
{
	struct gateway_inherited *list;
	size_t count;

	if (!u)
		return;
	upgrade_add_server(to, &u->addresses, u->server);
	list = gateway_sockets(u->gateway, &count);
	for (size_t i = 0; i < count; i++)
		upgrade_add(to, "entry", list[i].key, list[i].fd);
	free(list);
}

void up_gateway_leave(struct up_gateway *u)
{
	if (!u)
		return;
	gateway_leave_sockets(u->gateway);
	server_leave_sockets(u->server);
	gateway_stop(u->gateway);
	server_drain(u->server);
	u->is_draining = true;
}

void up_gateway_wait_ready(struct up_gateway *u)
{
	if (u && !gateway_wait_plan(u->gateway, PLAN_MOST_NS))
		log_warn("up", "the gateway has no plan yet");
}

void up_gateway_stop(struct up_gateway *u)
{
	if (u)
		compile_stop(u->compile);
}

void up_gateway_free(struct up_gateway *u)
{
	if (!u)
		return;
	compile_free(u->compile);
	if (u->server) {
		server_drain(u->server);
		server_wait(u->server);
	}
	gateway_free(u->gateway); /* while the workers' loops are there */
	server_free(u->server);
	sem_destroy(&u->stopped);
	upgrade_addresses_done(&u->addresses);
	free(u->inherited);
	free(u->routes);
	free(u->pods);
	free(u);
}
