/* SPDX-License-Identifier: Apache-2.0 */
#include "net/grpc.h"

#include "base/clock.h"
#include "wire/base64.h"
#include "wire/protobuf.h"

bool grpc_content_type(struct span content_type, bool *ret_is_other)
{
	static const struct span prefix = SPAN_INIT("application/grpc");
	struct span type = span_trim(span_cut(&content_type, ';'));

	*ret_is_other = false;
	if (!span_equal_ignore_case(span_first(type, prefix.len), prefix))
		return false;
	type = span_skip(type, prefix.len);
	if (type.len == 0 || span_equal_ignore_case(type, SPAN("+proto")))
		return true;
	*ret_is_other = type.ptr[0] == '+' || type.ptr[0] == '-';
	return false;
}

enum grpc_result grpc_frame_read(struct span in, size_t limit, bool *ret_is_compressed, struct span *ret_message,
				 struct error *err)
{
	const unsigned char *p = (const unsigned char *)in.ptr;
	size_t len;

	if (in.len && p[0] > 1) {
		error_set(err, ERROR_INVALID, "a gRPC frame starts with %u: 0 or 1 was expected", p[0]);
		return GRPC_FAILED;
	}
	if (in.len < GRPC_FRAME_HEAD)
		return GRPC_MORE;
	len = (size_t)p[1] << 24 | (size_t)p[2] << 16 | (size_t)p[3] << 8 | p[4];
	if (len > limit) {
		error_set(err, ERROR_TOO_LARGE,
			  "a message of %zu bytes is over the limit of %zu bytes (--max-body-bytes)", len, limit);
		return GRPC_FAILED;
	}
	if (in.len - GRPC_FRAME_HEAD < len)
		return GRPC_MORE;
	*ret_is_compressed = p[0] == 1;
	*ret_message = (struct span){ in.ptr + GRPC_FRAME_HEAD, len };
	return GRPC_DONE;
}

bool grpc_frame_head(char *to, bool is_compressed, size_t len)
{
	if (len > UINT32_MAX)
		return false;
	to[0] = is_compressed ? 1 : 0;
	for (int i = 0; i < 4; i++)
		to[1 + i] = (char)(len >> (24 - 8 * i) & 0xff);
	return true;
}

bool grpc_timeout_parse(struct span text, int64_t *ret_ns)
{
	static const struct {
		char unit;
		int64_t ns;
	} units[] = { { 'H', 3600 * NS_PER_S }, { 'M', 60 * NS_PER_S }, { 'S', NS_PER_S },
		      { 'm', NS_PER_MS },       { 'u', NS_PER_US },     { 'n', 1 } };
	int64_t value = 0;

	if (text.len < 2 || text.len > 9)
		return false;
	for (size_t i = 0; i + 1 < text.len; i++) {
		if (text.ptr[i] < '0' || text.ptr[i] > '9')
			return false;
		value = value * 10 + (text.ptr[i] - '0');
	}
	for (size_t i = 0; i < ARRAY_LEN(units); i++) {
		if (units[i].unit != text.ptr[text.len - 1])
			continue;
		if (__builtin_mul_overflow(value, units[i].ns, ret_ns))
			*ret_ns = INT64_MAX; /* 99999999H is over eleven thousand years */
		return true;
	}
	return false;
}

/* All but printable ASCII, and '%' itself, become %XX. */
struct span grpc_message(const struct error *err, struct arena *arena)
{
	static const char digits[] = "0123456789ABCDEF";
	struct span text = error_span(err);
	struct error ignored = { 0 };
	char *to = arena_alloc(arena, 3 * text.len, &ignored);
	size_t len = 0;

	if (!to)
		return (struct span){ NULL, 0 };
	for (size_t i = 0; i < text.len; i++) {
		unsigned char c = (unsigned char)text.ptr[i];

		if (c >= ' ' && c <= '~' && c != '%') {
			to[len++] = (char)c;
		} else {
			to[len++] = '%';
			to[len++] = digits[c >> 4];
			to[len++] = digits[c & 15];
		}
	}
	return (struct span){ to, len };
}

struct span grpc_details(const struct error *err, struct arena *arena)
{
	struct error ignored = { 0 };
	struct buffer status, text;
	struct span copy;
	size_t any, info;

	buffer_init(&status, KIB(4));
	buffer_init(&text, KIB(8));
	protobuf_write_uint64(&status, 1, (uint64_t)error_grpc(err->code));
	protobuf_write_bytes(&status, 2, error_span(err));
	any = protobuf_open(&status, 3);
	protobuf_write_bytes(&status, 1, SPAN("type.googleapis.com/google.rpc.ErrorInfo"));
	info = protobuf_open(&status, 2);
	protobuf_write_bytes(&status, 1, span_of(error_name(err->code)));
	protobuf_write_bytes(&status, 2, SPAN("hythe"));
	protobuf_close(&status, info);
	protobuf_close(&status, any);
	base64_write(&text, buffer_span(&status));
	copy = arena_copy(arena, buffer_span(&text), &ignored);
	while (copy.len && copy.ptr[copy.len - 1] == '=')
		copy.len--;
	buffer_done(&status);
	buffer_done(&text);
	return copy;
}

struct span grpc_status_text(int status)
{
	static const struct span texts[] = {
		SPAN_INIT("0"),  SPAN_INIT("1"),  SPAN_INIT("2"),  SPAN_INIT("3"),  SPAN_INIT("4"),  SPAN_INIT("5"),
		SPAN_INIT("6"),  SPAN_INIT("7"),  SPAN_INIT("8"),  SPAN_INIT("9"),  SPAN_INIT("10"), SPAN_INIT("11"),
		SPAN_INIT("12"), SPAN_INIT("13"), SPAN_INIT("14"), SPAN_INIT("15"), SPAN_INIT("16"),
	};

	return texts[status >= 0 && (size_t)status < ARRAY_LEN(texts) ? status : 2];
}
