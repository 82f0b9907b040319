/* SPDX-License-Identifier: Apache-2.0 */
/* compile - what is followed, and when a plan is made of it. */
#include <arpa/inet.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/number.h"
#include "gateway/compile_private.h"

#define GATHER_NS      (2 * NS_PER_MS) /* changes of a moment make one plan */
#define KINDS_AGAIN_NS (2 * NS_PER_S)  /* definitions that are not served are looked for again */
#define ITEM_MOST      MIB(64)
#define SCRATCH_MOST   MIB(512)
enum { PASS_SHARE = 4 }; /* a pass is followed by so many times its own work without one */

/* ---- items ---- */

void item_ref(struct item *i)
{
	atomic_fetch_add_explicit(&i->references, 1, memory_order_relaxed);
}

void item_unref(void *item)
{
	struct item *i = item;

	if (atomic_fetch_sub_explicit(&i->references, 1, memory_order_acq_rel) != 1)
		return;
	for (struct held_regex *r = i->regexes; r; r = r->next)
		plan_regex_free(r->regex);
	arena_done(&i->arena);
	free(i);
}

struct span key_of(struct span name_space, struct span name, struct arena *arena, struct error *err)
{
	return arena_print(arena, err, SPAN_FMT "/" SPAN_FMT, SPAN_WHOLE(name_space), SPAN_WHOLE(name));
}

static struct item **items_place(const struct items *list, struct span key, uint64_t hash)
{
	struct item **at = &list->slots[hash & list->mask];

	while (*at && ((*at)->hash != hash || !span_equal((*at)->key, key)))
		at = &(*at)->next;
	return at;
}

static void items_grow(struct items *list)
{
	uint32_t size = list->slots ? (list->mask + 1) * 2 : 64;
	struct item **slots = base_calloc(size, sizeof(*slots));

	for (uint32_t s = 0; list->slots && s <= list->mask; s++) {
		while (list->slots[s]) {
			struct item *i = list->slots[s];
			struct item **to = &slots[i->hash & (size - 1)];

			list->slots[s] = i->next;
			i->next = *to;
			*to = i;
		}
	}
	free(list->slots);
	list->slots = slots;
	list->mask = size - 1;
}

/* `i` NULL: what has that key goes. Takes the reference. */
static void items_set(struct items *list, struct span key, struct item *i)
{
	uint64_t hash = span_hash(key);
	struct item **at, *old;

	if (!list->slots || (i && list->count > list->mask))
		items_grow(list);
	at = items_place(list, key, hash);
	old = *at;
	if (i) {
		i->hash = hash;
		i->next = old ? old->next : NULL;
		*at = i;
		list->count += !old;
	} else if (old) {
		*at = old->next;
		list->count--;
	}
	if (old)
		item_unref(old);
}

struct item *item_find(const struct compile *c, enum kinds kind, struct span key)
{
	const struct items *list = &c->followings[kind].items;

	return list->slots ? *items_place(list, key, span_hash(key)) : NULL;
}

static void items_free(struct items *list)
{
	for (uint32_t s = 0; list->slots && s <= list->mask; s++) {
		while (list->slots[s]) {
			struct item *i = list->slots[s];

			list->slots[s] = i->next;
			item_unref(i);
		}
	}
	free(list->slots);
}

bool address_read(struct span text, int port, struct sockaddr_storage *ret)
{
	struct sockaddr_in *in = (void *)ret;
	char buffer[INET_ADDRSTRLEN];

	*ret = (struct sockaddr_storage){ .ss_family = AF_INET };
	in->sin_port = htons((uint16_t)port);
	if (!text.len || text.len >= sizeof(buffer))
		return false;
	memcpy(buffer, text.ptr, text.len);
	buffer[text.len] = '\0';
	return inet_pton(AF_INET, buffer, &in->sin_addr) == 1;
}

/* ---- seeing ---- */

/* NULL: it cannot be read; told. */
static struct item *item_read(struct following *f, const struct sighting *s)
{
	struct compile *c = f->compile;
	struct item *i = base_calloc(1, sizeof(*i));
	struct error err = { 0 };
	int64_t made;

