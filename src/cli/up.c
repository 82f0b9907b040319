/* SPDX-License-Identifier: Apache-2.0 */
/* up - the API server on this machine. */
#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "cli/folder.h"
#include "cli/options.h"
#include "cli/serving.h"
#include "cli/up.h"
#include "cli/up_gateway.h"
#include "cli/up_node.h"
#include "cli/upgrade.h"
#include "controllers/controller.h"
#include "kube/auth/pki.h"
#include "kube/kube.h"

enum {
	API_BODY_BYTES = 3 << 20,
	API_COMPRESSION_LEAST = 128 << 10,
	API_DRAIN_MS = 5000 /* exec, logs and port-forward that are open then are cut: nobody is answered meanwhile */
};
#define RENEW_EVERY_NS (3600 * NS_PER_S)
#define TAKE_MOST_NS   (10 * NS_PER_S)

/* What the command holds while it runs. */
struct up {
	const struct cli_call *call;
	const struct up_options *options;
	const char *folder, *store_folder, *kubeconfig, *url;
	struct metrics *metrics;
	struct pki *pki;
	struct server *server;
	struct store *store;
	struct kube *kube;
	struct cluster *cluster;
	struct manager *manager;
	struct up_node *node;       /* NULL: --node off */
	struct up_gateway *gateway; /* NULL: --gateway off */
	struct upgrade *taken;      /* the one that ran here; NULL: none did */
	pid_t taken_from;           /* 0: nobody */
	struct upgrade_offer *offer;
	struct upgrade_addresses addresses; /* of the API */
	bool is_ended;                      /* cluster_end() */
	int64_t started_ns;
	size_t objects; /* in the store, as it was opened */
};

/* ---- folders ---- */

static bool folder_make(const char *path, struct error *err)
{
	AUTO_FREE char *copy = span_to_text(span_of(path));

	for (char *at = copy + 1; *at; at++) {
		if (*at != '/')
			continue;
		*at = '\0';
		if (mkdir(copy, 0755) != 0 && errno != EEXIST)
			return error_errno(err, errno, "cannot make the folder '%s'", copy);
		*at = '/';
	}
	if (mkdir(copy, 0700) != 0 && errno != EEXIST)
		return error_errno(err, errno, "cannot make the folder '%s'", copy);
	return true;
}

static bool folders_open(struct up *u, struct error *err)
{
	struct arena *arena = u->call->arena;

	u->folder = data_folder(u->options->data_dir, arena, err);
	if (!u->folder || !folder_make(u->folder, err))
		return false;
	u->store_folder = data_path(u->folder, "store", arena, err);
	u->kubeconfig = data_path(u->folder, "kubeconfig", arena, err);
	return u->store_folder && u->kubeconfig;
}

/* ---- start ---- */

/* What the certificate must be good for besides the usual names: the addresses that are listened on. */
static const char *const *names_of(struct up *u, struct error *err)
{
	const struct text_list *listen = &u->options->listen_api;
	const char **names = ARENA_ARRAY(u->call->arena, const char *, listen->count + 1, err);
	size_t count = 0;

	for (size_t i = 0; names && i < listen->count; i++) {
		struct span host = span_of(listen->items[i]);
		size_t at = host.len;

		while (at && host.ptr[at - 1] != ':')
			at--;
		host = span_first(host, at ? at - 1 : 0);
		if (host.len > 2 && host.ptr[0] == '[')
			host = span_first(span_skip(host, 1), host.len - 2);
		if (!host.len || span_starts(host, SPAN("unix")) || span_equal(host, SPAN("0.0.0.0")) ||
		    span_equal(host, SPAN("::")))
			continue;
		names[count] = arena_copy(u->call->arena, host, err).ptr;
		count += names[count] != NULL;
	}
	if (names)
		names[count] = NULL;
	return names;
}

