/* SPDX-License-Identifier: Apache-2.0 */
/* config - ConfigMap, Secret and ServiceAccount of core/v1. */
#include "kube/kinds/kinds.h"

#include "kube/auth/auth.h"
#include "kube/go_words.h"

#include "wire/base64.h"

#define DATA_BYTES_MAX MIB(1)

static size_t bytes_of_base64(struct span s)
{
	size_t bytes = s.len / 4 * 3;

	while (s.len && s.ptr[s.len - 1] == '=' && bytes) {
		s.len--;
		bytes--;
	}
	return bytes;
}

/* ---- ConfigMap ---- */

static const char *const IMMUTABLE_WORDS = "field is immutable when `immutable` is set";

/* An object that was declared immutable stays so, and its data too. */
static void check_frozen(struct change *c, const char *const *members)
{
	if (!c->old || !get_bool(c->old, "immutable"))
		return;
	if (!get_bool(c->object, "immutable"))
		fault_forbidden(c, AT(NULL, "immutable"), IMMUTABLE_WORDS);
	for (; *members; members++) {
		if (!is_same(get(c->old, *members), get(c->object, *members)))
			fault_forbidden(c, AT(NULL, *members), IMMUTABLE_WORDS);
	}
}

static void config_map_validate(struct change *c)
{
	static const char *const members[] = { "data", "binaryData", NULL };
	const struct value *data = get(c->object, "data"), *binary = get(c->object, "binaryData");
	size_t bytes = 0;

	check_metadata(c, name_check_subdomain);
	check_frozen(c, members);
	for (uint32_t i = 0; i < count_of(data); i++) {
		const struct value_member *m = &data->object.members[i];
		const struct at *at = AT_KEY(AT(NULL, "data"), m->key);
		struct value key = value_string(m->key);

		check_name(c, at, &key, name_check_config_key);
		if (value_get(binary, m->key))
			fault_invalid_text(c, at, m->key, "duplicate of key present in binaryData");
		bytes += text_of(&m->value).len;
	}
	for (uint32_t i = 0; i < count_of(binary); i++) {
		const struct value_member *m = &binary->object.members[i];
		struct value key = value_string(m->key);

		check_name(c, AT_KEY(AT(NULL, "binaryData"), m->key), &key, name_check_config_key);
		bytes += bytes_of_base64(text_of(&m->value));
	}
	if (bytes > DATA_BYTES_MAX)
		fault_too_long(c, AT(NULL, "[]"), DATA_BYTES_MAX); /* as the real server names no field */
}

static void config_map_row(const struct value *o, int64_t now_ns, struct value *cells, struct arena *arena)
{
	cells[0] = cell_name(o);
	cells[1] = value_int((int64_t)count_of(get(o, "data")) + count_of(get(o, "binaryData")));
	cells[2] = cell_age(o, now_ns, arena);
}

static const struct column config_map_columns[] = {
	COLUMN_NAME,
	COLUMN("Data", "string", "How many keys it holds."),
	COLUMN_AGE,
	{ 0 },
};
static const char *const config_map_short[] = { "cm", NULL };

const struct kind kind_config_map = {
	.version = "v1",
	.group = "",
	.plural = "configmaps",
	.singular = "configmap",
	.kind = "ConfigMap",
	.short_names = config_map_short,
	.is_namespaced = true,
	.verbs = KUBE_ALL_VERBS,
	.type_name = "io.k8s.api.core.v1.ConfigMap",
	.columns = config_map_columns,
	.defaults = shape,
	.prepare = shape,
	.validate = config_map_validate,
	.row = config_map_row,
};

/* ---- Secret ---- */

/* stringData is a way to write only: it goes into data. */
static void take_string_data(struct change *c)
{
	const struct value *texts = get(c->object, "stringData");
	struct span encoded;
	struct buffer out;
	struct value *data;

	if (!count_of(texts)) {
		drop(c->object, "stringData");
		return;
	}
	data = ensure(c, c->object, "data");
	buffer_init(&out, SIZE_MAX / 2); /* the request has a limit already */
	for (uint32_t i = 0; data && i < count_of(texts); i++) {
		const struct value_member *m = &texts->object.members[i];

		base64_write(&out, text_of(&m->value));
		encoded = arena_copy(c->arena, buffer_span(&out), c->err);
		if (encoded.ptr)
			(void)value_set(data, m->key, value_string(encoded), c->arena, c->err);
		buffer_clear(&out);
	}
	buffer_done(&out);
	drop(c->object, "stringData");
}

static void secret_defaults(struct change *c)
{
	take_string_data(c);
	shape(c);
	if (c->old && value_is_empty(get(c->object, "type")))
		carry(c, c->object, c->old, "type");
	default_text(c, c->object, "type", "Opaque");
}

static const char *go_fault(struct change *c, struct span text)
{
	char words[GO_WORDS_SIZE] = "unexpected end of JSON input";

	(void)go_json_fault(text, words);
	return detail_print(c, "%s", words);
}

