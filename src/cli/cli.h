/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * cli - the program's commands, from one table (table.c).
 *
 * A command is a row with its flags; a flag is a row with its type, its place in the command's options struct, its
 * default and its help. The parser, the environment's names, --help, the man page, shell completion and the reference
 * page are all made from these rows.
 *
 * Precedence: flag, environment (HYTHE_ and the flag's name in capitals), default.
 * Threads:    start-up only; one thread.
 * Errors:     INVALID with what was given, what was expected and, near a known name, "did you mean".
 */
#include <stdio.h>

#include "base/base.h"
#include "base/units.h"

enum flag_type {
	FLAG_SWITCH,   /* bool; no value */
	FLAG_ONOFF,    /* bool; on or off */
	FLAG_TEXT,     /* const char * */
	FLAG_PATH,     /* const char *; completion offers files */
	FLAG_LIST,     /* struct text_list; may be repeated; in the environment separated by commas */
	FLAG_SIZE,     /* size_t; 4096, 64k, 10m, 1.5g: binary multiples */
	FLAG_COUNT,    /* size_t; 4096, 10k: the same multiples */
	FLAG_DURATION, /* int64_t milliseconds; 500ms, 30s, 5m, 2h, 1d; a bare number is seconds */
	FLAG_CHOICE,   /* int; index in `choices` */
};

struct text_list {
	const char **items;
	size_t count;
};

struct flag {
	const char *name; /* without the dashes */
	char letter;      /* "-i", or 0 */
	enum flag_type type;
	size_t offset;       /* in the options struct */
	const char *value;   /* what stands for the value in help: "ADDRESS:PORT" */
	const char *initial; /* default, as one would write it; NULL: none (0, NULL, off) */
	const char *choices; /* "off,text,json" */
	const char *help;    /* one sentence, without capital and full stop */
	const char *unit;    /* of a limit: "bytes", "requests"; sizes in bytes are shown with k, m, g */
	const char *group;   /* heading in help; NULL: "Flags" */
};

enum positional { POSITIONAL_NONE, POSITIONAL_FILE, POSITIONAL_TOPIC, POSITIONAL_SHELL };

struct cli_call;

struct command {
	const char *name;
	const char *arguments; /* "MODEL…" */
	const char *summary;
	const char *description; /* paragraphs; a line that begins with two spaces is an example */
	const struct flag *flags;
	size_t flag_count;
	size_t options_size;
	enum positional positional;
	size_t least, most; /* positional arguments */
	int (*run)(const struct cli_call *call);
};

/* One use of a command, parsed. */
struct cli_call {
	const struct command *command;
	const void *options;
	const char *const *arguments;
	size_t argument_count;
	struct arena *arena; /* lives as long as the call */
};

enum { EXIT_OK = 0, EXIT_FAILED = 1, EXIT_USAGE = 2 };

/* The table; ends with a row without a name. */
extern const struct command cli_commands[];
const struct command *command_find(struct span name);

/* Flags that every command has; `help` is the only one. */
extern const struct flag cli_common_flags[];
extern const size_t cli_common_flag_count;

/*
 * Parses what stands behind the command's name. `environment` may be NULL. *ret_help is set for --help (nothing else is
 * checked then).
 */
bool flags_parse(const struct command *command, const char *const *arguments, size_t count, char *const *environment,
		 struct arena *arena, struct cli_call *ret, bool *ret_help, struct error *err);

/* Variables that begin with HYTHE_ and are near the name of a setting, but are none: at most `max` of them. */
size_t flags_misspelt(char *const *environment, struct arena *arena, struct span *ret_messages, size_t max);

/* "64k", "1.5m" has no short form and stays bytes; "30s". Return the end; at most CLI_TEXT_MAX bytes with the NUL. */
#define CLI_TEXT_MAX 32
void size_print(size_t value, char *out);
void duration_print(int64_t ms, char *out);

/* The flag's default as help shows it, or NULL. */
const char *flag_default(const struct flag *f, char *out);
void flag_variable(const struct flag *f, char *out, size_t size); /* "HYTHE_MAX_BODY_BYTES" */

/* The nearest of `count` names to `given` ("did you mean"), or NULL when none is near. */
const char *name_suggest(struct span given, const char *const *names, size_t count);

/* ---- pages made from the table ---- */

/*
 * Text in the table and in topics is a list of lines: a paragraph; verbatim when it begins with two spaces; a term with
 * its explanation when it holds a tab. Words between `backticks` are code.
 */
enum page_form { PAGE_TERMINAL, PAGE_MAN, PAGE_MARKDOWN };
void page_write(FILE *out, enum page_form form, struct span text);
unsigned page_width(FILE *out); /* columns of a terminal, or 100 */

struct topic {
	const char *name, *summary;
	void (*write)(struct buffer *out); /* in the form above */
};
extern const struct topic cli_topics[]; /* ends with a row without a name */

void help_overview(FILE *out);
void help_command(FILE *out, const struct command *command);
bool help_topic(FILE *out, struct span name);
void man_write(FILE *out);
void reference_write(FILE *out); /* Markdown */
bool completion_write(FILE *out, struct span shell);

/* The explanation of a flag with its choices and default, and "-i, --input FILE". */
void flag_explain(const struct flag *f, struct buffer *out);
void flag_usage(const struct flag *f, char *out, size_t size);

/* Calls `visit` for each group of a command's flags, in the table's order. */
void flag_groups(const struct command *command,
		 void (*visit)(const char *group, const struct flag *const *flags, size_t count, void *context),
		 void *context);

/* What the program prints for people about failures: "hythe serve: ...". */
void cli_complain(const struct command *command, const struct error *err);

int serve_run(const struct cli_call *call);
int up_run(const struct cli_call *call);
int convert_run(const struct cli_call *call);
int fetch_run_command(const struct cli_call *call);
int image_run(const struct cli_call *call);
int inspect_run(const struct cli_call *call);
int predict_run(const struct cli_call *call);
int engine_run(const struct cli_call *call);
int env_run(const struct cli_call *call);
int deploy_run(const struct cli_call *call);
int promote_run(const struct cli_call *call);
int rollback_run(const struct cli_call *call);
int run_run(const struct cli_call *call);
int status_run(const struct cli_call *call);
int top_run(const struct cli_call *call);
int why_run(const struct cli_call *call);
int backup_run(const struct cli_call *call);
int restore_run(const struct cli_call *call);
int help_run(const struct cli_call *call);
int man_run(const struct cli_call *call);
int completion_run(const struct cli_call *call);
int version_run(const struct cli_call *call);
