# SPDX-License-Identifier: Apache-2.0
"""ASGI 3 applications (HTTP, WebSocket, lifespan) on hythe's server and asyncio.

The event loop watches one descriptor of the server's, and runs the server in C for a moment when it is readable; what happened comes back as
events. There is one thread. uvloop is used when it is installed.
"""
import asyncio
import logging
import signal
from typing import Any, Callable, Deque, Dict, List, Optional, Tuple
from collections import deque

from . import _hythe

_log = logging.getLogger("hythe.asgi")

WINDOW = 65536
SLOTS = 1000  # requests at once in one process
_HTTP = {"version": "3.0", "spec_version": "2.3"}
_REQUEST, _BODY, _WRITABLE, _GONE, _TEXT, _BYTES, _CLOSED, _STOP = range(1, 9)


def _tell(waiting: Tuple[asyncio.Future, ...]) -> None:
    for one in waiting:
        if not one.done():
            one.set_result(None)


class _Exchange:
    """One request or WebSocket: what its application awaits."""

    # Of the class until they change: most requests are over before that.
    is_gone = False
    is_over = False
    task: Optional[asyncio.Task] = None  # runs the application
    _readers: Tuple[asyncio.Future, ...] = ()  # of an application's several tasks each may wait
    _writers: Tuple[asyncio.Future, ...] = ()

    def __init__(self, server: "_Server", exchange: Any) -> None:
        self.server = server
        self.exchange = exchange

    def wake(self) -> None:
        """Something has come."""
        _tell(self._readers)

    def drained(self) -> None:
        """There is room again, or nobody to send to."""
        _tell(self._writers)

    def gone(self) -> None:
        """The client went away."""
        self.is_gone = True
        self.wake()
        self.drained()

    async def _wait(self) -> None:
        one = self.server.loop.create_future()
        self._readers += (one,)
        try:
            await one
        finally:
            self._readers = tuple(other for other in self._readers if other is not one)

    async def _room(self, unsent: int) -> None:
        if unsent < WINDOW or self.is_gone:
            return
        one = self.server.loop.create_future()
        self._writers += (one,)
        try:
            await one
        finally:
            self._writers = tuple(other for other in self._writers if other is not one)


class _Http(_Exchange):
    _asked = 0  # bytes that may still come
    _has_told = False
    _head: Optional[Tuple[int, Any]] = None
    _has_sent = False

    def __init__(self, server: "_Server", exchange: Any, has_no_body: bool) -> None:
        self.server = server
        self.exchange = exchange
        self._body: List[bytes] = []
        self._has_ended = has_no_body

    def body(self, data: bytes, is_last: bool) -> None:
        """A part of the request's body."""
        if data:
            self._body.append(data)
            self._asked -= len(data)
        self._has_ended = self._has_ended or is_last
        self.wake()

    def ask(self) -> None:
        """Has more of the body come, unless it was asked for."""
        if self._asked <= 0 and not self._has_ended:
            self._asked += WINDOW
            self.exchange.want(WINDOW)

    async def receive(self) -> Dict[str, Any]:
        """http.request, and http.disconnect when there is nothing more to tell."""
        while True:
            if self._body or (self._has_ended and not self._has_told):
                data = b"".join(self._body)
                self._body.clear()
                self._has_told = self._has_ended
                self.ask()
                return {"type": "http.request", "body": data, "more_body": not self._has_ended}
            if self.is_gone or self.is_over:
                return {"type": "http.disconnect"}
            self.ask()
            await self._wait()

    async def send(self, message: Dict[str, Any]) -> None:
        """http.response.start and http.response.body."""
        kind = message["type"]
        if kind == "http.response.start":
            if self._head is not None:
                raise RuntimeError("http.response.start was sent twice")
            self._head = (int(message["status"]), message.get("headers", ()))
        elif kind == "http.response.body":
            await self._send_body(message.get("body", b""), message.get("more_body", False))
        else:
            raise RuntimeError("unexpected message %r to an HTTP request" % kind)

    async def _send_body(self, data: bytes, has_more: bool) -> None:
        if self._head is None or self.is_over:
            raise RuntimeError("http.response.body was sent " + ("after the answer's end" if self.is_over else "before http.response.start"))
        if not has_more:
            self.is_over = True
        if self.is_gone:
            return
        status, headers = self._head
        if not self._has_sent and not has_more:
            self._has_sent = True
            self.exchange.answer(status, headers, data)
            self.wake()
            return
        if not self._has_sent:
            self._has_sent = True
            self.exchange.start(status, headers)
        unsent = self.exchange.put(data)
        if has_more:
            await self._room(unsent)
        else:
            self.exchange.finish()
            self.wake()
            self.drained()  # another task's part may have waited for room: there will be no more

    def fail(self, text: str) -> None:
        """The application raised, or ended without an answer."""
        if not self._has_sent and not self.is_gone:
            self.exchange.answer(500, [(b"content-type", b"text/plain; charset=utf-8")], text.encode())
        self.is_over = True


