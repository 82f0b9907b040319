# SPDX-License-Identifier: Apache-2.0
"""What goes wrong in pods: it is named, it is bounded, and others do not notice. And what a pod may not see or touch."""
import os
import pathlib
import re
import shutil

import pytest
from nodes import PYTHON, Machine, container, deployment, folder_for_all, need, pod, server, shell
from waiting import DEADLINE, until

SECRET = f"{os.getpid()}-{os.urandom(8).hex()}"  # in a pod that does nothing wrong, for others to look for


@pytest.fixture(scope="module", params=["root", "user"])
def m(request):
    need(request.param)
    folder = folder_for_all()
    machine = Machine(folder, request.param)
    machine.apply(pod("bystander", server(env=[{"name": "SECRET_OF_BYSTANDER", "value": SECRET}])))
    machine.wait_running("bystander")
    yield machine
    assert machine.pod("bystander")["status"]["containerStatuses"][0]["restartCount"] == 0, "a pod that did nothing wrong was hurt"
    machine.end()
    shutil.rmtree(folder, ignore_errors=True)


def state(p, index=0):
    return p["status"]["containerStatuses"][index]["state"]


def waiting(m, name, reason):
    """Waits until the first container waits for this reason; what it says."""
    return until(f"{name} waits: {reason}", lambda: (w := state(m.pod(name)).get("waiting")) and w["reason"] == reason and w)["message"]


# ---- what cannot begin ----

def test_a_command_that_is_not_there(m):
    m.apply(pod("nope", container(command=["/no/such/program"]), restartPolicy="Never"))
    p = m.wait_phase("nope", "Failed")
    ended = state(p)["terminated"]
    assert ended["reason"] == "StartError" and ended["exitCode"] == 128 and "/no/such/program" in ended["message"]
    told = m.hythe("why", "pod/nope")
    assert "could not be started" in told and "the command, its folder or its user is wrong" in told
    m.remove("nope")


def test_a_working_folder_that_is_not_there(m):
    m.apply(pod("nowhere", container(workingDir="/no/such/folder"), restartPolicy="Never"))
    assert "/no/such/folder" in state(m.wait_phase("nowhere", "Failed"))["terminated"]["message"]
    m.remove("nowhere")


def test_a_container_without_a_command_is_told_what_its_image_means(m):
    m.apply({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "image"}, "spec": {"containers": [{"name": "main", "image": "nginx:1.27"}]}})
    said = until("its words", lambda: state(m.pod("image")).get("waiting", {}).get("message"))
    assert "nginx:1.27" in said and "command" in said
    m.remove("image")


def test_what_its_environment_needs_is_not_there_until_it_is(m):
    m.apply(pod("needs", container(env=[{"name": "A", "valueFrom": {"configMapKeyRef": {"name": "later", "key": "a"}}}])))
    assert waiting(m, "needs", "CreateContainerConfigError") == 'configmap "later" not found'
    assert "make the ConfigMap" in m.hythe("why", "needs")
    m.run("create", "configmap", "later", "--from-literal=a=here")
    m.wait_running("needs")
    assert m.run("exec", "needs", "--", "sh", "-c", "echo $A") == "here\n"
    m.remove("needs")


def test_a_volume_that_is_not_there_until_it_is(m):
    m.apply(pod("mounts", container(volumeMounts=[{"name": "v", "mountPath": "/etc/mine"}]), volumes=[{"name": "v", "secret": {"secretName": "hidden"}}]))
    until("its event", lambda: any('secret "hidden" not found' in e for e in m.events("mounts", "FailedMount")))
    until("the status tells it", lambda: re.search(r"pod/mounts +0/1 +fails .*secret \"hidden\" not found", m.hythe("status", ok=False)[1]))
    m.run("create", "secret", "generic", "hidden", "--from-literal=key=value")
    m.wait_running("mounts")
    assert m.run("exec", "mounts", "--", "cat", "/etc/mine/key") == "value"
    m.remove("mounts")


