/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * fetch_private - what the files of this room share.
 *
 *	uri.c        what a URI means
 *	place.c      files below the folder
 *	local.c      copies on this machine
 *	transfer.c   questions over HTTP
 *	signature.c  those to S3, signed
 *	listing.c    answers that list objects
 *	buckets.c    gs:// and s3://
 *	fetch.c      which of them
 */
#include "fetch/fetch.h"

/* ---- uri.c ---- */

enum uri_scheme { URI_FILE, URI_HTTP, URI_GS, URI_S3, URI_PVC };

struct uri {
	enum uri_scheme scheme;
	struct span whole; /* http(s): without a fragment */
	struct span host;  /* the bucket, the claim; of http(s) with its port */
	struct span path;  /* behind it, without a slash in front (but of files); no query */
};

bool uri_read(struct span text, struct uri *ret, struct error *err) MUST_CHECK;
/* Percent-encoded but for RFC 3986's unreserved characters, and '/' where `keeps_slashes`. */
void uri_encode(struct span text, bool keeps_slashes, struct buffer *out);
struct span uri_basename(struct span path);

/* ---- place.c ---- */

/* A fetch under way: the folder, and what has been written to it. */
struct fetching {
	const struct fetch_config *config;
	struct fetch_result done;
	struct arena *arena;
	int folder;
	struct transfer *transfer; /* made when it is first needed */
};

/* A file below the folder, until it is whole. */
struct placing {
	struct fetching *f;
	struct span path; /* relative, checked */
	char temporary[64];
	int parent, fd;
	uint64_t bytes;
};

/* INVALID for a path that would lead out of the folder. */
bool place_begin(struct fetching *f, struct span path, struct placing *ret, struct error *err) MUST_CHECK;
bool place_write(struct placing *p, struct span bytes, struct error *err) MUST_CHECK;
bool place_again(struct placing *p, struct error *err) MUST_CHECK; /* from its start */
bool place_end(struct placing *p, struct error *err) MUST_CHECK;
void place_drop(struct placing *p); /* after place_end(), nothing */

/* ---- local.c ---- */

bool local_copy(struct fetching *f, struct span path, struct error *err) MUST_CHECK;
bool local_is_filled(const char *folder); /* a folder that holds something */

/* ---- transfer.c ---- */

struct transfer;

struct transfer_question {
	struct span url;
	const struct span *headers; /* "name: value", NUL-terminated */
	size_t header_count;
	struct placing *place; /* where a good answer goes; NULL: to `body` */
	struct buffer *body;
	bool follows; /* redirects */
};

struct transfer *transfer_new(struct error *err);
void transfer_free(struct transfer *t); /* NULL is allowed */
/* A GET, tried again when the other side is not there or is overloaded. Answers other than 200 are errors in the words that it gave. */
bool transfer_get(struct transfer *t, const struct transfer_question *q, struct error *err) MUST_CHECK;

/* ---- signature.c ---- */

struct aws_keys {
	struct span id, secret, token; /* id empty: anonymous */
	struct span region;
};

#define SIGNATURE_HEADERS_MOST 4
/*
 * AWS Signature Version 4 of a GET without a body. `path` and `query` are as they are sent: encoded, the query's parameters in order of their names. `date`:
 * "20130524T000000Z". Headers are put into `headers` as "name: value". None without keys.
 */
bool signature_make(const struct aws_keys *keys, struct span host, struct span path, struct span query,
		    struct span date, struct arena *arena, struct span headers[SIGNATURE_HEADERS_MOST],
		    size_t *ret_count, struct error *err) MUST_CHECK;

/* ---- listing.c ---- */

struct listed {
	struct span key;
	uint64_t size;
};

struct listing {
	struct listed *items;
	size_t count, capacity;
	struct span next; /* where the list goes on; empty: it has ended */
};

/* Append to ret->items, and set next. INVALID for what is no such list. */
bool listing_read_s3(struct span xml, struct arena *arena, struct listing *ret, struct error *err) MUST_CHECK;
bool listing_read_gs(struct span json, struct arena *arena, struct listing *ret, struct error *err) MUST_CHECK;

/* ---- buckets.c ---- */

bool buckets_fetch(struct fetching *f, const struct uri *uri, struct error *err) MUST_CHECK;
