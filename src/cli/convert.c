/* SPDX-License-Identifier: Apache-2.0 */
/* convert - a pickled model to ONNX, by the Python package: skl2onnx is there. */
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "cli/options.h"
#include "cli/python.h"

int convert_run(const struct cli_call *call)
{
	const struct convert_options *o = call->options;
	struct error err = { 0 };
	const char *python = python_find(o->python, call->arena, &err);
	const char *variable = python ? python_path_variable(call->arena, &err) : NULL;
	const char *arguments[8] = { python, "-m", "hythe.convert", call->arguments[0] };
	size_t count = 4;

	if (o->output_path) {
		arguments[count++] = "-o";
		arguments[count++] = o->output_path;
	}
	if (variable)
		(void)putenv((char *)variable); /* lives in the call's arena, which outlives this process image */
	if (python) {
		execvp(python, (char *const *)arguments);
		error_errno(&err, errno, "cannot run '%s'", python);
	}
	cli_complain(call->command, &err);
	return EXIT_FAILED;
}
