/* SPDX-License-Identifier: Apache-2.0 */
/* job - Job and CronJob of batch/v1. */
#include "kube/kinds/kinds.h"

#include "kube/kinds/job.h"
#include "wire/schedule.h"

#define INDEXED_PARALLELISM_MOST 100000

/* ---- defaults ---- */

static void job_spec_defaults(struct change *c, struct value *spec)
{
	struct value *rules = get(get(spec, "podFailurePolicy"), "rules");

	pod_template_defaults(c, ensure(c, spec, "template"));
	for (uint32_t i = 0; i < count_of(rules); i++) {
		struct value *conditions = get(value_item(rules, i), "onPodConditions");

		for (uint32_t k = 0; k < count_of(conditions); k++)
			default_text(c, value_item(conditions, k), "status", "True");
	}
}

static void job_defaults(struct change *c)
{
	const struct value *labels;
	struct value *spec, *metadata;

	shape(c);
	(void)ensure(c, c->object, "metadata");
	spec = ensure(c, c->object, "spec");
	metadata = get(c->object, "metadata");
	job_spec_defaults(c, spec);
	if (!get(spec, "completions") && !get(spec, "parallelism"))
		default_int(c, spec, "completions", 1);
	default_int(c, spec, "parallelism", 1);
	default_int(c, spec, "backoffLimit", get(spec, "backoffLimitPerIndex") ? INT32_MAX : 6);
	default_text(c, spec, "completionMode", "NonIndexed");
	default_bool(c, spec, "suspend", false);
	default_bool(c, spec, "manualSelector", false);
	default_text(c, spec, "podReplacementPolicy", get(spec, "podFailurePolicy") ? "Failed" : "TerminatingOrFailed");
	labels = value_find(spec, "template.metadata.labels");
	if (count_of(labels) && !count_of(get(metadata, "labels")))
		set_value(c, metadata, "labels", copy_of(c, labels));
}

static void cron_job_defaults(struct change *c)
{
	struct value *spec;

	shape(c);
	spec = ensure(c, c->object, "spec");
	default_text(c, spec, "concurrencyPolicy", "Allow");
	default_bool(c, spec, "suspend", false);
	default_int(c, spec, "successfulJobsHistoryLimit", 3);
	default_int(c, spec, "failedJobsHistoryLimit", 1);
	job_spec_defaults(c, ensure(c, ensure(c, spec, "jobTemplate"), "spec"));
}

/* ---- what the server decides: a selector that takes the pods of this job only ---- */

#define UID_LABEL  "batch.kubernetes.io/controller-uid"
#define NAME_LABEL "batch.kubernetes.io/job-name"

static void generate_selector(struct change *c, struct value *spec)
{
	static const char *const names[] = { "job-name", NAME_LABEL }, *const uids[] = { "controller-uid", UID_LABEL };
	const struct value *metadata = get(c->object, "metadata");
	struct value *labels = ensure(c, ensure(c, ensure(c, spec, "template"), "metadata"), "labels");

	for (size_t i = 0; i < 2; i++)
		if (!get(labels, names[i]))
			set_text(c, labels, names[i], get_text(metadata, "name"));
	for (size_t i = 0; i < 2; i++)
		if (!get(labels, uids[i]))
			set_text(c, labels, uids[i], get_text(metadata, "uid"));
	labels = ensure(c, ensure(c, spec, "selector"), "matchLabels");
	if (!get(labels, UID_LABEL))
		set_text(c, labels, UID_LABEL, get_text(metadata, "uid"));
}

static void job_prepare(struct change *c)
{
	struct value *spec = ensure(c, c->object, "spec");

	if (!c->old && !get_bool(spec, "manualSelector")) {
		struct value *metadata = get(c->object, "metadata");
		const struct value *labels = get(metadata, "labels");
		bool has_own = count_of(labels) && !is_same(labels, value_find(spec, "template.metadata.labels"));

		generate_selector(c, spec);
		/* A job without labels has those of its pods. */
		if (!has_own && count_of(labels))
			set_value(c, metadata, "labels", copy_of(c, value_find(spec, "template.metadata.labels")));
	}
	prepare_status(c);
}

