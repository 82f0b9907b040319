/* SPDX-License-Identifier: Apache-2.0 */
#include "kube/kubeconfig.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

/* Files that it names are not read. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct kubeconfig config;
	struct error err = { 0 };
	struct arena arena;

	arena_init(&arena, MIB(16));
	if (kubeconfig_parse(span_from(data, len), "/nowhere", &arena, &config, &err)) {
		if (!config.server.len || !config.context.len)
			__builtin_trap();
	} else if (err.code == ERROR_NONE) {
		__builtin_trap();
	}
	arena_done(&arena);
	return 0;
}
