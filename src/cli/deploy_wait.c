/* SPDX-License-Identifier: Apache-2.0 */
/* deploy_wait - writes what is wanted, and waits until it is so. */
#include "cli/deploy.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"

#define LOOK_EVERY_NS (100 * NS_PER_MS)
#define SILENT_S      3

struct span deploy_path_seldon(const struct deploy *d, bool with_name, struct error *err)
{
	return arena_print(d->arena, err, "/apis/machinelearning.seldon.io/v1/namespaces/%s/seldondeployments%s%s",
			   d->name_space, with_name ? "/" : "", with_name ? d->name : "");
}

struct span deploy_path_workload(const struct deploy *d, bool with_name, struct error *err)
{
	return arena_print(d->arena, err, "/apis/apps/v1/namespaces/%s/deployments%s%s", d->name_space,
			   with_name ? "/" : "", with_name ? d->name : "");
}

struct value *deploy_predictor(const struct value *seldon, const char *name)
{
	const struct value *list = value_find(seldon, "spec.predictors");

	for (uint32_t i = 0; i < value_count(list); i++)
		if (span_equal(value_find_string(value_item(list, i), "name"), span_of(name)))
			return value_item(list, i);
	return NULL;
}

bool deploy_write(struct deploy *d, struct span collection, bool exists, struct value *object, struct error *err)
{
	struct span text = value_print(object, d->arena, err);
	struct span path = exists ? arena_print(d->arena, err, SPAN_FMT "/" SPAN_FMT, SPAN_WHOLE(collection),
						SPAN_WHOLE(value_find_string(object, "metadata.name")))
				  : collection;

	path = path.ptr ? arena_print(d->arena, err, SPAN_FMT "?fieldManager=" DEPLOY_MANAGER, SPAN_WHOLE(path)) : path;
	return text.ptr && path.ptr &&
	       api_call(d->view.api, exists ? "PUT" : "POST", path.ptr, NULL, text, d->arena, object, err);
}

bool deploy_again(unsigned *tries, struct error *err)
{
	struct timespec pause = { .tv_nsec = MIN(NS_PER_MS << *tries, LOOK_EVERY_NS) };

	if (err->code != ERROR_CONFLICT || ++*tries >= DEPLOY_TRIES_MOST)
		return false;
	(void)nanosleep(&pause, NULL);
	*err = (struct error){ 0 };
	return true;
}

/* ---- how far it is ---- */

/* One line on a terminal, written over; into a file, a line for what is new after the first seconds. Returns what the last line said. */
static struct span show(const struct deploy *d, struct span words, struct span shown, int64_t since_ns)
{
	int64_t seconds = (clock_monotonic_ns() - since_ns) / NS_PER_S;
	bool is_terminal = isatty(STDERR_FILENO);

	if (d->is_quiet || (!is_terminal && (seconds < SILENT_S || span_equal(words, shown))))
		return shown;
	fprintf(stderr, is_terminal ? "\r\033[K%s: " SPAN_FMT " (%lld:%02lld)" : "%s: " SPAN_FMT " (%lld:%02lld)\n",
		d->name, SPAN_ARG(words), (long long)(seconds / 60), (long long)(seconds % 60));
	return words;
}

static void show_end(const struct deploy *d)
{
	if (!d->is_quiet && isatty(STDERR_FILENO))
		fputs("\r\033[K", stderr);
}

/* Looks at the object of this kind until `look` has seen what it waits for, or sets err. */
static bool wait_for(struct deploy *d, const char *kind, struct span path, const struct value *written,
		     bool (*look)(struct deploy *d, const struct value *now, struct span *ret_words, struct error *err),
		     struct value *ret, struct error *err)
{
	int64_t began = clock_monotonic_ns(), generation = value_find_int(written, "metadata.generation", 0);
	struct timespec pause = { .tv_nsec = LOOK_EVERY_NS };
	struct span words = SPAN("waiting"), shown = { 0 };
	bool is_good = path.ptr != NULL, is_seen = false;

