/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/describe.h"

#include "base/number.h"
#include "wire/json.h"

enum {
	SPECS_SHOWN = 6,
	COLUMNS_IN_LINE = 64,   /* more columns are sent by V2, without names */
	ELEMENTS_IN_LINE = 128, /* more elements are made by the shell */
	BODY_MAX = KIB(64),
};

void describe_specs(const struct tensor_spec *specs, size_t count, struct buffer *out)
{
	for (size_t i = 0; i < count; i++) {
		char shape[TENSOR_SHAPE_TEXT];

		if (i == SPECS_SHOWN && count > SPECS_SHOWN + 1) {
			buffer_print(out, ", and %zu more", count - i);
			return;
		}
		buffer_print(out, "%s" SPAN_FMT " %s %s", i ? ", " : "", SPAN_ARG(specs[i].name),
			     dtype_name(specs[i].dtype), tensor_shape_text(specs[i].rank, specs[i].shape, shape));
	}
}

void describe_bytes(size_t bytes, struct buffer *out)
{
	static const char *const units[] = { "B", "kB", "MB", "GB" };
	double value = (double)bytes;
	size_t unit = 0;

	while (value >= 999.5 && unit < ARRAY_LEN(units) - 1) {
		value /= 1000;
		unit++;
	}
	buffer_print(out, unit && value < 99.95 ? "%.1f %s" : "%.0f %s", value, units[unit]);
}

void describe_ns(double ns, struct buffer *out)
{
	static const char *const units[] = { "ns", "us", "ms", "s" };
	size_t unit = 0;

	while (ns >= 999.5 && unit < ARRAY_LEN(units) - 1) {
		ns /= 1000;
		unit++;
	}
	buffer_print(out, ns < 99.95 ? "%.1f %s" : "%.0f %s", ns, units[unit]);
}

/* ---- the curl line ---- */

/* Between single quotes of a shell. */
static void put_quoted(struct buffer *out, struct span text)
{
	buffer_byte(out, '\'');
	for (size_t i = 0; i < text.len; i++) {
		if (text.ptr[i] == '\'')
			buffer_append(out, SPAN("'\\''"));
		else
			buffer_byte(out, text.ptr[i]);
	}
	buffer_byte(out, '\'');
}

static void put_value(struct json_writer *w, enum dtype type)
{
	if (type == DTYPE_BYTES)
		json_string(w, SPAN("a"));
	else if (type == DTYPE_BOOL)
		json_bool(w, true);
	else if (dtype_is_integer(type))
		json_int64(w, 1);
	else
		json_double(w, 1.0);
}

/* Elements of one row of an input; dimensions of any length count as one. False when the product is too large to ask
 * for. */
static bool spec_elements(const struct tensor_spec *spec, int64_t *shape, size_t *ret)
{
	struct error err = { 0 };

	for (int i = 0; i < spec->rank; i++)
		shape[i] = spec->shape[i] < 0 ? 1 : spec->shape[i];
	return tensor_count(spec->rank, shape, ret, &err);
}

/* {"G1":1.0,"G2":1.0}: one input a column, or one matrix for all. */
static void put_record(struct json_writer *w, const struct model_info *info, const struct describe_target *t)
{
	bool is_matrix = info->input_count == 1;

	json_open_object(w);
	for (size_t i = 0; i < t->column_count; i++) {
		json_key(w, t->columns[i]);
		put_value(w, info->inputs[is_matrix ? 0 : i].dtype);
	}
	json_close_object(w);
}

static void put_input_head(struct json_writer *w, const struct tensor_spec *spec, const int64_t *shape)
{
	json_open_object(w);
	json_key(w, SPAN("name"));
	json_string(w, spec->name);
	json_key(w, SPAN("shape"));
	json_open_array(w);
	for (int k = 0; k < spec->rank; k++)
		json_int64(w, shape[k]);
	json_close_array(w);
	json_key(w, SPAN("datatype"));
	json_string(w, span_of(dtype_name(spec->dtype)));
	json_key(w, SPAN("data"));
}

