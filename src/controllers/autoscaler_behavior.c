/* SPDX-License-Identifier: Apache-2.0 */
/*
 * autoscaler_behavior - how many replicas it may be: the least and the most, rates, and recommendations of the last minutes.
 *
 * Controllers remember nothing, so what was recommended stands in an annotation of the object, as runs: "1763742000=3 1763742045=5" says
 * 3 from the first time (seconds) on, and 5 since the second; "=-" is a time without any. It is written when the recommendation changes, and
 * what is older than the windows goes: an hour at most, and never more than HISTORY_MOST. Rescales are kept likewise, while a policy counts
 * them: "1763742000=2" added two, "=-2" took two.
 */
#include "controllers/autoscaler.h"

#include <math.h>
#include <stdio.h>

#define RECOMMENDATIONS "autoscaling.hythe.dev/recommendations"
#define RESCALES        "autoscaling.hythe.dev/rescales"

#define DOWN_WINDOW_S 300 /* when nothing else is said */
#define PERIOD_S      (AUTOSCALER_PERIOD_NS / NS_PER_S)
#define NOTHING       INT64_MIN /* was recommended */

enum { HISTORY_MOST = 256, UP_FACTOR = 2, UP_LEAST = 4 };

/* ---- what stands in an annotation ---- */

struct entry {
	int64_t at_s, value;
};

struct history {
	struct entry entries[HISTORY_MOST];
	size_t count;
};

static void history_add(struct history *h, int64_t at_s, int64_t value)
{
	if (h->count == HISTORY_MOST)
		memmove(h->entries, h->entries + 1, --h->count * sizeof(*h->entries));
	h->entries[h->count++] = (struct entry){ at_s, value };
}

/* Whatever else stands there is left out: users may write into annotations. */
static void history_read(const struct autoscaling *a, const char *name, struct history *ret)
{
	struct span text = object_annotation(a->r->object, name);

	ret->count = 0;
	while (text.len) {
		struct span value = span_cut(&text, ' '), at = span_cut(&value, '=');
		struct entry e = { 0 };

		if (!number_parse_int64(at, &e.at_s) || e.at_s <= 0)
			continue;
		if (span_equal(value, SPAN("-")))
			e.value = NOTHING;
		else if (!number_parse_int64(value, &e.value) || e.value > INT32_MAX || e.value < INT32_MIN)
			continue;
		if (!ret->count || e.at_s >= ret->entries[ret->count - 1].at_s)
			history_add(ret, e.at_s, e.value);
	}
}

static void history_write(struct autoscaling *a, const char *name, const struct history *h)
{
	char text[HISTORY_MOST * 48];
	size_t len = 0;
	struct value *metadata = put_object(a->r, a->object, "metadata"), *annotations;

	for (size_t i = 0; i < h->count; i++) {
		const struct entry *e = &h->entries[i];

		len += (size_t)snprintf(text + len, sizeof(text) - len, "%s%lld=", i ? " " : "", (long long)e->at_s);
		if (e->value == NOTHING)
			len += (size_t)snprintf(text + len, sizeof(text) - len, "-");
		else
			len += (size_t)snprintf(text + len, sizeof(text) - len, "%lld", (long long)e->value);
	}
	if (!h->count) {
		annotations = value_get(metadata, SPAN("annotations"));
		if (annotations)
			(void)value_remove(annotations, span_of(name));
		if (annotations && !annotations->object.count)
			(void)value_remove(metadata, SPAN("annotations"));
		return;
	}
	put(a->r, put_object(a->r, metadata, "annotations"), name,
	    value_string(arena_copy(a->r->arena, span_from(text, len), a->r->err)));
}

/* ---- recommendations ---- */

static int64_t now_s(const struct autoscaling *a)
{
	return a->r->now_ns / NS_PER_S;
}

/* When the value of a run was recommended for the last time: one period before the next one was. */
static int64_t run_end(const struct autoscaling *a, const struct history *h, size_t i)
{
	if (i + 1 == h->count)
		return now_s(a);
	return MAX(h->entries[i].at_s, h->entries[i + 1].at_s - PERIOD_S);
}

