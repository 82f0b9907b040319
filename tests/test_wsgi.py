# SPDX-License-Identifier: Apache-2.0
"""WSGI applications in this process: PEP 3333 as clients and applications see it."""
import io
import socket
import sys
import threading
from wsgiref.validate import validator

import pytest
import requests
from conftest import DEADLINE, PACKAGE, SANITIZED
from waiting import until

pytestmark = pytest.mark.skipif(SANITIZED or not (PACKAGE / "hythe" / "_hythe.abi3.so").exists(), reason="no extension module in this build")


@pytest.fixture(params=["pool", "driven"])
def served(request):
    """served(app): its URL; ended at the end of the test. By threads of the library, or by one of ours that runs it."""
    from hythe import wsgi

    hosts, runners = [], []

    def start(app, threads=2):
        threads = threads if request.param == "pool" else 1
        start.is_multithread = threads > 1
        host = wsgi.make_host(app, {"addresses": ["127.0.0.1:0"], "threads": threads, "driven": request.param == "driven"})
        host.start()
        hosts.append(host)
        if request.param == "driven":
            runners.append(threading.Thread(target=host.run))
            runners[-1].start()
        return "http://" + host.address()

    yield start
    for host in hosts:
        host.stop()
        assert host.wait(DEADLINE)
    for runner in runners:
        runner.join(DEADLINE)
        assert not runner.is_alive()


def ask(url, method="GET", headers=None, **options):
    """One request, one connection."""
    return requests.request(method, url, headers={"Connection": "close", **(headers or {})}, timeout=DEADLINE, allow_redirects=False, **options)


def address_of(url):
    host, port = url.removeprefix("http://").rsplit(":", 1)
    return host, int(port)


def plain(start_response, status="200 OK", *more):
    return start_response(status, [("Content-Type", "text/plain"), *more])


def test_environ_is_as_cgi_says(served):
    seen = {}

    def app(environ, start_response):
        seen.update(environ)
        plain(start_response)
        return [b"ok"]

    url = served(validator(app))
    got = ask(url + "/a%20b/%C3%A9?x=%20y", headers={"X-One": "1", "Cookie": "a=b"})
    assert (got.status_code, got.content) == (200, b"ok")
    host, port = address_of(url)
    assert seen["PATH_INFO"] == "/a b/\u00c3\u00a9"
    assert seen["QUERY_STRING"] == "x=%20y"
    assert (seen["REQUEST_METHOD"], seen["SCRIPT_NAME"], seen["SERVER_PROTOCOL"]) == ("GET", "", "HTTP/1.1")
    assert (seen["SERVER_NAME"], seen["SERVER_PORT"], seen["HTTP_HOST"]) == (host, str(port), f"{host}:{port}")
    assert (seen["HTTP_X_ONE"], seen["HTTP_COOKIE"], seen["REMOTE_ADDR"]) == ("1", "a=b", "127.0.0.1")
    assert seen["wsgi.multithread"] is served.is_multithread and seen["wsgi.url_scheme"] == "http"
    assert "CONTENT_LENGTH" not in seen and "HTTP_CONTENT_TYPE" not in seen


