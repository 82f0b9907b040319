/* SPDX-License-Identifier: Apache-2.0 */
#include "controllers/serving.h"

#include <openssl/evp.h>
#include <stdarg.h>
#include <stdio.h>

enum { NAME_MOST = 63, WORDS_MOST = 1500, PODS_MOST = 4, EVENTS_MOST = 3, FOUND_MOST = 100 };

struct value serving_made(struct reconcile *r, const char *format, ...)
{
	char text[8192];
	struct value v = value_null();
	struct span copy;
	va_list args;
	int len;

	va_start(args, format);
	len = vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	ASSERT(len >= 0 && (size_t)len < sizeof(text));
	for (char *at = text; (at = strchr(at, '\'')); at++)
		*at = '"';
	copy = arena_copy(r->arena, span_from(text, (size_t)len), r->err);
	if (!r->err->code)
		(void)value_parse(copy, NULL, r->arena, &v, r->err);
	return v;
}

struct span serving_name(struct reconcile *r, struct span full)
{
	static const char digits[] = "0123456789abcdef";
	unsigned char sum[EVP_MAX_MD_SIZE];
	char text[2 * EVP_MAX_MD_SIZE];
	unsigned len = 0;

	if (full.len <= NAME_MOST)
		return full;
	if (EVP_Digest(full.ptr, full.len, sum, &len, EVP_md5(), NULL) != 1) {
		error_set(r->err, ERROR_INTERNAL, "MD5, which shortens names, cannot be computed here");
		return full;
	}
	for (size_t i = 0; i < len; i++) {
		text[2 * i] = digits[sum[i] >> 4];
		text[2 * i + 1] = digits[sum[i] & 15];
	}
	return text_print(r, "seldon-%.*s", (int)(2 * len), text).string;
}

/* ---- pods ---- */

void serving_words_keep(struct reconcile *r, struct value *container)
{
	if (!get(container, "terminationMessagePolicy"))
		put(r, container, "terminationMessagePolicy", value_string(SPAN("FallbackToLogsOnError")));
}

void serving_probe_put(struct reconcile *r, struct value *container, int64_t port)
{
	if (!get(container, "readinessProbe"))
		put(r, container, "readinessProbe",
		    serving_made(r,
				 "{'tcpSocket':{'port':%lld},'periodSeconds':1,'failureThreshold':3,'timeoutSeconds':1,"
				 "'successThreshold':1}",
				 (long long)port));
}

bool serving_is_ready(const struct value *deployment)
{
	const struct value *status = get(deployment, "status");
	int64_t replicas = value_find_int(deployment, "spec.replicas", 1);

	return deployment &&
	       get_int(status, "observedGeneration", 0) >= value_find_int(deployment, "metadata.generation", 0) &&
	       get_int(status, "updatedReplicas", 0) >= replicas &&
	       get_int(status, "availableReplicas", 0) >= replicas &&
	       get_int(status, "replicas", 0) == get_int(status, "updatedReplicas", 0);
}

/* ---- routes ---- */

struct value serving_rewrite(struct reconcile *r)
{
	return serving_made(r, "{'type':'URLRewrite','urlRewrite':{'path':{'type':'ReplacePrefixMatch',"
			       "'replacePrefixMatch':'/'}}}");
}

struct value *serving_route(struct reconcile *r, const struct resource *resource, struct span name, struct span host,
			    struct value rules)
{
	struct value *object = object_new(r, resource, name);
	struct value spec = serving_made(r, "{'parentRefs':[{'group':'gateway.networking.k8s.io','kind':'Gateway',"
					    "'name':'hythe','namespace':'kube-system'}]}");

	if (!object)
		return NULL;
	if (host.len)
		put_item(r, put_array(r, &spec, "hostnames"), value_string(host));
	put(r, &spec, "rules", rules);
	put(r, object, "spec", spec);
	return object;
}

void serving_wakes(struct manager *m, const struct controller *c, const struct resource *r, const struct value *object)
{
	(void)r;
	manager_wake_matching(m, c, object);
}

/* ---- why ---- */

struct telling {
	struct reconcile *r;
	struct buffer out;
};

