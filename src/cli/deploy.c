/* SPDX-License-Identifier: Apache-2.0 */
/* deploy - a model, a class or an application becomes objects of the cluster, as one would write them by hand. */
#include "cli/deploy.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/number.h"
#include "cli/python.h"
#include "cli/targets.h"
#include "wire/yaml.h"

enum { SOURCE_MOST = MIB(4), NAME_LENGTH_MOST = 50 };

/* ---- what it is ---- */

/* A source that is not there is empty: the module may be installed. */
static struct span source_read(struct deployment *x, const char *file, struct error *err)
{
	struct span text = { 0 };
	struct buffer source;

	buffer_init(&source, SOURCE_MOST);
	if (access(file, R_OK) == 0 && buffer_read_file(&source, file, err))
		text = arena_copy(x->d.arena, buffer_span(&source), err);
	buffer_done(&source);
	return text;
}

/* Where a module's file is, absolute. */
static const char *folder_of(struct deployment *x, const char *argument, struct error *err)
{
	AUTO_FREE char *here = getcwd(NULL, 0);
	const char *slash = strrchr(argument, '/');

	if (!here) {
		error_errno(err, errno, "the current folder");
		return NULL;
	}
	if (!slash)
		return arena_copy(x->d.arena, span_of(here), err).ptr;
	if (argument[0] == '/')
		return arena_copy(x->d.arena, span_from(argument, (size_t)(slash - argument)), err).ptr;
	return arena_print(x->d.arena, err, "%s/%.*s", here, (int)(slash - argument), argument).ptr;
}

/* Where $PATH has a program: in the pod it is another one. */
static const char *path_find(struct deployment *x, const char *name, struct error *err)
{
	const char *path = getenv("PATH");
	struct span rest = span_of(path ? path : "/usr/local/bin:/usr/bin:/bin");

	while (rest.len) {
		struct span folder = span_cut(&rest, ':');
		struct span file = arena_print(x->d.arena, err, SPAN_FMT "/%s", SPAN_WHOLE(folder), name);

		if (!file.ptr)
			return NULL;
		if (folder.len && folder.ptr[0] == '/' && access(file.ptr, X_OK) == 0)
			return file.ptr;
	}
	error_set(err, ERROR_NOT_FOUND, "$PATH has no '%s'", name);
	return NULL;
}

/* Methods of Seldon's contract: a file that has one is a class, whatever its name is. */
static bool has_contract(struct span source)
{
	static const struct span methods[] = {
		SPAN_INIT("def predict(self"),          SPAN_INIT("def predict_raw(self"),
		SPAN_INIT("def transform_input(self"),  SPAN_INIT("def route(self"),
		SPAN_INIT("def transform_output(self"), SPAN_INIT("def aggregate(self")
	};

	for (size_t i = 0; source.ptr && i < ARRAY_LEN(methods); i++)
		if (memmem(source.ptr, source.len, methods[i].ptr, methods[i].len))
			return true;
	return false;
}

/* "MyModel.py", "module:Class" and "model.joblib" are called by Seldon's contract; anything else is an application. */
static bool code_look(struct deployment *x, const char *argument, struct error *err)
{
	const char *slash = strrchr(argument, '/'), *base = slash ? slash + 1 : argument, *colon = strchr(base, ':');
	struct span module = colon ? span_from(base, (size_t)(colon - base)) : span_of(base), source = { 0 };
	bool is_source = colon || span_ends(module, SPAN(".py"));
	const char *file;

	x->folder = folder_of(x, argument, err);
	file = x->folder ? arena_print(x->d.arena, err, "%s/" SPAN_FMT "%s", x->folder, SPAN_WHOLE(module),
				       colon ? ".py" : "")
			       .ptr
			 : NULL;
	if (!file)
		return false;
	if (is_source)
		source = source_read(x, file, err);
	if (err->code != ERROR_NONE)
		return false;
	if (!colon && access(file, R_OK) < 0)
		return error_errno(err, errno, "'%s'", file);
	x->kind = !is_source || (colon ? isupper((unsigned char)colon[1]) != 0 : has_contract(source)) ? TARGET_CLASS
												       : TARGET_APP;
	x->target = base;
	x->python = python_find(NULL, x->d.arena, err);
	if (x->python && !strchr(x->python, '/'))
		x->python = path_find(x, x->python, err);
	return x->python != NULL;
}

