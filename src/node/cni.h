/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * cni - a pod's network by plugins (Container Network Interface, specification 0.3.0 to 1.1.0): the first file by name in /etc/cni/net.d that ends with
 * ".conflist" or ".conf" names programs of /opt/cni/bin and /usr/lib/cni, which give the pod's network namespace an interface "eth0".
 *
 * ADD runs them in order, each with the result of the one before; DEL in reverse order. What was asked for is kept in CNI_RECORD in the
 * sandbox's folder, before the first plugin runs and until DEL has succeeded: so DEL is given the same, even if the files have changed since.
 *
 * Plugins run as root with the machine's namespaces, and nothing of ours but standard error; each for at most timeout_ns, then it is killed.
 * Arguments by "capabilities" (port mappings, bandwidth) are not given.
 *
 * Threads:   any; these functions block until the plugins have ended.
 * Errors:    INVALID: what a file says; NOT_FOUND: there is no file, no such plugin; FORBIDDEN: we are not root; TIMEOUT; UNAVAILABLE
 *            with the plugin's own words.
 */
#include "base/base.h"

struct value;

enum { CNI_ADDRESS_MAX = 16, CNI_TEXT_MOST = 1 << 20, CNI_PLUGINS_MOST = 32, CNI_NAME_MOST = 128 };

#define CNI_RECORD "cni.json"

struct cni_place {
	const char *networks; /* the folder of the files */
	const char *programs; /* folders, with ':' between them */
	int64_t timeout_ns;
};
struct cni_place cni_place_default(void);

struct cni_pod {
	struct span uid, name_space, name;
};

bool cni_is_possible(struct error *err) MUST_CHECK; /* FORBIDDEN: it takes root */

/* The namespace of `network` (a path) gets its interface. When that fails, what was begun is undone. `sandbox`: the folder, a descriptor. */
bool cni_add(const struct cni_place *p, const struct cni_pod *pod, const char *network, int sandbox,
	     char ret_address[CNI_ADDRESS_MAX], struct error *err) MUST_CHECK;
/* By the record; true when there is none. `network` "": the namespace has gone. */
bool cni_delete(const struct cni_place *p, const char *network, int sandbox, struct error *err) MUST_CHECK;
/*
 * The same on a thread, for a sandbox that has died: the record goes to the folder `owed` (made when it is needed) at once, and from there when DEL has
 * succeeded. A failure is logged. The texts of `p` live on.
 */
void cni_sweep(const struct cni_place *p, int sandbox, const char *owed);
/* At the start: the same for what that folder still has, of a program that was killed meanwhile or of plugins that failed. */
void cni_sweep_owed(const struct cni_place *p, const char *owed);

/* ---- what is read ---- */

struct cni_list {
	struct span version, name;
	const struct value *plugins; /* an array of objects, each with a `type` that is a file's name */
};

/* `is_list`: a .conflist; else one plugin's configuration. */
bool cni_list_read(struct span text, bool is_list, struct arena *arena, struct cni_list *ret,
		   struct error *err) MUST_CHECK;
/* What the last plugin has written: its first IPv4 address. */
bool cni_result_read(const struct value *result, char ret_address[CNI_ADDRESS_MAX], struct error *err) MUST_CHECK;
