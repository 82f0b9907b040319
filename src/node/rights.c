/* SPDX-License-Identifier: Apache-2.0 */
#include "node/confine_private.h"

#include <errno.h>
#include <grp.h>
#include <inttypes.h>
#include <linux/capability.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Names by number, capabilities(7). */
static const char *const capability_names[] = {
	"CHOWN",
	"DAC_OVERRIDE",
	"DAC_READ_SEARCH",
	"FOWNER",
	"FSETID",
	"KILL",
	"SETGID",
	"SETUID",
	"SETPCAP",
	"LINUX_IMMUTABLE",
	"NET_BIND_SERVICE",
	"NET_BROADCAST",
	"NET_ADMIN",
	"NET_RAW",
	"IPC_LOCK",
	"IPC_OWNER",
	"SYS_MODULE",
	"SYS_RAWIO",
	"SYS_CHROOT",
	"SYS_PTRACE",
	"SYS_PACCT",
	"SYS_ADMIN",
	"SYS_BOOT",
	"SYS_NICE",
	"SYS_RESOURCE",
	"SYS_TIME",
	"SYS_TTY_CONFIG",
	"MKNOD",
	"LEASE",
	"AUDIT_WRITE",
	"AUDIT_CONTROL",
	"SETFCAP",
	"MAC_OVERRIDE",
	"MAC_ADMIN",
	"SYSLOG",
	"WAKE_ALARM",
	"BLOCK_SUSPEND",
	"AUDIT_READ",
	"PERFMON",
	"BPF",
	"CHECKPOINT_RESTORE",
};

#define BIT(c) (UINT64_C(1) << (c))

/* What containerd gives a container. */
static const uint64_t capabilities_default =
    BIT(CAP_CHOWN) | BIT(CAP_DAC_OVERRIDE) | BIT(CAP_FSETID) | BIT(CAP_FOWNER) | BIT(CAP_MKNOD) | BIT(CAP_NET_RAW) |
    BIT(CAP_SETGID) | BIT(CAP_SETUID) | BIT(CAP_SETFCAP) | BIT(CAP_SETPCAP) | BIT(CAP_NET_BIND_SERVICE) |
    BIT(CAP_SYS_CHROOT) | BIT(CAP_KILL) | BIT(CAP_AUDIT_WRITE);

/* ---- capabilities ---- */

int capability_number(struct span name)
{
	if (span_starts(name, SPAN("CAP_")))
		name = span_skip(name, 4);
	for (size_t i = 0; i < ARRAY_LEN(capability_names); i++) {
		if (span_equal(name, span_of(capability_names[i])))
			return (int)i;
	}
	return -1;
}

/* ALL counts before the names beside it, as containerd has it. */
static bool capabilities_change(uint64_t *set, const struct span *names, size_t count, bool adds, struct error *err)
{
	for (size_t i = 0; i < count; i++) {
		int number = capability_number(names[i]);

		if (span_equal(names[i], SPAN("ALL")))
			continue;
		if (number < 0)
			return error_set(err, ERROR_INVALID, "unknown capability \"" SPAN_FMT "\"", SPAN_ARG(names[i]));
		*set = adds ? *set | BIT(number) : *set & ~BIT(number);
	}
	return true;
}

static bool has_all(const struct span *names, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (span_equal(names[i], SPAN("ALL")))
			return true;
	}
	return false;
}

static bool capabilities_of(const struct security *s, uint64_t *ret, struct error *err)
{
	uint64_t all = BIT(ARRAY_LEN(capability_names)) - 1;
	uint64_t set = s->is_privileged ? all : capabilities_default;

	if (!s->is_privileged && has_all(s->capabilities_added, s->added_count))
		set = all;
	if (!s->is_privileged && has_all(s->capabilities_dropped, s->dropped_count))
		set = 0;
	if (!capabilities_change(&set, s->capabilities_added, s->added_count, true, err) ||
	    !capabilities_change(&set, s->capabilities_dropped, s->dropped_count, false, err))
		return false;
	if (s->is_privileged)
		set = all;
	*ret = set;
	return true;
}

static bool capabilities_get(uint64_t *ret_permitted, struct error *err)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2] = { { 0 } };

	if (syscall(SYS_capget, &header, data) < 0)
		return error_errno(err, errno, "cannot read the capabilities");
	*ret_permitted = data[0].permitted | (uint64_t)data[1].permitted << 32;
	return true;
}

static bool capabilities_set(uint64_t set, struct error *err)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2] = { { 0 } };

	for (size_t i = 0; i < 2; i++)
		data[i].permitted = data[i].effective = (uint32_t)(set >> (32 * i));
	if (syscall(SYS_capset, &header, data) < 0)
		return error_errno(err, errno, "cannot set the capabilities");
	return true;
}

void confine_warm(void)
{
	struct error ignored = { 0 };

	(void)groups_are_usable("/", &ignored);
	filter_warm(capabilities_default, true);
	filter_warm(0, true); /* drop: [ALL], which careful pods ask for */
}

/* ---- users ---- */

bool rights_have(const struct rights *r, int capability)
{
	return r->capabilities & BIT(capability);
}

