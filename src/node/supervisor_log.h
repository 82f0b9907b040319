/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * supervisor_log - the log of one container: what comes from its pipes (or its terminal), as the Container Runtime Interface writes it:
 *
 *	2026-11-21T02:48:19.425682460Z stdout F a line
 *
 * "P" for "F": the line goes on in the next record of its stream; so are lines cut that are longer than LOG_LINE_MOST. All lines of one read have one
 * time, and go out with one write(2). A file that would pass LOG_BYTES_MOST is renamed NAME.20060102-150405 (UTC; -001 and so on behind it
 * within the same second), and of those the oldest go, so that LOG_FILES_MOST are there: a flood is bounded.
 *
 * A disk that is slow holds up who reads the pipe, so the container waits. One that is full loses lines: the next record that can be written
 * says how many bytes were lost. Records are never torn.
 *
 * Threads: one. Buffers are shared by all logs of the process, and given back when a flood is over (container_log_rest).
 */
#include "base/base.h"

#define LOG_LINE_MOST (16 << 10)

enum log_stream { LOG_STDOUT, LOG_STDERR, LOG_STREAMS };

struct container_log;

struct container_log_limits {
	int64_t bytes_most; /* of a file */
	int files_most;     /* the one written to included */
};

/* Makes the folders above it (0750) and the file (0640). */
struct container_log *container_log_open(const char *path, const struct container_log_limits *limits,
					 struct error *err);
/* Bytes of a stream; what is no whole line yet is kept. */
void container_log_put(struct container_log *l, enum log_stream stream, struct span bytes, int64_t wall_ns);
/*
 * Reads once from a non-blocking pipe or terminal, and puts it. The bytes read, valid until the next call; len 0: nothing is there now, or (*ret_ended)
 * nothing will come any more.
 */
struct span container_log_pump(struct container_log *l, enum log_stream stream, int fd, int64_t wall_ns,
			       bool *ret_ended);
/* Writes what is left of unfinished lines. NULL is allowed. */
void container_log_close(struct container_log *l, int64_t wall_ns);
/* Nothing has come for a while: memory of the buffers goes back. True: there was a flood since the last time. */
bool container_log_rest(void);