def test_a_runtime_that_is_not_here(m):
    m.apply({"apiVersion": "node.k8s.io/v1", "kind": "RuntimeClass", "metadata": {"name": "gvisor"}, "handler": "runsc"})
    m.apply(pod("gvisor", runtimeClassName="gvisor"))
    until("its event", lambda: any("runsc" in e for e in m.events("gvisor", "FailedCreatePodSandBox")))
    m.remove("gvisor")


# ---- what ends, and what does not ----

def test_a_crash_loop_is_named_and_slowed(m):
    m.apply(pod("loops", container(command=shell("echo I cannot find my configuration; exit 7"))))
    p = until("it waits", lambda: (p := m.pod("loops")) and state(p)["waiting"]["reason"] == "CrashLoopBackOff" and p)
    said, status = state(p)["waiting"]["message"], p["status"]["containerStatuses"][0]
    seconds = 10 << (status["restartCount"] - 1)  # 10 the first time; it may wait for longer by the time it is seen
    assert said.startswith(f"back-off {seconds if seconds < 60 else f'{seconds // 60}m{seconds % 60}'}s restarting failed container=main pod=loops_default(")
    assert status["lastState"]["terminated"]["exitCode"] == 7
    assert m.run("logs", "loops", "--previous") == "I cannot find my configuration\n"
    # It waits most of the time, but not always.
    until("why it fails", lambda: "exit code 7" in (told := m.hythe("why", "loops")) and "| I cannot find my configuration" in told)

    def is_told():
        code, told = m.hythe("status", ok=False)
        return code == 1 and re.search(r"pod/loops .*fails .*CrashLoopBackOff", told)
    until("the status tells it", is_told)
    m.remove("loops")


def test_a_cron_job_tells_how_its_last_job_ended(m):
    job = {"backoffLimit": 0, "template": {"spec": {"restartPolicy": "Never", "containers": [container(command=shell("case $HOSTNAME in bad*) exit 3;; esac"))]}}}
    m.apply({"apiVersion": "batch/v1", "kind": "CronJob", "metadata": {"name": "nightly"}, "spec": {"schedule": "0 0 1 1 *", "jobTemplate": {"spec": job}}})

    def told():
        return next(line for line in m.hythe("status", ok=False)[1].splitlines() if "cronjob/nightly" in line)
    assert re.search(r"0 0 1 1 \* +runs", told())
    m.run("create", "job", "bad", "--from=cronjob/nightly")
    until("it is told", lambda: re.search(r"fails .* job bad: container main: ended with exit code 3$", told()))
    m.run("create", "job", "good", "--from=cronjob/nightly")
    until("it is well again", lambda: re.search(r"0 0 1 1 \* +runs +\S+$", told()))
    m.run("delete", "cronjob", "nightly")


def test_two_containers_that_want_one_port(m):
    m.apply(pod("port", server(), {**server(), "name": "second"}))
    told = until("the cause", lambda: (t := m.hythe("why", "port")) and "its port is taken" in t and t)
    assert "Address already in use" in told
    m.remove("port")


def test_a_program_that_ends_though_it_should_not(m):
    m.apply(pod("done", container(command=["true"])))
    waiting(m, "done", "CrashLoopBackOff")
    until("the advice", lambda: "make it a Job" in m.hythe("why", "done"))
    m.remove("done")


# ---- what takes too much ----

def test_a_memory_hog_is_killed_and_named(m):
    if m.user == "user":
        pytest.skip("an ordinary user without a control group of its own has no memory limits: the pod's condition says so")
    m.apply(pod("hog", container(command=[PYTHON, "-c", "b = bytearray(1 << 30)\nprint(len(b))"], resources={"limits": {"memory": "48Mi"}}), restartPolicy="Never"))
    ended = state(m.wait_phase("hog", "Failed"))["terminated"]
    assert ended["reason"] == "OOMKilled" and ended["exitCode"] == 137
    assert "raise resources.limits.memory" in m.hythe("why", "hog")
    m.remove("hog")


