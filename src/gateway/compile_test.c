/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/compile_kit.h"

#include <arpa/inet.h>
#include <poll.h>

#include "base/clock.h"

#define SERVICE(name, spec)                                                                                            \
	"{'apiVersion':'v1','kind':'Service','metadata':{'name':'" name "'},'spec':{" spec ",'selector':{'app':'web'}" \
	"}}"
#define SLICE(name, service, ports, endpoints)                                                                         \
	"{'apiVersion':'discovery.k8s.io/v1','kind':'EndpointSlice','metadata':{'name':'" name                         \
	"','labels':{'kubernetes.io/service-name':'" service "'}},'addressType':'IPv4','ports':[" ports                \
	"],'endpoints':[" endpoints "]}"
#define POD(address, name, conditions)                                                                                 \
	"{'addresses':['" address "'],'conditions':{" conditions "},'targetRef':{'kind':'Pod','namespace':'default',"  \
	"'name':'" name "','uid':'uid-" name "'}}"

/* Services that routes lead to. */
static void services_apply(struct kit *k)
{
	static const char *const names[] = { "web", "other" };

	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		kit_apply(
		    k, &resource_services,
		    SERVICE("%s", "'ports':[{'name':'http','port':80,'targetPort':8000},{'name':'grpc','port':90}]"),
		    names[i]);
}

static int64_t port_in(const struct value *ingress, uint32_t index)
{
	const struct value *ports = value_find(ingress, "ports");

	return value_count(ports) > index ? value_find_int(value_item(ports, index), "port", 0) : 0;
}

static const struct value *balancer_of(const struct value *service)
{
	const struct value *list = value_find(service, "status.loadBalancer.ingress");

	return value_count(list) ? value_item(list, 0) : NULL;
}

/* ---- services ---- */

static void a_service_is_an_entry_at_its_address_with_the_endpoints_of_its_slices(void **state)
{
	struct kit *k = kit_new();
	const struct plan_entry *e;
	const struct plan_backend *b;
	const struct sockaddr_in *in;

	(void)state;
	kit_apply(k, &resource_services,
		  SERVICE("web", "'clusterIP':'127.96.0.7','ports':[{'port':80,'targetPort':8000}]"));
	e = kit_entry(k, "tcp 127.96.0.7:80");
	assert_non_null(e);
	assert_true(span_equal(e->backend->name, SPAN("default/web:80")));
	assert_int_equal(e->backend->endpoint_count, 0);
	kit_apply(
	    k, &resource_endpoint_slices,
	    SLICE("web-1", "web", "{'name':'','protocol':'TCP','port':8000}",
		  POD("127.97.0.3", "a", "'ready':true") "," POD("127.97.0.4", "b", "") "," POD(
		      "127.97.0.5", "c", "'ready':false,'serving':true,'terminating':true") "," POD("127.97.0.6", "d",
												    "'ready':false")));
	b = kit_backend(k, "default/web:80");
	assert_int_equal(b->endpoint_count, 4);
	assert_true(span_equal(b->endpoints[0].key, SPAN("127.97.0.3:8000")));
	assert_true(span_equal(b->endpoints[0].pod, SPAN("a")));
	assert_true(span_equal(b->endpoints[0].sandbox, SPAN("/pods/uid-a/sandbox")));
	in = (const void *)&b->endpoints[0].address;
	assert_int_equal(ntohs(in->sin_port), 8000);
	assert_int_equal(in->sin_addr.s_addr, inet_addr("127.97.0.3"));
	assert_true(b->endpoints[0].is_ready && b->endpoints[1].is_ready); /* unknown: ready */
	assert_true(!b->endpoints[2].is_ready && b->endpoints[2].is_serving);
	assert_true(!b->endpoints[3].is_ready && !b->endpoints[3].is_serving);
	kit_delete(k, &resource_services, "default", "web");
	assert_null(kit_entry(k, "tcp 127.96.0.7:80"));
	kit_done(k);
}

static void endpoints_of_several_slices_are_joined_and_each_is_there_once(void **state)
{
	struct kit *k = kit_new();
	const struct plan_backend *b;

	(void)state;
	services_apply(k);
	kit_apply(k, &resource_endpoint_slices,
		  SLICE("web-1", "web", "{'name':'http','protocol':'TCP','port':8000}",
			POD("127.97.0.3", "a", "'ready':false") "," POD("127.97.0.4", "b", "'ready':true")));
	kit_apply(k, &resource_endpoint_slices,
		  SLICE("web-2", "web", "{'name':'http','protocol':'TCP','port':8000}",
			POD("127.97.0.3", "a", "'ready':true") "," POD("127.97.0.9", "c", "'ready':true")));
	b = kit_backend(k, "default/web:80");
	assert_int_equal(b->endpoint_count, 3);
	for (size_t i = 0; i < 3; i++)
		assert_true(b->endpoints[i].is_ready);
	assert_int_equal(kit_backend(k, "default/web:90")->endpoint_count, 0); /* no such port in the slices */
	kit_delete(k, &resource_endpoint_slices, "default", "web-1");
	assert_int_equal(kit_backend(k, "default/web:80")->endpoint_count, 2);
	kit_done(k);
}

