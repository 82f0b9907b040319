/* SPDX-License-Identifier: Apache-2.0 */
#include "node/services.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "loop/loop.h"
#include "node/service_table.h"
#include "wire/value.h"

#define GATHER_NS INT64_C(2000000)    /* changes of a moment are written once */
#define AGAIN_NS  INT64_C(1000000000) /* what could not be written */
enum { MAKING_BYTES_MOST = 256 << 20 };

struct services {
	struct cluster *cluster;
	struct loop *loop;
	char *addresses, *names; /* paths */
	char *api;               /* "127.0.0.1:6443" */
	struct timer timer;
};

struct line {
	struct span text;
};

/* A slice, and whose it is: "default/web". */
struct slice {
	struct span service;
	const struct value *object;
};

struct making {
	struct services *services;
	struct arena arena;
	struct error err;
	struct slice *slices;
	size_t slice_count, slice_capacity;
	struct line *addresses, *names;
	size_t address_count, address_capacity, name_count, name_capacity;
};

/* ---- lines ---- */

static void *grow(void *items, size_t count, size_t *capacity, size_t size)
{
	if (count < *capacity)
		return items;
	*capacity = *capacity ? *capacity * 2 : 64;
	return base_realloc(items, *capacity * size);
}

static void address_add(struct making *m, struct span text)
{
	m->addresses = grow(m->addresses, m->address_count, &m->address_capacity, sizeof(*m->addresses));
	m->addresses[m->address_count++].text = text;
}

static void name_add(struct making *m, struct span text)
{
	m->names = grow(m->names, m->name_count, &m->name_capacity, sizeof(*m->names));
	m->names[m->name_count++].text = text;
}

#define PRINT(m, ...) arena_print(&(m)->arena, &(m)->err, __VA_ARGS__)

/* By the key, as service_table_find() looks. */
static int line_order(const void *a, const void *b)
{
	struct span x = ((const struct line *)a)->text, y = ((const struct line *)b)->text;

	return span_order(span_first(x, span_index(x, ' ')), span_first(y, span_index(y, ' ')));
}

static int slice_order(const void *a, const void *b)
{
	return span_order(((const struct slice *)a)->service, ((const struct slice *)b)->service);
}

/* ---- endpoints ---- */

static bool is_ready(const struct value *endpoint)
{
	const struct value *ready = value_find(endpoint, "conditions.ready");

	return !value_is(ready, VALUE_BOOL) || ready->boolean; /* absent: unknown, to be taken as ready */
}

/* The number of the slice's port with this name and protocol; 0: it has none. */
static int64_t port_of(const struct value *slice, struct span name, struct span protocol)
{
	const struct value *ports = value_find(slice, "ports");

	for (uint32_t i = 0; i < value_count(ports); i++) {
		const struct value *p = value_item(ports, i);

		if (span_equal(value_find_string(p, "name"), name) &&
		    span_equal(value_find_string(p, "protocol"), protocol))
			return value_find_int(p, "port", 0);
	}
	return 0;
}

