/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * fetch - brings a model's files from where a URI says to a folder: file:// and plain paths, http:// and https:// (one file), gs:// and s3:// (an
 * object, or all below a prefix), pvc:// (which is mounted already).
 *
 * Files are written as they come, under a name of their own until they are whole. Nothing is unpacked. What is there already is replaced.
 *
 * Settings:  of the environment, as other tools read them: AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN, AWS_REGION or AWS_DEFAULT_REGION,
 *            AWS_ENDPOINT_URL_S3, AWS_ENDPOINT_URL or S3_ENDPOINT (with S3_USE_HTTPS), STORAGE_EMULATOR_HOST, GOOGLE_OAUTH_ACCESS_TOKEN. Without keys
 *            questions are anonymous.
 * Threads:   one; calls block.
 * Errors:    INVALID for a URI that is none; UNIMPLEMENTED for a scheme that is not there; NOT_FOUND, FORBIDDEN, UNAVAILABLE as the other side says;
 *            TOO_LARGE over bytes_most or files_most.
 */
#include "base/base.h"

#define FETCH_BYTES_MOST ((uint64_t)64 << 30)
#define FETCH_FILES_MOST 100000

struct fetch_config {
	const char *uri, *folder; /* the folder is made */
	uint64_t bytes_most;
	size_t files_most;
	void (*told)(void *context, struct span path, uint64_t bytes); /* of each file, once it is whole; may be NULL */
	void *context;
};

struct fetch_result {
	size_t files;
	uint64_t bytes;
	bool is_mounted; /* pvc:// */
};

bool fetch_run(const struct fetch_config *config, struct fetch_result *ret, struct error *err) MUST_CHECK;
