/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * pki - the cluster's keys: a certificate authority, the server's and the administrator's certificates, the key that signs service
 * accounts' tokens. Made at first start in a folder of their own (mode 0700, keys 0600), kept, and renewed before they end.
 *
 * Threads: one.
 * Errors:  INVALID for damaged files (nothing is overwritten), FORBIDDEN and others by errno.
 */
#include "base/base.h"

struct pki;

/* Who makes service accounts' tokens (iss), and whom they are for when nobody is named (aud). */
#define PKI_ISSUER "https://kubernetes.default.svc"

/* `folder` is made when it is absent, not those above it. `names` are what the server's certificate is good for besides localhost, 127.0.0.1, ::1, 127.96.0.1, kubernetes, kubernetes.default,
 * kubernetes.default.svc, kubernetes.default.svc.cluster.local: host names and addresses, ending with NULL. */
struct pki *pki_open(const char *folder, const char *const *names, struct error *err);
void pki_free(struct pki *p);

const char *pki_ca_file(const struct pki *p);
const char *pki_server_certificate_file(const struct pki *p);
const char *pki_server_key_file(const struct pki *p);
struct span pki_ca_pem(const struct pki *p);

/* Makes the server's certificate again when less than a third of its life is left, or a name is missing; *ret_renewed tells. */
bool pki_renew(struct pki *p, bool *ret_renewed, struct error *err);

/* False: the administrator's certificate is near its end, and a kubeconfig with a new one is to be written. */
bool pki_admin_is_fresh(const struct pki *p);

/* Writes a kubeconfig (mode 0600) for the administrator (CN kubernetes-admin, O system:masters) with everything in it. */
bool pki_write_kubeconfig(struct pki *p, const char *path, const char *server_url, struct error *err);

/* Service accounts' tokens: JWT RS256 (RFC 7519). `claims` is the JSON of all claims. */
bool pki_sign_token(struct pki *p, struct span claims, struct arena *arena, struct span *ret, struct error *err);
/* The claims of a token with a good signature, issuer and time; UNAUTHENTICATED otherwise. */
bool pki_check_token(struct pki *p, struct span token, int64_t wall_ns, struct arena *arena, struct span *ret_claims,
		     struct error *err);
/* The JSON Web Key Set of /openid/v1/jwks. */
bool pki_jwks(struct pki *p, struct buffer *out, struct error *err);
