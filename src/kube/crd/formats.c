/* SPDX-License-Identifier: Apache-2.0 */
/*
 * formats - the formats of strings that kube-apiserver checks in custom objects (apiextensions-apiserver pkg/apiserver/validation,
 * kube-openapi pkg/validation/strfmt), each by hand: none of them goes back in its text.
 */
#include "base/ascii.h"
#include "base/number.h"
#include "kube/crd/structural_private.h"
#include "kube/kinds/kinds.h"

static const struct {
	const char *name; /* without dashes */
	enum format format;
} names[] = {
	{ "bsonobjectid", FORMAT_OBJECT_ID },
	{ "uri", FORMAT_URI },
	{ "email", FORMAT_EMAIL },
	{ "hostname", FORMAT_HOSTNAME },
	{ "ipv4", FORMAT_IPV4 },
	{ "ipv6", FORMAT_IPV6 },
	{ "cidr", FORMAT_CIDR },
	{ "mac", FORMAT_MAC },
	{ "uuid", FORMAT_UUID },
	{ "uuid3", FORMAT_UUID3 },
	{ "uuid4", FORMAT_UUID4 },
	{ "uuid5", FORMAT_UUID5 },
	{ "isbn", FORMAT_ISBN },
	{ "isbn10", FORMAT_ISBN10 },
	{ "isbn13", FORMAT_ISBN13 },
	{ "creditcard", FORMAT_CREDIT_CARD },
	{ "ssn", FORMAT_SSN },
	{ "hexcolor", FORMAT_HEX_COLOR },
	{ "rgbcolor", FORMAT_RGB_COLOR },
	{ "byte", FORMAT_BYTE },
	{ "password", FORMAT_ANY },
	{ "date", FORMAT_DATE },
	{ "duration", FORMAT_DURATION },
	{ "datetime", FORMAT_DATE_TIME },
};

enum format format_find(struct span name)
{
	char plain[16];
	size_t len = 0;

	for (size_t i = 0; i < name.len; i++) {
		if (name.ptr[i] == '-')
			continue;
		if (len == sizeof(plain))
			return FORMAT_NONE;
		plain[len++] = name.ptr[i];
	}
	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		if (span_equal(span_from(plain, len), span_of(names[i].name)))
			return names[i].format;
	return FORMAT_NONE;
}

/* ---- letters ---- */

