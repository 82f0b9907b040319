# SPDX-License-Identifier: Apache-2.0
"""Keys, tokens, rights, the audit log, and the commands env, backup and restore, with the whole program."""
import base64
import json
import os
import subprocess

import pytest
from cluster import PROGRAM, Up
from waiting import until

CONFIGS = "/api/v1/namespaces/default/configmaps"
RBAC = "/apis/rbac.authorization.k8s.io/v1/"
SELF = "/apis/authentication.k8s.io/v1/selfsubjectreviews"


@pytest.fixture
def up(tmp_path):
    server = Up(tmp_path, "--audit-log", str(tmp_path / "audit.log"))
    yield server
    server.stop()


def hythe(*arguments):
    return subprocess.run([str(PROGRAM), *map(str, arguments)], capture_output=True, text=True, timeout=60)


def names(cluster, path):
    return {item["metadata"]["name"] for item in cluster.ask("GET", path).json["items"]}


def token_of(cluster, account):
    cluster.ask("POST", "/api/v1/namespaces/default/serviceaccounts", {"metadata": {"name": account}})
    made = cluster.ask("POST", f"/api/v1/namespaces/default/serviceaccounts/{account}/token", {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}})
    assert made.status == 201, made
    return made.json["status"]["token"]


def decoded(part):
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))


def test_a_token_is_good_for_others_by_the_key_set(up):
    rsa = pytest.importorskip("cryptography.hazmat.primitives.asymmetric.rsa")
    from cryptography.hazmat.primitives.asymmetric import padding
    from cryptography.hazmat.primitives.hashes import SHA256

    token = token_of(up.cluster, "signed")
    head, claims, signature = token.split(".")
    key = next(k for k in up.cluster.ask("GET", "/openid/v1/jwks").json["keys"] if k["kid"] == json.loads(decoded(head))["kid"])
    numbers = [int.from_bytes(decoded(key[name]), "big") for name in ("e", "n")]
    rsa.RSAPublicNumbers(*numbers).public_key().verify(decoded(signature), f"{head}.{claims}".encode(), padding.PKCS1v15(), SHA256())
    claims = json.loads(decoded(claims))
    assert claims["sub"] == "system:serviceaccount:default:signed"
    assert claims["iss"] == up.cluster.ask("GET", "/.well-known/openid-configuration").json["issuer"]
    assert claims["exp"] - claims["iat"] == 3600


def test_the_administrators_certificate_is_a_master(up):
    me = up.cluster.ask("POST", SELF, {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}).json["status"]["userInfo"]
    assert me["username"] == "kubernetes-admin"
    assert me["groups"] == ["system:masters", "system:authenticated"]


def test_aggregated_roles_get_their_rules_and_follow_changes(up):
    until("the role", lambda: up.cluster.ask("GET", RBAC + "clusterroles/view").status == 200)
    role = {"metadata": {"name": "poems", "labels": {"rbac.authorization.k8s.io/aggregate-to-view": "true"}}, "rules": [{"apiGroups": ["art"], "resources": ["poems"], "verbs": ["get"]}]}
    assert up.cluster.ask("POST", RBAC + "clusterroles", role).status == 201

    def groups(name):
        return {group for rule in up.cluster.ask("GET", RBAC + "clusterroles/" + name).json.get("rules") or [] for group in rule.get("apiGroups", [])}

    def become(name, is_there):
        until(f"{name}: {is_there}", lambda: ("art" in groups(name)) == is_there)

    for name in ("view", "edit", "admin"):
        become(name, True)
    up.cluster.ask("DELETE", RBAC + "clusterroles/poems")
    for name in ("view", "edit", "admin"):
        become(name, False)


def test_env_prints_what_a_shell_takes(up):
    said = hythe("env", "--data-dir", up.data)
    assert said.returncode == 0, said.stderr
    value = subprocess.run(["sh", "-c", said.stdout + 'printf %s "$KUBECONFIG"'], capture_output=True, text=True, check=True).stdout
    assert os.path.samefile(value, up.kubeconfig)


def test_env_without_a_server_ever_started_says_so(tmp_path):
    said = hythe("env", "--data-dir", tmp_path / "it's nothing")
    assert said.returncode == 1 and "hythe up" in said.stderr and said.stdout == ""


def test_a_running_server_goes_back_to_a_backup(up, tmp_path):
    file = tmp_path / "backup.db"
    up.cluster.ask("POST", CONFIGS, {"metadata": {"name": "before"}, "data": {"a": "1"}})
    said = hythe("backup", file, "--data-dir", up.data)
    assert said.returncode == 0, said.stderr
    up.cluster.ask("POST", CONFIGS, {"metadata": {"name": "after"}})
    up.cluster.ask("DELETE", CONFIGS + "/before")
    said = hythe("restore", file, "--data-dir", up.data)
    assert said.returncode == 0, said.stderr
    assert {"before"} <= names(up.cluster, CONFIGS) and "after" not in names(up.cluster, CONFIGS)
    again = up.cluster.ask("GET", CONFIGS + "/before").json
    assert again["data"] == {"a": "1"}
    again["data"]["a"] = "2"
    assert up.cluster.ask("PUT", CONFIGS + "/before", again).status == 200  # its resourceVersion is the stored one


def test_a_stopped_server_is_backed_up_and_restored(tmp_path):
    first = Up(tmp_path)
    first.cluster.ask("POST", CONFIGS, {"metadata": {"name": "kept"}})
    first.stop()
    file = tmp_path / "backup.db"
    said = hythe("backup", file, "--data-dir", first.data)
    assert said.returncode == 0, said.stderr
    second = Up(tmp_path)
    second.cluster.ask("DELETE", CONFIGS + "/kept")
    second.stop()
    said = hythe("restore", file, "--data-dir", first.data)
    assert said.returncode == 0, said.stderr
    third = Up(tmp_path)
    assert "kept" in names(third.cluster, CONFIGS)
    third.stop()


def test_what_is_no_backup_is_refused(up, tmp_path):
    file = tmp_path / "poem.txt"
    file.write_text("not a database")
    said = hythe("restore", file, "--data-dir", up.data)
    assert said.returncode == 1 and said.stderr
    assert up.cluster.ask("GET", "/readyz").status == 200


def test_only_the_administrator_makes_backups(up, tmp_path):
    refused = up.cluster.ask("POST", "/hythe/v1/backup", {"path": str(tmp_path / "b")}, user="plain-token")
    assert refused.status == 403
    assert not (tmp_path / "b").exists()


def test_each_request_is_a_line_of_the_audit_log(up, tmp_path):
    up.cluster.ask("GET", CONFIGS + "/none")
    up.cluster.ask("GET", CONFIGS, user="plain-token")
    up.cluster.ask("GET", CONFIGS, user="nobodys-token")
    up.stop()
    lines = [json.loads(line) for line in (tmp_path / "audit.log").read_text().splitlines()]
    seen = {(line.get("user", {}).get("username"), line["verb"], line.get("objectRef", {}).get("resource"), line["responseStatus"]["code"]) for line in lines}
    assert ("kubernetes-admin", "get", "configmaps", 404) in seen
    assert ("plain-user", "list", "configmaps", 403) in seen
    assert any(user is None and code == 401 for user, _, _, code in seen)
    assert all(line["kind"] == "Event" and line["auditID"] for line in lines)
    assert "nobodys-token" not in (tmp_path / "audit.log").read_text()
