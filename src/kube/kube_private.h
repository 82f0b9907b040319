/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * kube_private - what the files of the API server share.
 *
 *	kube.c        its life, keys, time
 *	registry.c    which kinds there are
 *	notes.c       what the store keeps of each object for look-ups: labels, owners
 *	path.c        a URL as verb, kind, namespace, name
 *	options.c     what the query asks for
 *	accept.c      the form that a client wants
 *	call.c        one request: who asks, may they, which verb runs
 *	fair.c        whose turn it is
 *	status.c      answers, and failures as a Status
 *	suggest.c     "did you mean"
 *	decode.c      bodies
 *	write.c       create, update, patch: change.c is the way they share
 *	delete.c      delete, deletecollection
 *	read.c        get, list
 *	watch.c       watches
 *	selector.c    label and field selectors
 *	table.c       objects as tables and as partial metadata
 *	scale.c       the scale subresource
 *	discovery.c   which kinds there are, told to clients
 *	documents.c   OpenAPI
 *	meter.c       what is counted, and told under /metrics
 *	paths.c       what is no resource: version, health, OpenID
 *	collector.c   dependents of what is deleted
 *	namespaces.c  what each namespace gets, and its end
 *	gauges.c      what is counted of requests, for autoscalers
 *	events.c      events of core/v1 by the server itself
 *
 * Threads: the API server's loop.
 */
#include "kube/admission.h"
#include "kube/crd/structural.h"
#include "kube/gauges.h"
#include "kube/kube.h"
#include "kube/patch.h"
#include "kube/subresource.h"
#include "loop/loop.h"

#define CALL_ARENA_MOST    MIB(256) /* memory of one request: ten thousand operations of a patch over a large object */
#define OBJECT_BYTES_MOST  (MIB(1) + KIB(512))
#define REQUEST_BYTES_MOST MIB(3)
#define WRITE_TRIES_MOST   5 /* of a patch whose object was changed meanwhile */

struct call;
struct auth;
struct collector;
struct definitions;
struct discovery;
struct documents;
struct meter;
struct namespaces;
struct watch_set;
struct fair_client;

/* ---- selectors: selector.c ---- */

enum requirement_kind { REQUIRE_IN, REQUIRE_NOT_IN, REQUIRE_EXISTS, REQUIRE_ABSENT, REQUIRE_GREATER, REQUIRE_LESS };

struct requirement {
	struct span key;
	enum requirement_kind kind;
	struct span *values;
	uint32_t count;
	int64_t number;                 /* GREATER, LESS */
	const struct selectable *field; /* of a field selector, beside name and namespace */
};

struct selector {
	struct requirement *items;
	uint32_t count;
};

bool selector_parse_labels(struct span text, struct arena *arena, struct selector *ret, struct error *err);
bool selector_parse_fields(struct span text, const struct kind *kind, struct arena *arena, struct selector *ret,
			   struct error *err);
bool selector_copy(const struct selector *from, struct arena *arena, struct selector *ret, struct error *err);

/* ---- notes.c ---- */

struct label {
	struct span key, value;
};

struct owner_note {
	struct span uid;
	bool blocks;
};

/* Spans point into the record's text, or behind the struct. */
struct notes {
	struct span uid;
	struct span list_text; /* the object without apiVersion and kind, as lists have it: what stands behind them */
	uint32_t label_count, owner_count;
	bool is_ending;                /* has a deletionTimestamp */
	bool is_foreground, is_orphan; /* finalizers of the collector */
	struct label *labels;
	struct owner_note *owners;
};

void *notes_make(void *context, const struct record *r, size_t *ret_size);
static inline const struct notes *notes_of(const struct record *r)
{
	return r->notes;
}

struct selectors {
	struct selector labels, fields;
};
bool selectors_match(const struct selectors *s, const struct kind *kind, const struct record *r);
static inline bool selectors_are_empty(const struct selectors *s)
{
	return s->labels.count == 0 && s->fields.count == 0;
}

/* ---- options.c ---- */

enum propagation { PROPAGATE_UNSAID, PROPAGATE_BACKGROUND, PROPAGATE_FOREGROUND, PROPAGATE_ORPHAN };
enum validation { VALIDATE_WARN, VALIDATE_STRICT, VALIDATE_IGNORE };
enum version_match { MATCH_UNSAID, MATCH_EXACT, MATCH_NOT_OLDER };

