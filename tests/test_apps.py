# SPDX-License-Identifier: Apache-2.0
"""Flask, Django, FastAPI and Starlette applications behind `hythe serve`: what their servers owe them."""
import asyncio
import functools
import socket
import textwrap
import time

import httpx
import numpy as np
import pytest
import requests
import websockets
from conftest import DEADLINE, PACKAGE, ROOT, Server
from sklearn.linear_model import LogisticRegression
from waiting import until

pytestmark = pytest.mark.skipif(not (PACKAGE / "hythe" / "_hythe.abi3.so").exists(), reason="the extension module is not built")

FLASK = """
    import io, time
    from flask import Flask, Response, jsonify, make_response, redirect, request, send_file, session, stream_with_context

    app = Flask(__name__)
    app.secret_key = "not secret"

    @app.get("/")
    def hello():
        return "Hello"

    @app.get("/environ")
    def environ():
        return jsonify({k: str(v) for k, v in request.environ.items()})

    @app.post("/json")
    def echo():
        return jsonify(request.get_json())

    @app.post("/upload")
    def upload():
        return jsonify({name: [f.filename, len(f.read())] for name, f in request.files.items()} | dict(request.form))

    @app.get("/count")
    def count():
        session["n"] = session.get("n", 0) + 1
        answer = make_response(str(session["n"]))
        answer.set_cookie("a", "1")
        answer.set_cookie("b", "2")
        return answer

    @app.get("/stream")
    def stream():
        return Response(stream_with_context(b"%d\\n" % i * 2000 for i in range(100)), mimetype="text/plain")

    @app.get("/file")
    def file():
        return send_file(__file__, mimetype="text/plain", conditional=True)

    @app.get("/there")
    def there():
        return redirect("/")

    @app.get("/fail")
    def fail():
        raise RuntimeError("as asked")
"""

DJANGO = """
    import django
    from django.conf import settings
    from django.core.asgi import get_asgi_application
    from django.core.wsgi import get_wsgi_application
    from django.http import FileResponse, HttpResponse, JsonResponse, StreamingHttpResponse
    from django.urls import path

    settings.configure(SECRET_KEY="not secret", ROOT_URLCONF=__name__, ALLOWED_HOSTS=["*"], DEBUG=False)

    def hello(request, name):
        return JsonResponse({"method": request.method, "path": request.path, "query": dict(request.GET.lists()), "host": request.get_host(),
                             "body": request.body.decode(), "secure": request.is_secure(), "peer": request.META["REMOTE_ADDR"]})

    def upload(request):
        return JsonResponse({name: [f.name, f.size] for name, f in request.FILES.items()})

    def stream(request):
        return StreamingHttpResponse((b"x" * 1000 for _ in range(300)))

    def file(request):
        return FileResponse(open(__file__, "rb"), content_type="text/plain")

    urlpatterns = [path("upload", upload), path("stream", stream), path("file", file), path("hello/<str:name>", hello)]
    wsgi = get_wsgi_application()
    asgi = get_asgi_application()
"""

FASTAPI = """
    import asyncio, contextlib
    from fastapi import BackgroundTasks, FastAPI, Request, WebSocket
    from fastapi.responses import StreamingResponse
    from pydantic import BaseModel

    log = open("log", "a")

    def note(*words):
        print(*words, file=log, flush=True)

    @contextlib.asynccontextmanager
    async def lifespan(app):
        note("start")
        yield {"greeting": "hello"}
        note("stop")

    app = FastAPI(lifespan=lifespan)

    class Item(BaseModel):
        name: str
        price: float

    @app.get("/hello/{name}")
    async def hello(name: str, request: Request):
        return {"hello": name, "state": request.state.greeting, "client": request.client.host, "http": request.scope["http_version"]}

    @app.post("/items")
    async def items(item: Item, tasks: BackgroundTasks):
        tasks.add_task(note, "task", item.name)
        return item

    @app.get("/events")
    async def events():
        async def lines():
            for i in range(5):
                yield f"data: {i}\\n\\n"
                await asyncio.sleep(0)
        return StreamingResponse(lines(), media_type="text/event-stream")

    @app.get("/large")
    async def large(request: Request):
        async def pieces():
            for _ in range(400):
                yield b"x" * 10000
        return StreamingResponse(pieces())

    @app.post("/sum")
    async def total(request: Request):
        n = 0
        async for piece in request.stream():
            n += len(piece)
        return n

    @app.get("/wait")
    async def wait(request: Request):
        note("waiting")
        while not await request.is_disconnected():
            await asyncio.sleep(0.01)
        note("disconnected")

    @app.get("/fail")
    async def fail():
        raise RuntimeError("as asked")

    @app.websocket("/echo")
    async def echo(socket: WebSocket):
        await socket.accept(subprotocol="b" if "b" in socket.scope["subprotocols"] else None)
        async for text in socket.iter_text():
            await socket.send_text(text.upper())
        note("socket over")

    @app.websocket("/refuse")
    async def refuse(socket: WebSocket):
        await socket.close(4000)

    @app.websocket("/bye")
    async def bye(socket: WebSocket):
        await socket.accept()
        await socket.send_bytes(b"bye")
        await socket.close(4001, "over")
"""


