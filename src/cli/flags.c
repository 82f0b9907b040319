/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/cli.h"

#include <ctype.h>

#include "base/nearest.h"

enum { LIST_ITEMS_MAX = 65536, NAMES_MAX = 128 };

/* ---- values ---- */

void size_print(size_t value, char *out)
{
	static const char letters[] = "kmgt";
	const char *letter = "";

	for (size_t i = 0; value != 0 && value % 1024 == 0 && i < sizeof(letters) - 1; i++) {
		letter = letters + i;
		value /= 1024;
	}
	snprintf(out, CLI_TEXT_MAX, "%zu%.1s", value, letter);
}

void duration_print(int64_t ms, char *out)
{
	static const struct {
		int64_t ms;
		const char *name;
	} units[] = { { 86400000, "d" }, { 3600000, "h" }, { 60000, "m" }, { 1000, "s" } };

	/* 60s and 90s read better than 1m and 90000ms; two minutes do not. */
	for (size_t i = 0; ms != 0 && i < ARRAY_LEN(units); i++) {
		if (ms % units[i].ms == 0 && (ms > units[i].ms || units[i].ms == 1000)) {
			snprintf(out, CLI_TEXT_MAX, "%lld%s", (long long)(ms / units[i].ms), units[i].name);
			return;
		}
	}
	snprintf(out, CLI_TEXT_MAX, ms ? "%lldms" : "%lld", (long long)ms);
}

const char *flag_default(const struct flag *f, char *out)
{
	struct error err = { 0 };
	int64_t ms;
	size_t n;

	if (!f->initial)
		return NULL;
	if (f->type == FLAG_DURATION && duration_parse(span_of(f->initial), &ms, &err)) {
		duration_print(ms, out);
		return out;
	}
	if (f->type == FLAG_SIZE && !(f->unit && strcmp(f->unit, "bytes") != 0) &&
	    size_parse(span_of(f->initial), &n, &err)) {
		size_print(n, out);
		return out;
	}
	return f->initial;
}

void flag_variable(const struct flag *f, char *out, size_t size)
{
	size_t n = (size_t)snprintf(out, size, "HYTHE_%s", f->name);

	for (size_t i = 0; i < n && i < size - 1; i++)
		out[i] = out[i] == '-' ? '_' : (char)toupper((unsigned char)out[i]);
}

static bool choice_parse(const struct flag *f, struct span text, int *ret, struct error *err)
{
	struct span rest = span_of(f->choices);
	const char *names[16];
	const char *near;
	char copies[16][32];
	int count = 0;

	for (; rest.len > 0 && count < (int)ARRAY_LEN(names); count++) {
		struct span name = span_cut(&rest, ',');

		if (span_equal(name, text)) {
			*ret = count;
			return true;
		}
		snprintf(copies[count], sizeof(copies[count]), SPAN_FMT, SPAN_ARG(name));
		names[count] = copies[count];
	}
	near = name_suggest(text, names, (size_t)count);
	return error_set(err, ERROR_INVALID, "'" SPAN_FMT "' is none of %s%s%s%s", SPAN_ARG(text), f->choices,
			 near ? "; did you mean '" : "", near ? near : "", near ? "'?" : "");
}

static bool onoff_parse(struct span text, bool *ret, struct error *err)
{
	static const struct {
		struct span text;
		bool value;
	} words[] = {
		{ SPAN_INIT("on"), true },  { SPAN_INIT("off"), false },   { SPAN_INIT("true"), true },
		{ SPAN_INIT("yes"), true }, { SPAN_INIT("1"), true },      { SPAN_INIT("no"), false },
		{ SPAN_INIT("0"), false },  { SPAN_INIT("false"), false },
	};

	for (size_t i = 0; i < ARRAY_LEN(words); i++) {
		if (span_equal_ignore_case(text, words[i].text)) {
			*ret = words[i].value;
			return true;
		}
	}
	return error_set(err, ERROR_INVALID, "'" SPAN_FMT "' is neither on nor off", SPAN_ARG(text));
}

static bool list_append(struct text_list *list, struct span text, struct arena *arena, struct error *err)
{
	while (text.len > 0) {
		struct span item = arena_copy(arena, span_trim(span_cut(&text, ',')), err);
		const char **items;

		if (!item.ptr)
			return false;
		if (item.len == 0)
			continue;
		if (list->count >= LIST_ITEMS_MAX)
			return error_set(err, ERROR_TOO_LARGE, "more than %d items", LIST_ITEMS_MAX);
		/* Grows at powers of two; the arena keeps the old ones until the program's end. */
		if ((list->count & (list->count - 1)) == 0) {
			items = ARENA_ARRAY(arena, const char *, list->count ? list->count * 2 : 1, err);
			if (!items)
				return false;
			if (list->count)
				memcpy(items, list->items, list->count * sizeof(*items));
			list->items = items;
		}
		list->items[list->count++] = item.ptr;
	}
	return true;
}

