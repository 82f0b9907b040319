/* SPDX-License-Identifier: Apache-2.0 */
/* path - a URL as verb, kind, namespace and name, as Kubernetes' RequestInfo reads it. */
#include "kube/kube_private.h"

#include "base/ascii.h"

enum { SEGMENTS_MOST = 24 };

struct segments {
	struct span items[SEGMENTS_MOST];
	size_t count, at;
	bool has_gap; /* "//" within */
};

/* Decoded in place: the path is the call's own copy. */
static struct span unescape(struct span s)
{
	char *to = (char *)s.ptr;
	size_t len = 0;

	for (size_t i = 0; i < s.len; i++) {
		int high = s.ptr[i] == '%' && i + 2 < s.len ? ascii_hex_value(s.ptr[i + 1]) : -1;
		int low = high >= 0 ? ascii_hex_value(s.ptr[i + 2]) : -1;

		if (low >= 0) {
			to[len++] = (char)(high << 4 | low);
			i += 2;
		} else {
			to[len++] = s.ptr[i];
		}
	}
	return span_first(s, len);
}

/* Escapes or not. */
static bool segment_is(struct span segment, struct span word)
{
	char copy[48];

	if (segment.len > sizeof(copy))
		return false;
	memcpy(copy, segment.ptr, segment.len);
	return span_equal(unescape(span_from(copy, segment.len)), word);
}

/*
 * What follows a proxy's own path is another's: it is cut off, as it was sent, before the escapes are looked at. ptr NULL: it is no proxy's
 * path, or nothing follows.
 */
static struct span passage_cut(struct span *path)
{
	struct span rest = *path, segment;
	size_t count = 0, own = 5; /* api/v1/nodes/NAME/proxy; api/v1/namespaces/NAMESPACE/pods/NAME/proxy */

	while (rest.len) {
		segment = span_cut(&rest, '/');
		if (!segment.len)
			continue;
		count++;
		if (count == 1 && !segment_is(segment, SPAN("api")))
			break;
		if (count == 3 && segment_is(segment, SPAN("namespaces")))
			own = 7;
		if (count < own)
			continue;
		if (!segment_is(segment, SPAN("proxy")))
			break;
		*path = span_first(*path, (size_t)(segment.ptr + segment.len - path->ptr));
		return rest.ptr > segment.ptr + segment.len ? span_from(rest.ptr - 1, rest.len + 1)
							    : (struct span){ 0 };
	}
	return (struct span){ 0 };
}

/* Paths of resources are short. False: too many parts. */
static bool segments_split(struct span path, struct segments *ret)
{
	*ret = (struct segments){ 0 };
	path = unescape(path);
	while (path.len && path.ptr[0] == '/')
		path = span_skip(path, 1);
	while (path.len) {
		struct span segment = span_cut(&path, '/');

		if (!segment.len) {
			ret->has_gap = ret->has_gap || path.len;
			continue;
		}
		if (ret->count == SEGMENTS_MOST)
			return false;
		ret->items[ret->count++] = segment;
	}
	return true;
}

static struct span next(struct segments *s)
{
	return s->at < s->count ? s->items[s->at++] : (struct span){ 0 };
}

static size_t left(const struct segments *s)
{
	return s->count - s->at;
}

static void verb_find(struct call *call)
{
	struct kube_call *b = &call->base;

	switch (call->method) {
	case METHOD_POST:
		b->verb = KUBE_CREATE;
		call->verb_text = "create";
		break;
	case METHOD_PUT:
		b->verb = KUBE_UPDATE;
		call->verb_text = "update";
		break;
	case METHOD_PATCH:
		b->verb = KUBE_PATCH;
		call->verb_text = "patch";
		break;
	case METHOD_DELETE:
		b->verb = b->name.len ? KUBE_DELETE : KUBE_DELETE_COLLECTION;
		call->verb_text = b->name.len ? "delete" : "deletecollection";
		break;
	case METHOD_GET:
	case METHOD_HEAD:
		/* Of one object only the old paths can be watched. */
		if (b->name.len && !call->is_deprecated_watch)
			call->options.is_watch = false;
		b->verb = call->options.is_watch ? KUBE_WATCH : b->name.len ? KUBE_GET : KUBE_LIST;
		call->verb_text = call->options.is_watch ? "watch" : b->name.len ? "get" : "list";
		break;
	default:
		b->verb = 0;
		call->verb_text = "";
		break;
	}
}

/* What stands behind the subresource, as it was sent. */
static struct span rest_join(struct segments *s)
{
	struct span first = next(s), last = first;

	if (!first.ptr)
		return first;
	while (left(s))
		last = next(s);
	return span_from(first.ptr, (size_t)(last.ptr + last.len - first.ptr));
}

static void resource_read(struct call *call, struct segments *s)
{
	struct kube_call *b = &call->base;

	if (left(s) && span_equal(s->items[s->at], SPAN("watch"))) {
		s->at++;
		call->is_deprecated_watch = call->options.is_watch = true;
	}
	if (left(s) >= 3 && span_equal(s->items[s->at], SPAN("namespaces")) &&
	    !span_equal(s->items[s->at + 2], SPAN("status")) && !span_equal(s->items[s->at + 2], SPAN("finalize"))) {
		s->at++;
		b->name_space = next(s);
	}
	call->plural = next(s);
	b->name = next(s);
	b->subresource = next(s);
	b->rest = rest_join(s);
}

bool path_parse(struct call *call)
{
	struct segments s;
	struct span path = call->path, passage = passage_cut(&path), root;

	if (!segments_split(path, &s))
		return false;
	root = next(&s);
	if (span_equal(root, SPAN("apis")))
		call->group = next(&s);
	else if (!span_equal(root, SPAN("api")))
		return false;
	call->version = next(&s);
	if (!left(&s)) {
		/* A path of discovery: the segments are looked at again there. */
		call->group = call->version = (struct span){ 0 };
		return false;
	}
	resource_read(call, &s);
	if (passage.ptr)
		call->base.rest = passage;
	if (s.has_gap)
		call->plural = SPAN("/"); /* a resource that nobody has */
	if (!call->plural.len)
		return false;
	verb_find(call);
	return true;
}
