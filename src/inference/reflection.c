/* SPDX-License-Identifier: Apache-2.0 */
/* gRPC server reflection, v1 and v1alpha: two names for the same messages. */
#include "inference/reflection.h"

#include "inference/inference.h"
#include "inference/surfaces.h"
#include "wire/protobuf.h"

/* google/protobuf/descriptor.proto */
enum { SET_FILE = 1 };
enum { FILE_NAME = 1, FILE_PACKAGE = 2, FILE_IMPORT = 3, FILE_MESSAGE = 4, FILE_ENUM = 5, FILE_SERVICE = 6 };
enum { MESSAGE_NAME = 1, MESSAGE_FIELD = 2, MESSAGE_NESTED = 3, MESSAGE_ENUM = 4, MESSAGE_ONEOF = 8 };
enum { ENUM_NAME = 1, ENUM_VALUE = 2, SERVICE_NAME = 1, SERVICE_METHOD = 2, MEMBER_NAME = 1 };
/* grpc/reflection/v1/reflection.proto */
enum {
	ASK_HOST = 1,
	ASK_FILE = 3,
	ASK_SYMBOL = 4,
	ASK_EXTENSION = 5,
	ASK_EXTENSION_NUMBERS = 6,
	ASK_SERVICES = 7,
};
enum { GIVE_HOST = 1, GIVE_REQUEST = 2, GIVE_FILES = 4, GIVE_SERVICES = 6, GIVE_ERROR = 7 };
enum { FILES_PROTO = 1, SERVICES_SERVICE = 1, SERVICE_ENTRY_NAME = 1, ERROR_CODE = 1, ERROR_MESSAGE = 2 };

/* ---- walking descriptors ---- */

/* The first field of that number, which must be bytes. The descriptors are the build's own: damage cannot occur. */
static struct span field_find(struct span message, uint32_t number)
{
	struct protobuf p = protobuf(message);
	struct error ignored = { 0 };
	struct protobuf_field f;

	while (protobuf_next(&p, &f, &ignored)) {
		if (f.number == number && f.type == PROTOBUF_BYTES)
			return f.bytes;
	}
	return (struct span){ 0 };
}

bool reflection_file(struct span set, struct span filename, struct span *ret)
{
	struct protobuf p = protobuf(set);
	struct error ignored = { 0 };
	struct protobuf_field f;

	while (protobuf_next(&p, &f, &ignored)) {
		if (f.number == SET_FILE && span_equal(field_find(f.bytes, FILE_NAME), filename)) {
			*ret = f.bytes;
			return true;
		}
	}
	return false;
}

/* Takes "name" off "name.rest" (or "name"); false when the symbol starts otherwise. */
static bool name_take(struct span *symbol, struct span name)
{
	if (!span_starts(*symbol, name))
		return false;
	if (symbol->len == name.len) {
		*symbol = span_skip(*symbol, name.len);
		return true;
	}
	if (symbol->ptr[name.len] != '.' || symbol->len == name.len + 1)
		return false;
	*symbol = span_skip(*symbol, name.len + 1);
	return true;
}

static bool member_has(struct span owner, uint32_t number, struct span name)
{
	struct protobuf p = protobuf(owner);
	struct error ignored = { 0 };
	struct protobuf_field f;

	while (protobuf_next(&p, &f, &ignored)) {
		if (f.number == number && f.type == PROTOBUF_BYTES &&
		    span_equal(field_find(f.bytes, MEMBER_NAME), name))
			return true;
	}
	return false;
}

/* A definition named as the symbol starts, with members of the given fields. */
static bool definition_has(struct span definition, struct span symbol, uint32_t members)
{
	return name_take(&symbol, field_find(definition, MEMBER_NAME)) &&
	       (symbol.len == 0 || member_has(definition, members, symbol));
}

static bool message_has(struct span message, struct span symbol)
{
	struct protobuf p = protobuf(message);
	struct error ignored = { 0 };
	struct protobuf_field f;

	if (!name_take(&symbol, field_find(message, MESSAGE_NAME)))
		return false;
	if (symbol.len == 0 || member_has(message, MESSAGE_FIELD, symbol) || member_has(message, MESSAGE_ONEOF, symbol))
		return true;
	while (protobuf_next(&p, &f, &ignored)) {
		if (f.number == MESSAGE_NESTED && message_has(f.bytes, symbol))
			return true;
		if (f.number == MESSAGE_ENUM && definition_has(f.bytes, symbol, ENUM_VALUE))
			return true;
	}
	return false;
}

static bool file_has(struct span file, struct span symbol)
{
	struct span package = field_find(file, FILE_PACKAGE);
	struct protobuf p = protobuf(file);
	struct error ignored = { 0 };
	struct protobuf_field f;

	if (package.len > 0 && (!name_take(&symbol, package) || symbol.len == 0))
		return false;
	while (protobuf_next(&p, &f, &ignored)) {
		if (f.number == FILE_MESSAGE && message_has(f.bytes, symbol))
			return true;
		if (f.number == FILE_ENUM && definition_has(f.bytes, symbol, ENUM_VALUE))
			return true;
		if (f.number == FILE_SERVICE && definition_has(f.bytes, symbol, SERVICE_METHOD))
			return true;
	}
	return false;
}

bool reflection_symbol(struct span set, struct span symbol, struct span *ret)
{
	struct protobuf p = protobuf(set);
	struct error ignored = { 0 };
	struct protobuf_field f;

	while (symbol.len > 0 && protobuf_next(&p, &f, &ignored)) {
		if (f.number == SET_FILE && file_has(f.bytes, symbol)) {
			*ret = f.bytes;
			return true;
		}
	}
	return false;
}

