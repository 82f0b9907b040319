# SPDX-License-Identifier: Apache-2.0
"""What every benchmark shares: pinned servers, their memory and CPU time, load generators, medians, tables.

The server runs on core SERVER_CORE, the load on LOAD_CORE. Rivals are installed from the registries into .cache/bench.
"""
import contextlib
import http.client
import os
import pathlib
import re
import shutil
import signal
import statistics
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests" / "kube"))  # the client of an API server
WORK = ROOT / ".cache" / "bench"
HYTHE = os.environ.get("HYTHE", str(ROOT / "build" / "hythe"))
SERVER_CORE = os.environ.get("SERVER_CORE", "0")
LOAD_CORE = os.environ.get("LOAD_CORE", "1")
ROUNDS = int(os.environ.get("ROUNDS", "3"))
SECONDS = int(os.environ.get("SECONDS", "5"))
CONNECTIONS = 16
TICK = os.sysconf("SC_CLK_TCK")

VENVS = {
    "py": ["flask==3.1.3", "gunicorn==27.0.1", "scikit-learn==1.9.1", "onnxruntime==1.31.1", "fastapi==0.165.0",
           "uvicorn[standard]==0.54.0", "skl2onnx==1.20.0", "orjson==3.13.0", "pandas==3.1.1"],
    "mlserver": ["mlserver==1.7.1", "mlserver-sklearn==1.7.1", "uvloop==0.21.0"],
    "seldon": ["setuptools<80", "wheel", "seldon-core==1.18.2", "scikit-learn==1.3.2", "pillow"],
    "apps": ["flask==3.1.3", "gunicorn==27.0.1", "pyuwsgi==2.0.30", "bjoern==3.2.2", "fastapi==0.165.0", "uvicorn[standard]==0.54.0", "numpy==2.4.6",
             "scikit-learn==1.9.1", "pillow==12.1.1"],
    "trees": ["numpy==2.4.6", "scikit-learn==1.9.1", "xgboost-cpu==3.2.0", "lightgbm==4.7.0", "onnxruntime==1.31.1", "onnx==1.23.2",
              "onnxmltools==1.16.0", "skl2onnx==1.20.0", "treelite", "tl2cgen"],
}


def say(*words):
    print(*words, file=sys.stderr, flush=True)


def venv(name):
    """The folder of a rival's virtual environment, made when it is missing."""
    folder = WORK / f"venv-{name}"
    stamp = folder / "made-from"
    wanted = "\n".join(VENVS[name])
    if not stamp.exists() or stamp.read_text() != wanted:
        say(f"installing rival packages: {name}")
        shutil.rmtree(folder, ignore_errors=True)
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        subprocess.run([folder / "bin" / "python", "-m", "pip", "install", "-q", "--disable-pip-version-check", *VENVS[name]], check=True)
        stamp.write_text(wanted)
    return folder


def free_port():
    import socket

    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def tree(pid):
    children = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                fields = pathlib.Path(f"/proc/{entry}/stat").read_text().rsplit(")", 1)[1].split()
            except OSError:
                continue
            children.setdefault(int(fields[1]), []).append(int(entry))
    found, todo = [], [pid]
    while todo:
        one = todo.pop()
        found.append(one)
        todo += children.get(one, [])
    return found


def cpu_seconds(pid):
    total = 0
    for one in tree(pid):
        try:
            fields = pathlib.Path(f"/proc/{one}/stat").read_text().rsplit(")", 1)[1].split()
            total += int(fields[11]) + int(fields[12])
        except OSError:
            pass
    return total / TICK


def memory_mb(pid, kind="Rss"):
    """Memory of the process and its children, MiB: resident (shared pages counted in each), or with kind="Pss" each page once."""
    total = 0
    for one in tree(pid):
        try:
            total += int(re.search(rf"^{kind}:\s+(\d+)", pathlib.Path(f"/proc/{one}/smaps_rollup").read_text(), re.M)[1])
        except (OSError, TypeError):
            pass
    return total / 1024