@pytest.fixture
def app(tmp_path):
    """app(text, target, ...): `hythe serve TARGET` of a module `site_under_test`; its Server."""
    servers = []

    def start(text, target="app", *flags):
        (tmp_path / "site_under_test.py").write_text(textwrap.dedent(text))
        servers.append(Server([f"site_under_test:{target}", *flags], cwd=tmp_path))
        return servers[-1]

    yield start
    for server in servers:
        server.stop()


# ---- Flask -----------------------------------------------------------------------------------------------------------

def test_flask(app):
    pytest.importorskip("flask")
    url = app(FLASK, "app", "--threads", "2").url
    answer = requests.get(url, timeout=DEADLINE)
    assert answer.text == "Hello" and answer.headers["content-length"] == "5"
    assert requests.head(url, timeout=DEADLINE).headers["content-length"] == "5"
    assert requests.post(url + "/json", json={"ä": [1, None]}, timeout=DEADLINE).json() == {"ä": [1, None]}
    assert requests.get(url + "/nothing", timeout=DEADLINE).status_code == 404
    assert requests.get(url + "/there", timeout=DEADLINE).url == url + "/"
    assert requests.get(url + "/stream", timeout=DEADLINE).content == b"".join(b"%d\n" % i * 2000 for i in range(100))


def test_flask_sees_the_client_and_not_the_hop(app):
    pytest.importorskip("flask")
    server = app(FLASK)
    seen = requests.get(server.url + "/environ?a=b%20c", headers={"X-Two": "1", "X-Hythe-Peer": "9.9.9.9:9"}, timeout=DEADLINE).json()
    assert seen["REMOTE_ADDR"] == "127.0.0.1" and seen["SERVER_PROTOCOL"] == "HTTP/1.1" and seen["wsgi.url_scheme"] == "http"
    assert seen["QUERY_STRING"] == "a=b%20c" and seen["HTTP_X_TWO"] == "1" and "HTTP_X_HYTHE_PEER" not in seen
    assert seen["HTTP_HOST"] == f"127.0.0.1:{server.port}" and seen["SERVER_PORT"] == str(server.port)


def test_flask_uploads_cookies_and_files(app, tmp_path):
    pytest.importorskip("flask")
    url = app(FLASK).url
    sent = {"f": ("a.bin", b"\x00" * 1_000_000), "g": ("b.txt", b"text")}
    assert requests.post(url + "/upload", files=sent, data={"k": "v"}, timeout=DEADLINE).json() == {"f": ["a.bin", 1_000_000], "g": ["b.txt", 4], "k": "v"}
    with requests.Session() as client:
        assert [client.get(url + "/count", timeout=DEADLINE).text for _ in range(3)] == ["1", "2", "3"]
        assert client.cookies["a"] == "1" and client.cookies["b"] == "2"
    source = (tmp_path / "site_under_test.py").read_bytes()
    assert requests.get(url + "/file", timeout=DEADLINE).content == source
    part = requests.get(url + "/file", headers={"Range": "bytes=5-14"}, timeout=DEADLINE)
    assert part.status_code == 206 and part.content == source[5:15]


def test_an_exception_is_500_and_in_the_log(app):
    pytest.importorskip("flask")
    server = app(FLASK)
    assert requests.get(server.url + "/fail", timeout=DEADLINE).status_code == 500
    server.wait_for("RuntimeError: as asked")
    assert requests.get(server.url, timeout=DEADLINE).text == "Hello"


