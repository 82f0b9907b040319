/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/protobuf.h"

enum { VARINT_MOST = 10, FIELD_NUMBER_MOST = (1 << 29) - 1, LENGTH_KEPT = 5 };

static const char *type_name(enum protobuf_type type)
{
	switch (type) {
	case PROTOBUF_VARINT:
		return "varint";
	case PROTOBUF_FIXED64:
		return "fixed64";
	case PROTOBUF_BYTES:
		return "length-delimited";
	case PROTOBUF_FIXED32:
		return "fixed32";
	}
	return "unknown";
}

/* ---- reader ---- */

bool protobuf_varint(const uint8_t **at, const uint8_t *end, uint64_t *ret)
{
	const uint8_t *p = *at;
	uint64_t value = 0;

	if (LIKELY(p < end && *p < 0x80)) {
		*ret = *p;
		*at = p + 1;
		return true;
	}
	for (unsigned shift = 0; p < end && shift < 7 * VARINT_MOST; shift += 7) {
		uint8_t byte = *p++;

		/* The tenth byte has room for one bit. */
		if (shift == 63 && byte > 1)
			return false;
		value |= (uint64_t)(byte & 0x7F) << shift;
		if (byte < 0x80) {
			*ret = value;
			*at = p;
			return true;
		}
	}
	return false;
}

static __attribute__((cold)) bool damaged(struct protobuf *p, struct error *err, uint32_t number, const char *what)
{
	p->failed = true;
	if (number == 0)
		return error_set(err, ERROR_INVALID, "protobuf: %s", what);
	return error_set(err, ERROR_INVALID, "protobuf: field %u: %s", number, what);
}

bool protobuf_next(struct protobuf *p, struct protobuf_field *ret, struct error *err)
{
	struct protobuf_field f = { 0 };
	const uint8_t *at = p->at;
	uint64_t tag, number;

	if (p->failed || at == p->end)
		return false;
	if (!protobuf_varint(&at, p->end, &tag))
		return damaged(p, err, 0, "a field's tag is cut off or too long");
	number = tag >> 3;
	if (number == 0 || number > FIELD_NUMBER_MOST)
		return damaged(p, err, 0, "a field number is outside 1 to 536870911");
	f.number = (uint32_t)number;
	f.type = (enum protobuf_type)(tag & 7);
	switch (f.type) {
	case PROTOBUF_VARINT:
		if (!protobuf_varint(&at, p->end, &f.value))
			return damaged(p, err, f.number, "the varint is cut off or too long");
		break;
	case PROTOBUF_FIXED64:
		if (p->end - at < 8)
			return damaged(p, err, f.number, "8 bytes expected, cut off");
		memcpy(&f.value, at, 8);
		at += 8;
		break;
	case PROTOBUF_BYTES:
		if (!protobuf_varint(&at, p->end, &f.value))
			return damaged(p, err, f.number, "the length is cut off or too long");
		if (f.value > (uint64_t)(p->end - at))
			return damaged(p, err, f.number, "longer than the message it is in");
		f.bytes = span_from(at, (size_t)f.value);
		at += f.value;
		break;
	case PROTOBUF_FIXED32: {
		uint32_t value;

		if (p->end - at < 4)
			return damaged(p, err, f.number, "4 bytes expected, cut off");
		memcpy(&value, at, 4);
		f.value = value;
		at += 4;
		break;
	}
	default:
		return damaged(p, err, f.number, "wire type not supported (3 and 4, groups, are not)");
	}
	p->at = at;
	*ret = f;
	return true;
}

static __attribute__((cold)) bool wrong_type(const struct protobuf_field *f, enum protobuf_type want, struct error *err)
{
	return error_set(err, ERROR_INVALID, "protobuf: field %u has wire type %s, expected %s", f->number,
			 type_name(f->type), type_name(want));
}

bool protobuf_bytes(const struct protobuf_field *f, struct span *ret, struct error *err)
{
	if (f->type != PROTOBUF_BYTES)
		return wrong_type(f, PROTOBUF_BYTES, err);
	*ret = f->bytes;
	return true;
}

bool protobuf_string(const struct protobuf_field *f, struct span *ret, struct error *err)
{
	if (f->type != PROTOBUF_BYTES)
		return wrong_type(f, PROTOBUF_BYTES, err);
	if (!span_is_utf8(f->bytes))
		return error_set(err, ERROR_INVALID, "protobuf: the string of field %u is not UTF-8", f->number);
	*ret = f->bytes;
	return true;
}

bool protobuf_uint64(const struct protobuf_field *f, uint64_t *ret, struct error *err)
{
	if (f->type != PROTOBUF_VARINT)
		return wrong_type(f, PROTOBUF_VARINT, err);
	*ret = f->value;
	return true;
}

