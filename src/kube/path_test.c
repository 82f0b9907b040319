/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "kube/kube_private.h"

static char text[512];

/* "verb group/version plural namespace/name sub rest". */
static const char *read_path(enum method method, const char *path, bool is_watch)
{
	static char copy[256];
	struct call call = { .method = method, .options.is_watch = is_watch };

	(void)snprintf(copy, sizeof(copy), "%s", path);
	call.path = span_of(copy);
	if (!path_parse(&call))
		return "none";
	(void)snprintf(text, sizeof(text),
		       "%s " SPAN_FMT "/" SPAN_FMT " " SPAN_FMT " " SPAN_FMT "/" SPAN_FMT " " SPAN_FMT " " SPAN_FMT,
		       call.verb_text, SPAN_ARG(call.group), SPAN_ARG(call.version), SPAN_ARG(call.plural),
		       SPAN_ARG(call.base.name_space), SPAN_ARG(call.base.name), SPAN_ARG(call.base.subresource),
		       SPAN_ARG(call.base.rest));
	return text;
}

static void paths_are_read_as_the_real_server_reads_them(void **state)
{
	static const struct {
		enum method method;
		const char *path;
		bool is_watch;
		const char *expected;
	} rows[] = {
		{ METHOD_GET, "/api/v1/pods", false, "list /v1 pods /  " },
		{ METHOD_GET, "/api/v1/pods", true, "watch /v1 pods /  " },
		{ METHOD_GET, "/api/v1/namespaces/d/pods/p", false, "get /v1 pods d/p  " },
		{ METHOD_GET, "/api/v1/namespaces/d/pods/p", true, "get /v1 pods d/p  " },
		{ METHOD_GET, "/api/v1/watch/namespaces/d/pods/p", false, "watch /v1 pods d/p  " },
		{ METHOD_POST, "/apis/apps/v1/namespaces/d/deployments", false, "create apps/v1 deployments d/  " },
		{ METHOD_PATCH, "/apis/apps/v1/namespaces/d/deployments/x/scale", false,
		  "patch apps/v1 deployments d/x scale " },
		{ METHOD_DELETE, "/api/v1/namespaces/d/pods", false, "deletecollection /v1 pods d/  " },
		{ METHOD_DELETE, "/api/v1/namespaces/d", false, "delete /v1 namespaces /d  " },
		{ METHOD_PUT, "/api/v1/namespaces/d/finalize", false, "update /v1 namespaces /d finalize " },
		{ METHOD_GET, "/api/v1/namespaces/d/status", false, "get /v1 namespaces /d status " },
		{ METHOD_GET, "/api/v1/namespaces/d/services/s/proxy/a/b", false, "get /v1 services d/s proxy /a/b" },
		{ METHOD_GET, "/api/v1/namespaces/d/pods/http%3Ap:1/proxy//%2F/", false,
		  "get /v1 pods d/http:p:1 proxy //%2F/" },
		{ METHOD_GET, "/%61pi/v1/name%73paces/d/pods/p/prox%79/a%20b", false, "get /v1 pods d/p proxy /a%20b" },
		{ METHOD_GET, "/api/v1/namespaces/d/pods/p/proxy", false, "get /v1 pods d/p proxy " },
		{ METHOD_GET, "/api/v1/namespaces/d/pods/p/proxy/", false, "get /v1 pods d/p proxy /" },
		{ METHOD_GET, "/api/v1/nodes/n/proxy/a/b/c/d/e/f/g/h/i/j/k/l/m/n/o/p/q/r/s/t/u/v/w", false,
		  "get /v1 nodes /n proxy /a/b/c/d/e/f/g/h/i/j/k/l/m/n/o/p/q/r/s/t/u/v/w" },
		{ METHOD_GET, "/api/v1/namespaces/d/configmaps/a%2Fproxy/b", false, "get /v1 configmaps d/a proxy b" },
		{ METHOD_GET, "/api/v1/namespaces/d/proxy", false, "list /v1 proxy d/  " },
		{ METHOD_GET, "/apis/rbac.authorization.k8s.io/v1/clusterroles/system%3Anode", false,
		  "get rbac.authorization.k8s.io/v1 clusterroles /system:node  " },
		{ METHOD_GET, "/api/v1/namespaces/d/configmaps/a%2Fb", false, "get /v1 configmaps d/a b " },
		{ METHOD_GET, "/api", false, "none" },
		{ METHOD_GET, "/apis/apps/v1", false, "none" },
		{ METHOD_GET, "/version", false, "none" },
		{ METHOD_GET, "//api//v1//pods/", false, "list /v1 / /  " }, /* a resource that nobody has */
		{ METHOD_GET, "/a/b/c/d/e/f/g/h/i/j/k/l/m/n/o/p/q/r/s/t/u/v/w/x/y/z", false, "none" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		assert_string_equal(read_path(rows[i].method, rows[i].path, rows[i].is_watch), rows[i].expected);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(paths_are_read_as_the_real_server_reads_them),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