static bool model_look(struct deployment *x, const char *argument, struct error *err)
{
	AUTO_FREE char *path = realpath(argument, NULL);
	struct model_options options = { 0 };

	if (!path)
		return error_errno(err, errno, "'%s'", argument);
	x->kind = TARGET_MODEL;
	x->target = arena_copy(x->d.arena, span_of(path), err).ptr;
	x->model = x->target ? target_load(x->target, &options, err) : NULL;
	return x->model != NULL;
}

/* ---- into what is there ---- */

static bool set(struct value *object, const char *key, struct value v, struct arena *arena, struct error *err)
{
	return value_set(object, span_of(key), v, arena, err) != NULL;
}

/* Replicas that were set by hand or by an autoscaler stay, where none are asked for. */
static bool replicas_keep(const struct value *from, struct value *to, struct arena *arena, struct error *err)
{
	const struct value *replicas = value_get(from, SPAN("replicas"));

	return !replicas || value_get(to, SPAN("replicas")) || set(to, "replicas", *replicas, arena, err);
}

static bool canary_put(struct deployment *x, struct value *stored, struct error *err)
{
	struct value *list = value_find(stored, "spec.predictors"), *standing = deploy_predictor(stored, "default");
	struct value *old = deploy_predictor(stored, "canary"), fresh;
	struct arena *arena = x->d.arena;

	if (!standing)
		return error_set(err, ERROR_INVALID,
				 "seldondeployment/%s has no predictor 'default' that a canary could stand beside",
				 x->d.name);
	if (!deployment_predictor(x, "canary", &fresh, err) ||
	    !set(&fresh, "traffic", value_int(x->canary_percent), arena, err) ||
	    !set(standing, "traffic", value_int(100 - x->canary_percent), arena, err))
		return false;
	if (old)
		*old = fresh;
	else if (!value_append(list, fresh, arena, err))
		return false;
	return true;
}

static bool default_put(struct deployment *x, struct value *stored, struct error *err)
{
	struct value *list = value_find(stored, "spec.predictors"), *standing = deploy_predictor(stored, "default");
	struct value fresh, *metadata = value_get(stored, SPAN("metadata")), *annotations;
	struct arena *arena = x->d.arena;
	struct span text;

	if (!deployment_predictor(x, "default", &fresh, err))
		return false;
	annotations = value_ensure_object(metadata, SPAN("annotations"), arena, err);
	if (!annotations)
		return false;
	if (standing) {
		value_remove(standing, SPAN("traffic"));
		text = value_print(standing, arena, err);
		if (!text.ptr || !replicas_keep(standing, &fresh, arena, err) ||
		    !set(annotations, DEPLOY_PREVIOUS, value_string(text), arena, err))
			return false;
	}
	list->array.count = 0; /* a canary of what was there before has nothing to stand beside any more */
	return value_append(list, fresh, arena, err) != NULL;
}

static bool seldon_apply(struct deployment *x, struct value *ret, struct error *err)
{
	struct span collection = deploy_path_seldon(&x->d, false, err), path = deploy_path_seldon(&x->d, true, err);
	struct value stored;

	if (!collection.ptr || !path.ptr)
		return false;
	if (api_get(x->d.view.api, path.ptr, x->d.arena, &stored, err)) {
		if (!(x->canary_percent ? canary_put(x, &stored, err) : default_put(x, &stored, err)))
			return false;
		*ret = stored;
		return x->options->dry_run || deploy_write(&x->d, collection, true, ret, err);
	}
	if (err->code != ERROR_NOT_FOUND)
		return false;
	if (x->canary_percent)
		return error_set(
		    err, ERROR_NOT_FOUND,
		    "there is no '%s' yet that a canary could stand beside: deploy it without --canary first",
		    x->d.name);
	*err = (struct error){ 0 };
	return deployment_seldon(x, ret, err) &&
	       (x->options->dry_run || deploy_write(&x->d, collection, false, ret, err));
}

static bool workload_apply(struct deployment *x, struct value *ret, struct error *err)
{
	struct span collection = deploy_path_workload(&x->d, false, err), path = deploy_path_workload(&x->d, true, err);
	struct value stored, *spec, *fresh;

	if (!collection.ptr || !path.ptr || !deployment_workload(x, ret, err))
		return false;
	if (x->options->dry_run)
		return true;
	if (api_get(x->d.view.api, path.ptr, x->d.arena, &stored, err)) {
		spec = value_get(&stored, SPAN("spec"));
		fresh = value_get(ret, SPAN("spec"));
		if (!spec || !set(spec, "template", *value_get(fresh, SPAN("template")), x->d.arena, err) ||
		    (value_get(fresh, SPAN("replicas")) &&
		     !set(spec, "replicas", *value_get(fresh, SPAN("replicas")), x->d.arena, err)))
			return false;
		*ret = stored;
		return deploy_write(&x->d, collection, true, ret, err);
	}
	if (err->code != ERROR_NOT_FOUND)
		return false;
	*err = (struct error){ 0 };
	return deploy_write(&x->d, collection, false, ret, err);
}

