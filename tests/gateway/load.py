# SPDX-License-Identifier: Apache-2.0
"""A client of HTTP/1.1 that asks all the time and counts every request: what was sent is answered, or is in .failures with why.

It never asks a second time for itself: a connection that ends before its answer is a failure, also one that was kept. Only one that this side left idle for longer may
have been closed by a gateway that ends, which waits for a second (RFC 9112 9.3): what is asked of it then is in .excused.
"""
import collections
import dataclasses
import select
import socket
import threading
import time

ANSWER_MOST_S = 60  # of waiting for bytes
IDLE_S = 0.5  # more than any load rests by itself
LOOK_MS = 50


@dataclasses.dataclass
class Failure:
    at: float
    what: str  # "503: no endpoint is ready", "reset before an answer", ...
    method: str


class Unanswered(ConnectionError):
    """Ended before the first byte of an answer."""


class LeftIdle(ConnectionError):
    """The same, and it may have been closed before it was asked."""


class Load:
    """`addresses`: [(host, port)], the clients take turns. `rate`: requests a second of all together; None: as fast as they are answered.
    is_kept: a connection has one request after the other; else each has one of its own."""

    def __init__(self, addresses, clients=8, rate=None, method="GET", path="/", headers=(), body=b"", is_kept=True):
        self.addresses, self.rate, self.method, self.clients, self.is_kept = addresses, rate, method, clients, is_kept
        length = f"Content-Length: {len(body)}\r\n" if body or method == "POST" else ""
        more = "".join(f"{k}: {v}\r\n" for k, v in headers)
        self.request = f"{method} {path} HTTP/1.1\r\nHost: web\r\n{more}{length}\r\n".encode() + body
        self.lock, self.stopping = threading.Lock(), threading.Event()
        self.answered, self.excused, self.bodies, self.failures = 0, 0, collections.Counter(), []
        self.slowest = 0.0
        self.began = time.monotonic()
        self.threads = [threading.Thread(target=self._run, args=(i,), daemon=True) for i in range(clients)]
        for t in self.threads:
            t.start()

    # ---- one client ----

    def _run(self, index):
        address, connection, since = self.addresses[index % len(self.addresses)], None, 0
        pace = self.clients / self.rate if self.rate else 0
        due = time.monotonic() + pace * index / self.clients
        while not self.stopping.is_set():
            if pace:
                wait, due = due - time.monotonic(), due + pace
                if wait > 0 and self.stopping.wait(wait):
                    break
            begun = time.monotonic()
            try:
                if not connection:
                    connection, since = self.connect(address), time.monotonic()
                status, body, is_last, since = self._exchange(connection, since)
                failed = None if status == 200 else f"{status}: {body[:200].decode(errors='replace')}"
            except LeftIdle:
                connection.close()
                connection = None
                with self.lock:
                    self.excused += 1
                continue
            except OSError as e:
                failed, is_last, body = f"{type(e).__name__}: {e}", True, b""
            if (is_last or not self.is_kept) and connection:
                connection.close()
                connection = None
            self._count(begun, failed, body)
        if connection:
            connection.close()

    def connect(self, address):
        return socket.create_connection(address, timeout=ANSWER_MOST_S)

    def _exchange(self, connection, since):
        """What _answer() gives, and when none of it was there yet. `since` is such a time, too: of the answer before."""
        sent, poll = None, select.poll()
        poll.register(connection, select.POLLIN)
        try:
            connection.sendall(self.request)
            sent = before = time.monotonic()
            while not poll.poll(LOOK_MS) and before - sent < ANSWER_MOST_S:
                before = time.monotonic()
            return *self._answer(connection), before
        except ConnectionError as e:
            if (sent or time.monotonic()) - since > IDLE_S and (not sent or isinstance(e, Unanswered)):
                raise LeftIdle(str(e)) from e
            raise

    def _count(self, begun, failed, body):
        with self.lock:
            self.slowest = max(self.slowest, time.monotonic() - begun)
            if failed:
                self.failures.append(Failure(time.monotonic() - self.began, failed, self.method))
            else:
                self.answered += 1
                self.bodies[body.decode(errors="replace")] += 1

    @staticmethod
    def _answer(connection):
        """(status, body, is it the connection's last); OSError when it is cut short."""
        got = b""
        while b"\r\n\r\n" not in got:
            try:
                got += Load._more(connection, "before an answer" if not got else "in an answer's head")
            except ConnectionError as e:
                raise e if got else Unanswered(str(e)) from e
        head, body = got.split(b"\r\n\r\n", 1)
        lines = head.decode("latin-1").split("\r\n")
        fields = {k.strip().lower(): v.strip() for k, v in (line.split(":", 1) for line in lines[1:])}
        if "content-length" not in fields:
            raise ConnectionError(f"an answer without a length: {lines}")
        length = int(fields["content-length"])
        while len(body) < length:
            body += Load._more(connection, "in an answer's body")
        if len(body) > length:
            raise ConnectionError("more than the answer's length")
        return int(lines[0].split()[1]), body, fields.get("connection", "").lower() == "close"

    @staticmethod
    def _more(connection, where):
        chunk = connection.recv(65536)
        if not chunk:
            raise ConnectionError(f"ended {where}")
        return chunk

    # ---- all ----

    @property
    def count(self):
        with self.lock:
            return self.answered + len(self.failures)

    def stop(self):
        self.stopping.set()
        for t in self.threads:
            t.join(ANSWER_MOST_S + 10)
            assert not t.is_alive(), "a request has no answer"
        self.seconds = time.monotonic() - self.began
        return self

    def versions(self):
        """{first word of the body: answers}"""
        found = collections.Counter()
        with self.lock:
            for body, count in self.bodies.items():
                found[body.split()[0]] += count
        return found

    def told(self):
        kinds = collections.Counter(f.what for f in self.failures)
        return f"{len(self.failures)} of {self.count} failed: " + "; ".join(f"{n} x {what}" for what, n in kinds.most_common(10))
