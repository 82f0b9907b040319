/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * scheduler - what its files share.
 *
 *	scheduler.c         one call: a pod without a node gets one, or is told why not
 *	scheduler_book.c    what each node's pods have asked for, kept as pods change; binds that are on their way count
 *	scheduler_fit.c     whether a node takes a pod, in the words of the real scheduler
 *	scheduler_topology.c  pod affinity and anti-affinity, topology spread
 */
#include "controllers/objects.h"

/* ---- scheduler_book.c ---- */

enum { AMOUNTS_MOST = 12 };

/* Of cpu, memory, ephemeral-storage and others: thousandths. */
struct amounts {
	struct {
		char name[64];
		int64_t milli;
	} items[AMOUNTS_MOST];
	size_t count;
};
int64_t amount_of(const struct amounts *a, const char *name);
void amounts_read(struct amounts *a, const struct value *list); /* adds a resource list */
/* What a pod asks for: sums of its containers, and sidecars, or more for an init container; and its overhead. */
void pod_amounts(const struct value *pod, struct amounts *ret);

struct booking {
	struct booking *next; /* in its bucket */
	char *name_space, *name, *uid;
	char *node;      /* empty: none */
	bool is_assumed; /* bound by us, not seen yet */
	bool is_waiting; /* not bound, ours to schedule */
	bool is_tried;   /* no node took it; nothing has changed since */
	bool has_anti_affinity;
	int64_t priority, created_ns;
	struct amounts amounts;
	char *ports; /* "TCP/0.0.0.0/80 " ..., or NULL */
};

struct book {
	struct booking *buckets[1024];
	size_t count, anti_affinities;
};

bool scheduler_takes(const struct value *pod); /* it has no node, and is for this scheduler */
struct booking *book_find(struct book *b, struct span uid);
/* The pod as it was seen. */
void book_seen(struct book *b, const struct value *pod);
void book_drop(struct book *b, struct span uid);
void book_clear(struct book *b);
void book_each(struct book *b, void (*take)(void *context, struct booking *e), void *context);

/* ---- scheduler_fit.c ---- */

struct placing {
	struct reconcile *r;
	struct book *book;
	const struct value *pod, *spec;
	struct amounts asked;
	char *ports;
	const struct value *nodes; /* array */
	const struct value *pods;  /* array; NULL until somebody needs to look at all */
};

#define REASONS_MOST 8
struct fit {
	const struct value *node;
	struct span reasons[REASONS_MOST];
	size_t count;       /* 0: it fits */
	bool is_resolvable; /* other pods are in the way */
	int64_t score;
};
void fit_check(struct placing *p, struct fit *f);
char *pod_ports(const struct value *pod); /* host ports, as struct booking has them; the caller frees */
const struct value *placing_pods(struct placing *p);

/* ---- scheduler_topology.c ---- */

/* False with the reason. */
bool topology_takes(struct placing *p, const struct value *node, struct span *ret_reason, bool *ret_is_resolvable);
