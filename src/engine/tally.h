/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * tally - the numbers of an orchestrator as dashboards for Seldon look for them: seldon_api_executor_server_requests_seconds and
 * ..._client_requests_seconds, histograms and summaries.
 *
 * Threads: one loop. Limits: TALLY_SERIES_MAX series; what comes on top counts under the code "other".
 */
#include "engine/predictor.h"

struct tally;

#define TALLY_SERIES_MAX 256

struct tally *tally_new(const struct predictor *p); /* keeps the pointer */
void tally_free(struct tally *m);                   /* NULL is allowed */

/* One request, or one question to a node. */
void tally_count(struct tally *m, bool is_client, struct span service, struct span method, struct span code, int64_t ns,
		 int64_t now_ns);

/* Prometheus' text format. Quantiles are of the last five to ten minutes. */
void tally_write(struct tally *m, int64_t now_ns, struct buffer *out);
