/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/folder.h"

#include <stdlib.h>

const char *data_path(const char *folder, const char *name, struct arena *arena, struct error *err)
{
	return arena_print(arena, err, "%s/%s", folder, name).ptr;
}

const char *data_folder(const char *given, struct arena *arena, struct error *err)
{
	const char *data = getenv("XDG_DATA_HOME"), *home = getenv("HOME");

	if (given)
		return given;
	if (data && data[0] == '/')
		return data_path(data, "hythe", arena, err);
	if (home && home[0])
		return data_path(home, ".local/share/hythe", arena, err);
	error_set(err, ERROR_INVALID, "there is no $HOME to keep data in: say --data-dir");
	return NULL;
}
