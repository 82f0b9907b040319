/* SPDX-License-Identifier: Apache-2.0 */
/* env - prints what clients must have in their environment to talk to a hythe on this machine. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "cli/folder.h"
#include "cli/options.h"

/* In quotes of the shell, whatever is in it. */
static void put_export(const char *name, const char *value)
{
	printf("export %s='", name);
	for (; *value; value++) {
		if (*value == '\'')
			fputs("'\\''", stdout);
		else
			putchar(*value);
	}
	puts("'");
}

/* Clients run in other folders. */
static bool env_print(const struct cli_call *call, struct error *err)
{
	const struct env_options *o = call->options;
	const char *folder = data_folder(o->data_dir, call->arena, err), *path;
	AUTO_FREE char *whole = NULL;

	path = folder ? data_path(folder, "kubeconfig", call->arena, err) : NULL;
	if (!path)
		return false;
	whole = realpath(path, NULL);
	if (!whole)
		return error_set(err, ERROR_NOT_FOUND, "there is no %s: start `hythe up%s%s` first", path,
				 o->data_dir ? " --data-dir " : "", o->data_dir ? o->data_dir : "");
	put_export("KUBECONFIG", whole);
	return fflush(stdout) == 0 || error_set(err, ERROR_INTERNAL, "standard output cannot be written");
}

int env_run(const struct cli_call *call)
{
	struct error err = { 0 };

	if (env_print(call, &err))
		return EXIT_OK;
	cli_complain(call->command, &err);
	return EXIT_FAILED;
}