# ---- Django ----------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("target", ["wsgi", "asgi"])
def test_django(app, tmp_path, target):
    pytest.importorskip("django")
    url = app(DJANGO, target).url
    seen = requests.post(url + "/hello/w%C3%B6rld?a=1&a=2", data=b"body", timeout=DEADLINE).json()
    assert seen["path"] == "/hello/wörld" and seen["query"] == {"a": ["1", "2"]} and seen["body"] == "body" and seen["peer"] == "127.0.0.1"
    assert seen["method"] == "POST" and seen["host"] == url.split("//")[1] and seen["secure"] is False
    assert len(requests.get(url + "/stream", timeout=DEADLINE).content) == 300_000
    assert requests.get(url + "/file", timeout=DEADLINE).content == (tmp_path / "site_under_test.py").read_bytes()
    assert requests.post(url + "/upload", files={"f": ("a", b"1" * 3_000_000)}, timeout=DEADLINE).json() == {"f": ["a", 3_000_000]}


# ---- FastAPI and Starlette -------------------------------------------------------------------------------------------

def log_of(tmp_path):
    return (tmp_path / "log").read_text().split("\n")[:-1]


def test_fastapi(app, tmp_path):
    pytest.importorskip("fastapi")
    server = app(FASTAPI)
    url = server.url
    assert requests.get(url + "/hello/you", timeout=DEADLINE).json() == {"hello": "you", "state": "hello", "client": "127.0.0.1", "http": "1.1"}
    assert requests.post(url + "/items", json={"name": "n", "price": 2}, timeout=DEADLINE).json() == {"name": "n", "price": 2.0}
    assert requests.post(url + "/items", json={"name": "n"}, timeout=DEADLINE).status_code == 422
    assert requests.get(url + "/events", timeout=DEADLINE).text == "".join(f"data: {i}\n\n" for i in range(5))
    assert len(requests.get(url + "/large", timeout=DEADLINE).content) == 4_000_000
    assert requests.post(url + "/sum", data=(b"y" * 70_000 for _ in range(40)), timeout=DEADLINE).json() == 2_800_000
    assert requests.get(url + "/fail", timeout=DEADLINE).status_code == 500
    server.wait_for("RuntimeError: as asked")
    server.stop()
    assert log_of(tmp_path) == ["start", "task n", "stop"]


def test_many_requests_at_once_share_one_process(app):
    pytest.importorskip("fastapi")
    url = app(FASTAPI).url

    async def ask():
        async with httpx.AsyncClient(timeout=DEADLINE, limits=httpx.Limits(max_connections=50)) as client:
            return await asyncio.gather(*[client.get(f"{url}/hello/{i}") for i in range(200)])

    assert [a.json()["hello"] for a in asyncio.run(ask())] == [str(i) for i in range(200)]


def test_a_client_that_leaves_is_told_of(app, tmp_path):
    pytest.importorskip("fastapi")
    server = app(FASTAPI)
    with socket.create_connection((server.host, server.port), timeout=DEADLINE) as client:
        client.sendall(b"GET /wait HTTP/1.1\r\nHost: x\r\n\r\n")
        until("the request at the application", lambda: "waiting" in log_of(tmp_path))
        assert "disconnected" not in log_of(tmp_path)
    until("the application told of it", lambda: "disconnected" in log_of(tmp_path))


def test_websockets(app, tmp_path):
    pytest.importorskip("fastapi")
    server = app(FASTAPI)
    url = server.url.replace("http", "ws")
    connect = functools.partial(websockets.connect, open_timeout=DEADLINE, ping_timeout=DEADLINE, close_timeout=DEADLINE)

    async def talk():
        async with connect(url + "/echo", subprotocols=["a", "b"]) as client:
            assert client.subprotocol == "b"
            for text in ("one", "zwölf", "x" * 300_000, ""):
                await client.send(text)
                assert await client.recv() == text.upper()
            await client.send(["fra", "gm", "ents"])
            assert await client.recv() == "FRAGMENTS"
            pong = await client.ping()
            await pong
        with pytest.raises(websockets.InvalidStatus) as refused:
            await connect(url + "/refuse")
        assert refused.value.response.status_code == 403
        async with connect(url + "/bye") as client:
            assert await client.recv() == b"bye"
            await client.wait_closed()
            assert (client.close_code, client.close_reason) == (4001, "over")

    asyncio.run(talk())
    server.stop()
    assert "socket over" in log_of(tmp_path)


