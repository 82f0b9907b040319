/* SPDX-License-Identifier: Apache-2.0 */
#include "net/https_curl.h"

#include <dlfcn.h>
#include <pthread.h>

struct curl_functions curl;

static pthread_once_t once = PTHREAD_ONCE_INIT;
static struct error failure; /* written by open_once() only */

static void open_once(void)
{
	static const char *const names[] = { "libcurl.so.4", "libcurl.so" };
	static const struct {
		const char *name;
		size_t offset;
	} rows[] = {
#define CURL_ROW(name) { "curl_" #name, offsetof(struct curl_functions, name) },
		CURL_FUNCTIONS(CURL_ROW)
#undef CURL_ROW
	};
	void *library = NULL;

	for (size_t i = 0; i < ARRAY_LEN(names) && !library; i++)
		library = dlopen(names[i], RTLD_NOW | RTLD_LOCAL); /* for good: its threads and handlers outlive us */
	if (!library) {
		error_set(&failure, ERROR_UNIMPLEMENTED, "calls to other servers need libcurl: %s", dlerror());
		return;
	}
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		void *function = dlsym(library, rows[i].name);

		if (!function) {
			error_set(&failure, ERROR_UNIMPLEMENTED, "libcurl has no %s", rows[i].name);
			return;
		}
		memcpy((char *)&curl + rows[i].offset, &function, sizeof(function));
	}
	(void)curl.global_init(CURL_GLOBAL_DEFAULT);
}

bool curl_open(struct error *err)
{
	(void)pthread_once(&once, open_once);
	if (failure.code != ERROR_NONE)
		*err = failure;
	return failure.code == ERROR_NONE;
}
