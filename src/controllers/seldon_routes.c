/* SPDX-License-Identifier: Apache-2.0 */
/*
 * seldon_routes - how requests come to predictors: an HTTPRoute and a GRPCRoute of the object's name, to the entries of its predictors by
 * their traffic; a shadow is told the same requests.
 *
 * The paths and headers are those of the operator's routes for Istio; annotations seldon.io/ambassador-header and -regex-header those for
 * Ambassador: a predictor with one gets the requests that have the header, and no others.
 *
 * A change that would lead requests to a predictor that never had any, and is not ready, waits until it is.
 */
#include "controllers/seldon.h"

#define HEADER       "seldon.io/ambassador-header"
#define HEADER_REGEX "seldon.io/ambassador-regex-header"

/* What differs between the two routes. */
struct routing {
	struct seldon *s;
	const struct resource *resource;
	bool is_grpc;
	struct value *rules;
};

static struct value backend(struct routing *x, const struct seldon_predictor *p)
{
	return serving_made(x->s->r, "{'group':'','kind':'Service','name':'%.*s','port':%lld}", SPAN_WHOLE(p->service),
			    (long long)(x->is_grpc ? p->grpc_port : p->http_port));
}

static struct value weighted(struct routing *x, const struct seldon_predictor *p, int64_t weight)
{
	struct value v = backend(x, p);

	put(x->s->r, &v, "weight", value_int(weight));
	return v;
}

/* "key: value"; empty: it has none. */
static struct span header_of(const struct seldon_predictor *p, bool *ret_is_regex)
{
	struct span text = seldon_annotation(p->written, HEADER);

	*ret_is_regex = !text.len;
	return text.len ? text : seldon_annotation(p->written, HEADER_REGEX);
}

static bool has_header(const struct seldon_predictor *p)
{
	bool is_regex;
	struct span text = header_of(p, &is_regex);

	return span_index(text, ':') < text.len;
}

static void header_put(struct routing *x, struct value *headers, const char *type, struct span name, struct span value)
{
	struct value one = value_object();

	put(x->s->r, &one, "type", value_string(span_of(type)));
	put(x->s->r, &one, "name", value_string(name));
	put(x->s->r, &one, "value", value_string(value));
	put_item(x->s->r, headers, one);
}

static struct value match_of(struct routing *x, const struct seldon_predictor *p)
{
	struct reconcile *r = x->s->r;
	struct value match = value_object(), headers = value_array();
	struct span name, rest;
	bool is_regex;

	if (x->is_grpc) {
		header_put(x, &headers, "Exact", SPAN("seldon"), r->name);
		header_put(x, &headers, "Exact", SPAN("namespace"), r->name_space);
	} else {
		put(r, &match, "path",
		    serving_made(r, "{'type':'PathPrefix','value':'/seldon/%.*s/%.*s'}", SPAN_WHOLE(r->name_space),
				 SPAN_WHOLE(r->name)));
	}
	if (p) {
		rest = header_of(p, &is_regex);
		name = span_cut(&rest, ':');
		header_put(x, &headers, is_regex ? "RegularExpression" : "Exact", span_trim(name), span_trim(rest));
	}
	if (count_of(&headers))
		put(r, &match, "headers", headers);
	return match;
}

static void filters_put(struct routing *x, struct value *rule)
{
	struct reconcile *r = x->s->r;
	struct value filters = value_array(), mirror, filter;

	if (!x->is_grpc)
		put_item(r, &filters, serving_rewrite(r));
	for (uint32_t i = 0; i < x->s->count; i++) {
		const struct seldon_predictor *p = &x->s->predictors[i];

		if (!p->is_shadow)
			continue;
		mirror = value_object();
		put(r, &mirror, "backendRef", backend(x, p));
		if (p->traffic > 0 && p->traffic < 100)
			put(r, &mirror, "percent", value_int(p->traffic));
		filter = serving_made(r, "{'type':'RequestMirror'}");
		put(r, &filter, "requestMirror", mirror);
		put_item(r, &filters, filter);
	}
	if (count_of(&filters))
		put(r, rule, "filters", filters);
}

/* "3s" of "3000"; empty: not said, or no number. */
static struct span timeout_of(struct routing *x)
{
	struct span text =
	    seldon_annotation_of_all(x->s->object, x->is_grpc ? "seldon.io/grpc-timeout" : "seldon.io/rest-timeout");

