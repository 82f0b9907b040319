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
	  .summary = "serve a Kubernetes API, in one process on one folder",
	  .description =
	      "Starts an API server that kubectl and every Kubernetes client take for a cluster. It keeps its "
	      "objects, keys and certificates in a folder, and writes a kubeconfig for you there.\n"
	      "SIGTERM and SIGINT drain: watches end, what was accepted is answered; a second one ends at once. "
	      "Nothing that was answered is lost, however it ends.\n"
	      "  hythe up\n"
	      "  hythe up --data-dir /var/lib/hythe --listen-api 127.0.0.1:6443",
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
