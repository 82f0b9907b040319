/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/options.h"

#define AT(type, member) offsetof(struct type, member)

/* ---- rows that several commands share ---- */

#define MODEL_ROWS(options)                                                                                            \
	{ .name = "features",                                                                                          \
	  .type = FLAG_LIST,                                                                                           \
	  .offset = AT(options, model.features),                                                                       \
	  .value = "A,B,C",                                                                                            \
	  .group = "Models",                                                                                           \
	  .help = "names of the columns, in order, for models that know none; or @FILE, one a line" },                 \
	    { .name = "onnxruntime",                                                                                   \
	      .type = FLAG_PATH,                                                                                       \
	      .offset = AT(options, model.onnxruntime),                                                                \
	      .value = "PATH",                                                                                         \
	      .group = "Models",                                                                                       \
	      .help = "libonnxruntime.so, for ONNX operators that are not native; without it the usual places" },      \
	{                                                                                                              \
		.name = "all-rounds", .type = FLAG_SWITCH, .offset = AT(options, model.all_rounds), .group = "Models", \
		.help = "use every boosting round of XGBoost and LightGBM models, not only up to the best one"         \
	}

/* ---- serve ---- */

/* The unit of a limit's row says how its value is written; sizes are binary multiples, times are kept in milliseconds.
 */
#define LIMIT_TYPE_size_t   FLAG_SIZE
#define LIMIT_TYPE_int64_t  FLAG_DURATION
#define LIMIT_UNIT_size_t   ""
#define LIMIT_UNIT_int64_t  "ms"
#define LIMIT_VALUE_size_t  "N"
#define LIMIT_VALUE_int64_t "TIME"

static const struct flag serve_flags[] = {
	{ .name = "listen",
	  .type = FLAG_LIST,
	  .offset = AT(serve_options, listen),
	  .value = "ADDRESS:PORT",
	  .initial = "127.0.0.1:8080",
	  .group = "Network",
	  .help = "where to listen: \"[::1]:8080\", \":8080\" (every address), \"unix:/path\"; port 0 takes a free "
		  "one; may be repeated" },
	{ .name = "bind",
	  .letter = 'b',
	  .type = FLAG_LIST,
	  .offset = AT(serve_options, bind),
	  .value = "ADDRESS:PORT",
	  .group = "Network",
	  .help = "the same as --listen, which it replaces" },
	{ .name = "workers",
	  .letter = 'w',
	  .type = FLAG_COUNT,
	  .offset = AT(serve_options, workers),
	  .value = "N",
	  .initial = "0",
	  .group = "Network",
	  .help = "threads that answer requests, 0: one for each core; for Python, processes that run it, 0: one" },
	{ .name = "compute-threads",
	  .type = FLAG_COUNT,
	  .offset = AT(serve_options, compute_threads),
	  .value = "N",
	  .initial = "0",
	  .group = "Network",
	  .help = "threads for long computations; 0: as many as cores" },
	{ .name = "tls-cert",
	  .type = FLAG_PATH,
	  .offset = AT(serve_options, tls_certificate),
	  .value = "FILE",
	  .group = "Network",
	  .help = "certificate chain (PEM): speak TLS; read again on SIGHUP" },
	{ .name = "tls-key",
	  .type = FLAG_PATH,
	  .offset = AT(serve_options, tls_key),
	  .value = "FILE",
	  .group = "Network",
	  .help = "private key of the certificate (PEM)" },
	{ .name = "tls-client-ca",
	  .type = FLAG_PATH,
	  .offset = AT(serve_options, tls_client_ca),
	  .value = "FILE",
	  .group = "Network",
	  .help = "ask clients for a certificate signed by one of these (PEM)" },
	{ .name = "cors-origin",
	  .type = FLAG_TEXT,
	  .offset = AT(serve_options, cors_origin),
	  .value = "ORIGIN",
	  .group = "Network",
	  .help = "let pages of this origin call from a browser; \"*\": any" },
	{ .name = "compression",
	  .type = FLAG_ONOFF,
	  .offset = AT(serve_options, compression),
	  .value = "on|off",
	  .initial = "on",
	  .group = "Network",
	  .help = "compress answers (gzip, zstd) for clients that accept it" },
	{ .name = "compression-least",
	  .type = FLAG_SIZE,
	  .offset = AT(serve_options, compression_least),
	  .value = "N",
	  .initial = "1k",
	  .group = "Network",
	  .help = "bytes from which an answer is worth compressing" },
	{ .name = "server-name",
	  .type = FLAG_TEXT,
	  .offset = AT(serve_options, server_name),
	  .value = "TEXT",
	  .group = "Network",
	  .help = "send a Server header with this text" },

	{ .name = "name",
	  .type = FLAG_LIST,
	  .offset = AT(serve_options, names),
	  .value = "NAME",
	  .group = "Models",
	  .help = "name of the model, in the order of the models; without it, the file's name without its ending" },
	MODEL_ROWS(serve_options),
	{ .name = "watch-files",
	  .type = FLAG_DURATION,
	  .offset = AT(serve_options, watch_files_ms),
	  .value = "TIME",
	  .initial = "1s",
	  .group = "Models",
	  .help = "how often to look for changed model files; 0: never" },

	{ .name = "threads",
	  .type = FLAG_COUNT,
	  .offset = AT(serve_options, code.threads),
	  .value = "N",
	  .initial = "1",
	  .group = "Python",
	  .help = "requests that one process runs at once, each on a thread of its own" },
	{ .name = "timeout",
	  .letter = 't',
	  .type = FLAG_DURATION,
	  .offset = AT(serve_options, code.timeout_ms),
	  .value = "TIME",
	  .initial = "30s",
	  .group = "Python",
	  .help = "for the code to answer one request; over it 504, and the process is replaced; 0: none" },
	{ .name = "start-timeout",
	  .type = FLAG_DURATION,
	  .offset = AT(serve_options, code.start_timeout_ms),
	  .value = "TIME",
	  .initial = "5m",
	  .group = "Python",
	  .help = "for a process to load the code and be ready" },
	{ .name = "graceful-timeout",
	  .type = FLAG_DURATION,
	  .offset = AT(serve_options, code.graceful_timeout_ms),
	  .value = "TIME",
	  .initial = "30s",
	  .group = "Python",
	  .help = "for a process that is replaced to finish its requests" },
	{ .name = "max-requests",
	  .type = FLAG_COUNT,
	  .offset = AT(serve_options, code.max_requests),
	  .value = "N",
	  .initial = "0",
	  .group = "Python",
	  .help = "requests after which a process is replaced; 0: never" },
	{ .name = "max-requests-jitter",
	  .type = FLAG_COUNT,
	  .offset = AT(serve_options, code.max_requests_jitter),
	  .value = "N",
	  .initial = "0",
	  .group = "Python",
	  .help = "up to so many requests more, by chance, so that not all are replaced at once" },
	{ .name = "max-rss",
	  .type = FLAG_SIZE,
	  .offset = AT(serve_options, code.max_rss),
	  .value = "N",
	  .initial = "0",
	  .unit = "bytes",
	  .group = "Python",
	  .help = "memory over which a process is replaced, once its requests are answered; 0: no limit" },
	{ .name = "preload",
	  .type = FLAG_SWITCH,
	  .offset = AT(serve_options, code.preload),
	  .group = "Python",
	  .help = "load the code once and fork the processes from it, so that they share its memory" },
	{ .name = "parameters",
	  .type = FLAG_TEXT,
	  .offset = AT(serve_options, code.parameters),
	  .value = "JSON",
	  .group = "Python",
	  .help = "arguments of a Seldon class: [{\"name\":\"scale\",\"type\":\"FLOAT\",\"value\":\"2.5\"}]" },
	{ .name = "python",
	  .type = FLAG_PATH,
	  .offset = AT(serve_options, code.python),
	  .value = "PROGRAM",
	  .group = "Python",
	  .help = "the interpreter; without it $VIRTUAL_ENV's, or python3 of $PATH" },
	{ .name = "trust",
	  .type = FLAG_TEXT,
	  .offset = AT(serve_options, code.trust),
	  .value = "USER",
	  .group = "Python",
	  .help = "load pickled models of this user's too, besides your own: loading one runs its code" },
	{ .name = "expose-errors",
	  .type = FLAG_SWITCH,
	  .offset = AT(serve_options, code.expose_errors),
	  .group = "Python",
	  .help = "send tracebacks of failures to clients, not only to the log" },
	{ .name = "pidfile",
	  .type = FLAG_PATH,
	  .offset = AT(serve_options, code.pidfile),
	  .value = "FILE",
	  .group = "Python",
	  .help = "write the process id of the program there" },
	{ .name = "metrics-path",
	  .type = FLAG_TEXT,
	  .offset = AT(serve_options, code.metrics_path),
	  .value = "PATH",
	  .group = "Python",
	  .help = "answer metrics there too, besides /metrics" },
	{ .name = "ready-path",
	  .type = FLAG_TEXT,
	  .offset = AT(serve_options, code.ready_path),
	  .value = "PATH",
	  .group = "Python",
	  .help = "tell there whether a process takes requests (200 or 503): of an application too, whose paths are "
		  "its own else" },

	{ .name = "access-log",
	  .type = FLAG_CHOICE,
	  .offset = AT(serve_options, access_log),
	  .value = "FORM",
	  .choices = "off,text,json",
	  .initial = "off",
	  .group = "Logs",
	  .help = "one line for each request, to stdout" },
	{ .name = "log-format",
	  .type = FLAG_CHOICE,
	  .offset = AT(serve_options, log_format),
	  .value = "FORM",
	  .choices = "text,json",
	  .initial = "text",
	  .group = "Logs",
	  .help = "form of log lines, on stderr" },
	{ .name = "log-level",
	  .type = FLAG_CHOICE,
	  .offset = AT(serve_options, log_level),
	  .value = "LEVEL",
	  .choices = "error,warn,info,debug",
	  .initial = "info",
	  .group = "Logs",
	  .help = "least important lines to log" },
	{ .name = "quiet",
	  .letter = 'q',
	  .type = FLAG_SWITCH,
	  .offset = AT(serve_options, quiet),
	  .group = "Logs",
	  .help = "print nothing but the addresses" },

#define LIMIT_ROW(member, type_, value_, flag, unit_, help_)                                                           \
	{ .name = flag,                                                                                                \
	  .type = LIMIT_TYPE_##type_,                                                                                  \
	  .offset = AT(serve_options, limits.member),                                                                  \
	  .value = LIMIT_VALUE_##type_,                                                                                \
	  .initial = #value_ LIMIT_UNIT_##type_,                                                                       \
	  .unit = unit_,                                                                                               \
	  .group = "Limits",                                                                                           \
	  .help = help_ },
#include "net/limits.def"
#undef LIMIT_ROW
};

