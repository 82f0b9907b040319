/* SPDX-License-Identifier: Apache-2.0 */
/* arrays - numpy's arrays, both ways, without numpy's headers. */
#include "python.h"

#include <string.h>

enum { NUMPY_TYPES = HYTHE_STRINGS, TAKE_LEAST = 64 * 1024 };

static PyObject *memory_type_new(void);
static PyObject *memory_type;

/* What is needed of numpy; `ndarray` NULL: not imported yet. */
static struct {
	PyObject *module, *ndarray, *generic, *array, *asarray;
	PyObject *dtypes[NUMPY_TYPES], *names[NUMPY_TYPES]; /* the names: "<f8" */
} numpy;

static const struct {
	const char *dtype;
	size_t size;
} types[NUMPY_TYPES] = {
	[HYTHE_BOOL] = { "bool", 1 },     [HYTHE_UINT8] = { "uint8", 1 },   [HYTHE_UINT16] = { "uint16", 2 },
	[HYTHE_UINT32] = { "uint32", 4 }, [HYTHE_UINT64] = { "uint64", 8 }, [HYTHE_INT8] = { "int8", 1 },
	[HYTHE_INT16] = { "int16", 2 },   [HYTHE_INT32] = { "int32", 4 },   [HYTHE_INT64] = { "int64", 8 },
	[HYTHE_FP16] = { "float16", 2 },  [HYTHE_BF16] = { "uint16", 2 }, /* numpy has no bfloat16: its bits */
	[HYTHE_FP32] = { "float32", 4 },  [HYTHE_FP64] = { "float64", 8 },
};

/* ---- numpy ---- */

static int numpy_load(void)
{
	PyObject *module, *ndarray;

	if (numpy.ndarray)
		return 0;
	module = PyImport_ImportModule("numpy");
	if (!module)
		return -1;
	ndarray = PyObject_GetAttrString(module, "ndarray");
	numpy.generic = PyObject_GetAttrString(module, "generic");
	numpy.array = PyObject_GetAttrString(module, "array");
	for (int i = 0; ndarray && i < NUMPY_TYPES; i++) {
		numpy.dtypes[i] = PyObject_CallMethod(module, "dtype", "s", types[i].dtype);
		numpy.names[i] = numpy.dtypes[i] ? PyObject_GetAttrString(numpy.dtypes[i], "str") : NULL;
		if (!numpy.names[i])
			return -1;
	}
	numpy.asarray = PyObject_GetAttrString(module, "asarray");
	if (!memory_type)
		memory_type = memory_type_new();
	if (!ndarray || !numpy.generic || !numpy.array || !numpy.asarray || !memory_type)
		return -1;
	numpy.module = module;
	numpy.ndarray = ndarray; /* last: it says that the rest is there */
	return 0;
}

PyObject *numpy_import(void)
{
	if (numpy_load() < 0)
		return NULL;
	Py_INCREF(numpy.module);
	return numpy.module;
}

/* Loads what is needed of numpy if somebody has imported it: who never did has no array. */
static int numpy_is_there(void)
{
	AUTO_REF *name = NULL, *module = NULL;

	if (numpy.ndarray)
		return 1;
	name = PyUnicode_FromString("numpy");
	module = name ? PyImport_GetModule(name) : NULL;
	if (module && numpy_load() == 0)
		return 1;
	PyErr_Clear();
	return 0;
}

int is_array(PyObject *object)
{
	return numpy_is_there() && PyObject_IsInstance(object, numpy.ndarray) == 1;
}

int is_numpy_scalar(PyObject *object)
{
	return numpy_is_there() && PyObject_IsInstance(object, numpy.generic) == 1;
}

/* ---- from the library ---- */

static PyObject *shape_object(const struct hythe_array *a)
{
	AUTO_REF *shape = PyTuple_New(a->rank);

	for (int i = 0; shape && i < a->rank; i++) {
		PyObject *size = PyLong_FromLongLong(a->shape[i]);

		if (!size || PyTuple_SetItem(shape, i, size) < 0)
			return NULL;
	}
	return reference_take(&shape);
}

