# SPDX-License-Identifier: Apache-2.0
"""From what a person names on the command line to the object that is served, and of what kind it is.

A target is `module:attribute`, `module.Class`, `Class` (of the module of that name), `file.py`, `file.py:attribute`, a folder, or a pickled
model (.joblib, .pkl, .pickle). An attribute may be called: `app:create_app("production")`.
"""
import ast
import importlib
import importlib.util
import inspect
import os
import re
import sys
from types import ModuleType
from typing import Any, Dict, List, NamedTuple, Optional, Tuple

from .seldon import METHODS

SELDON, WSGI, ASGI = "seldon", "wsgi", "asgi"
KINDS = ("auto", SELDON, WSGI, ASGI, "sklearn")
PICKLES = (".joblib", ".pkl", ".pickle")
APP_NAMES = ("app", "application", "create_app", "make_app")
FOLDER_FILES = ("app", "main", "model", "serving", "wsgi", "asgi")


class TargetError(Exception):
    """The target names nothing that can be served; the text says what was looked for."""

    is_for_people = True


class Loaded(NamedTuple):
    """What is served: a component's object, or an application."""

    kind: str  # SELDON, WSGI or ASGI
    object: Any
    text: str  # for people: "Python class MyModel"
    name: str  # to serve it under


# ---- where the code is ----


