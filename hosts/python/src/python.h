/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * python - what the files of the extension module hythe._hythe share.
 *
 * module.c  the module, constants, what is imported once
 * host.c    class Host
 * call.c    class Call: one call of a component, and what is done when user code raises
 * reply.c   what user code returned, as a payload
 * arrays.c  numpy's arrays, both ways
 * threads.c the interpreter's lock on the library's threads
 * app.c     HTTP applications
 *
 * The module uses CPython's stable ABI of 3.8, so that one build serves every later version, and takes its own name out of
 * no header of numpy's: arrays are made and read by Python's calls and the buffer protocol.
 *
 * Threads: everything needs the interpreter's lock but what is said not to.
 * Errors:  as in Python: NULL, -1 or false with an exception set.
 */
#define PY_SSIZE_T_CLEAN
#define Py_LIMITED_API 0x03080000
#include <Python.h>

#include "hosts/hythe_app.h"
#include "hosts/hythe_host.h"

/*
 * The buffer protocol joined the stable ABI in 3.11. Every CPython since 3.8 (and before) exports these functions, and
 * the struct has had this layout since 3.0.
 */
#ifndef PyBUF_FORMAT
typedef struct bufferinfo {
	void *buf;
	PyObject *obj;
	Py_ssize_t len, itemsize;
	int readonly, ndim;
	char *format;
	Py_ssize_t *shape, *strides, *suboffsets;
	void *internal;
} Py_buffer;
#define PyBUF_SIMPLE       0
#define PyBUF_FORMAT       0x0004
#define PyBUF_ND           0x0008
#define PyBUF_STRIDES      (0x0010 | PyBUF_ND)
#define PyBUF_C_CONTIGUOUS (0x0020 | PyBUF_STRIDES)
PyAPI_FUNC(int) PyObject_GetBuffer(PyObject *object, Py_buffer *view, int flags);
PyAPI_FUNC(void) PyBuffer_Release(Py_buffer *view);
#endif

/* In the stable ABI since 3.10, and exported since 3.3: the text as UTF-8, which the string keeps. */
PyAPI_FUNC(const char *) PyUnicode_AsUTF8AndSize(PyObject *unicode, Py_ssize_t *size);

/* ---- references that go by themselves ---- */

static inline void reference_drop(PyObject **reference)
{
	Py_XDECREF(*reference);
}
#define AUTO_REF __attribute__((cleanup(reference_drop))) PyObject

static inline PyObject *reference_take(PyObject **reference)
{
	PyObject *object = *reference;

	*reference = NULL;
	return object;
}

/* ---- module.c ---- */

/* Names and functions that every call needs; made when the module is imported, never freed. */
struct python {
	PyObject *loads, *dumps;    /* json's; dumps with the arguments of `dump_options` */
	PyObject *dump_options;     /* {"separators": (",", ":"), "default": ...} */
	PyObject *format_exception; /* traceback's */
	PyObject *bad_reply;        /* the exception class: user code returned what cannot be sent */
	PyObject *empty;            /* () */
	PyObject *host_type, *call_type;
};
extern struct python python;

PyObject *text_from(struct hythe_bytes bytes); /* str; what is not UTF-8 becomes surrogates */
PyObject *json_from(struct hythe_bytes text);  /* json.loads() */
PyObject *json_text(PyObject *value);          /* json.dumps() as bytes; NaN and Infinity as they are */
int type_is(PyObject *object, const char *module, const char *name); /* its class, or one it derives from */

/* ---- threads.c: no lock needed ---- */

/*
 * Takes the interpreter's lock on a thread of the library, and gives it back. A thread keeps its Python state. Nothing happens on one of
 * Python's own that drives a host: it has the lock but where the host sleeps.
 */
void python_enter(void);
void python_leave(void);
/* With the lock: this thread drives a host from here on, or no more. Tells what it did before. */
int python_drives(int drives);
int threads_init(void);
void threads_end(void); /* the interpreter ends: threads leave their states alone */

/* ---- host.c ---- */

struct host_object {
	PyObject_HEAD hythe_host *host;
	PyObject *call, *app;
	struct host_object *next, **previous; /* of all that run: they are stopped when the interpreter ends */
	int expose_errors;
	int pid;                /* of the process in which it was started; 0: not yet */
	int is_driven;          /* run() or turn() run it */
	int is_running;         /* inside one of them */
	int is_ending;          /* nobody can be told of an exception */
	PyThreadState *sleeper; /* of the thread that drives, while the host sleeps */
	void *app_state;        /* app.c */
};
PyObject *host_type_new(void);
PyObject *hosts_end(PyObject *module, PyObject *none); /* for atexit */

/* ---- call.c ---- */

struct call_object {
	PyObject_HEAD hythe_call *call; /* NULL once the call is over */
	struct host_object *host;
	int is_replied;
	PyObject *kept; /* a list, or NULL: memory that the library looks at until the call is over */
};
PyObject *call_type_new(void);
void python_call(void *host_object, hythe_call *c); /* takes the lock itself */

/* ---- reply.c ---- */

/* Sends what user code returned. `names` and `meta` may be NULL or None. */
int reply_value(hythe_call *c, PyObject *value, PyObject *names, PyObject *meta, int like);

/* ---- arrays.c ---- */

/* The numpy module. It is imported when the first array is needed. New reference. */
PyObject *numpy_import(void);
/*
 * A writable array of payload `index`. Large ones are the library's memory, taken out of the call: *ret_memory, when it is
 * set, must live until the call is over.
 */
PyObject *array_new(hythe_call *c, size_t index, const struct hythe_array *a, PyObject **ret_memory);
/* numpy.array() of a nested list, as JSON text. */
PyObject *array_from_json(struct hythe_bytes text);
/* True for numpy.ndarray; never imports. */
int is_array(PyObject *object);
int is_numpy_scalar(PyObject *object);

/* The array's memory as the library takes it. False without an exception: its elements are no numbers. With ret_view->obj
 * set, PyBuffer_Release() when done. */
int array_view(PyObject *array, Py_buffer *ret_view, struct hythe_array *ret);

/* ---- app.c ---- */

/* Adds its types and functions. */
int app_add(PyObject *module);
/* Fills `ret` for the object given as Host(app=...); may set host->app_state. */
int app_take(struct host_object *host, PyObject *app, struct hythe_app *ret);
/* The host is about to be freed: it has ended. */
void app_drop(struct host_object *host);
