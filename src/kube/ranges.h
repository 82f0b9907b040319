/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * ranges - the addresses of this machine's loopback that a cluster on it uses. They are fixed: supervisors of pods know them while nobody
 * else runs, and objects that were stored with them stay good.
 */
#include <stdint.h>

#define CLUSTER_IP_RANGE "127.96.0.0/16" /* of services */
#define POD_IP_RANGE     "127.97.0.0/16" /* of pods, each in a network of its own */
#define DNS_IP           "127.96.0.10"   /* of the name server that each pod has */

/* The same as numbers, in the host's order; the upper half is the range. */
#define CLUSTER_IPS UINT32_C(0x7f600000)
#define POD_IPS     UINT32_C(0x7f610000)
#define RANGE_MASK  UINT32_C(0xffff0000)
#define DNS_ADDRESS UINT32_C(0x7f60000a)
