/* SPDX-License-Identifier: Apache-2.0 */
#include "base/log.h"

#include <stdio.h>
#include <unistd.h>

#include "base/base.h"
#include "base/clock.h"
#include "base/number.h"

enum { LINE_MAX_BYTES = 4096 };

static enum log_level least_level = LOG_INFO;
static enum log_format line_format = LOG_AS_TEXT;

void log_setup(enum log_level least, enum log_format format)
{
	least_level = least;
	line_format = format;
}

bool log_is_on(enum log_level level)
{
	return level <= least_level;
}

bool log_is_json(void)
{
	return line_format == LOG_AS_JSON;
}

struct line {
	char text[LINE_MAX_BYTES];
	size_t len;
};

static void put(struct line *line, struct span s)
{
	size_t room = sizeof(line->text) - 2 - line->len;

	s = span_first(s, room);
	if (s.len)
		memcpy(line->text + line->len, s.ptr, s.len);
	line->len += s.len;
}

/* Quotes and escapes as JSON does; log text is one line whatever a client sent. */
static void put_quoted(struct line *line, struct span s)
{
	put(line, SPAN("\""));
	for (size_t i = 0; i < s.len; i++) {
		unsigned char c = (unsigned char)s.ptr[i];
		char escape[8];

		if (c == '"' || c == '\\')
			put(line, span_from(escape, (size_t)snprintf(escape, sizeof(escape), "\\%c", c)));
		else if (c < 0x20 || c == 0x7f)
			put(line, span_from(escape, (size_t)snprintf(escape, sizeof(escape), "\\u%04x", c)));
		else
			put(line, span_from(s.ptr + i, 1));
	}
	put(line, SPAN("\""));
}

static bool is_plain(struct span s)
{
	for (size_t i = 0; i < s.len; i++) {
		unsigned char c = (unsigned char)s.ptr[i];

		if (c <= ' ' || c == '"' || c == '=' || c == '\\' || c == 0x7f)
			return false;
	}
	return s.len > 0;
}

static void put_value(struct line *line, const struct log_field *f)
{
	char text[NUMBER_TEXT_MAX];

	switch (f->type) {
	case LOG_FIELD_INT:
		put(line, span_from(text, (size_t)(number_print_int64(text, f->integer) - text)));
		break;
	case LOG_FIELD_DOUBLE:
		put(line, span_from(text, (size_t)(number_print_double(text, f->real) - text)));
		break;
	case LOG_FIELD_TEXT:
		if (line_format == LOG_AS_TEXT && is_plain(f->text))
			put(line, f->text);
		else
			put_quoted(line, f->text);
		break;
	}
}

void log_line(enum log_level level, const char *module, const char *message, size_t count,
	      const struct log_field *fields)
{
	static const char *const names[] = { "error", "warn", "info", "debug" };
	char time[CLOCK_TEXT_SIZE];
	struct line line = { .len = 0 };

	(void)clock_print_rfc3339(clock_wall_ns(), time);
	if (line_format == LOG_AS_JSON) {
		put(&line, SPAN("{\"time\":"));
		put_quoted(&line, span_of(time));
		put(&line, SPAN(",\"level\":"));
		put_quoted(&line, span_of(names[level]));
		put(&line, SPAN(",\"module\":"));
		put_quoted(&line, span_of(module));
		put(&line, SPAN(",\"message\":"));
		put_quoted(&line, span_of(message));
	} else {
		put(&line, span_of(time));
		put(&line, SPAN(" "));
		put(&line, span_of(names[level]));
		put(&line, SPAN(" "));
		put(&line, span_of(module));
		put(&line, SPAN(": "));
		put(&line, span_of(message));
	}
	for (size_t i = 0; i < count; i++) {
		if (line_format == LOG_AS_JSON) {
			put(&line, SPAN(","));
			put_quoted(&line, span_of(fields[i].key));
			put(&line, SPAN(":"));
		} else {
			put(&line, SPAN(" "));
			put(&line, span_of(fields[i].key));
			put(&line, SPAN("="));
		}
		put_value(&line, &fields[i]);
	}
	if (line_format == LOG_AS_JSON)
		put(&line, SPAN("}"));
	line.text[line.len++] = '\n';
	(void)!write(STDERR_FILENO, line.text, line.len); /* a log that cannot be written has nowhere to complain */
}
