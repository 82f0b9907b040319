/* SPDX-License-Identifier: Apache-2.0 */
/* A network's file and a plugin's result: what is taken is within its bounds and is taken again. */
#include "node/cni.h"

#include <arpa/inet.h>
#include <stdint.h>
#include <stdlib.h>

#include "wire/value.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void check_list(struct span text, bool is_list)
{
	struct cni_list list;
	struct error err = { 0 };
	struct arena arena;

	arena_init(&arena, MIB(16));
	if (cni_list_read(text, is_list, &arena, &list, &err)) {
		ASSERT(list.name.len && list.name.len <= CNI_NAME_MOST && !memchr(list.name.ptr, '/', list.name.len));
		ASSERT(value_is(list.plugins, VALUE_ARRAY) && list.plugins->array.count &&
		       list.plugins->array.count <= CNI_PLUGINS_MOST);
		for (uint32_t i = 0; i < list.plugins->array.count; i++) {
			struct span type = value_find_string(value_item(list.plugins, i), "type");

			ASSERT(type.len && type.ptr[0] != '.' && !memchr(type.ptr, '/', type.len));
		}
	} else {
		ASSERT(err.code != ERROR_NONE);
	}
	arena_done(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	AUTO_FREE char *copy = base_alloc(len ? len : 1);
	char address[CNI_ADDRESS_MAX] = "";
	struct error err = { 0 };
	struct in_addr four;
	struct arena arena;
	struct value v;

	if (len)
		memcpy(copy, data, len);
	check_list(span_from(copy, len), true);
	check_list(span_from(copy, len), false);
	arena_init(&arena, MIB(16));
	if (value_parse(span_from(copy, len), NULL, &arena, &v, &err) && cni_result_read(&v, address, &err))
		ASSERT(inet_pton(AF_INET, address, &four) == 1);
	arena_done(&arena);
	return 0;
}
