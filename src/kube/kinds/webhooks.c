/* SPDX-License-Identifier: Apache-2.0 */
/* webhooks - MutatingWebhookConfiguration and ValidatingWebhookConfiguration of admissionregistration.k8s.io/v1. Calling them is
 * admission's. */
#include "kube/kinds/kinds.h"

static bool is_mutating(const struct change *c)
{
	return c->kind->kind[0] == 'M';
}

static void hook_defaults(struct change *c, struct value *hook)
{
	struct value *rules, *service = get(get(hook, "clientConfig"), "service");

	default_int(c, service, "port", 443);
	default_text(c, hook, "failurePolicy", "Fail");
	default_text(c, hook, "matchPolicy", "Equivalent");
	(void)ensure(c, hook, "namespaceSelector");
	(void)ensure(c, hook, "objectSelector");
	default_int(c, hook, "timeoutSeconds", 10);
	if (is_mutating(c))
		default_text(c, hook, "reinvocationPolicy", "Never");
	rules = get(hook, "rules");
	for (uint32_t i = 0; i < count_of(rules); i++)
		default_text(c, value_item(rules, i), "scope", "*");
}

static void configuration_defaults(struct change *c)
{
	struct value *hooks;

	shape(c);
	hooks = get(c->object, "webhooks");
	for (uint32_t i = 0; i < count_of(hooks); i++)
		hook_defaults(c, value_item(hooks, i));
}

/* ---- checks ---- */

/* "a.b.c": three parts at least. */
static void check_full_name(struct change *c, const struct at *at, struct span name)
{
	const char *wrong = name_check_subdomain(name);
	unsigned dots = 0;

	for (size_t i = 0; i < name.len; i++)
		dots += name.ptr[i] == '.' ? 1 : 0;
	if (name.len == 0)
		fault_required(c, at, "");
	else if (wrong)
		fault_invalid_text(c, at, name, wrong);
	else if (dots < 2)
		fault_invalid_text(c, at, name, "should be a domain with at least three segments separated by dots");
}

static void check_star(struct change *c, const struct at *at, const struct value *list, const char *detail)
{
	for (uint32_t i = 0; count_of(list) > 1 && i < count_of(list); i++) {
		if (is_text(value_item(list, i), "*")) {
			fault_invalid(c, at, list, detail);
			return;
		}
	}
}

static void check_rule_resources(struct change *c, const struct at *at, const struct value *list)
{
	bool has_all = false, has_plain = false;

	if (!count_of(list))
		fault_required(c, at, "");
	for (uint32_t i = 0; i < count_of(list); i++) {
		struct span s = text_of(value_item(list, i));

		if (s.len == 0)
			fault_required(c, AT_INDEX(at, i), "");
		if (span_equal(s, SPAN("*/*")) && count_of(list) > 1)
			fault_invalid(c, at, list, "if '*/*' is present, must not specify other resources");
		has_all = has_all || span_equal(s, SPAN("*"));
		has_plain = has_plain || (s.len && !span_equal(s, SPAN("*")) && span_index(s, '/') == s.len);
	}
	if (has_all && has_plain)
		fault_invalid(c, at, list, "if '*' is present, must not specify other resources without subresources");
}

static void check_rule(struct change *c, const struct at *at, const struct value *rule)
{
	static const char *const operations[] = { "*", "CONNECT", "CREATE", "DELETE", "UPDATE", NULL };
	static const char *const scopes[] = { "*", "Cluster", "Namespaced", NULL };
	const struct value *list = get(rule, "operations");

	if (!count_of(list))
		fault_required(c, AT(at, "operations"), "");
	for (uint32_t i = 0; count_of(list) > 1 && i < count_of(list); i++) {
		if (!is_text(value_item(list, i), "*"))
			continue;
		fault_typed_strings(c, AT(at, "operations"), "[]admissionregistration.OperationType", list,
				    "if '*' is present, must not specify other operations");
		break;
	}
	for (uint32_t i = 0; i < count_of(list); i++) {
		if (!text_is_one_of(text_of(value_item(list, i)), operations))
			fault_not_supported(c, AT_INDEX(AT(at, "operations"), i), value_item(list, i), operations);
	}
	if (!count_of(get(rule, "apiGroups")))
		fault_required(c, AT(at, "apiGroups"), "");
	check_star(c, AT(at, "apiGroups"), get(rule, "apiGroups"),
		   "if '*' is present, must not specify other API groups");
	if (!count_of(get(rule, "apiVersions")))
		fault_required(c, AT(at, "apiVersions"), "");
	check_star(c, AT(at, "apiVersions"), get(rule, "apiVersions"),
		   "if '*' is present, must not specify other API versions");
	check_rule_resources(c, AT(at, "resources"), get(rule, "resources"));
	check_one_of_or_absent(c, AT(at, "scope"), get(rule, "scope"), scopes);
}

