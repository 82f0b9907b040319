/* SPDX-License-Identifier: Apache-2.0 */
/* supervisor_message - structs to JSON and back, by tables: a row for each member. */
#include <assert.h>
#include <limits.h>
#include <stddef.h>

#include "node/supervisor.h"
#include "wire/value.h"

enum row_type { ROW_TEXT, ROW_TEXTS, ROW_INT, ROW_UINT32, ROW_INT64, ROW_INT64S, ROW_BOOL, ROW_STRUCT, ROW_LIST };

struct row {
	const char *name;
	enum row_type type;
	size_t at, count_at; /* of lists: the pointer, and size_t how many */
	const struct row *rows;
	size_t size; /* of an item */
};

enum { ITEMS_MOST = 1 << 16 };

#define TEXT(s, m)                                                                                                     \
	{                                                                                                              \
#m, ROW_TEXT, offsetof(struct s, m), 0, NULL, 0                                                        \
	}
#define INT(s, m)                                                                                                      \
	{                                                                                                              \
#m, ROW_INT, offsetof(struct s, m), 0, NULL, 0                                                         \
	}
#define UINT32(s, m)                                                                                                   \
	{                                                                                                              \
#m, ROW_UINT32, offsetof(struct s, m), 0, NULL, 0                                                      \
	}
#define INT64(s, m)                                                                                                    \
	{                                                                                                              \
#m, ROW_INT64, offsetof(struct s, m), 0, NULL, 0                                                       \
	}
#define BOOL(s, m)                                                                                                     \
	{                                                                                                              \
#m, ROW_BOOL, offsetof(struct s, m), 0, NULL, 0                                                        \
	}
#define TEXTS(s, m, n)                                                                                                 \
	{                                                                                                              \
#m, ROW_TEXTS, offsetof(struct s, m), offsetof(struct s, n), NULL, sizeof(struct span)                 \
	}
#define INT64S(s, m, n)                                                                                                \
	{                                                                                                              \
#m, ROW_INT64S, offsetof(struct s, m), offsetof(struct s, n), NULL, sizeof(int64_t)                    \
	}
#define STRUCT(s, m, r)                                                                                                \
	{                                                                                                              \
#m, ROW_STRUCT, offsetof(struct s, m), 0, r, 0                                                         \
	}
#define LIST(s, m, n, r, of)                                                                                           \
	{                                                                                                              \
#m, ROW_LIST, offsetof(struct s, m), offsetof(struct s, n), r, sizeof(struct of)                       \
	}
#define END                                                                                                            \
	{                                                                                                              \
		NULL, ROW_TEXT, 0, 0, NULL, 0                                                                          \
	}

static_assert(sizeof(enum seccomp_profile) == sizeof(int) && sizeof(enum container_state) == sizeof(int) &&
		  sizeof(pid_t) == sizeof(int),
	      "rows read them as int");

static const struct row pair_rows[] = { TEXT(name_value, name), TEXT(name_value, value), END };

static const struct row tmpfs_rows[] = { TEXT(sandbox_tmpfs, host_path), INT64(sandbox_tmpfs, bytes),
					 INT(sandbox_tmpfs, mode), END };

static const struct row resources_rows[] = { INT64(resources, cpu_request), INT64(resources, cpu_limit),
					     INT64(resources, memory_limit), INT64(resources, processes_limit), END };

static const struct row sandbox_rows[] = {
	TEXT(sandbox_config, uid),
	TEXT(sandbox_config, name_space),
	TEXT(sandbox_config, name),
	TEXT(sandbox_config, hostname),
	TEXT(sandbox_config, folder),
	TEXT(sandbox_config, log_directory),
	TEXT(sandbox_config, address),
	LIST(sandbox_config, sysctls, sysctl_count, pair_rows, name_value),
	LIST(sandbox_config, tmpfs, tmpfs_count, tmpfs_rows, sandbox_tmpfs),
	STRUCT(sandbox_config, resources, resources_rows),
	BOOL(sandbox_config, is_network_host),
	BOOL(sandbox_config, is_pid_host),
	BOOL(sandbox_config, is_ipc_host),
	BOOL(sandbox_config, shares_processes),
	TEXT(sandbox_config, quality),
	END,
};