static void how_a_port_is_spoken_to_is_its_app_protocol_then_its_name(void **state)
{
	static const struct {
		const char *name, *protocol;
		enum plan_speech speech;
	} rows[] = {
		{ "http", "", SPEECH_HTTP1 },
		{ "http-metrics", "", SPEECH_HTTP1 },
		{ "grpc", "", SPEECH_HTTP2 },
		{ "grpc-x", "", SPEECH_HTTP2 },
		{ "h2c", "", SPEECH_HTTP2 },
		{ "tcp", "", SPEECH_BYTES },
		{ "https", "", SPEECH_BYTES },
		{ "redis", "", SPEECH_AUTO },
		{ "redis", "http", SPEECH_HTTP1 },
		{ "http", "kubernetes.io/h2c", SPEECH_HTTP2 },
		{ "a", "kubernetes.io/ws", SPEECH_WS },
		{ "b", "example.com/own", SPEECH_BYTES },
		{ "c", "grpc", SPEECH_HTTP2 },
	};
	struct kit *k = kit_new();

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const struct plan_backend *b;

		kit_apply(k, &resource_services, SERVICE("web", "'ports':[{'name':'%s','port':80%s%s%s}]"),
			  rows[i].name, *rows[i].protocol ? ",'appProtocol':'" : "", rows[i].protocol,
			  *rows[i].protocol ? "'" : "");
		b = kit_backend(k, "default/web:80");
		if (b->speech != rows[i].speech)
			fail_msg("%s, %s: %d", rows[i].name, rows[i].protocol, b->speech);
	}
	kit_done(k);
}

static void udp_node_ports_affinity_and_services_without_an_address(void **state)
{
	struct kit *k = kit_new();
	const struct plan_entry *e;

	(void)state;
	kit_apply(k, &resource_services,
		  SERVICE("dns", "'type':'NodePort','clusterIP':'127.96.0.9','sessionAffinity':'ClientIP',"
				 "'ports':[{'name':'a','port':53,'protocol':'UDP','nodePort':30053},"
				 "{'name':'b','port':53,'nodePort':30054}]"));
	e = kit_entry(k, "udp 127.96.0.9:53");
	assert_true(e && e->is_udp && span_equal(e->backend->name, SPAN("default/dns:53/udp")));
	assert_int_equal(e->backend->affinity_ns, 10800 * NS_PER_S);
	assert_true(kit_entry(k, "tcp 127.96.0.9:53") && kit_entry(k, "udp 127.0.0.1:30053"));
	assert_true(kit_entry(k, "tcp 127.0.0.1:30054")->backend == kit_entry(k, "tcp 127.96.0.9:53")->backend);
	kit_apply(k, &resource_services, SERVICE("headless", "'clusterIP':'None','ports':[{'port':80}]"));
	assert_non_null(kit_backend(k, "default/headless:80")); /* routes may name it */
	kit_apply(k, &resource_services, SERVICE("far", "'type':'ExternalName','externalName':'a.example.com'"));
	for (size_t i = 0; i < k->plan->entry_count; i++)
		assert_false(span_equal(k->plan->entries[i].owner_name, SPAN("headless")) ||
			     span_equal(k->plan->entries[i].owner_name, SPAN("far")));
	kit_done(k);
}

static void behind_the_service_kubernetes_is_this_process(void **state)
{
	struct kit *k = kit_new();
	const struct plan_backend *b = NULL;

	(void)state;
	for (int i = 0; i < 10000 && !b; i++) { /* the server makes it in a time of its own */
		kit_settle(k);
		b = kit_backend(k, "default/kubernetes:443");
	}
	assert_non_null(b);
	assert_int_equal(b->endpoint_count, 1);
	assert_true(span_equal(b->endpoints[0].key, SPAN("127.0.0.1:6443")));
	assert_int_equal(b->endpoints[0].sandbox.len, 0);
	assert_int_equal(b->speech, SPEECH_BYTES);
	kit_done(k);
}

static void a_load_balancer_tells_the_port_it_found_and_keeps_it(void **state)
{
	static const char service[] =
	    SERVICE("web", "'type':'LoadBalancer','ports':[{'name':'a','port':80},{'name':'b','port':9000}]");
	struct kit *k = kit_new();
	const struct plan_entry *e = NULL;
	struct value *object;

	(void)state;
	k->bind_refused = 1024;
	kit_apply(k, &resource_services, service);
	object = kit_get(k, &resource_services, "default", "web");
	assert_null(balancer_of(object)); /* nothing is known yet */
	kit_bind_all(k);
	object = kit_get(k, &resource_services, "default", "web");
	assert_true(span_equal(value_find_string(balancer_of(object), "ip"), SPAN("127.0.0.1")));
	assert_int_equal(port_in(balancer_of(object), 0), 8000);
	assert_int_equal(port_in(balancer_of(object), 1), 9000);
	assert_true(kit_has_event(k, "OtherPort", "port 80 is taken or not allowed: listens on 127.0.0.1:8000"));
	kit_restart(k);
	for (size_t i = 0; i < k->plan->entry_count; i++)
		if (k->plan->entries[i].wanted_port == 8000)
			e = &k->plan->entries[i];
	assert_non_null(e); /* it is asked for again */
	assert_true(span_equal(e->address, SPAN("127.0.0.1:0")));
	kit_bind_all(k);
	kit_apply(k, &resource_services,
		  SERVICE("web", "'type':'LoadBalancer','ports':[{'name':'a','port':9080},{'name':'b','port':9000}]"));
	for (size_t i = 0; i < k->plan->entry_count; i++)
		assert_int_not_equal(k->plan->entries[i].wanted_port, 8000); /* another port: its own is asked for */
	kit_apply(k, &resource_services,
		  SERVICE("web", "'type':'ClusterIP','ports':[{'name':'a','port':80},"
				 "{'name':'b','port':9000}]"));
	assert_null(balancer_of(kit_get(k, &resource_services, "default", "web")));
	kit_done(k);
}

