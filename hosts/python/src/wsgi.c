/* SPDX-License-Identifier: Apache-2.0 */
/*
 * wsgi - the driver of WSGI (PEP 3333): environ, start_response(), the iterable, its close().
 *
 * An answer whose whole body is known at its first block (a list of one, or a block as long as Content-Length says) goes out in
 * one piece. Otherwise each block is sent before the next one is asked for.
 */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "app.h"

enum { BODY_WHOLE_MAX = 64 * 1024, KEY_MAX = 256, NAMES_KEPT = 64, NAME_KEPT_MAX = 32 };

/* The names of environ's keys that every request has, made once. */
static struct {
	PyObject *method, *script, *path, *query, *raw_uri, *protocol, *server_name, *server_port, *remote_addr,
	    *remote_port, *host, *content_type, *content_length, *scheme, *input, *request_id;
	PyObject *write, *close, *http, *http_1_1, *get, *post;
	/* Keys of headers that came before, by a hash of their names: the strings, and their hashes, are not made again. */
	struct {
		char name[NAME_KEPT_MAX];
		size_t size;
		PyObject *key;
	} names[NAMES_KEPT];
	PyObject *bytes_io; /* io.BytesIO */
	PyObject *starter_type;
} wsgi;

/* Of a host. Borrowed from its tuple. */
struct wsgi_state {
	PyObject *application;
	PyObject *environ;      /* what every request's begins with */
	PyObject *failed;       /* failed(id, type, error, traceback): the traceback's text */
	PyObject *body_reader;  /* body_reader(exchange): wsgi.input for a body that is not here yet */
	PyObject *file_wrapper; /* the class */
	/* Of the last request's Host: most come to the same one. Owned. */
	PyObject *host, *server_name, *server_port;
};

/* ---- start_response() ---- */

struct starter {
	PyObject_HEAD hythe_exchange *exchange; /* NULL once the call is over */
	PyObject *status, *headers;
	int has_head; /* it has been sent */
};

static void starter_dealloc(struct starter *self)
{
	PyTypeObject *type = Py_TYPE(self);

	Py_XDECREF(self->status);
	Py_XDECREF(self->headers);
	((freefunc)PyType_GetSlot(type, Py_tp_free))(self);
	Py_DECREF(type);
}

static int raise_again(PyObject *exc_info)
{
	PyObject *type, *value, *trace;

	if (!PyArg_ParseTuple(exc_info, "OOO", &type, &value, &trace))
		return -1;
	Py_INCREF(type);
	Py_INCREF(value);
	Py_INCREF(trace);
	PyErr_Restore(type, value, trace);
	return -1;
}

static int status_check(PyObject *status)
{
	Py_ssize_t size;
	const char *text = PyUnicode_Check(status) ? PyUnicode_AsUTF8AndSize(status, &size) : NULL;

	if (text && size >= 3 && text[0] >= '1' && text[0] <= '9' && text[1] >= '0' && text[1] <= '9' &&
	    text[2] >= '0' && text[2] <= '9' && (size == 3 || text[3] == ' '))
		return 0;
	if (!PyErr_Occurred())
		PyErr_Format(PyExc_ValueError, "start_response: the status is '200 OK' or the like, not %R", status);
	return -1;
}

static PyObject *starter_call(struct starter *self, PyObject *arguments, PyObject *named)
{
	static const char *const keywords[] = { "status", "response_headers", "exc_info", NULL };
	PyObject *status, *headers, *exc_info = Py_None;

	if (!PyArg_ParseTupleAndKeywords(arguments, named, "OO|O:start_response", (char **)(uintptr_t)keywords, &status,
					 &headers, &exc_info))
		return NULL;
	if (exc_info != Py_None && self->has_head) {
		(void)raise_again(exc_info);
		return NULL;
	}
	if (exc_info == Py_None && self->status) {
		PyErr_SetString(PyExc_AssertionError, "start_response() was called twice, without exc_info");
		return NULL;
	}
	if (status_check(status) < 0)
		return NULL;
	if (!PyList_Check(headers)) {
		PyErr_SetString(PyExc_TypeError, "start_response: the headers are a list of pairs");
		return NULL;
	}
	Py_INCREF(status);
	Py_INCREF(headers);
	Py_XDECREF(self->status);
	Py_XDECREF(self->headers);
	self->status = status;
	self->headers = headers;
	return PyObject_GetAttr((PyObject *)self, wsgi.write);
}

