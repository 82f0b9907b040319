/* SPDX-License-Identifier: Apache-2.0 */
#include "base/number.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

/* What was scanned prints and reads back the same, and agrees with libc where that knows the form. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	const char *p = (const char *)data;
	const char *end = p + len;
	char text[NUMBER_TEXT_MAX + 1];
	struct number n;
	double d, back;
	float f, float_back;
	int64_t i;
	uint64_t u;

	if (number_scan(p, end, &n)) {
		const char *after = number_scan_double(p, end, &d);

		if (!after || after == p)
			__builtin_trap();
		if (n.kind == NUMBER_DOUBLE && memcmp(&n.d, &d, sizeof(d)) != 0)
			__builtin_trap();
		if (len < 1000) {
			char copy[1001];

			memcpy(copy, p, (size_t)(after - p));
			copy[after - p] = 0;
			back = strtod(copy, NULL);
			if (memcmp(&back, &d, sizeof(d)) != 0)
				__builtin_trap();
		}
	}
	if (number_scan_lenient(p, end, &d) && d == d) {
		char *text_end = number_print_double(text, d);

		if (text_end - text > NUMBER_TEXT_MAX || number_scan_lenient(text, text_end, &back) != text_end ||
		    memcmp(&back, &d, sizeof(d)) != 0)
			__builtin_trap();
	}
	if (number_scan_float(p, end, &f) && f == f) {
		char *text_end = number_print_float(text, f);

		if (number_scan_float(text, text_end, &float_back) != text_end ||
		    memcmp(&float_back, &f, sizeof(f)) != 0)
			__builtin_trap();
	}
	if (number_parse_int64(span_from(p, len), &i)) {
		int64_t again;

		if (!number_parse_int64(span_from(text, (size_t)(number_print_int64(text, i) - text)), &again) ||
		    again != i)
			__builtin_trap();
	}
	(void)number_parse_uint64(span_from(p, len), &u);
	return 0;
}
