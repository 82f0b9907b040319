/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* pod - what the files about pods share. */
#include "kube/kind.h"

struct at;

/* "Guaranteed", "Burstable" or "BestEffort". */
const char *pod_quality(const struct value *spec);

/* Writes by pods/ephemeralcontainers and pods/resize, which change their part of a pod only. False: it is no such write. */
bool pod_part_prepare(struct change *c);
void pod_part_validate(struct change *c);

/* Warnings of a pod spec at `at`; call them when there is no fault. */
void pod_spec_warn(struct change *c, const struct at *at, const struct value *spec);
/* The same for spec.template, when it is new or spec has changed; `pod_names`: what the object's name is used in, or NULL. */
void pod_template_warn(struct change *c, const char *pod_names);
void pod_name_warn(struct change *c, const char *words);

/* ---- parts of pod_spec_check() ---- */

struct pod_volumes {
	const struct value *list;
	const bool *fine;
};
bool pod_has_before(const struct value *list, uint32_t index, const char *member);
void pod_check_ports(struct change *c, const struct at *at, const struct value *ports);
void pod_check_env(struct change *c, const struct at *at, const struct value *list);
void pod_check_env_from(struct change *c, const struct at *at, const struct value *list);
void pod_check_mounts(struct change *c, const struct at *at, const struct value *list,
		      const struct pod_volumes *volumes, bool is_privileged);
void pod_check_devices(struct change *c, const struct at *at, const struct value *list,
		       const struct pod_volumes *volumes);
void pod_check_security(struct change *c, const struct at *at, const struct value *security);
void pod_check_pod_security(struct change *c, const struct at *at, const struct value *security);