/* ---- the answer's head ---- */

struct head {
	struct answer_headers headers;
	int status;
	const char *reason;
	long long length; /* Content-Length, or -1 */
};

static int equals_ignore_case(struct hythe_bytes a, const char *b)
{
	return a.size == strlen(b) && strncasecmp(a.data, b, a.size) == 0;
}

/* Line breaks and their like would let whoever chose the text write headers of their own. */
static int is_clean(struct hythe_bytes text)
{
	for (size_t i = 0; i < text.size; i++)
		if (((unsigned char)text.data[i] < ' ' && text.data[i] != '\t') || text.data[i] == 0x7F)
			return 0;
	return 1;
}

/* What the head's bytes are in, if not in the application's own strings. */
static int keep(struct head *head, PyObject *bytes)
{
	if (!bytes)
		return 0;
	if (!head->headers.kept)
		head->headers.kept = PyList_New(0);
	return head->headers.kept ? PyList_Append(head->headers.kept, bytes) : -1;
}

static int header_take(struct head *head, PyObject *pair, struct hythe_header *h)
{
	AUTO_REF *name = NULL, *value = NULL;

	if (!PyTuple_Check(pair) || PyTuple_Size(pair) != 2) {
		PyErr_SetString(PyExc_TypeError, "start_response: a header is a tuple of two strings");
		return -1;
	}
	if (latin_to(PyTuple_GetItem(pair, 0), &h->name, &name) < 0 ||
	    latin_to(PyTuple_GetItem(pair, 1), &h->value, &value) < 0 || keep(head, name) < 0 || keep(head, value) < 0)
		return -1;
	if (!is_clean(h->name) || !is_clean(h->value)) {
		PyErr_Format(PyExc_ValueError, "start_response: a control character in header %R", pair);
		return -1;
	}
	if (equals_ignore_case(h->name, "content-length"))
		head->length = strtoll(h->value.data, NULL, 10);
	return 0;
}

/* One more than was given is there for Content-Length. */
static int head_take(struct starter *s, struct head *ret)
{
	Py_ssize_t count = s->headers ? PyList_Size(s->headers) : 0, size;
	const char *status = s->status ? PyUnicode_AsUTF8AndSize(s->status, &size) : NULL;

	*ret = (struct head){ .length = -1 };
	if (!status) {
		if (!PyErr_Occurred())
			PyErr_SetString(PyExc_AssertionError,
					"start_response() was not called before the first block of the body");
		return -1;
	}
	ret->status = (status[0] - '0') * 100 + (status[1] - '0') * 10 + (status[2] - '0');
	ret->reason = size > 4 ? status + 4 : NULL;
	ret->headers.items = calloc((size_t)count + 1, sizeof(*ret->headers.items));
	if (!ret->headers.items)
		return -1;
	for (Py_ssize_t i = 0; i < count; i++)
		if (header_take(ret, PyList_GetItem(s->headers, i), &ret->headers.items[i]) < 0)
			return -1;
	ret->headers.count = (size_t)count;
	return 0;
}

static int may_have_length(const struct head *head)
{
	return head->status >= 200 && head->status != 204 && head->status != 304;
}

static void head_add_length(struct head *head, size_t length, char *text, size_t size)
{
	int n = PyOS_snprintf(text, size, "%zu", length);

	head->headers.items[head->headers.count++] =
	    (struct hythe_header){ { "content-length", 14 }, { text, (size_t)n } };
	head->length = (long long)length;
}

