/* SPDX-License-Identifier: Apache-2.0 */
#include "base/base.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

static const struct {
	int http, grpc;
	const char *reason, *name;
} rows[ERROR_COUNT] = {
	[ERROR_NONE] = { 200, 0, "", "NONE" },
#define ERROR_ROW(code, http, grpc, reason, meaning) [ERROR_##code] = { http, grpc, reason, #code },
#include "base/errors.def"
#undef ERROR_ROW
};

/* A message cut inside a UTF-8 sequence would make the answer invalid: drop the torn tail. */
static void end_at_character(char *text)
{
	size_t len = strlen(text);
	size_t start = len;

	while (start > 0 && len - start < 3 && ((unsigned char)text[start - 1] & 0xC0) == 0x80)
		start--;
	if (start > 0 && (unsigned char)text[start - 1] >= 0xC0 &&
	    !span_is_utf8(span_from(text + start - 1, len - start + 1)))
		text[start - 1] = 0;
}

/* The names stand in brackets for tools/lint.h, where they are macros too. */
bool(error_set)(struct error *err, enum error_code code, const char *format, ...)
{
	va_list args;

	err->code = code;
	va_start(args, format);
	vsnprintf(err->message, sizeof(err->message), format, args);
	va_end(args);
	end_at_character(err->message);
	return false;
}

bool(error_wrap)(struct error *err, const char *format, ...)
{
	struct error old = *err;
	size_t len, more;
	va_list args;

	va_start(args, format);
	vsnprintf(err->message, sizeof(err->message), format, args);
	va_end(args);
	len = strlen(err->message);
	if (len + 3 < sizeof(err->message)) {
		memcpy(err->message + len, ": ", 2);
		more = strnlen(old.message, sizeof(err->message) - len - 3); /* the end of a long message is cut */
		memcpy(err->message + len + 2, old.message, more);
		err->message[len + 2 + more] = 0;
	}
	end_at_character(err->message);
	return false;
}

bool(error_errno)(struct error *err, int errnum, const char *format, ...)
{
	char reason[128];
	va_list args;
	int len;

	err->code = errnum == ENOENT || errnum == ENOTDIR         ? ERROR_NOT_FOUND
		    : errnum == EACCES || errnum == EPERM         ? ERROR_FORBIDDEN
		    : errnum == EADDRINUSE || errnum == EEXIST    ? ERROR_ALREADY_EXISTS
		    : errnum == EISDIR || errnum == EADDRNOTAVAIL ? ERROR_INVALID
								  : ERROR_INTERNAL;
	va_start(args, format);
	len = vsnprintf(err->message, sizeof(err->message), format, args);
	va_end(args);
	if (len >= 0 && (size_t)len < sizeof(err->message))
		snprintf(err->message + len, sizeof(err->message) - (size_t)len, ": %s",
			 strerror_r(errnum, reason, sizeof(reason)));
	end_at_character(err->message);
	return false;
}

int error_http(enum error_code code)
{
	return rows[code].http;
}

int error_grpc(enum error_code code)
{
	return rows[code].grpc;
}

const char *error_reason(enum error_code code)
{
	return rows[code].reason;
}

const char *error_name(enum error_code code)
{
	return rows[code].name;
}
