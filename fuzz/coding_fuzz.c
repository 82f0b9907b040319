/* SPDX-License-Identifier: Apache-2.0 */
/* coding_fuzz - compressed bodies, and the headers that name codings. The first byte chooses. */
#include "net/coding.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static struct buffer out, packed;
	enum coding list[CODING_LIST_MAX];
	struct error err = { 0 };
	struct span in;
	size_t count;

	if (len == 0)
		return 0;
	in = span_from(data + 1, len - 1);
	out.limit = packed.limit = KIB(256);
	buffer_clear(&out);
	buffer_clear(&packed);
	if (data[0] % 8 < 4) {
		if (coding_decode((enum coding)(data[0] % 4), in, &out, "--limit", &err)) {
			if (out.len > out.limit)
				__builtin_trap();
		} else if (err.code != ERROR_INVALID && err.code != ERROR_TOO_LARGE) {
			__builtin_trap();
		}
	} else if (data[0] % 8 < 6) {
		enum coding c = data[0] % 2 ? CODING_GZIP : CODING_ZSTD;

		if (coding_encode(c, in, &packed) && (!coding_decode(c, buffer_span(&packed), &out, "--limit", &err) ||
						      !span_equal(buffer_span(&out), in)))
			__builtin_trap();
	} else {
		(void)coding_choose(in);
		(void)coding_list_has(in, CODING_GZIP);
		if (coding_list_parse(in, list, &count, &err) && count > CODING_LIST_MAX)
			__builtin_trap();
	}
	return 0;
}
