/* SPDX-License-Identifier: Apache-2.0 */
#include "node/agent.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "node/confine_private.h"

/* What the agent is asked for: a socket. Its answer has the descriptor, or an error. */
struct agent_request {
	int family, type;
};

/* What it is told before it serves. Empty: it was known from the start. */
struct agent_names {
	char hostname[HOST_NAME_MAX + 1], address[INET_ADDRSTRLEN];
};

/* ---- network, inside ---- */

static bool interface_up(struct error *err)
{
	AUTO_CLOSE int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct ifreq r = { .ifr_name = "lo" };

	if (fd < 0)
		return error_errno(err, errno, "cannot open a socket in the pod's network");
	if (ioctl(fd, SIOCGIFFLAGS, &r) < 0)
		return error_errno(err, errno, "the pod's network has no loopback interface");
	r.ifr_flags = (short)(r.ifr_flags | IFF_UP | IFF_RUNNING);
	if (ioctl(fd, SIOCSIFFLAGS, &r) < 0)
		return error_errno(err, errno, "cannot bring the loopback interface up");
	return true;
}

/* The kernel gives lo 127.0.0.1/8 when it comes up; addresses of that network are the pod's already. */
static bool interface_add(struct span address, struct error *err)
{
	AUTO_CLOSE int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct sockaddr_in a = { .sin_family = AF_INET };
	struct ifreq r = { .ifr_name = "lo:1" };
	AUTO_FREE char *text = span_to_text(address);

	if (address.len == 0)
		return true;
	if (inet_pton(AF_INET, text, &a.sin_addr) != 1)
		return error_set(err, ERROR_INVALID, "'" SPAN_FMT "' is not an IPv4 address", SPAN_ARG(address));
	if (ntohl(a.sin_addr.s_addr) >> 24 == 127)
		return true;
	memcpy(&r.ifr_addr, &a, sizeof(a));
	if (ioctl(fd, SIOCSIFADDR, &r) < 0)
		return error_errno(err, errno, "cannot give the loopback interface the address %s", text);
	a.sin_addr.s_addr = INADDR_BROADCAST;
	memcpy(&r.ifr_netmask, &a, sizeof(a));
	if (ioctl(fd, SIOCSIFNETMASK, &r) < 0)
		return error_errno(err, errno, "cannot set the network mask of %s", text);
	return true;
}

/* ---- sysctls ---- */

/* Those of a namespace of the pod's own, which a pod may set for itself: Kubernetes' list of safe ones. */
static const struct {
	struct span name;
	bool is_ipc;
} sysctls_safe[] = {
	{ SPAN_INIT("kernel.shm_rmid_forced"), true },
	{ SPAN_INIT("net.ipv4.ip_local_port_range"), false },
	{ SPAN_INIT("net.ipv4.tcp_syncookies"), false },
	{ SPAN_INIT("net.ipv4.ping_group_range"), false },
	{ SPAN_INIT("net.ipv4.ip_unprivileged_port_start"), false },
	{ SPAN_INIT("net.ipv4.ip_local_reserved_ports"), false },
	{ SPAN_INIT("net.ipv4.tcp_keepalive_time"), false },
	{ SPAN_INIT("net.ipv4.tcp_fin_timeout"), false },
	{ SPAN_INIT("net.ipv4.tcp_keepalive_intvl"), false },
	{ SPAN_INIT("net.ipv4.tcp_keepalive_probes"), false },
	{ SPAN_INIT("net.ipv4.tcp_rmem"), false },
	{ SPAN_INIT("net.ipv4.tcp_wmem"), false },
};

bool sysctls_check(const struct sandbox_config *c, struct error *err)
{
	for (size_t i = 0; i < c->sysctl_count; i++) {
		struct span name = c->sysctls[i].name;
		size_t k = 0;

		while (k < ARRAY_LEN(sysctls_safe) && !span_equal(sysctls_safe[k].name, name))
			k++;
		if (k == ARRAY_LEN(sysctls_safe))
			return error_set(err, ERROR_INVALID, "forbidden sysctl: \"" SPAN_FMT "\" not allowlisted",
					 SPAN_ARG(name));
		if (sysctls_safe[k].is_ipc ? c->is_ipc_host : c->is_network_host)
			return error_set(err, ERROR_INVALID,
					 "forbidden sysctl: \"" SPAN_FMT "\" not allowed with host %s enabled",
					 SPAN_ARG(name), sysctls_safe[k].is_ipc ? "ipc" : "net");
	}
	return true;
}

