/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cluster_local - the API server of this process as controllers see it. What is seen is what the store has, so nothing is kept twice:
 * a followed kind costs a watch of its keys.
 */
#include "kube/cluster.h"
#include "kube/kube_private.h"

#include <stdlib.h>

struct following {
	struct following *next;
	struct store_watcher watcher;
	struct local *local;
	const struct resource *resource;
	void (*seen)(void *context, const struct sighting *s);
	void *context;
};

struct local {
	struct cluster cluster;
	struct kube *kube;
	struct following *followings;
};

static struct local *local_of(struct cluster *c)
{
	return CONTAINER_OF(c, struct local, cluster);
}

static const struct kind *kind_of(struct local *l, const struct resource *r)
{
	return kube_kind(l->kube, span_of(r->group), span_of(r->version), span_of(r->plural));
}

/* ---- seeing ---- */

/* "/apps/deployments/default/web": the namespace of what has none is "-". */
static struct sighting sighting_of(const struct following *f, struct span key)
{
	struct sighting s = { .resource = f->resource };

	key = span_skip(key, 1);
	(void)span_cut(&key, '/');
	(void)span_cut(&key, '/');
	s.name_space = span_cut(&key, '/');
	if (span_equal(s.name_space, SPAN("-")))
		s.name_space = (struct span){ 0 };
	s.name = key;
	return s;
}

static void changed(struct store_watcher *watcher, const struct store_event *e)
{
	const struct following *f = CONTAINER_OF(watcher, struct following, watcher);
	struct sighting s = sighting_of(f, e->record->key);

	s.now = e->record->is_deletion ? NULL : e->record;
	s.before = e->previous && !e->previous->is_deletion ? e->previous : NULL;
	f->seen(f->context, &s);
}

static bool there(void *context, struct record *r)
{
	const struct following *f = context;
	struct sighting s = sighting_of(f, r->key);

	s.now = r;
	f->seen(f->context, &s);
	return true;
}

static void following_free(struct following *f)
{
	if (f->watcher.watch)
		store_unwatch(f->watcher.watch);
	free(f);
}

/* Of kinds that somebody serves, or may: custom ones come and go. */
static struct span prefix_of(const struct resource *r, struct arena *arena)
{
	struct kind kind = { .group = r->group, .version = r->version, .plural = r->plural, .is_namespaced = true };

	return kube_key(&kind, (struct span){ 0 }, (struct span){ 0 }, arena);
}

static bool local_follow(struct cluster *c, const struct resource *r,
			 void (*seen)(void *context, const struct sighting *s), void *context, struct error *err)
{
	struct local *l = local_of(c);
	struct store *store = l->kube->config.store;
	const struct kind *kind = kind_of(l, r);
	struct following *f;
	struct arena arena;
	struct span prefix;
	bool good;

	if (!kind && !strchr(r->group, '.'))
		return error_set(err, ERROR_NOT_FOUND, "no %s of %s/%s are served", r->plural, r->group, r->version);
	f = base_calloc(1, sizeof(*f));
	f->watcher.event = changed;
	f->local = l;
	f->resource = r;
	f->seen = seen;
	f->context = context;
	arena_init(&arena, KIB(64));
	prefix = kind ? kube_key(kind, (struct span){ 0 }, (struct span){ 0 }, &arena) : prefix_of(r, &arena);
	good = store_list(store, prefix, (struct span){ 0 }, 0, there, f, err) &&
	       store_watch(store, prefix, store_revision(store), &f->watcher, err);
	arena_done(&arena);
	if (!good) {
		following_free(f);
		return false;
	}
	f->next = l->followings;
	l->followings = f;
	return true;
}

static struct record *local_get(struct cluster *c, const struct resource *r, struct span name_space, struct span name)
{
	struct local *l = local_of(c);
	const struct kind *kind = kind_of(l, r);
	struct record *found = NULL;
	struct arena arena;
	struct span key;

	if (!kind)
		return NULL;
	arena_init(&arena, KIB(64));
	key = kube_key(kind, name_space, name, &arena);
	if (key.ptr)
		found = store_get(l->kube->config.store, key);
	arena_done(&arena);
	return found;
}

