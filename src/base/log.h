/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * log - one line per event: time, level, module, message, then key=value pairs (or the same as a JSON object).
 *
 * Library code of low rooms never logs an error: it returns it. The one who stops passing it on logs it, once.
 * Threads: any; a line is written with one write(2) to stderr.
 *
 *	log_info("serve", "model loaded", LOG_TEXT("model", name), LOG_INT("rows", n));
 */
#include "base/span.h"

enum log_level { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG };
enum log_format { LOG_AS_TEXT, LOG_AS_JSON };

struct log_field {
	const char *key;
	enum { LOG_FIELD_TEXT, LOG_FIELD_INT, LOG_FIELD_DOUBLE } type;
	struct span text;
	int64_t integer;
	double real;
};

#define LOG_SPAN(k, s)   ((struct log_field){ .key = (k), .type = LOG_FIELD_TEXT, .text = (s) })
#define LOG_TEXT(k, s)   LOG_SPAN(k, span_of(s))
#define LOG_INT(k, i)    ((struct log_field){ .key = (k), .type = LOG_FIELD_INT, .integer = (int64_t)(i) })
#define LOG_DOUBLE(k, d) ((struct log_field){ .key = (k), .type = LOG_FIELD_DOUBLE, .real = (d) })

/* Process-wide, set once at start before threads exist. */
void log_setup(enum log_level least, enum log_format format);
bool log_is_on(enum log_level level);
bool log_is_json(void);

void log_line(enum log_level level, const char *module, const char *message, size_t count,
	      const struct log_field *fields);

#define LOG_AT_(level, module, message, ...)                                                                           \
	do {                                                                                                           \
		if (log_is_on(level)) {                                                                                \
			const struct log_field log_fields_[] = { { .key = NULL }, ##__VA_ARGS__ };                     \
			log_line(level, module, message, ARRAY_LEN(log_fields_) - 1, log_fields_ + 1);                 \
		}                                                                                                      \
	} while (0)
#define log_error(module, message, ...) LOG_AT_(LOG_ERROR, module, message, ##__VA_ARGS__)
#define log_warn(module, message, ...)  LOG_AT_(LOG_WARN, module, message, ##__VA_ARGS__)
#define log_info(module, message, ...)  LOG_AT_(LOG_INFO, module, message, ##__VA_ARGS__)
#define log_debug(module, message, ...) LOG_AT_(LOG_DEBUG, module, message, ##__VA_ARGS__)
