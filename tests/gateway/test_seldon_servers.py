# SPDX-License-Identifier: Apache-2.0
"""Servers that come ready, from the model's file to the answer: SKLEARN_SERVER, XGBOOST_SERVER and MLFLOW_SERVER with models of this machine, of a web server and of object
stores (for gs:// an emulator of Google's). The numbers are those of the library itself."""
import json
import pathlib
import shutil
import sys
import urllib.error
import urllib.parse
import urllib.request

import numpy as np
import pytest
from gates import PYTHON, address_of, machine_of
from nodes import container, deployment, folder_for_all
from waiting import SANITIZED, until

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
from make_models import customers, numbers  # noqa: E402

ROWS = 20
STARTS_S = 180  # of a server that loads its libraries
KEYS = {"AWS_ACCESS_KEY_ID": "AKID", "AWS_SECRET_ACCESS_KEY": "SECRET", "AWS_ENDPOINT_URL": "http://store:8000", "AWS_REGION": "eu-west-1"}
# Files by their path, and path-style S3 of the folder "bucket", for who shows the key: signatures are looked at by the tests of `hythe fetch`.
STORE = """
import http.server, pathlib, urllib.parse
ROOT = pathlib.Path('/models')
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'
    def do_GET(self):
        url = urllib.parse.urlsplit(self.path)
        query = dict(urllib.parse.parse_qsl(url.query))
        file = ROOT / urllib.parse.unquote(url.path).lstrip('/')
        if url.path.startswith('/bucket') and 'Credential=AKID/' not in self.headers.get('Authorization', ''):
            self.send(403, b'<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>')
        elif 'list-type' in query:
            keys = sorted(str(p.relative_to(file)) for p in file.rglob('*') if p.is_file())
            items = ''.join(f'<Contents><Key>{k}</Key><Size>{(file / k).stat().st_size}</Size></Contents>' for k in keys if k.startswith(query.get('prefix', '')))
            self.send(200, f'<?xml version="1.0"?><ListBucketResult>{items}</ListBucketResult>'.encode())
        elif file.is_file():
            self.send(200, file.read_bytes())
        else:
            self.send(404, b'<Error><Code>NoSuchKey</Code><Message>The specified key does not exist.</Message></Error>')
    def send(self, status, body):
        self.send_response(status)
        self.send_header('Content-Length', str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *a): pass
http.server.ThreadingHTTPServer(('0.0.0.0', 8000), Handler).serve_forever()
"""
needs_extension = pytest.mark.skipif(SANITIZED, reason="no extension module in this build")


class Made:
    """Models, and what their libraries say of the first rows. One of each server, where the server would look for it."""

    def __init__(self, folder):
        import joblib
        import xgboost
        from sklearn.linear_model import LogisticRegression

        self.folder = folder
        x, y = customers()
        self.customers, self.logistic = x[:ROWS], LogisticRegression().fit(x, y)
        for name in ("sklearn", "bucket/deep/sklearn"):
            (folder / name).mkdir(parents=True)
            joblib.dump(self.logistic, folder / name / "model.joblib")
        x, y = numbers(kind="multi")
        self.numbers = x[:ROWS]
        self.classes = xgboost.XGBClassifier(n_estimators=10, max_depth=3, n_jobs=1).fit(x, y).get_booster()
        (folder / "boosted").mkdir()
        self.classes.save_model(folder / "boosted" / "model.ubj")
        (folder / "boosted" / "model.ubj").rename(folder / "boosted" / "model.bst")
        x, y = numbers(kind="regression")
        self.values = xgboost.XGBRegressor(n_estimators=10, max_depth=3, n_jobs=1).fit(x, y).get_booster()
        self.values.save_model(folder / "values.ubj")

    def boosted(self, booster):
        import xgboost

        return booster.predict(xgboost.DMatrix(self.numbers))


