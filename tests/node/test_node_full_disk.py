# SPDX-License-Identifier: Apache-2.0
"""The disk of the data folder is full: writes are refused with words, all else goes on, and with room again writes do as well."""
import os
import pathlib
import shutil
import subprocess

import pytest
from nodes import PYTHON, Machine, container, folder_for_all, pod
from waiting import until

PATH = "/api/v1/namespaces/default/configmaps"
TEXT = "x" * 8000


@pytest.fixture
def folder():
    """A folder whose `data` is a small disk of its own."""
    if os.geteuid() != 0:
        pytest.skip("only root may mount a disk")
    folder = pathlib.Path(folder_for_all())
    data = folder / "data"
    data.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=48m,mode=0700", "none", str(data)], capture_output=True, text=True)
    if done.returncode != 0:
        shutil.rmtree(folder)
        pytest.skip("no mounts here: " + done.stderr.strip())
    yield folder
    subprocess.run(["umount", "--lazy", str(data)], check=True)
    shutil.rmtree(folder, ignore_errors=True)


def fill(path):
    with path.open("wb", buffering=0) as f:
        for size in (1 << 20, 1 << 12):
            try:
                while f.write(b"\0" * size) == size:
                    pass
            except OSError as e:
                assert "No space left" in str(e)


def create(m, name):
    """The answer's Status when it was refused."""
    answer = m.up.cluster.ask("POST", PATH, {"metadata": {"name": name}, "data": {"text": TEXT}})
    if answer.status == 201:
        return None
    assert answer.status == 500, answer.json
    return answer.json


def names(m):
    return {c["metadata"]["name"] for c in m.up.cluster.ask("GET", PATH).json["items"]} - {"kube-root-ca.crt"}


class OnDisk(Machine):
    def left(self, uids):
        found = super().left(uids)
        return {**found, "mounts": [line for line in found["mounts"] if f" {self.folder}/data " not in line]}


@pytest.fixture
def m(folder):
    m = OnDisk(folder, "root", "--eviction-disk=0")
    try:
        yield m
    finally:
        (m.up.data / "filler").unlink(missing_ok=True)
        m.end()


def test_a_full_disk_refuses_writes_and_with_room_they_go_on(m, folder):
    data, filler = m.up.data, m.up.data / "filler"
    m.apply(pod("beats", container(command=[PYTHON, "-uc", "import time\nwhile True: print('beat'); time.sleep(0.1)"])))
    m.wait_running("beats")
    m.run("create", "configmap", "before", "--from-literal=a=b")
    acknowledged = {"before"}
    seen = (folder / "watched").open("w")
    watch = subprocess.Popen([*m.command("get", "configmaps", "--watch", "-o", "name")], env=m.env, stdout=seen)
    try:
        fill(filler)
        refused = None
        for i in range(3000):
            refused = create(m, f"full-{i}")
            if refused:
                break
            acknowledged.add(f"full-{i}")
        assert refused and refused["kind"] == "Status" and refused["reason"] == "InternalError", "the disk never was full"
        for words in (f"the disk at '{data}'", f"'{data}/store/store.db'", "it is full", "until there is room again"):
            assert words in refused["message"], refused["message"]
        (folder / "text").write_text(TEXT)
        for name in ("refused-1", "refused-2"):
            with pytest.raises(AssertionError, match="(?s)the disk at .*: it is full"):
                m.run("create", "configmap", name, f"--from-file={folder}/text")
        assert names(m) == acknowledged
        assert m.pod("beats")["status"]["containerStatuses"][0]["restartCount"] == 0
        assert m.run("exec", "beats", "--", "echo", "goes on") == "goes on\n"

        filler.unlink()
        until("a write that goes well", lambda: m.run("create", "configmap", "after", f"--from-file={folder}/text"))
        acknowledged.add("after")
        for i in range(20):
            assert create(m, f"after-{i}") is None
            acknowledged.add(f"after-{i}")
        until("the log tells it", lambda: "writes go on" in m.up.said())
        assert m.up.process.poll() is None
        until("the watch has seen it", lambda: "configmap/after-19\n" in (folder / "watched").read_text())
        assert "refused" not in (folder / "watched").read_text()
    finally:
        watch.kill()
        watch.wait()
        seen.close()
    m.restart(kill=True)
    assert names(m) == acknowledged
    assert m.pod("beats")["status"]["containerStatuses"][0]["restartCount"] == 0
