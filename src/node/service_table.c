/* SPDX-License-Identifier: Apache-2.0 */
#include "node/service_table.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/number.h"
#include "base/random.h"

static char *path_of(struct span folder, const char *name)
{
	size_t size = folder.len + strlen(name) + sizeof("/network/");
	char *path = base_alloc(size);

	(void)snprintf(path, size, SPAN_FMT "/network/%s", SPAN_ARG(folder), name);
	return path;
}

void service_table_init(struct service_table *t, struct span folder)
{
	*t = (struct service_table){ .addresses.path = path_of(folder, "addresses"),
				     .names.path = path_of(folder, "names") };
}

static void file_close(struct service_file *f)
{
	if (f->text)
		(void)munmap(f->text, f->len);
	f->text = NULL;
	f->len = 0;
	f->inode = 0;
}

void service_table_done(struct service_table *t)
{
	file_close(&t->addresses);
	file_close(&t->names);
	free((char *)t->addresses.path);
	free((char *)t->names.path);
}

/* Maps the file that stands there now. */
static void file_refresh(struct service_file *f)
{
	struct stat st;
	int fd;

	if (stat(f->path, &st) != 0) {
		file_close(f);
		return;
	}
	if (f->text && f->inode == st.st_ino &&
	    f->changed_ns == st.st_mtim.tv_sec * INT64_C(1000000000) + st.st_mtim.tv_nsec)
		return;
	file_close(f);
	fd = open(f->path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return;
	if (fstat(fd, &st) == 0 && st.st_size > 0 && st.st_size <= SERVICE_TABLE_MOST) {
		f->len = (size_t)st.st_size;
		f->text = mmap(NULL, f->len, PROT_READ, MAP_PRIVATE, fd, 0);
		f->text = f->text == MAP_FAILED ? NULL : f->text;
		f->inode = st.st_ino;
		f->changed_ns = st.st_mtim.tv_sec * INT64_C(1000000000) + st.st_mtim.tv_nsec;
	}
	close(fd);
}

/* Of a line with its key, against a key: as memcmp(). */
static int line_compare(struct span line, struct span key)
{
	struct span first = span_first(line, span_index(line, ' '));

	return span_order(first, key);
}

bool service_table_find(struct service_file *f, struct span key, struct span *ret)
{
	size_t low = 0, high;

	file_refresh(f);
	high = f->text ? f->len : 0;
	while (low < high) {
		size_t middle = low + (high - low) / 2, start = middle;
		struct span line;
		int d;

		while (start > low && f->text[start - 1] != '\n')
			start--;
		line = span_from(f->text + start, high - start);
		line = span_first(line, span_index(line, '\n'));
		d = line_compare(line, key);
		if (d == 0) {
			*ret = span_skip(line, MIN(key.len + 1, line.len));
			return true;
		}
		if (d < 0)
			low = MIN(start + line.len + 1, high);
		else
			high = start;
	}
	return false;
}

/* "127.97.0.3:8000" */
static bool place_read(struct span text, struct sockaddr_in *ret)
{
	struct span rest = text, host = span_cut(&rest, ':');
	char address[INET_ADDRSTRLEN];
	int64_t port;

	if (host.len >= sizeof(address) || !number_parse_int64(rest, &port) || port < 1 || port > UINT16_MAX)
		return false;
	memcpy(address, host.ptr, host.len);
	address[host.len] = '\0';
	*ret = (struct sockaddr_in){ .sin_family = AF_INET, .sin_port = htons((uint16_t)port) };
	return inet_pton(AF_INET, address, &ret->sin_addr) == 1;
}

bool service_table_choose(struct service_table *t, struct in_addr address, uint16_t port, bool is_udp, uint64_t client,
			  struct sockaddr_in *ret, bool *ret_is_known)
{
	char host[INET_ADDRSTRLEN], key[INET_ADDRSTRLEN + 16];
	struct span places, rest;
	bool keeps;
	uint64_t count = 0, chosen;

	(void)inet_ntop(AF_INET, &address, host, sizeof(host));
	(void)snprintf(key, sizeof(key), "%s:%u/%s", host, port, is_udp ? "UDP" : "TCP");
	*ret_is_known = service_table_find(&t->addresses, span_of(key), &places);
	if (!*ret_is_known)
		return false;
	keeps = span_starts(places, SPAN("~"));
	places = span_trim(span_skip(places, keeps));
	for (rest = places; rest.len; count++)
		(void)span_cut(&rest, ' ');
	if (!count)
		return false;
	chosen = (keeps ? client : random_fast() + client) % count; /* supervisors may begin with the same chance */
	for (rest = places; chosen; chosen--)
		(void)span_cut(&rest, ' ');
	return place_read(span_cut(&rest, ' '), ret);
}
