/* SPDX-License-Identifier: Apache-2.0 */
/* exchange - class Exchange: a request and its answer, for an event loop of Python's. */
#include "app.h"

#include <stdlib.h>
#include <string.h>

enum { SCOPE_PATH_MAX = 1 << 20 };

struct exchange_object {
	PyObject_HEAD hythe_exchange *exchange; /* NULL once it is released */
	int is_borrowed;                        /* of a thread that serves it: no release */
};

static PyObject *exchange_type;
static PyObject *word_type, *word_asgi, *word_http, *word_websocket, *word_http_version, *word_server, *word_client,
    *word_scheme, *word_root_path, *word_method, *word_path, *word_raw_path, *word_query_string, *word_headers,
    *word_host, *word_empty;

static PyObject *bytes_from(struct hythe_bytes b)
{
	return PyBytes_FromStringAndSize(b.data, (Py_ssize_t)b.size);
}

static struct exchange_object *exchange_new(hythe_exchange *x, int is_borrowed)
{
	struct exchange_object *self = (struct exchange_object *)PyType_GenericAlloc((PyTypeObject *)exchange_type, 0);

	if (self) {
		self->exchange = x;
		self->is_borrowed = is_borrowed;
	}
	return self;
}

PyObject *exchange_for(hythe_exchange *x)
{
	return (PyObject *)exchange_new(x, 1);
}

void exchange_forget(PyObject *exchange)
{
	((struct exchange_object *)exchange)->exchange = NULL;
}

static int is_here(const struct exchange_object *self)
{
	if (self->exchange)
		return 1;
	PyErr_SetString(PyExc_RuntimeError, "the exchange is over");
	return 0;
}

static void dealloc(struct exchange_object *self)
{
	PyTypeObject *type = Py_TYPE(self);

	((freefunc)PyType_GetSlot(type, Py_tp_free))(self);
	Py_DECREF(type);
}

/* ---- the question ---- */

/* "127.0.0.1:41234" as ("127.0.0.1", 41234); None for what has no port. */
static PyObject *address_from(struct hythe_bytes text)
{
	size_t colon = text.size;
	long port = 0;

	while (colon > 0 && text.data[colon - 1] != ':')
		colon--;
	if (colon == 0)
		Py_RETURN_NONE;
	for (size_t i = colon; i < text.size; i++)
		port = port * 10 + (text.data[i] - '0');
	return Py_BuildValue("(s#l)", text.data, (Py_ssize_t)(colon - 1), port);
}

static PyObject *header_list(const hythe_exchange *x)
{
	const struct hythe_header *headers;
	size_t count = hythe_exchange_headers(x, &headers);
	struct hythe_bytes host = hythe_exchange_authority(x);
	AUTO_REF *list = PyList_New(0);
	int has_host = host.size == 0;

	for (size_t i = 0; list && i < count; i++)
		has_host |= headers[i].name.size == 4 && memcmp(headers[i].name.data, "host", 4) == 0;
	for (size_t i = 0; list && i < count + !has_host; i++) {
		AUTO_REF *name = i < count ? bytes_from(headers[i].name) : PyObject_Bytes(word_host);
		AUTO_REF *value = bytes_from(i < count ? headers[i].value : host);
		AUTO_REF *pair = name && value ? PyTuple_Pack(2, name, value) : NULL;

		if (!pair || PyList_Append(list, pair) < 0)
			return NULL;
	}
	return reference_take(&list);
}

static int put(PyObject *dict, PyObject *key, PyObject *value)
{
	int result = value ? PyDict_SetItem(dict, key, value) : -1;

	Py_XDECREF(value);
	return result;
}

static PyObject *path_text(struct hythe_bytes path)
{
	char small[512], *to = path.size <= sizeof(small) ? small : malloc(path.size);
	PyObject *text = NULL;

	if (to)
		text = PyUnicode_DecodeUTF8(to, (Py_ssize_t)path_decode(path, to), "replace");
	else
		PyErr_NoMemory();
	if (to != small)
		free(to);
	return text;
}

