# SPDX-License-Identifier: Apache-2.0
"""Pods whose network comes from a CNI plugin: a shell script that makes a pair of interfaces, in a mount namespace of the test's own."""
import contextlib
import os
import pathlib
import shutil
import subprocess
import tempfile

import pytest
from nodes import Machine, as_user, container, folder_for_all, pod, server, shell
from waiting import DEADLINE, until

import cluster

# /etc and /opt of the machine, with what the test has written over them.
OVER = """
set -e
for name in etc opt; do
	mkdir "$0/work-$name"
	mount -t overlay overlay -o "lowerdir=/$name,upperdir=$0/$name,workdir=$0/work-$name" "/$name"
done
ip link add hyt$$ type veth
ip link del hyt$$
"""

# Addresses are 10.98.77.N, of which each has an interface hytN of the machine's: so two runs of this beside each other do not give the same. `used` has a
# folder for each that this run gave. What `fails` holds is said instead; while `waits` is there, DEL does. One at a time, as plugins of addresses do: a name
# that one gives back as its namespace ends is another's at once.
PLUGIN = """#!/bin/sh
here=FOLDER/plugin
config=$(cat)
[ "$CNI_COMMAND" = DEL ] && while [ -e $here/waits ]; do echo $$ > $here/waiting; sleep 0.01; done
exec 9> $here/lock
flock 9
echo "$CNI_COMMAND $CNI_CONTAINERID" >> $here/calls
case $CNI_COMMAND in
ADD)
	[ -e $here/fails ] && { cat $here/fails; exit 1; }
	n=2
	until why=$(ip link add hyt$n type veth peer name eth0 netns $CNI_NETNS 2>&1); do
		[ $n -lt 250 ] || { echo "$why" >&2; exit 1; }
		n=$((n + 1))
	done
	mkdir $here/used/$n
	echo $CNI_CONTAINERID > $here/used/$n/id
	{
		ip addr add 10.98.77.1/32 dev hyt$n && ip link set hyt$n up && ip route add 10.98.77.$n/32 dev hyt$n &&
		nsenter --net=$CNI_NETNS sh -c "ip addr add 10.98.77.$n/32 dev eth0 && ip link set eth0 up && \
			ip route add 10.98.77.1 dev eth0 && ip route add default via 10.98.77.1"
	} >&2 || exit 1
	echo '{"cniVersion":"1.0.0","ips":[{"address":"10.98.77.'$n'/32"}]}'
	;;
DEL)
	for id in $here/used/*/id; do
		[ -e $id ] && [ "$(cat $id)" = "$CNI_CONTAINERID" ] || continue
		given=$(dirname $id)
		ip link del hyt${given##*/} 2> /dev/null # the kernel takes its time to give the name back with the namespace
		rm -r $given
	done
	;;
esac
exit 0
"""
LIST = '{"cniVersion":"1.0.0","name":"pods","plugins":[{"type":"pair"}]}'


class CniMachine(Machine):
    over = None

    def start(self):
        up = cluster.Up

        def wrapped(*arguments, **more):
            return up(*arguments, **{**more, "wrap": ["nsenter", f"--mount={self.over}/namespace"]})
        import nodes
        nodes.Up = wrapped
        try:
            super().start()
        finally:
            nodes.Up = up

    def used(self):
        return sorted(p.name for p in (self.folder / "plugin/used").iterdir())

    def calls(self):
        return (self.folder / "plugin/calls").read_text().splitlines()


@pytest.fixture(scope="module")
def m():
    if os.geteuid() != 0:
        pytest.skip("not root: interfaces can't be made")
    folder = pathlib.Path(folder_for_all())
    over = pathlib.Path(tempfile.mkdtemp(prefix="hythe-over-"))  # not in the folder, of which nothing may be left mounted
    (folder / "plugin/used").mkdir(parents=True)
    if subprocess.run(["mount", "-t", "tmpfs", "tmpfs", str(over)], capture_output=True).returncode != 0:
        pytest.skip("mounts can't be made here")
    try:
        (over / "etc/cni/net.d").mkdir(parents=True)
        (over / "etc/cni/net.d/10-pods.conflist").write_text(LIST)
        plugin = over / "opt/cni/bin/pair"
        plugin.parent.mkdir(parents=True)
        plugin.write_text(PLUGIN.replace("FOLDER", str(folder)))
        plugin.chmod(0o755)
        (over / "namespace").touch()
        subprocess.run(["mount", "--make-private", str(over)], check=True)
        done = subprocess.run(["unshare", f"--mount={over}/namespace", "sh", "-c", OVER, str(over)], capture_output=True, text=True)
        if done.returncode != 0:
            pytest.skip(f"overlays and pairs of interfaces can't be had here: {done.stderr}")
        CniMachine.over = over
        machine = CniMachine(folder, "root", "--pod-egress=cni")
        try:
            yield machine
        finally:
            machine.end()
        assert machine.used() == [], "all addresses are given back"
    finally:
        subprocess.run(["umount", str(over / "namespace")], capture_output=True)  # it may not have been made
        subprocess.run(["umount", "-l", str(over)], check=True)
        over.rmdir()
        shutil.rmtree(folder, ignore_errors=True)


