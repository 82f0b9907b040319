/* SPDX-License-Identifier: Apache-2.0 */
/* client - hands what is asked to the protocol that a client speaks; and what both leave out of heads. */
#include "net/client.h"

#include "net/client_private.h"

void client_free(struct client *c)
{
	if (c)
		c->kind->free(c);
}

void *client_owner(const struct client *c)
{
	return c->owner;
}

size_t client_streams(const struct client *c)
{
	return c->kind->streams(c);
}

bool client_is_refusing(const struct client *c)
{
	return c->kind->is_refusing(c);
}

bool client_is_full(const struct client *c)
{
	return c->kind->is_full(c);
}

struct client_stream *client_open(struct client *c, const struct client_head *head, bool is_last,
				  const struct client_stream_ops *ops, void *owner)
{
	return c->kind->open(c, head, is_last, ops, owner);
}

void *client_stream_owner(const struct client_stream *s)
{
	return s->owner;
}

bool client_has_heard(const struct client_stream *s)
{
	return s->kind->has_heard(s);
}

void client_write(struct client_stream *s, struct span bytes)
{
	s->kind->write(s, bytes);
}

void client_end(struct client_stream *s)
{
	s->kind->end(s);
}

size_t client_unsent(const struct client_stream *s)
{
	return s->kind->unsent(s);
}

void client_taken(struct client_stream *s, size_t bytes)
{
	s->kind->taken(s, bytes);
}

void client_reset(struct client_stream *s)
{
	s->kind->reset(s);
}

/* ---- what is for one connection only ---- */

bool client_is_of_connection(const struct header *h, bool has_authority)
{
	switch (h->name.len) {
	case 0:
		return true;
	case 2:
		return span_equal(h->name, SPAN("te")) && !span_equal_ignore_case(h->value, SPAN("trailers"));
	case 4:
		return has_authority && span_equal(h->name, SPAN("host"));
	case 7:
		return span_equal(h->name, SPAN("upgrade"));
	case 10:
		return span_equal(h->name, SPAN("connection")) || span_equal(h->name, SPAN("keep-alive"));
	case 14:
		return span_equal(h->name, SPAN("http2-settings"));
	case 16:
		return span_equal(h->name, SPAN("proxy-connection"));
	case 17:
		return span_equal(h->name, SPAN("transfer-encoding"));
	default:
		return h->name.ptr[0] == ':';
	}
}

/* RFC 9110 7.6.1: what Connection names is for the next hop only. */
static bool list_names(struct span list, struct span name)
{
	while (list.len) {
		if (span_equal_ignore_case(span_trim(span_cut(&list, ',')), name))
			return true;
	}
	return false;
}

bool client_has_options(const struct header *headers, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (span_equal(headers[i].name, SPAN("connection")))
			return true;
	return false;
}

bool client_is_option(const struct header *headers, size_t count, struct span name)
{
	for (size_t i = 0; i < count; i++)
		if (span_equal(headers[i].name, SPAN("connection")) && list_names(headers[i].value, name))
			return true;
	return false;
}
