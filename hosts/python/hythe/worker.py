# SPDX-License-Identifier: Apache-2.0
"""`python -m hythe.worker TARGET`: loads a user's code and serves it.

Started by `hythe serve` with descriptors in its environment it is one of the workers behind that program, or the process that forks
them. With --listen it serves by itself.

Applications are served by `hythe.wsgi.serve(app, options, ready)` and `hythe.asgi.serve(app, options, ready)`, which return when the host has
ended: `options` are arguments for hythe._hythe.Host besides `app`, and `ready(host, slots)` is to be called once it takes requests, so many
at once.
"""
import argparse
import faulthandler
import logging
import os
import signal
import sys
import traceback
from typing import Any, Callable, Dict, List, Optional

_log = logging.getLogger("hythe.worker")

SELDON_LOG_FORMAT = "%(asctime)s - %(name)s:%(funcName)s:%(lineno)s - %(levelname)s:  %(message)s"


def parse_arguments(arguments: Optional[List[str]] = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m hythe.worker", description="Serves a Python class, application or pickled model.")
    parser.add_argument("target", help="file.py, module:attribute, module.Class, a folder, or model.joblib")
    parser.add_argument("--kind", choices=("auto", "seldon", "wsgi", "asgi", "sklearn"), default="auto", help="what the target is (default: found out)")
    parser.add_argument("--threads", type=int, default=1, metavar="N", help="requests at once (default 1)")
    parser.add_argument("--parameters", metavar="JSON", default=os.environ.get("PREDICTIVE_UNIT_PARAMETERS", "[]"), help="arguments of the class")
    parser.add_argument("--name", help="of the model")
    parser.add_argument("--set", dest="settings", action="append", default=[], metavar="NAME=VALUE", help="a limit or switch of the server")
    parser.add_argument("--trust", metavar="USER", help="load pickled models of this user's too")
    parser.add_argument("--expose-errors", action="store_true", help="send tracebacks to clients")
    parser.add_argument("--listen", action="append", default=[], metavar="ADDRESS", help="serve by itself on this address")
    parser.add_argument("--custom-service", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args(arguments)
    args.settings = dict(_pair(parser, text) for text in args.settings)
    return args


def _pair(parser: argparse.ArgumentParser, text: str) -> tuple:
    name, equals, value = text.partition("=")
    if not equals:
        parser.error("--set %s: expected NAME=VALUE" % text)
    return name, value


# ---- the process ----


def set_thread_counts() -> None:
    """The cores that are this worker's, for numeric libraries: they read it when they are imported."""
    cores = os.environ.get("HYTHE_CORES")
    if cores:
        for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
            os.environ.setdefault(name, cores)


def set_up_logging() -> None:
    """hythe's own lines to standard error; the root logger is the user's, but where Seldon's wrapper would have set it up."""
    if os.environ.get("HYTHE_SELDON_LOG"):
        level = getattr(logging, os.environ["HYTHE_SELDON_LOG"], logging.INFO)
        logging.basicConfig(level=level, format=SELDON_LOG_FORMAT)
        return
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    logger = logging.getLogger("hythe")
    logger.addHandler(handler)
    levels = {"error": logging.ERROR, "warn": logging.WARNING, "debug": logging.DEBUG}
    logger.setLevel(levels.get(os.environ.get("HYTHE_LOG_LEVEL", ""), logging.INFO))
    logger.propagate = False


def set_up_path() -> None:
    """Modules in the current folder first, and `import seldon_core` works."""
    from . import compat

    here = os.getcwd()
    sys.path[:] = [here] + [p for p in sys.path if p not in ("", here)]
    compat.add_path()


# ---- what is served ----


class Service:
    """The loaded target, until it is served."""

    def __init__(self, args: argparse.Namespace) -> None:
        from . import loading, parameters

        self.args = args
        self.loaded = loading.load(args.target, args.kind, parameters.parse(args.parameters), args.trust)
        self.component: Any = None
        self._is_loaded = False
        if self.loaded.kind == loading.SELDON:
            from .seldon import Component

            self.component = Component(self.loaded.object)

    def load(self) -> None:
        """The component's load(), once."""
        if self.component is not None and not self._is_loaded:
            self._is_loaded = True
            self.component.load()

    @property
    def kind(self) -> str:
        """For the front."""
        return "component" if self.component is not None else self.loaded.kind

    @property
    def is_driven(self) -> bool:
        """The main thread serves."""
        return self.args.threads == 1 or self.kind == "asgi"

    def serve(self, options: Dict[str, Any], ready: Callable[[Any, int], None]) -> None:
        """Until the host has ended."""
        options = {**options, "threads": self.args.threads, "kind": self.loaded.text, "name": self.args.name or self.loaded.name, "settings": self.args.settings}
        if self.loaded.kind == "wsgi":
            from . import wsgi

            wsgi.serve(self.loaded.object, options, ready)
        elif self.loaded.kind == "asgi":
            from . import asgi

            asgi.serve(self.loaded.object, options, ready)
        else:
            self._serve_component(options, ready)

    def _serve_component(self, options: Dict[str, Any], ready: Callable[[Any, int], None]) -> None:
        from ._hythe import Host

        self.load()
        component = self.component
        host = Host(
            call=component.call,
            platform="python",
            feature_names=component.feature_names(),
            class_names=component.class_names(),
            expose_errors=self.args.expose_errors,
            driven=self.is_driven,
            **options,
        )
        host.start()
        ready(host, self.args.threads)
        if callable(getattr(self.loaded.object, "custom_service", None)):
            from . import custom

            custom.keep(self.args)
        if self.is_driven:
            host.run()
        else:
            host.wait()


# ---- the three ways to run ----


def _serve_behind(front: Any, service: Service) -> int:
    from .process import stop_on

    said: List[bool] = []

    def ready(host: Any, slots: int) -> None:
        said.append(True)
        if service.kind != "asgi":  # whose event loop takes signals itself
            stop_on((signal.SIGTERM,), host, service.is_driven)
        front.ready(service.kind, slots, service.loaded.text)

    try:
        service.serve({"adopt_fd": front.channel_fd}, ready)
    except BaseException as error:
        if not said:
            front.failed(error)
            return 1
        raise
    return 0


def run_worker(front: Any, args: argparse.Namespace) -> int:
    """A worker of its own."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group: the front decides what it means
    try:
        service = Service(args)
    except BaseException as error:
        front.failed(error)
        return 1
    return _serve_behind(front, service)


def run_nursery(nursery: Any, args: argparse.Namespace) -> int:
    """Loads once, then forks workers."""
    import threading

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        service = Service(args)
        if os.environ.get("HYTHE_LOAD") != "worker":
            service.load()
    except BaseException as error:
        nursery.failed(error)
        return 1
    if threading.active_count() > 1:
        others = ", ".join(t.name for t in threading.enumerate() if t is not threading.main_thread())
        _log.warning("the code started threads while it was loaded (%s): they are not in the forked workers; without --preload they are", others)
    if service.component is not None:
        from . import _hythe  # noqa: F401  shared by those who are forked
    try:
        front = nursery.run()
    except BaseException:  # threads of the code must not keep a process that forks no more: the one in front waits for its end
        traceback.print_exc()
        os._exit(1)
    return 0 if front is None else _serve_behind(front, service)


def run_alone(args: argparse.Namespace) -> int:
    """Listens itself, in one process."""
    from .process import stop_on

    service = Service(args)

    def ready(host: Any, slots: int) -> None:
        if service.kind != "asgi":
            stop_on((signal.SIGTERM, signal.SIGINT), host, service.is_driven)
        for i in range(len(args.listen)):
            address = host.address(i)
            print("hythe serves %s on %s" % (service.loaded.text, address if address.startswith("unix:") else "http://" + address), flush=True)

    service.serve({"addresses": args.listen}, ready)
    return 0


def main(arguments: Optional[List[str]] = None) -> int:
    """The exit code."""
    args = parse_arguments(arguments)
    set_thread_counts()
    faulthandler.enable()
    set_up_logging()
    set_up_path()
    if args.custom_service:
        from . import custom

        return custom.run(Service(args))
    from .process import Front, Nursery

    nursery, front = Nursery.of_environment(), Front.of_environment()
    os.environ["HYTHE_FRONT_PID"] = str(os.getppid() if nursery or front else os.getpid())
    if nursery is not None:
        return run_nursery(nursery, args)
    if front is not None:
        return run_worker(front, args)
    if not args.listen:
        print("python -m hythe.worker: --listen ADDRESS is needed (`hythe serve TARGET` starts workers of its own)", file=sys.stderr)
        return 2
    try:
        return run_alone(args)
    except Exception as error:
        if getattr(error, "is_for_people", False):
            print("python -m hythe.worker: %s" % error, file=sys.stderr)
        else:
            traceback.print_exc()
        return 1


if __name__ == "__main__":
    sys.exit(main())
