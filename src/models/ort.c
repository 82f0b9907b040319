/* SPDX-License-Identifier: Apache-2.0 */
/* ONNX Runtime through the slots of its table of functions. */
#include "models/ort.h"

#include <dlfcn.h>
#include <glob.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { API_VERSION = 11 };

/* Positions in the table: those of version 11 and, since it only grows, of all later ones. */
enum slot {
	SLOT_GET_ERROR_CODE = 1,
	SLOT_GET_ERROR_MESSAGE = 2,
	SLOT_CREATE_ENV = 3,
	SLOT_CREATE_SESSION_FROM_ARRAY = 8,
	SLOT_RUN = 9,
	SLOT_CREATE_SESSION_OPTIONS = 10,
	SLOT_SET_INTRA_OP_THREADS = 24,
	SLOT_SET_INTER_OP_THREADS = 25,
	SLOT_INPUT_COUNT = 30,
	SLOT_OUTPUT_COUNT = 31,
	SLOT_INPUT_TYPE = 33,
	SLOT_OUTPUT_TYPE = 34,
	SLOT_INPUT_NAME = 36,
	SLOT_OUTPUT_NAME = 37,
	SLOT_CREATE_TENSOR = 48,
	SLOT_CREATE_TENSOR_WITH_DATA = 49,
	SLOT_TENSOR_DATA = 51,
	SLOT_FILL_STRINGS = 52,
	SLOT_STRINGS_LENGTH = 53,
	SLOT_STRINGS_CONTENT = 54,
	SLOT_CAST_TO_TENSOR_INFO = 55,
	SLOT_ONNX_TYPE = 56,
	SLOT_ELEMENT_TYPE = 60,
	SLOT_DIMENSION_COUNT = 61,
	SLOT_DIMENSIONS = 62,
	SLOT_TENSOR_TYPE_AND_SHAPE = 65,
	SLOT_VALUE_TYPE = 67,
	SLOT_CREATE_MEMORY_INFO = 69,
	SLOT_ALLOCATOR_FREE = 76,
	SLOT_DEFAULT_ALLOCATOR = 78,
	SLOT_GET_VALUE = 80,
	SLOT_GET_VALUE_COUNT = 81,
	SLOT_RELEASE_ENV = 92,
	SLOT_RELEASE_STATUS = 93,
	SLOT_RELEASE_MEMORY_INFO = 94,
	SLOT_RELEASE_SESSION = 95,
	SLOT_RELEASE_VALUE = 96,
	SLOT_RELEASE_TYPE_INFO = 98,
	SLOT_RELEASE_TENSOR_INFO = 99,
	SLOT_RELEASE_SESSION_OPTIONS = 100,
};

enum { ORT_TENSOR = 1, ORT_SEQUENCE = 2, ORT_MAP = 3 };

typedef void *handle;
typedef void function(void);

/* A call of a slot that gives a status, with the types of its arguments. */
#define CALL(library, slot, types, ...) (((handle(*) types)(library)->table[slot])(__VA_ARGS__))
#define RELEASE(library, slot, what)    (((void (*)(handle))(library)->table[slot])(what))

struct library {
	function **table;
	handle env, memory, allocator;
};

struct ort_session {
	const struct library *library;
	handle session;
	char **input_names, **output_names;
	size_t input_count, output_count;
};

/* ---- the library ---- */

/* Guards the two below: models may be loaded by several threads. Taken alone, at load only. */
static pthread_mutex_t library_lock = PTHREAD_MUTEX_INITIALIZER;
static struct library library;
static bool library_is_open;

/* A status as an error; true when there is none. */
static bool check(const struct library *l, handle status, const char *what, struct error *err)
{
	const char *message;

	if (!status)
		return true;
	message = ((const char *(*)(handle))l->table[SLOT_GET_ERROR_MESSAGE])(status);
	error_set(err, ERROR_INVALID, "ONNX Runtime: %s: %s", what, message ? message : "no reason given");
	RELEASE(l, SLOT_RELEASE_STATUS, status);
	return false;
}

static void *open_pattern(const char *pattern)
{
	void *found = NULL;
	glob_t paths;

	if (glob(pattern, 0, NULL, &paths) == 0)
		for (size_t i = 0; i < paths.gl_pathc && !found; i++)
			found = dlopen(paths.gl_pathv[i], RTLD_NOW | RTLD_LOCAL);
	globfree(&paths);
	return found;
}