/* ---- the others ---- */

static const struct flag up_flags[] = {
	{ .name = "data-dir",
	  .type = FLAG_PATH,
	  .offset = AT(up_options, data_dir),
	  .value = "FOLDER",
	  .help = "where everything is kept; without it, hythe in the user's folder for data (~/.local/share)" },
	{ .name = "listen-api",
	  .type = FLAG_LIST,
	  .offset = AT(up_options, listen_api),
	  .value = "ADDRESS:PORT",
	  .initial = "127.0.0.1:6443",
	  .group = "Network",
	  .help = "where the Kubernetes API listens (TLS); port 0 takes a free one; may be repeated" },
	{ .name = "gateway",
	  .type = FLAG_CHOICE,
	  .offset = AT(up_options, gateway),
	  .value = "MODE",
	  .choices = "on,off",
	  .initial = "on",
	  .group = "Gateway",
	  .help = "whether addresses of services, Ingress and Gateway API are answered" },
	{ .name = "listen-gateway",
	  .type = FLAG_LIST,
	  .offset = AT(up_options, listen_gateway),
	  .value = "ADDRESS:PORT",
	  .initial = "127.0.0.1:8080",
	  .group = "Gateway",
	  .help = "where Ingress, routes and predictions are answered (HTTP/1.1, HTTP/2, gRPC); port 0 takes a free "
		  "one; may be "
		  "repeated" },
	{ .name = "listen-gateway-tls",
	  .type = FLAG_TEXT,
	  .offset = AT(up_options, listen_gateway_tls),
	  .value = "ADDRESS:PORT",
	  .initial = "127.0.0.1:8443",
	  .group = "Gateway",
	  .help = "the same over TLS, by the certificates that Ingress and Gateways name; listens when there is one" },
	{ .name = "listen-services",
	  .type = FLAG_TEXT,
	  .offset = AT(up_options, listen_services),
	  .value = "ADDRESS",
	  .initial = "127.0.0.1",
	  .group = "Gateway",
	  .help = "where node ports and load balancers listen; 0.0.0.0: every address of this machine" },
	{ .name = "load-balancer-first",
	  .type = FLAG_COUNT,
	  .offset = AT(up_options, load_balancer_first),
	  .value = "PORT",
	  .initial = "8000",
	  .group = "Gateway",
	  .help = "ports for load balancers whose own port is taken, or not allowed, begin here" },
	{ .name = "load-balancer-last",
	  .type = FLAG_COUNT,
	  .offset = AT(up_options, load_balancer_last),
	  .value = "PORT",
	  .initial = "8999",
	  .group = "Gateway",
	  .help = "and end here" },
	{ .name = "gateway-workers",
	  .type = FLAG_COUNT,
	  .offset = AT(up_options, gateway_workers),
	  .value = "N",
	  .initial = "0",
	  .group = "Gateway",
	  .help = "threads of the gateway; 0: one a core" },
	{ .name = "gateway-access-log",
	  .type = FLAG_CHOICE,
	  .offset = AT(up_options, gateway_access_log),
	  .value = "FORM",
	  .choices = "off,text,json",
	  .initial = "off",
	  .group = "Gateway",
	  .help = "one line for each request through the gateway, to stdout" },
	{ .name = "max-connections",
	  .type = FLAG_COUNT,
	  .offset = AT(up_options, connections_most),
	  .value = "N",
	  .initial = "50000",
	  .unit = "connections",
	  .group = "Gateway",
	  .help = "clients of the gateway, and clients of the API, open at once; over it a new one gets 503 and is "
		  "closed" },
	{ .name = "controllers",
	  .type = FLAG_LIST,
	  .offset = AT(up_options, controllers),
	  .value = "LIST",
	  .initial = "*",
	  .group = "Controllers",
	  .help = "which controllers run, separated by commas, as kube-controller-manager takes them: * for all, NAME "
		  "for this one, -NAME for not this one, -* for none" },
	{ .name = "kubeconfig",
	  .type = FLAG_PATH,
	  .offset = AT(up_options, kubeconfig),
	  .value = "FILE",
	  .group = "Controllers",
	  .help = "no API server here: run the controllers on the cluster that the file's current context names" },
	{ .name = "node",
	  .type = FLAG_CHOICE,
	  .offset = AT(up_options, node),
	  .value = "MODE",
	  .choices = "on,off",
	  .initial = "on",
	  .group = "Node",
	  .help = "whether this machine runs pods, as processes" },
	{ .name = "node-name",
	  .type = FLAG_TEXT,
	  .offset = AT(up_options, node_name),
	  .value = "NAME",
	  .group = "Node",
	  .help = "what the node is called; without it, the machine's host name" },
	{ .name = "pod-egress",
	  .type = FLAG_CHOICE,
	  .offset = AT(up_options, pod_egress),
	  .value = "MODE",
	  .choices = "host,none,cni",
	  .initial = "host",
	  .group = "Node",
	  .help =
	      "where connections of pods go that leave the cluster: the way of the machine's own, nowhere, or through "
	      "the networks of /etc/cni/net.d" },
	{ .name = "allow-host-path",
	  .type = FLAG_ONOFF,
	  .offset = AT(up_options, allow_host_path),
	  .value = "on|off",
	  .initial = "on",
	  .group = "Node",
	  .help = "whether pods may have volumes of type hostPath: who may create pods may then read and write this "
		  "machine's "
		  "files as the user that hythe runs as" },
	{ .name = "pods-most",
	  .type = FLAG_COUNT,
	  .offset = AT(up_options, pods_most),
	  .value = "N",
	  .initial = "500",
	  .group = "Node",
	  .help = "pods that the node takes" },
	{ .name = "reserved-memory",
	  .type = FLAG_SIZE,
	  .offset = AT(up_options, reserved_memory),
	  .value = "N",
	  .initial = "0",
	  .group = "Node",
	  .help = "bytes of the machine's memory that pods may not ask for" },
	{ .name = "reserved-cpu",
	  .type = FLAG_COUNT,
	  .offset = AT(up_options, reserved_cpu),
	  .value = "N",
	  .initial = "0",
	  .group = "Node",
	  .help = "thousandths of a CPU that pods may not ask for" },
	{ .name = "eviction-memory",
	  .type = FLAG_SIZE,
	  .offset = AT(up_options, eviction_memory),
	  .value = "N",
	  .initial = "100M",
	  .group = "Node",
	  .help = "free memory below which pods are evicted; 0: never" },
	{ .name = "eviction-disk",
	  .type = FLAG_COUNT,
	  .offset = AT(up_options, eviction_disk),
	  .value = "PERCENT",
	  .initial = "10",
	  .group = "Node",
	  .help = "free space of the data folder's disk below which pods are evicted; 0: never" },
	{ .name = "authorization",
	  .type = FLAG_CHOICE,
	  .offset = AT(up_options, authorization),
	  .value = "MODE",
	  .choices = "rbac,off",
	  .initial = "rbac",
	  .group = "Rights",
	  .help = "rbac: roles and bindings decide; off: everybody who is known may do all, on this machine only" },
	{ .name = "token-file",
	  .type = FLAG_PATH,
	  .offset = AT(up_options, token_file),
	  .value = "FILE",
	  .group = "Rights",
	  .help = "bearer tokens, a line each: token,user,uid,\"group1,group2\"" },
	{ .name = "audit-log",
	  .type = FLAG_PATH,
	  .offset = AT(up_options, audit_log),
	  .value = "FILE",
	  .group = "Rights",
	  .help = "write a line of JSON there for each request" },
	{ .name = "shipped-kinds",
	  .type = FLAG_CHOICE,
	  .offset = AT(up_options, shipped_kinds),
	  .value = "MODE",
	  .choices = "on,off",
	  .initial = "on",
	  .group = "Store",
	  .help = "make the custom kinds that hythe ships (SeldonDeployment and others) and keep them up to date" },
	{ .name = "durability",
	  .type = FLAG_CHOICE,
	  .offset = AT(up_options, durability),
	  .value = "MODE",
	  .choices = "disk,kernel",
	  .initial = "disk",
	  .group = "Store",
	  .help = "when a write is answered: on the disk; or in the kernel, which a power cut may lose" },
	{ .name = "history",
	  .type = FLAG_SIZE,
	  .offset = AT(up_options, history_bytes),
	  .value = "N",
	  .initial = "64M",
	  .group = "Store",
	  .help = "bytes of old versions kept for watches that resume; more while they are younger than "
		  "--history-time, up to four times as much" },
	{ .name = "history-time",
	  .type = FLAG_DURATION,
	  .offset = AT(up_options, history_ms),
	  .value = "TIME",
	  .initial = "5m",
	  .group = "Store",
	  .help = "see --history" },
	{ .name = "max-watches",
	  .type = FLAG_COUNT,
	  .offset = AT(up_options, watches),
	  .value = "N",
	  .initial = "10000",
	  .group = "Limits",
	  .help = "watches at once; over it 429" },
	{ .name = "max-watch-backlog",
	  .type = FLAG_SIZE,
	  .offset = AT(up_options, watch_backlog_bytes),
	  .value = "N",
	  .initial = "4M",
	  .group = "Limits",
	  .help = "bytes of events that wait for one client; over it its watch ends with 410" },
	{ .name = "max-requests-waiting",
	  .type = FLAG_COUNT,
	  .offset = AT(up_options, requests_waiting),
	  .value = "N",
	  .initial = "500",
	  .group = "Limits",
	  .help = "requests of one user that wait for their turn; over it 429 with Retry-After" },
	{ .name = "access-log",
	  .type = FLAG_CHOICE,
	  .offset = AT(up_options, access_log),
	  .value = "FORM",
	  .choices = "off,text,json",
	  .initial = "off",
	  .group = "Logs",
	  .help = "one line for each request, to stdout" },
	{ .name = "log-format",
	  .type = FLAG_CHOICE,
	  .offset = AT(up_options, log_format),
	  .value = "FORM",
	  .choices = "text,json",
	  .initial = "text",
	  .group = "Logs",
	  .help = "form of log lines, on stderr" },
	{ .name = "log-level",
	  .type = FLAG_CHOICE,
	  .offset = AT(up_options, log_level),
	  .value = "LEVEL",
	  .choices = "error,warn,info,debug",
	  .initial = "info",
	  .group = "Logs",
	  .help = "least important lines to log" },
	{ .name = "quiet",
	  .letter = 'q',
	  .type = FLAG_SWITCH,
	  .offset = AT(up_options, quiet),
	  .group = "Logs",
	  .help = "print nothing but the address" },
	{ .name = "json",
	  .type = FLAG_SWITCH,
	  .offset = AT(up_options, as_json),
	  .group = "Logs",
	  .help = "print what listens where as one JSON object" },
};

