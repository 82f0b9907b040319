/* SPDX-License-Identifier: Apache-2.0 */
#include "node/dockerfile.h"

#include <ctype.h>

#include "wire/json.h"

#define VARIABLES_MOST 4096
#define HEREDOCS_MOST  8

struct reading {
	struct arena *arena;
	struct error *err;
	struct dockerfile *to;
	struct span text; /* what is left */
	size_t line;      /* number of the last one taken */
	char escape;
	size_t environment_capacity;
	struct name_value *arguments; /* ARG */
	size_t argument_count, argument_capacity;
	struct words shell;
	const struct name_value *base;
	size_t base_count;
};

static bool complain(struct reading *r, const char *what)
{
	return error_set(r->err, ERROR_INVALID, "line %zu: %s", r->line, what);
}

/* ---- lists ---- */

static bool words_add(struct reading *r, struct words *to, struct span one)
{
	struct span *items;

	/* Full at each power of two. */
	if ((to->count & (to->count + 1)) == 0 || !to->items) {
		items = ARENA_ARRAY(r->arena, struct span, (to->count + 1) * 2, r->err);
		if (!items)
			return false;
		if (to->count)
			memcpy(items, to->items, to->count * sizeof(*items));
		to->items = items;
	}
	to->items[to->count++] = one;
	to->is_set = true;
	return true;
}

static bool variable_set(struct reading *r, struct name_value **list, size_t *count, size_t *capacity, struct span name,
			 struct span value)
{
	for (size_t i = 0; i < *count; i++) {
		if (span_equal((*list)[i].name, name)) {
			(*list)[i].value = value;
			return true;
		}
	}
	if (*count == VARIABLES_MOST)
		return error_set(r->err, ERROR_TOO_LARGE, "line %zu: over %d variables", r->line, VARIABLES_MOST);
	if (*count == *capacity) {
		size_t more = *capacity * 2 + 8;
		struct name_value *items = ARENA_ARRAY(r->arena, struct name_value, more, r->err);

		if (!items)
			return false;
		if (*count)
			memcpy(items, *list, *count * sizeof(*items));
		*list = items;
		*capacity = more;
	}
	(*list)[(*count)++] = (struct name_value){ name, value };
	return true;
}

static bool environment_set(struct reading *r, struct span name, struct span value)
{
	return variable_set(r, &r->to->environment, &r->to->environment_count, &r->environment_capacity, name, value);
}

static bool variable_find_in(const struct name_value *list, size_t count, struct span name, struct span *ret)
{
	for (size_t i = 0; i < count; i++) {
		if (span_equal(list[i].name, name)) {
			*ret = list[i].value;
			return true;
		}
	}
	return false;
}

/* ENV comes before ARG, and both before what the base image would have. */
static bool variable_find(const struct reading *r, struct span name, struct span *ret)
{
	*ret = SPAN("");
	return variable_find_in(r->to->environment, r->to->environment_count, name, ret) ||
	       variable_find_in(r->arguments, r->argument_count, name, ret) ||
	       variable_find_in(r->base, r->base_count, name, ret);
}

/* ---- words: quotes, escapes, variables ---- */

static bool is_name_byte(char c, bool is_first)
{
	return c == '_' || (is_first ? isalpha((unsigned char)c) : isalnum((unsigned char)c));
}

static size_t name_length(struct span s)
{
	size_t n = 0;

	while (n < s.len && is_name_byte(s.ptr[n], n == 0))
		n++;
	return n;
}

#define NESTED_MOST 8

static bool expand(struct reading *r, struct span s, struct buffer *out, int depth);

