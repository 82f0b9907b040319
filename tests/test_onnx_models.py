# SPDX-License-Identifier: Apache-2.0
"""Every estimator that skl2onnx and onnxmltools convert runs natively and answers as ONNX Runtime does.

Each case trains an estimator on seeded data, converts it, and gives the same 200 rows to ONNX Runtime and to
tests/model_run_tool.c (HYTHE_MODEL_RUN names the program; by default build/src/models/model_run_tool).
Run as a script, `python tests/test_onnx_models.py OUT` writes the models and prints the table of differences.
"""
import glob
import importlib
import os
import pathlib
import struct
import subprocess
import sys
import tempfile
import warnings

import pytest

warnings.filterwarnings("ignore")

import numpy as np  # noqa: E402
import onnx  # noqa: E402
import onnxruntime as ort  # noqa: E402
import pandas  # noqa: E402
from skl2onnx import to_onnx  # noqa: E402
from skl2onnx.common.data_types import (  # noqa: E402
    DoubleTensorType,
    FloatTensorType,
    Int64TensorType,
    StringTensorType,
)
from sklearn import (  # noqa: E402
    calibration,
    cluster,
    compose,
    decomposition,
    ensemble,
    feature_extraction,
    feature_selection,
    gaussian_process,
    impute,
    linear_model,
    mixture,
    multiclass,
    naive_bayes,
    neighbors,
    neural_network,
    pipeline,
    preprocessing,
    svm,
    tree,
)

ROOT = pathlib.Path(__file__).resolve().parent.parent
ROWS = 200
NUMPY = {
    "BOOL": np.bool_,
    "UINT8": np.uint8,
    "INT8": np.int8,
    "INT32": np.int32,
    "INT64": np.int64,
    "FP16": np.float16,
    "FP32": np.float32,
    "FP64": np.float64,
}
NAMES = {np.dtype(v): k for k, v in NUMPY.items()}

rng = np.random.default_rng(7)
X = rng.normal(size=(400, 6)).astype(np.float32)
X[:, 5] = np.round(X[:, 5] * 2)
SCORE = X[:, 0] * 1.5 - X[:, 1] + 0.5 * X[:, 2] * X[:, 3] + rng.normal(size=400) * 0.3
Y2 = (SCORE > 0).astype(np.int64)
Y3 = np.digitize(SCORE, [-1, 1]).astype(np.int64)
YS = np.array(["low", "mid", "high"])[Y3]
YR = SCORE.astype(np.float32)
YR2 = np.stack([SCORE, X[:, 4] - SCORE], 1).astype(np.float32)
TEST = np.random.default_rng(8).normal(size=(ROWS, 6)).astype(np.float32)
TEST[:, 5] = np.round(TEST[:, 5] * 2)
XM, TEST_M = X.copy(), TEST.copy()
XM[rng.random(X.shape) < 0.1] = np.nan
TEST_M[np.random.default_rng(9).random(TEST.shape) < 0.1] = np.nan

WORDS = "the a model serves predicts trains data row rows column is was fast slow good bad very not café über".split()


def texts(count, seed):
    draw = np.random.default_rng(seed)
    return [" ".join(draw.choice(WORDS, size=draw.integers(1, 12))) + draw.choice(["", ".", "!", ", ok"]) for _ in range(count)]


FRAME = pandas.DataFrame(
    {
        "age": X[:, 0],
        "income": XM[:, 1],
        "city": np.random.default_rng(3).choice(["Oslo", "Rome", "Lima"], 400),
        "plan": np.random.default_rng(4).choice(["free", "paid"], 400),
    }
)
FRAME_TEST = {
    "age": TEST[:, 0:1],
    "income": TEST_M[:, 1:2],
    "city": np.random.default_rng(5).choice(["Oslo", "Rome", "Lima", "Pune"], (ROWS, 1)).astype(object),
    "plan": np.random.default_rng(6).choice(["free", "paid"], (ROWS, 1)).astype(object),
}


