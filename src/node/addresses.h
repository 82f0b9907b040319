/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * addresses - which pod has which address: one of a range, not used again before the others have been.
 *
 * folder/addresses/<address> leads to the control socket of its pod (folder/pods/<uid>/sandbox/control), for those that make connections between pods.
 *
 * Threads: one.
 * Errors:  INVALID for a range that is none of IPv4, or is too large; EXHAUSTED when all are taken.
 */
#include "base/base.h"

enum { ADDRESS_TEXT_MAX = 48 };

struct addresses;

struct addresses *addresses_new(const char *folder, struct span range, struct error *err); /* "127.97.0.0/16" */
/* The first and the last of the range, and its first host (…1), are nobody's. */
bool addresses_take(struct addresses *a, struct span uid, char ret[ADDRESS_TEXT_MAX], struct error *err) MUST_CHECK;
/* A pod that was found has it; or has it already, and what could not be made for it is tried again. One that is not of the range is left alone. */
void addresses_hold(struct addresses *a, struct span address, struct span uid);
void addresses_free_one(struct addresses *a, struct span address);
void addresses_free(struct addresses *a); /* the links stay; NULL is allowed */