static bool sysctl_set(struct span name, const char *value, struct error *err)
{
	AUTO_FREE char *path = text_format("/proc/sys/%.*s", (int)name.len, name.ptr);

	for (char *at = path + strlen("/proc/sys/"); *at; at++) {
		if (*at == '.')
			*at = '/';
	}
	if (!file_write(path, value, err))
		return error_wrap(err, "sysctl '" SPAN_FMT "'", SPAN_ARG(name));
	return true;
}

static bool sysctls_apply(const struct sandbox_config *c, bool has_users, struct error *err)
{
	struct error ignored = { 0 };

	if (!c->is_network_host) {
		/* As containerd's enable_unprivileged_ports and enable_unprivileged_icmp; a kernel may be built without either. */
		(void)sysctl_set(SPAN("net.ipv4.ip_unprivileged_port_start"), "0", &ignored);
		(void)sysctl_set(SPAN("net.ipv4.ping_group_range"), has_users ? "0 0" : "0 2147483647", &ignored);
	}
	for (size_t i = 0; i < c->sysctl_count; i++) {
		AUTO_FREE char *value = span_to_text(c->sysctls[i].value);

		if (!sysctl_set(c->sysctls[i].name, value, err))
			return false;
	}
	return true;
}

/* ---- the agent ---- */

/* The machine's own tree stays as the agent's: containers' volumes are taken from there. What the machine mounts later is seen too. */
static bool agent_mounts(const struct enclosure *e, const struct sandbox_config *c, struct error *err)
{
	AUTO_FREE char *root = text_format("%s/" SCRATCH_ROOT, e->scratch);
	AUTO_FREE char *shm = text_format("%s/" SCRATCH_SHM, e->scratch);

	if (mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL) < 0)
		return error_errno(err, errno, "cannot make the mounts private%s",
				   errno == EINVAL
				       ? ", / is not a mount point (hythe in a chroot: `mount --bind DIR DIR` before)"
				       : "");
	if (!root_tmpfs(e->scratch, 0700, 1 << 20, err))
		return false;
	if (mkdir(root, 0700) < 0 || mkdir(shm, 0700) < 0)
		return error_errno(err, errno, "cannot make %s", root);
	if (!c->is_ipc_host && !root_tmpfs(shm, 01777, 64 << 20, err)) /* as large as containerd's */
		return false;
	for (size_t i = 0; i < c->tmpfs_count; i++) {
		AUTO_FREE char *path = span_to_text(c->tmpfs[i].host_path);

		if (!root_tmpfs(path, c->tmpfs[i].mode, c->tmpfs[i].bytes, err))
			return error_wrap(err, "volume in memory");
	}
	return true;
}

static bool names_set(struct span hostname, struct span address, struct error *err)
{
	if (!interface_add(address, err))
		return false;
	if (hostname.len && sethostname(hostname.ptr, hostname.len) < 0)
		return error_errno(err, errno, "cannot set the host name");
	return true;
}

static bool agent_set_up(const struct enclosure *e, const struct sandbox_config *c, uid_t user, gid_t group,
			 struct error *err)
{
	if (e->has_users && !rights_map_user(0, 0, user, group, err))
		return false;
	if (!agent_mounts(e, c, err))
		return false;
	if (!c->is_network_host && !interface_up(err))
		return false;
	return sysctls_apply(c, e->has_users, err) && (c->is_network_host || names_set(c->hostname, c->address, err));
}

