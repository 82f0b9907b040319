/* SPDX-License-Identifier: Apache-2.0 */
/*
 * store_power - a loss of power for store_crash: what SQLite writes stays in memory until it syncs the file. When the
 * process is killed, all that was not synced is gone, and a sync that is cut off has written a part.
 *
 * For one connection to each file: the next one would not see what is held back.
 */
#include "store/store_power.h"

#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>

#include "base/base.h"

struct range {
	sqlite3_int64 at, len; /* len -1: cut off at `at` */
};

struct held {
	sqlite3_file file; /* must be first: what SQLite sees */
	struct buffer image;
	struct range *ranges;
	size_t count, capacity;
	sqlite3_file *real; /* behind this struct */
};

static sqlite3_vfs *real_vfs;
static sqlite3_vfs vfs;
static sqlite3_io_methods methods;

static struct held *held_of(sqlite3_file *f)
{
	return CONTAINER_OF(f, struct held, file);
}

static void hold(struct held *h, sqlite3_int64 at, sqlite3_int64 len)
{
	if (h->count == h->capacity) {
		h->capacity = MAX(h->capacity * 2, (size_t)64);
		h->ranges = base_realloc(h->ranges, h->capacity * sizeof(*h->ranges));
	}
	h->ranges[h->count++] = (struct range){ at, len };
}

static void resize(struct held *h, size_t size)
{
	if (size > h->image.len) {
		size_t more = size - h->image.len;
		char *to = buffer_reserve(&h->image, more);

		ASSERT(to);
		memset(to, 0, more);
	}
	h->image.len = size;
}

static int power_close(sqlite3_file *f)
{
	struct held *h = held_of(f);
	int rc = h->real->pMethods->xClose(h->real);

	buffer_done(&h->image);
	free(h->ranges);
	return rc;
}

static int power_read(sqlite3_file *f, void *to, int len, sqlite3_int64 at)
{
	struct held *h = held_of(f);
	size_t size = h->image.len, start = MIN((size_t)at, size), got = MIN((size_t)len, size - start);

	if (got)
		memcpy(to, h->image.ptr + start, got);
	memset((char *)to + got, 0, (size_t)len - got);
	return got == (size_t)len ? SQLITE_OK : SQLITE_IOERR_SHORT_READ;
}

static int power_write(sqlite3_file *f, const void *from, int len, sqlite3_int64 at)
{
	struct held *h = held_of(f);

	resize(h, MAX(h->image.len, (size_t)(at + len)));
	memcpy(h->image.ptr + at, from, (size_t)len);
	hold(h, at, len);
	return SQLITE_OK;
}

static int power_truncate(sqlite3_file *f, sqlite3_int64 size)
{
	struct held *h = held_of(f);

	resize(h, (size_t)size);
	hold(h, size, -1);
	return SQLITE_OK;
}

static int power_sync(sqlite3_file *f, int flags)
{
	struct held *h = held_of(f);
	int rc = SQLITE_OK;

	(void)flags; /* the kernel keeps what it was given: the process ends, not the machine */
	for (size_t i = 0; i < h->count && rc == SQLITE_OK; i++) {
		struct range r = h->ranges[i];
		sqlite3_int64 end = (sqlite3_int64)h->image.len;

		if (r.len < 0)
			rc = h->real->pMethods->xTruncate(h->real, r.at);
		else if (r.at < end) /* else it was cut off afterwards */
			rc = h->real->pMethods->xWrite(h->real, h->image.ptr + r.at, (int)MIN(r.len, end - r.at), r.at);
	}
	h->count = 0;
	return rc;
}

static int power_size(sqlite3_file *f, sqlite3_int64 *ret_size)
{
	*ret_size = (sqlite3_int64)held_of(f)->image.len;
	return SQLITE_OK;
}

static int power_lock(sqlite3_file *f, int level)
{
	return held_of(f)->real->pMethods->xLock(held_of(f)->real, level);
}

