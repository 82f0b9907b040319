/* SPDX-License-Identifier: Apache-2.0 */
/* app - HTTP applications: Host(app=("wsgi", ...)) is served as WSGI says, Host(app=("events",)) gives events. */
#include "app.h"

#include <stdlib.h>
#include <string.h>

/* ---- text of the wire ---- */

PyObject *latin_from(struct hythe_bytes bytes)
{
	return PyUnicode_DecodeLatin1(bytes.data ? bytes.data : "", (Py_ssize_t)bytes.size, NULL);
}

static int bytes_take(PyObject *bytes, struct hythe_bytes *ret)
{
	Py_ssize_t size;
	char *data;

	if (PyBytes_AsStringAndSize(bytes, &data, &size) < 0)
		return -1;
	*ret = (struct hythe_bytes){ data, (size_t)size };
	return 0;
}

int latin_to(PyObject *text, struct hythe_bytes *ret, PyObject **ret_keep)
{
	Py_ssize_t size, at = 0;
	const char *utf8;

	*ret_keep = NULL;
	if (PyBytes_Check(text))
		return bytes_take(text, ret);
	if (!PyUnicode_Check(text)) {
		PyErr_Format(PyExc_TypeError, "expected a string, came %R", (PyObject *)Py_TYPE(text));
		return -1;
	}
	utf8 = PyUnicode_AsUTF8AndSize(text, &size);
	while (utf8 && at < size && (unsigned char)utf8[at] < 0x80)
		at++;
	if (utf8 && at == size) { /* in ASCII all encodings are the same */
		*ret = (struct hythe_bytes){ utf8, (size_t)size };
		return 0;
	}
	PyErr_Clear();
	*ret_keep = PyUnicode_AsLatin1String(text);
	return *ret_keep ? bytes_take(*ret_keep, ret) : -1;
}

static int hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

size_t path_decode(struct hythe_bytes path, char *to)
{
	size_t len = 0;

	for (size_t i = 0; i < path.size; i++) {
		int high = path.data[i] == '%' && i + 2 < path.size ? hex_value(path.data[i + 1]) : -1;
		int low = high >= 0 ? hex_value(path.data[i + 2]) : -1;

		to[len++] = low >= 0 ? (char)(high << 4 | low) : path.data[i];
		i += low >= 0 ? 2 : 0;
	}
	return len;
}

void answer_headers_done(struct answer_headers *h)
{
	free(h->items);
	Py_XDECREF(h->kept);
}

/* ---- the module ---- */

int app_add(PyObject *module)
{
	return exchange_init(module) < 0 || wsgi_init(module) < 0 ? -1 : 0;
}

int app_take(struct host_object *host, PyObject *app, struct hythe_app *ret)
{
	PyObject *kind = PyTuple_Check(app) && PyTuple_Size(app) > 0 ? PyTuple_GetItem(app, 0) : NULL;

	ret->context = host;
	if (kind && PyUnicode_Check(kind) && PyUnicode_CompareWithASCIIString(kind, "events") == 0)
		return 0;
	if (!kind || !PyUnicode_Check(kind) || PyUnicode_CompareWithASCIIString(kind, "wsgi") != 0) {
		PyErr_SetString(
		    PyExc_TypeError,
		    "app must be ('wsgi', application, environ, failed, body_reader, FileWrapper) or ('events',)");
		return -1;
	}
	ret->serve = wsgi_serve;
	return wsgi_take(host, app);
}

void app_drop(struct host_object *host)
{
	wsgi_drop(host);
	free(host->app_state);
	host->app_state = NULL;
}
