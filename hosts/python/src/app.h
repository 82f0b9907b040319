/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * app - what the files of HTTP applications share: app.c (the switch between the two), exchange.c (class Exchange, for event
 * loops and bodies), wsgi.c (the driver of PEP 3333).
 *
 * Threads: everything needs the interpreter's lock but wsgi_serve().
 */
#include "python.h"

/* Text of the wire as Python has it: latin-1 (PEP 3333 "Unicode Issues"). */
PyObject *latin_from(struct hythe_bytes bytes);
/* The other way: the characters as bytes, which live as long as *ret_keep (or the string itself). -1: not latin-1. */
int latin_to(PyObject *text, struct hythe_bytes *ret, PyObject **ret_keep);
/* The path without its escapes, as bytes of `to`, which has room for all of it. */
size_t path_decode(struct hythe_bytes path, char *to);

/* The headers of an answer, for one call of the library. */
struct answer_headers {
	struct hythe_header *items;
	size_t count;
	PyObject *kept; /* a list */
};
void answer_headers_done(struct answer_headers *h);

/* ---- exchange.c ---- */

int exchange_init(PyObject *module);
/* An Exchange for a body that is read on this thread; exchange_forget() when it is over. */
PyObject *exchange_for(hythe_exchange *x);
void exchange_forget(PyObject *exchange);

/* ---- wsgi.c ---- */

int wsgi_init(PyObject *module);
/* Takes ("wsgi", application, environ, failed, body_reader, FileWrapper), which host->app keeps, into host->app_state. */
int wsgi_take(struct host_object *host, PyObject *app);
void wsgi_drop(struct host_object *host); /* lets go of what app_state has */
/* hythe_app.serve; the context is the struct host_object. */
void wsgi_serve(void *context, hythe_exchange *x);
