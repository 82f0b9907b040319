/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * grpc - private to net: what gRPC puts on top of HTTP/2 ("gRPC over HTTP2", PROTOCOL-HTTP2.md): message frames, the
 * timeout header, the status in trailers. No sockets, no session: http2.c carries it.
 *
 * Threads: any; no state.
 */
#include "net/request.h"

enum { GRPC_FRAME_HEAD = 5 };

/* True for "application/grpc", with "+proto" and parameters. Sets *ret_is_other for its relatives (grpc-web, +json
 * ...). */
bool grpc_content_type(struct span content_type, bool *ret_is_other);

enum grpc_result { GRPC_DONE, GRPC_MORE, GRPC_FAILED };

/* The message at the start of `in`. FAILED: TOO_LARGE as soon as the length tells, or INVALID for unknown flags. */
enum grpc_result grpc_frame_read(struct span in, size_t limit, bool *ret_is_compressed, struct span *ret_message,
				 struct error *err);

/* The head of a frame with `len` bytes; `to` has room for GRPC_FRAME_HEAD. Over 4 GiB cannot be said: false. */
bool grpc_frame_head(char *to, bool is_compressed, size_t len);

/* "100m": at most eight digits and a unit. */
bool grpc_timeout_parse(struct span text, int64_t *ret_ns);

/* Headers that tell of a failure: grpc-message (percent-encoded UTF-8) and grpc-status-details-bin (google.rpc.Status
 * with an ErrorInfo: the error's name as the reason, domain "hythe"; base64 without padding). Both are cut from the
 * arena; empty when it is full. */
struct span grpc_message(const struct error *err, struct arena *arena);
struct span grpc_details(const struct error *err, struct arena *arena);

/* "0" to "16". */
struct span grpc_status_text(int status);
