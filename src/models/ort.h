/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * ort - ONNX Runtime, opened at run time when it is there. Private to the ONNX format.
 *
 * Its C API is a table of functions that only ever grows; the slots used here are those of API version 11 (ONNX
 * Runtime 1.11 and later). No header and no library is needed to build.
 *
 * Ownership: a session is its creator's. The library and its environment stay for the life of the process.
 * Threads:   any number may run one session.
 */
#include "models/model.h"

struct ort_session;

/* Opens the library (`path`, or NULL for the usual places) and the model in it. NOT_FOUND when there is no library. */
struct ort_session *ort_open(struct span model, const char *path, struct error *err);
void ort_close(struct ort_session *s); /* NULL is allowed */

/* Inputs and outputs, cut from the arena; outputs that are maps show as FP32 [-1, -1]. */
bool ort_describe(struct ort_session *s, struct model_info *info, struct arena *arena, struct error *err);

/* As model_run(); the library holds the arrays only while it runs. */
bool ort_run(const struct ort_session *s, const struct model_info *info, const struct tensor *inputs, uint64_t wanted,
	     struct tensor *results, struct arena *arena, struct error *err);