def test_headers_that_repeat_are_joined(served):
    def app(environ, start_response):
        plain(start_response)
        return [environ["HTTP_X_A"].encode(), b"|", environ["HTTP_COOKIE"].encode()]

    url = served(app)
    with socket.create_connection(address_of(url), DEADLINE) as s:
        s.sendall(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nX-A: 1\r\nX-A: 2\r\nCookie: a=1\r\nCookie: b=2\r\n\r\n")
        assert b"1,2" in (got := s.makefile("rb").read()) and b"a=1; b=2" in got


@pytest.mark.parametrize("size", [0, 5, 70_000, 3_000_000])
def test_bodies_come_whole(served, size):
    def app(environ, start_response):
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        plain(start_response)
        return [body]

    body = bytes(i % 251 for i in range(size))
    assert ask(served(validator(app)), "POST", data=body, headers={"Content-Type": "a/b"}).content == body


def test_input_gives_lines_of_a_chunked_body(served):
    def app(environ, start_response):
        body = environ["wsgi.input"]
        lines = [body.readline(), body.readline(2), *body]
        plain(start_response)
        return [repr(lines).encode()]

    got = ask(served(app), "POST", data=iter([b"one\ntw", b"o\nthr", b"ee\nend"]))
    assert eval(got.text) == [b"one\n", b"tw", b"o\n", b"three\n", b"end"]


def test_each_piece_is_sent_before_the_next_is_asked_for(served):
    go = threading.Event()

    def app(environ, start_response):
        plain(start_response)
        yield b"first"
        assert go.wait(DEADLINE)
        yield b"second"

    got = ask(served(app), stream=True)
    pieces = got.iter_content(None)
    assert next(pieces) == b"first"
    go.set()
    assert b"".join(pieces) == b"second"


def test_write_comes_before_what_is_returned(served):
    def app(environ, start_response):
        write = plain(start_response)
        write(b"a")
        write(b"b")
        return [b"c"]

    assert ask(served(app)).content == b"abc"


def test_exc_info_replaces_a_head_that_was_not_sent(served):
    def app(environ, start_response):
        plain(start_response)
        try:
            raise ValueError("x")
        except ValueError:
            start_response("500 Oh", [("Content-Type", "text/plain")], sys.exc_info())
        return [b"sorry"]

    got = ask(served(validator(app)))
    assert (got.status_code, got.reason, got.content) == (500, "Oh", b"sorry")


def test_an_exception_is_500_and_its_traceback_is_logged(served, caplog):
    def app(environ, start_response):
        raise KeyError("lost")

    assert ask(served(app)).status_code == 500
    assert any("the application raised" in r.message and r.exc_info for r in caplog.records)


def test_an_answer_that_breaks_off_is_cut(served):
    def app(environ, start_response):
        plain(start_response)
        yield b"half"
        raise RuntimeError("broken")

    with pytest.raises(requests.exceptions.ChunkedEncodingError):
        ask(served(app)).content


@pytest.mark.parametrize("fails", [False, True])
def test_close_is_always_called(served, fails):
    closed = threading.Event()

    class Result:
        def __iter__(self):
            yield b"x"
            if fails:
                raise RuntimeError

        def close(self):
            closed.set()

    def app(environ, start_response):
        plain(start_response)
        return Result()

    try:
        ask(served(app))
    except requests.exceptions.ChunkedEncodingError:
        assert fails
    assert closed.wait(DEADLINE)


def test_close_is_called_when_the_client_goes_away(served):
    closed = threading.Event()

    def app(environ, start_response):
        plain(start_response)
        try:
            while True:
                yield b"x" * 65536
        finally:
            closed.set()

    with socket.create_connection(address_of(served(app)), DEADLINE) as s:
        s.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        assert s.recv(10)
    assert closed.wait(DEADLINE)


def test_head_has_no_body(served):
    def app(environ, start_response):
        plain(start_response)
        return [b"12345"]

    url = served(app)  # without the validator, which hides the list, and so its length
    assert ask(url).headers["content-length"] == "5"
    got = ask(url, "HEAD")
    assert (got.content, got.headers["content-length"]) == (b"", "5")


def test_a_file_is_sent_and_closed(served):
    file = io.BytesIO(b"z" * 500_000)

    def app(environ, start_response):
        plain(start_response)
        return environ["wsgi.file_wrapper"](file)

    assert ask(served(app)).content == b"z" * 500_000
    until("the file closed", lambda: file.closed)


@pytest.mark.parametrize("status, headers", [("200 OK", [("A", "b\r\nc: d")]), ("OK", []), ("200 OK", [("A", 1)])])
def test_bad_heads_are_500(served, status, headers):
    def app(environ, start_response):
        start_response(status, headers)
        return [b"x"]

    assert ask(served(app)).status_code == 500


def test_more_requests_than_threads_are_all_answered(served):
    def app(environ, start_response):
        plain(start_response)
        return [environ["PATH_INFO"].encode()]

    url, got = served(app), []
    threads = [threading.Thread(target=lambda i=i: got.append(ask(f"{url}/{i}").text)) for i in range(20)]
    for t in threads:
        t.start()
    for t in threads:
        t.join(DEADLINE)
    assert sorted(got) == sorted(f"/{i}" for i in range(20))


# ---- where the application runs on the thread that serves ----


@pytest.fixture
def driven(served, request):
    """served() for tests of that alone."""
    if "driven" not in request.node.name:
        pytest.skip("of driven hosts alone")
    return served


def test_generators_over_objects_of_one_thread_are_iterated_there(driven):
    connections = []

    def app(environ, start_response):
        import sqlite3

        if not connections:  # one for all requests: sqlite3 refuses another thread
            connections.append(sqlite3.connect(":memory:"))
        size = int(environ.get("CONTENT_LENGTH") or 0)
        body = environ["wsgi.input"].read(size)
        plain(start_response)
        for (n,) in connections[0].execute("with recursive t(n) as (select 1 union all select n + 1 from t where n < 50) select n from t"):
            yield b"%d " % (n * len(body))

    url = driven(app)
    for size in (1, 3, 200000):
        got = ask(url, "POST", data=b"x" * size)
        assert got.text.split() == [str(n * size) for n in range(1, 51)]


def test_a_slow_body_holds_up_nobody_who_does_not_come_to_the_application(driven):
    def app(environ, start_response):
        size = len(environ["wsgi.input"].read())
        plain(start_response)
        return [b"%d" % size]

    url = driven(app)
    with socket.create_connection(address_of(url), DEADLINE) as slow, socket.create_connection(address_of(url), DEADLINE) as wrong:
        slow.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 200000\r\nConnection: close\r\n\r\n" + b"x" * 100000)
        wrong.sendall(b"nonsense\r\n\r\n")
        assert wrong.recv(100).startswith(b"HTTP/1.1 400")  # answered while the application waits for the rest
        small = threading.Thread(target=lambda: answers.append(ask(url, "POST", data=b"xyz").text))
        answers = []
        small.start()
        slow.sendall(b"x" * 100000)
        assert slow.makefile("rb").read().endswith(b"200000")
        small.join(DEADLINE)
        assert answers == ["3"]


def test_a_stop_while_the_application_waits_cuts_its_client_off_in_time():
    from hythe import wsgi

    read, reading = [], threading.Event()

    def app(environ, start_response):
        reading.set()
        try:
            environ["wsgi.input"].read()
        except OSError as error:
            read.append(error)
        plain(start_response)
        return [b"late"]

    host = wsgi.make_host(app, {"addresses": ["127.0.0.1:0"], "driven": True, "settings": {"drain-timeout": "200ms"}})
    host.start()
    runner = threading.Thread(target=host.run)
    runner.start()
    with socket.create_connection(address_of("http://" + host.address()), DEADLINE) as client:
        client.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 200000\r\n\r\n" + b"x" * 100)
        assert reading.wait(DEADLINE)
        host.stop()
        runner.join(DEADLINE)
        assert not runner.is_alive() and isinstance(read[0], ConnectionResetError)


def test_a_driven_host_is_run_by_one_thread_that_has_started_it():
    from hythe import _hythe

    host = _hythe.Host(addresses=["127.0.0.1:0"], call=print, driven=True)
    with pytest.raises(RuntimeError, match="start"):
        host.run()
    plain_host = _hythe.Host(addresses=["127.0.0.1:0"], call=print)
    plain_host.start()
    with pytest.raises(RuntimeError, match="driven"):
        plain_host.turn()
    plain_host.stop()
    assert plain_host.wait(DEADLINE)
    with pytest.raises(OSError, match="2 threads"):
        _hythe.Host(addresses=["127.0.0.1:0"], call=print, threads=2, driven=True)
    host.start()
    assert host.turn() is True and host.fd() >= 0
    host.stop()
    while host.turn():
        pass
    assert host.wait(0)
