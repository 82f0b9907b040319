/* SPDX-License-Identifier: Apache-2.0 */
/* completion - scripts for bash, zsh and fish, from the table. */
#include "cli/cli.h"

/* For text between single quotes of a shell: no help text holds one, but a later one may. */
static void put_quoted(FILE *out, const char *text)
{
	for (; *text; text++) {
		if (*text == '\'')
			fputs("'\\''", out);
		else
			fputc(*text, out);
	}
}

static void put_choices(FILE *out, const char *choices)
{
	for (; *choices; choices++)
		fputc(*choices == ',' ? ' ' : *choices, out);
}

static const char *flag_choices(const struct flag *f)
{
	return f->choices ? f->choices : f->type == FLAG_ONOFF ? "on,off" : NULL;
}

static void put_commands(FILE *out)
{
	for (const struct command *c = cli_commands; c->name; c++)
		fprintf(out, "%s%s", c == cli_commands ? "" : " ", c->name);
}

static void put_topics(FILE *out)
{
	put_commands(out);
	for (const struct topic *t = cli_topics; t->name; t++)
		fprintf(out, " %s", t->name);
}

/* ---- bash ---- */

static void bash_values(FILE *out, const struct command *c)
{
	fprintf(out, "\t%s)\n\t\tcase $previous in\n", c->name);
	for (size_t i = 0; i < c->flag_count; i++) {
		const struct flag *f = &c->flags[i];

		if (f->type == FLAG_SWITCH)
			continue;
		fprintf(out, "\t\t--%s", f->name);
		if (f->letter)
			fprintf(out, "|-%c", f->letter);
		fputs(") ", out);
		if (flag_choices(f)) {
			fputs("COMPREPLY=($(compgen -W '", out);
			put_choices(out, flag_choices(f));
			fputs("' -- \"$word\")); return ;;\n", out);
		} else {
			fputs(f->type == FLAG_PATH ? "_hythe_files; return ;;\n" : "return ;;\n", out);
		}
	}
	fputs("\t\tesac\n\t\tflags='", out);
	for (size_t i = 0; i < c->flag_count; i++)
		fprintf(out, "--%s ", c->flags[i].name);
	fputs("--help'\n\t\twords='", out);
	if (c->positional == POSITIONAL_TOPIC)
		put_topics(out);
	else if (c->positional == POSITIONAL_SHELL)
		fputs("bash zsh fish", out);
	fprintf(out, "'\n\t\t%s\n\t\t;;\n", c->positional == POSITIONAL_FILE ? "files=1" : ":");
}

static void bash_write(FILE *out)
{
	fputs("# bash completion for hythe\n"
	      "_hythe_files()\n{\n"
	      "\tcompopt -o filenames 2>/dev/null\n"
	      "\tCOMPREPLY=($(compgen -f -- \"$word\"))\n}\n"
	      "_hythe()\n{\n"
	      "\tlocal word=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD-1]} flags= words= files=\n"
	      "\tCOMPREPLY=()\n"
	      "\tif [ \"$COMP_CWORD\" -eq 1 ]; then\n"
	      "\t\tCOMPREPLY=($(compgen -W '",
	      out);
	put_commands(out);
	fputs(" --help --version' -- \"$word\"))\n\t\treturn\n\tfi\n\tcase ${COMP_WORDS[1]} in\n", out);
	for (const struct command *c = cli_commands; c->name; c++)
		bash_values(out, c);
	fputs("\tesac\n"
	      "\tif [[ $word == -* ]]; then\n"
	      "\t\tCOMPREPLY=($(compgen -W \"$flags\" -- \"$word\"))\n"
	      "\telif [ -n \"$files\" ]; then\n"
	      "\t\t_hythe_files\n"
	      "\telse\n"
	      "\t\tCOMPREPLY=($(compgen -W \"$words\" -- \"$word\"))\n"
	      "\tfi\n}\n"
	      "complete -F _hythe hythe\n",
	      out);
}

/* ---- zsh ---- */

/* The description of an _arguments row stands in brackets; a colon ends a field of it. */
static void zsh_text(FILE *out, const char *text)
{
	for (; *text; text++) {
		if (strchr("[]:\\", *text))
			fputc('\\', out);
		if (*text == '\'')
			fputs("'\\''", out);
		else
			fputc(*text, out);
	}
}

