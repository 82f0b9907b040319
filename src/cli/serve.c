/* SPDX-License-Identifier: Apache-2.0 */
/* serve - checks what was asked for, and leaves it to serve_models.c or serve_code.c. */
#include <malloc.h>
#include <pthread.h>

#include "base/log.h"
#include "cli/serving.h"
#include "cli/targets.h"

enum { THREADS_MAX = 255 };

static bool check_options(const struct cli_call *call, struct error *err)
{
	const struct serve_options *o = call->options;

	if (!o->tls_certificate != !o->tls_key)
		return error_set(err, ERROR_INVALID, "--tls-cert and --tls-key are needed both");
	if (o->tls_client_ca && !o->tls_certificate)
		return error_set(err, ERROR_INVALID, "--tls-client-ca needs --tls-cert and --tls-key");
	if (o->workers > THREADS_MAX || o->compute_threads > THREADS_MAX)
		return error_set(err, ERROR_INVALID, "--workers and --compute-threads are at most %d", THREADS_MAX);
	if (o->names.count > call->argument_count)
		return error_set(err, ERROR_INVALID, "%zu times --name for %zu %s", o->names.count,
				 call->argument_count, call->argument_count == 1 ? "model" : "models");
	if (serving_addresses(o)->count == 0)
		return error_set(err, ERROR_INVALID, "--listen is empty");
	return true;
}

/* Model files share a process; code has processes of its own, and one target. */
static bool check_targets(const struct cli_call *call, bool *ret_is_code, struct error *err)
{
	*ret_is_code = target_is_code(call->arguments[0]);
	for (size_t i = 0; i < call->argument_count; i++) {
		if (call->argument_count > 1 && target_is_code(call->arguments[i]))
			return error_set(err, ERROR_UNIMPLEMENTED,
					 "'%s' is Python, and Python is served alone: one target, and the others by a "
					 "`hythe serve` of their own",
					 call->arguments[i]);
	}
	return true;
}

int serve_run(const struct cli_call *call)
{
	const struct serve_options *options = call->options;
	sigset_t set = serving_signals();
	struct error err = { 0 };
	bool is_code = false;

	log_setup((enum log_level)options->log_level, (enum log_format)options->log_format);
	if (!check_options(call, &err) || !check_targets(call, &is_code, &err)) {
		cli_complain(call->command, &err);
		return EXIT_USAGE;
	}
	/* One heap: what one thread frees another uses, and all of it can be trimmed. The warm path allocates nothing.
	 */
	mallopt(M_ARENA_MAX, 1);
	signal(SIGPIPE, SIG_IGN);
	pthread_sigmask(SIG_BLOCK, &set, NULL); /* before threads, which inherit it */
	return is_code ? serve_code(call) : serve_models(call);
}
