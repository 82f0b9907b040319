/* SPDX-License-Identifier: Apache-2.0 */
/* cells - ages, times and other texts as kubectl's tables have them (k8s.io/apimachinery util/duration). */
#include "kube/kinds/kinds.h"

#include "base/clock.h"

#include <stdarg.h>
#include <stdio.h>
#include <time.h>

#define HOURS_A_YEAR INT64_C(8760)

struct span kube_now_text(int64_t wall_ns, struct arena *arena)
{
	struct error err = { 0 };
	char text[CLOCK_TEXT_SIZE];

	(void)clock_print_rfc3339(wall_ns, text);
	return arena_print(arena, &err, "%.19sZ", text);
}

static struct span print_duration(int64_t s, struct arena *arena)
{
	struct error err = { 0 };
	long long seconds = s, minutes = s / 60, hours = s / 3600;

	if (seconds < -1)
		return SPAN("<invalid>");
	if (seconds < 0)
		return SPAN("0s");
	if (seconds < 120)
		return arena_print(arena, &err, "%llds", seconds);
	if (minutes < 10)
		return seconds % 60 ? arena_print(arena, &err, "%lldm%llds", minutes, seconds % 60)
				    : arena_print(arena, &err, "%lldm", minutes);
	if (minutes < 180)
		return arena_print(arena, &err, "%lldm", minutes);
	if (hours < 8)
		return minutes % 60 ? arena_print(arena, &err, "%lldh%lldm", hours, minutes % 60)
				    : arena_print(arena, &err, "%lldh", hours);
	if (hours < 48)
		return arena_print(arena, &err, "%lldh", hours);
	if (hours < 192)
		return hours % 24 ? arena_print(arena, &err, "%lldd%lldh", hours / 24, hours % 24)
				  : arena_print(arena, &err, "%lldd", hours / 24);
	if (hours < 2 * HOURS_A_YEAR)
		return arena_print(arena, &err, "%lldd", hours / 24);
	if (hours < 8 * HOURS_A_YEAR && hours / 24 % 365)
		return arena_print(arena, &err, "%lldy%lldd", hours / 24 / 365, hours / 24 % 365);
	return arena_print(arena, &err, "%lldy", hours / 24 / 365);
}

struct span kube_age(struct span rfc3339, int64_t now_ns, struct arena *arena)
{
	int64_t then;

	if (!clock_parse_rfc3339(rfc3339, &then))
		return SPAN("<unknown>");
	return print_duration((now_ns - then * NS_PER_S) / NS_PER_S, arena);
}

/* ---- cells ---- */

struct value cell_text(struct span s)
{
	return value_string(s.ptr ? s : SPAN(""));
}

struct value cell_since(struct span rfc3339, int64_t now_ns, struct arena *arena)
{
	return cell_text(kube_age(rfc3339, now_ns, arena));
}

struct value cell_age(const struct value *object, int64_t now_ns, struct arena *arena)
{
	return cell_since(value_find_string(object, "metadata.creationTimestamp"), now_ns, arena);
}

struct value cell_between(struct span from, struct span to, struct arena *arena)
{
	int64_t a, b;

	if (!clock_parse_rfc3339(from, &a) || !clock_parse_rfc3339(to, &b))
		return cell_text(SPAN("<unknown>"));
	return cell_text(print_duration(b - a, arena));
}

struct value cell_format(struct arena *arena, const char *format, ...)
{
	struct text t = { .arena = arena };
	char small[256];
	va_list args;
	int len;

	va_start(args, format);
	len = vsnprintf(small, sizeof(small), format, args);
	va_end(args);
	text_add(&t, span_from(small, len < 0 ? 0 : MIN((size_t)len, sizeof(small) - 1)));
	return cell_text(text_span(&t));
}

struct value cell_name(const struct value *object)
{
	return cell_text(value_find_string(object, "metadata.name"));
}

static struct value cell_members(const struct value *pod_spec, const char *member, struct arena *arena)
{
	const struct value *list = get(pod_spec, "containers");
	struct text t = { .arena = arena };

	for (uint32_t i = 0; i < count_of(list); i++) {
		text_add(&t, i ? SPAN(",") : SPAN(""));
		text_add(&t, get_text(value_item(list, i), member));
	}
	return cell_text(text_span(&t));
}

struct value cell_containers(const struct value *pod_spec, struct arena *arena)
{
	return cell_members(pod_spec, "name", arena);
}

struct value cell_images(const struct value *pod_spec, struct arena *arena)
{
	return cell_members(pod_spec, "image", arena);
}

struct value cell_selector(const struct value *selector, struct arena *arena)
{
	return cell_text(selector_print(selector, arena));
}

struct value cell_labels(const struct value *labels, struct arena *arena)
{
	return cell_text(selector_print(labels, arena));
}

struct value cell_or(struct span s, const char *otherwise)
{
	return cell_text(s.len ? s : span_of(otherwise));
}

const struct column plain_columns[] = {
	COLUMN_NAME,
	COLUMN("Created At", "date", "When the object was created."),
	{ 0 },
};

void plain_row(const struct value *o, int64_t now_ns, struct value *cells, struct arena *arena)
{
	(void)now_ns;
	(void)arena;
	cells[0] = cell_name(o);
	cells[1] = cell_text(value_find_string(o, "metadata.creationTimestamp"));
}