void check_hook_url(struct change *c, const struct at *at, struct span url)
{
	size_t colon = span_index(url, ':'), end, user;
	struct span scheme = colon < url.len ? span_first(url, colon) : SPAN(""), host = SPAN("");
	bool has_host = colon + 3 <= url.len && span_starts(span_skip(url, colon), SPAN("://"));

	if (has_host) {
		host = span_skip(url, colon + 3);
		end = MIN(span_index(host, '/'), MIN(span_index(host, '?'), span_index(host, '#')));
		host = span_first(host, end);
	}
	if (!span_equal(scheme, SPAN("https")))
		fault_invalid_text(c, at, scheme,
				   "'https' is the only allowed URL scheme; desired format: https://host[/path]");
	user = span_index(host, '@');
	if (user < host.len)
		host = span_skip(host, user + 1);
	if (host.len == 0)
		fault_invalid_text(c, at, host, "host must be specified; desired format: https://host[/path]");
	if (has_host && user < span_index(span_skip(url, colon + 3), '/'))
		fault_invalid_text(c, at, span_first(span_skip(url, colon + 3), user),
				   "user information is not permitted in the URL");
	if (span_index(url, '#') < url.len)
		fault_invalid_text(c, at, span_skip(url, span_index(url, '#') + 1),
				   "fragments are not permitted in the URL");
	if (span_index(url, '?') < span_index(url, '#'))
		fault_invalid_text(c, at, span_skip(span_first(url, span_index(url, '#')), span_index(url, '?') + 1),
				   "query parameters are not permitted in the URL");
}

static void check_path(struct change *c, const struct at *at, const struct value *v)
{
	struct span path = text_of(v), rest;
	const char *wrong;

	if (!path.len || span_equal(path, SPAN("/")))
		return;
	if (span_equal(path, SPAN("//"))) {
		fault_invalid(c, at, v, "segment[0] may not be empty");
		return;
	}
	if (path.ptr[0] != '/')
		fault_invalid(c, at, v, "must start with a '/'");
	rest = span_skip(path, 1);
	if (rest.len && rest.ptr[rest.len - 1] == '/')
		rest.len--;
	for (unsigned i = 0; i == 0 || rest.ptr; i++) {
		bool is_last = span_index(rest, '/') == rest.len;
		struct span step = span_first(rest, span_index(rest, '/'));

		wrong = step.len ? name_check_subdomain(step) : NULL;
		if (!step.len)
			fault_invalid(c, at, v, detail_print(c, "segment[%u] may not be empty", i));
		else if (wrong)
			fault_invalid(c, at, v, detail_print(c, "segment[%u]: %s", i, wrong));
		if (is_last)
			return;
		rest = span_skip(rest, step.len + 1);
	}
}

void check_hook_service(struct change *c, const struct at *at, const struct value *service)
{
	const struct value *port = get(service, "port");

	if (get_text(service, "name").len == 0)
		fault_required(c, AT(at, "name"), "service name is required");
	if (get_text(service, "namespace").len == 0)
		fault_required(c, AT(at, "namespace"), "service namespace is required");
	if (value_is(port, VALUE_INT) && (port->integer < 1 || port->integer > 65535))
		fault_invalid(c, AT(at, "port"), port, "port is not valid: must be between 1 and 65535, inclusive");
	check_path(c, AT(at, "path"), get(service, "path"));
}

static void check_client(struct change *c, const struct at *at, const struct value *config)
{
	const struct value *service = get(config, "service"), *url = get(config, "url");

	if ((url != NULL) == (service != NULL)) {
		fault_required(c, at, "exactly one of url or service is required");
		return;
	}
	if (url) {
		check_hook_url(c, AT(at, "url"), text_of(url));
		return;
	}
	check_hook_service(c, AT(at, "service"), service);
}

static void check_versions(struct change *c, const struct at *at, const struct value *list)
{
	bool has_known = false;

	if (!count_of(list)) {
		fault_required(c, at, "must specify one of v1, v1beta1");
		return;
	}
	for (uint32_t i = 0; i < count_of(list); i++) {
		check_name(c, AT_INDEX(at, i), value_item(list, i), name_check_1035);
		has_known = has_known || is_text(value_item(list, i), "v1") || is_text(value_item(list, i), "v1beta1");
	}
	if (!has_known)
		fault_invalid(c, at, list, "must include at least one of v1, v1beta1");
}