def post(port, path, body=None, content_type="application/json", timeout=120):
    c = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
    c.request("POST" if body is not None else "GET", path, body, {"Content-Type": content_type} if body is not None else {})
    r = c.getresponse()
    data = r.read()
    c.close()
    return r.status, data


class Server:
    """A server pinned to SERVER_CORE; ready when `path` answers 200."""

    def __init__(self, name, command, port, path, body=None, env=None, cwd=None):
        self.name, self.port = name, port
        WORK.mkdir(parents=True, exist_ok=True)
        log = open(WORK / f"{name}.log", "w")
        began = time.monotonic()
        self.process = subprocess.Popen(["taskset", "-c", SERVER_CORE, *map(str, command)], stdout=log, stderr=log, cwd=cwd,
                                        env={**os.environ, "OMP_NUM_THREADS": "1", **(env or {})}, start_new_session=True)
        while True:
            try:
                if post(port, path, body, timeout=5)[0] == 200:
                    break
            except (OSError, http.client.HTTPException):
                pass
            if self.process.poll() is not None or time.monotonic() - began > 120:
                self.stop()
                raise RuntimeError(f"{name} did not start: see {WORK / (name + '.log')}")
            time.sleep(0.001)
        self.start_s = time.monotonic() - began

    pid = property(lambda self: self.process.pid)

    def stop(self):
        every = tree(self.process.pid)
        try:
            os.killpg(self.process.pid, signal.SIGTERM)
        except OSError:
            pass
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            pass
        for one in every:
            try:
                os.kill(one, signal.SIGKILL)
            except OSError:
                pass
        self.process.wait()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()


def hythe(models, *flags, path="/v2/health/ready", name="hythe"):
    port = free_port()
    return Server(name, [HYTHE, "serve", *models, "--listen", f"127.0.0.1:{port}", *flags], port, path)


def start(name, command, core):
    """A process on this core; what it prints is in WORK/NAME.log."""
    WORK.mkdir(parents=True, exist_ok=True)
    log = open(WORK / f"{name}.log", "wb")
    return subprocess.Popen(["taskset", "-c", core, *map(str, command)], stdin=subprocess.DEVNULL, stdout=log, stderr=log)