static bool server_open(struct up *u, struct error *err)
{
	const struct up_options *o = u->options;
	static const struct route *const routes[] = { kube_routes, NULL };
	struct server_config config = {
		.addresses = u->addresses.items,
		.address_count = u->addresses.count,
		.tls_certificate = pki_server_certificate_file(u->pki),
		.tls_key = pki_server_key_file(u->pki),
		.tls_client_ca = pki_ca_file(u->pki),
		.tls_client_optional = true,
		.routes = routes,
		.workers = 1, /* one loop does everything: see kube.h */
		.compute_threads = 1,
		.limits = server_limits_default(),
		.metrics = u->metrics,
		.compression = true,
		.compression_least = API_COMPRESSION_LEAST,
		.access_log = (enum access_log)o->access_log,
	};

	config.limits.body_bytes = API_BODY_BYTES;
	config.limits.connections = o->connections_most;
	config.limits.drain_timeout_ms = API_DRAIN_MS;
	u->server = server_new(&config, err);
	return u->server || serving_name_flag(err, "-api");
}

static bool store_begin(struct up *u, struct error *err)
{
	struct store_config config = store_config_default();
	int64_t until_ns = clock_monotonic_ns() + TAKE_MOST_NS;

	config.folder = u->store_folder;
	config.loop = server_worker_loop(u->server, 0);
	config.durability = u->options->durability == 0 ? STORE_DURABLE : STORE_BUFFERED;
	config.history_bytes = u->options->history_bytes;
	config.history_ns = u->options->history_ms * NS_PER_MS;
	kube_prepare_store(&config);
	u->store = store_open(&config, err);
	/* A process that was killed lets go of us a little before it lets go of the store. */
	while (!u->store && u->taken && err->code == ERROR_UNAVAILABLE && clock_monotonic_ns() < until_ns) {
		const struct timespec a_little = { .tv_nsec = 10 * NS_PER_MS };

		(void)nanosleep(&a_little, NULL);
		*err = (struct error){ 0 };
		u->store = store_open(&config, err);
	}
	u->objects = u->store ? store_count(u->store, SPAN("/")) : 0;
	return u->store != NULL;
}

static bool kube_begin(struct up *u, struct error *err)
{
	struct kube_config config = kube_config_default();

	config.loop = server_worker_loop(u->server, 0);
	config.store = u->store;
	config.folder = u->folder;
	config.pki = u->pki;
	config.server_address = server_address(u->server, 0);
	config.metrics = u->metrics;
	config.is_rbac_off = u->options->authorization == 1;
	config.ships_definitions = u->options->shipped_kinds == 0;
	config.token_file = u->options->token_file;
	config.audit_log = u->options->audit_log;
	config.watches_most = u->options->watches;
	config.watch_backlog_bytes = u->options->watch_backlog_bytes;
	config.requests_waiting_most = u->options->requests_waiting;
	u->kube = kube_new(&config, err);
	if (!u->kube)
		return false;
	server_set_context(u->server, u->kube);
	return true;
}

/* Absolute: it stands in objects. */
static const char *volumes_folder(struct up *u, struct error *err)
{
	AUTO_FREE char *folder = realpath(u->folder, NULL);

	if (folder)
		return data_path(folder, "volumes", u->call->arena, err);
	(void)error_errno(err, errno, "cannot find the folder '%s'", u->folder);
	return NULL;
}

/* On the loop that the API server runs on: what they see is what it has. */
static bool controllers_begin(struct up *u, struct error *err)
{
	struct manager_config config = { .loop = server_worker_loop(u->server, 0) };

	config.names = up_controllers(u->call, err);
	config.volumes = volumes_folder(u, err);
	if (!config.names || !config.volumes)
		return false;
	u->cluster = config.cluster = cluster_local_new(u->kube);
	u->manager = manager_new(&config, err);
	return u->manager || error_wrap(err, "--controllers");
}

/* On that loop too. After the controllers: what they make of what is there is what runs. */
static bool node_begin(struct up *u, struct error *err)
{
	struct up_node_config config = { .options = u->options,
					 .cluster = u->cluster,
					 .kube = u->kube,
					 .loop = server_worker_loop(u->server, 0),
					 .metrics = u->metrics,
					 .folder = u->folder,
					 .gateway = u->gateway ? up_gateway_gateway(u->gateway) : NULL };

	if (u->options->node == 1)
		return true;
	u->node = up_node_new(&config, err);
	return u->node != NULL;
}

