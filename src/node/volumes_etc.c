/* SPDX-License-Identifier: Apache-2.0 */
/* volumes_etc - the files of /etc that name a pod and those around it, as kubelet writes them, and where a container says why it ended. */
#include "node/volumes_private.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kube/kind.h"

#define ETC_FILE_MOST    MIB(1)
#define NAMESERVERS_MOST 3
#define SEARCHES_MOST    32
#define SEARCH_TEXT_MOST 2048
#define DOMAIN_MOST      253
#define OPTIONS_MOST     64

/* In place, for a container has this very file; only when it is another. */
static bool file_replace(const struct volumes *v, const char *name, struct span text, struct error *err)
{
	AUTO_FREE char *path = NULL;
	AUTO_CLOSE int fd = -1;
	struct buffer old;
	struct error ignored = { 0 };
	bool is_same;

	if (asprintf(&path, "%s/etc/%s", v->folder, name) < 0)
		return error_set(err, ERROR_INTERNAL, "no memory for a path");
	buffer_init(&old, ETC_FILE_MOST);
	is_same = buffer_read_file(&old, path, &ignored) && span_equal(buffer_span(&old), text);
	buffer_done(&old);
	if (is_same)
		return true;
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0644);
	if (fd < 0 || fchmod(fd, 0644) != 0 || write(fd, text.ptr, text.len) != (ssize_t)text.len)
		return error_errno(err, errno, "cannot write '%s'", path);
	return true;
}

/* ---- /etc/hosts ---- */

static void aliases_append(const struct value *pod, struct buffer *out)
{
	const struct value *list = value_find(pod, "spec.hostAliases");

	if (value_is_empty(list) || list->type != VALUE_ARRAY)
		return;
	buffer_append(out, SPAN("\n# Entries added by HostAliases.\n"));
	for (uint32_t i = 0; i < list->array.count; i++) {
		const struct value *names = value_get(value_item(list, i), SPAN("hostnames"));

		buffer_append(out, value_find_string(value_item(list, i), "ip"));
		for (uint32_t k = 0; k < value_count(names); k++) {
			buffer_byte(out, '\t');
			if (value_is(value_item(names, k), VALUE_STRING))
				buffer_append(out, value_item(names, k)->string);
		}
		buffer_byte(out, '\n');
	}
}

static void own_line_append(const struct volumes *v, const struct value *pod, struct buffer *out)
{
	const struct pod_place *p = v->config.place;
	struct span name = pod_hostname(p, pod), below = value_find_string(pod, "spec.subdomain");

	if (!p->pod_address.len)
		return;
	buffer_append(out, p->pod_address);
	buffer_byte(out, '\t');
	if (below.len) {
		buffer_append(out, name);
		buffer_byte(out, '.');
		buffer_append(out, below);
		buffer_byte(out, '.');
		buffer_append(out, value_find_string(pod, "metadata.namespace"));
		buffer_append(out, SPAN(".svc."));
		buffer_append(out, p->cluster_domain);
		buffer_byte(out, '\t');
	}
	buffer_append(out, name);
	buffer_byte(out, '\n');
}

static bool hosts_make(const struct volumes *v, const struct value *pod, struct buffer *out, struct error *err)
{
	if (value_find_bool(pod, "spec.hostNetwork")) {
		struct buffer of_machine;
		struct error ignored = { 0 };

		buffer_init(&of_machine, ETC_FILE_MOST / 2);
		buffer_append(out, SPAN("# Kubernetes-managed hosts file (host network).\n"));
		if (buffer_read_file(&of_machine, "/etc/hosts", &ignored))
			buffer_append(out, buffer_span(&of_machine));
		buffer_done(&of_machine);
	} else {
		buffer_append(out, SPAN("# Kubernetes-managed hosts file.\n127.0.0.1\tlocalhost\n"
					"::1\tlocalhost ip6-localhost ip6-loopback\nfe00::0\tip6-localnet\n"
					"fe00::0\tip6-mcastprefix\nfe00::1\tip6-allnodes\nfe00::2\tip6-allrouters\n"));
		own_line_append(v, pod, out);
	}
	aliases_append(pod, out);
	return buffer_ok(out, "/etc/hosts", err);
}

/* ---- /etc/resolv.conf ---- */

struct words {
	struct span items[OPTIONS_MOST];
	size_t count;
};

struct resolver {
	struct words servers, searches, options;
};

static void word_add(struct words *w, struct span s)
{
	for (size_t i = 0; i < w->count; i++)
		if (span_equal(w->items[i], s))
			return;
	if (s.len && w->count < OPTIONS_MOST)
		w->items[w->count++] = s;
}

