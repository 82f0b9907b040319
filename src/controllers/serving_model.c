/* SPDX-License-Identifier: Apache-2.0 */
/*
 * serving_model - servers that come ready: an init container that brings the model to /mnt/models, and hythe itself that serves it from
 * there.
 *
 * A model that is a file of this machine is shown to the init container under its own path. Where hythe reads its format, the gateway
 * is told of it too, and answers without the pod.
 */
#include "controllers/serving.h"

#define MODELS "/mnt/models"
#define CLAIM  "/mnt/pvc"

static struct span volume_name(struct reconcile *r, const struct value *node)
{
	return serving_name(r,
			    text_print(r, SPAN_FMT "-provision-location", SPAN_WHOLE(get_text(node, "name"))).string);
}

/* "/path" or "file:///path"; empty: it is somewhere else. */
static struct span path_of(struct span uri)
{
	if (span_starts(uri, SPAN("file://")))
		uri = span_skip(uri, strlen("file://"));
	return uri.len && uri.ptr[0] == '/' ? uri : (struct span){ 0 };
}

static struct value *item_named(struct reconcile *r, struct value *object, const char *list, struct span name)
{
	struct value *items = put_array(r, object, list), fresh = value_object();

	for (uint32_t i = 0; i < count_of(items); i++)
		if (span_equal(get_text(value_item(items, i), "name"), name))
			return value_item(items, i);
	put(r, &fresh, "name", value_string(name));
	put_item(r, items, fresh);
	return r->err->code ? NULL : value_item(items, count_of(items) - 1);
}

static void mount_add(struct reconcile *r, struct value *container, struct span volume, struct span path,
		      bool is_read_only)
{
	struct value mount = value_object();

	put(r, &mount, "name", value_string(volume));
	put(r, &mount, "mountPath", value_string(path));
	if (is_read_only)
		put(r, &mount, "readOnly", value_bool(true));
	put_item(r, put_array(r, container, "volumeMounts"), mount);
}

/* Where the init container finds the model: what cannot be asked over a network is a volume. */
static struct span source_mount(struct reconcile *r, struct value *pod, struct value *container, struct span uri)
{
	struct span path = path_of(uri), claim;
	struct value volume = value_object();

	if (path.len) {
		put(r, &volume, "name", value_string(SPAN("model-source")));
		put(r, put_object(r, &volume, "hostPath"), "path", value_string(path));
		mount_add(r, container, SPAN("model-source"), path, true);
	} else if (span_starts(uri, SPAN("pvc://"))) {
		path = span_skip(uri, strlen("pvc://"));
		claim = span_cut(&path, '/');
		put(r, &volume, "name", value_string(SPAN("model-source")));
		put(r, put_object(r, &volume, "persistentVolumeClaim"), "claimName", value_string(claim));
		mount_add(r, container, SPAN("model-source"), SPAN(CLAIM), true);
		uri = text_print(r, CLAIM "/" SPAN_FMT, SPAN_WHOLE(path)).string;
	} else {
		return uri;
	}
	put_item(r, put_array(r, pod, "volumes"), volume);
	return uri;
}

static void initializer_add(struct reconcile *r, struct value *pod, const struct value *node)
{
	struct span image = get_text(node, "storageInitializerImage"), secret = get_text(node, "envSecretRefName"), uri;
	struct value c = serving_made(r, "{'imagePullPolicy':'IfNotPresent','command':['hythe','fetch'],'args':[],"
					 "'terminationMessagePolicy':'FallbackToLogsOnError'}"),
		     from = value_object();

	put(r, &c, "name",
	    value_string(serving_name(
		r, text_print(r, SPAN_FMT "-model-initializer", SPAN_WHOLE(get_text(node, "name"))).string)));
	put(r, &c, "image", value_string(image.len ? image : SPAN(SERVING_PROGRAM)));
	mount_add(r, &c, volume_name(r, node), SPAN(MODELS), false);
	uri = source_mount(r, pod, &c, get_text(node, "modelUri"));
	put_item(r, put_array(r, &c, "args"), value_string(uri));
	put_item(r, put_array(r, &c, "args"), value_string(SPAN(MODELS)));
	if (secret.len) {
		put(r, put_object(r, &from, "secretRef"), "name", value_string(secret));
		put_item(r, put_array(r, &c, "envFrom"), from);
	}
	put_item(r, put_array(r, pod, "initContainers"), c);
}