def plain(model, y, x=None, test=None, options=None, types=None, **more):
    """Fits on the matrix and converts for a float input."""
    x = X if x is None else x
    test = TEST if test is None else test
    model.fit(x) if y is None else model.fit(x, y)
    if types is None:
        kind = {np.float32: FloatTensorType, np.float64: DoubleTensorType, np.int64: Int64TensorType}[x.dtype.type]
        types = [("X", kind([None, x.shape[1]]))]
    return to_onnx(model, initial_types=types, options=options, **more), {"X": test}


def bare(model, y, **more):
    return plain(model, y, options={id(model): {"zipmap": False}}, **more)


def columns(model, y, **more):
    return plain(model, y, options={id(model): {"zipmap": "columns"}}, **more)


def frame(options=None):
    numbers = pipeline.make_pipeline(impute.SimpleImputer(strategy="median"), preprocessing.StandardScaler())
    prepare = compose.ColumnTransformer(
        [
            ("num", numbers, ["age", "income"]),
            ("cat", preprocessing.OneHotEncoder(handle_unknown="ignore"), ["city", "plan"]),
        ]
    )
    model = pipeline.Pipeline([("prepare", prepare), ("lr", linear_model.LogisticRegression())])
    model.fit(FRAME, Y2)
    types = [
        ("age", FloatTensorType([None, 1])),
        ("income", FloatTensorType([None, 1])),
        ("city", StringTensorType([None, 1])),
        ("plan", StringTensorType([None, 1])),
    ]
    return to_onnx(model, initial_types=types, options={id(model): options} if options else None), FRAME_TEST


def strings(model, y=None, options=None):
    """Two columns of strings in one tensor."""
    x = FRAME[["city", "plan"]].to_numpy().astype(object)
    model.fit(x) if y is None else model.fit(x, y)
    test = np.hstack([FRAME_TEST["city"], FRAME_TEST["plan"]])
    test[test == "Pune"] = "Rome"
    return to_onnx(model, initial_types=[("X", StringTensorType([None, 2]))], options=options), {"X": test}


def text(vectorizer, end=True):
    documents = texts(400, 1)
    y = np.array([("good" in d) ^ ("fast" in d) for d in documents]).astype(int)
    model = pipeline.make_pipeline(vectorizer, linear_model.LogisticRegression()) if end else vectorizer
    model.fit(documents, y)
    options = {id(model): {"zipmap": False}} if end else None
    test = np.array(texts(ROWS, 2), dtype=object).reshape(-1, 1)
    out = to_onnx(model, initial_types=[("X", StringTensorType([None, 1]))], options=options)
    for node in out.graph.node:  # ONNX Runtime's default is en_US, which few machines have
        if node.op_type == "StringNormalizer":
            node.attribute.append(onnx.helper.make_attribute("locale", "C.UTF-8"))
    return out, {"X": test}


def boosted(library, kind, y, nan=True, **settings):
    """xgboost or lightgbm through onnxmltools."""
    import onnxmltools
    from onnxmltools.convert.common.data_types import FloatTensorType as Float

    module = importlib.import_module(library)
    settings = {"n_estimators": 20, "max_depth": 4, **settings}
    if library == "lightgbm":
        settings["verbose"] = -1
    model = getattr(module, kind)(**settings)
    model.fit(XM if nan else X, y)
    convert = onnxmltools.convert_xgboost if library == "xgboost" else onnxmltools.convert_lightgbm
    if library == "lightgbm":
        out = convert(model, initial_types=[("X", Float([None, 6]))], zipmap=False)
    else:
        out = convert(model, initial_types=[("X", Float([None, 6]))])
    return out, {"X": TEST_M if nan else TEST}