/* Sends the head alone. */
static int head_send(struct starter *s)
{
	struct head head;
	int ok = head_take(s, &head) == 0;

	if (ok) {
		(void)hythe_exchange_head(s->exchange, head.status, head.reason, head.headers.items,
					  head.headers.count);
		s->has_head = 1;
	}
	answer_headers_done(&head.headers);
	return ok ? 0 : -1;
}

/* ---- the body ---- */

static int block_take(PyObject *object, struct hythe_bytes *ret)
{
	Py_ssize_t size;
	char *data;

	if (!PyBytes_Check(object)) {
		PyErr_Format(PyExc_TypeError, "a block of the body is bytes, not %R", (PyObject *)Py_TYPE(object));
		return -1;
	}
	if (PyBytes_AsStringAndSize(object, &data, &size) < 0)
		return -1;
	*ret = (struct hythe_bytes){ data, (size_t)size };
	return 0;
}

/* 0: sent; 1: the client is gone; -1: an exception. */
static int block_send(struct starter *s, struct hythe_bytes block)
{
	hythe_exchange *x = s->exchange;
	int ok;

	if (!s->has_head && head_send(s) < 0)
		return -1;
	if (block.size == 0)
		return 0;
	Py_BEGIN_ALLOW_THREADS;
	ok = hythe_exchange_write(x, block.data, block.size);
	Py_END_ALLOW_THREADS;
	return ok ? 0 : 1;
}

static PyObject *starter_write(struct starter *self, PyObject *object)
{
	struct hythe_bytes block;

	if (!self->exchange) {
		PyErr_SetString(PyExc_RuntimeError, "write() after the answer's end");
		return NULL;
	}
	if (block_take(object, &block) < 0 || block_send(self, block) < 0)
		return NULL;
	Py_RETURN_NONE;
}

/* All of the body is here. -1 with an exception. */
static int send_whole(struct starter *s, struct hythe_bytes body)
{
	struct head head;
	char text[24];
	int ok = head_take(s, &head) == 0;

	if (ok) {
		if (head.length < 0 && may_have_length(&head))
			head_add_length(&head, body.size, text, sizeof(text));
		hythe_exchange_answer(s->exchange, head.status, head.reason, head.headers.items, head.headers.count,
				      body.data, body.size);
		s->has_head = 1;
	}
	answer_headers_done(&head.headers);
	return ok ? 0 : -1;
}

/* True when this block is all that Content-Length promises. */
static int is_whole(struct starter *s, struct hythe_bytes block)
{
	Py_ssize_t count = s->headers ? PyList_Size(s->headers) : 0;

	for (Py_ssize_t i = 0; i < count; i++) {
		PyObject *pair = PyList_GetItem(s->headers, i);
		AUTO_REF *keep = NULL, *keep_value = NULL;
		struct hythe_bytes name, value;

		if (!PyTuple_Check(pair) || PyTuple_Size(pair) != 2 ||
		    latin_to(PyTuple_GetItem(pair, 0), &name, &keep) < 0 || !equals_ignore_case(name, "content-length"))
			continue;
		if (latin_to(PyTuple_GetItem(pair, 1), &value, &keep_value) < 0)
			break;
		return strtoull(value.data, NULL, 10) == block.size;
	}
	PyErr_Clear();
	return 0;
}

/* The only block of a list or tuple of one; NULL. Borrowed. */
static PyObject *only_block(PyObject *result)
{
	if (PyList_Check(result) && PyList_Size(result) == 1)
		return PyList_GetItem(result, 0);
	if (PyTuple_Check(result) && PyTuple_Size(result) == 1)
		return PyTuple_GetItem(result, 0);
	return NULL;
}

