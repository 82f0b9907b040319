# SPDX-License-Identifier: Apache-2.0
"""Makes the wheel (PEP 517, PEP 660) with Meson, Ninja and the standard library.

The extension module and the program are built in the repository's build folder ($HYTHE_BUILD_DIR, else build/), so that a build
that is there is used. As a program, `python3 build_backend.py FOLDER` writes the wheel of what is built already to FOLDER.
"""
import base64
import hashlib
import io
import os
import pathlib
import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import zipfile

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
NAME = "hythe"
TARGETS = ("hythe", "hosts/python/hythe/_hythe.abi3.so")


def version():
    """The one of meson.build: there is no other."""
    return re.search(r"^  version: '([^']+)'", (ROOT / "meson.build").read_text(), re.M).group(1)


def tag():
    """One build for every CPython from 3.8 on."""
    return "cp38-abi3-" + re.sub(r"[-.]", "_", sysconfig.get_platform())


def build_folder():
    """Where Meson builds."""
    return pathlib.Path(os.environ.get("HYTHE_BUILD_DIR") or ROOT / "build")


# ---- what goes in ----


def compile_all():
    """Builds, and returns the folder."""
    folder = build_folder()
    if not (folder / "build.ninja").exists():
        subprocess.run(["meson", "setup", str(folder), str(ROOT), "-Dpython=enabled"], check=True, stdout=sys.stderr)
    subprocess.run(["ninja", "-C", str(folder), *TARGETS], check=True, stdout=sys.stderr)
    return folder


def package_files():
    """The package's own files: (name in the wheel, path)."""
    for path in sorted((HERE / NAME).rglob("*")):
        if path.suffix in (".py", ".pyi") or path.name == "py.typed":
            yield path.relative_to(HERE).as_posix(), path


def metadata():
    """METADATA of the dist-info."""
    return (
        "Metadata-Version: 2.1\n"
        f"Name: {NAME}\n"
        f"Version: {version()}\n"
        "Summary: Serves Python models by a server written in C: HTTP/1.1, HTTP/2 and gRPC, V2 and Seldon, WSGI and ASGI\n"
        "License: Apache-2.0\n"
        "Requires-Python: >=3.8\n"
        "Provides-Extra: numpy\n"
        "Requires-Dist: numpy; extra == 'numpy'\n"
        "Description-Content-Type: text/markdown\n"
        "\n" + (HERE / "README.md").read_text()
    )


ENTRY_POINTS = "[console_scripts]\nseldon-core-microservice = hythe.microservice:main\n"


class Wheel:
    """A wheel while it is written: every entry is noted in its RECORD."""

    def __init__(self, folder, wheel_tag):
        self.name = f"{NAME}-{version()}-{wheel_tag}.whl"
        self.tag = wheel_tag
        self.info = f"{NAME}-{version()}.dist-info"
        self.data = f"{NAME}-{version()}.data"
        self.record = []
        self.zip = zipfile.ZipFile(pathlib.Path(folder) / self.name, "w", zipfile.ZIP_DEFLATED)

    def add(self, name, content, mode=0o644):
        """An entry without a time of its own, so that the same files give the same wheel."""
        entry = zipfile.ZipInfo(name)
        entry.external_attr = (0o100000 | mode) << 16
        entry.compress_type = zipfile.ZIP_DEFLATED
        self.zip.writestr(entry, content)
        digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
        self.record.append(f"{name},sha256={digest},{len(content)}")

    def finish(self):
        """The dist-info; returns the wheel's name."""
        self.add(f"{self.info}/METADATA", metadata().encode())
        self.add(f"{self.info}/WHEEL", f"Wheel-Version: 1.0\nGenerator: hythe\nRoot-Is-Purelib: false\nTag: {self.tag}\n".encode())
        self.add(f"{self.info}/entry_points.txt", ENTRY_POINTS.encode())
        self.add(f"{self.info}/LICENSE", (ROOT / "LICENSE").read_bytes())
        self.record.append(f"{self.info}/RECORD,,")
        self.zip.writestr(zipfile.ZipInfo(f"{self.info}/RECORD"), "\n".join(self.record) + "\n")
        self.zip.close()
        return self.name


def write_wheel(folder, build):
    """The wheel of what is in the build folder; returns its name."""
    wheel = Wheel(folder, tag())
    for name, path in package_files():
        wheel.add(name, path.read_bytes())
    wheel.add(f"{NAME}/_hythe.abi3.so", (build / "hosts/python/hythe/_hythe.abi3.so").read_bytes(), 0o755)
    wheel.add(f"{wheel.data}/scripts/hythe", (build / "hythe").read_bytes(), 0o755)
    return wheel.finish()


# ---- PEP 517 and 660 ----


def get_requires_for_build_wheel(config_settings=None):
    """What the machine has not."""
    return [tool for tool in ("meson", "ninja") if not shutil.which(tool)]


get_requires_for_build_editable = get_requires_for_build_wheel


def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    """For pip."""
    return write_wheel(wheel_directory, compile_all())


def build_editable(wheel_directory, config_settings=None, metadata_directory=None):
    """`pip install -e`: the package in the build folder, whose Python files are links to the checkout's."""
    build = compile_all()
    subprocess.run(["ninja", "-C", str(build), "hosts/python/hythe/package.stamp"], check=True, stdout=sys.stderr)
    wheel = Wheel(wheel_directory, tag())
    wheel.add(f"{NAME}.pth", f"{build.resolve() / 'hosts/python'}\n".encode())
    wheel.add(f"{wheel.data}/scripts/hythe", (build / "hythe").read_bytes(), 0o755)
    return wheel.finish()


def build_sdist(sdist_directory, config_settings=None):
    """What Git knows of the repository, with the Python package where its builders look for it."""
    name = f"{NAME}-{version()}"
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True, stdout=subprocess.PIPE).stdout.decode()
    project = (HERE / "pyproject.toml").read_text()
    project = project.replace('backend-path = ["."]', 'backend-path = ["hosts/python"]').replace('"README.md"', '"hosts/python/README.md"')
    with tarfile.open(pathlib.Path(sdist_directory) / f"{name}.tar.gz", "w:gz", format=tarfile.PAX_FORMAT) as archive:
        for path in filter(None, listed.split("\0")):
            archive.add(ROOT / path, f"{name}/{path}", recursive=False)
        for path, content in (("PKG-INFO", metadata().encode()), ("pyproject.toml", project.encode())):
            entry = tarfile.TarInfo(f"{name}/{path}")
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return f"{name}.tar.gz"


def main():
    """build_backend FOLDER"""
    build = build_folder()
    folder = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else build
    for old in folder.glob(f"{NAME}-*.whl"):
        old.unlink()
    print(folder / write_wheel(folder, build))


if __name__ == "__main__":
    main()
