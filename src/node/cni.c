/* SPDX-License-Identifier: Apache-2.0 */
#include "node/cni.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/random.h"
#include "node/confine_private.h"
#include "wire/value.h"

enum { ARENA_BYTES_MOST = 64 << 20, RECORD_BYTES_MOST = 2 * CNI_TEXT_MOST, VARIABLES_MOST = 8 };

#define INTERFACE    "eth0"
#define PROGRAM_PATH "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
#define WHOLE(s)     (int)(s).len, (s).ptr

static const char *const versions[] = { "0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0" };

/* One pod's network, while plugins run for it. */
struct attachment {
	const struct cni_place *place;
	struct cni_list list;
	struct span id;
	struct cni_pod pod;
	const char *network;
	const struct value *result; /* of the plugin before, or of all; NULL: none */
	struct arena *arena;
};

struct cni_place cni_place_default(void)
{
	return (struct cni_place){ .networks = "/etc/cni/net.d",
				   .programs = "/opt/cni/bin:/usr/lib/cni",
				   .timeout_ns = 30 * NS_PER_S };
}

bool cni_is_possible(struct error *err)
{
	return geteuid() == 0 ||
	       error_set(
		   err, ERROR_FORBIDDEN,
		   "networks by CNI plugins (--pod-egress cni) take root: an ordinary user may not make interfaces");
}

/* ---- what a file says ---- */

/* Letters, digits, '_', '.', '-', the first no sign: plugins make files by such names. */
static bool is_name(struct span s)
{
	for (size_t i = 0; i < s.len; i++) {
		char c = s.ptr[i];
		bool is_plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');

		if (!is_plain && (i == 0 || (c != '_' && c != '.' && c != '-')))
			return false;
	}
	return s.len > 0 && s.len <= CNI_NAME_MOST;
}

static bool is_version(struct span s)
{
	for (size_t i = 0; i < ARRAY_LEN(versions); i++) {
		if (span_equal(s, span_of(versions[i])))
			return true;
	}
	return false;
}

static bool plugins_check(const struct value *plugins, struct error *err)
{
	if (!value_is(plugins, VALUE_ARRAY) || plugins->array.count == 0)
		return error_set(err, ERROR_INVALID, "plugins: there is none");
	if (plugins->array.count > CNI_PLUGINS_MOST)
		return error_set(err, ERROR_TOO_LARGE, "plugins: there are more than %d", CNI_PLUGINS_MOST);
	for (uint32_t i = 0; i < plugins->array.count; i++) {
		const struct value *type = value_get(value_item(plugins, i), SPAN("type"));

		if (!value_is(type, VALUE_STRING) || !is_name(type->string))
			return error_set(err, ERROR_INVALID, "plugins[%u].type is not a plugin's name", i);
	}
	return true;
}

static bool list_check(const struct value *v, const struct value *plugins, struct cni_list *ret, struct error *err)
{
	struct cni_list list = { .plugins = plugins };
	const struct value *version = value_get(v, SPAN("cniVersion")), *name = value_get(v, SPAN("name"));

	list.version = value_is(version, VALUE_STRING) ? version->string : (struct span){ 0 };
	list.name = value_is(name, VALUE_STRING) ? name->string : (struct span){ 0 };
	if (!is_version(list.version))
		return error_set(err, ERROR_INVALID,
				 "cniVersion '" SPAN_FMT "' is not spoken here: it is 0.3.0 to 1.1.0",
				 SPAN_ARG(list.version));
	if (!is_name(list.name))
		return error_set(err, ERROR_INVALID, "name '" SPAN_FMT "' is not a network's name",
				 SPAN_ARG(list.name));
	if (!plugins_check(plugins, err))
		return false;
	*ret = list;
	return true;
}

bool cni_list_read(struct span text, bool is_list, struct arena *arena, struct cni_list *ret, struct error *err)
{
	struct value *v = ARENA_NEW(arena, struct value, err), *plugins = ARENA_NEW(arena, struct value, err);

	if (!v || !plugins || !value_parse(text, NULL, arena, v, err))
		return false;
	if (!value_is(v, VALUE_OBJECT))
		return error_set(err, ERROR_INVALID, "it is not a JSON object");
	if (is_list)
		return list_check(v, value_get(v, SPAN("plugins")), ret, err);
	*plugins = value_array();
	return value_append(plugins, *v, arena, err) && list_check(v, plugins, ret, err);
}

