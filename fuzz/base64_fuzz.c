/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/base64.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

/* What decodes encodes to the same digits, but for the alphabet and the padding. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct error err = { 0 };
	struct buffer text;
	struct arena arena;
	struct span bytes;

	arena_init(&arena, MIB(16));
	buffer_init(&text, MIB(16));
	if (base64_read(span_from(data, len), &arena, &bytes, &err)) {
		base64_write(&text, bytes);
		for (size_t i = 0; i < text.len; i++) {
			char given = i < len ? (char)data[i] : '=';

			given = (char)(given == '-' ? '+' : given == '_' ? '/' : given);
			if (text.ptr[i] != given)
				__builtin_trap();
		}
	} else if (err.code == ERROR_NONE) {
		__builtin_trap();
	}
	buffer_done(&text);
	arena_done(&arena);
	return 0;
}
