# SPDX-License-Identifier: Apache-2.0
"""`python -m hythe.worker` as the program in front of it sees it: descriptors, lines, signals, forks; and serving alone."""
import array
import json
import os
import re
import select
import signal
import socket
import subprocess
import sys
import textwrap
import time

import pytest

from conftest import DEADLINE, PACKAGE, PROGRAM

pytestmark = pytest.mark.skipif(not (PACKAGE / "hythe" / "_hythe.abi3.so").exists(), reason="the extension module is not built")

MODEL = """
    import os, sys, time, faulthandler

    class Model:
        def __init__(self, scale=1):
            self.scale = scale
            with open("made", "a") as file:
                print(os.getpid(), os.environ.get("OMP_NUM_THREADS"), file=file)

        def load(self):
            with open("loaded", "a") as file:
                print(os.getpid(), file=file)

        def predict(self, X, names):
            if isinstance(X, str):
                raise KeyError("no such customer")
            return X * self.scale
    """


def environment(**more):
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("HYTHE_", "OMP_", "PREDICTIVE_"))}
    return {**clean, "PYTHONPATH": str(PACKAGE), **more}


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "Model.py").write_text(textwrap.dedent(MODEL))
    return tmp_path


def readable(fd, deadline=DEADLINE):
    return bool(select.select([fd], [], [], deadline)[0])


class Worker:
    """A process with the two descriptors of a worker; this test stands in front of it."""

    def __init__(self, folder, *arguments, **env):
        self.channel, channel = socket.socketpair()
        self.control, control = os.pipe()
        self.process = subprocess.Popen([sys.executable, "-m", "hythe.worker", *arguments], cwd=folder, stderr=subprocess.PIPE, text=True,
                                        env=environment(HYTHE_CHANNEL_FD=str(channel.fileno()), HYTHE_CONTROL_FD=str(control), **env),
                                        pass_fds=[channel.fileno(), control])
        channel.close()
        os.close(control)

    def line(self):
        text = b""
        while not text.endswith(b"\n"):
            assert readable(self.control), "no line"
            piece = os.read(self.control, 65536)
            assert piece, self.process.stderr.read()
            text += piece
        return json.loads(text)

    def end(self):
        self.channel.close()
        error = self.process.communicate(timeout=DEADLINE)[1]
        os.close(self.control)
        return self.process.returncode, error


@pytest.fixture
def worker(folder):
    made = []

    def start(*arguments, **env):
        made.append(Worker(folder, *arguments, **env))
        return made[-1]

    yield start
    for one in made:
        if one.process.poll() is None:
            one.process.kill()
            one.process.wait()


def test_a_worker_says_that_it_is_ready_and_ends_with_its_channel(worker, folder):
    w = worker("--threads", "3", "Model.py")
    assert w.line() == {"state": "ready", "kind": "component", "slots": 3, "text": "Python class Model"}
    assert len((folder / "loaded").read_text().split()) == 1
    assert w.end() == (0, "")


def test_sigterm_ends_a_worker_and_sigint_does_not(worker):
    w = worker("Model")
    assert w.line()["state"] == "ready"
    w.process.send_signal(signal.SIGINT)
    w.process.send_signal(signal.SIGTERM)
    assert w.process.wait(DEADLINE) == 0


def test_the_cores_are_told_to_numeric_libraries_but_not_over_the_users_word(worker, folder):
    worker("Model", HYTHE_CORES="3").line()
    worker("Model", HYTHE_CORES="3", OMP_NUM_THREADS="7").line()
    assert [line.split()[1] for line in (folder / "made").read_text().splitlines()] == ["3", "7"]


def test_a_failure_tells_the_cause_and_the_users_lines_of_the_traceback(worker, folder):
    (folder / "broken.py").write_text("import nothing_of_this_name\n")
    w = worker("broken.py")
    line = w.line()
    assert line["state"] == "failed" and line["error"] == "ModuleNotFoundError: No module named 'nothing_of_this_name'"
    assert "broken.py" in line["traceback"] and "hythe/worker.py" not in line["traceback"]
    assert w.end()[0] == 1


@pytest.mark.parametrize("arguments, error", [(["absent.py"], "no file 'absent.py' in "), (["Model", "--parameters", "[1]"], "Bad model parameters"),
                                              (["Model:Other"], "Model has no attribute 'Other'; there are: Model")])
def test_mistakes_of_the_caller_have_no_traceback(worker, arguments, error):
    line = worker(*arguments).line()
    assert line["error"].startswith(error) and line["traceback"] == ""


