# SPDX-License-Identifier: Apache-2.0
"""One at a time: two test runs side by side build a program into the cache once."""
import contextlib
import fcntl


@contextlib.contextmanager
def alone(folder):
    """Holds the lock of a folder of the cache, which is made when it is absent."""
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
