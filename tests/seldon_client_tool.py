# SPDX-License-Identifier: Apache-2.0
"""Run by the interpreter that has seldon-core: asks two components the same through its gRPC stubs and its SeldonClient.

    seldon_client_tool.py HOST:PORT HOST:PORT        (gRPC ports)   prints a JSON list of [name, answer, answer]
An answer is ["ok", the message as JSON] or ["error", code, details].
"""
import json
import sys

import grpc
import numpy as np
from google.protobuf import empty_pb2, json_format
from seldon_core.proto import prediction_pb2 as pb
from seldon_core.proto import prediction_pb2_grpc as stubs
from seldon_core.seldon_client import SeldonClient

META = {"puid": "p", "tags": {"q": 1, "own": "x"}, "routing": {"r": 1}, "requestPath": {"z": "i"}, "metrics": [{"key": "old", "type": "GAUGE", "value": 1}]}
ROWS = [[[1, 2]], [[1.5, 2]], [["a", "b"]], [[True, False]], [[1, None]], [1, 2], [], [[]], [[1], [2, 3]], [[[1]]], [{"a": 1}], [[-0.0, 1e300]], [[1, "a"]]]
TEXTS = ["raise", "refuse", "none", "list", "strings", "empty", "booleans", "objects", "float32", "scalar", "cube", "tuple", "int", "uint8", "columns", "response",
         "bad metric", "bytes", "unicode", "hello", ""]


def message(kind, body):
    return json_format.ParseDict(body, kind())


def nd(rows, **more):
    return {"data": {"names": ["a", "b"], "ndarray": rows}, **more}


def tensor(shape, values):
    return {"data": {"tensor": {"shape": shape, "values": values}}}


BODIES = ([{"strData": text} for text in TEXTS] + [nd(rows, **more) for rows in ROWS for more in ({}, {"meta": {"tags": {"in": 1}}})]
          + [tensor([1, 2], [1, 2]), tensor([2], [1.5, 2]), tensor([3, 2], [1, 2]), tensor([0], []), nd([[1, 2]], meta=META), {"jsonData": {"a": [1, 2.5, None]}},
             {"jsonData": [1]}, {"jsonData": 3}, {"jsonData": "s"}, {"binData": "aGVsbG8="}, {}, {"data": {}}, {"meta": {"puid": "p"}}])


def requests():
    message_method = {"Model": ["Predict"], "Seldon": ["Predict"], "Generic": ["TransformInput", "TransformOutput", "Route"], "Router": ["Route"],
                      "Transformer": ["TransformInput"], "OutputTransformer": ["TransformOutput"]}
    for service, methods in message_method.items():
        for method in methods:
            for body in BODIES if service == "Model" else [nd([[1, 2]]), nd([[1, 2]], meta=META), tensor([1, 2], [1, 2]), {"strData": "x"}, {"binData": "aGk="}]:
                yield service, method, message(pb.SeldonMessage, body), str(body)
    for service in ("Combiner", "Generic"):
        for messages in ([nd([[1, 2]], meta=META), nd([[3, 4]], meta={"puid": "q", "tags": {"q": 2, "b": 1}})], [tensor([1, 2], [1, 2])], []):
            yield service, "Aggregate", message(pb.SeldonMessageList, {"seldonMessages": messages}), str(messages)
    for service in ("Model", "Router", "Seldon", "Generic"):
        for body in ({"request": nd([[1, 2]]), "reward": 0.5, "truth": nd([[1]])}, {"request": nd([[1, 2]]), "response": {"meta": {"routing": {"unit": 3}}}, "reward": 1}):
            yield service, "SendFeedback", message(pb.Feedback, body), str(body)
    yield "Model", "Metadata", empty_pb2.Empty(), ""
    yield "Seldon", "ModelMetadata", pb.SeldonModelMetadataRequest(name="n"), ""


def told(call):
    try:
        return ["ok", json_format.MessageToDict(call())]
    except grpc.RpcError as error:
        return ["error", error.code().name, error.details()]


def by_client(address, **arguments):
    feedback = arguments.pop("feedback", None)
    client = SeldonClient(microservice_endpoint=address, transport=arguments.pop("transport"))
    if feedback:
        answer = client.microservice_feedback(message(pb.SeldonMessage, nd([[1, 2]])), pb.SeldonMessage(), 0.5)
    else:
        answer = client.microservice(**arguments)
    response = answer.response
    return ["ok" if answer.success else "error", response if isinstance(response, dict) else None if response is None else json_format.MessageToDict(response)]


def main():
    addresses = sys.argv[1:3]
    channels = [grpc.insecure_channel(address) for address in addresses]
    for channel in channels:  # the wrapper's gRPC server is a process of its own, which may come after the one for REST
        grpc.channel_ready_future(channel).result(timeout=180)
    found = []
    for service, method, body, text in requests():
        found.append([f"{service}/{method} {text}", *[told(lambda: getattr(getattr(stubs, service + "Stub")(c), method)(body, timeout=60)) for c in channels]])
    rows = np.array([[1.0, 2.0], [3.0, 4.0]])
    for arguments in ({"data": rows, "names": ["a", "b"]}, {"data": rows, "payload_type": "ndarray"}, {"str_data": "hello"}, {"bin_data": b"hi"}, {"json_data": {"a": 1}},
                      {"data": rows, "method": "transform-input"}, {"data": rows, "method": "transform-output"}, {"data": rows, "method": "route"},
                      {"datas": [rows, rows], "method": "aggregate"}, {"feedback": True}):
        both = [by_client(address, transport="grpc", **dict({"method": "predict"}, **arguments)) for address in addresses]
        found.append([f"SeldonClient {arguments}", *both])
    json.dump(found, sys.stdout)


if __name__ == "__main__":
    main()
