# SPDX-License-Identifier: Apache-2.0
"""The commands: help and what is made from its table, inspect, predict, what serve prints, signals."""
import csv
import io
import json
import os
import pathlib
import pty
import re
import shutil
import signal
import socket
import ssl
import subprocess
import urllib.request

import numpy as np
import pytest

from conftest import DEADLINE, SANITIZED
from waiting import until

FEATURES = [f"G{i}" for i in range(1, 11)]


def run(hythe, *arguments, stdin=None, env=None, code=0):
    done = subprocess.run([hythe, *map(str, arguments)], input=stdin, capture_output=True, text=True, timeout=DEADLINE * 4,
                          env={**os.environ, **(env or {})})
    assert done.returncode == code, f"{arguments}: {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done


def column(text, name="response"):
    return [float(row[name]) for row in csv.DictReader(io.StringIO(text))]


# ---- help and what is made from the same table -----------------------------------------------------------------------

def commands(hythe):
    text = run(hythe, "--help").stdout
    return re.findall(r"^  (\w+)", text[text.index("Commands:"):text.index("Topics:")], re.M)


def test_every_command_and_topic_has_a_page(hythe):
    assert {"serve", "predict", "inspect", "help", "man", "completion", "version"} <= set(commands(hythe))
    for command in commands(hythe):
        page = run(hythe, "help", command).stdout
        assert page == run(hythe, command, "--help").stdout == run(hythe, command, "-h").stdout
        assert page.startswith(f"hythe {command} - ")
    text = run(hythe, "help").stdout
    for topic in re.findall(r"^  help (\w+)", text, re.M):
        assert run(hythe, "help", topic).stdout.startswith(f"{topic} - ")


def test_topics_come_from_the_tables(hythe):
    limits = run(hythe, "help", "limits").stdout
    assert "--max-body-bytes" in limits and "default 64m" in limits and "413" in limits
    assert "hythe_requests_total" in run(hythe, "help", "metrics").stdout
    assert "/v2/models/{model}/infer" in run(hythe, "help", "protocols").stdout
    assert "HYTHE_MAX_BODY_BYTES" in run(hythe, "help", "environment").stdout


@pytest.mark.parametrize("arguments, words", [
    ([], ["Usage"]),
    (["serv"], ["'serv'", "did you mean 'serve'"]),
    (["serve"], ["an argument is missing", "MODEL"]),
    (["serve", "m", "--listne", "x"], ["--listne", "did you mean '--listen'"]),
    (["serve", "m", "--max-body-bytes", "many"], ["--max-body-bytes", "'many'", "64k"]),
    (["serve", "m", "--idle-timeout", "soon"], ["--idle-timeout", "'soon'", "500ms"]),
    (["serve", "m", "--access-log", "xml"], ["--access-log", "off,text,json"]),
    (["serve", "m", "--tls-cert", "c.pem"], ["--tls-cert and --tls-key"]),
    (["serve", "m", "--name", "a", "--name", "b"], ["2 times --name for 1 model"]),
    (["help", "protocls"], ["did you mean 'protocols'"]),
    (["completion", "csh"], ["csh", "bash, zsh, fish"]),
    (["version", "--jsn"], ["did you mean '--json'"]),
])
def test_wrong_usage_is_explained_and_exits_with_2(hythe, arguments, words):
    said = run(hythe, *arguments, code=2).stderr
    for word in words:
        assert word in said


def test_the_version_is_told_in_words_and_json(hythe):
    told = json.loads(run(hythe, "version", "--json").stdout)
    assert run(hythe, "version").stdout.startswith(f"hythe {told['version']}\n")
    assert run(hythe, "--version").stdout == run(hythe, "version").stdout
    assert told["openssl"] and told["nghttp2"]


@pytest.mark.parametrize("shell, check", [("bash", ["bash", "-n"]), ("zsh", ["zsh", "-n"]), ("fish", ["fish", "-n"])])
def test_completion_scripts_parse(hythe, shell, check, tmp_path):
    script = tmp_path / "completion"
    script.write_text(run(hythe, "completion", shell).stdout)
    for command in commands(hythe):
        assert command in script.read_text()
    if not shutil.which(check[0]):
        pytest.skip(f"{shell} is not installed here; the script was made")
    subprocess.run([*check, script], check=True, timeout=DEADLINE)