static const struct cluster_ops *real;
static unsigned refused;

/* As by a webhook that is not there for a moment, or a disk that is full. */
static void refuse_once(struct cluster *c, const struct cluster_write *w)
{
	struct error err = { 0 };

	if (refused) {
		real->write(c, w);
		return;
	}
	refused++;
	error_set(&err, ERROR_INTERNAL, "failed calling webhook");
	w->done(w->context, NULL, &err);
}

static void a_status_that_could_not_be_written_is_written_later(void **state)
{
	struct kit *k = kit_new();
	struct cluster_ops refusing = *k->api.cluster->ops;

	(void)state;
	kit_apply(k, &resource_services, SERVICE("web", "'type':'LoadBalancer','ports':[{'port':9000}]"));
	real = k->api.cluster->ops;
	refusing.write = refuse_once;
	k->api.cluster->ops = &refusing;
	kit_bind_all(k);
	assert_int_equal(refused, 1);
	for (int i = 0; i < 400 && !balancer_of(kit_get(k, &resource_services, "default", "web")); i++) {
		(void)poll(NULL, 0, 50);
		kit_settle(k);
	}
	assert_int_equal(port_in(balancer_of(kit_get(k, &resource_services, "default", "web")), 0), 9000);
	k->api.cluster->ops = real;
	kit_done(k);
}

static void a_load_balancer_of_another_class_is_left_alone(void **state)
{
	struct kit *k = kit_new();

	(void)state;
	kit_apply(k, &resource_services,
		  SERVICE("web", "'type':'LoadBalancer','loadBalancerClass':'example.com/lb','ports':[{'port':80}]"));
	kit_apply(
	    k, &resource_services,
	    SERVICE("own", "'type':'LoadBalancer','loadBalancerClass':'hythe.dev/gateway','ports':[{'port':81}]"));
	for (size_t i = 0; i < k->plan->entry_count; i++)
		assert_int_not_equal(k->plan->entries[i].wanted_port, 80);
	kit_bind_all(k);
	assert_null(balancer_of(kit_get(k, &resource_services, "default", "web")));
	assert_non_null(balancer_of(kit_get(k, &resource_services, "default", "own")));
	kit_done(k);
}

static void an_address_that_cannot_be_bound_is_an_event_of_the_service(void **state)
{
	struct kit *k = kit_new();

	(void)state;
	k->bind_refused = 1024;
	kit_apply(k, &resource_services, SERVICE("web", "'clusterIP':'127.96.0.7','ports':[{'port':80}]"));
	kit_bind_all(k);
	assert_true(kit_has_event(k, "FailedToListen", "cannot listen on 127.96.0.7:80: Permission denied"));
	kit_done(k);
}

/* ---- pods ---- */

static void written(void *context, const struct value *object, const struct error *err)
{
	(void)context;
	(void)object;
	if (err)
		fail_msg("%s", err->message);
}

static void pod_is(struct kit *k, const char *name, const char *phase, const char *address)
{
	struct value *pod = kit_get(k, &resource_pods, "default", name);
	struct error err = { 0 };
	struct value *status = value_ensure_object(pod, SPAN("status"), &k->api.arena, &err);
	struct cluster_write w = { .resource = &resource_pods,
				   .verb = KUBE_UPDATE,
				   .subresource = SPAN("status"),
				   .name_space = SPAN("default"),
				   .name = span_of(name),
				   .manager = SPAN("test"),
				   .object = pod,
				   .grace = -1,
				   .done = written };

	(void)value_set(status, SPAN("phase"), value_string(span_of(phase)), &k->api.arena, &err);
	(void)value_set(status, SPAN("podIP"), value_string(span_of(address)), &k->api.arena, &err);
	cluster_write(k->api.cluster, &w);
	kit_settle(k);
}

static const struct plan_entry *entry_at(struct kit *k, const char *address, bool is_udp)
{
	for (size_t i = 0; i < k->plan->entry_count; i++)
		if (span_equal(k->plan->entries[i].address, span_of(address)) && k->plan->entries[i].is_udp == is_udp)
			return &k->plan->entries[i];
	return NULL;
}

#define HOST_PORTS(name)                                                                                               \
	"{'apiVersion':'v1','kind':'Pod','metadata':{'name':'" name "'},'spec':{"                                      \
	"'containers':[{'name':'a','image':'x','ports':[{'containerPort':80,'hostPort':9080},{'containerPort':81}]},"  \
	"{'name':'b','image':'x','ports':[{'containerPort':53,'hostPort':9053,'protocol':'UDP'},"                      \
	"{'containerPort':82,'hostPort':9082,'hostIP':'127.0.0.9'},{'containerPort':83,'hostPort':9083,'hostIP':'::1'" \
	"}"                                                                                                            \
	"]}]}}"

