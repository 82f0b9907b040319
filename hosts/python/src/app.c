/* SPDX-License-Identifier: Apache-2.0 */
/*
 * app - HTTP applications: WSGI (PEP 3333), driven from here.
 *
 * Host(app=("wsgi", application, environ, failed)): `environ` is what every request's environ begins with, and failed(id) is
 * called while an exception that left the application is handled.
 */
#include "python.h"

#include <stdio.h>

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define READ_SIZE 65536

struct app_state {
	PyObject *application, *environ, *failed;
};

/* start_response() of one request, and what it was told. */
struct answer_object {
	PyObject_HEAD hythe_exchange *exchange; /* NULL once the request is over */
	PyObject *status, *headers;             /* str; a list of tuples */
};

/* wsgi.input */
struct input_object {
	PyObject_HEAD hythe_exchange *exchange;
	char *bytes;
	size_t at, size, room;
	int is_at_end;
};

static PyObject *answer_type, *input_type;

/* ---- wsgi.input ---- */

static int client_is_gone(void)
{
	PyErr_SetString(PyExc_ConnectionError, "the client went away");
	return -1;
}

/* More of the body behind what is there: 1; 0 at its end. */
static int input_fill(struct input_object *self)
{
	int64_t n;

	if (self->is_at_end || !self->exchange)
		return 0;
	if (self->at) {
		memmove(self->bytes, self->bytes + self->at, self->size - self->at);
		self->size -= self->at;
		self->at = 0;
	}
	if (self->room - self->size < READ_SIZE) {
		size_t room = self->room * 2 > self->size + READ_SIZE ? self->room * 2 : self->size + READ_SIZE;
		char *bytes = realloc(self->bytes, room);

		if (!bytes) {
			PyErr_NoMemory();
			return -1;
		}
		self->bytes = bytes;
		self->room = room;
	}
	Py_BEGIN_ALLOW_THREADS;
	n = hythe_exchange_read(self->exchange, self->bytes + self->size, READ_SIZE);
	Py_END_ALLOW_THREADS;
	if (n < 0)
		return client_is_gone();
	self->is_at_end = n == 0;
	self->size += (size_t)n;
	return n > 0;
}

static PyObject *input_take(struct input_object *self, size_t size)
{
	PyObject *bytes = PyBytes_FromStringAndSize(size ? self->bytes + self->at : "", (Py_ssize_t)size);

	if (bytes)
		self->at += size;
	return bytes;
}

static int size_argument(PyObject *arguments, Py_ssize_t *ret)
{
	PyObject *size = Py_None;

	*ret = -1;
	if (!PyArg_ParseTuple(arguments, "|O", &size))
		return -1;
	if (size != Py_None)
		*ret = PyLong_AsSsize_t(size);
	return *ret == -1 && PyErr_Occurred() ? -1 : 0;
}

static PyObject *input_read(struct input_object *self, PyObject *arguments)
{
	Py_ssize_t size;
	int more = 1;

	if (size_argument(arguments, &size) < 0)
		return NULL;
	while (more > 0 && (size < 0 || self->size - self->at < (size_t)size))
		more = input_fill(self);
	if (more < 0)
		return NULL;
	if (size < 0 || (size_t)size > self->size - self->at)
		return input_take(self, self->size - self->at);
	return input_take(self, (size_t)size);
}

static PyObject *line_take(struct input_object *self, Py_ssize_t most)
{
	size_t seen = 0;
	int more = 1;

	for (;;) {
		size_t have = self->size - self->at;
		char *end = have > seen ? memchr(self->bytes + self->at + seen, '\n', have - seen) : NULL;
		size_t line = end ? (size_t)(end - self->bytes) - self->at + 1 : have;

		if (most >= 0 && line >= (size_t)most)
			return input_take(self, (size_t)most);
		if (end || more == 0)
			return input_take(self, line);
		seen = have;
		more = input_fill(self);
		if (more < 0)
			return NULL;
	}
}

static PyObject *input_readline(struct input_object *self, PyObject *arguments)
{
	Py_ssize_t size;

	return size_argument(arguments, &size) < 0 ? NULL : line_take(self, size);
}

