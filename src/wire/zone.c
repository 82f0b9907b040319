/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/zone.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/calendar.h"
#include "wire/zone_rule.h"

#define ZONES       "/usr/share/zoneinfo"
#define PART_MOST   14
#define NAME_MOST   255
#define HEADER_LEN  44
#define TYPE_LEN    6
#define OFFSET_MOST (26 * 3600 - 1) /* RFC 8536 3.2 */

struct kind_of_time {
	int64_t offset;
	bool is_summer;
};

struct zone {
	const int64_t *moments; /* when the kind of time changes, ascending */
	const uint8_t *kinds;   /* the kind from then on */
	const struct kind_of_time *table;
	size_t count;
	struct zone_rule rule; /* after the last moment */
	bool has_rule;
};

static const struct kind_of_time utc_time = { 0, false };
static const struct zone utc = { .table = &utc_time };

/* ---- names ---- */

static bool is_part(struct span s)
{
	if (s.len == 0 || s.len > PART_MOST || s.ptr[0] == '-' || span_equal(s, SPAN(".")) || span_equal(s, SPAN("..")))
		return false;
	for (size_t i = 0; i < s.len; i++) {
		char ch = s.ptr[i];

		if (!((ch >= 'A' && ch <= 'Z') || (ch >= 'a' && ch <= 'z') || (ch >= '0' && ch <= '9') || ch == '.' ||
		      ch == '-' || ch == '_' || ch == '+'))
			return false;
	}
	return true;
}

bool zone_name_is_fine(struct span name)
{
	struct span rest = name;

	if (!name.len || name.len > NAME_MOST || span_ends(name, SPAN("/")))
		return false;
	while (rest.len) {
		if (!is_part(span_cut(&rest, '/')))
			return false;
	}
	return true;
}

bool zone_database_is_there(void)
{
	return access(ZONES, R_OK) == 0;
}

/* ---- files ---- */

static int64_t number_at(struct span s, size_t at, size_t bytes)
{
	uint64_t v = 0;

	for (size_t i = 0; i < bytes; i++)
		v = v << 8 | (uint8_t)s.ptr[at + i];
	return bytes == 4 ? (int32_t)(uint32_t)v : (int64_t)v;
}

/* What a header counts, in its order. */
struct counts {
	size_t universal, standard, leaps, moments, types, letters;
};

static bool header_read(struct span *file, char *ret_version, struct counts *ret, struct error *err)
{
	size_t *const counts[] = { &ret->universal, &ret->standard, &ret->leaps,
				   &ret->moments,   &ret->types,    &ret->letters };

	if (file->len < HEADER_LEN || memcmp(file->ptr, "TZif", 4) != 0)
		return error_set(err, ERROR_INVALID, "no TZif header");
	*ret_version = file->ptr[4];
	for (size_t i = 0; i < ARRAY_LEN(counts); i++) {
		*counts[i] = (uint32_t)number_at(*file, 20 + 4 * i, 4);
		if (*counts[i] > ZONE_FILE_MAX)
			return error_set(err, ERROR_INVALID, "its header counts %zu things", *counts[i]);
	}
	*file = span_skip(*file, HEADER_LEN);
	return true;
}

/* How long the block is that a header announces, with times of so many bytes. */
static size_t block_len(const struct counts *c, size_t time_len)
{
	return c->moments * (time_len + 1) + c->types * TYPE_LEN + c->letters + c->leaps * (time_len + 4) +
	       c->standard + c->universal;
}

static bool moments_read(struct zone *z, struct span block, const struct counts *c, size_t time_len,
			 struct arena *arena, struct error *err)
{
	int64_t *moments = ARENA_ARRAY(arena, int64_t, c->moments, err);
	uint8_t *kinds = ARENA_ARRAY(arena, uint8_t, c->moments, err);

	if (!moments || !kinds)
		return false;
	for (size_t i = 0; i < c->moments; i++) {
		moments[i] = number_at(block, i * time_len, time_len);
		kinds[i] = (uint8_t)block.ptr[c->moments * time_len + i];
		if (i && moments[i] <= moments[i - 1])
			return error_set(err, ERROR_INVALID, "its times do not ascend");
		if (kinds[i] >= c->types)
			return error_set(err, ERROR_INVALID, "type %u of %zu", kinds[i], c->types);
	}
	z->moments = moments;
	z->kinds = kinds;
	z->count = c->moments;
	return true;
}

static bool types_read(struct zone *z, struct span types, size_t count, struct arena *arena, struct error *err)
{
	struct kind_of_time *table = ARENA_ARRAY(arena, struct kind_of_time, count, err);

	if (!table)
		return false;
	for (size_t i = 0; i < count; i++) {
		table[i].offset = number_at(types, i * TYPE_LEN, 4);
		table[i].is_summer = types.ptr[i * TYPE_LEN + 4] != 0;
		if (table[i].offset < -OFFSET_MOST || table[i].offset > OFFSET_MOST)
			return error_set(err, ERROR_INVALID, "an offset of %lld seconds", (long long)table[i].offset);
	}
	z->table = table;
	return true;
}

