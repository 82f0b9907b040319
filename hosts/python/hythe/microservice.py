# SPDX-License-Identifier: Apache-2.0
"""The command `seldon-core-microservice`: its flags, environment and ports, with hythe as the server.

It reads what Seldon's wrapper reads, and becomes `hythe serve`. REST and gRPC are answered on each of the ports, so images made for older wrappers,
with one port and the API's type as a second argument, work as they are.
"""
import argparse
import json
import logging
import os
import sys
from typing import Dict, List, Optional, Tuple

from . import parameters
from .program import find_program

logger = logging.getLogger("seldon_core.microservice")

LOG_FORMAT = "%(asctime)s - %(name)s:%(funcName)s:%(lineno)s - %(levelname)s:  %(message)s"
ANNOTATIONS_FILE = "/etc/podinfo/annotations"
REST_TIMEOUT_S = 5000
OLD_PORT = "5000"
_LEVELS = {"DEBUG": "debug", "INFO": "info", "WARNING": "warn", "ERROR": "error", "CRITICAL": "error"}
_APIS = ("REST", "GRPC")


def _number(name: str, default: int) -> int:
    text = os.environ.get(name, "")
    try:
        return int(text or default)
    except ValueError:
        sys.exit("%s: '%s' is not a number" % (name, text))


def _switch(name: str) -> bool:
    return os.environ.get(name, "").lower() in ("1", "true", "t")


def parse_arguments(arguments: Optional[List[str]] = None) -> Tuple[argparse.Namespace, List[str]]:
    """Flags with their environment variables as defaults, and the arguments that are none of them."""
    parser = argparse.ArgumentParser(prog="seldon-core-microservice")
    add = parser.add_argument
    add("interface_name", help="Class (of the module of that name), or module.Class")
    add("--service-type", choices=["MODEL", "ROUTER", "TRANSFORMER", "COMBINER", "OUTLIER_DETECTOR"], default="MODEL",
        help="no effect: every method has its endpoint")
    add("--persistence", nargs="?", type=int, default=0, const=1, help="ignored")
    add("--parameters", default=os.environ.get("PREDICTIVE_UNIT_PARAMETERS", "[]"), help="JSON: typed arguments of the class")
    add("--log-level", choices=["DEBUG", "INFO", "WARNING", "ERROR"], default="INFO")
    add("--debug", nargs="?", type=bool, default=_switch("SELDON_DEBUG"), const=True, help="log more")
    add("--tracing", nargs="?", type=int, default=_number("TRACING", 0), const=1, help="ignored")
    add("--workers", type=int, default=_number("GUNICORN_WORKERS", 1), metavar="N", help="processes")
    add("--threads", type=int, default=_number("GUNICORN_THREADS", 1), metavar="N", help="requests at once in each")
    add("--max-requests", type=int, default=_number("GUNICORN_MAX_REQUESTS", 0), metavar="N", help="after which a process is replaced")
    add("--max-requests-jitter", type=int, default=_number("GUNICORN_MAX_REQUESTS_JITTER", 0), metavar="N")
    add("--keepalive", type=int, default=_number("GUNICORN_KEEPALIVE", 2), metavar="S", help="ignored: idle connections are kept")
    add("--single-threaded", type=int, default=_number("FLASK_SINGLE_THREADED", 0))
    add("--http-port", type=int, default=_number("PREDICTIVE_UNIT_HTTP_SERVICE_PORT", 9000))
    add("--grpc-port", type=int, default=_number("PREDICTIVE_UNIT_GRPC_SERVICE_PORT", 5000))
    add("--metrics-port", type=int, default=_number("PREDICTIVE_UNIT_METRICS_SERVICE_PORT", 6000))
    add("--pidfile", help="file for the process id")
    add("--access-log", nargs="?", type=bool, default=_switch("GUNICORN_ACCESS_LOG"), const=True, help="a line for each request")
    add("--grpc-threads", type=int, default=_number("GRPC_THREADS", 1), metavar="N")
    add("--grpc-workers", type=int, default=_number("GRPC_WORKERS", 1), metavar="N", help="0: no port for gRPC; processes serve both")
    return parser.parse_known_args(arguments)


def read_annotations(path: str = ANNOTATIONS_FILE) -> Dict[str, str]:
    """Lines of key="value", as Kubernetes writes them for a pod; {} where there is no such file."""
    found: Dict[str, str] = {}
    try:
        with open(path) as file:
            for line in file:
                key, equals, value = line.strip().partition("=")
                if equals:
                    found[key.strip()] = value.strip()[1:-1]
                    logger.info("Found annotation %s:%s ", key, value)
                elif key:
                    logger.info("Bad annotation [%s]", line.rstrip())
    except FileNotFoundError:
        pass
    except OSError as error:
        logger.error("Failed to open annotations file %s: %s", path, error)
    return found