static PyObject *input_next(struct input_object *self)
{
	PyObject *line = line_take(self, -1);

	if (line && PyBytes_Size(line) == 0) {
		Py_DECREF(line);
		return NULL;
	}
	return line;
}

static PyObject *input_readlines(struct input_object *self, PyObject *arguments)
{
	AUTO_REF *lines = PyList_New(0);
	Py_ssize_t hint, total = 0;

	if (!lines || size_argument(arguments, &hint) < 0)
		return NULL;
	while (hint <= 0 || total < hint) {
		AUTO_REF *line = line_take(self, -1);

		if (!line || PyList_Append(lines, line) < 0)
			return NULL;
		if (PyBytes_Size(line) == 0) {
			PySequence_DelItem(lines, PyList_Size(lines) - 1);
			break;
		}
		total += PyBytes_Size(line);
	}
	return reference_take(&lines);
}

static PyObject *self_return(PyObject *self)
{
	Py_INCREF(self);
	return self;
}

static void free_object(PyObject *self)
{
	PyTypeObject *type = Py_TYPE(self);

	((freefunc)PyType_GetSlot(type, Py_tp_free))(self);
	Py_DECREF(type);
}

static void input_dealloc(struct input_object *self)
{
	free(self->bytes);
	free_object((PyObject *)self);
}

/* ---- start_response ---- */

static void answer_dealloc(struct answer_object *self)
{
	Py_XDECREF(self->status);
	Py_XDECREF(self->headers);
	free_object((PyObject *)self);
}

static int text_is_clean(PyObject *text, const char *what, struct hythe_bytes *ret, PyObject *kept)
{
	AUTO_REF *bytes = NULL;

	if (!PyUnicode_Check(text)) {
		PyErr_Format(PyExc_TypeError, "%s must be a str, not %R", what, (PyObject *)Py_TYPE(text));
		return 0;
	}
	bytes = PyUnicode_AsLatin1String(text);
	if (!bytes || PyList_Append(kept, bytes) < 0)
		return 0;
	ret->data = PyBytes_AsString(bytes);
	ret->size = (size_t)PyBytes_Size(bytes);
	for (size_t i = 0; i < ret->size; i++) {
		unsigned char c = (unsigned char)ret->data[i];

		if ((c < ' ' && c != '\t') || c == 0x7f) {
			PyErr_Format(PyExc_ValueError, "%s has a control character: %R", what, text);
			return 0;
		}
	}
	return 1;
}

/* "200 OK" */
static int status_parse(PyObject *status, int *ret, const char **ret_reason, PyObject *kept)
{
	struct hythe_bytes b;

	if (!text_is_clean(status, "the status", &b, kept))
		return 0;
	if (b.size < 3 || b.data[0] < '1' || b.data[0] > '9' || b.data[1] < '0' || b.data[1] > '9' || b.data[2] < '0' ||
	    b.data[2] > '9' || (b.size > 3 && b.data[3] != ' ')) {
		PyErr_Format(PyExc_ValueError, "the status must be as '200 OK', not %R", status);
		return 0;
	}
	*ret = (b.data[0] - '0') * 100 + (b.data[1] - '0') * 10 + b.data[2] - '0';
	*ret_reason = b.size > 4 ? b.data + 4 : "";
	return 1;
}

static int is_content_length(struct hythe_bytes name)
{
	return name.size == 14 && strncasecmp(name.data, "content-length", 14) == 0;
}

