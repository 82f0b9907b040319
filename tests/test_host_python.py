# SPDX-License-Identifier: Apache-2.0
"""The extension module hythe._hythe, in this process: what user code sees, and what becomes of what it returns."""
import json
import os
import pathlib
import subprocess
import sys
import textwrap
import threading
import weakref

import numpy as np
import pytest
import requests
from conftest import DEADLINE, PACKAGE, PROGRAM, ROOT, SANITIZED
from waiting import until

pytestmark = pytest.mark.skipif(SANITIZED or not (PACKAGE / "hythe" / "_hythe.abi3.so").exists(), reason="no extension module in this build")


@pytest.fixture
def host():
    """host(call, ...): its URL; ended at the end of the test."""
    from hythe import _hythe

    hosts = []

    def start(call, **options):
        made = _hythe.Host(addresses=["127.0.0.1:0"], name="m", call=call, **options)
        made.start()
        hosts.append(made)
        return "http://" + made.address()

    yield start
    for made in hosts:
        made.stop()
        assert made.wait(DEADLINE)


@pytest.fixture
def seldon(host):
    """seldon(function, body, path): the answer's body, when function(value) returns what is replied."""

    def ask(function, body, path="/predict"):
        def call(c):
            kind, value, _, _ = c.payload(0)
            c.reply(function(value), like=kind)

        return post(host(call) + path, json=body, timeout=DEADLINE)

    return ask


def post(url, headers=None, **options):
    """One request, one connection: a server that stops waits a while for clients to close theirs."""
    return requests.post(url, headers={"Connection": "close", **(headers or {})}, **options)


def ndarray(*rows):
    return {"data": {"ndarray": list(rows)}}


# ---- what comes ----


@pytest.mark.parametrize(
    "body, dtype, shape",
    [
        (ndarray([1, 2], [3, 4]), "int64", (2, 2)),
        (ndarray([1, 2.5]), "float64", (1, 2)),
        ({"data": {"tensor": {"shape": [2, 1], "values": [1, 2]}}}, "int64", (2, 1)),
        ({"data": {"tensor": {"shape": [3], "values": [1, 2, 0.5]}}}, "float64", (3,)),
        (ndarray([True, False]), "bool", (1, 2)),
        (ndarray(["a", "bc"]), "<U2", (1, 2)),
        (ndarray([1, "bc"]), "<U21", (1, 2)),
        (ndarray([1, None]), "object", (1, 2)),
        ({"data": {"names": ["x"]}}, "float64", (0,)),
    ],
)
def test_data_becomes_the_array_that_numpy_makes_of_it(seldon, body, dtype, shape):
    seen = []
    assert seldon(lambda x: seen.append(x) or [[0]], body).status_code == 200
    assert (seen[0].dtype.str.lstrip("|") if dtype.startswith("<") else seen[0].dtype.name) == dtype and seen[0].shape == shape


def test_other_payloads_are_bytes_text_and_values(seldon):
    seen = []
    for body in ({"binData": "aGk="}, {"strData": "hé"}, {"jsonData": {"a": [1, None]}}):
        seldon(lambda x: seen.append(x) or "ok", body)
    assert seen == [b"hi", "hé", {"a": [1, None]}]


def test_arrays_are_writable_and_live_as_long_as_they_are_kept(host):
    kept = []

    def call(c):
        _, value, _, _ = c.payload(0)
        value[0, 0] += 1
        kept.append(value)
        c.reply(value, like=2)

    url = host(call, threads=2)
    rows = [[i + j for j in range(1000)] for i in range(30)]
    for _ in range(5):
        answer = post(url + "/predict", json=ndarray(*rows), timeout=DEADLINE).json()
        assert answer["data"]["ndarray"][0][0] == 1 and answer["data"]["ndarray"][29][999] == 1028
    post(url + "/predict", json=ndarray([7.5] * 30000), timeout=DEADLINE)
    expected = np.array(rows)
    expected[0, 0] += 1
    for value in kept[:5]:
        assert (value == expected).all()
        assert type(value.base).__name__ == "Memory"  # the library's own, not a copy