/* ---- checks ---- */

static void check_indexes(struct change *c, const struct at *at, const struct value *spec)
{
	static const char *const members[] = { "backoffLimitPerIndex", "maxFailedIndexes" };

	if (!is_text(get(spec, "completionMode"), "Indexed")) {
		for (size_t i = 0; i < 2; i++) {
			if (get(spec, members[i]))
				fault_invalid(c, AT(at, members[i]), get(spec, members[i]),
					      "requires indexed completion mode");
		}
		return;
	}
	if (!get(spec, "completions"))
		fault_required(c, AT(at, "completions"), "when completion mode is Indexed");
	if (get_int(spec, "parallelism", 0) > INDEXED_PARALLELISM_MOST)
		fault_invalid(c, AT(at, "parallelism"), get(spec, "parallelism"),
			      "must be less than or equal to 100000 when completion mode is Indexed");
	if (get(spec, "completions") && get_int(spec, "maxFailedIndexes", 0) > get_int(spec, "completions", 0))
		fault_invalid(c, AT(at, "maxFailedIndexes"), get(spec, "maxFailedIndexes"),
			      "must be less than or equal to completions");
}

static void check_job_spec(struct change *c, const struct at *at, const struct value *spec)
{
	static const char *const counts[] = { "parallelism",
					      "completions",
					      "activeDeadlineSeconds",
					      "backoffLimit",
					      "ttlSecondsAfterFinished",
					      "backoffLimitPerIndex",
					      "maxFailedIndexes" };
	static const char *const modes[] = { "NonIndexed", "Indexed", NULL },
				 *const policies[] = { "OnFailure", "Never", NULL },
				 *const replacements[] = { "Failed", "TerminatingOrFailed", NULL },
				 *const failed[] = { "Failed", NULL };
	const struct value *policy = get(get(get(spec, "template"), "spec"), "restartPolicy");
	const struct at *here = AT(AT(AT(at, "template"), "spec"), "restartPolicy");

	for (size_t i = 0; i < ARRAY_LEN(counts); i++)
		check_not_negative(c, AT(at, counts[i]), get(spec, counts[i]));
	if (get(spec, "maxFailedIndexes") && !get(spec, "backoffLimitPerIndex"))
		fault_required(c, AT(at, "backoffLimitPerIndex"), "when maxFailedIndexes is specified");
	check_one_of_or_absent(c, AT(at, "completionMode"), get(spec, "completionMode"), modes);
	check_indexes(c, at, spec);
	check_job_policies(c, at, spec);
	if (get(spec, "managedBy"))
		check_domain_path(c, AT(at, "managedBy"), get_text(spec, "managedBy"));
	check_one_of_or_absent(c, AT(at, "podReplacementPolicy"), get(spec, "podReplacementPolicy"),
			       get(spec, "podFailurePolicy") ? failed : replacements);
	pod_template_check(c, AT(at, "template"), get(spec, "template"));
	if (text_of(policy).len == 0 || is_text(policy, "Always"))
		fault_required(c, here, "valid values: \"OnFailure\", \"Never\"");
	else if (!text_is_one_of(text_of(policy), policies))
		fault_not_supported(c, here, policy, policies);
	else if (get(spec, "podFailurePolicy") && !is_text(policy, "Never"))
		fault_invalid(c, here, policy, "only \"Never\" is supported when podFailurePolicy is specified");
}