bool cni_result_read(const struct value *result, char ret_address[CNI_ADDRESS_MAX], struct error *err)
{
	const struct value *ips = value_is(result, VALUE_OBJECT) ? value_get(result, SPAN("ips")) : NULL;

	for (uint32_t i = 0; i < value_count(ips); i++) {
		const struct value *v = value_get(value_item(ips, i), SPAN("address"));
		struct span address = value_is(v, VALUE_STRING) ? v->string : (struct span){ 0 };
		const char *slash = address.len ? memchr(address.ptr, '/', address.len) : NULL;
		size_t len = slash ? (size_t)(slash - address.ptr) : address.len;
		char text[CNI_ADDRESS_MAX] = "";
		struct in_addr four;

		if (len >= sizeof(text))
			continue;
		if (len)
			memcpy(text, address.ptr, len);
		if (inet_pton(AF_INET, text, &four) != 1)
			continue;
		(void)inet_ntop(AF_INET, &four, ret_address, CNI_ADDRESS_MAX);
		return true;
	}
	return error_set(err, ERROR_INVALID, "the plugins' result has no IPv4 address");
}

/* ---- which file ---- */

static bool is_list_name(const char *name)
{
	return span_ends(span_of(name), SPAN(".conflist"));
}

static char *network_find(const char *folder)
{
	DIR *dir = opendir(folder);
	const struct dirent *e;
	char *first = NULL;

	while (dir && (e = readdir(dir))) {
		if ((!is_list_name(e->d_name) && !span_ends(span_of(e->d_name), SPAN(".conf"))) ||
		    (first && strcmp(e->d_name, first) >= 0))
			continue;
		free(first);
		first = span_to_text(span_of(e->d_name));
	}
	if (dir)
		(void)closedir(dir);
	return first;
}

static bool network_read(const struct cni_place *p, struct arena *arena, struct cni_list *ret, struct error *err)
{
	AUTO_FREE char *name = network_find(p->networks);
	char path[PATH_MAX];
	struct buffer text;
	struct span copy = { 0 };
	bool good;

	if (!name)
		return error_set(err, ERROR_NOT_FOUND, "no network is configured: no .conflist or .conf is in %s",
				 p->networks);
	(void)snprintf(path, sizeof(path), "%s/%s", p->networks, name);
	buffer_init(&text, CNI_TEXT_MOST);
	good = buffer_read_file(&text, path, err);
	if (good)
		copy = arena_copy(arena, buffer_span(&text), err);
	buffer_done(&text);
	return good && copy.ptr &&
	       (cni_list_read(copy, is_list_name(name), arena, ret, err) || error_wrap(err, "%s", path));
}

/* ---- a plugin's process ---- */

static bool program_find(const char *folders, struct span type, char ret[PATH_MAX], struct error *err)
{
	for (const char *at = folders, *end; at; at = end ? end + 1 : NULL) {
		int len;

		end = strchr(at, ':');
		len = end ? (int)(end - at) : (int)strlen(at);
		if (snprintf(ret, PATH_MAX, "%.*s/%.*s", len, at, WHOLE(type)) < PATH_MAX && access(ret, X_OK) == 0)
			return true;
	}
	return error_set(err, ERROR_NOT_FOUND, "the plugin '%.*s' is not in %s", WHOLE(type), folders);
}

static void variables_make(const struct attachment *a, const char *command, char *ret[VARIABLES_MOST])
{
	ret[0] = text_format("CNI_COMMAND=%s", command);
	ret[1] = text_format("CNI_CONTAINERID=%.*s", WHOLE(a->id));
	ret[2] = text_format("CNI_NETNS=%s", a->network);
	ret[3] = text_format("CNI_IFNAME=" INTERFACE);
	ret[4] = text_format("CNI_PATH=%s", a->place->programs);
	ret[5] = text_format("CNI_ARGS=IgnoreUnknown=1;K8S_POD_NAMESPACE=%.*s;K8S_POD_NAME=%.*s;"
			     "K8S_POD_INFRA_CONTAINER_ID=%.*s;K8S_POD_UID=%.*s",
			     WHOLE(a->pod.name_space), WHOLE(a->pod.name), WHOLE(a->id), WHOLE(a->pod.uid));
	ret[6] = text_format(PROGRAM_PATH);
	ret[7] = NULL;
}

