/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * describe - a model in words for people: what goes in, what comes out, and a curl line that asks it.
 */
#include "models/model.h"

/* "float_input FP32 [-1,10]", several with commas; cut after a few. */
void describe_specs(const struct tensor_spec *specs, size_t count, struct buffer *out);

/* "12.3 kB" */
void describe_bytes(size_t bytes, struct buffer *out);

/* "1.2 us" */
void describe_ns(double ns, struct buffer *out);

struct describe_target {
	struct span url;         /* "http://127.0.0.1:8080" */
	struct span unix_socket; /* path, or empty */
	bool is_tls, wants_certificate;
	struct span name; /* of the model; used in paths */
	const struct span *columns;
	size_t column_count;
};

/* A command line for a POSIX shell that gets an answer from the model. */
void describe_curl(const struct model_info *info, const struct describe_target *target, struct buffer *out);
