/* SPDX-License-Identifier: Apache-2.0 */
#include "node/images.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "node/confine.h"

#define DEFAULT_PLACE  "/app"
#define PROGRAM_PLACE  "/run/hythe/bin/hythe"
#define PACKAGE_PLACE  "/run/hythe/lib/hythe/python"
#define S2I_FILE_MOST  KIB(64)
#define VARIABLES_MORE 4

/* ---- names ---- */

bool images_next(struct span *rest, struct span *ret_name, struct span *ret_folder)
{
	while (rest->len) {
		struct span line = span_trim(span_cut(rest, '\n'));
		size_t space = span_index(line, ' ');

		*ret_name = span_first(line, space);
		*ret_folder = space < line.len ? span_trim(span_skip(line, space)) : SPAN("");
		if (ret_name->len && ret_name->ptr[0] != '#' && ret_folder->len && ret_folder->ptr[0] == '/')
			return true;
	}
	return false;
}

static struct span line_of(struct span lines, struct span name)
{
	struct span own, folder;

	while (images_next(&lines, &own, &folder))
		if (span_equal(own, name))
			return folder;
	return (struct span){ 0 };
}

/* "registry:5000/" of "registry:5000/a/b": what has a dot or a colon in it, or is localhost. */
static struct span host_skip(struct span name)
{
	size_t slash = span_index(name, '/');
	struct span host = span_first(name, slash);

	if (slash == name.len || (span_index(host, '.') == host.len && span_index(host, ':') == host.len &&
				  !span_equal(host, SPAN("localhost"))))
		return name;
	name = span_skip(name, slash + 1);
	return span_starts(name, SPAN("library/")) ? span_skip(name, 8) : name;
}

static struct span match_name(struct span lines, struct span name, struct arena *arena)
{
	struct span bare = span_first(name, span_index(name, '@')), found = line_of(lines, name), tail;
	struct error ignored = { 0 };
	size_t slash = 0, colon;

	for (size_t i = 0; i < bare.len; i++)
		if (bare.ptr[i] == '/')
			slash = i + 1;
	tail = span_skip(bare, slash);
	colon = span_index(tail, ':');
	if (!found.ptr && bare.len < name.len)
		found = line_of(lines, bare);
	if (!found.ptr && colon == tail.len)
		found = line_of(lines, arena_print(arena, &ignored, "%.*s:latest", SPAN_WHOLE(bare)));
	if (!found.ptr && colon < tail.len)
		found = line_of(lines, span_first(bare, slash + colon));
	return found;
}

struct span images_match(struct span lines, struct span reference, struct arena *arena)
{
	struct span found = match_name(lines, reference, arena), inner = host_skip(reference);

	return found.ptr || inner.len == reference.len ? found : match_name(lines, inner, arena);
}

/* ---- what a folder says ---- */

/* False with err NONE: there is no such file. */
static bool file_read(struct span folder, const char *name, size_t most, struct arena *arena, struct span *ret,
		      struct error *err)
{
	struct span path = arena_print(arena, err, "%.*s/%s", SPAN_WHOLE(folder), name);
	struct buffer text;
	bool ok;

	if (!path.ptr || access(path.ptr, F_OK) != 0)
		return false;
	buffer_init(&text, most);
	ok = buffer_read_file(&text, path.ptr, err);
	if (ok)
		*ret = arena_copy(arena, buffer_span(&text), err);
	buffer_done(&text);
	return ok && ret->ptr;
}

static const struct name_value base[] = { { SPAN_INIT("PATH"), SPAN_INIT(CONFINE_PATH) } };

static struct span variable(const struct dockerfile *d, struct span name)
{
	for (size_t i = 0; i < d->environment_count; i++)
		if (span_equal(d->environment[i].name, name))
			return d->environment[i].value;
	return (struct span){ 0 };
}

