/* SPDX-License-Identifier: Apache-2.0 */
/* top - what pods and nodes use, the most first. */
#include <stdio.h>
#include <stdlib.h>

#include "cli/options.h"
#include "cli/view.h"
#include "kube/kinds/quantity.h"

struct used {
	struct span name_space, name;
	int64_t cpu, memory;           /* thousandths, bytes */
	int64_t cpu_most, memory_most; /* limits, or what the node has; 0: none */
};

struct top {
	struct view view;
	struct used *rows;
	size_t count;
};

static int64_t amount_of(struct span text, int64_t unit)
{
	struct quantity q;

	return text.len && quantity_read(text, &q) ? (int64_t)(q.nano * unit / QUANTITY_NANO) : 0;
}

static void use_add(struct used *u, const struct value *usage)
{
	u->cpu += amount_of(value_find_string(usage, "cpu"), 1000);
	u->memory += amount_of(value_find_string(usage, "memory"), 1);
}

/* Of the pod's containers; one without a limit makes the pod one without. */
static void limits_add(struct used *u, const struct value *pod)
{
	const struct value *list = value_find(pod, "spec.containers");
	bool has_cpu = true, has_memory = true;

	for (uint32_t i = 0; i < value_count(list); i++) {
		struct span cpu = value_find_string(value_item(list, i), "resources.limits.cpu"),
			    memory = value_find_string(value_item(list, i), "resources.limits.memory");

		has_cpu = has_cpu && cpu.len;
		has_memory = has_memory && memory.len;
		u->cpu_most += amount_of(cpu, 1000);
		u->memory_most += amount_of(memory, 1);
	}
	u->cpu_most = has_cpu ? u->cpu_most : 0;
	u->memory_most = has_memory ? u->memory_most : 0;
}

static const struct value *object_find(const struct value *list, const struct used *u)
{
	for (uint32_t i = 0; i < list->array.count; i++)
		if (span_equal(name_of(value_item(list, i)), u->name) &&
		    span_equal(name_space_of(value_item(list, i)), u->name_space))
			return value_item(list, i);
	return NULL;
}

static bool metrics_read(struct top *t, const char *plural, struct error *err)
{
	struct value *answer = ARENA_NEW(t->view.arena, struct value, err);
	const char *space = t->view.name_space;
	struct span path = arena_print(t->view.arena, err, "/apis/metrics.k8s.io/v1beta1/%s%s%s%s",
				       space ? "namespaces/" : "", space ? space : "", space ? "/" : "", plural);
	const struct value *items;

	if (!answer || !path.ptr || !api_get(t->view.api, path.ptr, t->view.arena, answer, err))
		return false;
	items = value_get(answer, SPAN("items"));
	t->rows = base_calloc(value_count(items) + 1, sizeof(*t->rows));
	for (uint32_t i = 0; i < value_count(items); i++) {
		const struct value *one = value_item(items, i), *containers = value_get(one, SPAN("containers"));
		struct used *u = &t->rows[t->count++];

		*u = (struct used){ .name_space = name_space_of(one), .name = name_of(one) };
		if (value_get(one, SPAN("usage")))
			use_add(u, value_get(one, SPAN("usage")));
		for (uint32_t c = 0; c < value_count(containers); c++)
			use_add(u, value_get(value_item(containers, c), SPAN("usage")));
	}
	return true;
}

static void most_read(struct top *t, bool of_nodes)
{
	const struct value *list = view_list(&t->view, view_kind_named(of_nodes ? "node" : "pod"));

	for (size_t i = 0; i < t->count; i++) {
		struct used *u = &t->rows[i];
		const struct value *object = object_find(list, u);

		if (object && of_nodes) {
			u->cpu_most = amount_of(value_find_string(object, "status.allocatable.cpu"), 1000);
			u->memory_most = amount_of(value_find_string(object, "status.allocatable.memory"), 1);
		} else if (object) {
			limits_add(u, object);
		}
	}
}

static int order(const void *a, const void *b)
{
	const struct used *x = a, *y = b;

	if (x->cpu != y->cpu)
		return x->cpu > y->cpu ? -1 : 1;
	return x->memory != y->memory ? (x->memory > y->memory ? -1 : 1) : 0;
}

static void share_print(char *to, size_t size, int64_t used, int64_t most)
{
	if (most > 0)
		(void)snprintf(to, size, "%lld%%", (long long)((used * 100 + most / 2) / most));
	else
		(void)snprintf(to, size, "-");
}

static void rows_print(const struct top *t, bool of_nodes)
{
	size_t space = 9, name = 4;

	for (size_t i = 0; i < t->count; i++) {
		space = MAX(space, t->rows[i].name_space.len);
		name = MAX(name, t->rows[i].name.len);
	}
	if (!of_nodes)
		printf("%-*s  ", (int)space, "NAMESPACE");
	printf("%-*s  %8s  %8s  %10s  %8s\n", (int)name, "NAME", "CPU", of_nodes ? "OF ALL" : "OF LIMIT", "MEMORY",
	       of_nodes ? "OF ALL" : "OF LIMIT");
	for (size_t i = 0; i < t->count; i++) {
		const struct used *u = &t->rows[i];
		char cpu[24], memory[24];

		share_print(cpu, sizeof(cpu), u->cpu, u->cpu_most);
		share_print(memory, sizeof(memory), u->memory, u->memory_most);
		if (!of_nodes)
			printf("%-*.*s  ", (int)space, SPAN_WHOLE(u->name_space));
		printf("%-*.*s  %7lldm  %8s  %8lldMi  %8s\n", (int)name, SPAN_WHOLE(u->name), (long long)u->cpu, cpu,
		       (long long)(u->memory >> 20), memory);
	}
}

static bool show(const struct cli_call *call, struct top *t, struct error *err)
{
	const struct cluster_options *o = call->options;
	struct span what = span_of(call->argument_count ? call->arguments[0] : "pods");
	bool of_nodes = span_equal(what, SPAN("nodes")) || span_equal(what, SPAN("node"));

	if (!of_nodes && !span_equal(what, SPAN("pods")) && !span_equal(what, SPAN("pod")))
		return error_set(err, ERROR_INVALID, "'" SPAN_FMT "' is neither pods nor nodes",
				 SPAN_ARG(span_first(what, 60)));
	t->view.name_space = of_nodes ? NULL : o->name_space;
	if (!metrics_read(t, of_nodes ? "nodes" : "pods", err))
		return false;
	most_read(t, of_nodes);
	if (t->count)
		qsort(t->rows, t->count, sizeof(*t->rows), order);
	rows_print(t, of_nodes);
	*err = t->view.err;
	return !err->code;
}

int top_run(const struct cli_call *call)
{
	const struct cluster_options *o = call->options;
	struct top t = { .view = { .arena = call->arena } };
	struct error err = { 0 };
	bool is_good;

	t.view.api = api_open(&o->where, call->arena, &err);
	is_good = t.view.api && show(call, &t, &err);
	if (!is_good)
		cli_complain(call->command, &err);
	free(t.rows);
	api_close(t.view.api);
	return is_good ? EXIT_OK : EXIT_FAILED;
}
