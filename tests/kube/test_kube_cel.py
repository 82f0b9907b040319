# SPDX-License-Identifier: Apache-2.0
"""The expression language against the CEL specification's own conformance data (Go module cel.dev/expr, tests/simple/testdata)."""
import json
import os
import pathlib
import re
import shutil
import subprocess

import pytest

MODULE = "cel.dev/expr@v0.19.1"
FILES = ["basic", "comparisons", "conversions", "fields", "fp_math", "integer_math", "lists", "logic", "macros", "optionals", "parse",
         "plumbing", "string", "string_ext", "timestamps"]
# What is not run, by what its expression or its name holds, with the reason.
SKIPPED = {
    r"TestAllTypes|NestedMessage|GlobalEnum|google\.protobuf\.(?!Timestamp|Duration)|google\.type|\{(single|repeated)": "there are no messages (protocol buffers)",
    r"`": "names in backquotes are not in Kubernetes' grammar",
    r"\.reverse\(\)": "in no version of the strings library that Kubernetes has",
    r"container|x\.y|a\.b\.c|qualified": "there are no containers and no names with dots",
    r"cel\.bind|math\.|proto\.|cel\.block": "libraries that Kubernetes has not",
}
# By name: where the real server is of an older mind than the data, or checks types first.
SKIPPED_NAMES = {
    r"optionals/(map_null_entry_no_such_key|map_present_key_invalid_field)": "absent below what has no fields, in the real server's cel-go",
    r"value_errors/(last)?indexof_out_of_range": "-1 in the version of the strings library that Kubernetes has",
    r"unbound_is_runtime_error": "a fault of types here",
}
TOKEN = re.compile(r'\s*(?:#[^\n]*\n\s*)*("(?:\\.|[^"\\])*"|\'(?:\\.|[^\'\\])*\'|[{}\[\]:,<>;]|[^\s{}\[\]:,<>;"\']+)')


def tokens(text):
    at = 0
    while match := TOKEN.match(text, at):
        at = match.end()
        yield match.group(1)


def unquote(text):
    """A textproto string as bytes."""
    out, body, i = bytearray(), text[1:-1], 0
    plain = {"n": 10, "t": 9, "r": 13, "a": 7, "b": 8, "f": 12, "v": 11, "\\": 92, "'": 39, '"': 34, "?": 63}
    while i < len(body):
        if body[i] != "\\":
            out += body[i].encode()
            i += 1
        elif body[i + 1] in plain:
            out.append(plain[body[i + 1]])
            i += 2
        elif body[i + 1] in "xX":
            digits = re.match(r"[0-9a-fA-F]{1,2}", body[i + 2:]).group()
            out.append(int(digits, 16))
            i += 2 + len(digits)
        elif body[i + 1] in "uU":
            n = 4 if body[i + 1] == "u" else 8
            out += chr(int(body[i + 2:i + 2 + n], 16)).encode()
            i += 2 + n
        else:
            digits = re.match(r"[0-7]{1,3}", body[i + 1:]).group()
            out.append(int(digits, 8) & 255)
            i += 1 + len(digits)
    return bytes(out)


def parse(stream):
    """The members of a message: a list of (name, value); messages are lists, strings bytes, other scalars text."""
    members, name = [], next(stream, None)
    while name not in (None, "}", ">"):
        if name in (",", ";"):
            name = next(stream, None)
            continue
        token = next(stream)
        if token == ":":
            token = next(stream)
        if name == "[":  # the name of a type: [type.googleapis.com/x] { ... }
            while token != "]":
                token = next(stream)
            name, token = "[type]", next(stream)
        if token in ("{", "<"):
            members.append((name, parse(stream)))
        elif token == "[":
            token = next(stream)
            while token != "]":
                if token == "{":
                    members.append((name, parse(stream)))
                elif token != ",":
                    members.append((name, token))
                token = next(stream)
        elif token[0] in "\"'":
            value = unquote(token)
            name_now, name = name, next(stream, None)
            while name is not None and name[0] in "\"'":
                value += unquote(name)
                name = next(stream, None)
            members.append((name_now, value))
            continue
        else:
            members.append((name, token))
        name = next(stream, None)
    return members


def first(members, name, otherwise=None):
    return next((value for key, value in members if key == name), otherwise)


