/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/python.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* Where the package is, seen from the folder of this program: in a build folder, and once installed. */
static const char *const package_folders[] = { "hosts/python", "../lib/hythe/python" };

static const char *format(struct arena *arena, struct error *err, const char *form, const char *a, const char *b,
			  const char *c)
{
	char text[3 * PATH_MAX];
	int len = snprintf(text, sizeof(text), form, a, b, c);
	struct span copy;

	if (len < 0 || (size_t)len >= sizeof(text)) {
		error_set(err, ERROR_TOO_LARGE, "a path is longer than %zu bytes", sizeof(text));
		return NULL;
	}
	copy = arena_copy(arena, (struct span){ text, (size_t)len }, err);
	return copy.ptr;
}

/* The folder this program is in, without a slash at the end; NULL when the system does not say. */
static const char *own_folder(struct arena *arena, struct error *err)
{
	char path[PATH_MAX];
	ssize_t len = readlink("/proc/self/exe", path, sizeof(path) - 1);

	while (len > 0 && path[len - 1] != '/')
		len--;
	if (len <= 1)
		return NULL;
	path[len - 1] = '\0';
	return format(arena, err, "%s%s%s", path, "", "");
}

static bool is_on_path(const char *name, struct arena *arena)
{
	struct span rest = span_of(getenv("PATH"));
	struct error ignored = { 0 };

	while (rest.len > 0) {
		struct span folder = span_first(rest, span_index(rest, ':'));
		struct span copy = arena_copy(arena, folder, &ignored);
		const char *path = copy.ptr ? format(arena, &ignored, "%s/%s%s", copy.ptr, name, "") : NULL;

		if (path && folder.len > 0 && access(path, X_OK) == 0)
			return true;
		rest = span_skip(rest, MIN(folder.len + 1, rest.len));
	}
	return false;
}

const char *python_find(const char *given, struct arena *arena, struct error *err)
{
	static const char *const names[] = { "python3", "python" };
	const char *environment = getenv("VIRTUAL_ENV"), *folder = own_folder(arena, err), *path;

	if (given) {
		if (strchr(given, '/') ? access(given, X_OK) == 0 : is_on_path(given, arena))
			return given;
		error_set(err, ERROR_NOT_FOUND, "--python: there is no program '%s'", given);
		return NULL;
	}
	path = environment && *environment ? format(arena, err, "%s/bin/python%s%s", environment, "", "") : NULL;
	if (path && access(path, X_OK) == 0)
		return path;
	path = folder ? format(arena, err, "%s/python%s%s", folder, "", "") : NULL;
	if (path && access(path, X_OK) == 0)
		return path;
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		if (is_on_path(names[i], arena))
			return names[i];
	}
	error_set(err, ERROR_NOT_FOUND, "no python3 on $PATH: name an interpreter with --python");
	return NULL;
}

const char *python_path_variable(struct arena *arena, struct error *err)
{
	const char *folder = own_folder(arena, err), *set = getenv("PYTHONPATH");
	bool has_more = set && *set;

	for (size_t i = 0; folder && i < ARRAY_LEN(package_folders); i++) {
		const char *package = format(arena, err, "%s/%s%s", folder, package_folders[i], "");
		const char *worker = package ? format(arena, err, "%s/hythe/worker.py%s%s", package, "", "") : NULL;

		if (worker && access(worker, R_OK) == 0)
			return format(arena, err, "PYTHONPATH=%s%s%s", package, has_more ? ":" : "",
				      has_more ? set : "");
	}
	return NULL;
}