/* The least or the most of those that were recommended within the window. */
static int64_t recent(const struct autoscaling *a, const struct history *h, int64_t window_s, int64_t wanted,
		      bool is_most)
{
	for (size_t i = 0; window_s > 0 && i < h->count; i++) {
		int64_t value = h->entries[i].value;

		if (value != NOTHING && run_end(a, h, i) > now_s(a) - window_s)
			wanted = is_most ? MAX(wanted, value) : MIN(wanted, value);
	}
	return wanted;
}

static void recommend(struct autoscaling *a, struct history *h, int64_t window_s, int64_t value)
{
	size_t old = 0;

	while (old + 1 < h->count && run_end(a, h, old) < now_s(a) - window_s)
		old++;
	h->count -= old;
	memmove(h->entries, h->entries + old, h->count * sizeof(*h->entries));
	if (!h->count || h->entries[h->count - 1].value != value)
		history_add(h, now_s(a), value);
	history_write(a, RECOMMENDATIONS, h);
}

void autoscaler_note_gap(struct autoscaling *a)
{
	struct history h;

	history_read(a, RECOMMENDATIONS, &h);
	if (h.count)
		recommend(a, &h, DOWN_WINDOW_S, NOTHING);
}

/* ---- rates ---- */

struct rules {
	const struct value *policies;
	struct span select; /* Max, Min, Disabled */
	int64_t window_s;
};

static struct rules rules_of(const struct autoscaling *a, const char *way, int64_t window_s)
{
	const struct value *rules = member(member(a->spec, "behavior"), way);

	return (struct rules){ .policies = member(rules, "policies"),
			       .select = value_find_string(rules, "selectPolicy"),
			       .window_s = value_find_int(rules, "stabilizationWindowSeconds", window_s) };
}

/* How many there were at the start of the period. */
static int64_t replicas_before(const struct autoscaling *a, const struct history *h, int64_t period_s)
{
	int64_t replicas = a->scale.replicas;

	for (size_t i = 0; i < h->count; i++)
		if (h->entries[i].value != NOTHING && h->entries[i].at_s > now_s(a) - period_s)
			replicas -= h->entries[i].value;
	return replicas;
}

static int64_t policy_limit(const struct autoscaling *a, const struct history *h, const struct value *policy,
			    bool is_up)
{
	int64_t start = replicas_before(a, h, value_find_int(policy, "periodSeconds", 0));
	int64_t amount = value_find_int(policy, "value", 0);

	if (span_equal(value_find_string(policy, "type"), SPAN("Pods")))
		return is_up ? start + amount : start - amount;
	if (is_up)
		return (int64_t)ceil((double)start * (1 + (double)amount / 100));
	return (int64_t)((double)start * (1 - (double)amount / 100));
}

/* How far it may go now: as far as the policy that lets it go furthest, or with Min the least far. */
static int64_t rate_limit(const struct autoscaling *a, const struct rules *rules, bool is_up)
{
	bool takes_greater = span_equal(rules->select, SPAN("Min")) != is_up;
	int64_t limit = 0, current = a->scale.replicas;
	struct history rescales;

	if (span_equal(rules->select, SPAN("Disabled")) || !value_count(rules->policies))
		return current;
	history_read(a, RESCALES, &rescales);
	for (uint32_t i = 0; i < value_count(rules->policies); i++) {
		int64_t one = policy_limit(a, &rescales, value_item(rules->policies, i), is_up);

		limit = i == 0 ? one : takes_greater ? MAX(limit, one) : MIN(limit, one);
	}
	return is_up ? MAX(limit, current) : MIN(limit, current);
}

static int64_t longest_period(const struct autoscaling *a)
{
	static const char *const ways[] = { "scaleUp", "scaleDown" };
	int64_t longest = 0;

	for (size_t w = 0; w < ARRAY_LEN(ways); w++) {
		struct rules rules = rules_of(a, ways[w], 0);

		for (uint32_t i = 0; i < value_count(rules.policies); i++)
			longest = MAX(longest, value_find_int(value_item(rules.policies, i), "periodSeconds", 0));
	}
	return longest;
}