static int64_t port_of(const struct value *container, const char *name, int64_t otherwise)
{
	const struct value *ports = get(container, "ports");

	for (uint32_t i = 0; i < count_of(ports); i++)
		if (is_text(get(value_item(ports, i), "name"), name))
			return get_int(value_item(ports, i), "containerPort", otherwise);
	return otherwise;
}

/* A folder's model is found by its name or its ending; text of other names could be anything: then it is named. */
static struct value served(struct reconcile *r, const struct value *node)
{
	struct span uri = get_text(node, "modelUri"), name = uri;

	for (size_t i = span_index(name, '/'); i < name.len; i = span_index(name, '/'))
		name = span_skip(name, i + 1);
	if (!span_ends(name, SPAN(".json")) && !span_ends(name, SPAN(".txt")))
		return value_string(SPAN(MODELS));
	return text_print(r, MODELS "/" SPAN_FMT, SPAN_WHOLE(name));
}

void serving_model_command(struct reconcile *r, struct value *container, const struct value *node)
{
	static const char *const ports[] = { "http", "grpc", "metrics" };
	struct value *command;

	if (get(container, "command"))
		return;
	command = put_array(r, container, "command");
	put_item(r, command, value_string(SPAN("hythe")));
	put_item(r, command, value_string(SPAN("serve")));
	put_item(r, command, served(r, node));
	put_item(r, command, value_string(SPAN("--name")));
	put_item(r, command, value_string(get_text(node, "name")));
	for (size_t i = 0; i < ARRAY_LEN(ports); i++) {
		put_item(r, command, value_string(SPAN("--listen")));
		put_item(r, command, text_print(r, "0.0.0.0:%lld", (long long)port_of(container, ports[i], 0)));
	}
	put_item(r, command, value_string(SPAN("--metrics-path")));
	put_item(r, command, value_string(SPAN(SERVING_METRICS_PATH)));
	if (count_of(get(node, "parameters"))) {
		put_item(r, command, value_string(SPAN("--parameters")));
		put_item(r, command, value_string(value_print(get(node, "parameters"), r->arena, r->err)));
	}
}

void serving_model_add(struct reconcile *r, struct value *pod, const struct value *node)
{
	struct span account = get_text(node, "serviceAccountName"), volume = volume_name(r, node);
	struct value *container = item_named(r, pod, "containers", get_text(node, "name"));
	struct value empty = serving_made(r, "{'emptyDir':{}}");

	if (!container)
		return;
	if (!get_text(container, "image").len)
		put(r, container, "image", value_string(SPAN(SERVING_PROGRAM)));
	if (!get_text(node, "modelUri").len)
		return;
	mount_add(r, container, volume, SPAN(MODELS), true);
	put(r, &empty, "name", value_string(volume));
	put_item(r, put_array(r, pod, "volumes"), empty);
	initializer_add(r, pod, node);
	if (account.len)
		put(r, pod, "serviceAccountName", value_string(account));
}

/* ---- the gateway's own answers ---- */

/* Formats are found by content, by whoever loads them; a name that is surely Python's is not tried. */
static bool is_perhaps_native(struct span path)
{
	static const char *const python[] = { ".joblib", ".pkl", ".pickle", ".py" };

	for (size_t i = 0; i < ARRAY_LEN(python); i++)
		if (span_ends(path, span_of(python[i])))
			return false;
	return true;
}

bool serving_native_put(struct reconcile *r, struct span uri, struct span name, const struct value *meta,
			struct value *annotations)
{
	struct span path = path_of(uri);

	if (!path.len || !is_perhaps_native(path))
		return false;
	put(r, annotations, "hythe.dev/native-model", value_string(path));
	put(r, annotations, "hythe.dev/native-name", value_string(name));
	put(r, annotations, "hythe.dev/native-meta", value_string(value_print(meta, r->arena, r->err)));
	return !r->err->code;
}
