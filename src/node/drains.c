/* SPDX-License-Identifier: Apache-2.0 */
#include "node/drains.h"

#include <stdlib.h>

struct drain {
	struct drain *next;
	struct drains *all;
	char *address;
	bool is_answered, is_forgotten;
	void (*done)(void *context);
	void *context;
};

struct drains {
	struct drains_config config;
	struct drain *items;
	bool is_stopped;
};

struct drains *drains_new(const struct drains_config *config)
{
	struct drains *d = base_calloc(1, sizeof(*d));

	d->config = *config;
	return d;
}

void drains_stop(struct drains *d)
{
	if (d)
		d->is_stopped = true;
}

static void drop(struct drain *one)
{
	struct drain **at = &one->all->items;

	while (*at != one)
		at = &(*at)->next;
	*at = one->next;
	free(one->address);
	free(one);
}

void drains_free(struct drains *d)
{
	if (!d)
		return;
	while (d->items)
		drop(d->items);
	free(d);
}

static void answered(void *context)
{
	struct drain *one = context;

	ASSERT(!one->is_answered);
	one->is_answered = true;
	if (one->is_forgotten)
		drop(one);
	else
		one->done(one->context);
}

struct drain *drain_begin(struct drains *d, struct span address, int64_t most_ns, void (*done)(void *context),
			  void *context)
{
	struct drain *one;

	if (d->is_stopped)
		return NULL;
	one = base_calloc(1, sizeof(*one));
	one->all = d;
	one->address = span_to_text(address);
	one->done = done;
	one->context = context;
	one->next = d->items;
	d->items = one;
	d->config.drain(d->config.context, one->address, most_ns, answered, one);
	return one;
}

void drain_forget(struct drain *one)
{
	if (!one)
		return;
	if (!one->all->is_stopped && one->all->config.forget)
		one->all->config.forget(one->all->config.context, one->address);
	one->is_forgotten = true;
	if (one->is_answered)
		drop(one);
}