def test_arrays_go_when_nobody_keeps_them(host):
    gone = []

    def call(c):
        _, value, _, _ = c.payload(0)
        weakref.finalize(value, gone.append, value.size)
        c.reply(value.sum(axis=0, keepdims=True), like=2)

    url = host(call)
    for _ in range(3):
        post(url + "/predict", json=ndarray([1.5] * 20000), timeout=DEADLINE)
    until("all are gone", lambda: len(gone) >= 3)  # a call ends after its answer has gone out
    assert gone == [20000] * 3


def test_call_tells_what_was_asked(host):
    seen = {}

    def call(c):
        for name in ("method", "is_grpc", "is_seldon", "model", "id", "count", "reward", "routing", "raw"):
            seen[name] = getattr(c, name)
        seen["payload"] = c.payload()[2:]
        c.reply_undefined()

    body = b'{"meta": {"tags": {"a": 1}}, "data": {"names": ["x", "y"], "ndarray": [[1, 2]]}}'
    post(host(call) + "/predict", data=body, headers={"X-Request-Id": "req-7", "Content-Type": "application/json"}, timeout=DEADLINE)
    assert seen["payload"] == (["x", "y"], {"tags": {"a": 1}})
    assert seen["raw"] == body and seen["id"] == "req-7" and seen["model"] == "m"
    assert (seen["method"], seen["is_grpc"], seen["is_seldon"], seen["count"], seen["routing"]) == (1, False, True, 1, None)


# ---- what goes ----


@pytest.mark.parametrize(
    "made, asked, expected",
    [
        (lambda x: np.array([[1, 2]]), ndarray([1]), {"names": ["t:0", "t:1"], "ndarray": [[1, 2]]}),
        (lambda x: np.array([[1.5, 2]]), ndarray([1]), {"names": ["t:0", "t:1"], "ndarray": [[1.5, 2.0]]}),
        (lambda x: np.array([1, 2]), ndarray([1]), {"names": [], "ndarray": [1, 2]}),
        (lambda x: [[1, 2.5]], ndarray([1]), {"names": ["t:0", "t:1"], "ndarray": [[1, 2.5]]}),
        (lambda x: [1, "a", None], ndarray([1]), {"names": [], "ndarray": [1, "a", None]}),
        (lambda x: [[np.float32(0.5), np.int64(3)]], ndarray([1]), {"names": ["t:0", "t:1"], "ndarray": [[0.5, 3]]}),
        (lambda x: [], ndarray([1]), {"names": [], "ndarray": []}),
        (lambda x: [[1, 2]], {"strData": "x"}, {"names": ["t:0", "t:1"], "tensor": {"shape": [1, 2], "values": [1, 2]}}),
        (lambda x: [["a"]], {"strData": "x"}, {"names": ["t:0"], "ndarray": [["a"]]}),
        (lambda x: np.array([["a", "b"]]), {"data": {"tensor": {"shape": [1], "values": [1]}}}, {"names": ["t:0", "t:1"], "ndarray": [["a", "b"]]}),
        (lambda x: np.array([[True]]), {"data": {"tensor": {"shape": [1], "values": [1]}}}, {"names": ["t:0"], "ndarray": [[True]]}),
        (lambda x: np.array([[1, None]], dtype=object), ndarray([1]), {"names": ["t:0", "t:1"], "ndarray": [[1, None]]}),
        (lambda x: np.arange(6).reshape(2, 3).T, ndarray([1]), {"names": ["t:0", "t:1"], "ndarray": [[0, 3], [1, 4], [2, 5]]}),
        (lambda x: np.arange(6)[::2], ndarray([1]), {"names": [], "ndarray": [0, 2, 4]}),
        (lambda x: np.array([[1, 2]], dtype=">i4"), ndarray([1]), {"names": ["t:0", "t:1"], "ndarray": [[1, 2]]}),
        (lambda x: np.array([[0.5]], dtype=np.longdouble), ndarray([1]), {"names": ["t:0"], "ndarray": [[0.5]]}),
        (lambda x: np.array([[0.1]], dtype=np.float32), ndarray([1]), {"names": ["t:0"], "ndarray": [[0.10000000149011612]]}),
        (lambda x: np.array([[0.5]], dtype=np.float16), ndarray([1]), {"names": ["t:0"], "ndarray": [[0.5]]}),
        (lambda x: np.array([[200, 255]], dtype=np.uint8), ndarray([1]), {"names": ["t:0", "t:1"], "ndarray": [[200, 255]]}),
        (lambda x: np.zeros((0, 2)), ndarray([1]), {"names": ["t:0", "t:1"], "ndarray": []}),
        (lambda x: np.float64(2.5), ndarray([1]), {"names": [], "ndarray": [2.5]}),
    ],
)
def test_results_are_encoded_as_seldons_wrapper_does(seldon, made, asked, expected):
    answer = seldon(made, asked)
    assert answer.status_code == 200, answer.text
    assert answer.json() == {"data": expected, "meta": {}}
    assert json.dumps(answer.json()["data"]) == json.dumps(expected)  # 1 is not 1.0


