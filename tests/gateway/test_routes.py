# SPDX-License-Identifier: Apache-2.0
"""Services, Ingress and Gateway API with kubectl and curl as they are: what a cluster's objects say is what is answered, where, by whom."""
import base64
import collections
import json
import re
import shutil
import socket
import subprocess

import pytest
from gates import Gates, everywhere, free_port
from nodes import PYTHON, container, deployment, folder_for_all, need, ready_by
from waiting import until

# Tells who answers, and what was asked; each path that is asked is a line of its log.
CODE = """
import http.server, json, os
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'
    def do_GET(self):
        self.rfile.read(int(self.headers.get('content-length') or 0))
        body = json.dumps({'who': os.environ['WHO'], 'path': self.path, 'headers': dict(self.headers)}).encode()
        self.send_response(200)
        self.send_header('content-length', str(len(body)))
        self.end_headers()
        self.wfile.write(body)
        print(self.path, flush=True)
    do_POST = do_GET
    def log_message(self, *a): pass
http.server.ThreadingHTTPServer(('0.0.0.0', 8000), Handler).serve_forever()
"""
SHARED = [{"name": "hythe", "namespace": "kube-system"}]


def app(name):
    c = container("main", (PYTHON, "-u", "-c", CODE), env=[{"name": "WHO", "value": name}], ports=[{"containerPort": 8000}],
                  readinessProbe=ready_by("/ready", 8000))
    return deployment(name, 1, c)


def service(name, kind="ClusterIP"):
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name},
            "spec": {"type": kind, "selector": {"app": name}, "ports": [{"name": "http", "port": 8080, "targetPort": 8000}]}}


def route(name, *rules, hostnames=(), parents=None, kind="HTTPRoute"):
    return {"apiVersion": "gateway.networking.k8s.io/v1", "kind": kind, "metadata": {"name": name},
            "spec": {"parentRefs": parents or SHARED, "hostnames": list(hostnames), "rules": list(rules)}}


def to(*refs):
    return [{"name": name, "port": 8080, **({"weight": weight} if weight is not None else {})} for name, weight in refs]


@pytest.fixture(scope="module", params=["root", "user"])
def m(request):
    need(request.param)
    folder = folder_for_all()
    tls_port = free_port()
    machine = Gates(folder, request.param, "--gateway=on", "--listen-gateway=127.0.0.1:0", f"--listen-gateway-tls=127.0.0.1:{tls_port}")
    machine.tls_port = tls_port
    machine.apply(app("web"), service("web", "NodePort"), app("other"), service("other"))
    for name in ("web", "other"):
        machine.rolled_out(name)
    yield machine
    machine.end()
    shutil.rmtree(folder, ignore_errors=True)


def curl(*arguments):
    """(status, headers, body)."""
    done = subprocess.run(["curl", "-sS", "-i", "-m", "60", *arguments], capture_output=True)
    assert done.returncode == 0, f"curl {' '.join(arguments)}: {done.stderr.decode()}"
    head, _, body = done.stdout.partition(b"\r\n\r\n")
    lines = head.decode().split("\r\n")
    return int(lines[0].split()[1]), {k.lower(): v for k, v in (line.split(": ", 1) for line in lines[1:])}, body


def asked(url, *arguments, status=200):
    got, _, body = curl(*arguments, url)
    assert got == status, f"{url}: {got}: {body!r}"
    return json.loads(body)


def shared(m, path="/"):
    host, port = m.gateway_address()
    return f"http://{host}:{port}{path}"


def condition_of(m, kind, name, type):
    parents = m.get(kind, name)["status"]["parents"]
    c = next(c for c in parents[0]["conditions"] if c["type"] == type)
    return c["status"], c["reason"]


def accepted(m, name, kind="httproute"):
    until(f"{kind} {name} is accepted", lambda: condition_of(m, kind, name, "Accepted") == ("True", "Accepted"))
    until(f"{kind} {name} has what it refers to", lambda: condition_of(m, kind, name, "ResolvedRefs") == ("True", "ResolvedRefs"))


# ---- services ----

def test_a_cluster_ip_answers_on_this_machine(m):
    s = m.get("service", "web")["spec"]
    assert s["clusterIP"].startswith("127.96.")
    until("it answers", lambda: asked(f"http://{s['clusterIP']}:8080/x")["who"] == "web")


def test_a_node_port_answers(m):
    port = m.get("service", "web")["spec"]["ports"][0]["nodePort"]
    until("it answers", lambda: asked(f"http://127.0.0.1:{port}/x")["who"] == "web")


