# SPDX-License-Identifier: Apache-2.0
"""`hythe fetch` against servers that speak as S3 and Google's storage do, and `hythe serve` of the folder that it fills."""
import datetime
import hashlib
import hmac
import http.server
import json
import os
import subprocess
import threading
import urllib.parse

import pytest
from conftest import DEADLINE, PROGRAM

FILES = {"m/model.txt": b"tree", "m/sub/a b+c.bin": bytes(range(256)) * 2000, "m/": b"", "mm/other": b"no", "single.onnx": b"one"}
KEYS = ("AKID", "SECRET")


def signature_of(handler, date, scope, signed):
    """AWS Signature Version 4 of what came, from the documentation's description."""
    url = urllib.parse.urlsplit(handler.path)
    headers = "".join(f"{name}:{handler.headers[name].strip()}\n" for name in signed.split(";"))
    canonical = "\n".join([handler.command, url.path, "&".join(sorted(url.query.split("&"))), headers, signed, handler.headers["x-amz-content-sha256"]])
    text = "\n".join(["AWS4-HMAC-SHA256", date, scope, hashlib.sha256(canonical.encode()).hexdigest()])
    key = ("AWS4" + KEYS[1]).encode()
    for part in scope.split("/"):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    return hmac.new(key, text.encode(), hashlib.sha256).hexdigest()


class Storage(http.server.BaseHTTPRequestHandler):
    """Path-style S3, and Google's JSON API; pages of one object each."""
    protocol_version = "HTTP/1.1"
    anonymous = True
    failures = 0

    def send(self, status, body, kind="application/xml"):
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass

    def is_let_in(self):
        given = self.headers.get("Authorization", "")
        if Storage.anonymous:
            return True
        if self.path.startswith("/storage/"):
            return given == "Bearer TOKEN"
        parts = dict(p.split("=", 1) for p in given.partition(" ")[2].split(",") if "=" in p)
        who, _, scope = parts.get("Credential", "/").partition("/")
        date = self.headers.get("x-amz-date", "20000101T000000Z")
        age = datetime.datetime.now(datetime.timezone.utc) - datetime.datetime.strptime(date + "+0000", "%Y%m%dT%H%M%SZ%z")
        return (who == KEYS[0] and scope == f"{date[:8]}/eu-west-1/s3/aws4_request" and abs(age) < datetime.timedelta(minutes=15)
                and parts["Signature"] == signature_of(self, date, scope, parts["SignedHeaders"]))

    def do_GET(self):
        url = urllib.parse.urlsplit(self.path)
        query = dict(urllib.parse.parse_qsl(url.query))
        if Storage.failures > 0:
            Storage.failures -= 1
            return self.send(503, b"<Error><Message>Reduce your request rate.</Message></Error>")
        if not self.is_let_in():
            return self.send(403, b"<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>")
        if url.path == "/bucket" and "list-type" in query:
            return self.list_s3(query)
        if url.path == "/storage/v1/b/bucket/o":
            return self.list_google(query)
        if url.path.startswith("/storage/v1/b/bucket/o/") and query == {"alt": "media"}:
            key = urllib.parse.unquote(url.path[len("/storage/v1/b/bucket/o/"):])
        elif url.path == "/moved":
            self.send_response(302)
            self.send_header("Location", "/bucket/single.onnx")
            self.send_header("Content-Length", "0")
            return self.end_headers()
        else:
            key = urllib.parse.unquote(url.path.removeprefix("/bucket/"))
        if key not in FILES:
            return self.send(404, b"<Error><Message>The specified key does not exist.</Message></Error>")
        return self.send(200, FILES[key], "application/octet-stream")

    def page(self, prefix, token):
        keys = sorted(k for k in FILES if k.startswith(prefix))
        at = int(token or 0)
        return keys[at:at + 1], str(at + 1) if at + 1 < len(keys) else None

    def list_s3(self, query):
        keys, more = self.page(query.get("prefix", ""), query.get("continuation-token"))
        items = "".join(f"<Contents><Key>{urllib.parse.quote_plus(k)}</Key><Size>{len(FILES[k])}</Size></Contents>" for k in keys)
        token = f"<NextContinuationToken>{more}</NextContinuationToken>" if more else ""
        self.send(200, f'<?xml version="1.0"?><ListBucketResult xmlns="x">{items}{token}</ListBucketResult>'.encode())

    def list_google(self, query):
        keys, more = self.page(query.get("prefix", ""), query.get("pageToken"))
        page = {"items": [{"name": k, "size": str(len(FILES[k]))} for k in keys]}
        if more:
            page["nextPageToken"] = more
        self.send(200, json.dumps(page).encode(), "application/json")


@pytest.fixture
def storage():
    Storage.anonymous, Storage.failures = True, 0
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Storage)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


