/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * auth - what the API server keeps to know who asks and what they may: the token file, the roles and bindings, the audit log.
 *
 *	user.c (above)   who asks
 *	impersonate.c    in whose name
 *	rbac.c           what they may; rbac_rules.c: one rule against one question
 *	aggregate.c      ClusterRoles made of others
 *	grant.c          nobody gives away more than they have
 *	bootstrap.c      the roles that every cluster has: bootstrap.def
 *	reviews.c        access, rules, token and self-subject reviews
 *	token_request.c  serviceaccounts/token
 *	audit.c          a line for each request
 *	backup.c         POST /hythe/v1/backup and /hythe/v1/restore
 *	pki.c, jwt.c     keys, certificates, tokens
 *
 * Threads: the API server's loop.
 */
#include "kube/kube.h"
#include "kube/subresource.h"
#include "wire/value.h"

struct auth;
struct kube_call;

/* Reads the token file, opens the audit log, follows the roles. */
struct auth *auth_new(struct kube *k, const struct kube_config *config, struct error *err);
void auth_free(struct auth *a); /* before the store; NULL is allowed */
struct auth *kube_auth(struct kube *k);

/* Makes the roles and bindings that every cluster has, where they are absent. Best effort: what fails is logged. */
void auth_bootstrap(struct auth *a);

/* ---- user.c ---- */

/* A bearer token: of the token file, or a service account's for one of the audiences. UNAUTHENTICATED otherwise. `ret_audiences` (may be
 * NULL): those asked for that the token has. */
bool user_of_token(struct kube *k, struct span token, const struct span *audiences, size_t audience_count,
		   struct arena *arena, struct user *ret, struct error *err);
bool user_group_add(struct user *u, struct span group, struct error *err);
bool user_has_group(const struct user *u, struct span group);
void user_extra_add(struct user *u, const char *key, struct span value);

/* ---- impersonate.c ---- */

/* Makes `u` the one named by Impersonate-User, if there is one and they may; what they may not is in `ret_refused`. INTERNAL for groups
 * and the like without a user. */
bool user_impersonate(struct kube *k, struct request *req, struct user *u, struct access *ret_refused,
		      struct error *err);

/* ---- the token file: tokens.c ---- */

struct token_file;
/* Lines "token,user,uid" or "token,user,uid,"group1,group2"". INVALID names the line. */
struct token_file *token_file_read(const char *path, struct error *err);
bool token_file_parse(struct span text, const char *name, struct token_file **ret, struct error *err);
void token_file_free(struct token_file *f);
bool token_file_find(const struct token_file *f, struct span token, struct user *ret);
const struct token_file *auth_token_file(const struct auth *a);

/* ---- rules: rbac_rules.c ---- */

struct rule {
	const struct span *verbs, *groups, *resources, *names, *paths;
	uint32_t verb_count, group_count, resource_count, name_count, path_count;
};
bool rule_allows(const struct rule *r, const struct access *a);
/* All that `small` allows, the rules together allow: piece by piece, as the real server does. */
bool rules_cover(const struct rule *rules, size_t count, const struct rule *small);
/* From `rules` of a role; in the arena. */
bool rules_read(const struct value *rules, struct arena *arena, struct rule **ret, size_t *ret_count,
		struct error *err);
/* The rule as JSON; as the real server prints it in a message. */
bool rule_value(const struct rule *r, struct arena *arena, struct value *ret, struct error *err);
void rule_print(const struct rule *r, struct buffer *out);

/* ---- rbac.c ---- */

struct rbac;
struct rbac *rbac_new(struct kube *k, void (*changed)(void *context), void *context, struct error *err);
void rbac_free(struct rbac *r);
struct rbac *auth_rbac(struct auth *a);
bool auth_is_rbac_off(const struct auth *a);

/* The binding by which a rule holds. */
struct binding_text {
	bool is_cluster;
	struct span name, name_space, role_kind, role_name;
	struct span subject_kind, subject_name, subject_namespace;
};

/* Calls `each` for every rule that a binding gives to the user, the cluster's first, then those of the namespace (if any), until it
 * returns false; false then. */
bool rbac_walk(struct rbac *r, const struct user *u, struct span name_space,
	       bool (*each)(void *context, const struct rule *rule, const struct binding_text *binding), void *context);

/* ---- aggregate.c ---- */

/* Writes the rules of ClusterRoles with an aggregationRule, where they are not what they should be. */
void aggregate_run(struct kube *k);

/* ---- token_request.c ---- */

extern const struct subresource service_account_others[]; /* for the row of ServiceAccount */

/* ---- grant.c ---- */

/* For the validation of roles and bindings: sets c->err to FORBIDDEN when the one who writes does not have what the object gives. */
void grant_check(struct change *c);

/* ---- backup.c ---- */

struct call;
/* POST /hythe/v1/backup and /hythe/v1/restore; the caller's right is checked. */
void backup_serve(struct call *call, struct span *segments, size_t count);

/* ---- audit.c ---- */

struct audit;
struct audit *audit_open(const char *path, struct error *err);
void audit_close(struct audit *a);
/* Notes the request; the line is written when it is over. `access` NULL: nobody knows who asks. Without a log nothing happens. */
void audit_request(struct kube *k, struct request *req, const struct user *user, const struct access *access);
struct audit *auth_audit(struct auth *a);
