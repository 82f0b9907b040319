/* SPDX-License-Identifier: Apache-2.0 */
/* tokens - the file of bearer tokens: lines "token,user,uid,"group1,group2"", as kube-apiserver's --token-auth-file has them. */
#include <openssl/crypto.h>
#include <stdlib.h>

#include "kube/auth/auth.h"

#define FILE_BYTES_MAX MIB(16)

enum { COLUMNS = 4 };

struct token_row {
	struct span token;
	struct user user;
};

struct token_file {
	struct arena arena;
	struct token_row *rows;
	size_t count, capacity;
};

/* One field of a CSV line (RFC 4180), quotes removed. False: a quote that does not end. */
static bool field_take(struct span *rest, struct arena *arena, struct span *ret)
{
	struct error ignored = { 0 };
	char *to;
	size_t len = 0, i = 1;

	if (rest->len == 0 || rest->ptr[0] != '"') {
		*ret = span_trim(span_cut(rest, ','));
		return true;
	}
	to = arena_alloc(arena, rest->len, &ignored);
	for (; to && i < rest->len; i++) {
		if (rest->ptr[i] == '"') {
			if (i + 1 >= rest->len || rest->ptr[i + 1] != '"')
				break;
			i++;
		}
		to[len++] = rest->ptr[i];
	}
	if (!to || i >= rest->len)
		return false;
	*ret = span_from(to, len);
	*rest = span_skip(*rest, i + 1);
	*rest = span_trim(*rest);
	if (rest->len > 0 && rest->ptr[0] != ',')
		return false;
	if (rest->len > 0)
		*rest = span_skip(*rest, 1);
	return true;
}

static bool groups_add(struct user *u, struct span groups, struct error *err)
{
	while (groups.len > 0) {
		struct span group = span_trim(span_cut(&groups, ','));

		if (group.len > 0 && !user_group_add(u, group, err))
			return false;
	}
	return true;
}

static bool line_read(struct token_file *f, struct span line, struct error *err)
{
	struct span fields[COLUMNS] = { { 0 } };
	struct token_row *row;
	size_t count = 0;

	for (; count < COLUMNS && line.len > 0; count++) {
		if (!field_take(&line, &f->arena, &fields[count]))
			return error_set(err, ERROR_INVALID, "a quoted field does not end where it should");
	}
	if (count < 3 || fields[0].len == 0 || fields[1].len == 0)
		return error_set(err, ERROR_INVALID, "expected token,user,uid or token,user,uid,\"group1,group2\"");
	if (f->count == f->capacity) {
		f->capacity = f->capacity ? f->capacity * 2 : 8;
		f->rows = base_realloc(f->rows, f->capacity * sizeof(*f->rows));
	}
	row = &f->rows[f->count];
	*row = (struct token_row){ .token = fields[0], .user = { .name = fields[1], .uid = fields[2] } };
	if (!groups_add(&row->user, fields[3], err))
		return false;
	f->count++;
	return true;
}

bool token_file_parse(struct span text, const char *name, struct token_file **ret, struct error *err)
{
	struct token_file *f = base_calloc(1, sizeof(*f));
	size_t number = 0;

	arena_init(&f->arena, FILE_BYTES_MAX * 4);
	text = arena_copy(&f->arena, text, err);
	while (text.ptr && text.len > 0) {
		struct span line = span_trim(span_cut(&text, '\n'));

		number++;
		if (line.len > 0 && line.ptr[0] != '#' && !line_read(f, line, err)) {
			error_wrap(err, "%s: line %zu", name, number);
			token_file_free(f);
			return false;
		}
	}
	*ret = f;
	return true;
}

struct token_file *token_file_read(const char *path, struct error *err)
{
	struct token_file *f = NULL;
	struct buffer text;
	bool done;

	buffer_init(&text, FILE_BYTES_MAX);
	done = buffer_read_file(&text, path, err) && token_file_parse(buffer_span(&text), path, &f, err);
	if (text.ptr)
		OPENSSL_cleanse(text.ptr, text.len);
	buffer_done(&text);
	return done ? f : NULL;
}

void token_file_free(struct token_file *f)
{
	if (!f)
		return;
	arena_done(&f->arena);
	free(f->rows);
	free(f);
}

bool token_file_find(const struct token_file *f, struct span token, struct user *ret)
{
	const struct token_row *found = NULL;

	/* All rows are compared, each in constant time: how long it takes tells nothing of the tokens. */
	for (size_t i = 0; f && i < f->count; i++) {
		const struct token_row *row = &f->rows[i];

		if (row->token.len == token.len && CRYPTO_memcmp(row->token.ptr, token.ptr, token.len) == 0)
			found = row;
	}
	if (!found)
		return false;
	*ret = found->user;
	return true;
}