/* Its sockets, before anything is written: an address that is taken ends the start. */
static bool gateway_open(struct up *u, struct error *err)
{
	struct up_gateway_config config = { .options = u->options,
					    .loop = server_worker_loop(u->server, 0),
					    .metrics = u->metrics,
					    .folder = u->folder,
					    .api_address = server_address(u->server, 0),
					    .upgrade = u->taken };

	if (u->options->gateway == 1)
		return true;
	u->gateway = up_gateway_new(&config, err);
	return u->gateway != NULL;
}

/* Before the node: pods that run already are found. */
static bool gateway_begin(struct up *u, struct error *err)
{
	struct up_gateway_cluster c = { .cluster = u->cluster, .kube = u->kube, .manager = u->manager };

	return !u->gateway || up_gateway_start(u->gateway, &c, err);
}

static const char *url_of(struct up *u, size_t index, struct error *err)
{
	struct span address = span_of(server_address(u->server, index));

	/* "Every address" is none that a client can call. */
	if (span_starts(address, SPAN("0.0.0.0:")))
		return arena_print(u->call->arena, err, "https://127.0.0.1%s", address.ptr + strlen("0.0.0.0")).ptr;
	if (span_starts(address, SPAN("[::]:")))
		return arena_print(u->call->arena, err, "https://[::1]%s", address.ptr + strlen("[::]")).ptr;
	return arena_print(u->call->arena, err, "https://%s", address.ptr).ptr;
}

static bool is_loopback(const char *address)
{
	struct span a = span_of(address);

	return span_starts(a, SPAN("127.")) || span_starts(a, SPAN("[::1]")) || span_starts(a, SPAN("localhost:")) ||
	       span_starts(a, SPAN("unix:"));
}

static bool options_check(const struct up_options *o, struct error *err)
{
	if (!o->listen_api.count)
		return error_set(err, ERROR_INVALID, "--listen-api is empty");
	for (size_t i = 0; o->authorization == 1 && i < o->listen_api.count; i++)
		if (!is_loopback(o->listen_api.items[i]))
			return error_set(
			    err, ERROR_INVALID,
			    "--listen-api %s is reached from other machines: it needs --authorization rbac",
			    o->listen_api.items[i]);
	return true;
}

/* All that can be known to fail has not: the one that runs here ends all but its gateway. */
static bool take_over(struct up *u)
{
	if (u->taken)
		upgrade_ask(u->taken);
	return true;
}

static bool join(struct up *u, struct error *err)
{
	u->taken = upgrade_join(u->folder, err);
	u->taken_from = u->taken ? upgrade_pid(u->taken) : 0;
	upgrade_addresses_init(&u->addresses, u->taken, "api", &u->options->listen_api);
	return u->taken || !err->code;
}

static void sockets_of(void *context, struct upgrade_sockets *to)
{
	struct up *u = context;

	upgrade_add_server(to, &u->addresses, u->server);
	up_gateway_sockets(u->gateway, to);
}

/* It serves: the one before may end, and the next may come. */
static void settle(struct up *u)
{
	struct error err = { 0 };

	u->offer = upgrade_listen(u->folder, sockets_of, u, &err);
	if (!u->offer)
		log_warn("up", "no other process can take over from this one", LOG_TEXT("error", err.message));
	if (!u->taken)
		return;
	up_gateway_wait_ready(u->gateway);
	upgrade_serves(u->taken);
	upgrade_free(TAKE(u->taken));
}

static bool up_start(struct up *u, struct error *err)
{
	struct arena *arena = u->call->arena;
	const char *const *names;

	if (!options_check(u->options, err) || !folders_open(u, err))
		return false;
	names = names_of(u, err);
	u->pki = names ? pki_open(data_path(u->folder, "pki", arena, err), names, err) : NULL;
	if (!u->pki || !join(u, err) || !server_open(u, err) || !gateway_open(u, err) || !take_over(u) ||
	    !store_begin(u, err) || !kube_begin(u, err) || !controllers_begin(u, err) || !gateway_begin(u, err) ||
	    !node_begin(u, err))
		return false;
	u->url = url_of(u, 0, err);
	if (!u->url || !pki_write_kubeconfig(u->pki, u->kubeconfig, u->url, err) || !server_start(u->server, err))
		return false;
	settle(u);
	return true;
}

/* ---- what it prints ---- */

