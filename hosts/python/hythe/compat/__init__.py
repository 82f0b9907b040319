# SPDX-License-Identifier: Apache-2.0
"""A folder for sys.path: small stand-ins for packages that user code imports, where the real ones are absent."""
import importlib.util
import os
import sys


def add_path() -> bool:
    """Makes `import seldon_core` work; False when the real package is there and stays in use."""
    here = os.path.dirname(os.path.abspath(__file__))
    if here in sys.path:
        return True
    if importlib.util.find_spec("seldon_core") is not None:
        return False
    sys.path.append(here)
    return True
