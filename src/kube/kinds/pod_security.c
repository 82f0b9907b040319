/* SPDX-License-Identifier: Apache-2.0 */
/* pod_security - as whom and with which powers a pod and its containers run. */
#include "kube/kinds/kinds.h"
#include "kube/kinds/pod.h"

/* ---- security ---- */

static void check_id(struct change *c, const struct at *at, const struct value *v)
{
	if (value_is(v, VALUE_INT) && (v->integer < 0 || v->integer > INT32_MAX))
		fault_invalid(c, at, v, "must be between 0 and 2147483647, inclusive");
}

static void check_seccomp(struct change *c, const struct at *at, const struct value *profile)
{
	static const char *const types[] = { "Localhost", "RuntimeDefault", "Unconfined", NULL };

	if (!profile)
		return;
	if (is_text(get(profile, "type"), "Localhost")) {
		if (!get(profile, "localhostProfile"))
			fault_required(c, AT(at, "localhostProfile"), "must be set when seccomp type is Localhost");
		else
			check_descending_path(c, AT(at, "localhostProfile"), get_text(profile, "localhostProfile"));
	} else if (get(profile, "localhostProfile")) {
		fault_invalid(c, AT(at, "localhostProfile"), get(profile, "localhostProfile"),
			      "can only be set when seccomp type is Localhost");
	}
	if (get_text(profile, "type").len == 0)
		fault_required(c, AT(at, "type"), "type is required when seccompProfile is set");
	else
		check_one_of(c, AT(at, "type"), get(profile, "type"), types);
}

void pod_check_security(struct change *c, const struct at *at, const struct value *security)
{
	static const char *const mounts[] = { "Default", "Unmasked", NULL };
	const struct value *escalation = get(security, "allowPrivilegeEscalation");
	const struct value *added = get(get(security, "capabilities"), "add");

	if (!security)
		return;
	check_id(c, AT(at, "runAsUser"), get(security, "runAsUser"));
	check_id(c, AT(at, "runAsGroup"), get(security, "runAsGroup"));
	check_one_of_or_absent(c, AT(at, "procMount"), get(security, "procMount"), mounts);
	check_seccomp(c, AT(at, "seccompProfile"), get(security, "seccompProfile"));
	if (!escalation || get_bool(security, "allowPrivilegeEscalation"))
		return;
	if (get_bool(security, "privileged"))
		fault_invalid(c, at, security,
			      "cannot set `allowPrivilegeEscalation` to false and `privileged` to true");
	for (uint32_t i = 0; i < count_of(added); i++) {
		if (is_text(value_item(added, i), "CAP_SYS_ADMIN"))
			fault_invalid(
			    c, at, security,
			    "cannot set `allowPrivilegeEscalation` to false and `capabilities.Add` CAP_SYS_ADMIN");
	}
}

#define SYSCTL_BYTES_MOST 253

/* "kernel.shm_rmid_forced", "net/ipv4/tcp_syncookies" */
static bool is_sysctl(struct span s)
{
	bool is_after_part = false;

	for (size_t i = 0; i < s.len; i++) {
		char ch = s.ptr[i];
		bool is_word = (ch >= 'a' && ch <= 'z') || (ch >= '0' && ch <= '9');

		if (ch == '.' || ch == '/') {
			if (!is_after_part)
				return false;
			is_after_part = false;
		} else if (ch == '-' || ch == '_') {
			if (!is_after_part || i + 1 == s.len)
				return false;
		} else if (is_word) {
			is_after_part = true;
		} else {
			return false;
		}
	}
	return s.len > 0 && s.len <= SYSCTL_BYTES_MOST && is_after_part;
}

static void check_sysctls(struct change *c, const struct at *at, const struct value *list)
{
	for (uint32_t i = 0; i < count_of(list); i++) {
		const struct value *name = get(value_item(list, i), "name");
		const struct at *here = AT(AT_INDEX(at, i), "name");

		if (text_of(name).len == 0)
			fault_required(c, here, "");
		else if (!is_sysctl(text_of(name)))
			fault_invalid(c, here, name,
				      "must have at most 253 characters and match regex "
				      "^([a-z0-9]([-_a-z0-9]*[a-z0-9])?[\\./])*[a-z0-9]([-_a-z0-9]*[a-z0-9])?$");
		else if (pod_has_before(list, i, "name"))
			fault_duplicate(c, here, name);
	}
}

void pod_check_pod_security(struct change *c, const struct at *at, const struct value *security)
{
	static const char *const changes[] = { "Always", "OnRootMismatch", NULL };
	const struct value *groups = get(security, "supplementalGroups");

	check_id(c, AT(at, "fsGroup"), get(security, "fsGroup"));
	check_id(c, AT(at, "runAsUser"), get(security, "runAsUser"));
	check_id(c, AT(at, "runAsGroup"), get(security, "runAsGroup"));
	for (uint32_t i = 0; i < count_of(groups); i++)
		check_id(c, AT_INDEX(AT(at, "supplementalGroups"), i), value_item(groups, i));
	check_one_of_or_absent(c, AT(at, "fsGroupChangePolicy"), get(security, "fsGroupChangePolicy"), changes);
	check_seccomp(c, AT(at, "seccompProfile"), get(security, "seccompProfile"));
	check_sysctls(c, AT(at, "sysctls"), get(security, "sysctls"));
}
