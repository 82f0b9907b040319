/* SPDX-License-Identifier: Apache-2.0 */
/* tolerations - DefaultTolerationSeconds: a pod stays for five minutes on a node that is not ready or cannot be reached. */
#include "kube/admission/plugins.h"

#include "kube/kinds/kinds.h"

enum { TOLERATION_SECONDS = 300 };

static bool tolerates(const struct value *list, const char *key)
{
	for (uint32_t i = 0; i < count_of(list); i++) {
		struct span named = get_text(value_item(list, i), "key"),
			    effect = get_text(value_item(list, i), "effect");

		if ((!named.len || span_equal(named, span_of(key))) &&
		    (!effect.len || span_equal(effect, SPAN("NoExecute"))))
			return true;
	}
	return false;
}

bool tolerations_admit(struct change *c, struct error *err)
{
	static const char *const keys[] = { "node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable" };
	struct value *spec, *list, *one;
	bool is_tolerated[ARRAY_LEN(keys)];

	if (!change_is_of(c, "", "pods") || c->subresource.len || c->verb == KUBE_DELETE)
		return true;
	spec = admission_spec(c, err);
	if (!spec)
		return false;
	for (size_t i = 0; i < ARRAY_LEN(keys); i++)
		is_tolerated[i] = tolerates(get(spec, "tolerations"), keys[i]);
	for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
		if (is_tolerated[i])
			continue;
		list = value_ensure_array(spec, SPAN("tolerations"), c->arena, err);
		one = list ? value_append(list, value_object(), c->arena, err) : NULL;
		if (!one || !value_set(one, SPAN("key"), value_string(span_of(keys[i])), c->arena, err) ||
		    !value_set(one, SPAN("operator"), value_string(SPAN("Exists")), c->arena, err) ||
		    !value_set(one, SPAN("effect"), value_string(SPAN("NoExecute")), c->arena, err) ||
		    !value_set(one, SPAN("tolerationSeconds"), value_int(TOLERATION_SECONDS), c->arena, err))
			return false;
	}
	return true;
}