static void zsh_flag(FILE *out, const struct flag *f)
{
	fprintf(out, "\t\t\t'%s--%s%s[", f->type == FLAG_LIST ? "*" : "", f->name, f->type == FLAG_SWITCH ? "" : "=");
	zsh_text(out, f->help);
	fputc(']', out);
	if (f->type != FLAG_SWITCH) {
		fputc(':', out);
		zsh_text(out, f->value);
		fputc(':', out);
		if (flag_choices(f)) {
			fputc('(', out);
			put_choices(out, flag_choices(f));
			fputc(')', out);
		} else if (f->type == FLAG_PATH) {
			fputs("_files", out);
		}
	}
	fputs("' \\\n", out);
}

static void zsh_write(FILE *out)
{
	fputs("#compdef hythe\n_hythe()\n{\n\tlocal -a commands\n\tcommands=(\n", out);
	for (const struct command *c = cli_commands; c->name; c++) {
		fprintf(out, "\t\t'%s:", c->name);
		put_quoted(out, c->summary);
		fputs("'\n", out);
	}
	fputs("\t)\n\tif (( CURRENT == 2 )); then\n\t\t_describe command commands\n\t\treturn\n\tfi\n"
	      "\tlocal command=$words[2]\n\tshift words\n\t(( CURRENT-- ))\n\tcase $command in\n",
	      out);
	for (const struct command *c = cli_commands; c->name; c++) {
		fprintf(out, "\t%s)\n\t\t_arguments -s \\\n", c->name);
		for (size_t i = 0; i < c->flag_count; i++)
			zsh_flag(out, &c->flags[i]);
		fputs("\t\t\t'--help[print this help]'", out);
		if (c->positional == POSITIONAL_FILE) {
			fputs(" \\\n\t\t\t'*:file:_files'", out);
		} else if (c->positional == POSITIONAL_SHELL) {
			fputs(" \\\n\t\t\t'1:shell:(bash zsh fish)'", out);
		} else if (c->positional == POSITIONAL_TOPIC) {
			fputs(" \\\n\t\t\t'1:topic:(", out);
			put_topics(out);
			fputs(")'", out);
		}
		fputs("\n\t\t;;\n", out);
	}
	fputs("\tesac\n}\n"
	      "if [ \"$funcstack[1]\" = _hythe ]; then\n\t_hythe \"$@\"\nelse\n\tcompdef _hythe hythe\nfi\n",
	      out);
}

/* ---- fish ---- */

static void fish_flag(FILE *out, const struct command *c, const struct flag *f)
{
	fprintf(out, "complete -c hythe -n '__fish_seen_subcommand_from %s' -l %s", c->name, f->name);
	if (f->letter)
		fprintf(out, " -s %c", f->letter);
	if (flag_choices(f)) {
		fputs(" -x -a '", out);
		put_choices(out, flag_choices(f));
		fputc('\'', out);
	} else if (f->type == FLAG_PATH) {
		fputs(" -r -F", out);
	} else if (f->type != FLAG_SWITCH) {
		fputs(" -x", out);
	}
	fputs(" -d '", out);
	put_quoted(out, f->help);
	fputs("'\n", out);
}

static void fish_write(FILE *out)
{
	fputs("# fish completion for hythe\ncomplete -c hythe -f\n", out);
	for (const struct command *c = cli_commands; c->name; c++) {
		fprintf(out, "complete -c hythe -n __fish_use_subcommand -a %s -d '", c->name);
		put_quoted(out, c->summary);
		fputs("'\n", out);
		for (size_t i = 0; i < c->flag_count; i++)
			fish_flag(out, c, &c->flags[i]);
		if (c->positional == POSITIONAL_NONE)
			continue;
		fprintf(out, "complete -c hythe -n '__fish_seen_subcommand_from %s' ", c->name);
		if (c->positional == POSITIONAL_FILE) {
			fputs("-F", out);
		} else {
			fputs("-a '", out);
			if (c->positional == POSITIONAL_SHELL)
				fputs("bash zsh fish", out);
			else
				put_topics(out);
			fputc('\'', out);
		}
		fputc('\n', out);
	}
}

static const struct {
	const char *name;
	void (*write)(FILE *out);
} shells[] = { { "bash", bash_write }, { "zsh", zsh_write }, { "fish", fish_write } };

bool completion_write(FILE *out, struct span shell)
{
	for (size_t i = 0; i < ARRAY_LEN(shells); i++) {
		if (span_equal(shell, span_of(shells[i].name))) {
			shells[i].write(out);
			return true;
		}
	}
	return false;
}

int completion_run(const struct cli_call *call)
{
	struct error err = { 0 };

	if (completion_write(stdout, span_of(call->arguments[0])))
		return EXIT_OK;
	error_set(&err, ERROR_INVALID, "'" SPAN_FMT "' is none of bash, zsh, fish",
		  SPAN_ARG(span_of(call->arguments[0])));
	cli_complain(call->command, &err);
	return EXIT_USAGE;
}
