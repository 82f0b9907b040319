# SPDX-License-Identifier: Apache-2.0
"""A plain HTTPS client for one API server: the comparison suite says every byte itself, so no client library stands between."""
import base64
import dataclasses
import gzip
import http.client
import json
import os
import pathlib
import ssl
import tempfile
import urllib.parse

import yaml

AGENT = "compare/1 (linux/amd64)"
DEADLINE = 60


@dataclasses.dataclass
class Answer:
    status: int
    headers: dict
    raw: bytes

    @property
    def text(self):
        return self.raw.decode(errors="replace")

    @property
    def json(self):
        """The body as a tree; None when it is no JSON."""
        try:
            return json.loads(self.raw)
        except ValueError:
            return None

    @property
    def version(self):
        return self.json["metadata"]["resourceVersion"]

    @property
    def uid(self):
        return self.json["metadata"]["uid"]


def _file(entry, name, folder, base):
    """The path of a part of a kubeconfig that is a file beside it, or data in it."""
    if entry.get(name):
        return str(pathlib.Path(base, entry[name]))
    if not entry.get(name + "-data"):
        return None
    path = pathlib.Path(folder, name)
    path.touch(mode=0o600)
    path.write_bytes(base64.b64decode(entry[name + "-data"]))
    return str(path)


class Cluster:
    """One API server, as a kubeconfig file tells of it. Users: "admin" is the file's; "none" shows nothing; others are bearer tokens."""

    def __init__(self, kubeconfig):
        self.kubeconfig = str(kubeconfig)
        config = yaml.safe_load(pathlib.Path(kubeconfig).read_text())
        context = next(c["context"] for c in config["contexts"] if c["name"] == config["current-context"])
        cluster = next(c["cluster"] for c in config["clusters"] if c["name"] == context["cluster"])
        user = next(u["user"] for u in config["users"] if u["name"] == context["user"])
        address = urllib.parse.urlsplit(cluster["server"])
        self.server, self.host, self.port = cluster["server"], address.hostname, address.port or 443
        self.bearer = user.get("token")
        with tempfile.TemporaryDirectory() as folder:
            base = os.path.dirname(os.path.abspath(kubeconfig))
            authority = _file(cluster, "certificate-authority", folder, base)
            self.plain = ssl.create_default_context(cafile=authority)
            self.admin = ssl.create_default_context(cafile=authority)
            certificate = _file(user, "client-certificate", folder, base)
            if certificate:
                self.admin.load_cert_chain(certificate, _file(user, "client-key", folder, base))

    def connect(self, user="admin", timeout=DEADLINE):
        context = self.admin if user == "admin" else self.plain
        return http.client.HTTPSConnection(self.host, self.port, context=context, timeout=timeout)

    def send(self, connection, method, path, body=None, headers=None, user="admin"):
        """Sends a request; the answer is read with connection.getresponse()."""
        headers = {"Accept": "application/json", "User-Agent": AGENT, **(headers or {})}
        if user == "admin" and self.bearer:
            headers["Authorization"] = "Bearer " + self.bearer
        elif user not in ("admin", "none"):
            headers["Authorization"] = "Bearer " + user
        if isinstance(body, (dict, list)):
            body = json.dumps(body).encode()
        elif isinstance(body, str):
            body = body.encode()
        if body is not None:
            headers.setdefault("Content-Type", "application/json")
        connection.request(method, path, body, {k: v for k, v in headers.items() if v is not None})

    def ask(self, method, path, body=None, headers=None, user="admin"):
        connection = self.connect(user)
        try:
            self.send(connection, method, path, body, headers, user)
            response = connection.getresponse()
            raw = response.read()
            found = {}
            for name, value in response.getheaders():
                name = name.lower()
                found[name] = found[name] + "\n" + value if name in found else value
            if found.get("content-encoding") == "gzip":
                raw = gzip.decompress(raw)
            return Answer(response.status, found, raw)
        finally:
            connection.close()
