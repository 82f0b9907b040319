/* SPDX-License-Identifier: Apache-2.0 */
#include "kube/crd/rules.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

/* A schema, as definitions bring it: compiled with its rules, and run over the text itself as an object. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static const struct kind kind = { .group = "g", .version = "v1", .plural = "things", .kind = "Thing" };
	struct arena arena;
	struct error err = { 0 };
	struct value schema;
	struct change c = { .kind = &kind, .arena = &arena, .err = &err };
	struct openapi_schema *s;

	arena_init(&arena, MIB(64));
	c.causes_end = &c.causes;
	if (value_parse(span_from(data, len), NULL, &arena, &schema, &err) && value_is(&schema, VALUE_OBJECT)) {
		s = openapi_schema_new(&schema, SPAN("schema"), &c);
		if (s) {
			rules_check(s, SPAN("schema"), &c);
			openapi_schema_validate(s, &schema, &schema, SPAN(""), &c);
			if (openapi_schema_has_rules(s))
				rules_run(openapi_schema_rules(s), &schema, &schema, true, &c);
		}
		openapi_schema_free(s);
	}
	arena_done(&arena);
	return 0;
}
