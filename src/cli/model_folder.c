/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/model_folder.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "wire/json.h"
#include "wire/value.h"

#define MLFLOW_CLASS  "hythe.servers.mlflow:Model"
#define XGBOOST_CLASS "hythe.servers.xgboost:Model"

/* In the order in which they are looked for: what is read natively first. */
static const char *const names[] = { "model.onnx", "model.ubj",    "model.json", "model.txt",   "model.safetensors",
				     "model.bst",  "model.joblib", "model.pkl",  "model.pickle" };
static const char *const endings[] = { ".onnx", ".ubj", ".bst", ".safetensors", ".joblib", ".pkl", ".pickle" };

static const char *path_in(const char *folder, const char *name, struct arena *arena, struct error *err)
{
	size_t len = strlen(folder);

	return arena_print(arena, err, "%s%s%s", folder, len && folder[len - 1] == '/' ? "" : "/", name).ptr;
}

static bool is_there(const char *folder, const char *name, struct arena *arena, struct error *err)
{
	const char *path = path_in(folder, name, arena, err);

	return path && access(path, F_OK) == 0;
}

/* XGBoost's own binary form of older versions; the newer ones, JSON and UBJ, begin with a brace. */
static bool is_old_booster(const char *path)
{
	FILE *file = span_ends(span_of(path), SPAN(".bst")) ? fopen(path, "re") : NULL;
	int first = file ? getc(file) : '{';

	if (file)
		fclose(file);
	return first != '{';
}

static bool file_take(const char *folder, const char *name, struct arena *arena, struct model_folder *ret,
		      struct error *err)
{
	const char *path = path_in(folder, name, arena, err);

	if (!path)
		return false;
	*ret =
	    is_old_booster(path) ? (struct model_folder){ XGBOOST_CLASS, true } : (struct model_folder){ path, false };
	return true;
}

struct look {
	const char *model; /* the only file with a known ending */
	size_t models;
	bool has_code;
};

static bool folder_look(const char *folder, struct arena *arena, struct look *ret, struct error *err)
{
	DIR *d = opendir(folder);

	if (!d)
		return error_errno(err, errno, "cannot read the folder '%s'", folder);
	for (struct dirent *e = readdir(d); e; e = readdir(d)) {
		struct span name = span_of(e->d_name);

		ret->has_code |= span_ends(name, SPAN(".py"));
		for (size_t i = 0; i < ARRAY_LEN(endings); i++) {
			if (name.ptr[0] == '.' || !span_ends(name, span_of(endings[i])))
				continue;
			ret->models++;
			ret->model = arena_copy(arena, name, err).ptr;
		}
	}
	closedir(d);
	return err->code == ERROR_NONE;
}

bool model_folder_read(const char *folder, struct arena *arena, struct model_folder *ret, struct error *err)
{
	struct look look = { 0 };

	if (is_there(folder, "MLmodel", arena, err)) {
		*ret = (struct model_folder){ MLFLOW_CLASS, true };
		return true;
	}
	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		if (is_there(folder, names[i], arena, err))
			return file_take(folder, names[i], arena, ret, err);
	if (err->code || !folder_look(folder, arena, &look, err))
		return false;
	if (look.models == 1)
		return look.model && file_take(folder, look.model, arena, ret, err);
	if (look.models > 1)
		return error_set(err, ERROR_INVALID,
				 "folder '%s' holds %zu models: name one, or call it model with its ending", folder,
				 look.models);
	if (!look.has_code)
		return error_set(err, ERROR_NOT_FOUND,
				 "folder '%s' holds no model: looked for MLmodel, model.onnx, .ubj, .json, .txt, "
				 ".safetensors, .bst, "
				 ".joblib, .pkl, and Python code",
				 folder);
	*ret = (struct model_folder){ folder, false };
	return true;
}

static void put_uri(struct json_writer *w, const char *folder, bool is_list)
{
	if (!is_list) {
		json_key(w, SPAN("model_uri"));
		json_string(w, span_of(folder));
		return;
	}
	json_open_object(w);
	json_key(w, SPAN("name"));
	json_string(w, SPAN("model_uri"));
	json_key(w, SPAN("type"));
	json_string(w, SPAN("STRING"));
	json_key(w, SPAN("value"));
	json_string(w, span_of(folder));
	json_close_object(w);
}

static bool has_uri(const struct value *v)
{
	if (value_get(v, SPAN("model_uri")))
		return true;
	for (uint32_t i = 0; i < value_count(v); i++)
		if (span_equal(value_find_string(value_item(v, i), "name"), SPAN("model_uri")))
			return true;
	return false;
}

const char *model_folder_parameters(const char *parameters, const char *folder, struct arena *arena, struct error *err)
{
	struct span text = span_trim(span_of(parameters && *parameters ? parameters : "[]")), copy = { 0 };
	struct buffer out;
	struct json_writer w = json_writer(&out);
	struct value v;
	bool is_list;

	if (!value_parse(text, NULL, arena, &v, err)) {
		error_wrap(err, "--parameters");
		return NULL;
	}
	is_list = value_is(&v, VALUE_ARRAY);
	if ((!is_list && !value_is(&v, VALUE_OBJECT)) || has_uri(&v))
		return arena_copy(arena, text, err).ptr; /* what is neither is told by who reads it */
	buffer_init(&out, MIB(1));
	buffer_byte(&out, is_list ? '[' : '{');
	put_uri(&w, folder, is_list);
	if (!value_is_empty(&v))
		buffer_byte(&out, ',');
	buffer_append(&out, span_skip(text, 1));
	if (buffer_ok(&out, "--parameters", err))
		copy = arena_copy(arena, buffer_span(&out), err);
	buffer_done(&out);
	return copy.ptr;
}