static void put_v2(struct json_writer *w, const struct model_info *info)
{
	json_open_object(w);
	json_key(w, SPAN("inputs"));
	json_open_array(w);
	for (size_t i = 0; i < info->input_count; i++) {
		int64_t shape[TENSOR_RANK_MAX];
		size_t count;

		if (!spec_elements(&info->inputs[i], shape, &count))
			continue;
		put_input_head(w, &info->inputs[i], shape);
		json_open_array(w);
		for (size_t k = 0; k < count; k++)
			put_value(w, info->inputs[i].dtype);
		json_close_array(w);
		json_close_object(w);
	}
	json_close_array(w);
	json_close_object(w);
}

/* The body of one large input, made by the shell: { printf ...; yes 1 | head -n COUNT | paste -sd, -; echo ']}]}'; } |
 */
static void put_generated_body(struct buffer *out, const struct tensor_spec *spec, const int64_t *shape, size_t count)
{
	struct buffer body;
	struct json_writer w;

	buffer_init(&body, BODY_MAX);
	w = json_writer(&body);
	json_open_object(&w);
	json_key(&w, SPAN("inputs"));
	json_open_array(&w);
	put_input_head(&w, spec, shape);
	buffer_byte(&body, '[');
	ASSERT(body.ptr && !body.overflow);
	buffer_append(out, SPAN("{ printf %s "));
	put_quoted(out, buffer_span(&body));
	buffer_print(out, "; yes %s | head -n %zu | paste -sd, -; echo ']}]}'; } | ",
		     spec->dtype == DTYPE_BYTES  ? "'\"a\"'"
		     : spec->dtype == DTYPE_BOOL ? "true"
						 : "1",
		     count);
	buffer_done(&body);
}

static void put_curl(struct buffer *out, const struct describe_target *t, struct span path, struct span body)
{
	buffer_append(out, SPAN("curl -s"));
	if (t->is_tls)
		buffer_append(out, SPAN(" -k"));
	if (t->wants_certificate)
		buffer_append(out, SPAN(" --cert client.pem --key client.key"));
	if (t->unix_socket.len > 0) {
		buffer_append(out, SPAN(" --unix-socket "));
		put_quoted(out, t->unix_socket);
	}
	buffer_byte(out, ' ');
	buffer_append(out, t->url);
	buffer_append(out, path);
	buffer_append(out, SPAN(" -H 'Content-Type: application/json' "));
	if (body.len > 0) {
		buffer_append(out, SPAN("-d "));
		put_quoted(out, body);
	} else {
		buffer_append(out, SPAN("--data-binary @-"));
	}
}

void describe_curl(const struct model_info *info, const struct describe_target *target, struct buffer *out)
{
	bool is_record = target->column_count > 0 && target->column_count <= COLUMNS_IN_LINE &&
			 (info->input_count == 1 || info->input_count == target->column_count);
	int64_t shape[TENSOR_RANK_MAX];
	struct json_writer w;
	struct buffer path, body;
	size_t count = 0;

	buffer_init(&path, KIB(4));
	buffer_init(&body, BODY_MAX);
	w = json_writer(&body);
	buffer_print(&path, "/v2/models/" SPAN_FMT "/infer", SPAN_ARG(target->name));
	if (is_record) {
		put_record(&w, info, target);
		put_curl(out, target, SPAN("/predict"), buffer_span(&body));
	} else if (info->input_count == 1 && spec_elements(&info->inputs[0], shape, &count) &&
		   count > ELEMENTS_IN_LINE) {
		put_generated_body(out, &info->inputs[0], shape, count);
		put_curl(out, target, buffer_span(&path), (struct span){ 0 });
	} else {
		put_v2(&w, info);
		put_curl(out, target, buffer_span(&path), buffer_span(&body));
	}
	buffer_done(&path);
	buffer_done(&body);
}