def test_a_port_of_the_host_leads_to_its_pod(m):
    port, url = free_port(), "http://127.0.0.1:{}/x"

    def of(name, more=()):
        d = app(name)
        d["spec"]["template"]["spec"]["containers"][0]["ports"] = [{"containerPort": 8000, "hostPort": port}, *more]
        return d
    with socket.create_server(("127.0.0.1", 0)) as taken:
        m.apply(of("onhost", [{"containerPort": 8001, "hostPort": taken.getsockname()[1]}]))
        until("it answers", lambda: asked(url.format(port))["who"] == "onhost")
        until("the other one is told as taken", lambda: "is taken by another program" in m.run("get", "events", "--field-selector", "reason=FailedToListen"))
    m.apply(of("second"))
    until("it has to wait", lambda: "didn't have free ports for the requested pod ports" in m.run("describe", "pods", "-l", "app=second"))
    until("why tells it", lambda: "another pod has this port of the machine" in m.hythe("why", "deployment/second"))
    m.run("delete", "deployment", "onhost")
    until("the next one has it", lambda: asked(url.format(port))["who"] == "second")
    m.run("delete", "deployment", "second")
    until("nobody has it", lambda: subprocess.run(["curl", "-s", "-m", "60", url.format(port)], capture_output=True).returncode == 7)


def test_a_deployment_is_exposed_by_a_load_balancer_that_keeps_its_port(m):
    m.run("expose", "deployment", "web", "--name=public", "--type=LoadBalancer", "--port=80", "--target-port=8000")
    found = until("it has an address", lambda: m.get("service", "public")["status"]["loadBalancer"]["ingress"][0])
    port = found["ports"][0]["port"]
    until("it answers", lambda: asked(f"http://{found['ip']}:{port}/x")["who"] == "web")
    assert re.search(r"public\s+LoadBalancer\s+\S+\s+127\.0\.0\.1", m.run("get", "service", "public"))
    told = m.hythe("status", ok=False)[1]
    assert re.search(rf"^default +public +127\.0\.0\.1:{port}$", told, re.M) and re.search(r"^default +web +node:\d+$", told, re.M)
    if port != 80:
        until("an event says so", lambda: f"listens on 127.0.0.1:{port}" in m.run("get", "events"))
    m.run("delete", "service", "public")
    until("it no longer listens", lambda: subprocess.run(["curl", "-sm60", f"http://127.0.0.1:{port}/"], capture_output=True).returncode == 7)


# ---- Ingress ----

def certificate(folder, name):
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", "key.pem", "-out", "cert.pem",
                    "-subj", f"/CN={name}", "-addext", f"subjectAltName=DNS:{name}", "-days", "2"], cwd=folder, check=True, capture_output=True)
    data = {f"tls.{kind}": base64.b64encode((folder / file).read_bytes()).decode() for kind, file in (("crt", "cert.pem"), ("key", "key.pem"))}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "tls"}, "type": "kubernetes.io/tls", "data": data}


def test_an_ingress_with_hosts_paths_tls_and_a_default_backend(m, tmp_path):
    def backend(name):
        return {"service": {"name": name, "port": {"name": "http"}}}

    spec = {"defaultBackend": backend("other"), "tls": [{"hosts": ["a.example.com"], "secretName": "tls"}],
            "rules": [{"host": "a.example.com", "http": {"paths": [{"path": "/app", "pathType": "Prefix", "backend": backend("web")}]}},
                      {"host": "*.wild.org", "http": {"paths": [{"path": "/only", "pathType": "Exact", "backend": backend("web")}]}}]}
    m.apply(certificate(tmp_path, "a.example.com"), {"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": {"name": "web"}, "spec": spec})
    url = shared(m)[:-1]

    def who(path, host):
        return asked(url + path, "-H", f"Host: {host}")["who"]

    everywhere("the Ingress is taken up", lambda: who("/app/x", "a.example.com") == "web")
    assert m.get("ingress", "web")["spec"]["ingressClassName"] == "hythe"
    assert who("/apple", "a.example.com") == "other"
    assert who("/only", "b.wild.org") == "web"
    assert who("/only/x", "b.wild.org") == "other"
    assert who("/only", "c.b.wild.org") == "other"
    assert until("it has an address", lambda: m.get("ingress", "web")["status"]["loadBalancer"]["ingress"][0]["ip"]) == "127.0.0.1"
    tls = ["--resolve", f"a.example.com:{m.tls_port}:127.0.0.1", "--cacert", str(tmp_path / "cert.pem")]
    got = until("TLS is spoken", lambda: asked(f"https://a.example.com:{m.tls_port}/app/x", *tls))
    assert got["who"] == "web" and got["headers"]["x-forwarded-proto"] == "https"
    m.run("delete", "ingress/web", "secret/tls")
    until("it is gone", lambda: curl(url + "/app/x", "-H", "Host: a.example.com")[0] == 404)


