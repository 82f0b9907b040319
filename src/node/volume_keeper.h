/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * volume_keeper - the end of volumes that are folders of this machine (LOCAL_PROVISIONER): when the PersistentVolume is being deleted, its
 * folder is removed, then LOCAL_VOLUME_FINALIZER is taken off.
 *
 * A folder goes only when it is <folder>/<name of the volume>, when no claim has the volume, and when it is not to be retained; the
 * finalizer of a retained one goes alone. A volume with that finalizer that is elsewhere is left as it is, and an event says so.
 *
 * Threads:   the loop; one folder at a time is removed on a thread of its own, which ends by itself when the keeper has gone.
 * What could not be removed is tried again every VOLUME_KEEPER_RETRY_NS, with an event each time; what was begun before is gone on with.
 */
#include "kube/cluster.h"

struct volume_keeper;

#define VOLUME_KEEPER_RETRY_NS INT64_C(60000000000)

struct volume_keeper *volume_keeper_new(struct cluster *cluster, struct loop *loop, struct span folder,
					struct error *err);
/* Nothing is begun any more; then the cluster's writes end, then it may be freed. NULL is allowed in both. */
void volume_keeper_stop(struct volume_keeper *k);
void volume_keeper_free(struct volume_keeper *k);
