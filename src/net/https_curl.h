/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * https_curl - libcurl's functions, from a library that is opened when it is first needed: it brings two dozen others with it, which
 * would cost each start 10 ms and each process 4 MB, and most servers never call anybody.
 *
 * Threads: any.
 * Errors:  UNIMPLEMENTED when the library is not on this machine.
 */
#define CURL_DISABLE_TYPECHECK
#include "base/base.h"

#include <curl/curl.h>

#undef curl_easy_getinfo
#undef curl_easy_setopt
#undef curl_multi_setopt

#define CURL_FUNCTIONS(row)                                                                                            \
	row(easy_cleanup) row(easy_getinfo) row(easy_init) row(easy_perform) row(easy_setopt) row(easy_strerror)       \
	    row(global_init) row(multi_add_handle) row(multi_assign) row(multi_cleanup) row(multi_info_read)           \
		row(multi_init) row(multi_remove_handle) row(multi_setopt) row(multi_socket_action) row(slist_append)  \
		    row(slist_free_all)

struct curl_functions {
#define CURL_MEMBER(name) __typeof__(curl_##name) *name;
	CURL_FUNCTIONS(CURL_MEMBER)
#undef CURL_MEMBER
};

extern struct curl_functions curl; /* after curl_open() */
bool curl_open(struct error *err) MUST_CHECK;
