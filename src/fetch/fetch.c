/* SPDX-License-Identifier: Apache-2.0 */
#include "fetch/fetch.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fetch/fetch_private.h"

/* Names, URLs and lists of one fetch. */
#define MEMORY_MOST MIB(512)

static bool folder_make(const char *path, struct error *err)
{
	AUTO_FREE char *copy = span_to_text(span_of(path));

	for (char *at = copy + (*copy != '\0'); *at; at++) {
		if (*at != '/')
			continue;
		*at = '\0';
		if (mkdir(copy, 0755) != 0 && errno != EEXIST)
			return error_errno(err, errno, "cannot make the folder '%s'", copy);
		*at = '/';
	}
	return mkdir(copy, 0755) == 0 || errno == EEXIST ||
	       error_errno(err, errno, "cannot make the folder '%s'", copy);
}

static bool http_fetch(struct fetching *f, const struct uri *uri, struct error *err)
{
	struct transfer_question q = { .url = uri->whole, .follows = true };
	struct placing p;
	bool ok;

	if (!uri_basename(uri->path).len)
		return error_set(err, ERROR_INVALID, "'" SPAN_FMT "' names no file", SPAN_ARG(uri->whole));
	f->transfer = transfer_new(err);
	if (!f->transfer || !place_begin(f, uri_basename(uri->path), &p, err))
		return false;
	q.place = &p;
	ok = transfer_get(f->transfer, &q, err) && place_end(&p, err);
	place_drop(&p);
	return ok;
}

/* The claim's volume is mounted where the model is to be. */
static bool claim_check(struct fetching *f, const struct uri *uri, struct error *err)
{
	f->done.is_mounted = local_is_filled(f->config->folder);
	return f->done.is_mounted ||
	       error_set(err, ERROR_NOT_FOUND, "the claim '" SPAN_FMT "' is not mounted at %s, or holds nothing there",
			 SPAN_ARG(uri->host), f->config->folder);
}

static bool run(struct fetching *f, const struct uri *uri, struct error *err)
{
	if (uri->scheme == URI_PVC)
		return claim_check(f, uri, err);
	if (!folder_make(f->config->folder, err))
		return false;
	f->folder = open(f->config->folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (f->folder < 0)
		return error_errno(err, errno, "cannot open the folder '%s'", f->config->folder);
	switch (uri->scheme) {
	case URI_FILE:
		return local_copy(f, uri->path, err);
	case URI_HTTP:
		return http_fetch(f, uri, err);
	default:
		return buckets_fetch(f, uri, err);
	}
}

bool fetch_run(const struct fetch_config *config, struct fetch_result *ret, struct error *err)
{
	struct fetching f = { .config = config, .folder = -1 };
	struct arena arena;
	struct uri uri;
	bool ok;

	arena_init(&arena, MEMORY_MOST);
	f.arena = &arena;
	ok = uri_read(span_of(config->uri), &uri, err) && run(&f, &uri, err);
	if (ok)
		*ret = f.done;
	transfer_free(f.transfer);
	if (f.folder >= 0)
		close(f.folder);
	arena_done(&arena);
	return ok;
}