def test_a_fork_bomb_stays_in_its_pod(m):
    bomb = "import os, time\nn = 0\nwhile True:\n  try:\n    if os.fork() == 0: time.sleep(1000)\n    n += 1\n  except OSError: break\nprint('made', n, flush=True)\ntime.sleep(1000)"
    m.apply(pod("bomb", container(command=[PYTHON, "-c", bomb])))
    said = until("its end", lambda: m.run("logs", "bomb"))
    assert 0 < int(said.split()[1]) < 10000
    assert m.run("exec", "bystander", "--", "echo", "well") == "well\n"
    m.remove("bomb")
    m.wait_gone("bomb")


def test_a_flood_of_logs_is_bounded(m):
    flood = "import os\nb = b'x' * 200 + b'\\n'\nb = b * 300\nfor i in range(2000): os.write(1, b)\nprint('end', flush=True)"
    m.apply(pod("flood", container(command=[PYTHON, "-c", flood]), restartPolicy="Never"))
    m.wait_phase("flood", "Succeeded")
    uid = m.pod("flood")["metadata"]["uid"]
    folders = until("its logs", lambda: list(pathlib.Path(m.up.data).rglob(f"*flood_{uid}")))  # other folders go meanwhile
    assert len(folders) == 1
    files = [f for f in folders[0].rglob("*") if f.is_file()]
    assert sum(f.stat().st_size for f in files) <= 5 * (11 << 20) and len(files) <= 5
    assert m.run("logs", "flood", "--tail=1") == "end\n"
    m.remove("flood")


def test_a_volume_in_memory_is_as_large_as_was_said(m):
    m.apply(pod("full", container(command=shell("dd if=/dev/zero of=/v/a bs=1M count=64 2>&1; sleep 1000000"), volumeMounts=[{"name": "v", "mountPath": "/v"}]),
                volumes=[{"name": "v", "emptyDir": {"medium": "Memory", "sizeLimit": "8Mi"}}]))
    said = until("its end", lambda: (s := m.run("logs", "full")) and "No space left on device" in s and s)
    assert said
    m.remove("full")


# ---- what pods may not ----

SPY = """
import os, socket, sys
def tried(what, f):
    try: print(what, 'GOT', repr(f())[:200])
    except Exception as e: print(what, 'refused', type(e).__name__)
data, other, port = sys.argv[1:4]
tried('data', lambda: [open(os.path.join(r, n), 'rb').read(1) for r, d, f in os.walk(data) for n in f][0])
tried('keys', lambda: open('/etc/shadow').read()[0])  # hidden files are there and empty
tried('write', lambda: open('/usr/spy', 'w'))
tried('write etc', lambda: open('/etc/spy', 'w'))
tried('environ', lambda: [p for p in os.listdir('/proc') if p.isdigit() and b'SECRET_OF_BYSTANDER' in open(f'/proc/{p}/environ', 'rb').read()][0])
tried('processes', lambda: [p for p in os.listdir('/proc') if p.isdigit() and int(p) > 1 and int(p) != os.getpid()][0])
tried('api', lambda: socket.create_connection(('127.0.0.1', int(port)), 2))
tried('signal', lambda: os.kill(int(other), 0))
import ctypes
libc = ctypes.CDLL(None, use_errno=True)
def call(result):
    if result != 0: raise OSError(ctypes.get_errno(), '')
tried('mount', lambda: call(libc.mount(b'none', b'/tmp', b'tmpfs', 0, None)))
tried('setns', lambda: call(libc.setns(os.open('/proc/1/ns/net', os.O_RDONLY), 0)) or call(libc.unshare(0x10000000)))
tried('ptrace', lambda: call(libc.ptrace(16, int(other), 0, 0)))
print('end', flush=True)
"""


def test_a_pod_sees_and_touches_nothing_that_is_not_its_own(m):
    other = until("the bystander's process", lambda: next((p for p in os.listdir("/proc") if p.isdigit() and SECRET in _environ(p)), None))
    port = str(m.up.cluster.port)
    m.apply(pod("spy", container(command=[PYTHON, "-u", "-c", SPY, str(m.up.data), other, port]), restartPolicy="Never"))
    m.wait_phase("spy", "Succeeded")
    lines = m.run("logs", "spy").splitlines()
    got = [line for line in lines if " GOT " in line]
    assert lines[-1] == "end" and not got, got
    m.remove("spy")


