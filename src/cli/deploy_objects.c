/* SPDX-License-Identifier: Apache-2.0 */
/* deploy_objects - the objects of a deployment, as one would write them by hand. */
#include "cli/deploy.h"

#define READY_PATH "/.hythe/ready" /* hythe serve says there whether a process takes requests */

enum { OBJECT_MOST = MIB(1), APP_PORT = 8000 };

static void member(struct json_writer *w, const char *key, const char *value)
{
	json_key(w, span_of(key));
	json_string(w, span_of(value));
}

static void object_open(struct json_writer *w, const char *key)
{
	if (key)
		json_key(w, span_of(key));
	json_open_object(w);
}

static void array_open(struct json_writer *w, const char *key)
{
	json_key(w, span_of(key));
	json_open_array(w);
}

static void number(struct json_writer *w, const char *key, int64_t value)
{
	json_key(w, span_of(key));
	json_int64(w, value);
}

static void strings(struct json_writer *w, const char *key, const char *const *list)
{
	array_open(w, key);
	for (; *list; list++)
		json_string(w, span_of(*list));
	json_close_array(w);
}

/* The folder of the code is there under its own path, to be read. */
static void put_folder_mount(struct json_writer *w, const char *folder)
{
	array_open(w, "volumeMounts");
	object_open(w, NULL);
	member(w, "name", "code");
	member(w, "mountPath", folder);
	json_key(w, SPAN("readOnly"));
	json_bool(w, true);
	json_close_object(w);
	json_close_array(w);
}

static void put_folder_volume(struct json_writer *w, const char *folder)
{
	array_open(w, "volumes");
	object_open(w, NULL);
	member(w, "name", "code");
	object_open(w, "hostPath");
	member(w, "path", folder);
	json_close_object(w);
	json_close_object(w);
	json_close_array(w);
}

static void put_environment(const struct deployment *x, struct json_writer *w)
{
	const struct text_list *env = &x->options->env;

	if (!env->count)
		return;
	array_open(w, "env");
	for (size_t i = 0; i < env->count; i++) {
		struct span rest = span_of(env->items[i]), name = span_cut(&rest, '=');

		json_open_object(w);
		json_key(w, SPAN("name"));
		json_string(w, name);
		json_key(w, SPAN("value"));
		json_string(w, rest);
		json_close_object(w);
	}
	json_close_array(w);
}

static void put_container(const struct deployment *x, struct json_writer *w, const char *const *command)
{
	object_open(w, NULL);
	member(w, "name", x->d.name);
	member(w, "image", "process"); /* a process of this machine: of no use, but the API asks for one */
	strings(w, "command", command);
	member(w, "workingDir", x->folder);
	put_environment(x, w);
	put_folder_mount(w, x->folder);
}

static void put_predictor(const struct deployment *x, struct json_writer *w, const char *name)
{
	const char *const command[] = { "hythe",        "serve",    x->target,      "--listen",
					"0.0.0.0:9000", "--listen", "0.0.0.0:9500", x->python ? "--python" : NULL,
					x->python,      NULL };

	object_open(w, NULL);
	member(w, "name", name);
	if (x->options->replicas)
		number(w, "replicas", (int64_t)x->options->replicas);
	if (x->kind == TARGET_CLASS) {
		array_open(w, "componentSpecs");
		object_open(w, NULL);
		object_open(w, "spec");
		array_open(w, "containers");
		put_container(x, w, command);
		json_close_object(w);
		json_close_array(w);
		put_folder_volume(w, x->folder);
		json_close_object(w);
		json_close_object(w);
		json_close_array(w);
	}
	object_open(w, "graph");
	member(w, "name", x->d.name);
	if (x->kind == TARGET_MODEL) {
		member(w, "implementation", "HYTHE_SERVER");
		json_key(w, SPAN("modelUri"));
		json_string(w, arena_print(x->d.arena, &(struct error){ 0 }, "file://%s", x->target));
	} else {
		member(w, "type", "MODEL");
	}
	json_close_object(w);
	json_close_object(w);
}