/* Sends the head, with the length when it is known (-1: not) and the application has not told it. */
static int head_send(struct answer_object *self, Py_ssize_t length)
{
	Py_ssize_t count = self->headers ? PyList_Size(self->headers) : 0;
	AUTO_REF *kept = PyList_New(0);
	struct hythe_header *headers;
	const char *reason;
	int status, ok = 0, has_length = 0;
	size_t n = 0;
	char digits[24];

	if (!self->status) {
		PyErr_SetString(PyExc_AssertionError, "the application has not called start_response()");
		return -1;
	}
	headers = calloc((size_t)count + 1, sizeof(*headers));
	if (!kept || !headers || !status_parse(self->status, &status, &reason, kept))
		goto out;
	for (Py_ssize_t i = 0; i < count; i++) {
		PyObject *pair = PyList_GetItem(self->headers, i);

		if (!pair || !PyTuple_Check(pair) || PyTuple_Size(pair) != 2) {
			PyErr_SetString(PyExc_TypeError, "headers must be a list of (name, value)");
			goto out;
		}
		if (!text_is_clean(PyTuple_GetItem(pair, 0), "a header's name", &headers[n].name, kept) ||
		    !text_is_clean(PyTuple_GetItem(pair, 1), "a header's value", &headers[n].value, kept))
			goto out;
		has_length |= is_content_length(headers[n].name);
		n++;
	}
	if (!has_length && length >= 0 && status >= 200 && status != 204 && status != 304) {
		headers[n].name = (struct hythe_bytes){ "content-length", 14 };
		headers[n].value.data = digits;
		headers[n++].value.size = (size_t)snprintf(digits, sizeof(digits), "%zd", length);
	}
	ok = hythe_exchange_head(self->exchange, status, reason, headers, n);
	if (!ok)
		PyErr_SetString(PyExc_AssertionError, "the head was sent already");
out:
	free(headers);
	return ok ? 0 : -1;
}

static int bytes_send(struct answer_object *self, PyObject *bytes)
{
	char *data;
	Py_ssize_t size;
	int ok;

	if (PyBytes_AsStringAndSize(bytes, &data, &size) < 0)
		return -1;
	if (size == 0)
		return 0;
	Py_BEGIN_ALLOW_THREADS;
	ok = hythe_exchange_write(self->exchange, data, (size_t)size);
	Py_END_ALLOW_THREADS;
	return ok ? 0 : client_is_gone();
}

static PyObject *answer_write(struct answer_object *self, PyObject *bytes)
{
	if (!self->exchange) {
		PyErr_SetString(PyExc_RuntimeError, "the request is over");
		return NULL;
	}
	if (!hythe_exchange_has_head(self->exchange) && head_send(self, -1) < 0)
		return NULL;
	if (bytes_send(self, bytes) < 0)
		return NULL;
	Py_RETURN_NONE;
}

/* Raises what exc_info has. */
static void raise_again(PyObject *exc_info)
{
	PyObject *part[3] = { NULL, NULL, NULL };

	for (Py_ssize_t i = 0; i < 3 && PyTuple_Check(exc_info) && i < PyTuple_Size(exc_info); i++) {
		part[i] = PyTuple_GetItem(exc_info, i);
		Py_XINCREF(part[i]);
	}
	PyErr_Restore(part[0], part[1], part[2]);
}

static PyObject *answer_call(struct answer_object *self, PyObject *arguments, PyObject *named)
{
	static const char *const keywords[] = { "status", "headers", "exc_info", NULL };
	PyObject *status, *headers, *exc_info = Py_None;

	if (!PyArg_ParseTupleAndKeywords(arguments, named, "OO|O:start_response", (char **)(uintptr_t)keywords, &status,
					 &headers, &exc_info))
		return NULL;
	if (!self->exchange) {
		PyErr_SetString(PyExc_RuntimeError, "the request is over");
		return NULL;
	}
	if (!PyUnicode_Check(status) || !PyList_Check(headers)) {
		PyErr_SetString(PyExc_TypeError, "start_response() takes a str and a list of (name, value)");
		return NULL;
	}
	if (exc_info != Py_None && hythe_exchange_has_head(self->exchange)) {
		raise_again(exc_info);
		return NULL;
	}
	if (exc_info == Py_None && self->status) {
		PyErr_SetString(PyExc_AssertionError, "start_response() was called already, and without exc_info");
		return NULL;
	}
	Py_INCREF(status);
	Py_INCREF(headers);
	Py_XDECREF(self->status);
	Py_XDECREF(self->headers);
	self->status = status;
	self->headers = headers;
	return PyObject_GetAttrString((PyObject *)self, "write");
}

/* ---- environ ---- */

