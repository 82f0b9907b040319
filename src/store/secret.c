/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A sealed text is: a byte 1 for this way of sealing, 12 bytes nonce, the text encrypted with AES-256-GCM, 16 bytes
 * tag. The nonce is random: under one key 2^32 texts may be sealed so (NIST SP 800-38D 8.3), and a restored backup,
 * which repeats revisions, repeats no nonce.
 */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/store_private.h"

#include "base/ascii.h"

enum { WAY = 1, NONCE = 12, TAG = 16, HEX = 2 * SECRET_KEY_BYTES };

static_assert(SECRET_OVERHEAD == 1 + NONCE + TAG, "the header says so too");

static bool key_parse(struct span text, struct secret *ret_secret)
{
	struct secret s;

	if (text.len > HEX && text.ptr[text.len - 1] == '\n')
		text.len--;
	if (text.len != HEX)
		return false;
	for (size_t i = 0; i < SECRET_KEY_BYTES; i++) {
		int high = ascii_hex_value(text.ptr[2 * i]), low = ascii_hex_value(text.ptr[2 * i + 1]);

		if (high < 0 || low < 0)
			return false;
		s.key[i] = (unsigned char)(high << 4 | low);
	}
	*ret_secret = s;
	return true;
}

bool secret_load(const char *path, struct secret *ret_secret, struct error *err)
{
	AUTO_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC);
	char text[HEX + 2];
	struct stat st;
	ssize_t got;
	bool ok;

	if (fd < 0)
		return error_errno(err, errno, "cannot open '%s'", path);
	if (fstat(fd, &st) == 0 && (st.st_mode & 077))
		return error_set(err, ERROR_FORBIDDEN,
				 "'%s' has mode %03o: others may read the key of the secrets; run: chmod 600 '%s'",
				 path, st.st_mode & 0777, path);
	got = read(fd, text, sizeof(text));
	ok = got > 0 && key_parse(span_from(text, (size_t)got), ret_secret);
	OPENSSL_cleanse(text, sizeof(text));
	return ok || error_set(err, ERROR_INVALID, "'%s' is no key: it has 64 characters of 0-9 and a-f", path);
}

bool secret_create(const char *path, struct secret *ret_secret, struct error *err)
{
	static const char digits[] = "0123456789abcdef";
	AUTO_FREE char *folder = folder_of(path);
	char made[4096], text[HEX + 1];
	struct secret s;
	AUTO_CLOSE int fd = -1;
	bool ok;

	if ((size_t)snprintf(made, sizeof(made), "%s.new", path) >= sizeof(made))
		return error_set(err, ERROR_INVALID, "the path '%s' is too long", path);
	if (RAND_bytes(s.key, sizeof(s.key)) != 1)
		return error_set(err, ERROR_INTERNAL, "no random bytes for '%s'", path);
	for (size_t i = 0; i < SECRET_KEY_BYTES; i++) {
		text[2 * i] = digits[s.key[i] >> 4];
		text[2 * i + 1] = digits[s.key[i] & 15];
	}
	text[HEX] = '\n';
	(void)unlink(made); /* of a start that was killed */
	fd = open(made, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	ok = fd >= 0 && write(fd, text, sizeof(text)) == sizeof(text) && fsync(fd) == 0 &&
	     renameat2(AT_FDCWD, made, AT_FDCWD, path, RENAME_NOREPLACE) == 0;
	OPENSSL_cleanse(text, sizeof(text));
	if (!ok) {
		error_errno(err, errno, "cannot make '%s'", path);
		(void)unlink(made);
		return false;
	}
	if (!folder_sync(folder, err))
		return false;
	*ret_secret = s;
	return true;
}

/* All of the row but the text is authenticated. */
static bool authenticate(EVP_CIPHER_CTX *c, const struct journal_row *row, bool is_sealing)
{
	int64_t head[] = { row->revision, row->created, row->version, row->expires_ns, row->flags & JOURNAL_DELETION };
	int len;
	int (*update)(EVP_CIPHER_CTX *, unsigned char *, int *, const unsigned char *, int) =
	    is_sealing ? EVP_EncryptUpdate : EVP_DecryptUpdate;

	return update(c, NULL, &len, (const unsigned char *)head, sizeof(head)) == 1 &&
	       update(c, NULL, &len, (const unsigned char *)row->key.ptr, (int)row->key.len) == 1;
}

bool secret_seal(const struct secret *secret, const struct journal_row *row, struct buffer *out, struct error *err)
{
	EVP_CIPHER_CTX *c = EVP_CIPHER_CTX_new();
	unsigned char *to = (unsigned char *)buffer_reserve(out, row->text.len + SECRET_OVERHEAD);
	unsigned char *nonce = to + 1, *text = nonce + NONCE;
	int len = 0, rest = 0;
	bool ok;

	if (to)
		to[0] = WAY;
	ok = c && to && row->text.len <= INT32_MAX && RAND_bytes(nonce, NONCE) == 1 &&
	     EVP_EncryptInit_ex(c, EVP_aes_256_gcm(), NULL, secret->key, nonce) == 1 && authenticate(c, row, true) &&
	     EVP_EncryptUpdate(c, text, &len, (const unsigned char *)row->text.ptr, (int)row->text.len) == 1 &&
	     EVP_EncryptFinal_ex(c, text + len, &rest) == 1 &&
	     EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_GCM_GET_TAG, TAG, text + row->text.len) == 1;
	EVP_CIPHER_CTX_free(c);
	if (!ok)
		return error_set(err, ERROR_INTERNAL, "cannot encrypt the text of '" SPAN_FMT "'", SPAN_ARG(row->key));
	buffer_commit(out, row->text.len + SECRET_OVERHEAD);
	return true;
}

bool secret_open(const struct secret *secret, const struct journal_row *row, struct buffer *out, struct error *err)
{
	const unsigned char *from = (const unsigned char *)row->text.ptr;
	size_t size = row->text.len - SECRET_OVERHEAD;
	EVP_CIPHER_CTX *c;
	unsigned char *to;
	int len = 0, rest = 0;
	bool ok;

	if (row->text.len < SECRET_OVERHEAD || row->text.len > INT32_MAX || from[0] != WAY)
		return error_set(err, ERROR_INVALID, "row %lld (key '" SPAN_FMT "') is encrypted in an unknown way",
				 (long long)row->revision, SPAN_ARG(row->key));
	c = EVP_CIPHER_CTX_new();
	to = (unsigned char *)buffer_reserve(out, size + 1);
	ok = c && to && EVP_DecryptInit_ex(c, EVP_aes_256_gcm(), NULL, secret->key, from + 1) == 1 &&
	     authenticate(c, row, false) && EVP_DecryptUpdate(c, to, &len, from + 1 + NONCE, (int)size) == 1 &&
	     EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_GCM_SET_TAG, TAG, (void *)(from + 1 + NONCE + size)) == 1 &&
	     EVP_DecryptFinal_ex(c, to + len, &rest) == 1;
	EVP_CIPHER_CTX_free(c);
	if (!ok)
		return error_set(err, ERROR_INVALID,
				 "row %lld (key '" SPAN_FMT
				 "') does not open with this key: is it the key file of this store?",
				 (long long)row->revision, SPAN_ARG(row->key));
	buffer_commit(out, size);
	return true;
}
