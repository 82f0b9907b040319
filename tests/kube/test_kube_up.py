# SPDX-License-Identifier: Apache-2.0
"""`hythe up` as the one who runs it sees it: what it says, what it counts, what it refuses, what it keeps."""
import base64
import json
import re
import socket
import subprocess
import time

import pytest

from cluster import PROGRAM, Up
from session import APPLY, JSON_PATCH, MERGE
from waiting import until

CONFIGMAPS = "/api/v1/namespaces/default/configmaps"
MIB = 1 << 20


@pytest.fixture(scope="module")
def up(tmp_path_factory):
    up = Up(tmp_path_factory.mktemp("up"))
    yield up
    assert up.stop() == 0


def config(name, data):
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}


def refused(answer, code, reason):
    assert (answer.status, answer.json["reason"]) == (code, reason), answer.text[:500]
    return answer.json["message"]


# ---- what it says ----


def test_one_screen_tells_where_everything_is(up):
    said = up.said()
    assert re.search(r"is up after \d+ ms", said)
    assert re.search(r"api +https://127\.0\.0\.1:\d+ ", said)
    assert re.search(r"data +\S+/data \(\d+ objects\)", said)
    assert re.search(r"metrics +https://\S+/metrics", said)
    assert "warning" not in said


def test_the_state_is_told_as_json(tmp_path):
    up = Up(tmp_path, "--json", "--authorization", "off")
    told = json.loads(up.said().splitlines()[0])
    assert told["listen"] == [told["api"]] and told["objects"] == 0 and len(told["warnings"]) == 1
    assert up.cluster.ask("POST", CONFIGMAPS, config("a", {})).status == 201
    assert up.stop() == 0
    again = Up(tmp_path, "--json")
    told = json.loads(again.said().splitlines()[0])
    assert told["objects"] > 0 and told["warnings"] == []
    assert again.stop() == 0


def test_a_taken_port_names_the_flag(tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        run = subprocess.run([PROGRAM, "up", "--data-dir", tmp_path, "--gateway=off", "--listen-api", f"127.0.0.1:{taken.getsockname()[1]}"], capture_output=True, text=True, timeout=60)
    assert run.returncode != 0 and run.stderr.strip().endswith("choose another with --listen-api")


def test_beyond_loopback_rights_are_looked_at(tmp_path):
    run = subprocess.run([PROGRAM, "up", "--data-dir", tmp_path, "--gateway=off", "--listen-api", "0.0.0.0:0", "--authorization", "off"], capture_output=True, text=True, timeout=60)
    assert run.returncode != 0 and "needs --authorization rbac" in run.stderr


def test_a_controller_that_is_not_there_is_named_with_the_nearest(tmp_path):
    run = subprocess.run([PROGRAM, "up", "--data-dir", tmp_path, "--gateway=off", "--listen-api", "127.0.0.1:0", "--controllers=*,-deploymnt"], capture_output=True, text=True, timeout=60)
    assert run.returncode != 0 and "there is no controller 'deploymnt'; did you mean 'deployment'?" in run.stderr


@pytest.mark.parametrize("controllers, counts", [("*", (1, 2)), ("deployment", (1, 0)), ("-*", (0, 0)), ("*,-replicaset-controller", (1, 0))])
def test_only_the_controllers_that_are_asked_for_run(tmp_path, controllers, counts):
    labels = {"app": "web"}
    pod = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "c", "image": "i"}]}}
    deployment = {"metadata": {"name": "web"}, "spec": {"replicas": 2, "selector": {"matchLabels": labels}, "template": pod}}
    paths = ("/apis/apps/v1/namespaces/default/replicasets", "/api/v1/namespaces/default/pods")
    up = Up(tmp_path, controllers=controllers)
    assert up.cluster.ask("POST", "/apis/apps/v1/namespaces/default/deployments", deployment).status == 201

    def found():
        return tuple(len(up.cluster.ask("GET", p).json["items"]) for p in paths)

    until(f"so many replica sets and pods: {counts}", lambda: found() == counts)
    time.sleep(0.2)  # what should not come has had the time to
    assert found() == counts
    assert up.stop() == 0


