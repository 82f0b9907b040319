/* SPDX-License-Identifier: Apache-2.0 */
/* table - all model formats. One row is one file; the one whose probe is surest loads the bytes. */
#include "models/table.h"

const struct model_format *const model_formats[] = {
	&format_onnx,     &format_xgboost_json, &format_xgboost_ubj,
	&format_lightgbm, &format_linear_json,  &format_linear_safetensors,
	&format_foreign,  &format_echo,         NULL,
};