static void a_port_of_the_host_is_an_entry_with_its_pod_alone_behind_it(void **state)
{
	struct kit *k = kit_new();
	const struct plan_entry *e;
	const struct sockaddr_in *in;

	(void)state;
	kit_apply(k, &resource_pods, HOST_PORTS("web"));
	assert_null(entry_at(k, "127.0.0.1:9080", false)); /* it has no address yet */
	pod_is(k, "web", "Pending", "127.97.0.3");
	assert_non_null(e = entry_at(k, "127.0.0.1:9080", false));
	assert_true(span_equal(e->owner_kind, SPAN("Pod")) && span_equal(e->owner_name, SPAN("web")));
	assert_int_equal(e->backend->speech, SPEECH_BYTES);
	assert_true(span_equal(e->backend->service, SPAN("host:9080")));
	assert_int_equal(e->backend->endpoint_count, 1);
	assert_true(e->backend->endpoints[0].is_ready && e->backend->endpoints[0].sandbox.len);
	in = (const void *)&e->backend->endpoints[0].address;
	assert_int_equal(ntohs(in->sin_port), 80);
	assert_int_equal(in->sin_addr.s_addr, inet_addr("127.97.0.3"));
	assert_non_null(entry_at(k, "127.0.0.1:9053", true));
	assert_non_null(entry_at(k, "127.0.0.9:9082", false));
	assert_null(entry_at(k, "127.0.0.1:9083", false));
	pod_is(k, "web", "Succeeded", "127.97.0.3");
	assert_null(entry_at(k, "127.0.0.1:9080", false));
	kit_apply(k, &resource_pods,
		  "{'apiVersion':'v1','kind':'Pod','metadata':{'name':'host'},'spec':{'hostNetwork':true,"
		  "'containers':[{'name':'a','image':'x','ports':[{'containerPort':9080}]}]}}"); /* its hostPort too */
	pod_is(k, "host", "Running", "127.0.0.1");
	assert_null(entry_at(k, "127.0.0.1:9080", false));
	kit_done(k);
}

static void a_port_of_the_host_that_another_has_is_an_event_of_the_pod(void **state)
{
	struct kit *k = kit_new();

	(void)state;
	k->bind_refused = 9081;
	kit_apply(k, &resource_pods, HOST_PORTS("web"));
	pod_is(k, "web", "Running", "127.97.0.3");
	kit_bind_all(k);
	assert_true(kit_has_event(k, "FailedToListen", "cannot listen on 127.0.0.1:9080: Permission denied"));
	kit_delete(k, &resource_pods, "default", "web");
	assert_null(entry_at(k, "127.0.0.9:9082", false));
	kit_done(k);
}

/* ---- plans ---- */

static void changes_of_one_moment_make_one_plan(void **state)
{
	struct kit *k = kit_new();
	uint64_t before = k->published;

	(void)state;
	for (int i = 0; i < 20; i++)
		kit_apply_quietly(k, &resource_services, SERVICE("web-%d", "'ports':[{'port':80}]"), i);
	kit_settle(k);
	assert_true(k->published - before < 10);
	assert_non_null(kit_backend(k, "default/web-19:80"));
	kit_done(k);
}

/* ---- Ingress ---- */

#define INGRESS(name, spec)                                                                                            \
	"{'apiVersion':'networking.k8s.io/v1','kind':'Ingress','metadata':{'name':'" name "'},'spec':{" spec "}}"
#define PATH(type, path, service)                                                                                      \
	"{'pathType':'" type "','path':'" path "','backend':{'service':{'name':'" service "','port':{'number':80}}}}"

static void ingresses_of_the_class_are_routes_of_the_shared_entry(void **state)
{
	struct kit *k = kit_new();
	struct value *object;

	(void)state;
	services_apply(k);
	assert_non_null(kit_get(k, &resource_ingress_classes, "", "hythe"));
	kit_apply(
	    k, &resource_ingresses,
	    INGRESS("web",
		    "'defaultBackend':{'service':{'name':'other','port':{'name':'http'}}},"
		    "'rules':[{'host':'a.example.com','http':{'paths':[" PATH("Prefix", "/app/", "web") "," PATH(
			"Exact", "/exact",
			"other") "]}},{'host':'*.wild.org','http':{'paths':[" PATH("ImplementationSpecific", "/",
										   "web") "]}},"
											  "{'http':{'paths':[" PATH(
											      "Prefix", "/any",
											      "gone") "]}}]"));
	assert_string_equal(kit_ask(k, "main", "GET", "a.example.com", "/app/x", NULL, NULL),
			    "ingress/default/web/1 → web:1");
	assert_string_equal(kit_ask(k, "main", "GET", "a.example.com:8080", "/app", NULL, NULL),
			    "ingress/default/web/1 → web:1");
	assert_string_equal(kit_ask(k, "main", "GET", "a.example.com", "/exact", NULL, NULL),
			    "ingress/default/web/2 → other:1");
	assert_string_equal(kit_ask(k, "main", "GET", "a.example.com", "/exact/", NULL, NULL),
			    "ingress/default/web/0 → other:1");
	assert_string_equal(kit_ask(k, "main", "GET", "x.wild.org", "/", NULL, NULL), "ingress/default/web/3 → web:1");
	assert_string_equal(kit_ask(k, "main", "GET", "y.x.wild.org", "/", NULL, NULL),
			    "ingress/default/web/0 → other:1");
	assert_string_equal(kit_ask(k, "main", "GET", "b", "/any/x", NULL, NULL), "ingress/default/web/4 → -:1");
	object = kit_get(k, &resource_ingresses, "default", "web");
	assert_true(span_equal(value_find_string(balancer_of(object), "ip"), SPAN("127.0.0.1")));
	assert_int_equal(port_in(balancer_of(object), 0), 8080);
	kit_apply(k, &resource_ingresses,
		  INGRESS("foreign", "'ingressClassName':'nginx','rules':[{'host':'f.org','http':{'paths':[" PATH(
					 "Prefix", "/", "web") "]}}]"));
	assert_string_equal(kit_ask(k, "main", "GET", "f.org", "/", NULL, NULL), "ingress/default/web/0 → other:1");
	assert_null(balancer_of(kit_get(k, &resource_ingresses, "default", "foreign")));
	kit_delete(k, &resource_ingresses, "default", "web");
	assert_string_equal(kit_ask(k, "main", "GET", "a.example.com", "/app/x", NULL, NULL), "none");
	kit_done(k);
}

