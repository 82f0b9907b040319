/* SPDX-License-Identifier: Apache-2.0 */
/* call - class Call: one question to user code, and what is done when it raises. */
#include "python.h"

#include <string.h>
#include <unistd.h>

#include "base/base.h"
#include "base/log.h"

enum { MESSAGE_MAX = 480 }; /* bytes of a traceback that --expose-errors sends: its end, which tells most */

/* ---- the question ---- */

static int is_open(const struct call_object *self)
{
	if (self->call)
		return 1;
	PyErr_SetString(PyExc_RuntimeError, "the call is over");
	return 0;
}

static PyObject *bytes_object(struct hythe_bytes b)
{
	return PyBytes_FromStringAndSize(b.data ? b.data : "", (Py_ssize_t)b.size);
}

static PyObject *get_method(struct call_object *self, void *closure)
{
	(void)closure;
	return is_open(self) ? PyLong_FromLong(hythe_call_method(self->call)) : NULL;
}

static PyObject *get_is_grpc(struct call_object *self, void *closure)
{
	(void)closure;
	return is_open(self) ? PyBool_FromLong(hythe_call_is_grpc(self->call)) : NULL;
}

static PyObject *get_is_seldon(struct call_object *self, void *closure)
{
	(void)closure;
	return is_open(self) ? PyBool_FromLong(hythe_call_is_seldon(self->call)) : NULL;
}

static PyObject *get_model(struct call_object *self, void *closure)
{
	(void)closure;
	return is_open(self) ? text_from(hythe_call_model(self->call)) : NULL;
}

static PyObject *get_id(struct call_object *self, void *closure)
{
	(void)closure;
	return is_open(self) ? text_from(hythe_call_id(self->call)) : NULL;
}

static PyObject *get_raw(struct call_object *self, void *closure)
{
	(void)closure;
	return is_open(self) ? bytes_object(hythe_call_raw(self->call)) : NULL;
}

static PyObject *get_count(struct call_object *self, void *closure)
{
	(void)closure;
	return is_open(self) ? PyLong_FromSize_t(hythe_call_payloads(self->call)) : NULL;
}

static PyObject *get_reward(struct call_object *self, void *closure)
{
	(void)closure;
	return is_open(self) ? PyFloat_FromDouble(hythe_call_reward(self->call)) : NULL;
}

static PyObject *get_routing(struct call_object *self, void *closure)
{
	int32_t branch;

	(void)closure;
	if (!is_open(self))
		return NULL;
	if (!hythe_call_routing(self->call, &branch))
		Py_RETURN_NONE;
	return PyLong_FromLong(branch);
}

static PyObject *get_is_replied(struct call_object *self, void *closure)
{
	(void)closure;
	return PyBool_FromLong(self->is_replied);
}

/* ---- payloads ---- */

static PyObject *array_from(struct call_object *self, size_t index, const struct hythe_array *a)
{
	AUTO_REF *memory = NULL;
	AUTO_REF *array = array_new(self->call, index, a, &memory);

	if (memory && !self->kept)
		self->kept = PyList_New(0);
	if (memory && (!self->kept || PyList_Append(self->kept, memory) < 0))
		return NULL;
	return reference_take(&array);
}

static PyObject *value_from(struct call_object *self, size_t index, const struct hythe_payload *p)
{
	switch (p->kind) {
	case HYTHE_TENSOR:
	case HYTHE_NDARRAY:
	case HYTHE_TFTENSOR:
		return p->has_array ? array_from(self, index, &p->array) : array_from_json(p->nested);
	case HYTHE_BINARY:
	case HYTHE_CUSTOM:
		return bytes_object(p->bytes);
	case HYTHE_TEXT:
		return text_from(p->bytes);
	case HYTHE_JSON:
		return json_from(p->bytes);
	default:
		Py_RETURN_NONE;
	}
}

static PyObject *names_from(const struct hythe_payload *p)
{
	AUTO_REF *list = PyList_New((Py_ssize_t)p->name_count);

	for (size_t i = 0; list && i < p->name_count; i++) {
		PyObject *name = text_from(p->names[i]);

		if (!name || PyList_SetItem(list, (Py_ssize_t)i, name) < 0)
			return NULL;
	}
	return reference_take(&list);
}