static int send_blocks(struct starter *s, PyObject *result)
{
	AUTO_REF *iterator = PyObject_GetIter(result);
	int is_first = 1, state = 0, has_ended = 0;

	if (!iterator)
		return -1;
	while (state == 0) {
		AUTO_REF *object = PyIter_Next(iterator);
		struct hythe_bytes block;

		if (!object)
			break;
		if (block_take(object, &block) < 0)
			return -1;
		if (block.size == 0 || has_ended)
			continue; /* PEP 3333: the head is not sent for an empty block */
		if (is_first && !s->has_head && s->status && is_whole(s, block)) {
			if (send_whole(s, block) < 0)
				return -1;
			has_ended = 1;
		} else {
			state = block_send(s, block);
		}
		is_first = 0;
	}
	if (state < 0 || PyErr_Occurred())
		return -1;
	if (state > 0 || has_ended)
		return 0;
	if (!s->has_head)
		return send_whole(s, (struct hythe_bytes){ "", 0 });
	hythe_exchange_end(s->exchange);
	return 0;
}

/* wsgi.file_wrapper around a real file. 1: it was none, or is not at all a file of the system's. */
static int send_file(const struct wsgi_state *state, struct starter *s, PyObject *result)
{
	AUTO_REF *file = NULL, *number = NULL;
	hythe_exchange *x = s->exchange;
	long fd;
	int ok;

	if ((PyObject *)Py_TYPE(result) != state->file_wrapper)
		return 1;
	file = PyObject_GetAttrString(result, "filelike");
	number = file ? PyObject_CallMethod(file, "fileno", NULL) : NULL;
	fd = number ? PyLong_AsLong(number) : -1;
	if (fd < 0) {
		PyErr_Clear();
		return 1;
	}
	/* What Python has read ahead of its place in the file is read again from there. */
	Py_XDECREF(number);
	number = PyObject_CallMethod(file, "tell", NULL);
	if (number && PyLong_Check(number)) {
		int64_t offset = PyLong_AsLongLong(number);

		if (!s->has_head && head_send(s) < 0)
			return -1;
		Py_BEGIN_ALLOW_THREADS;
		ok = hythe_exchange_send_file(x, (int)fd, offset, -1);
		if (ok)
			hythe_exchange_end(x);
		Py_END_ALLOW_THREADS;
		return 0;
	}
	PyErr_Clear(); /* a pipe: block by block */
	return 1;
}

static int answer(const struct wsgi_state *state, struct starter *s, PyObject *result)
{
	PyObject *only = s->has_head ? NULL : only_block(result);
	struct hythe_bytes block;
	int done;

	if (only && s->status)
		return block_take(only, &block) < 0 ? -1 : send_whole(s, block);
	done = send_file(state, s, result);
	return done <= 0 ? done : send_blocks(s, result);
}

/* ---- environ ---- */

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
		text = latin_from((struct hythe_bytes){ to, path_decode(path, to) });
	else
		PyErr_NoMemory();
	if (to != small)
		free(to);
	return text;
}

static int is_text(struct hythe_bytes a, const char *text, size_t size)
{
	return a.size == size && memcmp(a.data, text, size) == 0;
}

/* One that nearly every request has is not made again. New reference. */
static PyObject *word_or_text(struct hythe_bytes bytes, PyObject *word, const char *text, size_t size)
{
	if (!is_text(bytes, text, size))
		return latin_from(bytes);
	Py_INCREF(word);
	return word;
}

static PyObject *method_text(struct hythe_bytes method)
{
	return method.size == 4 ? word_or_text(method, wsgi.post, "POST", 4) : word_or_text(method, wsgi.get, "GET", 3);
}

/* "HTTP_X_Y" for "x-y"; NULL without an exception for a name that environ must not have: one with an underscore would pass for
 * another that is checked. */
