#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Puts ONNX Runtime's shared library into FOLDER: the one file out of the Python wheel; no Python is needed to run it.

    tools/get_onnxruntime.py FOLDER

hythe looks for it beside its own binary, so that FOLDER is best the folder of `hythe`.
"""
import pathlib
import subprocess
import sys
import tempfile
import venv
import zipfile

VERSION = "1.31.1"


def main():
    folder = pathlib.Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    if list(folder.glob("libonnxruntime.so*")):
        return
    with tempfile.TemporaryDirectory() as work:
        venv.create(f"{work}/venv", with_pip=True)
        subprocess.run([f"{work}/venv/bin/python", "-m", "pip", "download", "-q", "--disable-pip-version-check", "--no-deps", "-d", work,
                        f"onnxruntime=={VERSION}"], check=True)
        with zipfile.ZipFile(next(pathlib.Path(work).glob("onnxruntime-*.whl"))) as wheel:
            name = next(n for n in wheel.namelist() if n.startswith("onnxruntime/capi/libonnxruntime.so"))
            out = folder / pathlib.Path(name).name
            out.write_bytes(wheel.read(name))
    print(out)


if __name__ == "__main__":
    main()
