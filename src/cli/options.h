/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* options - what each command's flags fill in. Rows of table.c name these members. */
#include "cli/cli.h"
#include "net/server.h"

struct model_flags {
	struct text_list features;
	const char *onnxruntime;
	bool all_rounds;
};

/* Of code that a language's own interpreter runs; the names are those of Gunicorn's users. */
struct code_flags {
	const char *python, *parameters, *trust, *pidfile, *metrics_path;
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
	struct text_list listen_api;
	const char *token_file, *audit_log;
	int authorization, durability, access_log, log_format, log_level;
	size_t history_bytes, watches, watch_backlog_bytes, requests_waiting;
	int64_t history_ms;
	bool quiet, as_json;
};

struct env_options {
	const char *data_dir;
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
