/* SPDX-License-Identifier: Apache-2.0 */
#include "node/filter.h"

#include <errno.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <seccomp.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "node/confine_private.h"
#include "wire/value.h"

struct filter {
	size_t uses;
	bool asks;
	unsigned short count;
	struct sock_filter *program;
};

#define ANYONE (-1)
#define BIT(c) (UINT64_C(1) << (c))

#define NAMESPACES                                                                                                     \
	(CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWCGROUP)

static const struct {
	const char *name;
	int capability;
} default_rows[] = {
#define CAP_ANYONE                   ANYONE
#define FILTER_ROW(name, capability) { #name, CAP_##capability },
#include "node/filter_default.def"
#undef FILTER_ROW
#undef CAP_ANYONE
};

/* Calls by which a connection or a datagram may leave the pod. */
enum { CONNECT, SENDTO, ASKED_COUNT };
static const char *const asked[ASKED_COUNT] = { "connect", "sendto" };

/* Default profiles that were made, by the capabilities that make a difference; later ones are not kept. */
static struct {
	struct filter *filter;
	uint64_t capabilities;
} kept[8];

/* ---- rules ---- */

/* Its place in the list, or the list's length. */
static size_t asked_index(const char *name)
{
	size_t i = 0;

	while (i < ASKED_COUNT && strcmp(name, asked[i]) != 0)
		i++;
	return i;
}

/* One that this architecture or library does not know needs no rule: the default action is for it. */
static bool rule_add(scmp_filter_ctx filter, uint32_t action, const char *name, size_t count,
		     const struct scmp_arg_cmp *compared, struct error *err)
{
	int number = seccomp_syscall_resolve_name(name), n;

	if (number < 0)
		return true;
	n = seccomp_rule_add_exact_array(filter, action, number, (unsigned)count, compared);
	/* EACCES: the rule says what the default action says; EEXIST: it has been said. */
	if (n < 0 && n != -EACCES && n != -EEXIST)
		return error_errno(err, -n, "cannot make a rule for the system call '%s'", name);
	return true;
}

/* sendto is asked about when it has an address. sendmsg is not: too many send all they have by it, connected. */
static bool asked_add(scmp_filter_ctx filter, const bool is_let[ASKED_COUNT], struct error *err)
{
	struct scmp_arg_cmp without = SCMP_A4(SCMP_CMP_EQ, 0, 0), with = SCMP_A4(SCMP_CMP_NE, 0, 0);

	if (is_let[CONNECT] && !rule_add(filter, SCMP_ACT_NOTIFY, "connect", 0, NULL, err))
		return false;
	return !is_let[SENDTO] || (rule_add(filter, SCMP_ACT_NOTIFY, "sendto", 1, &with, err) &&
				   rule_add(filter, SCMP_ACT_ALLOW, "sendto", 1, &without, err));
}

static bool default_add(scmp_filter_ctx filter, uint64_t capabilities, bool asks, struct error *err)
{
	static const uint32_t personalities[] = { 0x0, 0x8, 0x20000, 0x20008, 0xffffffff };
	struct scmp_arg_cmp no_namespace = SCMP_A0(SCMP_CMP_MASKED_EQ, NAMESPACES, 0);
	struct scmp_arg_cmp family =
	    SCMP_A0_32(SCMP_CMP_NE, AF_VSOCK, 0); /* the machine's host is not a container's to talk to */

	for (size_t i = 0; i < ARRAY_LEN(default_rows); i++) {
		int needed = default_rows[i].capability;

		if ((needed != ANYONE && !(capabilities & BIT(needed))) ||
		    (asks && asked_index(default_rows[i].name) < ASKED_COUNT))
			continue;
		if (!rule_add(filter, SCMP_ACT_ALLOW, default_rows[i].name, 0, NULL, err))
			return false;
	}
	for (size_t i = 0; i < ARRAY_LEN(personalities); i++) {
		struct scmp_arg_cmp one = SCMP_A0_32(SCMP_CMP_EQ, personalities[i], 0);

		if (!rule_add(filter, SCMP_ACT_ALLOW, "personality", 1, &one, err))
			return false;
	}
	if (!rule_add(filter, SCMP_ACT_ALLOW, "socket", 1, &family, err))
		return false;
	if (capabilities & BIT(CAP_SYS_ADMIN))
		return true;
	return rule_add(filter, SCMP_ACT_ALLOW, "clone", 1, &no_namespace, err) &&
	       rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), "clone3", 0, NULL, err);
}

