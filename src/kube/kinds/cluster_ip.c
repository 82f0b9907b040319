/* SPDX-License-Identifier: Apache-2.0 */
#include "kube/kinds/cluster_ip.h"

#include "base/clock.h"
#include "base/random.h"
#include "kube/admission/state.h"
#include "kube/kinds/kinds.h"
#include "kube/kube.h"
#include "store/store.h"

#define ADDRESSES    65536
#define RESERVED_LOW 256 /* for services that ask for an address: the others come from above while there is room */
#define PORTS        (NODE_PORT_LAST - NODE_PORT_FIRST + 1)
#define TAKEN        UINT32_MAX
#define HOLD_S       60
#define TABLE_MAX    MIB(64) /* memory for one stored service while the table is made */

/* 0: free; TAKEN: a stored service has it; else the second since which it is held. The table belongs to one server; another one (in
 * tests) makes its own from its store. */
static struct {
	struct kube *kube;
	uint32_t addresses[ADDRESSES], ports[PORTS];
} table;

static uint32_t now_s(void)
{
	return (uint32_t)(clock_monotonic_ns() / NS_PER_S) + HOLD_S + 1; /* never so small that it looks free */
}

static bool is_free(uint32_t state, uint32_t now)
{
	return state == 0 || (state != TAKEN && now - state > HOLD_S);
}

/* "127.96.3.4" as 0x0304. */
static bool address_index(struct span s, uint32_t *ret)
{
	struct span rest = s;
	unsigned parts[4];

	for (size_t i = 0; i < 4; i++) {
		struct span part = span_cut(&rest, '.');

		if (part.len == 0 || part.len > 3)
			return false;
		parts[i] = 0;
		for (size_t k = 0; k < part.len; k++) {
			if (part.ptr[k] < '0' || part.ptr[k] > '9')
				return false;
			parts[i] = parts[i] * 10 + (unsigned)(part.ptr[k] - '0');
		}
	}
	if (rest.len || parts[0] != 127 || parts[1] != 96 || parts[2] > 255 || parts[3] > 255)
		return false;
	*ret = parts[2] << 8 | parts[3];
	return *ret != 0 && *ret != ADDRESSES - 1; /* the network and its broadcast address */
}

static void mark(const struct value *service, uint32_t state)
{
	const struct value *spec = get(service, "spec"), *ips = get(spec, "clusterIPs"), *ports = get(spec, "ports");
	uint32_t index;

	for (uint32_t i = 0; i < count_of(ips); i++) {
		if (address_index(text_of(value_item(ips, i)), &index))
			table.addresses[index] = state;
	}
	if (!count_of(ips) && address_index(get_text(spec, "clusterIP"), &index))
		table.addresses[index] = state;
	for (uint32_t i = 0; i <= count_of(ports); i++) {
		int64_t port = i < count_of(ports) ? get_int(value_item(ports, i), "nodePort", 0)
						   : get_int(spec, "healthCheckNodePort", 0);

		if (port >= NODE_PORT_FIRST && port <= NODE_PORT_LAST)
			table.ports[port - NODE_PORT_FIRST] = state;
	}
}

static bool mark_record(void *context, struct record *r)
{
	struct arena *arena = context;
	struct error err = { 0 };
	struct value service;

	arena_clear(arena);
	if (value_parse(r->text, NULL, arena, &service, &err))
		mark(&service, TAKEN);
	return true; /* what cannot be read holds no address */
}

static void load(struct kube *k)
{
	struct error err = { 0 };
	struct arena arena;

	if (table.kube == k)
		return;
	memset(&table, 0, sizeof(table));
	table.kube = k;
	arena_init(&arena, TABLE_MAX);
	(void)store_list(kube_store(k), SPAN("/core/services/"), SPAN(""), 0, mark_record, &arena, &err);
	arena_done(&arena);
}

void cluster_ip_forget(const struct kube *k)
{
	if (table.kube == k)
		table.kube = NULL;
}

struct held {
	struct held *next;
	uint32_t *state, since;
};

static void hold(struct change *c, uint32_t *state)
{
	struct error ignored = { 0 };
	struct admission *a = c->is_dry_run ? NULL : admission_of(c, &ignored);
	struct held *h = a ? ARENA_NEW(c->arena, struct held, &ignored) : NULL;

	if (!c->is_dry_run)
		*state = now_s();
	if (!h)
		return;
	*h = (struct held){ .next = a->held, .state = state, .since = *state };
	a->held = h;
}

void cluster_ip_give(const struct held *first)
{
	for (; first; first = first->next)
		if (*first->state == first->since)
			*first->state = 0;
}

/* A free one of [first, end), from a random place on; `end` when none is. */
static uint32_t find(const uint32_t *states, uint32_t first, uint32_t end)
{
	uint32_t count = end - first, start = (uint32_t)(random_fast() % count), now = now_s();

	for (uint32_t i = 0; i < count; i++) {
		uint32_t index = first + (start + i) % count;

		if (is_free(states[index], now))
			return index;
	}
	return end;
}

struct span cluster_ip_next(struct change *c)
{
	struct error err = { 0 };
	uint32_t index;

	load(c->kube);
	index = find(table.addresses, RESERVED_LOW, ADDRESSES - 1);
	if (index == ADDRESSES - 1) {
		index = find(table.addresses, 1, RESERVED_LOW);
		if (index == RESERVED_LOW)
			return SPAN("");
	}
	hold(c, &table.addresses[index]);
	return arena_print(c->arena, &err, "127.96.%u.%u", index >> 8, index & 255);
}

const char *cluster_ip_take(struct change *c, struct span s)
{
	struct error err = { 0 };
	struct span words;
	uint32_t index;

	load(c->kube);
	if (!address_index(s, &index)) {
		words = arena_print(c->arena, &err,
				    "the provided IP (" SPAN_FMT
				    ") is not in the valid range. The range of valid IPs is 127.96.0.0/16",
				    SPAN_ARG(s));
		return words.ptr ? words.ptr : "the provided IP is not in the valid range";
	}
	if (!is_free(table.addresses[index], now_s()))
		return "provided IP is already allocated";
	hold(c, &table.addresses[index]);
	return NULL;
}

int64_t node_port_next(struct change *c)
{
	uint32_t index;

	load(c->kube);
	index = find(table.ports, 0, PORTS);
	if (index == PORTS)
		return 0;
	hold(c, &table.ports[index]);
	return NODE_PORT_FIRST + (int64_t)index;
}

const char *node_port_take(struct change *c, int64_t port)
{
	load(c->kube);
	/* The real server looks at the range only when it takes a port. */
	if (c->is_dry_run && (port < NODE_PORT_FIRST || port > NODE_PORT_LAST))
		return NULL;
	if (port < NODE_PORT_FIRST || port > NODE_PORT_LAST)
		return "provided port is not in the valid range. The range of valid ports is 30000-32767";
	if (!is_free(table.ports[port - NODE_PORT_FIRST], now_s()))
		return "provided port is already allocated";
	hold(c, &table.ports[port - NODE_PORT_FIRST]);
	return NULL;
}

void cluster_ip_changed(struct kube *k, const struct kind *kind, const struct value *old, const struct value *object)
{
	(void)kind;
	if (table.kube != k)
		return; /* not asked yet: the store will tell */
	mark(old, 0);
	mark(object, TAKEN);
}