def test_a_pod_has_the_plugins_address_and_reaches_services(m):
    m.apply(pod("web", server()),
            {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web"}, "spec": {"selector": {"app": "web"}, "ports": [{"port": 80, "targetPort": 8000}]}})
    address = m.wait_running("web")["status"]["podIP"]
    assert address.startswith("10.98.77.")
    assert address.rpartition(".")[2] in m.used()
    slices = until("an endpoint", lambda: [a for s in m.items("endpointslices", "-l", "kubernetes.io/service-name=web") for e in s["endpoints"] for a in e["addresses"]])
    assert slices == [address]
    client = container(command=shell("echo at $IP; grep client /etc/hosts; until curl -sf http://web/; do sleep 0.1; done; echo; "
                                     "curl -sk https://kubernetes/version | grep -c gitVersion"),
                       env=[{"name": "IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}}])
    m.apply(pod("client", client, restartPolicy="Never"))
    own = m.wait_phase("client", "Succeeded")["status"]["podIP"]
    assert own != address
    assert m.run("logs", "client").splitlines() == [f"at {own}", f"{own}\tclient", "hello from web", "1"]
    # From the machine: by its address, in the kernel.
    assert subprocess.run(["curl", "-sf", f"http://{address}:8000/"], capture_output=True, text=True, timeout=DEADLINE).stdout == "hello from web"
    m.remove("web", "client")
    m.wait_gone("web")
    until("addresses are given back", lambda: m.used() == [])


def test_what_a_plugin_says_is_told(m):
    (m.folder / "plugin/fails").write_text('{"code": 7, "msg": "no pair is to be had", "details": "today"}')
    m.apply(pod("late"))
    message = until("an event", lambda: m.events("late", "FailedCreatePodSandBox"))[0]
    assert message == 'Failed to create pod sandbox: plugin type="pair" failed (add): no pair is to be had; today (code 7)'
    (m.folder / "plugin/fails").unlink()
    assert m.wait_running("late")["status"]["podIP"].startswith("10.98.77.")
    m.remove("late")


def test_what_a_killed_supervisor_has_left_is_given_back(m):
    m.apply(pod("twice"))
    first = m.wait_running("twice")["status"]["podIP"]
    uid = m.pod("twice")["metadata"]["uid"]
    found = until("its supervisor", lambda: m.supervisors("default/twice"))
    assert len(found) == 1
    os.kill(int(found[0]), 9)
    until("a second address", lambda: (p := m.pod("twice")) and p["status"]["containerStatuses"][0]["restartCount"] == 1 and "running" in p["status"]["containerStatuses"][0]["state"])
    own = [c.split() for c in m.calls() if uid in c]
    adds = [i for command, i in own if command == "ADD"]
    assert len(adds) >= 2 and len(set(adds)) == len(adds)  # a sandbox may take more than one try
    until("DEL of the first", lambda: ["DEL", adds[0]] in [c.split() for c in m.calls()])
    until("the second address alone is used", lambda: m.used() == [m.pod("twice")["status"]["podIP"].rpartition(".")[2]])
    assert first
    m.remove("twice")


def test_what_hythe_was_killed_over_is_given_back_at_its_next_start(m):
    m.apply(pod("owing", restartPolicy="Never"))
    address = m.wait_running("owing")["status"]["podIP"].rpartition(".")[2]
    waits = m.folder / "plugin/waits"
    waits.touch()
    os.kill(int(until("its supervisor", lambda: m.supervisors("default/owing"))[0]), 9)
    m.remove("owing")
    m.wait_gone("owing")
    until("its folder is gone", lambda: not [p for p in (m.up.data / "node/pods").iterdir() if not p.name.startswith(".")])
    assert m.used() == [address]
    waiting = int(until("its plugin", lambda: (m.folder / "plugin/waiting").read_text()))
    m.kill()
    with contextlib.suppress(ProcessLookupError):
        os.kill(waiting, 9)
    waits.unlink()
    m.start()
    until("the address is given back", lambda: m.used() == [])


def test_addresses_outlive_hythe(m):
    m.apply(pod("stays", server()))
    before = m.wait_running("stays")["status"]["podIP"]
    m.restart()
    assert m.wait_running("stays")["status"]["podIP"] == before
    # What the API tells of it is of before until its supervisor is found.
    until("the same address in it", lambda: m.run("exec", "stays", "--", "sh", "-c", "ip -4 -o addr show dev eth0 | grep -c " + before).strip() == "1")
    assert m.pod("stays")["status"]["podIP"] == before
    m.remove("stays")


def test_an_ordinary_user_is_told_that_it_takes_root():
    folder = pathlib.Path(folder_for_all())
    try:
        if os.geteuid() == 0:
            shutil.chown(folder, 1000, 1000)
        done = subprocess.run(as_user(str(cluster.PROGRAM), "up", "--data-dir", str(folder / "data"), "--listen-api", "127.0.0.1:0", "--gateway=off", "--pod-egress=cni"),
                              capture_output=True, text=True, timeout=DEADLINE)
        assert done.returncode != 0
        assert "--pod-egress cni) take root" in done.stderr
    finally:
        shutil.rmtree(folder, ignore_errors=True)