@pytest.fixture(scope="module")
def models():
    folder = pathlib.Path(folder_for_all())
    made = Made(folder)
    for p in [folder, *folder.rglob("*")]:
        p.chmod(0o755 if p.is_dir() else 0o644)
    yield made
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def m(models):
    folder = folder_for_all()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HYTHE_PYTHON", sys.executable)  # pods have the libraries that are here
        machine = machine_of(folder)
    store = deployment("store", 1, container("main", (PYTHON, "-u", "-c", STORE), ports=[{"containerPort": 8000}], volumeMounts=[{"name": "models", "mountPath": "/models"}],
                                             readinessProbe={"tcpSocket": {"port": 8000}, "periodSeconds": 1}),
                       volumes=[{"name": "models", "hostPath": {"path": str(models.folder)}}])
    machine.apply(store, {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "store"}, "spec": {"selector": {"app": "store"}, "ports": [{"port": 8000}]}},
                  {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "keys"}, "stringData": KEYS})
    machine.rolled_out("store")
    yield machine
    machine.run("delete", "sdep", "--all", ok=False)  # what a failed test left would be made again and again
    machine.end()
    shutil.rmtree(folder, ignore_errors=True)


def seldon(name, implementation, uri, parameters=(), protocol="seldon", **graph):
    given = [{"name": key, "value": value, "type": "STRING"} for key, value in parameters]
    return {"apiVersion": "machinelearning.seldon.io/v1", "kind": "SeldonDeployment", "metadata": {"name": name},
            "spec": {"protocol": protocol, "predictors": [{"name": "default", "graph": {"name": "clf", "implementation": implementation, "modelUri": uri, "parameters": given, **graph}}]}}


