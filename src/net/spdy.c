/* SPDX-License-Identifier: Apache-2.0 */
#include "net/spdy.h"

enum {
	VERSION = 3,
	HEAD_BYTES = 8,
	DATA_MOST = 0xffffff,
	ID_MASK = 0x7fffffff,
	FLAG_FIN = 1,
	DEFLATE_BITS = 11, /* small windows: what we compress is empty */
};

/* 2.6.1: types of control frames. */
enum { SYN_STREAM = 1, SYN_REPLY, RST_STREAM, SETTINGS, NOOP, PING, GOAWAY, HEADERS, WINDOW_UPDATE };

/* ---- the dictionary of 2.6.10.1: words with their lengths before them, and a run of text ---- */

static const char *const words[] = {
	"options",
	"head",
	"post",
	"put",
	"delete",
	"trace",
	"accept",
	"accept-charset",
	"accept-encoding",
	"accept-language",
	"accept-ranges",
	"age",
	"allow",
	"authorization",
	"cache-control",
	"connection",
	"content-base",
	"content-encoding",
	"content-language",
	"content-length",
	"content-location",
	"content-md5",
	"content-range",
	"content-type",
	"date",
	"etag",
	"expect",
	"expires",
	"from",
	"host",
	"if-match",
	"if-modified-since",
	"if-none-match",
	"if-range",
	"if-unmodified-since",
	"last-modified",
	"location",
	"max-forwards",
	"pragma",
	"proxy-authenticate",
	"proxy-authorization",
	"range",
	"referer",
	"retry-after",
	"server",
	"te",
	"trailer",
	"transfer-encoding",
	"upgrade",
	"user-agent",
	"vary",
	"via",
	"warning",
	"www-authenticate",
	"method",
	"get",
	"status",
	"200 OK",
	"version",
	"HTTP/1.1",
	"url",
	"public",
	"set-cookie",
	"keep-alive",
	"origin",
};
static const char run[] =
    "100101201202205206300302303304305306307402405406407408409410411412413414415416417502504505203 "
    "Non-Authoritative Information204 No Content301 Moved Permanently400 Bad Request401 Unauthorized403 Forbidden404 "
    "Not Found500 Internal Server Error501 Not Implemented503 Service UnavailableJan Feb Mar Apr May Jun Jul Aug Sept "
    "Oct Nov Dec 00:00:00 Mon, Tue, Wed, Thu, Fri, Sat, Sun, "
    "GMTchunked,text/html,image/png,image/jpg,image/gif,application/xml,application/xhtml+xml,text/plain,text/"
    "javascript,publicprivatemax-age=gzip,deflate,sdchcharset=utf-8charset=iso-8859-1,utf-,*,enq=0.";

static void put32(unsigned char *to, uint32_t n)
{
	for (int i = 0; i < 4; i++)
		to[i] = (unsigned char)(n >> (24 - 8 * i));
}

