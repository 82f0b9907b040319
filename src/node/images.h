/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * images - folders of this machine that stand in for container images: a pod that names such an image runs the folder's code with this machine's
 * programs, by what the folder's Dockerfile, or .s2i/environment, says.
 *
 * Which folder an image is stands in the ConfigMap "hythe-images" of the namespace kube-system, under the key "images": a line for each, NAME[:TAG],
 * a space, the folder. `hythe image` writes it, kubectl can.
 *
 * A reference finds the most specific line: as it is written; without its digest; with the tag "latest" where it has none; without its tag; and each of these
 * without the registry's host.
 *
 * Threads: the loop; spans are cut from the arena.
 * Errors:  NOT_FOUND for a folder that is gone; INVALID for a Dockerfile that cannot be read, with its line.
 */
#include "kube/cluster.h"
#include "node/dockerfile.h"

#define IMAGES_NAMESPACE "kube-system"
#define IMAGES_NAME      "hythe-images"
#define IMAGES_KEY       "images"
#define IMAGES_MOST      10000

struct image {
	struct span folder; /* on this machine, absolute, without links */
	struct span place;  /* where it is mounted, read-only */
	struct span working_directory;
	const struct name_value *environment;
	size_t environment_count;
	struct words entrypoint, command;
	struct words not_done; /* instructions of the Dockerfile */
};

/* The lines of the ConfigMap, one after the other; false at the end. Lines that cannot be read are passed over. */
bool images_next(struct span *rest, struct span *ret_name, struct span *ret_folder);

/* The folder of a reference in such lines; empty: there is none. */
struct span images_match(struct span lines, struct span reference, struct arena *arena);

/*
 * The interpreter that containers' `hythe serve` and seldon-core-microservice should take, where it is none that they would find themselves: $HYTHE_PYTHON, that
 * of $VIRTUAL_ENV, the one beside this program, python3 of $PATH, as hythe itself was started. Empty: theirs will do.
 */
struct span images_python(struct arena *arena, struct error *err);

/* What a folder says about itself. */
bool images_read(struct span folder, struct arena *arena, struct image *ret, struct error *err) MUST_CHECK;

/* *ret_is_known false: the reference names no folder, and *ret is left alone. */
bool images_find(struct cluster *cluster, struct span reference, struct arena *arena, struct image *ret,
		 bool *ret_is_known, struct error *err) MUST_CHECK;