static PyObject *header_key_new(struct hythe_bytes name)
{
	char key[KEY_MAX + 5] = "HTTP_";

	if (name.size > KEY_MAX || memchr(name.data, '_', name.size))
		return NULL;
	for (size_t i = 0; i < name.size; i++) {
		char c = name.data[i];

		key[5 + i] = c == '-' ? '_' : c >= 'a' && c <= 'z' ? (char)(c - 32) : c;
	}
	return PyUnicode_FromStringAndSize(key, (Py_ssize_t)name.size + 5);
}

/* The same from those kept, where a place that is taken stays so: whoever sends names cannot drive others' out. */
static PyObject *header_key(struct hythe_bytes name)
{
	uint32_t hash = 2166136261u;
	size_t place;

	if (name.size > NAME_KEPT_MAX)
		return header_key_new(name);
	for (size_t i = 0; i < name.size; i++)
		hash = (hash ^ (unsigned char)name.data[i]) * 16777619u;
	place = (hash ^ hash >> 16) % NAMES_KEPT;
	if (!wsgi.names[place].key) {
		PyObject *key = header_key_new(name);

		if (!key)
			return NULL;
		memcpy(wsgi.names[place].name, name.data, name.size);
		wsgi.names[place].size = name.size;
		wsgi.names[place].key = key;
	} else if (!is_text(name, wsgi.names[place].name, wsgi.names[place].size)) {
		return header_key_new(name);
	}
	Py_INCREF(wsgi.names[place].key);
	return wsgi.names[place].key;
}

/* Headers that came several times are one list (RFC 9110 5.3), cookies one string (RFC 6265 5.4). */
static int header_put(PyObject *variables, PyObject *key, const struct hythe_header *h)
{
	PyObject *before = PyDict_GetItemWithError(variables, key);
	int is_cookie = h->name.size == 6 && memcmp(h->name.data, "cookie", 6) == 0;

	if (!before)
		return PyErr_Occurred() ? -1 : put(variables, key, latin_from(h->value));
	AUTO_REF *value = latin_from(h->value);
	return value ? put(variables, key, PyUnicode_FromFormat(is_cookie ? "%U; %U" : "%U,%U", before, value)) : -1;
}

static int headers_put(PyObject *variables, const hythe_exchange *x)
{
	const struct hythe_header *headers;
	size_t count = hythe_exchange_headers(x, &headers);

	for (size_t i = 0; i < count; i++) {
		const struct hythe_header *h = &headers[i];
		AUTO_REF *key = NULL;
		int failed;

		if (equals_ignore_case(h->name, "content-type")) {
			failed = put(variables, wsgi.content_type, latin_from(h->value));
		} else if (equals_ignore_case(h->name, "content-length")) {
			failed = put(variables, wsgi.content_length, latin_from(h->value));
		} else if (equals_ignore_case(h->name, "host")) {
			continue;
		} else {
			key = header_key(h->name);
			failed = key ? header_put(variables, key, h) : PyErr_Occurred() != NULL;
		}
		if (failed)
			return -1;
	}
	return 0;
}

/* True when `text` (or NULL) is these bytes, all of them ASCII. */
static int is_same(PyObject *text, struct hythe_bytes bytes)
{
	Py_ssize_t size;
	const char *utf8 = text ? PyUnicode_AsUTF8AndSize(text, &size) : NULL;

	return utf8 && is_text(bytes, utf8, (size_t)size);
}

static void replace(PyObject **place, PyObject *value)
{
	Py_XDECREF(*place);
	*place = value;
}

/* "host:port" in two. */
static int server_take(struct wsgi_state *state, struct hythe_bytes host)
{
	struct hythe_bytes name = host, port = { NULL, 0 };
	size_t colon = host.size;

	while (colon > 0 && host.data[colon - 1] != ':' && host.data[colon - 1] != ']')
		colon--;
	if (colon > 0 && host.data[colon - 1] == ':' && colon < host.size) {
		port = (struct hythe_bytes){ host.data + colon, host.size - colon };
		name.size = colon - 1;
	}
	if (name.size == 0)
		name = (struct hythe_bytes){ "localhost", 9 };
	replace(&state->host, latin_from(host));
	replace(&state->server_name, latin_from(name));
	replace(&state->server_port, latin_from(port));
	return state->host && state->server_name && state->server_port ? 0 : -1;
}