CROWD = """
    import asyncio

    sent = 0

    async def app(scope, receive, send):
        global sent
        if scope["type"] == "lifespan":
            return
        await receive()
        if scope["path"] == "/receive":
            print("waiting", file=open("log", "a"))
            await asyncio.gather(receive(), receive())
            print("all told", file=open("log", "a"))
            return
        await send({"type": "http.response.start", "status": 200, "headers": []})
        if scope["path"] == "/send":
            async def pieces(letter):
                global sent
                for _ in range(200):
                    await send({"type": "http.response.body", "body": letter * 100_000, "more_body": True})
                    sent += 1
            await asyncio.gather(pieces(b"a"), pieces(b"b"))
        if scope["path"] == "/end":
            async def endless():
                while True:
                    await send({"type": "http.response.body", "body": b"c" * 100_000, "more_body": True})
            task = asyncio.ensure_future(endless())
            await asyncio.sleep(1)  # no room any more, most likely: else it fails before it waits
            await send({"type": "http.response.body", "body": b""})
            await asyncio.wait([task])
            print("ended", file=open("log", "a"))
            return
        await send({"type": "http.response.body", "body": b"%d" % sent})
"""


def test_several_tasks_of_a_request_wait_for_its_client(app, tmp_path):
    server = app(CROWD)
    with socket.create_connection((server.host, server.port), timeout=DEADLINE) as client:
        client.sendall(b"GET /receive HTTP/1.1\r\nHost: x\r\n\r\n")
        until("the request at the application", lambda: log_of(tmp_path) == ["waiting"])
    until("all told that it has gone", lambda: log_of(tmp_path) == ["waiting", "all told"])

    def sent():
        return int(requests.get(server.url, timeout=DEADLINE).text)

    def is_full():
        before = sent()
        time.sleep(0.1)
        return 0 < before == sent() < 400

    with socket.create_connection((server.host, server.port), timeout=DEADLINE) as client:
        client.sendall(b"GET /send HTTP/1.0\r\n\r\n")
        until("no more room", is_full)
        got = b"".join(iter(lambda: client.recv(1 << 20), b""))
    body = got.partition(b"\r\n\r\n")[2]
    assert (body.count(b"a"), body.count(b"b"), body[-3:]) == (20_000_000, 20_000_000, b"400")
    with socket.create_connection((server.host, server.port), timeout=DEADLINE) as client:
        client.sendall(b"GET /end HTTP/1.0\r\n\r\n")
        until("who waits for room told of the answer's end", lambda: "ended" in log_of(tmp_path))


def test_a_startup_that_fails_is_told(tmp_path):
    pytest.importorskip("starlette")
    (tmp_path / "site_under_test.py").write_text(textwrap.dedent("""
        import contextlib
        from starlette.applications import Starlette

        @contextlib.asynccontextmanager
        async def lifespan(app):
            raise RuntimeError("no database")
            yield

        app = Starlette(lifespan=lifespan)
        """))
    with pytest.raises(RuntimeError, match="no database"):
        Server(["site_under_test:app"], cwd=tmp_path)


# ---- the examples ----------------------------------------------------------------------------------------------------

def test_the_articles_propensity_app(tmp_path, shared_data):
    pytest.importorskip("flask")
    server = Server([ROOT / "examples" / "python" / "serving.py"], cwd=tmp_path, env={"GAMES_CSV": str(shared_data / "games-expand.csv")})
    try:
        table = np.loadtxt(shared_data / "games-expand.csv", delimiter=",", skiprows=1)
        model = LogisticRegression().fit(table[:, :10], table[:, 10])
        for bought in ([1, 0, 0, 1, 0, 0, 1, 0, 0, 0], [0] * 10, [1] * 10):
            answer = requests.post(server.url + "/predict", json={f"G{i + 1}": v for i, v in enumerate(bought)}, timeout=DEADLINE).json()
            assert answer["success"] is True and isinstance(answer["response"], str)
            assert float(answer["response"]) == pytest.approx(model.predict_proba([bought])[0, 1], rel=1e-9)
    finally:
        server.stop()


def test_the_articles_echo_app(tmp_path):
    pytest.importorskip("flask")
    server = Server([ROOT / "examples" / "python" / "echo.py"], cwd=tmp_path)
    try:
        expected = {"response": "Hi_from_docker", "success": True}
        assert requests.get(server.url + "/predict", params={"msg": "Hi_from_docker"}, timeout=DEADLINE).json() == expected
        assert requests.post(server.url + "/predict", json={"msg": "Hi_from_docker"}, timeout=DEADLINE).json() == expected
    finally:
        server.stop()