/* Texts become numpy's str; when one is no UTF-8, all are bytes. */
static PyObject *strings_new(const struct hythe_array *a)
{
	const struct hythe_bytes *items = a->data;
	size_t count = a->size / sizeof(*items);
	AUTO_REF *list = PyList_New((Py_ssize_t)count);
	AUTO_REF *shape = shape_object(a);
	AUTO_REF *flat = NULL;
	int is_text = 1;

	for (size_t i = 0; list && i < count; i++) {
		const char *data = items[i].data ? items[i].data : "";
		PyObject *item = is_text ? PyUnicode_DecodeUTF8(data, (Py_ssize_t)items[i].size, NULL)
					 : PyBytes_FromStringAndSize(data, (Py_ssize_t)items[i].size);

		if (!item && is_text) {
			PyErr_Clear();
			is_text = 0;
			i = (size_t)-1; /* from the start again */
			continue;
		}
		if (!item || PyList_SetItem(list, (Py_ssize_t)i, item) < 0)
			return NULL;
	}
	if (!list || !shape)
		return NULL;
	flat = PyObject_CallFunctionObjArgs(numpy.array, list, NULL);
	return flat ? PyObject_CallMethod(flat, "reshape", "O", shape) : NULL;
}

/* ---- memory of the library ---- */

/* A taken array's memory. numpy knows it by __array_interface__, and keeps it alive as its array's base. */
struct memory {
	PyObject_HEAD hythe_taken *taken;
	struct hythe_array array;
};

static void memory_dealloc(struct memory *self)
{
	PyTypeObject *type = Py_TYPE(self);

	hythe_taken_free(self->taken);
	PyObject_Free(self);
	Py_DECREF(type);
}

static PyObject *memory_interface(struct memory *self, void *closure)
{
	AUTO_REF *shape = self->taken ? shape_object(&self->array) : PyTuple_New(0);
	AUTO_REF *data = PyLong_FromVoidPtr((void *)(uintptr_t)self->array.data);

	(void)closure;
	if (!shape || !data)
		return NULL;
	return Py_BuildValue("{s:O,s:O,s:(O,O),s:i}", "shape", shape, "typestr", numpy.names[self->array.type], "data",
			     data, Py_False, "version", 3);
}

static PyObject *memory_type_new(void)
{
	static PyGetSetDef attributes[] = {
		{ "__array_interface__", (getter)(void (*)(void))memory_interface, NULL, NULL, NULL },
		{ NULL, NULL, NULL, NULL, NULL },
	};
	static PyType_Slot slots[] = {
		{ Py_tp_doc, (void *)(uintptr_t) "Memory of a request's array." },
		{ Py_tp_dealloc, (void *)(uintptr_t)memory_dealloc },
		{ Py_tp_getset, attributes },
		{ 0, NULL },
	};
	static PyType_Spec spec = { .name = "hythe._hythe.Memory",
				    .basicsize = sizeof(struct memory),
				    .flags = Py_TPFLAGS_DEFAULT,
				    .slots = slots };

	return PyType_FromSpec(&spec);
}

/* A large array without a copy; NULL without an exception when its memory cannot be taken. */
static PyObject *array_take(hythe_call *c, size_t index, const struct hythe_array *a, PyObject **ret_memory)
{
	hythe_taken *taken = a->size >= TAKE_LEAST ? hythe_call_take(c, index) : NULL;
	struct memory *memory;
	PyObject *array;

	if (!taken)
		return NULL;
	memory = PyObject_New(struct memory, (PyTypeObject *)memory_type);
	if (!memory)
		return NULL; /* and its memory is lost, as all is soon */
	memory->taken = taken;
	memory->array = *a;
	array = PyObject_CallFunctionObjArgs(numpy.asarray, (PyObject *)memory, NULL);
	*ret_memory = (PyObject *)memory;
	return array;
}

PyObject *array_new(hythe_call *c, size_t index, const struct hythe_array *a, PyObject **ret_memory)
{
	AUTO_REF *shape = NULL, *memory = NULL;
	PyObject *array;

	if (numpy_load() < 0)
		return NULL;
	if (a->type == HYTHE_STRINGS)
		return strings_new(a);
	array = array_take(c, index, a, ret_memory);
	if (array || PyErr_Occurred())
		return array;
	shape = shape_object(a);
	memory = PyByteArray_FromStringAndSize(a->data, (Py_ssize_t)a->size);
	if (!shape || !memory)
		return NULL;
	return PyObject_CallFunctionObjArgs(numpy.ndarray, shape, numpy.dtypes[a->type], memory, NULL);
}