/* What Seldon's images for Python are started by, where nothing else is said. The shell puts in what the pod sets. */
static void component_command(struct image *image)
{
	static struct span words[] = { SPAN_INIT("/bin/sh"), SPAN_INIT("-c"),
				       SPAN_INIT("exec seldon-core-microservice $MODEL_NAME --service-type "
						 "${SERVICE_TYPE:-MODEL} --persistence ${PERSISTENCE:-0}") };

	image->command = (struct words){ words, ARRAY_LEN(words), true };
}

static bool is_usual(struct span folder)
{
	struct span rest = SPAN(CONFINE_PATH);

	while (rest.len)
		if (span_equal(span_cut(&rest, ':'), folder))
			return true;
	return false;
}

/* "FOLDER/bin/python3" when it can be run; ptr NULL otherwise. */
static struct span python_in(struct span folder, const char *below, struct arena *arena, struct error *err)
{
	struct span path = { 0 };

	if (folder.len && folder.ptr[0] == '/')
		path = arena_print(arena, err, "%.*s%s/python3", SPAN_WHOLE(folder), below);
	return path.ptr && access(path.ptr, X_OK) == 0 ? path : (struct span){ 0 };
}

struct span images_python(struct arena *arena, struct error *err)
{
	struct span path = span_of(getenv("PATH")), found = span_of(getenv("HYTHE_PYTHON"));
	char own[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", own, sizeof(own));

	if (found.len)
		return found.ptr[0] == '/' ? arena_copy(arena, found, err) : (struct span){ 0 };
	found = python_in(span_of(getenv("VIRTUAL_ENV")), "/bin", arena, err);
	while (n > 0 && own[n - 1] != '/')
		n--;
	if (!found.ptr && n > 1)
		found = python_in(span_from(own, (size_t)n - 1), "", arena, err);
	while (!found.ptr && path.len) {
		struct span folder = span_cut(&path, ':');

		if (is_usual(folder))
			break; /* they find it too */
		found = python_in(folder, "", arena, err);
	}
	return found;
}

static struct span folder_of(struct span path)
{
	while (path.len && path.ptr[path.len - 1] != '/')
		path.len--;
	return span_first(path, path.len ? path.len - 1 : 0);
}

/* Where programs of Python are that come before the machine's: a virtual environment in the folder, or where hythe's own interpreter is. */
static struct span python_folder(struct span folder, struct arena *arena, struct error *err)
{
	static const char *const names[] = { "/.venv/bin", "/venv/bin" };
	struct span python = { 0 };