struct options {
	struct span label_selector, field_selector;
	struct span resource_version, continue_token;
	struct span field_manager;
	struct span include_object;
	int64_t limit, timeout_seconds; /* 0: unsaid */
	int64_t version;                /* resource_version as a number; -1: unsaid */
	enum version_match match;
	enum validation validation;
	enum propagation propagation;
	int64_t grace_seconds; /* -1: unsaid */
	struct span precondition_uid, precondition_version;
	bool has_precondition_uid, has_precondition_version;
	bool is_watch, has_bookmarks, is_dry_run, is_forced, is_pretty;
};

/* ---- answers: status.c ---- */

enum form { FORM_OBJECT, FORM_TABLE, FORM_PARTIAL, FORM_PARTIAL_LIST };

/* What a header Accept asks for: of the ranges that can be given the best, of equal ones the first. False: none can; then is_known tells
 * whether it had a media type that others can be given in. accept.c */
struct accepting {
	enum form form;
	bool is_yaml, is_beta_form, is_known;
};
bool accept_choose(struct span header, struct accepting *ret);

/* A Status to be; zeros are left out. */
struct status {
	int code;
	const char *reason;
	struct span message;
	bool has_details;
	struct span name, group, kind, uid;
	const struct cause *causes;
	int retry_seconds;
	bool is_success;
};

/* One request on its way. Its memory is its own: the client may go while a write is under way. */
struct call {
	struct kube_call base; /* base.req NULL: a write of the server's own, or the client went away */
	struct arena arena;
	struct user user;
	struct options options;
	struct selectors selectors;
	struct span path, query;
	struct span group, version, plural; /* as the path has them */
	struct span content_type, body;
	enum method method;
	const char *verb_text; /* "get", "list", ..., "connect"; for paths the method */
	enum form form;
	bool is_beta_form; /* a Table or partial metadata in the words of v1beta1 */
	bool is_yaml;      /* answers in YAML, of which JSON is a part */
	bool is_resource;  /* the path names a kind */
	bool is_internal;  /* a write of the server's own */
	bool is_answered, is_opened, has_seat, is_collection;
	bool is_deprecated_watch;

	/* write.c, delete.c */
	struct change change;
	struct error change_error;
	struct record *base_record; /* what the change is based on, referenced; NULL: none */
	struct span old_text;
	int64_t revision; /* of base_record; 0 */
	unsigned tries, waits;
	uint32_t warnings; /* before it began */
	struct store_after after;
	bool is_patch, is_apply, is_created, is_removed;
	bool skips_admission;
	bool skips_owners;   /* managed fields stay as they are */
	bool answers_status; /* a delete that leaves nothing answers with a Status, not with the object */
	struct span patch_text;
	struct kube_write write;     /* is_internal */
	const struct value *initial; /* is_internal: the object wanted */
	struct error report_error;
	struct value unknown; /* array of messages of the decoder */

	/* By a conversion webhook: crd/convert.h. */
	unsigned conversions; /* how often reading has waited for one */
	int64_t expires_ns;
	struct span stored_text; /* change.object in the version that is stored; empty: not yet */

	/* In place of the object as it is stored: scale.c. */
	void (*answer)(struct call *call, int status, const struct value *object);

	/* fair.c */
	struct fair_client *client;
	struct call *next;
	void (*run)(struct call *call);
	bool *was_freed; /* told when the call ends inside a handler; or NULL */
	void (*finished)(struct call *call, const struct error *err); /* parts of a collection */
	void *finished_context;
};

struct call *call_new(struct kube *k);
void call_free(struct call *call); /* back to the free list */
static inline struct call *call_of(struct kube_call *base)
{
	return (struct call *)base;
}
/* The answer may come later. */
void call_open(struct call *call);
void call_handle(struct request *req);
/* A path below the object that has a function of its own. */
bool subresource_is_handled(const struct kind *kind, struct span name);
void subresource_run(struct call *call);
bool user_copy(const struct user *from, struct arena *arena, struct user *ret, struct error *err);

/* All of these end the call. */
void answer_text(struct call *call, int status, struct span text); /* an object as it is stored */
void answer_value(struct call *call, int status, const struct value *v);
void answer_status(struct call *call, const struct status *s);
void answer_error(struct call *call, const struct error *err); /* with details by the call's kind and name */
void answer_causes(struct call *call, struct span kind, struct span group, struct span name,
		   const struct cause *causes);
