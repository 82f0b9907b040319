/* SPDX-License-Identifier: Apache-2.0 */
/* names - which texts may be names, keys and values, and what is wrong with those that may not. Facts: k8s.io/apimachinery
 * util/validation; the messages are read by people and compared by tests of clients. */
#include "kube/kinds/kinds.h"

#include "base/ascii.h"

#define LABEL_RE     "[a-z0-9]([-a-z0-9]*[a-z0-9])?"
#define SUBDOMAIN_RE LABEL_RE "(\\." LABEL_RE ")*"
#define QUALIFIED_RE "([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]"
#define USED(re)     "regex used for validation is '" re "')"

#define LABEL_WORDS                                                                                                    \
	"a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and "    \
	"end "                                                                                                         \
	"with an alphanumeric character (e.g. 'my-name',  or '123-abc', " USED(LABEL_RE)
#define SUBDOMAIN_WORDS                                                                                                \
	"a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must "     \
	"start and end with an alphanumeric character (e.g. 'example.com', " USED(SUBDOMAIN_RE)
#define QUALIFIED_WORDS                                                                                                \
	"must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric "       \
	"character (e.g. 'MyName',  or 'my.name',  or '123-abc', " USED(QUALIFIED_RE)

static bool is_lower(char ch)
{
	return ch >= 'a' && ch <= 'z';
}

static bool is_alphanumeric(char ch)
{
	return is_lower(ch) || ascii_is_digit(ch) || (ch >= 'A' && ch <= 'Z');
}

/* [a-z0-9]([-a-z0-9]*[a-z0-9])? */
static bool is_label(struct span s)
{
	if (s.len == 0 || s.ptr[0] == '-' || s.ptr[s.len - 1] == '-')
		return false;
	for (size_t i = 0; i < s.len; i++) {
		if (!is_lower(s.ptr[i]) && !ascii_is_digit(s.ptr[i]) && s.ptr[i] != '-')
			return false;
	}
	return true;
}

static bool is_subdomain(struct span s)
{
	if (s.len == 0 || s.ptr[s.len - 1] == '.')
		return false;
	while (s.len) {
		if (!is_label(span_cut(&s, '.')))
			return false;
	}
	return true;
}

static bool is_qualified_part(struct span s)
{
	if (s.len == 0 || !is_alphanumeric(s.ptr[0]) || !is_alphanumeric(s.ptr[s.len - 1]))
		return false;
	for (size_t i = 0; i < s.len; i++) {
		if (!is_alphanumeric(s.ptr[i]) && s.ptr[i] != '-' && s.ptr[i] != '_' && s.ptr[i] != '.')
			return false;
	}
	return true;
}

const char *name_check_label(struct span s)
{
	if (s.len > 63)
		return "must be no more than 63 characters";
	if (is_label(s))
		return NULL;
	return is_subdomain(s) ? "must not contain dots" : LABEL_WORDS;
}

const char *name_check_subdomain(struct span s)
{
	if (s.len > 253)
		return "must be no more than 253 characters";
	return is_subdomain(s) ? NULL : SUBDOMAIN_WORDS;
}

const char *name_check_1035(struct span s)
{
	if (s.len > 63)
		return "must be no more than 63 characters";
	if (is_label(s) && is_lower(s.ptr[0]))
		return NULL;
	return "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic "
	       "character, and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', " USED(
		   "[a-z]([-a-z0-9]*[a-z0-9])?");
}

const char *name_check_path_segment(struct span s)
{
	if (span_equal(s, SPAN(".")))
		return "may not be '.'";
	if (span_equal(s, SPAN("..")))
		return "may not be '..'";
	if (span_index(s, '/') < s.len)
		return "may not contain '/'";
	if (span_index(s, '%') < s.len)
		return "may not contain '%'";
	return NULL;
}

const char *name_check_qualified(struct span s)
{
	struct span rest = s, prefix = span_cut(&rest, '/');
	bool has_prefix = prefix.len < s.len;
	struct span name = has_prefix ? rest : s;

	if (has_prefix && span_index(name, '/') < name.len)
		return "a qualified name " QUALIFIED_WORDS
		       " with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')";
	if (has_prefix && prefix.len == 0)
		return "prefix part must be non-empty";
	if (has_prefix && prefix.len > 253)
		return "prefix part must be no more than 253 characters";
	if (has_prefix && !is_subdomain(prefix))
		return "prefix part " SUBDOMAIN_WORDS;
	if (name.len == 0)
		return "name part must be non-empty";
	if (name.len > 63)
		return "name part must be no more than 63 characters";
	return is_qualified_part(name) ? NULL : "name part " QUALIFIED_WORDS;
}