def test_frames_bring_their_columns(seldon):
    pandas = pytest.importorskip("pandas")
    answer = seldon(lambda x: pandas.DataFrame({"a": [1, 2], "b": [3, 4]}), ndarray([1])).json()
    assert answer["data"] == {"names": ["a", "b"], "ndarray": [[1, 3], [2, 4]]}


def test_text_bytes_and_dicts_have_their_own_members(seldon):
    assert seldon(lambda x: "hé", ndarray([1])).json() == {"strData": "hé", "meta": {}}
    assert seldon(lambda x: b"\x00hi", ndarray([1])).json() == {"binData": "AGhp", "meta": {}}
    assert seldon(lambda x: bytearray(b"hi"), ndarray([1])).json() == {"binData": "aGk=", "meta": {}}
    assert seldon(lambda x: {"b": [1, np.int32(2)], "a": np.array([1.5])}, ndarray([1])).json() == {"jsonData": {"b": [1, 2], "a": [1.5]}, "meta": {}}


def test_numbers_that_are_none_are_the_tokens_of_pythons_json(seldon):
    assert "[NaN,Infinity,-Infinity]" in seldon(lambda x: np.array([np.nan, np.inf, -np.inf]), ndarray([1])).text
    assert "[NaN,1]" in seldon(lambda x: [np.nan, 1], ndarray([1])).text


@pytest.mark.parametrize("made", [None, 5, (1, 2), object()])
def test_what_cannot_be_sent_is_the_wrappers_400(seldon, made):
    answer = seldon(lambda x: made, ndarray([1]))
    assert answer.status_code == 400
    status = answer.json()["status"]
    assert status["reason"] == "MICROSERVICE_BAD_DATA" and status["info"] == f"Unknown data type returned as payload (must be list or np array):{made}"


def test_large_results_are_not_copied_and_go_afterwards(host):
    gone = []

    def call(c):
        big = np.arange(300000, dtype=np.float64).reshape(300, 1000)
        weakref.finalize(big, gone.append, True)
        c.reply(big, like=1)

    url = host(call)
    for i in range(3):
        values = post(url + "/predict", json=ndarray([1]), timeout=DEADLINE).json()["data"]["tensor"]["values"]
        assert values == list(range(300000))
    post(url + "/predict", json=ndarray([1]), timeout=DEADLINE)
    until("those of calls that are over are gone", lambda: len(gone) >= 3)


def test_names_and_meta_are_what_the_code_says(host):
    url = host(lambda c: c.reply([[1]], names=["é"], meta={"tags": {"a": np.float32(0.5)}}, like=2))
    assert post(url + "/predict", json=ndarray([1]), timeout=DEADLINE).json() == {"data": {"names": ["é"], "ndarray": [[1]]}, "meta": {"tags": {"a": 0.5}}}


# ---- V2 ----


def v2(url, *inputs):
    return post(url + "/v2/models/m/infer", json={"inputs": list(inputs)}, timeout=DEADLINE)


