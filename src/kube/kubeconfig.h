/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * kubeconfig - where an API server is and who asks it, as kubectl's configuration file tells of its current context.
 *
 * Ownership: everything is in the arena given.
 * Errors:    INVALID with the member that is missing or wrong; UNIMPLEMENTED for programs that make credentials (exec, auth-provider) and for
 *            passwords, which API servers no longer take; those of reading a file.
 * Limits:    KUBECONFIG_MOST bytes of the file, and of each file it names.
 * Threads:   any; kubeconfig_read() reads files.
 */
#include "base/base.h"

#define KUBECONFIG_MOST MIB(1)

struct kubeconfig {
	struct span context, cluster, user; /* their names */
	struct span server;                 /* "https://10.0.0.1:6443", without a '/' at the end */
	struct span server_name;            /* what its certificate must be good for; empty: the URL's host */
	struct span ca_pem, certificate_pem, key_pem, token; /* empty: there is none */
	const char *ca_file, *certificate_file, *key_file;   /* that are yet to be read, or NULL */
	const char *token_file; /* read again now and then: such tokens are renewed; or NULL */
	bool is_insecure;       /* the server's certificate is not looked at */
};

/* Of the text alone. Paths in it begin at `folder`. */
bool kubeconfig_parse(struct span text, const char *folder, struct arena *arena, struct kubeconfig *ret,
		      struct error *err);
/* Of a file, and the files it names. */
bool kubeconfig_read(const char *path, struct arena *arena, struct kubeconfig *ret, struct error *err);
/* A token's file: what is in it, without white space around. */
struct span kubeconfig_token(const char *path, struct arena *arena, struct error *err);
