# SPDX-License-Identifier: Apache-2.0
"""Requests that no honest client sends: each gets an answer (or a closed connection where HTTP says so), and the server goes on."""
import base64
import gzip
import json
import socket
import struct
import zlib

import pytest
from conftest import DEADLINE

BIG = "9" * 400


def raw(server, data, half_close=True):
    """Sends bytes as they are; everything that comes back."""
    with socket.create_connection((server.host, server.port), timeout=DEADLINE) as s:
        try:
            s.sendall(data)
            if half_close:
                s.shutdown(socket.SHUT_WR)
        except OSError:
            pass
        out = b""
        try:
            while chunk := s.recv(65536):
                out += chunk
        except OSError:
            pass
        return out


def status(answer):
    return int(answer.split(b" ", 2)[1]) if answer.startswith(b"HTTP/1.") else 0


def message(method, path, body=b"", *headers, content_type="application/json", host="Host: x\r\n"):
    if isinstance(body, str):
        body = body.encode()
    lines = f"{method} {path} HTTP/1.1\r\n{host}" + (f"Content-Type: {content_type}\r\n" if content_type else "")
    lines += "".join(h + "\r\n" for h in headers)
    if body or method == "POST":
        lines += f"Content-Length: {len(body)}\r\n"
    return lines.encode("latin1") + b"Connection: close\r\n\r\n" + body


def infer(body, *headers, **more):
    return message("POST", "/v2/models/lr/infer", body, *headers, **more)


def seldon(body, *headers, **more):
    return message("POST", "/api/v1.0/predictions", body, *headers, **more)


def records(body, *headers, **more):
    return message("POST", "/predict", body, *headers, **more)


def v1(body, *headers, **more):
    return message("POST", "/v1/models/lr:predict", body, *headers, **more)


def tensor(**changes):
    t = {"name": "X", "shape": [1, 10], "datatype": "FP32", "data": [0] * 10}
    t.update(changes)
    t = {k: v for k, v in t.items() if v != "absent"}
    return json.dumps({"inputs": [t]})


