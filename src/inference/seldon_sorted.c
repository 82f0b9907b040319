/* SPDX-License-Identifier: Apache-2.0 */
/*
 * JSON text rewritten with sorted keys. One pass builds a tree of spans, so that deep nesting costs no repeated scans;
 * scalars keep the text they came with.
 */
#include "inference/seldon_message.h"

struct node {
	struct node *next;  /* sibling */
	struct node *child; /* of an array or object */
	struct span key;    /* decoded, in an object */
	struct span text;   /* of a scalar */
	enum json_type type;
};

static struct node *node_read(struct json *j, bool may_be_plain, struct error *err);

static bool members_read(struct json *j, struct node *parent, bool may_be_plain, struct error *err)
{
	struct node **tail = &parent->child;
	struct span key;

	if (!json_enter_object(j, err))
		return false;
	while (json_next_key(j, &key, err)) {
		struct node *child = node_read(j, may_be_plain, err);

		if (!child)
			return false;
		child->key = key;
		*tail = child;
		tail = &child->next;
	}
	return !j->failed;
}

/* An array without objects stays as it is: a picture costs no node for each of its numbers. */
static bool array_is_plain(struct json *j, struct span *ret)
{
	struct json ahead = *j;
	struct error ignored = { 0 };
	struct span text;

	if (!json_read_raw(&ahead, &text, &ignored) || memchr(text.ptr, '{', text.len))
		return false;
	*j = ahead;
	*ret = text;
	return true;
}

static bool elements_read(struct json *j, struct node *parent, bool may_be_plain, struct error *err)
{
	struct node **tail = &parent->child;

	if (!json_enter_array(j, err))
		return false;
	while (json_next_element(j, err)) {
		struct node *child = node_read(j, may_be_plain, err);

		if (!child)
			return false;
		*tail = child;
		tail = &child->next;
	}
	return !j->failed;
}

/* Recursion is bounded by the reader's JSON_DEPTH_MAX. Once an array turned out to hold objects nothing in it is
 * scanned ahead again: the whole stays linear. */
static struct node *node_read(struct json *j, bool may_be_plain, struct error *err)
{
	struct node *n = ARENA_NEW(j->arena, struct node, err);

	if (!n)
		return NULL;
	n->type = json_peek(j);
	if (n->type == JSON_OBJECT)
		return members_read(j, n, may_be_plain, err) ? n : NULL;
	if (n->type == JSON_ARRAY) {
		if (may_be_plain && array_is_plain(j, &n->text))
			return n;
		return elements_read(j, n, false, err) ? n : NULL;
	}
	return json_read_raw(j, &n->text, err) ? n : NULL;
}

/* Stable merge sort of a list. UTF-8's order of bytes is the order of code points. */
static struct node *nodes_sort(struct node *list)
{
	struct node *slow = list, *fast, *right, *head = NULL, **tail = &head;

	if (!list || !list->next)
		return list;
	for (fast = list->next; fast && fast->next; fast = fast->next->next)
		slow = slow->next;
	right = nodes_sort(slow->next);
	slow->next = NULL;
	list = nodes_sort(list);
	while (list && right) {
		struct node **least = span_order(list->key, right->key) <= 0 ? &list : &right;

		*tail = *least;
		tail = &(*tail)->next;
		*least = *tail;
	}
	*tail = list ? list : right;
	return head;
}

static void node_write(struct json_writer *w, struct node *n)
{
	switch (n->type) {
	case JSON_OBJECT:
		json_open_object(w);
		for (struct node *c = nodes_sort(n->child); c; c = c->next) {
			if (c->next && span_equal(c->key, c->next->key))
				continue;
			json_key(w, c->key);
			node_write(w, c);
		}
		json_close_object(w);
		break;
	case JSON_ARRAY:
		if (n->text.ptr) {
			json_raw(w, n->text);
			break;
		}
		json_open_array(w);
		for (struct node *c = n->child; c; c = c->next)
			node_write(w, c);
		json_close_array(w);
		break;
	default:
		json_raw(w, n->text);
	}
}

bool json_write_sorted(struct json_writer *w, struct span text, struct arena *arena, struct error *err)
{
	struct node *root;
	struct json j;

	json_init(&j, text, arena);
	j.allow_nonfinite = true;
	root = node_read(&j, true, err);
	if (!root || !json_finish(&j, err))
		return false;
	node_write(w, root);
	return true;
}