/* Labels that the server has made must stay as it made them. */
static void check_generated(struct change *c, const struct value *spec)
{
	const struct value *metadata = get(c->object, "metadata"),
			   *labels = value_find(spec, "template.metadata.labels");
	const struct at *at = AT(AT(AT(AT(NULL, "spec"), "template"), "metadata"), "labels");
	static const struct {
		const char *label, *member;
	} rows[] = {
		{ "controller-uid", "uid" }, { UID_LABEL, "uid" }, { "job-name", "name" }, { NAME_LABEL, "name" }
	};

	if (get_bool(spec, "manualSelector"))
		return;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct span is = get_text(labels, rows[i].label), should = get_text(metadata, rows[i].member);

		if (is.len == 0 && !get(labels, rows[i].label))
			fault_required(c, AT_KEY(at, span_of(rows[i].label)),
				       detail_print(c, "must be '" SPAN_FMT "'", SPAN_ARG(should)));
		else if (!span_equal(is, should))
			fault_labels(c, AT_KEY(at, span_of(rows[i].label)), labels,
				     detail_print(c, "must be '" SPAN_FMT "'", SPAN_ARG(should)));
	}
}

/* The selector is the server's, with nothing beside. */
static void check_generated_selector(struct change *c, const struct value *spec)
{
	const struct value *selector = get(spec, "selector"), *labels = get(selector, "matchLabels");

	if (get_bool(spec, "manualSelector"))
		return;
	if (count_of(labels) != 1 || count_of(get(selector, "matchExpressions")) ||
	    !span_equal(get_text(labels, UID_LABEL), get_text(get(c->object, "metadata"), "uid")))
		fault_printed(c, AT(AT(NULL, "spec"), "selector"), selector_print_go(c, selector),
			      "`selector` not auto-generated");
}

static bool is_suspended(const struct value *o)
{
	return get_bool(get(o, "spec"), "suspend");
}

static void check_job_update(struct change *c, const struct at *at, const struct value *spec)
{
	static const char *const members[] = { "completionMode", "podFailurePolicy", "backoffLimitPerIndex",
					       "managedBy", "successPolicy" };
	const struct value *old = get(c->old, "spec");
	bool is_elastic = is_text(get(spec, "completionMode"), "Indexed") &&
			  get_int(spec, "completions", 0) == get_int(spec, "parallelism", 0);
	bool may_place = is_suspended(c->old) && !get(get(c->old, "status"), "startTime");

	if (!is_text(get(spec, "completionMode"), "Indexed"))
		check_same(c, AT(at, "completions"), get(old, "completions"), get(spec, "completions"));
	else if (!is_same(get(old, "completions"), get(spec, "completions")) && !is_elastic)
		fault_invalid(c, AT(at, "completions"), get(spec, "completions"),
			      "can only be modified in tandem with spec.parallelism");
	check_selector_same(c, AT(at, "selector"), get(old, "selector"), get(spec, "selector"));
	if (!may_place && !is_same(get(old, "template"), get(spec, "template")))
		fault_invalid(c, AT(at, "template"), get(spec, "template"), "field is immutable");
	for (size_t i = 0; i < ARRAY_LEN(members); i++)
		check_same(c, AT(at, members[i]), get(old, members[i]), get(spec, members[i]));
}

static void check_job(struct change *c, const struct at *at, const struct value *spec)
{
	const struct value *selector = get(spec, "selector");

	check_job_spec(c, at, spec);
	if (!selector)
		fault_required(c, AT(at, "selector"), "");
	else
		check_selector(c, AT(at, "selector"), selector);
	if (!selector || !selector_matches(selector, value_find(spec, "template.metadata.labels")))
		fault_labels(c, AT(AT(AT(at, "template"), "metadata"), "labels"),
			     value_find(spec, "template.metadata.labels"),
			     "`selector` does not match template `labels`");
}

static void job_validate(struct change *c)
{
	const struct value *spec = get(c->object, "spec");
	const struct at *at = AT(NULL, "spec");

	check_metadata(c, name_check_subdomain);
	if (change_is_status(c))
		return;
	check_generated(c, spec);
	check_generated_selector(c, spec);
	/* The real server looks twice at what is changed, and tells faults twice. */
	for (int i = 0; i < (c->old ? 2 : 1); i++)
		check_job(c, at, spec);
	if (c->old)
		check_job_update(c, at, spec);
	/* As above; where pods have none of their own, only what is stored shows them. */
	else if (!c->cause_count && !count_of(get(get(c->object, "metadata"), "labels")))
		set_value(c, get(c->object, "metadata"), "labels",
			  copy_of(c, value_find(spec, "template.metadata.labels")));
}