class _WebSocket(_Exchange):
    def __init__(self, server: "_Server", exchange: Any) -> None:
        super().__init__(server, exchange)
        self._messages: Deque[Dict[str, Any]] = deque([{"type": "websocket.connect"}])
        self._has_asked = False
        self._is_accepted = False
        self._has_told = False

    def message(self, data: Any) -> None:
        """A whole message."""
        self._messages.append({"type": "websocket.receive", "text": data} if isinstance(data, str) else {"type": "websocket.receive", "bytes": data})
        self._has_asked = False
        self.wake()

    def closed(self, code: int, reason: str) -> None:
        """By the client, or for good."""
        self._messages.append({"type": "websocket.disconnect", "code": code, "reason": reason})
        self.is_gone = True
        self.wake()
        self.drained()

    def gone(self) -> None:
        if not self.is_gone:
            self.closed(1006, "")

    async def receive(self) -> Dict[str, Any]:
        """The next message."""
        while not self._messages:
            if self._has_told or self.is_over:
                return {"type": "websocket.disconnect", "code": 1006, "reason": ""}
            if not self._has_asked:
                self._has_asked = True
                self.exchange.want(1)
            await self._wait()
        message = self._messages.popleft()
        self._has_told = self._has_told or message["type"] == "websocket.disconnect"
        return message

    async def send(self, message: Dict[str, Any]) -> None:
        """websocket.accept, websocket.send and websocket.close."""
        kind = message["type"]
        if kind == "websocket.accept":
            if self._is_accepted:
                raise RuntimeError("websocket.accept was sent twice")
            self._is_accepted = True
            self.exchange.accept(message.get("subprotocol"), message.get("headers") or ())
        elif kind == "websocket.close":
            self.is_over = True
            self.exchange.close(message.get("code", 1000), message.get("reason") or "")
            self.wake()
        elif kind == "websocket.send":
            if not self._is_accepted or self.is_over:
                raise RuntimeError("websocket.send was sent " + ("after websocket.close" if self.is_over else "before websocket.accept"))
            data = message.get("bytes")
            if not self.is_gone:
                await self._room(self.exchange.message(message["text"] if data is None else data))
        else:
            raise RuntimeError("unexpected message %r to a WebSocket" % kind)

    def fail(self, text: str) -> None:
        """The application raised, or ended without a word."""
        if not self.is_over and not self.is_gone:
            self.exchange.close(1011 if self._is_accepted else 1000, "")
        self.is_over = True

    def stop(self) -> None:
        """The server goes away."""
        if not self.is_over and not self.is_gone and self._is_accepted:
            self.exchange.close(1012, "the server stops")
            self.closed(1012, "the server stops")


class Lifespan:
    """The application's startup and shutdown, when it has them."""

    def __init__(self, app: Callable[..., Any], state: Dict[str, Any]) -> None:
        self._app, self._state = app, state
        self._events: "asyncio.Queue[Dict[str, str]]" = asyncio.Queue()
        self._task: Optional[asyncio.Task] = None
        self._answer: Optional[asyncio.Future] = None
        self._is_supported = True

    async def _send(self, message: Dict[str, Any]) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_result(message)

    async def _run(self) -> None:
        scope = {"type": "lifespan", "asgi": {"version": "3.0", "spec_version": "2.0"}, "state": self._state}
        try:
            await self._app(scope, self._events.get, self._send)
        finally:
            if self._answer is not None and not self._answer.done():
                self._answer.set_result(None)

    async def _ask(self, event: str) -> Optional[Dict[str, Any]]:
        self._answer = asyncio.get_running_loop().create_future()
        self._events.put_nowait({"type": event})
        if self._task is None:
            self._task = asyncio.ensure_future(self._run())
        return await self._answer

    async def startup(self) -> None:
        """RuntimeError with the application's words when it failed."""
        answer = await self._ask("lifespan.startup")
        if answer is None:  # it ended, or raised, without an answer: it has no lifespan
            self._is_supported = False
            assert self._task is not None
            await asyncio.wait([self._task])
            error = self._task.exception()
            if error is not None:
                _log.debug("the application has no lifespan: %s", error)
        elif answer["type"] == "lifespan.startup.failed":
            raise RuntimeError("the application's startup failed: %s" % (answer.get("message") or "it does not say why"))

    async def shutdown(self) -> None:
        """Failures go to the log."""
        if not self._is_supported:
            return
        answer = await self._ask("lifespan.shutdown")
        if answer and answer["type"] == "lifespan.shutdown.failed":
            _log.error("the application's shutdown failed: %s", answer.get("message"))
        assert self._task is not None
        await asyncio.wait([self._task], timeout=5)


