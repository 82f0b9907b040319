/* SPDX-License-Identifier: Apache-2.0 */
/* A disk that fails or is full: what is refused, what is left of it, when writes go on. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sqlite3.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "store/store_private.h"

#include "store/store_kit.h"

/* ---- faults, in what SQLite asks of the kernel ---- */

static struct fault {
	int write_errno;     /* of every write, when it is not 0 */
	int sync_errno;      /* of every fdatasync: what was to be committed is whole in the log by then */
	bool room_again;     /* the first write that fails is the last that does */
	int64_t after_bytes; /* writes go well until as many were written */
} fault;

static ssize_t faulty_pwrite(int fd, const void *bytes, size_t count, off_t at)
{
	fault.after_bytes -= (int64_t)count;
	if (fault.write_errno && fault.after_bytes < 0) {
		errno = fault.write_errno;
		if (fault.room_again)
			fault.write_errno = 0;
		return -1;
	}
	return pwrite(fd, bytes, count, at);
}

/* In the place of the C library's, for SQLite as well. */
int fdatasync(int fd)
{
	if (fault.sync_errno) {
		errno = fault.sync_errno;
		return -1;
	}
	return (int)syscall(SYS_fdatasync, fd);
}

static void fault_set(int write_errno, int64_t after_bytes)
{
	fault = (struct fault){ .write_errno = write_errno, .after_bytes = after_bytes };
}

static void faults_begin(void)
{
	sqlite3_vfs *vfs = sqlite3_vfs_find(NULL);
	sqlite3_syscall_ptr hook = (sqlite3_syscall_ptr)faulty_pwrite;

	fault_set(0, 0);
	(void)vfs->xSetSystemCall(vfs, "pwrite64", hook); /* one of the two is not there */
	(void)vfs->xSetSystemCall(vfs, "pwrite", hook);
}

static void faults_end(void)
{
	sqlite3_vfs *vfs = sqlite3_vfs_find(NULL);

	(void)vfs->xSetSystemCall(vfs, NULL, NULL);
}

static void a_disk_that_fails_ends_writes_and_not_reads(void **state)
{
	struct error err = { 0 };
	struct kit k;

	(void)state;
	faults_begin();
	kit_init(&k);
	kit_open(&k);
	kit_write(&k, "/a", "before");
	fault_set(EIO, 0);
	assert_true(kit_propose(&k, "/a", "after", -1, &err));
	assert_true(kit_propose(&k, "/new", "never", -1, &err));
	assert_non_null(store_latest(k.store, SPAN("/new")));
	kit_wait(&k);
	assert_int_equal(k.error.code, ERROR_INTERNAL);
	assert_non_null(strstr(k.error.message, "store.db"));
	assert_non_null(strstr(k.error.message, "Input/output error"));
	fault_set(0, 0);

	assert_string_equal(kit_text(&k, "/a"), "before");
	assert_null(store_latest(k.store, SPAN("/new")));
	assert_int_equal(store_revision(k.store), 2);
	assert_false(timer_is_set(&k.store->room));
	assert_false(kit_propose(&k, "/a", "after", -1, &err));
	assert_int_equal(err.code, ERROR_UNAVAILABLE);
	assert_non_null(strstr(err.message, "store.db"));
	kit_close(&k);
	kit_open(&k); /* the disk is well again */
	assert_string_equal(kit_text(&k, "/a"), "before");
	assert_int_equal(kit_write(&k, "/a", "after"), 3);
	kit_done(&k);
	faults_end();
}

/* Stops the loop at the next trial, or when writes go well again. */
struct until {
	struct timer timer;
	struct kit *kit;
	int turns; /* of the loop, while writes are refused: 0: until they are not */
};

static void look_again(struct timer *t)
{
	struct until *u = CONTAINER_OF(t, struct until, timer);

	if (u->kit->store->is_failed && --u->turns != 0)
		loop_timer_set(u->kit->loop, t, clock_monotonic_ns() + NS_PER_MS, look_again);
	else
		loop_stop(u->kit->loop);
}

/* Lets the store ask now and not when its second is over; `turns` milliseconds, or 0: until writes go well. */
static void ask_for_room(struct kit *k, int turns)
{
	struct until u = { .kit = k, .turns = turns };

	if (timer_is_set(&k->store->room))
		loop_timer_set(k->loop, &k->store->room, clock_monotonic_ns(), k->store->room.fire);
	loop_timer_set(k->loop, &u.timer, clock_monotonic_ns() + NS_PER_MS, look_again);
	loop_run(k->loop);
	loop_timer_clear(k->loop, &u.timer);
}

static void refused_for_want_of_room(struct kit *k)
{
	struct error err = { 0 };

	assert_false(kit_propose(k, "/refused", "never", -1, &err));
	assert_int_equal(err.code, ERROR_INTERNAL);
	assert_non_null(strstr(err.message, k->folder));
	assert_non_null(strstr(err.message, "the disk at '/"));
	assert_non_null(strstr(err.message, "until there is room again"));
}