static uint32_t get32(const void *from)
{
	const unsigned char *p = from;

	ASSERT(p);
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static void dictionary_make(struct buffer *to)
{
	unsigned char length[4];

	for (size_t i = 0; i < ARRAY_LEN(words); i++) {
		put32(length, (uint32_t)strlen(words[i]));
		buffer_append(to, span_from(length, sizeof(length)));
		buffer_append(to, span_of(words[i]));
	}
	buffer_append(to, span_of(run));
}

/* ---- life ---- */

void spdy_init(struct spdy *s)
{
	struct buffer dictionary;

	*s = (struct spdy){ 0 };
	buffer_init(&s->control, SPDY_CONTROL_MOST);
	buffer_init(&s->fields_text, SPDY_FIELD_BYTES_MOST);
	buffer_init(&dictionary, KIB(4));
	dictionary_make(&dictionary);
	ASSERT(inflateInit(&s->inflate) == Z_OK);
	ASSERT(deflateInit2(&s->deflate, Z_BEST_SPEED, Z_DEFLATED, DEFLATE_BITS, 1, Z_DEFAULT_STRATEGY) == Z_OK);
	ASSERT(deflateSetDictionary(&s->deflate, (const Bytef *)dictionary.ptr, (uInt)dictionary.len) == Z_OK);
	buffer_done(&dictionary);
}

void spdy_done(struct spdy *s)
{
	(void)inflateEnd(&s->inflate);
	(void)deflateEnd(&s->deflate);
	buffer_done(&s->control);
	buffer_done(&s->fields_text);
}

/* ---- reading ---- */

static enum spdy_event fail(struct spdy *s, const char *why)
{
	s->failure = why;
	return SPDY_FAILED;
}

static bool dictionary_give(struct spdy *s)
{
	struct buffer dictionary;
	bool is_good;

	buffer_init(&dictionary, KIB(4));
	dictionary_make(&dictionary);
	is_good = inflateSetDictionary(&s->inflate, (const Bytef *)dictionary.ptr, (uInt)dictionary.len) == Z_OK;
	buffer_done(&dictionary);
	return is_good;
}

/* One stream of zlib goes through all blocks of a connection (2.6.10). */
static bool block_inflate(struct spdy *s, struct span block)
{
	z_stream *z = &s->inflate;
	int result = Z_OK;

	buffer_clear(&s->fields_text);
	z->next_in = (Bytef *)block.ptr;
	z->avail_in = (uInt)block.len;
	do {
		char *to = buffer_reserve(&s->fields_text, KIB(2));

		if (!to)
			return false;
		z->next_out = (Bytef *)to;
		z->avail_out = KIB(2);
		result = inflate(z, Z_SYNC_FLUSH);
		if (result == Z_NEED_DICT) {
			if (!dictionary_give(s))
				return false;
			result = inflate(z, Z_SYNC_FLUSH);
		}
		buffer_commit(&s->fields_text, KIB(2) - z->avail_out);
	} while (result == Z_OK && z->avail_out == 0);
	/* Nothing more to do is no fault. */
	return (result == Z_OK || result == Z_BUF_ERROR) && z->avail_in == 0;
}

static bool text_take(struct span *rest, struct span *ret)
{
	uint32_t len;

	if (rest->len < 4)
		return false;
	len = get32(rest->ptr);
	*rest = span_skip(*rest, 4);
	if (len > rest->len)
		return false;
	*ret = span_first(*rest, len);
	*rest = span_skip(*rest, len);
	return true;
}

static bool block_read(struct spdy *s, struct span block)
{
	struct span rest;
	uint32_t count;

	s->field_count = 0;
	if (!block_inflate(s, block))
		return false;
	rest = buffer_span(&s->fields_text);
	if (rest.len < 4)
		return false;
	count = get32(rest.ptr);
	rest = span_skip(rest, 4);
	if (count > SPDY_FIELDS_MOST)
		return false;
	for (uint32_t i = 0; i < count; i++, s->field_count++) {
		struct header *h = &s->fields[i];

		if (!text_take(&rest, &h->name) || !text_take(&rest, &h->value))
			return false;
		for (size_t at = 0; at < h->name.len; at++)
			if (h->name.ptr[at] >= 'A' && h->name.ptr[at] <= 'Z')
				((char *)h->name.ptr)[at] = (char)(h->name.ptr[at] + ('a' - 'A'));
	}
	return rest.len == 0;
}

struct span spdy_field(const struct spdy *s, struct span name)
{
	for (size_t i = 0; i < s->field_count; i++)
		if (span_equal(s->fields[i].name, name))
			return s->fields[i].value;
	return (struct span){ 0 };
}

static enum spdy_event stream_read(struct spdy *s, struct span body, unsigned flags)
{
	if (body.len < 10)
		return fail(s, "a SYN_STREAM is too short");
	s->id = get32(body.ptr) & ID_MASK;
	s->is_end = (flags & FLAG_FIN) != 0;
	if (s->id % 2 == 0 || s->id <= s->last)
		return fail(s, "a SYN_STREAM has an id that is not the client's next");
	s->last = s->id;
	if (!block_read(s, span_skip(body, 10)))
		return fail(s, "the fields of a SYN_STREAM are damaged, or too many");
	return SPDY_STREAM;
}

/* SPDY_MORE: nothing to tell. */
static enum spdy_event control_read(struct spdy *s)
{
	unsigned type = (unsigned)s->head[2] << 8 | s->head[3];
	struct span body = buffer_span(&s->control);

	switch (type) {
	case SYN_STREAM:
		return stream_read(s, body, s->head[4]);
	case SYN_REPLY:
	case HEADERS:
		/* Of no use here; but they have moved the state of the compression. */
		if (body.len < 4 || !block_read(s, span_skip(body, 4)))
			return fail(s, "the fields of a frame are damaged, or too many");
		return SPDY_MORE;
	case RST_STREAM:
	case PING:
		if (body.len != (type == PING ? 4 : 8))
			return fail(s, "a frame has a wrong length");
		s->id = type == PING ? get32(body.ptr) : get32(body.ptr) & ID_MASK;
		return type == PING ? SPDY_PING : SPDY_RESET;
	case GOAWAY:
		return SPDY_GOAWAY;
	default: /* settings, windows, and what we do not know (2.2.1: passed over) */
		return SPDY_MORE;
	}
}

/* The head is whole. False: the frame is refused. */
static bool head_read(struct spdy *s)
{
	s->is_control = (s->head[0] & 0x80) != 0;
	s->left = get32(s->head + 4) & DATA_MOST;
	buffer_clear(&s->control);
	if (!s->is_control) {
		s->id = get32(s->head) & ID_MASK;
		return true;
	}
	if (((unsigned)(s->head[0] & 0x7f) << 8 | s->head[1]) != VERSION) {
		s->failure = "a frame is not of SPDY/3.1";
		return false;
	}
	if (s->left > SPDY_CONTROL_MOST) {
		s->failure = "a control frame is over 64 KiB";
		return false;
	}
	return true;
}

static enum spdy_event data_read(struct spdy *s, struct span *rest)
{
	s->data = span_first(*rest, s->left);
	*rest = span_skip(*rest, s->data.len);
	s->left -= (uint32_t)s->data.len;
	s->id = get32(s->head) & ID_MASK;
	s->is_end = s->left == 0 && (s->head[4] & FLAG_FIN);
	if (s->left == 0)
		s->head_len = 0;
	return SPDY_DATA;
}

/* SPDY_MORE with bytes left: go on. */
static enum spdy_event step(struct spdy *s, struct span *rest)
{
	struct span piece;

	if (s->head_len < HEAD_BYTES) {
		piece = span_first(*rest, HEAD_BYTES - s->head_len);
		memcpy(s->head + s->head_len, piece.ptr, piece.len);
		s->head_len += (unsigned)piece.len;
		*rest = span_skip(*rest, piece.len);
		if (s->head_len < HEAD_BYTES)
			return SPDY_MORE;
		if (!head_read(s))
			return SPDY_FAILED;
		if (s->left && !rest->len)
			return SPDY_MORE;
	}
	if (!s->is_control)
		return data_read(s, rest);
	piece = span_first(*rest, s->left);
	buffer_append(&s->control, piece);
	*rest = span_skip(*rest, piece.len);
	s->left -= (uint32_t)piece.len;
	if (s->left)
		return SPDY_MORE;
	s->head_len = 0;
	return control_read(s);
}

enum spdy_event spdy_read(struct spdy *s, struct span in, size_t *ret_used)
{
	enum spdy_event event = s->failure ? SPDY_FAILED : SPDY_MORE;
	struct span rest = in;

	s->data = (struct span){ 0 };
	while (event == SPDY_MORE && rest.len)
		event = step(s, &rest);
	*ret_used = in.len - rest.len;
	return event;
}

/* ---- writing ---- */

static void control_write(struct buffer *out, unsigned type, size_t length)
{
	unsigned char head[HEAD_BYTES] = { 0x80, VERSION, 0, (unsigned char)type };

	put32(head + 4, (uint32_t)length);
	buffer_append(out, span_from(head, sizeof(head)));
}

static void number_write(struct buffer *out, uint32_t n)
{
	unsigned char bytes[4];

	put32(bytes, n);
	buffer_append(out, span_from(bytes, sizeof(bytes)));
}

void spdy_write_reply(struct spdy *s, struct buffer *out, uint32_t id)
{
	unsigned char none[4] = { 0 }, block[256];
	z_stream *z = &s->deflate;

	z->next_in = none;
	z->avail_in = sizeof(none);
	z->next_out = block;
	z->avail_out = sizeof(block);
	ASSERT(deflate(z, Z_SYNC_FLUSH) == Z_OK && z->avail_in == 0 && z->avail_out);
	control_write(out, SYN_REPLY, 4 + sizeof(block) - z->avail_out);
	number_write(out, id);
	buffer_append(out, span_from(block, sizeof(block) - z->avail_out));
}

void spdy_write_data(struct buffer *out, uint32_t id, struct span data, bool is_end)
{
	do {
		struct span piece = span_first(data, DATA_MOST);
		bool is_last = piece.len == data.len;

		number_write(out, id);
		number_write(out, (uint32_t)piece.len | (is_last && is_end ? (uint32_t)FLAG_FIN << 24 : 0));
		buffer_append(out, piece);
		data = span_skip(data, piece.len);
	} while (data.len);
}

void spdy_write_reset(struct buffer *out, uint32_t id, uint32_t status)
{
	control_write(out, RST_STREAM, 8);
	number_write(out, id);
	number_write(out, status);
}

void spdy_write_ping(struct buffer *out, uint32_t id)
{
	control_write(out, PING, 4);
	number_write(out, id);
}

void spdy_write_goaway(struct spdy *s, struct buffer *out)
{
	control_write(out, GOAWAY, 8);
	number_write(out, s->last);
	number_write(out, 0);
}
