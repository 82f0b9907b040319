/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>

#include "cli/options.h"

/* Parses `line` (words separated by spaces) as arguments of a command. */
struct parsed {
	struct arena arena;
	struct cli_call call;
	struct error err;
	bool ok, wants_help;
	char *text;
	const char *words[32];
};

static struct parsed *parse(const char *command, const char *line, char *const *environment)
{
	struct parsed *p = calloc(1, sizeof(*p));
	size_t count = 0;
	char *at;

	assert_non_null(p);
	arena_init(&p->arena, MIB(4));
	p->text = strdup(line);
	for (at = p->text; *at && count < ARRAY_LEN(p->words);) {
		char *space = strchr(at, ' ');

		p->words[count++] = at;
		if (!space)
			break;
		*space = '\0';
		at = space + 1;
	}
	p->ok = flags_parse(command_find(span_of(command)), p->words, count, environment, &p->arena, &p->call,
			    &p->wants_help, &p->err);
	return p;
}

static void release(struct parsed *p)
{
	arena_done(&p->arena);
	free(p->text);
	free(p);
}

static void sizes_take_binary_multiples(void **state)
{
	static const struct {
		const char *text;
		size_t value;
	} rows[] = {
		{ "0", 0 },
		{ "4096", 4096 },
		{ "64k", 65536 },
		{ "64K", 65536 },
		{ "64KiB", 65536 },
		{ "10m", 10485760 },
		{ "1.5g", 1610612736 },
		{ "2TB", SIZE_MAX / 8388608 + 1 },
		{ "18446744073709551615", SIZE_MAX },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct error err = { 0 };
		size_t value = 7;

		if (!size_parse(span_of(rows[i].text), &value, &err))
			fail_msg("%s: %s", rows[i].text, err.message);
		assert_int_equal(value, rows[i].value);
	}
}

static void what_is_no_size_says_what_one_looks_like(void **state)
{
	static const char *const rows[] = {
		"",      "k",           "-1",  "1x", "64 k", "1e9", "0.3", "1..5k", "99999999999999999999",
		"1e400", "9999999999t", "nan", "inf"
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct error err = { 0 };
		size_t value = 7;

		if (size_parse(span_of(rows[i]), &value, &err))
			fail_msg("'%s' was taken as %zu", rows[i], value);
		assert_int_equal(err.code, ERROR_INVALID);
		assert_int_equal(value, 7);
	}
}

static void durations_have_units_and_bare_numbers_are_seconds(void **state)
{
	static const struct {
		const char *text;
		int64_t ms;
	} rows[] = {
		{ "0", 0 },        { "500ms", 500 },   { "30s", 30000 },     { "30", 30000 },
		{ "0.25", 250 },   { "1.5s", 1500 },   { "5m", 300000 },     { "5min", 300000 },
		{ "2h", 7200000 }, { "1d", 86400000 }, { "75000ms", 75000 },
	};
	static const char *const bad[] = { "", "s", "-1s", "1y", "1 s", "1e99", "99999999999d", "soon" };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct error err = { 0 };
		int64_t ms = 7;

		if (!duration_parse(span_of(rows[i].text), &ms, &err))
			fail_msg("%s: %s", rows[i].text, err.message);
		assert_int_equal(ms, rows[i].ms);
	}
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct error err = { 0 };
		int64_t ms = 7;

		if (duration_parse(span_of(bad[i]), &ms, &err))
			fail_msg("'%s' was taken as %lld ms", bad[i], (long long)ms);
		assert_int_equal(err.code, ERROR_INVALID);
		assert_int_equal(ms, 7);
	}
}

static void printed_sizes_and_durations_read_back_equal(void **state)
{
	static const size_t sizes[] = { 0, 1, 1000, 1023, 1024, 1025, 65536, 67108864, 1073741824, 1610612736 };
	static const int64_t times[] = { 0,     1,     250,    999,     1000,     1500,     60000,
					 75000, 90000, 120000, 3600000, 86400000, 172800000 };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
		char text[CLI_TEXT_MAX];
		struct error err = { 0 };
		size_t value;

		size_print(sizes[i], text);
		assert_true(size_parse(span_of(text), &value, &err));
		assert_int_equal(value, sizes[i]);
	}
	for (size_t i = 0; i < ARRAY_LEN(times); i++) {
		char text[CLI_TEXT_MAX];
		struct error err = { 0 };
		int64_t value;

		duration_print(times[i], text);
		assert_true(duration_parse(span_of(text), &value, &err));
		assert_int_equal(value, times[i]);
	}
}

