/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * protobuf - the wire format (protobuf.dev, "Encoding"): a reader that walks a message in place, and a writer.
 * No schema here: each protocol names its own fields. Bytes and strings come back as spans into the message.
 *
 *	struct protobuf p = protobuf(message);
 *	struct protobuf_field f;
 *	while (protobuf_next(&p, &f, err)) {
 *		switch (f.number) {
 *		case 1: if (!protobuf_string(&f, &name, err)) return false; break;
 *		case 3: if (!protobuf_count(&f, PROTOBUF_INT64, &n, err)) return false; ...   // packed or not
 *		}
 *	}
 *	if (p.failed) return false;
 *
 * Groups (wire types 3 and 4) are refused. Unknown fields are passed over by not handling them.
 */
#include "base/base.h"

enum protobuf_type { PROTOBUF_VARINT = 0, PROTOBUF_FIXED64 = 1, PROTOBUF_BYTES = 2, PROTOBUF_FIXED32 = 5 };

struct protobuf {
	const uint8_t *at, *end;
	bool failed;
};

struct protobuf_field {
	uint32_t number;
	enum protobuf_type type;
	uint64_t value;    /* varint, fixed64, fixed32 */
	struct span bytes; /* PROTOBUF_BYTES */
};

static inline struct protobuf protobuf(struct span message)
{
	const uint8_t *at = (const uint8_t *)message.ptr;

	/* Nothing may be added to NULL, not even 0. */
	return (struct protobuf){ at, message.len ? at + message.len : at, false };
}

/* True with the next field; false at the end, or (failed set, err set) when damaged. */
bool protobuf_next(struct protobuf *p, struct protobuf_field *ret, struct error *err);

/* One varint at *at. */
bool protobuf_varint(const uint8_t **at, const uint8_t *end, uint64_t *ret);

/* Typed access; a wrong wire type is INVALID and names the field's number. */
bool protobuf_bytes(const struct protobuf_field *f, struct span *ret, struct error *err);
bool protobuf_string(const struct protobuf_field *f, struct span *ret, struct error *err); /* checks UTF-8 */
bool protobuf_uint64(const struct protobuf_field *f, uint64_t *ret, struct error *err);    /* varint */
bool protobuf_int64(const struct protobuf_field *f, int64_t *ret, struct error *err);
bool protobuf_int32(const struct protobuf_field *f, int32_t *ret, struct error *err); /* truncates as the spec says */
bool protobuf_bool(const struct protobuf_field *f, bool *ret, struct error *err);
bool protobuf_double(const struct protobuf_field *f, double *ret, struct error *err);
bool protobuf_float(const struct protobuf_field *f, float *ret, struct error *err);

/* Repeated scalars, packed or one by one: how many elements this field adds, and copying them to `to`. */
enum protobuf_scalar {
	PROTOBUF_INT64,
	PROTOBUF_UINT64,
	PROTOBUF_INT32,
	PROTOBUF_UINT32,
	PROTOBUF_BOOL, /* varints */
	PROTOBUF_SINT64,
	PROTOBUF_FLOAT,
	PROTOBUF_DOUBLE,
};
bool protobuf_count(const struct protobuf_field *f, enum protobuf_scalar type, size_t *ret, struct error *err);
/* `to` has room for what protobuf_count said: int64_t, uint64_t, int32_t, uint32_t, uint8_t, int64_t, float, double. */
void protobuf_copy(const struct protobuf_field *f, enum protobuf_scalar type, void *to);

/* ---- writer: proto3 rules are the caller's (leave defaults out by not calling) ---- */

size_t protobuf_varint_size(uint64_t value);
void protobuf_write_varint(struct buffer *out, uint64_t value);
void protobuf_write_tag(struct buffer *out, uint32_t number, enum protobuf_type type);
void protobuf_write_uint64(struct buffer *out, uint32_t number,
			   uint64_t value); /* field, also for bool, enum, int32, int64 */
void protobuf_write_bytes(struct buffer *out, uint32_t number, struct span bytes);
void protobuf_write_double(struct buffer *out, uint32_t number, double value);
void protobuf_write_float(struct buffer *out, uint32_t number, float value);
void protobuf_write_packed_int64(struct buffer *out, uint32_t number, const int64_t *values, size_t count);

/* A nested message: open, write its fields, close. The length is put in front on close (5 bytes are kept for it and the
 * content moved when fewer are needed). */
size_t protobuf_open(struct buffer *out, uint32_t number);
void protobuf_close(struct buffer *out, size_t mark);