/* ---- Gateway API ---- */

#define API               "'apiVersion':'gateway.networking.k8s.io/v1',"
#define PARENT            "'parentRefs':[{'name':'hythe','namespace':'kube-system'}]"
#define ROUTE(name, spec) "{" API "'kind':'HTTPRoute','metadata':{'name':'" name "'},'spec':{" spec "}}"
#define GRPC(name, spec)  "{" API "'kind':'GRPCRoute','metadata':{'name':'" name "'},'spec':{" spec "}}"

static const struct value *first_parent(const struct value *route)
{
	const struct value *list = value_find(route, "status.parents");

	return value_count(list) ? value_item(list, 0) : NULL;
}

static void the_gateway_and_its_class_are_there_from_the_start_and_say_how_they_are(void **state)
{
	struct kit *k = kit_new();
	const struct value *gateway, *listeners;

	(void)state;
	assert_string_equal(
	    kit_condition(k, kit_get(k, &resource_gateway_classes, "", "hythe"), "status.conditions", "Accepted"),
	    "True Accepted");
	gateway = kit_get(k, &resource_gateways, "kube-system", "hythe");
	assert_string_equal(kit_condition(k, gateway, "status.conditions", "Accepted"), "True Accepted");
	assert_string_equal(kit_condition(k, gateway, "status.conditions", "Programmed"), "True Programmed");
	listeners = value_find(gateway, "status.listeners");
	assert_int_equal(value_count(listeners), 2);
	assert_true(span_equal(value_find_string(value_item(listeners, 0), "name"), SPAN("http")));
	assert_string_equal(kit_condition(k, value_item(listeners, 0), "conditions", "Programmed"), "True Programmed");
	assert_string_equal(kit_condition(k, value_item(listeners, 1), "conditions", "Programmed"), "False Pending");
	assert_int_equal(value_find_int(value_item(value_find(gateway, "spec.listeners"), 0), "port", 0), 8080);
	kit_done(k);
}

static void routes_of_the_gateway_match_weigh_and_tell_their_status(void **state)
{
	struct kit *k = kit_new();
	const struct value *route, *gateway;

	(void)state;
	services_apply(k);
	kit_apply(k, &resource_http_routes,
		  ROUTE("web", PARENT
			",'hostnames':['a.example.com'],'rules':["
			"{'matches':[{'path':{'type':'PathPrefix','value':'/v1'}}],"
			"'backendRefs':[{'name':'web','port':80,'weight':90},{'name':'other','port':80,'weight':10}]},"
			"{'matches':[{'path':{'value':'/v1'},'headers':[{'name':'X-Canary','value':'yes'}]},"
			"{'path':{'type':'RegularExpression','value':'/r[0-9]+'},'method':'POST'}],"
			"'backendRefs':[{'name':'other','port':80}]}]"));
	assert_string_equal(kit_ask(k, "main", "GET", "a.example.com", "/v1/x", NULL, NULL),
			    "httproute/default/web/0 → web:90 other:10");
	assert_string_equal(kit_ask(k, "main", "GET", "a.example.com", "/v1/x", "x-canary", "yes"),
			    "httproute/default/web/1 → other:1");
	assert_string_equal(kit_ask(k, "main", "POST", "a.example.com", "/r12", NULL, NULL),
			    "httproute/default/web/1 → other:1");
	assert_string_equal(kit_ask(k, "main", "GET", "a.example.com", "/r12", NULL, NULL), "none");
	assert_string_equal(kit_ask(k, "main", "GET", "b.example.com", "/v1", NULL, NULL), "none");
	route = kit_get(k, &resource_http_routes, "default", "web");
	assert_true(span_equal(value_find_string(first_parent(route), "controllerName"), SPAN("hythe.dev/gateway")));
	assert_string_equal(kit_condition(k, first_parent(route), "conditions", "Accepted"), "True Accepted");
	assert_string_equal(kit_condition(k, first_parent(route), "conditions", "ResolvedRefs"), "True ResolvedRefs");
	gateway = kit_get(k, &resource_gateways, "kube-system", "hythe");
	assert_int_equal(value_find_int(value_item(value_find(gateway, "status.listeners"), 0), "attachedRoutes", -1),
			 1);
	kit_delete(k, &resource_services, "default", "other");
	route = kit_get(k, &resource_http_routes, "default", "web");
	assert_string_equal(kit_condition(k, first_parent(route), "conditions", "ResolvedRefs"),
			    "False BackendNotFound");
	assert_string_equal(kit_ask(k, "main", "GET", "a.example.com", "/v1/x", NULL, NULL),
			    "httproute/default/web/0 → web:90 -:10");
	kit_done(k);
}

