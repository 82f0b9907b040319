/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "kube/crd/structural_private.h"

/* What kube-apiserver 1.33 said of each, by trial. */
static const struct {
	const char *format, *text;
	bool fits;
} rows[] = {
	{ "date-time", "2020-01-01T00:00:00Z", true },
	{ "date-time", "2020-01-01t00:00:00z", true },
	{ "date-time", "2020-01-01T00:00:00.123456789+01:00", true },
	{ "date-time", "2020-01-01T00:00:00", false },
	{ "date-time", "2020-02-30T00:00:00Z", false },
	{ "date-time", "2020-01-01T24:00:00Z", false },
	{ "date-time", "2020-01-01T23:59:60Z", false },
	{ "date-time", "", false },
	{ "date", "2020-02-29", true },
	{ "date", "2019-02-29", false },
	{ "date", "20-1-1", false },
	{ "duration", "1h30m", true },
	{ "duration", "22 ns", true },
	{ "duration", "3 days", true },
	{ "duration", "5", false },
	{ "duration", "h", false },
	{ "byte", "aGk=", true },
	{ "byte", "aGk", false },
	{ "byte", "", false },
	{ "ipv4", "1.2.3.4", true },
	{ "ipv4", "01.2.3.4", true },
	{ "ipv4", "256.1.1.1", false },
	{ "ipv4", "::ffff:1.2.3.4", true },
	{ "ipv6", "::1", true },
	{ "ipv6", "1.2.3.4", false },
	{ "cidr", "10.0.0.0/8", true },
	{ "cidr", "10.0.0.0/33", false },
	{ "cidr", "::1/128", true },
	{ "cidr", "1.2.3.4/", false },
	{ "mac", "00:11:22:33:44:55", true },
	{ "mac", "0011.2233.4455", true },
	{ "mac", "00:11:22:33:44:55:66:77", true },
	{ "mac", "00:11-22:33:44:55", false },
	{ "mac", "", false },
	{ "uuid", "123E4567E89B12D3A456426614174000", true },
	{ "uuid", "123e4567-e89b-12d3-a456-42661417400", false },
	{ "uuid4", "123e4567-e89b-42d3-a456-426614174000", true },
	{ "uuid4", "123e4567-e89b-42d3-c456-426614174000", false },
	{ "uri", "http://x/y z", true },
	{ "uri", "http://x y/", false },
	{ "uri", "/a/b", true },
	{ "uri", "x", false },
	{ "uri", "http://[::1", false },
	{ "uri", "http://x:port/", false },
	{ "email", "Name <a@b.c>", true },
	{ "email", "a..b@c", false },
	{ "email", "x", false },
	{ "hostname", "a.b-c.com", true },
	{ "hostname", "m-host", true },
	{ "hostname", "my-host", false },
	{ "hostname", "a_b.com", false },
	{ "isbn10", "0-321-75104-3", true },
	{ "isbn13", "978-0321751041", true },
	{ "isbn", "0321751044", false },
	{ "creditcard", "4111-1111-1111-1111", true },
	{ "creditcard", "4111111111111112", false },
	{ "ssn", "123-45-6789", true },
	{ "ssn", "123456789", false },
	{ "hexcolor", "#fff", true },
	{ "hexcolor", "ffff", false },
	{ "rgbcolor", "rgb( 1 , 2 , 3 )", true },
	{ "rgbcolor", "rgb(256,0,0)", false },
	{ "bsonobjectid", "507f1f77bcf86cd799439011", true },
	{ "password", "", true },
};

static void texts_fit_their_formats_as_the_real_server_says(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		enum format format = format_find(span_of(rows[i].format));

		assert_int_not_equal(format, FORMAT_NONE);
		if (format_fits(format, span_of(rows[i].text)) != rows[i].fits)
			fail_msg("%s of %s", rows[i].text, rows[i].format);
	}
}

static void an_unknown_format_is_not_checked(void **state)
{
	(void)state;
	assert_int_equal(format_find(SPAN("int32")), FORMAT_NONE);
	assert_int_equal(format_find(SPAN("a-very-long-name-of-no-format-at-all")), FORMAT_NONE);
	assert_true(format_fits(FORMAT_NONE, SPAN("anything")));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(texts_fit_their_formats_as_the_real_server_says),
		cmocka_unit_test(an_unknown_format_is_not_checked),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