def post(address, path, body):
    """(status, JSON)"""
    request = urllib.request.Request(f"http://{address[0]}:{address[1]}{path}", json.dumps(body).encode(), {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, json.loads(answer.read())
    except urllib.error.HTTPError as e:
        return e.code, json.loads(e.read())


def there(m, name):
    def is_so():
        status = m.get("sdep", name).get("status", {})
        assert status.get("state") == "Available", status.get("description")
        return status

    until(f"{name} is available", is_so, STARTS_S)


def rows(x):
    """JSON has no NaN: null is it."""
    return [[None if np.isnan(v) else float(v) for v in row] for row in x]


def predictions(m, name, x):
    """By the gateway, and by the predictor's own service: both say the same."""
    body, found = {"data": {"ndarray": rows(x)}}, []
    for address, path in ((m.gateway_address(), f"/seldon/default/{name}"), (address_of(m, f"{name}-default"), "")):
        status, answer = until("an answer", lambda: (r := post(address, path + "/api/v1.0/predictions", body))[0] not in (404, 503) and r)
        assert status == 200, answer
        assert answer["meta"]["requestPath"].keys() == {"clf"} and answer["meta"]["puid"]
        found.append(answer["data"])
    assert found[0] == found[1]
    return np.array(found[0]["ndarray"])


@needs_extension
def test_scikit_learn_from_a_file(m, models):
    m.apply(seldon("file", "SKLEARN_SERVER", f"file://{models.folder}/sklearn"))
    there(m, "file")
    assert np.allclose(predictions(m, "file", models.customers), models.logistic.predict_proba(models.customers), rtol=1e-12)
    m.run("delete", "sdep", "file")


@needs_extension
def test_scikit_learn_from_an_object_store_with_keys_and_a_method(m, models):
    m.apply(seldon("kept", "SKLEARN_SERVER", "s3://bucket/deep/sklearn", [("method", "decision_function")], envSecretRefName="keys"))
    there(m, "kept")
    assert np.allclose(predictions(m, "kept", models.customers), models.logistic.decision_function(models.customers), rtol=1e-12)
    m.run("delete", "sdep", "kept")


def test_without_keys_it_is_said_why(m):
    m.apply(seldon("keyless", "SKLEARN_SERVER", "s3://bucket/deep/sklearn", envSecretRefName="half"),
            {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "half"}, "stringData": {"AWS_ENDPOINT_URL": KEYS["AWS_ENDPOINT_URL"]}})
    until("the state says why", lambda: "Access Denied" in m.get("sdep", "keyless")["status"]["description"])
    assert m.get("sdep", "keyless")["status"]["state"] == "Creating"
    m.run("delete", "sdep/keyless", "secret/half")


def test_xgboost_from_a_file_is_answered_by_gateway_and_pod_alike(m, models):
    m.apply(seldon("boosted", "XGBOOST_SERVER", f"file://{models.folder}/boosted"))
    there(m, "boosted")
    assert np.allclose(predictions(m, "boosted", models.numbers), models.boosted(models.classes), rtol=1e-6)
    m.run("delete", "sdep", "boosted")


def test_xgboost_from_a_web_server(m, models):
    m.apply(seldon("web", "XGBOOST_SERVER", "http://store:8000/values.ubj"))
    there(m, "web")
    assert np.allclose(np.ravel(predictions(m, "web", models.numbers)), models.boosted(models.values), rtol=1e-6)
    m.run("delete", "sdep", "web")


def served_by(name, port, *command):
    """A Deployment and a Service of this name."""
    return (deployment(name, 1, container("main", command, ports=[{"containerPort": port}], readinessProbe={"tcpSocket": {"port": port}, "periodSeconds": 1})),
            {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": {"selector": {"app": name}, "ports": [{"port": port}]}})


def test_xgboost_from_googles_storage(m, models):
    emulator = "from gcp_storage_emulator.server import create_server; create_server('0.0.0.0', 9023, in_memory=True, default_bucket='bucket').run()"
    m.apply(*served_by("google", 9023, sys.executable, "-u", "-c", emulator),
            {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "google"}, "stringData": {"STORAGE_EMULATOR_HOST": "http://google:9023"}})
    m.rolled_out("google")
    host, port = address_of(m, "google")
    for name in ("deep/boosted/model.bst", "deep/boosted-not/model.bst"):  # a folder is no prefix of another's name
        file = (models.folder / "boosted" / "model.bst").read_bytes() if name.startswith("deep/boosted/") else b"no model"
        where = f"http://{host}:{port}/upload/storage/v1/b/bucket/o?uploadType=media&name={urllib.parse.quote_plus(name)}"
        urllib.request.urlopen(urllib.request.Request(where, file, {"Content-Type": "application/octet-stream"}), timeout=60).close()
    m.apply(seldon("stored", "XGBOOST_SERVER", "gs://bucket/deep/boosted", envSecretRefName="google"))
    there(m, "stored")
    assert np.allclose(predictions(m, "stored", models.numbers), models.boosted(models.classes), rtol=1e-6)
    m.run("delete", "sdep/stored", "deployment/google", "service/google", "secret/google")


@needs_extension
def test_scikit_learn_in_the_open_protocol(m, models):
    m.apply(seldon("open", "SKLEARN_SERVER", f"file://{models.folder}/sklearn", protocol="v2"))
    there(m, "open")
    body = {"inputs": [{"name": "x", "shape": list(models.customers.shape), "datatype": "FP64", "data": models.customers.ravel().tolist()}]}
    status, answer = until("an answer", lambda: (r := post(m.gateway_address(), "/seldon/default/open/v2/models/clf/infer", body))[0] not in (404, 503) and r)
    assert status == 200 and answer["model_name"] == "clf", answer
    output, = answer["outputs"]
    assert output["shape"] == [ROWS, 2] and np.allclose(np.reshape(output["data"], (ROWS, 2)), models.logistic.predict_proba(models.customers), rtol=1e-12)
    m.run("delete", "sdep", "open")


@needs_extension
def test_mlflow_from_a_file(m, models):
    import mlflow

    mlflow.sklearn.save_model(models.logistic, models.folder / "mlflow", serialization_format="cloudpickle")
    m.apply(seldon("flow", "MLFLOW_SERVER", f"file://{models.folder}/mlflow"))
    there(m, "flow")
    assert predictions(m, "flow", models.customers).tolist() == models.logistic.predict(models.customers).tolist()
    m.run("delete", "sdep", "flow")