static int power_unlock(sqlite3_file *f, int level)
{
	return held_of(f)->real->pMethods->xUnlock(held_of(f)->real, level);
}

static int power_check_reserved(sqlite3_file *f, int *ret)
{
	return held_of(f)->real->pMethods->xCheckReservedLock(held_of(f)->real, ret);
}

static int power_control(sqlite3_file *f, int op, void *argument)
{
	if (op == SQLITE_FCNTL_SIZE_HINT || op == SQLITE_FCNTL_CHUNK_SIZE) /* they would change the file itself */
		return SQLITE_OK;
	return held_of(f)->real->pMethods->xFileControl(held_of(f)->real, op, argument);
}

static int power_sector_size(sqlite3_file *f)
{
	return held_of(f)->real->pMethods->xSectorSize(held_of(f)->real);
}

static int power_characteristics(sqlite3_file *f)
{
	return held_of(f)->real->pMethods->xDeviceCharacteristics(held_of(f)->real);
}

static int power_shm_map(sqlite3_file *f, int region, int size, int extend, void volatile **ret)
{
	return held_of(f)->real->pMethods->xShmMap(held_of(f)->real, region, size, extend, ret);
}

static int power_shm_lock(sqlite3_file *f, int at, int n, int flags)
{
	return held_of(f)->real->pMethods->xShmLock(held_of(f)->real, at, n, flags);
}

static void power_shm_barrier(sqlite3_file *f)
{
	held_of(f)->real->pMethods->xShmBarrier(held_of(f)->real);
}

static int power_shm_unmap(sqlite3_file *f, int is_deleted)
{
	return held_of(f)->real->pMethods->xShmUnmap(held_of(f)->real, is_deleted);
}

static sqlite3_io_methods methods = {
	.iVersion = 2, /* without memory maps, which would go past us */
	.xClose = power_close,
	.xRead = power_read,
	.xWrite = power_write,
	.xTruncate = power_truncate,
	.xSync = power_sync,
	.xFileSize = power_size,
	.xLock = power_lock,
	.xUnlock = power_unlock,
	.xCheckReservedLock = power_check_reserved,
	.xFileControl = power_control,
	.xSectorSize = power_sector_size,
	.xDeviceCharacteristics = power_characteristics,
	.xShmMap = power_shm_map,
	.xShmLock = power_shm_lock,
	.xShmBarrier = power_shm_barrier,
	.xShmUnmap = power_shm_unmap,
};

static int power_open(sqlite3_vfs *v, const char *name, sqlite3_file *f, int flags, int *ret_flags)
{
	struct held *h = held_of(f);
	sqlite3_int64 size = 0;
	int rc;

	(void)v;
	memset(h, 0, sizeof(*h));
	h->real = (sqlite3_file *)(h + 1);
	rc = real_vfs->xOpen(real_vfs, name, h->real, flags, ret_flags);
	if (rc != SQLITE_OK)
		return rc;
	h->file.pMethods = &methods;
	buffer_init(&h->image, SIZE_MAX / 2);
	rc = h->real->pMethods->xFileSize(h->real, &size);
	if (rc == SQLITE_OK && size) {
		resize(h, (size_t)size);
		rc = h->real->pMethods->xRead(h->real, h->image.ptr, (int)size, 0);
	}
	if (rc != SQLITE_OK) {
		(void)power_close(f);
		h->file.pMethods = NULL;
	}
	return rc;
}

void store_power_hold(void)
{
	real_vfs = sqlite3_vfs_find(NULL);
	ASSERT(real_vfs);
	vfs = *real_vfs;
	vfs.pNext = NULL;
	vfs.zName = "power";
	vfs.szOsFile = (int)sizeof(struct held) + real_vfs->szOsFile;
	vfs.xOpen = power_open;
	ASSERT(sqlite3_vfs_register(&vfs, 1) == SQLITE_OK);
}