/* "HTTP/1.1" as "1.1" */
static struct hythe_bytes version_number(struct hythe_bytes version)
{
	return version.size > 5 ? (struct hythe_bytes){ version.data + 5, version.size - 5 } : version;
}

/* scope(asgi): the dict of ASGI's HTTP and WebSocket scopes but for `state` and `extensions`. */
static PyObject *scope(struct exchange_object *self, PyObject *asgi)
{
	const hythe_exchange *x = self->exchange;
	AUTO_REF *dict = NULL;
	int is_websocket;

	if (!is_here(self))
		return NULL;
	is_websocket = hythe_exchange_is_websocket(x);
	dict = PyDict_New();
	if (!dict || PyDict_SetItem(dict, word_type, is_websocket ? word_websocket : word_http) < 0 ||
	    PyDict_SetItem(dict, word_asgi, asgi) < 0 || PyDict_SetItem(dict, word_root_path, word_empty) < 0 ||
	    put(dict, word_http_version, latin_from(version_number(hythe_exchange_version(x)))) < 0 ||
	    put(dict, word_server, address_from(hythe_exchange_authority(x))) < 0 ||
	    put(dict, word_client, address_from(hythe_exchange_peer(x))) < 0 ||
	    put(dict, word_scheme, latin_from(hythe_exchange_scheme(x))) < 0 ||
	    put(dict, word_path, path_text(hythe_exchange_path(x))) < 0 ||
	    put(dict, word_raw_path, bytes_from(hythe_exchange_path(x))) < 0 ||
	    put(dict, word_query_string, bytes_from(hythe_exchange_query(x))) < 0 ||
	    put(dict, word_headers, header_list(x)) < 0 ||
	    (!is_websocket && put(dict, word_method, latin_from(hythe_exchange_method(x))) < 0))
		return NULL;
	return reference_take(&dict);
}

static PyObject *get_id(struct exchange_object *self, void *closure)
{
	(void)closure;
	return is_here(self) ? latin_from(hythe_exchange_id(self->exchange)) : NULL;
}

static PyObject *get_is_websocket(struct exchange_object *self, void *closure)
{
	(void)closure;
	return is_here(self) ? PyBool_FromLong(hythe_exchange_is_websocket(self->exchange)) : NULL;
}

static PyObject *want(struct exchange_object *self, PyObject *size)
{
	size_t bytes = PyLong_AsSize_t(size);

	if (PyErr_Occurred())
		return NULL;
	if (self->exchange)
		hythe_exchange_want(self->exchange, bytes);
	Py_RETURN_NONE;
}

/* read(size): for threads that serve; b"" at the end, OSError when the client is gone. */
static PyObject *read_body(struct exchange_object *self, PyObject *size)
{
	size_t most = PyLong_AsSize_t(size);
	AUTO_REF *bytes = NULL;
	hythe_exchange *x = self->exchange;
	int64_t n;

	if (PyErr_Occurred() || !is_here(self))
		return NULL;
	bytes = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)most);
	if (!bytes)
		return NULL;
	Py_BEGIN_ALLOW_THREADS;
	n = hythe_exchange_read(x, PyBytes_AsString(bytes), most);
	Py_END_ALLOW_THREADS;
	if (n < 0) {
		PyErr_SetString(PyExc_ConnectionResetError, "the client went away");
		return NULL;
	}
	return (size_t)n == most ? reference_take(&bytes)
				 : PyBytes_FromStringAndSize(PyBytes_AsString(bytes), (Py_ssize_t)n);
}

/* ---- the answer ---- */

