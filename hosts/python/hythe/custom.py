# SPDX-License-Identifier: Apache-2.0
"""custom_service() of a component: something of the user's own that runs beside the server, in one process of its own.

There is one however many workers there are: the worker that holds a name in the kernel (an abstract Unix socket's) starts it,
and when that worker has ended the next one does.
"""
import ctypes
import logging
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from typing import Any, List

_log = logging.getLogger(__name__)

_RETRY_S = 0.5
_PR_SET_PDEATHSIG = 1
_PARENT = "HYTHE_CUSTOM_PARENT"
_held: List[Any] = []  # for as long as this process lives


def _front_pid() -> int:
    """The process that all workers have in common, as worker.py tells it."""
    return int(os.environ["HYTHE_FRONT_PID"])


def _hold_name() -> Any:
    """A socket that nobody else has; None while another worker has it."""
    holder = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        holder.bind("\0hythe-custom-service-%d-%d" % (os.getuid(), _front_pid()))
    except OSError:
        holder.close()
        return None
    return holder


def _command(args: Any) -> List[str]:
    command = [sys.executable, "-m", "hythe.worker", "--custom-service", "--kind", args.kind, "--parameters", args.parameters]
    if args.trust:
        command += ["--trust", args.trust]
    return command + [args.target]


def _keep(args: Any) -> None:
    holder = _hold_name()
    while holder is None:
        time.sleep(_RETRY_S)
        holder = _hold_name()
    _held.append(holder)
    # The child has the name as well: it is free again only when both have ended.
    process = subprocess.Popen(_command(args), pass_fds=[holder.fileno()], env={**os.environ, _PARENT: str(os.getpid())})
    _log.info("custom_service() runs in process %d", process.pid)
    code = process.wait()
    if code:
        _log.error("custom_service() ended with %d", code)


def keep(args: Any) -> None:
    """Sees to it that custom_service() runs somewhere, as long as this worker lives."""
    threading.Thread(target=_keep, args=(args,), name="hythe-custom-service", daemon=True).start()


def run(service: Any) -> int:
    """In the process of its own. It ends with the worker that started it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() == int(os.environ[_PARENT]):  # else it had gone before that
        service.loaded.object.custom_service()
    return 0