void answer_plain(struct call *call, int status, struct span text);
void answer_not_found(struct call *call);   /* the object */
void answer_no_resource(struct call *call); /* the path */
void answer_no_method(struct call *call);
void answer_message(struct call *call, int code, const char *reason, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
/* The same with empty details, as what is refused before a kind looks at it. */
void answer_generic(struct call *call, int code, const char *reason, const char *message);
/* What is in call->base.req->out, JSON. */
void answer_out(struct call *call, int status);
/* The Status for an error as JSON, for events of watches. */
void status_write(const struct status *s, struct json_writer *w);
struct status status_of_error(struct call *call, const struct error *err);
bool status_of_conflict(struct call *call, struct status *ret);
/* `configmaps` or `deployments.apps`. */
struct span resource_text(struct call *call);
void fail_as_status(struct request *req, const struct error *err);
extern const struct surface surface_kube;
/* suggest.c: a warning when a name is like the one at the end of `path`, which `root` does not have; or like call->plural. */
void suggest_field(struct call *call, struct place root, struct span path);
void suggest_kind(struct call *call);
void warn(struct call *call, const char *format, ...) __attribute__((format(printf, 2, 3)));
void cause_add(struct call *call, struct cause ***end, const char *reason, struct span field, const char *format, ...)
    __attribute__((format(printf, 5, 6)));

/* False: answered. */
bool options_read(struct call *call);
bool options_read_delete(struct call *call); /* with the body's */

/* ---- path.c ---- */

/* Fills group, version, plural, base.name_space, name, subresource, rest, base.verb. False: it is no resource's path. */
bool path_parse(struct call *call);

/* ---- decode.c ---- */

enum body_form { BODY_JSON, BODY_YAML, BODY_PROTOBUF };

/* The body as an object of `kind` (or the type of a subresource). False: answered. */
bool decode_body(struct call *call, struct value *ret);
/* What a patch has made, once more by the schema; `from` says where it comes from, for refusals (NULL: quote it as it is). False: answered. */
struct patched {
	const struct value *strategic; /* the patch, of a strategic merge; else NULL */
	bool (*again)(struct call *call, void *context, struct value *ret); /* makes the object once more; or NULL */
	void *context;
};
bool decode_patched(struct call *call, struct value *v, const struct patched *from);
struct place kind_place(const struct kind *kind);
const struct type *kind_type(const struct kind *kind);

/* ---- verbs ---- */

void read_get(struct call *call);
void read_list(struct call *call);
void watch_start(struct call *call);
void write_create(struct call *call);
void write_update(struct call *call); /* patches too */
void delete_object(struct call *call);
void delete_collection(struct call *call);
void scale_get(struct call *call);
/* The selector of an object at that path as text; empty: none. */
struct span scale_selector(const struct value *object, const char *path, struct arena *arena);
void scale_write(struct call *call);
void path_serve(struct call *call); /* no resource */
void discovery_serve(struct call *call, struct span *segments, size_t count);
void meter_begin(struct call *call); /* a resource is asked for: counted when it is answered */
void meter_serve(struct call *call);
void documents_serve(struct call *call, struct span *segments, size_t count); /* OpenAPI */

/* change.c: what create, update and delete share. change.object, old, base_record and so on are set. */
void change_begin(struct call *call, enum kube_verb verb);
struct apply_manager manager_make(struct call *call);
void change_run(struct call *call); /* defaults ... store_write() */
bool change_store(struct call *call, bool is_deletion, int64_t expires_ns);
bool object_set_version(struct value *object, int64_t revision, struct arena *arena, struct error *err);
/*
 * Would the answer rest on a version that is not durable yet? It may be taken back, and nobody can read it. True: the call begins anew when
 * it is durable, and so often at the most.
 */
bool change_waits(struct call *call, unsigned most);
/* The text of an object again, with the revision that it gets now: store_config.renew. */
bool object_renew(void *context, struct span key, struct span text, int64_t revision, struct buffer *out,
		  struct error *err);
struct value *object_metadata(struct value *object, struct arena *arena, struct error *err);
struct value *record_object(const struct kind *kind, const struct record *r, struct arena *arena, struct error *err);
bool has_finalizers(const struct value *object);

/* ---- forms: table.c, read.c ---- */

static inline const char *form_api_version(const struct call *call)
{
	return call->is_beta_form ? "meta.k8s.io/v1beta1" : "meta.k8s.io/v1";
}

/* Writes one object in the call's form. */
bool form_write(struct call *call, const struct kind *kind, struct span text, struct buffer *out, struct error *err);
bool include_check(struct call *call); /* includeObject of tables. False: answered */
/* The same; columns of a table are left out for the later events of a watch. */
bool form_write_columns(struct call *call, const struct kind *kind, struct span text, struct buffer *out,
			bool has_columns, struct error *err);
bool table_row(struct call *call, const struct kind *kind, const struct value *object, struct json_writer *w,
	       struct arena *arena, struct error *err);
void table_columns(const struct kind *kind, struct json_writer *w);
bool partial_write(const struct value *object, struct json_writer *w);
struct span record_text(struct call *call, const struct record *r, struct error *err); /* as this version of the kind */
/* May the text be shown as it is, when it is of the kind's version? */
/* Was the text written by this version of the kind? */
bool record_is_of_version(const struct kind *kind, const struct record *r);
bool reads_as_stored(const struct kind *kind, const struct record *r);

/* ---- registry.c ---- */

struct registry;
struct registry *registry_new(void);
void registry_free(struct registry *r);
bool registry_has_group(struct registry *r, struct span group, bool builtin_only);
void kind_hold(struct kube *k, const struct kind *kind);
void kind_release(struct kube *k, const struct kind *kind);

/* ---- events.c ---- */

struct events *events_new(void);
void events_free(struct events *e);

/* ---- fair.c ---- */

struct fair;
struct fair *fair_new(struct kube *k);
void fair_free(struct fair *f);
/* Runs call->run now or in its turn; true when it was run or queued, false when refused (answered). */
void fair_submit(struct fair *f, struct call *call);
void fair_done(struct fair *f, struct call *call);   /* gives its seat back */
void fair_forget(struct fair *f, struct call *call); /* a waiting call's client went away */

struct kube {
	struct kube_config config;
	struct registry *registry;
	struct fair *fair;
	struct events *events;
	struct watch_set *watches;
	struct collector *collector;
	struct definitions *definitions;
	struct namespaces *namespaces;
	struct quotas *quotas;           /* admission/quota.h */
	struct webhooks *webhooks;       /* webhook.h */
	struct hooks *hooks;             /* admission/hooks.h */
	struct conversions *conversions; /* crd/convert.h */
	struct discovery *discovery;
	struct documents *documents;
	struct meter *meter; /* NULL: nothing is counted */
	struct auth *auth;
	node_answer nodes; /* subresource.h */
	void *nodes_context;
	struct gauge_provider gauges; /* use_of NULL: nobody counts */
	struct call *free_calls;
	size_t free_count;
	int64_t wall_ns; /* 0: the real clock */
	struct loop_message drain;
	struct timer resume;
	int64_t resume_ns; /* how long that waits */
	bool is_closing, is_draining;
};

struct watch_set *watch_set_new(struct kube *k);
void watch_set_free(struct watch_set *s);
size_t watch_set_count(const struct watch_set *s);
void watch_set_end(struct watch_set *s);       /* all of them end in good order */
void watch_set_end_stale(struct watch_set *s); /* those of custom kinds that are not served any more, or anew */
struct collector *collector_new(struct kube *k, struct error *err);
/* From then on it follows and does nothing; what it has under way may still end. */
void collector_stop(struct collector *c);
void collector_resume(struct collector *c); /* kube_write_ended() */
void collector_free(struct collector *c);
struct namespaces *namespaces_new(struct kube *k, struct error *err);
void namespaces_stop(struct namespaces *n);
void namespaces_resume(struct namespaces *n); /* kube_write_ended() */
void namespaces_free(struct namespaces *n);
struct discovery *discovery_new(struct kube *k);
void discovery_free(struct discovery *d);
struct documents *documents_new(struct kube *k);
void documents_free(struct documents *d);
/* NULL for no metrics. */
struct meter *meter_new(struct metrics *metrics);
void meter_free(struct meter *m);

/*
 * A write of the server's own was not made: whoever writes for the server looks at what there is once more, later each time. To be told of
 * any end of such a write: of one that somebody else's came before, whose event is looked at, nothing is done.
 */
void kube_write_ended(struct kube *k, const struct error *err);

/* A write of the server's own that has not begun: options may be set before call->run(call). */
struct call *kube_write_prepare(struct kube *k, const struct kube_write *w);

void kube_set_wall_ns(struct kube *k, int64_t wall_ns); /* for tests */

static inline struct span get_string(const struct value *object, const char *member)
{
	const struct value *v = value_get(object, span_of(member));

	return value_is(v, VALUE_STRING) ? v->string : (struct span){ 0 };
}
