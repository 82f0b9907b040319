/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/serving.h"

#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"

enum { TRIM_LEAST = MIB(8) };
#define TRIM_EVERY_NS (5 * NS_PER_S)

/* ---- settings ---- */

const struct text_list *serving_addresses(const struct serve_options *options)
{
	return options->bind.count ? &options->bind : &options->listen;
}

struct server_config serving_config(const struct serve_options *o)
{
	return (struct server_config){
		.addresses = serving_addresses(o)->items,
		.address_count = serving_addresses(o)->count,
		.tls_certificate = o->tls_certificate,
		.tls_key = o->tls_key,
		.tls_client_ca = o->tls_client_ca,
		.compute_threads = (unsigned)o->compute_threads,
		.limits = o->limits,
		.cors_origin = o->cors_origin,
		.compression = o->compression,
		.compression_least = o->compression_least,
		.access_log = (enum access_log)o->access_log,
		.server_name = o->server_name,
	};
}

/* ---- what it prints ---- */

void serving_target(const struct serve_options *options, const char *address, struct describe_target *target,
		    struct buffer *url)
{
	struct span text = span_of(address);

	target->is_tls = options->tls_certificate != NULL;
	target->wants_certificate = options->tls_client_ca != NULL;
	if (span_starts(text, SPAN("unix:"))) {
		target->is_tls = target->wants_certificate = false; /* TLS is for TCP listeners */
		target->unix_socket = span_skip(text, 5);
		buffer_append(url, SPAN("http://localhost"));
	} else {
		buffer_append(url, target->is_tls ? SPAN("https://") : SPAN("http://"));
		/* "Every address" is none that a client can call. */
		if (span_starts(text, SPAN("0.0.0.0:")))
			buffer_print(url, "127.0.0.1%s", address + strlen("0.0.0.0"));
		else if (span_starts(text, SPAN("[::]:")))
			buffer_print(url, "[::1]%s", address + strlen("[::]"));
		else
			buffer_append(url, text);
	}
	target->url = buffer_span(url);
}

void serving_print_addresses(const struct serve_options *options, const struct server *server, const char *protocols,
			     struct buffer *out)
{
	const char *scheme = options->tls_certificate ? "https://" : "http://";

	for (size_t i = 0; i < serving_addresses(options)->count; i++) {
		const char *address = server_address(server, i);
		bool is_unix = strncmp(address, "unix:", 5) == 0;

		if (!options->quiet)
			buffer_append(out,
				      i ? SPAN("             and on ") : SPAN("hythe " HYTHE_VERSION " serves on "));
		buffer_print(out, "%s%s", is_unix ? "" : scheme, address);
		if (!options->quiet && i == 0)
			buffer_print(out, " (%s)", protocols);
		buffer_byte(out, '\n');
	}
}

/* ---- open files ---- */

void serving_raise_files(void)
{
	struct rlimit files;

	if (getrlimit(RLIMIT_NOFILE, &files) < 0 || files.rlim_cur == files.rlim_max)
		return;
	files.rlim_cur = files.rlim_max;
	if (setrlimit(RLIMIT_NOFILE, &files) < 0)
		log_warn("serve", "the limit of open files stays as it is", LOG_TEXT("reason", strerror(errno)));
}

/* ---- signals ---- */

sigset_t serving_signals(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	return set;
}

void serving_reload_tls(const struct serve_options *options, struct server *server)
{
	struct error err = { 0 };

	if (!options->tls_certificate)
		return;
	if (server_reload_tls(server, &err))
		log_info("serve", "certificate read again", LOG_TEXT("path", options->tls_certificate));
	else
		log_error("serve", "the old certificate goes on", LOG_TEXT("error", err.message));
}

/*
 * Large requests leave the heap large: what is free in it goes back to the system now and then. Taking it again costs a
 * busy server a few milliseconds each time.
 */
static void trim(void)
{
	if (mallinfo2().fordblks > TRIM_LEAST)
		(void)malloc_trim(0);
}

int serving_wait(void (*reload)(void *context), void (*tick)(void *context), int64_t tick_ns, void *context)
{
	int64_t now = clock_monotonic_ns(), trim_at = now + TRIM_EVERY_NS;
	int64_t tick_at = tick && tick_ns > 0 ? now + tick_ns : INT64_MAX;
	sigset_t set = serving_signals();

	for (;;) {
		int64_t wait = MAX(MIN(trim_at, tick_at) - clock_monotonic_ns(), 0);
		struct timespec timeout = { wait / NS_PER_S, wait % NS_PER_S };
		int caught = sigtimedwait(&set, NULL, &timeout);

		if (caught == SIGTERM || caught == SIGINT)
			return caught;
		if (caught == SIGHUP)
			reload(context);
		now = clock_monotonic_ns();
		if (tick && now >= tick_at) {
			tick(context);
			tick_at = clock_monotonic_ns() + tick_ns;
		}
		if (now >= trim_at) {
			trim();
			trim_at = now + TRIM_EVERY_NS;
		}
	}
}

void serving_drain(struct server *server)
{
	sigset_t set = serving_signals();

	log_info("serve", "draining: a second signal ends at once");
	server_drain(server);
	sigdelset(&set, SIGHUP);
	signal(SIGTERM, SIG_DFL);
	signal(SIGINT, SIG_DFL);
	pthread_sigmask(SIG_UNBLOCK, &set, NULL);
	server_wait(server);
	log_info("serve", "stopped");
}

bool serving_name_flag(struct error *err, const char *rest)
{
	size_t len = strlen(err->message);

	if (err->code == ERROR_ALREADY_EXISTS && span_ends(span_of(err->message), SPAN("--listen")))
		(void)snprintf(err->message + len, sizeof(err->message) - len, "%s", rest);
	return false;
}
