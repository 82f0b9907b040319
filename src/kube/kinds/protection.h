/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * protection - the finalizers of claims and volumes that are in use, taken away when they are not any more.
 *
 * Threads: the API server's loop.
 */
#include "kube/kind.h"

/* For `changed` of the rows of claims, volumes and pods. */
void claim_changed(struct kube *k, const struct kind *kind, const struct value *old, const struct value *object);
void volume_changed(struct kube *k, const struct kind *kind, const struct value *old, const struct value *object);
void pod_changed(struct kube *k, const struct kind *kind, const struct value *old, const struct value *object);

/* Once after a start: what was to go when the server ended. */
void protection_resume(struct kube *k);
