/* SPDX-License-Identifier: Apache-2.0 */
/* addresses - pods' addresses: a bit for each of the range. */
#include "node/addresses.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "base/number.h"

enum { PREFIX_LEAST = 12, PREFIX_MOST = 29, LOWEST = 2 };

struct addresses {
	char *folder;
	uint32_t base, count; /* host order */
	uint32_t next;
	uint64_t *taken, *linkless; /* linkless: taken, and there was no room for the link */
};

static bool is_in(const uint64_t *set, uint32_t i)
{
	return (set[i / 64] >> (i % 64)) & 1;
}

static void link_make(struct addresses *a, uint32_t i, const char *address, struct span uid)
{
	char path[4096], to[4096];

	snprintf(path, sizeof(path), "%s/%s", a->folder, address);
	snprintf(to, sizeof(to), "%.*s/pods/" SPAN_FMT "/sandbox/control",
		 (int)(strlen(a->folder) - strlen("/addresses")), a->folder, SPAN_ARG(uid));
	(void)unlink(path);
	a->linkless[i / 64] &= ~(UINT64_C(1) << (i % 64));
	/* Without it other pods do not reach this one: those who try are told so, and addresses_hold() tries again. */
	if (symlink(to, path) == 0)
		return;
	a->linkless[i / 64] |= UINT64_C(1) << (i % 64);
	log_warn("node", "a pod's address leads nowhere", LOG_TEXT("address", address),
		 LOG_TEXT("error", strerrordesc_np(errno)));
}

static bool range_parse(struct span range, uint32_t *ret_base, uint32_t *ret_count)
{
	struct span bits = range, host = span_cut(&bits, '/');
	char text[ADDRESS_TEXT_MAX];
	struct in_addr address;
	int64_t prefix;

	snprintf(text, sizeof(text), SPAN_FMT, SPAN_ARG(host));
	if (inet_pton(AF_INET, text, &address) != 1 || !number_parse_int64(bits, &prefix) || prefix < PREFIX_LEAST ||
	    prefix > PREFIX_MOST)
		return false;
	*ret_count = UINT32_C(1) << (32 - prefix);
	*ret_base = ntohl(address.s_addr) & ~(*ret_count - 1);
	return true;
}

struct addresses *addresses_new(const char *folder, struct span range, struct error *err)
{
	struct addresses *a;
	uint32_t base, count;
	char path[4096];

	if (!range_parse(range, &base, &count)) {
		error_set(err, ERROR_INVALID,
			  "'" SPAN_FMT "' is no range of addresses for pods: it is written as 127.97.0.0/16, with a "
			  "prefix of %d to %d",
			  SPAN_ARG(range), PREFIX_LEAST, PREFIX_MOST);
		return NULL;
	}
	snprintf(path, sizeof(path), "%s/addresses", folder);
	if (mkdir(path, 0755) != 0 && errno != EEXIST) {
		error_errno(err, errno, "cannot make the folder '%s'", path);
		return NULL;
	}
	a = base_calloc(1, sizeof(*a));
	a->folder = span_to_text(span_of(path));
	a->base = base;
	a->count = count;
	a->next = LOWEST;
	a->taken = base_calloc(count / 64 + 1, sizeof(uint64_t));
	a->linkless = base_calloc(count / 64 + 1, sizeof(uint64_t));
	return a;
}

bool addresses_take(struct addresses *a, struct span uid, char ret[ADDRESS_TEXT_MAX], struct error *err)
{
	for (uint32_t tried = 0; tried < a->count; tried++) {
		uint32_t i = a->next;
		struct in_addr address;

		a->next = a->next + 1 < a->count - 1 ? a->next + 1 : LOWEST;
		if (is_in(a->taken, i))
			continue;
		a->taken[i / 64] |= UINT64_C(1) << (i % 64);
		address.s_addr = htonl(a->base + i);
		(void)inet_ntop(AF_INET, &address, ret, ADDRESS_TEXT_MAX);
		link_make(a, i, ret, uid);
		return true;
	}
	return error_set(err, ERROR_EXHAUSTED, "all %u addresses of pods are taken", a->count - LOWEST - 1);
}

static bool index_of(const struct addresses *a, struct span address, char text[ADDRESS_TEXT_MAX], uint32_t *ret)
{
	struct in_addr in;

	snprintf(text, ADDRESS_TEXT_MAX, SPAN_FMT, SPAN_ARG(address));
	if (inet_pton(AF_INET, text, &in) != 1 || ntohl(in.s_addr) < a->base || ntohl(in.s_addr) - a->base >= a->count)
		return false;
	*ret = ntohl(in.s_addr) - a->base;
	return true;
}

void addresses_hold(struct addresses *a, struct span address, struct span uid)
{
	char text[ADDRESS_TEXT_MAX];
	uint32_t i;

	if (!index_of(a, address, text, &i) || (is_in(a->taken, i) && !is_in(a->linkless, i)))
		return;
	a->taken[i / 64] |= UINT64_C(1) << (i % 64);
	link_make(a, i, text, uid);
}

void addresses_free_one(struct addresses *a, struct span address)
{
	char text[ADDRESS_TEXT_MAX], path[4096];
	uint32_t i;

	if (!index_of(a, address, text, &i) || !is_in(a->taken, i))
		return;
	a->taken[i / 64] &= ~(UINT64_C(1) << (i % 64));
	snprintf(path, sizeof(path), "%s/%s", a->folder, text);
	(void)unlink(path);
}

void addresses_free(struct addresses *a)
{
	if (!a)
		return;
	free(a->folder);
	free(a->taken);
	free(a->linkless);
	free(a);
}