/* "ndots:5" takes the place of another ndots. */
static void option_add(struct words *w, struct span s)
{
	for (size_t i = 0; i < w->count; i++) {
		struct span a = w->items[i], b = s;

		if (span_equal(span_cut(&a, ':'), span_cut(&b, ':'))) {
			w->items[i] = s;
			return;
		}
	}
	word_add(w, s);
}

static struct span word_cut(struct span *line)
{
	size_t n = 0;

	*line = span_trim(*line);
	while (n < line->len && line->ptr[n] != ' ' && line->ptr[n] != '\t')
		n++;
	*line = span_skip(*line, n);
	return span_from(line->ptr - n, n);
}

/* As kubelet reads it: nameservers add up, the last search counts, options replace each other. */
static void resolver_read(struct span text, struct resolver *r)
{
	while (text.len) {
		struct span line = span_trim(span_cut(&text, '\n')), key, word;

		if (!line.len || line.ptr[0] == '#')
			continue;
		key = word_cut(&line);
		if (span_equal(key, SPAN("search")))
			r->searches.count = 0;
		while ((word = word_cut(&line)).len) {
			if (span_equal(key, SPAN("nameserver")))
				word_add(&r->servers, word);
			else if (span_equal(key, SPAN("search")) && !span_equal(word, SPAN(".")))
				word_add(&r->searches,
					 span_ends(word, SPAN(".")) ? span_first(word, word.len - 1) : word);
			else if (span_equal(key, SPAN("options")))
				option_add(&r->options, word);
			if (span_equal(key, SPAN("nameserver")))
				break;
		}
	}
}

/* Servers of the machine's own loopback can't be reached from the network of a pod. */
static bool is_out_of_reach(const struct resolver *r)
{
	for (size_t i = 0; i < r->servers.count; i++)
		if (!span_starts(r->servers.items[i], SPAN("127.")) && !span_equal(r->servers.items[i], SPAN("::1")))
			return false;
	return true;
}

static bool resolver_for_cluster(const struct volumes *v, const struct value *pod, struct resolver *r,
				 struct arena *arena, struct error *err)
{
	const struct pod_place *p = v->config.place;
	struct words of_machine = r->searches;
	struct span space = value_find_string(pod, "metadata.namespace"), domain = p->cluster_domain;
	struct span own =
	    arena_print(arena, err, "%.*s.svc.%.*s", (int)space.len, space.ptr, (int)domain.len, domain.ptr);
	struct span services = arena_print(arena, err, "svc.%.*s", (int)domain.len, domain.ptr);

	if (!own.ptr || !services.ptr)
		return false;
	r->servers.count = r->searches.count = r->options.count = 0;
	word_add(&r->servers, p->dns_address);
	if (domain.len) {
		word_add(&r->searches, own);
		word_add(&r->searches, services);
		word_add(&r->searches, domain);
	}
	for (size_t i = 0; i < of_machine.count; i++)
		word_add(&r->searches, of_machine.items[i]);
	word_add(&r->options, SPAN("ndots:5"));
	return true;
}

static bool resolver_add_config(const struct value *pod, struct resolver *r, struct arena *arena, struct error *err)
{
	const struct value *config = value_find(pod, "spec.dnsConfig"), *list = value_get(config, SPAN("nameservers"));

	for (uint32_t i = 0; i < value_count(list); i++)
		if (value_is(value_item(list, i), VALUE_STRING))
			word_add(&r->servers, value_item(list, i)->string);
	list = value_get(config, SPAN("searches"));
	for (uint32_t i = 0; i < value_count(list); i++)
		if (value_is(value_item(list, i), VALUE_STRING))
			word_add(&r->searches, value_item(list, i)->string);
	list = value_get(config, SPAN("options"));
	for (uint32_t i = 0; i < value_count(list); i++) {
		struct span name = value_find_string(value_item(list, i), "name");
		struct span value = value_find_string(value_item(list, i), "value");

		if (value.len)
			name = arena_print(arena, err, "%.*s:%.*s", (int)name.len, name.ptr, (int)value.len, value.ptr);
		if (!name.ptr)
			return false;
		option_add(&r->options, name);
	}
	return true;
}

static void line_append(struct buffer *out, const char *key, const struct words *w, size_t most, size_t bytes_most)
{
	size_t begin = out->len;

	for (size_t i = 0; i < MIN(w->count, most); i++) {
		if (w->items[i].len > DOMAIN_MOST || out->len - begin + w->items[i].len > bytes_most)
			continue;
		buffer_append(out, out->len == begin ? span_of(key) : SPAN(""));
		buffer_byte(out, ' ');
		buffer_append(out, w->items[i]);
	}
	if (out->len != begin)
		buffer_byte(out, '\n');
}