PyObject *array_from_json(struct hythe_bytes text)
{
	AUTO_REF *list = numpy_load() == 0 ? json_from(text) : NULL;

	return list ? PyObject_CallFunctionObjArgs(numpy.array, list, NULL) : NULL;
}

/* ---- to the library ---- */

/* A buffer's format as a type; -1: none of ours. Sizes are native, so that 'l' is told by its own. */
static int type_of(const char *format, Py_ssize_t size)
{
	static const char is_signed[] = "bhilq", is_unsigned[] = "BHILQ", is_float[] = "efd";

	if (*format == '@' || *format == '=' || (*format == '<' && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__))
		format++;
	if (strlen(format) != 1)
		return -1;
	if (*format == '?')
		return HYTHE_BOOL;
	if (strchr(is_signed, *format))
		return size == 1 ? HYTHE_INT8 : size == 2 ? HYTHE_INT16 : size == 4 ? HYTHE_INT32 : HYTHE_INT64;
	if (strchr(is_unsigned, *format))
		return size == 1 ? HYTHE_UINT8 : size == 2 ? HYTHE_UINT16 : size == 4 ? HYTHE_UINT32 : HYTHE_UINT64;
	if (strchr(is_float, *format))
		return size == 2 ? HYTHE_FP16 : size == 4 ? HYTHE_FP32 : HYTHE_FP64;
	return -1;
}

/* The same numbers in a type and a layout of ours: other byte orders, long doubles, views with strides. */
static PyObject *plain_of(PyObject *array)
{
	AUTO_REF *dtype = PyObject_GetAttrString(array, "dtype");
	AUTO_REF *kind = dtype ? PyObject_GetAttrString(dtype, "kind") : NULL;
	AUTO_REF *is_native = dtype ? PyObject_GetAttrString(dtype, "isnative") : NULL;
	AUTO_REF *itemsize = dtype ? PyObject_GetAttrString(dtype, "itemsize") : NULL;
	AUTO_REF *wanted = NULL;
	const char *target = NULL;
	AUTO_REF *name = NULL;

	if (!kind || !is_native || !itemsize)
		return NULL;
	name = PyUnicode_AsUTF8String(kind);
	if (!name)
		return NULL;
	if (!strchr("biuf", PyBytes_AsString(name)[0])) { /* text, objects, times, complex numbers */
		Py_INCREF(Py_None);
		return Py_None;
	}
	if (PyBytes_AsString(name)[0] == 'f' && PyLong_AsLong(itemsize) > 8)
		target = "float64";
	if (target)
		wanted = PyUnicode_FromString(target);
	else if (is_native == Py_True)
		wanted = reference_take(&dtype);
	else
		wanted = PyObject_CallMethod(dtype, "newbyteorder", "s", "=");
	return wanted ? PyObject_CallMethod(numpy.module, "ascontiguousarray", "OO", array, wanted) : NULL;
}

static int view_take(Py_buffer *view, struct hythe_array *ret)
{
	struct hythe_array a = { .type = type_of(view->format ? view->format : "B", view->itemsize),
				 .rank = view->ndim };

	if (a.type < 0 || a.rank > HYTHE_RANK_MAX)
		return 0;
	for (int i = 0; i < a.rank; i++)
		a.shape[i] = view->shape[i];
	a.data = view->buf;
	a.size = (size_t)view->len;
	*ret = a;
	return 1;
}

int array_view(PyObject *array, Py_buffer *ret_view, struct hythe_array *ret)
{
	AUTO_REF *plain = NULL;

	if (PyObject_GetBuffer(array, ret_view, PyBUF_C_CONTIGUOUS | PyBUF_FORMAT) == 0) {
		if (view_take(ret_view, ret))
			return 1;
		PyBuffer_Release(ret_view);
	}
	PyErr_Clear();
	plain = plain_of(array);
	if (!plain || plain == Py_None)
		return 0;
	if (PyObject_GetBuffer(plain, ret_view, PyBUF_C_CONTIGUOUS | PyBUF_FORMAT) < 0)
		return 0;
	if (view_take(ret_view, ret))
		return 1;
	PyBuffer_Release(ret_view);
	if (ret_view->ndim > HYTHE_RANK_MAX)
		PyErr_Format(python.bad_reply, "an array of %d dimensions: at most %d can be sent", ret_view->ndim,
			     HYTHE_RANK_MAX);
	return 0;
}
