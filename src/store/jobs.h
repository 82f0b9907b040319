/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * jobs - work beside the writer: a thread for each, few at a time (backups, replacements).
 *
 * Threads: `run` is called on the job's thread, everything else on the loop.
 */
#include <pthread.h>
#include <stdatomic.h>

#include "store/store_private.h"

struct side_job {
	void (*run)(struct side_job *job);
	void (*end)(struct side_job *job); /* on the loop; frees it */
	bool is_failed;
	struct error error;
	/* private: */
	struct side_job *next;
	struct store *store;
	pthread_t thread;
	atomic_bool is_finished; /* set by the thread as its last act: the loop joins it then */
};

void job_start(struct store *s, struct side_job *job);

/* The key file that belongs to a backup; the caller frees. */
char *backup_key_path(const char *backup);

/* What a backup holds: the newest version of each key, in the clear. */
struct image {
	struct index index;
	int64_t revision; /* newest of the backup */
};

bool image_read(const char *backup, struct image *image, struct error *err);
void image_done(struct image *image);