static void local_each(struct cluster *c, const struct resource *r, struct span name_space,
		       bool (*take)(void *context, struct record *record), void *context)
{
	struct local *l = local_of(c);
	const struct kind *kind = kind_of(l, r);
	struct error ignored = { 0 };
	struct arena arena;
	struct span prefix;

	if (!kind)
		return;
	arena_init(&arena, KIB(64));
	prefix = kube_key(kind, name_space, (struct span){ 0 }, &arena);
	if (prefix.ptr)
		(void)store_list(l->kube->config.store, prefix, (struct span){ 0 }, 0, take, context, &ignored);
	arena_done(&arena);
}

static struct value *local_object(struct cluster *c, const struct resource *r, const struct record *record,
				  struct arena *arena, struct error *err)
{
	const struct kind *kind = kind_of(local_of(c), r);

	if (!kind) {
		error_set(err, ERROR_NOT_FOUND, "no %s of %s/%s are served", r->plural, r->group, r->version);
		return NULL;
	}
	return record_object(kind, record, arena, err);
}

static bool local_scale(struct cluster *c, struct span group, struct span kind_name, struct span name_space,
			struct span name, struct cluster_scale *ret, struct arena *arena, struct error *err)
{
	struct kube *k = local_of(c)->kube;
	const struct kind *kind = kube_kind_named(k, group, (struct span){ 0 }, kind_name);
	const struct value *object;

	if (!kind)
		return error_set(err, ERROR_NOT_FOUND, "no matches for kind \"" SPAN_FMT "\" in group \"" SPAN_FMT "\"",
				 SPAN_ARG(kind_name), SPAN_ARG(group));
	ret->resource = (struct resource){ kind->group, kind->version, kind->plural, kind->kind };
	if (!(kind->subresources & SUB_SCALE))
		return error_set(err, ERROR_UNIMPLEMENTED, "the server could not find the requested resource");
	object = kube_object(k, kind, name_space, name, false, arena, err);
	if (!object)
		return !err->code && error_set(err, ERROR_NOT_FOUND, "%s%s%s \"" SPAN_FMT "\" not found", kind->plural,
					       *kind->group ? "." : "", kind->group, SPAN_ARG(name));
	*ret = (struct cluster_scale){
		.resource = ret->resource,
		.name = value_find_string(object, "metadata.name"),
		.replicas = value_find_int(object, kind->scale.spec_replicas, 0),
		.current = value_find_int(object, kind->scale.status_replicas, 0),
		.selector = scale_selector(object, kind->scale.selector, arena),
		.uid = value_find_string(object, "metadata.uid"),
		.version = value_find_string(object, "metadata.resourceVersion"),
	};
	return true;
}

static bool local_gauges(struct cluster *c, const struct gauge_question *q, struct gauges *ret, struct arena *arena,
			 struct error *err)
{
	return gauges_find(local_of(c)->kube, q, ret, arena, err);
}

/* ---- writing ---- */

static void local_write(struct cluster *c, const struct cluster_write *w)
{
	struct local *l = local_of(c);
	struct kube_write write = { .kind = kind_of(l, w->resource),
				    .verb = w->verb,
				    .subresource = w->subresource,
				    .name_space = w->name_space,
				    .name = w->name,
				    .object = w->object,
				    .manager = w->manager,
				    .done = w->done,
				    .context = w->context };
	struct error err = { 0 };
	struct call *call;

	if (!write.kind) {
		error_set(&err, ERROR_NOT_FOUND, "no %s of %s/%s are served", w->resource->plural, w->resource->group,
			  w->resource->version);
		w->done(w->context, NULL, &err);
		return;
	}
	call = kube_write_prepare(l->kube, &write);
	if (w->verb == KUBE_DELETE) {
		call->options.grace_seconds = w->grace;
		if (w->uid.len) {
			call->options.precondition_uid = arena_copy(&call->arena, w->uid, &err);
			call->options.has_precondition_uid = true;
		}
	}
	call->run(call);
}

static void local_event(struct cluster *c, const struct value *object, const char *type, const char *reason,
			const char *component, const char *text)
{
	kube_event(local_of(c)->kube, object, type, reason, component, "%s", text);
}

static void local_free(struct cluster *c)
{
	struct local *l = local_of(c);

	while (l->followings) {
		struct following *f = l->followings;

		l->followings = f->next;
		following_free(f);
	}
	free(l);
}

struct cluster *cluster_local_new(struct kube *k)
{
	static const struct cluster_ops ops = { local_follow, local_get,   local_each,  local_object, local_scale,
						local_gauges, local_write, local_event, local_free };
	struct local *l = base_calloc(1, sizeof(*l));

	l->cluster.ops = &ops;
	l->kube = k;
	return &l->cluster;
}
