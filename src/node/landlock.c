/* SPDX-License-Identifier: Apache-2.0 */
#include "node/landlock.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <sys/syscall.h>
#include <unistd.h>

/* What the kernel's header of Debian 12 does not have yet. */
#define FS_TRUNCATE  (1ULL << 14)
#define FS_IOCTL_DEV (1ULL << 15)

#define SCOPE_ABSTRACT_UNIX_SOCKET (1ULL << 0)

enum { VERSION_LEAST = 2, VERSION_TRUNCATE = 3, VERSION_NETWORK = 4, VERSION_IOCTL = 5, VERSION_SCOPES = 6 };

struct ruleset {
	uint64_t fs, network, scoped;
};

static struct ruleset ruleset_for(long version, bool has_machines_network)
{
	struct ruleset r = { .fs = (LANDLOCK_ACCESS_FS_REFER << 1) - 1 };

	if (version >= VERSION_TRUNCATE)
		r.fs |= FS_TRUNCATE;
	if (version >= VERSION_IOCTL)
		r.fs |= FS_IOCTL_DEV;
	if (version >= VERSION_SCOPES && has_machines_network)
		r.scoped = SCOPE_ABSTRACT_UNIX_SOCKET;
	return r;
}

/* Older kernels know the first fields of it alone. */
static size_t ruleset_size(long version)
{
	return version >= VERSION_SCOPES    ? sizeof(struct ruleset)
	       : version >= VERSION_NETWORK ? offsetof(struct ruleset, scoped)
					    : offsetof(struct ruleset, network);
}

bool landlock_enter(bool has_machines_network, struct error *err)
{
	long version = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
	struct landlock_path_beneath_attr all = { 0 };
	struct ruleset r;
	AUTO_CLOSE int rules = -1;
	AUTO_CLOSE int top = -1;

	if (version < VERSION_LEAST)
		return true;
	r = ruleset_for(version, has_machines_network);
	rules = (int)syscall(SYS_landlock_create_ruleset, &r, ruleset_size(version), 0);
	top = open("/", O_PATH | O_CLOEXEC);
	all.allowed_access = r.fs;
	all.parent_fd = top;
	if (rules < 0 || top < 0 || syscall(SYS_landlock_add_rule, rules, LANDLOCK_RULE_PATH_BENEATH, &all, 0) < 0 ||
	    syscall(SYS_landlock_restrict_self, rules, 0) < 0)
		return error_errno(err, errno, "cannot restrict the container's files to its own (landlock)");
	return true;
}
