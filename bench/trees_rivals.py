# SPDX-License-Identifier: Apache-2.0
"""Trains the ensembles of the `trees` benchmark and times its rivals, one thread. Runs inside their virtual environment.

usage: trees_rivals.py FOLDER train | time MODEL

`time` prints JSON: {engine: [median us of a one-row call, rows a second at 1,024 rows]}. Each one-row call takes another row.
"""
import json
import os
import subprocess
import sys
import time
import warnings

os.environ["OMP_NUM_THREADS"] = "1"
warnings.filterwarnings("ignore")
import numpy as np  # noqa: E402

FEATURES = 50
SIZES = {"100x6": (100, 6), "500x8": (500, 8)}
KINDS = ["binary", "multiclass", "regression"]
C_CALLER = r"""
#include <dlfcn.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
union entry { int missing; float value; };
static double now(void) { struct timespec t; clock_gettime(CLOCK_MONOTONIC, &t); return t.tv_sec * 1e6 + t.tv_nsec / 1e3; }
static int compare(const void *a, const void *b) { double d = *(double *)a - *(double *)b; return (d > 0) - (d < 0); }
int main(int argc, char **argv)
{
	enum { F = 50, R = 1024, N = 20000, B = 31 };
	static union entry x[F * R];
	static double times[N], batches[B];
	float out[16];
	void *library = dlopen(argv[1], RTLD_NOW);
	void (*predict)(union entry *, int, float *) = (void (*)(union entry *, int, float *))dlsym(library, "predict");
	FILE *file = fopen(argv[2], "rb");
	if (argc != 3 || fread(x, 4, F * R, file) != F * R)
		return 1;
	for (int i = 0; i < F * R; i++)
		if (isnan(x[i].value))
			x[i].missing = -1;
	for (int i = 0; i < N; i++) { double t = now(); predict(x + i % R * F, 0, out); times[i] = now() - t; }
	for (int k = 0; k < B; k++) { double t = now(); for (int i = 0; i < R; i++) predict(x + i * F, 0, out); batches[k] = now() - t; }
	qsort(times, N, sizeof(double), compare);
	qsort(batches, B, sizeof(double), compare);
	printf("%f %f\n", times[N / 2], R / batches[B / 2] * 1e6);
	return 0;
}
"""


def data(rows, kind, seed):
    r = np.random.RandomState(seed)
    x = r.randn(rows, FEATURES).astype(np.float32)
    score = x[:, 0] * x[:, 1] + 2 * (x[:, 2] > 0.3) * x[:, 3] + np.sin(3 * x[:, 4]) + 0.5 * x[:, 5:15].sum(1) + r.randn(rows) * 0.5
    x[r.rand(rows, FEATURES) < 0.05] = np.nan
    y = {"binary": (score > 0).astype(int), "multiclass": np.digitize(score, [-1, 1]), "regression": score.astype(np.float32)}[kind]
    return x, y


def train(folder):
    import lightgbm
    import xgboost
    from onnxmltools import convert_lightgbm, convert_xgboost
    from onnxmltools.convert.common.data_types import FloatTensorType

    types = [("input", FloatTensorType([None, FEATURES]))]
    data(1024, "binary", 9)[0].tofile(f"{folder}/rows.f32")
    for size, (trees, depth) in SIZES.items():
        for kind in KINDS:
            x, y = data(8000, kind, 1)
            regression = kind == "regression"
            model = (xgboost.XGBRegressor if regression else xgboost.XGBClassifier)(n_estimators=trees, max_depth=depth, learning_rate=0.1,
                                                                                    n_jobs=1, tree_method="hist", max_bin=64).fit(x, y)
            model.get_booster().save_model(f"{folder}/xgboost-{kind}-{size}.json")
            open(f"{folder}/xgboost-{kind}-{size}.onnx", "wb").write(
                convert_xgboost(model, initial_types=types, target_opset=15).SerializeToString())
            model = (lightgbm.LGBMRegressor if regression else lightgbm.LGBMClassifier)(
                n_estimators=trees, max_depth=depth, num_leaves=63 if depth < 8 else 127, learning_rate=0.1, n_jobs=1, max_bin=63,
                verbose=-1).fit(x, y)
            model.booster_.save_model(f"{folder}/lightgbm-{kind}-{size}.txt")
            open(f"{folder}/lightgbm-{kind}-{size}.onnx", "wb").write(
                convert_lightgbm(model, initial_types=types, target_opset=15, zipmap=False).SerializeToString())


def median(call, count, warm):
    times = []
    for i in range(warm + count):
        began = time.perf_counter_ns()
        call()
        times.append(time.perf_counter_ns() - began)
    return sorted(times[warm:])[count // 2] / 1e3


def timed(call, x):
    rows, at = [x[i:i + 1].copy() for i in range(len(x))], [0]

    def one():
        at[0] = (at[0] + 1) % len(rows)
        call(rows[at[0]])

    return [median(one, 400, 20), len(x) / median(lambda: call(x), 15, 2) * 1e6]


def compiled(folder, name, x):
    """tl2cgen: the model as C, compiled by gcc, called from C. Several classes and the largest take minutes to compile."""
    import tl2cgen
    import treelite

    load = treelite.frontend.load_xgboost_model if name.startswith("xgboost") else treelite.frontend.load_lightgbm_model
    library, caller = f"{folder}/{name}.so", f"{folder}/caller"
    if not os.path.exists(library):
        model = load(f"{folder}/{name}" + (".json" if name.startswith("xgboost") else ".txt"))
        tl2cgen.export_lib(model, toolchain="gcc", libpath=library, params={"parallel_comp": 16}, nthread=1)
    open(f"{caller}.c", "w").write(C_CALLER)
    subprocess.run(["gcc", "-O2", f"{caller}.c", "-o", caller, "-ldl", "-lm"], check=True)
    out = subprocess.run([caller, library, f"{folder}/rows.f32"], check=True, capture_output=True, text=True).stdout
    return [float(v) for v in out.split()]


def time_rivals(folder, name):
    import onnxruntime

    x = np.fromfile(f"{folder}/rows.f32", np.float32).reshape(-1, FEATURES)
    result = {}
    if name.startswith("xgboost"):
        import xgboost

        model = xgboost.Booster(model_file=f"{folder}/{name}.json")
        model.set_param({"nthread": 1})
        result["XGBoost"] = timed(model.inplace_predict, x)
    else:
        import lightgbm

        model = lightgbm.Booster(model_file=f"{folder}/{name}.txt")
        result["LightGBM"] = timed(lambda rows: model.predict(rows, num_threads=1, predict_disable_shape_check=True), x)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(f"{folder}/{name}.onnx", options, providers=["CPUExecutionProvider"])
    outputs = [session.get_outputs()[-1].name]
    result["ONNX Runtime"] = timed(lambda rows: session.run(outputs, {"input": rows}), x)
    if "100x6" in name and "multiclass" not in name:
        result["tl2cgen"] = compiled(folder, name, x)
    print(json.dumps(result))


if __name__ == "__main__":
    if sys.argv[2] == "train":
        train(sys.argv[1])
    else:
        time_rivals(sys.argv[1], sys.argv[3])
