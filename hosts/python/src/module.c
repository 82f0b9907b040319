/* SPDX-License-Identifier: Apache-2.0 */
/* module - hythe._hythe. */
#include "python.h"

struct python python;

/* ---- texts ---- */

PyObject *text_from(struct hythe_bytes bytes)
{
	return PyUnicode_DecodeUTF8(bytes.data ? bytes.data : "", (Py_ssize_t)bytes.size, "surrogateescape");
}

PyObject *json_from(struct hythe_bytes text)
{
	AUTO_REF *string = text_from(text);

	return string ? PyObject_CallFunctionObjArgs(python.loads, string, NULL) : NULL;
}

PyObject *json_text(PyObject *value)
{
	AUTO_REF *arguments = PyTuple_Pack(1, value);
	AUTO_REF *string = arguments ? PyObject_Call(python.dumps, arguments, python.dump_options) : NULL;

	return string ? PyUnicode_AsEncodedString(string, "utf-8", "surrogateescape") : NULL;
}

/* What json cannot print by itself: numpy's scalars and arrays. */
static PyObject *json_plain(PyObject *module, PyObject *value)
{
	(void)module;
	if (is_array(value) || is_numpy_scalar(value))
		return PyObject_CallMethod(value, "tolist", NULL);
	PyErr_Format(PyExc_TypeError, "Object of type %R is not JSON serializable", (PyObject *)Py_TYPE(value));
	return NULL;
}

int type_is(PyObject *object, const char *module, const char *name)
{
	AUTO_REF *imported = NULL, *type = NULL, *key = PyUnicode_FromString(module);
	int is = 0;

	/* Who has an object of a class has its module loaded. */
	imported = key ? PyImport_GetModule(key) : NULL;
	type = imported ? PyObject_GetAttrString(imported, name) : NULL;
	if (type)
		is = PyObject_IsInstance(object, type);
	PyErr_Clear();
	return is == 1;
}

/* ---- the module ---- */

static PyMethodDef functions[] = {
	{ "_json_plain", json_plain, METH_O, NULL },
	{ "_end", hosts_end, METH_NOARGS, NULL },
	{ NULL, NULL, 0, NULL },
};

static struct PyModuleDef definition = {
	PyModuleDef_HEAD_INIT,
	.m_name = "hythe._hythe",
	.m_doc = "hythe's server inside this interpreter: HTTP/1.1, HTTP/2 and gRPC on threads of its own.",
	.m_size = -1, /* one state for the process: library threads know one interpreter */
	.m_methods = functions,
};

static PyObject *attribute_of(const char *module, const char *name)
{
	AUTO_REF *imported = PyImport_ImportModule(module);

	return imported ? PyObject_GetAttrString(imported, name) : NULL;
}

static int python_init(PyObject *module)
{
	AUTO_REF *plain = PyObject_GetAttrString(module, "_json_plain");
	AUTO_REF *defaults =
	    Py_BuildValue("{s:i,s:s,s:i}", "status_code", 400, "reason", "MICROSERVICE_BAD_DATA", "app_code", -1);

	if (!plain || !defaults)
		return -1;
	python.loads = attribute_of("json", "loads");
	python.dumps = attribute_of("json", "dumps");
	python.format_exception = attribute_of("traceback", "format_exception");
	python.dump_options = Py_BuildValue("{s:(ss),s:O}", "separators", ",", ":", "default", plain);
	python.empty = PyTuple_New(0);
	python.bad_reply = PyErr_NewExceptionWithDoc("hythe._hythe.BadReply", "User code returned what cannot be sent.",
						     PyExc_ValueError, defaults);
	python.host_type = host_type_new();
	python.call_type = call_type_new();
	return python.loads && python.dumps && python.format_exception && python.dump_options && python.empty &&
		       python.bad_reply && python.host_type && python.call_type
		   ? 0
		   : -1;
}

static int add(PyObject *module, const char *name, PyObject *object)
{
	Py_INCREF(object);
	if (PyModule_AddObject(module, name, object) == 0)
		return 0;
	Py_DECREF(object);
	return -1;
}

static int constants_add(PyObject *module)
{
	static const struct {
		const char *name;
		int value;
	} rows[] = {
		{ "PREDICT", HYTHE_PREDICT },
		{ "TRANSFORM_INPUT", HYTHE_TRANSFORM_INPUT },
		{ "TRANSFORM_OUTPUT", HYTHE_TRANSFORM_OUTPUT },
		{ "ROUTE", HYTHE_ROUTE },
		{ "AGGREGATE", HYTHE_AGGREGATE },
		{ "FEEDBACK", HYTHE_FEEDBACK },
		{ "HEALTH", HYTHE_HEALTH },
		{ "METADATA", HYTHE_METADATA },
		{ "METRICS", HYTHE_METRICS },
		{ "NOTHING", HYTHE_NOTHING },
		{ "TENSOR", HYTHE_TENSOR },
		{ "NDARRAY", HYTHE_NDARRAY },
		{ "TFTENSOR", HYTHE_TFTENSOR },
		{ "BINARY", HYTHE_BINARY },
		{ "TEXT", HYTHE_TEXT },
		{ "JSON", HYTHE_JSON },
		{ "CUSTOM", HYTHE_CUSTOM },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		if (PyModule_AddIntConstant(module, rows[i].name, rows[i].value) < 0)
			return -1;
	}
	return PyModule_AddStringConstant(module, "__version__", hythe_host_version());
}

/* Hosts that still run when the interpreter ends are stopped while their threads can still have it. */
static int end_register(PyObject *module)
{
	AUTO_REF *end = PyObject_GetAttrString(module, "_end");
	AUTO_REF *atexit = end ? PyImport_ImportModule("atexit") : NULL;
	AUTO_REF *done = atexit ? PyObject_CallMethod(atexit, "register", "O", end) : NULL;

	return done ? 0 : -1;
}

PyMODINIT_FUNC PyInit__hythe(void);
PyMODINIT_FUNC PyInit__hythe(void)
{
	AUTO_REF *module = PyModule_Create(&definition);

	if (!module || threads_init() < 0 || python_init(module) < 0 || constants_add(module) < 0 ||
	    app_add(module) < 0 || add(module, "Host", python.host_type) < 0 ||
	    add(module, "Call", python.call_type) < 0 || add(module, "BadReply", python.bad_reply) < 0 ||
	    end_register(module) < 0)
		return NULL;
	return reference_take(&module);
}