static PyObject *meta_from(const struct hythe_payload *p)
{
	if (p->meta.size == 0)
		Py_RETURN_NONE;
	return json_from(p->meta);
}

static PyObject *payload(struct call_object *self, PyObject *arguments)
{
	struct hythe_payload p = { .size = sizeof(p) };
	AUTO_REF *value = NULL, *names = NULL, *meta = NULL;
	Py_ssize_t index = 0;

	if (!PyArg_ParseTuple(arguments, "|n:payload", &index) || !is_open(self))
		return NULL;
	if (index < 0 || (size_t)index >= hythe_call_payloads(self->call)) {
		PyErr_Format(PyExc_IndexError, "there is no payload %zd", index);
		return NULL;
	}
	hythe_call_payload(self->call, (size_t)index, &p);
	if (!(value = value_from(self, (size_t)index, &p)) || !(names = names_from(&p)) || !(meta = meta_from(&p)))
		return NULL;
	return Py_BuildValue("(iOOO)", p.kind, value, names, meta);
}

/* ---- the reply ---- */

static const char *text_of(PyObject *bytes)
{
	const char *text = bytes ? PyBytes_AsString(bytes) : NULL;

	return text ? text : "";
}

/* str() of an object as UTF-8, with '?' for what is none. */
static PyObject *printable(PyObject *object)
{
	AUTO_REF *text = PyObject_Str(object);

	return text ? PyUnicode_AsEncodedString(text, "utf-8", "replace") : NULL;
}

static int may_reply(struct call_object *self)
{
	if (!is_open(self))
		return 0;
	if (!self->is_replied)
		return 1;
	PyErr_SetString(PyExc_RuntimeError, "the call is answered already");
	return 0;
}

static PyObject *reply(struct call_object *self, PyObject *arguments, PyObject *named)
{
	static const char *const keywords[] = { "value", "names", "meta", "like", NULL };
	PyObject *value, *names = NULL, *meta = NULL;
	int like = HYTHE_NOTHING;

	if (!PyArg_ParseTupleAndKeywords(arguments, named, "O|OOi:reply", (char **)(uintptr_t)keywords, &value, &names,
					 &meta, &like) ||
	    !may_reply(self) || reply_value(self->call, value, names, meta, like) < 0)
		return NULL;
	self->is_replied = 1;
	Py_RETURN_NONE;
}

static PyObject *reply_raw(struct call_object *self, PyObject *arguments, PyObject *named)
{
	static const char *const keywords[] = { "message", "status", NULL };
	struct hythe_bytes message;
	const char *data;
	Py_ssize_t size;
	int status = 0;

	if (!PyArg_ParseTupleAndKeywords(arguments, named, "s#|i:reply_raw", (char **)(uintptr_t)keywords, &data, &size,
					 &status) ||
	    !may_reply(self))
		return NULL;
	message = (struct hythe_bytes){ data, (size_t)size };
	hythe_reply_raw(self->call, message, status);
	self->is_replied = 1;
	Py_RETURN_NONE;
}

static PyObject *reply_error(struct call_object *self, PyObject *arguments, PyObject *named)
{
	static const char *const keywords[] = { "status", "reason", "code", "message", NULL };
	PyObject *reason = Py_None, *message = NULL;
	AUTO_REF *reason_bytes = NULL, *message_bytes = NULL;
	int status = 500, code = -1;

	if (!PyArg_ParseTupleAndKeywords(arguments, named, "|iOiO:reply_error", (char **)(uintptr_t)keywords, &status,
					 &reason, &code, &message) ||
	    !may_reply(self))
		return NULL;
	/* Whatever an exception's text has in it, the caller is told. */
	reason_bytes = reason != Py_None ? printable(reason) : NULL;
	message_bytes = message ? printable(message) : NULL;
	if (PyErr_Occurred())
		return NULL;
	hythe_reply_error(self->call, status, reason_bytes ? text_of(reason_bytes) : NULL, code,
			  text_of(message_bytes));
	self->is_replied = 1;
	Py_RETURN_NONE;
}

static PyObject *reply_undefined(struct call_object *self, PyObject *none)
{
	(void)none;
	if (!may_reply(self))
		return NULL;
	hythe_reply_undefined(self->call);
	self->is_replied = 1;
	Py_RETURN_NONE;
}

