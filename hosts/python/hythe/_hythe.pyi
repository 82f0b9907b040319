# SPDX-License-Identifier: Apache-2.0
"""hythe's server inside this interpreter: HTTP/1.1, HTTP/2 and gRPC on threads of its own."""
from typing import Any, Callable, Dict, List, Mapping, Optional, Sequence, Tuple, Union

__version__: str

# Call.method
PREDICT: int
TRANSFORM_INPUT: int
TRANSFORM_OUTPUT: int
ROUTE: int
AGGREGATE: int
FEEDBACK: int
HEALTH: int
METADATA: int
METRICS: int

# Kinds of payloads
NOTHING: int
TENSOR: int
NDARRAY: int
TFTENSOR: int
BINARY: int
TEXT: int
JSON: int
CUSTOM: int

class BadReply(ValueError):
    """User code returned what cannot be sent."""

    status_code: int
    reason: str
    app_code: int

class Host:
    """hythe's server in this process. It binds when it is made and serves after start().

    `call` is called with a Call for every request, on up to `threads` threads of the library, and holds the interpreter's lock meanwhile.
    An exception that leaves it is the answer, and its traceback goes to the log with the request's id.
    With `driven` no thread of the library serves: one of yours does, by run(), or an event loop by fd() and turn(); calls are made on it.
    `settings` are the limits and switches of `hythe serve` by the names of its flags: {"max-body-bytes": "64m"}.
    """

    def __init__(
        self,
        addresses: Optional[Sequence[str]] = None,
        adopt_fd: int = 0,
        threads: int = 1,
        name: Optional[str] = None,
        kind: Optional[str] = None,
        platform: Optional[str] = None,
        feature_names: Optional[Sequence[str]] = None,
        class_names: Optional[Sequence[str]] = None,
        settings: Optional[Mapping[str, Any]] = None,
        call: Optional[Callable[["Call"], Any]] = None,
        app: Any = None,
        expose_errors: bool = False,
        driven: bool = False,
    ) -> None: ...
    def start(self) -> None:
        """Serves on threads of its own, and returns; a driven host is ready to be run then."""
    def run(self) -> None:
        """Serves a driven host on this thread until it has ended. Signal handlers run; what they raise ends it, and it may be called again."""
    def fd(self) -> int:
        """Of a driven host: readable when turn() has something to do."""
    def turn(self) -> bool:
        """Does what a driven host has to do, and never waits. False when it has ended."""
    def signal_fd(self) -> int:
        """Of a driven host, for signal.set_wakeup_fd(): SIGTERM and SIGINT stop it."""
    def address(self, index: int = 0) -> str:
        """The address as bound: '127.0.0.1:41233', 'unix:/tmp/x'."""
    def stop(self) -> None:
        """Answers what was accepted and then ends. Any thread; wait() tells when."""
    def wait(self, timeout: Optional[float] = None) -> bool:
        """Until it has ended, or for so many seconds. True when it has ended."""

class Call:
    """A question to user code. It is over when the function returns: then only `is_replied` may be asked."""

    @property
    def method(self) -> int: ...
    @property
    def is_grpc(self) -> bool: ...
    @property
    def is_seldon(self) -> bool:
        """It came as a Seldon message; else V2, V1 or records ask."""
    @property
    def model(self) -> str: ...
    @property
    def id(self) -> str:
        """The request's id: X-Request-Id."""
    @property
    def raw(self) -> bytes:
        """The message as sent: JSON text, or protobuf when is_grpc."""
    @property
    def count(self) -> int:
        """How many payloads there are."""
    @property
    def reward(self) -> float: ...
    @property
    def routing(self) -> Optional[int]:
        """FEEDBACK: the branch this component chose, or None."""
    @property
    def is_replied(self) -> bool: ...
    def payload(self, index: int = 0) -> Tuple[int, Any, List[str], Optional[Dict[str, Any]]]:
        """(kind, value, names, meta) of a message. FEEDBACK has three: request, response, truth.

        Data is a numpy array, writable, that stays valid after the call; binData is bytes, strData str, jsonData what it says.
        """
    def reply(self, value: Any, names: Optional[Sequence[str]] = None, meta: Union[Mapping[str, Any], str, bytes, None] = None, like: int = 0) -> None:
        """Answers with what user code returned: an array, list, str, bytes, dict, one of numpy's numbers, a pandas frame.

        Numbers are sent as `like` when that is a kind of data, else as a tensor; arrays of anything else as an ndarray. Without
        `names` the columns are t:0, t:1 ... BadReply for what cannot be sent.
        """
    def reply_raw(self, message: Union[bytes, str], status: int = 0) -> None:
        """Answers with bytes as they are: JSON, or protobuf when is_grpc. Status 0 is 200."""
    def reply_error(self, status: int = 500, reason: Optional[str] = None, code: int = -1, message: str = "") -> None:
        """Answers with an error."""
    def reply_undefined(self) -> None:
        """Answers as a component that has no such method."""