/* Between fork and exec, perhaps of a program with threads: system calls alone. It ends with the thread that waits for it: an ADD that goes on
 * beside the DEL of who comes next would keep what it takes. */
_Noreturn static void plugin_become(const char *program, char *const *environment, pid_t parent, int in, int out)
{
	char *const arguments[] = { (char *)(uintptr_t)program, NULL };
	const struct sigaction usual = { .sa_handler = SIG_DFL };
	sigset_t none;

	(void)setpgid(0, 0);
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (int i = 1; i < NSIG; i++)
		(void)sigaction(i, &usual, NULL);
	sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
	if (getppid() == parent && dup2(in, STDIN_FILENO) >= 0 && dup2(out, STDOUT_FILENO) >= 0 && chdir("/") == 0) {
		(void)close_range(3, ~0U, 0);
		execve(program, arguments, environment);
	}
	_exit(127);
}

/* Until the process has ended; one of its own that lives on may hold the pipe. False: late, or too much. */
static bool plugin_hear(int pidfd, int pipe, int64_t until_ns, struct buffer *out, struct error *err)
{
	struct pollfd fds[2] = { { .fd = pipe, .events = POLLIN }, { .fd = pidfd, .events = POLLIN } };

	for (;;) {
		int64_t left_ms = (until_ns - clock_monotonic_ns()) / NS_PER_MS;
		ssize_t n = -1;
		char *to;

		if (left_ms <= 0)
			return error_set(err, ERROR_TIMEOUT, "it took too long and was killed");
		if (poll(fds, 2, (int)MIN(left_ms + 1, INT64_C(1000))) < 0 && errno != EINTR)
			return error_errno(err, errno, "poll");
		to = buffer_reserve(out, 4096);
		if (!to)
			return error_set(err, ERROR_TOO_LARGE, "it wrote more than %d bytes", CNI_TEXT_MOST);
		if (fds[0].fd >= 0)
			n = read(pipe, to, 4096);
		if (n > 0)
			buffer_commit(out, (size_t)n);
		else if (n == 0)
			fds[0].fd = -1;
		else if (fds[1].revents)
			return true;
	}
}

static bool plugin_wait(pid_t pid, int pipe, int64_t until_ns, struct buffer *out, int *ret_status, struct error *err)
{
	int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	bool good = pidfd >= 0 ? plugin_hear(pidfd, pipe, until_ns, out, err)
			       : error_errno(err, errno, "cannot watch its process");

	if (!good)
		(void)kill(-pid, SIGKILL);
	while (waitpid(pid, ret_status, 0) < 0 && errno == EINTR)
		;
	if (pidfd >= 0)
		close(pidfd);
	return good;
}

static int input_make(struct span text)
{
	int fd = memfd_create("cni", MFD_CLOEXEC);

	if (fd >= 0 && (write(fd, text.ptr, text.len) != (ssize_t)text.len || lseek(fd, 0, SEEK_SET) != 0)) {
		close(fd);
		return -1;
	}
	return fd;
}

static bool plugin_run(const char *program, char *const *environment, struct span input, int64_t timeout_ns,
		       struct buffer *out, int *ret_status, struct error *err)
{
	AUTO_CLOSE int in = input_make(input);
	int pipe[2];
	bool good;
	pid_t parent = getpid(), pid;

	if (in < 0 || pipe2(pipe, O_CLOEXEC) < 0)
		return error_errno(err, errno, "cannot make its input and output");
	(void)fcntl(pipe[0], F_SETFL, O_NONBLOCK);
	pid = fork();
	if (pid == 0)
		plugin_become(program, environment, parent, in, pipe[1]);
	if (pid > 0)
		(void)setpgid(pid, pid);
	close(pipe[1]);
	good = pid > 0 ? plugin_wait(pid, pipe[0], clock_monotonic_ns() + timeout_ns, out, ret_status, err)
		       : error_errno(err, errno, "cannot make its process");
	close(pipe[0]);
	return good;
}

