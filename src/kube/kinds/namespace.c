/* SPDX-License-Identifier: Apache-2.0 */
/* namespace - Namespace of core/v1. What happens when one is deleted is the server's; here is that only the finalize subresource
 * takes its finalizers away. */
#include "kube/kinds/kinds.h"

#include "kube/kube.h"
#include "kube/subresource.h"

#define NAME_LABEL SPAN("kubernetes.io/metadata.name")

static void namespace_defaults(struct change *c)
{
	struct value *metadata, *name, *labels;

	shape(c);
	metadata = ensure(c, c->object, "metadata");
	name = get(metadata, "name");
	if (!text_of(name).len)
		return;
	labels = ensure(c, metadata, "labels");
	if (labels)
		(void)value_set(labels, NAME_LABEL, *name, c->arena, c->err);
}

static void add_finalizer(struct change *c, struct value *spec)
{
	struct value *list = spec ? value_ensure_array(spec, SPAN("finalizers"), c->arena, c->err) : NULL;

	for (uint32_t i = 0; i < count_of(list); i++) {
		if (is_text(value_item(list, i), "kubernetes"))
			return;
	}
	if (list)
		(void)value_append(list, value_string(SPAN("kubernetes")), c->arena, c->err);
}

static void namespace_prepare(struct change *c)
{
	namespace_defaults(c); /* a generated name is known only now */
	(void)ensure(c, c->object, "spec");
	if (!c->old) {
		prepare_status(c);
		add_finalizer(c, get(c->object, "spec"));
		set_text(c, get(c->object, "status"), "phase", SPAN("Active"));
	} else if (change_is_status(c)) {
		prepare_status(c);
		default_text(c, get(c->object, "status"), "phase", "Active");
	} else {
		prepare_status(c);
		if (!span_equal(c->subresource, SPAN("finalize")))
			carry(c, get(c->object, "spec"), get(c->old, "spec"), "finalizers");
	}
}

static void check_phase(struct change *c)
{
	bool is_ending = get(get(c->object, "metadata"), "deletionTimestamp") != NULL;
	const struct value *phase = get(get(c->object, "status"), "phase");
	const struct at *at = AT(AT(NULL, "status"), "Phase");

	if (!is_ending && !is_text(phase, "Active"))
		fault_invalid_text(c, at, text_of(phase), "may only be 'Active' if `deletionTimestamp` is empty");
	else if (is_ending && !is_text(phase, "Terminating"))
		fault_invalid_text(c, at, text_of(phase),
				   "may only be 'Terminating' if `deletionTimestamp` is not empty");
}

static void namespace_validate(struct change *c)
{
	static const char *const standard[] = { "kubernetes", "orphan", "foregroundDeletion", NULL };
	const struct value *list = get(get(c->object, "spec"), "finalizers");
	const struct at *at = AT(AT(NULL, "spec"), "finalizers");

	check_metadata(c, name_check_label);
	if (change_is_status(c)) {
		check_phase(c);
		return;
	}
	for (uint32_t i = 0; i < count_of(list); i++) {
		struct span s = text_of(value_item(list, i));

		check_name(c, at, value_item(list, i), name_check_qualified);
		if (span_index(s, '/') == s.len && !text_is_one_of(s, standard))
			fault_invalid_text(c, at, s,
					   "name is neither a standard finalizer name nor is it fully qualified");
	}
}

static void namespace_row(const struct value *o, int64_t now_ns, struct value *cells, struct arena *arena)
{
	cells[0] = cell_name(o);
	cells[1] = cell_text(value_find_string(o, "status.phase"));
	cells[2] = cell_age(o, now_ns, arena);
}

/* ---- finalize ---- */

static void finalize_done(void *context, const struct value *object, const struct error *err)
{
	if (err)
		kube_fail(context, err);
	else
		kube_answer(context, 200, object);
}

static void namespace_finalize(struct kube_call *call)
{
	struct kube_write w = {
		.kind = call->kind,
		.verb = KUBE_UPDATE,
		.subresource = SPAN("finalize"),
		.name = call->name,
		.object = call->body,
		.user = call->user,
		.done = finalize_done,
		.context = call,
	};

	kube_write(call->kube, &w, call->arena);
}

static const struct subresource namespace_others[] = {
	{ "finalize", KUBE_UPDATE, "", "v1", "Namespace", "io.k8s.api.core.v1.Namespace", namespace_finalize },
	{ 0 },
};
static const struct column namespace_columns[] = {
	COLUMN_NAME,
	COLUMN("Status", "string", "Active, or Terminating while its objects go."),
	COLUMN_AGE,
	{ 0 },
};
static const char *const namespace_short[] = { "ns", NULL };
static const struct selectable namespace_fields[] = { { "name", "metadata.name", NULL },
						      { "status.phase", NULL, NULL },
						      { 0 } };

const struct kind kind_namespace = {
	.group = "",
	.version = "v1",
	.plural = "namespaces",
	.singular = "namespace",
	.kind = "Namespace",
	.short_names = namespace_short,
	.verbs = KUBE_ALL_VERBS & ~KUBE_DELETE_COLLECTION,
	.subresources = SUB_STATUS,
	.others = namespace_others,
	.type_name = "io.k8s.api.core.v1.Namespace",
	.selectable = namespace_fields,
	.columns = namespace_columns,
	.defaults = namespace_defaults,
	.prepare = namespace_prepare,
	.validate = namespace_validate,
	.row = namespace_row,
};