static PyObject *latin1(struct hythe_bytes b)
{
	return PyUnicode_DecodeLatin1(b.data ? b.data : "", (Py_ssize_t)b.size, NULL);
}

static int put(PyObject *environ, const char *key, PyObject *value)
{
	AUTO_REF *held = value;

	return held ? PyDict_SetItemString(environ, key, held) : -1;
}

static int hex(char c)
{
	return c >= '0' && c <= '9' ? c - '0' : (c | 32) >= 'a' && (c | 32) <= 'f' ? (c | 32) - 'a' + 10 : -1;
}

static PyObject *path_decoded(struct hythe_bytes path)
{
	char small[512], *to = path.size > sizeof(small) ? malloc(path.size) : small;
	PyObject *text;
	size_t n = 0;

	if (!to)
		return PyErr_NoMemory();
	for (size_t i = 0; i < path.size; i++) {
		if (path.data[i] == '%' && i + 2 < path.size && hex(path.data[i + 1]) >= 0 &&
		    hex(path.data[i + 2]) >= 0) {
			to[n++] = (char)(hex(path.data[i + 1]) * 16 + hex(path.data[i + 2]));
			i += 2;
		} else {
			to[n++] = path.data[i];
		}
	}
	text = PyUnicode_DecodeLatin1(to, (Py_ssize_t)n, NULL);
	if (to != small)
		free(to);
	return text;
}

/* "host:port" into two keys; `port` without one. */
static int put_place(PyObject *environ, const char *host_key, const char *port_key, struct hythe_bytes place,
		     const char *port)
{
	const char *colon = place.size ? memrchr(place.data, ':', place.size) : NULL;
	struct hythe_bytes host = place, number = { port, strlen(port) };

	if (colon && !memchr(colon, ']', place.size - (size_t)(colon - place.data))) {
		host.size = (size_t)(colon - place.data);
		number = (struct hythe_bytes){ colon + 1, place.size - host.size - 1 };
	}
	if (host.size > 1 && host.data[0] == '[' && host.data[host.size - 1] == ']')
		host = (struct hythe_bytes){ host.data + 1, host.size - 2 };
	return put(environ, host_key, latin1(host)) < 0 || put(environ, port_key, latin1(number)) < 0 ? -1 : 0;
}

static int bytes_are(struct hythe_bytes b, const char *text)
{
	return b.size == strlen(text) && memcmp(b.data, text, b.size) == 0;
}

/* A header comes again: lists are joined by commas, cookies by semicolons. */
static int header_join(PyObject *environ, PyObject *key, PyObject *value, int is_cookie)
{
	PyObject *before = PyDict_GetItem(environ, key);
	AUTO_REF *joined = NULL;

	if (!before)
		return PyDict_SetItem(environ, key, value);
	joined = PyUnicode_FromFormat(is_cookie ? "%U; %U" : "%U,%U", before, value);
	return joined ? PyDict_SetItem(environ, key, joined) : -1;
}

static int put_header(PyObject *environ, const struct hythe_header *h)
{
	AUTO_REF *key = NULL, *value = NULL;
	char name[256] = "HTTP_";

	/* An underscore would pass for a hyphen; a Proxy header would name a proxy to CGI's heirs. */
	if (h->name.size > sizeof(name) - 6 || memchr(h->name.data, '_', h->name.size) || bytes_are(h->name, "proxy"))
		return 0;
	for (size_t i = 0; i < h->name.size; i++) {
		char c = h->name.data[i];

		name[5 + i] = (char)(c == '-' ? '_' : c >= 'a' && c <= 'z' ? c - 32 : c);
	}
	if (bytes_are(h->name, "content-type") || bytes_are(h->name, "content-length"))
		key = PyUnicode_FromStringAndSize(name + 5, (Py_ssize_t)h->name.size);
	else
		key = PyUnicode_FromStringAndSize(name, (Py_ssize_t)h->name.size + 5);
	value = latin1(h->value);
	return key && value ? header_join(environ, key, value, bytes_are(h->name, "cookie")) : -1;
}

