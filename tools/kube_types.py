#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The table of Kubernetes' built-in types.

kube_types.py fetch [VERSION]
    Reads the Go modules k8s.io/api, apimachinery, apiextensions-apiserver and metrics (go mod download) and writes
    src/kube/schema/types.def: names, numbers, types and merge rules of each field. No text of theirs is copied.

kube_types.py table TYPES.DEF DESCRIPTIONS.TXT OUT.INC
    Makes the C table of types.def and descriptions.txt (lines "Type: text" and "Type.field: text"); for the build.
"""
import json
import os
import pathlib
import re
import subprocess
import sys

VERSION = "v0.33.13"
HERE = pathlib.Path(__file__).resolve().parent.parent / "src/kube/schema"

META = "k8s.io/apimachinery/pkg/apis/meta/v1"
# Module, folder, import path. The OpenAPI name is made of the import path.
PACKAGES = [
    ("k8s.io/apimachinery", "pkg/apis/meta/v1"),
    *(
        ("k8s.io/api", folder)
        for folder in (
            "admissionregistration/v1 apps/v1 authentication/v1 authorization/v1 autoscaling/v1 autoscaling/v2 batch/v1 "
            "certificates/v1 coordination/v1 core/v1 discovery/v1 events/v1 flowcontrol/v1 networking/v1 node/v1 policy/v1 rbac/v1 "
            "scheduling/v1 storage/v1"
        ).split()
    ),
    ("k8s.io/apiextensions-apiserver", "pkg/apis/apiextensions/v1"),
    ("k8s.io/metrics", "pkg/apis/metrics/v1beta1"),
]

# Types that are not objects in JSON: what they are, and what Go calls them in messages.
SPECIAL = {
    f"{META}.Time": ("TIME", "v1.Time"),
    f"{META}.MicroTime": ("MICRO_TIME", "v1.MicroTime"),
    f"{META}.Duration": ("DURATION", "v1.Duration"),
    f"{META}.FieldsV1": ("ANY", "v1.FieldsV1"),
    "k8s.io/apimachinery/pkg/api/resource.Quantity": ("QUANTITY", "resource.Quantity"),
    "k8s.io/apimachinery/pkg/util/intstr.IntOrString": ("INT_OR_STRING", "intstr.IntOrString"),
    "k8s.io/apimachinery/pkg/runtime.RawExtension": ("ANY", "runtime.RawExtension"),
}
SCHEMA = "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
SPECIAL[f"{SCHEMA}.JSON"] = ("ANY", "v1.JSON")
SPECIAL[f"{SCHEMA}.JSONSchemaPropsOrArray"] = ("SCHEMA_OR_ARRAY", "v1.JSONSchemaPropsOrArray")
SPECIAL[f"{SCHEMA}.JSONSchemaPropsOrBool"] = ("SCHEMA_OR_BOOL", "v1.JSONSchemaPropsOrBool")
SPECIAL[f"{SCHEMA}.JSONSchemaPropsOrStringArray"] = ("SCHEMA_OR_STRINGS", "v1.JSONSchemaPropsOrStringArray")
SCALARS = {
    "string": "STRING",
    "bool": "BOOL",
    "int32": "INT32",
    "int64": "INT64",
    "int": "INT64",
    "float64": "DOUBLE",
    "byte": "INT32",
}


def openapi_prefix(path):
    """k8s.io/api/core/v1 is io.k8s.api.core.v1"""
    host, rest = path.split("/", 1)
    return ".".join(reversed(host.split("."))) + "." + rest.replace("/", ".")


class Package:
    """The types of one Go package: structs with their fields, other names with what they stand for."""

    def __init__(self, path, folder):
        self.path = path
        self.short = path.rsplit("/", 1)[1]
        self.structs, self.aliases, self.enums, self.constants = {}, {}, set(), {}
        self.values, self.borrowed = {}, []
        for file in sorted(folder.glob("*.go")):
            if not file.name.endswith("_test.go") and "generated" not in file.name:
                self.read(file.read_text())
        self.messages = read_proto((folder / "generated.proto").read_text())

    def read(self, text):
        imports = dict(re.findall(r'^\s+(?:import )?(\w+) "([^"]+)"', text, re.M))
        for line in re.findall(r'^\s+"([^"]+)"$', text, re.M):
            imports.setdefault(line.rsplit("/", 1)[-1], line)
        comments, struct = [], None
        for line in text.split("\n"):
            stripped = line.strip()
            if stripped.startswith("//"):
                comments.append(stripped[2:].strip())
                continue
            start = re.match(r"type (\w+) struct ?\{(\})?", line)
            alias = re.match(r"type (\w+) =? ?([\w.\[\]*]+)$", line)
            constant = re.match(r'\s+(\w+)\s+(\w+)\s*=\s*"([^"]*)"', line)
            constant = constant or re.match(r'\s+(\w+)\s*=\s*(\w+)\("([^"]*)"\)', line)
            borrowed = re.match(r"\s+\w+\s*=\s*(\w+)\((\w+)\.(\w+)\)", line)
            if borrowed and borrowed[2] in imports:
                self.borrowed.append((borrowed[1], imports[borrowed[2]], borrowed[3]))
            if start:
                struct = self.structs[start[1]] = {"marks": comments, "fields": [], "imports": imports}
                if start[2]:
                    struct = None
            elif line == "}":
                struct = None
            elif struct is not None and "`" in line:
                struct["fields"].append(self.field(stripped, comments))
            elif alias:
                self.aliases[alias[1]] = (alias[2], imports)
                if "+enum" in comments:
                    self.enums.add(alias[1])
            elif constant:
                self.constants[constant[1]] = constant[3]
                self.values.setdefault(constant[2], []).append(constant[3])
            if stripped or struct is None:
                comments = []

    @staticmethod
    def field(line, comments):
        found = re.match(r"(?:(\w+)\s+)?([\w.\[\]*{}]+)\s+`(.*)`", line)
        if not found:
            raise ValueError(line)
        tags = dict(re.findall(r'(\w+):"([^"]*)"', found[3]))
        return {"go": found[1], "type": found[2], "tags": tags, "marks": [c for c in comments if c.startswith("+")]}


def read_proto(text):
    """{message: {field name: (number, type)}}"""
    messages, current = {}, None
    for line in text.split("\n"):
        start = re.match(r"message (\w+) \{", line)
        field = re.match(r"\s+(optional |repeated |required )?(map<[^>]+>|[\w.]+) (\w+) = (\d+)", line)
        if start:
            current = messages[start[1]] = {}
        elif field and current is not None:
            current[field[3]] = (int(field[4]), field[2])
    return messages


class Types:
    def __init__(self, packages):
        self.packages = {p.path: p for p in packages}
        for package in packages:
            for name, path, constant in package.borrowed:
                if path in self.packages and constant in self.packages[path].constants:
                    package.values.setdefault(name, []).append(self.packages[path].constants[constant])

    def resolve(self, name, package, imports):
        """The package and name of a Go type as written in a package."""
        if "." in name:
            short, name = name.split(".")
            return imports[short], name
        return package.path, name

    def shape(self, text, package, imports):
        """(shape, kind, reference or None, Go's name, named type or None)"""
        text = text.lstrip("*")
        if text == "[]byte":
            return "ONE", "BYTES", None, "[]uint8", None
        if text.startswith("[]"):
            shape, kind, reference, go, named = self.shape(text[2:], package, imports)
            assert shape == "ONE", text
            return "LIST", kind, reference, "[]" + go, named
        if text.startswith("map["):
            key, value = re.match(r"map\[([\w.]+)\](.*)$", text).groups()
            shape, kind, reference, go, named = self.shape(value, package, imports)
            if shape == "LIST" and kind == "STRING":
                kind = "STRINGS"
            else:
                assert shape == "ONE", text
            return "MAP", kind, reference, f"map[{self.go_name(key, package, imports)}]{go}", named
        if text in SCALARS:
            return "ONE", SCALARS[text], None, text, None
        path, name = self.resolve(text, package, imports)
        full = f"{path}.{name}"
        if full in SPECIAL:
            kind, go = SPECIAL[full]
            reference = f"{SCHEMA}.JSONSchemaProps" if kind.startswith("SCHEMA") else None
            return "ONE", kind, reference, go, None
        if full == "k8s.io/apimachinery/pkg/types.UID":
            return "ONE", "STRING", None, "types.UID", None
        if full.startswith("k8s.io/apimachinery/pkg/types."):
            return "ONE", "STRING", None, "types." + name, None
        owner = self.packages.get(path)
        if owner is None and path.endswith("apis/meta/v1"):
            owner = self.packages[META]
        if owner is None:
            # Scalars of packages that are not in the table.
            if path.startswith("k8s.io/api") and name in OUTSIDE:
                return "ONE", OUTSIDE[name], None, f"{path.rsplit('/', 1)[1]}.{name}", None
            raise KeyError(full)
        if name in owner.aliases:
            target, target_imports = owner.aliases[name]
            shape, kind, reference, go, named = self.shape(target, owner, target_imports)
            if "[" not in target:
                named = (owner.path, name)
            return shape, kind, reference, f"{owner.short}.{name}", named
        if name not in owner.structs:
            raise KeyError(full)
        return "ONE", "OBJECT", f"{owner.path}.{name}", f"{owner.short}.{name}", None

    def go_name(self, key, package, imports):
        if key in SCALARS:
            return key
        path, name = self.resolve(key, package, imports)
        return f"{path.rsplit('/', 1)[1]}.{name}"

    def fields(self, package, name):
        """Lines of a type: its fields, those of what it embeds flattened."""
        struct = package.structs[name]
        out, inlines = {}, []
        for field in struct["fields"]:
            json_tag = field["tags"].get("json", "")
            json_name, _, options = json_tag.partition(",")
            number = int(field["tags"].get("protobuf", "x,0").split(",")[1])
            if json_name == "-":
                continue
            if "inline" in options or (not json_name and not field["go"]):
                path, inner = self.resolve(field["type"].lstrip("*"), package, struct["imports"])
                inner_fields, inner_inlines = self.fields(self.packages[path], inner)
                for key, value in inner_fields.items():
                    out[key] = dict(value, number=0)
                if number:
                    inlines.append((number, f"{path}.{inner}"))
                else:
                    assert not inner_inlines, name
                continue
            out[json_name] = self.field(package, struct, name, field, json_name, options, number)
        return out, inlines

    def field(self, package, struct, owner, field, json_name, options, number):
        shape, kind, reference, go, named = self.shape(field["type"], package, struct["imports"])
        marks = field["marks"]
        mark = lambda key: [m.split("=", 1)[1] for m in marks if m.startswith(f"+{key}=")]
        proto = package.messages.get(owner)
        if proto is not None and number:
            proto_name = re.search(r"name=(\w+)", field["tags"]["protobuf"])
            proto_name = proto_name[1] if proto_name else json_name
            if proto.get(proto_name, (0,))[0] != number:
                raise ValueError(f"{owner}.{json_name}: number {number}, generated.proto has {proto.get(proto_name)}")
        flags = []
        is_optional = "omitempty" in options or "+optional" in marks
        if not is_optional or "+required" in marks:
            flags.append("required")
        if "omitempty" in options:
            flags.append("omit")
        if field["type"].startswith("*"):
            flags.append("pointer")
        strategy = field["tags"].get("patchStrategy", "").split(",")
        merge_key = field["tags"].get("patchMergeKey")
        if "merge" in strategy:
            flags.append(f"merge={merge_key}" if merge_key else "merge")
        if "retainKeys" in strategy:
            flags.append("retain")
        list_type, keys = mark("listType"), mark("listMapKey")
        if shape == "LIST":
            if list_type == ["map"]:
                flags.append("list=" + ",".join(keys))
            elif list_type == ["set"] or (not list_type and "merge" in strategy and not merge_key):
                flags.append("set")
            elif not list_type and "merge" in strategy:
                flags.append("list=" + merge_key)
        if mark("mapType") == ["atomic"] or mark("structType") == ["atomic"]:
            flags.append("atomic")
        for default in mark("default"):
            constant = re.match(r"ref\((?:.*\.)?(\w+)\)", default)
            flags.append("default=" + (json.dumps(package.constants[constant[1]]) if constant else default))
        if shape != "MAP" and named and named[1] in self.packages[named[0]].enums:
            values = sorted(set(self.packages[named[0]].values.get(named[1], [])))
            flags.append("enum=" + ",".join(values))
        return {"number": number, "shape": shape, "kind": kind, "type": reference, "go": go, "flags": flags}


OUTSIDE = {}


def fetch(version):
    folders = {}
    for module in sorted({m for m, _ in PACKAGES}):
        found = subprocess.run(
            ["go", "mod", "download", "-json", f"{module}@{version}"],
            check=True, capture_output=True, text=True, env={**os.environ, "GOFLAGS": "-mod=mod"}, cwd="/",
        )
        folders[module] = pathlib.Path(json.loads(found.stdout)["Dir"])
    packages = [Package(f"{m}/{f}", folders[m] / f) for m, f in PACKAGES]
    types = Types(packages)
    out = [
        "# SPDX-License-Identifier: Apache-2.0",
        f"# The fields of Kubernetes' built-in types, made by tools/kube_types.py from the Go modules of {version}.",
        "# type NAME [atomic]; below it a line a field: name, number in protobuf, shape:kind, Go's type, rules.",
        "# .inline NUMBER TYPE: in protobuf a message of its own, in JSON its members are here.",
    ]
    for package in packages:
        out.append(f"package {openapi_prefix(package.path)}")
        for name in sorted(package.structs):
            full = f"{package.path}.{name}"
            if name not in package.messages or full in SPECIAL:
                continue
            try:
                fields, inlines = types.fields(package, name)
            except KeyError as e:
                print(f"{full}: left out: {e}", file=sys.stderr)
                continue
            marks = package.structs[name]["marks"]
            out.append(f"type {name}" + (" atomic" if "+structType=atomic" in marks else ""))
            for key in sorted(fields):
                f = fields[key]
                kind = f["kind"]
                if f["type"]:
                    path, inner = f["type"].rsplit(".", 1)
                    reference = inner if path == package.path else openapi_prefix(path) + "." + inner
                    kind = reference if kind == "OBJECT" else kind + "/" + reference
                out.append(" ".join([f" {key}", str(f["number"]), f"{f['shape'].lower()}:{kind}", f["go"], *f["flags"]]))
            for number, reference in inlines:
                path, inner = reference.rsplit(".", 1)
                reference = inner if path == package.path else openapi_prefix(path) + "." + inner
                out.append(f" .inline {number} {reference}")
    (HERE / "types.def").write_text("\n".join(out) + "\n")


# ---- the C table ----


def c_text(text):
    return json.dumps(text, ensure_ascii=False).replace("??", '?""?') if text is not None else "NULL"


def read_def(path):
    types, prefix, current = {}, None, None
    for line in pathlib.Path(path).read_text().split("\n"):
        line, *tail = re.split(" (?=enum=|default=)", line)  # these may hold spaces, and come last
        words = line.split()
        if not words or line.startswith("#"):
            continue
        is_field = line.startswith(" ")
        if words[0] == "package" and not is_field:
            prefix = words[1]
        elif words[0] == "type" and not is_field:
            current = types[f"{prefix}.{words[1]}"] = {"atomic": "atomic" in words[2:], "fields": {}, "inlines": []}
        elif words[0] == ".inline":
            current["inlines"].append((int(words[1]), absolute(words[2], prefix)))
        else:
            name, number, kind, go = words[:4]
            shape, kind = kind.split(":", 1)
            reference = None
            if "/" in kind:
                kind, reference = kind.split("/")
            elif not kind.isupper():
                kind, reference = "OBJECT", kind
            current["fields"][name] = {
                "number": int(number), "shape": shape.upper(), "kind": kind,
                "type": absolute(reference, prefix) if reference else None, "go": go, "rules": words[4:] + tail,
            }
    return types


def absolute(name, prefix):
    return name if "." in name else f"{prefix}.{name}"


def read_descriptions(path, types):
    """Lines "core.v1.PodSpec.nodeName: text"; the type may be written by its last name when only one has it."""
    by_end = {}
    for name in types:
        parts = name.split(".")
        for start in range(len(parts)):
            by_end.setdefault(".".join(parts[start:]), set()).add(name)
    out, lines = {}, pathlib.Path(path).read_text().split("\n")
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.startswith("#"):
            continue
        key, found, text = line.partition(": ")
        if not found:
            sys.exit(f"{path}:{number}: no ': '")
        owner, field = key, None
        if owner not in by_end:
            owner, _, field = key.rpartition(".")
            if owner not in by_end:
                sys.exit(f"{path}:{number}: no type '{owner}'")
        owners = by_end[owner]
        if field is not None:
            owners = {o for o in owners if field in types[o]["fields"]}
        if not owners:
            sys.exit(f"{path}:{number}: no field '{field}' in '{owner}'")
        for full in owners:
            old = out.get((full, field))
            # The longer name of a type is the more exact one.
            if old is None or old[0] < len(owner):
                out[(full, field)] = (len(owner), text.strip())
            elif old[0] == len(owner):
                sys.exit(f"{path}:{number}: '{key}' is described twice")
    return {key: text for key, (_, text) in out.items()}


FLAGS = {
    "required": "FIELD_REQUIRED", "omit": "FIELD_OMIT_EMPTY", "pointer": "FIELD_POINTER", "retain": "FIELD_RETAIN_KEYS",
    "atomic": "FIELD_MAP_ATOMIC",
}


# What is described once: fields that every root has, that every list has, that every condition has; and types like another.
EVERYWHERE = {
    "apiVersion": "Group and version of this object's form, as in apps/v1.",
    "kind": "What kind of object this is.",
    "metadata": "Name, labels and the server's own notes on the object.",
    "spec": "What is wanted.",
    "status": "What is. Written by the system.",
}
CONDITION = {
    "lastTransitionTime": "When the status last changed.",
    "lastUpdateTime": "When it was last looked at.",
    "message": "What happened, for people.",
    "reason": "Why, in one word for programs.",
    "status": "True, False or Unknown.",
    "type": "What the condition is about.",
}
LIKE = {
    "io.k8s.api.core.v1.EphemeralContainerCommon": "io.k8s.api.core.v1.Container",
    "io.k8s.api.core.v1.EphemeralContainer": "io.k8s.api.core.v1.Container",
    "io.k8s.api.core.v1.ReplicationControllerSpec": "io.k8s.api.apps.v1.ReplicaSetSpec",
    "io.k8s.api.core.v1.ReplicationControllerStatus": "io.k8s.api.apps.v1.ReplicaSetStatus",
    "io.k8s.api.events.v1.Event": "io.k8s.api.core.v1.Event",
}


def inherit(types, descriptions):
    """Fields that every type has, and fields taken over from an embedded type, are described once."""
    for name, t in types.items():
        last = name.rsplit(".", 1)[1]
        is_root = "apiVersion" in t["fields"] and "metadata" in t["fields"]
        is_list = is_root and last.endswith("List") and "items" in t["fields"]
        if is_list:
            descriptions.setdefault((name, None), f"A list of {last[:-4]} objects.")
            descriptions.setdefault((name, "items"), "The objects.")
            descriptions.setdefault((name, "metadata"), "The version of the list, and where it goes on.")
        elif last.endswith("Condition"):
            descriptions.setdefault((name, None), "One thing that can be said of an object's state.")
        for field in t["fields"]:
            sources = [(inner, field) for _, inner in t["inlines"]] + [(LIKE.get(name), field)]
            for source in sources:
                if source in descriptions:
                    descriptions.setdefault((name, field), descriptions[source])
            if is_root and field in EVERYWHERE:
                descriptions.setdefault((name, field), EVERYWHERE[field])
            if last.endswith("Condition") and field in CONDITION:
                descriptions.setdefault((name, field), CONDITION[field])


def table(def_path, text_path, out_path):
    types = read_def(def_path)
    descriptions = read_descriptions(text_path, types)
    inherit(types, descriptions)
    names = sorted(types)
    index = {name: i for i, name in enumerate(names)}
    out = ["/* Made by tools/kube_types.py of types.def and descriptions.txt. */"]
    rows = []
    for name in names:
        t = types[name]
        fields = sorted(t["fields"].items(), key=lambda item: item[0].encode())
        ident = f"fields_{index[name]}"
        if fields or t["inlines"]:
            out.append(f"static const struct field {ident}[] = {{ /* {name} */")
            for key, f in fields:
                out.append(field_row(name, key, f, index, descriptions))
            for number, inner in t["inlines"]:
                out.append(
                    f"{{ .type = &types[{index[inner]}], .number = {number}, .kind = FIELD_OBJECT, .flags = FIELD_INLINE_PROTO }},"
                )
            out.append("};")
        rows.append(
            f"{{ {c_text(name)}, {c_text(descriptions.get((name, None)))}, {ident if fields or t['inlines'] else 'NULL'}, "
            f"{len(fields)}, {len(t['inlines'])}, {'true' if t['atomic'] else 'false'} }},"
        )
    head = f"static const struct type types[{len(names)}];"
    pathlib.Path(out_path).write_text(
        "\n".join([out[0], head, *out[1:], f"static const struct type types[{len(names)}] = {{", *rows, "};"]) + "\n"
    )


def field_row(owner, key, f, index, descriptions):
    flags, merge_key, list_kind, list_keys, default, enum = [], None, "LIST_ATOMIC", None, None, None
    for rule in f["rules"]:
        word, _, value = rule.partition("=")
        if word in FLAGS:
            flags.append(FLAGS[word])
        elif word == "merge":
            flags.append("FIELD_MERGE")
            merge_key = value or None
        elif word == "set":
            list_kind = "LIST_SET"
        elif word == "list":
            list_kind, list_keys = "LIST_MAP", value
        elif word == "default":
            default = value
        elif word == "enum":
            enum = value
        else:
            sys.exit(f"{owner}.{key}: unknown rule '{rule}'")
    parts = [
        f".name = SPAN_INIT({c_text(key)})",
        f".number = {f['number']}",
        f".kind = FIELD_{f['kind']}",
        f".shape = FIELD_{f['shape']}",
        f".go_type = {c_text(f['go'])}",
    ]
    if f["type"]:
        parts.append(f".type = &types[{index[f['type']]}]")
    if flags:
        parts.append(".flags = " + " | ".join(flags))
    if list_kind != "LIST_ATOMIC":
        parts.append(f".list = {list_kind}")
    for member, value in (("merge_key", merge_key), ("list_keys", list_keys), ("default_json", default), ("enums", enum)):
        if value is not None:
            parts.append(f".{member} = {c_text(value)}")
    text = descriptions.get((owner, key))
    if text:
        parts.append(f".description = {c_text(text)}")
    return "{ " + ", ".join(parts) + " },"


def main():
    if len(sys.argv) >= 2 and sys.argv[1] == "fetch":
        fetch(sys.argv[2] if len(sys.argv) > 2 else VERSION)
    elif len(sys.argv) == 5 and sys.argv[1] == "table":
        table(*sys.argv[2:])
    else:
        sys.exit(__doc__)


if __name__ == "__main__":
    main()
