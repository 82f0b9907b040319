# SPDX-License-Identifier: Apache-2.0
"""The store under kill -9, on a full disk and in a folder that may not be written: nothing acknowledged is lost, nothing half is shown."""
import os
import random
import shutil
import subprocess
import time

import pytest

from conftest import DEADLINE, PROGRAM, SANITIZED

DRIVER = PROGRAM.parent / "src" / "store" / "store_crash"
KILLS = 20 if SANITIZED else 200

pytestmark = pytest.mark.skipif(not DRIVER.exists(), reason="the build has no tests")


def run(*arguments):
    return subprocess.run([str(DRIVER), *map(str, arguments)], capture_output=True, text=True, timeout=DEADLINE)


class Content:
    """What `store_crash check` sees in a folder; it ends with an error when a text is not whole."""

    def __init__(self, folder):
        done = run("check", folder)
        assert done.returncode == 0 and done.stdout.endswith("whole\n"), done.stderr
        self.history, self.live = {}, {}
        for line in done.stdout.splitlines()[:-1]:
            word, *rest = line.split(" ")
            if word == "floor":
                self.floor = int(rest[0])
            elif word == "is":
                self.live[rest[0]] = int(rest[1])
            else:
                self.history[int(word)] = tuple(rest)

    @property
    def revision(self):
        return max(self.history, default=self.floor)


def apply(live, revision, change):
    op, key = change
    if op == "put":
        live[key] = revision
    else:
        live.pop(key, None)


def write_until_killed(folder, seed, outstanding, seconds, backup=None, from_start=False, mode="write"):
    """Runs the writer and kills it; the acknowledged revisions, in whole lines."""
    arguments = [str(DRIVER), mode, str(folder), str(seed), str(outstanding), *([str(backup)] if backup else [])]
    process = subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    os.set_blocking(process.stdout.fileno(), False)
    output, end = b"", time.monotonic() + DEADLINE
    kill_at = time.monotonic() + seconds if from_start else None
    while kill_at is None or time.monotonic() < kill_at:
        assert time.monotonic() < end, "it never became ready"
        chunk = process.stdout.read(1 << 20)
        output += chunk or b""
        if kill_at is None and output.count(b"\n") > 1:  # ready, and the first write acknowledged
            kill_at = time.monotonic() + seconds
        if chunk == b"" or process.poll() is not None:
            break
        time.sleep(0.0005)  # lets the two processors to the writer
    assert process.poll() is None, process.stderr.read().decode()
    process.kill()
    process.wait()
    os.set_blocking(process.stdout.fileno(), True)
    output += process.stdout.read()
    process.stdout.close()
    process.stderr.close()
    lines = output.decode().split("\n")[:-1]  # a line that was cut was not acknowledged to anybody
    return {int(revision): (op, key) for revision, op, key in (line.split(" ") for line in lines if line != "ready")}


def test_kill_9_loses_nothing_acknowledged_and_shows_nothing_half(tmp_path):
    chance = random.Random(20260101)
    folder, backup = tmp_path / "data", tmp_path / "backup"
    live, revision, total, kills_under_load = {}, 1, 0, 0
    for kill in range(KILLS):
        with_backup = kill % 5 == 4
        acknowledged = write_until_killed(folder, chance.randrange(1 << 30), chance.choice([1, 4, 16, 64]), chance.uniform(0.001, 0.12),
                                          backup if with_backup else None, from_start=kill % 7 == 6)
        total += len(acknowledged)
        kills_under_load += bool(acknowledged)
        assert sorted(acknowledged) == list(range(revision + 1, revision + 1 + len(acknowledged))), "each revision once, in order"
        if kill % 7 == 6 and not folder.exists():
            continue
        content = Content(folder)
        for at, change in acknowledged.items():
            assert at <= content.floor or content.history.get(at) == change, f"acknowledged revision {at} is lost"
        assert content.floor <= max(acknowledged, default=revision)
        # What was under way may have become durable or not; then it stays.
        for at, change in sorted(acknowledged.items()):
            apply(live, at, change)
        for at in range(max(acknowledged, default=revision) + 1, content.revision + 1):
            apply(live, at, content.history[at])
        assert content.live == live
        revision = content.revision
        if with_backup and backup.exists():
            copy = tmp_path / f"copy{kill}"
            assert run("restore", backup, copy).returncode == 0
            of_backup = Content(copy)
            assert of_backup.floor > revision, "clients who saw later revisions start anew"
            assert set(of_backup.live.values()) <= set(range(1, revision + 1))
            shutil.rmtree(copy)
    assert kills_under_load > KILLS // 2
    assert total > KILLS