LM, EN, PP = linear_model, ensemble, preprocessing
POSITIVE, POSITIVE_TEST = np.abs(X), np.abs(TEST)
COUNTS, COUNTS_TEST = np.floor(np.abs(X) * 3).astype(np.float32), np.floor(np.abs(TEST) * 3).astype(np.float32)
BITS, BITS_TEST = (X > 0).astype(np.float32), (TEST > 0).astype(np.float32)

CASES = {
    "logistic_2": lambda: bare(LM.LogisticRegression(), Y2),
    "logistic_2_zipmap": lambda: plain(LM.LogisticRegression(), Y2),
    "logistic_2_columns": lambda: columns(LM.LogisticRegression(), Y2),
    "logistic_3": lambda: bare(LM.LogisticRegression(), Y3),
    "logistic_3_strings": lambda: bare(LM.LogisticRegression(), YS),
    "logistic_3_strings_zipmap": lambda: plain(LM.LogisticRegression(), YS),
    "logistic_2_float64": lambda: bare(LM.LogisticRegression(), Y2, x=X.astype(np.float64), test=TEST.astype(np.float64)),
    "logistic_3_float64": lambda: bare(LM.LogisticRegression(), Y3, x=X.astype(np.float64), test=TEST.astype(np.float64)),
    "logistic_3_strings_float64": lambda: bare(LM.LogisticRegression(), YS, x=X.astype(np.float64), test=TEST.astype(np.float64)),
    "logistic_2_int64": lambda: bare(LM.LogisticRegression(), Y2, x=COUNTS.astype(np.int64), test=COUNTS_TEST.astype(np.int64)),
    "scaler_logistic": lambda: bare(pipeline.make_pipeline(PP.StandardScaler(), LM.LogisticRegression()), Y2),
    "logistic_raw": lambda: plain(m := LM.LogisticRegression(), Y3, options={id(m): {"zipmap": False, "raw_scores": True}}),
    "linear": lambda: plain(LM.LinearRegression(), YR),
    "linear_2_targets": lambda: plain(LM.LinearRegression(), YR2),
    "linear_float64": lambda: plain(LM.LinearRegression(), YR, x=X.astype(np.float64), test=TEST.astype(np.float64)),
    "ridge": lambda: plain(LM.Ridge(), YR),
    "lasso": lambda: plain(LM.Lasso(alpha=0.01), YR),
    "elastic_net": lambda: plain(LM.ElasticNet(alpha=0.01), YR),
    "bayesian_ridge": lambda: plain(LM.BayesianRidge(), YR),
    "huber": lambda: plain(LM.HuberRegressor(), YR),
    "poisson": lambda: plain(LM.PoissonRegressor(), np.abs(YR)),
    "gamma": lambda: plain(LM.GammaRegressor(), np.abs(YR) + 0.1),
    "sgd_regressor": lambda: plain(LM.SGDRegressor(random_state=0), YR),
    "linear_svr": lambda: plain(svm.LinearSVR(), YR),
    "ridge_classifier_2": lambda: bare(LM.RidgeClassifier(), Y2),
    "ridge_classifier_3": lambda: bare(LM.RidgeClassifier(), Y3),
    "linear_svc_2": lambda: plain(svm.LinearSVC(), Y2),
    "linear_svc_3": lambda: plain(svm.LinearSVC(), Y3),
    "perceptron": lambda: bare(LM.Perceptron(), Y3),
    "sgd_classifier_hinge": lambda: bare(LM.SGDClassifier(random_state=0), Y3),
    "sgd_classifier_log_2": lambda: bare(LM.SGDClassifier(loss="log_loss", random_state=0), Y2),
    "sgd_classifier_log_3": lambda: bare(LM.SGDClassifier(loss="log_loss", random_state=0), Y3),
    "sgd_classifier_huber": lambda: bare(LM.SGDClassifier(loss="modified_huber", random_state=0), Y3),
    "svc_rbf_2": lambda: bare(svm.SVC(), Y2),
    "svc_rbf_3": lambda: bare(svm.SVC(), Y3),
    "svc_rbf_3_strings": lambda: bare(svm.SVC(), YS),
    "svc_proba_2": lambda: bare(svm.SVC(probability=True, random_state=0), Y2),
    "svc_proba_3": lambda: bare(svm.SVC(probability=True, random_state=0), Y3),
    "svc_linear_2": lambda: bare(svm.SVC(kernel="linear"), Y2),
    "svc_linear_3": lambda: bare(svm.SVC(kernel="linear", probability=True, random_state=0), Y3),
    "svc_poly": lambda: bare(svm.SVC(kernel="poly"), Y3),
    "svc_sigmoid": lambda: bare(svm.SVC(kernel="sigmoid"), Y2),
    "svc_ovo": lambda: bare(svm.SVC(decision_function_shape="ovo"), Y3),
    "nu_svc": lambda: bare(svm.NuSVC(nu=0.2, probability=True, random_state=0), Y2),
    "svr_rbf": lambda: plain(svm.SVR(), YR),
    "svr_linear": lambda: plain(svm.SVR(kernel="linear"), YR),
    "svr_poly": lambda: plain(svm.SVR(kernel="poly"), YR),
    "nu_svr": lambda: plain(svm.NuSVR(), YR),
    "one_class_svm": lambda: plain(svm.OneClassSVM(), None),
    "tree_2": lambda: bare(tree.DecisionTreeClassifier(max_depth=6), Y2),
    "tree_3_strings": lambda: bare(tree.DecisionTreeClassifier(max_depth=6), YS),
    "tree_regressor": lambda: plain(tree.DecisionTreeRegressor(max_depth=6), YR),
    "tree_regressor_2": lambda: plain(tree.DecisionTreeRegressor(max_depth=6), YR2),
    "forest_2": lambda: bare(EN.RandomForestClassifier(20, max_depth=6), Y2),
    "forest_3": lambda: bare(EN.RandomForestClassifier(20, max_depth=6), Y3),
    "forest_3_zipmap": lambda: plain(EN.RandomForestClassifier(20, max_depth=6), YS),
    "forest_float64": lambda: bare(EN.RandomForestClassifier(20, max_depth=6), Y3, x=X.astype(np.float64), test=TEST.astype(np.float64)),
    "forest_regressor": lambda: plain(EN.RandomForestRegressor(20, max_depth=6), YR),
    "extra_trees": lambda: bare(EN.ExtraTreesClassifier(20, max_depth=6), Y3),
    "extra_trees_regressor": lambda: plain(EN.ExtraTreesRegressor(20, max_depth=6), YR),
    "boosting_2": lambda: bare(EN.GradientBoostingClassifier(n_estimators=20), Y2),
    "boosting_3": lambda: bare(EN.GradientBoostingClassifier(n_estimators=20), Y3),
    "boosting_regressor": lambda: plain(EN.GradientBoostingRegressor(n_estimators=20), YR),
    "hist_boosting": lambda: bare(EN.HistGradientBoostingClassifier(max_iter=20), Y2, x=XM, test=TEST_M),
    "hist_boosting_regressor": lambda: plain(EN.HistGradientBoostingRegressor(max_iter=20), YR, x=XM, test=TEST_M),
    "ada_boost": lambda: bare(EN.AdaBoostClassifier(n_estimators=10, random_state=0), Y3),
    "ada_boost_2": lambda: bare(EN.AdaBoostClassifier(n_estimators=10, random_state=0), Y2),
    "ada_boost_regressor": lambda: plain(EN.AdaBoostRegressor(n_estimators=10, random_state=0), YR),
    "bagging": lambda: bare(EN.BaggingClassifier(n_estimators=5, random_state=0), Y3),
    "bagging_regressor": lambda: plain(EN.BaggingRegressor(n_estimators=5, random_state=0), YR),
    "isolation_forest": lambda: plain(EN.IsolationForest(n_estimators=20, random_state=0), None, target_opset={"": 17, "ai.onnx.ml": 3}),
    "voting": lambda: bare(EN.VotingClassifier([("a", LM.LogisticRegression()), ("b", tree.DecisionTreeClassifier(max_depth=4))], voting="soft", flatten_transform=False), Y3),
    "voting_hard": lambda: bare(EN.VotingClassifier([("a", LM.LogisticRegression()), ("b", tree.DecisionTreeClassifier(max_depth=4)), ("c", naive_bayes.GaussianNB())], voting="hard", flatten_transform=False), Y3),
    "voting_regressor": lambda: plain(EN.VotingRegressor([("a", LM.LinearRegression()), ("b", tree.DecisionTreeRegressor(max_depth=4))]), YR),
    "stacking": lambda: bare(EN.StackingClassifier([("a", LM.LogisticRegression()), ("b", tree.DecisionTreeClassifier(max_depth=4))]), Y3),
    "stacking_regressor": lambda: plain(EN.StackingRegressor([("a", LM.LinearRegression()), ("b", tree.DecisionTreeRegressor(max_depth=4))]), YR),
    "standard_scaler": lambda: plain(PP.StandardScaler(), None),
    "robust_scaler": lambda: plain(PP.RobustScaler(), None),
    "max_abs_scaler": lambda: plain(PP.MaxAbsScaler(), None),
    "min_max_scaler": lambda: plain(PP.MinMaxScaler(clip=True), None),
    "scaler_float64": lambda: plain(PP.StandardScaler(), None, x=X.astype(np.float64), test=TEST.astype(np.float64)),
    "normalizer_l1": lambda: plain(PP.Normalizer("l1"), None),
    "normalizer_l2": lambda: plain(PP.Normalizer("l2"), None),
    "normalizer_max": lambda: plain(PP.Normalizer("max"), None),
    "binarizer": lambda: plain(PP.Binarizer(threshold=0.3), None),
    "imputer_mean": lambda: plain(impute.SimpleImputer(), None, x=XM, test=TEST_M),
    "imputer_constant": lambda: plain(impute.SimpleImputer(strategy="constant", fill_value=-1.0), None, x=XM, test=TEST_M),
    "knn_imputer": lambda: plain(impute.KNNImputer(), None, x=XM[:60], test=TEST_M),
    "imputer_strings": lambda: strings(impute.SimpleImputer(strategy="most_frequent", missing_values="")),
    "one_hot": lambda: strings(PP.OneHotEncoder(handle_unknown="ignore")),
    "one_hot_drop": lambda: strings(PP.OneHotEncoder(drop="first")),
    "one_hot_int": lambda: plain(PP.OneHotEncoder(handle_unknown="ignore"), None, x=COUNTS.astype(np.int64), test=COUNTS_TEST.astype(np.int64)),
    "ordinal": lambda: strings(PP.OrdinalEncoder()),
    "ordinal_float": lambda: plain(PP.OrdinalEncoder(), None, x=BITS, test=BITS_TEST),
    "target_encoder": lambda: strings(PP.TargetEncoder(random_state=0), y=YR),
    "k_bins": lambda: plain(PP.KBinsDiscretizer(4, encode="onehot-dense"), None),
    "k_bins_ordinal": lambda: plain(PP.KBinsDiscretizer(4, encode="ordinal"), None),
    "power_transformer": lambda: plain(PP.PowerTransformer(), None),
    "quantile": lambda: plain(PP.QuantileTransformer(n_quantiles=20), None),
    "polynomial": lambda: plain(PP.PolynomialFeatures(2), None),
    "polynomial_3": lambda: plain(pipeline.make_pipeline(PP.PolynomialFeatures(3), LM.LinearRegression()), YR),
    "function_log1p": lambda: plain(PP.FunctionTransformer(None), None),
    "pca": lambda: plain(decomposition.PCA(3), None),
    "pca_whiten": lambda: plain(decomposition.PCA(3, whiten=True), None),
    "incremental_pca": lambda: plain(decomposition.IncrementalPCA(3), None),
    "kernel_pca": lambda: plain(decomposition.KernelPCA(3, kernel="rbf"), None),
    "truncated_svd": lambda: plain(decomposition.TruncatedSVD(3), None),
    "select_k_best": lambda: plain(feature_selection.SelectKBest(k=3), Y2),
    "variance_threshold": lambda: plain(feature_selection.VarianceThreshold(0.5), None),
    "kmeans": lambda: plain(cluster.KMeans(4, random_state=0), None),
    "mini_batch_kmeans": lambda: plain(cluster.MiniBatchKMeans(4, random_state=0), None),
    "gaussian_mixture": lambda: plain(mixture.GaussianMixture(3, random_state=0), None),
    "gaussian_process": lambda: gp(),
    "knn_2": lambda: bare(neighbors.KNeighborsClassifier(), Y2),
    "knn_3": lambda: bare(neighbors.KNeighborsClassifier(), Y3),
    "knn_3_strings": lambda: bare(neighbors.KNeighborsClassifier(), YS),
    "knn_distance": lambda: bare(neighbors.KNeighborsClassifier(weights="distance"), Y3),
    "knn_manhattan": lambda: bare(neighbors.KNeighborsClassifier(metric="manhattan"), Y3),
    "knn_regressor": lambda: plain(neighbors.KNeighborsRegressor(), YR),
    "knn_regressor_2": lambda: plain(neighbors.KNeighborsRegressor(), YR2),
    "nearest_neighbors": lambda: plain(neighbors.NearestNeighbors(n_neighbors=3, radius=None), None),
    "mlp_2": lambda: bare(neural_network.MLPClassifier((16, 8), random_state=0, max_iter=100), Y2),
    "mlp_3": lambda: bare(neural_network.MLPClassifier((16,), random_state=0, max_iter=100), Y3),
    "mlp_tanh": lambda: bare(neural_network.MLPClassifier((16,), activation="tanh", random_state=0, max_iter=100), YS),
    "mlp_logistic": lambda: bare(neural_network.MLPClassifier((16,), activation="logistic", random_state=0, max_iter=100), Y3),
    "mlp_regressor": lambda: plain(neural_network.MLPRegressor(hidden_layer_sizes=(16,), random_state=0, max_iter=100), YR),
    "gaussian_nb": lambda: bare(naive_bayes.GaussianNB(), Y3),
    "bernoulli_nb": lambda: bare(naive_bayes.BernoulliNB(), Y3, x=BITS, test=BITS_TEST),
    "multinomial_nb": lambda: bare(naive_bayes.MultinomialNB(), Y3, x=COUNTS, test=COUNTS_TEST),
    "complement_nb": lambda: bare(naive_bayes.ComplementNB(), Y3, x=COUNTS, test=COUNTS_TEST),
    "categorical_nb": lambda: bare(naive_bayes.CategoricalNB(), Y3, x=BITS, test=BITS_TEST),
    "one_vs_rest": lambda: bare(multiclass.OneVsRestClassifier(LM.LogisticRegression()), Y3),
    "one_vs_one": lambda: bare(multiclass.OneVsOneClassifier(LM.LogisticRegression()), Y3),
    "calibrated_svc": lambda: bare(calibration.CalibratedClassifierCV(svm.LinearSVC(), cv=3), Y2),
    "calibrated_svc_3": lambda: bare(calibration.CalibratedClassifierCV(svm.LinearSVC(), cv=3), Y3),
    "calibrated_isotonic": lambda: bare(calibration.CalibratedClassifierCV(naive_bayes.GaussianNB(), method="isotonic", cv=3), Y2),
    "frame": lambda: frame({"zipmap": False}),
    "frame_zipmap": lambda: frame(),
    "feature_union": lambda: plain(pipeline.make_union(PP.StandardScaler(), decomposition.PCA(2)), None),
    "tfidf": lambda: text(feature_extraction.text.TfidfVectorizer()),
    "tfidf_bigrams": lambda: text(feature_extraction.text.TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=False)),
    "tfidf_alone": lambda: text(feature_extraction.text.TfidfVectorizer(), end=False),
    "tfidf_stop": lambda: text(feature_extraction.text.TfidfVectorizer(stop_words=["the", "a"])),
    "count_vectorizer": lambda: text(feature_extraction.text.CountVectorizer()),
    "count_binary": lambda: text(feature_extraction.text.CountVectorizer(binary=True)),
    "tfidf_case": lambda: text(feature_extraction.text.TfidfVectorizer(lowercase=False)),
    "tfidf_characters": lambda: text(feature_extraction.text.TfidfVectorizer(analyzer="char", ngram_range=(1, 2))),
    "xgboost_2": lambda: boosted("xgboost", "XGBClassifier", Y2),
    "xgboost_3": lambda: boosted("xgboost", "XGBClassifier", Y3),
    "xgboost_regressor": lambda: boosted("xgboost", "XGBRegressor", YR),
    "xgboost_poisson": lambda: boosted("xgboost", "XGBRegressor", np.abs(YR), objective="count:poisson"),
    "lightgbm_2": lambda: boosted("lightgbm", "LGBMClassifier", Y2),
    "lightgbm_3": lambda: boosted("lightgbm", "LGBMClassifier", Y3),
    "lightgbm_regressor": lambda: boosted("lightgbm", "LGBMRegressor", YR),
}