def _environ(pid):
    try:
        return pathlib.Path(f"/proc/{pid}/environ").read_text()
    except (OSError, UnicodeDecodeError):
        return ""


def test_secrets_of_one_pod_are_not_in_anothers_folders(m):
    m.run("create", "secret", "generic", "mine", "--from-literal=word=swordfish")
    m.apply(pod("owner", container(volumeMounts=[{"name": "s", "mountPath": "/s"}]), volumes=[{"name": "s", "secret": {"secretName": "mine"}}]))
    m.wait_running("owner")
    assert m.run("exec", "owner", "--", "cat", "/s/word") == "swordfish"
    found = m.run("exec", "bystander", "--", "sh", "-c", f"grep -rl swordfish {m.up.data} /run /tmp /var/run /dev/shm 2>/dev/null || true")
    assert found == ""
    m.remove("owner")


# ---- the network of pods ----

def test_services_and_names_answer_in_pods(m):
    m.apply(deployment("web", 2, server()), {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web"}, "spec": {"selector": {"app": "web"}, "ports": [{"name": "http", "port": 80, "targetPort": 8000}]}})
    m.rolled_out("web")
    until("endpoints", lambda: len(m.addresses("web")) == 2)
    m.apply(pod("asks", container(command=("sleep", "1000000"))))
    m.wait_running("asks")
    get = f"import urllib.request as u, sys\nprint(u.urlopen(sys.argv[1], timeout={DEADLINE}).read().decode())"
    seen = set()

    def ask(url):
        return m.run("exec", "asks", "--", PYTHON, "-c", get, url).strip()

    until("the service, and both pods of it", lambda: seen.add(ask("http://web/")) or len(seen) == 2)
    assert all(s.startswith("hello from web-") for s in seen), seen
    for _ in range(10):
        assert ask("http://web.default.svc.cluster.local/") in seen
    address = m.get("service", "web")["spec"]["clusterIP"]
    assert ask(f"http://{address}/").startswith("hello from web-")
    m.apply({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "alias"}, "spec": {"type": "ExternalName", "externalName": "web.default.svc.cluster.local"}})
    until("another name for it", lambda: ask("http://alias/").startswith("hello from web-"))
    one = m.items("pods", "-l", "app=web")[0]
    assert ask(f"http://{one['status']['podIP']}:8000/") == f"hello from {one['metadata']['name']}"
    until("that there is no such name", lambda: (found := m.run("exec", "asks", "--", PYTHON, "-c", get, "http://nobody/", ok=False))[0] != 0 and "not known" in found[1])
    # Without connect() first, as some resolvers ask; and a connection that does not block.
    asyncio = ("import asyncio\nasync def f():\n r, w = await asyncio.open_connection('web', 80)\n w.write(b'GET / HTTP/1.0\\r\\n\\r\\n')\n print((await r.read()).decode().splitlines()[-1])\nasyncio.run(f())")
    assert m.run("exec", "asks", "--", PYTHON, "-c", asyncio).startswith("hello from web-")
    m.run("delete", "deployment/web", "service/web", "service/alias")
    m.remove("asks")


def test_the_api_answers_in_pods_with_their_own_token(m):
    m.apply(pod("client"))
    m.wait_running("client")
    code = ("import ssl, urllib.request as u\nd = '/var/run/secrets/kubernetes.io/serviceaccount/'\n"
            "c = ssl.create_default_context(cafile=d + 'ca.crt')\n"
            "r = u.Request('https://kubernetes.default.svc/version', headers={'Authorization': 'Bearer ' + open(d + 'token').read()})\n"
            f"print(u.urlopen(r, context=c, timeout={DEADLINE}).read().decode())")
    assert "gitVersion" in m.run("exec", "client", "--", PYTHON, "-c", code)
    m.remove("client")