def _import_file(path: str) -> ModuleType:
    path = os.path.abspath(path)
    stem = os.path.splitext(os.path.basename(path))[0]
    folder = os.path.dirname(path)
    if folder not in sys.path:
        sys.path.insert(1 if sys.path and sys.path[0] == os.getcwd() else 0, folder)
    name = stem if stem not in sys.modules and stem.isidentifier() else "hythe_target_" + re.sub(r"\W", "_", stem)
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise TargetError("'%s' is not a Python file" % path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def _file_of_folder(folder: str) -> str:
    files = sorted(f[:-3] for f in os.listdir(folder) if f.endswith(".py") and f != "__init__.py")
    wanted = os.path.basename(os.path.abspath(folder))
    named = [f for f in files if f.lower() == wanted.lower()] or [f for f in FOLDER_FILES if f in files]
    classes = [f for f in files if f[:1].isupper()]
    for found in (named[:1], classes if len(classes) == 1 else [], files if len(files) == 1 else []):
        if found:
            return os.path.join(folder, found[0] + ".py")
    raise TargetError(
        "folder '%s': which file? It has %s; name one, or call it %s.py" % (folder, ", ".join(f + ".py" for f in files) or "no Python files", wanted)
    )


def _exists(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except (ImportError, ValueError, AttributeError):
        return False


def _find_module(target: str) -> Tuple[ModuleType, Optional[str]]:
    """The module, and the attribute that the target names in it."""
    place, colon, attribute = target.partition(":")
    if os.path.isdir(place):
        return _import_file(_file_of_folder(place)), attribute or None
    if place.endswith(".py") or os.path.isfile(place):
        if not os.path.isfile(place):
            raise TargetError("no file '%s' in %s" % (place, os.getcwd()))
        return _import_file(place), attribute or None
    if colon or _exists(place):
        if colon and not _exists(place):
            importlib.import_module(place)  # says what is missing
        return importlib.import_module(place), attribute or None
    parent, dot, name = place.rpartition(".")
    if dot:
        return importlib.import_module(parent), name
    raise TargetError("no file, folder or module '%s' in %s" % (place, os.getcwd()))


def _attribute(module: ModuleType, text: str) -> Any:
    """`Class`, `Outer.Inner`, or a call of these with literal arguments."""
    try:
        tree: Any = ast.parse(text.strip(), mode="eval").body
    except SyntaxError:
        raise TargetError("'%s' is not an attribute's name" % text) from None
    call = tree if isinstance(tree, ast.Call) else None
    names: List[str] = []
    node = call.func if call else tree
    while isinstance(node, ast.Attribute):
        names.insert(0, node.attr)
        node = node.value
    if not isinstance(node, ast.Name):
        raise TargetError("'%s' is not an attribute's name" % text)
    value: Any = module
    for name in [node.id] + names:
        if not hasattr(value, name):
            raise TargetError("%s has no attribute '%s'%s" % (getattr(value, "__name__", text), name, _known(module)))
        value = getattr(value, name)
    if call:
        try:
            positional = [ast.literal_eval(a) for a in call.args]
            named = {k.arg: ast.literal_eval(k.value) for k in call.keywords if k.arg}
        except ValueError:
            raise TargetError("'%s': arguments must be literals" % text) from None
        return value(*positional, **named)
    return value


def _known(module: ModuleType) -> str:
    names = [n for n, v in vars(module).items() if not n.startswith("_") and getattr(v, "__module__", module.__name__) == module.__name__
             and (callable(v) or kind_of(v))]
    return "; there are: " + ", ".join(sorted(names)[:12]) if names else ""


# ---- what it is ----


def _positional_names(function: Any) -> Optional[List[str]]:
    """Names of the positional parameters; None when they cannot be read."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return None
    return [p.name for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]


def _is_asgi(thing: Any) -> bool:
    function = thing if inspect.isroutine(thing) else getattr(thing, "__call__", None)
    if inspect.iscoroutinefunction(function):
        return True
    names = _positional_names(function) if function is not None else None
    return names is not None and names[:1] == ["scope"] and len(names) in (1, 3)


def _is_wsgi(thing: Any) -> bool:
    function = thing if inspect.isroutine(thing) else getattr(thing, "__call__", None)
    if function is None:
        return False
    names = _positional_names(function)
    if names is None:
        return False
    if names[:2] == ["environ", "start_response"]:
        return True
    # Any names will do, but then two that must be given, and the word of the caller that it is an application.
    return len(names) == 2 and type(thing).__name__ in ("Flask", "WSGIHandler", "Bottle", "Falcon", "App", "API")


def _has_method(thing: Any) -> bool:
    found = [name for name in METHODS if callable(getattr(thing, name, None))]
    kind = thing if inspect.isclass(thing) else type(thing)
    # Web frameworks' applications have a route() too.
    return bool(found) and not (found == ["route"] and any("__call__" in base.__dict__ for base in kind.__mro__))


def kind_of(thing: Any) -> Optional[str]:
    """seldon, wsgi, asgi, or None. Of a class: what its objects would be."""
    if isinstance(thing, ModuleType):
        return None
    if inspect.isclass(thing):
        return SELDON if _has_method(thing) else None
    if callable(thing) and _is_asgi(thing):
        return ASGI
    if callable(thing) and _is_wsgi(thing):
        return WSGI
    return SELDON if _has_method(thing) else None


def _own_classes(module: ModuleType) -> List[type]:
    return [v for v in vars(module).values() if inspect.isclass(v) and v.__module__ == module.__name__ and _has_method(v)]


def _choose(module: ModuleType, stem: str) -> Any:
    """What a module without a named attribute is meant to serve."""
    for name in (stem, stem.replace("_", "")):
        for key, value in vars(module).items():
            if key.lower() == name.lower() and kind_of(value):
                return value
    for name in APP_NAMES:
        value = getattr(module, name, None)
        if value is not None and (kind_of(value) or (inspect.isfunction(value) and not _needs_arguments(value))):
            return value
    classes = _own_classes(module)
    if len(classes) == 1:
        return classes[0]
    if not classes and inspect.isfunction(getattr(module, "predict", None)):
        return module
    apps = [n for n, v in vars(module).items() if not n.startswith("_") and not inspect.isclass(v) and not inspect.isroutine(v) and kind_of(v)]
    if len(apps) == 1:
        return getattr(module, apps[0])
    several = [c.__name__ for c in classes] or apps
    if several:
        raise TargetError("%s has several to serve: name one, as in %s:%s (there are: %s)" % (stem, stem, several[0], ", ".join(several)))
    raise TargetError(
        "%s has nothing to serve: looked for a class %s, an application named app or application, one class with predict() or another of "
        "Seldon's methods, or a function predict(X)" % (stem, stem)
    )


def _needs_arguments(function: Any) -> bool:
    return any(p.default is p.empty and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD) for p in inspect.signature(function).parameters.values())


# ---- both ----


def _construct(kind: type, parameters: Dict[str, Any]) -> Any:
    try:
        inspect.signature(kind).bind(**parameters)
    except ValueError:
        pass
    except TypeError as error:
        raise TargetError("%s%s cannot be made of the parameters %s: %s" % (kind.__name__, inspect.signature(kind), sorted(parameters) or "(none)", error)) from None
    return kind(**parameters)


def is_pickle(target: str) -> bool:
    """Whether the target is a pickled model, by its name."""
    return target.lower().endswith(PICKLES)


def load(target: str, kind: str = "auto", parameters: Optional[Dict[str, Any]] = None, trust: Optional[str] = None) -> Loaded:
    """Imports the target and makes its object. Errors of the user's code pass through as they are."""
    parameters = parameters or {}
    if kind == "sklearn" or (kind == "auto" and is_pickle(target)):
        from . import sklearn

        model = sklearn.open_model(target, trust=trust, **parameters)
        return Loaded(SELDON, model, model.text, _stem(target))
    module, attribute = _find_module(target)
    stem = _stem(target)
    thing = _attribute(module, attribute) if attribute else _choose(module, stem)
    if attribute and kind == "auto" and inspect.isclass(thing) and not any("__call__" in base.__dict__ for base in thing.__mro__):
        kind = SELDON  # by the user's word, and be it without a method: health and metadata are answers too
    return _finish(thing, stem, kind, parameters)


def _stem(target: str) -> str:
    """The name that a target is spoken of: `models/Iris.py:Model` -> `Iris`, `pkg.Iris` -> `Iris`."""
    place = target.partition(":")[0].rstrip("/")
    base = os.path.basename(os.path.abspath(place)) if os.path.exists(place) else place
    base = re.sub(r"\.(py|joblib|pkl|pickle)$", "", base)
    return base.rpartition(".")[2] or "model"


def _finish(thing: Any, stem: str, kind: str, parameters: Dict[str, Any]) -> Loaded:
    if isinstance(thing, ModuleType):
        return Loaded(SELDON, thing, "Python module " + thing.__name__, stem)
    if inspect.isclass(thing):
        text = "Python class " + thing.__name__
        if kind in (WSGI, ASGI) or not (kind == SELDON or _has_method(thing)):
            raise TargetError("class %s has none of Seldon's methods (predict, transform_input, route, ...)" % thing.__name__)
        return Loaded(SELDON, _construct(thing, parameters), text, stem if stem.lower() == thing.__name__.lower() else thing.__name__)
    found = kind_of(thing)
    if kind == "auto" and found is None and inspect.isfunction(thing):
        return _finish_function(thing, stem, parameters)
    if kind == "auto":
        kind = found or ""
    if kind in (WSGI, ASGI):
        if not callable(thing):
            raise TargetError("%s of type %s cannot be called: it is not an application" % (stem, type(thing).__name__))
        return Loaded(kind, thing, "%s application %s" % (kind.upper(), type(thing).__name__ if not inspect.isroutine(thing) else thing.__name__), stem)
    if kind == SELDON:
        if type(thing).__module__.partition(".")[0] == "sklearn":
            from . import sklearn

            model = sklearn.Model(thing, **parameters)
            return Loaded(SELDON, model, model.text, stem)
        return Loaded(SELDON, thing, "Python object of class " + type(thing).__name__, stem)
    raise TargetError("%s of type %s is neither an application (WSGI, ASGI) nor has it Seldon's methods" % (stem, type(thing).__name__))


def _finish_function(function: Any, stem: str, parameters: Dict[str, Any]) -> Loaded:
    """A factory makes what is served; a function named predict is itself a model; of two parameters it is WSGI."""
    if function.__name__ in METHODS:
        holder = type(function.__name__, (), {})()
        setattr(holder, function.__name__, function)
        return Loaded(SELDON, holder, "Python function " + function.__name__, stem)
    if not _needs_arguments(function) or parameters:
        made = function(**parameters)
        if kind_of(made) is None:
            raise TargetError("%s() made an object of type %s, which cannot be served" % (function.__name__, type(made).__name__))
        return _finish(made, stem, "auto", {})
    if len(_positional_names(function) or []) == 2:
        return Loaded(WSGI, function, "WSGI application " + function.__name__, stem)
    raise TargetError("function %s%s is neither an application nor named predict" % (function.__name__, inspect.signature(function)))