ROW = '{"G1":1,"G2":0,"G3":0,"G4":1,"G5":0,"G6":0,"G7":1,"G8":0,"G9":0,"G10":0}'
LINES = [  # request lines and heads: (name, bytes, statuses; 0 is a closed connection without an answer)
    ("only a line end", b"\r\n\r\n\r\n\r\n", {0, 400}),
    ("nothing", b"", {0}),
    ("not http", b"hello there\r\n\r\n", {400}),
    ("binary noise", bytes(range(256)) * 4, {400}),
    ("tls hello on a clear port", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\0" * 200, {400, 0}),
    ("no version", b"GET /v2\r\n\r\n", {400}),
    ("http 0.9 version", b"GET / HTTP/0.9\r\n\r\n", {400, 505}),
    ("http 2.0 in a request line", b"GET / HTTP/2.0\r\nHost: x\r\n\r\n", {400, 505}),
    ("http 1.9", b"GET /v2 HTTP/1.9\r\nHost: x\r\n\r\n", {200, 400, 505}),
    ("lower-case version", b"GET / http/1.1\r\nHost: x\r\n\r\n", {400}),
    ("two spaces", b"GET  /v2 HTTP/1.1\r\nHost: x\r\n\r\n", {400}),
    ("a tab for a space", b"GET\t/v2\tHTTP/1.1\r\nHost: x\r\n\r\n", {400}),
    ("space behind the version", b"GET /v2 HTTP/1.1 \r\nHost: x\r\n\r\n", {400}),
    ("nul in the target", b"GET /v2\0 HTTP/1.1\r\nHost: x\r\n\r\n", {400}),
    ("control in the target", b"GET /v2\x01 HTTP/1.1\r\nHost: x\r\n\r\n", {400}),
    ("no method", b" /v2 HTTP/1.1\r\nHost: x\r\n\r\n", {400}),
    ("method with a colon", b"GE:T /v2 HTTP/1.1\r\nHost: x\r\n\r\n", {400}),
    ("unknown method", b"BREW /v2 HTTP/1.1\r\nHost: x\r\n\r\n", {405, 501}),
    ("connect", b"CONNECT x:80 HTTP/1.1\r\nHost: x\r\n\r\n", {400, 404, 405, 501}),
    ("trace", b"TRACE /v2 HTTP/1.1\r\nHost: x\r\n\r\n", {405, 501}),
    ("target without a slash", b"GET v2 HTTP/1.1\r\nHost: x\r\n\r\n", {400, 404}),
    ("asterisk with get", b"GET * HTTP/1.1\r\nHost: x\r\n\r\n", {400, 404}),
    ("bad percent", b"GET /v2/models/%zz HTTP/1.1\r\nHost: x\r\n\r\n", {400, 404}),
    ("cut percent", b"GET /v2/models/% HTTP/1.1\r\nHost: x\r\n\r\n", {400, 404}),
    ("percent nul", b"GET /v2/models/%00 HTTP/1.1\r\nHost: x\r\n\r\n", {400, 404}),
    ("dots up", b"GET /../../etc/passwd HTTP/1.1\r\nHost: x\r\n\r\n", {400, 404}),
    ("encoded dots up", b"GET /%2e%2e/%2e%2e/etc/passwd HTTP/1.1\r\nHost: x\r\n\r\n", {400, 404}),
    ("target too long", b"GET /" + b"a" * 100000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", {414, 431, 400}),
    ("head too long", b"GET /v2 HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 100000 + b"\r\n\r\n", {431}),
    ("too many headers", b"GET /v2 HTTP/1.1\r\nHost: x\r\n" + b"A: b\r\n" * 500 + b"\r\n", {431}),
    ("no host", b"GET /v2 HTTP/1.1\r\n\r\n", {400}),
    ("two hosts", b"GET /v2 HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", {400}),
    ("space before colon", b"GET /v2 HTTP/1.1\r\nHost : x\r\n\r\n", {400}),
    ("header without colon", b"GET /v2 HTTP/1.1\r\nHost: x\r\nnothing\r\n\r\n", {400}),
    ("header without name", b"GET /v2 HTTP/1.1\r\nHost: x\r\n: v\r\n\r\n", {400}),
    ("folded header", b"GET /v2 HTTP/1.1\r\nHost: x\r\nA: b\r\n c\r\n\r\n", {400}),
    ("nul in a value", b"GET /v2 HTTP/1.1\r\nHost: x\r\nA: b\0c\r\n\r\n", {400}),
    ("bare cr in a value", b"GET /v2 HTTP/1.1\r\nHost: x\r\nA: b\rc\r\n\r\n", {400}),
    ("control in a value", b"GET /v2 HTTP/1.1\r\nHost: x\r\nA: b\x07c\r\n\r\n", {400}),
    ("name with a space", b"GET /v2 HTTP/1.1\r\nHost: x\r\nA B: c\r\n\r\n", {400}),
    ("name with latin1", b"GET /v2 HTTP/1.1\r\nHost: x\r\n\xe9: c\r\n\r\n", {400}),
    ("cut in the request line", b"GET /v2", {0, 400, 408}),
    ("cut in the head", b"GET /v2 HTTP/1.1\r\nHo", {0, 400, 408}),
    ("length and chunked", b"POST /v2/models/lr/infer HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", {400}),
    ("two lengths", b"POST /v2/models/lr/infer HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!", {400}),
    ("length list", b"POST /v2/models/lr/infer HTTP/1.1\r\nHost: x\r\nContent-Length: 5, 6\r\n\r\nhello!", {400}),
    ("negative length", b"POST /v2/models/lr/infer HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n", {400}),
    ("plus length", b"POST /v2/models/lr/infer HTTP/1.1\r\nHost: x\r\nContent-Length: +1\r\n\r\nx", {400}),
    ("hex length", b"POST /v2/models/lr/infer HTTP/1.1\r\nHost: x\r\nContent-Length: 0x1\r\n\r\nx", {400}),
    ("empty length", b"POST /v2/models/lr/infer HTTP/1.1\r\nHost: x\r\nContent-Length: \r\n\r\n", {400}),
    ("length over 64 bits", b"POST /v2/models/lr/infer HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999999999999\r\n\r\n", {400, 413}),
    ("length over the limit", b"POST /v2/models/lr/infer HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999\r\n\r\n", {413}),
    ("body shorter than its length", b"POST /v2/models/lr/infer HTTP/1.1\r\nHost: x\r\nContent-Length: 50\r\n\r\n{}", {0, 400, 408}),
    ("unknown transfer coding", b"POST /v2/models/lr/infer HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip\r\n\r\n", {400, 501}),
    ("chunked twice", b"POST /v2/models/lr/infer HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n", {400, 501}),
    ("chunked not last", b"POST /v2/models/lr/infer HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n", {400, 501}),
    ("chunked in 1.0", b"POST /v2/models/lr/infer HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", {400, 501}),
    ("chunk size not hex", b"POST /v2/models/lr/infer HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", {400}),
    ("chunk size over 64 bits", b"POST /v2/models/lr/infer HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" + b"f" * 17 + b"\r\n", {400, 413}),
    ("chunk size over the limit", b"POST /v2/models/lr/infer HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nffffffffff\r\n", {400, 413}),
    ("chunk without its end", b"POST /v2/models/lr/infer HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}xx0\r\n\r\n", {400}),
    ("chunk extension without end", b"POST /v2/models/lr/infer HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n2;" + b"a" * 70000, {400, 413, 431}),
    ("trailers without end", b"POST /v2/models/lr/infer HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n" + b"A: b\r\n" * 20000, {400, 413, 431}),
    ("http/2 preface cut", b"PRI * HTTP/2.0\r\n\r\nSM\r\n", {0, 400}),
    ("http/2 preface and noise", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\xff" * 100, {0}),
    ("expect something else", b"POST /predict HTTP/1.1\r\nHost: x\r\nExpect: 200-ok\r\nContent-Length: 2\r\n\r\n{}", {400, 417}),
]
BODIES = [  # (name, request, statuses)
    ("v2 empty", infer(b""), {400}),
    ("v2 not json", infer(b"not json"), {400}),
    ("v2 a list", infer(b"[]"), {400}),
    ("v2 a string", infer(b'"x"'), {400}),
    ("v2 null", infer(b"null"), {400}),
    ("v2 no inputs", infer(b"{}"), {400}),
    ("v2 empty inputs", infer(b'{"inputs":[]}'), {400}),
    ("v2 inputs an object", infer(b'{"inputs":{}}'), {400}),
    ("v2 inputs of numbers", infer(b'{"inputs":[1,2]}'), {400}),
    ("v2 cut", infer(b'{"inputs":[{"name":"X","shape":[1,10]'), {400}),
    ("v2 text behind", infer(tensor() + "x"), {400}),
    ("v2 two bodies", infer(tensor() + tensor()), {400}),
    ("v2 no shape", infer(tensor(shape="absent")), {400}),
    ("v2 no datatype", infer(tensor(datatype="absent")), {400}),
    ("v2 no data", infer(tensor(data="absent")), {400}),
    ("v2 unknown datatype", infer(tensor(datatype="FLOAT")), {400}),
    ("v2 datatype a number", infer(tensor(datatype=32)), {400}),
    ("v2 negative shape", infer(tensor(shape=[-1, 10])), {400}),
    ("v2 shape over 64 bits", infer(tensor(shape=[10**30, 10])), {400}),
    ("v2 shape product overflows", infer(tensor(shape=[2**62, 2**62])), {400, 413}),
    ("v2 shape huge", infer(tensor(shape=[2**40, 10])), {400, 413}),
    ("v2 shape of fractions", infer(tensor(shape=[1.5, 10])), {400}),
    ("v2 shape of strings", infer(tensor(shape=["1", "10"])), {400}),
    ("v2 shape of 20 dimensions", infer(tensor(shape=[1] * 19 + [10])), {400}),
    ("v2 shape too small", infer(tensor(shape=[1, 9])), {400}),
    ("v2 shape too large", infer(tensor(shape=[1, 11])), {400}),
    ("v2 wrong columns", infer(tensor(shape=[1, 9], data=[0] * 9)), {400}),
    ("v2 rank 3", infer(tensor(shape=[1, 1, 10])), {400}),
    ("v2 rank 0", infer(tensor(shape=[], data=[1])), {400}),
    ("v2 zero rows", infer(tensor(shape=[0, 10], data=[])), {200, 400}),
    ("v2 ragged", infer(tensor(data=[[0] * 5, [0] * 4, [0]])), {400}),
    ("v2 strings for numbers", infer(tensor(data=["a"] * 10)), {400}),
    ("v2 bytes for numbers", infer(tensor(datatype="BYTES", data=["a"] * 10)), {400}),
    ("v2 mixed data", infer(tensor(data=[0] * 9 + ["x"])), {400}),
    ("v2 bools for floats", infer(tensor(data=[True] * 10)), {200, 400}),
    ("v2 objects for numbers", infer(tensor(data=[{}] * 10)), {400}),
    ("v2 int8 out of range", infer(tensor(datatype="INT8", data=[128] + [0] * 9)), {400}),
    ("v2 uint8 negative", infer(tensor(datatype="UINT8", data=[-1] + [0] * 9)), {400}),
    ("v2 int32 with a fraction", infer(tensor(datatype="INT32", data=[0.5] + [0] * 9)), {400}),
    ("v2 uint64 out of range", infer(tensor(datatype="UINT64", data=[2**64] + [0] * 9)), {400}),
    ("v2 unknown input of two", infer(json.dumps({"inputs": [json.loads(tensor())["inputs"][0], json.loads(tensor(name="y"))["inputs"][0]]})), {400}),
    ("v2 unknown output", infer(json.dumps({**json.loads(tensor()), "outputs": [{"name": "nope"}]})), {400}),
    ("v2 outputs a number", infer(json.dumps({**json.loads(tensor()), "outputs": 7})), {400}),
    ("v2 unknown model", message("POST", "/v2/models/nope/infer", tensor()), {404}),
    ("v2 unknown version", message("POST", "/v2/models/lr/versions/9/infer", tensor()), {404}),
    ("v2 get on infer", message("GET", "/v2/models/lr/infer"), {405}),
    ("v2 delete", message("DELETE", "/v2/models/lr"), {405}),
    ("v2 unknown path", message("GET", "/v2/nothing/here"), {404}),
    ("v2 deep nesting", infer(b'{"inputs":' + b"[" * 100000), {400}),
    ("v2 deep data", infer('{"inputs":[{"name":"X","shape":[1,10],"datatype":"FP32","data":' + "[" * 60 + "1" + "]" * 60 + "}]}"), {400}),
    ("v2 deep skipped member", infer(b'{"x":' + b'{"a":' * 50000 + b"1" + b"}" * 50000 + b"}"), {400}),
    ("v2 control character", infer(b'{"id":"a\x01b","inputs":[]}'), {400}),
    ("v2 bad escape", infer(b'{"id":"\\q","inputs":[]}'), {400}),
    ("v2 lone surrogate", infer(b'{"id":"\\ud800","inputs":[]}'), {400}),
    ("v2 bad utf-8", infer(b'{"id":"\xff\xfe","inputs":[]}'), {400}),
    ("v2 nul", infer(b'{"id":"a"}\0'), {400}),
    ("v2 leading zeros", infer(tensor().replace("[0,", "[00,").replace("[0, ", "[00, ", 1)), {400}),
    ("v2 plus sign", infer(tensor().replace("[0, ", "[+1, ", 1)), {400}),
    ("v2 hex number", infer(tensor().replace("[0, ", "[0x1, ", 1)), {400}),
    ("v2 trailing comma", infer(tensor().replace("0]", "0,]")), {400}),
    ("v2 exponent without digits", infer(tensor().replace("[0, ", "[1e, ", 1)), {400}),
    ("v2 400 digits for int64", infer(tensor(datatype="INT64").replace("[0, ", f"[{BIG}, ", 1)), {400}),
    ("v2 id a number", infer(json.dumps({**json.loads(tensor()), "id": 5})), {400, 200}),
    ("v2 duplicate inputs", infer(json.dumps({"inputs": json.loads(tensor())["inputs"] * 2})), {400}),
    ("v2 binary size missing", infer(tensor(data="absent"), "Inference-Header-Content-Length: 10"), {400}),
    ("v2 binary header longer than body", infer(tensor(), "Inference-Header-Content-Length: 100000"), {400}),
    ("v2 binary header negative", infer(tensor(), "Inference-Header-Content-Length: -5"), {400}),
    ("v2 binary header not a number", infer(tensor(), "Inference-Header-Content-Length: ten"), {400}),
    ("v2 binary size too large", infer(tensor(data="absent", parameters={"binary_data_size": 10**12}), f"Inference-Header-Content-Length: {len(tensor(data='absent', parameters={'binary_data_size': 10**12}))}"), {400}),
    ("v2 binary size too small", infer((h := tensor(data="absent", parameters={"binary_data_size": 39})).encode() + b"\0" * 39, f"Inference-Header-Content-Length: {len(h)}"), {400}),
    ("v2 binary and data", infer((h := tensor(parameters={"binary_data_size": 40})).encode() + b"\0" * 40, f"Inference-Header-Content-Length: {len(h)}"), {400}),
    ("v2 binary bytes left over", infer((h := tensor(data="absent", parameters={"binary_data_size": 40})).encode() + b"\0" * 60, f"Inference-Header-Content-Length: {len(h)}"), {400}),
    ("v2 raw of the wrong size", infer(b"\0" * 39, "Inference-Header-Content-Length: 0", content_type="application/octet-stream"), {400}),
    ("v2 load unknown", message("POST", "/v2/repository/models/nope/load", b""), {404, 400}),
    ("v2 load not json", message("POST", "/v2/repository/models/lr/load", b"{{"), {400}),
    ("v2 index not json", message("POST", "/v2/repository/index", b"nope"), {400}),
    ("seldon empty", seldon(b""), {400}),
    ("seldon not json", seldon(b"{"), {400}),
    ("seldon a list", seldon(b"[1]"), {400}),
    ("seldon nothing in it", seldon(b"{}"), {400}),
    ("seldon data a number", seldon(b'{"data":5}'), {400}),
    ("seldon tensor without shape", seldon(b'{"data":{"tensor":{"values":[1,2]}}}'), {400}),
    ("seldon tensor of the wrong size", seldon(b'{"data":{"tensor":{"shape":[2,10],"values":[1,2]}}}'), {400}),
    ("seldon tensor shape negative", seldon(b'{"data":{"tensor":{"shape":[-1,10],"values":[1,2]}}}'), {400}),
    ("seldon tensor shape huge", seldon(b'{"data":{"tensor":{"shape":[4611686018427387904,4],"values":[]}}}'), {400, 413}),
    ("seldon values a string", seldon(b'{"data":{"tensor":{"shape":[1,1],"values":"1"}}}'), {400}),
    ("seldon ragged", seldon(b'{"data":{"ndarray":[[1,2],[3]]}}'), {400}),
    ("seldon strings", seldon(b'{"data":{"ndarray":[["a","b"]]}}'), {400}),
    ("seldon wrong columns", seldon(b'{"data":{"ndarray":[[1,2,3]]}}'), {400}),
    ("seldon ndarray a number", seldon(b'{"data":{"ndarray":7}}'), {400}),
    ("seldon ndarray of objects", seldon(b'{"data":{"ndarray":[[{}]]}}'), {400}),
    ("seldon names not strings", seldon(b'{"data":{"names":[1,2],"ndarray":[[0,0,0,0,0,0,0,0,0,0]]}}'), {400}),
    ("seldon binData not base64", seldon(b'{"binData":"***"}'), {400}),
    ("seldon binData a number", seldon(b'{"binData":5}'), {400}),
    ("seldon strData for numbers", seldon(b'{"strData":"hello"}'), {400}),
    ("seldon meta a number", seldon(b'{"meta":5,"data":{"ndarray":[[0,0,0,0,0,0,0,0,0,0]]}}'), {400}),
    ("seldon tftensor nonsense", seldon(b'{"data":{"tftensor":{"dtype":"DT_NOPE"}}}'), {400}),
    ("seldon form without json", seldon(b"a=b", content_type="application/x-www-form-urlencoded"), {400}),
    ("seldon form bad json", seldon(b"json=%7B", content_type="application/x-www-form-urlencoded"), {400}),
    ("seldon multipart without boundary", seldon(b"x", content_type="multipart/form-data"), {400}),
    ("seldon multipart cut", seldon(b"--b\r\nContent-Disposition: form-data; name=\"data\"\r\n\r\n{", content_type="multipart/form-data; boundary=b"), {400}),
    ("seldon feedback nonsense", message("POST", "/api/v1.0/feedback", b'{"reward":"much"}'), {400}),
    ("seldon route on a model", message("POST", "/route", b'{"data":{"ndarray":[[1]]}}'), {400, 404, 501}),
    ("seldon aggregate on a model", message("POST", "/aggregate", b'[{"data":{"ndarray":[[1]]}}]'), {400, 404, 501}),
    ("seldon get without json", message("GET", "/api/v1.0/predictions"), {400, 405}),
    ("records empty", records(b""), {400}),
    ("records not json", records(b"nope"), {400}),
    ("records a number", records(b"5"), {400}),
    ("records list of numbers", records(b"[1,2,3]"), {400}),
    ("records empty object", records(b"{}"), {400}),
    ("records one missing", records(ROW.replace('"G3":0,', "")), {400}),
    ("records one unknown", records(ROW.replace("}", ',"G11":1}')), {400}),
    ("records one twice", records(ROW.replace("}", ',"G1":0}')), {400}),
    ("records a string", records(ROW.replace('"G1":1', '"G1":"many"')), {400}),
    ("records null", records(ROW.replace('"G1":1', '"G1":null')), {400}),
    ("records an object inside", records(ROW.replace('"G1":1', '"G1":{}')), {400}),
    ("records a list inside", records(ROW.replace('"G1":1', '"G1":[1]')), {400}),
    ("records second row bad", records("[" + ROW + ',{"G1":1}]'), {400}),
    ("records get missing", message("GET", "/predict?G1=1"), {400}),
    ("records get not a number", message("GET", "/predict?" + "&".join(f"G{i}=x" for i in range(1, 11))), {400}),
    ("records unknown output", message("POST", "/predict?output=nope", ROW), {400}),
    ("csv empty", records(b"", content_type="text/csv"), {400}),
    ("csv header only", records(",".join(f"G{i}" for i in range(1, 11)) + "\n", content_type="text/csv"), {200, 400}),
    ("csv unknown column", records("a,b\n1,2\n", content_type="text/csv"), {400}),
    ("csv short row", records(",".join(f"G{i}" for i in range(1, 11)) + "\n1,2,3\n", content_type="text/csv"), {400}),
    ("csv long row", records(",".join(f"G{i}" for i in range(1, 11)) + "\n" + "1," * 11 + "\n", content_type="text/csv"), {400}),
    ("csv text in a number", records(",".join(f"G{i}" for i in range(1, 11)) + "\n1,2,3,x,5,6,7,8,9,10\n", content_type="text/csv"), {400}),
    ("csv open quote", records(",".join(f"G{i}" for i in range(1, 11)) + '\n"1,2\n', content_type="text/csv"), {400}),
    ("csv nul", records(b"G1\0,G2\n1,2\n", content_type="text/csv"), {400}),
    ("v1 empty", v1(b""), {400}),
    ("v1 not json", v1(b"x"), {400}),
    ("v1 neither", v1(b"{}"), {400}),
    ("v1 both", v1(b'{"instances":[[1]],"inputs":[[1]]}'), {400}),
    ("v1 instances a number", v1(b'{"instances":5}'), {400}),
    ("v1 instances empty", v1(b'{"instances":[]}'), {200, 400}),
    ("v1 ragged", v1(b'{"instances":[[1,2],[3]]}'), {400}),
    ("v1 wrong columns", v1(b'{"instances":[[1,2,3]]}'), {400}),
    ("v1 strings", v1(b'{"instances":[["a","b"]]}'), {400}),
    ("v1 bad b64", v1(b'{"instances":[{"b64":"***"}]}'), {400}),
    ("v1 unknown model", message("POST", "/v1/models/nope:predict", b'{"instances":[[1]]}'), {404}),
    ("v1 unknown verb", message("POST", "/v1/models/lr:guess", b'{"instances":[[1]]}'), {404, 405, 501}),
    ("v1 classify nonsense", message("POST", "/v1/models/lr:classify", b'{"examples":5}'), {400}),
    ("gzip noise", infer(b"not gzip at all", "Content-Encoding: gzip"), {400}),
    ("gzip cut", infer(gzip.compress(tensor().encode())[:-9], "Content-Encoding: gzip"), {400}),
    ("gzip bomb", infer(gzip.compress(b"0" * 300_000_000, 9), "Content-Encoding: gzip"), {413}),
    ("gzip bad checksum", infer(gzip.compress(tensor().encode())[:-8] + b"\0" * 8, "Content-Encoding: gzip"), {400}),
    ("deflate noise", infer(b"zzz", "Content-Encoding: deflate"), {400}),
    ("zstd noise", infer(b"zzz", "Content-Encoding: zstd"), {400}),
    ("zstd lying size", infer(b"\x28\xb5\x2f\xfd\xe0" + b"\xff" * 8 + b"\0" * 20, "Content-Encoding: zstd"), {400, 413}),
    ("unknown coding", infer(tensor(), "Content-Encoding: br"), {415}),
    ("coding twice", infer(gzip.compress(gzip.compress(tensor().encode())), "Content-Encoding: gzip, gzip"), {200, 400, 415}),
    ("grpc over http/1", message("POST", "/inference.GRPCInferenceService/ModelInfer", b"\0\0\0\0\0", content_type="application/grpc"), {400, 404, 415, 426, 505}),
]


@pytest.fixture
def server(serve):
    return serve("lr=lr.onnx")


def is_well(server):
    answer = raw(server, message("POST", "/v2/models/lr/infer", tensor(), content_type="application/json"))
    return status(answer) == 200 and b'"outputs"' in answer


def test_the_tables_are_as_long_as_promised():
    assert len(LINES) + len(BODIES) >= 150


def test_hostile_heads_are_answered_or_closed(server):
    wrong = []
    for name, data, expected in LINES:
        answer = raw(server, data)
        if status(answer) not in expected:
            wrong.append((name, expected, answer[:200]))
    assert not wrong
    assert is_well(server)


def test_hostile_bodies_get_an_error_that_says_why(server):
    wrong = []
    for name, data, expected in BODIES:
        answer = raw(server, data, half_close=False)
        code = status(answer)
        body = answer.partition(b"\r\n\r\n")[2]
        if code not in expected:
            wrong.append((name, expected, answer[:300]))
        elif code >= 400 and code not in (405,) and len(body) < 10:
            wrong.append((name, "an error without words", answer[:300]))
        elif code >= 500 and code not in (501, 505):
            wrong.append((name, "our own failure", answer[:300]))
    assert not wrong
    assert is_well(server)


def test_errors_have_the_form_of_their_protocol(server):
    def body(data):
        return json.loads(raw(server, data, half_close=False).partition(b"\r\n\r\n")[2])

    assert set(body(infer("{}"))) == {"error"}
    assert set(body(v1("{}"))) == {"error"}
    wrong = body(seldon("{}"))
    assert wrong["status"]["status"] == 1 and wrong["status"]["code"] == -1 and wrong["status"]["reason"] and wrong["status"]["info"]
    wrong = body(records("{}"))
    assert wrong["success"] is False and "G1" in wrong["error"]
    wrong = body(infer(tensor(shape=[1, 9], data=[0] * 9)))["error"]
    assert "10" in wrong and "9" in wrong, "says what was expected and what came"


def test_a_body_of_one_byte_at_a_time_is_whole(server):
    data = infer(tensor())
    with socket.create_connection((server.host, server.port), timeout=DEADLINE) as s:
        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for i in range(len(data)):
            s.sendall(data[i : i + 1])
        out = b""
        while chunk := s.recv(65536):
            out += chunk
    assert status(out) == 200


def test_pipelined_requests_are_answered_in_order(server):
    data = b"".join(infer(json.dumps({**json.loads(tensor()), "id": f"n{i}"})).replace(b"Connection: close\r\n", b"") for i in range(200))
    out = raw(server, data)
    ids = [part.split(b'"', 1)[0].decode() for part in out.split(b'"id":"')[1:]]
    assert ids == [f"n{i}" for i in range(200)]


GRPC_MESSAGES = [
    ("noise", b"\xff" * 50),
    ("field 0", b"\x00\x01"),
    ("group", b"\x0b\x0c"),
    ("length past the end", b"\x0a\xff\xff\xff\xff\x0f"),
    ("varint of 11 bytes", b"\x80" * 11),
    ("nested cut", b"\x2a\x05\x0a\x09"),
    ("wrong wire type for inputs", b"\x28\x01"),
    ("wrong wire type for name", b"\x08\x01"),
    ("name not utf-8", b"\x0a\x02\xff\xfe"),
    ("empty", b""),
    ("raw without inputs", b"\x3a\x04abcd"),
]


def test_hostile_grpc_messages_get_a_status(server):
    import grpc

    with grpc.insecure_channel(f"{server.host}:{server.port}") as channel:
        call = channel.unary_unary("/inference.GRPCInferenceService/ModelInfer", lambda b: b, lambda b: b)
        predict = channel.unary_unary("/seldon.protos.Model/Predict", lambda b: b, lambda b: b)
        for name, data in GRPC_MESSAGES:
            for method in (call, predict):
                try:
                    method(data, timeout=DEADLINE)
                    answered = "OK"
                except grpc.RpcError as e:
                    answered = e.code().name
                    assert e.details(), name
                assert answered in ("INVALID_ARGUMENT", "NOT_FOUND", "UNIMPLEMENTED"), (name, answered)
        with pytest.raises(grpc.RpcError) as error:
            channel.unary_unary("/no.Such/Method", lambda b: b, lambda b: b)(b"", timeout=DEADLINE)
        assert error.value.code() == grpc.StatusCode.UNIMPLEMENTED
    assert is_well(server)


H2 = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"


def frame(kind, flags, stream, payload=b"", length=None):
    return struct.pack(">I", len(payload) if length is None else length)[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload


H2_STREAMS = [
    ("settings with an odd length", H2 + frame(4, 0, 0, b"\0\0\0\0\0")),
    ("settings on a stream", H2 + frame(4, 0, 1)),
    ("data on stream 0", H2 + frame(4, 0, 0) + frame(0, 0, 0, b"x")),
    ("data on an idle stream", H2 + frame(4, 0, 0) + frame(0, 1, 1, b"x")),
    ("headers on an even stream", H2 + frame(4, 0, 0) + frame(1, 5, 2, b"\x82\x84\x86")),
    ("hpack index out of range", H2 + frame(4, 0, 0) + frame(1, 5, 1, b"\xff\xff\xff\xff\x0f")),
    ("continuation without headers", H2 + frame(4, 0, 0) + frame(9, 4, 1, b"\x82")),
    ("frame over the size limit", H2 + frame(4, 0, 0) + frame(0, 0, 1, b"", 0xFFFFFF)),
    ("ping of the wrong size", H2 + frame(4, 0, 0) + frame(6, 0, 0, b"abc")),
    ("window update of zero", H2 + frame(4, 0, 0) + frame(8, 0, 0, b"\0\0\0\0")),
    ("window overflow", H2 + frame(4, 0, 0) + frame(8, 0, 0, b"\x7f\xff\xff\xff") * 3),
    ("padding longer than the frame", H2 + frame(4, 0, 0) + frame(1, 0x0D, 1, b"\xff\x82")),
    ("push promise from a client", H2 + frame(4, 0, 0) + frame(5, 4, 1, b"\0\0\0\x02\x82")),
    ("upper-case header name", H2 + frame(4, 0, 0) + frame(1, 5, 1, b"\x82\x84\x86\x41\x01x\x40\x01A\x01b")),
    ("no path", H2 + frame(4, 0, 0) + frame(1, 5, 1, b"\x82\x86\x41\x01x")),
    ("path empty", H2 + frame(4, 0, 0) + frame(1, 5, 1, b"\x82\x86\x44\x00\x41\x01x")),
    ("connection header", H2 + frame(4, 0, 0) + frame(1, 5, 1, b"\x82\x84\x86\x41\x01x\x40\x0aconnection\x05close")),
    ("many pings", H2 + frame(4, 0, 0) + frame(6, 0, 0, b"12345678") * 20000),
    ("many settings", H2 + frame(4, 0, 0) * 20000),
    ("many resets", H2 + frame(4, 0, 0) + b"".join(frame(1, 5, 2 * i + 1, b"\x82\x84\x86\x41\x01x") + frame(3, 0, 2 * i + 1, b"\0\0\0\x08") for i in range(5000))),
    ("continuations without end", H2 + frame(4, 0, 0) + frame(1, 1, 1, b"\x82\x84\x86\x41\x01x") + frame(9, 0, 1, b"\x40\x01a\x01b" * 1000) * 200),
]


def test_hostile_http2_frames_end_their_connection_only(server):
    for name, data in H2_STREAMS:
        raw(server, data)
        assert is_well(server), name


def test_base64_and_deflate_bodies_that_are_sound_are_read(server):
    assert status(raw(server, infer(gzip.compress(tensor().encode()), "Content-Encoding: gzip"), False)) == 200
    assert status(raw(server, infer(zlib.compress(tensor().encode()), "Content-Encoding: deflate"), False)) == 200
    echoed = raw(server, seldon(json.dumps({"binData": base64.b64encode(b"xyz").decode()})), False)
    assert status(echoed) == 400, "a table model takes no bytes, and says so"
