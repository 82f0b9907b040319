/* SPDX-License-Identifier: Apache-2.0 */
#include "node/plan_kit.h"

#include "base/number.h"

static struct span word(struct span *rest)
{
	*rest = span_trim(*rest);
	return span_cut(rest, ' ');
}

static int64_t number(struct span s)
{
	int64_t n = 0;

	if (!number_parse_int64(s, &n))
		fail_msg("'" SPAN_FMT "' is no number", SPAN_ARG(s));
	return n;
}

static void name_read(struct span text, struct span *ret_name, uint32_t *ret_attempt)
{
	*ret_name = span_cut(&text, '#');
	*ret_attempt = (uint32_t)number(text);
}

static void container_read(struct plan_kit *k, struct span text)
{
	struct container_status *c = &k->containers[k->sandbox.container_count++];
	int64_t ran = 1, ago = 0;
	struct span w;

	name_read(word(&text), &c->name, &c->attempt);
	c->id = arena_print(&k->arena, &(struct error){ 0 }, SPAN_FMT "%u", SPAN_ARG(c->name), c->attempt);
	while ((w = word(&text)).len) {
		if (span_equal(w, SPAN("run"))) {
			c->state = CONTAINER_RUNNING;
		} else if (span_equal(w, SPAN("exit"))) {
			c->state = CONTAINER_EXITED;
			c->exit_code = (int)number(word(&text));
			c->reason = c->exit_code ? SPAN("Error") : SPAN("Completed");
		} else if (span_equal(w, SPAN("for"))) {
			ran = number(word(&text));
		} else if (span_equal(w, SPAN("ago"))) {
			ago = number(word(&text));
		} else if (!span_equal(w, SPAN("made"))) {
			fail_msg("'" SPAN_FMT "' is not known", SPAN_ARG(w));
		}
	}
	c->created_ns = KIT_NOW_NS - (ago + ran) * NS_PER_S;
	c->started_ns = c->state == CONTAINER_CREATED ? 0 : c->created_ns;
	c->finished_ns = c->state == CONTAINER_EXITED ? KIT_NOW_NS - ago * NS_PER_S : 0;
}

static void sandbox_read(struct plan_kit *k, struct span text)
{
	k->sandbox.is_ready = true;
	k->sandbox.address = SPAN("127.97.0.5");
	k->sandbox.containers = k->containers;
	if (span_starts(text, SPAN("dead:"))) {
		k->sandbox.is_ready = false;
		text = span_skip(text, 5);
	}
	while ((text = span_trim(text)).len) {
		struct span one = span_trim(span_cut(&text, ';'));

		if (one.len)
			container_read(k, one);
	}
	k->view.sandbox = &k->sandbox;
}

static enum verdict verdict_of(struct span w)
{
	char last = w.ptr[w.len - 1];

	return last == '+' ? VERDICT_GOOD : last == '-' ? VERDICT_BAD : VERDICT_NONE;
}

static void health_read(struct plan_kit *k, struct span text)
{
	struct container_health *h = &k->health[k->view.health_count++];
	struct span w;

	name_read(word(&text), &h->name, &h->attempt);
	h->startup = h->liveness = h->readiness = VERDICT_GOOD;
	while ((w = word(&text)).len) {
		if (span_starts(w, SPAN("startup")))
			h->startup = verdict_of(w);
		else if (span_starts(w, SPAN("liveness")))
			h->liveness = verdict_of(w);
		else if (span_starts(w, SPAN("readiness")))
			h->readiness = verdict_of(w);
		else if (span_equal(w, SPAN("hook")))
			h->is_hook_running = true;
		else
			h->is_hook_failed = true;
	}
}

void plan_kit_make(struct plan_kit *k, const char *pod, const char *sandbox, const char *health)
{
	struct error err = { 0 };
	struct value *v;
	char *text;

	memset(k, 0, sizeof(*k));
	arena_init(&k->arena, MIB(4));
	text = (char *)arena_copy(&k->arena, span_of(pod), &err).ptr;
	for (char *at = text; (at = strchr(at, '\'')); at++)
		*at = '"';
	v = ARENA_NEW(&k->arena, struct value, &err);
	if (!value_parse(span_of(text), NULL, &k->arena, v, &err))
		fail_msg("%s: %s", err.message, text);
	k->view = (struct pod_view){ .pod = v, .health = k->health, .now_ns = KIT_NOW_NS, .are_volumes_ready = true };
	if (*sandbox)
		sandbox_read(k, span_of(sandbox));
	for (struct span rest = span_of(health); (rest = span_trim(rest)).len;)
		health_read(k, span_cut(&rest, ';'));
}

void plan_kit_done(struct plan_kit *k)
{
	arena_done(&k->arena);
}
