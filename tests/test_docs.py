# SPDX-License-Identifier: Apache-2.0
"""The how-to pages work as printed.

Every ```sh block of a page is run by bash in one empty folder that has `examples/` in it; a block that starts with `hythe serve` or is `hythe up` runs in the
background until the page ends. A ```text block says what the sh block before it prints; `…` stands for anything. A block that only looks at what comes by and by
is run until it prints that. Ports of this machine are exchanged for ones that are free.
"""
import os
import re
import shutil
import signal
import subprocess
import sys
import time

import pytest

from conftest import DEADLINE, PROGRAM, ROOT
from ports import Ports
from waiting import until

sys.path.insert(0, str(ROOT / "tests" / "kube"))
import kubectls  # noqa: E402

PAGES = sorted((ROOT / "docs" / "how-to").glob("*.md"))
BLOCK = re.compile(r"^```(sh|text)\n(.*?)^```$", re.M | re.S)
LOOKS = re.compile(r"(eval |\w+=|hythe (status|why)\b|kubectl (get|describe|exec|logs) |curl |  )")  # each line of a block that changes nothing
PORT = re.compile(r"((?:localhost|127\.0\.0\.1):|^port=)(\d{4})\b", re.M)


@pytest.fixture
def here():
    """here(block): with ports of its own; what else runs on this machine may have those of the page."""
    held = {}

    def exchange(found):
        if found[2] not in held:
            held[found[2]] = Ports(1)
        return found[1] + str(*held[found[2]])

    yield lambda block: PORT.sub(exchange, block)
    for ports in held.values():
        ports.close()


def environment(folder):
    tools = folder / "bin"
    tools.mkdir()
    (tools / "hythe").symlink_to(PROGRAM)
    if kubectl := next(iter(kubectls.on_this_machine().values()), None):
        (tools / "kubectl").symlink_to(kubectl)
    return {**os.environ, "HYTHE_LISTEN_API": "127.0.0.1:0", "HYTHE_LISTEN_GATEWAY": "127.0.0.1:0", "HYTHE_LISTEN_GATEWAY_TLS": "127.0.0.1:0", "PATH": f"{tools}:{ROOT / '.venv-test' / 'bin'}:{os.environ['PATH']}", "HOME": str(folder)}


def start(block, folder, env, here):
    if block.startswith("hythe serve") and "--listen" not in block:
        env = {**env, "HYTHE_LISTEN": here("127.0.0.1:8080")}
    log = folder / f"server-{time.monotonic_ns()}.log"
    with open(log, "w") as out:
        server = subprocess.Popen(["bash", "-c", "exec " + here(block).strip()], cwd=folder, env=env, stdout=out, stderr=subprocess.STDOUT)
    until("its address", lambda: server.poll() is not None or re.search(r"https?://|unix:", log.read_text()))
    assert server.poll() is None, f"{block}\n{log.read_text()}"
    return server, log


def says(expected, printed):
    pattern = ".*".join(re.escape(part) for part in expected.strip().split("…"))
    return re.search(pattern, printed, re.S)


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.stem)
def test_the_page_works_as_printed(page, tmp_path, here):
    if "HYTHE_SANITIZED" in os.environ and "hythe image add" in page.read_text():
        pytest.skip("no extension module in this build, for pods")
    shutil.copytree(ROOT / "examples", tmp_path / "examples")
    env = environment(tmp_path)
    servers, log, printed, looks = [], None, "", None

    def run(block):
        done = subprocess.run(["bash", "-e", "-o", "pipefail", "-c", block], cwd=tmp_path, env=env, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              timeout=300)
        assert done.returncode == 0, f"{block}\n{done.stdout}"
        return done.stdout

    if "kubectl " in page.read_text() and not (tmp_path / "bin" / "kubectl").exists():
        (tmp_path / "bin" / "kubectl").symlink_to(kubectls.build(kubectls.BUILT))
    try:
        for kind, block in BLOCK.findall(page.read_text()):
            if kind == "text" and log:  # what a server says comes by and by
                until(f"what the page promises: {block}", lambda: says(block, log.read_text()))
            elif kind == "text":
                if looks:
                    until(f"what the page promises: {block}; it printed: {printed}", lambda: says(block, printed) or says(block, run(looks)))
                assert looks or says(block, printed), f"the page promises:\n{block}\nit printed:\n{printed}"
            elif block.startswith("hythe serve") or block.strip() == "hythe up":
                server, log = start(block, tmp_path, env, here)
                servers.append((server, block))
            else:
                log, block = None, here(block)
                looks = block if all(map(LOOKS.match, block.splitlines())) else None
                printed = until("a block that looks is run", lambda: run(block) or "\n") if looks else run(block)
    finally:
        for server, block in servers:
            if server.poll() is None:
                server.send_signal(signal.SIGINT if block.startswith("hythe up") else signal.SIGTERM)
            assert server.wait(2 * DEADLINE) == 0, block  # pods have their grace periods


def test_the_tour_of_the_readme_answers(tmp_path, here):
    shutil.copytree(ROOT / "examples", tmp_path / "examples")
    env = environment(tmp_path)
    server, log = start("hythe serve examples/propensity.json", tmp_path, env, here)
    try:
        blocks = [b for b in re.findall(r"^```\n(.*?)^```$", (ROOT / "README.md").read_text(), re.M | re.S) if b.startswith("curl")]
        assert len(blocks) >= 2
        for block in blocks:
            done = subprocess.run(["bash", "-e", "-c", here(block).replace("curl ", "curl -sS --fail ")], cwd=tmp_path, env=env, text=True, capture_output=True, timeout=DEADLINE)
            assert done.returncode == 0 and "0.334" in done.stdout, f"{block}\n{done.stdout}{done.stderr}"
    finally:
        server.send_signal(signal.SIGTERM)
        assert server.wait(DEADLINE) == 0


def test_the_reference_is_what_the_program_says(hythe):
    page = ROOT / "docs" / "reference" / "commands.md"
    printed = subprocess.run([hythe, "help", "--markdown"], capture_output=True, text=True, check=True).stdout
    assert page.read_text() == printed, "docs/reference/commands.md: run `build/hythe help --markdown > docs/reference/commands.md`"


def test_links_between_pages_lead_somewhere():
    broken = []
    for page in [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("bench/*.md")]:
        for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text()):
            if "://" not in target and not (page.parent / target).exists():
                broken.append(f"{page.relative_to(ROOT)}: {target}")
    assert not broken