static void filters_and_time_limits_of_a_rule_come_to_the_plan(void **state)
{
	struct kit *k = kit_new();
	const struct plan_route *r;

	(void)state;
	services_apply(k);
	kit_apply(
	    k, &resource_http_routes,
	    ROUTE(
		"web", PARENT
		",'rules':[{'matches':[{'path':{'value':'/"
		"a'}}],'timeouts':{'request':'1m30s','backendRequest':'250ms'},"
		"'filters':[{'type':'RequestHeaderModifier','requestHeaderModifier':{'set':[{'name':'X-A','value':'1'}]"
		","
		"'add':[{'name':'X-B','value':'2'}],'remove':['X-C']}},"
		"{'type':'URLRewrite','urlRewrite':{'hostname':'in.example.com','path':{'type':'ReplacePrefixMatch',"
		"'replacePrefixMatch':'/'}}},"
		"{'type':'RequestMirror','requestMirror':{'backendRef':{'name':'other','port':80},'percent':20}}],"
		"'backendRefs':[{'name':'web','port':80,'filters':[{'type':'ResponseHeaderModifier',"
		"'responseHeaderModifier':{'set':[{'name':'X-D','value':'4'}]}}]}]},"
		"{'matches':[{'path':{'value':'/go'}}],'filters':[{'type':'RequestRedirect','requestRedirect':{"
		"'scheme':'https','statusCode':301,'path':{'type':'ReplaceFullPath','replaceFullPath':'/there'}}}]}]"));
	r = kit_route(k, "main", "GET", "x", "/a/b");
	assert_non_null(r);
	assert_int_equal(r->timeout_ns, 90 * NS_PER_S);
	assert_int_equal(r->try_timeout_ns, 250 * NS_PER_MS);
	assert_true(span_equal(r->filters.request.set[0].name, SPAN("x-a")));
	assert_true(span_equal(r->filters.request.add[0].value, SPAN("2")));
	assert_true(span_equal(r->filters.request.remove[0], SPAN("x-c")));
	assert_true(span_equal(r->filters.rewrite.host, SPAN("in.example.com")));
	assert_true(r->filters.rewrite.has_path && r->filters.rewrite.is_prefix);
	assert_int_equal(r->mirror_count, 1);
	assert_int_equal(r->mirrors[0].numerator, 20);
	assert_int_equal(r->mirrors[0].denominator, 100);
	assert_true(span_equal(r->targets[0].filters.answer.set[0].name, SPAN("x-d")));
	r = kit_route(k, "main", "GET", "x", "/go");
	assert_int_equal(r->filters.redirect.status, 301);
	assert_int_equal(r->filters.redirect.port, 443);
	assert_true(r->filters.redirect.rewrite.has_path && !r->filters.redirect.rewrite.is_prefix);
	kit_done(k);
}

static void grpc_routes_take_methods_and_headers_of_grpc_alone(void **state)
{
	struct kit *k = kit_new();
	const struct value *route;

	(void)state;
	services_apply(k);
	kit_apply(k, &resource_grpc_routes,
		  GRPC("g", PARENT
		       ",'rules':[{'matches':[{'method':{'service':'p.S','method':'M'}}],"
		       "'backendRefs':[{'name':'web','port':90}]},"
		       "{'matches':[{'method':{'service':'p.S'}}],'backendRefs':[{'name':'other','port':90}]},"
		       "{'matches':[{'headers':[{'name':'seldon','value':'m'}]}],"
		       "'backendRefs':[{'name':'web','port':80}]},"
		       "{'matches':[{'method':{'method':'Only'}}],'backendRefs':[{'name':'other','port':80}]}]"));
	assert_string_equal(kit_ask(k, "main", "GRPC", "x", "/p.S/M", NULL, NULL), "grpcroute/default/g/0 → web:1");
	assert_string_equal(kit_ask(k, "main", "GRPC", "x", "/p.S/Other", NULL, NULL),
			    "grpcroute/default/g/1 → other:1");
	assert_string_equal(kit_ask(k, "main", "GRPC", "x", "/q.T/U", "seldon", "m"), "grpcroute/default/g/2 → web:1");
	assert_string_equal(kit_ask(k, "main", "GRPC", "x", "/q.T/Only", NULL, NULL),
			    "grpcroute/default/g/3 → other:1");
	assert_string_equal(kit_ask(k, "main", "POST", "x", "/p.S/M", NULL, NULL), "none");
	route = kit_get(k, &resource_grpc_routes, "default", "g");
	assert_string_equal(kit_condition(k, first_parent(route), "conditions", "Accepted"), "True Accepted");
	kit_done(k);
}

#define NAMESPACE(name) "{'apiVersion':'v1','kind':'Namespace','metadata':{'name':'" name "'}}"