static bool printed(struct deployment *x, struct buffer *out, struct value *ret, struct error *err)
{
	struct span text = { 0 };

	if (buffer_ok(out, "the object", err))
		text = arena_copy(x->d.arena, buffer_span(out), err);
	buffer_done(out);
	return text.ptr && value_parse(text, NULL, x->d.arena, ret, err);
}

static void put_head(const struct deployment *x, struct json_writer *w, const char *version, const char *kind)
{
	member(w, "apiVersion", version);
	member(w, "kind", kind);
	object_open(w, "metadata");
	member(w, "name", x->d.name);
	member(w, "namespace", x->d.name_space);
	json_close_object(w);
}

bool deployment_predictor(struct deployment *x, const char *name, struct value *ret, struct error *err)
{
	struct buffer out;
	struct json_writer w;

	buffer_init(&out, OBJECT_MOST);
	w = json_writer(&out);
	put_predictor(x, &w, name);
	return printed(x, &out, ret, err);
}

bool deployment_seldon(struct deployment *x, struct value *ret, struct error *err)
{
	static const char *const protocols[] = { "seldon", "v2", "tensorflow" };
	struct buffer out;
	struct json_writer w;

	buffer_init(&out, OBJECT_MOST);
	w = json_writer(&out);
	json_open_object(&w);
	put_head(x, &w, "machinelearning.seldon.io/v1", "SeldonDeployment");
	object_open(&w, "spec");
	member(&w, "protocol", protocols[x->options->protocol]);
	array_open(&w, "predictors");
	put_predictor(x, &w, "default");
	json_close_array(&w);
	json_close_object(&w);
	json_close_object(&w);
	return printed(x, &out, ret, err);
}

static void put_label(const struct deployment *x, struct json_writer *w, const char *key)
{
	object_open(w, key);
	member(w, "app", x->d.name);
	json_close_object(w);
}

bool deployment_workload(struct deployment *x, struct value *ret, struct error *err)
{
	const char *const command[] = { "hythe",        "serve",
					x->target,      "--listen",
					"0.0.0.0:8000", "--ready-path",
					READY_PATH,     x->python ? "--python" : NULL,
					x->python,      NULL };
	struct buffer out;
	struct json_writer w;

	buffer_init(&out, OBJECT_MOST);
	w = json_writer(&out);
	json_open_object(&w);
	put_head(x, &w, "apps/v1", "Deployment");
	object_open(&w, "spec");
	if (x->options->replicas)
		number(&w, "replicas", (int64_t)x->options->replicas);
	object_open(&w, "selector");
	put_label(x, &w, "matchLabels");
	json_close_object(&w);
	object_open(&w, "template");
	object_open(&w, "metadata");
	put_label(x, &w, "labels");
	json_close_object(&w);
	object_open(&w, "spec");
	array_open(&w, "containers");
	put_container(x, &w, command);
	array_open(&w, "ports");
	json_open_object(&w);
	number(&w, "containerPort", APP_PORT);
	json_close_object(&w);
	json_close_array(&w);
	object_open(&w, "readinessProbe");
	object_open(&w, "httpGet");
	member(&w, "path", READY_PATH);
	number(&w, "port", APP_PORT);
	json_close_object(&w);
	number(&w, "periodSeconds", 1);
	json_close_object(&w);
	json_close_object(&w);
	json_close_array(&w);
	put_folder_volume(&w, x->folder);
	json_close_object(&w);
	json_close_object(&w);
	json_close_object(&w);
	json_close_object(&w);
	return printed(x, &out, ret, err);
}

bool deployment_service(struct deployment *x, struct value *ret, struct error *err)
{
	struct buffer out;
	struct json_writer w;

	buffer_init(&out, OBJECT_MOST);
	w = json_writer(&out);
	json_open_object(&w);
	put_head(x, &w, "v1", "Service");
	object_open(&w, "spec");
	member(&w, "type", "LoadBalancer");
	put_label(x, &w, "selector");
	array_open(&w, "ports");
	json_open_object(&w);
	member(&w, "name", "http");
	number(&w, "port", 80);
	number(&w, "targetPort", APP_PORT);
	json_close_object(&w);
	json_close_array(&w);
	json_close_object(&w);
	json_close_object(&w);
	return printed(x, &out, ret, err);
}