def _annotated_number(annotations: Dict[str, str], key: str) -> Optional[int]:
    text = annotations.get(key)
    if text is None:
        return None
    if not text.isdigit():
        logger.error("annotation %s: '%s' is not a number: ignored", key, text)
        return None
    return int(text)


def _target(interface_name: str) -> str:
    module, dot, name = interface_name.rpartition(".")
    return "%s:%s" % (module if dot else name, name)


def _ports(args: argparse.Namespace, api: Optional[str]) -> List[int]:
    """http, grpc and metrics, each once. One port of an older image is that of the API it names."""
    http, grpc = args.http_port, args.grpc_port
    old = os.environ.get("PREDICTIVE_UNIT_SERVICE_PORT", OLD_PORT if api else "")
    extra = [int(old)] if old.isdigit() and (api or "PREDICTIVE_UNIT_HTTP_SERVICE_PORT" not in os.environ) else []
    ports = [http] + ([grpc] if args.grpc_workers > 0 else []) + [args.metrics_port] + extra
    return list(dict.fromkeys(ports))


def command(args: argparse.Namespace, program: str, api: Optional[str], annotations: Dict[str, str]) -> List[str]:
    """The arguments of `hythe serve`."""
    timeout_ms = _annotated_number(annotations, "seldon.io/rest-timeout")
    timeout_s = REST_TIMEOUT_S if timeout_ms is None else max(timeout_ms // 1000, 1)
    message_bytes = _annotated_number(annotations, "seldon.io/grpc-max-message-size")
    out = [program, "serve", _target(args.interface_name), "--python", sys.executable]
    for port in _ports(args, api):
        out += ["--listen", "0.0.0.0:%d" % port]
    out += ["--workers", str(args.workers), "--threads", str(1 if args.single_threaded else args.threads), "--timeout", "%ds" % timeout_s,
            "--parameters", args.parameters, "--log-level", _LEVELS[_log_level(args)]]
    if args.max_requests:
        out += ["--max-requests", str(args.max_requests), "--max-requests-jitter", str(args.max_requests_jitter)]
    if args.workers > 1:
        out.append("--preload")
    if message_bytes:
        out += ["--max-body-bytes", str(message_bytes), "--max-answer-bytes", str(message_bytes)]
    if args.access_log:
        out += ["--access-log", "text"]
    if args.pidfile:
        out += ["--pidfile", args.pidfile]
    metrics_path = os.environ.get("PREDICTIVE_UNIT_METRICS_ENDPOINT", "/metrics")
    if metrics_path != "/metrics":
        out += ["--metrics-path", metrics_path]
    return out


def _log_level(args: argparse.Namespace) -> str:
    return "DEBUG" if args.debug else os.environ.get("SELDON_LOG_LEVEL", args.log_level)


def main(arguments: Optional[List[str]] = None) -> None:
    """Does not return: this process becomes `hythe serve`, or exits."""
    logging.basicConfig(level=logging.INFO, format=LOG_FORMAT)
    logger.info("Starting microservice.py:main")
    args, rest = parse_arguments(arguments)
    api = rest.pop(0).upper() if rest and rest[0].upper() in _APIS else None
    if rest:
        logger.error("Unknown args %s. Note since 1.5.0 this CLI does not take API type (REST, GRPC)", rest)
        sys.exit(-1)
    if api:
        logger.warning("API type %s: both REST and GRPC are served, on every port", api)
    if _log_level(args) not in _LEVELS:
        logger.error("Invalid log level: %s", _log_level(args))
        sys.exit(1)
    try:
        parameters.parse(args.parameters)
    except parameters.ParameterError as error:
        logger.error("%s (%s)", error, error.reason)
        sys.exit(1)
    annotations = read_annotations()
    logger.info("Annotations: %s", annotations)
    if args.persistence:
        logger.error("Persistence: ignored, persistence is deprecated")
    if args.tracing:
        logger.error("Tracing: ignored, there is none yet")
    program = find_program()
    if not program:
        logger.error("There is no program hythe beside %s or in PATH; HYTHE_PROGRAM can name it", sys.executable)
        sys.exit(1)
    logger.info("Importing %s", args.interface_name)
    logger.info("REST microservice running on port %i", args.http_port)
    if args.grpc_workers > 0:
        logger.info("GRPC microservice running on port %i", args.grpc_port)
    logger.info("REST metrics microservice running on port %i", args.metrics_port)
    line = command(args, program, api, annotations)
    logger.debug("%s", json.dumps(line))
    os.environ["HYTHE_SELDON_LOG"] = _log_level(args)
    os.environ["HYTHE_LOAD"] = "worker"  # __init__ once, load() in each process
    sys.stdout.flush()
    sys.stderr.flush()
    try:
        os.execv(program, line)
    except OSError as error:
        logger.error("cannot run %s: %s", program, error)
        sys.exit(1)


if __name__ == "__main__":
    main()
