# SPDX-License-Identifier: Apache-2.0
"""The requests that hythe and the real server are asked: functions of a Session, in files by subject.

A scenario makes what it needs in a namespace of its own, so that each can run alone and all can run side by side. `s.ask()` and its
short forms are compared; `s.prepare()` is not.
"""
import importlib
import pathlib
import pkgutil

SCENARIOS = {}


def scenario(make_namespace=True, generates=()):
    """Registers a function as "<file>/<function>"."""

    def register(function):
        name = f"{function.__module__.rsplit('.', 1)[-1]}/{function.__name__}"

        def run(s):
            for prefix in generates:
                s.neutral.generate(prefix)
            if make_namespace:
                s.make_namespace()
            function(s)

        SCENARIOS[name] = run
        return function

    return register


def load():
    """All scenarios by name."""
    for module in pkgutil.iter_modules([str(pathlib.Path(__file__).parent)]):
        importlib.import_module(f"{__name__}.{module.name}")
    return SCENARIOS
