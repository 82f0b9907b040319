/* SPDX-License-Identifier: Apache-2.0 */
/* dockerfile_fuzz - Dockerfiles and files of variables: paths that come out are absolute and plain, values have no zero bytes. */
#include <stdint.h>

#include "node/dockerfile.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void check_path(struct span path)
{
	struct span rest = path;

	if (!path.len)
		return;
	if (path.ptr[0] != '/' || memchr(path.ptr, '\0', path.len))
		__builtin_trap();
	rest = span_skip(rest, 1);
	while (rest.len) {
		struct span part = span_cut(&rest, '/');

		if (!part.len || span_equal(part, SPAN(".")) || span_equal(part, SPAN("..")))
			__builtin_trap();
	}
}

static void check(const struct dockerfile *d)
{
	check_path(d->working_directory);
	check_path(d->place);
	for (size_t i = 0; i < d->environment_count; i++)
		if (!d->environment[i].name.len ||
		    (d->environment[i].value.len &&
		     memchr(d->environment[i].value.ptr, '\0', d->environment[i].value.len)) ||
		    d->environment[i].value.len > DOCKERFILE_VALUE_MOST)
			__builtin_trap();
	for (size_t i = 0; i < d->command.count; i++)
		if (d->command.items[i].len && memchr(d->command.items[i].ptr, '\0', d->command.items[i].len))
			__builtin_trap();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static const struct name_value base[] = { { SPAN_INIT("PATH"), SPAN_INIT("/bin") } };
	struct dockerfile d = { 0 };
	struct error err = { 0 };
	struct arena arena;

	arena_init(&arena, MIB(256));
	if (dockerfile_read(span_from(data, len), base, ARRAY_LEN(base), &arena, &d, &err))
		check(&d);
	else if (!err.code)
		__builtin_trap();
	err = (struct error){ 0 };
	d = (struct dockerfile){ 0 };
	if (len < KIB(64) && !dockerfile_environment_read(span_from(data, len), &arena, &d, &err) && !err.code)
		__builtin_trap();
	arena_done(&arena);
	return 0;
}
