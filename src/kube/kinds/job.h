/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* job - what the files about jobs share. */
#include "kube/kinds/kinds.h"

/* podFailurePolicy and successPolicy of a job's spec at `at`. */
void check_job_policies(struct change *c, const struct at *at, const struct value *spec);
/* A name of the IANA time zone database, or absent. Where the machine has no such database, any name of the right form. */
void check_time_zone(struct change *c, const struct at *at, const struct value *v);
