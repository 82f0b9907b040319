/* SPDX-License-Identifier: Apache-2.0 */
/* event - Event of core/v1 and of events.k8s.io/v1: two forms of the same objects, stored as the first. */
#include "kube/kinds/kinds.h"

#define INSTANCE_MOST 128
#define NAME_MOST     128
#define NOTE_MOST     1024

static bool is_core(const struct change *c)
{
	return c->kind->group[0] == 0;
}

/* What must agree in both forms. `about` is the object it is about. */
static void check_namespace(struct change *c, const struct value *about)
{
	struct span space = get_text(get(c->object, "metadata"), "namespace"), of = get_text(about, "namespace");
	const struct at *at = AT(AT(NULL, "involvedObject"), "namespace");
	bool is_new = get_text(c->object, "eventTime").len > 0;
	bool may_differ = span_equal(space, SPAN("default")) || (is_new && span_equal(space, SPAN("kube-system")));

	if (of.len == 0 ? !may_differ : (!is_new && !span_equal(space, of)))
		fault_invalid_text(c, at, of, "does not match event.namespace");
}

static void check_reporter(struct change *c, const char *component)
{
	static const char *const members[] = { "action", "reason" };
	const struct value *controller = get(c->object, component), *instance = get(c->object, "reportingInstance");
	struct span note = get_text(c->object, is_core(c) ? "message" : "note");

	if (get_text(c->object, "eventTime").len == 0)
		return;
	if (text_of(controller).len == 0)
		fault_required(c, AT(NULL, component), "");
	check_name(c, AT(NULL, component), controller, name_check_qualified);
	if (text_of(instance).len == 0)
		fault_required(c, AT(NULL, "reportingInstance"), "");
	if (text_of(instance).len > INSTANCE_MOST)
		fault_invalid_text(c, AT(NULL, "reportingInstance"), SPAN(""), "can have at most 128 characters");
	for (size_t i = 0; i < ARRAY_LEN(members); i++) {
		struct span s = get_text(c->object, members[i]);

		if (s.len == 0)
			fault_required(c, AT(NULL, members[i]), "");
		if (s.len > NAME_MOST)
			fault_invalid_text(c, AT(NULL, members[i]), SPAN(""), "can have at most 128 characters");
	}
	if (note.len > NOTE_MOST)
		fault_invalid_text(c, AT(NULL, "message"), SPAN(""), "can have at most 1024 characters");
}

/* The older form has checks of its own only, and none of metadata: old clients write what they like. */
static void core_event_validate(struct change *c)
{
	check_namespace(c, get(c->object, "involvedObject"));
	check_reporter(c, "reportingComponent");
}

static void check_series(struct change *c)
{
	const struct value *series = get(c->object, "series");

	if (series && get_int(series, "count", 0) < 2)
		fault_invalid_text(c, AT(NULL, "series.count"), SPAN(""), "should be at least 2");
	if (series && get_text(series, "lastObservedTime").len == 0)
		fault_required(c, AT(NULL, "series.lastObservedTime"), "");
}

static void check_new_event(struct change *c)
{
	static const char *const types[] = { "Normal", "Warning", NULL };
	static const struct {
		const char *member, *told;
	} old[] = { { "deprecatedFirstTimestamp", "firstTimestamp" },
		    { "deprecatedLastTimestamp", "lastTimestamp" },
		    { "deprecatedCount", "count" } };
	struct span type = get_text(c->object, "type");
	const struct value *source = get(c->object, "deprecatedSource");

	if (get_text(c->object, "eventTime").len == 0)
		fault_required(c, AT(NULL, "eventTime"), "");
	if (!text_is_one_of(type, types))
		fault_invalid_text(c, AT(NULL, "type"), SPAN(""),
				   detail_print(c, "has invalid value: " SPAN_FMT, SPAN_ARG(type)));
	for (size_t i = 0; i < ARRAY_LEN(old); i++) {
		if (get(c->object, old[i].member))
			fault_invalid_text(c, AT(NULL, old[i].told), SPAN(""), "needs to be unset");
	}
	if (count_of(source))
		fault_invalid_text(c, AT(NULL, "source"), SPAN(""), "needs to be unset");
}

