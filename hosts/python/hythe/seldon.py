# SPDX-License-Identifier: Apache-2.0
"""The contract of Seldon Core's Python wrapper around a user's object.

    host = hythe._hythe.Host(call=Component(MyModel()).call, addresses=["127.0.0.1:9000"])

The server decodes a request before call() sees it and encodes what is replied, so what is left here is who is asked what:
predict(X, names, meta=...) and its relatives, their raw forms, tags, metrics, class names, health and metadata. What can be decided once is decided when
the component is made: whether a method takes `meta` is read from its signature, so a TypeError out of the user's code is
an error and not a reason to call it again.

Threads: call() may run on several threads at once when the host has several; the user's object must bear that then.
"""
import inspect
import json
import logging
import os
import sys
from typing import Any, Callable, Dict, List, Optional, Tuple

from . import messages
from . import metadata as _metadata
from .messages import BINARY, CUSTOM, INTERNAL_ERROR, JSON, NDARRAY, NOTHING, TENSOR, TEXT, TFTENSOR, ComponentError  # noqa: F401
from .usermetrics import Registry, is_valid

_log = logging.getLogger(__name__)

# enum hythe_method
PREDICT, TRANSFORM_INPUT, TRANSFORM_OUTPUT, ROUTE, AGGREGATE, FEEDBACK, HEALTH, METADATA, METRICS = range(1, 10)
# The name of each method on the user's object, and the word for it in its metrics' label "method".
_NAMES = {
    PREDICT: ("predict", "predict"),
    TRANSFORM_INPUT: ("transform_input", "inputtransform"),
    TRANSFORM_OUTPUT: ("transform_output", "outputtransform"),
    ROUTE: ("route", "router"),
    AGGREGATE: ("aggregate", "aggregate"),
    FEEDBACK: ("send_feedback", "feedback"),
    HEALTH: ("health_status", "health"),
}
# Any of these makes an object a component.
METHODS = tuple(name + form for name, _ in _NAMES.values() for form in ("", "_raw", "_rest", "_grpc") if (name, form) != ("health_status", ""))

# What a method returned.
_ARRAY, _LIST, _OBJECT, _BYTES, _TEXT, _RESPONSE, _ANY, _UNKNOWN = range(8)


def _has_class_named(kind: type, name: str) -> bool:
    return any(base.__name__ == name for base in kind.__mro__)


def _is_not_implemented(error: BaseException) -> bool:
    return _has_class_named(type(error), "SeldonNotImplementedError")


def _is_inherited(user: Any, name: str) -> bool:
    """Whether the method is only the one of SeldonComponent, which is there to raise SeldonNotImplementedError."""
    if name in getattr(user, "__dict__", {}):
        return False
    for base in type(user).__mro__:
        if name in base.__dict__:
            return base.__name__ == "SeldonComponent" and base.__module__.partition(".")[0] == "seldon_core"
    return False


def own(user: Any, name: str) -> Optional[Any]:
    """The attribute of that name if the user's code defines it."""
    return None if _is_inherited(user, name) else getattr(user, name, None)


def _binds(function: Callable, *positional: Any, **named: Any) -> bool:
    try:
        inspect.signature(function).bind(*positional, **named)
    except TypeError:
        return False
    return True


def _caller(function: Callable, name: str) -> Callable[[Any, List[str], Any], Any]:
    """function(X, names, meta) for a method that takes these, or fewer of them."""
    try:
        inspect.signature(function)
    except (TypeError, ValueError):  # of a compiled module: nobody knows but the call
        return _trying_caller(function)
    if _binds(function, 0, 0, meta=0):
        return lambda features, names, meta: function(features, names, meta=meta)
    if _binds(function, 0, 0):
        return lambda features, names, meta: function(features, names)
    if _binds(function, 0):
        return lambda features, names, meta: function(features)
    _log.warning("%s%s cannot be called with (X, names): every request of it will fail", name, inspect.signature(function))
    return lambda features, names, meta: function(features, names)


def _trying_caller(function: Callable) -> Callable[[Any, List[str], Any], Any]:
    def call(features: Any, names: List[str], meta: Any) -> Any:
        try:
            return function(features, names, meta=meta)
        except TypeError:
            return function(features, names)

    return call


def _empty_array() -> Any:
    import numpy

    return numpy.array([])


