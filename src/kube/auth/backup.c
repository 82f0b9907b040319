/* SPDX-License-Identifier: Apache-2.0 */
/*
 * backup - POST /hythe/v1/backup and /hythe/v1/restore with {"path": "/absolute/file"}: the store is copied to a file, or made what a
 * file holds, while everything goes on. Who may "post" to the path may do this: the administrator, unless a role says otherwise.
 */
#include "kube/auth/auth.h"
#include "kube/kube_private.h"

static void backup_done(void *context, const struct error *err)
{
	struct call *call = context;

	if (err) {
		answer_error(call, err);
		return;
	}
	answer_status(call, &(struct status){ .code = 200, .is_success = true });
}

/* False: answered. */
static bool path_read(struct call *call, const char **ret)
{
	struct error err = { 0 };
	struct value body;
	struct span path = { 0 };

	if (value_parse(call->body, NULL, &call->arena, &body, &err))
		path = value_find_string(&body, "path");
	if (err.code == ERROR_NONE && (!path.len || path.ptr[0] != '/' || memchr(path.ptr, '\0', path.len)))
		error_set(&err, ERROR_INVALID,
			  "expected {\"path\": \"/absolute/file\"}, a file on the server's machine");
	if (err.code == ERROR_NONE)
		*ret = arena_copy(&call->arena, path, &err).ptr;
	if (err.code == ERROR_NONE)
		return true;
	answer_error(call, &err);
	return false;
}

void backup_serve(struct call *call, struct span *segments, size_t count)
{
	struct store *store = kube_store(call->base.kube);
	bool is_known = count == 3 && span_equal(segments[1], SPAN("v1"));
	bool is_backup = is_known && span_equal(segments[2], SPAN("backup"));
	const char *path;

	if (!is_backup && !(is_known && span_equal(segments[2], SPAN("restore")))) {
		answer_plain(call, 404, SPAN("404 page not found\n"));
		return;
	}
	if (call->method != METHOD_POST) {
		answer_no_method(call);
		return;
	}
	if (!path_read(call, &path))
		return;
	call_open(call);
	if (is_backup)
		store_backup(store, path, backup_done, call);
	else
		store_replace(store, path, object_renew, backup_done, call);
}