/* ---- the program ---- */

static bool program_read(scmp_filter_ctx filter, struct filter *f, struct error *err)
{
	AUTO_CLOSE int fd = memfd_create("filter", MFD_CLOEXEC);
	int n = fd < 0 ? -errno : seccomp_export_bpf(filter, fd);
	off_t size = n < 0 ? 0 : lseek(fd, 0, SEEK_END);

	if (n < 0)
		return error_errno(err, -n, "cannot make the filter of system calls");
	if (size <= 0 || size % (off_t)sizeof(*f->program) || size / (off_t)sizeof(*f->program) > BPF_MAXINSNS)
		return error_set(err, ERROR_TOO_LARGE, "the filter of system calls has over %d instructions",
				 BPF_MAXINSNS);
	f->program = base_alloc((size_t)size);
	f->count = (unsigned short)(size / (off_t)sizeof(*f->program));
	if (pread(fd, f->program, (size_t)size, 0) != size)
		return error_errno(err, errno, "cannot read the filter of system calls");
	return true;
}

static bool filter_finish(scmp_filter_ctx context, bool asks, struct filter **ret, struct error *err)
{
	struct filter *f = base_calloc(1, sizeof(*f));

	f->uses = 1;
	f->asks = asks;
	/* A tree of comparisons: the usual call costs nine of them and not two hundred. */
	(void)seccomp_attr_set(context, SCMP_FLTATR_CTL_OPTIMIZE, 2);
	(void)seccomp_attr_set(context, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_ERRNO(ENOSYS));
	if (program_read(context, f, err)) {
		*ret = f;
		return true;
	}
	filter_free(f);
	return false;
}

static uint64_t capabilities_that_count(uint64_t capabilities)
{
	uint64_t mask = BIT(CAP_SYS_ADMIN);

	for (size_t i = 0; i < ARRAY_LEN(default_rows); i++)
		mask |= default_rows[i].capability == ANYONE ? 0 : BIT(default_rows[i].capability);
	return capabilities & mask;
}

static bool default_make(uint64_t capabilities, bool asks, struct filter **ret, struct error *err)
{
	static const bool both[ASKED_COUNT] = { true, true };
	scmp_filter_ctx context;
	size_t place = 0;
	bool is_good;

	capabilities = capabilities_that_count(capabilities);
	for (; place < ARRAY_LEN(kept) && kept[place].filter; place++) {
		if (kept[place].capabilities == capabilities && kept[place].filter->asks == asks) {
			kept[place].filter->uses++;
			*ret = kept[place].filter;
			return true;
		}
	}
	context = seccomp_init(SCMP_ACT_ERRNO(EPERM));
	if (!context)
		return error_set(err, ERROR_INTERNAL, "cannot make a filter of system calls");
	is_good = default_add(context, capabilities, asks, err) && (!asks || asked_add(context, both, err)) &&
		  filter_finish(context, asks, ret, err);
	seccomp_release(context);
	if (is_good && place < ARRAY_LEN(kept)) {
		kept[place].filter = *ret;
		kept[place].capabilities = capabilities;
		(*ret)->uses++;
	}
	return is_good;
}

/* ---- profiles in JSON (the OCI runtime specification's "seccomp", and Docker's form of it with "includes" and "excludes") ---- */

