/* SPDX-License-Identifier: Apache-2.0 */
/*
 * environment - the variables of a container, in this order: envFrom, env, services, what a container always has. A later one of the
 * first two replaces an earlier one in its place; the rest only fills in.
 */
#include "node/environment.h"

#include <ctype.h>
#include <pwd.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#include "node/confine.h"
#include "node/images.h"
#include "wire/base64.h"

#define HOSTNAME_MOST 63

/* ---- a list of variables that is looked up by name ---- */

struct variables {
	struct arena *arena;
	struct error *err;
	struct name_value *items;
	uint32_t *slots; /* 1 + index; 0: free */
	size_t count, capacity, slot_count;
};

static size_t slot_of(const struct variables *v, struct span name)
{
	size_t at = span_hash(name) & (v->slot_count - 1);

	while (v->slots[at] && !span_equal(v->items[v->slots[at] - 1].name, name))
		at = (at + 1) & (v->slot_count - 1);
	return at;
}

static bool grow(struct variables *v)
{
	size_t capacity = v->capacity ? v->capacity * 2 : 32;
	struct name_value *items = ARENA_ARRAY(v->arena, struct name_value, capacity, v->err);

	v->slots = (uint32_t *)arena_calloc(v->arena, capacity * 2, sizeof(*v->slots), v->err);
	if (!items || !v->slots)
		return false;
	if (v->count)
		memcpy(items, v->items, v->count * sizeof(*items));
	v->items = items;
	v->capacity = capacity;
	v->slot_count = capacity * 2;
	for (size_t i = 0; i < v->count; i++)
		v->slots[slot_of(v, items[i].name)] = (uint32_t)i + 1;
	return true;
}

static const struct name_value *find(const struct variables *v, struct span name)
{
	size_t at = v->slot_count ? slot_of(v, name) : 0;

	return v->slot_count && v->slots[at] ? &v->items[v->slots[at] - 1] : NULL;
}

/* The spans are kept as they are. */
static bool set(struct variables *v, struct span name, struct span value, bool replaces)
{
	size_t at;

	if (value.len && memchr(value.ptr, '\0', value.len))
		return error_set(v->err, ERROR_INVALID,
				 "the value of the environment variable \"" SPAN_FMT "\" holds a zero byte",
				 SPAN_ARG(name));
	if (v->count == v->capacity && !grow(v))
		return false;
	at = slot_of(v, name);
	if (v->slots[at]) {
		if (replaces)
			v->items[v->slots[at] - 1].value = value;
		return true;
	}
	v->items[v->count++] = (struct name_value){ name, value };
	v->slots[at] = (uint32_t)v->count;
	return true;
}

/* ---- $(NAME) ---- */

struct names {
	const struct name_value *(*find)(const struct names *n, struct span name);
	const struct variables *first, *second; /* second: NULL, or where names are looked for next */
	const struct name_value *list;          /* of command_make() */
	size_t count;
	struct span *missing; /* where the first name that is not there is put, or NULL */
};

static const struct name_value *find_in_variables(const struct names *n, struct span name)
{
	const struct name_value *v = find(n->first, name);

	return v ? v : n->second ? find(n->second, name) : NULL;
}

static const struct name_value *find_in_list(const struct names *n, struct span name)
{
	for (size_t i = 0; i < n->count; i++)
		if (span_equal(n->list[i].name, name))
			return &n->list[i];
	return NULL;
}

/* What follows a '$' is one thing: "$" (an escape), "(NAME)", or a byte that means nothing. Returns how many bytes were read. */
static size_t expand_one(const struct names *n, struct span s, struct buffer *out)
{
	size_t close = s.len && s.ptr[0] == '(' ? span_index(s, ')') : s.len;
	const struct name_value *v;

	if (close < s.len) {
		v = n->find(n, span_from(s.ptr + 1, close - 1));
		if (v) {
			buffer_append(out, v->value);
		} else {
			buffer_byte(out, '$');
			buffer_append(out, span_first(s, close + 1));
			if (n->missing && !n->missing->ptr)
				*n->missing = span_from(s.ptr + 1, close - 1);
		}
		return close + 1;
	}
	buffer_byte(out, '$');
	if (s.ptr[0] != '$')
		buffer_byte(out, s.ptr[0]);
	return 1;
}

#define EXPANDED_MOST MIB(2) /* more than the kernel takes in one argument */

