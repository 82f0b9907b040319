/* SPDX-License-Identifier: Apache-2.0 */
/* probe - when a container is asked, and what its answers come to. The rules are those of k8s.io/kubernetes 1.33 pkg/kubelet/prober. */
#include "node/probe.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "kube/kinds/kinds.h"
#include "loop/loop.h"
#include "node/handler.h"

#define QUICK_FIRST_NS      (10 * NS_PER_MS)
#define QUICK_FIRST_EXEC_NS (200 * NS_PER_MS) /* a command costs more than a connection */
/* The first answer that counts is asked for so long after the start, for servers that need a moment to listen. */
#define FIRST_COUNTED_NS (1 * NS_PER_S)
#define AGENT            "kube-probe/1.33"

enum probe_kind { STARTUP, LIVENESS, READINESS, KINDS };

static const char *const members[KINDS] = { "startupProbe", "livenessProbe", "readinessProbe" };
static const char *const names[KINDS] = { "Startup", "Liveness", "Readiness" };

struct probe {
	struct probes *all;
	enum probe_kind kind;
	const struct value *spec; /* NULL: the container has none */
	int64_t period_ns, timeout_ns;
	int64_t failures_most, successes_least;
	struct timer timer;
	struct handler *asked;
	enum verdict verdict;
	bool was_good;
	int64_t run; /* so many answers alike, one after the other */
	bool is_begun, is_held;
	bool is_counted;           /* the question under way is one of its period */
	int64_t next_ns, quick_ns; /* of the loop's clock: the next counted one; how long until the next other one */
	char *why;
};

struct probes {
	struct loop *loop;
	struct runtime *runtime;
	char *uid, *address, *name;
	uint32_t attempt;
	int64_t first_ns; /* of the loop's clock: when the container began */
	struct arena arena;
	struct value container;
	struct probe probes[KINDS];
	bool is_quiet;
	void (*changed)(void *context);
	void (*tell)(void *context, const char *reason, struct span text);
	void *context;
};

static void ask(struct probe *p, bool is_counted);
static void others_begin(struct probes *all);

static void fire(struct timer *t)
{
	struct probe *p = CONTAINER_OF(t, struct probe, timer);
	bool is_counted = loop_now(p->all->loop) >= p->next_ns;

	ask(p, is_counted);
}

static bool is_unanswered(const struct probe *p)
{
	return p->verdict == VERDICT_NONE && p->kind != LIVENESS;
}

static void wait(struct probe *p)
{
	int64_t now = loop_now(p->all->loop), at = p->next_ns;

	if (p->is_held)
		return;
	if (is_unanswered(p) && !p->was_good) {
		at = MIN(at, now + p->quick_ns);
		p->quick_ns = MIN(p->quick_ns * 2, p->period_ns);
	}
	loop_timer_set(p->all->loop, &p->timer, at, fire);
}

static void verdict_set(struct probe *p, enum verdict verdict)
{
	bool is_news = p->verdict != verdict;

	p->verdict = verdict;
	if (p->kind == STARTUP || (p->kind == LIVENESS && verdict == VERDICT_BAD))
		p->is_held = true; /* until there is another container */
	if (!is_news)
		return;
	if (p->kind == STARTUP && verdict == VERDICT_GOOD)
		others_begin(p->all);
	p->all->changed(p->all->context);
}

static void result(struct probe *p, bool is_good)
{
	p->run = p->run && p->was_good == is_good ? p->run + 1 : 1;
	p->was_good = is_good;
	if (p->run >= (is_good ? p->successes_least : p->failures_most))
		verdict_set(p, is_good ? VERDICT_GOOD : VERDICT_BAD);
}

static void said(struct probe *p, const char *reason, const char *how, struct span text)
{
	char line[1024];

	snprintf(line, sizeof(line), "%s probe %s: %.*s", names[p->kind], how, (int)text.len, text.ptr ? text.ptr : "");
	if (strcmp(reason, "Unhealthy") == 0) {
		free(p->why);
		p->why = span_to_text(span_of(line));
	}
	p->all->tell(p->all->context, reason, span_of(line));
}

static void answered(void *context, enum handler_verdict verdict, struct span text)
{
	struct probe *p = context;

	p->asked = NULL;
	if (verdict == HANDLER_WARNING)
		said(p, "ProbeWarning", "warning", text);
	if (verdict == HANDLER_GOOD || verdict == HANDLER_WARNING) {
		result(p, true);
	} else if (p->is_counted && verdict == HANDLER_ERROR) {
		said(p, "Unhealthy", "errored and resulted in unknown state", text);
	} else if (p->is_counted) {
		said(p, "Unhealthy", "failed", text);
		result(p, false);
	}
	wait(p);
}

static void ask(struct probe *p, bool is_counted)
{
	struct probes *all = p->all;
	struct handler_wanted wanted = { .loop = all->loop,
					 .runtime = all->runtime,
					 .uid = span_of(all->uid),
					 .address = span_of(all->address),
					 .container = span_of(all->name),
					 .attempt = all->attempt,
					 .spec = &all->container,
					 .action = p->spec,
					 .agent = AGENT,
					 .timeout_ns = p->timeout_ns };

	if (p->asked || p->is_held)
		return;
	p->is_counted = is_counted;
	if (is_counted)
		p->next_ns = MAX(p->next_ns + p->period_ns, loop_now(all->loop) + p->period_ns / 2);
	p->asked = handler_run(&wanted, answered, p);
}