/* ---- places ---- */

/* Where the values of a call go, and which of its lists hold only a weaker source's items. */
struct parse {
	const struct command *command;
	char *options;
	bool *
	    is_weak; /* for each flag: set by default or environment, to be replaced by the first from a stronger one */
	struct arena *arena;
};

static bool flag_set(struct parse *p, const struct flag *f, const char *text, struct error *err)
{
	void *place = p->options + f->offset;
	struct span value = span_of(text);

	switch (f->type) {
	case FLAG_SWITCH:
		if (text)
			return onoff_parse(value, place, err);
		*(bool *)place = true;
		return true;
	case FLAG_ONOFF:
		return onoff_parse(value, place, err);
	case FLAG_TEXT:
	case FLAG_PATH:
		*(const char **)place = text;
		return true;
	case FLAG_LIST: {
		struct text_list *list = place;
		bool *is_weak = &p->is_weak[f - p->command->flags];

		if (*is_weak)
			*list = (struct text_list){ 0 };
		*is_weak = false;
		return list_append(list, value, p->arena, err);
	}
	case FLAG_SIZE:
	case FLAG_COUNT:
		return size_parse(value, place, err);
	case FLAG_DURATION:
		return duration_parse(value, place, err);
	case FLAG_CHOICE:
		return choice_parse(f, value, place, err);
	}
	return error_set(err, ERROR_INTERNAL, "flag type %d", (int)f->type);
}

static void weaken(struct parse *p)
{
	for (size_t i = 0; i < p->command->flag_count; i++)
		p->is_weak[i] = true;
}

static bool set_defaults(struct parse *p, struct error *err)
{
	for (size_t i = 0; i < p->command->flag_count; i++) {
		const struct flag *f = &p->command->flags[i];

		if (f->initial && !flag_set(p, f, f->initial, err))
			return error_wrap(err, "default of --%s", f->name);
	}
	weaken(p);
	return true;
}

static const char *environment_find(char *const *environment, const char *name)
{
	size_t len = strlen(name);

	for (; environment && *environment; environment++) {
		if (strncmp(*environment, name, len) == 0 && (*environment)[len] == '=')
			return *environment + len + 1;
	}
	return NULL;
}

static bool set_from_environment(struct parse *p, char *const *environment, struct error *err)
{
	for (size_t i = 0; i < p->command->flag_count; i++) {
		const struct flag *f = &p->command->flags[i];
		const char *text;
		char name[64];

		flag_variable(f, name, sizeof(name));
		text = environment_find(environment, name);
		if (text && text[0] != '\0' && !flag_set(p, f, text, err))
			return error_wrap(err, "environment variable %s", name);
	}
	weaken(p);
	return true;
}

/* ---- the command line ---- */

static const struct flag *flag_find(const struct command *c, struct span name, char letter)
{
	for (size_t i = 0; i < c->flag_count + cli_common_flag_count; i++) {
		const struct flag *f = i < c->flag_count ? &c->flags[i] : &cli_common_flags[i - c->flag_count];

		if (letter ? f->letter == letter : span_equal(span_of(f->name), name))
			return f;
	}
	return NULL;
}

static bool unknown_flag(const struct command *c, struct span given, struct error *err)
{
	const char *names[NAMES_MAX];
	const char *near;
	size_t count = 0;

	for (; count < c->flag_count && count < ARRAY_LEN(names) - 1; count++)
		names[count] = c->flags[count].name;
	names[count++] = "help";
	near = name_suggest(given, names, count);
	if (near)
		return error_set(err, ERROR_INVALID, "unknown flag '--" SPAN_FMT "'; did you mean '--%s'?",
				 SPAN_ARG(given), near);
	return error_set(err, ERROR_INVALID, "unknown flag '--" SPAN_FMT "'", SPAN_ARG(given));
}

/* The words of a command line, taken one by one. */
struct words {
	const char *const *at, *const *end;
};

static bool take_value(struct parse *p, const struct flag *f, const char *attached, struct words *words,
		       struct error *err)
{
	const char *text = attached;

	if (f->type != FLAG_SWITCH && !text) {
		if (words->at == words->end)
			return error_set(err, ERROR_INVALID, "--%s needs a value: --%s %s", f->name, f->name, f->value);
		text = *words->at++;
	}
	if (!flag_set(p, f, text, err))
		return error_wrap(err, "--%s", f->name);
	return true;
}

