/* SPDX-License-Identifier: Apache-2.0 */
/* help - the pages for people, from the table: terminal, man page, Markdown. */
#include "cli/options.h"

#define MAN_DATE "November 21, 2026" /* of this version */
#define TAGLINE  "serves machine-learning models over HTTP and gRPC"

enum { PAGE_BYTES_MAX = MIB(4), GROUP_FLAGS_MAX = 128, GROUPS_MAX = 16 };

void flag_usage(const struct flag *f, char *out, size_t size)
{
	const char *space = f->type == FLAG_SWITCH ? "" : " ";
	const char *value = f->type == FLAG_SWITCH ? "" : f->value;

	if (f->letter)
		snprintf(out, size, "-%c, --%s%s%s", f->letter, f->name, space, value);
	else
		snprintf(out, size, "--%s%s%s", f->name, space, value);
}

void flag_explain(const struct flag *f, struct buffer *out)
{
	char text[CLI_TEXT_MAX];
	const char *initial = flag_default(f, text);

	buffer_append(out, span_of(f->help));
	if (f->choices)
		buffer_print(out, ": %s", f->choices);
	if (f->type == FLAG_LIST && !strstr(f->help, "repeated"))
		buffer_append(out, SPAN("; may be repeated"));
	if (initial)
		buffer_print(out, " (default %s)", initial);
}

void flag_groups(const struct command *command,
		 void (*visit)(const char *group, const struct flag *const *flags, size_t count, void *context),
		 void *context)
{
	const struct flag *members[GROUP_FLAGS_MAX];
	const char *seen[GROUPS_MAX];
	size_t seen_count = 0;

	for (size_t i = 0; i < command->flag_count; i++) {
		const char *group = command->flags[i].group ? command->flags[i].group : "Flags";
		size_t count = 0;
		bool is_seen = false;

		for (size_t k = 0; k < seen_count; k++)
			is_seen = is_seen || strcmp(seen[k], group) == 0;
		if (is_seen || seen_count == GROUPS_MAX)
			continue;
		seen[seen_count++] = group;
		for (size_t k = i; k < command->flag_count && count < GROUP_FLAGS_MAX; k++) {
			const char *other = command->flags[k].group ? command->flags[k].group : "Flags";

			if (strcmp(other, group) == 0)
				members[count++] = &command->flags[k];
		}
		visit(group, members, count, context);
	}
}

/* ---- terminal ---- */

/* "term TAB explanation" lines of a group of flags. */
static void put_flags(struct buffer *text, const struct flag *const *flags, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		char usage[128];

		flag_usage(flags[i], usage, sizeof(usage));
		buffer_print(text, "%s%s\t", flags[i]->letter ? "" : "    ", usage);
		flag_explain(flags[i], text);
		buffer_byte(text, '\n');
	}
}

static void terminal_group(const char *group, const struct flag *const *flags, size_t count, void *context)
{
	FILE *out = context;
	struct buffer text;

	buffer_init(&text, PAGE_BYTES_MAX);
	put_flags(&text, flags, count);
	fprintf(out, "\n%s:", group);
	page_write(out, PAGE_TERMINAL, buffer_span(&text));
	buffer_done(&text);
}

void help_command(FILE *out, const struct command *command)
{
	const struct flag *common = &cli_common_flags[0];

	fprintf(out, "hythe %s - %s\n\nUsage: hythe %s%s%s%s\n", command->name, command->summary, command->name,
		command->flag_count ? " [FLAGS]" : "", command->arguments[0] ? " " : "", command->arguments);
	page_write(out, PAGE_TERMINAL, span_of(command->description));
	flag_groups(command, terminal_group, out);
	terminal_group("Help", &common, 1, out);
	if (command->flag_count)
		fputs("\nEach flag can be set in the environment too: HYTHE_ and its name in capitals, with _ for -.\n",
		      out);
}

void help_overview(FILE *out)
{
	struct buffer text;

	buffer_init(&text, PAGE_BYTES_MAX);
	fprintf(out, "hythe %s - %s\n\nUsage: hythe COMMAND [FLAGS] [ARGUMENTS]\n\nCommands:", HYTHE_VERSION, TAGLINE);
	for (const struct command *c = cli_commands; c->name; c++)
		buffer_print(&text, "%s%s%s\t%s\n", c->name, c->arguments[0] ? " " : "", c->arguments, c->summary);
	page_write(out, PAGE_TERMINAL, buffer_span(&text));
	buffer_clear(&text);
	fputs("\nTopics:", out);
	for (const struct topic *t = cli_topics; t->name; t++)
		buffer_print(&text, "help %s\t%s\n", t->name, t->summary);
	page_write(out, PAGE_TERMINAL, buffer_span(&text));
	buffer_done(&text);
	fputs("\n`hythe help serve` or `hythe serve --help` explains a command and its flags. To begin:\n\n"
	      "    hythe serve model.onnx\n",
	      out);
}

static const struct topic *topic_find(struct span name)
{
	for (const struct topic *t = cli_topics; t->name; t++) {
		if (span_equal(name, span_of(t->name)))
			return t;
	}
	return NULL;
}

static void topic_write(FILE *out, enum page_form form, const struct topic *topic)
{
	struct buffer text;

	buffer_init(&text, PAGE_BYTES_MAX);
	topic->write(&text);
	page_write(out, form, buffer_span(&text));
	buffer_done(&text);
}

bool help_topic(FILE *out, struct span name)
{
	const struct topic *topic = topic_find(name);

	if (!topic)
		return false;
	fprintf(out, "%s - %s\n", topic->name, topic->summary);
	topic_write(out, PAGE_TERMINAL, topic);
	return true;
}

