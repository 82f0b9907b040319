/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* own_connections - for targets that bring connections of their own: none of them is another process's (net/direct_private.h). */
#include "net/direct_private.h"

void direct_asks(struct connection *c)
{
	ASSERT(!c->direct);
}

bool direct_holds(struct connection *c)
{
	ASSERT(!c->direct);
	return false;
}

bool direct_hands_back(struct connection *c, struct span method, struct span target)
{
	(void)method, (void)target;
	ASSERT(!c->direct);
	return false;
}

void direct_names(struct connection *c, const struct request *req)
{
	(void)req;
	ASSERT(!c->direct);
}

void direct_begins(struct connection *c)
{
	ASSERT(!c->direct);
}

void direct_over(struct worker *w)
{
	ASSERT(!w->direct);
}

void direct_answers(struct connection *c, uint64_t flags)
{
	(void)flags;
	ASSERT(!c->direct);
}

void direct_orphan_over(struct worker *w, unsigned slot)
{
	(void)slot;
	ASSERT(!w->direct);
}

void direct_count(struct direct *d, int status, int64_t ns)
{
	(void)status, (void)ns;
	ASSERT(!d);
}