static void another_namespaces_service_wants_a_grant(void **state)
{
	struct kit *k = kit_new();
	const struct value *route;

	(void)state;
	kit_apply(k, &resource_namespaces, NAMESPACE("team"));
	kit_apply(k, &resource_services,
		  "{'apiVersion':'v1','kind':'Service','metadata':{'name':'web','namespace':'team'},"
		  "'spec':{'ports':[{'port':80}]}}");
	kit_apply(k, &resource_http_routes,
		  ROUTE("web", PARENT ",'rules':[{'backendRefs':[{'name':'web','namespace':'team','port':80}]}]"));
	route = kit_get(k, &resource_http_routes, "default", "web");
	assert_string_equal(kit_condition(k, first_parent(route), "conditions", "ResolvedRefs"),
			    "False RefNotPermitted");
	assert_string_equal(kit_ask(k, "main", "GET", "x", "/", NULL, NULL), "httproute/default/web/0 → -:1");
	kit_apply(k, &resource_reference_grants,
		  "{'apiVersion':'gateway.networking.k8s.io/v1beta1','kind':'ReferenceGrant','metadata':{'name':'g',"
		  "'namespace':'team'},'spec':{'from':[{'group':'gateway.networking.k8s.io','kind':'HTTPRoute',"
		  "'namespace':'default'}],'to':[{'group':'','kind':'Service'}]}}");
	route = kit_get(k, &resource_http_routes, "default", "web");
	assert_string_equal(kit_condition(k, first_parent(route), "conditions", "ResolvedRefs"), "True ResolvedRefs");
	assert_string_equal(kit_ask(k, "main", "GET", "x", "/", NULL, NULL), "httproute/default/web/0 → web:1");
	kit_done(k);
}

#define GATEWAY(name, listeners)                                                                                       \
	"{" API "'kind':'Gateway','metadata':{'name':'" name                                                           \
	"'},'spec':{'gatewayClassName':'hythe','listeners':[" listeners "]}}"

static void listeners_of_other_gateways_are_entries_that_are_kept_apart(void **state)
{
	struct kit *k = kit_new();
	const struct value *gateway, *listeners, *route;

	(void)state;
	services_apply(k);
	kit_apply(k, &resource_namespaces, NAMESPACE("team"));
	kit_apply(k, &resource_gateways,
		  GATEWAY("own", "{'name':'all','port':9090,'protocol':'HTTP'},"
				 "{'name':'wild','port':9090,'protocol':'HTTP','hostname':'*.example.com'},"
				 "{'name':'tcp','port':9091,'protocol':'TCP'}"));
	kit_apply(k, &resource_http_routes,
		  ROUTE("all", "'parentRefs':[{'name':'own','sectionName':'all'}],"
			       "'rules':[{'backendRefs':[{'name':'web','port':80}]}]"));
	kit_apply(k, &resource_http_routes,
		  ROUTE("wild",
			"'parentRefs':[{'name':'own','sectionName':'wild'}],'hostnames':['a.example.com','b.org'],"
			"'rules':[{'backendRefs':[{'name':'other','port':80}]}]"));
	kit_apply(k, &resource_http_routes,
		  "{" API "'kind':'HTTPRoute','metadata':{'name':'stranger','namespace':'team'},'spec':{"
		  "'parentRefs':[{'name':'own','namespace':'default'}]}}");
	kit_apply(k, &resource_http_routes,
		  ROUTE("nowhere", "'parentRefs':[{'name':'own','sectionName':'wild'}],'hostnames':['c.org']"));
	assert_string_equal(kit_ask(k, "tcp 127.0.0.1:9090", "GET", "x", "/", NULL, NULL),
			    "httproute/default/all/0 → web:1");
	assert_string_equal(kit_ask(k, "tcp 127.0.0.1:9090", "GET", "a.example.com", "/", NULL, NULL),
			    "httproute/default/wild/0 → other:1");
	assert_string_equal(kit_ask(k, "tcp 127.0.0.1:9090", "GET", "b.example.com", "/", NULL, NULL), "none");
	route = kit_get(k, &resource_http_routes, "team", "stranger");
	assert_string_equal(kit_condition(k, first_parent(route), "conditions", "Accepted"),
			    "False NotAllowedByListeners");
	route = kit_get(k, &resource_http_routes, "default", "nowhere");
	assert_string_equal(kit_condition(k, first_parent(route), "conditions", "Accepted"),
			    "False NoMatchingListenerHostname");
	gateway = kit_get(k, &resource_gateways, "default", "own");
	listeners = value_find(gateway, "status.listeners");
	assert_string_equal(kit_condition(k, value_item(listeners, 2), "conditions", "Accepted"),
			    "False UnsupportedProtocol");
	assert_string_equal(kit_condition(k, value_item(listeners, 0), "conditions", "Programmed"), "False Pending");
	kit_bind_all(k);
	gateway = kit_get(k, &resource_gateways, "default", "own");
	assert_string_equal(
	    kit_condition(k, value_item(value_find(gateway, "status.listeners"), 0), "conditions", "Programmed"),
	    "True Programmed");
	kit_done(k);
}

static void a_route_with_a_bad_regex_is_not_accepted_and_harms_nobody(void **state)
{
	struct kit *k = kit_new();
	const struct value *route;

	(void)state;
	services_apply(k);
	kit_apply(k, &resource_http_routes,
		  ROUTE("bad", PARENT ",'rules':[{'matches':[{'path':{'type':'RegularExpression','value':'/(['}}],"
				      "'backendRefs':[{'name':'web','port':80}]}]"));
	kit_apply(k, &resource_http_routes,
		  ROUTE("good", PARENT ",'rules':[{'backendRefs':[{'name':'web','port':80}]}]"));
	route = kit_get(k, &resource_http_routes, "default", "bad");
	assert_string_equal(kit_condition(k, first_parent(route), "conditions", "Accepted"), "False UnsupportedValue");
	assert_string_equal(kit_ask(k, "main", "GET", "x", "/", NULL, NULL), "httproute/default/good/0 → web:1");
	kit_done(k);
}