static const struct row mount_rows[] = { TEXT(mount_wanted, host_path), TEXT(mount_wanted, container_path),
					 BOOL(mount_wanted, is_read_only), END };

static const struct row security_rows[] = {
	INT64(security, user),
	INT64(security, group),
	INT64S(security, groups, group_count),
	BOOL(security, is_privileged),
	BOOL(security, may_gain_privileges),
	BOOL(security, is_root_writable),
	INT(security, seccomp),
	TEXT(security, seccomp_file),
	TEXTS(security, capabilities_added, added_count),
	TEXTS(security, capabilities_dropped, dropped_count),
	END,
};

static const struct row container_rows[] = {
	TEXT(container_config, name),
	UINT32(container_config, attempt),
	TEXTS(container_config, command, command_count),
	TEXT(container_config, image),
	TEXT(container_config, working_directory),
	LIST(container_config, environment, environment_count, pair_rows, name_value),
	LIST(container_config, mounts, mount_count, mount_rows, mount_wanted),
	TEXT(container_config, log_path),
	BOOL(container_config, has_stdin),
	BOOL(container_config, has_stdin_once),
	BOOL(container_config, has_terminal),
	STRUCT(container_config, resources, resources_rows),
	INT(container_config, oom_score),
	STRUCT(container_config, security, security_rows),
	END,
};

static const struct row stream_rows[] = {
	TEXTS(stream_wanted, command, command_count),
	BOOL(stream_wanted, has_terminal),
	BOOL(stream_wanted, has_stdin),
	BOOL(stream_wanted, has_stdout),
	BOOL(stream_wanted, has_stderr),
	INT64(stream_wanted, timeout_ns),
	END,
};

#define HOST(m)                                                                                                        \
	{                                                                                                              \
#m, ROW_TEXT, offsetof(struct supervisor_request, host.m) - offsetof(struct supervisor_request, host), \
		    0, NULL, 0                                                                                         \
	}
static const struct row host_rows[] = { HOST(hidden), HOST(group_root), HOST(egress), HOST(program), END };

static const struct row request_rows[] = {
	INT64(supervisor_request, id),
	TEXT(supervisor_request, op),
	INT64(supervisor_request, version),
	TEXT(supervisor_request, folder),
	STRUCT(supervisor_request, host, host_rows),
	STRUCT(supervisor_request, sandbox, sandbox_rows),
	STRUCT(supervisor_request, container, container_rows),
	TEXT(supervisor_request, name),
	UINT32(supervisor_request, attempt),
	INT64(supervisor_request, grace_ns),
	STRUCT(supervisor_request, resources, resources_rows),
	STRUCT(supervisor_request, stream, stream_rows),
	TEXT(supervisor_request, stream_id),
	INT(supervisor_request, columns),
	INT(supervisor_request, rows),
	INT(supervisor_request, family),
	INT(supervisor_request, type),
	END,
};

static const struct row container_status_rows[] = {
	TEXT(container_status, name),
	UINT32(container_status, attempt),
	TEXT(container_status, id),
	INT(container_status, state),
	INT(container_status, pid),
	INT64(container_status, created_ns),
	INT64(container_status, started_ns),
	INT64(container_status, finished_ns),
	INT(container_status, exit_code),
	INT(container_status, signal),
	TEXT(container_status, reason),
	TEXT(container_status, message),
	END,
};

static const struct row status_rows[] = {
	TEXT(sandbox_status, uid),
	TEXT(sandbox_status, name_space),
	TEXT(sandbox_status, name),
	TEXT(sandbox_status, address),
	TEXT(sandbox_status, folder),
	BOOL(sandbox_status, is_ready),
	INT64(sandbox_status, created_ns),
	LIST(sandbox_status, containers, container_count, container_status_rows, container_status),
	TEXT(sandbox_status, shortcomings),
	END,
};

