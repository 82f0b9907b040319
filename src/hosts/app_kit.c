/* SPDX-License-Identifier: Apache-2.0 */
#include "hosts/app_kit.h"

#include <arpa/inet.h>
#include <pthread.h>
#include <time.h>

/* ---- what the application tells the test ---- */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
struct app_seen seen;

void note(int64_t *place, int64_t value)
{
	pthread_mutex_lock(&lock);
	*place = value;
	pthread_cond_broadcast(&changed);
	pthread_mutex_unlock(&lock);
}

void count(int64_t *place, int64_t by)
{
	pthread_mutex_lock(&lock);
	*place += by;
	pthread_cond_broadcast(&changed);
	pthread_mutex_unlock(&lock);
}

int64_t look(const int64_t *place)
{
	int64_t value;

	pthread_mutex_lock(&lock);
	value = *place;
	pthread_mutex_unlock(&lock);
	return value;
}

int64_t await(const int64_t *place, int64_t least)
{
	struct timespec until;
	int64_t value;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += PATIENCE_S;
	pthread_mutex_lock(&lock);
	while (*place < least && pthread_cond_timedwait(&changed, &lock, &until) == 0)
		;
	value = *place;
	pthread_mutex_unlock(&lock);
	return value;
}

int clear(void **state)
{
	(void)state;
	memset(&seen, 0, sizeof(seen));
	return 0;
}

void keep(char *to, size_t size, struct hythe_bytes bytes)
{
	snprintf(to, size, "%.*s", (int)bytes.size, bytes.data ? bytes.data : "");
}

int is(struct hythe_bytes bytes, const char *text)
{
	return bytes.size == strlen(text) && memcmp(bytes.data, text, bytes.size) == 0;
}

/* ---- a client ---- */

char answer[ANSWER_MAX];
char block[BLOCK];
const struct hythe_header plain = { { "content-type", 12 }, { "text/plain", 10 } };

int connect_to(hythe_host *host)
{
	const char *colon = strrchr(hythe_host_address(host, 0), ':');
	struct sockaddr_in to = { .sin_family = AF_INET };
	struct timeval patience = { .tv_sec = PATIENCE_S };
	int fd = socket(AF_INET, SOCK_STREAM, 0), small = WINDOW;

	to.sin_port = htons((uint16_t)strtol(colon + 1, NULL, 10));
	to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	(void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	(void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
	if (connect(fd, (struct sockaddr *)&to, sizeof(to)) != 0) {
		close(fd);
		return -1;
	}
	return fd;
}

int send_all(int fd, const void *bytes, size_t size)
{
	const char *at = bytes;

	while (size) {
		ssize_t n = send(fd, at, size, MSG_NOSIGNAL);

		if (n <= 0)
			return 0;
		at += n;
		size -= (size_t)n;
	}
	return 1;
}

int send_text(int fd, const char *text)
{
	return send_all(fd, text, strlen(text));
}

int ask_begin(hythe_host *host, const char *method, const char *path, const char *headers)
{
	char head[512];
	int fd = connect_to(host);

	snprintf(head, sizeof(head), "%s %s HTTP/1.1\r\nHost: test\r\nConnection: close\r\n%s\r\n", method, path,
		 headers);
	assert_true(fd >= 0 && send_text(fd, head));
	return fd;
}

int answer_read(int fd, char *to, size_t room, size_t *ret_size)
{
	size_t size = 0;
	ssize_t n;

	while (size < room - 1 && (n = recv(fd, to + size, room - 1 - size, 0)) > 0)
		size += (size_t)n;
	close(fd);
	to[size] = '\0';
	*ret_size = size;
	return strncmp(to, "HTTP/1.1 ", 9) == 0 ? (int)strtol(to + 9, NULL, 10) : 0;
}

const char *body_of(const char *text)
{
	const char *end = strstr(text, "\r\n\r\n");

	return end ? end + 4 : "";
}

int get(hythe_host *host, const char *path)
{
	size_t size;

	return answer_read(ask_begin(host, "GET", path, ""), answer, sizeof(answer), &size);
}

int post(hythe_host *host, const char *path, size_t size)
{
	char *body = malloc(size + 1), length[64];
	int fd;

	memset(body, 'b', size);
	snprintf(length, sizeof(length), "Content-Length: %zu\r\n", size);
	fd = ask_begin(host, "POST", path, length);
	assert_true(send_all(fd, body, size));
	free(body);
	return answer_read(fd, answer, sizeof(answer), &size);
}

int64_t chunks_size(void)
{
	const char *at = body_of(answer);
	int64_t total = 0;

	for (;;) {
		char *end;
		long size = strtol(at, &end, 16);

		if (end == at)
			return -1;
		if (size == 0)
			return total;
		total += size;
		at = end + 2 + size + 2;
	}
}

/* ---- hosts ---- */

int is_driven;
static pthread_t driver;
_Thread_local int holds_lock; /* as an interpreter's: not held while the host sleeps */

static void lock_give(void *context)
{
	(void)context;
	assert_int_equal(holds_lock, 1);
	holds_lock = 0;
}

static int lock_take(void *context)
{
	(void)context;
	assert_int_equal(holds_lock, 0);
	holds_lock = 1;
	return 0;
}

static void *drive(void *host)
{
	holds_lock = 1;
	assert_int_equal(hythe_host_run(host), 1);
	return NULL;
}

hythe_host *start(const struct hythe_app *app, unsigned threads)
{
	static const char *const addresses[] = { "127.0.0.1:0" };
	struct hythe_host_config config = { .size = sizeof(config),
					    .addresses = addresses,
					    .address_count = 1,
					    .threads = is_driven ? 1 : threads,
					    .app = app,
					    .is_driven = is_driven,
					    .waits = lock_give,
					    .resumes = lock_take };
	char why[HYTHE_ERROR_SIZE] = "";
	hythe_host *host = hythe_host_new(&config, why);

	if (!host || !hythe_host_start(host, why))
		fail_msg("%s", why);
	if (is_driven && app->serve)
		assert_int_equal(pthread_create(&driver, NULL, drive, host), 0);
	return host;
}

void finish(hythe_host *host)
{
	if (is_driven) {
		hythe_host_stop(host);
		pthread_join(driver, NULL);
	}
	hythe_host_free(host);
}