def test_an_abort_prints_where_python_stands(worker, folder):
    (folder / "Hangs.py").write_text("import time\nclass Hangs:\n    def load(self):\n        open('hanging', 'w').close()\n        time.sleep(600)\n"
                                     "    def predict(self, X, names): pass\n")
    w = worker("Hangs")
    end = time.monotonic() + DEADLINE
    while not (folder / "hanging").exists():
        assert time.monotonic() < end
        time.sleep(0.01)
    w.process.send_signal(signal.SIGABRT)
    code, error = w.end()
    assert code == -signal.SIGABRT and re.search(r'Hangs\.py", line [45] in load', error)


# ---- the nursery ----


class Nursery:
    """A process that forks workers."""

    def __init__(self, folder, *arguments, **env):
        self.socket, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.process = subprocess.Popen([sys.executable, "-m", "hythe.worker", *arguments], cwd=folder, env=environment(HYTHE_NURSERY_FD=str(other.fileno()), **env),
                                        pass_fds=[other.fileno()])
        other.close()

    def line(self):
        assert readable(self.socket)
        return json.loads(self.socket.recv(65536))

    def fork(self):
        """(pid, channel, control) of a new worker."""
        channel, theirs = socket.socketpair()
        control, writer = os.pipe()
        self.socket.sendmsg([b"w"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [theirs.fileno(), writer]))])
        theirs.close()
        os.close(writer)
        pid = self.line()["pid"]
        assert readable(control) and json.loads(os.read(control, 65536))["state"] == "ready"
        return pid, channel, control


@pytest.fixture
def nursery(folder):
    made = []

    def start(*arguments, **env):
        made.append(Nursery(folder, *arguments, **env))
        return made[-1]

    yield start
    for one in made:
        if one.process.poll() is None:
            one.process.kill()
            one.process.wait()


def test_a_nursery_loads_once_and_forks(nursery, folder):
    n = nursery("Model.py")
    assert n.line() == {"state": "loaded"}
    children = [n.fork() for _ in range(3)]
    assert len((folder / "made").read_text().splitlines()) == len((folder / "loaded").read_text().splitlines()) == 1
    os.kill(children[0][0], signal.SIGKILL)
    assert n.line() == {"ended": children[0][0], "status": signal.SIGKILL}
    children[1][1].close()
    assert n.line() == {"ended": children[1][0], "status": 0}
    os.kill(children[2][0], signal.SIGTERM)
    assert n.line() == {"ended": children[2][0], "status": 0}
    n.socket.close()
    assert n.process.wait(DEADLINE) == 0
    for _, channel, control in children:
        channel.close()
        os.close(control)


def test_workers_of_a_nursery_have_groups_of_their_own(nursery):
    n = nursery("Model.py")
    n.line()
    pid, channel, control = n.fork()
    assert os.getpgid(pid) == pid
    channel.close()
    assert n.line() == {"ended": pid, "status": 0}
    os.close(control)


def test_load_in_each_worker_when_told_so(nursery, folder):
    n = nursery("Model.py", HYTHE_LOAD="worker")
    n.line()
    pids = []
    for _ in range(2):
        pid, channel, control = n.fork()
        pids.append(str(pid))
        channel.close()
        assert n.line()["ended"] == pid
        os.close(control)
    assert (folder / "loaded").read_text().split() == pids and len((folder / "made").read_text().splitlines()) == 1


def test_a_nursery_that_cannot_load_says_why(nursery, folder):
    (folder / "Bad.py").write_text("class Bad:\n    def load(self):\n        raise OSError('no such model')\n    def predict(self, X, names): pass\n")
    n = nursery("Bad")
    line = n.line()
    assert line["state"] == "failed" and line["error"] == "OSError: no such model" and "Bad.py" in line["traceback"]
    assert n.process.wait(DEADLINE) == 1


def test_a_nursery_that_cannot_fork_ends_whatever_threads_it_has(nursery, folder):
    (folder / "Threads.py").write_text(textwrap.dedent("""
        import os, threading

        def no_fork():
            raise BlockingIOError("as when there are too many processes")

        threading.Thread(target=threading.Event().wait).start()
        os.fork = no_fork

        class Threads:
            def predict(self, X, names):
                return X
        """))
    n = nursery("Threads")
    assert n.line() == {"state": "loaded"}
    one, other = socket.socketpair()
    n.socket.sendmsg([b"w"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [one.fileno(), other.fileno()]))])
    assert n.process.wait(DEADLINE) == 1