def _count_columns(value: List) -> int:
    """What the second dimension of numpy.array(value) would be; -1: it would have none."""
    first = value[0] if value else None
    if isinstance(first, (list, tuple)):
        return len(first)
    shape = getattr(first, "shape", ())
    return shape[0] if shape else -1


def _is_frame_or_number(value: Any) -> bool:
    """What Seldon's wrapper refuses, and the library knows how to send: numpy's scalars, frames and series."""
    return hasattr(value, "to_numpy") or (hasattr(value, "dtype") and hasattr(value, "item"))


class Component:
    """A user's object as hythe._hythe.Host(call=...) wants it: `call` is that function."""

    def __init__(self, user: Any) -> None:
        self.user = user
        self.metrics = Registry()
        self._includes_metrics = os.environ.get("INCLUDE_METRICS_IN_CLIENT_RESPONSE", "true").lower() == "true"
        self._passes_bytes = os.environ.get("PAYLOAD_PASSTHROUGH", "").lower() in ("1", "true", "t")
        unit = os.environ.get("PREDICTIVE_UNIT_ID")
        self._path = {unit: os.environ.get("PREDICTIVE_UNIT_IMAGE", "NOT_IMPLEMENTED:NOT_IMPLEMENTED")} if unit else {}
        self._kinds: Dict[type, int] = {}
        self._default_names: Dict[int, List[str]] = {}
        self._warned: set = set()
        self._tags = own(user, "tags")
        self._metrics = own(user, "metrics")
        self._class_names = own(user, "class_names")
        self._error_pages = self._make_error_pages()
        declared = own(user, "init_metadata")
        try:
            self.metadata = _metadata.of_component(declared() if declared else None)
        except Exception as error:
            if not _is_not_implemented(error):
                raise
            self.metadata = _metadata.of_component(None)
        self._calls: List[Callable[[Any], None]] = [self._unknown_method] * (METRICS + 1)
        for method in (PREDICT, TRANSFORM_INPUT, TRANSFORM_OUTPUT):
            self._calls[method] = self._with_raw(method, self._make_simple(method))
        self._calls[ROUTE] = self._with_raw(ROUTE, self._make_route())
        self._calls[AGGREGATE] = self._with_raw(AGGREGATE, self._make_aggregate())
        self._calls[FEEDBACK] = self._with_reward(self._with_raw(FEEDBACK, self._make_feedback()))
        self._calls[HEALTH] = self._make_health()
        self._calls[METADATA] = self._reply_metadata
        self._calls[METRICS] = self._reply_metrics

    # ---- life ----

    def load(self) -> None:
        """The user's load(), once in each worker. One that is not implemented is none."""
        load = own(self.user, "load")
        if load is None:
            return
        try:
            load()
        except NotImplementedError:
            pass
        except AttributeError:
            # Seldon's wrapper takes this for "there is no load()". It is rarely that, so it is told.
            _log.warning("load() raised AttributeError; it is served nevertheless, as Seldon's wrapper does", exc_info=True)

    def feature_names(self) -> Optional[List[str]]:
        """For the metadata: the columns' names, if the object tells any."""
        return self._told_names("feature_names")

    def class_names(self) -> Optional[List[str]]:
        """For the metadata: the outputs' names, if the object tells any."""
        return self._told_names("class_names")

    def _told_names(self, name: str) -> Optional[List[str]]:
        told = own(self.user, name)
        try:
            told = told() if callable(told) else told
            return None if told is None else [str(n) for n in told]
        except Exception:  # asked too early: what it says to a request is what counts
            return None

    # ---- a call ----

    def call(self, c: Any) -> None:
        """Answers one request. An exception that leaves this is the answer as well: the extension logs it and tells the client."""
        try:
            self._calls[c.method](c)
        except BaseException as error:
            if self._error_pages is None or c.is_grpc or not self._reply_error_page(c, error):
                raise

    def _unknown_method(self, c: Any) -> None:
        c.reply_undefined()

    # ---- the user's own error pages: a Flask Blueprint ----

    def _make_error_pages(self) -> Optional[Any]:
        blueprint = getattr(self.user, "model_error_handler", None)
        if blueprint is None or "flask" not in sys.modules:
            return None
        app = sys.modules["flask"].Flask(__name__)
        app.register_blueprint(blueprint)
        return app

    def _reply_error_page(self, c: Any, error: BaseException) -> bool:
        app = self._error_pages
        with app.test_request_context():  # type: ignore[union-attr]
            try:
                response = app.make_response(app.handle_user_exception(error))  # type: ignore[union-attr]
            except BaseException as other:
                if other is not error:
                    _log.error("request %s: the model's error handler failed", c.id, exc_info=other)
                return False
        c.reply_raw(response.get_data(), response.status_code)
        return True

    # ---- predict and the transformers ----

    def _make_simple(self, method: int) -> Callable[[Any], None]:
        name, label = _NAMES[method]
        function = own(self.user, name)
        is_predict = method == PREDICT
        if function is None:
            return self._make_absent(is_predict, label)
        ask = _caller(function, name)
        kinds, default_names, path = self._kinds, self._default_names, self._path
        adds_nothing = self._tags is None and self._metrics is None and not path
        names_by_shape = self._class_names is None

        def call(c: Any) -> None:
            kind, value, names, meta = c.payload(0)
            if kind == NOTHING or kind == CUSTOM:
                value = self._odd_payload(c, kind, value)
            if meta is None and c.is_grpc:
                meta = {}
            try:
                result = ask(value, names, meta)
            except Exception as error:
                if not _is_not_implemented(error):
                    raise
                result = [] if is_predict else value
            # The common case, with nothing to add: an array of two dimensions.
            if adds_nothing and names_by_shape and not meta and kinds.get(type(result)) == _ARRAY and result.ndim == 2:
                columns = result.shape[1]
                c.reply(result, default_names.get(columns) or self._make_names(columns), None, kind)
            else:
                self._reply(c, result, kind, meta, label)

        return call

    def _make_absent(self, is_predict: bool, label: str) -> Callable[[Any], None]:
        def call(c: Any) -> None:
            kind, value, _, meta = c.payload(0)
            if kind == NOTHING or kind == CUSTOM:
                value = self._odd_payload(c, kind, value)
            self._reply(c, [] if is_predict else value, kind, meta, label)

        return call

    @staticmethod
    def _odd_payload(c: Any, kind: int, value: Any, index: int = -1) -> Any:
        if kind == CUSTOM:
            from google.protobuf import any_pb2  # type: ignore

            return any_pb2.Any.FromString(value)
        if c.is_grpc or not c.raw:
            raise ComponentError("Unknown data in SeldonMessage")
        body = json.loads(c.raw)
        if index >= 0:  # one of a list
            body = (body if isinstance(body, list) else body["seldonMessages"])[index]
        raise ComponentError("Invalid request data type: %s" % (body,))

    # ---- the other methods ----

    def _make_route(self) -> Callable[[Any], None]:
        function = own(self.user, "route")
        if function is None:
            if getattr(self.user, "route", None) is None:
                return self._unknown_method
            return self._make_refusal("route is not implemented")
        ask = _caller(function, "route")

        def call(c: Any) -> None:
            kind, value, names, meta = c.payload(0)
            if kind == NOTHING or kind == CUSTOM:
                value = self._odd_payload(c, kind, value)
            result = ask(value, names, {} if meta is None and c.is_grpc else meta)
            branch, tags, metrics = self._open(result)
            if not isinstance(branch, int):
                integer = getattr(branch, "__index__", None)  # numpy's integers
                if integer is None or getattr(branch, "ndim", 0) > 0:
                    raise ComponentError("Routing response must be int but got %s" % (branch,))
                branch = integer()
            puid = {"puid": meta["puid"]} if meta and meta.get("puid") else None
            self._reply_parts(c, [[int(branch)]], kind, puid, tags, metrics, "router")

        return call

    def _make_aggregate(self) -> Callable[[Any], None]:
        function = own(self.user, "aggregate")
        if function is None:
            if getattr(self.user, "aggregate", None) is None:
                return self._unknown_method
            return self._make_refusal("aggregate is not implemented")

        def call(c: Any) -> None:
            values, names, metas, first = [], [], [], NOTHING
            for i in range(c.count):
                kind, value, columns, meta = c.payload(i)
                if kind == NOTHING or kind == CUSTOM:
                    value = self._odd_payload(c, kind, value, i)
                first = kind if i == 0 else first
                values.append(value)
                names.append(columns)
                metas.append(meta or {})
            result = function(values, names)
            self._reply(c, result, first, _merge(metas), "aggregate")

        return call

    def _make_feedback(self) -> Callable[[Any], None]:
        function = own(self.user, "send_feedback")
        if function is None:
            ask = lambda value, names, reward, truth, routing: None  # noqa: E731
        elif _binds_feedback(function):
            ask = lambda value, names, reward, truth, routing: function(value, names, reward, truth, routing=routing)  # noqa: E731
        else:
            ask = lambda value, names, reward, truth, routing: function(value, names, reward, truth)  # noqa: E731
        is_nameless = not self._path  # Seldon's wrapper goes by the name "0" then

        def call(c: Any) -> None:
            kind, value, names, meta = c.payload(0)
            truth_kind, truth, _, _ = c.payload(2)
            value = _empty_array() if kind == NOTHING else value
            truth = _empty_array() if truth_kind == NOTHING else truth
            routing = c.routing
            if routing is None and is_nameless:
                routing = ((c.payload(1)[3] or {}).get("routing") or {}).get("0")
            try:
                result = ask(value, names, c.reward, truth, routing)
            except Exception as error:
                if not _is_not_implemented(error):
                    raise
                result = None
            result, tags, metrics = self._open(result)
            puid = {"puid": meta["puid"]} if meta and meta.get("puid") else None
            self._reply_parts(c, [] if result is None else result, kind, puid, tags, metrics, "feedback")

        return call

    def _with_reward(self, inner: Callable[[Any], None]) -> Callable[[Any], None]:
        def call(c: Any) -> None:
            self.metrics.add_reward(c.reward)
            inner(c)

        return call

    def _make_health(self) -> Callable[[Any], None]:
        raw, function = own(self.user, "health_status_raw"), own(self.user, "health_status")
        absent = "healthy" if getattr(self.user, "health_status", None) is None else "not implemented - assuming healthy"

        def call(c: Any) -> None:
            if raw is not None:
                try:
                    self._reply_message(c, HEALTH, raw())
                    return
                except Exception as error:
                    if not _is_not_implemented(error):
                        raise
            try:
                result = function() if function else absent
            except Exception as error:
                if not _is_not_implemented(error):
                    raise
                result = "not implemented - assuming healthy"
            self._reply(c, result, NOTHING, None, "health")

        return call

    @staticmethod
    def _make_refusal(message: str) -> Callable[[Any], None]:
        def call(c: Any) -> None:
            raise ComponentError(message)

        return call

    def _reply_metadata(self, c: Any) -> None:
        if self.metadata is None:
            raise ComponentError("Model metadata unavailable", 500, "MICROSERVICE_BAD_METADATA")
        c.reply(self.metadata, None, None, JSON)

    def _reply_metrics(self, c: Any) -> None:
        c.reply(self.metrics.text(), None, None, TEXT)

    # ---- what goes back ----

    def _classify(self, value: Any) -> int:
        kind = type(value)
        known = self._kinds.get(kind)
        if known is not None:
            return known
        numpy = sys.modules.get("numpy")
        if numpy is not None and isinstance(value, numpy.ndarray):
            known = _ARRAY
        elif isinstance(value, list):
            known = _LIST
        elif isinstance(value, str):
            known = _TEXT
        elif isinstance(value, dict):
            known = _OBJECT
        elif isinstance(value, (bytes, bytearray)):
            known = _BYTES
        elif _has_class_named(kind, "SeldonResponse"):
            known = _RESPONSE
        elif getattr(getattr(kind, "DESCRIPTOR", None), "full_name", "") == "google.protobuf.Any":
            known = _ANY
        else:
            return _UNKNOWN  # not kept: there is no end of such types
        self._kinds[kind] = known
        return known

    def _open(self, result: Any) -> Tuple[Any, Dict, List]:
        """Data, tags and metrics of this one call."""
        if self._classify(result) == _RESPONSE:
            return result.data, result.tags or {}, result.metrics if result.metrics is not None else []
        return result, {}, []

    def _reply(self, c: Any, result: Any, kind: int, meta: Optional[Dict], label: str) -> None:
        data, tags, metrics = self._open(result)
        self._reply_parts(c, data, kind, meta, tags, metrics, label)

    def _reply_parts(self, c: Any, data: Any, kind: int, meta: Optional[Dict], tags: Dict, metrics: List, label: str) -> None:
        added = self._collect(metrics, label)
        what = self._classify(data)
        names = None
        if what == _ARRAY:
            names = self._names(data.shape[1]) if data.ndim > 1 else []
        elif what == _LIST:
            columns = _count_columns(data)
            names = self._names(columns) if columns >= 0 else []
        elif what == _UNKNOWN and _is_frame_or_number(data):
            names = self._names(0) if self._class_names is not None and getattr(data, "ndim", 0) > 1 else None  # None: a frame's own
        elif what == _RESPONSE or what == _UNKNOWN or (what == _ANY and not c.is_grpc):
            raise ComponentError("Unknown data type returned as payload (must be list or np array):%s" % (data,))
        answer_meta = self._make_meta(meta, tags, added)
        if what == _ANY:
            self._reply_message(c, PREDICT, {"meta": answer_meta or {}}, data)
        else:
            c.reply(data, names, answer_meta, kind)

    def _make_names(self, columns: int) -> List[str]:
        names = ["t:%d" % i for i in range(columns)]
        if len(self._default_names) < 64:
            self._default_names[columns] = names
        return names

    def _names(self, columns: int) -> List[str]:
        told = self._class_names
        if told is None:
            return self._default_names.get(columns) or self._make_names(columns)
        if callable(told):
            try:
                return [n if isinstance(n, str) else str(n) for n in told()]
            except Exception as error:
                if not _is_not_implemented(error):
                    raise
                return self._default_names.get(columns) or self._make_names(columns)
        self._warn("class_names attribute is deprecated. Please define a class_names method")
        return [n if isinstance(n, str) else str(n) for n in told]

    def _make_meta(self, meta: Optional[Dict], tags: Dict, added: List[Dict]) -> Optional[Dict]:
        meta = meta or {}
        own_tags: Any = {}
        if self._tags is not None:
            try:
                own_tags = self._tags() or {}
            except Exception as error:
                if not _is_not_implemented(error):
                    raise
        out: Dict[str, Any] = {}
        all_tags = {**(meta.get("tags") or {}), **own_tags, **tags}
        all_metrics = (meta.get("metrics") or []) + added
        path = {**self._path, **(meta.get("requestPath") or {})}
        if all_tags:
            out["tags"] = all_tags
        if all_metrics:
            out["metrics"] = all_metrics
        if meta.get("puid"):
            out["puid"] = meta["puid"]
        if path:
            out["requestPath"] = path
        return out or None

    # ---- metrics ----

    def _collect(self, of_call: List[Dict], label: str) -> List[Dict]:
        """Counts the user's metrics; returns those that the client is told."""
        if of_call:
            self._count(of_call, label)
        elif not isinstance(of_call, list):
            raise _bad_metric(of_call)
        own_metrics: List[Dict] = []
        if self._metrics is not None:
            try:
                own_metrics = self._metrics()
                self._count(own_metrics, label)
            except Exception as error:
                if not _is_not_implemented(error):
                    raise
                own_metrics = []
        if not self._includes_metrics:
            return []
        # A metric with tags tells the client also the method that it came out of.
        return [{**m, "tags": {**m["tags"], "method": label}} if "tags" in m else m for m in own_metrics + of_call]

    def _count(self, metrics: Any, label: str) -> None:
        if not is_valid(metrics):
            raise _bad_metric(metrics)
        self.metrics.update(metrics, label)

    # ---- raw methods ----

    def _with_raw(self, method: int, inner: Callable[[Any], None]) -> Callable[[Any], None]:
        """The forms that take whole messages go first."""
        name = _NAMES[method][0]
        raw, rest, grpc = (own(self.user, name + form) for form in ("_raw", "_rest", "_grpc"))
        if raw is None and rest is None and grpc is None:
            return inner

        def call(c: Any) -> None:
            old = grpc if c.is_grpc else rest
            if old is not None:
                form = "_grpc" if c.is_grpc else "_rest"
                self._warn("%s%s is deprecated. Please use %s_raw" % (name, form, name))
                asks_text = method == FEEDBACK and not c.is_grpc
                self._reply_message(c, method, old(c.raw.decode() if asks_text else self._message(c, method, False)))
                return
            if raw is not None:
                try:
                    self._reply_message(c, method, raw(self._message(c, method, True)))
                    return
                except Exception as error:
                    if not _is_not_implemented(error):
                        raise
            inner(c)

        return call

    def _message(self, c: Any, method: int, is_raw_form: bool) -> Any:
        """What a raw method is given: a dict; with gRPC, and always for feedback, a protobuf message."""
        if not c.is_seldon:
            return messages.of_payload(c)
        if c.is_grpc or (method == FEEDBACK and is_raw_form):
            pb = messages.protobuf_messages()
            message = {AGGREGATE: pb.SeldonMessageList, FEEDBACK: pb.Feedback}.get(method, pb.SeldonMessage)()
            if c.is_grpc:
                message.ParseFromString(c.raw)
            else:
                from google.protobuf import json_format  # type: ignore

                try:
                    json_format.ParseDict(json.loads(c.raw), message)
                except json_format.ParseError as error:
                    raise ComponentError("Invalid JSON: %s" % error) from error
            return message
        if method == PREDICT and self._passes_bytes:
            return c.raw
        return json.loads(c.raw)

    def _reply_message(self, c: Any, method: int, message: Any, custom: Any = None) -> None:
        """Sends what a raw method returned: a dict, JSON text, or a protobuf message."""
        status = 0
        if isinstance(message, dict):
            message = self._count_raw(message, method)
            code = (message.get("status") or {}).get("code") if method == PREDICT else None
            status = code if isinstance(code, int) and 200 <= code <= 599 else 0
        elif hasattr(message, "SerializeToString"):
            self._count_raw_protobuf(message, method)
        elif message is None:
            raise ComponentError("Unknown data type returned as payload (must be list or np array):None")
        if not c.is_seldon:
            self._reply_payload_of(c, message)
        elif c.is_grpc:
            c.reply_raw(messages.to_protobuf(message, custom).SerializeToString(), 0)
        elif hasattr(message, "SerializeToString"):
            c.reply_raw(messages.to_json(messages.to_dict(message)), 0)
        elif isinstance(message, (bytes, bytearray)):
            c.reply_raw(bytes(message), 0)
        elif isinstance(message, str) and (self._passes_bytes or method == FEEDBACK):
            c.reply_raw(message.encode(), 0)
        else:
            c.reply_raw(messages.to_json(message), status)

    def _reply_payload_of(self, c: Any, message: Any) -> None:
        """For V2, V1 and records, which know no messages: the data of one."""
        if hasattr(message, "SerializeToString"):
            message = messages.to_dict(message)
        elif not isinstance(message, dict):
            message = json.loads(message)
        status = message.get("status") or {}
        if status.get("status") in (1, "FAILURE"):
            raise ComponentError(str(status.get("info", "")), 500, str(status.get("reason", INTERNAL_ERROR)))
        value, kind, names = messages.payload_of(message)
        c.reply(value, names, None, kind)

    def _count_raw(self, message: Dict, method: int) -> Dict:
        metrics = (message.get("meta") or {}).get("metrics")
        if not metrics:
            return message
        # What went through protobuf has lost the type of a counter.
        self._count([{"type": "COUNTER", **m} if isinstance(m, dict) else m for m in metrics], _NAMES[method][1])
        if self._includes_metrics:
            return message
        return {**message, "meta": {k: v for k, v in message["meta"].items() if k != "metrics"}}

    def _count_raw_protobuf(self, message: Any, method: int) -> None:
        if not len(message.meta.metrics):
            return
        self._count_raw(messages.to_dict(message), method)
        if not self._includes_metrics:
            del message.meta.metrics[:]

    def _warn(self, text: str) -> None:
        if text not in self._warned:
            self._warned.add(text)
            _log.warning("%s", text)


def _bad_metric(metrics: Any) -> ComponentError:
    return ComponentError("Bad metric created during request: %s" % json.dumps(metrics, default=str), 500, "MICROSERVICE_BAD_METRIC")


def _binds_feedback(function: Callable) -> bool:
    try:
        inspect.signature(function)
    except (TypeError, ValueError):
        return True
    return _binds(function, 0, 0, 0, 0, routing=0)


def _merge(metas: List[Dict]) -> Dict:
    """The meta of several messages: later tags win, metrics follow each other, the puid is the first's."""
    out: Dict[str, Any] = {"tags": {}, "requestPath": {}, "metrics": []}
    for meta in metas:
        out["tags"].update(meta.get("tags") or {})
        out["requestPath"].update(meta.get("requestPath") or {})
        out["metrics"].extend(meta.get("metrics") or [])
    if metas and metas[0].get("puid"):
        out["puid"] = metas[0]["puid"]
    return out