/* ---- engine: names and defaults are those of Seldon's executor, as the operator starts it ---- */

static const struct flag engine_flags[] = {
	{ .name = "sdep",
	  .type = FLAG_TEXT,
	  .offset = AT(engine_options, deployment),
	  .value = "NAME",
	  .help = "name of the SeldonDeployment; without it $DEPLOYMENT_NAME" },
	{ .name = "namespace",
	  .type = FLAG_TEXT,
	  .offset = AT(engine_options, name_space),
	  .value = "NAME",
	  .help = "its namespace; without it $DEPLOYMENT_NAMESPACE" },
	{ .name = "predictor",
	  .type = FLAG_TEXT,
	  .offset = AT(engine_options, predictor),
	  .value = "NAME",
	  .help = "name of the predictor" },
	{ .name = "file",
	  .type = FLAG_PATH,
	  .offset = AT(engine_options, file),
	  .value = "FILE",
	  .help = "JSON of the predictor; without it $ENGINE_PREDICTOR holds it in base64" },
	{ .name = "host",
	  .type = FLAG_TEXT,
	  .offset = AT(engine_options, host),
	  .value = "ADDRESS",
	  .initial = "0.0.0.0",
	  .help = "where to listen" },
	{ .name = "http_port",
	  .type = FLAG_COUNT,
	  .offset = AT(engine_options, http_port),
	  .value = "N",
	  .initial = "8000",
	  .help = "port for HTTP; 0 takes a free one" },
	{ .name = "grpc_port",
	  .type = FLAG_COUNT,
	  .offset = AT(engine_options, grpc_port),
	  .value = "N",
	  .initial = "5001",
	  .help = "port for gRPC; 0 takes a free one" },
	{ .name = "protocol",
	  .type = FLAG_TEXT,
	  .offset = AT(engine_options, protocol),
	  .value = "NAME",
	  .help = "seldon (the default), v2, kfserving (which is v2), tensorflow" },
	{ .name = "transport",
	  .type = FLAG_CHOICE,
	  .offset = AT(engine_options, transport),
	  .value = "NAME",
	  .choices = "rest,grpc",
	  .initial = "rest",
	  .help = "whose port of the component says that it is ready; both are always served" },
	{ .name = "server_type",
	  .type = FLAG_CHOICE,
	  .offset = AT(engine_options, server_type),
	  .value = "NAME",
	  .choices = "rpc",
	  .initial = "rpc",
	  .help = "how requests come; kafka is not there" },
	{ .name = "prometheus_path",
	  .type = FLAG_TEXT,
	  .offset = AT(engine_options, prometheus_path),
	  .value = "PATH",
	  .initial = "/prometheus",
	  .help = "where metrics are" },
	{ .name = "full_health_checks",
	  .type = FLAG_SWITCH,
	  .offset = AT(engine_options, full_health_checks),
	  .help = "ready only when the component says that it is healthy, not already when it can be connected to" },
	{ .name = "graceful_timeout",
	  .type = FLAG_DURATION,
	  .offset = AT(engine_options, graceful_ms),
	  .value = "TIME",
	  .initial = "15s",
	  .help = "after SIGTERM, for what was accepted to be answered" },
	{ .name = "shutdown_delay",
	  .type = FLAG_DURATION,
	  .offset = AT(engine_options, shutdown_delay_ms),
	  .value = "TIME",
	  .initial = "0",
	  .help = "how long to go on as before after SIGTERM" },
	{ .name = "max-body-bytes",
	  .type = FLAG_SIZE,
	  .offset = AT(engine_options, body_bytes),
	  .value = "N",
	  .initial = "256m",
	  .unit = "bytes",
	  .help = "a request body; over it 413" },
	{ .name = "access-log",
	  .type = FLAG_CHOICE,
	  .offset = AT(engine_options, access_log),
	  .value = "FORM",
	  .choices = "off,text,json",
	  .initial = "off",
	  .help = "one line for each request, to stdout" },
	{ .name = "log-format",
	  .type = FLAG_CHOICE,
	  .offset = AT(engine_options, log_format),
	  .value = "FORM",
	  .choices = "text,json",
	  .initial = "text",
	  .help = "form of log lines, on stderr" },
	{ .name = "log_level",
	  .type = FLAG_CHOICE,
	  .offset = AT(engine_options, log_level),
	  .value = "LEVEL",
	  .choices = "error,warn,info,debug",
	  .initial = "info",
	  .help = "least important lines to log" },
};