def gp():
    model = gaussian_process.GaussianProcessRegressor(gaussian_process.kernels.RBF(2.0), alpha=0.1)
    model.fit(X[:60].astype(np.float64), YR[:60])
    return to_onnx(model, initial_types=[("X", DoubleTensorType([None, 6]))]), {"X": TEST.astype(np.float64)}


def write_tensors(out, tensors):
    """One line 'NAME TYPE RANK DIMENSIONS...' for each tensor, then its raw bytes; strings as u32 length and bytes."""
    for name, value in tensors.items():
        kind = "BYTES" if value.dtype == object else NAMES[value.dtype]
        out.write(" ".join([name, kind, str(value.ndim), *map(str, value.shape)]).encode() + b"\n")
        if kind == "BYTES":
            for item in value.reshape(-1):
                data = item.encode()
                out.write(struct.pack("<I", len(data)) + data)
        else:
            out.write(np.ascontiguousarray(value).tobytes())


def read_tensors(data):
    result, at = {}, 0
    while at < len(data):
        end = data.index(b"\n", at)
        name, kind, rank, *shape = data[at:end].decode().split(" ")
        at, shape = end + 1, tuple(map(int, shape))
        count = int(np.prod(shape))
        if kind == "BYTES":
            items = []
            for _ in range(count):
                size = struct.unpack_from("<I", data, at)[0]
                items.append(data[at + 4 : at + 4 + size].decode())
                at += 4 + size
            value = np.array(items, dtype=object)
        else:
            kind = np.dtype(NUMPY[kind])
            value = np.frombuffer(data, kind, count, at)
            at += count * kind.itemsize
        result[name] = value.reshape(shape)
    return result