/* What somebody should know who did not read all flags. */
static size_t warnings_of(const struct up *u, const char *ret[3])
{
	size_t count = 0;

	if (u->options->authorization == 1)
		ret[count++] = "authorization is off: everybody with credentials may do all";
	if (u->options->durability != 0)
		ret[count++] = "writes are answered before they are durable: a loss of power loses the last of them";
	for (size_t i = 0; i < u->options->listen_api.count; i++) {
		if (is_loopback(u->options->listen_api.items[i]))
			continue;
		ret[count++] = "the API is reached from other machines";
		break;
	}
	return count;
}

static void announce_json(const struct up *u, struct buffer *out)
{
	struct json_writer w = json_writer(out);
	const char *warnings[3];
	size_t count = warnings_of(u, warnings);
	struct error err = { 0 };

	json_open_object(&w);
	json_key(&w, SPAN("version"));
	json_string(&w, SPAN(HYTHE_VERSION));
	json_key(&w, SPAN("api"));
	json_string(&w, span_of(u->url));
	json_key(&w, SPAN("listen"));
	json_open_array(&w);
	for (size_t i = 0; i < u->options->listen_api.count; i++)
		json_string(&w, span_of(url_of((struct up *)u, i, &err)));
	json_close_array(&w);
	if (u->gateway && up_gateway_address(u->gateway)) {
		json_key(&w, SPAN("gateway"));
		json_string(&w, span_of(up_gateway_address(u->gateway)));
	}
	json_key(&w, SPAN("dataDir"));
	json_string(&w, span_of(u->folder));
	json_key(&w, SPAN("kubeconfig"));
	json_string(&w, span_of(u->kubeconfig));
	if (u->node) {
		json_key(&w, SPAN("node"));
		json_string(&w, span_of(up_node_name(u->node)));
	}
	if (u->taken_from) {
		json_key(&w, SPAN("tookOverFrom"));
		json_int64(&w, u->taken_from);
	}
	json_key(&w, SPAN("objects"));
	json_int64(&w, (int64_t)u->objects);
	json_key(&w, SPAN("startMilliseconds"));
	json_int64(&w, (clock_monotonic_ns() - u->started_ns) / NS_PER_MS);
	json_key(&w, SPAN("warnings"));
	json_open_array(&w);
	for (size_t i = 0; i < count; i++)
		json_string(&w, span_of(warnings[i]));
	json_close_array(&w);
	json_close_object(&w);
	buffer_byte(out, '\n');
}

static void announce_text(const struct up *u, struct buffer *out)
{
	const char *warnings[3];
	size_t count = warnings_of(u, warnings);
	struct error err = { 0 };

	buffer_print(out, "hythe " HYTHE_VERSION " is up after %lld ms\n",
		     (long long)((clock_monotonic_ns() - u->started_ns) / NS_PER_MS));
	for (size_t i = 0; i < u->options->listen_api.count; i++)
		buffer_print(out, "  api         %s (Kubernetes API)\n", url_of((struct up *)u, i, &err));
	if (u->gateway && up_gateway_address(u->gateway))
		buffer_print(out, "  gateway     http://%s (Ingress, routes, predictions)\n",
			     up_gateway_address(u->gateway));
	buffer_print(out, "  data        %s (%zu objects)\n  kubeconfig  %s\n  metrics     %s/metrics\n", u->folder,
		     u->objects, u->kubeconfig, u->url);
	if (u->node)
		buffer_print(
		    out, "  node        %s (runs pods as processes; Ctrl-C ends them, SIGTERM leaves them running)\n",
		    up_node_name(u->node));
	if (u->taken_from)
		buffer_print(out, "  upgrade     took over from process %d\n", (int)u->taken_from);
	for (size_t i = 0; i < count; i++)
		buffer_print(out, "  warning     %s\n", warnings[i]);
	buffer_print(out, "Try:\n  KUBECONFIG=%s kubectl get namespaces\n", u->kubeconfig);
}

static void announce(const struct up *u)
{
	struct buffer out;

	buffer_init(&out, KIB(64));
	if (u->options->as_json)
		announce_json(u, &out);
	else if (u->options->quiet)
		buffer_print(&out, "%s\n", u->url);
	else
		announce_text(u, &out);
	(void)fwrite(out.ptr, 1, out.len, stdout);
	(void)fflush(stdout); /* nobody listening to it is no reason not to serve */
	buffer_done(&out);
}