static const struct row container_usage_rows[] = {
	TEXT(container_usage, name),          UINT32(container_usage, attempt),  INT64(container_usage, cpu_ns),
	INT64(container_usage, memory_bytes), INT64(container_usage, processes), END,
};

static const struct row usage_rows[] = {
	INT64(sandbox_usage, cpu_ns),
	INT64(sandbox_usage, memory_bytes),
	INT64(sandbox_usage, processes),
	LIST(sandbox_usage, containers, container_count, container_usage_rows, container_usage),
	END,
};

static const struct row reply_rows[] = {
	INT64(supervisor_reply, id),
	TEXT(supervisor_reply, event),
	INT64(supervisor_reply, version),
	INT64(supervisor_reply, pid),
	TEXT(supervisor_reply, error_code),
	TEXT(supervisor_reply, error_message),
	STRUCT(supervisor_reply, status, status_rows),
	TEXT(supervisor_reply, stream),
	INT(supervisor_reply, exit_code),
	BOOL(supervisor_reply, has_in),
	BOOL(supervisor_reply, has_out),
	BOOL(supervisor_reply, has_err),
	STRUCT(supervisor_reply, usage, usage_rows),
	END,
};

static const struct row record_rows[] = {
	STRUCT(sandbox_record, config, sandbox_rows),
	INT64(sandbox_record, created_ns),
	TEXT(sandbox_record, shortcomings),
	BOOL(sandbox_record, is_ended),
	END,
};

/* ---- writing: what is zero or empty is left out ---- */

static void write_members(struct json_writer *w, const struct row *rows, const char *from);

static bool is_nothing(const struct row *r, const char *at, size_t count)
{
	switch (r->type) {
	case ROW_TEXT:
		return ((const struct span *)at)->len == 0;
	case ROW_INT:
		return *(const int *)at == 0;
	case ROW_UINT32:
		return *(const uint32_t *)at == 0;
	case ROW_INT64:
		return *(const int64_t *)at == 0;
	case ROW_BOOL:
		return !*(const bool *)at;
	case ROW_STRUCT:
		for (const struct row *inner = r->rows; inner->name; inner++) {
			bool is_list = inner->type == ROW_TEXTS || inner->type == ROW_INT64S || inner->type == ROW_LIST;

			if (!is_nothing(inner, at + inner->at, is_list ? *(const size_t *)(at + inner->count_at) : 0))
				return false;
		}
		return true;
	case ROW_TEXTS:
	case ROW_INT64S:
	case ROW_LIST:
		break;
	}
	return count == 0;
}

static void write_list(struct json_writer *w, const struct row *r, const char *items, size_t count)
{
	json_open_array(w);
	for (size_t i = 0; i < count; i++) {
		const char *item = items + i * r->size;

		if (r->type == ROW_TEXTS) {
			json_string(w, *(const struct span *)item);
		} else if (r->type == ROW_INT64S) {
			json_int64(w, *(const int64_t *)item);
		} else {
			json_open_object(w);
			write_members(w, r->rows, item);
			json_close_object(w);
		}
	}
	json_close_array(w);
}

static void write_members(struct json_writer *w, const struct row *rows, const char *from)
{
	for (const struct row *r = rows; r->name; r++) {
		const char *at = from + r->at;
		size_t count = 0;

		if (r->type == ROW_TEXTS || r->type == ROW_INT64S || r->type == ROW_LIST)
			count = *(const size_t *)(from + r->count_at);
		if (is_nothing(r, at, count))
			continue;
		json_key(w, span_of(r->name));
		switch (r->type) {
		case ROW_TEXT:
			json_string(w, *(const struct span *)at);
			break;
		case ROW_INT:
			json_int64(w, *(const int *)at);
			break;
		case ROW_UINT32:
			json_int64(w, *(const uint32_t *)at);
			break;
		case ROW_INT64:
			json_int64(w, *(const int64_t *)at);
			break;
		case ROW_BOOL:
			json_bool(w, true);
			break;
		case ROW_STRUCT:
			json_open_object(w);
			write_members(w, r->rows, at);
			json_close_object(w);
			break;
		case ROW_TEXTS:
		case ROW_INT64S:
		case ROW_LIST:
			write_list(w, r, *(const char *const *)at, count);
			break;
		}
	}
}

