/* SPDX-License-Identifier: Apache-2.0 */
/* host - class Host: the server in this process. */
#include "python.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define WAIT_MS 500   /* between looks at signals: one that comes just before a wait does not end it */
#define END_MS  35000 /* what the interpreter's end waits for user code that does not return */

static struct host_object *running;

/* ---- what the constructor is given ---- */

/* Strings as C wants them: `objects` keeps the bytes alive. */
struct texts {
	PyObject *objects;
	const char **items;
	size_t count;
};

static void texts_done(struct texts *t)
{
	Py_XDECREF(t->objects);
	free((void *)t->items);
}

/* A list of strings; None or NULL is none. `what` is named when it is no such list. */
static int texts_from(PyObject *list, struct texts *ret)
{
	Py_ssize_t count;

	if (!list || list == Py_None)
		return 0;
	ret->objects = PySequence_List(list);
	count = ret->objects ? PyList_Size(ret->objects) : -1;
	if (count < 0)
		return -1;
	ret->items = calloc((size_t)count + 1, sizeof(*ret->items));
	if (!ret->items) {
		PyErr_NoMemory();
		return -1;
	}
	for (Py_ssize_t i = 0; i < count; i++) {
		AUTO_REF *text = PyObject_Str(PyList_GetItem(ret->objects, i));
		PyObject *bytes = text ? PyUnicode_AsUTF8String(text) : NULL;

		if (!bytes || PyList_SetItem(ret->objects, i, bytes) < 0)
			return -1;
		ret->items[i] = PyBytes_AsString(bytes);
	}
	ret->count = (size_t)count;
	return 0;
}

/* A setting's value: True is "true", and everything else as str() has it. */
static PyObject *setting_text(PyObject *value)
{
	if (PyBool_Check(value))
		return PyUnicode_FromString(value == Py_True ? "true" : "false");
	return PyObject_Str(value);
}

/* {"max-body-bytes": "64m"} as names and values, one after the other. */
static int settings_from(PyObject *dict, struct texts *ret)
{
	AUTO_REF *flat = PyList_New(0);
	PyObject *key, *value;
	Py_ssize_t at = 0;

	if (!flat || !dict || dict == Py_None)
		return flat ? 0 : -1;
	if (!PyDict_Check(dict)) {
		PyErr_SetString(PyExc_TypeError, "settings must be a dict");
		return -1;
	}
	while (PyDict_Next(dict, &at, &key, &value)) {
		AUTO_REF *text = value == Py_None ? NULL : setting_text(value);

		if (value == Py_None)
			continue;
		if (!text || PyList_Append(flat, key) < 0 || PyList_Append(flat, text) < 0)
			return -1;
	}
	return texts_from(flat, ret);
}

/* ---- driven hosts ---- */

static void gives_lock(void *context)
{
	struct host_object *self = context;

	self->sleeper = PyEval_SaveThread();
}

/* Handlers of signals run here, and may raise. */
static int takes_lock(void *context)
{
	struct host_object *self = context;

	PyEval_RestoreThread(self->sleeper);
	if (PyErr_CheckSignals() == 0)
		return 0;
	if (self->is_ending)
		PyErr_Clear();
	return !self->is_ending;
}

/* To its end, on this thread; with the lock. */
static void run_to_end(struct host_object *self, hythe_host *host)
{
	int drove = python_drives(1);

	self->is_ending = 1;
	hythe_host_stop(host);
	while (!hythe_host_run(host))
		;
	(void)python_drives(drove);
}

/* ---- life ---- */

static void unlink_running(struct host_object *self)
{
	if (!self->previous)
		return;
	*self->previous = self->next;
	if (self->next)
		self->next->previous = self->previous;
	self->previous = NULL;
}

