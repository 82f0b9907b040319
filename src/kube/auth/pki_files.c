/* SPDX-License-Identifier: Apache-2.0 */
/* pki_files - keys and certificates in files: read with care, written whole. */
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kube/auth/pki_private.h"

#define FILE_BYTES_MAX KIB(64)

/* ---- reading ---- */

/* False without an error: the file is not there. */
static bool text_read(const char *path, struct buffer *ret, struct error *err)
{
	buffer_init(ret, FILE_BYTES_MAX);
	if (access(path, F_OK) != 0 && errno == ENOENT)
		return false;
	if (buffer_read_file(ret, path, err))
		return true;
	if (err->code == ERROR_TOO_LARGE)
		err->code = ERROR_INVALID;
	return false;
}

/* Without this OpenSSL would ask at the terminal. */
static int no_passphrase(char *to, int size, int is_writing, void *context)
{
	(void)to;
	(void)size;
	(void)is_writing;
	(void)context;
	return -1;
}

bool key_read(const char *path, EVP_PKEY **ret, struct error *err)
{
	struct error inner = { 0 };
	struct buffer text;
	EVP_PKEY *key = NULL;
	bool is_there = text_read(path, &text, &inner);

	if (is_there) {
		BIO *bio = BIO_new_mem_buf(text.ptr, (int)text.len);

		key = PEM_read_bio_PrivateKey(bio, NULL, no_passphrase, NULL);
		BIO_free(bio);
		if (!key)
			error_set(&inner, ERROR_INVALID,
				  "%s: not a private key in PEM form; put a good one there, or move all files of this "
				  "folder away to have new ones made",
				  path);
		ERR_clear_error();
		OPENSSL_cleanse(text.ptr, text.len);
	}
	buffer_done(&text);
	if (inner.code != ERROR_NONE) {
		*err = inner;
		return false;
	}
	*ret = key;
	return true;
}

bool certificate_read(const char *path, X509 **ret, struct error *err)
{
	struct error inner = { 0 };
	struct buffer text;
	X509 *x = NULL;
	bool is_there = text_read(path, &text, &inner);

	if (is_there) {
		BIO *bio = BIO_new_mem_buf(text.ptr, (int)text.len);

		x = PEM_read_bio_X509(bio, NULL, no_passphrase, NULL);
		BIO_free(bio);
		if (!x)
			error_set(
			    &inner, ERROR_INVALID,
			    "%s: not a certificate in PEM form; put a good one there, or move it away to have a new "
			    "one made",
			    path);
		ERR_clear_error();
	}
	buffer_done(&text);
	if (inner.code != ERROR_NONE) {
		*err = inner;
		return false;
	}
	*ret = x;
	return true;
}

/* ---- writing ---- */

static void sync_folder(const char *path)
{
	AUTO_FREE char *copy = span_to_text(span_of(path));
	AUTO_CLOSE int fd = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd >= 0)
		(void)fsync(fd); /* some file systems cannot; the rename is atomic all the same */
}

static bool write_all(int fd, struct span text)
{
	while (text.len > 0) {
		ssize_t n = write(fd, text.ptr, text.len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return false;
		text = span_skip(text, (size_t)n);
	}
	return fsync(fd) == 0;
}

bool private_file_write(const char *path, struct span text, unsigned mode, struct error *err)
{
	AUTO_FREE char *temporary = base_alloc(strlen(path) + 8);
	AUTO_CLOSE int fd = -1;

	snprintf(temporary, strlen(path) + 8, "%s.XXXXXX", path);
	fd = mkostemp(temporary, O_CLOEXEC); /* mode 0600 */
	if (fd < 0)
		return error_errno(err, errno, "%s", path);
	if (fchmod(fd, mode) == 0 && write_all(fd, text) && rename(temporary, path) == 0) {
		sync_folder(path);
		return true;
	}
	error_errno(err, errno, "%s", path);
	(void)unlink(temporary); /* nothing of it is of use */
	return false;
}

static bool take_bio(BIO *bio, struct buffer *out, const char *what, struct error *err)
{
	char *text;
	long len = BIO_get_mem_data(bio, &text);

	buffer_append(out, span_from(text, (size_t)len));
	BIO_free(bio);
	return buffer_ok(out, what, err);
}

bool certificate_pem(X509 *x, struct buffer *out, struct error *err)
{
	BIO *bio = BIO_new(BIO_s_mem());

	if (PEM_write_bio_X509(bio, x) == 1)
		return take_bio(bio, out, "certificate", err);
	BIO_free(bio);
	return openssl_fail(err, "writing a certificate");
}

bool key_pem(EVP_PKEY *key, struct buffer *out, struct error *err)
{
	BIO *bio = BIO_new(BIO_s_secmem());

	if (PEM_write_bio_PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL) == 1)
		return take_bio(bio, out, "key", err);
	BIO_free(bio);
	return openssl_fail(err, "writing a key");
}

bool key_write(const char *path, EVP_PKEY *key, struct error *err)
{
	struct buffer text;
	bool done;

	buffer_init(&text, FILE_BYTES_MAX);
	done = key_pem(key, &text, err) && private_file_write(path, buffer_span(&text), 0600, err);
	if (text.ptr)
		OPENSSL_cleanse(text.ptr, text.len);
	buffer_done(&text);
	return done;
}

bool certificate_write(const char *path, X509 *x, struct error *err)
{
	struct buffer text;
	bool done;

	buffer_init(&text, FILE_BYTES_MAX);
	done = certificate_pem(x, &text, err) && private_file_write(path, buffer_span(&text), 0644, err);
	buffer_done(&text);
	return done;
}