static void write_all(const struct row *rows, const void *from, struct buffer *out)
{
	struct json_writer w = json_writer(out);

	json_open_object(&w);
	write_members(&w, rows, from);
	json_close_object(&w);
}

/* ---- reading ---- */

static bool read_members(const struct value *v, const struct row *rows, char *to, struct arena *arena,
			 struct error *err);

static bool wrong(const struct row *r, const char *expected, struct error *err)
{
	return error_set(err, ERROR_INVALID, "%s: expected %s", r->name, expected);
}

static bool read_text(const struct value *v, const struct row *r, struct span *to, struct error *err)
{
	if (v->type != VALUE_STRING || (v->string.len && memchr(v->string.ptr, 0, v->string.len)))
		return wrong(r, "a text without NUL", err);
	*to = v->string;
	return true;
}

static bool read_int(const struct value *v, const struct row *r, int64_t least, int64_t most, int64_t *to,
		     struct error *err)
{
	if (v->type != VALUE_INT || v->integer < least || v->integer > most)
		return wrong(r, "an integer in its range", err);
	*to = v->integer;
	return true;
}

static bool read_item(const struct value *v, const struct row *r, char *to, struct arena *arena, struct error *err)
{
	if (r->type == ROW_TEXTS)
		return read_text(v, r, (struct span *)to, err);
	if (r->type == ROW_INT64S)
		return read_int(v, r, INT64_MIN, INT64_MAX, (int64_t *)to, err);
	if (v->type != VALUE_OBJECT)
		return wrong(r, "objects", err);
	return read_members(v, r->rows, to, arena, err) || error_wrap(err, "%s", r->name);
}

static bool read_list(const struct value *v, const struct row *r, char *from, struct arena *arena, struct error *err)
{
	char *items;

	if (v->type != VALUE_ARRAY || v->array.count > ITEMS_MOST)
		return wrong(r, "an array", err);
	items = arena_calloc(arena, v->array.count, r->size, err);
	if (!items)
		return false;
	for (uint32_t i = 0; i < v->array.count; i++) {
		if (!read_item(value_item(v, i), r, items + i * r->size, arena, err))
			return false;
	}
	*(char **)(from + r->at) = items;
	*(size_t *)(from + r->count_at) = v->array.count;
	return true;
}

static bool read_member(const struct value *v, const struct row *r, char *from, struct arena *arena, struct error *err)
{
	char *at = from + r->at;
	int64_t i = 0;

	switch (r->type) {
	case ROW_TEXT:
		return read_text(v, r, (struct span *)at, err);
	case ROW_INT:
		if (!read_int(v, r, INT_MIN, INT_MAX, &i, err))
			return false;
		*(int *)at = (int)i;
		return true;
	case ROW_UINT32:
		if (!read_int(v, r, 0, UINT32_MAX, &i, err))
			return false;
		*(uint32_t *)at = (uint32_t)i;
		return true;
	case ROW_INT64:
		return read_int(v, r, INT64_MIN, INT64_MAX, (int64_t *)at, err);
	case ROW_BOOL:
		if (v->type != VALUE_BOOL)
			return wrong(r, "true or false", err);
		*(bool *)at = v->boolean;
		return true;
	case ROW_STRUCT:
		if (v->type != VALUE_OBJECT)
			return wrong(r, "an object", err);
		return read_members(v, r->rows, at, arena, err) || error_wrap(err, "%s", r->name);
	case ROW_TEXTS:
	case ROW_INT64S:
	case ROW_LIST:
		break;
	}
	return read_list(v, r, from, arena, err);
}

static bool read_members(const struct value *v, const struct row *rows, char *to, struct arena *arena,
			 struct error *err)
{
	for (const struct row *r = rows; r->name; r++) {
		const struct value *member = value_get(v, span_of(r->name));

		if (member && !read_member(member, r, to, arena, err))
			return false;
	}
	return true;
}

