/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "cli/describe.h"
#include "cli/pipeline.h"
#include "cli/targets.h"

enum { BLOCK_BYTES = KIB(512), THREADS_MAX = 256, PLAN_BYTES_MAX = 1 << 30 };

struct prediction {
	const struct cli_call *call;
	const struct predict_options *options;
	struct model *model;
	int in, out;
	struct block_reader reader;
	struct score_plan plan;
	struct progress progress;
	uint64_t first_line;
	struct score_counts counts;
};

static unsigned core_count(void)
{
	cpu_set_t set;

	return sched_getaffinity(0, sizeof(set), &set) == 0 ? (unsigned)CPU_COUNT(&set) : 1;
}

static bool separator_of(const char *text, char *ret, struct error *err)
{
	if (strcmp(text, "tab") == 0 || strcmp(text, "\\t") == 0) {
		*ret = '\t';
		return true;
	}
	if (strlen(text) != 1 || strchr("\"\r\n", text[0]))
		return error_set(err, ERROR_INVALID,
				 "--separator: '%s' is no single character that can stand between fields", text);
	*ret = text[0];
	return true;
}

static bool open_files(struct prediction *p, struct error *err)
{
	const char *input = p->options->input, *output = p->options->output_path;
	struct stat status;

	if (p->call->argument_count > 1 && strcmp(input, "-") == 0)
		input = p->call->arguments[1];
	if (strcmp(input, "-") != 0) {
		p->in = open(input, O_RDONLY | O_CLOEXEC);
		if (p->in < 0)
			return error_errno(err, errno, "'%s'", input);
		(void)posix_fadvise(p->in, 0, 0, POSIX_FADV_SEQUENTIAL); /* a hint */
	}
	if (fstat(p->in, &status) == 0 && S_ISDIR(status.st_mode))
		return error_set(err, ERROR_INVALID, "'%s' is a folder", input);
	progress_start(&p->progress,
		       fstat(p->in, &status) == 0 && S_ISREG(status.st_mode) ? (uint64_t)status.st_size : 0,
		       !p->options->quiet);
	if (strcmp(output, "-") != 0) {
		p->out = open(output, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
		if (p->out < 0)
			return error_errno(err, errno, "'%s'", output);
	}
	return true;
}

/* Reads the first block, decides what its header means, and puts the data back. */
static bool make_plan(struct prediction *p, char separator, struct arena *arena, struct error *err)
{
	struct score_options options = {
		.output_name = p->options->output_name,
		.label_column = p->options->label_column,
		.separator = separator,
		.keep_columns = p->options->keep_columns,
		.strict = p->options->strict,
		.skip_bad = p->options->skip_bad,
	};
	struct text_list features;
	struct buffer block;
	bool is_any, ok;
	size_t used;

	if (!features_read(&p->options->model, arena, &features, err))
		return false;
	options.features = features.items;
	options.feature_count = features.count;
	buffer_init(&block, SIZE_MAX / 4);
	ok = block_read(&p->reader, &block, &is_any, err) &&
	     score_plan_make(&p->plan, p->model, &options, buffer_span(&block), &used, &p->first_line, arena, err);
	if (ok)
		block_put_back(&p->reader, span_skip(buffer_span(&block), used));
	buffer_done(&block);
	return ok;
}

static bool write_head(const struct prediction *p, struct error *err)
{
	struct span head = buffer_span(&p->plan.head);

	while (head.len > 0) {
		ssize_t n = write(p->out, head.ptr, head.len);

		if (n < 0 && errno != EINTR)
			return error_errno(err, errno, "writing the output");
		head = span_skip(head, n < 0 ? 0 : (size_t)n);
	}
	return true;
}

static bool score(struct prediction *p, struct arena *arena, struct error *err)
{
	struct model_options model_options = model_options_of(&p->options->model);
	size_t threads = p->options->threads ? p->options->threads : core_count();
	struct pipeline_config config;
	char separator = 0;

	if (!separator_of(p->options->separator, &separator, err) || !open_files(p, err))
		return false;
	p->model = target_load(p->call->arguments[0], &model_options, err);
	if (!p->model)
		return false;
	block_reader_init(&p->reader, p->in, separator, BLOCK_BYTES);
	if (!make_plan(p, separator, arena, err) || !write_head(p, err))
		return false;
	config = (struct pipeline_config){ .plan = &p->plan,
					   .reader = &p->reader,
					   .out = p->out,
					   .threads = (unsigned)MIN(MAX(threads, (size_t)1), (size_t)THREADS_MAX),
					   .first_line = p->first_line,
					   .progress = &p->progress };
	return pipeline_run(&config, &p->counts, err);
}

static void report(const struct prediction *p)
{
	double seconds = (double)(clock_monotonic_ns() - p->progress.started_ns) / 1e9;
	struct buffer line;

	buffer_init(&line, KIB(1));
	buffer_print(&line, "scored %llu rows", (unsigned long long)p->counts.rows);
	if (p->options->skip_bad)
		buffer_print(&line, ", left %llu out", (unsigned long long)p->counts.bad);
	buffer_print(&line, " in %.2f s (", seconds);
	describe_bytes(p->reader.bytes, &line);
	buffer_append(&line, SPAN(", "));
	describe_bytes((size_t)((double)p->reader.bytes / MAX(seconds, 1e-6)), &line);
	buffer_append(&line, SPAN("/s)\n"));
	fwrite(line.ptr, 1, line.len, stderr);
	buffer_done(&line);
}

int predict_run(const struct cli_call *call)
{
	struct prediction p = { .call = call, .options = call->options, .in = STDIN_FILENO, .out = STDOUT_FILENO };
	bool is_told = !p.options->quiet && (p.options->skip_bad || isatty(STDERR_FILENO));
	struct error err = { 0 };
	struct arena arena;
	bool ok;

	signal(SIGPIPE, SIG_DFL); /* `| head` ends it as it ends any filter */
	arena_init(&arena, PLAN_BYTES_MAX);
	ok = score(&p, &arena, &err);
	progress_end(&p.progress);
	if (ok && p.out != STDOUT_FILENO && close(p.out) < 0)
		ok = error_errno(&err, errno, "writing the output"); /* a full disk may tell only now */
	if (!ok)
		cli_complain(call->command, &err);
	else if (is_told)
		report(&p);
	if (p.in != STDIN_FILENO && p.in >= 0)
		close(p.in);
	score_plan_done(&p.plan);
	block_reader_done(&p.reader);
	model_unref(p.model);
	arena_done(&arena);
	return ok ? EXIT_OK : EXIT_FAILED;
}