static void a_full_disk_refuses_writes_until_there_is_room(void **state)
{
	static const int causes[] = { ENOSPC, EDQUOT, EFBIG };
	struct error err = { 0 };
	struct kit k;

	(void)state;
	faults_begin();
	kit_init(&k);
	kit_open(&k);
	assert_int_equal(kit_write(&k, "/a", "before"), 2);
	for (size_t i = 0; i < ARRAY_LEN(causes); i++) {
		int64_t revision = store_revision(k.store);

		fault_set(causes[i], 0);
		assert_true(kit_propose(&k, "/a", "refused", -1, &err));
		assert_true(kit_propose(&k, "/new", "refused", -1, &err));
		kit_wait(&k);
		assert_int_equal(k.error.code, ERROR_INTERNAL);
		assert_non_null(strstr(k.error.message, "until there is room again"));
		refused_for_want_of_room(&k);
		ask_for_room(&k, 20); /* there is none yet */
		refused_for_want_of_room(&k);
		assert_null(store_latest(k.store, SPAN("/new")));
		assert_int_equal(store_revision(k.store), revision);
		assert_int_equal(store_next_revision(k.store), revision + 1);

		fault_set(0, 0);
		ask_for_room(&k, 0);
		assert_int_equal(kit_write(&k, "/a", "after"), revision + 1);
	}
	kit_close(&k);
	kit_open(&k);
	assert_string_equal(kit_text(&k, "/a"), "after");
	assert_string_equal(kit_text(&k, "/new"), "-");
	assert_int_equal(store_revision(k.store), 5);
	kit_done(&k);
	faults_end();
}

/* As after kill -9: what another process would find in the files as they are now. */
static void copy_and_open(struct kit *k, struct kit *copy)
{
	static const char *const names[] = { "store.db", "store.db-wal" };
	char from[128];
	struct error err = { 0 };

	kit_init(copy);
	copy->config.history_bytes = k->config.history_bytes;
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		snprintf(from, sizeof(from), "%s/%s", k->folder, names[i]);
		assert_true(folder_copy(from, kit_path(copy, names[i]), &err));
	}
	kit_open(copy);
}

/* Wherever in a commit the room ends: nothing of it is there, in memory or for who opens the files. */
static void what_was_refused_is_not_there_after_a_kill(void **state)
{
	static char text[30000];
	struct error err = { 0 };
	struct kit k, copy;

	(void)state;
	memset(text, 't', sizeof(text) - 1);
	faults_begin();
	kit_init(&k);
	kit_open(&k);
	kit_write(&k, "/a", "before");
	for (int64_t room = 0; room < 40000; room += 3000) {
		fault_set(ENOSPC, room);
		assert_true(kit_propose(&k, "/a", text, -1, &err));
		assert_true(kit_propose(&k, "/b", "refused", -1, &err));
		kit_wait(&k);
		assert_true(k.error.code == ERROR_INTERNAL || room > 30000);
		fault_set(0, 0);
		if (!k.error.code)
			break;
		copy_and_open(&k, &copy);
		assert_string_equal(kit_text(&copy, "/a"), "before");
		assert_string_equal(kit_text(&copy, "/b"), "-");
		assert_int_equal(store_revision(copy.store), store_revision(k.store));
		kit_done(&copy);
		ask_for_room(&k, 0);
		kit_write(&k, "/a", "before");
		copy_and_open(&k, &copy);
		assert_string_equal(kit_text(&copy, "/a"), "before");
		assert_int_equal(store_revision(copy.store), store_revision(k.store));
		kit_done(&copy);
	}
	kit_done(&k);
	faults_end();
}

static void a_big_write_that_is_refused_gives_its_room_back(void **state)
{
	static char text[1000000];
	struct error err = { 0 };
	struct stat st;
	struct kit k;

	(void)state;
	memset(text, 't', sizeof(text) - 1);
	faults_begin();
	kit_init(&k);
	kit_open(&k);
	kit_write(&k, "/a", "before");
	fault_set(ENOSPC, 500000);
	assert_true(kit_propose(&k, "/a", text, -1, &err));
	fault.room_again = true; /* for what is small */
	kit_wait(&k);
	assert_int_equal(k.error.code, ERROR_INTERNAL);
	assert_int_equal(stat(kit_path(&k, "store.db-wal"), &st), 0);
	assert_in_range(st.st_size, 1, 150000);
	fault_set(0, 0);
	ask_for_room(&k, 0);
	kit_write(&k, "/a", text);
	kit_write(&k, "/a", "after");
	kit_close(&k);
	kit_open(&k);
	assert_string_equal(kit_text(&k, "/a"), "after");
	assert_int_equal(store_revision(k.store), 4);
	kit_done(&k);
	faults_end();
}

