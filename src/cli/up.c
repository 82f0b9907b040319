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
#include "kube/auth/pki.h"
#include "kube/kube.h"

enum { API_BODY_BYTES = 3 << 20, API_COMPRESSION_LEAST = 128 << 10 };
#define RENEW_EVERY_NS (3600 * NS_PER_S)

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

/* The server names its own flag where an address is taken; here that is another. */
static bool name_the_flag(struct error *err)
{
	struct span flag = SPAN("--listen");
	size_t len = strlen(err->message);

	if (err->code == ERROR_ALREADY_EXISTS && span_ends(span_of(err->message), flag))
		(void)snprintf(err->message + len, sizeof(err->message) - len, "-api");
	return false;
}

static bool server_open(struct up *u, struct error *err)
{
	const struct up_options *o = u->options;
	static const struct route *const routes[] = { kube_routes, NULL };
	struct server_config config = {
		.addresses = o->listen_api.items,
		.address_count = o->listen_api.count,
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
	u->server = server_new(&config, err);
	return u->server || name_the_flag(err);
}

static bool store_begin(struct up *u, struct error *err)
{
	struct store_config config = store_config_default();

	config.folder = u->store_folder;
	config.loop = server_worker_loop(u->server, 0);
	config.durability = u->options->durability == 0 ? STORE_DURABLE : STORE_BUFFERED;
	config.history_bytes = u->options->history_bytes;
	config.history_ns = u->options->history_ms * NS_PER_MS;
	kube_prepare_store(&config);
	u->store = store_open(&config, err);
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

static bool up_start(struct up *u, struct error *err)
{
	struct arena *arena = u->call->arena;
	const char *const *names;

	if (!options_check(u->options, err) || !folders_open(u, err))
		return false;
	names = names_of(u, err);
	u->pki = names ? pki_open(data_path(u->folder, "pki", arena, err), names, err) : NULL;
	if (!u->pki || !server_open(u, err) || !store_begin(u, err) || !kube_begin(u, err))
		return false;
	u->url = url_of(u, 0, err);
	return u->url && pki_write_kubeconfig(u->pki, u->kubeconfig, u->url, err) && server_start(u->server, err);
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
	json_key(&w, SPAN("dataDir"));
	json_string(&w, span_of(u->folder));
	json_key(&w, SPAN("kubeconfig"));
	json_string(&w, span_of(u->kubeconfig));
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
	buffer_print(out, "  data        %s (%zu objects)\n  kubeconfig  %s\n  metrics     %s/metrics\n", u->folder,
		     u->objects, u->kubeconfig, u->url);
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

static void up_free(struct up *u)
{
	/* The server's threads have ended: what is left of the store runs its callbacks here, while the rest is still there. */
	kube_stop(u->kube);
	if (u->store)
		store_close(u->store);
	kube_free(u->kube);
	server_free(u->server);
	pki_free(u->pki);
	metrics_free(u->metrics);
}

int up_run(const struct cli_call *call)
{
	struct up u = { .call = call, .options = call->options, .started_ns = clock_monotonic_ns() };
	sigset_t set = serving_signals();
	struct error err = { 0 };
	int code = EXIT_OK;

	log_setup((enum log_level)u.options->log_level, (enum log_format)u.options->log_format);
	mallopt(M_ARENA_MAX, 1);
	signal(SIGPIPE, SIG_IGN);
	pthread_sigmask(SIG_BLOCK, &set, NULL); /* before threads, which inherit it */
	u.metrics = metrics_new();
	if (up_start(&u, &err)) {
		announce(&u);
		serving_wait(certificates_renew, certificates_renew, RENEW_EVERY_NS, &u);
		kube_drain(u.kube);
		serving_drain(u.server);
	} else {
		cli_complain(call->command, &err);
		code = EXIT_FAILED;
	}
	up_free(&u);
	return code;
}