static const struct {
	struct span name;
	uint32_t action;
} actions[] = {
	{ SPAN_INIT("SCMP_ACT_ALLOW"), SCMP_ACT_ALLOW },
	{ SPAN_INIT("SCMP_ACT_ERRNO"), SCMP_ACT_ERRNO(0) },
	{ SPAN_INIT("SCMP_ACT_KILL"), SCMP_ACT_KILL_THREAD },
	{ SPAN_INIT("SCMP_ACT_KILL_THREAD"), SCMP_ACT_KILL_THREAD },
	{ SPAN_INIT("SCMP_ACT_KILL_PROCESS"), SCMP_ACT_KILL_PROCESS },
	{ SPAN_INIT("SCMP_ACT_LOG"), SCMP_ACT_LOG },
	{ SPAN_INIT("SCMP_ACT_TRAP"), SCMP_ACT_TRAP },
	{ SPAN_INIT("SCMP_ACT_TRACE"), SCMP_ACT_TRACE(0) },
};

static const struct {
	struct span name;
	enum scmp_compare compare;
} compares[] = {
	{ SPAN_INIT("SCMP_CMP_NE"), SCMP_CMP_NE },
	{ SPAN_INIT("SCMP_CMP_LT"), SCMP_CMP_LT },
	{ SPAN_INIT("SCMP_CMP_LE"), SCMP_CMP_LE },
	{ SPAN_INIT("SCMP_CMP_EQ"), SCMP_CMP_EQ },
	{ SPAN_INIT("SCMP_CMP_GE"), SCMP_CMP_GE },
	{ SPAN_INIT("SCMP_CMP_GT"), SCMP_CMP_GT },
	{ SPAN_INIT("SCMP_CMP_MASKED_EQ"), SCMP_CMP_MASKED_EQ },
};

/* `owner` has the action as `member`, and beside it what errno it returns. */
static bool action_read(const struct value *owner, const char *member, const char *errno_member, uint32_t *ret,
			struct error *err)
{
	struct span name = value_find_string(owner, member);
	int64_t number = value_find_int(owner, errno_member, EPERM);

	if (number < 0 || number > 4095)
		return error_set(err, ERROR_INVALID, "%s is not an errno", errno_member);
	for (size_t i = 0; i < ARRAY_LEN(actions); i++) {
		if (!span_equal(name, actions[i].name))
			continue;
		*ret = actions[i].action;
		if (*ret == SCMP_ACT_ERRNO(0) || *ret == SCMP_ACT_TRACE(0))
			*ret |= (uint32_t)number;
		return true;
	}
	return error_set(err, ERROR_INVALID, "%s '" SPAN_FMT "' is not known", member, SPAN_ARG(name));
}

/* Numbers over INT64_MAX come as doubles: masks of all bits. */
static bool datum_read(const struct value *arg, const char *member, uint64_t *ret, struct error *err)
{
	const struct value *v = value_find(arg, member);

	*ret = 0;
	if (!v)
		return true;
	if (v->type == VALUE_INT && v->integer >= 0) {
		*ret = (uint64_t)v->integer;
		return true;
	}
	if (v->type == VALUE_DOUBLE && v->number >= 0x1p63 && v->number < 0x1p64) {
		*ret = (uint64_t)v->number;
		return true;
	}
	return error_set(err, ERROR_INVALID, "%s is not a number of 64 bits", member);
}

