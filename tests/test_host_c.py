# SPDX-License-Identifier: Apache-2.0
"""libhythe-host as somebody who installed it finds it: headers, pkg-config, the example in C."""
import os
import re
import signal
import subprocess

import pytest
import requests
from conftest import DEADLINE, PROGRAM, ROOT, SANITIZED

BUILD = PROGRAM.parent
pytestmark = pytest.mark.skipif(SANITIZED or not list(BUILD.glob("src/hosts/libhythe-host.so*")), reason="no library in this build")


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """An environment in which pkg-config finds the library that `meson install` has put somewhere."""
    place = tmp_path_factory.mktemp("installed")
    subprocess.run(["meson", "install", "-C", BUILD, "--no-rebuild", "--quiet", "--destdir", place], check=True, stdout=subprocess.DEVNULL)
    (found,) = place.rglob("hythe-host.pc")
    prefix = re.search(r"^prefix=(.*)", found.read_text(), re.M).group(1)
    library = found.parent.parent
    return {
        "prefix": place / prefix.lstrip("/"),
        "library": library,
        "env": {
            **os.environ,
            "PKG_CONFIG_PATH": str(found.parent),
            "PKG_CONFIG_SYSROOT_DIR": "",
            "LD_LIBRARY_PATH": str(library),
            "HYTHE_PREFIX": str(place / prefix.lstrip("/")),
        },
    }


def compile_doubler(installed, folder, flags):
    command = f'cc "{ROOT}/examples/host/doubler.c" -Wall -Wextra -Werror -o doubler $(pkg-config --define-variable=prefix="$HYTHE_PREFIX" {flags} hythe-host)'
    subprocess.run(["bash", "-c", command], cwd=folder, env=installed["env"], check=True)
    return folder / "doubler"


@pytest.mark.parametrize("linking", ["shared", "static"])
def test_the_example_is_compiled_by_one_line_and_doubles(installed, tmp_path, linking):
    if linking == "shared":
        program = compile_doubler(installed, tmp_path, "--cflags --libs")
    else:
        flags = "--cflags --libs --static"
        program = compile_doubler({**installed, "env": {**installed["env"], "PKG_CONFIG_PATH": static_only(installed, tmp_path)}}, tmp_path, flags)
    env = installed["env"] if linking == "shared" else os.environ
    with subprocess.Popen([program, "127.0.0.1:0"], env=env, stdout=subprocess.PIPE, text=True) as process:
        url = process.stdout.readline().strip()
        body = {"data": {"names": ["a", "b"], "ndarray": [[1, 2.5]]}}
        with requests.Session() as session:
            assert session.post(url + "/predict", json=body, timeout=DEADLINE).json()["data"]["ndarray"] == [[2.0, 5.0]]
            assert session.post(url + "/predict", json={"data": {"ndarray": [[1, 2]]}}, timeout=DEADLINE).json()["data"]["ndarray"] == [[2, 4]]
            v2 = {"inputs": [{"name": "x", "datatype": "FP64", "shape": [2], "data": [1, 2]}]}
            assert session.post(url + "/v2/models/doubler/infer", json=v2, timeout=DEADLINE).json()["outputs"][0]["data"] == [2.0, 4.0]
            assert session.post(url + "/predict", json={"strData": "x"}, timeout=DEADLINE).status_code == 400
        process.send_signal(signal.SIGTERM)
        assert process.wait(DEADLINE) == 0


def static_only(installed, folder):
    """A folder of pkg-config files whose library folder has nothing but the static library."""
    only = folder / "lib"
    only.mkdir()
    (only / "libhythe-host.a").symlink_to(installed["library"] / "libhythe-host.a")
    (made,) = installed["library"].rglob("hythe-host.pc")
    text = re.sub(r"^libdir=.*", f"libdir={only}", made.read_text(), flags=re.M)
    (only / "hythe-host.pc").write_text(text)
    return str(only)


def test_the_library_exports_what_the_headers_declare(installed):
    library = next(installed["library"].glob("libhythe-host.so"))
    told = subprocess.run(["nm", "-D", "--defined-only", library], capture_output=True, text=True, check=True).stdout
    exported = {line.split()[-1] for line in told.splitlines()}
    declared = set()
    for header in ("hythe_host.h", "hythe_app.h"):
        text = (installed["prefix"] / "include" / header).read_text()
        text = re.sub(r"/\*.*?\*/", "", text, flags=re.S)
        declared |= set(re.findall(r"^[a-z][\w ]*[ *](hythe_\w+)\(", text, re.M))
    assert exported == declared


def test_the_headers_are_c_and_cplusplus_by_themselves(installed, tmp_path):
    for header in ("hythe_host.h", "hythe_app.h"):
        for compiler, language, standard in (("cc", "c", "-std=c99"), ("c++", "c++", "-std=c++11")):
            if subprocess.run(["which", compiler], capture_output=True).returncode:
                continue
            source = tmp_path / f"alone.{language.replace('+', 'p')}"
            source.write_text(f"#include <{header}>\n")
            command = [compiler, "-x", language, standard, "-Wall", "-Wextra", "-pedantic", "-Werror", "-fsyntax-only", "-I", installed["prefix"] / "include", source]
            subprocess.run(command, check=True)
