/* SPDX-License-Identifier: Apache-2.0 */
/* reply - what user code returned, as a payload: the rules of Seldon's Python wrapper. */
#include "python.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { COPY_MAX = 64 * 1024 }; /* bytes from which a reply's memory is kept alive and not copied */

/* A reply while it is made. Everything Python that the payload points at is in `held`. */
struct reply {
	struct hythe_payload payload;
	PyObject *held; /* a list */
	Py_buffer view; /* of the array, when has_view */
	int has_view;
	struct hythe_bytes *names, *strings;
};

static void reply_done(struct reply *r)
{
	if (r->has_view)
		PyBuffer_Release(&r->view);
	Py_XDECREF(r->held);
	free(r->names);
	free(r->strings);
}

/* The library has encoded the answer. */
static void release(void *held)
{
	struct reply *r = held;

	python_enter();
	reply_done(r);
	python_leave();
	free(r);
}

static void reply_send(hythe_call *c, struct reply *r)
{
	struct reply *kept = NULL;

	if (r->payload.array.size + r->payload.bytes.size + r->payload.nested.size >= COPY_MAX)
		kept = malloc(sizeof(*kept));
	if (!kept) {
		hythe_reply(c, &r->payload, NULL, NULL);
		reply_done(r);
		return;
	}
	*kept = *r;
	/* The library may let go of it at once, on this thread, and that takes the lock. */
	Py_BEGIN_ALLOW_THREADS;
	hythe_reply(c, &kept->payload, release, kept);
	Py_END_ALLOW_THREADS;
}

/* ---- pieces ---- */

/* Keeps `object`, which is taken, until the reply is sent, and gives its bytes. -1 when it is NULL. */
static int hold_bytes(struct reply *r, PyObject *object, struct hythe_bytes *ret)
{
	AUTO_REF *bytes = object;
	char *data;
	Py_ssize_t size;

	if (!bytes || PyBytes_AsStringAndSize(bytes, &data, &size) < 0 || PyList_Append(r->held, bytes) < 0)
		return -1;
	*ret = (struct hythe_bytes){ data, (size_t)size };
	return 0;
}

static PyObject *utf8(PyObject *text)
{
	return PyUnicode_AsEncodedString(text, "utf-8", "surrogateescape");
}

static int is_data(int kind)
{
	return kind == HYTHE_TENSOR || kind == HYTHE_NDARRAY || kind == HYTHE_TFTENSOR;
}

/* ---- names ---- */

static int names_room(struct reply *r, size_t count)
{
	r->names = calloc(count + 1, sizeof(*r->names));
	if (!r->names) {
		PyErr_NoMemory();
		return -1;
	}
	r->payload.names = r->names;
	r->payload.name_count = count;
	return 0;
}

/* The text of a str is its own UTF-8, which lives as long as it: the list is held. */
static int name_set(struct reply *r, PyObject *name, struct hythe_bytes *ret)
{
	AUTO_REF *text = NULL;
	Py_ssize_t size;

	if (PyUnicode_Check(name) && (ret->data = PyUnicode_AsUTF8AndSize(name, &size))) {
		ret->size = (size_t)size;
		return 0;
	}
	PyErr_Clear();
	text = PyObject_Str(name);
	return text ? hold_bytes(r, utf8(text), ret) : -1;
}

static int names_set(struct reply *r, PyObject *names)
{
	AUTO_REF *list = PySequence_Tuple(names);
	Py_ssize_t count = list ? PyTuple_Size(list) : -1;

	if (count < 0 || names_room(r, (size_t)count) < 0 || PyList_Append(r->held, list) < 0)
		return -1;
	for (Py_ssize_t i = 0; i < count; i++) {
		if (name_set(r, PyTuple_GetItem(list, i), &r->names[i]) < 0)
			return -1;
	}
	return 0;
}

/* t:0, t:1 ... */
static int names_count(struct reply *r, int64_t columns)
{
	enum { NAME_MAX_BYTES = 24 }; /* "t:", a number of 64 bits, NUL */
	PyObject *bytes;
	char *text;

	if (columns <= 0)
		return 0;
	if (columns > PY_SSIZE_T_MAX / NAME_MAX_BYTES || names_room(r, (size_t)columns) < 0)
		return -1;
	bytes = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)columns * NAME_MAX_BYTES);
	if (!bytes || PyList_Append(r->held, bytes) < 0) {
		Py_XDECREF(bytes);
		return -1;
	}
	text = PyBytes_AsString(bytes);
	Py_DECREF(bytes); /* held */
	for (int64_t i = 0; i < columns; i++) {
		r->names[i].data = text;
		r->names[i].size = (size_t)snprintf(text, NAME_MAX_BYTES, "t:%lld", (long long)i);
		text += NAME_MAX_BYTES;
	}
	return 0;
}

