/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * meta - completes the `meta` of a Seldon message without making the message anew: the bytes around it, a tensor of any size among them,
 * stay as the component wrote them.
 *
 * What a component has said itself stays. Added is what is missing: meta.puid; meta.requestPath[node]; meta.routing[node].
 *
 * Threads: any; no state. Errors: none: an answer that is no such message is passed on as it is.
 */
#include "base/base.h"

/* What one node adds. */
struct meta_note {
	struct span node, image;
	int32_t branch; /* of routing: -1 for a node that chooses none */
};

/* meta.puid of a message, decoded; empty where there is none. */
struct span meta_puid(struct span json, struct arena *arena);

/* Appends the message to `out`, completed. */
void meta_complete(struct span json, struct span puid, const struct meta_note *note, struct arena *arena,
		   struct buffer *out);

/* The same of an encoded SeldonMessage: fields of a message that come twice are merged (protobuf.dev, "Last One Wins"), so that they are put at
 * its end. */
void meta_complete_protobuf(struct span message, struct span puid, const struct meta_note *note, struct buffer *out);

/* Appends JSON with <, >, &, U+2028 and U+2029 as escapes, as Go's encoder writes them. */
void meta_escape(struct span json, struct buffer *out);
