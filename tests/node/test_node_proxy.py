# SPDX-License-Identifier: Apache-2.0
"""The API server's paths into pods and services by HTTP: kubectl get --raw, kubectl proxy, and plain requests."""
import http.client
import json
import re
import shutil
import subprocess

import pytest
from nodes import PYTHON, Machine, container, deployment, folder_for_all, need, pod, ready_by  # first: it sets the path of the next
from waiting import DEADLINE, until


# Tells what it was asked, echoes bodies and bytes behind an upgrade, and redirects.
CODE = r"""
import base64, hashlib, http.server, json, os, threading
gate = threading.Event()
class H(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def body(self):
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        out = b""
        while size := int(self.rfile.readline(), 16):
            out += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return out
    def say(self, status, body=b"", **headers):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)
    def all(self):
        body = self.body()
        path = self.path.split("?")[0]
        if path == "/moved":
            self.say(302, Location="/there?a=b#c")
        elif path == "/away":
            self.say(302, Location="https://elsewhere.example/there")
        elif path == "/socket":
            key = self.headers["Sec-WebSocket-Key"] + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
            self.send_response(101)
            for name, value in (("Upgrade", "websocket"), ("Connection", "Upgrade"), ("Sec-WebSocket-Accept", base64.b64encode(hashlib.sha1(key.encode()).digest()).decode())):
                self.send_header(name, value)
            self.end_headers()
            while got := self.rfile.read1(100):
                self.wfile.write(got)
            self.close_connection = True
        elif path == "/slow":
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"first\n")
            gate.wait(60)
            self.wfile.write(b"second\n")
            self.close_connection = True
        elif path == "/open":
            gate.set()
            self.say(200)
        elif path == "/echo":
            self.say(201, body, X_Length=str(len(body)))
        else:
            told = {"pod": os.environ.get("HOSTNAME"), "method": self.command, "path": self.path, "headers": {k.lower(): v for k, v in self.headers.items()}, "body": len(body)}
            self.say(200, json.dumps(told).encode(), Content_Type="application/json", Access_Control_Allow_Origin="*", X_Own="yes")
    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = all
http.server.ThreadingHTTPServer(("", 8000), H).serve_forever()
"""


def web():
    return container("main", (PYTHON, "-u", "-c", CODE), ports=[{"containerPort": 8000, "name": "main"}], readinessProbe=ready_by("/", 8000))


def service(name, selector, *ports):
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": {"selector": {"app": selector}, "ports": list(ports)}}


PATHS = "/api/v1/namespaces/default"


@pytest.fixture(scope="module", params=["root", "user"])
def m(request):
    need(request.param)
    folder = folder_for_all()
    there = Machine(folder, request.param)
    there.apply(deployment("web", 2, web()), service("web", "web", {"port": 80, "targetPort": 8000}),
                service("named", "web", {"name": "http", "port": 80, "targetPort": "main"}, {"name": "other", "port": 81, "targetPort": 8000}),
                service("empty", "nobody", {"port": 80}), pod("deaf"))
    there.rolled_out("web")
    there.wait_running("deaf")
    for name in ("web", "named"):
        until("endpoints", lambda: len(there.get("endpoints", name)["subsets"][0]["addresses"]) == 2)
    until("endpoints that are none", lambda: there.get("endpoints", "empty"))
    yield there
    there.end()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def one(m):
    return m.items("pods", "-l", "app=web")[0]["metadata"]["name"]


def raw(m, path):
    return m.run("get", "--raw", PATHS + path)


def told(m, path):
    return json.loads(raw(m, path))


# ---- the ways there ----

def test_a_service_is_reached_by_its_names_and_ports(m):
    assert told(m, "/services/web/proxy/a/b?c=d&limit=many")["path"] == "/a/b?c=d&limit=many"
    for name in ("web:80", "http:web:80", "http:web:", "web:", ":web:80", "named:http", "named:80", "named:81", "http:named:other"):
        assert told(m, f"/services/{name}/proxy/")["path"] == "/", name
    assert len({told(m, "/services/web/proxy/")["pod"] for _ in range(40)}) == 2