	atomic_init(&i->references, 1);
	arena_init(&i->arena, ITEM_MOST);
	i->resource = f->resource;
	i->object = cluster_object(c->config.cluster, f->resource, s->now, &i->arena, &err);
	i->name_space = arena_copy(&i->arena, s->name_space, &err);
	i->name = arena_copy(&i->arena, s->name, &err);
	i->key = key_of(i->name_space, i->name, &i->arena, &err);
	i->uid = value_find_string(i->object, "metadata.uid");
	i->version = value_find_string(i->object, "metadata.resourceVersion");
	i->generation = value_find_int(i->object, "metadata.generation", 0);
	if (clock_parse_rfc3339(value_find_string(i->object, "metadata.creationTimestamp"), &made))
		i->made_ns = made * NS_PER_S;
	if (!err.code && (!f->read || f->read(c, i, &err)))
		return i;
	log_error("gateway", "an object cannot be read", LOG_TEXT("kind", f->resource->kind),
		  LOG_SPAN("namespace", s->name_space), LOG_SPAN("name", s->name), LOG_TEXT("error", err.message));
	item_unref(i);
	return NULL;
}

static void seen(void *context, const struct sighting *s)
{
	struct following *f = context;
	struct item *i = s->now && (!f->is_wanted || f->is_wanted(s->now)) ? item_read(f, s) : NULL;
	struct error ignored = { 0 };
	struct arena arena;
	struct span key;

	arena_init(&arena, KIB(64));
	key = key_of(s->name_space, s->name, &arena, &ignored);
	if (i || item_find(f->compile, f->kind, key)) {
		items_set(&f->items, key, i);
		compile_wake(f->compile);
	}
	arena_done(&arena);
}

/* ---- a pass ---- */

static void plan_make(struct compile *c, struct plan_builder *b, struct error *err)
{
	struct pass p = { .compile = c, .builder = b, .arena = plan_builder_arena(b), .err = err };
	struct plan *plan;

	arena_init(&p.scratch, SCRATCH_MOST);
	services_add(&p);
	pods_add(&p);
	tables_add(&p);
	ingresses_add(&p);
	routes_add(&p);
	tables_end(&p);
	if (err->code)
		plan_discard(b);
	plan = err->code ? NULL : plan_finish(b, c->number + 1, err);
	if (plan) {
		c->number++;
		gateway_publish(c->config.gateway, plan);
		plan_unref(c->plan);
		c->plan = plan;
		bounds_prune(c);
		gateways_tell(&p);
		ingresses_tell(c);
		services_tell(c);
	}
	arena_done(&p.scratch);
}

static void pass(struct timer *t)
{
	struct compile *c = CONTAINER_OF(t, struct compile, timer);
	int64_t began = clock_thread_ns(); /* what the machine does for others meanwhile puts nothing off */
	struct error err = { 0 };

	plan_make(c, plan_begin(), &err);
	if (err.code && strcmp(err.message, c->failed.message) != 0)
		log_error("gateway", "changes are not taken up", LOG_TEXT("error", err.message));
	c->failed = err;
	c->passes++;
	c->pass_ns = clock_thread_ns() - began;
	c->next_ns = clock_monotonic_ns() + c->pass_ns * PASS_SHARE;
}

void compile_wake(struct compile *c)
{
	if (c->is_stopped || timer_is_set(&c->timer))
		return;
	loop_timer_set(c->config.loop, &c->timer, MAX(loop_now(c->config.loop) + GATHER_NS, c->next_ns), pass);
}

/* ---- life ---- */

static bool is_tls_secret(const struct record *r)
{
	return record_mentions(r, SPAN("\"kubernetes.io/tls\""));
}

static const struct {
	const struct resource *resource;
	bool (*read)(struct compile *c, struct item *i, struct error *err);
	bool (*is_wanted)(const struct record *r);
	bool is_custom; /* may come later, or never */
} rows[KINDS] = {
	[SERVICES] = { &resource_services, service_read, NULL, false },
	[SLICES] = { &resource_endpoint_slices, slice_read, NULL, false },
	[INGRESSES] = { &resource_ingresses, ingress_read, NULL, false },
	[INGRESS_CLASSES] = { &resource_ingress_classes, NULL, NULL, false },
	[GATEWAY_CLASSES] = { &resource_gateway_classes, NULL, NULL, true },
	[GATEWAYS] = { &resource_gateways, NULL, NULL, true },
	[HTTP_ROUTES] = { &resource_http_routes, http_route_read, NULL, true },
	[GRPC_ROUTES] = { &resource_grpc_routes, grpc_route_read, NULL, true },
	[GRANTS] = { &resource_reference_grants, NULL, NULL, true },
	[SECRETS] = { &resource_secrets, NULL, is_tls_secret, false },
	[NAMESPACES] = { &resource_namespaces, NULL, NULL, false },
	[PODS] = { &resource_pods, pod_read, pod_has_host_port, false },
};

static void kinds_again(struct timer *t);