class _Server:
    def __init__(self, app: Callable[..., Any], options: Dict[str, Any], loop: asyncio.AbstractEventLoop) -> None:
        self.app, self.loop = app, loop
        self.state: Dict[str, Any] = {}
        self.expose_errors = bool(options.get("expose_errors"))
        self.host = _hythe.Host(app=("events",), **{**options, "threads": 1, "driven": True})
        self.open: Dict[Any, Any] = {}  # by their exchange
        self.stopped = loop.create_future()
        self.ended = loop.create_future()

    def pump(self) -> None:
        """Runs the server, and takes what has happened."""
        if not self.host.turn() and not self.ended.done():
            self.ended.set_result(None)
        for kind, exchange, data, is_last, code in _hythe.events(self.host):
            if kind == _REQUEST:
                self._begin(exchange, bool(is_last))
                continue
            if kind == _STOP:
                if not self.stopped.done():
                    self.stopped.set_result(None)
                continue
            one = self.open.get(exchange)
            if one is None:
                continue
            if kind == _BODY:
                one.body(data, bool(is_last))
            elif kind == _WRITABLE:
                one.drained()
            elif kind == _GONE:
                one.gone()
            elif kind == _CLOSED:
                one.closed(code, data)
            else:
                one.message(data)

    def _begin(self, exchange: Any, has_no_body: bool) -> None:
        scope = exchange.scope(_HTTP)
        scope["state"] = self.state.copy()
        if exchange.is_websocket:
            asked = [v for k, v in scope["headers"] if k == b"sec-websocket-protocol"]
            scope["subprotocols"] = [name.strip() for line in asked for name in line.decode("latin-1").split(",")]
            one: Any = _WebSocket(self, exchange)
        else:
            one = _Http(self, exchange, has_no_body)
            one.ask()  # ahead of the application: most bodies are small
        self.open[exchange] = one
        one.task = self.loop.create_task(self._run(one, scope))

    async def _run(self, one: Any, scope: Dict[str, Any]) -> None:
        text = "Internal Server Error\n"
        try:
            result = await self.app(scope, one.receive, one.send)
            if result is not None:
                _log.error("request %s: the application returned %r, where it should return nothing", one.exchange.id, result)
            if not one.is_over and not one.is_gone:
                if not isinstance(one, _WebSocket):
                    _log.error("request %s: the application ended without a whole answer", one.exchange.id)
                one.fail(text)
        except asyncio.CancelledError:
            one.fail(text)
            raise
        except BaseException as error:
            _log.error("request %s: the application failed", one.exchange.id, exc_info=error)
            one.fail(repr(error) + "\n" if self.expose_errors else text)
            if isinstance(error, (SystemExit, KeyboardInterrupt)):
                raise
        finally:
            exchange = one.exchange
            del self.open[exchange]
            exchange.release()
            one.task = None

    async def serve(self, ready: Optional[Callable[[Any, int], None]]) -> None:
        """From start to end."""
        lifespan = Lifespan(self.app, self.state)
        await lifespan.startup()
        self.host.start()
        fd = self.host.fd()
        self.loop.add_reader(fd, self.pump)
        for number in (signal.SIGTERM, signal.SIGINT):
            if signal.getsignal(number) is not signal.SIG_IGN:
                self.loop.add_signal_handler(number, self.host.stop)
        if ready:
            ready(self.host, SLOTS)
        await self.stopped
        for one in list(self.open.values()):
            if isinstance(one, _WebSocket):
                one.stop()
        await self.ended
        self.loop.remove_reader(fd)
        tasks = [one.task for one in self.open.values() if one.task is not None]
        if tasks:
            await asyncio.wait(tasks, timeout=5)
        await lifespan.shutdown()


def _new_loop() -> asyncio.AbstractEventLoop:
    try:
        import uvloop  # type: ignore[import-not-found]
    except ImportError:
        return asyncio.new_event_loop()
    return uvloop.new_event_loop()


def serve(app: Callable[..., Any], options: Dict[str, Any], ready: Optional[Callable[[Any, int], None]] = None) -> None:
    """Serves until the host has ended. `options` are arguments of hythe._hythe.Host."""
    loop = _new_loop()
    asyncio.set_event_loop(loop)

    async def main() -> None:
        await _Server(app, options, loop).serve(ready)

    try:
        loop.run_until_complete(main())
        loop.run_until_complete(loop.shutdown_asyncgens())
    finally:
        asyncio.set_event_loop(None)
        loop.close()
