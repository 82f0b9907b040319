/* SPDX-License-Identifier: Apache-2.0 */
/* What is kept and how it comes back: encryption, backups, damage, locks. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <sys/stat.h>

#include "store/store_private.h"

#include "store/store_kit.h"

static bool is_secret(struct span key)
{
	return span_starts(key, SPAN("/secrets/"));
}

static void kit_init_secret(struct kit *k)
{
	kit_init(k);
	k->config.is_secret = is_secret;
}

/* Why the store does not open. */
static struct error refused(struct kit *k)
{
	struct error err = { 0 };

	k->store = store_open(&k->config, &err);
	assert_null(k->store);
	return err;
}

static void assert_refused(struct kit *k, enum error_code code, const char *word)
{
	struct error err = refused(k);

	if (err.code != code || !strstr(err.message, word))
		fail_msg("%s: %s", error_name(err.code), err.message);
}

static bool folder_contains(struct kit *k, const char *text)
{
	static const char *const names[] = { "store.db", "store.db-wal" };
	bool found = false;

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		struct buffer b;
		struct error err = { 0 };

		buffer_init(&b, MIB(64));
		if (buffer_read_file(&b, kit_path(k, names[i]), &err) && b.len)
			found |= memmem(b.ptr, b.len, text, strlen(text)) != NULL;
		buffer_done(&b);
	}
	return found;
}

static void put(const char *path, const void *bytes, size_t len)
{
	AUTO_CLOSE int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, bytes, len), len);
}