	for (size_t i = 0; i < text.len; i++)
		if (text.ptr[i] < '0' || text.ptr[i] > '9')
			return (struct span){ 0 };
	/* Durations of Gateway API have five digits at most. */
	if (!text.len || text.len > 8)
		return (struct span){ 0 };
	if (text.len <= 5)
		return text_print(x->s->r, SPAN_FMT "ms", SPAN_WHOLE(text)).string;
	return text_print(x->s->r, SPAN_FMT "s", SPAN_WHOLE(span_first(text, text.len - 3))).string;
}

static void rule_add(struct routing *x, const struct seldon_predictor *header, struct value backends)
{
	struct reconcile *r = x->s->r;
	struct value rule = value_object(), matches = value_array(), timeouts = value_object();
	struct span timeout = timeout_of(x);

	put_item(r, &matches, match_of(x, header));
	put(r, &rule, "matches", matches);
	filters_put(x, &rule);
	put(r, &rule, "backendRefs", backends);
	/* GRPCRoutes have no time limits: the orchestrator knows of it. */
	if (timeout.len && !x->is_grpc) {
		put(r, &timeouts, "request", value_string(timeout));
		put(r, &rule, "timeouts", timeouts);
	}
	put_item(r, x->rules, rule);
}

static void rules_make(struct routing *x)
{
	struct seldon *s = x->s;
	struct value all = value_array(), one;
	uint32_t plain = 0;

	for (uint32_t i = 0; i < s->count; i++)
		plain += !s->predictors[i].is_shadow && !has_header(&s->predictors[i]);
	for (uint32_t i = 0; i < s->count; i++) {
		const struct seldon_predictor *p = &s->predictors[i];

		if (p->is_shadow)
			continue;
		if (has_header(p)) {
			one = value_array();
			put_item(s->r, &one, weighted(x, p, 1));
			rule_add(x, p, one);
		} else {
			put_item(s->r, &all, weighted(x, p, plain == 1 ? 100 : p->traffic));
		}
	}
	if (count_of(&all))
		rule_add(x, NULL, all);
}

/* ---- what is there ---- */

static bool leads_to(const struct value *route, struct span service)
{
	const struct value *rules = value_find(route, "spec.rules");

	for (uint32_t i = 0; i < count_of(rules); i++) {
		const struct value *backends = get(value_item(rules, i), "backendRefs");

		for (uint32_t j = 0; j < count_of(backends); j++)
			if (span_equal(get_text(value_item(backends, j), "name"), service) &&
			    get_int(value_item(backends, j), "weight", 1) > 0)
				return true;
	}
	return false;
}

/* Would somebody get requests who cannot answer, and had none so far? */
static bool must_wait(const struct seldon *s, const struct wanted_one *one)
{
	for (uint32_t i = 0; one->there && i < s->count; i++) {
		const struct seldon_predictor *p = &s->predictors[i];

		if (!p->is_ready && !p->is_shadow && leads_to(one->object, p->service) &&
		    !leads_to(one->there, p->service))
			return true;
	}
	return false;
}

static struct value *route_make(struct routing *x)
{
	struct reconcile *r = x->s->r;
	struct value rules = value_array(), *object;

	x->rules = &rules;
	rules_make(x);
	x->rules = NULL;
	object = serving_route(r, x->resource, r->name, (struct span){ 0 }, rules);
	if (object)
		put(r, put_object(r, object, "metadata"), "labels",
		    serving_made(r, "{'" SELDON_LABEL_ID "':'%.*s','app.kubernetes.io/managed-by':'seldon-core'}",
				 SPAN_WHOLE(x->s->id)));
	return object;
}

bool seldon_make_routes(struct seldon *s)
{
	const struct resource *const resources[] = { &resource_http_routes, &resource_grpc_routes };
	bool is_same = true;

	for (size_t i = 0; i < ARRAY_LEN(resources) && !s->r->err->code; i++) {
		struct routing x = { .s = s, .resource = resources[i], .is_grpc = i == 1 };
		struct value *object = route_make(&x);
		struct wanted_one *one = object ? wanted_add(&s->wanted, resources[i], object) : NULL;

		if (!one)
			return false;
		if (must_wait(s, one))
			is_same = false;
		else
			is_same &= wanted_bring(&s->wanted, one);
	}
	return is_same && !s->r->err->code;
}
