# SPDX-License-Identifier: Apache-2.0
"""SeldonMessage and its relatives, made from their descriptions when this module is imported."""
import importlib.util

from google.protobuf import any_pb2, descriptor_pb2, descriptor_pool, message_factory, struct_pb2  # noqa: F401

_Field = descriptor_pb2.FieldDescriptorProto
_POOL = descriptor_pool.Default()
_PACKAGE = "seldon.protos"
_TENSOR_FILE = "tensorflow/core/framework/tensor.proto"
_SCALARS = {
    "int32": _Field.TYPE_INT32, "int64": _Field.TYPE_INT64, "uint32": _Field.TYPE_UINT32, "uint64": _Field.TYPE_UINT64, "bool": _Field.TYPE_BOOL,
    "float": _Field.TYPE_FLOAT, "double": _Field.TYPE_DOUBLE, "string": _Field.TYPE_STRING, "bytes": _Field.TYPE_BYTES,
}
_VALUE, _LIST, _ANY = ".google.protobuf.Value", ".google.protobuf.ListValue", ".google.protobuf.Any"

# Message -> fields as "name number type", with * for repeated, "map of" for maps, and | for members of the oneof data_oneof.
_MESSAGES = {
    "SeldonMessage": ["status 1 Status", "meta 2 Meta", "data 3 DefaultData |", "binData 4 bytes |", "strData 5 string |",
                      "jsonData 6 " + _VALUE + " |", "customData 7 " + _ANY + " |"],
    "DefaultData": ["names 1 string *", "tensor 2 Tensor |", "ndarray 3 " + _LIST + " |", "tftensor 4 .tensorflow.TensorProto |"],
    "Tensor": ["shape 1 int32 *", "values 2 double *"],
    "Meta": ["puid 1 string", "tags 2 " + _VALUE + " map", "routing 3 int32 map", "requestPath 4 string map", "metrics 5 Metric *"],
    "Metric": ["key 1 string", "type 2 Metric.MetricType enum", "value 3 float", "tags 4 string map"],
    "SeldonMessageList": ["seldonMessages 1 SeldonMessage *"],
    "Status": ["code 1 int32", "info 2 string", "reason 3 string", "status 4 Status.StatusFlag enum"],
    "Feedback": ["request 1 SeldonMessage", "response 2 SeldonMessage", "reward 3 float", "truth 4 SeldonMessage"],
    "RequestResponse": ["request 1 SeldonMessage", "response 2 SeldonMessage"],
    "SeldonModelMetadataRequest": ["name 1 string"],
    "SeldonMessageMetadata": ["messagetype 1 string", "schema 2 " + _VALUE, "name 3 string", "datatype 4 string", "shape 5 int64 *"],
    "SeldonModelMetadata": ["name 1 string", "versions 2 string *", "platform 3 string", "inputs 4 SeldonMessageMetadata *",
                            "outputs 5 SeldonMessageMetadata *", "custom 6 string map"],
    "SeldonGraphMetadata": ["name 1 string", "models 2 SeldonModelMetadata map", "inputs 3 SeldonMessageMetadata *",
                            "outputs 4 SeldonMessageMetadata *"],
}
_ENUMS = {"Metric": ("MetricType", ["COUNTER", "GAUGE", "TIMER"]), "Status": ("StatusFlag", ["SUCCESS", "FAILURE"])}

_TENSOR = ["dtype 1 DataType enum", "tensor_shape 2 TensorShapeProto", "version_number 3 int32", "tensor_content 4 bytes", "float_val 5 float *",
           "double_val 6 double *", "int_val 7 int32 *", "string_val 8 bytes *", "scomplex_val 9 float *", "int64_val 10 int64 *",
           "bool_val 11 bool *", "dcomplex_val 12 double *", "half_val 13 int32 *", "uint32_val 16 uint32 *", "uint64_val 17 uint64 *"]
_TENSOR_TYPES = ["INVALID", "FLOAT", "DOUBLE", "INT32", "UINT8", "INT16", "INT8", "STRING", "COMPLEX64", "INT64", "BOOL", "QINT8", "QUINT8", "QINT32",
                 "BFLOAT16", "QINT16", "QUINT16", "UINT16", "COMPLEX128", "HALF", "RESOURCE", "VARIANT", "UINT32", "UINT64"]


def _set_type(field, kind, is_enum, package):
    if kind in _SCALARS:
        field.type = _SCALARS[kind]
    else:
        field.type = _Field.TYPE_ENUM if is_enum else _Field.TYPE_MESSAGE
        field.type_name = kind if kind.startswith(".") else ".%s.%s" % (package, kind)


