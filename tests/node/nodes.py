# SPDX-License-Identifier: Apache-2.0
"""A `hythe up` with a node, as root or as an ordinary user, and what tests do with it."""
import contextlib
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile

import pytest

sys.path[:0] = [str(pathlib.Path(__file__).resolve().parents[1]), str(pathlib.Path(__file__).resolve().parents[1] / "kube")]
from cluster import Up  # noqa: E402
from waiting import DEADLINE, Failed, until  # noqa: E402, F401

ORDINARY = 1000  # a user that need not have a name
OWNERS = "sdep,isvc,cronjobs,jobs,deployments,statefulsets,daemonsets,replicasets"  # whose pods are made again and again
# A program inside pods: the machine's own, which any user may read.
PYTHON = next(p for p in ("/usr/bin/python3", "/usr/local/bin/python3", shutil.which("python3")) if p and os.access(p, os.X_OK))


def user_namespaces():
    """Whether an ordinary user may make them here."""
    done = subprocess.run(as_user("unshare", "--user", "--map-root-user", "true"), capture_output=True)
    return done.returncode == 0


def as_user(*command):
    if os.geteuid() != 0:
        return list(command)
    return ["setpriv", f"--reuid={ORDINARY}", f"--regid={ORDINARY}", "--clear-groups", *command]


class Machine:
    """One hythe with its node. `kubectl` is a program's path."""

    def __init__(self, folder, user, *flags, kubectl="kubectl"):
        self.folder, self.user, self.flags, self.program = pathlib.Path(folder), user, flags, kubectl
        self.folder.mkdir(parents=True, exist_ok=True)
        if user == "user" and os.geteuid() == 0:
            shutil.chown(self.folder, ORDINARY, ORDINARY)
            os.chmod(self.folder, 0o755)
        self.up = None
        self.start()

    def start(self):
        wrap = as_user() if self.user == "user" else ()
        self.up = Up(self.folder, "--node=on", *self.flags, controllers="*", wrap=wrap)
        self.kubeconfig = self.up.kubeconfig
        self.env = {**os.environ, "KUBECONFIG": str(self.kubeconfig), "HOME": str(self.folder)}
        until("a node that is ready", lambda: self.ready_nodes())
        until("the account that pods have", lambda: self.up.cluster.ask("GET", "/api/v1/namespaces/default/serviceaccounts/default").status == 200)

    def kill(self):
        self.up.process.kill()
        self.up.process.wait()

    def restart(self, kill=True):
        if kill:
            self.kill()
        else:
            self.up.stop()
        self.start()

    def end(self):
        """Ends hythe and every pod of it: nothing may be left then."""
        if self.up.process.poll() is not None:
            self.start()
        uids = {e["involvedObject"].get("uid") for e in self.items("events", "-A") if e["involvedObject"].get("kind") == "Pod"} - {None, ""}
        uids |= {p["metadata"]["uid"] for p in self.items("pods", "-A")}
        self.run("delete", f"{OWNERS},pods", "--all", "-A", "--grace-period=1", "--wait=false", ok=False)
        try:
            until("all pods gone, and who would make more", lambda: not self.items(f"{OWNERS},pods", "-A"))
            until("their supervisors gone", lambda: not self.supervisors())  # hythe ends them, after it has told that the pods have gone
        finally:
            code = self.up.stop()
        assert code in (0, -signal.SIGTERM), f"hythe up ended with {code}:\n{self.up.said()[-4000:]}"
        nothing = {"processes": [], "mounts": [], "groups": []}
        until("nothing left", lambda: self.left(uids) == nothing or _fail(self.left(uids)))

    def left(self, uids):
        """What is there of these pods and of the data folder."""
        mounts = [line for line in pathlib.Path("/proc/self/mountinfo").read_text().splitlines() if str(self.folder) in line]
        groups = [str(g) for at in ("/sys/fs/cgroup", "/sys/fs/cgroup/*") for g in pathlib.Path("/").glob(f"{at[1:]}/hythe*/**/pod*") if g.name[3:] in uids]
        return {"processes": [pid for pid in os.listdir("/proc") if pid.isdigit() and self._holds(pid)], "mounts": mounts, "groups": groups}

    def supervisors(self, of=""):
        """The processes that hold this machine's pods, or one of them: "namespace/name"."""
        return [pid for pid in os.listdir("/proc") if pid.isdigit() and _title(pid).startswith(f"hythe: pod {of}") and self._holds(pid)]

    def _holds(self, pid):
        """Whether this process has something of the data folder open or mounted."""
        if pid == str(os.getpid()):
            return False
        try:
            opened = [_opened(f"/proc/{pid}/fd/{fd}") for fd in os.listdir(f"/proc/{pid}/fd")]
            return any(p.startswith(f"{self.up.data}/") for p in opened) or f"{self.up.data}/" in pathlib.Path(f"/proc/{pid}/mountinfo").read_text()
        except OSError:
            return False  # it has ended, or is another user's

    # ---- kubectl ----

    def command(self, *arguments):
        return [self.program, *map(str, arguments)]

    def run(self, *arguments, stdin=None, ok=True, binary=False, timeout=3 * DEADLINE):
        """What it prints; with ok=False its exit code and all it prints."""
        done = subprocess.run(self.command(*arguments), input=stdin, capture_output=True, text=not binary, env=self.env, timeout=timeout)
        if ok:
            assert done.returncode == 0, f"kubectl {' '.join(map(str, arguments))}: exit {done.returncode}\n{done.stdout}\n{done.stderr}"
            return done.stdout
        return done.returncode, done.stdout + done.stderr

    def apply(self, *objects):
        self.run("apply", "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": list(objects)}))

    def get(self, kind, name, *flags):
        return json.loads(self.run("get", kind, name, "-o", "json", *flags))

    def items(self, kind, *flags):
        return json.loads(self.run("get", kind, "-o", "json", *flags))["items"]

    def ready_nodes(self):
        return [n for n in self.items("nodes") if condition(n, "Ready") == "True"]

    def hythe(self, *arguments, ok=True, **more):
        from cluster import PROGRAM
        done = subprocess.run([str(PROGRAM), *map(str, arguments), "--kubeconfig", str(self.kubeconfig)], capture_output=True, text=True, env=self.env, timeout=3 * DEADLINE, **more)
        if ok:
            assert done.returncode == 0, f"hythe {arguments}: exit {done.returncode}\n{done.stdout}\n{done.stderr}"
            return done.stdout
        return done.returncode, done.stdout + done.stderr

    def rolled_out(self, name):
        self.run("rollout", "status", f"deployment/{name}", f"--timeout={2 * DEADLINE}s")

    def addresses(self, service):
        """Of the pods behind it that are ready."""
        return sorted({a for s in self.items("endpointslices", "-l", f"kubernetes.io/service-name={service}") for e in s["endpoints"] if e["conditions"]["ready"] for a in e["addresses"]})

    # ---- pods ----

    def pod(self, name):
        return self.get("pod", name)

    def wait_running(self, name, **more):
        return until(f"pod {name} ready", lambda: (p := self.pod(name)) and condition(p, "Ready") == "True" and p, **more)

    def wait_phase(self, name, phase, **more):
        return until(f"pod {name} {phase}", lambda: (p := self.pod(name))["status"].get("phase") == phase and p, **more)

    def wait_gone(self, name):
        until(f"pod {name} gone", lambda: self.run("get", "pod", name, "--ignore-not-found") == "")

    def remove(self, *names):
        self.run("delete", "pod", *names, "--grace-period=1", "--ignore-not-found")

    def events(self, name, reason):
        return [e["message"] for e in self.items("events") if e["involvedObject"]["name"] == name and e["reason"] == reason]