/* ---- one plugin ---- */

/* Its part of the list, as the specification makes it. NULL with err. */
static const struct value *input_value(const struct attachment *a, const struct value *plugin, struct error *err)
{
	struct value *v = ARENA_NEW(a->arena, struct value, err);

	if (v && value_copy(plugin, a->arena, v, err) &&
	    value_set(v, SPAN("cniVersion"), value_string(a->list.version), a->arena, err) &&
	    value_set(v, SPAN("name"), value_string(a->list.name), a->arena, err) &&
	    (!a->result || value_set(v, SPAN("prevResult"), *a->result, a->arena, err)))
		return v;
	return NULL;
}

static bool plugin_failed(int status, struct span text, struct arena *arena, struct error *err)
{
	struct error ignored = { 0 };
	struct span words, details;
	struct value v;

	if (WIFEXITED(status) && WEXITSTATUS(status) == 127 && !text.len)
		return error_set(err, ERROR_UNAVAILABLE, "it could not be begun");
	if (!value_parse(text, NULL, arena, &v, &ignored) || !value_is(&v, VALUE_OBJECT) ||
	    !value_find_string(&v, "msg").len)
		return error_set(err, ERROR_UNAVAILABLE, "it ended with %s %d and said nothing of an error",
				 WIFSIGNALED(status) ? "signal" : "code",
				 WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
	words = value_find_string(&v, "msg");
	details = value_find_string(&v, "details");
	return error_set(err, ERROR_UNAVAILABLE, "%.*s%s%.*s (code %lld)", WHOLE(words), details.len ? "; " : "",
			 WHOLE(details), (long long)value_find_int(&v, "code", 0));
}

/* Its output as a value, in *ret when it has any. */
static bool plugin_do(const struct attachment *a, const struct value *plugin, const char *command, struct value *ret,
		      struct error *err)
{
	struct span type = value_find_string(plugin, "type"), input = { 0 }, text;
	const struct value *v = input_value(a, plugin, err);
	char program[PATH_MAX], *variables[VARIABLES_MOST];
	struct buffer out;
	int status = 0;
	bool good;

	if (v)
		input = value_print(v, a->arena, err);
	if (!input.ptr || !program_find(a->place->programs, type, program, err))
		return false;
	variables_make(a, command, variables);
	buffer_init(&out, CNI_TEXT_MOST);
	good = plugin_run(program, variables, input, a->place->timeout_ns, &out, &status, err);
	text = good ? arena_copy(a->arena, buffer_span(&out), err) : (struct span){ 0 };
	buffer_done(&out);
	for (size_t i = 0; i < VARIABLES_MOST; i++)
		free(variables[i]);
	if (good && text.ptr && status != 0)
		good = plugin_failed(status, text, a->arena, err);
	else if (good && text.ptr && ret)
		good = value_parse(text, NULL, a->arena, ret, err) &&
		       (value_is(ret, VALUE_OBJECT) || error_set(err, ERROR_INVALID, "its result is no object"));
	return (good && text.ptr) ||
	       error_wrap(err, "plugin type=\"%.*s\" failed (%s)", WHOLE(type), command[0] == 'A' ? "add" : "delete");
}

static bool plugins_add(struct attachment *a, struct error *err)
{
	for (uint32_t i = 0; i < a->list.plugins->array.count; i++) {
		struct value *result = ARENA_NEW(a->arena, struct value, err);

		if (!result || !plugin_do(a, value_item(a->list.plugins, i), "ADD", result, err))
			return false;
		a->result = result;
	}
	return true;
}

/* All of them, whatever the first has said: the error is the first one's. */
static bool plugins_delete(const struct attachment *a, struct error *err)
{
	bool good = true;

	for (uint32_t i = a->list.plugins->array.count; i-- > 0;) {
		struct error one = { 0 };

		if (plugin_do(a, value_item(a->list.plugins, i), "DEL", NULL, &one))
			continue;
		if (good)
			*err = one;
		good = false;
	}
	return good;
}

/* ---- the record ---- */

static bool put(struct value *object, const char *name, struct value v, struct arena *arena, struct error *err)
{
	return value_set(object, span_of(name), v, arena, err) != NULL;
}

static bool record_print(const struct attachment *a, struct span *ret, struct error *err)
{
	struct value v = value_object();

	if (!put(&v, "cniVersion", value_string(a->list.version), a->arena, err) ||
	    !put(&v, "name", value_string(a->list.name), a->arena, err) ||
	    !put(&v, "plugins", *a->list.plugins, a->arena, err) ||
	    !put(&v, "id", value_string(a->id), a->arena, err) ||
	    !put(&v, "podUID", value_string(a->pod.uid), a->arena, err) ||
	    !put(&v, "podNamespace", value_string(a->pod.name_space), a->arena, err) ||
	    !put(&v, "podName", value_string(a->pod.name), a->arena, err) ||
	    (a->result && !put(&v, "result", *a->result, a->arena, err)))
		return false;
	*ret = value_print(&v, a->arena, err);
	if (ret->len > RECORD_BYTES_MOST)
		return error_set(err, ERROR_TOO_LARGE, "what the network's file and its plugins say is over %d bytes",
				 RECORD_BYTES_MOST);
	return ret->ptr != NULL;
}

/* Whole, or as it was. */
static bool record_write(const struct attachment *a, int sandbox, struct error *err)
{
	AUTO_CLOSE int fd = -1;
	struct span text;

	if (!record_print(a, &text, err))
		return false;
	fd = openat(sandbox, "." CNI_RECORD, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0 || write(fd, text.ptr, text.len) != (ssize_t)text.len ||
	    renameat(sandbox, "." CNI_RECORD, sandbox, CNI_RECORD) != 0)
		return error_errno(err, errno, "cannot write " CNI_RECORD);
	return true;
}

/* NOT_FOUND: there is none. */
static bool record_read(struct attachment *a, int folder, const char *name, struct error *err)
{
	AUTO_CLOSE int fd = openat(folder, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	struct value *v = ARENA_NEW(a->arena, struct value, err);
	char *text = arena_array_(a->arena, RECORD_BYTES_MOST, 1, err);
	ssize_t n = fd >= 0 && text ? read(fd, text, RECORD_BYTES_MOST) : -1;

	if (fd < 0)
		return error_errno(err, errno, CNI_RECORD);
	if (n < 0 || !v)
		return error_errno(err, EIO, "cannot read " CNI_RECORD);
	if (!value_parse(span_from(text, (size_t)n), NULL, a->arena, v, err) || !value_is(v, VALUE_OBJECT) ||
	    !list_check(v, value_get(v, SPAN("plugins")), &a->list, err))
		return error_wrap(err, CNI_RECORD);
	a->id = value_find_string(v, "id");
	a->pod = (struct cni_pod){ .uid = value_find_string(v, "podUID"),
				   .name_space = value_find_string(v, "podNamespace"),
				   .name = value_find_string(v, "podName") };
	a->result = value_get(v, SPAN("result"));
	return true;
}

/* ---- what is asked for ---- */

/* Of this sandbox alone: a later one of the same pod does not meet what is left of this. */
static bool id_make(struct attachment *a, struct error *err)
{
	char random[17];

	random_hex(random, 8);
	a->id = arena_print(a->arena, err, "%.*s-%s", WHOLE(a->pod.uid), random);
	return a->id.ptr != NULL;
}

static bool add(struct attachment *a, int sandbox, char ret_address[CNI_ADDRESS_MAX], struct error *err)
{
	struct error ignored = { 0 };

	if (!network_read(a->place, a->arena, &a->list, err) || !id_make(a, err) || !record_write(a, sandbox, err))
		return false;
	if (plugins_add(a, err) && cni_result_read(a->result, ret_address, err) && record_write(a, sandbox, err))
		return true;
	if (plugins_delete(a, &ignored))
		(void)unlinkat(sandbox, CNI_RECORD, 0);
	return false;
}

bool cni_add(const struct cni_place *p, const struct cni_pod *pod, const char *network, int sandbox,
	     char ret_address[CNI_ADDRESS_MAX], struct error *err)
{
	struct attachment a = { .place = p, .pod = *pod, .network = network };
	struct arena arena;
	bool good;

	if (!cni_is_possible(err))
		return false;
	arena_init(&arena, ARENA_BYTES_MOST);
	a.arena = &arena;
	good = add(&a, sandbox, ret_address, err);
	arena_done(&arena);
	return good;
}

bool cni_delete(const struct cni_place *p, const char *network, int sandbox, struct error *err)
{
	struct attachment a = { .place = p, .network = network };
	struct error found = { 0 };
	struct arena arena;
	bool good = false;

	arena_init(&arena, ARENA_BYTES_MOST);
	a.arena = &arena;
	if (record_read(&a, sandbox, CNI_RECORD, &found)) {
		good = plugins_delete(&a, err);
		if (good)
			(void)unlinkat(sandbox, CNI_RECORD, 0);
	} else if (found.code == ERROR_NOT_FOUND) {
		good = true;
	} else {
		*err = found;
	}
	arena_done(&arena);
	return good;
}

/* ---- of those that have died ---- */

struct sweep {
	struct cni_place place;
	char *owed, *name; /* a record in the folder; NULL: each */
};

static void sweep_one(const struct cni_place *p, int owed, const char *name)
{
	struct attachment a = { .place = p, .network = "" };
	struct error err = { 0 };
	struct arena arena;

	arena_init(&arena, ARENA_BYTES_MOST);
	a.arena = &arena;
	if (!record_read(&a, owed, name, &err)) {
		if (err.code != ERROR_NOT_FOUND)
			log_warn("node", "the network of a sandbox that has died is not given back",
				 LOG_TEXT("record", name), LOG_TEXT("error", err.message));
	} else if (!plugins_delete(&a, &err)) {
		log_warn("node",
			 "the network of a sandbox that has died could not be given back: it is tried again at the "
			 "next start",
			 LOG_SPAN("pod", a.pod.name), LOG_TEXT("error", err.message));
	} else {
		(void)unlinkat(owed, name, 0);
	}
	arena_done(&arena);
}

static void sweep_all(const struct cni_place *p, const char *folder)
{
	DIR *owed = opendir(folder);
	const struct dirent *e;

	while (owed && (e = readdir(owed))) {
		if (e->d_name[0] != '.')
			sweep_one(p, dirfd(owed), e->d_name);
	}
	if (owed)
		(void)closedir(owed);
}

static void *sweep_run(void *arg)
{
	struct sweep *s = arg;
	AUTO_CLOSE int owed = s->name ? open(s->owed, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;

	if (s->name)
		sweep_one(&s->place, owed, s->name);
	else
		sweep_all(&s->place, s->owed);
	free(s->owed);
	free(s->name);
	free(s);
	return NULL;
}

static void sweep_begin(const struct cni_place *p, const char *owed, const char *name)
{
	struct sweep *s = base_calloc(1, sizeof(*s));
	pthread_t thread;

	s->place = *p;
	s->owed = span_to_text(span_of(owed));
	s->name = name ? span_to_text(span_of(name)) : NULL;
	if (pthread_create(&thread, NULL, sweep_run, s) == 0) {
		(void)pthread_detach(thread);
		return;
	}
	log_warn(
	    "node",
	    "networks of sandboxes that have died are given back at the next start: there is no thread for it now");
	free(s->owed);
	free(s->name);
	free(s);
}

void cni_sweep(const struct cni_place *p, int sandbox, const char *owed)
{
	AUTO_CLOSE int folder = -1;
	char name[17];

	if (faccessat(sandbox, CNI_RECORD, F_OK, 0) != 0)
		return;
	(void)mkdir(owed, 0700);
	folder = open(owed, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	random_hex(name, 8);
	if (folder >= 0 && renameat(sandbox, CNI_RECORD, folder, name) == 0)
		sweep_begin(p, owed, name);
	else
		log_warn("node", "the network of a sandbox that has died is not given back", LOG_TEXT("folder", owed),
			 LOG_TEXT("error", strerror(errno)));
}

void cni_sweep_owed(const struct cni_place *p, const char *owed)
{
	if (access(owed, F_OK) == 0)
		sweep_begin(p, owed, NULL);
}