/* ---- cost ---- */

/* As when another program has the machine, or this one is stopped for a while: what passes is rare for is the work. */
static void a_pass_that_was_held_up_does_not_put_off_the_next(void **state)
{
	enum { HELD_MS = 1000 };
	struct kit *k = kit_new();

	(void)state;
	k->publish_ms = HELD_MS;
	kit_apply(k, &resource_services, SERVICE("one", "'ports':[{'port':80}]"));
	assert_true(k->compile->next_ns < clock_monotonic_ns() + HELD_MS * NS_PER_MS);
	kit_done(k);
}

static void a_change_among_many_services_is_in_the_plan(void **state)
{
	struct kit *k = kit_new();
	int64_t least = INT64_MAX;

	(void)state;
	for (int i = 0; i < 2000; i++) {
		kit_apply_quietly(k, &resource_services, SERVICE("s%d", "'ports':[{'port':80,'targetPort':8000}]"), i);
		kit_apply_quietly(
		    k, &resource_endpoint_slices,
		    SLICE("s%d-1", "s%d", "{'name':'','protocol':'TCP','port':8000}",
			  POD("127.97.%d.3", "a", "'ready':true") "," POD("127.97.%d.4", "b", "'ready':true")),
		    i, i, i % 256, i % 256);
		if (i % 100 == 99)
			kit_settle(k);
	}
	kit_settle(k);
	for (int i = 0; i < 20; i++) { /* the shortest: others use the machine too */
		kit_apply(k, &resource_services, SERVICE("one-more", "'ports':[{'port':%d}]"), 80 + i);
		least = MIN(least, k->compile->pass_ns);
	}
	print_message("2,000 services: a pass takes %.2f ms\n", (double)least / 1e6);
	assert_true(k->plan->backend_count > 2000);
	kit_done(k);
}

static void a_change_among_many_routes_is_in_the_plan(void **state)
{
	struct kit *k = kit_new();
	int64_t least = INT64_MAX;

	(void)state;
	services_apply(k);
	for (int i = 0; i < 1000; i++) {
		kit_apply_quietly(k, &resource_http_routes,
				  ROUTE("r%d",
					PARENT ",'rules':[{'matches':[{'path':{'value':'/seldon/default/m%d/'}}],"
					       "'backendRefs':[{'name':'web','port':80}]}]"),
				  i, i);
		if (i % 100 == 99)
			kit_settle(k);
	}
	kit_settle(k);
	for (int i = 0; i < 20; i++) {
		kit_apply(k, &resource_services, SERVICE("one-more", "'ports':[{'port':%d}]"), 80 + i);
		least = MIN(least, k->compile->pass_ns);
	}
	print_message("1,000 routes: a pass takes %.2f ms\n", (double)least / 1e6);
	assert_string_equal(kit_ask(k, "main", "GET", "x", "/seldon/default/m999/v2", NULL, NULL),
			    "httproute/default/r999/0 → web:1");
	kit_done(k);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_service_is_an_entry_at_its_address_with_the_endpoints_of_its_slices),
		cmocka_unit_test(endpoints_of_several_slices_are_joined_and_each_is_there_once),
		cmocka_unit_test(how_a_port_is_spoken_to_is_its_app_protocol_then_its_name),
		cmocka_unit_test(udp_node_ports_affinity_and_services_without_an_address),
		cmocka_unit_test(behind_the_service_kubernetes_is_this_process),
		cmocka_unit_test(a_load_balancer_tells_the_port_it_found_and_keeps_it),
		cmocka_unit_test(a_status_that_could_not_be_written_is_written_later),
		cmocka_unit_test(a_load_balancer_of_another_class_is_left_alone),
		cmocka_unit_test(an_address_that_cannot_be_bound_is_an_event_of_the_service),
		cmocka_unit_test(a_port_of_the_host_is_an_entry_with_its_pod_alone_behind_it),
		cmocka_unit_test(a_port_of_the_host_that_another_has_is_an_event_of_the_pod),
		cmocka_unit_test(changes_of_one_moment_make_one_plan),
		cmocka_unit_test(ingresses_of_the_class_are_routes_of_the_shared_entry),
		cmocka_unit_test(the_gateway_and_its_class_are_there_from_the_start_and_say_how_they_are),
		cmocka_unit_test(routes_of_the_gateway_match_weigh_and_tell_their_status),
		cmocka_unit_test(filters_and_time_limits_of_a_rule_come_to_the_plan),
		cmocka_unit_test(grpc_routes_take_methods_and_headers_of_grpc_alone),
		cmocka_unit_test(another_namespaces_service_wants_a_grant),
		cmocka_unit_test(listeners_of_other_gateways_are_entries_that_are_kept_apart),
		cmocka_unit_test(a_route_with_a_bad_regex_is_not_accepted_and_harms_nobody),
		cmocka_unit_test(a_pass_that_was_held_up_does_not_put_off_the_next),
		cmocka_unit_test(a_change_among_many_services_is_in_the_plan),
		cmocka_unit_test(a_change_among_many_routes_is_in_the_plan),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