/* Beside the program, in the system's folders, in the Python environment that is active. */
static void *open_usual(void)
{
	static const char *const folders[] = { "/usr/lib", "/usr/lib64", "/usr/lib/*-linux-gnu", "/usr/local/lib" };
	char self[2048], pattern[4096];
	const char *environment = getenv("VIRTUAL_ENV");
	ssize_t len = readlink("/proc/self/exe", self, sizeof(self) - 1);
	void *found = NULL;

	if (len > 0) {
		self[len] = 0;
		*strrchr(self, '/') = 0;
		snprintf(pattern, sizeof(pattern), "%s/libonnxruntime.so*", self);
		found = open_pattern(pattern);
	}
	for (size_t i = 0; i < ARRAY_LEN(folders) && !found; i++) {
		snprintf(pattern, sizeof(pattern), "%s/libonnxruntime.so*", folders[i]);
		found = open_pattern(pattern);
	}
	if (!found && environment && strlen(environment) < sizeof(self)) {
		snprintf(pattern, sizeof(pattern), "%s/lib/python3*/site-packages/onnxruntime/capi/libonnxruntime.so*",
			 environment);
		found = open_pattern(pattern);
	}
	return found;
}

static bool open_shared(const char *path, void **ret, struct error *err)
{
	const char *wanted = path && *path ? path : getenv("HYTHE_ONNXRUNTIME");

	if (wanted && *wanted) {
		*ret = dlopen(wanted, RTLD_NOW | RTLD_LOCAL);
		return *ret || error_set(err, ERROR_NOT_FOUND, "ONNX Runtime cannot be opened: %s", dlerror());
	}
	*ret = open_usual();
	return *ret || error_set(err, ERROR_NOT_FOUND, "ONNX Runtime is not there");
}

static bool library_setup(struct library *l, void *shared, struct error *err)
{
	struct base {
		function **(*get_api)(uint32_t);
		const char *(*get_version)(void);
	};
	const struct base *(*get_base)(void);

	*(void **)&get_base = dlsym(shared, "OrtGetApiBase");
	if (!get_base)
		return error_set(err, ERROR_INVALID, "the library is not ONNX Runtime: OrtGetApiBase is missing");
	l->table = get_base()->get_api(API_VERSION);
	if (!l->table)
		return error_set(err, ERROR_INVALID, "ONNX Runtime %s is older than 1.11", get_base()->get_version());
	return check(l, CALL(l, SLOT_CREATE_ENV, (int, const char *, handle *), 3 /* errors */, "hythe", &l->env),
		     "start", err) &&
	       check(l, CALL(l, SLOT_CREATE_MEMORY_INFO, (int, int, handle *), 0, 0, &l->memory), "memory", err) &&
	       check(l, CALL(l, SLOT_DEFAULT_ALLOCATOR, (handle *), &l->allocator), "allocator", err);
}

static const struct library *library_get(const char *path, struct error *err)
{
	void *shared;
	bool ok;

	pthread_mutex_lock(&library_lock);
	if (!library_is_open && open_shared(path, &shared, err))
		library_is_open = library_setup(&library, shared, err);
	ok = library_is_open;
	pthread_mutex_unlock(&library_lock);
	return ok ? &library : NULL;
}

/* ---- a session ---- */

static bool session_create(struct ort_session *s, struct span model, struct error *err)
{
	const struct library *l = s->library;
	handle options = NULL;
	bool ok;

	/* One thread: hythe has a worker for each core already. */
	ok = check(l, CALL(l, SLOT_CREATE_SESSION_OPTIONS, (handle *), &options), "options", err) &&
	     check(l, CALL(l, SLOT_SET_INTRA_OP_THREADS, (handle, int), options, 1), "options", err) &&
	     check(l, CALL(l, SLOT_SET_INTER_OP_THREADS, (handle, int), options, 1), "options", err) &&
	     check(l,
		   CALL(l, SLOT_CREATE_SESSION_FROM_ARRAY, (handle, const void *, size_t, handle, handle *), l->env,
			model.ptr, model.len, options, &s->session),
		   "load", err);
	if (options)
		RELEASE(l, SLOT_RELEASE_SESSION_OPTIONS, options);
	return ok;
}

static bool names_get(struct ort_session *s, enum slot count_slot, enum slot name_slot, char ***ret, size_t *ret_count,
		      struct error *err)
{
	const struct library *l = s->library;
	size_t count;