/* What follows "${": NAME}, NAME:-word}, NAME:+word}. */
static bool braces_expand(struct reading *r, struct span *s, struct buffer *out, int depth)
{
	size_t n = name_length(*s), end, level = 1;
	struct span name = span_first(*s, n), value, word;
	bool is_there = variable_find(r, name, &value);
	char form = 0;

	*s = span_skip(*s, n);
	if (!n || !s->len)
		return complain(r, "a variable in braces has no name, or no end");
	if (s->ptr[0] == '}') {
		*s = span_skip(*s, 1);
		buffer_append(out, value);
		return true;
	}
	if (s->ptr[0] == ':')
		*s = span_skip(*s, 1);
	if (s->len)
		form = s->ptr[0];
	if (form != '-' && form != '+')
		return complain(r, "of variables in braces, ${A}, ${A:-b} and ${A:+b} are read");
	*s = span_skip(*s, 1);
	for (end = 0; end < s->len; end++) {
		level += s->ptr[end] == '{';
		level -= s->ptr[end] == '}';
		if (!level)
			break;
	}
	if (end == s->len)
		return complain(r, "a variable in braces has no end");
	word = span_first(*s, end);
	*s = span_skip(*s, end + 1);
	is_there = is_there && value.len > 0;
	if (form == '-' && is_there)
		buffer_append(out, value);
	else if (form == '-' || is_there)
		return expand(r, word, out, depth + 1);
	return true;
}

static bool variable_expand(struct reading *r, struct span *s, struct buffer *out, int depth)
{
	struct span value;
	size_t n;

	*s = span_skip(*s, 1);
	if (s->len && s->ptr[0] == '{') {
		*s = span_skip(*s, 1);
		return braces_expand(r, s, out, depth);
	}
	n = name_length(*s);
	if (!n) {
		buffer_byte(out, '$');
		return true;
	}
	(void)variable_find(r, span_first(*s, n), &value);
	buffer_append(out, value);
	*s = span_skip(*s, n);
	return true;
}

/* Takes quotes off and puts variables in. */
static bool expand(struct reading *r, struct span s, struct buffer *out, int depth)
{
	char quote = 0;

	if (depth > NESTED_MOST)
		return complain(r, "variables are nested too deep");
	while (s.len) {
		char c = s.ptr[0];

		if (quote == '\'' ? c == '\'' : c == quote && quote) {
			quote = 0;
		} else if (!quote && (c == '\'' || c == '"')) {
			quote = c;
		} else if (c == '$' && quote != '\'') {
			if (!variable_expand(r, &s, out, depth))
				return false;
			continue;
		} else if (c == r->escape && quote != '\'' && s.len > 1) {
			/* In double quotes it stands for itself before what needs none. */
			if (quote && s.ptr[1] != quote && s.ptr[1] != '$' && s.ptr[1] != r->escape)
				buffer_byte(out, c);
			s = span_skip(s, 1);
			buffer_byte(out, s.ptr[0]);
		} else {
			buffer_byte(out, c);
		}
		s = span_skip(s, 1);
	}
	if (quote)
		return complain(r, "a quote has no end");
	return true;
}

static bool word_expand(struct reading *r, struct span s, struct span *ret)
{
	struct buffer out;
	bool ok;

	buffer_init(&out, DOCKERFILE_VALUE_MOST);
	ok = expand(r, s, &out, 0) && buffer_ok(&out, "a value", r->err);
	if (ok)
		*ret = arena_copy(r->arena, buffer_span(&out), r->err);
	buffer_done(&out);
	if (ok && ret->len && memchr(ret->ptr, '\0', ret->len))
		return complain(r, "a value holds a zero byte");
	return ok && ret->ptr;
}

static bool is_space(char c)
{
	return c == ' ' || c == '\t';
}

/* The next word, with its quotes; empty at the end. */
static struct span word_cut(const struct reading *r, struct span *rest)
{
	char quote = 0;
	size_t n = 0;
	struct span word;

	while (rest->len && is_space(rest->ptr[0]))
		*rest = span_skip(*rest, 1);
	for (; n < rest->len; n++) {
		char c = rest->ptr[n];

		if (c == r->escape && quote != '\'' && n + 1 < rest->len)
			n++;
		else if (quote && c == quote)
			quote = 0;
		else if (!quote && (c == '"' || c == '\''))
			quote = c;
		else if (!quote && is_space(c))
			break;
	}
	word = span_first(*rest, n);
	*rest = span_skip(*rest, word.len);
	return word;
}