def test_a_pod_is_reached_by_its_first_port_a_number_or_a_name(m, one):
    for name in (one, f"{one}:8000", f"{one}:main", f"http:{one}:8000"):
        assert told(m, f"/pods/{name}/proxy/x")["pod"] == one, name


def test_paths_go_on_as_they_were_sent(m, one):
    for path in ("/", "/a/", "/a%2Fb/%20", "/a//b", "/" + "/".join("abcdefghijklmnopqrstuvwxyz") + "/", "/?watch=true", "/proxy/", "/x?labelSelector=%3D%3D"):
        assert m.up.cluster.ask("GET", f"{PATHS}/pods/{one}/proxy{path}").json["path"] == path
    assert m.up.cluster.ask("GET", f"{PATHS}/pods/{one}/prox%79/a%20b").json["path"] == "/a%20b"
    assert m.up.cluster.ask("GET", f"{PATHS}/pods/{one}/proxy/%zz").status == 400


def test_a_path_without_its_slash_is_sent_to_it(m, one):
    for path in (f"{PATHS}/pods/{one}/proxy", f"{PATHS}/services/web/proxy"):
        answer = m.up.cluster.ask("GET", path + "?a=b")
        assert answer.status == 301 and answer.headers["location"] == path + "/?a=b"
        assert m.up.cluster.ask("POST", path, "x").json["path"] == "/"


# ---- what goes there ----

@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
def test_all_methods_go_there(m, one, method):
    answer = m.up.cluster.ask(method, f"{PATHS}/pods/{one}/proxy/", None if method in ("GET", "HEAD") else "body", {"Content-Type": "text/plain", "Accept": "text/html"})
    assert answer.status == 200 and answer.headers["x-own"] == "yes"
    if method == "HEAD":
        assert not answer.raw
    else:
        assert answer.json["method"] == method and answer.json["body"] == (0 if method == "GET" else 4)
        assert answer.json["headers"]["accept"] == "text/html"


def test_bodies_are_longer_than_any_object_may_be(m, one):
    body = bytes(range(256)) * 80_000
    answer = m.up.cluster.ask("POST", f"{PATHS}/pods/{one}/proxy/echo", body, {"Content-Type": "application/octet-stream"})
    assert answer.status == 201 and answer.headers["x-length"] == str(len(body)) and answer.raw == body
    chunks = m.up.cluster.ask("POST", f"{PATHS}/pods/{one}/proxy/echo", iter([b"abc", b"d" * 70_000]), {"Content-Type": "text/plain"})
    assert chunks.raw == b"abc" + b"d" * 70_000


def test_who_asks_is_not_told_to_the_pod(m, one):
    asked = m.up.cluster.ask("GET", f"{PATHS}/pods/{one}/proxy/x", headers={"X-Own": "1", "Cookie": "a=b", "X-Remote-User": "me"}, user="admin-token").json["headers"]
    assert asked["x-own"] == "1" and asked["cookie"] == "a=b"
    assert asked["x-forwarded-for"] == "127.0.0.1" and asked["x-forwarded-uri"] == f"{PATHS}/pods/{one}/proxy/x"
    assert not {"authorization", "x-remote-user"} & set(asked)


# ---- what comes back ----

def test_answers_flow_while_they_are_made(m, one):
    connection = m.up.cluster.connect()
    m.up.cluster.send(connection, "GET", f"{PATHS}/pods/{one}/proxy/slow")
    answer = connection.getresponse()
    assert answer.readline() == b"first\n"
    assert m.up.cluster.ask("GET", f"{PATHS}/pods/{one}/proxy/open").status == 200
    assert answer.read() == b"second\n"
    connection.close()


def test_redirects_stay_behind_the_proxy(m, one):
    base = f"{PATHS}/pods/{one}/proxy"
    assert m.up.cluster.ask("GET", base + "/moved").headers["location"] == base + "/there?a=b#c"
    assert m.up.cluster.ask("GET", base + "/away").headers["location"] == "https://elsewhere.example/there"
    assert "access-control-allow-origin" not in m.up.cluster.ask("GET", base + "/").headers