/* Ends the host when it runs, and frees it. User code may be in a call: it needs the lock to come to its end. */
static void host_end(struct host_object *self)
{
	hythe_host *host = self->host;

	unlink_running(self);
	self->host = NULL;
	/* In a process that user code forked there are none of its threads to wait for: it is the parent's. */
	if (!host || (self->pid && self->pid != getpid()))
		return;
	if (self->is_driven && self->pid)
		run_to_end(self, host);
	Py_BEGIN_ALLOW_THREADS;
	hythe_host_free(host);
	Py_END_ALLOW_THREADS;
	if (self->app && self->app != Py_None)
		app_drop(self);
}

/* Their memory stays: somebody may still wait for them. */
PyObject *hosts_end(PyObject *module, PyObject *none)
{
	(void)module;
	(void)none;
	while (running) {
		struct host_object *self = running;
		hythe_host *host = self->host;

		unlink_running(self);
		if (!self->pid || self->pid != getpid())
			continue;
		if (self->is_driven && !self->is_running) {
			run_to_end(self, host);
			continue;
		}
		hythe_host_stop(host);
		Py_BEGIN_ALLOW_THREADS;
		(void)hythe_host_wait_for(host, END_MS);
		Py_END_ALLOW_THREADS;
	}
	threads_end();
	Py_RETURN_NONE;
}

static int host_make(struct host_object *self, struct hythe_host_config *config)
{
	char why[HYTHE_ERROR_SIZE];
	hythe_host *host;

	Py_BEGIN_ALLOW_THREADS;
	host = hythe_host_new(config, why);
	Py_END_ALLOW_THREADS;
	if (!host) {
		PyErr_SetString(PyExc_OSError, why);
		return -1;
	}
	self->host = host;
	self->next = running;
	self->previous = &running;
	if (running)
		running->previous = &self->next;
	running = self;
	return 0;
}

static int init(struct host_object *self, PyObject *arguments, PyObject *named)
{
	static const char *const keywords[] = { "addresses", "adopt_fd",      "threads",     "name",     "kind",
						"platform",  "feature_names", "class_names", "settings", "call",
						"app",       "expose_errors", "driven",      NULL };
	PyObject *addresses = NULL, *features = NULL, *classes = NULL, *settings = NULL, *call = Py_None,
		 *app = Py_None;
	struct texts address_texts = { 0 }, feature_texts = { 0 }, class_texts = { 0 }, setting_texts = { 0 };
	struct hythe_host_config config = { .size = sizeof(config) };
	struct hythe_app application = { .size = sizeof(application) };
	int threads = 1, result = -1;

	if (self->host) {
		PyErr_SetString(PyExc_RuntimeError, "a host is made once");
		return -1;
	}
	if (!PyArg_ParseTupleAndKeywords(arguments, named, "|OiizzzOOOOOpp:Host", (char **)(uintptr_t)keywords,
					 &addresses, &config.adopt_fd, &threads, &config.name, &config.kind,
					 &config.platform, &features, &classes, &settings, &call, &app,
					 &self->expose_errors, &self->is_driven))
		return -1;
	if (texts_from(addresses, &address_texts) < 0 || texts_from(features, &feature_texts) < 0 ||
	    texts_from(classes, &class_texts) < 0 || settings_from(settings, &setting_texts) < 0)
		goto out;
	if (threads < 1) {
		PyErr_SetString(PyExc_ValueError, "threads must be at least 1");
		goto out;
	}
	config.threads = (unsigned)threads;
	config.addresses = address_texts.items;
	config.address_count = address_texts.count;
	config.feature_names = feature_texts.items;
	config.feature_count = feature_texts.count;
	config.class_names = class_texts.items;
	config.class_count = class_texts.count;
	config.settings = (const char *const(*)[2])setting_texts.items;
	config.setting_count = setting_texts.count / 2;
	config.context = self;
	config.call = call != Py_None ? python_call : NULL;
	config.is_driven = self->is_driven;
	config.waits = gives_lock;
	config.resumes = takes_lock;
	Py_INCREF(call);
	Py_INCREF(app);
	Py_XDECREF(self->call);
	Py_XDECREF(self->app);
	self->call = call;
	self->app = app;
	if (app != Py_None) {
		if (app_take(self, app, &application) < 0)
			goto out;
		config.app = &application;
	}
	result = host_make(self, &config);
out:
	texts_done(&address_texts);
	texts_done(&feature_texts);
	texts_done(&class_texts);
	texts_done(&setting_texts);
	return result;
}