static void agent_answer(int channel, int fd, const struct error *err)
{
	struct error none = { 0 };
	struct iovec bytes = { .iov_base = (void *)(err ? err : &none), .iov_len = sizeof(*err) };
	union {
		char room[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control = { { 0 } };
	struct msghdr m = { .msg_iov = &bytes, .msg_iovlen = 1 };

	if (fd >= 0) {
		struct cmsghdr *h = &control.align;

		m.msg_control = &control;
		m.msg_controllen = sizeof(control);
		h->cmsg_level = SOL_SOCKET;
		h->cmsg_type = SCM_RIGHTS;
		h->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(h), &fd, sizeof(int));
	}
	(void)sendmsg(channel, &m, MSG_NOSIGNAL); /* the supervisor has gone: the next read says so */
}

/* Ends with the supervisor: its end of the channel closes, and the kernel kills the agent too. */
_Noreturn static void agent_run(int channel)
{
	struct agent_request r;

	for (;;) {
		ssize_t n = read(channel, &r, sizeof(r));
		struct error err = { 0 };
		int fd;

		if (n < 0 && errno == EINTR)
			continue;
		if (n != sizeof(r))
			_exit(0);
		fd = socket(r.family, r.type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
		if (fd < 0)
			error_errno(&err, errno, "cannot make a socket in the pod's network");
		agent_answer(channel, fd, &err);
		if (fd >= 0)
			close(fd);
	}
}

/*
 * The supervisor holds the mount namespace now; the agent leaves it for an empty one. A container that shares processes meets the agent, and could
 * have the right to look into it: there is nothing to find, but memory of the supervisor's about this pod.
 */
static bool agent_retire(const struct enclosure *e, struct error *err)
{
	AUTO_FREE char *root = text_format("%s/" SCRATCH_ROOT, e->scratch);
	AUTO_CLOSE int fd = -1;

	if (unshare(CLONE_NEWNS) < 0)
		return error_errno(err, errno, "cannot make a mount namespace");
	if (!root_tmpfs(root, 0700, 4096, err))
		return false;
	fd = open(root, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (!root_change(fd, err))
		return false;
	prctl(PR_SET_DUMPABLE,
	      0); /* only now: what is not dumpable may not map users, and its namespaces can't be opened */
	return true;
}

_Noreturn static void agent_main(const struct enclosure *e, const struct sandbox_config *c, int channel, uid_t user,
				 gid_t group)
{
	struct sigaction ignore = { .sa_handler = SIG_IGN };
	struct agent_names names;
	struct error err = { 0 };
	sigset_t none;
	int null;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	prctl(PR_SET_NAME, "pause"); /* what the first process of a pod is called elsewhere */
	/* With shared processes it is the pod's first: orphans that end are reaped by the kernel. */
	sigaction(SIGCHLD, &ignore, NULL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	null = open("/dev/null", O_RDWR);
	for (int fd = 0; fd < 3; fd++)
		dup2(null, fd);
	dup2(channel, 3);
	close_range(4, ~0U, 0);
	if (!agent_set_up(e, c, user, group, &err)) {
		agent_answer(3, -1, &err);
		_exit(1);
	}
	agent_answer(3, -1, NULL);
	if (read(3, &names, sizeof(names)) != sizeof(names))
		_exit(0);
	if (!names_set(span_of(names.hostname), span_of(names.address), &err) || !agent_retire(e, &err)) {
		agent_answer(3, -1, &err);
		_exit(1);
	}
	agent_answer(3, -1, NULL);
	agent_run(3);
}

/* The answer's descriptor, or -1; *err as the agent set it. */
static int agent_hear(const struct enclosure *e, struct error *err)
{
	struct error told = { 0 };
	struct iovec bytes = { .iov_base = &told, .iov_len = sizeof(told) };
	union {
		char room[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control = { { 0 } };
	struct msghdr m = {
		.msg_iov = &bytes, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control)
	};
	ssize_t n;
	int fd = -1;

	do
		n = recvmsg(e->channel, &m, MSG_CMSG_CLOEXEC);
	while (n < 0 && errno == EINTR);
	if (n != sizeof(told)) {
		error_set(err, ERROR_UNAVAILABLE, "the sandbox's first process has ended");
		return -1;
	}
	if (told.code != ERROR_NONE)
		*err = told;
	for (struct cmsghdr *h = CMSG_FIRSTHDR(&m); h; h = CMSG_NXTHDR(&m, h)) {
		if (h->cmsg_level == SOL_SOCKET && h->cmsg_type == SCM_RIGHTS)
			memcpy(&fd, CMSG_DATA(h), sizeof(int));
	}
	return fd;
}

static const struct {
	uint64_t flag;
	const char *file, *what;
} namespaces[ENCLOSURE_NAMESPACES] = {
	[NAMESPACE_USER] = { CLONE_NEWUSER, "user", "users" },
	[NAMESPACE_NETWORK] = { CLONE_NEWNET, "net", "network" },
	[NAMESPACE_IPC] = { CLONE_NEWIPC, "ipc", "shared memory" },
	[NAMESPACE_HOST_NAME] = { CLONE_NEWUTS, "uts", "host name" },
	[NAMESPACE_MOUNT] = { CLONE_NEWNS, "mnt", "mounts" },
	[NAMESPACE_PID] = { CLONE_NEWPID, "pid", "processes" },
};

static bool namespaces_open(struct enclosure *e, uint64_t flags, struct error *err)
{
	for (size_t i = 0; i < ENCLOSURE_NAMESPACES; i++) {
		AUTO_FREE char *path = text_format("/proc/%d/ns/%s", e->agent, namespaces[i].file);

		if (!(flags & namespaces[i].flag))
			continue;
		e->namespaces[i] = open(path, O_RDONLY | O_CLOEXEC);
		if (e->namespaces[i] < 0)
			return error_errno(err, errno, "cannot hold the pod's namespace of %s", namespaces[i].what);
	}
	return true;
}

bool enclosure_join(const struct enclosure *e, bool with_processes, bool with_mounts, struct error *err)
{
	for (size_t i = 0; i < ENCLOSURE_NAMESPACES; i++) {
		if (e->namespaces[i] < 0 || (i == NAMESPACE_PID && !with_processes) ||
		    (i == NAMESPACE_MOUNT && !with_mounts))
			continue;
		if (setns(e->namespaces[i], (int)namespaces[i].flag) < 0)
			return error_errno(err, errno, "cannot join the pod's namespace of %s", namespaces[i].what);
	}
	return true;
}

/* Begins it: its namespaces take a while, in which the groups can be made. */
bool agent_start(struct enclosure *e, const struct sandbox_config *c, struct error *err)
{
	uint64_t flags = CLONE_NEWNS | CLONE_NEWUTS;
	uid_t user = geteuid();
	gid_t group = getegid();
	int pair[2];

	flags |= c->is_network_host ? 0 : CLONE_NEWNET;
	flags |= c->is_ipc_host ? 0 : CLONE_NEWIPC;
	flags |= c->is_pid_host ? 0 : CLONE_NEWPID;
	flags |= e->has_users ? CLONE_NEWUSER : 0;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return error_errno(err, errno, "cannot make a socket pair");
	/* No signal at its end: whoever waits for containers does not meet it. */
	e->agent = process_clone(flags, 0, -1);
	if (e->agent == 0)
		agent_main(e, c, pair[1], user, group);
	close(pair[1]);
	e->channel = pair[0];
	if (e->agent < 0) {
		int why = errno;

		e->agent = 0;
		return error_errno(
		    err, why,
		    e->has_users ? "cannot make namespaces (this machine may forbid user namespaces to ordinary users)"
				 : "cannot make namespaces");
	}
	e->namespace_flags = flags;
	return true;
}

bool agent_hold(struct enclosure *e, struct error *err)
{
	struct error told = { 0 };

	agent_hear(e, &told);
	if (told.code != ERROR_NONE) {
		*err = told;
		return false;
	}
	return namespaces_open(e, e->namespace_flags, err);
}

static bool name_put(char *to, size_t capacity, struct span name, const char *what, struct error *err)
{
	if (name.len >= capacity)
		return error_set(err, ERROR_INVALID, "the %s '" SPAN_FMT "' is too long", what, SPAN_ARG(name));
	memcpy(to, name.ptr ? name.ptr : "", name.len);
	return true;
}

bool agent_finish(struct enclosure *e, const struct sandbox_config *c, struct error *err)
{
	struct agent_names names = { .hostname = "" };

	if (e->is_prepared && (!name_put(names.hostname, sizeof(names.hostname), c->hostname, "host name", err) ||
			       !name_put(names.address, sizeof(names.address), c->address, "address", err)))
		return false;
	if (send(e->channel, &names, sizeof(names), MSG_NOSIGNAL) != sizeof(names))
		return error_set(err, ERROR_UNAVAILABLE, "the sandbox's first process has ended");
	e->is_agent_retiring = true;
	return true;
}

bool enclosure_settle(struct enclosure *e, struct error *err)
{
	struct error told = { 0 };

	if (!e->is_agent_retiring)
		return true;
	e->is_agent_retiring = false;
	agent_hear(e, &told);
	if (told.code != ERROR_NONE)
		*err = told;
	return told.code == ERROR_NONE;
}

/* ---- sockets ---- */

int enclosure_socket(struct enclosure *e, int family, int type, struct error *err)
{
	struct agent_request r = { family, type };
	struct error told = { 0 };
	int fd;

	if (!enclosure_settle(e, err))
		return -1;
	if (send(e->channel, &r, sizeof(r), MSG_NOSIGNAL) != sizeof(r)) {
		error_set(err, ERROR_UNAVAILABLE, "the sandbox has died");
		return -1;
	}
	fd = agent_hear(e, &told);
	if (fd < 0)
		*err = told;
	return fd;
}