const char *name_check_label_value(struct span s)
{
	if (s.len > 63)
		return "must be no more than 63 characters";
	if (s.len == 0 || is_qualified_part(s))
		return NULL;
	return "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must "
	       "start "
	       "and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', " USED(
		   "(" QUALIFIED_RE ")?");
}

static size_t port_faults(struct span s, const char *words[NAME_FAULTS_MOST])
{
	bool has_letter = false, has_other = s.len == 0, has_two = false;
	size_t count = 0;

	for (size_t i = 0; i < s.len; i++) {
		has_letter = has_letter || is_lower(s.ptr[i]);
		has_other = has_other || (!is_lower(s.ptr[i]) && !ascii_is_digit(s.ptr[i]) && s.ptr[i] != '-');
		has_two = has_two || (i && s.ptr[i] == '-' && s.ptr[i - 1] == '-');
	}
	if (s.len > 15)
		words[count++] = "must be no more than 15 characters";
	if (has_other)
		words[count++] = "must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)";
	if (!has_letter)
		words[count++] = "must contain at least one letter (a-z)";
	if (has_two)
		words[count++] = "must not contain consecutive hyphens";
	if (s.len && (s.ptr[0] == '-' || s.ptr[s.len - 1] == '-'))
		words[count++] = "must not begin or end with a hyphen";
	return count;
}

const char *name_check_port(struct span s)
{
	const char *words[NAME_FAULTS_MOST];

	return port_faults(s, words) ? words[0] : NULL;
}

size_t name_faults(struct span s, const char *(*check)(struct span s), const char *words[NAME_FAULTS_MOST])
{
	size_t count;

	if (check == name_check_port)
		return port_faults(s, words);
	words[0] = check(s);
	count = words[0] ? 1 : 0;
	/* What is empty is told twice. */
	if (check == name_check_qualified && (s.len == 0 || s.ptr[s.len - 1] == '/') && count &&
	    strcmp(words[0], "name part must be non-empty") == 0)
		words[count++] = "name part " QUALIFIED_WORDS;
	return count;
}

/* Files and environment variables must not lead out of their folder. */
static const char *check_folder(struct span s)
{
	if (span_equal(s, SPAN(".")))
		return "must not be '.'";
	if (span_equal(s, SPAN("..")))
		return "must not be '..'";
	return span_starts(s, SPAN("..")) ? "must not start with '..'" : NULL;
}

const char *name_check_config_key(struct span s)
{
	bool is_fine = s.len > 0;

	if (s.len > 253)
		return "must be no more than 253 characters";
	for (size_t i = 0; i < s.len; i++)
		is_fine =
		    is_fine && (is_alphanumeric(s.ptr[i]) || s.ptr[i] == '-' || s.ptr[i] == '_' || s.ptr[i] == '.');
	if (!is_fine)
		return "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  "
		       "or "
		       "'KEY_NAME',  or 'key-name', " USED("[-._a-zA-Z0-9]+");
	return check_folder(s);
}

const char *name_check_env(struct span s)
{
	if (s.len == 0)
		return "environment variable name must be non-empty";
	for (size_t i = 0; i < s.len; i++) {
		unsigned char ch = (unsigned char)s.ptr[i];

		if (ch < 0x20 || ch >= 0x7f || ch == '=')
			return "a valid environment variable name must consist only of printable ASCII characters "
			       "other than '='";
	}
	return NULL;
}

const char *name_check_wildcard(struct span s)
{
	if (s.len > 253)
		return "must be no more than 253 characters";
	if (span_starts(s, SPAN("*.")) && is_subdomain(span_skip(s, 2)))
		return NULL;
	return "a wildcard DNS-1123 subdomain must start with '*.', followed by a valid DNS subdomain, which must "
	       "consist of "
	       "lower case alphanumeric characters, '-' or '.' and end with an alphanumeric character (e.g. "
	       "'*.example.com', " USED("\\*\\." SUBDOMAIN_RE);
}

const char *name_check_any(struct span s)
{
	(void)s;
	return NULL;
}
