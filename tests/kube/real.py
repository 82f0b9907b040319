# SPDX-License-Identifier: Apache-2.0
"""A real Kubernetes API server on loopback, to record answers of and to measure beside: etcd, kube-apiserver, kube-controller-manager in one Go
program (real/). The first build takes minutes and 1.2 GB of modules; after that it is in the cache. Needs Go 1.24 or later and openssl."""
import contextlib
import hashlib
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time

from building import alone
from client import Cluster

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
from ports import Ports  # noqa: E402

HERE = pathlib.Path(__file__).resolve().parent / "real"
CACHE = pathlib.Path(os.environ.get("XDG_CACHE_HOME", pathlib.Path.home() / ".cache")) / "hythe-real-kubernetes"
# Those whose work hythe does as well; others would change the objects that requests are about.
CONTROLLERS = ["namespace-controller", "serviceaccount-controller", "root-ca-certificate-publisher-controller", "garbage-collector-controller", "resourcequota-controller",
               "clusterrole-aggregation-controller"]
# Those that make objects of others: hythe's controllers are compared with them.
WORKLOADS = ["deployment-controller", "replicaset-controller", "replicationcontroller-controller", "statefulset-controller", "daemonset-controller", "job-controller", "cronjob-controller",
             "ttl-after-finished-controller", "endpointslice-controller", "horizontal-pod-autoscaler-controller", "disruption-controller", "persistentvolumeclaim-protection-controller"]
# Their own limits are for large clusters: at 20 requests a second they would pause in the middle of what they do.
UNLIMITED = ["--kube-api-qps=1000", "--kube-api-burst=2000"]
TOKENS = 'admin-token,token-admin,1,"system:masters"\nplain-token,plain-user,2\n'


def cached():
    """Where the built program is, or will be."""
    key = hashlib.sha256(b"".join((HERE / n).read_bytes() for n in ("go.mod", "go.sum", "main.go"))).hexdigest()[:12]
    return CACHE / f"real-{key}"


def build():
    """The program, built where it is not in the cache. RuntimeError: what Go said, or that it is not there."""
    program = cached()
    if not shutil.which("go"):
        raise RuntimeError("no Go")
    with alone(CACHE):
        if program.exists():
            return program
        version = next(line.split()[-1] for line in (HERE / "go.mod").read_text().splitlines() if line.split()[:1] == ["k8s.io/kubernetes"])
        package = "k8s.io/component-base/version"
        named = f"-s -w -X {package}.gitVersion={version} -X {package}.gitMajor=1 -X {package}.gitMinor={version.split('.')[1]} -X {package}.gitTreeState=clean"
        env = {**os.environ, "CGO_ENABLED": "0", "GOFLAGS": "-mod=readonly"}
        done = subprocess.run(["go", "build", "-p", "2", "-trimpath", "-ldflags", named, "-o", str(program) + ".new", "."], cwd=HERE, env=env, capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(f"go build k8s.io/kubernetes {version}: {done.stderr[-600:]}")
        os.rename(str(program) + ".new", program)
    return program


def openssl(*arguments):
    subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True)


KEY = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]


def authority(pki, name):
    openssl("req", "-x509", *KEY, "-days", 30, "-keyout", pki / f"{name}.key", "-out", pki / f"{name}.crt", "-subj", f"/CN={name}")


def certificate(pki, name, subject, use, names=None):
    openssl("req", "-new", *KEY, "-keyout", pki / f"{name}.key", "-out", pki / f"{name}.csr", "-subj", subject)
    (pki / f"{name}.ext").write_text(f"keyUsage=critical,digitalSignature,keyEncipherment\nextendedKeyUsage={use}\n" + (f"subjectAltName={names}\n" if names else ""))
    openssl("x509", "-req", "-in", pki / f"{name}.csr", "-CA", pki / "ca.crt", "-CAkey", pki / "ca.key", "-CAcreateserial", "-days", 30, "-extfile", pki / f"{name}.ext", "-out", pki / f"{name}.crt")


def make_pki(pki):
    if (pki / "done").exists():
        return
    pki.mkdir(parents=True, exist_ok=True)
    authority(pki, "ca")
    authority(pki, "front-proxy-ca")
    certificate(pki, "apiserver", "/CN=kube-apiserver", "serverAuth", "IP:127.0.0.1,IP:10.96.0.1,DNS:localhost,DNS:kubernetes,DNS:kubernetes.default,DNS:kubernetes.default.svc")
    certificate(pki, "admin", "/O=system:masters/CN=admin", "clientAuth")
    certificate(pki, "kcm", "/CN=system:kube-controller-manager", "clientAuth")
    openssl("genrsa", "-out", pki / "sa.key", 2048)
    openssl("rsa", "-in", pki / "sa.key", "-pubout", "-out", pki / "sa.pub")
    (pki / "tokens.csv").write_text(TOKENS)
    (pki / "done").touch()