# ---- what it counts ----


def test_metrics_have_the_names_of_kubernetes(up):
    assert up.cluster.ask("POST", CONFIGMAPS, config("counted", {})).status == 201
    up.cluster.ask("GET", CONFIGMAPS + "/none-at-all")
    answer = up.cluster.ask("GET", "/metrics")
    assert answer.status == 200 and answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert re.search(r'^apiserver_request_total\{verb="POST",group="",resource="configmaps",code="201"\} [1-9]', answer.text, re.M)
    assert re.search(r'^apiserver_request_total\{verb="GET",group="",resource="configmaps",code="404"\} [1-9]', answer.text, re.M)
    assert re.search(r'^apiserver_request_duration_seconds_count\{verb="POST",group="",resource="configmaps"\} [1-9]', answer.text, re.M)
    assert re.search(r'^apiserver_storage_objects\{resource="namespaces"\} [4-9]', answer.text, re.M)
    assert re.search(r'^apiserver_longrunning_requests\{verb="WATCH"\} \d+', answer.text, re.M)


def test_nobody_else_reads_metrics(up):
    assert up.cluster.ask("GET", "/metrics", user="none").status == 403
    assert up.cluster.ask("GET", "/metrics", user="plain-token").status == 403


def test_who_is_nobody_sees_health_and_version_only(up):
    for path, status in {"/healthz": 200, "/livez": 200, "/readyz": 200, "/version": 200, "/api": 403, "/apis": 403, "/openapi/v3": 403, CONFIGMAPS: 403, "/": 403}.items():
        assert up.cluster.ask("GET", path, user="none").status == status, path


# ---- limits ----