static void a_commit_that_fails_at_its_end_is_not_there_after_a_kill(void **state)
{
	struct error err = { 0 };
	struct kit k, copy;

	(void)state;
	faults_begin();
	kit_init(&k);
	k.config.durability = STORE_DURABLE;
	kit_open(&k);
	kit_write(&k, "/a", "before");
	fault.sync_errno = ENOSPC; /* as NFS says it */
	assert_true(kit_propose(&k, "/a", "refused", -1, &err));
	kit_wait(&k);
	assert_int_equal(k.error.code, ERROR_INTERNAL);
	refused_for_want_of_room(&k);
	fault_set(0, 0);
	copy_and_open(&k, &copy);
	assert_string_equal(kit_text(&copy, "/a"), "before");
	assert_int_equal(store_revision(copy.store), store_revision(k.store));
	kit_done(&copy);
	ask_for_room(&k, 0);
	assert_int_equal(kit_write(&k, "/a", "after"), 3);
	kit_done(&k);
	faults_end();
}

static void a_key_that_is_due_on_a_full_disk_ends_when_there_is_room(void **state)
{
	struct store_write w = { .key = SPAN("/due"), .text = SPAN("short"), .expected = -1, .done = kit_written };
	struct error err = { 0 };
	struct kit k;

	(void)state;
	faults_begin();
	kit_init(&k);
	kit_open(&k);
	w.context = &k;
	w.expires_ns = clock_wall_ns() + 3 * NS_PER_S; /* it is written by then */
	assert_true(store_write(k.store, &w, &err));
	k.waiting++;
	kit_wait(&k);
	fault_set(ENOSPC, 0);
	while (!k.store->is_failed)
		loop_turn(k.loop, true); /* its deletion is what fails */
	assert_string_equal(kit_text(&k, "/due"), "short");
	fault_set(0, 0);
	ask_for_room(&k, 0);
	while (store_get(k.store, SPAN("/due")))
		loop_turn(k.loop, true);
	kit_done(&k);
	faults_end();
}

/* Rows that could not be dropped are dropped before later ones: a key would come back whose deletion is dropped alone. */
static void what_a_full_disk_kept_from_being_dropped_is_dropped_in_order(void **state)
{
	struct kit k;

	(void)state;
	faults_begin();
	kit_init(&k);
	k.config.history_bytes = 1;
	k.config.history_ns = 0;
	kit_open(&k);
	kit_write(&k, "/gone", "one");
	kit_write(&k, "/gone", "two"); /* drops the row of "one" some time later */
	fault_set(ENOSPC, 0);
	history_flush(k.store);
	while (!k.store->is_failed)
		loop_turn(k.loop, true);
	refused_for_want_of_room(&k);
	fault_set(0, 0);
	ask_for_room(&k, 0);
	kit_write(&k, "/gone", NULL);
	kit_write(&k, "/other", "text");
	kit_close(&k);
	kit_open(&k);
	assert_string_equal(kit_text(&k, "/gone"), "-");
	assert_string_equal(kit_text(&k, "/other"), "text");
	kit_done(&k);
	faults_end();
}

/* Proposes behind what this turn of the loop has already handed over. */
struct behind {
	struct loop_task task;
	struct kit *kit;
};

static void propose_behind(struct loop_task *t)
{
	struct kit *k = CONTAINER_OF(t, struct behind, task)->kit;
	struct error err = { 0 };

	assert_true(kit_propose(k, "/a", "behind", -1, &err));
	assert_true(kit_propose(k, "/new", "behind", -1, &err));
}

static void writes_behind_one_that_fails_fail_too(void **state)
{
	static char text[100000];
	struct rlimit old, small = { 60000, 60000 };
	struct error err = { 0 };
	struct behind b = { .task.run = propose_behind };
	struct kit k;

	(void)state;
	memset(text, 't', sizeof(text) - 1);
	signal(SIGXFSZ, SIG_IGN);
	kit_init(&k);
	b.kit = &k;
	kit_open(&k);
	kit_write(&k, "/a", "before");
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
	small.rlim_max = old.rlim_max;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
	assert_true(kit_propose(&k, "/a", text, -1, &err));
	loop_defer(k.loop, &b.task);
	kit_wait(&k);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
	assert_int_equal(k.waiting, 0);
	assert_non_null(strstr(k.error.message, "store.db"));
	assert_string_equal(kit_text(&k, "/a"), "before");
	assert_null(store_latest(k.store, SPAN("/new")));
	assert_int_equal(store_latest(k.store, SPAN("/a"))->revision, 2);
	kit_done(&k);
	signal(SIGXFSZ, SIG_DFL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_disk_that_fails_ends_writes_and_not_reads),
		cmocka_unit_test(a_full_disk_refuses_writes_until_there_is_room),
		cmocka_unit_test(what_was_refused_is_not_there_after_a_kill),
		cmocka_unit_test(a_big_write_that_is_refused_gives_its_room_back),
		cmocka_unit_test(a_commit_that_fails_at_its_end_is_not_there_after_a_kill),
		cmocka_unit_test(a_key_that_is_due_on_a_full_disk_ends_when_there_is_room),
		cmocka_unit_test(what_a_full_disk_kept_from_being_dropped_is_dropped_in_order),
		cmocka_unit_test(writes_behind_one_that_fails_fail_too),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
