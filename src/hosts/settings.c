/* SPDX-License-Identifier: Apache-2.0 */
/* settings - what a host may be told by name: the limits of net/limits.def, and switches of `hythe serve`. */
#include <stdio.h>

#include "base/log.h"
#include "base/number.h"
#include "base/units.h"
#include "hosts/host_private.h"

struct setting {
	const char *name;
	/* Stores the value at `place`, which lies `offset` bytes into struct server_config. */
	bool (*read)(struct hythe_host *h, struct span value, void *place, struct error *err);
	size_t offset;
};

static bool read_size(struct hythe_host *h, struct span value, void *place, struct error *err)
{
	(void)h;
	return size_parse(value, place, err);
}

static bool read_duration(struct hythe_host *h, struct span value, void *place, struct error *err)
{
	(void)h;
	return duration_parse(value, place, err);
}

static bool read_text(struct hythe_host *h, struct span value, void *place, struct error *err)
{
	struct span copy = arena_copy(&h->arena, value, err);

	if (!copy.ptr)
		return false;
	*(const char **)place = copy.ptr;
	return true;
}

static bool read_switch(struct hythe_host *h, struct span value, void *place, struct error *err)
{
	static const char *const words[] = { "false", "true", "no", "yes", "off", "on", "0", "1" };

	(void)h;
	for (size_t i = 0; i < ARRAY_LEN(words); i++) {
		if (span_equal_ignore_case(value, span_of(words[i]))) {
			*(bool *)place = i % 2 == 1;
			return true;
		}
	}
	return error_set(err, ERROR_INVALID, "'" SPAN_FMT "' is neither true nor false", SPAN_ARG(value));
}

/* The index of `value` among `words`. */
static bool choose(struct span value, const char *const *words, size_t count, unsigned *ret, struct error *err)
{
	char all[128] = "";
	size_t len = 0;

	for (size_t i = 0; i < count; i++) {
		if (span_equal(value, span_of(words[i]))) {
			*ret = (unsigned)i;
			return true;
		}
		len += (size_t)snprintf(all + len, sizeof(all) - len, "%s%s", i ? ", " : "", words[i]);
	}
	return error_set(err, ERROR_INVALID, "'" SPAN_FMT "' is none of %s", SPAN_ARG(value), all);
}

static bool read_access_log(struct hythe_host *h, struct span value, void *place, struct error *err)
{
	static const char *const words[] = { "off", "text", "json" };
	unsigned i = 0;

	(void)h;
	if (!choose(value, words, ARRAY_LEN(words), &i, err))
		return false;
	*(enum access_log *)place = (enum access_log)i;
	return true;
}

static bool read_log_level(struct hythe_host *h, struct span value, void *place, struct error *err)
{
	static const char *const words[] = { "error", "warn", "info", "debug" };
	unsigned i = 0;

	(void)place;
	if (!choose(value, words, ARRAY_LEN(words), &i, err))
		return false;
	h->log_level = (enum log_level)i;
	h->has_log = true;
	return true;
}

static bool read_log_format(struct hythe_host *h, struct span value, void *place, struct error *err)
{
	static const char *const words[] = { "text", "json" };
	unsigned i = 0;

	(void)place;
	if (!choose(value, words, ARRAY_LEN(words), &i, err))
		return false;
	h->log_format = (enum log_format)i;
	h->has_log = true;
	return true;
}

#define read_size_t  read_size
#define read_int64_t read_duration
static const struct setting settings[] = {
#define LIMIT_ROW(member, type, value, flag, unit, help)                                                               \
	{ flag, read_##type, offsetof(struct server_config, limits.member) },
#include "net/limits.def"
#undef LIMIT_ROW
	{ "compression", read_switch, offsetof(struct server_config, compression) },
	{ "compression-least", read_size, offsetof(struct server_config, compression_least) },
	{ "cors-origin", read_text, offsetof(struct server_config, cors_origin) },
	{ "server-name", read_text, offsetof(struct server_config, server_name) },
	{ "tls-cert", read_text, offsetof(struct server_config, tls_certificate) },
	{ "tls-key", read_text, offsetof(struct server_config, tls_key) },
	{ "tls-client-ca", read_text, offsetof(struct server_config, tls_client_ca) },
	{ "access-log", read_access_log, offsetof(struct server_config, access_log) },
	{ "log-level", read_log_level, 0 },
	{ "log-format", read_log_format, 0 },
};

bool host_setting(struct hythe_host *h, const char *name, const char *value, struct error *err)
{
	for (size_t i = 0; i < ARRAY_LEN(settings); i++) {
		const struct setting *s = &settings[i];

		if (strcmp(s->name, name) != 0)
			continue;
		if (!s->read(h, span_of(value), (char *)&h->config + s->offset, err))
			return error_wrap(err, "setting %s", name);
		return true;
	}
	return error_set(err, ERROR_INVALID, "there is no setting '%s'", name);
}
