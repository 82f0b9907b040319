/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * claim - what the controllers of PersistentVolumeClaims and of PersistentVolumes share.
 *
 *	claim.c            which volume a claim gets; volumes that are made for claims
 *	claim_volume.c     phases of volumes, and what becomes of those whose claim is gone
 *	storage_class.c    the class that is there when nobody made one
 *
 * A binding is done step by step, each a write that can be looked at again: the volume's claimRef, the claim's volumeName, the phases.
 */
#include "controllers/objects.h"

#define ANNOTATION_BOUND       "pv.kubernetes.io/bind-completed"
#define ANNOTATION_BY_US       "pv.kubernetes.io/bound-by-controller"
#define ANNOTATION_PROVISIONED "pv.kubernetes.io/provisioned-by"
#define ANNOTATION_DEFAULT     "storageclass.kubernetes.io/is-default-class"

#define BINDER_NAME      "persistentvolume-binder-controller"
#define BINDER_COMPONENT "persistentvolume-controller"

/* Of a volume or a claim: spec.storageClassName, or the annotation that was before it. */
struct span class_of(const struct value *object);
/* Is the volume bound to this claim, or kept for it? */
bool volume_is_for(const struct value *volume, const struct value *claim);
struct span volume_mode(const struct value *object); /* "Filesystem" */
/* The phase of the status, when it is not that already; with an event about the object of the call when `reason` is given. */
void phase_set(struct reconcile *r, const char *phase, const char *reason, const char *message);