	if (!check(l, CALL(l, count_slot, (handle, size_t *), s->session, &count), "count", err))
		return false;
	*ret = base_calloc(count + 1, sizeof(char *));
	for (*ret_count = 0; *ret_count < count; ++*ret_count)
		if (!check(l,
			   CALL(l, name_slot, (handle, size_t, handle, char **), s->session, *ret_count, l->allocator,
				&(*ret)[*ret_count]),
			   "name", err))
			return false;
	return true;
}

static void names_free(const struct ort_session *s, char **names, size_t count)
{
	for (size_t i = 0; i < count; i++)
		(void)CALL(s->library, SLOT_ALLOCATOR_FREE, (handle, void *), s->library->allocator, names[i]);
	free(names);
}

struct ort_session *ort_open(struct span model, const char *path, struct error *err)
{
	const struct library *l = library_get(path, err);
	struct ort_session *s;

	if (!l)
		return NULL;
	s = base_calloc(1, sizeof(*s));
	s->library = l;
	if (session_create(s, model, err) &&
	    names_get(s, SLOT_INPUT_COUNT, SLOT_INPUT_NAME, &s->input_names, &s->input_count, err) &&
	    names_get(s, SLOT_OUTPUT_COUNT, SLOT_OUTPUT_NAME, &s->output_names, &s->output_count, err))
		return s;
	ort_close(s);
	return NULL;
}

void ort_close(struct ort_session *s)
{
	if (!s)
		return;
	names_free(s, s->input_names, s->input_count);
	names_free(s, s->output_names, s->output_count);
	if (s->session)
		RELEASE(s->library, SLOT_RELEASE_SESSION, s->session);
	free(s);
}

/* ---- describing ---- */

static bool dtype_of(int number, enum dtype *ret, struct error *err)
{
	return (number >= 0 && dtype_from_onnx((uint64_t)number, ret)) ||
	       error_set(err, ERROR_UNIMPLEMENTED, "element type %d of ONNX Runtime is not supported", number);
}

static int number_of(enum dtype type)
{
	static const int numbers[] = {
#define DTYPE_ROW(name, bytes, onnx, ctype) [DTYPE_##name] = onnx,
#include "models/dtypes.def"
#undef DTYPE_ROW
	};

	return numbers[type];
}

static bool shape_of(const struct library *l, handle info, enum dtype *ret_type, int *ret_rank, int64_t *shape,
		     struct error *err)
{
	size_t rank;
	int type;

	if (!check(l, CALL(l, SLOT_ELEMENT_TYPE, (handle, int *), info, &type), "type", err) ||
	    !check(l, CALL(l, SLOT_DIMENSION_COUNT, (handle, size_t *), info, &rank), "rank", err) ||
	    !dtype_of(type, ret_type, err))
		return false;
	if (rank > TENSOR_RANK_MAX)
		return error_set(err, ERROR_TOO_LARGE, "%zu dimensions are more than %d", rank, TENSOR_RANK_MAX);
	*ret_rank = (int)rank;
	return check(l, CALL(l, SLOT_DIMENSIONS, (handle, int64_t *, size_t), info, shape, rank), "shape", err);
}

static bool spec_of(const struct library *l, handle type, struct tensor_spec *spec, struct error *err)
{
	handle info;
	int kind;

	if (!check(l, CALL(l, SLOT_ONNX_TYPE, (handle, int *), type, &kind), "type", err))
		return false;
	if (kind != ORT_TENSOR) { /* a sequence of maps: shown as its scores */
		spec->dtype = DTYPE_FP32;
		spec->rank = 2;
		spec->shape[0] = spec->shape[1] = -1;
		return true;
	}
	if (!check(l, CALL(l, SLOT_CAST_TO_TENSOR_INFO, (handle, handle *), type, &info), "type", err) ||
	    !shape_of(l, info, &spec->dtype, &spec->rank, spec->shape, err))
		return false;
	for (int d = 0; d < spec->rank; d++)
		spec->shape[d] = spec->shape[d] < 0 ? -1 : spec->shape[d];
	return true;
}

static bool specs_get(struct ort_session *s, enum slot slot, char **names, size_t count, struct tensor_spec **ret,
		      struct arena *arena, struct error *err)
{
	struct tensor_spec *specs = arena_calloc(arena, count, sizeof(*specs), err);

