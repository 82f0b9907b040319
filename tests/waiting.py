# SPDX-License-Identifier: Apache-2.0
"""Tests wait for conditions, not for seconds: how, and how long before one counts as failed."""
import os
import subprocess
import time

SANITIZED = bool(os.environ.get("HYTHE_SANITIZED"))
DEADLINE = 180 if SANITIZED else 60


class Failed(AssertionError):
    pass


def until(what, is_so, seconds=DEADLINE):
    """Waits for a condition, and returns what it gives; exceptions count as not yet. `what` names it for who reads that it did not come."""
    end = time.monotonic() + seconds
    last = None
    while time.monotonic() < end:
        try:
            if found := is_so():
                return found
            last = found
        except (OSError, KeyError, IndexError, subprocess.SubprocessError, AssertionError) as e:
            last = e
        time.sleep(0.01)
    raise Failed(f"not within {seconds} s: {what}; last: {last!r}")
