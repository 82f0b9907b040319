/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * kube - a Kubernetes API server over a store.
 *
 * One loop does everything: requests, the store's reads, watches, garbage collection. Writes are answered when the store says that they
 * are durable. A request that comes in while others of its client wait takes its turn after the clients that have none waiting.
 *
 * Way of a write: bytes → decode.c (JSON, YAML, protobuf; strict) → write.c: defaults → admission → prepare → validate → managed fields
 * → store_write() → durable → answer, watchers. Of a read: store record → as it is, or Table (table.c), or partial metadata.
 *
 * Keys: "/<group>/<plural>/<namespace>/<name>", the core group as "core", cluster-wide kinds with "-" for the namespace. Texts are the
 * object as it is answered, compact JSON with apiVersion, kind and metadata.resourceVersion (= the record's revision) in it.
 *
 * Threads: the loop given, but where noted.
 * Errors:  become a Status (status.c).
 * Limits:  object 1.5 MiB, request 3 MiB, depth VALUE_DEPTH_MAX, see struct kube_config.
 */
#include "base/base.h"
#include "kube/kind.h"
#include "kube/user.h"
#include "net/request.h"
#include "store/store.h"

struct kube;
struct loop;
struct pki;

struct kube_config {
	struct loop *loop;
	struct store *store;
	const char *folder;         /* keys and certificates: folder/pki */
	struct pki *pki;            /* the caller's; NULL: no kube-root-ca.crt, no tokens */
	const char *server_address; /* "127.0.0.1:6443": for discovery and the kubeconfig */
	struct metrics *metrics;
	bool is_rbac_off;         /* everybody who is known may all */
	bool ships_definitions;   /* those of crd/shipped/ are there from the start */
	const char *token_file;   /* lines "token,user,uid,"group1,group2"", or NULL */
	const char *audit_log;    /* a line of JSON for each request, or NULL */
	size_t object_bytes_most; /* 1.5 MiB */
	size_t watches_most;      /* 10,000; over it 429 */
	size_t
	    watch_backlog_bytes; /* of one watcher that does not read; over it the watch ends with 410 (default 4 MiB) */
	size_t requests_waiting_most; /* of one client, 500; over it 429 with Retry-After */
};
struct kube_config kube_config_default(void);
/* What the store must do for the server: notes of labels and owners, secrets encrypted. Before store_open(). */
void kube_prepare_store(struct store_config *config);

/* Makes what every cluster has: namespaces default, kube-system, kube-public, kube-node-lease, their service accounts and
 * kube-root-ca.crt, the bootstrap roles, the kubernetes service. */
struct kube *kube_new(const struct kube_config *config, struct error *err);
/* Ends what it does by itself; then the store may be closed, whose last callbacks still find it; then it may be freed. After
 * server_wait(). */
void kube_stop(struct kube *k);
void kube_free(struct kube *k); /* NULL is allowed */

/* Ends the watches, so that a server can drain, and takes no new ones. Any thread. */
void kube_drain(struct kube *k);

/* Its routes, for server_config.routes; server_config.context is the struct kube. */
extern const struct route kube_routes[];

/* ---- for the files of this room ---- */

/* A kind by plural name, or by kind name; version empty: the preferred one. NULL: nobody serves it. */
const struct kind *kube_kind(struct kube *k, struct span group, struct span version, struct span plural);
const struct kind *kube_kind_named(struct kube *k, struct span group, struct span version, struct span kind);
/* All of them, ending with NULL; valid until the next change (kube_kinds_generation() raises). */
const struct kind *const *kube_kinds(struct kube *k);
uint64_t kube_kinds_generation(struct kube *k);
/* Custom kinds come and go; the registry takes the kind over and calls `free_kind` when nobody uses it. */
bool kube_kind_add(struct kube *k, struct kind *kind, void (*free_kind)(struct kind *kind), struct error *err);
void kube_kind_remove(struct kube *k, struct span group, struct span version, struct span plural);

struct store *kube_store(struct kube *k);
struct loop *kube_loop(struct kube *k);
const char *kube_server_address(struct kube *k); /* "127.0.0.1:6443", or NULL */
struct pki *kube_pki(struct kube *k);
int64_t kube_wall_ns(struct kube *k); /* wall clock; tests set it */

struct span kube_key(const struct kind *kind, struct span name_space, struct span name, struct arena *arena);

/* The stored object as a tree in `arena`: durable, or as proposed. NULL when absent, or (err set) damaged. */
struct value *kube_object(struct kube *k, const struct kind *kind, struct span name_space, struct span name,
			  bool is_latest, struct arena *arena, struct error *err);

/*
 * A write by the server itself (controllers in this process, reviews, allocators): the same way as a client's, with admission and
 * validation, as `user` (NULL: the server itself). `object` is what is wanted; for KUBE_UPDATE with resourceVersion in it the write
 * is conditional. `done` on the loop, once: with the stored object, valid during the call, or the error.
 */
struct kube_write {
	const struct kind *kind;
	enum kube_verb verb; /* KUBE_CREATE, KUBE_UPDATE, KUBE_DELETE */
	struct span subresource;
	struct span name_space, name;
	struct value *object; /* NULL for KUBE_DELETE */
	struct span manager;  /* field manager */
	const struct user *user;
	void (*done)(void *context, const struct value *object, const struct error *err);
	void *context;
};
void kube_write(struct kube *k, const struct kube_write *w, struct arena *arena);

/* Answers of subresource handlers. The value is written as JSON with its status. */
struct kube_call;
void kube_answer(struct kube_call *call, int status, const struct value *object);
void kube_fail(struct kube_call *call, const struct error *err);
/* A Status with causes and details: `kind` fills details; causes may be NULL. */
void kube_fail_causes(struct kube_call *call, const struct error *err, const struct cause *causes);

/* An event of core/v1 about an object, counted when it comes again. Best effort. `object` may be a reference made for it: then it may have
 * "fieldPath" (a part of the object), and "host" (where it was seen). */
void kube_event(struct kube *k, const struct value *object, const char *type, const char *reason, const char *component,
		const char *format, ...) __attribute__((format(printf, 6, 7)));