static void defaults_are_those_of_the_limits_table(void **state)
{
	struct parsed *p = parse("serve", "m.onnx", NULL);
	const struct serve_options *o = p->call.options;

	(void)state;
	assert_true(p->ok);
#define LIMIT_ROW(name, type, value, flag, unit, help) assert_int_equal(o->limits.name, value);
#include "net/limits.def"
#undef LIMIT_ROW
	assert_int_equal(o->listen.count, 1);
	assert_string_equal(o->listen.items[0], "127.0.0.1:8080");
	assert_true(o->compression);
	assert_int_equal(o->watch_files_ms, 1000);
	release(p);
}

static void flags_win_over_the_environment_and_it_over_defaults(void **state)
{
	char *const environment[] = { "HOME=/",
				      "HYTHE_LISTEN=:1,:2",
				      "HYTHE_MAX_BODY_BYTES=1m",
				      "HYTHE_QUIET=on",
				      "HYTHE_LOG_FORMAT=json",
				      "HYTHE_WORKERS=",
				      NULL };
	struct parsed *p = parse("serve", "--max-body-bytes 2m m.onnx --idle-timeout=5m", environment);
	const struct serve_options *o = p->call.options;

	(void)state;
	assert_true(p->ok);
	assert_int_equal(o->limits.body_bytes, 2 << 20);
	assert_int_equal(o->limits.idle_timeout_ms, 300000);
	assert_int_equal(o->listen.count, 2);
	assert_string_equal(o->listen.items[1], ":2");
	assert_true(o->quiet);
	assert_int_equal(o->log_format, 1);
	release(p);

	p = parse("serve", "m.onnx --listen :9 --listen :10 --quiet=off", environment);
	o = p->call.options;
	assert_true(p->ok);
	assert_int_equal(o->listen.count, 2);
	assert_string_equal(o->listen.items[0], ":9");
	assert_string_equal(o->listen.items[1], ":10");
	assert_false(o->quiet);
	release(p);
}

static void words_are_sorted_into_flags_and_arguments(void **state)
{
	struct parsed *p = parse("predict", "-qki in.csv m.onnx -oout.csv -t2", NULL);
	const struct predict_options *o = p->call.options;

	(void)state;
	if (!p->ok)
		fail_msg("%s", p->err.message);
	assert_true(o->quiet && o->keep_columns);
	assert_string_equal(o->input, "in.csv");
	assert_string_equal(o->output_path, "out.csv");
	assert_int_equal(o->threads, 2);
	assert_int_equal(p->call.argument_count, 1);
	release(p);

	p = parse("predict", "--strict -- --m.onnx -", NULL);
	assert_true(p->ok);
	assert_int_equal(p->call.argument_count, 2);
	assert_string_equal(p->call.arguments[0], "--m.onnx");
	assert_string_equal(p->call.arguments[1], "-");
	release(p);

	p = parse("predict", "--nonsense-behind-help-does-not-matter=1 -h", NULL);
	assert_false(p->ok);
	release(p);
	p = parse("predict", "-h --nonsense", NULL);
	assert_true(p->ok && p->wants_help);
	release(p);
}