static void new_event_validate(struct change *c)
{
	static const struct {
		const char *member, *told;
	} fixed[] = { { "regarding", "involvedObject" },
		      { "reason", "reason" },
		      { "note", "message" },
		      { "type", "type" },
		      { "action", "action" },
		      { "related", "related" },
		      { "reportingController", "reportingController" },
		      { "reportingInstance", "reportingInstance" } };

	check_namespace(c, get(c->object, "regarding"));
	check_reporter(c, "reportingController");
	check_metadata(c, name_check_subdomain);
	check_series(c);
	if (!c->old)
		check_new_event(c);
	for (size_t i = 0; c->old && i < ARRAY_LEN(fixed); i++)
		check_same(c, AT(NULL, fixed[i].told), get(c->old, fixed[i].member), get(c->object, fixed[i].member));
}

/* ---- two forms ---- */

static const struct {
	const char *core, *later;
} names[] = { { "involvedObject", "regarding" },
	      { "message", "note" },
	      { "reportingComponent", "reportingController" },
	      { "source", "deprecatedSource" },
	      { "firstTimestamp", "deprecatedFirstTimestamp" },
	      { "lastTimestamp", "deprecatedLastTimestamp" },
	      { "count", "deprecatedCount" } };

static bool rename_members(struct value *object, bool to_core, struct arena *arena, struct error *err)
{
	for (size_t k = 0; k < ARRAY_LEN(names); k++) {
		struct span from = span_of(to_core ? names[k].later : names[k].core),
			    to = span_of(to_core ? names[k].core : names[k].later);
		const struct value *v = value_get(object, from);
		struct value moved;

		if (!v)
			continue;
		moved = *v;
		(void)value_remove(object, from);
		if (!value_set(object, to, moved, arena, err))
			return false;
	}
	return true;
}

static bool to_core(struct value *object, struct arena *arena, struct error *err)
{
	return rename_members(object, true, arena, err) &&
	       value_set(object, SPAN("apiVersion"), value_string(SPAN("v1")), arena, err) != NULL;
}

static bool from_core(struct value *object, struct arena *arena, struct error *err)
{
	return rename_members(object, false, arena, err) &&
	       value_set(object, SPAN("apiVersion"), value_string(SPAN("events.k8s.io/v1")), arena, err) != NULL;
}

/* ---- the row, of either form ---- */

static struct span member(const struct value *o, const char *core, const char *later)
{
	return get(o, core) ? get_text(o, core) : get_text(o, later);
}

static struct value cell_object(const struct value *o, struct arena *arena)
{
	const struct value *about = get(o, "involvedObject") ? get(o, "involvedObject") : get(o, "regarding");
	struct span kind = get_text(about, "kind"), name = get_text(about, "name");
	struct text t = { .arena = arena };

	for (size_t i = 0; i < kind.len; i++)
		text_addf(&t, "%c", kind.ptr[i] >= 'A' && kind.ptr[i] <= 'Z' ? kind.ptr[i] + 32 : kind.ptr[i]);
	if (name.len) {
		text_add(&t, SPAN("/"));
		text_add(&t, name);
	}
	return cell_text(text_span(&t));
}

static struct value cell_source(const struct value *o, struct arena *arena)
{
	const struct value *source = get(o, "source") ? get(o, "source") : get(o, "deprecatedSource");
	struct span component = get_text(source, "component"), host = get_text(source, "host");
	struct text t = { .arena = arena };

	if (!component.len)
		component = member(o, "reportingComponent", "reportingController");
	if (!host.len)
		host = get_text(o, "reportingInstance");
	text_add(&t, component);
	if (host.len) {
		text_add(&t, SPAN(", "));
		text_add(&t, host);
	}
	return cell_text(text_span(&t));
}