/* ---- lines ---- */

static struct span trim_left(struct span s)
{
	while (s.len && is_space(s.ptr[0]))
		s = span_skip(s, 1);
	return s;
}

static struct span physical_line(struct reading *r)
{
	struct span line = span_cut(&r->text, '\n');

	r->line++;
	if (line.len && line.ptr[line.len - 1] == '\r')
		line.len--;
	return line;
}

/* Takes "escape=`" at the top; other directives have no meaning here. */
static void directives_read(struct reading *r)
{
	while (r->text.len) {
		struct span rest = r->text, line = trim_left(span_cut(&rest, '\n')), key;
		size_t equals;

		if (!line.len || line.ptr[0] != '#')
			return;
		line = span_trim(span_skip(line, 1));
		equals = span_index(line, '=');
		if (equals == line.len)
			return;
		key = span_trim(span_first(line, equals));
		line = span_trim(span_skip(line, equals + 1));
		if (name_length(key) != key.len)
			return;
		if (span_equal_ignore_case(key, SPAN("escape")) && line.len == 1 &&
		    (line.ptr[0] == '`' || line.ptr[0] == '\\'))
			r->escape = line.ptr[0];
		(void)physical_line(r);
	}
}

/* A whole instruction: continued lines put together, comments in between left out. Empty at the end of the text. */
static bool logical_line(struct reading *r, struct span *ret)
{
	struct buffer out;
	bool is_open = false, ok;

	buffer_init(&out, DOCKERFILE_MOST);
	while (r->text.len && (is_open || !span_trim(buffer_span(&out)).len)) {
		struct span line = physical_line(r), bare = span_trim(line);

		if (!bare.len || bare.ptr[0] == '#')
			continue; /* an empty line does not end an instruction */
		is_open = bare.ptr[bare.len - 1] == r->escape;
		if (is_open)
			line = span_first(line, (size_t)(bare.ptr + bare.len - 1 - line.ptr));
		buffer_append(&out, line);
	}
	ok = buffer_ok(&out, "an instruction", r->err);
	*ret = ok ? arena_copy(r->arena, span_trim(buffer_span(&out)), r->err) : (struct span){ 0 };
	buffer_done(&out);
	return ok && ret->ptr;
}

/* "<<EOF", "<<-'EOF'": the name, or empty. */
static struct span heredoc_name(struct span word)
{
	if (!span_starts(word, SPAN("<<")))
		return (struct span){ 0 };
	word = span_skip(word, 2);
	if (word.len && word.ptr[0] == '-')
		word = span_skip(word, 1);
	if (word.len > 2 && (word.ptr[0] == '"' || word.ptr[0] == '\'') && word.ptr[word.len - 1] == word.ptr[0])
		word = span_from(word.ptr + 1, word.len - 2);
	return word.len && name_length(word) == word.len ? word : (struct span){ 0 };
}

static bool heredocs_skip(struct reading *r, struct span rest)
{
	struct span names[HEREDOCS_MOST], word;
	size_t count = 0;

	while ((word = word_cut(r, &rest)).len && count < HEREDOCS_MOST) {
		names[count] = heredoc_name(word);
		count += names[count].len > 0;
	}
	for (size_t i = 0; i < count; i++) {
		bool has_ended = false;

		while (!has_ended && r->text.len)
			has_ended = span_equal(span_trim(physical_line(r)), names[i]);
		if (!has_ended)
			return error_set(r->err, ERROR_INVALID, "line %zu: the here-document " SPAN_FMT " has no end",
					 r->line, SPAN_ARG(names[i]));
	}
	return true;
}

/* ---- instructions ---- */