static void wrong_words_are_named_with_what_is_near(void **state)
{
	static const struct {
		const char *command, *line, *message;
	} rows[] = {
		{ "serve", "m --listne :1", "unknown flag '--listne'; did you mean '--listen'?" },
		{ "serve", "m --max-body 1m", "unknown flag '--max-body'; did you mean '--max-body-bytes'?" },
		{ "serve", "m --worker=1", "unknown flag '--worker'; did you mean '--workers'?" },
		{ "serve", "m --zzz", "unknown flag '--zzz'" },
		{ "serve", "m -z", "unknown flag '-z'" },
		{ "serve", "m --listen", "--listen needs a value: --listen ADDRESS:PORT" },
		{ "serve", "m --access-log jsn", "--access-log: 'jsn' is none of off,text,json; did you mean 'json'?" },
		{ "serve", "m --compression maybe", "--compression: 'maybe' is neither on nor off" },
		{ "serve", "", "an argument is missing: hythe serve MODEL..." },
		{ "version", "now", "1 arguments given, at most 0 expected: hythe version " },
		{ "predict", "a b c", "3 arguments given, at most 2 expected: hythe predict MODEL [CSV]" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct parsed *p = parse(rows[i].command, rows[i].line, NULL);

		assert_false(p->ok);
		assert_int_equal(p->err.code, ERROR_INVALID);
		assert_string_equal(p->err.message, rows[i].message);
		release(p);
	}
}

static void a_bad_variable_of_the_environment_is_named(void **state)
{
	char *const environment[] = { "HYTHE_WORKERS=many", NULL };
	struct parsed *p = parse("serve", "m", environment);

	(void)state;
	assert_false(p->ok);
	assert_true(span_starts(error_span(&p->err), SPAN("environment variable HYTHE_WORKERS: 'many' is not a size")));
	release(p);
}

static void misspelt_variables_are_found_and_others_left_alone(void **state)
{
	char *const environment[] = { "HYTHE_LISTNE=:1", "HYTHE_LISTEN=:1", "HYTHE_SANITIZED=1",
				      "HYTHE=x",         "PATH=/",          NULL };
	struct span messages[4];
	struct arena arena;

	(void)state;
	arena_init(&arena, MIB(1));
	assert_int_equal(flags_misspelt(environment, &arena, messages, 4), 1);
	assert_true(span_equal(messages[0], SPAN("HYTHE_LISTNE is no setting; did you mean HYTHE_LISTEN?")));
	arena_done(&arena);
}

static void every_row_of_the_table_is_complete(void **state)
{
	(void)state;
	for (const struct command *c = cli_commands; c->name; c++) {
		assert_non_null(c->run);
		assert_true(c->summary[0] != '\0' && c->description[0] != '\0' && c->arguments);
		for (size_t i = 0; i < c->flag_count; i++) {
			const struct flag *f = &c->flags[i];

			assert_true(f->help && f->help[0] != '\0');
			assert_true(f->offset < c->options_size);
			assert_true(f->type == FLAG_SWITCH || f->value);
			assert_true((f->type == FLAG_CHOICE) == (f->choices != NULL));
			for (size_t k = 0; k < i; k++) {
				assert_string_not_equal(f->name, c->flags[k].name);
				assert_true(!f->letter || f->letter != c->flags[k].letter);
			}
		}
	}
}

static void every_page_can_be_written(void **state)
{
	FILE *out = fopen("/dev/null", "w");

	(void)state;
	assert_non_null(out);
	help_overview(out);
	for (const struct command *c = cli_commands; c->name; c++)
		help_command(out, c);
	for (const struct topic *t = cli_topics; t->name; t++)
		assert_true(help_topic(out, span_of(t->name)));
	assert_false(help_topic(out, SPAN("nothing")));
	man_write(out);
	reference_write(out);
	assert_true(completion_write(out, SPAN("bash")));
	assert_true(completion_write(out, SPAN("zsh")));
	assert_true(completion_write(out, SPAN("fish")));
	assert_false(completion_write(out, SPAN("csh")));
	fclose(out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sizes_take_binary_multiples),
		cmocka_unit_test(what_is_no_size_says_what_one_looks_like),
		cmocka_unit_test(durations_have_units_and_bare_numbers_are_seconds),
		cmocka_unit_test(printed_sizes_and_durations_read_back_equal),
		cmocka_unit_test(defaults_are_those_of_the_limits_table),
		cmocka_unit_test(flags_win_over_the_environment_and_it_over_defaults),
		cmocka_unit_test(words_are_sorted_into_flags_and_arguments),
		cmocka_unit_test(wrong_words_are_named_with_what_is_near),
		cmocka_unit_test(a_bad_variable_of_the_environment_is_named),
		cmocka_unit_test(misspelt_variables_are_found_and_others_left_alone),
		cmocka_unit_test(every_row_of_the_table_is_complete),
		cmocka_unit_test(every_page_can_be_written),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