static void dealloc(struct host_object *self)
{
	PyTypeObject *type = Py_TYPE(self);

	host_end(self);
	Py_XDECREF(self->call);
	Py_XDECREF(self->app);
	((freefunc)PyType_GetSlot(type, Py_tp_free))(self);
	Py_DECREF(type);
}

/* ---- methods ---- */

static int is_made(const struct host_object *self)
{
	if (self->host)
		return 1;
	PyErr_SetString(PyExc_RuntimeError, "the host is over");
	return 0;
}

static PyObject *start(struct host_object *self, PyObject *none)
{
	char why[HYTHE_ERROR_SIZE];
	hythe_host *host = self->host;
	int ok;

	(void)none;
	if (!is_made(self))
		return NULL;
	self->pid = getpid();
	Py_BEGIN_ALLOW_THREADS;
	ok = hythe_host_start(host, why);
	Py_END_ALLOW_THREADS;
	if (!ok) {
		PyErr_SetString(PyExc_OSError, why);
		return NULL;
	}
	Py_RETURN_NONE;
}

static PyObject *address(struct host_object *self, PyObject *arguments)
{
	Py_ssize_t index = 0;
	const char *text;

	if (!PyArg_ParseTuple(arguments, "|n:address", &index) || !is_made(self))
		return NULL;
	text = index >= 0 ? hythe_host_address(self->host, (size_t)index) : NULL;
	if (!text) {
		PyErr_Format(PyExc_IndexError, "there is no address %zd", index);
		return NULL;
	}
	return PyUnicode_FromString(text);
}

static PyObject *stop(struct host_object *self, PyObject *none)
{
	(void)none;
	if (self->host)
		hythe_host_stop(self->host);
	Py_RETURN_NONE;
}

/* Signals come between: Python's handlers run, and may raise. */
static PyObject *wait(struct host_object *self, PyObject *arguments)
{
	PyObject *timeout = Py_None;
	int milliseconds = -1, has_ended;

	if (!PyArg_ParseTuple(arguments, "|O:wait", &timeout))
		return NULL;
	if (timeout != Py_None) {
		double seconds = PyFloat_AsDouble(timeout);

		if (seconds == -1 && PyErr_Occurred())
			return NULL;
		milliseconds = seconds < 0 ? 0 : seconds > 1e6 ? 1000000000 : (int)(seconds * 1000);
	}
	do {
		hythe_host *host = self->host;

		if (!host)
			Py_RETURN_TRUE;
		Py_BEGIN_ALLOW_THREADS;
		has_ended = hythe_host_wait_for(host, milliseconds < 0 ? WAIT_MS : milliseconds);
		Py_END_ALLOW_THREADS;
		if (PyErr_CheckSignals() < 0)
			return NULL;
	} while (!has_ended && milliseconds < 0);
	return PyBool_FromLong(has_ended);
}

static int may_drive(const struct host_object *self)
{
	if (!is_made(self))
		return 0;
	if (self->is_driven && self->pid == getpid() && !self->is_running)
		return 1;
	PyErr_SetString(PyExc_RuntimeError,
			self->is_running ? "the host is run already" : "Host(driven=True), and start() first");
	return 0;
}

