/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * inference_service - what the checks of InferenceServices and their controller both know of them.
 *
 * Threads: any; nothing is kept.
 */
#include "wire/value.h"

#define INFERENCE_GROUP     "serving.kserve.io"
#define INFERENCE_KIND      "InferenceService"
#define INFERENCE_CONTAINER "kserve-container"

/* The model of a predictor: "model", or an older member that is named as its format. *ret_format is its name. NULL: it has containers. */
const struct value *inference_model(const struct value *predictor, struct span *ret_format);
bool inference_format_is_there(struct span format);
