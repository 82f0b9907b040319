/* SPDX-License-Identifier: Apache-2.0 */
#include "node/dockerfile.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static struct arena arena;
static const struct name_value base[] = { { SPAN_INIT("PATH"), SPAN_INIT("/bin") } };

static struct dockerfile read_good(const char *text)
{
	struct dockerfile d;
	struct error err = { 0 };

	if (!dockerfile_read(span_of(text), base, ARRAY_LEN(base), &arena, &d, &err))
		fail_msg("%s", err.message);
	return d;
}

static void assert_variable(const struct dockerfile *d, const char *name, const char *value)
{
	for (size_t i = 0; i < d->environment_count; i++) {
		if (!span_equal(d->environment[i].name, span_of(name)))
			continue;
		if (!span_equal(d->environment[i].value, span_of(value)))
			fail_msg("%s is '" SPAN_FMT "', not '%s'", name, SPAN_ARG(d->environment[i].value), value);
		return;
	}
	fail_msg("%s is not set", name);
}

static void assert_words(struct words w, size_t count, const char *const *expected)
{
	assert_int_equal(w.count, count);
	for (size_t i = 0; i < count; i++)
		if (!span_equal(w.items[i], span_of(expected[i])))
			fail_msg("word %zu is '" SPAN_FMT "', not '%s'", i, SPAN_ARG(w.items[i]), expected[i]);
}
#define ASSERT_WORDS(w, ...)                                                                                           \
	assert_words(w, ARRAY_LEN(((const char *const[]){ __VA_ARGS__ })), (const char *const[]){ __VA_ARGS__ })

static void the_file_of_a_class_is_read(void **state)
{
	struct dockerfile d = read_good(
	    "FROM python:3.7-slim\n"
	    "COPY . /app\n"
	    "WORKDIR /app\n"
	    "RUN pip install -r requirements.txt\n"
	    "EXPOSE 5000\n"
	    "\n"
	    "# Define environment variable\n"
	    "ENV MODEL_NAME MyModel\n"
	    "ENV API_TYPE REST\n"
	    "ENV SERVICE_TYPE MODEL\n"
	    "ENV PERSISTENCE 0\n"
	    "\n"
	    "CMD exec seldon-core-microservice $MODEL_NAME $API_TYPE --service-type $SERVICE_TYPE --persistence "
	    "$PERSISTENCE\n");

	(void)state;
	assert_variable(&d, "MODEL_NAME", "MyModel");
	assert_variable(&d, "PERSISTENCE", "0");
	assert_true(span_equal(d.working_directory, SPAN("/app")));
	assert_true(span_equal(d.place, SPAN("/app")));
	ASSERT_WORDS(d.command, "/bin/sh", "-c",
		     "exec seldon-core-microservice $MODEL_NAME $API_TYPE --service-type $SERVICE_TYPE --persistence "
		     "$PERSISTENCE");
	ASSERT_WORDS(d.ports, "5000");
	ASSERT_WORDS(d.not_done, "FROM python:3.7-slim", "RUN pip install -r requirements.txt");
	assert_false(d.entrypoint.is_set);
}

static void variables_are_put_in(void **state)
{
	struct dockerfile d = read_good("ARG VERSION=1.2\n"
					"FROM base\n"
					"ARG NAME=model OTHER\n"
					"ENV A=1 B=\"two words\" C='$A' D=$NAME-${A} E=a\\ b F=\"\\$A \\x \\\"q\\\"\"\n"
					"ENV G=${NONE:-d$A} H=${A:+yes} I=${NONE:+no} J=$VERSION\n"
					"ENV PATH=/opt/bin:$PATH\n"
					"ENV OLD some value  with  $A\n"
					"ENV A=2\n"
					"env low=$A$$\n");

	(void)state;
	assert_variable(&d, "A", "2");
	assert_variable(&d, "B", "two words");
	assert_variable(&d, "C", "$A");
	assert_variable(&d, "D", "model-"); /* the line's own A is not set yet */
	assert_variable(&d, "E", "a b");
	assert_variable(&d, "F", "$A \\x \"q\"");
	assert_variable(&d, "G", "d1");
	assert_variable(&d, "H", "yes");
	assert_variable(&d, "I", "");
	assert_variable(&d, "J", ""); /* from before FROM: not of this stage */
	assert_variable(&d, "PATH", "/opt/bin:/bin");
	assert_variable(&d, "OLD", "some value  with  1");
	assert_variable(&d, "low", "2$$");
}

static void lines_go_on_and_comments_do_not(void **state)
{
	struct dockerfile d = read_good("FROM x\r\n"
					"RUN one \\\n"
					"  # not a part\n"
					"\n"
					"  two\n"
					"RUN <<EOF cat\n"
					"CMD [\"no\"]\n"
					"EOF\n"
					"ENTRYPOINT [\"python3\", \"echo.py\"]\r\n"
					"CMD [ \"--port\", \"80\" ]\n");

	(void)state;
	ASSERT_WORDS(d.not_done, "FROM x", "RUN one   two", "RUN <<EOF cat");
	ASSERT_WORDS(d.entrypoint, "python3", "echo.py");
	ASSERT_WORDS(d.command, "--port", "80");
	d = read_good("# escape=`\nENV A=c:\\dir` name\nRUN a `\n b\n");
	assert_variable(&d, "A", "c:\\dir name");
	assert_int_equal(d.not_done.count, 1);
}