static const struct flag fetch_flags[] = {
	{ .name = "max-bytes",
	  .type = FLAG_SIZE,
	  .offset = AT(fetch_options, bytes_most),
	  .value = "N",
	  .initial = "64g",
	  .unit = "bytes",
	  .help = "of all files together; over it the fetch ends" },
	{ .name = "max-files",
	  .type = FLAG_COUNT,
	  .offset = AT(fetch_options, files_most),
	  .value = "N",
	  .initial = "100000",
	  .unit = "files",
	  .help = "over it the fetch ends" },
	{ .name = "quiet",
	  .letter = 'q',
	  .type = FLAG_SWITCH,
	  .offset = AT(fetch_options, quiet),
	  .help = "do not tell each file" },
};

static const struct flag inspect_flags[] = {
	{ .name = "json",
	  .type = FLAG_SWITCH,
	  .offset = AT(inspect_options, as_json),
	  .help = "print one JSON object" },
	MODEL_ROWS(inspect_options),
};

static const struct flag convert_flags[] = {
	{ .name = "output",
	  .letter = 'o',
	  .type = FLAG_PATH,
	  .offset = AT(convert_options, output_path),
	  .value = "FILE",
	  .help = "where to write it; without it, beside the model with the ending .onnx" },
	{ .name = "python",
	  .type = FLAG_PATH,
	  .offset = AT(convert_options, python),
	  .value = "PROGRAM",
	  .help = "the interpreter; without it $VIRTUAL_ENV's, or python3 of $PATH" },
};

