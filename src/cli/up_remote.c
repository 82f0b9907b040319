/* SPDX-License-Identifier: Apache-2.0 */
/* up_remote - `hythe up --kubeconfig`: no API server and no store, the controllers alone, on a cluster that is there. */
#include "cli/up.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "cli/options.h"
#include "cli/serving.h"
#include "controllers/controller.h"
#include "kube/cluster_remote.h"
#include "loop/loop.h"

struct remote_up {
	const struct cli_call *call;
	const struct up_options *options;
	const char *const *names;
	struct kubeconfig kubeconfig;
	const struct resource *resources[CONTROLLERS_RESOURCES_MOST];
	struct loop *loop;
	struct cluster *cluster;
	struct manager *manager;
	pthread_t thread;
	int64_t started_ns;
};

const char *const *up_controllers(const struct cli_call *call, struct error *err)
{
	const struct up_options *options = call->options;
	const struct text_list *list = &options->controllers;
	const char **names = ARENA_ARRAY(call->arena, const char *, list->count + 1, err);

	for (size_t i = 0; names && i < list->count; i++)
		names[i] = list->items[i];
	if (names)
		names[list->count] = NULL;
	return names;
}

/* ---- what it prints ---- */

static void announce_json(const struct remote_up *u, struct buffer *out)
{
	struct json_writer w = json_writer(out);

	json_open_object(&w);
	json_key(&w, SPAN("version"));
	json_string(&w, SPAN(HYTHE_VERSION));
	json_key(&w, SPAN("api"));
	json_string(&w, u->kubeconfig.server);
	json_key(&w, SPAN("context"));
	json_string(&w, u->kubeconfig.context);
	json_key(&w, SPAN("startMilliseconds"));
	json_int64(&w, (clock_monotonic_ns() - u->started_ns) / NS_PER_MS);
	json_close_object(&w);
	buffer_byte(out, '\n');
}

static void announce_text(const struct remote_up *u, struct buffer *out)
{
	bool are_all = false;

	buffer_print(out, "hythe " HYTHE_VERSION " is up after %lld ms: controllers only, no API server\n",
		     (long long)((clock_monotonic_ns() - u->started_ns) / NS_PER_MS));
	buffer_print(out, "  cluster     " SPAN_FMT "\n", SPAN_ARG(u->kubeconfig.server));
	buffer_print(out, "  context     " SPAN_FMT " (%s)\n  controllers", SPAN_ARG(u->kubeconfig.context),
		     u->options->kubeconfig);
	for (size_t i = 0; u->names[i]; i++) {
		buffer_print(out, " %s", u->names[i]);
		are_all |= strcmp(u->names[i], "*") == 0;
	}
	buffer_byte(out, '\n');
	if (are_all)
		buffer_append(out, SPAN("  warning     a cluster that has a kube-controller-manager and a scheduler "
					"runs these twice now: "
					"name those that it lacks with --controllers\n"));
}

static void announce(const struct remote_up *u)
{
	struct buffer out;

	buffer_init(&out, KIB(64));
	if (u->options->as_json)
		announce_json(u, &out);
	else if (u->options->quiet)
		buffer_print(&out, SPAN_FMT "\n", SPAN_ARG(u->kubeconfig.server));
	else
		announce_text(u, &out);
	(void)fwrite(out.ptr, 1, out.len, stdout);
	(void)fflush(stdout); /* nobody listening to it is no reason not to work */
	buffer_done(&out);
}

/* ---- running ---- */

/* All kinds have been seen whole: only now may somebody decide. */
static void seen(void *context)
{
	struct remote_up *u = context;
	struct manager_config config = { .cluster = u->cluster, .loop = u->loop, .names = u->names };
	struct error err = { 0 };

	u->manager = manager_new(&config, &err);
	if (u->manager) {
		announce(u);
		return;
	}
	log_error("up", "the controllers cannot begin", LOG_TEXT("error", err.message));
	(void)kill(getpid(), SIGTERM);
}

static void *thread_run(void *context)
{
	loop_run(((struct remote_up *)context)->loop);
	return NULL;
}

static bool start(struct remote_up *u, struct error *err)
{
	struct remote_config config = {
		.server = &u->kubeconfig, .resources = u->resources, .ready = seen, .context = u
	};
	int number;

	u->names = up_controllers(u->call, err);
	if (!u->names || !manager_resources(u->names, u->resources, ARRAY_LEN(u->resources), err))
		return error_wrap(err, "--controllers");
	if (!kubeconfig_read(u->options->kubeconfig, u->call->arena, &u->kubeconfig, err))
		return false;
	u->loop = config.loop = loop_new();
	u->cluster = cluster_remote_new(&config);
	number = pthread_create(&u->thread, NULL, thread_run, u);
	return !number || error_errno(err, number, "no thread can be made");
}

/* Nothing that is read once is read again. */
static void reload(void *context)
{
	(void)context;
	log_info("up", "nothing to read again");
}

int up_remote(const struct cli_call *call)
{
	struct remote_up u = { .call = call, .options = call->options, .started_ns = clock_monotonic_ns() };
	sigset_t set = serving_signals();
	struct error err = { 0 };
	int code = EXIT_OK;

	signal(SIGPIPE, SIG_IGN);
	pthread_sigmask(SIG_BLOCK, &set, NULL); /* before threads, which inherit it */
	if (start(&u, &err)) {
		(void)serving_wait(reload, NULL, 0, &u);
		loop_stop(u.loop);
		pthread_join(u.thread, NULL);
	} else {
		cli_complain(call->command, &err);
		code = EXIT_FAILED;
	}
	manager_stop(u.manager);
	cluster_free(u.cluster);
	manager_free(u.manager);
	if (u.loop)
		loop_free(u.loop);
	return code;
}
