/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* options - what each command's flags fill in. Rows of table.c name these members. */
#include "cli/api.h"
#include "cli/cli.h"
#include "net/server.h"

struct model_flags {
	struct text_list features;
	const char *onnxruntime;
	bool all_rounds;
};

/* Of code that a language's own interpreter runs; the names are those of Gunicorn's users. */
struct code_flags {
	const char *python, *parameters, *trust, *pidfile, *metrics_path, *ready_path;
	size_t threads;
	int64_t timeout_ms, start_timeout_ms, graceful_timeout_ms;
	size_t max_requests, max_requests_jitter, max_rss;
	bool preload, expose_errors;
};

struct serve_options {
	struct text_list names, listen, bind;
	struct code_flags code;
	struct server_limits limits;
	struct model_flags model;
	size_t workers, compute_threads;
	const char *tls_certificate, *tls_key, *tls_client_ca;
	const char *cors_origin, *server_name;
	bool compression;
	size_t compression_least;
	int access_log, log_format, log_level;
	int64_t watch_files_ms;
	bool quiet;
};

struct up_options {
	const char *data_dir;
	struct text_list listen_api, listen_gateway, controllers;
	const char *listen_gateway_tls, *listen_services;
	int gateway, gateway_access_log;
	size_t gateway_workers, load_balancer_first, load_balancer_last, connections_most;
	const char *token_file, *audit_log, *kubeconfig, *node_name;
	int node, pod_egress;
	bool allow_host_path;
	int shipped_kinds;
	size_t pods_most, reserved_memory, reserved_cpu, eviction_memory, eviction_disk;
	int authorization, durability, access_log, log_format, log_level;
	size_t history_bytes, watches, watch_backlog_bytes, requests_waiting;
	int64_t history_ms;
	bool quiet, as_json;
};

struct engine_options {
	const char *deployment, *name_space, *predictor, *protocol, *file, *host, *prometheus_path;
	size_t http_port, grpc_port, body_bytes;
	int transport, server_type, access_log, log_format, log_level;
	bool full_health_checks;
	int64_t graceful_ms, shutdown_delay_ms;
};

struct fetch_options {
	size_t bytes_most, files_most;
	bool quiet;
};

struct env_options {
	const char *data_dir;
};

struct cluster_options { /* of status, why and top */
	struct api_flags where;
	const char *name_space;
	bool as_json;
};

struct run_options {
	struct api_flags where;
	const char *name, *name_space, *cpu, *memory; /* name_space NULL: default */
	struct text_list env;
	int restart;
	bool detach, keep;
};

struct deploy_options {
	struct api_flags where;
	const char *name, *name_space, *canary;
	struct text_list env;
	size_t replicas; /* 0: as it is, or one */
	int protocol;
	int64_t timeout_ms;
	bool dry_run, quiet;
	const char *output;
};

struct rollback_options { /* of promote too */
	struct api_flags where;
	const char *name_space;
	int64_t timeout_ms;
	bool quiet;
};

struct backup_options { /* of restore too */
	const char *data_dir;
};

struct inspect_options {
	struct model_flags model;
	bool as_json;
};

struct predict_options {
	struct model_flags model;
	const char *input, *output_path, *output_name, *label_column, *separator;
	bool keep_columns, strict, skip_bad, quiet;
	size_t threads;
};

struct convert_options {
	const char *output_path, *python;
};

struct help_options {
	bool man, markdown;
};

struct version_options {
	bool as_json;
};