static PyObject *environ_new(const struct app_state *state, hythe_exchange *x, PyObject *input)
{
	AUTO_REF *environ = PyDict_Copy(state->environ);
	const struct hythe_header *headers;
	size_t count = hythe_exchange_headers(x, &headers);
	struct hythe_bytes scheme = hythe_exchange_scheme(x), authority = hythe_exchange_authority(x);

	if (!environ)
		return NULL;
	for (size_t i = 0; i < count; i++) {
		if (put_header(environ, &headers[i]) < 0)
			return NULL;
	}
	if (put(environ, "REQUEST_METHOD", latin1(hythe_exchange_method(x))) < 0 ||
	    put(environ, "PATH_INFO", path_decoded(hythe_exchange_path(x))) < 0 ||
	    put(environ, "QUERY_STRING", latin1(hythe_exchange_query(x))) < 0 ||
	    put(environ, "SERVER_PROTOCOL", latin1(hythe_exchange_version(x))) < 0 ||
	    put(environ, "wsgi.url_scheme", latin1(scheme)) < 0 ||
	    put_place(environ, "REMOTE_ADDR", "REMOTE_PORT", hythe_exchange_peer(x), "") < 0 ||
	    PyDict_SetItemString(environ, "wsgi.input", input) < 0)
		return NULL;
	if (authority.size && (put(environ, "HTTP_HOST", latin1(authority)) < 0 ||
			       put_place(environ, "SERVER_NAME", "SERVER_PORT", authority,
					 bytes_are(scheme, "https") ? "443" : "80") < 0))
		return NULL;
	return reference_take(&environ);
}

/* ---- one request ---- */

static int iterate(struct answer_object *answer, PyObject *result)
{
	int is_single = (PyList_Check(result) || PyTuple_Check(result)) && PySequence_Size(result) == 1;
	AUTO_REF *iterator = PyObject_GetIter(result);
	PyObject *item;

	if (!iterator)
		return -1;
	while ((item = PyIter_Next(iterator))) {
		AUTO_REF *held = item;

		if (!PyBytes_Check(item)) {
			PyErr_Format(PyExc_TypeError, "an application's answer is made of bytes, not %R",
				     (PyObject *)Py_TYPE(item));
			return -1;
		}
		if (PyBytes_Size(item) == 0)
			continue;
		if (!hythe_exchange_has_head(answer->exchange) &&
		    head_send(answer, is_single ? PyBytes_Size(item) : -1) < 0)
			return -1;
		if (bytes_send(answer, item) < 0)
			return -1;
	}
	if (PyErr_Occurred())
		return -1;
	if (!hythe_exchange_has_head(answer->exchange) && head_send(answer, 0) < 0)
		return -1;
	hythe_exchange_end(answer->exchange);
	return 0;
}

/* close() is called whatever happened before; an exception from before is kept. */
static int result_close(PyObject *result)
{
	PyObject *type, *value, *trace;
	AUTO_REF *close = NULL, *done = NULL;

	PyErr_Fetch(&type, &value, &trace);
	close = PyObject_GetAttrString(result, "close");
	if (!close)
		PyErr_Clear();
	else
		done = PyObject_CallObject(close, NULL);
	if (!type)
		return close && !done ? -1 : 0;
	PyErr_Clear();
	PyErr_Restore(type, value, trace);
	return -1;
}

static int application_run(const struct app_state *state, struct answer_object *answer, PyObject *input)
{
	AUTO_REF *environ = environ_new(state, answer->exchange, input);
	AUTO_REF *result =
	    environ ? PyObject_CallFunctionObjArgs(state->application, environ, (PyObject *)answer, NULL) : NULL;

	if (!result)
		return -1;
	(void)iterate(answer, result);
	return result_close(result);
}

/* The traceback goes to `failed`; without a head the library answers 500. */
static void report(const struct app_state *state, hythe_exchange *x)
{
	PyObject *type, *value, *trace;
	AUTO_REF *id = NULL, *done = NULL;

	PyErr_Fetch(&type, &value, &trace);
	PyErr_NormalizeException(&type, &value, &trace);
	if (trace)
		PyException_SetTraceback(value, trace);
	id = text_from(hythe_exchange_id(x));
	done = id ? PyObject_CallFunctionObjArgs(state->failed, id, value, NULL) : NULL;
	if (!done)
		PyErr_WriteUnraisable(state->failed);
	Py_XDECREF(type);
	Py_XDECREF(value);
	Py_XDECREF(trace);
}