static void words(struct telling *t, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void words(struct telling *t, const char *format, ...)
{
	char text[512];
	va_list args;

	va_start(args, format);
	(void)vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	if (t->out.len + strlen(text) + 2 > WORDS_MOST)
		return;
	if (t->out.len)
		buffer_append(&t->out, SPAN("; "));
	buffer_append(&t->out, span_of(text));
}

/* The last line of a log is what says most. */
static struct span shortened(struct span text)
{
	text = span_trim(text);
	return text.len > 300 ? span_skip(text, text.len - 300) : text;
}

static bool is_plain_wait(struct span reason)
{
	return !reason.len || span_equal(reason, SPAN("ContainerCreating")) ||
	       span_equal(reason, SPAN("PodInitializing"));
}

static void container_tell(struct telling *t, struct span pod, const struct value *status)
{
	const struct value *waiting = value_find(status, "state.waiting"),
			   *ended = value_find(status, "state.terminated");
	struct span name = get_text(status, "name"), message;

	if (!ended || get_int(ended, "exitCode", 0) == 0)
		ended = value_find(status, "lastState.terminated");
	if (waiting && !is_plain_wait(get_text(waiting, "reason"))) {
		message = shortened(get_text(waiting, "message"));
		words(t, "pod %.*s, container %.*s: %.*s%s%.*s", SPAN_WHOLE(pod), SPAN_WHOLE(name),
		      SPAN_WHOLE(get_text(waiting, "reason")), message.len ? ": " : "", SPAN_WHOLE(message));
	}
	if (ended && get_int(ended, "exitCode", 0) != 0) {
		message = shortened(get_text(ended, "message"));
		words(t, "pod %.*s, container %.*s ended with %lld%s%.*s", SPAN_WHOLE(pod), SPAN_WHOLE(name),
		      (long long)get_int(ended, "exitCode", 0), message.len ? ": " : "", SPAN_WHOLE(message));
	}
}

static void pod_tell(struct telling *t, const struct value *pod)
{
	static const char *const lists[] = { "status.initContainerStatuses", "status.containerStatuses" };
	struct span name = object_name(pod);
	const struct value *placed = condition_find(get(pod, "status"), "PodScheduled");

	if (is_text(get(placed, "status"), "False"))
		words(t, "pod %.*s: %.*s", SPAN_WHOLE(name), SPAN_WHOLE(shortened(get_text(placed, "message"))));
	if (is_text(value_find(pod, "status.phase"), "Failed"))
		words(t, "pod %.*s: %.*s %.*s", SPAN_WHOLE(name), SPAN_WHOLE(value_find_string(pod, "status.reason")),
		      SPAN_WHOLE(shortened(value_find_string(pod, "status.message"))));
	for (size_t i = 0; i < ARRAY_LEN(lists); i++) {
		const struct value *list = value_find(pod, lists[i]);

		for (uint32_t j = 0; j < count_of(list); j++)
			container_tell(t, name, value_item(list, j));
	}
}

/* Objects of a namespace whose text mentions a word: others are not read, there may be thousands. */
struct search {
	struct reconcile *r;
	const struct resource *resource;
	struct span word;
	struct value *found; /* an array */
	uint32_t most;
};

static bool search_each(void *context, struct record *record)
{
	struct search *x = context;
	struct value *object;

	if (!record_mentions(record, x->word))
		return true;
	object = cluster_object(x->r->cluster, x->resource, record, x->r->arena, x->r->err);
	if (object)
		put_item(x->r, x->found, *object);
	return !x->r->err->code && count_of(x->found) < x->most;
}

static struct value mentioning(struct reconcile *r, const struct resource *resource, struct span word, uint32_t most)
{
	struct value found = value_array();
	struct search x = { r, resource, word, &found, most };

	cluster_each(r->cluster, resource, r->name_space, search_each, &x);
	return found;
}

static void events_tell(struct telling *t, struct span pod)
{
	struct value events = mentioning(t->r, &resource_events, pod, FOUND_MOST);
	uint32_t told = 0;

	for (uint32_t i = count_of(&events); i-- > 0 && told < EVENTS_MOST;) {
		const struct value *e = value_item(&events, i);

		if (!is_text(get(e, "type"), "Warning") ||
		    !span_equal(value_find_string(e, "involvedObject.name"), pod))
			continue;
		words(t, "%.*s: %.*s", SPAN_WHOLE(get_text(e, "reason")),
		      SPAN_WHOLE(shortened(get_text(e, "message"))));
		told++;
	}
}

struct span serving_explain(struct reconcile *r, const char *label, struct span value)
{
	struct value pods = mentioning(r, &resource_pods, value, FOUND_MOST);
	struct telling t = { .r = r };
	struct span text;
	uint32_t told = 0;

	buffer_init(&t.out, KIB(8));
	for (uint32_t i = 0; i < count_of(&pods) && told < PODS_MOST; i++) {
		const struct value *pod = value_item(&pods, i);

		if (!span_equal(object_label(pod, label), value) || pod_is_ready(pod) || object_is_ending(pod))
			continue;
		pod_tell(&t, pod);
		events_tell(&t, object_name(pod));
		told++;
	}
	text = arena_copy(r->arena, buffer_span(&t.out), r->err);
	buffer_done(&t.out);
	return text;
}
