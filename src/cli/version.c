/* SPDX-License-Identifier: Apache-2.0 */
#include <nghttp2/nghttp2.h>
#include <openssl/crypto.h>
#include <zlib.h>
#include <zstd.h>

#include "cli/options.h"
#include "wire/json.h"

#if defined(__clang__)
#define COMPILER "clang " __clang_version__
#else
#define COMPILER "gcc " __VERSION__
#endif

#if defined(__x86_64__)
#define MACHINE "x86-64"
#elif defined(__aarch64__)
#define MACHINE "arm64"
#else
#define MACHINE "unknown"
#endif

int version_run(const struct cli_call *call)
{
	const struct version_options *options = call->options;
	const struct {
		const char *name, *text;
	} parts[] = {
		{ "version", HYTHE_VERSION },
		{ "machine", MACHINE },
		{ "compiler", COMPILER },
		{ "openssl", OpenSSL_version(OPENSSL_VERSION_STRING) },
		{ "nghttp2", nghttp2_version(0)->version_str },
		{ "zlib", zlibVersion() },
		{ "zstd", ZSTD_versionString() },
	};
	struct json_writer w;
	struct buffer out;

	buffer_init(&out, KIB(16));
	w = json_writer(&out);
	if (options->as_json) {
		json_open_object(&w);
		for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
			json_key(&w, span_of(parts[i].name));
			json_string(&w, span_of(parts[i].text));
		}
		json_close_object(&w);
		buffer_byte(&out, '\n');
	} else {
		buffer_print(&out, "hythe %s\n", HYTHE_VERSION);
		for (size_t i = 1; i < ARRAY_LEN(parts); i++)
			buffer_print(&out, "%-9s %s\n", parts[i].name, parts[i].text);
	}
	fwrite(out.ptr, 1, out.len, stdout);
	buffer_done(&out);
	return EXIT_OK;
}
