/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* entries_private - what entries.c and entries_bind.c share: the sets of sockets. All of it under the lock of struct entries. */
#include <pthread.h>
#include <stdatomic.h>

#include "gateway/gateway_private.h"
#include "net/place.h"

enum set_state { SET_BOUND, SET_FAILED, SET_WAITS /* one that is gone still has its address */, SET_GONE };

struct entry_set {
	struct span key;
	enum set_state state;
	bool is_told;
	struct error error; /* SET_FAILED */
	int type;           /* SOCK_STREAM, SOCK_DGRAM */
	struct place place; /* SET_BOUND, SET_GONE */
	int *fds;
	size_t fd_count;
	struct entry **parts; /* of each worker; NULL: not opened, or closed */
	bool *is_closed;      /* by each worker, once it is gone */
	unsigned closed_count;
	struct entry_set *next, *next_of_hash;
};

/* For opening what was bound between two plans. */
struct entries_worker {
	struct loop_message message;
	struct entries *entries;
	struct gateway_worker *worker; /* NULL: it has taken up no plan yet */
	bool is_sent, is_closed;
};

struct entries {
	const struct gateway_config *config;
	pthread_mutex_t lock; /* all that is below */
	struct entry_set *sets;
	struct plan *plan; /* the last one that was published, with a reference */
	struct entries_worker *workers;
	unsigned worker_count;
	int next_port; /* of a load balancer: where the search goes on */
	struct gateway_inherited *inherited;
	size_t inherited_count;
	bool is_closed;
	bool is_message_sent;
	_Atomic bool is_left; /* another process accepts from the sockets too */
	/* Of config.loop. */
	struct loop_message message;
	struct timer retry, inherited_over;
	bool has_inherited_timer;
};

/* Takes the sockets that were inherited for this key, or binds new ones: SET_BOUND, SET_FAILED with why, SET_WAITS. */
void set_bind(struct entries *e, struct entry_set *s, const struct plan_entry *entry);