bool protobuf_int64(const struct protobuf_field *f, int64_t *ret, struct error *err)
{
	if (f->type != PROTOBUF_VARINT)
		return wrong_type(f, PROTOBUF_VARINT, err);
	*ret = (int64_t)f->value;
	return true;
}

bool protobuf_int32(const struct protobuf_field *f, int32_t *ret, struct error *err)
{
	if (f->type != PROTOBUF_VARINT)
		return wrong_type(f, PROTOBUF_VARINT, err);
	*ret = (int32_t)(uint32_t)f->value;
	return true;
}

bool protobuf_bool(const struct protobuf_field *f, bool *ret, struct error *err)
{
	if (f->type != PROTOBUF_VARINT)
		return wrong_type(f, PROTOBUF_VARINT, err);
	*ret = f->value != 0;
	return true;
}

bool protobuf_double(const struct protobuf_field *f, double *ret, struct error *err)
{
	if (f->type != PROTOBUF_FIXED64)
		return wrong_type(f, PROTOBUF_FIXED64, err);
	memcpy(ret, &f->value, sizeof(*ret));
	return true;
}

bool protobuf_float(const struct protobuf_field *f, float *ret, struct error *err)
{
	uint32_t bits = (uint32_t)f->value;

	if (f->type != PROTOBUF_FIXED32)
		return wrong_type(f, PROTOBUF_FIXED32, err);
	memcpy(ret, &bits, sizeof(*ret));
	return true;
}

/* ---- repeated scalars ---- */

static enum protobuf_type scalar_type(enum protobuf_scalar type)
{
	return type == PROTOBUF_FLOAT ? PROTOBUF_FIXED32 : type == PROTOBUF_DOUBLE ? PROTOBUF_FIXED64 : PROTOBUF_VARINT;
}

/* Each varint ends at the one byte with a clear top bit. Also sees that none is longer than ten bytes. */
static bool count_varints(const struct protobuf_field *f, size_t *ret, struct error *err)
{
	const uint8_t *at = (const uint8_t *)f->bytes.ptr;
	const uint8_t *end = at + f->bytes.len;
	size_t count = 0;
	uint64_t value;

	for (; at < end; count++)
		if (!protobuf_varint(&at, end, &value))
			return error_set(err, ERROR_INVALID, "protobuf: element %zu of field %u is cut off or too long",
					 count, f->number);
	*ret = count;
	return true;
}

bool protobuf_count(const struct protobuf_field *f, enum protobuf_scalar type, size_t *ret, struct error *err)
{
	enum protobuf_type single = scalar_type(type);
	size_t size = single == PROTOBUF_FIXED32 ? 4 : 8;

	if (f->type == single) {
		*ret = 1;
		return true;
	}
	if (f->type != PROTOBUF_BYTES)
		return wrong_type(f, single, err);
	if (single == PROTOBUF_VARINT)
		return count_varints(f, ret, err);
	if (f->bytes.len % size)
		return error_set(err, ERROR_INVALID, "protobuf: field %u has %zu bytes, not a multiple of %zu",
				 f->number, f->bytes.len, size);
	*ret = f->bytes.len / size;
	return true;
}

static void *put_scalar(void *to, enum protobuf_scalar type, uint64_t value)
{
	uint32_t narrow = (uint32_t)value;
	uint8_t boolean = value != 0;

	switch (type) {
	case PROTOBUF_SINT64:
		value = value >> 1 ^ (0 - (value & 1));
		memcpy(to, &value, 8);
		return (char *)to + 8;
	case PROTOBUF_INT64:
	case PROTOBUF_UINT64:
	case PROTOBUF_DOUBLE:
		memcpy(to, &value, 8);
		return (char *)to + 8;
	case PROTOBUF_INT32:
	case PROTOBUF_UINT32:
	case PROTOBUF_FLOAT:
		memcpy(to, &narrow, 4);
		return (char *)to + 4;
	case PROTOBUF_BOOL:
		memcpy(to, &boolean, 1);
		return (char *)to + 1;
	}
	return to;
}

void protobuf_copy(const struct protobuf_field *f, enum protobuf_scalar type, void *to)
{
	const uint8_t *at = (const uint8_t *)f->bytes.ptr;
	const uint8_t *end;
	uint64_t value;

	if (f->type != PROTOBUF_BYTES) {
		put_scalar(to, type, f->value);
		return;
	}
	end = at + f->bytes.len;
	if (type == PROTOBUF_FLOAT || type == PROTOBUF_DOUBLE) {
		if (f->bytes.len)
			memcpy(to, f->bytes.ptr, f->bytes.len);
		return;
	}
	while (at < end && protobuf_varint(&at, end, &value))
		to = put_scalar(to, type, value);
}

