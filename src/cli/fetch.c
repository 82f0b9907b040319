/* SPDX-License-Identifier: Apache-2.0 */
/* fetch - `hythe fetch URI FOLDER`: what the init container of a prepackaged server runs. */
#include "fetch/fetch.h"

#include <stdio.h>

#include "cli/describe.h"
#include "cli/options.h"

static void told(void *context, struct span path, uint64_t bytes)
{
	struct buffer size;

	(void)context;
	buffer_init(&size, KIB(1));
	describe_bytes((size_t)bytes, &size);
	printf("  %.*s (%.*s)\n", SPAN_WHOLE(path), SPAN_WHOLE(buffer_span(&size)));
	(void)fflush(stdout); /* it is only told */
	buffer_done(&size);
}

int fetch_run_command(const struct cli_call *call)
{
	const struct fetch_options *o = call->options;
	const struct fetch_config config = {
		.uri = call->arguments[0],
		.folder = call->arguments[1],
		.bytes_most = o->bytes_most,
		.files_most = o->files_most,
		.told = o->quiet ? NULL : told,
	};
	struct fetch_result done = { 0 };
	struct error err = { 0 };

	if (!fetch_run(&config, &done, &err)) {
		cli_complain(call->command, &err);
		return EXIT_FAILED;
	}
	if (done.is_mounted)
		printf("%s is mounted at %s: there is nothing to fetch\n", config.uri, config.folder);
	else
		printf("%zu %s, %llu bytes from %s in %s\n", done.files, done.files == 1 ? "file" : "files",
		       (unsigned long long)done.bytes, config.uri, config.folder);
	return EXIT_OK;
}