static bool json_words(struct reading *r, struct span rest, struct words *ret)
{
	struct words words = { .is_set = true };
	struct error ignored = { 0 };
	struct span one;
	struct json j;

	if (!rest.len || rest.ptr[0] != '[')
		return false;
	json_init(&j, rest, r->arena);
	if (!json_enter_array(&j, &ignored))
		return false;
	while (json_next_element(&j, &ignored))
		if (!json_read_string(&j, &one, &ignored) || memchr(one.ptr, '\0', one.len) ||
		    !words_add(r, &words, one))
			return false;
	if (!json_finish(&j, &ignored))
		return false;
	*ret = words;
	return true;
}

/* A list in JSON, or a line for the shell, as it is: the shell puts the variables in when it runs. */
static bool command_read(struct reading *r, struct span rest, struct words *to)
{
	struct words words = { .is_set = true };

	if (json_words(r, rest, to))
		return true;
	if (rest.len && memchr(rest.ptr, '\0', rest.len))
		return complain(r, "a command holds a zero byte");
	for (size_t i = 0; i < r->shell.count; i++)
		if (!words_add(r, &words, r->shell.items[i]))
			return false;
	if (!words_add(r, &words, rest))
		return false;
	*to = words;
	return true;
}

static bool do_cmd(struct reading *r, struct span rest)
{
	return command_read(r, rest, &r->to->command);
}

static bool do_entrypoint(struct reading *r, struct span rest)
{
	return command_read(r, rest, &r->to->entrypoint);
}

static bool do_shell(struct reading *r, struct span rest)
{
	struct words words;

	if (!json_words(r, rest, &words) || !words.count)
		return complain(r, "SHELL takes a list in JSON");
	r->shell = words;
	return true;
}

static bool pair_read(struct reading *r, struct span word, struct name_value *ret)
{
	size_t equals = span_index(word, '=');

	if (equals == word.len || equals == 0)
		return complain(r, "ENV takes NAME=VALUE pairs, or one NAME and its value");
	return word_expand(r, span_first(word, equals), &ret->name) &&
	       word_expand(r, span_skip(word, equals + 1), &ret->value) &&
	       (ret->name.len || complain(r, "a variable has no name"));
}

#define PAIRS_MOST 256

/* The values are made with what was set before this line. */
static bool do_env(struct reading *r, struct span rest)
{
	struct name_value pairs[PAIRS_MOST];
	struct span at = rest, word = word_cut(r, &at);
	size_t count = 0;

	if (span_index(word, '=') == word.len) { /* the old form: the rest of the line is the value */
		at = span_trim(at);
		if (!word.len || !at.len)
			return complain(r, "ENV takes NAME=VALUE pairs, or one NAME and its value");
		return word_expand(r, word, &pairs[0].name) && word_expand(r, at, &pairs[0].value) &&
		       (pairs[0].name.len || complain(r, "a variable has no name")) &&
		       environment_set(r, pairs[0].name, pairs[0].value);
	}
	for (; (word = word_cut(r, &rest)).len; count++)
		if (count == PAIRS_MOST ? !complain(r, "ENV has too many pairs") : !pair_read(r, word, &pairs[count]))
			return false;
	for (size_t i = 0; i < count; i++)
		if (!environment_set(r, pairs[i].name, pairs[i].value))
			return false;
	return true;
}

/* Without a default it is whatever is given to a build: nothing. */
static bool do_arg(struct reading *r, struct span rest)
{
	struct span word, name, value;

	while ((word = word_cut(r, &rest)).len) {
		size_t equals = span_index(word, '=');

		if (equals == word.len)
			continue;
		if (!word_expand(r, span_first(word, equals), &name) ||
		    !word_expand(r, span_skip(word, equals + 1), &value) ||
		    !variable_set(r, &r->arguments, &r->argument_count, &r->argument_capacity, name, value))
			return false;
	}
	return true;
}

