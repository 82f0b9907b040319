/* SPDX-License-Identifier: Apache-2.0 */
/* rollback - what was deployed goes back to what it was, or its canary becomes it. */
#include "cli/deploy.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/number.h"

#define REVISION "deployment.kubernetes.io/revision"

static bool set(struct value *object, const char *key, struct value v, struct arena *arena, struct error *err)
{
	return value_set(object, span_of(key), v, arena, err) != NULL;
}

/* ---- SeldonDeployments ---- */

/* `fresh` is the only predictor from now on, and what was "default" is what it can go back to. */
static bool predictor_replace(struct deploy *d, struct value *seldon, struct value *fresh, struct error *err)
{
	struct value *list = value_find(seldon, "spec.predictors"), *standing = deploy_predictor(seldon, "default");
	struct value *annotations =
	    value_ensure_object(value_get(seldon, SPAN("metadata")), SPAN("annotations"), d->arena, err);
	struct value kept = *fresh;
	struct span text;

	if (!annotations)
		return false;
	if (standing && standing != fresh) {
		const struct value *replicas = value_get(standing, SPAN("replicas"));

		value_remove(standing, SPAN("traffic"));
		text = value_print(standing, d->arena, err);
		if (!text.ptr || !set(annotations, DEPLOY_PREVIOUS, value_string(text), d->arena, err) ||
		    (replicas && !set(&kept, "replicas", *replicas, d->arena, err)))
			return false;
	}
	value_remove(&kept, SPAN("traffic"));
	if (!set(&kept, "name", value_string(SPAN("default")), d->arena, err))
		return false;
	list->array.count = 0;
	return value_append(list, kept, d->arena, err) != NULL;
}

static bool canary_promote(struct deploy *d, struct value *seldon, const char **ret_words, struct error *err)
{
	struct value *canary = deploy_predictor(seldon, "canary");

	if (!canary)
		return error_set(err, ERROR_NOT_FOUND, "seldondeployment/%s has no canary", d->name);
	*ret_words = "its canary has all the traffic";
	return predictor_replace(d, seldon, canary, err);
}

/* The canary goes; without one, what was there before comes back. */
static bool seldon_back(struct deploy *d, struct value *seldon, const char **ret_words, struct error *err)
{
	struct value *standing = deploy_predictor(seldon, "default"), previous;
	const struct value *annotations = value_find(seldon, "metadata.annotations");
	const struct value *text = value_get(annotations, SPAN(DEPLOY_PREVIOUS));

	if (deploy_predictor(seldon, "canary") && standing) {
		*ret_words = "its canary is gone";
		return predictor_replace(d, seldon, standing, err);
	}
	if (!value_is(text, VALUE_STRING))
		return error_set(err, ERROR_NOT_FOUND,
				 "seldondeployment/%s was never deployed before: there is nothing to go back to",
				 d->name);
	if (!value_parse(text->string, NULL, d->arena, &previous, err))
		return error_wrap(err, "the annotation " DEPLOY_PREVIOUS);
	*ret_words = "it is as it was before";
	return predictor_replace(d, seldon, &previous, err);
}

/* ---- Deployments ---- */

static int64_t revision_of(const struct value *object)
{
	const struct value *text = value_get(value_find(object, "metadata.annotations"), SPAN(REVISION));
	int64_t number = 0;

	return value_is(text, VALUE_STRING) && number_parse_int64(text->string, &number) ? number : 0;
}

/* The newest revision but the one that runs, as `kubectl rollout undo` takes it. */
static bool workload_back(struct deploy *d, struct value *workload, struct error *err)
{
	struct span path = arena_print(d->arena, err, "/apis/apps/v1/namespaces/%s/replicasets", d->name_space);
	int64_t now = revision_of(workload), best = 0;
	const struct value *items, *found = NULL;
	struct value list, template, *labels;

	if (!path.ptr || !api_get(d->view.api, path.ptr, d->arena, &list, err))
		return false;
	items = value_get(&list, SPAN("items"));
	for (uint32_t i = 0; i < value_count(items); i++) {
		const struct value *set_of = value_item(items, i);
		int64_t revision = revision_of(set_of);

		if (!is_owned_by(set_of, uid_of(workload)) || revision >= now || revision <= best)
			continue;
		best = revision;
		found = set_of;
	}
	if (!found || !value_find(found, "spec.template"))
		return error_set(err, ERROR_NOT_FOUND, "deployment/%s has no revision before this one", d->name);
	template = *value_find(found, "spec.template");
	labels = value_find(&template, "metadata.labels");
	if (labels)
		value_remove(labels, SPAN("pod-template-hash"));
	return set(value_get(workload, SPAN("spec")), "template", template, d->arena, err);
}

/* ---- the commands ---- */

static bool is_found(struct deploy *d, struct span path, struct value *ret, struct error *err)
{
	return path.ptr && api_get(d->view.api, path.ptr, d->arena, ret, err);
}

/* What is stored, as it was before or with its canary as the whole: *ret is as it was written. */
static bool change(struct deploy *d, bool promotes, bool *ret_is_seldon, const char **ret_words, struct value *ret,
		   struct error *err)
{
	bool is_seldon = is_found(d, deploy_path_seldon(d, true, err), ret, err);

	if (!is_seldon) {
		if (err->code != ERROR_NOT_FOUND)
			return false;
		*err = (struct error){ 0 };
		if (promotes || !is_found(d, deploy_path_workload(d, true, err), ret, err))
			return error_set(err, ERROR_NOT_FOUND, "nothing is deployed as '%s' in the namespace %s",
					 d->name, d->name_space);
	}
	if (is_seldon ? !(promotes ? canary_promote : seldon_back)(d, ret, ret_words, err)
		      : !workload_back(d, ret, err))
		return false;
	*ret_is_seldon = is_seldon;
	return deploy_write(d, is_seldon ? deploy_path_seldon(d, false, err) : deploy_path_workload(d, false, err),
			    true, ret, err);
}

static bool change_wait(struct deploy *d, bool promotes, struct error *err)
{
	const char *words = "it is as it was before";
	struct value written, last;
	bool is_seldon = false;
	unsigned tries = 0;

	while (!change(d, promotes, &is_seldon, &words, &written, err))
		if (!deploy_again(&tries, err))
			return false;
	if (d->timeout_ns && !(is_seldon ? deploy_wait_seldon : deploy_wait_workload)(d, &written, &last, err))
		return false;
	if (!d->is_quiet)
		printf("%s/%s: %s\n", is_seldon ? "seldondeployment" : "deployment", d->name, words);
	return true;
}

static int run(const struct cli_call *call, bool promotes)
{
	const struct rollback_options *o = call->options;
	struct deploy d = { .call = call,
			    .arena = call->arena,
			    .view = { .arena = call->arena },
			    .name = call->arguments[0],
			    .name_space = o->name_space ? o->name_space : "default",
			    .timeout_ns = o->timeout_ms * NS_PER_MS,
			    .is_quiet = o->quiet };
	struct error err = { 0 };
	bool is_good;

	d.view.api = api_open(&o->where, call->arena, &err);
	is_good = d.view.api && change_wait(&d, promotes, &err);
	if (!is_good)
		cli_complain(call->command, &err);
	api_close(d.view.api);
	return is_good ? EXIT_OK : EXIT_FAILED;
}

int rollback_run(const struct cli_call *call)
{
	return run(call, false);
}

int promote_run(const struct cli_call *call)
{
	return run(call, true);
}
