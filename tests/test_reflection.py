# SPDX-License-Identifier: Apache-2.0
"""gRPC server reflection, v1 and v1alpha, asked by hand and by grpcio's client."""
import queue

import grpc
import pytest
from conftest import DEADLINE
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc


@pytest.fixture
def channel(serve):
    server = serve("builtin:echo")
    with grpc.insecure_channel(f"{server.host}:{server.port}") as made:
        yield made


class Conversation:
    """One stream: a question, its answer, the next question."""

    def __init__(self, channel, version="v1alpha"):
        self.questions = queue.Queue()
        stub = channel.stream_stream(f"/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo",
                                     reflection_pb2.ServerReflectionRequest.SerializeToString,
                                     reflection_pb2.ServerReflectionResponse.FromString)
        self.answers = stub(iter(self.questions.get, None), timeout=DEADLINE)

    def ask(self, **question):
        self.questions.put(reflection_pb2.ServerReflectionRequest(**question))
        return next(self.answers)

    def end(self):
        self.questions.put(None)
        assert list(self.answers) == []
        assert self.answers.code() == grpc.StatusCode.OK


@pytest.mark.parametrize("version", ["v1", "v1alpha"])
def test_one_stream_answers_question_after_question(channel, version):
    talk = Conversation(channel, version)
    listed = talk.ask(list_services="", host="me")
    names = [s.name for s in listed.list_services_response.service]
    assert len(names) == len(set(names)) and listed.valid_host == "me" and listed.original_request.host == "me"
    assert {"seldon.protos.Seldon", "seldon.protos.Model", "seldon.protos.Generic", "inference.GRPCInferenceService",
            "grpc.reflection.v1.ServerReflection", "grpc.reflection.v1alpha.ServerReflection"} <= set(names)
    for name in names:
        files = talk.ask(file_containing_symbol=name).file_descriptor_response.file_descriptor_proto
        assert files, name
    by_name = talk.ask(file_by_filename="prediction.proto").file_descriptor_response.file_descriptor_proto
    assert any(b"seldon.protos" in f for f in by_name)
    for question in ({"file_by_filename": "nope.proto"}, {"file_containing_symbol": "nope"}, {"file_containing_symbol": "seldon.protos"},
                     {"file_containing_extension": {"containing_type": "seldon.protos.Meta", "extension_number": 5}},
                     {"all_extension_numbers_of_type": "seldon.protos.Meta"}):
        error = talk.ask(**question).error_response
        assert error.error_code == grpc.StatusCode.NOT_FOUND.value[0] and error.error_message
    assert talk.ask().error_response.error_code == grpc.StatusCode.INVALID_ARGUMENT.value[0]
    for _ in range(200):
        assert talk.ask(file_containing_symbol="seldon.protos.SeldonMessage.binData").HasField("file_descriptor_response")
    talk.end()


def test_descriptors_link_together(channel):
    from google.protobuf.descriptor_pool import DescriptorPool
    from google.protobuf.message_factory import GetMessageClass
    from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

    database = ProtoReflectionDescriptorDatabase(channel)
    pool = DescriptorPool(database)
    for name in database.get_services():
        for method in pool.FindServiceByName(name).methods:
            assert GetMessageClass(method.input_type) and GetMessageClass(method.output_type)
    fields = pool.FindMessageTypeByName("seldon.protos.SeldonMessage").fields_by_name
    assert {n: f.number for n, f in fields.items()} == {"status": 1, "meta": 2, "data": 3, "binData": 4, "strData": 5, "jsonData": 6,
                                                        "customData": 7}


def test_a_damaged_question_ends_the_stream_with_its_reason(channel):
    stub = channel.stream_stream("/grpc.reflection.v1.ServerReflection/ServerReflectionInfo", lambda b: b, lambda b: b)
    with pytest.raises(grpc.RpcError) as caught:
        list(stub(iter([b"\xff\xff"]), timeout=DEADLINE))
    assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT


def test_many_streams_stay_open_at_once(channel):
    talks = [Conversation(channel, "v1") for _ in range(20)]
    for _ in range(3):
        for talk in talks:
            assert talk.ask(list_services="").list_services_response.service
    for talk in talks:
        talk.end()
    assert reflection_pb2_grpc.ServerReflectionStub(channel)