static bool is_letter(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool is_hex(char c)
{
	return ascii_is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

static bool all_are(struct span s, bool (*is)(char))
{
	for (size_t i = 0; i < s.len; i++)
		if (!is(s.ptr[i]))
			return false;
	return true;
}

/* "dd-dd": d stands for a digit, anything else for itself. */
static bool fits_shape(struct span s, const char *shape)
{
	size_t len = strlen(shape);

	if (s.len != len)
		return false;
	for (size_t i = 0; i < len; i++)
		if (shape[i] == 'd' ? !ascii_is_digit(s.ptr[i]) : s.ptr[i] != shape[i])
			return false;
	return true;
}

static int two(const char *digits)
{
	return (digits[0] - '0') * 10 + (digits[1] - '0');
}

/* ---- times ---- */

static bool is_date(struct span s)
{
	static const int days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
	int year, month, day;
	bool is_leap;

	if (!fits_shape(s, "dddd-dd-dd"))
		return false;
	year = two(s.ptr) * 100 + two(s.ptr + 2);
	month = two(s.ptr + 5);
	day = two(s.ptr + 8);
	is_leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
	return month >= 1 && month <= 12 && day >= 1 && day <= days[month - 1] + (month == 2 && is_leap);
}

static size_t t_index(struct span s)
{
	return MIN(span_index(s, 't'), span_index(s, 'T'));
}

/* hh:mm:ss, any one byte and digits, z or an offset. What stands behind a second "t" is not looked at. */
static bool is_time(struct span s)
{
	size_t at = 8;

	if (s.len < 9 || !fits_shape(span_first(s, 8), "dd:dd:dd"))
		return false;
	if (two(s.ptr) > 23 || two(s.ptr + 3) > 59 || two(s.ptr + 6) > 59)
		return false;
	if (at + 1 < s.len && ascii_is_digit(s.ptr[at + 1]) && s.ptr[at] != '+' && s.ptr[at] != '-') {
		at++;
		while (at < s.len && ascii_is_digit(s.ptr[at]))
			at++;
	}
	s = span_skip(s, at);
	return span_equal_ignore_case(s, SPAN("z")) ||
	       (s.len == 6 && (s.ptr[0] == '+' || s.ptr[0] == '-') && fits_shape(span_skip(s, 1), "dd:dd"));
}

static bool is_date_time(struct span s)
{
	size_t at = t_index(s);
	struct span rest;

	if (at >= s.len || !is_date(span_first(s, at)))
		return false;
	rest = span_skip(s, at + 1);
	return is_time(span_first(rest, t_index(rest)));
}

static bool is_unit(struct span unit)
{
	static const char *const whole[] = { "ns", "us", "\xc2\xb5s", "ms", "s", "m", "h", "hr", "d", "w", "wk" };
	static const char *const starts[] = { "nano", "micro", "milli", "sec", "min", "hour", "day", "week" };

	for (size_t i = 0; i < ARRAY_LEN(whole); i++)
		if (span_equal_ignore_case(unit, span_of(whole[i])))
			return true;
	for (size_t i = 0; i < ARRAY_LEN(starts); i++)
		if (span_equal_ignore_case(span_first(unit, strlen(starts[i])), span_of(starts[i])))
			return true;
	return false;
}

static bool is_unit_letter(char c)
{
	return is_letter(c) || c == '\xc2' || c == '\xb5' || c == '\xce' || c == '\xbc';
}

/* "1h30m", as Go has it, or with any number and unit in it: "22 ns", "3 days". */
static bool is_duration(struct span s)
{
	if (span_equal(s, SPAN("0")) || span_equal(s, SPAN("+0")) || span_equal(s, SPAN("-0")))
		return true;
	for (size_t i = 0; i < s.len;) {
		size_t from;

		if (!ascii_is_digit(s.ptr[i])) {
			i++;
			continue;
		}
		while (i < s.len && ascii_is_digit(s.ptr[i]))
			i++;
		while (i < s.len && (s.ptr[i] == ' ' || s.ptr[i] == '\t' || s.ptr[i] == '\n'))
			i++;
		from = i;
		while (i < s.len && is_unit_letter(s.ptr[i]))
			i++;
		if (i > from && is_unit(span_skip(span_first(s, i), from)))
			return true;
	}
	return false;
}

/* ---- the net ---- */

/* Leading zeros are let through, as Go did for long. */
static bool is_ipv4_sloppy(struct span s)
{
	int parts = 0;

	while (s.len) {
		struct span part = span_cut(&s, '.');
		int n = 0;

		if (!part.len || !all_are(part, ascii_is_digit) || part.len > 64)
			return false;
		for (size_t i = 0; i < part.len && n < 256; i++)
			n = n * 10 + (part.ptr[i] - '0');
		if (n > 255 || ++parts > 4)
			return false;
	}
	return parts == 4;
}

static bool has(struct span s, char c)
{
	return span_index(s, c) < s.len;
}

static bool is_cidr(struct span s)
{
	size_t slash = span_index(s, '/');
	struct span address = span_first(s, slash), bits;
	int64_t count;
	bool is_four;

	if (slash >= s.len)
		return false;
	bits = span_skip(s, slash + 1);
	is_four = is_ipv4_sloppy(address);
	return (is_four || is_ipv6(address)) && bits.len && all_are(bits, ascii_is_digit) &&
	       number_parse_int64(bits, &count) && count <= (is_four ? 32 : 128);
}

/* 6, 8 or 20 bytes: 00:11:..., 00-11-..., 0011.2233... */
static bool is_mac(struct span s)
{
	char part = s.len > 2 ? s.ptr[2] : '\0';
	size_t each = part == ':' || part == '-' ? 2 : 4, count = 0;

	if (each == 4)
		part = s.len > 4 ? s.ptr[4] : '\0';
	if (each == 4 && part != '.')
		return false;
	for (size_t i = 0; i < s.len; i++)
		if (i % (each + 1) == each ? s.ptr[i] != part : !is_hex(s.ptr[i]))
			return false;
	count = (s.len + 1) / (each + 1);
	return (s.len + 1) % (each + 1) == 0 && (count * each == 12 || count * each == 16 || count * each == 40);
}

/* A letter, digit or what is not ASCII. */
static bool is_host_letter(char c)
{
	return is_letter(c) || ascii_is_digit(c) || (unsigned char)c >= 0x80;
}

static bool is_host_label(struct span s)
{
	if (!s.len || s.len > 63 || !is_host_letter(s.ptr[0]) || !is_host_letter(s.ptr[s.len - 1]))
		return false;
	for (size_t i = 0; i < s.len; i++)
		if (!is_host_letter(s.ptr[i]) && s.ptr[i] != '-')
			return false;
	return true;
}

/* One label has a dash behind its first letter only; of several the last one has letters only. */
static bool is_hostname(struct span s)
{
	struct span rest = s, label;

	if (!s.len || s.len > 255)
		return false;
	if (!has(s, '.')) {
		if (!is_host_letter(s.ptr[0]) || s.len > 63)
			return false;
		rest = span_skip(s, s.len > 1 && s.ptr[1] == '-' ? 2 : 1);
		return all_are(rest, is_host_letter);
	}
	while (has(rest, '.')) {
		label = span_cut(&rest, '.');
		if (!is_host_label(label))
			return false;
	}
	if (rest.len < 2 || rest.len > 63)
		return false;
	for (size_t i = 0; i < rest.len; i++)
		if (!is_host_letter(rest.ptr[i]) || ascii_is_digit(rest.ptr[i]))
			return false;
	return true;
}

static bool is_atom_letter(char c)
{
	return is_host_letter(c) || (c && strchr("!#$%&'*+-/=?^_`{|}~.", c));
}

static bool is_address(struct span s)
{
	size_t at = s.len;
	struct span local, domain;

	while (at && s.ptr[at - 1] != '@')
		at--;
	if (at < 2)
		return false;
	local = span_first(s, at - 1);
	domain = span_skip(s, at);
	if (local.len >= 2 && local.ptr[0] == '"' && local.ptr[local.len - 1] == '"')
		local = SPAN("a");
	for (size_t i = 1; i < local.len; i++)
		if (local.ptr[i] == '.' && local.ptr[i - 1] == '.')
			return false;
	if (!domain.len || !all_are(local, is_atom_letter) || local.ptr[0] == '.' || local.ptr[local.len - 1] == '.')
		return false;
	if (domain.ptr[0] == '[')
		return domain.ptr[domain.len - 1] == ']';
	return all_are(domain, is_atom_letter) && domain.ptr[0] != '.' && domain.ptr[domain.len - 1] != '.';
}

/* "a@b.c", or "Name <a@b.c>". */
static bool is_email(struct span s)
{
	size_t open = span_index(s, '<');

	s = span_trim(s);
	if (open < s.len && s.ptr[s.len - 1] == '>')
		s = span_skip(span_first(s, s.len - 1), open + 1);
	return is_address(s);
}

static bool is_scheme(struct span s)
{
	if (!s.len || !is_letter(s.ptr[0]))
		return false;
	for (size_t i = 0; i < s.len; i++)
		if (!is_letter(s.ptr[i]) && !ascii_is_digit(s.ptr[i]) && !(s.ptr[i] && strchr("+-.", s.ptr[i])))
			return false;
	return true;
}

/* Escapes are two hexadecimal digits; no control letters. */
static bool is_uri_text(struct span s)
{
	for (size_t i = 0; i < s.len; i++) {
		unsigned char c = (unsigned char)s.ptr[i];

		if (c < 0x20 || c == 0x7f)
			return false;
		if (c == '%' && (i + 2 >= s.len || !is_hex(s.ptr[i + 1]) || !is_hex(s.ptr[i + 2])))
			return false;
	}
	return true;
}

/* Behind a user's name: a name or an address in brackets, and a port of digits. */
static bool is_uri_host(struct span host)
{
	size_t at = span_index(host, '@'), end;

	if (has(span_first(host, at), ' '))
		return false;
	if (at < host.len)
		host = span_skip(host, at + 1);
	if (has(host, ' ') || has(host, '<') || has(host, '>') || has(host, '"'))
		return false;
	end = host.len && host.ptr[0] == '[' ? span_index(host, ']') + 1 : span_index(host, ':');
	if (end > host.len)
		return false;
	host = span_skip(host, end);
	return !host.len || (host.ptr[0] == ':' && all_are(span_skip(host, 1), ascii_is_digit));
}

static bool is_uri(struct span s)
{
	size_t colon = span_index(s, ':');
	struct span rest, host;

	if (!s.len || !is_uri_text(s))
		return false;
	if (s.ptr[0] == '/')
		return true;
	if (colon >= s.len || !is_scheme(span_first(s, colon)))
		return false;
	rest = span_skip(s, colon + 1);
	if (!span_starts(rest, SPAN("//")))
		return true;
	host = span_skip(rest, 2);
	host = span_first(host, MIN(span_index(host, '/'), span_index(host, '?')));
	return is_uri_host(host);
}

/* ---- numbers and codes ---- */

/* Dashes may be left out; the version stands at the 13th digit, its variant at the 17th. */
static bool is_uuid(struct span s, char version)
{
	static const size_t groups[] = { 8, 4, 4, 4, 12 };
	char digits[32];
	size_t count = 0, at = 0;

	for (size_t i = 0; i < ARRAY_LEN(groups); i++) {
		if (i && at < s.len && s.ptr[at] == '-')
			at++;
		for (size_t k = 0; k < groups[i]; k++, at++) {
			if (at >= s.len || !is_hex(s.ptr[at]))
				return false;
			digits[count++] = s.ptr[at];
		}
	}
	if (at != s.len || (version && digits[12] != version))
		return false;
	return version < '4' || strchr("89abAB", digits[16]) != NULL;
}

/* Spaces and dashes are passed over. Returns how many there are, or 0 for too many. */
static size_t digits_of(struct span s, bool passes_all, char *ret, size_t most)
{
	size_t count = 0;

	for (size_t i = 0; i < s.len; i++) {
		bool is_last_x = s.ptr[i] == 'X' && !passes_all;

		if (!ascii_is_digit(s.ptr[i]) && !is_last_x && (passes_all || s.ptr[i] == ' ' || s.ptr[i] == '-'))
			continue;
		if (count == most || (!ascii_is_digit(s.ptr[i]) && !is_last_x))
			return 0;
		ret[count++] = s.ptr[i];
	}
	return count;
}

static bool is_isbn10(struct span s)
{
	char digits[16];
	int sum = 0;

	if (digits_of(s, false, digits, sizeof(digits)) != 10)
		return false;
	for (int i = 0; i < 10; i++) {
		if (digits[i] == 'X' && i < 9)
			return false;
		sum += (i + 1) * (digits[i] == 'X' ? 10 : digits[i] - '0');
	}
	return sum % 11 == 0;
}

static bool is_isbn13(struct span s)
{
	char digits[16];
	int sum = 0;

	if (digits_of(s, false, digits, sizeof(digits)) != 13)
		return false;
	for (int i = 0; i < 13; i++) {
		if (!ascii_is_digit(digits[i]))
			return false;
		sum += (i % 2 ? 3 : 1) * (digits[i] - '0');
	}
	return sum % 10 == 0;
}

static bool is_credit_card(struct span s)
{
	char digits[24];
	size_t count = digits_of(s, true, digits, sizeof(digits));
	int sum = 0;

	if (count < 13 || count > 16)
		return false;
	for (size_t i = 0; i < count; i++) {
		int n = digits[count - 1 - i] - '0';

		n = i % 2 ? n * 2 : n;
		sum += n > 9 ? n - 9 : n;
	}
	switch (digits[0]) {
	case '4':
		return sum % 10 == 0 && (count == 13 || count == 16);
	case '5':
		return sum % 10 == 0 && count == 16 && digits[1] >= '1' && digits[1] <= '5';
	case '6':
		return sum % 10 == 0 && count == 16 &&
		       (digits[1] == '5' || (digits[1] == '0' && digits[2] == '1' && digits[3] == '1'));
	case '3':
		return sum % 10 == 0 && (count >= 14 && strchr("04758", digits[1]) != NULL);
	default:
		return sum % 10 == 0 && count == 15 && (digits[0] == '2' || digits[0] == '1');
	}
}

/* 123-45-6789, or with spaces. */
static bool is_ssn(struct span s)
{
	return fits_shape(s, "ddd-dd-dddd") || fits_shape(s, "ddd dd dddd") || fits_shape(s, "ddd-dd dddd") ||
	       fits_shape(s, "ddd dd-dddd");
}

static bool is_hex_color(struct span s)
{
	if (s.len && s.ptr[0] == '#')
		s = span_skip(s, 1);
	return (s.len == 3 || s.len == 6) && all_are(s, is_hex);
}

static bool is_rgb_color(struct span s)
{
	int parts = 0;

	if (!span_starts(s, SPAN("rgb(")) || s.ptr[s.len - 1] != ')')
		return false;
	s = span_skip(span_first(s, s.len - 1), 4);
	while (s.len) {
		struct span part = span_trim(span_cut(&s, ','));
		int64_t n;

		if (!part.len || !all_are(part, ascii_is_digit) || !number_parse_int64(part, &n) || n > 255 ||
		    (part.len > 1 && part.ptr[0] == '0'))
			return false;
		parts++;
	}
	return parts == 3;
}

static bool is_base64(struct span s)
{
	size_t pad = 0;

	if (!s.len || s.len % 4)
		return false;
	while (pad < 2 && s.ptr[s.len - 1 - pad] == '=')
		pad++;
	for (size_t i = 0; i < s.len - pad; i++)
		if (!is_letter(s.ptr[i]) && !ascii_is_digit(s.ptr[i]) && s.ptr[i] != '+' && s.ptr[i] != '/')
			return false;
	return true;
}

bool format_fits(enum format format, struct span s)
{
	switch (format) {
	case FORMAT_NONE:
	case FORMAT_ANY:
		return true;
	case FORMAT_OBJECT_ID:
		return s.len == 24 && all_are(s, is_hex);
	case FORMAT_URI:
		return is_uri(s);
	case FORMAT_EMAIL:
		return is_email(s);
	case FORMAT_HOSTNAME:
		return is_hostname(s);
	case FORMAT_IPV4:
		return is_ipv4_sloppy(s) || (has(s, '.') && is_ipv6(s));
	case FORMAT_IPV6:
		return is_ipv6(s);
	case FORMAT_CIDR:
		return is_cidr(s);
	case FORMAT_MAC:
		return is_mac(s);
	case FORMAT_UUID:
		return is_uuid(s, '\0');
	case FORMAT_UUID3:
		return is_uuid(s, '3');
	case FORMAT_UUID4:
		return is_uuid(s, '4');
	case FORMAT_UUID5:
		return is_uuid(s, '5');
	case FORMAT_ISBN:
		return is_isbn10(s) || is_isbn13(s);
	case FORMAT_ISBN10:
		return is_isbn10(s);
	case FORMAT_ISBN13:
		return is_isbn13(s);
	case FORMAT_CREDIT_CARD:
		return is_credit_card(s);
	case FORMAT_SSN:
		return is_ssn(s);
	case FORMAT_HEX_COLOR:
		return is_hex_color(s);
	case FORMAT_RGB_COLOR:
		return is_rgb_color(s);
	case FORMAT_BYTE:
		return is_base64(s);
	case FORMAT_DATE:
		return is_date(s);
	case FORMAT_DURATION:
		return is_duration(s);
	case FORMAT_DATE_TIME:
		return is_date_time(s);
	}
	return true;
}