# ---- Gateway API ----

def test_weights_and_headers_choose_who_answers(m):
    m.apply(route("web", {"matches": [{"path": {"type": "PathPrefix", "value": "/v1"}}], "backendRefs": to(("web", 80), ("other", 20))},
                  {"matches": [{"path": {"value": "/v1"}, "headers": [{"name": "X-Canary", "value": "yes"}]}], "backendRefs": to(("other", None))},
                  hostnames=["w.example.com"]))
    accepted(m, "web")
    everywhere("it is taken up", lambda: curl(shared(m, "/v1"), "-H", "Host: w.example.com")[0] == 200)
    who = collections.Counter()
    for _ in range(40):  # ten at a time
        done = subprocess.run(["curl", "-sS", "-m", "60", "-H", "Host: w.example.com", shared(m, "/v1/[1-10]")], capture_output=True, check=True)
        who.update(re.findall(r'"who": "(\w+)"', done.stdout.decode()))
    assert sum(who.values()) == 400
    assert 40 <= who["other"] <= 120, who  # five sigmas
    assert asked(shared(m, "/v1"), "-H", "Host: w.example.com", "-H", "x-canary: yes")["who"] == "other"
    assert curl(shared(m, "/v2"), "-H", "Host: w.example.com")[0] == 404
    m.run("delete", "httproute/web")


def test_redirects_rewrites_and_header_filters(m):
    m.apply(route("filters",
                  {"matches": [{"path": {"value": "/old"}}],
                   "filters": [{"type": "RequestRedirect", "requestRedirect": {"scheme": "https", "hostname": "new.example.com", "statusCode": 301,
                                                                               "path": {"type": "ReplacePrefixMatch", "replacePrefixMatch": "/new"}}}]},
                  {"matches": [{"path": {"value": "/seldon/default/m/"}}],
                   "filters": [{"type": "URLRewrite", "urlRewrite": {"hostname": "inside", "path": {"type": "ReplacePrefixMatch", "replacePrefixMatch": "/"}}},
                               {"type": "RequestHeaderModifier", "requestHeaderModifier": {"set": [{"name": "X-Who", "value": "route"}], "remove": ["X-Gone"]}},
                               {"type": "ResponseHeaderModifier", "responseHeaderModifier": {"add": [{"name": "X-Answer", "value": "1"}]}}],
                   "backendRefs": to(("web", None))}, hostnames=["f.example.com"]))
    accepted(m, "filters")
    host = ["-H", "Host: f.example.com"]
    everywhere("it is taken up", lambda: curl(*host, shared(m, "/old"))[0] == 301)
    status, headers, _ = curl(*host, shared(m, "/old/page?x=1"))
    assert (status, headers["location"]) == (301, "https://new.example.com/new/page?x=1")
    status, headers, body = curl(*host, "-H", "X-Gone: 1", "-H", "X-Who: me", shared(m, "/seldon/default/m/api/v1.0/predictions?a=b"))
    got = {k.lower(): v for k, v in json.loads(body)["headers"].items()}
    assert status == 200 and headers["x-answer"] == "1"
    assert json.loads(body)["path"] == "/api/v1.0/predictions?a=b"
    assert got["host"] == "inside" and got["x-who"] == "route" and "x-gone" not in got
    m.run("delete", "httproute/filters")


def test_a_mirror_gets_what_the_target_gets(m):
    m.apply(route("mirror", {"filters": [{"type": "RequestMirror", "requestMirror": {"backendRef": to(("other", None))[0]}}], "backendRefs": to(("web", None))},
                  hostnames=["m.example.com"]))
    accepted(m, "mirror")
    everywhere("it is taken up", lambda: asked(shared(m), "-H", "Host: m.example.com")["who"] == "web")
    assert asked(shared(m, "/mirrored-by-name"), "-H", "Host: m.example.com")["who"] == "web"
    until("the mirror has it too", lambda: "/mirrored-by-name" in m.run("logs", "deployment/other"))
    m.run("delete", "httproute/mirror")


def test_a_route_to_nothing_says_so_and_answers_500(m):
    m.apply(route("nothing", {"backendRefs": to(("absent", None))}, hostnames=["n.example.com"]))
    until("its status says so", lambda: condition_of(m, "httproute", "nothing", "ResolvedRefs") == ("False", "BackendNotFound"))
    everywhere("it is taken up", lambda: curl("-H", "Host: n.example.com", shared(m))[0] == 500)
    m.run("delete", "httproute/nothing")


