# SPDX-License-Identifier: Apache-2.0
"""Control groups of version 2, which a machine that has version 1 cannot show: a Linux of Debian's that runs as a program (user-mode-linux) sees this machine's
files, read-only, and pods run in it with their limits: as root, as an ordinary user with a group of its own, as one without."""
import json
import os
import pathlib
import shutil
import signal
import subprocess
import threading

import pytest
from nodes import folder_for_all  # which says where the next one is
from waiting import SANITIZED
from cluster import PROGRAM

LINUX = shutil.which("linux.uml")
BOOT_MOST_S, ALL_MOST_S = 120, 1000
pytestmark = [pytest.mark.skipif(not LINUX, reason="Debian has user-mode-linux for amd64 alone"),
              pytest.mark.skipif(SANITIZED, reason="a sanitizer's memory does not fit into user-mode-linux"),
              pytest.mark.skipif(os.geteuid() != 0, reason="files of the machine are root's: not root")]

START = """#!/bin/sh
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
mount -t proc proc /proc; mount -t sysfs sys /sys; mount -t cgroup2 none /sys/fs/cgroup
mountpoint -q /dev || mount -t devtmpfs dev /dev
mkdir -p /dev/pts /dev/shm; mount -t devpts -o ptmxmode=666 devpts /dev/pts; mount -t tmpfs shm /dev/shm; mount -t tmpfs run /run
chmod 1777 /run; ip link set lo up; ulimit -n 4096
echo "booted $(cat /sys/fs/cgroup/cgroup.controllers)"
cd /sys/fs/cgroup
echo "+cpu +memory +pids" > cgroup.subtree_control
mkdir -p user.slice/own/session user.slice/others
echo "+cpu +memory +pids" > user.slice/cgroup.subtree_control
chown -R 1000:1000 user.slice/own
sh FOLDER/asked root
for group in own/session others; do
    sh -c "echo \\$\\$ > user.slice/$group/cgroup.procs; exec setpriv --reuid=1000 --regid=1000 --clear-groups sh FOLDER/asked $group"
done
echo the-end
poweroff -f
"""
ASKED = """
name=$1; home=/run/$(id -u)-${name%/*}; mkdir $home; cd $home; export HOME=$home KUBECONFIG=$home/data/kubeconfig
FOLDER/hythe up --data-dir data --listen-api 127.0.0.1:0 --gateway off > up.out 2>&1 &
until [ -f $KUBECONFIG ] && FOLDER/kubectl get --raw /readyz > /dev/null 2>&1; do sleep 0.2; done
until FOLDER/kubectl apply -f FOLDER/pods.json > /dev/null; do sleep 0.2; done
FOLDER/kubectl wait --for=condition=Ready pod/quiet --timeout=200s > /dev/null
[ $name = others ] || FOLDER/kubectl wait --for=jsonpath='{.status.phase}'=Failed pod/hog --timeout=200s > /dev/null
for file in memory.max cpu.max pids.max; do echo "$name $file $(FOLDER/kubectl exec quiet -- cat /sys/fs/cgroup/$file 2> /dev/null)"; done
echo "$name hog $(FOLDER/kubectl get pod hog -o jsonpath='{.status.containerStatuses[0].state.terminated.reason}')"
echo "$name said $(FOLDER/kubectl get pod quiet -o jsonpath='{.status.conditions[?(@.type=="hythe.dev/Enforced")].message}')"
FOLDER/kubectl delete pod --all --grace-period=1 > /dev/null
kill -INT $!; wait $!
"""


def pod(name, *command):
    limits = {"memory": "32Mi", "cpu": "500m"}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name},
            "spec": {"restartPolicy": "Never", "containers": [{"name": "main", "image": "process", "command": command, "resources": {"limits": limits}}]}}


def ran(command):
    """What it said until its end. Skips where this machine does not let it start at all (no ptrace, no memory that programs may run from)."""
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True)
    timer = threading.Timer(BOOT_MOST_S, os.killpg, (process.pid, signal.SIGKILL))
    timer.start()
    text = b""
    while more := process.stdout.read1(65536):
        text += more
        if b"booted " in text and timer.interval == BOOT_MOST_S:
            timer.cancel()
            timer = threading.Timer(ALL_MOST_S, os.killpg, (process.pid, signal.SIGKILL))
            timer.start()
    timer.cancel()
    process.wait()
    if b"booted " not in text:
        pytest.skip("user-mode-linux does not start on this machine: " + text.decode(errors="replace")[-200:])
    return text.decode(errors="replace")


@pytest.fixture(scope="module")
def said():
    folder = pathlib.Path(folder_for_all())
    folder.chmod(0o755)
    try:
        for program, name in ((PROGRAM, "hythe"), (shutil.which("kubectl"), "kubectl")):
            shutil.copy(program, folder / name)
            (folder / name).chmod(0o755)
        pods = [pod("quiet", "sleep", "1000"), pod("hog", "sh", "-c", "[ -f /sys/fs/cgroup/memory.max ] && exec tail /dev/zero; exec sleep 1000")]
        (folder / "pods.json").write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": pods}))
        for name, text in (("start", START), ("asked", ASKED)):
            (folder / name).write_text(text.replace("FOLDER", str(folder)))
            (folder / name).chmod(0o755)
        command = [LINUX, "mem=2048M", "root=/dev/root", "rootfstype=hostfs", "rootflags=/", "ro", f"init={folder}/start", "con=null", "con0=null,fd:1", "con1=null", "quiet"]
        text = ran(command)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    assert "the-end" in text, text[-4000:]
    return [line.strip().split(" ", 2) + [""] for line in text.splitlines() if line.startswith(("root ", "own/session ", "others "))]


def of(said, name):
    return {what: value.strip() for who, what, value, *_ in said if who == name}


@pytest.mark.parametrize("name", ["root", "own/session"])
def test_limits_hold(said, name):
    found = of(said, name)
    assert (found["memory.max"], found["cpu.max"]) == (str(32 << 20), "50000 100000"), found
    assert found["hog"] == "OOMKilled" and "limits of CPU" not in found["said"], found


def test_an_ordinary_user_without_a_group_is_told(said):
    found = of(said, "others")
    assert found["memory.max"] == "" and "limits of CPU and memory are not enforced: the control group /sys/fs/cgroup/hythe may not be written" in found["said"], found
