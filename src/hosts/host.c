/* SPDX-License-Identifier: Apache-2.0 */
/* host - the life of a host: its config, its server, its end. */
#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/number.h"
#include "hosts/host_private.h"
#include "inference/inference.h"
#include "net/direct.h"

enum { THREADS_MAX = 1024 };
#define ENDER_STACK KIB(64)

static const struct route *const routes_of_app[] = { app_routes, NULL };

static void explain(char *why, const struct error *err)
{
	snprintf(why, HYTHE_ERROR_SIZE, "%s", err->message);
}

int hythe_host_api(void)
{
	return HYTHE_HOST_API;
}

const char *hythe_host_version(void)
{
	return HYTHE_VERSION;
}

/* ---- on the loop ---- */

/* Whose loop this thread runs. */
static _Thread_local struct hythe_host *own_host;

/* On the loop, before anything else that is sent to it. */
static void host_started(struct loop_message *m)
{
	own_host = CONTAINER_OF(m, struct hythe_host, started);
}

/* On the loop. The server's context is not the host's own, where it has models. */
static void adopted_closed(void *context)
{
	(void)context;
	hythe_host_stop(own_host);
}

/* ---- the config ---- */

static bool addresses_copy(struct hythe_host *h, const struct hythe_host_config *config, struct error *err)
{
	const char **copies = ARENA_ARRAY(&h->arena, const char *, config->address_count, err);

	if (!copies)
		return false;
	for (size_t i = 0; i < config->address_count; i++) {
		struct span copy = arena_copy(&h->arena, span_of(config->addresses[i]), err);

		if (!copy.ptr)
			return false;
		copies[i] = copy.ptr;
	}
	h->config.addresses = copies;
	h->config.address_count = config->address_count;
	return true;
}

static bool config_check(const struct hythe_host_config *config, struct error *err)
{
	if (config->address_count == 0 && config->adopt_fd <= 0)
		return error_set(err, ERROR_INVALID, "a host needs an address to listen on, or a socket to adopt");
	if (!config->call == !config->app)
		return error_set(err, ERROR_INVALID, "a host needs a function for models or an application, and %s",
				 config->call ? "not both" : "has neither");
	if (config->threads > THREADS_MAX)
		return error_set(err, ERROR_INVALID, "%u threads: at most %d", config->threads, THREADS_MAX);
	if (config->is_driven && config->threads > 1)
		return error_set(err, ERROR_INVALID, "%u threads: a driven host has one, the caller's",
				 config->threads);
	return true;
}

/* Beside the connection to adopt the one in front may have left a socket on which it passes on those of clients. */
static int direct_fd_take(void)
{
	const char *text = getenv("HYTHE_DIRECT_FD");
	uint64_t fd;

	if (!text || !number_parse_uint64(span_of(text), &fd) || fd > INT_MAX)
		return -1;
	(void)unsetenv("HYTHE_DIRECT_FD"); /* it is not for the programs that the user's code starts */
	return (int)fd;
}

static bool config_take(struct hythe_host *h, const struct hythe_host_config *config, struct error *err)
{
	if (!config_check(config, err) || !addresses_copy(h, config, err))
		return false;
	h->threads = config->threads ? config->threads : 1;
	h->config.limits = server_limits_default();
	h->config.compression_least = KIB(1);
	for (size_t i = 0; i < config->setting_count; i++) {
		if (!host_setting(h, config->settings[i][0], config->settings[i][1], err))
			return false;
	}
	h->config.workers = 1;
	h->config.compute_threads = h->threads;
	/* Behind a front that sends one call after the other a second thread would only cost the way to it and back. */
	h->config.compute_on_loop = config->call && h->threads == 1 &&
				    (config->is_driven || (config->adopt_fd > 0 && config->address_count == 0));
	h->is_driven = h->config.is_driven = config->is_driven;
	h->waits = config->waits;
	h->resumes = config->resumes;
	h->wait_context = config->context;
	h->config.metrics = h->metrics;
	h->config.adopted_closed = adopted_closed;
	if (config->adopt_fd > 0) {
		h->adopt_fd = config->adopt_fd;
		h->direct_fd = direct_fd_take();
	}
	return true;
}

/* ---- birth ---- */

static bool models_new(struct hythe_host *h, const struct hythe_host_config *config, struct error *err)
{
	struct inference_config inference = { .metrics = h->metrics };

	if (!host_component_new(h, config, err))
		return false;
	h->inference = inference_new(&inference);
	if (!host_component_add(h, err))
		return false;
	h->config.routes = inference_routes;
	h->config.context = h->inference;
	h->config.worker_started = inference_worker_started;
	return true;
}

static void application_new(struct hythe_host *h, const struct hythe_host_config *config)
{
	memcpy(&h->app, config->app, MIN(config->app->size, sizeof(h->app)));
	h->config.routes = routes_of_app;
	h->config.context = h;
	h->app_host = app_new(h);
}