def test_v2_types_come_and_go_as_they_are(host):
    seen = []

    def call(c):
        kind, value, _, _ = c.payload(0)
        seen.append((value.dtype.name, value.shape, c.is_seldon))
        c.reply(value, like=kind)

    url = host(call)
    for datatype, dtype, data in (("INT32", "int32", [1, 2]), ("FP32", "float32", [0.5, 2]), ("UINT8", "uint8", [0, 255]), ("FP64", "float64", [0.1, 2])):
        answer = v2(url, {"name": "x", "shape": [1, 2], "datatype": datatype, "data": data})
        assert answer.status_code == 200, answer.text
        output = answer.json()["outputs"][0]
        assert (output["datatype"], output["shape"], output["data"]) == (datatype, [1, 2], data)
        assert seen.pop() == (dtype, (1, 2), False)


def test_v2_texts_are_numpys_str(host):
    def call(c):
        kind, value, _, _ = c.payload(0)
        assert value.dtype.kind == "U"
        c.reply(np.char.upper(value), like=kind)

    answer = v2(host(call), {"name": "x", "shape": [2], "datatype": "BYTES", "data": ["a", "bé"]})
    assert answer.status_code == 200, answer.text
    assert answer.json()["outputs"][0]["data"] == ["A", "BÉ"]


def test_v2_lists_become_arrays(host):
    answer = v2(host(lambda c: c.reply([[1, 2.5]])), {"name": "x", "shape": [1], "datatype": "INT64", "data": [1]})
    assert answer.json()["outputs"][0]["datatype"] == "FP64" and answer.json()["outputs"][0]["data"] == [1.0, 2.5]


# ---- errors ----


class Microservice(Exception):
    status_code = 418
    reason = "TEAPOT"
    app_code = 7


def raising(error):
    def call(c):
        raise error

    return call


def test_an_exception_is_the_cause_for_the_caller_and_a_traceback_for_the_log(host, capfd):
    url = host(raising(ValueError("kaput é")))
    answer = post(url + "/predict", json=ndarray([1]), headers={"X-Request-Id": "req-9"}, timeout=DEADLINE)
    assert answer.status_code == 500
    assert answer.json()["status"] == {"code": -1, "info": "kaput é", "reason": "MICROSERVICE_INTERNAL_ERROR", "status": 1}
    log = capfd.readouterr().err
    assert "req-9" in log and "Traceback (most recent call last)" in log and "ValueError: kaput é" in log and "in call" in log


def test_an_exception_may_choose_its_status_and_reason(host):
    answer = post(host(raising(Microservice("short"))) + "/predict", json=ndarray([1]), timeout=DEADLINE)
    assert answer.status_code == 418
    assert answer.json()["status"] == {"code": 7, "info": "short", "reason": "TEAPOT", "status": 1}


def test_tracebacks_go_to_the_caller_when_asked_for(host):
    answer = post(host(raising(KeyError("k")), expose_errors=True) + "/predict", json=ndarray([1]), timeout=DEADLINE)
    assert "Traceback" in answer.json()["status"]["info"] and "KeyError: 'k'" in answer.json()["status"]["info"]


def test_exits_in_user_code_end_the_request_only(host):
    url = host(raising(SystemExit(3)))
    for _ in range(2):
        assert post(url + "/predict", json=ndarray([1]), timeout=DEADLINE).status_code == 500


def test_a_call_is_answered_once_and_then_over(host):
    kept, errors = [], []

    def call(c):
        kept.append(c)
        c.reply([1], like=2)
        try:
            c.reply([2], like=2)
        except RuntimeError as error:
            errors.append(str(error))

    url = host(call)
    assert post(url + "/predict", json=ndarray([1]), timeout=DEADLINE).json()["data"]["ndarray"] == [1]
    until("the second reply", lambda: errors)
    assert errors == ["the call is answered already"]

    def refused():
        try:
            kept[0].payload(0)
        except RuntimeError as error:
            return str(error)

    assert until("the end of the call", refused) == "the call is over"
    assert kept[0].is_replied


def test_no_reply_is_an_error(host):
    answer = post(host(lambda c: None) + "/predict", json=ndarray([1]), timeout=DEADLINE)
    assert answer.status_code == 500 and "without a reply" in answer.json()["status"]["info"]


# ---- life ----