static void check_hook(struct change *c, const struct at *at, const struct value *hook)
{
	static const char *const failures[] = { "Fail", "Ignore", NULL },
				 *const matches[] = { "Equivalent", "Exact", NULL },
				 *const effects[] = { "None", "NoneOnDryRun", NULL },
				 *const again[] = { "IfNeeded", "Never", NULL };
	const struct value *rules = get(hook, "rules"), *timeout = get(hook, "timeoutSeconds");

	check_full_name(c, AT(at, "name"), get_text(hook, "name"));
	for (uint32_t i = 0; i < count_of(rules); i++)
		check_rule(c, AT_INDEX(AT(at, "rules"), i), value_item(rules, i));
	check_one_of_or_absent(c, AT(at, "failurePolicy"), get(hook, "failurePolicy"), failures);
	check_one_of_or_absent(c, AT(at, "matchPolicy"), get(hook, "matchPolicy"), matches);
	if (!get(hook, "sideEffects"))
		fault_required(c, AT(at, "sideEffects"), "must specify one of None, NoneOnDryRun");
	check_one_of_or_absent(c, AT(at, "sideEffects"), get(hook, "sideEffects"), effects);
	if (value_is(timeout, VALUE_INT) && (timeout->integer < 1 || timeout->integer > 30))
		fault_invalid(c, AT(at, "timeoutSeconds"), timeout,
			      "the timeout value must be between 1 and 30 seconds");
	check_selector(c, AT(at, "namespaceSelector"), get(hook, "namespaceSelector"));
	check_selector(c, AT(at, "objectSelector"), get(hook, "objectSelector"));
	if (is_mutating(c))
		check_one_of_or_absent(c, AT(at, "reinvocationPolicy"), get(hook, "reinvocationPolicy"), again);
	check_client(c, AT(at, "clientConfig"), get(hook, "clientConfig"));
	check_versions(c, AT(at, "admissionReviewVersions"), get(hook, "admissionReviewVersions"));
}

static void configuration_validate(struct change *c)
{
	const struct value *hooks = get(c->object, "webhooks");

	check_metadata(c, name_check_subdomain);
	for (uint32_t i = 0; i < count_of(hooks); i++) {
		const struct value *name = get(value_item(hooks, i), "name");
		const struct at *at = AT_INDEX(AT(NULL, "webhooks"), i);

		check_hook(c, at, value_item(hooks, i));
		for (uint32_t k = 0; text_of(name).len && k < i; k++) {
			if (is_same(get(value_item(hooks, k), "name"), name)) {
				fault_duplicate(c, AT(at, "name"), name);
				break;
			}
		}
	}
}

static bool configuration_raises(const struct value *old, const struct value *object)
{
	return !is_same(get(old, "webhooks"), get(object, "webhooks"));
}

static void configuration_row(const struct value *o, int64_t now_ns, struct value *cells, struct arena *arena)
{
	cells[0] = cell_name(o);
	cells[1] = value_int(count_of(get(o, "webhooks")));
	cells[2] = cell_age(o, now_ns, arena);
}

static const struct column configuration_columns[] = {
	COLUMN_NAME,
	COLUMN("Webhooks", "integer", "How many it has."),
	COLUMN_AGE,
	{ 0 },
};

#define ROW(name, k, p, s)                                                                                             \
	const struct kind name = {                                                                                     \
		.group = "admissionregistration.k8s.io",                                                               \
		.version = "v1",                                                                                       \
		.plural = p,                                                                                           \
		.singular = s,                                                                                         \
		.kind = k,                                                                                             \
		.has_generation = true,                                                                                \
		.verbs = KUBE_ALL_VERBS,                                                                               \
		.categories = categories,                                                                              \
		.type_name = "io.k8s.api.admissionregistration.v1." k,                                                 \
		.columns = configuration_columns,                                                                      \
		.defaults = configuration_defaults,                                                                    \
		.prepare = shape,                                                                                      \
		.validate = configuration_validate,                                                                    \
		.raises_generation = configuration_raises,                                                             \
		.row = configuration_row,                                                                              \
	}

static const char *const categories[] = { "api-extensions", NULL };

ROW(kind_mutating_webhooks, "MutatingWebhookConfiguration", "mutatingwebhookconfigurations",
    "mutatingwebhookconfiguration");
ROW(kind_validating_webhooks, "ValidatingWebhookConfiguration", "validatingwebhookconfigurations",
    "validatingwebhookconfiguration");
