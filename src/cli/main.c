/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <unistd.h>

#include "cli/cli.h"
#include "node/runtime_process.h"

enum { CALL_BYTES_MAX = MIB(64) };

static int usage_failed(const struct command *command, const struct error *err)
{
	cli_complain(command, err);
	fprintf(stderr, "`hythe help%s%s` explains.\n", command ? " " : "", command ? command->name : "");
	return EXIT_USAGE;
}

static int unknown_command(struct span given)
{
	const char *names[64];
	const char *near;
	struct error err = { 0 };
	size_t count = 0;

	for (const struct command *c = cli_commands; c->name && count < ARRAY_LEN(names); c++)
		names[count++] = c->name;
	near = name_suggest(given, names, count);
	error_set(&err, ERROR_INVALID, "unknown command '" SPAN_FMT "'%s%s%s", SPAN_ARG(given),
		  near ? "; did you mean '" : "", near ? near : "", near ? "'?" : "");
	return usage_failed(NULL, &err);
}

/* Output that could not be written (a full disk, a closed pipe) is a failure, whatever the command said. */
static int flush(int code)
{
	if (fflush(stdout) == 0 && !ferror(stdout))
		return code;
	if (errno != EPIPE)
		fprintf(stderr, "hythe: standard output: %s\n", strerror(errno));
	return code == EXIT_OK ? EXIT_FAILED : code;
}

static int run(const struct command *command, const char *const *arguments, size_t count)
{
	struct span messages[4];
	struct error err = { 0 };
	struct cli_call call;
	struct arena arena;
	bool wants_help = false;
	int code;

	arena_init(&arena, CALL_BYTES_MAX);
	if (!flags_parse(command, arguments, count, environ, &arena, &call, &wants_help, &err)) {
		code = usage_failed(command, &err);
	} else if (wants_help) {
		help_command(stdout, command);
		code = EXIT_OK;
	} else {
		size_t misspelt = flags_misspelt(environ, &arena, messages, ARRAY_LEN(messages));

		for (size_t i = 0; i < misspelt; i++)
			fprintf(stderr, "hythe: environment variable " SPAN_FMT "\n", SPAN_ARG(messages[i]));
		code = command->run(&call);
	}
	arena_done(&arena);
	return flush(code);
}

int main(int argc, char **argv)
{
	const struct command *command;
	struct span name;

	if (argc < 2) {
		help_overview(stderr);
		return EXIT_USAGE;
	}
	name = span_of(argv[1]);
	if (span_equal(name,
		       SPAN(SUPERVISOR_COMMAND))) /* of this program alone: first, so that nothing is opened before */
		return supervisor_main(argc, argv);
	if (span_equal(name, SPAN("--help")) || span_equal(name, SPAN("-h"))) {
		help_overview(stdout);
		return flush(EXIT_OK);
	}
	if (span_equal(name, SPAN("--version")) || span_equal(name, SPAN("-V")))
		name = SPAN("version");
	command = command_find(name);
	if (!command)
		return unknown_command(name);
	return run(command, (const char *const *)argv + 2, (size_t)argc - 2);
}