def _opened(descriptor):
    try:
        return os.readlink(descriptor)
    except OSError:
        return ""  # closed meanwhile: the process is there as before


def _title(pid):
    try:
        return pathlib.Path(f"/proc/{pid}/cmdline").read_text(errors="replace")
    except OSError:
        return ""


def _fail(what):
    raise Failed(what)


def condition(o, kind):
    return next((c["status"] for c in o.get("status", {}).get("conditions", []) if c["type"] == kind), None)


def container(name="main", command=("sleep", "1000000"), **more):
    return {"name": name, "image": "process", "command": list(command), **more}


def pod(name, *containers, labels=None, **spec):
    """A pod of one or more containers that ends fast when it is told to."""
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": labels or {"app": name}},
            "spec": {"terminationGracePeriodSeconds": 2, "containers": list(containers) or [container()], **spec}}


def shell(script):
    return ("sh", "-c", script)


def deployment(name, replicas, *containers, **spec):
    template = pod(name, *containers, **spec)
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name},
            "spec": {"replicas": replicas, "selector": {"matchLabels": {"app": name}},
                     "template": {"metadata": {"labels": {"app": name}}, "spec": template["spec"]}}}


def ready_by(path, port):
    """A probe that a busy machine does not fail."""
    return {"httpGet": {"path": path, "port": port}, "periodSeconds": 1, "timeoutSeconds": 30}


def server(port=8000, text="hello", **more):
    """A container that answers GET with a text, and says so in its log."""
    code = (f"import http.server, os, sys\n"
            f"class H(http.server.BaseHTTPRequestHandler):\n"
            f"  def do_GET(self):\n"
            f"    b = ({text!r} + ' from ' + os.environ.get('HOSTNAME', '')).encode(); self.send_response(200); self.send_header('Content-Length', str(len(b))); self.end_headers(); self.wfile.write(b)\n"
            f"http.server.ThreadingHTTPServer(('', {port}), H).serve_forever()\n")
    return container("main", (PYTHON, "-u", "-c", code), ports=[{"containerPort": port}],
                     readinessProbe=ready_by("/", port), **more)


@contextlib.contextmanager
def machine(folder, user, *flags, **more):
    m = Machine(folder, user, *flags, **more)
    try:
        yield m
    finally:
        m.end()


def folder_for_all():
    """pytest's own folders are closed to other users."""
    return tempfile.mkdtemp(prefix="hythe-node-")


def need(user):
    if user == "root" and os.geteuid() != 0:
        pytest.skip("not root")
    if user == "user" and not user_namespaces():
        pytest.skip("an ordinary user may not make user namespaces here")