static void check_docker_config(struct change *c, const struct at *at, const struct value *data, const char *key)
{
	const struct value *v = get(data, key);
	const struct at *here = AT_KEY(at, span_of(key));
	struct error err = { 0 };
	struct value tree;
	struct span text;

	if (!v) {
		fault_required(c, here, "");
		return;
	}
	if (!base64_read(text_of(v), c->arena, &text, &err) || text.len == 0)
		fault_invalid_text(c, here, SPAN("<secret contents redacted>"), "unexpected end of JSON input");
	else if (!value_parse(text, NULL, c->arena, &tree, &err) || tree.type != VALUE_OBJECT)
		fault_invalid_text(c, here, SPAN("<secret contents redacted>"),
				   err.code
				       ? go_fault(c, text)
				       : "json: cannot unmarshal value into Go value of type map[string]interface {}");
}

static void check_secret_type(struct change *c, const struct at *at, const struct value *data)
{
	const struct value *type = get(c->object, "type"),
			   *annotations = get(get(c->object, "metadata"), "annotations");

	if (is_text(type, "kubernetes.io/service-account-token")) {
		if (get_text(annotations, "kubernetes.io/service-account.name").len == 0)
			fault_required(
			    c,
			    AT_KEY(AT(AT(NULL, "metadata"), "annotations"), SPAN("kubernetes.io/service-account.name")),
			    "");
	} else if (is_text(type, "kubernetes.io/dockercfg")) {
		check_docker_config(c, at, data, ".dockercfg");
	} else if (is_text(type, "kubernetes.io/dockerconfigjson")) {
		check_docker_config(c, at, data, ".dockerconfigjson");
	} else if (is_text(type, "kubernetes.io/basic-auth")) {
		if (!get(data, "username") && !get(data, "password")) {
			fault_required(c, AT_KEY(at, SPAN("username")), "");
			fault_required(c, AT_KEY(at, SPAN("password")), "");
		}
	} else if (is_text(type, "kubernetes.io/ssh-auth")) {
		if (get_text(data, "ssh-privatekey").len == 0)
			fault_required(c, AT_KEY(at, SPAN("ssh-privatekey")), "");
	} else if (is_text(type, "kubernetes.io/tls")) {
		if (!get(data, "tls.crt"))
			fault_required(c, AT_KEY(at, SPAN("tls.crt")), "");
		if (!get(data, "tls.key"))
			fault_required(c, AT_KEY(at, SPAN("tls.key")), "");
	}
}

static void secret_validate(struct change *c)
{
	static const char *const members[] = { "data", NULL };
	const struct value *data = get(c->object, "data");
	const struct at *at = AT(NULL, "data");
	size_t bytes = 0;

	check_metadata(c, name_check_subdomain);
	if (c->old)
		check_same(c, AT(NULL, "type"), get(c->old, "type"), get(c->object, "type"));
	check_frozen(c, members);
	for (uint32_t i = 0; i < count_of(data); i++) {
		const struct value_member *m = &data->object.members[i];
		struct value key = value_string(m->key);

		check_name(c, AT_KEY(at, m->key), &key, name_check_config_key);
		bytes += bytes_of_base64(text_of(&m->value));
	}
	if (bytes > DATA_BYTES_MAX)
		fault_too_long(c, at, DATA_BYTES_MAX);
	check_secret_type(c, at, data);
}

static void secret_row(const struct value *o, int64_t now_ns, struct value *cells, struct arena *arena)
{
	cells[0] = cell_name(o);
	cells[1] = cell_text(get_text(o, "type"));
	cells[2] = value_int(count_of(get(o, "data")));
	cells[3] = cell_age(o, now_ns, arena);
}

static const struct column secret_columns[] = {
	COLUMN_NAME,
	COLUMN("Type", "string", "What the data is for."),
	COLUMN("Data", "string", "How many keys it holds."),
	COLUMN_AGE,
	{ 0 },
};
static const struct selectable secret_fields[] = { { "type", NULL, NULL }, { 0 } };

const struct kind kind_secret = {
	.group = "",
	.version = "v1",
	.plural = "secrets",
	.singular = "secret",
	.kind = "Secret",
	.is_namespaced = true,
	.verbs = KUBE_ALL_VERBS,
	.type_name = "io.k8s.api.core.v1.Secret",
	.selectable = secret_fields,
	.columns = secret_columns,
	.defaults = secret_defaults,
	.prepare = shape,
	.validate = secret_validate,
	.row = secret_row,
};

/* ---- ServiceAccount ---- */

static void service_account_validate(struct change *c)
{
	check_metadata(c, name_check_subdomain);
}

static void service_account_row(const struct value *o, int64_t now_ns, struct value *cells, struct arena *arena)
{
	cells[0] = cell_name(o);
	cells[1] = value_int(count_of(get(o, "secrets")));
	cells[2] = cell_age(o, now_ns, arena);
}

static const struct column service_account_columns[] = {
	COLUMN_NAME,
	COLUMN("Secrets", "string", "How many secrets it may use."),
	COLUMN_AGE,
	{ 0 },
};
static const char *const service_account_short[] = { "sa", NULL };

const struct kind kind_service_account = {
	.group = "",
	.version = "v1",
	.plural = "serviceaccounts",
	.singular = "serviceaccount",
	.kind = "ServiceAccount",
	.short_names = service_account_short,
	.is_namespaced = true,
	.verbs = KUBE_ALL_VERBS,
	.others = service_account_others,
	.type_name = "io.k8s.api.core.v1.ServiceAccount",
	.columns = service_account_columns,
	.defaults = shape,
	.prepare = shape,
	.validate = service_account_validate,
	.row = service_account_row,
};