static void event_row(const struct value *o, int64_t now_ns, struct value *cells, struct arena *arena)
{
	struct span first = member(o, "firstTimestamp", "deprecatedFirstTimestamp"), path;
	struct span last = member(o, "lastTimestamp", "deprecatedLastTimestamp"), seen;
	const struct value *series = get(o, "series"),
			   *about = get(o, "involvedObject") ? get(o, "involvedObject") : get(o, "regarding");
	int64_t count = get_int(o, "count", get_int(o, "deprecatedCount", 0));

	if (!first.len)
		first = get_text(o, "eventTime");
	if (!last.len)
		last = first;
	seen = get_text(series, "lastObservedTime");
	if (series) {
		last = seen;
		count = get_int(series, "count", 0);
	}
	path = get_text(about, "fieldPath");
	cells[0] = cell_since(last, now_ns, arena);
	cells[1] = cell_text(get_text(o, "type"));
	cells[2] = cell_text(get_text(o, "reason"));
	cells[3] = cell_object(o, arena);
	cells[4] = cell_text(path);
	cells[5] = cell_source(o, arena);
	cells[6] = cell_text(span_trim(member(o, "message", "note")));
	cells[7] = cell_since(first, now_ns, arena);
	cells[8] = value_int(count ? count : 1);
	cells[9] = cell_name(o);
}

static const struct column event_columns[] = {
	COLUMN("Last Seen", "string", "When it happened last."),
	COLUMN("Type", "string", "Normal or Warning."),
	COLUMN("Reason", "string", "What happened, in a word."),
	COLUMN("Object", "string", "What it happened to."),
	WIDE("Subobject", "string", "Which part of that."),
	WIDE("Source", "string", "Who tells."),
	COLUMN("Message", "string", "What happened."),
	WIDE("First Seen", "string", "When it happened first."),
	WIDE("Count", "string", "How often it happened."),
	{ "Name", "string", "name", "Name of the event itself.", 1 },
	{ 0 },
};
static const char *const event_short[] = { "ev", NULL };

static const struct selectable core_fields[] = {
	{ "involvedObject.kind", NULL, NULL },
	{ "involvedObject.namespace", NULL, NULL },
	{ "involvedObject.name", NULL, NULL },
	{ "involvedObject.uid", NULL, NULL },
	{ "involvedObject.apiVersion", NULL, NULL },
	{ "involvedObject.resourceVersion", NULL, NULL },
	{ "involvedObject.fieldPath", NULL, NULL },
	{ "reason", NULL, NULL },
	{ "reportingComponent", NULL, NULL },
	{ "source", "source.component", NULL },
	{ "type", NULL, NULL },
	{ 0 },
};
static const struct selectable new_fields[] = {
	{ "regarding.kind", NULL, NULL },
	{ "regarding.namespace", NULL, NULL },
	{ "regarding.name", NULL, NULL },
	{ "regarding.uid", NULL, NULL },
	{ "regarding.apiVersion", NULL, NULL },
	{ "regarding.resourceVersion", NULL, NULL },
	{ "regarding.fieldPath", NULL, NULL },
	{ "reason", NULL, NULL },
	{ "reportingController", NULL, NULL },
	{ "type", NULL, NULL },
	{ 0 },
};

const struct kind kind_event = {
	.group = "",
	.version = "v1",
	.plural = "events",
	.singular = "event",
	.kind = "Event",
	.short_names = event_short,
	.is_namespaced = true,
	.verbs = KUBE_ALL_VERBS,
	.type_name = "io.k8s.api.core.v1.Event",
	.selectable = core_fields,
	.columns = event_columns,
	.defaults = shape,
	.prepare = shape,
	.validate = core_event_validate,
	.row = event_row,
};

const struct kind kind_new_event = {
	.group = "events.k8s.io",
	.version = "v1",
	.plural = "events",
	.singular = "event",
	.kind = "Event",
	.short_names = event_short,
	.is_namespaced = true,
	.verbs = KUBE_ALL_VERBS,
	.type_name = "io.k8s.api.events.v1.Event",
	.selectable = new_fields,
	.columns = event_columns,
	.stored_as = &kind_event,
	.to_stored = to_core,
	.from_stored = from_core,
	.defaults = shape,
	.prepare = shape,
	.validate = new_event_validate,
	.row = event_row,
};