/* ---- writer ---- */

size_t protobuf_varint_size(uint64_t value)
{
	return (size_t)(63 - __builtin_clzll(value | 1)) / 7 + 1;
}

static uint8_t *put_varint(uint8_t *to, uint64_t value)
{
	for (; value >= 0x80; value >>= 7)
		*to++ = (uint8_t)(value | 0x80);
	*to++ = (uint8_t)value;
	return to;
}

static uint8_t *put_tag(uint8_t *to, uint32_t number, enum protobuf_type type)
{
	return put_varint(to, (uint64_t)number << 3 | type);
}

static void commit_to(struct buffer *out, const uint8_t *to)
{
	out->len = (size_t)(to - (const uint8_t *)out->ptr);
}

void protobuf_write_varint(struct buffer *out, uint64_t value)
{
	uint8_t *to = (uint8_t *)buffer_reserve(out, VARINT_MOST);

	if (to)
		commit_to(out, put_varint(to, value));
}

void protobuf_write_tag(struct buffer *out, uint32_t number, enum protobuf_type type)
{
	protobuf_write_varint(out, (uint64_t)number << 3 | type);
}

void protobuf_write_uint64(struct buffer *out, uint32_t number, uint64_t value)
{
	uint8_t *to = (uint8_t *)buffer_reserve(out, (size_t)2 * VARINT_MOST);

	if (to)
		commit_to(out, put_varint(put_tag(to, number, PROTOBUF_VARINT), value));
}

void protobuf_write_bytes(struct buffer *out, uint32_t number, struct span bytes)
{
	size_t size;
	uint8_t *to;

	if (!checked_add(bytes.len, (size_t)2 * VARINT_MOST, &size)) {
		out->overflow = true;
		return;
	}
	to = (uint8_t *)buffer_reserve(out, size);
	if (!to)
		return;
	to = put_varint(put_tag(to, number, PROTOBUF_BYTES), bytes.len);
	if (bytes.len)
		memcpy(to, bytes.ptr, bytes.len);
	commit_to(out, to + bytes.len);
}

void protobuf_write_double(struct buffer *out, uint32_t number, double value)
{
	uint8_t *to = (uint8_t *)buffer_reserve(out, VARINT_MOST + sizeof(value));

	if (!to)
		return;
	to = put_tag(to, number, PROTOBUF_FIXED64);
	memcpy(to, &value, sizeof(value));
	commit_to(out, to + sizeof(value));
}

void protobuf_write_float(struct buffer *out, uint32_t number, float value)
{
	uint8_t *to = (uint8_t *)buffer_reserve(out, VARINT_MOST + sizeof(value));

	if (!to)
		return;
	to = put_tag(to, number, PROTOBUF_FIXED32);
	memcpy(to, &value, sizeof(value));
	commit_to(out, to + sizeof(value));
}

void protobuf_write_packed_int64(struct buffer *out, uint32_t number, const int64_t *values, size_t count)
{
	size_t size = 0;
	uint8_t *to;

	for (size_t i = 0; i < count; i++)
		size += protobuf_varint_size((uint64_t)values[i]);
	to = (uint8_t *)buffer_reserve(out, size + (size_t)2 * VARINT_MOST);
	if (!to)
		return;
	to = put_varint(put_tag(to, number, PROTOBUF_BYTES), size);
	for (size_t i = 0; i < count; i++)
		to = put_varint(to, (uint64_t)values[i]);
	commit_to(out, to);
}

size_t protobuf_open(struct buffer *out, uint32_t number)
{
	protobuf_write_tag(out, number, PROTOBUF_BYTES);
	if (buffer_reserve(out, LENGTH_KEPT))
		buffer_commit(out, LENGTH_KEPT);
	return out->len;
}

void protobuf_close(struct buffer *out, size_t mark)
{
	size_t len, size;
	char *head;

	if (out->overflow)
		return;
	ASSERT(mark >= LENGTH_KEPT && mark <= out->len);
	len = out->len - mark;
	size = protobuf_varint_size(len);
	/* Five bytes hold lengths below 2^35: more than any message may have (2 GiB). */
	if (size > LENGTH_KEPT) {
		out->overflow = true;
		return;
	}
	head = out->ptr + mark - LENGTH_KEPT;
	put_varint((uint8_t *)head, len);
	if (size < LENGTH_KEPT) {
		memmove(head + size, out->ptr + mark, len);
		out->len -= LENGTH_KEPT - size;
	}
}