def _add_map(message, field, kind, package):
    entry = message.nested_type.add(name=field.name[0].upper() + field.name[1:] + "Entry")
    entry.options.map_entry = True
    entry.field.add(name="key", number=1, label=_Field.LABEL_OPTIONAL, type=_Field.TYPE_STRING)
    _set_type(entry.field.add(name="value", number=2, label=_Field.LABEL_OPTIONAL), kind, False, package)
    field.label, field.type = _Field.LABEL_REPEATED, _Field.TYPE_MESSAGE
    field.type_name = ".%s.%s.%s" % (package, message.name, entry.name)


def _add_message(file, name, fields):
    message = file.message_type.add(name=name)
    if any(text.endswith("|") for text in fields):
        message.oneof_decl.add(name="data_oneof")
    for text in fields:
        words = text.split()
        field_name, number, kind, mark = words[0], int(words[1]), words[2], words[3] if len(words) > 3 else ""
        head, *tail = field_name.split("_")
        field = message.field.add(name=field_name, number=number, json_name=head + "".join(t.title() for t in tail), label=_Field.LABEL_OPTIONAL)
        if mark == "map":
            _add_map(message, field, kind, file.package)
            continue
        _set_type(field, kind, mark == "enum", file.package)
        if mark == "*":
            field.label = _Field.LABEL_REPEATED
        elif mark == "|":
            field.oneof_index = 0
    return message


def _add_enum(place, name, values, prefix=""):
    enum = place.enum_type.add(name=name)
    for number, value in enumerate(values):
        enum.value.add(name=prefix + value, number=number)


def _have_tensor():
    """The type of data.tftensor: TensorFlow's own where it is installed, for there can be only one of a name."""
    if importlib.util.find_spec("tensorflow") is not None:
        import tensorflow.core.framework.tensor_pb2  # noqa: F401

        return
    try:
        _POOL.FindFileByName(_TENSOR_FILE)
    except KeyError:
        file = descriptor_pb2.FileDescriptorProto(name=_TENSOR_FILE, package="tensorflow", syntax="proto3")
        _add_enum(file, "DataType", _TENSOR_TYPES, "DT_")
        shape = _add_message(file, "TensorShapeProto", ["dim 2 TensorShapeProto.Dim *", "unknown_rank 3 bool"])
        dim = shape.nested_type.add(name="Dim")
        dim.field.add(name="size", number=1, label=_Field.LABEL_OPTIONAL, type=_Field.TYPE_INT64)
        dim.field.add(name="name", number=2, label=_Field.LABEL_OPTIONAL, type=_Field.TYPE_STRING)
        _add_message(file, "TensorProto", _TENSOR)
        _POOL.AddSerializedFile(file.SerializeToString())


def _describe():
    file = descriptor_pb2.FileDescriptorProto(name="prediction.proto", package=_PACKAGE, syntax="proto3")
    file.dependency.extend([struct_pb2.DESCRIPTOR.name, any_pb2.DESCRIPTOR.name, _TENSOR_FILE])
    for name, fields in _MESSAGES.items():
        message = _add_message(file, name, fields)
        if name in _ENUMS:
            _add_enum(message, *_ENUMS[name])
    _POOL.AddSerializedFile(file.SerializeToString())
    return _POOL.FindFileByName(file.name)


def _class_of(name):
    descriptor = _POOL.FindMessageTypeByName("%s.%s" % (_PACKAGE, name))
    if hasattr(message_factory, "GetMessageClass"):
        return message_factory.GetMessageClass(descriptor)
    return message_factory.MessageFactory(_POOL).GetPrototype(descriptor)  # protobuf before 4.22


_have_tensor()
DESCRIPTOR = _describe()
SeldonMessage = _class_of("SeldonMessage")
DefaultData = _class_of("DefaultData")
Tensor = _class_of("Tensor")
Meta = _class_of("Meta")
Metric = _class_of("Metric")
SeldonMessageList = _class_of("SeldonMessageList")
Status = _class_of("Status")
Feedback = _class_of("Feedback")
RequestResponse = _class_of("RequestResponse")
SeldonModelMetadataRequest = _class_of("SeldonModelMetadataRequest")
SeldonMessageMetadata = _class_of("SeldonMessageMetadata")
SeldonModelMetadata = _class_of("SeldonModelMetadata")
SeldonGraphMetadata = _class_of("SeldonGraphMetadata")
