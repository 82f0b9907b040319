/* SPDX-License-Identifier: Apache-2.0 */
/* proxy_fields_fuzz - a pod's Location leads behind the proxy or stays as it is; lists of protocols and cookies of a client's. */
#include "node/proxy_fields.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static const struct proxy_place place = { SPAN_INIT("127.0.0.1:8001"), SPAN_INIT("127.97.0.5:80"),
						  SPAN_INIT("/api/v1/namespaces/d/pods/p/proxy") };
	struct span text = span_from(data, len), location;
	const struct header from[] = { { SPAN("cookie"), text },
				       { SPAN("sec-websocket-protocol"), text },
				       { SPAN("cookie"), text },
				       { SPAN("x-forwarded-for"), text } };
	struct header to[PROXY_FIELDS_MOST];
	struct error err = { 0 };
	struct arena arena;
	size_t count = 0;

	arena_init(&arena, MIB(4));
	location = proxy_location(&place, text, &arena);
	if (location.ptr != text.ptr &&
	    (location.len > text.len + place.prefix.len || span_index(location, '/') == location.len))
		__builtin_trap();
	if (proxy_fields_ask(from, ARRAY_LEN(from), text, text, &arena, to, &count, &err) && count > ARRAY_LEN(from))
		__builtin_trap();
	arena_done(&arena);
	return 0;
}