/* "\n<rule>\n" */
static bool footer_read(struct zone *z, struct span footer, struct error *err)
{
	size_t end;

	if (!footer.len || footer.ptr[0] != '\n')
		return error_set(err, ERROR_INVALID, "no footer");
	footer = span_skip(footer, 1);
	end = span_index(footer, '\n');
	if (end == footer.len)
		return error_set(err, ERROR_INVALID, "a footer without end");
	z->has_rule = end > 0;
	return !z->has_rule || zone_rule_parse(span_first(footer, end), &z->rule, err);
}

const struct zone *zone_parse(struct span file, struct arena *arena, struct error *err)
{
	struct zone *z = ARENA_NEW(arena, struct zone, err);
	struct counts c;
	size_t time_len = 4, len;
	char version;

	if (!z || !header_read(&file, &version, &c, err))
		return NULL;
	if (version != '\0') {
		/* What follows is there for readers of version 1; the same comes again with longer times. */
		len = block_len(&c, time_len);
		time_len = 8;
		file = span_skip(file, MIN(len, file.len));
		if (!header_read(&file, &version, &c, err))
			return NULL;
	}
	len = block_len(&c, time_len);
	if (file.len < len || !c.types) {
		error_set(err, ERROR_INVALID, c.types ? "the file is cut" : "no type of time");
		return NULL;
	}
	if (!moments_read(z, file, &c, time_len, arena, err) ||
	    !types_read(z, span_skip(file, c.moments * (time_len + 1)), c.types, arena, err) ||
	    (time_len == 8 && !footer_read(z, span_skip(file, len), err)))
		return NULL;
	return z;
}

/* Under the folder of zones, wherever its links lead to. */
static int zone_open(const char *name)
{
	struct open_how how = { .flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK, .resolve = RESOLVE_BENEATH };
	AUTO_CLOSE int folder = open(ZONES, O_PATH | O_DIRECTORY | O_CLOEXEC);
	int fd = folder < 0 ? -1 : (int)syscall(SYS_openat2, folder, name, &how, sizeof(how));

	/* A kernel or a sandbox without it: the name's parts were checked. */
	if (fd < 0 && folder >= 0 && (errno == ENOSYS || errno == EPERM))
		fd = openat(folder, name, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	return fd;
}

static bool file_read(int fd, struct buffer *file)
{
	for (;;) {
		char *to = buffer_reserve(file, KIB(4));
		ssize_t n = to ? read(fd, to, KIB(4)) : -1;

		if (n < 0 && to && errno == EINTR)
			continue;
		if (n <= 0)
			return n == 0;
		buffer_commit(file, (size_t)n);
	}
}

const struct zone *zone_load(struct span name, struct arena *arena, struct error *err)
{
	const struct zone *z = NULL;
	AUTO_CLOSE int fd = -1;
	struct buffer file;
	struct span text;

	if (!name.len || span_equal(name, SPAN("UTC")))
		return &utc;
	text = zone_name_is_fine(name) ? arena_copy(arena, name, err) : (struct span){ 0 };
	fd = text.ptr ? zone_open(text.ptr) : -1;
	if (fd < 0) {
		error_set(err, ERROR_NOT_FOUND, "unknown time zone " SPAN_FMT, SPAN_ARG(name));
		return NULL;
	}
	buffer_init(&file, ZONE_FILE_MAX + KIB(4));
	if (file_read(fd, &file))
		z = zone_parse(buffer_span(&file), arena, err);
	else
		error_set(err, ERROR_NOT_FOUND, "unknown time zone " SPAN_FMT, SPAN_ARG(name));
	if (!z && err->code == ERROR_INVALID)
		error_wrap(err, "time zone " SPAN_FMT, SPAN_ARG(name));
	buffer_done(&file);
	return z;
}

/* ---- times ---- */

struct zone_period zone_at(const struct zone *z, int64_t seconds)
{
	struct zone_period p = { INT64_MIN, INT64_MAX, z->table[0].offset, z->table[0].is_summer };
	size_t low = 0, high = z->count; /* moments[low - 1] <= seconds < moments[high] */

	while (low < high) {
		size_t middle = (low + high) / 2;

		if (z->moments[middle] <= seconds)
			low = middle + 1;
		else
			high = middle;
	}
	if (low < z->count)
		p.to = z->moments[low];
	if (low) {
		p.from = z->moments[low - 1];
		p.offset = z->table[z->kinds[low - 1]].offset;
		p.is_summer = z->table[z->kinds[low - 1]].is_summer;
	}
	if (low == z->count && z->has_rule) {
		struct zone_period by_rule = zone_rule_at(&z->rule, seconds);

		by_rule.from = MAX(by_rule.from, p.from);
		return by_rule;
	}
	return p;
}

int64_t zone_moment(const struct zone *z, int64_t local)
{
	struct zone_period p = zone_at(z, local);
	int64_t moment = local - p.offset;

	/* The offset at a time as many hours away is a guess: right if it is also that of where it leads to. */
	if (p.offset && (moment < p.from || moment >= p.to))
		moment = local - zone_at(z, moment).offset;
	return moment;
}