static bool resolver_make(const struct volumes *v, const struct value *pod, struct buffer *out, struct arena *arena,
			  struct error *err)
{
	struct span policy = value_find_string(pod, "spec.dnsPolicy");
	bool is_host = value_find_bool(pod, "spec.hostNetwork"), has_dns = v->config.place->dns_address.len > 0;
	bool is_cluster = span_equal(policy, SPAN("ClusterFirstWithHostNet")) ||
			  (!is_host && (span_equal(policy, SPAN("ClusterFirst")) || !policy.len));
	struct resolver r = { 0 };
	struct buffer text;
	struct error ignored = { 0 };

	buffer_init(&text, ETC_FILE_MOST);
	if (!span_equal(policy, SPAN("None")) && buffer_read_file(&text, "/etc/resolv.conf", &ignored)) {
		struct span copy = arena_copy(arena, buffer_span(&text), err);

		resolver_read(copy, &r);
	}
	buffer_done(&text);
	if (is_cluster && has_dns) {
		if (!resolver_for_cluster(v, pod, &r, arena, err))
			return false;
	} else if (!span_equal(policy, SPAN("None")) && !is_host && has_dns && is_out_of_reach(&r)) {
		r.servers.count = 0;
		word_add(&r.servers, v->config.place->dns_address);
	}
	if (!resolver_add_config(pod, &r, arena, err))
		return false;
	line_append(out, "search", &r.searches, SEARCHES_MOST, SEARCH_TEXT_MOST);
	for (size_t i = 0; i < MIN(r.servers.count, (size_t)NAMESERVERS_MOST); i++) {
		buffer_append(out, SPAN("nameserver "));
		buffer_append(out, r.servers.items[i]);
		buffer_byte(out, '\n');
	}
	line_append(out, "options", &r.options, OPTIONS_MOST, SEARCH_TEXT_MOST);
	return buffer_ok(out, "/etc/resolv.conf", err);
}

bool etc_write(struct volumes *v, const struct value *pod, struct error *err)
{
	struct span name = pod_hostname(v->config.place, pod);
	AUTO_FREE char *folder = NULL;
	struct arena arena;
	struct buffer out;
	bool good;

	if (asprintf(&folder, "%s/etc/termination", v->folder) < 0 || !folder_ensure(folder, 0755, err))
		return false;
	arena_init(&arena, MIB(4));
	buffer_init(&out, ETC_FILE_MOST);
	good = hosts_make(v, pod, &out, err) && file_replace(v, "hosts", buffer_span(&out), err);
	buffer_clear(&out);
	good =
	    good && resolver_make(v, pod, &out, &arena, err) && file_replace(v, "resolv.conf", buffer_span(&out), err);
	buffer_clear(&out);
	buffer_append(&out, name);
	buffer_byte(&out, '\n');
	good = good && file_replace(v, "hostname", buffer_span(&out), err);
	buffer_done(&out);
	arena_done(&arena);
	return good;
}

/* ---- termination messages ---- */

/* Bytes that are no UTF-8 become U+FFFD, as they would on their way through the API. */
static struct span text_clean(struct span s, struct arena *arena)
{
	struct error ignored = { 0 };
	struct span ret = { 0 };
	struct buffer out;

	if (span_is_utf8(s))
		return arena_copy(arena, s, &ignored);
	buffer_init(&out, (size_t)TERMINATION_MESSAGE_MOST * 3);
	while (s.len) {
		size_t n = 1;

		while (n <= MIN(s.len, (size_t)4) && !span_is_utf8(span_first(s, n)))
			n++;
		if (n <= MIN(s.len, (size_t)4)) {
			buffer_append(&out, span_first(s, n));
		} else {
			buffer_append(&out, SPAN("\xef\xbf\xbd"));
			n = 1;
		}
		s = span_skip(s, n);
	}
	ret = arena_copy(arena, buffer_span(&out), &ignored);
	buffer_done(&out);
	return ret;
}

struct span volumes_termination_message(struct volumes *v, struct span container, uint32_t attempt, struct arena *arena)
{
	char message[TERMINATION_MESSAGE_MOST];
	AUTO_FREE char *path = NULL;
	AUTO_CLOSE int fd = -1;
	struct stat s;
	ssize_t n;

	if (asprintf(&path, "%s/etc/termination/%.*s.%u", v->folder, (int)container.len, container.ptr, attempt) < 0)
		return (struct span){ 0 };
	fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &s) != 0 || !S_ISREG(s.st_mode))
		return (struct span){ 0 };
	/* The end of a longer one. */
	n = pread(fd, message, sizeof(message), MAX(s.st_size - TERMINATION_MESSAGE_MOST, 0));
	return n > 0 ? text_clean(span_from(message, (size_t)n), arena) : (struct span){ 0 };
}
