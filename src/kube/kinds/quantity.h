/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * quantity - amounts of resources that are calculated with: "100m" + "1Gi". Facts: k8s.io/apimachinery api/resource.
 *
 * Amounts are kept in billionths; the real server caps them at 2^63 - 1 whole ones, and so do sums here. A sum is written in the form
 * of its first part that is not 0, as the real server does.
 */
#include "base/base.h"

typedef __int128 quantity_amount;
#define QUANTITY_NANO INT64_C(1000000000)

enum quantity_form { FORM_DECIMAL, FORM_BINARY, FORM_EXPONENT };

struct quantity {
	quantity_amount nano;
	enum quantity_form form;
};

static inline struct quantity quantity_of(int64_t whole)
{
	return (struct quantity){ .nano = (quantity_amount)whole * QUANTITY_NANO };
}
bool quantity_read(struct span s, struct quantity *ret); /* false: it is none */
bool quantity_print(const struct quantity *q, struct arena *arena, struct span *ret);
void quantity_add(struct quantity *to, const struct quantity *q);
void quantity_subtract(struct quantity *from, const struct quantity *q);
