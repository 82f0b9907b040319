/* SPDX-License-Identifier: Apache-2.0 */
/* Typed access to a node's attributes. Each that an operator asks for is marked; the plan refuses nodes with others
 * left. */
#include "models/onnx.h"

static const char *const type_names[] = { "nothing", "a float",         "an integer",     "a string", "a tensor",
					  "a graph", "floats",          "integers",       "strings",  "tensors",
					  "graphs",  "a sparse tensor", "sparse tensors", "a type",   "types" };

static struct onnx_attribute *find(struct onnx_prepare *p, const char *name)
{
	struct span wanted = span_of(name);

	for (size_t i = 0; i < p->node->attribute_count; i++) {
		struct onnx_attribute *a = &p->node->attributes[i];

		if (span_equal(a->name, wanted)) {
			a->used = true;
			return a;
		}
	}
	return NULL;
}

/* The attribute, or NULL when absent; false when it has another type. */
static bool get(struct onnx_prepare *p, const char *name, int type, struct onnx_attribute **ret, struct error *err)
{
	*ret = find(p, name);
	if (*ret && (*ret)->type != type)
		return error_set(err, ERROR_INVALID, "attribute '%s' is %s, %s was expected", name,
				 type_names[(*ret)->type], type_names[type]);
	return true;
}

bool onnx_has(struct onnx_prepare *p, const char *name)
{
	return find(p, name) != NULL;
}

void onnx_ignore(struct onnx_prepare *p, const char *name)
{
	(void)find(p, name);
}

bool onnx_int(struct onnx_prepare *p, const char *name, int64_t otherwise, int64_t *ret, struct error *err)
{
	struct onnx_attribute *a;

	if (!get(p, name, ONNX_INT, &a, err))
		return false;
	*ret = a ? a->i : otherwise;
	return true;
}

bool onnx_float(struct onnx_prepare *p, const char *name, float otherwise, float *ret, struct error *err)
{
	struct onnx_attribute *a;

	if (!get(p, name, ONNX_FLOAT, &a, err))
		return false;
	*ret = a ? a->f : otherwise;
	return true;
}

bool onnx_string(struct onnx_prepare *p, const char *name, const char *otherwise, struct span *ret, struct error *err)
{
	struct onnx_attribute *a;

	if (!get(p, name, ONNX_STRING, &a, err))
		return false;
	*ret = arena_copy(p->arena, a ? a->s : span_of(otherwise), err);
	return ret->ptr != NULL;
}

/* A list of `size` byte items, copied to where the plan lives. */
static bool copy_list(struct onnx_prepare *p, const void *from, size_t count, size_t size, const void **ret,
		      struct error *err)
{
	void *to = arena_array_(p->arena, count, size, err);

	if (!to)
		return false;
	if (count)
		memcpy(to, from, count * size);
	*ret = to;
	return true;
}

bool onnx_ints(struct onnx_prepare *p, const char *name, const int64_t **ret, size_t *ret_count, struct error *err)
{
	struct onnx_attribute *a;

	if (!get(p, name, ONNX_INTS, &a, err))
		return false;
	*ret_count = a ? a->count : 0;
	return copy_list(p, a ? a->ints : NULL, *ret_count, sizeof(int64_t), (const void **)ret, err);
}

bool onnx_floats(struct onnx_prepare *p, const char *name, const float **ret, size_t *ret_count, struct error *err)
{
	struct onnx_attribute *a;

	if (!get(p, name, ONNX_FLOATS, &a, err))
		return false;
	*ret_count = a ? a->count : 0;
	return copy_list(p, a ? a->floats : NULL, *ret_count, sizeof(float), (const void **)ret, err);
}

bool onnx_strings(struct onnx_prepare *p, const char *name, const struct span **ret, size_t *ret_count,
		  struct error *err)
{
	struct onnx_attribute *a;
	struct span *to;

	if (!get(p, name, ONNX_STRINGS, &a, err))
		return false;
	*ret_count = a ? a->count : 0;
	to = ARENA_ARRAY(p->arena, struct span, *ret_count, err);
	if (!to)
		return false;
	for (size_t i = 0; i < *ret_count; i++) {
		to[i] = arena_copy(p->arena, a->strings[i], err);
		if (!to[i].ptr)
			return false;
	}
	*ret = to;
	return true;
}

bool onnx_tensor(struct onnx_prepare *p, const char *name, const struct tensor **ret, struct error *err)
{
	struct onnx_attribute *a;
	struct tensor *copy;

	*ret = NULL;
	if (!get(p, name, ONNX_TENSOR, &a, err))
		return false;
	if (!a)
		return true;
	copy = ARENA_NEW(p->arena, struct tensor, err);
	if (!copy)
		return false;
	*copy = a->tensor; /* its data is where the model lives already; its name is not */
	copy->name = SPAN("");
	*ret = copy;
	return true;
}

bool onnx_body(struct onnx_prepare *p, const char *name, struct onnx_graph **ret, struct error *err)
{
	struct onnx_attribute *a;

	if (!get(p, name, ONNX_GRAPH, &a, err))
		return false;
	if (!a)
		return error_set(err, ERROR_INVALID, "attribute '%s' is missing", name);
	*ret = a->graph;
	return true;
}

bool onnx_choice(struct onnx_prepare *p, const char *name, const char *const *names, int *ret, struct error *err)
{
	struct span text;

	if (!onnx_string(p, name, names[0], &text, err))
		return false;
	for (int i = 0; names[i]; i++)
		if (span_equal(text, span_of(names[i]))) {
			*ret = i;
			return true;
		}
	return error_set(err, ERROR_INVALID, "attribute '%s' is '" SPAN_FMT "', which is unknown", name,
			 SPAN_ARG(text));
}
