# SPDX-License-Identifier: Apache-2.0
"""WSGI applications (PEP 3333) on hythe's server: `serve(app, {"addresses": ["127.0.0.1:8080"], "threads": 4})`.

Requests are taken, and environ is made, in C; the interpreter's lock is held while the application runs.
"""
import logging
import os
import sys
from typing import Any, Callable, Dict, Optional

_log = logging.getLogger("hythe.wsgi")


class FileWrapper:
    """wsgi.file_wrapper: a file in pieces."""

    def __init__(self, file: Any, block_size: int = 65536) -> None:
        self.file = file
        self.block_size = block_size
        if hasattr(file, "close"):
            self.close = file.close

    def __iter__(self) -> "FileWrapper":
        return self

    def __next__(self) -> bytes:
        piece = self.file.read(self.block_size)
        if not piece:
            raise StopIteration
        return piece


def _failed(request_id: str, error: BaseException) -> None:
    if isinstance(error, ConnectionError):
        _log.info("the client went away (request %s)", request_id)
    else:
        _log.error("the application raised (request %s)", request_id, exc_info=(type(error), error, error.__traceback__))


def environ_base(threads: int, is_multiprocess: bool) -> Dict[str, Any]:
    """What every request's environ begins with."""
    return {
        "SCRIPT_NAME": "",
        "SERVER_NAME": "localhost",
        "SERVER_PORT": "80",
        "SERVER_SOFTWARE": "hythe",
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
    from ._hythe import Host

    # A worker behind `hythe serve` may have brothers.
    is_multiprocess = os.environ.get("HYTHE_FRONT_PID", str(os.getpid())) != str(os.getpid())
    return Host(app=("wsgi", app, environ_base(options.get("threads", 1), is_multiprocess), _failed), **options)


def serve(app: Any, options: Optional[Dict[str, Any]] = None, ready: Optional[Callable[[Any, int], None]] = None) -> None:
    """Serves until the host has ended. `ready(host, slots)` is called once it takes requests."""
    options = dict(options or {})
    host = make_host(app, options)
    host.start()
    if ready is not None:
        ready(host, options.get("threads", 1))
    host.wait()