def fetch(uri, folder, *flags, **env):
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("AWS_", "S3_", "STORAGE_", "GOOGLE_"))}
    done = subprocess.run([str(PROGRAM), "fetch", uri, str(folder), *flags], env={**clean, **env}, capture_output=True, timeout=DEADLINE)
    return done.returncode, done.stdout.decode(), done.stderr.decode()


def content(folder):
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


WANTED = {"model.txt": FILES["m/model.txt"], "sub/a b+c.bin": FILES["m/sub/a b+c.bin"]}


def test_a_prefix_of_s3_and_one_object(storage, tmp_path):
    env = {"AWS_ENDPOINT_URL": "http://" + storage}
    assert fetch("s3://bucket/m", tmp_path / "a", **env)[0] == 0
    assert content(tmp_path / "a") == WANTED
    assert fetch("s3://bucket/m/", tmp_path / "a", **env)[0] == 0  # again, over what is there
    assert content(tmp_path / "a") == WANTED
    assert fetch("s3://bucket/single.onnx", tmp_path / "b", **env)[0] == 0
    assert content(tmp_path / "b") == {"single.onnx": b"one"}


def test_questions_to_s3_are_signed(storage, tmp_path):
    Storage.anonymous = False
    env = {"S3_ENDPOINT": storage, "S3_USE_HTTPS": "0", "AWS_REGION": "eu-west-1"}
    code, _, err = fetch("s3://bucket/m", tmp_path / "a", **env)
    assert code == 1 and "no keys were given" in err and "Access Denied" in err
    code, _, err = fetch("s3://bucket/m", tmp_path / "a", **env, AWS_ACCESS_KEY_ID=KEYS[0], AWS_SECRET_ACCESS_KEY="wrong")
    assert code == 1 and "the keys given are not let in" in err
    assert fetch("s3://bucket/m", tmp_path / "a", **env, AWS_ACCESS_KEY_ID=KEYS[0], AWS_SECRET_ACCESS_KEY=KEYS[1]) [0] == 0
    assert content(tmp_path / "a") == WANTED


def test_google_s_storage(storage, tmp_path):
    env = {"STORAGE_EMULATOR_HOST": storage}
    assert fetch("gs://bucket/m", tmp_path / "a", **env)[0] == 0
    assert content(tmp_path / "a") == WANTED
    Storage.anonymous = False
    assert "GOOGLE_OAUTH_ACCESS_TOKEN" in fetch("gs://bucket/m", tmp_path / "b", **env)[2]
    assert fetch("gs://bucket/single.onnx", tmp_path / "b", **env, GOOGLE_OAUTH_ACCESS_TOKEN="TOKEN")[0] == 0
    assert content(tmp_path / "b") == {"single.onnx": b"one"}


def test_one_file_of_a_web_server(storage, tmp_path):
    assert fetch(f"http://{storage}/bucket/single.onnx?x=1", tmp_path)[0] == 0
    assert fetch(f"http://{storage}/moved", tmp_path)[0] == 0
    assert content(tmp_path) == {"single.onnx": b"one", "moved": b"one"}


def test_what_is_overloaded_is_asked_again(storage, tmp_path):
    Storage.failures = 2
    assert fetch("s3://bucket/m", tmp_path, AWS_ENDPOINT_URL="http://" + storage)[0] == 0
    assert content(tmp_path) == WANTED


def test_failures_leave_nothing_half(storage, tmp_path):
    env = {"AWS_ENDPOINT_URL": "http://" + storage}
    code, _, err = fetch("s3://bucket/nowhere", tmp_path, **env)
    assert code == 1 and "The specified key does not exist." in err
    code, _, err = fetch("s3://bucket/m", tmp_path, "--max-bytes", "1000", **env)
    assert code == 1 and "--max-bytes" in err
    assert not [name for name in content(tmp_path) if ".hythe-fetch" in name]
    assert fetch("s3://bucket/m", tmp_path, "--max-files", "1", **env)[0] == 1


def test_names_that_lead_out_of_the_folder_are_refused(storage, tmp_path):
    FILES["evil/../../out"] = b"x"
    try:
        code, _, err = fetch("s3://bucket/evil", tmp_path / "in", AWS_ENDPOINT_URL="http://" + storage)
    finally:
        del FILES["evil/../../out"]
    assert code == 1 and "no path" in err and not (tmp_path / "out").exists()


def test_a_model_that_was_fetched_is_served_by_its_folder(serve, models_dir, tmp_path):
    source = next(p for p in sorted(models_dir.iterdir()) if p.suffix == ".onnx")
    folder = tmp_path / "from"
    folder.mkdir()
    (folder / "model.onnx").write_bytes(source.read_bytes())
    assert fetch(folder.as_uri(), tmp_path / "to")[0] == 0
    server = serve([str(tmp_path / "to")], "--name", "clf")
    with __import__("urllib.request").request.urlopen(server.url + "/v2/models/clf/ready") as answer:
        assert answer.status == 200
