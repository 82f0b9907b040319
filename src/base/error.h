/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * error - why something failed, by value, without allocation.
 *
 * Functions that can fail return bool (or a pointer) and take `struct error *err` last. Success leaves err alone;
 * failure sets it once, where most is known. Callers may add context in front with error_wrap().
 * The message tells a person what was given, what was expected, and where.
 * One table (errors.def) turns the code into every surface: HTTP, gRPC, Kubernetes.
 */
#include "base/span.h"

enum error_code {
	ERROR_NONE,
#define ERROR_ROW(name, http, grpc, reason, meaning) ERROR_##name,
#include "base/errors.def"
#undef ERROR_ROW
	ERROR_COUNT
};

struct error {
	enum error_code code;
	char message[508];
};

/* Both return false, so that one line sets and returns. */
bool error_set(struct error *err, enum error_code code, const char *format, ...)
    __attribute__((format(printf, 3, 4), cold));
bool error_wrap(struct error *err, const char *format, ...) __attribute__((format(printf, 2, 3), cold));

/* Sets INTERNAL (or NOT_FOUND, FORBIDDEN, ... by errno) with strerror's words behind the text. */
bool error_errno(struct error *err, int errnum, const char *format, ...) __attribute__((format(printf, 3, 4), cold));

int error_http(enum error_code code);           /* 400 */
int error_grpc(enum error_code code);           /* 3 */
const char *error_reason(enum error_code code); /* "BadRequest" */
const char *error_name(enum error_code code);   /* "INVALID" */
static inline struct span error_span(const struct error *err)
{
	return span_of(err->message);
}