void autoscaler_note_rescale(struct autoscaling *a, int64_t before, int64_t after)
{
	struct history kept = { .count = 0 }, h;

	history_read(a, RESCALES, &h);
	for (size_t i = 0; i < h.count; i++)
		if (h.entries[i].value != NOTHING && h.entries[i].at_s > now_s(a) - longest_period(a))
			history_add(&kept, h.entries[i].at_s, h.entries[i].value);
	if (member(a->spec, "behavior"))
		history_add(&kept, now_s(a), after - before);
	history_write(a, RESCALES, &kept);
}

/* ---- limits ---- */

struct limit {
	int64_t replicas;
	const char *reason, *message;
};

static const struct limit up_rate = { 0, "ScaleUpLimit",
				      "the desired replica count is increasing faster than the maximum scale rate" };
static const struct limit down_rate = { 0, "ScaleDownLimit",
					"the desired replica count is decreasing faster than the maximum scale rate" };
static const struct limit too_many = { 0, "TooManyReplicas",
				       "the desired replica count is more than the maximum replica count" };
static const struct limit too_few = { 0, "TooFewReplicas",
				      "the desired replica count is less than the minimum replica count" };
static const struct limit within = { 0, "DesiredWithinRange", "the desired count is within the acceptable range" };

static struct limit limit_at(int64_t replicas, const struct limit *why)
{
	return (struct limit){ replicas, why->reason, why->message };
}

/* Without rules: no more than twice as many at once, or four. */
static struct limit limit_plain(const struct autoscaling *a, int64_t wanted)
{
	int64_t rate = MAX(UP_FACTOR * a->scale.replicas, (int64_t)UP_LEAST), most = MIN(a->most, rate);

	if (wanted < a->least)
		return limit_at(a->least, &too_few);
	if (wanted > most)
		return limit_at(most, a->most > rate ? &up_rate : &too_many);
	return limit_at(wanted, &within);
}

static struct limit limit_by_rules(const struct autoscaling *a, const struct rules *up, const struct rules *down,
				   int64_t wanted)
{
	if (wanted > a->scale.replicas) {
		int64_t rate = rate_limit(a, up, true), most = MIN(a->most, rate);

		if (wanted > most)
			return limit_at(most, a->most > rate ? &up_rate : &too_many);
	} else if (wanted < a->scale.replicas) {
		int64_t rate = rate_limit(a, down, false), least = MAX(a->least, rate);

		if (wanted < least)
			return limit_at(least, a->least < rate ? &down_rate : &too_few);
	}
	return limit_at(wanted, &within);
}

static void tell_stable(struct autoscaling *a, bool is_held, bool is_up)
{
	if (!is_held)
		autoscaler_tell(a, "AbleToScale", true, "ReadyForNewScale",
				SPAN("recommended size matches current size"));
	else if (is_up)
		autoscaler_tell(a, "AbleToScale", true, "ScaleUpStabilized",
				SPAN("recent recommendations were lower than current one, applying the lowest recent "
				     "recommendation"));
	else
		autoscaler_tell(a, "AbleToScale", true, "ScaleDownStabilized",
				SPAN("recent recommendations were higher than current one, applying the highest recent "
				     "recommendation"));
}

int64_t autoscaler_limit(struct autoscaling *a, int64_t wanted)
{
	bool has_rules = member(a->spec, "behavior") != NULL;
	struct rules up = rules_of(a, "scaleUp", 0), down = rules_of(a, "scaleDown", DOWN_WINDOW_S);
	int64_t stable;
	struct history h;
	struct limit limit;

	history_read(a, RECOMMENDATIONS, &h);
	if (!h.count)
		history_add(&h, now_s(a), a->scale.replicas);
	stable = recent(a, &h, down.window_s, wanted, true);
	if (has_rules) /* what is there stays, between the least that was recommended and the most */
		stable = MIN(stable, MAX(a->scale.replicas, recent(a, &h, up.window_s, wanted, false)));
	recommend(a, &h, MAX(up.window_s, down.window_s), wanted);
	tell_stable(a, stable != wanted, has_rules && wanted >= a->scale.replicas);
	limit = has_rules ? limit_by_rules(a, &up, &down, stable) : limit_plain(a, stable);
	autoscaler_tell(a, "ScalingLimited", limit.replicas != stable, limit.reason, span_of(limit.message));
	return limit.replicas;
}
