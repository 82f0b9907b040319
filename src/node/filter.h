/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * filter - which system calls a container's processes may make: a program for seccomp(2).
 *
 * It is made before the fork (and kept: the default one is made once and shared by all that are forked later), so that the child loads it with
 * one call. Own architecture only: calls of others (32-bit programs) are refused.
 *
 * Errors: INVALID: what a profile asks for, and where.
 * Limits: a profile has at most FILTER_PROFILE_BYTES_MOST bytes.
 */
#include "base/base.h"

struct filter;
struct security;

#define FILTER_PROFILE_BYTES_MOST MIB(1)

/* By the kind that `s` asks for. `capabilities`: those the container has; the default profile lets calls through by them. `asks`: connections
 * that may leave the pod are asked about at a descriptor, see filter_load(). *ret NULL: none. */
bool filter_new(const struct security *s, uint64_t capabilities, bool asks, struct filter **ret,
		struct error *err) MUST_CHECK;
/*
 * Inside: from here on the calling process is filtered. With `asks` *ret_descriptor is where the kernel asks about connect, and about sendto with
 * an address.
 */
bool filter_load(const struct filter *f, int *ret_descriptor, struct error *err) MUST_CHECK;
void filter_free(struct filter *f); /* NULL is allowed */
/* Makes the default filter now, for this process and those it forks. */
void filter_warm(uint64_t capabilities, bool asks);

/* The text of an OCI profile as a filter; for tests and the fuzzer too. */
bool filter_of_profile(struct span text, uint64_t capabilities, bool asks, struct filter **ret,
		       struct error *err) MUST_CHECK;
