/* SPDX-License-Identifier: Apache-2.0 */
/* image - `hythe image add|list|remove`: which folders stand in for container images. The lines are in a ConfigMap, which the node follows. */
#include "node/images.h"

#include <stdio.h>
#include <stdlib.h>

#include "cli/api.h"
#include "cli/options.h"

#define LIST_PATH "/api/v1/namespaces/" IMAGES_NAMESPACE "/configmaps"
#define PATH      LIST_PATH "/" IMAGES_NAME

enum { TRIES_MAX = 5, NAME_MOST = 255 };

struct images {
	const struct cli_call *call;
	const struct cluster_options *options;
	struct api *api;
	struct span lines;   /* as they are */
	struct span version; /* resourceVersion; empty: there is no ConfigMap yet */
};

static bool images_get(struct images *m, struct error *err)
{
	struct value object;
	const struct value *lines;

	m->lines = m->version = (struct span){ 0 };
	if (!api_get(m->api, PATH, m->call->arena, &object, err)) {
		if (err->code != ERROR_NOT_FOUND)
			return false;
		*err = (struct error){ 0 };
		return true;
	}
	lines = value_get(value_get(&object, SPAN("data")), SPAN(IMAGES_KEY));
	m->lines = value_is(lines, VALUE_STRING) ? lines->string : SPAN("");
	m->version = value_find_string(&object, "metadata.resourceVersion");
	return true;
}

static bool images_put(struct images *m, struct span lines, struct error *err)
{
	struct buffer body;
	struct json_writer w = json_writer(&body);
	bool ok;

	buffer_init(&body, MIB(4));
	json_open_object(&w);
	json_key(&w, SPAN("apiVersion"));
	json_string(&w, SPAN("v1"));
	json_key(&w, SPAN("kind"));
	json_string(&w, SPAN("ConfigMap"));
	json_key(&w, SPAN("metadata"));
	json_open_object(&w);
	json_key(&w, SPAN("name"));
	json_string(&w, SPAN(IMAGES_NAME));
	json_key(&w, SPAN("namespace"));
	json_string(&w, SPAN(IMAGES_NAMESPACE));
	if (m->version.len) {
		json_key(&w, SPAN("resourceVersion"));
		json_string(&w, m->version);
	}
	json_close_object(&w);
	json_key(&w, SPAN("data"));
	json_open_object(&w);
	json_key(&w, SPAN(IMAGES_KEY));
	json_string(&w, lines);
	json_close_object(&w);
	json_close_object(&w);
	ok = buffer_ok(&body, "the list of images", err) &&
	     api_call(m->api, m->version.len ? "PUT" : "POST", m->version.len ? PATH : LIST_PATH, NULL,
		      buffer_span(&body), m->call->arena, NULL, err);
	buffer_done(&body);
	return ok;
}

/* The lines with this image's changed; folder empty: without it. *ret_was_there: it had one. */
static bool lines_change(struct images *m, struct span name, struct span folder, struct span *ret, bool *ret_was_there,
			 struct error *err)
{
	struct span rest = m->lines, own, its;
	struct buffer out;
	size_t count = 0;
	bool ok;

	*ret_was_there = false;
	buffer_init(&out, MIB(1));
	while (images_next(&rest, &own, &its)) {
		if (span_equal(own, name)) {
			*ret_was_there = true;
			continue;
		}
		count++;
		buffer_print(&out, "%.*s %.*s\n", SPAN_WHOLE(own), SPAN_WHOLE(its));
	}
	if (folder.len)
		buffer_print(&out, "%.*s %.*s\n", SPAN_WHOLE(name), SPAN_WHOLE(folder));
	ok = buffer_ok(&out, "the list of images", err) &&
	     (count < IMAGES_MOST || error_set(err, ERROR_TOO_LARGE, "there are %d images already", IMAGES_MOST));
	*ret = ok ? arena_copy(m->call->arena, buffer_span(&out), err) : (struct span){ 0 };
	buffer_done(&out);
	return ok && ret->ptr;
}

/* Others may change the list at the same time. */
static bool change(struct images *m, struct span name, struct span folder, bool *ret_was_there, struct error *err)
{
	for (int i = 0; i < TRIES_MAX; i++) {
		struct span lines;

		*err = (struct error){ 0 };
		if (!images_get(m, err) || !lines_change(m, name, folder, &lines, ret_was_there, err))
			return false;
		if (!folder.len && !*ret_was_there)
			return true;
		if (images_put(m, lines, err))
			return true;
		if (err->code != ERROR_CONFLICT && err->code != ERROR_ALREADY_EXISTS)
			return false;
	}
	return false;
}

