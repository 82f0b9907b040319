/* SPDX-License-Identifier: Apache-2.0 */
#include "base/base.h"

#include <execinfo.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

void base_assert_failed(const char *expression, const char *file, int line)
{
	void *frames[32];

	fprintf(stderr, "hythe: assertion failed: %s (%s:%d)\n", expression, file, line);
	fflush(stderr);
	backtrace_symbols_fd(frames, backtrace(frames, (int)ARRAY_LEN(frames)), STDERR_FILENO);
	abort();
}

static void out_of_memory(size_t size) __attribute__((noreturn, cold));
static void out_of_memory(size_t size)
{
	fprintf(stderr, "hythe: out of memory: %zu bytes asked for\n", size);
	abort();
}

void *base_alloc(size_t size)
{
	void *ptr = malloc(size ? size : 1);

	if (!ptr)
		out_of_memory(size);
	return ptr;
}

void *base_calloc(size_t count, size_t size)
{
	void *ptr = calloc(count ? count : 1, size ? size : 1);

	if (!ptr)
		out_of_memory(size);
	return ptr;
}

void *base_realloc(void *ptr, size_t size)
{
	ptr = realloc(ptr, size ? size : 1);
	if (!ptr)
		out_of_memory(size);
	return ptr;
}

void base_free_pointer(void *pointer_to_pointer)
{
	void *ptr;

	memcpy(&ptr, pointer_to_pointer, sizeof(ptr));
	free(ptr);
}

void base_close_fd(const int *fd)
{
	if (*fd >= 0)
		(void)close(*fd); /* nothing can be done about a failed close of something read or already synced */
}
