# SPDX-License-Identifier: Apache-2.0
"""A webhook over HTTPS with an authority of its own: what it answers is a function of the path. For tests of admission and conversion."""
import base64
import http.server
import json
import ssl
import subprocess
import threading

KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")


class Authority:
    """Makes certificates with openssl; `bundle` is what clients trust, in base64."""

    def __init__(self, folder):
        self.folder, self.count = folder, 0
        self._run("req", "-x509", *KEY, "-keyout", "ca.key", "-out", "ca.crt", "-days", "30", "-subj", "/CN=hook authority")
        self.bundle = base64.b64encode((folder / "ca.crt").read_bytes()).decode()

    def _run(self, *arguments):
        subprocess.run(["openssl", *arguments], cwd=self.folder, check=True, capture_output=True)

    def context(self, names=("127.0.0.1",)):
        """For a server of these names and addresses."""
        self.count += 1
        name, extensions = f"server{self.count}", self.folder / "names.ext"
        extensions.write_text("subjectAltName=" + ",".join(("IP:" if text[0].isdigit() else "DNS:") + text for text in names))
        self._run("req", *KEY, "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", f"/CN={names[0]}")
        self._run("x509", "-req", "-in", f"{name}.csr", "-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial", "-days", "30", "-extfile", "names.ext", "-out", f"{name}.crt")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.folder / f"{name}.crt", self.folder / f"{name}.key")
        return context


class HookServer:
    """`answers[path]` is a function of the review, whose value is the response (a dict), bytes, (status, type, bytes), or None: the connection is closed."""

    def __init__(self, context):
        self.answers, self.seen, self.released = {}, [], threading.Event()
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):  # noqa: N802
                review = json.loads(self.rfile.read(int(self.headers["content-length"])))
                path = self.path.split("?")[0]
                outer.seen.append((self.path, dict(self.headers), review))
                made = outer.answers[path](review)
                if made is None:
                    self.close_connection = True
                    self.connection.close()
                    return
                status, kind, body = 200, "application/json", made
                if isinstance(made, tuple):
                    status, kind, body = made
                elif isinstance(made, dict):
                    if "response" not in made:
                        made = {"apiVersion": review["apiVersion"], "kind": review["kind"], "response": {"uid": review["request"]["uid"], **made}}
                    body = json.dumps(made).encode()
                try:
                    self.send_response(status)
                    self.send_header("Content-Type", kind)
                    self.send_header("Content-Length", str(len(body)))
                    self.end_headers()
                    self.wfile.write(body)
                except OSError:
                    self.close_connection = True  # the client has seen enough

            def log_message(self, *_):
                pass

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 128

            def handle_error(self, *_):
                pass  # a client that goes away while it shakes hands

        self.server = Server(("127.0.0.1", 0), Handler)
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True, do_handshake_on_connect=False)
        self.port = self.server.server_port
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def url(self, path):
        return f"https://127.0.0.1:{self.port}{path}"

    def reviews(self, path):
        return [review for seen, _, review in list(self.seen) if seen.split("?")[0] == path]

    def stall(self, _):
        """An answer that waits for the end of the test."""
        self.released.wait(60)
        return {"allowed": True}

    def close(self):
        self.released.set()
        self.server.shutdown()
        self.server.server_close()


def patch(*operations):
    return base64.b64encode(json.dumps(list(operations)).encode()).decode()