static void sql(struct kit *k, const char *text)
{
	sqlite3 *db = NULL;

	assert_int_equal(sqlite3_open(kit_path(k, "store.db"), &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, text, NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(db);
}

static void secrets_are_encrypted_on_disk_and_nothing_else(void **state)
{
	struct kit k;
	struct stat st;

	(void)state;
	kit_init_secret(&k);
	kit_open(&k);
	kit_write(&k, "/secrets/a", "hidden-in-the-file");
	kit_write(&k, "/other/a", "open-in-the-file");
	kit_write(&k, "/secrets/a", "hidden-as-well");
	for (int round = 0; round < 2; round++) {
		assert_string_equal(kit_text(&k, "/secrets/a"), "hidden-as-well");
		assert_string_equal(kit_text(&k, "/other/a"), "open-in-the-file");
		assert_true(folder_contains(&k, "open-in-the-file"));
		assert_false(folder_contains(&k, "hidden"));
		kit_close(&k);
		kit_open(&k);
	}
	assert_int_equal(stat(kit_path(&k, "secret.key"), &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_int_equal(stat(kit_path(&k, "store.db"), &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	kit_done(&k);
}

static void without_its_key_a_store_with_secrets_does_not_open(void **state)
{
	static const char other[] = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff\n";
	char key[128];
	struct kit k;

	(void)state;
	kit_init_secret(&k);
	kit_open(&k);
	kit_write(&k, "/secrets/a", "hidden");
	kit_close(&k);
	snprintf(key, sizeof(key), "%s/kept", k.folder);
	assert_int_equal(rename(kit_path(&k, "secret.key"), key), 0);
	assert_refused(&k, ERROR_INVALID, "secret.key' is missing");
	put(kit_path(&k, "secret.key"), other, sizeof(other) - 1);
	assert_refused(&k, ERROR_INVALID, "does not open with this key");
	put(kit_path(&k, "secret.key"), "short\n", 6);
	assert_refused(&k, ERROR_INVALID, "is no key");
	assert_int_equal(rename(key, kit_path(&k, "secret.key")), 0);
	assert_int_equal(chmod(k.path, 0644), 0);
	assert_refused(&k, ERROR_FORBIDDEN, "chmod 600");
	assert_int_equal(chmod(k.path, 0600), 0);
	kit_open(&k);
	assert_string_equal(kit_text(&k, "/secrets/a"), "hidden");
	kit_done(&k);
}

static void a_sealed_text_opens_in_its_own_row_only(void **state)
{
	struct secret secret = { .key = "0123456789abcdef0123456789abcde" };
	struct journal_row row = {
		.revision = 2, .created = 2, .version = 1, .key = SPAN_INIT("/s"), .text = SPAN_INIT("text")
	};
	struct journal_row rows[6];
	struct error err = { 0 };
	struct buffer sealed, again, clear;

	(void)state;
	buffer_init(&sealed, KIB(1));
	buffer_init(&again, KIB(1));
	buffer_init(&clear, KIB(1));
	assert_true(secret_seal(&secret, &row, &sealed, &err));
	assert_true(secret_seal(&secret, &row, &again, &err));
	assert_false(span_equal(buffer_span(&sealed), buffer_span(&again))); /* a nonce each */
	row.text = buffer_span(&sealed);
	assert_true(secret_open(&secret, &row, &clear, &err));
	assert_true(span_equal(buffer_span(&clear), SPAN("text")));
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		rows[i] = row;
	rows[0].revision = 3;
	rows[1].key = SPAN("/t");
	rows[2].flags = JOURNAL_DELETION;
	rows[3].expires_ns = 1;
	rows[4].text.len--;
	rows[5].text.len = 5;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		assert_false(secret_open(&secret, &rows[i], &clear, &err));
		assert_int_equal(err.code, ERROR_INVALID);
	}
	for (size_t i = 0; i < sealed.len; i++) {
		sealed.ptr[i] ^= 1;
		assert_false(secret_open(&secret, &row, &clear, &err));
		sealed.ptr[i] ^= 1;
	}
	buffer_done(&sealed);
	buffer_done(&again);
	buffer_done(&clear);
}

static void a_folder_is_held_by_one_store(void **state)
{
	struct kit k;
	struct store *first;
	char pid[32];

	(void)state;
	kit_init(&k);
	kit_open(&k);
	first = k.store;
	snprintf(pid, sizeof(pid), "number %d", getpid());
	assert_refused(&k, ERROR_UNAVAILABLE, pid);
	k.store = first;
	kit_write(&k, "/a", "1");
	kit_close(&k);
	kit_open(&k);
	kit_done(&k);
}

static void folders_that_cannot_be_used_are_named(void **state)
{
	char inside[160];
	struct kit k;

	(void)state;
	kit_init(&k);
	snprintf(inside, sizeof(inside), "%s/deep/er", k.folder);
	k.config.folder = inside;
	kit_open(&k);
	kit_close(&k);
	put(kit_path(&k, "file"), "x", 1);
	k.config.folder = kit_path(&k, "file");
	assert_refused(&k, ERROR_INVALID, "is no folder");
	k.config.folder = "";
	assert_refused(&k, ERROR_INVALID, "no name");
	assert_int_equal(chmod(inside, 0555), 0);
	k.config.folder = inside;
	if (geteuid() == 0) { /* whom modes do not stop */
		assert_int_equal(chmod(k.folder, 0755), 0);
		snprintf(k.path, sizeof(k.path), "%s/deep", k.folder);
		assert_int_equal(chmod(k.path, 0755), 0);
		assert_int_equal(seteuid(65534), 0);
	}
	assert_refused(&k, ERROR_FORBIDDEN, inside);
	assert_int_equal(seteuid(getuid()), 0);
	assert_int_equal(chmod(inside, 0700), 0);
	k.config.folder = k.folder;
	kit_done(&k);
}

static void files_that_are_no_store_are_refused_and_kept(void **state)
{
	static const char other[] =
	    "this is a text about something else, and it is longer than a header of a hundred bytes, "
	    "so that it is read as one";
	struct kit k;
	struct stat st;

	(void)state;
	kit_init(&k);
	put(kit_path(&k, "store.db"), "", 0);
	assert_refused(&k, ERROR_INVALID, "it is empty");
	put(kit_path(&k, "store.db"), other, sizeof(other));
	assert_refused(&k, ERROR_INVALID, "no store");
	assert_int_equal(stat(kit_path(&k, "store.db"), &st), 0);
	assert_int_equal(st.st_size, sizeof(other));
	assert_int_equal(unlink(k.path), 0);
	sql(&k, "CREATE TABLE mine(a); INSERT INTO mine VALUES(1)");
	assert_refused(&k, ERROR_INVALID, "no store of hythe");
	assert_int_equal(unlink(kit_path(&k, "store.db")), 0);
	kit_open(&k);
	kit_close(&k);
	sql(&k, "PRAGMA user_version = 2");
	assert_refused(&k, ERROR_INVALID, "format 2");
	assert_int_equal(unlink(kit_path(&k, "store.db")), 0);
	put(kit_path(&k, "store.db-wal"), other, sizeof(other));
	assert_refused(&k, ERROR_INVALID, "store.db-wal");
	kit_done(&k);
}

static void changed_rows_are_named(void **state)
{
	static const struct {
		const char *sql, *word;
	} rows[] = {
		{ "UPDATE log SET text = 'other' WHERE revision = 3", "row 3 (key '/b') does not match its sum" },
		{ "UPDATE log SET key = '/c' WHERE revision = 3", "row 3" },
		{ "UPDATE log SET version = 9 WHERE revision = 4", "row 4" },
		{ "DELETE FROM log WHERE revision = 3", "the rows from 3 to 3 are missing" },
		{ "DELETE FROM meta", "gives nothing" },
		{ "UPDATE meta SET value = 0", "its history begins at 0" },
		{ "DROP TABLE log", "no such table" },
	};
	struct kit k;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		kit_init(&k);
		kit_open(&k);
		kit_write(&k, "/a", "1");
		kit_write(&k, "/b", "2");
		kit_write(&k, "/a", "3");
		kit_close(&k);
		sql(&k, rows[i].sql);
		assert_refused(&k, ERROR_INVALID, rows[i].word);
		kit_done(&k);
	}
}

static void what_a_killed_start_leaves_does_not_matter(void **state)
{
	struct kit k;

	(void)state;
	kit_init_secret(&k);
	put(kit_path(&k, "store.db.new"), "half", 4);
	put(kit_path(&k, "secret.key.new"), "0123", 4);
	put(kit_path(&k, "lock"), "99999999\n", 9);
	kit_open(&k);
	kit_write(&k, "/secrets/a", "1");
	kit_close(&k);
	assert_int_not_equal(access(kit_path(&k, "store.db.new"), F_OK), 0);
	assert_int_not_equal(access(kit_path(&k, "secret.key.new"), F_OK), 0);
	kit_open(&k);
	assert_string_equal(kit_text(&k, "/secrets/a"), "1");
	kit_done(&k);
}

static void a_lost_version_is_missed_by_the_one_after_it(void **state)
{
	struct kit k;

	(void)state;
	kit_init(&k);
	k.config.history_bytes = 0;
	k.config.history_ns = 0;
	kit_open(&k);
	kit_write(&k, "/a", "1");
	kit_write(&k, "/b", "2");
	kit_write(&k, "/b", "3"); /* drops 3, and /a is below the floor */
	assert_int_equal(store_compacted(k.store), 3);
	k.config.history_bytes = MIB(1);
	kit_close(&k);
	kit_open(&k);
	kit_write(&k, "/a", "5");
	kit_close(&k);
	sql(&k, "DELETE FROM log WHERE revision = 2");
	assert_refused(&k, ERROR_INVALID, "row 5 does not follow");
	kit_done(&k);
}

/* Every page of a file in turn gets other bytes in its middle. */
static void damaged_pages_are_found_and_nothing_is_overwritten(void **state)
{
	static char text[700];
	struct error err = { 0 };
	struct buffer whole, after;
	struct kit k;
	char key[16];
	size_t found = 0, pages;

	(void)state;
	memset(text, 't', sizeof(text) - 1);
	kit_init(&k);
	kit_open(&k);
	for (int i = 0; i < 100; i++) {
		snprintf(key, sizeof(key), "/%d", i);
		assert_true(kit_propose(&k, key, text, 0, &err));
	}
	kit_wait(&k);
	kit_close(&k);
	buffer_init(&whole, MIB(4));
	buffer_init(&after, MIB(4));
	assert_true(buffer_read_file(&whole, kit_path(&k, "store.db"), &err));
	pages = whole.len / 4096;
	assert_true(pages > 20);
	for (size_t i = 0; i < pages; i++) {
		char *at = whole.ptr + i * 4096 + 3000, kept[8];

		memcpy(kept, at, sizeof(kept));
		memcpy(at, "\xFF\x01\xFE\x02\xFD\x03\xFC\x04", sizeof(kept));
		put(kit_path(&k, "store.db"), whole.ptr, whole.len);
		k.store = store_open(&k.config, &err);
		if (k.store) {
			assert_int_equal(store_count(k.store, SPAN("/")), 100); /* in space that holds nothing */
			kit_close(&k);
		} else {
			found++;
			assert_int_equal(err.code, ERROR_INVALID);
			buffer_clear(&after);
			assert_true(buffer_read_file(&after, kit_path(&k, "store.db"), &err));
			assert_true(span_equal(buffer_span(&whole), buffer_span(&after)));
		}
		memcpy(at, kept, sizeof(kept));
	}
	assert_true(found >= pages - 5);
	for (size_t len = 100; len < whole.len; len += 8192) { /* cut off */
		put(kit_path(&k, "store.db"), whole.ptr, len);
		assert_int_equal(refused(&k).code, ERROR_INVALID);
	}
	put(kit_path(&k, "store.db"), whole.ptr, whole.len);
	kit_open(&k);
	assert_int_equal(store_count(k.store, SPAN("/")), 100);
	buffer_done(&whole);
	buffer_done(&after);
	kit_done(&k);
}

static void backed_up(void *context, const struct error *err)
{
	kit_answered(context, err);
}

static const char *backup(struct kit *k)
{
	static char path[128];

	snprintf(path, sizeof(path), "%s/copy", k->folder);
	k->waiting++;
	store_backup(k->store, path, backed_up, k);
	kit_wait(k);
	return path;
}

static void a_backup_restores_all_with_its_secrets(void **state)
{
	struct error err = { 0 };
	struct stat st;
	struct kit k, other;
	const char *copy;

	(void)state;
	kit_init_secret(&k);
	kit_init_secret(&other);
	kit_open(&k);
	kit_write(&k, "/a", "1");
	kit_write(&k, "/b", "gone");
	kit_write(&k, "/secrets/a", "hidden");
	kit_write(&k, "/b", NULL);
	(void)backup(&k);
	assert_int_equal(k.error.code, ERROR_NONE);
	kit_write(&k, "/a", "later");
	copy = backup(&k); /* over the one before */
	assert_int_equal(k.error.code, ERROR_NONE);
	kit_write(&k, "/a", "too late");
	assert_int_equal(stat(copy, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);

	assert_true(store_restore(copy, other.folder, &err));
	kit_open(&other);
	assert_string_equal(kit_text(&other, "/a"), "later");
	assert_string_equal(kit_text(&other, "/b"), "-");
	assert_string_equal(kit_text(&other, "/secrets/a"), "hidden");
	/* Whoever saw revision 7 of the lost store starts anew. */
	assert_true(store_compacted(other.store) > 7);
	assert_true(kit_write(&other, "/a", "new") > 7);
	kit_close(&other);

	/* Over a store: what was there stays beside it. */
	assert_true(store_restore(copy, other.folder, &err));
	kit_open(&other);
	assert_string_equal(kit_text(&other, "/a"), "later");
	kit_done(&other);
	kit_done(&k);
}

/* Commits go on while a backup is made, whatever the store was made of. */
static void a_restored_store_is_written_while_it_is_read(void **state)
{
	struct error err = { 0 };
	struct kit k, other;
	sqlite3 *reader;

	(void)state;
	kit_init(&k);
	kit_init(&other);
	kit_open(&k);
	kit_write(&k, "/a", "1");
	assert_true(store_restore(backup(&k), other.folder, &err));
	kit_open(&other);
	assert_int_equal(
	    sqlite3_open_v2(kit_path(&other, "store.db"), &reader, SQLITE_OPEN_READONLY | SQLITE_OPEN_NOMUTEX, NULL),
	    SQLITE_OK);
	assert_int_equal(sqlite3_exec(reader, "BEGIN; SELECT count(*) FROM log", NULL, NULL, NULL), SQLITE_OK);
	kit_write(&other, "/a", "2");
	assert_int_equal(sqlite3_exec(reader, "ROLLBACK", NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(reader);
	kit_close(&other);
	kit_open(&other);
	assert_string_equal(kit_text(&other, "/a"), "2");
	kit_done(&other);
	kit_done(&k);
}

static int is_old(const struct dirent *entry)
{
	return strncmp(entry->d_name, "store.db.old-", 13) == 0 && !strstr(entry->d_name, "-wal");
}

static void a_restore_keeps_the_store_it_replaces(void **state)
{
	struct error err = { 0 };
	struct dirent **names;
	char old[512];
	struct kit k;

	(void)state;
	kit_init(&k);
	kit_open(&k);
	kit_write(&k, "/a", "1");
	(void)backup(&k);
	kit_write(&k, "/a", "2");
	assert_false(store_restore(kit_path(&k, "copy"), k.folder, &err));
	assert_int_equal(err.code, ERROR_UNAVAILABLE); /* it runs */
	kit_close(&k);
	assert_true(store_restore(kit_path(&k, "copy"), k.folder, &err));
	kit_open(&k);
	assert_string_equal(kit_text(&k, "/a"), "1");
	kit_close(&k);
	assert_int_equal(scandir(k.folder, &names, is_old, alphasort), 1);
	snprintf(old, sizeof(old), "%s/%s", k.folder, names[0]->d_name);
	free(names[0]);
	free(names);
	assert_int_equal(rename(old, kit_path(&k, "store.db")), 0);
	kit_open(&k);
	assert_string_equal(kit_text(&k, "/a"), "2");
	kit_close(&k);

	/* A damaged one with its write-ahead log, too. */
	put(kit_path(&k, "store.db"), "damaged", 7);
	put(kit_path(&k, "store.db-wal"), "damaged log", 11);
	assert_true(store_restore(kit_path(&k, "copy"), k.folder, &err));
	kit_open(&k);
	assert_string_equal(kit_text(&k, "/a"), "1");
	kit_done(&k);
}

static void what_is_no_backup_is_neither_restored_nor_overwritten(void **state)
{
	struct error err = { 0 };
	struct kit k;
	const char *copy;

	(void)state;
	kit_init(&k);
	kit_open(&k);
	put(kit_path(&k, "copy"), "a letter to a friend", 20);
	copy = backup(&k);
	assert_int_equal(k.error.code, ERROR_ALREADY_EXISTS);
	kit_close(&k);
	assert_false(store_restore(copy, k.folder, &err));
	assert_int_equal(err.code, ERROR_INVALID);
	assert_false(store_restore(kit_path(&k, "absent"), k.folder, &err));
	assert_int_equal(err.code, ERROR_NOT_FOUND);
	kit_open(&k);
	k.waiting++;
	store_backup(k.store, "/nowhere/at/all", backed_up, &k);
	kit_wait(&k);
	assert_int_equal(k.error.code, ERROR_NOT_FOUND);
	kit_done(&k);
}

static void a_backup_that_cannot_be_read_changes_nothing(void **state)
{
	struct error err = { 0 };
	struct buffer bytes;
	struct kit k, other;
	char key[160];
	const char *copy;

	(void)state;
	kit_init_secret(&k);
	kit_init_secret(&other);
	kit_open(&k);
	kit_write(&k, "/secrets/a", "hidden");
	copy = backup(&k);
	snprintf(key, sizeof(key), "%s.key", copy);
	assert_int_equal(rename(key, kit_path(&k, "kept")), 0);
	assert_false(store_restore(copy, other.folder, &err));
	assert_non_null(strstr(err.message, "its key"));
	put(key, "ff112233445566778899aabbccddeeff00112233445566778899aabbccddeeff\n", 65);
	assert_false(store_restore(copy, other.folder, &err));
	assert_non_null(strstr(err.message, "does not open with this key"));
	assert_int_equal(rename(kit_path(&k, "kept"), key), 0);
	assert_true(store_restore(copy, other.folder, &err));
	buffer_init(&bytes, MIB(1));
	assert_true(buffer_read_file(&bytes, copy, &err));
	put(copy, bytes.ptr, bytes.len / 2);
	assert_false(store_restore(copy, other.folder, &err));
	assert_int_equal(err.code, ERROR_INVALID);
	buffer_done(&bytes);
	kit_open(&other);
	assert_string_equal(kit_text(&other, "/secrets/a"), "hidden");
	kit_done(&other);
	kit_done(&k);
}

/* The texts of these tests are "<what>@<revision>". */
static bool renew(void *context, struct span key, struct span text, int64_t revision, struct buffer *out,
		  struct error *err)
{
	(void)context;
	if (span_equal(text, SPAN("bad")))
		return error_set(err, ERROR_INVALID, "'" SPAN_FMT "' is bad", SPAN_ARG(key));
	buffer_append(out, span_cut(&text, '@'));
	buffer_print(out, "@%lld", (long long)revision);
	return true;
}

struct changes {
	struct store_watcher watcher;
	char text[512];
};

static void change(struct store_watcher *w, const struct store_event *event)
{
	struct changes *c = CONTAINER_OF(w, struct changes, watcher);
	const struct record *r = event->record;
	size_t len = strlen(c->text);

	snprintf(c->text + len, sizeof(c->text) - len, "%c%.*s=%.*s ", r->is_deletion ? '-' : '+', (int)r->key.len,
		 r->key.ptr, (int)r->text.len, r->text.ptr);
}

static void replace(struct kit *k)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/copy", k->folder);
	k->waiting++;
	store_replace(k->store, path, renew, backed_up, k);
	kit_wait(k);
}

static void a_replacement_is_seen_as_changes(void **state)
{
	struct changes c = { .watcher.event = change };
	struct error err = { 0 };
	struct store_watch *watch;
	struct kit k;

	(void)state;
	kit_init_secret(&k);
	kit_open(&k);
	kit_write(&k, "/same", "s@2");
	kit_write(&k, "/changed", "old@3");
	kit_write(&k, "/lost", "l@4");
	kit_write(&k, "/secrets/a", "hidden@5");
	(void)backup(&k);
	kit_write(&k, "/changed", "new@6");
	kit_write(&k, "/lost", NULL);
	kit_write(&k, "/more", "m@8");
	kit_write(&k, "/same", "s@9"); /* the same but for its revision */
	watch = store_watch(k.store, SPAN(""), store_revision(k.store), &c.watcher, &err);
	replace(&k);
	assert_int_equal(k.error.code, ERROR_NONE);
	assert_string_equal(c.text, "+/changed=old@10 +/lost=l@11 -/more=m@12 ");
	assert_string_equal(kit_text(&k, "/same"), "s@9");
	c.text[0] = 0;
	replace(&k); /* nothing to do */
	assert_int_equal(k.error.code, ERROR_NONE);
	assert_string_equal(c.text, "");
	assert_int_equal(store_revision(k.store), 12);
	store_unwatch(watch);
	kit_done(&k);
}

static void a_replacement_that_fails_changes_nothing(void **state)
{
	struct error err = { 0 };
	struct kit k;

	(void)state;
	kit_init(&k);
	kit_open(&k);
	kit_write(&k, "/a", "old@2");
	kit_write(&k, "/b", "bad");
	(void)backup(&k);
	kit_write(&k, "/a", "new@4");
	kit_write(&k, "/b", "good@5");
	replace(&k);
	assert_int_equal(k.error.code, ERROR_INVALID);
	assert_int_equal(store_revision(k.store), 5);
	assert_string_equal(kit_text(&k, "/a"), "new@4");
	assert_int_equal(unlink(kit_path(&k, "copy")), 0);
	replace(&k);
	assert_int_equal(k.error.code, ERROR_NOT_FOUND);
	/* One under way when the store is closed is answered. */
	assert_true(kit_propose(&k, "/a", "last@6", -1, &err));
	k.waiting++;
	store_backup(k.store, kit_path(&k, "copy"), backed_up, &k);
	kit_close(&k);
	assert_int_equal(k.waiting, 0);
	loop_run(k.loop); /* to its end: the callbacks have stopped it */
	kit_done(&k);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(secrets_are_encrypted_on_disk_and_nothing_else),
		cmocka_unit_test(without_its_key_a_store_with_secrets_does_not_open),
		cmocka_unit_test(a_sealed_text_opens_in_its_own_row_only),
		cmocka_unit_test(a_folder_is_held_by_one_store),
		cmocka_unit_test(folders_that_cannot_be_used_are_named),
		cmocka_unit_test(files_that_are_no_store_are_refused_and_kept),
		cmocka_unit_test(changed_rows_are_named),
		cmocka_unit_test(what_a_killed_start_leaves_does_not_matter),
		cmocka_unit_test(a_lost_version_is_missed_by_the_one_after_it),
		cmocka_unit_test(damaged_pages_are_found_and_nothing_is_overwritten),
		cmocka_unit_test(a_backup_restores_all_with_its_secrets),
		cmocka_unit_test(a_restored_store_is_written_while_it_is_read),
		cmocka_unit_test(a_restore_keeps_the_store_it_replaces),
		cmocka_unit_test(what_is_no_backup_is_neither_restored_nor_overwritten),
		cmocka_unit_test(a_backup_that_cannot_be_read_changes_nothing),
		cmocka_unit_test(a_replacement_is_seen_as_changes),
		cmocka_unit_test(a_replacement_that_fails_changes_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