def test_bash_completes_commands_flags_choices_and_files(hythe, tmp_path):
    (tmp_path / "model.onnx").touch()
    script = run(hythe, "completion", "bash").stdout

    def complete(*words):
        text = f"{script}\nCOMP_WORDS=({' '.join(repr(w) for w in ('hythe', *words))}); COMP_CWORD={len(words)}; _hythe; printf '%s\\n' \"${{COMPREPLY[@]}}\""
        return subprocess.run(["bash", "-c", text], capture_output=True, text=True, cwd=tmp_path, timeout=DEADLINE).stdout.split()

    assert complete("ser") == ["serve"]
    assert "--max-body-bytes" in complete("serve", "--max-")
    assert complete("serve", "--access-log", "") == ["off", "text", "json"]
    assert complete("serve", "mod") == ["model.onnx"]
    assert "limits" in complete("help", "li")


def test_the_man_page_has_no_warnings(hythe, tmp_path):
    page = tmp_path / "hythe.1"
    page.write_text(run(hythe, "man").stdout)
    assert page.read_text() == run(hythe, "help", "--man").stdout
    if not shutil.which("mandoc"):
        pytest.skip("mandoc is not installed here; the page was made")
    lint = subprocess.run(["mandoc", "-T", "lint", "-W", "warning", page], capture_output=True, text=True, timeout=DEADLINE)
    assert lint.returncode == 0, lint.stdout


def test_settings_come_from_the_environment_too(hythe):
    said = run(hythe, "serve", "m", env={"HYTHE_WORKERS": "many"}, code=2).stderr
    assert "HYTHE_WORKERS" in said
    said = run(hythe, "version", env={"HYTHE_LISTNE": "x"}).stderr
    assert "did you mean HYTHE_LISTEN?" in said


# ---- inspect ---------------------------------------------------------------------------------------------------------

def test_inspect_tells_what_a_model_holds(hythe, models_dir):
    told = json.loads(run(hythe, "inspect", "--json", models_dir / "lr.onnx").stdout)
    assert told["features"] == FEATURES and told["feature_count"] == 10
    assert told["task"] == "binary classification"
    assert told["inputs"][0]["shape"] == [-1, 10] and told["inputs"][0]["datatype"] == "FP32"
    assert told["cost_ns_call"] > 0 and told["memory_bytes"] > 0
    text = run(hythe, "inspect", models_dir / "lr.onnx", models_dir / "xgb-multi.json").stdout
    assert "G1, G2" in text and "XGBoost" in text and "[-1,10]" in text


def test_inspect_of_what_is_no_model_says_so(hythe, tmp_path, models_dir):
    bad = tmp_path / "bad.onnx"
    bad.write_bytes(b"this is no model")
    assert "bad.onnx" in run(hythe, "inspect", bad, code=1).stderr
    assert "none.onnx" in run(hythe, "inspect", tmp_path / "none.onnx", code=1).stderr
    done = run(hythe, "inspect", bad, models_dir / "lr.onnx", code=1)
    assert "G1" in done.stdout, "the good one is told all the same"


def test_commands_for_model_files_refuse_python_in_words(hythe):
    for target in ("app.py", "package.module:Model", "model.joblib"):
        for command in ("inspect", "predict"):
            said = run(hythe, command, target, stdin="", code=1).stderr
            assert target in said and "Python" in said and "hythe serve" in said
    assert "hythe convert" in run(hythe, "predict", "model.joblib", stdin="", code=1).stderr
    said = run(hythe, "serve", "a.onnx", "package.module:Model", code=2).stderr
    assert "package.module:Model" in said and "alone" in said


# ---- predict ---------------------------------------------------------------------------------------------------------

@pytest.fixture
def customers(models_dir):
    x, y = np.load(models_dir / "lr-x.npy"), np.load(models_dir / "lr-proba.npy")
    rows = [",".join(str(int(v)) for v in row) for row in x]
    return rows, y[:, 1]