/* Pairs of bytes, as ASGI has them (or of strings). */
static int headers_take(PyObject *pairs, struct answer_headers *ret)
{
	AUTO_REF *list = PySequence_List(pairs);
	Py_ssize_t count = list ? PyList_Size(list) : -1;

	*ret = (struct answer_headers){ 0 };
	if (count < 0)
		return -1;
	ret->items = calloc((size_t)count + 1, sizeof(*ret->items));
	ret->kept = PyList_New(0);
	if (!ret->items || !ret->kept)
		return -1;
	for (Py_ssize_t i = 0; i < count; i++) {
		AUTO_REF *pair = PySequence_List(PyList_GetItem(list, i));
		AUTO_REF *name = NULL, *value = NULL;
		struct hythe_header *h = &ret->items[i];

		if (!pair || PyList_Size(pair) != 2) {
			PyErr_SetString(PyExc_ValueError, "a header is a pair of a name and a value");
			return -1;
		}
		if (PyList_Append(ret->kept, pair) < 0 || latin_to(PyList_GetItem(pair, 0), &h->name, &name) < 0 ||
		    (name && PyList_Append(ret->kept, name) < 0) ||
		    latin_to(PyList_GetItem(pair, 1), &h->value, &value) < 0 ||
		    (value && PyList_Append(ret->kept, value) < 0))
			return -1;
	}
	ret->count = (size_t)count;
	return 0;
}

/* Bytes, or anything with a buffer of bytes. */
static int body_take(PyObject *object, struct hythe_bytes *ret, PyObject **ret_keep)
{
	Py_ssize_t size;
	char *data;

	*ret_keep = PyBytes_Check(object) ? NULL : PyBytes_FromObject(object);
	if (*ret_keep)
		object = *ret_keep;
	if (!PyBytes_Check(object) || PyBytes_AsStringAndSize(object, &data, &size) < 0)
		return -1;
	*ret = (struct hythe_bytes){ data, (size_t)size };
	return 0;
}

static PyObject *start(struct exchange_object *self, PyObject *arguments)
{
	struct answer_headers headers;
	PyObject *pairs;
	int status, ok;

	if (!PyArg_ParseTuple(arguments, "iO:start", &status, &pairs))
		return NULL;
	ok = headers_take(pairs, &headers) == 0;
	if (ok && self->exchange)
		hythe_exchange_start(self->exchange, status, headers.items, headers.count);
	answer_headers_done(&headers);
	if (!ok)
		return NULL;
	Py_RETURN_NONE;
}

/* answer(status, headers, body): all at once. */
static PyObject *answer(struct exchange_object *self, PyObject *arguments)
{
	struct answer_headers headers;
	AUTO_REF *keep = NULL;
	struct hythe_bytes body;
	PyObject *pairs, *object;
	int status, ok;

	if (!PyArg_ParseTuple(arguments, "iOO:answer", &status, &pairs, &object) || body_take(object, &body, &keep) < 0)
		return NULL;
	ok = headers_take(pairs, &headers) == 0;
	if (ok && self->exchange)
		hythe_exchange_answer(self->exchange, status, NULL, headers.items, headers.count, body.data, body.size);
	answer_headers_done(&headers);
	if (!ok)
		return NULL;
	Py_RETURN_NONE;
}

static PyObject *put_bytes(struct exchange_object *self, PyObject *object)
{
	AUTO_REF *keep = NULL;
	struct hythe_bytes body;

	if (body_take(object, &body, &keep) < 0)
		return NULL;
	return PyLong_FromSize_t(self->exchange ? hythe_exchange_put(self->exchange, body.data, body.size) : 0);
}

static PyObject *finish(struct exchange_object *self, PyObject *none)
{
	(void)none;
	if (self->exchange)
		hythe_exchange_finish(self->exchange);
	Py_RETURN_NONE;
}

static PyObject *accept(struct exchange_object *self, PyObject *arguments)
{
	struct answer_headers headers;
	const char *subprotocol;
	PyObject *pairs;
	int ok;

	if (!PyArg_ParseTuple(arguments, "zO:accept", &subprotocol, &pairs))
		return NULL;
	ok = headers_take(pairs, &headers) == 0;
	if (ok && self->exchange)
		hythe_exchange_accept(self->exchange, subprotocol, headers.items, headers.count);
	answer_headers_done(&headers);
	if (!ok)
		return NULL;
	Py_RETURN_NONE;
}