/* The second dimension of a list of lists; 0 when it is none. */
static int64_t list_columns(PyObject *list)
{
	PyObject *first = PyList_Size(list) > 0 ? PyList_GetItem(list, 0) : NULL;
	Py_ssize_t count =
	    first && (PyList_Check(first) || PyTuple_Check(first) || is_array(first)) ? PyObject_Size(first) : 0;

	PyErr_Clear();
	return count > 0 ? count : 0;
}

static int64_t array_columns(PyObject *array)
{
	AUTO_REF *shape = PyObject_GetAttrString(array, "shape");
	int64_t columns = 0;

	if (shape && PyTuple_Check(shape) && PyTuple_Size(shape) >= 2)
		columns = PyLong_AsLongLong(PyTuple_GetItem(shape, 1));
	PyErr_Clear();
	return columns;
}

/* ---- arrays and lists ---- */

/* Elements that are no numbers, for protocols that know texts: their str(). */
static int strings_set(struct reply *r, PyObject *array)
{
	AUTO_REF *flat = PyObject_CallMethod(array, "ravel", NULL);
	AUTO_REF *list = flat ? PyObject_CallMethod(flat, "tolist", NULL) : NULL;
	AUTO_REF *shape = PyObject_GetAttrString(array, "shape");
	struct hythe_array *a = &r->payload.array;
	Py_ssize_t count = list ? PyList_Size(list) : -1;

	if (count < 0 || !shape)
		return -1;
	r->strings = calloc((size_t)count + 1, sizeof(*r->strings));
	if (!r->strings || PyTuple_Size(shape) > HYTHE_RANK_MAX) {
		PyErr_SetString(python.bad_reply, "an array of texts that is too large");
		return -1;
	}
	for (Py_ssize_t i = 0; i < count; i++) {
		PyObject *item = PyList_GetItem(list, i);
		AUTO_REF *text = PyBytes_Check(item) ? NULL : PyObject_Str(item);

		if (PyBytes_Check(item))
			Py_INCREF(item);
		if (hold_bytes(r, PyBytes_Check(item) ? item : text ? utf8(text) : NULL, &r->strings[i]) < 0)
			return -1;
	}
	a->type = HYTHE_STRINGS;
	a->rank = (int)PyTuple_Size(shape);
	for (int i = 0; i < a->rank; i++)
		a->shape[i] = PyLong_AsLongLong(PyTuple_GetItem(shape, i));
	a->data = r->strings;
	a->size = (size_t)count * sizeof(*r->strings);
	r->payload.has_array = 1;
	return 0;
}

/* Numbers go as `like`, when that is a kind of data, else as a tensor; all else is an ndarray. */
static int array_set(hythe_call *c, struct reply *r, PyObject *array, int like)
{
	AUTO_REF *list = NULL;

	if (array_view(array, &r->view, &r->payload.array)) {
		r->has_view = r->payload.has_array = 1;
		r->payload.kind = is_data(like) ? like : HYTHE_TENSOR;
		if (r->payload.array.type == HYTHE_BOOL && hythe_call_is_seldon(c))
			r->payload.kind = HYTHE_NDARRAY;
		return 0;
	}
	if (PyErr_Occurred())
		return -1;
	r->payload.kind = HYTHE_NDARRAY;
	if (!hythe_call_is_seldon(c))
		return strings_set(r, array);
	list = PyObject_CallMethod(array, "tolist", NULL);
	return list ? hold_bytes(r, json_text(list), &r->payload.nested) : -1;
}

/* A list keeps what it has, its integers between fractions too, where JSON carries it as it is. */
static int list_set(hythe_call *c, struct reply *r, PyObject *list, int like)
{
	AUTO_REF *numpy = NULL, *array = NULL;

	r->payload.kind = HYTHE_NDARRAY;
	if (hythe_call_is_seldon(c) && like == HYTHE_NDARRAY)
		return hold_bytes(r, json_text(list), &r->payload.nested);
	numpy = numpy_import();
	array = numpy ? PyObject_CallMethod(numpy, "array", "O", list) : NULL;
	if (!array)
		return -1;
	if (array_set(c, r, array, like) < 0)
		return -1;
	if (!r->payload.has_array) { /* as the list has it, and not as numpy would: 1 beside "a" stays a number */
		r->payload.nested = (struct hythe_bytes){ 0 };
		return hold_bytes(r, json_text(list), &r->payload.nested);
	}
	return 0;
}