static const struct flag predict_flags[] = {
	{ .name = "input",
	  .letter = 'i',
	  .type = FLAG_PATH,
	  .offset = AT(predict_options, input),
	  .value = "FILE",
	  .initial = "-",
	  .help = "CSV file to score; \"-\": standard input" },
	{ .name = "output",
	  .letter = 'o',
	  .type = FLAG_PATH,
	  .offset = AT(predict_options, output_path),
	  .value = "FILE",
	  .initial = "-",
	  .help = "where the scores go; \"-\": standard output" },
	{ .name = "output-name",
	  .type = FLAG_TEXT,
	  .offset = AT(predict_options, output_name),
	  .value = "NAME",
	  .help = "output of the model to write; without it, the one that holds the scores" },
	{ .name = "keep-columns",
	  .letter = 'k',
	  .type = FLAG_SWITCH,
	  .offset = AT(predict_options, keep_columns),
	  .help = "write the columns of the input in front of the scores" },
	{ .name = "label-column",
	  .type = FLAG_TEXT,
	  .offset = AT(predict_options, label_column),
	  .value = "NAME",
	  .help = "a column that is in the file and not the model's, also with --strict" },
	{ .name = "strict",
	  .type = FLAG_SWITCH,
	  .offset = AT(predict_options, strict),
	  .help = "columns that the model does not know are errors" },
	{ .name = "skip-bad",
	  .type = FLAG_SWITCH,
	  .offset = AT(predict_options, skip_bad),
	  .help = "leave rows out that cannot be read, and count them, instead of stopping" },
	{ .name = "separator",
	  .type = FLAG_TEXT,
	  .offset = AT(predict_options, separator),
	  .value = "CHAR",
	  .initial = ",",
	  .help = "between fields; \"tab\" stands for a tab" },
	{ .name = "threads",
	  .letter = 't',
	  .type = FLAG_COUNT,
	  .offset = AT(predict_options, threads),
	  .value = "N",
	  .initial = "0",
	  .help = "threads that compute; 0: one for each core" },
	{ .name = "quiet",
	  .letter = 'q',
	  .type = FLAG_SWITCH,
	  .offset = AT(predict_options, quiet),
	  .help = "no progress and no closing line" },
	MODEL_ROWS(predict_options),
};

#define DATA_ROW(options)                                                                                              \
	{                                                                                                              \
		.name = "data-dir", .type = FLAG_PATH, .offset = AT(options, data_dir), .value = "FOLDER",             \
		.help = "where `hythe up` keeps its data; without it $XDG_DATA_HOME/hythe or ~/.local/share/hythe"     \
	}

static const struct flag env_flags[] = { DATA_ROW(env_options) };
static const struct flag backup_flags[] = { DATA_ROW(backup_options) };

/* Whom commands that ask an API server ask, and about which namespace. */
#define CLUSTER_ROWS(options, spaces)                                                                                  \
	{ .name = "namespace",                                                                                         \
	  .letter = 'n',                                                                                               \
	  .type = FLAG_TEXT,                                                                                           \
	  .offset = AT(options, name_space),                                                                           \
	  .value = "NAME",                                                                                             \
	  .help = spaces },                                                                                            \
	    { .name = "data-dir",                                                                                      \
	      .type = FLAG_PATH,                                                                                       \
	      .offset = AT(options, where.data_dir),                                                                   \
	      .value = "FOLDER",                                                                                       \
	      .help = "ask the `hythe up` that keeps its data there" },                                                \
	{                                                                                                              \
		.name = "kubeconfig", .type = FLAG_PATH, .offset = AT(options, where.kubeconfig), .value = "FILE",     \
		.help = "ask the cluster that its current context names; without both $KUBECONFIG, else the "          \
			"`hythe up` of this user"                                                                      \
	}

static const struct flag status_flags[] = {
	CLUSTER_ROWS(cluster_options, "of this namespace; without it all"),
	{ .name = "json",
	  .type = FLAG_SWITCH,
	  .offset = AT(cluster_options, as_json),
	  .help = "print one JSON object" },
};
static const struct flag why_flags[] = { CLUSTER_ROWS(cluster_options, "where the object is; without it default") };
/* Images are of the whole machine: the namespace has no say. */
static const struct flag image_flags[] = {
	{ .name = "data-dir",
	  .type = FLAG_PATH,
	  .offset = AT(cluster_options, where.data_dir),
	  .value = "FOLDER",
	  .help = "ask the `hythe up` that keeps its data there" },
	{ .name = "kubeconfig",
	  .type = FLAG_PATH,
	  .offset = AT(cluster_options, where.kubeconfig),
	  .value = "FILE",
	  .help = "ask the cluster that its current context names; without both $KUBECONFIG, else the "
		  "`hythe up` of this user" },
};
static const struct flag top_flags[] = { CLUSTER_ROWS(cluster_options, "of this namespace; without it all") };

static const struct flag run_flags[] = {
	CLUSTER_ROWS(run_options, "where the pod is made"),
	{ .name = "name",
	  .type = FLAG_TEXT,
	  .offset = AT(run_options, name),
	  .value = "NAME",
	  .group = "Pod",
	  .help = "name of the pod; without it the command's, and some letters" },
	{ .name = "env",
	  .letter = 'e',
	  .type = FLAG_LIST,
	  .offset = AT(run_options, env),
	  .value = "NAME=VALUE",
	  .group = "Pod",
	  .help = "a variable of its environment; NAME alone takes the value from here; may be repeated" },
	{ .name = "cpu",
	  .type = FLAG_TEXT,
	  .offset = AT(run_options, cpu),
	  .value = "N",
	  .group = "Pod",
	  .help = "limit: 2, 500m" },
	{ .name = "memory",
	  .type = FLAG_TEXT,
	  .offset = AT(run_options, memory),
	  .value = "N",
	  .group = "Pod",
	  .help = "limit: 512Mi, 2Gi" },
	{ .name = "restart",
	  .type = FLAG_CHOICE,
	  .offset = AT(run_options, restart),
	  .value = "POLICY",
	  .choices = "Never,OnFailure,Always",
	  .initial = "Never",
	  .group = "Pod",
	  .help = "whether it is started again when it ends" },
	{ .name = "detach",
	  .letter = 'd',
	  .type = FLAG_SWITCH,
	  .offset = AT(run_options, detach),
	  .group = "Pod",
	  .help = "print the pod's name and return" },
	{ .name = "keep",
	  .type = FLAG_SWITCH,
	  .offset = AT(run_options, keep),
	  .group = "Pod",
	  .help = "do not delete the pod when it has ended well" },
};