def until(what, condition, seconds=60):
    """What the condition finds, as soon as it finds something."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        with contextlib.suppress(OSError, http.client.HTTPException, KeyError, IndexError, TypeError):
            found = condition()
            if found:
                return found
        time.sleep(0.02)
    raise RuntimeError(f"{what}: not within {seconds} s")


def up(folder, *flags):
    """`hythe up` on SERVER_CORE with one worker of its gateway, its data in `folder`: (process, cluster, the gateway's port)."""
    from client import Cluster

    api, own = free_port(), free_port()
    folder.mkdir(parents=True)
    process = start("hythe-up", [HYTHE, "up", "--data-dir", folder / "data", "--listen-api", f"127.0.0.1:{api}", "--listen-gateway", f"127.0.0.1:{own}", "--gateway-workers", "1",
                                 *flags], SERVER_CORE)

    def ready():
        cluster = Cluster(folder / "data" / "kubeconfig")
        return cluster if cluster.port == api and cluster.ask("GET", "/readyz").status == 200 else None

    return process, until("hythe", ready), own


def created(cluster, path, body):
    answer = cluster.ask("POST", path, body)
    if answer.status >= 300:
        raise RuntimeError(f"{path}: {answer.status} {answer.text[:400]}")


def _time_ms(text):
    value, unit = re.match(r"([\d.]+)(us|ms|s|m)$", text).groups()
    return float(value) * {"us": 0.001, "ms": 1, "s": 1000, "m": 60000}[unit]


def wrk(port, path, body=None, connections=CONNECTIONS, seconds=SECONDS, content_type="application/json", host="127.0.0.1"):
    """POST of `body`, or GET without one."""
    script = WORK / "request.lua"
    escaped = "".join(f"\\{b:03d}" for b in body or b"")
    script.write_text(f'wrk.method="POST"\nwrk.body="{escaped}"\nwrk.headers["Content-Type"]="{content_type}"\n' if body else 'wrk.method="GET"\n')
    out = subprocess.run(["taskset", "-c", LOAD_CORE, "wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--latency", "--timeout", "30s",
                          "-s", script, f"http://{host}:{port}{path}"], capture_output=True, text=True).stdout
    bad = re.search(r"Non-2xx or 3xx responses: (\d+)", out)
    errors = re.search(r"Socket errors: (.*)", out)
    return {"rate": float(re.search(r"Requests/sec:\s+([\d.]+)", out)[1]), "p50": _time_ms(re.search(r"^ +50%\s+(\S+)", out, re.M)[1]),
            "p99": _time_ms(re.search(r"^ +99%\s+(\S+)", out, re.M)[1]), "bad": int(bad[1]) if bad else 0, "errors": errors[1] if errors else ""}


def h2load(port, path, body, connections=CONNECTIONS, seconds=SECONDS, streams=1):
    data = WORK / "request.bin"
    data.write_bytes(body)
    log = WORK / "h2load.log"
    log.unlink(missing_ok=True)
    out = subprocess.run(["taskset", "-c", LOAD_CORE, "h2load", "-t1", f"-c{connections}", f"-m{streams}", f"-D{seconds}", "--log-file", log,
                          "-d", data, "-H", "content-type: application/grpc", "-H", "te: trailers", f"http://127.0.0.1:{port}{path}"],
                         capture_output=True, text=True).stdout
    times = sorted(int(f[2]) for f in (line.split() for line in open(log)) if len(f) == 3 and f[1] == "200")
    return {"rate": float(re.search(r"finished in [^,]+, ([\d.]+) req/s", out)[1]), "p50": times[len(times) // 2] / 1000 if times else 0,
            "p99": times[int(len(times) * 0.99)] / 1000 if times else 0, "bad": int(re.search(r"(\d+) failed", out)[1]), "errors": ""}


def one_round(server, load):
    cpu, began = cpu_seconds(server.pid), time.monotonic()
    one = load(SECONDS)
    spent = time.monotonic() - began
    one["cpu_us"] = (cpu_seconds(server.pid) - cpu) / max(1, one["rate"] * spent) * 1e6
    one["memory"] = memory_mb(server.pid)
    return one


def summary(rounds):
    result = {key: statistics.median(r[key] for r in rounds) for key in ("rate", "p50", "p99", "cpu_us", "memory")}
    result["bad"] = sum(r["bad"] for r in rounds)
    result["spread"] = [round(r["rate"]) for r in rounds]
    result["errors"] = "".join(r["errors"] for r in rounds)
    return result


def measure(server, load):
    """Medians over ROUNDS of load(seconds), with the server's CPU time a request and its memory."""
    load(1)
    return summary([one_round(server, load) for _ in range(ROUNDS)])


def measure_in_turn(pairs, rounds=2 * ROUNDS + 1):
    """The same for [(server, load), ...] that are up at once: a round of each after the other, so that what else the machine does falls on all."""
    for _, load in pairs:
        load(1)
    found = [[] for _ in pairs]
    for _ in range(rounds):
        for one, (server, load) in zip(found, pairs):
            one.append(one_round(server, load))
    return [summary(one) for one in found]


def ratio(ours, theirs):
    """Of rates that were measured in turn: the median of each round's own, since the machine's speed drifts from round to round."""
    return statistics.median(a / b for a, b in zip(ours["spread"], theirs["spread"]))


def table(title, header, rows):
    """Prints a Markdown table and keeps it for bench/RESULTS.md."""
    lines = [f"### {title}", "", "| " + " | ".join(header) + " |", "|" + "---|" * len(header)]
    lines += ["| " + " | ".join(str(v) for v in row) + " |" for row in rows]
    text = "\n".join(lines) + "\n"
    print("\n" + text, flush=True)
    WORK.mkdir(parents=True, exist_ok=True)
    (WORK / (re.sub(r"\W+", "-", title.lower()) + ".md")).write_text(text)


def number(value, digits=1):
    return f"{value:,.0f}" if value >= 100 else f"{value:.{digits}f}" if value >= 1 else f"{value:.3f}"