/* What a reference may be made of (the characters of repositories, tags and digests). */
static bool name_check(struct span name, struct error *err)
{
	bool ok = name.len > 0 && name.len <= NAME_MOST;

	for (size_t i = 0; ok && i < name.len; i++) {
		char c = name.ptr[i];

		ok = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || strchr("._-/:@", c);
	}
	return ok ||
	       error_set(err, ERROR_INVALID, "'" SPAN_FMT "' is no image: NAME[:TAG] is expected", SPAN_ARG(name));
}

static void put_words(const char *label, struct words words)
{
	printf("  %s", label);
	for (size_t i = 0; i < words.count; i++)
		printf(" %.*s", SPAN_WHOLE(words.items[i]));
	putchar('\n');
}

static void told(struct span name, const struct image *image)
{
	printf("%.*s is %.*s, mounted at %.*s\n", SPAN_WHOLE(name), SPAN_WHOLE(image->folder),
	       SPAN_WHOLE(image->place));
	if (image->entrypoint.count)
		put_words("entry point:", image->entrypoint);
	if (image->command.count)
		put_words("command:", image->command);
	if (!image->entrypoint.count && !image->command.count)
		puts("  nothing says what it runs: pods need a command, or the folder a Dockerfile with CMD");
	for (size_t i = 0; i < image->not_done.count; i++)
		printf("  not done: %.*s\n", SPAN_WHOLE(image->not_done.items[i]));
}

static bool add(struct images *m, struct error *err)
{
	struct span name = span_of(m->call->arguments[1]);
	struct image image;
	bool was_there;

	if (!name_check(name, err) || !images_read(span_of(m->call->arguments[2]), m->call->arena, &image, err) ||
	    !change(m, name, image.folder, &was_there, err))
		return false;
	told(name, &image);
	return true;
}

static bool remove_one(struct images *m, struct error *err)
{
	struct span name = span_of(m->call->arguments[1]);
	bool was_there;

	if (!change(m, name, (struct span){ 0 }, &was_there, err))
		return false;
	return was_there || error_set(err, ERROR_NOT_FOUND, "there is no image '" SPAN_FMT "' (see `hythe image list`)",
				      SPAN_ARG(name));
}

static bool list(struct images *m, struct error *err)
{
	struct span rest, name, folder;
	size_t width = strlen("IMAGE");

	if (!images_get(m, err))
		return false;
	for (rest = m->lines; images_next(&rest, &name, &folder);)
		width = MAX(width, name.len);
	printf("%-*s   FOLDER\n", (int)width, "IMAGE");
	for (rest = m->lines; images_next(&rest, &name, &folder);)
		printf("%-*.*s   %.*s\n", (int)width, SPAN_WHOLE(name), SPAN_WHOLE(folder));
	return fflush(stdout) == 0 || error_set(err, ERROR_INTERNAL, "standard output cannot be written");
}

static const struct {
	const char *name, *usage;
	size_t arguments;
	bool (*run)(struct images *m, struct error *err);
} verbs[] = {
	{ "add", "add NAME[:TAG] FOLDER", 3, add },
	{ "list", "list", 1, list },
	{ "remove", "remove NAME[:TAG]", 2, remove_one },
};

int image_run(const struct cli_call *call)
{
	struct images m = { .call = call, .options = call->options };
	struct error err = { 0 };
	size_t i = 0;
	bool ok;

	while (i < ARRAY_LEN(verbs) && strcmp(verbs[i].name, call->arguments[0]) != 0)
		i++;
	if (i == ARRAY_LEN(verbs))
		error_set(&err, ERROR_INVALID, "'%s': add, list or remove is expected", call->arguments[0]);
	else if (call->argument_count != verbs[i].arguments)
		error_set(&err, ERROR_INVALID, "expected: hythe image %s", verbs[i].usage);
	if (err.code) {
		cli_complain(call->command, &err);
		return EXIT_USAGE;
	}
	m.api = api_open(&m.options->where, call->arena, &err);
	ok = m.api && verbs[i].run(&m, &err);
	api_close(m.api);
	if (ok)
		return EXIT_OK;
	cli_complain(call->command, &err);
	return EXIT_FAILED;
}