static void stages_begin_anew(void **state)
{
	struct dockerfile d =
	    read_good("FROM a AS build\nENV X=1\nWORKDIR /x\nCMD [\"a\"]\nFROM b\nCOPY --from=build /x /y\nENV Z=$X\n");

	(void)state;
	assert_int_equal(d.environment_count, 1);
	assert_variable(&d, "Z", "");
	assert_int_equal(d.working_directory.len, 0);
	assert_int_equal(d.place.len, 0);
	assert_false(d.command.is_set);
	ASSERT_WORDS(d.not_done, "FROM b", "COPY --from=build /x /y");
}

static void folders_are_resolved(void **state)
{
	static const struct {
		const char *text, *working_directory, *place;
	} rows[] = {
		{ "WORKDIR /a\nWORKDIR b/../c/\nCOPY . .", "/a/c", "/a/c" },
		{ "ENV D=/srv\nWORKDIR $D/app\nCOPY --chown=1:1 ./ ./src/", "/srv/app", "/srv/app/src" },
		{ "COPY [\".\", \"/my app\"]", "", "/my app" },
		{ "WORKDIR ../..\nADD . x", "/", "/x" },
		{ "COPY a b /c/", "", "" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct dockerfile d = read_good(rows[i].text);

		assert_true(span_equal(d.working_directory, span_of(rows[i].working_directory)));
		assert_true(span_equal(d.place, span_of(rows[i].place)));
	}
}

static void faults_are_told_by_line(void **state)
{
	static const struct {
		const char *text, *words;
	} rows[] = {
		{ "FROM a\nRUM x\n", "line 2: there is no instruction 'RUM'" },
		{ "FROM a\nCMD\n", "line 2: CMD has nothing behind it" },
		{ "ENV A=\"x\n", "line 1: a quote has no end" },
		{ "ENV A=1 B\n", "NAME=VALUE" },
		{ "ENV A\n", "NAME=VALUE" },
		{ "ENV A=${B\n", "no end" },
		{ "ENV A=${B:?x}\n", "${A:-b}" },
		{ "ENV A=${}\n", "no name" },
		{ "RUN <<END\nx\n", "END has no end" },
		{ "SHELL bash\n", "SHELL takes a list" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct dockerfile d = { .environment_count = 77 };
		struct error err = { 0 };

		assert_false(dockerfile_read(span_of(rows[i].text), NULL, 0, &arena, &d, &err));
		assert_int_equal(err.code, ERROR_INVALID);
		if (!strstr(err.message, rows[i].words))
			fail_msg("'%s' is told as: %s", rows[i].text, err.message);
		assert_int_equal(d.environment_count, 77);
	}
}

static void values_that_double_have_an_end(void **state)
{
	struct dockerfile d;
	struct error err = { 0 };
	struct buffer text;

	(void)state;
	buffer_init(&text, MIB(1));
	buffer_append(&text, SPAN("ENV A=0123456789abcdef\n"));
	for (int i = 0; i < 40; i++)
		buffer_append(&text, SPAN("ENV A=$A$A\n"));
	assert_false(dockerfile_read(buffer_span(&text), NULL, 0, &arena, &d, &err));
	assert_int_equal(err.code, ERROR_TOO_LARGE);
	buffer_done(&text);
}

static void variables_of_s2i_are_read(void **state)
{
	struct dockerfile d = { 0 };
	struct error err = { 0 };

	(void)state;
	assert_true(dockerfile_environment_read(
	    SPAN("MODEL_NAME=MyModel\nAPI_TYPE=REST\n# c\n\nX=\"a b\"\nMODEL_NAME=Other"), &arena, &d, &err));
	assert_int_equal(d.environment_count, 3);
	assert_variable(&d, "MODEL_NAME", "Other");
	assert_variable(&d, "X", "a b");
	assert_false(dockerfile_environment_read(SPAN("A=1\nnothing\n"), &arena, &d, &err));
	assert_non_null(strstr(err.message, "line 2"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_file_of_a_class_is_read),
		cmocka_unit_test(variables_are_put_in),
		cmocka_unit_test(lines_go_on_and_comments_do_not),
		cmocka_unit_test(stages_begin_anew),
		cmocka_unit_test(folders_are_resolved),
		cmocka_unit_test(faults_are_told_by_line),
		cmocka_unit_test(values_that_double_have_an_end),
		cmocka_unit_test(variables_of_s2i_are_read),
	};
	int failed;

	arena_init(&arena, MIB(64));
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	arena_done(&arena);
	return failed;
}