static bool args_read(const struct value *rule, struct scmp_arg_cmp *ret, size_t *ret_count, struct error *err)
{
	const struct value *args = value_find(rule, "args");
	uint32_t count = value_count(args);

	if (count > 6)
		return error_set(err, ERROR_INVALID, "a rule compares over 6 arguments");
	for (uint32_t i = 0; i < count; i++) {
		const struct value *arg = value_item(args, i);
		int64_t index = value_find_int(arg, "index", -1);
		struct span op = value_find_string(arg, "op");
		uint64_t value, second;
		size_t k = 0;

		while (k < ARRAY_LEN(compares) && !span_equal(op, compares[k].name))
			k++;
		if (k == ARRAY_LEN(compares))
			return error_set(err, ERROR_INVALID, "op '" SPAN_FMT "' is not known", SPAN_ARG(op));
		if (index < 0 || index > 5)
			return error_set(err, ERROR_INVALID, "index is not 0 to 5");
		if (!datum_read(arg, "value", &value, err) || !datum_read(arg, "valueTwo", &second, err))
			return false;
		ret[i] = (struct scmp_arg_cmp){
			.arg = (unsigned)index, .op = compares[k].compare, .datum_a = value, .datum_b = second
		};
	}
	*ret_count = count;
	return true;
}

static bool has_capabilities(const struct value *list, uint64_t capabilities, bool wants_all)
{
	uint32_t count = value_count(list);

	for (uint32_t i = 0; i < count; i++) {
		const struct value *v = value_item(list, i);
		int number = v->type == VALUE_STRING ? capability_number(v->string) : -1;
		bool has = number >= 0 && (capabilities & BIT(number));

		if (has != wants_all)
			return has;
	}
	return wants_all;
}

static bool has_architecture(const struct value *list)
{
#if defined(__x86_64__)
	static const struct span own = SPAN_INIT("amd64");
#elif defined(__aarch64__)
	static const struct span own = SPAN_INIT("arm64");
#else
	static const struct span own = SPAN_INIT("");
#endif
	uint32_t count = value_count(list);

	for (uint32_t i = 0; i < count; i++) {
		if (value_item(list, i)->type == VALUE_STRING && span_equal(value_item(list, i)->string, own))
			return true;
	}
	return false;
}

/* Docker's form: a rule counts where its includes are met and none of its excludes. minKernel is met: we need a newer one ourselves. */
static bool rule_counts(const struct value *rule, uint64_t capabilities)
{
	const struct value *with = value_find(rule, "includes"), *without = value_find(rule, "excludes");
	const struct value *arches = value_find(with, "arches"), *caps = value_find(without, "caps");

	if (!value_is_empty(arches) && !has_architecture(arches))
		return false;
	if (!has_capabilities(value_find(with, "caps"), capabilities, true))
		return false;
	if (!value_is_empty(caps) && has_capabilities(caps, capabilities, false))
		return false;
	return !has_architecture(value_find(without, "arches"));
}

struct profile {
	scmp_filter_ctx filter;
	uint32_t otherwise; /* the default action */
	uint64_t capabilities;
	bool asks;
	/* Whether the profile itself lets those through that are asked about: one that it refuses must stay refused. */
	bool is_let[ASKED_COUNT];
};

static bool name_read(struct profile *p, const char *name, uint32_t action, size_t count,
		      const struct scmp_arg_cmp *compared, struct error *err)
{
	size_t place = asked_index(name);

	if (p->asks && place < ASKED_COUNT) {
		p->is_let[place] = action == SCMP_ACT_ALLOW;
		if (p->is_let[place])
			return true;
	}
	return action == p->otherwise || rule_add(p->filter, action, name, count, compared, err);
}

static bool rule_read(struct profile *p, const struct value *rule, struct error *err)
{
	const struct value *names = value_find(rule, "names");
	struct scmp_arg_cmp compared[6];
	size_t count = 0;
	uint32_t action;

	if (!action_read(rule, "action", "errnoRet", &action, err) || !args_read(rule, compared, &count, err))
		return false;
	if (!value_is(names, VALUE_ARRAY) || names->array.count == 0)
		return error_set(err, ERROR_INVALID, "a rule has no names");
	for (uint32_t i = 0; i < names->array.count; i++) {
		const struct value *v = value_item(names, i);
		AUTO_FREE char *name = NULL;

		if (v->type != VALUE_STRING)
			return error_set(err, ERROR_INVALID, "a rule's name is not a string");
		name = span_to_text(v->string);
		if (!name_read(p, name, action, count, compared, err))
			return false;
	}
	return true;
}

