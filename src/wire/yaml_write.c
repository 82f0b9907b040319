/* SPDX-License-Identifier: Apache-2.0 */
/* yaml_write - a tree as the YAML that sigs.k8s.io/yaml makes of it: block style, members in the order of yaml's keys, texts plain
 * where they read back as texts. */
#include "wire/yaml.h"

#include "base/ascii.h"

#include <stdlib.h>
#include <yaml.h>

struct writer {
	yaml_emitter_t emitter;
	struct buffer *out;
	struct arena *arena;
	struct error *err;
};

static int write_out(void *context, unsigned char *bytes, size_t len)
{
	buffer_append(((struct writer *)context)->out, span_from(bytes, len));
	return 1;
}

static bool is_letter(unsigned char c)
{
	return (c | 32) >= 'a' && (c | 32) <= 'z'; /* keys of the API are ASCII; other letters sort by their bytes */
}

static uint64_t digits_read(struct span s, size_t from, uint64_t number, size_t *ret_end)
{
	for (; from < s.len && ascii_is_digit((unsigned char)s.ptr[from]); from++)
		number = number * 10 + (uint64_t)(s.ptr[from] - '0');
	*ret_end = from;
	return number;
}

/* Behind their common start: letters by the alphabet and behind others, runs of digits by their number. */
static int keys_differ(struct span a, struct span b, size_t at)
{
	unsigned char x = (unsigned char)a.ptr[at], y = (unsigned char)b.ptr[at];
	uint64_t begun = 0, m, n;
	size_t m_end, n_end;

	if (is_letter(x) && is_letter(y))
		return x < y ? -1 : 1;
	if (is_letter(x) || is_letter(y))
		return is_letter(y) ? -1 : 1;
	if (x == '0' || y == '0')
		for (size_t i = at; i > 0 && ascii_is_digit((unsigned char)a.ptr[i - 1]); i--)
			if (a.ptr[i - 1] != '0')
				begun = 1;
	m = digits_read(a, at, begun, &m_end);
	n = digits_read(b, at, begun, &n_end);
	if (m != n)
		return m < n ? -1 : 1;
	if (m_end != n_end)
		return m_end < n_end ? -1 : 1;
	return x < y ? -1 : 1;
}

static int keys_compare(const void *left, const void *right)
{
	struct span a = (*(const struct value_member *const *)left)->key;
	struct span b = (*(const struct value_member *const *)right)->key;

	for (size_t i = 0; i < a.len && i < b.len; i++)
		if (a.ptr[i] != b.ptr[i])
			return keys_differ(a, b, i);
	return (a.len > b.len) - (a.len < b.len);
}

static bool emit(struct writer *w, yaml_event_t *event, int made)
{
	return (made && yaml_emitter_emit(&w->emitter, event)) ||
	       error_set(w->err, ERROR_INTERNAL, "yaml: %s", w->emitter.problem ? w->emitter.problem : "no memory");
}

static bool put_scalar(struct writer *w, struct span text, yaml_scalar_style_t style)
{
	yaml_event_t event;
	int made = yaml_scalar_event_initialize(&event, NULL, NULL, (const yaml_char_t *)(text.len ? text.ptr : ""),
						(int)text.len, 1, 1, style);

	return emit(w, &event, made);
}

static bool put_text(struct writer *w, struct span text)
{
	if (span_index(text, '\n') < text.len)
		return put_scalar(w, text, YAML_LITERAL_SCALAR_STYLE);
	return put_scalar(w, text, yaml_is_plain(text) ? YAML_PLAIN_SCALAR_STYLE : YAML_DOUBLE_QUOTED_SCALAR_STYLE);
}

static bool put(struct writer *w, const struct value *v);

static bool put_object(struct writer *w, const struct value *v)
{
	uint32_t count = v->object.count;
	const struct value_member **order = ARENA_ARRAY(w->arena, const struct value_member *, count + 1, w->err);
	yaml_event_t event;

	if (!order)
		return false;
	for (uint32_t i = 0; i < count; i++)
		order[i] = &v->object.members[i];
	qsort(order, count, sizeof(*order), keys_compare);
	if (!emit(w, &event, yaml_mapping_start_event_initialize(&event, NULL, NULL, 1, YAML_BLOCK_MAPPING_STYLE)))
		return false;
	for (uint32_t i = 0; i < count; i++)
		if (!put_text(w, order[i]->key) || !put(w, &order[i]->value))
			return false;
	return emit(w, &event, yaml_mapping_end_event_initialize(&event));
}

static bool put_array(struct writer *w, const struct value *v)
{
	yaml_event_t event;

	if (!emit(w, &event, yaml_sequence_start_event_initialize(&event, NULL, NULL, 1, YAML_BLOCK_SEQUENCE_STYLE)))
		return false;
	for (uint32_t i = 0; i < v->array.count; i++)
		if (!put(w, value_item(v, i)))
			return false;
	return emit(w, &event, yaml_sequence_end_event_initialize(&event));
}

static bool put(struct writer *w, const struct value *v)
{
	struct span text;

	switch (v->type) {
	case VALUE_OBJECT:
		return put_object(w, v);
	case VALUE_ARRAY:
		return put_array(w, v);
	case VALUE_STRING:
		return put_text(w, v->string);
	default:
		text = value_print(v, w->arena, w->err);
		return text.ptr && put_scalar(w, text, YAML_PLAIN_SCALAR_STYLE);
	}
}

bool yaml_write(const struct value *v, struct arena *arena, struct buffer *out, struct error *err)
{
	struct writer w = { .out = out, .arena = arena, .err = err };
	yaml_event_t event;
	bool good;

	if (!yaml_emitter_initialize(&w.emitter))
		return error_set(err, ERROR_TOO_LARGE, "yaml: no memory for an emitter");
	yaml_emitter_set_output(&w.emitter, write_out, &w);
	yaml_emitter_set_unicode(&w.emitter, 1);
	yaml_emitter_set_width(&w.emitter, -1);
	good = emit(&w, &event, yaml_stream_start_event_initialize(&event, YAML_UTF8_ENCODING)) &&
	       emit(&w, &event, yaml_document_start_event_initialize(&event, NULL, NULL, NULL, 1)) && put(&w, v) &&
	       emit(&w, &event, yaml_document_end_event_initialize(&event, 1)) &&
	       emit(&w, &event, yaml_stream_end_event_initialize(&event));
	yaml_emitter_delete(&w.emitter);
	return good && (!out->overflow || error_set(err, ERROR_TOO_LARGE, "the answer is too large as YAML"));
}
