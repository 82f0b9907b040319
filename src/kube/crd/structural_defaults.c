/* SPDX-License-Identifier: Apache-2.0 */
/* structural_defaults - whether the defaults of a schema fit it: no member that would be pruned, no value that would be refused. */
#include "kube/crd/checks.h"
#include "kube/crd/structural_private.h"
#include "kube/kinds/kinds.h"

struct unknown {
	bool any;
};

static void tell(void *context, struct span path)
{
	struct unknown *u = context;

	(void)path;
	u->any = true;
}

/* A cause found elsewhere, at its place in the definition. */
static void cause_put(struct change *c, const char *reason, struct span field, struct span message)
{
	struct cause *cause;

	c->cause_count++;
	if (c->cause_count > CAUSES_MAX)
		return;
	cause = ARENA_NEW(c->arena, struct cause, c->err);
	if (!cause)
		return;
	*cause = (struct cause){ .reason = reason, .field = field, .message = message };
	if (!c->causes_end)
		c->causes_end = &c->causes;
	*c->causes_end = cause;
	c->causes_end = &cause->next;
}

static void causes_put(struct change *c, struct span path, const struct cause *causes)
{
	for (const struct cause *one = causes; one; one = one->next) {
		bool is_here = !one->field.len || span_equal(one->field, SPAN("<nil>"));
		struct span field =
		    is_here ? path : path_print(c, SPAN_FMT "." SPAN_FMT, SPAN_ARG(path), SPAN_ARG(one->field));

		cause_put(c, one->reason, field, one->message);
	}
}

static void check_value(struct change *c, const struct at *at, const struct openapi_schema *s, bool is_inside_meta)
{
	const struct at *here = AT(at, "default");
	struct unknown unknown = { 0 };
	struct schema_report report = { .unknown = tell, .context = &unknown };
	struct change faults = { .kind = c->kind, .arena = c->arena, .err = c->err };
	struct span path = at_print(c, here);
	struct value copy = copy_of(c, s->otherwise);

	if (!is_inside_meta) {
		openapi_schema_prune_below(s, &copy, &report);
		if (unknown.any && s->otherwise->type == VALUE_OBJECT)
			fault_printed(c, here, map_print_go(c, s->otherwise), "must not have unknown fields");
		else if (unknown.any)
			fault_invalid(c, here, s->otherwise, "must not have unknown fields");
	}
	faults.causes_end = &faults.causes;
	openapi_schema_check_embedded(s, s->otherwise, &faults);
	if (faults.causes) {
		causes_put(c, path, faults.causes);
		return;
	}
	openapi_schema_validate(s, s->otherwise, NULL, SPAN(""), &faults);
	causes_put(c, path, faults.causes);
}

static bool is_meta(struct span name)
{
	return span_equal(name, SPAN("metadata")) || span_equal(name, SPAN("kind")) ||
	       span_equal(name, SPAN("apiVersion"));
}

/* Below a map there are none: a default of its values is never used. */
static void walk(struct change *c, const struct at *at, const struct openapi_schema *s, bool is_inside_meta,
		 bool is_root)
{
	bool is_object = is_root || s->is_embedded;

	if (!s->has_defaults)
		return;
	if (s->is_embedded)
		is_inside_meta = false;
	if (s->otherwise)
		check_value(c, at, s, is_inside_meta);
	if (s->items)
		walk(c, AT(at, "items"), s->items, is_inside_meta, false);
	for (size_t i = 0; i < s->property_count; i++) {
		const struct openapi_property *p = &s->properties[i];

		walk(c, AT_KEY(AT(at, "properties"), p->name), p->schema,
		     is_inside_meta || (is_object && is_meta(p->name)), false);
	}
}

void check_default_values(struct change *c, const struct at *at, const struct value *schema)
{
	struct change other = { .kind = c->kind, .arena = c->arena, .err = c->err };
	struct openapi_schema *s;

	/* One that cannot be compiled is told of by who compiles it last. */
	other.causes_end = &other.causes;
	s = openapi_schema_new(schema, SPAN(""), &other);
	if (!s)
		return;
	walk(c, at, s, false, true);
	openapi_schema_free(s);
}