@pytest.mark.parametrize("model", ["lr.onnx", "lr-zipmap.onnx", "lr.json"])
def test_scores_equal_the_librarys(hythe, models_dir, customers, model, tmp_path):
    rows, expected = customers
    features = [] if model != "lr-zipmap.onnx" else ["--features", ",".join(FEATURES)]
    text = ",".join(FEATURES) + "\n" + "\n".join(rows) + "\n"
    got = run(hythe, "predict", models_dir / model, *features, stdin=text).stdout
    assert got.startswith("response\n")
    assert np.allclose(column(got), expected, atol=1e-6)
    (tmp_path / "in.csv").write_text(text)
    run(hythe, "predict", models_dir / model, *features, "-i", tmp_path / "in.csv", "-o", tmp_path / "out.csv")
    assert (tmp_path / "out.csv").read_text() == got
    assert run(hythe, "predict", models_dir / model, tmp_path / "in.csv", *features).stdout == got


def test_trees_and_classes(hythe, models_dir):
    for model, expected in (("xgb-multi.json", "xgb-multi-y.npy"), ("lgb-multi.txt", "lgb-multi-y.npy")):
        x, y = np.load(models_dir / "trees-multi-x.npy"), np.load(models_dir / expected)
        text = "\n".join(",".join("" if np.isnan(v) else repr(float(v)) for v in row) for row in x)
        got = run(hythe, "predict", models_dir / model, stdin=text).stdout
        table = list(csv.reader(io.StringIO(got)))
        assert len(table[0]) == 3 and len(table) == len(x) + 1
        assert np.allclose(np.array(table[1:], float), y, atol=1e-6)
    x = np.load(models_dir / "trees-regression-x.npy")
    text = "\n".join(",".join("NA" if np.isnan(v) else repr(float(v)) for v in row) for row in x)
    got = run(hythe, "predict", models_dir / "xgb-regression.json", stdin=text).stdout
    assert np.allclose(column(got), np.load(models_dir / "xgb-regression-y.npy"), atol=1e-5)


def test_columns_of_text_and_numbers(hythe, models_dir):
    got = run(hythe, "predict", models_dir / "pipeline.onnx", "-i", models_dir / "pipeline.csv").stdout
    expected = np.load(models_dir / "pipeline-proba.npy")[:, 1]
    assert np.allclose(column(got), expected, atol=1e-5)
    table = list(csv.reader(open(models_dir / "pipeline.csv")))
    shuffled = "\n".join(f'"{city}",{income},x,{age}' for age, income, city in table)
    shuffled = shuffled.replace("x,age", "note,age", 1)
    assert run(hythe, "predict", models_dir / "pipeline.onnx", stdin=shuffled).stdout == got


def test_columns_are_matched_by_name(hythe, models_dir, customers):
    rows, expected = customers
    header = ["id", *reversed(FEATURES), "label"]
    text = ",".join(header) + "\n" + "\n".join(f'"row, {i}",' + ",".join(reversed(r.split(","))) + ",x" for i, r in enumerate(rows))
    model = models_dir / "lr.onnx"
    assert np.allclose(column(run(hythe, "predict", model, stdin=text).stdout), expected, atol=1e-6)
    said = run(hythe, "predict", model, "--strict", stdin=text, code=1).stderr
    assert "'id'" in said and "'label'" in said
    said = run(hythe, "predict", model, "--strict", "--label-column", "label", stdin=text, code=1).stderr
    assert "'id'" in said and "'label'" not in said
    said = run(hythe, "predict", model, stdin=text.replace("G3,", "g3,", 1), code=1).stderr
    assert "lacks" in said and "'G3'" in said
    said = run(hythe, "predict", model, stdin=text.replace("G3,", "G4,", 1), code=1).stderr
    assert "twice" in said and "'G4'" in said