def text_of(value):
    return "".join(c if c.isprintable() and c not in "\"\\" else f"\\U{ord(c):08x}" for c in value.decode())


def expression(value):
    """A value of the conformance data as an expression."""
    if not value:
        return "null"
    kind, v = value[0]
    if kind == "null_value":
        return "null"
    if kind == "bool_value":
        return v
    if kind == "int64_value":
        return v
    if kind == "uint64_value":
        return v + "u"
    if kind == "double_value":
        return f'double("{v}")'
    if kind == "string_value":
        return f'"{text_of(v)}"'
    if kind == "bytes_value":
        return 'b"' + "".join(f"\\x{b:02x}" for b in v) + '"'
    if kind == "type_value":
        return v.decode()
    if kind == "list_value":
        return "[" + ", ".join(expression(x) for key, x in v if key == "values") + "]"
    if kind == "map_value":
        return "{" + ", ".join(expression(first(x, "key", [])) + ": " + expression(first(x, "value", []))
                               for key, x in v if key == "entries") + "}"
    return None


def cases():
    if not shutil.which("go"):
        return []
    try:
        ran = subprocess.run(["go", "mod", "download", "-json", MODULE], capture_output=True, text=True, env={**os.environ, "GOFLAGS": "-mod=mod"},
                             cwd="/", timeout=300)
    except subprocess.TimeoutExpired:
        return []
    if ran.returncode:
        return []
    folder = pathlib.Path(json.loads(ran.stdout)["Dir"]) / "tests/simple/testdata"
    found = []
    for name in FILES:
        for key, section in parse(tokens((folder / f"{name}.textproto").read_text())):
            if key != "section":
                continue
            label = first(section, "name", b"").decode()
            found += [(f"{name}/{label}/{first(one, 'name', b'').decode()}", one) for key, one in section if key == "test"]
    return found


CASES = cases()


def why_skipped(name, one):
    expr = first(one, "expr", b"").decode()
    if first(one, "check_only") == "true":
        return "asks for types only"
    if first(one, "disable_check") == "true":
        return "types are always checked here"
    for pattern, reason in SKIPPED_NAMES.items():
        if re.search(pattern, name):
            return reason
    for pattern, reason in SKIPPED.items():
        if re.search(pattern, expr) or (reason.startswith("there are no containers") and (first(one, "container") or re.search(r"[a-z]\.", str([first(b, "key") for k, b in one if k == "bindings"])))):
            return reason
    return ""


@pytest.fixture(scope="module")
def tool():
    binary = pathlib.Path(os.environ.get("HYTHE", "build/hythe")).resolve().parent / "cel_tool"
    if not binary.exists():
        pytest.skip("cel_tool is not built")
    with subprocess.Popen([str(binary)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, encoding="utf-8", errors="replace") as process:
        yield process
        process.stdin.close()


def ask(process, expr, variables):
    process.stdin.write(json.dumps({"expr": expr, "vars": variables}) + "\n")
    process.stdin.flush()
    return process.stdout.readline().rstrip("\n").split(" ", 1)


@pytest.mark.skipif(not CASES, reason="no go, or the module proxy is not reached")
@pytest.mark.parametrize("name,one", CASES, ids=[name for name, _ in CASES])
def test_the_specification_s_case_holds(tool, name, one):
    if reason := why_skipped(name, one):
        pytest.skip(reason)
    expr = first(one, "expr").decode()
    variables = {}
    for key, binding in one:
        if key == "bindings":
            text = expression(first(first(binding, "value", []), "value", []))
            if text is None:
                pytest.skip("there are no messages (protocol buffers)")
            variables[first(binding, "key").decode()] = text
    if any(key in ("eval_error", "any_eval_errors") for key, _ in one):
        word, text = ask(tool, expr, variables)
        assert word in ("error", "fault"), text
        return
    wanted = expression(first(one, "value", [("bool_value", "true")]))
    if wanted is None:
        pytest.skip("there are no messages (protocol buffers)")
    word, text = ask(tool, expr, variables)
    assert word == "value", text
    if re.fullmatch(r'double\("nan"\)', wanted, re.I):
        assert text in ("NaN", '"NaN"')
        return
    word, same = ask(tool, f"type(dyn({expr}\n)) == type(dyn({wanted})) && dyn({expr}\n) == dyn({wanted})", variables)
    assert same == "true", f"{text} is not {wanted}"