/* ---- exceptions ---- */

/* An attribute of the exception, when it is of the kind asked for; else -1 and NULL. */
static long number_attribute(PyObject *exception, const char *name)
{
	AUTO_REF *value = PyObject_GetAttrString(exception, name);
	long number = value && PyLong_Check(value) ? PyLong_AsLong(value) : -1;

	PyErr_Clear();
	return number;
}

static PyObject *text_attribute(PyObject *exception, const char *name)
{
	AUTO_REF *value = PyObject_GetAttrString(exception, name);
	PyObject *bytes = NULL;

	if (value && PyUnicode_Check(value))
		bytes = PyUnicode_AsEncodedString(value, "utf-8", "replace");
	PyErr_Clear();
	return bytes;
}

/* str(exception); without words of its own, its `message`, or the name of its class. Bytes, or NULL. */
static PyObject *cause_of(PyObject *exception)
{
	AUTO_REF *text = PyObject_Str(exception);
	PyObject *bytes;

	if (text && PyUnicode_GetLength(text) > 0) {
		bytes = PyUnicode_AsEncodedString(text, "utf-8", "replace");
		PyErr_Clear();
		return bytes;
	}
	PyErr_Clear();
	bytes = text_attribute(exception, "message");
	return bytes ? bytes : text_attribute((PyObject *)Py_TYPE(exception), "__name__");
}

/* The traceback as Python prints it. Bytes, or NULL. */
static PyObject *trace_of(PyObject *type, PyObject *exception, PyObject *traceback)
{
	AUTO_REF *lines = PyObject_CallFunctionObjArgs(python.format_exception, type, exception,
						       traceback ? traceback : Py_None, NULL);
	AUTO_REF *empty = PyUnicode_FromString("");
	AUTO_REF *text = lines && empty ? PyUnicode_Join(empty, lines) : NULL;
	PyObject *bytes = text ? PyUnicode_AsEncodedString(text, "utf-8", "replace") : NULL;

	PyErr_Clear();
	return bytes;
}

/* One line with the request's id, and the traceback: a field of it in JSON, else lines as people know them. */
static void exception_log(hythe_call *c, PyObject *cause, PyObject *trace)
{
	struct hythe_bytes id = hythe_call_id(c);
	struct span request = { id.data, id.size };
	const char *lines = text_of(trace);

	if (log_is_json()) {
		log_error("python", "user code raised", LOG_SPAN("request", request), LOG_TEXT("error", text_of(cause)),
			  LOG_TEXT("traceback", lines));
		return;
	}
	log_error("python", "user code raised", LOG_SPAN("request", request), LOG_TEXT("error", text_of(cause)));
	(void)!write(STDERR_FILENO, lines, strlen(lines)); /* as a log line that is lost */
}

/*
 * The exception that is set becomes the answer and a line in the log. Seldon's exceptions choose their own status: they
 * have both a `status_code` and a `reason`. Mistakes of the caller (4xx) are no news for the log.
 */
static void reply_exception(struct call_object *self)
{
	PyObject *type = NULL, *exception = NULL, *traceback = NULL;
	AUTO_REF *cause = NULL, *trace = NULL, *reason = NULL;
	long status, code;

	PyErr_Fetch(&type, &exception, &traceback);
	PyErr_NormalizeException(&type, &exception, &traceback);
	cause = cause_of(exception);
	trace = trace_of(type, exception, traceback);
	reason = text_attribute(exception, "reason");
	status = number_attribute(exception, "status_code");
	code = number_attribute(exception, "app_code");
	if (!reason || status < 400 || status > 599)
		status = 500;
	if (status >= 500)
		exception_log(self->call, cause, trace);
	if (!self->is_replied) {
		const char *message = text_of(cause);

		if (self->host->expose_errors && status >= 500 && trace) {
			size_t length = strlen(text_of(trace));

			message = text_of(trace) + (length > MESSAGE_MAX ? length - MESSAGE_MAX : 0);
			while ((*message & 0xC0) == 0x80) /* not from the middle of a character */
				message++;
		}
		hythe_reply_error(self->call, (int)status, reason ? text_of(reason) : NULL, (int)code, message);
		self->is_replied = 1;
	}
	Py_XDECREF(type);
	Py_XDECREF(exception);
	Py_XDECREF(traceback);
}