/* message(str | bytes): the bytes unsent now. */
static PyObject *message(struct exchange_object *self, PyObject *object)
{
	int is_text = PyUnicode_Check(object);
	AUTO_REF *keep = NULL;
	struct hythe_bytes body;
	Py_ssize_t size;

	if (is_text) {
		body.data = PyUnicode_AsUTF8AndSize(object, &size);
		if (!body.data)
			return NULL;
		body.size = (size_t)size;
	} else if (body_take(object, &body, &keep) < 0) {
		return NULL;
	}
	return PyLong_FromSize_t(self->exchange ? hythe_exchange_message(self->exchange, is_text, body.data, body.size)
						: 0);
}

static PyObject *close_socket(struct exchange_object *self, PyObject *arguments)
{
	const char *reason = NULL;
	int code = 1000;

	if (!PyArg_ParseTuple(arguments, "|iz:close", &code, &reason))
		return NULL;
	if (self->exchange)
		hythe_exchange_close(self->exchange, code, reason);
	Py_RETURN_NONE;
}

static PyObject *release(struct exchange_object *self, PyObject *none)
{
	hythe_exchange *x = self->exchange;

	(void)none;
	if (x && !self->is_borrowed) {
		self->exchange = NULL;
		hythe_exchange_own(x, NULL);
		hythe_exchange_release(x);
		Py_DECREF((PyObject *)self); /* the owner's */
	}
	Py_RETURN_NONE;
}

/* ---- events ---- */

static PyObject *event_tuple(const struct hythe_event *e, PyObject *exchange)
{
	PyObject *bytes = e->kind == HYTHE_EVENT_TEXT || e->kind == HYTHE_EVENT_CLOSED
			      ? PyUnicode_DecodeUTF8(e->bytes.data, (Py_ssize_t)e->bytes.size, "replace")
			      : bytes_from(e->bytes);

	return bytes ? Py_BuildValue("(iONii)", e->kind, exchange, bytes, e->is_last, e->code) : NULL;
}

/* events(host): a list of (kind, exchange, bytes or text, is_last, code); the exchange is None for STOP. */
static PyObject *exchange_events(PyObject *module, PyObject *host)
{
	hythe_host *h = ((struct host_object *)host)->host;
	struct hythe_event e = { .size = sizeof(e) };
	AUTO_REF *list = PyList_New(0);

	(void)module;
	while (list && h && hythe_events_next(h, &e)) {
		PyObject *exchange = e.owner;
		AUTO_REF *tuple = NULL;

		if (e.kind == HYTHE_EVENT_REQUEST) {
			exchange = (PyObject *)exchange_new(e.exchange, 0);
			if (!exchange)
				return NULL;
			hythe_exchange_own(e.exchange, exchange);
		} else if (e.exchange && !exchange) {
			continue; /* released meanwhile */
		}
		tuple = event_tuple(&e, exchange ? exchange : Py_None);
		if (!tuple || PyList_Append(list, tuple) < 0)
			return NULL;
	}
	return reference_take(&list);
}

static PyObject *events_fd(PyObject *module, PyObject *host)
{
	hythe_host *h = ((struct host_object *)host)->host;

	(void)module;
	return PyLong_FromLong(h ? hythe_events_fd(h) : -1);
}

/* ---- the type ---- */