static void slices_of(struct making *m, struct span service, size_t *ret_first, size_t *ret_end)
{
	size_t low = 0, high = m->slice_count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		struct slice key = { .service = service };

		if (slice_order(&m->slices[middle], &key) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	*ret_first = *ret_end = low;
	while (*ret_end < m->slice_count && span_equal(m->slices[*ret_end].service, service))
		(*ret_end)++;
}

/* " 127.97.0.3:8000 127.97.0.4:8000": those that are ready; `port` 0: addresses alone. */
static void places_print(struct making *m, size_t first, size_t end, struct span name, struct span protocol,
			 bool has_port, struct buffer *out)
{
	for (size_t s = first; s < end; s++) {
		const struct value *slice = m->slices[s].object, *endpoints = value_find(slice, "endpoints");
		int64_t port = has_port ? port_of(slice, name, protocol) : 0;

		if ((has_port && !port) || !span_equal(value_find_string(slice, "addressType"), SPAN("IPv4")))
			continue;
		for (uint32_t i = 0; i < value_count(endpoints); i++) {
			const struct value *addresses = value_find(value_item(endpoints, i), "addresses");

			if (!is_ready(value_item(endpoints, i)) || !value_count(addresses))
				continue;
			buffer_print(out, " " SPAN_FMT, SPAN_WHOLE(value_item(addresses, 0)->string));
			if (has_port)
				buffer_print(out, ":%lld", (long long)port);
		}
	}
}

/* ---- services ---- */

static void ports_tell(struct making *m, const struct value *service, struct span address, struct span name,
		       size_t first, size_t end)
{
	const struct value *ports = value_find(service, "spec.ports");
	bool keeps = span_equal(value_find_string(service, "spec.sessionAffinity"), SPAN("ClientIP"));

	for (uint32_t i = 0; i < value_count(ports); i++) {
		const struct value *p = value_item(ports, i);
		struct span port_name = value_find_string(p, "name"), protocol = value_find_string(p, "protocol");
		long long number = (long long)value_find_int(p, "port", 0);
		struct buffer places;

		if (address.len) {
			buffer_init(&places, MIB(16));
			places_print(m, first, end, port_name, protocol, true, &places);
			if (first == end && span_equal(name, SPAN("kubernetes.default")) && m->services->api[0])
				buffer_print(&places, " %s", m->services->api);
			address_add(m,
				    PRINT(m, SPAN_FMT ":%lld/" SPAN_FMT "%s" SPAN_FMT, SPAN_WHOLE(address), number,
					  SPAN_WHOLE(protocol), keeps ? " ~" : "", SPAN_WHOLE(buffer_span(&places))));
			buffer_done(&places);
		}
		if (port_name.len)
			name_add(m, PRINT(m, "_" SPAN_FMT "._%s." SPAN_FMT " :%lld " SPAN_FMT, SPAN_WHOLE(port_name),
					  span_equal(protocol, SPAN("UDP")) ? "udp" : "tcp", SPAN_WHOLE(name), number,
					  SPAN_WHOLE(name)));
	}
}

/* Pods that have a name of their own in the service. */
static void hosts_tell(struct making *m, struct span name, size_t first, size_t end)
{
	for (size_t s = first; s < end; s++) {
		const struct value *endpoints = value_find(m->slices[s].object, "endpoints");

		for (uint32_t i = 0; i < value_count(endpoints); i++) {
			const struct value *e = value_item(endpoints, i), *addresses = value_find(e, "addresses");
			struct span host = value_find_string(e, "hostname");

			if (host.len && value_count(addresses) && is_ready(e))
				name_add(m, PRINT(m, SPAN_FMT "." SPAN_FMT " " SPAN_FMT, SPAN_WHOLE(host),
						  SPAN_WHOLE(name), SPAN_WHOLE(value_item(addresses, 0)->string)));
		}
	}
}

static void service_tell(struct making *m, const struct value *service)
{
	struct span space = value_find_string(service, "metadata.namespace"),
		    address = value_find_string(service, "spec.clusterIP");
	struct span own = value_find_string(service, "metadata.name");
	struct span name = PRINT(m, SPAN_FMT "." SPAN_FMT, SPAN_WHOLE(own), SPAN_WHOLE(space));
	struct span key = PRINT(m, SPAN_FMT "/" SPAN_FMT, SPAN_WHOLE(space), SPAN_WHOLE(own));
	struct buffer places;
	size_t first, end;

	if (!name.ptr || !key.ptr)
		return;
	if (span_equal(value_find_string(service, "spec.type"), SPAN("ExternalName"))) {
		name_add(m, PRINT(m, SPAN_FMT " =" SPAN_FMT, SPAN_WHOLE(name),
				  SPAN_WHOLE(value_find_string(service, "spec.externalName"))));
		return;
	}
	slices_of(m, key, &first, &end);
	if (span_equal(address, SPAN("None"))) {
		address = (struct span){ 0 };
		buffer_init(&places, MIB(16));
		places_print(m, first, end, address, address, false, &places);
		name_add(m, PRINT(m, SPAN_FMT SPAN_FMT, SPAN_WHOLE(name), SPAN_WHOLE(buffer_span(&places))));
		buffer_done(&places);
	} else if (address.len) {
		name_add(m, PRINT(m, SPAN_FMT " " SPAN_FMT, SPAN_WHOLE(name), SPAN_WHOLE(address)));
	}
	ports_tell(m, service, address, name, first, end);
	hosts_tell(m, name, first, end);
}

/* ---- files ---- */

static bool all_write(int fd, struct span bytes)
{
	while (bytes.len) {
		ssize_t n = write(fd, bytes.ptr, bytes.len);

		if (n < 0 && errno != EINTR)
			return false;
		bytes = span_skip(bytes, n > 0 ? (size_t)n : 0);
	}
	return true;
}

/* In the place of the one that is there, whole or not at all. */
static bool file_replace(const char *path, struct line *lines, size_t count)
{
	char temporary[PATH_MAX];
	struct buffer text;
	bool good;
	int fd;

	buffer_init(&text, SERVICE_TABLE_MOST);
	if (count)
		qsort(lines, count, sizeof(*lines), line_order);
	for (size_t i = 0; i < count; i++)
		buffer_print(&text, SPAN_FMT "\n", SPAN_WHOLE(lines[i].text));
	(void)snprintf(temporary, sizeof(temporary), "%s.new", path);
	fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	good = fd >= 0 && !text.overflow && all_write(fd, buffer_span(&text)) && rename(temporary, path) == 0;
	if (!good)
		log_error("node", "where services lead cannot be told to pods", LOG_TEXT("file", path),
			  LOG_TEXT("error", text.overflow ? "there are too many" : strerror(errno)));
	if (fd >= 0)
		close(fd);
	buffer_done(&text);
	return good;
}

static bool slice_take(void *context, struct record *record)
{
	struct making *m = context;
	struct cluster *c = m->services->cluster;
	const struct value *object = cluster_object(c, &resource_endpoint_slices, record, &m->arena, &m->err);
	const struct value *labels = value_find(object, "metadata.labels");
	const struct value *service = value_get(labels, SPAN("kubernetes.io/service-name"));

	if (!value_is(service, VALUE_STRING))
		return true;
	m->slices = grow(m->slices, m->slice_count, &m->slice_capacity, sizeof(*m->slices));
	m->slices[m->slice_count++] =
	    (struct slice){ PRINT(m, SPAN_FMT "/" SPAN_FMT, SPAN_WHOLE(value_find_string(object, "metadata.namespace")),
				  SPAN_WHOLE(service->string)),
			    object };
	return true;
}

static bool service_take(void *context, struct record *record)
{
	struct making *m = context;
	const struct value *object =
	    cluster_object(m->services->cluster, &resource_services, record, &m->arena, &m->err);

	if (object)
		service_tell(m, object);
	return true;
}

static void tables_write(struct timer *t)
{
	struct services *s = CONTAINER_OF(t, struct services, timer);
	struct making m = { .services = s };

	arena_init(&m.arena, MAKING_BYTES_MOST);
	cluster_each(s->cluster, &resource_endpoint_slices, (struct span){ 0 }, slice_take, &m);
	if (m.slice_count)
		qsort(m.slices, m.slice_count, sizeof(*m.slices), slice_order);
	cluster_each(s->cluster, &resource_services, (struct span){ 0 }, service_take, &m);
	if (m.err.code) {
		log_error("node", "where services lead cannot be told to pods", LOG_TEXT("error", m.err.message));
	} else {
		bool good = file_replace(s->names, m.names, m.name_count);

		if (!file_replace(s->addresses, m.addresses, m.address_count) || !good)
			loop_timer_set(s->loop, &s->timer, loop_now(s->loop) + AGAIN_NS, tables_write);
	}
	free(m.slices);
	free(m.addresses);
	free(m.names);
	arena_done(&m.arena);
}

static void seen(void *context, const struct sighting *sighting)
{
	struct services *s = context;

	(void)sighting;
	if (!timer_is_set(&s->timer))
		loop_timer_set(s->loop, &s->timer, loop_now(s->loop) + GATHER_NS, tables_write);
}

/* ---- life ---- */

static char *path_of(struct span folder, const char *name)
{
	size_t size = folder.len + strlen(name) + 2;
	char *path = base_alloc(size);

	(void)snprintf(path, size, SPAN_FMT "%s", SPAN_WHOLE(folder), name);
	return path;
}

/* One that listens on every address is called at the loopback's. */
static char *api_of(struct span api)
{
	struct span every = SPAN("0.0.0.0:");
	char port[16];

	if (!span_starts(api, every))
		return span_to_text(api);
	(void)snprintf(port, sizeof(port), SPAN_FMT, SPAN_WHOLE(span_skip(api, every.len)));
	return path_of(SPAN("127.0.0.1:"), port);
}

struct services *services_new(struct cluster *cluster, struct loop *loop, struct span folder, struct span api,
			      struct error *err)
{
	struct services *s = base_calloc(1, sizeof(*s));
	AUTO_FREE char *network = path_of(folder, "/network");

	*s = (struct services){ .cluster = cluster,
				.loop = loop,
				.api = api_of(api),
				.addresses = path_of(folder, "/network/addresses"),
				.names = path_of(folder, "/network/names") };
	if (mkdir(network, 0700) != 0 && errno != EEXIST)
		(void)error_errno(err, errno, "cannot make the folder '%s'", network);
	else if (cluster_follow(cluster, &resource_services, seen, s, err) &&
		 cluster_follow(cluster, &resource_endpoint_slices, seen, s, err))
		return s;
	services_free(s);
	return NULL;
}

void services_free(struct services *s)
{
	if (!s)
		return;
	loop_timer_clear(s->loop, &s->timer);
	free(s->addresses);
	free(s->names);
	free(s->api);
	free(s);
}