/* Without a port that of the scheme. */
static int server_put(struct wsgi_state *state, PyObject *variables, const hythe_exchange *x)
{
	struct hythe_bytes host = hythe_exchange_authority(x);
	int is_secure = hythe_exchange_scheme(x).size == 5;

	if (!is_same(state->host, host) && server_take(state, host) < 0)
		return -1;
	if ((host.size && PyDict_SetItem(variables, wsgi.host, state->host) < 0) ||
	    PyDict_SetItem(variables, wsgi.server_name, state->server_name) < 0)
		return -1;
	if (PyUnicode_GetLength(state->server_port) > 0)
		return PyDict_SetItem(variables, wsgi.server_port, state->server_port);
	return put(variables, wsgi.server_port, PyUnicode_FromString(is_secure ? "443" : "80"));
}

static int peer_put(PyObject *variables, const hythe_exchange *x)
{
	struct hythe_bytes peer = hythe_exchange_peer(x);
	size_t colon = peer.size;

	while (colon > 0 && peer.data[colon - 1] != ':')
		colon--;
	if (colon == 0) /* a Unix socket has no address */
		return put(variables, wsgi.remote_addr, PyUnicode_FromString(""));
	if (put(variables, wsgi.remote_port, latin_from((struct hythe_bytes){ peer.data + colon, peer.size - colon })) <
	    0)
		return -1;
	return put(variables, wsgi.remote_addr, latin_from((struct hythe_bytes){ peer.data, colon - 1 }));
}

static PyObject *uri_text(struct hythe_bytes query, PyObject *raw_path)
{
	AUTO_REF *raw_query = NULL;

	if (query.size) {
		raw_query = latin_from(query);
		return raw_query ? PyUnicode_FromFormat("%U?%U", raw_path, raw_query) : NULL;
	}
	Py_INCREF(raw_path);
	return raw_path;
}

/* PATH_INFO: the same string where nothing is escaped. */
static PyObject *path_info(struct hythe_bytes path, PyObject *raw_path)
{
	if (memchr(path.data, '%', path.size))
		return path_text(path);
	Py_INCREF(raw_path);
	return raw_path;
}

static PyObject *environ_new(struct wsgi_state *state, const hythe_exchange *x, PyObject *input)
{
	AUTO_REF *variables = PyDict_Copy(state->environ);
	struct hythe_bytes query = hythe_exchange_query(x), path = hythe_exchange_path(x);
	AUTO_REF *raw_path = latin_from(path);

	if (!variables || !raw_path || put(variables, wsgi.method, method_text(hythe_exchange_method(x))) < 0 ||
	    put(variables, wsgi.path, path_info(path, raw_path)) < 0 ||
	    put(variables, wsgi.query, latin_from(query)) < 0 ||
	    put(variables, wsgi.raw_uri, uri_text(query, raw_path)) < 0 ||
	    put(variables, wsgi.protocol, word_or_text(hythe_exchange_version(x), wsgi.http_1_1, "HTTP/1.1", 8)) < 0 ||
	    put(variables, wsgi.scheme, word_or_text(hythe_exchange_scheme(x), wsgi.http, "http", 4)) < 0 ||
	    put(variables, wsgi.request_id, latin_from(hythe_exchange_id(x))) < 0 ||
	    server_put(state, variables, x) < 0 || peer_put(variables, x) < 0 || headers_put(variables, x) < 0 ||
	    PyDict_SetItem(variables, wsgi.input, input) < 0)
		return NULL;
	return reference_take(&variables);
}

/* ---- one request ---- */

