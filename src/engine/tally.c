/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tally - besides the buckets that are told, each series has finer ones for the quantiles: sixteen for each doubling of the time, so that a quantile
 * is at most 6 % off.
 */
#include "engine/tally.h"

#include <stdlib.h>

#include "base/clock.h"

#define WINDOW_NS (300 * NS_PER_S)

/* The orchestrator's, and finer ones in front: a native model answers within microseconds. */
static const double bounds[] = { 0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05,
				 0.075,   0.1,    0.25,    0.5,    0.75,  1,      2.5,   5,    7.5,   10 };
static const double quantiles[] = { 0.5, 0.75, 0.9, 0.98, 0.99, 1 };

enum { FINE_FIRST = 10, FINE_OCTAVES = 30, FINE_STEPS = 16, FINE = FINE_OCTAVES * FINE_STEPS }; /* from 2^10 ns up */
enum { SERVICE_MAX = 96, METHOD_MAX = 12, CODE_MAX = 24 };

struct series {
	struct series *next;
	bool is_client;
	char service[SERVICE_MAX], method[METHOD_MAX], code[CODE_MAX];
	uint64_t counts[ARRAY_LEN(bounds) + 1];
	uint64_t sum_ns;
	uint32_t fine[2][FINE]; /* of this window and the one before */
	int64_t window;         /* number of the newest */
};

struct tally {
	const struct predictor *predictor;
	struct series *list;
	size_t count;
};

struct tally *tally_new(const struct predictor *p)
{
	struct tally *m = base_calloc(1, sizeof(*m));

	m->predictor = p;
	return m;
}

void tally_free(struct tally *m)
{
	while (m && m->list) {
		struct series *s = m->list;

		m->list = s->next;
		free(s);
	}
	free(m);
}

/* ---- counting ---- */

static bool is_text(const char *text, struct span s)
{
	return strncmp(text, s.ptr ? s.ptr : "", s.len) == 0 && text[s.len] == '\0';
}

static void text_take(char *to, size_t size, struct span s)
{
	size_t len = MIN(s.len, size - 1);

	if (len)
		memcpy(to, s.ptr, len);
	to[len] = '\0';
}

static struct series *series_of(struct tally *m, bool is_client, struct span service, struct span method,
				struct span code)
{
	struct series *s;

	service = span_first(service, SERVICE_MAX - 1);
	method = span_first(method, METHOD_MAX - 1);
	code = span_first(code, CODE_MAX - 1);
	for (s = m->list; s; s = s->next)
		if (s->is_client == is_client && is_text(s->service, service) && is_text(s->method, method) &&
		    is_text(s->code, code))
			return s;
	if (m->count >= TALLY_SERIES_MAX && !span_equal(code, SPAN("other")))
		return series_of(m, is_client, SPAN("other"), SPAN("other"), SPAN("other"));
	s = base_calloc(1, sizeof(*s));
	s->is_client = is_client;
	text_take(s->service, sizeof(s->service), service);
	text_take(s->method, sizeof(s->method), method);
	text_take(s->code, sizeof(s->code), code);
	s->next = m->list;
	m->list = s;
	m->count++;
	return s;
}

static void window_turn(struct series *s, int64_t now_ns)
{
	int64_t window = now_ns / WINDOW_NS;

	if (window == s->window)
		return;
	/* The slot that comes is of two windows ago; after a longer silence the other one is old too. */
	memset(s->fine[window & 1], 0, sizeof(s->fine[0]));
	if (window > s->window + 1)
		memset(s->fine[(window + 1) & 1], 0, sizeof(s->fine[0]));
	s->window = window;
}

static size_t fine_of(int64_t ns)
{
	int octave = 63 - __builtin_clzll((uint64_t)MAX(ns, INT64_C(1) << FINE_FIRST));
	size_t step = (size_t)((MAX(ns, INT64_C(1) << FINE_FIRST) >> (octave - 4)) & (FINE_STEPS - 1));

	return MIN((size_t)(octave - FINE_FIRST) * FINE_STEPS + step, (size_t)FINE - 1);
}

/* The middle of a fine bucket, in seconds. */
static double fine_seconds(size_t i)
{
	double base = (double)(INT64_C(1) << (FINE_FIRST + (int)(i / FINE_STEPS)));

	return base * (1.0 + ((double)(i % FINE_STEPS) + 0.5) / FINE_STEPS) / 1e9;
}

void tally_count(struct tally *m, bool is_client, struct span service, struct span method, struct span code, int64_t ns,
		 int64_t now_ns)
{
	struct series *s = series_of(m, is_client, service, method, code);
	double seconds = (double)ns / 1e9;
	size_t i = 0;

	while (i < ARRAY_LEN(bounds) && seconds > bounds[i])
		i++;
	s->counts[i]++;
	s->sum_ns += (uint64_t)MAX(ns, 0);
	window_turn(s, now_ns);
	s->fine[s->window & 1][fine_of(ns)]++;
}

