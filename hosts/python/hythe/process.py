# SPDX-License-Identifier: Apache-2.0
"""How a worker process talks to the hythe in front of it (src/workers/workers.h), and how a nursery forks workers."""
import array
import gc
import json
import os
import select
import signal
import socket
import sys
import threading
import traceback
from typing import Any, Dict, Optional, Set, Tuple

_TRACEBACK_MOST = 8 * 1024  # characters; what stands last is what matters


def _of_user(trace: Any) -> Any:
    """The traceback from the first line of the user's code on."""
    here = os.path.dirname(os.path.abspath(__file__)) + os.sep
    start = trace
    while start is not None and start.tb_frame.f_code.co_filename.startswith((here, "<frozen importlib")):
        start = start.tb_next
    return start or trace


def failure(error: BaseException) -> Dict[str, str]:
    """What the front is told of an error: it prints the one line, and the traceback in its log."""
    if getattr(error, "is_for_people", False):  # of this package: the line says it all
        return {"state": "failed", "error": str(error)[:2048], "traceback": ""}
    text = "".join(traceback.format_exception(type(error), error, _of_user(error.__traceback__)))
    return {"state": "failed", "error": ("%s: %s" % (type(error).__name__, error))[:2048], "traceback": text[-_TRACEBACK_MOST:]}


class Front:
    """The two descriptors of a worker."""

    def __init__(self, channel_fd: int, control_fd: int) -> None:
        self.channel_fd = channel_fd
        self._control_fd = control_fd
        for fd in (channel_fd, control_fd):
            os.set_inheritable(fd, False)  # programs that the user's code starts must not hold them open

    @classmethod
    def of_environment(cls) -> Optional["Front"]:
        """None when no hythe started this process as a worker."""
        channel, control = os.environ.pop("HYTHE_CHANNEL_FD", None), os.environ.pop("HYTHE_CONTROL_FD", None)
        return cls(int(channel), int(control)) if channel and control else None

    def _tell(self, line: Dict[str, Any]) -> None:
        data = json.dumps(line).encode() + b"\n"
        while data:
            try:
                data = data[os.write(self._control_fd, data) :]
            except OSError:  # the front has ended, and with it this process's work
                return

    def ready(self, kind: str, slots: int, text: str) -> None:
        """Requests may come: so many at once."""
        self._tell({"state": "ready", "kind": kind, "slots": slots, "text": text})

    def failed(self, error: BaseException) -> None:
        """It did not start, and why."""
        self._tell(failure(error))


# ---- signals ----


def stop_on(numbers: Tuple[int, ...], host: Any, is_driven: bool) -> None:
    """Stops the host when one of these signals comes, while the main thread is inside a library.

    Python runs handlers on its main thread between instructions, and that one is inside the host. The byte that the
    interpreter writes at once wakes a driven host, whoever runs it just then, and else a thread.
    """
    for number in numbers:
        signal.signal(number, lambda number, frame: host.stop())  # as well: an event loop of the code's takes the byte, and leaves none
    if is_driven:
        signal.set_wakeup_fd(host.signal_fd(), warn_on_full_buffer=False)
        return
    reader, writer = socket.socketpair()
    writer.setblocking(False)
    signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)

    def wait() -> None:
        with reader, writer:
            while True:
                got = reader.recv(1)
                if not got:
                    return
                if got[0] in numbers:
                    host.stop()
                    return

    threading.Thread(target=wait, name="hythe-signals", daemon=True).start()


# ---- the nursery ----


class Nursery:
    """A process that has loaded the user's code, and forks a worker whenever the front sends its descriptors."""

    def __init__(self, fd: int) -> None:
        self._socket = socket.socket(fileno=fd)
        self._socket.setblocking(True)
        os.set_inheritable(fd, False)
        self._children: Set[int] = set()

    @classmethod
    def of_environment(cls) -> Optional["Nursery"]:
        """None when this process is none."""
        fd = os.environ.pop("HYTHE_NURSERY_FD", None)
        return cls(int(fd)) if fd else None

    def _tell(self, line: Dict[str, Any]) -> bool:
        try:
            self._socket.send(json.dumps(line).encode())
        except OSError:
            return False
        return True

    def failed(self, error: BaseException) -> None:
        """The code could not be loaded."""
        self._tell(failure(error))

    def run(self) -> Optional[Front]:
        """In each forked worker: its descriptors. In the nursery: None, when the front has ended."""
        wake_reader, wake_writer = socket.socketpair()
        wake_reader.setblocking(False)
        wake_writer.setblocking(False)
        signal.signal(signal.SIGCHLD, lambda number, frame: None)
        signal.set_wakeup_fd(wake_writer.fileno(), warn_on_full_buffer=False)
        # What is here now is shared with every worker: the collector must not write to it.
        gc.collect()
        gc.freeze()
        if not self._tell({"state": "loaded"}):
            return None
        poll = select.poll()
        poll.register(self._socket, select.POLLIN)
        poll.register(wake_reader, select.POLLIN)
        while True:
            ready = {fd for fd, _ in poll.poll()}
            if wake_reader.fileno() in ready:
                wake_reader.recv(4096)
                self._reap()
            if self._socket.fileno() not in ready:
                continue
            fds = self._receive()
            if fds is None:
                return None
            if len(fds) not in (2, 3):
                _close(fds)
                continue
            sys.stdout.flush()
            sys.stderr.flush()
            pid = os.fork()
            if pid == 0:
                signal.set_wakeup_fd(-1)
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                for end in (wake_reader, wake_writer, self._socket):
                    end.close()
                os.setpgid(0, 0)  # what it starts can be ended with it
                if len(fds) > 2:
                    os.environ["HYTHE_DIRECT_FD"] = str(fds[2])  # for the host, which takes it from there
                return Front(fds[0], fds[1])
            _close(fds)
            self._children.add(pid)
            self._tell({"pid": pid})
            self._reap()

    def _receive(self) -> Optional[list]:
        """The descriptors of one message; None at the front's end."""
        fds = array.array("i")
        try:
            data, ancillary, _, _ = self._socket.recvmsg(16, socket.CMSG_SPACE(3 * fds.itemsize), socket.MSG_CMSG_CLOEXEC)
        except OSError:
            return None
        for level, kind, content in ancillary:
            if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                fds.frombytes(content[: len(content) - len(content) % fds.itemsize])
        if not data:
            _close(fds)
            return None
        return list(fds)

    def _reap(self) -> None:
        for pid in list(self._children):  # only these: the user's code may wait for children of its own
            ended, status = os.waitpid(pid, os.WNOHANG)
            if ended:
                self._children.discard(pid)
                self._tell({"ended": pid, "status": status})


def _close(fds: Any) -> None:
    for fd in fds:
        os.close(fd)
