/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * dockerfile - what a Dockerfile says about running: environment, folder, command. Nothing is built: instructions that would change files are
 * listed as not done.
 *
 * Read are ARG, CMD, COPY and ADD (of the whole folder), ENTRYPOINT, ENV, EXPOSE, FROM (each begins anew), SHELL and WORKDIR; continued lines, the directive
 * `escape`, here-documents, quotes, and variables ($A, ${A}, ${A:-b}, ${A:+b}).
 *
 * Ownership: spans are cut from the arena or point into the text. Threads: any; no state.
 * Errors:    INVALID with the line's number; TOO_LARGE over the limits.
 * Limits:    DOCKERFILE_MOST bytes of text; DOCKERFILE_LINES_MOST instructions; DOCKERFILE_VALUE_MOST bytes of one value.
 */
#include "node/runtime.h"

#define DOCKERFILE_MOST       MIB(1)
#define DOCKERFILE_LINES_MOST 10000
#define DOCKERFILE_VALUE_MOST KIB(64)

struct words {
	struct span *items;
	size_t count;
	bool is_set;
};

struct dockerfile {
	struct name_value *environment;
	size_t environment_count;
	struct span working_directory; /* absolute; empty: there is none */
	struct span place;             /* where `COPY .` has put the folder, absolute; empty: nowhere */
	struct words entrypoint, command;
	struct words ports;    /* "8000", "53/udp" */
	struct words not_done; /* whole instructions: "RUN pip install flask" */
};

/* `base`: variables that images usually have, as PATH. */
bool dockerfile_read(struct span text, const struct name_value *base, size_t base_count, struct arena *arena,
		     struct dockerfile *ret, struct error *err) MUST_CHECK;

/* Lines of NAME=VALUE, as .s2i/environment has them; comments and empty lines are passed over. Appends to ret->environment. */
bool dockerfile_environment_read(struct span text, struct arena *arena, struct dockerfile *ret,
				 struct error *err) MUST_CHECK;