static void wsgi_serve(void *context, hythe_exchange *x)
{
	struct host_object *host = context;
	const struct app_state *state = host->app_state;
	struct answer_object *answer;
	struct input_object *input;

	python_enter();
	answer = (struct answer_object *)PyObject_CallObject(answer_type, NULL);
	input = (struct input_object *)PyObject_CallObject(input_type, NULL);
	if (answer && input) {
		answer->exchange = input->exchange = x;
		if (application_run(state, answer, (PyObject *)input) < 0)
			report(state, x);
		answer->exchange = input->exchange = NULL;
	} else {
		report(state, x);
	}
	Py_XDECREF((PyObject *)answer);
	Py_XDECREF((PyObject *)input);
	python_leave();
}

/* ---- the module ---- */

int app_take(struct host_object *host, PyObject *app, struct hythe_app *ret)
{
	struct app_state *state;
	PyObject *application, *environ, *failed;
	const char *kind;

	if (!PyTuple_Check(app)) {
		PyErr_SetString(PyExc_TypeError, "app must be a tuple: ('wsgi', application, environ, failed)");
		return -1;
	}
	if (!PyArg_ParseTuple(app, "sOO!O:app", &kind, &application, &PyDict_Type, &environ, &failed))
		return -1;
	if (strcmp(kind, "wsgi") != 0) {
		PyErr_Format(PyExc_ValueError, "there is no kind of application '%s'", kind);
		return -1;
	}
	state = calloc(1, sizeof(*state));
	if (!state) {
		PyErr_NoMemory();
		return -1;
	}
	*state = (struct app_state){ application, environ, failed }; /* host->app keeps them */
	host->app_state = state;
	ret->context = host;
	ret->serve = wsgi_serve;
	return 0;
}

void app_drop(struct host_object *host)
{
	free(host->app_state);
	host->app_state = NULL;
}

#define METHOD(function, flags, doc) (PyCFunction)(void (*)(void))(function), flags, doc

static PyMethodDef answer_methods[] = {
	{ "write", METHOD(answer_write, METH_O, "write(bytes)\n--\n\nSends bytes at once.") },
	{ NULL, NULL, 0, NULL },
};
static PyMethodDef input_methods[] = {
	{ "read", METHOD(input_read, METH_VARARGS, "read(size=-1)\n--\n\nSo many bytes, or all.") },
	{ "readline", METHOD(input_readline, METH_VARARGS, "readline(size=-1)\n--\n\nA line.") },
	{ "readlines", METHOD(input_readlines, METH_VARARGS, "readlines(hint=-1)\n--\n\nA list of lines.") },
	{ NULL, NULL, 0, NULL },
};
#define SLOT(function) ((void *)(uintptr_t)(function))

int app_add(PyObject *module)
{
	static PyType_Slot answer_slots[] = { { Py_tp_dealloc, SLOT(answer_dealloc) },
					      { Py_tp_call, SLOT(answer_call) },
					      { Py_tp_methods, answer_methods },
					      { 0, NULL } };
	static PyType_Slot input_slots[] = { { Py_tp_dealloc, SLOT(input_dealloc) },
					     { Py_tp_iter, SLOT(self_return) },
					     { Py_tp_iternext, SLOT(input_next) },
					     { Py_tp_methods, input_methods },
					     { 0, NULL } };
	static PyType_Spec answer_spec = { "hythe._hythe.StartResponse", sizeof(struct answer_object), 0,
					   Py_TPFLAGS_DEFAULT, answer_slots };
	static PyType_Spec input_spec = { "hythe._hythe.Input", sizeof(struct input_object), 0, Py_TPFLAGS_DEFAULT,
					  input_slots };

	(void)module;
	answer_type = PyType_FromSpec(&answer_spec);
	input_type = PyType_FromSpec(&input_spec);
	return answer_type && input_type ? 0 : -1;
}