# ---- custom_service ----


def test_custom_service_runs_once_and_moves_on_when_its_worker_dies(worker, folder):
    (folder / "Extra.py").write_text(textwrap.dedent("""
        import os, time
        class Extra:
            def predict(self, X, names):
                return X
            def custom_service(self):
                with open("services", "a") as file:
                    print(os.getpid(), os.getppid(), file=file)
                while True:
                    time.sleep(60)
        """))

    def services(count):
        end = time.monotonic() + DEADLINE
        while not (folder / "services").exists() or len(lines := (folder / "services").read_text().splitlines()) < count:
            assert time.monotonic() < end
            time.sleep(0.02)
        return [tuple(map(int, line.split())) for line in lines]

    workers = [worker("Extra"), worker("Extra")]
    for w in workers:
        assert w.line()["state"] == "ready"
    (first, parent), = services(1)
    assert parent in [w.process.pid for w in workers]
    holder = next(w for w in workers if w.process.pid == parent)
    other = next(w for w in workers if w is not holder)
    holder.process.kill()
    second, parent = services(2)[1]
    assert parent == other.process.pid and second != first
    os.kill(second, 0)


# ---- alone ----


@pytest.fixture
def alone(folder):
    made = []

    def start(*arguments, **env):
        process = subprocess.Popen([sys.executable, "-m", "hythe.worker", "--listen", "127.0.0.1:0", *arguments], cwd=folder, env=environment(**env),
                                   stdout=subprocess.PIPE, stderr=open(folder / "stderr", "w"), text=True)
        made.append(process)
        line = process.stdout.readline()
        process.url = re.search(r"http://\S+", line + (folder / "stderr").read_text()).group(0)
        return process

    yield start
    for process in made:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            assert process.wait(DEADLINE) == 0


def post(url, body):
    import requests

    return requests.post(url, json=body, timeout=DEADLINE)


def test_integers_stay_integers_and_fractions_fractions(alone):
    url = alone("Model", "--parameters", '{"scale":3}').url
    assert post(url + "/predict", {"data": {"ndarray": [[1, 2]]}}).text.strip() == '{"data":{"names":["t:0","t:1"],"ndarray":[[3,6]]},"meta":{}}'
    assert post(url + "/predict", {"data": {"tensor": {"shape": [1, 2], "values": [1, 2.5]}}}).json()["data"]["tensor"] == {"shape": [1, 2], "values": [3.0, 7.5]}


def test_every_protocol_reaches_the_class(alone):
    url = alone("Model", "--parameters", '{"scale":3}').url
    v2 = post(url + "/v2/models/Model/infer", {"inputs": [{"name": "x", "datatype": "FP64", "shape": [1, 2], "data": [1, 2]}]}).json()
    assert v2["outputs"][0]["data"] == [3, 6]
    assert post(url + "/v1/models/Model:predict", {"instances": [[1, 2]]}).json()["predictions"] == [[3, 6]]


def test_grpc_reaches_the_class(alone):
    grpc = pytest.importorskip("grpc")
    sys.path.insert(0, str(PACKAGE))
    from hythe import compat

    compat.add_path()
    from seldon_core.proto import prediction_pb2 as pb

    url = alone("Model", "--parameters", '{"scale":3}').url
    with grpc.insecure_channel(url[len("http://"):]) as channel:
        predict = channel.unary_unary("/seldon.protos.Model/Predict", pb.SeldonMessage.SerializeToString, pb.SeldonMessage.FromString)
        answer = predict(pb.SeldonMessage(data=pb.DefaultData(tensor=pb.Tensor(shape=[1, 2], values=[1, 2]))), timeout=DEADLINE)
        assert list(answer.data.tensor.values) == [3, 6] and list(answer.data.names) == ["t:0", "t:1"]
        with pytest.raises(grpc.RpcError) as error:
            predict(pb.SeldonMessage(strData="x"), timeout=DEADLINE)
        assert error.value.code() == grpc.StatusCode.INTERNAL and "no such customer" in error.value.details()