static bool host_open(struct hythe_host *h, const struct hythe_host_config *config, struct error *err)
{
	if (!config_take(h, config, err))
		return false;
	h->ended_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (h->ended_fd < 0)
		return error_errno(err, errno, "cannot make an eventfd");
	if (h->has_log)
		log_setup(h->log_level, h->log_format);
	if (config->app)
		application_new(h, config);
	else if (!models_new(h, config, err))
		return false;
	h->server = server_new(&h->config, err);
	return h->server != NULL;
}

hythe_host *hythe_host_new(const struct hythe_host_config *config, char *why)
{
	struct hythe_host_config known = { 0 };
	struct hythe_host *h = base_calloc(1, sizeof(*h));
	struct error err = { 0 };

	memcpy(&known, config, MIN(config->size, sizeof(known))); /* an older caller's is shorter */
	arena_init(&h->arena, MIB(64));
	h->metrics = metrics_new();
	h->adopt_fd = h->direct_fd = h->ended_fd = h->signal_fds[0] = h->signal_fds[1] = -1;
	h->log_level = LOG_INFO;
	if (host_open(h, &known, &err))
		return h;
	explain(why, &err);
	h->adopt_fd = -1; /* still the caller's */
	hythe_host_free(h);
	return NULL;
}

/* ---- start ---- */

static void host_stopping(struct loop_message *m)
{
	struct hythe_host *h = CONTAINER_OF(m, struct hythe_host, stop);

	if (h->app_host)
		app_stop(h);
	direct_release(h->server);
	server_drain(h->server);
}

static void stop_send(struct hythe_host *h)
{
	if (h->is_started && h->is_stopping && !atomic_exchange(&h->is_stop_sent, true))
		loop_send(server_worker_loop(h->server, 0), &h->stop);
}

static void *ender_main(void *argument)
{
	struct hythe_host *h = argument;
	uint64_t one = 1;

	server_wait(h->server);
	if (h->app_host)
		app_join(h);
	(void)!write(h->ended_fd, &one, sizeof(one)); /* an eventfd at 0 takes it */
	return NULL;
}

static bool ender_start(struct hythe_host *h, struct error *err)
{
	pthread_attr_t attributes;
	int failure;

	pthread_attr_init(&attributes);
	pthread_attr_setstacksize(&attributes, ENDER_STACK);
	failure = pthread_create(&h->ender, &attributes, ender_main, h);
	pthread_attr_destroy(&attributes);
	if (failure)
		return error_errno(err, failure, "cannot start a thread");
	h->has_ender = true;
	return true;
}

static bool host_start(struct hythe_host *h, struct error *err)
{
	if (!server_start(h->server, err))
		return false;
	h->started.run = host_started;
	h->stop.run = host_stopping;
	loop_send(server_worker_loop(h->server, 0), &h->started);
	if (h->direct_fd >= 0)
		direct_take_from(h->server, h->direct_fd);
	h->direct_fd = -1;
	if (h->adopt_fd >= 0)
		server_adopt(h->server, h->adopt_fd);
	h->adopt_fd = -1;
	if (h->is_driven)
		return drive_start(h, err);
	return (!h->app_host || app_start(h, err)) && ender_start(h, err);
}

int hythe_host_start(hythe_host *h, char *why)
{
	struct error err = { 0 };
	sigset_t all, before;
	bool ok;

	/* Signals are for the program's own threads: ours, and those that they start, inherit this mask. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	ok = host_start(h, &err);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (!ok) {
		explain(why, &err);
		return 0;
	}
	h->is_started = true;
	stop_send(h);
	return 1;
}

const char *hythe_host_address(const hythe_host *h, size_t index)
{
	return index < h->config.address_count ? server_address(h->server, index) : NULL;
}

/* ---- the end ---- */

void hythe_host_stop(hythe_host *h)
{
	h->is_stopping = true;
	stop_send(h);
}

int hythe_host_wait_for(hythe_host *h, int milliseconds)
{
	struct pollfd p = { .fd = h->ended_fd, .events = POLLIN };

	return poll(&p, 1, milliseconds) == 1;
}

void hythe_host_wait(hythe_host *h)
{
	while ((h->has_ender || (h->is_driven && h->is_started)) && !hythe_host_wait_for(h, -1))
		;
}

static void close_fd(int fd)
{
	if (fd >= 0)
		close(fd);
}

void hythe_host_free(hythe_host *h)
{
	if (!h)
		return;
	if (h->has_ender) {
		hythe_host_stop(h);
		pthread_join(h->ender, NULL);
	} else if (h->is_driven && h->is_started) {
		drive_end(h);
	} else if (h->server) {
		server_drain(h->server);
		server_wait(h->server);
		if (h->app_host)
			app_join(h);
	}
	server_free(h->server);
	app_free(h->app_host);
	inference_free(h->inference);
	metrics_free(h->metrics);
	close_fd(h->adopt_fd);
	close_fd(h->direct_fd);
	close_fd(h->ended_fd);
	close_fd(h->signal_fds[0]);
	close_fd(h->signal_fds[1]);
	arena_done(&h->arena);
	free(h);
}