/* A pandas (or polars) frame: its values, and its columns as names. */
static int frame_set(hythe_call *c, struct reply *r, PyObject *frame, PyObject *names, int like)
{
	AUTO_REF *array = PyObject_CallMethod(frame, "to_numpy", NULL);
	AUTO_REF *columns = PyObject_GetAttrString(frame, "columns");

	PyErr_Clear();
	if (!array || !is_array(array)) {
		PyErr_SetString(python.bad_reply, "a frame's to_numpy() gave no array");
		return -1;
	}
	if (array_set(c, r, array, like) < 0 || PyList_Append(r->held, array) < 0)
		return -1;
	if (!columns || (names && names != Py_None))
		return 0;
	return names_set(r, columns);
}

/* One of numpy's numbers: an array of one. */
static int scalar_set(hythe_call *c, struct reply *r, PyObject *scalar, int like)
{
	AUTO_REF *numpy = numpy_import();
	AUTO_REF *array = numpy ? PyObject_CallMethod(numpy, "atleast_1d", "O", scalar) : NULL;

	return array ? array_set(c, r, array, like) : -1;
}

/* ---- the value ---- */

static int is_frame(PyObject *value)
{
	return type_is(value, "pandas", "DataFrame") || type_is(value, "pandas", "Series") ||
	       type_is(value, "polars", "DataFrame") || type_is(value, "polars", "Series");
}

static int value_unknown(PyObject *value)
{
	AUTO_REF *text = PyObject_Str(value);

	if (text)
		PyErr_Format(python.bad_reply, "Unknown data type returned as payload (must be list or np array):%U",
			     text);
	return -1;
}

static int value_set(hythe_call *c, struct reply *r, PyObject *value, PyObject *names, int like, int64_t *ret_columns)
{
	struct hythe_payload *p = &r->payload;

	if (is_array(value)) {
		*ret_columns = array_columns(value);
		return array_set(c, r, value, like);
	}
	if (PyList_Check(value)) {
		*ret_columns = list_columns(value);
		return list_set(c, r, value, like);
	}
	if (PyUnicode_Check(value)) {
		p->kind = HYTHE_TEXT;
		return hold_bytes(r, utf8(value), &p->bytes);
	}
	if (PyBytes_Check(value) || PyByteArray_Check(value) || PyMemoryView_Check(value)) {
		p->kind = HYTHE_BINARY;
		return hold_bytes(r, PyBytes_FromObject(value), &p->bytes);
	}
	if (PyDict_Check(value)) {
		p->kind = HYTHE_JSON;
		return hold_bytes(r, json_text(value), &p->bytes);
	}
	if (is_numpy_scalar(value))
		return scalar_set(c, r, value, like);
	if (is_frame(value))
		return frame_set(c, r, value, names, like);
	return value_unknown(value);
}

/* A dict, or text that is JSON already. An empty one is none. */
static int meta_set(struct reply *r, PyObject *meta)
{
	PyObject *text;

	if (!meta || meta == Py_None || (PyDict_Check(meta) && PyDict_Size(meta) == 0))
		return 0;
	if (PyBytes_Check(meta)) {
		Py_INCREF(meta);
		text = meta;
	} else {
		text = PyUnicode_Check(meta) ? utf8(meta) : json_text(meta);
	}
	return hold_bytes(r, text, &r->payload.meta);
}

int reply_value(hythe_call *c, PyObject *value, PyObject *names, PyObject *meta, int like)
{
	struct reply r = { .payload = { .size = sizeof(r.payload) }, .held = PyList_New(0) };
	int64_t columns = 0;
	int failed;

	failed = !r.held || value_set(c, &r, value, names, like, &columns) < 0 || meta_set(&r, meta) < 0;
	if (!failed && is_data(r.payload.kind)) {
		if (names && names != Py_None)
			failed = names_set(&r, names) < 0;
		else if (!r.names && hythe_call_is_seldon(c))
			failed = names_count(&r, columns) < 0;
	}
	if (failed) {
		reply_done(&r);
		return -1;
	}
	reply_send(c, &r);
	return 0;
}