def test_raw_and_other_methods_over_grpc(alone, folder):
    grpc = pytest.importorskip("grpc")
    from google.protobuf import empty_pb2

    sys.path.insert(0, str(PACKAGE))
    from hythe import compat

    compat.add_path()
    from seldon_core.proto import prediction_pb2 as pb

    (folder / "Rare.py").write_text(textwrap.dedent("""
        import numpy as np
        class Rare:
            def predict_raw(self, msg):
                return {"strData": msg.strData + "!", "meta": {"metrics": [{"key": "k", "type": "COUNTER", "value": 2}]}}
            def send_feedback_raw(self, feedback):
                return {"strData": "%g" % feedback.reward}
            def aggregate(self, Xs, names):
                return Xs[0] + Xs[1]
            def route(self, X, names):
                return np.int64(X.size)
            def init_metadata(self):
                return {"name": "n", "versions": ["v1"], "inputs": [{"messagetype": "tensor", "schema": {"names": ["a"]}}]}
        """))
    url = alone("Rare").url

    def tensor(*values):
        return pb.SeldonMessage(data=pb.DefaultData(tensor=pb.Tensor(shape=[1, len(values)], values=values)))

    with grpc.insecure_channel(url[len("http://"):]) as channel:

        def ask(method, message, answer=pb.SeldonMessage):
            return channel.unary_unary("/seldon.protos." + method, type(message).SerializeToString, answer.FromString)(message, timeout=DEADLINE)

        assert ask("Model/Predict", pb.SeldonMessage(strData="x")).strData == "x!"
        assert ask("Seldon/SendFeedback", pb.Feedback(reward=0.5)).strData == "0.5"
        assert list(ask("Combiner/Aggregate", pb.SeldonMessageList(seldonMessages=[tensor(1, 2), tensor(3, 4)])).data.tensor.values) == [4, 6]
        assert list(ask("Router/Route", tensor(1, 2)).data.tensor.values) == [2]
        assert list(ask("Transformer/TransformInput", tensor(1, 2)).data.tensor.values) == [1, 2]
        told = ask("Model/Metadata", empty_pb2.Empty(), pb.SeldonModelMetadata)
        assert (told.name, list(told.versions), told.inputs[0].messagetype) == ("n", ["v1"], "tensor")
        with pytest.raises(grpc.RpcError) as error:
            ask("Router/Route", pb.SeldonMessage())
        assert error.value.code() == grpc.StatusCode.INVALID_ARGUMENT and error.value.details() == "Unknown data in SeldonMessage"
    import requests

    assert re.search(r'^k_total\{.*method="predict".*\} 2(\.0)?$', requests.get(url + "/metrics", timeout=DEADLINE).text, re.M)


def test_the_traceback_goes_to_the_log_with_the_request_and_not_to_the_client(alone, folder):
    import requests

    url = alone("Model").url
    answer = requests.post(url + "/predict", json={"strData": "x"}, headers={"X-Request-Id": "find-me"}, timeout=DEADLINE)
    assert answer.status_code == 500
    assert answer.json() == {"status": {"code": -1, "info": "'no such customer'", "reason": "MICROSERVICE_INTERNAL_ERROR", "status": 1}}
    log = (folder / "stderr").read_text()
    assert "find-me" in log and 'raise KeyError("no such customer")' in log


def test_tracebacks_go_to_clients_only_when_told_so(alone):
    assert "Traceback" not in post(alone("Model").url + "/predict", {"strData": "x"}).text
    assert 'raise KeyError(\\"no such customer\\")' in post(alone("Model", "--expose-errors").url + "/predict", {"strData": "x"}).text


def test_sigterm_is_heard_though_an_event_loop_of_the_code_took_the_wakeup(alone, folder):
    (folder / "Taker.py").write_text(textwrap.dedent("""
        import asyncio, signal

        class Taker:
            def predict(self, X, names):
                loop = asyncio.new_event_loop()
                loop.add_signal_handler(signal.SIGUSR1, print)
                loop.close()
                return X
        """))
    one = alone("Taker.py")
    assert post(one.url + "/predict", {"data": {"ndarray": [[1]]}}).status_code == 200
    one.send_signal(signal.SIGTERM)
    assert one.wait(DEADLINE) == 0


def test_without_an_address_it_says_what_is_missing(folder):
    done = subprocess.run([sys.executable, "-m", "hythe.worker", "Model"], cwd=folder, env=environment(), capture_output=True, text=True, timeout=DEADLINE)
    assert done.returncode == 2 and "--listen" in done.stderr


def test_a_bad_target_is_one_line(folder):
    done = subprocess.run([sys.executable, "-m", "hythe.worker", "--listen", "127.0.0.1:0", "nothing"], cwd=folder, env=environment(), capture_output=True, text=True,
                          timeout=DEADLINE)
    assert done.returncode == 1 and done.stderr.count("\n") == 1 and "no file, folder or module 'nothing'" in done.stderr
