/* SPDX-License-Identifier: Apache-2.0 */
#include <stdint.h>

#include "model_fuzz.h"
#include "models/table.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	fuzz_model(&format_linear_json, data, len);
	return 0;
}
