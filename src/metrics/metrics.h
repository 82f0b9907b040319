/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * metrics - counters, gauges and histograms, kept per thread and summed on read.
 *
 * The families are the rows of metrics.def. A series is a family with its labels' values; it is found once (when a
 * model is loaded, when a server starts) and then costs a plain add on the calling thread's own cache line.
 *
 * Threads: every thread that counts much has a slot (metrics_thread(), called once when it starts; slot 0 is everyone
 *          else's and is atomic). metrics_series() takes a lock; add, move and observe do not.
 * Ownership: the registry owns all series. metrics_series() gives a reference, metrics_series_drop() returns it; the
 * last one hides the series and recycles its memory (a model that was unloaded). Dropping none is fine: metrics_free()
 * does.
 */
#include "base/base.h"

enum metric_id {
#define METRIC_ROW(id, name, type, labels, help) METRIC_##id,
#include "metrics/metrics.def"
#undef METRIC_ROW
	METRIC_COUNT
};

struct metrics;
struct metric_series;

#define METRICS_THREADS_MAX 256
#define METRICS_SERIES_MAX  100000 /* further label values count under "other" */
#define METRICS_LABELS_MAX  4

struct metrics *metrics_new(void);
void metrics_free(struct metrics *m);

/* Gives the calling thread a slot of its own, until the thread ends. */
void metrics_thread(struct metrics *m);

/* Finds or makes the series with these label values (as many as the family's row names). */
struct metric_series *metrics_series(struct metrics *m, enum metric_id id, const struct span *labels, size_t count);
void metrics_series_drop(struct metrics *m, struct metric_series *s);

void metric_add(struct metric_series *s, uint64_t n);      /* counters */
void metric_add_double(struct metric_series *s, double v); /* COUNTER_DOUBLE */
void metric_move(struct metric_series *s, int64_t delta);  /* gauges */
void metric_observe(struct metric_series *s, int64_t ns);  /* histograms: bounds 10 µs to 100 s, three a decade */
/* The same, of many gathered elsewhere: so many in each bucket, and their sum. */
#define METRICS_BUCKETS 23
unsigned metric_bucket(int64_t ns);
void metric_observe_many(struct metric_series *s, const uint64_t counts[METRICS_BUCKETS], uint64_t sum_ns);
uint64_t metric_value(const struct metric_series *s);  /* a counter's sum; a histogram's count */
uint64_t metric_sum_ns(const struct metric_series *s); /* a histogram's sum */

/* Prometheus text format 0.0.4, or OpenMetrics 1.0 with its EOF line. Adds what the process itself tells (memory,
 * processor time, descriptors, start) and the build. */
void metrics_write(struct metrics *m, struct buffer *out, bool openmetrics);

/* The rows of metrics.def, for help pages. */
struct metric_family {
	const char *name, *type, *labels, *help; /* type: "counter", "gauge", "histogram" */
};
const struct metric_family *metrics_families(size_t *ret_count);