static bool expand(const struct names *n, struct span s, struct arena *arena, struct span *ret, struct error *err)
{
	struct buffer out;
	bool done;

	if (!s.len || !memchr(s.ptr, '$', s.len)) {
		*ret = s;
		return true;
	}
	buffer_init(&out, EXPANDED_MOST);
	while (s.len) {
		size_t plain = span_index(s, '$');

		if (plain == s.len || plain + 1 == s.len) { /* a '$' at the end is one */
			buffer_append(&out, s);
			break;
		}
		buffer_append(&out, span_first(s, plain));
		s = span_skip(s, plain + 1);
		s = span_skip(s, expand_one(n, s, &out));
	}
	done = buffer_ok(&out, "a value with its references replaced", err);
	if (done)
		*ret = arena_copy(arena, buffer_span(&out), err);
	buffer_done(&out);
	return done && ret->ptr;
}

/* ---- sources ---- */

struct source {
	struct source *next;
	const struct resource *resource;
	struct span name;
	const struct value *object; /* NULL: it is not there */
};

struct making {
	const struct pod_place *place;
	const struct value *pod, *container;
	const struct image *image; /* or NULL */
	struct span name_space;
	struct arena *arena;
	struct error *err;
	struct source *sources; /* objects that were read */
	struct variables own, services;
};

/* NULL with err NONE: it is not there. */
static const struct value *source_object(struct making *m, const struct resource *r, struct span name)
{
	struct record *record;
	struct source *s = m->sources;

	while (s && !(s->resource == r && span_equal(s->name, name)))
		s = s->next;
	if (s)
		return s->object;
	s = ARENA_NEW(m->arena, struct source, m->err);
	if (!s)
		return NULL;
	record = cluster_get(m->place->cluster, r, m->name_space, name);
	*s = (struct source){ m->sources, r, name, NULL };
	if (record)
		s->object = cluster_object(m->place->cluster, r, record, m->arena, m->err);
	m->sources = s;
	return s->object;
}

static bool not_found(struct making *m, const struct resource *r, struct span name)
{
	return error_set(m->err, ERROR_NOT_FOUND, "%s \"" SPAN_FMT "\" not found",
			 r == &resource_secrets ? "secret" : "configmap", SPAN_ARG(name));
}

static bool text_of_source(struct making *m, const struct resource *r, const struct value *v, struct span *ret)
{
	*ret = value_is(v, VALUE_STRING) ? v->string : SPAN("");
	return r != &resource_secrets || base64_read(*ret, m->arena, ret, m->err);
}

static bool add_from_one(struct making *m, const struct value *from, const char *member, const struct resource *r)
{
	const struct value *ref = value_get(from, span_of(member)), *object, *data;
	struct span name = value_find_string(ref, "name"), prefix = value_find_string(from, "prefix"), value, key;

	if (!ref)
		return true;
	object = source_object(m, r, name);
	if (!object) {
		if (m->err->code == ERROR_NONE && value_find_bool(ref, "optional"))
			return true;
		return m->err->code == ERROR_NONE ? not_found(m, r, name) : false;
	}
	data = value_get(object, SPAN("data"));
	for (uint32_t i = 0; value_is(data, VALUE_OBJECT) && i < data->object.count; i++) {
		const struct value_member *one = &data->object.members[i];

		key = prefix.len ? arena_print(m->arena, m->err, "%.*s%.*s", (int)prefix.len, prefix.ptr,
					       (int)one->key.len, one->key.ptr)
				 : one->key;
		if (!key.ptr || !text_of_source(m, r, &one->value, &value) || !set(&m->own, key, value, true))
			return false;
	}
	return true;
}

static bool add_from(struct making *m)
{
	const struct value *list = value_get(m->container, SPAN("envFrom"));

	for (uint32_t i = 0; i < value_count(list); i++)
		if (!add_from_one(m, value_item(list, i), "configMapRef", &resource_config_maps) ||
		    !add_from_one(m, value_item(list, i), "secretRef", &resource_secrets))
			return false;
	return true;
}

/* *ret_is_there false: it is optional, and the variable is left out. */
static bool key_value(struct making *m, const struct value *ref, const struct resource *r, struct span *ret,
		      bool *ret_is_there)
{
	struct span name = value_find_string(ref, "name"), key = value_find_string(ref, "key");
	bool is_optional = value_find_bool(ref, "optional");
	const struct value *object = source_object(m, r, name), *v;

	*ret_is_there = false;
	if (!object)
		return m->err->code == ERROR_NONE && (is_optional || not_found(m, r, name));
	v = value_get(value_get(object, SPAN("data")), key);
	if (!v)
		return is_optional ||
		       error_set(m->err, ERROR_NOT_FOUND, "couldn't find key " SPAN_FMT " in %s " SPAN_FMT "/" SPAN_FMT,
				 SPAN_ARG(key), r->kind, SPAN_ARG(m->name_space), SPAN_ARG(name));
	*ret_is_there = true;
	return text_of_source(m, r, v, ret);
}