static bool read_all(struct span text, const struct row *rows, void *to, struct arena *arena, struct error *err)
{
	struct value v;

	if (!value_parse(text, NULL, arena, &v, err))
		return false;
	if (v.type != VALUE_OBJECT)
		return error_set(err, ERROR_INVALID, "a message is an object");
	return read_members(&v, rows, to, arena, err);
}

/* ---- what must hold of what was read ---- */

static bool name_check(struct span name, struct error *err)
{
	if (name.len == 0 || name.len > SUPERVISOR_NAME_MOST || name.ptr[0] == '.' || memchr(name.ptr, '/', name.len))
		return error_set(err, ERROR_INVALID, "'" SPAN_FMT "' is no name of a container", SPAN_ARG(name));
	return true;
}

static bool enums_check(int seccomp, struct error *err)
{
	if (seccomp < SECCOMP_DEFAULT || seccomp > SECCOMP_FILE)
		return error_set(err, ERROR_INVALID, "security.seccomp: %d is none", seccomp);
	return true;
}

static bool status_check(const struct container_status *s, struct error *err)
{
	if ((int)s->state < CONTAINER_CREATED || (int)s->state > CONTAINER_EXITED)
		return error_set(err, ERROR_INVALID, "container state %d is none", (int)s->state);
	return name_check(s->name, err);
}

bool request_read(struct span text, struct arena *arena, struct supervisor_request *ret, struct error *err)
{
	struct supervisor_request r = { 0 };

	if (!read_all(text, request_rows, &r, arena, err))
		return false;
	if (r.id <= 0)
		return error_set(err, ERROR_INVALID, "id: expected a positive number");
	if (r.name.len && !name_check(r.name, err))
		return false;
	if (r.container.name.len && !name_check(r.container.name, err))
		return false;
	if (!enums_check((int)r.container.security.seccomp, err))
		return false;
	*ret = r;
	return true;
}

bool reply_read(struct span text, struct arena *arena, struct supervisor_reply *ret, struct error *err)
{
	struct supervisor_reply r = { 0 };

	if (!read_all(text, reply_rows, &r, arena, err))
		return false;
	for (size_t i = 0; i < r.status.container_count; i++) {
		if (!status_check(&r.status.containers[i], err))
			return false;
	}
	*ret = r;
	return true;
}

bool sandbox_record_read(struct span text, struct arena *arena, struct sandbox_record *ret, struct error *err)
{
	struct sandbox_record r = { 0 };

	if (!read_all(text, record_rows, &r, arena, err))
		return false;
	if (r.config.uid.len == 0)
		return error_set(err, ERROR_INVALID, "config.uid is missing");
	*ret = r;
	return true;
}

bool container_record_read(struct span text, struct arena *arena, struct container_status *ret, struct error *err)
{
	struct container_status s = { 0 };

	if (!read_all(text, container_status_rows, &s, arena, err) || !status_check(&s, err))
		return false;
	*ret = s;
	return true;
}

void supervisor_request_write(const struct supervisor_request *r, struct buffer *out)
{
	write_all(request_rows, r, out);
}

void reply_write(const struct supervisor_reply *r, struct buffer *out)
{
	write_all(reply_rows, r, out);
}

void sandbox_record_write(const struct sandbox_record *r, struct buffer *out)
{
	write_all(record_rows, r, out);
}

void container_record_write(const struct container_status *s, struct buffer *out)
{
	write_all(container_status_rows, s, out);
}

bool reply_error(const struct supervisor_reply *r, struct error *ret)
{
	if (r->error_code.len == 0)
		return false;
	error_set(ret, ERROR_INTERNAL, "%.*s", (int)MIN(r->error_message.len, sizeof(ret->message)),
		  r->error_message.len ? r->error_message.ptr : "");
	for (int code = ERROR_NONE + 1; code < ERROR_COUNT; code++) {
		if (span_equal(r->error_code, span_of(error_name((enum error_code)code))))
			ret->code = (enum error_code)code;
	}
	return true;
}