static bool service_apply(struct deployment *x, struct value *ret, struct error *err)
{
	struct span collection = arena_print(x->d.arena, err, "/api/v1/namespaces/%s/services", x->d.name_space);
	struct span path = arena_print(x->d.arena, err, SPAN_FMT "/%s", SPAN_WHOLE(collection), x->d.name);

	if (!path.ptr || !deployment_service(x, ret, err))
		return false;
	if (x->options->dry_run || api_get(x->d.view.api, path.ptr, x->d.arena, ret, err))
		return true; /* it leads to the pods by their label, whatever they run */
	if (err->code != ERROR_NOT_FOUND)
		return false;
	*err = (struct error){ 0 };
	return deploy_write(&x->d, collection, false, ret, err);
}

/* ---- what is told ---- */

static bool put_yaml(struct deployment *x, const struct value *v, struct error *err)
{
	struct buffer out;
	bool is_good;

	buffer_init(&out, MIB(4));
	is_good = yaml_write(v, x->d.arena, &out, err) && fwrite(out.ptr, 1, out.len, stdout) == out.len;
	buffer_done(&out);
	return is_good;
}

/* As many columns as the model takes; a class takes what its author knows. */
static void put_row(const struct deployment *x, struct buffer *out)
{
	const struct model_info *info = x->model ? model_info(x->model) : NULL;
	size_t count = info && info->feature_count && info->feature_count <= 64 ? info->feature_count : 3;

	for (size_t i = 0; i < count; i++)
		buffer_print(out, i ? ", %s" : "%s", "0");
}

static void tell_seldon(struct deployment *x, struct span gateway)
{
	struct buffer row;
	static const char *const paths[] = { "/api/v1.0/predictions", "/v2/models/", "/v1/models/" };
	const char *path = paths[x->options->protocol];

	buffer_init(&row, KIB(4));
	put_row(x, &row);
	printf("  address  " SPAN_FMT "/seldon/%s/%s%s%s%s\n", SPAN_WHOLE(gateway), x->d.name_space, x->d.name, path,
	       x->options->protocol ? x->d.name : "",
	       x->options->protocol == 1   ? "/infer"
	       : x->options->protocol == 2 ? ":predict"
					   : "");
	if (x->options->protocol == 0)
		printf("  try      curl -H 'Content-Type: application/json' -d '{\"data\":{\"ndarray\":[[" SPAN_FMT
		       "]]}}' " SPAN_FMT "/seldon/%s/%s%s\n",
		       SPAN_WHOLE(buffer_span(&row)), SPAN_WHOLE(gateway), x->d.name_space, x->d.name, path);
	else if (x->options->protocol == 2)
		printf("  try      curl -d '{\"instances\":[[" SPAN_FMT "]]}' " SPAN_FMT
		       "/seldon/%s/%s/v1/models/%s:predict\n",
		       SPAN_WHOLE(buffer_span(&row)), SPAN_WHOLE(gateway), x->d.name_space, x->d.name, x->d.name);
	else
		printf("  try      curl " SPAN_FMT "/seldon/%s/%s/v2/models/%s\n", SPAN_WHOLE(gateway), x->d.name_space,
		       x->d.name, x->d.name);
	buffer_done(&row);
}

static void tell_workload(struct deployment *x)
{
	struct span path = arena_print(x->d.arena, &(struct error){ 0 }, "/api/v1/namespaces/%s/services/%s",
				       x->d.name_space, x->d.name);
	struct error ignored = { 0 };
	struct value service;
	const struct value *list, *ports;
	struct span ip;
	int64_t port;

	if (!path.ptr || !api_get(x->d.view.api, path.ptr, x->d.arena, &service, &ignored))
		return;
	list = value_find(&service, "status.loadBalancer.ingress");
	if (!value_is(list, VALUE_ARRAY) || !list->array.count) {
		printf("  address  none yet: `kubectl get service %s`\n", x->d.name);
		return;
	}
	ip = value_find_string(value_item(list, 0), "ip");
	ports = value_get(value_item(list, 0), SPAN("ports"));
	port =
	    value_is(ports, VALUE_ARRAY) && ports->array.count ? value_find_int(value_item(ports, 0), "port", 80) : 80;
	printf("  address  http://" SPAN_FMT ":%lld/\n  try      curl http://" SPAN_FMT ":%lld/\n", SPAN_WHOLE(ip),
	       (long long)port, SPAN_WHOLE(ip), (long long)port);
}