static void cron_job_validate(struct change *c)
{
	static const char *const policies[] = { "Allow", "Forbid", "Replace", NULL };
	const struct value *spec = get(c->object, "spec"), *template = get(get(spec, "jobTemplate"), "spec");
	const struct at *at = AT(NULL, "spec"), *job = AT(AT(at, "jobTemplate"), "spec");
	struct span name = get_text(get(c->object, "metadata"), "name"), schedule = get_text(spec, "schedule");
	struct schedule parsed;
	struct error wrong = { 0 };

	check_metadata(c, name_check_subdomain);
	if (change_is_status(c))
		return;
	if (schedule.len == 0)
		fault_required(c, AT(at, "schedule"), "");
	else if (!schedule_parse(schedule, &parsed, &wrong))
		fault_invalid_text(c, AT(at, "schedule"), schedule, detail_print(c, "%s", wrong.message));
	if (schedule.len && memmem(schedule.ptr, schedule.len, "TZ", 2))
		fault_invalid_text(c, AT(at, "schedule"), schedule,
				   "cannot use TZ or CRON_TZ in schedule, use timeZone field instead");
	check_not_negative(c, AT(at, "startingDeadlineSeconds"), get(spec, "startingDeadlineSeconds"));
	if (!c->old || !is_same(get(get(c->old, "spec"), "timeZone"), get(spec, "timeZone")))
		check_time_zone(c, AT(at, "timeZone"), get(spec, "timeZone"));
	check_one_of(c, AT(at, "concurrencyPolicy"), get(spec, "concurrencyPolicy"), policies);
	check_job_spec(c, job, template);
	if (get(template, "selector"))
		fault_printed(c, AT(job, "selector"), selector_print_go(c, get(template, "selector")),
			      "`selector` will be auto-generated");
	if (get_bool(template, "manualSelector"))
		fault_not_supported(c, AT(job, "manualSelector"), get(template, "manualSelector"),
				    (const char *const[]){ "nil", "false", NULL });
	check_not_negative(c, AT(at, "successfulJobsHistoryLimit"), get(spec, "successfulJobsHistoryLimit"));
	check_not_negative(c, AT(at, "failedJobsHistoryLimit"), get(spec, "failedJobsHistoryLimit"));
	if (!c->old && name.len > 52)
		fault_invalid_text(c, AT(AT(NULL, "metadata"), "name"), name, "must be no more than 52 characters");
}

/* ---- rows ---- */

static bool has_condition(const struct value *o, const char *type)
{
	const struct value *list = get(get(o, "status"), "conditions");

	for (uint32_t i = 0; i < count_of(list); i++) {
		if (is_text(get(value_item(list, i), "type"), type))
			return is_text(get(value_item(list, i), "status"), "True");
	}
	return false;
}

static const char *job_state(const struct value *o)
{
	if (has_condition(o, "Complete"))
		return "Complete";
	if (has_condition(o, "Failed"))
		return "Failed";
	if (value_find(o, "metadata.deletionTimestamp"))
		return "Terminating";
	if (has_condition(o, "Suspended"))
		return "Suspended";
	return has_condition(o, "FailureTarget") ? "FailureTarget" : "Running";
}

static void job_row(const struct value *o, int64_t now_ns, struct value *cells, struct arena *arena)
{
	const struct value *spec = get(o, "spec"), *status = get(o, "status"),
			   *pod = get(get(spec, "template"), "spec");
	long long succeeded = (long long)get_int(status, "succeeded", 0),
		  parallel = (long long)get_int(spec, "parallelism", 0);
	struct span start = get_text(status, "startTime"), end = get_text(status, "completionTime");

	cells[0] = cell_name(o);
	cells[1] = cell_text(span_of(job_state(o)));
	if (get(spec, "completions"))
		cells[2] = cell_format(arena, "%lld/%lld", succeeded, (long long)get_int(spec, "completions", 0));
	else if (parallel > 1)
		cells[2] = cell_format(arena, "%lld/1 of %lld", succeeded, parallel);
	else
		cells[2] = cell_format(arena, "%lld/1", succeeded);
	cells[3] = cell_text(SPAN(""));
	if (start.len)
		cells[3] = end.len ? cell_between(start, end, arena) : cell_since(start, now_ns, arena);
	cells[4] = cell_age(o, now_ns, arena);
	cells[5] = cell_containers(pod, arena);
	cells[6] = cell_images(pod, arena);
	cells[7] = cell_selector(get(spec, "selector"), arena);
}