def tool():
    return os.environ.get("HYTHE_MODEL_RUN", str(pathlib.Path(os.environ.get("HYTHE", ROOT / "build" / "hythe")).parent / "src/models/model_run_tool"))


def run_native(path, inputs, *flags):
    """The outputs by name, from the native engine alone unless flags say where ONNX Runtime is."""
    if not flags:
        flags = ("--onnxruntime", "/nonexistent/libonnxruntime.so")
    with tempfile.TemporaryFile() as file:
        write_tensors(file, inputs)
        file.seek(0)
        done = subprocess.run([tool(), *flags, str(path)], stdin=file, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    return read_tensors(done.stdout)


def run_reference(path, inputs):
    session = ort.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    names = [o.name for o in session.get_outputs()]
    values = {}
    for name, value in zip(names, session.run(None, inputs)):
        if isinstance(value, list):  # a sequence of maps: the columns in the order of the keys of the first
            value = np.array([list(row.values()) for row in value], dtype=np.float32)
        values[name] = value
    return values


def difference(ours, theirs):
    """The largest difference of any number; labels must be equal but where scores tie."""
    worst = 0.0
    assert set(ours) == set(theirs)
    for name, want in theirs.items():
        got = ours[name]
        assert got.shape == want.shape, f"{name}: {got.shape} is not {want.shape}"
        if want.dtype == object or want.dtype.kind in "US":
            assert (got == want).all(), f"{name}: labels differ in {np.sum(got != want)} places"
            continue
        assert got.dtype == want.dtype, f"{name}: {got.dtype} is not {want.dtype}"
        if want.dtype.kind in "iub":
            assert (got == want).all(), f"{name}: labels differ in {np.sum(got != want)} places"
            continue
        assert (np.isnan(got) == np.isnan(want)).all(), f"{name}: NaN in other places"
        scale = np.maximum(1.0, np.abs(np.where(np.isfinite(want), want, 0)))
        with np.errstate(invalid="ignore"):
            gap = np.where((got == want) | np.isnan(want), 0, np.abs(got.astype(float) - want) / scale)
        worst = max(worst, float(np.max(gap, initial=0.0)))
    return worst


def build(name, folder):
    np.random.seed(0)  # what has no seed of its own is trained alike each time
    model, inputs = CASES[name]()
    path = pathlib.Path(folder) / f"{name}.onnx"
    path.write_bytes(model.SerializeToString())
    return path, inputs


# Large terms of both signs cancel in these; each engine's float arithmetic is as far from scikit-learn's double.
TOLERANCE = {
    "svr_linear": 1e-4,
    "svr_poly": 5e-5,
    "one_class_svm": 5e-5,
    "svr_rbf": 5e-6,
    "nu_svr": 5e-6,
    "svc_linear_2": 1e-5,
    "svc_linear_3": 5e-6,
    "svc_poly": 5e-6,
    "svc_sigmoid": 1e-5,
    "multinomial_nb": 5e-6,
    "complement_nb": 5e-6,
}

# Model-local functions are not native: these run in ONNX Runtime only.
ELSEWHERE = {"knn_imputer"}


@pytest.mark.parametrize("name", CASES)
def test_estimator_answers_as_onnx_runtime_does(name, tmp_path):
    path, inputs = build(name, tmp_path)
    if name in ELSEWHERE:
        with pytest.raises(AssertionError, match="not native.*pip install onnxruntime"):
            run_native(path, inputs)
        library = glob.glob(os.path.join(os.path.dirname(ort.__file__), "capi", "libonnxruntime.so*"))
        if library:
            assert difference(run_native(path, inputs, "--onnxruntime", library[0]), run_reference(path, inputs)) == 0
        return
    ours = run_native(path, inputs)
    worst = difference(ours, run_reference(path, inputs))
    assert worst <= TOLERANCE.get(name, 1e-6)
    first = {key: value[:1] for key, value in inputs.items()}
    assert difference(run_native(path, first), run_reference(path, first)) <= TOLERANCE.get(name, 1e-6)


def main(folder):
    os.makedirs(folder, exist_ok=True)
    for name in CASES:
        path, inputs = build(name, folder)
        with open(path.with_suffix(".in"), "wb") as file:
            write_tensors(file, inputs)
        ops = sorted({(n.domain + ":" if n.domain else "") + n.op_type for n in onnx.load(path).graph.node})
        try:
            worst = f"{difference(run_native(path, inputs), run_reference(path, inputs)):.2g}"
        except Exception as reason:  # pylint: disable=broad-except
            worst = f"FAILED {str(reason).strip()[:200]}"
        print(f"{name:28} {worst:10} {' '.join(ops) if '-v' in sys.argv else ''}", flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