/* ---- the call ---- */

void python_call(void *host_object, hythe_call *c)
{
	struct host_object *host = host_object;
	struct call_object *self;
	PyObject *result = NULL;

	python_enter();
	self = PyObject_New(struct call_object, (PyTypeObject *)python.call_type);
	if (!self) {
		PyErr_Clear();
		hythe_reply_error(c, 500, NULL, -1, "out of memory");
		python_leave();
		return;
	}
	self->call = c;
	self->host = host;
	self->is_replied = 0;
	self->kept = NULL;
	result = PyObject_CallFunctionObjArgs(host->call, (PyObject *)self, NULL);
	if (!result)
		reply_exception(self);
	else if (!self->is_replied)
		hythe_reply_error(c, 500, NULL, -1, "user code returned without a reply");
	Py_XDECREF(result);
	self->call = NULL; /* who has kept the object finds it over */
	Py_XDECREF(self->kept);
	self->kept = NULL;
	Py_DECREF(self);
	python_leave();
}

static void dealloc(PyObject *self)
{
	PyTypeObject *type = Py_TYPE(self);

	PyObject_Free(self);
	Py_DECREF(type);
}

static PyMethodDef methods[] = {
	{ "payload", (PyCFunction)(void (*)(void))payload, METH_VARARGS,
	  "payload(index=0)\n--\n\n(kind, value, names, meta) of a message. FEEDBACK has three: request, response, "
	  "truth." },
	{ "reply", (PyCFunction)(void (*)(void))reply, METH_VARARGS | METH_KEYWORDS,
	  "reply(value, names=None, meta=None, like=NOTHING)\n--\n\nAnswers with what user code returned. Arrays and "
	  "lists are "
	  "sent as `like`, a kind." },
	{ "reply_raw", (PyCFunction)(void (*)(void))reply_raw, METH_VARARGS | METH_KEYWORDS,
	  "reply_raw(message, status=0)\n--\n\nAnswers with bytes as they are: JSON, or protobuf when is_grpc." },
	{ "reply_error", (PyCFunction)(void (*)(void))reply_error, METH_VARARGS | METH_KEYWORDS,
	  "reply_error(status=500, reason=None, code=-1, message='')\n--\n\nAnswers with an error." },
	{ "reply_undefined", (PyCFunction)(void (*)(void))reply_undefined, METH_NOARGS,
	  "reply_undefined()\n--\n\nAnswers as a component that has no such method." },
	{ NULL, NULL, 0, NULL },
};

#define ATTRIBUTE(name, doc)                                                                                           \
	{                                                                                                              \
#name, (getter)(void (*)(void))get_##name, NULL, doc, NULL                                             \
	}
static PyGetSetDef attributes[] = {
	ATTRIBUTE(method, "PREDICT, TRANSFORM_INPUT, ..."),
	ATTRIBUTE(is_grpc, "The question came by gRPC."),
	ATTRIBUTE(is_seldon, "It came as a Seldon message; else V2, V1 or records ask."),
	ATTRIBUTE(model, "The name served under."),
	ATTRIBUTE(id, "The request's id: X-Request-Id."),
	ATTRIBUTE(raw, "The message as sent: JSON text, or protobuf when is_grpc."),
	ATTRIBUTE(count, "How many payloads there are."),
	ATTRIBUTE(reward, "FEEDBACK: the reward."),
	ATTRIBUTE(routing, "FEEDBACK: the branch this component chose, or None."),
	ATTRIBUTE(is_replied, "True once it is answered."),
	{ NULL, NULL, NULL, NULL, NULL },
};

PyObject *call_type_new(void)
{
	static PyType_Slot slots[] = {
		{ Py_tp_doc, (void *)(uintptr_t) "A question to user code. It is over when the function returns." },
		{ Py_tp_dealloc, (void *)(uintptr_t)dealloc },
		{ Py_tp_methods, methods },
		{ Py_tp_getset, attributes },
		{ 0, NULL },
	};
	static PyType_Spec spec = { .name = "hythe._hythe.Call",
				    .basicsize = sizeof(struct call_object),
				    .flags = Py_TPFLAGS_DEFAULT,
				    .slots = slots };
	PyObject *type = PyType_FromSpec(&spec);

	return type;
}