#define WAIT_ROWS(options)                                                                                             \
	{ .name = "timeout",                                                                                           \
	  .type = FLAG_DURATION,                                                                                       \
	  .offset = AT(options, timeout_ms),                                                                           \
	  .value = "TIME",                                                                                             \
	  .initial = "5m",                                                                                             \
	  .help = "how long it is waited for; 0: not at all" },                                                        \
	{                                                                                                              \
		.name = "quiet", .letter = 'q', .type = FLAG_SWITCH, .offset = AT(options, quiet),                     \
		.help = "no line that tells how far it is"                                                             \
	}

static const struct flag deploy_flags[] = {
	{ .name = "name",
	  .type = FLAG_TEXT,
	  .offset = AT(deploy_options, name),
	  .value = "NAME",
	  .help = "what it is called; deployed again under the same name, it replaces what was there, step by step" },
	{ .name = "replicas",
	  .type = FLAG_COUNT,
	  .offset = AT(deploy_options, replicas),
	  .value = "N",
	  .initial = "0",
	  .help = "how many pods; 0: as many as there are, or one" },
	{ .name = "canary",
	  .type = FLAG_TEXT,
	  .offset = AT(deploy_options, canary),
	  .value = "PERCENT",
	  .help =
	      "it gets this part of the requests, beside what is deployed; then `hythe promote` or `hythe rollback`" },
	{ .name = "protocol",
	  .type = FLAG_CHOICE,
	  .offset = AT(deploy_options, protocol),
	  .value = "PROTOCOL",
	  .choices = "seldon,v2,tensorflow",
	  .initial = "seldon",
	  .help = "how a model or a class is asked" },
	{ .name = "env",
	  .letter = 'e',
	  .type = FLAG_LIST,
	  .offset = AT(deploy_options, env),
	  .value = "NAME=VALUE",
	  .help = "a variable of the code's environment; may be repeated" },
	{ .name = "dry-run",
	  .type = FLAG_SWITCH,
	  .offset = AT(deploy_options, dry_run),
	  .help = "print the YAML that would be applied, and apply nothing" },
	{ .name = "output",
	  .letter = 'o',
	  .type = FLAG_TEXT,
	  .offset = AT(deploy_options, output),
	  .value = "yaml",
	  .help = "the form of --dry-run: yaml is the only one" },
	WAIT_ROWS(deploy_options),
	CLUSTER_ROWS(deploy_options, "where it is deployed; without it default"),
};

static const struct flag rollback_flags[] = {
	WAIT_ROWS(rollback_options),
	CLUSTER_ROWS(rollback_options, "where it is deployed; without it default"),
};

static const struct flag help_flags[] = {
	{ .name = "man", .type = FLAG_SWITCH, .offset = AT(help_options, man), .help = "print the man page (troff)" },
	{ .name = "markdown",
	  .type = FLAG_SWITCH,
	  .offset = AT(help_options, markdown),
	  .help = "print the reference page (Markdown)" },
};

static const struct flag version_flags[] = {
	{ .name = "json",
	  .type = FLAG_SWITCH,
	  .offset = AT(version_options, as_json),
	  .help = "print one JSON object" },
};

const struct flag cli_common_flags[] = {
	{ .name = "help", .letter = 'h', .type = FLAG_SWITCH, .help = "print this help" },
};
const size_t cli_common_flag_count = ARRAY_LEN(cli_common_flags);

#define FLAGS(rows) .flags = (rows), .flag_count = ARRAY_LEN(rows)
#define ANY_NUMBER  SIZE_MAX