static PyObject *run(struct host_object *self, PyObject *none)
{
	int drove, has_ended;

	(void)none;
	if (!may_drive(self))
		return NULL;
	drove = python_drives(1);
	self->is_running = 1;
	Py_INCREF((PyObject *)self);
	has_ended = hythe_host_run(self->host);
	self->is_running = 0;
	(void)python_drives(drove);
	Py_DECREF((PyObject *)self);
	if (!has_ended)
		return NULL;
	Py_RETURN_NONE;
}

static PyObject *turn(struct host_object *self, PyObject *none)
{
	int drove, goes_on;

	(void)none;
	if (!may_drive(self))
		return NULL;
	drove = python_drives(1);
	self->is_running = 1;
	goes_on = hythe_host_turn(self->host);
	self->is_running = 0;
	(void)python_drives(drove);
	return PyBool_FromLong(goes_on);
}

static PyObject *host_fd(struct host_object *self, PyObject *none)
{
	(void)none;
	return may_drive(self) ? PyLong_FromLong(hythe_host_fd(self->host)) : NULL;
}

static PyObject *signal_fd(struct host_object *self, PyObject *none)
{
	(void)none;
	return is_made(self) ? PyLong_FromLong(hythe_host_signal_fd(self->host)) : NULL;
}

static PyMethodDef methods[] = {
	{ "run", (PyCFunction)(void (*)(void))run, METH_NOARGS,
	  "run()\n--\n\nServes a driven host on this thread until it has ended. Signal handlers run." },
	{ "fd", (PyCFunction)(void (*)(void))host_fd, METH_NOARGS,
	  "fd()\n--\n\nOf a driven host: readable when turn() has something to do." },
	{ "turn", (PyCFunction)(void (*)(void))turn, METH_NOARGS,
	  "turn()\n--\n\nDoes what a driven host has to do, and never waits. False when it has ended." },
	{ "signal_fd", (PyCFunction)(void (*)(void))signal_fd, METH_NOARGS,
	  "signal_fd()\n--\n\nOf a driven host, for signal.set_wakeup_fd(): SIGTERM and SIGINT stop it." },
	{ "start", (PyCFunction)(void (*)(void))start, METH_NOARGS,
	  "start()\n--\n\nServes on threads of its own, and returns; a driven host is ready to be run then." },
	{ "address", (PyCFunction)(void (*)(void))address, METH_VARARGS,
	  "address(index=0)\n--\n\nThe address as bound: '127.0.0.1:41233', 'unix:/tmp/x'." },
	{ "stop", (PyCFunction)(void (*)(void))stop, METH_NOARGS,
	  "stop()\n--\n\nAnswers what was accepted and then ends. Any thread; wait() tells when." },
	{ "wait", (PyCFunction)(void (*)(void))wait, METH_VARARGS,
	  "wait(timeout=None)\n--\n\nUntil it has ended, or for so many seconds. True when it has ended." },
	{ NULL, NULL, 0, NULL },
};

PyObject *host_type_new(void)
{
	static PyType_Slot slots[] = {
		{ Py_tp_doc,
		  (void
		       *)(uintptr_t) "Host(addresses=None, adopt_fd=0, threads=1, name=None, kind=None, platform=None, "
				     "feature_names=None, class_names=None, settings=None, call=None, app=None, "
				     "expose_errors=False, driven=False)\n--\n\n"
				     "hythe's server in this process. It binds when it is made and serves after "
				     "start(). "
				     "`call` is called with a Call for every request, on up to `threads` threads." },
		{ Py_tp_new, (void *)(uintptr_t)PyType_GenericNew },
		{ Py_tp_init, (void *)(uintptr_t)init },
		{ Py_tp_dealloc, (void *)(uintptr_t)dealloc },
		{ Py_tp_methods, methods },
		{ 0, NULL },
	};
	static PyType_Spec spec = { .name = "hythe._hythe.Host",
				    .basicsize = sizeof(struct host_object),
				    .flags = Py_TPFLAGS_DEFAULT,
				    .slots = slots };

	return PyType_FromSpec(&spec);
}
