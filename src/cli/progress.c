/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/progress.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "cli/describe.h"

enum { BAR_COLUMNS = 24, LINE_MAX_BYTES = 256 };
#define SHOW_EVERY_NS (100 * NS_PER_MS)

void progress_start(struct progress *p, uint64_t total, bool is_wanted)
{
	const char *term = getenv("TERM");

	*p = (struct progress){ .total = total, .started_ns = clock_monotonic_ns() };
	p->shown_ns = p->started_ns;
	p->is_on = is_wanted && isatty(STDERR_FILENO) && !(term && strcmp(term, "dumb") == 0);
}

static void put_bar(struct buffer *line, double part)
{
	int done = (int)(part * BAR_COLUMNS);

	buffer_byte(line, '[');
	for (int i = 0; i < BAR_COLUMNS; i++)
		buffer_byte(line, i < done ? '=' : i == done ? '>' : ' ');
	buffer_print(line, "] %3d %%  ", (int)(part * 100));
}

void progress_show(struct progress *p, uint64_t bytes, uint64_t rows)
{
	int64_t now;
	double seconds, rate;
	struct buffer line;

	if (!p->is_on)
		return;
	now = clock_monotonic_ns();
	if (now - p->shown_ns < SHOW_EVERY_NS)
		return;
	p->shown_ns = now;
	seconds = (double)(now - p->started_ns) / 1e9;
	rate = (double)bytes / seconds;

	buffer_init(&line, LINE_MAX_BYTES);
	buffer_append(&line, SPAN("\r\033[K"));
	if (p->total > 0)
		put_bar(&line, MIN((double)bytes / (double)p->total, 1.0));
	describe_bytes(bytes, &line);
	if (p->total > 0) {
		buffer_append(&line, SPAN(" of "));
		describe_bytes(p->total, &line);
	}
	buffer_print(&line, ", %llu rows, ", (unsigned long long)rows);
	describe_bytes((size_t)rate, &line);
	buffer_append(&line, SPAN("/s"));
	if (p->total > bytes && rate > 0)
		buffer_print(&line, ", %.0f s left", (double)(p->total - bytes) / rate);
	(void)!write(STDERR_FILENO, line.ptr, line.len); /* a progress line that cannot be shown is no harm */
	buffer_done(&line);
}

void progress_end(struct progress *p)
{
	if (p->is_on && p->shown_ns != p->started_ns)
		(void)!write(STDERR_FILENO, "\r\033[K", 4);
	p->is_on = false;
}
