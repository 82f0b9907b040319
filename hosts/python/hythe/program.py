# SPDX-License-Identifier: Apache-2.0
"""Where the program hythe is: the one written in C, which this package's workers stand behind."""
import os
import shutil
import sys
import sysconfig
from typing import Optional


def find_program() -> Optional[str]:
    """$HYTHE_PROGRAM, else the one beside this interpreter, else the one of $PATH; None: nowhere."""
    beside = [os.path.join(folder, "hythe") for folder in (sysconfig.get_path("scripts"), os.path.dirname(sys.executable)) if folder]
    for path in [os.environ.get("HYTHE_PROGRAM", "")] + beside:
        if path and os.path.isfile(path) and os.access(path, os.X_OK):
            return path
    return shutil.which("hythe")
