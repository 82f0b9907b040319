/* SPDX-License-Identifier: Apache-2.0 */
#include "kube/kubeconfig.h"

#include "wire/base64.h"
#include "wire/yaml.h"

/* ---- finding ---- */

/* Of the rows { name: x, <member>: {...} } of a list, what the one with this name has. */
static const struct value *named(const struct value *config, const char *list, struct span name, const char *member)
{
	const struct value *rows = value_get(config, span_of(list));

	for (uint32_t i = 0; i < value_count(rows); i++)
		if (span_equal(value_find_string(value_item(rows, i), "name"), name))
			return value_get(value_item(rows, i), span_of(member));
	return NULL;
}

static const struct value *part_find(const struct value *config, const char *list, struct span name, const char *member,
				     struct error *err)
{
	const struct value *found = named(config, list, name, member);

	if (value_is(found, VALUE_OBJECT))
		return found;
	error_set(err, ERROR_INVALID, "%s has no '" SPAN_FMT "' with a %s", list, SPAN_ARG(name), member);
	return NULL;
}

/* ---- parts ---- */

static bool path_read(const struct value *part, const char *member, const char *folder, struct arena *arena,
		      const char **ret, struct error *err)
{
	struct span path = value_find_string(part, member);

	if (!path.len)
		return true;
	if (memchr(path.ptr, '\0', path.len))
		return error_set(err, ERROR_INVALID, "%s is no path", member);
	if (path.ptr[0] == '/')
		*ret = arena_copy(arena, path, err).ptr;
	else
		*ret = arena_print(arena, err, "%s/%.*s", folder, (int)MIN(path.len, KIB(4)), path.ptr).ptr;
	return *ret != NULL;
}

/* "<member>-data" is base64 of the content; it comes before the path. */
static bool content_read(const struct value *part, const char *member, const char *folder, struct arena *arena,
			 struct span *ret, const char **ret_path, struct error *err)
{
	struct span name = arena_print(arena, err, "%s-data", member);
	const struct value *data = name.ptr ? value_get(part, name) : NULL;

	if (!name.ptr)
		return false;
	if (!value_is(data, VALUE_STRING) || !data->string.len)
		return path_read(part, member, folder, arena, ret_path, err);
	return base64_read(data->string, arena, ret, err) || error_wrap(err, "%s-data", member);
}

static bool cluster_read(const struct value *cluster, const char *folder, struct arena *arena, struct kubeconfig *c,
			 struct error *err)
{
	c->server = value_find_string(cluster, "server");
	while (c->server.len && c->server.ptr[c->server.len - 1] == '/')
		c->server.len--;
	if (!span_starts(c->server, SPAN("https://")) && !span_starts(c->server, SPAN("http://")))
		return error_set(err, ERROR_INVALID, "server is '" SPAN_FMT "', expected https://HOST:PORT",
				 SPAN_ARG(c->server));
	if (value_find_string(cluster, "proxy-url").len)
		return error_set(err, ERROR_UNIMPLEMENTED, "proxy-url is not supported");
	c->server_name = value_find_string(cluster, "tls-server-name");
	c->is_insecure = value_find_bool(cluster, "insecure-skip-tls-verify");
	return content_read(cluster, "certificate-authority", folder, arena, &c->ca_pem, &c->ca_file, err);
}

static bool user_read(const struct value *user, const char *folder, struct arena *arena, struct kubeconfig *c,
		      struct error *err)
{
	static const char *const unsupported[] = { "exec", "auth-provider", "username", "as" };

	for (size_t i = 0; i < ARRAY_LEN(unsupported); i++)
		if (!value_is_empty(value_get(user, span_of(unsupported[i]))))
			return error_set(err, ERROR_UNIMPLEMENTED,
					 "%s is not supported: use a client certificate, token or tokenFile",
					 unsupported[i]);
	c->token = value_find_string(user, "token");
	if (!c->token.len && !path_read(user, "tokenFile", folder, arena, &c->token_file, err))
		return false;
	if (!content_read(user, "client-certificate", folder, arena, &c->certificate_pem, &c->certificate_file, err) ||
	    !content_read(user, "client-key", folder, arena, &c->key_pem, &c->key_file, err))
		return false;
	if ((c->certificate_pem.len || c->certificate_file) != (c->key_pem.len || c->key_file))
		return error_set(err, ERROR_INVALID, "client-certificate and client-key go together");
	return true;
}

bool kubeconfig_parse(struct span text, const char *folder, struct arena *arena, struct kubeconfig *ret,
		      struct error *err)
{
	struct kubeconfig c = { 0 };
	const struct value *context, *cluster, *user;
	struct value config;

	if (!yaml_parse(text, NULL, arena, &config, err))
		return false;
	c.context = value_find_string(&config, "current-context");
	if (!c.context.len)
		return error_set(err, ERROR_INVALID, "it has no current-context");
	context = part_find(&config, "contexts", c.context, "context", err);
	if (!context)
		return false;
	c.cluster = value_find_string(context, "cluster");
	c.user = value_find_string(context, "user");
	cluster = part_find(&config, "clusters", c.cluster, "cluster", err);
	if (!cluster)
		return false;
	if (!cluster_read(cluster, folder, arena, &c, err))
		return error_wrap(err, "cluster '" SPAN_FMT "'", SPAN_ARG(c.cluster));
	/* Nobody in particular may ask as well, where the server allows it. */
	user = c.user.len ? part_find(&config, "users", c.user, "user", err) : NULL;
	if (c.user.len && !user)
		return false;
	if (user && !user_read(user, folder, arena, &c, err))
		return error_wrap(err, "user '" SPAN_FMT "'", SPAN_ARG(c.user));
	*ret = c;
	return true;
}

/* ---- files ---- */

static struct span file_read(const char *path, struct arena *arena, struct error *err)
{
	struct span text = { 0 };
	struct buffer content;

	buffer_init(&content, KUBECONFIG_MOST);
	if (buffer_read_file(&content, path, err))
		text = arena_copy(arena, buffer_span(&content), err);
	buffer_done(&content);
	return text;
}

static bool named_read(const char *path, struct arena *arena, struct span *ret, struct error *err)
{
	if (path)
		*ret = file_read(path, arena, err);
	return !path || ret->ptr;
}

struct span kubeconfig_token(const char *path, struct arena *arena, struct error *err)
{
	struct span text = span_trim(file_read(path, arena, err));

	if (text.ptr && !text.len)
		error_set(err, ERROR_INVALID, "'%s' is empty", path);
	return text;
}

bool kubeconfig_read(const char *path, struct arena *arena, struct kubeconfig *ret, struct error *err)
{
	const char *slash = strrchr(path, '/');
	struct span folder = slash ? span_from(path, (size_t)(slash - path)) : SPAN(".");
	struct span text = file_read(path, arena, err);
	struct kubeconfig c;

	folder = text.ptr ? arena_copy(arena, folder, err) : folder;
	if (!text.ptr || !folder.ptr)
		return false;
	if (!kubeconfig_parse(text, folder.ptr, arena, &c, err) || !named_read(c.ca_file, arena, &c.ca_pem, err) ||
	    !named_read(c.certificate_file, arena, &c.certificate_pem, err) ||
	    !named_read(c.key_file, arena, &c.key_pem, err))
		return error_wrap(err, "kubeconfig '%s'", path);
	if (c.token_file) {
		c.token = kubeconfig_token(c.token_file, arena, err);
		if (!c.token.len)
			return error_wrap(err, "kubeconfig '%s'", path);
	}
	*ret = c;
	return true;
}