const struct command cli_commands[] = {
	{ .name = "serve",
	  .arguments = "MODEL...",
	  .summary = "serve models to HTTP and gRPC clients",
	  .description =
	      "Serves model files on one port: HTTP/1.1, HTTP/2 and gRPC, in all protocols at once (see "
	      "`hythe help protocols`). "
	      "The format of a file is found from its content (see `hythe help formats`). Paths without a "
	      "model's name belong to "
	      "the first model.\n"
	      "A model may be written NAME=PATH. Files are watched: a changed one is loaded and swapped in "
	      "without losing a "
	      "request; one that cannot be loaded leaves the old model in service.\n"
	      "Python is served by processes of its own interpreter: a class with the methods of Seldon "
	      "Core, a WSGI or ASGI application, a scikit-learn model in a file of joblib or pickle. One that "
	      "dies or hangs is replaced, and only its own requests fail (see the flags under Python).\n"
	      "SIGTERM and SIGINT drain: listeners close, what was accepted is answered; a second one ends "
	      "at once. SIGHUP reads "
	      "certificates, models and code again.\n"
	      "  hythe serve model.onnx\n"
	      "  hythe serve churn=model.json prices.txt --listen :8080 --access-log json\n"
	      "  hythe serve model.onnx --tls-cert cert.pem --tls-key key.pem --listen 0.0.0.0:8443\n"
	      "  hythe serve MyModel.py\n"
	      "  hythe serve serving:app --bind 0.0.0.0:8000 --workers 4",
	  FLAGS(serve_flags),
	  .options_size = sizeof(struct serve_options),
	  .positional = POSITIONAL_FILE,
	  .least = 1,
	  .most = ANY_NUMBER,
	  .run = serve_run },
	{ .name = "up",
	  .arguments = "",
	  .summary = "serve a Kubernetes API and run its pods, in one process on one folder",
	  .description =
	      "Starts an API server that kubectl and every Kubernetes client take for a cluster. It keeps its "
	      "objects, keys and certificates in a folder, and writes a kubeconfig for you there. Pods run as "
	      "processes of "
	      "this machine.\n"
	      "SIGTERM leaves the pods running: begun again, hythe goes on with them. SIGINT (Ctrl-C) ends them by "
	      "their "
	      "grace, after 30 s at the latest. Both drain: watches end, what was accepted is answered; a second one "
	      "ends at once. "
	      "Nothing that was answered is lost, however it ends.\n"
	      "  hythe up\n"
	      "  hythe up --data-dir /var/lib/hythe --listen-api 127.0.0.1:6443\n"
	      "  hythe up --kubeconfig ~/.kube/config --controllers deployment,replicaset",
	  FLAGS(up_flags),
	  .options_size = sizeof(struct up_options),
	  .run = up_run },
	{ .name = "predict",
	  .arguments = "MODEL [CSV]",
	  .summary = "score a CSV file of any length",
	  .description =
	      "Reads rows of a CSV file, runs the model on them with every core, and writes the scores as CSV, in the "
	      "order of "
	      "the rows. Columns are matched by name when the file has a header and the model (or --features) names "
	      "them; extra "
	      "columns are passed over, missing ones are errors. Without a header columns are taken by position.\n"
	      "Two classes and regression give one column, \"response\" (the probability of the second class, or the "
	      "value); "
	      "more classes give one column each. On a terminal a progress line is shown.\n"
	      "  hythe predict model.onnx -i data.csv -o scores.csv\n"
	      "  zcat data.csv.gz | hythe predict model.json --keep-columns > scored.csv",
	  FLAGS(predict_flags),
	  .options_size = sizeof(struct predict_options),
	  .positional = POSITIONAL_FILE,
	  .least = 1,
	  .most = 2,
	  .run = predict_run },
	{ .name = "convert",
	  .arguments = "MODEL",
	  .summary = "make a native ONNX model of a pickled scikit-learn model",
	  .description =
	      "Loads a model pickled by joblib or pickle with Python, converts it with skl2onnx (which must be "
	      "installed there), asks both the same random rows, and tells the largest difference.\n"
	      "  hythe convert model.joblib -o model.onnx",
	  FLAGS(convert_flags),
	  .options_size = sizeof(struct convert_options),
	  .positional = POSITIONAL_FILE,
	  .least = 1,
	  .most = 1,
	  .run = convert_run },
	{ .name = "engine",
	  .arguments = "",
	  .summary = "orchestrate a predictor of a SeldonDeployment, in its pod",
	  .description =
	      "What the container seldon-container-engine of a predictor's pod runs: it takes requests as Seldon's "
	      "executor "
	      "does (REST and gRPC; protocols seldon, v2 and tensorflow), asks the component beside it, and completes "
	      "the "
	      "answer's meta (puid, requestPath, routing). A graph of one MODEL node is what it runs; others are "
	      "refused.\n"
	      "$ENGINE_PREDICTOR holds the predictor's JSON in base64. The annotations seldon.io/rest-timeout, "
	      "seldon.io/grpc-timeout and seldon.io/grpc-max-message-size are those of the predictor and of "
	      "/etc/podinfo/annotations.\n"
	      "  hythe engine --sdep iris --namespace default --predictor main\n"
	      "  hythe engine --file predictor.json --http_port 8000 --grpc_port 5001",
	  FLAGS(engine_flags),
	  .options_size = sizeof(struct engine_options),
	  .run = engine_run },
	{ .name = "fetch",
	  .arguments = "URI FOLDER",
	  .summary = "bring a model's files to a folder",
	  .description =
	      "Copies what the URI names: a file or folder of this machine (file:// or a path), one file of a web "
	      "server "
	      "(http://, https://), an object or all below a prefix of a bucket (gs://, s3://). Nothing is unpacked. "
	      "pvc:// is a volume that is mounted already, which is checked. It is what the init container of a "
	      "prepackaged server runs.\n"
	      "Keys are taken from the environment: AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN, "
	      "AWS_REGION, AWS_ENDPOINT_URL or S3_ENDPOINT; GOOGLE_OAUTH_ACCESS_TOKEN, STORAGE_EMULATOR_HOST. Without "
	      "any, questions are anonymous.\n"
	      "  hythe fetch gs://seldon-models/v1.18.2/sklearn/iris /mnt/models\n"
	      "  AWS_ENDPOINT_URL=http://127.0.0.1:9000 hythe fetch s3://models/iris ./iris",
	  FLAGS(fetch_flags),
	  .options_size = sizeof(struct fetch_options),
	  .positional = POSITIONAL_FILE,
	  .least = 2,
	  .most = 2,
	  .run = fetch_run_command },
	{ .name = "image",
	  .arguments = "add NAME[:TAG] FOLDER | list | remove NAME[:TAG]",
	  .summary = "let folders stand in for container images",
	  .description =
	      "Pods run as processes of this machine, and nothing is pulled. A pod that names an image that is known "
	      "here "
	      "runs the code in its folder: the folder is mounted read-only at WORKDIR (or /app), and what its "
	      "Dockerfile "
	      "says by ENV, ENTRYPOINT and CMD holds as with an image, under what the pod says. Nothing is built: RUN "
	      "and "
	      "such are listed as not done. A virtual environment in the folder (.venv) is used. A folder with "
	      ".s2i/environment, which names MODEL_NAME, runs that class as Seldon's images for Python do.\n"
	      "A line without a tag stands for all tags. The registry's host of a reference need not be given.\n"
	      "  hythe image add my-model:0.1 ./my-model\n"
	      "  hythe image list",
	  FLAGS(image_flags),
	  .options_size = sizeof(struct cluster_options),
	  .positional = POSITIONAL_FILE,
	  .least = 1,
	  .most = 3,
	  .run = image_run },
	{ .name = "inspect",
	  .arguments = "MODEL...",
	  .summary = "tell what a model file holds",
	  .description = "Loads model files and prints what is in them: kind, inputs and outputs with types and "
			 "shapes, columns, classes, size "
			 "in memory and measured cost of a row.\n"
			 "  hythe inspect model.onnx\n"
			 "  hythe inspect --json model.txt",
	  FLAGS(inspect_flags),
	  .options_size = sizeof(struct inspect_options),
	  .positional = POSITIONAL_FILE,
	  .least = 1,
	  .most = ANY_NUMBER,
	  .run = inspect_run },
	{ .name = "run",
	  .arguments = "-- COMMAND...",
	  .summary = "run a command as a pod, and show its output",
	  .description =
	      "Starts a pod with this command in the current folder, with the network, the limits and the read-only "
	      "root of a pod, prints what it writes and ends with its exit code. Ctrl-C ends it. A pod that failed is "
	      "kept, so that `hythe why` can tell more.\n"
	      "  hythe run -- python3 train.py --epochs 3\n"
	      "  hythe run --memory 512Mi --restart Always -d -- python3 serve.py",
	  FLAGS(run_flags),
	  .options_size = sizeof(struct run_options),
	  .positional = POSITIONAL_FILE,
	  .least = 1,
	  .most = ANY_NUMBER,
	  .run = run_run },
	{ .name = "deploy",
	  .arguments = "MODEL|CLASS|APP",
	  .summary = "put a model, a class or an application into production",
	  .description =
	      "Writes the objects that one would write by hand (--dry-run shows them), waits until they answer, and "
	      "prints "
	      "their address. A model or a class becomes a SeldonDeployment, an application a Deployment and a load "
	      "balancer. Deployed again under its name, it is replaced without losing a request.\n"
	      "  hythe deploy model.json --name propensity --replicas 2\n"
	      "  hythe deploy new.json --name propensity --canary 10%\n"
	      "  hythe deploy MyModel.py --name images\n"
	      "  hythe deploy serving:app --name shop --replicas 3",
	  FLAGS(deploy_flags),
	  .options_size = sizeof(struct deploy_options),
	  .positional = POSITIONAL_FILE,
	  .least = 1,
	  .most = 1,
	  .run = deploy_run },
	{ .name = "promote",
	  .arguments = "NAME",
	  .summary = "give a canary all the traffic",
	  .description = "The canary of `hythe deploy --canary` takes the place of what it stood beside.\n"
			 "  hythe promote propensity",
	  FLAGS(rollback_flags),
	  .options_size = sizeof(struct rollback_options),
	  .least = 1,
	  .most = 1,
	  .run = promote_run },
	{ .name = "rollback",
	  .arguments = "NAME",
	  .summary = "take a canary away, or go back to what was deployed before",
	  .description =
	      "Takes the canary away where there is one. Else what was deployed before under this name comes "
	      "back; once more, and it is as it is now.\n"
	      "  hythe rollback propensity",
	  FLAGS(rollback_flags),
	  .options_size = sizeof(struct rollback_options),
	  .least = 1,
	  .most = 1,
	  .run = rollback_run },
	{ .name = "status",
	  .arguments = "",
	  .summary = "tell what runs, what is wrong, and since when",
	  .description =
	      "Lists SeldonDeployments, InferenceServices, Deployments, StatefulSets, DaemonSets, Jobs, CronJobs, "
	      "ReplicaSets and pods, those that fail first, each with what is wrong with it; what one of them "
	      "keeps is told with it. Then where Services with an address outside of the cluster answer. Ends with 1 "
	      "when something fails.\n"
	      "  hythe status\n"
	      "  hythe status -n shop --json",
	  FLAGS(status_flags),
	  .options_size = sizeof(struct cluster_options),
	  .run = status_run },
	{ .name = "why",
	  .arguments = "KIND/NAME",
	  .summary = "tell why something is as it is",
	  .description = "Follows the chain from an object down to its processes: conditions, events, exit codes, the "
			 "last lines of logs, and one likely cause. A name without a kind is a pod's.\n"
			 "  hythe why deployment/web\n"
			 "  hythe why svc/web -n shop",
	  FLAGS(why_flags),
	  .options_size = sizeof(struct cluster_options),
	  .least = 1,
	  .most = 2,
	  .run = why_run },
	{ .name = "top",
	  .arguments = "[pods|nodes]",
	  .summary = "show what pods and nodes use, the most first",
	  .description = "Prints the use of CPU and memory of the last seconds, and how much of their limits that is.\n"
			 "  hythe top\n"
			 "  hythe top nodes",
	  FLAGS(top_flags),
	  .options_size = sizeof(struct cluster_options),
	  .most = 1,
	  .run = top_run },
	{ .name = "env",
	  .arguments = "",
	  .summary = "print what clients need in their environment",
	  .description = "Prints exports for a shell, so that kubectl and other clients talk to the `hythe up` of this "
			 "machine.\n"
			 "  eval \"$(hythe env)\"\n"
			 "  eval \"$(hythe env --data-dir /var/lib/hythe)\"",
	  FLAGS(env_flags),
	  .options_size = sizeof(struct env_options),
	  .run = env_run },
	{ .name = "backup",
	  .arguments = "FILE",
	  .summary = "copy all objects into a file",
	  .description = "Writes a consistent copy of all objects into a file, while `hythe up` goes on or when it is "
			 "stopped. The key that secrets are encrypted with is put beside it, as FILE.key: keep both, "
			 "and keep the key from others. Certificates and keys in the folder pki are not in it.\n"
			 "  hythe backup /var/backups/hythe.db",
	  FLAGS(backup_flags),
	  .options_size = sizeof(struct backup_options),
	  .positional = POSITIONAL_FILE,
	  .least = 1,
	  .most = 1,
	  .run = backup_run },
	{ .name = "restore",
	  .arguments = "FILE",
	  .summary = "make the objects those of a backup",
	  .description =
	      "Puts the content of a backup in place of what is there. A running `hythe up` goes on: what differs "
	      "is written or deleted, and those who watch see it as changes. When it is stopped, the old store "
	      "stays beside the new one under another name.\n"
	      "  hythe restore /var/backups/hythe.db",
	  FLAGS(backup_flags),
	  .options_size = sizeof(struct backup_options),
	  .positional = POSITIONAL_FILE,
	  .least = 1,
	  .most = 1,
	  .run = restore_run },
	{ .name = "help",
	  .arguments = "[COMMAND|TOPIC]",
	  .summary = "explain a command or a topic",
	  .description = "Prints the page of a command or a topic; without one, the overview.\n"
			 "  hythe help serve\n"
			 "  hythe help protocols",
	  FLAGS(help_flags),
	  .options_size = sizeof(struct help_options),
	  .positional = POSITIONAL_TOPIC,
	  .most = 1,
	  .run = help_run },
	{ .name = "man",
	  .arguments = "",
	  .summary = "print the man page",
	  .description = "Prints the man page of the program, in troff.\n"
			 "  hythe man | man -l -",
	  .run = man_run },
	{ .name = "completion",
	  .arguments = "bash|zsh|fish",
	  .summary = "print a completion script for a shell",
	  .description = "Prints a script that completes commands, flags and their values.\n"
			 "  source <(hythe completion bash)\n"
			 "  hythe completion zsh > \"${fpath[1]}/_hythe\"\n"
			 "  hythe completion fish > ~/.config/fish/completions/hythe.fish",
	  .positional = POSITIONAL_SHELL,
	  .least = 1,
	  .most = 1,
	  .run = completion_run },
	{ .name = "version",
	  .arguments = "",
	  .summary = "print the version, and what it was built with",
	  .description = "Prints the version of the program and of the libraries it uses.",
	  FLAGS(version_flags),
	  .options_size = sizeof(struct version_options),
	  .run = version_run },
	{ .name = NULL },
};

const struct command *command_find(struct span name)
{
	for (const struct command *c = cli_commands; c->name; c++) {
		if (span_equal(name, span_of(c->name)))
			return c;
	}
	return NULL;
}
