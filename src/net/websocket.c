/* SPDX-License-Identifier: Apache-2.0 */
#include "net/websocket.h"

enum {
	CLOSE_PROTOCOL = 1002,
	CLOSE_NONE = 1005, /* never on the wire: stands for a close frame without a code (RFC 6455 7.1.5) */
	CLOSE_NOT_UTF8 = 1007,
	CLOSE_TOO_LARGE = 1009,
	CONTROL_MOST = 125,
	MESSAGE_KEEP = 64 * 1024,
};

void websocket_init(struct websocket *w, size_t limit)
{
	*w = (struct websocket){ .limit = limit };
	buffer_init(&w->message, limit);
}

void websocket_done(struct websocket *w)
{
	buffer_done(&w->message);
}

/* ---- reading ---- */

static bool fail(struct websocket *w, int code)
{
	w->failure = code;
	return false;
}

static bool is_control(int opcode)
{
	return (opcode & 8) != 0;
}

/* What the first two bytes say (RFC 6455 5.2). False: not allowed. */
static bool head_check(struct websocket *w)
{
	int opcode = w->head[0] & 0x0f;
	bool is_final = (w->head[0] & 0x80) != 0;

	if (w->head[0] & 0x70 || !(w->head[1] & 0x80)) /* no extension gave the bits a meaning; clients must mask */
		return fail(w, CLOSE_PROTOCOL);
	if (is_control(opcode)) {
		if (opcode > WEBSOCKET_OP_PONG || !is_final || (w->head[1] & 0x7f) > CONTROL_MOST)
			return fail(w, CLOSE_PROTOCOL);
	} else if (opcode > WEBSOCKET_OP_BINARY || (opcode == 0) != (w->opcode != 0)) {
		/* 5.4: a first fragment has the type, the others have 0, and messages do not mix. */
		return fail(w, CLOSE_PROTOCOL);
	}
	w->frame_opcode = opcode;
	w->is_final = is_final;
	return true;
}

static unsigned length_size(const struct websocket *w)
{
	switch (w->head[1] & 0x7f) {
	case 126:
		return 2;
	case 127:
		return 8;
	default:
		return 0;
	}
}

/* The frame's length, in the shortest form (5.2). False: not allowed. */
static bool length_check(struct websocket *w)
{
	static const uint64_t least[] = { [2] = 126, [8] = 65536 };
	unsigned size = length_size(w);
	uint64_t length = 0;

	for (unsigned i = 0; i < size; i++)
		length = length << 8 | w->head[2 + i];
	if (size == 0)
		length = w->head[1] & 0x7f;
	else if (length < least[size] || length >> 63)
		return fail(w, CLOSE_PROTOCOL);
	if (!is_control(w->frame_opcode) && w->opcode == 0 && length > w->limit)
		return fail(w, CLOSE_TOO_LARGE);
	if (!is_control(w->frame_opcode) && w->opcode != 0 && length > w->limit - w->message.len)
		return fail(w, CLOSE_TOO_LARGE);
	w->left = length;
	return true;
}

static void payload_begin(struct websocket *w)
{
	w->in_payload = true;
	w->mask_at = 0;
	if (is_control(w->frame_opcode)) {
		w->control_len = 0;
	} else if (w->opcode == 0) {
		w->opcode = w->frame_opcode;
		w->checked = 0;
		buffer_clear(&w->message);
		if (w->message.cap > MESSAGE_KEEP)
			buffer_shrink(&w->message, MESSAGE_KEEP);
	}
}

/* Takes bytes of a frame's head from `in`. False: there are not enough, or w->failure. */
static bool head_read(struct websocket *w, struct span *in)
{
	for (;;) {
		unsigned want = w->head_len < 2 ? 2 : 2 + length_size(w) + 4;
		size_t n = MIN(want - w->head_len, in->len);

		if (n)
			memcpy(w->head + w->head_len, in->ptr, n);
		*in = n ? span_skip(*in, n) : *in;
		w->head_len += (unsigned)n;
		if (w->head_len < want)
			return false;
		if (want > 2)
			break;
		if (!head_check(w))
			return false;
	}
	if (!length_check(w))
		return false;
	payload_begin(w);
	return true;
}

