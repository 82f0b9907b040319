/* SPDX-License-Identifier: Apache-2.0 */
/* page - one small markup in three forms: terminal, man page, Markdown. See cli.h. */
#include <sys/ioctl.h>
#include <unistd.h>

#include "cli/cli.h"

enum { WIDTH_DEFAULT = 100, WIDTH_LEAST = 50, WIDTH_MOST = 110, TERM_COLUMN = 30 };

unsigned page_width(FILE *out)
{
	struct winsize size = { 0 };

	if (ioctl(fileno(out), TIOCGWINSZ, &size) < 0 || size.ws_col == 0)
		return WIDTH_DEFAULT;
	return MIN(MAX(size.ws_col, WIDTH_LEAST), WIDTH_MOST);
}

/* Characters, not bytes: continuation bytes of UTF-8 take no column. */
static size_t columns_of(struct span s)
{
	size_t columns = 0;

	for (size_t i = 0; i < s.len; i++)
		columns += ((unsigned char)s.ptr[i] & 0xc0) != 0x80;
	return columns;
}

/* Words with line breaks before the width; continues a line that holds `column` columns already. */
static void write_wrapped(FILE *out, struct span text, size_t indent, size_t column, size_t width)
{
	bool is_first = true;

	while (text.len > 0) {
		struct span word = span_cut(&text, ' ');
		size_t columns = columns_of(word);

		if (columns == 0)
			continue;
		if (!is_first && column + 1 + columns > width) {
			fprintf(out, "\n%*s", (int)indent, "");
			column = indent;
		} else if (!is_first) {
			fputc(' ', out);
			column++;
		}
		fwrite(word.ptr, 1, word.len, out);
		column += columns;
		is_first = false;
	}
	fputc('\n', out);
}

static void terminal_line(FILE *out, struct span line, bool *was_block)
{
	size_t width = page_width(out);
	size_t tab = span_index(line, '\t');
	bool is_block = span_starts(line, SPAN("  ")) || tab < line.len;

	if (!is_block || !*was_block)
		fputc('\n', out);
	*was_block = is_block;
	if (tab == line.len && is_block) {
		fprintf(out, "    %.*s\n", (int)line.len - 2, line.ptr + 2);
	} else if (tab < line.len) {
		struct span term = span_first(line, tab);
		size_t column = columns_of(term) + 2;

		fprintf(out, "  %.*s", (int)term.len, term.ptr);
		if (column + 2 > TERM_COLUMN) {
			fputc('\n', out);
			column = 0;
		}
		fprintf(out, "%*s", (int)(TERM_COLUMN - column), "");
		write_wrapped(out, span_skip(line, tab + 1), TERM_COLUMN, TERM_COLUMN, width);
	} else {
		write_wrapped(out, line, 0, 0, width);
	}
}

/* troff: a backslash and a dash have meanings, and so has a dot or a quote at a line's start. */
static void man_text(FILE *out, struct span text)
{
	bool is_code = false;

	if (text.len > 0 && (text.ptr[0] == '.' || text.ptr[0] == '\''))
		fputs("\\&", out);
	for (size_t i = 0; i < text.len; i++) {
		char c = text.ptr[i];

		if (c == '`') {
			is_code = !is_code;
			fputs(is_code ? "\\fB" : "\\fR", out);
		} else if (c == '\\') {
			fputs("\\e", out);
		} else if (c == '-') {
			fputs("\\-", out);
		} else {
			fputc(c, out);
		}
	}
}

static void man_line(FILE *out, struct span line, bool *was_block, bool is_first)
{
	size_t tab = span_index(line, '\t');

	if (tab == line.len && span_starts(line, SPAN("  "))) {
		fputs(*was_block || is_first ? "" : ".PP\n", out);
		fputs(".nf\n.RS 4\n", out);
		man_text(out, span_skip(line, 2));
		fputs("\n.RE\n.fi\n", out);
		*was_block = true;
		return;
	}
	*was_block = false;
	if (tab < line.len) {
		fputs(".TP\n\\fB", out);
		man_text(out, span_first(line, tab));
		fputs("\\fR\n", out);
		man_text(out, span_skip(line, tab + 1));
	} else {
		fputs(is_first ? "" : ".PP\n", out); /* a heading begins a paragraph by itself */
		man_text(out, line);
	}
	fputc('\n', out);
}

/* Outside of `code`, what Markdown or HTML would read as markup is escaped. */
static void markdown_text(FILE *out, struct span text)
{
	bool is_code = false;

	for (size_t i = 0; i < text.len; i++) {
		char c = text.ptr[i];

		if (c == '`')
			is_code = !is_code;
		if (c == '|' || (!is_code && strchr("<>*_[]\\", c)))
			fputc('\\', out);
		fputc(c, out);
	}
}

static void markdown_line(FILE *out, struct span line, bool *in_code, bool *in_table)
{
	size_t tab = span_index(line, '\t');
	bool is_row = tab < line.len, is_code = !is_row && span_starts(line, SPAN("  "));

	if (is_code != *in_code)
		fputs(is_code ? "\n```sh\n" : "```\n", out);
	if (is_row && !*in_table)
		fputs("\n| | |\n|---|---|\n", out);
	*in_code = is_code;
	*in_table = is_row;
	if (is_code) {
		fprintf(out, "%.*s\n", (int)line.len - 2, line.ptr + 2);
	} else if (is_row) {
		fputs("| `", out);
		for (size_t i = 0; i < tab; i++)
			fprintf(out, line.ptr[i] == '|' ? "\\|" : "%c", line.ptr[i]);
		fputs("` | ", out);
		markdown_text(out, span_skip(line, tab + 1));
		fputs(" |\n", out);
	} else {
		fputc('\n', out);
		markdown_text(out, line);
		fputc('\n', out);
	}
}

void page_write(FILE *out, enum page_form form, struct span text)
{
	bool in_block = false, in_table = false, is_first = true;

	while (text.len > 0) {
		struct span line = span_cut(&text, '\n');

		if (line.len == 0)
			continue;
		if (form == PAGE_TERMINAL)
			terminal_line(out, line, &in_block);
		else if (form == PAGE_MAN)
			man_line(out, line, &in_block, is_first);
		else
			markdown_line(out, line, &in_block, &in_table);
		is_first = false;
	}
	if (form == PAGE_MARKDOWN && in_block)
		fputs("```\n", out);
}