static bool value_from(struct making *m, const struct value *from, struct span *ret, bool *ret_is_there)
{
	const struct value *ref;
	struct span container;

	*ret = SPAN("");
	*ret_is_there = true;
	ref = value_get(from, SPAN("fieldRef"));
	if (ref)
		return field_value(m->place, m->pod, value_find_string(ref, "fieldPath"), m->arena, ret, m->err);
	ref = value_get(from, SPAN("resourceFieldRef"));
	if (ref) {
		container = value_find_string(ref, "containerName");
		return resource_value(
		    m->place, m->pod, container.len ? container : value_find_string(m->container, "name"),
		    value_find_string(ref, "resource"), value_find_string(ref, "divisor"), m->arena, ret, m->err);
	}
	ref = value_get(from, SPAN("configMapKeyRef"));
	if (ref)
		return key_value(m, ref, &resource_config_maps, ret, ret_is_there);
	ref = value_get(from, SPAN("secretKeyRef"));
	if (ref)
		return key_value(m, ref, &resource_secrets, ret, ret_is_there);
	return true;
}

static bool add_env(struct making *m)
{
	const struct value *list = value_get(m->container, SPAN("env"));
	const struct names names = { .find = find_in_variables, .first = &m->own, .second = &m->services };

	for (uint32_t i = 0; i < value_count(list); i++) {
		const struct value *one = value_item(list, i), *from = value_get(one, SPAN("valueFrom"));
		struct span value = value_find_string(one, "value");
		bool is_there = true;

		if (value.len || !from) {
			if (!expand(&names, value, m->arena, &value, m->err))
				return false;
		} else if (!value_from(m, from, &value, &is_there)) {
			return false;
		}
		if (is_there && !set(&m->own, value_find_string(one, "name"), value, true))
			return false;
	}
	return true;
}

/* ---- services ---- */

static struct span variable_name(struct making *m, struct span name)
{
	struct span copy = arena_copy(m->arena, name, m->err);
	char *text = (char *)copy.ptr;

	for (size_t i = 0; text && i < copy.len; i++)
		text[i] = text[i] == '-' ? '_' : (char)toupper((unsigned char)text[i]);
	return copy;
}