/* 5.3. The mask is turned so that it begins where the last piece has ended. */
static void unmask(struct websocket *w, unsigned char *to, struct span from)
{
	const unsigned char *key = w->head + w->head_len - 4;
	unsigned char turned[8];
	uint64_t mask, word;
	size_t i = 0;

	for (unsigned k = 0; k < 8; k++)
		turned[k] = key[(w->mask_at + k) & 3];
	memcpy(&mask, turned, sizeof(mask));
	for (; from.len - i >= sizeof(word); i += sizeof(word)) {
		memcpy(&word, from.ptr + i, sizeof(word));
		word ^= mask;
		memcpy(to + i, &word, sizeof(word));
	}
	for (; i < from.len; i++)
		to[i] = (unsigned char)from.ptr[i] ^ turned[i & 7];
	w->mask_at = (unsigned)(w->mask_at + from.len) & 3;
}

/* How many bytes at the end are the start of a character that is not whole. */
static size_t tail_size(struct span text)
{
	for (size_t back = 1; back <= MIN(3, text.len); back++) {
		unsigned char c = (unsigned char)text.ptr[text.len - back];
		size_t size = c >= 0xf0 ? 4 : c >= 0xe0 ? 3 : c >= 0xc0 ? 2 : 1;

		if (c < 0x80 || c >= 0xc0)
			return size > back ? back : 0;
	}
	return 0;
}

/* Could more bytes make it a character? Fills it up with the least that may follow its first byte (RFC 3629 4). */
static bool tail_is_possible(struct span tail)
{
	unsigned char text[4] = { 0, 0x80, 0x80, 0x80 };
	size_t size;

	if (!tail.len)
		return true;
	text[0] = (unsigned char)tail.ptr[0];
	size = text[0] >= 0xf0 ? 4 : text[0] >= 0xe0 ? 3 : 2;
	if (text[0] == 0xe0)
		text[1] = 0xa0;
	else if (text[0] == 0xf0)
		text[1] = 0x90;
	memcpy(text, tail.ptr, tail.len);
	return span_is_utf8(span_from(text, size));
}

/* Checks what has come of a text, so that a wrong one is refused at its first wrong byte (8.1). */
static bool text_check(struct websocket *w, bool is_whole)
{
	struct span text = buffer_span(&w->message);
	size_t tail;

	if (text.len == w->checked)
		return true;
	text = span_skip(text, w->checked);
	tail = tail_size(text);
	if ((is_whole && tail) || !span_is_utf8(span_first(text, text.len - tail)) ||
	    !tail_is_possible(span_skip(text, text.len - tail)))
		return fail(w, CLOSE_NOT_UTF8);
	w->checked += text.len - tail;
	return true;
}

/* Takes bytes of the frame's payload from `in`. False: w->failure. */
static bool payload_read(struct websocket *w, struct span *in)
{
	struct span piece = span_first(*in, (size_t)MIN(w->left, in->len));
	char *to;

	if (piece.len && is_control(w->frame_opcode)) {
		unmask(w, w->control + w->control_len, piece);
		w->control_len += piece.len;
	} else if (piece.len) {
		to = buffer_reserve(&w->message, piece.len);
		if (!to)
			return fail(w, CLOSE_TOO_LARGE);
		unmask(w, (unsigned char *)to, piece);
		buffer_commit(&w->message, piece.len);
	}
	w->left -= piece.len;
	if (piece.len)
		*in = span_skip(*in, piece.len);
	if (w->opcode == WEBSOCKET_OP_TEXT && !is_control(w->frame_opcode))
		return text_check(w, w->is_final && w->left == 0);
	return true;
}

/* 7.4.1 and IANA's register: those that may be on the wire. */
static bool close_code_is_valid(int code)
{
	return (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1014) || (code >= 3000 && code <= 4999);
}

