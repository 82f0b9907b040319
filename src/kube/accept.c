/* SPDX-License-Identifier: Apache-2.0 */
/* accept - in which form a client wants its answer (RFC 9110 12.5.1, with the parameters as, g and v of Kubernetes). */
#include "kube/kube_private.h"

#include "base/number.h"

struct accepted {
	struct span type, as, version, group;
	double quality;
};

static struct accepted accept_parse(struct span range)
{
	struct accepted a = { .type = span_trim(span_cut(&range, ';')), .quality = 1 };

	while (range.len) {
		struct span value = span_trim(span_cut(&range, ';'));
		struct span name = span_trim(span_cut(&value, '='));

		if (span_equal(name, SPAN("as")))
			a.as = span_trim(value);
		else if (span_equal(name, SPAN("v")))
			a.version = span_trim(value);
		else if (span_equal(name, SPAN("g")))
			a.group = span_trim(value);
		else if (span_equal(name, SPAN("q")) && !number_parse_double(span_trim(value), &a.quality))
			a.quality = 1;
	}
	return a;
}

static bool is_json_range(struct span type)
{
	return span_equal(type, SPAN("application/json")) || span_equal(type, SPAN("*/*")) ||
	       span_equal(type, SPAN("application/*"));
}

static bool is_form_version(struct span version)
{
	return span_equal(version, SPAN("v1")) || span_equal(version, SPAN("v1beta1"));
}

static bool accept_takes(struct accepting *ret, const struct accepted *a)
{
	static const struct {
		const char *as;
		enum form form;
	} forms[] = { { "Table", FORM_TABLE },
		      { "PartialObjectMetadata", FORM_PARTIAL },
		      { "PartialObjectMetadataList", FORM_PARTIAL_LIST } };
	bool is_yaml = span_equal(a->type, SPAN("application/yaml"));

	if (!is_json_range(a->type) && !is_yaml)
		return false;
	if (!a->as.len) {
		ret->is_yaml = is_yaml;
		ret->form = FORM_OBJECT;
		return true;
	}
	if (!span_equal(a->group, SPAN("meta.k8s.io")))
		return false;
	for (size_t i = 0; i < ARRAY_LEN(forms); i++) {
		if (span_equal(a->as, span_of(forms[i].as)) && is_form_version(a->version)) {
			ret->is_yaml = is_yaml;
			ret->form = forms[i].form;
			ret->is_beta_form = !span_equal(a->version, SPAN("v1"));
			return true;
		}
	}
	return false;
}

static bool is_known_type(struct span type)
{
	return is_json_range(type) || span_equal(type, SPAN("application/yaml")) ||
	       span_equal(type, SPAN("application/vnd.kubernetes.protobuf"));
}

bool accept_choose(struct span header, struct accepting *ret)
{
	double best = 0;

	*ret = (struct accepting){ 0 };
	while (header.len) {
		struct accepted a = accept_parse(span_cut(&header, ','));

		if (a.quality > best && accept_takes(ret, &a))
			best = a.quality;
		ret->is_known |= is_known_type(a.type);
	}
	return best > 0;
}