def test_a_gateway_of_ones_own_listens_where_it_says(m):
    port = free_port()
    listeners = [{"name": "all", "port": port, "protocol": "HTTP"}, {"name": "own", "port": port, "protocol": "HTTP", "hostname": "*.own.org"}]
    m.apply({"apiVersion": "gateway.networking.k8s.io/v1", "kind": "Gateway", "metadata": {"name": "own"}, "spec": {"gatewayClassName": "hythe", "listeners": listeners}},
            route("own", {"backendRefs": to(("other", None))}, parents=[{"name": "own", "sectionName": "own"}]),
            route("rest", {"backendRefs": to(("web", None))}, parents=[{"name": "own", "sectionName": "all"}]))
    accepted(m, "own")
    accepted(m, "rest")
    m.run("wait", "--for=condition=Programmed", "gateway/own", "--timeout=120s")
    everywhere("its host is taken up", lambda: asked(f"http://127.0.0.1:{port}/", "-H", "Host: a.own.org")["who"] == "other")
    everywhere("the others are", lambda: asked(f"http://127.0.0.1:{port}/", "-H", "Host: a.else.org")["who"] == "web")
    until("each is counted", lambda: [s["attachedRoutes"] for s in m.get("gateway", "own")["status"]["listeners"]] == [1, 1])
    m.run("delete", "gateway/own", "httproute/own", "httproute/rest")


def test_a_listener_of_https_waits_for_its_certificate(m, tmp_path):
    port = free_port()
    listener = {"name": "tls", "port": port, "protocol": "HTTPS", "hostname": "t.example.com", "tls": {"certificateRefs": [{"name": "tls"}]}}
    m.apply({"apiVersion": "gateway.networking.k8s.io/v1", "kind": "Gateway", "metadata": {"name": "tls-gateway"}, "spec": {"gatewayClassName": "hythe", "listeners": [listener]}},
            route("tls", {"backendRefs": to(("web", None))}, parents=[{"name": "tls-gateway"}]))

    def told(type):
        c = next(c for c in m.get("gateway", "tls-gateway")["status"]["listeners"][0]["conditions"] if c["type"] == type)
        return c["status"], c["reason"]

    until("it says that there is none", lambda: told("ResolvedRefs") == ("False", "InvalidCertificateRef"))
    m.apply(certificate(tmp_path, "t.example.com"))
    until("it listens", lambda: told("Programmed") == ("True", "Programmed"))
    until("it has its certificate", lambda: told("ResolvedRefs") == ("True", "ResolvedRefs"))
    tls = ["--resolve", f"t.example.com:{port}:127.0.0.1", "--cacert", str(tmp_path / "cert.pem")]
    until("it answers", lambda: asked(f"https://t.example.com:{port}/", *tls)["who"] == "web")
    m.apply(certificate(tmp_path, "t.example.com"))  # a new one, and the old authority no longer knows it
    until("it shows the new one", lambda: asked(f"https://t.example.com:{port}/", *tls)["who"] == "web")
    m.run("delete", "gateway/tls-gateway", "httproute/tls", "secret/tls")


def test_a_grpc_route_takes_grpc_by_method_and_header(m):
    """The empty message ServerLive{} of the open inference protocol, which `hythe serve` answers with live: true."""
    serve = container("main", ("hythe", "serve", "--listen", "0.0.0.0:8000", "builtin:echo"), ports=[{"containerPort": 8000}],
                      readinessProbe=ready_by("/v2/health/live", 8000))
    m.apply(deployment("grpc", 1, serve), service("grpc"),
            route("grpc", {"matches": [{"method": {"service": "inference.GRPCInferenceService"}, "headers": [{"name": "seldon", "value": "m"}]}],
                           "backendRefs": to(("grpc", None))}, kind="GRPCRoute"))
    m.rolled_out("grpc")
    accepted(m, "grpc", "grpcroute")
    call = ["--http2-prior-knowledge", "-X", "POST", "-H", "content-type: application/grpc", "-H", "te: trailers", "--data-binary", f"@{m.folder}/message"]
    (m.folder / "message").write_bytes(bytes(5))
    everywhere("it is taken up", lambda: len(curl(*call, "-H", "seldon: m", shared(m, "/inference.GRPCInferenceService/ServerLive"))[2]))
    status, _, body = curl(*call, "-H", "seldon: m", shared(m, "/inference.GRPCInferenceService/ServerLive"))
    assert status == 200 and body.startswith(b"\0\0\0\0\x02\x08\x01"), body
    # Without a body: curl 7.88 takes an answer that comes before its own end for none.
    _, headers, _ = curl(*call[:-2], shared(m, "/inference.GRPCInferenceService/ServerLive"))
    assert headers.get("grpc-status") == "12", headers  # no route
    m.run("delete", "grpcroute/grpc", "service/grpc", "deployment/grpc")
