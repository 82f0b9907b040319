# SPDX-License-Identifier: Apache-2.0
"""Messages between JSON, protobuf and numpy, and the environment."""
import os
from typing import Any, Dict, Iterable, List, Optional, Union


def getenv(*env_vars: str, default: Optional[str] = None) -> Optional[str]:
    """The first of these variables that is set."""
    return next((os.environ[name] for name in env_vars if name in os.environ), default)


def getenv_as_bool(*env_vars: str, default: Any = False) -> Any:
    """The first that is set, as a switch: 1, true, t."""
    value = getenv(*env_vars)
    return default if value is None else value.lower() in ("1", "true", "t")


def json_to_seldon_message(message_json: Optional[Union[List, Dict]]) -> Any:
    """A SeldonMessage of a dict."""
    from google.protobuf import json_format

    from .proto import prediction_pb2

    return json_format.ParseDict(message_json or {}, prediction_pb2.SeldonMessage())


def json_to_feedback(message_json: Dict) -> Any:
    """A Feedback of a dict."""
    from google.protobuf import json_format

    from .flask_utils import SeldonMicroserviceException
    from .proto import prediction_pb2

    try:
        return json_format.ParseDict(message_json, prediction_pb2.Feedback())
    except json_format.ParseError as error:
        raise SeldonMicroserviceException("Invalid JSON: %s" % error)


def json_to_seldon_messages(message_json: Dict) -> Any:
    """A SeldonMessageList of a dict."""
    from google.protobuf import json_format

    from .proto import prediction_pb2

    return json_format.ParseDict(message_json, prediction_pb2.SeldonMessageList())


def seldon_message_to_json(message_proto: Any) -> Dict:
    """A dict of a message."""
    from google.protobuf import json_format

    return json_format.MessageToDict(message_proto)


seldon_messages_to_json = seldon_message_to_json
feedback_to_json = seldon_message_to_json


def array_to_rest_datadef(data_type: str, array: Any, names: Optional[Iterable[str]] = None) -> Dict:
    """The `data` of a message: data_type is tensor or ndarray."""
    datadef: Dict[str, Any] = {"names": list(names or [])}
    if data_type == "tensor":
        datadef["tensor"] = {"shape": list(array.shape), "values": array.ravel().tolist()}
    else:
        datadef["ndarray"] = array.tolist()
    return datadef


def array_to_grpc_datadef(data_type: str, array: Any, names: Optional[Iterable[str]] = None) -> Any:
    """The same as a DefaultData message."""
    from google.protobuf import json_format

    from .proto import prediction_pb2

    if data_type == "tensor":
        tensor = prediction_pb2.Tensor(shape=array.shape, values=array.ravel().tolist())
        return prediction_pb2.DefaultData(names=names, tensor=tensor)
    datadef = prediction_pb2.DefaultData(names=names)
    json_format.ParseDict(array.tolist(), datadef.ndarray)
    return datadef


def grpc_datadef_to_array(datadef: Any) -> Any:
    """The numpy array of a DefaultData message with a tensor or an ndarray; an empty one when it has neither."""
    import numpy
    from google.protobuf import json_format

    kind = datadef.WhichOneof("data_oneof")
    if kind == "tensor":
        return numpy.array(datadef.tensor.values).reshape(tuple(datadef.tensor.shape))
    if kind == "ndarray":
        return numpy.array(json_format.MessageToDict(datadef.ndarray))
    if kind == "tftensor":
        import tensorflow

        return tensorflow.make_ndarray(datadef.tftensor)
    return numpy.array([])


def get_data_from_proto(request: Any) -> Any:
    """What a method is given of a SeldonMessage: an array, bytes, text, or parsed JSON."""
    from google.protobuf import json_format

    from .flask_utils import SeldonMicroserviceException

    kind = request.WhichOneof("data_oneof")
    if kind == "data":
        return grpc_datadef_to_array(request.data)
    if kind == "jsonData":
        return json_format.MessageToDict(request.jsonData)
    if kind is None:
        raise SeldonMicroserviceException("Unknown data in SeldonMessage")
    return getattr(request, kind)


def get_meta_from_proto(request: Any) -> Dict:
    """The meta of a SeldonMessage as a dict."""
    return seldon_message_to_json(request.meta)