def test_an_object_has_a_size(up):
    secrets = "/api/v1/namespaces/default/secrets"
    annotated = {"apiVersion": "apps/v1", "kind": "ControllerRevision", "metadata": {"name": "large"}, "revision": 1, "data": {"x": "y" * (MIB + MIB // 2)}}
    message = refused(up.cluster.ask("POST", "/apis/apps/v1/namespaces/default/controllerrevisions", annotated), 413, "RequestEntityTooLarge")
    assert "limit is 1572864" in message
    assert up.cluster.ask("POST", secrets, {"metadata": {"name": "large"}, "data": {"x": base64.b64encode(b"x" * MIB).decode()}}).status == 201


def test_a_request_has_a_size(up):
    message = refused(up.cluster.ask("POST", CONFIGMAPS, config("x", {"a": "y" * (3 * MIB)})), 413, "RequestEntityTooLarge")
    assert "limit is 3145728" in message


def test_nesting_has_a_limit(up):
    deep = '{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"deep"},"data":' + "[" * 100000 + "]" * 100000 + "}"
    assert up.cluster.ask("POST", CONFIGMAPS, deep).status == 400
    assert up.cluster.ask("PATCH", CONFIGMAPS + "/kube-root-ca.crt", "[" * 100000, {"Content-Type": JSON_PATCH}).status == 400
    assert up.cluster.ask("PATCH", CONFIGMAPS + "/deep?fieldManager=m", "a: " + "[" * 100000, {"Content-Type": APPLY}).status == 400
    assert up.cluster.ask("GET", "/readyz").status == 200


def test_a_patch_has_a_number_of_operations(up):
    up.cluster.ask("POST", CONFIGMAPS, config("patched", {"a": "1"}))
    patch = [{"op": "test", "path": "/data/a", "value": "1"}] * 10001
    message = refused(up.cluster.ask("PATCH", CONFIGMAPS + "/patched", patch, {"Content-Type": JSON_PATCH}), 413, "RequestEntityTooLarge")
    assert message.endswith("maximum operations in a JSON patch is 10000, got 10001")
    assert up.cluster.ask("PATCH", CONFIGMAPS + "/patched", patch[:10000], {"Content-Type": JSON_PATCH}).status == 200


def test_many_keys_are_fast(up):
    assert up.cluster.ask("POST", CONFIGMAPS, config("keys", {f"k{i}": "v" for i in range(20000)})).status == 201
    gone = up.cluster.ask("PATCH", CONFIGMAPS + "/keys", {"data": {f"k{i}": None for i in range(19999)}}, {"Content-Type": MERGE})
    assert gone.status == 200 and gone.json["data"] == {"k19999": "v"}


def test_watches_have_a_number(tmp_path):
    up = Up(tmp_path, "--max-watches", "2")
    path = "/api/v1/namespaces/default/configmaps?watch=1"
    held = []
    for _ in range(2):
        connection = up.cluster.connect()
        up.cluster.send(connection, "GET", path)
        assert connection.getresponse().status == 200
        held.append(connection)
    refused(up.cluster.ask("GET", path), 429, "TooManyRequests")
    for connection in held:
        connection.close()
    assert up.stop() == 0


# ---- what it keeps ----


def test_secrets_are_not_readable_in_the_folder(tmp_path):
    up = Up(tmp_path)
    word = b"a-word-that-nobody-else-writes"
    secret = {"metadata": {"name": "s"}, "data": {"x": base64.b64encode(word).decode()}}
    assert up.cluster.ask("POST", "/api/v1/namespaces/default/secrets", secret).status == 201
    assert up.cluster.ask("POST", CONFIGMAPS, config("plain", {"x": "a-word-of-a-configmap"})).status == 201
    assert up.stop() == 0
    found = b"".join(p.read_bytes() for p in up.data.rglob("*") if p.is_file())
    assert b"a-word-of-a-configmap" in found  # so that the search finds what is there
    assert word not in found and base64.b64encode(word)[:-4] not in found
    for key in (up.data / "pki").glob("*.key"):
        assert key.stat().st_mode & 0o077 == 0
    again = Up(tmp_path)
    answer = again.cluster.ask("GET", "/api/v1/namespaces/default/secrets/s")
    assert base64.b64decode(answer.json["data"]["x"]) == word
    assert again.stop() == 0


def test_a_token_is_for_whom_it_was_asked(up):
    path = "/api/v1/namespaces/default/serviceaccounts/default/token"
    made = up.cluster.ask("POST", path, {"spec": {"audiences": ["elsewhere"], "expirationSeconds": 600}})
    assert made.status == 201
    claims = json.loads(base64.urlsafe_b64decode(made.json["status"]["token"].split(".")[1] + "=="))
    assert claims["aud"] == ["elsewhere"] and claims["exp"] - claims["iat"] == 600
    review = lambda **spec: up.cluster.ask("POST", "/apis/authentication.k8s.io/v1/tokenreviews", {"spec": {"token": made.json["status"]["token"], **spec}}).json["status"]
    assert review(audiences=["elsewhere"])["authenticated"] is True
    assert "authenticated" not in review()
    bound = up.cluster.ask("POST", path, {"spec": {"boundObjectRef": {"kind": "Pod", "apiVersion": "v1", "name": "none"}}})
    refused(bound, 404, "NotFound")
    refused(up.cluster.ask("POST", path, {"spec": {"expirationSeconds": 5}}), 422, "Invalid")


def test_misspelt_fields_and_kinds_are_named_with_what_was_meant(up):
    body = {**config("x", {}), "dat": {"a": "b"}, "imutable": True}
    for mode, status in (("Strict", 400), ("Warn", 201), ("Ignore", 201)):
        answer = up.cluster.ask("POST", f"{CONFIGMAPS}?fieldValidation={mode}&dryRun=All", body)
        assert answer.status == status
        warnings = answer.headers.get("warning", "")
        assert (r'field \"dat\": did you mean \"data\"?' in warnings) == (mode != "Ignore"), warnings
        assert (r'field \"imutable\": did you mean \"immutable\"?' in warnings) == (mode != "Ignore")
    answer = up.cluster.ask("GET", "/apis/apps/v1/namespaces/default/deploymentz")
    assert answer.status == 404 and r'did you mean \"deployments\"?' in answer.headers["warning"]
    answer = up.cluster.ask("GET", "/api/v1/namespaces/default/deployments")
    assert answer.status == 404 and "did you mean deployments of apps/v1?" in answer.headers["warning"]