	for (size_t i = 0; !python.ptr && i < ARRAY_LEN(names); i++)
		python = python_in(folder, names[i], arena, err);
	if (!python.ptr)
		python = images_python(arena, err);
	return python.ptr ? folder_of(python) : python;
}

static bool prefix(struct name_value *v, struct span first, struct arena *arena, struct error *err)
{
	if (span_starts(v->value, first))
		return true;
	v->value = v->value.len ? arena_print(arena, err, "%.*s:%.*s", SPAN_WHOLE(first), SPAN_WHOLE(v->value)) : first;
	return v->value.ptr != NULL;
}

/* The one of that name, or a new one with that value. */
static struct name_value *variable_ensure(struct image *image, struct name_value *list, struct span name,
					  struct span value)
{
	for (size_t i = 0; i < image->environment_count; i++)
		if (span_equal(list[i].name, name))
			return &list[i];
	list[image->environment_count] = (struct name_value){ name, value };
	return &list[image->environment_count++];
}

/* hythe's own commands and package are found whatever the Dockerfile says of paths. */
static bool environment_finish(struct image *image, const struct dockerfile *d, struct arena *arena, struct error *err)
{
	struct name_value *list = ARENA_ARRAY(arena, struct name_value, d->environment_count + VARIABLES_MORE, err);
	struct span bin = python_folder(image->folder, arena, err);
	struct name_value *path;

	if (!list)
		return false;
	if (d->environment_count)
		memcpy(list, d->environment, d->environment_count * sizeof(*list));
	image->environment = list;
	image->environment_count = d->environment_count;
	path = variable_ensure(image, list, SPAN("PATH"), SPAN(CONFINE_PATH));
	if (bin.len) {
		struct span python = arena_print(arena, err, "%.*s/python3", SPAN_WHOLE(bin));

		if (!python.ptr || !prefix(path, bin, arena, err))
			return false;
		(void)variable_ensure(image, list, SPAN("HYTHE_PYTHON"), python);
	}
	(void)variable_ensure(image, list, SPAN("HYTHE_PROGRAM"), SPAN(PROGRAM_PLACE));
	return prefix(path, SPAN(CONFINE_BIN), arena, err) &&
	       prefix(variable_ensure(image, list, SPAN("PYTHONPATH"), SPAN(PACKAGE_PLACE)), SPAN(PACKAGE_PLACE), arena,
		      err);
}

static bool folder_resolve(struct span folder, struct arena *arena, struct span *ret, struct error *err)
{
	AUTO_FREE char *text = span_to_text(folder), *real = realpath(text, NULL);
	struct stat st;

	if (!real || stat(real, &st) != 0 || !S_ISDIR(st.st_mode))
		return error_set(err, ERROR_NOT_FOUND, "there is no folder '" SPAN_FMT "'", SPAN_ARG(folder));
	*ret = arena_copy(arena, span_of(real), err);
	return ret->ptr != NULL;
}

/* Folders that the machine's programs are in, or that hold more than this one should take the place of. */
static bool is_whole_root(struct span place)
{
	return place.len <= 1;
}

bool images_read(struct span folder, struct arena *arena, struct image *ret, struct error *err)
{
	struct dockerfile d = { 0 };
	struct image image = { 0 };
	struct span text;

	if (!folder_resolve(folder, arena, &image.folder, err))
		return false;
	if (file_read(image.folder, "Dockerfile", DOCKERFILE_MOST, arena, &text, err) &&
	    !dockerfile_read(text, base, ARRAY_LEN(base), arena, &d, err))
		return error_wrap(err, SPAN_FMT "/Dockerfile", SPAN_ARG(image.folder));
	if (err->code == ERROR_NONE && file_read(image.folder, ".s2i/environment", S2I_FILE_MOST, arena, &text, err) &&
	    !dockerfile_environment_read(text, arena, &d, err))
		return error_wrap(err, SPAN_FMT "/.s2i/environment", SPAN_ARG(image.folder));
	if (err->code != ERROR_NONE)
		return false;
	image.place = d.place.len && !is_whole_root(d.place) ? d.place : d.working_directory;
	if (is_whole_root(image.place))
		image.place = SPAN(DEFAULT_PLACE);
	image.working_directory =
	    d.working_directory.len && !is_whole_root(d.working_directory) ? d.working_directory : image.place;
	image.entrypoint = d.entrypoint;
	image.command = d.command;
	image.not_done = d.not_done;
	if (!image.entrypoint.count && !image.command.count && variable(&d, SPAN("MODEL_NAME")).len)
		component_command(&image);
	if (!environment_finish(&image, &d, arena, err))
		return false;
	*ret = image;
	return true;
}

bool images_find(struct cluster *cluster, struct span reference, struct arena *arena, struct image *ret,
		 bool *ret_is_known, struct error *err)
{
	struct record *record = cluster_get(cluster, &resource_config_maps, SPAN(IMAGES_NAMESPACE), SPAN(IMAGES_NAME));
	const struct value *object, *lines;
	struct span folder;

	*ret_is_known = false;
	if (!record)
		return true;
	object = cluster_object(cluster, &resource_config_maps, record, arena, err);
	if (!object)
		return false;
	lines = value_get(value_get(object, SPAN("data")), SPAN(IMAGES_KEY));
	folder = value_is(lines, VALUE_STRING) ? images_match(lines->string, reference, arena) : (struct span){ 0 };
	if (!folder.ptr)
		return true;
	*ret_is_known = true;
	return images_read(folder, arena, ret, err) ||
	       error_wrap(err, "image \"" SPAN_FMT "\" (see `hythe image list`)", SPAN_ARG(reference));
}