/* A small body that is here already, or comes at once. No interpreter's lock. */
static char *body_read(hythe_exchange *x, size_t *ret_size)
{
	int64_t length = hythe_exchange_length(x);
	size_t size = 0;
	int64_t n = 1;
	char *body;

	if (length <= 0 || length > BODY_WHOLE_MAX)
		return NULL;
	body = malloc((size_t)length);
	while (body && size < (size_t)length && n > 0) {
		n = hythe_exchange_read(x, body + size, (size_t)length - size);
		size += n > 0 ? (size_t)n : 0;
	}
	*ret_size = size;
	return body;
}

/* Tells the log; and the client, when nothing was sent yet. */
static void failed(const struct wsgi_state *state, struct starter *s, hythe_exchange *x, int expose)
{
	static const char text[] = "Internal Server Error\n";
	static const struct hythe_header header = { { "content-type", 12 }, { "text/plain; charset=utf-8", 25 } };
	PyObject *type, *value, *trace;
	AUTO_REF *id = NULL, *said = NULL;
	struct hythe_bytes body = { text, sizeof(text) - 1 };
	Py_ssize_t size;
	const char *utf8;

	PyErr_Fetch(&type, &value, &trace);
	PyErr_NormalizeException(&type, &value, &trace);
	id = latin_from(hythe_exchange_id(x));
	said = id ? PyObject_CallFunctionObjArgs(state->failed, id, type ? type : Py_None, value ? value : Py_None,
						 trace ? trace : Py_None, NULL)
		  : NULL;
	utf8 = said && expose ? PyUnicode_AsUTF8AndSize(said, &size) : NULL;
	if (utf8)
		body = (struct hythe_bytes){ utf8, (size_t)size };
	PyErr_Clear();
	if (!s || !s->has_head)
		hythe_exchange_answer(x, 500, NULL, &header, 1, body.data, body.size);
	Py_XDECREF(type);
	Py_XDECREF(value);
	Py_XDECREF(trace);
}

static void result_close(const struct wsgi_state *state, PyObject *result, hythe_exchange *x)
{
	AUTO_REF *close = PyObject_GetAttr(result, wsgi.close);
	AUTO_REF *done = NULL;

	if (!close) {
		PyErr_Clear();
		return;
	}
	done = PyObject_CallFunctionObjArgs(close, NULL);
	if (!done) { /* the answer is out; the log is who can be told */
		struct starter was_sent = { .has_head = 1 };

		failed(state, &was_sent, x, 0);
	}
}

static PyObject *input_new(const struct wsgi_state *state, hythe_exchange *x, const char *body, size_t size,
			   PyObject **ret_exchange)
{
	AUTO_REF *bytes = NULL;

	*ret_exchange = NULL;
	if (body || hythe_exchange_length(x) == 0) {
		bytes = PyBytes_FromStringAndSize(body, (Py_ssize_t)size);
		return bytes ? PyObject_CallFunctionObjArgs(wsgi.bytes_io, bytes, NULL) : NULL;
	}
	*ret_exchange = exchange_for(x);
	return *ret_exchange ? PyObject_CallFunctionObjArgs(state->body_reader, *ret_exchange, NULL) : NULL;
}

static void serve(struct host_object *host, hythe_exchange *x, const char *body, size_t size)
{
	struct wsgi_state *state = host->app_state;
	PyObject *exchange = NULL;
	AUTO_REF *input = input_new(state, x, body, size, &exchange);
	AUTO_REF *variables = input ? environ_new(state, x, input) : NULL;
	AUTO_REF *start = variables ? PyType_GenericAlloc((PyTypeObject *)wsgi.starter_type, 0) : NULL;
	struct starter *s = (struct starter *)start;
	AUTO_REF *result = NULL;

	if (s)
		s->exchange = x;
	result = s ? PyObject_CallFunctionObjArgs(state->application, variables, start, NULL) : NULL;
	if (!result || answer(state, s, result) < 0)
		failed(state, s, x, host->expose_errors);
	if (result)
		result_close(state, result, x);
	if (s)
		s->exchange = NULL;
	if (exchange) {
		exchange_forget(exchange);
		Py_DECREF(exchange);
	}
}