static bool add_service(struct making *m, const char *value, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
static bool add_service(struct making *m, const char *value, const char *format, ...)
{
	char name[512];
	va_list args;
	struct span n, v;

	va_start(args, format);
	vsnprintf(name, sizeof(name), format, args);
	va_end(args);
	n = arena_copy(m->arena, span_of(name), m->err);
	v = arena_copy(m->arena, span_of(value), m->err);
	return n.ptr && v.ptr && set(&m->services, n, v, true);
}

/* What Docker's links were: WEB_PORT_80_TCP, _PROTO, _PORT, _ADDR. */
static bool add_link(struct making *m, const char *prefix, struct span address, const struct value *port, bool is_first)
{
	struct span protocol = value_find_string(port, "protocol");
	long long number = (long long)value_find_int(port, "port", 0);
	bool is_six = memchr(address.ptr, ':', address.len) != NULL;
	char upper[8] = "TCP", lower[8] = "tcp", text[160], digits[24], plain[80];

	for (size_t i = 0; protocol.len < sizeof(upper) && i < protocol.len; i++) {
		upper[i] = (char)toupper((unsigned char)protocol.ptr[i]);
		lower[i] = (char)tolower((unsigned char)protocol.ptr[i]);
		upper[i + 1] = lower[i + 1] = '\0';
	}
	snprintf(text, sizeof(text), is_six ? "%s://[" SPAN_FMT "]:%lld" : "%s://" SPAN_FMT ":%lld", lower,
		 SPAN_ARG(address), number);
	snprintf(digits, sizeof(digits), "%lld", number);
	snprintf(plain, sizeof(plain), SPAN_FMT, SPAN_ARG(address));
	return (!is_first || add_service(m, text, "%s_PORT", prefix)) &&
	       add_service(m, text, "%s_PORT_%lld_%s", prefix, number, upper) &&
	       add_service(m, lower, "%s_PORT_%lld_%s_PROTO", prefix, number, upper) &&
	       add_service(m, digits, "%s_PORT_%lld_%s_PORT", prefix, number, upper) &&
	       add_service(m, plain, "%s_PORT_%lld_%s_ADDR", prefix, number, upper);
}

static bool add_service_variables(struct making *m, const struct value *service)
{
	struct span address = value_find_string(service, "spec.clusterIP");
	struct span name = variable_name(m, value_find_string(service, "metadata.name"));
	const struct value *ports = value_find(service, "spec.ports");
	char plain[80], digits[24];
	bool good;

	if (!address.len || span_equal(address, SPAN("None")) || !value_is(ports, VALUE_ARRAY) || !ports->array.count)
		return true;
	snprintf(plain, sizeof(plain), SPAN_FMT, SPAN_ARG(address));
	snprintf(digits, sizeof(digits), "%lld", (long long)value_find_int(value_item(ports, 0), "port", 0));
	good = name.ptr && add_service(m, plain, "%s_SERVICE_HOST", name.ptr) &&
	       add_service(m, digits, "%s_SERVICE_PORT", name.ptr);
	for (uint32_t i = 0; good && i < ports->array.count; i++) {
		const struct value *port = value_item(ports, i);
		struct span port_name = value_find_string(port, "name");

		snprintf(digits, sizeof(digits), "%lld", (long long)value_find_int(port, "port", 0));
		if (port_name.len) {
			port_name = variable_name(m, port_name);
			good = port_name.ptr && add_service(m, digits, "%s_SERVICE_PORT_%s", name.ptr, port_name.ptr);
		}
		good = good && add_link(m, name.ptr, address, port, i == 0);
	}
	return good;
}

static bool take_service(void *context, struct record *record)
{
	struct making *m = context;
	const struct value *service = cluster_object(m->place->cluster, &resource_services, record, m->arena, m->err);

	return service && add_service_variables(m, service);
}

static bool add_services(struct making *m)
{
	struct record *own = cluster_get(m->place->cluster, &resource_services, SPAN("default"), SPAN("kubernetes"));
	const struct value *links = value_find(m->pod, "spec.enableServiceLinks");

	if (!links || links->boolean)
		cluster_each(m->place->cluster, &resource_services, m->name_space, take_service, m);
	/* Last: a service of the same name in the pod's own namespace does not take the API server's place. */
	return m->err->code == ERROR_NONE && (!own || take_service(m, own));
}

/* ---- what every container has ---- */

/* The home of a user of this machine, whose files the container sees. */
static struct span home_of(struct making *m, uid_t user)
{
	struct span home = { 0 };
	struct passwd *entry;
	FILE *file = fopen("/etc/passwd", "re");

	while (file && !home.ptr && (entry = fgetpwent(file)))
		if (entry->pw_uid == user && entry->pw_dir && *entry->pw_dir)
			home = arena_copy(m->arena, span_of(entry->pw_dir), m->err);
	if (file)
		fclose(file);
	return home.ptr ? home : SPAN("/");
}

struct span pod_hostname(const struct pod_place *p, const struct value *pod)
{
	struct span name = value_find_string(pod, "spec.hostname");

	if (value_find_bool(pod, "spec.hostNetwork") && p->node_name.len)
		return p->node_name;
	if (!name.len)
		name = span_first(value_find_string(pod, "metadata.name"), HOSTNAME_MOST);
	while (name.len && (name.ptr[name.len - 1] == '-' || name.ptr[name.len - 1] == '.'))
		name.len--;
	return name;
}

static bool add_usual(struct making *m)
{
	int64_t user = value_find_int(m->pod, "spec.securityContext.runAsUser", -1);
	struct span python = images_python(m->arena, m->err);

	user = value_find_int(m->container, "securityContext.runAsUser", user);
	return (!python.len || set(&m->own, SPAN("HYTHE_PYTHON"), python, false)) &&
	       set(&m->own, SPAN("PATH"), SPAN(CONFINE_PATH), false) &&
	       set(&m->own, SPAN("HOSTNAME"), pod_hostname(m->place, m->pod), false) &&
	       set(&m->own, SPAN("HOME"), home_of(m, user >= 0 ? (uid_t)user : geteuid()), false);
}

static bool add_rest(struct making *m)
{
	for (size_t i = 0; i < m->services.count; i++)
		if (!set(&m->own, m->services.items[i].name, m->services.items[i].value, false))
			return false;
	for (size_t i = 0; m->image && i < m->image->environment_count; i++)
		if (!set(&m->own, m->image->environment[i].name, m->image->environment[i].value, false))
			return false;
	return add_usual(m);
}

bool environment_make(const struct pod_place *p, const struct value *pod, const struct value *container,
		      const struct image *image, struct arena *arena, struct name_value **ret, size_t *ret_count,
		      struct error *err)
{
	struct error problem = { 0 };
	struct making m = { .place = p,
			    .pod = pod,
			    .container = container,
			    .image = image,
			    .name_space = value_find_string(pod, "metadata.namespace"),
			    .arena = arena,
			    .err = &problem,
			    .own = { .arena = arena, .err = &problem },
			    .services = { .arena = arena, .err = &problem } };

	if (!add_services(&m) || !add_from(&m) || !add_env(&m) || !add_rest(&m)) {
		*err = problem;
		return false;
	}
	*ret = m.own.items;
	*ret_count = m.own.count;
	return true;
}

/* ---- the command ---- */

static size_t append_words(const struct names *n, const struct value *list, struct arena *arena, struct span *to,
			   struct error *err)
{
	uint32_t count = value_count(list);

	for (uint32_t i = 0; i < count; i++) {
		const struct value *one = value_item(list, i);

		to[i] = SPAN("");
		if (value_is(one, VALUE_STRING) && !expand(n, one->string, arena, &to[i], err))
			return 0;
	}
	return count;
}

static size_t append_image(const struct words *list, struct span *to)
{
	if (list->count)
		memcpy(to, list->items, list->count * sizeof(*to));
	return list->count;
}

static size_t count_of_list(const struct value *list)
{
	return value_count(list);
}

/* `command` takes the place of the image's entry point and its arguments, `args` of its arguments. */
bool command_make(const struct value *container, const struct name_value *environment, size_t count,
		  const struct image *image, struct arena *arena, struct span **ret, size_t *ret_count,
		  struct error *err)
{
	static const struct image none = { 0 };
	const struct names names = { .find = find_in_list, .list = environment, .count = count };
	const struct value *command = value_get(container, SPAN("command")), *args = value_get(container, SPAN("args"));
	bool has_command = !value_is_empty(command), has_args = !value_is_empty(args);
	struct error problem = { 0 };
	struct span *words, reference = value_find_string(container, "image");
	size_t n = 0, most;

	image = image && !has_command ? image : &none;
	if (!has_command && !image->entrypoint.count && (has_args || !image->command.count) &&
	    !(has_args && image->folder.len))
		return error_set(
		    err, ERROR_INVALID,
		    "no command specified: image \"" SPAN_FMT
		    "\" %s; set command, whose first word is a program of this machine, or give the image a "
		    "folder with a Dockerfile: hythe image add " SPAN_FMT " FOLDER",
		    SPAN_ARG(reference), image->folder.len ? "has a folder that names none" : "is not known here",
		    SPAN_ARG(reference));
	most = count_of_list(command) + count_of_list(args) + image->entrypoint.count + image->command.count;
	words = ARENA_ARRAY(arena, struct span, most, err);
	if (!words)
		return false;
	n = append_words(&names, command, arena, words, &problem);
	n += append_image(&image->entrypoint, words + n);
	if (problem.code == ERROR_NONE && has_args)
		n += append_words(&names, args, arena, words + n, &problem);
	else if (!has_args)
		n += append_image(&image->command, words + n);
	if (problem.code != ERROR_NONE) {
		*err = problem;
		return false;
	}
	*ret = words;
	*ret_count = n;
	return true;
}

bool references_replace(struct span text, const struct name_value *environment, size_t count, struct arena *arena,
			struct span *ret, struct error *err)
{
	struct span missing = { 0 };
	const struct names names = { .find = find_in_list, .list = environment, .count = count, .missing = &missing };

	if (!expand(&names, text, arena, ret, err))
		return false;
	return !missing.ptr || error_set(err, ERROR_NOT_FOUND, "missing value for \"" SPAN_FMT "\"", SPAN_ARG(missing));
}

/* ---- what is read here and by volumes ---- */

bool pod_place_follow(struct pod_place *p, void (*changed)(void *context, const struct sighting *s), void *context,
		      struct error *err)
{
	const struct resource *const kinds[] = { &resource_services, &resource_config_maps, &resource_secrets,
						 &resource_persistent_volume_claims, &resource_persistent_volumes };

	for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
		if (!cluster_follow(p->cluster, kinds[i], changed, context, err))
			return false;
	return true;
}
