/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * model_folder - what is to be served of a folder: the model in it, by the names that prepackaged servers look for (MLmodel, model.joblib, model.bst,
 * model.onnx ...), else the only file of a known ending, else the Python code in it.
 *
 * Errors: NOT_FOUND with what was looked for; INVALID where several files could be meant.
 */
#include "base/base.h"

struct model_folder {
	const char
	    *target;    /* as the command line would have it: "/mnt/models/model.onnx", "hythe.servers.mlflow:Model" */
	bool wants_uri; /* the class finds the folder by its parameter model_uri */
};

bool model_folder_read(const char *folder, struct arena *arena, struct model_folder *ret, struct error *err) MUST_CHECK;

/* Parameters of a component with model_uri among them, unless it is there; `parameters` NULL: there are none. */
const char *model_folder_parameters(const char *parameters, const char *folder, struct arena *arena, struct error *err);