def test_as_many_calls_run_at_once_as_there_are_threads(host):
    together = threading.Barrier(3)

    def call(c):
        together.wait(DEADLINE)
        c.reply([threading.get_ident() % 1000], like=2)

    url = host(call, threads=3)
    answers = []
    threads = [threading.Thread(target=lambda: answers.append(post(url + "/predict", json=ndarray([1]), timeout=DEADLINE))) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(DEADLINE)
    assert [a.status_code for a in answers] == [200] * 6


def test_thread_local_state_of_user_code_lives_as_long_as_its_thread(host):
    local = threading.local()

    def call(c):
        local.count = getattr(local, "count", 0) + 1
        c.reply([local.count], like=2)

    url = host(call)
    counts = [post(url + "/predict", json=ndarray([1]), timeout=DEADLINE).json()["data"]["ndarray"][0] for _ in range(4)]
    assert counts == [1, 2, 3, 4]


def test_mistakes_in_the_constructor_are_told():
    from hythe import _hythe

    for options, words in (
        ({"call": print}, "needs an address"),
        ({"addresses": ["127.0.0.1:0"]}, "has neither"),
        ({"addresses": ["127.0.0.1:0"], "call": print, "settings": {"max-body-bytes": "much"}}, "'much' is not a size"),
        ({"addresses": ["127.0.0.1:0"], "call": print, "settings": {"nonsense": 1}}, "no setting 'nonsense'"),
        ({"addresses": ["nowhere"], "call": print}, "nowhere"),
    ):
        with pytest.raises(OSError, match=words):
            _hythe.Host(**options)
    with pytest.raises(ValueError):
        _hythe.Host(addresses=["127.0.0.1:0"], call=print, threads=0)
    with pytest.raises(TypeError):
        _hythe.Host(adresses=["127.0.0.1:0"])


def run_python(code, *arguments, python=sys.executable, **options):
    env = {**os.environ, "PYTHONPATH": str(PACKAGE)}
    return subprocess.run([python, "-c", textwrap.dedent(code), *arguments], env=env, capture_output=True, text=True, timeout=DEADLINE * 2, **options)


def test_the_interpreter_ends_while_hosts_run():
    done = run_python(
        """
        import threading, urllib.request
        from hythe import _hythe
        host = _hythe.Host(addresses=["127.0.0.1:0"], threads=2, call=lambda c: c.reply("ok"))
        host.start()
        url = "http://" + host.address() + "/predict"
        request = urllib.request.Request(url, b'{"strData":"x"}', {"Content-Type": "application/json"})
        print(urllib.request.urlopen(request).read().decode())
        """
    )
    assert (done.returncode, done.stderr) == (0, "") and '"strData":"ok"' in done.stdout


def test_a_process_that_user_code_forks_may_end():
    done = run_python(
        """
        import os, sys, urllib.request
        from hythe import _hythe
        def call(c):
            pid = os.fork()
            if pid == 0:
                import atexit
                atexit._run_exitfuncs()  # what an interpreter's end does
                os._exit(7)
            c.reply(str(os.waitpid(pid, 0)[1] >> 8))
        host = _hythe.Host(addresses=["127.0.0.1:0"], call=call)
        host.start()
        request = urllib.request.Request("http://" + host.address() + "/predict", b'{"strData":"x"}', {"Content-Type": "application/json"})
        print(urllib.request.urlopen(request).read().decode())
        """
    )
    assert done.returncode == 0 and '"strData":"7"' in done.stdout, done.stderr


def test_signals_end_a_wait():
    done = run_python(
        """
        import os, signal, threading
        from hythe import _hythe
        host = _hythe.Host(addresses=["127.0.0.1:0"], call=print)
        signal.signal(signal.SIGTERM, lambda number, frame: host.stop())
        signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job ignores it
        host.start()
        threading.Thread(target=os.kill, args=(os.getpid(), signal.SIGTERM)).start()
        print(host.wait())
        other = _hythe.Host(addresses=["127.0.0.1:0"], call=print)
        other.start()
        try:
            threading.Thread(target=os.kill, args=(os.getpid(), signal.SIGINT)).start()
            other.wait()
        except KeyboardInterrupt:
            print("interrupted")
        """
    )
    assert (done.returncode, done.stderr, done.stdout) == (0, "", "True\ninterrupted\n")


def test_signals_end_a_run():
    done = run_python(
        """
        import os, signal, threading
        from hythe import _hythe

        def make():
            host = _hythe.Host(addresses=["127.0.0.1:0"], call=print, driven=True)
            host.start()
            return host

        def kill(number):
            threading.Timer(0.1, os.kill, args=(os.getpid(), number)).start()

        seen = []
        signal.signal(signal.SIGUSR1, lambda number, frame: (seen.append(number), kill(signal.SIGTERM)))
        signal.signal(signal.SIGTERM, lambda number, frame: seen.append(number))
        signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job ignores it
        host = make()
        signal.set_wakeup_fd(host.signal_fd(), warn_on_full_buffer=False)
        kill(signal.SIGUSR1)
        host.run()
        print(seen == [signal.SIGUSR1, signal.SIGTERM], host.wait(0))
        signal.set_wakeup_fd(-1)
        other = make()
        try:
            kill(signal.SIGINT)
            other.run()
        except KeyboardInterrupt:
            print("interrupted", other.wait(0))
        other.stop()
        other.run()
        print(other.wait(0))
        """
    )
    assert (done.returncode, done.stderr, done.stdout) == (0, "", "True True\ninterrupted False\nTrue\n")


def test_a_run_that_was_interrupted_ends_with_the_interpreter():
    done = run_python(
        """
        import os, signal, threading
        from hythe import _hythe
        signal.signal(signal.SIGINT, signal.default_int_handler)
        host = _hythe.Host(addresses=["127.0.0.1:0"], call=print, driven=True)
        host.start()
        try:
            threading.Timer(0.1, os.kill, args=(os.getpid(), signal.SIGINT)).start()
            host.run()
        except KeyboardInterrupt:
            print("interrupted")
        """
    )
    assert (done.returncode, done.stderr, done.stdout) == (0, "", "interrupted\n")


def test_numpy_is_imported_when_the_first_array_comes():
    done = run_python(
        """
        import sys, urllib.request
        from hythe import _hythe
        def call(c):
            c.reply(str(type(c.payload()[1]).__name__))
        host = _hythe.Host(addresses=["127.0.0.1:0"], call=call)
        host.start()
        def ask(body):
            request = urllib.request.Request("http://" + host.address() + "/predict", body, {"Content-Type": "application/json"})
            return urllib.request.urlopen(request).read().decode()
        ask(b'{"strData":"x"}'); ask(b'{"binData":"aGk="}'); ask(b'{"jsonData":[1]}')
        print("numpy" in sys.modules)
        ask(b'{"data":{"ndarray":[[1]]}}')
        print("numpy" in sys.modules)
        """
    )
    assert (done.returncode, done.stdout) == (0, "False\nTrue\n"), done.stderr


# ---- the wheel ----


def test_the_wheel_installs_the_package_and_the_program(tmp_path):
    env = {**os.environ, "HYTHE_BUILD_DIR": str(PROGRAM.parent)}
    made = subprocess.run([sys.executable, ROOT / "hosts/python/build_backend.py", tmp_path], env=env, capture_output=True, text=True, check=True)
    wheel = pathlib.Path(made.stdout.strip())
    assert wheel.name.startswith("hythe-") and "-cp38-abi3-" in wheel.name
    venv = tmp_path / "venv"
    subprocess.run([sys.executable, "-m", "venv", venv], check=True, timeout=DEADLINE * 4)
    subprocess.run([venv / "bin/pip", "install", "-q", "--no-index", "--disable-pip-version-check", wheel], check=True, timeout=DEADLINE * 4)
    told = subprocess.run([venv / "bin/hythe", "version"], capture_output=True, text=True, check=True).stdout
    assert told.startswith("hythe ")
    assert (venv / "bin/seldon-core-microservice").exists()
    code = "from hythe import _hythe; print(_hythe.__version__, _hythe.__file__)"
    told = subprocess.run([venv / "bin/python", "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path).stdout
    assert str(venv) in told
