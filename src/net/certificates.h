/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * certificates - what a TLS server shows to whom: by the name that the client asks for (SNI, RFC 6066 3).
 *
 * Ownership: immutable, counted. Threads: any.
 * Errors:    INVALID: text that is no PEM, a key that is not the certificate's, none at all.
 */
#include "base/base.h"

struct certificates;

struct certificate_pem {
	struct span chain, key; /* PEM */
	/* Names it is shown for ("a.example.com", "*.example.com"); none: those in the certificate. Exact before wildcard. */
	const struct span *names;
	size_t name_count;
};

/* The first is shown to who asks for none, or for one that is not there. TLS 1.2 and later; ALPN offers h2 and http/1.1. */
struct certificates *certificates_new(const struct certificate_pem *list, size_t count, struct error *err);
void certificates_ref(struct certificates *c);
void certificates_unref(struct certificates *c); /* NULL is allowed */
