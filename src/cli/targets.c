/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/targets.h"

#include <ctype.h>
#include <sys/stat.h>
#include <unistd.h>

enum { FEATURES_FILE_MAX = MIB(64), FEATURES_MAX = MODEL_FEATURES_MAX };

static bool is_name_char(char c)
{
	return isalnum((unsigned char)c) || c == '.' || c == '_' || c == '-';
}

struct target target_split(const char *argument)
{
	struct span rest = { argument, strlen(argument) };
	struct span name = span_first(rest, span_index(rest, '='));

	if (name.len == 0 || name.len == rest.len || access(argument, F_OK) == 0)
		return (struct target){ .path = argument };
	for (size_t i = 0; i < name.len; i++) {
		if (!is_name_char(name.ptr[i]))
			return (struct target){ .path = argument };
	}
	return (struct target){ .name = name, .path = argument + name.len + 1 };
}

/* ---- kinds ---- */

/* A file that Python's pickle or joblib wrote, by its ending: the content of compressed ones does not tell. */
static bool is_pickle(const char *path)
{
	static const struct span endings[] = { SPAN_INIT(".joblib"), SPAN_INIT(".pkl"), SPAN_INIT(".pickle") };

	for (size_t i = 0; i < ARRAY_LEN(endings); i++) {
		if (span_ends(span_of(path), endings[i]))
			return true;
	}
	return false;
}

/* What is left of a folder once the model in it was looked for: code. */
static bool is_folder(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

/* "app.py", "module:attribute", "package.module:Class", "model.joblib". */
static bool is_python(const char *path)
{
	struct span text = span_of(path);
	size_t colon = span_index(text, ':');

	if (span_ends(text, SPAN(".py")) || is_pickle(path) || is_folder(path))
		return true;
	if (colon == 0 || colon + 1 >= text.len || span_starts(text, SPAN("builtin:")) || access(path, F_OK) == 0)
		return false;
	for (size_t i = 0; i < text.len; i++) {
		char c = text.ptr[i];

		if (i != colon && !isalnum((unsigned char)c) && c != '_' && c != '.')
			return false;
	}
	return true;
}

static struct model *python_load(const char *path, const struct model_options *options, struct error *err)
{
	(void)options;
	error_set(err, ERROR_UNIMPLEMENTED, "'%s' is Python: `hythe serve` runs it, this command takes model files%s",
		  path, is_pickle(path) ? " (`hythe convert` makes one of it)" : "");
	return NULL;
}

static bool is_any(const char *path)
{
	(void)path;
	return true;
}

static const struct {
	bool (*matches)(const char *path);
	bool is_code; /* for serve_code.c */
	struct model *(*load)(const char *path, const struct model_options *options, struct error *err);
} kinds[] = {
	{ is_python, true, python_load },
	{ is_any, false, model_load }, /* a model file; last, it takes what no other took */
};

static size_t kind_of(const char *path)
{
	size_t i = 0;

	while (!kinds[i].matches(path))
		i++;
	return i;
}

bool target_is_code(const char *argument)
{
	return kinds[kind_of(target_split(argument).path)].is_code;
}

/* Puts the path in front of an error that does not tell it. Always false. */
static bool name_path(const char *path, struct error *err)
{
	return strstr(err->message, path) ? false : error_wrap(err, "'%s'", path);
}

bool target_serve(struct inference *inf, const char *argument, const char *name, struct arena *arena, struct error *err)
{
	struct target t = target_split(argument);

	if (t.name.len > 0) {
		if (name)
			return error_set(err, ERROR_INVALID, "'%s' has two names: its own and --name %s", argument,
					 name);
		t.name = arena_copy(arena, t.name, err);
		if (!t.name.ptr)
			return false;
		name = t.name.ptr;
	}
	return inference_add(inf, name ? name : "", t.path, err) || name_path(t.path, err);
}

struct model *target_load(const char *argument, const struct model_options *options, struct error *err)
{
	const char *path = target_split(argument).path;
	struct model *model = kinds[kind_of(path)].load(path, options, err);

	if (!model)
		(void)name_path(path, err);
	return model;
}

struct model_options model_options_of(const struct model_flags *flags)
{
	return (struct model_options){ .onnxruntime = flags->onnxruntime, .all_rounds = flags->all_rounds };
}

/* ---- features ---- */

static bool name_append(struct text_list *list, size_t *cap, struct span name, struct arena *arena, struct error *err)
{
	if (list->count >= FEATURES_MAX)
		return error_set(err, ERROR_TOO_LARGE, "more than %d column names", (int)FEATURES_MAX);
	if (list->count == *cap) {
		const char **items = ARENA_ARRAY(arena, const char *, *cap * 2 + 16, err);

		if (!items)
			return false;
		if (list->count)
			memcpy(items, list->items, list->count * sizeof(*items));
		list->items = items;
		*cap = *cap * 2 + 16;
	}
	name = arena_copy(arena, name, err);
	list->items[list->count] = name.ptr;
	list->count += name.ptr != NULL;
	return name.ptr != NULL;
}

static bool names_from_file(struct text_list *list, size_t *cap, const char *path, struct arena *arena,
			    struct error *err)
{
	struct buffer text;
	struct span rest;
	bool ok;

	buffer_init(&text, FEATURES_FILE_MAX);
	ok = buffer_read_file(&text, path, err);
	rest = buffer_span(&text);
	while (ok && rest.len > 0) {
		struct span line = span_trim(span_cut(&rest, '\n'));

		ok = line.len == 0 || name_append(list, cap, line, arena, err);
	}
	buffer_done(&text);
	return ok;
}

bool features_read(const struct model_flags *flags, struct arena *arena, struct text_list *ret, struct error *err)
{
	struct text_list list = { 0 };
	size_t cap = 0;

	for (size_t i = 0; i < flags->features.count; i++) {
		const char *item = flags->features.items[i];
		bool ok = item[0] == '@' ? names_from_file(&list, &cap, item + 1, arena, err)
					 : name_append(&list, &cap, span_of(item), arena, err);

		if (!ok)
			return error_wrap(err, "--features");
	}
	*ret = list;
	return true;
}