/* ---- the command ---- */

static bool percent_read(struct deployment *x, struct error *err)
{
	struct span text = x->options->canary ? span_of(x->options->canary) : (struct span){ 0 };

	if (!text.ptr)
		return true;
	if (span_ends(text, SPAN("%")))
		text.len--;
	if (!number_parse_int64(text, &x->canary_percent) || x->canary_percent < 1 || x->canary_percent > 99)
		return error_set(err, ERROR_INVALID, "--canary %s: a percentage from 1 to 99 is meant",
				 x->options->canary);
	return true;
}

static bool name_check(const char *name, struct error *err)
{
	size_t len = strlen(name);
	bool is_good = len > 0 && len <= NAME_LENGTH_MOST && name[0] != '-' && name[len - 1] != '-';

	for (const char *at = name; *at; at++)
		is_good &= islower((unsigned char)*at) || isdigit((unsigned char)*at) || *at == '-';
	return is_good ||
	       error_set(err, ERROR_INVALID, "--name %s: a name has at most %d lower-case letters, digits and '-'",
			 name, NAME_LENGTH_MOST);
}

static bool target_look(struct deployment *x, struct error *err)
{
	const char *argument = x->d.call->arguments[0];

	if (!x->options->name)
		return error_set(err, ERROR_INVALID, "--name is needed");
	return name_check(x->options->name, err) && percent_read(x, err) &&
	       (target_is_code(argument) ? code_look(x, argument, err) : model_look(x, argument, err));
}

static bool app_deploy(struct deployment *x, struct error *err)
{
	struct value workload, service, last;
	unsigned tries = 0;

	if (x->canary_percent)
		return error_set(err, ERROR_UNIMPLEMENTED,
				 "--canary is for models and classes: an application is rolled out step by step "
				 "(and back: hythe rollback %s)",
				 x->d.name);
	while (!workload_apply(x, &workload, err))
		if (!deploy_again(&tries, err))
			return false;
	if (!service_apply(x, &service, err))
		return false;
	if (x->options->dry_run) {
		if (!put_yaml(x, &workload, err))
			return false;
		puts("---");
		return put_yaml(x, &service, err);
	}
	if (!x->d.timeout_ns)
		return true;
	if (!deploy_wait_workload(&x->d, &workload, &last, err))
		return false;
	printf("deployment/%s is available: %lld replicas\n", x->d.name,
	       (long long)value_find_int(&last, "status.availableReplicas", 0));
	tell_workload(x);
	return true;
}

static bool seldon_deploy(struct deployment *x, struct error *err)
{
	struct value written, last;
	unsigned tries = 0;

	while (!seldon_apply(x, &written, err))
		if (!deploy_again(&tries, err))
			return false;
	if (x->options->dry_run)
		return put_yaml(x, &written, err);
	if (!x->d.timeout_ns)
		return true;
	if (!deploy_wait_seldon(&x->d, &written, &last, err))
		return false;
	printf("seldondeployment/%s is available%s\n", x->d.name, x->canary_percent ? ", with a canary" : "");
	tell_seldon(x, deploy_gateway(&x->d));
	if (x->canary_percent)
		printf("  next     hythe promote %s   or   hythe rollback %s\n", x->d.name, x->d.name);
	return true;
}

int deploy_run(const struct cli_call *call)
{
	const struct deploy_options *o = call->options;
	struct deployment x = { .d = { .call = call,
				       .arena = call->arena,
				       .view = { .arena = call->arena },
				       .name = o->name,
				       .name_space = o->name_space ? o->name_space : "default",
				       .timeout_ns = o->timeout_ms * NS_PER_MS,
				       .is_quiet = o->quiet },
				.options = o };
	struct error err = { 0 };
	bool is_good = target_look(&x, &err);

	if (is_good) {
		x.d.view.api = api_open(&o->where, call->arena, &err);
		is_good = x.d.view.api && (x.kind == TARGET_APP ? app_deploy(&x, &err) : seldon_deploy(&x, &err));
	}
	if (!is_good)
		cli_complain(call->command, &err);
	api_close(x.d.view.api);
	if (x.model)
		model_unref(x.model);
	return is_good ? EXIT_OK : EXIT_FAILED;
}
