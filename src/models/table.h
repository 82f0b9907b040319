/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* table - the formats of this room. A format without a probe is builtin: found by name only ("builtin:echo"). */
#include "models/model.h"

extern const struct model_format format_xgboost_json;       /* xgboost.c */
extern const struct model_format format_xgboost_ubj;        /* xgboost.c */
extern const struct model_format format_lightgbm;           /* lightgbm.c */
extern const struct model_format format_onnx;               /* onnx.c */
extern const struct model_format format_linear_json;        /* linear.c */
extern const struct model_format format_linear_safetensors; /* linear.c */
extern const struct model_format format_foreign;            /* foreign.c */
extern const struct model_format format_echo;               /* echo.c */