/* Absolute, as seen from the working folder; without "." and slashes that mean nothing. */
static bool path_resolve(struct reading *r, struct span path, struct span *ret)
{
	struct buffer out;
	bool ok;

	buffer_init(&out, KIB(16));
	for (int pass = path.len && path.ptr[0] == '/'; pass < 2; pass++) {
		struct span rest = pass ? path : r->to->working_directory;

		while (rest.len) {
			struct span part = span_cut(&rest, '/');

			if (span_equal(part, SPAN(".."))) {
				while (out.len && out.ptr[--out.len] != '/')
					;
			} else if (part.len && !span_equal(part, SPAN("."))) {
				buffer_byte(&out, '/');
				buffer_append(&out, part);
			}
		}
	}
	if (!out.len)
		buffer_byte(&out, '/');
	ok = buffer_ok(&out, "a path", r->err);
	*ret = ok ? arena_copy(r->arena, buffer_span(&out), r->err) : (struct span){ 0 };
	buffer_done(&out);
	return ok && ret->ptr;
}

static bool do_workdir(struct reading *r, struct span rest)
{
	struct span path;

	if (!word_expand(r, rest, &path))
		return false;
	if (!path.len)
		return complain(r, "WORKDIR takes a path");
	return path_resolve(r, path, &r->to->working_directory);
}

static bool do_expose(struct reading *r, struct span rest)
{
	struct span word, port;

	while ((word = word_cut(r, &rest)).len)
		if (!word_expand(r, word, &port) || !words_add(r, &r->to->ports, port))
			return false;
	return true;
}

/* Of the whole folder: that is where it will be. True with *ret_is_whole false: of something else. */
static bool copy_read(struct reading *r, struct span rest, bool *ret_is_whole)
{
	struct words words = { 0 };
	struct span word, first;

	*ret_is_whole = false;
	for (;;) {
		struct span at = rest;

		word = word_cut(r, &at);
		if (!span_starts(word, SPAN("--")))
			break;
		if (span_starts(word, SPAN("--from")))
			return true;
		rest = at;
	}
	if (!json_words(r, trim_left(rest), &words)) {
		words = (struct words){ 0 };
		while ((word = word_cut(r, &rest)).len)
			if (!word_expand(r, word, &word) || !words_add(r, &words, word))
				return false;
	}
	if (words.count != 2)
		return true;
	first = words.items[0];
	if (!span_equal(first, SPAN(".")) && !span_equal(first, SPAN("./")) && !span_equal(first, SPAN("/")))
		return true;
	*ret_is_whole = true;
	return path_resolve(r, words.items[1], &r->to->place);
}

static bool do_from(struct reading *r, struct span rest)
{
	static struct span sh[] = { SPAN_INIT("/bin/sh"), SPAN_INIT("-c") };

	(void)rest;
	*r->to = (struct dockerfile){ 0 };
	r->environment_capacity = 0;
	r->argument_count = 0;
	r->shell = (struct words){ sh, ARRAY_LEN(sh), true };
	return true;
}

static bool do_nothing(struct reading *r, struct span rest)
{
	(void)r;
	(void)rest;
	return true;
}

static const struct {
	struct span name;
	bool (*run)(struct reading *r, struct span rest); /* NULL: not done, and listed */
	bool has_heredocs;
} instructions[] = {
	{ SPAN_INIT("ADD"), NULL, true },
	{ SPAN_INIT("ARG"), do_arg, false },
	{ SPAN_INIT("CMD"), do_cmd, false },
	{ SPAN_INIT("COPY"), NULL, true },
	{ SPAN_INIT("ENTRYPOINT"), do_entrypoint, false },
	{ SPAN_INIT("ENV"), do_env, false },
	{ SPAN_INIT("EXPOSE"), do_expose, false },
	{ SPAN_INIT("FROM"), NULL, false },
	{ SPAN_INIT("HEALTHCHECK"), NULL, false },
	{ SPAN_INIT("LABEL"), do_nothing, false },
	{ SPAN_INIT("MAINTAINER"), do_nothing, false },
	{ SPAN_INIT("ONBUILD"), do_nothing, false },
	{ SPAN_INIT("RUN"), NULL, true },
	{ SPAN_INIT("SHELL"), do_shell, false },
	{ SPAN_INIT("STOPSIGNAL"), NULL, false },
	{ SPAN_INIT("USER"), NULL, false },
	{ SPAN_INIT("VOLUME"), NULL, false },
	{ SPAN_INIT("WORKDIR"), do_workdir, false },
};