void wsgi_serve(void *context, hythe_exchange *x)
{
	size_t size = 0;
	char *body = body_read(x, &size);

	python_enter();
	serve(context, x, body, size);
	python_leave();
	free(body);
}

/* ---- the module ---- */

int wsgi_take(struct host_object *host, PyObject *app)
{
	struct wsgi_state *state = calloc(1, sizeof(*state));
	PyObject *kind;

	host->app_state = state;
	if (!state) {
		PyErr_NoMemory();
		return -1;
	}
	return PyArg_ParseTuple(app, "OOO!OOO:app", &kind, &state->application, &PyDict_Type, &state->environ,
				&state->failed, &state->body_reader, &state->file_wrapper)
		   ? 0
		   : -1;
}

void wsgi_drop(struct host_object *host)
{
	struct wsgi_state *state = host->app_state;

	if (!state)
		return;
	replace(&state->host, NULL);
	replace(&state->server_name, NULL);
	replace(&state->server_port, NULL);
}

static int words_make(void)
{
	const struct {
		PyObject **word;
		const char *text;
	} rows[] = {
		{ &wsgi.method, "REQUEST_METHOD" },
		{ &wsgi.script, "SCRIPT_NAME" },
		{ &wsgi.path, "PATH_INFO" },
		{ &wsgi.query, "QUERY_STRING" },
		{ &wsgi.raw_uri, "REQUEST_URI" },
		{ &wsgi.protocol, "SERVER_PROTOCOL" },
		{ &wsgi.server_name, "SERVER_NAME" },
		{ &wsgi.server_port, "SERVER_PORT" },
		{ &wsgi.remote_addr, "REMOTE_ADDR" },
		{ &wsgi.remote_port, "REMOTE_PORT" },
		{ &wsgi.host, "HTTP_HOST" },
		{ &wsgi.content_type, "CONTENT_TYPE" },
		{ &wsgi.content_length, "CONTENT_LENGTH" },
		{ &wsgi.scheme, "wsgi.url_scheme" },
		{ &wsgi.input, "wsgi.input" },
		{ &wsgi.request_id, "hythe.request_id" },
		{ &wsgi.write, "write" },
		{ &wsgi.close, "close" },
		{ &wsgi.http, "http" },
		{ &wsgi.http_1_1, "HTTP/1.1" },
		{ &wsgi.get, "GET" },
		{ &wsgi.post, "POST" },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		*rows[i].word = PyUnicode_InternFromString(rows[i].text);
		if (!*rows[i].word)
			return -1;
	}
	return 0;
}

int wsgi_init(PyObject *module)
{
	static PyMethodDef methods[] = {
		{ "write", (PyCFunction)(void (*)(void))starter_write, METH_O,
		  "write(bytes)\n--\n\nSends a block of the body." },
		{ NULL, NULL, 0, NULL },
	};
	static PyType_Slot slots[] = {
		{ Py_tp_doc, (void *)(uintptr_t) "start_response() of WSGI." },
		{ Py_tp_call, (void *)(uintptr_t)starter_call },
		{ Py_tp_dealloc, (void *)(uintptr_t)starter_dealloc },
		{ Py_tp_methods, methods },
		{ 0, NULL },
	};
	static PyType_Spec spec = { .name = "hythe._hythe.StartResponse",
				    .basicsize = sizeof(struct starter),
				    .flags = Py_TPFLAGS_DEFAULT,
				    .slots = slots };

	AUTO_REF *io = PyImport_ImportModule("io");

	(void)module;
	wsgi.bytes_io = io ? PyObject_GetAttrString(io, "BytesIO") : NULL;
	wsgi.starter_type = PyType_FromSpec(&spec);
	return wsgi.starter_type && wsgi.bytes_io && words_make() == 0 ? 0 : -1;
}