	while (is_good && !is_seen) {
		is_good = api_get(d->view.api, path.ptr, d->arena, ret, err);
		if (is_good && value_find_int(ret, "status.observedGeneration", 0) >= generation) {
			is_seen = look(d, ret, &words, err);
			is_good = err->code == ERROR_NONE;
		}
		if (!is_good || is_seen)
			break;
		shown = show(d, words, shown, began);
		if (clock_monotonic_ns() - began > d->timeout_ns)
			is_good = error_set(
			    err, ERROR_TIMEOUT,
			    "it is not available after %lld s, and goes on without being waited for: " SPAN_FMT
			    " (`hythe why %s/%s -n %s`)",
			    (long long)(d->timeout_ns / NS_PER_S), SPAN_ARG(words), kind, d->name, d->name_space);
		else
			(void)nanosleep(&pause, NULL);
	}
	show_end(d);
	return is_good;
}

static bool seldon_look(struct deploy *d, const struct value *now, struct span *ret_words, struct error *err)
{
	struct span state = value_find_string(now, "status.state"), why = value_find_string(now, "status.description");

	(void)d;
	*ret_words = why.len ? why : state.len ? state : SPAN("waiting");
	if (span_equal(state, SPAN("Failed")))
		return error_set(err, ERROR_UNAVAILABLE, "it failed: " SPAN_FMT, SPAN_ARG(*ret_words));
	return span_equal(state, SPAN("Available"));
}

/* As `kubectl rollout status` has it. */
static bool workload_look(struct deploy *d, const struct value *now, struct span *ret_words, struct error *err)
{
	int64_t wanted = value_find_int(now, "spec.replicas", 1), all = value_find_int(now, "status.replicas", 0);
	int64_t updated = value_find_int(now, "status.updatedReplicas", 0);
	int64_t available = value_find_int(now, "status.availableReplicas", 0);
	const struct value *conditions = value_find(now, "status.conditions");

	for (uint32_t i = 0; i < value_count(conditions); i++)
		if (span_equal(value_find_string(value_item(conditions, i), "reason"),
			       SPAN("ProgressDeadlineExceeded")))
			return error_set(err, ERROR_UNAVAILABLE,
					 "it makes no progress: `hythe why deployment/%s -n %s`", d->name,
					 d->name_space);
	*ret_words = arena_print(d->arena, err, "%lld of %lld replicas are new, %lld answer", (long long)updated,
				 (long long)wanted, (long long)available);
	return updated >= wanted && all <= updated && available >= wanted;
}

bool deploy_wait_seldon(struct deploy *d, const struct value *written, struct value *ret, struct error *err)
{
	return wait_for(d, "seldondeployment", deploy_path_seldon(d, true, err), written, seldon_look, ret, err);
}

bool deploy_wait_workload(struct deploy *d, const struct value *written, struct value *ret, struct error *err)
{
	return wait_for(d, "deployment", deploy_path_workload(d, true, err), written, workload_look, ret, err);
}

/* ---- where ---- */

struct span deploy_gateway(struct deploy *d)
{
	struct error ignored = { 0 };
	struct value gateway;
	const struct value *addresses, *listeners;
	struct span ip;

	if (!api_get(d->view.api, "/apis/gateway.networking.k8s.io/v1/namespaces/kube-system/gateways/hythe", d->arena,
		     &gateway, &ignored))
		return (struct span){ 0 };
	addresses = value_find(&gateway, "status.addresses");
	listeners = value_find(&gateway, "spec.listeners");
	if (!value_is(addresses, VALUE_ARRAY) || !addresses->array.count || !value_is(listeners, VALUE_ARRAY) ||
	    !listeners->array.count)
		return (struct span){ 0 };
	ip = value_find_string(value_item(addresses, 0), "value");
	return arena_print(d->arena, &ignored, "http://" SPAN_FMT ":%lld", SPAN_WHOLE(ip),
			   (long long)value_find_int(value_item(listeners, 0), "port", 80));
}
