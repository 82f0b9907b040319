/* SPDX-License-Identifier: Apache-2.0 */
/* listener_test - the addresses a server listens on. */
#include "net/server_kit.h"

#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

/* The file of the socket that is served, and whether it was still there when the last one who listened was closed. */
static const char *_Atomic socket_file;
static _Atomic bool was_there;

int close(int fd)
{
	int is_listening = 0;
	socklen_t len = sizeof(is_listening);

	if (socket_file && getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &is_listening, &len) == 0 && is_listening)
		was_there = access(socket_file, F_OK) == 0;
	return (int)syscall(SYS_close, fd);
}

static void bad_addresses_are_refused_with_a_reason(void **state)
{
	static const char *const rows[] = {
		"",
		"8080",
		"127.0.0.1",
		"127.0.0.1:",
		"127.0.0.1:http",
		"127.0.0.1:65536",
		"127.0.0.1:-1",
		"::1:8080",
		"[::1]",
		"[]:80",
		"unix:",
		"unix:/nowhere/at/all/socket",
		"198.51.100.7:8080",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct server_config config = config_default();
		struct error err = { 0 };

		config.addresses = &rows[i];
		assert_null(server_new(&config, &err));
		assert_true(err.code != ERROR_NONE && strlen(err.message) > 10);
	}
}

static void workers_share_a_port_and_other_servers_do_not(void **state)
{
	struct server_config config = config_default();
	struct error err = { 0 };
	const char *address;
	struct server *s;

	(void)state;
	config.workers = 4;
	s = serve(&config);
	assert_int_equal(server_worker_count(s), 4);
	for (int i = 0; i < 40; i++) {
		int fd = client(s);

		SAY(fd, "GET /echo HTTP/1.1\r\n" H "\r\n");
		expect(fd, 200, "");
		close(fd);
	}
	address = server_address(s, 0);
	config.addresses = &address;
	assert_null(server_new(&config, &err));
	assert_int_equal(err.code, ERROR_ALREADY_EXISTS);
	assert_non_null(strstr(err.message, "taken"));
	server_free(s);
}

static void every_address_is_served_by_a_port_alone(void **state)
{
	static const char *const addresses[] = { ":0", "localhost:0" };
	struct server_config config = config_default();
	struct server *s;
	char text[64];
	int fd;

	(void)state;
	config.addresses = addresses;
	config.address_count = 2;
	s = serve(&config);
	snprintf(text, sizeof(text), "127.0.0.1%s", strrchr(server_address(s, 0), ':'));
	fd = connect_text(text);
	SAY(fd, "GET /echo HTTP/1.1\r\n" H "\r\n");
	expect(fd, 200, "");
	close(fd);
	fd = connect_text(server_address(s, 0));
	if (fd >= 0) { /* not where IPv6 is switched off */
		SAY(fd, "GET /echo HTTP/1.1\r\n" H "\r\n");
		expect(fd, 200, "");
		close(fd);
	}
	fd = connect_text(server_address(s, 1));
	SAY(fd, "GET /echo HTTP/1.1\r\n" H "\r\n");
	expect(fd, 200, "");
	close(fd);
	server_free(s);
}

/* From a parent process: systemd, or a supervisor that keeps the port while programs change. */
static void a_socket_that_listens_already_is_served(void **state)
{
	struct sockaddr_in in = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct server_config config = config_default();
	int listening = socket(AF_INET, SOCK_STREAM, 0), silent = socket(AF_INET, SOCK_STREAM, 0);
	char address[32], bad[32];
	const char *addresses = address;
	struct error err = { 0 };
	struct server *s;

	(void)state;
	assert_int_equal(bind(listening, (struct sockaddr *)&in, sizeof(in)), 0);
	assert_int_equal(listen(listening, 16), 0);
	snprintf(address, sizeof(address), "fd:%d", listening);
	config.addresses = &addresses;
	config.workers = 3;
	s = serve(&config);
	assert_true(strncmp(server_address(s, 0), "127.0.0.1:", 10) == 0);
	for (int i = 0; i < 30; i++) {
		int fd = client(s);

		SAY(fd, "GET /echo HTTP/1.1\r\n" H "\r\n");
		expect(fd, 200, "");
		close(fd);
	}
	server_free(s); /* closes it */
	assert_int_equal(close(listening), -1);

	addresses = bad;
	snprintf(bad, sizeof(bad), "fd:%d", silent);
	assert_null(server_new(&config, &err));
	assert_non_null(strstr(err.message, "no socket that listens"));
	snprintf(bad, sizeof(bad), "fd:x");
	err = (struct error){ 0 };
	assert_null(server_new(&config, &err));
	assert_int_equal(err.code, ERROR_INVALID);
	close(silent);
	snprintf(bad, sizeof(bad), "fd:%d", silent);
	err = (struct error){ 0 };
	assert_null(server_new(&config, &err));
	assert_non_null(strstr(err.message, "cannot listen on fd:"));
}

static void a_unix_socket_is_served_guarded_and_removed(void **state)
{
	struct server_config config = config_default();
	struct error err = { 0 };
	struct server *s;
	struct stat st;
	char folder[] = "/tmp/hythe-test-XXXXXX", address[64];
	const char *addresses = address;
	int fd;

	(void)state;
	assert_non_null(mkdtemp(folder));
	snprintf(address, sizeof(address), "unix:%s/socket", folder);
	config.addresses = &addresses;
	config.workers = 3;

	/* What a killed process left behind: bound, and nobody listens. */
	{
		struct sockaddr_un un = { .sun_family = AF_UNIX };

		snprintf(un.sun_path, sizeof(un.sun_path), "%s", address + 5);
		fd = socket(AF_UNIX, SOCK_STREAM, 0);
		assert_int_equal(bind(fd, (struct sockaddr *)&un, sizeof(un)), 0);
		close(fd);
	}
	s = serve(&config);
	assert_string_equal(server_address(s, 0), address);
	for (int i = 0; i < 30; i++) {
		fd = client(s);
		SAY(fd, "GET /echo HTTP/1.1\r\n" H "\r\n");
		expect(fd, 200, "");
		close(fd);
	}
	assert_null(server_new(&config, &err));
	assert_int_equal(err.code, ERROR_ALREADY_EXISTS);
	socket_file = address + 5;
	server_free(s);
	socket_file = NULL;
	assert_false(was_there); /* by then it may be another server's */
	assert_int_equal(stat(address + 5, &st), -1);

	/* A file that is no socket is nobody's to remove. */
	fclose(fopen(address + 5, "w"));
	assert_null(server_new(&config, &err));
	assert_int_equal(stat(address + 5, &st), 0);
	unlink(address + 5);
	rmdir(folder);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bad_addresses_are_refused_with_a_reason),
		cmocka_unit_test(workers_share_a_port_and_other_servers_do_not),
		cmocka_unit_test(every_address_is_served_by_a_port_alone),
		cmocka_unit_test(a_socket_that_listens_already_is_served),
		cmocka_unit_test(a_unix_socket_is_served_guarded_and_removed),
	};

	return cmocka_run_group_tests(tests, gates_init, NULL);
}