static bool is_listed(const struct span *files, size_t count, struct span file)
{
	for (size_t i = 0; i < count; i++) {
		if (files[i].ptr == file.ptr)
			return true;
	}
	return false;
}

/* Breadth first: the list is its own queue. */
size_t reflection_with_imports(struct span set, struct span file, struct span *files)
{
	size_t count = 1;

	files[0] = file;
	for (size_t i = 0; i < count; i++) {
		struct protobuf p = protobuf(files[i]);
		struct error ignored = { 0 };
		struct protobuf_field f;
		struct span import;

		while (protobuf_next(&p, &f, &ignored)) {
			if (f.number == FILE_IMPORT && reflection_file(set, f.bytes, &import) &&
			    !is_listed(files, count, import) && count < REFLECTION_FILES_MAX)
				files[count++] = import;
		}
	}
	return count;
}

/* ---- answering ---- */

static void error_write(struct buffer *out, enum error_code code, struct span what, struct span name)
{
	size_t mark = protobuf_open(out, GIVE_ERROR), text;

	protobuf_write_uint64(out, ERROR_CODE, (uint64_t)error_grpc(code));
	text = protobuf_open(out, ERROR_MESSAGE);
	buffer_append(out, what);
	buffer_append(out, span_first(name, 200));
	protobuf_close(out, text);
	protobuf_close(out, mark);
}

static void files_write(struct buffer *out, struct span set, struct span file)
{
	struct span files[REFLECTION_FILES_MAX];
	size_t count = reflection_with_imports(set, file, files);
	size_t mark = protobuf_open(out, GIVE_FILES);

	for (size_t i = 0; i < count; i++)
		protobuf_write_bytes(out, FILES_PROTO, files[i]);
	protobuf_close(out, mark);
}

static void services_write(struct buffer *out, const struct span *services, size_t count)
{
	size_t mark = protobuf_open(out, GIVE_SERVICES);

	for (size_t i = 0; i < count; i++) {
		size_t service = protobuf_open(out, SERVICES_SERVICE);

		protobuf_write_bytes(out, SERVICE_ENTRY_NAME, services[i]);
		protobuf_close(out, service);
	}
	protobuf_close(out, mark);
}

bool reflection_answer(struct span set, const struct span *services, size_t service_count, struct span request,
		       struct buffer *out, struct error *err)
{
	struct protobuf p = protobuf(request);
	struct protobuf_field f, ask = { 0 };
	struct span host = { 0 }, text = { 0 }, file;

	/* The last of the oneof counts. */
	while (protobuf_next(&p, &f, err)) {
		if (f.number == ASK_HOST && !protobuf_string(&f, &host, err))
			return false;
		if (f.number < ASK_FILE || f.number > ASK_SERVICES)
			continue;
		ask = f;
		if (!(f.number == ASK_EXTENSION ? protobuf_bytes(&f, &text, err) : protobuf_string(&f, &text, err)))
			return false;
	}
	if (p.failed)
		return false;
	if (host.len > 0)
		protobuf_write_bytes(out, GIVE_HOST, host);
	protobuf_write_bytes(out, GIVE_REQUEST, request);
	switch (ask.number) {
	case ASK_FILE:
		if (reflection_file(set, text, &file))
			files_write(out, set, file);
		else
			error_write(out, ERROR_NOT_FOUND, SPAN("no such file: "), text);
		break;
	case ASK_SYMBOL:
		if (reflection_symbol(set, text, &file))
			files_write(out, set, file);
		else
			error_write(out, ERROR_NOT_FOUND, SPAN("no such symbol: "), text);
		break;
	case ASK_EXTENSION:
	case ASK_EXTENSION_NUMBERS:
		error_write(out, ERROR_NOT_FOUND, SPAN("the services here have no extensions"), (struct span){ 0 });
		break;
	case ASK_SERVICES:
		services_write(out, services, service_count);
		break;
	default:
		error_write(out, ERROR_INVALID, SPAN("the request asks for nothing"), (struct span){ 0 });
	}
	return true;
}

/* ---- the service ---- */

#define SERVICES_MAX 64

/* "seldon.protos.Model" of "/seldon.protos.Model/Predict", each once, from the route tables: what is listed is served.
 */
static size_t services_find(struct span *services)
{
	size_t count = 0;

	for (size_t t = 0; inference_routes[t]; t++) {
		for (const struct route *row = inference_routes[t]; row->pattern; row++) {
			struct span name = span_skip(span_of(row->pattern), 1);
			size_t i = 0;

			if (row->kind == ROUTE_HTTP)
				continue;
			name = span_first(name, span_index(name, '/'));
			while (i < count && !span_equal(services[i], name))
				i++;
			if (i == count && count < SERVICES_MAX)
				services[count++] = name;
		}
	}
	return count;
}

/* ServerReflection.ServerReflectionInfo: one answer a message, until the client has no more to ask. */
static void info(struct request *req)
{
	struct span services[SERVICES_MAX];
	struct error err = { 0 };

	if (req->is_end)
		request_send(req, 200, (struct span){ 0 });
	else if (reflection_answer(protos_set, services, services_find(services), req->body, &req->out, &err) &&
		 buffer_ok(&req->out, "the answer", &err))
		request_send_part(req);
	else
		request_fail(req, &err);
}

static const struct surface surface_reflection = { "reflection", NULL };

const struct route reflection_routes[] = {
	{ METHOD_POST, "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo", info, &surface_reflection,
	  ROUTE_GRPC_STREAM },
	{ METHOD_POST, "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo", info, &surface_reflection,
	  ROUTE_GRPC_STREAM },
	{ 0 },
};