bool rights_check(struct enclosure *e, const struct security *s, struct rights *ret, struct error *err)
{
	struct rights r = { 0 };

	if (s->user > UINT32_MAX - 1 || s->group > UINT32_MAX - 1)
		return error_set(err, ERROR_INVALID, "the user %" PRId64 " or group %" PRId64 " is out of range",
				 s->user, s->group);
	if (!capabilities_of(s, &r.capabilities, err))
		return false;
	r.is_nested = e->has_users && (s->user > 0 || s->group > 0);
	if (e->has_users && s->group_count > 0)
		enclosure_add_shortcoming(
		    e, "supplemental groups and fsGroup are not given: an ordinary user has only its own group");
	*ret = r;
	return true;
}

bool rights_map_user(int64_t user, int64_t group, uid_t outer_user, gid_t outer_group, struct error *err)
{
	char text[64];

	prctl(PR_SET_DUMPABLE, 1); /* else the files below are root's */
	snprintf(text, sizeof(text), "%" PRId64 " %u 1", user, outer_user);
	if (!file_write("/proc/self/uid_map", text, err))
		return error_wrap(err, "user %" PRId64, user);
	/* An ordinary user could else drop a group that it is kept out of files by. */
	if (!file_write("/proc/self/setgroups", "deny", err))
		return error_wrap(err, "group %" PRId64, group);
	snprintf(text, sizeof(text), "%" PRId64 " %u 1", group, outer_group);
	if (!file_write("/proc/self/gid_map", text, err))
		return error_wrap(err, "group %" PRId64, group);
	return true;
}

static bool groups_set(const struct security *s, struct error *err)
{
	AUTO_FREE gid_t *list = base_calloc(s->group_count + 1, sizeof(*list));

	for (size_t i = 0; i < s->group_count; i++)
		list[i] = (gid_t)s->groups[i];
	if (setgroups(s->group_count, list) < 0)
		return error_errno(err, errno, "cannot set the supplemental groups");
	return true;
}

/*
 * The kernel counts an ordinary user's processes for each user namespace: so this bounds the pod's. Memory has no such limit: RLIMIT_AS and
 * RLIMIT_DATA count what is only reserved, which Go, Java and many libraries do by the gigabyte.
 */
bool rights_limit(const struct enclosure *e, struct error *err)
{
	struct rlimit limit = { .rlim_cur = (rlim_t)e->processes_most, .rlim_max = (rlim_t)e->processes_most };
	struct rlimit now;

	if (e->group.path)
		return true;
	if (getrlimit(RLIMIT_NPROC, &now) < 0)
		return error_errno(err, errno, "cannot read the limit of processes");
	if (now.rlim_max != RLIM_INFINITY && now.rlim_max < limit.rlim_max)
		limit.rlim_cur = limit.rlim_max = now.rlim_max;
	if (setrlimit(RLIMIT_NPROC, &limit) < 0)
		return error_errno(err, errno, "cannot limit the processes");
	return true;
}

/* The bounding set is what a program of root's, or one with file capabilities, can gain at all. */
static bool bounds_set(uint64_t set, struct error *err)
{
	for (int i = 0; prctl(PR_CAPBSET_READ, i) >= 0; i++) {
		if ((i >= 64 || !(set & BIT(i))) && prctl(PR_CAPBSET_DROP, i) < 0)
			return error_errno(err, errno, "cannot drop the capability %d", i);
	}
	return true;
}

bool rights_become(const struct rights *r, const struct security *s, bool has_users, bool joins, struct error *err)
{
	int64_t user = MAX(s->user, 0), group = MAX(s->group, 0);
	uint64_t has;

	if (r->is_nested && !joins) {
		if (unshare(CLONE_NEWUSER) < 0)
			return error_errno(err, errno, "cannot make a user namespace for the user %" PRId64, user);
		if (!rights_map_user(user, group, 0, 0, err))
			return false;
	}
	if (!bounds_set(r->capabilities, err))
		return false;
	/* Kept over the change of user: a filter may have to be loaded. rights_drop() then says what stays. */
	if (prctl(PR_SET_KEEPCAPS, 1) < 0)
		return error_errno(err, errno, "cannot keep the capabilities");
	if (!has_users && !groups_set(s, err))
		return false;
	if (setresgid((gid_t)group, (gid_t)group, (gid_t)group) < 0)
		return error_errno(err, errno, "cannot become the group %" PRId64, group);
	if (setresuid((uid_t)user, (uid_t)user, (uid_t)user) < 0)
		return error_errno(err, errno, "cannot become the user %" PRId64, user);
	return capabilities_get(&has, err) && capabilities_set(has, err);
}

bool rights_drop(const struct rights *r, const struct security *s, struct error *err)
{
	uint64_t has;

	if (!capabilities_get(&has, err) || !capabilities_set(s->user > 0 ? 0 : has & r->capabilities, err))
		return false;
	prctl(PR_SET_KEEPCAPS, 0);
	if (!s->may_gain_privileges && !s->is_privileged && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return error_errno(err, errno, "cannot forbid new privileges");
	return true;
}