def test_a_loss_of_power_loses_nothing_acknowledged(tmp_path):
    """The driver holds back what SQLite has not synced: it is lost with the process, as with the power."""
    chance = random.Random(20260102)
    folder = tmp_path / "data"
    live, revision, total = {}, 1, 0
    for _ in range(KILLS // 4):
        acknowledged = write_until_killed(folder, chance.randrange(1 << 30), chance.choice([1, 16]), chance.uniform(0.01, 0.3), mode="power")
        content = Content(folder)
        assert content.revision >= max(acknowledged, default=revision), "acknowledged and lost"
        for at, change in sorted(acknowledged.items()):
            apply(live, at, change)
        for at in range(max(acknowledged, default=revision) + 1, content.revision + 1):
            apply(live, at, content.history[at])
        assert content.live == live
        revision = content.revision
        total += len(acknowledged)
    assert total > KILLS


def test_without_syncs_a_loss_of_power_does_lose_writes(tmp_path):
    """The test above sees what it is for: buffered writes outlive the process, not the power; what is left is whole."""
    lost = []
    for seconds in (0.1, 0.3, 1, 3):  # on a busy machine the first may end before anything was acknowledged
        folder = tmp_path / str(seconds)
        acknowledged = write_until_killed(folder, 7, 16, seconds, mode="unsynced")
        lost.append(bool(acknowledged) and Content(folder).revision < max(acknowledged))
    assert any(lost)


def test_a_restore_that_is_killed_leaves_the_old_store_or_the_new_one(tmp_path):
    chance = random.Random(20260103)
    first, folder, backup = tmp_path / "first", tmp_path / "data", tmp_path / "backup"
    while not backup.exists():
        write_until_killed(first, 1, 16, 0.2, backup)
    before = Content(first).live
    start = time.monotonic()
    assert run("restore", backup, tmp_path / "copy").returncode == 0
    takes = time.monotonic() - start
    after = Content(tmp_path / "copy").live
    assert before != after
    kills = 0
    for _ in range(max(12, KILLS // 3)):
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(first, folder)
        start = time.monotonic()
        process = subprocess.Popen([str(DRIVER), "restore", str(backup), str(folder)])
        try:
            process.wait(chance.uniform(0.3, 1.5) * takes)
            takes = min(takes, time.monotonic() - start)  # the first may have been held up
        except subprocess.TimeoutExpired:
            process.kill()
        kills += process.wait() != 0
        live = Content(folder).live
        assert live in (before, after)
        if live == after:  # what was replaced is kept beside it
            (old,) = folder.glob("store.db.old-*")
            old.rename(folder / "store.db")
            assert Content(folder).live == before
    assert kills


def test_a_second_process_is_refused(tmp_path):
    folder = tmp_path / "data"
    process = subprocess.Popen([str(DRIVER), "write", str(folder), "1", "1"], stdout=subprocess.PIPE)
    try:
        assert process.stdout.readline() == b"ready\n"
        second = run("check", folder)
        assert second.returncode == 1
        assert f"'{folder}' is in use by another process, number {process.pid}" in second.stderr
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
    Content(folder)


def mounted(tmp_path, options, script):
    """Runs a shell script where a small disk of its own is mounted at $DISK."""
    disk = tmp_path / "disk"
    disk.mkdir()
    command = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", f"mount -t tmpfs -o {options} none {disk} && touch {disk}/ok && {script}"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=DEADLINE, env={**os.environ, "DISK": str(disk), "DRIVER": str(DRIVER)})
    if "unshare:" in done.stderr or "mount:" in done.stderr:
        pytest.skip("no mounts here: " + done.stderr.strip())
    return done


def test_a_full_disk_stops_writes_and_loses_nothing(tmp_path):
    script = '"$DRIVER" write $DISK/data 7 16 >"$DISK.acknowledged"; cp -a $DISK/data "$DISK.data"'
    done = mounted(tmp_path, "size=6m", script)
    assert "store_crash: write: " in done.stderr and "full" in done.stderr, done.stderr
    acknowledged = [line.split(" ") for line in (tmp_path / "disk.acknowledged").read_text().splitlines()[1:]]
    content = Content(tmp_path / "disk.data")
    assert len(acknowledged) > 100
    live = {}
    for revision, op, key in acknowledged:
        apply(live, int(revision), (op, key))
    for at in range(int(acknowledged[-1][0]) + 1, content.revision + 1):
        apply(live, at, content.history[at])
    assert content.live == live


def test_a_read_only_disk_is_named(tmp_path):
    script = "mkdir $DISK/data && mount -o remount,ro $DISK && \"$DRIVER\" check $DISK/data"
    done = mounted(tmp_path, "size=1m", script)
    assert done.returncode == 1
    assert "Read-only file system" in done.stderr and str(tmp_path / "disk" / "data") in done.stderr