static bool take_long(struct parse *p, const char *word, struct words *words, bool *ret_help, struct error *err)
{
	const char *equals = strchr(word, '=');
	struct span name = equals ? span_from(word, (size_t)(equals - word)) : span_of(word);
	const struct flag *f = flag_find(p->command, name, 0);

	if (!f)
		return unknown_flag(p->command, name, err);
	if (f == &cli_common_flags[0]) {
		*ret_help = true;
		return true;
	}
	return take_value(p, f, equals ? equals + 1 : NULL, words, err);
}

/* "-q", "-kq", "-i FILE", "-iFILE". */
static bool take_letters(struct parse *p, const char *letters, struct words *words, bool *ret_help, struct error *err)
{
	for (; *letters; letters++) {
		const struct flag *f = flag_find(p->command, (struct span){ 0 }, *letters);

		if (!f)
			return error_set(err, ERROR_INVALID, "unknown flag '-%c'", *letters);
		if (f == &cli_common_flags[0]) {
			*ret_help = true;
			continue;
		}
		if (f->type != FLAG_SWITCH)
			return take_value(p, f, letters[1] ? letters + 1 : NULL, words, err);
		if (!flag_set(p, f, NULL, err))
			return error_wrap(err, "-%c", *letters);
	}
	return true;
}

static bool check_count(const struct command *c, size_t count, struct error *err)
{
	if (count < c->least)
		return error_set(err, ERROR_INVALID, "%s is missing: hythe %s %s",
				 count == 0 ? "an argument" : "another argument", c->name, c->arguments);
	if (count > c->most)
		return error_set(err, ERROR_INVALID, "%zu arguments given, at most %zu expected: hythe %s %s", count,
				 c->most, c->name, c->arguments);
	return true;
}

bool flags_parse(const struct command *command, const char *const *arguments, size_t count, char *const *environment,
		 struct arena *arena, struct cli_call *ret, bool *ret_help, struct error *err)
{
	struct words words = { arguments, arguments + count };
	struct parse p = { .command = command, .arena = arena };
	const char **positional = ARENA_ARRAY(arena, const char *, count + 1, err);
	size_t positional_count = 0;
	bool is_over = false, wants_help = false;

	p.options = arena_calloc(arena, 1, command->options_size + 1, err);
	p.is_weak = arena_calloc(arena, command->flag_count + 1, sizeof(bool), err);
	if (!positional || !p.options || !p.is_weak)
		return false;
	if (!set_defaults(&p, err) || !set_from_environment(&p, environment, err))
		return false;

	while (words.at < words.end && !wants_help) {
		const char *word = *words.at++;

		if (is_over || word[0] != '-' || word[1] == '\0') {
			positional[positional_count++] = word;
		} else if (strcmp(word, "--") == 0) {
			is_over = true;
		} else if (word[1] == '-') {
			if (!take_long(&p, word + 2, &words, &wants_help, err))
				return false;
		} else if (!take_letters(&p, word + 1, &words, &wants_help, err)) {
			return false;
		}
	}
	if (!wants_help && !check_count(command, positional_count, err))
		return false;
	*ret_help = wants_help;
	*ret = (struct cli_call){ .command = command,
				  .options = p.options,
				  .arguments = positional,
				  .argument_count = positional_count,
				  .arena = arena };
	return true;
}

/* ---- "did you mean" ---- */

const char *name_suggest(struct span given, const char *const *names, size_t count)
{
	struct nearest n = nearest_to(given);

	for (size_t i = 0; i < count; i++)
		nearest_try(&n, span_of(names[i]));
	return n.found.ptr; /* of a name, which ends with NUL */
}

size_t flags_misspelt(char *const *environment, struct arena *arena, struct span *ret_messages, size_t max)
{
	static char names[NAMES_MAX][64];
	const char *list[NAMES_MAX];
	struct error err = { 0 };
	size_t count = 0, found = 0;

	for (const struct command *c = cli_commands; c->name; c++) {
		for (size_t i = 0; i < c->flag_count && count < NAMES_MAX; i++) {
			flag_variable(&c->flags[i], names[count], sizeof(names[count]));
			list[count] = names[count];
			count++;
		}
	}
	for (; environment && *environment && found < max; environment++) {
		struct span rest = span_of(*environment);
		struct span name = span_cut(&rest, '=');
		const char *near = NULL;
		bool is_known = false;

		if (!span_starts(name, SPAN("HYTHE_")))
			continue;
		for (size_t i = 0; i < count && !is_known; i++) {
			is_known = span_equal(name, span_of(list[i]));
			if (nearest_distance(name, span_of(list[i])) <= 2)
				near = list[i];
		}
		if (!is_known && near)
			ret_messages[found++] =
			    arena_print(arena, &err, SPAN_FMT " is no setting; did you mean %s?", SPAN_ARG(name), near);
	}
	return found;
}