static bool profile_read(struct profile *p, const struct value *profile, struct error *err)
{
	const struct value *rules = value_find(profile, "syscalls");
	uint32_t count = value_count(rules);

	p->is_let[CONNECT] = p->is_let[SENDTO] = p->otherwise == SCMP_ACT_ALLOW || p->otherwise == SCMP_ACT_LOG;
	for (uint32_t i = 0; i < count; i++) {
		const struct value *rule = value_item(rules, i);

		if (rule_counts(rule, p->capabilities) && !rule_read(p, rule, err))
			return error_wrap(err, "syscalls[%u]", i);
	}
	return !p->asks || asked_add(p->filter, p->is_let, err);
}

bool filter_of_profile(struct span text, uint64_t capabilities, bool asks, struct filter **ret, struct error *err)
{
	struct profile p = { .capabilities = capabilities, .asks = asks };
	struct value profile;
	struct arena arena;
	bool is_good;

	arena_init(&arena, MIB(16));
	is_good = value_parse(text, NULL, &arena, &profile, err) &&
		  action_read(&profile, "defaultAction", "defaultErrnoRet", &p.otherwise, err);
	if (is_good) {
		p.filter = seccomp_init(p.otherwise);
		is_good = p.filter ? profile_read(&p, &profile, err) && filter_finish(p.filter, asks, ret, err)
				   : error_set(err, ERROR_INTERNAL, "cannot make a filter of system calls");
	}
	if (p.filter)
		seccomp_release(p.filter);
	arena_done(&arena);
	return is_good;
}

static bool file_make(struct span path, uint64_t capabilities, bool asks, struct filter **ret, struct error *err)
{
	AUTO_FREE char *name = span_to_text(path);
	struct buffer text;
	bool is_good;

	buffer_init(&text, FILTER_PROFILE_BYTES_MOST);
	is_good =
	    buffer_read_file(&text, name, err) && filter_of_profile(buffer_span(&text), capabilities, asks, ret, err);
	buffer_done(&text);
	return is_good || error_wrap(err, "seccomp profile %s", name);
}

/* ---- use ---- */

bool filter_new(const struct security *s, uint64_t capabilities, bool asks, struct filter **ret, struct error *err)
{
	static const char open_profile[] = "{\"defaultAction\":\"SCMP_ACT_ALLOW\"}";

	*ret = NULL;
	if (s->seccomp == SECCOMP_FILE)
		return file_make(s->seccomp_file, capabilities, asks, ret, err);
	if (s->seccomp == SECCOMP_DEFAULT && !s->is_privileged)
		return default_make(capabilities, asks, ret, err);
	return !asks || filter_of_profile(SPAN(open_profile), capabilities, asks, ret, err);
}

void filter_warm(uint64_t capabilities, bool asks)
{
	struct error ignored = { 0 };
	struct filter *f;

	if (default_make(capabilities, asks, &f, &ignored)) /* else it is tried again, and said, when it is needed */
		filter_free(f);
}

bool filter_load(const struct filter *f, int *ret_descriptor, struct error *err)
{
	struct sock_fprog program;
	unsigned flags;
	long n;

	if (!f)
		return true;
	program = (struct sock_fprog){ .len = f->count, .filter = f->program };
	flags = f->asks ? SECCOMP_FILTER_FLAG_NEW_LISTENER | SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV : 0;
	n = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &program);
	/* Kernels before 5.19: a signal that comes while an answer is awaited makes the kernel ask again. */
	if (n < 0 && errno == EINVAL && f->asks)
		n = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER, &program);
	if (n < 0)
		return error_errno(err, errno, "cannot load the filter of system calls");
	*ret_descriptor = f->asks ? (int)n : -1;
	return true;
}

void filter_free(struct filter *f)
{
	if (!f || --f->uses > 0)
		return;
	free(f->program);
	free(f);
}