	for (size_t i = 0; specs && i < count; i++) {
		handle type;
		bool ok;

		specs[i].name = arena_copy(arena, span_of(names[i]), err);
		if (!specs[i].name.ptr ||
		    !check(s->library, CALL(s->library, slot, (handle, size_t, handle *), s->session, i, &type), "type",
			   err))
			return false;
		ok = spec_of(s->library, type, &specs[i], err);
		RELEASE(s->library, SLOT_RELEASE_TYPE_INFO, type);
		if (!ok)
			return error_wrap(err, "'%s'", names[i]);
	}
	*ret = specs;
	return specs != NULL;
}

bool ort_describe(struct ort_session *s, struct model_info *info, struct arena *arena, struct error *err)
{
	if (s->output_count > 64)
		return error_set(err, ERROR_TOO_LARGE, "%zu outputs are more than 64", s->output_count);
	info->input_count = s->input_count;
	info->output_count = s->output_count;
	return specs_get(s, SLOT_INPUT_TYPE, s->input_names, s->input_count, &info->inputs, arena, err) &&
	       specs_get(s, SLOT_OUTPUT_TYPE, s->output_names, s->output_count, &info->outputs, arena, err);
}

/* ---- running ---- */

static bool put_strings(const struct library *l, const struct tensor *t, handle *ret, struct arena *arena,
			struct error *err)
{
	const char **texts = ARENA_ARRAY(arena, const char *, t->count, err);

	if (!texts)
		return false;
	for (size_t i = 0; i < t->count; i++) {
		struct span text = arena_copy(arena, ((const struct span *)t->data)[i], err);

		texts[i] = text.ptr;
		if (!text.ptr)
			return false;
	}
	return check(l,
		     CALL(l, SLOT_CREATE_TENSOR, (handle, const int64_t *, size_t, int, handle *), l->allocator,
			  t->shape, (size_t)t->rank, number_of(t->dtype), ret),
		     "input", err) &&
	       check(l, CALL(l, SLOT_FILL_STRINGS, (handle, const char *const *, size_t), *ret, texts, t->count),
		     "input", err);
}

static bool put_input(const struct library *l, const struct tensor *t, handle *ret, struct arena *arena,
		      struct error *err)
{
	if (t->dtype == DTYPE_BYTES)
		return put_strings(l, t, ret, arena, err);
	return check(l,
		     CALL(l, SLOT_CREATE_TENSOR_WITH_DATA,
			  (handle, void *, size_t, const int64_t *, size_t, int, handle *), l->memory, t->data,
			  t->count * dtype_size(t->dtype), t->shape, (size_t)t->rank, number_of(t->dtype), ret),
		     "input", err);
}

static bool take_strings(const struct library *l, handle value, struct tensor *t, struct arena *arena,
			 struct error *err)
{
	size_t total, *offsets = ARENA_ARRAY(arena, size_t, t->count + 1, err);
	struct span *to = t->data;
	char *text;

	if (!offsets || !check(l, CALL(l, SLOT_STRINGS_LENGTH, (handle, size_t *), value, &total), "output", err))
		return false;
	text = arena_alloc(arena, total, err);
	if (!text || !check(l,
			    CALL(l, SLOT_STRINGS_CONTENT, (handle, void *, size_t, size_t *, size_t), value, text,
				 total, offsets, t->count),
			    "output", err))
		return false;
	offsets[t->count] = total;
	for (size_t i = 0; i < t->count; i++)
		to[i] = span_from(text + offsets[i], offsets[i + 1] - offsets[i]);
	return true;
}

static bool take_tensor(const struct library *l, handle value, struct tensor *ret, struct arena *arena,
			struct error *err)
{
	int64_t shape[TENSOR_RANK_MAX];
	enum dtype type;
	handle info;
	void *data;
	int rank;
	bool ok;

	if (!check(l, CALL(l, SLOT_TENSOR_TYPE_AND_SHAPE, (handle, handle *), value, &info), "output", err))
		return false;
	ok = shape_of(l, info, &type, &rank, shape, err);
	RELEASE(l, SLOT_RELEASE_TENSOR_INFO, info);
	if (!ok || !tensor_new(ret, SPAN(""), type, rank, shape, arena, err))
		return false;
	if (type == DTYPE_BYTES)
		return take_strings(l, value, ret, arena, err);
	if (!check(l, CALL(l, SLOT_TENSOR_DATA, (handle, void **), value, &data), "output", err))
		return false;
	memcpy(ret->data, data, ret->count * dtype_size(type));
	return true;
}

/* Value 1 of a map (its scores) as floats, at row `row` of the result; the first row says how many columns there are.
 */
