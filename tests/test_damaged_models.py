# SPDX-License-Identifier: Apache-2.0
"""Model files that are damaged, cut, or made to hurt: each ends in an error that names the place, never in a crash or a hang."""
import gzip
import json
import re
import subprocess

import pytest

pytestmark = pytest.mark.filterwarnings("ignore")


def change(path, *steps):
    """A JSON model with one value changed: steps lead to it, the last is the new value (a function gets the old one)."""
    tree = json.loads(path.read_text())
    at = tree
    for step in steps[:-2]:
        at = at[step]
    new = steps[-1]
    at[steps[-2]] = new(at[steps[-2]]) if callable(new) else new
    return json.dumps(tree).encode()


def remove(path, *steps):
    tree = json.loads(path.read_text())
    at = tree
    for step in steps[:-1]:
        at = at[step]
    del at[steps[-1]]
    return json.dumps(tree).encode()


def put(values, index, value):
    return [*values[:index], value, *values[index + 1:]]


TREE = ("learner", "gradient_booster", "model", "trees", 3)


def xgboost_rows(d):
    x = d / "xgb-binary.json"
    text = x.read_bytes()
    return [
        ("cut in half", text[: len(text) // 2]),
        ("cut by one byte", text[:-1]),
        ("text behind", text + b"{}"),
        ("no learner", b'{"version":[3,2,0]}'),
        ("learner a list", b'{"version":[3,2,0],"learner":[]}'),
        ("no booster", remove(x, "learner", "gradient_booster")),
        ("no objective", remove(x, "learner", "objective")),
        ("unknown objective", change(x, "learner", "objective", "name", "rank:by_mood")),
        ("unknown booster", change(x, "learner", "gradient_booster", "name", "gbforest")),
        ("left child out of range", change(x, *TREE, "left_children", lambda v: put(v, 0, 900))),
        ("right child negative", change(x, *TREE, "right_children", lambda v: put(v, 0, -7))),
        ("a cycle", change(x, *TREE, "left_children", lambda v: put(v, 1, 0))),
        ("a node with two parents", change(x, *TREE, "right_children", lambda v: put(v, 0, v[0] - 1))),
        ("feature out of range", change(x, *TREE, "split_indices", lambda v: put(v, 0, 99))),
        ("feature negative", change(x, *TREE, "split_indices", lambda v: put(v, 0, -1))),
        ("arrays of different lengths", change(x, *TREE, "split_conditions", lambda v: v[:-1])),
        ("empty tree", change(x, *TREE, "left_children", [])),
        ("node count that lies", change(x, *TREE, "tree_param", "num_nodes", "999999999")),
        ("node count not a number", change(x, *TREE, "tree_param", "num_nodes", "many")),
        ("threshold a string", change(x, *TREE, "split_conditions", lambda v: put(v, 0, "x"))),
        ("tree_info of the wrong length", change(x, "learner", "gradient_booster", "model", "tree_info", [0])),
        ("tree_info out of range", change(x, "learner", "gradient_booster", "model", "tree_info", lambda v: put(v, 0, 5))),
        ("num_class absurd", change(x, "learner", "learner_model_param", "num_class", "4000000000")),
        ("num_feature negative", change(x, "learner", "learner_model_param", "num_feature", "-3")),
        ("base_score nonsense", change(x, "learner", "learner_model_param", "base_score", "half")),
        ("trees not a list", change(x, "learner", "gradient_booster", "model", "trees", 5)),
        ("deep nesting", b'{"learner":' + b"[" * 100000),
    ]


def ubj_rows(d):
    data = (d / "xgb-binary.ubj").read_bytes()
    where = data.index(b"left_children")
    return [
        ("ubj cut in half", data[: len(data) // 2]),
        ("ubj cut by one", data[:-1]),
        ("ubj array of a huge count", data[:where + 13] + b"[$l#L" + b"\x7f" + b"\xff" * 7 + data[where + 26:]),
        ("ubj key of a huge length", b"{L\x7f" + b"\xff" * 7 + b"learner"),
        ("ubj unknown marker", b"{L\0\0\0\0\0\0\0\x07learnerQ}"),
        ("ubj negative length", b"{L\xff\xff\xff\xff\xff\xff\xff\xfflearner{}}"),
        ("ubj deep", b"{L\0\0\0\0\0\0\0\x07learner" + b"[" * 100000),
    ]


def lightgbm_rows(d):
    text = (d / "lgb-binary.txt").read_text()

    def sub(pattern, new, count=1):
        changed = re.sub(pattern, new, text, count=count, flags=re.M)
        assert changed != text, pattern
        return changed.encode()

    return [
        ("lightgbm cut in half", text[: len(text) // 2].encode()),
        ("lightgbm without trees", text[: text.index("Tree=0")].encode()),
        ("lightgbm unknown objective", sub(r"^objective=.*", "objective=mood")),
        ("lightgbm no features", sub(r"^max_feature_idx=.*", "max_feature_idx=-1")),
        ("lightgbm feature out of range", sub(r"^split_feature=\d+", "split_feature=99")),
        ("lightgbm child out of range", sub(r"^left_child=-?\d+", "left_child=900")),
        ("lightgbm leaf out of range", sub(r"^left_child=-?\d+", "left_child=-900")),
        ("lightgbm a cycle", sub(r"^left_child=-?\d+", "left_child=0")),
        ("lightgbm too few thresholds", sub(r"^threshold=\S+ ", "threshold=")),
        ("lightgbm threshold not a number", sub(r"^threshold=\S+", "threshold=abc")),
        ("lightgbm leaf count that lies", sub(r"^num_leaves=\d+", "num_leaves=100000000")),
        ("lightgbm leaf count negative", sub(r"^num_leaves=\d+", "num_leaves=-4")),
        ("lightgbm class count absurd", sub(r"^num_class=\d+", "num_class=999999999")),
        ("lightgbm unknown decision type", sub(r"^decision_type=\d+", "decision_type=255")),
        ("lightgbm without leaf values", sub(r"^leaf_value=.*\n", "")),
    ]


def onnx_rows(d):
    import onnx

    data = (d / "lr.onnx").read_bytes()

    def edit(function, name="lr.onnx"):
        model = onnx.load(d / name)
        function(model)
        return model.SerializeToString()

    def attribute(model, name):
        return next(a for n in model.graph.node for a in n.attribute if a.name == name)

    def loop(model):
        model.graph.node[0].input[0] = model.graph.node[-1].output[-1]

    return [
        ("onnx cut in half", data[: len(data) // 2]),
        ("onnx cut by one", data[:-1]),
        ("onnx without a graph", edit(lambda m: m.ClearField("graph"))),
        ("onnx without nodes", edit(lambda m: m.graph.ClearField("node"))),
        ("onnx without inputs", edit(lambda m: m.graph.ClearField("input"))),
        ("onnx output nobody makes", edit(lambda m: m.graph.output.append(onnx.helper.make_tensor_value_info("ghost", 1, [None, 2])))),
        ("onnx node reads nothing known", edit(lambda m: m.graph.node[0].input.__setitem__(0, "ghost"))),
        ("onnx a loop", edit(loop)),
        ("onnx coefficients missing", edit(lambda m: attribute(m, "coefficients").floats.pop())),
        ("onnx no coefficients", edit(lambda m: attribute(m, "coefficients").ClearField("floats"))),
        ("onnx unknown post transform", edit(lambda m: attribute(m, "post_transform").__setattr__("s", b"MAGIC"))),
        ("onnx initializer shorter than its shape", edit(lambda m: m.graph.initializer.append(
            onnx.TensorProto(dims=[1000, 1000], data_type=1, raw_data=b"\0" * 8, name="w")))),
        ("onnx initializer of negative size", edit(lambda m: m.graph.initializer.append(onnx.TensorProto(dims=[-5], data_type=1, name="w")))),
        ("onnx initializer of huge size", edit(lambda m: m.graph.initializer.append(onnx.TensorProto(dims=[2**40, 2**40], data_type=1, name="w")))),
        ("onnx external data", edit(lambda m: m.graph.initializer.append(onnx.TensorProto(
            dims=[2], data_type=1, name="w", data_location=1,
            external_data=[onnx.StringStringEntryProto(key="location", value="/etc/passwd")])))),
        ("onnx two makers of one name", edit(lambda m: m.graph.node.append(m.graph.node[0]))),
    ]


def other_rows(d):
    linear = d / "lr.json"
    return [
        ("empty", b""),
        ("one byte", b"{"),
        ("noise", bytes(range(256)) * 40),
        ("only spaces", b" " * 5000),
        ("zeros", b"\0" * 5000),
        ("plain words", b"this is not a model\n"),
        ("html", b"<!DOCTYPE html><html><body>404</body></html>"),
        ("json of something else", b'{"hello":"world"}'),
        ("joblib", (d / "lr.joblib").read_bytes()),
        ("compressed pickle", gzip.compress((d / "lr.joblib").read_bytes())),
        ("linear without coef", remove(linear, "coef")),
        ("linear coef a string", change(linear, "coef", "x")),
        ("linear coef ragged", change(linear, "coef", [[1, 2], [3]])),
        ("linear features of another count", change(linear, "features", ["a", "b"])),
        ("linear intercept of another count", change(linear, "intercept", [1, 2, 3])),
        ("linear coef not finite", (linear.read_text().replace("[[", "[[1e999,", 1)).encode()),
        ("linear unknown task", change(linear, "task", "guessing")),
        ("linear version from the future", change(linear, "version", 99)),
        ("linear classes of another count", change(linear, "classes", [0])),
        ("safetensors header too long", b"\xff" * 8 + b"{}"),
        ("safetensors offsets out of range", (64).to_bytes(8, "little") + b'{"coef":{"dtype":"F64","shape":[1,3],"data_offsets":[0,2400]}}'.ljust(64)),
    ]


@pytest.fixture(scope="module")
def rows(models_dir):
    return [row for make in (xgboost_rows, ubj_rows, lightgbm_rows, onnx_rows, other_rows) for row in make(models_dir)]


def test_the_table_is_as_long_as_promised(rows):
    assert len(rows) >= 60


def test_each_damaged_file_gets_an_error_with_a_place(rows, hythe, tmp_path):
    wrong = []
    for number, (name, data) in enumerate(rows):
        path = tmp_path / f"damaged-{number}"
        path.write_bytes(data)
        done = subprocess.run([hythe, "inspect", path], capture_output=True, text=True, timeout=60)
        if done.returncode != 1 or f"damaged-{number}" not in done.stderr or len(done.stderr) < len(str(path)) + 15:
            wrong.append((name, done.returncode, done.stdout[:200], done.stderr[:400]))
    assert not wrong


def test_a_pickle_is_told_how_to_convert(hythe, models_dir):
    done = subprocess.run([hythe, "inspect", models_dir / "lr.joblib"], capture_output=True, text=True, timeout=60)
    assert done.returncode == 1 and "hythe convert" in done.stderr


def test_every_cut_of_a_small_model_is_refused(hythe, models_dir, tmp_path):
    """A folder of all prefixes would be thousands of processes: a step of a prime covers every region."""
    for name, step in (("lr.onnx", 37), ("lr.json", 29), ("xgb-binary.ubj", 1777), ("lgb-binary.txt", 1777)):
        data = (models_dir / name).read_bytes()
        for end in range(0, len(data) - 1, step):
            path = tmp_path / "cut"
            path.write_bytes(data[:end])
            done = subprocess.run([hythe, "inspect", path], capture_output=True, text=True, timeout=60)
            if name == "lgb-binary.txt" and done.returncode == 0:
                assert b"end of trees" in data[:end], (name, end)
                continue
            assert done.returncode == 1, (name, end, done.returncode, done.stderr[-500:])
