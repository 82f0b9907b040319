/* SPDX-License-Identifier: Apache-2.0 */
#include "node/sandbox_status.h"

#include <stdlib.h>

static struct span put(char **at, struct span s)
{
	struct span copy = { *at, s.len };

	if (!s.len)
		return (struct span){ 0 };
	memcpy(*at, s.ptr, s.len);
	*at += s.len;
	return copy;
}

struct sandbox_status *sandbox_status_copy(const struct sandbox_status *s)
{
	size_t bytes =
	    s->uid.len + s->name_space.len + s->name.len + s->address.len + s->folder.len + s->shortcomings.len;
	struct container_status *containers;
	struct sandbox_status *copy;
	char *at;

	for (size_t i = 0; i < s->container_count; i++)
		bytes += s->containers[i].name.len + s->containers[i].id.len + s->containers[i].reason.len +
			 s->containers[i].message.len;
	copy = base_alloc(sizeof(*copy) + s->container_count * sizeof(*containers) + bytes);
	containers = (struct container_status *)(copy + 1);
	at = (char *)(containers + s->container_count);
	*copy = *s;
	copy->uid = put(&at, s->uid);
	copy->name_space = put(&at, s->name_space);
	copy->name = put(&at, s->name);
	copy->address = put(&at, s->address);
	copy->folder = put(&at, s->folder);
	copy->shortcomings = put(&at, s->shortcomings);
	copy->containers = containers;
	for (size_t i = 0; i < s->container_count; i++) {
		containers[i] = s->containers[i];
		containers[i].name = put(&at, s->containers[i].name);
		containers[i].id = put(&at, s->containers[i].id);
		containers[i].reason = put(&at, s->containers[i].reason);
		containers[i].message = put(&at, s->containers[i].message);
	}
	return copy;
}
