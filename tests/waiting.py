# SPDX-License-Identifier: Apache-2.0
"""Tests wait for conditions, not for seconds: how, and how long before one counts as failed."""
import os
import time

SANITIZED = bool(os.environ.get("HYTHE_SANITIZED"))
DEADLINE = 180 if SANITIZED else 60


class Failed(AssertionError):
    pass


def until(what, is_so, seconds=DEADLINE):
    """Waits for a condition, and returns what it gives; exceptions count as not yet. `what` names it for who reads that it did not come."""
    end = time.monotonic() + seconds
    while True:
        is_last = time.monotonic() >= end  # the last look is one from after the deadline, however long they take
        try:
            if found := is_so():
                return found
            last = found
        except Exception as e:
            last = e
        if is_last:
            raise Failed(f"not within {seconds} s: {what}; last: {last!r}")
        time.sleep(0.01)