static void begin(struct probe *p)
{
	struct probes *all = p->all;
	int64_t at = all->first_ns + get_int(p->spec, "initialDelaySeconds", 0) * NS_PER_S;

	if (p->is_begun || (all->is_quiet && p->kind != READINESS))
		return;
	p->is_begun = true;
	p->next_ns = MAX(at, all->first_ns + FIRST_COUNTED_NS);
	if (at <= loop_now(all->loop))
		ask(p, loop_now(all->loop) >= p->next_ns);
	else
		loop_timer_set(all->loop, &p->timer, at, fire);
}

static void others_begin(struct probes *all)
{
	for (int i = LIVENESS; i < KINDS; i++)
		if (all->probes[i].spec)
			begin(&all->probes[i]);
}

static int64_t positive(const struct value *spec, const char *name, int64_t otherwise)
{
	int64_t n = get_int(spec, name, otherwise);

	return n > 0 && n <= INT32_MAX ? n : otherwise;
}

static void probe_fill(struct probes *all, enum probe_kind kind, const struct probes_config *c)
{
	struct probe *p = &all->probes[kind];

	p->all = all;
	p->kind = kind;
	p->spec = get(&all->container, members[kind]);
	p->verdict = !p->spec || kind == LIVENESS ? VERDICT_GOOD : VERDICT_NONE;
	if (!p->spec)
		return;
	p->period_ns = positive(p->spec, "periodSeconds", 10) * NS_PER_S;
	p->timeout_ns = positive(p->spec, "timeoutSeconds", 1) * NS_PER_S;
	p->failures_most = positive(p->spec, "failureThreshold", 3);
	p->successes_least = positive(p->spec, "successThreshold", 1);
	p->quick_ns = get(p->spec, "exec") ? QUICK_FIRST_EXEC_NS : QUICK_FIRST_NS;
	if (c->is_adopted && kind == READINESS && c->was_ready)
		p->verdict = VERDICT_GOOD;
	if (kind == STARTUP && c->is_adopted && c->was_started) {
		p->verdict = VERDICT_GOOD;
		p->is_held = true;
	}
}

struct probes *probes_new(const struct probes_config *c)
{
	struct probes *all = base_calloc(1, sizeof(*all));
	struct error ignored = { 0 };

	arena_init(&all->arena, MIB(4));
	if ((!get(c->container, members[0]) && !get(c->container, members[1]) && !get(c->container, members[2])) ||
	    !value_copy(c->container, &all->arena, &all->container, &ignored)) {
		arena_done(&all->arena);
		free(all);
		return NULL;
	}
	all->loop = c->loop;
	all->runtime = c->runtime;
	all->uid = span_to_text(c->uid);
	all->address = span_to_text(c->address);
	all->name = span_to_text(get_text(c->container, "name"));
	all->attempt = c->attempt;
	all->first_ns = loop_now(c->loop) - c->age_ns;
	all->changed = c->changed;
	all->tell = c->tell;
	all->context = c->context;
	for (int i = 0; i < KINDS; i++)
		probe_fill(all, (enum probe_kind)i, c);
	if (all->probes[STARTUP].verdict == VERDICT_GOOD)
		others_begin(all);
	else
		begin(&all->probes[STARTUP]);
	return all;
}

void probes_fill(const struct probes *all, struct container_health *ret)
{
	ret->startup = all->probes[STARTUP].verdict;
	ret->liveness = all->probes[LIVENESS].verdict;
	ret->readiness = all->probes[READINESS].verdict;
	for (int i = 0; i < READINESS; i++)
		if (all->probes[i].verdict == VERDICT_BAD)
			ret->why = span_of(all->probes[i].why);
}

static void probe_end(struct probe *p)
{
	handler_cancel(p->asked);
	p->asked = NULL;
	p->is_held = true;
	loop_timer_clear(p->all->loop, &p->timer);
}

void probes_quieten(struct probes *all)
{
	if (all->is_quiet)
		return;
	all->is_quiet = true;
	for (int i = 0; i < READINESS; i++) {
		probe_end(&all->probes[i]);
		if (i == LIVENESS)
			all->probes[i].verdict = VERDICT_GOOD;
	}
}

bool probes_ended(struct probes *all, struct span stream, int exit_code)
{
	for (int i = 0; i < KINDS; i++)
		if (all->probes[i].asked && handler_ended(all->probes[i].asked, stream, exit_code))
			return true;
	return false;
}

void probes_free(struct probes *all)
{
	if (!all)
		return;
	for (int i = 0; i < KINDS; i++) {
		probe_end(&all->probes[i]);
		free(all->probes[i].why);
	}
	free(all->uid);
	free(all->address);
	free(all->name);
	arena_done(&all->arena);
	free(all);
}
