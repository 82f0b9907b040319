# SPDX-License-Identifier: Apache-2.0
"""What a person may name to be served, pickled estimators, their conversion, and the command line of seldon-core-microservice."""
import os
import stat
import subprocess
import sys
import textwrap

import joblib
import numpy as np
import pytest
from sklearn.compose import ColumnTransformer
from sklearn.datasets import load_iris
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.svm import LinearSVC

from conftest import PACKAGE, PROGRAM

from hythe import convert, loading, microservice, seldon, sklearn  # noqa: E402


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An empty current folder; what is imported from it is forgotten afterwards."""
    before = set(sys.modules)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [str(tmp_path)] + sys.path)
    yield tmp_path
    for name in set(sys.modules) - before:
        origin = getattr(sys.modules[name], "__file__", None) or ""
        if origin.startswith(str(tmp_path)):
            del sys.modules[name]


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(textwrap.dedent(text))


MODEL = """
    class Model:
        def __init__(self, scale=1):
            self.scale = scale
        def predict(self, X, names):
            return X * self.scale
    """
WSGI_APP = """
    class Flask:
        def __call__(self, environ, start_response):
            start_response("200 OK", [])
            return [b"hello"]
    app = Flask()
    """
ASGI_APP = """
    class App:
        async def __call__(self, scope, receive, send):
            pass
    app = App()
    """


# ---- targets ----


@pytest.mark.parametrize("target", ["Model", "Model.py", "Model:Model", "Model.Model", "Model.py:Model", "./Model.py"])
def test_a_class_is_named_in_many_ways(folder, target):
    write(folder / "Model.py", MODEL)
    loaded = loading.load(target, parameters={"scale": 3})
    assert (loaded.kind, loaded.text, loaded.name) == ("seldon", "Python class Model", "Model") and loaded.object.scale == 3


def test_a_class_may_live_in_a_package_or_a_folder(folder):
    write(folder / "pkg" / "sub" / "__init__.py", MODEL)
    write(folder / "income" / "Model.py", MODEL)
    write(folder / "income" / "helper.py", "x = 1")
    assert loading.load("pkg.sub.Model").text == "Python class Model"
    assert loading.load("income").text == "Python class Model"
    assert loading.load("income/Model.py").text == "Python class Model"


def test_a_file_beside_its_helpers_imports_them(folder):
    write(folder / "deep" / "helper.py", "SCALE = 7")
    write(folder / "deep" / "Seven.py", """
        import helper
        class Seven:
            def predict(self, X, names):
                return X * helper.SCALE
        """)
    assert loading.load("deep/Seven.py").object.predict(1, []) == 7


@pytest.mark.parametrize("text, kind", [(WSGI_APP, "wsgi"), (ASGI_APP, "asgi"), ("def app(environ, start_response):\n    return []", "wsgi"),
                                        ("async def app(scope, receive, send):\n    pass", "asgi"), ("def application(e, s):\n    return []", "wsgi?")])
def test_applications_are_told_by_how_they_are_called(folder, text, kind):
    write(folder / "serving.py", text)
    if kind == "wsgi?":  # two arguments of any name: only when it is named
        assert loading.load("serving:application").kind == "wsgi"
    else:
        assert loading.load("serving").kind == loading.load("serving:app").kind == loading.load("serving.py").kind == kind


def test_factories_are_called(folder):
    write(folder / "shop.py", WSGI_APP.replace("app = Flask()", "") + """
    def create_app(name="none"):
        made = Flask()
        made.name = name
        return made
    """)
    assert loading.load("shop").object.name == "none"
    assert loading.load("shop:create_app").object.name == "none"
    assert loading.load('shop:create_app("x")').object.name == "x"
    assert loading.load('shop:create_app(name="y")').object.name == "y"


def test_a_single_class_or_a_function_predict_is_enough(folder):
    write(folder / "app.py", MODEL)
    write(folder / "plain.py", "def predict(X):\n    return X * 2\n")
    assert loading.load("app.py").text == "Python class Model"
    assert seldon.Component(loading.load("plain.py").object) and loading.load("plain:predict").text == "Python function predict"


def test_a_class_without_methods_is_served_when_it_is_named(folder):
    write(folder / "Empty.py", "class Empty:\n    pass\n")
    assert loading.load("Empty:Empty").kind == loading.load("Empty.Empty").kind == "seldon"
    with pytest.raises(loading.TargetError, match="nothing to serve"):
        loading.load("Empty")


def test_a_subclass_of_a_framework_is_no_component(folder):
    write(folder / "site_.py", WSGI_APP.replace("app = Flask()", "") + """
    class Mine(Flask):
        def route(self, path):
            pass
    website = Mine()
    """)
    with pytest.raises(loading.TargetError, match="none of Seldon's methods"):
        loading.load("site_:Mine")
    assert loading.load("site_:website").kind == "wsgi" and loading.load("site_").object.__class__.__name__ == "Mine"


def test_the_base_class_that_is_imported_is_not_a_candidate(folder):
    from hythe import compat

    compat.add_path()
    write(folder / "derived.py", """
        from seldon_core.user_model import SeldonComponent
        class Anything(SeldonComponent):
            def predict(self, X, names, meta=None):
                return X
        """)
    assert loading.load("derived").text == "Python class Anything"


@pytest.mark.parametrize("target, text", [
    ("nothing.py", "no file 'nothing.py'"), ("nothing", "no file, folder or module 'nothing'"), ("Model:Mode", "no attribute 'Mode'; there are: Model"),
    ("two", "several to serve: name one, as in two:A (there are: A, B)"), ("none", "nothing to serve"), ("Model:x y", "not an attribute's name"),
    ("none:create(open)", "arguments must be literals"), ("many", "which file?"), ("none:number", "neither an application")])
def test_errors_say_what_was_looked_for(folder, target, text):
    write(folder / "Model.py", MODEL)
    write(folder / "two.py", "class A:\n    def predict(self, X): pass\nclass B(A): pass\n")
    write(folder / "none.py", "number = 3\ndef create(x): pass\n")
    write(folder / "many" / "a.py", "")
    write(folder / "many" / "b.py", "")
    with pytest.raises(loading.TargetError) as error:
        loading.load(target)
    assert text in str(error.value)


def test_errors_of_the_users_code_are_its_own(folder):
    write(folder / "broken.py", "import nothing_of_this_name")
    with pytest.raises(ModuleNotFoundError, match="nothing_of_this_name"):
        loading.load("broken.py")
    with pytest.raises(ModuleNotFoundError, match="absent_package"):
        loading.load("absent_package:app")


def test_wrong_parameters_name_the_signature(folder):
    write(folder / "Model.py", MODEL)
    with pytest.raises(loading.TargetError, match=r"Model\(scale=1\) cannot be made of the parameters \['sclae'\]"):
        loading.load("Model", parameters={"sclae": 2})


def test_type_errors_inside_init_are_the_users(folder):
    write(folder / "Bad.py", "class Bad:\n    def __init__(self):\n        len(3)\n    def predict(self, X): pass\n")
    with pytest.raises(TypeError, match="has no len"):
        loading.load("Bad")


# ---- estimators ----

X, Y = load_iris(return_X_y=True)


def dump(folder, model, name="model.joblib"):
    joblib.dump(model, folder / name)
    return str(folder / name)


def test_a_classifier_answers_probabilities_with_names(folder):
    model = RandomForestClassifier(5, random_state=0).fit(X, np.array(["setosa", "versicolor", "virginica"])[Y])
    loaded = loading.load(dump(folder, model))
    assert loaded.kind == "seldon" and loaded.text == "scikit-learn RandomForestClassifier (model.joblib)" and loaded.name == "model"
    assert np.array_equal(loaded.object.predict(X[:3], []), model.predict_proba(X[:3]))
    component = seldon.Component(loaded.object)
    assert component.class_names() == ["setosa", "versicolor", "virginica"] and component.metadata["custom"]["method"] == "predict_proba"


def test_the_method_is_a_parameter(folder):
    path = dump(folder, LogisticRegression(max_iter=500).fit(X, Y))
    assert loading.load(path, parameters={"method": "predict"}).object.predict(X[:2], []).tolist() == [0, 0]
    assert loading.load(path, parameters={"method": "decision_function"}).object.predict(X[:2], []).shape == (2, 3)
    with pytest.raises(ValueError, match="predict_proba, predict, decision_function"):
        loading.load(path, parameters={"method": "transform"})


def test_regressions_and_machines_without_probabilities_predict(folder):
    assert loading.load(dump(folder, LinearRegression().fit(X, Y))).object.predict(X[:1], []).shape == (1,)
    svc = loading.load(dump(folder, LinearSVC().fit(X, Y), "svc.pkl")).object
    assert svc.method == "predict" and svc.predict(X[0], []).shape == (1,)


def test_columns_are_put_in_the_order_of_training(folder):
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(X, columns=["a", "b", "c", "d"])
    model = loading.load(dump(folder, LinearRegression().fit(frame, Y))).object
    expected = LinearRegression().fit(X, Y).predict(X[:4])
    assert np.allclose(model.predict(X[:4], []), expected)
    assert np.allclose(model.predict(X[:4][:, [3, 1, 0, 2]], ["d", "b", "a", "c"]), expected)
    assert np.allclose(model.predict(X[:4], ["t:0", "t:1", "t:2", "t:3"]), expected)
    assert model.feature_names() == ["a", "b", "c", "d"]


def test_pipelines_that_pick_columns_get_a_frame(folder):
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"size": [1.0, 2.0, 3.0, 4.0], "kind": ["a", "b", "a", "b"]})
    inner = ColumnTransformer([("n", StandardScaler(), ["size"]), ("k", OneHotEncoder(handle_unknown="ignore"), ["kind"])])
    model = make_pipeline(inner, LogisticRegression()).fit(frame, [0, 1, 0, 1])
    loaded = loading.load(dump(folder, model))
    assert loaded.text == "scikit-learn Pipeline with LogisticRegression (model.joblib)"
    assert np.allclose(loaded.object.predict(np.array([["2.0", "b"]]), []), model.predict_proba(frame[1:2]))


def test_a_wrong_number_of_columns_is_the_clients_error(folder):
    model = loading.load(dump(folder, LinearRegression().fit(X, Y))).object
    with pytest.raises(seldon.ComponentError, match=r"rows of 4 columns, not an array of shape \(1, 3\)"):
        model.predict(X[:1, :3], [])


def test_an_object_of_a_module_may_be_an_estimator(folder):
    write(folder / "trained.py", """
        from sklearn.linear_model import LinearRegression
        model = LinearRegression().fit([[1], [2]], [2, 4])
        """)
    loaded = loading.load("trained:model")
    assert loaded.text == "scikit-learn LinearRegression" and np.allclose(loaded.object.predict(np.array([[3.0]]), []), 6)


def status_of(uid, mode=0o644):
    return os.stat_result((stat.S_IFREG | mode, 1, 1, 1, uid, uid, 1, 0, 0, 0))


def test_files_of_others_are_refused_unless_trusted(monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    sklearn.check_owner("m", status_of(1000))
    sklearn.check_owner("m", status_of(0))
    with pytest.raises(sklearn.UntrustedError, match="belongs to user 65431.*--trust 65431"):
        sklearn.check_owner("m", status_of(65431))
    sklearn.check_owner("m", status_of(65431), trust="65431")
    sklearn.check_owner("m", status_of(1), trust="daemon")
    with pytest.raises(sklearn.UntrustedError, match="no user 'nobody-of-this-name'"):
        sklearn.check_owner("m", status_of(1000), trust="nobody-of-this-name")
    with pytest.raises(sklearn.UntrustedError, match="every user"):
        sklearn.check_owner("m", status_of(1000, 0o666))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_a_pickle_of_another_user_does_not_run(folder):
    path = folder / "evil.pkl"
    path.write_bytes(b"cos\nsystem\n(S'touch ran'\ntR.")
    os.chown(path, 65431, 65431)
    with pytest.raises(sklearn.UntrustedError):
        loading.load(str(path))
    assert not (folder / "ran").exists()


# ---- conversion ----


def run_convert(*arguments):
    return subprocess.run([sys.executable, "-m", "hythe.convert", *map(str, arguments)], capture_output=True, text=True,
                          env={**os.environ, "PYTHONPATH": str(PACKAGE), "HYTHE_PROGRAM": str(PROGRAM)})


@pytest.mark.parametrize("model", [RandomForestClassifier(7, random_state=0), make_pipeline(StandardScaler(), LogisticRegression()), LinearRegression()],
                         ids=["forest", "pipeline", "line"])
def test_estimators_are_converted_and_compared(folder, model):
    path = dump(folder, model.fit(X, Y))
    done = run_convert(path)
    assert done.returncode == 0, done.stderr
    assert "ONNX Runtime on 200 random rows: largest difference" in done.stdout and "hythe on 200 random rows: largest difference" in done.stdout
    assert (folder / "model.onnx").stat().st_size > 100 and sorted(p.name for p in folder.iterdir()) == ["model.joblib", "model.onnx"]


def test_a_difference_over_the_tolerance_leaves_nothing(folder):
    path = dump(folder, make_pipeline(StandardScaler(), LogisticRegression()).fit(X, Y))
    done = run_convert(path, "-o", folder / "out.onnx", "--tolerance", "1e-30")
    assert done.returncode == 1 and "over the tolerance" in done.stderr and [p.name for p in folder.iterdir()] == ["model.joblib"]


def test_differences_are_seen():
    assert convert.largest_difference([[0.2, 0.8]], [[0.7]]) == pytest.approx(0.1)
    assert convert.largest_difference([1.0, 2.0], [[1.0], [2.5]]) == 0.5
    assert convert.largest_difference(["a", "b"], ["a", "c"]) == 1.0
    with pytest.raises(convert.ConversionError):
        convert.largest_difference([1.0], [1.0, 2.0])


def test_what_cannot_be_converted_says_why(folder):
    done = run_convert(dump(folder, {"a": "dict"}))
    assert done.returncode == 1 and "does not tell how many columns" in done.stderr
    done = run_convert(folder / "absent.joblib")
    assert done.returncode == 1 and "absent.joblib" in done.stderr and "Traceback" not in done.stderr


# ---- seldon-core-microservice ----

SHOW = "#!/bin/sh\nfor a in \"$@\"; do echo \"$a\"; done\necho load=$HYTHE_LOAD log=$HYTHE_SELDON_LOG\n"


@pytest.fixture
def wrapper(folder, monkeypatch):
    """Runs the command with a program hythe that prints its arguments."""
    program = folder / "hythe"
    program.write_text(SHOW)
    program.chmod(0o755)
    for name in list(os.environ):
        if name.startswith(("PREDICTIVE_", "GUNICORN_", "SELDON_", "GRPC_", "FLASK_")):
            monkeypatch.delenv(name)

    def run(*arguments, **env):
        done = subprocess.run([sys.executable, "-m", "hythe.microservice", *arguments], capture_output=True, text=True,
                              env={**os.environ, "PYTHONPATH": str(PACKAGE), "HYTHE_PROGRAM": str(program), **env})
        return done, done.stdout.split("\n")

    return run


def flag(lines, name):
    return [lines[i + 1] for i, line in enumerate(lines) if line == name]


def test_the_wrappers_defaults(wrapper):
    done, lines = wrapper("MyModel")
    assert done.returncode == 0, done.stderr
    assert lines[:2] == ["serve", "MyModel:MyModel"] and flag(lines, "--python") == [sys.executable]
    assert flag(lines, "--listen") == ["0.0.0.0:9000", "0.0.0.0:5000", "0.0.0.0:6000"]
    assert (flag(lines, "--workers"), flag(lines, "--threads"), flag(lines, "--timeout"), flag(lines, "--log-level")) == (["1"], ["1"], ["5000s"], ["info"])
    assert "--preload" not in lines and "load=worker log=INFO" in lines
    assert "- seldon_core.microservice:main:" in done.stderr and " - INFO:  Starting microservice.py:main" in done.stderr


def test_flags_and_environment_are_the_wrappers(wrapper):
    done, lines = wrapper("pkg.mod.Cls", "--workers", "3", "--threads", "4", "--access-log", "--pidfile", "p", "--parameters", "[]", "--service-type", "ROUTER",
                          "--http-port", "8000", "--grpc-workers", "0", GUNICORN_MAX_REQUESTS="100", GUNICORN_MAX_REQUESTS_JITTER="10",
                          PREDICTIVE_UNIT_METRICS_SERVICE_PORT="6001", SELDON_LOG_LEVEL="WARNING", PREDICTIVE_UNIT_METRICS_ENDPOINT="/prometheus")
    assert done.returncode == 0 and lines[1] == "pkg.mod:Cls" and flag(lines, "--listen") == ["0.0.0.0:8000", "0.0.0.0:6001"]
    assert (flag(lines, "--workers"), flag(lines, "--threads"), flag(lines, "--max-requests"), flag(lines, "--max-requests-jitter")) == (["3"], ["4"], ["100"], ["10"])
    assert "--preload" in lines and flag(lines, "--access-log") == ["text"] and flag(lines, "--pidfile") == ["p"] and flag(lines, "--log-level") == ["warn"]
    assert flag(lines, "--metrics-path") == ["/prometheus"]


def test_single_threaded_wins_over_threads(wrapper):
    assert flag(wrapper("M", "--threads", "4", FLASK_SINGLE_THREADED="1")[1], "--threads") == ["1"]


def test_commands_of_older_images_work(wrapper):
    done, lines = wrapper("MyModel", "REST", "--service-type", "MODEL", "--persistence", "0")
    assert done.returncode == 0 and flag(lines, "--listen") == ["0.0.0.0:9000", "0.0.0.0:5000", "0.0.0.0:6000"]
    done, lines = wrapper("MyModel", "REST", PREDICTIVE_UNIT_SERVICE_PORT="9500")
    assert "0.0.0.0:9500" in flag(lines, "--listen")


def test_unknown_arguments_exit_with_255(wrapper):
    done, _ = wrapper("MyModel", "SOAP")
    assert done.returncode == 255 and "Unknown args ['SOAP']" in done.stderr
    assert wrapper("MyModel", "--nonsense")[0].returncode == 255


def test_bad_parameters_end_it_before_it_serves(wrapper):
    done, _ = wrapper("MyModel", "--parameters", '[{"name":"a","type":"INT","value":"x"}]')
    assert done.returncode == 1 and "Bad model parameter: a with value x can't be parsed as a INT (MICROSERVICE_BAD_PARAMETER)" in done.stderr


def test_annotations_set_the_timeout(tmp_path):
    path = tmp_path / "annotations"
    path.write_text('seldon.io/rest-timeout="2500"\nseldon.io/grpc-max-message-size="10000000"\nother\n')
    annotations = microservice.read_annotations(str(path))
    args, _ = microservice.parse_arguments(["M"])
    line = microservice.command(args, "hythe", None, annotations)
    assert flag(line, "--timeout") == ["2s"] and flag(line, "--max-body-bytes") == ["10000000"]
    assert microservice.read_annotations(str(tmp_path / "absent")) == {}