static bool instruction_do(struct reading *r, struct span line)
{
	size_t n = 0, i = 0;
	struct span name, rest;
	bool is_whole = false;

	while (n < line.len && !is_space(line.ptr[n]))
		n++;
	name = span_first(line, n);
	rest = span_trim(span_skip(line, n));
	while (i < ARRAY_LEN(instructions) && !span_equal_ignore_case(name, instructions[i].name))
		i++;
	if (i == ARRAY_LEN(instructions))
		return error_set(r->err, ERROR_INVALID, "line %zu: there is no instruction '" SPAN_FMT "'", r->line,
				 SPAN_ARG(name));
	if (!rest.len)
		return error_set(r->err, ERROR_INVALID, "line %zu: %s has nothing behind it", r->line,
				 instructions[i].name.ptr);
	if (instructions[i].has_heredocs && !heredocs_skip(r, rest))
		return false;
	name = instructions[i].name;
	if (instructions[i].run)
		return instructions[i].run(r, rest);
	if (span_equal(name, SPAN("FROM")) && !do_from(r, rest))
		return false;
	if ((span_equal(name, SPAN("COPY")) || span_equal(name, SPAN("ADD"))) && !copy_read(r, rest, &is_whole))
		return false;
	return is_whole || words_add(r, &r->to->not_done, line);
}

bool dockerfile_read(struct span text, const struct name_value *base, size_t base_count, struct arena *arena,
		     struct dockerfile *ret, struct error *err)
{
	struct dockerfile made = { 0 };
	struct reading r = { .arena = arena,
			     .err = err,
			     .to = &made,
			     .text = text,
			     .escape = '\\',
			     .base = base,
			     .base_count = base_count };
	size_t count = 0;
	struct span line;

	if (text.len > DOCKERFILE_MOST)
		return error_set(err, ERROR_TOO_LARGE, "a Dockerfile has %zu bytes at most", DOCKERFILE_MOST);
	(void)do_from(&r, text);
	directives_read(&r);
	for (;;) {
		if (!logical_line(&r, &line))
			return false;
		if (!line.len)
			break;
		if (++count > DOCKERFILE_LINES_MOST)
			return error_set(err, ERROR_TOO_LARGE, "over %d instructions", DOCKERFILE_LINES_MOST);
		if (!instruction_do(&r, line))
			return false;
	}
	*ret = made;
	return true;
}

bool dockerfile_environment_read(struct span text, struct arena *arena, struct dockerfile *ret, struct error *err)
{
	struct reading r = { .arena = arena, .err = err, .to = ret, .text = text, .escape = '\\' };

	if (text.len > DOCKERFILE_MOST)
		return error_set(err, ERROR_TOO_LARGE, "a file of variables has %zu bytes at most", DOCKERFILE_MOST);
	r.environment_capacity = ret->environment_count; /* the list is moved before it grows */
	while (r.text.len) {
		struct span line = span_trim(physical_line(&r));
		size_t equals = span_index(line, '=');
		struct span value;

		if (!line.len || line.ptr[0] == '#')
			continue;
		if (equals == 0 || equals == line.len || memchr(line.ptr, '\0', line.len))
			return complain(&r, "NAME=VALUE is expected");
		value = span_trim(span_skip(line, equals + 1));
		if (value.len >= 2 && (value.ptr[0] == '"' || value.ptr[0] == '\'') &&
		    value.ptr[value.len - 1] == value.ptr[0])
			value = span_from(value.ptr + 1, value.len - 2);
		if (!environment_set(&r, span_trim(span_first(line, equals)), value))
			return false;
	}
	return true;
}
