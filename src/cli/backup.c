/* SPDX-License-Identifier: Apache-2.0 */
/* backup - `hythe backup` and `hythe restore`: through a running server, or on the folder of one that is stopped. */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "cli/api.h"
#include "cli/folder.h"
#include "cli/options.h"
#include "kube/kube.h"
#include "loop/loop.h"
#include "wire/json.h"

/* The server runs in another folder. The file need not be there. */
static const char *absolute(const char *path, struct arena *arena, struct error *err)
{
	char here[PATH_MAX];

	if (path[0] == '/')
		return path;
	if (!getcwd(here, sizeof(here))) {
		error_errno(err, errno, "the current folder");
		return NULL;
	}
	return data_path(here, path, arena, err);
}

static bool ask(const char *folder, const char *what, const char *file, struct arena *arena, struct error *err)
{
	struct buffer body;
	struct json_writer w = json_writer(&body);
	const char *path = arena_print(arena, err, "/hythe/v1/%s", what).ptr;
	struct api *api;
	bool done;

	buffer_init(&body, KIB(64));
	json_open_object(&w);
	json_key(&w, SPAN("path"));
	json_string(&w, span_of(file));
	json_close_object(&w);
	api = path ? api_open(&(struct api_flags){ .data_dir = folder }, arena, err) : NULL;
	done = api && buffer_ok(&body, "path", err) &&
	       api_call(api, "POST", path, NULL, buffer_span(&body), arena, NULL, err);
	api_close(api);
	buffer_done(&body);
	return done;
}

/* ---- a store that nobody has open ---- */

struct copying {
	struct loop *loop;
	struct error err;
};

static void copied(void *context, const struct error *err)
{
	struct copying *c = context;

	if (err)
		c->err = *err;
	loop_stop(c->loop);
}

static bool copy_stopped(const char *store_folder, const char *file, struct error *err)
{
	struct copying c = { .loop = loop_new() };
	struct store_config config = store_config_default();
	struct store *store;

	if (access(store_folder, F_OK) != 0) {
		loop_free(c.loop);
		return error_errno(err, errno, "%s", store_folder); /* store_open() would make one */
	}
	config.folder = store_folder;
	config.loop = c.loop;
	kube_prepare_store(&config);
	store = store_open(&config, err);
	if (store) {
		store_backup(store, file, copied, &c);
		loop_run(c.loop);
		store_close(store);
	}
	loop_free(c.loop);
	if (c.err.code != ERROR_NONE)
		*err = c.err;
	return store && c.err.code == ERROR_NONE;
}

/* ---- the commands ---- */

static bool backup(const struct cli_call *call, struct error *err)
{
	const struct backup_options *o = call->options;
	const char *folder = data_folder(o->data_dir, call->arena, err), *store_folder, *file;

	file = folder ? absolute(call->arguments[0], call->arena, err) : NULL;
	store_folder = file ? data_path(folder, "store", call->arena, err) : NULL;
	if (!store_folder)
		return false;
	if (ask(folder, "backup", file, call->arena, err))
		return true;
	if (err->code != ERROR_UNAVAILABLE)
		return false;
	*err = (struct error){ 0 };
	return copy_stopped(store_folder, file, err);
}

static bool restore(const struct cli_call *call, struct error *err)
{
	const struct backup_options *o = call->options;
	const char *folder = data_folder(o->data_dir, call->arena, err), *store_folder, *file;

	file = folder ? absolute(call->arguments[0], call->arena, err) : NULL;
	store_folder = file ? data_path(folder, "store", call->arena, err) : NULL;
	if (!store_folder)
		return false;
	if (ask(folder, "restore", file, call->arena, err))
		return true;
	if (err->code != ERROR_UNAVAILABLE)
		return false;
	*err = (struct error){ 0 };
	return store_restore(file, store_folder, err);
}

int backup_run(const struct cli_call *call)
{
	struct error err = { 0 };

	if (backup(call, &err))
		return EXIT_OK;
	cli_complain(call->command, &err);
	return EXIT_FAILED;
}

int restore_run(const struct cli_call *call)
{
	struct error err = { 0 };

	if (restore(call, &err))
		return EXIT_OK;
	cli_complain(call->command, &err);
	return EXIT_FAILED;
}