static PyMethodDef methods[] = {
	{ "scope", (PyCFunction)(void (*)(void))scope, METH_O, "scope(asgi)\n--\n\nThe connection scope of ASGI." },
	{ "want", (PyCFunction)(void (*)(void))want, METH_O,
	  "want(size)\n--\n\nLets so many more bytes of the body come." },
	{ "read", (PyCFunction)(void (*)(void))read_body, METH_O,
	  "read(size)\n--\n\nSome bytes of the body; b'' at its end. Blocks." },
	{ "start", (PyCFunction)(void (*)(void))start, METH_VARARGS,
	  "start(status, headers)\n--\n\nThe head of the answer." },
	{ "answer", (PyCFunction)(void (*)(void))answer, METH_VARARGS,
	  "answer(status, headers, body)\n--\n\nThe whole answer." },
	{ "put", (PyCFunction)(void (*)(void))put_bytes, METH_O,
	  "put(body)\n--\n\nA part of the answer; tells the bytes unsent." },
	{ "finish", (PyCFunction)(void (*)(void))finish, METH_NOARGS, "finish()\n--\n\nThe answer's end." },
	{ "accept", (PyCFunction)(void (*)(void))accept, METH_VARARGS,
	  "accept(subprotocol, headers)\n--\n\nAccepts a WebSocket." },
	{ "message", (PyCFunction)(void (*)(void))message, METH_O,
	  "message(text_or_bytes)\n--\n\nSends one; tells the bytes unsent." },
	{ "close", (PyCFunction)(void (*)(void))close_socket, METH_VARARGS,
	  "close(code=1000, reason=None)\n--\n\nCloses a WebSocket." },
	{ "release", (PyCFunction)(void (*)(void))release, METH_NOARGS,
	  "release()\n--\n\nIs done with it; cuts off what is unfinished." },
	{ NULL, NULL, 0, NULL },
};

static PyGetSetDef properties[] = {
	{ "id", (getter)(void (*)(void))get_id, NULL, "The request's id.", NULL },
	{ "is_websocket", (getter)(void (*)(void))get_is_websocket, NULL, "Asks for a WebSocket.", NULL },
	{ NULL, NULL, NULL, NULL, NULL },
};

static PyMethodDef functions[] = {
	{ "events", exchange_events, METH_O,
	  "events(host)\n--\n\nWhat has happened: (kind, exchange, bytes, is_last, code)." },
	{ "events_fd", events_fd, METH_O, "events_fd(host)\n--\n\nReadable while there are events." },
	{ NULL, NULL, 0, NULL },
};

static int words_make(void)
{
	const struct {
		PyObject **word;
		const char *text;
	} rows[] = {
		{ &word_type, "type" },
		{ &word_asgi, "asgi" },
		{ &word_http, "http" },
		{ &word_websocket, "websocket" },
		{ &word_http_version, "http_version" },
		{ &word_server, "server" },
		{ &word_client, "client" },
		{ &word_scheme, "scheme" },
		{ &word_root_path, "root_path" },
		{ &word_method, "method" },
		{ &word_path, "path" },
		{ &word_raw_path, "raw_path" },
		{ &word_query_string, "query_string" },
		{ &word_headers, "headers" },
		{ &word_empty, "" },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		*rows[i].word = PyUnicode_InternFromString(rows[i].text);
		if (!*rows[i].word)
			return -1;
	}
	word_host = PyBytes_FromString("host");
	return word_host ? 0 : -1;
}

int exchange_init(PyObject *module)
{
	static PyType_Slot slots[] = {
		{ Py_tp_doc, (void *)(uintptr_t) "A request and its answer. For one thread." },
		{ Py_tp_dealloc, (void *)(uintptr_t)dealloc },
		{ Py_tp_methods, methods },
		{ Py_tp_getset, properties },
		{ 0, NULL },
	};
	static PyType_Spec spec = { .name = "hythe._hythe.Exchange",
				    .basicsize = sizeof(struct exchange_object),
				    .flags = Py_TPFLAGS_DEFAULT,
				    .slots = slots };

	exchange_type = PyType_FromSpec(&spec);
	if (!exchange_type || words_make() < 0)
		return -1;
	Py_INCREF(exchange_type);
	return PyModule_AddObject(module, "Exchange", exchange_type) < 0 || PyModule_AddFunctions(module, functions) < 0
		   ? -1
		   : 0;
}