def kubeconfig(folder, name, port):
    pki, path = folder / "pki", folder / f"{name}.kubeconfig"
    path.write_text(f"""apiVersion: v1
kind: Config
clusters: [{{name: real, cluster: {{server: "https://127.0.0.1:{port}", certificate-authority: "{pki}/ca.crt"}}}}]
users: [{{name: {name}, user: {{client-certificate: "{pki}/{name}.crt", client-key: "{pki}/{name}.key"}}}}]
contexts: [{{name: real, context: {{cluster: real, user: {name}}}}}]
current-context: real
""")
    return path


class Real:
    """One running control plane; its state is kept in the folder between starts. `parts` are the processes by name."""

    def __init__(self, folder, durable=False, controllers=CONTROLLERS, wrap=()):
        self.folder = pathlib.Path(folder)
        self.program, self.wrap, self.parts = str(build()), list(wrap), {}
        pki = self.folder / "pki"
        make_pki(pki)
        self.ports = Ports(4)
        port, etcd, peer, manager = self.ports
        self.kubeconfig = kubeconfig(self.folder, "admin", port)
        own = kubeconfig(self.folder, "kcm", port)
        (self.folder / "etcd.yaml").write_text(f"""name: real
data-dir: {self.folder}/etcd
listen-client-urls: http://127.0.0.1:{etcd}
advertise-client-urls: http://127.0.0.1:{etcd}
listen-peer-urls: http://127.0.0.1:{peer}
initial-advertise-peer-urls: http://127.0.0.1:{peer}
initial-cluster: real=http://127.0.0.1:{peer}
initial-cluster-state: new
unsafe-no-fsync: {"false" if durable else "true"}
log-level: warn
""")
        self.started = time.monotonic()
        try:
            self._start("etcd", f"{self.folder}/etcd.yaml")
            self._start("kube-apiserver", f"--etcd-servers=http://127.0.0.1:{etcd}", "--bind-address=127.0.0.1", "--advertise-address=127.0.0.1", f"--secure-port={port}", "--endpoint-reconciler-type=none",
                        f"--tls-cert-file={pki}/apiserver.crt", f"--tls-private-key-file={pki}/apiserver.key", f"--client-ca-file={pki}/ca.crt", f"--token-auth-file={pki}/tokens.csv",
                        "--service-account-issuer=https://kubernetes.default.svc", f"--service-account-signing-key-file={pki}/sa.key", f"--service-account-key-file={pki}/sa.pub",
                        f"--requestheader-client-ca-file={pki}/front-proxy-ca.crt", "--service-cluster-ip-range=10.96.0.0/16", "--authorization-mode=RBAC", "--allow-privileged=true", "--profiling=false")
            self.cluster = Cluster(self.kubeconfig)
            self._wait_until_ready()
            if controllers:
                self._start("kube-controller-manager", f"--kubeconfig={own}", f"--authentication-kubeconfig={own}", f"--authorization-kubeconfig={own}", "--bind-address=127.0.0.1", f"--secure-port={manager}",
                            f"--cert-dir={self.folder}/manager", "--leader-elect=false", "--controllers=" + ",".join(controllers), *UNLIMITED, f"--root-ca-file={pki}/ca.crt",
                            f"--service-account-private-key-file={pki}/sa.key", "--use-service-account-credentials=true")
        except BaseException:
            self.stop()
            raise

    def _start(self, part, *flags):
        with (self.folder / f"{part}.log").open("ab") as log:
            self.parts[part] = subprocess.Popen([*self.wrap, self.program, part, *flags], stdout=log, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL)

    def _wait_until_ready(self):
        while True:
            try:
                if self.cluster.ask("GET", "/readyz").status == 200 and self.cluster.ask("GET", "/api/v1/namespaces/default").status == 200:
                    self.ready_after = time.monotonic() - self.started
                    return
            except OSError:
                pass
            if time.monotonic() > self.started + 180 or any(p.poll() is not None for p in self.parts.values()):
                raise RuntimeError(f"the real server is not ready; see the logs in {self.folder}")
            time.sleep(0.01)

    def stop(self):
        for process in reversed(self.parts.values()):
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self.ports.close()


class Manager:
    """Kubernetes' controllers alone, on an API server that a kubeconfig names."""

    def __init__(self, folder, kubeconfig, controllers):
        self.folder = pathlib.Path(folder)
        self.ports = Ports(1)
        port, = self.ports
        with (self.folder / "manager.log").open("ab") as log:
            self.process = subprocess.Popen([str(build()), "kube-controller-manager", f"--kubeconfig={kubeconfig}", f"--authentication-kubeconfig={kubeconfig}", f"--authorization-kubeconfig={kubeconfig}",
                                             "--bind-address=127.0.0.1", f"--secure-port={port}", f"--cert-dir={self.folder}/certificates", "--leader-elect=false",
                                             "--controllers=" + ",".join(controllers), *UNLIMITED, "--use-service-account-credentials=false"],
                                            stdout=log, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL)

    def stop(self):
        self.process.terminate()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.ports.close()


@contextlib.contextmanager
def started():
    """A fresh one in a folder that goes away; the path of its kubeconfig."""
    with tempfile.TemporaryDirectory(prefix="real-") as folder:
        real = Real(folder)
        try:
            yield real.kubeconfig
        finally:
            real.stop()


if __name__ == "__main__":
    print(build())