def test_kept_columns_stay_as_they_were(hythe, models_dir, customers):
    rows, expected = customers
    text = "note;" + ";".join(FEATURES) + "\r\n" + "".join(f'"a ""{i}""\nb";' + r.replace(",", ";") + "\r\n" for i, r in enumerate(rows))
    got = run(hythe, "predict", models_dir / "lr.onnx", "--keep-columns", "--separator", ";", stdin=text).stdout
    table = list(csv.DictReader(io.StringIO(got), delimiter=";"))
    assert [t["note"] for t in table] == [f'a "{i}"\nb' for i in range(len(rows))]
    assert np.allclose([float(t["response"]) for t in table], expected, atol=1e-6)
    assert got.splitlines()[0] == "note;" + ";".join(FEATURES) + ";response"


def test_rows_that_repeat_are_scored_like_rows_that_do_not(hythe, models_dir, tmp_path):
    """Lines seen before are answered from memory; --keep-columns makes every score anew."""
    rng = np.random.default_rng(5)
    few = [",".join(str(int(v)) for v in row) for row in rng.random((20000, 10)) < 0.2]
    many = [",".join(f"{v:.3f}" for v in row) for row in rng.random((9000, 10))]
    kinds = {"few": few, "turning": few[:6000] + many + few[:100], "many": many,
             "odd": few[:500] + ["", '"1",0,0,0,0,0,0,0,0,"0"', "1,0,0,0,0,0,0,0,0,0\r"] + few[:500] + ["0,0,0,0,0,0,0,0,0,1"]}
    for name, lines in kinds.items():
        path = tmp_path / f"{name}.csv"
        path.write_bytes((",".join(FEATURES) + "\n" + "\n".join(lines)).encode())
        got = run(hythe, "predict", models_dir / "lr.onnx", "-i", path, "-t", 1).stdout
        kept = run(hythe, "predict", models_dir / "lr.onnx", "-i", path, "-k", "-t", 1).stdout
        assert got.splitlines()[1:] == [line.rpartition(",")[2] for line in kept.splitlines()[1:] if line], name
    bad = few[:3000] + ["0,1,x,0,0,0,0,0,0,0"] + few
    said = run(hythe, "predict", models_dir / "lr.onnx", stdin="\n".join([",".join(FEATURES), *bad]), code=1).stderr
    assert "line 3002" in said and "'x'" in said
    bad[3000] = "0,1,,0,0,0,0,0,0,0"
    said = run(hythe, "predict", models_dir / "lr.onnx", stdin="\n".join([",".join(FEATURES), *bad]), code=1).stderr
    assert "line 3002" in said and "G3" in said


def test_a_file_without_a_header_is_read_by_position(hythe, models_dir, customers):
    rows, expected = customers
    for model in ("lr.onnx", "lr-nameless.onnx"):
        assert np.allclose(column(run(hythe, "predict", models_dir / model, stdin="\n".join(rows)).stdout), expected, atol=1e-6)
    kept = run(hythe, "predict", models_dir / "lr.onnx", "-k", stdin="\n".join(rows)).stdout.splitlines()
    assert len(kept) == len(rows) and kept[0].startswith(rows[0] + ",")
    named = "a,b\n" + "\n".join(rows)
    said = run(hythe, "predict", models_dir / "lr-nameless.onnx", stdin=named, code=1).stderr
    assert "10" in said and "2" in said and "--features" in said


def test_another_output_by_its_name(hythe, models_dir, customers):
    rows, expected = customers
    names = [o["name"] for o in json.loads(run(hythe, "inspect", "--json", models_dir / "lr.onnx").stdout)["outputs"]]
    got = run(hythe, "predict", models_dir / "lr.onnx", "--output-name", names[0], stdin="\n".join(rows)).stdout
    assert got.splitlines()[0] == names[0]
    assert [int(v) for v in got.split()[1:]] == [int(p > 0.5) for p in expected]
    said = run(hythe, "predict", models_dir / "lr.onnx", "--output-name", "nothing", stdin="\n".join(rows), code=1).stderr
    assert names[0] in said