/* ---- telling ---- */

static void put_label(struct buffer *out, const char *name, struct span value)
{
	buffer_print(out, "%s=\"", name);
	for (size_t i = 0; i < value.len; i++) {
		if (value.ptr[i] == '\n') {
			buffer_append(out, SPAN("\\n"));
			continue;
		}
		if (value.ptr[i] == '"' || value.ptr[i] == '\\')
			buffer_byte(out, '\\');
		buffer_byte(out, value.ptr[i]);
	}
	buffer_append(out, SPAN("\","));
}

static void put_name(const struct tally *m, const struct series *s, const char *tail, struct buffer *out)
{
	const struct predictor *p = m->predictor;

	buffer_print(out, "seldon_api_executor_%s_requests_seconds%s{", s->is_client ? "client" : "server", tail);
	put_label(out, "code", span_of(s->code));
	put_label(out, "deployment_name", p->deployment);
	put_label(out, "method", span_of(s->method));
	if (s->is_client) {
		put_label(out, "model_image", p->root.image_name);
		put_label(out, "model_name", p->root.name);
		put_label(out, "model_version", p->root.version);
	}
	put_label(out, "predictor_name", p->name);
	put_label(out, "predictor_version", p->version);
	put_label(out, "service", span_of(s->service));
	out->len--; /* the last comma */
}

static uint64_t total_of(const struct series *s)
{
	uint64_t total = 0;

	for (size_t i = 0; i < ARRAY_LEN(s->counts); i++)
		total += s->counts[i];
	return total;
}

static void put_sums(const struct tally *m, const struct series *s, bool is_summary, struct buffer *out)
{
	put_name(m, s, is_summary ? "_summary_sum" : "_sum", out);
	buffer_print(out, "} %.9g\n", (double)s->sum_ns / 1e9);
	put_name(m, s, is_summary ? "_summary_count" : "_count", out);
	buffer_print(out, "} %llu\n", (unsigned long long)total_of(s));
}

static void put_histogram(const struct tally *m, const struct series *s, struct buffer *out)
{
	uint64_t below = 0;

	for (size_t i = 0; i < ARRAY_LEN(s->counts); i++) {
		below += s->counts[i];
		put_name(m, s, "_bucket", out);
		if (i < ARRAY_LEN(bounds))
			buffer_print(out, ",le=\"%g\"} %llu\n", bounds[i], (unsigned long long)below);
		else
			buffer_print(out, ",le=\"+Inf\"} %llu\n", (unsigned long long)below);
	}
	put_sums(m, s, false, out);
}

/* NaN where nothing came lately, as Prometheus' own libraries have it. */
static void put_quantile(struct buffer *out, const struct series *s, uint64_t total, double quantile)
{
	uint64_t wanted = (uint64_t)((double)total * quantile + 0.5), seen = 0;

	if (total == 0) {
		buffer_append(out, SPAN("NaN\n"));
		return;
	}
	for (size_t i = 0; i < FINE; i++) {
		seen += (uint64_t)s->fine[0][i] + s->fine[1][i];
		if (seen >= MAX(wanted, 1)) {
			buffer_print(out, "%.6g\n", fine_seconds(i));
			return;
		}
	}
}

static void put_summary(const struct tally *m, struct series *s, int64_t now_ns, struct buffer *out)
{
	uint64_t total = 0;

	window_turn(s, now_ns);
	for (size_t i = 0; i < FINE; i++)
		total += (uint64_t)s->fine[0][i] + s->fine[1][i];
	for (size_t i = 0; i < ARRAY_LEN(quantiles); i++) {
		put_name(m, s, "_summary", out);
		buffer_print(out, ",quantile=\"%g\"} ", quantiles[i]);
		put_quantile(out, s, total, quantiles[i]);
	}
	put_sums(m, s, true, out);
}

static void put_family(struct tally *m, bool is_client, bool is_summary, int64_t now_ns, struct buffer *out)
{
	const char *side = is_client ? "client" : "server", *tail = is_summary ? "_summary" : "";
	bool is_first = true;

	for (struct series *s = m->list; s; s = s->next) {
		if (s->is_client != is_client)
			continue;
		if (is_first)
			buffer_print(out,
				     "# HELP seldon_api_executor_%s_requests_seconds%s Seconds of %s.\n"
				     "# TYPE seldon_api_executor_%s_requests_seconds%s %s\n",
				     side, tail, is_client ? "questions to nodes of the graph" : "requests", side, tail,
				     is_summary ? "summary" : "histogram");
		is_first = false;
		if (is_summary)
			put_summary(m, s, now_ns, out);
		else
			put_histogram(m, s, out);
	}
}

void tally_write(struct tally *m, int64_t now_ns, struct buffer *out)
{
	for (int i = 0; i < 4; i++)
		put_family(m, i & 2, i & 1, now_ns, out);
}
