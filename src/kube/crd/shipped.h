/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * shipped - the CustomResourceDefinitions that come with hythe, and what hythe does itself for their objects where a real cluster asks
 * webhooks.
 *
 * Definitions are files, shipped/<name>.yaml, built in: a new one is a file, a row in shipped.c and one in meson.build. At the start of a
 * server whose config says so each is made, or brought up to date, and is served before kube_new() returns.
 *
 * Whose a definition is: one that hythe made has the label app.kubernetes.io/managed-by=hythe and the annotation hythe.dev/shipped, a
 * number made of the spec as hythe wrote it. A definition without the annotation, or whose spec is no longer what the number says, is the
 * user's: it is left as it is, for good. (To have hythe's again: delete it and start hythe anew. Objects go with their definition.) One
 * that was deleted comes back at the next start. An older hythe brings back its own older form, as long as nobody has changed the spec.
 *
 * Hooks: rows of a table, by group and kind, for all versions. They run where webhooks would be asked, but as a part of the kind: objects
 * whose definition is the user's own have them too.
 *
 * Threads: the API server's loop.
 */
#include "kube/kind.h"

/* What hythe does for objects of a custom kind; each may be NULL. See struct kind for when they run. */
struct custom_hooks {
	const char *group, *kind;
	void (*defaults)(struct change *c); /* after those of the schema; not for a write to the status */
	void (*prepare)(struct change *c);  /* not for a write to the status */
	/* After the schema and its rules, and only when these found no fault; not for a write to the status. */
	void (*validate)(struct change *c);
	bool (*begin_delete)(struct change *c);
	/* After the columns' paths have filled the cells (Name first): what these could not tell. */
	void (*row)(const struct value *object, int64_t now_ns, struct value *cells, struct arena *arena);
};

/* NULL: there are none. */
const struct custom_hooks *custom_hooks_find(struct span group, struct span kind);

/* Makes the definitions, and brings them up to date. What cannot be made is told in the log. */
void shipped_start(struct kube *k);