def test_bad_rows_stop_with_line_and_column_or_are_left_out(hythe, models_dir, customers):
    rows, expected = customers
    model = models_dir / "lr.onnx"
    for bad, words in (("1,0,x,0,0,0,0,0,0,0", ["line 7", "x"]), ("1,0", ["line 7", "2 fields, expected 10"]),
                       ("1,0,,0,0,0,0,0,0,0", ["line 7", "G3"]), (",".join("1" * 12), ["line 7", "12 fields"])):
        text = "\n".join([",".join(FEATURES), *rows[:5], bad, *rows[5:]]) + "\n"
        done = run(hythe, "predict", model, stdin=text, code=1)
        for word in words:
            assert word in done.stderr
        assert len(done.stdout.splitlines()) == 6, "what stands before it is scored"
        done = run(hythe, "predict", model, "--skip-bad", stdin=text)
        assert np.allclose(column(done.stdout), expected, atol=1e-6)
        assert "left 1 out" in done.stderr
    assert "empty" in run(hythe, "predict", model, stdin="", code=1).stderr
    assert "no table" in run(hythe, "predict", "builtin:echo", stdin="1\n", code=1).stderr
    assert "none.csv" in run(hythe, "predict", model, "-i", "none.csv", code=1).stderr
    assert "folder" in run(hythe, "predict", model, "-i", models_dir, code=1).stderr


def test_large_files_keep_their_order_on_any_number_of_threads(hythe, models_dir, customers, tmp_path):
    rows, expected = customers
    times = 40 if SANITIZED else 1000
    path = tmp_path / "large.csv"
    path.write_text(",".join(FEATURES) + "\n" + ("\n".join(rows) + "\n") * times)
    one = run(hythe, "predict", models_dir / "lr.onnx", "-i", path, "-t", 1).stdout
    assert np.allclose(column(one), np.tile(expected, times), atol=1e-6)
    for threads in (0, 2, 7):
        assert run(hythe, "predict", models_dir / "lr.onnx", "-i", path, "-t", threads).stdout == one
    text = path.read_text() + "bad\n" + "\n".join(rows)
    done = run(hythe, "predict", models_dir / "lr.onnx", "-t", 4, stdin=text, code=1)
    assert f"line {len(rows) * times + 2}" in done.stderr
    assert done.stdout == one


def test_progress_is_shown_on_a_terminal_only(hythe, models_dir, customers, tmp_path):
    rows, _ = customers
    path = tmp_path / "some.csv"
    path.write_text("\n".join(rows) + "\n")
    master, slave = pty.openpty()
    done = subprocess.run([hythe, "predict", models_dir / "lr.onnx", "-i", path, "-o", tmp_path / "out.csv"], stderr=slave, timeout=DEADLINE)
    os.close(slave)
    assert done.returncode == 0
    shown = b""
    try:
        while chunk := os.read(master, 4096):
            shown += chunk
    except OSError:  # how a terminal ends that nobody has open any more
        pass
    assert b"scored 200 rows" in shown
    os.close(master)
    assert run(hythe, "predict", models_dir / "lr.onnx", "-i", path).stderr == ""


# ---- serve: what it prints, and its signals --------------------------------------------------------------------------

def printed_curl(server):
    text = server.read_with_line("  curl ")
    return re.search(r"^Try:\n  (.+)$", text, re.M).group(1)


@pytest.mark.parametrize("model", ["lr.onnx", "lr-nameless.onnx", "lr3.onnx", "linreg.onnx", "pipeline.onnx", "xgb-binary.json", "lgb-multi.txt",
                                   "lr.json", "builtin:echo"])
def test_the_printed_curl_line_works(serve, model):
    server = serve(model)
    answer = subprocess.run(["sh", "-c", printed_curl(server) + " -w '\\n%{http_code}'"], capture_output=True, text=True, timeout=DEADLINE)
    body, _, code = answer.stdout.rpartition("\n")
    assert code == "200", answer
    assert "response" in json.loads(body) or "outputs" in json.loads(body)


def test_the_printed_curl_line_works_on_a_unix_socket(serve, tmp_path):
    server = serve("lr.onnx", listen=f"unix:{tmp_path}/s.sock")
    answer = subprocess.run(["sh", "-c", printed_curl(server)], capture_output=True, text=True, timeout=DEADLINE)
    assert "response" in json.loads(answer.stdout)


def certificate(folder, name):
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", folder / "key.pem", "-out", folder / "cert.pem",
                    "-days", "30", "-subj", f"/CN={name}"], check=True, capture_output=True, timeout=DEADLINE)