static bool take_map(const struct library *l, handle map, size_t row, size_t rows, struct tensor *ret,
		     struct arena *arena, struct error *err)
{
	struct tensor scores, floats;
	handle values = NULL;
	bool ok = check(l, CALL(l, SLOT_GET_VALUE, (handle, int, handle, handle *), map, 1, l->allocator, &values),
			"output", err) &&
		  take_tensor(l, values, &scores, arena, err) &&
		  tensor_convert(&scores, DTYPE_FP32, arena, &floats, err);

	if (values)
		RELEASE(l, SLOT_RELEASE_VALUE, values);
	if (!ok)
		return false;
	if (row == 0 &&
	    !tensor_new(ret, SPAN(""), DTYPE_FP32, 2, (int64_t[]){ (int64_t)rows, (int64_t)floats.count }, arena, err))
		return false;
	if ((int64_t)floats.count != ret->shape[1])
		return error_set(err, ERROR_UNIMPLEMENTED, "maps of different sizes in one answer");
	memcpy((float *)ret->data + row * floats.count, floats.data, floats.count * sizeof(float));
	return true;
}

static bool take_output(const struct library *l, handle value, struct tensor *ret, struct arena *arena,
			struct error *err)
{
	size_t rows;
	int kind;

	if (!check(l, CALL(l, SLOT_VALUE_TYPE, (handle, int *), value, &kind), "output", err))
		return false;
	if (kind == ORT_TENSOR)
		return take_tensor(l, value, ret, arena, err);
	if (kind != ORT_SEQUENCE)
		return error_set(err, ERROR_UNIMPLEMENTED, "an output that is neither a tensor nor a sequence of maps");
	if (!check(l, CALL(l, SLOT_GET_VALUE_COUNT, (handle, size_t *), value, &rows), "output", err))
		return false;
	if (rows == 0)
		return tensor_new(ret, SPAN(""), DTYPE_FP32, 2, (int64_t[]){ 0, 0 }, arena, err);
	for (size_t i = 0; i < rows; i++) {
		handle map = NULL;
		bool ok =
		    check(l,
			  CALL(l, SLOT_GET_VALUE, (handle, int, handle, handle *), value, (int)i, l->allocator, &map),
			  "output", err) &&
		    check(l, CALL(l, SLOT_VALUE_TYPE, (handle, int *), map, &kind), "output", err);

		if (ok && kind != ORT_MAP)
			ok = error_set(err, ERROR_UNIMPLEMENTED,
				       "an output that is a sequence of other things than maps");
		ok = ok && take_map(l, map, i, rows, ret, arena, err);
		if (map)
			RELEASE(l, SLOT_RELEASE_VALUE, map);
		if (!ok)
			return false;
	}
	return true;
}

bool ort_run(const struct ort_session *s, const struct model_info *info, const struct tensor *inputs, uint64_t wanted,
	     struct tensor *results, struct arena *arena, struct error *err)
{
	const struct library *l = s->library;
	handle *in = arena_calloc(arena, s->input_count, sizeof(handle), err);
	handle *out = arena_calloc(arena, s->output_count, sizeof(handle), err);
	size_t *which = ARENA_ARRAY(arena, size_t, s->output_count, err), count = 0;
	const char **names = ARENA_ARRAY(arena, const char *, s->output_count, err);
	bool ok = in && out && which && names;

	for (size_t i = 0; ok && i < s->output_count; i++)
		if (wanted >> i & 1) {
			which[count] = i;
			names[count++] = s->output_names[i];
		}
	for (size_t i = 0; ok && i < s->input_count; i++)
		ok = put_input(l, &inputs[i], &in[i], arena, err);
	ok = ok && check(l,
			 CALL(l, SLOT_RUN,
			      (handle, handle, char *const *, handle *, size_t, const char *const *, size_t, handle *),
			      s->session, NULL, s->input_names, in, s->input_count, names, count, out),
			 "run", err);
	for (size_t i = 0; ok && i < count; i++) {
		ok = take_output(l, out[i], &results[which[i]], arena, err);
		if (ok)
			results[which[i]].name = info->outputs[which[i]].name;
	}
	for (size_t i = 0; in && i < s->input_count; i++)
		if (in[i])
			RELEASE(l, SLOT_RELEASE_VALUE, in[i]);
	for (size_t i = 0; out && i < count; i++)
		if (out[i])
			RELEASE(l, SLOT_RELEASE_VALUE, out[i]);
	return ok;
}