def test_a_websocket_goes_through(m, one):
    connection = m.up.cluster.connect()
    m.up.cluster.send(connection, "GET", f"{PATHS}/services/web/proxy/socket",
                      headers={"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ=="})
    stream, got = connection.sock, b""
    while b"\r\n\r\n" not in got and (more := stream.recv(1000)):
        got += more
    head, got = got.split(b"\r\n\r\n", 1)
    assert b" 101 " in head and b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" in head
    stream.sendall(b"\x81\x85abcd" + bytes(32))
    while len(got) < 38 and (more := stream.recv(1000)):
        got += more
    assert got == b"\x81\x85abcd" + bytes(32)
    connection.close()


def test_kubectl_proxy_serves_a_browser(m):
    process = subprocess.Popen(m.command("proxy", "--port=0"), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=m.env, text=True)
    try:
        port = int(re.search(r"127\.0\.0\.1:(\d+)", process.stdout.readline()).group(1))
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=DEADLINE)
        connection.request("GET", f"{PATHS}/services/http:web:80/proxy/moved", headers={"Accept": "text/html"})
        answer = connection.getresponse()
        answer.read()
        assert answer.status == 302 and answer.headers["Location"] == f"{PATHS}/services/http:web:80/proxy/there?a=b#c"
        connection.request("POST", f"{PATHS}/services/web/proxy/echo", b"x" * 100_000)
        assert connection.getresponse().read() == b"x" * 100_000
        connection.close()
    finally:
        process.terminate()
        process.wait(DEADLINE)
        process.stdout.close()


# ---- what is refused ----

def refused(m, path, user="admin", method="GET"):
    answer = m.up.cluster.ask(method, PATHS + path, user=user)
    assert answer.json["kind"] == "Status"
    return answer.status, answer.json.get("reason"), answer.json["message"]


def test_refusals_are_the_real_servers(m, one):
    gone = (503, "ServiceUnavailable")
    assert refused(m, "/services/empty/proxy/") == (*gone, 'no endpoints available for service "empty"')
    assert refused(m, "/services/named/proxy/") == (*gone, 'no endpoints available for service "named"')
    assert refused(m, "/services/named:none/proxy/") == (*gone, 'no endpoints available for service "named:none"')
    assert refused(m, "/services/web:99/proxy/") == (*gone, 'no service port 99 found for service "web"')
    assert refused(m, "/services/none/proxy/") == (404, "NotFound", 'services "none" not found')
    assert refused(m, "/services/ftp:web:80/proxy/") == (400, "BadRequest", 'invalid service request "ftp:web:80"')
    assert refused(m, "/pods/none/proxy/") == (404, "NotFound", 'pods "none" not found')
    assert refused(m, "/pods/a:b:c:d/proxy/") == (400, "BadRequest", 'invalid pod request "a:b:c:d"')
    status, reason, message = refused(m, "/pods/deaf:8000/proxy/")
    assert (status, reason) == gone and re.fullmatch(r"error trying to reach service: dial tcp 127\.97\.\d+\.\d+:8000: connect: connection refused", message)
    assert refused(m, "/pods/deaf:none/proxy/")[:2] == gone
    assert refused(m, f"/pods/https:{one}:8000/proxy/")[0] == 501
    code, said = m.run("get", "--raw", f"{PATHS}/services/empty/proxy/", ok=False)
    assert code == 1 and 'no endpoints available for service "empty"' in said


def test_rights_are_those_of_the_subresource(m):
    path = "/services/web/proxy/"
    assert refused(m, path, "plain-token")[0] == 403
    m.apply({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": {"name": "look"}, "rules": [{"apiGroups": [""], "resources": ["services/proxy"], "verbs": ["get"]}]},
            {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": {"name": "look"}, "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "look"},
             "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "plain-user"}]})
    until("the right is there", lambda: m.up.cluster.ask("GET", PATHS + path, user="plain-token").status == 200)
    status, _, message = refused(m, path, "plain-token", "POST")
    assert status == 403 and 'cannot create resource "services/proxy"' in message


def test_a_client_that_goes_leaves_nothing(m, one):
    """More than may be open at a time, one after the other."""
    for _ in range(60):
        connection = m.up.cluster.connect()
        m.up.cluster.send(connection, "POST", f"{PATHS}/pods/{one}/proxy/echo", None, {"Content-Length": "1000000"})
        connection.close()
    until("there is room", lambda: m.up.cluster.ask("GET", f"{PATHS}/pods/{one}/proxy/").status == 200)
