/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/up_node.h"

#include <errno.h>
#include <semaphore.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "cli/folder.h"
#include "cli/up_scale.h"
#include "loop/loop.h"
#include "node/node.h"

#define END_MOST_NS (30 * NS_PER_S) /* of Ctrl-C: a pod with a longer grace has this much */

struct up_node {
	struct node *node;
	struct loop *loop;
	char *name, *folder, *hidden, *volumes;
	struct loop_message message;
	sem_t ended;
};

struct up_node *up_node_new(const struct up_node_config *c, struct error *err)
{
	const struct up_options *o = c->options;
	struct up_node *u = base_calloc(1, sizeof(*u));
	struct node_config config = node_config_default();
	char path[4200];

	sem_init(&u->ended, 0, 0);
	u->loop = c->loop;
	u->hidden = realpath(c->folder, NULL);
	if (!u->hidden) {
		error_errno(err, errno, "cannot find the folder '%s'", c->folder);
		up_node_free(u);
		return NULL;
	}
	(void)snprintf(path, sizeof(path), "%s/node", u->hidden);
	u->folder = span_to_text(span_of(path));
	(void)snprintf(path, sizeof(path), "%s/volumes", u->hidden); /* as the controllers name them */
	u->volumes = span_to_text(span_of(path));
	config.cluster = c->cluster;
	config.kube = c->kube;
	config.loop = c->loop;
	config.metrics = c->metrics;
	config.folder = u->folder;
	config.hidden = u->hidden;
	config.volumes = u->volumes;
	config.name = o->node_name;
	config.egress = (const char *const[]){ "host", "none", "cni" }[o->pod_egress];
	if (c->gateway)
		up_scale_drain(c->gateway, &config);
	config.is_host_path_allowed = o->allow_host_path;
	config.pods_most = (int64_t)o->pods_most;
	config.reserved_memory = (int64_t)o->reserved_memory;
	config.reserved_cpu = (int64_t)o->reserved_cpu;
	config.eviction_memory = (int64_t)o->eviction_memory;
	config.eviction_disk = (int64_t)o->eviction_disk * 10;
	u->node = node_new(&config, err);
	if (!u->node) {
		(void)error_wrap(err, "this machine cannot run pods (--node off serves the API without it)");
		up_node_free(u);
		return NULL;
	}
	u->name = span_to_text(node_name(u->node));
	return u;
}

const char *up_node_name(const struct up_node *u)
{
	return u->name;
}

static void ended(void *context)
{
	sem_post(&((struct up_node *)context)->ended);
}

static void end(struct loop_message *m)
{
	struct up_node *u = CONTAINER_OF(m, struct up_node, message);

	node_end_pods(u->node, END_MOST_NS, ended, u);
}

void up_node_end_pods(struct up_node *u)
{
	u->message.run = end;
	loop_send(u->loop, &u->message);
	while (sem_wait(&u->ended) != 0 && errno == EINTR)
		;
}

void up_node_stop(struct up_node *u)
{
	if (u)
		node_stop(u->node);
}

void up_node_free(struct up_node *u)
{
	if (!u)
		return;
	node_free(u->node);
	sem_destroy(&u->ended);
	free(u->name);
	free(u->folder);
	free(u->hidden);
	free(u->volumes);
	free(u);
}
