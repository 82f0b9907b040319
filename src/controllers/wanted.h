/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * wanted - the objects that another one is made of: made, changed when they are not what is wanted, and found when they are no longer
 * wanted.
 *
 * What was wanted is remembered as a number in an annotation of the object. An object is written when that number differs, or when what
 * is there lacks something of what is wanted; what others have added (defaults, addresses, replicas by hand where none are wanted) stays.
 *
 * Threads: one; all of it lives for one call.
 */
#include "controllers/objects.h"

#define WANTED_ANNOTATION "hythe.dev/made-from"

struct wanted_one {
	const struct resource *resource;
	struct value *object; /* as it is wanted: metadata, spec */
	struct value *there;  /* as it is; NULL: not yet */
	bool is_same;         /* nothing had to be written */
	bool is_foreign;      /* what is there is somebody else's: it stays as it is */
};

struct wanted {
	struct reconcile *r;
	struct wanted_one *items;
	size_t count, cap;
};

/* `object` is given an owner reference and the number. The place is valid until the next is added. */
struct wanted_one *wanted_add(struct wanted *w, const struct resource *resource, struct value *object);
/* One that is there stays as it is. */
void wanted_keep(struct wanted *w, const struct resource *resource, struct value *there);
/* Makes or changes it. True: it is there as it is wanted. Events Create<Kind>, Update<Kind>. */
bool wanted_bring(struct wanted *w, struct wanted_one *one);
/* Why it cannot be: something that is wanted has the name of somebody else's object. Empty: nothing has. */
struct span wanted_fault(const struct wanted *w);
bool wanted_has(const struct wanted *w, const struct resource *resource, struct span name);
/* Deletes what the object of the call controls of a kind and does not want. How many there are. Event Delete<Kind>. */
uint32_t wanted_sweep(struct wanted *w, const struct resource *resource);
