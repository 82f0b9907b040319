# SPDX-License-Identifier: Apache-2.0
"""The exception by which a model's code chooses what its client is told."""
from http import HTTPStatus
from typing import Any, Dict, Optional

ANNOTATIONS_FILE = "/etc/podinfo/annotations"
ANNOTATION_GRPC_MAX_MSG_SIZE = "seldon.io/grpc-max-message-size"
ANNOTATION_REST_TIMEOUT = "seldon.io/rest-timeout"
DEFAULT_ANNOTATION_REST_TIMEOUT = 5000  # seconds


class SeldonMicroserviceException(Exception):
    """Raised by a model's code: the client gets this HTTP status, reason and text."""

    status_code: int = HTTPStatus.BAD_REQUEST.value

    def __init__(self, message: str, status_code: Optional[int] = None, payload: Any = None, reason: str = "MICROSERVICE_BAD_DATA") -> None:
        super().__init__(message)
        self.message = message
        self.status_code = self.status_code if status_code is None else status_code
        self.payload = payload
        self.reason = reason

    def to_dict(self) -> Dict[str, Any]:
        """The body of the answer."""
        return {"status": {"status": 1, "info": self.message, "code": -1, "reason": self.reason}}