/* ---- man page ---- */

static void man_group(const char *group, const struct flag *const *flags, size_t count, void *context)
{
	FILE *out = context;
	struct buffer text;

	(void)group;
	buffer_init(&text, PAGE_BYTES_MAX);
	for (size_t i = 0; i < count; i++) {
		char usage[128];

		flag_usage(flags[i], usage, sizeof(usage));
		buffer_print(&text, "%s\t", usage);
		flag_explain(flags[i], &text);
		buffer_byte(&text, '\n');
	}
	page_write(out, PAGE_MAN, buffer_span(&text));
	buffer_done(&text);
}

static void print_upper(FILE *out, const char *text)
{
	for (; *text; text++)
		fputc(*text >= 'a' && *text <= 'z' ? *text - 'a' + 'A' : *text, out);
}

void man_write(FILE *out)
{
	fprintf(out,
		".TH HYTHE 1 \"" MAN_DATE "\" \"hythe %s\" \"User Commands\"\n.SH NAME\nhythe \\- %s\n"
		".SH SYNOPSIS\n.B hythe\n.I COMMAND\n[\\fIFLAGS\\fR] [\\fIARGUMENTS\\fR]\n.SH COMMANDS\n",
		HYTHE_VERSION, TAGLINE);
	for (const struct command *c = cli_commands; c->name; c++) {
		fprintf(out, ".SS hythe %s%s%s\n", c->name, c->arguments[0] ? " " : "", c->arguments);
		page_write(out, PAGE_MAN, span_of(c->description));
		flag_groups(c, man_group, out);
	}
	for (const struct topic *t = cli_topics; t->name; t++) {
		fputs(".SH ", out);
		print_upper(out, t->name);
		fputc('\n', out);
		topic_write(out, PAGE_MAN, t);
	}
	fputs(".SH EXIT STATUS\n.TP\n\\fB0\\fR\nsuccess\n.TP\n\\fB1\\fR\nfailure\n.TP\n\\fB2\\fR\nwrong usage\n", out);
}

/* ---- Markdown ---- */

static void markdown_group(const char *group, const struct flag *const *flags, size_t count, void *context)
{
	FILE *out = context;
	struct buffer text;

	fprintf(out, "\n%s:\n\n| flag | environment | |\n|---|---|---|\n", group);
	for (size_t i = 0; i < count; i++) {
		char usage[128], variable[64];

		flag_usage(flags[i], usage, sizeof(usage));
		flag_variable(flags[i], variable, sizeof(variable));
		buffer_init(&text, PAGE_BYTES_MAX);
		flag_explain(flags[i], &text);
		fputs("| `", out);
		for (const char *c = usage; *c; c++)
			fprintf(out, *c == '|' ? "\\|" : "%c", *c);
		fprintf(out, "` | `%s` | ", variable);
		for (size_t k = 0; k < text.len; k++)
			fprintf(out, strchr("|*<>_", text.ptr[k]) ? "\\%c" : "%c", text.ptr[k]);
		fputs(" |\n", out);
		buffer_done(&text);
	}
}

void reference_write(FILE *out)
{
	fprintf(out,
		"# Commands\n\nMade by `hythe help --markdown` from the program's own table of commands and flags.\n"
		"\nExit codes: 0 success, 1 failure, 2 wrong usage.\n");
	for (const struct command *c = cli_commands; c->name; c++) {
		fprintf(out, "\n## hythe %s\n\n`hythe %s%s%s%s` - %s.\n", c->name, c->name,
			c->flag_count ? " [FLAGS]" : "", c->arguments[0] ? " " : "", c->arguments, c->summary);
		page_write(out, PAGE_MARKDOWN, span_of(c->description));
		flag_groups(c, markdown_group, out);
	}
	for (const struct topic *t = cli_topics; t->name; t++) {
		fprintf(out, "\n## Topic: %s\n", t->name);
		topic_write(out, PAGE_MARKDOWN, t);
	}
}

/* ---- commands ---- */

static bool no_page(struct span name, struct error *err)
{
	const char *names[64];
	const char *near;
	size_t count = 0;

	for (const struct command *c = cli_commands; c->name && count < ARRAY_LEN(names); c++)
		names[count++] = c->name;
	for (const struct topic *t = cli_topics; t->name && count < ARRAY_LEN(names); t++)
		names[count++] = t->name;
	near = name_suggest(name, names, count);
	return error_set(err, ERROR_INVALID, "'" SPAN_FMT "' is no command and no topic%s%s%s; `hythe help` lists them",
			 SPAN_ARG(name), near ? "; did you mean '" : "", near ? near : "", near ? "'?" : "");
}

int help_run(const struct cli_call *call)
{
	const struct help_options *options = call->options;
	struct error err = { 0 };
	const struct command *command;
	struct span name;

	if (options->man) {
		man_write(stdout);
		return EXIT_OK;
	}
	if (options->markdown) {
		reference_write(stdout);
		return EXIT_OK;
	}
	if (call->argument_count == 0) {
		help_overview(stdout);
		return EXIT_OK;
	}
	name = span_of(call->arguments[0]);
	command = command_find(name);
	if (command) {
		help_command(stdout, command);
		return EXIT_OK;
	}
	if (help_topic(stdout, name))
		return EXIT_OK;
	(void)no_page(name, &err);
	cli_complain(call->command, &err);
	return EXIT_USAGE;
}

int man_run(const struct cli_call *call)
{
	(void)call;
	man_write(stdout);
	return EXIT_OK;
}

void cli_complain(const struct command *command, const struct error *err)
{
	fprintf(stderr, "hythe%s%s: %s\n", command ? " " : "", command ? command->name : "", err->message);
}