static void cron_job_row(const struct value *o, int64_t now_ns, struct value *cells, struct arena *arena)
{
	const struct value *spec = get(o, "spec"), *job = get(get(spec, "jobTemplate"), "spec");
	const struct value *pod = get(get(job, "template"), "spec");
	struct span last = value_find_string(o, "status.lastScheduleTime"), zone = get_text(spec, "timeZone");

	cells[0] = cell_name(o);
	cells[1] = cell_text(get_text(spec, "schedule"));
	cells[2] = cell_text(zone.len ? zone : SPAN("<none>"));
	cells[3] = cell_text(get_bool(spec, "suspend") ? SPAN("True") : SPAN("False"));
	cells[4] = value_int(count_of(get(get(o, "status"), "active")));
	cells[5] = last.len ? cell_since(last, now_ns, arena) : cell_text(SPAN("<none>"));
	cells[6] = cell_age(o, now_ns, arena);
	cells[7] = cell_containers(pod, arena);
	cells[8] = cell_images(pod, arena);
	cells[9] = cell_selector(get(job, "selector"), arena);
}

static const struct column job_columns[] = {
	COLUMN_NAME,
	COLUMN("Status", "string", "Running, Complete, Failed, Suspended or Terminating."),
	COLUMN("Completions", "string", "Pods that ended well, of those wanted."),
	COLUMN("Duration", "string", "How long it took, or has been running."),
	COLUMN_AGE,
	COLUMNS_OF_PODS,
	COLUMN_SELECTOR,
	{ 0 },
};
static const struct column cron_job_columns[] = {
	COLUMN_NAME,
	COLUMN("Schedule", "string", "When jobs are made, as cron writes it."),
	COLUMN("Timezone", "string", "Whose time the schedule means."),
	COLUMN("Suspend", "boolean", "Whether no jobs are made for now."),
	COLUMN("Active", "integer", "Jobs that are running."),
	COLUMN("Last Schedule", "string", "When a job was made last."),
	COLUMN_AGE,
	COLUMNS_OF_PODS,
	COLUMN_SELECTOR,
	{ 0 },
};
static const char *const cron_job_short[] = { "cj", NULL }, *const all[] = { "all", NULL };
static const struct selectable job_fields[] = { { "status.successful", "status.succeeded", "0" }, { 0 } };

const struct kind kind_job = {
	.group = "batch",
	.version = "v1",
	.plural = "jobs",
	.singular = "job",
	.kind = "Job",
	.orphans = true,
	.categories = all,
	.is_namespaced = true,
	.has_generation = true,
	.verbs = KUBE_ALL_VERBS,
	.subresources = SUB_STATUS,
	.type_name = "io.k8s.api.batch.v1.Job",
	.selectable = job_fields,
	.columns = job_columns,
	.defaults = job_defaults,
	.prepare = job_prepare,
	.validate = job_validate,
	.row = job_row,
};

const struct kind kind_cron_job = {
	.group = "batch",
	.version = "v1",
	.plural = "cronjobs",
	.singular = "cronjob",
	.kind = "CronJob",
	.short_names = cron_job_short,
	.categories = all,
	.is_namespaced = true,
	.has_generation = true,
	.verbs = KUBE_ALL_VERBS,
	.subresources = SUB_STATUS,
	.type_name = "io.k8s.api.batch.v1.CronJob",
	.columns = cron_job_columns,
	.defaults = cron_job_defaults,
	.prepare = prepare_status,
	.validate = cron_job_validate,
	.row = cron_job_row,
};