static enum websocket_event close_read(struct websocket *w, struct span *ret_message, int *ret_code)
{
	struct span payload = span_from(w->control, w->control_len);
	int code = CLOSE_NONE;

	if (payload.len) {
		code = payload.len >= 2 ? w->control[0] << 8 | w->control[1] : 0;
		if (!close_code_is_valid(code)) {
			w->failure = *ret_code = CLOSE_PROTOCOL;
			return WEBSOCKET_FAILED;
		}
		payload = span_skip(payload, 2);
		if (!span_is_utf8(payload)) {
			w->failure = *ret_code = CLOSE_NOT_UTF8;
			return WEBSOCKET_FAILED;
		}
	}
	w->has_closed = true;
	*ret_message = payload;
	*ret_code = code;
	return WEBSOCKET_CLOSE;
}

/* A frame is whole: what it means. MORE: nothing yet. */
static enum websocket_event frame_end(struct websocket *w, struct span *ret_message, int *ret_code)
{
	int opcode = w->opcode;

	w->in_payload = false;
	w->head_len = 0;
	switch (w->frame_opcode) {
	case WEBSOCKET_OP_CLOSE:
		return close_read(w, ret_message, ret_code);
	case WEBSOCKET_OP_PING:
	case WEBSOCKET_OP_PONG:
		*ret_message = span_from(w->control, w->control_len);
		return w->frame_opcode == WEBSOCKET_OP_PING ? WEBSOCKET_PING : WEBSOCKET_PONG;
	default:
		if (!w->is_final)
			return WEBSOCKET_MORE;
		w->opcode = 0;
		*ret_message = w->message.len ? buffer_span(&w->message) : SPAN("");
		return opcode == WEBSOCKET_OP_TEXT ? WEBSOCKET_TEXT : WEBSOCKET_BINARY;
	}
}

enum websocket_event websocket_read(struct websocket *w, struct span in, size_t *ret_used, struct span *ret_message,
				    int *ret_code)
{
	struct span rest = in;
	enum websocket_event event = WEBSOCKET_MORE;

	if (w->has_closed)
		rest.len = 0;
	while (event == WEBSOCKET_MORE && !w->has_closed && !w->failure) {
		if (!w->in_payload && !head_read(w, &rest))
			break;
		if (!payload_read(w, &rest) || w->left)
			break;
		event = frame_end(w, ret_message, ret_code);
	}
	*ret_used = in.len - rest.len;
	if (!w->failure)
		return event;
	*ret_code = w->failure;
	return WEBSOCKET_FAILED;
}

/* ---- writing ---- */

void websocket_write(struct buffer *out, int opcode, struct span payload)
{
	unsigned char head[10] = { (unsigned char)(0x80 | opcode) };
	unsigned size = payload.len <= CONTROL_MOST ? 0 : payload.len <= UINT16_MAX ? 2 : 8;

	ASSERT(size == 0 || !is_control(opcode));
	head[1] = (unsigned char)(size == 0 ? payload.len : size == 2 ? 126 : 127);
	for (unsigned i = 0; i < size; i++)
		head[2 + i] = (unsigned char)((uint64_t)payload.len >> 8 * (size - 1 - i));
	buffer_append(out, span_from(head, 2 + size));
	buffer_append(out, payload);
}

void websocket_write_close(struct buffer *out, int code, struct span reason)
{
	char payload[CONTROL_MOST] = { (char)(code >> 8), (char)code };
	size_t len = MIN(reason.len, sizeof(payload) - 2);

	if (code == CLOSE_NONE) {
		websocket_write(out, WEBSOCKET_OP_CLOSE, SPAN(""));
		return;
	}
	while (len < reason.len && len > 0 && ((unsigned char)reason.ptr[len] & 0xc0) == 0x80)
		len--; /* a character that is cut goes whole */
	if (len)
		memcpy(payload + 2, reason.ptr, len);
	websocket_write(out, WEBSOCKET_OP_CLOSE, (struct span){ payload, len + 2 });
}
