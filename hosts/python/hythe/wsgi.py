# SPDX-License-Identifier: Apache-2.0
"""WSGI applications (PEP 3333) on hythe's server: `serve(app, {"addresses": ["127.0.0.1:8080"], "threads": 4})`.

Requests are taken, environ is made and the answer is driven in C (the extension module's wsgi.c); the interpreter's lock is held while the
application runs. Here is what that takes from Python.
"""
import io
import logging
import os
import sys
import traceback
from typing import Any, Callable, Dict, Iterator, Optional

from . import _hythe

_log = logging.getLogger("hythe.wsgi")


class FileWrapper:
    """wsgi.file_wrapper: a file of the system's is sent without passing through Python, others in blocks."""

    def __init__(self, filelike: Any, block_size: int = 65536) -> None:
        self.filelike = filelike
        self.block_size = block_size
        if hasattr(filelike, "close"):
            self.close = filelike.close

    def __iter__(self) -> Iterator[bytes]:
        while True:
            block = self.filelike.read(self.block_size)
            if not block:
                return
            yield block


class _Body(io.RawIOBase):
    """A body too large to be there at once, or of unknown length."""

    def __init__(self, exchange: Any) -> None:
        self._exchange = exchange

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self._exchange.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)


def _body_reader(exchange: Any) -> io.BufferedReader:
    return io.BufferedReader(_Body(exchange), 65536)


def _failed(request_id: str, kind: Any, error: Any, trace: Any) -> str:
    _log.error("the application raised (request %s)", request_id, exc_info=(kind, error, trace))
    return "".join(traceback.format_exception(kind, error, trace))


def environ_base(threads: int, is_multiprocess: bool) -> Dict[str, Any]:
    """What every request's environ begins with."""
    return {
        "SCRIPT_NAME": "",
        "SERVER_SOFTWARE": "hythe/" + _hythe.__version__,
        "wsgi.version": (1, 0),
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": threads > 1,
        "wsgi.multiprocess": is_multiprocess,
        "wsgi.run_once": False,
        "wsgi.input_terminated": True,
        "wsgi.file_wrapper": FileWrapper,
    }


def make_host(app: Any, options: Dict[str, Any]) -> Any:
    """A Host for the application; `options` are its other arguments."""
    # A worker behind `hythe serve` may have brothers.
    is_multiprocess = os.environ.get("HYTHE_FRONT_PID", str(os.getpid())) != str(os.getpid())
    base = environ_base(options.get("threads", 1), is_multiprocess)
    return _hythe.Host(app=("wsgi", app, base, _failed, _body_reader, FileWrapper), **options)


def serve(app: Any, options: Optional[Dict[str, Any]] = None, ready: Optional[Callable[[Any, int], None]] = None) -> None:
    """Serves until the host has ended. `ready(host, slots)` is called once it takes requests.

    With one thread that is this one: the application runs here, and a request changes no thread.
    """
    options = dict(options or {})
    threads = options.get("threads", 1)
    host = make_host(app, {**options, "driven": threads == 1})
    host.start()
    if ready is not None:
        ready(host, threads)
    if threads == 1:
        host.run()
    else:
        host.wait()
