# SPDX-License-Identifier: Apache-2.0
"""Writes the seed files of the ONNX fuzz target: `python tests/make_onnx_corpus.py fuzz/corpus/onnx` (needs the onnx package)."""
import pathlib
import random
import sys

from onnx import TensorProto, helper

F, D, I, S, B = TensorProto.FLOAT, TensorProto.DOUBLE, TensorProto.INT64, TensorProto.STRING, TensorProto.BOOL
ML, MS = "ai.onnx.ml", "com.microsoft"
draw = random.Random(11)


def floats(count):
    return [round(draw.uniform(-2, 2), 2) for _ in range(count)]


def value(name, kind, *shape):
    return helper.make_tensor_value_info(name, kind, shape)


def constant(name, kind, dims, values):
    return helper.make_tensor(name, kind, dims, values)


def node(op, inputs, outputs, domain="", **attributes):
    return helper.make_node(op, inputs.split(), outputs.split(), domain=domain, **attributes)


def model(nodes, inputs, outputs, constants=(), opset=17):
    graph = helper.make_graph(nodes, "g", inputs, outputs, list(constants))
    opsets = [helper.make_opsetid("", opset), helper.make_opsetid(ML, 3), helper.make_opsetid(MS, 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8)


X, XS = value("X", F, None, 2), value("X", S, None, 1)
Y = value("Y", F, None, None)
TREE = dict(
    nodes_treeids=[0, 0, 0, 1],
    nodes_nodeids=[0, 1, 2, 0],
    nodes_featureids=[1, 0, 0, 0],
    nodes_modes=["BRANCH_LEQ", "LEAF", "LEAF", "LEAF"],
    nodes_values=[0.5, 0.0, 0.0, 0.0],
    nodes_truenodeids=[1, 0, 0, 0],
    nodes_falsenodeids=[2, 0, 0, 0],
    nodes_missing_value_tracks_true=[1, 0, 0, 0],
)


def scan():
    body = helper.make_graph(
        [node("Sub", "all row", "gap"), node("ReduceSumSquare", "gap", "sum", axes=[1], keepdims=0), node("Identity", "all", "next")],
        "body",
        [value("all", F, None, 2), value("row", F, 2)],
        [value("next", F, None, 2), value("sum", F, None)],
    )
    nodes = [helper.make_node("Scan", ["T", "X"], ["U", "Z"], body=body, num_scan_inputs=1), node("TopK", "Z k", "Y I", largest=0)]
    table = [constant("T", F, [3, 2], floats(6)), constant("k", I, [1], [2])]
    return model(nodes, [X], [Y, value("I", I, None, 2)], table, opset=13)


def everything(names, kind, extra=""):
    """A chain of one-input operators."""
    nodes, last = [], "X"
    for i, name in enumerate(names):
        out = "Y" if i == len(names) - 1 else f"v{i}"
        nodes.append(node(name, f"{last} {extra}".strip(), out))
        last = out
    return model(nodes, [value("X", kind, None, 2)], [value("Y", kind, None, None)])


def empty_attribute():
    """An attribute without a type and without a value: was an index of -1."""
    softmax = node("Softmax", "X", "Y")
    softmax.attribute.add().name = "axis"
    return model([softmax], [X], [Y])


MODELS = {
    "linear": lambda: model(
        [
            node("Scaler", "X", "A", ML, offset=floats(2), scale=floats(2)),
            node("LinearClassifier", "A", "L P", ML, classlabels_ints=[0, 1], coefficients=floats(4), intercepts=floats(2), post_transform="LOGISTIC"),
            node("ZipMap", "P", "Y", ML, classlabels_int64s=[0, 1]),
        ],
        [X],
        [value("L", I, None), Y],
    ),
    "regressor": lambda: model([node("Imputer", "X", "A", ML, imputed_value_floats=[1.0], replaced_value_float=float("nan")), node("LinearRegressor", "A", "Y", ML, coefficients=floats(2), intercepts=[1.0])], [X], [Y]),
    "trees": lambda: model([node("TreeEnsembleRegressor", "X", "Y", ML, n_targets=1, target_treeids=[0, 0, 1], target_nodeids=[1, 2, 0], target_ids=[0, 0, 0], target_weights=floats(3), **TREE)], [X], [Y]),
    "tree_classes": lambda: model([node("TreeEnsembleClassifier", "X", "L Y", ML, classlabels_strings=["a", "b"], class_treeids=[0, 0, 1], class_nodeids=[1, 2, 0], class_ids=[0, 0, 0], class_weights=floats(3), post_transform="LOGISTIC", base_values=[0.5], **TREE)], [X], [value("L", S, None), Y]),
    "svm": lambda: model([node("SVMClassifier", "X", "L Y", ML, classlabels_ints=[0, 1, 2], vectors_per_class=[1, 1, 1], support_vectors=floats(6), coefficients=floats(6), rho=floats(3), prob_a=floats(3), prob_b=floats(3), kernel_type="RBF", kernel_params=[0.5, 0.0, 3.0])], [X], [value("L", I, None), Y]),
    "svr": lambda: model([node("SVMRegressor", "X", "Y", ML, n_supports=2, support_vectors=floats(4), coefficients=floats(2), rho=[0.1], kernel_type="POLY", kernel_params=[0.5, 1.0, 2.0])], [X], [Y]),
    "scan": scan,
    "text": lambda: model(
        [
            node("Flatten", "X", "A"),
            node("Tokenizer", "A", "B", MS, mark=0, mincharnum=1, pad_value="#", tokenexp="[a-z]+|\\d{2,3}"),
            node("Flatten", "B", "C"),
            node("TfIdfVectorizer", "C", "Y", mode="TFIDF", min_gram_length=1, max_gram_length=2, max_skip_count=1, ngram_counts=[0, 2], ngram_indexes=[0, 2, 1], pool_strings=["a", "good", "a", "good"], weights=floats(3)),
        ],
        [XS],
        [Y],
    ),
    "words": lambda: model([node("Reshape", "X m", "A"), node("StringNormalizer", "A", "B", case_change_action="UPPER", stopwords=["the"]), node("LabelEncoder", "B", "C", ML, keys_strings=["A", "B"], values_int64s=[1, 2]), node("OneHotEncoder", "C", "Y", ML, cats_int64s=[1, 2])], [XS], [Y], [constant("m", I, [1], [-1])]),
    "network": lambda: model([node("Gemm", "X W C", "A", transB=1), node("Relu", "A", "B"), node("MatMul", "B V", "D"), node("Softmax", "D", "Y"), node("ArgMax", "Y", "L", axis=1, keepdims=0), node("ArrayFeatureExtractor", "N L", "M", ML)], [X], [Y, value("M", S, None, None)], [constant("W", F, [3, 2], floats(6)), constant("C", F, [3], floats(3)), constant("V", F, [3, 2], floats(6)), constant("N", S, [2], [b"no", b"yes"])]),
    "shapes": lambda: model([node("Shape", "X", "s"), node("ConstantOfShape", "s", "z"), node("Concat", "X z", "c", axis=1), node("Transpose", "c", "t", perm=[1, 0]), node("Slice", "t a b", "u"), node("Unsqueeze", "u o", "v"), node("Squeeze", "v o", "w"), node("Expand", "w e", "x"), node("Tile", "x r", "Y")], [X], [Y], [constant("a", I, [1], [0]), constant("b", I, [1], [-1]), constant("o", I, [1], [0]), constant("e", I, [3], [2, 1, 1]), constant("r", I, [3], [1, 2, 1])]),
    "picks": lambda: model([node("Split", "X", "a b", axis=1), node("Gather", "X i", "c", axis=1), node("GatherElements", "X j", "d", axis=1), node("Where", "q a b", "e"), node("Less", "a b", "q2"), node("Not", "q2", "n"), node("And", "n q", "m"), node("Cast", "m", "Y", to=F)], [X], [Y], [constant("i", I, [1], [1]), constant("j", I, [1, 2], [0, 1]), constant("q", B, [1], [True])]),
    "reduce": lambda: model([node("ReduceSum", "X o", "a"), node("ReduceLogSumExp", "X", "b", axes=[1]), node("ReduceMean", "X", "c", axes=[0]), node("CumSum", "X z", "d"), node("Sum", "a b c d", "e"), node("Clip", "e", "Y")], [X], [Y], [constant("o", I, [1], [1]), constant("z", I, [], [1])]),
    "folds": lambda: model([node("Range", "a b c", "r"), node("Mul", "r r", "s"), node("Cast", "s", "f", to=F), node("Reshape", "f d", "g"), node("MatMul", "X g", "Y")], [X], [Y], [constant("a", I, [], [0]), constant("b", I, [], [4]), constant("c", I, [], [1]), constant("d", I, [2], [2, -1])]),
    "floats": lambda: everything(["Neg", "Abs", "Sqrt", "Exp", "Log", "Sigmoid", "Tanh", "Erf", "Floor", "Ceil", "Round", "Reciprocal", "Softplus"], F),
    "doubles": lambda: everything(["Neg", "Abs", "Sqrt", "Exp", "Log", "Sigmoid", "Tanh", "LogSoftmax", "ReduceL2"], D),
    "empty_attribute": empty_attribute,
    "integers": lambda: model([node("Mod", "X k", "a"), node("Div", "a k", "b"), node("Add", "b k", "c"), node("Max", "c k", "d"), node("Equal", "d k", "e"), node("Cast", "e", "f", to=S), node("Identity", "f", "Y")], [value("X", I, None, 2)], [value("Y", S, None, 2)], [constant("k", I, [2], [3, -1])]),
}


def main(folder):
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    for name, make in MODELS.items():
        (folder / name).write_bytes(make().SerializeToString(deterministic=True))


if __name__ == "__main__":
    main(sys.argv[1])