def served_certificate(server):
    return ssl.get_server_certificate((server.host, server.port), timeout=DEADLINE)


def test_tls_has_its_curl_line_and_sighup_reads_the_certificate_again(serve, tmp_path):
    certificate(tmp_path, "first")
    server = serve("lr.onnx", "--tls-cert", tmp_path / "cert.pem", "--tls-key", tmp_path / "key.pem")
    assert server.url.startswith("https://")
    answer = subprocess.run(["sh", "-c", printed_curl(server)], capture_output=True, text=True, timeout=DEADLINE)
    assert "response" in json.loads(answer.stdout)
    before = served_certificate(server)
    certificate(tmp_path, "second")
    server.process.send_signal(signal.SIGHUP)
    until("the new certificate", lambda: served_certificate(server) != before)
    assert server.process.poll() is None


def test_names_addresses_and_models_are_printed(serve, hythe, models_dir):
    server = serve(["first=lr.onnx", "xgb-multi.json"], "--listen", "127.0.0.1:0")
    text = server.read_with_line("  curl ")
    assert len(re.findall(r"http://127\.0\.0\.1:\d+", text)) >= 2
    assert re.search(r"^  first +ONNX", text, re.M) or re.search(r"^  first ", text, re.M)
    assert re.search(r"^  xgb-multi .*XGBoost.*3 classes", text, re.M)
    server = serve("lr.onnx", "--quiet")
    assert re.fullmatch(r"http://127\.0\.0\.1:\d+\n", server.read_with_line("http"))


def test_names_by_flag_and_features_by_file(serve, tmp_path):
    names = tmp_path / "names.txt"
    names.write_text("\n".join(FEATURES) + "\n")
    server = serve("lr-nameless.onnx", "--name", "churn", "--features", f"@{names}")
    with urllib.request.urlopen(f"{server.url}/v2/models/churn/ready", timeout=DEADLINE) as answer:
        assert answer.status == 200
    assert "/predict" in printed_curl(server)


def test_sighup_loads_the_models_again(serve, tmp_path, models_dir):
    path = tmp_path / "m.json"
    shutil.copy(models_dir / "lr.json", path)
    server = serve(path, "--watch-files", "0")
    before = urllib.request.urlopen(f"{server.url}/predict?" + "&".join(f"{n}=1" for n in FEATURES), timeout=DEADLINE).read()
    model = json.loads(path.read_text())
    model["intercept"] = [5.0]
    path.write_text(json.dumps(model))
    server.process.send_signal(signal.SIGHUP)
    server.wait_for("reloaded")
    assert urllib.request.urlopen(f"{server.url}/predict?" + "&".join(f"{n}=1" for n in FEATURES), timeout=DEADLINE).read() != before


def test_a_second_signal_ends_at_once(serve):
    server = serve("lr.onnx", "--drain-timeout", "1h")
    with socket.create_connection((server.host, server.port), timeout=DEADLINE) as stuck:
        stuck.sendall(b"POST /predict HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 100\r\n\r\n")
        assert stuck.recv(4096).startswith(b"HTTP/1.1 100"), "it has begun with the request"
        stuck.sendall(b"{")
        server.process.send_signal(signal.SIGTERM)
        server.wait_for("a second signal ends at once")

        def has_ended():
            server.process.send_signal(signal.SIGINT)  # it is told before the signal's old meaning is back
            return server.process.poll() is not None

        until("the end", has_ended)
    assert server.process.returncode == -signal.SIGINT
    server.process.returncode = 0  # as it should be: the fixture looks at it


def test_an_idle_server_is_small_and_starts_at_once(serve):
    if SANITIZED:
        pytest.skip("a sanitizer's own memory is measured by nobody")
    server = serve("lr.onnx")
    urllib.request.urlopen(f"{server.url}/live", timeout=DEADLINE).read()
    rss = int(re.search(r"^Rss:\s+(\d+)", pathlib.Path(f"/proc/{server.pid}/smaps_rollup").read_text(), re.M)[1])
    assert rss < 8 * 1024, "kB"