static bool kinds_follow(struct compile *c, struct error *err)
{
	bool is_whole = true;

	for (size_t k = 0; k < KINDS; k++) {
		struct following *f = &c->followings[k];
		struct error missing = { 0 };

		if (f->is_there)
			continue;
		f->is_there = cluster_follow(c->config.cluster, rows[k].resource, seen, f, &missing);
		if (!f->is_there && (!rows[k].is_custom || missing.code != ERROR_NOT_FOUND)) {
			*err = missing;
			return false;
		}
		is_whole = is_whole && f->is_there;
	}
	if (!is_whole)
		loop_timer_set(c->config.loop, &c->kinds_timer, loop_now(c->config.loop) + KINDS_AGAIN_NS, kinds_again);
	defaults_make(c);
	return true;
}

static void kinds_again(struct timer *t)
{
	struct compile *c = CONTAINER_OF(t, struct compile, kinds_timer);
	struct error err = { 0 };

	if (!kinds_follow(c, &err))
		log_error("gateway", "a kind cannot be followed", LOG_TEXT("error", err.message));
}

/* "127.0.0.1:8080" → 8080; 0: it has none. */
static int port_of(struct span address)
{
	int64_t port = 0;
	size_t at = address.len;

	while (at && address.ptr[at - 1] != ':')
		at--;
	return at && number_parse_int64(span_skip(address, at), &port) && port > 0 && port <= UINT16_MAX ? (int)port
													 : 0;
}

/* What clients are told of an address that means every one: the first of this machine's that others see. */
static char *address_shown(const char *address)
{
	char text[INET_ADDRSTRLEN] = "127.0.0.1";
	struct ifaddrs *list = NULL;

	if (strcmp(address, "0.0.0.0") != 0)
		return span_to_text(span_of(address));
	if (getifaddrs(&list) == 0) {
		for (const struct ifaddrs *i = list; i; i = i->ifa_next) {
			const struct sockaddr_in *in = (const void *)i->ifa_addr;

			if (!in || in->sin_family != AF_INET || (i->ifa_flags & IFF_LOOPBACK) ||
			    !(i->ifa_flags & IFF_UP))
				continue;
			(void)inet_ntop(AF_INET, &in->sin_addr, text, sizeof(text));
			break;
		}
		freeifaddrs(list);
	}
	return span_to_text(span_of(text));
}

/* The host of "127.0.0.1:8080", as others are told of it. */
static char *host_shown(struct span address)
{
	size_t at = address.len;
	AUTO_FREE char *host = NULL;

	while (at && address.ptr[at - 1] != ':')
		at--;
	host = span_to_text(span_first(address, at ? at - 1 : 0));
	return address_shown(*host ? host : "0.0.0.0");
}

static struct span text_keep(const char *text)
{
	return text ? span_from(span_to_text(span_of(text)), strlen(text)) : (struct span){ 0 };
}

static void native_changed(void *context)
{
	compile_wake(context);
}

struct compile *compile_new(const struct compile_config *config, struct error *err)
{
	struct compile *c = base_calloc(1, sizeof(*c));
	const char *services = config->services_address ? config->services_address : "127.0.0.1";

	c->config = *config;
	c->services_address = text_keep(services);
	c->shown_address = span_of(address_shown(services));
	c->address = text_keep(config->address);
	c->tls_address = text_keep(config->tls_address);
	c->config.api_address = text_keep(config->api_address).ptr;
	c->address_shown = span_of(host_shown(c->address.len ? c->address : c->tls_address));
	c->port = port_of(c->address);
	c->tls_port = port_of(c->tls_address);
	for (size_t k = 0; k < KINDS; k++)
		c->followings[k] = (struct following){ .compile = c,
						       .resource = rows[k].resource,
						       .kind = (enum kinds)k,
						       .read = rows[k].read,
						       .is_wanted = rows[k].is_wanted };
	c->native = native_new(config->cluster, config->loop, config->metrics, native_changed, c);
	if (kinds_follow(c, err)) {
		compile_wake(c);
		return c;
	}
	compile_free(c);
	return NULL;
}

void compile_stop(struct compile *c)
{
	if (!c)
		return;
	c->is_stopped = true;
	loop_timer_clear(c->config.loop, &c->timer);
	loop_timer_clear(c->config.loop, &c->kinds_timer);
	loop_timer_clear(c->config.loop, &c->again_timer);
}

void compile_free(struct compile *c)
{
	if (!c)
		return;
	compile_stop(c);
	plan_unref(c->plan);
	native_free(c->native);
	for (size_t k = 0; k < KINDS; k++)
		items_free(&c->followings[k].items);
	bounds_free(c);
	secrets_free(c);
	free((char *)c->services_address.ptr);
	free((char *)c->shown_address.ptr);
	free((char *)c->address_shown.ptr);
	free((char *)c->address.ptr);
	free((char *)c->tls_address.ptr);
	free((char *)c->config.api_address);
	free(c);
}