/* ---- running ---- */

static void certificates_renew(void *context)
{
	struct up *u = context;
	struct error err = { 0 };
	bool is_renewed = false;

	if (!pki_renew(u->pki, &is_renewed, &err) || (is_renewed && !server_reload_tls(u->server, &err)))
		log_error("up", "the old certificate goes on", LOG_TEXT("error", err.message));
	else if (is_renewed)
		log_info("up", "certificate renewed");
	err = (struct error){ 0 };
	if (!pki_admin_is_fresh(u->pki) && !pki_write_kubeconfig(u->pki, u->kubeconfig, u->url, &err))
		log_error("up", "the old kubeconfig goes on", LOG_TEXT("error", err.message));
}

/* A second signal ends the program, and leaves the pods. */
static void pods_end(struct up *u)
{
	sigset_t set = serving_signals();

	log_info("up", "pods are being ended: a second signal leaves them running");
	sigdelset(&set, SIGHUP);
	signal(SIGTERM, SIG_DFL);
	signal(SIGINT, SIG_DFL);
	pthread_sigmask(SIG_UNBLOCK, &set, NULL);
	up_node_end_pods(u->node);
}

/* The server's threads have ended: what is left of the store runs its callbacks here, while the rest is still there. */
static void cluster_end(struct up *u)
{
	if (u->is_ended)
		return;
	u->is_ended = true;
	up_node_stop(u->node);
	up_gateway_stop(u->gateway);
	manager_stop(u->manager);
	cluster_free(u->cluster);
	kube_stop(u->kube);
	if (u->store)
		store_close(u->store);
	up_node_free(u->node);
}

static void up_free(struct up *u)
{
	cluster_end(u);
	upgrade_close(u->offer); /* whose thread asks the others for their sockets */
	up_gateway_free(u->gateway);
	manager_free(u->manager);
	kube_free(u->kube);
	server_free(u->server);
	pki_free(u->pki);
	upgrade_free(u->taken);
	upgrade_addresses_done(&u->addresses);
	metrics_free(u->metrics);
}

/* Another process takes over: see upgrade.h. Clients wait in the sockets, which both have, and the gateway goes on until the other one serves. */
static bool hand_over(struct up *u, struct error *err)
{
	bool is_served;

	server_leave_sockets(u->server);
	kube_drain(u->kube);
	serving_drain(u->server);
	cluster_end(u);
	is_served = upgrade_give(u->offer);
	up_gateway_leave(u->gateway);
	up_gateway_wait(u->gateway);
	if (!is_served)
		upgrade_start_again(u->offer, err);
	return is_served;
}

static void end(struct up *u)
{
	up_gateway_drain(u->gateway);
	kube_drain(u->kube);
	serving_drain(u->server);
	up_gateway_wait(u->gateway);
}

int up_run(const struct cli_call *call)
{
	struct up u = { .call = call, .options = call->options, .started_ns = clock_monotonic_ns() };
	sigset_t set = serving_signals();
	struct error err = { 0 };
	int code = EXIT_OK;

	log_setup((enum log_level)u.options->log_level, (enum log_format)u.options->log_format);
	if (u.options->kubeconfig)
		return up_remote(call);
	mallopt(M_ARENA_MAX, 1);
	signal(SIGPIPE, SIG_IGN);
	serving_raise_files();
	pthread_sigmask(SIG_BLOCK, &set, NULL); /* before threads, which inherit it */
	u.metrics = metrics_new();
	if (up_start(&u, &err)) {
		bool ends_pods, is_asked;

		announce(&u);
		ends_pods =
		    serving_wait(certificates_renew, certificates_renew, RENEW_EVERY_NS, &u) == SIGINT && u.node;
		is_asked = upgrade_ends(u.offer); /* before a second signal ends the program */
		if (ends_pods)
			pods_end(&u);
		if (!is_asked)
			end(&u);
		else if (!hand_over(&u, &err))
			code = EXIT_FAILED;
	} else {
		code = EXIT_FAILED;
	}
	if (code != EXIT_OK)
		cli_complain(call->command, &err);
	up_free(&u);
	return code;
}
