/* SPDX-License-Identifier: Apache-2.0 */
/* serve - checks what was asked for, and leaves it to serve_models.c or serve_code.c. */
#include <malloc.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "base/log.h"
#include "cli/model_folder.h"
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

static bool is_folder(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

/* In the place of a folder the model that is in it. */
static bool folder_open(const char **argument, struct serve_options *options, struct arena *arena, struct error *err)
{
	struct target target = target_split(*argument);
	const char *parameters =
	    options->code.parameters ? options->code.parameters : getenv("PREDICTIVE_UNIT_PARAMETERS");
	struct model_folder found;

	if (!is_folder(target.path))
		return true;
	if (!model_folder_read(target.path, arena, &found, err))
		return false;
	if (found.wants_uri) {
		options->code.parameters = model_folder_parameters(parameters, target.path, arena, err);
		if (!options->code.parameters)
			return false;
	}
	*argument = target.name.len ? arena_print(arena, err, "%.*s=%s", SPAN_WHOLE(target.name), found.target).ptr
				    : found.target;
	return *argument != NULL;
}

static bool folders_open(struct cli_call *call, struct serve_options *options, struct error *err)
{
	const char **arguments = ARENA_ARRAY(call->arena, const char *, call->argument_count, err);

	for (size_t i = 0; arguments && i < call->argument_count; i++) {
		arguments[i] = call->arguments[i];
		if (!folder_open(&arguments[i], options, call->arena, err))
			return false;
	}
	call->arguments = arguments;
	return arguments != NULL;
}

int serve_run(const struct cli_call *given)
{
	struct serve_options own = *(const struct serve_options *)given->options;
	const struct serve_options *options = &own;
	struct cli_call opened = *given;
	const struct cli_call *call = &opened;
	sigset_t set = serving_signals();
	struct error err = { 0 };
	bool is_code = false;

	opened.options = options;
	log_setup((enum log_level)options->log_level, (enum log_format)options->log_format);
	if (!check_options(call, &err) || !folders_open(&opened, &own, &err) || !check_targets(call, &is_code, &err)) {
		cli_complain(call->command, &err);
		return EXIT_USAGE;
	}
	serving_raise_files();
	/* One heap: what one thread frees another uses, and all of it can be trimmed. The warm path allocates nothing.
	 */
	mallopt(M_ARENA_MAX, 1);
	signal(SIGPIPE, SIG_IGN);
	pthread_sigmask(SIG_BLOCK, &set, NULL); /* before threads, which inherit it */
	return is_code ? serve_code(call) : serve_models(call);
}
